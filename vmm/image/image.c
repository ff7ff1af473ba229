// SPDX-License-Identifier: MIT
/*
 * Reading an image. Pages are read, not mapped: truncating a mapped file causes
 * a SIGBUS, and a mapped file could change between the check and the use.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/write-all.h"
#include "image/crc32c.h"
#include "image/image.h"

#define SUMS_MAGIC	"gmemsums"
#define SUMS_VERSION	1
#define CHUNK		(256 * IMAGE_PAGE)

/* FILE.sums is this header, followed by a sum for each page. */
struct sums_header {
	char magic[8];
	uint32_t version;
	uint32_t page_size;
	uint64_t size;		/* of the image */
	uint32_t sum;		/* of the sums */
	uint32_t header_sum;	/* of all before this */
};

_Static_assert(sizeof(struct sums_header) == 32, "layout of FILE.sums");

static uint32_t sum_of_header(const struct sums_header *header)
{
	return crc32c(0, header, offsetof(struct sums_header, header_sum));
}

/* Reads up to @size bytes, fewer only at the end of the file. Returns how many, or -errno. */
static ssize_t read_all(int fd, void *buffer, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (char *)buffer + done, size - done,
				    offset + done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += got;
	}
	return done;
}

/* @flags: O_NOFOLLOW, or none */
static int open_image(struct image *image, int dir, const char *path, int flags)
{
	struct stat stat;

	image->why = "opening it";
	image->fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	if (image->fd < 0 || fstat(image->fd, &stat))
		return -errno;
	image->why = "it is not a file with a whole number of pages";
	if (!S_ISREG(stat.st_mode) || !stat.st_size ||
	    stat.st_size % IMAGE_PAGE)
		return -EINVAL;
	image->why = "it is larger than an image may be";
	if (stat.st_size / IMAGE_PAGE > UINT32_MAX)
		return -EFBIG;
	image->size = stat.st_size;
	image->pages = stat.st_size / IMAGE_PAGE;
	return 0;
}

static int check_header(struct image *image, const struct sums_header *header)
{
	image->why = "its sums are damaged, or no sums";
	if (memcmp(header->magic, SUMS_MAGIC, sizeof(header->magic)))
		return -EBADMSG;
	if (header->version != SUMS_VERSION) {
		image->why = "its sums";
		return -EPROTONOSUPPORT;
	}
	if (header->header_sum != sum_of_header(header))
		return -EBADMSG;
	image->why = "its sums are those of another image: the size differs";
	if (header->page_size != IMAGE_PAGE || header->size != image->size)
		return -EINVAL;
	return 0;
}

static int read_sums(struct image *image, int fd)
{
	size_t size = image->pages * sizeof(*image->sums);
	struct sums_header header;
	ssize_t got;
	char more;
	int ret;

	image->why = "reading its sums";
	got = read_all(fd, &header, sizeof(header), 0);
	if (got < 0)
		return got;
	if (got < (ssize_t)sizeof(header)) {
		image->why = "its sums are cut short";
		return -EBADMSG;
	}
	ret = check_header(image, &header);
	if (ret)
		return ret;
	image->why = "reading its sums";
	image->sums = malloc(size);
	if (!image->sums)
		return -ENOMEM;
	got = read_all(fd, image->sums, size, sizeof(header));
	if (got < 0)
		return got;
	image->why = "its sums are cut short, too long or damaged";
	image->sum = crc32c(0, image->sums, size);
	return got == (ssize_t)size && image->sum == header.sum &&
	       !read_all(fd, &more, 1, sizeof(header) + size) ? 0 : -EBADMSG;
}

static int sums_path(char *sums, size_t size, const char *path,
		     const char *suffix)
{
	return snprintf(sums, size, "%s.sums%s", path, suffix) < (int)size ?
	       0 : -ENAMETOOLONG;
}

static int open_sums(struct image *image, int dir, const char *path, int flags)
{
	char sums[4096];
	int fd, ret;

	image->why = "opening its sums ('gmem pager --image FILE --make-sums' writes them)";
	ret = sums_path(sums, sizeof(sums), path, "");
	if (ret)
		return ret;
	fd = openat(dir, sums, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	if (fd < 0)
		return -errno;
	/* A FIFO of that name reads as an empty file. */
	ret = read_sums(image, fd);
	close(fd);
	return ret;
}

static int open_both(struct image *image, int dir, const char *path, int flags, bool sums)
{
	int ret;

	*image = (struct image){ .fd = -1 };
	ret = open_image(image, dir, path, flags);
	if (!ret && sums)
		ret = open_sums(image, dir, path, flags);
	if (ret)
		image_close(image);
	return ret;
}

int image_open(struct image *image, const char *path)
{
	return open_both(image, AT_FDCWD, path, 0, true);
}

int image_open_in(struct image *image, int dir, const char *name, bool sums)
{
	return open_both(image, dir, name, O_NOFOLLOW, sums);
}

uint32_t image_check_hole(const struct image *image, uint32_t first,
			  uint32_t count, int *error)
{
	static const char zeroes[IMAGE_PAGE];
	uint32_t sum = crc32c(0, zeroes, IMAGE_PAGE), page;

	*error = 0;
	for (page = 0; image->sums && page < count; page++) {
		if (image->sums[first + page] != sum) {
			*error = -EBADMSG;
			return page;
		}
	}
	return count;
}

uint32_t image_check(const struct image *image, uint32_t first, uint32_t count,
		     const void *buffer, int *error)
{
	uint32_t page;

	*error = 0;
	for (page = 0; image->sums && page < count; page++) {
		const char *content = (const char *)buffer + page * IMAGE_PAGE;

		if (crc32c(0, content, IMAGE_PAGE) != image->sums[first + page]) {
			*error = -EBADMSG;
			return page;
		}
	}
	return count;
}

/* Some file systems only report at the first read that they can't read directly. */
uint32_t image_read(const struct image *image, uint32_t first, uint32_t count,
		    void *buffer, int *error)
{
	ssize_t got = read_all(image->fd, buffer, count * IMAGE_PAGE,
			       first * IMAGE_PAGE);
	uint32_t there, good;

	if (got == -EINVAL && image_read_directly(image, false))
		got = read_all(image->fd, buffer, count * IMAGE_PAGE,
			       first * IMAGE_PAGE);
	there = got > 0 ? got / IMAGE_PAGE : 0;
	good = image_check(image, first, there, buffer, error);
	if (!*error && there < count)
		*error = got < 0 ? got : -ENODATA;
	return good;
}

bool image_read_directly(const struct image *image, bool directly)
{
	return !fcntl(image->fd, F_SETFL, directly ? O_DIRECT : 0);
}

void image_will_need(const struct image *image, uint32_t first, uint32_t count)
{
	posix_fadvise(image->fd, first * IMAGE_PAGE, count * IMAGE_PAGE,
		      POSIX_FADV_WILLNEED);
}

void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
	free(image->sums);
	image->sums = NULL;
}

/* ---- Writing the sums ---- */

static int sum_pages(const struct image *image, uint32_t *sums)
{
	char *buffer = malloc(CHUNK);
	uint64_t offset;
	ssize_t got = 0;

	if (!buffer)
		return -ENOMEM;
	for (offset = 0; offset < image->size; offset += got) {
		uint64_t left = image->size - offset;
		ssize_t wanted = left < CHUNK ? left : CHUNK, at;

		got = read_all(image->fd, buffer, wanted, offset);
		if (got != wanted)
			break;
		for (at = 0; at < got; at += IMAGE_PAGE)
			*sums++ = crc32c(0, buffer + at, IMAGE_PAGE);
	}
	free(buffer);
	if (offset == image->size)
		return 0;
	return got < 0 ? got : -ENODATA;
}

/* Write it under another name first, so that nobody takes an incomplete file for it. */
static int write_sums(const char *path, const struct sums_header *header,
		      const uint32_t *sums, size_t size)
{
	char name[4096], part[4096];
	int fd, ret;

	ret = sums_path(name, sizeof(name), path, "");
	if (!ret)
		ret = sums_path(part, sizeof(part), path, ".part");
	if (ret)
		return ret;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, header, sizeof(*header));
	if (!ret)
		ret = write_all(fd, sums, size);
	if (!ret && (fsync(fd) || rename(part, name)))
		ret = -errno;
	close(fd);
	if (ret)
		unlink(part);
	return ret;
}

int image_make_sums(const char *path, const char **why)
{
	struct sums_header header = {
		.magic = SUMS_MAGIC, .version = SUMS_VERSION,
		.page_size = IMAGE_PAGE,
	};
	struct image image = { .fd = -1 };
	size_t size = 0;
	int ret = open_image(&image, AT_FDCWD, path, 0);

	if (!ret) {
		image.why = "reading it";
		header.size = image.size;
		size = image.pages * sizeof(*image.sums);
		image.sums = malloc(size);
		ret = image.sums ? sum_pages(&image, image.sums) : -ENOMEM;
	}
	if (!ret) {
		image.why = "writing its sums";
		header.sum = crc32c(0, image.sums, size);
		header.header_sum = sum_of_header(&header);
		ret = write_sums(path, &header, image.sums, size);
	}
	*why = image.why;
	image_close(&image);
	return ret;
}
