// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves whose destination takes the source's stage-2 tables, a long chain of them, while both
 * vCPUs run and other threads take pages away in every way there is.
 *
 * What an invalidation has missed would stay mapped for good. So each of those threads has
 * pages of its own, which the guest looks at all the time, and waits until the guest has seen
 * what was done to them.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "claims.h"
#include "machine.h"
#include "poison.h"
#include "populate.h"
#include "runner.h"
#include "successor.h"
#include "tracing.h"

#define VCPUS		2
#define OWN		96	/* pages of each vCPU, which stay */
#define LOOSE		64	/* pages that holes take at random */
#define SHOWN		8	/* pages in which the host shows a number, and another one */
#define BAD		2	/* pages that go bad */
#define OPEN		2	/* pages that become shared, and private again */

#define FIRST_LOOSE	(VCPUS * OWN)
#define FIRST_SHOWN	(FIRST_LOOSE + LOOSE)
#define FIRST_BAD	(FIRST_SHOWN + SHOWN)
#define FIRST_OPEN	(FIRST_BAD + BAD)
#define PAGES		(FIRST_OPEN + OPEN)

#define WORDS		(PAGE_SIZE / sizeof(uint64_t))
#define TAG(page)	(0x7a60000000000000 | (page))

/* ---- The guest's side */

static volatile uint64_t rounds[VCPUS], shown[SHOWN];

static volatile uint64_t *page_at(uint64_t page)
{
	return (volatile uint64_t *)(MACHINE_GVA + page * PAGE_SIZE);
}

/* Counts up in three words of a page, which nobody else changes. */
static void count_in(uint64_t page, uint64_t n)
{
	volatile uint64_t *p = page_at(page);

	for (unsigned int word = 0; word < WORDS; word += WORDS / 2 - 1) {
		uint64_t want = n ? n << 16 | page : 0;

		__GUEST_ASSERT(p[word] == want, "page %lu word %u is %lx, not %lx", page, word,
			       p[word], want);
		p[word] = (n + 1) << 16 | page;
	}
}

/* Zero, or what belongs to the page and to no other. */
static void look_at(uint64_t page)
{
	volatile uint64_t *p = page_at(page);

	for (unsigned int word = 0; word < WORDS; word += WORDS / 2 - 1) {
		uint64_t is = p[word];

		__GUEST_ASSERT(!is || is == TAG(page), "page %lu word %u is %lx", page, word, is);
		p[word] = TAG(page);
	}
}

static void check_memory(uint64_t me)
{
	for (uint64_t n = 0; ; n++) {
		for (uint64_t i = 0; i < OWN; i++)
			count_in(me * OWN + i, n);
		for (uint64_t i = 0; i < LOOSE; i++)
			look_at(FIRST_LOOSE + i);
		for (uint64_t i = 0; !me && i < SHOWN; i++)
			shown[i] = *page_at(FIRST_SHOWN + i);
		for (uint64_t i = 0; !me && i < BAD + OPEN; i++)
			look_at(FIRST_BAD + i);
		rounds[me] = n;
		outl(0x80, 0);
	}
}

/* ---- The VMs, one after the other */

/**
 * struct world - what all threads know
 * @vcpus: of the VM that has the guest
 * @used: by each runner at the moment
 * @view: of that VM
 * @control: a view of a VM without a guest
 * @lock: held for writing while one VM takes the place of another
 * @faults: how often vCPU 0 left with a memory fault
 * @errors: how often it left because of a bad page
 * @stop: all threads end
 */
static struct {
	struct kvm_vcpu *_Atomic vcpus[VCPUS];
	struct kvm_vcpu *_Atomic used[VCPUS];
	int view;
	int control;
	pthread_rwlock_t lock;
	atomic_ulong faults;
	atomic_ulong errors;
	atomic_bool stop;
} world = { .lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP };

static bool stopped(void)
{
	return atomic_load(&world.stop);
}

static void bind_view(struct kvm_vm *vm, int view)
{
	vm_set_user_memory_region2(vm, MACHINE_SLOT, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
				   PAGES * PAGE_SIZE, NULL, view, 0);
}

static void first_vm(void)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SW_PROTECTED_VM };
	struct kvm_vm *vm = __vm_create(shape, VCPUS, PAGES);

	for (uint64_t i = 0; i < VCPUS; i++) {
		struct kvm_vcpu *vcpu = vm_vcpu_add(vm, i, check_memory);

		vcpu_args_set(vcpu, 1, i);
		atomic_store(&world.vcpus[i], vcpu);
	}
	virt_map(vm, MACHINE_GVA, MACHINE_GPA, PAGES);
	world.view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, 0);
	bind_view(vm, world.view);
	vm_mem_set_private(vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	world.control = link_view(idle_vm(), world.view);
}

static void left(struct kvm_vcpu *vcpu, uint64_t id, int err)
{
	struct ucall uc;

	switch (err) {
	case 0:
		if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == 0x80)
			return;
		if (get_ucall(vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_FAIL("exit reason %u", vcpu->run->exit_reason);
		break;
	case EFAULT:
		if (!id)
			atomic_fetch_add(&world.faults, 1);
		sched_yield();
		break;
	case EHWPOISON:
		if (!id)
			atomic_fetch_add(&world.errors, 1);
		sched_yield();
		break;
	case EINTR:
	case EAGAIN:
		break;
	case EIO:
		usleep(100);
		break;
	default:
		TEST_FAIL("KVM_RUN: errno %d (%s)", err, strerror(err));
	}
}

static void *run(void *arg)
{
	uint64_t id = (uintptr_t)arg;

	while (!stopped()) {
		struct kvm_vcpu *vcpu = atomic_load(&world.vcpus[id]);

		atomic_store(&world.used[id], vcpu);
		/* It may have been replaced, and freed, in between. */
		if (vcpu == atomic_load(&world.vcpus[id]))
			left(vcpu, id, run_once(vcpu));
	}
	return NULL;
}

static void wait_for_runners(struct kvm_vcpu **vcpus)
{
	for (int i = 0; i < VCPUS; i++) {
		while (atomic_load(&world.used[i]) != vcpus[i])
			usleep(50);
	}
}

/* To a VM of its own. Returns whether that one has taken the tables. */
static bool move_on(void)
{
	struct kvm_vm *src = world.vcpus[0]->vm, *dst = successor_vm(src);
	struct kvm_vcpu *heirs[VCPUS];
	int view = link_view(dst, world.view);
	bool taken;

	bind_view(dst, view);
	for (int i = 0; i < VCPUS; i++)
		heirs[i] = successor_vcpu(dst, world.vcpus[i], i);
	/* So that it can be asked when it is dead. */
	vm_get_stat(src, "pages_4k");
	while (__move_vcpus(dst, src))
		TEST_ASSERT(errno == EBUSY, "move: errno %d (%s)", errno, strerror(errno));
	taken = !vm_get_stat(src, "pages_4k");

	pthread_rwlock_wrlock(&world.lock);
	for (int i = 0; i < VCPUS; i++)
		atomic_store(&world.vcpus[i], heirs[i]);
	close(world.view);
	world.view = view;
	pthread_rwlock_unlock(&world.lock);
	wait_for_runners(heirs);
	close(src->stats_fd);
	close_vm(src);
	return taken;
}

/* ---- What takes pages away */

static uint64_t any(uint64_t n, unsigned int *seed)
{
	return rand_r(seed) % n;
}

static void *punch_loose_pages(void *arg)
{
	unsigned int seed = 1;

	for (; !stopped(); usleep(any(2000, &seed))) {
		uint64_t first = any(LOOSE, &seed);

		punch_pages(world.control, FIRST_LOOSE + first, 1 + any(LOOSE - first, &seed));
	}
	return arg;
}

static void *populate_loose_pages(void *arg)
{
	int filler = filler_of(world.control);
	uint64_t *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	unsigned int seed = 2;

	for (; !stopped(); usleep(any(500, &seed))) {
		uint64_t i = FIRST_LOOSE + any(LOOSE, &seed);

		for (unsigned int word = 0; word < WORDS; word++)
			page[word] = TAG(i);
		TEST_ASSERT(populate_offset(filler, i, 1, page) == 1 || errno == EEXIST,
			    "populate: errno %d", errno);
	}
	return arg;
}

/* What is waited for comes within seconds, or never. */
#define WAIT_FOR(what)								\
do {										\
	for (int ms = 0; !(what) && !stopped(); ms++) {				\
		TEST_ASSERT(ms < 20000 * (int)claim_slowness(),			\
			    "the guest never sees it: " #what);			\
		usleep(1000);							\
	}									\
} while (0)

/* A hole, then a page with another number: the guest sees it, and not the one before. */
static void *show_numbers(void *arg)
{
	volatile uint64_t *see = *GUEST_VARIABLE(world.vcpus[0]->vm, shown);
	uint64_t *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE), number = 0;
	int filler = filler_of(world.control);
	unsigned int seed = 3;

	for (; !stopped(); usleep(any(1000, &seed))) {
		uint64_t i = any(SHOWN, &seed);

		page[0] = ++number;
		do {
			punch_pages(world.control, FIRST_SHOWN + i, 1);
		} while (populate_offset(filler, FIRST_SHOWN + i, 1, page) != 1);
		WAIT_FOR(see[i] == number);
	}
	pr_info("%lu numbers were shown\n", number);
	return arg;
}

/*
 * The frame of a page that only this thread takes away, once the guest has it. A fault that is
 * recorded after the hole is of the new page; a moment later also one that had found the old one
 * has started over.
 */
static uint64_t fresh_frame(uint64_t page, uint64_t ino)
{
	char match[64];

	snprintf(match, sizeof(match), "pgoff 0x%lx", page);
	for (int ms = 0; !stopped(); ms += 10) {
		TEST_ASSERT(ms < 20000 * (int)claim_slowness(), "the guest has no new page");
		punch_pages(world.control, page, 1);
		trace_clear();
		usleep(10000);
		if (trace_count("gmem_fault", match)) {
			usleep(5000);
			return trace_fault_pfn(ino, page);
		}
	}
	return 0;
}

static void *have_pages_go_bad(void *arg)
{
	unsigned long before, bad = 0;
	unsigned int seed = 4;
	int fd = poison_open();
	struct stat st;
	uint64_t pfn;

	TEST_ASSERT(!fstat(world.control, &st), "fstat");
	for (; !stopped(); usleep(any(20000, &seed))) {
		uint64_t page = FIRST_BAD + any(BAD, &seed);

		pfn = fresh_frame(page, st.st_ino);
		if (!pfn)
			break;
		TEST_ASSERT(poison_pfn(fd, pfn), "memory failure: errno %d", errno);
		/* One that ran meanwhile may have been on its way. */
		before = atomic_load(&world.errors);
		WAIT_FOR(atomic_load(&world.errors) > before + 1);
		punch_pages(world.control, page, 1);
		bad++;
	}
	pr_info("%lu pages went bad\n", bad);
	return arg;
}

static bool set_attributes(uint64_t page, uint64_t attributes)
{
	struct kvm_memory_attributes attrs = {
		.address = MACHINE_GPA + page * PAGE_SIZE,
		.size = PAGE_SIZE,
		.attributes = attributes,
	};
	int r;

	pthread_rwlock_rdlock(&world.lock);
	r = __vm_ioctl(world.vcpus[0]->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs);
	TEST_ASSERT(!r || errno == EIO, "attributes: errno %d", errno);
	pthread_rwlock_unlock(&world.lock);
	return !r;
}

static void *open_pages(void *arg)
{
	unsigned long before, opened = 0;
	unsigned int seed = 5;

	for (; !stopped(); usleep(any(3000, &seed))) {
		uint64_t page = FIRST_OPEN + any(OPEN, &seed);

		while (!set_attributes(page, 0))
			usleep(100);
		before = atomic_load(&world.faults);
		WAIT_FOR(atomic_load(&world.faults) > before + 1);
		while (!set_attributes(page, KVM_MEMORY_ATTRIBUTE_PRIVATE))
			usleep(100);
		opened++;
	}
	pr_info("%lu pages were shared for a while\n", opened);
	return arg;
}

/* Each change zaps all VMs, one after the other. */
static void *change_nx_huge_pages(void *arg)
{
	int fd = open("/sys/module/kvm/parameters/nx_huge_pages", O_WRONLY);

	for (int i = 0; fd >= 0 && !stopped(); i++) {
		const char *value = i & 1 ? "off" : "force";

		TEST_ASSERT(write(fd, value, strlen(value)) > 0, "nx_huge_pages: errno %d", errno);
		lseek(fd, 0, SEEK_SET);
		usleep(100000);
	}
	TEST_ASSERT(fd < 0 || write(fd, "off", 3) == 3, "nx_huge_pages");
	return arg;
}

/* Frames that were the guest's are this process's now. */
static void *use_frames(void *arg)
{
	const size_t size = 1 << 20;

	for (; !stopped(); usleep(1000)) {
		uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		TEST_ASSERT(p != MAP_FAILED, "mmap");
		memset(p, 0x3c, size);
		usleep(500);
		for (size_t i = 0; i < size / sizeof(*p); i++)
			TEST_ASSERT(p[i] == 0x3c3c3c3c3c3c3c3c, "somebody wrote %lx", p[i]);
		munmap(p, size);
	}
	return arg;
}

static void chain_of(unsigned int moves)
{
	void *(*const others[])(void *) = {
		punch_loose_pages, populate_loose_pages, show_numbers, have_pages_go_bad,
		open_pages, change_nx_huge_pages, use_frames,
	};
	pthread_t runners[VCPUS], threads[ARRAY_SIZE(others)];
	volatile uint64_t *done;
	unsigned int taken = 0;
	uint64_t before[VCPUS];

	require_move_vcpus();
	trace_start("gmem_fault");
	first_vm();
	done = *GUEST_VARIABLE(world.vcpus[0]->vm, rounds);
	for (size_t i = 0; i < VCPUS; i++)
		pthread_create(&runners[i], NULL, run, (void *)i);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		pthread_create(&threads[i], NULL, others[i], NULL);

	for (unsigned int i = 0; i < moves; i++) {
		for (int j = 0; j < VCPUS; j++)
			before[j] = done[j];
		taken += move_on();
		/* It runs on both sides of each move. */
		for (int j = 0; j < VCPUS; j++)
			WAIT_FOR(done[j] > before[j]);
	}
	atomic_store(&world.stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < VCPUS; i++)
		pthread_join(runners[i], NULL);
	pr_info("%u moves, of which %u took tables; %lu and %lu rounds\n", moves, taken, done[0],
		done[1]);
	TEST_ASSERT(taken > moves / 4, "only %u of %u moves took tables", taken, moves);
}

static void chain(void)
{
	/* A slow kernel takes seconds for each: nine threads want the CPU besides. */
	chain_of(claim_slowness() > 1 ? 20 : 1000);
}

static const struct claim claims[] = {
	SLOW_CLAIM(chain, 600,
		   "in moves of running vCPUs nothing that was taken away stays mapped"),
};

CLAIMS_MAIN(claims);
