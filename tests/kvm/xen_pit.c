// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen event channels that a PIT raises: by a kernel thread, which the host's administrator may
 * have given SCHED_FIFO. It waits for nobody, and does not spin, either: whoever has what it
 * needs may want the same CPU.
 */
#include <dirent.h>
#include <sched.h>

#include "blocked_page.h"
#include "claims.h"
#include "paging.h"
#include "private.h"
#include "xenevents.h"

#define SHARED_PAGE	3
#define VCPU_PAGE	4
#define PORT		70
#define PIT_COUNT	65535	/* of 1193182 Hz: 18 interrupts a second */
#define LOOK_SECONDS	2
#define CPU		0	/* of all three */

static struct machine *m;

static void begin(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = page_gpa(VCPU_PAGE),
	};
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	struct kvm_pit_config config = { 0 };

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	m = private_create(PAGING_PAGES).m;
	xen_configure(m->vm);
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	vcpu_ioctl(m->vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
	xen_route(m->vm, 0, PORT);
	vm_ioctl(m->vm, KVM_CREATE_PIT2, &config);
	vm_ioctl(m->vm, KVM_REINJECT_CONTROL, &control);
}

static void start_pit(void)
{
	struct kvm_pit_state2 pit = { .channels[0] = { .count = PIT_COUNT, .mode = 2, .gate = 1 } };

	vm_ioctl(m->vm, KVM_SET_PIT2, &pit);
}

/* The first line of a file of /proc/@pid. */
static bool read_line(const char *pid, const char *name, char *line, size_t size)
{
	char path[300];
	bool has;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	f = fopen(path, "r");
	has = f && fgets(line, size, f);
	if (f)
		fclose(f);
	return has;
}

/* Of this process's VM: it has the process's id in its name. */
static pid_t pit_thread(void)
{
	char wanted[32], comm[32];
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	pid_t pid = 0;

	snprintf(wanted, sizeof(wanted), "kvm-pit/%d\n", getpid());
	while (!pid && (entry = readdir(proc))) {
		if (read_line(entry->d_name, "comm", comm, sizeof(comm)) && !strcmp(comm, wanted))
			pid = atoi(entry->d_name);
	}
	closedir(proc);
	TEST_ASSERT(pid, "no thread %s", wanted);
	return pid;
}

static void bind(pid_t tid)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(CPU, &cpus);
	TEST_ASSERT(!sched_setaffinity(tid, sizeof(cpus), &cpus), "affinity: errno %d", errno);
}

/* Seconds of the CPU that it had. */
static double cpu_time(pid_t tid)
{
	char pid[16], line[64];

	snprintf(pid, sizeof(pid), "%d", tid);
	TEST_ASSERT(read_line(pid, "schedstat", line, sizeof(line)), "schedstat of %s", pid);
	return strtoull(line, NULL, 10) / 1e9;
}

static void *share_blocked_page(void *blocked)
{
	bind(0);
	xen_shared_page_at(m->vm, ((struct blocked_page *)blocked)->page);
	return NULL;
}

/* An ioctl that says where the page is has the mutex of its cache, and waits in a host fault. */
static void beside_activation(void)
{
	struct sched_param param = { .sched_priority = 10 };
	struct blocked_page blocked;
	pthread_t thread;
	double had;
	pid_t pit;

	begin();
	blocked_page_init(&blocked);
	pthread_create(&thread, NULL, share_blocked_page, &blocked);
	blocked_page_wait(&blocked);
	start_pit();
	pit = pit_thread();
	bind(pit);
	TEST_ASSERT(!sched_setscheduler(pit, SCHED_FIFO, &param), "SCHED_FIFO: errno %d", errno);
	had = cpu_time(pit);
	sleep(LOOK_SECONDS);
	had = cpu_time(pit) - had;
	printf("the PIT's thread had the CPU for %.3f of %d s\n", had, LOOK_SECONDS);
	TEST_ASSERT(had < LOOK_SECONDS / 2.0, "%.3f of %d s", had, LOOK_SECONDS);

	blocked_page_let_go(&blocked, NULL, 0);
	pthread_join(thread, NULL);
	machine_call(m, guest_look, VCPU_PAGE, 0, 0);
	TEST_ASSERT_EQ(((uint64_t *)blocked.page)[XEN_PENDING + PORT / 64], 1ULL << PORT % 64);
}

static const struct claim claims[] = {
	CLAIM(beside_activation,
	      "a PIT's thread does not spin for an ioctl that says where the page is"),
};

CLAIMS_MAIN(claims);
