// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Intel's vendor code keeps of a vCPU: the VMCS and what stands beside it.
 *
 * A VMCS is no structure that can be copied: it is read and written field by field, and only
 * while it is the current one of this CPU. What of it is the guest's state is copied as it is;
 * the controls are derived in the destination, by KVM's own setters, which keep their shadows.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>

#include "cpuid.h"
#include "kvm_cache_regs.h"
#include "mmu.h"
#include "pmu.h"
#include "x86.h"

#include "vmx/nested.h"
#include "vmx/vmx.h"
#include "vmx/vmx_onhyperv.h"
#include "vmx/x86_ops.h"

#include "../gmem/version.h"
#include "move.h"

/* Of kvm-intel.ko: dkms takes modules that tell none for those that are there already. */
MODULE_VERSION(GMEM_VERSION);

/* Is it in VMX operation, or was it when it entered SMM? Then it has state for an L2. */
static bool vmx_is_hypervisor(struct kvm_vcpu *vcpu)
{
	struct nested_vmx *nested = &to_vmx(vcpu)->nested;

	return nested->vmxon || nested->smm.vmxon || nested->smm.guest_mode ||
	       is_guest_mode(vcpu);
}

/* What refers to this CPU's facilities or to memory that is no inode's. */
static bool vmx_has_facilities(struct kvm_vcpu *vcpu)
{
	return (vmx_pt_mode_is_host_guest() && guest_cpuid_has(vcpu, X86_FEATURE_INTEL_PT)) ||
	       guest_cpuid_has(vcpu, X86_FEATURE_SGX) ||
	       vcpu_to_lbr_desc(vcpu)->event;
}

/**
 * vmx_vcpu_move_prepare() - all of moving a vCPU's VMX state that can fail
 * @dst: the destination's vCPU
 * @src: the source's vCPU
 *
 * Context: vcpu->mutex of both is held.
 * Return: 0; -EINVAL where either is in VMX operation or has PT, SGX or an LBR event; where
 * what userspace fixes of VMX is not the same; or where KVM itself runs on Hyper-V's
 * enlightened VMCS.
 */
int vmx_vcpu_move_prepare(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vmx *d = to_kvm_vmx(dst->kvm), *s = to_kvm_vmx(src->kvm);

	if (kvm_is_using_evmcs() || vmx_is_hypervisor(dst) || vmx_is_hypervisor(src) ||
	    vmx_has_facilities(dst) || vmx_has_facilities(src))
		return -EINVAL;

	/* Pages of KVM's own at these addresses, where the CPU has no real mode for guests. */
	if (d->tss_addr != s->tss_addr || d->ept_identity_map_addr != s->ept_identity_map_addr)
		return -EINVAL;

	if (memcmp(&to_vmx(dst)->nested.msrs, &to_vmx(src)->nested.msrs,
		   sizeof(to_vmx(src)->nested.msrs)))
		return -EINVAL;

	return 0;
}

/**
 * vmx_exit_insn_len() - how long is the instruction that the last exit came of?
 * @vcpu: loaded
 *
 * The last exit may have been that of a source. Not every CPU lets that field of the VMCS be
 * written.
 *
 * Context: vcpu->mutex is held.
 * Return: the length; 0 where the exit came of none.
 */
u32 vmx_exit_insn_len(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.last_vmentry_cpu == -1)
		return to_vmx(vcpu)->moved_insn_len;

	return vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
}

/**
 * vmx_vcpu_move_read() - have in memory what KVM reads from the VMCS when it is asked for
 * @src: the source's vCPU, loaded
 *
 * That is the registers, the length of the instruction whose exit is not completed, and
 * interrupts that were posted.
 *
 * Context: vcpu->mutex is held, the LAPIC's timer is stopped.
 */
void vmx_vcpu_move_read(struct kvm_vcpu *src)
{
	kvm_rip_read(src);
	kvm_rsp_read(src);
	kvm_read_cr0(src);
	kvm_read_cr3(src);
	kvm_read_cr4(src);
	vmx_get_rflags(src);
	if (is_pae_paging(src))
		kvm_pdptr_read(src, 0);
	to_vmx(src)->moved_insn_len = vmx_exit_insn_len(src);

	if (enable_apicv && lapic_in_kernel(src))
		vmx_sync_pir_to_irr(src);
}

/*
 * The guest's state in the VMCS, but for what others write: RIP, RSP, CR3 and the PDPTRs are
 * written at the next entry, as they are dirty; RFLAGS, DR7, CR0, CR4, EFER, PAT and TSC offset
 * by KVM's setters. An event that was to be injected is KVM's again after each KVM_RUN.
 */
static const unsigned long vmx_guest_fields[] = {
	GUEST_ES_SELECTOR, GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_ES_AR_BYTES,
	GUEST_CS_SELECTOR, GUEST_CS_BASE, GUEST_CS_LIMIT, GUEST_CS_AR_BYTES,
	GUEST_SS_SELECTOR, GUEST_SS_BASE, GUEST_SS_LIMIT, GUEST_SS_AR_BYTES,
	GUEST_DS_SELECTOR, GUEST_DS_BASE, GUEST_DS_LIMIT, GUEST_DS_AR_BYTES,
	GUEST_FS_SELECTOR, GUEST_FS_BASE, GUEST_FS_LIMIT, GUEST_FS_AR_BYTES,
	GUEST_GS_SELECTOR, GUEST_GS_BASE, GUEST_GS_LIMIT, GUEST_GS_AR_BYTES,
	GUEST_LDTR_SELECTOR, GUEST_LDTR_BASE, GUEST_LDTR_LIMIT, GUEST_LDTR_AR_BYTES,
	GUEST_TR_SELECTOR, GUEST_TR_BASE, GUEST_TR_LIMIT, GUEST_TR_AR_BYTES,
	GUEST_GDTR_BASE,
	GUEST_GDTR_LIMIT,
	GUEST_IDTR_BASE,
	GUEST_IDTR_LIMIT,
	GUEST_SYSENTER_CS,
	GUEST_SYSENTER_ESP,
	GUEST_SYSENTER_EIP,
	GUEST_INTERRUPTIBILITY_INFO,
	GUEST_ACTIVITY_STATE,
	GUEST_PENDING_DBG_EXCEPTIONS,
};

struct vmx_move_image {
	u64 fields[ARRAY_SIZE(vmx_guest_fields)];
	u64 debugctl;
	u64 bndcfgs;
};

static u64 vmx_move_read_field(unsigned long field)
{
	switch (vmcs_field_width(field)) {
	case VMCS_FIELD_WIDTH_U16:
		return vmcs_read16(field);
	case VMCS_FIELD_WIDTH_U64:
		return vmcs_read64(field);
	case VMCS_FIELD_WIDTH_U32:
		return vmcs_read32(field);
	default:
		return vmcs_readl(field);
	}
}

static void vmx_move_write_field(unsigned long field, u64 value)
{
	switch (vmcs_field_width(field)) {
	case VMCS_FIELD_WIDTH_U16:
		return vmcs_write16(field, value);
	case VMCS_FIELD_WIDTH_U64:
		return vmcs_write64(field, value);
	case VMCS_FIELD_WIDTH_U32:
		return vmcs_write32(field, value);
	default:
		return vmcs_writel(field, value);
	}
}

static void vmx_move_read_image(struct vmx_move_image *image)
{
	for (int i = 0; i < ARRAY_SIZE(vmx_guest_fields); i++)
		image->fields[i] = vmx_move_read_field(vmx_guest_fields[i]);
	image->debugctl = vmx_guest_debugctl_read();
	if (kvm_mpx_supported())
		image->bndcfgs = vmcs_read64(GUEST_BNDCFGS);
}

static void vmx_move_write_image(struct kvm_vcpu *dst, const struct vmx_move_image *image)
{
	for (int i = 0; i < ARRAY_SIZE(vmx_guest_fields); i++)
		vmx_move_write_field(vmx_guest_fields[i], image->fields[i]);
	vmx_guest_debugctl_write(dst, image->debugctl);
	if (kvm_mpx_supported())
		vmcs_write64(GUEST_BNDCFGS, image->bndcfgs);
}

/* Between the two no other VMCS may become the current one. */
static void vmx_move_vmcs(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct vmx_move_image image;
	int cpu = get_cpu();

	vmx_vcpu_load_vmcs(src, cpu, NULL);
	vmx_move_read_image(&image);
	vmx_vcpu_load_vmcs(dst, cpu, NULL);
	vmx_move_write_image(dst, &image);
	put_cpu();
}

/* What was cached of the destination's VMCS, or of the source's, is not in it any more. */
static void vmx_move_forget_cached(struct vcpu_vmx *d)
{
	struct kvm_vcpu *vcpu = &d->vcpu;

	d->segment_cache.bitmask = 0;
	__clear_bit(VCPU_EXREG_EXIT_INFO_1, (unsigned long *)&vcpu->arch.regs_avail);
	__clear_bit(VCPU_EXREG_EXIT_INFO_2, (unsigned long *)&vcpu->arch.regs_avail);
	__clear_bit(VCPU_EXREG_RFLAGS, (unsigned long *)&vcpu->arch.regs_avail);
}

/* Which of these the processor is to have while the guest runs, is derived from EFER. */
static void vmx_move_msrs(struct vcpu_vmx *d, const struct vcpu_vmx *s)
{
	for (int i = 0; i < ARRAY_SIZE(d->guest_uret_msrs); i++)
		d->guest_uret_msrs[i].data = s->guest_uret_msrs[i].data;
	d->msr_guest_kernel_gs_base = s->msr_guest_kernel_gs_base;
	d->spec_ctrl = s->spec_ctrl;
	d->msr_ia32_umwait_control = s->msr_ia32_umwait_control;
	d->msr_ia32_feature_control = s->msr_ia32_feature_control;
	memcpy(d->msr_ia32_sgxlepubkeyhash, s->msr_ia32_sgxlepubkeyhash,
	       sizeof(d->msr_ia32_sgxlepubkeyhash));
}

/* KVM_REQ_MSR_FILTER_CHANGED makes the bitmap of these and the destination's filter. */
static void vmx_move_msr_intercepts(struct vcpu_vmx *d, const struct vcpu_vmx *s)
{
	bitmap_copy(d->shadow_msr_intercept.read, s->shadow_msr_intercept.read,
		    MAX_POSSIBLE_PASSTHROUGH_MSRS);
	bitmap_copy(d->shadow_msr_intercept.write, s->shadow_msr_intercept.write,
		    MAX_POSSIBLE_PASSTHROUGH_MSRS);
}

/* Where the CPU has no virtual NMIs, KVM itself knows whether one is being handled. */
static void vmx_move_nmi_mask(struct loaded_vmcs *d, const struct loaded_vmcs *s)
{
	d->nmi_known_unmasked = s->nmi_known_unmasked;
	d->soft_vnmi_blocked = s->soft_vnmi_blocked;
	d->entry_time = s->entry_time;
	d->vnmi_blocked_time = s->vnmi_blocked_time;
}

/* KVM's copies of them have moved already: what the VMCS has is derived from these. */
static void vmx_move_derive_controls(struct kvm_vcpu *vcpu)
{
	if (vmcs_config.vmentry_ctrl & VM_ENTRY_LOAD_IA32_PAT)
		vmcs_write64(GUEST_IA32_PAT, vcpu->arch.pat);
	vmx_write_tsc_offset(vcpu);
	if (kvm_caps.has_tsc_control)
		vmx_write_tsc_multiplier(vcpu);
	vmx_set_efer(vcpu, vcpu->arch.efer);
	vmx_set_cr0(vcpu, vcpu->arch.cr0);
	vmx_set_cr4(vcpu, vcpu->arch.cr4);
}

/**
 * vmx_vcpu_move() - copy a vCPU's VMX state
 * @dst: the destination's vCPU, with what KVM itself keeps copied already
 * @src: the source's vCPU, after vmx_vcpu_move_read()
 *
 * Context: vcpu->mutex of both is held, @dst is loaded; kvm_init_mmu() is to
 * follow.
 */
void vmx_vcpu_move(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct vcpu_vmx *d = to_vmx(dst), *s = to_vmx(src);

	vmx_move_vmcs(dst, src);
	d->exit_reason = s->exit_reason;
	d->moved_insn_len = s->moved_insn_len;
	d->rmode = s->rmode;
	vmx_move_forget_cached(d);
	vmx_move_msrs(d, s);
	vmx_move_msr_intercepts(d, s);
	vmx_move_nmi_mask(d->loaded_vmcs, s->loaded_vmcs);
	vmx_move_derive_controls(dst);
}
