// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever ends an asynchronous wait is told to the guest, once; and nothing is
 * left of those that were given up.
 */
#include <poll.h>
#include <time.h>

#include "async.h"
#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "paging.h"
#include "private.h"
#include "ring.h"
#include "blocked_page.h"
#include "successor.h"

#define PAGES	PAGING_PAGES
#define TASKS	16
#define PAGE	5

/**
 * struct wait - a guest with a task that waits for PAGE
 * @m: the machine
 * @pager: the pager, which has read the event
 * @r: runs the guest
 */
struct wait {
	struct machine *m;
	int pager;
	struct runner r;
};

static void expect_works(struct machine *m, uint64_t told)
{
	wait_for(&ASYNC(m, told), told);
	wait_for(&ASYNC(m, works), ASYNC(m, works) + 20);
	TEST_ASSERT_EQ(ASYNC(m, told), told);
}

static void wait_begin(struct wait *w, uint64_t flags, uint64_t pattern)
{
	w->m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	w->pager = __pager(w->m->view, 0, PAGES, flags);
	TEST_ASSERT(w->pager >= 0, "pager: errno %d", errno);
	async_start(w->m, &w->r, async_tasks, PAGE, 1, pattern);
	expect_event(w->pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	expect_works(w->m, 1);
}

/* Its guest was told @n times that a page is not there, and as often that it is. */
static void wait_end(struct wait *w, uint64_t n)
{
	async_end(w->m, &w->r);
	TEST_ASSERT_EQ(ASYNC(w->m, told), n);
	TEST_ASSERT_EQ(ASYNC(w->m, ready), n);
}

static void fails(void)
{
	struct wait w;

	wait_begin(&w, 0, 0);
	TEST_ASSERT_EQ(answer(w.pager, KVM_GMEM_ANSWER_FAIL, PAGE, 1, NULL), 0);
	async_fails(w.m, &w.r, EHWPOISON);
}

static void holes(void)
{
	struct wait w;

	wait_begin(&w, 0, 0);
	/* Not this one: nothing is told. */
	punch_pages(w.m->view, PAGE + 1, 3);
	expect_works(w.m, 1);
	TEST_ASSERT_EQ(ASYNC(w.m, ready), 0UL);
	punch_pages(w.m->view, PAGE, 1);
	wait_end(&w, 1);
}

static void detaches(void)
{
	struct kvm_gmem_pager_detach args = { .flags = KVM_GMEM_DETACH_FORCE };
	struct wait w;

	wait_begin(&w, 0, 0);
	TEST_ASSERT(!ioctl(w.pager, KVM_GMEM_PAGER_DETACH, &args), "detach: errno %d", errno);
	async_fails(w.m, &w.r, EHWPOISON);
}

static void unbound(void)
{
	struct wait w;

	wait_begin(&w, 0, 0);
	machine_unbind(w.m);
	async_fails(w.m, &w.r, EFAULT);
}

static void view_closed(void)
{
	struct machine *other;
	struct wait w;

	wait_begin(&w, 0, 0);
	other = machine_link(w.m->view, PAGES);
	machine_close_view(w.m);
	async_fails(w.m, &w.r, EFAULT);
	copy(w.pager, 1, PAGE, 1);
	guest_expect(other, PAGE, 1, 1);
}

/* The guest hears of it, and waits anew: the next pager's answer it gets too. */
static void dies_and_is_taken_over(void)
{
	struct wait w;

	wait_begin(&w, 0, 6);
	close(w.pager);
	expect_works(w.m, 2);
	TEST_ASSERT_EQ(ASYNC(w.m, ready), 1UL);
	w.pager = __pager(w.m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
	expect_event(w.pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	copy(w.pager, 6, PAGE, 1);
	wait_end(&w, 2);
}

static void dies_and_fails(void)
{
	struct wait w;

	wait_begin(&w, KVM_GMEM_PAGER_FAIL, 0);
	close(w.pager);
	async_fails(w.m, &w.r, EHWPOISON);
}

/* The VMM sees the miss itself, and the guest hears of nothing. */
static void exits(void)
{
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	struct runner r;
	int pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_EXIT);

	async_start(m, &r, async_tasks, PAGE, 1, 0);
	async_fails(m, &r, EFAULT);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	TEST_ASSERT(m->vcpu->run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_MISSING, "flags");
	TEST_ASSERT_EQ(ASYNC(m, told), 0UL);
}

/* An answer, and then all who wait are woken, before the guest runs again. */
static void told_once(void)
{
	struct ring ring;
	struct wait w;

	wait_begin(&w, 0, 3);
	TEST_ASSERT(!runner_stop(&w.r), "exit reason %u", w.m->vcpu->run->exit_reason);
	copy(w.pager, 3, PAGE, 1);
	TEST_ASSERT_EQ(answer(w.pager, KVM_GMEM_ANSWER_CONTINUE, PAGE, 1, NULL), 0);
	ring_open(&ring, w.pager, 4, 4, 0);
	ring_close(&ring);
	runner_start(&w.r, w.m->vcpu);
	wait_end(&w, 1);
}

static void give_area(struct machine *m, void *memory, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = ASYNC_SLOT,
		.guest_phys_addr = ASYNC_AREA,
		.memory_size = size,
		.userspace_addr = (uint64_t)memory,
	};

	vm_ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* While KVM tells the guest, the pager answers: nobody is there yet to be woken. */
static void answered_before_it_waits(void)
{
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	int pager = pager_of(m);
	struct blocked_page blocked;
	struct runner r;

	blocked_page_init(&blocked);
	give_area(m, NULL, 0);
	give_area(m, blocked.page, PAGE_SIZE);
	async_start(m, &r, async_tasks, PAGE, 1, 8);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	blocked_page_wait(&blocked);
	copy(pager, 8, PAGE, 1);
	blocked_page_let_go(&blocked, NULL, 0);
	async_end(m, &r);
	TEST_ASSERT_EQ(ASYNC(m, told), 1UL);
	TEST_ASSERT_EQ(ASYNC(m, ready), 1UL);
}

/* Where KVM tells the guest is itself in memory that is owed. */
static void area_is_owed(void)
{
	struct machine *m;
	struct runner r;
	int view, area, pager;

	require_async();
	m = async_bare(KVM_X86_SW_PROTECTED_VM, PAGES);
	give_area(m, NULL, 0);
	view = vm_create_guest_memfd(m->vm, PAGE_SIZE, 0);
	vm_set_user_memory_region2(m->vm, ASYNC_SLOT, KVM_MEM_GUEST_MEMFD, ASYNC_AREA, PAGE_SIZE,
				   NULL, view, 0);
	vm_mem_set_private(m->vm, ASYNC_AREA, PAGE_SIZE);
	async_enable(m, ASYNC_FLAGS | KVM_ASYNC_PF_SEND_ALWAYS);
	/* Now it goes, and is owed. */
	punch_pages(view, 0, 1);
	area = __pager(view, 0, 1, 0);
	TEST_ASSERT(area >= 0, "pager of the area: errno %d", errno);
	pager = pager_of(m);

	async_start(m, &r, async_tasks, PAGE, 1, 8);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, PAGE, 1);
	expect_event(area, KVM_GMEM_EVENT_FAULT, 0, 1);
	TEST_ASSERT_EQ(answer(area, KVM_GMEM_ANSWER_ZERO, 0, 1, NULL), 0);
	expect_works(m, 1);
	copy(pager, 8, PAGE, 1);
	async_end(m, &r);
}

static bool sleeps(struct ring *ring)
{
	return ring->head->wake & KVM_GMEM_RING_WAKE;
}

/* A ring that is made meanwhile knows nothing of who waits: the guest asks again. */
static void wait_by_ring(struct wait *w, struct ring *ring)
{
	wait_begin(w, 0, 2);
	ring_open(ring, w->pager, 4, 4, 0);
	expect_works(w->m, 2);
	TEST_ASSERT(sleeps(ring), "the pager is not told that somebody waits");
}

static void by_ring(void)
{
	struct ring ring;
	struct wait w;

	wait_by_ring(&w, &ring);
	ring_copy(&ring, 2, PAGE);
	usleep(20000);
	TEST_ASSERT(!ring_is_done(&ring), "somebody has looked at the ring");
	TEST_ASSERT(ring_enter(&ring), "no ENTER is asked for");
	TEST_ASSERT(!sleeps(&ring), "the pager is told that somebody waits");
	wait_end(&w, 2);
	TEST_ASSERT(!sleeps(&ring), "somebody waits");
}

/* By the VMM; the guest hears of the page as if of none, when it is enabled again. */
static void disabled(void)
{
	struct ring ring;
	struct wait w;

	wait_by_ring(&w, &ring);
	runner_stop(&w.r);
	vcpu_set_msr(w.m->vcpu, MSR_KVM_ASYNC_PF_EN, 0);
	TEST_ASSERT(!sleeps(&ring), "who does not wait any more is waited for");
	copy(w.pager, 2, PAGE, 1);
	runner_start(&w.r, w.m->vcpu);
	wait_for(&ASYNC(w.m, works), ASYNC(w.m, works) + 20);
	TEST_ASSERT_EQ(ASYNC(w.m, ready), 1UL);
	runner_stop(&w.r);
	vcpu_set_msr(w.m->vcpu, MSR_KVM_ASYNC_PF_EN,
		     ASYNC_AREA | ASYNC_FLAGS | KVM_ASYNC_PF_SEND_ALWAYS);
	runner_start(&w.r, w.m->vcpu);
	async_end(w.m, &w.r);
	TEST_ASSERT_EQ(ASYNC(w.m, woken), 2UL);
	TEST_ASSERT_EQ(ASYNC(w.m, ready), 1UL);
}

/* How many use the modules. */
static unsigned int users(void)
{
	FILE *f = fopen(host_cpu_is_intel ? "/sys/module/kvm_intel/refcnt" :
					    "/sys/module/kvm_amd/refcnt", "r");
	unsigned int n;

	if (!f)
		claim_skip("the vendor's part of KVM is no module");
	TEST_ASSERT(fscanf(f, "%u", &n) == 1, "read refcnt");
	fclose(f);
	return n;
}

static void vm_ends(bool answered)
{
	unsigned int before = users();
	double until = 0;
	struct pollfd fd;
	struct wait w;

	wait_begin(&w, 0, 0);
	runner_stop(&w.r);
	if (answered)
		copy(w.pager, 1, PAGE, 1);
	machine_free(w.m);
	fd.fd = w.pager;
	fd.events = POLLIN;
	TEST_ASSERT(poll(&fd, 1, claim_patience() * 1000) == 1 && (fd.revents & POLLHUP),
		    "no POLLHUP");
	close(w.pager);
	/* Inodes go after a grace period. */
	while (users() > before && claim_is_patient(&until))
		;
	TEST_ASSERT_EQ(users(), before);
}

static void vm_goes(void)
{
	vm_ends(false);
	vm_ends(true);
}

/* The memory goes on: an answer that comes later finds nobody. */
static void vm_goes_before_the_answer(void)
{
	struct machine *other;
	struct ring ring;
	struct wait w;

	wait_begin(&w, 0, 0);
	ring_open(&ring, w.pager, 4, 4, 0);
	expect_works(w.m, 2);
	runner_stop(&w.r);
	other = machine_link(w.m->view, PAGES);
	machine_free(w.m);
	TEST_ASSERT(!sleeps(&ring), "who is gone is waited for");
	copy(w.pager, 1, PAGE, 1);
	guest_expect(other, PAGE, 1, 1);
}

static struct machine heir_of(struct machine *m)
{
	struct machine heir = *m;

	heir.vcpu = successor(m->vcpu);
	heir.vm = heir.vcpu->vm;
	heir.view = link_view(heir.vm, m->view);
	machine_bind(&heir, 0);
	return heir;
}

/* Answers come before the source is closed, too: to a VM that is dead. */
static void moved_with_vcpus(void)
{
	struct machine *m, heir;
	struct runner r;
	int pager;

	require_move_vcpus();
	for (unsigned int i = 0; i < 2; i++) {
		m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
		pager = pager_of(m);
		async_start(m, &r, async_tasks, 0, TASKS, 5);
		expect_works(m, TASKS);
		runner_stop(&r);
		heir = heir_of(m);
		move_vcpus(heir.vm, m->vm);
		if (i)
			copy(pager, 5, 0, 4);
		machine_close_view(m);
		close_vm(m->vm);

		runner_start(&r, heir.vcpu);
		/* All are woken; who still misses its page waits again. */
		expect_works(&heir, 2 * TASKS - (i ? 4 : 0));
		TEST_ASSERT_EQ(ASYNC(&heir, woken), 2UL);
		TEST_ASSERT_EQ(ASYNC(&heir, ready), 0UL);
		for (uint64_t page = i ? 4 : 0; page < TASKS; page++)
			copy(pager, 5, page, 1);
		async_end(&heir, &r);
		TEST_ASSERT_EQ(ASYNC(&heir, ready), TASKS - (i ? 4UL : 0));
	}
}

static void moved_without_vcpus(void)
{
	struct machine *heir;
	struct wait w;

	require_move();
	wait_begin(&w, 0, 0);
	runner_stop(&w.r);
	heir = destination(w.m);
	vm_userspace_mem_region_add(heir->vm, VM_MEM_SRC_ANONYMOUS, ASYNC_AREA, ASYNC_SLOT, 1, 0);
	move(heir, w.m);
	copy(w.pager, 5, PAGE, 1);
	guest_expect(heir, PAGE, 1, 5);
	machine_release(w.m);
	copy(w.pager, 5, PAGE + 1, 1);
	guest_expect(heir, PAGE, 2, 5);
}

/* ---- memory at userspace_addr: KVM has a kworker page it in, in a host fault */

#define HOST_SLOT	12
#define HOST_PAGE	(PAGES + 1)	/* behind the machine's own */

/* A guest that waits so, for a page that never comes; @owner: another VM, which has the memory. */
static void wait_by_kworker(struct machine *m, struct runner *r, struct kvm_vm *owner)
{
	int view = vm_create_guest_memfd(owner, PAGE_SIZE, MMAP_SHARED);
	int pager = __pager(view, 0, 1, 0);

	TEST_ASSERT(pager >= 0, "pager: errno %d", errno);
	vm_set_user_memory_region(m->vm, HOST_SLOT, 0, page_gpa(HOST_PAGE), PAGE_SIZE,
				  map_view(view, 1));
	virt_map(m->vm, page_gpa(HOST_PAGE), page_gpa(HOST_PAGE), 1);
	async_start(m, r, async_tasks, HOST_PAGE, 1, 0);
	expect_event(pager, KVM_GMEM_EVENT_FAULT, 0, 1);
	wait_for(&ASYNC(m, told), 1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Seconds that the end of an empty VM and of the waiting guest's VM take: of the two the longer. */
static double end_both(void)
{
	struct kvm_vm *owner = idle_vm(), *empty = idle_vm();
	struct machine *m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	double begun, first, second;
	struct runner r;

	wait_by_kworker(m, &r, owner);
	runner_stop(&r);
	begun = now();
	close_vm(empty);
	first = now() - begun;
	begun = now();
	machine_release(m);
	second = now() - begun;
	return first > second ? first : second;
}

/* No VM's end waits for the pager. */
static void kworkers_end(void)
{
	double least = 1e9;

	for (int i = 0; i < 5 && least > claim_slowness(); i++) {
		double took = end_both();

		least = took < least ? took : least;
	}
	TEST_ASSERT(least <= claim_slowness(), "a VM took %.1f s to end at least", least);
}

static const struct claim claims[] = {
	CLAIM(fails, "a page that failed: the guest tries again, and leaves with the error"),
	CLAIM(holes, "a hole ends the waits for its own pages, and no others"),
	CLAIM(detaches, "a pager that detaches ends them"),
	CLAIM(unbound, "so does the end of the memslot"),
	CLAIM(view_closed, "and of the view"),
	CLAIM(dies_and_is_taken_over, "the pager dies: the guest waits for the next one"),
	CLAIM(dies_and_fails, "or gets the error, if that was said"),
	CLAIM(exits, "a VMM that wants to see the miss sees it"),
	CLAIM(told_once, "the guest is told once, whoever else wakes"),
	CLAIM(answered_before_it_waits, "an answer that comes before anybody waits is not lost"),
	CLAIM(area_is_owed, "where KVM tells the guest may be owed itself"),
	CLAIM(by_ring, "a ring's pager is told to ENTER for as long as somebody waits"),
	CLAIM(disabled, "a guest that is not to be told any more waits for nothing"),
	CLAIM(vm_goes, "nothing is left of a VM that goes while its guest waits"),
	CLAIM(vm_goes_before_the_answer, "nor does the answer look for it"),
	CLAIM(moved_with_vcpus, "moved with its vCPUs: all are woken, and wait again"),
	CLAIM(moved_without_vcpus, "moved without: the source's waits end with it"),
	CLAIM(kworkers_end, "a kworker that waits for a host mapping's page keeps no VM"),
};

CLAIMS_MAIN(claims);
