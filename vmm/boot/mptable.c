// SPDX-License-Identifier: MIT
#include <string.h>

#include "boot/mptable.h"

#define LOCAL_APIC	0xfee00000U
#define IO_APIC		0xfec00000U
#define IO_APIC_ID	1
#define ISA_IRQS	16

enum entry { CPU, BUS, APIC, INTERRUPT, LOCAL_INTERRUPT };
enum delivery { INT, NMI, SMI, EXTINT };

struct pointer {
	char signature[4];
	uint32_t table;
	uint8_t length;		/* in 16 bytes */
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5];
} __attribute__((packed));

struct header {
	char signature[4];
	uint16_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_size;
	uint16_t entries;
	uint32_t local_apic;
	uint32_t reserved;
} __attribute__((packed));

struct cpu {
	uint8_t entry;
	uint8_t id;
	uint8_t version;
	uint8_t flags;		/* enabled, the first */
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
} __attribute__((packed));

struct bus {
	uint8_t entry;
	uint8_t id;
	char name[6];
} __attribute__((packed));

struct io_apic {
	uint8_t entry;
	uint8_t id;
	uint8_t version;
	uint8_t flags;		/* enabled */
	uint32_t address;
} __attribute__((packed));

struct interrupt {
	uint8_t entry;
	uint8_t delivery;
	uint16_t flags;		/* as is usual for the bus */
	uint8_t bus;
	uint8_t irq;
	uint8_t apic;
	uint8_t pin;
} __attribute__((packed));

struct table {
	struct pointer pointer;
	struct header header;
	struct cpu cpu;
	struct bus bus;
	struct io_apic io_apic;
	struct interrupt isa[ISA_IRQS];
	struct interrupt local[2];
} __attribute__((packed));

_Static_assert(sizeof(struct table) <= MPTABLE_SIZE, "too many entries");

/* What makes the sum of all bytes zero. */
static uint8_t checksum(const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	while (size--)
		sum -= *byte++;
	return sum;
}

void mptable_make(void *bytes)
{
	struct table table = {
		.pointer = {
			.signature = "_MP_", .length = 1, .revision = 4,
			.table = MPTABLE_GPA + offsetof(struct table, header),
		},
		.header = {
			.signature = "PCMP", .revision = 4, .oem = "GMEM    ",
			.product = "PC          ", .local_apic = LOCAL_APIC,
			.length = sizeof(table) - sizeof(struct pointer),
			.entries = 3 + ISA_IRQS + 2,
		},
		.cpu = { .entry = CPU, .version = 0x14, .flags = 3 },
		.bus = { .entry = BUS, .name = "ISA   " },
		.io_apic = {
			.entry = APIC, .id = IO_APIC_ID, .version = 0x11,
			.flags = 1, .address = IO_APIC,
		},
		.local = {
			{ .entry = LOCAL_INTERRUPT, .delivery = EXTINT },
			{ .entry = LOCAL_INTERRUPT, .delivery = NMI, .apic = 0xff, .pin = 1 },
		},
	};
	unsigned int irq;

	for (irq = 0; irq < ISA_IRQS; irq++)
		table.isa[irq] = (struct interrupt){
			.entry = INTERRUPT, .delivery = INT, .irq = irq,
			.apic = IO_APIC_ID, .pin = irq,
		};
	table.header.checksum = checksum(&table.header, table.header.length);
	table.pointer.checksum = checksum(&table.pointer, sizeof(table.pointer));
	memset(bytes, 0, MPTABLE_SIZE);
	memcpy(bytes, &table, sizeof(table));
}
