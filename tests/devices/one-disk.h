/* SPDX-License-Identifier: MIT */
/* A virtio disk of 1 MiB that a test drives: its image, and requests as Linux makes them. */
#ifndef TESTS_DEVICES_ONE_DISK_H
#define TESTS_DEVICES_ONE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "driver.h"

#define SIZE	64
#define QUEUES	3		/* of disk_set_up_queues() */
#define IN	VRING_DESC_F_WRITE
#define NEXT	VRING_DESC_F_NEXT
#define SECTORS	2048UL		/* of the disk: 1 MiB */
#define DISK	(SECTORS * 512)
#define ALL	(~0ULL)

/* Where a request's parts are, by its head; in other queues than the first by PARTS(). */
#define HEADER(head)	(BUFFERS + (head) * 0x40UL)
#define STATUS(head)	(BUFFERS + (head) * 0x40UL + 0x20)
#define PARTS(queue, head) ((head) + (queue) * SIZE)
#define DATA		(BUFFERS + 0x10000)

extern struct driver driver;
extern int image;

/* A machine with so many vCPUs, and its disk. The return value is a set-up function's. */
int disk_set_up_for(unsigned int vcpus, bool readonly);
int disk_set_up(void **state);
int disk_set_up_readonly(void **state);
int disk_set_up_queues(void **state);
int disk_tear_down(void **state);

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, disk_set_up, disk_tear_down)

/* The header of a request, and a status that no disk gives. */
void put_header(uint16_t head, uint32_t type, uint64_t sector);

/* Make a request as Linux does: descriptors @head to @head + 2, data of @size bytes. */
void offer(uint16_t head, uint32_t type, uint64_t sector, uint64_t data, uint32_t size);
void offer_in(uint16_t queue, uint16_t head, uint32_t type, uint64_t sector, uint64_t data,
	      uint32_t size);

/* The range @i of a request to discard or zero, in its data. */
void put_range(unsigned int i, uint64_t sector, uint32_t count, uint32_t flags);

/* Ring, and have the device look. */
void run_disk(void);

/* All that was asked of the disk ends, with what follows from it. */
void all_end(void);

/* The next one that is answered is this one, with that status and so many bytes. */
void answered(uint16_t head, uint8_t status, uint32_t size);
void answered_in(uint16_t queue, uint16_t head, uint8_t status, uint32_t size);
bool anything_answered(void);

/* It is answered without anything asked of the disk; or when all has ended. */
void at_once(uint16_t head, uint8_t status, uint32_t size);
void carried_out(uint16_t head, uint8_t status, uint32_t size);

/* The device wants a reset, and does nothing until then. */
void breaks(void);

/* Data by a seed: in memory, and what the image must have. */
void fill_data(uint32_t size, uint8_t seed);
void image_has(uint64_t offset, uint32_t size, uint8_t seed);

/*
 * A write by head 9, a read of the same sectors by 3 and a flush by 6, of which the last ends
 * first; another process's device asks again for the two, and both end.
 */
void ask_for_three(void);
void the_last_ends(void);
void two_are_asked_again(void);

#endif /* TESTS_DEVICES_ONE_DISK_H */
