// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/descriptors.h"
#include "common/say.h"
#include "control/names.h"
#include "helper/keeper.h"
#include "live/live.h"
#include "machine/machine.h"
#include "upgrade/config.h"
#include "upgrade/named.h"

#define SECOND		1000000000ULL
#define PATIENCE	30	/* s for all of a handover: a VMM that hangs is one that fails */
_Static_assert(KEEPER_LIVES + 1 == MACHINE_FENCES, "the next VMM waits for all of them");

/* ---- What is held ---- */

static void forget(struct held *held)
{
	unsigned int i;

	for (i = 0; i < KEEPER_SINGLES; i++)
		held->singles[i] = -1;
	for (i = 0; i < OPTION_VALUES; i++) {
		held->disks[i] = -1;
		held->taps[i] = -1;
	}
	held->count = 0;
	held->whole = false;
}

static void let_go(struct held *held)
{
	unsigned int i;

	for (i = 0; i < KEEPER_SINGLES; i++)
		close_fd(&held->singles[i]);
	for (i = 0; i < OPTION_VALUES; i++) {
		close_fd(&held->disks[i]);
		close_fd(&held->taps[i]);
	}
	forget(held);
}

/* Where a descriptor of this number goes, or NULL. */
static int *place_of(struct held *held, uint32_t number)
{
	uint32_t what = number >> 8, nth = number & 0xff;

	if (what < KEEPER_SINGLES)
		return nth ? NULL : &held->singles[what];
	if (nth >= OPTION_VALUES)
		return NULL;
	return what == HELD_DISK ? &held->disks[nth] : what == HELD_TAP ? &held->taps[nth] : NULL;
}

/* Without these there is no guest. */
static bool is_whole(const struct held *held)
{
	static const enum helper_held needed[] = {
		HELD_VM, HELD_VIEW, HELD_LIVE, HELD_LIFE, HELD_CONFIG, HELD_CONTROL,
	};
	unsigned int i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (held->singles[needed[i]] < 0)
			return false;
	return true;
}

int keeper_hold(struct keeper *keeper, const struct helper_message *message, int fd, pid_t next)
{
	struct held *held = next ? &keeper->next : &keeper->now;
	int *place;

	/* What one has given that came to nothing is of no use. */
	if (next && next != keeper->next_pid)
		let_go(held);
	if (next)
		keeper->next_pid = next;

	/* What is held of one that runs its guest it does not change. */
	if (held->whole)
		return -EPROTO;
	if (message->kind == HELPER_HELD) {
		held->whole = message->number == held->count && is_whole(held);
		return held->whole && fd < 0 ? 0 : -EPROTO;
	}
	place = place_of(held, message->number);
	if (!place || *place >= 0 || fd < 0)
		return -EPROTO;
	*place = fd;
	held->count++;
	return 0;
}

bool keeper_is_ready(const struct keeper *keeper)
{
	return keeper->now.whole;
}

bool keeper_is_wanted_end(const struct keeper *keeper)
{
	return live_is_ending(keeper->now.singles[HELD_LIVE]);
}

uint32_t keeper_beat(const struct keeper *keeper)
{
	return keeper->now.whole ? live_beat(keeper->now.singles[HELD_LIVE]) : 0;
}

static int fate_of(const struct held *held)
{
	int info = held->singles[HELD_VIEW] < 0 ? -EBADF :
		   gmem_memfd_facts_open(held->singles[HELD_VIEW]);
	int fate = info < 0 ? info : gmem_vm_fate(info);

	if (info >= 0)
		close(info);
	return fate;
}

bool keeper_has_given(const struct keeper *keeper)
{
	return fate_of(&keeper->now) == GMEM_VM_MOVED;
}

bool keeper_has_moved(const struct keeper *keeper)
{
	return keeper->now.whole && keeper->next.whole && keeper_has_given(keeper);
}

/* ---- Pipes of those that died ---- */

static bool hangs_up(int fd)
{
	struct pollfd end = { .fd = fd };

	return poll(&end, 1, 0) > 0 && end.revents & POLLHUP;
}

static void drop_lives(struct keeper *keeper)
{
	unsigned int i, kept = 0;

	for (i = 0; i < keeper->nr_lives; i++) {
		if (hangs_up(keeper->lives[i]))
			close(keeper->lives[i]);
		else
			keeper->lives[kept++] = keeper->lives[i];
	}
	keeper->nr_lives = kept;
}

/* There is room for one more: keeper_settle() ends the guest where there is none for the next. */
static void add_life(struct keeper *keeper, int *life)
{
	drop_lives(keeper);
	if (*life >= 0 && keeper->nr_lives < KEEPER_LIVES) {
		keeper->lives[keeper->nr_lives++] = *life;
		*life = -1;
	}
}

/* ---- Who has the guest ---- */

/*
 * The next one has it: its VM and view are the guest's. If it died before its page was good, the
 * guest has not run there, and the page of the one before still says what there is.
 */
static void take_next(struct keeper *keeper)
{
	struct held *now = &keeper->now, *next = &keeper->next;
	bool ready = live_is_ready(next->singles[HELD_LIVE]);
	int swapped;

	if (!ready) {
		swapped = next->singles[HELD_LIVE];
		next->singles[HELD_LIVE] = now->singles[HELD_LIVE];
		now->singles[HELD_LIVE] = swapped;
	}
	add_life(keeper, &now->singles[HELD_LIFE]);
	let_go(now);
	*now = *next;
	forget(next);
}

void keeper_adopt(struct keeper *keeper)
{
	keeper->refusals = 0;
	if (keeper->next.whole)
		take_next(keeper);
	else	/* of a release that gives nothing: its guest ends with it */
		let_go(&keeper->now);
}

static bool is_too_often(struct keeper *keeper)
{
	uint64_t now = keeper->seen / SECOND;
	uint64_t *oldest = &keeper->crashes[keeper->nr_crashes % keeper->most];
	bool full = keeper->nr_crashes >= keeper->most;
	bool often = full && now - *oldest < KEEPER_WITHIN;

	*oldest = now;
	keeper->nr_crashes++;
	return often;
}

static const char *name_of(const struct keeper *keeper)
{
	return keeper->claim ? keeper->claim->name : "?";
}

static bool lose(const struct keeper *keeper, const char *why)
{
	char reason[NAMES_WHY];

	snprintf(reason, sizeof(reason), "its VMM has died: %s", why);
	if (keeper->claim)
		vm_keep_reason(keeper->claim, reason);
	fprintf(stderr, "gmem: %s: its VMM has died: %s: the guest has ended\n", name_of(keeper),
		why);
	return false;
}

unsigned int keeper_delay(const struct keeper *keeper)
{
	return keeper->refusals ? 1U << (keeper->refusals - 1) : 0;
}

/* It was no death of a VMM that had the guest, and is not counted as one. */
static bool try_again(struct keeper *keeper)
{
	char why[2 * GMEM_HANDOVER_REASON];

	snprintf(why, sizeof(why), "none takes its guest: %s", keeper->refused);
	*keeper->refused = '\0';
	if (++keeper->refusals == KEEPER_REFUSALS)
		return lose(keeper, why);
	fprintf(stderr, "gmem: %s: the next VMM is started in %u s\n", name_of(keeper),
		keeper_delay(keeper));
	return true;
}

bool keeper_settle(struct keeper *keeper)
{
	int fate = fate_of(&keeper->now);

	keeper->seen = now_ns();
	keeper_give_up(keeper);
	if (fate == GMEM_VM_MOVED && keeper->next.whole) {
		take_next(keeper);
		fate = fate_of(&keeper->now);
	}
	let_go(&keeper->next);
	if (fate != GMEM_VM_ALIVE)
		return lose(keeper, "another has its VM, or KVM has given it up");
	if (!live_is_ready(keeper->now.singles[HELD_LIVE]))
		return lose(keeper, "it had not run it yet");
	drop_lives(keeper);
	if (keeper->nr_lives == KEEPER_LIVES)
		return lose(keeper, "its disks still carry out requests of too many before it");
	if (*keeper->refused)
		return try_again(keeper);
	if (is_too_often(keeper))
		return lose(keeper, "once more than --crashes allows within a minute");
	if (keeper->claim)
		vm_set_crashes(keeper->claim, keeper->nr_crashes);
	fprintf(stderr, "gmem: %s: its VMM has died, and the guest goes on in another one\n",
		name_of(keeper));
	return true;
}

/* ---- Speaking for it ---- */

static void add_each(struct named_fds *fds, const int *all, unsigned int nr, const char *name)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		named_add_nth(fds, all[i], name, i);
}

static void add_all(struct named_fds *fds, const struct keeper *keeper)
{
	static const char *const names[KEEPER_SINGLES] = {
		[HELD_LIVE] = "live", [HELD_CONFIG] = "config", [HELD_CONTROL] = "control",
		[HELD_STDIN] = "stdin", [HELD_STDOUT] = "stdout", [HELD_REPORT] = "report",
	};
	unsigned int i;

	for (i = 0; i < KEEPER_SINGLES; i++)
		if (names[i])
			named_add(fds, keeper->now.singles[i], names[i]);
	named_add_nth(fds, keeper->now.singles[HELD_LIFE], "life", 0);
	/* Behind that one's. */
	for (i = 0; i < keeper->nr_lives; i++)
		named_add_nth(fds, keeper->lives[i], "life", i + 1);
	add_each(fds, keeper->now.disks, OPTION_VALUES, "disk");
	add_each(fds, keeper->now.taps, OPTION_VALUES, "tap");
	named_add(fds, keeper->claim->base, "name.base");
	named_add(fds, keeper->claim->dir, "name.dir");
	named_add(fds, keeper->claim->lock, "name.lock");
	named_add(fds, keeper->channels.files, "helper.files");
	named_add(fds, keeper->channels.pager, "helper.pager");
	named_add(fds, keeper->channels.upgrade, "helper.upgrade");
	add_each(fds, keeper->channels.nets, keeper->channels.nr_nets, "passt");
}

static void close_channels(struct keeper *keeper)
{
	struct helper *channels = &keeper->channels;

	while (channels->nr_nets)
		close_fd(&channels->nets[--channels->nr_nets]);
	close_fd(&channels->files);
	close_fd(&channels->pager);
	close_fd(&channels->upgrade);
}

static int offer(struct keeper *keeper)
{
	struct gmem_slot slots[MACHINE_SLOTS];
	struct named_fds fds = { .nr = 0 };
	struct gmem_offer offer = {
		.vm = keeper->now.singles[HELD_VM], .view = keeper->now.singles[HELD_VIEW],
		.fds = fds.all,
	};
	int ret = upgrade_config_offer(keeper->now.singles[HELD_CONFIG], &offer, slots);

	if (ret)
		return ret;
	add_all(&fds, keeper);
	offer.nr_fds = fds.nr;
	ret = gmem_handover_offer(keeper->handover, &offer);
	/* The other ends are the next VMM's alone, so that its end is seen there. */
	close_channels(keeper);
	return ret;
}

static int advance(struct keeper *keeper)
{
	int ret = gmem_handover_step(keeper->handover);

	if (ret <= 0)
		return ret;
	switch (gmem_handover_phase(keeper->handover)) {
	case GMEM_PHASE_HELLO:
		return offer(keeper);
	case GMEM_PHASE_LINKED:
		return gmem_handover_paused(keeper->handover, keeper->seen, NULL, 0);
	case GMEM_PHASE_DONE:
		keeper_give_up(keeper);
		return 0;
	default:
		return 0;
	}
}

static void heard(struct event *event, uint32_t ready)
{
	struct keeper *keeper = event->data;
	int ret = advance(keeper);

	(void)ready;
	if (ret >= 0)
		return;
	fprintf(stderr, "gmem: %s: the next VMM: %s\n", name_of(keeper),
		*gmem_handover_reason(keeper->handover) ?
		gmem_handover_reason(keeper->handover) : strerror(-ret));
	if (gmem_handover_phase(keeper->handover) == GMEM_PHASE_ABORT)
		snprintf(keeper->refused, sizeof(keeper->refused), "%s",
			 gmem_handover_reason(keeper->handover));
	keeper->failed(keeper->data);
}

static void timed(struct event *event, uint32_t ready)
{
	struct keeper *keeper = event->data;
	uint64_t times;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) == sizeof(times))
		keeper->failed(keeper->data);
}

void keeper_wait(struct keeper *keeper, unsigned int seconds)
{
	const struct itimerspec when = { .it_value.tv_sec = seconds };

	timerfd_settime(keeper->timer.fd, 0, &when, NULL);
}

void keeper_give_up(struct keeper *keeper)
{
	keeper_wait(keeper, 0);
	if (keeper->talk.fd >= 0)
		events_remove(keeper->events, &keeper->talk);
	keeper->talk.fd = -1;
	gmem_handover_close(keeper->handover);
	keeper->handover = NULL;
	gmem_page_close(&keeper->page);
	close_fd(&keeper->info);
	close_channels(keeper);
}

static int open_handover(struct keeper *keeper, int socket, int pidfd)
{
	struct gmem_handover_options options = GMEM_HANDOVER_OPTIONS;
	int ret = gmem_page_create(&keeper->page, 0, 0);

	if (ret)
		return ret;
	keeper->info = gmem_memfd_facts_open(keeper->now.singles[HELD_VIEW]);
	if (keeper->info < 0)
		return keeper->info;
	options.role = GMEM_SOURCE;
	options.socket = socket;
	options.peer = pidfd;
	options.page = &keeper->page;
	options.info = keeper->info;
	return gmem_handover_open(&keeper->handover, &options, 0);
}

int keeper_begin(struct keeper *keeper, int socket, int pidfd, struct helper *channels)
{
	int ret;

	keeper->channels = *channels;
	drop_lives(keeper);
	ret = open_handover(keeper, socket, pidfd);
	if (ret) {
		close(socket);
		close(pidfd);
		keeper_give_up(keeper);
		return ret;
	}
	keeper->talk.fd = gmem_handover_fd(keeper->handover);
	ret = events_add(keeper->events, &keeper->talk, EPOLLIN);
	if (ret) {
		keeper->talk.fd = -1;
		keeper_give_up(keeper);
		return ret;
	}
	keeper_wait(keeper, PATIENCE);
	return 0;
}

/* ---- Its beginning and end ---- */

int keeper_open(struct keeper *keeper, struct events *events, const struct helper_plan *plan)
{
	*keeper = (struct keeper){
		.events = events, .claim = plan->claim,
		.most = plan->crashes && plan->crashes < KEEPER_CRASHES ? plan->crashes :
									  KEEPER_CRASHES,
		.page = GMEM_PAGE_NONE, .info = -1,
		.channels = HELPER_NONE,
		.talk = { .fd = -1, .ready = heard, .data = keeper },
		.timer = {
			.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
			.ready = timed, .data = keeper,
		},
	};
	forget(&keeper->now);
	forget(&keeper->next);
	return keeper->timer.fd < 0 ? -errno : events_add(events, &keeper->timer, EPOLLIN);
}

void keeper_close(struct keeper *keeper)
{
	keeper_give_up(keeper);
	let_go(&keeper->now);
	let_go(&keeper->next);
	while (keeper->nr_lives)
		close(keeper->lives[--keeper->nr_lives]);
}
