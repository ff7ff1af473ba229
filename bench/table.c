// SPDX-License-Identifier: MIT
/* What was measured, as tables for a person and as JSON for a program. */
#include <inttypes.h>
#include <string.h>

#include "demands.h"
#include "samples.h"

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
	for (i = 0; i < nr_demands * NR_CLOCKS; i++) {
		const struct demand *d = &demands[i / NR_CLOCKS];
		const char *suffix = clock_suffixes[i % NR_CLOCKS], *verdict = "to compare";

		if (demand_ratio(s, d, suffix, &r))
			continue;
		if (d->limit)
			verdict = demand_is_met(d, &r, d->limit) ? "holds" : "DOES NOT HOLD";
		fprintf(out, "%-13s %5.2f (%.2f..%.2f)  %s%s\n", verdict,
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
	for (i = 0; i < nr_demands * NR_CLOCKS; i++) {
		const struct demand *d = &demands[i / NR_CLOCKS];
		const char *suffix = clock_suffixes[i % NR_CLOCKS];

		if (demand_ratio(s, d, suffix, &r))
			continue;
		fprintf(out, "%s\n    {\"demand\": \"%s\", \"measurement\": \"%s%s\", "
			"\"holds\": %s, \"ratio\": %.3f, \"min\": %.3f, \"max\": %.3f}",
			separator, d->text, d->measurement, suffix,
			!d->limit ? "null" : demand_is_met(d, &r, d->limit) ? "true" : "false",
			r.median, r.min, r.max);
		separator = ",";
	}
	fputs("\n  ]\n}\n", out);
}
