// SPDX-License-Identifier: MIT
/* What is demanded of speed; looked at by time, and by instructions. */
#include <string.h>

#include "demands.h"
#include "linux-guest.h"

#define GIB (1ULL << 30)
#define MIB (1ULL << 20)

const struct demand demands[] = {
	{ "link + bind of 4 GiB takes at most 2x of 4 MiB", "bind", "link + bind",
	  4 * GIB, 4 * MIB, NULL, 2.0 },
	{ "link + bind of 4 GiB, 64 MiB resident, takes at most 2x of 4 MiB", "bind",
	  "link + bind, 64 MiB resident", 4 * GIB, 4 * MIB, NULL, 2.0 },
	{ "setting every other page of 1 GiB at least 0.83 of stock's rate", "attrs",
	  "set every other page, a call", GIB, 0, NULL, 0.83 },
	{ "setting one page in 2 MiB of 4 GiB at least 0.83 of stock's rate", "attrs",
	  "set one page in 2 MiB, a call", 4 * GIB, 0, NULL, 0.83 },
	{ "setting one page, and back, at least 0.83 of stock's rate", "attrs",
	  "set one page, and back, a call", 4 * GIB, 0, NULL, 0.83 },
	{ "a new memslot of 1 GiB, every other page private, at least 0.83 of stock's rate",
	  "attrs", "new memslot, every other page", GIB, 0, NULL, 0.83 },
	{ "memory of 1 GiB's attributes, every other page, stock's to ours at least 0.83",
	  "attrs-bytes", "every other page", GIB, 0, NULL, 0.83 },
	{ "memory of 4 GiB's attributes, one page in 2 MiB, stock's to ours at least 0.83",
	  "attrs-bytes", "one page in 2 MiB", 4 * GIB, 0, NULL, 0.83 },
	{ "fault-in rate of 1 vCPU at least 0.95 of stock", "fault",
	  "first touch of a page, by vCPUs", 1, 0, NULL, 0.95 },
	{ "fault-in rate of 2 vCPUs at least 0.95 of stock", "fault",
	  "first touch of a page, by vCPUs", 2, 0, NULL, 0.95 },
	{ "moving 1 GiB, 64 MiB mapped, at most 1.2x of nothing mapped any more", "move",
	  "move, by what is mapped", 64 * MIB, GIB, "nothing mapped any more", 1.2 },
	{ "moving 1 GiB, all mapped, at most 1.2x of nothing mapped any more", "move",
	  "move, by what is mapped", GIB, GIB, "nothing mapped any more", 1.2 },
	{ "moving 64 GiB, one page in 2 MiB mapped, at most 1.2x of nothing mapped any more",
	  "move", "one page in 2 MiB mapped", 64 * GIB, 64 * GIB, "nothing mapped any more", 1.2 },
	{ "moving 1 GiB with vCPUs, all mapped, at most 1.2x of nothing mapped any more", "move",
	  "with vCPUs, by what is mapped", GIB, GIB, "with vCPUs, nothing mapped any more", 1.2 },
	{ "moving 1 GiB, all mapped, to a guest that has never run", "move",
	  "move, by what is mapped", GIB, GIB, "nothing mapped", 0 },
	{ "a guest's first touches, 2 MiB at a time, at least 5x of the rate of 4 KiB", "chunks",
	  "first touch by a guest, 2 MiB", 64 * MIB, 0, "first touch by a guest, 4 KiB", 5 },
	{ "the host's first touches, 2 MiB at a time, to the rate of 4 KiB", "chunks",
	  "first touch by the host, 2 MiB", 64 * MIB, 0, "first touch by the host, 4 KiB", 0 },
	{ "one page in 2 MiB to private at most 1.3x of that with 4 KiB", "chunks",
	  "to private, one page in 2 MiB, 2 MiB", 64 * MIB, 64 * MIB,
	  "to private, one page in 2 MiB, 4 KiB", 1.3 },
	{ "one page in 2 MiB to shared at most 1.3x of that with 4 KiB", "chunks",
	  "to shared, one page in 2 MiB, 2 MiB", 64 * MIB, 64 * MIB,
	  "to shared, one page in 2 MiB, 4 KiB", 1.3 },
	{ "populating 1 GiB by gpa at least 0.8 of memcpy's rate", "populate",
	  "populate by gpa", GIB, 0, "memcpy", 0.8 },
	{ "populating 1 GiB by handle at least 0.8 of memcpy's rate", "populate",
	  "populate by handle", GIB, 0, "memcpy", 0.8 },
	{ "populating 1 GiB by gpa at least 0.8 of memcpy's rate, 2 threads", "populate",
	  "populate by gpa, 2 threads", GIB, 0, "memcpy, 2 threads", 0.8 },
	{ "populating 1 GiB by handle, to memcpy's rate, with init_on_alloc=0",
	  "populate-uncleared", "populate by handle", GIB, 0, "memcpy", 0 },
	{ "populating 1 GiB by handle, to memcpy's rate into fresh pages of 4 KiB", "populate",
	  "populate by handle", GIB, 0, "memcpy, fresh pages of 4 KiB", 0 },
	{ "populating 1 GiB by handle, to memcpy's rate into fresh pages of 2 MiB", "populate",
	  "populate by handle", GIB, 0, "memcpy, fresh pages of 2 MiB", 0 },
	{ "populating 1 GiB by handle, to UFFDIO_COPY's rate", "populate",
	  "populate by handle", GIB, 0, "UFFDIO_COPY", 0 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), in order, 1 vCPU", "pager",
	  "pager, ring, in order", 1, 0, "userfaultfd, MISSING, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), in order, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, in order", 1, 0, "userfaultfd, MISSING, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), in order, 1 vCPU", "pager",
	  "pager, ring, in order", 1, 0, "userfaultfd, MINOR, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), in order, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, in order", 1, 0, "userfaultfd, MINOR, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), random, 1 vCPU", "pager",
	  "pager, ring, random", 1, 0, "userfaultfd, MISSING, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), random, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, random", 1, 0, "userfaultfd, MISSING, random", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), random, 1 vCPU", "pager",
	  "pager, ring, random", 1, 0, "userfaultfd, MINOR, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), random, 1 vCPU", "pager",
	  "pager, answers of 2 MiB, random", 1, 0, "userfaultfd, MINOR, random", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), in order, 2 vCPUs", "pager",
	  "pager, ring, in order", 2, 0, "userfaultfd, MISSING, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), in order, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, in order", 2, 0, "userfaultfd, MISSING, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), in order, 2 vCPUs", "pager",
	  "pager, ring, in order", 2, 0, "userfaultfd, MINOR, in order", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), in order, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, in order", 2, 0, "userfaultfd, MINOR, in order", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MISSING), random, 2 vCPUs", "pager",
	  "pager, ring, random", 2, 0, "userfaultfd, MISSING, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MISSING), random, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, random", 2, 0, "userfaultfd, MISSING, random", 5 },
	{ "pager's ring at least 1.5 of userfaultfd (MINOR), random, 2 vCPUs", "pager",
	  "pager, ring, random", 2, 0, "userfaultfd, MINOR, random", 1.5 },
	{ "pager's 2 MiB answers at least 5 of userfaultfd (MINOR), random, 2 vCPUs", "pager",
	  "pager, answers of 2 MiB, random", 2, 0, "userfaultfd, MINOR, random", 5 },
	{ "restoring a guest that has used 16 MiB: on demand, to all populated", "snapshot",
	  "on demand", 16 * MIB, 0, "populated before it runs", 0 },
	{ "restoring a guest that has used 160 MiB: on demand, to all populated", "snapshot",
	  "on demand", 160 * MIB, 0, "populated before it runs", 0 },
	{ "restoring a guest that has used 16 MiB: with its set, to on demand", "snapshot",
	  "on demand, with its working set", 16 * MIB, 0, "on demand", 0 },
	{ "restoring a guest that has used 160 MiB: with its set, to on demand", "snapshot",
	  "on demand, with its working set", 160 * MIB, 0, "on demand", 0 },
	{ "restoring one of 16 MiB: CPU time on demand, to all populated", "snapshot-cpu",
	  "on demand", 16 * MIB, 0, "populated before it runs", 0 },
	{ "restoring one of 160 MiB: CPU time on demand, to all populated", "snapshot-cpu",
	  "on demand", 160 * MIB, 0, "populated before it runs", 0 },
	{ "gmem run: start to the guest's first process, at least QEMU's rate", "linux-start",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: an idle guest's exits, QEMU's to ours at least 1", "linux-idle-exits",
	  "gmem run", LINUX_IDLE, 0, "QEMU microvm", 1 },
	{ "gmem run: memory of the VMM, QEMU's to ours at least 1", "linux-memory-bytes",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: reads of 4 KiB in order, at least QEMU's rate", "linux-read-in-order",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: reads of 4 KiB at random, at least QEMU's rate", "linux-read-random",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: writes of 4 KiB in order, at least QEMU's rate", "linux-write-in-order",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: writes of 4 KiB at random, at least QEMU's rate", "linux-write-random",
	  "gmem run", 1, 0, "QEMU microvm", 1 },
	{ "gmem run: TCP from the guest by a tap, at least 0.9 of QEMU's rate",
	  "linux-tcp-from-guest", "gmem run", LINUX_STREAM, 0, "QEMU microvm", 0.9 },
	{ "gmem run: TCP to the guest by a tap, at least 0.9 of QEMU's rate",
	  "linux-tcp-to-guest", "gmem run", LINUX_STREAM, 0, "QEMU microvm", 0.9 },
	{ "gmem pager on a slow disk: all of 64 MiB, by io_uring, to pread(2)", "disk-all",
	  "uring", 64 * MIB, 0, "read", 0 },
	{ "gmem pager on a slow disk: on demand by 16 pages, in order, by io_uring, to pread(2)",
	  "disk-demand", "uring, in order", 16, 0, "read, in order", 0 },
	{ "gmem pager on a slow disk: on demand by 16 pages, random, by io_uring, to pread(2)",
	  "disk-demand", "uring, random", 16, 0, "read, random", 0 },
	{ "gmem pager on a slow disk: one read, p50, by io_uring, to pread(2)", "disk-p50",
	  "uring, nothing else is read", 1, 0, "read, nothing else is read", 0 },
	{ "gmem pager on a slow disk: one read while all is given, p50", "disk-p50",
	  "uring, while all is given", 1, 0, "read, while all is given", 0 },
	{ "gmem pager on a slow disk: one read while all is given, p99", "disk-p99",
	  "uring, while all is given", 1, 0, "read, while all is given", 0 },
};

const size_t nr_demands = sizeof(demands) / sizeof(demands[0]);

const char *const clock_suffixes[NR_CLOCKS] = { "", "-instructions" };

const struct demand *demand_find(const char *text)
{
	size_t i;

	for (i = 0; i < nr_demands; i++)
		if (!strcmp(demands[i].text, text))
			return &demands[i];
	return NULL;
}

int demand_ratio(const struct samples *s, const struct demand *d, const char *suffix,
		 struct ratio *ratio)
{
	const struct point *p, *base;
	char measurement[64];

	snprintf(measurement, sizeof(measurement), "%s%s", d->measurement, suffix);
	p = samples_find(s, measurement, d->series, d->x);
	if (!p)
		return -1;
	if (!d->base_x && !d->base_series)
		return ratio_of(&p->times[STOCK], &p->times[OURS], ratio);
	base = samples_find(s, measurement, d->base_series ? : d->series, d->base_x ? : d->x);
	if (!base)
		return -1;
	return d->base_x ? ratio_of(&p->times[OURS], &base->times[OURS], ratio) :
			   ratio_of(&base->times[OURS], &p->times[OURS], ratio);
}

int demand_is_met(const struct demand *d, const struct ratio *ratio, double limit)
{
	return d->base_x ? ratio->median <= limit : ratio->median >= limit;
}
