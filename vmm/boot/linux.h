/* SPDX-License-Identifier: MIT */
/* Linux as a guest: a bzImage, entered in 64-bit mode by the boot protocol. */
#ifndef VMM_BOOT_LINUX_H
#define VMM_BOOT_LINUX_H

#include "machine/machine.h"

/*
 * struct linux_guest - what to boot
 * @kernel: path of a bzImage
 * @initrd: path, or NULL
 * @command_line: for the kernel
 * @memory: bytes, a multiple of 2 MiB
 * @private: all of its memory is private
 */
struct linux_guest {
	const char *kernel;
	const char *initrd;
	const char *command_line;
	uint64_t memory;
	bool private;
};

/* Memory, devices, image and registers, for a machine that was created. */
int linux_boot(struct machine *machine, const struct linux_guest *guest);

#endif /* VMM_BOOT_LINUX_H */
