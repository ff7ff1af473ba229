// SPDX-License-Identifier: MIT
/*
 * The state page. Its layout is part of the protocol: little-endian numbers at fixed places,
 * independent of the compiler. The epoch is an aligned word of 64 bits: its lowest byte is the
 * state, the others are the number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmem.h>

#include "protocol/bytes.h"

#define MAGIC		0x6574617473676d67ULL	/* "gmgstate" */
#define VERSION_NOW	1
#define HEADER		64U
#define MOST_ROOM	(16U << 20)

enum { AT_MAGIC = 0, AT_VERSION = 8, AT_HEADER = 12, AT_EPOCH = 16, AT_SIZE = 24,
	AT_USED = 32, AT_CHECKSUM = 40 };

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the epoch is swapped as it stands");

static uint8_t *at(const struct gmem_page *page, size_t offset)
{
	return (uint8_t *)page->base + offset;
}

static uint64_t *word_of(const struct gmem_page *page)
{
	return (uint64_t *)at(page, AT_EPOCH);
}

static uint64_t to_word(struct gmem_epoch epoch)
{
	return epoch.number << 8 | epoch.state;
}

static int is_state(uint64_t state)
{
	return state >= GMEM_EPOCH_RUNNING && state <= GMEM_EPOCH_MOVED;
}

static int map(struct gmem_page *page, int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	*page = (struct gmem_page){ .fd = fd, .base = base, .size = size };
	return 0;
}

int gmem_page_create(struct gmem_page *page, size_t room, uint64_t flags)
{
	const struct gmem_epoch first = { 1, GMEM_EPOCH_RUNNING };
	const size_t unit = sysconf(_SC_PAGESIZE);
	size_t size;
	int fd, ret;

	*page = (struct gmem_page)GMEM_PAGE_NONE;
	if (flags || room > MOST_ROOM)
		return -EINVAL;
	size = (HEADER + room + unit - 1) / unit * unit;
	fd = memfd_create("gmem-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	ret = ftruncate(fd, size) ||
	      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ?
	      -errno : map(page, fd, size);
	if (ret) {
		close(fd);
		return ret;
	}
	put64(at(page, AT_MAGIC), MAGIC);
	put32(at(page, AT_VERSION), VERSION_NOW);
	put32(at(page, AT_HEADER), HEADER);
	put64(at(page, AT_SIZE), size);
	__atomic_store_n(word_of(page), to_word(first), __ATOMIC_SEQ_CST);
	return 0;
}

static int check(const struct gmem_page *page)
{
	if (get64(at(page, AT_MAGIC)) != MAGIC)
		return -EBADMSG;
	if (get32(at(page, AT_VERSION)) != VERSION_NOW)
		return -EPROTONOSUPPORT;
	return get32(at(page, AT_HEADER)) == HEADER && get64(at(page, AT_SIZE)) == page->size ?
	       0 : -EBADMSG;
}

int gmem_page_map(struct gmem_page *page, int fd, uint64_t flags)
{
	int seals = fcntl(fd, F_GET_SEALS), ret;
	struct stat st;

	*page = (struct gmem_page)GMEM_PAGE_NONE;
	if (flags)
		return -EINVAL;
	/* A file that can shrink causes a SIGBUS in its reader. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st))
		return -EBADF;
	if (st.st_size < (off_t)HEADER || st.st_size > (off_t)(2 * MOST_ROOM))
		return -EBADMSG;
	ret = map(page, fd, st.st_size);
	if (ret)
		return ret;
	ret = check(page);
	if (ret) {
		page->fd = -1;
		gmem_page_close(page);
	}
	return ret;
}

void gmem_page_close(struct gmem_page *page)
{
	if (page->base)
		munmap(page->base, page->size);
	if (page->fd >= 0)
		close(page->fd);
	*page = (struct gmem_page)GMEM_PAGE_NONE;
}

static int walk(const void *sections, size_t size)
{
	struct gmem_section section;
	size_t from = 0;
	int ret;

	do {
		ret = gmem_section_next(sections, size, &from, &section);
	} while (ret > 0);
	return ret;
}

int gmem_page_store(struct gmem_page *page, const void *sections, size_t size)
{
	if (walk(sections, size))
		return -EINVAL;
	if (size > page->size - HEADER)
		return -ENOSPC;
	memcpy(at(page, HEADER), sections, size);
	put64(at(page, AT_USED), size);
	put32(at(page, AT_CHECKSUM), gmem_checksum(0, sections, size));
	return 0;
}

/* The other side can write there at any time, so check the copy. */
int gmem_page_load(const struct gmem_page *page, void **sections, size_t *size)
{
	uint64_t used = get64(at(page, AT_USED));
	void *copy;
	int ret;

	if (used > page->size - HEADER)
		return -EBADMSG;
	copy = malloc(used + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, at(page, HEADER), used);
	ret = gmem_checksum(0, copy, used) == get32(at(page, AT_CHECKSUM)) ? walk(copy, used) :
	      -EBADMSG;
	if (ret) {
		free(copy);
		return ret;
	}
	*sections = copy;
	*size = used;
	return 0;
}

int gmem_page_epoch(const struct gmem_page *page, struct gmem_epoch *epoch)
{
	uint64_t word = __atomic_load_n(word_of(page), __ATOMIC_SEQ_CST);

	if (!is_state(word & 0xff))
		return -EBADMSG;
	*epoch = (struct gmem_epoch){ .number = word >> 8, .state = word & 0xff };
	return 0;
}

int gmem_page_swap(struct gmem_page *page, struct gmem_epoch from, struct gmem_epoch to)
{
	uint64_t expected = to_word(from);

	if (!is_state(to.state) || to.number > UINT64_MAX >> 8)
		return -EINVAL;
	return __atomic_compare_exchange_n(word_of(page), &expected, to_word(to), 0,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ? 0 : -EBUSY;
}
