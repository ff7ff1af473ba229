// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chunks: see chunk.h.
 *
 * Pages enter the page cache one by one: what would add many at once is not exported, nor
 * what it takes to charge them to a memory cgroup without it.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>

#include "attrs.h"
#include "chunk.h"
#include "folio.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "trace.h"

/*
 * Marks of a chunk's first page in the page cache, where nothing is ever written back.
 * They go with that page, if not before.
 */
#define GMEM_CHUNK_PIECE	PAGECACHE_TAG_WRITEBACK
#define GMEM_CHUNK_WHOLE	PAGECACHE_TAG_TOWRITE

static const char * const gmem_chunks_names[] = {
	[GMEM_CHUNKS_NEVER]	= "never",
	[GMEM_CHUNKS_ASKED]	= "asked",
	[GMEM_CHUNKS_FITS]	= "fits",
	[GMEM_CHUNKS_ALWAYS]	= "always",
};

/* Of inodes that are made from now on. */
static enum gmem_chunks gmem_chunks_when = GMEM_CHUNKS_ASKED;

static int gmem_chunks_set(const char *text, const struct kernel_param *kp)
{
	int when = sysfs_match_string(gmem_chunks_names, text);

	if (when < 0)
		return when;
	WRITE_ONCE(gmem_chunks_when, when);
	return 0;
}

static int gmem_chunks_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", gmem_chunks_names[READ_ONCE(gmem_chunks_when)]);
}

static const struct kernel_param_ops gmem_chunks_ops = {
	.set = gmem_chunks_set,
	.get = gmem_chunks_get,
};

module_param_cb(gmem_huge, &gmem_chunks_ops, NULL, 0644);
MODULE_PARM_DESC(gmem_huge,
		 "2 MiB at a time where the host may map memory: never, asked, fits, always");

/* What the inode's own flag says, unless the host's administrator has said never. */
static enum gmem_chunks gmem_chunks_by_flags(u64 flags)
{
	enum gmem_chunks when = READ_ONCE(gmem_chunks_when);

	if (when == GMEM_CHUNKS_NEVER)
		return GMEM_CHUNKS_NEVER;

	switch (flags & GMEM_HUGE_FLAGS) {
	case GUEST_MEMFD_FLAG_HUGE_NEVER:
		return GMEM_CHUNKS_NEVER;
	case GUEST_MEMFD_FLAG_HUGE_FITS:
		return GMEM_CHUNKS_FITS;
	case GUEST_MEMFD_FLAG_HUGE_ALWAYS:
		return GMEM_CHUNKS_ALWAYS;
	default:
		return when == GMEM_CHUNKS_ASKED ? GMEM_CHUNKS_NEVER : when;
	}
}

/**
 * gmem_chunks_init() - may a new inode have chunks, and at what price?
 * @gi: the inode, which nobody else knows; its flags and attributes are set
 *
 * Not without memory failure's last word: see gmem_poison_is_told(). And not where only
 * what is private is in the inode: a page is touched there alone.
 *
 * Context: Process context.
 */
void gmem_chunks_init(struct gmem_inode *gi)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(gi->chunk_locks); i++)
		mutex_init(&gi->chunk_locks[i]);

	gi->chunks_when = GMEM_CHUNKS_NEVER;
	if (gi->flags & GUEST_MEMFD_FLAG_MMAP && gmem_poison_is_told())
		gi->chunks_when = gmem_chunks_by_flags(gi->flags);
}

/*
 * Tasks that touch a chunk together are not to spoil it for each other. The locks are the
 * inode's own: somebody else's VM, throttled while its memory is cleared, holds up nobody here.
 * By a hash of the chunk: tasks that each touch a share of memory, one behind the other, begin at
 * multiples of a power of two, go on in step, and would always want the same lock.
 */
static struct mutex *gmem_chunk_lock(struct gmem_inode *gi, pgoff_t first)
{
	return &gi->chunk_locks[hash_long(first / GMEM_CHUNK_PAGES, ilog2(GMEM_CHUNK_LOCKS))];
}

/*
 * A kthread, which works for many VMs, does not wait for one that has its memory cleared. A
 * task that a signal wakes does with a page.
 */
static bool gmem_chunk_try_lock(struct mutex *lock)
{
	if (current->flags & PF_KTHREAD)
		return mutex_trylock(lock);
	return !mutex_lock_interruptible(lock);
}

static bool gmem_chunk_has_mark(struct gmem_inode *gi, pgoff_t index, xa_mark_t mark)
{
	return xa_get_mark(&gmem_mapping(gi)->i_pages, gmem_chunk_first(index), mark);
}

/**
 * gmem_chunk_is_whole() - may a page's chunk be mapped as one?
 * @gi: the inode
 * @index: page offset
 *
 * Context: Any. The answer may be out of date at once: see chunk.h.
 * Return: whether it may, as far as its pages are concerned.
 */
bool gmem_chunk_is_whole(struct gmem_inode *gi, pgoff_t index)
{
	return gmem_has_chunks(gi) && gmem_chunk_has_mark(gi, index, GMEM_CHUNK_WHOLE);
}

static bool gmem_chunk_is_uniform(struct gmem_inode *gi, pgoff_t first)
{
	return gmem_range_has_attributes(gi, first, GMEM_CHUNK_PAGES,
					 gmem_ranges_get(gi->attrs, first));
}

/**
 * gmem_chunk_order() - the order of what a fault may map
 * @gi: the inode
 * @index: page offset
 * @gfn: where the guest has it
 *
 * Context: a stage-2 fault that has sampled kvm->mmu_invalidate_seq; it installs what it
 * maps only if no invalidation of @gfn came between.
 * Return: that of a chunk, or 0.
 */
unsigned int gmem_chunk_order(struct gmem_inode *gi, pgoff_t index, gfn_t gfn)
{
	if (!IS_ALIGNED(gfn - index, GMEM_CHUNK_PAGES) || !gmem_chunk_is_whole(gi, index) ||
	    !gmem_chunk_is_uniform(gi, gmem_chunk_first(index)))
		return 0;
	return HPAGE_PMD_ORDER;
}

static bool gmem_task_has_policy(void)
{
#ifdef CONFIG_NUMA
	return current->mempolicy;
#else
	return false;
#endif
}

/**
 * gmem_chunk_alloc() - memory for a chunk
 * @gi: the inode
 * @zero: cleared
 *
 * What happens to be free, unless the inode's chunks are worth reclaim and compaction. The
 * task's policy places it; without one it is on this node, as pages elsewhere cost more than
 * small ones here. Its pages are single ones at once: memory failure gives up on one of what is
 * not split, and it would be free again with the others.
 *
 * Context: Process context, may sleep.
 * Return: the first of the pages, or NULL.
 */
struct page *gmem_chunk_alloc(struct gmem_inode *gi, bool zero)
{
	gfp_t gfp = GFP_HIGHUSER | __GFP_NOWARN | __GFP_NOMEMALLOC;
	struct page *memory;

	if (gi->chunks_when == GMEM_CHUNKS_ALWAYS)
		gfp |= __GFP_NORETRY;
	else
		gfp &= ~__GFP_RECLAIM;
	if (zero)
		gfp |= __GFP_ZERO;
	if (gmem_task_has_policy())
		memory = alloc_pages(gfp, HPAGE_PMD_ORDER);
	else
		memory = alloc_pages_node(numa_mem_id(), gfp | __GFP_THISNODE, HPAGE_PMD_ORDER);
	if (memory)
		split_page(memory, HPAGE_PMD_ORDER);
	return memory;
}

/**
 * gmem_chunk_free() - free memory that was not added to an inode
 * @memory: from gmem_chunk_alloc()
 *
 * Context: Any but hard interrupts.
 */
void gmem_chunk_free(struct page *memory)
{
	for (unsigned int i = 0; i < GMEM_CHUNK_PAGES; i++)
		__free_page(memory + i);
}

/**
 * gmem_chunk_fits() - may pages come as a chunk?
 * @gi: the inode
 * @index: page offset
 *
 * Context: Any; pages that come or go meanwhile are seen or not.
 * Return: whether @index is where a chunk begins, it ends inside the inode, and no page of it
 * is there.
 */
bool gmem_chunk_fits(struct gmem_inode *gi, pgoff_t index)
{
	unsigned long at = index;

	return gmem_has_chunks(gi) && IS_ALIGNED(index, GMEM_CHUNK_PAGES) &&
	       index + GMEM_CHUNK_PAGES <= i_size_read(&gi->vfs_inode) >> PAGE_SHIFT &&
	       !xa_find(&gmem_mapping(gi)->i_pages, &at, index + GMEM_CHUNK_PAGES - 1, XA_PRESENT);
}

/*
 * Puts all pages into the page cache, each of them locked: nobody uses one before all are
 * there. Returns how many went in, and in @r why there are not more. Waits for no other
 * folio's lock while it holds these.
 */
static unsigned int gmem_chunk_insert(struct gmem_inode *gi, pgoff_t first, struct page *memory,
				      int *r)
{
	struct address_space *mapping = gmem_mapping(gi);
	gfp_t gfp = mapping_gfp_mask(mapping) | __GFP_NORETRY | __GFP_NOWARN;
	unsigned int i;

	/* Others wait for these locks: the cgroup has room, or the pages come one by one. */
	gfp &= ~__GFP_DIRECT_RECLAIM;

	for (i = 0; i < GMEM_CHUNK_PAGES; i++) {
		struct page *page = memory + i;

		/* All but the first may have what the page's last user left. */
		set_page_private(page, 0);
		*r = filemap_add_folio(mapping, page_folio(page), first + i, gfp);
		if (*r)
			break;
		cond_resched();
	}
	return i;
}

/* Takes out again the first @nr pages that were put in, and frees all. */
static void gmem_chunk_undo(struct gmem_inode *gi, struct page *memory, unsigned int nr)
{
	for (unsigned int i = 0; i < GMEM_CHUNK_PAGES; i++) {
		struct folio *folio = page_folio(memory + i);

		if (i < nr) {
			generic_error_remove_folio(gmem_mapping(gi), folio);
			folio_unlock(folio);
		}
		folio_put(folio);
	}
}

/* WHOLE is for a chunk that is in one piece: one that has been broken meanwhile stays so. */
static void gmem_chunk_mark(struct gmem_inode *gi, pgoff_t first, xa_mark_t mark)
{
	XA_STATE(xas, &gmem_mapping(gi)->i_pages, first);

	lockdep_assert_held(&gmem_mapping(gi)->invalidate_lock);

	xas_lock_irq(&xas);
	/* Memory failure comes with none of the caller's locks. */
	if (xas_load(&xas) && (mark == GMEM_CHUNK_PIECE ||
			       (xas_get_mark(&xas, GMEM_CHUNK_PIECE) &&
				!xas_get_mark(&xas, GMEM_CHUNK_WHOLE)))) {
		xas_set_mark(&xas, mark);
		if (mark == GMEM_CHUNK_WHOLE)
			atomic_long_inc(&gi->chunks);
	}
	xas_unlock_irq(&xas);
}

/**
 * gmem_chunk_add() - put a chunk into an inode
 * @gi: the inode
 * @index: page offset for which gmem_chunk_fits() holds
 * @memory: from gmem_chunk_alloc(), which is the inode's then, or free
 * @content: its pages have content
 *
 * All of it, or nothing.
 *
 * Context: Process context, may sleep; invalidate_lock is held, and no folio's lock.
 * Return: 0; -EEXIST where a page is there; -ENOMEM, also of the memory cgroup.
 */
int gmem_chunk_add(struct gmem_inode *gi, pgoff_t index, struct page *memory, bool content)
{
	bool poisoned = false;
	unsigned int nr;
	int r = 0;

	lockdep_assert_held(&gmem_mapping(gi)->invalidate_lock);

	nr = gmem_chunk_insert(gi, index, memory, &r);
	if (r) {
		gmem_chunk_undo(gi, memory, nr);
		return r;
	}
	atomic_long_add(GMEM_CHUNK_PAGES, &gi->allocated);

	for (unsigned int i = 0; i < GMEM_CHUNK_PAGES; i++) {
		if (content)
			folio_mark_uptodate(page_folio(memory + i));
		/* One that becomes so later waits for the folio's lock, and finds the marks. */
		poisoned |= PageHWPoison(memory + i);
	}
	if (!poisoned) {
		gmem_chunk_mark(gi, index, GMEM_CHUNK_PIECE);
		if (content)
			gmem_chunk_mark(gi, index, GMEM_CHUNK_WHOLE);
	}
	trace_gmem_chunk(gi, index, page_to_pfn(memory), content);

	for (unsigned int i = 0; i < GMEM_CHUNK_PAGES; i++) {
		folio_unlock(page_folio(memory + i));
		folio_put(page_folio(memory + i));
	}
	return 0;
}

/* May all that is missing of a chunk come as zeroes, and the same for whom? */
static bool gmem_chunk_is_free(struct gmem_inode *gi, pgoff_t first)
{
	if (!gmem_chunk_is_uniform(gi, first))
		return false;

	for (unsigned int i = 0; gi->pager && i < GMEM_CHUNK_PAGES; i++) {
		if (gmem_page_is_missing(gi, first + i) && gmem_pager_missing(gi, first + i))
			return false;
	}
	return true;
}

/**
 * gmem_chunk_make() - have a missing page come with its chunk
 * @gi: the inode
 * @index: page offset
 * @content: as a touch does; else it is only allocated
 *
 * Does nothing where a page of the chunk is there, the pager owes one, or the chunk is
 * private in part; or where there is no memory in one piece.
 *
 * Context: Process context, may sleep; invalidate_lock is held, and no folio's lock.
 */
void gmem_chunk_make(struct gmem_inode *gi, pgoff_t index, bool content)
{
	pgoff_t first = gmem_chunk_first(index);
	struct mutex *lock = gmem_chunk_lock(gi, first);
	struct page *memory;

	lockdep_assert_held(&gmem_mapping(gi)->invalidate_lock);

	/* A fault on a page that is owed does not queue up behind others' chunks. */
	if (!gmem_chunk_fits(gi, first) || !gmem_chunk_is_free(gi, first) ||
	    !gmem_chunk_try_lock(lock))
		return;
	if (gmem_chunk_fits(gi, first) && gmem_chunk_is_free(gi, first)) {
		memory = gmem_chunk_alloc(gi, true);
		if (memory)
			gmem_chunk_add(gi, first, memory, content);
	}
	mutex_unlock(lock);
}

/* A touch of one page gives all others content, too: zeroes. False where one is bad. */
static bool gmem_chunk_fill(struct gmem_inode *gi, pgoff_t first)
{
	for (pgoff_t index = first; index < first + GMEM_CHUNK_PAGES; index++) {
		struct folio *folio = filemap_lock_folio(gmem_mapping(gi), index);
		bool poisoned;

		if (IS_ERR(folio))
			return false;
		poisoned = gmem_folio_is_poisoned(folio, index);
		if (!poisoned && !gmem_folio_has_content(folio)) {
			gmem_folio_make_zero(folio);
			folio_mark_uptodate(folio);
		}
		folio_unlock(folio);
		folio_put(folio);
		if (poisoned)
			return false;
		cond_resched();
	}
	return true;
}

/* One that was allocated ahead, and is touched or all populated now. */
static void gmem_chunk_complete(struct gmem_inode *gi, pgoff_t first)
{
	if (gmem_chunk_is_free(gi, first) && gmem_chunk_fill(gi, first))
		gmem_chunk_mark(gi, first, GMEM_CHUNK_WHOLE);
}

static bool gmem_chunk_may_come(struct gmem_inode *gi, pgoff_t index)
{
	if (!gmem_has_chunks(gi) || gmem_chunk_has_mark(gi, index, GMEM_CHUNK_WHOLE))
		return false;
	return gmem_chunk_has_mark(gi, index, GMEM_CHUNK_PIECE) ||
	       !xa_load(&gmem_mapping(gi)->i_pages, index);
}

/**
 * gmem_chunk_touch() - a page is about to be touched
 * @gi: the inode
 * @index: page offset
 *
 * The caller looks at the page afterwards, which is there or not.
 *
 * Context: Process context, may sleep; invalidate_lock is held, and no folio's lock.
 */
void gmem_chunk_touch(struct gmem_inode *gi, pgoff_t index)
{
	if (!gmem_chunk_may_come(gi, index))
		return;
	if (gmem_chunk_has_mark(gi, index, GMEM_CHUNK_PIECE))
		gmem_chunk_complete(gi, gmem_chunk_first(index));
	else
		gmem_chunk_make(gi, index, true);
}

/**
 * gmem_chunk_touch_unlocked() - the same, where invalidate_lock is not held
 * @gi: the inode
 * @index: page offset
 *
 * A fault in kvm->srcu is not to wait for a hole elsewhere in the inode: while one is being
 * punched, or something else is changed, it does with a single page.
 *
 * Context: as gmem_chunk_touch() otherwise.
 */
void gmem_chunk_touch_unlocked(struct gmem_inode *gi, pgoff_t index)
{
	struct address_space *mapping = gmem_mapping(gi);

	if (!gmem_chunk_may_come(gi, index) || !down_read_trylock(&mapping->invalidate_lock))
		return;
	gmem_chunk_touch(gi, index);
	filemap_invalidate_unlock_shared(mapping);
}

/**
 * gmem_chunks_break() - chunks are not whole any more
 * @gi: the inode
 * @start: first page offset that is taken away; becomes that of what to invalidate
 * @end: page offset after the last; likewise
 *
 * Context: Process context; gmem_chunks_lock(), or views_lock, is held until the invalidation
 * has begun.
 */
void gmem_chunks_break(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end)
{
	pgoff_t last = gmem_chunk_first(*end - 1) + GMEM_CHUNK_PAGES - 1;
	XA_STATE(xas, &gmem_mapping(gi)->i_pages, gmem_chunk_first(*start));
	void *entry;

	if (!gmem_has_chunks(gi))
		return;
	lockdep_assert_held(&gi->views_lock);

	xas_lock_irq(&xas);
	xas_for_each_marked(&xas, entry, last, GMEM_CHUNK_PIECE) {
		xas_clear_mark(&xas, GMEM_CHUNK_PIECE);
		if (!xas_get_mark(&xas, GMEM_CHUNK_WHOLE))
			continue;
		xas_clear_mark(&xas, GMEM_CHUNK_WHOLE);
		atomic_long_dec(&gi->chunks);
		trace_gmem_chunk_break(gi, xas.xa_index);
		*start = min(*start, xas.xa_index);
		*end = max(*end, xas.xa_index + GMEM_CHUNK_PAGES);
	}
	xas_unlock_irq(&xas);
}

/* Is the chunk of @index mapped as one before, or can it be after, @start to @end change? */
static bool gmem_chunk_changes(struct gmem_inode *gi, pgoff_t index, pgoff_t start, pgoff_t end,
			       u64 attributes)
{
	pgoff_t first = gmem_chunk_first(index), next = first + GMEM_CHUNK_PAGES;

	if (!gmem_chunk_is_whole(gi, first))
		return false;
	if (gmem_chunk_is_uniform(gi, first))
		return true;
	return (start <= first ||
		gmem_range_has_attributes(gi, first, start - first, attributes)) &&
	       (end >= next || gmem_range_has_attributes(gi, end, next - end, attributes));
}

/**
 * gmem_chunks_extend() - extend a range to the chunks that a conversion concerns
 * @gi: the inode
 * @start: first page offset that is converted; becomes that of what to invalidate
 * @end: page offset after the last; likewise
 * @attributes: what they will be
 *
 * Those that were uniform are mapped as one, perhaps by a fault in flight. Those that become
 * so are mapped by pages, which have to go, for guests to map them as one again.
 *
 * Context: Process context; invalidate_lock is held for writing; and gmem_chunks_lock(), until
 * the invalidation has begun. The attributes have not changed yet.
 */
void gmem_chunks_extend(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end, u64 attributes)
{
	pgoff_t first = *start, next = *end;

	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);

	if (!gmem_has_chunks(gi))
		return;
	lockdep_assert_held(&gi->views_lock);

	if (gmem_chunk_changes(gi, first, first, next, attributes)) {
		*start = gmem_chunk_first(first);
		*end = max(next, *start + GMEM_CHUNK_PAGES);
	}
	if (gmem_chunk_first(next - 1) != gmem_chunk_first(first) &&
	    gmem_chunk_changes(gi, next - 1, first, next, attributes))
		*end = gmem_chunk_first(next - 1) + GMEM_CHUNK_PAGES;
}
