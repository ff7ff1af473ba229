// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that comes late: see blocked_page.h.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blocked_page.h"

#define PAGE 4096

void blocked_page_init(struct blocked_page *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	s->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->page == MAP_FAILED)
		err(1, "mmap");
	s->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (s->uffd < 0)
		err(1, "userfaultfd");
	range.range.start = (unsigned long)s->page;
	range.range.len = PAGE;
	if (ioctl(s->uffd, UFFDIO_API, &api) || ioctl(s->uffd, UFFDIO_REGISTER, &range))
		err(1, "set userfaultfd up");
}

void blocked_page_wait(struct blocked_page *s)
{
	struct uffd_msg message;

	if (read(s->uffd, &message, sizeof(message)) != sizeof(message))
		err(1, "read userfaultfd");
}

void blocked_page_let_go(struct blocked_page *s, const void *content, size_t size)
{
	unsigned char page[PAGE] = { 0 };
	struct uffdio_copy copy = {
		.dst = (unsigned long)s->page,
		.src = (unsigned long)page,
		.len = PAGE,
	};

	if (content)
		memcpy(page, content, size);
	if (ioctl(s->uffd, UFFDIO_COPY, &copy))
		err(1, "UFFDIO_COPY");
	close(s->uffd);
}
