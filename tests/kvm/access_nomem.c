// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own accesses at the limit of the memory cgroup, where nothing can be
 * reclaimed or killed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "cgroup.h"
#include "claims.h"
#include "kvm_access.h"

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

static const struct claim claims[] = {
	CLAIM(reads, "an emulated read waits for memory, and is no MMIO"),
	CLAIM(writes, "so does a write"),
	CLAIM(exchanges, "and a compare and exchange"),
};

CLAIMS_MAIN(claims);
