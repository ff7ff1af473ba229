// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages there are, as ranges.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "folio.h"
#include "gmem.h"

/* Ranges that are copied in one go. */
#define GMEM_PRESENT_BATCH	32
/* Folios that are looked at in one go, with content or without. */
#define GMEM_PRESENT_LOOK	SZ_4K

/*
 * Pages with content from @index on, before @end, in up to @max ranges. Returns
 * how many, and in @next where it stopped looking.
 */
static unsigned int gmem_find_present(struct gmem_inode *gi, pgoff_t index, pgoff_t end,
				      struct kvm_gmem_present_range *ranges, unsigned int max,
				      pgoff_t *next)
{
	XA_STATE(xas, &gmem_mapping(gi)->i_pages, index);
	struct folio *folio;
	unsigned int n = 0, looked = 0;

	*next = end;
	rcu_read_lock();
	xas_for_each(&xas, folio, end - 1) {
		unsigned long nr;
		pgoff_t from, to;
		u64 offset, size;

		if (xas_retry(&xas, folio))
			continue;

		/* A folio of many pages is met once; or page by page, if it is split now. */
		nr = 1UL << xas_get_order(&xas);
		from = max(round_down(xas.xa_index, nr), index);
		to = min(round_down(xas.xa_index, nr) + nr, end);
		if (to <= from)
			continue;
		offset = (u64)from << PAGE_SHIFT;
		size = (u64)(to - from) << PAGE_SHIFT;

		/* RCU is not to be held for a terabyte: a range may come in parts. */
		if (++looked > GMEM_PRESENT_LOOK) {
			*next = from;
			break;
		}
		if (!gmem_folio_has_content(folio))
			continue;
		index = to;
		if (n && ranges[n - 1].offset + ranges[n - 1].size == offset) {
			ranges[n - 1].size += size;
			continue;
		}
		if (n == max) {
			*next = from;
			break;
		}
		ranges[n++] = (struct kvm_gmem_present_range){ offset, size };
	}
	rcu_read_unlock();
	return n;
}

/**
 * gmem_present() - KVM_GMEM_PRESENT
 * @gi: the inode
 * @argp: struct kvm_gmem_present
 *
 * Pages that are populated or taken away meanwhile are reported or not.
 *
 * Context: Process context, may sleep.
 * Return: 0; -EFAULT; -EINVAL for an argument; -EINTR.
 */
long gmem_present(struct gmem_inode *gi, void __user *argp)
{
	struct kvm_gmem_present_range batch[GMEM_PRESENT_BATCH];
	struct kvm_gmem_present_range __user *out;
	struct kvm_gmem_present args;
	pgoff_t index, end;
	u32 filled = 0;
	u64 last;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.flags || !args.nr || !args.size ||
	    !gmem_range_is_inside(gi, args.offset, args.size))
		return -EINVAL;
	last = args.offset + args.size;

	out = u64_to_user_ptr(args.ranges);
	index = args.offset >> PAGE_SHIFT;
	end = last >> PAGE_SHIFT;
	while (index < end && filled < args.nr) {
		unsigned int n = gmem_find_present(gi, index, end, batch,
						   min_t(u32, args.nr - filled, ARRAY_SIZE(batch)),
						   &index);

		if (copy_to_user(out + filled, batch, n * sizeof(batch[0])))
			return -EFAULT;
		filled += n;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}

	args.offset = (u64)index << PAGE_SHIFT;
	args.size = last - args.offset;
	args.nr = filled;
	return copy_to_user(argp, &args, sizeof(args)) ? -EFAULT : 0;
}

/**
 * gmem_view_present() - KVM_GMEM_PRESENT on a view
 * @view: the view
 * @argp: struct kvm_gmem_present
 *
 * Context: as gmem_present().
 * Return: as gmem_present().
 */
long gmem_view_present(struct gmem_view *view, void __user *argp)
{
	return gmem_present(view->inode, argp);
}
