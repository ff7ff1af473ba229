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
#include "sealing.h"
#include "blocked_page.h"

#define PAGES	4
#define SIZE	(PAGES * PAGE_SIZE)
#define ALL	(KVM_GMEM_SEAL_SEAL | KVM_GMEM_SEAL_SHRINK | KVM_GMEM_SEAL_WRITE | \
		 KVM_GMEM_SEAL_GUEST | KVM_GMEM_SEAL_LINK)

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

	require_seals();
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
	struct kvm_vm *linked = idle_vm();

	link_view(linked, m->view);
	seal(m->view, KVM_GMEM_SEAL_LINK);
	TEST_ERRNO(__link_view(idle_vm(), m->view), EPERM);
	/* The seal comes first, also for one that has a view. */
	TEST_ERRNO(__link_view(linked, m->view), EPERM);
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

/* Content that does not come before the inode is sealed. */
struct late {
	int view;
	struct blocked_page blocked;
	int (*fill)(struct late *l);
	int err;
};

static int late_populate(struct late *l)
{
	return populate(l->view, 1, l->blocked.page);
}

static int late_write(struct late *l)
{
	return pwrite(l->view, l->blocked.page, PAGE_SIZE, PAGE_SIZE) < 0 ? errno : 0;
}

static void *late_main(void *arg)
{
	struct late *l = arg;

	l->err = l->fill(l);
	return NULL;
}

/* Sealing waits for none of these, and what was asked as they began does not count. */
static void too_late(int (*fill)(struct late *l), uint64_t seals)
{
	struct machine *m = machine_of_type(KVM_X86_SW_PROTECTED_VM, PAGES);
	struct late l = { .fill = fill };
	pthread_t thread;

	require_seals();
	l.view = vm_create_guest_memfd(m->vm, SIZE, GUEST_MEMFD_FLAG_WRITE |
				       GUEST_MEMFD_FLAG_INIT_SHARED);
	blocked_page_init(&l.blocked);
	TEST_ASSERT(!pthread_create(&thread, NULL, late_main, &l), "pthread_create");
	blocked_page_wait(&l.blocked);
	seal(l.view, seals);
	blocked_page_let_go(&l.blocked, NULL, 0);
	pthread_join(thread, NULL);
	TEST_ASSERT_EQ(l.err, EPERM);
	TEST_ASSERT_EQ(resident(l.view), 0UL);
}

static void content_comes_too_late(void)
{
	too_late(late_populate, KVM_GMEM_SEAL_WRITE);
	too_late(late_write, KVM_GMEM_SEAL_WRITE);
	too_late(late_write, KVM_GMEM_SEAL_GUEST);
}

/* Steps of 64 MiB would take years here, and an alarm that kills has to end them. */
static void of_exabytes(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	uint64_t size = 1ULL << 62, page = (size >> PAGE_SHIFT) - 1;
	int view;

	require_seals();
	view = vm_create_guest_memfd(vm, size, 0);
	TEST_ASSERT_EQ(populate(view, 0, NULL), 0);
	TEST_ASSERT_EQ(populate(view, page / 2, NULL), 0);
	TEST_ASSERT_EQ(populate(view, page, NULL), 0);
	alarm(claim_patience());
	seal(view, KVM_GMEM_SEAL_WRITE);
	alarm(0);
	TEST_ASSERT_EQ(seals_of(view), KVM_GMEM_SEAL_WRITE);
	close(view);
	kvm_vm_free(vm);
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
	CLAIM(content_comes_too_late, "a fill that has not its content yet is refused once sealed"),
	CLAIM(of_exabytes, "an inode of exabytes with a few pages is sealed at once"),
};

CLAIMS_MAIN(claims);
