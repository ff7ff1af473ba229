// SPDX-License-Identifier: MIT
/* Devices of a Linux guest, without a guest: registers, and state as sections. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/power.h"
#include "devices/rtc.h"
#include "machine/cpuid.h"
#include "machine/layout.h"
#include "machine/sections.h"

#define FUZZ_ROUNDS	100000

/* ---- Power ---- */

static void what_turns_it_off(void **state)
{
	struct power power = { .vm = -1 };
	unsigned int reg, value;

	(void)state;
	for (reg = 0; reg < POWER_PORTS; reg++) {
		for (value = 0; value < 256; value++) {
			enum power_request wanted = POWER_STAYS;

			if (reg == POWER_SLEEP_CONTROL && value == 0x34)
				wanted = POWER_GOES_OFF;
			if (reg == POWER_RESET && value == 1)
				wanted = POWER_RESETS;
			assert_int_equal(power_out(&power, reg, value), wanted);
		}
	}
}

static void the_button_is_told_once(void **state)
{
	struct power power = { .vm = -1, .now.events = POWER_EVENT_BUTTON };

	(void)state;
	assert_int_equal(power_in(&power, POWER_SLEEP_STATUS), 0);
	assert_int_equal(power_in(&power, POWER_EVENTS), POWER_EVENT_BUTTON);
	assert_int_equal(power_in(&power, POWER_EVENTS), 0);
	assert_int_equal(power_restore(&power, &(struct power_state){ 2 }), -EINVAL);
}

/* ---- The clock ---- */

static uint8_t get(struct rtc *rtc, uint8_t reg)
{
	rtc_out(rtc, 0, reg);
	return rtc_in(rtc, 1);
}

static void set(struct rtc *rtc, uint8_t reg, uint8_t value)
{
	rtc_out(rtc, 0, reg);
	rtc_out(rtc, 1, value);
}

static unsigned int bcd(uint8_t value)
{
	return (value >> 4) * 10 + (value & 0xf);
}

static time_t read_clock(struct rtc *rtc)
{
	struct tm day = {
		.tm_sec = bcd(get(rtc, 0)), .tm_min = bcd(get(rtc, 2)),
		.tm_hour = bcd(get(rtc, 4)), .tm_mday = bcd(get(rtc, 7)),
		.tm_mon = bcd(get(rtc, 8)) - 1,
		.tm_year = bcd(get(rtc, 0x32)) * 100 + bcd(get(rtc, 9)) - 1900,
	};

	return timegm(&day);
}

/* Within two seconds, but for the turn of a minute between two registers. */
static void is_about(struct rtc *rtc, time_t wanted)
{
	time_t first = read_clock(rtc), second = read_clock(rtc);

	assert_true(labs(first - wanted) <= 2 || labs(second - wanted) <= 2);
}

static void the_clock_has_the_hosts_time(void **state)
{
	struct rtc rtc;

	(void)state;
	rtc_init(&rtc);
	is_about(&rtc, time(NULL));
	assert_int_equal(get(&rtc, 0xa) & 0x80, 0);
	assert_int_equal(get(&rtc, 0xb), 2);
	assert_int_equal(get(&rtc, 0xc), 0);
	assert_int_equal(get(&rtc, 0xd), 0x80);
}

static void set_clock(struct rtc *rtc)
{
	set(rtc, 0xb, 0x82);
	set(rtc, 0, 0x30);
	set(rtc, 2, 0x59);
	set(rtc, 4, 0x23);
	set(rtc, 7, 0x28);
	set(rtc, 8, 0x02);
	set(rtc, 9, 0x24);
	set(rtc, 0x32, 0x20);
	set(rtc, 0xb, 0x02);
}

static void the_clock_can_be_set(void **state)
{
	struct rtc rtc, other;

	(void)state;
	rtc_init(&rtc);
	set_clock(&rtc);
	is_about(&rtc, 1709164770);	/* 2024-02-28 23:59:30 */
	rtc_init(&other);
	assert_int_equal(rtc_restore(&other, &rtc.now), 0);
	is_about(&other, 1709164770);
	/* A byte that is no time stays what was written. */
	set(&rtc, 0x40, 0xa5);
	assert_int_equal(get(&rtc, 0x40), 0xa5);
	/* In binary, and by halves of a day. */
	set(&rtc, 0xb, 0x06);
	assert_int_equal(get(&rtc, 2), 59);
	assert_int_equal(get(&rtc, 4), 23);
	set(&rtc, 0xb, 0x04);
	assert_int_equal(get(&rtc, 4), 0x80 | 11);
}

/* Whatever is written, the clock's state is one that can be restored. */
static void any_time_is_one(void **state)
{
	struct rtc rtc, other;
	unsigned int seed = 1, i;

	(void)state;
	rtc_init(&rtc);
	for (i = 0; i < FUZZ_ROUNDS; i++) {
		rtc_out(&rtc, rand_r(&seed) & 1, rand_r(&seed));
		rtc_in(&rtc, rand_r(&seed) & 1);
		if (i % 16)
			continue;
		assert_int_equal(rtc_restore(&other, &rtc.now), 0);
	}
	rtc.now.selected = 128;
	assert_int_equal(rtc_restore(&other, &rtc.now), -EINVAL);
	rtc_init(&rtc);
	rtc.now.ahead = INT64_MIN;
	assert_int_equal(rtc_restore(&other, &rtc.now), -EINVAL);
	rtc_init(&rtc);
	rtc.now.reserved[6] = 1;
	assert_int_equal(rtc_restore(&other, &rtc.now), -EINVAL);
}

/* ---- Sections ---- */

/* Three devices: one, two of a kind, and one that may be left out. */
static uint8_t one_saved = 1, one_loaded, two_loaded[2], spare_loaded;

static unsigned int count_two(const struct machine *machine)
{
	(void)machine;
	return 2;
}

static void save_one(const struct machine *machine, unsigned int i, void *state)
{
	(void)machine;
	*(uint8_t *)state = one_saved + i;
}

static int load_one(struct machine *machine, unsigned int i, const void *state)
{
	(void)machine;
	(void)i;
	one_loaded = *(uint8_t *)state;
	return one_loaded == 1 ? 0 : -EINVAL;
}

static int load_two(struct machine *machine, unsigned int i, const void *state)
{
	(void)machine;
	two_loaded[i] = *(uint8_t *)state;
	return 0;
}

static int load_spare(struct machine *machine, unsigned int i, const void *state)
{
	(void)machine;
	(void)i;
	spare_loaded = *(uint8_t *)state;
	return 0;
}

#define ONE	{ .name = "one", .version = 1, .size = 1, .save = save_one, .load = load_one }
#define TWO	{ .name = "two", .version = 7, .size = 9, .count = count_two, \
		  .save = save_one, .load = load_two }
#define SPARE	{ .name = "spare", .version = 1, .optional = 1, .size = 8, \
		  .save = save_one, .load = load_spare }

static const struct section table[] = { ONE, TWO, SPARE, { .name = NULL } };

/* struct saved - sections of that table, and room to change them */
struct saved {
	char bytes[512];
	size_t size;
};

/* Where each is: headers of 32 bytes, contents padded to 8. */
#define AT_ONE		0
#define AT_TWO_0	40
#define AT_TWO_1	88
#define AT_SPARE	136
#define AT_END		176

static struct saved save(void)
{
	struct machine machine = { .step = "" };
	struct saved saved;
	void *bytes;

	memset(&saved, 0, sizeof(saved));
	assert_int_equal(sections_save(table, &machine, &bytes, &saved.size), 0);
	assert_int_equal(saved.size, AT_END);
	memcpy(saved.bytes, bytes, saved.size);
	free(bytes);
	return saved;
}

static struct section_header *header(struct saved *saved, size_t at)
{
	return (struct section_header *)(saved->bytes + at);
}

static void loads(const struct section *with, const struct saved *saved, int wanted)
{
	struct machine machine = { .step = "" };

	one_loaded = 0;
	spare_loaded = 0;
	memset(two_loaded, 0, sizeof(two_loaded));
	assert_int_equal(sections_load(with, &machine, saved->bytes, saved->size), wanted);
	/* And a person is told why. */
	assert_int_equal(!!*machine.why, !!wanted);
}

static void what_is_saved_is_loaded(void **state)
{
	struct saved saved = save();

	(void)state;
	loads(table, &saved, 0);
	assert_int_equal(one_loaded, 1);
	assert_int_equal(two_loaded[0], 1);
	assert_int_equal(two_loaded[1], 2);
	assert_int_equal(spare_loaded, 1);
}

static void what_is_not_known(void **state)
{
	static const struct section no_spare[] = { ONE, TWO, { .name = NULL } };
	static const struct section no_two[] = { ONE, SPARE, { .name = NULL } };
	struct saved saved = save();

	(void)state;
	loads(no_spare, &saved, 0);	/* optional */
	loads(no_two, &saved, -EPROTONOSUPPORT);
	header(&saved, AT_SPARE)->version = 2;
	loads(table, &saved, 0);
	assert_int_equal(spare_loaded, 0);
	header(&saved, AT_ONE)->version = 2;
	loads(table, &saved, -EPROTONOSUPPORT);
}

static void what_is_missing(void **state)
{
	struct saved saved = save();

	(void)state;
	saved.size = AT_SPARE;
	loads(table, &saved, 0);	/* optional */
	saved.size = AT_TWO_1;
	loads(table, &saved, -EPROTO);
	saved.size = 0;
	loads(table, &saved, -EPROTO);
}

static void what_is_cut_short(void **state)
{
	struct saved saved = save();
	size_t size;

	(void)state;
	for (size = 1; size < AT_END; size++) {
		if (size == AT_TWO_0 || size == AT_TWO_1 || size == AT_SPARE)
			continue;
		saved.size = size;
		loads(table, &saved, -EBADMSG);
	}
	saved = save();
	header(&saved, AT_SPARE)->length = UINT32_MAX;
	loads(table, &saved, -EBADMSG);
	header(&saved, AT_SPARE)->length = 9;
	loads(table, &saved, -EBADMSG);
}

#define DAMAGED(error, change) do {		\
	struct saved saved = save();		\
						\
	change;					\
	loads(table, &saved, error);		\
} while (0)

static void what_is_damaged(void **state)
{
	(void)state;
	DAMAGED(-EPROTO, saved.bytes[AT_ONE] = '\n');
	DAMAGED(-EPROTO, saved.bytes[AT_ONE] = '\0');
	DAMAGED(-EPROTO, saved.bytes[AT_ONE + 15] = 'x');
	DAMAGED(-EPROTO, memset(saved.bytes, 'x', SECTION_NAME));
	DAMAGED(-EPROTO, header(&saved, AT_ONE)->flags = 2);
	DAMAGED(-EPROTO, header(&saved, AT_ONE)->number = 1);
	DAMAGED(-EPROTO, header(&saved, AT_ONE)->length = 2);
	DAMAGED(-EPROTO, saved.bytes[AT_ONE + 32] = 2);
	/* In another order, and twice. */
	DAMAGED(-EPROTO, header(&saved, AT_TWO_0)->number = 1);
	DAMAGED(-EPROTO, memcpy(saved.bytes + AT_END, saved.bytes, 40); saved.size += 40);
}

static void any_bytes(void **state)
{
	unsigned int seed = 1, taken = 0;
	size_t i, n;

	(void)state;
	for (i = 0; i < FUZZ_ROUNDS; i++) {
		struct machine machine = { .step = "" };
		struct saved saved = save();

		for (n = 0; n < 1 + i % 4; n++)
			saved.bytes[rand_r(&seed) % AT_END] = rand_r(&seed);
		saved.size = i % 8 ? AT_END : rand_r(&seed) % AT_END;
		taken += !sections_load(table, &machine, saved.bytes, saved.size);
	}
	assert_in_range(taken, 1, FUZZ_ROUNDS - 1);
}

/* ---- Memory and processors ---- */

static void memory_goes_around_the_hole(void **state)
{
	struct gmem_slot slots[MACHINE_RAM_SLOTS];

	(void)state;
	assert_int_equal(machine_ram_slots(64 << 20, slots), 1);
	assert_int_equal(slots[0].size, 64 << 20);
	assert_int_equal(machine_ram_slots(3UL << 30, slots), 1);
	assert_int_equal(slots[0].size, 3UL << 30);
	assert_int_equal(machine_ram_slots((3UL << 30) + (2 << 20), slots), 2);
	assert_int_equal(slots[0].size, 3UL << 30);
	assert_int_equal(slots[1].size, 2 << 20);
	assert_int_equal(slots[1].gpa, 4UL << 30);
	assert_int_equal(slots[1].private_offset, 3UL << 30);
	assert_int_equal(slots[1].shared_offset, 3UL << 30);
}

/* As the processor at hand would be told, but for what is put in. */
static struct kvm_cpuid_entry2 leaf(union cpuid_table *table, uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < table->cpuid.nent; i++)
		if (table->cpuid.entries[i].function == function &&
		    table->cpuid.entries[i].index == index)
			return table->cpuid.entries[i];
	return (struct kvm_cpuid_entry2){ 0 };
}

static void place(union cpuid_table *table, uint32_t id, uint32_t nr)
{
	static const struct kvm_cpuid_entry2 supported[] = {
		{ .function = 0, .eax = 0x1f },
		{ .function = 1, .ebx = 0xaabbccdd },
		{ .function = 4, .index = 0, .eax = 0xffffc021 },	/* level 1 */
		{ .function = 4, .index = 3, .eax = 0x163 },		/* level 3 */
		{ .function = 0xb, .index = 0, .eax = 5, .ebx = 99, .edx = 77 },
		{ .function = 0xb, .index = 9 },
		{ .function = 0x80000001, .ecx = 4 },
		{ .function = 0x80000008, .eax = 48, .ecx = 0xffffffff },
		{ .function = 0x8000001d, .index = 3, .eax = 0x163 },
		{ .function = 0x8000001e, .eax = 77, .ebx = 0x177, .ecx = 0x303 },
		{ .function = 0x80000026, .eax = 1, .ebx = 2 },
	};
	const struct cpuid_place where = { .id = id, .nr_vcpus = nr, .deadline = true };

	memset(table, 0, sizeof(*table));
	table->cpuid.nent = sizeof(supported) / sizeof(supported[0]);
	memcpy(table->cpuid.entries, supported, sizeof(supported));
	assert_int_equal(cpuid_address_bits(table), 48);
	assert_int_equal(cpuid_place(table, &where), 0);
}

static void processors_know_their_place(void **state)
{
	static const struct { uint32_t nr, bits; } machines[] = {
		{ 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 63, 6 }, { 64, 6 },
	};
	union cpuid_table table;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		uint32_t nr = machines[i].nr, bits = machines[i].bits, id = nr - 1;

		place(&table, id, nr);
		assert_int_equal(leaf(&table, 1, 0).ebx >> 24, id);
		assert_int_equal(leaf(&table, 1, 0).ebx >> 16 & 0xff, 1 << bits);
		assert_int_equal(leaf(&table, 1, 0).ebx & 0xffff, 0xccdd);
		assert_int_equal(leaf(&table, 1, 0).ecx, 1U << 31 | 1 << 24 | 1 << 21);
		assert_int_equal(leaf(&table, 1, 0).edx >> 28 & 1, nr > 1);
		assert_int_equal(leaf(&table, 4, 0).eax >> 26, (1 << bits) - 1);
		assert_int_equal(leaf(&table, 4, 0).eax >> 14 & 0xfff, 0);
		assert_int_equal(leaf(&table, 4, 3).eax >> 14 & 0xfff, (1 << bits) - 1);
		assert_int_equal(leaf(&table, 0xb, 0).ebx, 1);
		assert_int_equal(leaf(&table, 0xb, 0).eax, 0);
		assert_int_equal(leaf(&table, 0xb, 0).edx, id);
		assert_int_equal(leaf(&table, 0xb, 1).eax, bits);
		assert_int_equal(leaf(&table, 0xb, 1).ebx, nr);
		assert_int_equal(leaf(&table, 0xb, 1).ecx, 0x201);
		assert_int_equal(leaf(&table, 0xb, 1).edx, id);
		assert_int_equal(leaf(&table, 0xb, 2).ecx >> 8, 0);
		assert_int_equal(leaf(&table, 0x1f, 1).ebx, nr);
		assert_int_equal(leaf(&table, 0x80000001, 0).ecx, nr > 1 ? 6 : 4);
		assert_int_equal(leaf(&table, 0x80000008, 0).ecx & 0xff, nr - 1);
		assert_int_equal(leaf(&table, 0x80000008, 0).ecx >> 12 & 0xf, bits);
		assert_int_equal(leaf(&table, 0x8000001d, 3).eax >> 14 & 0xfff, (1 << bits) - 1);
		assert_int_equal(leaf(&table, 0x8000001e, 0).eax, id);
		assert_int_equal(leaf(&table, 0x8000001e, 0).ebx, id);
		assert_int_equal(leaf(&table, 0x8000001e, 0).ecx, 0);
		assert_int_equal(leaf(&table, 0x80000026, 0).ebx, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_turns_it_off),
		cmocka_unit_test(the_button_is_told_once),
		cmocka_unit_test(the_clock_has_the_hosts_time),
		cmocka_unit_test(the_clock_can_be_set),
		cmocka_unit_test(any_time_is_one),
		cmocka_unit_test(what_is_saved_is_loaded),
		cmocka_unit_test(what_is_not_known),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(what_is_cut_short),
		cmocka_unit_test(what_is_damaged),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(memory_goes_around_the_hole),
		cmocka_unit_test(processors_know_their_place),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
