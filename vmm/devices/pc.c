// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "devices/pc.h"

/* The keyboard controller, of which there is the line to the CPU's reset. */
#define KEYBOARD_COMMAND	0x64
#define KEYBOARD_RESET		0xfe

/* The battery-backed clock, of which there is nothing. */
#define CLOCK_DATA		0x71

static bool is_serial(uint16_t port)
{
	return port >= SERIAL_PORT && port < SERIAL_PORT + SERIAL_PORTS;
}

static bool out(struct pc *pc, uint16_t port, uint8_t value)
{
	if (is_serial(port))
		serial_out(&pc->serial, port - SERIAL_PORT, value);
	return port == KEYBOARD_COMMAND && value == KEYBOARD_RESET;
}

static uint8_t in(struct pc *pc, uint16_t port)
{
	if (is_serial(port))
		return serial_in(&pc->serial, port - SERIAL_PORT);
	/* Nobody is busy: they would be waited for. */
	return port == KEYBOARD_COMMAND || port == CLOCK_DATA ? 0 : 0xff;
}

bool pc_io(struct pc *pc, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool reset = false;
	uint32_t i;

	for (i = 0; i < run->io.count * run->io.size; i++) {
		uint16_t port = run->io.port + i % run->io.size;

		if (run->io.direction == KVM_EXIT_IO_OUT)
			reset |= out(pc, port, data[i]);
		else
			data[i] = in(pc, port);
	}
	return reset;
}

void pc_save(const struct pc *pc, struct pc_state *state)
{
	*state = (struct pc_state){
		.console = pc->serial.console->now, .serial = pc->serial.now,
	};
}

int pc_restore(struct pc *pc, const void *saved, size_t size)
{
	struct pc_state state;
	int ret;

	if (size != sizeof(state))
		return -EINVAL;
	memcpy(&state, saved, sizeof(state));
	ret = console_restore(pc->serial.console, &state.console, sizeof(state.console));
	return ret ? ret : serial_restore(&pc->serial, &state.serial);
}
