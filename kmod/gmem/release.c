// SPDX-License-Identifier: GPL-2.0-only
/*
 * The release of a view: the last reference to its file is gone.
 *
 * It takes the view's bindings away, for which it needs locks that a VMM can hold for as long as
 * it likes: slots_lock while an access that has kvm->srcu waits for a pager, or a dirty log is
 * copied to a page that its pager owes; invalidate_lock while memory.high throttles who allocates.
 * And it runs in anybody's context: in close(2), exit and execve of whoever was sent the file, in
 * kworkers that release the files of others (of sockets' garbage, of io_uring). None of them may
 * wait for that VMM. So a release tries for the locks: the VMM itself for a moment, another task
 * once, a kthread not at all. If that is in vain, the view counts as gone at once, and the rest is
 * left to a work of our own, one a VM, which tries again and again, and never waits either. The
 * last reference to the VM is put_vm.c's.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "folio.h"
#include "gmem.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "put_vm.h"
#include "view.h"

/* How long a task tries, and how often; when the work tries first, and how often later on. */
#define GMEM_RELEASE_PATIENCE_MS	100
#define GMEM_RELEASE_POLL_MIN_US	10
#define GMEM_RELEASE_POLL_MAX_US	1000
#define GMEM_RELEASE_DELAY_MIN		1
#define GMEM_RELEASE_DELAY_MAX		(HZ / 4)

/* Unbound, so that none of its workers has other works to do, nor others' CPU. */
static struct workqueue_struct *gmem_release_wq;

/* A view that was never bound has nothing that slots_lock keeps, and nobody can bind it now. */
static bool gmem_release_needs_slots(const struct gmem_view *view)
{
	return view->bound;
}

/* Lets a move go first, as kvm_move_let_slots_pass() does. */
static bool gmem_release_trylock(struct gmem_view *view)
{
	bool slots = gmem_release_needs_slots(view);
	struct kvm *kvm = view->kvm;

	if (slots && (READ_ONCE(kvm->move_waits) || !mutex_trylock(&kvm->slots_lock)))
		return false;
	if (down_write_trylock(&gmem_mapping(view->inode)->invalidate_lock))
		return true;
	if (slots)
		mutex_unlock(&kvm->slots_lock);
	return false;
}

static void gmem_release_unlock(struct gmem_view *view)
{
	filemap_invalidate_unlock(gmem_mapping(view->inode));
	if (gmem_release_needs_slots(view))
		mutex_unlock(&view->kvm->slots_lock);
}

/* For good: a link needs a view whose file is open. */
static bool gmem_release_count(struct gmem_view *view)
{
	return atomic_dec_and_test(&view->inode->nr_views);
}

/* Waiters for pages of this view find it gone, or, as @gone says, all of the inode's. */
static void gmem_release_wake(struct gmem_view *view, bool gone)
{
	gmem_pager_wake_range(view->inode, 0, ULONG_MAX, gone ? NULL : view->kvm);
}

static void gmem_release_tell(struct gmem_inode *gi)
{
	wake_up_all(&gi->gone);
	gmem_pager_wake(gi);
}

/* With the locks: takes the memory from the VM. Returns whether no view is left to take it from. */
static bool gmem_release_memory(struct gmem_view *view)
{
	struct gmem_inode *gi = view->inode;
	bool last;

	gmem_view_invalidate_begin(view, 0, ULONG_MAX);
	gmem_view_invalidate_end(view, 0, ULONG_MAX);

	mutex_lock(&gi->views_lock);
	gmem_view_drop_bindings(view);
	gmem_view_detach(view);
	last = list_empty(&gi->views);
	mutex_unlock(&gi->views_lock);
	return last;
}

/*
 * Without a view no guest can reach the pages and no VM can be linked, for good: free them now
 * and not at the inode's end, which others can put off (inotify marks, O_PATH). Without
 * invalidate_lock: under it nobody adds a page to an inode that is gone.
 */
static void gmem_release_pages(struct gmem_inode *gi)
{
	gmem_huge_truncate_all(gi);
}

/* All of it, or nothing where a lock can't be had now. */
static bool gmem_release_try(struct gmem_view *view)
{
	struct gmem_inode *gi = view->inode;
	bool last, gone;

	if (!gmem_release_trylock(view))
		return false;
	last = gmem_release_memory(view);
	gone = gmem_release_count(view);
	gmem_release_unlock(view);

	/* Not only when a terabyte is freed. The pager, too, is told when it is. */
	gmem_release_wake(view, gone);
	if (last)
		gmem_release_pages(gi);
	if (gone)
		gmem_release_tell(gi);
	gmem_view_free(view);
	return true;
}

/*
 * A VM's own VMM waits a moment, so that its memory is free when close(2) returns; once, and not
 * for each of many views. Others have nothing to do with what that VMM does. Of a task that exits
 * SIGKILL has been taken away; in close(2), a task that is killed goes on.
 */
static s64 gmem_release_patience_ms(struct kvm *kvm)
{
	return gmem_is_own_vmm(kvm) && !READ_ONCE(kvm->gmem_releases.queued) ?
	       GMEM_RELEASE_PATIENCE_MS : 0;
}

static bool gmem_release_try_for(struct gmem_view *view, s64 ms)
{
	ktime_t until = ktime_add_ms(ktime_get(), ms);
	unsigned int pause = GMEM_RELEASE_POLL_MIN_US;

	while (!gmem_release_try(view)) {
		if (fatal_signal_pending(current) || !ktime_before(ktime_get(), until))
			return false;
		usleep_range_state(pause, 2 * pause, TASK_KILLABLE);
		pause = min(2 * pause, GMEM_RELEASE_POLL_MAX_US);
	}
	return true;
}

/* One of those that were left to the work. Returns whether that was all. */
static bool gmem_release_rest(struct gmem_view *view)
{
	struct gmem_inode *gi = view->inode;
	bool last;

	if (!gmem_release_trylock(view))
		return false;
	last = gmem_release_memory(view);
	gmem_release_unlock(view);

	if (last)
		gmem_release_pages(gi);
	gmem_view_free(view);
	/* Of the inode, and so of the module. */
	iput(&gi->vfs_inode);
	return true;
}

/* With what is left, and what has come meanwhile. Returns whether there is anything. */
static bool gmem_release_again(struct kvm_gmem_releases *rs, struct list_head *views)
{
	bool queued;

	spin_lock(&rs->lock);
	list_splice(views, &rs->views);
	queued = !list_empty(&rs->views);
	WRITE_ONCE(rs->queued, queued);
	spin_unlock(&rs->lock);
	return queued;
}

/*
 * All of a VM's views in one work: a VMM that keeps its slots_lock can't have the host look for
 * that once a view. The work keeps VM and module, since each view lets go of them.
 */
static void gmem_release_work(struct work_struct *work)
{
	struct kvm *kvm = container_of(to_delayed_work(work), struct kvm, gmem_releases.work);
	struct kvm_gmem_releases *rs = &kvm->gmem_releases;
	struct gmem_view *view, *next;
	bool held_up = false;
	LIST_HEAD(views);
	LIST_HEAD(left);

	spin_lock(&rs->lock);
	list_splice_init(&rs->views, &views);
	spin_unlock(&rs->lock);
	list_for_each_entry_safe(view, next, &views, releasing) {
		list_del(&view->releasing);
		if ((held_up && gmem_release_needs_slots(view)) || !gmem_release_rest(view)) {
			list_add_tail(&view->releasing, &left);
			held_up = READ_ONCE(kvm->move_waits) || mutex_is_locked(&kvm->slots_lock);
		}
		cond_resched();
	}

	if (gmem_release_again(rs, &left)) {
		rs->delay = min(2 * rs->delay, GMEM_RELEASE_DELAY_MAX);
		queue_delayed_work(gmem_release_wq, &rs->work, rs->delay);
		return;
	}
	kvm_gmem_put_vm(kvm);
	/* The end of the workqueue waits for what is left. */
	kvm_gmem_put_owner();
}

/* The first view that is left to the work. */
static void gmem_release_queue(struct kvm *kvm)
{
	struct kvm_gmem_releases *rs = &kvm->gmem_releases;

	lockdep_assert_held(&rs->lock);

	kvm_get_kvm(kvm);
	gmem_keep_owner();
	rs->delay = GMEM_RELEASE_DELAY_MIN;
	WRITE_ONCE(rs->queued, true);
	queue_delayed_work(gmem_release_wq, &rs->work, rs->delay);
}

/* The file is freed, and lets go of the inode and the module, as soon as this returns. */
static void gmem_release_later(struct gmem_view *view)
{
	struct kvm_gmem_releases *rs = &view->kvm->gmem_releases;
	struct gmem_inode *gi = view->inode;
	bool gone;

	ihold(&gi->vfs_inode);
	gone = gmem_release_count(view);
	gmem_release_wake(view, gone);
	if (gone)
		gmem_release_tell(gi);

	spin_lock(&rs->lock);
	list_add_tail(&view->releasing, &rs->views);
	if (!rs->queued)
		gmem_release_queue(view->kvm);
	spin_unlock(&rs->lock);
}

/**
 * gmem_release_init_vm() - a VM is being made
 * @kvm: the VM
 *
 * Context: KVM_CREATE_VM; nobody knows the VM.
 */
void gmem_release_init_vm(struct kvm *kvm)
{
	struct kvm_gmem_releases *rs = &kvm->gmem_releases;

	spin_lock_init(&rs->lock);
	INIT_LIST_HEAD(&rs->views);
	INIT_DELAYED_WORK(&rs->work, gmem_release_work);
}

/**
 * gmem_view_release() - file_operations.release of a view
 * @inode: its inode
 * @file: the file, of which no reference is left
 *
 * Against a fault in any VM: gmem_slot_get_file() finds no live file any more in this VM's slots,
 * and one that found it before holds a reference, so that we would not be here. A fault that has
 * its page and has dropped its reference has read mmu_invalidate_seq before; the zap changes it,
 * so that the page is not installed. Other VMs fault through their own views, which this does not
 * touch.
 *
 * Against memslot updates: they may unbind until slots_lock is taken here. Unbinding afterwards
 * finds slot->gmem.view NULL and nothing to do; binding needs a reference to the file, of which
 * there is none.
 *
 * Against invalidation of the inode: both hold invalidate_lock for writing, or it holds views_lock
 * (memory failure), so begin and end see the same bindings.
 *
 * Context: Process context, a kthread's too; whatever locks whoever drops a file may hold. Waits
 * for no lock that a VMM can hold for long.
 * Return: 0.
 */
int gmem_view_release(struct inode *inode, struct file *file)
{
	struct gmem_view *view = file->private_data;

	WRITE_ONCE(view->closed, true);
	/* Its memory may be another file's once this has returned. */
	WRITE_ONCE(view->file, NULL);

	/* A kthread has other files to release than to free a terabyte. */
	if (current->flags & PF_KTHREAD ||
	    !gmem_release_try_for(view, gmem_release_patience_ms(view->kvm)))
		gmem_release_later(view);
	return 0;
}

/**
 * gmem_release_init() - get ready to release views
 *
 * Context: Module load.
 * Return: 0 or -ENOMEM.
 */
int gmem_release_init(void)
{
	gmem_release_wq = alloc_workqueue("gmem_release", WQ_UNBOUND, 0);
	return gmem_release_wq ? 0 : -ENOMEM;
}

/**
 * gmem_release_exit() - wait for the last steps of releases
 *
 * Context: Module unload: no inode is left, hence no view to release.
 */
void gmem_release_exit(void)
{
	destroy_workqueue(gmem_release_wq);
}
