// SPDX-License-Identifier: MIT
/*
 * Each thread of a killed process stops between two instructions, and its stores up to there
 * persist. So only the order of stores matters, which the compiler and the processor keep across a
 * release. A checksum would not help: a process that can corrupt the page on purpose controls the
 * devices anyway, and every reader checks their state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "live/live.h"

#define MAGIC		"gmglive"
#define VERSION		2
#define UNIT		4096UL
#define ALIGNED(size)	(((size) + 7) & ~(size_t)7)
#define WHOLE(size)	(((size) + UNIT - 1) & ~(UNIT - 1))

/*
 * struct entry - a record's entry: bytes for a place in LIVE_KEPT; an entry of size 0 ends the
 * record
 */
struct entry {
	uint64_t at;
	uint64_t size;
};

void *live_area(const struct live *live, enum live_area area)
{
	return (char *)live->header + live->header->areas[area].offset;
}

size_t live_area_size(const struct live *live, enum live_area area)
{
	return live->header->areas[area].size;
}

/* ---- Making one ---- */

static size_t lay_out(struct live_header *header, const size_t sizes[LIVE_AREAS])
{
	size_t at = WHOLE(sizeof(*header));
	unsigned int i;

	for (i = 0; i < LIVE_AREAS; i++) {
		/* Room for each place once, with an entry header in front of every 8 bytes. */
		size_t size = i == LIVE_JOURNAL ? 3 * ALIGNED(sizes[LIVE_KEPT]) + UNIT :
						  sizes[i];

		header->areas[i].offset = at;
		header->areas[i].size = size;
		at += WHOLE(size);
	}
	return at;
}

static int map(struct live *live, int fd, size_t size)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	live->header = base;
	return 0;
}

int live_create(struct live *live, const size_t sizes[LIVE_AREAS])
{
	struct live_header header = { .magic = MAGIC, .version = VERSION };
	int ret;

	*live = (struct live)LIVE_NONE;
	header.size = lay_out(&header, sizes);
	if (header.size > LIVE_MOST)
		return -E2BIG;
	live->fd = memfd_create("gmem-live", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (live->fd < 0)
		return -errno;
	ret = ftruncate(live->fd, header.size) ||
	      fcntl(live->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ?
	      -errno : map(live, live->fd, header.size);
	if (ret) {
		live_close(live);
		return ret;
	}
	*live->header = header;
	return 0;
}

void live_close(struct live *live)
{
	if (live->header)
		munmap(live->header, live->header->size);
	if (live->fd >= 0)
		close(live->fd);
	*live = (struct live)LIVE_NONE;
}

/* ---- The journal ---- */

static void append(struct live *live, const void *bytes, size_t size)
{
	memcpy((char *)live_area(live, LIVE_JOURNAL) + live->used, bytes, size);
	live->used += ALIGNED(size);
}

void live_write(struct live *live, size_t at, const void *bytes, size_t size)
{
	const struct entry entry = { .at = at, .size = size };

	append(live, &entry, sizeof(entry));
	append(live, bytes, size);
}

/* Apply an untrusted record: an entry with an invalid place ends it. */
static void apply(struct live *live)
{
	const char *record = live_area(live, LIVE_JOURNAL);
	char *places = live_area(live, LIVE_KEPT);
	size_t room = live_area_size(live, LIVE_JOURNAL);
	size_t kept = live_area_size(live, LIVE_KEPT), used = 0;
	struct entry entry;

	while (room - used >= sizeof(entry)) {
		memcpy(&entry, record + used, sizeof(entry));
		used += sizeof(entry);
		if (!entry.size || entry.size > room - used || entry.at > kept ||
		    entry.size > kept - entry.at)
			return;
		memcpy(places + entry.at, record + used, entry.size);
		used += ALIGNED(entry.size);
		if (used > room)
			return;
	}
}

void live_commit(struct live *live)
{
	const struct entry end = { .size = 0 };
	struct live_header *header = live->header;
	uint64_t next = header->applied + 1;

	if (!live->used)
		return;
	append(live, &end, sizeof(end));
	__atomic_store_n(&header->committed, next, __ATOMIC_RELEASE);
	/* Later stores must not come before this, nor the next record before the last word. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	apply(live);
	__atomic_store_n(&header->applied, next, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	live->used = 0;
}

/* ---- Another's ---- */

static bool is_sealed(int fd, size_t *size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* It is sealed, so that its size stays what it says. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) ||
	    st.st_size < (off_t)sizeof(struct live_header) || st.st_size > LIVE_MOST)
		return false;
	*size = st.st_size;
	return true;
}

/*
 * Check that the areas come after the header, in their order, and do not overlap, as lay_out()
 * makes them: so the journal, which writes to one of them, cannot change the header or itself.
 */
static bool makes_sense(const struct live_header *header, size_t size)
{
	size_t at = WHOLE(sizeof(*header));
	unsigned int i;

	if (memcmp(header->magic, MAGIC, sizeof(MAGIC)) || header->version != VERSION ||
	    header->size != size)
		return false;
	for (i = 0; i < LIVE_AREAS; i++) {
		if (at > size || header->areas[i].offset != at ||
		    header->areas[i].size > size - at)
			return false;
		at += WHOLE(header->areas[i].size);
	}
	return header->areas[LIVE_KEPT].size >= sizeof(struct live_kept) &&
	       header->committed - header->applied <= 1;
}

/* The file may have changed by now, so use the copy, which was checked. */
static int copy(struct live *live, int fd, size_t size)
{
	ssize_t got;
	int ret = map(live, -1, size);

	if (ret)
		return ret;
	got = pread(fd, live->header, size, 0);
	if (got == (ssize_t)size && makes_sense(live->header, size))
		return 0;
	munmap(live->header, size);
	live->header = NULL;
	return -EBADMSG;
}

int live_adopt(struct live *live, int fd)
{
	size_t size;
	int ret;

	*live = (struct live)LIVE_NONE;
	if (!is_sealed(fd, &size))
		return -EBADMSG;
	ret = copy(live, fd, size);
	if (!ret && live->header->committed != live->header->applied)
		apply(live);
	return ret;
}

static bool read_header(int fd, struct live_header *header)
{
	return pread(fd, header, sizeof(*header), 0) == sizeof(*header) &&
	       !memcmp(header->magic, MAGIC, sizeof(MAGIC));
}

bool live_is_ready(int fd)
{
	struct live_header header;

	return read_header(fd, &header) && header.ready;
}

bool live_is_ending(int fd)
{
	struct live_header header;

	return read_header(fd, &header) && header.ending;
}

uint32_t live_beat(int fd)
{
	struct live_header header;

	return read_header(fd, &header) && header.ready && !header.ending ? header.beat : 0;
}
