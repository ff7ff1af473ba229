// SPDX-License-Identifier: MIT
/*
 * The Virtual I/O Device specification 1.2, 5.1, with one pair of queues and without a
 * control queue. Buffers are used in the order in which they came, so that the queues are the whole
 * state. A frame that is held here is lost, which may happen to any frame.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/say.h"
#include "machine/machine.h"
#include "net/port.h"
#include "virtio/device.h"
#include "virtio/net.h"
#include "virtio/vhost.h"

#define CLASS_ETHERNET	0x020000
#define RECEIVE		0
#define TRANSMIT	1

/*
 * struct net - a card
 * @config: what the driver reads; its status is written by the loop alone
 * @held: of @frame: its size, or 0
 * @done: the buffers that a frame is spread over
 * @frame: waits for buffers of the driver
 */
struct net {
	struct virtio_device device;
	struct net_card card;
	struct net_port *port;
	struct virtio_net_config config;
	size_t held;
	struct virtq_done done[VIRTQ_SIZE];
	uint8_t frame[NET_BUFFER];
};

static struct net *net_of(struct virtio_device *device)
{
	return (struct net *)device;
}

static struct net *of_card(struct net_card *card)
{
	return (struct net *)((char *)card - offsetof(struct net, card));
}

struct net_port *net_port_of(struct virtio_device *device)
{
	return net_of(device)->port;
}

/* ---- From the guest ---- */

static bool transmit(struct virtio_device *device, struct virtq_chain *chain)
{
	struct net_port *port = net_of(device)->port;

	/* Drop what is not a frame. */
	if (chain->out_size >= NET_HEADER + NET_FRAME_LEAST &&
	    chain->out_size <= NET_BUFFER &&
	    port->ops->send(port, chain->iov, chain->nr_out, chain->out_size) == -EAGAIN)
		return false;
	virtq_push(&device->queues[TRANSMIT], chain->head, 0);
	return true;
}

static void card_ready(struct net_card *card)
{
	if (vhost_runs(of_card(card)->port->vhost))
		return;
	virtio_serve(&of_card(card)->device, TRANSMIT, transmit);
}

/* ---- To the guest ---- */

enum { DELIVERED, MORE_BUFFERS, NO_BUFFERS, BROKEN };

static void put_back(struct virtq *queue, uint16_t nr)
{
	while (nr--)
		virtq_unpop(queue);
}

/* Put the frame into one buffer, or into several if the driver has agreed to that. */
static int deliver(struct net *net)
{
	struct virtq *queue = &net->device.queues[RECEIVE];
	uint16_t nr = 0, most = virtio_has(&net->device, VIRTIO_NET_F_MRG_RXBUF) ?
				queue->now.size : 1;
	struct virtq_chain first, next, *chain = &first;
	size_t at = 0;

	do {
		int ret = virtq_pop(queue, chain);

		/* Ask for buffers beyond the present ones: only more of them help. */
		if (!ret) {
			bool more = virtq_arm(queue);

			put_back(queue, nr);
			return more ? MORE_BUFFERS : NO_BUFFERS;
		}
		/* A buffer without room for the header is useless. */
		if (ret < 0 || !chain->in_size || (!nr && chain->in_size < NET_HEADER)) {
			queue->broken = true;
			return BROKEN;
		}
		net->done[nr].head = chain->head;
		net->done[nr].written = virtq_write(chain, 0, net->frame + at,
						    net->held - at);
		at += net->done[nr++].written;
		chain = &next;
	} while (at < net->held && nr < most);
	if (at < net->held) {	/* too large: it is lost, the buffers are not */
		put_back(queue, nr);
		return DELIVERED;
	}
	virtq_write(&first, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &nr,
		    sizeof(nr));
	virtq_push_all(queue, net->done, nr);
	return DELIVERED;
}

static bool next_frame(struct net *net)
{
	if (!net->held)
		net->held = net->port->ops->receive(net->port, net->frame);
	return net->held;
}

static void card_frames(struct net_card *card)
{
	struct net *net = of_card(card);
	struct virtq *queue = &net->device.queues[RECEIVE];
	int came = DELIVERED;

	if (!net->device.started || queue->broken || net->device.machine->held ||
	    vhost_runs(net->port->vhost))
		return;
	while (came <= MORE_BUFFERS && next_frame(net)) {
		came = deliver(net);
		if (came == DELIVERED)
			net->held = 0;
	}
	if (came > MORE_BUFFERS)
		net->port->ops->want(net->port, false);
	if (came == BROKEN)
		virtio_fail(&net->device);
	virtio_tell(&net->device, RECEIVE);
}

static void card_link(struct net_card *card)
{
	struct net *net = of_card(card);

	/* The queues must be emptied, and their frames dropped. */
	if (!net->port->up)
		vhost_stop(net->port->vhost);
	__atomic_store_n(&net->config.status, net->port->up ? VIRTIO_NET_S_LINK_UP : 0,
			 __ATOMIC_RELAXED);
	if (net->device.started)
		virtio_config_changed(&net->device);
}

/* ---- The device ---- */

/* Give the queues to the kernel, if it can take them now. */
static bool is_carried(struct net *net)
{
	struct net_port *port = net->port;
	int ret;

	if (!port->vhost || !port->up || !net->device.started || net->device.machine->held)
		return false;
	if (vhost_runs(port->vhost))
		return true;
	ret = vhost_start(port->vhost, &net->device);
	if (!ret)
		return true;
	say_failed(ret, "vhost-net: the VMM carries the guest's frames itself");
	vhost_close(port->vhost);
	port->vhost = NULL;
	return false;
}

static void kick(struct virtio_device *device, uint16_t queue)
{
	struct net *net = net_of(device);

	if (is_carried(net))
		return;
	if (queue == TRANSMIT) {
		virtio_serve(device, TRANSMIT, transmit);
	} else if (!device->queues[RECEIVE].broken) {
		virtq_disarm(&device->queues[RECEIVE]);
		net->port->ops->want(net->port, true);
		card_frames(&net->card);
	}
}

static int start(struct virtio_device *device)
{
	struct net *net = net_of(device);

	net->held = 0;
	return net->port->ops->offload(net->port, device->now.driver_features);
}

static bool reset(struct virtio_device *device)
{
	struct net *net = net_of(device);

	net->held = 0;
	vhost_stop(net->port->vhost);
	net->port->ops->want(net->port, false);
	return true;
}

static void hold(struct virtio_device *device)
{
	struct net *net = net_of(device);

	vhost_stop(net->port->vhost);
	net->port->ops->want(net->port, false);
}

static bool idle(const struct virtio_device *device)
{
	(void)device;
	return true;
}

static void close_net(struct virtio_device *device)
{
	struct net *net = net_of(device);

	vhost_close(net->port->vhost);
	net->port->ops->close(net->port);
	free(net);
}

static void read_config(struct virtio_device *device, uint32_t offset, void *data,
			uint32_t size)
{
	memcpy(data, (const uint8_t *)&net_of(device)->config + offset, size);
}

/* Report a link that goes down, or comes up, as ever. */
static void adopt(struct virtio_device *device, const uint8_t *config)
{
	const size_t at = offsetof(struct virtio_net_config, status);

	memcpy(&net_of(device)->config.status, config + at,
	       sizeof(net_of(device)->config.status));
}

static const struct virtio_ops ops = {
	.name = "net", .type = VIRTIO_ID_NET, .class = CLASS_ETHERNET,
	.start = start, .kick = kick, .reset = reset, .idle = idle, .hold = hold,
	.close = close_net, .adopt = adopt,
	.read_config = read_config,
};

int net_add(struct machine *machine, struct net_port *port, const uint8_t *mac,
	    uint16_t mtu)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net) {
		vhost_close(port->vhost);
		port->ops->close(port);
		return -ENOMEM;
	}
	net->port = port;
	net->card = (struct net_card){
		.frames = card_frames, .ready = card_ready, .link = card_link,
	};
	port->card = &net->card;
	memcpy(net->config.mac, mac, NET_MAC);
	net->config.status = port->up ? VIRTIO_NET_S_LINK_UP : 0;
	net->config.mtu = mtu ? mtu : port->mtu;
	net->device.nr_queues = 2;
	net->device.config_size = offsetof(struct virtio_net_config, mtu) +
				  sizeof(net->config.mtu);
	net->device.features = port->features | 1ULL << VIRTIO_NET_F_MAC |
			       1ULL << VIRTIO_NET_F_STATUS | 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	if (net->config.mtu)
		net->device.features |= 1ULL << VIRTIO_NET_F_MTU;
	return virtio_init(&net->device, &ops, machine);
}

void net_mac(const char *name, uint8_t *mac)
{
	uint64_t hash = 0xcbf29ce484222325;	/* FNV-1a */
	unsigned int i;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	for (i = 0; i < NET_MAC; i++)
		mac[i] = hash >> (8 * i);
	/* Unicast, and locally administered. */
	mac[0] = (mac[0] & 0xfc) | 0x02;
}
