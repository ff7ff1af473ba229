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
 * Files
 *
 *   module.c		set-up, tear-down, capabilities
 *   inode.c		the pseudo filesystem and its inodes
 *   folio.c		getting pages into an inode, and out of it
 *   attrs.c		which pages are private, shared
 *   convert.c		KVM_SET_MEMORY_ATTRIBUTES2: private to shared and back
 *   refs.c		taking pages from the host, and who still holds them
 *   seal.c		KVM_GMEM_SEAL
 *   mmap.c		mapping an inode into the host's address spaces
 *   ioctl.c		ioctls on a view
 *   view.c		files, and the views behind them
 *   link.c		KVM_LINK_GUEST_MEMFD
 *   binding.c		memslots onto views
 *   fault.c		what a stage-2 fault asks for
 *   prefault.c		KVM_PRE_FAULT_MEMORY beside others
 *   access.c		KVM's own accesses to memory in an inode
 *   held.c		an inode's pages that KVM holds on to between accesses
 *   steal_time.c	steal time, likewise
 *   xen.c		Xen event channels of a guest whose shared page is owed
 *   fill.h		first content from a process's memory
 *   filler.c		populate-only handles
 *   pager.h		a process that serves missing pages, in files of their own
 *   populate.c		first content from the vendor's launch commands
 *   invalidate.c	taking pages out of every VM's stage-2 tables
 *   poison.c		memory failure
 *   fallocate.c	allocating and punching holes
 *   huge.c		folios of 2 MiB
 *   fdinfo.c		facts for operators
 *   x86.c		what depends on the type of an x86 VM
 *   trace.h		trace/events/gmem
 *
 * Lock order, outermost first
 *
 *   kvm->lock
 *     vcpu->mutex
 *       kvm->slots_lock
 *         kvm->populate_lock
 *         mmap_lock
 *           inode->i_mapping->invalidate_lock
 *             folio lock
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
 * taken. Invalidation takes it for reading inside mmu_lock, to look a slot up.
 * No two VMs' slots_lock, and no two inodes' invalidate_lock, are ever
 * held together in this directory.
 *
 * A pager's locks (pager.h, ring.h): gmem_ring.answering, then gmem_pager.failing, both
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
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>

#include <linux/kvm_gmem.h>

#include "../attrs/ranges.h"
#include "../kvm_mm.h"

struct seq_file;

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
 * @views_lock: keeps views and their bindings still
 * @views: struct gmem_view.entry of every view
 * @nr_views: length of @views, protected as that is
 * @gone: waited on by handles that are not views, woken when @views is empty
 * @pager: once there was one; set with invalidate_lock held for writing, for good
 * @splitter: the task that takes pages out and may split folios for it; set with
 *	      invalidate_lock held for writing, or without a view
 * @unsplit: memory failure could not split a folio, of which there may be more
 * @inodes: in inode.c's list of all inodes
 * @allocated: pages that ever came into the inode; those that are not in the
 *	       page cache any more have been freed
 */
struct gmem_inode {
	struct inode vfs_inode;
	u64 flags;
	struct module *module;
	struct gmem_ranges *attrs;
	u64 seals;
	struct mutex views_lock; /* see the lock order above */
	struct list_head views;
	unsigned int nr_views;
	wait_queue_head_t gone;
	struct gmem_pager *pager;
	struct task_struct *splitter;
	bool unsplit;
	struct list_head inodes;
	atomic_long_t allocated;
};

/**
 * struct gmem_view - one VM's view of a guest memory inode
 * @kvm: the VM, of which the view holds a reference; constant
 * @inode: the inode, whose reference the view's file holds; constant
 * @entry: in gmem_inode.views; empty while not attached
 * @bindings: struct gmem_binding.node by page offset, disjoint
 * @nr_bindings: how many, protected as @bindings is
 *
 * @entry and @bindings change with invalidate_lock held for writing and
 * views_lock held.
 */
struct gmem_view {
	struct kvm *kvm;
	struct gmem_inode *inode;
	struct list_head entry;
	struct rb_root_cached bindings;
	unsigned int nr_bindings;
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

/**
 * struct gmem_obstacle - a page that somebody has a reference to
 * @folio: with a reference of ours, from gmem_withdraw() to gmem_obstacle_wait()
 * @index: its first page in the range that was asked for
 * @deadline: in jiffies, when the call that waits gives up
 */
struct gmem_obstacle {
	struct folio *folio;
	pgoff_t index;
	unsigned long deadline;
};

static inline struct gmem_inode *GMEM_I(struct inode *inode)
{
	return container_of(inode, struct gmem_inode, vfs_inode);
}

static inline struct address_space *gmem_mapping(struct gmem_inode *gi)
{
	return gi->vfs_inode.i_mapping;
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

static inline struct file *gmem_slot_get_file(struct kvm_memory_slot *slot)
{
	/*
	 * NULL also for a file whose last reference is gone but whose release
	 * has not come around to clearing slot->gmem.file yet.
	 */
	return get_file_active(&slot->gmem.file);
}

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

/* inode.c */
int gmem_fs_init(struct module *module);
void gmem_fs_exit(void);
struct gmem_inode *gmem_inode_create(loff_t size, u64 flags);
struct gmem_inode *gmem_inode_find(struct address_space *mapping);
struct file *gmem_inode_open(struct gmem_inode *gi, const struct file_operations *fops,
			     void *private_data);

/* folio.c */
struct folio *gmem_folio_grab(struct gmem_inode *gi, pgoff_t index);
void gmem_page_clear(struct page *page);
void gmem_folio_set_stale(struct folio *folio);
void gmem_folio_make_zero(struct folio *folio);
void gmem_folio_make_shared(struct folio *folio);
void gmem_folio_clear_freed(struct folio *folio);
void gmem_free_folio(struct folio *folio);

/* attrs.c */
int gmem_attrs_init(struct gmem_inode *gi);
bool gmem_index_is_private(struct gmem_inode *gi, pgoff_t index);
bool gmem_range_has_attributes(struct gmem_inode *gi, pgoff_t start, pgoff_t nr, u64 attributes);

/* convert.c */
long gmem_convert(struct gmem_view *view, void __user *argp);

/* refs.c */
void gmem_obstacle_init(struct gmem_obstacle *obstacle);
int gmem_obstacle_wait(struct gmem_obstacle *obstacle);
int gmem_withdraw(struct gmem_inode *gi, pgoff_t first, pgoff_t last,
		  struct gmem_obstacle *obstacle);

/* seal.c */
bool gmem_is_sealed(struct gmem_inode *gi, u64 seal);
long gmem_seal(struct gmem_view *view, void __user *argp);
long gmem_get_seals(struct gmem_view *view, void __user *argp);

/* ioctl.c */
long gmem_view_ioctl(struct file *file, unsigned int code, unsigned long arg);

/* mmap.c */
int gmem_mmap(struct file *file, struct vm_area_struct *vma);
void gmem_unmap_host(struct gmem_inode *gi, pgoff_t start, pgoff_t end);

/* view.c */
struct gmem_view *gmem_view_of(struct file *file);
struct file *gmem_view_create(struct kvm *kvm, struct gmem_inode *gi);
int gmem_view_lock(struct gmem_view *view);
void gmem_view_unlock(struct gmem_view *view);

/* binding.c */
void gmem_view_drop_bindings(struct gmem_view *view);
struct gmem_inode *gmem_slot_get_inode(struct kvm_memory_slot *slot, gfn_t gfn, pgoff_t *index);

/* invalidate.c */
void gmem_view_invalidate_begin(struct gmem_view *view, pgoff_t start, pgoff_t end);
void gmem_view_invalidate_end(struct gmem_view *view, pgoff_t start, pgoff_t end);
bool gmem_needs_flush(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_flush(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_zap(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_begin(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_end(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_invalidate_folio(struct gmem_inode *gi, struct folio *folio);

/* poison.c */
bool gmem_poison_is_told(void);
void gmem_poison_init(void);
void gmem_poison_exit(void);
int gmem_error_remove_folio(struct address_space *mapping, struct folio *folio);
void gmem_poison_keep(struct folio *folio);

/* fault.c */
struct folio *gmem_fault_folio(struct file *file, struct kvm_memory_slot *slot, gfn_t gfn);

/* fill.c */
long gmem_view_populate(struct gmem_view *view, void __user *argp);
long gmem_populate_offset(struct kvm *kvm, struct gmem_inode *gi, void __user *argp);
int gmem_fill_owed(struct gmem_inode *gi, struct kvm_gmem_answer *answer, const void *content,
		   bool killable);
bool gmem_make_room(void);
ssize_t gmem_write_iter(struct kiocb *iocb, struct iov_iter *from);

/* filler.c */
long gmem_filler_create(struct gmem_view *view, void __user *argp);

/* fallocate.c */
long gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len);

/* huge.c */
bool gmem_huge_fits(struct gmem_inode *gi, pgoff_t index);
struct folio *gmem_huge_alloc(bool zero);
int gmem_huge_add(struct gmem_inode *gi, pgoff_t index, struct folio *folio);
void gmem_huge_extend(struct gmem_inode *gi, pgoff_t *start, pgoff_t *end);
bool gmem_huge_may_split(struct folio *folio);
void gmem_huge_truncate(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_huge_truncate_all(struct gmem_inode *gi);

/* fdinfo.c */
void gmem_show_fdinfo(struct seq_file *m, struct file *file);

/* x86.c */
u32 gmem_arch_capabilities(struct kvm *kvm);
bool gmem_arch_needs_flush(struct kvm *kvm);
u64 gmem_arch_flags(struct kvm *kvm);

static inline kvm_pfn_t gmem_folio_pfn(struct folio *folio, pgoff_t index)
{
	return folio_pfn(folio) + (index & (folio_nr_pages(folio) - 1));
}

/* One page of a large folio may be poisoned until memory failure has split it. */
static inline bool gmem_folio_is_poisoned(struct folio *folio, pgoff_t index)
{
	return PageHWPoison(folio_file_page(folio, index));
}

/*
 * Does a page have content, or is it missing? This is the one definition of "missing".
 * @folio is what the page cache has for the page, which may be nothing. If it is a
 * folio that is not up to date, the page was only allocated; or a task is giving it its
 * content just now, with the folio locked, and wakes those who wait afterwards.
 */
static inline bool gmem_folio_has_content(struct folio *folio)
{
	return folio && !xa_is_value(folio) && folio_test_uptodate(folio);
}

/*
 * The same by page offset. A poisoned page is not missing: it does not get content any
 * more. Without invalidate_lock the answer may be out of date.
 */
static inline bool gmem_page_is_missing(struct gmem_inode *gi, pgoff_t index)
{
	struct folio *folio;

	guard(rcu)();
	folio = xa_load(&gmem_mapping(gi)->i_pages, index);
	if (!folio || xa_is_value(folio))
		return true;
	return !gmem_folio_has_content(folio) && !gmem_folio_is_poisoned(folio, index);
}

/* May the inode have folios of PMD size? As huge.c says. */
static inline bool gmem_has_huge(struct gmem_inode *gi)
{
	return mapping_large_folio_support(gmem_mapping(gi));
}

#endif /* __KVM_GMEM_H */
