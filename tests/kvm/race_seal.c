// SPDX-License-Identifier: GPL-2.0-only
/*
 * Seals against what they forbid, at work on another CPU: when the call that seals
 * returns, nobody who was let in before is still at work.
 *
 * Each inode is sealed once, while an attacker does over and over what the seal
 * forbids. GMEM_TEST_SECONDS says how long it goes on; a claim prints its tries.
 * In a lab with `--append preempt=full` calls are cut anywhere, not only where they
 * wait: there a check that is made before its lock is taken is found in seconds.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "claims.h"
#include "fdinfo.h"
#include "mapped.h"
#include "populate.h"
#include "sealing.h"

#define WRITE_SHARED	(GUEST_MEMFD_FLAG_WRITE | GUEST_MEMFD_FLAG_INIT_SHARED)
#define PAGES		512
#define SEAL_TRIES	200	/* of an inode that is always in use */

struct contest;

/**
 * struct attack - what the seal forbids, on one inode
 * @contest: which it is
 * @view: the inode's view, by which it is sealed; a new inode each round
 * @hand: another VM's view or a handle, by which the seal is attacked: a VM's
 *	  own locks don't keep the two apart
 * @vcpu: of @view's VM, which has the inode bound where @contest says so
 * @others: VMs that have nothing else
 * @page: the next page to be filled
 * @sealed: the call that seals has returned 0
 * @over: the round is to end, sealed or not
 * @done: the test is to end
 * @there: odd while the inode has a page or a mapping
 * @tries: how often it was tried
 * @breaches: how often it was done after @sealed, or was seen done by then
 * @seed: of the side that seals
 * @begin: both are ready for a round
 * @end: both are through
 */
struct attack {
	const struct contest *contest;
	int view;
	int hand;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *others[2];
	uint64_t page;
	bool sealed, over, done;
	uint64_t there;
	unsigned long tries, breaches;
	unsigned int seed;
	pthread_barrier_t begin, end;
};

/**
 * struct contest - a seal against what it forbids
 * @seals: the seal
 * @flags: the inode's
 * @full: its pages are there, so that sealing takes a while
 * @bound: it is bound in the VM
 * @handle: attacked by a populate-only handle
 * @act: does it, and undoes it: 0, or errno
 * @goes_on: under this seal it may be done all the same, afterwards
 * @amount: what it makes more of, never less once it is sealed: NULL if nothing
 */
struct contest {
	uint64_t seals;
	uint64_t flags;
	bool full;
	bool bound;
	bool handle;
	int (*act)(struct attack *a);
	bool goes_on;
	int64_t (*amount)(int view);
};

/*
 * The lab's CPUs take turns (docs/lab.md), long ones; PAUSE ends one. Between calls it
 * is the two sides that pause, now and then. Within calls, threads do that
 * come at any instant at which the kernel can be preempted.
 */
static void pause_by_chance(unsigned int *seed)
{
	if (rand_r(seed) & 1)
		cpu_relax();
}

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity");
}

static void *disturber(void *arg)
{
	struct sched_param first = { .sched_priority = 1 };
	unsigned int seed = (uintptr_t)arg;

	run_on((uintptr_t)arg);
	TEST_ASSERT(!sched_setscheduler(0, SCHED_FIFO, &first), "sched_setscheduler");
	for (;;) {
		usleep(20 + rand_r(&seed) % 300);
		cpu_relax();
	}
	return NULL;
}

static void disturb(void)
{
	pthread_t thread;

	for (uintptr_t cpu = 0; cpu < 2; cpu++)
		TEST_ASSERT(!pthread_create(&thread, NULL, disturber, (void *)cpu),
			    "pthread_create");
}

static bool is_sealed(struct attack *a)
{
	return __atomic_load_n(&a->sealed, __ATOMIC_ACQUIRE);
}

static void *attacker(void *arg)
{
	struct attack *a = arg;
	unsigned int seed = 1;

	run_on(1);
	for (;;) {
		pthread_barrier_wait(&a->begin);
		if (a->done)
			return NULL;
		while (!__atomic_load_n(&a->over, __ATOMIC_ACQUIRE)) {
			bool was_sealed = is_sealed(a);
			int err = a->contest->act(a);

			__atomic_store_n(&a->tries, a->tries + 1, __ATOMIC_RELAXED);
			a->breaches += was_sealed && !err && !a->contest->goes_on;
			pause_by_chance(&seed);
		}
		pthread_barrier_wait(&a->end);
	}
}

static void comes(struct attack *a)
{
	__atomic_add_fetch(&a->there, 1, __ATOMIC_SEQ_CST);
}

static void goes(struct attack *a)
{
	__atomic_add_fetch(&a->there, 1, __ATOMIC_SEQ_CST);
}

/* Was it there from before the call to after it? */
static int try_seal(struct attack *a)
{
	uint64_t there = __atomic_load_n(&a->there, __ATOMIC_SEQ_CST);
	int ret = __seal(a->view, a->contest->seals);

	TEST_ASSERT(!ret || errno == EBUSY, "KVM_GMEM_SEAL: errno %d", errno);
	TEST_ASSERT(ret || !(there & 1) || there != __atomic_load_n(&a->there, __ATOMIC_SEQ_CST),
		    "the seal was set on what was in use all the time");
	return ret;
}

static int64_t amount(struct attack *a)
{
	return a->contest->amount ? a->contest->amount(a->view) : 0;
}

/* One inode: returns how often it was tried to seal it. */
static unsigned int one_round(struct attack *a)
{
	unsigned long was = a->tries;
	unsigned int tries = 0;
	int64_t before, after;
	int ret;

	pthread_barrier_wait(&a->begin);
	while (__atomic_load_n(&a->tries, __ATOMIC_RELAXED) == was)
		cpu_relax();
	do {
		pause_by_chance(&a->seed);
		ret = try_seal(a);
		tries++;
	} while (ret && tries < SEAL_TRIES);

	before = amount(a);
	if (!ret)
		__atomic_store_n(&a->sealed, true, __ATOMIC_RELEASE);
	cpu_relax();
	after = amount(a);
	__atomic_store_n(&a->over, true, __ATOMIC_RELEASE);
	pthread_barrier_wait(&a->end);

	TEST_ASSERT(!a->breaches, "it was done after the seal was set");
	TEST_ASSERT(ret || (after <= before && amount(a) <= after),
		    "it was being done when the seal was set: %ld, then %ld, then %ld",
		    before, after, amount(a));
	return tries;
}

static void new_inode(struct attack *a, struct machine *m)
{
	const struct contest *contest = a->contest;

	m->view = vm_create_guest_memfd(m->vm, PAGES * PAGE_SIZE, contest->flags);
	if (contest->full)
		TEST_ASSERT_EQ(populate_offset(m->view, 0, PAGES, NULL), (long)PAGES);
	if (contest->bound)
		machine_bind(m, 0);
	a->view = m->view;
	a->hand = contest->handle ? filler_of(m->view) : link_view(a->others[0], m->view);
	a->page = 0;
	a->there = 0;
	a->sealed = false;
	a->over = false;
}

static void drop_inode(struct attack *a, struct machine *m)
{
	if (a->contest->bound)
		machine_unbind(m);
	close(a->hand);
	machine_close_view(m);
}

static void hold(const struct contest *contest)
{
	unsigned int seconds = atoi(getenv("GMEM_TEST_SECONDS") ?: "3");
	struct attack a = { .contest = contest };
	unsigned long inodes = 0, seals = 0;
	struct timespec begin, now;
	struct machine *m;
	pthread_t thread;

	require_seals();
	m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);
	a.vcpu = m->vcpu;
	a.others[0] = idle_vm();
	a.others[1] = idle_vm();
	run_on(0);
	disturb();
	pthread_barrier_init(&a.begin, NULL, 2);
	pthread_barrier_init(&a.end, NULL, 2);
	TEST_ASSERT(!pthread_create(&thread, NULL, attacker, &a), "pthread_create");

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		new_inode(&a, m);
		seals += one_round(&a);
		drop_inode(&a, m);
		inodes++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < seconds);

	a.done = true;
	pthread_barrier_wait(&a.begin);
	pthread_join(thread, NULL);
	pr_info("%lu inodes, %lu tries to seal against %lu\n", inodes, seals, a.tries);
	TEST_ASSERT(a.tries > inodes && seals >= inodes, "nothing was tried");
}

#define HOLD(...)	hold(&(const struct contest){ __VA_ARGS__ })

/* From page to page, so that most tries cost no hole. */
static int fill_next(struct attack *a, long (*fill)(int view, uint64_t page))
{
	int err = fill(a->hand, a->page) < 0 ? errno : 0;

	TEST_ASSERT(!err || err == EPERM, "errno %d", err);
	if (!err && ++a->page == PAGES) {
		punch_pages(a->view, 0, PAGES);
		a->page = 0;
	}
	return err;
}

static long populate_page(int view, uint64_t page)
{
	return populate_offset(view, page, 1, NULL);
}

static long write_page(int view, uint64_t page)
{
	static char content[PAGE_SIZE];

	return pwrite(view, content, PAGE_SIZE, page * PAGE_SIZE);
}

static int act_populate(struct attack *a)
{
	return fill_next(a, populate_page);
}

static int act_write(struct attack *a)
{
	return fill_next(a, write_page);
}

static int64_t pages_more(int view)
{
	return resident(view);
}

static int64_t pages_less(int view)
{
	return -(int64_t)resident(view);
}

static int64_t views_more(int view)
{
	return fdinfo(view, "views");
}

static void write_against_populate(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_WRITE, .handle = true, .act = act_populate,
	     .amount = pages_more);
}

static void write_against_write(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_WRITE, .flags = WRITE_SHARED, .act = act_write,
	     .amount = pages_more);
}

/* One page that comes and goes, since the seal needs a moment without any. */
static int come_and_go(struct attack *a, int err)
{
	TEST_ASSERT(!err || err == EPERM, "errno %d", err);
	if (err)
		return err;
	comes(a);
	goes(a);
	punch_pages(a->view, 0, 1);
	return 0;
}

static int act_write_one(struct attack *a)
{
	return come_and_go(a, write_page(a->hand, 0) < 0 ? errno : 0);
}

static void guest_against_write(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_GUEST, .flags = WRITE_SHARED, .act = act_write_one,
	     .amount = pages_more);
}

/*
 * Which stays allowed, so that before and after can't be told apart; but the seal is
 * never set on a page that is there all the time.
 */
static int act_populate_one(struct attack *a)
{
	return come_and_go(a, populate_page(a->hand, 0) < 0 ? errno : 0);
}

static void guest_against_populate(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_GUEST, .handle = true, .act = act_populate_one,
	     .goes_on = true);
}

/* What a stage-2 fault does, without the time that the guest takes. */
static int act_guest_fault(struct attack *a)
{
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = PAGE_SIZE };

	return come_and_go(a, __vcpu_ioctl(a->vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0);
}

static void guest_against_guest_faults(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_GUEST, .flags = MMAP_SHARED, .bound = true,
	     .act = act_guest_fault, .goes_on = true);
}

/* Mapped, and sealed: one of the two should have been refused. */
static int act_map(struct attack *a, bool touch)
{
	volatile uint64_t *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				    a->hand, 0);

	if (p == MAP_FAILED) {
		TEST_ASSERT(errno == EPERM, "mmap: errno %d", errno);
		return EPERM;
	}
	comes(a);
	if (touch)
		*p = 1;
	for (int i = 0; i < 10; i++)
		a->breaches += is_sealed(a);
	goes(a);
	munmap((void *)p, PAGE_SIZE);
	if (touch)
		punch_pages(a->view, 0, 1);
	return 0;
}

static int act_mmap(struct attack *a)
{
	return act_map(a, false);
}

static int act_host_fault(struct attack *a)
{
	return act_map(a, true);
}

static void guest_against_mmap(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_GUEST, .flags = MMAP_SHARED, .act = act_mmap);
}

static void write_against_mmap(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_WRITE, .flags = MMAP_SHARED, .act = act_mmap);
}

static void guest_against_host_faults(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_GUEST, .flags = MMAP_SHARED, .act = act_host_fault,
	     .amount = pages_more);
}

static int act_share(struct attack *a)
{
	make_private(a->hand, 0, 1);
	return __convert(a->hand, 0, 1, 0, NULL) ? errno : 0;
}

/* Once it is sealed: to make shared what is shared is fine, and nothing else. */
static int64_t shared_more(int view)
{
	return !__convert(view, 0, 1, 0, NULL);
}

static void guest_against_sharing(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_GUEST, .flags = MMAP_SHARED, .act = act_share,
	     .amount = shared_more);
}

static int act_punch(struct attack *a)
{
	int ret;

	allocate_pages(a->hand, 0, 1);
	ret = fallocate(a->hand, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE_SIZE);
	TEST_ASSERT(!ret || errno == EPERM, "hole: errno %d", errno);
	return ret ? errno : 0;
}

static void shrink_against_holes(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_SHRINK, .act = act_punch, .amount = pages_less);
}

static int act_link(struct attack *a)
{
	int view = __link_view(a->others[1], a->hand);

	if (view < 0) {
		TEST_ASSERT(errno == EPERM, "link: errno %d", errno);
		return EPERM;
	}
	close(view);
	return 0;
}

static void link_against_links(void)
{
	HOLD(.seals = KVM_GMEM_SEAL_LINK | KVM_GMEM_SEAL_WRITE, .full = true, .act = act_link,
	     .amount = views_more);
}

static const struct claim claims[] = {
	CLAIM(guest_against_write, "GUEST: no page is written after the call that seals"),
	CLAIM(guest_against_mmap, "nor is one mapped, however they race"),
	CLAIM(guest_against_host_faults, "nor touched through a mapping"),
	CLAIM(guest_against_sharing, "nor made shared"),
	CLAIM(guest_against_populate, "nor is it set while a page that was populated is there"),
	CLAIM(guest_against_guest_faults, "or one that a guest touched"),
	CLAIM(write_against_populate, "WRITE: no page is populated after the call that seals"),
	CLAIM(write_against_write, "nor written"),
	CLAIM(write_against_mmap, "nor mapped"),
	CLAIM(shrink_against_holes, "SHRINK: no page goes after the call that seals"),
	CLAIM(link_against_links, "LINK: no view comes after the call that seals"),
};

CLAIMS_MAIN(claims);
