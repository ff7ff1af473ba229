// SPDX-License-Identifier: MIT
/*
 * The filter is a table: each row has a system call and, where it matters, the
 * required value of an argument. No call that takes a path is allowed, except
 * readlink(2), which tells what kind of file a descriptor is and opens none.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <linux/kvm_gmem.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/filter.h"
#include "pager/confine.h"

#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

#ifndef SO_PASSPIDFD		/* Linux 6.5; Debian 12's headers are older */
#define SO_PASSPIDFD	76
#endif

static const struct filter_rule rules[] = {
	/* The image, the working set, the guest's events, messages. */
	FILTER_ALLOW(read),
	FILTER_ALLOW(write),
	FILTER_ALLOW(pread64),
	FILTER_ALLOW(pwrite64),
	FILTER_ALLOW(fdatasync),
	FILTER_ALLOW(fadvise64),
	/* The only ring, which can do nothing but read the image. */
	FILTER_WITH(io_uring_enter, 3, 0),
	FILTER_WITH(io_uring_enter, 3, IORING_ENTER_GETEVENTS),
	FILTER_ALLOW(close),
	FILTER_WITH_BUT(fcntl, 1, F_SETFL, O_ASYNC),
	FILTER_WITH(ioctl, 1, KVM_GMEM_PAGER_ANSWER),
	FILTER_WITH(ioctl, 1, KVM_GMEM_PAGER_DETACH),
	FILTER_WITH(ioctl, 1, KVM_GMEM_PRESENT),
	FILTER_WITH(ioctl, 1, KVM_GMEM_PAGER_RING),
	FILTER_WITH(ioctl, 1, KVM_GMEM_PAGER_ENTER),
	/* VMMs. */
	FILTER_ALLOW(accept4),
	FILTER_ALLOW(getsockopt),
	FILTER_WITH(setsockopt, 2, SO_PASSPIDFD),
	FILTER_WITH(setsockopt, 2, SO_PASSCRED),
	FILTER_ALLOW(recvmsg),
	FILTER_ALLOW(sendmsg),
	FILTER_ALLOW(readlink),
	FILTER_ALLOW(poll),
	FILTER_ALLOW(restart_syscall),
	FILTER_ALLOW(clock_gettime),
	FILTER_ALLOW(geteuid),
	/* Memory, never to be executed. */
	FILTER_WITHOUT(mmap, 2, PROT_EXEC),
	FILTER_ALLOW(munmap),
	FILTER_ALLOW(mremap),
	FILTER_ALLOW(brk),
	FILTER_ALLOW(madvise),
	FILTER_ALLOW(exit_group),
#ifdef __SANITIZE_ADDRESS__
	/* The sanitizer's, where a thread ends. */
	FILTER_ALLOW(sigaltstack),
#endif
};

/* A peer may send descriptors: leave room for a few. No core dump with the guest in it. */
static int set_limits(void)
{
	const struct rlimit files = { 64, 64 }, none = { 0, 0 };

	return setrlimit(RLIMIT_NOFILE, &files) ||
	       setrlimit(RLIMIT_CORE, &none) ||
	       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? -errno : 0;
}

static int become(const char *name)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return errno ? -errno : -ENOENT;
	if (!user->pw_uid)
		return -EINVAL;
	if (setgroups(0, NULL) ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
		return -errno;
	return 0;
}

int confine(struct confinement *confinement)
{
	int ret;

	if (confinement->user) {
		confinement->step = "becoming an unprivileged user";
		ret = become(confinement->user);
		if (ret)
			return ret;
	}
	confinement->step = "staying root (--user names who to be)";
	if (!geteuid() || !getuid())
		return -EINVAL;
	confinement->step = "closing other files";
	ret = empty_stdin();
	if (!ret)
		ret = close_all_but(confinement->fds, confinement->nr_fds);
	if (!ret) {
		confinement->step = "setting limits";
		ret = set_limits();
	}
	if (ret)
		return ret;
	confinement->step = "filtering system calls";
	return filter_install(rules, LENGTH(rules));
}
