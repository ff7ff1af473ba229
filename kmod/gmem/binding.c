// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bindings: memslots onto ranges of a view.
 *
 * A slot points to its view, and holds neither that nor its file. The pointer is
 * cleared by whichever comes first, the slot's end (unbind) or the view's (release);
 * both hold the VM's slots_lock, or nobody is left to contend for it.
 */
#include <linux/file.h>

#include "access.h"
#include "gmem.h"
#include "pager/owed.h"
#include "trace.h"
#include "view.h"

static struct gmem_binding *gmem_view_find_binding(struct gmem_view *view,
						   struct kvm_memory_slot *slot)
{
	pgoff_t first = slot->gmem.pgoff;
	pgoff_t last = first + slot->npages - 1;
	struct gmem_binding *b = gmem_binding_first(view, first, last);

	/* Bindings are disjoint: it is this one or none. */
	return b && b->slot == slot ? b : NULL;
}

static void gmem_view_unbind(struct gmem_view *view, struct gmem_binding *b)
{
	gmem_assert_views_writable(view->inode);
	lockdep_assert_held(&view->kvm->slots_lock);

	interval_tree_remove(&b->node, &view->bindings);
	view->nr_bindings--;
	RCU_INIT_POINTER(b->slot->gmem.view, NULL);
	trace_gmem_unbind(view, b->slot);
	kfree(b);
}

/**
 * gmem_view_drop_bindings() - unbind all memslots from a view
 * @view: the view, about to go; its stage-2 ranges have been zapped
 *
 * Context: invalidate_lock for writing and views_lock are held, and slots_lock, unless the
 * view was never bound.
 */
void gmem_view_drop_bindings(struct gmem_view *view)
{
	struct gmem_binding *b;

	while ((b = gmem_binding_first(view, 0, ULONG_MAX)))
		gmem_view_unbind(view, b);
}

/* What a slot is about, for who finds it in the VM's memslots: it is not there yet. */
static void gmem_slot_init(struct kvm_memory_slot *slot, struct file *file, pgoff_t start)
{
	struct gmem_view *view = file->private_data;
	struct gmem_inode *gi = view->inode;

	slot->gmem.pgoff = start;
	if (gi->attrs)
		slot->flags |= KVM_MEMSLOT_GMEM_ATTRS;
	if (gi->flags & GUEST_MEMFD_FLAG_MMAP)
		slot->flags |= KVM_MEMSLOT_GMEM_ONLY;
	view->bound = true;
	/* For kvm_gmem_commit_memory_region() alone, and the caller, who lets go of it. */
	slot->gmem.file = file;
	/* A slot with a view can't change but only go: a fault that finds it finds the view. */
	rcu_assign_pointer(slot->gmem.view, view);
}

static bool gmem_can_bind(struct gmem_view *view, struct kvm *kvm, u64 offset, u64 size)
{
	if (!view || view->kvm != kvm || !gmem_range_is_inside(view->inode, offset, size))
		return false;

	/* A range is bound once in a VM; another VM binds its own view. */
	return !gmem_binding_first(view, offset >> PAGE_SHIFT, ((offset + size) >> PAGE_SHIFT) - 1);
}

/**
 * kvm_gmem_prepare_memory_region() - may a new memslot be bound to a view?
 * @kvm: the VM
 * @slot: the slot, not yet visible to anyone
 * @fd: a view of @kvm
 * @offset: bytes into the inode
 *
 * No invalidation finds @slot before kvm_gmem_commit_memory_region().
 *
 * Context: slots_lock is held, until then at least: it keeps the view's bindings as they are.
 * Return: 0, and @slot has a reference to the view's file, which the caller lets go of when @slot
 * is among the memslots, or has failed: the file pins the VM, so a slot that went on pinning the
 * file would keep both for ever. -EBADF where @fd is not open; -EINVAL where it is not a view of
 * @kvm, @offset is not page-aligned, or the range is not inside the inode or overlaps one that is
 * bound.
 */
int kvm_gmem_prepare_memory_region(struct kvm *kvm, struct kvm_memory_slot *slot,
				   unsigned int fd, u64 offset)
{
	struct file *file;

	lockdep_assert_held(&kvm->slots_lock);

	file = fget(fd);
	if (!file)
		return -EBADF;

	if (!gmem_can_bind(gmem_view_of(file), kvm, offset, (u64)slot->npages << PAGE_SHIFT)) {
		fput(file);
		return -EINVAL;
	}
	gmem_slot_init(slot, file, offset >> PAGE_SHIFT);
	return 0;
}

/**
 * kvm_gmem_commit_memory_region() - bind a memslot to its view
 * @kvm: the VM
 * @slot: has been prepared, and has all that KVM keeps of a slot's mappings: invalidations may
 *	  look at it from now on; about to become visible
 *
 * Context: slots_lock is held, and slots_arch_lock. Takes invalidate_lock.
 * Return: 0, -ENOMEM, or -EINTR by a fatal signal.
 */
int kvm_gmem_commit_memory_region(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct gmem_view *view = slot->gmem.file->private_data;
	struct gmem_inode *gi = view->inode;
	struct gmem_binding *b;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return -ENOMEM;

	b->node.start = slot->gmem.pgoff;
	b->node.last = slot->gmem.pgoff + slot->npages - 1;
	b->slot = slot;

	r = gmem_lock_killable(gmem_mapping(gi));
	if (r) {
		kfree(b);
		return r;
	}
	mutex_lock(&gi->views_lock);
	interval_tree_insert(&b->node, &view->bindings);
	view->nr_bindings++;
	mutex_unlock(&gi->views_lock);
	filemap_invalidate_unlock(gmem_mapping(gi));

	trace_gmem_bind(view, slot);
	return 0;
}

/**
 * kvm_gmem_unbind() - unbind a memslot before it is freed
 * @slot: the slot, which no fault can find any more: kvm->srcu has been synchronized since it
 *	  was taken away
 *
 * Context: slots_lock is held, or the VM is being destroyed. Takes
 * invalidate_lock.
 */
void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
	/*
	 * NULL: the view was released before. A VM that is being destroyed has
	 * no view left, since each would hold a reference to it, so there is
	 * nothing to contend for then. Otherwise slots_lock keeps a release
	 * that has begun from getting further: the view stays valid, though its
	 * file may be gone.
	 */
	struct gmem_view *view = gmem_slot_view_locked(slot);
	struct gmem_binding *b;

	if (!view)
		return;

	/*
	 * An invalidation in flight keeps both of its ends on one set of
	 * bindings by holding invalidate_lock or views_lock: wait for it.
	 */
	filemap_invalidate_lock(gmem_mapping(view->inode));
	mutex_lock(&view->inode->views_lock);
	b = gmem_view_find_binding(view, slot);
	/* No invalidation reaches what KVM keeps of these pages from here on. */
	kvm_gmem_cache_invalidate(view->kvm, slot->base_gfn, slot->base_gfn + slot->npages);
	if (!WARN_ON_ONCE(!b))
		gmem_view_unbind(view, b);
	mutex_unlock(&view->inode->views_lock);
	filemap_invalidate_unlock(gmem_mapping(view->inode));
	/* This VM's waiters for its pages find another slot there, or none. */
	gmem_pager_wake_range(view->inode, slot->gmem.pgoff, slot->gmem.pgoff + slot->npages,
			      view->kvm);
}

/**
 * gmem_slot_get_inode() - the inode behind a memslot
 * @slot: the memslot, or NULL
 * @gfn: inside @slot
 * @index: where the page offset of @gfn goes
 *
 * Without a reference to the view's file, whose last one would keep the release from
 * coming while its owner waits for that very view's end.
 *
 * Context: kvm->srcu is held for reading.
 * Return: the inode, with a reference; NULL where the slot has no view, or has lost it.
 */
struct gmem_inode *gmem_slot_get_inode(struct kvm_memory_slot *slot, gfn_t gfn, pgoff_t *index)
{
	struct gmem_view *view;

	if (!kvm_slot_can_be_private(slot))
		return NULL;

	guard(rcu)();

	view = rcu_dereference(slot->gmem.view);
	if (!view || !gmem_view_is_open(view) || !igrab(&view->inode->vfs_inode))
		return NULL;

	*index = gmem_slot_index(slot, gfn);
	return view->inode;
}
