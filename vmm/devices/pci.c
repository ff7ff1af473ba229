// SPDX-License-Identifier: MIT
/*
 * After the PCI Local Bus Specification 3.0. The BARs do not move: a BAR keeps what the guest
 * writes to it, so that the guest can find its size, but nothing moves.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "devices/pci.h"

#define ADDRESS_ENABLE		0x80000000U
#define ADDRESS_BUS		0x00ff0000U
#define ADDRESS_SLOT(address)	(((address) >> 11) & 0x1f)
#define ADDRESS_FUNCTION	0x00000700U
#define ADDRESS_REGISTER	0x000000fcU
#define DATA			4U	/* offset of the data port */

#define BRIDGE_VENDOR		0x8086
#define BRIDGE_DEVICE		0x0d57	/* a host bridge that no driver and no quirk knows */
#define CLASS_HOST_BRIDGE	0x060000
#define FIRST_CAPABILITY	0x40

static void put16(uint8_t *to, uint16_t value)
{
	memcpy(to, &value, sizeof(value));
}

static void put32(uint8_t *to, uint32_t value)
{
	memcpy(to, &value, sizeof(value));
}

void pci_function_init(struct pci_function *function, const struct pci_ids *ids,
		       const struct pci_ops *ops)
{
	uint8_t *config = function->config;

	memset(function, 0, sizeof(*function));
	function->ops = ops;
	function->end = FIRST_CAPABILITY;
	put16(config + PCI_VENDOR_ID, ids->vendor);
	put16(config + PCI_DEVICE_ID, ids->device);
	put32(config + PCI_CLASS_REVISION, ids->class << 8 | ids->revision);
	put16(config + PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	put16(config + PCI_SUBSYSTEM_ID, ids->subsystem);
	put16(config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put16(function->writable + PCI_COMMAND,
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
	      PCI_COMMAND_INTX_DISABLE);
	function->writable[PCI_INTERRUPT_LINE] = 0xff;
	function->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	if (ops)
		put32(function->writable + PCI_BASE_ADDRESS_0, ~(uint32_t)(PCI_BAR_SIZE - 1));
}

uint8_t pci_add_capability(struct pci_function *function, const void *capability,
			   uint8_t size)
{
	uint8_t at = function->end;

	memcpy(function->config + at, capability, size);
	function->config[at + PCI_CAP_LIST_NEXT] = 0;
	if (function->last)
		function->config[function->last + PCI_CAP_LIST_NEXT] = at;
	else
		function->config[PCI_CAPABILITY_LIST] = at;
	function->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	function->last = at;
	function->end = (at + size + 3) & ~3;
	return at;
}

uint64_t pci_bar(const struct pci_function *function)
{
	return PCI_WINDOW + function->slot * PCI_BAR_SIZE;
}

int pci_add(struct pci_bus *bus, struct pci_function *function)
{
	uint8_t slot;

	for (slot = 0; slot < PCI_SLOTS; slot++)
		if (!bus->slots[slot])
			break;
	if (slot == PCI_SLOTS)
		return -ENOSPC;
	function->slot = slot;
	bus->slots[slot] = function;
	if (function->ops)
		put32(function->config + PCI_BASE_ADDRESS_0, pci_bar(function));
	return 0;
}

void pci_init(struct pci_bus *bus)
{
	const struct pci_ids ids = {
		.vendor = BRIDGE_VENDOR, .device = BRIDGE_DEVICE,
		.class = CLASS_HOST_BRIDGE,
	};

	memset(bus, 0, sizeof(*bus));
	pci_function_init(&bus->bridge, &ids, NULL);
	pci_add(bus, &bus->bridge);
}

/* The function that the address port names, or NULL. */
static struct pci_function *addressed(const struct pci_bus *bus)
{
	if (!(bus->address & ADDRESS_ENABLE) ||
	    bus->address & (ADDRESS_BUS | ADDRESS_FUNCTION))
		return NULL;
	return bus->slots[ADDRESS_SLOT(bus->address)];
}

/* Ignore a port access that crosses from the address to the data port. */
static bool is_address(uint16_t offset, uint32_t size)
{
	return !offset && size == sizeof(uint32_t);
}

void pci_port_read(struct pci_bus *bus, uint16_t offset, void *data, uint32_t size)
{
	struct pci_function *function = addressed(bus);

	memset(data, 0xff, size);
	if (is_address(offset, size)) {
		memcpy(data, &bus->address, size);
	} else if (offset >= DATA && function) {
		uint32_t at = (bus->address & ADDRESS_REGISTER) + offset - DATA;

		memcpy(data, function->config + at, size);
	}
}

void pci_port_write(struct pci_bus *bus, uint16_t offset, const void *data, uint32_t size)
{
	struct pci_function *function = addressed(bus);
	const uint8_t *bytes = data;
	uint32_t at, i;

	if (is_address(offset, size)) {
		memcpy(&bus->address, data, size);
		return;
	}
	if (offset < DATA || !function)
		return;
	at = (bus->address & ADDRESS_REGISTER) + offset - DATA;
	for (i = 0; i < size; i++) {
		uint8_t mask = function->writable[at + i];
		uint8_t *byte = &function->config[at + i];

		*byte = (*byte & ~mask) | (bytes[i] & mask);
	}
	if (function->ops)
		function->ops->configured(function, at, size);
}

/* The function whose BAR contains all of the access, or NULL. */
static struct pci_function *decoded(const struct pci_bus *bus, uint64_t address,
				    uint32_t size, uint32_t *offset)
{
	uint64_t at = address - PCI_WINDOW;
	struct pci_function *function;

	if (address < PCI_WINDOW || at >= PCI_SLOTS * PCI_BAR_SIZE)
		return NULL;
	function = bus->slots[at / PCI_BAR_SIZE];
	*offset = at % PCI_BAR_SIZE;
	if (!function || !function->ops || size > PCI_BAR_SIZE - *offset ||
	    !(function->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return NULL;
	return function;
}

bool pci_mmio_read(struct pci_bus *bus, uint64_t address, void *data, uint32_t size)
{
	uint32_t offset;
	struct pci_function *function = decoded(bus, address, size, &offset);

	memset(data, function ? 0 : 0xff, size);
	if (function)
		function->ops->read(function, offset, data, size);
	return function;
}

bool pci_mmio_write(struct pci_bus *bus, uint64_t address, const void *data, uint32_t size)
{
	uint32_t offset;
	struct pci_function *function = decoded(bus, address, size, &offset);

	if (function)
		function->ops->write(function, offset, data, size);
	return function;
}

void pci_function_save(const struct pci_function *function, uint8_t *config)
{
	memcpy(config, function->config, PCI_CONFIG_SIZE);
}

void pci_function_restore(struct pci_function *function, const uint8_t *config)
{
	uint32_t i;

	for (i = 0; i < PCI_CONFIG_SIZE; i++)
		function->config[i] = (function->config[i] & ~function->writable[i]) |
				      (config[i] & function->writable[i]);
	if (function->ops)
		function->ops->configured(function, 0, PCI_CONFIG_SIZE);
}
