// SPDX-License-Identifier: GPL-2.0-only
/*
 * Content from a process's memory: KVM_GUEST_MEMFD_POPULATE, KVM_GMEM_POPULATE.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "asleep.h"
#include "claims.h"
#include "fdinfo.h"
#include "mapped.h"
#include "moving.h"
#include "populate.h"

#define PAGES	100	/* more than one batch of the kernel's */

static struct machine *m;
static uint64_t *content;

static void begin(void)
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = machine_create(PAGES);
	content = pattern_pages(0, PAGES, 3);
}

static void guest_finds_it(void)
{
	begin();
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), (long)PAGES);
	guest_expect(m, 0, PAGES, 3);
	machine_free(m);
}

static void whole_pages_from_anywhere(void)
{
	char *odd = mmap(NULL, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin();
	memcpy(odd + 123, content, 2 * PAGE_SIZE);
	TEST_ASSERT_EQ(populate(m, 0, 2, odd + 123), 2L);
	guest_expect(m, 0, 2, 3);
	guest_expect(m, 2, 1, 0);
	machine_free(m);
}

static void zeroes_without_content(void)
{
	begin();
	TEST_ASSERT_EQ(populate(m, 5, 2, NULL), 2L);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 2UL);
	TEST_ERRNO(populate(m, 5, 1, content), EEXIST);
	guest_expect(m, 5, 2, 0);
	machine_free(m);
}

static void by_another_process(void)
{
	int status;

	begin();
	if (!fork()) {
		content = pattern_pages(0, PAGES, 4);
		TEST_ERRNO(__vm_ioctl(m->vm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_GMEM), EIO);
		_exit(populate(m, 0, PAGES, content) == PAGES ? 0 : 1);
	}
	TEST_ASSERT(wait(&status) > 0 && !status, "the other's status is %#x", status);
	guest_expect(m, 0, PAGES, 4);
	machine_free(m);
}

static void content_stays(void)
{
	begin();
	guest_write(m, 40, 1, 9);
	TEST_ERRNO(populate(m, 40, 10, content), EEXIST);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), 40L);
	TEST_ERRNO(populate(m, 0, PAGES, content), EEXIST);
	TEST_ASSERT_EQ(populate(m, 41, PAGES - 41, content + 41 * 512), PAGES - 41L);
	guest_expect(m, 0, 40, 3);
	guest_expect(m, 40, 1, 9);
	guest_expect(m, 41, PAGES - 41, 3);
	machine_free(m);
}

static void allocated_is_missing(void)
{
	begin();
	allocate_pages(m->view, 0, PAGES);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), (long)PAGES);
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT_EQ(fdinfo(m->view, "allocated"), (uint64_t)PAGES);
	machine_free(m);
}

static void punched_is_missing(void)
{
	begin();
	guest_write(m, 0, PAGES, 9);
	punch_pages(m->view, 10, 20);
	TEST_ASSERT_EQ(populate(m, 10, PAGES - 10, content + 10 * 512), 20L);
	guest_expect(m, 0, 10, 9);
	guest_expect(m, 10, 20, 3);
	machine_free(m);
}

static void private_only(void)
{
	begin();
	vm_mem_set_shared(m->vm, MACHINE_GPA + 50 * PAGE_SIZE, PAGE_SIZE);
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), 50L);
	TEST_ERRNO(populate(m, 50, 1, content), EINVAL);
	TEST_ERRNO(populate(m, PAGES, 1, content), EINVAL);
	guest_expect(m, 0, 50, 3);
	machine_free(m);
}

static void over_adjoining_slots(void)
{
	begin();
	machine_unbind(m);
	for (int i = 0; i < 2; i++)
		vm_set_user_memory_region2(m->vm, MACHINE_SLOT + i, KVM_MEM_GUEST_MEMFD,
					   MACHINE_GPA + i * 50 * PAGE_SIZE, 50 * PAGE_SIZE, NULL,
					   m->view, (1 - i) * 50 * PAGE_SIZE);
	TEST_ASSERT_EQ(populate(m, 10, PAGES, content + 10 * 512), PAGES - 10L);
	guest_expect(m, 10, PAGES - 10, 3);
	machine_free(m);
}

static long populate_bytes(uint64_t gpa, uint64_t size, uint64_t from, uint64_t flags)
{
	struct kvm_guest_memfd_populate args = { gpa, size, from, flags };

	return __vm_ioctl(m->vm, KVM_GUEST_MEMFD_POPULATE, &args);
}

static void wrong_arguments(void)
{
	uint64_t from;

	begin();
	from = (uintptr_t)content;
	TEST_ERRNO(populate_bytes(MACHINE_GPA, 0, from, 0), EINVAL);
	TEST_ERRNO(populate_bytes(MACHINE_GPA + 1, PAGE_SIZE, from, 0), EINVAL);
	TEST_ERRNO(populate_bytes(MACHINE_GPA, PAGE_SIZE + 1, from, 0), EINVAL);
	TEST_ERRNO(populate_bytes(MACHINE_GPA, -PAGE_SIZE, from, 0), EINVAL);
	for (int bit = 0; bit < 64; bit++)
		TEST_ERRNO(populate_bytes(MACHINE_GPA, PAGE_SIZE, from, 1ULL << bit), EINVAL);
	TEST_ERRNO(populate_bytes(MACHINE_GPA, PAGE_SIZE, ~0ULL, 0), EFAULT);
	TEST_ERRNO(populate_bytes(MACHINE_GPA, PAGE_SIZE, 1ULL << 63, 0), EFAULT);
	TEST_ERRNO(ioctl(m->vm->fd, KVM_GUEST_MEMFD_POPULATE, (void *)1), EFAULT);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 0UL);
	machine_free(m);
}

static void unreadable_content(void)
{
	begin();
	TEST_ASSERT(!mprotect(content + 60 * 512, PAGE_SIZE, PROT_NONE), "mprotect");
	TEST_ASSERT_EQ(populate(m, 0, PAGES, content), 60L);
	TEST_ERRNO(populate(m, 60, 1, content + 60 * 512), EFAULT);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 60UL);
	guest_expect(m, 0, 60, 3);
	guest_expect(m, 60, 1, 0);
	machine_free(m);
}

/* At each place where what the kernel reads at once may begin, go on or end. */
static void unreadable_inside_a_page(void)
{
	static const uint64_t ends[] = { 1, 2, 17, 32, 33, 34, 65, 97, 99, 100 };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		uint64_t whole = ends[i] - 1;
		char *odd;

		begin();
		odd = mmap(NULL, (PAGES + 1) * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(odd + 123, content, PAGES * PAGE_SIZE);
		TEST_ASSERT(!mprotect(odd + ends[i] * PAGE_SIZE, PAGE_SIZE, PROT_NONE), "mprotect");
		if (whole)
			TEST_ASSERT_EQ(populate(m, 0, PAGES, odd + 123), (long)whole);
		TEST_ERRNO(populate(m, whole, PAGES - whole, odd + 123 + whole * PAGE_SIZE),
			   EFAULT);
		TEST_ASSERT_EQ(fdinfo(m->view, "resident"), whole);
		guest_expect(m, 0, whole, 3);
		guest_expect(m, whole, 1, 0);
		machine_free(m);
		munmap(odd, (PAGES + 1) * PAGE_SIZE);
		munmap(content, PAGES * PAGE_SIZE);
	}
}

static void in_a_default_vm(void)
{
	begin();
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	TEST_ASSERT_EQ(populate(m, 0, PAGES - 1, content), PAGES - 1L);
	guest_expect(m, 0, PAGES - 1, 3);
	host_expect(m, 0, PAGES - 1, 3);
	machine_free(m);
}

/* The pages that are to be filled and what they are filled with: one mapping. */
static void from_its_own_mapping(void)
{
	begin();
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	host_write(m, 0, 10, 3);
	TEST_ASSERT_EQ(populate(m, 10, 10, m->host), 10L);
	/* A page from itself: reading it makes it present. */
	TEST_ERRNO(populate(m, 30, 1, host_page(m, 30)), EEXIST);
	machine_free(m);
}

static void by_offset(void)
{
	begin();
	machine_unbind(m);
	TEST_ASSERT_EQ(populate_offset(m->view, 10, 20, content + 10 * 512), 20L);
	TEST_ERRNO(populate_offset(m->view, PAGES - 1, 2, content), EINVAL);
	machine_bind(m, 0);
	guest_expect(m, 10, 20, 3);
	guest_expect(m, 0, 10, 0);
	machine_free(m);
}

static void by_handle(void)
{
	struct kvm_vm *vm = idle_vm();
	int filler;

	begin();
	filler = filler_of(m->view);
	TEST_ASSERT_EQ(populate_offset(filler, 0, PAGES, content), (long)PAGES);
	guest_expect(m, 0, PAGES, 3);

	/* And good for nothing else. */
	TEST_ERRNO(__link_view(vm, filler), EINVAL);
	TEST_ERRNO(__vm_set_user_memory_region2(vm, 5, KVM_MEM_GUEST_MEMFD, MACHINE_GPA,
						PAGE_SIZE, NULL, filler, 0), EINVAL);
	TEST_ERRNO(fallocate(filler, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE_SIZE),
		   EOPNOTSUPP);
	TEST_ERRNO((long)mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, filler, 0), ENODEV);
	TEST_ERRNO(read(filler, content, 8), EINVAL);
	TEST_ERRNO(write(filler, content, PAGE_SIZE), EINVAL);
	TEST_ERRNO(ftruncate(filler, 0), EINVAL);
	TEST_ERRNO(ioctl(filler, KVM_GMEM_CREATE_FILLER, content), ENOTTY);
	guest_expect(m, 0, PAGES, 3);
	TEST_ASSERT(fcntl(filler, F_GETFD) & FD_CLOEXEC, "it is inherited");
	machine_free(m);
}

static void handle_outlives_the_memory(void)
{
	struct pollfd fd = { .events = POLLIN };

	begin();
	fd.fd = filler_of(m->view);
	TEST_ASSERT_EQ(poll(&fd, 1, 0), 0);
	machine_free(m);
	TEST_ASSERT_EQ(poll(&fd, 1, claim_patience() * 1000), 1);
	TEST_ASSERT_EQ(fd.revents, POLLHUP);
	TEST_ERRNO(populate_offset(fd.fd, 0, 1, content), EPIPE);
}

static void wrong_arguments_by_offset(void)
{
	struct kvm_gmem_populate args = { .size = PAGE_SIZE };
	struct kvm_gmem_create_filler create = { 0 };

	begin();
	for (int i = 0; i < 4; i++) {
		args.reserved[i] = 1ULL << 63;
		TEST_ERRNO(ioctl(m->view, KVM_GMEM_POPULATE, &args), EINVAL);
		args.reserved[i] = 0;
	}
	for (int i = 0; i < 7; i++) {
		create.reserved[i] = 1;
		TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_FILLER, &create), EINVAL);
		create.reserved[i] = 0;
	}
	create.flags = 1;
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_FILLER, &create), EINVAL);
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_POPULATE, NULL), EFAULT);
	TEST_ERRNO(ioctl(m->view, KVM_GMEM_CREATE_FILLER, NULL), EFAULT);
	TEST_ASSERT_EQ(fdinfo(m->view, "resident"), 0UL);
	machine_free(m);
}

static void a_moved_vm_is_dead(void)
{
	struct machine *dst;
	int filler, view;

	begin();
	filler = filler_of(m->view);
	view = m->view;
	dst = destination(m);
	move(dst, m);
	TEST_ERRNO(populate(m, 0, 1, content), EIO);
	TEST_ERRNO(populate_offset(view, 0, 1, content), EIO);
	TEST_ASSERT_EQ(populate_offset(filler, 0, 1, content), 1L);
	TEST_ASSERT_EQ(populate(dst, 1, 1, content + 512), 1L);
	guest_expect(dst, 0, 2, 3);
}

/* Memory whose pages never come. */
static void *stalled_memory(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	void *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	TEST_ASSERT(fd >= 0, "userfaultfd");
	reg.range.start = (uintptr_t)p;
	reg.range.len = PAGE_SIZE;
	TEST_ASSERT(!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg), "register");
	return p;
}

/* Nobody waits for one who waits; and he can be killed. */
static void stalled_caller_hinders_nobody(void)
{
	int status, old;
	pid_t pid;

	begin();
	old = m->view;
	pid = fork();
	if (!pid) {
		populate(m, 7, 1, stalled_memory());
		_exit(1);
	}
	wait_asleep(pid, IN_USERFAULT);
	TEST_ASSERT(!waitpid(pid, &status, WNOHANG), "it did not wait: %#x", status);

	TEST_ASSERT_EQ(populate(m, 7, 1, content + 7 * 512), 1L);
	TEST_ASSERT_EQ(populate(m, 0, 7, content), 7L);
	punch_pages(m->view, 0, 1);
	guest_expect(m, 1, 7, 3);
	vm_mem_set_shared(m->vm, MACHINE_GPA, PAGE_SIZE);
	machine_unbind(m);
	machine_bind(m, 0);
	machine_close_view(m);
	TEST_ERRNO(fcntl(old, F_GETFD), EBADF);
	kill(pid, SIGKILL);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "%#x", status);
}

static const struct claim claims[] = {
	CLAIM(guest_finds_it, "the guest finds what the caller had"),
	CLAIM(whole_pages_from_anywhere, "content need not be aligned, pages are"),
	CLAIM(zeroes_without_content, "without content a page is zeroes, and present"),
	CLAIM(by_another_process,
	      "another process that holds the VM's fd populates from its memory"),
	CLAIM(content_stays, "what has content keeps it: EEXIST, or a count that can be resumed"),
	CLAIM(allocated_is_missing, "a page that was only allocated is populated in place"),
	CLAIM(punched_is_missing, "a hole can be populated anew"),
	CLAIM(private_only, "shared gfns and gfns without memory are EINVAL, after a short count"),
	CLAIM(over_adjoining_slots, "a range may reach over adjoining slots"),
	CLAIM(wrong_arguments, "wrong arguments are refused and populate nothing"),
	CLAIM(unreadable_content, "content that can't be read ends it: EFAULT, or the count"),
	CLAIM(unreadable_inside_a_page, "so does what can't be read to the end of a page"),
	CLAIM(in_a_default_vm, "a default VM's mappable memory is populated"),
	CLAIM(from_its_own_mapping, "the content may come from a mapping of the same inode"),
	CLAIM(by_offset, "a view populates by offset, bound or not"),
	CLAIM(by_handle, "a populate-only handle populates and does nothing else"),
	CLAIM(handle_outlives_the_memory,
	      "when the last view is gone a handle gets POLLHUP and EPIPE"),
	CLAIM(wrong_arguments_by_offset, "wrong arguments by offset are refused"),
	CLAIM(a_moved_vm_is_dead, "a VM that was moved populates no more; a handle does"),
	CLAIM(stalled_caller_hinders_nobody,
	      "a caller whose memory never comes hinders nobody, and can be killed"),
};

CLAIMS_MAIN(claims);
