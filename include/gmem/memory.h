/* SPDX-License-Identifier: MIT */
/* libgmem: guest memory inodes, views and first content. gmem.h has the conventions. */
#ifndef GMEM_MEMORY_H
#define GMEM_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvm_gmem_present_range;

/* ---- Guest memory (memory/memfd.c) ---- */

/*
 * gmem_memfd_create - make a guest memory inode, and its first view
 * @vm: the VM that the view belongs to
 * @size: of the inode; it never changes
 * @flags: GUEST_MEMFD_FLAG_*
 *
 * Returns the view's descriptor. Errors: EINVAL (size, flags), ENOMEM, EMFILE.
 */
int gmem_memfd_create(int vm, uint64_t size, uint64_t flags);

/*
 * gmem_memfd_link - make another VM's view of the same guest memory inode
 * @vm: the VM that the new view belongs to
 * @memfd: a view of another VM; it may be closed afterwards
 *
 * Returns the new view's descriptor. Errors: EINVAL (@memfd is not open, not a
 * view, or one of @vm already), EOPNOTSUPP (the VM's type cannot), EMFILE,
 * ENOMEM, ENOTTY (KVM is not gmem's).
 */
int gmem_memfd_link(int vm, int memfd);

/*
 * gmem_punch - free pages of a guest memory inode
 * @view: a view of it
 * @offset, @size: which, multiples of the page size
 *
 * The pages are unmapped from every view and every mapping, zeroed and freed; they are missing
 * afterwards: the next touch finds zeroes or, if the inode has a pager, what the pager gives. The
 * pager is told about the hole. Returns 0. Errors: EBADF, EINVAL (alignment, not inside the inode,
 * @size is 0), EBUSY (a page is in use by the kernel and stays), EINTR.
 */
int gmem_punch(int view, uint64_t offset, uint64_t size);

/*
 * struct gmem_facts - what the kernel tells about a view and its inode
 * @ino: inode number: the same for all views of one inode
 * @size: of the inode
 * @flags: GUEST_MEMFD_FLAG_* of its creation
 * @resident: pages that it has now
 * @allocated: pages ever allocated for it
 * @freed: pages ever freed from it
 * @views: views that are open
 * @bindings: bindings of this view
 */
struct gmem_facts {
	uint64_t ino;
	uint64_t size;
	uint64_t flags;
	uint64_t resident;
	uint64_t allocated;
	uint64_t freed;
	uint64_t views;
	uint64_t bindings;
};

/*
 * gmem_memfd_facts - read a view's facts
 * @pid: the process that has the view open, 0 for the caller
 * @fd: the view's descriptor in that process
 * @facts: filled in
 *
 * Any process that may read /proc/@pid/fdinfo may call it. Errors: EBADF (no
 * such descriptor, or not of guest memory), EACCES, ESRCH (no such process).
 */
int gmem_memfd_facts(pid_t pid, int fd, struct gmem_facts *facts);

/*
 * gmem_memfd_facts_open - open the facts of one of the caller's views
 * @fd: the view's descriptor
 *
 * For a process that cannot open files later. Returns a descriptor for
 * gmem_memfd_facts_read(), close-on-exec, or -errno. Errors: EBADF; without /proc, those of
 * gmem_memfd_facts().
 */
int gmem_memfd_facts_open(int fd);

/*
 * gmem_memfd_facts_read - read the current facts of the view
 * @info: from gmem_memfd_facts_open()
 * @facts: filled in
 *
 * Returns 0 or -errno: EBADF (@info is not of guest memory). Any thread may call it.
 */
int gmem_memfd_facts_read(int info, struct gmem_facts *facts);

/* ---- Private or shared, in place (memory/convert.c) ---- */

/*
 * gmem_convert - make pages private to the guest, or share them with the host
 * @view: a view of an inode with GUEST_MEMFD_FLAG_MMAP or
 *	GUEST_MEMFD_FLAG_INIT_SHARED, whose VM has private memory
 * @offset, @size: bytes of the inode, multiples of the page size
 * @is_private: 1: make them private to the guest; 0: share them
 *
 * A software-protected VM's pages keep their content, either way. The change applies to all views,
 * and to existing mappings, which need not be made again. Nothing is changed on error: EAGAIN (the
 * host holds a reference to a page that is to become private), EINVAL (alignment, beyond the inode,
 * a VM without private memory), ENOMEM, ENOTTY (KVM cannot convert in place).
 */
int gmem_convert(int view, uint64_t offset, uint64_t size, int is_private);

/* ---- First content of missing pages (memory/populate.c) ---- */

/*
 * A page is missing until it was populated, or touched by a guest or the host.
 * Any process that has the descriptor can populate, not only the VM's.
 */

/*
 * gmem_vm_populate - KVM_GUEST_MEMFD_POPULATE
 * @vm: a VM of any process
 * @gpa: guest physical address of the first page to populate
 * @from: the content, or NULL: zeroes
 * @size: bytes, a multiple of the page size like @gpa
 *
 * Returns how many bytes were populated: call again for the rest. Errors:
 * EEXIST (the first page has content), EFAULT (@from cannot be read), EINVAL
 * (alignment; memory that is shared, or not in a guest memory inode), EIO (a
 * dead VM), ENOMEM, EINTR.
 */
int64_t gmem_vm_populate(int vm, uint64_t gpa, const void *from, uint64_t size);

/*
 * gmem_populate - KVM_GMEM_POPULATE: the same by offset
 * @fd: a view, or what gmem_create_filler() gave
 * @offset: into the inode
 * @from, @size: as above
 *
 * Returns and errors as above; EPIPE: the inode has no view left.
 */
int64_t gmem_populate(int fd, uint64_t offset, const void *from, uint64_t size);

/*
 * gmem_create_filler - make a handle that can only populate
 * @view: the view that it is made from; it may be closed afterwards
 *
 * Returns the handle's descriptor, for a process that must not have all the rights of a view. It
 * polls POLLHUP when the inode's last view is closed. Errors: EOPNOTSUPP (an SNP VM), EMFILE,
 * ENOMEM.
 */
int gmem_create_filler(int view);

/*
 * gmem_present - find the pages that are not missing
 * @fd: a view, or a pager
 * @offset, @size: the range to look at; advanced past what was looked at; @size is 0 when that was
 *	all
 * @ranges: filled in, in ascending order; adjoining ranges are possible
 * @max: how many there is room for
 *
 * Returns how many ranges were filled in, which may be none. Errors: EINVAL
 * (alignment, not inside the inode, @max is 0), EFAULT, EINTR, EPIPE.
 */
int gmem_present(int fd, uint64_t *offset, uint64_t *size,
		 struct kvm_gmem_present_range *ranges, uint32_t max);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_MEMORY_H */
