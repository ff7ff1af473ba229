// SPDX-License-Identifier: GPL-2.0-only
/*
 * What goes along with the context of an SEV or SEV-ES guest; part of kvm-amd.ko.
 * svm/sev.c moves the context itself: handle, ASID, locked memory, mirrors and
 * encrypted registers. docs/move.md has a table of all state.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>

#include "svm/svm.h"
#include "x86.h"

#include "move.h"
#include "vcpus.h"

/**
 * sev_hold_psp() - keep the SEV device that a VM's commands go to
 * @sev: the VM's
 * @psp: the file that the VM's first command was given to, or NULL; the reference is taken over
 * @error: of that command; unless it is 0, @psp may be any file, and is let go
 *
 * The number of an fd would be another file in another process. And looked up a second
 * time, it could be a file that itself holds the VM: nobody would ever free either.
 *
 * Context: kvm->lock is held.
 */
void sev_hold_psp(struct kvm_sev_info *sev, struct file *psp, int error)
{
	if (!error)
		swap(sev->psp, psp);
	if (psp)
		fput(psp);
}

/**
 * sev_put_psp() - undo sev_hold_psp()
 * @sev: the VM's
 *
 * Context: kvm->lock is held, or the VM is being destroyed.
 */
void sev_put_psp(struct kvm_sev_info *sev)
{
	if (sev->psp)
		fput(sev->psp);
	sev->psp = NULL;
}

/**
 * sev_was_moved() - has a VM's context gone to another VM?
 * @kvm: the VM, that sev_guest() was not true for
 *
 * A move sets this before it makes sev_guest() false.
 *
 * Context: Any.
 * Return: whether it has.
 */
bool sev_was_moved(struct kvm *kvm)
{
	/* Pairs with the release store in sev_migrate_from(). */
	smp_rmb();
	return READ_ONCE(to_kvm_sev_info(kvm)->moved);
}

/**
 * sev_needs_cache_flush() - may a VM leave dirty lines of its pages in caches?
 * @kvm: the VM
 *
 * A VM whose context was moved may have left some before. Of SNP's pages no line
 * survives that they are taken back from the guest.
 *
 * Context: Any.
 * Return: whether caches have to be flushed before a page that it had is another's.
 */
bool sev_needs_cache_flush(struct kvm *kvm)
{
	return (sev_guest(kvm) || sev_was_moved(kvm)) && !sev_snp_guest(kvm);
}

/**
 * sev_move_is_fresh() - can a VM become one of SEV?
 * @kvm: the VM, not one of SEV
 *
 * Only a VM of the default type can have run anything.
 *
 * Context: All vcpu->mutex are held.
 * Return: true if no vCPU has run, or is in a nested guest.
 */
bool sev_move_is_fresh(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (kvm_vcpu_has_run(vcpu) || is_guest_mode(vcpu))
			return false;
	}
	return true;
}

/**
 * sev_es_move_vcpu() - move what stands beside a vCPU's encrypted registers
 * @dst: the destination's vCPU, which has got the encrypted state and the GHCB
 * @src: the source's, of the same id
 *
 * Context: all vcpu->mutex of both are held. sev_move_derive() is to follow.
 */
void sev_es_move_vcpu(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct vcpu_svm *d = to_svm(dst), *s = to_svm(src);

	vcpu_load(dst);
	/* It was copied with the rest, and refers to the source's. */
	mutex_init(&d->sev_es.snp_vmsa_mutex);
	fpstate_set_confidential(&dst->arch.guest_fpu);
	svm_enable_lbrv(dst);

	/* An MSR that the guest touches without an exit can't be read or set. */
	d->spec_ctrl = s->spec_ctrl;
	d->virt_spec_ctrl = s->virt_spec_ctrl;
	svm_move_msr_intercepts(d, s);
	kvm_make_request(KVM_REQ_MSR_FILTER_CHANGED, dst);

	kvm_move_copy_protected(dst, src);
	vcpu_put(dst);
}

/**
 * sev_move_derive() - derive what depends on a VM being one of SEV
 * @kvm: the destination, which has become one
 *
 * KVM derives it when it initializes a VM as one of SEV, which was not done here,
 * and when a vCPU is given its CPUID, which may have been before.
 *
 * Context: all vcpu->mutex are held.
 */
void sev_move_derive(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_set_apicv_inhibit(kvm, APICV_INHIBIT_REASON_SEV);

	kvm_for_each_vcpu(i, vcpu, kvm) {
		vcpu_load(vcpu);
		if (vcpu->arch.cpuid_nent)
			sev_vcpu_after_set_cpuid(to_svm(vcpu));
		kvm_move_derive_mmu(vcpu);
		vcpu_put(vcpu);
	}
}
