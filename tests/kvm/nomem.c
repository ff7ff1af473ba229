// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that runs out in the middle of an ioctl: each of its allocations is
 * made to fail in turn. Needs the debug kernel's fault injection.
 */
#include <sys/mount.h>

#include "claims.h"
#include "fdinfo.h"
#include "machine.h"
#include "runner.h"
#include "successor.h"
#include "svm_util.h"

#define PAGES	8
#define DEBUGFS	"/sys/kernel/debug"

static void set_attribute(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) > 0, "write %s to %s", value, file);
	close(fd);
}

static void require_fault_injection(void)
{
	require_link();
	if (access("/proc/self/fail-nth", F_OK))
		claim_skip("this kernel has no fault injection");
	if (access(DEBUGFS "/failslab", F_OK))
		TEST_ASSERT(!mount("debugfs", DEBUGFS, "debugfs", 0, NULL), "mount debugfs");

	/* Sleeping allocations too, and of single pages for anyone: all of ours are. */
	set_attribute(DEBUGFS "/failslab/ignore-gfp-wait", "N");
	set_attribute(DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N");
	set_attribute(DEBUGFS "/fail_page_alloc/ignore-gfp-highmem", "N");
	set_attribute(DEBUGFS "/fail_page_alloc/min-order", "0");
	set_attribute(DEBUGFS "/failslab/verbose", "0");
	set_attribute(DEBUGFS "/fail_page_alloc/verbose", "0");
}

/* The thread's next @n-th allocation fails; 0: none does. */
static void fail_nth(int fd, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	TEST_ASSERT(pwrite(fd, text, len, 0) == len, "write fail-nth");
}

/* Whether the allocation that was to fail did not come any more. */
static bool never_came(int fd)
{
	char text[16] = "";

	TEST_ASSERT(pread(fd, text, sizeof(text) - 1, 0) > 0, "read fail-nth");
	fail_nth(fd, 0);
	return atoi(text) > 0;
}

/**
 * struct request - what is made to fail
 * @prepare: gets ready for it, or NULL
 * @make: makes it: -1 with errno, or what @undo takes
 * @undo: undoes it
 * @check: all is as it was before
 */
struct request {
	void (*prepare)(void);
	int (*make)(void);
	void (*undo)(int made);
	void (*check)(void);
};

/*
 * A failed allocation may be one that the kernel does without, so the request
 * may succeed; otherwise it says ENOMEM. Ends when all allocations have failed.
 */
static void fail_each_allocation(const struct request *r)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR);
	int n, failed = 0;

	TEST_ASSERT(fd >= 0, "open fail-nth");
	for (n = 1; ; n++) {
		int made, err;
		bool done;

		if (r->prepare)
			r->prepare();
		fail_nth(fd, n);
		made = r->make();
		err = errno;
		done = never_came(fd);

		if (made < 0) {
			TEST_ASSERT(err == ENOMEM, "allocation %d failed: errno %d (%s)", n, err,
				    strerror(err));
			failed++;
		} else {
			r->undo(made);
		}
		r->check();
		if (done)
			break;
	}
	close(fd);
	pr_info("%d allocations, %d failures\n", n - 1, failed);
	TEST_ASSERT(failed, "no allocation failed");
}

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

/* The next fd is the one that was next before: none was left. */
static void check_fds(void)
{
	static int first = -1;
	int next = dup(0);

	close(next);
	if (first < 0)
		first = next;
	TEST_ASSERT_EQ(next, first);
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

static void allocate(void)
{
	require_fault_injection();
	a = machine_create(PAGES);
	fail_each_allocation(&(struct request){ NULL, make_pages, undo_pages, check_pages });
	guest_expect(a, 0, PAGES, 0);
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

/* Tears a range into many, so that the map needs memory each time. */
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
	NULL, make_attributes, undo_attributes, check_attributes,
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

static const struct claim claims[] = {
	CLAIM(create, "KVM_CREATE_GUEST_MEMFD: ENOMEM and no fd left, whatever fails"),
	CLAIM(link_view_fails, "KVM_LINK_GUEST_MEMFD: ENOMEM and no fd or view left"),
	CLAIM(bind, "KVM_SET_USER_MEMORY_REGION2: ENOMEM and no binding left"),
	CLAIM(allocate, "fallocate: ENOMEM and no page miscounted"),
	CLAIM(attributes, "KVM_SET_MEMORY_ATTRIBUTES: ENOMEM and the range as it was"),
	CLAIM(move_of_vcpus, "KVM_MOVE_VCPUS: ENOMEM, source and destination as they were"),
	CLAIM(fault, "a guest's first touch: ENOMEM, no page miscounted, and it can go on"),
};

CLAIMS_MAIN(claims);
