/* SPDX-License-Identifier: MIT */
/* Asking a VM by its name: what the commands of gmem have in common. */
#ifndef VMM_CONTROL_CLIENT_H
#define VMM_CONTROL_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_TIMEOUT	10000	/* ms */

/*
 * A VM that keeps its guest in files stands still for as long as that takes, which may
 * be hours. Its end ends the wait; one that hangs is for 'gmem kill', or Ctrl-C here.
 */
#define SNAPSHOT_TIMEOUT -1

/*
 * Connect to a VM. Returns a socket; or -errno, and says in @why (CONTROL_WHY bytes)
 * what is wrong: -EAGAIN: it has only just started.
 */
int control_connect(const char *name, char *why);

/*
 * Send a request, which is the caller's, and receive its answer within @timeout ms (-1:
 * for ever): an object that is the caller's then. Returns 0 or -errno, with @why.
 */
int control_exchange(int socket, struct json_object *request, int timeout,
		     struct json_object **answer, char *why);

/* Or with descriptors, @nr of them, which stay the caller's. */
int control_exchange_with(int socket, struct json_object *request, const int *fds,
			  unsigned int nr, int timeout, struct json_object **answer, char *why);

/* Both, of a request that is used up, with a connection of its own. */
int control_call(const char *name, struct json_object *request, int timeout,
		 struct json_object **answer, char *why);

/* Print it on stdout, in a line. */
void control_print(struct json_object *object);

/* {"command": @command} */
struct json_object *control_request(const char *command);

/*
 * A member of an answer; "", 0 or false where there is none of that type. A whole number is
 * text as well.
 */
const char *answer_text(struct json_object *answer, const char *member);
uint64_t answer_number(struct json_object *answer, const char *member);
bool answer_is_ok(struct json_object *answer);

/*
 * Carry out a command that asks one thing: connect, ask, and print the answer if @json, or
 * else the error. @request is used up. Returns an exit status; and with EXIT_DONE
 * the answer, where @answer is not NULL.
 */
int control_ask(const char *name, struct json_object *request, int timeout, bool json,
		struct json_object **answer);

/*
 * The end of that: what the VM answered, printed with @json; and what went wrong. Returns an
 * exit status.
 */
int control_judge(const char *name, struct json_object *answer, bool json);

/*
 * Wait until a VM has ended: its process, of which this is a pidfd, that vm_open_process()
 * gave before anything was asked of it; -1: it is not known, and no process has the name any
 * more. 0, or -ETIMEDOUT after @timeout ms.
 */
int control_wait_gone(const char *name, int pidfd, int timeout);

/* "gmem: @name: @why" on stderr, or as an answer on stdout. Returns EXIT_FAILED. */
int control_say_failed(const char *name, const char *why, bool json);

#endif /* VMM_CONTROL_CLIENT_H */
