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
 * @cpuids, @nr_cpuids: of the vCPUs
 */
struct upgrade_config {
	char name[VM_NAME_LENGTH];
	char *snapshot;
	char *snapshot_on;
	struct devices devices;
	unsigned int nr_nets;
	unsigned int nr_cpuids;
	struct kvm_cpuid2 *cpuids[MACHINE_VCPUS];
	char why[128];
};

/* Of a machine with its devices and its CPUIDs. A file, or -errno. */
int upgrade_config_write(const struct machine *machine, const struct serving *serving);

/*
 * From a file that may have anything in it; to be freed in any case. 0 or -errno, with what is
 * wrong in @why: EPROTONOSUPPORT: it asks for what this gmem does not know.
 */
int upgrade_config_read(struct upgrade_config *config, int fd);
void upgrade_config_free(struct upgrade_config *config);

#endif /* VMM_UPGRADE_CONFIG_H */
