// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading content from a process's memory, into folios that nobody else knows. The memory may
 * not come, for ever. So it is waited for with nothing held, no lock, and no folio either: these
 * are charged to nobody before they are in the inode.
 *
 * Then it is copied without page faults. Where that falls short, what was there is gone again, or
 * never was there in full: one bad cache line behind the byte by which its page was waited for
 * will do. So no such copy is made twice. That page alone is copied with page faults, and what it
 * lacks then is EFAULT.
 *
 * A copy that meets a memory error is a machine check, of which the kernel counts those that a
 * task has had since it last returned to userspace: it panics at the eleventh, and at the second
 * if that is in another page. Userspace chooses how many bad pages there are, so a call reads
 * nothing more after the first one, and neither does one behind it in the same system call. There
 * are two at most: a copy that stops tries the rest byte by byte, on CPUs without ERMS.
 */
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "../arch.h"
#include "../chunk.h"
#include "../folio.h"
#include "../gmem.h"
#include "../view.h"
#include "read.h"

static bool gmem_fill_is_zero(const struct gmem_fill *fill)
{
	return !fill->from && !fill->content && !fill->iter;
}

static bool gmem_fill_is_user(const struct gmem_fill *fill)
{
	return fill->from || fill->iter;
}

/*
 * Why content of which @nr pages were there was not read in full. What they lack is known only of
 * the first page: after a machine check nothing more is read, not even those that came before it.
 * The kernel takes the bad page away on return to userspace, so the next call finds where it is.
 */
static int gmem_fill_why(unsigned int nr)
{
	return nr || fatal_signal_pending(current) ? -EINTR : -EFAULT;
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
 * or why not one; or why they are not to be read.
 */
static int gmem_fill_come(struct gmem_fill *fill, unsigned int max)
{
	size_t size = max * PAGE_SIZE, left = 0;

	if (fill->iter)
		left = fault_in_iov_iter_readable(fill->iter, size);
	else if (fill->from)
		left = fault_in_readable(fill->from, size);

	max = (size - left) / PAGE_SIZE;
	if (!max || (left && gmem_arch_had_machine_check()))
		return gmem_fill_why(max);
	return max;
}

/* Reads content for @nr pages behind those in @folios. Returns how many came whole. */
static unsigned int gmem_fill_copy_faulting(struct gmem_fill *fill, void *to, unsigned int nr)
{
	size_t done = fill->nr * PAGE_SIZE, size = nr * PAGE_SIZE, at;

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
	return size / PAGE_SIZE;
}

/* The same, of what has come. Where that is not all: the first that did not is @slow. */
static unsigned int gmem_fill_copy(struct gmem_fill *fill, void *to, unsigned int nr)
{
	unsigned int whole;

	pagefault_disable();
	whole = gmem_fill_copy_faulting(fill, to, nr);
	pagefault_enable();

	if (whole < nr)
		fill->slow = fill->next + fill->nr + whole;
	return whole;
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

/* A page whose content was read: the next of @folios. */
static void gmem_fill_add(struct gmem_fill *fill, struct page *page)
{
	/* All but the first of a piece may have what the page's last user left. */
	set_page_private(page, 0);
	__folio_mark_uptodate(page_folio(page));
	fill->folios[fill->nr++] = page_folio(page);
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

		if (i < whole)
			gmem_fill_add(fill, page);
		else
			__free_page(page);
	}
	if (whole == nr)
		return 0;
	return gmem_arch_had_machine_check() ? -EFAULT : -EAGAIN;
}

/*
 * The page that fell short, alone, and with page faults. What it is copied from may go again
 * meanwhile: then this waits with a folio held, one a task.
 */
static int gmem_fill_read_slow(struct gmem_fill *fill)
{
	int come = gmem_fill_come(fill, 1);
	struct page *page;

	if (come < 0)
		return come;

	page = alloc_page(GFP_USER);
	if (!page)
		return -ENOMEM;
	if (!gmem_fill_copy_faulting(fill, page_address(page), 1)) {
		__free_page(page);
		return gmem_fill_why(0);
	}
	gmem_fill_add(fill, page);
	fill->slow = U64_MAX;
	return 0;
}

/**
 * gmem_fill_inode() - the inode of the next page
 * @fill: the call
 * @index: becomes the page's offset
 * @left: becomes how many pages there are from it on, that belong to the call and to the inode
 *
 * Context: Process context.
 * Return: the inode, with a reference; or NULL.
 */
struct gmem_inode *gmem_fill_inode(struct gmem_fill *fill, pgoff_t *index, u64 *left)
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

/* -EAGAIN: by single pages, of which an error is known exactly. */
static int gmem_fill_read_large(struct gmem_fill *fill, unsigned int *nr)
{
	unsigned int whole;
	void *memory;
	int come;

	if (!gmem_fill_fits_large(fill, nr))
		return -EAGAIN;

	come = gmem_fill_come(fill, HPAGE_PMD_NR);
	if (come < 0)
		return come;

	memory = come == HPAGE_PMD_NR ? gmem_fill_alloc_large(fill) : NULL;
	if (!memory)
		return -EAGAIN;

	fill->large = true;
	whole = gmem_fill_copy(fill, memory, HPAGE_PMD_NR);
	fill->nr = whole;
	if (whole < HPAGE_PMD_NR) {
		gmem_fill_drop(fill);
		return gmem_arch_had_machine_check() ? gmem_fill_why(whole) : -EAGAIN;
	}
	if (fill->huge)
		__folio_mark_uptodate(fill->huge);
	return 0;
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
	int come, r;

	fill->nr = 0;
	if (gmem_fill_is_user(fill) && gmem_arch_had_machine_check())
		return -EINTR;

	if (fill->missed >= GMEM_FILL_MISSES) {
		want = 1;
	} else if (fill->next != fill->slow) {
		r = gmem_fill_read_large(fill, &want);
		if (r != -EAGAIN)
			return r;
	}
	/* Also where 2 MiB fell short. What comes before that page was there. */
	if (fill->next == fill->slow)
		return gmem_fill_read_slow(fill);
	want = min_t(u64, want, fill->slow - fill->next);

	come = gmem_fill_come(fill, want);
	if (come < 0)
		return come;

	r = 0;
	while (!r && fill->nr < come)
		r = gmem_fill_read_some(fill, come - fill->nr);
	if (r == -EAGAIN)
		return fill->nr ? 0 : gmem_fill_read_slow(fill);
	return r;
}
