/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM whose memory is all populated: each page is there, and what is asked of it tells
 * whether it is private.
 */
#ifndef GMEM_TESTS_POPULATED_H
#define GMEM_TESTS_POPULATED_H

#include "machine.h"

/* A new inode with @flags, bound at MACHINE_GPA and populated: its view. */
int populated_view(struct kvm_vm *vm, uint64_t npages, uint64_t flags);

/*
 * By trying to populate it again, which fails: for another reason if the page is not
 * private.
 */
void expect_attribute(struct kvm_vm *vm, uint64_t page, bool private);

#endif /* GMEM_TESTS_POPULATED_H */
