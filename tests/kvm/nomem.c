// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that runs out in the middle of an ioctl: each of its allocations is
 * made to fail in turn. Needs the debug kernel's fault injection.
 */
#include "claims.h"
#include "failing.h"
#include "fdinfo.h"
#include "machine.h"
#include "moving.h"
#include "populate.h"
#include "runner.h"
#include "successor.h"
#include "svm_util.h"
#include "tracing.h"

#define PAGES	8

static struct machine *a;
static struct kvm_vm *vm;

static int make_view(void)
{
	return __vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, 0);
}

static void close_fd(int fd)
{
	close(fd);
}

static void create(void)
{
	require_fault_injection();
	vm = idle_vm();
	fail_each_allocation(&(struct request){ NULL, make_view, close_fd, check_fds });
}

static int make_link(void)
{
	return __link_view(vm, a->view);
}

static void check_views(void)
{
	check_fds();
	TEST_ASSERT_EQ(fdinfo(a->view, "views"), 1UL);
	/* The VM is not taken to have a view. */
	close(link_view(vm, a->view));
}

static void link_view_fails(void)
{
	require_fault_injection();
	a = machine_create(PAGES);
	vm = idle_vm();
	fail_each_allocation(&(struct request){ NULL, make_link, close_fd, check_views });
	guest_expect(a, 0, PAGES, 0);
}

static int make_binding(void)
{
	/* Not by the library, which asks for capabilities first. */
	return __vm_ioctl(a->vm, KVM_SET_USER_MEMORY_REGION2,
			  (&(struct kvm_userspace_memory_region2){
				.slot = MACHINE_SLOT,
				.flags = KVM_MEM_GUEST_MEMFD,
				.guest_phys_addr = MACHINE_GPA,
				.memory_size = PAGES * PAGE_SIZE,
				.guest_memfd = a->view,
			  }));
}

static void undo_binding(int made)
{
	(void)made;
	machine_unbind(a);
}

static void check_bindings(void)
{
	TEST_ASSERT_EQ(fdinfo(a->view, "bindings"), 0UL);
	machine_bind(a, 0);
	guest_expect(a, 0, PAGES, 1);
	machine_unbind(a);
}

static void bind(void)
{
	require_fault_injection();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	machine_unbind(a);
	fail_each_allocation(&(struct request){ NULL, make_binding, undo_binding, check_bindings });
}

static int make_pages(void)
{
	return fallocate(a->view, FALLOC_FL_KEEP_SIZE, 0, PAGES * PAGE_SIZE);
}

static void undo_pages(int made)
{
	(void)made;
	punch_pages(a->view, 0, PAGES);
}

static void check_pages(void)
{
	TEST_ASSERT_EQ(fdinfo(a->view, "allocated") - fdinfo(a->view, "freed"),
		       fdinfo(a->view, "resident"));
	punch_pages(a->view, 0, PAGES);
	TEST_ASSERT_EQ(fdinfo(a->view, "resident"), 0UL);
}

static const struct request allocating_request = {
	NULL, make_pages, undo_pages, check_pages,
};

static void allocate(void)
{
	require_fault_injection();
	a = machine_create(PAGES);
	/* Tried again, with no lock held. */
	TEST_ASSERT_EQ(try_each_allocation(&allocating_request), 0);
	guest_expect(a, 0, PAGES, 0);
}

#define MANY	100	/* more than one batch of the kernel's, in pieces of several sizes */

static uint64_t *content;

static void machine_to_populate(void)
{
	require_fault_injection();
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	a = machine_create(MANY);
	content = pattern_pages(0, MANY, 3);
}

/* One page, then all: where memory comes by pages, and where it may come in pieces. */
static int make_populated(void)
{
	long done = 0;

	while (done < MANY) {
		long n = populate(a, done, done ? MANY - done : 1,
				  content + done * (PAGE_SIZE / 8));

		if (n < 0)
			return -1;
		done += n;
	}
	return 0;
}

static void undo_populated(int made)
{
	(void)made;
	guest_expect(a, 0, MANY, 3);
}

static void check_populated(void)
{
	uint64_t resident = fdinfo(a->view, "resident");

	guest_expect(a, 0, resident, 3);
	TEST_ASSERT_EQ(fdinfo(a->view, "allocated") - fdinfo(a->view, "freed"), resident);
	punch_pages(a->view, 0, MANY);
	TEST_ASSERT_EQ(fdinfo(a->view, "resident"), 0UL);
}

static const struct request populating_request = {
	NULL, make_populated, undo_populated, check_populated,
};

static void populating(void)
{
	machine_to_populate();
	fail_each_allocation(&populating_request);
}

static void populating_in_pieces(void)
{
	long n;

	machine_to_populate();
	fail_large_allocations(true);
	n = populate(a, 0, MANY, content);
	fail_large_allocations(false);
	TEST_ASSERT_EQ(n, (long)MANY);
	undo_populated(0);
	check_populated();
}

static void guest_touch_first(void)
{
	*(volatile uint64_t *)MACHINE_GVA;
	GUEST_RETURN(0);
}

static void prepare_fault(void)
{
	machine_prepare(a, guest_touch_first, 0, 0, 0);
}

static int make_fault(void)
{
	return __vcpu_run(a->vcpu);
}

static void undo_fault(int made)
{
	vcpu_run_complete_io(a->vcpu);
	undo_pages(made);
}

static const struct request fault_request = {
	prepare_fault, make_fault, undo_fault, check_pages,
};

static void fault(void)
{
	require_fault_injection();
	a = machine_create(PAGES);
	guest_touch(a, 1, 1);
	fail_each_allocation(&fault_request);
	guest_expect(a, 0, PAGES, 0);
}

#define ATTRIBUTES_SIZE	(2UL << 20)	/* MACHINE_GPA is a multiple of it */

/* In one piece with all around it, of which the map keeps a value and no more. */
static void prepare_attributes(void)
{
	vm_mem_set_private(a->vm, MACHINE_GPA, ATTRIBUTES_SIZE);
}

/* Tears a range into many, for which the map needs memory. */
static int make_attributes(void)
{
	for (int page = 0; page < PAGES; page += 2) {
		struct kvm_memory_attributes attrs = {
			.address = MACHINE_GPA + page * PAGE_SIZE,
			.size = PAGE_SIZE,
		};

		if (__vm_ioctl(a->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs))
			return -1;
	}
	return 0;
}

static void undo_attributes(int made)
{
	(void)made;
}

static void check_attributes(void)
{
	vm_mem_set_private(a->vm, MACHINE_GPA, PAGES * PAGE_SIZE);
	guest_expect(a, 0, PAGES, 1);
}

static const struct request attributes_request = {
	prepare_attributes, make_attributes, undo_attributes, check_attributes,
};

static void attributes(void)
{
	require_fault_injection();
	a = machine_create(PAGES);
	guest_write(a, 0, PAGES, 1);
	fail_each_allocation(&attributes_request);
}

#define APF_GPA	(1ULL << 32)

/* With all that a move allocates for: room for nested guests, tasks to be woken. */
static void stepping_guest(struct svm_test_data *svm)
{
	uint64_t steps = 0;

	if (svm)
		generic_svm_setup(svm, NULL, NULL);
	wrmsr(MSR_KVM_ASYNC_PF_INT, 0x42);
	wrmsr(MSR_KVM_ASYNC_PF_EN, APF_GPA | KVM_ASYNC_PF_ENABLED |
	      KVM_ASYNC_PF_DELIVERY_AS_INT);
	for (;;)
		GUEST_SYNC(steps++);
}

static struct kvm_vcpu *source_vcpu, *destination_vcpu;
static uint64_t next_step;

static void run_step(struct kvm_vcpu *vcpu)
{
	run_to_sync(vcpu, next_step++);
}

static void prepare_move(void)
{
	destination_vcpu = successor(source_vcpu);
}

static int make_move(void)
{
	return __move_vcpus(destination_vcpu->vm, source_vcpu->vm);
}

static void undo_move(int made)
{
	(void)made;
	close_vm(source_vcpu->vm);
	source_vcpu = NULL;
}

/* The source goes on if it was not moved, and can be moved to the same destination. */
static void check_move(void)
{
	if (source_vcpu) {
		run_step(source_vcpu);
		move_vcpus(destination_vcpu->vm, source_vcpu->vm);
		close_vm(source_vcpu->vm);
	}
	source_vcpu = destination_vcpu;
	run_step(source_vcpu);
}

static const struct request move_request = {
	prepare_move, make_move, undo_move, check_move,
};

static void move_of_vcpus(void)
{
	vm_vaddr_t svm = 0;

	require_fault_injection();
	require_move_vcpus();
	source_vcpu = ancestor(KVM_X86_DEFAULT_VM, stepping_guest);
	vm_userspace_mem_region_add(source_vcpu->vm, VM_MEM_SRC_ANONYMOUS, APF_GPA, 10, 1, 0);
	if (kvm_cpu_has(X86_FEATURE_SVM))
		vcpu_alloc_svm(source_vcpu->vm, &svm);
	vcpu_args_set(source_vcpu, 1, svm);
	run_step(source_vcpu);
	fail_each_allocation(&move_request);
}

static struct machine *from, *to;
static unsigned int without_tables;

static void prepare_machines(void)
{
	from = machine_create(PAGES);
	guest_write(from, 0, PAGES, 1);
	to = destination(from);
	trace_clear();
}

static int make_move_of_memory(void)
{
	return __move(to->vm, from->vm->fd);
}

static void undo_move_of_memory(int made)
{
	(void)made;
	without_tables += trace_count("gmem_move_tables", "nomem");
	guest_expect(to, 0, PAGES, 1);
	punch_pages(to->view, 0, 1);
	guest_expect(to, 0, 1, 0);
}

static void release_machines(void)
{
	machine_release(from);
	machine_release(to);
}

static const struct request tables_request = {
	prepare_machines, make_move_of_memory, undo_move_of_memory, release_machines,
};

static void move_of_tables(void)
{
	require_fault_injection();
	require_move();
	trace_start("gmem_move_tables");
	TEST_ASSERT_EQ(try_each_allocation(&tables_request), 0);
	TEST_ASSERT(without_tables, "no move was without memory for tables");
}

static const struct claim claims[] = {
	CLAIM(create, "KVM_CREATE_GUEST_MEMFD: ENOMEM and no fd left, whatever fails"),
	CLAIM(link_view_fails, "KVM_LINK_GUEST_MEMFD: ENOMEM and no fd or view left"),
	CLAIM(bind, "KVM_SET_USER_MEMORY_REGION2: ENOMEM and no binding left"),
	CLAIM(allocate, "fallocate: tried again, and no page miscounted"),
	CLAIM(populating, "KVM_GUEST_MEMFD_POPULATE: ENOMEM, or a count that goes on"),
	CLAIM(populating_in_pieces, "which needs no memory in one piece larger than a page"),
	CLAIM(attributes, "KVM_SET_MEMORY_ATTRIBUTES: ENOMEM and the range as it was"),
	CLAIM(move_of_vcpus, "KVM_MOVE_VCPUS: ENOMEM, source and destination as they were"),
	CLAIM(move_of_tables, "a move without memory for roots succeeds, and takes no tables"),
	CLAIM(fault, "a guest's first touch: ENOMEM, no page miscounted, and it can go on"),
};

CLAIMS_MAIN(claims);
