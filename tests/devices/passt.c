// SPDX-License-Identifier: MIT
/* passt as a network card's port; this program plays passt if it is started by that name. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "helper/helper.h"
#include "helper/parts.h"
#include "helper/wire.h"
#include "one-port.h"
#include "unit.h"

#define PREFIX	4

/* ---- passt, as the test wants it ---- */

static FILE *log_file;
static int listener;
static jmp_buf next_client;

enum { ECHO, DIE, NONSENSE, HANG_UP, STALL, EMPTY, WHO, HALF };

/* What WHO is answered by: which process it is, and does a path lead to where it began? */
struct who {
	uint8_t header[NET_FRAME_LEAST];
	pid_t pid;
	int has_path;
} __attribute__((packed));

/* It has one client, and closes any other's connection at once. */
static void wait_for_bytes(int fd)
{
	struct pollfd waits[2] = {
		{ .fd = fd, .events = POLLIN }, { .fd = listener, .events = POLLIN },
	};

	while (poll(waits, 2, -1) > 0 && waits[1].revents)
		close(accept(listener, NULL, NULL));
}

static void all(int fd, void *bytes, size_t size, bool out)
{
	ssize_t done;

	for (; size; size -= done, bytes = (char *)bytes + done) {
		if (!out)
			wait_for_bytes(fd);
		done = out ? write(fd, bytes, size) : read(fd, bytes, size);
		if (done > 0)
			continue;
		if (log_file)
			fputs("0.9000: ERROR:   the other side has ended\n", log_file);
		close(fd);
		longjmp(next_client, 1);
	}
}

static void tell_who(int fd)
{
	struct {
		uint32_t size;
		struct who who;
	} __attribute__((packed)) answer = { .size = htonl(sizeof(struct who)) };
	char path[64];

	answer.who.pid = getpid();
	answer.who.has_path = !!getcwd(path, sizeof(path));
	all(fd, &answer, sizeof(answer), true);
}

/* Frames come torn at each place, and several at once. */
static void echo(int fd, uint8_t *frame, size_t size)
{
	all(fd, frame, 2, true);
	usleep(2000);
	all(fd, frame + 2, 5, true);
	usleep(2000);
	all(fd, frame + 7, PREFIX + size - 7, true);
	all(fd, frame, PREFIX + size, true);
}

static void answer(int fd)
{
	static uint8_t frame[PREFIX + 65536];
	uint32_t size, wrong = htonl(0x10000), none = 0;

	all(fd, frame, PREFIX, false);
	memcpy(&size, frame, PREFIX);
	size = ntohl(size);
	if (size > 65535)
		_exit(6);
	all(fd, frame + PREFIX, size, false);
	/* The helper's first word. */
	if (size == NET_FRAME_LEAST)
		return;
	switch (frame[PREFIX + NET_FRAME_LEAST]) {
	case DIE:
		_exit(5);
	case NONSENSE:
		all(fd, &wrong, sizeof(wrong), true);
		break;
	case EMPTY:
		all(fd, &none, sizeof(none), true);
		break;
	case HANG_UP:
		close(fd);
		pause();
		break;
	case STALL:
		usleep(200000);
		break;
	case WHO:
		tell_who(fd);
		break;
	case HALF:
		all(fd, frame, PREFIX + size / 2, true);
		break;
	default:
		echo(fd, frame, size);
	}
}

/* How, a file says: it is started by another process than the test. */
static char how[80];

static void play(const char *part)
{
	FILE *file = fopen(how, "w");

	assert_non_null(file);
	fputs(part, file);
	fclose(file);
}

static bool is_played(const char *part)
{
	char line[16] = "";
	FILE *file;

	snprintf(how, sizeof(how), "%s/how", getenv("XDG_RUNTIME_DIR"));
	file = fopen(how, "r");
	if (file) {
		if (!fgets(line, sizeof(line), file))
			*line = '\0';
		fclose(file);
	}
	return !strcmp(line, part);
}

static const char *value_of(char **argv, const char *option)
{
	for (; *argv; argv++)
		if (!strcmp(*argv, option))
			return argv[1];
	return NULL;
}

static void open_log(char **argv)
{
	log_file = fopen(value_of(argv, "--log-file"), "a+");
	if (!log_file)
		_exit(7);
	setlinebuf(log_file);
	fputs("passt 0.0: /usr/bin/passt (1)\n", log_file);
}

/*
 * As passt does it: what comes before it has a client is said on stderr as well, and the last of
 * its lines in the log may have no end.
 */
static int fail_as_passt(char **argv, const char *part)
{
	if (!strcmp(part, "logs")) {
		open_log(argv);
		fputs("0.0001: ERROR:   no address", log_file);
		fflush(log_file);
	}
	fputs("no address\n", stderr);
	return 1;
}

static void write_log(int fd)
{
	answer(fd);
	usleep(200000);
	fputs("0.0700: info:    nothing\n0.0800: ERROR:   it is \033[31mthis\n", log_file);
}

/* A byte a start, in the file beside the one that says how. */
static int count_start(void)
{
	char path[sizeof(how) + 8];
	int fd;

	snprintf(path, sizeof(path), "%s.count", how);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	return fd < 0 || write(fd, "1", 1) != 1 ? 9 : 3;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 0) ? -1 : fd;
}

/* It is told a path in the folder where it is, which nobody else can reach. */
static int play_passt(char **argv)
{
	const char *path = value_of(argv, "--socket");
	struct stat st;
	int fd;

	if (is_played("dies"))
		return 3;
	if (is_played("says") || is_played("logs"))
		return fail_as_passt(argv, is_played("logs") ? "logs" : "says");
	if (is_played("hangs"))
		return pause();
	if (is_played("counts"))
		return count_start();
	if (!path || strchr(path, '/') || value_of(argv, "--fd") || access("/proc/self/fd/0", F_OK))
		return 8;
	if (stat(".", &st) || st.st_uid != getuid() || (st.st_mode & 077))
		return 10;
	fputs("this is where I listen\n", stderr);
	if (is_played("complains")) {
		open_log(argv);
		fputs("0.0001: WARNING: that is said at once\n", log_file);
	}
	usleep(30000);
	listener = listen_at(path);
	if (listener < 0)
		return 11;
	signal(SIGPIPE, SIG_IGN);
	setjmp(next_client);
	fd = accept(listener, NULL, NULL);
	if (is_played("complains"))
		write_log(fd);
	for (;;)
		answer(fd);
}

/* ---- What is claimed ---- */

static struct helper helper;

static int set_up(void **state)
{
	play("well");
	helper = (struct helper)HELPER_NONE;
	return port_set_up(state);
}

static int tear_down(void **state)
{
	int ret = port_tear_down(state);

	helper_stop(&helper);
	return ret;
}

static struct net_port *open_passt(void)
{
	const struct helper_plan plan = { .nr_nets = 1 };

	assert_int_equal(helper_start(&helper, &plan), 0);
	return passt_open(&events, &helper.nets[0], why);
}

static void frames_come_whole(void **state)
{
	(void)state;
	take(open_passt());
	assert_int_equal(port->features, 0);
	assert_int_equal(send_as(ECHO, DATA + 100), 0);
	until(&received, 2);
	assert_int_equal(sizes[0], DATA + 100);
	assert_int_equal(sizes[1], DATA + 100);
	assert_int_equal(frame[DATA + 99], (DATA + 99) % 253);
	assert_int_equal(frame[0], 0);
	assert_int_equal(send_as(ECHO, NET_HEADER + 65535), 0);
	until(&received, 4);
	assert_int_equal(sizes[3], NET_HEADER + 65535);
	assert_int_equal(frame[NET_HEADER + 65534], (NET_HEADER + 65534) % 253);
	/* A frame that passt does not take is lost, and tears no other frame. */
	assert_int_equal(send_as(ECHO, NET_HEADER + 65536), 0);
	assert_int_equal(send_as(ECHO, DATA + 7), 0);
	until(&received, 6);
	assert_int_equal(sizes[5], DATA + 7);
}

static void who_wants_none_gets_none(void **state)
{
	(void)state;
	take(open_passt());
	port->ops->want(port, false);
	assert_int_equal(send_as(ECHO, DATA + 100), 0);
	usleep(50000);
	events_wait(&events, 50);
	assert_int_equal(received, 0);
	port->ops->want(port, true);
	until(&received, 2);
}

static void a_full_socket_refuses_and_tears_nothing(void **state)
{
	unsigned int sent = 0;

	(void)state;
	take(open_passt());
	assert_int_equal(send_as(STALL, DATA + 100), 0);
	while (!send_as(ECHO + 9, 40000))
		assert_true(++sent < 1000);
	assert_true(sent > 1);
	until(&came_ready, 1);
	until(&received, 2 * sent);
	assert_int_equal(sizes[(received - 1) % 512], 40000);
	assert_int_equal(frame[39999], 39999 % 253);
	assert_int_equal(links, 0);
}

static void started_again(int what)
{
	take(open_passt());
	assert_int_equal(send_as(what, DATA + 100), 0);
	until(&links, 1);
	assert_false(port->up);
	assert_int_equal(send_as(ECHO, DATA + 100), 0);	/* lost */
	until(&links, 2);
	assert_true(port->up);
	assert_int_equal(received, 0);
	assert_int_equal(send_as(ECHO, DATA + 50), 0);
	until(&received, 2);
	assert_int_equal(sizes[0], DATA + 50);
}

static void death_starts_it_again(void **state)
{
	(void)state;
	started_again(DIE);
}

static void a_connection_that_ends_starts_it_again(void **state)
{
	(void)state;
	started_again(HANG_UP);
}

static void a_size_too_large_starts_it_again(void **state)
{
	(void)state;
	started_again(NONSENSE);
}

static void a_size_too_small_starts_it_again(void **state)
{
	(void)state;
	started_again(EMPTY);
}

static void death_while_the_card_waits(void **state)
{
	(void)state;
	take(open_passt());
	port->ops->want(port, false);
	assert_int_equal(send_as(DIE, DATA + 100), 0);
	until(&links, 2);
	assert_true(port->up);
}

static void one_that_dies_at_once_is_an_error(void **state)
{
	(void)state;
	play("dies");
	assert_null(open_passt());
	assert_non_null(strstr(why, "passt: it has ended at once (status 3)\n"));
}

static void one_that_never_answers_is_an_error(void **state)
{
	(void)state;
	play("hangs");
	assert_null(open_passt());
	assert_non_null(strstr(why, "passt: it does not take what is sent to it"));
}

static void one_that_is_missing_is_an_error(void **state)
{
	char *path = strdup(getenv("PATH"));

	(void)state;
	setenv("PATH", "/nonexistent", 1);
	assert_null(open_passt());
	setenv("PATH", path, 1);
	free(path);
	assert_non_null(strstr(why, "passt: there is no such program\n"));
	assert_non_null(strstr(why, "apt install passt"));
}

static off_t count_starts(void)
{
	char path[sizeof(how) + 8];
	struct stat st;

	snprintf(path, sizeof(path), "%s.count", how);
	return stat(path, &st) ? 0 : st.st_size;
}

/* A VMM that somebody has taken over has the helper start no program after program. */
static void it_is_not_started_as_often_as_it_is_asked_for(void **state)
{
	const struct helper_plan plan = { .nr_nets = 1 };
	struct helper_message message = { .kind = HELPER_PASST_START };
	int fds[FD_MESSAGE_FDS], i;

	(void)state;
	play("counts");
	assert_int_equal(helper_start(&helper, &plan), 0);
	assert_int_equal(helper_send(helper.nets[0], &message, NULL, 0), 0);
	assert_int_equal(helper_receive(helper.nets[0], &message, fds), 1);
	assert_int_equal(message.kind, HELPER_PASST_FAILED);
	assert_int_equal(count_starts(), 1);
	for (i = 0; i < 20; i++) {
		message = (struct helper_message){ .kind = HELPER_PASST_START };
		assert_int_equal(helper_send(helper.nets[0], &message, NULL, 0), 0);
		usleep(10000);
	}
	/* Its pause may be over meanwhile. */
	assert_true(count_starts() <= 2);
}

/* It died, and cannot be started for a while. */
static void it_is_tried_until_it_works(void **state)
{
	(void)state;
	take(open_passt());
	play("dies");
	assert_int_equal(send_as(DIE, DATA + 100), 0);
	until(&links, 1);
	for (unsigned int i = 0; i < 10; i++)
		events_wait(&events, 50);
	assert_false(port->up);
	play("well");
	until(&links, 2);
	assert_true(port->up);
}

/* Nobody else would end it. The VMM goes on. */
static void a_helper_that_is_killed_takes_passt_along(void **state)
{
	(void)state;
	take(open_passt());
	assert_int_equal(kill(helper.pid, SIGKILL), 0);
	until(&links, 1);
	assert_false(port->up);
	assert_int_equal(send_as(ECHO, DATA + 100), 0);
	events_wait(&events, 100);
	assert_int_equal(links, 1);
}

/* ---- What is said ---- */

static int errors, told_end;

static void begin_hearing(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	errors = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	told_end = ends[0];
}

/* Once the helper is started, which has it as its own. */
static void stop_saying(void)
{
	dup2(errors, STDERR_FILENO);
	close(errors);
}

static void assert_told(const char *text)
{
	char told[512] = "";
	size_t used = 0;
	ssize_t got;

	helper_stop(&helper);
	while ((got = read(told_end, told + used, sizeof(told) - used - 1)) > 0)
		used += got;
	close(told_end);
	assert_string_equal(told, text);
}

/* Of what it says gmem tells what it logs as an error, and nothing of the end that it makes. */
static void what_passt_logs_is_told(void **state)
{
	(void)state;
	begin_hearing();
	play("complains");
	take(open_passt());
	stop_saying();
	/* It complains before it answers. */
	assert_int_equal(send_as(ECHO, DATA + 100), 0);
	until(&received, 2);
	usleep(100000);
	port->ops->close(port);
	port = NULL;
	assert_told("gmem: passt: that is said at once\ngmem: passt: it is ?[31mthis\n");
}

static void what_it_says_as_it_fails_is_told(void **state)
{
	(void)state;
	begin_hearing();
	play("says");
	assert_null(open_passt());
	stop_saying();
	assert_told("no address\n");
}

static void what_it_logs_as_it_fails_is_told_once(void **state)
{
	(void)state;
	begin_hearing();
	play("logs");
	assert_null(open_passt());
	stop_saying();
	assert_told("gmem: passt: no address\n");
}

/* ---- From a VMM that has died to the next ---- */

static struct passt_program *program;
static unsigned int left;
static bool stays;
static int channel;	/* the VMM's end */

static int open_channel(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	channel = ends[0];
	return ends[1];
}

static void ask_for_start(void)
{
	const struct helper_message start = { .kind = HELPER_PASST_START };

	assert_int_equal(helper_send(channel, &start, NULL, 0), 0);
}

static bool is_told(int ms)
{
	struct pollfd message = { .fd = channel, .events = POLLIN };
	int i;

	for (i = 0; i < ms && !poll(&message, 1, 0); i += 10)
		events_wait(&events, 10);
	return i < ms;
}

/* A connection; to one that was there @before. */
static int connection(bool before)
{
	struct helper_message message;
	int fds[FD_MESSAGE_FDS];

	assert_true(is_told(5000));
	assert_int_equal(helper_receive(channel, &message, fds), 1);
	assert_int_equal(message.kind, HELPER_PASST_UP);
	assert_int_equal(!!*message.text, before);
	return fds[0];
}

static int first_connection(void)
{
	stays = true;
	assert_int_equal(passt_program_open(&program, &events, open_channel(), 0, &stays, &left),
			 0);
	assert_int_equal(left, 1);
	ask_for_start();
	return connection(false);
}

static void next_vmm(void)
{
	close(channel);
	events_wait(&events, 50);
	assert_non_null(program);
	assert_int_equal(passt_program_reopen(program, open_channel()), 0);
	ask_for_start();
}

/* @sent bytes of a frame of @size. */
static void put(int fd, int what, uint32_t size, size_t sent)
{
	uint8_t bytes[1024] = { 0 };
	uint32_t prefix = htonl(size);

	memcpy(bytes, &prefix, PREFIX);
	bytes[PREFIX + NET_FRAME_LEAST] = what;
	assert_int_equal(send(fd, bytes, sent, 0), sent);
}

static struct who ask_who(int fd)
{
	uint32_t size = 0;
	struct who who;

	put(fd, WHO, 100, PREFIX + 100);
	assert_int_equal(recv(fd, &size, PREFIX, MSG_WAITALL), PREFIX);
	assert_int_equal(ntohl(size), sizeof(who));
	assert_int_equal(recv(fd, &who, sizeof(who), MSG_WAITALL), sizeof(who));
	return who;
}

static void let_go(void)
{
	int i;

	stays = false;
	if (program)
		passt_program_let_go(program);
	for (i = 0; left && i < 500; i++)
		events_wait(&events, 10);
	assert_null(program);
	assert_int_equal(left, 0);
	close(channel);
}

static void the_next_vmm_has_the_same(void **state)
{
	int fd = first_connection();
	struct who before = ask_who(fd), after;

	(void)state;
	close(fd);
	next_vmm();
	fd = connection(true);
	after = ask_who(fd);
	assert_int_equal(before.pid, after.pid);
	assert_false(before.has_path);
	let_go();
	/* It ends as well: nothing comes any more. */
	assert_int_equal(recv(fd, &after, sizeof(after), 0), 0);
	close(fd);
}

/* What comes behind a torn frame, in both directions, is no part of it. */
static void what_was_torn_ends_with_its_connection(void **state)
{
	int fd = first_connection();
	uint8_t half[PREFIX + 50];

	(void)state;
	put(fd, HALF, 100, PREFIX + 100);
	assert_int_equal(recv(fd, half, sizeof(half), MSG_WAITALL), sizeof(half));
	put(fd, ECHO, 100, PREFIX + 20);
	close(fd);
	next_vmm();
	fd = connection(true);
	ask_who(fd);
	close(fd);
	let_go();
}

/* passt has one client, and ends another's connection at once. */
static void the_next_one_is_there_when_the_last_has_gone(void **state)
{
	int last = first_connection(), fd;

	(void)state;
	next_vmm();
	assert_false(is_told(200));
	ask_who(last);
	close(last);
	fd = connection(true);
	ask_who(fd);
	close(fd);
	let_go();
}

static void one_that_dies_without_a_vmm_is_started_by_the_next(void **state)
{
	int fd = first_connection();
	pid_t before = ask_who(fd).pid;

	(void)state;
	close(channel);
	events_wait(&events, 50);
	put(fd, DIE, 100, PREFIX + 100);
	assert_int_equal(recv(fd, &before, 1, 0), 0);
	close(fd);
	events_wait(&events, 50);
	next_vmm();
	fd = connection(false);
	assert_int_not_equal(ask_who(fd).pid, before);
	close(fd);
	let_go();
}

static void one_without_a_vmm_ends_when_it_is_let_go(void **state)
{
	int fd = first_connection();

	(void)state;
	close(fd);
	close(channel);
	events_wait(&events, 50);
	assert_non_null(program);
	channel = -1;
	let_go();
}

/* Nothing is to follow a VMM whose guest is not kept. */
static void it_ends_with_a_vmm_that_is_the_last(void **state)
{
	int fd = first_connection(), i;

	(void)state;
	stays = false;
	close(channel);
	channel = -1;
	for (i = 0; left && i < 500; i++)
		events_wait(&events, 10);
	assert_null(program);
	let_go();
	close(fd);
}

int main(int argc, char **argv)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest claims[] = {
		CLAIM(frames_come_whole),
		CLAIM(who_wants_none_gets_none),
		CLAIM(a_full_socket_refuses_and_tears_nothing),
		CLAIM(death_starts_it_again),
		CLAIM(a_connection_that_ends_starts_it_again),
		CLAIM(a_size_too_large_starts_it_again),
		CLAIM(a_size_too_small_starts_it_again),
		CLAIM(death_while_the_card_waits),
		CLAIM(one_that_dies_at_once_is_an_error),
		CLAIM(one_that_never_answers_is_an_error),
		CLAIM(one_that_is_missing_is_an_error),
		CLAIM(it_is_not_started_as_often_as_it_is_asked_for),
		CLAIM(it_is_tried_until_it_works),
		CLAIM(a_helper_that_is_killed_takes_passt_along),
		CLAIM(what_passt_logs_is_told),
		CLAIM(what_it_says_as_it_fails_is_told),
		CLAIM(what_it_logs_as_it_fails_is_told_once),
		CLAIM(the_next_vmm_has_the_same),
		CLAIM(what_was_torn_ends_with_its_connection),
		CLAIM(the_next_one_is_there_when_the_last_has_gone),
		CLAIM(one_that_dies_without_a_vmm_is_started_by_the_next),
		CLAIM(one_without_a_vmm_ends_when_it_is_let_go),
		CLAIM(it_ends_with_a_vmm_that_is_the_last),
	};
	char dir[] = "/tmp/gmem-test-passt-XXXXXX", path[64], self[256], all_paths[128];
	ssize_t size;
	int ret;

	if (argc > 1 && !strcmp(argv[0], "passt"))
		return play_passt(argv);
	size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(size > 0 && mkdtemp(dir));
	self[size] = '\0';
	/* As root, passt is somebody else. */
	chmod(dir, 0777);
	snprintf(path, sizeof(path), "%s/passt", dir);
	assert_int_equal(symlink(self, path), 0);
	snprintf(all_paths, sizeof(all_paths), "%s:/usr/sbin:/sbin:/usr/bin:/bin", dir);
	setenv("PATH", all_paths, 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	is_played("");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	ret = cmocka_run_group_tests(claims, NULL, NULL);
	unlink(path);
	unlink(how);
	snprintf(path, sizeof(path), "%s/how.count", dir);
	unlink(path);
	/* Nothing else is left there. */
	return rmdir(dir) ? 1 : ret;
}
