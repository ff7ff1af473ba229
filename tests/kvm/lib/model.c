// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plain model: VMs, views, memslots, attributes, moves. See model.h.
 */
#include <errno.h>
#include <string.h>

#include <linux/kvm_gmem.h>

#include "model.h"

struct model_slot *model_slot_at(struct model_vm *vm, unsigned long gfn)
{
	for (struct model_slot *s = vm->slots; s < vm->slots + MODEL_SLOTS; s++) {
		if (s->used && gfn >= s->gfn && gfn < s->gfn + s->npages)
			return s;
	}
	return NULL;
}

static bool is_private(struct model *m, struct model_vm *vm, struct model_slot *s,
		       unsigned long gfn)
{
	if (!vm->protected)
		return false;
	if (!s || !model_knows_private(s->flags))
		return vm->private[gfn];
	return !s->bound || m->inodes[s->inode].pages[s->page + gfn - s->gfn].private;
}

struct model_place model_look(struct model *m, unsigned int vm, unsigned long gfn)
{
	struct model_slot *s = model_slot_at(&m->vms[vm], gfn);
	bool private = is_private(m, &m->vms[vm], s, gfn);
	struct model_place place = { .slot = s };

	if (m->vms[vm].dead)
		place.sight = SEES_DEAD_VM;
	else if (!s)
		place.sight = private ? SEES_PRIVATE_FAULT : SEES_DEVICE;
	else if (!private && !(s->flags & MODEL_MMAP))
		return place;
	else if (!s->bound)
		place.sight = private ? SEES_PRIVATE_FAULT : SEES_SHARED_FAULT;
	else
		place.page = &m->inodes[s->inode].pages[s->page + gfn - s->gfn];
	return place;
}

static void close_view(struct model *m, unsigned int vm, unsigned int inode)
{
	struct model_view *view = &m->vms[vm].views[inode];
	struct model_inode *gi = &m->inodes[inode];

	if (!view->open)
		return;

	gi->mapped -= view->mapped;
	*view = (struct model_view){};
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		if (m->vms[vm].slots[i].inode == inode)
			m->vms[vm].slots[i].bound = false;
	}
	if (!--gi->views)
		memset(gi->pages, 0, sizeof(gi->pages));
}

static int64_t make_vm(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]];

	if (vm->exists)
		return NOT_DONE;
	*vm = (struct model_vm){ .exists = true, .protected = arg[1] };
	return 0;
}

static int64_t drop_vm(struct model *m, const long *arg)
{
	if (!m->vms[arg[0]].exists)
		return NOT_DONE;

	for (unsigned int i = 0; i < MODEL_INODES; i++)
		close_view(m, arg[0], i);
	m->vms[arg[0]].exists = false;
	return 0;
}

static int64_t create(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]];
	struct model_inode *gi = &m->inodes[arg[1]];

	if (!vm->exists || gi->views)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;

	*gi = (struct model_inode){
		.exists = true, .flags = arg[2], .npages = arg[3], .views = 1,
	};
	for (unsigned long i = 0; i < gi->npages; i++)
		gi->pages[i].private = !(gi->flags & MODEL_INIT_SHARED);
	vm->views[arg[1]].open = true;
	return 0;
}

static int64_t link_inode(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]], *from = &m->vms[arg[2]];
	struct model_inode *gi = &m->inodes[arg[1]];

	if (!vm->exists)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;
	if (!from->exists || !from->views[arg[1]].open || vm == from)
		return -EINVAL;
	if (gi->seals & KVM_GMEM_SEAL_LINK)
		return -EPERM;
	if (vm->views[arg[1]].open)
		return -EINVAL;

	vm->views[arg[1]].open = true;
	gi->views++;
	return 0;
}

static int64_t close_one(struct model *m, const long *arg)
{
	if (!m->vms[arg[0]].exists || !m->vms[arg[0]].views[arg[1]].open)
		return NOT_DONE;

	close_view(m, arg[0], arg[1]);
	return 0;
}

static bool overlap(unsigned long a, unsigned long na, unsigned long b, unsigned long nb)
{
	return a < b + nb && b < a + na;
}

static int64_t make_slot(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]];
	struct model_slot *slot = &vm->slots[arg[1]];
	struct model_slot new = {
		.used = true, .bound = true, .gfn = arg[2], .npages = arg[3],
		.inode = arg[4], .page = arg[5], .flags = m->inodes[arg[4]].flags,
	};

	if (!vm->exists)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;
	if (slot->used)
		return -EINVAL;

	for (struct model_slot *s = vm->slots; s < vm->slots + MODEL_SLOTS; s++) {
		if (s->used && overlap(s->gfn, s->npages, new.gfn, new.npages))
			return -EEXIST;
	}
	if (!vm->views[new.inode].open)
		return -EBADF;
	if (new.page + new.npages > m->inodes[new.inode].npages)
		return -EINVAL;
	for (struct model_slot *s = vm->slots; s < vm->slots + MODEL_SLOTS; s++) {
		if (s->used && s->bound && s->inode == new.inode &&
		    overlap(s->page, s->npages, new.page, new.npages))
			return -EINVAL;
	}

	*slot = new;
	return 0;
}

static int64_t delete_slot(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]];

	if (!vm->exists)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;
	if (!vm->slots[arg[1]].used)
		return -EINVAL;

	vm->slots[arg[1]] = (struct model_slot){};
	return 0;
}

static int64_t set_attributes(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]];

	if (!vm->exists)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;
	if (!arg[2] || (arg[3] && !vm->protected))
		return -EINVAL;

	for (struct model_slot *s = vm->slots; s < vm->slots + MODEL_SLOTS; s++) {
		if (s->used && model_knows_private(s->flags) &&
		    overlap(s->gfn, s->npages, arg[1], arg[2]))
			return -EINVAL;
	}
	for (long i = 0; i < arg[2]; i++)
		vm->private[arg[1] + i] = arg[3];
	return 0;
}

static bool has_attributes(const struct model_vm *vm)
{
	return memchr(vm->private, true, sizeof(vm->private));
}

static bool has_slots(const struct model_vm *vm)
{
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		if (vm->slots[i].used)
			return true;
	}
	return false;
}

/* Each slot of one has its like in the other, whatever its number. */
static bool covers(const struct model_vm *a, const struct model_vm *b)
{
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		const struct model_slot *s = &a->slots[i], *t;

		if (!s->used)
			continue;
		t = model_slot_at((struct model_vm *)b, s->gfn);
		if (!t || !s->bound || !t->bound || t->gfn != s->gfn || t->npages != s->npages ||
		    t->inode != s->inode || t->page != s->page)
			return false;
	}
	return true;
}

static int64_t move_vm(struct model *m, const long *arg)
{
	struct model_vm *dst = &m->vms[arg[0]], *src = &m->vms[arg[1]];

	if (!dst->exists || !src->exists)
		return NOT_DONE;
	if (dst->dead)
		return -EIO;
	if (dst == src)
		return -EINVAL;
	if (src->dead)
		return -EIO;
	if (dst->protected != src->protected || (!arg[2] && !dst->protected))
		return -EINVAL;
	if (dst->has_run || dst->moved_to || has_attributes(dst))
		return -EINVAL;
	/* Without any of it, memslots do not matter. */
	if ((has_attributes(src) || has_slots(src) || has_slots(dst)) &&
	    !(covers(dst, src) && covers(src, dst)))
		return -EINVAL;

	memcpy(dst->private, src->private, sizeof(dst->private));
	dst->moved_to = true;
	src->dead = true;
	return 0;
}

void model_do(struct model *m, const struct operation *op, struct outcome *want)
{
	static int64_t (* const calls[OPERATIONS])(struct model *m, const long *arg) = {
		[OP_VM] = make_vm, [OP_DROP] = drop_vm, [OP_CREATE] = create,
		[OP_LINK] = link_inode, [OP_CLOSE] = close_one, [OP_SLOT] = make_slot,
		[OP_UNSLOT] = delete_slot, [OP_ATTRIBUTES] = set_attributes, [OP_MOVE] = move_vm,
	};

	want->nr = 0;
	want->base = 0;
	if (!model_do_memory(m, op, want))
		want->ret = calls[op->kind](m, op->arg);
}
