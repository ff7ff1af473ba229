/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * softpsp's mailbox from userspace: commands as the firmware takes them,
 * straight, without KVM. The structures are those of the SEV API specification.
 */
#ifndef GMEM_TESTS_SEV_FIRMWARE_H
#define GMEM_TESTS_SEV_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/psp-sev.h>

#include "../../lab/softpsp/softpsp_ioctl.h"

/* Commands, with the names of the specification. */
enum {
	FW_INIT			= 0x001,
	FW_SHUTDOWN		= 0x002,
	FW_PLATFORM_STATUS	= 0x004,
	FW_DF_FLUSH		= 0x00a,
	FW_GET_ID		= 0x00c,
	FW_DECOMMISSION		= 0x020,
	FW_ACTIVATE		= 0x021,
	FW_DEACTIVATE		= 0x022,
	FW_GUEST_STATUS		= 0x023,
	FW_LAUNCH_START		= 0x030,
	FW_LAUNCH_UPDATE_DATA	= 0x031,
	FW_LAUNCH_UPDATE_VMSA	= 0x032,
	FW_LAUNCH_MEASURE	= 0x033,
	FW_LAUNCH_SECRET	= 0x034,
	FW_LAUNCH_FINISH	= 0x035,
	FW_SEND_START		= 0x040,
	FW_DBG_DECRYPT		= 0x060,
	FW_DBG_ENCRYPT		= 0x061,
};

/* States of the platform and of a guest. */
enum { PSTATE_UNINIT, PSTATE_INIT, PSTATE_WORKING };
enum { GSTATE_UNINIT, GSTATE_LUPDATE, GSTATE_LSECRET, GSTATE_RUNNING };

/* Policy of a guest. */
enum { NODBG = 1 << 0, NOKS = 1 << 1, ES = 1 << 2 };

/* ASIDs of the lab's CPU: SEV-ES guests have those from 1 to MIN_SEV_ASID - 1. */
enum { MIN_SEV_ASID = 64, MAX_SEV_ASID = 319 };

struct fw_init {
	uint32_t flags;
	uint32_t reserved;
	uint64_t tmr_address;
	uint32_t tmr_len;
} __attribute__((packed));

struct fw_get_id {
	uint64_t address;
	uint32_t len;
} __attribute__((packed));

struct fw_guest_status {
	uint32_t handle;
	uint32_t policy;
	uint32_t asid;
	uint8_t state;
} __attribute__((packed));

struct fw_launch_start {
	uint32_t handle;
	uint32_t policy;
	uint64_t dh_cert_address;
	uint32_t dh_cert_len;
	uint32_t reserved;
	uint64_t session_address;
	uint32_t session_len;
} __attribute__((packed));

/* LAUNCH_UPDATE_DATA, LAUNCH_UPDATE_VMSA and LAUNCH_MEASURE. */
struct fw_memory {
	uint32_t handle;
	uint32_t reserved;
	uint64_t address;
	uint32_t len;
} __attribute__((packed));

struct fw_launch_secret {
	uint32_t handle;
	uint32_t reserved1;
	uint64_t hdr_address;
	uint32_t hdr_len;
	uint32_t reserved2;
	uint64_t guest_address;
	uint32_t guest_len;
	uint32_t reserved3;
	uint64_t trans_address;
	uint32_t trans_len;
} __attribute__((packed));

struct fw_dbg {
	uint32_t handle;
	uint32_t reserved;
	uint64_t src_address;
	uint64_t dst_address;
	uint32_t len;
} __attribute__((packed));

/* Opens /dev/sev; skips the claim where it is not softpsp's. */
int open_sev(void);

/* Gives the firmware a command and returns what it said, an SEV_RET_... */
unsigned int fw_command(int id, void *buffer, size_t size);
#define fw(id, buffer)						\
({								\
	__typeof__(buffer) buffer_ = (buffer);			\
								\
	fw_command(id, buffer_, sizeof(*buffer_));		\
})

/* As fw_command(), with what the ioctl itself returned: 0 or -errno. */
int fw_try(int id, void *buffer, size_t size, unsigned int *said);

/* The same for commands of a guest that have no other argument, and ACTIVATE. */
unsigned int fw_guest(int id, uint32_t handle);
unsigned int fw_activate(uint32_t handle, uint32_t asid);

/* The platform as INIT leaves it, with no guests and all ASIDs flushed. */
void fw_restart(void);
struct sev_user_data_status fw_platform(void);

/* LAUNCH_START without an owner: the new handle. */
uint32_t fw_launch(uint32_t policy);
struct fw_guest_status fw_status(uint32_t handle);

/*
 * The last entry of an SEV-ES vCPU, which did not come about. What the guest does
 * when it is entered next: it leaves with @exit_code; 0: with a failure.
 */
struct softpsp_entry fw_entry(uint32_t asid, uint32_t vcpu);
void fw_exit(uint32_t asid, uint32_t vcpu, uint64_t exit_code, uint64_t info, uint64_t ghcb);

/* How often KVM has flushed the caches of all CPUs for encrypted guests. */
uint64_t fw_flushes(void);

/* A page that stays where it is, and its physical address. */
void *page_alloc(void);
uint64_t physical(const void *address);

#endif /* GMEM_TESTS_SEV_FIRMWARE_H */
