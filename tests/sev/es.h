/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV-ES vCPUs whose guest does what a test says: softpsp makes it leave with the given exit, and
 * the test fills the guest-hypervisor communication block (GHCB) as the guest would.
 */
#ifndef GMEM_TESTS_SEV_ES_H
#define GMEM_TESTS_SEV_ES_H

#include "vm.h"

#define ES_VCPUS	2
#define ES_GHCB		0x2000	/* guest physical address of vCPU 0's, vCPU 1's follows */
#define ES_SCRATCH	0x2800	/* the buffer in it */
#define ES_MMIO		0x100000	/* where there is no memory */

/* Exit codes: the CPU's and those of the GHCB's protocol. */
enum {
	EXIT_CPUID		= 0x72,
	EXIT_IOIO		= 0x7b,
	EXIT_CR4_WRITE_TRAP	= 0x94,
	EXIT_VMGEXIT		= 0x403,
};

#define EXIT_MMIO_READ		0x80000001ULL
#define EXIT_AP_JUMP_TABLE	0x80000005ULL

/* exit_info_1 of EXIT_IOIO, for single bytes. */
#define IOIO_IN(port)		((uint64_t)(port) << 16 | 1 << 4 | 1)
#define IOIO_INS(port)		(IOIO_IN(port) | 1 << 2)

/**
 * struct es_guest - a VM of SEV-ES
 * @vm: the VM
 * @vcpu: by id; 0: there is none
 * @run: their run pages
 * @asid: the guest's
 */
struct es_guest {
	struct vm vm;
	int vcpu[ES_VCPUS];
	struct kvm_run *run[ES_VCPUS];
	uint32_t asid;
};

/* Two vCPUs, the first of which has id @first. The memory is a guest memory inode. */
void es_create(struct es_guest *g, int first);
/* Make a VM that it can be moved to, likewise. The vCPUs have no CPUID yet. */
void es_create_destination(struct es_guest *dst, const struct es_guest *src, int first);
void es_move(struct es_guest *dst, struct es_guest *src);

/* The CPUID that KVM supports, with the bit of encryption. */
void es_set_cpuid(int vcpu);

/* The guest fills its GHCB and is about to leave by it. */
void es_ask(struct es_guest *g, int id, uint64_t code, uint64_t info1, uint64_t info2);
/* Registers of the GHCB, by their offsets there. */
enum { GHCB_RAX = 0x1f8, GHCB_RCX = 0x308, GHCB_INFO2 = 0x3a0, GHCB_SCRATCH = 0x3a8 };
void es_put(struct es_guest *g, int id, unsigned int reg, uint64_t value);
uint64_t es_get(struct es_guest *g, int id, unsigned int reg);

/* KVM_RUN up to an exit that is for userspace. */
void es_run(struct es_guest *g, int id, unsigned int reason);

#endif /* GMEM_TESTS_SEV_ES_H */
