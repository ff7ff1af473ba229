// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running encrypted VMs on a CPU that only pretends to have SEV.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"
#include "vm.h"

/*
 * In real mode at 0: out 0x2a to port 0x80, store it at 0x800, out to 0x81.
 * Only for port I/O does the emulated CPU tell KVM where the next instruction
 * is; KVM cannot find it out itself in a guest whose memory it must not read.
 */
static const uint8_t program[] = {
	0xb0, 0x2a,		/* mov $0x2a,%al */
	0xe6, 0x80,		/* out %al,$0x80 */
	0xa2, 0x00, 0x08,	/* mov %al,0x800 */
	0xe6, 0x81,		/* out %al,$0x81 */
};

static void set_transform(char value)
{
	int fd = open("/sys/module/softpsp/parameters/transform", O_WRONLY | O_CLOEXEC);

	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, &value, 1), 1);
	close(fd);
}

static struct kvm_run *launch(struct vm *vm, bool es, int *vcpu)
{
	struct measurement { uint8_t bytes[48]; } measurement;
	struct kvm_run *run;
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };

	vm_create(vm, es);
	memcpy(vm->memory, program, sizeof(program));
	run = vm_add_vcpu(vm, vcpu);
	EXPECT_EQ(ioctl(*vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	EXPECT_EQ(ioctl(*vcpu, KVM_SET_SREGS, &sregs), 0);
	EXPECT_EQ(ioctl(*vcpu, KVM_SET_REGS, &regs), 0);

	EXPECT_EQ(vm_start(vm, NULL, es ? ES : 0), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_update(vm, vm->memory, VM_PAGE), SEV_RET_SUCCESS);
	if (es)
		EXPECT_EQ(vm_sev(vm, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_measure(vm, &measurement, sizeof(measurement)), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_LAUNCH_FINISH, NULL), SEV_RET_SUCCESS);
	return run;
}

static void sev_es_vcpu(void)
{
	struct vm vm;
	int vcpu;
	struct kvm_run *run = launch(&vm, true, &vcpu);

	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(ioctl(vcpu, KVM_RUN, 0), 0);
		EXPECT_EQ(run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	}
}

static void sev_vcpu(void)
{
	struct kvm_run *run;
	struct vm vm;
	int vcpu;

	open_sev();
	set_transform('N');
	run = launch(&vm, false, &vcpu);
	set_transform('Y');
	EXPECT(!memcmp(vm.memory, program, sizeof(program)));

	EXPECT_EQ(ioctl(vcpu, KVM_RUN, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(run->io.port, 0x80);
	EXPECT_EQ(*((uint8_t *)run + run->io.data_offset), 0x2a);
	EXPECT_EQ(vm.memory[0x800], 0);
	EXPECT_EQ(ioctl(vcpu, KVM_RUN, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(run->io.port, 0x81);
	EXPECT_EQ(vm.memory[0x800], 0x2a);
}

static const struct claim claims[] = {
	CLAIM(sev_es_vcpu, "an SEV-ES vCPU is not entered: KVM_EXIT_FAIL_ENTRY"),
	CLAIM(sev_vcpu, "an SEV vCPU runs if its memory is not transformed"),
};

CLAIMS_MAIN(claims);
