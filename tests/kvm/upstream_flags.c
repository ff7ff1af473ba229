// SPDX-License-Identifier: GPL-2.0-only
/*
 * Upstream's 6.12 guest_memfd_test demands that a default VM refuses every flag
 * of KVM_CREATE_GUEST_MEMFD, so it fails on a kernel that has some. Here it runs,
 * unmodified, with exactly those flags refused on its way to the kernel.
 */
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "claims.h"
#include "machine.h"

static const char *upstream_test(void)
{
	static char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *cache = n > 0 ? strstr(path, "/.cache/build/") : NULL;

	TEST_ASSERT(cache, "this program is not in .cache/build: %s", path);
	strcpy(cache, "/.cache/upstream/guest_memfd_test");
	return path;
}

static pid_t start_traced(void)
{
	const char *path = upstream_test();
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!ptrace(PTRACE_TRACEME, 0, 0, 0))
			execl(path, path, NULL);
		_exit(127);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status),
		    "%s does not start: status %#x", path, status);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	return pid;
}

static uint64_t flags_asked_for(pid_t pid, const struct user_regs_struct *regs)
{
	struct kvm_create_guest_memfd args = { 0 };
	struct iovec local = { &args, sizeof(args) };
	struct iovec remote = { (void *)regs->rdx, sizeof(args) };

	TEST_ASSERT(process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof(args),
		    "process_vm_readv");
	return args.flags;
}

/*
 * Runs the tracee to its next system call's entry or exit: true, or false at
 * its end.
 */
static bool run_to_syscall(pid_t pid, struct user_regs_struct *regs, int *status)
{
	int sig = 0;

	for (;;) {
		ptrace(PTRACE_SYSCALL, pid, 0, sig);
		TEST_ASSERT(waitpid(pid, status, 0) == pid, "waitpid");
		if (!WIFSTOPPED(*status))
			return false;
		sig = WSTOPSIG(*status);
		if (sig == (SIGTRAP | 0x80))
			return !ptrace(PTRACE_GETREGS, pid, 0, regs);
	}
}

/* At a call's entry: the known flags that it asks for, which it does not get. */
static uint64_t refuse_known(pid_t pid, struct user_regs_struct *regs, uint64_t known)
{
	uint64_t flags;

	if (regs->orig_rax != SYS_ioctl || regs->rsi != KVM_CREATE_GUEST_MEMFD)
		return 0;

	flags = flags_asked_for(pid, regs) & known;
	if (flags) {
		regs->orig_rax = -1;
		ptrace(PTRACE_SETREGS, pid, 0, regs);
	}
	return flags;
}

static void all_else_holds(void)
{
	uint64_t known = vm_check_cap(vm_create_barebones(), KVM_CAP_GUEST_MEMFD_FLAGS);
	struct user_regs_struct regs;
	uint64_t refused = 0;
	int status;
	pid_t pid;

	__TEST_REQUIRE(known, "these modules have no flags: the test holds as it is");
	pid = start_traced();
	while (run_to_syscall(pid, &regs, &status)) {
		uint64_t flags = refuse_known(pid, &regs, known);

		if (!run_to_syscall(pid, &regs, &status))
			break;
		if (flags) {
			regs.rax = -EINVAL;
			ptrace(PTRACE_SETREGS, pid, 0, &regs);
		}
		refused |= flags;
	}
	TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
	/* It did get that far, and to nothing but these. */
	TEST_ASSERT_EQ(refused, known);
}

static const struct claim claims[] = {
	CLAIM(all_else_holds,
	      "but for the flags that a default VM takes now, upstream's guest_memfd_test holds"),
};

CLAIMS_MAIN(claims);
