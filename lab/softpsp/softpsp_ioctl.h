/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What softpsp's /dev/sev has beyond that of a real PSP: a command as the
 * firmware's mailbox takes it, so that tests can give those that the PSP
 * driver keeps for KVM, in an order in which KVM never would; and what KVM has
 * asked of the CPU.
 */
#ifndef SOFTPSP_IOCTL_H
#define SOFTPSP_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct softpsp_command - argument of SOFTPSP_COMMAND
 * @id:       the command, an enum sev_cmd
 * @error:    out: what the firmware said, a sev_ret_code
 * @buffer:   user address of the command's buffer, 0 for a command without one
 * @size:     size of that buffer, exactly the command's
 * @reserved: zero
 *
 * The ioctl returns 0 once the firmware has had the command, whatever it said.
 * Addresses in the buffer are physical ones: that takes CAP_SYS_RAWIO.
 */
struct softpsp_command {
	__u32 id;
	__u32 error;
	__u64 buffer;
	__u32 size;
	__u32 reserved;
};

/* The ioctl type is that of SEV_ISSUE_CMD. */
#define SOFTPSP_COMMAND		_IOWR('S', 0x50, struct softpsp_command)

/* How often KVM's SEV code has flushed the caches of all CPUs. */
#define SOFTPSP_FLUSHES		_IOR('S', 0x51, __u64)

/**
 * struct softpsp_entry - an entry of an SEV-ES vCPU, and the exit after it
 * @asid:        the guest's ASID
 * @vcpu:        the vCPU's id
 * @ghcb:        what the guest reads in the GHCB MSR
 * @vmsa:        physical address of its encrypted registers
 * @nested_ctl:  the VMCB's control for nested paging, SEV and SEV-ES
 * @virt_ext:    that for LBR virtualization
 * @intercepts:  its intercepts
 * @msrpm:       a checksum of which MSRs it may touch
 * @exit_code:   what the guest is to do next, an SVM_EXIT_..., once; 0: the
 *               entry fails
 * @exit_info_1: goes with it
 * @exit_ghcb:   what it has written to the GHCB MSR before, 0: nothing
 */
struct softpsp_entry {
	__u32 asid;
	__u32 vcpu;
	__u64 ghcb;
	__u64 vmsa;
	__u64 nested_ctl;
	__u64 virt_ext;
	__u32 intercepts[6];
	__u64 msrpm;
	__u64 exit_code;
	__u64 exit_info_1;
	__u64 exit_ghcb;
};

/* In: @asid, @vcpu, and the exit. Out: the last entry. */
#define SOFTPSP_ENTRY		_IOWR('S', 0x52, struct softpsp_entry)

#endif /* SOFTPSP_IOCTL_H */
