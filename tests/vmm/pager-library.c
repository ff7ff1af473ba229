// SPDX-License-Identifier: MIT
/* The library's populating and paging, on the modules. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem.h>

#include "program.h"

#define PAGE	4096UL
#define PAGES	32UL
#define SIZE	(PAGES * PAGE)

static struct {
	int kvm, vm, view;
	char *memory;
} vm;

static char content[SIZE];

static int vm_make(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < SIZE; i++)
		content[i] = i / PAGE + 1;
	vm.kvm = gmem_kvm_open();
	vm.vm = gmem_vm_create(vm.kvm, KVM_X86_DEFAULT_VM);
	vm.view = gmem_memfd_create(vm.vm, SIZE, GUEST_MEMFD_FLAG_MMAP |
						 GUEST_MEMFD_FLAG_INIT_SHARED);
	vm.memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vm.view, 0);
	return vm.memory == MAP_FAILED ? -1 : 0;
}

/* May be called twice. */
static int vm_close(void **state)
{
	(void)state;
	if (vm.memory)
		munmap(vm.memory, SIZE);
	vm.memory = NULL;
	close(vm.view);
	close(vm.vm);
	close(vm.kvm);
	vm.view = -1;
	vm.vm = -1;
	vm.kvm = -1;
	return 0;
}

static void assert_range(const struct kvm_gmem_present_range *range,
			 uint64_t first, uint64_t pages)
{
	assert_int_equal(range->offset, first * PAGE);
	assert_int_equal(range->size, pages * PAGE);
}

static void filling(void **state)
{
	struct kvm_gmem_present_range ranges[8];
	uint64_t offset = 0, size = SIZE;
	int filler = gmem_create_filler(vm.view);

	(void)state;
	assert_true(filler >= 0);
	assert_int_equal(fcntl(filler, F_GETFD), FD_CLOEXEC);
	assert_int_equal(gmem_populate(filler, 2 * PAGE, content, 3 * PAGE),
			 3 * PAGE);
	assert_int_equal(gmem_populate(vm.view, 8 * PAGE, NULL, PAGE), PAGE);
	assert_memory_equal(vm.memory + 2 * PAGE, content, 3 * PAGE);
	/* Up to what is there already, and from there the reason. */
	assert_int_equal(gmem_populate(filler, 6 * PAGE, content, 4 * PAGE),
			 2 * PAGE);
	assert_int_equal(gmem_populate(filler, 8 * PAGE, content, 2 * PAGE),
			 -EEXIST);
	assert_int_equal(gmem_populate(filler, SIZE, content, PAGE), -EINVAL);
	assert_int_equal(gmem_populate(filler, 1, content, PAGE), -EINVAL);
	assert_int_equal(gmem_populate(filler, 9 * PAGE, (void *)PAGE, PAGE),
			 -EFAULT);
	assert_int_equal(gmem_create_filler(filler), -ENOTTY);

	assert_int_equal(gmem_present(vm.view, &offset, &size, ranges, 1), 1);
	assert_range(&ranges[0], 2, 3);
	assert_int_equal(gmem_present(vm.view, &offset, &size, ranges, 8), 1);
	assert_range(&ranges[0], 6, 3);
	assert_int_equal(size, 0);
	assert_int_equal(gmem_present(vm.view, &offset, &size, ranges, 8), 0);
	offset = 0;
	size = 2 * SIZE;
	assert_int_equal(gmem_present(vm.view, &offset, &size, ranges, 8),
			 -EINVAL);
	vm_close(NULL);
	assert_int_equal(gmem_populate(filler, 0, content, PAGE), -EPIPE);
	close(filler);
}

static void *touch(void *page)
{
	return (void *)(long)*(volatile char *)page;
}

/* A thread of the host that needs a page. */
static pthread_t needs(uint64_t page)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, touch,
					vm.memory + page * PAGE), 0);
	return thread;
}

static void got(pthread_t thread, long value)
{
	void *found;

	assert_int_equal(pthread_join(thread, &found), 0);
	assert_int_equal((long)found, value);
}

static struct kvm_gmem_answer copy(uint64_t page, uint64_t pages)
{
	return (struct kvm_gmem_answer){
		.op = KVM_GMEM_ANSWER_COPY, .offset = page * PAGE,
		.size = pages * PAGE, .from = (uintptr_t)content + page * PAGE,
	};
}

static void paging(void **state)
{
	struct kvm_gmem_answer answers[3];
	struct kvm_gmem_event events[4];
	uint64_t missing = 0;
	pthread_t thread;
	int pager, next;

	(void)state;
	assert_int_equal(gmem_pager_takeover(vm.view, 1ULL << 40), -EINVAL);
	assert_int_equal(gmem_pager_create(vm.view, 0, 2 * SIZE, 0), -EINVAL);
	pager = gmem_pager_create(vm.view, 0, SIZE, 0);
	assert_true(pager >= 0);
	assert_int_equal(gmem_pager_create(vm.view, 0, SIZE, 0), -EBUSY);
	assert_int_equal(gmem_pager_takeover(vm.view, 0), -EBUSY);
	assert_int_equal(fcntl(pager, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(gmem_pager_read(pager, events, 4), -EAGAIN);
	assert_int_equal(fcntl(pager, F_SETFL, 0), 0);

	thread = needs(7);
	assert_int_equal(gmem_pager_read(pager, events, 4), 1);
	assert_int_equal(events[0].type, KVM_GMEM_EVENT_FAULT);
	assert_int_equal(events[0].offset, 7 * PAGE);
	/* It dies: the next one is asked again. */
	close(pager);
	assert_int_equal(gmem_pager_create(vm.view, 0, SIZE, 0), -EBUSY);
	next = gmem_pager_takeover(vm.view, 0);
	assert_true(next >= 0);
	assert_int_equal(gmem_pager_read(next, events, 4), 1);
	assert_int_equal(events[0].offset, 7 * PAGE);

	/* A batch, of which the second stops at a page that is there. */
	answers[0] = copy(7, 1);
	answers[1] = copy(5, 4);
	answers[2] = copy(20, 1);
	assert_int_equal(gmem_pager_answer(next, answers, 3), 1);
	got(thread, 8);
	assert_int_equal(answers[1].error, EEXIST);
	assert_int_equal(answers[1].done, 2 * PAGE);
	assert_int_equal(gmem_pager_answer(next, answers + 1, 1), -EEXIST);
	assert_int_equal(gmem_pager_answer(next, answers + 2, 1), 1);
	assert_int_equal(gmem_pager_answer(next, answers, 0), -EINVAL);

	assert_int_equal(gmem_pager_detach(next, 0, &missing), -EBUSY);
	assert_int_equal(missing, PAGES - 4);
	answers[0] = copy(0, 5);
	answers[1] = copy(8, 12);
	answers[2] = copy(21, 11);
	assert_int_equal(gmem_pager_answer(next, answers, 3), 3);
	assert_int_equal(gmem_pager_detach(next, 0, &missing), 0);
	assert_int_equal(missing, 0);
	assert_memory_equal(vm.memory, content, SIZE);
	vm_close(NULL);
	assert_int_equal(gmem_pager_read(next, events, 4), -EPIPE);
	assert_int_equal(gmem_pager_detach(next, 0, NULL), -EPIPE);
	close(next);
}

/* Wait until the ring has an event. */
static struct kvm_gmem_event ring_event(struct gmem_pager_ring *ring)
{
	struct pollfd wait = { .fd = ring->pager, .events = POLLIN };
	struct kvm_gmem_event event;

	assert_int_equal(poll(&wait, 1, 60000), 1);
	assert_int_equal(gmem_pager_ring_next(ring, &event), 1);
	return event;
}

/* Content in the ring's page @buffer; it is the number of its page, as above. */
static void ring_copy(struct gmem_pager_ring *ring, uint64_t page,
		      uint32_t buffer)
{
	struct kvm_gmem_answer answer = copy(page, 1);
	char *at = gmem_pager_ring_buffer(ring, buffer);

	memcpy(at, content + page * PAGE, PAGE);
	answer.from = (uintptr_t)at;
	assert_int_equal(gmem_pager_ring_put(ring, &answer), 0);
}

static void paging_by_a_ring(void **state)
{
	int pager = gmem_pager_create(vm.view, 0, SIZE, 0);
	struct kvm_gmem_answer answer;
	struct gmem_pager_ring ring, none;
	pthread_t threads[4];
	unsigned int i;

	(void)state;
	assert_int_equal(gmem_pager_ring_open(pager, 3, 4, 0, &ring), -EINVAL);
	assert_int_equal(gmem_pager_ring_open(vm.view, 4, 4, 0, &ring), -ENOTTY);
	assert_int_equal(gmem_pager_ring_open(pager, 2, 4, 1000, &ring), 0);
	assert_int_equal(gmem_pager_ring_open(pager, 2, 4, 1000, &none), -EBUSY);

	/* Twice as many as it has room for. */
	for (i = 0; i < 4; i++)
		threads[i] = needs(3 * i);
	for (i = 0; i < 4; i++) {
		uint64_t page = ring_event(&ring).offset / PAGE;

		ring_copy(&ring, page, i);
		assert_true(gmem_pager_ring_enter(&ring, 1) >= 0);
		assert_int_equal(gmem_pager_ring_done(&ring, &answer), 1);
		assert_int_equal(answer.offset, page * PAGE);
		assert_int_equal(answer.error, 0);
		assert_int_equal(answer.done, PAGE);
		assert_ptr_equal((void *)(uintptr_t)answer.from,
				 gmem_pager_ring_buffer(&ring, i));
	}
	for (i = 0; i < 4; i++)
		got(threads[i], 3 * i + 1);

	/* Nobody has asked: nobody looks, until it is entered. */
	ring_copy(&ring, 30, 0);
	assert_int_equal(gmem_pager_ring_enter(&ring, 0), 0);
	assert_int_equal(gmem_pager_ring_done(&ring, &answer), 0);
	ring_copy(&ring, 3, 1);
	assert_int_equal(gmem_pager_ring_put(&ring, &answer), -EAGAIN);
	assert_int_equal(gmem_pager_ring_enter(&ring, 1), 2);
	assert_int_equal(gmem_pager_ring_done(&ring, &answer), 1);
	assert_int_equal(answer.error, 0);
	assert_int_equal(gmem_pager_ring_done(&ring, &answer), 1);
	assert_int_equal(answer.error, EEXIST);
	assert_int_equal(gmem_pager_ring_done(&ring, &answer), 0);
	assert_int_equal(vm.memory[30 * PAGE], 31);

	/* Somebody sleeps for it: then it is entered without being told. */
	threads[0] = needs(31);
	assert_int_equal(ring_event(&ring).offset, 31 * PAGE);
	while (!ring.map->wake)
		usleep(1000);
	ring_copy(&ring, 31, 2);
	assert_true(gmem_pager_ring_enter(&ring, 0) >= 0);
	got(threads[0], 32);
	gmem_pager_ring_close(&ring);
	close(pager);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, vm_make, vm_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(filling),
		TEST(paging),
		TEST(paging_by_a_ring),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
