// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/lock-holder.h"
#include "control/names.h"

#define ROOTS_BASE	"/run/gmem"

/* How often to look again at a name that another process has, and after how many us. */
#define ATTEMPTS	12
#define ATTEMPT_EVERY	20000

#define SAY(why, ...) snprintf(why, NAMES_WHY, __VA_ARGS__)

int vm_name_check(const char *name, char *why)
{
	size_t length = 0;

	while (isascii(name[length]) && (isalnum(name[length]) || strchr("._-", name[length])) &&
	       name[length])
		length++;
	if (length && length < VM_NAME_LENGTH && !name[length] && *name != '.' && *name != '-')
		return 0;
	SAY(why, "a name has 1 to %d letters, digits, '.', '_' and '-', "
	    "and begins with none of '.' and '-'", VM_NAME_LENGTH - 1);
	return -EINVAL;
}

/* ---- The folder of all names ---- */

static int base_path(char *path, size_t size, char *why)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (!geteuid()) {
		snprintf(path, size, ROOTS_BASE);
		return 0;
	}
	if (!runtime || *runtime != '/') {
		SAY(why, "XDG_RUNTIME_DIR names no folder: "
		    "set it to one of yours that others can't write to");
		return -ENOENT;
	}
	if (snprintf(path, size, "%s/gmem", runtime) < (int)size)
		return 0;
	SAY(why, "XDG_RUNTIME_DIR is too long a path");
	return -ENAMETOOLONG;
}

/* Nobody else may be able to replace a name's folder. */
static int check_base(int base, const char *path, char *why)
{
	struct stat st;

	if (fstat(base, &st)) {
		SAY(why, "%.256s: %m", path);
		return -errno;
	}
	if (st.st_uid == geteuid() && !(st.st_mode & 077))
		return 0;
	SAY(why, "%.256s: others than this user can use it: chown it, and chmod 700", path);
	return -EPERM;
}

/* -ENOENT: there is none, and the caller does not want it made. */
static int open_base(bool make, char *why)
{
	char path[PATH_MAX];
	int ret = base_path(path, sizeof(path), why);
	int base;

	if (ret)
		return ret;
	if (make && mkdir(path, 0700) && errno != EEXIST) {
		ret = -errno;
		SAY(why, "making %.256s: %s", path, strerror(-ret));
		return ret;
	}
	base = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (base < 0) {
		ret = -errno;
		SAY(why, "%.256s: %s", path, strerror(-ret));
		return ret;
	}
	ret = check_base(base, path, why);
	if (!ret)
		return base;
	close(base);
	return ret;
}

static int socket_path(const char *name, const char *socket, char *path, size_t size, char *why)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path);
	char base[PATH_MAX];
	int length, ret = base_path(base, sizeof(base), why);

	if (ret)
		return ret;
	length = snprintf(path, size, "%s/%s/%s", base, name, socket);
	if (length < (int)size && length < (int)most)
		return 0;
	SAY(why, "the path of its control socket would have %d bytes, more than the %zu "
	    "of a socket's: choose a shorter name, or XDG_RUNTIME_DIR",
	    length, most - 1);
	return -ENAMETOOLONG;
}

/* Both sockets have names of the same length, so that there is room for both or for none. */
int vm_control_path(const char *name, char *path, size_t size, char *why)
{
	return socket_path(name, "control", path, size, why);
}

int vm_upgrade_path(const char *name, char *path, size_t size, char *why)
{
	return socket_path(name, "upgrade", path, size, why);
}

/* ---- One name ---- */

/* The lock belongs to the open file, not to the process: other opens and closes do no harm. */
static int lock_file(int fd, int command, int type, struct flock *lock)
{
	*lock = (struct flock){ .l_type = type, .l_whence = SEEK_SET };
	return fcntl(fd, command, lock);
}

/*
 * A VMM that claims a name excludes all others. It then shares the lock only with itself, through a
 * second descriptor, which cannot write: a VMM that somebody has taken control of must not be able
 * to fill a file system with it. In between there is always one lock or the other.
 */
static int keep_lock(struct vm_claim *claim)
{
	struct flock lock;
	int own = openat(claim->dir, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int ret = own < 0 ? -errno : 0;

	/* Drop anything that somebody has written into the file. */
	if (!ret && (ftruncate(claim->lock, 0) ||
		     lock_file(claim->lock, F_OFD_SETLK, F_RDLCK, &lock) ||
		     lock_file(own, F_OFD_SETLK, F_RDLCK, &lock)))
		ret = -errno;
	if (ret) {
		if (own >= 0)
			close(own);
		return ret;
	}
	close(claim->lock);
	claim->lock = own;
	return 0;
}

static int read_number(int dir, const char *file)
{
	int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[24] = "";
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return length > 0 ? atoi(text) : 0;
}

static int write_number(int dir, const char *file, int number)
{
	int fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	char text[24];
	int length = snprintf(text, sizeof(text), "%d\n", number);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != length)
		ret = -EIO;
	close(fd);
	return ret;
}

static void close_all(struct vm_claim *claim)
{
	if (claim->lock >= 0)
		close(claim->lock);
	if (claim->dir >= 0)
		close(claim->dir);
	claim->lock = -1;
	claim->dir = -1;
}

/*
 * Make a name's folder, and lock it. -EAGAIN: another process has just removed or locked it. When a
 * folder is removed, the lock goes last: a locked file that still exists belongs to the folder.
 */
static int try_to_claim(struct vm_claim *claim)
{
	struct flock lock;
	struct stat st;
	int ret;

	if (mkdirat(claim->base, claim->name, 0700) && errno != EEXIST)
		return -errno;
	claim->dir = openat(claim->base, claim->name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (claim->dir >= 0)
		claim->lock = openat(claim->dir, "lock",
				     O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
				     0600);
	if (claim->lock < 0) {
		ret = errno == ENOENT ? -EAGAIN : -errno;
		close_all(claim);
		return ret;
	}
	ret = 0;
	if (lock_file(claim->lock, F_OFD_SETLK, F_WRLCK, &lock))
		ret = errno == EACCES ? -EAGAIN : -errno;
	else if (fstat(claim->lock, &st) || !st.st_nlink)
		ret = -EAGAIN;
	else if (!S_ISREG(st.st_mode))
		ret = -EINVAL;
	else
		ret = keep_lock(claim);
	if (ret)
		close_all(claim);
	return ret;
}

void vm_remove(const struct vm_claim *claim)
{
	struct stat own, now;
	struct flock lock;

	/* If the lock was released, another VM may have the name by now, and that file. */
	if (fstat(claim->lock, &own) || fstatat(claim->dir, "lock", &now, AT_SYMLINK_NOFOLLOW) ||
	    own.st_dev != now.st_dev || own.st_ino != now.st_ino ||
	    lock_file(claim->lock, F_OFD_GETLK, F_WRLCK, &lock) || lock.l_type != F_UNLCK)
		return;
	unlinkat(claim->dir, "control", 0);
	unlinkat(claim->dir, "upgrade", 0);
	unlinkat(claim->dir, "pid", 0);
	unlinkat(claim->dir, "crashes", 0);
	unlinkat(claim->dir, "ended", 0);
	unlinkat(claim->dir, "lock", 0);
	unlinkat(claim->base, claim->name, AT_REMOVEDIR);
}

static int claim_in(struct vm_claim *claim, int base, const char *name, int attempts)
{
	int ret = -EAGAIN, i;

	*claim = (struct vm_claim){ .base = base, .dir = -1, .lock = -1 };
	snprintf(claim->name, sizeof(claim->name), "%s", name);
	for (i = 0; i < attempts && ret == -EAGAIN; i++) {
		if (i)
			usleep(ATTEMPT_EVERY);
		ret = try_to_claim(claim);
	}
	return ret;
}

static int number_in(int base, const char *name, const char *file)
{
	int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int number = dir < 0 ? 0 : read_number(dir, file);

	if (dir >= 0)
		close(dir);
	return number;
}

static pid_t pid_in(int base, const char *name)
{
	return number_in(base, name, "pid");
}

int vm_set_pid(const struct vm_claim *claim, pid_t pid)
{
	return write_number(claim->dir, "pid", pid);
}

int vm_set_crashes(const struct vm_claim *claim, unsigned int crashes)
{
	return write_number(claim->dir, "crashes", crashes);
}

unsigned int vm_crashes(const char *name)
{
	char why[NAMES_WHY];
	int base = open_base(false, why);
	int crashes = base < 0 ? 0 : number_in(base, name, "crashes");

	if (base >= 0)
		close(base);
	return crashes < 0 ? 0 : crashes;
}

int vm_claim(struct vm_claim *claim, const char *name, char *why)
{
	int base, ret = vm_name_check(name, why);

	if (ret)
		return ret;
	base = open_base(true, why);
	if (base < 0)
		return base;
	ret = claim_in(claim, base, name, ATTEMPTS);
	if (!ret) {
		/* Remove the files of a killed VM, if there are any. */
		unlinkat(claim->dir, "control", 0);
		unlinkat(claim->dir, "upgrade", 0);
		unlinkat(claim->dir, "crashes", 0);
		unlinkat(claim->dir, "ended", 0);
		ret = vm_set_pid(claim, getpid());
		if (!ret)
			return 0;
		vm_release(claim);
		SAY(why, "writing its pid: %s", strerror(-ret));
		return ret;
	}
	if (ret == -EAGAIN) {
		SAY(why, "there is one of this name, process %d: "
		    "choose another, or end that by 'gmem stop %s'",
		    (int)pid_in(base, name), name);
		ret = -EEXIST;
	} else {
		SAY(why, "making its folder: %s", strerror(-ret));
	}
	close(base);
	claim->base = -1;
	return ret;
}

void vm_leave(struct vm_claim *claim)
{
	if (claim->base < 0)
		return;
	close_all(claim);
	close(claim->base);
	claim->base = -1;
}

void vm_release(struct vm_claim *claim)
{
	if (claim->base < 0)
		return;
	vm_remove(claim);
	vm_leave(claim);
}

/* ---- Others' names ---- */

/* True: the name's folder is locked. */
static bool lives(int base, const char *name)
{
	char path[VM_NAME_LENGTH + 8];
	struct flock lock;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", name);
	fd = openat(base, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (lock_file(fd, F_OFD_GETLK, F_WRLCK, &lock))
		lock.l_type = F_UNLCK;
	close(fd);
	return lock.l_type != F_UNLCK;
}

static int open_reason(int base, const char *name)
{
	char path[VM_NAME_LENGTH + 8];

	snprintf(path, sizeof(path), "%.63s/ended", name);
	return openat(base, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static bool has_reason(int base, const char *name)
{
	int fd = open_reason(base, name);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int vm_keep_reason(const struct vm_claim *claim, const char *reason)
{
	int fd = openat(claim->dir, "ended",
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t length = strlen(reason);
	int ret = fd < 0 ? -errno : 0;

	if (!ret && write(fd, reason, length) != length)
		ret = -EIO;
	if (fd >= 0)
		close(fd);
	return ret;
}

int vm_reason(const char *name, char *reason)
{
	int base = open_base(false, reason);
	int fd = base < 0 ? -1 : open_reason(base, name);
	ssize_t length = fd < 0 ? -1 : read(fd, reason, NAMES_WHY - 1);

	if (fd >= 0)
		close(fd);
	if (base >= 0)
		close(base);
	if (length < 0)
		return -ENOENT;
	reason[length] = '\0';
	return 0;
}

/*
 * Remove a folder that nobody has, unless somebody is about to claim it, or a reason is kept in it.
 */
static void clean(int base, const char *name)
{
	struct vm_claim claim;

	if (has_reason(base, name) || claim_in(&claim, base, name, 1))
		return;
	vm_remove(&claim);
	close_all(&claim);
}

int vm_find(const char *name, pid_t *pid, char *why)
{
	int base, ret = vm_name_check(name, why);
	char path[PATH_MAX];
	bool lost;

	if (ret)
		return ret;
	base = open_base(false, why);
	if (base < 0 && (base != -ENOENT || base_path(path, sizeof(path), why)))
		return base;
	if (base >= 0 && lives(base, name)) {
		*pid = pid_in(base, name);
		close(base);
		return 0;
	}
	if (base >= 0 && !faccessat(base, name, F_OK, AT_SYMLINK_NOFOLLOW))
		clean(base, name);
	lost = base >= 0 && has_reason(base, name);
	if (base >= 0)
		close(base);
	if (lost)
		SAY(why, "its guest is lost: 'gmem ps' says why, and 'gmem kill %s' frees the name",
		    name);
	else
		SAY(why, "there is no such VM: 'gmem ps' lists them");
	return -ESRCH;
}

/* Either the VMM holds the lock, or it has released it and its helper, a child of it, holds it. */
static bool is_vmm(pid_t pid, const struct stat *lock)
{
	return lock_is_held_by(pid, lock) || process_parent(lock_find_holder(lock)) == pid;
}

/*
 * Open the pidfd first: if the process still lives after we have looked at its number in /proc,
 * that was this process.
 */
static int open_vmm(pid_t pid, const struct stat *lock)
{
	int pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;

	if (pidfd < 0)
		return -1;
	if (is_vmm(pid, lock) && !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0))
		return pidfd;
	close(pidfd);
	return -1;
}

/* Used if the file `pid` does not tell. Skip the helper, which may hold the lock as well. */
static pid_t find_vmm(const struct stat *lock)
{
	pid_t holder = lock_find_holder(lock);
	pid_t parent = holder ? process_parent(holder) : 0;

	return parent && lock_is_held_by(parent, lock) ? parent : holder;
}

int vm_open_process(const char *name, char *why)
{
	char path[VM_NAME_LENGTH + 8];
	int base, missing, pidfd = -1;
	struct stat lock;
	pid_t pid;
	int ret = vm_find(name, &pid, why);

	if (ret)
		return ret;
	base = open_base(false, why);
	if (base < 0)
		return base;
	snprintf(path, sizeof(path), "%s/lock", name);
	missing = fstatat(base, path, &lock, AT_SYMLINK_NOFOLLOW);
	close(base);
	if (!missing)
		pidfd = open_vmm(pid, &lock);
	if (!missing && pidfd < 0)
		pidfd = open_vmm(find_vmm(&lock), &lock);
	if (pidfd >= 0)
		return pidfd;
	/* The process may have ended meanwhile. */
	ret = vm_find(name, &pid, why);
	if (ret)
		return ret;
	SAY(why, "which process has it cannot be seen in /proc: "
	    "as root, 'fuser -v' on its folder's file 'lock' names it");
	return -ENOENT;
}

int vm_forget(const char *name)
{
	struct vm_claim claim;
	char why[NAMES_WHY];
	int base = open_base(false, why), ret;

	if (base < 0)
		return base;
	ret = has_reason(base, name) ? claim_in(&claim, base, name, 1) : -ENOENT;
	if (!ret) {
		vm_remove(&claim);
		close_all(&claim);
	}
	close(base);
	return ret;
}

int vm_each(void (*found)(const char *name, pid_t pid, void *data), void *data, char *why)
{
	struct dirent **entries;
	int base = open_base(false, why);
	int i, nr, ret = 0;

	if (base == -ENOENT && getenv("XDG_RUNTIME_DIR"))
		return 0;
	if (base == -ENOENT && !geteuid())
		return 0;
	if (base < 0)
		return base;
	nr = scandirat(base, ".", &entries, NULL, alphasort);
	if (nr < 0) {
		ret = -errno;
		SAY(why, "listing the VMs: %s", strerror(-ret));
	}
	for (i = 0; i < nr; i++) {
		const char *name = entries[i]->d_name;
		char unused[NAMES_WHY];

		if (!vm_name_check(name, unused)) {
			if (lives(base, name))
				found(name, pid_in(base, name), data);
			else if (has_reason(base, name))
				found(name, -1, data);
			else
				clean(base, name);
		}
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	close(base);
	return ret;
}
