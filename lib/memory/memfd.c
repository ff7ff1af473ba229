// SPDX-License-Identifier: MIT
/* Guest memory inodes and their views. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gmem.h>

#include "kvm/ioctl.h"
#include "memory/fdinfo.h"

/* KVM's own ioctl makes a descriptor that survives exec; all others do not. */
int gmem_memfd_create(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd create = { .size = size, .flags = flags };
	int fd = gmem_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
	int err;

	if (fd < 0 || !fcntl(fd, F_SETFD, FD_CLOEXEC))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int gmem_memfd_link(int vm, int memfd)
{
	struct kvm_link_guest_memfd link = { .fd = memfd };

	/* Otherwise sign extension would hand the kernel a bogus descriptor. */
	if (memfd < 0)
		return -EINVAL;
	return gmem_ioctl(vm, KVM_LINK_GUEST_MEMFD, &link);
}

int gmem_punch(int view, uint64_t offset, uint64_t size)
{
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EINVAL;
	return fallocate(view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) ?
	       -errno : 0;
}

static const struct {
	const char *key;
	size_t offset;
	int base;
} fact_lines[] = {
	{ "gmem-ino:", offsetof(struct gmem_facts, ino), 10 },
	{ "gmem-size:", offsetof(struct gmem_facts, size), 10 },
	{ "gmem-flags:", offsetof(struct gmem_facts, flags), 16 },
	{ "gmem-resident:", offsetof(struct gmem_facts, resident), 10 },
	{ "gmem-allocated:", offsetof(struct gmem_facts, allocated), 10 },
	{ "gmem-freed:", offsetof(struct gmem_facts, freed), 10 },
	{ "gmem-views:", offsetof(struct gmem_facts, views), 10 },
	{ "gmem-bindings:", offsetof(struct gmem_facts, bindings), 10 },
};

#define NR_FACTS (sizeof(fact_lines) / sizeof(fact_lines[0]))

static const char *line_after(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (text && strncmp(text, key, length)) {
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return text ? text + length : NULL;
}

/* All lines must be there: a file that has only some of them is not a view. */
static int parse_facts(const char *text, struct gmem_facts *facts)
{
	struct gmem_facts found = { 0 };
	size_t i;

	for (i = 0; i < NR_FACTS; i++) {
		const char *value = line_after(text, fact_lines[i].key);
		char *end;
		uint64_t number;

		if (!value)
			return -EBADF;
		errno = 0;
		number = strtoull(value, &end, fact_lines[i].base);
		if (errno || end == value)
			return -EBADF;
		memcpy((char *)&found + fact_lines[i].offset, &number,
		       sizeof(number));
	}
	*facts = found;
	return 0;
}

static int open_info(const char *process, int fd)
{
	char path[64];
	int info;

	if (fd < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%d", process, fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return errno == ENOENT ? -EBADF : -errno;
	return info;
}

int gmem_memfd_facts_open(int fd)
{
	return open_info("self", fd);
}

int gmem_memfd_facts_read(int info, struct gmem_facts *facts)
{
	char text[4096];
	int ret = gmem_fdinfo_read(info, text, sizeof(text));

	return ret ? ret : parse_facts(text, facts);
}

int gmem_memfd_facts(pid_t pid, int fd, struct gmem_facts *facts)
{
	char process[16] = "self", path[32];
	int info, ret;

	if (fd < 0 || pid < 0)
		return -EBADF;
	if (pid) {
		snprintf(process, sizeof(process), "%d", (int)pid);
		snprintf(path, sizeof(path), "/proc/%s", process);
		if (access(path, F_OK))
			return -ESRCH;
	}
	info = open_info(process, fd);
	if (info < 0)
		return info;
	ret = gmem_memfd_facts_read(info, facts);
	close(info);
	return ret;
}
