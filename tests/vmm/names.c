// SPDX-License-Identifier: MIT
/* VMs by name: the owner of a name, remains of a killed VM, and invalid names. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/names.h"

static char folder[64];		/* $XDG_RUNTIME_DIR */
static char why[NAMES_WHY];

/* As an ordinary user has it; root's is one of the host's. */
static int begin(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/gmem-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	if (!geteuid() && (chown(folder, 65534, 65534) || setegid(65534) || seteuid(65534)))
		return -1;
	return setenv("XDG_RUNTIME_DIR", folder, 1);
}

static int end(void **state)
{
	char base[80];

	(void)state;
	snprintf(base, sizeof(base), "%s/gmem", folder);
	rmdir(base);
	if (rmdir(folder))
		return -1;
	return !getuid() ? seteuid(0) || setegid(0) : 0;
}

static const char *inside(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/gmem/%s", folder, name);
	return path;
}

static void what_is_no_name(void **state)
{
	static const char *const wrong[] = {
		"", ".", "..", ".hidden", "-web", "a/b", "../web", "a b", "web\n", "caf\xc3\xa9",
		"a\x1b[31m", "a*",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};
	struct vm_claim claim;
	size_t i;
	pid_t pid;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(vm_claim(&claim, wrong[i], why), -EINVAL);
		assert_int_equal(vm_find(wrong[i], &pid, why), -EINVAL);
		assert_non_null(strstr(why, "letters, digits"));
	}
	assert_int_equal(vm_name_check("web-1_a.B", why), 0);
	assert_int_equal(vm_name_check(wrong[i - 1] + 1, why), 0);
	assert_int_equal(access(inside(""), F_OK), -1);
}

static void two_of_one_name(void **state)
{
	struct vm_claim first, second;
	struct stat st;
	pid_t pid;

	(void)state;
	assert_int_equal(vm_claim(&first, "web", why), 0);
	assert_int_equal(stat(inside("web"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(inside(""), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(vm_claim(&second, "web", why), -EEXIST);
	assert_non_null(strstr(why, "gmem stop web"));
	assert_int_equal(vm_claim(&second, "web2", why), 0);
	assert_int_equal(vm_find("web", &pid, why), 0);
	assert_int_equal(pid, getpid());
	vm_release(&first);
	assert_int_equal(access(inside("web"), F_OK), -1);
	assert_int_equal(vm_find("web", &pid, why), -ESRCH);
	assert_int_equal(vm_claim(&first, "web", why), 0);
	vm_release(&first);
	vm_release(&second);
}

/* The owner of a name cannot make its file longer, and what others have put there is gone. */
static void the_lock_does_not_grow(void **state)
{
	struct vm_claim claim, second;
	struct stat st;
	pid_t pid;
	int fd;

	(void)state;
	assert_int_equal(vm_claim(&claim, "web", why), 0);
	assert_int_equal(fcntl(claim.lock, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(write(claim.lock, "x", 1), -1);
	assert_int_equal(ftruncate(claim.lock, 1 << 20), -1);
	fd = open(inside("web/lock"), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	close(fd);
	/* It is locked all the same, once that file was opened and closed. */
	assert_int_equal(vm_claim(&second, "web", why), -EEXIST);
	assert_int_equal(vm_find("web", &pid, why), 0);
	/* One that is killed leaves it there; the next one has none of it. */
	vm_leave(&claim);
	assert_int_equal(vm_claim(&claim, "web", why), 0);
	assert_int_equal(fstat(claim.lock, &st), 0);
	assert_int_equal(st.st_size, 0);
	vm_release(&claim);
}

/* The folder is another's then, whether that found the file there or made it again. */
static void one_that_has_lost_its_lock_removes_nothing(void **state)
{
	struct flock unlock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	struct vm_claim first, second;
	pid_t pid;
	int looks;

	(void)state;
	for (looks = 0; looks < 2; looks++) {
		assert_int_equal(vm_claim(&first, "web", why), 0);
		assert_int_equal(fcntl(first.lock, F_OFD_SETLK, &unlock), 0);
		if (looks)
			assert_int_equal(vm_find("web", &pid, why), -ESRCH);
		assert_int_equal(vm_claim(&second, "web", why), 0);
		vm_release(&first);
		assert_int_equal(access(inside("web/pid"), F_OK), 0);
		assert_int_equal(vm_find("web", &pid, why), 0);
		vm_release(&second);
		assert_int_equal(access(inside("web"), F_OK), -1);
	}
}

static void a_lock_that_is_no_file(void **state)
{
	struct vm_claim claim;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir(inside(""), 0700), 0);
	assert_int_equal(mkdir(inside("web"), 0700), 0);
	assert_int_equal(mkfifo(inside("web/lock"), 0600), 0);
	assert_int_equal(vm_claim(&claim, "web", why), -EINVAL);
	assert_int_equal(vm_find("web", &pid, why), -ESRCH);
	assert_int_equal(unlink(inside("web/lock")), 0);
	assert_int_equal(rmdir(inside("web")), 0);
}

/* A process has the name "web" and dies of SIGKILL. */
static void leave_stale(void)
{
	int ready[2], status;
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		struct vm_claim claim;

		if (!vm_claim(&claim, "web", why) &&
		    mknodat(claim.dir, "control", S_IFREG | 0600, 0) == 0 &&
		    write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(access(inside("web/control"), F_OK), 0);
}

static void count(const char *name, pid_t pid, void *data)
{
	(void)name;
	(void)pid;
	++*(int *)data;
}

/* A guest that is lost keeps its name, until somebody has read why. */
static void one_that_is_lost(void **state)
{
	pid_t child = fork(), pid;
	int status;

	(void)state;
	if (!child) {
		struct vm_claim claim;

		_exit(vm_claim(&claim, "web", why) || vm_keep_reason(&claim, "it died too often"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(vm_find("web", &pid, why), -ESRCH);
	assert_non_null(strstr(why, "its guest is lost"));
	assert_non_null(strstr(why, "gmem kill web"));
	assert_int_equal(vm_find("web2", &pid, why), -ESRCH);
	assert_non_null(strstr(why, "there is no such VM"));
	assert_int_equal(vm_forget("web"), 0);
}

static void what_a_killed_one_left(void **state)
{
	struct vm_claim claim;
	pid_t pid;
	int found = 0;

	(void)state;
	/* Any look at the names removes it ... */
	leave_stale();
	assert_int_equal(vm_find("web", &pid, why), -ESRCH);
	assert_int_equal(access(inside("web"), F_OK), -1);
	leave_stale();
	assert_int_equal(vm_each(count, &found, why), 0);
	assert_int_equal(found, 0);
	assert_int_equal(access(inside("web"), F_OK), -1);
	/* ... and the next of the name has none of it. */
	leave_stale();
	assert_int_equal(vm_claim(&claim, "web", why), 0);
	assert_int_equal(access(inside("web/control"), F_OK), -1);
	assert_int_equal(vm_each(count, &found, why), 0);
	assert_int_equal(found, 1);
	vm_release(&claim);
}

/* Names come and go in several processes, while others look: each is had by one. */
static void claims_at_the_same_time(void **state)
{
	int got[2], i, nr = 0, status;
	pid_t children[4];
	char byte;

	(void)state;
	assert_int_equal(pipe(got), 0);
	for (i = 0; i < 4; i++) {
		children[i] = fork();
		if (!children[i]) {
			int rounds, owned = 0;

			for (rounds = 0; rounds < 300; rounds++) {
				struct vm_claim claim;
				pid_t pid;
				int ret = vm_claim(&claim, "web", why);

				if (ret && ret != -EEXIST)
					_exit(2);
				if (!ret) {
					int fd = openat(claim.dir, "control",
							O_CREAT | O_EXCL | O_WRONLY, 0600);

					if (fd < 0)
						_exit(3);
					close(fd);
					owned++;
					vm_release(&claim);
				}
				vm_find("web", &pid, why);
			}
			_exit(owned && write(got[1], "", 1) == 1 ? 0 : 4);
		}
	}
	close(got[1]);
	for (i = 0; i < 4; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	while (read(got[0], &byte, 1) == 1)
		nr++;
	close(got[0]);
	assert_int_equal(nr, 4);
	assert_int_equal(access(inside("web"), F_OK), -1);
}

static void folders_that_cannot_be(void **state)
{
	struct vm_claim claim;
	char path[120];

	(void)state;
	assert_int_equal(mkdir(inside(""), 0700), 0);
	assert_int_equal(chmod(inside(""), 0755), 0);
	assert_int_equal(vm_claim(&claim, "web", why), -EPERM);
	assert_non_null(strstr(why, "chmod 700"));
	assert_int_equal(rmdir(inside("")), 0);
	/* A link is another's, wherever it leads. */
	snprintf(path, sizeof(path), "%s/gmem", folder);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_not_equal(vm_claim(&claim, "web", why), 0);
	assert_int_equal(unlink(path), 0);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(vm_claim(&claim, "web", why), -ENOENT);
	assert_non_null(strstr(why, "XDG_RUNTIME_DIR"));
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	assert_int_equal(vm_claim(&claim, "web", why), -ENOENT);
}

static void paths_that_are_too_long(void **state)
{
	char longer[140], path[108];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	setenv("XDG_RUNTIME_DIR", longer, 1);
	assert_int_equal(vm_control_path("web", path, sizeof(path), why), -ENAMETOOLONG);
	assert_non_null(strstr(why, "107"));
	longer[107 - strlen("/gmem/web/control")] = '\0';
	setenv("XDG_RUNTIME_DIR", longer, 1);
	assert_int_equal(vm_control_path("web", path, sizeof(path), why), 0);
	assert_int_equal(strlen(path), 107);
	assert_int_equal(vm_control_path("web2", path, sizeof(path), why), -ENAMETOOLONG);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_name),
		TEST(two_of_one_name),
		TEST(the_lock_does_not_grow),
		TEST(one_that_has_lost_its_lock_removes_nothing),
		TEST(a_lock_that_is_no_file),
		TEST(one_that_is_lost),
		TEST(what_a_killed_one_left),
		TEST(claims_at_the_same_time),
		TEST(folders_that_cannot_be),
		TEST(paths_that_are_too_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
