// SPDX-License-Identifier: MIT
/*
 * Floors: what was reached once, by instructions, and is not to be lost again. A line has a
 * number, the commit that set it, and the text of a demand, separated by tabs; one that begins
 * with '#' is a comment.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demands.h"

/* Returns whether the floor holds. */
static int look_at(const struct samples *s, const char *path, unsigned int number,
		   const char *line, FILE *out)
{
	char commit[41], text[256];
	const struct demand *d;
	struct ratio r;
	double floor;

	if (sscanf(line, "%lf\t%40[0-9a-f]\t%255[^\n]", &floor, commit, text) != 3 || floor <= 0)
		errx(2, "report: %s:%u: not a floor", path, number);
	d = demand_find(text);
	if (!d)
		errx(2, "report: %s:%u: there is no such demand: %s", path, number, text);
	if (demand_ratio(s, d, clock_suffixes[NR_CLOCKS - 1], &r)) {
		fprintf(out, "NOT MEASURED         %s\n", text);
		return 0;
	}
	if (demand_is_met(d, &r, floor)) {
		fprintf(out, "ok    %6.3f (%6.3f) %s\n", r.median, floor, text);
		return 1;
	}
	fprintf(out, "BELOW %6.3f (%6.3f) %s: the floor was set by commit %s\n", r.median, floor,
		text, commit);
	return 0;
}

int check_floors(const struct samples *s, const char *path, FILE *out)
{
	FILE *in = fopen(path, "re");
	unsigned int number = 0, floors = 0, held = 0;
	char line[512];

	if (!in)
		err(2, "report: %s", path);
	fputs("By instructions; in brackets the floor: a rate's least, a growth's most.\n", out);
	while (fgets(line, sizeof(line), in)) {
		number++;
		if (*line == '#' || *line == '\n')
			continue;
		floors++;
		held += look_at(s, path, number, line, out);
	}
	fclose(in);
	if (!floors)
		errx(2, "report: %s: no floors", path);
	fprintf(out, "%u of %u floors hold\n", held, floors);
	return held == floors ? 0 : -1;
}
