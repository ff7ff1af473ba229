/* SPDX-License-Identifier: GPL-2.0-only */
/* Taking pages out of every VM's stage-2 tables. */
#ifndef __KVM_GMEM_INVALIDATE_H
#define __KVM_GMEM_INVALIDATE_H

#include <linux/types.h>

struct address_space;
struct folio;
struct gmem_inode;
struct gmem_view;

/* invalidate.c */
void gmem_view_invalidate_begin(struct gmem_view *view, pgoff_t start, pgoff_t end);
void gmem_view_invalidate_end(struct gmem_view *view, pgoff_t start, pgoff_t end);
bool gmem_needs_flush(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_flush(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_zap(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_begin(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_end(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_folio(struct gmem_inode *gi, struct folio *folio);

/* poison.c */
bool gmem_poison_is_told(void);
void gmem_poison_init(void);
void gmem_poison_exit(void);
void gmem_poison_init_inode(struct gmem_inode *gi);
int gmem_error_remove_folio(struct address_space *mapping, struct folio *folio);
void gmem_poison_keep(struct folio *folio);

#endif /* __KVM_GMEM_INVALIDATE_H */
