/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random numbers, and what they are drawn for: pages and ranges where something is likely
 * to go wrong, VMs and inodes that can do something.
 */
#ifndef GMEM_TESTS_DRAW_H
#define GMEM_TESTS_DRAW_H

#include "plan.h"

/* A range of pages, of a VM's guest or an inode. */
struct range {
	long first;
	long n;
};

/* A number below @n; true once in @n times. */
unsigned long below(struct plan *p, unsigned long n);
bool one_in(struct plan *p, unsigned long n);

/* Below @limit. */
long draw_page(struct plan *p, long limit);
struct range draw_range(struct plan *p, long limit);

struct range draw_gfns(struct plan *p, struct model_vm *vm);

/* Most often inside an inode. */
struct range draw_offsets(struct plan *p, const struct model_inode *gi);

/* By a guest. */
enum operation_kind draw_access(struct plan *p);

unsigned int draw_vm(struct plan *p, struct model *m);
unsigned int draw_inode(struct plan *p, struct model *m, unsigned int vm);

#endif /* GMEM_TESTS_DRAW_H */
