// SPDX-License-Identifier: MIT
/* What was measured, as tables for a person and as JSON for a program. */
#include <inttypes.h>
#include <string.h>

#include "linux-guest.h"
#include "samples.h"

#define GIB (1ULL << 30)
#define MIB (1ULL << 20)

/*
 * What is demanded of speed; looked at by time, and by instructions. A rate's
 * ratio is that of times, reversed.
 * @base_x: growth of ours from here, at most the limit; 0: a rate, at least that
 * @base_series: the rate of ours against this, in the same boots; NULL: against stock
 * @limit: 0: told for comparison, nothing is demanded
 */
static const struct demand {
	const char *text;
	const char *measurement;
	const char *series;
	uint64_t x;
	uint64_t base_x;
	const char *base_series;
	double limit;
} demands[] = {
	{ "link + bind of 4 GiB takes at most 2x of 4 MiB", "bind", "link + bind",
	  4 * GIB, 4 * MIB, NULL, 2.0 },
	{ "link + bind of 4 GiB, 64 MiB resident, takes at most 2x of 4 MiB", "bind",
	  "link + bind, 64 MiB resident", 4 * GIB, 4 * MIB, NULL, 2.0 },
	{ "setting every other page of 1 GiB at least 0.83 of stock's rate", "attrs",
	  "set every other page, a call", GIB, 0, NULL, 0.83 },
	{ "setting one page in 2 MiB of 4 GiB at least 0.83 of stock's rate", "attrs",
	  "set one page in 2 MiB, a call", 4 * GIB, 0, NULL, 0.83 },
	{ "setting one page, and back, at least 0.83 of stock's rate", "attrs",
	  "set one page, and back, a call", 4 * GIB, 0, NULL, 0.83 },
	{ "a new memslot of 1 GiB, every other page private, at least 0.83 of stock's rate",
	  "attrs", "new memslot, every other page", GIB, 0, NULL, 0.83 },
	{ "memory of 1 GiB's attributes, every other page, stock's to ours at least 0.83",
	  "attrs-bytes", "every other page", GIB, 0, NULL, 0.83 },
	{ "memory of 4 GiB's attributes, one page in 2 MiB, stock's to ours at least 0.83",
	  "attrs-bytes", "one page in 2 MiB", 4 * GIB, 0, NULL, 0.83 },
	{ "fault-in rate of 1 vCPU at least 0.95 of stock", "fault",
	  "first touch of a page, by vCPUs", 1, 0, NULL, 0.95 },
	{ "fault-in rate of 2 vCPUs at least 0.95 of stock", "fault",
	  "first touch of a page, by vCPUs", 2, 0, NULL, 0.95 },
	{ "moving 1 GiB, 64 MiB mapped, at most 1.2x of nothing mapped any more", "move",
	  "move, by what is mapped", 64 * MIB, GIB, "nothing mapped any more", 1.2 },
	{ "moving 1 GiB, all mapped, at most 1.2x of nothing mapped any more", "move",
	  "move, by what is mapped", GIB, GIB, "nothing mapped any more", 1.2 },
	{ "moving 64 GiB, one page in 2 MiB mapped, at most 1.2x of nothing mapped any more",
	  "move", "one page in 2 MiB mapped", 64 * GIB, 64 * GIB, "nothing mapped any more", 1.2 },
	{ "moving 1 GiB with vCPUs, all mapped, at most 1.2x of nothing mapped any more", "move",
	  "with vCPUs, by what is mapped", GIB, GIB, "with vCPUs, nothing mapped any more", 1.2 },
	{ "moving 1 GiB, all mapped, to a guest that has never run", "move",
	  "move, by what is mapped", GIB, GIB, "nothing mapped", 0 },
	{ "populating 1 GiB by gpa at least 0.8 of memcpy's rate", "populate",
	  "populate by gpa", GIB, 0, "memcpy", 0.8 },
	{ "populating 1 GiB by handle at least 0.8 of memcpy's rate", "populate",
	  "populate by handle", GIB, 0, "memcpy", 0.8 },
	{ "populating 1 GiB by gpa at least 0.8 of memcpy's rate, 2 threads", "populate",
	  "populate by gpa, 2 threads", GIB, 0, "memcpy, 2 threads", 0.8 },
	{ "populating 1 GiB by handle, to memcpy's rate, with init_on_alloc=0",
	  "populate-uncleared", "populate by handle", GIB, 0, "memcpy", 0 },
	{ "populating 1 GiB by handle, to memcpy's rate into fresh pages of 4 KiB", "populate",
	  "populate by handle", GIB, 0, "memcpy, fresh pages of 4 KiB", 0 },
	{ "populating 1 GiB by handle, to memcpy's rate into fresh pages of 2 MiB", "populate",
	  "populate by handle", GIB, 0, "memcpy, fresh pages of 2 MiB", 0 },
	{ "populating 1 GiB by handle, to UFFDIO_COPY's rate", "populate",
	  "populate by handle", GIB, 0, "UFFDIO_COPY", 0 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), in order, 1 vCPU", "pager",
	  "pager, ring, in order", 1, 0, "userfaultfd, MISSING, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), in order, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, in order", 1, 0, "userfaultfd, MISSING, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), in order, 1 vCPU", "pager",
	  "pager, ring, in order", 1, 0, "userfaultfd, MINOR, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), in order, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, in order", 1, 0, "userfaultfd, MINOR, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), random, 1 vCPU", "pager",
	  "pager, ring, random", 1, 0, "userfaultfd, MISSING, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), random, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, random", 1, 0, "userfaultfd, MISSING, random", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), random, 1 vCPU", "pager",
	  "pager, ring, random", 1, 0, "userfaultfd, MINOR, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), random, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, random", 1, 0, "userfaultfd, MINOR, random", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), in order, 2 vCPUs", "pager",
	  "pager, ring, in order", 2, 0, "userfaultfd, MISSING, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), in order, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, in order", 2, 0, "userfaultfd, MISSING, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), in order, 2 vCPUs", "pager",
	  "pager, ring, in order", 2, 0, "userfaultfd, MINOR, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), in order, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, in order", 2, 0, "userfaultfd, MINOR, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), random, 2 vCPUs", "pager",
	  "pager, ring, random", 2, 0, "userfaultfd, MISSING, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), random, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, random", 2, 0, "userfaultfd, MISSING, random", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), random, 2 vCPUs", "pager",
	  "pager, ring, random", 2, 0, "userfaultfd, MINOR, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), random, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, random", 2, 0, "userfaultfd, MINOR, random", 5 },
	{ "restoring a guest that has used 16 MiB: on demand, to all populated", "snapshot",
	  "on demand", 16 * MIB, 0, "populated before it runs", 0 },
	{ "restoring a guest that has used 160 MiB: on demand, to all populated", "snapshot",
	  "on demand", 160 * MIB, 0, "populated before it runs", 0 },
	{ "restoring a guest that has used 16 MiB: with its set, to on demand", "snapshot",
	  "on demand, with its working set", 16 * MIB, 0, "on demand", 0 },
	{ "restoring a guest that has used 160 MiB: with its set, to on demand", "snapshot",
	  "on demand, with its working set", 160 * MIB, 0, "on demand", 0 },
	{ "restoring one of 16 MiB: CPU time on demand, to all populated", "snapshot-cpu",
	  "on demand", 16 * MIB, 0, "populated before it runs", 0 },
	{ "restoring one of 160 MiB: CPU time on demand, to all populated", "snapshot-cpu",
	  "on demand", 160 * MIB, 0, "populated before it runs", 0 },
	{ "gmem run: start to the guest's first process, at least QEMU's rate", "linux-start",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: an idle guest's exits, QEMU's to ours at least 1", "linux-idle-exits",
	  "gmem run", 5, 0, "QEMU microvm", 1 },
	{ "gmem run: memory of the VMM, QEMU's to ours at least 1", "linux-memory-bytes",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: reads of 4 KiB in order, at least QEMU's rate", "linux-read-in-order",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: reads of 4 KiB at random, at least QEMU's rate", "linux-read-random",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: writes of 4 KiB in order, at least QEMU's rate", "linux-write-in-order",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: writes of 4 KiB at random, at least QEMU's rate", "linux-write-random",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: TCP from the guest by a tap, at least 0.9 of QEMU's rate",
	  "linux-tcp-from-guest", "gmem run", LINUX_STREAM, 0, "QEMU microvm", 0.9 },
	{ "gmem run: TCP to the guest by a tap, at least 0.9 of QEMU's rate",
	  "linux-tcp-to-guest", "gmem run", LINUX_STREAM, 0, "QEMU microvm", 0.9 },
	{ "gmem pager on a slow disk: all of 64 MiB, by io_uring, to pread(2)", "disk-all",
	  "uring", 64 * MIB, 0, "read", 0 },
	{ "gmem pager on a slow disk: on demand by 16 pages, in order, by io_uring, to pread(2)",
	  "disk-demand", "uring, in order", 16, 0, "read, in order", 0 },
	{ "gmem pager on a slow disk: on demand by 16 pages, random, by io_uring, to pread(2)",
	  "disk-demand", "uring, random", 16, 0, "read, random", 0 },
	{ "gmem pager on a slow disk: one read, p50, by io_uring, to pread(2)", "disk-p50",
	  "uring, nothing else is read", 1, 0, "read, nothing else is read", 0 },
	{ "gmem pager on a slow disk: one read while all is given, p50", "disk-p50",
	  "uring, while all is given", 1, 0, "read, while all is given", 0 },
	{ "gmem pager on a slow disk: one read while all is given, p99", "disk-p99",
	  "uring, while all is given", 1, 0, "read, while all is given", 0 },
};

#define NR_DEMANDS (sizeof(demands) / sizeof(demands[0]))

static const char *const suffixes[] = { "", "-instructions" };

#define NR_SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

/* Returns -1 where it was not measured. */
static int demand_ratio(const struct samples *s, const struct demand *d, const char *suffix,
			struct ratio *ratio)
{
	const struct point *p, *base;
	char measurement[64];

	snprintf(measurement, sizeof(measurement), "%s%s", d->measurement, suffix);
	p = samples_find(s, measurement, d->series, d->x);
	if (!p)
		return -1;
	if (!d->base_x && !d->base_series)
		return ratio_of(&p->times[STOCK], &p->times[OURS], ratio);
	base = samples_find(s, measurement, d->base_series ? : d->series, d->base_x ? : d->x);
	if (!base)
		return -1;
	return d->base_x ? ratio_of(&p->times[OURS], &base->times[OURS], ratio) :
			   ratio_of(&base->times[OURS], &p->times[OURS], ratio);
}

static int demand_holds(const struct demand *d, const struct ratio *ratio)
{
	return d->base_x ? ratio->median <= d->limit : ratio->median >= d->limit;
}

/* One unit for all of a measurement: the larger, where nothing is below one. */
static double unit_of(const struct samples *s, const char *measurement, const char **name)
{
	const char *counted = counted_unit(measurement);
	double least = 0;
	size_t i;
	int k;

	*name = counted;
	if (counted && !strcmp(counted, "pages"))
		return 1;
	for (i = 0; i < s->nr_points; i++) {
		for (k = 0; k < NR_KINDS; k++) {
			const struct times *t = &s->points[i].times[k];

			if (!strcmp(s->points[i].measurement, measurement) &&
			    t->nr_boots && (!least || t->median < least))
				least = t->median;
		}
	}
	if (counted)
		*name = least >= 1e6 ? "millions" : "thousands";
	else
		*name = least >= 1e6 ? "milliseconds" : "microseconds";
	return least >= 1e6 ? 1e6 : 1e3;
}

/* Three or four digits are enough of any number. */
static int decimals(double value)
{
	return value < 0.1 ? 4 : value < 10 ? 2 : value < 1000 ? 1 : 0;
}

static void format_times(char *text, size_t size, const struct times *t,
			 const struct times *first, double unit)
{
	char growth[16] = "", range[40];
	double median = t->median / unit, min = t->min / unit, max = t->max / unit;

	snprintf(text, size, "%8s", "-");
	if (!t->nr_boots)
		return;
	if (t != first && first->nr_boots)
		snprintf(growth, sizeof(growth), "x%.*f", decimals(t->median / first->median),
			 t->median / first->median);
	snprintf(range, sizeof(range), "(%.*f..%.*f)", decimals(min), min, decimals(max), max);
	snprintf(text, size, "%8.*f %-16s %6s", decimals(median), median, range, growth);
}

static void print_point(FILE *out, const struct samples *s, const struct point *p, double unit)
{
	const struct point *first = samples_first(s, p);
	char x[32], times[NR_KINDS][80], ratio[64] = "", line[320];
	struct ratio r;
	size_t length;
	int k;

	for (k = 0; k < NR_KINDS; k++)
		format_times(times[k], sizeof(times[k]), &p->times[k], &first->times[k], unit);
	if (!ratio_of(&p->times[OURS], &p->times[STOCK], &r))
		snprintf(ratio, sizeof(ratio), "%.*f (%.*f..%.*f)", decimals(r.median), r.median,
			 decimals(r.min), r.min, decimals(r.max), r.max);
	snprintf(line, sizeof(line), "%-39s%7s  %-33s  %-33s  %s", p == first ? p->series : "",
		 format_x(p->x, x, sizeof(x)), times[STOCK], times[OURS], ratio);
	for (length = strlen(line); line[length - 1] == ' '; length--)
		;
	fprintf(out, "%.*s\n", (int)length, line);
}

static void print_measurement(FILE *out, const struct samples *s, const char *measurement)
{
	const char *name;
	double unit = unit_of(s, measurement, &name);
	size_t i;

	fprintf(out, "\n%s, %s\n%-39s%7s  %8s %23s  %8s %23s  %s\n", measurement, name,
		"", "x", "stock", "growth", "ours", "growth", "ours/stock");
	for (i = 0; i < s->nr_points; i++) {
		if (!strcmp(s->points[i].measurement, measurement))
			print_point(out, s, &s->points[i], unit);
	}
}

void table_print(const struct samples *s, FILE *out)
{
	struct ratio r;
	size_t i, j;

	for (i = 0; i < s->nr_facts; i++)
		fprintf(out, "%s: %s\n", s->facts[i].name, s->facts[i].value);
	fputs("Each number is the median over boots of a boot's median,\n"
	      "with the least and the greatest boot. The machine is emulated:\n"
	      "ratios within this run mean something, its times do not.\n", out);
	for (i = 0; i < s->nr_points; i++) {
		for (j = 0; j < i; j++) {
			if (!strcmp(s->points[j].measurement, s->points[i].measurement))
				break;
		}
		if (j == i)
			print_measurement(out, s, s->points[i].measurement);
	}
	fputc('\n', out);
	for (i = 0; i < NR_DEMANDS * NR_SUFFIXES; i++) {
		const struct demand *d = &demands[i / NR_SUFFIXES];
		const char *suffix = suffixes[i % NR_SUFFIXES];

		if (demand_ratio(s, d, suffix, &r))
			continue;
		fprintf(out, "%-13s %5.2f (%.2f..%.2f)  %s%s\n",
			!d->limit ? "to compare" : demand_holds(d, &r) ? "holds" : "DOES NOT HOLD",
			r.median, r.min, r.max,
			d->text, *suffix ? ", by instructions" : "");
	}
}

/* ---- JSON ---- */

static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text >= ' ')
			fputc(*text, out);
	}
	fputc('"', out);
}

static void print_result(FILE *out, const struct point *p, int kind, const char *separator)
{
	const struct times *t = &p->times[kind];

	fprintf(out, "%s\n    {\"measurement\": ", separator);
	print_string(out, p->measurement);
	fputs(", \"series\": ", out);
	print_string(out, p->series);
	fprintf(out, ", \"x\": %" PRIu64 ", \"kmod\": \"%s\", \"boots\": %u, \"unit\": \"%s\", "
		"\"median\": %.0f, \"min\": %.0f, \"max\": %.0f}",
		p->x, kind_names[kind], t->nr_boots,
		counted_unit(p->measurement) ? : "ns",
		t->median, t->min, t->max);
}

void json_print(const struct samples *s, FILE *out)
{
	const char *separator = "";
	struct ratio r;
	size_t i;
	int k;

	fputs("{\n  \"facts\": {", out);
	for (i = 0; i < s->nr_facts; i++) {
		fputs(i ? ",\n    " : "\n    ", out);
		print_string(out, s->facts[i].name);
		fputs(": ", out);
		print_string(out, s->facts[i].value);
	}
	fputs("\n  },\n  \"results\": [", out);
	for (i = 0; i < s->nr_points; i++) {
		for (k = 0; k < NR_KINDS; k++) {
			if (!s->points[i].times[k].nr_boots)
				continue;
			print_result(out, &s->points[i], k, separator);
			separator = ",";
		}
	}
	fputs("\n  ],\n  \"demands\": [", out);
	separator = "";
	for (i = 0; i < NR_DEMANDS * NR_SUFFIXES; i++) {
		const struct demand *d = &demands[i / NR_SUFFIXES];
		const char *suffix = suffixes[i % NR_SUFFIXES];

		if (demand_ratio(s, d, suffix, &r))
			continue;
		fprintf(out, "%s\n    {\"demand\": \"%s\", \"measurement\": \"%s%s\", "
			"\"holds\": %s, \"ratio\": %.3f, \"min\": %.3f, \"max\": %.3f}",
			separator, d->text, d->measurement, suffix,
			!d->limit ? "null" : demand_holds(d, &r) ? "true" : "false",
			r.median, r.min, r.max);
		separator = ",";
	}
	fputs("\n  ]\n}\n", out);
}
