// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking pages from the host's userspace, and telling those who may use their
 * content from those who are only passing by.
 *
 * With invalidate_lock held for writing no host fault is let in. Then:
 *
 *   - take the range out of all host mappings;
 *   - for each folio that is there, have its lock once, and unmap what a host
 *     fault mapped that was let in before: now nobody has it mapped, and none of
 *     the references that are left is one that can become a mapping;
 *   - look whether there are references left. Fast GUP takes its reference and
 *     then looks whether the page table still has the page; we took it out of the
 *     page table and then look for references: one of us sees the other.
 *
 * The page cache's references are allowed. Each further one is either somebody's
 * who may read and write the page for as long as they like (a pin for I/O, a
 * page in a pipe), or one that goes by itself: a stage-2 fault or a lookup in
 * flight, a TLB flush that is not done, a CPU's batch of pages on their way to
 * an LRU list. The counts look the same, so the only way to know is to wait,
 * without any lock, and what is not gone after a while is taken for one that
 * stays. After a wait all starts over.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/pagevec.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "gmem.h"
#include "pinned.h"
#include "view.h"

/* What stays longer is taken for a reference that stays. */
#define GMEM_FOLIO_PATIENCE	(HZ / 4)

/* How long a call goes on while it is always another folio that is held. */
#define GMEM_CALL_PATIENCE	(2 * HZ)

static DEFINE_MUTEX(gmem_drain_lock);
static unsigned long gmem_drains; /* that have begun; changed with gmem_drain_lock held */
static DEFINE_PER_CPU(struct work_struct, gmem_drain_works);

/*
 * What the kernel exports of draining its LRU batches is this: releasing a
 * batch drains those of the CPU that it happens on first.
 */
static void gmem_drain_this_cpu(void)
{
	struct folio_batch nothing;

	folio_batch_init(&nothing);
	__folio_batch_release(&nothing);
}

static void gmem_drain_work(struct work_struct *work)
{
	gmem_drain_this_cpu();
}

/*
 * Returns when no batch holds a folio that it held before. One drain is for all who began to wait
 * before it began, in whatever inode: each costs a work on every CPU, and they come one by one.
 */
static int gmem_drain_all_cpus(void)
{
	unsigned long begun;
	int cpu;

	/* After the caller's look at the folio; pairs with the one below. */
	smp_mb();
	begun = READ_ONCE(gmem_drains);

	if (mutex_lock_killable(&gmem_drain_lock))
		return -EINTR;

	/* One that began since has come to its end, too. */
	if (gmem_drains != begun)
		goto out;

	WRITE_ONCE(gmem_drains, begun + 1);
	/* A task that does not see it yet has looked at its folio before the CPUs drain. */
	smp_mb();
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		struct work_struct *work = &per_cpu(gmem_drain_works, cpu);

		INIT_WORK(work, gmem_drain_work);
		queue_work_on(cpu, system_highpri_wq, work);
	}
	for_each_online_cpu(cpu)
		flush_work(&per_cpu(gmem_drain_works, cpu));
	cpus_read_unlock();
out:
	mutex_unlock(&gmem_drain_lock);
	return 0;
}

/* References beside the page cache's and ours, those of mappings among them. */
static int gmem_folio_others(struct folio *folio)
{
	return folio_ref_count(folio) - folio_nr_pages(folio) - 1;
}

/* Takes one folio from the host; true if it is free of references then. */
static bool gmem_unmap_folio(struct gmem_inode *gi, struct folio *folio)
{
	folio_lock(folio);
	if (folio_mapped(folio))
		gmem_unmap_host(gi, folio->index, folio_next_index(folio));
	folio_unlock(folio);

	/* Of a poisoned page memory failure keeps a reference; nobody gets at it. */
	if (folio_test_hwpoison(folio))
		return true;

	/*
	 * A mapping still counts here: of one that somebody else is taking away,
	 * the page table entry may be gone while a TLB has it yet.
	 */
	if (!gmem_folio_others(folio))
		return true;

	/* Most often it is in a batch here, since the caller has just touched it. */
	gmem_drain_this_cpu();
	return !gmem_folio_others(folio);
}

static int gmem_unmap_batch(struct gmem_inode *gi, pgoff_t first,
			    struct folio_batch *batch, struct gmem_pinned *pinned)
{
	for (unsigned int i = 0; i < folio_batch_count(batch); i++) {
		struct folio *folio = batch->folios[i];

		if (gmem_unmap_folio(gi, folio))
			continue;

		folio_get(folio);
		pinned->folio = folio;
		pinned->index = max(folio->index, first);
		return -EAGAIN;
	}
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/**
 * gmem_unmap_users() - take pages from the host's userspace
 * @gi: the inode
 * @first: first page offset
 * @last: last page offset
 * @pinned: where the first folio goes that somebody has a reference to
 *
 * When it succeeds nobody of the host can read or write the pages until
 * invalidate_lock is let go, however they began.
 *
 * Context: Process context, may sleep; invalidate_lock is held for writing.
 * Return: 0; -EAGAIN with @pinned set; -EINTR by a fatal signal.
 */
int gmem_unmap_users(struct gmem_inode *gi, pgoff_t first, pgoff_t last,
		     struct gmem_pinned *pinned)
{
	pgoff_t index = first;
	struct folio_batch batch;
	int r = 0;

	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);

	gmem_unmap_host(gi, first, last + 1);

	folio_batch_init(&batch);
	batch.percpu_pvec_drained = true;
	while (!r && filemap_get_folios(gmem_mapping(gi), &index, last, &batch)) {
		r = gmem_unmap_batch(gi, first, &batch, pinned);
		folio_batch_release(&batch);
		cond_resched();
	}
	return r;
}

/**
 * gmem_pinned_init() - at the beginning of a call that may have to wait
 * @pinned: what gmem_unmap_users() and gmem_pinned_wait() go on with
 *
 * Context: Any.
 */
void gmem_pinned_init(struct gmem_pinned *pinned)
{
	pinned->deadline = jiffies + GMEM_CALL_PATIENCE;
}

/* Mappings may have come back, and are no pinned: they are unmapped. */
static bool gmem_folio_is_held(struct folio *folio)
{
	return gmem_folio_others(folio) > folio_mapcount(folio);
}

static int gmem_folio_wait(struct folio *folio)
{
	unsigned long deadline;

	/* Taken for I/O by name: this is no passer-by, and no drain would change that. */
	if (gmem_folio_is_held(folio) && folio_maybe_dma_pinned(folio))
		return -EAGAIN;
	if (gmem_drain_all_cpus())
		return -EINTR;

	deadline = jiffies + GMEM_FOLIO_PATIENCE;
	while (gmem_folio_is_held(folio)) {
		if (folio_maybe_dma_pinned(folio) || time_after(jiffies, deadline))
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(50, 500);
	}
	return 0;
}

/**
 * gmem_pinned_wait() - wait for references that go by themselves
 * @pinned: from gmem_unmap_users(), whose folio is let go here
 *
 * Context: Process context, may sleep, no lock held: what holds the folio may
 * need any of them to come to an end.
 * Return: 0 when they are gone: try again; -EAGAIN where some stay, or the call
 * has gone on for long enough; -EINTR by a fatal signal.
 */
int gmem_pinned_wait(struct gmem_pinned *pinned)
{
	int r = gmem_folio_wait(pinned->folio);

	folio_put(pinned->folio);
	if (!r && time_after(jiffies, pinned->deadline))
		return -EAGAIN;
	return r;
}
