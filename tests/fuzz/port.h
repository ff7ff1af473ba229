/* SPDX-License-Identifier: MIT */
/* The port of the fuzzer's network card: it reads what is sent, and gives frames. */
#ifndef TESTS_FUZZ_PORT_H
#define TESTS_FUZZ_PORT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/port.h"

/* Reset the port: no frames wait. */
struct net_port *port_open(struct events *events);

/* So many frames have come, each of so many bytes with its header. */
void port_give(unsigned int frames, size_t size);

/* It takes no frames, or takes them again; nobody listens, or somebody does. */
void port_fill(bool full);
void port_set_link(bool up);

#endif /* TESTS_FUZZ_PORT_H */
