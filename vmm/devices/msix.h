/* SPDX-License-Identifier: MIT */
/* MSI-X: interrupts of a PCI function, each a message that the guest chooses. */
#ifndef VMM_DEVICES_MSIX_H
#define VMM_DEVICES_MSIX_H

#include <gmem.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/pci.h"

#define MSIX_VECTORS		16	/* of a function, at most */
#define MSIX_ENTRY_SIZE		16U
#define MSIX_FUNCTIONS		PCI_SLOTS

/* struct msix_entry - a row of the table, as the guest reads and writes it */
struct msix_entry {
	uint32_t address_low;
	uint32_t address_high;
	uint32_t data;
	uint32_t control;
};

/*
 * struct msix_state - all state except the function's configuration space
 * @pending: a bit for each vector: an interrupt was masked when it came
 */
struct msix_state {
	struct msix_entry table[MSIX_VECTORS];
	uint32_t pending;
};

struct msix;

/*
 * struct msi_router - the messages of all functions, for KVM. Called with the machine's device_lock
 * held.
 * @vm: the VM
 * @functions: those that have messages
 */
struct msi_router {
	int vm;
	uint32_t nr;
	struct msix *functions[MSIX_FUNCTIONS];
};

/*
 * struct msix - a function's interrupts
 * @lock: guards @now and whether a vector may be signalled; its holder never waits
 * @nr: vectors, at most MSIX_VECTORS
 * @gsi: the interrupt number of the first
 * @capability: where it is in the configuration space
 * @enabled: as the capability says
 * @masked: all vectors are masked, likewise
 * @fds: an irqfd for each vector
 */
struct msix {
	pthread_mutex_t lock;
	struct msi_router *router;
	struct pci_function *function;
	uint32_t nr;
	uint32_t gsi;
	uint8_t capability;
	bool enabled;
	bool masked;
	int fds[MSIX_VECTORS];
	struct msix_state now;
};

/*
 * Give a function @nr vectors, all masked. @table, @pending: where they are in its
 * BAR. 0 or -errno; msix_close() in any case.
 */
int msix_init(struct msix *msix, struct msi_router *router,
	      struct pci_function *function, uint32_t nr, uint32_t table, uint32_t pending);
void msix_close(struct msix *msix);

/* The guest reads or writes the table, or the pending bits, within their size. */
void msix_table_read(struct msix *msix, uint32_t offset, void *data, uint32_t size);
void msix_table_write(struct msix *msix, uint32_t offset, const void *data, uint32_t size);
void msix_pending_read(struct msix *msix, uint32_t offset, void *data, uint32_t size);

/* The guest has written to the function's configuration space. */
void msix_configured(struct msix *msix);

/* Raise an interrupt, or remember it if it is masked. Any thread. */
void msix_signal(struct msix *msix, uint32_t vector);

/* Copy the state, or take over an untrusted one; call msix_configured() afterwards. */
void msix_save(struct msix *msix, struct msix_state *state);
void msix_restore(struct msix *msix, const struct msix_state *state);

#endif /* VMM_DEVICES_MSIX_H */
