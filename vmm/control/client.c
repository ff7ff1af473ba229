// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "common/say.h"
#include "common/status.h"
#include "common/write-all.h"
#include "control/client.h"
#include "control/names.h"
#include "control/request.h"

#define ANSWER_LINE	16384
#define CONNECT_PATIENCE 2	/* s */
#define LOOK_AGAIN	20000	/* us */
#define NAME_FREE	500	/* ms */

#define SAY(why, ...) snprintf(why, CONTROL_WHY, __VA_ARGS__)

_Static_assert(CONTROL_WHY >= NAMES_WHY, "one buffer for both");

int control_connect(const char *name, char *why)
{
	const struct timeval patience = { .tv_sec = CONNECT_PATIENCE }, for_ever = { 0 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pid_t pid;
	int fd, ret;

	ret = vm_find(name, &pid, why);
	if (!ret)
		ret = vm_control_path(name, address.sun_path, sizeof(address.sun_path), why);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A VM that hangs accepts nobody, so its backlog may be full. */
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) &&
	    !connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &for_ever, sizeof(for_ever)))
		return fd;
	ret = -errno;
	if (fd >= 0)
		close(fd);
	if (ret == -ENOENT || ret == -ECONNREFUSED) {
		SAY(why, "it is starting, and can't be asked yet: try again");
		return -EAGAIN;
	}
	if (ret == -EAGAIN) {
		SAY(why, "it does not answer: 'gmem kill' ends it");
		return -ETIMEDOUT;
	}
	SAY(why, "connecting to %s: %s", address.sun_path, strerror(-ret));
	return ret;
}

struct json_object *control_request(const char *command)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "command", json_object_new_string(command));
	return request;
}

/* In ms. */
static int left_of(uint64_t limit)
{
	uint64_t now = now_ns();

	return now < limit ? (limit - now) / 1000000 + 1 : 0;
}

/* Read up to the end of the line; nothing may follow it. */
static int receive_line(int socket, char *line, size_t size, int timeout, char *why)
{
	uint64_t limit = now_ns() + timeout * 1000000ULL;
	struct pollfd wait = { .fd = socket, .events = POLLIN };
	size_t used = 0;

	while (used < size) {
		int ready = poll(&wait, 1, timeout < 0 ? -1 : left_of(limit));
		ssize_t got;

		if (!ready) {
			SAY(why, "it does not answer: 'gmem kill' ends it");
			return -ETIMEDOUT;
		}
		got = ready < 0 ? -1 : recv(socket, line + used, 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			SAY(why, "it ended before it answered");
			return -EPIPE;
		}
		if (line[used] == '\n') {
			line[used] = '\0';
			return 0;
		}
		used++;
	}
	SAY(why, "its answer is too long");
	return -EMSGSIZE;
}

/* Send the descriptors with the first byte. */
static int send_request(int socket, struct json_object *request, const int *fds,
			unsigned int nr)
{
	const char *text = json_object_to_json_string_ext(request, CONTROL_JSON);
	int ret = fd_message_send(socket, text, 1, fds, nr);

	if (ret)
		return ret;
	return send(socket, text + 1, strlen(text) - 1, MSG_NOSIGNAL | MSG_MORE) < 0 ||
	       send(socket, "\n", 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int control_exchange(int socket, struct json_object *request, int timeout,
		     struct json_object **answer, char *why)
{
	return control_exchange_with(socket, request, NULL, 0, timeout, answer, why);
}

int control_exchange_with(int socket, struct json_object *request, const int *fds,
			  unsigned int nr, int timeout, struct json_object **answer, char *why)
{
	char line[ANSWER_LINE];
	int ret;

	*answer = NULL;
	ret = send_request(socket, request, fds, nr);
	/* The VM may have said why it closes. */
	if (ret && ret != -EPIPE) {
		SAY(why, "asking it: %s", strerror(-ret));
		return ret;
	}
	ret = receive_line(socket, line, sizeof(line), timeout, why);
	if (ret)
		return ret;
	*answer = json_tokener_parse(line);
	if (json_object_is_type(*answer, json_type_object))
		return 0;
	json_object_put(*answer);
	*answer = NULL;
	SAY(why, "its answer is no JSON object: it is another version of gmem's");
	return -EPROTO;
}

/* NULL if it has none of these types: a VM may answer anything. */
static struct json_object *member_of(struct json_object *answer, const char *member,
				     enum json_type type, enum json_type other)
{
	struct json_object *value;

	if (!json_object_object_get_ex(answer, member, &value) ||
	    (!json_object_is_type(value, type) && !json_object_is_type(value, other)))
		return NULL;
	return value;
}

const char *answer_text(struct json_object *answer, const char *member)
{
	struct json_object *value = member_of(answer, member, json_type_string, json_type_int);
	const char *text = value ? json_object_get_string(value) : NULL;

	return text ? text : "";
}

uint64_t answer_number(struct json_object *answer, const char *member)
{
	struct json_object *value = member_of(answer, member, json_type_int, json_type_int);

	return value ? json_object_get_uint64(value) : 0;
}

bool answer_is_ok(struct json_object *answer)
{
	struct json_object *value = member_of(answer, "ok", json_type_boolean,
					      json_type_boolean);

	return value && json_object_get_boolean(value);
}

/* The length of the UTF-8 character at @text, and its number; 0: it is not one. */
static unsigned int utf8_read(const unsigned char *text, uint32_t *number)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int length = *text >= 0xf0 ? 4 : *text >= 0xe0 ? 3 : 2, i;

	if (*text < 0xc2 || *text > 0xf4)
		return 0;
	*number = *text & (0xff >> (length + 1));
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*number = *number << 6 | (text[i] & 0x3f);
	}
	return *number < least[length] || *number > 0x10ffff ||
	       (*number >= 0xd800 && *number < 0xe000) ? 0 : length;
}

/*
 * Write it in ASCII, which means the same: the text of a VM that somebody has taken control of may
 * have DEL and C1 control characters anywhere, and a terminal may do anything with half a
 * character. JSON escapes the other control characters by itself.
 */
void control_print(struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, CONTROL_JSON);
	const unsigned char *at = (const unsigned char *)text;
	uint32_t number;

	while (*at) {
		unsigned int length = utf8_read(at, &number);

		if (*at >= ' ' && *at <= '~')
			putchar(*at);
		else if (*at == 0x7f)
			printf("\\u007f");
		else if (!length)
			putchar('?');
		else if (number < 0x10000)
			printf("\\u%04x", number);
		else
			printf("\\u%04x\\u%04x", 0xd7c0 + (number >> 10),
			       0xdc00 + (number & 0x3ff));
		at += length ? length : 1;
	}
	putchar('\n');
}

int control_say_failed(const char *name, const char *why, bool json)
{
	struct json_object *answer;

	fprintf(stderr, "gmem: %s: %s\n", name, why);
	if (!json)
		return EXIT_FAILED;
	answer = json_object_new_object();
	json_object_object_add(answer, "ok", json_object_new_boolean(false));
	json_object_object_add(answer, "name", json_object_new_string(name));
	json_object_object_add(answer, "error", json_object_new_string(why));
	control_print(answer);
	json_object_put(answer);
	return EXIT_FAILED;
}

static int wait_process(int pidfd, int timeout)
{
	uint64_t limit = now_ns() + timeout * 1000000ULL;
	struct pollfd wait = { .fd = pidfd, .events = POLLIN };
	int ready;

	do
		ready = poll(&wait, 1, left_of(limit));
	while (ready < 0 && errno == EINTR);
	return ready > 0 ? 0 : -ETIMEDOUT;
}

static int wait_name(const char *name, int timeout)
{
	uint64_t limit = now_ns() + timeout * 1000000ULL;
	char why[NAMES_WHY];
	pid_t pid;

	while (vm_find(name, &pid, why) != -ESRCH) {
		if (now_ns() > limit)
			return -ETIMEDOUT;
		usleep(LOOK_AGAIN);
	}
	return 0;
}

int control_wait_gone(const char *name, int pidfd, int timeout)
{
	int ret;

	if (pidfd < 0)
		return wait_name(name, timeout);
	ret = wait_process(pidfd, timeout);
	/* The name becomes free in a moment, and another VM may take it at once. */
	if (!ret)
		wait_name(name, NAME_FREE);
	return ret;
}

int control_judge(const char *name, struct json_object *answer, bool json)
{
	char why[2 * CONTROL_WHY];
	const char *todo = answer_text(answer, "todo");

	if (answer_is_ok(answer)) {
		if (json)
			control_print(answer);
		return EXIT_DONE;
	}
	snprintf(why, sizeof(why), "%s%s%s", answer_text(answer, "error"), *todo ? ": " : "",
		 todo);
	make_printable(why);
	return control_say_failed(name, why, json);
}

int control_call(const char *name, struct json_object *request, int timeout,
		 struct json_object **answer, char *why)
{
	int ret, socket = control_connect(name, why);

	ret = socket < 0 ? socket : control_exchange(socket, request, timeout, answer, why);
	json_object_put(request);
	if (socket >= 0)
		close(socket);
	return ret;
}

int control_ask(const char *name, struct json_object *request, int timeout, bool json,
		struct json_object **answer)
{
	struct json_object *own = NULL;
	char why[CONTROL_WHY];
	int status, ret = control_call(name, request, timeout, &own, why);

	status = ret ? control_say_failed(name, why, json) : control_judge(name, own, json);
	if (answer && !status)
		*answer = own;
	else
		json_object_put(own);
	return status;
}
