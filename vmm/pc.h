/* SPDX-License-Identifier: MIT */
/* As much of a PC as Linux needs; interrupt controllers and timers are KVM's. */
#ifndef VMM_PC_H
#define VMM_PC_H

#include <linux/kvm.h>

#include "serial.h"

/*
 * struct pc - the devices
 * @present: the machine is a PC
 */
struct pc {
	bool present;
	struct serial serial;
};

/*
 * KVM_EXIT_IO. Where there is no device, bytes go nowhere and ones come back.
 * Returns true if the guest asked for a reset, which is how it ends.
 */
bool pc_io(struct pc *pc, struct kvm_run *run);

/* KVM_EXIT_MMIO: there are no devices. */
void pc_mmio(struct kvm_run *run);

#endif /* VMM_PC_H */
