// SPDX-License-Identifier: MIT
#include <errno.h>
#include <gmem.h>
#include <linux/serial_reg.h>
#include <stdbool.h>

#include "devices/serial.h"

/* An interrupt comes when the transmitter is empty, if the guest wants to know. */
static void update_line(struct serial *serial)
{
	bool raise = serial->now.empty && serial->now.interrupts & UART_IER_THRI;

	if (raise == serial->now.raised)
		return;
	serial->now.raised = raise;
	gmem_vm_set_irq(serial->vm, SERIAL_IRQ, raise);
}

static bool is_divisor(struct serial *serial, uint16_t reg)
{
	return serial->now.line & UART_LCR_DLAB && reg <= UART_DLM;
}

void serial_out(struct serial *serial, uint16_t reg, uint8_t value)
{
	if (is_divisor(serial, reg)) {
		serial->now.divisor[reg] = value;
		return;
	}
	switch (reg) {
	case UART_TX:
		console_write(serial->console, &value, 1);
		serial->now.empty = true;	/* again, at once */
		break;
	case UART_IER:
		serial->now.interrupts = value & 0xf;
		serial->now.empty = true;
		break;
	case UART_FCR:
		serial->now.fifo = value & UART_FCR_ENABLE_FIFO;
		break;
	case UART_LCR:
		serial->now.line = value;
		break;
	case UART_MCR:
		serial->now.modem = value;
		break;
	case UART_SCR:
		serial->now.scratch = value;
		break;
	}
	update_line(serial);
}

static uint8_t interrupt_cause(struct serial *serial)
{
	uint8_t fifo = serial->now.fifo ? 0xc0 : 0;

	if (!serial->now.raised)
		return fifo | UART_IIR_NO_INT;
	serial->now.empty = false;	/* told */
	update_line(serial);
	return fifo | UART_IIR_THRI;
}

/* A drivers' test wires the modem's inputs to its outputs. */
static uint8_t modem_status(struct serial *serial)
{
	uint8_t out = serial->now.modem;

	if (!(out & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (out & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (out & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (out & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (out & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

uint8_t serial_in(struct serial *serial, uint16_t reg)
{
	if (is_divisor(serial, reg))
		return serial->now.divisor[reg];
	switch (reg) {
	case UART_IER:
		return serial->now.interrupts;
	case UART_IIR:
		return interrupt_cause(serial);
	case UART_LCR:
		return serial->now.line;
	case UART_MCR:
		return serial->now.modem;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE;
	case UART_MSR:
		return modem_status(serial);
	case UART_SCR:
		return serial->now.scratch;
	default:
		return 0;
	}
}

int serial_restore(struct serial *serial, const struct serial_state *state)
{
	if (state->interrupts > 0xf || state->fifo & ~UART_FCR_ENABLE_FIFO ||
	    state->empty > 1 || state->raised > 1)
		return -EINVAL;
	serial->now = *state;
	return gmem_vm_set_irq(serial->vm, SERIAL_IRQ, !!state->raised);
}
