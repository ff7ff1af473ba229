// SPDX-License-Identifier: GPL-2.0-only
/*
 * Views: one VM's files on guest memory inodes.
 *
 * A view's file holds a reference of its VM and of its inode; memslots bound
 * to it hold none of the file. So the inode lives as long as some view is
 * open, a VM as long as its views are, and closing a view takes the memory
 * away from that VM's guest and from nobody else.
 */
#include <linux/module.h>

#include "gmem.h"
#include "put_vm.h"
#include "seal.h"
#include "view.h"

static bool gmem_has_view_of(struct gmem_inode *gi, const struct kvm *kvm)
{
	struct gmem_view *view;

	gmem_assert_views_stable(gi);

	list_for_each_entry(view, &gi->views, entry) {
		if (view->kvm == kvm && !READ_ONCE(view->closed))
			return true;
	}
	return false;
}

/*
 * One view an inode and VM, beside those that are closed and not released yet: all of a VM's
 * bindings are invalidated, whichever view they are of. Looked up and added under one lock,
 * so that of two links by the same VM one fails.
 */
int gmem_view_attach(struct gmem_view *view)
{
	struct gmem_inode *gi = view->inode;
	struct address_space *mapping = gmem_mapping(gi);
	int r = 0;

	if (gmem_lock_killable(mapping))
		return -EINTR;
	mutex_lock(&gi->views_lock);

	/* The first view is made before anybody could set it. */
	if (gmem_is_sealed(gi, KVM_GMEM_SEAL_LINK)) {
		r = -EPERM;
	} else if (gmem_has_view_of(gi, view->kvm)) {
		r = -EINVAL;
	} else {
		list_add_tail(&view->entry, &gi->views);
		atomic_inc(&gi->nr_views);
	}

	mutex_unlock(&gi->views_lock);
	filemap_invalidate_unlock(mapping);
	return r;
}

void gmem_view_detach(struct gmem_view *view)
{
	gmem_assert_views_writable(view->inode);

	list_del_init(&view->entry);
}

/* The VM may go with it. Faults look at views under RCU. */
void gmem_view_free(struct gmem_view *view)
{
	struct kvm *kvm = view->kvm;

	kfree_rcu(view, rcu);
	kvm_gmem_put_vm(kvm);
}

/**
 * gmem_view_lock() - begin to change an inode in the name of a view's VM
 * @view: the view
 *
 * With the VM's slots_lock, so that one that was moved meanwhile is seen to be
 * dead: its memory is another's to change.
 *
 * Context: Process context, no lock held.
 * Return: 0 with slots_lock, and invalidate_lock for writing, until
 * gmem_view_unlock(); -EIO for a dead VM; -EINTR by a fatal signal.
 */
int gmem_view_lock(struct gmem_view *view)
{
	if (kvm_move_let_slots_pass(view->kvm) || mutex_lock_killable(&view->kvm->slots_lock))
		return -EINTR;

	if (view->kvm->vm_dead) {
		mutex_unlock(&view->kvm->slots_lock);
		return -EIO;
	}

	if (gmem_lock_killable(gmem_mapping(view->inode))) {
		mutex_unlock(&view->kvm->slots_lock);
		return -EINTR;
	}
	return 0;
}

/**
 * gmem_view_unlock() - undo gmem_view_lock()
 * @view: the view
 *
 * Context: after gmem_view_lock() has succeeded.
 */
void gmem_view_unlock(struct gmem_view *view)
{
	filemap_invalidate_unlock(gmem_mapping(view->inode));
	mutex_unlock(&view->kvm->slots_lock);
}
