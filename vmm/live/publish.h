/* SPDX-License-Identifier: MIT */
/*
 * Keeps a machine's state in a live page while it runs: updates the page after each exit that has
 * changed a device, before the guest goes on. A process that dies before the update leaves the
 * state from before the exit, and the next process sees the exit again. A process that dies later
 * leaves the state after the exit, and the word that it was answered.
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
 * Make a page for a machine that has all of its devices, and move their tables and @terminal's
 * memory into it. Nothing is published before publish_begin(). Returns 0 or -errno; the page is
 * closed with the machine.
 */
int publish_open(struct machine *machine, struct terminal *terminal);
void publish_close(struct machine *machine);

/*
 * Publish the complete state: from here on the next VMM can go on from the page. The guest stands
 * still.
 */
void publish_begin(struct machine *machine);

/*
 * Publish changes, with the machine's device_lock held. Does nothing without a page that was begun.
 */
void publish(struct machine *machine, uint64_t what);

/*
 * The same for an exit whose answer is in the vCPU's run page. The next VMM will not take it for an
 * unanswered one.
 */
void publish_answer(struct machine *machine, struct gmem_vcpu *vcpu, uint64_t what);

/* Tell the helper that the VMM ends, and the guest with it; or that the guest must stand still. */
void publish_ending(struct machine *machine);
void publish_paused(struct machine *machine, bool paused);

/* Show that the main loop turns, and that it can take the machine's device_lock. */
void publish_beat(struct machine *machine);

/* The page, or NULL. */
const struct live *publish_page(const struct machine *machine);

#endif /* VMM_LIVE_PUBLISH_H */
