// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GMEM_SEAL: what is never to happen to an inode again.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"
#include "moving.h"

#define PAGES	4
#define SIZE	(PAGES * PAGE_SIZE)
#define ALL	(KVM_GMEM_SEAL_SEAL | KVM_GMEM_SEAL_SHRINK | KVM_GMEM_SEAL_WRITE | \
		 KVM_GMEM_SEAL_GUEST | KVM_GMEM_SEAL_LINK)

static int __seal(int view, uint64_t seals)
{
	struct kvm_gmem_seals args = { .seals = seals };

	return ioctl(view, KVM_GMEM_SEAL, &args);
}

static void seal(int view, uint64_t seals)
{
	TEST_ASSERT(!__seal(view, seals), "KVM_GMEM_SEAL of %lx: errno %d", seals, errno);
}

static uint64_t seals_of(int view)
{
	struct kvm_gmem_seals args;

	memset(&args, 0xff, sizeof(args));
	TEST_ASSERT(!ioctl(view, KVM_GMEM_GET_SEALS, &args), "KVM_GMEM_GET_SEALS: errno %d", errno);
	TEST_ASSERT(!args.flags && !args.reserved[0] && !args.reserved[5], "words are not zero");
	return args.seals;
}

static struct machine *machine_to_seal(uint64_t flags)
{
	struct machine *m;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_SEAL,
		       "these modules have no KVM_GMEM_SEAL");
	m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);
	m->view = vm_create_guest_memfd(m->vm, SIZE, flags);
	machine_bind(m, 0);
	return m;
}

/* One page of zeroes or of a pattern: 0, or errno. */
static int populate(int view, uint64_t page, void *from)
{
	struct kvm_gmem_populate args = {
		.offset = page * PAGE_SIZE,
		.size = PAGE_SIZE,
		.from = (uintptr_t)from,
	};

	return ioctl(view, KVM_GMEM_POPULATE, &args) == 1 ? 0 : errno;
}

static void expect_no_mmap(int view)
{
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, view, 0), EPERM);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, view, 0), EPERM);
	TEST_ERRNO(mmap(NULL, SIZE, PROT_NONE, MAP_SHARED, view, 0), EPERM);
}

static void wrong_arguments(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);
	struct kvm_gmem_seals args = { .seals = KVM_GMEM_SEAL_LINK };

	for (int bit = 0; bit < 64; bit++) {
		if (!(ALL & 1ULL << bit))
			TEST_ERRNO(__seal(m->view, 1ULL << bit | KVM_GMEM_SEAL_LINK), EINVAL);
		args.flags = 1ULL << bit;
		TEST_ERRNO(ioctl(m->view, KVM_GMEM_SEAL, &args), EINVAL);
	}
	args.flags = 0;
	for (int i = 0; i < 6; i++) {
		args.reserved[i] = 1;
		TEST_ERRNO(ioctl(m->view, KVM_GMEM_SEAL, &args), EINVAL);
		args.reserved[i] = 0;
	}
	TEST_ERRNO(__seal(m->view, 0), EINVAL);
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_SEAL, 8), EFAULT);
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_GET_SEALS, 8), EFAULT);
	TEST_ASSERT_EQ(seals_of(m->view), 0UL);
	TEST_ERRNO(fcntl(m->view, F_ADD_SEALS, F_SEAL_SEAL), EINVAL);
}

static void are_the_inode_s(void)
{
	struct machine *a = machine_to_seal(MMAP_SHARED);
	int b = link_view(idle_vm(), a->view);

	seal(a->view, KVM_GMEM_SEAL_SHRINK);
	TEST_ASSERT_EQ(seals_of(b), KVM_GMEM_SEAL_SHRINK);
	seal(b, KVM_GMEM_SEAL_LINK | KVM_GMEM_SEAL_SHRINK);
	TEST_ASSERT_EQ(seals_of(a->view), KVM_GMEM_SEAL_LINK | KVM_GMEM_SEAL_SHRINK);
	machine_free(a);
	TEST_ASSERT_EQ(seals_of(b), KVM_GMEM_SEAL_LINK | KVM_GMEM_SEAL_SHRINK);
}

static void survive_a_move(void)
{
	struct machine *a = machine_to_seal(MMAP_SHARED);
	struct machine *b = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);

	require_move();
	b->view = link_view(b->vm, a->view);
	machine_bind(b, 0);
	seal(a->view, KVM_GMEM_SEAL_GUEST);
	move(b, a);
	TEST_ERRNO(__seal(a->view, KVM_GMEM_SEAL_LINK), EIO);
	TEST_ASSERT_EQ(seals_of(b->view), KVM_GMEM_SEAL_GUEST);
	expect_no_mmap(b->view);
}

static void no_more_seals(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);

	seal(m->view, KVM_GMEM_SEAL_SHRINK | KVM_GMEM_SEAL_SEAL);
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_LINK), EPERM);
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_SHRINK), EPERM);
	TEST_ASSERT_EQ(seals_of(m->view), KVM_GMEM_SEAL_SHRINK | KVM_GMEM_SEAL_SEAL);
	link_view(idle_vm(), m->view);
}

static void no_more_views(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);

	seal(m->view, KVM_GMEM_SEAL_LINK);
	TEST_ERRNO(__link_view(idle_vm(), m->view), EPERM);
	guest_write(m, 0, PAGES, 1);
}

static void no_holes(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);
	uint64_t *p = map_view(m->view, PAGES);

	guest_write(m, 0, PAGES, 1);
	seal(m->view, KVM_GMEM_SEAL_SHRINK);
	TEST_ERRNO(fallocate(m->view, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE), EPERM);
	TEST_ERRNO(madvise(p, SIZE, MADV_REMOVE), EPERM);
	guest_expect(m, 0, PAGES, 1);
	allocate_pages(m->view, 0, PAGES);
	p[0] = 1;
}

static void guest_only(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);

	make_private(m->view, 0, 1);
	seal(m->view, KVM_GMEM_SEAL_GUEST);
	expect_no_mmap(m->view);
	TEST_ERRNO(__convert(m->view, 0, 1, 0, NULL), EPERM);
	make_private(m->view, 1, 1);
	TEST_ERRNO(__convert(m->view, 0, 2, 0, NULL), EPERM);
	TEST_ASSERT_EQ(populate(m->view, 2, NULL), 0);
	guest_write(m, 0, PAGES, 1);
	guest_expect(m, 0, PAGES, 1);
	punch_pages(m->view, 0, PAGES);
	guest_expect(m, 0, PAGES, 0);
	seal(m->view, KVM_GMEM_SEAL_GUEST);
}

static void guest_takes_an_empty_inode(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);
	uint64_t *p = map_view(m->view, PAGES);

	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_GUEST), EBUSY);
	p[0] = 1;
	munmap(p, SIZE);
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_GUEST), EBUSY);
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_GUEST | KVM_GMEM_SEAL_LINK), EBUSY);
	TEST_ASSERT_EQ(seals_of(m->view), 0UL);
	/* A call that failed has refused nobody anything. */
	p = map_view(m->view, PAGES);
	TEST_ASSERT_EQ(p[0], 1UL);
	munmap(p, SIZE);
	punch_pages(m->view, 0, 1);
	seal(m->view, KVM_GMEM_SEAL_GUEST);
}

static void a_child_s_mapping_counts(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);
	uint64_t *p = map_view(m->view, PAGES);
	int go[2];
	char byte;

	TEST_ASSERT(!pipe(go), "pipe");
	if (!fork()) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	munmap(p, SIZE);
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_GUEST), EBUSY);
	close(go[1]);
	wait(NULL);
	seal(m->view, KVM_GMEM_SEAL_GUEST);
}

static void content_is_frozen(void)
{
	struct machine *m = machine_to_seal(MMAP_SHARED);
	uint64_t *p = map_view(m->view, PAGES);
	struct iovec iov = { p, PAGE_SIZE };
	static char page[PAGE_SIZE];
	int fds[2];

	p[0] = 5;
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_WRITE), EBUSY);
	TEST_ASSERT(!pipe(fds), "pipe");
	TEST_ASSERT_EQ(vmsplice(fds[1], &iov, 1, 0), (ssize_t)PAGE_SIZE);
	munmap(p, SIZE);
	/* The page in the pipe might be one under I/O. */
	TEST_ERRNO(__seal(m->view, KVM_GMEM_SEAL_WRITE), EBUSY);
	TEST_ASSERT_EQ(seals_of(m->view), 0UL);
	TEST_ASSERT_EQ(read(fds[0], page, PAGE_SIZE), (ssize_t)PAGE_SIZE);
	seal(m->view, KVM_GMEM_SEAL_WRITE);
	expect_no_mmap(m->view);
	TEST_ASSERT_EQ(populate(m->view, 2, NULL), EPERM);
	guest_write(m, 0, PAGES, 1);
	make_private(m->view, 0, PAGES);
	make_shared(m->view, 0, PAGES);
	guest_expect(m, 0, PAGES, 1);
}

/**
 * struct trial - one inode that is sealed while somebody is at work on it
 * @view: its view
 * @fill: what fills its first page: 0, or errno
 * @sealed: set after a call that set the seal has returned
 * @stop: the other is to end
 * @held: what it got that @sealed forbids
 * @tries: how often it tried
 */
struct trial {
	int view;
	int (*fill)(int view);
	volatile bool sealed, stop;
	unsigned long held, tries;
};

static void *map_again_and_again(void *arg)
{
	struct trial *t = arg;

	while (!t->stop) {
		void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->view, 0);

		t->tries++;
		if (p == MAP_FAILED) {
			TEST_ASSERT(errno == EPERM, "mmap: errno %d", errno);
			continue;
		}
		/* Mapped, and sealed: one of the two should have been refused. */
		for (int i = 0; i < 20; i++)
			t->held += t->sealed;
		munmap(p, SIZE);
	}
	return NULL;
}

static void seal_against_mmap(void)
{
	unsigned long seconds = atoi(getenv("GMEM_TEST_SECONDS") ?: "3");
	struct timespec begin, now;
	unsigned long inodes = 0, mappings = 0, seals = 0;
	struct kvm_vm *vm = idle_vm();

	machine_to_seal(0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct trial t = { .view = vm_create_guest_memfd(vm, SIZE, MMAP_SHARED) };
		uint64_t kind = inodes++ & 1 ? KVM_GMEM_SEAL_GUEST : KVM_GMEM_SEAL_WRITE;
		pthread_t mapper;

		pthread_create(&mapper, NULL, map_again_and_again, &t);
		for (int i = 0; i < 200; i++) {
			int ret = __seal(t.view, kind);

			seals++;
			TEST_ASSERT(!ret || errno == EBUSY, "KVM_GMEM_SEAL: errno %d", errno);
			t.sealed |= !ret;
			if (!ret)
				break;
		}
		usleep(100);
		t.stop = true;
		pthread_join(mapper, NULL);
		TEST_ASSERT(!t.held, "a mapping was there after the seal was set");
		mappings += t.tries;
		close(t.view);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < seconds);
	printf("# %lu inodes, %lu mmaps, %lu seals\n", inodes, mappings, seals);
}

static int populate_first(int view)
{
	return populate(view, 0, NULL);
}

static int write_first(int view)
{
	static char page[PAGE_SIZE];

	return pwrite(view, page, PAGE_SIZE, 0) == PAGE_SIZE ? 0 : errno;
}

static void *fill_again_and_again(void *arg)
{
	struct trial *t = arg;

	while (!t->stop) {
		bool sealed = t->sealed;
		int err = t->fill(t->view);

		t->tries++;
		t->held += sealed && !err;
		if (!err)
			punch_pages(t->view, 0, 1);
		TEST_ASSERT(!err || err == EPERM || err == EEXIST, "errno %d", err);
	}
	return NULL;
}

static uint64_t blocks(int view)
{
	struct stat st;

	TEST_ASSERT(!fstat(view, &st), "fstat");
	return st.st_blocks;
}

/* One inode: returns how often it was tried to fill its first page. */
static unsigned long seal_while_filled(struct kvm_vm *vm, int (*fill)(int view), uint64_t kind)
{
	struct trial t = { .fill = fill };
	pthread_t filler;
	uint64_t before;

	t.view = vm_create_guest_memfd(vm, SIZE, GUEST_MEMFD_FLAG_WRITE |
				       GUEST_MEMFD_FLAG_INIT_SHARED);
	pthread_create(&filler, NULL, fill_again_and_again, &t);
	while (__seal(t.view, kind))
		TEST_ASSERT(errno == EBUSY, "KVM_GMEM_SEAL: errno %d", errno);
	before = blocks(t.view);
	t.sealed = true;
	usleep(100);
	TEST_ASSERT(blocks(t.view) <= before, "a page came after the seal was set");
	TEST_ASSERT(kind != KVM_GMEM_SEAL_GUEST || !before, "the seal was set on a page");
	t.stop = true;
	pthread_join(filler, NULL);
	TEST_ASSERT(!t.held, "a page was filled after the seal was set");
	close(t.view);
	return t.tries;
}

static void seal_against(int (*fill)(int view), const uint64_t *kinds, unsigned int nr)
{
	unsigned long seconds = atoi(getenv("GMEM_TEST_SECONDS") ?: "3");
	unsigned long inodes = 0, tries = 0;
	struct timespec begin, now;
	struct kvm_vm *vm = idle_vm();

	machine_to_seal(0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		tries += seal_while_filled(vm, fill, kinds[inodes++ % nr]);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < seconds);
	printf("# %lu inodes, %lu tries\n", inodes, tries);
}

static void seal_against_populate(void)
{
	static const uint64_t kinds[] = { KVM_GMEM_SEAL_WRITE };

	seal_against(populate_first, kinds, 1);
}

static void seal_against_write(void)
{
	static const uint64_t kinds[] = { KVM_GMEM_SEAL_WRITE, KVM_GMEM_SEAL_GUEST };

	seal_against(write_first, kinds, 2);
}

static const struct claim claims[] = {
	CLAIM(wrong_arguments, "each wrong argument is EINVAL or EFAULT and seals nothing"),
	CLAIM(are_the_inode_s, "seals are the inode's, for every view, and stay"),
	CLAIM(survive_a_move, "they survive a move, and a dead VM sets none"),
	CLAIM(no_more_seals, "SEAL: no more seals"),
	CLAIM(no_more_views, "LINK: no more views"),
	CLAIM(no_holes, "SHRINK: no holes, however asked for"),
	CLAIM(guest_only, "GUEST: no mmap, nothing becomes shared; the guest goes on"),
	CLAIM(guest_takes_an_empty_inode, "GUEST is EBUSY while there is a page or a mapping"),
	CLAIM(a_child_s_mapping_counts, "a mapping that only a child has left counts"),
	CLAIM(content_is_frozen, "WRITE: EBUSY while mapped or pinned; then no mapping"),
	CLAIM(seal_against_populate, "no page is populated after the call that seals"),
	CLAIM(seal_against_write, "nor written"),
	CLAIM(seal_against_mmap, "no mapping outlives the call that seals, however they race"),
};

CLAIMS_MAIN(claims);
