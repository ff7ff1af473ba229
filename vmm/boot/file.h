/* SPDX-License-Identifier: MIT */
/* A file that a guest is booted from. */
#ifndef VMM_BOOT_FILE_H
#define VMM_BOOT_FILE_H

#include <stdint.h>

#include "machine/machine.h"

/* struct file - a copy of its content */
struct file {
	const char *path;
	void *bytes;
	uint64_t size;
};

/* Returns 0 or -errno, with the reason in machine->why. */
int file_read(struct file *file, struct machine *machine, const char *path);

/* May be called after file_read() has failed. */
void file_free(struct file *file);

#endif /* VMM_BOOT_FILE_H */
