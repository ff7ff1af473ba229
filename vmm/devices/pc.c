// SPDX-License-Identifier: MIT
#include <string.h>

#include "devices/pc.h"
#include "machine/layout.h"

/* The keyboard controller, of which only the line to the CPU's reset exists. */
#define KEYBOARD_COMMAND	0x64
#define KEYBOARD_RESET		0xfe

static bool is_in(uint16_t port, uint16_t first, uint16_t count)
{
	return port >= first && port - first < count;
}

static enum power_request out(struct pc *pc, uint16_t port, uint8_t value)
{
	if (is_in(port, SERIAL_PORT, SERIAL_PORTS))
		serial_out(&pc->serial, port - SERIAL_PORT, value);
	if (is_in(port, RTC_PORT, RTC_PORTS))
		rtc_out(&pc->rtc, port - RTC_PORT, value);
	if (is_in(port, POWER_PORT, POWER_PORTS))
		return power_out(&pc->power, port - POWER_PORT, value);
	return port == KEYBOARD_COMMAND && value == KEYBOARD_RESET ? POWER_RESETS :
								     POWER_STAYS;
}

static uint8_t in(struct pc *pc, uint16_t port)
{
	if (is_in(port, SERIAL_PORT, SERIAL_PORTS))
		return serial_in(&pc->serial, port - SERIAL_PORT);
	if (is_in(port, RTC_PORT, RTC_PORTS))
		return rtc_in(&pc->rtc, port - RTC_PORT);
	if (is_in(port, POWER_PORT, POWER_PORTS))
		return power_in(&pc->power, port - POWER_PORT);
	/* The controller is never busy: the guest would wait for it. */
	return port == KEYBOARD_COMMAND ? 0 : 0xff;
}

enum power_request pc_io(struct pc *pc, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	enum power_request request = POWER_STAYS;
	uint32_t i;

	for (i = 0; i < run->io.count * run->io.size && request == POWER_STAYS; i++) {
		uint16_t port = run->io.port + i % run->io.size;

		if (run->io.direction == KVM_EXIT_IO_OUT)
			request = out(pc, port, data[i]);
		else
			data[i] = in(pc, port);
	}
	return request;
}
