/* SPDX-License-Identifier: MIT */
/*
 * The live page: what a VMM knows of its guest beyond what the kernel and the guest's memory
 * have, in shared memory that outlives the process. At whatever instant the process dies, the
 * next one finds there a state in which the devices were between two accesses of the guest's.
 *
 * What must change together is written through a journal: first the record, then the word
 * that says so, then the place. Queues' tables and the console have memory of their own, whose
 * order of writes is their own business.
 */
#ifndef VMM_LIVE_LIVE_H
#define VMM_LIVE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_VCPUS	64
#define LIVE_MOST	(32U << 20)	/* bytes of one */

/* The areas, in their order. */
enum live_area {
	LIVE_KEPT,	/* changed by the journal alone */
	LIVE_JOURNAL,	/* one record */
	LIVE_TABLES,	/* struct inflight, one a queue of a disk */
	LIVE_CONSOLE,	/* struct terminal_memory */
	LIVE_AREAS
};

/*
 * struct live_header - what stands at its beginning. Numbers are the host's: it passes between
 *	processes of one host
 * @ready: the rest is of a guest that this process has; set once
 * @ending: the VMM is about to end, and wants no successor
 * @paused: a person wants the guest to stand still
 * @beat: another number with every beat of the main loop, never 0; 0: there are none
 * @committed, @applied: records of the journal: one is written to its place while they differ
 * @cleared: of each vCPU: that number of its answers is no news any more; see struct live_kept
 */
struct live_header {
	char magic[8];
	uint32_t version;
	uint32_t reserved;
	uint64_t size;
	struct {
		uint64_t offset;
		uint64_t size;
	} areas[LIVE_AREAS];
	uint32_t ready;
	uint32_t ending;
	uint32_t paused;
	uint32_t beat;
	uint64_t committed;
	uint64_t applied;
	uint64_t cleared[LIVE_VCPUS];
};

/*
 * struct live_kept - the beginning of LIVE_KEPT, in front of the devices' sections
 * @answered: of each vCPU: how many of its exits have changed a device. Where that is not
 *	@cleared of the header, the exit in its run page is one of them, and was answered
 * @shown: how many bytes of the console's line its reader has had
 * @taken: how many typed bytes the guest's port has taken
 * @fired: the line that a snapshot was to be made on has come
 */
struct live_kept {
	uint64_t answered[LIVE_VCPUS];
	uint32_t shown;
	uint32_t taken;
	uint32_t fired;
	uint32_t padding;
};

/*
 * struct live - a live page, mapped
 * @fd: of it, or -1
 * @header: its beginning, or NULL
 * @used: bytes of the record that is being written
 */
struct live {
	int fd;
	struct live_header *header;
	size_t used;
};

#define LIVE_NONE { .fd = -1 }

/* Make one with areas of these sizes; the journal's is found out. 0 or -errno. */
int live_create(struct live *live, const size_t sizes[LIVE_AREAS]);

/*
 * A copy of one of a process that is dead and may have been anything, in which the record that
 * was on its way has reached its place. @fd stays the caller's. 0 or -errno: EBADMSG: it is none.
 */
int live_adopt(struct live *live, int fd);
void live_close(struct live *live);

void *live_area(const struct live *live, enum live_area area);
size_t live_area_size(const struct live *live, enum live_area area);

/*
 * Bytes for a place in LIVE_KEPT, aligned to 8: nothing happens before live_commit(), and
 * then all at once. Callers keep to one at a time. A place is written once a record.
 */
void live_write(struct live *live, size_t at, const void *bytes, size_t size);
void live_commit(struct live *live);

/*
 * What a word says, of the descriptor of one that may be anything; false where it is none. These
 * words stand at the same place in every version: the helper may be of another one.
 */
bool live_is_ready(int fd);
bool live_is_ending(int fd);
uint32_t live_beat(int fd);

#endif /* VMM_LIVE_LIVE_H */
