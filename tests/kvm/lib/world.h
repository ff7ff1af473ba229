/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMs, views and mappings that the plain model (model.h) is a model of: each
 * operation is done by the modules, and tells what came of it.
 */
#ifndef GMEM_TESTS_WORLD_H
#define GMEM_TESTS_WORLD_H

#include "machine.h"
#include "operation.h"

/**
 * struct world_vm - a VM
 * @machine: it, NULL where there is none; its view is not used
 * @behind: memory at the userspace_addr of its slots, by gfn
 * @views: its views' fds, -1 where there is none
 * @host: their mappings, NULL where there is none
 */
struct world_vm {
	struct machine *machine;
	uint64_t *behind;
	int views[MODEL_INODES];
	uint64_t *host[MODEL_INODES];
};

/**
 * struct world - all of it
 * @vms: VMs
 * @fillers: populate-only handles, -1 where there is none
 * @source: pages that content is populated from
 */
struct world {
	struct world_vm vms[MODEL_VMS];
	int fillers[MODEL_INODES];
	uint64_t *source;
};

void world_init(struct world *w);

/* Does @op; @got->base is of the content to bring, and @got->ret and @got->seen come back. */
void world_do(struct world *w, const struct operation *op, struct outcome *got);

/* Accesses of a guest to its pages: world_guest.c. */
void world_guest(struct machine *m, const struct operation *op, struct outcome *got);

#endif /* GMEM_TESTS_WORLD_H */
