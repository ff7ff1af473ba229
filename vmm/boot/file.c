// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/file.h"

static int map(struct file *file, struct machine *machine, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return machine_fail(machine, -errno, "%s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return machine_fail(machine, -EINVAL, "%s: not a regular file", file->path);
	if (!st.st_size)
		return machine_fail(machine, -EINVAL, "%s: the file is empty", file->path);
	file->bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file->bytes == MAP_FAILED)
		return machine_fail(machine, -errno, "%s: %s", file->path, strerror(errno));
	file->size = st.st_size;
	return 0;
}

int file_map(struct file *file, struct machine *machine, const char *path)
{
	/* O_NONBLOCK: nobody waits for a writer of a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret;

	*file = (struct file){ .path = path };
	if (fd < 0)
		return machine_fail(machine, -errno, "%s: %s", path, strerror(errno));
	ret = map(file, machine, fd);
	close(fd);
	return ret;
}

void file_unmap(struct file *file)
{
	if (file->size)
		munmap(file->bytes, file->size);
	file->size = 0;
}
