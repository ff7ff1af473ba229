// SPDX-License-Identifier: GPL-2.0-only
/*
 * Host faults that wait for a page that the pager owes.
 *
 * They drop mmap_lock or the VMA's lock and are retried: all is looked at anew then, also
 * whether the page may still be mapped, and whether there is a mapping.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>

#include "../attrs.h"
#include "../gmem.h"
#include "owed.h"
#include "wait.h"

/* How long a kworker waits that pages in for another task, as KVM's does for a guest's. */
#define GMEM_KTHREAD_WAIT	(HZ / 10)

static bool gmem_kernel_faults = true;
module_param_named(gmem_kernel_faults, gmem_kernel_faults, bool, 0644);
MODULE_PARM_DESC(gmem_kernel_faults,
		 "System calls of tasks without CAP_SYS_PTRACE wait for pages that a pager owes");

struct gmem_host_wait {
	struct gmem_wait *wait;
	unsigned int state;
};

static bool gmem_host_wait_is_over(void *arg)
{
	struct gmem_host_wait *w = arg;

	return gmem_wait_is_over(w->wait) || signal_pending_state(w->state, current);
}

static void gmem_host_sleep(struct gmem_wait *wait, unsigned int how, long timeout)
{
	struct gmem_host_wait w = {
		.wait = wait,
		.state = how & FAULT_FLAG_INTERRUPTIBLE ? TASK_INTERRUPTIBLE : TASK_KILLABLE,
	};

	gmem_wait_sleep(wait, w.state, timeout, gmem_host_wait_is_over, &w);
}

/*
 * Tasks that others wait for and tasks that exit fail at once, as with userfaultfd. A
 * kworker that pages in another process's memory ahead of an access fails after a while:
 * the access then waits itself, and meanwhile does not come back here too often.
 */
static long gmem_host_timeout(unsigned int how)
{
	if (gmem_may_wait())
		return MAX_SCHEDULE_TIMEOUT;
	return current->flags & PF_KTHREAD && how & FAULT_FLAG_REMOTE ? GMEM_KTHREAD_WAIT : 0;
}

/*
 * An access that KVM makes for a vCPU, of which the task has the mutex. KVM_RUN also has the task
 * do its works on the way (xfer_to_guest_mode_handle_work()): that is all the rest of the kernel,
 * io_uring for one. They are told apart by the vCPU's read side of kvm->srcu, which is dropped for
 * them, and held where KVM_RUN accesses memory, but for a vCPU that is halted
 * (kvm_vcpu_check_block()), where nothing is to wait. No other ioctl of a vCPU does such works,
 * whatever it holds.
 */
static bool gmem_host_is_kvm(void)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();

	return vcpu && (vcpu->srcu_held || !vcpu->wants_to_run);
}

/*
 * A system call may touch memory with any lock of the kernel held. With the page owed, whoever
 * serves it decides then how long others of the host wait: what userfaultfd and FUSE can do
 * too, and what an administrator may not want. KVM's own accesses for a vCPU hold that vCPU's
 * locks alone.
 */
static bool gmem_host_may_sleep(unsigned int how)
{
	return how & FAULT_FLAG_USER || READ_ONCE(gmem_kernel_faults) || gmem_host_is_kvm() ||
	       has_capability_noaudit(current, CAP_SYS_PTRACE);
}

/**
 * gmem_wait_host_fault() - a host fault needs a page that the pager owes
 * @gi: the inode
 * @vmf: the fault
 *
 * Context: vm_operations_struct.fault, with nothing held but what it came with.
 * Return: VM_FAULT_RETRY, or VM_FAULT_SIGBUS where that is not allowed, as in
 * some of the kernel's accesses, or the task may not wait: these fail.
 */
vm_fault_t gmem_wait_host_fault(struct gmem_inode *gi, struct vm_fault *vmf)
{
	u32 flags = vmf->flags & FAULT_FLAG_WRITE ? KVM_GMEM_FAULT_WRITE : 0;
	struct gmem_wait wait = { .task = current };
	unsigned int how = vmf->flags;
	long timeout;

	wait.rounds = gmem_pager_rounds(gi);
	if (gmem_pager_ask(gi, vmf->pgoff, 0, flags))
		return VM_FAULT_OOM;

	if (!(how & FAULT_FLAG_ALLOW_RETRY) || !gmem_host_may_sleep(how))
		return VM_FAULT_SIGBUS;
	if (how & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	/* One that was tried before has waited. */
	timeout = gmem_host_timeout(how);
	if (!timeout || (timeout < MAX_SCHEDULE_TIMEOUT && how & FAULT_FLAG_TRIED))
		return VM_FAULT_SIGBUS;

	/* Without the lock, the mapping may go, and @vmf with it; so it begins with the lock. */
	ihold(&gi->vfs_inode);
	gmem_wait_init(&wait, GMEM_WAIT_HOST, gi, vmf->pgoff);
	gmem_wait_begin(&wait);
	release_fault_lock(vmf);

	if (!gmem_index_is_private(gi, wait.index))
		gmem_host_sleep(&wait, how, timeout);
	gmem_wait_end(&wait);

	iput(&gi->vfs_inode);
	return VM_FAULT_RETRY;
}
