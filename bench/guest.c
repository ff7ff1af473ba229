// SPDX-License-Identifier: MIT
/*
 * A guest of five instructions: one write to each page of a range. It runs in
 * 32-bit protected mode with paging off, so that all that a touch costs beyond
 * the instructions themselves is the stage-2 fault.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

static const uint8_t guest_code[] = {
	0x89, 0x07,				/* touch: mov %eax, (%edi) */
	0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,	/* add $4096, %edi */
	0x39, 0xf7,				/* cmp %esi, %edi */
	0x72, 0xf4,				/* jb touch */
	0xf4,					/* hlt */
};

void add_guest_code(int vm)
{
	struct gmem_slot slot = { .size = PAGE, .private_fd = -1, .shared_fd = -1 };
	void *page;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		must(-errno, "memory for the guest's code");
	memcpy(page, guest_code, sizeof(guest_code));
	must(gmem_vm_set_memory(vm, &slot, page), "a slot for the guest's code");
}

void create_guest_vcpu(int vm, uint32_t id, struct gmem_vcpu *vcpu)
{
	struct kvm_segment flat = {
		.limit = UINT32_MAX, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	must(gmem_vcpu_create(kvm_fd(), vm, id, vcpu), "create a vCPU");
	must(gmem_vcpu_use_host_cpuid(vcpu), "set CPUID");
	must(gmem_vcpu_get_sregs(vcpu, &sregs), "get sregs");
	flat.type = 3;		/* data, writable, accessed */
	flat.selector = 16;
	sregs.ds = flat;
	sregs.es = flat;
	sregs.fs = flat;
	sregs.gs = flat;
	sregs.ss = flat;
	flat.type = 11;		/* code, readable, accessed */
	flat.selector = 8;
	sregs.cs = flat;
	sregs.cr0 |= 1;		/* protected mode */
	must(gmem_vcpu_set_sregs(vcpu, &sregs), "set sregs");
}

void set_guest_range(struct gmem_vcpu *vcpu, uint64_t gpa, uint64_t end)
{
	struct kvm_regs regs = {
		.rip = 0, .rflags = 2, .rax = 1, .rdi = gpa, .rsi = end,
	};

	must(gmem_vcpu_set_regs(vcpu, &regs), "set registers");
}

void run_guest(struct gmem_vcpu *vcpu)
{
	int ret;

	do {
		ret = gmem_vcpu_run(vcpu);
	} while (ret == -EINTR || ret == -EAGAIN);
	must(ret, "run the guest");
	if (vcpu->run->exit_reason == KVM_EXIT_HLT)
		return;
	fprintf(stderr, "bench: run the guest: it left with exit reason %u\n",
		vcpu->run->exit_reason);
	exit(1);
}

void prefault(struct gmem_vcpu *vcpu, uint64_t gpa, uint64_t size)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size };

	/* It moves the range's start on, also when a signal came between. */
	while (range.size) {
		if (ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, &range) < 0 &&
		    errno != EINTR && errno != EAGAIN)
			must(-errno, "prefault");
	}
}
