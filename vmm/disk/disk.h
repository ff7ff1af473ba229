/* SPDX-License-Identifier: MIT */
/*
 * A raw image, or a block device of the host, that a guest has as a disk. One thread owns all of
 * this, and never waits for the disk: it begins requests, and a descriptor tells when they have
 * ended.
 */
#ifndef VMM_DISK_DISK_H
#define VMM_DISK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/events.h"

#define DISK_SEGMENTS	256U	/* of memory, of a request, at most */
#define DISK_RANGES	16U	/* of the disk, of a request, at most */
#define DISK_WHY	256U

enum disk_kind { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

/*
 * struct disk_range - a piece of the disk
 * @offset, @size: in bytes, within the disk
 * @unmap: for zeroing: the range need not keep its space
 */
struct disk_range {
	uint64_t offset;
	uint64_t size;
	bool unmap;
};

/*
 * struct disk_step - one call to the host's kernel; a request takes one or several
 * @mode: of STEP_ALLOCATE: as fallocate(2) has it
 * @result: a number of bytes, or -errno; the engine's answer
 */
struct disk_step {
	enum { STEP_READ, STEP_WRITE, STEP_SYNC, STEP_ALLOCATE } what;
	int mode;
	const struct iovec *iov;
	unsigned int nr_iov;
	uint64_t offset;
	uint64_t size;
	int64_t result;
};

/*
 * struct disk_request - a request, which lives until @done of its disk is called
 * @kind: what is asked for
 * @durable: the data has reached the medium when the request is done
 * @offset, @size: of DISK_READ and DISK_WRITE, within the disk
 * @iov, @nr_iov: the memory, @size bytes in all; changed on the way
 * @ranges, @nr_ranges: of DISK_DISCARD and DISK_ZERO
 * @result: 0 or -errno, once it is done
 * @moved: bytes read or written so far; of a range, bytes zeroed so far
 *
 * The rest is the disk's.
 */
struct disk_request {
	enum disk_kind kind;
	bool durable;
	uint64_t offset;
	uint64_t size;
	struct iovec *iov;
	unsigned int nr_iov;
	const struct disk_range *ranges;
	unsigned int nr_ranges;
	int result;
	uint64_t moved;
	unsigned int range;
	bool synced;
	bool bounced;
	void *bounce;
	struct iovec bounce_iov;
	struct disk_step step;
	struct disk_request *next;
};

struct disk;

/*
 * struct disk_engine - carries out steps
 * @put: carry out @request->step, which begins at @go at the latest
 * @go: begin all steps that were put
 * @take: returns a request whose step has a result, or NULL
 * @close: called when nothing is in flight
 */
struct disk_engine {
	const char *name;
	void (*put)(struct disk *disk, struct disk_request *request);
	void (*go)(struct disk *disk);
	struct disk_request *(*take)(struct disk *disk);
	void (*close)(struct disk *disk);
};

/*
 * struct disk_options - how to open a disk
 * @path: of the image or block device
 * @readonly: the guest cannot write
 * @direct: without the host's page cache
 * @given: @fd is the disk, opened and locked by another VMM of the same guest; disk_open() takes it
 *	over
 */
struct disk_options {
	const char *path;
	bool readonly;
	bool direct;
	bool given;
	int fd;
};

/*
 * struct disk_geometry - sizes in bytes, powers of two except @size and @optimal
 * @size: of the disk
 * @block: offsets and sizes of requests are multiples of this
 * @physical: how much it writes at a time
 * @minimal, @optimal: the best sizes of requests; @optimal 0: not known
 * @memory: memory addresses are multiples of this, for I/O without page cache
 */
struct disk_geometry {
	uint64_t size;
	uint32_t block;
	uint32_t physical;
	uint32_t minimal;
	uint32_t optimal;
	uint32_t memory;
};

/*
 * struct disk - an open disk
 * @name: for messages
 * @done: a request is done: the caller's function, given before disk_start()
 * @settled: likewise: no more calls of @done follow right now
 * @data: the caller's
 * @engine, @engine_data: carries out steps
 * @event: tells that steps have ended
 * @most: requests in flight, at most
 * @in_flight: requests begun and not done
 * @life: the end of a pipe that each ring has, too: as long as a ring has it, its requests may be
 *	carried out, even if this process is dead; 0: there is none
 * @looked: the size of the image was checked for this batch of requests
 * @no_punch, @no_zero: fallocate(2) cannot do this here
 * @said: kinds of failure that were reported already
 */
struct disk {
	int fd;
	char name[64];
	bool readonly;
	bool direct;
	bool is_file;
	struct disk_geometry geometry;
	void (*done)(struct disk *disk, struct disk_request *request);
	void (*settled)(struct disk *disk);
	void *data;
	const struct disk_engine *engine;
	void *engine_data;
	struct event event;
	struct events *events;
	unsigned int most;
	unsigned int in_flight;
	int life;
	bool looked;
	bool no_punch;
	bool no_zero;
	unsigned int said;
};

/*
 * Open and lock a disk. Returns 0, or -errno with the reason in @why, which has DISK_WHY bytes.
 * Call disk_close() in any case.
 */
int disk_open(struct disk *disk, const struct disk_options *options, char *why);

/*
 * Choose an engine for @most requests in flight, and report their ends through @events. Returns 0
 * or -errno.
 */
int disk_start(struct disk *disk, unsigned int most, struct events *events);

/* Is that piece inside the disk? */
bool disk_holds(const struct disk *disk, uint64_t offset, uint64_t size);

/*
 * Begin a request; call disk_go() after the last one of a batch. Returns 0, or -errno if it was not
 * begun: then @done is not called.
 */
int disk_begin(struct disk *disk, struct disk_request *request);
void disk_go(struct disk *disk);

/*
 * Wait until nothing is in flight, or until CLOCK_MONOTONIC has come to @until ns.
 * 0, or -ETIMEDOUT.
 */
int disk_drain(struct disk *disk, uint64_t until);

/*
 * Close a disk without waiting; disk_drain() waits. If requests are still in flight, their
 * resources are leaked.
 */
void disk_close(struct disk *disk);

/* Its parts. */

/* Lock the image. Returns 0; -EBUSY with the lock's owner in @why; or -errno. */
int disk_lock(int fd, bool readonly, char *why);

/* Open an engine: sets @engine, @engine_data and @event.fd. Returns 0 or -errno. */
int disk_ring_open(struct disk *disk);
int disk_threads_open(struct disk *disk);

/* Take steps that have ended, and go on with their requests. */
void disk_reap(struct disk *disk);

#endif /* VMM_DISK_DISK_H */
