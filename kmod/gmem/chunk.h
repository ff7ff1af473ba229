/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chunks: 2 MiB in one piece, in an inode that the host may map.
 *
 * Words
 *
 *   chunk	an aligned range of 2 MiB whose pages came in one piece of memory and are all
 *		still there, none of them poisoned
 *   whole	a chunk whose pages all have content
 *
 * The memory of a chunk is split into single pages before it enters the page cache. So every
 * page is a folio of its own there, and holes, conversions, memory failure, host mappings and
 * pins deal with single pages, as everywhere in such an inode. What the pages have of having
 * come together is two marks, one for each word. A guest's fault maps all of a chunk that is
 * whole, where its attributes are uniform and the memslot is aligned.
 *
 * Locks and races
 *
 * The marks are set with invalidate_lock held, and cleared with views_lock held, which is kept
 * until the invalidation that follows has begun. A fault reads them with no lock, after it has
 * sampled kvm->mmu_invalidate_seq.
 *
 * KVM looks only whether an invalidation concerns the gfn of the fault. A fault on page 100
 * that has found its chunk whole may be about to map page 5, too. So whatever takes page 5 away
 * clears the marks, and then invalidates all of the chunk: the range that it begins and ends
 * with is rounded out. A fault has read the mark before it was cleared, and starts over; or
 * afterwards, and maps its own page. Holes and conversions have invalidate_lock for writing,
 * so that nobody makes the chunk whole meanwhile; to memory failure, which has not, a chunk
 * that has lost its first mark does not become whole. views_lock is for both at once: without
 * it a hole could find the marks cleared by memory failure, whose invalidation has not begun
 * yet, and not round its own range out.
 *
 * How pages leave, or change for guests:
 *
 *   a hole			gmem_chunks_break() before begin, see fallocate.c
 *   memory failure, whether	gmem_chunks_break() before begin, in gmem_invalidate_folio():
 *   it is dealt with or not	the folio's lock is held, invalidate_lock is not
 *   a conversion		nothing leaves and the mark stays. Before begin,
 *				gmem_chunks_extend() rounds out where the chunk's attributes
 *				were uniform, or will be. The attributes themselves are then
 *				what a fault reads before begin, or after commit
 *   the end of the inode	no view is left, hence no fault
 *   a view, or a memslot goes	the whole binding is invalidated; a chunk that it has a part
 *				of only was not mapped as a whole
 *   soft offline, eviction	refused: gmem_release_folio()
 *   an addition that fails	the mark was not set
 */
#ifndef __KVM_GMEM_CHUNK_H
#define __KVM_GMEM_CHUNK_H

#include "gmem.h"

#define GMEM_CHUNK_PAGES	((pgoff_t)HPAGE_PMD_NR)

void gmem_chunks_init(struct gmem_inode *gi);
struct page *gmem_chunk_alloc(struct gmem_inode *gi, bool zero);
void gmem_chunk_free(struct page *memory);
bool gmem_chunk_fits(struct gmem_inode *gi, pgoff_t index);
int gmem_chunk_add(struct gmem_inode *gi, pgoff_t index, struct page *memory, bool content);
void gmem_chunk_make(struct gmem_inode *gi, pgoff_t index, bool content);
void gmem_chunk_touch(struct gmem_inode *gi, pgoff_t index);
void gmem_chunk_touch_unlocked(struct gmem_inode *gi, pgoff_t index);
bool gmem_chunk_is_whole(struct gmem_inode *gi, pgoff_t index);
unsigned int gmem_chunk_order(struct gmem_inode *gi, pgoff_t index, gfn_t gfn);
void gmem_chunks_break(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end);
void gmem_chunks_extend(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end, u64 attributes);

/* May the inode have chunks? */
static inline bool gmem_has_chunks(const struct gmem_inode *gi)
{
	return gi->chunks_when != GMEM_CHUNKS_NEVER;
}

/*
 * From a look at the marks to the begin of the invalidation. Memory failure, which waits for
 * views_lock, has nothing to wait for where there are no chunks.
 */
static inline void gmem_chunks_lock(struct gmem_inode *gi)
{
	if (gmem_has_chunks(gi))
		mutex_lock(&gi->views_lock);
}

static inline void gmem_chunks_unlock(struct gmem_inode *gi)
{
	if (gmem_has_chunks(gi))
		mutex_unlock(&gi->views_lock);
}

/* The first page of the chunk that a page would belong to. */
static inline pgoff_t gmem_chunk_first(pgoff_t index)
{
	return round_down(index, GMEM_CHUNK_PAGES);
}

#endif /* __KVM_GMEM_CHUNK_H */
