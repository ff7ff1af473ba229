/* SPDX-License-Identifier: MIT */
/* A port that a test plugs a network card of its own into. */
#ifndef TESTS_DEVICES_ONE_PORT_H
#define TESTS_DEVICES_ONE_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "common/events.h"
#include "net/port.h"

#define DATA	(NET_HEADER + NET_FRAME_LEAST)	/* where a frame's own content begins */
#define SIZES	512

extern struct events events;
extern struct net_port *port;
extern char why[NET_WHY];

/* The frame that came last, the sizes of those that came, and how often something did. */
extern uint8_t frame[NET_BUFFER];
extern size_t sizes[SIZES];
extern unsigned int received, came_ready, links;

int port_set_up(void **state);
int port_tear_down(void **state);

/* Plug the card in; NULL: @why says why there is no port. */
void take(struct net_port *opened);

/* The loop, until a number is reached; not for ever. */
void until(const unsigned int *number, unsigned int value);

/* A frame of so many bytes with its header, whose first byte of content is @what. */
int send_as(int what, size_t size);

#endif /* TESTS_DEVICES_ONE_PORT_H */
