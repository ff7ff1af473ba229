// SPDX-License-Identifier: GPL-2.0-only
/*
 * A view's file: what can be done with it, and making one.
 */
#include <linux/module.h>

#include "arch.h"
#include "fill/fill.h"
#include "gmem.h"
#include "inode.h"
#include "trace.h"
#include "view.h"

/* The vendor module is kept by the view's VM, and by the inode. */
#define GMEM_VIEW_FOPS				\
	.owner		= THIS_MODULE,		\
	.open		= generic_file_open,	\
	.release	= gmem_view_release,	\
	.mmap		= gmem_mmap,		\
	.fallocate	= gmem_fallocate,	\
	.unlocked_ioctl	= gmem_view_ioctl,	\
	.compat_ioctl	= compat_ptr_ioctl,	\
	.show_fdinfo	= gmem_show_fdinfo,	\
	.write_iter	= gmem_write_iter

/* The write is there to tell why not. */
const struct file_operations gmem_view_fops = {
	GMEM_VIEW_FOPS,
};

/* With GUEST_MEMFD_FLAG_WRITE. */
const struct file_operations gmem_view_write_fops = {
	GMEM_VIEW_FOPS,
	.llseek		= generic_file_llseek,
	.splice_write	= iter_file_splice_write,
};

static struct file *gmem_view_open(struct gmem_view *view)
{
	bool write = gmem_inode_has_flag(view->inode, GUEST_MEMFD_FLAG_WRITE);
	struct file *file;

	file = gmem_inode_open(view->inode, write ? &gmem_view_write_fops : &gmem_view_fops, view);
	if (!IS_ERR(file))
		file->f_mode |= FMODE_PWRITE;
	return file;
}

/**
 * gmem_view_create() - make a view of an inode for a VM
 * @kvm: the VM
 * @gi: the inode; the caller's reference keeps it, the file takes its own
 *
 * Context: Process context, may sleep. Takes invalidate_lock and views_lock.
 * Return: the file, or an ERR_PTR with nothing left behind: -EINVAL where @kvm
 * has a view of @gi, -EPERM where links are sealed, -ENOMEM, -ENFILE.
 */
struct file *gmem_view_create(struct kvm *kvm, struct gmem_inode *gi)
{
	struct gmem_view *view;
	struct file *file;
	int r;

	view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	if (!view)
		return ERR_PTR(-ENOMEM);

	kvm_get_kvm(kvm);
	view->kvm = kvm;
	view->inode = gi;
	view->bindings = RB_ROOT_CACHED;

	r = gmem_view_attach(view);
	if (r)
		goto err_free;

	/* From here on the view is found, but it has no bindings to act on. */
	ihold(&gi->vfs_inode);
	file = gmem_view_open(view);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		goto err_detach;
	}
	WRITE_ONCE(view->file, file);
	return file;

err_detach:
	filemap_invalidate_lock(gmem_mapping(gi));
	mutex_lock(&gi->views_lock);
	gmem_view_detach(view);
	atomic_dec(&gi->nr_views);
	mutex_unlock(&gi->views_lock);
	filemap_invalidate_unlock(gmem_mapping(gi));
	iput(&gi->vfs_inode);
err_free:
	gmem_view_free(view);
	return ERR_PTR(r);
}

/* A flag of ours has two bits, both or none; an inode has one word on 2 MiB at most. */
static bool gmem_flags_are_valid(struct kvm *kvm, u64 flags)
{
	u64 own = (GUEST_MEMFD_FLAG_WRITE | GMEM_HUGE_FLAGS) & ~GMEM_OWN_FLAG;
	u64 huge = flags & GMEM_HUGE_FLAGS & ~GMEM_OWN_FLAG;

	if (flags & ~gmem_arch_flags(kvm) || !(flags & GMEM_OWN_FLAG) != !(flags & own))
		return false;
	return !huge || (is_power_of_2(huge) && flags & GUEST_MEMFD_FLAG_MMAP);
}

/**
 * kvm_gmem_create() - KVM_CREATE_GUEST_MEMFD
 * @kvm: the VM that gets the first view
 * @args: the ioctl's argument
 *
 * Context: Process context, may sleep.
 * Return: a new file descriptor, or -EINVAL for a flag that @kvm's type can't
 * have or a size that is not a
 * positive multiple of the page size, -EMFILE, -ENFILE, -ENOMEM.
 */
int kvm_gmem_create(struct kvm *kvm, struct kvm_create_guest_memfd *args)
{
	loff_t size = args->size;
	struct gmem_inode *gi;
	struct file *file;
	int fd, r;

	if (!gmem_flags_are_valid(kvm, args->flags))
		return -EINVAL;

	if (size <= 0 || !PAGE_ALIGNED(size))
		return -EINVAL;

	fd = get_unused_fd_flags(0);
	if (fd < 0)
		return fd;

	gi = gmem_inode_create(size, args->flags);
	if (IS_ERR(gi)) {
		r = PTR_ERR(gi);
		goto err_fd;
	}

	file = gmem_view_create(kvm, gi);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		goto err_inode;
	}

	trace_gmem_create(gi);
	/* The file holds a reference of its own. */
	iput(&gi->vfs_inode);
	fd_install(fd, file);
	return fd;

err_inode:
	iput(&gi->vfs_inode);
err_fd:
	put_unused_fd(fd);
	return r;
}
