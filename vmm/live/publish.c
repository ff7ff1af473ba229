// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/kvm.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "devices/terminal.h"
#include "live/publish.h"
#include "machine/machine.h"
#include "machine/sections.h"
#include "virtio/block.h"
#include "virtio/device.h"
#include "virtio/inflight.h"
#include "virtio/state.h"

#define PADDED(size)	(((size) + 7) & ~7UL)
#define MOST		4096	/* bytes of a section here */
#define FIRST		PADDED(sizeof(struct live_kept))

_Static_assert(sizeof(struct virtio_saved) <= MOST, "room for a section");
_Static_assert(sizeof(struct live_kept) % 8 == 0, "sections are aligned");

/* struct published - @begun: the next VMM can go on from the page */
struct published {
	struct live live;
	struct terminal *terminal;
	bool begun;
};

static struct live_kept *kept_of(const struct live *live)
{
	return live_area(live, LIVE_KEPT);
}

const struct live *publish_page(const struct machine *machine)
{
	return machine->published ? &machine->published->live : NULL;
}

/* ---- Making one ---- */

static bool is_disk(const struct virtio_device *device)
{
	return device->ops->type == VIRTIO_ID_BLOCK;
}

static unsigned int count_tables(const struct machine *machine)
{
	unsigned int i, nr = 0;

	for (i = 0; i < machine->nr_virtio; i++)
		if (is_disk(machine->virtio[i]))
			nr += machine->virtio[i]->nr_queues;
	return nr;
}

static void use_tables(struct machine *machine, struct inflight *tables)
{
	unsigned int i;

	for (i = 0; i < machine->nr_virtio; i++) {
		if (!is_disk(machine->virtio[i]))
			continue;
		block_use_tables(machine->virtio[i], tables);
		tables += machine->virtio[i]->nr_queues;
	}
}

int publish_open(struct machine *machine, struct terminal *terminal)
{
	size_t sizes[LIVE_AREAS] = {
		[LIVE_TABLES] = count_tables(machine) * sizeof(struct inflight),
		[LIVE_CONSOLE] = sizeof(struct terminal_memory),
	};
	struct published *published;
	size_t size;
	void *bytes;
	int ret = sections_save(machine_sections, machine, &bytes, &size);

	if (ret)
		return ret;
	published = calloc(1, sizeof(*published));
	sizes[LIVE_KEPT] = FIRST + size;
	ret = published ? live_create(&published->live, sizes) : -ENOMEM;
	if (!ret) {
		memcpy((char *)kept_of(&published->live) + FIRST, bytes, size);
		published->terminal = terminal;
		use_tables(machine, live_area(&published->live, LIVE_TABLES));
		terminal_use(terminal, live_area(&published->live, LIVE_CONSOLE));
		machine->published = published;
	} else {
		free(published);
	}
	free(bytes);
	return ret;
}

void publish_close(struct machine *machine)
{
	if (!machine->published)
		return;
	live_close(&machine->published->live);
	free(machine->published);
	machine->published = NULL;
}

/* ---- Writing ---- */

static uint64_t kind_of(const struct section *section, unsigned int number)
{
	if (section->count)
		return PUBLISH_VIRTIO(number);
	return strcmp(section->name, "pci") ? PUBLISH_PC : PUBLISH_PCI;
}

/* The positions of the queues are in the guest's memory, and change without an exit. */
static void save(const struct section *section, const struct machine *machine,
		 unsigned int number, void *state)
{
	struct virtio_saved saved;

	if (!section->count) {
		section->save(machine, number, state);
		return;
	}
	virtio_save_registers(machine->virtio[number], &saved);
	memcpy(state, &saved, sizeof(saved));
}

static bool write_if_new(struct live *live, size_t at, const void *bytes, size_t size)
{
	if (!memcmp((char *)live_area(live, LIVE_KEPT) + at, bytes, size))
		return false;
	live_write(live, at, bytes, size);
	return true;
}

static bool write_console(struct published *published, const struct machine *machine)
{
	const uint32_t now[] = {
		machine->console.shown, published->terminal->memory->typed_out,
		machine->console.fired, 0,
	};

	return write_if_new(&published->live, offsetof(struct live_kept, shown), now, sizeof(now));
}

/* The sections have the layout of sections_save(). */
static bool write_new(struct machine *machine, uint64_t what)
{
	struct published *published = machine->published;
	uint64_t state[MOST / sizeof(uint64_t)];
	const struct section *section;
	size_t at = FIRST;
	bool any = what & PUBLISH_PC && write_console(published, machine);
	unsigned int i;

	for (section = machine_sections; section->name; section++) {
		unsigned int nr = section->count ? section->count(machine) : 1;

		for (i = 0; i < nr; i++) {
			at += sizeof(struct section_header);
			if (what & kind_of(section, i)) {
				save(section, machine, i, state);
				any |= write_if_new(&published->live, at, state, section->size);
			}
			at += PADDED(section->size);
		}
	}
	return any;
}

void publish(struct machine *machine, uint64_t what)
{
	struct published *published = machine->published;

	if (!published || !published->begun)
		return;
	write_new(machine, what);
	live_commit(&published->live);
}

void publish_begin(struct machine *machine)
{
	struct published *published = machine->published;

	if (!published)
		return;
	pthread_mutex_lock(&machine->device_lock);
	published->begun = true;
	publish(machine, ~0ULL);
	__atomic_store_n(&published->live.header->ready, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&machine->device_lock);
}

/*
 * The exit in the run page is not answered until its reason there has changed; from then on it is
 * answered, whatever the live page says. Before that change, the live page already says that it was
 * answered. An exit that has changed nothing could be answered again, but not later, when other
 * exits have changed the devices: hold the lock until the reason has changed.
 */
void publish_answer(struct machine *machine, struct gmem_vcpu *vcpu, uint64_t what)
{
	struct published *published = machine->published;
	uint64_t answered = 0;

	if (!published || !published->begun)
		return;
	if (write_new(machine, what)) {
		answered = kept_of(&published->live)->answered[vcpu->id] + 1;
		live_write(&published->live, offsetof(struct live_kept, answered[vcpu->id]),
			   &answered, sizeof(answered));
		live_commit(&published->live);
	}
	__atomic_store_n(&vcpu->run->exit_reason, KVM_EXIT_INTR, __ATOMIC_RELEASE);
	if (answered)
		__atomic_store_n(&published->live.header->cleared[vcpu->id], answered,
				 __ATOMIC_RELEASE);
}

void publish_ending(struct machine *machine)
{
	if (machine->published)
		__atomic_store_n(&machine->published->live.header->ending, 1, __ATOMIC_RELEASE);
}

void publish_paused(struct machine *machine, bool paused)
{
	if (machine->published)
		__atomic_store_n(&machine->published->live.header->paused, paused,
				 __ATOMIC_RELEASE);
}

void publish_beat(struct machine *machine)
{
	uint32_t *beat;

	if (!machine->published)
		return;
	beat = &machine->published->live.header->beat;
	pthread_mutex_lock(&machine->device_lock);
	__atomic_store_n(beat, *beat == UINT32_MAX ? 1 : *beat + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&machine->device_lock);
}
