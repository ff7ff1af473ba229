// SPDX-License-Identifier: GPL-2.0-only
/* What tests of the pager share: see paging.h. */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "claims.h"
#include "paging.h"

void require_pager(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER,
		       "these modules have no pager");
}

int __pager(int view, uint64_t first, uint64_t n, uint64_t flags)
{
	struct kvm_gmem_create_pager args = {
		.flags = flags, .offset = first * PAGE_SIZE, .size = n * PAGE_SIZE,
	};

	return ioctl(view, KVM_GMEM_CREATE_PAGER, &args);
}

int pager_of(struct machine *m)
{
	int pager = __pager(m->view, 0, m->npages, 0);

	TEST_ASSERT(pager >= 0, "KVM_GMEM_CREATE_PAGER: errno %d", errno);
	return pager;
}

bool has_event(int pager, int ms)
{
	struct pollfd fd = { .fd = pager, .events = POLLIN };

	return poll(&fd, 1, ms) == 1 && (fd.revents & POLLIN);
}

struct kvm_gmem_event next_event(int pager)
{
	struct kvm_gmem_event event;

	TEST_ASSERT(has_event(pager, claim_patience() * 1000), "no event");
	TEST_ASSERT(read(pager, &event, sizeof(event)) == sizeof(event), "read: errno %d", errno);
	return event;
}

void expect_event(int pager, uint32_t type, uint64_t page, uint64_t n)
{
	struct kvm_gmem_event event = next_event(pager);

	TEST_ASSERT(event.type == type && event.offset == page * PAGE_SIZE &&
		    event.size == n * PAGE_SIZE,
		    "event of type %u at %#llx, %#llx bytes; not %u at page %lu, %lu pages",
		    event.type, event.offset, event.size, type, page, n);
}

int answer(int pager, uint32_t op, uint64_t page, uint64_t n, const void *from)
{
	struct kvm_gmem_answer one = {
		.op = op, .offset = page * PAGE_SIZE, .size = n * PAGE_SIZE, .from = (uint64_t)from,
	};
	struct kvm_gmem_pager_answer args = { .answers = (uint64_t)&one, .nr = 1 };
	int ret = ioctl(pager, KVM_GMEM_PAGER_ANSWER, &args);

	TEST_ASSERT(ret == 1 ? !one.error && one.done == one.size :
			       ret == -1 && one.error == errno,
		    "answered %d, errno %d, error %d, %llu bytes", ret, errno, one.error, one.done);
	return one.error;
}

void *content(uint64_t pattern, uint64_t page, uint64_t n)
{
	static uint64_t words[PAGING_PAGES * PAGE_SIZE / 8];

	for (uint64_t i = 0; i < n * PAGE_SIZE / 8; i++)
		words[i] = pattern_word(pattern, page + i / 512, i % 512);
	return words;
}

void copy(int pager, uint64_t pattern, uint64_t page, uint64_t n)
{
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, page, n, content(pattern, page, n)), 0);
}

static void *touch_thread(void *arg)
{
	struct touch *touch = arg;

	touch->err = guest_try_expect(touch->m, touch->page, touch->pattern);
	touch->done = true;
	return NULL;
}

void touch_start(struct touch *touch)
{
	TEST_ASSERT(!pthread_create(&touch->thread, NULL, touch_thread, touch), "thread");
}

void touch_end(struct touch *touch, int err)
{
	pthread_join(touch->thread, NULL);
	TEST_ASSERT(touch->err == err, "KVM_RUN: errno %d, not %d", touch->err, err);
}

static void *host_touch_thread(void *arg)
{
	struct host_touch *touch = arg;

	touch->found = *touch->at;
	touch->done = true;
	return NULL;
}

void host_touch_start(struct host_touch *touch, int view, uint64_t page)
{
	uint64_t *memory = mmap(NULL, PAGING_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				MAP_SHARED, view, 0);

	TEST_ASSERT(memory != MAP_FAILED, "mmap: errno %d", errno);
	touch->at = memory + page * PAGE_SIZE / sizeof(memory[0]);
	TEST_ASSERT(!pthread_create(&touch->thread, NULL, host_touch_thread, touch), "thread");
}

uint64_t host_touch_end(struct host_touch *touch)
{
	pthread_join(touch->thread, NULL);
	return touch->found;
}

void guest_look(uint64_t page)
{
	GUEST_RETURN(*(volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE));
}

int detach(int pager, uint64_t flags, uint64_t *missing)
{
	struct kvm_gmem_pager_detach args = { .flags = flags };
	int ret = ioctl(pager, KVM_GMEM_PAGER_DETACH, &args);

	*missing = args.missing;
	return ret;
}
