// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves of SEV and SEV-ES guests from one misc cgroup to another: a guest is
 * charged to the cgroup of the process that requested the move.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kvm/lib/claims.h"
#include "expect.h"
#include "firmware.h"
#include "pair.h"

#define ROOT	"/sys/fs/cgroup"

static void cgroup_write(const char *cgroup, const char *file, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), ROOT "%s/%s", cgroup, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* The process joins it. */
static void join(const char *cgroup)
{
	char path[128], pid[16];

	snprintf(path, sizeof(path), ROOT "%s", cgroup);
	EXPECT(!mkdir(path, 0755) || errno == EEXIST);
	snprintf(pid, sizeof(pid), "%d", getpid());
	cgroup_write(cgroup, "cgroup.procs", pid);
}

static void expect_charged(const char *cgroup, bool es, long guests)
{
	struct charges charges = charges_of(cgroup);

	EXPECT_EQ(charges.sev, es ? 0 : guests);
	EXPECT_EQ(charges.sev_es, es ? guests : 0);
}

/* A guest that belongs to /gmem-a, while the process is in /gmem-b. */
static void create_elsewhere(struct pair *p, bool es)
{
	open_sev();
	cgroup_write("", "cgroup.subtree_control", "+misc");
	join("/gmem-a");
	pair_create(p, es ? PAIR_ES : 0, 1);
	expect_charged("/gmem-a", es, 1);
	join("/gmem-b");
	cgroup_write("/gmem-b", "misc.max", "sev max");
	cgroup_write("/gmem-b", "misc.max", "sev_es max");
	expect_charged("/gmem-b", es, 0);
}

static void destroy(struct pair *p)
{
	int run_size = ioctl(p->src.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	munmap(p->run[0], run_size);
	munmap(p->run[1], run_size);
	close(p->vcpu[0]);
	close(p->vcpu[1]);
	close(p->dst.fd);
	close(p->src.fd);
}

static void go_along(bool es)
{
	struct pair p;

	create_elsewhere(&p, es);
	pair_move(&p);
	expect_charged("/gmem-a", es, 0);
	expect_charged("/gmem-b", es, 1);
	destroy(&p);
	expect_charged("/gmem-a", es, 0);
	expect_charged("/gmem-b", es, 0);
}

static void sev_charge_goes_along(void)
{
	go_along(false);
}

static void sev_es_charge_goes_along(void)
{
	go_along(true);
}

static void no_room(bool es)
{
	struct pair p;

	create_elsewhere(&p, es);
	cgroup_write("/gmem-b", "misc.max", es ? "sev_es 0" : "sev 0");
	EXPECT_EQ(vm_try_move(&p.dst, &p.src), -EBUSY);
	expect_charged("/gmem-a", es, 1);
	expect_charged("/gmem-b", es, 0);
	cgroup_write("/gmem-b", "misc.max", es ? "sev_es max" : "sev max");
	pair_expect_as_before(&p);
}

static void no_room_for_sev(void)
{
	no_room(false);
}

static void no_room_for_sev_es(void)
{
	no_room(true);
}

/* It uses its owner's ASID, which the owner is charged for. */
static void mirror(void)
{
	struct vm mirror, moved;
	struct pair p;

	for (int es = 0; es < 2; es++) {
		create_elsewhere(&p, es);
		vm_create_destination(&mirror, &p.src, es);
		vm_create_destination(&moved, &p.src, es);
		EXPECT_EQ(vm_try_mirror(&mirror, &p.src), 0);
		EXPECT_EQ(vm_try_move(&moved, &mirror), 0);
		expect_charged("/gmem-a", es, 1);
		expect_charged("/gmem-b", es, 0);
		close(moved.fd);
		close(mirror.fd);
		pair_move(&p);
		expect_charged("/gmem-a", es, 0);
		expect_charged("/gmem-b", es, 1);
		destroy(&p);
	}
}

static const struct claim claims[] = {
	CLAIM(sev_charge_goes_along, "an SEV guest is charged where it was moved to"),
	CLAIM(sev_es_charge_goes_along, "an SEV-ES guest is charged where it was moved to"),
	CLAIM(mirror, "a mirror is not charged, wherever it is moved to"),
	CLAIM(no_room_for_sev, "where an SEV guest can't be charged: EBUSY, as before"),
	CLAIM(no_room_for_sev_es, "where an SEV-ES guest can't be charged: EBUSY, as before"),
};

CLAIMS_MAIN(claims);
