// SPDX-License-Identifier: GPL-2.0-only
/*
 * State that depends on a VM being an SEV VM: a VM that became one by a move
 * behaves as if it had been one from the beginning. And which processes may
 * give it commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "es.h"
#include "expect.h"
#include "firmware.h"
#include "pair.h"

#define C_BIT		51

/* A page table at an encrypted address, which KVM takes for no address else. */
static int set_encrypted_cr3(int vcpu)
{
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cr0 = 0x80000001;
	sregs.cr4 = 1 << 5;
	sregs.efer = 1 << 8 | 1 << 10;
	sregs.cr3 = 1ULL << C_BIT | VM_PAGE;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

static void c_bit(void)
{
	for (int gmem = 0; gmem < 2; gmem++) {
		for (int after = 0; after < 2; after++) {
			struct pair p;

			pair_create(&p, gmem ? PAIR_GMEM : 0, 1);
			if (!after) {
				es_set_cpuid(p.vcpu[1]);
				/* It is not an SEV VM yet. */
				EXPECT_EQ(set_encrypted_cr3(p.vcpu[1]), -EINVAL);
			}
			EXPECT_EQ(vm_try_move(&p.dst, &p.src), 0);
			if (after)
				es_set_cpuid(p.vcpu[1]);
			EXPECT_EQ(set_encrypted_cr3(p.vcpu[1]), 0);
		}
	}
}

/* The source's number is another file, as in a process that was given the VM's fd. */
static void lose_device(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	EXPECT(null >= 0);
	EXPECT_EQ(dup2(null, fd), fd);
	close(null);
}

static void expect_status(struct vm *vm, uint32_t handle)
{
	struct kvm_sev_guest_status status;

	EXPECT_EQ(vm_sev(vm, KVM_SEV_GUEST_STATUS, &status), SEV_RET_SUCCESS);
	EXPECT_EQ(status.handle, handle);
}

static void move_here(struct pair *p, int kind)
{
	lose_device(p->src.sev);
	vm_create_destination(&p->dst, &p->src, kind & PAIR_ES);
	p->run[1] = vm_add_vcpu(&p->dst, &p->vcpu[1]);
	pair_add_logged_slot(&p->dst);
	EXPECT_EQ(vm_try_move(&p->dst, &p->src), 0);
	expect_status(&p->dst, p->handle);
	/* It is not this one's, either. */
	lose_device(p->dst.sev);
	expect_status(&p->dst, p->handle);
}

static void mirror_here(struct pair *p, int kind)
{
	struct vm mirror;

	lose_device(p->src.sev);
	vm_create_bare(&mirror, kind & PAIR_ES);
	EXPECT_EQ(vm_try_mirror(&mirror, &p->src), 0);
	expect_status(&mirror, p->handle);
}

static void in_another_process(void (*test)(struct pair *p, int kind))
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct pair p;
		int status;
		pid_t pid;

		pair_create_source(&p, kind);
		fflush(stdout);
		pid = fork();
		EXPECT(pid >= 0);
		if (!pid) {
			test(&p, kind);
			exit(0);
		}
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
	}
}

static void other_process(void)
{
	in_another_process(move_here);
}

static void mirror_in_other_process(void)
{
	in_another_process(mirror_here);
}

static void fpu(void)
{
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct pair p;

	pair_create(&p, PAIR_ES, 1);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(ioctl(p.vcpu[i], KVM_GET_FPU, &fpu), -1);
		EXPECT_EQ(errno, EINVAL);
		EXPECT_EQ(ioctl(p.vcpu[i], KVM_GET_XSAVE, &xsave), -1);
		EXPECT_EQ(errno, EINVAL);
		if (!i)
			EXPECT_EQ(vm_try_move(&p.dst, &p.src), 0);
	}
}

static void expect_same_entry(const struct softpsp_entry *got, const struct softpsp_entry *want)
{
	EXPECT_EQ(got->ghcb, want->ghcb);
	EXPECT_EQ(got->vmsa, want->vmsa);
	EXPECT_EQ(got->nested_ctl, want->nested_ctl);
	EXPECT_EQ(got->virt_ext, want->virt_ext);
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(got->intercepts[i], want->intercepts[i]);
	EXPECT_EQ(got->msrpm, want->msrpm);
}

/* Whatever the vCPUs' order, and whenever they have got their CPUID. */
static void entry(void)
{
	for (int variant = 0; variant < 4; variant++) {
		struct softpsp_entry before[ES_VCPUS], after;
		struct es_guest src, dst;

		es_create(&src, 0);
		for (int id = 0; id < ES_VCPUS; id++) {
			es_set_cpuid(src.vcpu[id]);
			/* It has written its GHCB's address, each another one. */
			es_ask(&src, id, EXIT_AP_JUMP_TABLE, 1, 0);
			es_run(&src, id, KVM_EXIT_FAIL_ENTRY);
			before[id] = fw_entry(src.asid, id);
			EXPECT_EQ(before[id].ghcb, ES_GHCB + id * VM_PAGE);
			EXPECT(before[id].virt_ext & 1);
		}
		EXPECT(before[0].vmsa != before[1].vmsa);

		es_create_destination(&dst, &src, variant & 1);
		for (int id = 0; id < ES_VCPUS && !(variant & 2); id++)
			es_set_cpuid(dst.vcpu[id]);
		es_move(&dst, &src);
		for (int id = 0; id < ES_VCPUS; id++) {
			if (variant & 2)
				es_set_cpuid(dst.vcpu[id]);
			es_run(&dst, id, KVM_EXIT_FAIL_ENTRY);
			after = fw_entry(dst.asid, id);
			expect_same_entry(&after, &before[id]);
		}
	}
}

static void other_ids(void)
{
	struct es_guest src, dst;

	es_create(&src, 0);
	vm_create_destination(&dst.vm, &src.vm, true);
	dst.asid = src.asid;
	dst.run[0] = vm_add_vcpu_id(&dst.vm, 0, &dst.vcpu[0]);
	vm_add_vcpu_id(&dst.vm, 2, &dst.vcpu[1]);
	EXPECT_EQ(vm_try_move(&dst.vm, &src.vm), -EINVAL);
	es_run(&src, 1, KVM_EXIT_FAIL_ENTRY);
	vm_destroy(&dst.vm);

	es_create_destination(&dst, &src, 1);
	es_move(&dst, &src);
	es_run(&dst, 1, KVM_EXIT_FAIL_ENTRY);
}

/* An ordinary VM that has run its guest can't become another's. */
static void has_run(void)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct vm src, dst;
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vcpu;

	src.sev = open_sev();
	src.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	src.fd = ioctl(src.kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	EXPECT(src.fd >= 0);
	EXPECT_EQ(vm_sev(&src, KVM_SEV_INIT, NULL), 0);
	EXPECT_EQ(vm_start(&src, NULL, 0), SEV_RET_SUCCESS);

	dst.sev = open_sev();
	dst.kvm = src.kvm;
	dst.fd = ioctl(dst.kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	dst.view = -1;
	dst.memory = page_alloc();
	dst.memory[0] = 0xf4;
	EXPECT(dst.fd >= 0);
	EXPECT_EQ(ioctl(dst.fd, KVM_SET_USER_MEMORY_REGION,
			&(struct kvm_userspace_memory_region){
				.memory_size = VM_PAGE,
				.userspace_addr = (uintptr_t)dst.memory,
			}), 0);
	run = vm_add_vcpu(&dst, &vcpu);
	EXPECT_EQ(ioctl(vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	EXPECT_EQ(ioctl(vcpu, KVM_SET_SREGS, &sregs), 0);
	EXPECT_EQ(ioctl(vcpu, KVM_SET_REGS, &regs), 0);
	EXPECT_EQ(ioctl(vcpu, KVM_RUN, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_HLT);
	EXPECT_EQ(vm_try_move(&dst, &src), -EINVAL);
}

/* It is not initialized; its guest asks for the highest version first. */
static void mirror_version(void)
{
	struct es_guest owner, mirror;
	struct kvm_run *run;
	uint32_t asid;
	int vcpu;

	es_create(&owner, 0);
	es_run(&owner, 0, KVM_EXIT_FAIL_ENTRY);
	asid = owner.asid;

	vm_create_bare(&mirror.vm, true);
	EXPECT_EQ(vm_try_mirror(&mirror.vm, &owner.vm), 0);
	run = vm_add_vcpu(&mirror.vm, &vcpu);
	EXPECT_EQ(ioctl(vcpu, KVM_RUN, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	EXPECT_EQ(fw_entry(asid, 0).ghcb >> 48, 2);
}

static const struct claim claims[] = {
	CLAIM(c_bit, "the bit of encryption is an address bit, whenever CPUID was set"),
	CLAIM(other_process, "commands work in another process than the source's"),
	CLAIM(mirror_in_other_process, "commands work in another process than the mirrored VM's"),
	CLAIM(fpu, "the FPU of an SEV-ES guest is not KVM's to read"),
	CLAIM(entry, "an SEV-ES vCPU is entered as its like in the source was"),
	CLAIM(other_ids, "vCPUs of other ids: EINVAL, as before"),
	CLAIM(has_run, "a destination whose vCPU has run: EINVAL"),
	CLAIM(mirror_version, "a mirror's guest is told the version of the GHCB protocol"),
};

CLAIMS_MAIN(claims);
