/* SPDX-License-Identifier: MIT */
/* A disk engine whose steps end at a time and with a result that a test chooses. */
#ifndef TESTS_DEVICES_HELD_DISK_H
#define TESTS_DEVICES_HELD_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "disk/disk.h"

/* The function that it replaces (ld's --wrap). */
int __real_disk_ring_open(struct disk *disk);

/* Disks that are started from here on have it (or what the program has). */
void held_use(bool on);

/* Steps that were begun and have not ended, of all disks. */
unsigned int held_count(void);

/* The step that was begun as the @nth of these. */
const struct disk_step *held_step(unsigned int nth);

/* End it: really carried out, up to @most bytes; or with an error (negative). */
void held_end(unsigned int nth, int64_t most);

/* End all that there is, and what follows from it, until nothing is held. */
void held_end_all(void);

/* Steps end at once, from here on. */
void held_at_once(bool on);

/* Forget what a test has left. */
void held_forget(void);

#endif /* TESTS_DEVICES_HELD_DISK_H */
