// SPDX-License-Identifier: GPL-2.0-only
/*
 * A Xen event whose shared page KVM can't keep hold of, since the VMM's threads drop memory
 * without a break: the kworker that raises it, for which every VM's end on the host waits, tries a
 * few times and leaves it to the vCPU.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "claims.h"
#include "machine.h"
#include "tracing.h"
#include "xenevents.h"

#define PORT		70
#define PORT_BIT	(1ULL << PORT % 64)
#define THREADS		4
#define REGION		(64UL << 20)
#define TRIES		9	/* of a refresh */
#define MOST		(TRIES * TRIES + TRIES)	/* of refreshes whose page goes again */
#define ROUNDS		200

static struct machine *m;
static volatile uint64_t *shared;
static int event;
static volatile bool stop;

static void *churn(void *arg)
{
	void *region = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	madvise(region, REGION, MADV_NOHUGEPAGE);
	while (!stop) {
		TEST_ASSERT(!madvise(region, REGION, MADV_POPULATE_READ), "populate");
		TEST_ASSERT(!madvise(region, REGION, MADV_DONTNEED), "drop");
	}
	return arg;
}

/* Without an irqfd, its kworker has done what it had to do. */
static unsigned long looks_for_an_event(void)
{
	struct kvm_irqfd irqfd = { .fd = event, .gsi = XEN_GSI, .flags = KVM_IRQFD_FLAG_DEASSIGN };
	unsigned long before = trace_calls();

	/* KVM's cache of the page is out of date, and the page is there. */
	TEST_ASSERT(!madvise((void *)shared, PAGE_SIZE, MADV_DONTNEED), "drop the page");
	shared[0] = 0;
	TEST_ASSERT(!eventfd_write(event, 1), "write to an eventfd");
	vm_ioctl(m->vm, KVM_IRQFD, &irqfd);
	xen_irqfd(m->vm, event, PORT);
	return trace_calls() - before;
}

static void idle(void)
{
	GUEST_RETURN(0);
}

static void kworker(void)
{
	pthread_t threads[THREADS];
	unsigned long looks, most = 0;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	m = machine_create(1);
	shared = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared[0] = 0;
	xen_configure(m->vm);
	xen_shared_page_at(m->vm, (void *)shared);
	event = eventfd(0, 0);
	xen_irqfd(m->vm, event, PORT);
	trace_calls_start("kvm_gmem_cache_stale");

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < claim_times(ROUNDS); i++) {
		looks = looks_for_an_event();
		most = max(most, looks);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	printf("# %lu looks for an event at most\n", most);
	/* By chance, or on a kernel that is too slow for it. */
	if (most < TRIES)
		claim_skip("the page never went at the right moment");
	TEST_ASSERT(most <= MOST, "%lu looks", most);
	machine_call(m, idle, 0, 0, 0);
	TEST_ASSERT(shared[XEN_PENDING + PORT / 64] & PORT_BIT, "the event is lost");
}

static const struct claim claims[] = {
	SLOW_CLAIM(kworker, 120, "a kworker that finds the page gone again leaves the event"),
};

CLAIMS_MAIN(claims);
