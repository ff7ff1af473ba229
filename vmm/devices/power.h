/* SPDX-License-Identifier: MIT */
/*
 * The guest's power, as in ACPI with reduced hardware: registers that turn the machine off and
 * reset it, and a button that is reported to the guest. See docs/vmm.md.
 */
#ifndef VMM_DEVICES_POWER_H
#define VMM_DEVICES_POWER_H

#include <stdint.h>

#define POWER_PORTS	4

/* Registers; the tables of vmm/boot tell the guest where they are and what they take. */
enum power_register {
	POWER_SLEEP_CONTROL,	/* written: POWER_SLEEP and the kind of sleep: off */
	POWER_SLEEP_STATUS,
	POWER_RESET,		/* written: POWER_RESET_VALUE: reset */
	POWER_EVENTS,		/* read: the events; reading clears them */
};

#define POWER_SLEEP		0x20
#define POWER_SLEEP_KIND	2	/* first bit of the kind */
#define POWER_OFF_KIND		5
#define POWER_RESET_VALUE	1
#define POWER_EVENT_BUTTON	1

/* The guest's request. */
enum power_request { POWER_STAYS, POWER_RESETS, POWER_GOES_OFF };

/*
 * struct power_state - all state of the device
 * @events: POWER_EVENT_*; the interrupt is raised while there are any
 */
struct power_state {
	uint8_t events;
};

/*
 * struct power - the device
 * @vm: the VM whose interrupt it raises
 * @now: its state
 */
struct power {
	int vm;
	struct power_state now;
};

/* One register, 0 to POWER_PORTS - 1. */
enum power_request power_out(struct power *power, uint16_t reg, uint8_t value);
uint8_t power_in(struct power *power, uint16_t reg);

struct machine;

/*
 * Press the power button for a moment: a guest that listens shuts down in an orderly way. Called
 * without machine->device_lock. Returns 0 or -errno.
 */
int power_press(struct machine *machine);

/*
 * Take over the state of another device, and its interrupt. Returns 0; -EINVAL: the state is
 * invalid; or -errno.
 */
int power_restore(struct power *power, const struct power_state *state);

#endif /* VMM_DEVICES_POWER_H */
