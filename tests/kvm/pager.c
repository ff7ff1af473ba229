// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pager: who needs a missing page waits for it, and nobody gets zeroes. How a pager
 * ends: pager_takeover.c.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "apart.h"
#include "claims.h"
#include "machine.h"
#include "mapped.h"
#include "meminfo.h"
#include "paging.h"
#include "populate.h"
#include "private.h"
#include "successor.h"
#include "tracing.h"

#define PAGES	PAGING_PAGES

static void guest_waits(void)
{
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	for (uint64_t page = 0; page < 8; page++) {
		struct touch touch = { .m = m, .page = page, .pattern = 3 };

		touch_start(&touch);
		expect_event(pager, KVM_GMEM_EVENT_FAULT, page, 1);
		usleep(20000);
		TEST_ASSERT(!touch.done, "the guest has page %lu", page);
		TEST_ASSERT(!has_event(pager, 0), "two events for a page");
		copy(pager, 3, page, 1);
		touch_end(&touch, 0);
	}
	/* More than was asked for. */
	copy(pager, 4, 8, PAGES - 8);
	guest_expect(m, 8, PAGES - 8, 4);
	TEST_ASSERT(!has_event(pager, 0), "an event for a page that is there");
}

static void what_is_there_is_not_asked_for(void)
{
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	guest_write(m, 0, 4, 7);
	pager = __pager(m->view, 0, 8, 0);
	TEST_ASSERT(pager >= 0, "errno %d", errno);
	guest_expect(m, 0, 4, 7);
	guest_expect(m, 8, 1, 0);	/* not in the pager's range */
	TEST_ASSERT(!has_event(pager, 0), "an event");
}

static void answers(void)
{
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = __pager(m->view, 0, 32, 0);

	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_ZERO, 0, 2, NULL), 0);
	guest_expect(m, 0, 2, 0);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 1, 1, content(1, 1, 1)), EEXIST);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 40, 1, content(1, 40, 1)), ENOENT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 2, 1, (void *)0x1000), EFAULT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 2, 1, NULL), EINVAL);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, PAGES, 1, content(1, 0, 1)), EINVAL);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 2, 0, content(1, 0, 1)), EINVAL);
	TEST_ASSERT_EQ(answer(pager, 77, 2, 1, NULL), EINVAL);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_CONTINUE, 2, 1, NULL), ENOENT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_CONTINUE, 0, 2, NULL), 0);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 40, 1, NULL), ENOENT);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 28, 8, NULL), ENOENT);

	/* A copy goes as far as pages are owed. */
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 28, 8, content(1, 28, 8)), ENOENT);
	guest_expect(m, 28, 4, 1);
	guest_expect(m, 32, 4, 0);
}

static void failed_page(void)
{
	struct touch touch;
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	touch = (struct touch){ .m = m, .page = 5 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 5, 1);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 5, 1, NULL), 0);
	touch_end(&touch, EHWPOISON);
	TEST_ASSERT_EQ(m->vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	copy(pager, 2, 5, 1);
	guest_expect(m, 5, 1, 2);
}

/* However large it is, others get the inode's lock after each gibibyte. */
static void failed_range(void)
{
	const uint64_t gib = 1UL << (30 - PAGE_SHIFT);
	struct kvm_vm *vm = idle_vm();
	int view, pager;

	require_pager();
	view = vm_create_guest_memfd(vm, 65 * gib * PAGE_SIZE, 0);
	pager = __pager(view, 0, 64 * gib + 1, 0);
	trace_calls_start("gmem_pager_set");
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 0, 64 * gib + 2, NULL), ENOENT);
	TEST_ASSERT_EQ(trace_calls(), 0UL);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 0, 64 * gib + 1, NULL), 0);
	TEST_ASSERT_EQ(trace_calls(), 65UL);
}

/* Several VMs, one page: one event, and all go on. */
static void one_event_for_all(void)
{
	struct touch touches[3];
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	for (unsigned int i = 0; i < 3; i++) {
		touches[i] = (struct touch){ .m = i ? machine_link(m->view, PAGES) : m, .page = 9,
					     .pattern = 6 };
		touch_start(&touches[i]);
	}
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 9, 1);
	usleep(50000);
	TEST_ASSERT(!has_event(pager, 0), "a second event");
	copy(pager, 6, 9, 1);
	for (unsigned int i = 0; i < 3; i++)
		touch_end(&touches[i], 0);
}

static void nothing(int sig __attribute__((unused)))
{
}

static void *run_thread(void *arg)
{
	struct touch *touch = arg;

	touch->err = ioctl(touch->m->vcpu->fd, KVM_RUN, NULL) ? errno : 0;
	touch->done = true;
	return NULL;
}

/* A waiting vCPU hinders nobody, and a signal gets it out. */
static void waiting_holds_nothing(void)
{
	struct sigaction action = { .sa_handler = nothing };
	struct machine *m, *other;
	struct touch touch;
	int pager;

	require_pager();
	sigaction(SIGUSR1, &action, NULL);
	m = machine_create(PAGES);
	pager = pager_of(m);
	touch = (struct touch){ .m = m, .page = 3 };
	machine_prepare(m, guest_look, 3, 0, 0);
	pthread_create(&touch.thread, NULL, run_thread, &touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 3, 1);

	/* Memslot updates, attributes, links, holes, populating. */
	vm_set_user_memory_region2(m->vm, 20, 0, 1ULL << 36, PAGE_SIZE,
				   mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), -1, 0);
	vm_set_user_memory_region2(m->vm, 20, 0, 1ULL << 36, 0, NULL, -1, 0);
	vm_mem_set_shared(m->vm, MACHINE_GPA + 50 * PAGE_SIZE, PAGE_SIZE);
	other = machine_link(m->view, PAGES);
	punch_pages(m->view, 40, 2);
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, 40, 2);
	guest_expect(other, 40, 2, 0);
	TEST_ASSERT(!touch.done, "KVM_RUN has returned");

	pthread_kill(touch.thread, SIGUSR1);
	touch_end(&touch, EINTR);
	pthread_create(&touch.thread, NULL, run_thread, &touch);
	usleep(20000);
	TEST_ASSERT(!has_event(pager, 0), "an event for what was asked already");
	copy(pager, 1, 3, 1);
	touch_end(&touch, 0);
	TEST_ASSERT_EQ(m->vcpu->run->exit_reason, KVM_EXIT_IO);
}

static void guest_emulated_look(uint64_t page)
{
	uint64_t value, *at = (uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(value) : "m"(*at));
	GUEST_RETURN(value);
}

/* A signal must not make MMIO of it: that is what KVM does if the access fails. */
static void own_access_waits(void)
{
	struct sigaction action = { .sa_handler = nothing };
	struct kvm_gmem_event event;
	struct machine *m;
	struct touch touch;
	int pager;

	require_pager();
	allow_forced_emulation();
	sigaction(SIGUSR1, &action, NULL);
	m = machine_create(PAGES);
	pager = pager_of(m);
	touch = (struct touch){ .m = m };
	machine_prepare(m, guest_emulated_look, 3, 0, 0);
	pthread_create(&touch.thread, NULL, run_thread, &touch);
	event = next_event(pager);
	TEST_ASSERT(event.offset == 3 * PAGE_SIZE && event.flags & KVM_GMEM_FAULT_KVM,
		    "event at %#llx, flags %#x", event.offset, event.flags);
	wait_asleep(thread_id(touch.thread), IN_PAGER_WAIT);
	pthread_kill(touch.thread, SIGUSR1);
	usleep(200000);
	TEST_ASSERT(!touch.done, "KVM_RUN has returned: exit reason %u",
		    m->vcpu->run->exit_reason);

	copy(pager, 1, 3, 1);
	/* The signal's turn. */
	touch_end(&touch, EINTR);
	TEST_ASSERT(!ioctl(m->vcpu->fd, KVM_RUN, NULL), "KVM_RUN: errno %d", errno);
	TEST_ASSERT_EQ(m->vcpu->run->exit_reason, KVM_EXIT_IO);
	TEST_ASSERT_EQ(*(uint64_t *)addr_gva2hva(m->vm, (vm_vaddr_t)&guest_result),
		       pattern_word(1, 3, 0));
}

static void holes(void)
{
	struct touch touch;
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	copy(pager, 5, 0, 4);
	punch_pages(m->view, 1, 2);
	punch_pages(m->view, 3, 1);	/* adjoins: one event */
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, 1, 3);
	TEST_ASSERT(!has_event(pager, 0), "an event more");
	guest_expect(m, 0, 1, 5);
	guest_expect(m, 1, 3, 0);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 1, 1, content(5, 1, 1)), ENOENT);

	/* A hole in what somebody waits for is its answer. */
	touch = (struct touch){ .m = m, .page = 30, .pattern = 0 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 30, 1);
	punch_pages(m->view, 30, 1);
	touch_end(&touch, 0);

	/* Allocated ahead: owed pages stay owed. */
	allocate_pages(m->view, 0, PAGES);
	touch = (struct touch){ .m = m, .page = 20, .pattern = 8 };
	touch_start(&touch);
	expect_event(pager, KVM_GMEM_EVENT_REMOVE, 30, 1);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 20, 1);
	copy(pager, 8, 20, 1);
	touch_end(&touch, 0);
}

static void presence(void)
{
	struct kvm_gmem_present_range ranges[4];
	struct kvm_gmem_present args = {
		.size = PAGES * PAGE_SIZE, .ranges = (uint64_t)ranges, .nr = 2,
	};
	struct machine *m;

	require_pager();
	m = machine_create(PAGES);
	guest_touch(m, 1, 3);
	guest_touch(m, 10, 1);
	guest_touch(m, 20, 2);
	TEST_ASSERT(!ioctl(m->view, KVM_GMEM_PRESENT, &args), "errno %d", errno);
	TEST_ASSERT(args.nr == 2 && ranges[0].offset == PAGE_SIZE &&
		    ranges[0].size == 3 * PAGE_SIZE && ranges[1].offset == 10 * PAGE_SIZE &&
		    ranges[1].size == PAGE_SIZE, "two ranges");
	TEST_ASSERT_EQ(args.offset + args.size, PAGES * PAGE_SIZE);
	args.nr = 4;
	TEST_ASSERT(!ioctl(m->view, KVM_GMEM_PRESENT, &args), "errno %d", errno);
	TEST_ASSERT(args.nr == 1 && ranges[0].offset == 20 * PAGE_SIZE && !args.size, "the third");
	args.size = PAGE_SIZE + 1;
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_PRESENT, &args), EINVAL);
}

/* A move needs the vCPU's mutex, which one that waits in KVM_RUN has. */
static void moves_go_on(void)
{
	struct touch touch;
	struct machine *a, b;
	int pager;

	require_pager();
	require_move_vcpus();
	a = machine_create(PAGES);
	pager = pager_of(a);
	touch = (struct touch){ .m = a, .page = 3 };
	machine_prepare(a, guest_look, 3, 0, 0);
	pthread_create(&touch.thread, NULL, run_thread, &touch);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 3, 1);

	b = *a;
	b.vcpu = successor(a->vcpu);
	b.vm = b.vcpu->vm;
	b.view = link_view(b.vm, a->view);
	machine_bind(&b, 0);
	move_vcpus(b.vm, a->vm);
	touch_end(&touch, EINTR);

	/* It asks again under its new owner; the pager is the same. */
	touch = (struct touch){ .m = &b, .page = 3 };
	pthread_create(&touch.thread, NULL, run_thread, &touch);
	usleep(50000);
	TEST_ASSERT(!touch.done, "the guest has the page");
	copy(pager, 1, 3, 1);
	touch_end(&touch, 0);
	TEST_ASSERT_EQ(b.vcpu->run->exit_reason, KVM_EXIT_IO);
}

static void prefault_does_not_wait(void)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = 2 * PAGE_SIZE };
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	TEST_ERRNO(__vcpu_ioctl(m->vcpu, KVM_PRE_FAULT_MEMORY, &range), EAGAIN);
	TEST_ASSERT(!has_event(pager, 0), "an event");
	copy(pager, 1, 0, 2);
	range = (struct kvm_pre_fault_memory){ .gpa = MACHINE_GPA, .size = 2 * PAGE_SIZE };
	TEST_ASSERT(!__vcpu_ioctl(m->vcpu, KVM_PRE_FAULT_MEMORY, &range), "errno %d", errno);
}

/* ---- the host's own faults, on memory that it may map */

static void host_waits(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct host_touch touch = { };
	int view, pager, out[2];

	require_pager();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE,
				     GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	pager = __pager(view, 0, PAGES, 0);
	TEST_ASSERT(pager >= 0, "errno %d", errno);

	host_touch_start(&touch, view, 5);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 5, 1);
	/* mmap_lock is free meanwhile. */
	munmap(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE_SIZE);
	TEST_ASSERT(!touch.done, "the host has the page");
	copy(pager, 9, 5, 1);
	TEST_ASSERT_EQ(host_touch_end(&touch), pattern_word(9, 5, 0));

	/* And the kernel's, in a system call. */
	TEST_ASSERT(!pipe(out), "pipe");
	copy(pager, 9, 6, 1);
	TEST_ASSERT_EQ(write(out[1], (void *)(touch.at + 512), 8), 8);
}

/* The VMM sees the miss itself: told from a conversion, and the pager is asked too. */
static void vmm_sees_the_miss(void)
{
	struct machine *m;
	int pager;

	require_pager();
	m = machine_create(PAGES);
	pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_EXIT);
	TEST_ASSERT(pager >= 0, "errno %d", errno);
	for (unsigned int i = 0; i < 2; i++) {
		TEST_ASSERT_EQ(guest_try_touch(m, 4), EFAULT);
		TEST_ASSERT_EQ(m->vcpu->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
		TEST_ASSERT_EQ(m->vcpu->run->memory_fault.gpa, MACHINE_GPA + 4 * PAGE_SIZE);
		TEST_ASSERT_EQ(m->vcpu->run->memory_fault.flags,
			       KVM_MEMORY_EXIT_FLAG_PRIVATE | KVM_MEMORY_EXIT_FLAG_MISSING);
		TEST_ASSERT_EQ(m->vcpu->run->memory_fault.size, PAGE_SIZE);
	}
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 4, 1);
	TEST_ASSERT(!has_event(pager, 0), "two events for a page");
	copy(pager, 8, 4, 1);
	guest_expect(m, 4, 1, 8);

	/* It is for this pager: the next one's guests wait. */
	close(pager);
	pager = __pager(m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	TEST_ASSERT(pager >= 0, "errno %d", errno);
	{
		struct touch touch = { .m = m, .page = 5, .pattern = 8 };

		touch_start(&touch);
		expect_event(pager, KVM_GMEM_EVENT_FAULT, 5, 1);
		usleep(20000);
		TEST_ASSERT(!touch.done, "the guest does not wait");
		copy(pager, 8, 5, 1);
		touch_end(&touch, 0);
	}
}

static void wrong_arguments(void)
{
	struct kvm_gmem_create_pager args;
	struct machine *m;

	require_pager();
	m = machine_create(PAGES);
	TEST_ERRNO(__pager(m->view, 0, 0, 0), EINVAL);
	TEST_ERRNO(__pager(m->view, 0, PAGES + 1, 0), EINVAL);
	for (unsigned int bit = 3; bit < 64; bit++)
		TEST_ERRNO(__pager(m->view, 0, PAGES, BIT_ULL(bit)), EINVAL);
	args = (struct kvm_gmem_create_pager){ .size = PAGE_SIZE, .offset = 1 };
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_PAGER, &args), EINVAL);
	args = (struct kvm_gmem_create_pager){ .size = -PAGE_SIZE, .offset = 2 * PAGE_SIZE };
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_PAGER, &args), EINVAL);
	args = (struct kvm_gmem_create_pager){ .size = PAGE_SIZE, .reserved[4] = 1 };
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_PAGER, &args), EINVAL);
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_PAGER, NULL), EFAULT);
	/* None of it has made a pager. */
	TEST_ASSERT(__pager(m->view, 0, PAGES, 0) >= 0, "errno %d", errno);
}

static void *free_at_hang_up(void *arg)
{
	struct pollfd fd = { .fd = *(int *)arg };

	TEST_ASSERT_EQ(poll(&fd, 1, -1), 1);
	TEST_ASSERT(fd.revents & POLLHUP, "poll says %#x", fd.revents);
	return (void *)memory_free();
}

/* A task that waits for that to use the memory has it then. */
static void hang_up_says_that_memory_is_free(void)
{
	unsigned long n = (256UL << 20) / PAGE_SIZE, before;
	struct kvm_vm *vm;
	pthread_t thread;
	int view, pager;
	void *after;

	require_pager();
	vm = idle_vm();
	view = vm_create_guest_memfd(vm, n * PAGE_SIZE, 0);
	allocate_pages(view, 0, n);
	pager = __pager(view, 0, PAGE_SIZE, 0);
	TEST_ASSERT(pager >= 0, "errno %d", errno);
	pthread_create(&thread, NULL, free_at_hang_up, &pager);
	wait_asleep(thread_id(thread), IN_POLL);
	before = memory_free();
	close(view);
	pthread_join(thread, &after);
	TEST_ASSERT((uint64_t)after > before + n * PAGE_SIZE / 10 * 9,
		    "%lu bytes were free, %lu are", before, (uint64_t)after);
}

/* Half a page from each of two that are never there at once. */
static void content_that_comes_and_goes(void)
{
	const unsigned long touches = 100;	/* to read them once: as many as take no time */
	static struct apart apart;
	struct machine *m;
	char *expected;
	int pager;

	require_pager();
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	pager = pager_of(m);
	expected = (char *)pattern_pages(0, 2, 3) + PAGE_SIZE / 2;
	apart_begin(&apart, expected - PAGE_SIZE / 2, touches);
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_COPY, 7, 1, apart.pages + PAGE_SIZE / 2), 0);
	TEST_ASSERT(apart.touches < touches, "the pages were touched %lu times", apart.touches);
	TEST_ASSERT(!memcmp(host_page(m, 7), expected, PAGE_SIZE), "the content is another");
}

static const struct claim claims[] = {
	CLAIM(guest_waits, "a guest waits for a missing page until the pager gives it"),
	CLAIM(what_is_there_is_not_asked_for, "nobody asks for a page that is there, or not owed"),
	CLAIM(answers, "copy, zero, continue; EEXIST, ENOENT, EFAULT, EINVAL"),
	CLAIM(content_that_comes_and_goes, "content that never stays for a copy is copied"),
	CLAIM(failed_page, "a page that the pager fails is KVM_EXIT_MEMORY_FAULT with EHWPOISON"),
	CLAIM(failed_range, "a range fails by pieces, or is refused as a whole"),
	CLAIM(one_event_for_all, "however many wait for a page, there is one event"),
	CLAIM(waiting_holds_nothing, "memslots, links and holes go on, and a signal is EINTR"),
	CLAIM(own_access_waits, "KVM's own access waits, and a signal does not make MMIO of it"),
	CLAIM(holes, "a hole takes pages from the pager; fallocate leaves them"),
	CLAIM(presence, "KVM_GMEM_PRESENT tells which pages there are"),
	CLAIM(moves_go_on, "a move has a waiting vCPU leave, which asks again in the destination"),
	CLAIM(prefault_does_not_wait, "KVM_PRE_FAULT_MEMORY of an owed page is EAGAIN"),
	CLAIM(host_waits, "the host's fault waits, with no lock held"),
	CLAIM(vmm_sees_the_miss, "or it leaves to the VMM, where the pager's flag says so"),
	CLAIM(hang_up_says_that_memory_is_free, "POLLHUP comes when the memory is free"),
	CLAIM(wrong_arguments, "EINVAL and EFAULT for wrong arguments, and no pager comes of it"),
};

CLAIMS_MAIN(claims);
