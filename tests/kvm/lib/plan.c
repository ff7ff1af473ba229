// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations: see plan.h.
 */
#include <linux/kvm_gmem.h>

#include "draw.h"
#include "plan.h"

#define STEPS		80

#define ADD(p, k, ...)	add(p, (struct operation){ .kind = k, .arg = { __VA_ARGS__ } })

static void add(struct plan *p, struct operation op)
{
	/* What has no room is left out, which nobody relies on. */
	if (p->end < PLAN_AHEAD)
		p->ahead[p->end++] = op;
}

static unsigned int draw_unused_vm(struct plan *p, struct model *m)
{
	unsigned int vm = below(p, MODEL_VMS);

	for (unsigned int i = 0; i < MODEL_VMS; i++, vm = (vm + 1) % MODEL_VMS) {
		if (!m->vms[vm].exists)
			return vm;
	}
	for (unsigned int i = 0; i < MODEL_VMS; i++, vm = (vm + 1) % MODEL_VMS) {
		if (m->vms[vm].dead)
			break;
	}
	ADD(p, OP_DROP, vm);
	return vm;
}

/* The pages at both ends of a range, the next ones, and one inside. */
static unsigned int edges(struct plan *p, struct range r, long limit, long *pages)
{
	const long all[] = {
		r.first, r.first + r.n - 1, r.first - 1, r.first + r.n,
		r.first + below(p, r.n ? r.n : 1),
	};
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] >= 0 && all[i] < limit && (i < 2 || !one_in(p, 3)))
			pages[n++] = all[i];
	}
	return n;
}

static void look_at_gfns(struct plan *p, unsigned int vm, struct range r)
{
	long gfns[5];
	unsigned int n = edges(p, r, MODEL_PAGES, gfns);

	for (unsigned int i = 0; i < n; i++)
		ADD(p, draw_access(p), vm, gfns[i], 1);
}

/* By guests where they have it, by the host where it is mapped. */
static void look_at_page(struct plan *p, struct model *m, unsigned int inode, long page)
{
	for (unsigned int v = 0; v < MODEL_VMS; v++) {
		struct model_vm *vm = &m->vms[v];

		if (!vm->exists)
			continue;
		for (struct model_slot *s = vm->slots; s < vm->slots + MODEL_SLOTS; s++) {
			if (s->used && s->inode == inode && page >= (long)s->page &&
			    page < (long)(s->page + s->npages) && !one_in(p, 4))
				ADD(p, draw_access(p), v, s->gfn + page - s->page, 1);
		}
		if (vm->views[inode].mapped && !one_in(p, 3))
			ADD(p, one_in(p, 4) ? OP_HOST_WRITE : OP_HOST_READ, v, inode, page, 1);
	}
}

static void look_at_pages(struct plan *p, struct model *m, unsigned int inode, struct range r)
{
	long pages[5];
	unsigned int n = edges(p, r, MODEL_PAGES, pages);

	for (unsigned int i = 0; i < n; i++)
		look_at_page(p, m, inode, pages[i]);
}

static void change_attributes(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m);
	struct range r = draw_gfns(p, &m->vms[vm]);
	long private = one_in(p, 3) ? below(p, 2) : !m->vms[vm].private[r.first];

	look_at_gfns(p, vm, r);
	ADD(p, OP_ATTRIBUTES, vm, r.first, one_in(p, 64) ? 0 : r.n, private);
	look_at_gfns(p, vm, r);
}

/* Every other page, across a border of 2 MiB or not. */
static void alternate_attributes(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m);
	struct range r = { .first = draw_page(p, MODEL_PAGES), .n = 4 + below(p, 20) };
	long private = below(p, 2);

	if (r.first + r.n > (long)MODEL_PAGES)
		r.first = MODEL_PAGES - r.n;
	if (one_in(p, 2))
		ADD(p, OP_GUEST_WRITE, vm, r.first, r.n);
	for (long i = 0; i < r.n; i += 2)
		ADD(p, OP_ATTRIBUTES, vm, r.first + i, 1, private);
	ADD(p, OP_GUEST_READ, vm, r.first, r.n);
}

/* An operation on a range of a view. */
static void change_pages(struct plan *p, struct model *m, enum operation_kind kind)
{
	unsigned int vm = draw_vm(p, m), inode = draw_inode(p, m, vm);
	struct range r;
	long private;

	/* Better one that knows what is private. */
	if (kind == OP_CONVERT && !model_knows_private(m->inodes[inode].flags))
		inode = 1 + below(p, 2);
	r = draw_offsets(p, &m->inodes[inode]);
	private = kind == OP_CONVERT && (one_in(p, 3) ? below(p, 2) :
				       !m->inodes[inode].pages[r.first].private);
	if (one_in(p, 2))
		look_at_pages(p, m, inode, r);
	if (kind == OP_FEED)
		ADD(p, kind, inode, r.first, r.n);
	else
		ADD(p, kind, vm, inode, r.first, r.n, private);
	look_at_pages(p, m, inode, r);
}

static void punch(struct plan *p, struct model *m)
{
	change_pages(p, m, OP_PUNCH);
}

static void allocate(struct plan *p, struct model *m)
{
	change_pages(p, m, OP_ALLOCATE);
}

static void convert(struct plan *p, struct model *m)
{
	change_pages(p, m, OP_CONVERT);
}

/* Where pages are missing: a hole comes first now and then. */
static void populate_offsets(struct plan *p, struct model *m)
{
	static const enum operation_kind kinds[] = { OP_FILL, OP_FILL, OP_FEED, OP_WRITE };

	change_pages(p, m, kinds[below(p, ARRAY_SIZE(kinds))]);
}

static void refill(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m), inode = draw_inode(p, m, vm);
	struct range r = draw_offsets(p, &m->inodes[inode]);

	ADD(p, OP_PUNCH, vm, inode, r.first, r.n);
	if (one_in(p, 4))
		ADD(p, OP_ALLOCATE, vm, inode, draw_page(p, MODEL_PAGES), 1);
	if (one_in(p, 4)) {
		ADD(p, OP_FEED, inode, r.first, r.n);
	} else if (one_in(p, 3)) {
		ADD(p, OP_CONVERT, vm, inode, r.first, r.n, 0);
		ADD(p, OP_WRITE, vm, inode, r.first, r.n);
	} else {
		ADD(p, OP_FILL, vm, inode, r.first, r.n);
	}
	look_at_pages(p, m, inode, r);
}

/* Through a memslot; most often, what it has there is missing. */
static void populate_gfns(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m);
	struct range r = draw_range(p, MODEL_PAGES);
	struct model_slot *s = model_slot_at(&m->vms[vm], r.first);

	if (s && !one_in(p, 4)) {
		if (r.n > (long)(s->gfn + s->npages) - r.first)
			r.n = s->gfn + s->npages - r.first;
		ADD(p, OP_PUNCH, vm, s->inode, s->page + r.first - s->gfn, r.n);
		if (model_knows_private(s->flags))
			ADD(p, OP_CONVERT, vm, s->inode, s->page + r.first - s->gfn, r.n, 1);
		else
			ADD(p, OP_ATTRIBUTES, vm, r.first, r.n, 1);
	}
	ADD(p, OP_POPULATE, vm, r.first, r.n);
	look_at_gfns(p, vm, r);
}

static void prefault(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m);
	struct range r = draw_range(p, MODEL_PAGES);

	ADD(p, OP_PREFAULT, vm, r.first, r.n);
	look_at_gfns(p, vm, r);
}

static void access_gfns(struct plan *p, struct model *m)
{
	struct range r = draw_range(p, MODEL_PAGES);

	ADD(p, one_in(p, 3) ? OP_GUEST_READ : OP_GUEST_WRITE, draw_vm(p, m), r.first, r.n);
}

static void access_by_host(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m);
	struct range r = draw_range(p, MODEL_PAGES);
	unsigned int inode = one_in(p, 3) ? below(p, MODEL_INODES) : 1;

	if (one_in(p, 3)) {
		ADD(p, one_in(p, 2) ? OP_BEHIND_READ : OP_BEHIND_WRITE, vm, r.first, r.n);
		look_at_gfns(p, vm, r);
		return;
	}
	if (!m->vms[vm].views[inode].mapped)
		ADD(p, OP_MMAP, vm, inode);
	ADD(p, one_in(p, 2) ? OP_HOST_READ : OP_HOST_WRITE, vm, inode, r.first, r.n);
	look_at_pages(p, m, inode, r);
	if (one_in(p, 8))
		ADD(p, OP_MUNMAP, vm, inode);
}

/* gfns and offsets that are alike in 2 MiB, or are not. */
static void add_slot(struct plan *p, struct model *m, unsigned int vm, unsigned int inode)
{
	static const long lengths[] = { 37, 256, 512, 512, 768, 1024 };
	long n = lengths[below(p, ARRAY_SIZE(lengths))];
	long gfn = below(p, MODEL_PAGES / 256) * 256, page = below(p, MODEL_PAGES / 256) * 256;
	long npages = m->inodes[inode].npages;

	if (one_in(p, 2))
		page = (page & -MODEL_BLOCK) + gfn % MODEL_BLOCK;
	if (one_in(p, 8))
		page = draw_page(p, MODEL_PAGES);
	if (page >= npages)
		page = 0;
	if (npages && n > npages - page && !one_in(p, 16))
		n = npages - page;
	for (unsigned int i = 0; i < 6 && model_slot_at(&m->vms[vm], gfn); i++)
		gfn = below(p, MODEL_PAGES / 256) * 256;
	if (n > (long)MODEL_PAGES - gfn)
		n = MODEL_PAGES - gfn;
	for (long i = 1; i < n && !one_in(p, 4096); i++) {
		if (model_slot_at(&m->vms[vm], gfn + i))
			n = i;
	}
	ADD(p, OP_SLOT, vm, below(p, MODEL_SLOTS), gfn, n, inode, page);
}

static void change_slots(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m), slot = below(p, MODEL_SLOTS);
	struct model_slot *s = &m->vms[vm].slots[slot];
	struct range r = { .first = s->gfn, .n = s->npages };

	if (!s->used || one_in(p, 8)) {
		add_slot(p, m, vm, draw_inode(p, m, vm));
		return;
	}
	look_at_gfns(p, vm, r);
	ADD(p, OP_UNSLOT, vm, slot);
	if (one_in(p, 3))
		look_at_gfns(p, vm, r);
	/* The same gfns at another offset, or anything. */
	if (one_in(p, 2))
		ADD(p, OP_SLOT, vm, slot, r.first, r.n, draw_inode(p, m, vm),
		    below(p, 3) * 256);
	else
		add_slot(p, m, vm, draw_inode(p, m, vm));
	look_at_gfns(p, vm, r);
}

/* Another VM on the same inodes, in its own way. */
static void link_vm(struct plan *p, struct model *m)
{
	unsigned int from = draw_vm(p, m), vm = draw_unused_vm(p, m);

	if (from == vm)
		return;
	ADD(p, OP_VM, vm, !one_in(p, 4));
	for (unsigned int i = 0; i < MODEL_INODES; i++) {
		if (!m->vms[from].views[i].open && !one_in(p, 8))
			continue;
		ADD(p, OP_LINK, vm, i, from);
		add_slot(p, m, vm, i);
	}
	ADD(p, OP_ATTRIBUTES, vm, 0, 1 + below(p, MODEL_PAGES), 1);
	look_at_gfns(p, vm, draw_range(p, MODEL_PAGES));
}

/* A destination that is like the source, or not quite. */
static void add_destination(struct plan *p, struct model *m, unsigned int vm, unsigned int from)
{
	unsigned int turn = below(p, MODEL_SLOTS);

	ADD(p, OP_VM, vm, m->vms[from].protected != one_in(p, 32));
	for (unsigned int i = 0; i < MODEL_INODES; i++) {
		if (m->vms[from].views[i].open)
			ADD(p, OP_LINK, vm, i, from);
	}
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		struct model_slot *s = &m->vms[from].slots[i];

		if (s->used && s->bound && !one_in(p, 32))
			ADD(p, OP_SLOT, vm, (i + turn) % MODEL_SLOTS, s->gfn, s->npages, s->inode,
			    s->page + one_in(p, 64));
	}
	if (one_in(p, 32))
		ADD(p, OP_ATTRIBUTES, vm, draw_page(p, MODEL_PAGES), 1, 1);
	if (one_in(p, 32))
		ADD(p, OP_GUEST_READ, vm, draw_page(p, MODEL_PAGES), 1);
}

static void move_vm(struct plan *p, struct model *m)
{
	unsigned int from = draw_vm(p, m), vm = draw_unused_vm(p, m);
	struct range r = draw_range(p, MODEL_PAGES);

	if (from == vm)
		return;
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		struct model_slot *s = &m->vms[from].slots[i];

		/* Without its view, nothing is like it. */
		if (s->used && !s->bound && !one_in(p, 8))
			ADD(p, OP_UNSLOT, from, i);
	}
	add_destination(p, m, vm, from);
	look_at_gfns(p, from, r);
	if (one_in(p, 3))
		ADD(p, OP_PREFAULT, vm, r.first, r.n);
	ADD(p, OP_MOVE, vm, from, m->vms[from].protected ? below(p, 2) : !one_in(p, 8));
	look_at_gfns(p, vm, r);
	if (one_in(p, 2))
		look_at_gfns(p, from, r);
	if (!one_in(p, 4))
		ADD(p, OP_DROP, from);
}

static void move_any(struct plan *p, struct model *m)
{
	ADD(p, OP_MOVE, draw_vm(p, m), draw_vm(p, m), below(p, 2));
}

static void look_at_bound(struct plan *p, struct model *m, unsigned int vm, unsigned int inode)
{
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		struct model_slot *s = &m->vms[vm].slots[i];

		if (s->used && s->bound && s->inode == inode)
			look_at_gfns(p, vm, (struct range){ .first = s->gfn, .n = s->npages });
	}
}

/* A view or a VM goes, and comes again by a link where one is left. */
static void close_something(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m), inode = draw_inode(p, m, vm);

	if (one_in(p, 4)) {
		ADD(p, OP_DROP, vm);
		return;
	}
	look_at_bound(p, m, vm, inode);
	ADD(p, OP_CLOSE, vm, inode);
	look_at_bound(p, m, vm, inode);
	if (one_in(p, 2))
		ADD(p, OP_LINK, vm, inode, draw_vm(p, m));
	else
		ADD(p, OP_CREATE, vm, inode, below(p, 8), 1 + below(p, MODEL_PAGES));
	add_slot(p, m, vm, inode);
}

static void link_any(struct plan *p, struct model *m)
{
	unsigned int vm = draw_vm(p, m), inode = below(p, MODEL_INODES);

	ADD(p, OP_LINK, vm, inode, draw_vm(p, m));
	add_slot(p, m, vm, inode);
}

static void seal(struct plan *p, struct model *m)
{
	static const uint64_t seals[] = {
		KVM_GMEM_SEAL_SHRINK, KVM_GMEM_SEAL_LINK, KVM_GMEM_SEAL_WRITE, KVM_GMEM_SEAL_GUEST,
		KVM_GMEM_SEAL_SEAL, KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST,
	};
	unsigned int vm = draw_vm(p, m);

	ADD(p, OP_SEAL, vm, draw_inode(p, m, vm), (long)seals[below(p, ARRAY_SIZE(seals))]);
}

static void compare(struct plan *p, struct model *m __maybe_unused)
{
	ADD(p, OP_COMPARE, one_in(p, 4), one_in(p, 8) ? 1 : 8 + below(p, 5));
}

static const struct {
	unsigned int weight;
	void (*plan)(struct plan *p, struct model *m);
} steps[] = {
	{ 16, change_attributes }, { 4, alternate_attributes }, { 10, convert },
	{ 8, punch }, { 2, allocate }, { 4, populate_offsets }, { 6, refill },
	{ 6, populate_gfns }, { 4, prefault }, { 10, access_gfns }, { 8, access_by_host },
	{ 8, change_slots }, { 3, link_vm }, { 5, move_vm }, { 1, move_any },
	{ 3, close_something }, { 2, link_any }, { 1, seal }, { 3, compare },
};

static void plan_step(struct plan *p, struct model *m)
{
	unsigned int sum = 0, at;

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++)
		sum += steps[i].weight;
	at = below(p, sum);
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		if (at < steps[i].weight) {
			steps[i].plan(p, m);
			return;
		}
		at -= steps[i].weight;
	}
}

/* Something that all can begin with: a VM with an inode of each model. */
static void plan_beginning(struct plan *p)
{
	unsigned int write = one_in(p, 4) ? 0 : MODEL_WRITE;
	long npages = one_in(p, 2) ? MODEL_PAGES - 256 : MODEL_PAGES;

	ADD(p, OP_VM, 0, !one_in(p, 8));
	ADD(p, OP_CREATE, 0, 0, write, npages);
	ADD(p, OP_CREATE, 0, 1, MODEL_MMAP | (one_in(p, 2) ? MODEL_INIT_SHARED : 0) | write,
	    npages);
	ADD(p, OP_CREATE, 0, 2, one_in(p, 2) ? MODEL_INIT_SHARED : below(p, 8), MODEL_BLOCK + 3);
	ADD(p, OP_SLOT, 0, 0, 0, 2 * MODEL_BLOCK, 0, one_in(p, 4) ? 256 : 0);
	ADD(p, OP_SLOT, 0, 1, 2 * MODEL_BLOCK, MODEL_BLOCK / 2, 1, one_in(p, 4) ? 100 : 0);
	ADD(p, OP_SLOT, 0, 2, 2 * MODEL_BLOCK + MODEL_BLOCK / 2, MODEL_BLOCK / 2, 2, 0);
	ADD(p, OP_ATTRIBUTES, 0, 0, 1 + below(p, 2 * MODEL_BLOCK), 1);
	if (one_in(p, 2))
		ADD(p, OP_FILL, 0, 0, 0, MODEL_BLOCK + below(p, MODEL_BLOCK));
}

void plan_init(struct plan *p, uint64_t seed)
{
	*p = (struct plan){ .random = seed * 0x9e3779b97f4a7c15 ? : 1, .steps = STEPS };
	for (unsigned int i = 0; i < 8; i++)
		below(p, 2);
	plan_beginning(p);
}

bool plan_next(struct plan *p, struct model *m, struct operation *op)
{
	while (p->next == p->end) {
		if (!p->steps)
			return false;
		p->next = 0;
		p->end = 0;
		if (--p->steps)
			plan_step(p, m);
		else
			ADD(p, OP_COMPARE, 1, one_in(p, 3) ? 1 : 5);
	}
	*op = p->ahead[p->next++];
	return true;
}
