// SPDX-License-Identifier: MIT
/* A VM's control socket: its requests, and what comes with them. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "common/say.h"
#include "control/request.h"
#include "one-vm.h"

/* ---- Requests ---- */

static void requests_are_answered(void **state)
{
	int socket = connect_vm(), status;

	(void)state;
	answers(socket, "{\"command\":\"status\"}", name);
	answers(socket, " { \"command\" : \"status\" } ", "\"vcpus\":0");
	answers(socket, "{\"command\":\"pause\"}", "\"state\":\"paused\"");
	answers(socket, "{\"command\":\"pause\"}", "\"state\":\"paused\"");
	answers(socket, "{\"command\":\"status\"}", "\"state\":\"paused\"");
	answers(socket, "{\"command\":\"resume\"}", "\"ok\":true");
	answers(socket, "{\"command\":\"snapshot\",\"path\":\"/tmp/never\"}", "no two empty files");
	kill(vm, SIGTERM);
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	assert_string_equal(hear_line(socket), "");
	close(socket);
}

/* Of a guest with private memory alone it says how much became shared. */
static void shared_pages_are_counted(void **state)
{
	int socket = connect_vm();

	(void)state;
	answers(socket, "{\"command\":\"status\"}", "\"shared\":12288");
	close(socket);
}

static void shared_memory_is_not_counted(void **state)
{
	int socket = connect_vm();

	(void)state;
	say_bytes(socket, "{\"command\":\"status\"}\n", 21);
	assert_null(strstr(hear_line(socket), "shared"));
	close(socket);
}

static void a_vm_is_killed(void **state)
{
	int socket = connect_vm(), status;

	(void)state;
	answers(socket, "{\"command\":\"kill\"}", "{\"ok\":true}");
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	close(socket);
}

static void wrong_requests(void **state)
{
	static const struct {
		const char *request;
		const char *words;
	} wrong[] = {
		{ "", "\"ok\":false" },
		{ "{", "\"ok\":false" },
		{ "{}", "'command' must be a string" },
		{ "[]", "this is something else" },
		{ "1", "\"ok\":false" },
		{ "null", "\"ok\":false" },
		{ "{\"command\":1}", "'command' must be a string" },
		{ "{\"command\":null}", "'command' must be a string" },
		{ "{\"command\":\"fly\"}", "'fly' is not known" },
		{ "{\"command\":\"status\\u0000\"}", "'command' must be a string" },
		{ "{\"command\":\"status\",\"fast\":true}", "'fast' is not known" },
		{ "{\"command\":\"status\",\"path\":\"/tmp\"}", "'path' is not known" },
		{ "{\"command\":\"snapshot\"}", "absolute path" },
		{ "{\"command\":\"snapshot\",\"path\":\"relative\"}", "absolute path" },
		{ "{\"command\":\"snapshot\",\"path\":\"\"}", "absolute path" },
		{ "{\"command\":\"snapshot\",\"path\":\"/a\",\"expose_private\":1}",
		  "'expose_private' must be true or false" },
		{ "{\"command\":\"stop\",\"expose_private\":true}",
		  "'expose_private' is not known" },
		{ "{\"command\":\"snapshot\",\"path\":\"/a\\u0000b\"}", "absolute path" },
		{ "{\"command\":\"status\"} {}", "\"ok\":false" },
		{ "{\"command\":\"status\",}", "\"ok\":false" },
		{ "{'command':'status'}", "\"ok\":false" },
		{ "{\"command\":\"stat\xff\"}", "\"ok\":false" },
		{ "{\"command\":{\"command\":{\"command\":{}}}}", "\"ok\":false" },
		{ "{\"\\u001b[31m\":1,\"command\":\"status\"}", "?[31m" },
	};
	int socket = connect_vm();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		answers(socket, wrong[i].request, wrong[i].words);
	say_bytes(socket, "{\"command\":\"status\"\0}\n", 22);
	assert_non_null(strstr(hear_line(socket), "\"ok\":false"));
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	close(socket);
}

static void lines_that_are_too_long(void **state)
{
	static char longer[CONTROL_LINE + 100];
	int socket = connect_vm();

	(void)state;
	memset(longer, '[', sizeof(longer));
	say_bytes(socket, longer, CONTROL_LINE - 1);
	say_bytes(socket, "\n", 1);
	assert_non_null(strstr(hear_line(socket), "\"ok\":false"));
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	send(socket, longer, sizeof(longer), MSG_NOSIGNAL);
	assert_non_null(strstr(hear_line(socket), "too long"));
	close(socket);
	/* As long as a line may be. */
	socket = connect_vm();
	memset(longer, ' ', sizeof(longer));
	memcpy(longer, "{\"command\":\"status\"", 19);
	longer[CONTROL_LINE - 2] = '}';
	longer[CONTROL_LINE - 1] = '\n';
	say_bytes(socket, longer, CONTROL_LINE);
	assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	close(socket);
}

static void requests_in_pieces_and_at_once(void **state)
{
	const char *request = "{\"command\":\"status\"}\n";
	int socket = connect_vm(), i;
	char many[40 * 32] = "";

	(void)state;
	for (i = 0; request[i]; i++) {
		say_bytes(socket, request + i, 1);
		usleep(1000);
	}
	assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	for (i = 0; i < 40; i++)
		strcat(many, request);
	say_bytes(socket, many, strlen(many));
	for (i = 0; i < 40; i++)
		assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	close(socket);
}

/* Nor one that does not read its answers, nor those that say nothing. */
static void clients_that_stall(void **state)
{
	int silent[20], mute = connect_vm(), socket, i;
	const char *request = "{\"command\":\"status\"}\n";

	(void)state;
	while (send(mute, request, strlen(request), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	for (i = 0; i < 20; i++)
		silent[i] = connect_vm();
	/* There is no room for so many: the last are told. */
	assert_non_null(strstr(hear_line(silent[19]), "too many are connected"));
	for (i = 0; i < 20; i++)
		close(silent[i]);
	/* That the others are closed is seen before the next one is accepted, or after. */
	for (;;) {
		socket = connect_vm();
		say_bytes(socket, request, strlen(request));
		if (strstr(hear_line(socket), "\"ok\":true"))
			break;
		close(socket);
	}
	close(socket);
	close(mute);
}

/* ---- The files of a snapshot ---- */

/* The request with these descriptors is answered with @words. */
static void answered_with(const int *fds, unsigned int nr, const char *words)
{
	static const char request[] = "{\"command\":\"snapshot\",\"path\":\"/a\"}\n";
	int socket = connect_vm();
	const char *line;

	assert_int_equal(fd_message_send(socket, request, strlen(request), fds, nr), 0);
	line = hear_line(socket);
	if (!strstr(line, words))
		fail_msg("it was answered: %s", line);
	/* It keeps none of them, and goes on. */
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	close(socket);
}

static int open_file(int flags)
{
	char path[] = "/tmp/gmem-test-XXXXXX";
	int fd = mkstemp(path), again;

	assert_true(fd >= 0);
	again = open(path, flags);
	assert_true(again >= 0);
	unlink(path);
	close(fd);
	return again;
}

static unsigned int descriptors_of_vm(void)
{
	unsigned int nr = 0;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)vm);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* As many as that, once it has seen that connections were closed. */
static void has_descriptors(unsigned int nr)
{
	uint64_t limit = now_ns() + PATIENCE * 1000000ULL;

	while (descriptors_of_vm() != nr && now_ns() < limit)
		usleep(1000);
	assert_int_equal(descriptors_of_vm(), nr);
}

static void what_are_no_files_for_a_snapshot(void **state)
{
	static const char no[] = "no two empty files";
	int good = open_file(O_WRONLY), other = open_file(O_RDWR), pair[2], ends[2];
	int wrong[6], i;
	int socket = connect_vm();
	unsigned int before;

	(void)state;
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	before = descriptors_of_vm() - 1;
	close(socket);
	answered_with(NULL, 0, no);
	assert_int_equal(pipe(ends), 0);
	wrong[0] = open_file(O_RDONLY);
	wrong[1] = open_file(O_WRONLY | O_APPEND);
	wrong[2] = open_file(O_PATH);
	wrong[3] = ends[1];
	wrong[4] = dup(good);		/* the same one twice */
	wrong[5] = open_file(O_RDWR);
	assert_int_equal(write(wrong[5], "x", 1), 1);
	answered_with(&good, 1, no);
	for (i = 0; i < 6; i++) {
		pair[0] = good;
		pair[1] = wrong[i];
		answered_with(pair, 2, no);
		pair[0] = wrong[i];
		pair[1] = good;
		answered_with(pair, 2, no);
		close(wrong[i]);
	}
	/* Files are not the reason why this guest, which is no VM's, cannot be kept. */
	pair[0] = good;
	pair[1] = other;
	answered_with(pair, 2, "making a snapshot of this kind of guest");
	has_descriptors(before);
	close(ends[0]);
	close(good);
	close(other);
}

/* They are for the request that they come with. */
static void descriptors_that_nobody_needs_are_closed(void **state)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	int socket = connect_vm(), fds[2] = { open_file(O_RDWR), open_file(O_RDWR) }, i;
	unsigned int before;

	(void)state;
	answers(socket, "{\"command\":\"status\"}", "\"ok\":true");
	before = descriptors_of_vm();
	for (i = 0; i < 40; i++) {
		assert_int_equal(fd_message_send(socket, request, strlen(request), fds, 2), 0);
		assert_non_null(strstr(hear_line(socket), "\"ok\":true"));
	}
	/* Without a line's end: the last are kept until one comes. */
	for (i = 0; i < 40; i++)
		assert_int_equal(fd_message_send(socket, " ", 1, fds, 2), 0);
	answers(socket, "{\"command\":\"snapshot\",\"path\":\"/a\"}",
		"making a snapshot of this kind of guest");
	answers(socket, "{\"command\":\"snapshot\",\"path\":\"/a\"}", "no two empty files");
	has_descriptors(before);
	close(fds[0]);
	close(fds[1]);
	close(socket);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, vm_begin, vm_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		cmocka_unit_test_setup_teardown(shared_pages_are_counted, vm_begin_private,
						vm_end),
		TEST(shared_memory_is_not_counted),
		TEST(a_vm_is_killed),
		TEST(wrong_requests),
		TEST(lines_that_are_too_long),
		TEST(requests_in_pieces_and_at_once),
		TEST(clients_that_stall),
		TEST(what_are_no_files_for_a_snapshot),
		TEST(descriptors_that_nobody_needs_are_closed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
