/* SPDX-License-Identifier: MIT */
/* What both ways to start a kernel need: bzimage.c, pvh.c. Called by linux.c. */
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
 * @low: its RAM ends there, or goes on behind the hole
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

/* What is where: fills in BOOT_RANGES at most. Returns how many. */
unsigned int boot_memory_map(const struct boot *boot, struct boot_range *ranges);

/*
 * Load the initrd, if there is one, as high as @top allows, above @kernel_end. 0 or
 * -errno, as all here.
 */
int boot_load_initrd(struct boot *boot, uint64_t kernel_end, uint64_t top);

/* Load the command line; the kernel takes @most bytes. */
int boot_load_command_line(struct boot *boot, uint64_t most);

/* There is RAM below the hole up to @end, or say how much the kernel needs. */
int boot_check_room(struct boot *boot, uint64_t end);

/* A bzImage: is it one? Then load it, and have the first vCPU enter it. */
bool bzimage_is(const struct file *kernel);
int bzimage_boot(struct boot *boot);

/* An ELF file with a PVH entry: likewise. */
bool pvh_is(const struct file *kernel);
int pvh_boot(struct boot *boot);

#endif /* VMM_BOOT_BOOT_H */
