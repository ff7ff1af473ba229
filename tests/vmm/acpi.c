// SPDX-License-Identifier: MIT
/* The tables that a Linux guest gets, byte for byte, and as decoded by Debian's iasl. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/acpi.h"
#include "devices/pci.h"
#include "devices/power.h"
#include "devices/rtc.h"
#include "devices/serial.h"
#include "machine/layout.h"
#include "machine/machine.h"

#define GPA	0xe0000U

static uint8_t bytes[ACPI_SIZE];

static uint64_t number(const uint8_t *at, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

static uint8_t sum(const uint8_t *at, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total += *at++;
	return total;
}

/* A table at an address: it is inside, and its sum is right. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *table = bytes + (gpa - GPA);
	uint32_t size;

	assert_in_range(gpa, GPA, GPA + ACPI_SIZE - 36);
	size = number(table + 4, 4);
	assert_in_range(size, 36, GPA + ACPI_SIZE - gpa);
	assert_int_equal(sum(table, size), 0);
	assert_memory_equal(table, signature, 4);
	return table;
}

static const uint8_t *xsdt(void)
{
	assert_memory_equal(bytes, "RSD PTR ", 8);
	assert_int_equal(sum(bytes, 20), 0);
	assert_int_equal(sum(bytes, 36), 0);
	assert_int_equal(bytes[15], 2);
	assert_int_equal(number(bytes + 20, 4), 36);
	return table_at(number(bytes + 24, 8), "XSDT");
}

static const uint8_t *table(const char *signature)
{
	const uint8_t *root = xsdt();
	uint32_t nr = (number(root + 4, 4) - 36) / 8, i;

	if (!strcmp(signature, "DSDT"))
		return table_at(number(table("FACP") + 140, 8), signature);
	for (i = 0; i < nr; i++) {
		uint64_t gpa = number(root + 36 + 8 * i, 8);

		if (!memcmp(bytes + (gpa - GPA), signature, 4))
			return table_at(gpa, signature);
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void processors(unsigned int nr)
{
	const uint8_t *madt, *at, *end;
	unsigned int cpus = 0, ioapics = 0;

	acpi_make(bytes, GPA, nr);
	madt = table("APIC");
	assert_int_equal(number(madt + 36, 4), LAPIC_ADDRESS);
	end = madt + number(madt + 4, 4);
	for (at = madt + 44; at < end; at += at[1]) {
		assert_true(at[1] >= 6 && at[1] <= end - at);
		if (at[0] == 0) {
			assert_int_equal(at[2], cpus);
			assert_int_equal(at[3], cpus++);
			assert_int_equal(number(at + 4, 4), 1);
		}
		if (at[0] == 1) {
			assert_int_equal(number(at + 4, 4), IOAPIC_ADDRESS);
			assert_int_equal(number(at + 8, 4), 0);
			ioapics++;
		}
	}
	assert_ptr_equal(at, end);
	assert_int_equal(cpus, nr);
	assert_int_equal(ioapics, 1);
}

static void the_processors_are_told(void **state)
{
	unsigned int nr;

	(void)state;
	for (nr = 1; nr <= MACHINE_VCPUS; nr++)
		processors(nr);
}

static void is_port(const uint8_t *address, unsigned int port)
{
	assert_int_equal(address[0], 1);
	assert_int_equal(address[1], 8);
	assert_int_equal(address[3], 1);
	assert_int_equal(number(address + 4, 8), port);
}

static void the_hardware_is_reduced(void **state)
{
	const uint8_t *fadt;

	(void)state;
	acpi_make(bytes, GPA, 1);
	fadt = table("FACP");
	assert_int_equal(number(fadt + 4, 4), 276);
	assert_int_equal(number(fadt + 112, 4), 1 << 20 | 1 << 10);
	is_port(fadt + 116, POWER_PORT + POWER_RESET);
	assert_int_equal(fadt[128], POWER_RESET_VALUE);
	is_port(fadt + 244, POWER_PORT + POWER_SLEEP_CONTROL);
	is_port(fadt + 256, POWER_PORT + POWER_SLEEP_STATUS);
	assert_int_equal(number(fadt + 40, 4), number(fadt + 140, 8));
}

/* ---- By iasl ---- */

static char dir[32];

static void write_table(const char *name, const uint8_t *content)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(content, number(content + 4, 4), 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

static void run(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "cd %s && %s >log 2>&1 || { cat log; false; }", dir, command);
	assert_int_equal(system(line), 0);
}

/* How often what iasl has made of a table has a text. */
static unsigned int has(const char *name, const char *text)
{
	static char content[1 << 18];
	unsigned int times = 0;
	const char *at = content;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	assert_non_null(file);
	content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
	fclose(file);
	while ((at = strstr(at, text))) {
		times++;
		at++;
	}
	return times;
}

static void says(const char *format, unsigned long value)
{
	char text[64];

	snprintf(text, sizeof(text), format, value);
	if (!has("dsdt.dsl", text))
		fail_msg("the DSDT does not have: %s", text);
}

static int begin(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/gmem-acpi-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "rm -r %s", dir);
	return system(line);
}

/* Taken apart and put together, they are what they were, as far as iasl can tell. */
static void iasl_takes_them_apart(void **state)
{
	(void)state;
	acpi_make(bytes, GPA, MACHINE_VCPUS);
	write_table("dsdt.aml", table("DSDT"));
	write_table("ssdt.aml", table("SSDT"));
	write_table("apic.aml", table("APIC"));
	write_table("facp.aml", table("FACP"));
	run("iasl -d dsdt.aml && iasl -d ssdt.aml && iasl -d apic.aml && iasl -d facp.aml");
	/* The header has a compiler's name: that is iasl then. */
	run("for t in dsdt ssdt; do cp $t.aml $t.was && iasl -we -oa $t.dsl && "
	    "cmp -i 36 $t.aml $t.was || exit 1; done");
	run("for t in apic facp; do cp $t.aml $t.was && iasl -we $t.dsl && "
	    "cmp -i 36 $t.aml $t.was || exit 1; done");
	assert_int_equal(has("apic.dsl", "Unknown"), 0);
	assert_int_equal(has("facp.dsl", "Hardware Reduced (V5) : 1"), 1);
	assert_int_equal(has("ssdt.dsl", "Device (C0"), MACHINE_VCPUS);
	assert_int_equal(has("ssdt.dsl", "\"ACPI0007\""), MACHINE_VCPUS);
	assert_int_equal(has("ssdt.dsl", "Device (C03F)"), 1);
}

static void addresses_are_those_of_the_devices(void **state)
{
	(void)state;
	acpi_make(bytes, GPA, 1);
	write_table("dsdt.aml", table("DSDT"));
	run("iasl -d dsdt.aml");
	says("0x%08lX,         // Range Minimum\n", PCI_WINDOW);
	says("0x%08lX,         // Range Maximum\n", PCI_WINDOW + PCI_WINDOW_SIZE - 1);
	says("0x%08lX,         // Length\n", PCI_WINDOW_SIZE);
	says("0x%04lX,             // Range Minimum\n", PCI_PORT);
	says("0x%04lX,             // Range Minimum\n", SERIAL_PORT);
	says("0x%04lX,             // Range Minimum\n", RTC_PORT);
	says("0x%04lX,             // Range Minimum\n", POWER_PORT);
	says("SystemIO, 0x%04lX, One)", POWER_PORT + POWER_EVENTS);
	says("0x%08lX,\n", SERIAL_IRQ);
	says("0x%08lX,\n", POWER_IRQ);
	says("// _S5_: S5 System State\n    {\n        0x%02lX,", POWER_OFF_KIND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_processors_are_told),
		cmocka_unit_test(the_hardware_is_reduced),
		cmocka_unit_test_setup_teardown(iasl_takes_them_apart, begin, end),
		cmocka_unit_test_setup_teardown(addresses_are_those_of_the_devices, begin, end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
