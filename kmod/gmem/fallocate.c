// SPDX-License-Identifier: GPL-2.0-only
/*
 * fallocate(2): allocate pages ahead of their first touch, punch holes.
 */
#include <linux/types.h>
#include <linux/falloc.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "gmem.h"
#include "pager.h"

/* How many pages are allocated before others get at the inode: 2 MiB. */
#define GMEM_ALLOCATE_BATCH	512

/* How many are punched: 256 MiB. */
#define GMEM_PUNCH_BATCH	(SZ_256M >> PAGE_SHIFT)

static int gmem_allocate_batch(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			       pgoff_t *next)
{
	pgoff_t index = start;

	while (index < end) {
		struct folio *folio;

		if (signal_pending(current))
			return -EINTR;

		folio = gmem_folio_grab(gi, index);
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
	int r = 0;

	/* The VFS has checked that the sum does not overflow. */
	if (offset + len > i_size_read(&gi->vfs_inode))
		return -EINVAL;

	while (!r && index < end) {
		pgoff_t stop = min(end, index + GMEM_ALLOCATE_BATCH);

		filemap_invalidate_lock_shared(mapping);
		r = gmem_allocate_batch(gi, index, stop, &index);
		filemap_invalidate_unlock_shared(mapping);
		/* Where all is owed, or there already, nothing else does. */
		cond_resched();
	}
	return r;
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

	first = max(first, start) + GMEM_PUNCH_BATCH;
	return min(end, round_down(first, HPAGE_PMD_NR));
}

static int gmem_punch_locked(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	pgoff_t first = start, last = end;
	int r;

	r = gmem_pager_remove(gi, start, end);
	if (r)
		return r;

	gmem_huge_extend(gi, &first, &last);

	gmem_unmap_host(gi, start, end);
	gmem_invalidate_begin(gi, first, last);
	gmem_huge_truncate(gi, start, end);
	gmem_invalidate_end(gi, first, last);
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
	pgoff_t next;
	int r = 0;

	while (!r && start < end) {
		if (fatal_signal_pending(current))
			return -EINTR;

		filemap_invalidate_lock(mapping);
		next = gmem_punch_until(gi, start, end);
		if (gmem_is_sealed(gi, KVM_GMEM_SEAL_SHRINK))
			r = -EPERM;
		else
			r = gmem_punch_locked(gi, start, next);
		filemap_invalidate_unlock(mapping);

		start = next;
		cond_resched();
	}
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
