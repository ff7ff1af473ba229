// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES2: pages become private or shared in place.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"
#include "moving.h"
#include "tracing.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE_SIZE)
#define PRIVATE	KVM_MEMORY_ATTRIBUTE_PRIVATE

static struct machine *shared_machine(void)
{
	require_convert();
	return mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_SHARED);
}

static uint64_t resident(struct machine *m)
{
	struct stat st;

	TEST_ASSERT(!fstat(m->view, &st), "fstat");
	return st.st_blocks * 512 / PAGE_SIZE;
}

static void refuse(int view, struct kvm_memory_attributes2 args, int err)
{
	int ret = ioctl(view, KVM_SET_MEMORY_ATTRIBUTES2, &args);

	TEST_ASSERT(ret == -1 && errno == err,
		    "offset %llx size %llx attributes %llx flags %llx: %d, errno %d, not %d",
		    args.offset, args.size, args.attributes, args.flags, ret, errno, err);
}

static void wrong_arguments(void)
{
	struct machine *m = shared_machine();
	struct kvm_memory_attributes2 good = { .size = SIZE, .attributes = PRIVATE }, args;

#define REFUSE(field, value)							\
do {										\
	args = good;								\
	args.field = (value);							\
	refuse(m->view, args, EINVAL);						\
} while (0)

	for (int bit = 0; bit < 64; bit++) {
		REFUSE(flags, 1ULL << bit);
		if (1ULL << bit != PRIVATE)
			REFUSE(attributes, 1ULL << bit | PRIVATE);
	}
	for (int i = 0; i < 11; i++)
		REFUSE(reserved[i], 1);
	REFUSE(size, 0);
	REFUSE(size, 1);
	REFUSE(size, SIZE - 1);
	REFUSE(size, SIZE + PAGE_SIZE);
	REFUSE(offset, 1);
	REFUSE(offset, 512);
	REFUSE(offset, PAGE_SIZE);
	REFUSE(offset, SIZE);
	REFUSE(offset, -(uint64_t)PAGE_SIZE);
	REFUSE(size, -(uint64_t)PAGE_SIZE);
	REFUSE(offset, -(uint64_t)SIZE);
	TEST_ERRNO(ioctl(m->view, KVM_SET_MEMORY_ATTRIBUTES2, 8), EFAULT);
	host_write(m, 0, PAGES, 1);	/* nothing has become private */
}

static void wrong_objects(void)
{
	struct kvm_memory_attributes2 args = { .size = SIZE, .attributes = PRIVATE };
	struct kvm_vm *vm = vm_create_barebones();

	shared_machine();
	/* A VM without private memory; an inode without attributes; what is no view. */
	refuse(vm_create_guest_memfd(vm, SIZE, MMAP_SHARED), args, EINVAL);
	refuse(vm_create_guest_memfd(idle_vm(), SIZE, 0), args, EINVAL);
	TEST_ERRNO(ioctl(open("/dev/null", O_RDWR), KVM_SET_MEMORY_ATTRIBUTES2, &args), ENOTTY);
	TEST_ERRNO(ioctl(vm_create_guest_memfd(vm, SIZE, 0), KVM_CREATE_VCPU, 0), ENOTTY);
}

static void dead_vm(void)
{
	struct machine *a = shared_machine();
	struct machine *b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES);

	host_write(a, 0, PAGES, 1);
	make_private(a->view, 0, 4);
	TEST_ASSERT(!__move(b->vm, a->vm->fd), "move: errno %d", errno);
	TEST_ERRNO(__convert(a->view, 0, PAGES, 0, NULL), EIO);
	host_expect_sigbus(a, 0, 4);
	guest_expect(b, 0, PAGES, 1);
	make_shared(b->view, 0, 4);
	host_expect(a, 0, PAGES, 1);
}

static void content_stays(void)
{
	struct machine *m = shared_machine();

	host_write(m, 0, PAGES, 1);
	make_private(m->view, 4, 8);
	host_expect(m, 0, 4, 1);
	host_expect_sigbus(m, 4, 8);
	host_expect(m, 12, 4, 1);
	guest_expect(m, 0, PAGES, 1);

	guest_write(m, 0, PAGES, 2);
	host_expect_sigbus(m, 4, 8);
	make_shared(m->view, 4, 8);
	host_expect(m, 0, PAGES, 2);
	host_write(m, 0, PAGES, 3);
	guest_expect(m, 0, PAGES, 3);
}

static void starts_private(void)
{
	struct machine *m;

	shared_machine();
	m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_PRIVATE);
	guest_write(m, 0, PAGES, 1);
	host_expect_sigbus(m, 0, PAGES);
	make_shared(m->view, 0, 8);
	host_expect(m, 0, 8, 1);
	host_expect_sigbus(m, 8, 8);
	make_private(m->view, 0, PAGES);
	host_expect_sigbus(m, 0, PAGES);
	guest_expect(m, 0, PAGES, 1);
}

static void missing_stays_missing(void)
{
	struct machine *m = shared_machine();

	make_private(m->view, 0, PAGES);
	TEST_ASSERT_EQ(resident(m), 0UL);
	host_expect_sigbus(m, 0, PAGES);
	TEST_ASSERT_EQ(resident(m), 0UL);
	guest_touch(m, 3, 1);
	TEST_ASSERT_EQ(resident(m), 1UL);
	make_shared(m->view, 0, PAGES);
	TEST_ASSERT_EQ(resident(m), 1UL);
	host_expect(m, 0, PAGES, 0);
	TEST_ASSERT_EQ(resident(m), (uint64_t)PAGES);
}

static void twice_is_fine(void)
{
	struct machine *m = shared_machine();

	make_shared(m->view, 0, PAGES);
	make_private(m->view, 2, 2);
	make_private(m->view, 0, 8);
	make_private(m->view, 0, 8);
	make_shared(m->view, 1, 1);
	host_expect_sigbus(m, 0, 1);
	host_expect(m, 1, 1, 0);
	host_expect_sigbus(m, 2, 6);
	host_expect(m, 8, 8, 0);
}

static void all_views_see_it(void)
{
	struct machine *a = shared_machine();
	struct machine *b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES);
	struct machine *c = mapped_link(KVM_X86_DEFAULT_VM, a->view, PAGES);

	host_write(c, 0, PAGES, 1);
	host_expect(b, 0, PAGES, 1);
	make_private(a->view, 0, PAGES);
	host_expect_sigbus(a, 0, PAGES);
	host_expect_sigbus(b, 0, PAGES);
	host_expect_sigbus(c, 0, PAGES);
	guest_write(b, 0, PAGES, 2);
	guest_expect(a, 0, PAGES, 2);
	guest_expect(c, 0, PAGES, 2);
	make_shared(b->view, 0, PAGES);
	host_expect(c, 0, PAGES, 2);
	/* A link made afterwards finds the attributes as they are. */
	make_private(a->view, 0, 4);
	host_expect_sigbus(mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES), 0, 4);
	TEST_ERRNO(__convert(c->view, 0, PAGES, 0, NULL), EINVAL);
}

/* Where the inode decides, the VM's attributes say nothing. */
static void vm_attributes_do_not_count(void)
{
	struct kvm_memory_attributes attrs = {
		.address = MACHINE_GPA - PAGE_SIZE, .size = 2 * PAGE_SIZE,
		.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	struct machine *m = shared_machine();

	/* What was set before the slot came. */
	machine_unbind(m);
	vm_mem_set_private(m->vm, MACHINE_GPA, SIZE);
	machine_bind(m, 0);
	host_write(m, 0, PAGES, 1);
	guest_expect(m, 0, PAGES, 1);
	make_private(m->view, 0, PAGES);
	machine_unbind(m);
	vm_mem_set_shared(m->vm, MACHINE_GPA, SIZE);
	machine_bind(m, 0);
	guest_write(m, 0, PAGES, 2);
	host_expect_sigbus(m, 0, PAGES);
	make_shared(m->view, 0, PAGES);
	host_expect(m, 0, PAGES, 2);

	/* While it is there they are not the VM's to set, not even in part. */
	TEST_ERRNO(__vm_ioctl(m->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs), EINVAL);
	attrs.attributes = 0;
	TEST_ERRNO(__vm_ioctl(m->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs), EINVAL);
	attrs.address = MACHINE_GPA + SIZE - PAGE_SIZE;
	TEST_ERRNO(__vm_ioctl(m->vm, KVM_SET_MEMORY_ATTRIBUTES, &attrs), EINVAL);
	vm_mem_set_private(m->vm, MACHINE_GPA + SIZE, PAGE_SIZE);
	vm_mem_set_private(m->vm, MACHINE_GPA - PAGE_SIZE, PAGE_SIZE);

	/* And count again when the slot is gone: no slot and private is a fault. */
	machine_unbind(m);
	vm_mem_set_private(m->vm, MACHINE_GPA, SIZE);
	expect_memory_fault(m, 0, EFAULT);
}

static void expect_behind(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern)
{
	for (uint64_t page = first; page < first + n; page++) {
		for (uint64_t i = 0; i < PAGE_SIZE / 8; i++)
			TEST_ASSERT_EQ(host_page(m, page)[i], pattern_word(pattern, page, i));
	}
}

/*
 * Not mapped, and shared at first: as later Linux has it, the inode knows, but what is shared
 * is at userspace_addr, where huge pages may be.
 */
static void not_mapped(void)
{
	struct machine *m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);

	require_convert();
	m->view = vm_create_guest_memfd(m->vm, SIZE, GUEST_MEMFD_FLAG_INIT_SHARED);
	m->host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(m->host != MAP_FAILED, "mmap");
	machine_bind(m, 0);
	guest_write(m, 0, PAGES, 1);
	expect_behind(m, 0, PAGES, 1);
	TEST_ASSERT_EQ(resident(m), 0UL);

	make_private(m->view, 4, 8);
	guest_expect(m, 4, 8, 0);
	guest_write(m, 4, 8, 2);
	guest_expect(m, 0, 4, 1);
	guest_expect(m, 12, PAGES - 12, 1);
	expect_behind(m, 0, PAGES, 1);
	TEST_ASSERT_EQ(resident(m), 8UL);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, m->view, 0), ENODEV);

	make_shared(m->view, 4, 4);
	guest_expect(m, 4, 4, 1);
	guest_expect(m, 8, 4, 2);
	make_private(m->view, 4, 4);
	guest_expect(m, 4, 8, 2);
}

/* Or a guest's access would not be looked at by the new attribute. */
static void guests_fault_again(void)
{
	struct machine *a, *b;
	struct stat st;

	trace_start("gmem_fault");
	a = shared_machine();
	b = mapped_link(KVM_X86_SW_PROTECTED_VM, a->view, PAGES);
	TEST_ASSERT(!fstat(a->view, &st), "fstat");
	for (int i = 0; i < 4; i++) {
		guest_touch(a, 3, 1);
		guest_touch(b, 3, 1);
		if (i & 1)
			make_shared(a->view, 3, 1);
		else
			make_private(a->view, 3, 1);
		trace_clear();
		guest_touch(i & 2 ? a : b, 3, 1);
		trace_fault_pfn(st.st_ino, 3);	/* fails where there is no event */
	}
}

static void every_mapping_loses_it(void)
{
	struct machine *m = shared_machine();
	uint64_t *other = map_view(m->view, PAGES);
	int ready[2], go[2], status;
	char byte;

	host_write(m, 0, PAGES, 1);
	TEST_ASSERT(!mlock(other, SIZE), "mlock: errno %d", errno);
	TEST_ASSERT(!pipe(ready) && !pipe(go), "pipe");
	if (!fork()) {
		int bad = host_try_read(m->host);

		bad |= write(ready[1], "", 1) != 1;
		bad |= read(go[0], &byte, 1) != 1;
		_exit(bad || host_try_read(m->host) != BUS_ADRERR);
	}
	TEST_ASSERT_EQ(read(ready[0], &byte, 1), 1L);
	make_private(m->view, 0, PAGES);
	host_expect_sigbus(m, 0, PAGES);
	TEST_ASSERT_EQ(host_try_read(other), BUS_ADRERR);
	TEST_ASSERT_EQ(write(go[1], "", 1), 1L);
	TEST_ASSERT(wait(&status) > 0 && !status, "the child's status is %#x", status);
}

/* What a balloon does: the guest gives memory back, and the host frees it. */
static void give_back(void)
{
	struct machine *m = shared_machine();

	make_private(m->view, 0, PAGES);
	guest_write(m, 0, PAGES, 1);
	make_shared(m->view, 4, 8);
	punch_pages(m->view, 4, 8);
	TEST_ASSERT_EQ(resident(m), (uint64_t)PAGES - 8);
	guest_expect(m, 0, 4, 1);
	guest_expect(m, 12, 4, 1);
	/* And takes it back: zeroed, and private again. */
	make_private(m->view, 4, 8);
	guest_expect(m, 4, 8, 0);
	host_expect_sigbus(m, 0, PAGES);
}

/* A private page is punched, with no conversion before, just as well. */
static void hole_keeps_attributes(void)
{
	struct machine *m = shared_machine();

	make_private(m->view, 0, 8);
	guest_write(m, 0, PAGES, 1);
	punch_pages(m->view, 0, PAGES);
	host_expect_sigbus(m, 0, 8);
	host_expect(m, 8, 8, 0);
	guest_expect(m, 0, PAGES, 0);
}

static void ahead_of_a_fault(void)
{
	struct machine *m = shared_machine();
	struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = SIZE };

	make_private(m->view, 0, 8);
	vcpu_ioctl(m->vcpu, KVM_PRE_FAULT_MEMORY, &range);
	TEST_ASSERT_EQ(resident(m), (uint64_t)PAGES);
	guest_write(m, 0, PAGES, 1);
	make_private(m->view, 0, PAGES);
	guest_expect(m, 0, PAGES, 1);
}

static const struct claim claims[] = {
	CLAIM(wrong_arguments, "each wrong argument is EINVAL, or EFAULT, and changes nothing"),
	CLAIM(wrong_objects,
	      "EINVAL for a VM without private memory or an inode without flags, else ENOTTY"),
	CLAIM(dead_vm, "a VM that was moved converts nothing any more, its successor does"),
	CLAIM(content_stays, "the content stays in both directions, private is SIGBUS to the host"),
	CLAIM(starts_private, "an inode without INIT_SHARED starts private and converts"),
	CLAIM(missing_stays_missing, "a missing page stays missing"),
	CLAIM(twice_is_fine, "what is so already may be made so, in ranges of any cut"),
	CLAIM(all_views_see_it, "a conversion holds for all views, of VMs of all types"),
	CLAIM(vm_attributes_do_not_count,
	      "a VM's attributes do not count where the inode's do, and can't be set"),
	CLAIM(not_mapped, "what the host can't map has its shared memory at userspace_addr"),
	CLAIM(guests_fault_again, "a conversion takes the page from every VM's stage-2 tables"),
	CLAIM(every_mapping_loses_it, "mappings of children, second ones and locked ones lose it"),
	CLAIM(give_back, "a guest gives pages back by conversion and hole, and takes new ones"),
	CLAIM(hole_keeps_attributes, "a hole leaves the attributes as they are"),
	CLAIM(ahead_of_a_fault, "KVM_PRE_FAULT_MEMORY maps pages of both kinds"),
};

CLAIMS_MAIN(claims);
