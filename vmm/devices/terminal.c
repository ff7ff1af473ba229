// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/raw-mode.h"
#include "common/say.h"
#include "devices/terminal-ends.h"

#define LINE_PATIENCE	100	/* ms to the end of a line */

/* ---- Under the lock ---- */

void terminal_wake(struct terminal *terminal)
{
	uint64_t one = 1;

	if (terminal->woken || terminal->wake.fd < 0)
		return;
	terminal->woken = true;
	/* The eventfd cannot overflow: it is read before it is written again. */
	if (write(terminal->wake.fd, &one, sizeof(one)) < 0)
		terminal->woken = false;
}

static void put(struct terminal *terminal, const char *bytes, size_t size)
{
	struct terminal_memory *memory = terminal->memory;

	while (size) {
		size_t at = memory->put % TERMINAL_KEPT;
		size_t part = TERMINAL_KEPT - at < size ? TERMINAL_KEPT - at : size;

		memcpy(memory->kept + at, bytes, part);
		__atomic_store_n(&memory->put, memory->put + part, __ATOMIC_RELEASE);
		bytes += part;
		size -= part;
	}
}

static char last_byte(const struct terminal *terminal)
{
	const struct terminal_memory *memory = terminal->memory;

	return memory->put ? memory->kept[(memory->put - 1) % TERMINAL_KEPT] : '\n';
}

/* ---- Any thread ---- */

void terminal_put(struct terminal *terminal, const char *bytes, size_t size)
{
	pthread_mutex_lock(&terminal->lock);
	put(terminal, bytes, size);
	terminal->lines += last_byte(terminal) == '\n';
	terminal_wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

/* Put a message of gmem's between the guest's lines, in the order in which they came. */
static void put_line(void *data, const char *line, size_t size)
{
	struct terminal *terminal = data;

	pthread_mutex_lock(&terminal->lock);
	if (last_byte(terminal) != '\n')
		put(terminal, "\r\n", 2);
	put(terminal, line, size);
	terminal_wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

bool terminal_wants_bytes(struct terminal *terminal)
{
	bool wants;

	pthread_mutex_lock(&terminal->lock);
	wants = terminal->by_bytes;
	if (!wants && !terminal->partial) {
		terminal->partial = true;
		terminal_wake(terminal);
	}
	pthread_mutex_unlock(&terminal->lock);
	return wants;
}

int terminal_get(struct terminal *terminal)
{
	struct terminal_memory *memory;
	int byte = -1;

	pthread_mutex_lock(&terminal->lock);
	memory = terminal->memory;
	if (memory->typed_in != memory->typed_out) {
		byte = (unsigned char)memory->typed[memory->typed_out % TERMINAL_TYPED];
		memory->typed_out++;
		/* If it was full, reading has stopped: continue now. */
		if (memory->typed_in - memory->typed_out == TERMINAL_TYPED / 2)
			terminal_wake(terminal);
	}
	pthread_mutex_unlock(&terminal->lock);
	return byte;
}

/* ---- Its memory ---- */

static void set_memory(struct terminal *terminal, struct terminal_memory *memory, bool own)
{
	terminal->memory = memory;
	terminal->own = own;
	terminal->out.shown = &memory->out_shown;
	terminal->client.shown = &memory->client_shown;
}

void terminal_use(struct terminal *terminal, struct terminal_memory *memory)
{
	struct terminal_memory *before = terminal->memory;

	pthread_mutex_lock(&terminal->lock);
	*memory = *before;
	set_memory(terminal, memory, false);
	pthread_mutex_unlock(&terminal->lock);
	free(before);
}

void terminal_recover(struct terminal *terminal, const struct terminal_memory *memory,
		      uint32_t taken)
{
	struct terminal_memory *now;

	pthread_mutex_lock(&terminal->lock);
	now = terminal->memory;
	*now = *memory;
	if (now->out_shown > now->put)
		now->out_shown = now->put;
	if (now->client_shown > now->put)
		now->client_shown = now->put;
	now->typed_out = taken;
	if (now->typed_in - taken > TERMINAL_TYPED)
		now->typed_out = now->typed_in;
	terminal_wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

/* ---- The main loop's thread ---- */

static void start_timer(struct terminal *terminal)
{
	struct itimerspec time = { .it_value.tv_nsec = LINE_PATIENCE * 1000000 };

	pthread_mutex_lock(&terminal->lock);
	terminal->timed_lines = terminal->lines;
	pthread_mutex_unlock(&terminal->lock);
	terminal->timed = !timerfd_settime(terminal->timer.fd, 0, &time, NULL);
}

static void woken(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;
	uint64_t told;
	bool partial;

	(void)ready;
	pthread_mutex_lock(&terminal->lock);
	/* Keep this order: output that is put from here on wakes the loop again. */
	if (read(event->fd, &told, sizeof(told)) > 0)
		terminal->woken = false;
	partial = terminal->partial;
	pthread_mutex_unlock(&terminal->lock);
	if (partial && !terminal->timed)
		start_timer(terminal);
	terminal_flush(terminal);
	end_read_stdin(terminal);
	end_read_client(terminal);
}

static void timer_ready(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;
	uint64_t told;
	bool same;

	(void)ready;
	if (read(event->fd, &told, sizeof(told)) < 0)
		return;
	terminal->timed = false;
	pthread_mutex_lock(&terminal->lock);
	/* It may be a later line, which is still being written. */
	same = terminal->lines == terminal->timed_lines;
	if (same)
		terminal->partial = false;
	pthread_mutex_unlock(&terminal->lock);
	if (!same)
		start_timer(terminal);
	else if (terminal->show)
		terminal->show(terminal->data);
}

int terminal_open(struct terminal *terminal, struct events *events)
{
	int ret;

	*terminal = (struct terminal){
		.lock = PTHREAD_MUTEX_INITIALIZER, .events = events,
		.in.fd = -1, .client.fd = -1, .out.fd = -1,
		.wake = { .fd = -1, .ready = woken, .data = terminal },
		.timer = { .fd = -1, .ready = timer_ready, .data = terminal },
	};
	end_open(&terminal->out, STDOUT_FILENO, O_WRONLY);
	terminal->memory = calloc(1, sizeof(*terminal->memory));
	if (!terminal->memory)
		return -ENOMEM;
	set_memory(terminal, terminal->memory, true);
	terminal->out.event = (struct event){
		.fd = terminal->out.fd, .ready = end_stdout_ready, .data = terminal,
	};
	terminal->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	terminal->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (terminal->wake.fd < 0 || terminal->timer.fd < 0)
		return -EMFILE;
	ret = events_add(events, &terminal->wake, EPOLLIN);
	if (!ret)
		ret = events_add(events, &terminal->timer, EPOLLIN);
	terminal_look_on(terminal);
	if (!ret)
		say_through(put_line, terminal);
	return ret;
}

void terminal_open_stdin(struct terminal *terminal)
{
	end_open(&terminal->in, STDIN_FILENO, O_RDONLY);
}

void terminal_read_stdin(struct terminal *terminal)
{
	struct terminal_end *in = &terminal->in;

	if (isatty(STDIN_FILENO)) {
		if (raw_mode_begin(STDIN_FILENO))
			return;
		terminal->person = true;
		say("the keys are the guest's now; Ctrl-] twice ends it");
	}
	in->event = (struct event){ .fd = in->fd, .ready = end_stdin_ready, .data = terminal };
	terminal->reads = true;
	if (in->fd < 0)
		return;
	terminal->ready = events_add(terminal->events, &in->event, EPOLLIN) == -EPERM;
	in->waits = !terminal->ready;
	end_read_stdin(terminal);
}

int terminal_attach(struct terminal *terminal, int fd)
{
	struct terminal_end *client = &terminal->client;
	int ret;

	if (client->fd >= 0)
		return -EBUSY;
	client->event = (struct event){ .fd = fd, .ready = end_client_ready, .data = terminal };
	ret = events_add(terminal->events, &client->event, EPOLLIN);
	if (ret)
		return ret;
	client->fd = fd;
	client->own = true;
	client->socket = true;
	client->waits = true;
	terminal_look_on(terminal);
	/* Output from before the client was attached does not count as missed. */
	pthread_mutex_lock(&terminal->lock);
	if (terminal->memory->put - *client->shown > TERMINAL_KEPT)
		*client->shown = terminal->memory->put - TERMINAL_KEPT;
	terminal_wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
	client->lost = 0;
	if (terminal->show)
		terminal->show(terminal->data);
	return 0;
}

bool terminal_is_attached(const struct terminal *terminal)
{
	return terminal->client.fd >= 0;
}

/* ---- Its end ---- */

static void close_event(struct terminal *terminal, struct event *event)
{
	if (event->fd < 0)
		return;
	events_remove(terminal->events, event);
	close(event->fd);
	event->fd = -1;
}

void terminal_close(struct terminal *terminal)
{
	say_through(NULL, NULL);
	if (terminal->memory) {
		end_last_words(terminal, &terminal->out);
		end_last_words(terminal, &terminal->client);
	}
	if (terminal->person)
		raw_mode_end();
	end_close(terminal, &terminal->in);
	end_close(terminal, &terminal->out);
	end_close(terminal, &terminal->client);
	close_event(terminal, &terminal->wake);
	close_event(terminal, &terminal->timer);
	if (terminal->own)
		free(terminal->memory);
	terminal->memory = NULL;
}
