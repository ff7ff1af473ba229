// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/status.h"
#include "options.h"

static void help(const char *command, const struct option_row *row,
		 const char *about)
{
	printf("usage: gmem %s [OPTION...]\n\n%s\n\n", command, about);
	for (; row->name; row++) {
		int width = printf("  --%s%s%s", row->name,
				   row->argument ? " " : "",
				   row->argument ? row->argument : "");

		printf("%*s %s\n", width < 24 ? 24 - width : 0, "", row->help);
	}
}

/* The row of "name" or "name=...", and in *value what follows the '='. */
static const struct option_row *find(const struct option_row *row,
				     const char *name, const char **value)
{
	size_t length = strcspn(name, "=");

	for (; row->name; row++) {
		if (strlen(row->name) != length ||
		    strncmp(row->name, name, length))
			continue;
		*value = name[length] ? name + length + 1 : NULL;
		return row;
	}
	return NULL;
}

static int store(const struct option_row *row, const char *value)
{
	char *end;
	long number;

	if (row->text) {
		*row->text = value;
		return 0;
	}
	errno = 0;
	number = strtol(value, &end, 10);
	if (errno || *end || end == value || number < row->least ||
	    number > row->most) {
		fprintf(stderr, "gmem: --%s %s: not a number from %ld to %ld\n",
			row->name, value, row->least, row->most);
		return EXIT_USAGE;
	}
	*row->number = number;
	return 0;
}

int options_read(int argc, char **argv, const struct option_row *rows,
		 const char *about)
{
	int i, ret;

	for (i = 1; i < argc; i++) {
		const struct option_row *row;
		const char *value;

		if (!strcmp(argv[i], "--help")) {
			help(argv[0], rows, about);
			return -1;
		}
		row = strncmp(argv[i], "--", 2) ? NULL :
			find(rows, argv[i] + 2, &value);
		if (!row) {
			fprintf(stderr, "gmem: no option '%s': 'gmem %s --help' lists them\n",
				argv[i], argv[0]);
			return EXIT_USAGE;
		}
		if (!row->argument) {
			if (value) {
				fprintf(stderr, "gmem: --%s takes no argument\n",
					row->name);
				return EXIT_USAGE;
			}
			*row->number = 1;
			continue;
		}
		if (!value)
			value = argv[++i];
		if (!value) {
			fprintf(stderr, "gmem: --%s needs an argument: %s\n",
				row->name, row->argument);
			return EXIT_USAGE;
		}
		ret = store(row, value);
		if (ret)
			return ret;
	}
	return 0;
}
