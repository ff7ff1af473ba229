// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/raw-mode.h"
#include "common/say.h"
#include "common/write-all.h"
#include "devices/terminal.h"

#define CHUNK		4096U
#define CHUNKS_AT_ONCE	32	/* then the main loop's other events have their turn */
#define LAST_WORDS	1000	/* ms */
#define LINE_PATIENCE	100	/* ms to the end of a line */
#define LOST_FORMAT	"\r\n[gmem: %" PRIu64 " bytes were not read in time]\r\n"
#define QUIT_KEY	0x1d	/* Ctrl-] */

/* ---- Under the lock ---- */

static void wake(struct terminal *terminal)
{
	uint64_t one = 1;

	if (terminal->woken || terminal->wake.fd < 0)
		return;
	terminal->woken = true;
	/* It cannot overflow: it is read before it is written again. */
	if (write(terminal->wake.fd, &one, sizeof(one)) < 0)
		terminal->woken = false;
}

static void put(struct terminal *terminal, const char *bytes, size_t size)
{
	while (size) {
		size_t at = terminal->put % TERMINAL_KEPT;
		size_t part = TERMINAL_KEPT - at < size ? TERMINAL_KEPT - at : size;

		memcpy(terminal->kept + at, bytes, part);
		terminal->put += part;
		bytes += part;
		size -= part;
	}
}

static char last_byte(const struct terminal *terminal)
{
	return terminal->put ? terminal->kept[(terminal->put - 1) % TERMINAL_KEPT] : '\n';
}

/* ---- Any thread ---- */

void terminal_put(struct terminal *terminal, const char *bytes, size_t size)
{
	pthread_mutex_lock(&terminal->lock);
	put(terminal, bytes, size);
	terminal->lines += last_byte(terminal) == '\n';
	wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

/* What gmem says stands between the guest's lines, in the order in which it happened. */
static void put_line(void *data, const char *line, size_t size)
{
	struct terminal *terminal = data;

	pthread_mutex_lock(&terminal->lock);
	if (last_byte(terminal) != '\n')
		put(terminal, "\r\n", 2);
	put(terminal, line, size);
	wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

bool terminal_wants_bytes(struct terminal *terminal)
{
	bool wants;

	pthread_mutex_lock(&terminal->lock);
	wants = terminal->by_bytes;
	if (!wants && !terminal->partial) {
		terminal->partial = true;
		wake(terminal);
	}
	pthread_mutex_unlock(&terminal->lock);
	return wants;
}

int terminal_get(struct terminal *terminal)
{
	int byte = -1;

	pthread_mutex_lock(&terminal->lock);
	if (terminal->used) {
		byte = (unsigned char)terminal->typed[terminal->first];
		terminal->first = (terminal->first + 1) % TERMINAL_TYPED;
		terminal->used--;
		/* Where it was full, nobody has read on. */
		if (terminal->used == TERMINAL_TYPED / 2)
			wake(terminal);
	}
	pthread_mutex_unlock(&terminal->lock);
	return byte;
}

/* ---- Output ---- */

static void end_close(struct terminal *terminal, struct terminal_end *end)
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

static void look_on(struct terminal *terminal)
{
	bool by_bytes = terminal->client.fd >= 0 || isatty(STDOUT_FILENO);

	pthread_mutex_lock(&terminal->lock);
	terminal->by_bytes = by_bytes;
	pthread_mutex_unlock(&terminal->lock);
}

static void detach(struct terminal *terminal)
{
	end_close(terminal, &terminal->client);
	look_on(terminal);
}

static bool is_client(const struct terminal *terminal, const struct terminal_end *end)
{
	return end == &terminal->client;
}

/*
 * Without waiting: a socket is told so, and a file of our own does not wait; where there
 * is none, it is asked first, and given no more than a pipe that has room takes at once.
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

/* What the main loop is to say of it: of stdout, that there is room; of a client, more. */
static void watch(struct terminal *terminal, struct terminal_end *end)
{
	if (is_client(terminal, end)) {
		events_change(terminal->events, &end->event,
			      (end->held ? 0 : EPOLLIN) | (end->full ? EPOLLOUT : 0));
	} else if (end->full && !end->waits) {
		end->waits = !events_add(terminal->events, &end->event, EPOLLOUT);
	} else if (!end->full && end->waits) {
		events_remove(terminal->events, &end->event);
		end->waits = false;
	}
}

static void set_full(struct terminal *terminal, struct terminal_end *end, bool full)
{
	if (end->full == full)
		return;
	end->full = full;
	watch(terminal, end);
}

static void set_held(struct terminal *terminal, struct terminal_end *end, bool held)
{
	if (end->held == held)
		return;
	end->held = held;
	watch(terminal, end);
}

/* The next bytes for it. What it cannot have any more is counted. */
static size_t next_chunk(struct terminal *terminal, struct terminal_end *end, char *chunk)
{
	size_t size = 0;

	pthread_mutex_lock(&terminal->lock);
	if (terminal->put - end->shown > TERMINAL_KEPT) {
		end->lost += terminal->put - TERMINAL_KEPT - end->shown;
		end->shown = terminal->put - TERMINAL_KEPT;
	}
	if (end->lost) {
		size = snprintf(chunk, CHUNK, LOST_FORMAT, end->lost);
	} else {
		size_t at = end->shown % TERMINAL_KEPT;

		size = terminal->put - end->shown;
		if (size > TERMINAL_KEPT - at)
			size = TERMINAL_KEPT - at;
		if (size > CHUNK)
			size = CHUNK;
		memcpy(chunk, terminal->kept + at, size);
	}
	pthread_mutex_unlock(&terminal->lock);
	return size;
}

/* True: there may be more to write to it at once. */
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
		set_full(terminal, end, true);
		return false;
	}
	if (wrote < 0) {
		/* Nobody listens: the guest goes on. */
		if (is_client(terminal, end))
			detach(terminal);
		else
			end_close(terminal, end);
		return false;
	}
	if (end->lost)
		end->lost = 0;
	else
		end->shown += wrote;
	return true;
}

static void flush_end(struct terminal *terminal, struct terminal_end *end)
{
	int i;

	if (end->fd < 0)
		return;
	for (i = 0; i < CHUNKS_AT_ONCE; i++)
		if (!flush_chunk(terminal, end))
			return;
	pthread_mutex_lock(&terminal->lock);
	wake(terminal);
	pthread_mutex_unlock(&terminal->lock);
}

void terminal_flush(struct terminal *terminal)
{
	flush_end(terminal, &terminal->out);
	flush_end(terminal, &terminal->client);
}

static void stdout_ready(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;

	(void)ready;
	set_full(terminal, &terminal->out, false);
	flush_end(terminal, &terminal->out);
}

/* ---- Input ---- */

static unsigned int room(struct terminal *terminal)
{
	unsigned int left;

	pthread_mutex_lock(&terminal->lock);
	left = TERMINAL_TYPED - terminal->used;
	pthread_mutex_unlock(&terminal->lock);
	return left;
}

void terminal_type(struct terminal *terminal, const char *bytes, size_t size)
{
	size_t i;

	pthread_mutex_lock(&terminal->lock);
	for (i = 0; i < size && terminal->used < TERMINAL_TYPED; i++, terminal->used++)
		terminal->typed[(terminal->first + terminal->used) % TERMINAL_TYPED] = bytes[i];
	pthread_mutex_unlock(&terminal->lock);
	if (size && terminal->came)
		terminal->came(terminal->data);
}

/* Ctrl-] twice ends it; once, it is the guest's, with what follows. */
static void give_keys(struct terminal *terminal, const char *keys, size_t size)
{
	char kept[CHUNK + 1];
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

/* False: there is no more now, or for ever. */
static bool read_some(struct terminal *terminal, struct terminal_end *end)
{
	char bytes[CHUNK / 2];
	unsigned int size = room(terminal);
	ssize_t got;

	/* What a key of before may add has room too. */
	if (size < 2)
		return false;
	size = size / 2 < sizeof(bytes) ? size / 2 : sizeof(bytes);
	got = read(end->fd, bytes, size);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		if (is_client(terminal, end))
			detach(terminal);
		else
			end_close(terminal, end);
		return false;
	}
	if (!is_client(terminal, end) && terminal->person)
		give_keys(terminal, bytes, got);
	else
		terminal_type(terminal, bytes, got);
	return true;
}

/* While the guest takes nothing, nothing is read: whoever types waits. */
static void read_stdin(struct terminal *terminal)
{
	struct terminal_end *in = &terminal->in;

	while (terminal->ready && in->fd >= 0 && read_some(terminal, in))
		;
	if (terminal->ready || in->fd < 0 || in->waits || !terminal->reads ||
	    room(terminal) < TERMINAL_TYPED / 2)
		return;
	in->waits = !events_add(terminal->events, &in->event, EPOLLIN);
}

static void stdin_ready(struct event *event, uint32_t ready)
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

static void client_ready(struct event *event, uint32_t ready)
{
	struct terminal *terminal = event->data;
	struct terminal_end *client = &terminal->client;

	if (ready & EPOLLOUT) {
		set_full(terminal, client, false);
		flush_end(terminal, client);
	}
	if (client->fd >= 0 && ready & EPOLLIN) {
		read_some(terminal, client);
		if (client->fd >= 0 && room(terminal) < 2)
			set_held(terminal, client, true);
	} else if (client->fd >= 0 && ready & (EPOLLHUP | EPOLLERR)) {
		detach(terminal);
	}
}

static void read_client(struct terminal *terminal)
{
	struct terminal_end *client = &terminal->client;

	if (client->fd >= 0 && room(terminal) >= TERMINAL_TYPED / 2)
		set_held(terminal, client, false);
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
	/* In this order: what is put from here on wakes it again. */
	if (read(event->fd, &told, sizeof(told)) > 0)
		terminal->woken = false;
	partial = terminal->partial;
	pthread_mutex_unlock(&terminal->lock);
	if (partial && !terminal->timed)
		start_timer(terminal);
	terminal_flush(terminal);
	read_stdin(terminal);
	read_client(terminal);
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
	/* The line may be a later one, that is being written. */
	same = terminal->lines == terminal->timed_lines;
	if (same)
		terminal->partial = false;
	pthread_mutex_unlock(&terminal->lock);
	if (!same)
		start_timer(terminal);
	else if (terminal->show)
		terminal->show(terminal->data);
}

/*
 * A file of our own on what stdin or stdout is, which can be made not to wait without
 * that happening to others who have it. A regular file's position is of the file: there,
 * and where /proc is not, the descriptor itself.
 */
static void end_open(struct terminal_end *end, int fd, int flags)
{
	char path[32];
	struct stat st;

	*end = (struct terminal_end){ .fd = fd };
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

int terminal_open(struct terminal *terminal, struct events *events)
{
	int ret;

	*terminal = (struct terminal){
		.lock = PTHREAD_MUTEX_INITIALIZER, .events = events,
		.in.fd = -1, .client.fd = -1,
		.wake = { .ready = woken, .data = terminal },
		.timer = { .ready = timer_ready, .data = terminal },
	};
	end_open(&terminal->out, STDOUT_FILENO, O_WRONLY);
	terminal->out.event = (struct event){
		.fd = terminal->out.fd, .ready = stdout_ready, .data = terminal,
	};
	terminal->kept = malloc(TERMINAL_KEPT);
	terminal->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	terminal->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!terminal->kept)
		return -ENOMEM;
	if (terminal->wake.fd < 0 || terminal->timer.fd < 0)
		return -EMFILE;
	ret = events_add(events, &terminal->wake, EPOLLIN);
	if (!ret)
		ret = events_add(events, &terminal->timer, EPOLLIN);
	look_on(terminal);
	if (!ret)
		say_through(put_line, terminal);
	return ret;
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
	end_open(in, STDIN_FILENO, O_RDONLY);
	in->event = (struct event){ .fd = in->fd, .ready = stdin_ready, .data = terminal };
	terminal->reads = true;
	if (in->fd < 0)
		return;
	terminal->ready = events_add(terminal->events, &in->event, EPOLLIN) == -EPERM;
	in->waits = !terminal->ready;
	read_stdin(terminal);
}

int terminal_attach(struct terminal *terminal, int fd)
{
	struct terminal_end *client = &terminal->client;
	int ret;

	if (client->fd >= 0)
		return -EBUSY;
	client->event = (struct event){ .fd = fd, .ready = client_ready, .data = terminal };
	ret = events_add(terminal->events, &client->event, EPOLLIN);
	if (ret)
		return ret;
	client->fd = fd;
	client->own = true;
	client->socket = true;
	client->waits = true;
	look_on(terminal);
	/* What was not read before it came is no loss of its own. */
	pthread_mutex_lock(&terminal->lock);
	if (terminal->put - client->shown > TERMINAL_KEPT)
		client->shown = terminal->put - TERMINAL_KEPT;
	wake(terminal);
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

static bool is_behind(struct terminal *terminal, const struct terminal_end *end)
{
	bool behind;

	pthread_mutex_lock(&terminal->lock);
	behind = end->fd >= 0 && end->shown < terminal->put;
	pthread_mutex_unlock(&terminal->lock);
	return behind;
}

static void last_words(struct terminal *terminal, struct terminal_end *end)
{
	uint64_t now, limit = now_ns() + LAST_WORDS * 1000000ULL;

	while (is_behind(terminal, end)) {
		flush_end(terminal, end);
		now = now_ns();
		if (now >= limit || !is_behind(terminal, end))
			return;
		wait_writable(end->fd, (limit - now) / 1000000 + 1);
	}
}

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
	if (terminal->kept) {
		last_words(terminal, &terminal->out);
		last_words(terminal, &terminal->client);
	}
	if (terminal->person)
		raw_mode_end();
	end_close(terminal, &terminal->in);
	end_close(terminal, &terminal->out);
	end_close(terminal, &terminal->client);
	close_event(terminal, &terminal->wake);
	close_event(terminal, &terminal->timer);
	free(terminal->kept);
	terminal->kept = NULL;
}
