// SPDX-License-Identifier: GPL-2.0-only
/*
 * What AMD's vendor code keeps of a vCPU: the VMCBs and what stands beside them.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>

#include "svm/svm.h"

#include "../gmem/version.h"
#include "move.h"

/* Of kvm-amd.ko: dkms takes modules that tell none for those that are there already. */
MODULE_VERSION(GMEM_VERSION);

/**
 * svm_vcpu_move_prepare() - all of moving a vCPU's SVM state that can fail
 * @dst: the destination's vCPU
 * @src: the source's vCPU
 *
 * Context: vcpu->mutex of both is held.
 * Return: 0; -EINVAL for an encrypted guest, whose registers are not KVM's to
 * move; -ENOMEM.
 */
int svm_vcpu_move_prepare(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	if (sev_guest(dst->kvm) || sev_guest(src->kvm))
		return -EINVAL;

	if (!to_svm(src)->nested.initialized)
		return 0;

	return svm_allocate_nested(to_svm(dst));
}

/*
 * All that the processor and KVM keep in the control area moves, but for what
 * refers to structures of this very vCPU or VM.
 */
static void svm_move_control(struct vmcb_control_area *d, const struct vmcb_control_area *s)
{
	const u32 own_int_ctl = AVIC_ENABLE_MASK | X2APIC_MODE_MASK;
	const u64 iopm = d->iopm_base_pa, msrpm = d->msrpm_base_pa, root = d->nested_cr3;
	const u64 backing_page = d->avic_backing_page, vapic_bar = d->avic_vapic_bar;
	const u64 logical_id = d->avic_logical_id, physical_id = d->avic_physical_id;
	const u32 int_ctl = d->int_ctl, asid = d->asid;

	*d = *s;

	d->iopm_base_pa = iopm;
	d->msrpm_base_pa = msrpm;
	d->nested_cr3 = root;
	d->asid = asid;
	d->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	d->int_ctl = (s->int_ctl & ~own_int_ctl) | (int_ctl & own_int_ctl);
	d->avic_vapic_bar = vapic_bar;
	d->avic_backing_page = backing_page;
	d->avic_logical_id = logical_id;
	d->avic_physical_id = physical_id;
}

/* No translation that was made under the destination's ASID may be used. */
static void svm_move_vmcb(struct kvm_vmcb_info *dst, const struct kvm_vmcb_info *src)
{
	svm_move_control(&dst->ptr->control, &src->ptr->control);
	dst->ptr->save = src->ptr->save;
	vmcb_mark_all_dirty(dst->ptr);
	dst->asid_generation = 0;
}

static void svm_move_msrs(struct vcpu_svm *d, const struct vcpu_svm *s)
{
	d->sysenter_esp_hi = s->sysenter_esp_hi;
	d->sysenter_eip_hi = s->sysenter_eip_hi;
	d->tsc_aux = s->tsc_aux;
	d->msr_decfg = s->msr_decfg;
	d->spec_ctrl = s->spec_ctrl;
	d->virt_spec_ctrl = s->virt_spec_ctrl;
	d->tsc_ratio_msr = s->tsc_ratio_msr;
	d->nested.hsave_msr = s->nested.hsave_msr;
	d->nested.vm_cr_msr = s->nested.vm_cr_msr;
}

static void svm_move_events(struct vcpu_svm *d, const struct vcpu_svm *s)
{
	d->next_rip = s->next_rip;
	d->guest_gif = s->guest_gif;
	d->nmi_masked = s->nmi_masked;
	d->nmi_iret_rip = s->nmi_iret_rip;
	d->awaiting_iret_completion = s->awaiting_iret_completion;
	d->nmi_singlestep = s->nmi_singlestep;
	d->nmi_singlestep_guest_rflags = s->nmi_singlestep_guest_rflags;
	/* A debugger's TF in the source is not the guest's. */
	if (s->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		d->nmi_singlestep_guest_rflags &= ~X86_EFLAGS_TF;
	d->nmi_l1_to_l2 = s->nmi_l1_to_l2;
	d->soft_int_injected = s->soft_int_injected;
	d->soft_int_csbase = s->soft_int_csbase;
	d->soft_int_old_rip = s->soft_int_old_rip;
	d->soft_int_next_rip = s->soft_int_next_rip;
}

/**
 * svm_move_msr_intercepts() - move which MSRs the guest touches without an exit
 * @d: the destination's vCPU
 * @s: the source's vCPU
 *
 * That is the guest's state (what it uses) and the destination VM's (its filter).
 * KVM_REQ_MSR_FILTER_CHANGED makes the bitmap of both.
 *
 * Context: vcpu->mutex of both is held.
 */
void svm_move_msr_intercepts(struct vcpu_svm *d, const struct vcpu_svm *s)
{
	bitmap_copy(d->shadow_msr_intercept.read, s->shadow_msr_intercept.read,
		    MAX_DIRECT_ACCESS_MSRS);
	bitmap_copy(d->shadow_msr_intercept.write, s->shadow_msr_intercept.write,
		    MAX_DIRECT_ACCESS_MSRS);
	d->lbr_msrs_intercepted = s->lbr_msrs_intercepted;
}

/*
 * A nested guest's VMCB is in use where the source was running one, together
 * with the MMU that walks L1's nested page tables. What refers to L1's memory
 * is read again at the first KVM_RUN.
 */
static void svm_move_nested(struct vcpu_svm *d, const struct vcpu_svm *s)
{
	struct kvm_vcpu *vcpu = &d->vcpu;

	d->nested.vmcb12_gpa = s->nested.vmcb12_gpa;
	d->nested.last_vmcb12_gpa = s->nested.last_vmcb12_gpa;
	d->nested.nested_run_pending = s->nested.nested_run_pending;
	d->nested.ctl = s->nested.ctl;
	d->nested.save = s->nested.save;
	d->nested.force_msr_bitmap_recalc = true;

	if (!s->nested.initialized)
		return;

	/* One that has run nothing yet has no bitmaps, which VMRUN would give it. */
	svm_move_vmcb(&d->nested.vmcb02, &s->nested.vmcb02);
	d->nested.vmcb02.ptr->control.iopm_base_pa = d->vmcb01.ptr->control.iopm_base_pa;
	d->nested.vmcb02.ptr->control.msrpm_base_pa = __sme_set(__pa(d->nested.msrpm));

	if (!is_guest_mode(vcpu))
		return;

	svm_switch_vmcb(d, &d->nested.vmcb02);
	vcpu->stat.guest_mode = 1;
	if (nested_npt_enabled(d))
		nested_svm_init_mmu_context(vcpu);
}

/**
 * svm_vcpu_move() - copy a vCPU's SVM state
 * @dst: the destination's vCPU, with what KVM itself keeps copied already
 * @src: the source's vCPU
 *
 * Context: vcpu->mutex of both is held, @dst is loaded; kvm_init_mmu() is to
 * follow.
 */
void svm_vcpu_move(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct vcpu_svm *d = to_svm(dst), *s = to_svm(src);

	svm_move_vmcb(&d->vmcb01, &s->vmcb01);
	svm_move_msrs(d, s);
	svm_move_events(d, s);
	svm_move_msr_intercepts(d, s);
	svm_move_nested(d, s);
}
