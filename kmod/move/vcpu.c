// SPDX-License-Identifier: GPL-2.0-only
/*
 * One vCPU: registers, FPU, MSRs, events, as far as they are KVM's own and not
 * the vendor's.
 */
#include <linux/kvm_host.h>

#include "cpuid.h"
#include "kvm_cache_regs.h"
#include "lapic.h"
#include "mmu.h"
#include "pmu.h"
#include "x86.h"

#include "vcpus.h"

/* They count if regs_avail says so; otherwise they are read again when needed. */
static void kvm_move_copy_pdptrs(struct kvm_vcpu_arch *d, const struct kvm_vcpu_arch *s)
{
	memcpy(d->root_mmu.pdptrs, s->root_mmu.pdptrs, sizeof(d->root_mmu.pdptrs));
	memcpy(d->guest_mmu.pdptrs, s->guest_mmu.pdptrs, sizeof(d->guest_mmu.pdptrs));
	memcpy(d->nested_mmu.pdptrs, s->nested_mmu.pdptrs, sizeof(d->nested_mmu.pdptrs));
	d->pdptrs_from_userspace = s->pdptrs_from_userspace;
}

/* All general registers are in memory while a vCPU is not running. */
static void kvm_move_copy_regs(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_arch *d = &dst->arch, *s = &src->arch;

	memcpy(d->regs, s->regs, sizeof(d->regs));
	d->regs_avail = s->regs_avail;
	d->regs_dirty = ~0;

	d->cr0 = s->cr0;
	d->cr2 = s->cr2;
	d->cr3 = s->cr3;
	d->cr4 = s->cr4;
	d->cr8 = s->cr8;
	d->efer = s->efer;
	d->hflags = s->hflags;
	d->pkru = s->pkru;
	d->xcr0 = s->xcr0;
	d->ia32_xss = s->ia32_xss;
	kvm_move_copy_pdptrs(d, s);
	kvm_update_cpuid_runtime(dst);
}

/* A debugger's own breakpoints in the destination stay. */
static void kvm_move_copy_debug_regs(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	for (int i = 0; i < KVM_NR_DB_REGS; i++)
		kvm_set_dr(dst, i, src->arch.db[i]);
	dst->arch.dr6 = src->arch.dr6;
	dst->arch.dr7 = src->arch.dr7;
}

/**
 * kvm_move_copy_rflags() - RFLAGS as the guest has them, TF as the destination wants it
 * @dst: the destination's vCPU, its other registers and the vendor's part copied
 * @src: the source's vCPU
 *
 * A debugger that steps through the source has set TF there, which is not the
 * guest's; one that is to step through the destination has not, since nothing
 * that was there has moved.
 *
 * Context: see vcpus.h; @dst is loaded.
 */
void kvm_move_copy_rflags(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	if (dst->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		dst->arch.singlestep_rip = kvm_get_linear_rip(dst);
	kvm_set_rflags(dst, kvm_get_rflags(src));
}

/* kvm_put_guest_fpu() has left it in memory; the sizes are known to be equal. */
static void kvm_move_copy_fpu(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct fpu_guest *d = &dst->arch.guest_fpu, *s = &src->arch.guest_fpu;

	memcpy(&d->fpstate->regs, &s->fpstate->regs, s->fpstate->size);
	d->xfd_err = s->xfd_err;
	dst->arch.xfd_no_write_intercept = src->arch.xfd_no_write_intercept;
	fpu_update_guest_xfd(d, s->fpstate->xfd);
}

static void kvm_move_copy_mce(struct kvm_vcpu_arch *d, const struct kvm_vcpu_arch *s)
{
	unsigned int banks = s->mcg_cap & 0xff;

	d->mcg_status = s->mcg_status;
	d->mcg_ctl = s->mcg_ctl;
	d->mcg_ext_ctl = s->mcg_ext_ctl;
	memcpy(d->mce_banks, s->mce_banks, array3_size(banks, 4, sizeof(u64)));
	memcpy(d->mci_ctl2_banks, s->mci_ctl2_banks, array_size(banks, sizeof(u64)));
}

static void kvm_move_copy_msrs(struct kvm_vcpu_arch *d, const struct kvm_vcpu_arch *s)
{
	d->ia32_misc_enable_msr = s->ia32_misc_enable_msr;
	d->smbase = s->smbase;
	d->smi_count = s->smi_count;
	d->microcode_version = s->microcode_version;
	d->arch_capabilities = s->arch_capabilities;
	d->perf_capabilities = s->perf_capabilities;
	d->msr_ia32_power_ctl = s->msr_ia32_power_ctl;
	d->msr_platform_info = s->msr_platform_info;
	d->msr_misc_features_enables = s->msr_misc_features_enables;
	d->msr_kvm_poll_control = s->msr_kvm_poll_control;
	d->msr_hwcr = s->msr_hwcr;
	d->mtrr_state = s->mtrr_state;
	d->pat = s->pat;
	d->osvw.length = s->osvw.length;
	d->osvw.status = s->osvw.status;
	kvm_move_copy_mce(d, s);
}

static void kvm_move_copy_pmc(struct kvm_pmc *d, struct kvm_pmc *s)
{
	d->counter = pmc_read_counter(s);
	d->emulated_counter = 0;
	d->eventsel = s->eventsel;
}

/* The host's counters that stand behind them are programmed at the next run. */
static void kvm_move_copy_pmu(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_pmu *d = vcpu_to_pmu(dst), *s = vcpu_to_pmu(src);

	if (!s->version)
		return;

	d->fixed_ctr_ctrl = s->fixed_ctr_ctrl;
	d->global_ctrl = s->global_ctrl;
	d->global_status = s->global_status;
	d->ds_area = s->ds_area;
	d->pebs_enable = s->pebs_enable;
	d->pebs_data_cfg = s->pebs_data_cfg;
	for (int i = 0; i < s->nr_arch_gp_counters; i++)
		kvm_move_copy_pmc(&d->gp_counters[i], &s->gp_counters[i]);
	for (int i = 0; i < s->nr_arch_fixed_counters; i++)
		kvm_move_copy_pmc(&d->fixed_counters[i], &s->fixed_counters[i]);

	bitmap_copy(d->reprogram_pmi, d->all_valid_pmc_idx, X86_PMC_IDX_MAX);
	kvm_make_request(KVM_REQ_PMU, dst);
}

static void kvm_move_copy_events(struct kvm_vcpu_arch *d, const struct kvm_vcpu_arch *s)
{
	d->exception = s->exception;
	d->exception_vmexit = s->exception_vmexit;
	d->exception_from_userspace = s->exception_from_userspace;
	d->interrupt = s->interrupt;
	d->event_exit_inst_len = s->event_exit_inst_len;
	d->halt_request = s->halt_request;
	d->pending_external_vector = s->pending_external_vector;
	/* Whether that EOI leaves to userspace is asked of the vectors before they are derived. */
	d->pending_ioapic_eoi = s->pending_ioapic_eoi;
	bitmap_copy(d->ioapic_handled_vectors, s->ioapic_handled_vectors, 256);

	atomic_set(&d->nmi_queued, atomic_read(&s->nmi_queued));
	d->nmi_pending = s->nmi_pending;
	d->nmi_injected = s->nmi_injected;
	d->smi_pending = s->smi_pending;

	d->mp_state = s->mp_state;
	d->pv.pv_unhalted = s->pv.pv_unhalted;
}

/*
 * What the source was asked to do and had not come to. The rest of KVM's
 * requests is about structures that are each VM's own.
 */
static void kvm_move_copy_requests(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	const int requests[] = {
		KVM_REQ_TRIPLE_FAULT, KVM_REQ_REPORT_TPR_ACCESS, KVM_REQ_NMI, KVM_REQ_SMI,
		KVM_REQ_PMI, KVM_REQ_APF_READY, KVM_REQ_IOAPIC_EOI_EXIT,
	};

	for (int i = 0; i < ARRAY_SIZE(requests); i++) {
		if (kvm_test_request(requests[i], src))
			__kvm_make_request(requests[i], dst);
	}

	/* What follows from new state: injection, paging, filters, EOI maps. */
	kvm_make_request(KVM_REQ_EVENT, dst);
	kvm_make_request(KVM_REQ_TLB_FLUSH, dst);
	kvm_make_request(KVM_REQ_MSR_FILTER_CHANGED, dst);
	if (lapic_in_kernel(dst)) {
		kvm_make_request(KVM_REQ_SCAN_IOAPIC, dst);
		kvm_make_request(KVM_REQ_APICV_UPDATE, dst);
	}
	if (is_guest_mode(src))
		kvm_make_request(KVM_REQ_GET_NESTED_STATE_PAGES, dst);
}

/**
 * kvm_move_copy_vcpu() - copy what KVM itself keeps of a vCPU's state
 * @dst: the destination's vCPU, loaded, its page tables unloaded
 * @src: the source's vCPU
 *
 * Context: see vcpus.h. The vendor's part and kvm_init_mmu() are to follow.
 */
void kvm_move_copy_vcpu(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	/* And its mutex, of which lockdep knows for a first vCPU only. */
	lockdep_assert_held(&dst->kvm->lock);

	kvm_move_copy_regs(dst, src);
	kvm_move_copy_debug_regs(dst, src);
	kvm_move_copy_fpu(dst, src);
	kvm_move_copy_msrs(&dst->arch, &src->arch);
	kvm_move_copy_pmu(dst, src);
	/* Where the guest's WBINVD has something to write back. */
	cpumask_or(dst->arch.wbinvd_dirty_mask, dst->arch.wbinvd_dirty_mask,
		   src->arch.wbinvd_dirty_mask);
	kvm_move_copy_events(&dst->arch, &src->arch);
	kvm_move_copy_requests(dst, src);
	vcpu_clear_mmio_info(dst, MMIO_GVA_ANY);
}

/**
 * kvm_move_copy_protected() - copy what KVM tracks of a vCPU with encrypted registers
 * @dst: the destination's vCPU, loaded
 * @src: the source's vCPU
 *
 * That is the registers that the guest has shown or is to be given in an exit,
 * the control registers whose writes KVM is notified of, and the exit itself. No
 * ioctl reads or sets these; the rest of the state is userspace's to move.
 *
 * Context: kvm->lock and vcpu->mutex of both are held. kvm_move_derive_mmu() is to
 * follow.
 */
void kvm_move_copy_protected(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_arch *d = &dst->arch, *s = &src->arch;

	lockdep_assert_held(&dst->kvm->lock);

	/* While it still knows which kind of page tables they are. */
	kvm_mmu_unload(dst);

	memcpy(d->regs, s->regs, sizeof(d->regs));
	d->regs_avail = s->regs_avail;
	d->cr0 = s->cr0;
	d->cr4 = s->cr4;
	d->efer = s->efer;
	d->xcr0 = s->xcr0;
	kvm_update_cpuid_runtime(dst);

	d->sev_pio_data = s->sev_pio_data;
	d->sev_pio_count = s->sev_pio_count;
	kvm_move_copy_exit(dst, src);
}
EXPORT_SYMBOL_GPL(kvm_move_copy_protected);

/**
 * kvm_move_derive_mmu() - set up a vCPU's MMU again
 * @vcpu: loaded; has not run
 *
 * For what KVM derives from CPUID and from the VM's type.
 *
 * Context: vcpu->mutex is held.
 */
void kvm_move_derive_mmu(struct kvm_vcpu *vcpu)
{
	kvm_mmu_after_set_cpuid(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_move_derive_mmu);
