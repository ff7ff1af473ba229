/* SPDX-License-Identifier: MIT */
/* A serial port of a PC, an 8250: what the guest sends goes to the console. */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "console.h"

#define SERIAL_PORT	0x3f8
#define SERIAL_PORTS	8
#define SERIAL_IRQ	4

/*
 * struct serial - the port; nothing is ever received
 * @console: where the bytes go
 * @vm: whose interrupt line it raises
 * @empty: the transmitter became empty and the guest has not been told
 * @raised: the line is
 */
struct serial {
	struct console *console;
	int vm;
	uint8_t divisor[2];
	uint8_t interrupts;
	uint8_t line;
	uint8_t modem;
	uint8_t fifo;
	uint8_t scratch;
	bool empty;
	bool raised;
};

/* One register, 0 to SERIAL_PORTS - 1. */
void serial_out(struct serial *serial, uint16_t reg, uint8_t value);
uint8_t serial_in(struct serial *serial, uint16_t reg);

#endif /* VMM_SERIAL_H */
