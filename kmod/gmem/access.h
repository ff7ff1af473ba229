/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's own accesses to guest memory that is in a guest memory inode.
 *
 * KVM reads and writes guest memory for itself: to emulate instructions, to
 * walk page tables, for what guest and host share by paravirtualization. By
 * default it does so through the slot's userspace_addr. That is other memory
 * than the guest sees, where a gfn is private; and where all of a slot's memory
 * is in its file, it may be anything.
 *
 * The functions that return bool say whether the memory is in the inode: true,
 * and the access was done or failed; false, and the caller goes on to
 * userspace_addr. Each asks first what costs least, so that a VM without a gmem
 * slot pays for one test of a flag.
 *
 * Waiting for a pager
 *
 * An access that needs an owed page waits for it, and gives up kvm->srcu meanwhile,
 * if it is held by kvm_vcpu_srcu_read_lock(), as in KVM_RUN: memslot updates go on.
 * The memslots are others then. A caller that passes the address of its pointer to a slot
 * gets the new one, and says by it that nobody up the stack goes on to use what
 * kvm->srcu has protected: a memslot, a userspace address that it had from one, a
 * device on one of KVM's buses, a generation that it would file away what it has
 * found under. That was looked up for each caller in Linux 6.12, and has to be for
 * each new one. vcpu->gmem_waits counts these waits, for those who have to know.
 * Page walks are such: they start over (kvm_gmem_read_pte(), kvm_gmem_cmpxchg_pte()).
 * Callers that pass a slot by value, and ioctls that hold kvm->srcu by srcu_read_lock(),
 * wait with it held: until their own slot is about to go, at the latest. An ioctl that would
 * has the page come before it begins, by kvm_gmem_await_ioctl().
 *
 * A kthread does not wait: the access fails.
 */
#ifndef __KVM_GMEM_ACCESS_H
#define __KVM_GMEM_ACCESS_H

#include <linux/kvm_host.h>

/* attrs.c */
bool gmem_slot_is_private(const struct kvm_memory_slot *slot, gfn_t gfn);

/* x86.c */
bool gmem_arch_kvm_accesses(struct kvm *kvm);
bool gmem_arch_gfn_is_private(struct kvm *kvm, gfn_t gfn);

/**
 * kvm_gmem_holds() - does KVM find a gfn's memory in the inode?
 * @kvm: the VM
 * @slot: the gfn's memslot, or NULL
 * @gfn: the guest frame
 *
 * Context: Any. The answer may be out of date at once, unless mmu_lock is held.
 * Return: true where it is in the inode of @slot, and KVM can see it.
 */
static inline bool kvm_gmem_holds(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn)
{
	if (!kvm_slot_can_be_private(slot))
		return false;

	if (kvm_slot_is_gmem_only(slot))
		return true;
	if (!gmem_arch_kvm_accesses(kvm))
		return false;

	/* By @slot, and not the memslots that there are now. */
	if (kvm_slot_has_gmem_attrs(slot))
		return gmem_slot_is_private(slot, gfn);
	return kvm_get_memory_attributes(kvm, gfn) & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/**
 * kvm_gmem_cached_gpa() - which page does a cache have, or is about to?
 * @gpc: the cache
 *
 * It keeps its address when it is deactivated. Nobody is to wait for that page then.
 *
 * Context: Any. The answer may be out of date at once, unless gpc->lock is held.
 * Return: the guest address, or INVALID_GPA.
 */
static inline gpa_t kvm_gmem_cached_gpa(const struct gfn_to_pfn_cache *gpc)
{
	return READ_ONCE(gpc->active) ? READ_ONCE(gpc->gpa) : INVALID_GPA;
}

/* access/access.c */
typedef void (*gmem_access_fn)(void *addr, void *arg);

bool kvm_gmem_access(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
		     gmem_access_fn fn, void *arg, int *r);
bool kvm_gmem_access_nowait(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			    gmem_access_fn fn, void *arg, int *r);
bool kvm_gmem_read_page(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn, void *data,
			int offset, int len, int *r);
bool kvm_gmem_read_page_locked(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			       void *data, int offset, int len, int *r);
bool kvm_gmem_write_page(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
			 const void *data, int offset, int len, int *r);
bool kvm_gmem_cmpxchg(struct kvm *kvm, struct kvm_memory_slot **slot, gpa_t gpa, void *old,
		      const void *new, int len, int *r);
bool kvm_gmem_read_pte(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn, void *pte,
		       int offset, int len, int *r);
bool kvm_gmem_cmpxchg_pte(struct kvm_vcpu *vcpu, unsigned long waits, struct kvm_memory_slot *slot,
			  gpa_t gpa, void *old, const void *new, int len, int *r);

/* access/map.c */
bool kvm_gmem_map(struct kvm *kvm, gfn_t gfn, kvm_pfn_t *pfn);
void kvm_gmem_await(struct kvm *kvm, gpa_t gpa);
void kvm_gmem_unmap(kvm_pfn_t pfn);
int kvm_gmem_cache_lock(struct gfn_to_pfn_cache *gpc);
bool kvm_gmem_cache_pfn(struct gfn_to_pfn_cache *gpc, kvm_pfn_t *pfn);
int kvm_gmem_cache_refresh(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc,
			   unsigned long len);
int kvm_gmem_cache_activate(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc, gpa_t gpa,
			    unsigned long len);
int gmem_cache_refresh_nowait(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc,
			      unsigned long len);
bool kvm_gmem_cache_stale(struct gfn_to_pfn_cache *gpc);
bool kvm_gmem_cache_gives_up(unsigned int tries);

/* pfncache.c */
void kvm_gmem_cache_invalidate(struct kvm *kvm, gfn_t start, gfn_t end);
void kvm_gmem_cache_drop(struct kvm *kvm);
void kvm_gmem_cache_mm_gone(struct kvm *kvm);

/* pager/wait_vcpu.c */
int kvm_gmem_ask(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn, bool write,
		 bool exec);
int kvm_gmem_wait(struct kvm_vcpu *vcpu);

/* access/wait.c */
int kvm_gmem_await_ioctl(struct kvm *kvm, gpa_t gpa);
int kvm_gmem_translate(struct kvm_vcpu *vcpu, gva_t gva, gpa_t *gpa);

/* x86.c */
int kvm_gmem_await_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs);
int kvm_gmem_await_pdptrs(struct kvm_vcpu *vcpu);
int kvm_gmem_await_msrs(struct kvm_vcpu *vcpu, const struct kvm_msr_entry *msrs, unsigned int nr);
int kvm_gmem_await_run_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs);
void kvm_gmem_await_hv_tsc_page(struct kvm *kvm);
void kvm_gmem_await_hv_msr(struct kvm_vcpu *vcpu, u32 index, u64 data);

/* pager/wait.c */
void kvm_gmem_wake_held(struct kvm *kvm);
void kvm_gmem_wake_gfns(struct kvm *kvm, gfn_t start, gfn_t end);
bool kvm_gmem_vcpu_waits(struct kvm_vcpu *vcpu);

/* access/xen.c */
bool kvm_gmem_defer_evtchn(struct kvm_xen_evtchn *xe, struct kvm *kvm, bool failed);
#ifdef CONFIG_KVM_XEN
void kvm_gmem_move_evtchns(struct kvm_vcpu *dst, struct kvm_vcpu *src);
int kvm_gmem_await_shinfo(struct kvm *kvm);
void kvm_gmem_await_runstate(struct kvm_vcpu *vcpu);
#else
static inline void kvm_gmem_move_evtchns(struct kvm_vcpu *dst, struct kvm_vcpu *src) {}

static inline void kvm_gmem_await_runstate(struct kvm_vcpu *vcpu) {}

static inline int kvm_gmem_await_shinfo(struct kvm *kvm)
{
	return 0;
}
#endif
void kvm_gmem_retry_evtchns(struct kvm *kvm);
void kvm_gmem_send_evtchns(struct kvm_vcpu *vcpu,
			   int (*send)(struct kvm_xen_evtchn *xe, struct kvm *kvm));
int kvm_gmem_settle_evtchns(struct kvm_vcpu *vcpu, void (*inject)(struct kvm_vcpu *vcpu));
void kvm_gmem_await_upcalls(struct kvm_vcpu *vcpu);
int kvm_gmem_upcalls_refresh(struct kvm_vcpu *vcpu, struct gfn_to_pfn_cache *gpc,
			     unsigned long len);
int kvm_gmem_await_xen_attr(struct kvm_vcpu *vcpu, const struct kvm_xen_vcpu_attr *data);

/* prefault.c */
int kvm_gmem_prefault_begin(struct kvm_vcpu *vcpu);

/* pager/async.c */
void kvm_gmem_async_cancel(struct kvm_async_pf *apf);
void kvm_gmem_async_free(struct kvm_async_pf *apf);

/* access/steal_time.c */
bool kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu, u8 *preempted);
bool kvm_gmem_set_preempted(struct kvm_vcpu *vcpu);

#endif /* __KVM_GMEM_ACCESS_H */
