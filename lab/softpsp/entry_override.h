/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the lab's build of kvm-amd enters guests on a CPU that only pretends to
 * have SEV. Included ahead of everything else in one object, svm/svm.o of that
 * build (lab/softpsp/Makefile); no kvm-amd.ko that a user installs is built
 * with it.
 */
#ifndef SOFTPSP_ENTRY_OVERRIDE_H
#define SOFTPSP_ENTRY_OVERRIDE_H

/* As in KVM's files: the headers below ask for it before KVM has said it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <asm/cpuid.h>
#include <asm/svm.h>

#include "svm/svm.h"

#include "cpu.h"
#include "entry.h"
#include "softpsp_ioctl.h"

/* Leaves ordinary guests ASIDs of their own, above those of encrypted ones. */
static inline unsigned int softpsp_cpuid_ebx(unsigned int op)
{
	return op == SVM_CPUID_FUNC ? SOFTPSP_NR_ASIDS : cpuid_ebx(op);
}

#define cpuid_ebx(op)		softpsp_cpuid_ebx(op)

/* Of the bitmap of MSRs that the guest may touch. */
static inline u64 softpsp_checksum(const u32 *words)
{
	u64 sum = 0;

	for (int i = 0; i < 2 * PAGE_SIZE / sizeof(*words); i++)
		sum = sum * 31 + words[i];
	return sum;
}

/*
 * VMRUN of an SEV-ES guest takes the registers from the encrypted save area
 * and gives the host's back from another one at #VMEXIT. The emulated CPU does
 * neither: KVM would go on with whatever the guest left in the host's
 * registers. So the guest does what a test has ordered, or the entry fails as one
 * with an invalid VMCB does: userspace sees KVM_EXIT_FAIL_ENTRY.
 */
static inline void softpsp_enter_sev_es(struct vcpu_svm *svm,
					bool spec_ctrl_intercepted,
					struct sev_es_save_area *hostsa)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct softpsp_entry exit, now = {
		.asid = control->asid,
		.vcpu = svm->vcpu.vcpu_id,
		.ghcb = control->ghcb_gpa,
		.vmsa = control->vmsa_pa,
		.nested_ctl = control->nested_ctl,
		.virt_ext = control->virt_ext,
		.msrpm = softpsp_checksum(svm->msrpm),
	};

	BUILD_BUG_ON(sizeof(now.intercepts) != sizeof(control->intercepts));
	memcpy(now.intercepts, control->intercepts, sizeof(now.intercepts));

	if (!softpsp_enter(control->asid, svm->vcpu.vcpu_id, &now, &exit)) {
		control->exit_code = SVM_EXIT_ERR;
		control->exit_code_hi = SVM_EXIT_ERR;
		return;
	}
	control->exit_code = lower_32_bits(exit.exit_code);
	control->exit_code_hi = upper_32_bits(exit.exit_code);
	control->exit_info_1 = exit.exit_info_1;
	control->exit_info_2 = 0;
	if (exit.exit_ghcb)
		control->ghcb_gpa = exit.exit_ghcb;
}

#define __svm_sev_es_vcpu_run(svm, spec_ctrl_intercepted, hostsa)	\
	softpsp_enter_sev_es(svm, spec_ctrl_intercepted, hostsa)

#endif /* SOFTPSP_ENTRY_OVERRIDE_H */
