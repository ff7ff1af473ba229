/* SPDX-License-Identifier: MIT */
/* The parts of a PC that Linux needs; KVM has the interrupt controllers and timers. */
#ifndef VMM_DEVICES_PC_H
#define VMM_DEVICES_PC_H

#include <linux/kvm.h>

#include "devices/power.h"
#include "devices/rtc.h"
#include "devices/serial.h"

/*
 * struct pc - the devices
 * @present: the machine is a PC
 */
struct pc {
	bool present;
	struct serial serial;
	struct power power;
	struct rtc rtc;
};

/*
 * Handle KVM_EXIT_IO. Without a device, writes are ignored and reads return
 * ones. Returns the guest's request: a reset or a power-off ends it.
 */
enum power_request pc_io(struct pc *pc, struct kvm_run *run);

#endif /* VMM_DEVICES_PC_H */
