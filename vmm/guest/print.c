// SPDX-License-Identifier: MIT
#include "print.h"

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void print(const char *text)
{
	while (*text)
		out8(GUEST_PORT_CONSOLE, *text++);
}

static void print_digits(uint64_t number, unsigned int base)
{
	char text[24];
	char *at = &text[sizeof(text) - 1];

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	print(at);
}

void print_number(uint64_t number)
{
	print_digits(number, 10);
}

void print_hex(uint64_t number)
{
	print("0x");
	print_digits(number, 16);
}

void end(uint8_t status)
{
	for (;;)
		out8(GUEST_PORT_END, status);
}
