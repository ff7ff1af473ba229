/* SPDX-License-Identifier: MIT */
/* A VM of this process: its memory, its vCPUs, its devices. */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H

#include <gmem.h>

#include <pthread.h>
#include <stdbool.h>

#include "common/events.h"
#include "devices/console.h"
#include "devices/msix.h"
#include "devices/pc.h"
#include "devices/pci.h"

#define MACHINE_FDS	8
#define MACHINE_SLOTS	8
#define MACHINE_RANGES	8
#define MACHINE_VCPUS	64
#define MACHINE_FENCES	16

struct published;
struct virtio_device;

/*
 * struct machine_memory - one memslot
 * @slot: as bound, with descriptors that the machine owns
 * @host: the shared memory behind it, mapped
 * @shared: a bit a page of memory that begins private: it was converted; or NULL
 */
struct machine_memory {
	struct gmem_slot slot;
	void *host;
	unsigned char *shared;
};

/*
 * struct machine - a VM
 * @fds: the files of its memory; slots may share one
 * @vcpus: by KVM's number of them
 * @cpuids: each vCPU's CPUID, after machine_keep_cpuids(); else NULL
 * @nr_shared: pages of private memory that machine_share() has converted
 * @device_lock: held by a vCPU or the main loop while it is in a device of @pc or @pci; its holder
 *	does not wait for anything else
 * @events: the descriptors that the main loop waits for
 * @virtio: its virtio devices, in the order of the bus
 * @held: the devices touch no guest memory
 * @published: where its state is written for the next VMM, in case this process dies, or NULL
 * @recovers: it takes over the state of a process that died
 * @life: a pipe; only this process and its disks' rings have the second end; or 0
 * @fences, @nr_fences: first ends of such pipes, of processes that died and whose requests may
 *	still be carried out
 * @step: what was tried last, for the message if it failed
 * @huge: GUEST_MEMFD_FLAG_HUGE_* of its future RAM, or 0: the modules decide
 * @why: what was wrong, if an errno does not say it; else empty
 * @todo: what a person can do about that, or NULL
 *
 * Functions return 0 or -errno. Close a machine with machine_close() even if it failed half-way.
 */
struct machine {
	int kvm;
	int vm;
	uint64_t vm_type;
	uint64_t huge;
	unsigned int nr_fds;
	int fds[MACHINE_FDS];
	unsigned int nr_memory;
	struct machine_memory memory[MACHINE_SLOTS];
	unsigned int nr_ranges;
	struct gmem_range ranges[MACHINE_RANGES];
	uint64_t nr_shared;
	unsigned int nr_vcpus;
	struct gmem_vcpu vcpus[MACHINE_VCPUS];
	struct kvm_cpuid2 *cpuids[MACHINE_VCPUS];
	pthread_mutex_t device_lock;
	struct console console;
	struct pc pc;
	struct pci_bus pci;
	struct msi_router msis;
	struct events events;
	struct virtio_device *virtio[PCI_SLOTS];
	bool held;
	struct published *published;
	bool recovers;
	int life[2];
	struct event fences[MACHINE_FENCES];
	unsigned int nr_fences;
	unsigned int nr_virtio;
	const char *step;
	char why[256];
	const char *todo;
};

/* What a person can do if KVM can't be opened, or is not gmem's; or NULL. */
const char *kvm_todo(int error);

/* Print the error of a function here. Returns EXIT_FAILED. */
int machine_say_failed(const struct machine *machine, int error);

/* Open KVM and create a VM of a type, without memory and vCPU. */
int machine_create(struct machine *machine, uint64_t vm_type);

/* Record why something failed, for machine_say_failed(). Returns @error. */
int machine_fail(struct machine *machine, int error, const char *why, ...)
	__attribute__((format(printf, 3, 4)));

/* Take over a descriptor, or close it if that fails. Returns it, or -errno. */
int machine_add_fd(struct machine *machine, int fd);

/* Map the slot's shared memory, and bind the slot. */
int machine_add_memory(struct machine *machine, const struct gmem_slot *slot);

/* Set a range's attributes. */
int machine_add_range(struct machine *machine, const struct gmem_range *range);

/* Create so many vCPUs, numbered from 0. */
int machine_add_vcpus(struct machine *machine, unsigned int count);

/*
 * Remember each vCPU's CPUID, for a machine that goes on with them. No vCPU may run.
 */
int machine_keep_cpuids(struct machine *machine);

/*
 * Take over the memory of a VM that has the guest: a view of it, and slots as in a handover;
 * descriptor 0 is the view.
 */
int machine_link(struct machine *machine, int view, const struct gmem_slot *slots,
		 unsigned int nr);

/* The slot that has all of these bytes, with its shared memory mapped, or NULL. */
struct machine_memory *machine_memory_at(struct machine *machine, uint64_t gpa, uint64_t size);

/*
 * The address at which the host has mapped a guest physical address, or NULL if it is not memory.
 * In a guest that began private, touch it only after machine_share(), to avoid a SIGBUS.
 */
void *machine_shared(struct machine *machine, uint64_t gpa, uint64_t size);

/*
 * Give memory that machine_shared() has returned back to the host. This concerns the whole pages in
 * it, which are zeroes at the next touch. Memory that is not in a guest memory inode stays.
 */
void machine_discard(struct machine *machine, void *host, uint64_t size);

/* Sealed memory for machine_add_memory(): a descriptor, or -errno. */
int machine_shared_memory(uint64_t size);

/* Give it the devices of a PC, before any vCPU. */
int machine_add_pc(struct machine *machine);

/*
 * Make a view of the machine's own that the host may map, for slots that use it for both private
 * and shared memory. Returns a descriptor, or -errno.
 */
int machine_shared_view(struct machine *machine, uint64_t size);

/*
 * Add the memory of a Linux guest, around the hole below 4 GiB: all private at first if the VM has
 * private memory, else shared.
 */
int machine_add_ram(struct machine *machine, uint64_t size);

/* The flag by its word, "never", "fits" or "always"; 0: there is no such word. */
uint64_t machine_huge_flag(const char *word);

/* The memslots of so much memory, without descriptors. Returns how many. */
#define MACHINE_RAM_SLOTS	2
unsigned int machine_ram_slots(uint64_t size, struct gmem_slot *slots);

/*
 * If the guest began private, share whole pages with the host, for good; otherwise they are shared
 * already. They keep their content. -EINVAL: there is no such memory.
 */
int machine_share(struct machine *machine, uint64_t gpa, uint64_t size);

/*
 * Load initial content into the guest's memory; in private memory by whole pages, the rest of the
 * last one being zeroes.
 */
int machine_load(struct machine *machine, uint64_t gpa, const void *data,
		 uint64_t size);

/* The view of its memory, or -1. */
int machine_view(const struct machine *machine);

void machine_close(struct machine *machine);

#endif /* VMM_MACHINE_MACHINE_H */
