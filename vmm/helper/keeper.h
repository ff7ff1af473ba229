/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a part of the helper that holds what a guest needs beyond its VMM, and has the
 * guest go on in another one where that dies. It reads nothing of the guest's, and can run
 * nothing of it: KVM ties VM and vCPUs to the process that made them. It speaks for the VMM
 * that is dead: as the source of a handover to a VMM that it starts.
 */
#ifndef VMM_HELPER_KEEPER_H
#define VMM_HELPER_KEEPER_H

#include <gmem.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/events.h"
#include "helper/helper.h"
#include "helper/wire.h"

#define KEEPER_SINGLES	HELD_DISK	/* kinds of which there is one */
#define KEEPER_LIVES	15		/* and one of the VMM that died last: MACHINE_FENCES */
#define KEEPER_CRASHES	100		/* that are counted, at most */
#define KEEPER_WITHIN	60		/* seconds, in which they count */
#define KEEPER_REFUSALS	5		/* in a row: then the guest ends */

/*
 * struct held - what one VMM has given
 * @singles, @disks, @taps: descriptors, or -1
 * @count: how many have come
 * @whole: these are all
 */
struct held {
	int singles[KEEPER_SINGLES];
	int disks[OPTION_VALUES];
	int taps[OPTION_VALUES];
	uint32_t count;
	bool whole;
};

/*
 * struct keeper - what is held, and a handover that is under way
 * @now: of the VMM that has the guest; @next: of one that is about to, process @next_pid
 * @lives: pipes of VMMs that died, whose requests may be carried out still
 * @seen: when the last VMM was seen to be dead, ns
 * @crashes: when the last ones were, in seconds; @nr_crashes: all there ever were
 * @most: so many of them within KEEPER_WITHIN, and the next one ends the guest
 * @refused: why the next VMM has just given up, as it has said, or ""; @refusals: how often one
 *	has since the guest had a VMM
 * @handover: with the next VMM, by @talk; @timer: for when it says nothing
 * @page: of that; @info: of the view that tells who has the guest
 * @failed: called where the handover comes to nothing, and the next VMM is to be ended
 */
struct keeper {
	struct events *events;
	const struct vm_claim *claim;
	struct held now;
	struct held next;
	pid_t next_pid;
	int lives[KEEPER_LIVES];
	unsigned int nr_lives;
	uint64_t seen;
	uint64_t crashes[KEEPER_CRASHES];
	unsigned int nr_crashes;
	unsigned int most;
	char refused[GMEM_HANDOVER_REASON];
	unsigned int refusals;
	struct gmem_handover *handover;
	struct event talk;
	struct event timer;
	struct gmem_page page;
	int info;
	struct helper channels;
	void (*failed)(void *data);
	void *data;
};

/* 0 or -errno */
int keeper_open(struct keeper *keeper, struct events *events, const struct helper_plan *plan);

/* Let go of all: the guest ends, if nobody else has it. */
void keeper_close(struct keeper *keeper);

/*
 * What a VMM says by HELPER_HOLD and HELPER_HELD, with a descriptor that is taken over: of the
 * first one, or of the process @next that was started to have its guest, if that is not 0.
 * -EPROTO: it may not.
 */
int keeper_hold(struct keeper *keeper, const struct helper_message *message, int fd, pid_t next);

/* Can the guest go on where its VMM dies? */
bool keeper_is_ready(const struct keeper *keeper);

/* Does the VMM want its guest to end with it? */
bool keeper_is_wanted_end(const struct keeper *keeper);

/* What the VMM's live page says of its main loop: another number as long as that turns, or 0. */
uint32_t keeper_beat(const struct keeper *keeper);

/* Has the VMM's VM given its guest to another one, as the kernel has it? */
bool keeper_has_given(const struct keeper *keeper);

/* Is that the next VMM's? */
bool keeper_has_moved(const struct keeper *keeper);

/* The next VMM says that it has the guest: what it has given is what is held. */
void keeper_adopt(struct keeper *keeper);

/*
 * The VMM that has the guest is dead: find out what the next one is to be given. Told to a
 * person. False: the guest can't go on.
 */
bool keeper_settle(struct keeper *keeper);

/*
 * How long the next one is not to be started, in seconds: one that refused the guest, as it has no
 * memory for it, may do so again at once.
 */
unsigned int keeper_delay(const struct keeper *keeper);

/*
 * Speak for it to the next one, which is at the other end of @socket and of @pidfd, and gets
 * the other ends of these channels. All of them are taken over. 0 or -errno.
 */
int keeper_begin(struct keeper *keeper, int socket, int pidfd, struct helper *channels);

/* The next one has died, or is to: the handover is over. */
void keeper_give_up(struct keeper *keeper);

/* Call @failed if nothing has come of it by then, in seconds. */
void keeper_wait(struct keeper *keeper, unsigned int seconds);

#endif /* VMM_HELPER_KEEPER_H */
