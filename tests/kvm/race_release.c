// SPDX-License-Identifier: GPL-2.0-only
/*
 * Views and VMs that go while others fault, link and punch.
 */
#include "claims.h"
#include "fdinfo.h"
#include "stress.h"
#include "machine.h"

#define PAGES	16

/* The guest writes all its pages and reads them back; they are never missing. */
static void write_and_check(void *arg)
{
	guest_write(arg, 0, PAGES, 1);
	guest_expect(arg, 0, PAGES, 1);
}

/* The guest's pages come and go: each touch may fault. */
static void touch_what_is_there(void *arg)
{
	struct machine *m = arg;

	for (int page = 0; page < PAGES; page++) {
		int err = guest_try_touch(m, page);

		TEST_ASSERT(!err || err == EFAULT, "KVM_RUN: errno %d", err);
		if (err)
			TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MEMORY_FAULT);
	}
}

static void punch_all(void *arg)
{
	punch_pages(((struct machine *)arg)->view, 0, PAGES);
}

static void touch_all(void *arg)
{
	guest_touch(arg, 0, PAGES);
}

/* A machine that takes part, and the one whose view it links. */
struct pair {
	struct machine *m, *source;
};

static void link_bind_touch_close(void *arg)
{
	struct pair *p = arg;

	p->m->view = link_view(p->m->vm, p->source->view);
	machine_bind(p->m, 0);
	guest_touch(p->m, 0, PAGES);
	machine_close_view(p->m);	/* with the slot still there */
	machine_unbind(p->m);
}

static void release_against_other_guests(void)
{
	struct machine *a, *b;
	struct pair pair;

	require_link();
	a = machine_create(PAGES);
	b = machine_bare(PAGES);
	pair = (struct pair){ b, a };
	STRESS(((struct stress_op[]){
		{ "the guest that stays", write_and_check, a },
		{ "a view that comes and goes", link_bind_touch_close, &pair },
	}));
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
	TEST_ASSERT_EQ(fdinfo(a->view, "freed"), 0UL);
}

/*
 * A fault in flight holds the file that is closed here: it is released when
 * the vCPU is done with it, and until then the VM still has its view.
 */
static int link_when_released(struct kvm_vm *vm, int source)
{
	double until = 0;
	int view;

	do {
		view = __link_view(vm, source);
		if (view >= 0)
			return view;
		TEST_ASSERT(errno == EINVAL, "link: errno %d", errno);
	} while (claim_is_patient(&until));
	TEST_FAIL("the closed view is not released");
}

static void relink(void *arg)
{
	struct pair *p = arg;

	machine_close_view(p->m);
	machine_unbind(p->m);
	p->m->view = link_when_released(p->m->vm, p->source->view);
	machine_bind(p->m, 0);
}

static void release_against_own_guest(void)
{
	struct machine *a, *b;
	struct pair pair;

	require_link();
	a = machine_create(PAGES);
	b = machine_link(a->view, PAGES);
	pair = (struct pair){ b, a };
	STRESS(((struct stress_op[]){
		{ "the guest whose view goes", touch_what_is_there, b },
		{ "its view is closed and linked", relink, &pair },
		{ "holes, so that it faults", punch_all, a },
	}));
	guest_touch(b, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 2UL);
}

static void create_link_and_die(void *arg)
{
	struct machine *source = arg;
	struct machine *m = machine_link(source->view, PAGES);
	static int turn;

	guest_touch(m, 0, PAGES);
	/* The view first, or the VM first: kvm_vm_free() knows nothing of the slot. */
	if (turn++ % 2)
		machine_close_view(m);
	kvm_vm_free(m->vm);
	machine_close_view(m);
	free(m);
}

/* Many more of them a second: VMs that never run. */
static void create_bind_and_die(void *arg)
{
	struct machine *source = arg;
	struct kvm_vm *vm = idle_vm();
	int view = link_view(vm, source->view);
	static int turn;

	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, PAGES * PAGE_SIZE, NULL, view, 0);
	if (turn++ % 2)
		close(view);
	kvm_vm_free(vm);
	if (turn % 2)
		close(view);
}

static void vm_death_with_bindings(void)
{
	struct machine *a;

	require_link();
	a = machine_create(PAGES);
	STRESS(((struct stress_op[]){
		{ "the guest that stays", touch_all, a },
		{ "VMs that die with a binding", create_link_and_die, a },
		{ "VMs that die without having run", create_bind_and_die, a },
		{ "holes", punch_all, a },
	}));
	guest_touch(a, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
}

static struct {
	struct kvm_vm *vm;
	int view;
} ring[4];

/* Links whatever view the next one in the ring has, and lets go of the last one. */
static void pass_on(void *arg)
{
	size_t i = (uintptr_t)arg;
	int source = __atomic_load_n(&ring[(i + 1) % ARRAY_SIZE(ring)].view, __ATOMIC_SEQ_CST);
	int view = __link_view(ring[i].vm, source);

	/* Closed meanwhile, or this VM's own. */
	TEST_ASSERT(view >= 0 || errno == EINVAL, "link: errno %d", errno);
	view = __atomic_exchange_n(&ring[i].view, view, __ATOMIC_SEQ_CST);
	if (view >= 0)
		close(view);
}

static void link_against_release(void)
{
	struct stress_op ops[ARRAY_SIZE(ring)];
	struct machine *a;

	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ring); i++) {
		ring[i].vm = idle_vm();
		ring[i].view = i ? -1 : a->view;
		ops[i] = (struct stress_op){ "a link and a close", pass_on, (void *)i };
	}
	/* The first in the ring stays, so that there is always one to link. */
	ops[0] = (struct stress_op){ "the guest that stays", write_and_check, a };
	STRESS(ops);

	for (size_t i = 1; i < ARRAY_SIZE(ring); i++) {
		if (ring[i].view >= 0)
			close(ring[i].view);
	}
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
	guest_expect(a, 0, PAGES, 1);
}

static const struct claim claims[] = {
	CLAIM(release_against_other_guests, "a view goes while another VM's guest uses the pages"),
	CLAIM(release_against_own_guest, "a view goes while its own guest faults on it"),
	CLAIM(vm_death_with_bindings, "VMs die with bindings alive while others fault and punch"),
	CLAIM(link_against_release,
	      "views are linked while they are closed, and none is lost or left"),
};

CLAIMS_MAIN(claims);
