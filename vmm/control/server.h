/* SPDX-License-Identifier: MIT */
/* A VM's control socket: JSON objects, one a line, as docs/control.md has them. */
#ifndef VMM_CONTROL_SERVER_H
#define VMM_CONTROL_SERVER_H

#include "loop.h"

struct control_server;

/*
 * Listen at @path, and have the loop's events answer who connects: root and the user of
 * this process. @name: the VM's. Returns the server, or NULL, and *error is -errno.
 */
struct control_server *control_server_open(struct loop *loop, const char *name,
					   const char *path, int *error);

/* The same, with a socket that listens already, which is taken over in any case. */
struct control_server *control_server_over(struct loop *loop, const char *name, int listener,
					   int *error);

/* The socket that listens. */
int control_server_listener(const struct control_server *server);

/* What was not written yet is lost. NULL is none. */
void control_server_close(struct control_server *server);

#endif /* VMM_CONTROL_SERVER_H */
