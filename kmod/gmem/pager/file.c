// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pager's file: events come out by read(2), answers go in by ioctl; or both
 * by a ring.
 *
 * It is no view: nothing can be linked, bound or punched with it. It can give
 * content to pages that it owes, and see which are there.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "../arch.h"
#include "../folio.h"
#include "../gmem.h"
#include "../inode.h"
#include "events.h"
#include "file.h"
#include "owed.h"
#include "ring.h"

/* Events that are copied in one go. */
#define GMEM_PAGER_BATCH	16

static_assert(sizeof(struct kvm_gmem_event) == 64);
static_assert(sizeof(struct kvm_gmem_answer) == 40);

/*
 * Copies unread events to @buf, which has room for @max. Those that don't get there
 * stay unread. Returns how many did; -EFAULT where there are some, and none did.
 */
static int gmem_pager_read_batch(struct gmem_pager *pager, char __user *buf, size_t max)
{
	struct kvm_gmem_event events[GMEM_PAGER_BATCH];
	unsigned int n, read;
	LIST_HEAD(taken);

	mutex_lock(&pager->lock);
	n = gmem_events_begin_read(pager, &taken, events, min_t(size_t, max, ARRAY_SIZE(events)));
	mutex_unlock(&pager->lock);
	if (!n)
		return 0;

	read = n - DIV_ROUND_UP(copy_to_user(buf, events, n * sizeof(events[0])),
				sizeof(events[0]));
	mutex_lock(&pager->lock);
	gmem_events_end_read(pager, &taken, read);
	mutex_unlock(&pager->lock);
	return read ? : -EFAULT;
}

static int gmem_pager_wait_events(struct gmem_pager *pager, bool nonblock)
{
	if (!list_empty(&pager->unread))
		return 0;
	if (gmem_inode_is_gone(pager->gi))
		return -EPIPE;
	if (nonblock)
		return -EAGAIN;
	return wait_event_interruptible(pager->readers, !list_empty(&pager->unread) ||
					gmem_inode_is_gone(pager->gi));
}

static ssize_t gmem_pager_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	size_t one = sizeof(struct kvm_gmem_event), max = size / one, done = 0;
	struct gmem_pager *pager = file->private_data;
	int n, r;

	if (!max)
		return -EINVAL;

	do {
		r = gmem_pager_wait_events(pager, file->f_flags & O_NONBLOCK);
		if (r)
			return r;
		/* Another thread of the pager may have been faster. */
		n = gmem_pager_read_batch(pager, buf, max);
	} while (!n);
	if (n < 0)
		return n;

	while (n > 0) {
		done += n;
		cond_resched();
		if (done == max || fatal_signal_pending(current))
			break;
		n = gmem_pager_read_batch(pager, buf + done * one, max - done);
	}
	return done * one;
}

static __poll_t gmem_pager_poll(struct file *file, poll_table *wait)
{
	struct gmem_pager *pager = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &pager->readers, wait);
	poll_wait(file, &pager->gi->gone, wait);
	if (!list_empty(&pager->unread) || gmem_ring_has_events(pager))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (gmem_inode_is_gone(pager->gi))
		mask |= EPOLLHUP;
	return mask;
}

static long gmem_pager_detach_ioctl(struct gmem_pager *pager, void __user *argp)
{
	struct kvm_gmem_pager_detach args;
	unsigned long missing = 0;
	int r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.flags & ~KVM_GMEM_DETACH_FORCE)
		return -EINVAL;

	r = gmem_pager_detach(pager, args.flags & KVM_GMEM_DETACH_FORCE, &missing);
	args.missing = missing;
	if (copy_to_user(argp, &args, sizeof(args)))
		return -EFAULT;
	return r;
}

static long gmem_pager_ioctl(struct file *file, unsigned int code, unsigned long arg)
{
	struct gmem_pager *pager = file->private_data;
	void __user *argp = (void __user *)arg;

	if (gmem_inode_is_gone(pager->gi))
		return -EPIPE;

	switch (code) {
	case KVM_GMEM_PAGER_ANSWER:
		return gmem_pager_answer(pager, argp);
	case KVM_GMEM_PAGER_DETACH:
		return gmem_pager_detach_ioctl(pager, argp);
	case KVM_GMEM_PRESENT:
		return gmem_present(pager->gi, argp);
	case KVM_GMEM_PAGER_RING:
		return gmem_ring_create(pager, argp);
	case KVM_GMEM_PAGER_ENTER:
		return arg ? -EINVAL : gmem_ring_enter(pager);
	default:
		return -ENOTTY;
	}
}

static int gmem_pager_mmap(struct file *file, struct vm_area_struct *vma)
{
	return gmem_ring_mmap(file->private_data, vma);
}

static int gmem_pager_release(struct inode *inode, struct file *file)
{
	struct gmem_pager *pager = file->private_data;

	/* None where it could not be created. */
	if (pager) {
		gmem_pager_close(pager);
		iput(&pager->gi->vfs_inode);
	}
	return 0;
}

static const struct file_operations gmem_pager_fops = {
	.owner		= THIS_MODULE,
	.open		= generic_file_open,
	.release	= gmem_pager_release,
	.read		= gmem_pager_read,
	.poll		= gmem_pager_poll,
	.mmap		= gmem_pager_mmap,
	.show_fdinfo	= gmem_show_pager_fdinfo,
	.unlocked_ioctl	= gmem_pager_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static int gmem_pager_check(struct gmem_inode *gi, const struct kvm_gmem_create_pager *args)
{
	if (args->flags & ~(KVM_GMEM_PAGER_TAKEOVER | KVM_GMEM_PAGER_FAIL | KVM_GMEM_PAGER_EXIT) ||
	    memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;
	if (!args->size && !(args->flags & KVM_GMEM_PAGER_TAKEOVER))
		return -EINVAL;
	return gmem_range_is_inside(gi, args->offset, args->size) ? 0 : -EINVAL;
}

/**
 * gmem_pager_create() - KVM_GMEM_CREATE_PAGER
 * @view: the view that it is made from
 * @argp: struct kvm_gmem_create_pager
 *
 * Context: Process context, may sleep.
 * Return: a new file descriptor; -EFAULT, -EINVAL for an argument, -EOPNOTSUPP
 * where the VM's memory can't be populated so, -EBUSY where there is a pager, or
 * one is to be taken over from, -EMFILE, -ENFILE, -ENOMEM, -EINTR by a fatal signal.
 */
long gmem_pager_create(struct gmem_view *view, void __user *argp)
{
	struct gmem_inode *gi = view->inode;
	struct kvm_gmem_create_pager args;
	struct gmem_pager *pager;
	struct file *file;
	int fd, r;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	r = gmem_pager_check(gi, &args);
	if (r)
		return r;
	if (!(gmem_arch_capabilities(view->kvm) & KVM_GMEM_CAP_PAGER))
		return -EOPNOTSUPP;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	/* Not on the inode, whose holes and seals are no business of a ring's mapping. */
	file = anon_inode_getfile("[gmem-pager]", &gmem_pager_fops, NULL, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}

	/* Last, since there is no way back. */
	pager = gmem_pager_attach(gi, args.offset >> PAGE_SHIFT, args.size >> PAGE_SHIFT,
				  args.flags);
	if (IS_ERR(pager)) {
		fput(file);
		put_unused_fd(fd);
		return PTR_ERR(pager);
	}
	ihold(&gi->vfs_inode);
	file->private_data = pager;
	fd_install(fd, file);
	return fd;
}
