/* SPDX-License-Identifier: MIT */
/*
 * A memory image: a file with the bytes of a guest's memory, and beside it FILE.sums, with a sum
 * for each of its pages.
 *
 * The sums are CRC32C. Their purpose is to find damage by storage or by a copy. They do not stop
 * anyone who may write the image: that user decides the content of the guest's memory in any case,
 * and would write the sums too. CRC32C needs no library, and no more time than reading the page
 * from the page cache.
 */
#ifndef VMM_IMAGE_IMAGE_H
#define VMM_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_PAGE	4096UL

/*
 * struct image - an image that is open
 * @fd: of the file
 * @size: bytes, a multiple of the page size
 * @pages: how many
 * @sum: of all the sums: distinguishes this image from others
 * @sums: of each page; NULL: there are none
 * @why: what was wrong, for the message if opening it failed
 */
struct image {
	int fd;
	uint64_t size;
	uint32_t pages;
	uint32_t sum;
	uint32_t *sums;
	const char *why;
};

/*
 * Open an image and read all of its sums. 0 or -errno with @why: EBADMSG: these are not sums;
 * EPROTONOSUPPORT: of another version; EINVAL: of another image.
 */
int image_open(struct image *image, const char *path);

/*
 * The same in a directory that may belong to another user: no link is followed. Without @sums
 * nothing is checked.
 */
int image_open_in(struct image *image, int dir, const char *name, bool sums);

/*
 * Read @count pages from @first on into @buffer, and check them. Returns how many valid pages come
 * before the first invalid one, which may be none. If these are fewer than @count, *error says why:
 * -EBADMSG (its sum is wrong), -ENODATA (the file has become shorter), or the file system's error.
 */
uint32_t image_read(const struct image *image, uint32_t first, uint32_t count,
		    void *buffer, int *error);

/*
 * The same for pages that were read already into @buffer. *error is 0 or -EBADMSG.
 */
uint32_t image_check(const struct image *image, uint32_t first, uint32_t count,
		     const void *buffer, int *error);

/* The same for pages that are a hole of the file, and so are zeroes. */
uint32_t image_check_hole(const struct image *image, uint32_t first,
			  uint32_t count, int *error);

/*
 * Bypass the page cache from now on, or use it again. Bypassing needs buffers that are aligned to
 * pages. True: the file system can do it.
 */
bool image_read_directly(const struct image *image, bool directly);

/* Make the kernel read pages ahead. */
void image_will_need(const struct image *image, uint32_t first, uint32_t count);

/* Write the sums of the image at @path. 0 or -errno, with *why. */
int image_make_sums(const char *path, const char **why);

void image_close(struct image *image);

#endif /* VMM_IMAGE_IMAGE_H */
