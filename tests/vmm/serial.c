// SPDX-License-Identifier: MIT
/* The serial port, register by register, without KVM. */
#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "devices/serial.h"
#include "devices/terminal.h"

static struct terminal_memory memory;
static struct terminal terminal;
static struct console console;
static struct serial serial;

/* A terminal that nobody looks at. */
static int begin(void **state)
{
	(void)state;
	terminal = (struct terminal){
		.lock = PTHREAD_MUTEX_INITIALIZER, .wake.fd = -1,
		.out.fd = -1, .client.fd = -1, .in.fd = -1, .memory = &memory,
	};
	console = (struct console){ .terminal = &terminal };
	serial = (struct serial){ .console = &console, .vm = -1 };
	return 0;
}

static void type(const char *text)
{
	terminal_type(&terminal, text, strlen(text));
	serial_receive(&serial);
}

static uint8_t cause(void)
{
	return serial_in(&serial, UART_IIR) & (UART_IIR_ID | UART_IIR_NO_INT);
}

static uint8_t status(void)
{
	return serial_in(&serial, UART_LSR);
}

static void nothing_typed(void **state)
{
	(void)state;
	serial_out(&serial, UART_IER, UART_IER_RDI | UART_IER_RLSI);
	assert_int_equal(cause(), UART_IIR_NO_INT);
	assert_false(status() & (UART_LSR_DR | UART_LSR_OE));
	assert_int_equal(serial_in(&serial, UART_RX), 0);
	assert_int_equal(serial.now.raised, false);
}

static void one_byte_without_a_fifo(void **state)
{
	(void)state;
	serial_out(&serial, UART_IER, UART_IER_RDI);
	type("abc");
	assert_int_equal(serial.now.used, 1);
	assert_int_equal(serial_in(&serial, UART_IIR), UART_IIR_RDI);
	assert_true(status() & UART_LSR_DR);
	assert_int_equal(serial_in(&serial, UART_RX), 'a');
	assert_true(serial.now.raised);
	assert_int_equal(serial_in(&serial, UART_RX), 'b');
	assert_int_equal(serial_in(&serial, UART_RX), 'c');
	assert_int_equal(cause(), UART_IIR_NO_INT);
	assert_false(serial.now.raised);
	assert_false(status() & UART_LSR_DR);
}

static void the_fifo_interrupts_at_its_level(void **state)
{
	static const uint8_t triggers[] = {
		UART_FCR_TRIGGER_1, UART_FCR_TRIGGER_4, UART_FCR_TRIGGER_8, UART_FCR_TRIGGER_14,
	};
	static const unsigned int levels[] = { 1, 4, 8, 14 };
	unsigned int i, n;

	(void)state;
	serial_out(&serial, UART_IER, UART_IER_RDI);
	for (i = 0; i < 4; i++) {
		serial_out(&serial, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR |
			   triggers[i]);
		assert_int_equal(serial_in(&serial, UART_IIR) & 0xc0, 0xc0);
		for (n = 1; n <= 16; n++) {
			type("x");
			assert_int_equal(serial.now.used, n);
			/* Below it, a timeout tells of them. */
			assert_int_equal(cause(), n < levels[i] ? 0x0c : UART_IIR_RDI);
		}
	}
	/* What does not fit waits, and is no overrun. */
	type("yz");
	assert_int_equal(serial.now.used, 16);
	assert_false(status() & UART_LSR_OE);
	for (n = 0; n < 16; n++)
		assert_int_equal(serial_in(&serial, UART_RX), 'x');
	assert_int_equal(serial_in(&serial, UART_RX), 'y');
	assert_int_equal(serial_in(&serial, UART_RX), 'z');
	assert_false(status() & UART_LSR_DR);
}

static void the_most_urgent_cause_is_told(void **state)
{
	(void)state;
	serial_out(&serial, UART_FCR, UART_FCR_ENABLE_FIFO);
	serial_out(&serial, UART_IER, UART_IER_RDI | UART_IER_THRI);
	type("a");
	assert_int_equal(cause(), UART_IIR_RDI);
	assert_int_equal(cause(), UART_IIR_RDI);
	serial_in(&serial, UART_RX);
	assert_int_equal(cause(), UART_IIR_THRI);
	assert_int_equal(cause(), UART_IIR_NO_INT);
	assert_false(serial.now.raised);
	serial_out(&serial, UART_TX, 'q');
	assert_true(serial.now.raised);
	assert_int_equal(cause(), UART_IIR_THRI);
}

static void it_overruns_in_loopback_only(void **state)
{
	int i;

	(void)state;
	serial_out(&serial, UART_FCR, UART_FCR_ENABLE_FIFO);
	serial_out(&serial, UART_IER, UART_IER_RLSI);
	serial_out(&serial, UART_MCR, UART_MCR_LOOP);
	type("t");
	assert_int_equal(serial.now.used, 0);	/* the line is not connected */
	for (i = 0; i < 16; i++)
		serial_out(&serial, UART_TX, 'a' + i);
	assert_int_equal(cause(), UART_IIR_NO_INT);
	serial_out(&serial, UART_TX, '!');
	assert_int_equal(cause(), UART_IIR_RLSI);
	assert_true(status() & UART_LSR_OE);
	assert_false(status() & UART_LSR_OE);
	assert_int_equal(cause(), UART_IIR_NO_INT);
	for (i = 0; i < 16; i++)
		assert_int_equal(serial_in(&serial, UART_RX), 'a' + i);
	assert_int_equal(console.now.used, 0);
	serial_out(&serial, UART_MCR, 0);
	assert_int_equal(serial_in(&serial, UART_RX), 't');
}

static void turning_the_fifo_off_empties_it(void **state)
{
	(void)state;
	serial_out(&serial, UART_FCR, UART_FCR_ENABLE_FIFO);
	type("abcd");
	assert_int_equal(serial.now.used, 4);
	serial_out(&serial, UART_FCR, 0);
	assert_int_equal(serial.now.used, 0);
	assert_int_equal(serial_in(&serial, UART_IIR) & 0xc0, 0);
}

static void states_that_cannot_be(void **state)
{
	struct serial_state wrong = { .first = SERIAL_FIFO };

	(void)state;
	assert_int_equal(serial_restore(&serial, &wrong), -EINVAL);
	wrong = (struct serial_state){ .used = SERIAL_FIFO + 1 };
	assert_int_equal(serial_restore(&serial, &wrong), -EINVAL);
	wrong = (struct serial_state){ .interrupts = 0x10 };
	assert_int_equal(serial_restore(&serial, &wrong), -EINVAL);
	wrong = (struct serial_state){ .fifo = UART_FCR_CLEAR_RCVR };
	assert_int_equal(serial_restore(&serial, &wrong), -EINVAL);
	wrong = (struct serial_state){ .used = 255, .first = 255 };
	assert_int_equal(serial_restore(&serial, &wrong), -EINVAL);
}

/* Any registers with any values, which the address sanitizer may look at. */
static void a_guest_that_writes_anything(void **state)
{
	unsigned int seed = 1, i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		if (!(rand_r(&seed) % 8))
			type("some text");
		if (rand_r(&seed) & 1)
			serial_out(&serial, rand_r(&seed) % SERIAL_PORTS, rand_r(&seed));
		else
			serial_in(&serial, rand_r(&seed) % SERIAL_PORTS);
		assert_true(serial.now.used <= SERIAL_FIFO && serial.now.first < SERIAL_FIFO);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup(function, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_typed),
		TEST(one_byte_without_a_fifo),
		TEST(the_fifo_interrupts_at_its_level),
		TEST(the_most_urgent_cause_is_told),
		TEST(it_overruns_in_loopback_only),
		TEST(turning_the_fifo_off_empties_it),
		TEST(states_that_cannot_be),
		TEST(a_guest_that_writes_anything),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
