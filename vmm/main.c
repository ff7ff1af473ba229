// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common/status.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "run", cmd_run, "start a guest on private memory" },
	{ "restore", cmd_restore, "have a guest go on from a snapshot" },
	{ "takeover", cmd_takeover, "take a running guest over from another gmem process" },
	{ "pager", cmd_pager, "give a guest its memory from a file, when it is needed" },
	{ "demo", cmd_demo, "both, with the first process killed in between" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: gmem COMMAND [OPTION...]\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(to, "\n'gmem COMMAND --help' tells the options of a command.\n");
}

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return EXIT_DONE;
	}
	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "gmem: no command '%s': 'gmem help' lists them\n",
		argv[1]);
	return EXIT_USAGE;
}
