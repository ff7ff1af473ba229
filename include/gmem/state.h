/* SPDX-License-Identifier: MIT */
/* libgmem: the state of a vCPU, and of what vCPUs share. gmem.h has the conventions. */
#ifndef GMEM_STATE_H
#define GMEM_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gmem/kvm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A vCPU's state (state/vcpu.c) ---- */

/*
 * What a vCPU's state consists of, in the order in which it is set: later
 * kinds depend on earlier ones. The numbers are part of the wire format.
 */
enum gmem_state_kind {
	GMEM_STATE_CPUID,	/* struct kvm_cpuid2 */
	GMEM_STATE_TSC_KHZ,	/* uint32_t */
	GMEM_STATE_SREGS,	/* struct kvm_sregs2 */
	GMEM_STATE_LAPIC,	/* struct kvm_lapic_state, where KVM has it */
	GMEM_STATE_XCRS,	/* struct kvm_xcrs */
	GMEM_STATE_XSAVE,	/* struct kvm_xsave, as long as KVM_CAP_XSAVE2 */
	GMEM_STATE_MSRS,	/* struct kvm_msrs */
	GMEM_STATE_EVENTS,	/* struct kvm_vcpu_events */
	GMEM_STATE_MP_STATE,	/* struct kvm_mp_state */
	GMEM_STATE_DEBUGREGS,	/* struct kvm_debugregs */
	GMEM_STATE_REGS,	/* struct kvm_regs */
	GMEM_STATE_NESTED,	/* struct kvm_nested_state, where KVM has it */
	GMEM_STATE_KINDS
};

/*
 * struct gmem_blob - one piece of state
 * @data: as KVM gives it; NULL where this piece is absent
 * @size: bytes
 */
struct gmem_blob {
	void *data;
	uint32_t size;
};

/*
 * struct gmem_vcpu_state - all state of a vCPU, without memory
 * @id: KVM's number of the vCPU
 * @blobs: by enum gmem_state_kind
 *
 * VM-wide devices (in-kernel irqchip, PIT, kvmclock) are in struct gmem_vm_state.
 */
struct gmem_vcpu_state {
	uint32_t id;
	struct gmem_blob blobs[GMEM_STATE_KINDS];
};

/*
 * gmem_vcpu_get_state - read the state of a vCPU that is stopped
 * @state: filled in; free with gmem_vcpu_state_free(). Empty on error.
 */
int gmem_vcpu_get_state(struct gmem_vcpu *vcpu, struct gmem_vcpu_state *state);

/*
 * gmem_vcpu_set_state - write state to a vCPU that has never run
 * @failed: NULL, or where to store which kind KVM refused
 *
 * Errors: EINVAL (a blob of the wrong size, or content that KVM refuses, such as an MSR that this
 * vCPU does not have), and KVM's own. After an error the vCPU is part old, part new: close its VM.
 */
int gmem_vcpu_set_state(struct gmem_vcpu *vcpu,
			const struct gmem_vcpu_state *state,
			enum gmem_state_kind *failed);

/* gmem_vcpu_state_free - free the blobs; may be called twice */
void gmem_vcpu_state_free(struct gmem_vcpu_state *state);

/* gmem_state_name - "cpuid", "msrs", ...; "unknown" for any other value */
const char *gmem_state_name(enum gmem_state_kind kind);

/* ---- The state of what vCPUs share (state/vm.c) ---- */

/* In the order in which it is set. The numbers are part of the wire format. */
enum gmem_vm_state_kind {
	GMEM_VM_STATE_PIC_MASTER,	/* struct kvm_irqchip, where KVM has it */
	GMEM_VM_STATE_PIC_SLAVE,	/* struct kvm_irqchip, likewise */
	GMEM_VM_STATE_IOAPIC,		/* struct kvm_irqchip, likewise */
	GMEM_VM_STATE_PIT,		/* struct kvm_pit_state2, likewise */
	GMEM_VM_STATE_CLOCK,		/* struct kvm_clock_data */
	GMEM_VM_STATE_KINDS
};

/*
 * struct gmem_vm_state - all state of a VM, without vCPUs and memory
 * @blobs: by enum gmem_vm_state_kind
 */
struct gmem_vm_state {
	struct gmem_blob blobs[GMEM_VM_STATE_KINDS];
};

/*
 * gmem_vm_get_state - read a VM's state, with all vCPUs stopped
 * @state: filled in; free with gmem_vm_state_free(). Empty on error.
 */
int gmem_vm_get_state(int vm, struct gmem_vm_state *state);

/*
 * gmem_vm_set_state - write a VM's state, after all vCPUs' states: an interrupt that is on its way
 * to a local APIC arrives there
 * @failed: NULL, or where to store which kind KVM refused
 *
 * The guest's clock goes on from where it was read. Errors: EINVAL (a blob of the
 * wrong size, or content that KVM refuses), ENXIO (the VM has no such device).
 * After an error the VM is part old, part new: close it.
 */
int gmem_vm_set_state(int vm, const struct gmem_vm_state *state,
		      enum gmem_vm_state_kind *failed);

/* gmem_vm_state_free - free the blobs; may be called twice */
void gmem_vm_state_free(struct gmem_vm_state *state);

/* gmem_vm_state_name - "ioapic", "pit", ...; "unknown" for any other value */
const char *gmem_vm_state_name(enum gmem_vm_state_kind kind);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_STATE_H */
