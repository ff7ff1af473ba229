// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_GUEST_MEMFD, and the file it makes: Linux 6.12's ABI.
 */
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "claims.h"
#include "machine.h"

#define PAGES	4
#define SIZE	(PAGES * PAGE_SIZE)
#define PUNCH	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)

static int view_create(void)
{
	return vm_create_guest_memfd(idle_vm(), SIZE, 0);
}

static void refuses_sizes(void)
{
	static const uint64_t sizes[] = {
		0, 1, PAGE_SIZE - 1, PAGE_SIZE + 1, SIZE + 512,
		1ULL << 63, -(uint64_t)PAGE_SIZE, -1ULL,
	};
	struct kvm_vm *vm = idle_vm();

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		TEST_ERRNO(__vm_create_guest_memfd(vm, sizes[i], 0), EINVAL);
}

static void refuses_flags(void)
{
	struct kvm_vm *vm = idle_vm();

	/* 0 from a kernel that does not know the capability. */
	uint64_t known = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);

	for (int bit = 0; bit < 64; bit++) {
		if (!(known & (1ULL << bit)))
			TEST_ERRNO(__vm_create_guest_memfd(vm, SIZE, 1ULL << bit), EINVAL);
	}
}

static void refuses_pointer(void)
{
	TEST_ERRNO(ioctl(idle_vm()->fd, KVM_CREATE_GUEST_MEMFD, 8), EFAULT);
}

static void tells_its_kind(void)
{
	struct statfs fs;

	TEST_ASSERT(!fstatfs(view_create(), &fs), "fstatfs");
	TEST_ASSERT_EQ((uint64_t)fs.f_type, (uint64_t)GUEST_MEMFD_MAGIC);
}

static void huge_and_sparse(void)
{
	struct stat st;
	int fd = vm_create_guest_memfd(idle_vm(), 1ULL << 46, 0);

	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ((uint64_t)st.st_size, 1ULL << 46);
}

static void any_vm_type(void)
{
	int fd = vm_create_guest_memfd(vm_create_barebones(), SIZE, 0);

	TEST_ASSERT(fd >= 0, "KVM_CREATE_GUEST_MEMFD");
}

static void refuses_read_write(void)
{
	char page[PAGE_SIZE];
	struct iovec iov = { page, sizeof(page) };
	int fd = view_create();

	TEST_ERRNO(read(fd, page, sizeof(page)), EINVAL);
	TEST_ERRNO(write(fd, page, sizeof(page)), ENODEV);
	TEST_ERRNO(pread(fd, page, sizeof(page), 0), ESPIPE);
	TEST_ERRNO(pwrite(fd, page, sizeof(page), 0), ENODEV);
	TEST_ERRNO(readv(fd, &iov, 1), EINVAL);
	TEST_ERRNO(writev(fd, &iov, 1), ENODEV);
}

static void refuses_mmap(void)
{
	static const int kinds[] = { MAP_SHARED, MAP_PRIVATE };
	int fd = view_create();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		TEST_ERRNO(mmap(NULL, SIZE, PROT_NONE, kinds[i], fd, 0), ENODEV);
		TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, kinds[i], fd, 0), ENODEV);
		TEST_ERRNO(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, kinds[i], fd, 0), ENODEV);
	}
}

static void keeps_its_size(void)
{
	struct stat st;
	int fd = view_create();

	TEST_ERRNO(ftruncate(fd, 0), EINVAL);
	TEST_ERRNO(ftruncate(fd, SIZE - PAGE_SIZE), EINVAL);
	TEST_ERRNO(ftruncate(fd, SIZE * 2), EINVAL);
	TEST_ERRNO(fchmod(fd, 0777), EINVAL);
	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ((size_t)st.st_size, SIZE);
}

static void tells_its_size(void)
{
	struct statx stx;
	struct stat st;
	int fd = view_create();

	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ((size_t)st.st_size, SIZE);
	TEST_ASSERT_EQ(st.st_blksize, (blksize_t)PAGE_SIZE);
	TEST_ASSERT(S_ISREG(st.st_mode), "mode %o is not a regular file's", st.st_mode);
	TEST_ASSERT_EQ(st.st_blocks, 0);

	TEST_ASSERT(!statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx), "statx");
	TEST_ASSERT_EQ(stx.stx_size, SIZE);
	TEST_ASSERT_EQ(stx.stx_ino, st.st_ino);
	TEST_ASSERT_EQ(stx.stx_blksize, PAGE_SIZE);
}

static void blocks_are_resident_pages(void)
{
	struct stat st;
	int fd = view_create();

	require_link();		/* Linux 6.12 leaves st_blocks 0 */
	allocate_pages(fd, 1, 2);
	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ((uint64_t)st.st_blocks, 2 * PAGE_SIZE / 512);
	punch_pages(fd, 0, PAGES);
	TEST_ASSERT(!fstat(fd, &st), "fstat");
	TEST_ASSERT_EQ(st.st_blocks, 0);
}

static void inodes_differ(void)
{
	struct stat a, b;
	struct kvm_vm *vm = idle_vm();

	TEST_ASSERT(!fstat(vm_create_guest_memfd(vm, SIZE, 0), &a), "fstat");
	TEST_ASSERT(!fstat(vm_create_guest_memfd(vm, SIZE, 0), &b), "fstat");
	TEST_ASSERT(a.st_ino != b.st_ino, "two files have inode %lu", a.st_ino);
}

static void no_cloexec(void)
{
	TEST_ASSERT_EQ(fcntl(view_create(), F_GETFD), 0);
}

static void fallocate_modes(void)
{
	static const int modes[] = {
		0, FALLOC_FL_PUNCH_HOLE,
		FALLOC_FL_KEEP_SIZE | FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE,
	};
	int fd = view_create();

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		TEST_ASSERT(fallocate(fd, modes[i], 0, PAGE_SIZE) == -1 && errno == EOPNOTSUPP,
			    "mode %#x: errno %d", modes[i], errno);
}

static void fallocate_alignment(void)
{
	static const off_t ranges[][2] = {
		{ 0, 1 }, { 0, PAGE_SIZE - 1 }, { 0, PAGE_SIZE + 1 }, { 1, PAGE_SIZE },
		{ 512, PAGE_SIZE - 512 }, { PAGE_SIZE, 512 }, { PAGE_SIZE - 1, 1 },
	};
	int fd = view_create();

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		TEST_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, ranges[i][0], ranges[i][1]), EINVAL);
		TEST_ERRNO(fallocate(fd, PUNCH, ranges[i][0], ranges[i][1]), EINVAL);
	}
	TEST_ERRNO(fallocate(fd, PUNCH, 0, 0), EINVAL);
	TEST_ERRNO(fallocate(fd, PUNCH, -(off_t)PAGE_SIZE, PAGE_SIZE), EINVAL);
}

static void allocates_inside(void)
{
	int fd = view_create();

	allocate_pages(fd, 0, PAGES);
	allocate_pages(fd, 0, PAGES);
	TEST_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, SIZE, PAGE_SIZE), EINVAL);
	TEST_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, SIZE + PAGE_SIZE, PAGE_SIZE), EINVAL);
	TEST_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, SIZE - PAGE_SIZE, 2 * PAGE_SIZE), EINVAL);
	TEST_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 1ULL << 62, 1ULL << 62), EFBIG);
}

static void punches_anywhere(void)
{
	int fd = view_create();

	punch_pages(fd, 0, 1);
	punch_pages(fd, PAGES, 1);
	punch_pages(fd, PAGES + 1, 1);
	punch_pages(fd, PAGES - 1, 2);
	punch_pages(fd, 0, 1ULL << 40);
}

static const struct claim claims[] = {
	CLAIM(refuses_sizes, "a size that is 0, negative or not of whole pages is EINVAL"),
	CLAIM(refuses_flags, "every flag bit that the VM's type does not know is EINVAL"),
	CLAIM(refuses_pointer, "an argument that can't be read is EFAULT"),
	CLAIM(tells_its_kind, "fstatfs tells Linux's type of guest_memfd"),
	CLAIM(huge_and_sparse, "a size far beyond the host's memory costs nothing"),
	CLAIM(any_vm_type, "a default VM gets a file too"),
	CLAIM(refuses_read_write, "read is EINVAL, pread ESPIPE, write and pwrite ENODEV"),
	CLAIM(refuses_mmap, "mmap of any kind is ENODEV"),
	CLAIM(keeps_its_size, "ftruncate and fchmod are EINVAL and change nothing"),
	CLAIM(tells_its_size,
	      "fstat and statx tell the size, the page size and an empty regular file"),
	CLAIM(blocks_are_resident_pages, "st_blocks counts the resident pages"),
	CLAIM(inodes_differ, "two files of one VM have inodes of their own"),
	CLAIM(no_cloexec, "the file is not O_CLOEXEC, as in Linux 6.12"),
	CLAIM(fallocate_modes, "fallocate in other modes, or without KEEP_SIZE, is EOPNOTSUPP"),
	CLAIM(fallocate_alignment, "fallocate of what is not whole pages is EINVAL"),
	CLAIM(allocates_inside,
	      "pages are allocated inside the size, EINVAL past it, twice is fine"),
	CLAIM(punches_anywhere, "holes are punched inside, at and past the end"),
};

CLAIMS_MAIN(claims);
