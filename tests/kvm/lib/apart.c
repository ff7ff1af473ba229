// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two pages that are never there at once: see apart.h.
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apart.h"
#include "test_util.h"

#define PAGE 4096UL

static void *serve(void *arg)
{
	struct apart *a = arg;
	struct uffd_msg message;

	while (read(a->uffd, &message, sizeof(message)) == sizeof(message)) {
		unsigned long at = message.arg.pagefault.address & -PAGE;
		unsigned long first = (unsigned long)a->pages;
		struct uffdio_copy copy = {
			.dst = at,
			.src = (unsigned long)a->content + at - first,
			.len = PAGE,
		};

		if (++a->touches <= a->patience)
			TEST_ASSERT(!madvise(a->pages + (at == first ? PAGE : 0), PAGE,
					     MADV_DONTNEED), "MADV_DONTNEED: errno %d", errno);
		TEST_ASSERT(!ioctl(a->uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY: errno %d", errno);
	}
	return NULL;
}

void apart_begin(struct apart *a, const void *content, unsigned long patience)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	a->content = content;
	a->touches = 0;
	a->patience = patience;
	a->pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	TEST_ASSERT(a->pages != MAP_FAILED, "mmap: errno %d", errno);
	a->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(a->uffd >= 0, "userfaultfd: errno %d", errno);
	reg.range.start = (unsigned long)a->pages;
	reg.range.len = 2 * PAGE;
	TEST_ASSERT(!ioctl(a->uffd, UFFDIO_API, &api) && !ioctl(a->uffd, UFFDIO_REGISTER, &reg),
		    "set userfaultfd up: errno %d", errno);
	TEST_ASSERT(!pthread_create(&a->thread, NULL, serve, a), "pthread_create");
}
