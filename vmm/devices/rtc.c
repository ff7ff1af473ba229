// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "devices/rtc.h"

/* Registers */
enum {
	SECOND = 0, MINUTE = 2, HOUR = 4, WEEKDAY = 6, DAY, MONTH, YEAR,
	CONTROL_A, CONTROL_B, FLAGS_C, VALID_D, CENTURY = 0x32
};

#define A_UPDATING	0x80	/* for an instant, which has passed here */
#define A_32_KHZ	0x26	/* as firmware leaves it */
#define B_SETTING	0x80	/* the time stands still, to be written */
#define B_BINARY	0x04
#define B_24_HOURS	0x02
#define D_VALID		0x80	/* the battery is good */
#define HOUR_PM		0x80

/* More than the digits in the registers can express. */
#define AHEAD_MOST	(INT64_C(1) << 40)

static bool is_time(uint8_t reg)
{
	return reg == SECOND || reg == MINUTE || reg == HOUR || reg == CENTURY ||
	       (reg >= WEEKDAY && reg <= YEAR);
}

static uint8_t encode(const struct rtc *rtc, unsigned int value)
{
	if (rtc->now.registers[CONTROL_B] & B_BINARY)
		return value;
	return value / 10 % 10 << 4 | value % 10;
}

static unsigned int decode(const struct rtc *rtc, uint8_t value)
{
	if (rtc->now.registers[CONTROL_B] & B_BINARY)
		return value;
	return (value >> 4) * 10 + (value & 0xf);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned int hour)
{
	if (rtc->now.registers[CONTROL_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned int decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->now.registers[CONTROL_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Write the time of day into the registers. */
static void show(struct rtc *rtc)
{
	uint8_t *registers = rtc->now.registers;
	time_t seconds = time(NULL) + rtc->now.ahead;
	struct tm day;

	if (!gmtime_r(&seconds, &day))
		return;
	registers[SECOND] = encode(rtc, day.tm_sec);
	registers[MINUTE] = encode(rtc, day.tm_min);
	registers[HOUR] = encode_hour(rtc, day.tm_hour);
	registers[WEEKDAY] = encode(rtc, day.tm_wday + 1);
	registers[DAY] = encode(rtc, day.tm_mday);
	registers[MONTH] = encode(rtc, day.tm_mon + 1);
	registers[YEAR] = encode(rtc, day.tm_year % 100);
	registers[CENTURY] = encode(rtc, (day.tm_year + 1900) / 100);
}

/* The reverse. Any values that the guest has written give some time. */
static void take(struct rtc *rtc)
{
	const uint8_t *registers = rtc->now.registers;
	struct tm day = {
		.tm_sec = decode(rtc, registers[SECOND]),
		.tm_min = decode(rtc, registers[MINUTE]),
		.tm_hour = decode_hour(rtc, registers[HOUR]),
		.tm_mday = decode(rtc, registers[DAY]),
		.tm_mon = (int)decode(rtc, registers[MONTH]) - 1,
		.tm_year = (int)(decode(rtc, registers[CENTURY]) * 100 +
				 decode(rtc, registers[YEAR])) - 1900,
	};

	rtc->now.ahead = timegm(&day) - time(NULL);
}

void rtc_init(struct rtc *rtc)
{
	*rtc = (struct rtc){ 0 };
	rtc->now.registers[CONTROL_A] = A_32_KHZ;
	rtc->now.registers[CONTROL_B] = B_24_HOURS;
}

static void write_control_b(struct rtc *rtc, uint8_t value)
{
	bool was = rtc->now.registers[CONTROL_B] & B_SETTING;

	/* The new form of the digits counts from now on. */
	rtc->now.registers[CONTROL_B] = value;
	if (!was && value & B_SETTING)
		show(rtc);
	else if (was && !(value & B_SETTING))
		take(rtc);
}

void rtc_out(struct rtc *rtc, uint16_t reg, uint8_t value)
{
	uint8_t selected = rtc->now.selected;

	if (!reg) {
		rtc->now.selected = value % RTC_REGISTERS;	/* bit 7 is the NMI's mask */
		return;
	}
	switch (selected) {
	case CONTROL_A:
		rtc->now.registers[CONTROL_A] = value & ~A_UPDATING;
		break;
	case CONTROL_B:
		write_control_b(rtc, value);
		break;
	case FLAGS_C:
	case VALID_D:
		break;
	default:
		rtc->now.registers[selected] = value;
		break;
	}
}

uint8_t rtc_in(struct rtc *rtc, uint16_t reg)
{
	uint8_t selected = rtc->now.selected;

	if (!reg)
		return 0xff;	/* only written */
	if (selected == FLAGS_C)
		return 0;
	if (selected == VALID_D)
		return D_VALID;
	if (is_time(selected) && !(rtc->now.registers[CONTROL_B] & B_SETTING))
		show(rtc);
	return rtc->now.registers[selected];
}

int rtc_restore(struct rtc *rtc, const struct rtc_state *state)
{
	static const uint8_t zero[sizeof(state->reserved)];

	if (state->ahead > AHEAD_MOST || state->ahead < -AHEAD_MOST ||
	    state->selected >= RTC_REGISTERS ||
	    state->registers[CONTROL_A] & A_UPDATING ||
	    memcmp(state->reserved, zero, sizeof(zero)))
		return -EINVAL;
	rtc->now = *state;
	return 0;
}
