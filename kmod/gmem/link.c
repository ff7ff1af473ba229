// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_LINK_GUEST_MEMFD: another VM's view of a guest memory inode.
 *
 * After "KVM: guest_memfd: Add support for linking guest_memfd to another VM"
 * as proposed on the KVM list.
 */
#include <linux/file.h>
#include <linux/uaccess.h>

#include "arch.h"
#include "gmem.h"
#include "trace.h"
#include "view.h"

static int gmem_link_check(struct kvm *kvm, const struct kvm_link_guest_memfd *args)
{
	if (args->flags || memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;

	if (args->fd > INT_MAX)
		return -EINVAL;

	if (!(gmem_arch_capabilities(kvm) & KVM_GMEM_CAP_LINK))
		return -EOPNOTSUPP;

	return 0;
}

/*
 * Nothing of the source VM is taken but its file, and that only until the new
 * view is attached: while the file is held, its view is on the inode's list,
 * so the inode is alive and the last release cannot come in between.
 */
static struct file *gmem_link_file(struct kvm *kvm, struct file *source)
{
	struct gmem_view *view = gmem_view_of(source);
	struct file *file;

	if (!view || view->kvm == kvm)
		return ERR_PTR(-EINVAL);

	/* Pages that belong to one VM by hardware can't be shown to another. */
	if (!(gmem_arch_capabilities(view->kvm) & KVM_GMEM_CAP_LINK))
		return ERR_PTR(-EOPNOTSUPP);

	if (view->inode->flags & ~gmem_arch_flags(kvm))
		return ERR_PTR(-EINVAL);

	file = gmem_view_create(kvm, view->inode);
	if (!IS_ERR(file))
		trace_gmem_link(view->inode);
	return file;
}

/**
 * kvm_gmem_link() - KVM_LINK_GUEST_MEMFD
 * @kvm: the VM that gets a view
 * @argp: struct kvm_link_guest_memfd in the caller's memory
 *
 * Context: VM ioctl of @kvm, no lock held. Takes the invalidate_lock of the
 * inode; guests may run and fault on it meanwhile.
 * Return: a new O_CLOEXEC file descriptor, or -errno with nothing left behind:
 * -EFAULT for @argp; -EINVAL for flags, reserved words, an fd that is not
 * open, that is not a view, whose inode @kvm has a view of or has flags that
 * @kvm's type can't have; -EOPNOTSUPP
 * where the type of either VM can't share its pages; -EPERM where links are
 * sealed; -EMFILE, -ENFILE,
 * -ENOMEM.
 */
int kvm_gmem_link(struct kvm *kvm, void __user *argp)
{
	struct kvm_link_guest_memfd args;
	struct file *source, *file;
	int fd, r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	r = gmem_link_check(kvm, &args);
	if (r)
		return r;

	source = fget(args.fd);
	if (!source)
		return -EINVAL;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		r = fd;
		goto out_source;
	}

	file = gmem_link_file(kvm, source);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		r = PTR_ERR(file);
		goto out_source;
	}

	fd_install(fd, file);
	r = fd;
out_source:
	fput(source);
	return r;
}
