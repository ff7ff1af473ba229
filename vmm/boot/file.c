// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/file.h"

/*
 * Make a copy: the file may be changed or truncated meanwhile, and we must use the bytes that we
 * have checked.
 */
static int read_all(struct file *file, struct machine *machine, int fd, uint64_t size)
{
	uint64_t done = 0;
	ssize_t got;

	file->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (file->bytes == MAP_FAILED)
		return machine_fail(machine, -errno, "%s: %s", file->path, strerror(errno));
	file->size = size;
	while (done < size) {
		got = pread(fd, (char *)file->bytes + done, size - done, done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return machine_fail(machine, -errno, "%s: %s", file->path,
					    strerror(errno));
		if (!got)
			return machine_fail(machine, -ENODATA, "%s: it became shorter",
					    file->path);
		done += got;
	}
	return 0;
}

static int map(struct file *file, struct machine *machine, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return machine_fail(machine, -errno, "%s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return machine_fail(machine, -EINVAL, "%s: not a regular file", file->path);
	if (!st.st_size)
		return machine_fail(machine, -EINVAL, "%s: the file is empty", file->path);
	return read_all(file, machine, fd, st.st_size);
}

int file_read(struct file *file, struct machine *machine, const char *path)
{
	/* O_NONBLOCK: do not wait for the writer of a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret;

	*file = (struct file){ .path = path };
	if (fd < 0)
		return machine_fail(machine, -errno, "%s: %s", path, strerror(errno));
	ret = map(file, machine, fd);
	close(fd);
	return ret;
}

void file_free(struct file *file)
{
	if (file->size)
		munmap(file->bytes, file->size);
	file->size = 0;
}
