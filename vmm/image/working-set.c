// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/crc32c.h"
#include "image/working-set.h"

#define SET_MAGIC	"gmemwset"
#define SET_VERSION	2
#define SET_END		UINT32_MAX	/* no page: an image has fewer */
#define BATCH		256U		/* records that are written in one go */

/* The file is this header, followed by records. */
struct set_header {
	char magic[8];
	uint32_t version;
	uint32_t page_size;
	uint64_t size;		/* of the image */
	uint32_t image_sum;	/* struct image.sum */
	uint32_t header_sum;	/* of all before this */
};

_Static_assert(sizeof(struct set_header) == 32, "layout of a working set");

/* A page, or SET_END. @sum: of its place among the records and of @page. */
struct set_record {
	uint32_t page;
	uint32_t sum;
};

static uint32_t sum_of_header(const struct set_header *header)
{
	return crc32c(0, header, offsetof(struct set_header, header_sum));
}

static uint32_t sum_of_record(uint32_t place, uint32_t page)
{
	const uint32_t both[] = { place, page };

	return crc32c(0, both, sizeof(both));
}

static int check_header(const struct set_header *header,
			const struct image *image)
{
	if (memcmp(header->magic, SET_MAGIC, sizeof(header->magic)))
		return -EBADMSG;
	if (header->version != SET_VERSION)
		return -EPROTONOSUPPORT;
	if (header->header_sum != sum_of_header(header))
		return -EBADMSG;
	if (header->page_size != IMAGE_PAGE || header->size != image->size ||
	    header->image_sum != image->sum)
		return -EINVAL;
	return 0;
}

static bool has(const struct working_set *set, uint32_t page)
{
	return set->has[page / 8] & 1 << page % 8;
}

static void add(struct working_set *set, uint32_t page)
{
	set->has[page / 8] |= 1 << page % 8;
	set->pages[set->count++] = page;
}

/*
 * Read records up to the first invalid one: the writer was killed there, so no valid one may
 * follow. If one does, the file was damaged later.
 */
static int take_records(struct working_set *set, const struct image *image,
			const struct set_record *records, size_t nr)
{
	bool torn = false;
	size_t i;

	for (i = 0; i < nr; i++) {
		uint32_t page = records[i].page;

		if (records[i].sum != sum_of_record(i, page)) {
			torn = true;
			continue;
		}
		if (torn || set->ended)
			return -EBADMSG;
		set->ended = page == SET_END;
		if (set->ended)
			continue;
		if (page >= image->pages || has(set, page))
			return -EBADMSG;
		add(set, page);
	}
	set->written = set->count;
	set->begun = true;
	return 0;
}

/* @size: of the file; its last record may be incomplete. */
static int load(struct working_set *set, const struct image *image,
		size_t size)
{
	struct set_header header;
	struct set_record *records;
	size_t nr;
	int ret = -EBADMSG;

	if (pread(set->fd, &header, sizeof(header), 0) != sizeof(header))
		return -EBADMSG;
	ret = check_header(&header, image);
	if (ret)
		return ret;
	size -= sizeof(header);
	nr = (size + sizeof(*records) - 1) / sizeof(*records);
	records = calloc(nr + 1, sizeof(*records));
	if (!records)
		return -ENOMEM;
	if (pread(set->fd, records, size, sizeof(header)) != (ssize_t)size)
		ret = -EBADMSG;
	else
		ret = take_records(set, image, records, nr);
	free(records);
	return ret;
}

int working_set_open(struct working_set *set, const char *path,
		     const struct image *image)
{
	off_t size;
	int ret;

	*set = (struct working_set){ .fd = -1 };
	if (!path)
		return 0;
	set->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	size = set->fd < 0 ? -1 : lseek(set->fd, 0, SEEK_END);
	if (size < 0) {
		ret = -errno;
	} else {
		set->pages = malloc(image->pages * sizeof(*set->pages));
		set->has = calloc(1, image->pages / 8 + 1);
		ret = !set->pages || !set->has ? -ENOMEM :
		      size ? load(set, image, size) : 0;
	}
	if (ret)
		working_set_close(set);
	return ret;
}

void working_set_add(struct working_set *set, uint32_t page)
{
	if (set->recording && !has(set, page))
		add(set, page);
}

static int write_at(int fd, const void *bytes, size_t size, off_t offset)
{
	ssize_t done;

	errno = EIO;
	do {
		done = pwrite(fd, bytes, size, offset);
	} while (done < 0 && errno == EINTR);
	return done == (ssize_t)size ? 0 : -errno;
}

static int write_header(int fd, const struct image *image)
{
	struct set_header header = {
		.magic = SET_MAGIC, .version = SET_VERSION,
		.page_size = IMAGE_PAGE, .size = image->size,
		.image_sum = image->sum,
	};

	header.header_sum = sum_of_header(&header);
	return write_at(fd, &header, sizeof(header), 0);
}

int working_set_begin(struct working_set *set, const struct image *image,
		      bool succeeds)
{
	int ret = 0;

	set->known = set->count;
	set->recording = set->fd >= 0 && !set->ended &&
			 (succeeds ? set->begun : !set->count);
	if (set->recording && !set->begun)
		ret = write_header(set->fd, image);
	set->recording &= !ret;
	set->begun |= set->recording;
	return ret;
}

static off_t offset_of(uint32_t place)
{
	return sizeof(struct set_header) +
	       place * (off_t)sizeof(struct set_record);
}

static int write_records(struct working_set *set)
{
	struct set_record records[BATCH];
	int ret = 0;

	while (!ret && set->written < set->count) {
		uint32_t i, page, nr = set->count - set->written;

		if (nr > BATCH)
			nr = BATCH;
		for (i = 0; i < nr; i++) {
			page = set->pages[set->written + i];
			records[i].page = page;
			records[i].sum = sum_of_record(set->written + i, page);
		}
		ret = write_at(set->fd, records, nr * sizeof(*records),
			       offset_of(set->written));
		if (!ret)
			set->written += nr;
	}
	return ret;
}

int working_set_write(struct working_set *set)
{
	int ret;

	if (!set->recording || set->written == set->count)
		return 0;
	ret = write_records(set);
	set->recording = !ret;
	return ret;
}

int working_set_end(struct working_set *set)
{
	const struct set_record end = {
		.page = SET_END, .sum = sum_of_record(set->count, SET_END),
	};
	int ret = working_set_write(set);

	if (ret || !set->recording || !set->count)
		return ret;
	set->recording = false;
	set->ended = true;
	ret = write_at(set->fd, &end, sizeof(end), offset_of(set->count));
	return !ret && fdatasync(set->fd) ? -errno : ret;
}

void working_set_close(struct working_set *set)
{
	if (set->fd >= 0)
		close(set->fd);
	free(set->pages);
	free(set->has);
	*set = (struct working_set){ .fd = -1 };
}
