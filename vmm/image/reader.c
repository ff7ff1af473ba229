// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#include "image/reader.h"

#define MEMORY	((READER_URGENT + READER_AHEAD * READER_CHUNK) * IMAGE_PAGE)

static void lay_out(struct image_reader *reader)
{
	char *at = reader->memory;
	uint32_t i;

	for (i = 0; i < READER_READS; i++) {
		reader->reads[i] = (struct image_read){ .buffer = at };
		at += (i < READER_URGENT ? 1 : READER_CHUNK) * IMAGE_PAGE;
	}
}

int reader_open(struct image_reader *reader, const struct image *image,
		bool by_ring, const char **why)
{
	int ret;

	*why = NULL;
	*reader = (struct image_reader){ .image = image, .by_ring = by_ring };
	reader->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (reader->memory == MAP_FAILED) {
		reader->memory = NULL;
		return -errno;
	}
	lay_out(reader);
	if (!by_ring)
		return 0;
	ret = image_ring_open(&reader->ring, READER_READS, image->fd,
			      reader->memory, MEMORY, why);
	if (ret) {
		reader_close(reader);
		return ret;
	}
	*why = NULL;
	image_read_directly(image, true);
	return 0;
}

/* The reads of that kind. Returns the first of @count. */
static struct image_read *kind(struct image_reader *reader, bool urgent,
			       uint32_t *count)
{
	*count = urgent ? READER_URGENT : READER_AHEAD;
	return &reader->reads[urgent ? 0 : READER_URGENT];
}

static struct image_read *find_room(struct image_reader *reader, bool urgent)
{
	uint32_t i, count;
	struct image_read *reads = kind(reader, urgent, &count);

	/* Without a ring, one read is enough: another page may be more urgent by the next turn. */
	if (!urgent && !reader->by_ring)
		count = 1;
	for (i = 0; i < count; i++)
		if (reads[i].state == READ_FREE)
			return &reads[i];
	return NULL;
}

bool reader_has_room(struct image_reader *reader, bool urgent)
{
	return find_room(reader, urgent);
}

void reader_begin(struct image_reader *reader, uint32_t first, uint32_t count,
		  bool urgent)
{
	struct image_read *read = find_room(reader, urgent);

	read->first = first;
	read->count = count;
	read->urgent = urgent;
	read->state = READ_BEGUN;
	read->begun = reader->begun++;
	reader->under_way++;
	if (reader->by_ring)
		image_ring_put(&reader->ring, read->buffer, count * IMAGE_PAGE,
			       first * IMAGE_PAGE, read - reader->reads);
}

void reader_hurry(struct image_reader *reader, uint32_t page)
{
	uint32_t i;

	for (i = 0; i < READER_READS; i++) {
		struct image_read *read = &reader->reads[i];

		if (read->state != READ_FREE && page - read->first < read->count)
			read->urgent = true;
	}
}

int reader_go(struct image_reader *reader, bool wait)
{
	if (reader->broken)
		return reader->broken;
	return reader->by_ring ? image_ring_enter(&reader->ring, wait) : 0;
}

/* Take the results of the ring's reads. */
static void listen_to_ring(struct image_reader *reader)
{
	uint64_t number;
	int result;

	while (image_ring_take(&reader->ring, &number, &result)) {
		reader->reads[number].state = READ_ENDED;
		reader->reads[number].result = result;
	}
}

/* The read to go on with: urgent ones first, then the one that was begun first. */
static struct image_read *choose(struct image_reader *reader, bool urgent)
{
	struct image_read *best = NULL;
	uint32_t i;

	for (i = 0; i < READER_READS; i++) {
		struct image_read *read = &reader->reads[i];

		if (read->state != (reader->by_ring ? READ_ENDED : READ_BEGUN) ||
		    (urgent && !read->urgent))
			continue;
		if (!best || read->urgent > best->urgent ||
		    (read->urgent == best->urgent && read->begun < best->begun))
			best = read;
	}
	return best;
}

bool reader_has_ended(struct image_reader *reader)
{
	return reader->by_ring ?
	       image_ring_has_more(&reader->ring) ||
	       choose(reader, false) :
	       reader->under_way;
}

/*
 * A ring's read that was short, or failed, is done again with pread(2), which handles signals, the
 * end of the file, and a file system that cannot do direct reads after all.
 */
struct image_read *reader_take(struct image_reader *reader, bool urgent)
{
	struct image_read *read;

	if (reader->by_ring)
		listen_to_ring(reader);
	read = choose(reader, urgent);
	if (!read)
		return NULL;
	if (reader->by_ring && read->result == (int)(read->count * IMAGE_PAGE))
		read->good = image_check(reader->image, read->first, read->count,
					 read->buffer, &read->error);
	else
		read->good = image_read(reader->image, read->first, read->count,
					read->buffer, &read->error);
	return read;
}

void reader_drop(struct image_reader *reader, struct image_read *read)
{
	read->state = READ_FREE;
	reader->under_way--;
}

void reader_drain(struct image_reader *reader)
{
	uint32_t i;

	for (i = 0; i < READER_READS; i++) {
		struct image_read *read = &reader->reads[i];

		while (reader->by_ring && read->state == READ_BEGUN) {
			reader->broken = reader_go(reader, true);
			if (reader->broken)
				break;
			listen_to_ring(reader);
		}
		if (read->state != READ_FREE)
			reader_drop(reader, read);
	}
}

int reader_fd(const struct image_reader *reader)
{
	return image_ring_fd(&reader->ring);
}

void reader_close(struct image_reader *reader)
{
	image_ring_close(&reader->ring);
	if (reader->memory)
		munmap(reader->memory, MEMORY);
	reader->memory = NULL;
}
