// SPDX-License-Identifier: GPL-2.0-only
/*
 * An inode's pages that KVM holds on to between accesses.
 *
 * A gfn_to_pfn_cache (kvmclock) has a page's address without a reference.
 * Whoever uses it holds gpc->lock and has looked at gpc->valid; so an
 * invalidation clears that, under gpc->lock, in its begin. A refresh that is
 * at work then sees the invalidation, or its sequence, and starts over.
 *
 * A kvm_host_map (nested virtualization) has a reference: the page may be
 * taken out of the inode, but is not freed before it is unmapped. While it is
 * mapped it can't be converted in place, as for any reference that is not the
 * engine's.
 */
#include <linux/sched/signal.h>

#include "../access.h"
#include "../folio.h"
#include "../gmem.h"
#include "../pager/wait.h"
#include "wait.h"

/* How often who may not wait looks for a page that goes again. */
#define GMEM_CACHE_TRIES	8

/* Is a page that was got after @seq was sampled still behind @gfn? */
static bool gmem_map_is_stale(struct kvm *kvm, gfn_t gfn, unsigned long seq)
{
	bool stale;

	read_lock(&kvm->mmu_lock);
	stale = mmu_invalidate_retry_gfn(kvm, seq, gfn);
	read_unlock(&kvm->mmu_lock);
	return stale;
}

/* An inode's page, as kvm_gmem_map(). @slot: the gfn's memslot when it was looked for last. */
static bool gmem_map(struct kvm *kvm, gfn_t gfn, struct kvm_memory_slot **slot, kvm_pfn_t *pfn)
{
	int r;

	*slot = gfn_to_memslot(kvm, gfn);
	while (kvm_gmem_holds(kvm, *slot, gfn)) {
		unsigned long seq = READ_ONCE(kvm->mmu_invalidate_seq);

		/* The sequence before the page: kvm_mmu_invalidate_end() has the other. */
		smp_rmb();
		if (kvm->vm_dead || ((*slot)->flags & KVM_MEMSLOT_INVALID) ||
		    fatal_signal_pending(current))
			r = -EFAULT;
		else
			r = gmem_get_pfn_or_wait(kvm, slot, gfn, pfn);
		if (r == -EAGAIN)
			continue;
		if (r) {
			*pfn = KVM_PFN_ERR_FAULT;
			return true;
		}
		if (!gmem_map_is_stale(kvm, gfn, seq) && kvm_gmem_holds(kvm, *slot, gfn))
			return true;

		put_page(pfn_to_page(*pfn));
		cond_resched();
	}
	return false;
}

/**
 * kvm_gmem_map() - get a page for kvm_vcpu_map()
 * @kvm: the VM
 * @gfn: the guest frame
 * @pfn: where the page goes, with a reference, or an error pfn
 *
 * Memory that is not in an inode is looked for in the very memslot that says so: another one may
 * be there by now whose inode has it, and at whose userspace_addr it is not.
 *
 * Context: Process context, may sleep; kvm->srcu is held for reading, and may have
 * been given up in between: see access.h.
 * Return: whether the memory is in the inode.
 */
bool kvm_gmem_map(struct kvm *kvm, gfn_t gfn, kvm_pfn_t *pfn)
{
	struct kvm_memory_slot *slot;

	if (gmem_map(kvm, gfn, &slot, pfn))
		return true;

	*pfn = gfn_to_pfn_memslot(slot, gfn);
	return false;
}

/**
 * kvm_gmem_await() - have a page come before it is needed
 * @kvm: the VM
 * @gpa: an address in it, or INVALID_GPA
 *
 * Ahead of something that would wait for the pager with more held than this does.
 *
 * Context: as kvm_gmem_map(); the caller has no pointer to a memslot, see access.h.
 */
void kvm_gmem_await(struct kvm *kvm, gpa_t gpa)
{
	struct kvm_memory_slot *slot;
	kvm_pfn_t pfn;

	if (gmem_map(kvm, gpa_to_gfn(gpa), &slot, &pfn) && !is_error_pfn(pfn))
		put_page(pfn_to_page(pfn));
}

/**
 * kvm_gmem_unmap() - let go of what kvm_gmem_map() got
 * @pfn: the page
 *
 * What was written through the map after the page had been taken out of the
 * inode is the guest's too: cleared before anyone else gets the page, unless it is
 * poisoned. A page that is taken out later is cleared later, once it has no mapping any
 * more: see gmem_free_folio().
 *
 * Context: Any: an SEV-ES guest's GHCB is let go of with preemption disabled.
 */
void kvm_gmem_unmap(kvm_pfn_t pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));

	smp_mb(); /* what was written before the look: the page is out before it is cleared */
	if (!READ_ONCE(folio->mapping))
		gmem_page_clear(pfn_to_page(pfn));
	folio_put(folio);
}

/**
 * kvm_gmem_cache_lock() - lock a gfn_to_pfn_cache for a refresh
 * @gpc: the cache
 *
 * A task that has it locked, to refresh or to activate it, may wait for a pager, or in a host
 * fault. A kthread does neither, and waits for nobody who may: it tries once. It does not try
 * again and again either, as with SCHED_FIFO it could keep the holder off the CPU for ever.
 *
 * Nobody refreshes a cache that is not active. Userspace decides which caches are, and raises
 * events whether they are or not.
 *
 * Context: Process context, may sleep.
 * Return: 0 with gpc->refresh_lock; -EAGAIN where a kthread would have to wait for it; -EINVAL
 * where the cache is not active.
 */
int kvm_gmem_cache_lock(struct gfn_to_pfn_cache *gpc)
{
	if (gmem_may_wait())
		mutex_lock(&gpc->refresh_lock);
	else if (!mutex_trylock(&gpc->refresh_lock))
		return -EAGAIN;

	if (gpc->active)
		return 0;

	mutex_unlock(&gpc->refresh_lock);
	return -EINVAL;
}

/**
 * kvm_gmem_cache_pfn() - get an inode's page for a gfn_to_pfn_cache
 * @gpc: the cache, being refreshed; its gpa and memslot are set
 * @pfn: where the page goes, with a reference, or an error pfn
 *
 * Context: Process context, may sleep; gpc->refresh_lock and kvm->srcu are held, and
 * stay so while it waits for a pager: the refresh has a memslot. A kthread does not
 * wait, nor does a vCPU in kvm_gmem_cache_refresh() and its like: an error pfn.
 * Return: whether that is all there is to do: the memory is in the inode; or the VM is
 * dead, whose guest's memory is another VM's; or the memory is that of a process which is
 * gone. If not, @pfn is untouched.
 */
bool kvm_gmem_cache_pfn(struct gfn_to_pfn_cache *gpc, kvm_pfn_t *pfn)
{
	gfn_t gfn = gpa_to_gfn(gpc->gpa);
	struct kvm *kvm = gpc->kvm;
	int r;

	lockdep_assert_held(&gpc->refresh_lock);

	if (READ_ONCE(kvm->vm_dead)) {
		*pfn = KVM_PFN_ERR_FAULT;
		return true;
	}

	r = -EAGAIN;
	if (kvm_gmem_holds(kvm, gpc->memslot, gfn))
		r = fatal_signal_pending(current) ? -EFAULT :
		    gmem_get_pfn_wait(kvm, gpc->memslot, gfn, pfn);
	if (r == -EAGAIN && !READ_ONCE(kvm->mm_gone))
		return false;
	if (r)
		*pfn = KVM_PFN_ERR_FAULT;
	return true;
}

/*
 * Can @vcpu wait with nothing held? A caller that holds kvm->srcu otherwise than by @vcpu, as some
 * ioctls do, can't, nor another task than that of @vcpu: they wait in a refresh.
 */
static bool gmem_cache_waits_outside(struct kvm_vcpu *vcpu)
{
	return vcpu == kvm_get_running_vcpu() && vcpu->srcu_held;
}

/* From here on a refresh of a cache fails where it would wait for a pager with kvm->srcu held. */
static void gmem_cache_nowait(struct kvm_vcpu *vcpu)
{
	vcpu->gmem_gave_up = false;
	vcpu->gmem_nowait = true;
}

/* No more; it has returned @r. -EAGAIN: because of that. */
static int gmem_cache_result(struct kvm_vcpu *vcpu, int r)
{
	vcpu->gmem_nowait = false;
	return r && vcpu->gmem_gave_up ? -EAGAIN : r;
}

/**
 * gmem_cache_refresh_nowait() - kvm_gpc_refresh() that does not wait for a pager
 * @vcpu: the vCPU whose cache it is, and whose task this is
 * @gpc: the cache
 * @len: as kvm_gpc_refresh()
 *
 * Context: as kvm_gpc_refresh().
 * Return: likewise; -EAGAIN where a pager owes the page.
 */
int gmem_cache_refresh_nowait(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc,
			      unsigned long len)
{
	gmem_cache_nowait(vcpu);
	return gmem_cache_result(vcpu, kvm_gpc_refresh(gpc, len));
}

/**
 * kvm_gmem_cache_refresh() - kvm_gpc_refresh() that waits for a pager with nothing held
 * @vcpu: the vCPU whose cache it is
 * @gpc: the cache
 * @len: as kvm_gpc_refresh()
 *
 * The refresh itself does not wait: if the page was punched, and is owed anew, since it came,
 * all begins again. Each turn takes another hole, and another pager's saying that it owes.
 *
 * Context: as kvm_gmem_await(), but see gmem_cache_waits_outside().
 * Return: as kvm_gpc_refresh().
 */
int kvm_gmem_cache_refresh(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc, unsigned long len)
{
	int r;

	if (!gmem_cache_waits_outside(vcpu))
		return kvm_gpc_refresh(gpc, len);

	do {
		kvm_gmem_await(vcpu->kvm, kvm_gmem_cached_gpa(gpc));
		r = gmem_cache_refresh_nowait(vcpu, gpc, len);
	} while (r == -EAGAIN);
	return r;
}

/**
 * kvm_gmem_cache_activate() - kvm_gpc_activate() that waits for a pager with nothing held
 * @vcpu: the vCPU whose cache it is
 * @gpc: the cache
 * @gpa: as kvm_gpc_activate()
 * @len: likewise
 *
 * Context: as kvm_gmem_cache_refresh().
 * Return: as kvm_gpc_activate().
 */
int kvm_gmem_cache_activate(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc, gpa_t gpa,
			    unsigned long len)
{
	int r;

	if (!gmem_cache_waits_outside(vcpu))
		return kvm_gpc_activate(gpc, gpa, len);

	do {
		kvm_gmem_await(vcpu->kvm, gpa);
		gmem_cache_nowait(vcpu);
		r = gmem_cache_result(vcpu, kvm_gpc_activate(gpc, gpa, len));
	} while (r == -EAGAIN);
	return r;
}

/**
 * kvm_gmem_cache_gives_up() - is looking for a cache's page in vain?
 * @tries: how often it was found, and had gone again
 *
 * A VMM whose threads drop memory without a break can have it go for as long as it likes. Whoever
 * may not wait is not to look for as long either: every VM's end waits for the kworker of irqfds.
 *
 * Context: Process context.
 * Return: whether to leave it.
 */
bool kvm_gmem_cache_gives_up(unsigned int tries)
{
	return fatal_signal_pending(current) || (tries > GMEM_CACHE_TRIES && !gmem_may_wait());
}

/**
 * kvm_gmem_cache_stale() - may what a refresh found have been taken away?
 * @gpc: the cache, being refreshed
 *
 * An invalidation raises mmu_invalidate_in_progress, then takes gpc->lock to
 * drop the cache: either it is seen here, or it comes after and drops what this
 * refresh is about to make valid. What is over by now has raised the sequence,
 * which the caller compares next.
 *
 * A VM that dies has all its caches dropped, whatever their memory, after it was declared
 * dead: likewise, either that is seen here, or it comes after. So has a VM whose address space
 * goes; a page of an inode is none of that, and may be found again.
 *
 * Context: gpc->lock is held for writing.
 * Return: true where the refresh has to start over.
 */
bool kvm_gmem_cache_stale(struct gfn_to_pfn_cache *gpc)
{
	lockdep_assert_held_write(&gpc->lock);

	if (READ_ONCE(gpc->kvm->vm_dead))
		return true;

	if (READ_ONCE(gpc->kvm->mm_gone) &&
	    !kvm_gmem_holds(gpc->kvm, gpc->memslot, gpa_to_gfn(gpc->gpa)))
		return true;

	if (!kvm_slot_can_be_private(gpc->memslot))
		return false;

	if (READ_ONCE(gpc->kvm->mmu_invalidate_in_progress))
		return true;

	/* Pairs with the smp_wmb() in kvm_mmu_invalidate_end(). */
	smp_rmb();
	return false;
}
