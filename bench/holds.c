// SPDX-License-Identifier: MIT
/*
 * How long changes of attributes hold a VM's mmu_lock at a stretch, where each 2 MiB is private in
 * one page: by probes at the lock's functions, with nobody else who wants the lock, and with a
 * thread that does all the time.
 *
 * A sample is one change's longest hold, and how many holds it had. Probes make each some
 * thousands of instructions longer. On one CPU nobody waits for a lock that spins: --smp 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 2
#define HUGE (2 * MIB)
#define TRACING "/sys/kernel/tracing/"
#define PROBES TRACING "events/kprobes/"

static const uint64_t sizes[] = { 16 * GIB, 64 * GIB, 256 * GIB };

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void *host;

static void set_file(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);

	if (fd < 0)
		must(-errno, path);
	if (write(fd, text, strlen(text)) < 0)
		must(-errno, path);
	close(fd);
}

/* Only this thread's, with time stamps that do not depend on the CPU. */
static void start_tracing(void)
{
	char tid[16];

	snprintf(tid, sizeof(tid), "%ld", syscall(SYS_gettid));
	set_file(TRACING "kprobe_events", "p:asks _raw_write_lock lock=%di\n", O_TRUNC);
	set_file(TRACING "kprobe_events", "r:takes _raw_write_lock\n", O_APPEND);
	set_file(TRACING "kprobe_events", "p:gives _raw_write_unlock lock=%di\n", O_APPEND);
	set_file(TRACING "set_event_pid", tid, O_TRUNC);
	set_file(TRACING "buffer_size_kb", "16384", 0);
	set_file(TRACING "trace_clock", "mono", 0);
}

/* Microseconds from the stamp in front of an event's name, as in " 12.345678: asks: ". */
static bool parse(const char *line, const char *event, double *us, uint64_t *lock)
{
	const char *name = strstr(line, event), *field, *stamp;

	if (!name)
		return false;
	for (stamp = name; stamp > line && strchr("0123456789.:", stamp[-1]); stamp--)
		continue;
	*us = strtod(stamp, NULL) * 1e6;
	field = strstr(name, "lock=");
	if (field)
		*lock = strtoull(field + strlen("lock="), NULL, 16);
	return true;
}

/* The longest and the number of holds, of the lock that was held most often. */
static void collect(uint64_t size, const char *series)
{
	static struct {
		uint64_t lock;
		double longest, since;
		unsigned int n;
	} locks[64];
	FILE *trace = fopen(TRACING "trace", "re");
	uint64_t lock = 0, asked = 0;
	size_t i, most = 0, used = 0;
	char line[512];
	double us;

	if (!trace)
		must(-errno, TRACING "trace");
	memset(locks, 0, sizeof(locks));
	while (fgets(line, sizeof(line), trace)) {
		bool takes = false;

		if (parse(line, " asks: ", &us, &asked))
			continue;
		takes = parse(line, " takes: ", &us, &lock);
		if (!takes && !parse(line, " gives: ", &us, &lock))
			continue;
		if (takes)
			lock = asked;
		for (i = 0; i < used && locks[i].lock != lock; i++)
			continue;
		if (i == sizeof(locks) / sizeof(locks[0]))
			continue;
		if (i == used)
			used++;
		locks[i].lock = lock;
		if (takes) {
			locks[i].since = us;
		} else if (locks[i].since) {
			locks[i].n++;
			if (us - locks[i].since > locks[i].longest)
				locks[i].longest = us - locks[i].since;
		}
		if (locks[i].n > locks[most].n)
			most = i;
	}
	fclose(trace);
	sample("holds-longest", series, size, locks[most].longest * 1000);
	sample("holds", series, size, locks[most].n);
}

/* Somebody who wants mmu_lock, by a notifier of the memory behind a memslot. */
static atomic_bool stop;
static atomic_uint turns;

static void *want_lock(void *page)
{
	while (!stop) {
		*(volatile char *)page = 1;
		if (madvise(page, PAGE, MADV_DONTNEED))
			must(-errno, "madvise");
		turns++;
	}
	return NULL;
}

static void measure(uint64_t size, bool wanted)
{
	pthread_t thread;
	int vm = create_vm();
	uint64_t offset;
	void *page;

	page = mmap(host, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (page == MAP_FAILED)
		must(-errno, "mmap");
	add_slot_without_gmem(vm, size, host);
	for (offset = 0; offset < size; offset += HUGE)
		set_attributes(vm, offset, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE);

	stop = false;
	turns = 0;
	if (wanted && pthread_create(&thread, NULL, want_lock, page))
		must(-EAGAIN, "thread");
	while (wanted && !turns)
		usleep(1000);
	set_file(TRACING "trace", "", O_TRUNC);
	set_file(PROBES "enable", "1", 0);
	set_attributes(vm, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	set_file(PROBES "enable", "0", 0);
	stop = true;
	if (wanted)
		pthread_join(thread, NULL);
	collect(size, wanted ? "set all, somebody wants the lock" : "set all, nobody else");
	close(vm);
}

int main(void)
{
	size_t i, round;

	host = reserve_addresses(sizes[NR_SIZES - 1]);
	start_tracing();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++) {
			measure(sizes[i], false);
			measure(sizes[i], true);
		}
	}
	return 0;
}
