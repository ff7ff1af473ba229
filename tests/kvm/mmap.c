// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes that the host may map: GUEST_MEMFD_FLAG_MMAP and INIT_SHARED, as Linux
 * 6.18 has them, and for software-protected VMs too.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"

#define PAGES	8
#define SIZE	(PAGES * PAGE_SIZE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static const uint32_t types[] = { KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM };

static void require_mmap(void)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP,
		       "these modules have no GUEST_MEMFD_FLAG_MMAP");
}

/* A view of a VM that never runs. */
static int view_with(uint64_t flags)
{
	return vm_create_guest_memfd(vm_create_barebones(), SIZE, flags);
}

static uint64_t *mapping_of(uint64_t flags)
{
	return map_view(view_with(flags), PAGES);
}

static void flags_are_told(void)
{
	require_mmap();
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct kvm_vm *vm = vm_create_barebones_type(types[i]);
		uint64_t known = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);

		TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD), 1);
		TEST_ASSERT_EQ(known & MMAP_SHARED, MMAP_SHARED);
		for (int bit = 0; bit < 64; bit++) {
			uint64_t flag = 1ULL << bit;

			if (known & flag)
				close(vm_create_guest_memfd(vm, SIZE, flag));
			else
				TEST_ERRNO(__vm_create_guest_memfd(vm, SIZE, flag), EINVAL);
		}
		close(vm_create_guest_memfd(vm, SIZE, MMAP_SHARED));
		TEST_ERRNO(__vm_create_guest_memfd(vm, SIZE, MMAP_SHARED | 1ULL << 63), EINVAL);
	}
}

static void protected_has_a_bit(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	require_mmap();
	TEST_ASSERT(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT, "/dev/kvm lacks it");
	TEST_ASSERT(vm_check_cap(idle_vm(), KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT,
		    "a software-protected VM lacks it");
	TEST_ASSERT(!(vm_check_cap(vm, KVM_CAP_GMEM) & KVM_GMEM_CAP_CONVERT),
		    "a default VM has it");
}

static void mmap_takes_the_flag(void)
{
	int fd = view_with(0);

	require_mmap();
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
	fd = view_with(GUEST_MEMFD_FLAG_INIT_SHARED);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
}

static void no_private_mapping(void)
{
	int fd = view_with(MMAP_SHARED);

	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), EINVAL);
}

static void no_executable_mapping(void)
{
	int fd = view_with(MMAP_SHARED);

	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), EPERM);
	TEST_ERRNO(mprotect(map_view(fd, PAGES), SIZE, PROT_EXEC), EACCES);
}

static void host_reads_and_writes(void)
{
	int fd = view_with(MMAP_SHARED);
	uint64_t *a = map_view(fd, PAGES), *b = map_view(fd, PAGES);
	struct stat st;

	for (size_t i = 0; i < SIZE / 8; i++)
		TEST_ASSERT_EQ(a[i], 0UL);
	for (size_t i = 0; i < SIZE / 8; i++)
		a[i] = ~i;
	for (size_t i = 0; i < SIZE / 8; i++)
		TEST_ASSERT_EQ(b[i], ~i);
	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ((uint64_t)st.st_blocks, SIZE / 512);
	TEST_ASSERT_EQ(st.st_blksize, (blksize_t)PAGE_SIZE);
}

static void readonly_mapping(void)
{
	int fd = view_with(MMAP_SHARED);
	uint64_t *w = map_view(fd, PAGES);
	uint64_t *r = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	TEST_ASSERT(r != MAP_FAILED, "mmap");
	TEST_ASSERT_EQ(r[0], 0UL);
	w[0] = 7;
	TEST_ASSERT_EQ(r[0], 7UL);
	TEST_ASSERT(!mprotect(r, SIZE, PROT_READ | PROT_WRITE), "mprotect");
	r[0] = 8;
	TEST_ASSERT_EQ(w[0], 8UL);
}

static void past_the_end(void)
{
	int fd = view_with(MMAP_SHARED);
	char *p = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE);

	TEST_ASSERT(p != MAP_FAILED && q != MAP_FAILED, "mmap past the end");
	TEST_ASSERT_EQ(host_try_write(p + SIZE - PAGE_SIZE), 0);
	TEST_ASSERT_EQ(host_try_read(p + SIZE), BUS_ADRERR);
	TEST_ASSERT_EQ(host_try_write(p + SIZE), BUS_ADRERR);
	TEST_ASSERT_EQ(host_try_read(p + 2 * SIZE - PAGE_SIZE), BUS_ADRERR);
	TEST_ASSERT_EQ(host_try_read(q), BUS_ADRERR);
}

static void all_private_is_sigbus(void)
{
	uint64_t *p = mapping_of(MMAP_PRIVATE);

	for (int i = 0; i < PAGES; i++) {
		TEST_ASSERT_EQ(host_try_read(p + i * 512), BUS_ADRERR);
		TEST_ASSERT_EQ(host_try_write(p + i * 512), BUS_ADRERR);
	}
}

static void no_read_write(void)
{
	char page[PAGE_SIZE] = { 0 };
	int fd = view_with(MMAP_SHARED);

	TEST_ERRNO(read(fd, page, sizeof(page)), EINVAL);
	TEST_ERRNO(write(fd, page, sizeof(page)), ENODEV);
	TEST_ERRNO(pread(fd, page, sizeof(page), 0), ESPIPE);
	TEST_ERRNO(pwrite(fd, page, sizeof(page), 0), ENODEV);
	TEST_ERRNO(ftruncate(fd, 0), EINVAL);
}

static void fork_shares(void)
{
	uint64_t *p = mapping_of(MMAP_SHARED);
	int status;

	p[0] = 1;
	if (!fork()) {
		p[0]++;
		p[512] = 5;
		_exit(p[0] == 2 ? 0 : 1);
	}
	TEST_ASSERT(wait(&status) > 0 && !status, "the child's status is %#x", status);
	TEST_ASSERT_EQ(p[0], 2UL);
	TEST_ASSERT_EQ(p[512], 5UL);
}

static void mremap_and_munmap_keep(void)
{
	int fd = view_with(MMAP_SHARED);
	uint64_t *p = map_view(fd, PAGES), *q;

	p[0] = 1;
	p[512] = 2;
	q = mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	TEST_ASSERT(q != MAP_FAILED && q != p, "mremap");
	TEST_ASSERT_EQ(q[0], 1UL);
	TEST_ASSERT(!munmap(q, PAGE_SIZE), "munmap");
	TEST_ASSERT_EQ(q[512], 2UL);
	TEST_ASSERT(!munmap(q + 512, SIZE - PAGE_SIZE), "munmap");
	p = map_view(fd, PAGES);
	TEST_ASSERT_EQ(p[0], 1UL);
	TEST_ASSERT_EQ(p[512], 2UL);
}

static void madvise_as_any_file(void)
{
	uint64_t *p = mapping_of(MMAP_SHARED);

	p[0] = 3;
	TEST_ASSERT(!madvise(p, SIZE, MADV_DONTNEED), "MADV_DONTNEED: errno %d", errno);
	TEST_ASSERT_EQ(p[0], 3UL);
	TEST_ASSERT(!madvise(p, SIZE, MADV_HUGEPAGE), "MADV_HUGEPAGE: errno %d", errno);
	TEST_ERRNO(madvise(p, SIZE, MADV_COLLAPSE), EINVAL);
	TEST_ASSERT(!mlock(p, SIZE), "mlock: errno %d", errno);
	TEST_ASSERT(!munlock(p, SIZE), "munlock: errno %d", errno);
	/* A hole, which is what MADV_REMOVE is for. */
	TEST_ASSERT(!madvise(p, SIZE, MADV_REMOVE), "MADV_REMOVE: errno %d", errno);
	TEST_ASSERT_EQ(p[0], 0UL);
}

static void populated_ahead(void)
{
	int fd = view_with(MMAP_SHARED);
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	struct stat st;

	TEST_ASSERT(p != MAP_FAILED, "mmap");
	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ((uint64_t)st.st_blocks, SIZE / 512);
}

static void guest_and_host_share(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = mapped_create(types[i], PAGES, MMAP_SHARED);

		host_write(m, 0, 4, 1);
		guest_expect(m, 0, 4, 1);
		guest_expect(m, 4, 4, 0);
		guest_write(m, 2, 4, 2);
		host_expect(m, 0, 2, 1);
		host_expect(m, 2, 4, 2);
		host_expect(m, 6, 2, 0);
		machine_free(m);
	}
}

/* Guest accesses go through the file, whatever is at userspace_addr. */
static void userspace_addr_is_any(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = machine_of_type(types[i], PAGES);
		uint64_t *decoy = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(decoy, 0xee, SIZE);
		m->view = vm_create_guest_memfd(m->vm, SIZE, MMAP_SHARED);
		machine_bind(m, 0);
		guest_write(m, 0, PAGES, 1);
		machine_unbind(m);

		m->host = decoy;
		machine_bind(m, 0);
		guest_expect(m, 0, PAGES, 1);
		guest_write(m, 0, PAGES, 2);
		TEST_ASSERT_EQ(decoy[0], 0xeeeeeeeeeeeeeeeeUL);

		m->host = map_view(m->view, PAGES);
		host_expect(m, 0, PAGES, 2);
	}
}

static void default_guest_on_a_private_inode(void)
{
	struct machine *m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_PRIVATE);

	/* What is private to the guest is the guest's; a default VM's has no other kind. */
	guest_write(m, 0, PAGES, 1);
	host_expect_sigbus(m, 0, PAGES);
	guest_expect(m, 0, PAGES, 1);
}

static void protected_guest_on_a_private_inode(void)
{
	struct machine *m = mapped_create(KVM_X86_SW_PROTECTED_VM, PAGES, MMAP_PRIVATE);

	guest_write(m, 0, PAGES, 1);
	host_expect_sigbus(m, 0, PAGES);
	guest_expect(m, 0, PAGES, 1);
}

static void holes_reach_the_host(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = mapped_create(types[i], PAGES, MMAP_SHARED);

		host_write(m, 0, PAGES, 1);
		guest_expect(m, 0, PAGES, 1);
		punch_pages(m->view, 2, 3);
		host_expect(m, 0, 2, 1);
		host_expect(m, 2, 3, 0);
		guest_expect(m, 2, 3, 0);
		guest_expect(m, 5, 3, 1);
		guest_write(m, 2, 3, 2);
		host_expect(m, 2, 3, 2);
		machine_free(m);
	}
}

static void links_of_any_types(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(types) * ARRAY_SIZE(types); i++) {
		uint32_t type = types[i / ARRAY_SIZE(types)], other = types[i % ARRAY_SIZE(types)];
		struct machine *a = mapped_create(type, PAGES, MMAP_SHARED);
		struct machine *b = mapped_link(other, a->view, PAGES);

		guest_write(a, 0, 2, 1);
		host_write(b, 2, 2, 2);
		guest_write(b, 4, 2, 3);
		guest_expect(b, 0, 2, 1);
		guest_expect(a, 2, 2, 2);
		host_expect(a, 4, 2, 3);
		punch_pages(b->view, 0, PAGES);
		guest_expect(a, 0, PAGES, 0);
		host_expect(a, 0, PAGES, 0);
		machine_free(a);
		guest_write(b, 0, PAGES, 4);
		host_expect(b, 0, PAGES, 4);
		machine_free(b);
	}
}

static void mapping_keeps_the_view(void)
{
	struct machine *m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);

	machine_close_view(m);
	host_write(m, 0, PAGES, 1);
	guest_expect(m, 0, PAGES, 1);
	munmap(m->host, SIZE);
	TEST_ASSERT_EQ(guest_try_touch(m, 0), EFAULT);
	TEST_ASSERT_KVM_EXIT_REASON(m->vcpu, KVM_EXIT_MEMORY_FAULT);
}

/* A view's range is bound once; SMM's address space gets at it as at any mapping. */
static void smm_through_the_mapping(void)
{
	struct machine *m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	uint32_t slot = 1 << 16 | MACHINE_SLOT;

	TEST_ASSERT_EQ(vm_check_cap(m->vm, KVM_CAP_MULTI_ADDRESS_SPACE), 2);
	TEST_ERRNO(__vm_set_user_memory_region2(m->vm, slot, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
						SIZE, m->host, m->view, 0), EINVAL);
	TEST_ASSERT(!__vm_set_user_memory_region(m->vm, slot, 0, MACHINE_GPA, SIZE, m->host),
		    "a plain slot on the mapping: errno %d", errno);
	guest_write(m, 0, PAGES, 1);
	host_expect(m, 0, PAGES, 1);
}

static void no_log_no_readonly(void)
{
	struct machine *m = machine_of_type(KVM_X86_DEFAULT_VM, PAGES);
	static const uint32_t refused[] = { KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY };

	m->view = vm_create_guest_memfd(m->vm, SIZE, MMAP_SHARED);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		TEST_ERRNO(__vm_set_user_memory_region2(m->vm, MACHINE_SLOT,
							KVM_MEM_GUEST_MEMFD | refused[i],
							MACHINE_GPA, SIZE, NULL, m->view, 0),
			   EINVAL);
	}
	machine_bind(m, 0);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		TEST_ERRNO(__vm_set_user_memory_region2(m->vm, MACHINE_SLOT,
							KVM_MEM_GUEST_MEMFD | refused[i],
							MACHINE_GPA, SIZE, NULL, m->view, 0),
			   EINVAL);
		TEST_ERRNO(__vm_set_user_memory_region(m->vm, MACHINE_SLOT, refused[i],
						       MACHINE_GPA, SIZE, NULL), EINVAL);
	}
}

static void faulted_ahead(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = mapped_create(types[i], PAGES, MMAP_SHARED);
		struct kvm_pre_fault_memory range = { .gpa = MACHINE_GPA, .size = SIZE };
		struct stat st;

		vcpu_ioctl(m->vcpu, KVM_PRE_FAULT_MEMORY, &range);
		TEST_ASSERT_EQ(range.size, 0ULL);
		TEST_ASSERT(!fstat(m->view, &st), "fstat");
		TEST_ASSERT_EQ((uint64_t)st.st_blocks, SIZE / 512);
		host_write(m, 0, PAGES, 3);
		guest_expect(m, 0, PAGES, 3);
		machine_free(m);
	}
}

/* 6.12's model: what is not private of a slot is at its userspace_addr. */
static void without_flags_shared_is_elsewhere(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = machine_of_type(types[i], PAGES);
		struct stat st;

		m->view = vm_create_guest_memfd(m->vm, SIZE, 0);
		m->host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		machine_bind(m, 0);
		guest_write(m, 0, PAGES, 1);
		host_expect(m, 0, PAGES, 1);
		TEST_ASSERT(!fstat(m->view, &st), "fstat");
		TEST_ASSERT_EQ(st.st_blocks, 0);
		machine_free(m);
	}
}

static const struct claim claims[] = {
	CLAIM(flags_are_told, "KVM_CAP_GUEST_MEMFD_FLAGS tells which flags a VM's type takes"),
	CLAIM(protected_has_a_bit,
	      "that VMs with private memory take INIT_SHARED is told by a KVM_CAP_GMEM bit"),
	CLAIM(mmap_takes_the_flag, "mmap is ENODEV without the MMAP flag"),
	CLAIM(no_private_mapping, "MAP_PRIVATE is EINVAL"),
	CLAIM(no_executable_mapping, "PROT_EXEC is refused"),
	CLAIM(host_reads_and_writes, "shared pages start zeroed, and two mappings show one memory"),
	CLAIM(readonly_mapping, "a mapping may be read-only and be made writable"),
	CLAIM(past_the_end, "mmap past the end works, touching brings SIGBUS"),
	CLAIM(all_private_is_sigbus, "without INIT_SHARED, mmap works and touching brings SIGBUS"),
	CLAIM(no_read_write,
	      "read is EINVAL, pread ESPIPE, write and pwrite ENODEV, as without MMAP"),
	CLAIM(fork_shares, "after fork, parent and child have one memory"),
	CLAIM(mremap_and_munmap_keep, "mremap and munmap keep the content"),
	CLAIM(madvise_as_any_file,
	      "DONTNEED keeps the content, HUGEPAGE is taken, COLLAPSE EINVAL, REMOVE a hole"),
	CLAIM(populated_ahead, "MAP_POPULATE allocates all pages"),
	CLAIM(guest_and_host_share, "guest and host see what the other wrote"),
	CLAIM(userspace_addr_is_any,
	      "the guest's accesses go through the file at any userspace_addr"),
	CLAIM(default_guest_on_a_private_inode,
	      "a default VM's guest has memory that the host can't touch"),
	CLAIM(protected_guest_on_a_private_inode,
	      "so has a software-protected VM's, with no attribute set on the VM"),
	CLAIM(holes_reach_the_host, "a hole reads as zeroes for the host and the guest"),
	CLAIM(links_of_any_types, "VMs of different types share one inode, and the host with them"),
	CLAIM(mapping_keeps_the_view, "a mapping keeps the view and its guest's memory"),
	CLAIM(smm_through_the_mapping,
	      "a bound range is EINVAL in SMM's address space, a plain slot on the mapping works"),
	CLAIM(no_log_no_readonly, "dirty logging and READONLY are EINVAL"),
	CLAIM(faulted_ahead, "KVM_PRE_FAULT_MEMORY allocates shared pages"),
	CLAIM(without_flags_shared_is_elsewhere,
	      "without flags, memory that is not private is at userspace_addr"),
};

CLAIMS_MAIN(claims);
