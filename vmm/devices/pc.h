/* SPDX-License-Identifier: MIT */
/* As much of a PC as Linux needs; interrupt controllers and timers are KVM's. */
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
 * KVM_EXIT_IO. Where there is no device, bytes go nowhere and ones come back.
 * Returns what the guest asked for: a reset and going off are how it ends.
 */
enum power_request pc_io(struct pc *pc, struct kvm_run *run);

#endif /* VMM_DEVICES_PC_H */
