// SPDX-License-Identifier: GPL-2.0-only
/*
 * Seals: what is never to happen to an inode again.
 *
 * A seal must be exact: when the call returns, nobody who was let in before is
 * still at work. Holes, links, conversions, writes and populates ask for the
 * seals under invalidate_lock, which setting them takes for writing: they are
 * done, or they see the seal. Their own paths take that lock in any case.
 *
 * Mappings ask nobody. All of ours are shared and may be made writable, and the
 * kernel itself counts those, from before file_operations.mmap is called until
 * the mapping is gone: mapping_deny_writable() fails while there is one, complete
 * or in the making, and lets no other come once it has succeeded. It comes first, so
 * that references to pages can only go while they are looked for, part by part. A call
 * that fails lets mappings come again; one that came meanwhile has got -EPERM.
 *
 * Faults need no look at seals. A host fault needs a mapping, of which there is
 * none; a guest's fault brings nobody's content.
 */
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "gmem.h"
#include "pinned.h"
#include "seal.h"
#include "trace.h"
#include "view.h"

#define GMEM_ALL_SEALS	(KVM_GMEM_SEAL_SEAL | KVM_GMEM_SEAL_SHRINK | KVM_GMEM_SEAL_WRITE | \
			 KVM_GMEM_SEAL_GUEST | KVM_GMEM_SEAL_LINK)

/* Under these nobody may have the inode mapped. */
#define GMEM_UNMAPPED_SEALS	(KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST)

/* Pages that are looked at before others get at the inode: 64 MiB. */
#define GMEM_SEAL_BATCH		(SZ_64M >> PAGE_SHIFT)

/**
 * struct gmem_sealing - one call
 * @view: through which
 * @seals: those that are to be set
 * @denied: nobody can map the inode meanwhile
 * @next: for WRITE: before this page nobody of the host has a reference to any
 * @pinned: with -EAGAIN, what is in the way
 */
struct gmem_sealing {
	struct gmem_view *view;
	u64 seals;
	bool denied;
	pgoff_t next;
	struct gmem_pinned pinned;
};

/* May the seals be set, as far as can be told without a look at each page? */
static int gmem_seal_check(struct gmem_sealing *s)
{
	struct gmem_inode *gi = s->view->inode;

	if (gi->seals & KVM_GMEM_SEAL_SEAL)
		return -EPERM;

	s->seals &= ~gi->seals;
	if (s->seals & GMEM_UNMAPPED_SEALS && mapping_mapped(gmem_mapping(gi)))
		return -EBUSY;

	if (s->seals & KVM_GMEM_SEAL_GUEST && READ_ONCE(gmem_mapping(gi)->nrpages))
		return -EBUSY;

	return 0;
}

/*
 * Without a mapping, and none to come, no reference to a page comes from the host any
 * more. A pin for I/O may be left of one that was: a writer at work. Looked for in
 * parts, each page once; invalidate_lock is let go in between. A range without pages, which
 * can be of any size, is passed over at once: what comes there later nobody of the host can
 * have.
 */
static int gmem_seal_unmap(struct gmem_sealing *s)
{
	struct gmem_inode *gi = s->view->inode;
	pgoff_t pages = i_size_read(&gi->vfs_inode) >> PAGE_SHIFT;
	int r;

	if (!(s->seals & KVM_GMEM_SEAL_WRITE) || s->next >= pages ||
	    !xa_find(&gmem_mapping(gi)->i_pages, &s->next, pages - 1, XA_PRESENT))
		return 0;

	r = gmem_unmap_users(gi, s->next, s->next + GMEM_SEAL_BATCH - 1, &s->pinned);
	if (r)
		return r;
	s->next += GMEM_SEAL_BATCH;
	return s->next < pages;
}

/* One step. Returns 1 when there are more; 0 when the seals are set. */
static int gmem_seal_locked(struct gmem_sealing *s)
{
	struct gmem_inode *gi = s->view->inode;
	int r;

	r = gmem_seal_check(s);
	if (r)
		return r;

	/* For good if the call succeeds: never allowed again. */
	if (s->seals & GMEM_UNMAPPED_SEALS && !s->denied) {
		if (mapping_deny_writable(gmem_mapping(gi)))
			return -EBUSY;
		s->denied = true;
	}

	r = gmem_seal_unmap(s);
	if (r)
		return r;

	WRITE_ONCE(gi->seals, gi->seals | s->seals);
	trace_gmem_seal(gi, gi->seals);
	return 0;
}

static int gmem_seal_try(struct gmem_sealing *s)
{
	int r = gmem_view_lock(s->view);

	if (r)
		return r;

	r = gmem_seal_locked(s);
	gmem_view_unlock(s->view);
	cond_resched();
	return r;
}

static int gmem_seal_run(struct gmem_sealing *s)
{
	int r;

	gmem_pinned_init(&s->pinned);
	do {
		r = fatal_signal_pending(current) ? -EINTR : gmem_seal_try(s);
		if (r == -EAGAIN)
			r = gmem_pinned_wait(&s->pinned) ? : 1;
	} while (r == 1);

	if (r && s->denied)
		mapping_allow_writable(gmem_mapping(s->view->inode));
	return r == -EAGAIN ? -EBUSY : r;
}

/**
 * gmem_seal() - KVM_GMEM_SEAL
 * @view: the view
 * @argp: struct kvm_gmem_seals in the caller's memory
 *
 * Context: ioctl of a view, no lock held. Takes the slots_lock of the view's VM
 * and invalidate_lock.
 * Return: 0; or -errno with no seal added: -EFAULT for @argp; -EINVAL for no
 * seal, an unknown one, flags, reserved words; -EPERM where no more may be set;
 * -EBUSY where the inode has a mapping, for GUEST a page, for WRITE a page that
 * someone has pinned; -EIO for a dead VM; -EINTR by a fatal signal.
 */
long gmem_seal(struct gmem_view *view, void __user *argp)
{
	struct gmem_sealing sealing = { .view = view };
	struct kvm_gmem_seals args;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;

	if (!args.seals || args.seals & ~GMEM_ALL_SEALS)
		return -EINVAL;

	sealing.seals = args.seals;
	return gmem_seal_run(&sealing);
}

/**
 * gmem_get_seals() - KVM_GMEM_GET_SEALS
 * @view: the view
 * @argp: struct kvm_gmem_seals in the caller's memory, all of which is written
 *
 * Context: ioctl of a view, no lock held.
 * Return: 0 or -EFAULT.
 */
long gmem_get_seals(struct gmem_view *view, void __user *argp)
{
	struct kvm_gmem_seals args = { .seals = READ_ONCE(view->inode->seals) };

	return copy_to_user(argp, &args, sizeof(args)) ? -EFAULT : 0;
}
