// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds a folio: telling those who may use its content from those who are
 * only passing by.
 *
 * A folio in the page cache that nobody has mapped has the page cache's
 * references. Each further one is either somebody's who may read and write it
 * for as long as they like (a pin for I/O, a page in a pipe), or one that goes
 * by itself: a stage-2 fault or a lookup in flight, a TLB flush that is not
 * done, a CPU's batch of pages on their way to an LRU list. The counts look the
 * same, so the only way to know is to wait, and what is not gone after a while
 * is taken for one that stays.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/pagevec.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "gmem.h"

/* What stays longer is taken for a reference that stays. */
#define GMEM_REFS_PATIENCE	(HZ / 4)

static DEFINE_MUTEX(gmem_drain_lock);
static DEFINE_PER_CPU(struct work_struct, gmem_drain_works);

/**
 * gmem_drain_this_cpu() - put this CPU's batches of pages on their LRU lists
 *
 * What the kernel exports of that is this: releasing a batch of pages drains
 * those first.
 *
 * Context: Process context.
 */
void gmem_drain_this_cpu(void)
{
	struct folio_batch nothing;

	folio_batch_init(&nothing);
	__folio_batch_release(&nothing);
}

static void gmem_drain_work(struct work_struct *work)
{
	gmem_drain_this_cpu();
}

/* Returns when no batch holds a folio that it held before. */
static int gmem_drain_all_cpus(void)
{
	int cpu;

	if (mutex_lock_killable(&gmem_drain_lock))
		return -EINTR;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		struct work_struct *work = &per_cpu(gmem_drain_works, cpu);

		INIT_WORK(work, gmem_drain_work);
		queue_work_on(cpu, system_highpri_wq, work);
	}
	for_each_online_cpu(cpu)
		flush_work(&per_cpu(gmem_drain_works, cpu));
	cpus_read_unlock();

	mutex_unlock(&gmem_drain_lock);
	return 0;
}

/**
 * gmem_folio_is_held() - has anybody a reference beside the page cache?
 * @folio: the caller has one reference
 *
 * Context: Any. Host mappings do not count: a caller that means to exclude
 * them looks at folio_mapped() under the folio's lock.
 * Return: true if so.
 */
bool gmem_folio_is_held(struct folio *folio)
{
	return folio_ref_count(folio) - folio_mapcount(folio) > folio_nr_pages(folio) + 1;
}

/**
 * gmem_folio_wait_unheld() - wait for references that go by themselves
 * @folio: the caller has one reference
 *
 * Context: Process context, may sleep, no lock held: what holds the folio may
 * need any of them to come to an end.
 * Return: 0 when they are gone; -EAGAIN where some stay; -EINTR.
 */
int gmem_folio_wait_unheld(struct folio *folio)
{
	unsigned long deadline;

	if (gmem_drain_all_cpus())
		return -EINTR;

	deadline = jiffies + GMEM_REFS_PATIENCE;
	while (gmem_folio_is_held(folio)) {
		/* Taken for I/O by name: this is no passer-by. */
		if (folio_maybe_dma_pinned(folio) || time_after(jiffies, deadline))
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(50, 500);
	}
	return 0;
}
