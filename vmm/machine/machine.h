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
 * @fds: what its memory is made of; slots may share one
 * @vcpus: by KVM's number of them
 * @cpuids: what each was given, after machine_keep_cpuids(); else NULL
 * @nr_shared: pages of private memory that machine_share() has converted
 * @device_lock: held by the vCPU or the main loop that is in a device of @pc or @pci;
 *	nothing waits with it but for that
 * @events: what the main loop waits for
 * @virtio: its virtio devices, in the order of the bus
 * @held: they touch no memory of the guest's
 * @published: where its state is written for who goes on if this process dies, or NULL
 * @recovers: what it takes over is of a process that died
 * @life: a pipe, of which nobody but this process and its disks' rings has the second end; or 0
 * @fences, @nr_fences: such pipes' first ends, of processes that died and may have requests
 *	that are carried out still
 * @step: what was tried last, for the message if it failed
 * @huge: GUEST_MEMFD_FLAG_HUGE_* of the RAM that it will have, or 0: as the modules like
 * @why: what was wrong, where an errno would not say it; else empty
 * @todo: what a person can do about that, or NULL
 *
 * Functions return 0 or -errno. A machine that failed half-way is still closed
 * with machine_close().
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

/* What a person can do where KVM can't be opened, or is not gmem's; or NULL. */
const char *kvm_todo(int error);

/* Tell a person of an error of a function here. Returns EXIT_FAILED. */
int machine_say_failed(const struct machine *machine, int error);

/* Open KVM and create a VM of a type, without memory and vCPU. */
int machine_create(struct machine *machine, uint64_t vm_type);

/* Keep why something failed, for machine_say_failed(). Returns @error. */
int machine_fail(struct machine *machine, int error, const char *why, ...)
	__attribute__((format(printf, 3, 4)));

/* Own a descriptor, which is closed if that fails. Returns it, or -errno. */
int machine_add_fd(struct machine *machine, int fd);

/* Map the slot's shared memory and bind it all. */
int machine_add_memory(struct machine *machine, const struct gmem_slot *slot);

/* Set a range's attributes. */
int machine_add_range(struct machine *machine, const struct gmem_range *range);

/* Create so many vCPUs, numbered from 0. */
int machine_add_vcpus(struct machine *machine, unsigned int count);

/*
 * Remember each vCPU's CPUID, for a machine that goes on with them: none of them runs.
 */
int machine_keep_cpuids(struct machine *machine);

/*
 * Memory of a VM that has the guest: a view of it, and slots as a handover has them, their
 * descriptors 0 where they are the view.
 */
int machine_link(struct machine *machine, int view, const struct gmem_slot *slots,
		 unsigned int nr);

/* The slot that has all of these bytes, or NULL: its shared memory is mapped. */
struct machine_memory *machine_memory_at(struct machine *machine, uint64_t gpa, uint64_t size);

/*
 * Where the host has memory of a guest physical address mapped, or NULL where there is
 * none. In a guest that began private, touch it after machine_share() only: SIGBUS.
 */
void *machine_shared(struct machine *machine, uint64_t gpa, uint64_t size);

/*
 * Give what machine_shared() has returned back to the host, by the whole pages inside:
 * they are zeroes at the next touch. Memory that is not in a guest memory inode stays.
 */
void machine_discard(struct machine *machine, void *host, uint64_t size);

/* Sealed memory for machine_add_memory(): a descriptor, or -errno. */
int machine_shared_memory(uint64_t size);

/* Give it the devices of a PC, before any vCPU. */
int machine_add_pc(struct machine *machine);

/*
 * A view of the machine's own that the host may map, for slots that have it for
 * both kinds of memory: a descriptor, or -errno.
 */
int machine_shared_view(struct machine *machine, uint64_t size);

/*
 * Memory of a Linux guest, around the hole below 4 GiB: all private at first if the VM
 * has private memory, else shared.
 */
int machine_add_ram(struct machine *machine, uint64_t size);

/* The flag by its word, "never", "fits" or "always"; 0: there is no such word. */
uint64_t machine_huge_flag(const char *word);

/* The memslots of so much, without descriptors. Returns how many. */
#define MACHINE_RAM_SLOTS	2
unsigned int machine_ram_slots(uint64_t size, struct gmem_slot *slots);

/*
 * Share whole pages with the host, for good, where the guest began private; else they
 * are shared. They keep their content. -EINVAL: there is no such memory.
 */
int machine_share(struct machine *machine, uint64_t gpa, uint64_t size);

/*
 * Load what the guest is to find in its memory, by whole pages where that is
 * private: the rest of the last one is zeroes.
 */
int machine_load(struct machine *machine, uint64_t gpa, const void *data,
		 uint64_t size);

/* The view of its memory, or -1. */
int machine_view(const struct machine *machine);

void machine_close(struct machine *machine);

#endif /* VMM_MACHINE_MACHINE_H */
