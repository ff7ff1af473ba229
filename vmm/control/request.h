/* SPDX-License-Identifier: MIT */
/* The requests at a VM's control socket: docs/control.md. */
#ifndef VMM_CONTROL_REQUEST_H
#define VMM_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_LINE	8192	/* bytes of a request, with its end */
#define CONTROL_PATH	4096
#define CONTROL_WHY	512

/* Flags to write JSON objects in one line: for json_object_to_json_string_ext(). */
#define CONTROL_JSON	(JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

enum request_kind {
	REQUEST_STATUS,
	REQUEST_PAUSE,
	REQUEST_RESUME,
	REQUEST_STOP,
	REQUEST_KILL,
	REQUEST_CONSOLE,
	REQUEST_SNAPSHOT,
};

/*
 * struct request - one that is read
 * @path: of a snapshot: an absolute one
 * @expose_private: it may expose private memory
 */
struct request {
	enum request_kind kind;
	char path[CONTROL_PATH];
	bool expose_private;
};

/*
 * Read an untrusted line, without its end. Returns 0; or -EINVAL, with the reason in @why, which
 * has room for CONTROL_WHY bytes.
 */
int request_read(const char *line, size_t length, struct request *request, char *why);

#endif /* VMM_CONTROL_REQUEST_H */
