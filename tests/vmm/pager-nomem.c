// SPDX-License-Identifier: MIT
/*
 * A page server whose pager has no memory: it tries again, and gives up only if that persists.
 * nomem.c, loaded into it, answers in place of the kernel.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "paging.h"

#define AGAIN	"giving pages: tries again"
#define ALWAYS	"1000000"

static struct program *pager_without_memory(const char *times, const char *option)
{
	struct program *pager;
	char shim[512];

	snprintf(shim, sizeof(shim), "%s", gmem_program());
	strcpy(strstr(shim, "/vmm/gmem"), "/tests/vmm/obj/nomem.so");
	image_make(IMAGE_MIB);
	setenv("LD_PRELOAD", shim, 1);
	setenv("GMEM_TEST_NOMEM", times, 1);
	pager = pager_start("pager", option, NULL);
	unsetenv("LD_PRELOAD");
	return pager;
}

static void serves_after_all(const char *times, const char *option)
{
	struct program *pager = pager_without_memory(times, option);
	struct program *guest = guest_start();

	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, AGAIN);
	/* Several times tried, and said once. */
	assert_null(strstr(strstr(pager->said, AGAIN) + 1, AGAIN));
	assert_int_equal(number_before(pager, "pages given"), IMAGE_PAGES);
	assert_int_equal(number_before(pager, "failed"), 0);
}

static void it_tries_again(void **state)
{
	(void)state;
	serves_after_all("15", NULL);
}

/* Only pages that somebody waits for are tried again. */
static void on_demand(void **state)
{
	(void)state;
	serves_after_all("5", "--on-demand");
}

static void by_the_ring(void **state)
{
	(void)state;
	setenv("GMEM_TEST_NOMEM_RING", "1", 1);
	serves_after_all("5", "--on-demand");
	unsetenv("GMEM_TEST_NOMEM_RING");
}

static void it_can_be_stopped(void **state)
{
	struct program *pager = pager_without_memory(ALWAYS, NULL);

	(void)state;
	guest_start();
	wait_for_words(pager, AGAIN);
	kill(pager->child.pid, SIGTERM);
	wait_for_exit(pager, EXIT_DONE);
	must_have_said(pager, "gmem: stopped");
}

/* And nothing is lost: another goes on. */
static void it_gives_up_when_that_goes_on(void **state)
{
	struct program *pager = pager_without_memory(ALWAYS, NULL);
	struct program *guest = guest_start();

	(void)state;
	wait_for_words(pager, AGAIN);
	wait_for_exit(pager, EXIT_FAILED);
	must_have_said(pager, "serving the guest: Cannot allocate memory");
	assert_false(child_gone(&guest->child));
	pager = pager_start("pager", NULL);
	wait_for_words(guest, "words whole");
	wait_for_exit(pager, EXIT_DONE);
}

#define TEST(function) \
	cmocka_unit_test_teardown(function, programs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_tries_again),
		TEST(on_demand),
		TEST(by_the_ring),
		TEST(it_can_be_stopped),
		TEST(it_gives_up_when_that_goes_on),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
