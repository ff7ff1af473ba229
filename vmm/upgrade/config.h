/* SPDX-License-Identifier: MIT */
/*
 * What a VMM was told at its start, as the next one needs it: sections in a file that goes along
 * with OFFER. docs/handover.md has them.
 */
#ifndef VMM_UPGRADE_CONFIG_H
#define VMM_UPGRADE_CONFIG_H

#include "cmd/devices.h"
#include "control/names.h"

struct machine;
struct serving;

/*
 * struct upgrade_config - one that was read
 * @name: of the VM
 * @snapshot, @snapshot_on: as struct serving has them
 * @nr_nets: channels that the helper has
 * @exposes: as struct serving has it
 * @keeps: it goes on with the guest where the VMM dies
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

/* Of a machine with its devices and its CPUIDs. A file that stays as it is, or -errno. */
int upgrade_config_write(const struct machine *machine, const struct serving *serving);

/* Slots as OFFER has them: of its own, 0 is the view. Returns how many. */
unsigned int upgrade_config_slots(const struct machine *machine, struct gmem_slot *slots);

/*
 * From a file that may have anything in it; to be freed in any case. 0 or -errno, with what is
 * wrong in @why: EPROTONOSUPPORT: it asks for what this gmem does not know.
 */
int upgrade_config_read(struct upgrade_config *config, int fd);

/*
 * What OFFER says, out of the same file, for whoever speaks for a VMM that died: *offer with
 * @slots, of MACHINE_SLOTS. 0 or -errno.
 */
int upgrade_config_offer(int fd, struct gmem_offer *offer, struct gmem_slot *slots);
void upgrade_config_free(struct upgrade_config *config);

#endif /* VMM_UPGRADE_CONFIG_H */
