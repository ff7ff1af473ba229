/* SPDX-License-Identifier: MIT */
/*
 * A machine's state in a live page, while it runs: after each exit that has changed a device,
 * before the guest goes on. A process that dies in between leaves the state from before the
 * exit, and the exit is shown again to the next one; from then on, the state behind it, and the
 * word that it was answered.
 */
#ifndef VMM_LIVE_PUBLISH_H
#define VMM_LIVE_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "live/live.h"

struct gmem_vcpu;
struct machine;
struct terminal;

/* What may have changed. */
#define PUBLISH_PC		1ULL	/* the devices of the PC, and the console */
#define PUBLISH_PCI		2ULL	/* the bus */
#define PUBLISH_VIRTIO(number)	(4ULL << (number))
#define PUBLISH_ALL_VIRTIO	(~3ULL)

/*
 * Make a page for a machine that has all of its devices, and have their tables, and what
 * @terminal has, in it. Nothing is published before publish_begin(). 0 or -errno; closed with
 * the machine.
 */
int publish_open(struct machine *machine, struct terminal *terminal);
void publish_close(struct machine *machine);

/* All of it as it is now: from here on the page is good to go on from. The guest stands still. */
void publish_begin(struct machine *machine);

/* With the machine's device_lock held: nothing is done without a page that was begun. */
void publish(struct machine *machine, uint64_t what);

/*
 * The same, of an exit that was answered, the answer to which stands in the vCPU's run page. It
 * is not taken for one that was not, by whoever looks at the page next.
 */
void publish_answer(struct machine *machine, struct gmem_vcpu *vcpu, uint64_t what);

/* Words for the helper: the VMM ends, and the guest with it; the guest is to stand still. */
void publish_ending(struct machine *machine);
void publish_paused(struct machine *machine, bool paused);

/* The main loop turns, and comes by the machine's device_lock. */
void publish_beat(struct machine *machine);

/* The page, or NULL. */
const struct live *publish_page(const struct machine *machine);

#endif /* VMM_LIVE_PUBLISH_H */
