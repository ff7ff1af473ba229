// SPDX-License-Identifier: MIT
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"

const char *const kind_names[NR_KINDS] = { "stock", "ours" };

/* The array, with room for one more; it doubles when it is full. */
static void *grow(void *array, size_t nr, size_t size)
{
	if (nr & (nr - 1))
		return array;
	array = reallocarray(array, nr ? 2 * nr : 1, size);
	if (!array)
		err(1, "report");
	return array;
}

static char *copy(const char *text)
{
	char *new = strdup(text);

	if (!new)
		err(1, "report");
	return new;
}

static int same_series(const struct point *p, const char *measurement, const char *series)
{
	return !strcmp(p->series, series) && !strcmp(p->measurement, measurement);
}

static struct point *find(const struct samples *s, const char *measurement,
			  const char *series, uint64_t x)
{
	size_t i;

	for (i = 0; i < s->nr_points; i++) {
		if (s->points[i].x == x && same_series(&s->points[i], measurement, series))
			return &s->points[i];
	}
	return NULL;
}

const struct point *samples_find(const struct samples *s, const char *measurement,
				 const char *series, uint64_t x)
{
	return find(s, measurement, series, x);
}

const struct point *samples_first(const struct samples *s, const struct point *p)
{
	while (p > s->points && p[-1].series_order == p->series_order)
		p--;
	return p;
}

static struct point *find_or_add(struct samples *s, const char *measurement,
				 const char *series, uint64_t x)
{
	struct point *p = find(s, measurement, series, x);
	size_t order = 0;

	if (p)
		return p;
	while (order < s->nr_points && !same_series(&s->points[order], measurement, series))
		order++;
	s->points = grow(s->points, s->nr_points, sizeof(*s->points));
	if (order < s->nr_points)
		order = s->points[order].series_order;
	p = &s->points[s->nr_points++];
	*p = (struct point) {
		.measurement = copy(measurement), .series = copy(series), .x = x,
		.series_order = order,
	};
	return p;
}

static int compare_points(const void *a, const void *b)
{
	const struct point *left = a, *right = b;

	if (left->series_order != right->series_order)
		return left->series_order < right->series_order ? -1 : 1;
	return left->x < right->x ? -1 : left->x > right->x;
}

static void add_fact(struct samples *s, const char *line)
{
	size_t length = strcspn(line, " ");
	struct fact *fact;

	s->facts = grow(s->facts, s->nr_facts, sizeof(*s->facts));
	fact = &s->facts[s->nr_facts++];
	fact->name = copy(line);
	fact->name[length] = '\0';
	fact->value = copy(line + length + (line[length] == ' '));
}

static int add_sample(struct samples *s, const char *line)
{
	char kind[16], measurement[64], series[128];
	unsigned int boot, k;
	struct times *t;
	uint64_t x;
	double ns;

	if (sscanf(line, "%15[^\t]\t%u\t%63[^\t]\t%127[^\t]\t%" SCNu64 "\t%lf",
		   kind, &boot, measurement, series, &x, &ns) != 6)
		return -1;
	for (k = 0; k < NR_KINDS && strcmp(kind, kind_names[k]); k++)
		;
	if (k == NR_KINDS || boot >= MAX_BOOTS || ns <= 0)
		return -1;
	t = &find_or_add(s, measurement, series, x)->times[k];
	t->samples = grow(t->samples, t->nr_samples, sizeof(*t->samples));
	t->boot_of = grow(t->boot_of, t->nr_samples, sizeof(*t->boot_of));
	t->samples[t->nr_samples] = ns;
	t->boot_of[t->nr_samples++] = boot;
	return 0;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

static void make_boots(struct times *t)
{
	double *values = calloc(t->nr_samples + 1, sizeof(*values));
	double medians[MAX_BOOTS];
	unsigned int boot;
	size_t i, nr;

	if (!values)
		err(1, "report");
	for (boot = 0; boot < MAX_BOOTS; boot++) {
		for (i = nr = 0; i < t->nr_samples; i++) {
			if (t->boot_of[i] == boot)
				values[nr++] = t->samples[i];
		}
		if (!nr)
			continue;
		t->boots[boot] = median(values, nr);
		medians[t->nr_boots++] = t->boots[boot];
	}
	free(values);
	free(t->samples);
	free(t->boot_of);
	t->samples = NULL;
	t->boot_of = NULL;
	if (!t->nr_boots)
		return;
	t->median = median(medians, t->nr_boots);
	t->min = medians[0];
	t->max = medians[t->nr_boots - 1];
}

void samples_read(struct samples *s, const char *path)
{
	FILE *in = fopen(path, "re");
	unsigned int number = 0, k;
	char line[512];
	size_t i;

	if (!in)
		err(1, "report: %s", path);
	memset(s, 0, sizeof(*s));
	while (fgets(line, sizeof(line), in)) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "# ", 2))
			add_fact(s, line + 2);
		else if (add_sample(s, line))
			errx(1, "report: %s:%u: not a sample", path, number);
	}
	fclose(in);
	if (!s->nr_points)
		errx(1, "report: %s: no samples", path);
	qsort(s->points, s->nr_points, sizeof(*s->points), compare_points);
	for (i = 0; i < s->nr_points; i++) {
		for (k = 0; k < NR_KINDS; k++)
			make_boots(&s->points[i].times[k]);
	}
}

int ratio_of(const struct times *a, const struct times *b, struct ratio *ratio)
{
	unsigned int boot;

	if (!a->nr_boots || !b->nr_boots)
		return -1;
	ratio->median = a->median / b->median;
	ratio->min = 0;
	ratio->max = 0;
	for (boot = 0; boot < MAX_BOOTS; boot++) {
		double r;

		if (!a->boots[boot] || !b->boots[boot])
			continue;
		r = a->boots[boot] / b->boots[boot];
		if (!ratio->min || r < ratio->min)
			ratio->min = r;
		if (r > ratio->max)
			ratio->max = r;
	}
	return 0;
}

const char *counted_unit(const char *measurement)
{
	const char *suffix = strrchr(measurement, '-');

	if (strstr(measurement, "-switches"))
		return "switches";
	if (strstr(measurement, "-pages-"))
		return "pages";
	if (strstr(measurement, "-exits"))
		return "exits";
	if (strstr(measurement, "-bytes"))
		return "bytes";
	return suffix && !strcmp(suffix, "-instructions") ? "instructions" : NULL;
}

const char *format_x(uint64_t x, char *buffer, size_t size)
{
	if (x >= 1ULL << 30)
		snprintf(buffer, size, "%g GiB", (double)x / (1ULL << 30));
	else if (x >= 1ULL << 16)
		snprintf(buffer, size, "%g MiB", (double)x / (1ULL << 20));
	else
		snprintf(buffer, size, "%" PRIu64, x);
	return buffer;
}
