/* SPDX-License-Identifier: MIT */
/*
 * The options that a VMM was started with, which the next one needs: sections in a file that goes
 * along with OFFER. docs/handover.md has them.
 */
#ifndef VMM_UPGRADE_CONFIG_H
#define VMM_UPGRADE_CONFIG_H

#include "cmd/devices.h"
#include "control/names.h"

struct machine;
struct serving;

/*
 * struct upgrade_config - the options, as read from the file
 * @name: of the VM
 * @snapshot, @snapshot_on: as struct serving has them
 * @nr_nets: how many channels the helper has
 * @exposes: as struct serving has it
 * @keeps: the helper lets the guest go on if the VMM dies
 * @hang: as struct serving has it
 * @cpuids, @nr_cpuids: of the vCPUs
 */
struct upgrade_config {
	char name[VM_NAME_LENGTH];
	char *snapshot;
	char *snapshot_on;
	struct devices devices;
	unsigned int nr_nets;
	bool exposes;
	bool keeps;
	uint32_t hang;
	unsigned int nr_cpuids;
	struct kvm_cpuid2 *cpuids[MACHINE_VCPUS];
	char why[128];
};

/*
 * Write the options of a machine with its devices and its CPUIDs. Returns a sealed file, or -errno.
 */
int upgrade_config_write(const struct machine *machine, const struct serving *serving);

/* Make slots for OFFER, in which descriptor 0 is the view. Returns how many. */
unsigned int upgrade_config_slots(const struct machine *machine, struct gmem_slot *slots);

/*
 * Read an untrusted file. The caller must free the result in any case. Returns 0, or -errno with
 * the reason in @why: EPROTONOSUPPORT: it needs something that this gmem does not know.
 */
int upgrade_config_read(struct upgrade_config *config, int fd);

/*
 * Make OFFER from the same file, for the helper of a VMM that died: *offer with @slots, which has
 * MACHINE_SLOTS. Returns 0 or -errno.
 */
int upgrade_config_offer(int fd, struct gmem_offer *offer, struct gmem_slot *slots);
void upgrade_config_free(struct upgrade_config *config);

#endif /* VMM_UPGRADE_CONFIG_H */
