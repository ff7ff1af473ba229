// SPDX-License-Identifier: MIT
/*
 * A kernel as an ELF file, entered in 32-bit mode at the address that its note
 * XEN_ELFNOTE_PHYS32_ENTRY has: Xen's docs/misc/pvh.pandoc and its public header
 * arch-x86/hvm/start_info.h.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "boot/boot.h"
#include "machine/layout.h"
#include "machine/long-mode.h"

#define NOTE_PHYS32_ENTRY	18
#define START_INFO_MAGIC	0x336ec578U
#define COMMAND_MOST		4096U

#define CR0_PROTECTED		0x11UL	/* ET, PE */

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t nr_memory_map;
	uint32_t reserved;
};

struct start_module {
	uint64_t address;
	uint64_t size;
	uint64_t command_line;
	uint64_t reserved;
};

struct start_range {
	uint64_t address;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* struct start_page - everything that the kernel gets, at BOOT_PARAMS */
struct start_page {
	struct start_info info;
	struct start_module initrd;
	struct start_range ranges[BOOT_RANGES];
};

_Static_assert(sizeof(struct start_info) == 56, "Xen's layout");
_Static_assert(sizeof(struct start_page) <= PAGE, "one page");

static bool inside(const struct file *file, uint64_t offset, uint64_t size)
{
	return offset <= file->size && size <= file->size - offset;
}

static const Elf64_Ehdr *elf_header(const struct file *kernel)
{
	const Elf64_Ehdr *elf = kernel->bytes;

	if (kernel->size < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
	    elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != EM_X86_64 ||
	    elf->e_phentsize != sizeof(Elf64_Phdr) || elf->e_phoff % 8 ||
	    !inside(kernel, elf->e_phoff, elf->e_phnum * sizeof(Elf64_Phdr)))
		return NULL;
	return elf;
}

/* The @number-th part of the file that is of a type, or NULL. */
static const Elf64_Phdr *part(const struct file *kernel, uint32_t type, unsigned int number)
{
	const Elf64_Ehdr *elf = elf_header(kernel);
	const Elf64_Phdr *parts;
	unsigned int i;

	if (!elf)
		return NULL;
	parts = (const Elf64_Phdr *)((const char *)kernel->bytes + elf->e_phoff);
	for (i = 0; i < elf->e_phnum; i++)
		if (parts[i].p_type == type && !number--)
			return inside(kernel, parts[i].p_offset, parts[i].p_filesz) ?
			       &parts[i] : NULL;
	return NULL;
}

/* The entry among the notes of a part, or 0. Notes are padded to 4 bytes. */
static uint32_t entry_of(const struct file *kernel, const Elf64_Phdr *notes)
{
	const char *bytes = (const char *)kernel->bytes + notes->p_offset;
	uint64_t left = notes->p_filesz;

	while (left > sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name, content;
		uint32_t entry;

		memcpy(&note, bytes, sizeof(note));
		name = (note.n_namesz + 3ULL) & ~3ULL;
		content = (note.n_descsz + 3ULL) & ~3ULL;
		bytes += sizeof(note);
		left -= sizeof(note);
		if (name + content > left)
			return 0;
		if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
		    !memcmp(bytes, "Xen", 4) && note.n_descsz >= sizeof(entry)) {
			memcpy(&entry, bytes + name, sizeof(entry));
			return entry;
		}
		bytes += name + content;
		left -= name + content;
	}
	return 0;
}

static uint32_t find_entry(const struct file *kernel)
{
	const Elf64_Phdr *notes;
	uint32_t entry = 0;
	unsigned int i;

	for (i = 0; !entry && (notes = part(kernel, PT_NOTE, i)); i++)
		entry = entry_of(kernel, notes);
	return entry;
}

bool pvh_is(const struct file *kernel)
{
	return find_entry(kernel);
}

/* struct extent - where the kernel is: the loaded part, and what it uses beyond that */
struct extent {
	uint64_t start;
	uint64_t loaded;
	uint64_t end;
};

static int find_extent(struct boot *boot, struct extent *extent)
{
	const Elf64_Phdr *segment;
	unsigned int i;

	*extent = (struct extent){ .start = HOLE_START };
	for (i = 0; (segment = part(&boot->kernel, PT_LOAD, i)); i++) {
		if (segment->p_paddr < HIGH_START || segment->p_paddr >= HOLE_START ||
		    segment->p_filesz > segment->p_memsz || segment->p_memsz > HOLE_START)
			return machine_fail(boot->machine, -ENOEXEC,
					    "%s: an ELF file that wants to be at 0x%" PRIx64,
					    boot->kernel.path, segment->p_paddr);
		if (segment->p_paddr < extent->start)
			extent->start = segment->p_paddr;
		if (segment->p_paddr + segment->p_filesz > extent->loaded)
			extent->loaded = segment->p_paddr + segment->p_filesz;
		if (segment->p_paddr + segment->p_memsz > extent->end)
			extent->end = segment->p_paddr + segment->p_memsz;
	}
	if (extent->start >= extent->loaded)
		return machine_fail(boot->machine, -ENOEXEC, "%s: nothing in it is to be loaded",
				    boot->kernel.path);
	extent->start = PAGE_OF(extent->start);
	return boot_check_room(boot, extent->end);
}

/* Load all segments at once: two of them may share a page. */
static int load_segments(struct boot *boot, const struct extent *extent)
{
	uint64_t size = extent->loaded - extent->start;
	const Elf64_Phdr *segment;
	unsigned int i;
	char *image;
	int ret;

	image = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (image == MAP_FAILED)
		return -errno;
	for (i = 0; (segment = part(&boot->kernel, PT_LOAD, i)); i++)
		memcpy(image + (segment->p_paddr - extent->start),
		       (const char *)boot->kernel.bytes + segment->p_offset,
		       segment->p_filesz);
	ret = machine_load(boot->machine, extent->start, image, size);
	munmap(image, size);
	return ret;
}

static int load_start_info(struct boot *boot)
{
	struct start_page page = {
		.info = {
			.magic = START_INFO_MAGIC, .version = 1,
			.command_line = COMMAND_LINE, .rsdp = TABLES_START,
			.memory_map = BOOT_PARAMS + offsetof(struct start_page, ranges),
		},
		.initrd = { .address = boot->initrd, .size = boot->initrd_size },
	};
	struct boot_range ranges[BOOT_RANGES];
	unsigned int i;

	boot->machine->step = "loading the kernel's parameters";
	if (boot->initrd_size) {
		page.info.nr_modules = 1;
		page.info.modules = BOOT_PARAMS + offsetof(struct start_page, initrd);
	}
	page.info.nr_memory_map = boot_memory_map(boot, ranges);
	for (i = 0; i < page.info.nr_memory_map; i++)
		page.ranges[i] = (struct start_range){
			ranges[i].start, ranges[i].size, ranges[i].type, 0,
		};
	return machine_load(boot->machine, BOOT_PARAMS, &page, sizeof(page));
}

int pvh_boot(struct boot *boot)
{
	struct protected_mode mode = {
		.cr0 = CR0_PROTECTED,
		.regs = { .rip = find_entry(&boot->kernel), .rbx = BOOT_PARAMS },
	};
	struct extent extent;
	int ret = find_extent(boot, &extent);

	if (!ret)
		ret = load_segments(boot, &extent);
	if (!ret)
		ret = boot_load_initrd(boot, extent.end, HOLE_START);
	if (!ret)
		ret = boot_load_command_line(boot, COMMAND_MOST);
	if (!ret)
		ret = load_start_info(boot);
	return ret ? ret : machine_set_protected_mode(boot->machine, &mode);
}
