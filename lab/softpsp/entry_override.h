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

/* Leaves ordinary guests ASIDs of their own, above those of encrypted ones. */
static inline unsigned int softpsp_cpuid_ebx(unsigned int op)
{
	return op == SVM_CPUID_FUNC ? SOFTPSP_NR_ASIDS : cpuid_ebx(op);
}

#define cpuid_ebx(op)		softpsp_cpuid_ebx(op)

/*
 * VMRUN of an SEV-ES guest takes the registers from the encrypted save area
 * and gives the host's back from another one at #VMEXIT. The emulated CPU does
 * neither: KVM would go on with whatever the guest left in the host's
 * registers. So the entry fails as one with an invalid VMCB does: userspace
 * sees KVM_EXIT_FAIL_ENTRY.
 */
static __always_inline void softpsp_refuse_sev_es(struct vcpu_svm *svm,
						  bool spec_ctrl_intercepted,
						  struct sev_es_save_area *hostsa)
{
	svm->vmcb->control.exit_code = SVM_EXIT_ERR;
	svm->vmcb->control.exit_code_hi = SVM_EXIT_ERR;
}

#define __svm_sev_es_vcpu_run(svm, spec_ctrl_intercepted, hostsa)	\
	softpsp_refuse_sev_es(svm, spec_ctrl_intercepted, hostsa)

#endif /* SOFTPSP_ENTRY_OVERRIDE_H */
