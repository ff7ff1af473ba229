// SPDX-License-Identifier: MIT
/*
 * How an answer in the pager's ring is handled that could not be carried out. The ring is the
 * kernel's, but this test replaces an answer's result by an error.
 */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/say.h"
#include "pager/serving.h"
#include "paging.h"

#define SIZE		(IMAGE_PAGES * PAGE)
#define WANTED		7	/* the page that is asked for */
#define SECOND		1000000000ULL

/*
 * So many answers do not reach the kernel, and come back as @change has them: one in the
 * ring, and whatever goes by system calls.
 */
static struct {
	unsigned int left;
	bool held;
	struct kvm_gmem_answer answer;
	struct kvm_gmem_answer change;
} spoilt;

static uint64_t later;	/* ns that have passed without waiting */

typeof(now_ns) __real_now_ns;

uint64_t __wrap_now_ns(void)
{
	return __real_now_ns() + later;
}

typeof(gmem_pager_ring_put) __real_gmem_pager_ring_put;

int __wrap_gmem_pager_ring_put(struct gmem_pager_ring *ring,
			       const struct kvm_gmem_answer *answer)
{
	if (!spoilt.left)
		return __real_gmem_pager_ring_put(ring, answer);
	assert_false(spoilt.held);
	spoilt.left--;
	spoilt.held = true;
	spoilt.answer = *answer;
	return 0;
}

typeof(gmem_pager_ring_done) __real_gmem_pager_ring_done;

int __wrap_gmem_pager_ring_done(struct gmem_pager_ring *ring,
				struct kvm_gmem_answer *answer)
{
	if (!spoilt.held)
		return __real_gmem_pager_ring_done(ring, answer);
	spoilt.held = false;
	*answer = spoilt.answer;
	answer->error = spoilt.change.error;
	answer->done = spoilt.change.done;
	answer->offset += spoilt.change.offset;
	return 1;
}

typeof(gmem_pager_answer) __real_gmem_pager_answer;

int __wrap_gmem_pager_answer(int pager, struct kvm_gmem_answer *answers, unsigned int count)
{
	if (!spoilt.left)
		return __real_gmem_pager_answer(pager, answers, count);
	spoilt.left--;
	answers->done = 0;
	return -spoilt.change.error;
}

static struct {
	struct image image;
	struct image_reader reader;
	struct working_set set;
	struct serving serving;
	int kvm, vm, view;
	const volatile char *memory;
	pthread_t thread;
	bool touched;
} t;

static void *touch(void *unused)
{
	(void)unused;
	(void)t.memory[WANTED * PAGE];
	__atomic_store_n(&t.touched, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_touched(void)
{
	return __atomic_load_n(&t.touched, __ATOMIC_ACQUIRE);
}

static int begin(void **state)
{
	const char *why;

	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&spoilt, 0, sizeof(spoilt));
	later = 0;
	image_make(IMAGE_MIB);
	t.kvm = gmem_kvm_open();
	t.vm = gmem_vm_create(t.kvm, KVM_X86_DEFAULT_VM);
	t.view = gmem_memfd_create(t.vm, SIZE, GUEST_MEMFD_FLAG_MMAP |
					       GUEST_MEMFD_FLAG_INIT_SHARED);
	t.memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, t.view, 0);
	if (t.memory == MAP_FAILED || image_open(&t.image, file_path("image")) ||
	    working_set_open(&t.set, NULL, &t.image) ||
	    reader_open(&t.reader, &t.image, false, &why))
		return -1;
	t.serving = (struct serving){
		.image = &t.image, .reader = &t.reader, .set = &t.set,
		.ahead = { .window = 1 }, .socket = -1,
		.pager = gmem_pager_create(t.view, 0, SIZE, 0),
	};
	if (serving_begin(&t.serving))
		return -1;
	return pthread_create(&t.thread, NULL, touch, NULL);
}

static int end(void **state)
{
	char page[PAGE] = { 0 };

	(void)state;
	/* What still waits must not wait for ever. */
	gmem_populate(t.view, WANTED * PAGE, page, PAGE);
	pthread_join(t.thread, NULL);
	serving_end(&t.serving);
	reader_close(&t.reader);
	image_close(&t.image);
	munmap((void *)t.memory, SIZE);
	close(t.view);
	close(t.vm);
	close(t.kvm);
	return 0;
}

/* Between looks at what another thread or the kernel is to do. */
static void wait_a_little(uint64_t since)
{
	assert_true(__real_now_ns() - since < LATE * SECOND);
	usleep(1000);
}

/* What is asked for is answered, until that is to be tried again or fails. */
static int answer(void)
{
	uint64_t since = __real_now_ns();
	int ret = serving_answer(&t.serving);

	while (!ret && serving_wait(&t.serving) < 0) {
		assert_false(is_touched());
		wait_a_little(since);
		ret = serving_answer(&t.serving);
	}
	return ret;
}

static void spoil_answers(unsigned int count, int error)
{
	spoilt.left = count;
	spoilt.change = (struct kvm_gmem_answer){ .error = error };
}

/* Tried until it has come: then it is the right one, and given once. */
static void comes_after_all(void)
{
	uint64_t since = __real_now_ns();

	for (; !is_touched(); wait_a_little(since)) {
		if (serving_wait(&t.serving) >= 0)
			assert_int_equal(serving_try_again(&t.serving), 0);
		else
			assert_int_equal(serving_rest(&t.serving), 0);
	}
	assert_int_equal(serving_rest(&t.serving), 0);
	assert_int_equal(spoilt.left, 0);
	assert_int_equal(t.serving.given, 1);
	assert_int_equal(t.serving.left, IMAGE_PAGES - 1);
	assert_int_equal(t.serving.in_ring, 0);
	assert_int_equal(t.serving.faults, 1);
}

static void no_memory(void **state)
{
	(void)state;
	assert_non_null(t.serving.ring.map);
	spoil_answers(5, ENOMEM);
	assert_int_equal(answer(), 0);
	assert_false(is_touched());
	assert_int_equal(t.serving.left, IMAGE_PAGES);
	assert_int_equal(t.serving.given, 0);
	assert_true(t.serving.said_short);
	/* Not at once. */
	assert_in_range(serving_wait(&t.serving), 1, 1000);
	comes_after_all();
	assert_int_equal(serving_wait(&t.serving), -1);
	assert_int_equal(t.serving.short_since, 0);
}

static void no_memory_for_too_long(void **state)
{
	(void)state;
	spoil_answers(UINT32_MAX, ENOMEM);
	assert_int_equal(answer(), 0);
	later = 15 * SECOND;
	assert_int_equal(serving_try_again(&t.serving), 0);
	later = 120 * SECOND;
	assert_int_equal(serving_try_again(&t.serving), -ENOMEM);
	assert_false(is_touched());
}

/* That is no lack of memory: at once, and nothing is said. */
static void interrupted(void **state)
{
	(void)state;
	spoil_answers(1, EINTR);
	assert_int_equal(answer(), 0);
	assert_int_equal(serving_wait(&t.serving), 0);
	comes_after_all();
	assert_false(t.serving.said_short);
}

static void its_memory_is_gone(void **state)
{
	(void)state;
	spoil_answers(1, EPIPE);
	assert_int_equal(answer(), -EPIPE);
}

/* Somebody else was faster, or has punched a hole: nothing is left to do for it. */
static void there_already(void **state)
{
	static const int errors[] = { EEXIST, ENOENT };
	uint64_t since;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		spoil_answers(1, errors[i]);
		since = __real_now_ns();
		for (; spoilt.left; wait_a_little(since))
			assert_int_equal(serving_answer(&t.serving), 0);
		assert_int_equal(serving_rest(&t.serving), 0);
		assert_int_equal(t.serving.left, IMAGE_PAGES - 1);
		assert_int_equal(serving_wait(&t.serving), -1);
		end(NULL);
		begin(NULL);
	}
}

/* Of a ring into which a VMM may have written. */
static void what_can_not_be(void **state)
{
	(void)state;
	spoil_answers(1, EIO);
	assert_int_equal(answer(), -EPROTO);
	end(NULL);
	begin(NULL);
	spoil_answers(1, 0);
	spoilt.change.done = PAGE + 1;
	assert_int_equal(answer(), -EPROTO);
	end(NULL);
	begin(NULL);
	spoil_answers(1, ENOMEM);
	spoilt.change.offset = SIZE;
	assert_int_equal(answer(), -EPROTO);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_memory),
		TEST(no_memory_for_too_long),
		TEST(interrupted),
		TEST(its_memory_is_gone),
		TEST(there_already),
		TEST(what_can_not_be),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, sockets_make, images_remove);
}
