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
 *
 * A waiter carries out answers only for as long as its own page is missing and
 * nothing else wants it, and never waits for another task that is at it: that may
 * take long. So an answer is carried out in parts, of which the ring remembers how
 * far they came, and a task that stops looks whether it leaves answers behind that
 * a sleeper could have carried out (gmem_ring_pass_on()).
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

#include "gmem.h"
#include "pager.h"
#include "ring.h"

static_assert(sizeof(struct kvm_gmem_ring) <= PAGE_SIZE);
static_assert(sizeof(struct kvm_gmem_pager_ring) == 64);

/* Bytes of one answer: larger ones are for KVM_GMEM_PAGER_ANSWER. */
#define GMEM_RING_MAX_SIZE	((u64)KVM_GMEM_RING_MAX_BUFFERS << PAGE_SHIFT)

/* What is carried out between two looks at what else there is to do: a huge page. */
#define GMEM_RING_PART		HPAGE_PMD_SIZE

/**
 * struct gmem_ring - memory that a pager and the kernel share
 * @pager: whose it is; kept by who has a reference to its inode
 * @refs: the pager's, and of those who are at work on it
 * @entries: length of @events and of @answers, a power of 2; constant
 * @buffers: pages of @content; constant
 * @poll_ns: how long a vCPU looks for an answer; constant
 * @nr_pages: length of @pages; constant
 * @pages: of all that is shared
 * @shared: the first of them; what follows is in the others
 * @events: written by the kernel
 * @answers: written by the pager, but for how they went
 * @content: written by the pager
 * @event_head: events that were put; protected by pager->lock
 * @answering: held by the task that carries out answers
 * @answer_tail: answers that were carried out; protected by @answering
 * @answer: the next one, as it was when it was begun; likewise
 * @begun: it was; likewise
 * @lock: protects what follows, and shared->wake
 * @sleepers: who would not see an answer
 * @more: events found no room
 * @rcu: frees it
 */
struct gmem_ring {
	struct gmem_pager *pager;
	refcount_t refs;
	u32 entries;
	u32 buffers;
	u64 poll_ns;
	unsigned long nr_pages;
	struct page **pages;
	struct kvm_gmem_ring *shared;
	struct kvm_gmem_event *events;
	struct kvm_gmem_answer *answers;
	void *content;
	u32 event_head;
	struct mutex answering; /* see above */
	u32 answer_tail;
	struct kvm_gmem_answer answer;
	bool begun;
	spinlock_t lock; /* see above */
	unsigned int sleepers;
	bool more;
	struct rcu_head rcu;
};

static void gmem_ring_free_pages(struct gmem_ring *ring)
{
	if (ring->shared)
		vunmap(ring->shared);
	while (ring->nr_pages)
		__free_page(ring->pages[--ring->nr_pages]);
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
 * Context: Process context, may sleep; pager->lock is held. The waiters are to
 * be woken.
 */
void gmem_ring_remove(struct gmem_pager *pager)
{
	struct gmem_ring *ring;

	ring = rcu_replace_pointer(pager->ring, NULL, lockdep_is_held(&pager->lock));
	gmem_ring_put(ring);
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

/* How many answers the pager has put that nobody has carried out; 0 for nonsense. */
static u32 gmem_ring_answers(struct gmem_ring *ring)
{
	/* Before the answers. */
	u32 nr = smp_load_acquire(&ring->shared->answer_head) - READ_ONCE(ring->answer_tail);

	return nr > ring->entries ? 0 : nr;
}

/**
 * gmem_ring_has_work() - are there answers that nobody is carrying out?
 * @ring: the ring, or NULL
 *
 * Context: Any, also where the caller is about to sleep.
 * Return: true where gmem_ring_help() has something to do.
 */
bool gmem_ring_has_work(struct gmem_ring *ring)
{
	return ring && gmem_ring_answers(ring) && !mutex_is_locked(&ring->answering);
}

/* The content of a COPY, inside the ring; NULL where it is not. */
static const void *gmem_ring_content(struct gmem_ring *ring, const struct kvm_gmem_answer *answer)
{
	u64 start = ring->content - (void *)ring->shared;
	u64 size = (u64)ring->buffers << PAGE_SHIFT, end;

	if (!PAGE_ALIGNED(answer->from) || answer->from < start ||
	    check_add_overflow(answer->from, answer->size, &end) || end > start + size)
		return NULL;
	return (void *)ring->shared + answer->from;
}

/* Does an answer make sense, all of it? */
static int gmem_ring_check(struct gmem_ring *ring, const struct kvm_gmem_answer *answer)
{
	if (answer->op == KVM_GMEM_ANSWER_COPY && !gmem_ring_content(ring, answer))
		return -EINVAL;
	/* Others are for KVM_GMEM_PAGER_ANSWER: it may be a vCPU that is at work here. */
	if (answer->size > GMEM_RING_MAX_SIZE)
		return -EINVAL;
	return gmem_pager_check_answer(ring->pager, answer);
}

/* Carries out one part of @ring->answer: 0 or -errno, with @ring->answer.done. */
static int gmem_ring_carry_out_part(struct gmem_ring *ring)
{
	struct kvm_gmem_answer part = ring->answer;
	const void *content = NULL;
	int r;

	/* What is not COPY or ZERO goes by the whole of its range, and quickly. */
	if (part.op == KVM_GMEM_ANSWER_COPY || part.op == KVM_GMEM_ANSWER_ZERO) {
		part.offset += part.done;
		part.size = min(part.size - part.done,
				GMEM_RING_PART - part.offset % GMEM_RING_PART);
	}
	if (part.op == KVM_GMEM_ANSWER_COPY)
		content = (void *)ring->shared + part.from + part.done;

	r = gmem_pager_answer_one(ring->pager, &part, content, true);
	ring->answer.done += part.done;
	return r;
}

/*
 * Goes on with the next answer. Returns whether that is carried out, as far as it
 * can be; else there is more to do, or the task was killed.
 */
static bool gmem_ring_go_on(struct gmem_ring *ring)
{
	struct kvm_gmem_answer *entry = &ring->answers[ring->answer_tail & (ring->entries - 1)];
	int r = 0;

	if (!ring->begun) {
		memcpy(&ring->answer, entry, sizeof(ring->answer));
		barrier(); /* and not looked at again: it may change */
		ring->answer.done = 0;
		r = gmem_ring_check(ring, &ring->answer);
		ring->begun = true;
	}
	if (!r)
		r = gmem_ring_carry_out_part(ring);
	if (r == -EINTR || (!r && ring->answer.done < ring->answer.size))
		return false;

	WRITE_ONCE(entry->done, ring->answer.done);
	WRITE_ONCE(entry->error, -r);
	ring->begun = false;
	/* After what it says of how that went. */
	smp_store_release(&ring->shared->answer_tail, ring->answer_tail + 1);
	WRITE_ONCE(ring->answer_tail, ring->answer_tail + 1);
	return true;
}

/*
 * Carries out answers: at most @max, and none that is begun once @stop says so, which
 * may be NULL. The pager can't keep anyone at it for ever.
 */
static unsigned int gmem_ring_carry_out(struct gmem_ring *ring, u32 max, gmem_ring_stop_fn stop,
					void *arg)
{
	unsigned int n = 0;

	lockdep_assert_held(&ring->answering);

	while (n < max && gmem_ring_answers(ring) && !fatal_signal_pending(current) &&
	       !(stop && stop(arg))) {
		if (gmem_ring_go_on(ring))
			n++;
		cond_resched();
	}
	return n;
}

/**
 * gmem_ring_help() - carry out answers, if there are any and nobody else does
 * @ring: the ring, or NULL
 * @stop: asked between one part and the next: has the caller better to do, or is the
 *	  page there that it waits for?
 * @arg: for @stop
 *
 * Is followed by gmem_ring_pass_on() when the caller is not among the sleepers (any
 * more).
 *
 * Context: Process context, may sleep; no lock held but vcpu->mutex or kvm->srcu.
 */
void gmem_ring_help(struct gmem_ring *ring, gmem_ring_stop_fn stop, void *arg)
{
	if (!gmem_ring_has_work(ring) || !mutex_trylock(&ring->answering))
		return;

	gmem_ring_carry_out(ring, ring->entries, stop, arg);
	mutex_unlock(&ring->answering);
}

/**
 * gmem_ring_pass_on() - the caller carries out no more answers
 * @ring: the ring, or NULL
 *
 * A waiter that went to sleep meanwhile found the answers in the caller's hands, and
 * the pager found no sleeper: nobody else would look at those that are left.
 *
 * Context: Process context. A caller that others can nudge does so again when its wait ends.
 */
void gmem_ring_pass_on(struct gmem_ring *ring)
{
	if (!ring)
		return;

	/* Pairs with gmem_ring_sleep(): there is a sleeper, or it sees nobody at work. */
	smp_mb();
	if (READ_ONCE(ring->sleepers) && gmem_ring_has_work(ring))
		gmem_waits_nudge(ring->pager);
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

/**
 * gmem_ring_enter() - KVM_GMEM_PAGER_ENTER
 * @pager: the pager
 *
 * Context: Process context, no lock held.
 * Return: how many answers were carried out; -ENODEV without a ring, -EINTR.
 */
long gmem_ring_enter(struct gmem_pager *pager)
{
	struct gmem_ring *ring = gmem_ring_get(pager);
	long r = -EINTR;

	if (!ring)
		return -ENODEV;

	/* Another task that holds it looks after each part whether it has to go on. */
	if (!mutex_lock_killable(&ring->answering)) {
		r = gmem_ring_carry_out(ring, gmem_ring_answers(ring), NULL, NULL);
		mutex_unlock(&ring->answering);
		gmem_ring_pass_on(ring);
	}

	mutex_lock(&pager->lock);
	gmem_ring_put_events(pager);
	mutex_unlock(&pager->lock);

	gmem_ring_put(ring);
	return r;
}
