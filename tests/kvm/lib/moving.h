/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Moving a machine's context to another machine.
 */
#ifndef GMEM_TESTS_MOVING_H
#define GMEM_TESTS_MOVING_H

#include "machine.h"

/* KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM: 0, or -1 with errno. */
int __move(struct kvm_vm *dst, int source_fd);
void move(struct machine *dst, struct machine *src);

/* A machine that @src may be moved to: same slots, same inode, no attributes. */
struct machine *destination(struct machine *src);

/* Lets go of a machine that was moved: no ioctl of it can be made any more. */
void machine_release(struct machine *m);

/* Skips where these modules can't move a software-protected VM. */
void require_move(void);

#endif /* GMEM_TESTS_MOVING_H */
