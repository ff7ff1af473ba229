// SPDX-License-Identifier: MIT
/*
 * SIGKILL of the page server at random moments under a running guest: the next
 * one takes over, and the guest finds every word of its memory.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* How many pages they have been asked for so far, of whichever page server. */
static unsigned int asked(bool ended)
{
	struct working_set set;
	unsigned int count;
	struct image image;

	assert_int_equal(image_open(&image, file_path("image")), 0);
	assert_int_equal(working_set_open(&set, file_path("set"), &image), 0);
	assert_int_equal(set.ended, ended);
	count = set.count;
	working_set_close(&set);
	image_close(&image);
	return count;
}

static off_t size_of_set(void)
{
	struct stat st;

	return stat(file_path("set"), &st) ? 0 : st.st_size;
}

/* However long the host lets it wait for the CPU. */
static void wait_until_asked(struct child *pager, off_t before)
{
	uint64_t limit = now_ns() + 60 * 1000000000ULL;

	wait_for_event(pager, "serving");
	while (size_of_set() <= before && now_ns() < limit)
		sleep_us(100);
	assert_true(size_of_set() > before);
}

/*
 * From its first instruction on: half of them somewhere in their start, half in
 * the midst of serving, having been asked for a page at least. A page is in the working
 * set before it is given: each that was killed may leave one there that it has not given.
 */
static void killed_at_random(void **state)
{
	const unsigned int pages = MIB * 256;
	unsigned int serving = 0, round, before;
	off_t size = 0;
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
			wait_until_asked(&pager, size);
		sleep_us(rand() % 15000);
		children_listen(&(struct child *){ &pager }, 1, 0);
		serving += !!child_event(&pager, "serving");
		kill_now(&pager);
		size = size_of_set();
		assert_false(child_gone(&guest->child));
		listen_for(1);
		/* Else the last of them would show nothing. */
		assert_false(has_said(guest, "words whole"));
		before = asked(false);
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
	print_message("# they were asked for %u pages, the last gave %u of %u\n",
		      before, last_gave, pages);
	assert_true(serving >= KILLS / 2);
	assert_in_range(before, KILLS / 2, pages - 1);
	assert_in_range(last_gave, pages - before, pages - before + serving);
	assert_int_equal(asked(true), pages);
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
