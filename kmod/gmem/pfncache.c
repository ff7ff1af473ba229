// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a gfn_to_pfn_cache (kvmclock) knows of pages that go: access/map.c fills it.
 *
 * It has a page's address without a reference. Its users hold gpc->lock and have
 * looked at gpc->valid; so an invalidation clears that, under gpc->lock, in its
 * begin. A refresh that is at work then sees the invalidation, or its sequence,
 * and starts over.
 */
#include "access.h"
#include "gmem.h"

/**
 * kvm_gmem_cache_invalidate() - drop a range's gfn_to_pfn caches
 * @kvm: the VM
 * @start: first gfn
 * @end: gfn after the last
 *
 * Context: between kvm_mmu_invalidate_begin() and kvm_mmu_invalidate_end(), or
 * where no slot is left in the range. Takes gpc_lock and gpc->lock.
 */
void kvm_gmem_cache_invalidate(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct gfn_to_pfn_cache *gpc;

	spin_lock(&kvm->gpc_lock);
	list_for_each_entry(gpc, &kvm->gpc_list, list) {
		gfn_t gfn;

		write_lock_irq(&gpc->lock);
		gfn = gpa_to_gfn(gpc->gpa);
		if (gpc->valid && !kvm_is_error_gpa(gpc->gpa) && gfn >= start && gfn < end)
			gpc->valid = false;
		write_unlock_irq(&gpc->lock);
	}
	spin_unlock(&kvm->gpc_lock);
}

static void gmem_cache_drop_all(struct kvm *kvm)
{
	struct gfn_to_pfn_cache *gpc;

	spin_lock(&kvm->gpc_lock);
	list_for_each_entry(gpc, &kvm->gpc_list, list) {
		write_lock_irq(&gpc->lock);
		gpc->valid = false;
		write_unlock_irq(&gpc->lock);
	}
	spin_unlock(&kvm->gpc_lock);
}

/**
 * kvm_gmem_cache_drop() - drop all of a dead VM's gfn_to_pfn caches
 * @kvm: the VM, declared dead: no refresh finds a page any more
 *
 * Those that know their page by its address in userspace too. What writes through one
 * (an event channel's interrupt, raised by a timer or an ioctl that was on its way) either
 * has done so before this returns, or finds the cache invalid.
 *
 * Context: Process context. Takes mmu_lock, gpc_lock and gpc->lock.
 */
void kvm_gmem_cache_drop(struct kvm *kvm)
{
	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, 0, ~0ULL);
	KVM_MMU_UNLOCK(kvm);

	gmem_cache_drop_all(kvm);

	KVM_MMU_LOCK(kvm);
	kvm_mmu_invalidate_end(kvm);
	KVM_MMU_UNLOCK(kvm);
}

/**
 * kvm_gmem_cache_mm_gone() - drop all of a VM's caches, as its address space goes
 * @kvm: the VM
 *
 * Its pages are freed next, and of that no notifier tells. What writes through a cache is no
 * task of that address space, hence may still come: a PIT's thread, an irqfd, a Xen timer.
 * From here on a refresh finds pages of inodes only, which live on, and whose VM may yet be
 * moved.
 *
 * Context: The mmu_notifier's release. Takes gpc_lock and gpc->lock.
 */
void kvm_gmem_cache_mm_gone(struct kvm *kvm)
{
	/* Before the locks: kvm_gmem_cache_stale() looks at it with one of them. */
	WRITE_ONCE(kvm->mm_gone, true);

	gmem_cache_drop_all(kvm);
}
