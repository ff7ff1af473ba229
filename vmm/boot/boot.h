/* SPDX-License-Identifier: MIT */
/* Common parts of both ways to start a kernel: bzimage.c and pvh.c. linux.c calls these. */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/file.h"
#include "boot/linux.h"

/* Where things are, below the first MiB; the ACPI tables are at TABLES_START. */
#define BOOT_PARAMS	0x7000UL
#define PAGE_TABLES	0x9000UL	/* PML4, PDPT, 4 PDs: the first 4 GiB */
#define COMMAND_LINE	0x20000UL
#define COMMAND_SIZE	0x10000UL

#define PAGE		4096UL
#define PAGE_OF(x)	((x) & ~(PAGE - 1))

/*
 * struct boot - a guest that is being made
 * @low: end of its RAM below the hole
 * @initrd, @initrd_size: where that is, once it is loaded
 */
struct boot {
	struct machine *machine;
	const struct linux_guest *guest;
	struct file kernel;
	uint64_t low;
	uint64_t initrd;
	uint64_t initrd_size;
};

/* Types of memory, as both protocols number them. */
#define BOOT_RAM	1
#define BOOT_RESERVED	2
#define BOOT_ACPI	3

struct boot_range {
	uint64_t start;
	uint64_t size;
	uint32_t type;
};

#define BOOT_RANGES	4

/* The memory map: fills in BOOT_RANGES at most. Returns how many. */
unsigned int boot_memory_map(const struct boot *boot, struct boot_range *ranges);

/*
 * Load the initrd, if there is one, as high as @top allows, above @kernel_end. Returns 0 or -errno,
 * like all functions here.
 */
int boot_load_initrd(struct boot *boot, uint64_t kernel_end, uint64_t top);

/* Load the command line; the kernel takes @most bytes. */
int boot_load_command_line(struct boot *boot, uint64_t most);

/* Check that there is RAM below the hole up to @end; if not, say how much the kernel needs. */
int boot_check_room(struct boot *boot, uint64_t end);

/* Is the file a bzImage? Then load it, and let the first vCPU enter it. */
bool bzimage_is(const struct file *kernel);
int bzimage_boot(struct boot *boot);

/* The same for an ELF file with a PVH entry. */
bool pvh_is(const struct file *kernel);
int pvh_boot(struct boot *boot);

#endif /* VMM_BOOT_BOOT_H */
