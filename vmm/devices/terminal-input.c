// SPDX-License-Identifier: MIT
/* Keys that are typed at stdin, and at a client that is attached. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/terminal-ends.h"

#define CHUNK		2048U
#define QUIT_KEY	0x1d	/* Ctrl-] */

static unsigned int room(struct terminal *terminal)
{
	unsigned int left;

	pthread_mutex_lock(&terminal->lock);
	left = TERMINAL_TYPED - (terminal->memory->typed_in - terminal->memory->typed_out);
	pthread_mutex_unlock(&terminal->lock);
	return left;
}

void terminal_type(struct terminal *terminal, const char *bytes, size_t size)
{
	struct terminal_memory *memory = terminal->memory;
	size_t i;

	pthread_mutex_lock(&terminal->lock);
	for (i = 0; i < size && memory->typed_in - memory->typed_out < TERMINAL_TYPED; i++) {
		memory->typed[memory->typed_in % TERMINAL_TYPED] = bytes[i];
		__atomic_store_n(&memory->typed_in, memory->typed_in + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&terminal->lock);
	if (size && terminal->came)
		terminal->came(terminal->data);
}

/* Ctrl-] twice ends the VM; a single one goes to the guest, with what follows. */
static void give_keys(struct terminal *terminal, const char *keys, size_t size)
{
	char kept[2 * CHUNK + 1];
	size_t used = 0, i;

	for (i = 0; i < size; i++) {
		bool quit = keys[i] == QUIT_KEY;

		if (quit && terminal->quit) {
			terminal->end(terminal->data);
			return;
		}
		if (terminal->quit)
			kept[used++] = QUIT_KEY;
		if (!quit)
			kept[used++] = keys[i];
		terminal->quit = quit;
	}
	terminal_type(terminal, kept, used);
}

/* False: there is no more input now, or for ever. */
static bool read_some(struct terminal *terminal, struct terminal_end *end)
{
	char bytes[CHUNK];
	unsigned int size = room(terminal);
	ssize_t got;

	/* A key that was held back may come before each byte: keep half of the room for these. */
	if (size < 2)
		return false;
	size = size / 2 < sizeof(bytes) ? size / 2 : sizeof(bytes);
	got = read(end->fd, bytes, size);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		if (end_is_client(terminal, end))
			end_detach(terminal);
		else
			end_close(terminal, end);
		return false;
	}
	if (!end_is_client(terminal, end) && terminal->person)
		give_keys(terminal, bytes, got);
	else
		terminal_type(terminal, bytes, got);
	return true;
}

/* While the guest takes nothing, read nothing: the typist waits. */
void end_read_stdin(struct terminal *terminal)
{
	struct terminal_end *in = &terminal->in;

	while (terminal->ready && in->fd >= 0 && read_some(terminal, in))
		;
	if (terminal->ready || in->fd < 0 || in->waits || !terminal->reads ||
	    room(terminal) < TERMINAL_TYPED / 2)
		return;
	in->waits = !events_add(terminal->events, &in->event, EPOLLIN);
}

void end_stdin_ready(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;
	struct terminal_end *in = &terminal->in;

	(void)ready;
	read_some(terminal, in);
	if (in->fd >= 0 && room(terminal) < 2) {
		events_remove(terminal->events, &in->event);
		in->waits = false;
	}
}

void end_client_ready(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;
	struct terminal_end *client = &terminal->client;

	if (ready & EPOLLOUT) {
		end_set_full(terminal, client, false);
		end_flush(terminal, client);
	}
	if (client->fd >= 0 && ready & EPOLLIN) {
		read_some(terminal, client);
		if (client->fd >= 0 && room(terminal) < 2)
			end_set_held(terminal, client, true);
	} else if (client->fd >= 0 && ready & (EPOLLHUP | EPOLLERR)) {
		end_detach(terminal);
	}
}

void end_read_client(struct terminal *terminal)
{
	struct terminal_end *client = &terminal->client;

	if (client->fd >= 0 && room(terminal) >= TERMINAL_TYPED / 2)
		end_set_held(terminal, client, false);
}
