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
 * or in the making, and lets no other come once it has succeeded.
 *
 * Faults need no look at seals. A host fault needs a mapping, of which there is
 * none; a guest's fault brings nobody's content.
 */
#include <linux/uaccess.h>

#include "gmem.h"
#include "trace.h"

#define GMEM_ALL_SEALS	(KVM_GMEM_SEAL_SEAL | KVM_GMEM_SEAL_SHRINK | KVM_GMEM_SEAL_WRITE | \
			 KVM_GMEM_SEAL_GUEST | KVM_GMEM_SEAL_LINK)

/* Under these nobody may have the inode mapped. */
#define GMEM_UNMAPPED_SEALS	(KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST)

/**
 * gmem_is_sealed() - is a seal set?
 * @gi: the inode
 * @seal: KVM_GMEM_SEAL_*
 *
 * Context: invalidate_lock is held.
 * Return: true if it is.
 */
bool gmem_is_sealed(struct gmem_inode *gi, u64 seal)
{
	lockdep_assert_held(&gmem_mapping(gi)->invalidate_lock);

	return gi->seals & seal;
}

/*
 * With invalidate_lock no page comes into a host mapping that is made meanwhile,
 * so what is found free of references here stays so.
 */
static int gmem_seal_check_content(struct gmem_inode *gi, u64 seals, struct gmem_obstacle *obstacle)
{
	if (seals & GMEM_UNMAPPED_SEALS && mapping_mapped(gmem_mapping(gi)))
		return -EBUSY;

	if (seals & KVM_GMEM_SEAL_GUEST && READ_ONCE(gmem_mapping(gi)->nrpages))
		return -EBUSY;

	/* A pin for I/O is a writer at work. */
	if (seals & KVM_GMEM_SEAL_WRITE)
		return gmem_withdraw(gi, 0, ULONG_MAX - 1, obstacle);

	return 0;
}

static int gmem_seal_locked(struct gmem_inode *gi, u64 seals, struct gmem_obstacle *obstacle)
{
	int r;

	if (gi->seals & KVM_GMEM_SEAL_SEAL)
		return -EPERM;

	seals &= ~gi->seals;
	r = gmem_seal_check_content(gi, seals, obstacle);
	if (r)
		return r;

	/* For good: never allowed again. */
	if (seals & GMEM_UNMAPPED_SEALS && mapping_deny_writable(gmem_mapping(gi)))
		return -EBUSY;

	WRITE_ONCE(gi->seals, gi->seals | seals);
	trace_gmem_seal(gi, gi->seals);
	return 0;
}

static int gmem_seal_try(struct gmem_view *view, u64 seals, struct gmem_obstacle *obstacle)
{
	int r = gmem_view_lock(view);

	if (r)
		return r;

	r = gmem_seal_locked(view->inode, seals, obstacle);
	gmem_view_unlock(view);
	return r;
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
	struct gmem_obstacle obstacle;
	struct kvm_gmem_seals args;
	int r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;

	if (!args.seals || args.seals & ~GMEM_ALL_SEALS)
		return -EINVAL;

	gmem_obstacle_init(&obstacle);
	do {
		r = gmem_seal_try(view, args.seals, &obstacle);
	} while (r == -EAGAIN && !(r = gmem_obstacle_wait(&obstacle)));

	return r == -EAGAIN ? -EBUSY : r;
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
