// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ends the wait of KVM's own access for a pager, and what the access finds then: the
 * memslot, or the view, goes; the pager answers, fails, or dies; signals.
 */
#include <signal.h>
#include <sys/wait.h>

#include "claims.h"
#include "kvm_access.h"
#include "ring.h"
#include "svm_util.h"

#define VALUE	0x1122334455667788

static struct kvm_access o;

/* ---- the very slot goes: as if it had gone before the instruction */

static void begin_and_unbind(void *fn, uint64_t page, uint64_t b)
{
	kvm_access_begin(&o, fn, page, b);
	machine_unbind(o.m);
}

static struct kvm_run *expect_mmio(bool is_write, uint64_t page)
{
	struct kvm_run *run = o.m->vcpu->run;

	kvm_access_end(&o, KVM_EXIT_MMIO);
	TEST_ASSERT(run->mmio.is_write == is_write && run->mmio.phys_addr == page_gpa(page) &&
		    run->mmio.len == 8, "another access: to %#llx", run->mmio.phys_addr);
	return run;
}

static void slot_goes_reading(void)
{
	uint64_t value = VALUE;

	begin_and_unbind(guest_kvm_read, 3, 0);
	memcpy(expect_mmio(false, 3)->mmio.data, &value, sizeof(value));
	kvm_access_resume(&o);
	TEST_ASSERT_EQ(kvm_access_result(&o), VALUE);
	/* The pager still owes it to who has the slot next. */
	machine_bind(o.m, 0);
	kvm_access_start(&o, guest_kvm_read, 3, 0);
	copy(o.pager, 1, 3, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(3, 0));
}

static void slot_goes_exchanging(void)
{
	uint64_t old = ~VALUE;

	begin_and_unbind(guest_kvm_exchange, 3, old);
	/* The emulator reads, and sees what it can do. */
	memcpy(expect_mmio(false, 3)->mmio.data, &old, sizeof(old));
	kvm_access_resume(&o);
	TEST_ASSERT_EQ(*(uint64_t *)expect_mmio(true, 3)->mmio.data, VALUE);
	kvm_access_resume(&o);
	kvm_access_result(&o);
}

/* The device's word is not lost, and the device not asked again. */
static void slot_goes_device_read(void)
{
	kvm_access_device_read(&o, 3, VALUE);
	machine_unbind(o.m);
	TEST_ASSERT_EQ(*(uint64_t *)expect_mmio(true, 3)->mmio.data, VALUE);
	kvm_access_resume(&o);
	kvm_access_result(&o);
}

static void slot_goes_mapped(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));
	begin_and_unbind(guest_kvm_map, 3, 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), GP_VECTOR);
}

static void slot_goes_shared(void)
{
	static const uint64_t msrs[] = { MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_STEAL_TIME };

	for (int i = 0; i < 2; i++) {
		begin_and_unbind(guest_kvm_share, 3, msrs[i]);
		kvm_access_result(&o);
		machine_free(o.m);
		close(o.pager);
	}
}

/* The slot stays, but has nothing any more. */
static void view_goes(void)
{
	kvm_access_begin(&o, guest_kvm_read, 3, 0);
	machine_close_view(o.m);
	expect_mmio(false, 3);
}

/* ---- the pager */

static void ring_answers(void)
{
	struct kvm_gmem_event event;
	struct ring ring;

	kvm_access_create(&o);
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_RING,
		       "these modules have no ring");
	ring_open(&ring, o.pager, 4, 4, 0);
	kvm_access_start(&o, guest_kvm_read, 3, 0);
	event = ring_next_event(&ring);
	TEST_ASSERT(event.offset == 3 * PAGE_SIZE && event.flags & KVM_GMEM_FAULT_KVM,
		    "event at %#llx, flags %#x", event.offset, event.flags);
	kvm_access_expect_others_go_on(&o);
	ring_copy(&ring, 1, 3);
	while (!ring_is_done(&ring))
		ring_enter(&ring);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(3, 0));
	TEST_ASSERT(!ring.head->wake, "a sleeper, %#x", ring.head->wake);
}

static void pager_dies(void)
{
	kvm_access_begin(&o, guest_kvm_read, 3, 0);
	for (int i = 0; i < 5; i++) {
		close(o.pager);
		kvm_access_expect_others_go_on(&o);
		o.pager = __pager(o.m->view, 0, 0, KVM_GMEM_PAGER_TAKEOVER);
		TEST_ASSERT(o.pager >= 0, "takeover: errno %d", errno);
		kvm_access_expect_event(&o, 3);
	}
	copy(o.pager, 1, 3, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), kvm_access_word(3, 0));
}

/* What an emulator can't read is MMIO to it. */
static void pager_fails(void)
{
	kvm_access_begin(&o, guest_kvm_read, 3, 0);
	TEST_ASSERT_EQ(answer(o.pager, KVM_GMEM_ANSWER_FAIL, 3, 1, NULL), 0);
	expect_mmio(false, 3);
}

static void hole(void)
{
	kvm_access_begin(&o, guest_kvm_read, 3, 0);
	punch_pages(o.m->view, 3, 1);
	TEST_ASSERT_EQ(kvm_access_result(&o), 0UL);
}

static void nothing(int sig __attribute__((unused)))
{
}

/* A signal waits for the answer: the instruction is half done. */
static void signals_wait(void)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	kvm_access_device_read(&o, 3, VALUE);
	for (int i = 0; i < 10; i++) {
		pthread_kill(o.thread, SIGUSR1);
		kvm_access_expect_others_go_on(&o);
	}
	copy(o.pager, 1, 3, 1);
	pthread_join(o.thread, NULL);
	TEST_ASSERT_EQ(o.err, EINTR);
	kvm_access_resume(&o);
	kvm_access_result(&o);
	TEST_ASSERT_EQ(kvm_access_found(&o, 3, 0), VALUE);
}

static void killed(void)
{
	int told[2], status;
	char byte;
	pid_t pid;

	TEST_ASSERT(!pipe(told), "pipe");
	pid = fork();
	if (!pid) {
		kvm_access_begin(&o, guest_kvm_read, 3, 0);
		TEST_ASSERT_EQ(write(told[1], "!", 1), 1);
		for (;;)
			kvm_access_expect_others_go_on(&o);
	}
	TEST_ASSERT_EQ(read(told[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	TEST_ASSERT_EQ(waitpid(pid, &status, 0), pid);
	TEST_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
}

static const struct claim claims[] = {
	CLAIM(slot_goes_reading, "if its slot goes, the read is MMIO; the pager owes it as before"),
	CLAIM(slot_goes_exchanging, "so are the exchange's read and write"),
	CLAIM(slot_goes_device_read, "and the write of what was read from a device, once"),
	CLAIM(slot_goes_mapped, "and VMSAVE is #GP"),
	CLAIM(slot_goes_shared, "and a guest with clocks there goes on"),
	CLAIM(view_goes, "if the view goes, the read is MMIO"),
	CLAIM(ring_answers, "an answer may come by a ring"),
	CLAIM(pager_dies, "of pagers that die in turn, the last one has the event and answers"),
	CLAIM(pager_fails, "a page that the pager fails is MMIO"),
	CLAIM(hole, "a hole is an answer"),
	CLAIM(signals_wait, "signals wait for the answer, and memslots still change"),
	CLAIM(killed, "SIGKILL ends it, while memslots change"),
};

CLAIMS_MAIN(claims);
