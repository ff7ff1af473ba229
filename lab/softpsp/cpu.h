/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The CPU that the lab pretends to have, as far as SEV is concerned. The
 * firmware (softpsp.ko) and the lab's build of kvm-amd (cpu_override.h,
 * entry_override.h) must believe in the same one.
 */
#ifndef SOFTPSP_CPU_H
#define SOFTPSP_CPU_H

/*
 * ASIDs: 1 to MIN_SEV_ASID - 1 are for SEV-ES guests, MIN_SEV_ASID to
 * MAX_SEV_ASID for SEV guests, those above for guests of no encryption. There
 * are few enough of the first kind for a test to run out of them, so that KVM
 * recycles them. Of the second there are many, since moving a mirror VM, as
 * upstream's sev_migrate_tests does twice, leaves one charged to the misc
 * cgroup for good. The emulated CPU has 16 ASIDs in all and looks at none but
 * 0, which is the host's.
 */
#define SOFTPSP_MIN_SEV_ASID	64
#define SOFTPSP_MAX_SEV_ASID	319
#define SOFTPSP_NR_ASIDS	512

/* The bit of a physical address that says "encrypted": Zen 3's. */
#define SOFTPSP_C_BIT		51

#endif /* SOFTPSP_CPU_H */
