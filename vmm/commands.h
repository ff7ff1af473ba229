/* SPDX-License-Identifier: MIT */
/* The commands of the gmem program: one file each, cmd-<name>.c. */
#ifndef VMM_COMMANDS_H
#define VMM_COMMANDS_H

/* Exit statuses of the program. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,	/* something went wrong and was told */
	EXIT_USAGE = 2,		/* the command line makes no sense */
	EXIT_GUEST = 3,		/* the guest itself said that something is wrong */
};

/* Each: argv[0] is the command's name; returns the exit status. */
int cmd_run(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_takeover(int argc, char **argv);
int cmd_pager(int argc, char **argv);
int cmd_demo(int argc, char **argv);

#endif /* VMM_COMMANDS_H */
