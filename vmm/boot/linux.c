// SPDX-License-Identifier: MIT
/* After Documentation/arch/x86/boot.rst: the 64-bit boot protocol. */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_gmem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/linux.h"
#include "boot/mptable.h"
#include "machine/long-mode.h"

/* Where things are, below the first MiB. */
#define BOOT_PARAMS	0x7000UL
#define PAGE_TABLES	0x9000UL	/* PML4, PDPT, 4 PDs: the first 4 GiB */
#define COMMAND_LINE	0x20000UL
#define LOW_END		MPTABLE_GPA	/* of what a PC has there for RAM */
#define HIGH_START	0x100000UL

#define HEADER_MAGIC	0x53726448	/* HdrS */
#define SECTOR		512
#define ENTRY_64	0x200		/* behind the start of the kernel's code */

#define PTE_TABLE	0x3UL		/* present, writable */
#define PTE_2M		0x83UL		/* and a page of 2 MiB */
#define CR0_PAGED	0x80000011UL	/* PG, ET, PE */
#define CR4_PAE		0x20UL

#define PAGE			4096UL
#define PAGE_OF(x)		((x) & ~(PAGE - 1))

struct file {
	void *bytes;
	uint64_t size;
};

static int file_map(struct file *file, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret = 0;

	*file = (struct file){ .bytes = MAP_FAILED };
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		ret = -errno;
	else if (!st.st_size)
		ret = -ENOEXEC;
	else
		file->bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (!ret && file->bytes == MAP_FAILED)
		ret = -errno;
	file->size = ret ? 0 : st.st_size;
	close(fd);
	return ret;
}

static void file_unmap(struct file *file)
{
	if (file->size)
		munmap(file->bytes, file->size);
}

/* Checks that the file is a kernel that can be entered in 64-bit mode. */
static int read_header(const struct file *kernel, struct setup_header *header)
{
	const struct boot_params *file = kernel->bytes;

	if (kernel->size < sizeof(*file))
		return -ENOEXEC;
	*header = file->hdr;
	if (!header->setup_sects)
		header->setup_sects = 4;
	if (header->boot_flag != 0xaa55 || header->header != HEADER_MAGIC ||
	    header->version < 0x20c ||
	    !(header->xloadflags & XLF_KERNEL_64) ||
	    kernel->size <= (header->setup_sects + 1UL) * SECTOR)
		return -ENOEXEC;
	return 0;
}

static int load_kernel(struct machine *machine, const struct file *kernel,
		       const struct setup_header *header, uint64_t memory)
{
	uint64_t skip = (header->setup_sects + 1UL) * SECTOR;

	machine->step = "loading the kernel";
	if (header->pref_address % PAGE ||
	    header->pref_address + header->init_size > memory)
		return -ENOMEM;
	return machine_load(machine, header->pref_address,
			    (char *)kernel->bytes + skip, kernel->size - skip);
}

/* As high as the kernel allows, above what it unpacks itself to. */
static int load_initrd(struct machine *machine, const char *path,
		       struct setup_header *header, uint64_t memory)
{
	uint64_t top = header->initrd_addr_max + 1UL;
	struct file initrd;
	int ret;

	machine->step = "loading the initrd";
	ret = file_map(&initrd, path);
	if (ret)
		return ret;
	if (top > memory)
		top = memory;
	ret = -ENOMEM;
	if (header->pref_address + header->init_size + initrd.size + PAGE <= top) {
		uint64_t gpa = PAGE_OF(top - initrd.size);

		header->ramdisk_image = gpa;
		header->ramdisk_size = initrd.size;
		ret = machine_load(machine, gpa, initrd.bytes, initrd.size);
	}
	file_unmap(&initrd);
	return ret;
}

static int load_params(struct machine *machine, const struct linux_guest *guest,
		       struct setup_header *header)
{
	struct boot_params params = { .e820_entries = 2 };
	size_t length = strlen(guest->command_line) + 1;
	int ret;

	machine->step = "loading the kernel's parameters";
	if (length > header->cmdline_size)
		return -E2BIG;
	header->type_of_loader = 0xff;
	header->cmd_line_ptr = COMMAND_LINE;
	params.hdr = *header;
	params.e820_table[0] = (struct boot_e820_entry){ 0, LOW_END, 1 };
	params.e820_table[1] = (struct boot_e820_entry){
		HIGH_START, guest->memory - HIGH_START, 1,
	};
	ret = machine_load(machine, COMMAND_LINE, guest->command_line, length);
	return ret ? ret : machine_load(machine, BOOT_PARAMS, &params, sizeof(params));
}

/* Guest addresses are guest physical addresses. */
static int load_page_tables(struct machine *machine)
{
	uint64_t tables[6][512] = { 0 };
	uint64_t i;

	machine->step = "loading the first page tables";
	tables[0][0] = (PAGE_TABLES + PAGE) | PTE_TABLE;
	for (i = 0; i < 4; i++)
		tables[1][i] = (PAGE_TABLES + (2 + i) * PAGE) | PTE_TABLE;
	for (i = 0; i < 4 * 512; i++)
		tables[2 + i / 512][i % 512] = (i << 21) | PTE_2M;
	return machine_load(machine, PAGE_TABLES, tables, sizeof(tables));
}

/* Its page is not RAM for the kernel, but there. */
static int load_mptable(struct machine *machine)
{
	char page[PAGE] = { 0 };

	machine->step = "loading the table of CPUs and interrupts";
	mptable_make(page + MPTABLE_GPA % PAGE);
	return machine_load(machine, PAGE_OF(MPTABLE_GPA), page, sizeof(page));
}

static int set_registers(struct machine *machine, uint64_t entry)
{
	const struct long_mode mode = {
		.code = 0x10, .data = 0x18,
		.cr0 = CR0_PAGED, .cr3 = PAGE_TABLES, .cr4 = CR4_PAE,
		.regs = { .rip = entry, .rsi = BOOT_PARAMS },
	};
	unsigned int i;
	int ret;

	machine->step = "setting the vCPUs' CPUID";
	for (i = 0; i < machine->nr_vcpus; i++) {
		ret = gmem_vcpu_use_pc_cpuid(&machine->vcpus[i]);
		if (ret)
			return ret;
	}
	machine->step = "setting the vCPU's registers";
	ret = gmem_vcpu_wire_pic(&machine->vcpus[0]);
	return ret ? ret : machine_set_long_mode(machine, &mode);
}

static int load(struct machine *machine, const struct linux_guest *guest,
		const struct file *kernel, struct setup_header *header)
{
	int ret = load_kernel(machine, kernel, header, guest->memory);

	if (!ret && guest->initrd)
		ret = load_initrd(machine, guest->initrd, header, guest->memory);
	if (!ret)
		ret = load_params(machine, guest, header);
	if (!ret)
		ret = load_page_tables(machine);
	return ret ? ret : load_mptable(machine);
}

int linux_boot(struct machine *machine, const struct linux_guest *guest)
{
	struct setup_header header;
	struct file kernel;
	int ret;

	machine->step = "reading the kernel";
	ret = file_map(&kernel, guest->kernel);
	if (ret)
		return ret;
	ret = read_header(&kernel, &header);
	if (!ret)
		ret = machine_add_pc(machine);
	if (!ret)
		ret = machine_add_ram(machine, guest->memory, guest->private);
	if (!ret)
		ret = machine_add_vcpus(machine, 1);
	if (!ret)
		ret = load(machine, guest, &kernel, &header);
	if (!ret)
		ret = set_registers(machine, header.pref_address + ENTRY_64);
	file_unmap(&kernel);
	return ret;
}
