// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY beside what takes memory away from its VM: it ends by itself,
 * and makes neither memslot updates nor a move wait.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "claims.h"
#include "mapped.h"
#include "successor.h"

#define GPA		(1ULL << 33)
#define SLOT		20
#define OTHER_SLOT	21
#define OTHER_GPA	(1ULL << 34)
#define SIZE		(4ULL << 20)
#define LONG_SIZE	(1ULL << 30)
#define RUN_MS		1500
#define PATIENCE_MS	15000	/* for the first call to return, times the kernel's slowness */
#define SOON_MS		10000	/* what is not done by then hangs; times the slowness */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void *some_memory(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	return memory;
}

/* A VM, and the memory that is ahead of its guest: plain, or in an inode. */
struct ahead {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	void *memory;
	int view;
	uint64_t size;
	pthread_t thread;
	volatile uint64_t calls;
	volatile bool stop, moved;
};

static void guest_nothing(void)
{
	GUEST_DONE();
}

static void ahead_create(struct ahead *a, uint32_t type, int64_t flags, uint64_t size)
{
	struct kvm_create_guest_memfd create = { .size = size, .flags = flags };

	*a = (struct ahead){ .view = -1, .size = size, .memory = some_memory(size) };
	a->vcpu = ancestor(type, guest_nothing);
	a->vm = a->vcpu->vm;
	if (flags < 0)
		return;
	a->view = __vm_ioctl(a->vm, KVM_CREATE_GUEST_MEMFD, &create);
	TEST_ASSERT(a->view >= 0, "errno %d", errno);
}

static void slot_set(struct ahead *a, bool there)
{
	bool in_inode = a->view >= 0;

	vm_set_user_memory_region2(a->vm, SLOT, in_inode && there ? KVM_MEM_GUEST_MEMFD : 0, GPA,
				   there ? a->size : 0, a->memory, in_inode && there ? a->view : -1,
				   0);
}

/* Memslots of any other part of the address space come and go. */
static void other_slot_set(struct ahead *a, bool there)
{
	vm_set_user_memory_region2(a->vm, OTHER_SLOT, 0, OTHER_GPA, there ? PAGE_SIZE : 0,
				   a->memory, -1, 0);
}

static int pre_fault(struct ahead *a, uint64_t offset, uint64_t size)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA + offset, .size = size };

	return ioctl(a->vcpu->fd, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
}

static void *pre_fault_thread(void *arg)
{
	struct ahead *a = arg;

	while (!a->stop) {
		int err = pre_fault(a, 0, a->size);

		if (err == EIO && a->moved)
			break;
		/* EFAULT: what is private and has no slot. */
		TEST_ASSERT(!err || err == EAGAIN || err == ENOENT ||
			    (err == EFAULT && a->view >= 0), "errno %d", err);
		a->calls++;
	}
	return NULL;
}

static void pre_fault_start(struct ahead *a)
{
	TEST_ASSERT(!pthread_create(&a->thread, NULL, pre_fault_thread, a), "thread");
}

static void pre_fault_stop(struct ahead *a)
{
	a->stop = true;
	pthread_join(a->thread, NULL);
}

/*
 * Calls go on though updates never stop: one returns at least, which takes a slow kernel
 * longer than RUN_MS.
 */
static void fault_ahead_of(struct ahead *a, void (*update)(struct ahead *a, bool there))
{
	uint64_t begin = now_ms(), slowest = 0, updates = 0, calls;
	uint64_t end = begin + RUN_MS, patience = begin + PATIENCE_MS * claim_slowness();

	slot_set(a, true);
	if (update == other_slot_set)
		other_slot_set(a, true);
	pre_fault_start(a);
	while (now_ms() < end || (!a->calls && now_ms() < patience)) {
		uint64_t began = now_ms(), took;

		update(a, false);
		update(a, true);
		took = now_ms() - began;
		slowest = took > slowest ? took : slowest;
		updates++;
	}
	calls = a->calls;
	pre_fault_stop(a);
	pr_info("%lu updates, the slowest took %lu ms; %lu calls\n", updates, slowest, calls);
	TEST_ASSERT(slowest < SOON_MS * claim_slowness(), "an update took %lu ms", slowest);
	TEST_ASSERT(calls, "no call has returned");
}

static void own_slot_goes(void)
{
	struct ahead a;

	ahead_create(&a, KVM_X86_SW_PROTECTED_VM, -1, SIZE);
	fault_ahead_of(&a, slot_set);
}

static void own_slot_of_inode_goes(void)
{
	struct ahead a;

	ahead_create(&a, KVM_X86_SW_PROTECTED_VM, 0, SIZE);
	vm_mem_set_private(a.vm, GPA, SIZE);
	fault_ahead_of(&a, slot_set);
}

static void own_slot_in_place_goes(void)
{
	struct ahead a;

	ahead_create(&a, KVM_X86_SW_PROTECTED_VM, MMAP_PRIVATE, SIZE);
	fault_ahead_of(&a, slot_set);
}

static void other_slots_go(void)
{
	struct ahead a;

	ahead_create(&a, KVM_X86_DEFAULT_VM, -1, SIZE);
	fault_ahead_of(&a, other_slot_set);
}

static void other_slots_go_in_place(void)
{
	struct ahead a;

	ahead_create(&a, KVM_X86_DEFAULT_VM, MMAP_SHARED, SIZE);
	fault_ahead_of(&a, other_slot_set);
}

/* The vCPU has tables, which a memslot's deletion made obsolete, and does not run. */
static void tables_are_obsolete(void)
{
	uint64_t began, took;
	struct ahead a;

	ahead_create(&a, KVM_X86_DEFAULT_VM, -1, SIZE);
	slot_set(&a, true);
	other_slot_set(&a, true);
	TEST_ASSERT_EQ(pre_fault(&a, 0, PAGE_SIZE), 0);
	other_slot_set(&a, false);
	began = now_ms();
	TEST_ASSERT_EQ(pre_fault(&a, PAGE_SIZE, SIZE - PAGE_SIZE), 0);
	took = now_ms() - began;
	TEST_ASSERT(took < SOON_MS * claim_slowness(), "took %lu ms", took);
}

static void no_slot(void)
{
	struct ahead a;

	ahead_create(&a, KVM_X86_DEFAULT_VM, -1, SIZE);
	TEST_ASSERT_EQ(pre_fault(&a, 0, PAGE_SIZE), ENOENT);
}

struct call {
	struct ahead *a;
	int err;
	uint64_t left;
	volatile bool done;
};

static void *long_call(void *arg)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = LONG_SIZE };
	struct call *call = arg;

	call->err = ioctl(call->a->vcpu->fd, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
	call->left = range.size;
	call->done = true;
	return NULL;
}

/* Of any length: it lets a move have the vCPU, and tells how far it came. */
static void gives_way_to_a_move(void)
{
	struct kvm_vcpu *other;
	struct call call;
	double until = 0;
	struct ahead a;
	uint64_t began, took, mapped;

	require_move_vcpus();
	ahead_create(&a, KVM_X86_DEFAULT_VM, MMAP_SHARED, LONG_SIZE);
	slot_set(&a, true);
	TEST_ASSERT_EQ(pre_fault(&a, 0, PAGE_SIZE), 0);
	other = ancestor(KVM_X86_DEFAULT_VM, guest_nothing);
	mapped = vm_get_stat(a.vm, "pages_4k");
	call = (struct call){ .a = &a };
	TEST_ASSERT(!pthread_create(&a.thread, NULL, long_call, &call), "thread");
	/* Begun, and far from its end. */
	while (vm_get_stat(a.vm, "pages_4k") == mapped)
		TEST_ASSERT(!call.done && claim_is_patient(&until), "it maps nothing");

	began = now_ms();
	/* To a VM that does not match: what counts is that it gets as far as to see that. */
	TEST_ERRNO(__move_vcpus(other->vm, a.vm), EINVAL);
	took = now_ms() - began;
	pthread_join(a.thread, NULL);
	pr_info("the move took %lu ms, %lu of %llu MiB were left\n", took, call.left >> 20,
		LONG_SIZE >> 20);
	TEST_ASSERT(call.left, "the move waited for the end");
	TEST_ASSERT(!call.err, "errno %d", call.err);
}

static void obsolete_tables_and_a_move(void)
{
	struct kvm_vcpu *other;
	uint64_t began, took;
	struct ahead a;

	require_move_vcpus();
	ahead_create(&a, KVM_X86_DEFAULT_VM, -1, SIZE);
	slot_set(&a, true);
	other_slot_set(&a, true);
	TEST_ASSERT_EQ(pre_fault(&a, 0, PAGE_SIZE), 0);
	other = ancestor(KVM_X86_DEFAULT_VM, guest_nothing);
	other_slot_set(&a, false);
	a.moved = true;
	pre_fault_start(&a);
	usleep(100000);
	began = now_ms();
	move_vcpus(other->vm, a.vm);
	took = now_ms() - began;
	TEST_ASSERT(took < SOON_MS * claim_slowness(), "the move took %lu ms", took);
	pre_fault_stop(&a);
}

static void nothing(int sig __attribute__((unused)))
{
}

/* The signal of a page that is lost can't end it where it is blocked. */
static void lost_page(void)
{
	struct sigaction action = { .sa_handler = nothing };
	struct ahead a;
	sigset_t bus;

	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	sigaction(SIGBUS, &action, NULL);
	ahead_create(&a, KVM_X86_DEFAULT_VM, -1, SIZE);
	slot_set(&a, true);
	memset(a.memory, 1, SIZE);
	if (madvise((char *)a.memory + PAGE_SIZE, PAGE_SIZE, MADV_HWPOISON))
		claim_skip("no MADV_HWPOISON: errno %d", errno);
	pthread_sigmask(SIG_BLOCK, &bus, NULL);
	TEST_ASSERT_EQ(pre_fault(&a, 0, PAGE_SIZE), 0);
	TEST_ASSERT_EQ(pre_fault(&a, PAGE_SIZE, PAGE_SIZE), EHWPOISON);
}

static const struct claim claims[] = {
	SLOW_CLAIM(own_slot_goes, 20, "beside its slot's deletion, of plain memory"),
	SLOW_CLAIM(own_slot_of_inode_goes, 20, "beside its slot's deletion, of private memory"),
	SLOW_CLAIM(own_slot_in_place_goes, 20, "beside its slot's deletion, of in-place memory"),
	SLOW_CLAIM(other_slots_go, 20, "beside other slots' deletion"),
	SLOW_CLAIM(other_slots_go_in_place, 20, "beside other slots' deletion, from an inode"),
	SLOW_CLAIM(tables_are_obsolete, 20, "after another slot's deletion"),
	CLAIM(no_slot, "without a slot it is ENOENT"),
	SLOW_CLAIM(gives_way_to_a_move, 60, "a long one gives way to a move, and tells its rest"),
	SLOW_CLAIM(obsolete_tables_and_a_move, 20, "a move is not kept waiting by obsolete tables"),
	SLOW_CLAIM(lost_page, 20, "a lost page is EHWPOISON, whatever signals are blocked"),
};

CLAIMS_MAIN(claims);
