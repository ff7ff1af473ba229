/* SPDX-License-Identifier: MIT */
/*
 * The live page: the VMM's knowledge of its guest that is not in the kernel or the guest's memory,
 * kept in shared memory that outlives the process. Whenever the process dies, the next one finds a
 * state there in which the devices were between two accesses of the guest.
 *
 * Changes that belong together are written through a journal: first the record, then the word that
 * makes it valid, then the place. Queues' tables and the console have memory of their own, and
 * order their writes themselves.
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
	LIVE_KEPT,	/* changed only by the journal */
	LIVE_JOURNAL,	/* one record */
	LIVE_TABLES,	/* struct inflight, one a queue of a disk */
	LIVE_CONSOLE,	/* struct terminal_memory */
	LIVE_AREAS
};

/*
 * struct live_header - the beginning of the page. Numbers have the host's byte order, since only
 * processes of one host use the page
 * @ready: this process has the guest, and the rest is valid; set once
 * @ending: the VMM is about to end, and wants no successor
 * @paused: a person wants the guest to stand still
 * @beat: changes with every beat of the main loop, never 0; 0: there are no beats
 * @committed, @applied: counts of journal records: while they differ, a record is being written to
 *	its place
 * @cleared: for each vCPU: how many of its answers need no attention any more; see struct live_kept
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
 * @answered: for each vCPU: how many of its exits have changed a device. If that differs from
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
 * @used: bytes in the record that is being written
 */
struct live {
	int fd;
	struct live_header *header;
	size_t used;
};

#define LIVE_NONE { .fd = -1 }

/* Make a page with areas of these sizes; the journal's is computed. Returns 0 or -errno. */
int live_create(struct live *live, const size_t sizes[LIVE_AREAS]);

/*
 * Copy the page of a dead, untrusted process, and apply the record that was under way to the copy.
 * @fd stays the caller's. Returns 0 or -errno: EBADMSG: it is not a live page.
 */
int live_adopt(struct live *live, int fd);
void live_close(struct live *live);

void *live_area(const struct live *live, enum live_area area);
size_t live_area_size(const struct live *live, enum live_area area);

/*
 * Add bytes for a place in LIVE_KEPT, aligned to 8. Nothing changes before live_commit(), and then
 * everything at once. Only one caller at a time. A record may have each place only once.
 */
void live_write(struct live *live, size_t at, const void *bytes, size_t size);
void live_commit(struct live *live);

/*
 * Read a word from the descriptor of an untrusted page; false if it is not a live page. These words
 * are at the same place in every version, since the helper may be of another one.
 */
bool live_is_ready(int fd);
bool live_is_ending(int fd);
uint32_t live_beat(int fd);

#endif /* VMM_LIVE_LIVE_H */
