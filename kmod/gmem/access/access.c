// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses to memory in an inode: see access.h.
 *
 * An access happens under mmu_lock, held for reading, and only while no
 * invalidation of the gfn is in progress. Whoever takes a page away, converts
 * it or takes the view away begins an invalidation first, under mmu_lock held
 * for writing (invalidate.c). So while an access holds it,
 *
 *   - the page stays in the inode: no reference to it is needed;
 *   - the gfn's memory stays in it, and the slot's view open;
 *   - and when begin returns, no access that came before is still at work.
 *
 * No access sleeps: both sides of each are kernel memory. A page that is
 * missing is allocated, or waited for, with no lock held; then the access tries
 * again, with the slot that there is then. Where it may not sleep, it fails.
 */
#include <linux/sched/signal.h>

#include "../access.h"
#include "../folio.h"
#include "../gmem.h"
#include "wait.h"

/*
 * The slot's inode's pages, without a reference to the view's file. Once the
 * last one is gone, release invalidates the view's bindings under mmu_lock: if
 * there is one now, release can't have got there, and can't before mmu_lock is
 * dropped. NULL: the view was closed. Under RCU, as views are freed.
 */
static struct address_space *gmem_access_mapping(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct gmem_view *view = rcu_dereference(slot->gmem.view);

	lockdep_assert_held(&kvm->mmu_lock);

	return view && gmem_view_is_open(view) ? gmem_mapping(view->inode) : NULL;
}

/*
 * The address of a gfn's page, or an ERR_PTR: -ENXIO where it is not in the
 * inode, -ENOENT where it is missing, -EAGAIN while it is being invalidated,
 * and what no further try helps against. A slot that is about to go has nothing:
 * the caller finds no other memory in it either.
 */
static void *gmem_access_find(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn)
{
	pgoff_t index = gmem_slot_index(slot, gfn);
	struct address_space *mapping;
	struct folio *folio;
	struct page *page;

	lockdep_assert_held(&kvm->mmu_lock);

	/* A move declares its source dead, then takes mmu_lock. */
	if (kvm->vm_dead)
		return ERR_PTR(-EFAULT);
	if (slot->flags & KVM_MEMSLOT_INVALID)
		return ERR_PTR(-ENXIO);
	if (mmu_invalidate_retry_gfn(kvm, kvm->mmu_invalidate_seq, gfn))
		return ERR_PTR(-EAGAIN);
	if (!kvm_gmem_holds(kvm, slot, gfn))
		return ERR_PTR(-ENXIO);

	guard(rcu)();

	mapping = gmem_access_mapping(kvm, slot);
	if (!mapping)
		return ERR_PTR(-EFAULT);

	folio = xa_load(&mapping->i_pages, index);
	if (!gmem_folio_has_content(folio))
		return ERR_PTR(-ENOENT);

	page = folio_file_page(folio, index);
	if (PageHWPoison(page))
		return ERR_PTR(-EHWPOISON);
	return page_address(page);
}

/* One try. Returns what gmem_access_find() did; 0 once @fn has run. */
static int gmem_access_try(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			   gmem_access_fn fn, void *arg)
{
	void *addr = gmem_access_find(kvm, slot, gfn);

	if (IS_ERR(addr))
		return PTR_ERR(addr);

	fn(addr, arg);
	return 0;
}

/* What a caller gets of a try: the access failed, or it is not for us. */
static bool gmem_access_result(int error, int *r)
{
	if (error == -ENXIO)
		return false;

	*r = error ? -EFAULT : 0;
	return true;
}

/* Allocates a missing page, as the guest's own access would. -EAGAIN: look again. */
static int gmem_access_fill(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn)
{
	kvm_pfn_t pfn;
	int r;

	r = gmem_get_pfn_or_wait(kvm, slot, gfn, &pfn);
	if (!r)
		put_page(pfn_to_page(pfn));
	return r ? : -EAGAIN;
}

/**
 * kvm_gmem_access() - do something to a page in an inode
 * @kvm: the VM
 * @slot: the gfn's memslot, or NULL; that of the end of the access afterwards. The
 *	  caller has no other pointer to a memslot, nor an address from one: access.h
 * @gfn: the guest frame
 * @fn: does it, to the page's first byte and @arg; may not sleep
 * @arg: for @fn
 * @r: where the result goes: 0, or -EFAULT where @fn was not called
 *
 * Context: Process context, may sleep; kvm->srcu is held for reading, and was given
 * up in between where vcpu->gmem_waits has changed; mmu_lock is not held. @fn
 * runs with mmu_lock held for reading.
 * Return: whether the memory is in the inode; if not, @r is untouched.
 */
bool kvm_gmem_access(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
		     gmem_access_fn fn, void *arg, int *r)
{
	int error;

	while (kvm_gmem_holds(kvm, *slot, gfn)) {
		read_lock(&kvm->mmu_lock);
		error = gmem_access_try(kvm, *slot, gfn, fn, arg);
		read_unlock(&kvm->mmu_lock);

		if (error == -ENOENT)
			error = gmem_access_fill(kvm, slot, gfn);
		if (error != -EAGAIN)
			return gmem_access_result(error, r);

		/* A hole of a terabyte takes its time: wait as a fault does. */
		if (fatal_signal_pending(current))
			return gmem_access_result(-EINTR, r);
		cond_resched();
	}
	return false;
}

/**
 * kvm_gmem_access_nowait() - do something to a page, now or not at all
 * @kvm: as kvm_gmem_access()
 * @slot: the gfn's memslot, or NULL
 * @gfn: as kvm_gmem_access()
 * @fn: likewise
 * @arg: likewise
 * @r: likewise; -EFAULT also where it would have to wait
 *
 * Context: Any but interrupts; kvm->srcu is held for reading. The scheduler's
 * locks may be held, under which mmu_lock may only be tried.
 * Return: as kvm_gmem_access().
 */
bool kvm_gmem_access_nowait(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			    gmem_access_fn fn, void *arg, int *r)
{
	int error;

	if (!kvm_gmem_holds(kvm, slot, gfn))
		return false;

	if (!read_trylock(&kvm->mmu_lock))
		return gmem_access_result(-EAGAIN, r);
	error = gmem_access_try(kvm, slot, gfn, fn, arg);
	read_unlock(&kvm->mmu_lock);

	return gmem_access_result(error, r);
}

struct gmem_copy {
	void *to;
	const void *from;
	int offset;
	int len;
};

/* What fits in a register goes in one piece: the guest may look meanwhile. */
static void gmem_copy_bytes(void *to, const void *from, int len)
{
	switch (len) {
	case 1:
		WRITE_ONCE(*(u8 *)to, READ_ONCE(*(const u8 *)from));
		break;
	case 2:
		WRITE_ONCE(*(u16 *)to, READ_ONCE(*(const u16 *)from));
		break;
	case 4:
		WRITE_ONCE(*(u32 *)to, READ_ONCE(*(const u32 *)from));
		break;
	case 8:
		WRITE_ONCE(*(u64 *)to, READ_ONCE(*(const u64 *)from));
		break;
	default:
		memcpy(to, from, len);
	}
}

static void gmem_read_fn(void *addr, void *arg)
{
	struct gmem_copy *copy = arg;

	gmem_copy_bytes(copy->to, addr + copy->offset, copy->len);
}

static void gmem_write_fn(void *addr, void *arg)
{
	struct gmem_copy *copy = arg;

	gmem_copy_bytes(addr + copy->offset, copy->from, copy->len);
}

/**
 * kvm_gmem_read_page() - read from a page in an inode
 * @kvm: the VM
 * @slot: as kvm_gmem_access()
 * @gfn: the guest frame
 * @data: where the bytes go
 * @offset: the first one, in the page
 * @len: how many, inside the page
 * @r: where the result goes: 0 or -EFAULT
 *
 * Context: as kvm_gmem_access().
 * Return: likewise.
 */
bool kvm_gmem_read_page(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn, void *data,
			int offset, int len, int *r)
{
	struct gmem_copy copy = { .to = data, .offset = offset, .len = len };

	return kvm_gmem_access(kvm, slot, gfn, gmem_read_fn, &copy, r);
}

/**
 * kvm_gmem_read_page_locked() - read from a page in an inode under mmu_lock
 * @kvm: as kvm_gmem_read_page()
 * @slot: the gfn's memslot, or NULL
 * @gfn: as kvm_gmem_read_page()
 * @data: likewise
 * @offset: likewise
 * @len: likewise
 * @r: likewise; -EFAULT also where the page is missing or being invalidated
 *
 * Context: mmu_lock is held. Does not sleep.
 * Return: as kvm_gmem_access().
 */
bool kvm_gmem_read_page_locked(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			       void *data, int offset, int len, int *r)
{
	struct gmem_copy copy = { .to = data, .offset = offset, .len = len };

	if (!kvm_gmem_holds(kvm, slot, gfn))
		return false;

	return gmem_access_result(gmem_access_try(kvm, slot, gfn, gmem_read_fn, &copy), r);
}

/**
 * kvm_gmem_write_page() - write to a page in an inode
 * @kvm: as kvm_gmem_read_page()
 * @slot: likewise
 * @gfn: likewise
 * @data: the bytes
 * @offset: as kvm_gmem_read_page()
 * @len: likewise
 * @r: likewise
 *
 * Context: as kvm_gmem_access().
 * Return: likewise.
 */
bool kvm_gmem_write_page(struct kvm *kvm, struct kvm_memory_slot **slot, gfn_t gfn,
			 const void *data, int offset, int len, int *r)
{
	struct gmem_copy copy = { .from = data, .offset = offset, .len = len };

	return kvm_gmem_access(kvm, slot, gfn, gmem_write_fn, &copy, r);
}

struct gmem_cmpxchg {
	void *old;
	const void *new;
	int offset;
	int len;
	bool differed;
};

static void gmem_cmpxchg_fn(void *addr, void *arg)
{
	struct gmem_cmpxchg *c = arg;
	void *p = addr + c->offset;

	switch (c->len) {
	case 1:
		c->differed = !try_cmpxchg((u8 *)p, (u8 *)c->old, *(const u8 *)c->new);
		break;
	case 2:
		c->differed = !try_cmpxchg((u16 *)p, (u16 *)c->old, *(const u16 *)c->new);
		break;
	case 4:
		c->differed = !try_cmpxchg((u32 *)p, (u32 *)c->old, *(const u32 *)c->new);
		break;
	case 8:
		c->differed = !try_cmpxchg((u64 *)p, (u64 *)c->old, *(const u64 *)c->new);
		break;
	}
}

/**
 * kvm_gmem_cmpxchg() - compare and exchange in an inode
 * @kvm: the VM
 * @slot: as kvm_gmem_access()
 * @gpa: where, aligned so that it is inside a page
 * @old: what is expected there; replaced by what is there if it differs
 * @new: what is to be there
 * @len: bytes: 1, 2, 4 or 8
 * @r: where the result goes: 0, 1 where it differed, or -EFAULT
 *
 * Context: as kvm_gmem_access().
 * Return: likewise.
 */
bool kvm_gmem_cmpxchg(struct kvm *kvm, struct kvm_memory_slot **slot, gpa_t gpa, void *old,
		      const void *new, int len, int *r)
{
	struct gmem_cmpxchg c = {
		.old = old, .new = new, .offset = offset_in_page(gpa), .len = len,
	};

	if (!kvm_gmem_access(kvm, slot, gpa_to_gfn(gpa), gmem_cmpxchg_fn, &c, r))
		return false;

	if (!*r && c.differed)
		*r = 1;
	return true;
}

/**
 * kvm_gmem_read_pte() - read an entry of a guest's page table
 * @vcpu: the vCPU
 * @slot: the gfn's memslot
 * @gfn: the guest frame of the table
 * @pte: where the entry goes
 * @offset: where it is in the page
 * @len: its size
 * @r: where the result goes: 0, -EFAULT, or -EAGAIN: the walk is to start over, with
 *     no memslot and no address that it has found
 *
 * Context: as kvm_gmem_access().
 * Return: likewise.
 */
bool kvm_gmem_read_pte(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn, void *pte,
		       int offset, int len, int *r)
{
	unsigned long waits = vcpu->gmem_waits;
	bool in_inode;

	in_inode = kvm_gmem_read_page(vcpu->kvm, &slot, gfn, pte, offset, len, r);
	if (vcpu->gmem_waits == waits)
		return in_inode;

	*r = -EAGAIN;
	return true;
}

/**
 * kvm_gmem_cmpxchg_pte() - set bits in an entry that a walk has read
 * @vcpu: the vCPU
 * @waits: its gmem_waits when the walk began
 * @slot: the memslot of @gpa as the walk found it
 * @gpa: where the entry is
 * @old: what is expected there
 * @new: what is to be there
 * @len: bytes: 4 or 8
 * @r: where the result goes: 0; 1: the walk is to start over; -EFAULT
 *
 * To be asked for memory of every kind: nothing that a walk has found is good
 * once kvm->srcu was given up, by it or by a walk inside it.
 *
 * Context: as kvm_gmem_access().
 * Return: likewise; true also where the walk is to start over.
 */
bool kvm_gmem_cmpxchg_pte(struct kvm_vcpu *vcpu, unsigned long waits, struct kvm_memory_slot *slot,
			  gpa_t gpa, void *old, const void *new, int len, int *r)
{
	bool in_inode;

	if (vcpu->gmem_waits == waits) {
		in_inode = kvm_gmem_cmpxchg(vcpu->kvm, &slot, gpa, old, new, len, r);
		if (vcpu->gmem_waits == waits) {
			/* As often as the guest changes the entry, the walk starts over. */
			if (in_inode && *r > 0)
				cond_resched();
			return in_inode;
		}
	}
	*r = 1;
	return true;
}
