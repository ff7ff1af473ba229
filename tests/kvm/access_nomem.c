// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses at the limit of the memory cgroup, where nothing can be
 * reclaimed or killed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroup.h"
#include "claims.h"
#include "kvm_access.h"
#include "moving.h"

static int limit;		/* memory.max of this process's group, open */
static volatile bool go;	/* the vCPU's thread, which is there before the limit */

static void *run_thread(void *arg)
{
	struct kvm_access *o = arg;

	while (!go)
		usleep(1000);
	o->err = ioctl(o->m->vcpu->fd, KVM_RUN, NULL) ? errno : 0;
	o->done = true;
	return NULL;
}

static void set_limit(const char *text)
{
	TEST_ASSERT(write(limit, text, strlen(text)) == (ssize_t)strlen(text), "errno %d", errno);
}

/* A group for this process; nobody of it may be killed for its limit. */
static void enter_group(void)
{
	const char *group;

	cgroups_begin();
	group = cgroup_create("own-nomem");
	write_file("/proc/self/oom_score_adj", "-1000");
	cgroup_enter(group);
	limit = open(cgroup_path(group, "memory.max"), O_WRONLY);
	TEST_ASSERT(limit >= 0, "no memory.max");
}

/* A guest of which all is there that it needs for such an access, but page 3. */
static struct kvm_access create(void)
{
	struct kvm_access o = { };

	enter_group();
	allow_forced_emulation();
	o.p = private_create(PAGING_PAGES);
	o.m = o.p.m;
	TEST_ASSERT_EQ(machine_call(o.m, guest_kvm_read, 1, 0, 0), 0UL);
	return o;
}

/* One KVM_RUN of @fn, for which there is no memory for a while. */
static void run_short_of_memory(struct kvm_access *o, void *fn, uint64_t a, uint64_t b)
{
	machine_prepare(o->m, fn, a, b, 0);
	TEST_ASSERT(!pthread_create(&o->thread, NULL, run_thread, o), "thread");
	TEST_ASSERT(!mlockall(MCL_CURRENT), "mlockall: errno %d", errno);
	set_limit("0");
	go = true;
	usleep(300000);
	set_limit("max");
}

static void reads(void)
{
	struct kvm_access o = create();

	run_short_of_memory(&o, guest_kvm_read, 3, 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), 0UL);
}

static void writes(void)
{
	struct kvm_access o = create();

	run_short_of_memory(&o, guest_kvm_write, 3, 0x1234);
	kvm_access_result(&o);
	TEST_ASSERT_EQ(machine_call(o.m, guest_kvm_read, 3, 0, 0), 0x1234UL);
}

static void exchanges(void)
{
	struct kvm_access o = create();

	run_short_of_memory(&o, guest_kvm_exchange, 3, 0);
	TEST_ASSERT_EQ(kvm_access_result(&o), 0UL);
	TEST_ASSERT_EQ(machine_call(o.m, guest_kvm_read, 3, 0, 0), ~0UL);
}

/* A process that is not in the group, and sees when a thread of this one waits for memory. */
static struct watch {
	volatile pid_t tid;
	volatile bool asleep;
} *watch;

static void watch_start(void)
{
	watch = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(watch != MAP_FAILED, "mmap");
	if (fork())
		return;
	while (!watch->tid)
		usleep(1000);
	wait_asleep(watch->tid, "gmem_get_pfn_or_wait");
	watch->asleep = true;
	_exit(0);
}

static void watch_wait(pthread_t thread)
{
	double until = 0;

	watch->tid = thread_id(thread);
	while (!watch->asleep)
		TEST_ASSERT(claim_is_patient(&until), "the access does not wait");
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* The vCPU's mutex is held as long as there is no memory, and both VMs' vCPUs stand still. */
static void move_is_busy(void)
{
	struct kvm_access o = { };
	double took, least = 1e9;
	struct machine *b;
	int ret, err;

	require_move();
	watch_start();
	enter_group();
	allow_forced_emulation();
	o.m = machine_create(PAGING_PAGES);
	guest_write(o.m, 0, 3, 1);
	TEST_ASSERT_EQ(machine_call(o.m, guest_kvm_read, 1, 0, 0), pattern_word(1, 1, 0));
	b = destination(o.m);

	machine_prepare(o.m, guest_kvm_read, 3, 0, 0);
	TEST_ASSERT(!pthread_create(&o.thread, NULL, run_thread, &o), "thread");
	TEST_ASSERT(!mlockall(MCL_CURRENT), "mlockall: errno %d", errno);
	set_limit("0");
	go = true;
	watch_wait(o.thread);
	for (int i = 0; i < 3; i++) {
		took = now();
		ret = __move(b->vm, o.m->vm->fd);
		err = errno;
		took = now() - took;
		least = min(least, took);
		if (ret != -1 || err != EBUSY)
			break;
	}
	TEST_ASSERT(!o.done, "the access is done");
	set_limit("max");
	TEST_ASSERT(ret == -1 && err == EBUSY, "the move returned %d, errno %d", ret, err);
	TEST_ASSERT(least < 1, "it took %f s", least);

	/* Nothing has happened: A goes on, and B is as good a destination as before. */
	TEST_ASSERT_EQ(kvm_access_result(&o), 0UL);
	guest_expect(o.m, 0, 3, 1);
	guest_write(o.m, 3, 2, 2);
	move(b, o.m);
	guest_expect(b, 0, 3, 1);
	guest_expect(b, 3, 2, 2);
}

static const struct claim claims[] = {
	CLAIM(reads, "an emulated read waits for memory, and is no MMIO"),
	CLAIM(writes, "so does a write"),
	CLAIM(exchanges, "and a compare and exchange"),
	CLAIM(move_is_busy, "a move meanwhile is EBUSY within a second, both VMs are as before"),
};

CLAIMS_MAIN(claims);
