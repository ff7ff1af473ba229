// SPDX-License-Identifier: MIT
/*
 * Hardware-reduced ACPI: no fixed registers except those for sleep and reset, no SCI, no PIC and no
 * PM timer. Chapter 5 of the specification has the layouts. All fields that are not named here are
 * zero, which is what the specification wants of them then.
 */
#include <string.h>

#include "boot/acpi.h"
#include "devices/power.h"
#include "machine/layout.h"
#include "machine/machine.h"

extern const char acpi_dsdt[], acpi_dsdt_end[];

#define OEM		"GMEM"
#define MADT_VERSION	5
#define FADT_VERSION	6
#define FADT_MINOR	4

#define SPACE_PORTS	1
#define BYTE_ACCESS	1

/* Of the FADT: there is a reset register; hardware-reduced. */
#define FADT_RESET	(1U << 10)
#define FADT_REDUCED	(1U << 20)
/* Its boot flags: no VGA to look for; no PCIe power management. There is an RTC. */
#define BOOT_NO_VGA	(1U << 2)
#define BOOT_NO_ASPM	(1U << 4)
#define RTC_CENTURY	0x32

#define MADT_ENABLED	1

struct rsdp {
	char signature[8];
	uint8_t checksum;	/* of the first 20 bytes */
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6];
	char oem_table[8];
	uint32_t oem_revision;
	char compiler[4];
	uint32_t compiler_revision;
} __attribute__((packed));

struct address {
	uint8_t space;
	uint8_t bits;
	uint8_t first_bit;
	uint8_t access;
	uint64_t address;
} __attribute__((packed));

struct fadt {
	struct header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved;
	uint8_t profile;
	uint8_t fixed_32[62];	/* the fixed hardware, of which there is none */
	uint8_t century;
	uint16_t boot_flags;
	uint8_t reserved_2;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor;
	uint64_t facs_64;
	uint64_t dsdt_64;
	uint8_t fixed_64[96];
	struct address sleep_control;
	struct address sleep_status;
	char hypervisor[8];
} __attribute__((packed));

_Static_assert(offsetof(struct fadt, century) == 108, "the specification's");
_Static_assert(offsetof(struct fadt, sleep_control) == 244, "the specification's");
_Static_assert(sizeof(struct fadt) == 276, "the specification's");

struct madt {
	struct header header;
	uint32_t lapic;
	uint32_t flags;		/* no PIC */
} __attribute__((packed));

struct madt_lapic {
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint8_t id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type;
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t first_gsi;
} __attribute__((packed));

struct madt_nmi {
	uint8_t type;
	uint8_t length;
	uint8_t uid;
	uint16_t flags;
	uint8_t input;
} __attribute__((packed));

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_NMI = 4 };
#define ALL_UIDS	0xff

/*
 * Device (Cnnn) { Name (_HID, "ACPI0007") Name (_UID, nn) }: a processor, whose local
 * APIC the MADT has under the same _UID
 */
struct aml_processor {
	uint8_t device[2];
	uint8_t length;		/* from here to the end */
	char name[4];
	uint8_t hid[6];
	char acpi0007[9];
	uint8_t uid[6];
	uint8_t number;
} __attribute__((packed));

/* Scope (\_SB) { all of them } */
struct aml_scope {
	uint8_t scope;
	uint8_t length[2];	/* four bits, and eight: from here to the end */
	char name[5];
} __attribute__((packed));

struct ssdt {
	struct header header;
	struct aml_scope scope;
	struct aml_processor processors[MACHINE_VCPUS];
} __attribute__((packed));

_Static_assert(sizeof(struct ssdt) - sizeof(struct header) < 1 << 12, "length of a scope");

/* struct out - tables, one after the other: their bytes, and their address in the guest */
struct out {
	char *bytes;
	uint32_t gpa;
	uint32_t used;
};

/* The byte that makes the sum of all bytes zero. */
static uint8_t checksum(const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	while (size--)
		sum -= *byte++;
	return sum;
}

static struct header make_header(const char *signature, uint8_t revision)
{
	struct header header = {
		.revision = revision, .oem = OEM, .oem_revision = 1,
		.compiler = "GMEM", .compiler_revision = 1,
	};

	memcpy(header.signature, signature, 4);
	memcpy(header.oem_table, "GMEM", 4);
	memcpy(header.oem_table + 4, signature, 4);
	return header;
}

/* Where the next table begins. */
static void *next(struct out *out)
{
	return out->bytes + out->used;
}

/* Finish a table of @size bytes; returns its address in the guest. */
static uint32_t put(struct out *out, uint32_t size)
{
	struct header *header = next(out);
	uint32_t gpa = out->gpa + out->used;

	header->length = size;
	header->checksum = 0;
	header->checksum = checksum(header, size);
	out->used += (size + 15) & ~15U;
	return gpa;
}

static uint32_t put_dsdt(struct out *out)
{
	uint32_t size = acpi_dsdt_end - acpi_dsdt;

	memcpy(next(out), acpi_dsdt, size);
	return put(out, size);
}

static struct address port(enum power_register reg)
{
	return (struct address){
		.space = SPACE_PORTS, .bits = 8, .access = BYTE_ACCESS,
		.address = POWER_PORT + reg,
	};
}

static uint32_t put_fadt(struct out *out, uint32_t dsdt)
{
	struct fadt fadt = {
		.header = make_header("FACP", FADT_VERSION), .minor = FADT_MINOR,
		.dsdt = dsdt, .dsdt_64 = dsdt,
		.century = RTC_CENTURY,
		.boot_flags = BOOT_NO_VGA | BOOT_NO_ASPM,
		.flags = FADT_RESET | FADT_REDUCED,
		.reset = port(POWER_RESET), .reset_value = POWER_RESET_VALUE,
		.sleep_control = port(POWER_SLEEP_CONTROL),
		.sleep_status = port(POWER_SLEEP_STATUS),
		.hypervisor = "GMEM",
	};

	memcpy(next(out), &fadt, sizeof(fadt));
	return put(out, sizeof(fadt));
}

/* All interrupts are where a guest expects them, so there are no overrides. */
static uint32_t put_madt(struct out *out, unsigned int nr_vcpus)
{
	struct madt madt = {
		.header = make_header("APIC", MADT_VERSION), .lapic = LAPIC_ADDRESS,
	};
	struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC, .length = sizeof(ioapic), .address = IOAPIC_ADDRESS,
	};
	struct madt_nmi nmi = {
		.type = MADT_NMI, .length = sizeof(nmi), .uid = ALL_UIDS, .input = 1,
	};
	char *start = next(out), *at = start;
	unsigned int i;

	at = mempcpy(at, &madt, sizeof(madt));
	for (i = 0; i < nr_vcpus; i++) {
		struct madt_lapic lapic = {
			.type = MADT_LAPIC, .length = sizeof(lapic), .uid = i, .id = i,
			.flags = MADT_ENABLED,
		};

		at = mempcpy(at, &lapic, sizeof(lapic));
	}
	at = mempcpy(at, &ioapic, sizeof(ioapic));
	at = mempcpy(at, &nmi, sizeof(nmi));
	return put(out, at - start);
}

static struct aml_processor processor(unsigned int number)
{
	static const char digits[] = "0123456789ABCDEF";

	return (struct aml_processor){
		.device = { 0x5b, 0x82 },
		.length = sizeof(struct aml_processor) - 2,
		.name = { 'C', '0', digits[number / 16 % 16], digits[number % 16] },
		.hid = { 0x08, '_', 'H', 'I', 'D', 0x0d }, .acpi0007 = "ACPI0007",
		.uid = { 0x08, '_', 'U', 'I', 'D', 0x0a }, .number = number,
	};
}

static uint32_t put_processors(struct out *out, unsigned int nr_vcpus)
{
	uint32_t length = sizeof(struct aml_scope) - 1 +
			  nr_vcpus * sizeof(struct aml_processor);
	struct ssdt ssdt = {
		.header = make_header("SSDT", 2),
		.scope = {
			.scope = 0x10, .length = { 0x40 | (length & 0xf), length >> 4 },
			.name = { '\\', '_', 'S', 'B', '_' },
		},
	};
	uint32_t size = offsetof(struct ssdt, processors[nr_vcpus]);
	unsigned int i;

	for (i = 0; i < nr_vcpus; i++)
		ssdt.processors[i] = processor(i);
	memcpy(next(out), &ssdt, size);
	return put(out, size);
}

static uint32_t put_xsdt(struct out *out, const uint64_t *tables, unsigned int nr)
{
	struct header header = make_header("XSDT", 1);

	memcpy(next(out), &header, sizeof(header));
	memcpy((char *)next(out) + sizeof(header), tables, nr * sizeof(*tables));
	return put(out, sizeof(header) + nr * sizeof(*tables));
}

void acpi_make(void *bytes, uint32_t gpa, unsigned int nr_vcpus)
{
	struct rsdp rsdp = {
		.signature = "RSD PTR ", .oem = OEM, .revision = 2, .length = sizeof(rsdp),
	};
	struct out out = { .bytes = bytes, .gpa = gpa, .used = (sizeof(rsdp) + 15) & ~15U };
	uint64_t tables[3];

	memset(bytes, 0, ACPI_SIZE);
	tables[0] = put_fadt(&out, put_dsdt(&out));
	tables[1] = put_madt(&out, nr_vcpus);
	tables[2] = put_processors(&out, nr_vcpus);
	rsdp.xsdt = put_xsdt(&out, tables, 3);
	rsdp.checksum = checksum(&rsdp, 20);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(bytes, &rsdp, sizeof(rsdp));
}
