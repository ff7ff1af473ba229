// SPDX-License-Identifier: MIT
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/sections.h"
#include "options.h"
#include "upgrade/state.h"

#define ROOM		(64U * 1024)	/* of these */
#define VERSION		1
#define FIRED		"fired"

static int put_flagged(char *bytes, size_t *used, const char *name, const void *content,
		       size_t length, uint32_t flags)
{
	struct gmem_section section = {
		.version = VERSION, .length = length, .content = content, .flags = flags,
	};

	strcpy(section.name, name);
	return gmem_section_put(bytes, ROOM, used, &section);
}

static int put(char *bytes, size_t *used, const char *name, const void *content, size_t length)
{
	return put_flagged(bytes, used, name, content, length, 0);
}

static int put_own(char *bytes, size_t *used, const struct upgrade_run *run)
{
	uint32_t own[] = { htole32(run->paused), htole32(run->shown) };
	uint32_t passt[2 * OPTION_VALUES];
	unsigned int i;
	int ret;

	for (i = 0; i < OPTION_VALUES; i++) {
		passt[2 * i] = htole32(run->passt[i].up);
		passt[2 * i + 1] = htole32(run->passt[i].number);
	}
	ret = put(bytes, used, "run", own, sizeof(own));
	if (!ret)
		ret = put(bytes, used, "typed", run->typed, run->nr_typed);
	if (!ret)
		ret = put(bytes, used, "passt", passt, sizeof(passt));
	/* A reader that does not know this section waits for the line again. */
	if (!ret && run->fired)
		ret = put_flagged(bytes, used, FIRED, NULL, 0, GMEM_SECTION_OPTIONAL);
	return ret;
}

int upgrade_state_save(const struct machine *machine, const struct upgrade_run *run,
		       void **bytes, size_t *size)
{
	size_t used = 0, length;
	void *devices;
	char *all;
	int ret = sections_save(machine_sections, machine, &devices, &length);

	if (ret)
		return ret;
	all = malloc(ROOM + length);
	ret = all ? put_own(all, &used, run) : -ENOMEM;
	if (!ret) {
		memcpy(all + used, devices, length);
		*bytes = all;
		*size = used + length;
	}
	free(devices);
	if (ret)
		free(all);
	return ret;
}

static uint32_t number_at(const struct gmem_section *section, unsigned int index)
{
	uint32_t number;

	memcpy(&number, (const char *)section->content + 4 * index, sizeof(number));
	return le32toh(number);
}

static int read_own(struct upgrade_run *run, const struct gmem_section *section)
{
	unsigned int i;

	if (!strcmp(section->name, "run") && section->length == 8) {
		run->paused = number_at(section, 0);
		run->shown = number_at(section, 1);
	} else if (!strcmp(section->name, "typed") && section->length <= UPGRADE_TYPED) {
		run->nr_typed = section->length;
		memcpy(run->typed, section->content, section->length);
	} else if (!strcmp(section->name, "passt") && section->length == 8 * OPTION_VALUES) {
		for (i = 0; i < OPTION_VALUES; i++) {
			run->passt[i].up = number_at(section, 2 * i);
			run->passt[i].number = number_at(section, 2 * i + 1);
		}
	} else {
		return -EPROTO;
	}
	return 0;
}

int upgrade_state_read(struct machine *machine, const void *bytes, size_t size,
		       struct upgrade_run *run, size_t *devices)
{
	static const char *const names[] = { "run", "typed", "passt" };
	struct gmem_section section;
	unsigned int i;
	size_t at = 0;

	machine->step = "reading the state page";
	*run = (struct upgrade_run){ .paused = 0 };
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (gmem_section_next(bytes, size, &at, &section) != 1 ||
		    strcmp(section.name, names[i]))
			return machine_fail(machine, -EPROTO, "the section '%s' is missing",
					    names[i]);
		if (section.version != VERSION || read_own(run, &section))
			return machine_fail(machine, -EPROTONOSUPPORT,
					    "'%s' of version %u is not known to this gmem",
					    section.name, section.version);
	}
	*devices = at;
	/* This section need not be there: then it is the devices' first one. */
	if (gmem_section_next(bytes, size, &at, &section) == 1 && !strcmp(section.name, FIRED)) {
		run->fired = true;
		*devices = at;
	}
	return 0;
}
