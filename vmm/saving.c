// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/say.h"
#include "helper/helper.h"
#include "machine/machine.h"
#include "saving.h"
#include "virtio/device.h"

#define PATIENCE	10000000000ULL	/* ns, for requests in flight */

/* Close files that nobody has begun to write. */
static void close_files(struct saving *saving)
{
	if (!saving->given)
		return;
	close(saving->files.memory);
	close(saving->files.state);
	saving->given = false;
}

/* The callback may begin the next snapshot. */
static void end(struct saving *saving, int error, const char *step)
{
	if (saving->state == SAVING_WAITS)
		close_files(saving);
	virtio_release_all(saving->machine);
	snapshot_copy_free(&saving->copy);
	saving->state = SAVING_NOTHING;
	saving->done(saving->data, error, step);
}

static int write_by_helper(struct saving *saving)
{
	int ret;

	saving->copy.step = "making the snapshot's directory";
	ret = helper_make(saving->helper, &saving->files);
	if (ret)
		return ret;
	ret = snapshot_write(&saving->copy, &saving->files, &saving->cancelled);
	if (!ret)
		return helper_keep(saving->helper);
	helper_drop(saving->helper);
	return ret;
}

static void *write_all_of_it(void *data)
{
	struct saving *saving = data;

	saving->ret = !saving->given ? write_by_helper(saving) :
		      snapshot_write(&saving->copy, &saving->files, &saving->cancelled);
	event_raise(saving->written.fd, "the end of a snapshot");
	return NULL;
}

static void written(struct event *event, uint32_t ready)
{
	struct saving *saving = event->data;
	uint64_t times;

	(void)ready;
	if (read(event->fd, &times, sizeof(times)) < 0 || saving->state != SAVING_WRITES)
		return;
	pthread_join(saving->thread, NULL);
	end(saving, saving->ret, saving->copy.step);
}

static int start_to_write(struct saving *saving)
{
	struct machine *machine = saving->machine;
	int ret;

	/* The state copied here and the memory written there are of the same moment. */
	virtio_hold_all(machine);
	ret = snapshot_capture(machine, &saving->copy);
	if (ret)
		return ret;
	machine->step = "starting a thread that writes the snapshot";
	saving->cancelled = false;
	return -pthread_create(&saving->thread, NULL, write_all_of_it, saving);
}

void saving_look(struct saving *saving)
{
	struct machine *machine = saving->machine;
	int ret = -ETIMEDOUT;

	if (saving->state != SAVING_WAITS)
		return;
	machine->step = "waiting for the devices";
	virtio_attend_all(machine);
	if (virtio_all_idle(machine))
		ret = start_to_write(saving);
	else if (now_ns() < saving->until)
		return;
	if (ret)
		end(saving, ret, machine->step);
	else
		saving->state = SAVING_WRITES;
}

int saving_begin(struct saving *saving, const char *path, const struct snapshot_fds *files,
		 bool exposes, void (*done)(void *data, int error, const char *step),
		 void *data)
{
	int ret = snapshot_check_machine(saving->machine, exposes);

	if (ret)
		return ret;
	saving->machine->step = "making two snapshots at once";
	if (saving->state != SAVING_NOTHING)
		return -EBUSY;
	saving->machine->step = "naming the snapshot";
	if (snprintf(saving->path, sizeof(saving->path), "%s", path) >=
	    (int)sizeof(saving->path))
		return -ENAMETOOLONG;
	saving->given = files;
	if (files)
		saving->files = *files;
	saving->done = done;
	saving->data = data;
	saving->until = now_ns() + PATIENCE;
	saving->state = SAVING_WAITS;
	return 0;
}

int saving_open(struct saving *saving, struct machine *machine, struct helper *helper)
{
	*saving = (struct saving){ .machine = machine, .helper = helper };
	saving->written = (struct event){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = written, .data = saving,
	};
	return saving->written.fd < 0 ? -errno :
	       events_add(&machine->events, &saving->written, EPOLLIN);
}

void saving_give_up(struct saving *saving)
{
	__atomic_store_n(&saving->cancelled, true, __ATOMIC_RELAXED);
	if (saving->state == SAVING_WRITES) {
		pthread_join(saving->thread, NULL);
		end(saving, saving->ret, saving->copy.step);
	} else if (saving->state == SAVING_WAITS) {
		end(saving, -ECANCELED, "waiting for the devices");
	}
}

void saving_close(struct saving *saving)
{
	if (!saving->machine)
		return;
	saving_give_up(saving);
	if (saving->written.fd >= 0) {
		events_remove(&saving->machine->events, &saving->written);
		close(saving->written.fd);
	}
	saving->machine = NULL;
}
