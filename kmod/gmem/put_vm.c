// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last reference to a VM, in the context of somebody who has nothing to do with it.
 *
 * A VM's end waits for things that are in its VMM's hands: a kworker that finds a page of the
 * VMM's for an asynchronous page fault, say, which no signal ends while a FUSE server is silent.
 * A view keeps its VM, and its last reference goes in anybody's context (release.c). So a VM is
 * destroyed by its own VMM, or by a work that has nothing else to do, on a workqueue where as
 * many works as there may be can wait.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "../kvm_mm.h"
#include "put_vm.h"
#include "view.h"

/*
 * Both are there as long as the vendor module is, whose functions a VM's end calls. A task that
 * keeps the module reads them without the lock.
 */
static struct workqueue_struct *gmem_put_wq;
static struct module *gmem_put_owner;
static DEFINE_MUTEX(gmem_put_lock); /* against their coming and going */

/**
 * gmem_is_own_vmm() - is the current task one of a VM's VMM?
 * @kvm: the VM
 *
 * By the address space; by the process where that is gone, as the task exits.
 *
 * Context: Process context.
 * Return: whether what its VMM does to it may hold the task up.
 */
bool gmem_is_own_vmm(const struct kvm *kvm)
{
	if (current->flags & PF_KTHREAD)
		return false;
	return current->mm ? current->mm == kvm->mm : current->tgid == kvm->gmem_tgid;
}

static void gmem_put_work(struct work_struct *work)
{
	kvm_put_kvm(container_of(work, struct kvm, gmem_put));
	/* Of the task that left it to us. The end of the workqueue waits for what is left. */
	kvm_gmem_put_owner();
}

/**
 * kvm_gmem_get_owner() - keep the module that a VM's end needs
 *
 * For a task that takes references to VMs by itself, and not by a file.
 *
 * Context: Process context, may sleep.
 * Return: false where the module is on its way out, or not there: then there is no VM.
 */
bool kvm_gmem_get_owner(void)
{
	guard(mutex)(&gmem_put_lock);

	return gmem_put_wq && try_module_get(gmem_put_owner);
}

/**
 * gmem_keep_owner() - keep that module for somebody else
 *
 * Context: Any; the caller keeps it, by a file or by kvm_gmem_get_owner().
 */
void gmem_keep_owner(void)
{
	__module_get(gmem_put_owner);
}

/**
 * kvm_gmem_put_owner() - let that module go
 *
 * Context: Any.
 */
void kvm_gmem_put_owner(void)
{
	module_put(gmem_put_owner);
}

/**
 * kvm_gmem_put_vm() - kvm_put_kvm() that does not wait for another's VM to end
 * @kvm: the VM
 *
 * Context: Process context, where kvm_put_kvm() may be called; the module is kept by the caller,
 * by a file or by kvm_gmem_get_owner().
 */
void kvm_gmem_put_vm(struct kvm *kvm)
{
	if (gmem_is_own_vmm(kvm)) {
		kvm_put_kvm(kvm);
		return;
	}
	if (refcount_dec_not_one(&kvm->users_count))
		return;

	/*
	 * The last one, which the work takes over: it can't be queued already. Somebody who finds
	 * the VM in the list of all may get another until it runs, and be the last one in turn.
	 */
	gmem_keep_owner();
	queue_work(gmem_put_wq, &kvm->gmem_put);
}

/**
 * kvm_gmem_init_vm() - a VM is being made
 * @kvm: the VM
 *
 * Context: KVM_CREATE_VM; nobody knows the VM.
 */
void kvm_gmem_init_vm(struct kvm *kvm)
{
	kvm->gmem_tgid = current->tgid;
	INIT_WORK(&kvm->gmem_put, gmem_put_work);
	gmem_release_init_vm(kvm);
}

/**
 * gmem_put_init() - get ready to destroy VMs
 * @module: the vendor module
 *
 * Context: Module load.
 * Return: 0 or -ENOMEM.
 */
int gmem_put_init(struct module *module)
{
	struct workqueue_struct *wq = alloc_workqueue("gmem_put", WQ_UNBOUND, WQ_MAX_ACTIVE);

	if (!wq)
		return -ENOMEM;

	guard(mutex)(&gmem_put_lock);
	gmem_put_wq = wq;
	gmem_put_owner = module;
	return 0;
}

/**
 * gmem_put_exit() - wait for the last steps of VMs' ends
 *
 * Context: Module unload: no VM is left.
 */
void gmem_put_exit(void)
{
	struct workqueue_struct *wq = gmem_put_wq;

	scoped_guard(mutex, &gmem_put_lock) {
		gmem_put_wq = NULL;
		gmem_put_owner = NULL;
	}
	destroy_workqueue(wq);
}
