/* SPDX-License-Identifier: MIT */
/* A serial port of a PC, an 8250: what the guest sends goes to the console. */
#ifndef VMM_DEVICES_SERIAL_H
#define VMM_DEVICES_SERIAL_H

#include <stdint.h>

#include "devices/console.h"

#define SERIAL_PORT	0x3f8
#define SERIAL_PORTS	8
#define SERIAL_IRQ	4

/*
 * struct serial_state - all that the device is; a snapshot carries it as it stands
 * @empty: the transmitter became empty and the guest has not been told
 * @raised: the interrupt line is
 */
struct serial_state {
	uint8_t divisor[2];
	uint8_t interrupts;
	uint8_t line;
	uint8_t modem;
	uint8_t fifo;
	uint8_t scratch;
	uint8_t empty;
	uint8_t raised;
};

/*
 * struct serial - the port; nothing is ever received
 * @console: where the bytes go
 * @vm: whose interrupt line it raises
 * @now: its state
 */
struct serial {
	struct console *console;
	int vm;
	struct serial_state now;
};

/* One register, 0 to SERIAL_PORTS - 1. */
void serial_out(struct serial *serial, uint16_t reg, uint8_t value);
uint8_t serial_in(struct serial *serial, uint16_t reg);

/*
 * Take over the state of another, and raise the line if that had. -EINVAL: it is
 * none; or -errno.
 */
int serial_restore(struct serial *serial, const struct serial_state *state);

#endif /* VMM_DEVICES_SERIAL_H */
