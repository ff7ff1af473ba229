// SPDX-License-Identifier: GPL-2.0-only
/*
 * What random operations are about: see draw.h.
 */
#include "draw.h"

static uint64_t draw(struct plan *p)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random >> 11;
}

unsigned long below(struct plan *p, unsigned long n)
{
	return draw(p) % n;
}

bool one_in(struct plan *p, unsigned long n)
{
	return !below(p, n);
}

enum operation_kind draw_access(struct plan *p)
{
	static const enum operation_kind kinds[] = {
		OP_GUEST_READ, OP_GUEST_READ, OP_GUEST_READ, OP_GUEST_READ, OP_GUEST_WRITE,
		OP_GUEST_WRITE, OP_EMULATED_READ,
	};

	return one_in(p, 32) ? OP_EMULATED_WRITE : kinds[below(p, ARRAY_SIZE(kinds))];
}

/* Near a border of 2 MiB, among the first ones, or anywhere. */
long draw_page(struct plan *p, long limit)
{
	long page;

	switch (below(p, 4)) {
	case 0:
	case 1:
		page = below(p, limit / MODEL_BLOCK + 1) * MODEL_BLOCK + below(p, 7) - 3;
		break;
	case 2:
		page = below(p, 16);
		break;
	default:
		page = below(p, limit);
	}
	return page < 0 ? 0 : page >= limit ? limit - 1 : page;
}

struct range draw_range(struct plan *p, long limit)
{
	static const long lengths[] = { 2, 3, 511, 512, 512, 512, 513, 1024 };
	struct range r = { .first = draw_page(p, limit), .n = 1 };

	switch (below(p, 10)) {
	case 0:
	case 1:
		r.n = lengths[below(p, ARRAY_SIZE(lengths))];
		break;
	case 2:
		r.first = below(p, limit / MODEL_BLOCK + 1) * MODEL_BLOCK;
		r.n = MODEL_BLOCK;
		break;
	case 3:
	case 4:
		r.n = 2 + below(p, 16);
		break;
	case 5:
		r.n = 1 + below(p, limit);
		break;
	}
	if (r.first >= limit)
		r.first = 0;
	if (r.n > limit - r.first)
		r.n = limit - r.first;
	return r;
}

/* Most often the VM's own to set attributes of. */
struct range draw_gfns(struct plan *p, struct model_vm *vm)
{
	struct range r;

	for (unsigned int i = 0; i < 6; i++) {
		struct model_slot *s;

		r = draw_range(p, MODEL_PAGES);
		s = model_slot_at(vm, r.first);
		if (!s || !model_knows_private(s->flags))
			break;
	}
	for (long i = 1; i < r.n && !one_in(p, 4096); i++) {
		struct model_slot *s = model_slot_at(vm, r.first + i);

		if (s && model_knows_private(s->flags))
			r.n = i;
	}
	return r;
}

/* Most often inside the inode; now and then beyond it, or empty. */
struct range draw_offsets(struct plan *p, const struct model_inode *gi)
{
	struct range r = draw_range(p, gi->npages && !one_in(p, 32) ? gi->npages : MODEL_PAGES);

	if (one_in(p, 64))
		r.n = 0;
	return r;
}

/* Most often one that can do something. */
unsigned int draw_vm(struct plan *p, struct model *m)
{
	unsigned int vm = below(p, MODEL_VMS);

	for (unsigned int i = 0; i < MODEL_VMS && !one_in(p, 16); i++) {
		if (m->vms[vm].exists && !m->vms[vm].dead)
			break;
		vm = (vm + 1) % MODEL_VMS;
	}
	return vm;
}

unsigned int draw_inode(struct plan *p, struct model *m, unsigned int vm)
{
	unsigned int inode = below(p, MODEL_INODES);

	for (unsigned int i = 0; i < MODEL_INODES && !one_in(p, 16); i++) {
		if (m->vms[vm].views[inode].open)
			break;
		inode = (inode + 1) % MODEL_INODES;
	}
	return inode;
}
