// SPDX-License-Identifier: MIT
/* /proc shows which process has locked a file. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock-holder.h"

static char path[32];
static int ready[2];

static int begin(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/gmem-test-XXXXXX");
	fd = mkstemp(path);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : pipe(ready);
}

static int end(void **state)
{
	(void)state;
	close(ready[0]);
	close(ready[1]);
	return unlink(path);
}

static void *say_ready(void *data)
{
	(void)data;
	/* Until the first thread is gone. */
	usleep(100000);
	if (write(ready[1], "", 1) == 1)
		pause();
	return NULL;
}

/* @exits: its first thread, as a VMM's may that somebody has taken over. */
static pid_t start_holder(bool exits)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	pid_t pid = fork();
	pthread_t thread;
	char byte;

	if (!pid) {
		int fd = open(path, O_RDONLY);

		if (fcntl(fd, F_OFD_SETLK, &lock) ||
		    pthread_create(&thread, NULL, say_ready, NULL))
			_exit(1);
		if (exits)
			syscall(SYS_exit, 0);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	return pid;
}

static void is_found(bool exits)
{
	pid_t pid = start_holder(exits);
	struct stat file;
	bool held;
	pid_t found;
	int status;

	assert_int_equal(stat(path, &file), 0);
	held = lock_is_held_by(pid, &file);
	found = lock_find_holder(&file);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(held);
	assert_int_equal(found, pid);
	assert_false(lock_is_held_by(pid, &file));
	assert_int_equal(lock_find_holder(&file), 0);
}

static void a_process_that_has_it(void **state)
{
	(void)state;
	is_found(false);
}

static void one_whose_first_thread_has_ended(void **state)
{
	(void)state;
	is_found(true);
}

static void others_have_it_not(void **state)
{
	struct stat file;

	(void)state;
	assert_int_equal(stat(path, &file), 0);
	assert_false(lock_is_held_by(getpid(), &file));
	assert_false(lock_is_held_by(0, &file));
	assert_false(lock_is_held_by(-1, &file));
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_that_has_it),
		TEST(one_whose_first_thread_has_ended),
		TEST(others_have_it_not),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
