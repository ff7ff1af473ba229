/* SPDX-License-Identifier: MIT */
/* A machine as handover messages, and the other way round. */
#ifndef VMM_HANDOVER_TRANSFER_H
#define VMM_HANDOVER_TRANSFER_H

#include "machine/machine.h"

/* Fill in MEMORY; @slots has room for MACHINE_SLOTS. Nothing to free. */
void machine_to_memory(struct machine *machine, struct gmem_message *message,
		       struct gmem_slot *slots);

/* Build the VM that MEMORY describes. Takes descriptors out of the message. */
int machine_from_memory(struct machine *machine, struct gmem_message *message);

/* Fill in STATE, of a stopped vCPU. The caller must free @vcpu. */
int machine_to_state(struct machine *machine, struct gmem_message *message,
		     struct gmem_vcpu_state *vcpu);

/* Give the vCPU and the devices the state of a STATE message. */
int machine_from_state(struct machine *machine,
		       const struct gmem_message *message);

#endif /* VMM_HANDOVER_TRANSFER_H */
