// SPDX-License-Identifier: MIT
/* confine_vmm(): actions that a VMM with a running guest can still do, and those that kill it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/landlock.h"
#include "confine.h"
#include "deed.h"
#include "program.h"

static int give_up(void)
{
	const char *step;

	return confine_vmm(&step);
}

static const struct call calls[] = {
	{ SYS_execve, { (long)"/bin/true" } },
	{ SYS_execveat, { AT_FDCWD, (long)"/bin/true" } },
	{ SYS_fork, { 0 } },
	{ SYS_vfork, { 0 } },
	{ SYS_clone, { SIGCHLD } },
	{ SYS_clone, { CLONE_VM | CLONE_SIGHAND | CLONE_THREAD } },
	{ SYS_unshare, { CLONE_NEWUSER } },
	{ SYS_kill, { 1, 0 } },
	{ SYS_kill, { 0, 0 } },
	{ SYS_tkill, { 1, 0 } },
	{ SYS_tgkill, { 1, 1, 0 } },
	{ SYS_rt_sigqueueinfo, { 1 } },
	{ SYS_pidfd_send_signal, { 0 } },
	{ SYS_pidfd_getfd, { 0 } },
	{ SYS_ptrace, { PTRACE_ATTACH, 1 } },
	{ SYS_process_vm_readv, { 1 } },
	{ SYS_process_vm_writev, { 1 } },
	{ SYS_prlimit64, { 1 } },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM } },
	{ SYS_socketpair, { AF_UNIX, SOCK_STREAM } },
	{ SYS_connect, { 0 } },
	{ SYS_bind, { 0 } },
	{ SYS_unlink, { (long)"/tmp/none" } },
	{ SYS_unlinkat, { AT_FDCWD, (long)"/tmp/none" } },
	{ SYS_mkdir, { (long)"/tmp/none" } },
	{ SYS_rename, { (long)"/tmp/none", (long)"/tmp/other" } },
	{ SYS_chmod, { (long)"/tmp/none" } },
	{ SYS_creat, { (long)"/tmp/none" } },
	{ SYS_openat2, { AT_FDCWD } },
	{ SYS_open_by_handle_at, { 0 } },
	{ SYS_mount, { 0 } },
	{ SYS_chroot, { (long)"/" } },
	{ SYS_setuid, { 0 } },
	{ SYS_madvise, { 0, 4096, MADV_HWPOISON } },
	{ SYS_madvise, { 0, 4096, 101 /* MADV_SOFT_OFFLINE */ } },
	{ SYS_memfd_create, { (long)"none" } },
	{ SYS_prctl, { 0 } },
	{ SYS_seccomp, { 0 } },
	{ SYS_bpf, { 0 } },
	{ SYS_userfaultfd, { 0 } },
	{ SYS_perf_event_open, { 0 } },
	{ SYS_io_uring_setup, { 1 } },
	{ SYS_io_uring_register, { 3, IORING_REGISTER_BUFFERS } },
	{ SYS_io_uring_enter, { 3, 0, 0, IORING_ENTER_SQ_WAKEUP } },
	{ SYS_statx, { AT_FDCWD, (long)"/etc/passwd", 0 } },
	{ SYS_statx, { AT_FDCWD, (long)"/etc/passwd", AT_EMPTY_PATH } },
	{ SYS_statx, { AT_FDCWD, (long)"/etc/passwd", AT_EMPTY_PATH | AT_STATX_DONT_SYNC } },
	{ SYS_statx, { AT_FDCWD, (long)"", AT_EMPTY_PATH } },
	{ SYS_ioctl, { 0, TIOCSTI } },
	{ SYS_ioctl, { 0, KVM_CREATE_VM } },
	{ SYS_ioctl, { 0, KVM_SET_USER_MEMORY_REGION } },
	{ SYS_fcntl, { 0, F_SETOWN, 1 } },
	{ SYS_fcntl, { 0, F_SETLK } },
	{ SYS_fcntl, { 0, F_SETFL, O_ASYNC | O_NONBLOCK } },
	{ SYS_setsockopt, { 0, SOL_SOCKET, SO_ATTACH_FILTER } },
	/* The numbers of another ABI mean other calls. */
	{ 0x40000000 + SYS_read, { 0 } },
};

static void ends_with(deed deed, int wanted)
{
	int status = deed_do(deed);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted)
		fail_msg("wait status 0x%x", status);
}

static void other_calls_kill(void **state)
{
	(void)state;
	deed_calls_kill(calls, sizeof(calls) / sizeof(calls[0]));
}

static int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? SKIPPED :
	       mprotect(page, 4096, PROT_READ | PROT_EXEC) ? REFUSED : DONE;
}

static void code_kills(void **state)
{
	(void)state;
	deed_kills(deed_map_code, "mapping code", 0);
	deed_kills(make_code, "making code", 0);
}

static int open_files(void)
{
	struct stat st;

	return fstatat(AT_FDCWD, "/etc/passwd", &st, AT_EMPTY_PATH) < 0 && errno == EACCES &&
	       fstatat(AT_FDCWD, "/etc/passwd", &st, 0) < 0 && errno == EACCES &&
	       open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES &&
	       open("/tmp/gmem-never-made", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES &&
	       access("/etc/passwd", R_OK) < 0 && errno == EACCES ? REFUSED : DONE;
}

static void files_are_refused(void **state)
{
	(void)state;
	ends_with(open_files, REFUSED);
	assert_int_equal(access("/tmp/gmem-never-made", F_OK), -1);
}

static void *do_nothing(void *data)
{
	return data;
}

/* Enough of it that malloc() makes its heap smaller again. */
static void *use_memory(void *data)
{
	void *parts[64];
	int i;

	for (i = 0; i < 64; i++)
		parts[i] = calloc(1, 100 << 10);
	for (i = 63; i >= 0; i--)
		free(parts[i]);
	return data;
}

/* What a VMM goes on doing: of its threads, memory, time, and files that are open. */
static int go_on(void)
{
	const time_t now = time(NULL);
	pthread_t thread;
	struct statx stx;
	struct stat st;
	struct tm day;
	char byte;
	void *large;
	int i;

	for (i = 0; i < 100; i++)
		if (pthread_create(&thread, NULL, do_nothing, NULL) ||
		    pthread_kill(thread, 0) || pthread_join(thread, NULL))
			return REFUSED;
	/* Memory of a thread's is given back. */
	if (pthread_create(&thread, NULL, use_memory, NULL) || pthread_join(thread, NULL))
		return REFUSED;
	large = malloc(100 << 20);
	if (!large || !realloc(large, 200 << 20) || !gmtime_r(&now, &day) ||
	    pread(deed_file, &byte, 1, 0) != 1 || fcntl(deed_file, F_SETFL, O_NONBLOCK))
		return REFUSED;
	/* Without a path: the second where the kernel knows it. */
	if (syscall(SYS_fstat, deed_file, &st) ||
	    (syscall(SYS_statx, deed_file, NULL, AT_EMPTY_PATH, STATX_SIZE, &stx) &&
	     errno != EFAULT))
		return REFUSED;
	printf("# printed\n");
	fflush(stdout);
	return DONE;
}

static void the_rest_goes_on(void **state)
{
	(void)state;
	ends_with(go_on, DONE);
}

#define NONE	"\t0000000000000000\n"

/* Of a confined process that goes on: a line of /proc/PID/status has this value. */
static bool has(pid_t pid, const char *field, const char *value)
{
	char path[32], line[128];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status) && strncmp(line, field, strlen(field)))
		;
	if (status)
		fclose(status);
	return status && !strcmp(line + strlen(field), value);
}

static void capabilities_and_cores_are_given_up(void **state)
{
	struct rlimit core;
	int ends[2], status;
	const char *step;
	bool given_up;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(confine_vmm(&step) || write(ends[1], "x", 1) != 1 ||
		      poll(NULL, 0, 60000));
	assert_int_equal(read(ends[0], &byte, 1), 1);
	given_up = has(pid, "CapPrm:", NONE) && has(pid, "CapEff:", NONE) &&
		   has(pid, "CapInh:", NONE) && has(pid, "CapAmb:", NONE) &&
		   !prlimit(pid, RLIMIT_CORE, NULL, &core) && !core.rlim_max;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(given_up);
	close(ends[0]);
	close(ends[1]);
}

/* Those that are there when the filter comes. */
static pthread_barrier_t barrier;

static void *open_a_socket(void *data)
{
	pthread_barrier_wait(&barrier);
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? NULL : data;
}

static void threads_that_are_there_are_confined(void **state)
{
	const char *step;
	pthread_t thread;
	int status;
	pid_t pid;

	(void)state;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		pthread_barrier_init(&barrier, NULL, 2);
		if (pthread_create(&thread, NULL, open_a_socket, &barrier) ||
		    confine_vmm(&step))
			_exit(99);
		pthread_barrier_wait(&barrier);
		pthread_join(thread, NULL);
		_exit(DONE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- Landlock, without the filter before it ---- */

static int no_files(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9) };
	int version = landlock_no_files();
	char byte;

	if (!version)
		return SKIPPED;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES ||
	    !mkdir("/tmp/gmem-never-made", 0700) || errno != EACCES ||
	    !unlink("/tmp/gmem-is-there") || errno != EACCES)
		return DONE;
	if (version >= 4 && (!connect(socket(AF_INET, SOCK_STREAM, 0),
				      (struct sockaddr *)&address, sizeof(address)) ||
			     errno != EACCES))
		return DONE;
	if (version >= 6 && (!kill(getppid(), 0) || errno != EPERM))
		return DONE;
	return pread(deed_file, &byte, 1, 0) == 1 ? REFUSED : DONE;
}

static void landlock_takes_files_too(void **state)
{
	int status, there = open("/tmp/gmem-is-there", O_WRONLY | O_CREAT, 0600);
	pid_t pid;

	(void)state;
	close(there);
	deed_file = open("/proc/self/exe", O_RDONLY);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(no_files());
	close(deed_file);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(unlink("/tmp/gmem-is-there"), 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), REFUSED);
}

static void only_one_descriptor_stays(void **state)
{
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(confine_descriptors(ends[1]) || fcntl(ends[0], F_GETFD) >= 0 ||
		      fcntl(ends[1], F_GETFD) < 0 || fcntl(STDERR_FILENO, F_GETFD) < 0 ?
		      REFUSED : DONE);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_calls_kill),
		cmocka_unit_test(code_kills),
		cmocka_unit_test(files_are_refused),
		cmocka_unit_test(the_rest_goes_on),
		cmocka_unit_test(capabilities_and_cores_are_given_up),
		cmocka_unit_test(threads_that_are_there_are_confined),
		cmocka_unit_test(landlock_takes_files_too),
		cmocka_unit_test(only_one_descriptor_stays),
	};

	deed_confine = give_up;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
