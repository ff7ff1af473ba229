/* SPDX-License-Identifier: MIT */
/* Command line options, as tables. */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

/*
 * struct option_row - one option of a command
 * @name: without the dashes; NULL ends the table
 * @argument: what its argument is called in the help; NULL: it takes none
 * @help: one line
 * @text: where the argument goes as it is, or NULL
 * @number: where it goes as a number, or 1 for an option without one; or NULL
 * @least, @most: of the number
 */
struct option_row {
	const char *name;
	const char *argument;
	const char *help;
	const char **text;
	long *number;
	long least;
	long most;
};

/*
 * Reads "--name argument" and "--name=argument". Returns 0, or the status to
 * exit with, negative after --help was served (exit with EXIT_DONE).
 */
int options_read(int argc, char **argv, const struct option_row *rows,
		 const char *about);

#endif /* VMM_OPTIONS_H */
