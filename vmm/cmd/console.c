// SPDX-License-Identifier: MIT
/* gmem console: a terminal at a guest's console. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <signal.h>
#include <unistd.h>

#include "commands.h"
#include "common/raw-mode.h"
#include "common/say.h"
#include "common/status.h"
#include "common/write-all.h"
#include "control/client.h"
#include "control/request.h"
#include "options.h"

#define DETACH_KEY	0x1d	/* Ctrl-] */

enum { GUEST, KEYS, SIGNALS };

/* A signal ends it like the key: the terminal gets its settings back. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* False: the guest's side is closed. */
static bool show(int socket)
{
	char bytes[4096];
	ssize_t got = recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	return got && !write_all(STDOUT_FILENO, bytes, got);
}

/*
 * False: the session is over. @keys->fd is -1 at the end of a file, whose output we still wait for.
 */
static bool type(struct pollfd *keys, int socket, bool person)
{
	char bytes[1024];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	char *end;

	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	if (!got) {
		keys->fd = -1;
		return !person;
	}
	end = person ? memchr(bytes, DETACH_KEY, got) : NULL;
	if (end)
		got = end - bytes;
	if (got && write_all(socket, bytes, got))
		return false;
	return !end;
}

static int serve(int socket, bool person)
{
	struct pollfd wait[] = {
		[GUEST] = { .fd = socket, .events = POLLIN },
		[KEYS] = { .fd = STDIN_FILENO, .events = POLLIN },
		[SIGNALS] = { .fd = open_signals(), .events = POLLIN },
	};

	for (;;) {
		if (poll(wait, 3, -1) < 0 && errno != EINTR)
			return -errno;
		if (wait[SIGNALS].revents)
			return 0;
		if (wait[GUEST].revents && !show(socket))
			return -EPIPE;
		if (wait[KEYS].revents && !type(&wait[KEYS], socket, person))
			return 0;
	}
}

static int attach(const char *name)
{
	struct json_object *request = control_request("console"), *answer = NULL;
	char why[CONTROL_WHY];
	int socket = control_connect(name, why);
	int ret = socket < 0 ? socket :
		  control_exchange(socket, request, ANSWER_TIMEOUT, &answer, why);

	json_object_put(request);
	if (!ret && !answer_is_ok(answer)) {
		snprintf(why, sizeof(why), "%s", answer_text(answer, "error"));
		make_printable(why);
		ret = -EBUSY;
	}
	json_object_put(answer);
	if (!ret)
		return socket;
	if (socket >= 0)
		close(socket);
	control_say_failed(name, why, false);
	return ret;
}

int cmd_console(int argc, char **argv)
{
	const char *name = NULL;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = NULL },
	};
	int socket, ret, status = options_read(argc, argv, rows,
		"Attach to a guest's console: it shows what was printed and not seen yet, and what\n"
		"comes; keys go to the guest. Ctrl-] detaches.");
	bool person = isatty(STDIN_FILENO);

	if (status)
		return status < 0 ? EXIT_DONE : status;
	socket = attach(name);
	if (socket < 0)
		return EXIT_FAILED;
	if (person) {
		fprintf(stderr, "gmem: %s: attached; Ctrl-] detaches\n", name);
		raw_mode_begin(STDIN_FILENO);
	}
	ret = serve(socket, person);
	if (person)
		raw_mode_end();
	close(socket);
	fprintf(stderr, "\ngmem: %s: %s\n", name, ret ? "the VM has ended" : "detached");
	return EXIT_DONE;
}
