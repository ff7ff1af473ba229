// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/kvm_gmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <gmem/version.h>

#include "common/fd-message.h"
#include "common/say.h"
#include "common/status.h"
#include "control/names.h"
#include "control/request.h"
#include "control/server.h"

#define CONNECTIONS	16

/*
 * struct connection - one client. Its requests are answered one after another: nothing more is read
 * from it before the answer is written
 * @used: bytes in @line, which may have several requests
 * @answer: the answer to be written, or NULL; @wrote of its @size bytes are written
 * @last: close the connection when that is written
 * @waits: it waits for a snapshot's answer
 * @fds: descriptors that came with the next request, or -1
 */
struct connection {
	struct control_server *server;
	struct event event;
	size_t used;
	char line[CONTROL_LINE];
	char *answer;
	size_t size;
	size_t wrote;
	bool last;
	bool waits;
	int fds[FD_MESSAGE_FDS];
};

/*
 * struct control_server - the socket and its clients
 * @began: when the guest came here
 * @facts: the facts of its memory (gmem_memfd_facts_open()), or -1
 * @waiting: the client that waits for a snapshot, or NULL
 */
struct control_server {
	struct loop *loop;
	char name[VM_NAME_LENGTH];
	uint64_t began;
	int facts;
	struct connection *waiting;
	struct event listener;
	struct connection connections[CONNECTIONS];
};

/* ---- Answers ---- */

static void add_boolean(struct json_object *object, const char *member, bool is)
{
	json_object_object_add(object, member, json_object_new_boolean(is));
}

static struct json_object *answer_ok(void)
{
	struct json_object *answer = json_object_new_object();

	add_boolean(answer, "ok", true);
	return answer;
}

/* @todo: what the client's user can do, or NULL */
static struct json_object *answer_error(const char *why, const char *todo)
{
	struct json_object *answer = json_object_new_object();
	char text[CONTROL_WHY];

	snprintf(text, sizeof(text), "%s", why);
	make_printable(text);
	add_boolean(answer, "ok", false);
	json_object_object_add(answer, "error", json_object_new_string(text));
	if (todo)
		json_object_object_add(answer, "todo", json_object_new_string(todo));
	return answer;
}

static void add_number(struct json_object *object, const char *member, uint64_t number)
{
	json_object_object_add(object, member, json_object_new_uint64(number));
}

static const char *state_of(const struct control_server *server)
{
	const struct vcpus *vcpus = server->loop->vcpus;

	if (vcpus->paused)
		return "paused";
	if (server->loop->saving.state != SAVING_NOTHING)
		return "saving";
	return vcpus->going ? "running" : "stopped";
}

static struct json_object *answer_state(const struct control_server *server)
{
	struct json_object *answer = answer_ok();

	json_object_object_add(answer, "state", json_object_new_string(state_of(server)));
	return answer;
}

static struct json_object *answer_failed(int error)
{
	return answer_error(error == -ESRCH ? "the guest has just ended" : strerror(-error), NULL);
}

/* ---- Requests ---- */

static uint64_t memory_of(const struct machine *machine)
{
	uint64_t size = 0;
	unsigned int i;

	for (i = 0; i < machine->nr_memory; i++)
		size += machine->memory[i].slot.size;
	return size;
}

static struct json_object *do_status(struct connection *connection)
{
	const struct control_server *server = connection->server;
	const struct machine *machine = server->loop->vcpus->machine;
	struct json_object *answer = answer_state(server);
	struct gmem_facts facts;

	json_object_object_add(answer, "name", json_object_new_string(server->name));
	add_number(answer, "pid", getpid());
	add_number(answer, "vcpus", machine->nr_vcpus);
	add_number(answer, "memory", memory_of(machine));
	if (server->facts >= 0 && !gmem_memfd_facts_read(server->facts, &facts))
		add_number(answer, "resident", facts.resident * 4096);
	if (machine->vm_type == KVM_X86_SW_PROTECTED_VM)
		add_number(answer, "shared", machine->nr_shared * 4096);
	add_number(answer, "uptime", (now_ns() - server->began) / 1000000000);
	if (server->loop->blackout)
		add_number(answer, "blackout_us", server->loop->blackout / 1000);
	add_boolean(answer, "console", terminal_is_attached(&server->loop->terminal));
	json_object_object_add(answer, "version", json_object_new_string(GMEM_VERSION));
	return answer;
}

static struct json_object *do_pause(struct connection *connection)
{
	int ret = loop_pause(connection->server->loop);

	return ret ? answer_failed(ret) : answer_state(connection->server);
}

static struct json_object *do_resume(struct connection *connection)
{
	int ret = loop_resume(connection->server->loop);

	return ret ? answer_failed(ret) : answer_state(connection->server);
}

static struct json_object *do_stop(struct connection *connection)
{
	struct json_object *answer;
	bool asked;
	int ret = loop_stop(connection->server->loop, &asked);

	if (ret)
		return answer_failed(ret);
	answer = answer_ok();
	json_object_object_add(answer, "how", json_object_new_string(asked ? "asked" : "ended"));
	return answer;
}

static struct json_object *do_kill(struct connection *connection)
{
	loop_end(connection->server->loop, EXIT_DONE);
	return answer_ok();
}

/* ---- Connections ---- */

static void drop(struct connection *connection)
{
	if (connection->event.fd < 0)
		return;
	fd_message_close(connection->fds);
	events_remove(&connection->server->loop->vcpus->machine->events, &connection->event);
	close(connection->event.fd);
	connection->event.fd = -1;
	free(connection->answer);
	connection->answer = NULL;
	connection->waits = false;
	if (connection->server->waiting == connection)
		connection->server->waiting = NULL;
}

/* False: the connection is gone, or the rest is written later. */
static bool write_answer(struct connection *connection)
{
	while (connection->wrote < connection->size) {
		ssize_t wrote = send(connection->event.fd, connection->answer + connection->wrote,
				     connection->size - connection->wrote,
				     MSG_DONTWAIT | MSG_NOSIGNAL);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0) {
			if (errno != EAGAIN)
				drop(connection);
			return false;
		}
		connection->wrote += wrote;
	}
	free(connection->answer);
	connection->answer = NULL;
	if (connection->last)
		drop(connection);
	return connection->event.fd >= 0;
}

static void say_answer(struct connection *connection, struct json_object *answer)
{
	const char *text = json_object_to_json_string_ext(answer, CONTROL_JSON);
	size_t length = text ? strlen(text) : 0;

	connection->answer = malloc(length + 1);
	if (!connection->answer || !length) {
		json_object_put(answer);
		drop(connection);
		return;
	}
	memcpy(connection->answer, text, length);
	connection->answer[length] = '\n';
	connection->size = length + 1;
	connection->wrote = 0;
	json_object_put(answer);
	write_answer(connection);
}

/*
 * After the answer the connection belongs to the console. Bytes after the request count as typed.
 */
static void become_console(struct connection *connection, const char *typed, size_t size)
{
	struct loop *loop = connection->server->loop;
	int fd;

	if (terminal_is_attached(&loop->terminal)) {
		connection->last = true;
		say_answer(connection, answer_error("somebody is attached to the console",
						    "have that one detach first"));
		return;
	}
	say_answer(connection, answer_ok());
	/* A client that did not even take the answer is not a reader. */
	if (connection->event.fd < 0 || connection->answer) {
		drop(connection);
		return;
	}
	fd = connection->event.fd;
	events_remove(&loop->vcpus->machine->events, &connection->event);
	connection->event.fd = -1;
	if (terminal_attach(&loop->terminal, fd))
		close(fd);
	else
		terminal_type(&loop->terminal, typed, size);
}

/* ---- Snapshots: the answer comes later ---- */

static struct json_object *answer_unkept(struct connection *connection, int error,
					 const char *step, const char *path)
{
	struct loop *loop = connection->server->loop;
	char why[CONTROL_WHY];

	snprintf(why, sizeof(why), "%s, %.256s: %s", step, path,
		 error == -EOPNOTSUPP && loop->no_snapshot ? loop->no_snapshot :
		 error == -ECANCELED ? "the VM has been ended" : strerror(-error));
	return answer_error(why, NULL);
}

/*
 * Accept only a new regular file that can be written at any place. Do not use fstat(3): in some C
 * libraries it makes a call that the filter refuses.
 */
static bool is_new_file(int fd, struct stat *st)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_APPEND) &&
	       !syscall(SYS_fstat, fd, st) && S_ISREG(st->st_mode) && !st->st_size;
}

static bool are_new_files(const int *fds)
{
	struct stat memory, state;

	return fds[0] >= 0 && fds[1] >= 0 && is_new_file(fds[0], &memory) &&
	       is_new_file(fds[1], &state) &&
	       (memory.st_dev != state.st_dev || memory.st_ino != state.st_ino);
}

static void answer_lines(struct connection *connection);
static void listen_on(struct connection *connection);

/* The client may have gone meanwhile. */
static void snapshot_made(void *data, int error, const char *step)
{
	struct control_server *server = data;
	struct connection *connection = server->waiting;
	const char *path = server->loop->saving.path;
	struct json_object *answer;

	server->waiting = NULL;
	if (!connection)
		return;
	connection->waits = false;
	if (error) {
		answer = answer_unkept(connection, error, step, path);
	} else {
		answer = answer_state(server);
		json_object_object_add(answer, "path", json_object_new_string(path));
	}
	say_answer(connection, answer);
	answer_lines(connection);
	listen_on(connection);
}

static void snapshot(struct connection *connection, const char *path, bool exposes)
{
	struct control_server *server = connection->server;
	struct connection *before = server->waiting;
	const struct snapshot_fds files = {
		.memory = connection->fds[0], .state = connection->fds[1],
	};
	int ret;

	if (!are_new_files(connection->fds)) {
		say_answer(connection, answer_error("no two empty files, open for writing, came "
						    "with the request", "docs/control.md"));
		return;
	}
	connection->waits = true;
	server->waiting = connection;
	ret = loop_snapshot(server->loop, path, &files, exposes, snapshot_made, server);
	if (!ret) {
		memset(connection->fds, -1, sizeof(connection->fds));
		return;
	}
	connection->waits = false;
	server->waiting = before;
	say_answer(connection, ret == -ESRCH ? answer_failed(ret) :
		   answer_unkept(connection, ret, server->loop->vcpus->machine->step, path));
}

static struct json_object *serve(struct connection *connection, const struct request *request)
{
	switch (request->kind) {
	case REQUEST_STATUS:
		return do_status(connection);
	case REQUEST_PAUSE:
		return do_pause(connection);
	case REQUEST_RESUME:
		return do_resume(connection);
	case REQUEST_STOP:
		return do_stop(connection);
	case REQUEST_KILL:
		return do_kill(connection);
	default:
		return answer_error("this is not answered here", NULL);
	}
}

static void answer_line(struct connection *connection, size_t length)
{
	struct request request;
	char why[CONTROL_WHY];
	size_t next = length + 1;

	if (request_read(connection->line, length, &request, why))
		say_answer(connection, answer_error(why, "docs/control.md has the requests"));
	else if (request.kind == REQUEST_CONSOLE)
		become_console(connection, connection->line + next, connection->used - next);
	else if (request.kind == REQUEST_SNAPSHOT)
		snapshot(connection, request.path, request.expose_private);
	else
		say_answer(connection, serve(connection, &request));
	fd_message_close(connection->fds);
	connection->used -= next;
	memmove(connection->line, connection->line + next, connection->used);
}

/* Handle all requests that are there, as long as the client takes the answers. */
static void answer_lines(struct connection *connection)
{
	while (connection->event.fd >= 0 && !connection->answer && !connection->waits) {
		char *end = memchr(connection->line, '\n', connection->used);

		if (end) {
			answer_line(connection, end - connection->line);
			continue;
		}
		if (connection->used < sizeof(connection->line))
			return;
		connection->last = true;
		connection->used = 0;
		say_answer(connection, answer_error("a request is too long", NULL));
	}
}

/* epoll always reports HUP and ERR: writing or reading finds them. */
static void listen_on(struct connection *connection)
{
	uint32_t mask = connection->answer ? EPOLLOUT : connection->waits ? 0 : EPOLLIN;

	if (connection->event.fd >= 0)
		events_change(&connection->server->loop->vcpus->machine->events,
			      &connection->event, mask);
}

static void read_requests(struct connection *connection)
{
	int fds[FD_MESSAGE_FDS];
	ssize_t got = fd_message_receive(connection->event.fd,
					 connection->line + connection->used,
					 sizeof(connection->line) - connection->used, fds);

	if (fds[0] >= 0) {
		fd_message_close(connection->fds);
		memcpy(connection->fds, fds, sizeof(fds));
	}
	if (got == -EAGAIN)
		return;
	if (got <= 0) {
		drop(connection);
		return;
	}
	connection->used += got;
	answer_lines(connection);
}

static void connection_ready(struct event *event, uint32_t ready)
{
	struct connection *connection = event->data;

	if (connection->answer) {
		if (write_answer(connection))
			answer_lines(connection);
	} else if (ready & EPOLLIN) {
		read_requests(connection);
	} else {
		drop(connection);
	}
	listen_on(connection);
}

/* ---- The listener ---- */

static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	       (!peer.uid || peer.uid == geteuid());
}

static struct connection *unused(struct control_server *server)
{
	int i;

	for (i = 0; i < CONNECTIONS; i++)
		if (server->connections[i].event.fd < 0)
			return &server->connections[i];
	return NULL;
}

static void refuse(int fd, const char *why)
{
	struct json_object *answer = answer_error(why, NULL);
	const char *text = json_object_to_json_string_ext(answer, CONTROL_JSON);

	if (send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) > 0)
		send(fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	json_object_put(answer);
	close(fd);
}

static void accept_one(struct event *event, uint32_t ready)
{
	struct control_server *server = event->data;
	struct connection *connection = unused(server);
	int fd = accept4(event->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)ready;
	if (fd < 0)
		return;
	if (!may_ask(fd)) {
		refuse(fd, "this VM is another user's");
		return;
	}
	if (!connection) {
		refuse(fd, "too many are connected");
		return;
	}
	connection->event.fd = fd;
	connection->used = 0;
	connection->last = false;
	if (events_add(&server->loop->vcpus->machine->events, &connection->event, EPOLLIN)) {
		close(fd);
		connection->event.fd = -1;
	}
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* The file gets the socket's own mode, so that no chmod(2) comes too late. */
	if (!fchmod(fd, 0600) && !bind(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !listen(fd, CONNECTIONS))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static void close_facts(struct control_server *server)
{
	if (server->facts >= 0)
		close(server->facts);
}

int control_server_listener(const struct control_server *server)
{
	return server->listener.fd;
}

struct control_server *control_server_open(struct loop *loop, const char *name,
					   const char *path, int *error)
{
	int listener = listen_at(path);

	*error = listener;
	return listener < 0 ? NULL : control_server_over(loop, name, listener, error);
}

struct control_server *control_server_over(struct loop *loop, const char *name, int listener,
					   int *error)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int i;

	*error = -ENOMEM;
	if (!server) {
		close(listener);
		return NULL;
	}
	server->loop = loop;
	server->began = now_ns();
	server->facts = gmem_memfd_facts_open(machine_view(loop->vcpus->machine));
	snprintf(server->name, sizeof(server->name), "%s", name);
	for (i = 0; i < CONNECTIONS; i++) {
		struct connection *connection = &server->connections[i];

		connection->server = server;
		memset(connection->fds, -1, sizeof(connection->fds));
		connection->event = (struct event){
			.fd = -1, .ready = connection_ready, .data = connection,
		};
	}
	server->listener = (struct event){
		.fd = listener, .ready = accept_one, .data = server,
	};
	*error = events_add(&loop->vcpus->machine->events, &server->listener, EPOLLIN);
	if (!*error)
		return server;
	close(listener);
	close_facts(server);
	free(server);
	return NULL;
}

void control_server_close(struct control_server *server)
{
	int i;

	if (!server)
		return;
	for (i = 0; i < CONNECTIONS; i++)
		drop(&server->connections[i]);
	events_remove(&server->loop->vcpus->machine->events, &server->listener);
	close(server->listener.fd);
	close_facts(server);
	free(server);
}
