// SPDX-License-Identifier: MIT
#include <errno.h>
#include <gmem.h>

#include "devices/power.h"
#include "live/publish.h"
#include "machine/layout.h"
#include "machine/machine.h"

static int set_events(struct power *power, uint8_t events)
{
	power->now.events = events;
	return gmem_vm_set_irq(power->vm, POWER_IRQ, !!events);
}

enum power_request power_out(struct power *power, uint16_t reg, uint8_t value)
{
	(void)power;
	if (reg == POWER_RESET && value == POWER_RESET_VALUE)
		return POWER_RESETS;
	if (reg == POWER_SLEEP_CONTROL &&
	    value == (POWER_SLEEP | POWER_OFF_KIND << POWER_SLEEP_KIND))
		return POWER_GOES_OFF;
	return POWER_STAYS;
}

uint8_t power_in(struct power *power, uint16_t reg)
{
	uint8_t events = power->now.events;

	if (reg != POWER_EVENTS)
		return 0;
	if (events)
		set_events(power, 0);
	return events;
}

int power_press(struct machine *machine)
{
	int ret;

	pthread_mutex_lock(&machine->device_lock);
	ret = set_events(&machine->pc.power, POWER_EVENT_BUTTON);
	publish(machine, PUBLISH_PC);
	pthread_mutex_unlock(&machine->device_lock);
	return ret;
}

int power_restore(struct power *power, const struct power_state *state)
{
	if (state->events & ~POWER_EVENT_BUTTON)
		return -EINVAL;
	return set_events(power, state->events);
}
