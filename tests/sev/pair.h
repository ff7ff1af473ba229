/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An encrypted guest, and the VM that it can be moved to.
 */
#ifndef GMEM_TESTS_SEV_PAIR_H
#define GMEM_TESTS_SEV_PAIR_H

#include "vm.h"

#define LOGGED_SLOT	1	/* of each VM, with a dirty log to ask for */

/* Charges of this process' misc cgroup and of all, for SEV and SEV-ES. */
struct charges {
	long sev;
	long sev_es;
};

/**
 * struct pair - both VMs
 * @src: launched; an SEV guest runs, and an SEV-ES guest is as far as it can
 *	get
 * @dst: has never been used
 * @es: SEV-ES VMs
 * @gmem: their memory is a guest memory inode
 * @vcpu: of the source and of the destination
 * @run: their run pages
 * @handle: the guest's, by the firmware
 * @asid: its ASID
 * @charges: the total charge for encrypted VMs
 * @count: how often the guest has left; the guest counts this, too
 */
struct pair {
	struct vm src, dst;
	bool es, gmem;
	int vcpu[2];
	struct kvm_run *run[2];
	uint32_t handle;
	uint32_t asid;
	struct charges charges;
	uint8_t count;
};

/* Kinds of a pair: these, or none, or both. */
enum { PAIR_ES = 1, PAIR_GMEM = 2, PAIR_KINDS = 4 };

/* Makes both; @dst has @vcpus vCPUs. The guest has run, if it can. */
void pair_create(struct pair *p, int kind, int vcpus);
/* The same, but for the destination. */
void pair_create_source(struct pair *p, int kind);

/* LOGGED_SLOT, which both have. */
void pair_add_logged_slot(struct vm *vm);

/* The guest of either, for one step. */
void pair_run(struct pair *p, int which);

/* Moves. Whatever works with the guest works under the destination, and nothing of the source. */
void pair_move(struct pair *p);

/*
 * Nothing has happened: the firmware's guest, its ASID and the charges are as
 * they were, the source's guest goes on, no lock is held, and a move succeeds.
 */
void pair_expect_as_before(struct pair *p);

/* The charge of the cgroup at @path, which may be "" for the root. */
struct charges charges_of(const char *path);

#endif /* GMEM_TESTS_SEV_PAIR_H */
