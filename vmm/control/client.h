/* SPDX-License-Identifier: MIT */
/* Asks a VM by its name: the common part of gmem's commands. */
#ifndef VMM_CONTROL_CLIENT_H
#define VMM_CONTROL_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_TIMEOUT	10000	/* ms */

/*
 * A VM stands still while it writes a snapshot, which may take hours. The wait ends if the VM ends.
 * If the VM hangs, use 'gmem kill', or Ctrl-C here.
 */
#define SNAPSHOT_TIMEOUT -1

/*
 * Connect to a VM. Returns a socket; or -errno, with the reason in @why (CONTROL_WHY bytes).
 * -EAGAIN: it has only just started.
 */
int control_connect(const char *name, char *why);

/*
 * Send a request, which stays the caller's, and receive its answer within @timeout ms (-1: for
 * ever), an object that the caller must put. Returns 0, or -errno with @why.
 */
int control_exchange(int socket, struct json_object *request, int timeout,
		     struct json_object **answer, char *why);

/* The same with @nr descriptors, which stay the caller's. */
int control_exchange_with(int socket, struct json_object *request, const int *fds,
			  unsigned int nr, int timeout, struct json_object **answer, char *why);

/* Connect, and ask; puts @request. */
int control_call(const char *name, struct json_object *request, int timeout,
		 struct json_object **answer, char *why);

/* Print an object on stdout, in one line. */
void control_print(struct json_object *object);

/* {"command": @command} */
struct json_object *control_request(const char *command);

/*
 * Get a member of an answer; "", 0 or false if there is none of that type. A whole number counts as
 * text as well.
 */
const char *answer_text(struct json_object *answer, const char *member);
uint64_t answer_number(struct json_object *answer, const char *member);
bool answer_is_ok(struct json_object *answer);

/*
 * Carry out a command that asks one thing: connect, ask, and print the answer with @json, else only
 * an error. Puts @request. Returns an exit status; with EXIT_DONE also the answer, if @answer is
 * not NULL.
 */
int control_ask(const char *name, struct json_object *request, int timeout, bool json,
		struct json_object **answer);

/*
 * The last part of that: print the VM's answer with @json, and any error. Returns an exit status.
 */
int control_judge(const char *name, struct json_object *answer, bool json);

/*
 * Wait until a VM's process has ended. @pidfd: from vm_open_process(), called before the VM was
 * asked anything; -1: the process is not known: wait until no process has the name any more.
 * Returns 0, or -ETIMEDOUT after @timeout ms.
 */
int control_wait_gone(const char *name, int pidfd, int timeout);

/* "gmem: @name: @why" on stderr, or as an answer on stdout. Returns EXIT_FAILED. */
int control_say_failed(const char *name, const char *why, bool json);

#endif /* VMM_CONTROL_CLIENT_H */
