// SPDX-License-Identifier: MIT
/* confine(): actions that a page server can still do, and those that kill it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm_gmem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/ioctl.h"
#include "pager/confine.h"
#include "deed.h"
#include "program.h"

static int give_up(void)
{
	struct confinement confinement = { .user = "nobody" };

	confinement.fds[confinement.nr_fds++] = -1;
	confinement.fds[confinement.nr_fds++] = deed_file;
	return confine(&confinement);
}

static const struct call calls[] = {
	{ SYS_open, { (long)"/etc/passwd", O_RDONLY } },
	{ SYS_openat, { AT_FDCWD, (long)"/etc/passwd", O_RDONLY } },
	{ SYS_unlink, { (long)"/tmp/none" } },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM } },
	{ SYS_fork, { 0 } },
	{ SYS_clone, { SIGCHLD } },
	{ SYS_execve, { (long)"/bin/true" } },
	{ SYS_kill, { 1 } },
	{ SYS_setuid, { 0 } },
	{ SYS_ptrace, { PTRACE_TRACEME } },
	{ SYS_process_vm_readv, { 1 } },
	{ SYS_dup, { 0 } },
	{ SYS_mprotect, { 0, 0, PROT_READ } },
	{ SYS_memfd_create, { (long)"none" } },
	{ SYS_seccomp, { 0 } },
	{ SYS_io_uring_setup, { 1 } },
	{ SYS_io_uring_register, { 3 } },
	/* Its other flags have to do with other kinds of rings. */
	{ SYS_io_uring_enter, { 3, 0, 0, IORING_ENTER_EXT_ARG } },
	{ SYS_io_uring_enter, { 3, 0, 0, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS } },
	{ SYS_bpf, { 0 } },
	/* The numbers of another ABI mean other calls. */
	{ 0x40000000 + SYS_read, { 0 } },
};

static int other_ioctl(void)
{
	return gmem_ioctl(deed_file, KVM_LINK_GUEST_MEMFD, NULL) ? REFUSED : DONE;
}

static int other_fcntl(void)
{
	return fcntl(deed_file, F_DUPFD, 10) < 0 ? REFUSED : DONE;
}

static void other_calls(void **state)
{
	(void)state;
	deed_calls_kill(calls, sizeof(calls) / sizeof(calls[0]));
}

static void other_arguments(void **state)
{
	(void)state;
	deed_kills(deed_map_code, "mmap", 0);
	deed_kills(other_ioctl, "ioctl", 0);
	deed_kills(other_fcntl, "fcntl", 0);
}

/* What it needs works: files that it kept, memory, saying something. */
static int works(void)
{
	char byte, *memory = malloc(64 << 20);

	if (!memory || pread(deed_file, &byte, 1, 0) != 1 || byte != 0x7f ||
	    read(0, &byte, 1) || fcntl(deed_file, F_SETFL, O_NONBLOCK))
		return REFUSED;
	/* There is no ring here, but a process that has one may use it. */
	if (syscall(SYS_io_uring_enter, deed_file, 0, 0, 0, NULL, 0) != -1 ||
	    syscall(SYS_io_uring_enter, deed_file, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0) != -1)
		return REFUSED;
	memset(memory, 1, 64 << 20);
	free(memory);
	return printf("# a confined process has said this\n") < 0 ||
	       fflush(stdout);
}

static void what_is_left(void **state)
{
	int status;

	(void)state;
	/* As gmem pager does: the first output needs more than the others. */
	print_message("# confining\n");
	status = deed_do(works);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Files from before are closed, whatever their number; these are not. */
static int files(void)
{
	char byte;
	int fd;

	for (fd = 3; fd < 1024; fd++)
		if (fd != deed_file && (read(fd, &byte, 0) >= 0 || errno != EBADF))
			return REFUSED;
	return read(deed_file, &byte, 1) != 1;
}

static void other_files_are_closed(void **state)
{
	int low = open("/dev/zero", O_RDONLY), high = dup2(low, 900), status;

	(void)state;
	assert_int_equal(high, 900);
	status = deed_do(files);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(low);
	close(high);
}

/* In a child, since half of it is done. */
static void refuses(const char *user, int error)
{
	struct confinement confinement = { .user = user };
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(confine(&confinement) == error ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void root_does_not_stay_root(void **state)
{
	(void)state;
	refuses(NULL, -EINVAL);
	refuses("root", -EINVAL);
	refuses("nobody-of-that-name", -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_calls),
		cmocka_unit_test(other_arguments),
		cmocka_unit_test(what_is_left),
		cmocka_unit_test(other_files_are_closed),
		cmocka_unit_test(root_does_not_stay_root),
	};

	deed_confine = give_up;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
