// SPDX-License-Identifier: GPL-2.0-only
/*
 * fallocate(2): allocate pages ahead of their first touch, punch holes.
 */
#include <linux/types.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "chunk.h"
#include "fill/fill.h"
#include "folio.h"
#include "gmem.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "seal.h"
#include "view.h"

/* How many pages are allocated before others get at the inode: 2 MiB. */
#define GMEM_ALLOCATE_BATCH	512

/* How many are punched: 256 MiB, or as few as 32 MiB where many holes are punched at once. */
#define GMEM_PUNCH_BATCH	((unsigned long)SZ_256M >> PAGE_SHIFT)
#define GMEM_PUNCH_LEAST	((unsigned long)SZ_32M >> PAGE_SHIFT)

/* How many that were held back are freed before other tasks get at the CPU. */
#define GMEM_FREE_BATCH		1024

static int gmem_allocate_batch(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			       bool reclaim, pgoff_t *next)
{
	pgoff_t index = start;

	while (index < end) {
		struct folio *folio;

		if (signal_pending(current))
			return -EINTR;

		/* Only where all of it is asked for. */
		if (IS_ALIGNED(index, GMEM_CHUNK_PAGES) && end - index >= GMEM_CHUNK_PAGES)
			gmem_chunk_make(gi, index, false);
		folio = gmem_folio_grab(gi, index, reclaim);
		if (folio == ERR_PTR(-ENODATA)) {
			/* It stays owed. */
			index++;
			continue;
		}
		if (folio == ERR_PTR(-EHWPOISON)) {
			/* There it is, whoever wants it back has to punch it. */
			index++;
			continue;
		}
		if (IS_ERR(folio))
			return PTR_ERR(folio);

		index = folio_next_index(folio);
		folio_unlock(folio);
		folio_put(folio);
		cond_resched();
	}

	*next = index;
	return 0;
}

/*
 * invalidate_lock is let go between batches: allocating a terabyte must not
 * hold up who wants to link, bind or punch. What was allocated before a
 * failure stays, as posix says of fallocate and as Linux 6.12 has it.
 */
static int gmem_allocate(struct gmem_inode *gi, loff_t offset, loff_t len)
{
	struct address_space *mapping = gmem_mapping(gi);
	pgoff_t index = offset >> PAGE_SHIFT;
	pgoff_t end = (offset + len) >> PAGE_SHIFT;
	unsigned int tries = 0;
	int r = 0;

	/* The VFS has checked that the sum does not overflow. */
	if (offset + len > i_size_read(&gi->vfs_inode))
		return -EINVAL;

	while (!r && index < end) {
		pgoff_t stop = min(end, round_down(index, GMEM_ALLOCATE_BATCH) +
					GMEM_ALLOCATE_BATCH);

		filemap_invalidate_lock_shared(mapping);
		r = gmem_allocate_batch(gi, index, stop, tries == GMEM_TRIES_LIGHT, &index);
		filemap_invalidate_unlock_shared(mapping);
		if (!r)
			tries = 0;
		else if (r == -ENOMEM && gmem_may_try_again(&tries))
			r = 0;
		/* Where all is owed, or there already, nothing else does. */
		cond_resched();
	}
	return r;
}

/*
 * Holes that are being punched, in all inodes: each may come to hold pages back, and counts before
 * its first part is sized.
 */
static atomic_t gmem_punches;

/*
 * How many pages a hole holds back until it flushes, and one part more. All holes share 1/64 of
 * the machine's memory, but each has 32 MiB at least. No hole has more pages than the machine, so
 * alone it makes 65 flushes at most, whatever its size; and a task that punches to free memory has
 * most of it at once.
 */
static unsigned long gmem_punch_share(void)
{
	unsigned long share = totalram_pages() / 64 / max(atomic_read(&gmem_punches), 1);

	return max(share, GMEM_PUNCH_LEAST);
}

static unsigned long gmem_punch_part(void)
{
	if (atomic_read(&gmem_punches) <= 1)
		return GMEM_PUNCH_BATCH;
	return min(GMEM_PUNCH_BATCH, gmem_punch_share());
}

/*
 * How far to punch before others get at the inode: a range without pages costs little
 * at any size, and does not count.
 */
static pgoff_t gmem_punch_until(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	unsigned long first = start;

	if (!xa_find(&gmem_mapping(gi)->i_pages, &first, end - 1, XA_PRESENT))
		return end;

	first = max(first, start) + gmem_punch_part();
	return min(end, round_down(first, HPAGE_PMD_NR));
}

/**
 * struct gmem_punch - a hole, being punched part by part
 * @gi: the inode
 * @flushed: page offset up to which no flush is owed any more
 * @has_flushed: a flush was made
 * @next: page offset up to which pages were taken out
 * @held: folios that were taken out since, and are to be freed after a flush: a list by
 *	  folio->private, each with a reference
 * @nr_held: how many
 *
 * A flush of an encrypted guest's pages stops all CPUs for some milliseconds, which is
 * about what it takes to punch one part. But all pages can't be zapped first and freed
 * after one flush, as others get at the inode between parts, and bring new pages. So what
 * was taken out is held back, out of everybody's reach, and one flush is for many parts.
 */
struct gmem_punch {
	struct gmem_inode *gi;
	pgoff_t flushed;
	bool has_flushed;
	pgoff_t next;
	struct folio *held;
	unsigned long nr_held;
};

/*
 * The pages were zapped: what comes now is not mapped before the invalidation's end, and
 * needs no flush. Nothing else uses folio->private, and these folios are single pages:
 * those of the host's mappings are, see huge.c.
 */
static void gmem_punch_hold(struct gmem_punch *punch, pgoff_t start, pgoff_t end)
{
	struct folio_batch batch;

	folio_batch_init(&batch);
	while (filemap_get_folios(gmem_mapping(punch->gi), &start, end - 1, &batch)) {
		for (unsigned int i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			/* Else a part of it may stay in use. */
			if (WARN_ON_ONCE(folio_test_large(folio)))
				continue;
			folio_get(folio);
			folio->private = punch->held;
			punch->held = folio;
			punch->nr_held++;
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

/*
 * Flushes what it has to of all that was taken out, then frees it. Each hole flushes once at
 * least. After that, where there was no page nothing leaves.
 */
static void gmem_punch_finish(struct gmem_punch *punch)
{
	struct folio *folio;

	if (punch->held || !punch->has_flushed) {
		mutex_lock(&punch->gi->views_lock);
		gmem_flush(punch->gi, punch->flushed, punch->next);
		mutex_unlock(&punch->gi->views_lock);
		punch->flushed = punch->next;
		punch->has_flushed = true;
	}

	while ((folio = punch->held)) {
		punch->held = folio->private;
		folio->private = NULL;
		/* Lines of the guest's may have been written back since they were cleared. */
		gmem_folio_clear_freed(folio);
		folio_put(folio);
		if (--punch->nr_held % GMEM_FREE_BATCH == 0)
			cond_resched();
	}
}

static int gmem_punch_locked(struct gmem_punch *punch, pgoff_t start, pgoff_t end)
{
	struct gmem_inode *gi = punch->gi;
	pgoff_t first = start, last = end;
	int r;

	if (gmem_is_sealed(gi, KVM_GMEM_SEAL_SHRINK))
		return -EPERM;

	r = gmem_pager_remove(gi, start, end);
	if (r)
		return r;

	gmem_huge_extend(gi, &first, &last);

	gmem_unmap_host(gi, start, end);
	gmem_chunks_lock(gi);
	gmem_chunks_break(gi, &first, &last);
	gmem_invalidate_zap(gi, first, last);
	gmem_chunks_unlock(gi);
	if (gmem_needs_flush(gi, first, last))
		gmem_punch_hold(punch, start, end);
	gmem_huge_truncate(gi, start, end);
	gmem_invalidate_end(gi, first, last);
	punch->next = end;
	return 0;
}

/*
 * With its pages, each part is taken from what the pager owes: a call that is killed
 * leaves the rest as it was.
 */
static int gmem_punch_hole(struct gmem_inode *gi, loff_t offset, loff_t len)
{
	struct address_space *mapping = gmem_mapping(gi);
	pgoff_t start = offset >> PAGE_SHIFT;
	pgoff_t end = (offset + len) >> PAGE_SHIFT;
	struct gmem_punch punch = { .gi = gi, .flushed = start, .next = start };
	int r = 0;

	atomic_inc(&gmem_punches);
	while (!r && punch.next < end) {
		if (fatal_signal_pending(current)) {
			r = -EINTR;
			break;
		}

		filemap_invalidate_lock(mapping);
		r = gmem_punch_locked(&punch, punch.next, gmem_punch_until(gi, punch.next, end));
		filemap_invalidate_unlock(mapping);

		if (punch.nr_held > gmem_punch_share())
			gmem_punch_finish(&punch);
		cond_resched();
	}
	gmem_punch_finish(&punch);
	atomic_dec(&gmem_punches);
	return r;
}

/**
 * gmem_fallocate() - file_operations.fallocate of a view
 * @file: the view
 * @mode: FALLOC_FL_KEEP_SIZE, with FALLOC_FL_PUNCH_HOLE or without
 * @offset: bytes, page-aligned
 * @len: bytes, page-aligned
 *
 * Punched pages are gone from every VM's stage-2 tables and every host mapping
 * before they are freed; who touches them next gets zeroed ones.
 *
 * Context: Process context, may sleep. Takes invalidate_lock.
 * Return: 0; -EOPNOTSUPP for another mode; -EINVAL for what is not
 * page-aligned, or to be allocated past the end; -EPERM for a hole where those
 * are sealed; -EINTR, -ENOMEM, with part of it done: from allocating, or of a hole
 * with more than 256 MiB of pages, which may also be sealed in the midst of it.
 */
long gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct gmem_inode *gi = GMEM_I(file_inode(file));
	int r;

	if (!(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;

	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(len))
		return -EINVAL;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		r = gmem_punch_hole(gi, offset, len);
	else
		r = gmem_allocate(gi, offset, len);

	if (!r)
		file_modified(file);
	return r;
}
