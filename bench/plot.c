// SPDX-License-Identifier: MIT
/*
 * One SVG picture a measurement: x in equal steps, time upwards, a line for
 * each series and kind of modules, whiskers from the least boot to the greatest.
 */
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"

#define LEFT 80
#define TOP 50
#define WIDTH 520
#define HEIGHT 340
#define LEGEND 330
#define MAX_X 16

/* Beyond this ratio of greatest to least, the axis of time is logarithmic. */
#define LINEAR_UP_TO 8

static const char *const colours[] = {
	"#1b6ca8", "#d1495b", "#2e8b57", "#b8860b",
	"#6a4c93", "#00808a", "#8b4513", "#555555",
};

#define NR_COLOURS (sizeof(colours) / sizeof(colours[0]))

/*
 * struct axes - where a picture has what
 * @xs: the measurement's values of x, in order, @nr_xs of them
 * @low, @high: the axis of time, nanoseconds
 * @logarithmic: that axis
 * @unit: what it counts instead, or NULL
 */
struct axes {
	uint64_t xs[MAX_X];
	unsigned int nr_xs;
	double low, high;
	int logarithmic;
	const char *unit;
};

static void add_x(struct axes *a, uint64_t x)
{
	unsigned int i = a->nr_xs;

	while (i && a->xs[i - 1] > x)
		i--;
	if ((i && a->xs[i - 1] == x) || a->nr_xs == MAX_X)
		return;
	memmove(&a->xs[i + 1], &a->xs[i], (a->nr_xs - i) * sizeof(a->xs[0]));
	a->xs[i] = x;
	a->nr_xs++;
}

static void find_axes(struct axes *a, const struct samples *s, const char *measurement)
{
	size_t i;
	int k;

	memset(a, 0, sizeof(*a));
	a->unit = counted_unit(measurement);
	for (i = 0; i < s->nr_points; i++) {
		const struct point *p = &s->points[i];

		if (strcmp(p->measurement, measurement))
			continue;
		add_x(a, p->x);
		for (k = 0; k < NR_KINDS; k++) {
			if (!p->times[k].nr_boots)
				continue;
			if (!a->low || p->times[k].min < a->low)
				a->low = p->times[k].min;
			a->high = fmax(a->high, p->times[k].max);
		}
	}
	a->logarithmic = a->high > LINEAR_UP_TO * a->low;
	if (a->logarithmic) {
		a->low = pow(10, floor(log10(a->low)));
		a->high = pow(10, ceil(log10(a->high)));
	} else {
		a->low = 0;
		a->high *= 1.1;
	}
}

static double x_of(const struct axes *a, uint64_t x)
{
	unsigned int i = 0;

	while (a->xs[i] != x)
		i++;
	return LEFT + (i + 0.5) * WIDTH / a->nr_xs;
}

static double y_of(const struct axes *a, double ns)
{
	double part = a->logarithmic ?
		log(ns / a->low) / log(a->high / a->low) :
		(ns - a->low) / (a->high - a->low);

	return TOP + HEIGHT * (1 - part);
}

static void print_amount(FILE *out, double ns, const char *counted)
{
	if (counted && ns >= 1e6)
		fprintf(out, "%g M", ns / 1e6);
	else if (counted && ns >= 1e3)
		fprintf(out, "%g k", ns / 1e3);
	else if (counted)
		fprintf(out, "%g", ns);
	else if (ns >= 1e9)
		fprintf(out, "%g s", ns / 1e9);
	else if (ns >= 1e6)
		fprintf(out, "%g ms", ns / 1e6);
	else
		fprintf(out, "%g us", ns / 1e3);
}

static void draw_tick(FILE *out, const struct axes *a, double ns)
{
	double y = y_of(a, ns);

	fprintf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>"
		"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
		LEFT, y, LEFT + WIDTH, y, LEFT - 6, y + 4);
	print_amount(out, ns, a->unit);
	fputs("</text>\n", out);
}

static void draw_axes(FILE *out, const struct axes *a)
{
	double ns, step;
	unsigned int i;
	char text[32];

	if (a->logarithmic) {
		for (ns = a->low; ns <= a->high * 1.01; ns *= 10)
			draw_tick(out, a, ns);
	} else {
		step = pow(10, floor(log10(a->high)));
		step /= a->high < 2 * step ? 5 : a->high < 5 * step ? 2 : 1;
		for (ns = 0; ns <= a->high; ns += step)
			draw_tick(out, a, ns);
	}
	for (i = 0; i < a->nr_xs; i++)
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
			x_of(a, a->xs[i]), TOP + HEIGHT + 20,
			format_x(a->xs[i], text, sizeof(text)));
	fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
		"fill=\"none\" stroke=\"#555\"/>\n",
		LEFT, TOP, WIDTH, HEIGHT);
}

static void draw_legend(FILE *out, unsigned int line, const char *style, const char *series,
			const char *kind)
{
	int x = LEFT + WIDTH + 16, y = TOP + 10 + 18 * (int)line;

	fprintf(out, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" %s/>"
		"<text x=\"%d\" y=\"%d\">%s (%s)</text>\n",
		x, y, x + 26, y, style, x + 32, y + 4, series, kind);
}

/* Returns whether there was anything to draw. */
static int draw_series(FILE *out, const struct samples *s, const struct axes *a,
		       const struct point *first, int kind, const char *style)
{
	double last_x = 0, last_y = 0;
	unsigned int i, drawn = 0;

	for (i = 0; i < a->nr_xs; i++) {
		const struct point *p = samples_find(s, first->measurement, first->series,
						     a->xs[i]);
		/* Side by side, so that equal times hide nothing. */
		double x = x_of(a, a->xs[i]) + (kind ? 4 : -4), y;

		if (!p || !p->times[kind].nr_boots)
			continue;
		y = y_of(a, p->times[kind].median);
		if (drawn++)
			fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n",
				last_x, last_y, x, y, style);
		fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>"
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" style=\"stroke-dasharray:none\" %s/>\n",
			x, y_of(a, p->times[kind].min), x, y_of(a, p->times[kind].max), style,
			x, y, style);
		last_x = x;
		last_y = y;
	}
	return drawn;
}

static void draw(FILE *out, const struct samples *s, const char *measurement)
{
	unsigned int colour = 0, line = 0;
	struct axes a;
	size_t i;
	int kind;

	find_axes(&a, s, measurement);
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		"<text x=\"%d\" y=\"24\" font-size=\"16\">%s: median of boots "
		"(emulated machine)</text>\n",
		LEFT + WIDTH + LEGEND, TOP + HEIGHT + 40, LEFT, measurement);
	draw_axes(out, &a);
	for (i = 0; i < s->nr_points; i++) {
		const struct point *p = &s->points[i];

		if (strcmp(p->measurement, measurement) || samples_first(s, p) != p)
			continue;
		for (kind = 0; kind < NR_KINDS; kind++) {
			char style[128];

			snprintf(style, sizeof(style), "stroke=\"%s\" fill=\"%s\"%s",
				 colours[colour % NR_COLOURS],
				 kind == OURS ? colours[colour % NR_COLOURS] : "white",
				 kind == OURS ? "" : " stroke-dasharray=\"5 3\"");
			if (draw_series(out, s, &a, p, kind, style))
				draw_legend(out, line++, style, p->series, kind_names[kind]);
		}
		colour++;
	}
	fputs("</svg>\n", out);
}

void plot_all(const struct samples *s, const char *directory)
{
	size_t i;

	for (i = 0; i < s->nr_points; i++) {
		const char *measurement = s->points[i].measurement;
		size_t j = 0;
		char *path;
		FILE *out;

		while (strcmp(s->points[j].measurement, measurement))
			j++;
		if (j != i)
			continue;
		if (asprintf(&path, "%s/%s.svg", directory, measurement) < 0)
			err(1, "report");
		out = fopen(path, "we");
		if (!out)
			err(1, "report: %s", path);
		draw(out, s, measurement);
		if (ferror(out) | fclose(out))
			err(1, "report: %s", path);
		free(path);
	}
}
