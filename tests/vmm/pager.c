// SPDX-License-Identifier: MIT
/* gmem pager and gmem run --pager: a guest finds the image's content in its memory. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmem.h>

#include "common/say.h"
#include "common/status.h"
#include "paging.h"

/* The guest itself looks at every word. */
static void a_guest_is_served(const char *option)
{
	struct program *pager, *guest;

	image_make(IMAGE_MIB);
	pager = pager_start("pager", option, NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_words(guest, "guest: found, counting");
	wait_for_exit(pager, EXIT_DONE);
	assert_int_equal(number_before(pager, "pages given"), IMAGE_PAGES);
	must_have_said(pager, "gmem: done");
	/* It needs no pager any more. */
	wait_for_counting(guest);
}

static void on_demand(void **state)
{
	(void)state;
	a_guest_is_served("--on-demand");
}

static void all_of_it(void **state)
{
	(void)state;
	a_guest_is_served(NULL);
}

static void a_page_at_a_time(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", "--on-demand", "--prefetch", "1", NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	/* The guest looks at each page: it asked for all. */
	assert_int_equal(number_before(pager, "asked for"), IMAGE_PAGES);
}

static void neighbours_come_along(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", "--on-demand", "--prefetch", "64", NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	/* Twice where the guest comes to the next of a window before that does. */
	assert_in_range(number_before(pager, "asked for"), IMAGE_PAGES / 64,
			IMAGE_PAGES / 32);
	assert_int_equal(number_before(pager, "pages given"), IMAGE_PAGES);
}

/* A damaged page is not given: the guest stops there, and a message says where. */
static void damaged_page(const char *prefetch)
{
	struct program *pager, *guest;

	image_make(IMAGE_MIB);
	spoil(file_path("image"), 777 * PAGE + 1234);
	pager = pager_start("pager", "--on-demand", prefetch, NULL);
	guest = guest_start();
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "the memory at 0x40309000 has an error");
	assert_false(has_said(guest, "words whole"));
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "offset 0x309000 is not given: its checksum is wrong");
	assert_int_equal(number_before(pager, "failed"), 1);
}

static void a_damaged_page_that_is_asked_for(void **state)
{
	(void)state;
	damaged_page("--prefetch=1");
}

static void a_damaged_neighbour(void **state)
{
	(void)state;
	damaged_page("--prefetch=512");
}

/* Found before anybody has asked: the rest is served all the same. */
static void a_damaged_page_nobody_needs(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	spoil(file_path("image"), 5 * PAGE);
	pager = pager_start("pager", NULL);
	guest = guest_start();
	wait_for_exit(pager, EXIT_FAILED);
	assert_int_equal(number_before(pager, "pages given"), IMAGE_PAGES - 1);
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "the memory at 0x40005000 has an error");
}

static void an_image_that_is_cut_while_it_is_served(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", "--on-demand", NULL);
	assert_int_equal(truncate(file_path("image"), 300 * PAGE + 100), 0);
	guest = guest_start();
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "has an error");
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "is not given: the image ends before it");
}

/* The second run gets the pages that the first one has asked for before it asks. */
static void a_working_set(void **state)
{
	const char *set = file_path("set");
	struct program *pager, *guest;
	uint64_t first;

	(void)state;
	image_make(IMAGE_MIB);
	unlink(set);
	pager = pager_start("pager", "--on-demand", "--prefetch=8",
			    "--working-set", set, NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	first = number_before(pager, "asked for");
	assert_in_range(first, IMAGE_PAGES / 8, IMAGE_PAGES / 4);
	programs_end(NULL);

	pager = pager_start("pager", "--on-demand", "--prefetch=8",
			    "--working-set", set, NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	print_message("# the first run asked for %llu pages, the second for %llu\n",
		      (unsigned long long)first,
		      (unsigned long long)number_before(pager, "asked for"));
	assert_true(number_before(pager, "asked for") < first / 2);
}

/* A part of the memory is a working set too, and the rest stays where it is. */
static void a_working_set_of_some_pages(void **state)
{
	const char *set = file_path("set");
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	spoil(file_path("image"), 777 * PAGE);
	unlink(set);
	pager = pager_start("pager", "--on-demand", "--prefetch=1",
			    "--working-set", set, NULL);
	guest = guest_start();
	wait_for_exit(guest, EXIT_FAILED);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "gmem: gone");
	programs_end(NULL);

	spoil(file_path("image"), 777 * PAGE);
	pager = pager_start("pager", "--on-demand", "--prefetch=1",
			    "--working-set", set, NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	assert_in_range(number_before(pager, "asked for"), 1, IMAGE_PAGES - 1);
}

static void the_guest_ends_before_it_has_all(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", "--on-demand", "--prefetch", "1", NULL);
	guest = guest_start();
	wait_for_words(guest, "guest: checking");
	kill(guest->child.pid, SIGKILL);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: gone");
}

static void one_guest_after_another(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", "--stay", NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_words(pager, "gmem: done");
	guest = guest_start();
	wait_for_words(guest, "words whole");
	kill(pager->child.pid, SIGTERM);
	wait_for_exit(pager, EXIT_DONE);
}

/* Stopped in the middle: nothing is lost, the next goes on. */
static void a_page_server_that_is_stopped(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("first", "--on-demand", "--prefetch", "1", NULL);
	guest = guest_start();
	wait_for_words(guest, "guest: checking");
	kill(pager->child.pid, SIGTERM);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: stopped");
	wait_for_words(guest, "the guest waits for one");
	assert_false(has_said(guest, "words whole"));
	pager = pager_start("second", NULL);
	wait_for_words(guest, "goes on");
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	assert_in_range(number_before(pager, "pages given"), 1, IMAGE_PAGES - 1);
}

static void said_to_a_program(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", "--json", NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "{\"event\": \"listening\", \"size\": 8388608}\n");
	must_have_said(pager, "{\"event\": \"serving\", \"size\": 8388608, \"left\": 8388608, ");
	must_have_said(pager, "{\"event\": \"done\", \"size\": 8388608, \"left\": 0, "
			      "\"given\": 8388608, ");
	assert_false(has_said(pager, "gmem: "));
}

/* A socket that the starting program has made. */
static void a_socket_that_is_handed_over(void **state)
{
	int own = gmem_listen(socket_path("a"));
	/* Above those that a program is started with. */
	int listener = fcntl(own, F_DUPFD, 20);
	struct program *pager, *guest;
	char number[16];

	(void)state;
	assert_true(listener >= 20);
	close(own);
	snprintf(number, sizeof(number), "%d", listener);
	image_make(IMAGE_MIB);
	pager = program_start("pager", "pager", "--image", file_path("image"),
			      "--socket-fd", number, "--user", "nobody", NULL);
	close(listener);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
}

/* ---- A VMM and a page server that do not fit ---- */

static void a_vmm_of_another_size(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB * 2);
	pager = pager_start("pager", NULL);
	guest = guest_start();
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "not of the same size");
	must_have_said(pager, "turned away");
	assert_false(has_said(guest, "guest: "));
	assert_false(child_gone(&pager->child));
}

static void no_page_server(void **state)
{
	struct program *guest = guest_start();

	(void)state;
	wait_for_exit(guest, EXIT_FAILED);
	must_have_said(guest, "connecting to the page server");
}

static void two_page_servers_at_one_place(void **state)
{
	struct program *first, *second;

	(void)state;
	image_make(IMAGE_MIB);
	first = pager_start("first", NULL);
	second = pager_start("second", NULL);
	wait_for_exit(second, EXIT_FAILED);
	must_have_said(second, "Address already in use");
	assert_false(child_gone(&first->child));
}

/* What the running process still has. */
static void rights_are_given_up(void **state)
{
	struct program *pager;
	char path[64], text[2048] = "";
	unsigned int fd, open_fds = 0;
	uint64_t limit = late();
	struct stat stat;
	ssize_t size;
	int file;

	(void)state;
	image_make(IMAGE_MIB);
	pager = pager_start("pager", NULL);
	snprintf(path, sizeof(path), "/proc/%d/status", pager->child.pid);
	/* The filter comes last. */
	while (!strstr(text, "Seccomp:\t2") && now_ns() < limit) {
		listen_for(20);
		file = open(path, O_RDONLY);
		size = read(file, text, sizeof(text) - 1);
		assert_true(size > 0);
		text[size] = '\0';
		close(file);
	}
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
	assert_non_null(strstr(text, "Seccomp:\t2"));
	assert_non_null(strstr(text, "Uid:\t65534\t65534\t65534\t65534"));
	assert_non_null(strstr(text, "Gid:\t65534\t65534\t65534\t65534"));
	assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
	for (fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%u",
			 pager->child.pid, fd);
		open_fds += !lstat(path, &stat);
	}
	/* 0 to 2, image, socket, signals, report; the ring. */
	assert_int_equal(open_fds, strcmp(pager_io, "uring") ? 7 : 8);
}

/* ---- How the image is read ---- */

/* A host that forbids io_uring: 2, to all; 0: it does not. */
static void forbid_rings(const char *value)
{
	int file = open("/proc/sys/kernel/io_uring_disabled", O_WRONLY);

	assert_int_equal(write(file, value, 1), 1);
	close(file);
}

static int allow_rings(void **state)
{
	forbid_rings("0");
	return programs_end(state);
}

static void a_host_without_rings(void **state)
{
	struct program *pager, *guest;

	(void)state;
	image_make(IMAGE_MIB);
	forbid_rings("2");
	pager = pager_start("pager", NULL);
	guest = guest_start();
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: an io_uring, making it: pages are read one after another: "
			      "Operation not permitted");
	assert_int_equal(number_before(pager, "pages given"), IMAGE_PAGES);
}

static void a_ring_that_is_asked_for(void **state)
{
	struct program *pager;

	(void)state;
	image_make(IMAGE_MIB);
	forbid_rings("2");
	pager = pager_start("pager", "--io", "uring", NULL);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "reading the image by an io_uring: making it: "
			      "Operation not permitted");
	assert_false(has_said(pager, "to who connects"));
}

static int begin(void **state)
{
	pager_io = *state;
	print_message("# --io %s\n", pager_io);
	return 0;
}

static int end(void **state)
{
	pager_io = NULL;
	return programs_end(state);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

#define BY(function, how) \
	cmocka_unit_test_prestate_setup_teardown(function, begin, end, how)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY(on_demand, "uring"),
		BY(on_demand, "read"),
		BY(all_of_it, "uring"),
		BY(all_of_it, "read"),
		BY(a_page_at_a_time, "uring"),
		BY(a_page_at_a_time, "read"),
		BY(neighbours_come_along, "uring"),
		BY(neighbours_come_along, "read"),
		BY(a_damaged_page_that_is_asked_for, "uring"),
		BY(a_damaged_page_that_is_asked_for, "read"),
		BY(a_damaged_neighbour, "uring"),
		BY(a_damaged_neighbour, "read"),
		BY(a_damaged_page_nobody_needs, "uring"),
		BY(a_damaged_page_nobody_needs, "read"),
		BY(an_image_that_is_cut_while_it_is_served, "uring"),
		BY(an_image_that_is_cut_while_it_is_served, "read"),
		BY(a_working_set, "uring"),
		BY(a_working_set, "read"),
		TEST(a_working_set_of_some_pages),
		TEST(the_guest_ends_before_it_has_all),
		TEST(one_guest_after_another),
		TEST(a_page_server_that_is_stopped),
		TEST(said_to_a_program),
		TEST(a_socket_that_is_handed_over),
		TEST(a_vmm_of_another_size),
		TEST(no_page_server),
		TEST(two_page_servers_at_one_place),
		BY(rights_are_given_up, "uring"),
		BY(rights_are_given_up, "read"),
		cmocka_unit_test_teardown(a_host_without_rings, allow_rings),
		cmocka_unit_test_teardown(a_ring_that_is_asked_for, allow_rings),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
