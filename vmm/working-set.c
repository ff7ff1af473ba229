// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "working-set.h"

#define SET_MAGIC	"gmemwset"
#define SET_VERSION	1

/* The file is this and then the pages. */
struct set_header {
	char magic[8];
	uint32_t version;
	uint32_t page_size;
	uint64_t size;		/* of the image */
	uint32_t image_sum;	/* struct image.sum */
	uint32_t count;
	uint32_t sum;		/* of the pages */
	uint32_t header_sum;	/* of all before this */
};

_Static_assert(sizeof(struct set_header) == 40, "layout of a working set");

static uint32_t sum_of_header(const struct set_header *header)
{
	return crc32c(0, header, offsetof(struct set_header, header_sum));
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
	return header->count <= image->pages ? 0 : -EBADMSG;
}

/* Each is a page of the image, and none comes twice. */
static int check_pages(const struct working_set *set, const struct image *image)
{
	unsigned char *seen = calloc(1, image->pages / 8 + 1);
	uint32_t i;

	if (!seen)
		return -ENOMEM;
	for (i = 0; i < set->count; i++) {
		uint32_t page = set->pages[i];

		if (page >= image->pages || seen[page / 8] & 1 << page % 8)
			break;
		seen[page / 8] |= 1 << page % 8;
	}
	free(seen);
	return i == set->count ? 0 : -EBADMSG;
}

static int load(struct working_set *set, const struct image *image,
		off_t size)
{
	struct set_header header;
	ssize_t bytes;
	int ret;

	if (pread(set->fd, &header, sizeof(header), 0) != sizeof(header))
		return -EBADMSG;
	ret = check_header(&header, image);
	if (ret)
		return ret;
	bytes = header.count * sizeof(*set->pages);
	if (size != (off_t)sizeof(header) + bytes ||
	    pread(set->fd, set->pages, bytes, sizeof(header)) != bytes ||
	    header.sum != crc32c(0, set->pages, bytes))
		return -EBADMSG;
	set->count = header.count;
	return check_pages(set, image);
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
		set->recording = !size;
		ret = !set->pages ? -ENOMEM : size ? load(set, image, size) : 0;
	}
	if (ret)
		working_set_close(set);
	return ret;
}

void working_set_add(struct working_set *set, uint32_t page)
{
	if (set->recording)
		set->pages[set->count++] = page;
}

/*
 * The header last: without it, what is there is damaged, and not half a set. In
 * place, since by now no file can be opened or renamed.
 */
int working_set_save(struct working_set *set, const struct image *image)
{
	ssize_t bytes = set->count * sizeof(*set->pages);
	struct set_header header = {
		.magic = SET_MAGIC, .version = SET_VERSION,
		.page_size = IMAGE_PAGE, .size = image->size,
		.image_sum = image->sum, .count = set->count,
	};

	if (!set->recording || !set->count)
		return 0;
	set->recording = false;
	header.sum = crc32c(0, set->pages, bytes);
	header.header_sum = sum_of_header(&header);
	errno = EIO;
	if (pwrite(set->fd, set->pages, bytes, sizeof(header)) != bytes ||
	    pwrite(set->fd, &header, sizeof(header), 0) != sizeof(header) ||
	    fdatasync(set->fd))
		return -errno;
	return 0;
}

void working_set_close(struct working_set *set)
{
	if (set->fd >= 0)
		close(set->fd);
	free(set->pages);
	*set = (struct working_set){ .fd = -1 };
}
