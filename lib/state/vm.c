// SPDX-License-Identifier: MIT
/*
 * The state that a VM's vCPUs share: a PC's interrupt controllers and timer,
 * and the clock that KVM's guests read. One row for each kind.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <gmem.h>

#include "kvm/ioctl.h"
#include "state/blob.h"

#define NO_CHIP		UINT32_MAX

static const struct {
	const char *name;
	unsigned long get;
	unsigned long set;
	uint32_t size;
	uint32_t chip;	/* which interrupt controller */
} rows[GMEM_VM_STATE_KINDS] = {
#define CHIP(n, number) \
	{ n, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, sizeof(struct kvm_irqchip), number }
	[GMEM_VM_STATE_PIC_MASTER] = CHIP("pic_master", KVM_IRQCHIP_PIC_MASTER),
	[GMEM_VM_STATE_PIC_SLAVE] = CHIP("pic_slave", KVM_IRQCHIP_PIC_SLAVE),
	[GMEM_VM_STATE_IOAPIC] = CHIP("ioapic", KVM_IRQCHIP_IOAPIC),
	[GMEM_VM_STATE_PIT] = { "pit", KVM_GET_PIT2, KVM_SET_PIT2,
				sizeof(struct kvm_pit_state2), NO_CHIP },
	[GMEM_VM_STATE_CLOCK] = { "clock", KVM_GET_CLOCK, KVM_SET_CLOCK,
				  sizeof(struct kvm_clock_data), NO_CHIP },
};

const char *gmem_vm_state_name(enum gmem_vm_state_kind kind)
{
	return kind < GMEM_VM_STATE_KINDS ? rows[kind].name : "unknown";
}

static int read_row(int vm, int kind, struct gmem_blob *blob)
{
	int ret = gmem_blob_alloc(blob, rows[kind].size);

	if (ret)
		return ret;
	if (rows[kind].chip != NO_CHIP)
		memcpy(blob->data, &rows[kind].chip, sizeof(rows[kind].chip));
	ret = gmem_ioctl(vm, rows[kind].get, blob->data);
	if (ret == -ENXIO) {	/* the VM is not a PC */
		gmem_blob_drop(blob);
		return 0;
	}
	return ret;
}

int gmem_vm_get_state(int vm, struct gmem_vm_state *state)
{
	int kind, ret;

	*state = (struct gmem_vm_state){ 0 };
	for (kind = 0; kind < GMEM_VM_STATE_KINDS; kind++) {
		ret = read_row(vm, kind, &state->blobs[kind]);
		if (ret < 0) {
			gmem_vm_state_free(state);
			return ret;
		}
	}
	return 0;
}

static int write_row(int vm, int kind, const struct gmem_blob *blob)
{
	uint32_t chip;

	if (blob->size != rows[kind].size)
		return -EINVAL;
	if (kind == GMEM_VM_STATE_CLOCK) {
		/* The blob also has the time at which the clock was read, which must be ignored. */
		const struct kvm_clock_data *read = blob->data;
		struct kvm_clock_data clock = { .clock = read->clock };

		return gmem_ioctl(vm, rows[kind].set, &clock);
	}
	memcpy(&chip, blob->data, sizeof(chip));
	if (rows[kind].chip != NO_CHIP && chip != rows[kind].chip)
		return -EINVAL;
	return gmem_ioctl(vm, rows[kind].set, blob->data);
}

int gmem_vm_set_state(int vm, const struct gmem_vm_state *state,
		      enum gmem_vm_state_kind *failed)
{
	int kind, ret;

	for (kind = 0; kind < GMEM_VM_STATE_KINDS; kind++) {
		if (!state->blobs[kind].data)
			continue;
		ret = write_row(vm, kind, &state->blobs[kind]);
		if (ret < 0) {
			if (failed)
				*failed = kind;
			return ret;
		}
	}
	return 0;
}

void gmem_vm_state_free(struct gmem_vm_state *state)
{
	int kind;

	for (kind = 0; kind < GMEM_VM_STATE_KINDS; kind++)
		gmem_blob_drop(&state->blobs[kind]);
}
