// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carrying out the answers in a pager's ring: see ring.c.
 *
 * A waiter carries out answers only for as long as its own page is missing and
 * nothing else wants it, and never waits for another task that is at it: that may
 * take long. So an answer is carried out in parts, of which the ring remembers how
 * far they came, and a task that stops looks whether it leaves answers behind that
 * a sleeper could have carried out (gmem_ring_pass_on()).
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "../fill/fill.h"
#include "../gmem.h"
#include "file.h"
#include "owed.h"
#include "ring.h"
#include "wait.h"

/* Bytes of one answer: larger ones are for KVM_GMEM_PAGER_ANSWER. */
#define GMEM_RING_MAX_SIZE	((u64)KVM_GMEM_RING_MAX_BUFFERS << PAGE_SHIFT)

/* What is carried out between two looks at what else there is to do: a huge page. */
#define GMEM_RING_PART		HPAGE_PMD_SIZE

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
 * Goes on with the next answer. Returns 1 when that is carried out, as far as it can
 * be; 0: there is more to do, or the task was killed; -ENOMEM: it lacks memory, and did
 * not @give_up.
 */
static int gmem_ring_go_on(struct gmem_ring *ring, bool give_up)
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
		return 0;
	if (r == -ENOMEM && !give_up)
		return r;

	WRITE_ONCE(entry->done, ring->answer.done);
	WRITE_ONCE(entry->error, -r);
	ring->begun = false;
	/* After what it says of how that went. */
	smp_store_release(&ring->shared->answer_tail, ring->answer_tail + 1);
	WRITE_ONCE(ring->answer_tail, ring->answer_tail + 1);
	return 1;
}

/**
 * struct gmem_ring_work - what a task does for a ring
 * @stop: asked before each part, whether to stop; or NULL
 * @arg: for @stop
 * @max: answers that are still to be carried out
 * @done: that were
 * @starved: how often it has stopped for want of memory
 */
struct gmem_ring_work {
	gmem_ring_stop_fn stop;
	void *arg;
	u32 max;
	u32 done;
	unsigned int starved;
};

/* How often room is made for one task before an answer fails with ENOMEM. */
#define GMEM_RING_STARVED	3

/*
 * Carries out answers. The pager can't keep anyone at it for ever. Returns 0, or
 * -ENOMEM: it is worth another try after gmem_make_room(), with @ring->answering let go.
 */
static int gmem_ring_carry_out(struct gmem_ring *ring, struct gmem_ring_work *work)
{
	int r = 0;

	lockdep_assert_held(&ring->answering);

	while (r >= 0 && work->done < work->max && gmem_ring_answers(ring) &&
	       !fatal_signal_pending(current) && !(work->stop && work->stop(work->arg))) {
		r = gmem_ring_go_on(ring, work->starved >= GMEM_RING_STARVED);
		if (r > 0)
			work->done++;
		cond_resched();
	}
	if (r >= 0)
		return 0;

	work->starved++;
	return r;
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
	struct gmem_ring_work work = { .stop = stop, .arg = arg, .max = U32_MAX };
	int r = -ENOMEM;

	while (r && gmem_ring_has_work(ring) && mutex_trylock(&ring->answering)) {
		r = gmem_ring_carry_out(ring, &work);
		mutex_unlock(&ring->answering);
		/* Another task, which has room, may go on meanwhile. */
		if (r && !gmem_make_room())
			work.starved = GMEM_RING_STARVED;
	}
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
		gmem_waits_nudge(ring->pager, ring);
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
	struct gmem_ring_work work = { };
	long r;

	if (!ring)
		return -ENODEV;

	work.max = gmem_ring_answers(ring);
	do {
		/* Another task that holds it looks after each part whether it has to go on. */
		r = mutex_lock_killable(&ring->answering);
		if (r)
			break;
		r = gmem_ring_carry_out(ring, &work);
		mutex_unlock(&ring->answering);
		if (r && !gmem_make_room())
			work.starved = GMEM_RING_STARVED;
	} while (r);
	gmem_ring_pass_on(ring);

	mutex_lock(&pager->lock);
	gmem_ring_put_events(pager);
	mutex_unlock(&pager->lock);

	gmem_ring_put(ring);
	return r ? : work.done;
}
