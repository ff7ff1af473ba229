// SPDX-License-Identifier: MIT
/*
 * A guest that reads one word of each of a list of pages and writes down what
 * that took, in 32-bit protected mode with paging off: a miss is a stage-2
 * fault and nothing else.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/kvm.h>

#include "paging.h"

/* Slot 0: the code, and from LISTS on the readers' pages. */
#define MEMORY (4 * MIB)
#define LISTS (1 * MIB)
#define LIST (1 * MIB)

static const uint8_t reader_code[] = {
	0x8b, 0x3b,		/* next: mov (%ebx), %edi */
	0x0f, 0x31,		/* rdtsc */
	0x89, 0xc1,		/* mov %eax, %ecx */
	0x03, 0x2f,		/* add (%edi), %ebp */
	0x0f, 0x31,		/* rdtsc */
	0x29, 0xc8,		/* sub %ecx, %eax */
	0x89, 0x03,		/* mov %eax, (%ebx) */
	0x83, 0xc3, 0x04,	/* add $4, %ebx */
	0x39, 0xf3,		/* cmp %esi, %ebx */
	0x72, 0xeb,		/* jb next */
	0xf4,			/* hlt */
};

void *add_reader_memory(int vm)
{
	struct gmem_slot slot = { .size = MEMORY, .private_fd = -1, .shared_fd = -1 };
	void *memory;

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		must(-errno, "memory for the guest's code");
	memcpy(memory, reader_code, sizeof(reader_code));
	must(gmem_vm_set_memory(vm, &slot, memory), "a slot for the guest's code");
	return memory;
}

void remove_reader_memory(void *memory)
{
	munmap(memory, MEMORY);
}

void create_reader(struct reader *r, int vm, void *memory, unsigned int number,
		   uint32_t nr_pages)
{
	uint64_t list = LISTS + number * LIST;
	int khz;

	*r = (struct reader) {
		.pages = (uint32_t *)((char *)memory + list), .nr_pages = nr_pages,
	};
	create_guest_vcpu(vm, number, &r->vcpu);
	khz = ioctl(r->vcpu.fd, KVM_GET_TSC_KHZ, 0);
	r->khz = must(khz > 0 ? khz : -ENOTSUP, "the frequency of the guest's counter");
	/* Reading the list is not to fault. */
	prefault(&r->vcpu, 0, MEMORY);
}

static uint64_t switches_of_thread(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void *read_pages(void *arg)
{
	struct reader *r = arg;
	struct kvm_regs regs = { .rflags = 2 };

	regs.rbx = LISTS + r->vcpu.id * LIST;
	regs.rsi = regs.rbx + r->nr_pages * sizeof(r->pages[0]);
	must(gmem_vcpu_set_regs(&r->vcpu, &regs), "set registers");

	pthread_barrier_wait(r->barrier);
	r->switches = switches_of_thread();
	r->begin = now_ns();
	run_guest(&r->vcpu);
	r->end = now_ns();
	r->switches = switches_of_thread() - r->switches;

	if (ioctl(r->vcpu.fd, KVM_GET_REGS, &regs))
		must(-errno, "get registers");
	r->sum = regs.rbp;
	return NULL;
}

void start_reader(struct reader *r)
{
	must(-pthread_create(&r->thread, NULL, read_pages, r), "start a thread");
}

void finish_reader(struct reader *r)
{
	pthread_join(r->thread, NULL);
}
