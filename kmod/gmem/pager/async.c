// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting while the guest runs another task: KVM's asynchronous page faults.
 *
 * KVM tells the guest that a page is not there, and later that it is. Between
 * the two, KVM has a kworker fetch the page from the host's memory. What a pager
 * owes may never come: no thread is to wait for it. Here an item stands in
 * gmem_pager.waits, and whoever wakes it puts it where KVM's worker would: into
 * vcpu->async_pf.done.
 *
 * An item is in gmem_pager.waits for as long as it waits, and leaves it under
 * the lock there: by being completed, or by being cancelled, never both. It is
 * freed under vcpu->mutex, or with its vCPU, and not before who completes it has
 * let go of that lock: so neither item nor vCPU goes away under it.
 *
 * The guest is told when there is something new, not what: it touches the page
 * again, gets it, waits anew, or takes the error. Waking everybody would cost each
 * guest such a touch.
 */
#include <linux/kvm_host.h>
#include <linux/slab.h>

#include "mmu.h"
#include "x86.h"

#include "../access.h"
#include "../gmem.h"
#include "ring.h"
#include "wait.h"

/**
 * struct gmem_async - a guest that waits for a page
 * @apf: KVM's part; in vcpu->async_pf.queue until it is freed
 * @wait: the wait, with a reference to the inode
 */
struct gmem_async {
	struct kvm_async_pf apf;
	struct gmem_wait wait;
};

/**
 * gmem_async_complete() - a guest's task waits no longer
 * @wait: its wait
 *
 * Context: Any but interrupts. Only one caller for an item, after which it may be freed,
 * unless gmem_waits.lock is held.
 */
void gmem_async_complete(struct gmem_wait *wait)
{
	struct gmem_async *async = container_of(wait, struct gmem_async, wait);
	struct kvm_vcpu *vcpu = async->apf.vcpu;
	bool first;

	gmem_ring_wake(wait->ring);

	spin_lock(&vcpu->async_pf.lock);
	first = list_empty(&vcpu->async_pf.done);
	list_add_tail(&async->apf.link, &vcpu->async_pf.done);
	spin_unlock(&vcpu->async_pf.lock);

	if (first)
		kvm_arch_async_page_present_queued(vcpu);
	__kvm_vcpu_wake_up(vcpu);
}

/*
 * The guest can be told now, and is not already waiting for this very page: a second
 * task of it that wants the page has the vCPU wait. Of guests whose registers
 * are encrypted KVM can't set CR2.
 */
static bool gmem_async_is_possible(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	return !vcpu->arch.guest_state_protected && vcpu->async_pf.queued < ASYNC_PF_PER_VCPU &&
	       kvm_can_do_async_pf(vcpu) && kvm_can_deliver_async_pf(vcpu) &&
	       !kvm_find_async_pf_gfn(vcpu, gfn);
}

static struct gmem_async *gmem_async_alloc(struct kvm_vcpu *vcpu, gfn_t gfn,
					   struct gmem_inode *gi, pgoff_t index,
					   unsigned int rounds)
{
	/* Not at any price: the vCPU can wait. */
	struct gmem_async *async = kzalloc(sizeof(*async), GFP_NOWAIT | __GFP_ACCOUNT);

	if (!async)
		return NULL;

	async->apf.gmem = true;
	async->apf.vcpu = vcpu;
	async->apf.cr2_or_gpa = gfn_to_gpa(gfn);
	async->apf.arch.token = kvm_alloc_apf_token(vcpu);
	async->apf.arch.gfn = gfn;

	async->wait.kvm = vcpu->kvm;
	async->wait.rounds = rounds;
	gmem_wait_init(&async->wait, GMEM_WAIT_ASYNC, gi, index);
	ihold(&gi->vfs_inode);
	return async;
}

/* KVM's own write to the guest may wait too, as ever: for what the guest gave it to write to. */
static void gmem_async_tell(struct kvm_vcpu *vcpu, struct gmem_async *async)
{
	list_add_tail(&async->apf.queue, &vcpu->async_pf.queue);
	vcpu->async_pf.queued++;

	kvm_vcpu_srcu_read_lock(vcpu);
	async->apf.notpresent_injected = kvm_arch_async_page_not_present(vcpu, &async->apf);
	kvm_vcpu_srcu_read_unlock(vcpu);
}

/**
 * gmem_async_begin() - have the guest do something else until a page is there
 * @vcpu: the vCPU, whose guest needs it
 * @gfn: the guest frame
 * @waited: the vCPU's own wait, which has begun and will end
 *
 * Context: KVM_RUN, between two entries to the guest; vcpu->mutex is held, and
 * nothing else.
 * Return: whether it does; if not, the vCPU is to wait.
 */
bool gmem_async_begin(struct kvm_vcpu *vcpu, gfn_t gfn, const struct gmem_wait *waited)
{
	struct gmem_async *async;

	/* A move waits for this vCPU, which is to leave to userspace. */
	if (atomic_read(&vcpu->kvm->move_in_progress) || !gmem_async_is_possible(vcpu, gfn))
		return false;

	async = gmem_async_alloc(vcpu, gfn, waited->gi, waited->index, waited->rounds);
	if (!async)
		return false;

	gmem_async_tell(vcpu, async);
	gmem_ring_sleep(async->wait.ring);
	gmem_wait_begin(&async->wait);
	gmem_wait_help_ring(vcpu, waited);
	/* It counts as a sleeper by now: the guest's next touch goes on with what it leaves. */
	gmem_ring_pass_on(async->wait.ring);

	/* The answer may have come when only the vCPU's wait stood there, or none yet. */
	if ((READ_ONCE(waited->woken) || gmem_wait_is_over(&async->wait)) &&
	    gmem_wait_give_up(&async->wait))
		gmem_async_complete(&async->wait);
	return true;
}

/* Was it still waiting? If not, whoever completed it is done with it and with its vCPU. */
static bool gmem_async_take_out(struct gmem_async *async)
{
	bool waits = gmem_wait_give_up(&async->wait);

	if (waits)
		gmem_ring_wake(async->wait.ring);
	return waits;
}

/**
 * kvm_gmem_async_free() - free an item that was completed
 * @apf: the item, in none of KVM's lists
 *
 * Context: Process context, may sleep; vcpu->mutex is held, or the VM is being
 * destroyed.
 */
void kvm_gmem_async_free(struct kvm_async_pf *apf)
{
	struct gmem_async *async = container_of(apf, struct gmem_async, apf);
	struct gmem_inode *gi = async->wait.gi;

	WARN_ON_ONCE(gmem_async_take_out(async));
	gmem_wait_end(&async->wait);
	iput(&gi->vfs_inode);
	kfree(async);
}

/**
 * kvm_gmem_async_cancel() - the guest does not wait any more
 * @apf: the item, no longer in vcpu->async_pf.queue
 *
 * Frees it, unless it was completed and is freed as such.
 *
 * Context: as kvm_gmem_async_free().
 */
void kvm_gmem_async_cancel(struct kvm_async_pf *apf)
{
	if (gmem_async_take_out(container_of(apf, struct gmem_async, apf)))
		kvm_gmem_async_free(apf);
}
