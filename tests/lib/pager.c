// SPDX-License-Identifier: MIT
/*
 * The library's calls to the kernel for populating and paging, and its handling
 * of the results. The test plays the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "kernel.h"
#include "sample.h"

/* The kernel's part: what it was asked last, and what it says to that. */
static struct {
	int fd;
	unsigned long request;
	unsigned char argument[128];
	int ret;
	const void *out;	/* what it writes over the argument */
} kernel;

int __wrap_gmem_ioctl(int fd, unsigned long request, const void *arg)
{
	kernel.fd = fd;
	kernel.request = request;
	memcpy(kernel.argument, arg, _IOC_SIZE(request));
	if (kernel.out)
		memcpy((void *)arg, kernel.out, _IOC_SIZE(request));
	return kernel.ret;
}

static void kernel_says(int ret, const void *out)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.ret = ret;
	kernel.out = out;
}

/* It was asked this, to the last byte. */
static void was_asked(int fd, unsigned long request, const void *wanted)
{
	assert_int_equal(kernel.fd, fd);
	assert_int_equal(kernel.request, request);
	assert_memory_equal(kernel.argument, wanted, _IOC_SIZE(request));
}

static char content[8192];

static void populating(void **state)
{
	struct kvm_guest_memfd_populate by_gpa = {
		.gpa = 0x40000000, .size = 8192, .from = (uintptr_t)content,
	};
	struct kvm_gmem_populate by_offset = { .offset = 4096, .size = 8192 };
	struct kvm_gmem_create_filler create = { 0 };

	(void)state;
	kernel_says(2, NULL);
	assert_int_equal(gmem_vm_populate(7, 0x40000000, content, 8192), 8192);
	was_asked(7, KVM_GUEST_MEMFD_POPULATE, &by_gpa);
	kernel_says(1, NULL);
	assert_int_equal(gmem_populate(8, 4096, NULL, 8192), 4096);
	was_asked(8, KVM_GMEM_POPULATE, &by_offset);
	kernel_says(-EEXIST, NULL);
	assert_int_equal(gmem_vm_populate(7, 0, content, 8192), -EEXIST);
	assert_int_equal(gmem_populate(7, 0, content, 8192), -EEXIST);
	kernel_says(9, NULL);
	assert_int_equal(gmem_create_filler(6), 9);
	was_asked(6, KVM_GMEM_CREATE_FILLER, &create);
}

/* More than 2 GiB in a call: the kernel counts pages, the library bytes. */
static void populating_much(void **state)
{
	(void)state;
	kernel_says(0x100000, NULL);
	assert_true(gmem_populate(8, 0, NULL, 1ULL << 32) == 1LL << 32);
	assert_true(gmem_vm_populate(8, 0, NULL, 1ULL << 32) == 1LL << 32);
}

static void presence(void **state)
{
	struct kvm_gmem_present_range ranges[4];
	struct kvm_gmem_present asked = {
		.offset = 4096, .size = 65536, .ranges = (uintptr_t)ranges,
		.nr = 4,
	};
	struct kvm_gmem_present says = asked;
	uint64_t offset = 4096, size = 65536;

	(void)state;
	says.offset = 8192;
	says.size = 61440;
	says.nr = 1;
	kernel_says(0, &says);
	assert_int_equal(gmem_present(5, &offset, &size, ranges, 4), 1);
	was_asked(5, KVM_GMEM_PRESENT, &asked);
	assert_int_equal(offset, 8192);
	assert_int_equal(size, 61440);

	kernel_says(-EPIPE, NULL);
	assert_int_equal(gmem_present(5, &offset, &size, ranges, 4), -EPIPE);
	assert_int_equal(offset, 8192);
	/* A count that the result could not tell. */
	kernel_says(0, NULL);
	assert_int_equal(gmem_present(5, &offset, &size, ranges, 1U << 31),
			 -EINVAL);
	assert_int_equal(kernel.request, 0);
	/* A loop that goes on until nothing is left needs no case of its own. */
	size = 0;
	assert_int_equal(gmem_present(5, &offset, &size, ranges, 4), 0);
	assert_int_equal(kernel.request, 0);
}

static void making_a_pager(void **state)
{
	struct kvm_gmem_create_pager create = {
		.flags = KVM_GMEM_PAGER_FAIL, .offset = 4096, .size = 8192,
	};
	struct kvm_gmem_create_pager takeover = {
		.flags = KVM_GMEM_PAGER_FAIL | KVM_GMEM_PAGER_TAKEOVER,
	};

	(void)state;
	kernel_says(11, NULL);
	assert_int_equal(gmem_pager_create(5, 4096, 8192, KVM_GMEM_PAGER_FAIL),
			 11);
	was_asked(5, KVM_GMEM_CREATE_PAGER, &create);
	assert_int_equal(gmem_pager_takeover(5, KVM_GMEM_PAGER_FAIL), 11);
	was_asked(5, KVM_GMEM_CREATE_PAGER, &takeover);
	kernel_says(-EBUSY, NULL);
	assert_int_equal(gmem_pager_takeover(5, 0), -EBUSY);
}

static void answering(void **state)
{
	struct kvm_gmem_answer answers[3] = { { .op = KVM_GMEM_ANSWER_ZERO } };
	struct kvm_gmem_pager_answer asked = {
		.answers = (uintptr_t)answers, .nr = 3,
	};

	(void)state;
	kernel_says(2, NULL);
	assert_int_equal(gmem_pager_answer(4, answers, 3), 2);
	was_asked(4, KVM_GMEM_PAGER_ANSWER, &asked);
	kernel_says(-ENOENT, NULL);
	assert_int_equal(gmem_pager_answer(4, answers, 3), -ENOENT);
}

static void detaching(void **state)
{
	struct kvm_gmem_pager_detach asked = { 0 }, says = { .missing = 3 };
	uint64_t missing = 0;

	(void)state;
	kernel_says(-EBUSY, &says);
	assert_int_equal(gmem_pager_detach(4, 0, &missing), -EBUSY);
	assert_int_equal(missing, 3);
	was_asked(4, KVM_GMEM_PAGER_DETACH, &asked);
	kernel_says(0, NULL);
	assert_int_equal(gmem_pager_detach(4, 1, NULL), 0);
	asked.flags = KVM_GMEM_DETACH_FORCE;
	was_asked(4, KVM_GMEM_PAGER_DETACH, &asked);
}

/* Events come by read(2), so a pipe can play the pager. */
static void reading_events(void **state)
{
	struct kvm_gmem_event events[3] = {
		{ .type = KVM_GMEM_EVENT_FAULT, .offset = 4096 },
		{ .type = KVM_GMEM_EVENT_REMOVE, .offset = 8192 },
	};
	struct kvm_gmem_event got[8] = { { 0 } };
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(gmem_pager_read(ends[0], got, 8), -EAGAIN);
	assert_int_equal(write(ends[1], events, sizeof(events)),
			 sizeof(events));
	assert_int_equal(gmem_pager_read(ends[0], got, 2), 2);
	assert_memory_equal(got, events, 2 * sizeof(events[0]));
	assert_int_equal(gmem_pager_read(ends[0], got, 8), 1);
	/* Results that no pager gives: half an event, the end of a file. */
	assert_int_equal(write(ends[1], events, 40), 40);
	assert_int_equal(gmem_pager_read(ends[0], got, 8), -EPROTO);
	close(ends[1]);
	assert_int_equal(gmem_pager_read(ends[0], got, 8), -EPROTO);
	close(ends[0]);
	assert_int_equal(gmem_pager_read(ends[0], got, 8), -EBADF);
	assert_int_equal(gmem_pager_read(-1, got, 8), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(populating),
		cmocka_unit_test(populating_much),
		cmocka_unit_test(presence),
		cmocka_unit_test(making_a_pager),
		cmocka_unit_test(answering),
		cmocka_unit_test(detaching),
		cmocka_unit_test(reading_events),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
