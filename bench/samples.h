/* SPDX-License-Identifier: MIT */
/*
 * Samples of many boots, and what is told of them.
 *
 * The file has lines of six fields, separated by tabs: kind of modules, number
 * of the boot, measurement, series, x, nanoseconds. A measurement whose name
 * ends in "-instructions" has those instead, one with "-switches" in its name
 * has context switches, one with "-pages-" pages, one with "-exits" exits of vCPUs, one with
 * "-bytes" bytes. Lines that begin with "# " are facts about the run: a word, and the rest.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_BOOTS 64

enum kind { STOCK, OURS, NR_KINDS };

extern const char *const kind_names[NR_KINDS];

/*
 * struct times - one kind of modules at one point: a median for each boot
 * @samples: as read, @nr_samples of them; gone when the boots are made
 * @boot_of: the boot of each sample
 * @boots: the medians, by number of the boot; 0 where a boot has none
 * @nr_boots: boots that have one
 * @median, @min, @max: of the boots' medians
 */
struct times {
	double *samples;
	unsigned int *boot_of;
	size_t nr_samples;
	double boots[MAX_BOOTS];
	unsigned int nr_boots;
	double median, min, max;
};

/*
 * struct point - what was measured at one x of one series
 * @series_order: the same for all points of a series, later for later ones
 */
struct point {
	char *measurement;
	char *series;
	uint64_t x;
	size_t series_order;
	struct times times[NR_KINDS];
};

/*
 * struct ratio - two points against each other
 * @median: of one median to the other
 * @min, @max: of the ratios boot by boot, where both have such a boot
 */
struct ratio {
	double median, min, max;
};

struct fact {
	char *name;
	char *value;
};

/* Points are in the order of the series in the file, and of x in a series. */
struct samples {
	struct point *points;
	size_t nr_points;
	struct fact *facts;
	size_t nr_facts;
};

/* Read a file; the end of the program where it is not one of samples. */
void samples_read(struct samples *s, const char *path);

const struct point *samples_find(const struct samples *s, const char *measurement,
				 const char *series, uint64_t x);

/* The first point of a point's series: what its growth is told against. */
const struct point *samples_first(const struct samples *s, const struct point *p);

/* Returns 0, or -1 where one of them has no samples. */
int ratio_of(const struct times *a, const struct times *b, struct ratio *ratio);

/* What a measurement counts; NULL where it takes time. */
const char *counted_unit(const char *measurement);

/* x for a person: bytes from 64 KiB on. */
const char *format_x(uint64_t x, char *buffer, size_t size);

/* ---- Reports (table.c, plot.c, check.c) ---- */

void table_print(const struct samples *s, FILE *out);
void json_print(const struct samples *s, FILE *out);

/*
 * Hold what was measured against the floors of a file. Returns 0, or -1 where one does not
 * hold or was not measured; the end of the program where it is no file of floors.
 */
int check_floors(const struct samples *s, const char *path, FILE *out);

/* One SVG file a measurement, DIRECTORY/MEASUREMENT.svg. */
void plot_all(const struct samples *s, const char *directory);

#endif /* BENCH_SAMPLES_H */
