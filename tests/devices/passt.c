// SPDX-License-Identifier: MIT
/* passt as a network card's port; this program plays passt if it is started by that name. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "helper/helper.h"
#include "helper/wire.h"
#include "one-port.h"
#include "unit.h"

#define PREFIX	4

/* ---- passt, as the test wants it ---- */

static FILE *log_file;

enum { ECHO, DIE, NONSENSE, HANG_UP, STALL, EMPTY };

static void all(int fd, void *bytes, size_t size, bool out)
{
	ssize_t done;

	for (; size; size -= done, bytes = (char *)bytes + done) {
		done = out ? write(fd, bytes, size) : read(fd, bytes, size);
		if (done > 0)
			continue;
		if (log_file)
			fputs("0.9000: ERROR:   the other side has ended\n", log_file);
		exit(4);
	}
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

/* As passt does, print messages on stderr as well before the connection is served. */
static void write_log(char **argv, int fd)
{
	log_file = fopen(value_of(argv, "--log-file"), "a+");
	if (!log_file)
		_exit(7);
	setlinebuf(log_file);
	fputs("passt 0.0: /usr/bin/passt (1)\n0.0001: WARNING: that is said already\n", log_file);
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

/* Its connection is there when it starts, and no path is told, or made, for another. */
static int play_passt(char **argv)
{
	const char *fd = value_of(argv, "--fd");

	if (is_played("dies"))
		return 3;
	if (is_played("hangs"))
		return pause();
	if (is_played("counts"))
		return count_start();
	if (!fd || value_of(argv, "--socket") || access("/proc/self/fd/0", F_OK))
		return 8;
	if (is_played("complains"))
		write_log(argv, atoi(fd));
	usleep(30000);
	for (;;)
		answer(atoi(fd));
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

/* The connection is the VMM's: it goes on, and is not made anew. */
static void a_helper_that_is_killed_takes_nothing_along(void **state)
{
	unsigned int i;

	(void)state;
	take(open_passt());
	assert_int_equal(kill(helper.pid, SIGKILL), 0);
	for (i = 0; i < 5; i++)
		events_wait(&events, 20);
	assert_int_equal(send_as(DIE, DATA + 100), 0);
	until(&links, 1);
	assert_false(port->up);
	assert_int_equal(send_as(ECHO, DATA + 100), 0);
	events_wait(&events, 100);
	assert_int_equal(links, 1);
}

/*
 * gmem prints those messages of its log that were not printed before, and nothing about an end that
 * gmem itself causes.
 */
static void what_passt_logs_is_told(void **state)
{
	int errors = dup(STDERR_FILENO), ends[2];
	char told[512] = "";
	size_t used = 0;
	ssize_t got;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	play("complains");
	take(open_passt());
	dup2(errors, STDERR_FILENO);
	close(errors);
	close(ends[1]);
	/* It complains before it answers. */
	assert_int_equal(send_as(ECHO, DATA + 100), 0);
	until(&received, 2);
	usleep(100000);
	port->ops->close(port);
	port = NULL;
	helper_stop(&helper);
	while ((got = read(ends[0], told + used, sizeof(told) - used - 1)) > 0)
		used += got;
	assert_string_equal(told, "gmem: passt: it is ?[31mthis\n");
	close(ends[0]);
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
		CLAIM(a_helper_that_is_killed_takes_nothing_along),
		CLAIM(what_passt_logs_is_told),
	};
	char dir[] = "/tmp/gmem-passt-XXXXXX", path[64], self[256], all_paths[128];
	ssize_t size;
	int ret;

	if (argc > 1 && !strcmp(argv[0], "passt"))
		return play_passt(argv);
	size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(size > 0 && mkdtemp(dir));
	self[size] = '\0';
	chmod(dir, 0755);
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
