/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages of an inode are private, and changing that. */
#ifndef __KVM_GMEM_ATTRS_H
#define __KVM_GMEM_ATTRS_H

#include <linux/types.h>

struct gmem_inode;
struct gmem_view;

/* attrs.c */
int gmem_attrs_init(struct gmem_inode *gi);
bool gmem_index_is_private(struct gmem_inode *gi, pgoff_t index);
bool gmem_range_has_attributes(struct gmem_inode *gi, pgoff_t start, pgoff_t nr, u64 attributes);

/* convert.c */
long gmem_convert(struct gmem_view *view, void __user *argp);

#endif /* __KVM_GMEM_ATTRS_H */
