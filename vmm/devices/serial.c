// SPDX-License-Identifier: MIT
#include <errno.h>
#include <gmem.h>
#include <linux/serial_reg.h>
#include <stdbool.h>

#include "devices/serial.h"

/* The implemented bits of the FIFO control register. */
#define FIFO_KEPT	(UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK)

static bool has_fifo(const struct serial *serial)
{
	return serial->now.fifo & UART_FCR_ENABLE_FIFO;
}

/* The number of bytes at which the guest wants an interrupt at once. */
static unsigned int trigger_level(const struct serial *serial)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return has_fifo(serial) ? levels[serial->now.fifo >> 6] : 1;
}

/*
 * The most urgent reason for an interrupt. Bytes below the trigger level count as timed out, since
 * no more may come.
 */
static uint8_t pending(const struct serial *serial)
{
	const struct serial_state *now = &serial->now;

	if (now->overrun && now->interrupts & UART_IER_RLSI)
		return UART_IIR_RLSI;
	if (now->used && now->interrupts & UART_IER_RDI)
		return now->used < trigger_level(serial) ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
	if (now->empty && now->interrupts & UART_IER_THRI)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_line(struct serial *serial)
{
	bool raise = pending(serial) != UART_IIR_NO_INT;

	if (raise == serial->now.raised)
		return;
	serial->now.raised = raise;
	gmem_vm_set_irq(serial->vm, SERIAL_IRQ, raise);
}

/* ---- Receiving ---- */

static bool has_room(const struct serial *serial)
{
	return serial->now.used < (has_fifo(serial) ? SERIAL_FIFO : 1);
}

static void put(struct serial *serial, uint8_t byte)
{
	struct serial_state *now = &serial->now;

	if (!has_room(serial)) {
		now->overrun = true;
		return;
	}
	now->received[(now->first + now->used) % SERIAL_FIFO] = byte;
	now->used++;
}

static bool loops_back(const struct serial *serial)
{
	return serial->now.modem & UART_MCR_LOOP;
}

static void take(struct serial *serial)
{
	int byte;

	while (!loops_back(serial) && has_room(serial)) {
		byte = console_read(serial->console);
		if (byte < 0)
			return;
		put(serial, byte);
	}
}

void serial_receive(struct serial *serial)
{
	take(serial);
	update_line(serial);
}

static uint8_t get(struct serial *serial)
{
	struct serial_state *now = &serial->now;
	uint8_t byte = 0;

	if (now->used) {
		byte = now->received[now->first];
		now->first = (now->first + 1) % SERIAL_FIFO;
		now->used--;
	}
	serial_receive(serial);
	return byte;
}

/* Turning the FIFOs on or off empties them. */
static void control_fifo(struct serial *serial, uint8_t value)
{
	if ((value ^ serial->now.fifo) & UART_FCR_ENABLE_FIFO || value & UART_FCR_CLEAR_RCVR)
		serial->now.used = 0;
	serial->now.fifo = value & UART_FCR_ENABLE_FIFO ? value & FIFO_KEPT : 0;
	take(serial);
}

/* ---- Registers ---- */

static bool is_divisor(struct serial *serial, uint16_t reg)
{
	return serial->now.line & UART_LCR_DLAB && reg <= UART_DLM;
}

static void transmit(struct serial *serial, uint8_t value)
{
	if (loops_back(serial))
		put(serial, value);
	else
		console_write(serial->console, &value, 1);
	serial->now.empty = true;	/* again, at once */
}

void serial_out(struct serial *serial, uint16_t reg, uint8_t value)
{
	if (is_divisor(serial, reg)) {
		serial->now.divisor[reg] = value;
		return;
	}
	switch (reg) {
	case UART_TX:
		transmit(serial, value);
		break;
	case UART_IER:
		serial->now.interrupts = value & 0xf;
		serial->now.empty = true;
		break;
	case UART_FCR:
		control_fifo(serial, value);
		break;
	case UART_LCR:
		serial->now.line = value;
		break;
	case UART_MCR:
		serial->now.modem = value;
		take(serial);
		break;
	case UART_SCR:
		serial->now.scratch = value;
		break;
	}
	update_line(serial);
}

static uint8_t interrupt_cause(struct serial *serial)
{
	uint8_t cause = pending(serial);

	if (cause == UART_IIR_THRI) {
		serial->now.empty = false;	/* told */
		update_line(serial);
	}
	return cause | (has_fifo(serial) ? 0xc0 : 0);
}

static uint8_t line_status(struct serial *serial)
{
	uint8_t status = UART_LSR_TEMT | UART_LSR_THRE;

	if (serial->now.used)
		status |= UART_LSR_DR;
	if (serial->now.overrun)
		status |= UART_LSR_OE;
	serial->now.overrun = false;	/* told */
	update_line(serial);
	return status;
}

/* Loopback mode, which a driver's test uses, wires the modem's inputs to its outputs. */
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
	case UART_RX:
		return get(serial);
	case UART_IER:
		return serial->now.interrupts;
	case UART_IIR:
		return interrupt_cause(serial);
	case UART_LCR:
		return serial->now.line;
	case UART_MCR:
		return serial->now.modem;
	case UART_LSR:
		return line_status(serial);
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
	if (state->interrupts > 0xf || state->fifo & ~FIFO_KEPT || state->empty > 1 ||
	    state->raised > 1 || state->overrun > 1 || state->first >= SERIAL_FIFO ||
	    state->used > SERIAL_FIFO)
		return -EINVAL;
	serial->now = *state;
	return gmem_vm_set_irq(serial->vm, SERIAL_IRQ, !!state->raised);
}
