/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What KVM's SEV code asks of the CPU, answered for the lab's emulated CPU,
 * which has no SEV, and of the PSP, answered by softpsp. Included ahead of
 * everything else in one object, svm/sev.o of the lab's build of kvm-amd
 * (lab/softpsp/Makefile); no kvm-amd.ko that a user installs is built with it.
 *
 * All other objects see the CPU as it is. That matters for NRIP save, decode
 * assists, flushing by ASID and LBR virtualization, which sev_hardware_setup()
 * insists on: svm.c would take next_rip, exit_info_1 and the guest's
 * instruction bytes from a VMCB where the emulated CPU never wrote them, and
 * ordinary guests would break.
 */
#ifndef SOFTPSP_CPU_OVERRIDE_H
#define SOFTPSP_CPU_OVERRIDE_H

/* As in KVM's files: the headers below ask for it before KVM has said it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/cpuid.h>
#include <asm/processor.h>

#include "cache.h"
#include "cpu.h"
#include "names.h"

#define SOFTPSP_CPUID_SEV	0x8000001f

static __always_inline bool softpsp_cpu_has(unsigned int feature)
{
	switch (feature) {
	case X86_FEATURE_SEV:
	case X86_FEATURE_SEV_ES:
	case X86_FEATURE_DECODEASSISTS:
	case X86_FEATURE_FLUSHBYASID:
	case X86_FEATURE_LBRV:
		return true;
	default:
		return cpu_has(&boot_cpu_data, feature);
	}
}

#undef boot_cpu_has
#define boot_cpu_has(bit)	softpsp_cpu_has(bit)

static inline void softpsp_cpuid(unsigned int op, unsigned int *eax,
				 unsigned int *ebx, unsigned int *ecx,
				 unsigned int *edx)
{
	if (op != SOFTPSP_CPUID_SEV) {
		cpuid(op, eax, ebx, ecx, edx);
		return;
	}
	*eax = BIT(X86_FEATURE_SEV & 31) | BIT(X86_FEATURE_SEV_ES & 31);
	*ebx = SOFTPSP_C_BIT;
	*ecx = SOFTPSP_MAX_SEV_ASID;
	*edx = SOFTPSP_MIN_SEV_ASID;
}

#define cpuid(op, eax, ebx, ecx, edx)	softpsp_cpuid(op, eax, ebx, ecx, edx)

/*
 * The variables of these names in svm.c say what the CPU has, and stay false.
 * svm.h's declarations of them turn into ones of the two below.
 */
static int softpsp_nrips __maybe_unused = true;
static int softpsp_lbrv __maybe_unused = true;

/* Counted, so that tests see where KVM flushes. */
#define wbinvd_on_all_cpus()	softpsp_wbinvd_on_all_cpus()

#define nrips			softpsp_nrips
#define lbrv			softpsp_lbrv

#endif /* SOFTPSP_CPU_OVERRIDE_H */
