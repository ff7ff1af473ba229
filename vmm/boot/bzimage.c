// SPDX-License-Identifier: MIT
/* After Documentation/arch/x86/boot.rst: the 64-bit boot protocol. */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "machine/layout.h"
#include "machine/long-mode.h"

#define HEADER_MAGIC	0x53726448	/* HdrS */
#define SECTOR		512
#define ENTRY_64	0x200		/* offset from the start of the kernel's code */

#define PTE_TABLE	0x3UL		/* present, writable */
#define PTE_2M		0x83UL		/* and a page of 2 MiB */
#define CR0_PAGED	0x80000011UL	/* PG, ET, PE */
#define CR4_PAE		0x20UL

static uint64_t setup_size(const struct setup_header *header)
{
	return ((header->setup_sects ? header->setup_sects : 4) + 1UL) * SECTOR;
}

bool bzimage_is(const struct file *kernel)
{
	const struct boot_params *file = kernel->bytes;
	const struct setup_header *header = &file->hdr;

	return kernel->size >= sizeof(*file) && header->boot_flag == 0xaa55 &&
	       header->header == HEADER_MAGIC && header->version >= 0x20c &&
	       header->xloadflags & XLF_KERNEL_64 && kernel->size > setup_size(header);
}

/* The unpacked kernel ends at @end. */
static int load_kernel(struct boot *boot, const struct setup_header *header, uint64_t *end)
{
	uint64_t skip = setup_size(header);
	uint64_t size = boot->kernel.size - skip;
	uint64_t room = header->init_size > size ? header->init_size : size;

	if (header->pref_address % PAGE || header->pref_address < HIGH_START ||
	    header->pref_address >= HOLE_START)
		return machine_fail(boot->machine, -ENOEXEC,
				    "%s: a bzImage that wants to be at 0x%llx", boot->kernel.path,
				    (unsigned long long)header->pref_address);
	*end = header->pref_address + room;
	return boot_check_room(boot, *end) ? :
	       machine_load(boot->machine, header->pref_address,
			    (char *)boot->kernel.bytes + skip, size);
}

static int load_params(struct boot *boot, struct setup_header *header)
{
	struct boot_params params = { .acpi_rsdp_addr = TABLES_START };
	struct boot_range ranges[BOOT_RANGES];
	unsigned int i;

	boot->machine->step = "loading the kernel's parameters";
	header->type_of_loader = 0xff;
	header->cmd_line_ptr = COMMAND_LINE;
	header->ramdisk_image = boot->initrd;
	header->ramdisk_size = boot->initrd_size;
	params.hdr = *header;
	params.e820_entries = boot_memory_map(boot, ranges);
	for (i = 0; i < params.e820_entries; i++)
		params.e820_table[i] = (struct boot_e820_entry){
			ranges[i].start, ranges[i].size, ranges[i].type,
		};
	return machine_load(boot->machine, BOOT_PARAMS, &params, sizeof(params));
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

int bzimage_boot(struct boot *boot)
{
	struct setup_header header = ((struct boot_params *)boot->kernel.bytes)->hdr;
	const struct long_mode mode = {
		.code = 0x10, .data = 0x18,
		.cr0 = CR0_PAGED, .cr3 = PAGE_TABLES, .cr4 = CR4_PAE,
		.regs = { .rip = header.pref_address + ENTRY_64, .rsi = BOOT_PARAMS },
	};
	uint64_t end = 0;
	int ret = load_kernel(boot, &header, &end);

	if (!ret)
		ret = boot_load_initrd(boot, end, header.initrd_addr_max + 1UL);
	if (!ret)
		ret = boot_load_command_line(boot, header.cmdline_size + 1UL);
	if (!ret)
		ret = load_params(boot, &header);
	if (!ret)
		ret = load_page_tables(boot->machine);
	return ret ? ret : machine_set_long_mode(boot->machine, &mode);
}
