/* SPDX-License-Identifier: MIT */
/* The clock of a PC, an MC146818, with the time of day of the host; no alarm. */
#ifndef VMM_DEVICES_RTC_H
#define VMM_DEVICES_RTC_H

#include <stdint.h>

#define RTC_PORT	0x70	/* selects a register; its content is at the next port */
#define RTC_PORTS	2
#define RTC_REGISTERS	128

/*
 * struct rtc_state - all state of the device
 * @ahead: seconds by which the guest has set the clock ahead of the host's
 * @selected: register
 * @registers: as written; those of the time count only while the clock is being set
 */
struct rtc_state {
	int64_t ahead;
	uint8_t selected;
	uint8_t registers[RTC_REGISTERS];
	uint8_t reserved[7];
};

/* struct rtc - the device */
struct rtc {
	struct rtc_state now;
};

void rtc_init(struct rtc *rtc);

/* Port RTC_PORT + @reg. */
void rtc_out(struct rtc *rtc, uint16_t reg, uint8_t value);
uint8_t rtc_in(struct rtc *rtc, uint16_t reg);

/* Take over the state of another clock. -EINVAL: the state is invalid. */
int rtc_restore(struct rtc *rtc, const struct rtc_state *state);

#endif /* VMM_DEVICES_RTC_H */
