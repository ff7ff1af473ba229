// SPDX-License-Identifier: MIT
#include "cmd/devices.h"
#include "machine/machine.h"
#include "virtio/balloon.h"
#include "virtio/rng.h"

bool devices_any(const struct devices *devices)
{
	return devices->rng || devices->balloon || devices->disk_options.nr ||
	       devices->net_options.nr;
}

int devices_read(struct devices *devices, const char *name)
{
	int status = disks_read(&devices->disks, &devices->disk_options);

	return status ? status :
	       nets_read(&devices->nets, &devices->net_options, name ? name : "");
}

int devices_add(struct devices *devices, struct machine *machine)
{
	int ret = 0;

	machine->step = "giving the guest its devices";
	if (devices->rng)
		ret = rng_add(machine);
	if (!ret)
		ret = disks_add(&devices->disks, machine);
	if (!ret && devices->balloon)
		ret = balloon_add(machine);
	return ret;
}

int devices_connect(struct devices *devices, struct machine *machine, struct helper *helper)
{
	return nets_add(&devices->nets, machine, helper);
}

void devices_free(struct devices *devices)
{
	disks_free(&devices->disks);
}
