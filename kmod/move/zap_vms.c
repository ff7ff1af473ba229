// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change of nx_huge_pages: every VM's stage-2 tables go.
 *
 * Each with its VM's slots_lock, which the VMM can hold for as long as it likes. So not with
 * kvm_lock, which every new VM takes, and not in the order of the list of VMs alone: those whose
 * lock is free go first, and none keeps its old tables because of another. Nor with the lock that a
 * write to a parameter comes with: reads and writes of every other parameter of the module take
 * it, such as that which keeps system calls from waiting for a pager.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"

#include "../gmem/put_vm.h"

static int kvm_move_zap_vm(struct kvm *kvm, void (*zap)(struct kvm *kvm), bool wait)
{
	if (!mutex_trylock(&kvm->slots_lock)) {
		if (!wait)
			return -EAGAIN;
		if (mutex_lock_killable(&kvm->slots_lock))
			return -EINTR;
	}
	zap(kvm);
	mutex_unlock(&kvm->slots_lock);
	return 0;
}

/*
 * VMs leave the list when their last reference goes: one that is held is there to go on from.
 * That of the one before goes without kvm_lock, which the VM's end takes.
 */
static int kvm_move_zap_all(void (*zap)(struct kvm *kvm), bool wait)
{
	struct kvm *kvm, *last = NULL;
	int r = 0;

	mutex_lock(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list) {
		if (!kvm_get_kvm_safe(kvm))
			continue;
		mutex_unlock(&kvm_lock);

		if (last)
			kvm_gmem_put_vm(last);
		last = kvm;
		r = kvm_move_zap_vm(kvm, zap, wait) ?: r;
		cond_resched();
		mutex_lock(&kvm_lock);
		if (r == -EINTR)
			break;
	}
	mutex_unlock(&kvm_lock);

	if (last)
		kvm_gmem_put_vm(last);
	return r;
}

/* How many changes have begun; by the module's param_lock. */
static unsigned long kvm_move_zaps;

/**
 * kvm_move_zap_vms() - zap all VMs' tables for a change of nx_huge_pages
 * @zap: zaps one, with its slots_lock held
 *
 * A VM that is made meanwhile has the new value. So can others change it: each of them zaps all
 * VMs, and the last one is in progress until it has. If a signal ends that, no move takes tables
 * along until the next change has come to its end.
 *
 * Context: Process context, may sleep; the module's param_lock is held, and no other. It is let go
 * meanwhile.
 * Return: 0; -EINTR by a fatal signal, with some VMs' tables as they were.
 */
int kvm_move_zap_vms(void (*zap)(struct kvm *kvm))
{
	unsigned long change = ++kvm_move_zaps;
	int r;

	/* A VM's last reference may be ours. Without the module there is no VM. */
	if (!kvm_gmem_get_owner()) {
		WRITE_ONCE(nx_huge_pages_changing, false);
		return 0;
	}
	WRITE_ONCE(nx_huge_pages_changing, true);
	kernel_param_unlock(THIS_MODULE);
	r = kvm_move_zap_all(zap, false);
	/* Those that had none to wait for are zapped again: to no purpose, but no list is kept. */
	if (r)
		r = kvm_move_zap_all(zap, true);
	kernel_param_lock(THIS_MODULE);

	if (!r && change == kvm_move_zaps)
		WRITE_ONCE(nx_huge_pages_changing, false);
	kvm_gmem_put_owner();
	return r;
}
