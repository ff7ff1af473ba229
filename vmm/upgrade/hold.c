// SPDX-License-Identifier: MIT
#include <errno.h>
#include <unistd.h>

#include <linux/virtio_ids.h>

#include "cmd/serve.h"
#include "common/say.h"
#include "helper/helper.h"
#include "helper/wire.h"
#include "live/publish.h"
#include "loop.h"
#include "net/port.h"
#include "upgrade/hold.h"
#include "upgrade/source.h"
#include "virtio/block.h"
#include "virtio/device.h"
#include "virtio/net.h"

/* struct holding - progress of giving descriptors to the helper */
struct holding {
	struct helper *helper;
	uint32_t count;
	int error;
};

static void hold(struct holding *holding, enum helper_held what, unsigned int nth, int fd)
{
	if (fd < 0 || holding->error)
		return;
	holding->error = helper_hold(holding->helper, HELD_NUMBER(what, nth), fd);
	holding->count++;
}

static void hold_devices(struct holding *holding, const struct machine *machine)
{
	unsigned int i, disk = 0, net = 0;

	for (i = 0; i < machine->nr_virtio; i++) {
		struct virtio_device *device = machine->virtio[i];

		if (device->ops->type == VIRTIO_ID_BLOCK)
			hold(holding, HELD_DISK, disk++, block_descriptor(device));
		if (device->ops->type != VIRTIO_ID_NET)
			continue;
		if (!passt_is(net_port_of(device)))
			hold(holding, HELD_TAP, net, tap_descriptor(net_port_of(device)));
		net++;
	}
}

int upgrade_hold(struct upgrade *upgrade)
{
	struct holding holding = { .helper = upgrade->loop->helper };
	struct machine *machine = upgrade->loop->vcpus->machine;
	int ret = publish_open(machine, &upgrade->loop->terminal);

	if (ret)
		return ret;
	hold(&holding, HELD_VM, 0, machine->vm);
	hold(&holding, HELD_VIEW, 0, machine_view(machine));
	hold(&holding, HELD_LIVE, 0, publish_page(machine)->fd);
	hold(&holding, HELD_LIFE, 0, machine->life[0]);
	hold(&holding, HELD_CONFIG, 0, upgrade->config);
	hold(&holding, HELD_CONTROL, 0, upgrade->control);
	hold(&holding, HELD_STDIN, 0, STDIN_FILENO);
	hold(&holding, HELD_STDOUT, 0, STDOUT_FILENO);
	hold(&holding, HELD_REPORT, 0, report_descriptor());
	hold_devices(&holding, machine);
	return holding.error ? holding.error : helper_held(upgrade->loop->helper, holding.count);
}
