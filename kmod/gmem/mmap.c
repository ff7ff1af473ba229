// SPDX-License-Identifier: GPL-2.0-only
/*
 * Host mappings: an inode's shared pages in the address spaces of processes.
 *
 * Any range can be mapped; what a page's attribute says counts when it is
 * touched. A host fault looks at it under invalidate_lock and returns with the
 * folio locked, which is unlocked when the page is in the page table. So who
 * holds invalidate_lock for writing and has had the folio's lock has seen every
 * host mapping of it that there will be before invalidate_lock is let go.
 *
 * A mapping holds the view's file, hence the view and its VM.
 */
#include <linux/mm.h>
#include <linux/userfaultfd_k.h>

#include "attrs.h"
#include "chunk.h"
#include "fill/fill.h"
#include "folio.h"
#include "gmem.h"
#include "pager/owed.h"
#include "pager/wait.h"
#include "view.h"

/*
 * The pages of a fault's chunk that its mapping has in the same page table, from @first to
 * @last. They came together and are mapped together, so that a VMM does not fault on each;
 * by entries of 4 KiB, of which any can be taken away alone.
 */
static void gmem_host_chunk(struct vm_fault *vmf, pgoff_t *first, pgoff_t *last)
{
	unsigned long table = round_down(vmf->address, PMD_SIZE);
	unsigned long start = max(vmf->vma->vm_start, table);
	unsigned long end = min(vmf->vma->vm_end, table + PMD_SIZE);

	*first = gmem_chunk_first(vmf->pgoff);
	*last = *first + GMEM_CHUNK_PAGES - 1;
	*first = max(*first, vmf->pgoff - ((vmf->address - start) >> PAGE_SHIFT));
	*last = min(*last, vmf->pgoff + ((end - vmf->address) >> PAGE_SHIFT) - 1);
}

/* Of pages that are shared. VM_FAULT_NOPAGE: the one that is needed is among them. */
static vm_fault_t gmem_host_map_range(struct gmem_inode *gi, struct vm_fault *vmf,
				      pgoff_t first, pgoff_t last)
{
	if (!gmem_ranges_match(gi->attrs, first, last, ~0UL, 0))
		return 0;
	return filemap_map_pages(vmf, first, last);
}

static vm_fault_t gmem_host_map_chunk(struct gmem_inode *gi, struct vm_fault *vmf)
{
	pgoff_t first, last;

	if (!gmem_chunk_is_whole(gi, vmf->pgoff) || userfaultfd_wp(vmf->vma))
		return 0;

	gmem_host_chunk(vmf, &first, &last);
	return gmem_host_map_range(gi, vmf, first, last);
}

static vm_fault_t gmem_host_fault_locked(struct gmem_inode *gi, struct vm_fault *vmf,
					 bool reclaim)
{
	struct folio *folio;
	vm_fault_t ret;

	if (gmem_index_is_private(gi, vmf->pgoff))
		return VM_FAULT_SIGBUS;

	gmem_chunk_touch(gi, vmf->pgoff);
	ret = gmem_host_map_chunk(gi, vmf);
	if (ret)
		return ret;

	folio = gmem_folio_grab(gi, vmf->pgoff, reclaim);
	if (folio == ERR_PTR(-EHWPOISON))
		return VM_FAULT_HWPOISON;
	if (folio == ERR_PTR(-ENODATA))
		return VM_FAULT_RETRY;
	if (IS_ERR(folio))
		return vmf_error(PTR_ERR(folio));

	if (!gmem_folio_has_content(folio)) {
		gmem_folio_make_shared(folio);
		gmem_pager_touched(gi, vmf->pgoff);
	}
	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_LOCKED;
}

static vm_fault_t gmem_host_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	unsigned int tries = 0;
	vm_fault_t ret;

	if (vmf->pgoff >= i_size_read(inode) >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

	do {
		filemap_invalidate_lock_shared(inode->i_mapping);
		ret = gmem_host_fault_locked(GMEM_I(inode), vmf, tries == GMEM_TRIES_LIGHT);
		filemap_invalidate_unlock_shared(inode->i_mapping);
	} while (ret == VM_FAULT_OOM && gmem_may_try_again(&tries));

	if (ret == VM_FAULT_RETRY)
		ret = gmem_wait_host_fault(GMEM_I(inode), vmf);
	return ret;
}

/*
 * Around a page that is read, those that are there and shared are mapped along. (Around one
 * that is written the kernel does not ask.)
 * This may not sleep, so that a change in progress leaves it to the fault.
 */
static vm_fault_t gmem_host_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t ret;

	if (!down_read_trylock(&inode->i_mapping->invalidate_lock))
		return 0;

	ret = gmem_host_map_chunk(GMEM_I(inode), vmf);
	if (!ret)
		ret = gmem_host_map_range(GMEM_I(inode), vmf, first, last);

	up_read(&inode->i_mapping->invalidate_lock);
	return ret;
}

static const struct vm_operations_struct gmem_vm_ops = {
	.fault		= gmem_host_fault,
	.map_pages	= gmem_host_map_pages,
};

/**
 * gmem_mmap() - file_operations.mmap of a view
 * @file: the view
 * @vma: the mapping
 *
 * Context: mmap_lock is held for writing.
 * Return: 0; -ENODEV where the inode was made without GUEST_MEMFD_FLAG_MMAP;
 * -EINVAL for a mapping with copies of its own.
 */
int gmem_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gmem_inode *gi = GMEM_I(file_inode(file));

	if (!(gi->flags & GUEST_MEMFD_FLAG_MMAP))
		return -ENODEV;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	vma->vm_ops = &gmem_vm_ops;
	return 0;
}

/**
 * gmem_unmap_host() - take pages out of all host mappings
 * @gi: the inode
 * @start: first page offset
 * @end: page offset after the last
 *
 * Host faults that are at the end of their way may still map pages, whose
 * folios they have locked. Marks of poisoned pages go too: what comes to stand
 * there next is another page.
 *
 * Context: Process context, may sleep; invalidate_lock is held for writing.
 */
void gmem_unmap_host(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	lockdep_assert_held_write(&gmem_mapping(gi)->invalidate_lock);

	if (end > start)
		unmap_mapping_pages(gmem_mapping(gi), start, end - start, true);
}
