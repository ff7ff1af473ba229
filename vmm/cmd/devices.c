// SPDX-License-Identifier: MIT
#include "cmd/devices.h"
#include "machine/machine.h"
#include "virtio/rng.h"

bool devices_any(const struct devices *devices)
{
	return devices->rng || devices->disk_options.nr;
}

int devices_read(struct devices *devices)
{
	return disks_read(&devices->disks, &devices->disk_options);
}

int devices_add(struct devices *devices, struct machine *machine)
{
	int ret = 0;

	machine->step = "giving the guest its devices";
	if (devices->rng)
		ret = rng_add(machine);
	return ret ? ret : disks_add(&devices->disks, machine);
}

void devices_free(struct devices *devices)
{
	disks_free(&devices->disks);
}
