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
 * To private, with invalidate_lock held for writing, so that no host fault is
 * let in:
 *
 *   - take the range out of all host mappings;
 *   - for each folio that is there, have its lock once, and unmap what a host
 *     fault mapped that was let in before: now nobody has it mapped, and none of
 *     the references that are left is one that can become a mapping;
 *   - look whether there are references left. Fast GUP takes its reference and
 *     then looks whether the page table still has the page; we took it out of the
 *     page table and then look for references: one of us sees the other.
 *
 * A reference that is in the way is waited for without any lock, and then all
 * starts over. When there is none, the change is the same as to shared: begin an
 * invalidation in every VM, change the attributes, end it.
 *
 * With folios of more than one page: a conversion that splits one has to extend
 * the invalidation to all of the folio, since a stage-2 fault on its other pages
 * may be about to map it huge.
 */
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "gmem.h"
#include "trace.h"

/* How long a call goes on while it is always another page that is held. */
#define GMEM_CONVERT_PATIENCE	(2 * HZ)

/**
 * struct gmem_conversion - one call
 * @view: through which
 * @first: first page offset
 * @last: last page offset
 * @attributes: what they are to be
 * @in_the_way: with -EAGAIN, the folio that is held, with a reference
 * @index: with -EAGAIN, its first page in the range
 */
struct gmem_conversion {
	struct gmem_view *view;
	pgoff_t first;
	pgoff_t last;
	u64 attributes;
	struct folio *in_the_way;
	pgoff_t index;
};

/* Takes one folio from the host; true if it is free of references then. */
static bool gmem_withdraw_folio(struct gmem_inode *gi, struct folio *folio)
{
	folio_lock(folio);
	if (folio_mapped(folio))
		gmem_unmap_host(gi, folio->index, folio_next_index(folio));
	folio_unlock(folio);

	/* Of a poisoned page memory failure keeps a reference; nobody gets at it. */
	if (folio_test_hwpoison(folio) || !gmem_folio_is_held(folio))
		return true;

	/* Most often it is in a batch here, since the caller has just touched it. */
	gmem_drain_this_cpu();
	return !gmem_folio_is_held(folio);
}

static int gmem_withdraw_batch(struct gmem_conversion *c, struct folio_batch *batch)
{
	struct gmem_inode *gi = c->view->inode;

	for (unsigned int i = 0; i < folio_batch_count(batch); i++) {
		struct folio *folio = batch->folios[i];

		if (gmem_withdraw_folio(gi, folio))
			continue;

		folio_get(folio);
		c->in_the_way = folio;
		c->index = max(folio->index, c->first);
		return -EAGAIN;
	}
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Takes the range from the host's userspace. */
static int gmem_withdraw(struct gmem_conversion *c)
{
	struct gmem_inode *gi = c->view->inode;
	pgoff_t index = c->first;
	struct folio_batch batch;
	int r = 0;

	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);

	gmem_unmap_host(gi, c->first, c->last + 1);

	folio_batch_init(&batch);
	batch.percpu_pvec_drained = true;
	while (!r && filemap_get_folios(gmem_mapping(gi), &index, c->last, &batch)) {
		r = gmem_withdraw_batch(c, &batch);
		folio_batch_release(&batch);
		cond_resched();
	}
	return r;
}

static int gmem_convert_locked(struct gmem_conversion *c)
{
	struct gmem_inode *gi = c->view->inode;
	struct gmem_ranges_change change;
	int r;

	if (gmem_ranges_match(gi->attrs, c->first, c->last, ~0UL, c->attributes))
		return 0;

	if (c->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE) {
		r = gmem_withdraw(c);
		if (r)
			return r;
	}

	r = gmem_ranges_prepare(&change, gi->attrs, c->first, c->last, c->attributes);
	if (r)
		return r;

	gmem_invalidate_begin(gi, c->first, c->last + 1);
	gmem_ranges_commit(&change);
	gmem_invalidate_end(gi, c->first, c->last + 1);
	trace_gmem_convert(gi, c->first, c->last, c->attributes);
	return 0;
}

/*
 * slots_lock of the view's own VM, so that one that was moved meanwhile is seen
 * to be dead: its memory is another's to convert.
 */
static int gmem_convert_try(struct gmem_conversion *c)
{
	struct address_space *mapping = gmem_mapping(c->view->inode);
	struct kvm *kvm = c->view->kvm;
	int r = -EIO;

	if (mutex_lock_killable(&kvm->slots_lock))
		return -EINTR;

	if (!kvm->vm_dead) {
		filemap_invalidate_lock(mapping);
		r = gmem_convert_locked(c);
		filemap_invalidate_unlock(mapping);
	}
	mutex_unlock(&kvm->slots_lock);
	return r;
}

static int gmem_convert_range(struct gmem_conversion *c)
{
	unsigned long deadline = jiffies + GMEM_CONVERT_PATIENCE;
	int r;

	for (;;) {
		r = gmem_convert_try(c);
		if (r != -EAGAIN)
			return r;

		r = gmem_folio_wait_unheld(c->in_the_way);
		folio_put(c->in_the_way);
		if (!r && time_after(jiffies, deadline))
			r = -EAGAIN;
		if (r)
			return r;
	}
}

static int gmem_convert_check(struct gmem_view *view,
			      const struct kvm_memory_attributes2 *args)
{
	u64 end;

	if (args->flags || memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;

	if (args->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return -EINVAL;

	if (!kvm_arch_has_private_mem(view->kvm) || !view->inode->attrs)
		return -EINVAL;

	if (!args->size || !PAGE_ALIGNED(args->offset) || !PAGE_ALIGNED(args->size) ||
	    check_add_overflow(args->offset, args->size, &end) ||
	    end > i_size_read(&view->inode->vfs_inode))
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
 * without flags; -EIO for a dead VM; -EAGAIN where a page that is to become
 * private is held by someone, which error_offset names; -ENOMEM; -EINTR by a
 * fatal signal.
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

	r = gmem_convert_range(&c);
	if (r == -EAGAIN && put_user((u64)c.index << PAGE_SHIFT, &user->error_offset))
		return -EFAULT;
	return r;
}
