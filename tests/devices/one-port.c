// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "common/say.h"
#include "one-port.h"
#include "unit.h"

struct events events;
struct net_port *port;
uint8_t frame[NET_BUFFER];
size_t sizes[SIZES];
unsigned int received, came_ready, links;
char why[NET_WHY];

static void frames(struct net_card *card)
{
	size_t size;

	(void)card;
	while ((size = port->ops->receive(port, frame)))
		sizes[received++ % SIZES] = size;
}

static void card_is_ready(struct net_card *card)
{
	(void)card;
	came_ready++;
}

static void link_changed(struct net_card *card)
{
	(void)card;
	links++;
}

static struct net_card card = {
	.frames = frames, .ready = card_is_ready, .link = link_changed,
};

void take(struct net_port *opened)
{
	if (!opened)
		fail_msg("%s", why);
	port = opened;
	port->card = &card;
	port->ops->want(port, true);
}

void until(const unsigned int *number, unsigned int value)
{
	uint64_t end = now_ns() + 20000000000ULL;

	while (*number < value && now_ns() < end)
		assert_int_equal(events_wait(&events, 50), 0);
	assert_true(*number >= value);
}

int send_as(int what, size_t size)
{
	static uint8_t sent[NET_BUFFER];
	struct iovec iov[2] = {
		{ .iov_base = sent, .iov_len = 20 },
		{ .iov_base = sent + 20, .iov_len = size - 20 },
	};
	size_t i;

	for (i = DATA + 1; i < size; i++)
		sent[i] = i % 253;
	sent[DATA] = what;
	return port->ops->send(port, iov, 2, size);
}

int port_set_up(void **state)
{
	(void)state;
	received = 0;
	came_ready = 0;
	links = 0;
	port = NULL;
	return events_open(&events);
}

int port_tear_down(void **state)
{
	(void)state;
	if (port)
		port->ops->close(port);
	events_close(&events);
	return 0;
}
