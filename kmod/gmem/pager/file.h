/* SPDX-License-Identifier: GPL-2.0-only */
/* A pager's file, and its answers. */
#ifndef __KVM_GMEM_PAGER_FILE_H
#define __KVM_GMEM_PAGER_FILE_H

#include <linux/types.h>

struct gmem_pager;
struct gmem_view;
struct kvm_gmem_answer;

/* file.c */
long gmem_pager_create(struct gmem_view *view, void __user *argp);

/* answer.c */
int gmem_pager_check_answer(struct gmem_pager *pager, const struct kvm_gmem_answer *answer);
int gmem_pager_answer_one(struct gmem_pager *pager, struct kvm_gmem_answer *answer,
			  const void *content, bool killable);
long gmem_pager_answer(struct gmem_pager *pager, void __user *argp);

#endif /* __KVM_GMEM_PAGER_FILE_H */
