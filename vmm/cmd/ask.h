/* SPDX-License-Identifier: MIT */
/* Commands that ask a VM by name for one thing, and say that it was done. */
#ifndef VMM_CMD_ASK_H
#define VMM_CMD_ASK_H

/*
 * Run the command in @argv: it asks for @request, and then prints @done about the VM. @about: for
 * its help. Returns the exit status.
 */
int ask_by_name(int argc, char **argv, const char *request, const char *about,
		const char *done);

#endif /* VMM_CMD_ASK_H */
