// SPDX-License-Identifier: MIT
/*
 * A tap interface that somebody with the right to do so has made for our user. The
 * kernel takes and gives the header of virtio-net as it is, checks it, and carries
 * checksums and segmentation out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/events.h"
#include "common/say.h"
#include "net/port.h"

#define AT_ONCE	256U	/* frames, before others of the loop have their turn */

/*
 * struct tap - an interface
 * @wanted: the card takes frames
 * @full: a send was refused
 * @taken: frames since the loop last told of some
 */
struct tap {
	struct net_port port;
	struct event event;
	bool wanted;
	bool full;
	unsigned int taken;
	char name[IFNAMSIZ];
};

static struct tap *tap_of(struct net_port *port)
{
	return (struct tap *)port;
}

static void wait_for(struct tap *tap)
{
	if (tap->port.up)
		events_change(tap->port.events, &tap->event,
			      (tap->wanted ? EPOLLIN : 0) | (tap->full ? EPOLLOUT : 0));
}

/* The interface was deleted. Frames that are sent from now on are lost. */
static void lose(struct tap *tap)
{
	events_remove(tap->port.events, &tap->event);
	tap->port.up = false;
	tap->full = false;
	say("tap %s: it is gone: the guest has no network until it is started again", tap->name);
	tap->port.card->link(tap->port.card);
	tap->port.card->ready(tap->port.card);
}

static void ready(struct event *event, uint32_t ready)
{
	struct tap *tap = event->data;

	tap->taken = 0;
	if (ready & EPOLLERR) {
		lose(tap);
		return;
	}
	if (ready & EPOLLOUT && tap->full) {
		tap->full = false;
		wait_for(tap);
		tap->port.card->ready(tap->port.card);
	}
	if (ready & EPOLLIN && tap->wanted)
		tap->port.card->frames(tap->port.card);
}

static int send_frame(struct net_port *port, const struct iovec *iov, unsigned int nr,
		      size_t size)
{
	struct tap *tap = tap_of(port);

	(void)size;
	/* Any other error is of this one frame, or says that the interface is down. */
	if (!port->up || writev(tap->event.fd, iov, nr) >= 0 || errno != EAGAIN)
		return 0;
	tap->full = true;
	wait_for(tap);
	return -EAGAIN;
}

static size_t receive(struct net_port *port, void *buffer)
{
	struct tap *tap = tap_of(port);
	ssize_t got;

	if (!port->up || tap->taken++ >= AT_ONCE)
		return 0;
	got = read(tap->event.fd, buffer, NET_BUFFER);
	return got < (ssize_t)(NET_HEADER + NET_FRAME_LEAST) ? 0 : got;
}

static void want(struct net_port *port, bool frames)
{
	struct tap *tap = tap_of(port);

	tap->taken = 0;
	if (tap->wanted == frames)
		return;
	tap->wanted = frames;
	wait_for(tap);
}

static bool has(uint64_t features, unsigned int bit)
{
	return features & 1ULL << bit;
}

/* The kernel knows segmentation with checksums only, as does the specification. */
static int offload(struct net_port *port, uint64_t features)
{
	unsigned long flags = 0;

	if (has(features, VIRTIO_NET_F_GUEST_CSUM)) {
		flags = TUN_F_CSUM;
		if (has(features, VIRTIO_NET_F_GUEST_TSO4))
			flags |= TUN_F_TSO4;
		if (has(features, VIRTIO_NET_F_GUEST_TSO6))
			flags |= TUN_F_TSO6;
		if (flags != TUN_F_CSUM && has(features, VIRTIO_NET_F_GUEST_ECN))
			flags |= TUN_F_TSO_ECN;
	}
	if (!port->up || !ioctl(tap_of(port)->event.fd, TUNSETOFFLOAD, flags))
		return 0;
	return errno == EBADFD ? 0 : -errno;
}

static void close_tap(struct net_port *port)
{
	struct tap *tap = tap_of(port);

	if (port->up)
		events_remove(port->events, &tap->event);
	close(tap->event.fd);
	free(tap);
}

static const struct net_port_ops ops = {
	.send = send_frame, .receive = receive, .want = want, .offload = offload,
	.close = close_tap,
};

static int fail(char *why, const char *name, const char *what)
{
	snprintf(why, NET_WHY, "tap %.15s: %s", name, what);
	return -1;
}

#define MAKE_IT	"as root: ip tuntap add NAME mode tap user USER; ip link set NAME up"

static int attach(int fd, const char *name, char *why)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = NET_HEADER;

	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request)) {
		switch (errno) {
		case EPERM:
			return fail(why, name, "it belongs to another user\n      "
				    "delete it, then " MAKE_IT);
		case EBUSY:
			return fail(why, name, "another process has it open\n      "
				    "each guest needs an interface of its own");
		case EINVAL:
			return fail(why, name, "it is no tap interface with a single queue\n"
				    "      " MAKE_IT);
		default:
			return fail(why, name, strerror(errno));
		}
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) || ioctl(fd, TUNSETOFFLOAD, 0UL))
		return fail(why, name, strerror(errno));
	return 0;
}

/* TUNSETIFF would make an interface that is missing, for who has the right to. */
static int open_interface(const char *name, char *why)
{
	int fd;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return fail(why, name, "no interface can have this name");
	if (!if_nametoindex(name))
		return fail(why, name, "there is no such interface\n      " MAKE_IT);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, NET_WHY, "/dev/net/tun: %s\n      %s", strerror(errno),
			 errno == ENOENT || errno == ENODEV ? "as root: modprobe tun" :
			 "give this user access to it, or use --net user");
		return -1;
	}
	if (!attach(fd, name, why))
		return fd;
	close(fd);
	return -1;
}

static uint16_t read_mtu(const char *name)
{
	struct ifreq request = { .ifr_name = "" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return 0;
	strcpy(request.ifr_name, name);
	ret = ioctl(fd, SIOCGIFMTU, &request);
	close(fd);
	return ret || request.ifr_mtu < 68 || request.ifr_mtu > UINT16_MAX ? 0 :
	       request.ifr_mtu;
}

int tap_descriptor(const struct net_port *port)
{
	return ((const struct tap *)port)->event.fd;
}

struct net_port *tap_open(struct events *events, const char *name, char *why)
{
	int fd = open_interface(name, why);

	return fd < 0 ? NULL : tap_adopt(events, fd, name, why);
}

struct net_port *tap_adopt(struct events *events, int fd, const char *name, char *why)
{
	struct tap *tap;

	tap = calloc(1, sizeof(*tap));
	if (!tap) {
		fail(why, name, strerror(ENOMEM));
		close(fd);
		return NULL;
	}
	strcpy(tap->name, name);
	tap->port = (struct net_port){
		.ops = &ops, .events = events, .up = true, .mtu = read_mtu(name),
		.features = 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM |
			    1ULL << VIRTIO_NET_F_GUEST_TSO4 |
			    1ULL << VIRTIO_NET_F_GUEST_TSO6 |
			    1ULL << VIRTIO_NET_F_GUEST_ECN |
			    1ULL << VIRTIO_NET_F_HOST_TSO4 |
			    1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN,
	};
	tap->event = (struct event){ .fd = fd, .ready = ready, .data = tap };
	if (events_add(events, &tap->event, 0)) {
		fail(why, name, strerror(errno));
		close(fd);
		free(tap);
		return NULL;
	}
	return &tap->port;
}
