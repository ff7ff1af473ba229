/* SPDX-License-Identifier: MIT */
/* A network card for the guest. */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include <stdint.h>

#define NET_MAC	6U

struct machine;
struct net_port;
struct virtio_device;

/*
 * Give a machine a card, plugged into a port. The port belongs to the card from here on in any
 * case. @mtu: the largest packet that the guest may send; 0: the port's. Returns 0 or -errno.
 */
int net_add(struct machine *machine, struct net_port *port, const uint8_t *mac,
	    uint16_t mtu);

/* The port that a card is plugged into. */
struct net_port *net_port_of(struct virtio_device *device);

/* The address of a card by its name, the same each time. */
void net_mac(const char *name, uint8_t *mac);

#endif /* VMM_VIRTIO_NET_H */
