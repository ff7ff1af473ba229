// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cache flushes when pages leave an encrypted guest. The cache may write back dirty lines of a page
 * under the guest's key at any time: once its mappings are gone, they must be flushed before
 * anybody else gets the page. softpsp counts how often KVM does that; the kernel's trace tells that
 * it comes first.
 *
 * The memslots' userspace_addr is not the inode's mapping: an invalidation of
 * host addresses flushes by itself, and would hide what the engine does not do.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "../kvm/lib/claims.h"
#include "../kvm/lib/meminfo.h"
#include "expect.h"
#include "firmware.h"
#include "pair.h"
#include "sequence.h"

#define SIZE		(VM_PAGES * VM_PAGE)
#define MADV_FAIL	100	/* MADV_HWPOISON */

/* The inodes are twice as long as the slots, which have their first half. */
static int create_inode(int vm)
{
	struct kvm_create_guest_memfd args = {
		.size = 2 * SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int view = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);

	EXPECT(view >= 0);
	return view;
}

static int link_inode(int vm, int view)
{
	struct kvm_link_guest_memfd args = { .fd = view };
	int linked = ioctl(vm, KVM_LINK_GUEST_MEMFD, &args);

	EXPECT(linked >= 0);
	return linked;
}

static void *map_elsewhere(int view)
{
	void *memory = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, view, 0);

	EXPECT(memory != MAP_FAILED);
	return memory;
}

static void create_without_memory(struct vm *vm, bool es)
{
	struct kvm_sev_init init = { 0 };

	vm_create_bare(vm, es);
	EXPECT_EQ(vm_sev(vm, KVM_SEV_INIT2, &init), 0);
	vm->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(vm->memory != MAP_FAILED);
}

static void create(struct vm *vm, bool es)
{
	create_without_memory(vm, es);
	vm->view = create_inode(vm->fd);
	vm_add_slot(vm, 0);
}

static void create_linked(struct vm *vm, int view, bool es)
{
	create_without_memory(vm, es);
	vm->view = link_inode(vm->fd, view);
	vm_add_slot(vm, 0);
}

static void punch(int view, off_t offset, off_t size)
{
	EXPECT_EQ(fallocate(view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size), 0);
}

static void convert(int view, uint64_t attributes)
{
	struct kvm_memory_attributes2 args = { .size = VM_PAGE, .attributes = attributes };

	EXPECT_EQ(ioctl(view, KVM_SET_MEMORY_ATTRIBUTES2, &args), 0);
}

/* How many flushes some statements made. */
#define FLUSHES_OF(statements)						\
({									\
	uint64_t before_ = fw_flushes();				\
									\
	statements;							\
	fw_flushes() - before_;						\
})

static void hole(void)
{
	for (int es = 0; es < 2; es++) {
		struct vm vm;
		uint8_t *memory;

		create(&vm, es);
		memory = map_elsewhere(vm.view);
		memory[0] = 1;
		EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, VM_PAGE)), 1);
		/* It is not known what was mapped before, or by how many bindings. */
		EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, SIZE)), 1);
	}
}

static void hole_elsewhere(void)
{
	for (int es = 0; es < 2; es++) {
		struct vm vm;

		create(&vm, es);
		((uint8_t *)map_elsewhere(vm.view))[SIZE] = 1;
		EXPECT_EQ(FLUSHES_OF(punch(vm.view, SIZE, SIZE)), 0);
	}
}

/* A flush is one of all lines. */
static void hole_two_vms(void)
{
	struct vm vm, other;

	create(&vm, false);
	create_linked(&other, vm.view, true);
	EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, VM_PAGE)), 1);
}

/*
 * A hole of many pages is punched in parts of 256 MiB, each from its first page on: each
 * page here is a part.
 */
#define PARTS		8
#define PART		(1UL << 30)
#define LONG_SIZE	(PARTS * PART)

static int create_long_inode(int vm)
{
	struct kvm_create_guest_memfd args = {
		.size = LONG_SIZE,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int view = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);

	EXPECT(view >= 0);
	return view;
}

static void bind_all(struct vm *vm)
{
	struct kvm_userspace_memory_region2 slot = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = LONG_SIZE,
		.guest_memfd = vm->view,
	};
	void *memory = mmap(NULL, LONG_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	EXPECT(memory != MAP_FAILED);
	slot.userspace_addr = (uintptr_t)memory;
	EXPECT_EQ(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &slot), 0);
}

static void create_long(struct vm *vm, int linked_to, bool es)
{
	create_without_memory(vm, es);
	vm->view = linked_to < 0 ? create_long_inode(vm->fd) : link_inode(vm->fd, linked_to);
	bind_all(vm);
}

static void allocate(int view, off_t offset, off_t size)
{
	EXPECT_EQ(fallocate(view, FALLOC_FL_KEEP_SIZE, offset, size), 0);
}

static long resident(int view)
{
	struct stat st;

	EXPECT_EQ(fstat(view, &st), 0);
	return st.st_blocks / (VM_PAGE / 512);
}

static void hole_of_parts(void)
{
	struct vm vm, other;

	create_long(&vm, -1, false);
	for (int part = 0; part < PARTS; part++)
		allocate(vm.view, part * PART + VM_PAGE, VM_PAGE);
	EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, LONG_SIZE)), 1);
	EXPECT_EQ(resident(vm.view), 0);

	/* The second VM is no more work. */
	create_long(&other, vm.view, true);
	for (int part = 0; part < PARTS; part++)
		allocate(vm.view, part * PART + VM_PAGE, VM_PAGE);
	EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, LONG_SIZE)), 1);
	EXPECT_EQ(resident(vm.view), 0);
}

/* The machine's memory bounds the pages that are held back until the flush. */
static void hole_of_many_pages(void)
{
	unsigned long part = 256UL << 20, size = part + part / 4;
	unsigned long max = meminfo("MemTotal") / 64, free;
	struct vm vm;

	create_long(&vm, -1, false);
	allocate(vm.view, 0, size);
	free = memory_free();
	EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, LONG_SIZE)), part > max ? 2 : 1);
	EXPECT_EQ(resident(vm.view), 0);
	/* None stays back. */
	EXPECT(memory_free() > free + size / 10 * 9);
}

/*
 * Holes at once, each in an inode of its own: the flushes of all of them. @size in bytes each,
 * of pages that are there.
 */
#define MAX_HOLES	4

static uint64_t flushes_of_holes(int n, off_t size)
{
	struct vm vms[MAX_HOLES];
	int begin[2], status;
	pid_t pids[MAX_HOLES];
	uint64_t before;
	char c;

	EXPECT_EQ(pipe(begin), 0);
	for (int i = 0; i < n; i++) {
		create_long(&vms[i], -1, false);
		allocate(vms[i].view, 0, size);
	}
	before = fw_flushes();
	for (int i = 0; i < n; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(begin[1]);
			EXPECT_EQ(read(begin[0], &c, 1), 0);
			punch(vms[i].view, 0, size);
			_exit(0);
		}
	}
	/* The end of file lets all of them go. */
	close(begin[1]);
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
		EXPECT_EQ(status, 0);
	}
	close(begin[0]);
	before = fw_flushes() - before;
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(resident(vms[i].view), 0);
		close(vms[i].view);
	}
	return before;
}

/*
 * Together they hold back no more than one does: each flushes more often, in smaller parts, of
 * 32 MiB at least. The first ones may have begun a part when the others come, and how many meet
 * is the scheduler's: so there are some tries. Holes that did not share never flush more often.
 */
static void holes_at_once(void)
{
	off_t size = 512UL << 20;
	uint64_t alone = flushes_of_holes(1, size), at_once = 0;

	for (int i = 0; i < 5 && at_once <= MAX_HOLES * alone * 3 / 2; i++) {
		at_once = flushes_of_holes(MAX_HOLES, size);
		printf("a hole of %ld MiB: %lu flushes; %d at once: %lu\n", size >> 20, alone,
		       MAX_HOLES, at_once);
	}
	EXPECT(alone >= 1 && alone <= 3);
	EXPECT(at_once > MAX_HOLES * alone * 3 / 2);
	EXPECT(at_once <= MAX_HOLES * (unsigned long)(size >> 25));
}

/* Pages that are there already when it ends are flushed and freed. */
static void killed_hole(void)
{
	unsigned long size = LONG_SIZE, free;
	uint64_t before;
	int status;
	struct vm vm;
	pid_t pid;

	create_long(&vm, -1, false);
	for (int part = 0; part < PARTS; part++)
		allocate(vm.view, part * PART, 32UL << 20);
	free = memory_free();
	before = fw_flushes();
	pid = fork();
	if (!pid) {
		punch(vm.view, 0, size);
		_exit(0);
	}
	while (resident(vm.view) == PARTS * (32L << 20) / VM_PAGE)
		usleep(100);
	kill(pid, SIGKILL);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(fw_flushes() > before);
	printf("%ld pages are left\n", resident(vm.view));
	punch(vm.view, 0, size);
	EXPECT(memory_free() > free + PARTS * (32UL << 20) / 10 * 9);
}

static void release(void)
{
	for (int es = 0; es < 2; es++) {
		struct vm vm, other;

		create(&vm, es);
		create_linked(&other, vm.view, es);
		EXPECT_EQ(FLUSHES_OF(close(vm.view)), 1);
	}
}

static void last_release(void)
{
	for (int es = 0; es < 2; es++) {
		struct vm vm;

		create(&vm, es);
		EXPECT_EQ(fallocate(vm.view, FALLOC_FL_KEEP_SIZE, 0, SIZE), 0);
		EXPECT_EQ(FLUSHES_OF(close(vm.view)), 1);
	}
}

static void slot_deleted(void)
{
	for (int es = 0; es < 2; es++) {
		struct vm vm;

		create(&vm, es);
		EXPECT_EQ(FLUSHES_OF(vm_delete_slot(&vm)), 1);
		EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, SIZE)), 0);
		EXPECT_EQ(FLUSHES_OF(close(vm.view)), 0);
	}
}

/* By another VM, that has private memory; the same inode. */
static void conversion(void)
{
	for (int es = 0; es < 2; es++) {
		struct vm vm;
		int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		int other = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		int view;

		EXPECT(other >= 0);
		view = create_inode(other);
		create_linked(&vm, view, es);
		EXPECT_EQ(FLUSHES_OF(convert(view, KVM_MEMORY_ATTRIBUTE_PRIVATE)), 1);
		EXPECT_EQ(FLUSHES_OF(convert(view, KVM_MEMORY_ATTRIBUTE_PRIVATE)), 0);
		EXPECT_EQ(FLUSHES_OF(convert(view, 0)), 1);
	}
}

/* The error is a process's that has the page mapped; this one lives with it. */
static void ignore(int number __attribute__((unused)))
{
}

static void fail_memory(void *page)
{
	madvise(page, VM_PAGE, MADV_FAIL);
}

static void memory_failure(void)
{
	signal(SIGBUS, ignore);
	for (int es = 0; es < 2; es++) {
		struct vm vm;
		uint8_t *memory;

		create(&vm, es);
		memory = map_elsewhere(vm.view);
		memory[0] = 1;
		EXPECT_EQ(FLUSHES_OF(fail_memory(memory)), 1);
		EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, VM_PAGE)), 1);
	}
}

/* The source has lost its context, and may have left dirty lines. */
static void moved(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p;

		pair_create(&p, PAIR_GMEM | (es ? PAIR_ES : 0), 1);
		/* Mappings at host addresses cause flushes by themselves. */
		munmap(p.src.memory, VM_PAGES * VM_PAGE);
		munmap(p.dst.memory, VM_PAGES * VM_PAGE);
		EXPECT_EQ(vm_try_move(&p.dst, &p.src), 0);
		EXPECT_EQ(FLUSHES_OF(punch(p.dst.view, VM_PAGE, VM_PAGE)), 1);
		EXPECT_EQ(FLUSHES_OF(close(p.src.view)), 1);
		EXPECT_EQ(FLUSHES_OF(punch(p.dst.view, VM_PAGE, VM_PAGE)), 1);
	}
}

static void only_the_source(void)
{
	for (int es = 0; es < 2; es++) {
		struct pair p;

		pair_create(&p, PAIR_GMEM | (es ? PAIR_ES : 0), 1);
		munmap(p.src.memory, VM_PAGES * VM_PAGE);
		munmap(p.dst.memory, VM_PAGES * VM_PAGE);
		EXPECT_EQ(vm_try_move(&p.dst, &p.src), 0);
		EXPECT_EQ(FLUSHES_OF(vm_delete_slot(&p.dst)), 1);
		EXPECT_EQ(FLUSHES_OF(punch(p.dst.view, VM_PAGE, VM_PAGE)), 1);
	}
}

/* A page that was faulted in stays in a batch of its CPU, which frees it with the next one. */
static void run_on_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	EXPECT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

/* An SEV-ES VM with one page, no longer mapped in the host, which @sequence() will look for. */
static void create_watched(struct vm *vm)
{
	uint8_t *memory;
	uint64_t frame;

	run_on_one_cpu();
	create(vm, true);
	memory = map_elsewhere(vm->view);
	memory[0] = 1;
	frame = physical(memory) / VM_PAGE;
	munmap(memory, 2 * SIZE);
	sequence_start(frame);
}

static void expect_sequence(const char *expected)
{
	const char *found = sequence();

	printf("%s\n", found);
	EXPECT(!strcmp(found, expected));
}

static void hole_after_flush(void)
{
	struct vm vm;

	create_watched(&vm);
	punch(vm.view, 0, VM_PAGE);
	expect_sequence("zap end flush freed");
}

static void last_release_after_flush(void)
{
	struct vm vm;

	create_watched(&vm);
	close(vm.view);
	expect_sequence("zap flush freed");
}

static void unbound_after_flush(void)
{
	struct vm vm;

	create_watched(&vm);
	vm_delete_slot(&vm);
	punch(vm.view, 0, VM_PAGE);
	expect_sequence("flush freed end");
}

/* The page stays where it is: nobody is to get at it again before the flush. */
static void converted_after_flush(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int other = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	struct vm vm;
	int view;

	EXPECT(other >= 0);
	view = create_inode(other);
	allocate(view, 0, VM_PAGE);
	create_linked(&vm, view, true);
	sequence_start(0);
	convert(view, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	expect_sequence("zap flush end");
}

static void ordinary_vm(void)
{
	struct vm vm;

	open_sev();
	vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm.fd = ioctl(vm.kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	EXPECT(vm.fd >= 0);
	vm.memory = NULL;
	vm.view = create_inode(vm.fd);
	vm_add_slot(&vm, 0);
	EXPECT_EQ(FLUSHES_OF(punch(vm.view, 0, SIZE)), 0);
	EXPECT_EQ(FLUSHES_OF(close(vm.view)), 0);
}

static const struct claim claims[] = {
	CLAIM(hole, "a hole flushes once, whether or not something was mapped"),
	CLAIM(hole_elsewhere, "a hole in what no memslot has flushes nothing"),
	CLAIM(hole_two_vms, "a hole in two encrypted VMs' memory flushes once for both"),
	CLAIM(hole_of_parts, "so does one of many parts, in one VM's memory or two's"),
	CLAIM(hole_of_many_pages, "or once for 1/64 of the machine's memory; none stays held back"),
	CLAIM(holes_at_once, "four holes at once share what may be held back, in smaller parts"),
	CLAIM(killed_hole, "nor if the hole is killed in the midst of it"),
	CLAIM(release, "closing a view flushes once, also if it is not the last"),
	CLAIM(last_release, "closing the last view flushes once"),
	CLAIM(slot_deleted, "deleting a memslot flushes once, and what was unbound no more"),
	CLAIM(conversion, "a conversion in a shared inode flushes for the encrypted VM"),
	CLAIM(memory_failure, "a memory failure flushes once"),
	CLAIM(moved, "after a move a hole flushes once, and what the source lets go of"),
	CLAIM(only_the_source, "a hole that only the source still has in a memslot flushes, too"),
	CLAIM(hole_after_flush, "a hole frees pages after the flush"),
	CLAIM(last_release_after_flush, "so does closing the last view"),
	CLAIM(unbound_after_flush, "and what is freed after its memslot was deleted"),
	CLAIM(converted_after_flush, "a conversion lets nobody at pages before the flush"),
	CLAIM(ordinary_vm, "for a VM that is not encrypted nothing is flushed"),
};

CLAIMS_MAIN(claims);
