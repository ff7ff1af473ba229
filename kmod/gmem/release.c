// SPDX-License-Identifier: GPL-2.0-only
/*
 * The release of a view: the last reference to its file is gone.
 *
 * It takes the view's bindings away, for which it needs locks that a VMM can hold for as long as
 * it likes: slots_lock while an access that has kvm->srcu waits for a pager, or a dirty log is
 * copied to a page that its pager owes; invalidate_lock while memory.high throttles who allocates.
 * And it runs in anybody's context: in close(2), exit and execve of whoever was sent the file, in
 * kworkers that release the files of others (of sockets' garbage, of io_uring). None of them may
 * wait for that VMM. So a release tries for the locks: a task for a moment, a kthread once. If
 * that is in vain, the view counts as gone at once, and the rest is left to a work of our own,
 * which tries again and again, and never waits either.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "folio.h"
#include "gmem.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "view.h"

/* How long a task tries, and how often; when the work tries first, and how often later on. */
#define GMEM_RELEASE_PATIENCE_MS	100
#define GMEM_RELEASE_POLL_MIN_US	10
#define GMEM_RELEASE_POLL_MAX_US	1000
#define GMEM_RELEASE_DELAY_MIN		1
#define GMEM_RELEASE_DELAY_MAX		(HZ / 4)

/* Unbound, so that none of its workers has other works to do, nor others' CPU. */
static struct workqueue_struct *gmem_release_wq;
/* How many are left to it. */
static atomic_t gmem_releases = ATOMIC_INIT(0);

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
 * A kthread has other files to release. Of a task that exits SIGKILL has been taken away: it
 * waits once, and not for each of many views. In close(2), a task that is killed goes on.
 */
static s64 gmem_release_patience_ms(void)
{
	if (current->flags & PF_KTHREAD)
		return 0;
	if (current->flags & PF_EXITING && atomic_read(&gmem_releases))
		return 0;
	return GMEM_RELEASE_PATIENCE_MS;
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

static void gmem_release_work(struct work_struct *work)
{
	struct gmem_view *view = container_of(work, struct gmem_view, release.work);
	struct gmem_inode *gi = view->inode;
	bool last;

	if (!gmem_release_trylock(view)) {
		view->delay = min(2 * view->delay, GMEM_RELEASE_DELAY_MAX);
		queue_delayed_work(gmem_release_wq, &view->release, view->delay);
		return;
	}
	last = gmem_release_memory(view);
	gmem_release_unlock(view);

	if (last)
		gmem_release_pages(gi);
	atomic_dec(&gmem_releases);
	gmem_view_free(view);
	/* Of the inode, and so of the module. The end of the workqueue waits for what is left. */
	iput(&gi->vfs_inode);
}

/* The file is freed, and lets go of the inode, as soon as this returns. */
static void gmem_release_later(struct gmem_view *view)
{
	struct gmem_inode *gi = view->inode;
	bool gone;

	ihold(&gi->vfs_inode);
	atomic_inc(&gmem_releases);
	gone = gmem_release_count(view);
	gmem_release_wake(view, gone);
	if (gone)
		gmem_release_tell(gi);

	view->delay = GMEM_RELEASE_DELAY_MIN;
	INIT_DELAYED_WORK(&view->release, gmem_release_work);
	queue_delayed_work(gmem_release_wq, &view->release, view->delay);
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

	if (!gmem_release_try_for(view, gmem_release_patience_ms()))
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
