/* SPDX-License-Identifier: MIT */
/*
 * VMs by name: a folder each, in /run/gmem for root and in $XDG_RUNTIME_DIR/gmem for
 * others. A lock on a file there, which the VMM and its helper hold, tells that it lives:
 * what a process that was killed has left behind is recognised, and removed.
 */
#ifndef VMM_CONTROL_NAMES_H
#define VMM_CONTROL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VM_NAME_LENGTH	64	/* with its end */
#define NAMES_WHY	512

/*
 * struct vm_claim - a name that this process has
 * @base: the folder of all names, or -1: it has none
 * @dir: that of this one
 * @lock: the locked file, open for reading
 */
struct vm_claim {
	int base;
	int dir;
	int lock;
	char name[VM_NAME_LENGTH];
};

#define VM_CLAIM_NONE { .base = -1, .dir = -1, .lock = -1 }

/*
 * Functions return 0 or -errno, and then say in @why, which has room for NAMES_WHY
 * bytes, what is wrong and what to do.
 */

/* Is it one: letters, digits, '.', '_' and '-', and the first is no sign? -EINVAL: no. */
int vm_name_check(const char *name, char *why);

/* Have a name. -EEXIST: another VM has it. */
int vm_claim(struct vm_claim *claim, const char *name, char *why);

/* Give it up, and remove its folder. */
void vm_release(struct vm_claim *claim);

/*
 * The two halves of that: remove the folder, by whoever has its descriptors while the name
 * is locked, by the claim's own lock: else nothing is removed; and let go of it.
 */
void vm_remove(const struct vm_claim *claim);
void vm_leave(struct vm_claim *claim);

/* The path of a VM's control socket, which must fit in a socket's address. */
int vm_control_path(const char *name, char *path, size_t size, char *why);

/* Likewise of the socket where its helper is asked for an upgrade. */
int vm_upgrade_path(const char *name, char *path, size_t size, char *why);

/* Say which process has the name: by whoever has the claim's descriptors. 0 or -errno. */
int vm_set_pid(const struct vm_claim *claim, pid_t pid);

/* Say how often a VMM of it has died and another went on; and read it, 0 where none has. */
int vm_set_crashes(const struct vm_claim *claim, unsigned int crashes);
unsigned int vm_crashes(const char *name);

/*
 * Keep why its guest has ended, by whoever has the claim's descriptors, for as long as nobody has
 * the name again or lets it be forgotten. 0 or -errno. vm_reason() reads it, into NAMES_WHY
 * bytes; -ENOENT: nothing is kept.
 */
int vm_keep_reason(const struct vm_claim *claim, const char *reason);
int vm_reason(const char *name, char *reason);
int vm_forget(const char *name);

/*
 * The process that has the name, 0 where that is not known. -ESRCH: there is none, and
 * what it may have left is removed.
 */
int vm_find(const char *name, pid_t *pid, char *why);

/*
 * The process that has the name: a pidfd. It is the one of the file `pid`, which no VMM can
 * write to once its guest runs, if it holds the lock or its child does: that number may be
 * another process's by now; else whoever holds the lock. -ESRCH: there is none; -ENOENT: it
 * can't be told which it is.
 */
int vm_open_process(const char *name, char *why);

/*
 * Call @found with each name that a VM has, in alphabetical order; with a process of -1 where
 * none has it and the reason is kept.
 */
int vm_each(void (*found)(const char *name, pid_t pid, void *data), void *data, char *why);

#endif /* VMM_CONTROL_NAMES_H */
