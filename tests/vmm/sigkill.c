// SPDX-License-Identifier: MIT
/*
 * SIGKILL of either process at random moments of a handover: the guest goes on,
 * intact, in the remaining process, or that one says that it has no guest.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/status.h"
#include "program.h"

#define ROUNDS	8

static struct program *start_takeover(void)
{
	return program_start("B", "takeover", "--socket", socket_path("a"),
			     "--check", NULL);
}

/* Anywhere from its start to after the guest runs there. */
static void listen_at_random(void)
{
	listen_for(rand() % 400);
}

static bool has_exited(struct program *program, int status)
{
	return child_gone(&program->child) &&
	       WIFEXITED(program->child.status) &&
	       WEXITSTATUS(program->child.status) == status;
}

static void source_killed_at_random(void **state)
{
	unsigned int taken = 0, round;

	(void)state;
	srand(1);
	for (round = 0; round < ROUNDS; round++) {
		struct program *source = source_start();
		struct program *taker = start_takeover();

		listen_at_random();
		kill(source->child.pid, SIGKILL);
		while (!has_said(taker, "words whole") &&
		       !child_gone(&taker->child))
			listen_for(50);
		if (has_said(taker, "words whole")) {
			wait_for_counting(taker);
			taken++;
		} else {
			wait_for_exit(taker, EXIT_FAILED);
			must_have_said(taker, "gmem: ");
			assert_false(has_said(taker, "guest: "));
		}
		programs_end(NULL);
	}
	print_message("# the destination got the guest in %u of %u rounds\n",
		      taken, ROUNDS);
}

static void destination_killed_at_random(void **state)
{
	unsigned int kept = 0, counts, round;

	(void)state;
	srand(2);
	for (round = 0; round < ROUNDS; round++) {
		struct program *source = source_start();
		struct program *taker = start_takeover();
		struct program *second;

		listen_at_random();
		kill(taker->child.pid, SIGKILL);
		while (!child_gone(&taker->child))
			listen_for(20);
		/* "It runs here now" may have been its last word. */
		counts = source->counts;
		while (source->counts < counts + 2 &&
		       !child_gone(&source->child))
			listen_for(50);
		if (has_exited(source, EXIT_DONE)) {
			hear_last_words(source);
			must_have_said(source, "has the guest now");
		} else {
			second = start_takeover();
			wait_for_words(second, "words whole");
			kept++;
		}
		programs_end(NULL);
	}
	print_message("# the source kept the guest in %u of %u rounds\n", kept,
		      ROUNDS);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(source_killed_at_random),
		TEST(destination_killed_at_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
