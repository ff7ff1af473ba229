// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_LINK_GUEST_MEMFD: what a link is, and how long the memory lives.
 */
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "claims.h"
#include "fdinfo.h"
#include "machine.h"
#include "tracing.h"

#define PAGES	64

static void capability(void)
{
	struct kvm_vm *protected, *plain;

	require_link();
	protected = idle_vm();
	plain = vm_create_barebones();
	TEST_ASSERT(vm_check_cap(protected, KVM_CAP_GMEM) & KVM_GMEM_CAP_LINK, "protected VM");
	TEST_ASSERT(vm_check_cap(plain, KVM_CAP_GMEM) & KVM_GMEM_CAP_LINK, "default VM");
}

static void same_inode(void)
{
	struct stat a, b;
	int view, link;

	require_link();
	view = vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, 0);
	link = link_view(idle_vm(), view);
	TEST_ASSERT(link != view, "the link is the view");
	TEST_ASSERT(!fstat(view, &a) && !fstat(link, &b), "fstat");
	TEST_ASSERT_EQ(a.st_ino, b.st_ino);
	TEST_ASSERT_EQ(a.st_dev, b.st_dev);
	TEST_ASSERT_EQ(b.st_size, (off_t)PAGES * PAGE_SIZE);
	TEST_ASSERT_EQ(a.st_mode, b.st_mode);
}

static void cloexec(void)
{
	require_link();
	TEST_ASSERT_EQ(fcntl(link_view(idle_vm(), vm_create_guest_memfd(idle_vm(), PAGE_SIZE, 0)),
			     F_GETFD), FD_CLOEXEC);
}

static void default_vm(void)
{
	int view, link;

	require_link();
	view = vm_create_guest_memfd(idle_vm(), PAGE_SIZE, 0);
	link = link_view(vm_create_barebones(), view);
	TEST_ASSERT_EQ(fdinfo(link, "views"), 2UL);
	TEST_ASSERT(link_view(idle_vm(), link) >= 0, "link onwards");
}

static void guests_share(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES / 2, 1);
	b = machine_link(a->view, PAGES);
	guest_expect(b, 0, PAGES / 2, 1);
	/* Also what was not there yet when the link was made, whoever touches it first. */
	guest_write(b, PAGES / 2, PAGES / 2, 2);
	guest_expect(a, PAGES / 2, PAGES / 2, 2);
	guest_write(a, 0, PAGES, 3);
	guest_expect(b, 0, PAGES, 3);
}

static void outlives_source(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_link(a->view, PAGES);
	machine_free(a);
	TEST_ASSERT_EQ(fdinfo(b->view, "views"), 1UL);
	TEST_ASSERT_EQ(fdinfo(b->view, "resident"), (uint64_t)PAGES);
	TEST_ASSERT_EQ(fdinfo(b->view, "freed"), 0UL);
	guest_expect(b, 0, PAGES, 1);
	guest_write(b, 0, PAGES, 2);
	guest_expect(b, 0, PAGES, 2);
	machine_free(b);
}

static void unlinked_by_source_death(void)
{
	struct machine *a, *b, *c;

	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_link(a->view, PAGES);
	machine_free(a);
	c = machine_link(b->view, PAGES);
	machine_free(b);
	guest_expect(c, 0, PAGES, 1);
	machine_free(c);
}

static void chain(void)
{
	struct machine *m, *next;

	require_link();
	m = machine_create(PAGES);
	for (int i = 1; i <= 10; i++) {
		guest_write(m, 0, PAGES, i);
		next = machine_link(m->view, PAGES);
		machine_free(m);
		guest_expect(next, 0, PAGES, i);
		m = next;
	}
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), (uint64_t)PAGES);
}

static void closing_one_view(void)
{
	struct machine *a, *b;

	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	b = machine_link(a->view, PAGES);
	guest_expect(b, 0, PAGES, 1);
	machine_close_view(a);
	expect_memory_fault(a, 0, EFAULT);
	expect_memory_fault(a, PAGES - 1, EFAULT);
	guest_expect(b, 0, PAGES, 1);
}

static void bindings_differ(void)
{
	struct machine *a, *b;

	/* B shows A's second half only, at the same guest addresses. */
	require_link();
	a = machine_create(PAGES);
	b = machine_bare(PAGES / 2);
	b->view = link_view(b->vm, a->view);
	machine_bind(b, PAGES / 2);
	guest_write(b, 0, PAGES / 2, 1);
	guest_expect(a, 0, PAGES / 2, 0);
	machine_unbind(b);
	machine_bind(b, 0);
	guest_expect(b, 0, PAGES / 2, 0);
}

static void last_view_frees(void)
{
	struct machine *a, *b;
	unsigned int freed;

	require_link();
	trace_start("gmem_free");
	a = machine_create(PAGES);
	guest_touch(a, 0, PAGES);
	b = machine_link(a->view, PAGES);
	guest_touch(b, 0, PAGES);

	machine_free(a);
	freed = trace_count("gmem_free", "order 0");
	TEST_ASSERT(freed == 0, "%u pages were freed with a view left", freed);

	/* The view alone, with the VM and its slot still there. */
	machine_close_view(b);
	freed = trace_count("gmem_free", "order 0");
	TEST_ASSERT(freed == PAGES, "%u pages of %u were freed with the last view", freed, PAGES);
}

static void many_views(void)
{
	enum { N = 64 };
	struct machine *first, *last;
	int view[N];

	require_link();
	first = machine_create(PAGES);
	guest_write(first, 0, PAGES, 1);
	view[0] = first->view;
	for (int i = 1; i < N - 1; i++)
		view[i] = link_view(idle_vm(), view[i / 2]);
	last = machine_link(view[N - 2], PAGES);
	TEST_ASSERT_EQ(fdinfo(view[N / 2], "views"), (uint64_t)N);
	guest_expect(last, 0, PAGES, 1);

	for (int i = 1; i < N - 1; i++)
		close(view[i]);
	TEST_ASSERT_EQ(fdinfo(last->view, "views"), 2UL);
	machine_free(first);
	guest_expect(last, 0, PAGES, 1);
}

static bool stop;

static void *fault_for_ever(void *arg)
{
	struct machine *m = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		guest_write(m, 0, PAGES, 1);
		punch_pages(m->view, 0, PAGES);
	}
	return NULL;
}

static void under_a_running_guest(void)
{
	struct machine *a, *b;
	pthread_t guest;

	require_link();
	a = machine_create(PAGES);
	b = machine_bare(PAGES);
	pthread_create(&guest, NULL, fault_for_ever, a);
	for (int i = 0; i < 200; i++) {
		b->view = link_view(b->vm, a->view);
		machine_bind(b, 0);
		if (i % 10 == 0)
			guest_touch(b, 0, PAGES);
		machine_unbind(b);
		machine_close_view(b);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(guest, NULL);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
}

static void to_another_process(void)
{
	struct machine *a, *b;
	int status;

	/* The child inherits A's view; its own VM dies with it. */
	require_link();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	if (!fork()) {
		b = machine_link(a->view, PAGES);
		guest_expect(b, 0, PAGES, 1);
		guest_write(b, 0, PAGES, 2);
		_exit(0);
	}
	TEST_ASSERT(wait(&status) > 0 && !status, "the child's status is %#x", status);
	guest_expect(a, 0, PAGES, 2);
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
}

static const struct claim claims[] = {
	CLAIM(capability, "KVM_CAP_GMEM reports LINK, on /dev/kvm and on VMs of both types"),
	CLAIM(same_inode, "a link is another file on the same inode, of the same size"),
	CLAIM(cloexec, "the new fd is O_CLOEXEC"),
	CLAIM(default_vm, "a default VM can hold a view and pass it on"),
	CLAIM(guests_share, "what one guest writes privately the other reads, both ways"),
	CLAIM(outlives_source, "when the source VM is gone its memory is whole under the other"),
	CLAIM(unlinked_by_source_death, "a view that outlived its source can be linked on"),
	CLAIM(chain, "ten VMs hand memory on, each dying after, with no page allocated again"),
	CLAIM(closing_one_view, "closing one VM's view takes the memory from that VM only"),
	CLAIM(bindings_differ, "each VM binds what range of the inode it likes"),
	CLAIM(last_view_frees, "the last view's end frees the pages, no other's"),
	CLAIM(many_views, "64 VMs have views of one inode"),
	CLAIM(under_a_running_guest, "links and bindings come and go while the other guest faults"),
	CLAIM(to_another_process, "a VM of another process links, writes and dies"),
};

CLAIMS_MAIN(claims);
