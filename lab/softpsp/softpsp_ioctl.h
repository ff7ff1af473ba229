/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What softpsp's /dev/sev has beyond that of a real PSP: a command as the
 * firmware's mailbox takes it, so that tests can give those that the PSP
 * driver keeps for KVM, in an order in which KVM never would.
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

#endif /* SOFTPSP_IOCTL_H */
