/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest memory engine: what its files share.
 *
 * Words
 *
 *   guest memory inode	owns the pages of one VM's memory: struct gmem_inode
 *   view		one open file on that inode, of one VM: struct gmem_view
 *   binding		a memslot's gfns onto a view's page offsets:
 *			struct gmem_binding
 *
 * Files, from what calls to what is called; a header stands beside a concept
 *
 *   module.c		set-up, tear-down, capabilities
 *   view_file.c	views' files
 *   release.c		... and their end, which waits for nobody
 *   put_vm.c		... nor for their VM's: put_vm.h
 *   link.c		KVM_LINK_GUEST_MEMFD
 *   ioctl.c		ioctls on a view
 *   mmap.c		mapping an inode into the host's address spaces
 *   fallocate.c	allocating and punching holes
 *   convert.c		KVM_SET_MEMORY_ATTRIBUTES2: private to shared and back
 *   seal.c		KVM_GMEM_SEAL
 *   fill/		first content: by a process, by the vendor's launch commands
 *   pager/		a process that serves missing pages
 *   access/		KVM's own accesses to memory in an inode
 *   prefault.c		KVM_PRE_FAULT_MEMORY beside others
 *   fault.c		what a stage-2 fault asks for
 *   present.c		which pages there are
 *   binding.c		memslots onto views
 *   view.c		views
 *   poison.c		memory failure
 *   pinned.c		taking pages from the host, and who still holds them
 *   invalidate.c	taking pages out of every VM's stage-2 tables
 *   pfncache.c		... and out of what KVM remembers of them
 *   inode.c		the pseudo filesystem and its inodes
 *   folio.c, huge.c	getting pages into an inode, and out of it
 *   chunk.c		... 2 MiB at a time, where the host may map them
 *   attrs.c		which pages are private, shared
 *   fdinfo.c		facts for operators
 *   x86.c		what depends on the type of an x86 VM, and on x86: arch.h
 *   trace.h		trace/events/gmem
 *
 * Lock order, outermost first
 *
 *   kvm->lock
 *     vcpu->mutex
 *       kvm->slots_lock
 *         kvm->populate_lock
 *         kvm->slots_arch_lock, mmap_lock
 *           inode->i_mapping->invalidate_lock
 *             folio lock (before it gmem_chunk_locks, which nothing else is inside of)
 *               gmem_inode.views_lock
 *                 i_mmap_rwsem
 *                   kvm->mmu_lock
 *                     kvm->gpc_lock
 *                       gfn_to_pfn_cache.lock
 *                     gmem_waits.lock
 *                       vcpu->async_pf.lock, gmem_ring.lock
 *                     kvm->gmem_waits_lock
 *
 * kvm->populate_lock: who populates in a VM's name has it for reading from its
 * checks until the pages are in, and several can; who changes the VM's attributes,
 * or moves it, for writing. kvm->srcu is read-locked inside it.
 *
 * kvm->srcu is read-locked around a stage-2 fault, outside the folio lock, and
 * around KVM's own accesses, which may give it up to wait for a pager (access.h).
 * Memslot updates synchronize it under slots_lock, so nothing that a reader
 * can wait for (a folio lock, views_lock) may be held while slots_lock is
 * taken. Invalidation takes it for reading inside mmu_lock, to look a slot up and unmap it.
 * No two VMs' slots_lock, and no two inodes' invalidate_lock, are ever
 * held together in this directory.
 *
 * A pager's locks (pager/owed.h, pager/ring.h): gmem_ring.answering, then gmem_pager.failing, both
 * outside invalidate_lock; gmem_pager.lock, innermost of those that sleep.
 *
 * Views and bindings change only with invalidate_lock held for writing AND
 * views_lock held; either of them alone keeps them still. Two locks, because
 * memory failure arrives with the folio locked, where invalidate_lock may no
 * longer be taken, while truncation takes folio locks, for which views_lock
 * may not be held.
 *
 * The one exception to the rule that no lock is held while userspace memory
 * is read: kvm_gmem_populate() calls SNP's launch update, as in Linux 6.12,
 * with slots_lock and invalidate_lock held. No inode of an SNP VM can be
 * mapped, hence no fault on it can want those locks inside mmap_lock.
 */
#ifndef __KVM_GMEM_H
#define __KVM_GMEM_H

#include <linux/fs.h>
#include <linux/interval_tree.h>
#include <linux/kfifo.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include <linux/kvm_gmem.h>

#include "../attrs/ranges.h"
#include "../kvm_mm.h"

/* What bit 63 is for: it goes with at least one of the others. */
#define GMEM_OWN_FLAG	(GUEST_MEMFD_FLAG_WRITE & GUEST_MEMFD_FLAG_HUGE_NEVER)
#define GMEM_HUGE_FLAGS	(GUEST_MEMFD_FLAG_HUGE_NEVER | GUEST_MEMFD_FLAG_HUGE_FITS | \
			 GUEST_MEMFD_FLAG_HUGE_ALWAYS)

/*
 * When pages come by 2 MiB: where the inode's flags ask for it (which no inode has, but the
 * parameter), where that is free, or also where memory has to be made free.
 */
enum gmem_chunks {
	GMEM_CHUNKS_NEVER, GMEM_CHUNKS_ASKED, GMEM_CHUNKS_FITS, GMEM_CHUNKS_ALWAYS,
};

/* Few more tasks than that gain by making chunks at once: memory's speed is the limit. */
#define GMEM_CHUNK_LOCKS	16

/**
 * struct gmem_inode - a guest memory inode
 * @vfs_inode: its size is fixed at creation
 * @flags: GUEST_MEMFD_FLAG_*, as given at creation; constant
 * @module: kept loaded until the inode is gone; constant
 * @attrs: KVM_MEMORY_ATTRIBUTE_PRIVATE by page offsets, NULL for an inode
 *	   that does not know, see attrs.c; the pointer is constant, what it points to changes
 *	   with invalidate_lock held for writing and every VM's faults held off
 *	   as invalidate.c says
 * @seals: KVM_GMEM_SEAL_*; protected by invalidate_lock
 * @views_lock: keeps views and their bindings still. Nothing is allocated under it: memory
 *		failure waits for it
 * @views: struct gmem_view.entry of every view
 * @nr_views: those of @views that are not left to release.c's work; begins with 1, and 0 is final
 * @gone: waited on by handles that are not views, woken when there are no views
 * @pager: once there was one; set with invalidate_lock held for writing, for good
 * @splitter: the task that takes pages out and may split folios for it; set with
 *	      invalidate_lock held for writing, or without a view
 * @unsplit: memory failure could not split a folio, of which there may be more
 * @failure_work: does what memory failure has left to do, with a reference to the inode; see
 *		  poison.c
 * @failures: frames for it
 * @failures_forgotten: there were more than that, or than could be remembered before
 * @inodes: in inode.c's list of all inodes
 * @allocated: pages that ever came into the inode; those that are not in the
 *	       page cache any more have been freed
 * @chunks_when: when pages come by chunks; constant
 * @chunk_locks: by chunk, while somebody makes it
 * @chunks: how many are whole
 */
struct gmem_inode {
	struct inode vfs_inode;
	u64 flags;
	struct module *module;
	struct gmem_ranges *attrs;
	u64 seals;
	struct mutex views_lock; /* see the lock order above */
	struct list_head views;
	atomic_t nr_views;
	wait_queue_head_t gone;
	struct gmem_pager *pager;
	struct task_struct *splitter;
	bool unsplit;
	struct work_struct failure_work;
	DECLARE_KFIFO(failures, unsigned long, 16);
	bool failures_forgotten;
	struct list_head inodes;
	atomic_long_t allocated;
	enum gmem_chunks chunks_when;
	struct mutex chunk_locks[GMEM_CHUNK_LOCKS]; /* inside invalidate_lock, see chunk.c */
	atomic_long_t chunks;
};

/**
 * struct gmem_view - one VM's view of a guest memory inode
 * @kvm: the VM, of which the view holds a reference; constant
 * @inode: the inode, whose reference the view's file holds; constant
 * @entry: in gmem_inode.views; empty while not attached
 * @bindings: struct gmem_binding.node by page offset, disjoint
 * @nr_bindings: how many, protected as @bindings is
 * @file: the view's file, without a reference; NULL once it is being released
 * @closed: it is being released, and does not keep the VM from another view
 * @bound: it has, or had, a binding; set with slots_lock held
 * @releasing: in kvm->gmem_releases.views: the rest of the release is left to a work
 * @rcu: a slot's view is looked at under RCU
 *
 * @entry and @bindings change with invalidate_lock held for writing and
 * views_lock held, @bindings with the slots_lock of @kvm besides.
 */
struct gmem_view {
	struct kvm *kvm;
	struct gmem_inode *inode;
	struct list_head entry;
	struct rb_root_cached bindings;
	unsigned int nr_bindings;
	struct file *file;
	bool closed;
	bool bound;
	struct list_head releasing;
	struct rcu_head rcu;
};

/**
 * struct gmem_binding - a memslot bound to a range of a view
 * @node: the page offsets, first and last
 * @slot: the memslot, which unbinds before it is freed; constant
 */
struct gmem_binding {
	struct interval_tree_node node;
	struct kvm_memory_slot *slot;
};

static inline struct gmem_inode *GMEM_I(struct inode *inode)
{
	return container_of(inode, struct gmem_inode, vfs_inode);
}

/* invalidate_lock, for whoever can fail, and need not wait when it is killed. */
static inline int gmem_lock_killable(struct address_space *mapping)
{
	return down_write_killable(&mapping->invalidate_lock);
}

static inline int gmem_lock_shared_killable(struct address_space *mapping)
{
	return down_read_killable(&mapping->invalidate_lock);
}

static inline struct address_space *gmem_mapping(struct gmem_inode *gi)
{
	return gi->vfs_inode.i_mapping;
}

/* A flag of ours is two bits, of which others have one: see the header. */
static inline bool gmem_inode_has_flag(const struct gmem_inode *gi, u64 flag)
{
	return (gi->flags & flag) == flag;
}

/*
 * No view is left, for good: no page can come, and those that are there go, though some may still
 * be where a guest can reach them (release.c).
 */
static inline bool gmem_inode_is_gone(const struct gmem_inode *gi)
{
	return !atomic_read(&gi->nr_views);
}

/* Is a range of bytes made of whole pages of the inode? It may be empty. */
static inline bool gmem_range_is_inside(struct gmem_inode *gi, u64 offset, u64 size)
{
	u64 end;

	return PAGE_ALIGNED(offset) && PAGE_ALIGNED(size) &&
	       !check_add_overflow(offset, size, &end) && end <= i_size_read(&gi->vfs_inode);
}

static inline pgoff_t gmem_slot_index(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return gfn - slot->base_gfn + slot->gmem.pgoff;
}

/* Has anybody the view's file? The answer is out of date at once, but false is final. */
static inline bool gmem_view_is_open(const struct gmem_view *view)
{
	struct file *file = READ_ONCE(view->file);

	if (!file || !file_count(file))
		return false;

	/*
	 * A file's memory may be used for another file at once. The view's
	 * pointer is cleared before that can happen.
	 */
	smp_rmb();
	return READ_ONCE(view->file) == file;
}

static inline struct file *gmem_slot_get_file(struct kvm_memory_slot *slot)
{
	struct gmem_view *view;

	guard(rcu)();

	view = rcu_dereference(slot->gmem.view);
	/*
	 * NULL also for a file whose last reference is gone but whose release
	 * has not come around to clearing view->file yet.
	 */
	return view ? get_file_active(&view->file) : NULL;
}

static inline bool gmem_slot_is_open(const struct kvm_memory_slot *slot)
{
	struct gmem_view *view;

	guard(rcu)();

	view = rcu_dereference(slot->gmem.view);
	return view && gmem_view_is_open(view);
}

/* A slot's view, also one that is closed; NULL where it has none. With the VM's slots_lock. */
static inline struct gmem_view *gmem_slot_view_locked(const struct kvm_memory_slot *slot)
{
	struct gmem_view *view = rcu_dereference_protected(slot->gmem.view, true);

	lockdep_assert(!view || lockdep_is_held(&view->kvm->slots_lock));
	return view;
}

/*
 * Tells lockdep that nothing is allocated under a lock that others need to go on: as if
 * reclaim took it. A task that allocates may wait for its cgroup's memory, and for others.
 * Since a page fault allocates with mmap_lock held, neither is userspace's memory accessed
 * under the lock.
 */
#define gmem_allocate_nothing_under(lock)	\
do {						\
	fs_reclaim_acquire(GFP_KERNEL);		\
	might_lock(lock);			\
	fs_reclaim_release(GFP_KERNEL);		\
} while (0)

/* Views and bindings may be walked: see the lock order. */
static inline void gmem_assert_views_stable(struct gmem_inode *gi)
{
	lockdep_assert(lockdep_is_held(&gmem_mapping(gi)->invalidate_lock) ||
		       lockdep_is_held(&gi->views_lock));
}

/* Views and bindings may be changed: see the lock order. */
static inline void gmem_assert_views_writable(struct gmem_inode *gi)
{
	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);
	lockdep_assert_held(&gi->views_lock);
}

/* The first binding that overlaps [start, last], and the one after @b. */
static inline struct gmem_binding *gmem_binding_first(struct gmem_view *view,
						      pgoff_t start, pgoff_t last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_first(&view->bindings, start, last);
	return node ? container_of(node, struct gmem_binding, node) : NULL;
}

static inline struct gmem_binding *gmem_binding_next(struct gmem_binding *b,
						     pgoff_t start, pgoff_t last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_next(&b->node, start, last);
	return node ? container_of(node, struct gmem_binding, node) : NULL;
}

#endif /* __KVM_GMEM_H */
