// SPDX-License-Identifier: GPL-2.0-only
/*
 * First content from a process's memory: KVM_GUEST_MEMFD_POPULATE by guest
 * physical address, KVM_GMEM_POPULATE by offset; write(2) for shared pages.
 *
 * The caller's memory may not come, for ever: it can be another's to serve. So
 * it is read with no lock held, into folios that nobody else knows; then come
 * the locks, all checks, and the folios go in. A look at a page finds none,
 * or all of its content.
 */
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "../arch.h"
#include "../attrs.h"
#include "../chunk.h"
#include "../folio.h"
#include "../gmem.h"
#include "../pager/owed.h"
#include "../seal.h"
#include "../view.h"
#include "fill.h"
#include "read.h"

/* A page that was allocated ahead, and that nobody has touched yet. */
static int gmem_fill_present(struct gmem_inode *gi, pgoff_t index, struct folio *content)
{
	struct folio *folio = filemap_lock_folio(gmem_mapping(gi), index);
	int r = 0;

	/* invalidate_lock keeps it, unless it came with a chunk that was not added to the end. */
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	if (gmem_folio_is_poisoned(folio, index)) {
		r = -EHWPOISON;
	} else if (gmem_folio_has_content(folio)) {
		r = -EEXIST;
	} else {
		gmem_folio_make_zero(folio);
		copy_highpage(folio_file_page(folio, index), folio_page(content, 0));
		folio_mark_uptodate(folio);
	}

	folio_unlock(folio);
	folio_put(folio);
	return r;
}

/* Takes over the reference to @folio where it succeeds. */
static int gmem_fill_install_page(struct gmem_fill *fill, struct gmem_inode *gi, pgoff_t index,
				  struct folio *folio)
{
	struct address_space *mapping = gmem_mapping(gi);
	gfp_t gfp = mapping_gfp_mask(mapping);
	int r;

	lockdep_assert_held(&mapping->invalidate_lock);

	/* Others are not to wait while room is made in the cgroup of this task. */
	if (!fill->reclaim)
		gfp = (gfp & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN;
	do {
		r = filemap_add_folio(mapping, folio, index, gfp);
		if (r == -EEXIST) {
			r = gmem_fill_present(gi, index, folio);
		} else if (!r) {
			atomic_long_inc(&gi->allocated);
			folio_unlock(folio);
		}
	} while (r == -ENOENT);
	if (!r)
		folio_put(folio);
	return r;
}

/* Are all these pages the caller's to populate? The locks of gmem_fill_install() are held. */
static int gmem_fill_check(struct gmem_fill *fill, struct gmem_inode *gi, pgoff_t index,
			   gfn_t gfn, unsigned int nr)
{
	u64 private = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	bool r;

	if (fill->iter)
		return !gi->attrs || gmem_range_has_attributes(gi, index, nr, 0) ? 0 : -EACCES;

	if (fill->owed)
		return gmem_pager_owes(gi, index, nr) ? 0 : -ENOENT;

	if (fill->gi || !kvm_arch_has_private_mem(fill->kvm))
		return 0;

	/* The inode knows, or else the VM: see attrs.c. */
	if (gi->attrs)
		r = gmem_range_has_attributes(gi, index, nr, private);
	else
		r = kvm_range_has_memory_attributes(fill->kvm, gfn, gfn + nr, private, private);
	return r ? 0 : -EINVAL;
}

/* Returns how many went in, and in @r what stopped them. */
static unsigned int gmem_fill_install_pages(struct gmem_fill *fill, struct gmem_inode *gi,
					    pgoff_t index, unsigned int nr, int *r)
{
	bool all = nr > 1 && !gmem_fill_check(fill, gi, index, fill->next, nr);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!all)
			*r = gmem_fill_check(fill, gi, index + i, fill->next + i, 1);
		if (!*r)
			*r = gmem_fill_install_page(fill, gi, index + i, fill->folios[i]);
		if (*r)
			break;
	}
	return i;
}

/*
 * All 2 MiB, or nothing: which page it fails at, single pages will tell. What it could not put
 * into place is dropped by the caller, unless it is gone.
 */
static unsigned int gmem_fill_install_large(struct gmem_fill *fill, struct gmem_inode *gi,
					    pgoff_t index, unsigned int nr)
{
	struct page *chunk = fill->chunk;

	if (nr < HPAGE_PMD_NR || gmem_fill_check(fill, gi, index, fill->next, nr))
		return 0;

	if (chunk) {
		if (!gmem_chunk_fits(gi, index))
			return 0;
		fill->chunk = NULL;
		return gmem_chunk_add(gi, index, chunk, true) ? 0 : nr;
	}

	if (!gmem_huge_fits(gi, index) || gmem_huge_add(gi, index, fill->huge))
		return 0;
	folio_put(fill->huge);
	fill->huge = NULL;
	return nr;
}

/* The next @nr pages are where they belong. */
static void gmem_fill_advance(struct gmem_fill *fill, unsigned int nr)
{
	fill->large = false;
	fill->nr -= nr;
	fill->next += nr;
	fill->left -= nr;
	if (fill->from)
		fill->from += nr * PAGE_SIZE;
	if (fill->content)
		fill->content += nr * PAGE_SIZE;
	if (fill->nr)
		memmove(fill->folios, fill->folios + nr, fill->nr * sizeof(fill->folios[0]));
}

/* Says in @done how many of @nr pages it has installed. */
static int gmem_fill_install_locked(struct gmem_fill *fill, struct gmem_inode *gi, pgoff_t index,
				    unsigned int nr, unsigned int *done)
{
	int r = 0;

	/* The last view went, and with it the pages: no new ones after that. */
	if (gmem_inode_is_gone(gi))
		return -EPIPE;
	if (gmem_is_sealed(gi, fill->seals))
		return -EPERM;

	if (fill->large)
		*done = gmem_fill_install_large(fill, gi, index, nr);
	else
		*done = gmem_fill_install_pages(fill, gi, index, nr, &r);
	return r;
}

/*
 * Takes a lock that it does not wait for with more than a page: nobody is charged for what was
 * read, and others may keep the lock for as long as they like. -EBUSY: it is not free.
 */
static int gmem_fill_lock(struct gmem_fill *fill, struct rw_semaphore *lock)
{
	if (down_read_trylock(lock))
		return 0;

	fill->missed++;
	return fill->nr > 1 ? -EBUSY : down_read_killable(lock);
}

/* Installs the first @nr pages that were read, from page offset @index on. */
static int gmem_fill_install_range(struct gmem_fill *fill, struct gmem_inode *gi, pgoff_t index,
				   unsigned int nr)
{
	unsigned int done = 0;
	int r;

	r = gmem_fill_lock(fill, &gmem_mapping(gi)->invalidate_lock);
	if (!r) {
		r = gmem_fill_install_locked(fill, gi, index, nr, &done);
		filemap_invalidate_unlock_shared(gmem_mapping(gi));
	}
	gmem_pager_resolved(gi, index, index + done);

	if (fill->large && !done)
		gmem_fill_drop(fill);
	else
		gmem_fill_advance(fill, done);
	return r;
}

/* Through the memslot of the next gfn, as far as it goes. */
static int gmem_fill_install_slot(struct gmem_fill *fill)
{
	struct kvm_memory_slot *slot = gfn_to_memslot(fill->kvm, fill->next);
	struct file *file;
	unsigned int nr;
	int r;

	if (!kvm_slot_can_be_private(slot))
		return -EINVAL;

	file = gmem_slot_get_file(slot);
	if (!file)
		return -EFAULT;

	nr = min_t(u64, fill->nr, slot->base_gfn + slot->npages - fill->next);
	r = gmem_fill_install_range(fill, GMEM_I(file_inode(file)),
				    gmem_slot_index(slot, fill->next), nr);
	fput(file);
	return r;
}

/* All that was read, slot by slot. kvm->srcu keeps the slots, as for a fault. */
static int gmem_fill_install_slots(struct gmem_fill *fill)
{
	int idx = srcu_read_lock(&fill->kvm->srcu);
	int r = 0;

	while (!r && fill->nr)
		r = gmem_fill_install_slot(fill);
	srcu_read_unlock(&fill->kvm->srcu, idx);
	return r;
}

/* populate_lock, behind a move that wants it. */
static int gmem_fill_lock_vm(struct gmem_fill *fill)
{
	if (unlikely(READ_ONCE(fill->kvm->move_waits))) {
		fill->missed++;
		if (fill->nr > 1)
			return -EBUSY;
	}
	return kvm_move_let_slots_pass(fill->kvm) ? :
	       gmem_fill_lock(fill, &fill->kvm->populate_lock);
}

/*
 * All that was read. populate_lock keeps attributes, and a VM that was moved
 * meanwhile is found to be dead: its memory is another's to populate.
 */
static int gmem_fill_install(struct gmem_fill *fill)
{
	struct kvm *kvm = fill->kvm;
	int r;

	if (!kvm)
		return gmem_fill_install_range(fill, fill->gi, fill->next, fill->nr);

	r = gmem_fill_lock_vm(fill);
	if (r)
		return r;

	if (kvm->vm_dead)
		r = -EIO;
	else if (fill->gi)
		r = gmem_fill_install_range(fill, fill->gi, fill->next, fill->nr);
	else
		r = gmem_fill_install_slots(fill);

	up_read(&kvm->populate_lock);
	return r;
}

/*
 * Waits for the locks that gmem_fill_install() takes, with nothing held: they were not all free.
 * Others may have them again before it comes back.
 */
static int gmem_fill_await_locks(struct gmem_fill *fill)
{
	struct gmem_inode *gi;
	pgoff_t index;
	u64 left;
	int r;

	if (fill->kvm) {
		if (kvm_move_let_slots_pass(fill->kvm) ||
		    down_read_killable(&fill->kvm->populate_lock))
			return -EINTR;
		up_read(&fill->kvm->populate_lock);
	}

	gi = gmem_fill_inode(fill, &index, &left);
	if (!gi)
		return 0;

	r = gmem_lock_shared_killable(gmem_mapping(gi));
	if (!r)
		filemap_invalidate_unlock_shared(gmem_mapping(gi));
	iput(&gi->vfs_inode);
	return r;
}

/**
 * gmem_make_room() - have some room in the caller's memory cgroup, without a lock
 *
 * Pages are charged to the task that brings them, under locks that others need. Where
 * that takes reclaim, or killing somebody of the cgroup, it is done here, for memory
 * that is let go again; most of the room that it took is the next one's on this CPU.
 *
 * Context: Process context, may sleep; no lock held that others need to go on.
 * Return: whether there was room; others of the cgroup may take it first.
 */
bool gmem_make_room(void)
{
	struct page *pages[GMEM_FILL_BATCH];
	unsigned int n = 0;

	while (n < GMEM_FILL_BATCH) {
		pages[n] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!pages[n])
			break;
		n++;
	}
	for (unsigned int i = 0; i < n; i++)
		__free_page(pages[i]);
	return n && !fatal_signal_pending(current);
}

/**
 * gmem_may_try_again() - is there no memory for a page, or was it a lock that forbade to make some?
 * @tries: how often it was tried, 0 before the first; the third time is with reclaim
 *
 * Others wait for invalidate_lock, also those of other VMs: the task does not make memory free,
 * nor is made to wait by its memory cgroup, with it held, unless nothing else has helped.
 *
 * Context: as gmem_make_room().
 * Return: whether to try again.
 */
bool gmem_may_try_again(unsigned int *tries)
{
	return (*tries)++ < GMEM_TRIES_LIGHT && gmem_make_room();
}

/* There was no memory to install pages. 0: try again, the last time with reclaim. */
static int gmem_fill_no_memory(struct gmem_fill *fill, u64 left)
{
	/* A task that works for others holds what they wait for. */
	if (fill->killable || fill->reclaim)
		return -ENOMEM;

	fill->reclaim = fill->left == left;
	return gmem_make_room() ? 0 : -ENOMEM;
}

/* @again: what was read was dropped. Signals that come often do not keep it from every page. */
static bool gmem_fill_is_interrupted(struct gmem_fill *fill, bool again)
{
	return fill->killable || again ? fatal_signal_pending(current) : signal_pending(current);
}

/* Returns how many pages were populated, or what stopped the first. */
static long gmem_fill_run(struct gmem_fill *fill)
{
	u64 total = fill->left;
	bool again = false;
	int r = 0;

	while (!r && fill->left) {
		unsigned int missed = fill->missed;
		u64 left = fill->left, pages_until;
		int read;

		if (gmem_fill_is_interrupted(fill, again)) {
			r = -EINTR;
			break;
		}

		read = gmem_fill_read(fill);
		pages_until = fill->pages_until;
		r = gmem_fill_install(fill);
		gmem_fill_drop(fill);
		if (fill->missed == missed)
			fill->missed = 0;
		again = r == -EBUSY && fill->left == left;
		if (r == -EBUSY) {
			/* 2 MiB that could not be tried may still fit. */
			fill->pages_until = pages_until;
			r = gmem_fill_await_locks(fill);
		} else if (r == -ENOMEM) {
			r = gmem_fill_no_memory(fill, left);
		} else {
			fill->reclaim = false;
			r = r ? : read;
		}
		cond_resched();
	}
	fill->error = r;
	return fill->left == total ? r : total - fill->left;
}

/* From what both ioctls are given: 0 or -errno. */
static int gmem_fill_init(struct gmem_fill *fill, u64 start, u64 size, u64 from, u64 flags)
{
	u64 end;

	*fill = (struct gmem_fill) {
		.next = start >> PAGE_SHIFT,
		.left = size >> PAGE_SHIFT,
		.from = u64_to_user_ptr(from),
		.seals = KVM_GMEM_SEAL_WRITE,
		.order = GMEM_FILL_ORDER,
		.slow = U64_MAX,
	};
	if (flags || !size || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(size) ||
	    check_add_overflow(start, size, &end))
		return -EINVAL;

	if (from && (from != (unsigned long)fill->from || !access_ok(fill->from, size)))
		return -EFAULT;

	return 0;
}

/**
 * kvm_gmem_populate_gpa() - KVM_GUEST_MEMFD_POPULATE
 * @kvm: the VM
 * @argp: struct kvm_guest_memfd_populate
 *
 * By any process that holds the VM's fd: nothing of the VM's mm is used.
 *
 * Context: VM ioctl, no lock held. Takes populate_lock and invalidate_lock.
 * Return: pages populated; or, where the first one fails, -errno: -EFAULT,
 * -EINVAL for an argument, or a gfn without a view or that is not private,
 * -EEXIST, -EPERM where that is sealed, -EIO for a dead VM, -EOPNOTSUPP for SNP, -EINTR, -ENOMEM,
 * -EHWPOISON.
 */
long kvm_gmem_populate_gpa(struct kvm *kvm, void __user *argp)
{
	struct kvm_guest_memfd_populate args;
	struct gmem_fill fill;
	int r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	if (kvm->vm_dead)
		return -EIO;

	if (!(gmem_arch_capabilities(kvm) & KVM_GMEM_CAP_POPULATE))
		return -EOPNOTSUPP;

	r = gmem_fill_init(&fill, args.gpa, args.size, args.from, args.flags);
	if (r)
		return r;

	fill.kvm = kvm;
	return gmem_fill_run(&fill);
}

/**
 * gmem_view_populate() - KVM_GMEM_POPULATE on a view
 * @view: the view
 * @argp: struct kvm_gmem_populate
 *
 * Context: as gmem_populate_offset().
 * Return: as gmem_populate_offset(); -EIO for a dead VM; -EOPNOTSUPP for SNP.
 */
long gmem_view_populate(struct gmem_view *view, void __user *argp)
{
	if (!(gmem_arch_capabilities(view->kvm) & KVM_GMEM_CAP_POPULATE))
		return -EOPNOTSUPP;

	return gmem_populate_offset(view->kvm, view->inode, argp);
}

/**
 * gmem_populate_offset() - KVM_GMEM_POPULATE
 * @kvm: the view's VM; NULL for a populate-only handle
 * @gi: the inode
 * @argp: struct kvm_gmem_populate
 *
 * Context: Process context, no lock held. Takes populate_lock and invalidate_lock.
 * Return: as kvm_gmem_populate_gpa(); -EPIPE where the inode has no view left.
 */
long gmem_populate_offset(struct kvm *kvm, struct gmem_inode *gi, void __user *argp)
{
	struct kvm_gmem_populate args;
	struct gmem_fill fill;
	int r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	if (memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;

	r = gmem_fill_init(&fill, args.offset, args.size, args.from, args.flags);
	if (r)
		return r;

	if (fill.next + fill.left > i_size_read(&gi->vfs_inode) >> PAGE_SHIFT)
		return -EINVAL;

	fill.kvm = kvm;
	fill.gi = gi;
	return gmem_fill_run(&fill);
}

/**
 * gmem_write_iter() - file_operations.write_iter of a view
 * @iocb: file and position
 * @from: the content
 *
 * Populates pages that are missing, and not private by the inode's own attributes;
 * whole ones. What crosses the end is cut off there, as on a device.
 *
 * Context: Process context, no lock held. Takes populate_lock and invalidate_lock.
 * Return: bytes written; or, where the first page fails, -errno: -ENODEV without
 * GUEST_MEMFD_FLAG_WRITE, -EINVAL for what is not page-aligned and at or past
 * the end, -EEXIST, -EACCES for a private page, -EPERM where that is sealed,
 * -EFAULT, -EIO for a dead VM, -EINTR, -ENOMEM, -EHWPOISON.
 */
ssize_t gmem_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct gmem_view *view = gmem_view_of(iocb->ki_filp);
	loff_t size = i_size_read(&view->inode->vfs_inode);
	struct gmem_fill fill;
	ssize_t r;

	if (!gmem_inode_has_flag(view->inode, GUEST_MEMFD_FLAG_WRITE))
		return -ENODEV;

	r = generic_write_checks(iocb, from);
	if (r <= 0)
		return r;

	if (!PAGE_ALIGNED(iocb->ki_pos) || !PAGE_ALIGNED(iov_iter_count(from)) ||
	    iocb->ki_pos >= size)
		return -EINVAL;

	fill = (struct gmem_fill) {
		.kvm = view->kvm,
		.gi = view->inode,
		.next = iocb->ki_pos >> PAGE_SHIFT,
		.left = min_t(u64, iov_iter_count(from), size - iocb->ki_pos) >> PAGE_SHIFT,
		.iter = from,
		.seals = KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST,
		.order = GMEM_FILL_ORDER,
		.slow = U64_MAX,
	};
	r = gmem_fill_run(&fill);
	if (r <= 0)
		return r;

	iocb->ki_pos += r << PAGE_SHIFT;
	return r << PAGE_SHIFT;
}

/**
 * gmem_fill_owed() - a pager gives pages that it owes their content
 * @gi: the inode
 * @answer: the range, inside the inode; @answer->done is set in any case
 * @content: the content; NULL: it is at @answer->from, zeroes where that is 0
 * @killable: only a fatal signal interrupts it
 *
 * Context: Process context, no lock held. Takes invalidate_lock.
 * Return: 0 or -errno, as kvm_gmem_populate_gpa(); -ENOENT for a page that is
 * not owed.
 */
int gmem_fill_owed(struct gmem_inode *gi, struct kvm_gmem_answer *answer, const void *content,
		   bool killable)
{
	struct gmem_fill fill;
	int r;

	r = gmem_fill_init(&fill, answer->offset, answer->size, content ? 0 : answer->from, 0);
	if (r)
		return r;

	fill.gi = gi;
	fill.owed = true;
	fill.killable = killable;
	fill.content = content;
	gmem_fill_run(&fill);
	answer->done = answer->size - (fill.left << PAGE_SHIFT);
	return fill.error;
}
