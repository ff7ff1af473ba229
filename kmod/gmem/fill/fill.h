/* SPDX-License-Identifier: GPL-2.0-only */
/* First content of pages, from a process's memory. */
#ifndef __KVM_GMEM_FILL_FILL_H
#define __KVM_GMEM_FILL_FILL_H

#include <linux/fs.h>

/* How often memory is asked for with a lock held that others need, before it is made free there. */
#define GMEM_TRIES_LIGHT	2

struct gmem_inode;
struct gmem_view;
struct kvm;
struct kvm_gmem_answer;

/* fill.c */
long gmem_view_populate(struct gmem_view *view, void __user *argp);
long gmem_populate_offset(struct kvm *kvm, struct gmem_inode *gi, void __user *argp);
int gmem_fill_owed(struct gmem_inode *gi, struct kvm_gmem_answer *answer, const void *content,
		   bool killable);
bool gmem_make_room(void);
bool gmem_may_try_again(unsigned int *tries);
ssize_t gmem_write_iter(struct kiocb *iocb, struct iov_iter *from);

/* handle.c */
long gmem_handle_create(struct gmem_view *view, void __user *argp);

#endif /* __KVM_GMEM_FILL_FILL_H */
