// SPDX-License-Identifier: MIT
/* Guests by name: the commands that take a NAME, on running guests. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "control/names.h"
#include "program.h"

static char name[32];

/* A guest that fills 8 MiB and counts. */
static struct program *start(void)
{
	struct program *vm = program_start("vm", "run", name, "--memory", "8",
					   "--socket", socket_path("a"), NULL);

	wait_for_words(vm, "guest: filled, counting");
	return vm;
}

static void assert_not_listed(void)
{
	struct program *list = program_start("gmem", "ps", NULL);

	wait_for_exit(list, EXIT_DONE);
	assert_false(has_said(list, name));
	program_end_last();
}

static void a_guest_is_listed_and_ended(void **state)
{
	struct program *vm = start();

	(void)state;
	SAYS(EXIT_DONE, name, "ps");
	SAYS(EXIT_DONE, "running", "ps");
	SAYS(EXIT_DONE, "\"state\":\"running\"", "ps", "--json");
	SAYS(EXIT_DONE, ",state=\"running\"} 1\n", "ps", "--metrics");
	SAYS(EXIT_FAILED, "there is one of this name", "run", name, "--memory", "2");
	wait_for_counting(vm);
	/* It reads no events: nobody can ask it. */
	SAYS(EXIT_DONE, "no power button", "stop", name);
	wait_for_exit(vm, EXIT_DONE);
	assert_not_listed();
	SAYS(EXIT_FAILED, "there is no such VM", "stop", name);
	SAYS(EXIT_FAILED, "there is no such VM", "kill", name);
	SAYS(EXIT_FAILED, "there is no such VM", "console", name);
	SAYS(EXIT_FAILED, "{\"ok\":false", "pause", name, "--json");
}

static void a_guest_is_paused(void **state)
{
	struct program *vm = start(), *taker;
	uint64_t limit = late();
	unsigned int counts;

	(void)state;
	wait_for_counting(vm);
	SAYS(EXIT_DONE, "paused", "pause", name);
	SAYS(EXIT_DONE, "paused", "ps");
	/* What it said before may still be on its way. */
	do {
		counts = vm->counts;
		listen_for(1000);
	} while (vm->counts != counts && now_ns() < limit);
	listen_for(2000);
	assert_int_equal(vm->counts, counts);
	/* It would run there. */
	taker = program_start("B", "takeover", "--socket", socket_path("a"), NULL);
	wait_for_exit(taker, EXIT_FAILED);
	must_have_said(taker, "the guest is paused");
	program_end_last();
	listen_for(1000);
	assert_int_equal(vm->counts, counts);
	SAYS(EXIT_DONE, "\"state\":\"paused\"", "pause", name, "--json");
	SAYS(EXIT_DONE, "running", "resume", name);
	wait_for_counting(vm);
	SAYS(EXIT_DONE, "running", "resume", name);
	SAYS(EXIT_FAILED, "making a snapshot of this kind of guest", "snapshot", name,
	     "/tmp/never-made");
	wait_for_counting(vm);
	SAYS(EXIT_DONE, "ended", "kill", name);
	wait_for_exit(vm, EXIT_DONE);
	assert_int_equal(access("/tmp/never-made", F_OK), -1);
}

static void a_console_is_attached(void **state)
{
	struct program *vm = start(), *console;

	(void)state;
	console = program_start("console", "console", name, NULL);
	wait_for_words(console, "guest: filling");
	wait_for_counting(console);
	SAYS(EXIT_FAILED, "somebody is attached", "console", name);
	kill(console->child.pid, SIGTERM);
	wait_for_exit(console, EXIT_DONE);
	must_have_said(console, "detached");
	program_end_last();
	console = program_start("console", "console", name, NULL);
	wait_for_counting(console);
	assert_false(has_said(console, "guest: filling"));
	kill(vm->child.pid, SIGTERM);
	wait_for_exit(console, EXIT_DONE);
	must_have_said(console, "the VM has ended");
}

static void what_a_killed_one_left(void **state)
{
	struct program *vm = start();

	(void)state;
	kill(vm->child.pid, SIGKILL);
	while (!child_gone(&vm->child))
		listen_for(20);
	assert_not_listed();
	programs_end(NULL);
	vm = start();
	SAYS(EXIT_DONE, "running", "ps");
	kill(vm->child.pid, SIGKILL);
	while (!child_gone(&vm->child))
		listen_for(20);
	programs_end(NULL);
	start();
}

/* The first child of a process: a VMM's helper. */
static pid_t helper_of(pid_t vmm)
{
	char path[64];
	FILE *file;
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", vmm, vmm);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

/* Its helper has the name still, for a moment or for long; it is not starting. */
static void one_that_has_just_been_killed(void **state)
{
	struct program *vm = start(), *list;
	pid_t helper = helper_of(vm->child.pid);

	(void)state;
	assert_int_equal(kill(helper, SIGSTOP), 0);
	kill(vm->child.pid, SIGKILL);
	while (!child_gone(&vm->child))
		listen_for(20);
	SAYS(EXIT_DONE, "ended", "ps");
	list = program_start("gmem", "ps", NULL);
	assert_int_equal(kill(helper, SIGCONT), 0);
	wait_for_exit(list, EXIT_DONE);
	assert_false(has_said(list, name));
	program_end_last();
}

/* So many that the next one would have to wait: nobody accepts them. */
static void fill_control_socket(int *fds, unsigned int nr)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	unsigned int i;
	char why[NAMES_WHY];

	assert_int_equal(vm_control_path(name, address.sun_path, sizeof(address.sun_path), why),
			 0);
	for (i = 0; i < nr; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fds[i], (struct sockaddr *)&address, sizeof(address)))
			assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(connect(fds[nr - 1], (struct sockaddr *)&address, sizeof(address)), -1);
}

static void one_that_hangs_with_a_full_socket(void **state)
{
	struct program *vm = start();
	int fds[24], i;

	(void)state;
	kill(vm->child.pid, SIGSTOP);
	fill_control_socket(fds, 24);
	SAYS(EXIT_FAILED, "it does not answer", "pause", name);
	SAYS(EXIT_DONE, "ended", "kill", name);
	while (!child_gone(&vm->child))
		listen_for(20);
	assert_not_listed();
	for (i = 0; i < 24; i++)
		close(fds[i]);
}

/* The number that was left in its file is another process's by now. */
static void a_pid_that_is_used_again(void **state)
{
	struct program *vm = start(), *other;
	char path[160], why[NAMES_WHY];
	FILE *file;

	(void)state;
	other = program_start("other", "run", "--memory", "8", NULL);
	wait_for_words(other, "guest: filled, counting");
	assert_int_equal(vm_control_path(name, path, 128, why), 0);
	strcpy(strrchr(path, '/') + 1, "pid");
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%d\n", (int)other->child.pid);
	fclose(file);
	kill(vm->child.pid, SIGSTOP);
	SAYS(EXIT_DONE, "ended", "kill", name);
	while (!child_gone(&vm->child))
		listen_for(20);
	assert_true(WIFSIGNALED(vm->child.status));
	wait_for_counting(other);
	assert_not_listed();
}

/* Its process does nothing any more, not even when it is asked to end. */
static void one_that_hangs(void **state)
{
	struct program *vm = start();

	(void)state;
	kill(vm->child.pid, SIGSTOP);
	SAYS(EXIT_DONE, "no-answer", "ps");
	SAYS(EXIT_FAILED, "it does not answer", "pause", name);
	SAYS(EXIT_DONE, "ended", "kill", name);
	while (!child_gone(&vm->child))
		listen_for(20);
	assert_true(WIFSIGNALED(vm->child.status));
	assert_not_listed();
}

static bool points_to_root(const char *path)
{
	char to[8] = "";

	return readlink(path, to, sizeof(to) - 1) == 1 && *to == '/';
}

static void its_vmm_is_confined(void **state)
{
	struct program *vm;
	char path[64];
	int root = open("/", O_RDONLY), stray = fcntl(root, F_DUPFD, 40);

	(void)state;
	assert_true(stray >= 40);
	vm = start();
	must_be_confined(vm);
	/* What it was started with by accident it does not have. */
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", vm->child.pid, stray);
	assert_true(access(path, F_OK) || !points_to_root(path));
	close(stray);
	close(root);
	SAYS(EXIT_DONE, "\"resident\":", "ps", "--json");
	/* Threads come and go. */
	SAYS(EXIT_DONE, "paused", "pause", name);
	SAYS(EXIT_DONE, "running", "resume", name);
	wait_for_counting(vm);
}

static void names_that_cannot_be(void **state)
{
	(void)state;
	SAYS(EXIT_FAILED, "letters, digits", "run", "a/b", "--memory", "2");
	SAYS(EXIT_FAILED, "letters, digits", "run", "", "--memory", "2");
	SAYS(EXIT_FAILED, "letters, digits", "kill", "../a");
	SAYS(EXIT_FAILED, "letters, digits", "restore", "/nowhere", "a b");
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_is_listed_and_ended),
		TEST(a_guest_is_paused),
		TEST(a_console_is_attached),
		TEST(what_a_killed_one_left),
		TEST(one_that_has_just_been_killed),
		TEST(one_that_hangs),
		TEST(one_that_hangs_with_a_full_socket),
		TEST(a_pid_that_is_used_again),
		TEST(its_vmm_is_confined),
		TEST(names_that_cannot_be),
	};

	snprintf(name, sizeof(name), "test-%d", (int)getpid());
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
