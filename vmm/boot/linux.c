// SPDX-License-Identifier: MIT
/* The common part of all Linux guests, independent of how their kernel is entered. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "boot/acpi.h"
#include "boot/boot.h"
#include "machine/cpuid.h"
#include "machine/layout.h"

#define RESET_VECTOR_SIZE	16

unsigned int boot_memory_map(const struct boot *boot, struct boot_range *ranges)
{
	unsigned int nr = 0;

	ranges[nr++] = (struct boot_range){ 0, LOW_END, BOOT_RAM };
	ranges[nr++] = (struct boot_range){ TABLES_START, ACPI_SIZE, BOOT_ACPI };
	ranges[nr++] = (struct boot_range){ HIGH_START, boot->low - HIGH_START, BOOT_RAM };
	if (boot->guest->memory > boot->low)
		ranges[nr++] = (struct boot_range){
			HOLE_END, boot->guest->memory - boot->low, BOOT_RAM,
		};
	return nr;
}

int boot_check_room(struct boot *boot, uint64_t end)
{
	if (end <= boot->low)
		return 0;
	return machine_fail(boot->machine, -EINVAL,
			    "%s needs memory up to %" PRIu64 " MiB, and the guest has %" PRIu64
			    " MiB there: it is too small for its kernel",
			    boot->kernel.path, (end + (1 << 20) - 1) >> 20, boot->low >> 20);
}

int boot_load_initrd(struct boot *boot, uint64_t kernel_end, uint64_t top)
{
	struct machine *machine = boot->machine;
	struct file initrd;
	int ret;

	if (!boot->guest->initrd)
		return 0;
	machine->step = "loading the initrd";
	ret = file_read(&initrd, machine, boot->guest->initrd);
	if (ret)
		return ret;
	if (top > boot->low)
		top = boot->low;
	if (top < kernel_end || top - kernel_end < initrd.size + PAGE) {
		ret = machine_fail(machine, -EINVAL,
				   "%s has %" PRIu64 " MiB: no room for it beside the kernel in %"
				   PRIu64 " MiB",
				   initrd.path, initrd.size >> 20, boot->low >> 20);
	} else {
		boot->initrd = PAGE_OF(top - initrd.size);
		boot->initrd_size = initrd.size;
		ret = machine_load(machine, boot->initrd, initrd.bytes, initrd.size);
	}
	file_free(&initrd);
	return ret;
}

int boot_load_command_line(struct boot *boot, uint64_t most)
{
	struct machine *machine = boot->machine;
	size_t length = strlen(boot->guest->command_line) + 1;

	machine->step = "loading the kernel's parameters";
	if (most > COMMAND_SIZE)
		most = COMMAND_SIZE;
	if (length > most)
		return machine_fail(machine, -E2BIG,
				    "the command line has %zu bytes, and the kernel takes %" PRIu64,
				    length - 1, most - 1);
	return machine_load(machine, COMMAND_LINE, boot->guest->command_line, length);
}

static int load_tables(struct machine *machine)
{
	char tables[ACPI_SIZE];

	machine->step = "loading the ACPI tables";
	acpi_make(tables, TABLES_START, machine->nr_vcpus);
	return machine_load(machine, TABLES_START, tables, sizeof(tables));
}

/*
 * Linux restarts a machine with hardware-reduced ACPI by EFI. As there is none, it jumps to the
 * address where a PC's firmware is entered after a reset: the last 16 bytes of the first MiB. Put
 * 16-bit code there that writes to the reset register and halts.
 */
static int load_reset_vector(struct machine *machine)
{
	static const uint8_t code[] = {
		0xba, (POWER_PORT + POWER_RESET) & 0xff,
		(POWER_PORT + POWER_RESET) >> 8,	/* mov $port, %dx */
		0xb0, POWER_RESET_VALUE,		/* mov $value, %al */
		0xee,					/* out %al, %dx */
		0xf4,					/* hlt */
		0xeb, 0xfd,				/* jmp to the hlt */
	};
	char page[PAGE] = { 0 };

	machine->step = "loading the reset vector";
	memcpy(page + PAGE - RESET_VECTOR_SIZE, code, sizeof(code));
	return machine_load(machine, HIGH_START - PAGE, page, sizeof(page));
}

static int load(struct boot *boot)
{
	if (bzimage_is(&boot->kernel))
		return bzimage_boot(boot);
	if (pvh_is(&boot->kernel))
		return pvh_boot(boot);
	return machine_fail(boot->machine, -ENOEXEC,
			    "%s: neither a bzImage for x86-64 nor a 64-bit ELF file with a PVH entry",
			    boot->kernel.path);
}

int linux_boot(struct machine *machine, const struct linux_guest *guest)
{
	struct boot boot = {
		.machine = machine, .guest = guest,
		.low = guest->memory < HOLE_START ? guest->memory : HOLE_START,
	};
	int ret;

	machine->step = "reading the kernel";
	ret = file_read(&boot.kernel, machine, guest->kernel);
	if (!ret)
		ret = machine_add_pc(machine);
	if (!ret)
		ret = machine_add_ram(machine, guest->memory);
	if (!ret)
		ret = machine_add_vcpus(machine, guest->cpus);
	if (!ret)
		ret = machine_set_cpuid(machine);
	if (!ret)
		ret = gmem_vcpu_wire_pic(&machine->vcpus[0]);
	machine->step = ret ? machine->step : "loading the kernel";
	if (!ret)
		ret = load(&boot);
	if (!ret)
		ret = load_tables(machine);
	if (!ret)
		ret = load_reset_vector(machine);
	file_free(&boot.kernel);
	return ret;
}
