// SPDX-License-Identifier: MIT
/*
 * Boots a Linux guest, and presses its power button when it has asked for that: press
 * KERNEL INITRD COMMAND-LINE. Exits as gmem run does. For tests/boot/machine.
 */
#include <linux/kvm_gmem.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "boot/linux.h"
#include "common/say.h"
#include "common/status.h"
#include "machine/vcpus.h"

static int press(struct machine *machine)
{
	struct vcpus vcpus;
	struct pollfd wait[2];
	int status = EXIT_FAILED;

	if (vcpus_init(&vcpus, machine))
		return EXIT_FAILED;
	machine->console.awaited = "press it";
	wait[0] = (struct pollfd){ .fd = vcpus.ended_fd, .events = POLLIN };
	wait[1] = (struct pollfd){ .fd = vcpus.still_fd, .events = POLLIN };
	if (!vcpus_go(&vcpus) && poll(wait, 2, -1) > 0 && !wait[0].revents) {
		vcpus_stop(&vcpus);
		if (!power_press(machine) && !vcpus_go(&vcpus) && poll(wait, 1, -1) == 1)
			status = vcpus.status;
	}
	vcpus_close(&vcpus);
	return status;
}

int main(int argc, char **argv)
{
	struct linux_guest guest = { .memory = 128 << 20, .cpus = 1 };
	struct machine machine;
	int status, ret;

	if (argc != 4)
		return EXIT_USAGE;
	guest.kernel = argv[1];
	guest.initrd = argv[2];
	guest.command_line = argv[3];
	ret = machine_create(&machine, KVM_X86_DEFAULT_VM);
	if (!ret)
		ret = linux_boot(&machine, &guest);
	status = ret ? machine_say_failed(&machine, ret) : press(&machine);
	machine_close(&machine);
	return status;
}
