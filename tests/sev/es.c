// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "es.h"
#include "expect.h"
#include "firmware.h"

#define C_BIT		51
#define GHCB_CODE	0x390
#define GHCB_INFO1	0x398
#define GHCB_VALID	0x3f0
#define ENTRIES		200

static void add_vcpus(struct es_guest *g, int first)
{
	for (int i = 0; i < ES_VCPUS; i++) {
		int id = (first + i) % ES_VCPUS;

		g->run[id] = vm_add_vcpu_id(&g->vm, id, &g->vcpu[id]);
	}
}

void es_create(struct es_guest *g, int first)
{
	struct measurement { uint8_t bytes[48]; } measurement;
	struct kvm_sev_guest_status status;
	struct vm *vm = &g->vm;

	vm_create_on_gmem(vm, true);
	add_vcpus(g, first);
	EXPECT_EQ(vm_start(vm, NULL, ES), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_update(vm, vm->memory, VM_PAGE), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_measure(vm, &measurement, sizeof(measurement)), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_LAUNCH_FINISH, NULL), SEV_RET_SUCCESS);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_GUEST_STATUS, &status), SEV_RET_SUCCESS);
	g->asid = fw_status(status.handle).asid;
	/* What another guest of this ASID was to do. */
	for (int id = 0; id < ES_VCPUS; id++)
		fw_exit(g->asid, id, 0, 0, 0);
}

void es_create_destination(struct es_guest *dst, const struct es_guest *src, int first)
{
	vm_create_destination(&dst->vm, &src->vm, true);
	add_vcpus(dst, first);
	dst->asid = src->asid;
}

void es_move(struct es_guest *dst, struct es_guest *src)
{
	EXPECT_EQ(vm_try_move(&dst->vm, &src->vm), 0);
}

void es_set_cpuid(int vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(*cpuid->entries));
	struct kvm_cpuid_entry2 *last;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	cpuid->nent = ENTRIES - 1;
	EXPECT_EQ(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), 0);
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		/* The one it is given below. */
		if (e->function == 0x8000001f)
			e->function = 0x8fffffff;
		/* The address space ends below the bit, whatever the lab's CPU has. */
		if (e->function == 0x80000008)
			e->eax = (e->eax & ~0xff) | 40;
	}
	last = &cpuid->entries[cpuid->nent++];
	*last = (struct kvm_cpuid_entry2){ .function = 0x8000001f, .eax = 2, .ebx = C_BIT };
	EXPECT_EQ(ioctl(vcpu, KVM_SET_CPUID2, cpuid), 0);
	close(kvm);
	free(cpuid);
}

static uint8_t *ghcb(struct es_guest *g, int id)
{
	return g->vm.memory + ES_GHCB + id * VM_PAGE;
}

void es_put(struct es_guest *g, int id, unsigned int reg, uint64_t value)
{
	uint8_t *page = ghcb(g, id);

	memcpy(page + reg, &value, sizeof(value));
	page[GHCB_VALID + reg / 64] |= 1 << (reg / 8 % 8);
}

uint64_t es_get(struct es_guest *g, int id, unsigned int reg)
{
	uint64_t value;

	memcpy(&value, ghcb(g, id) + reg, sizeof(value));
	return value;
}

void es_ask(struct es_guest *g, int id, uint64_t code, uint64_t info1, uint64_t info2)
{
	memset(ghcb(g, id), 0, VM_PAGE);
	es_put(g, id, GHCB_CODE, code);
	es_put(g, id, GHCB_INFO1, info1);
	es_put(g, id, GHCB_INFO2, info2);
	fw_exit(g->asid, id, EXIT_VMGEXIT, 0, ES_GHCB + id * VM_PAGE);
}

void es_run(struct es_guest *g, int id, unsigned int reason)
{
	EXPECT_EQ(ioctl(g->vcpu[id], KVM_RUN, 0), 0);
	EXPECT_EQ(g->run[id]->exit_reason, reason);
}
