// SPDX-License-Identifier: MIT
/*
 * The pager's side of a ring. The test plays the kernel, on a file in memory;
 * its counts begin just before they wrap around.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "kernel.h"
#include "sample.h"

#define ENTRIES	4U
#define BUFFERS	3U
#define PAGE	4096UL
#define SIZE	(6 * PAGE)	/* head, events, answers, buffers */

/* The kernel's part. */
static struct {
	int fd;
	int ret;		/* of KVM_GMEM_PAGER_RING */
	char *map;
	unsigned int entered;
} kernel;

static struct kvm_gmem_ring *head(void)
{
	return (void *)kernel.map;
}

static struct kvm_gmem_event *events(void)
{
	return (void *)(kernel.map + PAGE);
}

static struct kvm_gmem_answer *answers(void)
{
	return (void *)(kernel.map + 2 * PAGE);
}

int __wrap_gmem_ioctl(int fd, unsigned long request, const void *arg)
{
	struct kvm_gmem_pager_ring *layout = (void *)arg;

	assert_int_equal(fd, kernel.fd);
	if (request == KVM_GMEM_PAGER_ENTER) {
		assert_null(arg);
		kernel.entered++;
		return 0;
	}
	assert_int_equal(request, KVM_GMEM_PAGER_RING);
	if (kernel.ret)
		return kernel.ret;
	assert_int_equal(layout->entries, ENTRIES);
	assert_int_equal(layout->buffers, BUFFERS);
	assert_int_equal(layout->poll_ns, 1000);
	assert_int_equal(layout->flags, 0);
	layout->size = SIZE;
	layout->events = PAGE;
	layout->answers = 2 * PAGE;
	layout->content = 3 * PAGE;
	return 0;
}

static struct gmem_pager_ring ring;

static int ring_make(void **state)
{
	(void)state;
	kernel.fd = memfd_create("ring", MFD_CLOEXEC);
	kernel.ret = 0;
	kernel.entered = 0;
	if (ftruncate(kernel.fd, SIZE))
		return -1;
	kernel.map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  kernel.fd, 0);
	return gmem_pager_ring_open(kernel.fd, ENTRIES, BUFFERS, 1000, &ring);
}

static int ring_end(void **state)
{
	(void)state;
	gmem_pager_ring_close(&ring);
	gmem_pager_ring_close(&ring);
	munmap(kernel.map, SIZE);
	close(kernel.fd);
	return 0;
}

static void event_put(uint64_t offset)
{
	events()[head()->event_head % ENTRIES] = (struct kvm_gmem_event){
		.type = KVM_GMEM_EVENT_FAULT, .offset = offset,
	};
	__atomic_store_n(&head()->event_head, head()->event_head + 1,
			 __ATOMIC_RELEASE);
}

/* Many times round. */
static void events_come_in_order(void **state)
{
	struct kvm_gmem_event event;
	uint64_t put = 0, got = 0;
	int round, i;

	(void)state;
	assert_int_equal(gmem_pager_ring_next(&ring, &event), 0);
	for (round = 0; round < 100; round++) {
		for (i = 0; i <= round % (int)ENTRIES; i++)
			event_put(put++ * PAGE);
		while (gmem_pager_ring_next(&ring, &event))
			assert_int_equal(event.offset, got++ * PAGE);
		assert_int_equal(got, put);
		assert_int_equal(head()->event_tail, head()->event_head);
	}
}

static struct kvm_gmem_answer answer_of(uint64_t offset, const void *from)
{
	return (struct kvm_gmem_answer){
		.op = from ? KVM_GMEM_ANSWER_COPY : KVM_GMEM_ANSWER_ZERO,
		.offset = offset, .size = PAGE, .from = (uintptr_t)from,
	};
}

/* Carry out one answer. */
static void kernel_answers(int error)
{
	struct kvm_gmem_answer *answer;

	assert_int_not_equal(head()->answer_head, head()->answer_tail);
	answer = &answers()[head()->answer_tail % ENTRIES];
	answer->error = error;
	answer->done = error ? 0 : answer->size;
	__atomic_store_n(&head()->answer_tail, head()->answer_tail + 1,
			 __ATOMIC_RELEASE);
}

static void answers_go_round(void **state)
{
	struct kvm_gmem_answer put, got;
	int round;

	(void)state;
	for (round = 0; round < 50; round++) {
		char *buffer = gmem_pager_ring_buffer(&ring, round % BUFFERS);

		put = answer_of(round * PAGE, buffer);
		memset(buffer, round, PAGE);
		assert_int_equal(gmem_pager_ring_put(&ring, &put), 0);
		assert_int_equal(gmem_pager_ring_done(&ring, &got), 0);
		/* The kernel finds the content by its place in the ring. */
		assert_int_equal(answers()[round % ENTRIES].from,
				 (3 + round % BUFFERS) * PAGE);
		assert_int_equal(kernel.map[answers()[round % ENTRIES].from],
				 round);
		kernel_answers(round % 3 ? 0 : EEXIST);
		assert_int_equal(gmem_pager_ring_done(&ring, &got), 1);
		put.error = round % 3 ? 0 : EEXIST;
		put.done = round % 3 ? PAGE : 0;
		assert_memory_equal(&got, &put, sizeof(put));
	}
}

/* Full is what was not taken back, too: its entry would be lost. */
static void no_room(void **state)
{
	struct kvm_gmem_answer put = answer_of(0, NULL), got;
	unsigned int i;

	(void)state;
	for (i = 0; i < ENTRIES; i++)
		assert_int_equal(gmem_pager_ring_put(&ring, &put), 0);
	assert_int_equal(gmem_pager_ring_put(&ring, &put), -EAGAIN);
	kernel_answers(0);
	assert_int_equal(gmem_pager_ring_put(&ring, &put), -EAGAIN);
	assert_int_equal(gmem_pager_ring_done(&ring, &got), 1);
	assert_int_equal(got.from, 0);
	assert_int_equal(gmem_pager_ring_put(&ring, &put), 0);
	assert_int_equal(gmem_pager_ring_put(&ring, &put), -EAGAIN);
}

static void buffers_are_pages_of_it(void **state)
{
	char *first = gmem_pager_ring_buffer(&ring, 0);

	(void)state;
	assert_non_null(first);
	assert_ptr_equal(gmem_pager_ring_buffer(&ring, 2), first + 2 * PAGE);
	assert_null(gmem_pager_ring_buffer(&ring, BUFFERS));
	assert_null(gmem_pager_ring_buffer(&ring, ~0U));
	memset(first, 1, BUFFERS * PAGE);
}

static void entered_only_where_asked_for(void **state)
{
	(void)state;
	assert_int_equal(gmem_pager_ring_enter(&ring, 0), 0);
	assert_int_equal(kernel.entered, 0);
	head()->wake = KVM_GMEM_RING_WAKE;
	assert_int_equal(gmem_pager_ring_enter(&ring, 0), 0);
	assert_int_equal(kernel.entered, 1);
	head()->wake = KVM_GMEM_RING_MORE;
	assert_int_equal(gmem_pager_ring_enter(&ring, 0), 0);
	assert_int_equal(kernel.entered, 2);
	head()->wake = 0;
	assert_int_equal(gmem_pager_ring_enter(&ring, 1), 0);
	assert_int_equal(kernel.entered, 3);
}

/* Counts are modulo 2^32. */
static void counts_come_round(void **state)
{
	struct kvm_gmem_answer put = answer_of(0, NULL), got;
	struct kvm_gmem_event event;
	int i;

	(void)state;
	head()->event_head = -2U;
	ring.event_tail = -2U;
	head()->answer_head = -2U;
	head()->answer_tail = -2U;
	ring.answer_head = -2U;
	ring.answer_seen = -2U;
	assert_int_equal(gmem_pager_ring_next(&ring, &event), 0);
	for (i = 0; i < 4; i++)
		event_put(i);
	for (i = 0; i < 4; i++) {
		assert_int_equal(gmem_pager_ring_next(&ring, &event), 1);
		assert_int_equal(event.offset, i);
	}
	assert_int_equal(gmem_pager_ring_next(&ring, &event), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(gmem_pager_ring_put(&ring, &put), 0);
	assert_int_equal(gmem_pager_ring_put(&ring, &put), -EAGAIN);
	for (i = 0; i < 4; i++)
		kernel_answers(0);
	for (i = 0; i < 4; i++)
		assert_int_equal(gmem_pager_ring_done(&ring, &got), 1);
	assert_int_equal(gmem_pager_ring_done(&ring, &got), 0);
}

/* Another that has the pager may write there: nothing is believed that can't be. */
static void nonsense_in_the_ring(void **state)
{
	struct kvm_gmem_answer put = answer_of(0, NULL), got;
	struct kvm_gmem_event event;

	(void)state;
	head()->event_head = ENTRIES + 1;
	assert_int_equal(gmem_pager_ring_next(&ring, &event), -EPROTO);
	head()->event_head = -1U;
	assert_int_equal(gmem_pager_ring_next(&ring, &event), -EPROTO);
	assert_int_equal(gmem_pager_ring_put(&ring, &put), 0);
	head()->answer_tail = 2;
	assert_int_equal(gmem_pager_ring_done(&ring, &got), -EPROTO);
	head()->answer_tail = -1U;
	assert_int_equal(gmem_pager_ring_done(&ring, &got), -EPROTO);
}

static void rings_that_cannot_be(void **state)
{
	struct gmem_pager_ring none = { .pager = 5 };
	int fd;

	(void)state;
	kernel.fd = 7;
	kernel.ret = -EBUSY;
	assert_int_equal(gmem_pager_ring_open(7, ENTRIES, BUFFERS, 1000, &none),
			 -EBUSY);
	assert_null(none.map);
	assert_int_equal(none.pager, -1);
	gmem_pager_ring_close(&none);
	/* What cannot be mapped. */
	fd = open("/proc/self/status", O_RDONLY);
	kernel.fd = fd;
	kernel.ret = 0;
	assert_true(gmem_pager_ring_open(fd, ENTRIES, BUFFERS, 1000, &none) < 0);
	assert_null(none.map);
	close(fd);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, ring_make, ring_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_come_in_order),
		TEST(answers_go_round),
		TEST(no_room),
		TEST(buffers_are_pages_of_it),
		TEST(entered_only_where_asked_for),
		TEST(counts_come_round),
		TEST(nonsense_in_the_ring),
		cmocka_unit_test(rings_that_cannot_be),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
