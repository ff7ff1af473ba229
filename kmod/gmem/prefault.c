// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: what it owes to others before it tries a page.
 *
 * It holds vcpu->mutex and kvm->srcu, for a range of any size, and a fault that comes
 * to nothing is tried again at once. What the fault waits for may be waiting for one
 * of the two: a memslot update for the end of kvm->srcu, a move for the mutex. So
 * both are given a chance before each try, whatever the reason for it is.
 */
#include <linux/kvm_host.h>

#include "mmu.h"

#include "access.h"

/**
 * kvm_gmem_prefault_begin() - before a page is faulted in ahead of need
 * @vcpu: the vCPU
 *
 * A memslot's deletion makes a vCPU's page tables obsolete. KVM_RUN frees such tables
 * when it is asked to, but need not come along here.
 *
 * Context: vcpu->mutex is held, and kvm->srcu by kvm_vcpu_srcu_read_lock(). The latter
 * is given up in between: the caller has no pointer to a memslot.
 * Return: 0; -EAGAIN: a move wants the vCPU; -EIO: a dead VM; what kvm_mmu_load() says.
 */
int kvm_gmem_prefault_begin(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_srcu_read_unlock(vcpu);
	cond_resched();
	kvm_vcpu_srcu_read_lock(vcpu);

	if (vcpu->kvm->vm_dead)
		return -EIO;
	if (atomic_read(&vcpu->kvm->move_in_progress))
		return -EAGAIN;

	if (kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS, vcpu))
		kvm_mmu_free_obsolete_roots(vcpu);
	return kvm_mmu_reload(vcpu);
}
