// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/say.h"
#include "common/status.h"
#include "devices/power.h"
#include "handover/source.h"
#include "live/publish.h"
#include "loop.h"

#define LOOK_EVERY	5	/* ms, where requests in flight are waited for */
#define LOOK_SELDOM	200	/* ms, where a deadline may come */
#define BEATS		8	/* turns, at least, in the time after which it counts as hanging */

/* These signals end the loop in an orderly way: a terminal must get its settings back. */
static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* A signal that is ignored, for instance by nohup(1), stays ignored: a signalfd would report it. */
static bool is_ignored(int number)
{
	struct sigaction action;

	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

static sigset_t awaited_signals(void)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		if (!is_ignored(ending[i]))
			sigaddset(&set, ending[i]);
	if (!is_ignored(SIGUSR2))
		sigaddset(&set, SIGUSR2);
	return set;
}

void loop_block_signals(bool snapshot)
{
	sigset_t set;

	signal(SIGUSR2, snapshot ? SIG_DFL : SIG_IGN);
	set = awaited_signals();
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* The reader of our output may go away: that must not end the guest. */
	signal(SIGPIPE, SIG_IGN);
}

void loop_heed_signals(void)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		sigaddset(&set, ending[i]);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void loop_end(struct loop *loop, int status)
{
	/*
	 * If this process dies from here on, it wants no successor, unless that has the guest
	 * already.
	 */
	if (!loop->given)
		publish_ending(loop->vcpus->machine);
	loop->over = true;
	loop->status = status;
}

/* ---- Standing still, and going on ---- */

/* Stop the guest, and forget that the awaited line has come. */
static int stop(struct loop *loop)
{
	struct vcpus *vcpus = loop->vcpus;
	uint64_t told;

	vcpus_stop(vcpus);
	if (read(vcpus->still_fd, &told, sizeof(told)) < 0 && errno != EAGAIN)
		return -errno;
	return vcpus->ended ? -ESRCH : 0;
}

/* Without running vCPUs there is no guest: a failure ends the loop. */
int loop_go_on(struct loop *loop)
{
	int ret;

	if (loop->saving.state != SAVING_NOTHING || loop->over)	/* later, or never */
		return 0;
	ret = vcpus_go_on(loop->vcpus);

	if (ret)
		loop_end(loop, say_failed(ret, "having the guest go on"));
	return ret;
}

int loop_pause(struct loop *loop)
{
	int ret = stop(loop);

	if (!ret)
		loop->vcpus->paused = true;
	publish_paused(loop->vcpus->machine, loop->vcpus->paused);
	return ret;
}

int loop_resume(struct loop *loop)
{
	loop->vcpus->paused = false;
	publish_paused(loop->vcpus->machine, false);
	return loop_go_on(loop);
}

/* Call the requester back when the guest runs again. */
static void saved(void *data, int error, const char *step)
{
	struct loop *loop = data;

	if (!error) {
		say("the guest is kept in %s", loop->saving.path);
		report("snapshot", "left=%" PRIu64, loop->vcpus->left_ns);
	} else if (error == -ECANCELED) {
		say("the snapshot in %s is given up", loop->saving.path);
	}
	loop_go_on(loop);
	loop->saved(loop->saved_data, error, step);
}

int loop_snapshot(struct loop *loop, const char *path, const struct snapshot_fds *files,
		  bool exposes, void (*done)(void *data, int error, const char *step),
		  void *data)
{
	struct machine *machine = loop->vcpus->machine;
	int ret;

	machine->step = "making a snapshot of this guest";
	if (loop->no_snapshot)
		return -EOPNOTSUPP;
	if (loop->upgrade.state != UPGRADE_NONE)
		return -EBUSY;
	if (loop->saving.state == SAVING_NOTHING) {
		ret = stop(loop);
		if (ret)
			return ret;
		report("stopped", "left=%" PRIu64, loop->vcpus->left_ns);
		loop->saved = done;
		loop->saved_data = data;
	}
	ret = saving_begin(&loop->saving, path, files, exposes, saved, loop);
	if (ret)
		loop_go_on(loop);
	return ret;
}

int loop_stop(struct loop *loop, bool *asked)
{
	int ret;

	*asked = loop->vcpus->machine->pc.present;
	if (!*asked) {
		loop_end(loop, EXIT_DONE);
		return 0;
	}
	ret = power_press(loop->vcpus->machine);
	/* A guest that stands still does not notice the button. */
	return ret ? ret : loop_resume(loop);
}

/* ---- Events ---- */

static void kept(void *data, int error, const char *step)
{
	struct loop *loop = data;

	loop->unkept = error;
	if (error && error != -ECANCELED)
		say_failed(error, "%s, %s", step, loop->snapshot);
}

/* A signal, or the awaited line, has asked for a snapshot. */
static void snapshot_now(struct loop *loop)
{
	int ret;

	if (loop->over)
		return;
	ret = loop_snapshot(loop, loop->snapshot, NULL, loop->exposes, kept, loop);
	if (ret == -ESRCH)
		return;
	if (ret)
		kept(loop, ret, loop->vcpus->machine->step);
}

static void signalled(struct event *event, uint32_t ready)
{
	struct signalfd_siginfo signal;
	struct loop *loop = event->data;

	(void)ready;
	if (read(event->fd, &signal, sizeof(signal)) == sizeof(signal) &&
	    signal.ssi_signo == SIGUSR2)
		snapshot_now(loop);
	else
		loop_end(loop, EXIT_DONE);
}

static void stands_still(struct event *event, uint32_t ready)
{
	struct loop *loop = event->data;

	(void)ready;
	/* The line comes only once, but an upgrade can be requested again. */
	upgrade_cancel(&loop->upgrade, SNAPSHOT_COMES);
	snapshot_now(loop);
}

static void guest_ended(struct event *event, uint32_t ready)
{
	struct loop *loop = event->data;

	(void)ready;
	loop_end(loop, loop->vcpus->status);
}

static void connected(struct event *event, uint32_t ready)
{
	struct loop *loop = event->data;

	(void)ready;
	if (loop->over || source_serve(loop->vcpus, loop->listener) != THEIRS)
		return;
	loop->given = true;
	loop_end(loop, EXIT_DONE);
}

/* ---- The console ---- */

static void input_came(void *data)
{
	struct loop *loop = data;
	struct machine *machine = loop->vcpus->machine;

	pthread_mutex_lock(&machine->device_lock);
	if (machine->pc.present)
		serial_receive(&machine->pc.serial);
	publish(machine, PUBLISH_PC);
	pthread_mutex_unlock(&machine->device_lock);
}

static void show_console(void *data)
{
	struct loop *loop = data;
	struct machine *machine = loop->vcpus->machine;

	pthread_mutex_lock(&machine->device_lock);
	console_show(&machine->console);
	publish(machine, PUBLISH_PC);
	pthread_mutex_unlock(&machine->device_lock);
}

static void quit(void *data)
{
	loop_end(data, EXIT_DONE);
}

/* ---- The loop ---- */

static int watch(struct loop *loop, struct event *event, int fd,
		 void (*ready)(struct event *event, uint32_t ready))
{
	*event = (struct event){ .fd = fd, .ready = ready, .data = loop };
	return fd < 0 ? 0 : events_add(&loop->vcpus->machine->events, event, EPOLLIN);
}

int loop_open(struct loop *loop)
{
	struct machine *machine = loop->vcpus->machine;
	sigset_t set = awaited_signals();
	int ret;

	ret = terminal_open(&loop->terminal, &machine->events);
	loop->terminal.came = input_came;
	loop->terminal.show = show_console;
	loop->terminal.end = quit;
	loop->terminal.data = loop;
	loop->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (loop->signals < 0) {
		ret = -errno;
		terminal_close(&loop->terminal);
		return ret;
	}
	if (!ret)
		ret = watch(loop, &loop->signal, loop->signals, signalled);
	if (!ret)
		ret = watch(loop, &loop->ended, loop->vcpus->ended_fd, guest_ended);
	if (!ret)
		ret = watch(loop, &loop->still, loop->vcpus->still_fd, stands_still);
	if (!ret)
		ret = watch(loop, &loop->asked, loop->listener, connected);
	if (!ret)
		ret = saving_open(&loop->saving, machine, loop->helper);
	if (!ret)
		machine->console.terminal = &loop->terminal;
	/* The demonstration's guest reads nothing. */
	if (!ret && machine->pc.present)
		terminal_open_stdin(&loop->terminal);
	if (!ret && machine->pc.present && !loop->arrives)
		terminal_read_stdin(&loop->terminal);
	return ret;
}

void loop_close(struct loop *loop)
{
	if (loop->signals < 0)
		return;
	saving_close(&loop->saving);
	vcpus_stop(loop->vcpus);
	if (!loop->given)
		show_console(loop);
	terminal_close(&loop->terminal);
	loop->vcpus->machine->console.terminal = NULL;
	events_remove(&loop->vcpus->machine->events, &loop->signal);
	close(loop->signals);
	loop->signals = -1;
}

/*
 * How long the loop may wait, in ms: @most, or for ever (-1), but not longer than to the next beat.
 */
static int time_to_wait(const struct loop *loop, int most)
{
	int beat = loop->hang > INT_MAX / 1000 ? INT_MAX : loop->hang * 1000 / BEATS;

	return !loop->hang || (most >= 0 && most < beat) ? most : beat;
}

int loop_serve(struct loop *loop)
{
	int ret = 0;

	while (!ret && !loop->over) {
		bool waits = loop->saving.state == SAVING_WAITS ||
			     loop->upgrade.state == UPGRADE_DRAINS;
		bool talks = loop->upgrade.state == UPGRADE_TALKS;
		int most = waits ? LOOK_EVERY : talks ? LOOK_SELDOM : -1;

		ret = events_wait(&loop->vcpus->machine->events, time_to_wait(loop, most));
		if (loop->hang)
			publish_beat(loop->vcpus->machine);
		saving_look(&loop->saving);
		upgrade_look(&loop->upgrade);
	}
	if (ret)
		loop_end(loop, say_failed(ret, "waiting"));
	/* Answer a client that waits for it while there are still connections. */
	saving_give_up(&loop->saving);
	upgrade_look(&loop->upgrade);
	/* The status is not success without the snapshot that was requested last. */
	return loop->status == EXIT_DONE && loop->unkept ? EXIT_FAILED : loop->status;
}

int loop_run(struct loop *loop)
{
	int ret;

	publish_begin(loop->vcpus->machine);
	ret = vcpus_go(loop->vcpus);
	return ret ? say_failed(ret, "starting the vCPUs' threads") : loop_serve(loop);
}
