/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages of an inode: getting them, in pieces of one page or 2 MiB, and what they hold. */
#ifndef __KVM_GMEM_FOLIO_H
#define __KVM_GMEM_FOLIO_H

#include "gmem.h"

/* folio.c */
struct folio *gmem_folio_grab(struct gmem_inode *gi, pgoff_t index, bool reclaim);
void gmem_page_clear(struct page *page);
void gmem_folio_set_stale(struct folio *folio);
void gmem_folio_make_zero(struct folio *folio);
void gmem_folio_make_shared(struct folio *folio);
void gmem_folio_clear_freed(struct folio *folio);
void gmem_free_folio(struct folio *folio);

/* huge.c */
bool gmem_huge_fits(struct gmem_inode *gi, pgoff_t index);
struct folio *gmem_huge_alloc(bool zero);
int gmem_huge_add(struct gmem_inode *gi, pgoff_t index, struct folio *folio);
void gmem_huge_extend(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end);
bool gmem_huge_may_split(struct folio *folio);
void gmem_huge_truncate(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_huge_truncate_all(struct gmem_inode *gi);

/* fault.c */
struct folio *gmem_fault_folio(struct file *file, struct kvm_memory_slot *slot, gfn_t gfn);

/* present.c */
long gmem_view_present(struct gmem_view *view, void __user *argp);
long gmem_present(struct gmem_inode *gi, void __user *argp);

static inline kvm_pfn_t gmem_folio_pfn(struct folio *folio, pgoff_t index)
{
	return folio_pfn(folio) + (index & (folio_nr_pages(folio) - 1));
}

/* One page of a large folio may be poisoned until memory failure has split it. */
static inline bool gmem_folio_is_poisoned(struct folio *folio, pgoff_t index)
{
	return PageHWPoison(folio_file_page(folio, index));
}

/*
 * Does a page have content, or is it missing? This is the one definition of "missing".
 * @folio is what the page cache has for the page, which may be nothing. If it is a
 * folio that is not up to date, the page was only allocated; or a task is giving it its
 * content just now, with the folio locked, and wakes those who wait afterwards.
 */
static inline bool gmem_folio_has_content(struct folio *folio)
{
	return folio && !xa_is_value(folio) && folio_test_uptodate(folio);
}

/*
 * The same by page offset. A poisoned page is not missing: it does not get content any
 * more. Without invalidate_lock the answer may be out of date.
 */
static inline bool gmem_page_is_missing(struct gmem_inode *gi, pgoff_t index)
{
	struct folio *folio;

	guard(rcu)();
	folio = xa_load(&gmem_mapping(gi)->i_pages, index);
	if (!folio || xa_is_value(folio))
		return true;
	return !gmem_folio_has_content(folio) && !gmem_folio_is_poisoned(folio, index);
}

/* May the inode have folios of PMD size? As huge.c says. */
static inline bool gmem_has_huge(struct gmem_inode *gi)
{
	return mapping_large_folio_support(gmem_mapping(gi));
}

#endif /* __KVM_GMEM_FOLIO_H */
