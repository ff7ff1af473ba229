// SPDX-License-Identifier: MIT
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gmem/version.h>

#include "common/size.h"
#include "common/status.h"
#include "options.h"

#define MAX_OPTIONS	48

/* The results of getopt_long() for the options that every command has. */
enum { HELP = 'h', VERSION = 0x100, ROWS };

void options_version(void)
{
	printf("gmem %s\n", GMEM_VERSION);
}

int options_wrong(const char *command, const char *what, ...)
{
	va_list args;

	fprintf(stderr, "gmem: %s: ", command);
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, ": see 'gmem %s --help'\n", command);
	return EXIT_USAGE;
}

/* ---- Help ---- */

static void help_row(const char *name, const char *argument, const char *help)
{
	int width = printf("  %s%s%s", name, argument ? " " : "", argument ? argument : "");

	printf("%*s %s\n", width < 24 ? 24 - width : 0, "", help);
}

static void help_operands(const struct option_row *row)
{
	int open = 0;

	for (; row->name; row++) {
		if (!row->operand)
			continue;
		open += row->optional;
		printf(" %s%s", row->optional ? "[" : "", row->name);
	}
	printf("%.*s", open, "]]]]");
}

static void help(const char *command, const struct option_row *rows, const char *about)
{
	const struct option_row *row;
	char name[64];

	printf("usage: gmem %s [OPTION...]", command);
	help_operands(rows);
	printf("\n\n%s\n\n", about);
	for (row = rows; row->name; row++)
		if (row->operand)
			help_row(row->name, NULL, row->help);
	for (row = rows; row->name; row++) {
		if (row->operand)
			continue;
		snprintf(name, sizeof(name), "--%s", row->name);
		help_row(name, row->argument, row->help);
	}
	help_row("-h, --help", NULL, "this");
	help_row("--version", NULL, "the version of gmem");
}

/* ---- Values ---- */

static int store_number(const struct option_row *row, const char *value)
{
	char *end;
	long number;

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

static int store_size(const struct option_row *row, const char *value)
{
	if (!size_read(value, row->size))
		return 0;
	fprintf(stderr, "gmem: --%s %s: not a size: a number and K, M, G or T, as in 512M\n",
		row->name, value);
	return EXIT_USAGE;
}

static int store_in_list(const struct option_row *row, const char *value)
{
	if (row->list->nr == OPTION_VALUES) {
		fprintf(stderr, "gmem: --%s %s: it can be given %d times at most\n",
			row->name, value, OPTION_VALUES);
		return EXIT_USAGE;
	}
	row->list->values[row->list->nr++] = value;
	return 0;
}

static int store(const struct option_row *row, const char *value)
{
	if (!row->argument && !row->operand)
		*row->number = 1;
	else if (row->text)
		*row->text = value;
	else if (row->list)
		return store_in_list(row, value);
	else if (row->size)
		return store_size(row, value);
	else
		return store_number(row, value);
	return 0;
}

/* ---- What getopt_long() does not do, and what it says ---- */

/*
 * The argument from which getopt_long() has just read an option: the last one, or the one before
 * that if the option's argument is separate.
 */
static const char *element(char **argv)
{
	const char *last = argv[optind - 1];

	return optarg == last ? argv[optind - 2] : last;
}

/* getopt_long() takes "--mem" for "--memory", until another option begins the same way. */
static bool is_abbreviated(char **argv, const struct option_row *row)
{
	return strcspn(element(argv) + 2, "=") != strlen(row->name);
}

static int unknown(const char *command, const char *what)
{
	fprintf(stderr, "gmem: no option '%s': 'gmem %s --help' lists them\n", what, command);
	return EXIT_USAGE;
}

/* getopt_long() returned '?': the option is unknown, or has an argument too many. */
static int refuse(char **argv, const struct option_row *rows)
{
	char name[3] = { '-', optopt, '\0' };
	const char *given = argv[optind - 1];
	size_t i;

	if (optopt >= ROWS || optopt == HELP || optopt == VERSION) {
		i = optopt - ROWS;
		if (!strncmp(given, "--", 2) && strchr(given, '=')) {
			fprintf(stderr, "gmem: --%s takes no argument\n",
				optopt >= ROWS ? rows[i].name : optopt == HELP ?
				"help" : "version");
			return EXIT_USAGE;
		}
	}
	return unknown(argv[0], optopt && optopt < VERSION ? name : given);
}

static unsigned int fill(struct option *options, const struct option_row *rows)
{
	unsigned int nr = 0, i;

	options[nr++] = (struct option){ "help", no_argument, NULL, HELP };
	options[nr++] = (struct option){ "version", no_argument, NULL, VERSION };
	for (i = 0; rows[i].name && nr < MAX_OPTIONS; i++)
		if (!rows[i].operand)
			options[nr++] = (struct option){
				rows[i].name, rows[i].argument ? required_argument : no_argument,
				NULL, ROWS + i,
			};
	options[nr] = (struct option){ NULL, 0, NULL, 0 };
	return nr;
}

static int read_operands(int argc, char **argv, const struct option_row *row)
{
	int i = optind, ret;

	for (; row->name; row++) {
		if (!row->operand)
			continue;
		if (i == argc)
			return row->optional ? 0 :
			       options_wrong(argv[0], "needs %s: %s", row->name, row->help);
		ret = store(row, argv[i++]);
		if (ret)
			return ret;
	}
	return i == argc ? 0 : options_wrong(argv[0], "'%s' is one argument too many", argv[i]);
}

int options_read(int argc, char **argv, const struct option_row *rows,
		 const char *about)
{
	struct option options[MAX_OPTIONS + 1];
	int got, ret;

	fill(options, rows);
	optind = 0;	/* GNU's way to restart from the beginning */
	while ((got = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		const struct option_row *row = &rows[(got >= ROWS ? got : ROWS) - ROWS];

		switch (got) {
		case HELP:
			help(argv[0], rows, about);
			return -1;
		case VERSION:
			options_version();
			return -1;
		case ':':
			row = &rows[optopt - ROWS];
			fprintf(stderr, "gmem: --%s needs an argument: %s\n", row->name,
				row->argument);
			return EXIT_USAGE;
		case '?':
			return refuse(argv, rows);
		}
		if (is_abbreviated(argv, row))
			return unknown(argv[0], element(argv));
		ret = store(row, optarg);
		if (ret)
			return ret;
	}
	return read_operands(argc, argv, rows);
}
