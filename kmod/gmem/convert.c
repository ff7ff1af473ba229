// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES2 on a view: pages become private or shared in place.
 *
 * After "guest_memfd: In-place conversion support" as proposed on the KVM list.
 *
 * The content stays, in both directions: it is the type of VM that decides what
 * that means, and the one that may call this, software-protected, has no
 * encryption. A missing page stays missing.
 *
 * To private, the host gives the pages up first: see pinned.c. The change itself
 * is the same both ways: begin an invalidation in every VM, change the
 * attributes, end it.
 *
 * Inodes that this can be called for have folios of one page only: see huge.c.
 */
#include <linux/uaccess.h>

#include "attrs.h"
#include "chunk.h"
#include "gmem.h"
#include "invalidate.h"
#include "pager/owed.h"
#include "pinned.h"
#include "seal.h"
#include "trace.h"
#include "view.h"

/**
 * struct gmem_conversion - one call
 * @view: through which
 * @first: first page offset
 * @last: last page offset
 * @attributes: what they are to be
 * @pinned: with -EAGAIN, what is in the way
 */
struct gmem_conversion {
	struct gmem_view *view;
	pgoff_t first;
	pgoff_t last;
	u64 attributes;
	struct gmem_pinned pinned;
};

static int gmem_convert_locked(struct gmem_conversion *c)
{
	struct gmem_inode *gi = c->view->inode;
	pgoff_t start = c->first, end = c->last + 1;
	struct gmem_ranges_change change;
	int r;

	if (gmem_ranges_match(gi->attrs, c->first, c->last, ~0UL, c->attributes))
		return 0;

	if (!(c->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE) &&
	    gmem_is_sealed(gi, KVM_GMEM_SEAL_GUEST))
		return -EPERM;

	if (c->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE) {
		r = gmem_unmap_users(gi, c->first, c->last, &c->pinned);
		if (r)
			return r;
	}

	r = gmem_ranges_prepare(&change, gi->attrs, c->first, c->last, c->attributes);
	if (r)
		return r;

	gmem_chunks_lock(gi);
	gmem_chunks_extend(gi, &start, &end, c->attributes);
	gmem_invalidate_begin(gi, start, end);
	gmem_chunks_unlock(gi);
	gmem_ranges_commit(&change);
	gmem_invalidate_end(gi, start, end);
	/* A host fault may not have the page any more. */
	gmem_pager_wake_range(gi, c->first, c->last + 1, NULL);
	gmem_ranges_finish(&change);
	trace_gmem_convert(gi, c->first, c->last, c->attributes);
	return 0;
}

static int gmem_convert_try(struct gmem_conversion *c)
{
	int r = gmem_view_lock(c->view);

	if (r)
		return r;

	r = gmem_convert_locked(c);
	gmem_view_unlock(c->view);
	return r;
}

static int gmem_convert_check(struct gmem_view *view,
			      const struct kvm_memory_attributes2 *args)
{
	if (args->flags || memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;

	if (args->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return -EINVAL;

	if (!kvm_arch_has_private_mem(view->kvm) || !view->inode->attrs)
		return -EINVAL;

	if (!args->size || !gmem_range_is_inside(view->inode, args->offset, args->size))
		return -EINVAL;

	return 0;
}

/**
 * gmem_convert() - KVM_SET_MEMORY_ATTRIBUTES2
 * @view: the view
 * @argp: struct kvm_memory_attributes2 in the caller's memory
 *
 * Context: ioctl of a view, no lock held. Takes the slots_lock of the view's VM
 * and invalidate_lock, and waits a while for references, with neither.
 * Return: 0; or -errno with nothing changed: -EFAULT for @argp; -EINVAL for
 * flags, reserved words, unknown attributes, a range that is empty, not
 * page-aligned or not inside the inode, a VM without private memory, an inode
 * without attributes; -EPERM to shared where that is sealed; -EIO for a dead VM;
 * -EAGAIN where a page that is to become private is held by someone, which
 * error_offset names; -ENOMEM; -EINTR by a fatal signal.
 */
long gmem_convert(struct gmem_view *view, void __user *argp)
{
	struct kvm_memory_attributes2 __user *user = argp;
	struct kvm_memory_attributes2 args;
	struct gmem_conversion c = { .view = view };
	int r;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;

	r = gmem_convert_check(view, &args);
	if (r)
		return r;

	c.first = args.offset >> PAGE_SHIFT;
	c.last = ((args.offset + args.size) >> PAGE_SHIFT) - 1;
	c.attributes = args.attributes;

	gmem_pinned_init(&c.pinned);
	do {
		r = gmem_convert_try(&c);
	} while (r == -EAGAIN && !(r = gmem_pinned_wait(&c.pinned)));

	if (r == -EAGAIN && put_user((u64)c.pinned.index << PAGE_SHIFT, &user->error_offset))
		return -EFAULT;
	return r;
}
