// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a moved VM's irqfds.
 *
 * KVM ends each one in a work item of its own, of a workqueue of all VMs: behind those of others,
 * and one that resamples with a grace period of SRCU to itself. All vCPUs of two VMs stand still
 * meanwhile. So here a move does what irqfd_shutdown() does, in the same order, for all of them
 * at once.
 */
#include <linux/eventfd.h>
#include <linux/kvm_host.h>
#include <linux/kvm_irqfd.h>
#include <linux/wait_bit.h>

#include "move.h"

/*
 * Nobody else ends them from now on: an irqfd that is not in kvm->irqfds.items is not active. Of
 * those that end already, those whose work has not begun.
 */
static void kvm_move_take_irqfds(struct kvm *src, struct list_head *irqfds)
{
	struct kvm_kernel_irqfd *irqfd, *tmp;

	spin_lock_irq(&src->irqfds.lock);
	list_for_each_entry_safe(irqfd, tmp, &src->irqfds.ending, end) {
		if (cancel_work(&irqfd->shutdown))
			list_move_tail(&irqfd->end, irqfds);
	}
	list_for_each_entry_safe(irqfd, tmp, &src->irqfds.items, list) {
		list_del_init(&irqfd->list);
		list_add_tail(&irqfd->end, irqfds);
	}
	spin_unlock_irq(&src->irqfds.lock);
}

static void kvm_move_silence_irqfds(struct list_head *irqfds)
{
	struct kvm_kernel_irqfd *irqfd;
	u64 count;

	list_for_each_entry(irqfd, irqfds, end) {
		eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
		/* It raises what it took from its eventfd, and waits for nothing. */
		flush_work(&irqfd->inject);
	}
}

/* The last one of a resampler keeps it, to be freed; an irqfd that is silent does not use it. */
static void kvm_move_unlink_resamplers(struct kvm *src, struct list_head *irqfds)
{
	struct kvm_kernel_irqfd *irqfd;

	mutex_lock(&src->irqfds.resampler_lock);
	list_for_each_entry(irqfd, irqfds, end) {
		struct kvm_kernel_irqfd_resampler *resampler = irqfd->resampler;

		if (!resampler)
			continue;

		list_del_rcu(&irqfd->resampler_link);
		if (!list_empty(&resampler->list)) {
			irqfd->resampler = NULL;
			continue;
		}
		list_del_rcu(&resampler->link);
		mutex_lock(&src->irq_lock);
		hlist_del_init_rcu(&resampler->notifier.link);
		mutex_unlock(&src->irq_lock);
	}
	mutex_unlock(&src->irqfds.resampler_lock);
}

static void kvm_move_free_irqfds(struct kvm *src, struct list_head *irqfds)
{
	struct kvm_kernel_irqfd *irqfd, *tmp;

	list_for_each_entry_safe(irqfd, tmp, irqfds, end) {
		/* Its line stays up where it is up: the destination has it. */
		kfree(irqfd->resampler);
		if (irqfd->resamplefd)
			eventfd_ctx_put(irqfd->resamplefd);
#if IS_ENABLED(CONFIG_HAVE_KVM_IRQ_BYPASS)
		irq_bypass_unregister_consumer(&irqfd->consumer);
#endif
		eventfd_ctx_put(irqfd->eventfd);
		kfree(irqfd);
		atomic_dec(&src->nr_irqfds);
	}
}

/**
 * kvm_move_end_irqfds() - end the irqfds of a moved VM
 * @src: the source, declared dead: it gets no new ones
 *
 * Two grace periods, however many there are, and whatever other VMs' irqfds do. Those that were
 * about to end already, as their eventfd was closed or KVM_IRQFD ended them, are taken out of the
 * workqueue of all VMs. Those whose work has begun are waited for.
 *
 * Context: Process context, may sleep; all vcpu->mutex of @src are held.
 */
void kvm_move_end_irqfds(struct kvm *src)
{
	LIST_HEAD(irqfds);

	kvm_move_take_irqfds(src, &irqfds);
	if (!list_empty(&irqfds)) {
		/* The task that has made one may be about to raise its interrupt. */
		synchronize_srcu_expedited(&src->irq_srcu);
		kvm_move_silence_irqfds(&irqfds);
		kvm_move_unlink_resamplers(src, &irqfds);
		/* Other tasks walk the lists of resamplers, and their irqfds. */
		synchronize_srcu_expedited(&src->irq_srcu);
		kvm_move_free_irqfds(src, &irqfds);
	}
	wait_var_event(&src->nr_irqfds, !atomic_read(&src->nr_irqfds));
}
