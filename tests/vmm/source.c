// SPDX-License-Identifier: MIT
/* gmem run: a guest is handed over, or stays if that fails. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/say.h"
#include "other.h"
#include "program.h"

/* A guest that went through something is whole if another gmem says so. */
static void assert_guest_whole(struct program *source)
{
	struct program *taker;

	taker = program_start("B", "takeover", "--socket", socket_path("a"),
			      "--check", NULL);
	wait_for_words(taker, "1048576 words whole, counting on from");
	wait_for_exit(source, 0);
	must_have_said(source, "has the guest now");
	wait_for_counting(taker);
	assert_true(taker->counted > source->counted);
	kill(taker->child.pid, SIGTERM);
	wait_for_exit(taker, 0);
}

static void a_guest_is_handed_over(void **state)
{
	struct program *source = source_start();

	(void)state;
	assert_guest_whole(source);
	assert_int_equal(access(socket_path("a"), F_OK), -1);
}

static void a_guest_is_handed_over_again_and_again(void **state)
{
	struct program *source = source_start();
	struct program *second, *third;

	(void)state;
	second = program_start("B", "takeover", "--socket", socket_path("a"),
			       "--listen", socket_path("b"), "--check", NULL);
	wait_for_words(second, "words whole");
	wait_for_exit(source, 0);
	third = program_start("C", "takeover", "--socket", socket_path("b"),
			      "--listen", socket_path("a"), "--check", NULL);
	wait_for_words(third, "words whole");
	wait_for_exit(second, 0);
	wait_for_counting(third);
	assert_true(third->counted > second->counted);
}

/* Before the guest runs there; and what is left of rights suffices for all that follows. */
static void who_took_a_guest_over_is_confined(void **state)
{
	struct program *source = source_start(), *second, *third;

	(void)state;
	second = program_start("B", "takeover", "--socket", socket_path("a"), "--listen",
			       socket_path("b"), "--check", "--kill-source", NULL);
	wait_for_words(second, "words whole");
	while (!child_gone(&source->child))
		listen_for(20);
	must_be_confined(second);
	assert_int_equal(access(socket_path("b"), F_OK), 0);
	third = program_start("C", "takeover", "--socket", socket_path("b"), "--check", NULL);
	wait_for_words(third, "words whole");
	wait_for_exit(second, 0);
	must_be_confined(third);
	/* Its helper removes what it may not. */
	assert_int_equal(access(socket_path("b"), F_OK), -1);
	wait_for_counting(third);
}

static void a_guest_that_still_fills_is_handed_over(void **state)
{
	struct program *source, *taker;

	(void)state;
	source = program_start("A", "run", "--memory", "64", "--socket",
			       socket_path("a"), NULL);
	wait_for_words(source, "guest: filling");
	taker = program_start("B", "takeover", "--socket", socket_path("a"),
			      "--check", NULL);
	wait_for_exit(source, 0);
	assert_false(has_said(source, "guest: filled, counting"));
	wait_for_words(taker, "8388608 words whole, counting on from");
}

static void the_source_can_be_killed_by_the_destination(void **state)
{
	struct program *source = source_start();
	struct program *taker;

	(void)state;
	taker = program_start("B", "takeover", "--socket", socket_path("a"),
			      "--check", "--kill-source", NULL);
	wait_for_words(taker, "words whole");
	assert_true(child_gone(&source->child));
	assert_true(WIFSIGNALED(source->child.status));
	assert_int_equal(WTERMSIG(source->child.status), SIGKILL);
	/* It was gone before the guest ran. */
	assert_true(event_number(child_event(&taker->child, "source-gone"),
				 "ns") <
		    event_number(child_event(&taker->child, "running"), "ns"));
}

/* ---- Destinations that stop before they have the guest ---- */

/* Whatever it lacks, it lacks it before the guest is its own alone. */
static void destination_runs_out_of_descriptors(void **state)
{
	struct program *source = source_start();
	bool taken = false;
	rlim_t nr;

	(void)state;
	for (nr = 5; !taken; nr++) {
		struct program *taker;

		assert_true(nr < 40);
		taker = program_start("B", "takeover", "--socket", socket_path("a"),
				      "--check", NULL);
		program_limit_descriptors(taker, nr);
		while (!child_gone(&taker->child) && !has_said(taker, "words whole"))
			listen_for(20);
		taken = has_said(taker, "words whole");
		if (taken)
			continue;
		assert_false(has_said(source, "has the guest now"));
		wait_for_counting(source);
		program_end_last();
	}
	print_message("# %u descriptors are enough\n", (unsigned int)nr - 1);
}

static void destination_ends_after(enum gmem_message_kind last,
				   enum other_end end)
{
	struct program *source = source_start();
	pid_t other = other_destination(socket_path("a"), last, end);

	if (end == DIES)
		assert_int_equal(waitpid(other, NULL, 0), other);
	wait_for_counting(source);
	if (end != DIES)
		other_gone(other);
	assert_guest_whole(source);
}

static void destination_dies_after_request(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_REQUEST, DIES);
}

static void destination_dies_after_memory(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_MEMORY, DIES);
}

static void destination_dies_after_linked(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_LINKED, DIES);
}

static void destination_dies_after_state(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_STATE, DIES);
}

static void destination_dies_after_commit(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_COMMIT, DIES);
}

static void destination_dies_after_given(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_GIVEN, DIES);
}

static void destination_closes_after_state(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_STATE, CLOSES_AND_LIVES);
}

static void destination_aborts_after_state(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_STATE, SAYS_ABORT);
}

static void destination_says_nonsense_after_state(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_STATE, SAYS_NONSENSE);
}

static void destination_says_nothing_after_state(void **state)
{
	(void)state;
	destination_ends_after(GMEM_MESSAGE_STATE, SAYS_NOTHING);
}

static void reasons_are_shown_without_control_characters(void **state)
{
	struct program *source = source_start();
	pid_t other = other_destination(socket_path("a"), GMEM_MESSAGE_MEMORY,
					SAYS_ABORT);

	(void)state;
	wait_for_words(source, "gave up: ?[31mI have?changed my mind: Cannot allocate memory");
	other_gone(other);
}

/* A destination that has the guest, whatever its socket does, is not doubled. */
static void source_does_not_run_what_a_living_process_may_run(void **state)
{
	struct program *source = source_start();
	unsigned int counts;
	pid_t other;

	(void)state;
	other = other_destination(socket_path("a"), GMEM_MESSAGE_GIVEN,
				  CLOSES_AND_LIVES);
	counts = source->counts;
	wait_for_exit(source, 0);
	/* A line may have been in the pipe. */
	assert_true(source->counts <= counts + 1);
	assert_false(has_said(source, "goes on here"));
	other_gone(other);
}

/* ---- Peers that are none ---- */

static int descriptors_of(pid_t pid)
{
	char path[32];
	DIR *folder;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void strangers_on_the_socket(void **state)
{
	struct program *source = source_start();
	int before = descriptors_of(source->child.pid);
	unsigned char bytes[4096];
	int i;

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	for (i = 0; i < 30; i++) {
		send_bytes(socket_path("a"), bytes, i * 100);
		send_bytes(socket_path("a"), "GET / HTTP/1.1\r\n\r\n", 18);
	}
	wait_for_counting(source);
	assert_int_equal(descriptors_of(source->child.pid), before);
	assert_guest_whole(source);
}

static void messages_in_the_wrong_order(void **state)
{
	static const enum gmem_message_kind kinds[] = {
		GMEM_MESSAGE_LINKED, GMEM_MESSAGE_COMMIT, GMEM_MESSAGE_GIVEN,
		GMEM_MESSAGE_RUNNING,
	};
	struct program *source = source_start();
	struct gmem_message message = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		void *bytes;
		ssize_t size;

		message.kind = kinds[i];
		size = gmem_message_encode(&message, &bytes);
		send_bytes(socket_path("a"), bytes, size);
		free(bytes);
	}
	wait_for_words(source, "offering the guest");
	assert_guest_whole(source);
}

/* ---- A reader that stalls ---- */

/* Its guest's next lines find no room, and one has been tried. */
static void let_the_reader_stall(struct program *program)
{
	static const char filler[4096] = { '\n' };
	uint64_t begin = now_ns(), interval;
	char path[64];
	size_t size;
	int fd;

	wait_for_counting(program);
	interval = now_ns() - begin;
	/* A file of our own on the pipe: the program's stays one that blocks. */
	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)program->child.pid);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size = sizeof(filler); size; size /= 2)
		while (write(fd, filler, size) > 0)
			;
	close(fd);
	usleep(3 * interval / 1000);
}

/* By waitpid(2) alone: what it says is not read. */
static bool ends_unread(struct program *program, int *status)
{
	int i;

	for (i = 0; i < 200; i++) {
		if (waitpid(program->child.pid, status, WNOHANG) == program->child.pid) {
			program->child.pid = -1;
			return true;
		}
		usleep(100000);
	}
	return false;
}

static void a_stalled_reader_does_not_keep_it_from_ending(void **state)
{
	struct program *source = source_start();
	int status = -1;

	(void)state;
	let_the_reader_stall(source);
	kill(source->child.pid, SIGTERM);
	assert_true(ends_unread(source, &status));
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

static void a_stalled_reader_does_not_keep_the_guest(void **state)
{
	struct program *source = source_start();
	struct program *taker;
	int status = -1;

	(void)state;
	let_the_reader_stall(source);
	taker = program_start("B", "takeover", "--socket", socket_path("a"), "--check", NULL);
	assert_true(ends_unread(source, &status));
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	wait_for_words(taker, "1048576 words whole, counting on from");
	wait_for_counting(taker);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_is_handed_over),
		TEST(a_guest_is_handed_over_again_and_again),
		TEST(a_guest_that_still_fills_is_handed_over),
		TEST(who_took_a_guest_over_is_confined),
		TEST(the_source_can_be_killed_by_the_destination),
		TEST(destination_runs_out_of_descriptors),
		TEST(a_stalled_reader_does_not_keep_it_from_ending),
		TEST(a_stalled_reader_does_not_keep_the_guest),
		TEST(destination_dies_after_request),
		TEST(destination_dies_after_memory),
		TEST(destination_dies_after_linked),
		TEST(destination_dies_after_state),
		TEST(destination_dies_after_commit),
		TEST(destination_dies_after_given),
		TEST(destination_closes_after_state),
		TEST(destination_aborts_after_state),
		TEST(destination_says_nonsense_after_state),
		TEST(destination_says_nothing_after_state),
		TEST(reasons_are_shown_without_control_characters),
		TEST(source_does_not_run_what_a_living_process_may_run),
		TEST(strangers_on_the_socket),
		TEST(messages_in_the_wrong_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, sockets_remove);
}
