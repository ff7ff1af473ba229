// SPDX-License-Identifier: GPL-2.0-only
/*
 * First content from the vendor's launch commands.
 */
#include <linux/file.h>
#include <linux/sched/signal.h>

#include "../folio.h"
#include "../gmem.h"
#include "../seal.h"

#ifdef CONFIG_KVM_GENERIC_PRIVATE_MEM

struct gmem_populate {
	struct kvm *kvm;
	struct kvm_memory_slot *slot;
	struct file *file;
	kvm_gmem_populate_cb post_populate;
	void *opaque;
};

/*
 * One page. The folio stays unlocked while the vendor copies from userspace,
 * which may fault; invalidate_lock keeps it in the page cache. No fault maps it
 * meanwhile: a guest that is being launched does not run, and its stage-2
 * tables can't be filled ahead either (kvm->arch.pre_fault_allowed).
 */
static int gmem_populate_page(struct gmem_populate *p, gfn_t gfn, void __user *src)
{
	struct folio *folio;
	kvm_pfn_t pfn;
	int r;

	if (gmem_is_sealed(GMEM_I(file_inode(p->file)), KVM_GMEM_SEAL_WRITE))
		return -EPERM;

	folio = gmem_fault_folio(p->file, p->slot, gfn);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	r = gmem_folio_has_content(folio) ? -EEXIST : 0;
	folio_unlock(folio);
	if (r)
		goto out;

	r = -EINVAL;
	if (!kvm_range_has_memory_attributes(p->kvm, gfn, gfn + 1,
					     KVM_MEMORY_ATTRIBUTE_PRIVATE,
					     KVM_MEMORY_ATTRIBUTE_PRIVATE))
		goto out;

	pfn = gmem_folio_pfn(folio, gmem_slot_index(p->slot, gfn));
	r = p->post_populate(p->kvm, gfn, pfn, src, 0, p->opaque);
	if (!r)
		folio_mark_uptodate(folio);
	else
		gmem_folio_set_stale(folio);
out:
	folio_put(folio);
	return r;
}

/**
 * kvm_gmem_populate() - give private pages their first content
 * @kvm: the VM
 * @start_gfn: the first page
 * @src: content in the caller's memory, or NULL
 * @npages: how many; the call ends at the end of the memslot
 * @post_populate: puts the content of one page into place
 * @opaque: for @post_populate
 *
 * Context: Process context, may sleep; slots_lock is held, so that attributes
 * and memslots are stable. Takes invalidate_lock. As in Linux 6.12 both are
 * held while @post_populate reads @src.
 * Return: pages populated, or, where the first one fails, -errno: -EINVAL for
 * a range that is not private or has no view, -EFAULT where the view was
 * closed, -EPERM where that is sealed, -EEXIST for a page that has content,
 * -EINTR, -ENOMEM, -EHWPOISON, or what @post_populate says.
 */
long kvm_gmem_populate(struct kvm *kvm, gfn_t start_gfn, void __user *src, long npages,
		       kvm_gmem_populate_cb post_populate, void *opaque)
{
	struct gmem_populate p = {
		.kvm = kvm,
		.post_populate = post_populate,
		.opaque = opaque,
	};
	int r = 0;
	long i;

	lockdep_assert_held(&kvm->slots_lock);

	if (npages < 0)
		return -EINVAL;

	p.slot = gfn_to_memslot(kvm, start_gfn);
	if (!kvm_slot_can_be_private(p.slot))
		return -EINVAL;

	p.file = gmem_slot_get_file(p.slot);
	if (!p.file)
		return -EFAULT;

	npages = min_t(u64, p.slot->npages - (start_gfn - p.slot->base_gfn), npages);

	filemap_invalidate_lock(p.file->f_mapping);
	for (i = 0; i < npages; i++) {
		if (signal_pending(current)) {
			r = -EINTR;
			break;
		}

		r = gmem_populate_page(&p, start_gfn + i, src ? src + i * PAGE_SIZE : NULL);
		if (r)
			break;
		cond_resched();
	}
	filemap_invalidate_unlock(p.file->f_mapping);

	fput(p.file);
	return r && !i ? r : i;
}
EXPORT_SYMBOL_GPL(kvm_gmem_populate);

#endif /* CONFIG_KVM_GENERIC_PRIVATE_MEM */
