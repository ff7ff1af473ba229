// SPDX-License-Identifier: MIT
/*
 * The filter is a table, as in pager/confine.c: each row has a system call and, where it matters,
 * the required value of an argument. All threads have the same filter: they share memory, so an
 * attacker who controls one of them has the rights of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/kvm_gmem.h>
#include <linux/vhost.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/filter.h"
#include "common/landlock.h"
#include "common/rights.h"
#include "confine.h"

#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))
#define IOCTL(request)	FILTER_WITH(ioctl, 1, request)

#ifndef SO_PASSPIDFD		/* Linux 6.5; Debian 12's headers are older */
#define SO_PASSPIDFD	76
#endif

#ifndef MADV_GUARD_INSTALL	/* Linux 6.13 */
#define MADV_GUARD_INSTALL	102
#endif

/* The flags of pthread_create(): a thread, and nothing else. */
#define THREAD	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | \
		 CLONE_THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static const struct filter_rule rules[] = {
	/* The guest. */
	IOCTL(KVM_RUN),
	IOCTL(KVM_IRQ_LINE),
	IOCTL(KVM_IRQFD),
	IOCTL(KVM_IOEVENTFD),
	IOCTL(KVM_SET_GSI_ROUTING),
	IOCTL(KVM_SET_MEMORY_ATTRIBUTES),
	IOCTL(KVM_SET_MEMORY_ATTRIBUTES2),
	/* The guest's state, for snapshots and handovers. */
	IOCTL(KVM_CHECK_EXTENSION),
	IOCTL(KVM_GMEM_PRESENT),
	IOCTL(KVM_GET_CLOCK),
	IOCTL(KVM_GET_CPUID2),
	IOCTL(KVM_GET_DEBUGREGS),
	IOCTL(KVM_GET_FPU),
	IOCTL(KVM_GET_IRQCHIP),
	IOCTL(KVM_GET_LAPIC),
	IOCTL(KVM_GET_MP_STATE),
	IOCTL(KVM_GET_MSRS),
	IOCTL(KVM_GET_MSR_INDEX_LIST),
	IOCTL(KVM_GET_NESTED_STATE),
	IOCTL(KVM_GET_PIT2),
	IOCTL(KVM_GET_REGS),
	IOCTL(KVM_GET_SREGS),
	IOCTL(KVM_GET_SREGS2),
	IOCTL(KVM_GET_TSC_KHZ),
	IOCTL(KVM_GET_VCPU_EVENTS),
	IOCTL(KVM_GET_XCRS),
	IOCTL(KVM_GET_XSAVE),
	IOCTL(KVM_GET_XSAVE2),
	/* A page server that follows another one. */
	IOCTL(KVM_GMEM_CREATE_PAGER),
	/* A tap, and the settings of the terminal, but not TIOCSTI, which fakes typed input. */
	IOCTL(TUNSETOFFLOAD),
	/* Queues of vhost-net, but not its memory table, which was set at the start. */
	IOCTL(VHOST_SET_FEATURES),
	IOCTL(VHOST_SET_VRING_NUM),
	IOCTL(VHOST_SET_VRING_BASE),
	IOCTL(VHOST_SET_VRING_ADDR),
	IOCTL(VHOST_SET_VRING_KICK),
	IOCTL(VHOST_SET_VRING_CALL),
	IOCTL(VHOST_SET_VRING_ERR),
	IOCTL(VHOST_GET_VRING_BASE),
	IOCTL(VHOST_NET_SET_BACKEND),
	IOCTL(TCGETS),
	IOCTL(TCSETS),
	IOCTL(TCSETSW),
	IOCTL(TCSETSF),
	/* Files and sockets that are open. */
	FILTER_ALLOW(read),
	FILTER_ALLOW(write),
	FILTER_ALLOW(readv),
	FILTER_ALLOW(writev),
	FILTER_ALLOW(pread64),
	FILTER_ALLOW(pwrite64),
	FILTER_ALLOW(preadv),
	FILTER_ALLOW(pwritev),
	FILTER_ALLOW(fsync),
	FILTER_ALLOW(fdatasync),
	FILTER_ALLOW(fallocate),
	FILTER_ALLOW(ftruncate),
	FILTER_ALLOW(lseek),
	FILTER_ALLOW(fstat),
	/* AT_EMPTY_PATH permits an empty path, and does not forbid another. */
	FILTER_NULL(statx, 1),
	FILTER_WITH(fcntl, 1, F_GETFL),
	/* Not O_ASYNC: a terminal would signal its foreground programs. */
	FILTER_WITH_BUT(fcntl, 1, F_SETFL, O_ASYNC),
	FILTER_ALLOW(close),
	FILTER_ALLOW(accept4),
	FILTER_ALLOW(getsockopt),
	FILTER_WITH(setsockopt, 2, SO_PASSPIDFD),
	FILTER_WITH(setsockopt, 2, SO_PASSCRED),
	FILTER_ALLOW(recvfrom),
	FILTER_ALLOW(recvmsg),
	FILTER_ALLOW(sendto),
	FILTER_ALLOW(sendmsg),
	FILTER_ALLOW(shutdown),
	/* The ring of each disk, which was restricted to its file. */
	FILTER_WITH(io_uring_enter, 3, 0),
	FILTER_WITH(io_uring_enter, 3, IORING_ENTER_GETEVENTS),
	FILTER_WITH(io_uring_register, 1, IORING_UNREGISTER_FILES),
	/* Events and time. */
	FILTER_ALLOW(epoll_ctl),
	FILTER_ALLOW(epoll_wait),
	FILTER_ALLOW(poll),
	FILTER_ALLOW(eventfd2),
	FILTER_ALLOW(timerfd_settime),
	FILTER_ALLOW(clock_gettime),
	FILTER_ALLOW(clock_nanosleep),
	FILTER_ALLOW(gettimeofday),
	FILTER_ALLOW(nanosleep),
	FILTER_ALLOW(time),
	FILTER_ALLOW(restart_syscall),
	/* Threads of this process, and their signals. */
	/* The flags of clone3() are in memory; without it, the C library uses clone(2). */
	FILTER_FAILS(clone3, ENOSYS),
	FILTER_WITH(clone, 0, THREAD),
	FILTER_ALLOW(futex),
	FILTER_ALLOW(rseq),
	FILTER_ALLOW(set_robust_list),
	FILTER_ALLOW(sched_getaffinity),
	FILTER_ALLOW(sched_yield),
	FILTER_ALLOW(rt_sigaction),
	FILTER_ALLOW(rt_sigprocmask),
	FILTER_ALLOW(rt_sigreturn),
	FILTER_ALLOW(getpid),
	FILTER_ALLOW(gettid),
	FILTER_ALLOW(geteuid),
	FILTER_ALLOW(wait4),
	FILTER_ALLOW(pidfd_open),		/* whether a peer lives */
	FILTER_ALLOW(exit),
	FILTER_ALLOW(exit_group),
	/* Memory, never to be executed. */
	FILTER_ALLOW(brk),
	FILTER_WITHOUT(mmap, 2, PROT_EXEC),
	FILTER_WITHOUT(mprotect, 2, PROT_EXEC),
	FILTER_ALLOW(munmap),
	FILTER_ALLOW(mremap),
	/* Advice of the C library about freed memory and stacks, which cannot harm the host. */
	FILTER_WITH(madvise, 2, MADV_DONTNEED),
	FILTER_WITH(madvise, 2, MADV_HUGEPAGE),
	FILTER_WITH(madvise, 2, MADV_NOHUGEPAGE),
	FILTER_WITH(madvise, 2, MADV_GUARD_INSTALL),
	FILTER_ALLOW(getrandom),
#ifdef __SANITIZE_ADDRESS__
	/* The sanitizer's, where a thread ends. */
	FILTER_ALLOW(sigaltstack),
#endif
	/* Libraries may look for files anywhere: let them fail, and do not kill the process. */
	FILTER_FAILS(open, EACCES),
	FILTER_FAILS(openat, EACCES),
	FILTER_FAILS(access, EACCES),
	FILTER_FAILS(faccessat, EACCES),
	FILTER_FAILS(faccessat2, EACCES),
	FILTER_FAILS(readlink, EACCES),
	FILTER_FAILS(stat, EACCES),
	FILTER_FAILS(newfstatat, EACCES),	/* fstat() of some C libraries */
};

/* This ioctl does many things besides the move, but only to VMs whose descriptors we have. */
static const struct filter_rule moving = IOCTL(KVM_ENABLE_CAP);

static int filter(bool moves)
{
	/*
	 * Only its own threads: its process number cannot belong to another process while it lives.
	 */
	const struct filter_rule own = FILTER_WITH(tgkill, 0, (uint32_t)getpid());
	struct filter_rule all[LENGTH(rules) + 2];

	memcpy(all, rules, sizeof(rules));
	all[LENGTH(rules)] = own;
	all[LENGTH(rules) + 1] = moving;
	return filter_install(all, LENGTH(rules) + 1 + moves);
}

int confine_descriptors(int keep)
{
	return close_all_but(&keep, 1);
}

/*
 * No core dump with the guest in it. The process stays dumpable, so that its user can look at its
 * descriptors: that is how another gmem finds out who has locked a disk.
 */
static int no_core(void)
{
	const struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}

static int confine(const char **step, bool moves)
{
	int ret;

	/* The first use of a time zone reads a file. */
	tzset();
	*step = "giving up files (Landlock)";
	ret = landlock_no_files();
	if (ret < 0)
		return ret;
	*step = "giving up capabilities";
	ret = rights_drop();
	if (ret)
		return ret;
	*step = "forbidding core dumps";
	ret = no_core();
	if (ret)
		return ret;
	*step = "filtering system calls";
	return filter(moves);
}

int confine_vmm(const char **step)
{
	return confine(step, false);
}

int confine_destination(const char **step)
{
	return confine(step, true);
}
