/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DEMANDS_H
#define BENCH_DEMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "samples.h"

/*
 * struct demand - one of them; a rate's ratio is that of times, reversed
 * @base_x: growth of ours from here, at most the limit; 0: a rate, at least that
 * @base_series: the rate of ours against this, in the same boots; NULL: against stock
 * @limit: 0: told for comparison, nothing is demanded
 */
struct demand {
	const char *text;
	const char *measurement;
	const char *series;
	uint64_t x;
	uint64_t base_x;
	const char *base_series;
	double limit;
};

extern const struct demand demands[];
extern const size_t nr_demands;

/* What a measurement's name ends in, by the clock: time, then instructions. */
#define NR_CLOCKS 2
extern const char *const clock_suffixes[NR_CLOCKS];

/* NULL where there is none with this text. */
const struct demand *demand_find(const char *text);

/* Returns -1 where it was not measured. */
int demand_ratio(const struct samples *s, const struct demand *d, const char *suffix,
		 struct ratio *ratio);

int demand_is_met(const struct demand *d, const struct ratio *ratio, double limit);

#endif /* BENCH_DEMANDS_H */
