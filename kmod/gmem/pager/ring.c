// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager's ring: events and answers in memory that pager and kernel share.
 *
 * Answers with their content are carried out by whoever comes first: a vCPU
 * that looks for its page for a while before it sleeps, so that neither side
 * makes a system call or waits to be woken; or the pager, by ENTER. It is not
 * the pager's memory that is read, but the ring's, which is always there: the
 * vCPU depends on nothing of the pager's.
 *
 * All of it can change at any time, and be anything. The kernel keeps its own
 * indices, and reads an answer once.
 *
 * A waiter says in @shared->wake that it will sleep, before its last look for
 * answers; the pager looks there after it has put its answer. At least one of the
 * two sees what the other has done.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

#include "../gmem.h"
#include "events.h"
#include "owed.h"
#include "ring.h"
#include "wait.h"

static_assert(sizeof(struct kvm_gmem_ring) <= PAGE_SIZE);
static_assert(sizeof(struct kvm_gmem_pager_ring) == 64);

static void gmem_ring_free_pages(struct gmem_ring *ring)
{
	if (ring->shared)
		vunmap(ring->shared);
	while (ring->nr_pages) {
		__free_page(ring->pages[--ring->nr_pages]);
		cond_resched();
	}
	kvfree(ring->pages);
}

static int gmem_ring_alloc_pages(struct gmem_ring *ring, unsigned long nr)
{
	ring->pages = kvcalloc(nr, sizeof(ring->pages[0]), GFP_KERNEL_ACCOUNT);
	if (!ring->pages)
		return -ENOMEM;

	for (; ring->nr_pages < nr; ring->nr_pages++) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

		if (!page)
			return -ENOMEM;
		ring->pages[ring->nr_pages] = page;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}

	ring->shared = vmap(ring->pages, nr, VM_MAP, PAGE_KERNEL);
	return ring->shared ? 0 : -ENOMEM;
}

/* Says in @args where things are. */
static int gmem_ring_lay_out(struct gmem_ring *ring, struct kvm_gmem_pager_ring *args)
{
	int r;

	args->events = PAGE_SIZE;
	args->answers = args->events + PAGE_ALIGN(args->entries * sizeof(ring->events[0]));
	args->content = args->answers + PAGE_ALIGN(args->entries * sizeof(ring->answers[0]));
	args->size = args->content + ((u64)args->buffers << PAGE_SHIFT);

	r = gmem_ring_alloc_pages(ring, args->size >> PAGE_SHIFT);
	if (r)
		return r;

	ring->events = (void *)ring->shared + args->events;
	ring->answers = (void *)ring->shared + args->answers;
	ring->content = (void *)ring->shared + args->content;
	return 0;
}

static struct gmem_ring *gmem_ring_alloc(struct gmem_pager *pager,
					 struct kvm_gmem_pager_ring *args)
{
	struct gmem_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	int r;

	if (!ring)
		return ERR_PTR(-ENOMEM);

	r = gmem_ring_lay_out(ring, args);
	if (r) {
		gmem_ring_free_pages(ring);
		kfree(ring);
		return ERR_PTR(r);
	}
	ring->pager = pager;
	ring->entries = args->entries;
	ring->buffers = args->buffers;
	ring->poll_ns = args->poll_ns;
	refcount_set(&ring->refs, 1);
	mutex_init(&ring->answering);
	spin_lock_init(&ring->lock);
	return ring;
}

/**
 * gmem_ring_get() - the ring of a pager
 * @pager: the pager; the caller has a reference to its inode
 *
 * Context: Any.
 * Return: the ring, to be given back by gmem_ring_put(), or NULL.
 */
struct gmem_ring *gmem_ring_get(struct gmem_pager *pager)
{
	struct gmem_ring *ring;

	guard(rcu)();
	ring = rcu_dereference(pager->ring);
	return ring && refcount_inc_not_zero(&ring->refs) ? ring : NULL;
}

/**
 * gmem_ring_put() - give back what gmem_ring_get() gave
 * @ring: the ring, or NULL
 *
 * Context: Process context, may sleep.
 */
void gmem_ring_put(struct gmem_ring *ring)
{
	if (!ring || !refcount_dec_and_test(&ring->refs))
		return;

	gmem_ring_free_pages(ring);
	kfree_rcu(ring, rcu);
}

/**
 * gmem_ring_poll_ns() - how long a vCPU looks for an answer before it sleeps
 * @ring: the ring
 *
 * Context: Any.
 * Return: nanoseconds.
 */
u64 gmem_ring_poll_ns(const struct gmem_ring *ring)
{
	return ring->poll_ns;
}

/**
 * gmem_ring_create() - KVM_GMEM_PAGER_RING
 * @pager: the pager
 * @argp: struct kvm_gmem_pager_ring
 *
 * Context: Process context.
 * Return: 0; -EFAULT, -EINVAL for an argument, -EBUSY where there is one,
 * -ENOMEM, -EINTR.
 */
long gmem_ring_create(struct gmem_pager *pager, void __user *argp)
{
	struct kvm_gmem_pager_ring args;
	struct gmem_ring *ring;
	int r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)) ||
	    !is_power_of_2(args.entries) || args.entries > KVM_GMEM_RING_MAX_ENTRIES ||
	    args.buffers > KVM_GMEM_RING_MAX_BUFFERS || args.poll_ns > KVM_GMEM_RING_MAX_POLL_NS)
		return -EINVAL;

	ring = gmem_ring_alloc(pager, &args);
	if (IS_ERR(ring))
		return PTR_ERR(ring);

	r = copy_to_user(argp, &args, sizeof(args)) ? -EFAULT : 0;

	mutex_lock(&pager->lock);
	if (!r && rcu_access_pointer(pager->ring))
		r = -EBUSY;
	if (!r) {
		rcu_assign_pointer(pager->ring, ring);
		gmem_ring_put_events(pager);
	}
	mutex_unlock(&pager->lock);

	if (r)
		gmem_ring_put(ring);
	else
		/* Those who sleep have not said so in it. */
		gmem_waits_wake(pager, 0, ULONG_MAX, NULL);
	return r;
}

/**
 * gmem_ring_remove() - the pager's file is gone, and with it the ring
 * @pager: the pager
 *
 * Context: Any; pager->lock is held. The waiters are to be woken.
 * Return: the ring, to be given back by gmem_ring_put() with no lock held: it may have 16 MiB; or
 * NULL.
 */
struct gmem_ring *gmem_ring_remove(struct gmem_pager *pager)
{
	return rcu_replace_pointer(pager->ring, NULL, lockdep_is_held(&pager->lock));
}

/**
 * gmem_ring_mmap() - file_operations.mmap of a pager
 * @pager: the pager
 * @vma: all of the ring, or its beginning, shared
 *
 * Context: mmap_lock is held for writing.
 * Return: 0; -ENODEV without a ring, -EINVAL for a private mapping, -EPERM for
 * one to execute, -ENXIO past the end, -ENOMEM.
 */
int gmem_ring_mmap(struct gmem_pager *pager, struct vm_area_struct *vma)
{
	struct gmem_ring *ring = gmem_ring_get(pager);
	int r;

	if (!ring)
		return -ENODEV;

	if (!(vma->vm_flags & VM_SHARED)) {
		r = -EINVAL;
	} else if (vma->vm_flags & VM_EXEC) {
		r = -EPERM;
	} else {
		vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYEXEC);
		r = vm_map_pages(vma, ring->pages, ring->nr_pages);
	}
	gmem_ring_put(ring);
	return r;
}

static void gmem_ring_set_wake(struct gmem_ring *ring)
{
	lockdep_assert_held(&ring->lock);

	WRITE_ONCE(ring->shared->wake, (ring->sleepers ? KVM_GMEM_RING_WAKE : 0) |
				       (ring->more ? KVM_GMEM_RING_MORE : 0));
}

/* Room for events. A tail that makes no sense leaves none. */
static u32 gmem_ring_room(struct gmem_ring *ring)
{
	/* The pager has read what stands before it. */
	u32 unread = ring->event_head - smp_load_acquire(&ring->shared->event_tail);

	return unread > ring->entries ? 0 : ring->entries - unread;
}

/**
 * gmem_ring_put_events() - unread events go into the ring, as far as there is room
 * @pager: the pager, with a ring or without
 *
 * Context: Any; pager->lock is held.
 */
void gmem_ring_put_events(struct gmem_pager *pager)
{
	struct gmem_ring *ring = rcu_dereference_protected(pager->ring,
							   lockdep_is_held(&pager->lock));
	struct kvm_gmem_event event;
	u32 room;

	if (!ring)
		return;

	for (room = gmem_ring_room(ring); room && gmem_events_take(pager, &event); room--) {
		ring->events[ring->event_head & (ring->entries - 1)] = event;
		/* After the event. */
		smp_store_release(&ring->shared->event_head, ++ring->event_head);
	}

	if (ring->more == !list_empty(&pager->unread))
		return;
	spin_lock(&ring->lock);
	ring->more = !ring->more;
	gmem_ring_set_wake(ring);
	spin_unlock(&ring->lock);
}

/**
 * gmem_ring_has_events() - has the pager something to read in the ring?
 * @pager: the pager, with a ring or without
 *
 * Context: Process context, may sleep.
 * Return: whether it has.
 */
bool gmem_ring_has_events(struct gmem_pager *pager)
{
	struct gmem_ring *ring = gmem_ring_get(pager);
	bool has;

	if (!ring)
		return false;

	has = READ_ONCE(ring->event_head) != READ_ONCE(ring->shared->event_tail);
	gmem_ring_put(ring);
	return has;
}

/**
 * gmem_ring_sleep() - the caller will sleep, and not see an answer
 * @ring: the ring, or NULL
 *
 * It looks at gmem_ring_has_work() afterwards, and each time when it is woken, before
 * it sleeps.
 *
 * Context: Any.
 */
void gmem_ring_sleep(struct gmem_ring *ring)
{
	if (!ring)
		return;

	spin_lock(&ring->lock);
	ring->sleepers++;
	gmem_ring_set_wake(ring);
	spin_unlock(&ring->lock);

	/* Pairs with the pager's, between answer_head and wake. */
	smp_mb();
}

/**
 * gmem_ring_wake() - the caller of gmem_ring_sleep() has slept
 * @ring: the ring, or NULL
 *
 * Context: Any.
 */
void gmem_ring_wake(struct gmem_ring *ring)
{
	if (!ring)
		return;

	spin_lock(&ring->lock);
	ring->sleepers--;
	gmem_ring_set_wake(ring);
	spin_unlock(&ring->lock);
}
