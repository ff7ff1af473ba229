// SPDX-License-Identifier: MIT
/* A VM's console: attached by its control socket, and at its own stdin and stdout. */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "one-vm.h"

/* Read until these words have come, with what stands before them. */
static const char *hear(int fd, const char *words)
{
	static char heard[4 << 20];
	size_t used = 0;

	heard[0] = '\0';
	while (!memmem(heard, used, words, strlen(words))) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t got;

		assert_true(used < sizeof(heard) - 1);
		if (poll(&wait, 1, PATIENCE) != 1)
			print_message("# '%s' did not come, but: %s\n", words, heard);
		got = read(fd, heard + used, sizeof(heard) - 1 - used);
		assert_true(got > 0);
		used += got;
		heard[used] = '\0';
	}
	return heard;
}

static int attach(void)
{
	int socket = connect_vm();

	answers(socket, "{\"command\":\"console\"}", "{\"ok\":true}");
	return socket;
}

static void keys_come_to_the_guest(void **state)
{
	char keys[3000], expected[16];
	int socket = attach(), second = connect_vm(), i;

	(void)state;
	say_bytes(socket, "ab", 2);
	hear(socket, "[a][b]");
	answers(second, "{\"command\":\"status\"}", "\"console\":true");
	answers(second, "{\"command\":\"console\"}", "somebody is attached");
	close(second);
	/* More than the port's FIFO and the terminal have room for: none is lost. */
	for (i = 0; i < 4; i++) {
		memset(keys, 'c' + i, sizeof(keys));
		say_bytes(socket, keys, sizeof(keys));
	}
	say_bytes(socket, "Z", 1);
	{
		const char *heard = hear(socket, "[Z]");
		int count[4] = { 0 };

		for (; *heard; heard++)
			if (*heard >= 'c' && *heard < 'c' + 4)
				count[*heard - 'c']++;
		for (i = 0; i < 4; i++)
			assert_int_equal(count[i], sizeof(keys));
	}
	snprintf(expected, sizeof(expected), "[Z]");
	hear(output, expected);
	close(socket);
}

static void a_console_is_attached_again(void **state)
{
	int socket = attach();

	(void)state;
	say_bytes(socket, "xq", 2);
	close(socket);
	/* What it had typed is printed though nobody is attached. */
	hear(output, "[x][q]");
	socket = attach();
	hear(socket, "[q]");
	close(socket);
	socket = attach();
	say_bytes(socket, "y", 1);
	/* What was seen is not shown again. */
	assert_null(strstr(hear(socket, "[y]"), "[x]"));
	close(socket);
}

/* Typed in the same breath as the request. */
static void keys_behind_the_request(void **state)
{
	int socket = connect_vm();
	struct timeval patience;
	socklen_t size = sizeof(patience);

	(void)state;
	/* However slowly the guest takes keys, they are not lost. */
	assert_int_equal(getsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, &size), 0);
	assert_int_equal(patience.tv_sec, 0);
	say_bytes(socket, "{\"command\":\"console\"}\nuv", 24);
	hear(socket, "[u][v]");
	close(socket);
}

static void a_console_that_stalls(void **state)
{
	int socket = attach(), other = connect_vm(), status;

	(void)state;
	say_bytes(socket, "!", 1);
	/* The guest prints it all, though the console's reader has read none. */
	hear(output, "flooded\n");
	answers(other, "{\"command\":\"status\"}", "\"ok\":true");
	hear(socket, "bytes were not read in time]");
	hear(socket, "flooded\n");
	say_bytes(socket, "w", 1);
	hear(socket, "[w]");
	say_bytes(socket, "!", 1);
	hear(output, "flooded\n");
	kill(vm, SIGTERM);
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	close(socket);
	close(other);
}

static void a_stdout_that_stalls(void **state)
{
	int socket = attach(), other = connect_vm(), status;

	(void)state;
	say_bytes(socket, "!", 1);
	hear(socket, "flooded\n");
	answers(other, "{\"command\":\"status\"}", "\"ok\":true");
	hear(output, "bytes were not read in time]");
	hear(output, "flooded\n");
	say_bytes(socket, "!", 1);
	hear(socket, "flooded\n");
	kill(vm, SIGTERM);
	assert_true(vm_ends(&status));
	assert_int_equal(status, 0);
	close(socket);
	close(other);
}

static void stdout_is_closed(void **state)
{
	int socket = attach();

	(void)state;
	close(output);
	say_bytes(socket, "a!b", 3);
	hear(socket, "flooded\n[b]");
	output = dup(socket);
	close(socket);
}

/* The line's end does not come: it is shown by then. */
static void a_prompt_is_shown(void **state)
{
	int pipes[2];

	(void)state;
	vm_end(NULL);
	assert_int_equal(pipe(pipes), 0);
	vm_start_with(pipes[0]);
	close(pipes[0]);
	assert_int_equal(write(pipes[1], "p", 1), 1);
	hear(output, "[p]");
	close(pipes[1]);
	/* That there is no more to type is no end of the guest. */
	usleep(50000);
	close(connect_vm());
}

static void signals_end_it(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < 4; i++) {
		close(connect_vm());
		kill(vm, SIGUSR2);	/* which asks for nothing here */
		usleep(20000);
		close(connect_vm());
		kill(vm, signals[i]);
		assert_true(vm_ends(&status));
		assert_int_equal(status, 0);
		vm_end(NULL);
		vm_begin(NULL);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, vm_begin, vm_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_come_to_the_guest),
		TEST(a_console_is_attached_again),
		TEST(keys_behind_the_request),
		TEST(a_console_that_stalls),
		TEST(a_stdout_that_stalls),
		TEST(stdout_is_closed),
		TEST(a_prompt_is_shown),
		TEST(signals_end_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
