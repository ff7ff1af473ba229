// SPDX-License-Identifier: MIT
/*
 * SIGKILL of the page server at random moments under a running guest: the next
 * one takes over, and the guest finds every word of its memory.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "image/working-set.h"
#include "paging.h"

#define KILLS	200
#define MIB	64	/* so that no page server comes to the end before */

static const char *const arguments[] = {
	NULL, "pager", "--image", NULL, "--socket", NULL, "--user", "nobody",
	"--on-demand", "--prefetch", "1", "--working-set", NULL, NULL
};

/* Of the last, which came to its end: how many pages were left for it. */
static unsigned int last_gave;

static void hear(struct child *pager, const char *line)
{
	static const char words[] = "gmem: done: ";

	(void)pager;
	if (!strncmp(line, words, strlen(words)))
		last_gave = strtoul(line + strlen(words), NULL, 10);
}

/* Not by program_start(): there are more of them than that has room for. */
static void pager_exec(struct child *pager)
{
	const char *own[sizeof(arguments) / sizeof(arguments[0])];

	memcpy(own, arguments, sizeof(own));
	own[0] = gmem_program();
	own[3] = file_path("image");
	own[5] = socket_path("a");
	own[12] = file_path("set");
	*pager = (struct child){
		.name = "pager", .errors_too = true, .heard = hear,
	};
	assert_int_equal(child_start(pager, own), 0);
}

static void sleep_us(long us)
{
	struct timespec time = { .tv_nsec = us * 1000 };

	nanosleep(&time, NULL);
}

static void wait_for_event(struct child *pager, const char *event)
{
	uint64_t limit = now_ns() + 60 * 1000000000ULL;

	while (!child_event(pager, event) && !child_gone(pager) &&
	       now_ns() < limit)
		children_listen(&pager, 1, 5);
	assert_non_null(child_event(pager, event));
}

static void kill_now(struct child *pager)
{
	kill(pager->pid, SIGKILL);
	child_end(pager, 0, 60000);
	assert_true(WIFSIGNALED(pager->status));
	assert_int_equal(WTERMSIG(pager->status), SIGKILL);
}

/* All that they have asked for, of whichever page server: each page once. */
static void the_set_has_survived(void)
{
	struct working_set set;
	struct image image;

	assert_int_equal(image_open(&image, file_path("image")), 0);
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	print_message("# the working set has %u pages of %u\n", set.count,
		      image.pages);
	assert_true(set.ended);
	assert_int_equal(set.count, image.pages);
	working_set_close(&set);
	image_close(&image);
}

/*
 * From its first instruction on: half of them somewhere in their start, half in
 * the midst of serving.
 */
static void killed_at_random(void **state)
{
	unsigned int serving = 0, round;
	struct program *guest;
	struct child pager;
	char memory[16];

	(void)state;
	srand(3);
	image_make(MIB);
	pager_exec(&pager);
	wait_for_event(&pager, "listening");
	snprintf(memory, sizeof(memory), "%d", MIB);
	guest = program_start("guest", "run", "--memory", memory, "--pager",
			      socket_path("a"), NULL);
	wait_for_event(&pager, "serving");
	for (round = 0; round < KILLS; round++) {
		if (round % 2)
			wait_for_event(&pager, "serving");
		sleep_us(rand() % 15000);
		children_listen(&(struct child *){ &pager }, 1, 0);
		serving += !!child_event(&pager, "serving");
		kill_now(&pager);
		assert_false(child_gone(&guest->child));
		listen_for(1);
		/* Else the last of them would show nothing. */
		assert_false(has_said(guest, "words whole"));
		pager_exec(&pager);
	}
	wait_for_words(guest, "words whole");
	wait_for_words(guest, "guest: found, counting");
	wait_for_counting(guest);
	while (!child_gone(&pager))
		children_listen(&(struct child *){ &pager }, 1, 20);
	assert_true(WIFEXITED(pager.status));
	assert_int_equal(WEXITSTATUS(pager.status), EXIT_DONE);
	child_end(&pager, 0, 1000);
	print_message("# killed %u times, %u of them while it served\n", KILLS,
		      serving);
	print_message("# the last gave %u pages of %lu\n", last_gave,
		      MIB * 256UL);
	/* On a busy host one that is killed at once has not given any. */
	assert_in_range(last_gave, 1, MIB * 256UL - serving / 2);
	assert_true(serving >= KILLS / 2);
	the_set_has_survived();
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_at_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
