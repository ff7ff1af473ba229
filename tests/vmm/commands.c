// SPDX-License-Identifier: MIT
/* The gmem program's options, and its user's errors. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem/version.h>

#include "common/status.h"
#include "built.h"
#include "other.h"
#include "program.h"

/* Ends with @status and says @words. */
#define ENDS(status, words, ...) do {					\
	struct program *p = program_start("gmem", __VA_ARGS__, NULL);	\
									\
	wait_for_exit(p, status);					\
	must_have_said(p, words);					\
	programs_end(NULL);						\
} while (0)

static void help_is_given(void **state)
{
	(void)state;
	ENDS(EXIT_DONE, "usage: gmem COMMAND", "help");
	ENDS(EXIT_DONE, "usage: gmem run", "run", "--help");
	ENDS(EXIT_DONE, "--kill-source", "takeover", "--help");
	ENDS(EXIT_DONE, "usage: gmem demo", "demo", "--help");
	ENDS(EXIT_DONE, "usage: gmem COMMAND", "-h");
	ENDS(EXIT_DONE, "usage: gmem run", "run", "-h");
	ENDS(EXIT_DONE, "usage: gmem run", "help", "run");
	ENDS(EXIT_DONE, "gmem " GMEM_VERSION, "--version");
	ENDS(EXIT_DONE, "gmem " GMEM_VERSION, "run", "--version");
}

static void the_doctor_answers(void **state)
{
	(void)state;
	ENDS(EXIT_DONE, "the KVM modules are gmem's, " GMEM_VERSION, "doctor");
	ENDS(EXIT_DONE, "{\"check\":\"gmem\",\"state\":\"good\"", "doctor", "--json");
}

static void wrong_command_lines(void **state)
{
	(void)state;
	ENDS(EXIT_USAGE, "no command 'fly'", "fly");
	ENDS(EXIT_USAGE, "no option '--fast'", "run", "--fast");
	ENDS(EXIT_USAGE, "no option '--mem'", "run", "--mem", "8");
	ENDS(EXIT_USAGE, "no option '--mem=8'", "run", "--mem=8");
	ENDS(EXIT_USAGE, "no command 'fly'", "help", "fly");
	ENDS(EXIT_USAGE, "'now' is one argument too many", "takeover", "now");
	ENDS(EXIT_USAGE, "--help takes no argument", "takeover", "--help=1");
	ENDS(EXIT_USAGE, "--timeout needs an argument: S", "stop", "web", "--timeout");
	ENDS(EXIT_USAGE, "not a number from 0", "stop", "web", "--timeout", "-1");
	ENDS(EXIT_USAGE, "needs NAME", "stop");
	ENDS(EXIT_USAGE, "needs NAME", "kill");
	ENDS(EXIT_USAGE, "needs NAME", "pause");
	ENDS(EXIT_USAGE, "needs NAME", "resume");
	ENDS(EXIT_USAGE, "needs NAME", "console");
	ENDS(EXIT_USAGE, "needs NAME", "snapshot");
	ENDS(EXIT_USAGE, "needs DIR", "snapshot", "web");
	ENDS(EXIT_USAGE, "'b' is one argument too many", "pause", "a", "b");
	ENDS(EXIT_USAGE, "'web' is one argument too many", "ps", "web");
	ENDS(EXIT_USAGE, "no option '--fast'", "ps", "--fast");
	ENDS(EXIT_USAGE, "two formats: choose one", "ps", "--json", "--metrics");
	ENDS(EXIT_USAGE, "two formats: choose one", "ps", "--metrics", "--json");
	ENDS(EXIT_USAGE, "--metrics takes no argument", "ps", "--metrics=1");
	ENDS(EXIT_USAGE, "'web' is one argument too many", "top", "web");
	ENDS(EXIT_USAGE, "--once takes no argument", "top", "--once=2");
	ENDS(EXIT_USAGE, "no option '-m'", "run", "-m", "8");
	ENDS(EXIT_USAGE, "needs --socket", "takeover");
	ENDS(EXIT_USAGE, "--check takes no argument", "takeover", "--check=1");
	ENDS(EXIT_USAGE, "not a size", "run", "--memory", "much");
	ENDS(EXIT_USAGE, "not a size", "run", "--memory", "");
	ENDS(EXIT_USAGE, "the guest that counts has 2 MiB", "run", "--memory=0");
	ENDS(EXIT_USAGE, "not a size", "run", "--memory=-8");
	ENDS(EXIT_USAGE, "not a size", "run", "--memory=8MB");
	ENDS(EXIT_USAGE, "the guest that counts has", "run",
	     "--memory=99999999999999999999");
	ENDS(EXIT_USAGE, "not a multiple of 2 MiB", "run", "--memory=9");
}

static void sockets_that_cannot_be(void **state)
{
	char longer[200];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ENDS(EXIT_FAILED, "File name too long", "run", "--memory", "2",
	     "--socket", longer);
	ENDS(EXIT_FAILED, "No such file", "run", "--memory", "2", "--socket",
	     "/nowhere/socket");
	ENDS(EXIT_FAILED, "connecting to the source", "takeover", "--socket",
	     "/nowhere/socket");
	ENDS(EXIT_FAILED, "Connection refused", "takeover", "--socket",
	     "/dev/null");
}

static void a_socket_that_is_taken(void **state)
{
	(void)state;
	program_start("A", "run", "--memory", "2", "--socket",
		      socket_path("a"), NULL);
	while (access(socket_path("a"), F_OK))
		listen_for(10);
	{
		struct program *second = program_start("B", "run", "--memory",
						       "2", "--socket",
						       socket_path("a"), NULL);

		wait_for_exit(second, EXIT_FAILED);
		must_have_said(second, "Address already in use");
		must_have_said(second, "another gmem may be listening");
	}
	/* It did not remove what is another's. */
	assert_int_equal(access(socket_path("a"), F_OK), 0);
}

static void a_socket_that_was_left_behind(void **state)
{
	struct program *taker;
	int listener = gmem_listen(socket_path("a"));

	(void)state;
	close(listener);
	taker = program_start("B", "takeover", "--socket", socket_path("a"),
			      NULL);
	wait_for_exit(taker, EXIT_FAILED);
	must_have_said(taker, "Connection refused");
	must_have_said(taker, "remove the file");
}

static void signals_end_it_cleanly(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct program *run = program_start("A", "run", "--memory", "2",
						    "--socket",
						    socket_path("a"), NULL);

		wait_for_words(run, "guest: filled");
		kill(run->child.pid, signals[i]);
		wait_for_exit(run, EXIT_DONE);
		assert_int_equal(access(socket_path("a"), F_OK), -1);
		programs_end(NULL);
	}
}

/* A guest goes on though nobody reads what it prints. */
static void output_may_be_closed(void **state)
{
	struct program *run = source_start();
	struct program *taker;

	(void)state;
	close(run->child.output.fd);
	run->child.output.fd = -1;
	listen_for(3000);
	taker = program_start("B", "takeover", "--socket", socket_path("a"),
			      "--check", NULL);
	wait_for_words(taker, "words whole");
}

/* What was made of the output would be taken for whole. */
static void output_may_not_be_cut_off(void **state)
{
	static const char *const commands[] = { "help", "ps --help", "--version", "doctor --help" };
	const char *program = built_file("build/vmm/gmem");
	char line[4096];
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(line, sizeof(line), "%s %s >/dev/full 2>/dev/null", program, commands[i]);
		assert_int_equal(WEXITSTATUS(system(line)), EXIT_FAILED);
		snprintf(line, sizeof(line), "%s %s >/dev/null", program, commands[i]);
		assert_int_equal(WEXITSTATUS(system(line)), EXIT_DONE);
	}
}

static void the_demo_plays(void **state)
{
	struct program *demo = program_start("demo", "demo", "--memory", "16",
					     NULL);

	(void)state;
	wait_for_exit(demo, EXIT_DONE);
	must_have_said(demo, "bytes copied   0: 0 new pages");
	must_have_said(demo, "all 2097152 words are whole");
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(help_is_given),
		TEST(the_doctor_answers),
		TEST(wrong_command_lines),
		TEST(sockets_that_cannot_be),
		TEST(a_socket_that_is_taken),
		TEST(a_socket_that_was_left_behind),
		TEST(signals_end_it_cleanly),
		TEST(output_may_be_closed),
		TEST(output_may_not_be_cut_off),
		TEST(the_demo_plays),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
