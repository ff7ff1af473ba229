/* SPDX-License-Identifier: MIT */
/* A serial port of a PC, a 16550A: the console's bytes, both ways. */
#ifndef VMM_DEVICES_SERIAL_H
#define VMM_DEVICES_SERIAL_H

#include <stdint.h>

#include "devices/console.h"

#define SERIAL_PORT	0x3f8
#define SERIAL_PORTS	8
#define SERIAL_IRQ	4
#define SERIAL_FIFO	16

/*
 * struct serial_state - all state of the device; a snapshot carries it unchanged
 * @fifo: the FIFO control register: whether the FIFO is on, and when it interrupts
 * @empty: the transmitter became empty and the guest has not been told
 * @raised: the interrupt line is raised
 * @overrun: a byte came without room for it, and the guest has not been told
 * @first, @used: which of @received are there, in a ring
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
	uint8_t overrun;
	uint8_t first;
	uint8_t used;
	uint8_t received[SERIAL_FIFO];
};

/*
 * struct serial - the port
 * @console: where the bytes go, and come from
 * @vm: the VM whose interrupt line it raises
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

/* Take as many bytes from the console as there is room for. */
void serial_receive(struct serial *serial);

/*
 * Take over the state of another port, and raise the line if it was raised there. Returns 0;
 * -EINVAL: the state is invalid; or -errno.
 */
int serial_restore(struct serial *serial, const struct serial_state *state);

#endif /* VMM_DEVICES_SERIAL_H */
