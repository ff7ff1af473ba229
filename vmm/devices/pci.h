/* SPDX-License-Identifier: MIT */
/* One conventional PCI bus: configuration mechanism 1, one memory BAR for each function. */
#ifndef VMM_DEVICES_PCI_H
#define VMM_DEVICES_PCI_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_PORT		0xcf8	/* address; data from 0xcfc on */
#define PCI_PORTS		8
#define PCI_SLOTS		32
#define PCI_CONFIG_SIZE		256

/* The window with the BARs: each function has a fixed place in it. */
#define PCI_WINDOW		0xc0000000UL
#define PCI_WINDOW_SIZE		0x20000000UL
#define PCI_BAR_SIZE		0x8000UL

struct pci_function;

/*
 * struct pci_ops - what a function does
 * @read, @write: access to its BAR; @offset + @size is inside, @size is 1, 2, 4 or 8
 * @configured: the guest has written to its configuration space
 */
struct pci_ops {
	void (*read)(struct pci_function *function, uint32_t offset, void *data,
		     uint32_t size);
	void (*write)(struct pci_function *function, uint32_t offset, const void *data,
		      uint32_t size);
	void (*configured)(struct pci_function *function, uint32_t offset, uint32_t size);
};

/*
 * struct pci_function - a device on the bus
 * @ops: NULL for one without a BAR
 * @slot: its number, set by pci_add()
 * @config: its configuration space, as the guest reads it
 * @writable: the bits of it that the guest may change
 * @end: the offset of the next capability
 * @last: the offset of the last capability, or 0
 */
struct pci_function {
	const struct pci_ops *ops;
	uint8_t slot;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];
	uint8_t end;
	uint8_t last;
};

/*
 * struct pci_bus - the bus. All calls are made with the machine's device_lock held.
 * @address: what the guest wrote to the address port
 * @slots: by number; the first is the host bridge
 */
struct pci_bus {
	uint32_t address;
	struct pci_function *slots[PCI_SLOTS];
	struct pci_function bridge;
};

/* struct pci_ids - what kind of device it is */
struct pci_ids {
	uint16_t vendor;
	uint16_t device;
	uint32_t class;		/* class, subclass, interface */
	uint8_t revision;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
};

/* A bus with a host bridge on it. */
void pci_init(struct pci_bus *bus);

/* Make a function's configuration space; @ops NULL: it has no BAR. */
void pci_function_init(struct pci_function *function, const struct pci_ids *ids,
		       const struct pci_ops *ops);

/*
 * Add a capability of @size bytes, and fill in the first two. Returns its offset. There is room for
 * all that the devices here need.
 */
uint8_t pci_add_capability(struct pci_function *function, const void *capability,
			   uint8_t size);

/* Put it on the bus: in the next free slot. 0, or -ENOSPC. */
int pci_add(struct pci_bus *bus, struct pci_function *function);

/* The address of its BAR. */
uint64_t pci_bar(const struct pci_function *function);

/* Port I/O at PCI_PORT + @offset; inside PCI_PORTS. */
void pci_port_read(struct pci_bus *bus, uint16_t offset, void *data, uint32_t size);
void pci_port_write(struct pci_bus *bus, uint16_t offset, const void *data, uint32_t size);

/* MMIO. Returns false where there is nothing. */
bool pci_mmio_read(struct pci_bus *bus, uint64_t address, void *data, uint32_t size);
bool pci_mmio_write(struct pci_bus *bus, uint64_t address, const void *data,
		    uint32_t size);

/* Copy the configuration space; take over the guest-writable part of an untrusted one. */
void pci_function_save(const struct pci_function *function, uint8_t *config);
void pci_function_restore(struct pci_function *function, const uint8_t *config);

#endif /* VMM_DEVICES_PCI_H */
