// SPDX-License-Identifier: MIT
/*
 * The progress messages of gmem pager: to a person only at a terminal, and to a program.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "paging.h"

#define MIB	64	/* so that it takes a while, page by page */

/* All that a page server has written to its terminal. */
static char screen[65536];

static int make_terminal(char *name, size_t size)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	assert_true(terminal >= 0);
	assert_int_equal(grantpt(terminal), 0);
	assert_int_equal(unlockpt(terminal), 0);
	assert_int_equal(ptsname_r(terminal, name, size), 0);
	screen[0] = '\0';
	return terminal;
}

static pid_t pager_at(const char *terminal)
{
	const char *image = file_path("image");
	const char *socket = socket_path("a");
	const char *program = gmem_program();
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(terminal, O_RDWR | O_NOCTTY);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execl(program, program, "pager", "--image", image, "--socket", socket,
	      "--user", "nobody", "--on-demand", "--prefetch", "1", NULL);
	_exit(127);
}

static void look(int terminal)
{
	struct pollfd wait = { .fd = terminal, .events = POLLIN };
	size_t used = strlen(screen);
	ssize_t got;

	if (poll(&wait, 1, 50) <= 0)
		return;
	got = read(terminal, screen + used, sizeof(screen) - 1 - used);
	screen[used + (got > 0 ? got : 0)] = '\0';
}

static void wait_for_screen(int terminal, const char *words)
{
	uint64_t limit = now_ns() + LATE * 10000000000ULL;

	while (!strstr(screen, words) && now_ns() < limit)
		look(terminal);
	if (!strstr(screen, words))
		fail_msg("'%s' did not come; there was: %s", words, screen);
}

static struct program *big_guest(void)
{
	char memory[16];

	snprintf(memory, sizeof(memory), "%d", MIB);
	return program_start("guest", "run", "--memory", memory, "--pager",
			     socket_path("a"), NULL);
}

/* A line that is written over again, and is gone before something else is said. */
static void a_terminal(void **state)
{
	unsigned int done, size, rate, faults, last = 0, lines = 0;
	char name[64], *line;
	unsigned long left;
	int terminal, status;
	pid_t pager;

	(void)state;
	image_make(MIB);
	terminal = make_terminal(name, sizeof(name));
	pager = pager_at(name);
	wait_for_screen(terminal, "to who connects");
	big_guest();
	wait_for_screen(terminal, " faults\033[K\rgmem: ");
	kill(pager, SIGTERM);
	wait_for_screen(terminal, "\r\033[Kgmem: stopped: ");
	assert_int_equal(waitpid(pager, &status, 0), pager);
	assert_int_equal(status, EXIT_DONE);
	for (line = screen; (line = strstr(line, "\rgmem: ")); line++) {
		if (sscanf(line, "\rgmem: %u of %u MiB, %u MiB/s, %lu s left, %u faults",
			   &done, &size, &rate, &left, &faults) != 5)
			continue;
		lines++;
		assert_int_equal(size, MIB);
		assert_in_range(done, faults / 256 ? faults / 256 - 1 : 0, MIB);
		assert_true(faults > last);
		last = faults;
	}
	print_message("# %u lines, the last after %u faults\n", lines, last);
	assert_true(lines >= 2);
	close(terminal);
}

/* The same to a pipe: no line that is written over, and nothing that only a terminal shows. */
static void no_terminal(void **state)
{
	struct program *pager;

	(void)state;
	image_make(MIB);
	pager = pager_start("pager", "--on-demand", "--prefetch", "1", NULL);
	big_guest();
	wait_for_words(pager, "serves a guest");
	listen_for(1500);
	kill(pager->child.pid, SIGTERM);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: stopped: ");
	assert_false(has_said(pager, "\r"));
	assert_false(has_said(pager, "\033"));
	assert_false(has_said(pager, "MiB/s"));
}

/* Each line an object, with the fields of its event and no others. */
static const char checker[] =
	"use JSON::PP; my @serving = sort qw(event size left given faults failed rate remaining);"
	"my %fields = (listening => [qw(event size)], refused => [qw(event why)],"
	"	failed => [qw(event offset why)],"
	"	map { $_ => \\@serving } qw(serving progress done gone stopped broken));"
	"while (<>) {"
	"	next if /^gmem: /;"
	"	my $object = decode_json($_);"
	"	my $event = $object->{event};"
	"	my $wanted = $fields{$event} or die \"event $event\";"
	"	join(q( ), sort keys %$object) eq \"@$wanted\" or die \"fields of $_\";"
	"	for (keys %$object) {"
	"		/event|why/ or $object->{$_} =~ /^[0-9]+([.][0-9]+)?$/ or die \"$_ of $event\";"
	"	}"
	"	print \"$event \";"
	"}";

static void a_program(void **state)
{
	char command[2 * sizeof(checker)], events[512] = "";
	struct program *pager, *guest;
	const char *said;
	size_t got;
	FILE *pipe;

	(void)state;
	image_make(MIB);
	spoil(file_path("image"), 16000 * PAGE);
	/* A VMM of another size first. */
	pager = pager_start("pager", "--json", "--on-demand", "--prefetch=1", NULL);
	guest = guest_start();
	wait_for_exit(guest, EXIT_FAILED);
	guest = big_guest();
	wait_for_words(pager, "\"progress\"");
	wait_for_exit(guest, EXIT_FAILED);
	wait_for_exit(pager, EXIT_FAILED);
	said = file_path("set");
	write_file(said, pager->said, strlen(pager->said));
	/* For the shell: there are no single quotes in it. */
	snprintf(command, sizeof(command), "perl -e '%s' %s", checker, said);
	pipe = popen(command, "r");
	got = fread(events, 1, sizeof(events) - 1, pipe);
	assert_int_equal(pclose(pipe), 0);
	assert_true(got > 0);
	print_message("# %s\n", events);
	assert_int_equal(strncmp(events, "listening refused serving progress ", 35), 0);
	assert_non_null(strstr(events, "progress failed "));
	assert_non_null(strstr(events, " gone "));
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_terminal),
		TEST(no_terminal),
		TEST(a_program),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
