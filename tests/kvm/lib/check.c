// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plain model beside the real thing: see check.h.
 */
#include "check.h"

struct check *check_create(void)
{
	struct check *c = calloc(1, sizeof(*c));

	TEST_ASSERT(c, "out of memory");
	world_init(&c->world);
	return c;
}

static void ret_print(int64_t ret, char *text, size_t len)
{
	if (ret == NOT_DONE)
		snprintf(text, len, "not done");
	else if (ret < 0)
		snprintf(text, len, "%ld (%s)", ret, strerror(-ret));
	else
		snprintf(text, len, "%ld", ret);
}

static bool same_ret(int64_t got, int64_t want, const char *line, char *why, size_t len)
{
	char got_text[64], want_text[64];

	if (got == want)
		return true;
	ret_print(got, got_text, sizeof(got_text));
	ret_print(want, want_text, sizeof(want_text));
	snprintf(why, len, "%s: returns %s, not %s", line, got_text, want_text);
	return false;
}

static bool same(const struct operation *op, const struct outcome *got,
		 const struct outcome *want, char *why, size_t len)
{
	char got_text[32], want_text[32], line[OPERATION_LINE];

	operation_print(op, line);
	if (!same_ret(got->ret, want->ret, line, why, len))
		return false;
	if (got->nr != want->nr) {
		snprintf(why, len, "%s: of %lu pages, not %lu", line, got->nr, want->nr);
		return false;
	}
	for (unsigned long i = 0; i < want->nr; i++) {
		if (got->seen[i] == want->seen[i])
			continue;
		sight_print(got->seen[i], got_text);
		sight_print(want->seen[i], want_text);
		snprintf(why, len, "%s: page %lu of it is %s, not %s", line, i, got_text,
			 want_text);
		return false;
	}
	if (got->base != want->base) {
		snprintf(why, len, "%s: seals and views are %#lx, not %#lx", line, got->base,
			 want->base);
		return false;
	}
	return true;
}

static bool check_one(struct check *c, const struct operation *op, char *why, size_t len)
{
	static struct outcome want, got;

	model_do(&c->model, op, &want);
	got.base = want.base;
	world_do(&c->world, op, &got);
	c->ret = want.ret;
	return same(op, &got, &want, why, len);
}

/* How much a comparison looks at. */
struct extent {
	bool touch;		/* missing pages, too, which are there then */
	unsigned long stride;	/* every so many pages, and where something begins or ends */
};

static bool is_alike(const struct model_place *a, const struct model_place *b)
{
	if (a->sight != b->sight || a->slot != b->slot || !a->page != !b->page)
		return false;
	return !a->page || a->page->state == b->page->state;
}

static bool is_looked_at(struct check *c, unsigned int vm, unsigned long gfn, struct extent e)
{
	struct model_place place = model_look(&c->model, vm, gfn), next;

	if (place.page && place.page->state != MODEL_CONTENT && !e.touch)
		return false;
	/* What is no memory is all the same, and each look at it costs an exit. */
	if (gfn % (place.sight ? 16 : e.stride) == 0 || gfn == MODEL_PAGES - 1)
		return true;

	next = model_look(&c->model, vm, gfn - 1);
	if (!is_alike(&place, &next))
		return true;
	next = model_look(&c->model, vm, gfn + 1);
	return !is_alike(&place, &next);
}

static bool compare_guest(struct check *c, unsigned int vm, struct extent e, char *why, size_t len)
{
	for (unsigned long end, gfn = 0; gfn < MODEL_PAGES; gfn = end + 1) {
		for (end = gfn; end < MODEL_PAGES && is_looked_at(c, vm, end, e);)
			end++;
		if (end > gfn &&
		    !check_one(c, &(struct operation){ OP_GUEST_READ, { vm, gfn, end - gfn } },
			       why, len))
			return false;
	}
	return true;
}

static bool compare_host(struct check *c, unsigned int vm, unsigned int inode, struct extent e,
			 char *why, size_t len)
{
	const struct model_inode *gi = &c->model.inodes[inode];

	for (unsigned long i = 0; i < gi->npages; i++) {
		const struct model_page *page = &gi->pages[i];

		if (page->private ? i % e.stride && i && page[-1].private :
		    page->state != MODEL_CONTENT && !e.touch)
			continue;
		if (!check_one(c, &(struct operation){ OP_HOST_READ, { vm, inode, i, 1 } },
			       why, len))
			return false;
	}
	return true;
}

static bool compare_vm(struct check *c, unsigned int v, struct extent e, char *why, size_t len)
{
	struct model_vm *vm = &c->model.vms[v];

	for (unsigned int i = 0; i < MODEL_INODES; i++) {
		if (vm->views[i].open &&
		    !check_one(c, &(struct operation){ OP_FACTS, { v, i } }, why, len))
			return false;
	}
	/* The guest of one that nobody has run stays fit to be moved to. */
	if ((vm->has_run || vm->dead || e.touch) && !compare_guest(c, v, e, why, len))
		return false;
	for (unsigned int i = 0; i < MODEL_INODES; i++) {
		if (vm->views[i].mapped && !compare_host(c, v, i, e, why, len))
			return false;
	}
	return check_one(c, &(struct operation){ OP_BEHIND_READ, { v, 0, MODEL_PAGES } }, why, len);
}

bool check_do(struct check *c, const struct operation *op, char *why, size_t len)
{
	struct extent e = { .touch = op->arg[0], .stride = op->arg[1] };

	if (op->kind != OP_COMPARE)
		return check_one(c, op, why, len);

	for (unsigned int v = 0; v < MODEL_VMS; v++) {
		if (c->model.vms[v].exists && !compare_vm(c, v, e, why, len))
			return false;
	}
	return true;
}
