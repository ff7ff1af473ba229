/* SPDX-License-Identifier: MIT */
/*
 * What a network card is plugged into on the host: a tap interface, or passt. A frame
 * begins with the header of virtio-net. Nothing here waits. All of it is called by the
 * thread of the main loop.
 */
#ifndef VMM_NET_PORT_H
#define VMM_NET_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct events;
struct net_port;
struct vhost;

#define NET_HEADER	12U			/* struct virtio_net_hdr_mrg_rxbuf */
#define NET_FRAME_LEAST	14U			/* an Ethernet header */
#define NET_FRAME_MOST	65553U			/* 64 KiB less one, of IP, with a VLAN tag */
#define NET_BUFFER	(NET_HEADER + NET_FRAME_MOST)
#define NET_WHY		256U			/* room for an error in words */

/*
 * struct net_port_ops - what a kind of port does
 * @send: a frame in @nr pieces, @size bytes in all. 0: it has gone, or is lost as frames
 *	can be; -EAGAIN: not now, and card_ready() is called once it can be
 * @receive: the next frame into @buffer, of NET_BUFFER bytes. Its size, or 0: there is none
 * @want: does the card take frames? Only then card_frames() is called
 * @offload: the driver has settled these of VIRTIO_NET_F_*. 0 or -errno
 * @close: let go of all, and free it
 */
struct net_port_ops {
	int (*send)(struct net_port *port, const struct iovec *iov, unsigned int nr,
		    size_t size);
	size_t (*receive)(struct net_port *port, void *buffer);
	void (*want)(struct net_port *port, bool frames);
	int (*offload)(struct net_port *port, uint64_t features);
	void (*close)(struct net_port *port);
};

/*
 * struct net_card - what a port calls
 * @frames: there are frames to receive
 * @ready: a send that was refused can be tried again
 * @link: the port's @up has changed
 */
struct net_card {
	void (*frames)(struct net_card *card);
	void (*ready)(struct net_card *card);
	void (*link)(struct net_card *card);
};

/*
 * struct net_port - a port; kinds of ports have it as their first member
 * @features: those of VIRTIO_NET_F_* that it can carry out
 * @mtu: of the host's side, or 0 where it has none of its own
 * @up: does anybody listen?
 * @vhost: what carries its frames in place of it, where the kernel does that, or NULL
 * @card: set before its first @want
 */
struct net_port {
	const struct net_port_ops *ops;
	struct events *events;
	uint64_t features;
	uint16_t mtu;
	bool up;
	struct vhost *vhost;
	struct net_card *card;
};

/* The descriptor of an interface that tap_open() has opened. */
int tap_descriptor(const struct net_port *port);

/*
 * Open the interface @name, which exists; or have a helper start passt, by the *channel to
 * it, which is taken over. NULL with the reason in words in @why, of NET_WHY bytes.
 */
struct net_port *tap_open(struct events *events, const char *name, char *why);
struct net_port *passt_open(struct events *events, int *channel, char *why);

/*
 * The same for what another VMM of the same guest had: a tap's descriptor, which is taken over;
 * or the channel to the helper, likewise, and no connection before passt_resume().
 */
struct net_port *tap_adopt(struct events *events, int fd, const char *name, char *why);
struct net_port *passt_adopt(struct events *events, int *channel, char *why);

/* struct passt_ends - what is passt's: descriptors, or -1, and the number of @socket */
struct passt_ends {
	int channel;
	int socket;
	uint32_t number;
};

/* Is this port passt's? Then it stays so. */
bool passt_is(const struct net_port *port);
struct passt_ends passt_ends(const struct net_port *port);

/*
 * Of a port that is not wanted: leave the connection between two frames, for another to go on
 * with; frames that come are lost. True: it is there; call it again otherwise.
 */
bool passt_settle(struct net_port *port);

/*
 * Of one that was adopted: have the helper connect to it, or start it. It comes up later. 0 or
 * -errno.
 */
int passt_connect_again(struct net_port *port);

/* Go on with a connection: its socket, which is taken over in any case. 0 or -errno. */
int passt_resume(struct net_port *port, int socket, uint32_t number);

#endif /* VMM_NET_PORT_H */
