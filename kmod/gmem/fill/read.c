// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading content from a process's memory, into folios that nobody else knows. The memory may
 * not come, for ever. So it is waited for with nothing held, no lock, and no folio either: these
 * are charged to nobody before they are in the inode. What goes again before it is read is
 * waited for anew.
 */
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "../chunk.h"
#include "../folio.h"
#include "../gmem.h"
#include "../view.h"
#include "read.h"

static bool gmem_fill_is_zero(const struct gmem_fill *fill)
{
	return !fill->from && !fill->content && !fill->iter;
}

/*
 * Memory for the next pages, at most @max of them, in one piece: that costs little
 * more to allocate than a page, and is read in one go. It is the task's policy that
 * places it. Pieces are what happens to be free; memory is reclaimed for single
 * pages only. Returns where it is, and in @nr how many pages that are.
 */
static void *gmem_fill_alloc(struct gmem_fill *fill, unsigned int max, unsigned int *nr)
{
	gfp_t gfp = gmem_fill_is_zero(fill) ? GFP_USER | __GFP_ZERO : GFP_USER;
	gfp_t light = (gfp | __GFP_NOWARN | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM;
	void *memory;

	for (;;) {
		unsigned int order = min_t(unsigned int, fill->order, ilog2(max));

		*nr = 1 << order;
		memory = alloc_pages_exact(*nr * PAGE_SIZE, order ? light : gfp);
		if (memory || !order)
			return memory;
		/* This call does not look again for what is not there. */
		fill->order = order - 1;
	}
}

/*
 * Waits for what the next pages are read from, at most @max of them. Returns how many there are,
 * or why not one.
 */
static int gmem_fill_come(struct gmem_fill *fill, unsigned int max)
{
	size_t size = max * PAGE_SIZE, left = 0;

	if (fill->iter)
		left = fault_in_iov_iter_readable(fill->iter, size);
	else if (fill->from)
		left = fault_in_readable(fill->from, size);

	if (size - left >= PAGE_SIZE)
		return (size - left) / PAGE_SIZE;
	return fatal_signal_pending(current) ? -EINTR : -EFAULT;
}

/*
 * Reads content for @nr pages behind those in @folios, of what has come. Returns how many came
 * whole.
 */
static unsigned int gmem_fill_copy(struct gmem_fill *fill, void *to, unsigned int nr)
{
	size_t done = fill->nr * PAGE_SIZE, size = nr * PAGE_SIZE, at;

	pagefault_disable();
	if (fill->iter) {
		size = copy_from_iter(to, size, fill->iter);
		iov_iter_revert(fill->iter, size % PAGE_SIZE);
	} else if (fill->content) {
		/* By a constant size: without FSRM any other takes memcpy() three times as long. */
		for (at = 0; at < size; at += PAGE_SIZE)
			memcpy(to + at, fill->content + done + at, PAGE_SIZE);
	} else if (fill->from) {
		size -= copy_from_user(to, fill->from + done, size);
	}
	pagefault_enable();
	return size / PAGE_SIZE;
}

/**
 * gmem_fill_drop() - let go of what was read and not installed
 * @fill: the call; pages that its folio of PMD size or its chunk has go by single ones then
 *
 * Context: Process context.
 */
void gmem_fill_drop(struct gmem_fill *fill)
{
	if (fill->iter)
		iov_iter_revert(fill->iter, fill->nr * PAGE_SIZE);

	if (fill->large) {
		if (fill->huge)
			folio_put(fill->huge);
		if (fill->chunk)
			gmem_chunk_free(fill->chunk);
		fill->huge = NULL;
		fill->chunk = NULL;
		fill->large = false;
		fill->nr = 0;
		fill->pages_until = fill->next + HPAGE_PMD_NR;
	}
	while (fill->nr)
		folio_put(fill->folios[--fill->nr]);
}

/*
 * Adds pages to @folios, at most @max: as many as are in one piece of memory. -EAGAIN: not all
 * of their content was there any more.
 */
static int gmem_fill_read_some(struct gmem_fill *fill, unsigned int max)
{
	unsigned int nr, whole, i;
	void *memory;

	memory = gmem_fill_alloc(fill, max, &nr);
	if (!memory)
		return -ENOMEM;

	whole = gmem_fill_copy(fill, memory, nr);
	for (i = 0; i < nr; i++) {
		struct page *page = virt_to_page(memory + i * PAGE_SIZE);

		if (i >= whole) {
			__free_page(page);
			continue;
		}
		/* All but the first may have what the page's last user left. */
		set_page_private(page, 0);
		__folio_mark_uptodate(page_folio(page));
		fill->folios[fill->nr++] = page_folio(page);
	}
	return whole == nr ? 0 : -EAGAIN;
}

/* The inode of the next page, with a reference; in @left how far it goes. Or NULL. */
static struct gmem_inode *gmem_fill_inode(struct gmem_fill *fill, pgoff_t *index, u64 *left)
{
	struct gmem_inode *gi = fill->gi;
	struct kvm_memory_slot *slot;
	int idx;

	*index = fill->next;
	*left = fill->left;
	if (gi) {
		ihold(&gi->vfs_inode);
		return gi;
	}

	idx = srcu_read_lock(&fill->kvm->srcu);
	slot = gfn_to_memslot(fill->kvm, fill->next);
	gi = gmem_slot_get_inode(slot, fill->next, index);
	if (gi)
		*left = min(*left, slot->base_gfn + slot->npages - fill->next);
	srcu_read_unlock(&fill->kvm->srcu, idx);
	return gi;
}

/*
 * May the next pages come as 2 MiB, a folio or a chunk? If this is not the place for either, @nr
 * becomes how many pages there are before it. Installing looks at all of it again.
 */
static bool gmem_fill_fits_large(struct gmem_fill *fill, unsigned int *nr)
{
	struct gmem_inode *gi;
	bool fits = false;
	pgoff_t index;
	u64 left;

	gi = gmem_fill_inode(fill, &index, &left);
	if (!gi)
		return false;

	if (gmem_has_huge(gi) || gmem_has_chunks(gi)) {
		*nr = min_t(u64, *nr, HPAGE_PMD_NR - index % HPAGE_PMD_NR);
		fits = left >= HPAGE_PMD_NR && fill->next >= fill->pages_until &&
		       (gmem_huge_fits(gi, index) || gmem_chunk_fits(gi, index));
	}
	iput(&gi->vfs_inode);
	return fits;
}

/* Memory for the next pages as 2 MiB. Returns the first byte, or NULL. */
static void *gmem_fill_alloc_large(struct gmem_fill *fill)
{
	bool zero = gmem_fill_is_zero(fill);
	struct gmem_inode *gi;
	pgoff_t index;
	u64 left;

	gi = gmem_fill_inode(fill, &index, &left);
	if (!gi)
		return NULL;

	if (gmem_has_huge(gi))
		fill->huge = gmem_huge_alloc(zero);
	else if (gmem_has_chunks(gi))
		fill->chunk = gmem_chunk_alloc(gi, zero);
	iput(&gi->vfs_inode);

	/* This call does not look for it again. */
	if (!fill->huge && !fill->chunk)
		fill->pages_until = U64_MAX;
	if (fill->huge)
		return folio_address(fill->huge);
	return fill->chunk ? page_address(fill->chunk) : NULL;
}

/* False: by single pages, of which an error is known exactly. */
static bool gmem_fill_read_large(struct gmem_fill *fill, unsigned int *nr)
{
	void *memory;

	if (!gmem_fill_fits_large(fill, nr) || gmem_fill_come(fill, HPAGE_PMD_NR) != HPAGE_PMD_NR)
		return false;

	memory = gmem_fill_alloc_large(fill);
	if (!memory)
		return false;

	fill->large = true;
	fill->nr = gmem_fill_copy(fill, memory, HPAGE_PMD_NR);
	if (fill->nr < HPAGE_PMD_NR) {
		gmem_fill_drop(fill);
		return false;
	}
	if (fill->huge)
		__folio_mark_uptodate(fill->huge);
	return true;
}

/**
 * gmem_fill_read() - read content for the next pages
 * @fill: the call; @fill->nr becomes how many
 *
 * Context: Process context, no lock held: this may sleep for as long as the caller's
 * memory takes to come.
 * Return: 0, or why there are fewer pages than there could be: -EFAULT, -ENOMEM, -EINTR.
 */
int gmem_fill_read(struct gmem_fill *fill)
{
	unsigned int want = min_t(u64, fill->left, GMEM_FILL_BATCH);
	int r;

	fill->nr = 0;
	if (gmem_fill_read_large(fill, &want))
		return 0;

	do {
		int come = gmem_fill_come(fill, want);

		if (come < 0)
			return come;
		r = 0;
		while (!r && fill->nr < come)
			r = gmem_fill_read_some(fill, come - fill->nr);
	} while (r == -EAGAIN && !fill->nr && !signal_pending(current));

	if (r == -EAGAIN)
		return fill->nr ? 0 : -EINTR;
	return r;
}
