// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses wait for a pager while the memslot under them is deleted, and bound
 * anew to another inode with another pager; and while their view goes, whose last holder
 * they may be for a moment.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "claims.h"
#include "stress.h"
#include "kvm_access.h"

#define PAGES		8
#define PATTERN		3
#define OTHER_SLOT	20
#define OTHER_GPA	(1ULL << 36)

static struct machine *m;
static pthread_mutex_t pager_lock = PTHREAD_MUTEX_INITIALIZER;
static int pager;
static uint64_t served, missed;
static volatile bool stop;

static int pager_of_new_view(void)
{
	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, 0);
	return pager_of(m);
}

/* The words that it reads nobody writes; it fetches from memory that stays. */
static void guest_code_use(void)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		volatile uint64_t *at = page_gva(page);
		uint64_t got, copy, *from = (uint64_t *)at + 1, *to = &copy;

		asm volatile(KVM_FEP "mov %1, %0" : "=r"(got) : "m"(at[page]));
		GUEST_ASSERT_EQ(got, pattern_word(PATTERN, page, page));
		asm volatile(KVM_FEP "movsq" : "+S"(from), "+D"(to) :: "memory");
		GUEST_ASSERT_EQ(copy, pattern_word(PATTERN, page, 1));
		asm volatile(KVM_FEP "mov %1, %0" : "=m"(at[100]) : "r"(got));
		asm volatile(KVM_FEP "lock; cmpxchg %2, %1"
			     : "+a"(got), "+m"(at[101]) : "r"(page));
	}
	GUEST_RETURN(0);
}

/* Memory that is not there is a device; it has the same words. */
static void be_device(struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - MACHINE_GPA;
	uint64_t word = pattern_word(PATTERN, offset / PAGE_SIZE, offset % PAGE_SIZE / 8);

	TEST_ASSERT(offset < PAGES * PAGE_SIZE && run->mmio.len == 8,
		    "an access to %#llx", run->mmio.phys_addr);
	if (!run->mmio.is_write)
		memcpy(run->mmio.data, &word, sizeof(word));
	missed++;
}

static void use(void *arg __attribute__((unused)))
{
	struct kvm_run *run = m->vcpu->run;

	machine_prepare(m, guest_code_use, 0, 0, 0);
	do {
		vcpu_run(m->vcpu);
		if (run->exit_reason == KVM_EXIT_MMIO)
			be_device(run);
	} while (run->exit_reason == KVM_EXIT_MMIO);
	if (get_ucall(m->vcpu, &m->said) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(m->said);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(m->said.cmd, (uint64_t)UCALL_NONE);
	vcpu_run_complete_io(m->vcpu);
}

static void serve(void)
{
	struct kvm_gmem_event event;

	pthread_mutex_lock(&pager_lock);
	if (has_event(pager, 0)) {
		TEST_ASSERT(read(pager, &event, sizeof(event)) == sizeof(event), "read");
		answer(pager, KVM_GMEM_ANSWER_COPY, event.offset / PAGE_SIZE, 1,
		       content(PATTERN, event.offset / PAGE_SIZE, 1));
		served++;
	}
	pthread_mutex_unlock(&pager_lock);
	usleep(500);
}

/* Longer than the stress run: the last round may wait for it. */
static void *pager_thread(void *arg __attribute__((unused)))
{
	while (!stop)
		serve();
	return NULL;
}

/* Whoever waits for the old pager waits in vain, unless the slot's end wakes it. */
static void rebind(void *arg __attribute__((unused)))
{
	int old_view, old_pager;

	pthread_mutex_lock(&pager_lock);
	old_view = m->view;
	old_pager = pager;
	pager = pager_of_new_view();
	pthread_mutex_unlock(&pager_lock);

	machine_unbind(m);
	usleep(1000);
	machine_bind(m, 0);
	close(old_pager);
	close(old_view);
	usleep(20000);
}

static void other_slots(void *memory)
{
	vm_set_user_memory_region2(m->vm, OTHER_SLOT, 0, OTHER_GPA, PAGE_SIZE, memory, -1, 0);
	vm_set_user_memory_region2(m->vm, OTHER_SLOT, 0, OTHER_GPA, 0, NULL, -1, 0);
}

static void slots_come_and_go(void)
{
	static char memory[PAGE_SIZE] __aligned(PAGE_SIZE);
	const struct stress_op ops[] = {
		{ "use", use, NULL },
		{ "rebind", rebind, NULL },
		{ "other slots", other_slots, memory },
	};
	pthread_t thread;

	require_pager();
	allow_forced_emulation();
	m = machine_bare(PAGES);
	pager = pager_of_new_view();
	machine_bind(m, 0);
	TEST_ASSERT(!pthread_create(&thread, NULL, pager_thread, NULL), "thread");
	STRESS(ops);
	stop = true;
	pthread_join(thread, NULL);
	printf("%lu pages served, %lu accesses to no slot\n", served, missed);
	TEST_ASSERT(served, "nobody waited");
}

/*
 * The view is closed while an access looks at its page. What holds the view for that look
 * must not be the access that waits then: its view would go only when it is over, and it
 * is over when the view has gone.
 */
#define ROUNDS	100

static pthread_barrier_t round_begins;

static void guest_code_read(void)
{
	uint64_t got;

	asm volatile(KVM_FEP "mov %1, %0" : "=r"(got) : "m"(*(volatile uint64_t *)page_gva(0)));
	GUEST_RETURN(got);
}

static void *run_once_a_round(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&round_begins);
	if (ioctl(m->vcpu->fd, KVM_RUN, NULL))
		TEST_ASSERT(errno == EFAULT, "KVM_RUN: errno %d", errno);
	return NULL;
}

static void close_under(void *guest_code)
{
	pthread_t thread;

	require_pager();
	allow_forced_emulation();
	pthread_barrier_init(&round_begins, NULL, 2);
	m = machine_bare(PAGES);
	for (unsigned int i = 0; i < claim_times(ROUNDS); i++) {
		struct timespec limit;
		int err;

		pager = pager_of_new_view();
		machine_bind(m, 0);
		machine_prepare(m, guest_code, 0, 0, 0);
		pthread_create(&thread, NULL, run_once_a_round, NULL);
		pthread_barrier_wait(&round_begins);
		usleep(random() % 20000);
		machine_close_view(m);
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 10 * claim_slowness();
		err = pthread_timedjoin_np(thread, NULL, &limit);
		TEST_ASSERT(!err, "round %u: it waits on, and keeps its view", i);
		if (m->vcpu->run->exit_reason == KVM_EXIT_MMIO)
			vcpu_run_complete_io(m->vcpu);
		machine_unbind(m);
		close(pager);
	}
}

static void view_goes_under_an_access(void)
{
	close_under(guest_code_read);
}

static void guest_code_touch(void)
{
	GUEST_RETURN(*(volatile uint64_t *)page_gva(0));
}

static void view_goes_under_a_fault(void)
{
	close_under(guest_code_touch);
}

static const struct claim claims[] = {
	CLAIM(slots_come_and_go,
	      "accesses that wait find what is behind their gfn, though slots come and go"),
	SLOW_CLAIM(view_goes_under_an_access, 120,
		   "a view that goes under an access ends its wait"),
	SLOW_CLAIM(view_goes_under_a_fault, 120, "and that of a guest's fault"),
};

CLAIMS_MAIN(claims);
