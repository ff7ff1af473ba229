// SPDX-License-Identifier: MIT
/* A terminal's ends: opening, closing and writing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/say.h"
#include "common/write-all.h"
#include "devices/terminal-ends.h"

#define CHUNK		4096U
#define CHUNKS_AT_ONCE	32	/* after which the main loop handles other events */
#define LAST_WORDS	1000	/* ms */
#define LOST_FORMAT	"\r\n[gmem: %" PRIu64 " bytes were not read in time]\r\n"

/*
 * Opens stdin or stdout again as a file of our own, which can be made non-blocking without
 * affecting other processes. A regular file must keep its position, so use the descriptor itself
 * there, and also without /proc.
 */
void end_open(struct terminal_end *end, int fd, int flags)
{
	char path[32];
	struct stat st;

	*end = (struct terminal_end){ .fd = fd, .shown = end->shown };
	if (fstat(fd, &st)) {
		end->fd = -1;
		return;
	}
	end->socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	end->fd = fd;
	end->own = true;
}

void end_close(struct terminal *terminal, struct terminal_end *end)
{
	if (end->fd < 0)
		return;
	if (end->waits)
		events_remove(terminal->events, &end->event);
	end->waits = false;
	end->full = false;
	end->held = false;
	if (end->own)
		close(end->fd);
	end->fd = -1;
}

void terminal_look_on(struct terminal *terminal)
{
	bool by_bytes = terminal->client.fd >= 0 || isatty(STDOUT_FILENO);

	pthread_mutex_lock(&terminal->lock);
	terminal->by_bytes = by_bytes;
	pthread_mutex_unlock(&terminal->lock);
}

void end_detach(struct terminal *terminal)
{
	end_close(terminal, &terminal->client);
	terminal_look_on(terminal);
}

bool end_is_client(const struct terminal *terminal, const struct terminal_end *end)
{
	return end == &terminal->client;
}

/*
 * Writes without waiting: a socket gets MSG_DONTWAIT, and a file of our own is non-blocking. Any
 * other file is polled first, and gets no more bytes than a pipe with room takes at once.
 */
static ssize_t end_write(const struct terminal_end *end, const char *bytes, size_t size)
{
	ssize_t wrote;

	if (end->socket) {
		wrote = send(end->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (!end->own && !wait_writable(end->fd, 0)) {
		errno = EAGAIN;
		wrote = -1;
	} else {
		wrote = write(end->fd, bytes, size);
	}
	return wrote < 0 ? -errno : wrote;
}

/* Let the main loop wait for room at stdout, and at a client for keys and its end, too. */
static void watch(struct terminal *terminal, struct terminal_end *end)
{
	if (end_is_client(terminal, end)) {
		events_change(terminal->events, &end->event,
			      (end->held ? 0 : EPOLLIN) | (end->full ? EPOLLOUT : 0));
	} else if (end->full && !end->waits) {
		end->waits = !events_add(terminal->events, &end->event, EPOLLOUT);
	} else if (!end->full && end->waits) {
		events_remove(terminal->events, &end->event);
		end->waits = false;
	}
}

void end_set_full(struct terminal *terminal, struct terminal_end *end, bool full)
{
	if (end->full == full)
		return;
	end->full = full;
	watch(terminal, end);
}

void end_set_held(struct terminal *terminal, struct terminal_end *end, bool held)
{
	if (end->held == held)
		return;
	end->held = held;
	watch(terminal, end);
}

/* The next bytes for this reader. Counts bytes that it has missed. */
static size_t next_chunk(struct terminal *terminal, struct terminal_end *end, char *chunk)
{
	const struct terminal_memory *memory = terminal->memory;
	size_t size = 0;

	pthread_mutex_lock(&terminal->lock);
	if (memory->put - *end->shown > TERMINAL_KEPT) {
		end->lost += memory->put - TERMINAL_KEPT - *end->shown;
		*end->shown = memory->put - TERMINAL_KEPT;
	}
	if (end->lost) {
		size = snprintf(chunk, CHUNK, LOST_FORMAT, end->lost);
	} else {
		size_t at = *end->shown % TERMINAL_KEPT;

		size = memory->put - *end->shown;
		if (size > TERMINAL_KEPT - at)
			size = TERMINAL_KEPT - at;
		if (size > CHUNK)
			size = CHUNK;
		memcpy(chunk, memory->kept + at, size);
	}
	pthread_mutex_unlock(&terminal->lock);
	return size;
}

/* True: more can possibly be written at once. */
static bool flush_chunk(struct terminal *terminal, struct terminal_end *end)
{
	char chunk[CHUNK];
	size_t size = end->fd < 0 ? 0 : next_chunk(terminal, end, chunk);
	ssize_t wrote;

	if (!size)
		return false;
	wrote = end_write(end, chunk, size);
	if (wrote == -EINTR)
		return true;
	if (wrote == -EAGAIN) {
		end_set_full(terminal, end, true);
		return false;
	}
	if (wrote < 0) {
		/* Nobody listens: the guest goes on. */
		if (end_is_client(terminal, end))
			end_detach(terminal);
		else
			end_close(terminal, end);
		return false;
	}
	if (end->lost)
		end->lost = 0;
	else
		*end->shown += wrote;
	return true;
}

void end_flush(struct terminal *terminal, struct terminal_end *end)
{
	int i;

	if (end->fd < 0)
		return;
	for (i = 0; i < CHUNKS_AT_ONCE; i++)
		if (!flush_chunk(terminal, end))
			return;
	pthread_mutex_lock(&terminal->lock);
	terminal_wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

void terminal_flush(struct terminal *terminal)
{
	end_flush(terminal, &terminal->out);
	end_flush(terminal, &terminal->client);
}

void end_stdout_ready(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;

	(void)ready;
	end_set_full(terminal, &terminal->out, false);
	end_flush(terminal, &terminal->out);
}

static bool is_behind(struct terminal *terminal, const struct terminal_end *end)
{
	bool behind;

	pthread_mutex_lock(&terminal->lock);
	behind = end->fd >= 0 && *end->shown < terminal->memory->put;
	pthread_mutex_unlock(&terminal->lock);
	return behind;
}

void end_last_words(struct terminal *terminal, struct terminal_end *end)
{
	uint64_t now, limit = now_ns() + LAST_WORDS * 1000000ULL;

	while (is_behind(terminal, end)) {
		end_flush(terminal, end);
		now = now_ns();
		if (now >= limit || !is_behind(terminal, end))
			return;
		wait_writable(end->fd, (limit - now) / 1000000 + 1);
	}
}
