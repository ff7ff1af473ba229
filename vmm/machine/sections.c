// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "machine/sections.h"
#include "virtio/state.h"

#define ALIGN		8U
#define PADDED(size)	(((size) + ALIGN - 1) & ~(ALIGN - 1))
#define MOST		(64U * 1024)	/* bytes of one: enough for any device */

_Static_assert(sizeof(struct section_header) == 32, "layout of what is kept");

/* ---- The machine's ---- */

static void save_console(const struct machine *machine, unsigned int number, void *state)
{
	(void)number;
	memcpy(state, &machine->console.now, sizeof(machine->console.now));
}

static int load_console(struct machine *machine, unsigned int number, const void *state)
{
	(void)number;
	return console_restore(&machine->console, state, sizeof(machine->console.now));
}

#define PC_DEVICE(device)							\
static void save_##device(const struct machine *machine, unsigned int number,	\
			  void *state)						\
{										\
	(void)number;								\
	memcpy(state, &machine->pc.device.now, sizeof(machine->pc.device.now));	\
}										\
										\
static int load_##device(struct machine *machine, unsigned int number,		\
			 const void *state)					\
{										\
	struct device##_state copy;						\
										\
	(void)number;								\
	memcpy(&copy, state, sizeof(copy));					\
	return device##_restore(&machine->pc.device, &copy);			\
}

PC_DEVICE(serial)
PC_DEVICE(power)
PC_DEVICE(rtc)

/* struct pci_state - the bus and its bridge; other functions have sections of their own */
struct pci_state {
	uint32_t address;
	uint8_t bridge[PCI_CONFIG_SIZE];
};

static void save_pci(const struct machine *machine, unsigned int number, void *state)
{
	struct pci_state now = { .address = machine->pci.address };

	(void)number;
	pci_function_save(&machine->pci.bridge, now.bridge);
	memcpy(state, &now, sizeof(now));
}

/* The guest can write any address, and of the bridge only the writable part matters. */
static int load_pci(struct machine *machine, unsigned int number, const void *state)
{
	struct pci_state saved;

	(void)number;
	memcpy(&saved, state, sizeof(saved));
	machine->pci.address = saved.address;
	pci_function_restore(&machine->pci.bridge, saved.bridge);
	return 0;
}

static unsigned int count_virtio(const struct machine *machine)
{
	return machine->nr_virtio;
}

static void save_virtio(const struct machine *machine, unsigned int number, void *state)
{
	struct virtio_saved saved;

	virtio_save(machine->virtio[number], &saved);
	memcpy(state, &saved, sizeof(saved));
}

static int load_virtio(struct machine *machine, unsigned int number, const void *state)
{
	struct virtio_saved saved;

	memcpy(&saved, state, sizeof(saved));
	return virtio_restore(machine->virtio[number], &saved);
}

#define ROW(device, its_version)					\
	{ .name = #device, .version = its_version,			\
	  .size = sizeof(struct device##_state),			\
	  .save = save_##device, .load = load_##device }

const struct section machine_sections[] = {
	ROW(console, 1),
	ROW(serial, 1),
	ROW(power, 1),
	ROW(rtc, 1),
	ROW(pci, 1),
	{ .name = "virtio", .version = 1, .size = sizeof(struct virtio_saved),
	  .count = count_virtio, .save = save_virtio, .load = load_virtio },
	{ .name = NULL },
};

/* ---- All ---- */

static unsigned int count(const struct section *section, const struct machine *machine)
{
	return section->count ? section->count(machine) : 1;
}

int sections_save(const struct section *table, const struct machine *machine,
		  void **bytes, size_t *size)
{
	const struct section *section;
	size_t needed = 0;
	unsigned int i;
	char *at;

	for (section = table; section->name; section++)
		needed += count(section, machine) *
			  (sizeof(struct section_header) + PADDED(section->size));
	*bytes = at = calloc(1, needed + 1);
	if (!at)
		return -ENOMEM;
	for (section = table; section->name; section++) {
		for (i = 0; i < count(section, machine); i++) {
			struct section_header header = {
				.version = section->version, .number = i,
				.flags = section->optional ? SECTION_OPTIONAL : 0,
				.length = section->size,
			};

			memcpy(header.name, section->name, strlen(section->name));
			memcpy(at, &header, sizeof(header));
			section->save(machine, i, at + sizeof(header));
			at += sizeof(header) + PADDED(section->size);
		}
	}
	*size = needed;
	return 0;
}

/* Printable characters, followed by zeroes. */
static bool good_name(const char *name)
{
	size_t length = strnlen(name, SECTION_NAME), i;

	if (!length || length == SECTION_NAME)
		return false;
	for (i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	for (; i < SECTION_NAME; i++)
		if (name[i])
			return false;
	return true;
}

/* Take the next one from what is left. Its padding may be missing only as a whole. */
static int next(struct machine *machine, const char **bytes, size_t *left,
		struct section_header *header, const char **content)
{
	if (*left < sizeof(*header))
		return machine_fail(machine, -EBADMSG, "the devices' state is cut short");
	memcpy(header, *bytes, sizeof(*header));
	if (!good_name(header->name) || header->flags & ~SECTION_OPTIONAL)
		return machine_fail(machine, -EPROTO, "the devices' state is damaged");
	*bytes += sizeof(*header);
	*left -= sizeof(*header);
	if (header->length > MOST || PADDED(header->length) > *left)
		return machine_fail(machine, -EBADMSG, "the state of '%s' is cut short",
				    header->name);
	*content = *bytes;
	*bytes += PADDED(header->length);
	*left -= PADDED(header->length);
	return 0;
}

static const struct section *find(const struct section *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

/* @came: how many of this section have come; their numbers must be consecutive. */
static int load_one(const struct section *section, struct machine *machine, unsigned int came,
		    const struct section_header *header, const void *content)
{
	int ret;

	if (header->number != came || came >= count(section, machine))
		return machine_fail(machine, -EPROTO, "there is no '%s' of number %u here",
				    header->name, header->number);
	if (header->length != section->size)
		return machine_fail(machine, -EPROTO, "the state of '%s' has a wrong size",
				    header->name);
	ret = section->load(machine, header->number, content);
	if (ret)
		return machine_fail(machine, ret == -EINVAL ? -EPROTO : ret,
				    "the state of '%s' is none of this machine's: number %u",
				    header->name, header->number);
	return 0;
}

int sections_load(const struct section *table, struct machine *machine,
		  const void *bytes, size_t size)
{
	unsigned int came[64] = { 0 };
	const struct section *section;
	struct section_header header;
	const char *at = bytes, *content = NULL;
	int ret;

	while (size) {
		ret = next(machine, &at, &size, &header, &content);
		if (ret)
			return ret;
		section = find(table, header.name);
		if (!section || section->version != header.version) {
			if (header.flags & SECTION_OPTIONAL)
				continue;
			return machine_fail(machine, -EPROTONOSUPPORT,
					    "'%s' of version %u is not known to this gmem",
					    header.name, header.version);
		}
		ret = load_one(section, machine, came[section - table]++, &header, content);
		if (ret)
			return ret;
	}
	for (section = table; section->name; section++)
		if (!section->optional && came[section - table] != count(section, machine))
			return machine_fail(machine, -EPROTO, "the state of '%s' is missing",
					    section->name);
	return 0;
}
