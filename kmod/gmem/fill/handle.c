// SPDX-License-Identifier: GPL-2.0-only
/*
 * Populate-only handles: the least right that fills an inode's pages.
 *
 * A handle is a file on the inode that is no view: nothing can be linked, bound
 * or punched with it, and it keeps no VM. It keeps the inode, but not its pages,
 * which go with the last view; then it gets EPIPE, and POLLHUP.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "../arch.h"
#include "../gmem.h"
#include "../inode.h"
#include "fill.h"

static long gmem_handle_ioctl(struct file *file, unsigned int code, unsigned long arg)
{
	if (code != KVM_GMEM_POPULATE)
		return -ENOTTY;

	return gmem_populate_offset(NULL, GMEM_I(file_inode(file)), (void __user *)arg);
}

static __poll_t gmem_handle_poll(struct file *file, poll_table *wait)
{
	struct gmem_inode *gi = GMEM_I(file_inode(file));

	poll_wait(file, &gi->gone, wait);
	return gmem_inode_is_gone(gi) ? EPOLLHUP : 0;
}

static const struct file_operations gmem_handle_fops = {
	.owner		= THIS_MODULE,
	.open		= generic_file_open,
	.unlocked_ioctl	= gmem_handle_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.poll		= gmem_handle_poll,
};

/**
 * gmem_handle_create() - KVM_GMEM_CREATE_FILLER
 * @view: the view that it is made from
 * @argp: struct kvm_gmem_create_filler
 *
 * Context: Process context, may sleep.
 * Return: a new file descriptor; -EFAULT, -EINVAL for flags, -EOPNOTSUPP where
 * the VM's memory can't be populated so, -EMFILE, -ENFILE, -ENOMEM.
 */
long gmem_handle_create(struct gmem_view *view, void __user *argp)
{
	struct kvm_gmem_create_filler args;
	struct file *file;
	int fd;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;

	if (!(gmem_arch_capabilities(view->kvm) & KVM_GMEM_CAP_POPULATE))
		return -EOPNOTSUPP;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	ihold(&view->inode->vfs_inode);
	file = gmem_inode_open(view->inode, &gmem_handle_fops, NULL);
	if (IS_ERR(file)) {
		iput(&view->inode->vfs_inode);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
