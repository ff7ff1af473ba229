/* SPDX-License-Identifier: MIT */
/* A VM's control socket: JSON objects, one in each line, as in docs/control.md. */
#ifndef VMM_CONTROL_SERVER_H
#define VMM_CONTROL_SERVER_H

#include "loop.h"

struct control_server;

/*
 * Listen at @path, and answer clients, of root and of this process's user, in the loop's events.
 * @name: the VM's. Returns the server, or NULL with -errno in *error.
 */
struct control_server *control_server_open(struct loop *loop, const char *name,
					   const char *path, int *error);

/* The same with a socket that listens already, which is taken over in any case. */
struct control_server *control_server_over(struct loop *loop, const char *name, int listener,
					   int *error);

/* The socket that listens. */
int control_server_listener(const struct control_server *server);

/* Close the server. Unwritten answers are lost. NULL is fine. */
void control_server_close(struct control_server *server);

#endif /* VMM_CONTROL_SERVER_H */
