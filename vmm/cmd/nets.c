// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/nets.h"
#include "common/say.h"
#include "common/status.h"
#include "helper/helper.h"
#include "machine/machine.h"
#include "net/port.h"
#include "virtio/net.h"
#include "virtio/vhost.h"

#define MTU_LEAST	68
#define MTU_MOST	65520

static bool read_mac(const char *text, size_t length, uint8_t *mac)
{
	char copy[18];
	unsigned int i;

	if (length != sizeof(copy) - 1)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	for (i = 0; i < NET_MAC; i++) {
		if (strspn(copy + 3 * i, "0123456789abcdefABCDEF") != 2 ||
		    copy[3 * i + 2] != (i < NET_MAC - 1 ? ':' : '\0'))
			return false;
		mac[i] = strtoul(copy + 3 * i, NULL, 16);
	}
	return !(mac[0] & 1);
}

static bool read_mtu(const char *text, size_t length, uint16_t *mtu)
{
	unsigned long value;
	char *end;

	if (!length || *text < '0' || *text > '9')
		return false;
	value = strtoul(text, &end, 10);
	if (end != text + length || value < MTU_LEAST || value > MTU_MOST)
		return false;
	*mtu = value;
	return true;
}

static bool read_vhost(const char *text, size_t length, struct net_options *net)
{
	if (length == 2 && !memcmp(text, "on", length))
		net->vhost = VHOST_ON;
	else if (length == 3 && !memcmp(text, "off", length))
		net->vhost = VHOST_OFF;
	else
		return false;
	return *net->tap;
}

static bool read_tap(const char *text, size_t length, char *tap)
{
	if (!length || length >= sizeof(((struct net_options *)NULL)->tap))
		return false;
	memcpy(tap, text, length);
	tap[length] = '\0';
	return true;
}

static const char *after(const char *word, size_t *length, const char *key)
{
	size_t size = strlen(key);

	if (*length < size || memcmp(word, key, size))
		return NULL;
	*length -= size;
	return word + size;
}

/* Returns what is wrong, or NULL. */
static const char *read_word(struct net_options *net, const char *word, size_t length,
			     bool first)
{
	const char *value;

	if (first) {
		if (length == 4 && !memcmp(word, "user", length))
			return NULL;
		value = after(word, &length, "tap=");
		if (!value)
			return "it begins with 'user' or 'tap=NAME'";
		return read_tap(value, length, net->tap) ? NULL :
		       "an interface's name has 1 to 15 characters";
	}
	value = after(word, &length, "mac=");
	if (value)
		return read_mac(value, length, net->mac) ? NULL :
		       "an address of a card is written 02:00:00:00:00:01, its first byte even";
	value = after(word, &length, "mtu=");
	if (value)
		return read_mtu(value, length, &net->mtu) ? NULL :
		       "an MTU is a number from 68 to 65520";
	value = after(word, &length, "vhost=");
	if (value)
		return read_vhost(value, length, net) ? NULL :
		       "vhost is 'on' or 'off', of a tap";
	return "behind it there may be ',mac=ADDRESS', ',mtu=N' and ',vhost=on|off'";
}

static const char *read_one(struct net_options *net, const char *option)
{
	const char *word = option, *why;
	size_t length;

	for (;;) {
		length = strcspn(word, ",");
		why = read_word(net, word, length, word == option);
		if (why || !word[length])
			return why;
		word += length + 1;
	}
}

int nets_read(struct nets *nets, const struct option_list *list, const char *name)
{
	for (nets->nr = 0; nets->nr < list->nr; nets->nr++) {
		struct net_options *net = &nets->all[nets->nr];
		const char *option = list->values[nets->nr], *why;
		char card[320];

		*net = (struct net_options){ .mtu = 0 };
		snprintf(card, sizeof(card), "%.255s/%.*s/%u", name,
			 (int)strcspn(option, ","), option, nets->nr);
		net_mac(card, net->mac);
		why = read_one(net, option);
		if (why) {
			fprintf(stderr, "gmem: --net %s: %s\n", option, why);
			return EXIT_USAGE;
		}
	}
	return 0;
}

void nets_plan(const struct nets *nets, struct helper_plan *plan)
{
	unsigned int i;

	for (i = 0; i < nets->nr; i++)
		if (!*nets->all[i].tap)
			plan->mtus[plan->nr_nets++] = nets->all[i].mtu;
}

/* If nobody has asked for vhost, its absence is not an error. */
static int add_vhost(const struct net_options *net, struct machine *machine,
		     struct net_port *port)
{
	int ret;

	if (!*net->tap || net->vhost == VHOST_OFF)
		return 0;
	ret = vhost_open(&port->vhost, machine, tap_descriptor(port));
	if (!ret || net->vhost == VHOST_IF_THERE)
		return 0;
	if (ret == -EOPNOTSUPP) {
		fprintf(stderr, "gmem: --net tap=%s,vhost=on: not for a guest with --private: "
			"its memory is shared by what the VMM itself reads\n", net->tap);
		return EXIT_FAILED;
	}
	say_failed(ret, "--net tap=%s,vhost=on: /dev/vhost-net", net->tap);
	say_todo(ret == -EACCES ? "give this user access to it" :
		 ret == -ENOENT || ret == -ENODEV ? "as root: modprobe vhost_net" : NULL);
	return EXIT_FAILED;
}

static struct net_port *open_port(const struct net_options *net, struct events *events,
				  int *channel, char *why)
{
	if (*net->tap)
		return net->given ? tap_adopt(events, net->fd, net->tap, why) :
				    tap_open(events, net->tap, why);
	return net->given ? passt_adopt(events, channel, why) : passt_open(events, channel, why);
}

int nets_add(const struct nets *nets, struct machine *machine, struct helper *helper)
{
	unsigned int user = 0;
	char why[NET_WHY];
	unsigned int i;
	int ret;

	for (i = 0; i < nets->nr; i++) {
		const struct net_options *net = &nets->all[i];
		struct net_port *port = open_port(net, &machine->events, *net->tap ? NULL :
						  &helper->nets[user++], why);

		if (!port) {
			fprintf(stderr, "gmem: %s\n", why);
			return EXIT_FAILED;
		}
		if (add_vhost(net, machine, port)) {
			port->ops->close(port);
			return EXIT_FAILED;
		}
		ret = net_add(machine, port, net->mac, net->mtu);
		if (ret)
			return say_failed(ret, "giving the guest a network card");
	}
	return 0;
}
