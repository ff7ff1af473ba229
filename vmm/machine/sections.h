/* SPDX-License-Identifier: MIT */
/*
 * The state of a machine's devices, as bytes: named sections, each with a version of
 * its own. A snapshot has them. KVM's devices and vCPUs are libgmem's business.
 */
#ifndef VMM_MACHINE_SECTIONS_H
#define VMM_MACHINE_SECTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "machine/machine.h"

#define SECTION_NAME	16

/*
 * struct section - a kind of device
 * @name: shorter than SECTION_NAME
 * @version: of its layout
 * @optional: a reader that does not know the section ignores it; else it refuses
 * @size: of the state: a struct of fixed-width fields, no pointer among them
 * @count: how many of them the machine has; NULL: one
 * @save: writes @size bytes for the device of a number, from 0 on
 * @load: takes over untrusted bytes. -EINVAL: not the state of such a device; or -errno. The
 *	machine is unusable after an error.
 *
 * A machine stands still while it is saved and loaded. In a table, sections that others
 * depend on come first.
 */
struct section {
	const char *name;
	uint32_t version;
	int optional;
	uint32_t size;
	unsigned int (*count)(const struct machine *machine);
	void (*save)(const struct machine *machine, unsigned int number, void *state);
	int (*load)(struct machine *machine, unsigned int number, const void *state);
};

/*
 * struct section_header - what stands before each section's content, which is padded
 *	with zeroes to 8 bytes. Numbers are the host's.
 */
struct section_header {
	char name[SECTION_NAME];	/* the rest is zeroes */
	uint32_t version;
	uint32_t number;
	uint32_t flags;			/* SECTION_OPTIONAL, or 0 */
	uint32_t length;		/* of the content */
};

#define SECTION_OPTIONAL	1U

/* All that a machine here may have. It ends with a row without a name. */
extern const struct section machine_sections[];

/* Save by a table, into memory for free(). 0 or -errno. */
int sections_save(const struct section *table, const struct machine *machine,
		  void **bytes, size_t *size);

/*
 * Load from untrusted bytes, which must have each section of the machine once. Returns 0 or -errno,
 * with the reason in machine->why: EBADMSG: cut short; EPROTO: a section is duplicate, missing, or
 * invalid; EPROTONOSUPPORT: unknown kind or version.
 */
int sections_load(const struct section *table, struct machine *machine,
		  const void *bytes, size_t size);

#endif /* VMM_MACHINE_SECTIONS_H */
