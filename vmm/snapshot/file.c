// SPDX-License-Identifier: MIT
/* A snapshot's file `state`: a header with a checksum, and a SNAPSHOT message. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/write-all.h"
#include "image/crc32c.h"
#include "snapshot/snapshot.h"

#define MAGIC	"gmemsnap"
#define VERSION	2

struct header {
	char magic[8];
	uint32_t version;
	uint32_t sum;		/* CRC32C of this with 0 here, and of the message */
	uint64_t length;	/* of the message */
};

_Static_assert(sizeof(struct header) == 24, "layout of the file");

static uint32_t sum_of(struct header header, const void *message)
{
	header.sum = 0;
	return crc32c(crc32c(0, &header, sizeof(header)), message, header.length);
}

int snapshot_write_state(int fd, const void *message, size_t length)
{
	struct header header = {
		.magic = MAGIC, .version = VERSION, .length = length,
	};
	int ret;

	header.sum = sum_of(header, message);
	ret = write_all(fd, &header, sizeof(header));
	if (!ret)
		ret = write_all(fd, message, length);
	if (!ret && fsync(fd))
		ret = -errno;
	return ret;
}

/* Reads exactly so many bytes; -EBADMSG if there are fewer. */
static int read_all(int fd, void *bytes, size_t size)
{
	while (size) {
		ssize_t got = read(fd, bytes, size);

		if (!got)
			return -EBADMSG;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			bytes = (char *)bytes + got;
			size -= got;
		}
	}
	return 0;
}

/* The file may have become shorter since its size was read. */
static int read_header(int fd, uint64_t size, struct header *header)
{
	int ret = read_all(fd, header, sizeof(*header));

	if (ret)
		return ret;
	if (memcmp(header->magic, MAGIC, sizeof(header->magic)))
		return -EBADMSG;
	if (header->version != VERSION)
		return -EPROTONOSUPPORT;
	return header->length != size - sizeof(*header) || header->length > GMEM_MAX_MESSAGE ?
	       -EBADMSG : 0;
}

static int read_file(int fd, uint64_t size, struct gmem_message *message)
{
	struct header header;
	void *bytes;
	int ret = read_header(fd, size, &header);

	if (ret)
		return ret;
	bytes = malloc(header.length + 1);
	if (!bytes)
		return -ENOMEM;
	ret = read_all(fd, bytes, header.length);
	if (!ret && sum_of(header, bytes) != header.sum)
		ret = -EBADMSG;
	if (!ret)
		ret = gmem_message_decode(message, bytes, header.length);
	free(bytes);
	return ret;
}

/* A descriptor and its size. */
static int open_state(int dir, uint64_t *size)
{
	/* O_NONBLOCK: do not wait for a FIFO in its place. */
	int fd = openat(dir, "state", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;
	int ret;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		ret = -errno;
	else if (S_ISREG(st.st_mode) && !st.st_size)
		ret = -ENODATA;
	else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct header))
		ret = -EBADMSG;
	else
		ret = 0;
	*size = ret ? 0 : st.st_size;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int snapshot_check_kept(int dir)
{
	struct header header;
	struct stat memory;
	uint64_t size;
	int fd = open_state(dir, &size), ret;

	if (fd < 0)
		return fd;
	ret = read_header(fd, size, &header);
	close(fd);
	if (ret)
		return ret;
	if (fstatat(dir, "memory", &memory, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return S_ISREG(memory.st_mode) && memory.st_size && !(memory.st_size % 4096) ? 0 : -EBADMSG;
}

int snapshot_read_state(int dir, struct gmem_message *message)
{
	uint64_t size;
	int fd = open_state(dir, &size), ret;

	*message = (struct gmem_message){ 0 };
	if (fd < 0)
		return fd;
	ret = read_file(fd, size, message);
	close(fd);
	return ret;
}
