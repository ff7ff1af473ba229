// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plain model: what happens to pages, and who sees what. See model.h.
 */
#include <errno.h>

#include <linux/kvm_gmem.h>

#include "model.h"

static void put_content(struct model_page *page, uint64_t content)
{
	page->state = MODEL_CONTENT;
	page->content = content;
}

/* A touch of a missing page makes one of zeroes. */
static uint64_t touch(struct model_page *page)
{
	if (page->state != MODEL_CONTENT)
		put_content(page, 0);
	return page->content;
}

/* The view that an operation of VM and INODE goes through, its VM and its inode. */
struct through {
	struct model_vm *vm;
	struct model_view *view;
	struct model_inode *gi;
};

static bool find(struct model *m, const long *arg, struct through *t)
{
	t->vm = &m->vms[arg[0]];
	t->gi = &m->inodes[arg[1]];
	t->view = &t->vm->views[arg[1]];
	return t->vm->exists;
}

static bool is_inside(const struct model_inode *gi, long first, long n)
{
	return n > 0 && first + n <= (long)gi->npages;
}

static int64_t punch(struct model *m, const long *arg)
{
	struct through t;

	if (!find(m, arg, &t))
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (arg[3] <= 0)
		return -EINVAL;
	if (t.gi->seals & KVM_GMEM_SEAL_SHRINK)
		return -EPERM;

	for (long i = arg[2]; i < arg[2] + arg[3] && i < (long)t.gi->npages; i++)
		t.gi->pages[i].state = MODEL_MISSING;
	return 0;
}

static int64_t allocate(struct model *m, const long *arg)
{
	struct through t;

	if (!find(m, arg, &t))
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (!is_inside(t.gi, arg[2], arg[3]))
		return -EINVAL;

	for (long i = arg[2]; i < arg[2] + arg[3]; i++) {
		if (t.gi->pages[i].state == MODEL_MISSING)
			t.gi->pages[i].state = MODEL_ALLOCATED;
	}
	return 0;
}

/* Page @nr of a call that populates: 0, or what stops it. */
static int64_t populate_page(struct model_page *page, struct outcome *want, unsigned long nr)
{
	if (page->state == MODEL_CONTENT)
		return -EEXIST;

	put_content(page, content_of(want->base, nr));
	return 0;
}

static int64_t populate_offsets(struct model_inode *gi, long first, long n, struct outcome *want)
{
	for (long i = 0; i < n; i++) {
		int64_t r = gi->seals & KVM_GMEM_SEAL_WRITE ? -EPERM :
			    populate_page(&gi->pages[first + i], want, i);

		if (r)
			return i ? : r;
	}
	return n;
}

static int64_t fill(struct model *m, const long *arg, struct outcome *want)
{
	struct through t;

	if (!find(m, arg, &t))
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (!is_inside(t.gi, arg[2], arg[3]))
		return -EINVAL;
	if (t.vm->dead)
		return -EIO;
	return populate_offsets(t.gi, arg[2], arg[3], want);
}

static int64_t feed(struct model *m, const long *arg, struct outcome *want)
{
	struct model_inode *gi = &m->inodes[arg[0]];

	if (!gi->exists)
		return NOT_DONE;
	if (!is_inside(gi, arg[1], arg[2]))
		return -EINVAL;
	if (!gi->views)
		return -EPIPE;
	return populate_offsets(gi, arg[1], arg[2], want);
}

static int64_t write_pages(struct model *m, const long *arg, struct outcome *want)
{
	struct through t;
	long n = arg[3];

	if (!find(m, arg, &t))
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (!(t.gi->flags & MODEL_WRITE))
		return -ENODEV;
	if (!n)
		return 0;
	if (arg[2] >= (long)t.gi->npages)
		return -EINVAL;
	if (t.vm->dead)
		return -EIO;
	if (arg[2] + n > (long)t.gi->npages)
		n = t.gi->npages - arg[2];

	for (long i = 0; i < n; i++) {
		struct model_page *page = &t.gi->pages[arg[2] + i];
		int64_t r;

		if (t.gi->seals & (KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST))
			r = -EPERM;
		else if (model_knows_private(t.gi->flags) && page->private)
			r = -EACCES;
		else
			r = populate_page(page, want, i);
		if (r)
			return i ? : r;
	}
	return n;
}

/* By gfn: all that is private, and in a VM without private memory all of its inodes. */
static int64_t populate_gfn(struct model *m, struct model_vm *vm, unsigned long gfn,
			    struct outcome *want, unsigned long nr)
{
	struct model_slot *s = model_slot_at(vm, gfn);
	struct model_inode *gi;
	struct model_page *page;
	bool private;

	if (!s)
		return -EINVAL;
	if (!s->bound)
		return -EFAULT;

	gi = &m->inodes[s->inode];
	page = &gi->pages[s->page + gfn - s->gfn];
	if (gi->seals & KVM_GMEM_SEAL_WRITE)
		return -EPERM;

	private = model_knows_private(gi->flags) ? page->private : vm->private[gfn];
	return vm->protected && !private ? -EINVAL : populate_page(page, want, nr);
}

static int64_t populate(struct model *m, const long *arg, struct outcome *want)
{
	struct model_vm *vm = &m->vms[arg[0]];

	if (!vm->exists)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;
	if (!arg[2])
		return -EINVAL;

	for (long i = 0; i < arg[2]; i++) {
		int64_t r = populate_gfn(m, vm, arg[1] + i, want, i);

		if (r)
			return i ? : r;
	}
	return arg[2];
}

static bool are_private(const struct model_inode *gi, const long *arg)
{
	for (long i = arg[2]; i < arg[2] + arg[3]; i++) {
		if (gi->pages[i].private != arg[4])
			return false;
	}
	return true;
}

static int64_t convert(struct model *m, const long *arg)
{
	struct through t;

	if (!find(m, arg, &t))
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (!t.vm->protected || !model_knows_private(t.gi->flags) ||
	    !is_inside(t.gi, arg[2], arg[3]))
		return -EINVAL;
	if (t.vm->dead)
		return -EIO;
	if (are_private(t.gi, arg))
		return 0;
	if (!arg[4] && t.gi->seals & KVM_GMEM_SEAL_GUEST)
		return -EPERM;

	for (long i = arg[2]; i < arg[2] + arg[3]; i++)
		t.gi->pages[i].private = arg[4];
	return 0;
}

static bool is_resident(const struct model_inode *gi)
{
	for (unsigned long i = 0; i < gi->npages; i++) {
		if (gi->pages[i].state != MODEL_MISSING)
			return true;
	}
	return false;
}

static int64_t seal(struct model *m, const long *arg)
{
	struct through t;
	uint64_t new;

	if (!find(m, arg, &t))
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (t.vm->dead)
		return -EIO;
	if (t.gi->seals & KVM_GMEM_SEAL_SEAL)
		return -EPERM;

	new = arg[2] & ~t.gi->seals;
	if (new & (KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST) && t.gi->mapped)
		return -EBUSY;
	if (new & KVM_GMEM_SEAL_GUEST && is_resident(t.gi))
		return -EBUSY;

	t.gi->seals |= new;
	return 0;
}

static int64_t map(struct model *m, const long *arg)
{
	struct through t;

	if (!find(m, arg, &t) || t.view->mapped)
		return NOT_DONE;
	if (!t.view->open)
		return -EBADF;
	if (t.gi->seals & (KVM_GMEM_SEAL_WRITE | KVM_GMEM_SEAL_GUEST))
		return -EPERM;
	if (!(t.gi->flags & MODEL_MMAP))
		return -ENODEV;

	t.view->mapped = true;
	t.gi->mapped++;
	return 0;
}

static int64_t unmap(struct model *m, const long *arg)
{
	struct through t;

	if (!find(m, arg, &t) || !t.view->mapped)
		return NOT_DONE;

	t.view->mapped = false;
	t.gi->mapped--;
	return 0;
}

/* Before a fault of its guest: how far it got, or why not. */
static int64_t prefault(struct model *m, const long *arg)
{
	struct model_vm *vm = &m->vms[arg[0]];

	if (!vm->exists)
		return NOT_DONE;
	if (vm->dead)
		return -EIO;
	if (!arg[2])
		return -EINVAL;

	for (long i = 0; i < arg[2]; i++) {
		struct model_place place = model_look(m, arg[0], arg[1] + i);

		if (place.sight)
			return i ? : !place.slot && place.sight == SEES_DEVICE ? -ENOENT : -EFAULT;
		if (place.page)
			touch(place.page);
	}
	return arg[2];
}

/*
 * A guest's look at a page, or its @content put there. To KVM, which does it for the guest,
 * all that is no memory is a device.
 */
static uint64_t access_place(struct model *m, unsigned int vm, unsigned long gfn,
			     enum operation_kind kind, uint64_t content)
{
	bool write = kind == OP_GUEST_WRITE || kind == OP_EMULATED_WRITE;
	struct model_place place = model_look(m, vm, gfn);

	if (place.sight == SEES_DEAD_VM)
		return place.sight;
	if (place.sight && (kind == OP_EMULATED_READ || kind == OP_EMULATED_WRITE))
		return SEES_DEVICE;
	if (place.sight)
		return place.sight;
	if (place.page) {
		touch(place.page);
		if (write)
			put_content(place.page, content);
		return place.page->content;
	}
	if (write)
		m->vms[vm].behind[gfn] = content;
	return m->vms[vm].behind[gfn];
}

static int64_t guest(struct model *m, const struct operation *op, struct outcome *want)
{
	const long *arg = op->arg;

	if (!m->vms[arg[0]].exists)
		return NOT_DONE;

	for (long i = 0; i < arg[2]; i++)
		want->seen[i] = access_place(m, arg[0], arg[1] + i, op->kind,
					     content_of(want->base, i));
	want->nr = arg[2];
	m->vms[arg[0]].has_run |= arg[2] && !m->vms[arg[0]].dead;
	return 0;
}

static int64_t host(struct model *m, const long *arg, struct outcome *want, bool write)
{
	struct through t;

	if (!find(m, arg, &t) || !t.view->mapped)
		return NOT_DONE;

	for (long i = 0; i < arg[3]; i++) {
		struct model_page *page = &t.gi->pages[arg[2] + i];

		if (arg[2] + i >= (long)t.gi->npages || page->private) {
			want->seen[i] = SEES_SIGBUS;
			continue;
		}
		want->seen[i] = touch(page);
		if (write) {
			put_content(page, content_of(want->base, i));
			want->seen[i] = page->content;
		}
	}
	want->nr = arg[3];
	return 0;
}

static int64_t behind(struct model *m, const long *arg, struct outcome *want, bool write)
{
	struct model_vm *vm = &m->vms[arg[0]];

	if (!vm->exists)
		return NOT_DONE;

	for (long i = 0; i < arg[2]; i++) {
		if (write)
			vm->behind[arg[1] + i] = content_of(want->base, i);
		want->seen[i] = vm->behind[arg[1] + i];
	}
	want->nr = arg[2];
	return 0;
}

/* What views tell: of the VM, and in numbers, of the inode and each of its pages. */
static int64_t facts(struct model *m, const long *arg, struct outcome *want)
{
	unsigned long resident = 0;
	struct through t;

	if (!find(m, arg, &t) || !t.view->open)
		return NOT_DONE;

	for (unsigned long i = 0; i < t.gi->npages; i++) {
		resident += t.gi->pages[i].state != MODEL_MISSING;
		want->seen[i] = t.gi->pages[i].state == MODEL_CONTENT ? SEES_PRESENT : SEES_ABSENT;
	}
	want->nr = t.gi->npages;
	want->base = t.gi->seals << 4 | t.gi->views;
	return (int64_t)resident << 1 | t.vm->dead;
}

bool model_do_memory(struct model *m, const struct operation *op, struct outcome *want)
{
	want->base = ++m->contents << 32;
	switch (op->kind) {
	case OP_CONVERT:
		want->ret = convert(m, op->arg);
		return true;
	case OP_PUNCH:
		want->ret = punch(m, op->arg);
		return true;
	case OP_ALLOCATE:
		want->ret = allocate(m, op->arg);
		return true;
	case OP_POPULATE:
		want->ret = populate(m, op->arg, want);
		return true;
	case OP_FILL:
		want->ret = fill(m, op->arg, want);
		return true;
	case OP_FEED:
		want->ret = feed(m, op->arg, want);
		return true;
	case OP_WRITE:
		want->ret = write_pages(m, op->arg, want);
		return true;
	case OP_SEAL:
		want->ret = seal(m, op->arg);
		return true;
	case OP_MMAP:
		want->ret = map(m, op->arg);
		return true;
	case OP_MUNMAP:
		want->ret = unmap(m, op->arg);
		return true;
	case OP_PREFAULT:
		want->ret = prefault(m, op->arg);
		return true;
	case OP_GUEST_READ:
	case OP_GUEST_WRITE:
	case OP_EMULATED_READ:
	case OP_EMULATED_WRITE:
		want->ret = guest(m, op, want);
		return true;
	case OP_HOST_READ:
	case OP_HOST_WRITE:
		want->ret = host(m, op->arg, want, op->kind == OP_HOST_WRITE);
		return true;
	case OP_BEHIND_READ:
	case OP_BEHIND_WRITE:
		want->ret = behind(m, op->arg, want, op->kind == OP_BEHIND_WRITE);
		return true;
	case OP_FACTS:
		want->ret = facts(m, op->arg, want);
		return true;
	default:
		return false;
	}
}
