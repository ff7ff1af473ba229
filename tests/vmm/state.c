// SPDX-License-Identifier: MIT
/* The state of a vCPU that libgmem transfers to another vCPU, on KVM itself. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/kvm_gmem.h>

#include <gmem.h>

#define MTRR_DEFAULT	0x2ff
#define MTRR_FIXED_64K	0x250

/* struct sample - a VM of one vCPU */
struct sample {
	int kvm;
	int vm;
	struct gmem_vcpu vcpu;
};

static void make(struct sample *sample)
{
	sample->kvm = gmem_kvm_open();
	assert_true(sample->kvm >= 0);
	sample->vm = gmem_vm_create(sample->kvm, 0);
	assert_true(sample->vm >= 0);
	assert_int_equal(gmem_vcpu_create(sample->kvm, sample->vm, 0, &sample->vcpu), 0);
	assert_int_equal(gmem_vcpu_use_host_cpuid(&sample->vcpu), 0);
}

static void drop(struct sample *sample)
{
	gmem_vcpu_close(&sample->vcpu);
	close(sample->vm);
	close(sample->kvm);
}

union one_msr {
	struct kvm_msrs msrs;
	char space[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static void set_msr(struct sample *sample, uint32_t index, uint64_t value)
{
	union one_msr one = { .space = { 0 } };

	one.msrs.nmsrs = 1;
	one.msrs.entries[0].index = index;
	one.msrs.entries[0].data = value;
	assert_int_equal(ioctl(sample->vcpu.fd, KVM_SET_MSRS, &one), 1);
}

static uint64_t get_msr(struct sample *sample, uint32_t index)
{
	union one_msr one = { .space = { 0 } };

	one.msrs.nmsrs = 1;
	one.msrs.entries[0].index = index;
	assert_int_equal(ioctl(sample->vcpu.fd, KVM_GET_MSRS, &one), 1);
	return one.msrs.entries[0].data;
}

/* What firmware leaves there, and what Linux reads to set up its own. */
static const struct {
	uint32_t index;
	uint64_t value;
} mtrrs[] = {
	{ 0x200, 0xc0000000 }, { 0x201, 0xffc0000800 },
	{ 0x20e, 0x80000006 }, { 0x20f, 0xff80000800 },
	{ MTRR_FIXED_64K, 0x0606060606060606 }, { 0x258, 0x0606060606060606 },
	{ 0x259, 0 }, { 0x268, 0x0505050505050505 }, { 0x26f, 0x0505050505050505 },
	{ MTRR_DEFAULT, 0xc06 },
};

#define NR_MTRRS	(sizeof(mtrrs) / sizeof(mtrrs[0]))

static void mtrrs_are_part_of_the_state(void **unused)
{
	struct sample from, to;
	struct gmem_vcpu_state state;
	size_t i;

	(void)unused;
	make(&from);
	make(&to);
	for (i = 0; i < NR_MTRRS; i++)
		set_msr(&from, mtrrs[i].index, mtrrs[i].value);
	assert_int_equal(gmem_vcpu_get_state(&from.vcpu, &state), 0);
	assert_int_equal(gmem_vcpu_set_state(&to.vcpu, &state, NULL), 0);
	for (i = 0; i < NR_MTRRS; i++)
		assert_int_equal(get_msr(&to, mtrrs[i].index), mtrrs[i].value);
	gmem_vcpu_state_free(&state);
	drop(&to);
	drop(&from);
}

/* A view is full authority over the guest: no program that is started inherits it. */
static void no_descriptor_survives_exec(void **unused)
{
	struct sample a, b;
	int fds[8], nr = 0, i;

	(void)unused;
	make(&a);
	make(&b);
	close(a.vm);
	close(b.vm);
	a.vm = gmem_vm_create(a.kvm, KVM_X86_SW_PROTECTED_VM);
	b.vm = gmem_vm_create(b.kvm, KVM_X86_SW_PROTECTED_VM);
	fds[nr++] = a.kvm;
	fds[nr++] = a.vm;
	fds[nr++] = a.vcpu.fd;
	fds[nr++] = gmem_memfd_create(a.vm, 1 << 20, 0);
	fds[nr++] = gmem_memfd_link(b.vm, fds[3]);
	fds[nr++] = gmem_create_filler(fds[3]);
	fds[nr++] = gmem_pager_create(fds[3], 0, 1 << 20, 0);
	for (i = 0; i < nr; i++) {
		assert_true(fds[i] >= 0);
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	}
	for (i = 3; i < nr; i++)
		close(fds[i]);
	drop(&a);
	drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mtrrs_are_part_of_the_state),
		cmocka_unit_test(no_descriptor_survives_exec),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
