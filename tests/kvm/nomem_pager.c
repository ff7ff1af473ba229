// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that runs out in the middle of paging. Needs the debug kernel's fault
 * injection.
 */
#include <linux/falloc.h>

#include "async.h"
#include "claims.h"
#include "failing.h"
#include "machine.h"
#include "paging.h"
#include "ring.h"

#define PAGES	8

static struct machine *m;
static struct kvm_vm *vm;
static int view, pager;

/* On a new inode each time: the first pager of one leaves something behind. */
static void prepare_inode(void)
{
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, 0);
}

static int make_pager(void)
{
	return __pager(view, 0, PAGES, 0);
}

static void close_fd(int fd)
{
	close(fd);
}

/* Nothing is owed by one that could not be made: there may be another. */
static void check_pager(void)
{
	int fd = __pager(view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER);

	TEST_ASSERT(fd >= 0, "errno %d", errno);
	close(fd);
	close(view);
	check_fds();
}

static void fail_on_new_inodes(const struct request *r)
{
	require_fault_injection();
	require_pager();
	vm = idle_vm();
	fail_each_allocation(r);
}

static void create(void)
{
	fail_on_new_inodes(&(struct request){ prepare_inode, make_pager, close_fd, check_pager });
}

static void prepare_pager(void)
{
	prepare_inode();
	pager = make_pager();
}

static int make_ring(void)
{
	struct kvm_gmem_pager_ring layout;

	return __ring(pager, 4, 4, 0, &layout);
}

static void undo_nothing(int made)
{
	(void)made;
}

static void check_ring(void)
{
	close(pager);
	close(view);
	check_fds();
}

static const struct request ring_request = {
	prepare_pager, make_ring, undo_nothing, check_ring,
};

static void ring(void)
{
	fail_on_new_inodes(&ring_request);
}

/* All is missing, and owed by a pager with @flags that nobody has asked. */
static void owe_all_to(uint64_t flags)
{
	punch_pages(m->view, 0, PAGES);
	close(pager);
	pager = __pager(m->view, 0, PAGES, KVM_GMEM_PAGER_TAKEOVER | flags);
	TEST_ASSERT(pager >= 0, "takeover: errno %d", errno);
}

static void owe_all_anew(void)
{
	owe_all_to(KVM_GMEM_PAGER_EXIT);
}

static void paged_machine(void)
{
	require_fault_injection();
	require_pager();
	m = machine_create(PAGES);
	pager = pager_of(m);
	owe_all_anew();
}

static int make_answer(void)
{
	static char page[PAGE_SIZE] = { 1 };
	struct kvm_gmem_answer answer = {
		.op = KVM_GMEM_ANSWER_COPY, .size = PAGE_SIZE, .from = (uint64_t)page,
	};
	struct kvm_gmem_pager_answer args = { .answers = (uint64_t)&answer, .nr = 1 };

	return ioctl(pager, KVM_GMEM_PAGER_ANSWER, &args) == 1 ? 0 : -1;
}

/* An answer that failed can be given again. */
static void check_answers(void)
{
	owe_all_anew();
	copy(pager, 3, 0, PAGES);
	guest_expect(m, 0, PAGES, 3);
	owe_all_anew();
}

static void answering(void)
{
	paged_machine();
	fail_each_allocation(&(struct request){ NULL, make_answer, undo_nothing, check_answers });
}

static struct ring shared;

static void prepare_ring_answer(void)
{
	ring_open(&shared, pager, 4, 1, 0);
}

static int make_ring_answer(void)
{
	volatile struct kvm_gmem_answer *entry = ring_put(&shared, KVM_GMEM_ANSWER_COPY, 0, 1, 0);

	if (ioctl(pager, KVM_GMEM_PAGER_ENTER, 0) < 0)
		return -1;
	errno = entry->error;
	return errno ? -1 : 0;
}

static void check_ring_answer(void)
{
	munmap((void *)shared.head, shared.layout.size);
	check_answers();
}

static const struct request answering_by_ring_request = {
	prepare_ring_answer, make_ring_answer, undo_nothing, check_ring_answer,
};

/* Room is made, and it is tried again, some times before it fails. */
static void answering_by_ring(void)
{
	paged_machine();
	TEST_ASSERT_EQ(try_each_allocation(&answering_by_ring_request), 0);
}

/* The guest's miss: it leaves to the VMM, with an event for the pager. */
static int make_miss(void)
{
	int err = ioctl(m->vcpu->fd, KVM_RUN, NULL) ? errno : 0;

	if (err == EFAULT && m->vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		return 0;
	errno = err;
	return -1;
}

static void prepare_miss(void)
{
	machine_prepare(m, guest_look, 0, 0, 0);
}

static const struct request asking_request = {
	prepare_miss, make_miss, undo_nothing, check_answers,
};

static void asking(void)
{
	paged_machine();
	fail_each_allocation(&asking_request);
}

static int make_hole(void)
{
	return fallocate(m->view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE_SIZE,
			 PAGE_SIZE);
}

static void punching(void)
{
	paged_machine();
	fail_each_allocation(&(struct request){ NULL, make_hole, undo_nothing, check_answers });
}

/*
 * A guest with asynchronous page faults: where there is no memory to keep account of
 * it, its vCPU waits. The answer comes when either has begun.
 */
static volatile bool answerer_ends;
static pthread_t answerer;
static uint64_t told_before;
static unsigned int waited, told;

static void *answer_misses(void *unused)
{
	double until = 0;

	(void)unused;
	while (!answerer_ends) {
		if (!has_event(pager, 10))
			continue;
		/* The vCPU is the first thread's; KVM_RUN may fail after it has asked. */
		while (!answerer_ends && ASYNC(m, told) == told_before &&
		       !is_asleep(getpid(), IN_PAGER_WAIT) && claim_is_patient(&until))
			;
		copy(pager, 3, 0, 1);
		break;
	}
	return NULL;
}

static void prepare_async(void)
{
	owe_all_to(0);
	told_before = ASYNC(m, told);
	answerer_ends = false;
	TEST_ASSERT(!pthread_create(&answerer, NULL, answer_misses, NULL), "pthread_create");
	machine_prepare(m, async_tasks, 0, 1, 3);
}

static int make_async(void)
{
	return ioctl(m->vcpu->fd, KVM_RUN, NULL);
}

static void undo_async(int made)
{
	(void)made;
	if (get_ucall(m->vcpu, &m->said) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_IO);
	vcpu_run_complete_io(m->vcpu);
	if (ASYNC(m, told) == told_before)
		waited++;
	else
		told++;
}

static void check_async(void)
{
	answerer_ends = true;
	pthread_join(answerer, NULL);
	TEST_ASSERT_EQ(ASYNC(m, told), ASYNC(m, ready));
}

static const struct request async_request = {
	prepare_async, make_async, undo_async, check_async,
};

static void asynchronously(void)
{
	require_fault_injection();
	m = async_machine(KVM_X86_SW_PROTECTED_VM, PAGES);
	pager = pager_of(m);
	/* A vCPU that something else wakes meanwhile has its guest told after all. */
	for (int tries = 0; tries < 5 && !waited; tries++)
		fail_each_allocation(&async_request);
	pr_info("%u vCPUs waited, %u guests were told\n", waited, told);
	TEST_ASSERT(waited && told, "waited %u, told %u", waited, told);
}

/* Owed are three ranges, one of them with pages beside it that have failed already. */
static void prepare_detach(void)
{
	prepare_pager();
	TEST_ASSERT_EQ(answer(pager, KVM_GMEM_ANSWER_FAIL, 1, 1, NULL), 0);
	punch_pages(view, 3, 1);
	punch_pages(view, 5, 1);
}

static int make_detach(void)
{
	uint64_t missing;

	return detach(pager, KVM_GMEM_DETACH_FORCE, &missing);
}

static void check_detach(void)
{
	uint64_t missing;

	TEST_ASSERT(!detach(pager, KVM_GMEM_DETACH_FORCE, &missing), "errno %d", errno);
	TEST_ASSERT_EQ(missing, PAGES - 2);
	check_ring();
}

static const struct request detaching_request = {
	prepare_detach, make_detach, undo_nothing, check_detach,
};

/* It may need no memory: of a block in pieces, as here, the modules keep bits. */
static void detaching(void)
{
	int failed;

	require_fault_injection();
	require_pager();
	vm = idle_vm();
	try_allocations(&detaching_request, &failed);
}

static const struct claim claims[] = {
	CLAIM(create, "KVM_GMEM_CREATE_PAGER is ENOMEM and leaves nothing"),
	CLAIM(ring, "KVM_GMEM_PAGER_RING is ENOMEM and leaves nothing"),
	CLAIM(answering, "an answer is ENOMEM, and good when given again"),
	CLAIM(answering_by_ring, "one in the ring is tried again, and succeeds"),
	CLAIM(asking, "a vCPU that can't ask leaves with ENOMEM"),
	CLAIM(punching, "a hole is ENOMEM, and what was owed is owed"),
	CLAIM(asynchronously, "a guest that can't be told has its vCPU wait"),
	CLAIM(detaching, "detach by force is complete, or ENOMEM, and then when asked for again"),
};

CLAIMS_MAIN(claims);
