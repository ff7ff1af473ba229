// SPDX-License-Identifier: MIT
/* The demonstration's guest: its memory, its image, its first registers. */
#include <errno.h>
#include <linux/kvm_gmem.h>
#include <string.h>
#include <sys/random.h>

#include "boot/counting.h"
#include "guest/layout.h"
#include "machine/long-mode.h"

extern const char guest_image[], guest_image_end[];

/* x86's page table entries and control bits, as far as a flat guest needs. */
#define PTE_TABLE	0x3UL		/* present, writable */
#define PTE_2M		0x83UL		/* and a page of 2 MiB */
#define CR0_PAGED	0x80010033UL	/* PG, WP, NE, ET, MP, PE */
#define CR4_LONG_SSE	0x620UL		/* PAE, OSFXSR, OSXMMEXCPT */

static int add_shared(struct machine *machine)
{
	struct gmem_slot slot = {
		.slot = 0, .gpa = GUEST_SHARED_GPA, .size = GUEST_SHARED_SIZE,
		.private_fd = -1,
	};

	machine->step = "making the guest's shared memory";
	slot.shared_fd = machine_shared_memory(slot.size);
	if (slot.shared_fd >= 0)
		slot.shared_fd = machine_add_fd(machine, slot.shared_fd);
	if (slot.shared_fd < 0)
		return slot.shared_fd;
	return machine_add_memory(machine, &slot);
}

static int add_private(struct machine *machine, uint64_t size)
{
	struct gmem_slot slot = {
		.slot = 1, .gpa = GUEST_PRIVATE_GPA, .size = size,
		.flags = KVM_MEM_GUEST_MEMFD, .shared_fd = -1,
	};
	struct gmem_range range = {
		GUEST_PRIVATE_GPA, size, KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	int ret;

	machine->step = "making the guest's private memory";
	slot.private_fd = gmem_memfd_create(machine->vm, size, 0);
	if (slot.private_fd >= 0)
		slot.private_fd = machine_add_fd(machine, slot.private_fd);
	if (slot.private_fd < 0)
		return slot.private_fd;
	ret = machine_add_memory(machine, &slot);
	return ret ? ret : machine_add_range(machine, &range);
}

/* Guest addresses are guest physical addresses. */
static void build_page_tables(char *shared, uint64_t private_size)
{
	uint64_t *pml4 = (uint64_t *)(shared + GUEST_PML4);
	uint64_t *pdpt = (uint64_t *)(shared + GUEST_PDPT);
	uint64_t *low = (uint64_t *)(shared + GUEST_PD_SHARED);
	uint64_t *high = (uint64_t *)(shared + GUEST_PD_PRIVATE);
	uint64_t offset;

	pml4[0] = GUEST_PDPT | PTE_TABLE;
	pdpt[GUEST_SHARED_GPA >> 30] = GUEST_PD_SHARED | PTE_TABLE;
	pdpt[GUEST_PRIVATE_GPA >> 30] = GUEST_PD_PRIVATE | PTE_TABLE;
	low[0] = GUEST_SHARED_GPA | PTE_2M;
	for (offset = 0; offset < private_size; offset += GUEST_PRIVATE_UNIT)
		high[offset / GUEST_PRIVATE_UNIT] =
			(GUEST_PRIVATE_GPA + offset) | PTE_2M;
}

static int set_registers(struct machine *machine, uint64_t private_size,
			 bool found)
{
	struct long_mode mode = {
		.code = 8, .data = 16,
		.cr0 = CR0_PAGED, .cr3 = GUEST_PML4, .cr4 = CR4_LONG_SSE,
		.regs = {
			.rip = GUEST_ENTRY, .rsp = GUEST_STACK,
			.rsi = private_size, .rdx = found,
		},
	};
	uint64_t seed;
	int ret;

	machine->step = "choosing a seed for the guest";
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	mode.regs.rdi = seed;
	machine->step = "setting the vCPU's CPUID";
	ret = gmem_vcpu_use_host_cpuid(&machine->vcpus[0]);
	return ret ? ret : machine_set_long_mode(machine, &mode);
}

int machine_boot(struct machine *machine, uint64_t private_size, bool found)
{
	size_t image_size = guest_image_end - guest_image;
	char *shared;
	int ret;

	ret = add_shared(machine);
	if (!ret)
		ret = add_private(machine, private_size);
	if (!ret)
		ret = machine_add_vcpus(machine, 1);
	if (ret)
		return ret;
	shared = machine_shared(machine, GUEST_SHARED_GPA, GUEST_SHARED_SIZE);
	memcpy(shared + GUEST_ENTRY, guest_image, image_size);
	build_page_tables(shared, private_size);
	return set_registers(machine, private_size, found);
}

static struct guest_mailbox *mailbox(struct machine *machine)
{
	if (machine->pc.present)	/* that is another guest */
		return NULL;
	return machine_shared(machine, GUEST_MAILBOX,
			      sizeof(struct guest_mailbox));
}

int machine_ask_check(struct machine *machine)
{
	struct guest_mailbox *box = mailbox(machine);

	if (!box)
		return -ENOENT;
	box->request++;
	return 0;
}

uint64_t machine_count(struct machine *machine)
{
	struct guest_mailbox *box = mailbox(machine);

	return box ? box->count : 0;
}
