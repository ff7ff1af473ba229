/* SPDX-License-Identifier: MIT */
/* The option --net, which may be given several times. */
#ifndef VMM_CMD_NETS_H
#define VMM_CMD_NETS_H

#include <stdbool.h>

#include "options.h"

#define NETS_HELP	"a network card: user|tap=NAME[,mac=ADDRESS][,mtu=N][,vhost=on|off]; may be given again"

struct helper;
struct helper_plan;
struct machine;

/*
 * struct net_options - a card
 * @tap: its interface, or empty: passt
 * @mac: its address
 * @mtu: or 0
 * @vhost: for a tap: whether the kernel must carry its frames, may, or must not
 * @given: another VMM of the guest had the card: @fd is its tap; with passt, the helper still has
 *	it
 */
struct net_options {
	char tap[16];
	uint8_t mac[6];
	uint16_t mtu;
	enum { VHOST_IF_THERE, VHOST_ON, VHOST_OFF } vhost;
	bool given;
	int fd;
};

struct nets {
	unsigned int nr;
	struct net_options all[OPTION_VALUES];
};

/*
 * Parse the options of the guest @name, from which missing addresses are derived. Returns 0, or the
 * status to exit with, after an error message.
 */
int nets_read(struct nets *nets, const struct option_list *list, const char *name);

/* What the helper must do for the cards. */
void nets_plan(const struct nets *nets, struct helper_plan *plan);

/* Give the machine all cards. Returns 0, or the status to exit with, after an error message. */
int nets_add(const struct nets *nets, struct machine *machine, struct helper *helper);

#endif /* VMM_CMD_NETS_H */
