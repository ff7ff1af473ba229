// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_LINK_GUEST_MEMFD: what it refuses, and that a refusal leaves nothing.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "claims.h"
#include "fdinfo.h"
#include "machine.h"

#define PAGES	4

/* A view of a VM of its own. */
static int some_view(void)
{
	return vm_create_guest_memfd(idle_vm(), PAGES * PAGE_SIZE, 0);
}

static int link_args(struct kvm_vm *vm, const struct kvm_link_guest_memfd *args)
{
	return ioctl(vm->fd, KVM_LINK_GUEST_MEMFD, args);
}

static void wrong_fds(void)
{
	struct kvm_vm *vm;
	int pipes[2], memfd, closed, view;

	require_link();
	vm = idle_vm();
	view = some_view();
	memfd = memfd_create("not guest memory", 0);
	closed = dup(memfd);
	TEST_ASSERT(!pipe(pipes) && !close(closed), "set up fds");

	TEST_ERRNO(__link_view(vm, -1), EINVAL);
	TEST_ERRNO(__link_view(vm, closed), EINVAL);
	TEST_ERRNO(__link_view(vm, pipes[0]), EINVAL);
	TEST_ERRNO(__link_view(vm, memfd), EINVAL);
	TEST_ERRNO(__link_view(vm, vm->kvm_fd), EINVAL);
	TEST_ERRNO(__link_view(vm, vm->fd), EINVAL);
	/* A view's fd in the low half must not be taken for one. */
	TEST_ERRNO(__link_view(vm, 1ULL << 32 | view), EINVAL);
	TEST_ERRNO(__link_view(vm, 1ULL << 31 | view), EINVAL);
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
}

static void path_fd(void)
{
	struct kvm_vm *vm;
	char path[64];
	int view, opath;

	/* O_PATH gives no right to the content. */
	require_link();
	vm = idle_vm();
	view = some_view();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", view);
	opath = open(path, O_PATH);
	TEST_ASSERT(opath >= 0, "open %s", path);
	TEST_ERRNO(__link_view(vm, opath), EINVAL);
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
}

static void no_second_opening(void)
{
	char path[64];
	int view;

	/* Views come from the ioctls only. */
	view = some_view();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", view);
	TEST_ERRNO(open(path, O_RDWR), ENXIO);
}

static void own_view(void)
{
	struct kvm_vm *vm;
	int view;

	require_link();
	vm = idle_vm();
	view = vm_create_guest_memfd(vm, PAGES * PAGE_SIZE, 0);
	TEST_ERRNO(__link_view(vm, view), EINVAL);
	TEST_ERRNO(__link_view(vm, dup(view)), EINVAL);
	/* Nor round about: a view of the inode is one of this VM's already. */
	TEST_ERRNO(__link_view(vm, link_view(idle_vm(), view)), EINVAL);
}

static void second_link(void)
{
	struct kvm_vm *vm;
	int view, link;

	require_link();
	vm = idle_vm();
	view = some_view();
	for (int i = 0; i < 3; i++) {
		link = link_view(vm, view);
		TEST_ERRNO(__link_view(vm, view), EINVAL);
		TEST_ERRNO(__link_view(vm, link), EINVAL);
		TEST_ASSERT_EQ(fdinfo(view, "views"), 2UL);
		close(link);
		TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
	}
}

static void flags(void)
{
	struct kvm_vm *vm;
	int view;

	require_link();
	vm = idle_vm();
	view = some_view();
	for (int bit = 0; bit < 64; bit++)
		TEST_ERRNO(link_args(vm, &(struct kvm_link_guest_memfd){
					.fd = view, .flags = 1ULL << bit }), EINVAL);
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
}

static void reserved(void)
{
	struct kvm_link_guest_memfd args = { 0 };
	struct kvm_vm *vm;

	require_link();
	vm = idle_vm();
	args.fd = some_view();
	for (size_t i = 0; i < ARRAY_SIZE(args.reserved); i++) {
		args.reserved[i] = 1;
		TEST_ERRNO(link_args(vm, &args), EINVAL);
		args.reserved[i] = 1ULL << 63;
		TEST_ERRNO(link_args(vm, &args), EINVAL);
		args.reserved[i] = 0;
	}
	TEST_ASSERT(link_args(vm, &args) >= 0, "link: %s", strerror(errno));
}

static void bad_pointer(void)
{
	struct kvm_link_guest_memfd *args;
	struct kvm_vm *vm;
	char *pages;

	require_link();
	vm = idle_vm();
	pages = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	TEST_ASSERT(pages != MAP_FAILED && !munmap(pages + PAGE_SIZE, PAGE_SIZE), "mmap");

	/* Its last word lies on no page. */
	args = (void *)(pages + PAGE_SIZE - sizeof(*args) + sizeof(uint64_t));
	args->fd = some_view();
	TEST_ERRNO(link_args(vm, args), EFAULT);
	TEST_ERRNO(link_args(vm, NULL), EFAULT);
	TEST_ERRNO(link_args(vm, (void *)-4096UL), EFAULT);
	TEST_ASSERT_EQ(fdinfo(args->fd, "views"), 1UL);
}

static void source_is_gone(void)
{
	struct kvm_vm *vm, *source;
	int view;

	require_link();
	vm = idle_vm();
	source = idle_vm();
	view = vm_create_guest_memfd(source, PAGES * PAGE_SIZE, 0);
	kvm_vm_free(source);
	close(view);
	TEST_ERRNO(__link_view(vm, view), EINVAL);
}

static void source_vm_fd_is_gone(void)
{
	struct kvm_vm *vm, *source;
	int view;

	/* The view alone is enough: it keeps what it needs. */
	require_link();
	vm = idle_vm();
	source = idle_vm();
	view = vm_create_guest_memfd(source, PAGES * PAGE_SIZE, 0);
	kvm_vm_free(source);
	TEST_ASSERT(link_view(vm, view) >= 0, "link");
}

static void other_process(void)
{
	struct kvm_vm *vm;
	int view, status;

	require_link();
	vm = idle_vm();
	view = some_view();
	if (!fork()) {
		TEST_ERRNO(__link_view(vm, view), EIO);
		_exit(0);
	}
	TEST_ASSERT(wait(&status) > 0 && !status, "the child's status is %#x", status);
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
}

static void set_fd_limit(rlim_t n)
{
	struct rlimit limit;

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = n;
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static void until_emfile(void)
{
	enum { VMS = 32, ROOM = 8 };
	struct kvm_vm *vm[VMS];
	struct rlimit before;
	int view, top, n;

	require_link();
	view = some_view();
	for (int i = 0; i < VMS; i++)
		vm[i] = idle_vm();
	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &before), "getrlimit");
	top = dup(view);
	close(top);

	/* fdinfo needs an fd too, so the counting is done with the limit off. */
	set_fd_limit(top + ROOM);
	for (n = 0; n < VMS && __link_view(vm[n], view) >= 0; n++)
		;
	TEST_ASSERT(n == ROOM && errno == EMFILE, "%d links, then errno %d", n, errno);
	for (int i = 0; i < 100; i++)
		TEST_ERRNO(__link_view(vm[n], view), EMFILE);
	set_fd_limit(before.rlim_cur);

	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL + ROOM);
	/* Those that were refused are not taken to have a view now. */
	for (; n < VMS; n++)
		link_view(vm[n], view);
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL + VMS);
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	TEST_ASSERT(f && fscanf(f, "%ld", &n) == 1, "read %s", path);
	fclose(f);
	return n;
}

static void write_number(const char *path, long n)
{
	FILE *f = fopen(path, "w");

	TEST_ASSERT(f && fprintf(f, "%ld\n", n) > 0 && !fclose(f), "write %s", path);
}

static void until_enfile(void)
{
	static const char max[] = "/proc/sys/fs/file-max";
	long before = read_number(max);
	struct kvm_vm *vm;
	int view, ret, err;

	/* The limit does not hold for root. */
	require_link();
	vm = idle_vm();
	view = some_view();
	write_number(max, 1);
	TEST_ASSERT(!seteuid(65534), "seteuid");
	ret = __link_view(vm, view);
	err = errno;
	TEST_ASSERT(!seteuid(0), "seteuid");
	write_number(max, before);

	TEST_ASSERT(ret == -1 && err == ENFILE, "returned %d with errno %d", ret, err);
	TEST_ASSERT_EQ(fdinfo(view, "views"), 1UL);
	link_view(vm, view);
}

static int racing_view;
static pthread_barrier_t barrier;

static void *close_racing_view(void *arg)
{
	pthread_barrier_wait(&barrier);
	usleep((uintptr_t)arg);
	close(racing_view);
	return NULL;
}

static void closed_in_the_middle(void)
{
	struct kvm_vm *source, *vm;
	int linked = 0, refused = 0;

	require_link();
	source = idle_vm();
	vm = idle_vm();
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 500; i++) {
		pthread_t closer;
		int link;

		racing_view = vm_create_guest_memfd(source, PAGES * PAGE_SIZE, 0);
		pthread_create(&closer, NULL, close_racing_view, (void *)(uintptr_t)(i % 50));
		pthread_barrier_wait(&barrier);
		link = __link_view(vm, racing_view);
		TEST_ASSERT(link >= 0 || errno == EINVAL, "link: errno %d", errno);
		pthread_join(closer, NULL);

		if (link < 0) {
			refused++;
			continue;
		}
		linked++;
		TEST_ASSERT_EQ(fdinfo(link, "views"), 1UL);
		allocate_pages(link, 0, PAGES);
		close(link);
	}
	pr_info("%d linked, %d refused\n", linked, refused);
}

static const struct claim claims[] = {
	CLAIM(wrong_fds, "-1, a closed fd, a pipe, a memfd, /dev/kvm, a VM, 33 bits of fd: EINVAL"),
	CLAIM(path_fd, "an O_PATH fd of a view is EINVAL"),
	CLAIM(no_second_opening, "a view can't be opened again through /proc: ENXIO"),
	CLAIM(own_view, "a VM can't link its own inode, directly or through another VM: EINVAL"),
	CLAIM(second_link, "a VM has one view of an inode: EINVAL, until that is closed"),
	CLAIM(flags, "every flag bit is EINVAL"),
	CLAIM(reserved, "every reserved word must be zero: EINVAL"),
	CLAIM(bad_pointer, "an argument that can't be read whole is EFAULT"),
	CLAIM(source_is_gone, "a view that was closed can't be linked: EINVAL"),
	CLAIM(source_vm_fd_is_gone, "a view can be linked when its VM's own fd is closed"),
	CLAIM(other_process, "another process can't link into this one's VM: EIO"),
	CLAIM(until_emfile, "links end with EMFILE and leave nothing behind"),
	CLAIM(until_enfile, "with the file table full a link is ENFILE and leaves nothing behind"),
	CLAIM(closed_in_the_middle, "the source's view closed meanwhile: linked whole or EINVAL"),
};

CLAIMS_MAIN(claims);
