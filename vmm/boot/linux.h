/* SPDX-License-Identifier: MIT */
/* Linux as a guest: a bzImage, or an ELF file with a PVH entry. */
#ifndef VMM_BOOT_LINUX_H
#define VMM_BOOT_LINUX_H

#include "machine/machine.h"

/*
 * struct linux_guest - what to boot
 * @kernel: path
 * @initrd: path, or NULL
 * @command_line: for the kernel
 * @memory: bytes, a multiple of 2 MiB
 * @cpus: 1 to MACHINE_VCPUS
 */
struct linux_guest {
	const char *kernel;
	const char *initrd;
	const char *command_line;
	uint64_t memory;
	unsigned int cpus;
};

/*
 * Set up memory, devices, vCPUs, image and registers of a machine that was created. Returns 0 or
 * -errno, with the reason in machine->why.
 */
int linux_boot(struct machine *machine, const struct linux_guest *guest);

#endif /* VMM_BOOT_LINUX_H */
