// SPDX-License-Identifier: MIT
/* gmem upgrade: put a running guest under another gmem program. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"
#include "common/fd-message.h"
#include "common/say.h"
#include "common/status.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"
#include "options.h"
#include "upgrade/wire.h"

#define SELF		"/proc/self/exe"
#define ANSWER		4096
#define PATIENCE	150000	/* ms without a message: longer than a VM takes to give up */

#define SAY(why, ...) snprintf(why, CONTROL_WHY, __VA_ARGS__)

static int open_program(const char *path, char *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		SAY(why, "the program %.256s: %s", path, strerror(errno));
		return -errno;
	}
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_mode & 0111)
		return fd;
	SAY(why, "the program %.256s: it is no file that can be executed", path);
	close(fd);
	return -EACCES;
}

static int connect_helper(const char *name, char *why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pid_t pid;
	int fd, ret = vm_find(name, &pid, why);

	if (!ret)
		ret = vm_upgrade_path(name, address.sun_path, sizeof(address.sun_path), why);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	ret = -errno;
	if (fd >= 0)
		close(fd);
	SAY(why, ret == -ENOENT || ret == -ECONNREFUSED ?
	    "it can't be upgraded: it is starting, or a gmem that knows no upgrades runs it" :
	    "connecting to its helper: %s", strerror(-ret));
	return ret;
}

/* Returns the next message, an object that the caller must put; or NULL, with @why. */
static struct json_object *receive(int socket, char *why)
{
	struct pollfd answer = { .fd = socket, .events = POLLIN };
	struct json_object *object;
	char text[ANSWER];
	ssize_t got;

	SAY(why, "it does not answer");
	if (poll(&answer, 1, PATIENCE) <= 0)
		return NULL;
	got = recv(socket, text, sizeof(text) - 1, 0);
	SAY(why, got ? "its answer can't be read" :
	    "it has ended, or its VMM has, without a word: 'gmem ps' lists what runs");
	if (got <= 0)
		return NULL;
	text[got] = '\0';
	object = json_tokener_parse(text);
	if (json_object_is_type(object, json_type_object))
		return object;
	json_object_put(object);
	return NULL;
}

static const char *phase_in_words(const char *phase)
{
	if (!strcmp(phase, "STARTED"))
		return "the new VMM has been started";
	if (!strcmp(phase, "HELLO"))
		return "it speaks the same handover, and builds its VM";
	if (!strcmp(phase, "LINKED"))
		return "it has linked the memory; the disks come to rest";
	return phase;
}

static void show(const char *name, struct json_object *answer)
{
	char phase[32];

	snprintf(phase, sizeof(phase), "%s", answer_text(answer, "phase"));
	make_printable(phase);
	printf("gmem: %s: %6llu ms: %s (process %llu)\n", name,
	       (unsigned long long)answer_number(answer, "ms"), phase_in_words(phase),
	       (unsigned long long)answer_number(answer, "pid"));
}

static void show_end(const char *name, struct json_object *answer)
{
	struct json_object *blackout;

	printf("gmem: %s: %6llu ms: process %llu has the guest", name,
	       (unsigned long long)answer_number(answer, "ms"),
	       (unsigned long long)answer_number(answer, "pid"));
	if (json_object_object_get_ex(answer, "blackout_us", &blackout))
		printf("; it stood still for %.1f ms",
		       answer_number(answer, "blackout_us") / 1000.0);
	printf("\n");
}

/* Print the phases, and then the result. Returns the exit status. */
static int follow(const char *name, int socket, bool json)
{
	struct json_object *answer, *ok;
	char why[CONTROL_WHY];
	int status;

	while ((answer = receive(socket, why))) {
		if (json_object_object_get_ex(answer, "ok", &ok)) {
			status = control_judge(name, answer, json);
			if (!status && !json)
				show_end(name, answer);
			json_object_put(answer);
			return status;
		}
		if (json)
			control_print(answer);
		else
			show(name, answer);
		json_object_put(answer);
	}
	return control_say_failed(name, why, json);
}

static int upgrade(const char *name, const char *binary, bool json)
{
	char why[CONTROL_WHY];
	int program, socket, status, ret;

	program = open_program(binary ? binary : SELF, why);
	if (program < 0)
		return control_say_failed(name, why, json);
	socket = connect_helper(name, why);
	ret = socket < 0 ? socket :
	      fd_message_send(socket, UPGRADE_REQUEST, strlen(UPGRADE_REQUEST), &program, 1);
	close(program);
	if (ret && socket >= 0)
		SAY(why, "asking its helper: %s", strerror(-ret));
	status = ret ? control_say_failed(name, why, json) : follow(name, socket, json);
	if (socket >= 0)
		close(socket);
	return status;
}

int cmd_upgrade(int argc, char **argv)
{
	const char *name = NULL, *binary = NULL;
	long json = 0;
	const struct option_row rows[] = {
		{ .name = "NAME", .operand = true, .text = &name, .help = "of the VM" },
		{ .name = "binary", .argument = "PATH", .text = &binary,
		  .help = "the gmem program to put it under (this one)" },
		{ .name = "json", .number = &json,
		  .help = "print each phase, and the end, as a JSON object" },
		{ .name = NULL },
	};
	int status = options_read(argc, argv, rows,
				  "Put a running guest under another gmem program, without a restart.");

	if (status)
		return status < 0 ? EXIT_DONE : status;
	return upgrade(name, binary, json);
}
