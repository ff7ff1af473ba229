/* SPDX-License-Identifier: MIT */
/* As much of a PC as Linux needs; interrupt controllers and timers are KVM's. */
#ifndef VMM_DEVICES_PC_H
#define VMM_DEVICES_PC_H

#include <linux/kvm.h>

#include "devices/serial.h"

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

/* What a snapshot keeps of the devices; KVM's apart. */
struct pc_state {
	struct console_state console;
	struct serial_state serial;
};

void pc_save(const struct pc *pc, struct pc_state *state);

/* From bytes that may be anything. -EINVAL: they are no state; or -errno. */
int pc_restore(struct pc *pc, const void *saved, size_t size);

#endif /* VMM_DEVICES_PC_H */
