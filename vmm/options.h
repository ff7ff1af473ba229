/* SPDX-License-Identifier: MIT */
/* Command line options, as tables. */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTION_VALUES	16

/* struct option_list - the arguments of an option that may be given several times */
struct option_list {
	unsigned int nr;
	const char *values[OPTION_VALUES];
};

/*
 * struct option_row - one option of a command, or one operand
 * @name: without the dashes; NULL ends the table
 * @argument: the name of its argument in the help; NULL: it takes none
 * @help: one line
 * @operand: it is a positional argument, read in the order of the table
 * @optional: of an operand: it may be left out, together with all that follow
 * @text: where to store the argument unchanged, or NULL
 * @list: where to store all of its arguments, or NULL
 * @size: where to store it as a size in bytes, written with a unit, or NULL
 * @number: where to store it as a number, or 1 for an option without an argument; or NULL
 * @least, @most: of the number
 */
struct option_row {
	const char *name;
	const char *argument;
	const char *help;
	bool operand;
	bool optional;
	const char **text;
	struct option_list *list;
	uint64_t *size;
	long *number;
	long least;
	long most;
};

/*
 * Read "--name argument", "--name=argument" and operands, in any order; after "--" there are only
 * operands. Returns 0, or the status to exit with, negative after --help or --version was served
 * (exit with EXIT_DONE).
 */
int options_read(int argc, char **argv, const struct option_row *rows,
		 const char *about);

/* "gmem: @command: @what: see 'gmem @command --help'". Returns EXIT_USAGE. */
int options_wrong(const char *command, const char *what, ...)
	__attribute__((format(printf, 2, 3)));

/* The text of --version. */
void options_version(void);

#endif /* VMM_OPTIONS_H */
