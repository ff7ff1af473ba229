// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "common/status.h"
#include "options.h"

/*
 * struct command - what gmem does
 * @guest: it runs a guest, which goes on and ends as it does whether or not its output is read
 */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
	bool guest;
};

static const struct command commands[] = {
	{ "run", cmd_run, "start a guest", true },
	{ "restore", cmd_restore, "have a guest go on from a snapshot", true },
	{ "ps", cmd_ps, "list the VMs that have a name", false },
	{ "top", cmd_top, "watch the VMs that have a name", false },
	{ "console", cmd_console, "attach to a guest's console", false },
	{ "pause", cmd_pause, "have a guest stand still", false },
	{ "resume", cmd_resume, "have a paused guest go on", false },
	{ "snapshot", cmd_snapshot, "keep a guest in a directory", false },
	{ "stop", cmd_stop, "ask a guest to shut down", false },
	{ "kill", cmd_kill, "end a guest as it stands", false },
	{ "upgrade", cmd_upgrade, "put a running guest under another gmem program", false },
	{ "doctor", cmd_doctor, "check what gmem needs of this host", false },
	{ "takeover", cmd_takeover, "take a running guest over from another gmem process", true },
	{ "incoming", cmd_incoming, NULL, true },	/* internal: 'gmem upgrade' starts this */
	{ "pager", cmd_pager, "give a guest its memory from a file, when it is needed", false },
	{ "demo", cmd_demo, "hand a guest over, and kill the process that had it", false },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: gmem COMMAND [OPTION...] [ARGUMENT...]\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		if (commands[i].help)
			fprintf(to, "  %-10s %s\n", commands[i].name,
				commands[i].help);
	fprintf(to, "\n'gmem COMMAND --help' tells the options of a command.\n");
}

/* A file that is made of the output must not be taken for whole if it is not. */
static int written(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "gmem: stdout: what was printed could not all be written\n");
	return status == EXIT_DONE ? EXIT_FAILED : status;
}

static int run(const char *name, int argc, char **argv)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].guest ? commands[i].run(argc, argv) :
						   written(commands[i].run(argc, argv));
	fprintf(stderr, "gmem: no command '%s': 'gmem help' lists them\n", name);
	return EXIT_USAGE;
}

/* gmem help [COMMAND] */
static int help(int argc, char **argv)
{
	if (argc > 1) {
		char *asked[3] = { argv[1], "--help" };

		return run(argv[1], 2, asked);
	}
	usage(stdout);
	return written(EXIT_DONE);
}

/* Otherwise a file of ours could get the number of stdin, stdout or stderr, and their data. */
static int open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
	if (open_standard())
		return EXIT_FAILED;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/*
	 * A file that must not grow (ulimit -f) causes an error for that file, and must not end the
	 * guest.
	 */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(1, argv);
	if (!strcmp(argv[1], "--version")) {
		options_version();
		return written(EXIT_DONE);
	}
	return run(argv[1], argc - 1, argv + 1);
}
