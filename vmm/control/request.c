// SPDX-License-Identifier: MIT
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/request.h"

/* Requests are objects with strings: refuse anything deeper. */
#define DEPTH	3

#define SAY(why, ...) snprintf(why, CONTROL_WHY, __VA_ARGS__)

static const struct {
	const char *name;
	enum request_kind kind;
	bool snapshot;
} commands[] = {
	{ "status", REQUEST_STATUS, false },
	{ "pause", REQUEST_PAUSE, false },
	{ "resume", REQUEST_RESUME, false },
	{ "stop", REQUEST_STOP, false },
	{ "kill", REQUEST_KILL, false },
	{ "console", REQUEST_CONSOLE, false },
	{ "snapshot", REQUEST_SNAPSHOT, true },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* A string must not contain a zero, which would end it too early. */
static const char *text_of(struct json_object *object, const char *member)
{
	struct json_object *value;
	const char *text;

	if (!json_object_object_get_ex(object, member, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

/* Members of another version may matter: do not ignore them. */
static int check_members(struct json_object *object, bool snapshot, char *why)
{
	json_object_object_foreach(object, member, value) {
		(void)value;
		if (!strcmp(member, "command") ||
		    (snapshot && (!strcmp(member, "path") || !strcmp(member, "expose_private"))))
			continue;
		SAY(why, "the member '%.64s' is not known here", member);
		return -EINVAL;
	}
	return 0;
}

/* Only true asks for it, so that nothing is exposed by mistake. */
static int read_exposure(struct json_object *object, struct request *request, char *why)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, "expose_private", &value))
		return 0;
	if (!json_object_is_type(value, json_type_boolean)) {
		SAY(why, "'expose_private' must be true or false");
		return -EINVAL;
	}
	request->expose_private = json_object_get_boolean(value);
	return 0;
}

static int read_path(struct json_object *object, struct request *request, char *why)
{
	const char *path = text_of(object, "path");

	if (!path || *path != '/' || strlen(path) >= sizeof(request->path)) {
		SAY(why, "'path' must be an absolute path of less than %d bytes", CONTROL_PATH);
		return -EINVAL;
	}
	strcpy(request->path, path);
	return 0;
}

static int read_object(struct json_object *object, struct request *request, char *why)
{
	const char *command = text_of(object, "command");
	size_t i;
	int ret;

	if (!command) {
		SAY(why, "'command' must be a string");
		return -EINVAL;
	}
	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(command, commands[i].name))
			break;
	if (i == NR_COMMANDS) {
		SAY(why, "the command '%.64s' is not known here", command);
		return -EINVAL;
	}
	request->kind = commands[i].kind;
	ret = check_members(object, commands[i].snapshot, why);
	if (ret || !commands[i].snapshot)
		return ret;
	ret = read_path(object, request, why);
	return ret ? ret : read_exposure(object, request, why);
}

int request_read(const char *line, size_t length, struct request *request, char *why)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH);
	struct json_object *object;
	enum json_tokener_error error;
	int ret = -EINVAL;

	*request = (struct request){ 0 };
	if (!tokener) {
		SAY(why, "no memory");
		return -EINVAL;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = length < CONTROL_LINE ? json_tokener_parse_ex(tokener, line, length) : NULL;
	error = json_tokener_get_error(tokener);
	if (error != json_tokener_success || json_tokener_get_parse_end(tokener) != length ||
	    !json_object_is_type(object, json_type_object))
		SAY(why, "a request is one JSON object in a line of less than %d bytes: %s",
		    CONTROL_LINE, error == json_tokener_success ? "this is something else" :
		    json_tokener_error_desc(error));
	else
		ret = read_object(object, request, why);
	json_object_put(object);
	json_tokener_free(tokener);
	return ret;
}
