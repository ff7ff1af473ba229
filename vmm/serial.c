// SPDX-License-Identifier: MIT
#include <gmem.h>
#include <linux/serial_reg.h>

#include "serial.h"

/* An interrupt comes when the transmitter is empty, if the guest wants to know. */
static void update_line(struct serial *serial)
{
	bool raise = serial->empty && serial->interrupts & UART_IER_THRI;

	if (raise == serial->raised)
		return;
	serial->raised = raise;
	gmem_vm_set_irq(serial->vm, SERIAL_IRQ, raise);
}

static bool is_divisor(struct serial *serial, uint16_t reg)
{
	return serial->line & UART_LCR_DLAB && reg <= UART_DLM;
}

void serial_out(struct serial *serial, uint16_t reg, uint8_t value)
{
	if (is_divisor(serial, reg)) {
		serial->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case UART_TX:
		console_write(serial->console, &value, 1);
		serial->empty = true;	/* again, at once */
		break;
	case UART_IER:
		serial->interrupts = value & 0xf;
		serial->empty = true;
		break;
	case UART_FCR:
		serial->fifo = value & UART_FCR_ENABLE_FIFO;
		break;
	case UART_LCR:
		serial->line = value;
		break;
	case UART_MCR:
		serial->modem = value;
		break;
	case UART_SCR:
		serial->scratch = value;
		break;
	}
	update_line(serial);
}

static uint8_t interrupt_cause(struct serial *serial)
{
	uint8_t fifo = serial->fifo ? 0xc0 : 0;

	if (!serial->raised)
		return fifo | UART_IIR_NO_INT;
	serial->empty = false;	/* told */
	update_line(serial);
	return fifo | UART_IIR_THRI;
}

/* A drivers' test wires the modem's inputs to its outputs. */
static uint8_t modem_status(struct serial *serial)
{
	uint8_t out = serial->modem;

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
		return serial->divisor[reg];
	switch (reg) {
	case UART_IER:
		return serial->interrupts;
	case UART_IIR:
		return interrupt_cause(serial);
	case UART_LCR:
		return serial->line;
	case UART_MCR:
		return serial->modem;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE;
	case UART_MSR:
		return modem_status(serial);
	case UART_SCR:
		return serial->scratch;
	default:
		return 0;
	}
}
