// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stage-2 tables: the destination takes those of the source, whatever is mapped.
 *
 * Source and destination map the same pages of the same inodes at the same gfns, so that the
 * tables below a root of the source are right for the destination as well. Its root itself
 * stays behind, empty: a task that walks a VM's roots lets go of mmu_lock on the way, keeps a
 * reference to a root, and goes on in the list of that VM, from the top of that root. So the
 * destination has roots of its own, into which the entries go, and each table right below is
 * told where its entry is now. That is all that refers to a root.
 *
 * What the source has mapped of its VMM's address space is the source's own, and is zapped
 * before, page by page. Entries for MMIO hold the generation of memslots that they were made
 * in; that of the destination is raised beyond them.
 *
 * All tables go along, or none. Where they can't, the source's roots are made invalid, and
 * stay with all that they map until the source is destroyed. Holes, conversions and memory
 * failures reach what is mapped there, as long as the source's memslots are bound.
 */
#include <linux/kvm_host.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "mmu/tdp_mmu.h"

#include "../attrs/vm.h"
#include "../gmem/arch.h"
#include "../gmem/gmem.h"
#include "../gmem/trace.h"
#include "move.h"
#include "tables.h"

/* So many pieces of attributes are some 10 ms. */
#define KVM_MOVE_KEEP_RUNS	4096

static void kvm_move_zap(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	struct kvm_gfn_range range = {
		.slot = slot,
		.start = start,
		.end = end,
		.may_block = true,
		.attr_filter = KVM_FILTER_PRIVATE | KVM_FILTER_SHARED,
	};

	/* No vCPU will ever enter by these entries: there is nothing to flush. */
	kvm_tdp_mmu_unmap_gfn_range(kvm, &range, false);
}

/*
 * Does a slot have private memory from @gfn on, and up to which gfn alike? By the inode where
 * that knows, else by the VM; @last may be beyond the slot.
 *
 * Somebody may be converting pages of the inode. What has become private was taken out of this
 * VM before; and what was private is none of userspace's.
 */
static bool kvm_move_is_private(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
				unsigned long *last)
{
	struct gmem_ranges *ranges = kvm_attrs_locked(kvm);
	unsigned long index = gfn;
	struct gmem_view *view;
	bool private;

	*last = ULONG_MAX;
	if (!kvm_slot_can_be_private(slot) || !kvm_arch_has_private_mem(kvm))
		return false;

	if (kvm_slot_has_gmem_attrs(slot)) {
		view = gmem_slot_view_locked(slot);
		/* The view is closed: there is nothing private. */
		if (!view)
			return false;
		ranges = view->inode->attrs;
		index = gmem_slot_index(slot, gfn);
	}
	if (!ranges)
		return false;

	private = gmem_ranges_get_run(ranges, index, last) & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	if (check_add_overflow(*last - index, (unsigned long)gfn, last))
		*last = ULONG_MAX;
	return private;
}

/*
 * What is shared in a slot whose shared memory is at its userspace_addr. Takes runs of gfns alike
 * from @runs, and stops where there are no more: false.
 */
static bool kvm_move_zap_shared(struct kvm *kvm, struct kvm_memory_slot *slot,
				unsigned long *runs)
{
	gfn_t end = slot->base_gfn + slot->npages;
	unsigned long last;
	bool private;

	for (gfn_t gfn = slot->base_gfn; gfn < end; gfn = last + 1) {
		if (!(*runs)--)
			return false;
		private = kvm_move_is_private(kvm, slot, gfn, &last);
		last = min(last, (unsigned long)end - 1);
		if (!private)
			kvm_move_zap(kvm, slot, gfn, last + 1);
		kvm_attrs_rest_mmu_lock(kvm);
	}
	return true;
}

/*
 * All that a VM has mapped but pages of inodes. No vCPU of it runs any more, hence nothing
 * comes back while mmu_lock is let go. Shadow pages of nested guests are not told apart.
 * Returns false where that takes more than @runs of gfns that are alike: some are left.
 */
static bool kvm_move_zap_user(struct kvm *kvm, unsigned long runs)
{
	struct kvm_memory_slot *slot;
	bool done = true;
	int bkt;

	lockdep_assert_held(&kvm->slots_lock);

	KVM_MMU_LOCK(kvm);
	kvm_mmu_zap_shadow_pages(kvm);
	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(kvm); i++) {
		kvm_for_each_memslot(slot, bkt, __kvm_memslots(kvm, i)) {
			if (done && !kvm_slot_is_gmem_only(slot))
				done = kvm_move_zap_shared(kvm, slot, &runs);
		}
	}
	KVM_MMU_UNLOCK(kvm);
	return done;
}

/**
 * kvm_move_keep_tables() - keep the tables of guest memory when a VM's address space goes
 * @kvm: the VM
 *
 * The next VM can take them. Of the address space that goes nothing may stay mapped.
 *
 * Every VM's end on this host waits for the notifiers that run. So this waits for no lock that
 * others have for long, and gives up on attributes of too many pieces. Then KVM empties all
 * tables, which takes as long as what is mapped.
 *
 * Context: The mmu_notifier's release, which may sleep: no lock is held but the SRCU of all
 * notifiers, and no task of that address space is left that could make an ioctl of @kvm.
 * Return: false where nothing is kept: the caller is to empty all tables.
 */
bool kvm_move_keep_tables(struct kvm *kvm)
{
	bool keep;

	/* Nobody can move a VM that is being destroyed, or is dead. */
	if (!refcount_read(&kvm->users_count) || !tdp_mmu_enabled ||
	    !(gmem_arch_capabilities(kvm) & KVM_GMEM_CAP_LINK))
		return false;

	if (!mutex_trylock(&kvm->slots_lock))
		return false;
	keep = !kvm->vm_dead && kvm_move_has_gmem(kvm) &&
	       kvm_move_zap_user(kvm, KVM_MOVE_KEEP_RUNS);
	mutex_unlock(&kvm->slots_lock);

	if (keep)
		kvm_arch_guest_memory_reclaimed(kvm);
	return keep;
}

/*
 * What a generation of memslots of the destination has to become, so that MMIO entries of the
 * source, made in its generation or an earlier one, are not those of the destination. Entries
 * hold the lower bits only. When these wrap, KVM zaps all.
 *
 * Return: false where they would wrap.
 */
static bool kvm_move_outdate(struct kvm *dst, struct kvm *src, int as_id, u64 *generation)
{
	u64 d = __kvm_memslots(dst, as_id)->generation;
	u64 s = __kvm_memslots(src, as_id)->generation & MMIO_SPTE_GEN_MASK;

	if ((d & MMIO_SPTE_GEN_MASK) <= s) {
		/* By steps that keep generations of address spaces apart. */
		d += s - (d & MMIO_SPTE_GEN_MASK) + kvm_arch_nr_memslot_as_ids(dst);
		if ((d & MMIO_SPTE_GEN_MASK) <= s)
			return false;
	}
	*generation = d;
	return true;
}

static bool kvm_move_can_outdate(struct kvm *dst, struct kvm *src)
{
	u64 generation;

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(dst); i++) {
		if (!kvm_move_outdate(dst, src, i, &generation))
			return false;
	}
	return true;
}

static void kvm_move_outdate_mmio(struct kvm *dst, struct kvm *src)
{
	struct kvm_memslots *slots;
	u64 generation;

	for (int i = 0; i < kvm_arch_nr_memslot_as_ids(dst); i++) {
		slots = __kvm_memslots(dst, i);
		if (!kvm_move_outdate(dst, src, i, &generation) ||
		    generation == slots->generation)
			continue;
		kvm_arch_memslots_updated(dst, generation);
		WRITE_ONCE(slots->generation, generation);
	}
}

static bool kvm_move_writes_are_tracked(struct kvm *kvm)
{
#ifdef CONFIG_KVM_EXTERNAL_WRITE_TRACKING
	/* Pairs with kvm_enable_external_write_tracking(). */
	return smp_load_acquire(&kvm->arch.external_write_tracking_enabled);
#else
	return false;
#endif
}

/*
 * What an entry of the source was made by, and one of the destination would be made by. A
 * change of nx_huge_pages that is not in progress now has slots_lock of each VM to come, or
 * has had it: see set_nx_huge_pages().
 */
static enum kvm_move_tables_outcome kvm_move_tables_fit(struct kvm *dst, struct kvm *src)
{
	if (dst->arch.disable_nx_huge_pages != src->arch.disable_nx_huge_pages ||
	    READ_ONCE(nx_huge_pages_changing))
		return KVM_MOVE_TABLES_NX;
	if (kvm_arch_has_noncoherent_dma(dst) != kvm_arch_has_noncoherent_dma(src))
		return KVM_MOVE_TABLES_DMA;
	/* What shadow pages of the destination's write-protect is writable in the source. */
	if (kvm_move_writes_are_tracked(dst) || kvm_move_writes_are_tracked(src) ||
	    dst->arch.n_used_mmu_pages)
		return KVM_MOVE_TABLES_TRACKED;
	if (dst->arch.shadow_mmio_value != src->arch.shadow_mmio_value)
		return KVM_MOVE_TABLES_MMIO;
	if (!kvm_move_can_outdate(dst, src))
		return KVM_MOVE_TABLES_GENERATION;

	return KVM_MOVE_TABLES_TAKEN;
}

/* A vCPU loads a root anew before it enters, and flushes its TLB then. */
static void kvm_move_unload(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_mmu_unload(vcpu);
}

static void kvm_move_free_root(struct kvm_mmu_page *root)
{
	if (!root)
		return;

	free_page((unsigned long)root->spt);
	kmem_cache_free(mmu_page_header_cache, root);
}

/*
 * With the locks of two VMs held, not for long: there is another way. All entries of the page
 * are written when the root is filled.
 */
static struct kvm_mmu_page *kvm_move_alloc_root(union kvm_mmu_page_role role)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN;
	struct kvm_mmu_page *root = kmem_cache_zalloc(mmu_page_header_cache, gfp);

	if (!root)
		return NULL;

	root->spt = (void *)__get_free_page(gfp);
	if (!root->spt) {
		kvm_move_free_root(root);
		return NULL;
	}
	INIT_LIST_HEAD(&root->possible_nx_huge_page_link);
	set_page_private(virt_to_page(root->spt), (unsigned long)root);
	root->role = role;
	root->tdp_mmu_page = true;
	/* The TDP MMU's own, as kvm_tdp_mmu_alloc_root() has it; no vCPU has it yet. */
	refcount_set(&root->tdp_mmu_root_count, 1);
	return root;
}

static void kvm_move_free_roots(struct kvm_move_tables *tables)
{
	for (int i = 0; i < tables->nr; i++) {
		kvm_move_free_root(tables->roots[i].to);
		tables->roots[i].to = NULL;
	}
	tables->nr = 0;
}

static bool kvm_move_is_of_one_kind(union kvm_mmu_page_role a, union kvm_mmu_page_role b)
{
	return a.smm == b.smm && a.guest_mode == b.guest_mode;
}

/* The source's roots: one for each address space, and each for nested guests, or there is none. */
static enum kvm_move_tables_outcome kvm_move_find_roots(struct kvm_move_tables *tables,
							struct kvm *src)
{
	struct kvm_mmu_page *root;

	list_for_each_entry(root, &src->arch.tdp_mmu_roots, link) {
		if (root->role.invalid)
			continue;
		for (int i = 0; i < tables->nr; i++) {
			if (kvm_move_is_of_one_kind(tables->roots[i].from->role, root->role))
				return KVM_MOVE_TABLES_ROLES;
		}
		if (WARN_ON_ONCE(tables->nr == ARRAY_SIZE(tables->roots)))
			return KVM_MOVE_TABLES_ROLES;
		tables->roots[tables->nr++].from = root;
	}
	return KVM_MOVE_TABLES_TAKEN;
}

static enum kvm_move_tables_outcome kvm_move_make_roots(struct kvm_move_tables *tables)
{
	for (int i = 0; i < tables->nr; i++) {
		tables->roots[i].to = kvm_move_alloc_root(tables->roots[i].from->role);
		if (!tables->roots[i].to)
			return KVM_MOVE_TABLES_NOMEM;
	}
	return KVM_MOVE_TABLES_TAKEN;
}

static enum kvm_move_tables_outcome kvm_move_tables_get_ready(struct kvm_move_tables *tables,
							      struct kvm *dst, struct kvm *src)
{
	enum kvm_move_tables_outcome outcome;

	if (!tdp_mmu_enabled || !atomic64_read(&src->arch.tdp_mmu_pages) ||
	    !kvm_move_has_gmem(src))
		return KVM_MOVE_TABLES_NONE;

	outcome = kvm_move_tables_fit(dst, src);
	if (outcome != KVM_MOVE_TABLES_TAKEN)
		return outcome;

	/* slots_lock and the vCPUs' mutexes keep the list of valid roots. */
	KVM_MMU_LOCK(src);
	outcome = kvm_move_find_roots(tables, src);
	KVM_MMU_UNLOCK(src);
	if (outcome == KVM_MOVE_TABLES_TAKEN)
		outcome = kvm_move_make_roots(tables);
	if (outcome == KVM_MOVE_TABLES_TAKEN) {
		/* Shadow pages are kept by vCPUs that have them as their roots. */
		kvm_move_unload(src);
		kvm_move_zap_user(src, ULONG_MAX);
		kvm_move_outdate_mmio(dst, src);
	}
	return outcome;
}

/**
 * kvm_move_tables_prepare() - get the source's tables ready to be taken
 * @tables: for kvm_move_tables_commit()
 * @dst: the destination
 * @src: the source, dead, whose attributes are still its own
 *
 * Context: slots_lock and all vcpu->mutex of both are held. Takes mmu_lock of @src, with breaks.
 */
void kvm_move_tables_prepare(struct kvm_move_tables *tables, struct kvm *dst, struct kvm *src)
{
	lockdep_assert_held(&dst->slots_lock);
	lockdep_assert_held(&src->slots_lock);

	*tables = (struct kvm_move_tables) {};
	tables->outcome = kvm_move_tables_get_ready(tables, dst, src);
	if (tables->outcome != KVM_MOVE_TABLES_TAKEN)
		kvm_move_free_roots(tables);
}

/* The entries of one root, which for a root lead to tables, not to pages. */
static void kvm_move_fill_root(struct kvm_mmu_page *to, struct kvm_mmu_page *from)
{
	u64 *t = to->spt, *f = from->spt;

	for (int i = 0; i < SPTE_ENT_PER_PAGE; i++) {
		u64 spte = READ_ONCE(f[i]);

		t[i] = spte;
		if (spte == SHADOW_NONPRESENT_VALUE)
			continue;
		if (is_shadow_present_pte(spte))
			spte_to_child_sp(spte)->ptep = (tdp_ptep_t)&t[i];
		WRITE_ONCE(f[i], SHADOW_NONPRESENT_VALUE);
	}
}

static void kvm_move_account(struct kvm *dst, struct kvm *src)
{
	for (int i = 0; i < KVM_NR_PAGE_SIZES; i++)
		atomic64_add(atomic64_xchg(&src->stat.pages[i], 0), &dst->stat.pages[i]);
	atomic64_add(atomic64_xchg(&src->arch.tdp_mmu_pages, 0), &dst->arch.tdp_mmu_pages);

	/* No shadow page is left that could be on the list as well. */
	list_splice_tail_init(&src->arch.possible_nx_huge_pages,
			      &dst->arch.possible_nx_huge_pages);
	dst->stat.nx_lpage_splits += src->stat.nx_lpage_splits;
	src->stat.nx_lpage_splits = 0;
}

/*
 * An invalidation begins in every VM with the page, in one after the other. In progress in the
 * destination, it may have nothing to zap there any more, and in the source nothing left. If it
 * is not, it will find there what comes now, or is over in both.
 */
static enum kvm_move_tables_outcome kvm_move_take_tables(struct kvm_move_tables *tables,
							 struct kvm *dst, struct kvm *src)
{
	enum kvm_move_tables_outcome outcome;

	lockdep_assert_held_write(&dst->mmu_lock);
	lockdep_assert_held_write(&src->mmu_lock);

	if (dst->mmu_invalidate_in_progress)
		return KVM_MOVE_TABLES_INVALIDATION;
	outcome = kvm_move_tables_fit(dst, src);
	if (outcome != KVM_MOVE_TABLES_TAKEN)
		return outcome;
	if (src->arch.n_used_mmu_pages)
		return KVM_MOVE_TABLES_TRACKED;

	/* What the destination has mapped ahead is zapped by kvm_move_tables_commit(). */
	kvm_tdp_mmu_invalidate_all_roots(dst);
	spin_lock(&dst->arch.tdp_mmu_pages_lock);
	for (int i = 0; i < tables->nr; i++) {
		kvm_move_fill_root(tables->roots[i].to, tables->roots[i].from);
		list_add_rcu(&tables->roots[i].to->link, &dst->arch.tdp_mmu_roots);
		tables->roots[i].to = NULL;
	}
	spin_unlock(&dst->arch.tdp_mmu_pages_lock);
	kvm_move_account(dst, src);
	return KVM_MOVE_TABLES_TAKEN;
}

static void kvm_move_leave_tables(struct kvm *src)
{
	if (!tdp_mmu_enabled)
		return;

	KVM_MMU_LOCK(src);
	kvm_tdp_mmu_invalidate_all_roots(src);
	KVM_MMU_UNLOCK(src);
}

/**
 * kvm_move_tables_commit() - take the source's tables, or leave them to its end
 * @tables: from kvm_move_tables_prepare()
 * @dst: the destination, which has the source's attributes
 * @src: the source
 *
 * Context: as kvm_move_tables_prepare(). Takes mmu_lock of both.
 */
void kvm_move_tables_commit(struct kvm_move_tables *tables, struct kvm *dst, struct kvm *src)
{
	if (tables->outcome == KVM_MOVE_TABLES_TAKEN) {
		KVM_MMU_LOCK(dst);
		write_lock_nested(&src->mmu_lock, KVM_MOVE_SOURCE);
		tables->outcome = kvm_move_take_tables(tables, dst, src);
		write_unlock(&src->mmu_lock);
		KVM_MMU_UNLOCK(dst);
	}

	if (tables->outcome == KVM_MOVE_TABLES_TAKEN) {
		kvm_move_unload(dst);
		kvm_tdp_mmu_zap_invalidated_roots(dst);
	} else {
		kvm_move_leave_tables(src);
	}
	trace_gmem_move_tables(dst, src, tables->outcome);
	kvm_move_free_roots(tables);
}
