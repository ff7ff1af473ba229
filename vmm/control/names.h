/* SPDX-License-Identifier: MIT */
/*
 * VMs by name: a folder each, in /run/gmem for root and in $XDG_RUNTIME_DIR/gmem for
 * others. The VMM and its helper hold a lock on a file there, which shows that the VM lives: files
 * that a killed process has left behind are recognised, and removed.
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
 * @base: the folder of all names, or -1: the process has no name
 * @dir: the folder of this name
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
 * Functions return 0, or -errno; then @why, which has room for NAMES_WHY bytes, says what is wrong
 * and what to do.
 */

/*
 * Is it a name: letters, digits, '.', '_' and '-', beginning with a letter or digit or '_'?
 * -EINVAL: no.
 */
int vm_name_check(const char *name, char *why);

/* Claim a name. -EEXIST: another VM has it. */
int vm_claim(struct vm_claim *claim, const char *name, char *why);

/* Give it up, and remove its folder. */
void vm_release(struct vm_claim *claim);

/*
 * The two halves of that: remove the folder, if the claim's own lock is held (any process with the
 * claim's descriptors can do that), else nothing; and release the claim.
 */
void vm_remove(const struct vm_claim *claim);
void vm_leave(struct vm_claim *claim);

/* The path of a VM's control socket, which must fit in a socket's address. */
int vm_control_path(const char *name, char *path, size_t size, char *why);

/* Likewise of the socket where its helper is asked for an upgrade. */
int vm_upgrade_path(const char *name, char *path, size_t size, char *why);

/*
 * Record which process has the name. Any process with the claim's descriptors can do that. Returns
 * 0 or -errno.
 */
int vm_set_pid(const struct vm_claim *claim, pid_t pid);

/* Record how often a VMM of the name has died and another went on; and read that, 0 if none has. */
int vm_set_crashes(const struct vm_claim *claim, unsigned int crashes);
unsigned int vm_crashes(const char *name);

/*
 * Record why the guest has ended, until somebody claims the name again or lets the reason be
 * forgotten. Any process with the claim's descriptors can do that. Returns 0 or -errno. vm_reason()
 * reads it, into NAMES_WHY bytes; -ENOENT: nothing is recorded.
 */
int vm_keep_reason(const struct vm_claim *claim, const char *reason);
int vm_reason(const char *name, char *reason);
int vm_forget(const char *name);

/*
 * The process that has the name, 0 if that is not known. -ESRCH: there is none; anything that it
 * has left behind is removed.
 */
int vm_find(const char *name, pid_t *pid, char *why);

/*
 * A pidfd of the process that has the name. It is the process in the file `pid`, which no VMM can
 * write to once its guest runs, if that process or its child holds the lock, since the number may
 * be another process's by now; else the process that holds the lock. -ESRCH: there is none;
 * -ENOENT: it is not known which process it is.
 */
int vm_open_process(const char *name, char *why);

/*
 * Call @found with each name that a VM has, in alphabetical order; with process -1 if none has it
 * and the reason is recorded.
 */
int vm_each(void (*found)(const char *name, pid_t pid, void *data), void *data, char *why);

#endif /* VMM_CONTROL_NAMES_H */
