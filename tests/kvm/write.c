// SPDX-License-Identifier: GPL-2.0-only
/*
 * GUEST_MEMFD_FLAG_WRITE: write(2) populates pages that are missing, and not private.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "claims.h"
#include "stress.h"
#include "mapped.h"

#define PAGES	64
#define SIZE	(PAGES * PAGE_SIZE)
#define FLAGS	(MMAP_SHARED | GUEST_MEMFD_FLAG_WRITE)

static char *content;	/* pattern 1 of pages 0 to PAGES - 1, of PAGES pages */

static void make_content(void)
{
	uint64_t *p;

	content = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p = (uint64_t *)content;
	for (uint64_t i = 0; i < SIZE / 8; i++)
		p[i] = pattern_word(1, i / (PAGE_SIZE / 8), i % (PAGE_SIZE / 8));
}

static struct machine *writable(uint32_t type)
{
	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_WRITE,
		       "these modules have no GUEST_MEMFD_FLAG_WRITE");
	make_content();
	return mapped_create(type, PAGES, FLAGS);
}

#define WRITES(call, pages)	TEST_ASSERT_EQ((long)(call), (long)((pages) * PAGE_SIZE))

static void guest_and_host_read_it(void)
{
	static const uint32_t types[] = { KVM_X86_DEFAULT_VM, KVM_X86_SW_PROTECTED_VM };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct machine *m = writable(types[i]);

		WRITES(pwrite(m->view, content, SIZE, 0), PAGES);
		guest_expect(m, 0, PAGES, 1);
		host_expect(m, 0, PAGES, 1);
		machine_free(m);
	}
}

static void position_moves(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);
	struct iovec iov[] = {
		{ content + 2 * PAGE_SIZE, 100 },
		{ content + 2 * PAGE_SIZE + 100, PAGE_SIZE },
		{ content + 3 * PAGE_SIZE + 100, PAGE_SIZE - 100 },
	};

	WRITES(write(m->view, content, 2 * PAGE_SIZE), 2);
	WRITES(writev(m->view, iov, 3), 2);
	TEST_ASSERT_EQ(lseek(m->view, 0, SEEK_CUR), 4 * PAGE_SIZE);
	TEST_ASSERT_EQ(lseek(m->view, 6 * PAGE_SIZE, SEEK_SET), 6 * PAGE_SIZE);
	WRITES(write(m->view, content + 6 * PAGE_SIZE, PAGE_SIZE), 1);
	host_expect(m, 0, 4, 1);
	host_expect(m, 4, 2, 0);
	host_expect(m, 6, 1, 1);
}

static void spliced_in(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);
	loff_t offset = PAGE_SIZE;
	int fds[2];

	TEST_ASSERT(!pipe(fds), "pipe");
	WRITES(write(fds[1], content + PAGE_SIZE, 4 * PAGE_SIZE), 4);
	WRITES(splice(fds[0], NULL, m->view, &offset, 4 * PAGE_SIZE, 0), 4);
	host_expect(m, 1, 4, 1);
	host_expect(m, 0, 1, 0);
}

static void wrong_ranges(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);

	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, 1), EINVAL);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE - 1, 0), EINVAL);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE + 1, 0), EINVAL);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, -PAGE_SIZE), EINVAL);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, SIZE), EINVAL);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, 1ULL << 40), EINVAL);
	TEST_ASSERT_EQ(pwrite(m->view, content, 0, 0), 0L);
	/* What crosses the end is cut off. */
	WRITES(pwrite(m->view, content + SIZE - PAGE_SIZE, 2 * PAGE_SIZE, SIZE - PAGE_SIZE), 1);
	host_expect(m, PAGES - 1, 1, 1);
	host_expect(m, 0, PAGES - 1, 0);
}

static void reading_stays_refused(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);

	TEST_ERRNO(read(m->view, content, PAGE_SIZE), EINVAL);
	TEST_ERRNO(pread(m->view, content, PAGE_SIZE, 0), ESPIPE);
}

static void populated_is_eexist(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);

	guest_touch(m, 2, 1);
	host_page(m, 5)[0] = 1;
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, 2 * PAGE_SIZE), EEXIST);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, 5 * PAGE_SIZE), EEXIST);
	WRITES(pwrite(m->view, content, SIZE, 0), 2);
	TEST_ERRNO(pwrite(m->view, content, SIZE, 0), EEXIST);
	guest_expect(m, 0, 2, 1);
	guest_expect(m, 2, 1, 0);
	/* Allocated ahead is still missing; a hole is missing again. */
	allocate_pages(m->view, 8, 1);
	punch_pages(m->view, 0, 1);
	WRITES(pwrite(m->view, content + 8 * PAGE_SIZE, PAGE_SIZE, 8 * PAGE_SIZE), 1);
	WRITES(pwrite(m->view, content, PAGE_SIZE, 0), 1);
	guest_expect(m, 8, 1, 1);
	guest_expect(m, 0, 1, 1);
}

static void private_is_eacces(void)
{
	struct machine *m = writable(KVM_X86_SW_PROTECTED_VM);

	make_private(m->view, 3, 2);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, 3 * PAGE_SIZE), EACCES);
	WRITES(pwrite(m->view, content, SIZE, 0), 3);
	TEST_ERRNO(pwrite(m->view, content, SIZE, 3 * PAGE_SIZE), EACCES);
	guest_expect(m, 0, 3, 1);
	guest_expect(m, 3, 2, 0);
	make_private(m->view, 0, 3);
	guest_expect(m, 0, 3, 1);
}

static void bad_memory(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);

	TEST_ASSERT(!mprotect(content + 5 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), "mprotect");
	TEST_ERRNO(pwrite(m->view, content + 5 * PAGE_SIZE, PAGE_SIZE, 0), EFAULT);
	WRITES(pwrite(m->view, content, SIZE, 0), 5);
	host_expect(m, 0, 5, 1);
	host_expect(m, 5, 1, 0);
	/* Its own memory, pages that it is to populate among them. */
	TEST_ERRNO(pwrite(m->view, host_page(m, 10), PAGE_SIZE, 10 * PAGE_SIZE), EEXIST);
	WRITES(pwrite(m->view, host_page(m, 1), PAGE_SIZE, 11 * PAGE_SIZE), 1);
	TEST_ASSERT(!memcmp(host_page(m, 11), host_page(m, 1), PAGE_SIZE), "another content");
}

static void sealed(void)
{
	static const uint64_t seals[] = { KVM_GMEM_SEAL_GUEST, KVM_GMEM_SEAL_WRITE };

	writable(KVM_X86_DEFAULT_VM);
	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		struct kvm_gmem_seals args = { .seals = seals[i] };
		int view = vm_create_guest_memfd(idle_vm(), SIZE, FLAGS);

		TEST_ASSERT(!ioctl(view, KVM_GMEM_SEAL, &args), "seal: errno %d", errno);
		TEST_ERRNO(pwrite(view, content, PAGE_SIZE, 0), EPERM);
	}
}

static void takes_the_flag(void)
{
	static const uint64_t without[] = { 0, GUEST_MEMFD_FLAG_INIT_SHARED, MMAP_SHARED };
	int view;

	writable(KVM_X86_DEFAULT_VM);
	for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
		view = vm_create_guest_memfd(idle_vm(), SIZE, without[i]);
		TEST_ERRNO(write(view, content, PAGE_SIZE), ENODEV);
		TEST_ERRNO(pwrite(view, content, PAGE_SIZE, 0), ENODEV);
		TEST_ERRNO(pwrite(view, content, 1, SIZE + 1), ENODEV);
		TEST_ERRNO(lseek(view, 0, SEEK_SET), ESPIPE);
	}
	view = vm_create_guest_memfd(idle_vm(), SIZE,
				     GUEST_MEMFD_FLAG_WRITE | GUEST_MEMFD_FLAG_INIT_SHARED);
	WRITES(pwrite(view, content, SIZE, 0), PAGES);
	/* Mapped, and all private. */
	view = vm_create_guest_memfd(idle_vm(), SIZE, GUEST_MEMFD_FLAG_WRITE | MMAP_PRIVATE);
	TEST_ERRNO(pwrite(view, content, PAGE_SIZE, 0), EACCES);
}

/* Linux's numbers end below, and its own tests try each bit that it does not tell of. */
static void flag_is_our_own(void)
{
	struct kvm_vm *vms[] = { vm_create_barebones(), idle_vm() };

	writable(KVM_X86_DEFAULT_VM);
	TEST_ASSERT(!(GUEST_MEMFD_FLAG_WRITE & 0xffffffff), "%#llx", GUEST_MEMFD_FLAG_WRITE);
	for (size_t i = 0; i < ARRAY_SIZE(vms); i++) {
		TEST_ASSERT_EQ(vm_check_cap(vms[i], KVM_CAP_GUEST_MEMFD_FLAGS), (int)MMAP_SHARED);
		TEST_ASSERT(vm_check_cap(vms[i], KVM_CAP_GMEM) & KVM_GMEM_CAP_WRITE, "not told");
		for (int bit = 2; bit < 64; bit++) {
			TEST_ERRNO(__vm_create_guest_memfd(vms[i], SIZE, 1ULL << bit), EINVAL);
			TEST_ERRNO(__vm_create_guest_memfd(vms[i], SIZE, MMAP_SHARED | 1ULL << bit),
				   EINVAL);
		}
		close(vm_create_guest_memfd(vms[i], SIZE, GUEST_MEMFD_FLAG_WRITE));
		close(vm_create_guest_memfd(vms[i], SIZE, MMAP_SHARED | GUEST_MEMFD_FLAG_WRITE));
	}
}

/* An inode as of 6.12, that who holds a view may fill so, too. */
static void flag_alone(void)
{
	struct machine *m;

	writable(KVM_X86_DEFAULT_VM);
	m = machine_bare(PAGES);
	m->view = vm_create_guest_memfd(m->vm, SIZE, GUEST_MEMFD_FLAG_WRITE);
	machine_bind(m, 0);
	WRITES(pwrite(m->view, content, PAGE_SIZE, 0), 1);
	TEST_ERRNO(pwrite(m->view, content, PAGE_SIZE, SIZE), EINVAL);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, m->view, 0), ENODEV);
	guest_expect(m, 0, 1, 1);
	guest_expect(m, 1, 1, 0);
	TEST_ERRNO(pwrite(m->view, content + PAGE_SIZE, PAGE_SIZE, PAGE_SIZE), EEXIST);
}

/* A page is missing, all zeroes by a touch, or all of the content; never a part. */
static void write_page(void *arg)
{
	struct machine *m = arg;
	long ret = pwrite(m->view, content, PAGE_SIZE, 0);

	TEST_ASSERT(ret == PAGE_SIZE || errno == EEXIST, "pwrite: errno %d", errno);
}

static void guest_code_whole(void)
{
	volatile uint64_t *p = (volatile uint64_t *)MACHINE_GVA;
	uint64_t first = p[0], last = p[PAGE_SIZE / 8 - 1];

	/* Read in this order, a hole in between may leave zeroes in the second. */
	__GUEST_ASSERT(!last || first == pattern_word(1, 0, 0) || !first, "torn: %lx", first);
	__GUEST_ASSERT(!first || first == pattern_word(1, 0, 0), "first word is %lx", first);
	__GUEST_ASSERT(!last || last == pattern_word(1, 0, PAGE_SIZE / 8 - 1),
		       "last word is %lx", last);
	GUEST_RETURN(0);
}

static void look(void *arg)
{
	machine_call(arg, guest_code_whole, 0, 0, 0);
}

static void punch_page(void *arg)
{
	struct machine *m = arg;

	punch_pages(m->view, 0, 1);
}

static void against_touches(void)
{
	struct machine *m = writable(KVM_X86_DEFAULT_VM);
	const struct stress_op ops[] = {
		{ "writes", write_page, m },
		{ "the guest", look, m },
		{ "holes", punch_page, m },
	};

	STRESS(ops);
}

static const struct claim claims[] = {
	CLAIM(guest_and_host_read_it, "what was written is what guest and host read"),
	CLAIM(position_moves, "write and writev go on from the position, lseek sets it"),
	CLAIM(spliced_in, "splice writes too"),
	CLAIM(wrong_ranges, "EINVAL where not whole pages or past the end, cut off across it"),
	CLAIM(reading_stays_refused, "read is EINVAL, pread ESPIPE"),
	CLAIM(populated_is_eexist, "EEXIST for a page that is there, a short count before one"),
	CLAIM(private_is_eacces, "EACCES for a private page, likewise"),
	CLAIM(bad_memory, "EFAULT, likewise; memory of the inode itself is no deadlock"),
	CLAIM(sealed, "EPERM under the GUEST and WRITE seals"),
	CLAIM(flag_is_our_own, "the flag is none of Linux's, and told by a bit of KVM_CAP_GMEM"),
	CLAIM(flag_alone, "alone it makes an inode without attributes that can be written to"),
	CLAIM(takes_the_flag, "without the flag there is no write"),
	CLAIM(against_touches, "a guest sees all of a page's content or none"),
};

CLAIMS_MAIN(claims);
