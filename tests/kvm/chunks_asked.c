// SPDX-License-Identifier: GPL-2.0-only
/*
 * GUEST_MEMFD_FLAG_HUGE_NEVER, _FITS, _ALWAYS: an inode's own word on chunks, against the
 * parameter's.
 */
#include <sys/mman.h>

#include "chunks.h"
#include "huge.h"
#include "mapped.h"
#include "sealing.h"

#define PAGES	CHUNK_PAGES
#define SIZE	(PAGES * PAGE_SIZE)

static const uint64_t flags_of[] = {
	0, GUEST_MEMFD_FLAG_HUGE_NEVER, GUEST_MEMFD_FLAG_HUGE_FITS, GUEST_MEMFD_FLAG_HUGE_ALWAYS,
};

/* How many chunks a touch brings to an inode with @flag. */
static unsigned int brought(uint64_t flag)
{
	struct machine *m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED | flag);
	unsigned int nr;

	TEST_ASSERT_EQ(host_try_write(host_page(m, 7)), 0);
	nr = chunks_of(m->view);
	TEST_ASSERT_EQ(resident(m->view), nr ? CHUNK_PAGES : 1);
	munmap(m->host, SIZE);
	machine_free(m);
	return nr;
}

static void parameter_and_flag(void)
{
	static const struct {
		const char *when;
		unsigned int expected[ARRAY_SIZE(flags_of)]; /* no flag, never, fits, always */
	} rows[] = {
		{ "never", { 0, 0, 0, 0 } },
		{ "asked", { 0, 0, 1, 1 } },
		{ "fits", { 1, 0, 1, 1 } },
		{ "always", { 1, 0, 1, 1 } },
	};

	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		chunks_when(rows[row].when);
		for (size_t i = 0; i < ARRAY_SIZE(flags_of); i++) {
			unsigned int nr = brought(flags_of[i]);

			TEST_ASSERT(nr == rows[row].expected[i], "%s, flags %#lx: %u",
				    rows[row].when, (unsigned long)flags_of[i], nr);
		}
	}
}

/* The parameter may change afterwards; and an inode that somebody links is the same. */
static void for_the_inodes_life(void)
{
	struct machine *m, *other;

	chunks_when("asked");
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_FITS);
	chunks_when("never");
	other = mapped_link(KVM_X86_DEFAULT_VM, m->view, PAGES);
	TEST_ASSERT_EQ(huge_by_touch(other, 7), 1);
	TEST_ASSERT_EQ(chunks_of(m->view), 1);
	machine_free(other);
	munmap(m->host, SIZE);
	machine_free(m);
}

static void refused(void)
{
	static const uint64_t bad[] = {
		MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_NEVER | GUEST_MEMFD_FLAG_HUGE_FITS,
		MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_FITS | GUEST_MEMFD_FLAG_HUGE_ALWAYS,
		MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_NEVER | GUEST_MEMFD_FLAG_HUGE_ALWAYS,
		MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_NEVER | GUEST_MEMFD_FLAG_HUGE_FITS |
			GUEST_MEMFD_FLAG_HUGE_ALWAYS,
		/* of two bits, one */
		MMAP_SHARED | 1ULL << 63,
		MMAP_SHARED | (GUEST_MEMFD_FLAG_HUGE_FITS & ~(1ULL << 63)),
		MMAP_SHARED | (1ULL << 63 | 1ULL << 36),
		/* what the host can't map has none */
		GUEST_MEMFD_FLAG_INIT_SHARED | GUEST_MEMFD_FLAG_HUGE_FITS,
		GUEST_MEMFD_FLAG_HUGE_NEVER,
	};
	struct kvm_vm *vm = vm_create_barebones();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		TEST_ERRNO(__vm_create_guest_memfd(vm, SIZE, bad[i]), EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(flags_of); i++)
		close(vm_create_guest_memfd(vm, SIZE, MMAP_SHARED | flags_of[i]));
	kvm_vm_free(vm);
}

/* It shares a bit with GUEST_MEMFD_FLAG_WRITE, and is not that. */
static void does_not_allow_writing(void)
{
	static char page[PAGE_SIZE];
	struct kvm_vm *vm = vm_create_barebones();
	int view = vm_create_guest_memfd(vm, SIZE, MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_FITS);

	TEST_ERRNO(pwrite(view, page, sizeof(page), 0), ENODEV);
	close(view);
	view = vm_create_guest_memfd(vm, SIZE, MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_FITS |
					       GUEST_MEMFD_FLAG_WRITE);
	TEST_ASSERT_EQ(pwrite(view, page, sizeof(page), 0), (ssize_t)sizeof(page));
	close(view);
	kvm_vm_free(vm);
}

static void told(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int view = vm_create_guest_memfd(vm, SIZE, MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_ALWAYS);

	TEST_ASSERT(vm_check_cap(vm, KVM_CAP_GMEM) & KVM_GMEM_CAP_HUGE, "not told");
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS), (int)MMAP_SHARED);
	TEST_ASSERT_EQ(fdinfo(view, "flags"), MMAP_SHARED | GUEST_MEMFD_FLAG_HUGE_ALWAYS);
	close(view);
	kvm_vm_free(vm);
}

static const struct claim claims[] = {
	CLAIM(parameter_and_flag, "the parameter forbids, or the inode's flag decides"),
	CLAIM(for_the_inodes_life, "an inode keeps its word, and every VM that links it"),
	CLAIM(refused, "two words, half a flag, and an inode that the host can't map are EINVAL"),
	CLAIM(does_not_allow_writing, "the flag shares a bit with that of write(2), and is not it"),
	CLAIM(told, "a capability and fdinfo tell of the flags"),
};

CLAIMS_MAIN(claims);
