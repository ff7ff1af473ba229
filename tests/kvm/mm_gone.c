// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that outlives the address space of its VMM, which others hold by an fd. KVM knows some of
 * the guest's pages by their addresses there: what raises an event for the guest writes to
 * none of them any more, as they are somebody else's. Pages of guest memory inodes live on.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "claims.h"
#include "mapped.h"
#include "private.h"
#include "sendfd.h"
#include "xenevents.h"

#define PAGES		8
#define SHARED_PAGE	3
#define PORT		70
#define PORT_BIT	(1ULL << PORT % 64)
#define CPU		0	/* whose free pages the next to ask on it gets */
#define LOOK_MS		200
#define TAKE		(16UL << 20)	/* of memory, at once */
#define MAX_TAKES	64
#define BALLAST		(256UL << 20)	/* takes a while to unmap */

/**
 * struct vmm - a VMM, in a process of its own, and what is left of it
 * @pid: the process
 * @vm: an fd of its VM
 * @view: a view of its guest's memory; where that is plain, the VM's fd again
 * @eventfd: raises PORT
 * @frame: of the page that KVM shares with the guest
 */
struct vmm {
	pid_t pid;
	int vm, view, eventfd;
	uint64_t frame;
};

static void on_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(CPU, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: errno %d", errno);
}

static void read_pagemap(const void *p, uint64_t *entries, uint64_t n)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	off_t at = (uintptr_t)p / PAGE_SIZE * sizeof(*entries);

	TEST_ASSERT(pread(fd, entries, n * sizeof(*entries), at) == n * sizeof(*entries),
		    "read pagemap");
	close(fd);
}

static uint64_t frame_of(const void *p)
{
	uint64_t entry;

	read_pagemap(p, &entry, 1);
	return entry & ((1ULL << 55) - 1);
}

static uint64_t *pending(void *shared)
{
	return (uint64_t *)shared + XEN_PENDING + PORT / 64;
}

static void raise_event(int fd)
{
	TEST_ASSERT(!eventfd_write(fd, 1), "write to an eventfd: errno %d", errno);
}

static void wait_pending(void *shared)
{
	double until = 0;

	while (!(READ_ONCE(*pending(shared)) & PORT_BIT))
		TEST_ASSERT(claim_is_patient(&until), "no event comes");
}

/* ---- what the VMMs do, each in a process of its own */

/* Its shared page works; then it sends what outlives it, and dies when it is told to. */
static void live_and_die(struct kvm_vm *vm, int view, void *shared, int eventfd, int socket)
{
	int fds[2] = { vm->fd, view };
	char die;

	xen_irqfd(vm, eventfd, PORT);
	raise_event(eventfd);
	wait_pending(shared);
	*pending(shared) = 0;
	send_fds(socket, fds, 2, frame_of(shared));
	if (read(socket, &die, 1) != 1)
		exit(1);
	_exit(0);
}

static void *plain_page(void)
{
	/* Behind the ballast in the order of addresses, hence unmapped after it. */
	char *ballast = mmap(NULL, BALLAST + PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(ballast != MAP_FAILED, "mmap: errno %d", errno);
	TEST_ASSERT(!madvise(ballast, BALLAST + PAGE_SIZE, MADV_NOHUGEPAGE), "madvise");
	memset(ballast, 1, BALLAST);
	memset(ballast + BALLAST, 0, PAGE_SIZE);
	return ballast + BALLAST;
}

static struct kvm_vm *xen_vm(void)
{
	struct kvm_vm *vm = vm_create(1);

	__vm_vcpu_add(vm, 0);
	xen_configure(vm);
	return vm;
}

static void plain_by_gpa(int eventfd, int socket)
{
	struct kvm_vm *vm = xen_vm();
	void *shared = plain_page();

	vm_set_user_memory_region(vm, MACHINE_SLOT, 0, MACHINE_GPA, PAGE_SIZE, shared);
	xen_shared_page(vm, MACHINE_GPA);
	live_and_die(vm, vm->fd, shared, eventfd, socket);
}

static void plain_by_address(int eventfd, int socket)
{
	struct kvm_vm *vm = xen_vm();
	void *shared = plain_page();

	xen_shared_page_at(vm, shared);
	live_and_die(vm, vm->fd, shared, eventfd, socket);
}

static void of_an_inode(int eventfd, int socket)
{
	struct machine *m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);

	xen_configure(m->vm);
	xen_shared_page(m->vm, page_gpa(SHARED_PAGE));
	live_and_die(m->vm, m->view, host_page(m, SHARED_PAGE), eventfd, socket);
}

/* ---- and what is seen of them */

static int start(struct vmm *vmm, void (*run)(int eventfd, int socket))
{
	int sockets[2], fds[2];

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));
	on_cpu();
	vmm->eventfd = eventfd(0, 0);
	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	vmm->pid = fork();
	if (!vmm->pid) {
		close(sockets[0]);
		run(vmm->eventfd, sockets[1]);
	}
	close(sockets[1]);
	TEST_ASSERT(receive_fds(sockets[0], fds, 2, &vmm->frame), "the VMM is gone too early");
	vmm->vm = fds[0];
	vmm->view = fds[1];
	return sockets[0];
}

static void reap(struct vmm *vmm)
{
	int status;

	TEST_ASSERT(waitpid(vmm->pid, &status, 0) == vmm->pid && !status, "status %x", status);
}

static void kill_vmm(struct vmm *vmm, int socket)
{
	TEST_ASSERT(write(socket, "", 1) == 1, "write: errno %d", errno);
	reap(vmm);
}

/* Takes memory until the frame is this process's. Returns its page, all zeroes. */
static uint64_t *take_frame(uint64_t frame)
{
	static uint64_t entries[TAKE / PAGE_SIZE];

	for (unsigned int take = 0; take < MAX_TAKES; take++) {
		char *p = mmap(NULL, TAKE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		TEST_ASSERT(p != MAP_FAILED, "mmap: errno %d", errno);
		madvise(p, TAKE, MADV_NOHUGEPAGE);
		for (size_t at = 0; at < TAKE; at += PAGE_SIZE)
			*(volatile char *)(p + at) = 0;
		read_pagemap(p, entries, ARRAY_SIZE(entries));
		for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
			if ((entries[i] & ((1ULL << 55) - 1)) == frame)
				return (uint64_t *)(p + i * PAGE_SIZE);
		}
	}
	TEST_FAIL("the page that was freed did not come back in %lu MiB", MAX_TAKES * TAKE >> 20);
	return NULL;
}

/* Another process has the page now: no event of the guest's is written to it. */
static void expect_no_write(struct vmm *vmm)
{
	uint64_t *page = take_frame(vmm->frame);

	/* The second one in any case by a kworker, which borrows the address space. */
	for (unsigned int i = 0; i < 2; i++) {
		raise_event(vmm->eventfd);
		usleep(LOOK_MS * 1000);
	}
	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*page); i++)
		TEST_ASSERT(!page[i], "word %u of a page of somebody else is %lx", i, page[i]);
}

static void by_gpa(void)
{
	struct vmm vmm;
	int socket = start(&vmm, plain_by_gpa);

	kill_vmm(&vmm, socket);
	expect_no_write(&vmm);
}

static void by_address(void)
{
	struct vmm vmm;
	int socket = start(&vmm, plain_by_address);

	kill_vmm(&vmm, socket);
	expect_no_write(&vmm);
}

/* kworkers look for the page all the while that the address space is being unmapped. */
static void while_it_goes(void)
{
	struct vmm vmm;
	int socket = start(&vmm, plain_by_gpa), status;

	TEST_ASSERT(write(socket, "", 1) == 1, "write: errno %d", errno);
	while (!waitpid(vmm.pid, &status, WNOHANG)) {
		raise_event(vmm.eventfd);
		sched_yield();
	}
	expect_no_write(&vmm);
}

static void inode(void)
{
	struct vmm vmm;
	int socket;
	void *shared;

	__TEST_REQUIRE(kvm_check_cap(KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP,
		       "these modules have no GUEST_MEMFD_FLAG_MMAP");
	socket = start(&vmm, of_an_inode);
	kill_vmm(&vmm, socket);
	shared = (char *)map_view(vmm.view, PAGES) + SHARED_PAGE * PAGE_SIZE;
	TEST_ASSERT_EQ(*pending(shared), 0UL);
	raise_event(vmm.eventfd);
	wait_pending(shared);
}

static const struct claim claims[] = {
	CLAIM(by_gpa, "a dead VMM's VM writes no event to memory that went with its VMM"),
	CLAIM(by_address, "nor to a page that KVM knows by its address"),
	CLAIM(while_it_goes, "nor does it find the page while the address space goes"),
	CLAIM(inode, "to a page of an inode it does"),
};

CLAIMS_MAIN(claims);
