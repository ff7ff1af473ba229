// SPDX-License-Identifier: MIT
/*
 * libFuzzer's input is a hostile guest: a list of what it does to ports, PCI configuration,
 * registers, MSI-X, its own memory and doorbells of virtio devices, and of what the host does
 * meanwhile: steps of the disk end, frames come, keys are pressed. Some of the guest's actions are
 * well-formed, so that they get beyond the first check.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"
#include "held-disk.h"
#include "port.h"
#include "virtio/balloon.h"
#include "virtio/block.h"
#include "virtio/net.h"
#include "virtio/rng.h"

#define DISK	(1UL << 20)
#define VIEW	77		/* of guest memory, in place of a descriptor */
#define PAGE	4096UL
#define MOST_ACTIONS 400

/* struct input - what is left of it */
struct input {
	const uint8_t *at;
	size_t left;
};

static struct driver driver;
static char disk_path[64];

static uint64_t number(struct input *input, size_t size)
{
	uint64_t value = 0;

	if (size > input->left)
		size = input->left;
	memcpy(&value, input->at, size);
	input->at += size;
	input->left -= size;
	return value;
}

/* ---- In place of KVM, and of a terminal ---- */

static unsigned int typed;

int __wrap_gmem_vm_set_irq(int vm, uint32_t irq, int level)
{
	(void)vm;
	(void)irq;
	(void)level;
	return 0;
}

/* Whole pages of guest memory, and none beside it. */
int __wrap_gmem_punch(int view, uint64_t offset, uint64_t size)
{
	assert(view == VIEW && size && !(offset % PAGE) && !(size % PAGE));
	assert(offset <= MEMORY && size <= MEMORY - offset);
	memset(driver.memory + offset, 0, size);
	return 0;
}

int __wrap_console_read(struct console *console)
{
	(void)console;
	return typed ? 'a' + --typed % 26 : -1;
}

static void choose_device(struct input *input)
{
	driver.device = driver.machine.virtio[number(input, 1) % driver.machine.nr_virtio];
}

/* ---- What it does ---- */

static void read_or_write_register(struct input *input)
{
	uint32_t offset = number(input, 2), size = 1 << (number(input, 1) & 3);
	uint64_t value = number(input, 8);

	if (offset & 0x8000)
		driver_read(&driver, offset & 0x7fff, size);
	else
		driver_write(&driver, offset, value, size);
}

/* Choose the common registers more often than by chance. */
static void write_common(struct input *input)
{
	uint32_t offset = number(input, 1) & 0x3f;
	uint64_t value = number(input, 3);
	uint32_t size = value >> 22 ? 1 << (value >> 22) : 1;

	driver_write(&driver, offset, value & 0xffff, size);
}

static void ports(struct input *input)
{
	uint32_t address = 0x80000000U | (number(input, 1) & 0x1f) << 11 | number(input, 1);
	uint32_t offset = number(input, 1), size = 1 << (offset >> 4 & 1);
	uint32_t value = number(input, 4);

	pci_port_write(&driver.machine.pci, 0, &address, sizeof(address));
	if (offset & 0x20)
		size = 4;
	offset &= 7;
	if (offset + size > PCI_PORTS)
		offset = PCI_PORTS - size;
	if (value & 1)
		pci_port_write(&driver.machine.pci, offset, &value, size);
	else
		pci_port_read(&driver.machine.pci, offset, &value, size);
}

/* Accesses to the PC's devices: several bytes, and across their ends. */
static void pc_ports(struct input *input)
{
	static const uint16_t first[] = { 0x3f8, 0x70, 0x600, 0x64 };
	static union {
		struct kvm_run run;
		uint8_t bytes[sizeof(struct kvm_run) + 64];
	} page;
	struct kvm_run *run = &page.run;
	uint32_t what = number(input, 2), i;

	run->io.data_offset = sizeof(struct kvm_run);
	run->io.port = first[what & 3] + (what >> 2 & 7);
	run->io.size = 1 << (what >> 5 & 3) % 3;
	run->io.count = 1 + (what >> 7 & 15);
	run->io.direction = what >> 11 & 1 ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	for (i = 0; i < 64; i++)
		page.bytes[sizeof(struct kvm_run) + i] = i < 4 ? number(input, 1) :
							 page.bytes[sizeof(struct kvm_run) + i - 4];
	pc_io(&driver.machine.pc, run);
}

static void write_memory(struct input *input)
{
	uint64_t at = number(input, 3) % MEMORY, size = number(input, 1) % 64, i;

	for (i = 0; i < size && at + i < MEMORY; i++)
		driver.memory[at + i] = number(input, 1);
}

static void ring(struct input *input)
{
	driver_ring(&driver, number(input, 1) % driver.device->nr_queues);
}

static void start(struct input *input)
{
	uint64_t features = number(input, 8);

	driver_start(&driver, number(input, 1) & 1 ? features : ~0ULL,
		     1 << number(input, 1) % 9);
}

static void end_step(struct input *input)
{
	static const int errors[] = { EIO, ENOSPC, EOPNOTSUPP, EINTR, EAGAIN, ENOMEM };
	uint32_t nth = number(input, 1), how = number(input, 2);

	if (!held_count())
		return;
	nth %= held_count();
	if (how & 0x8000)
		held_end(nth, -errors[how % 6]);
	else
		held_end(nth, how & 0x4000 ? INT64_MAX : how);
}

/* A well-formed request, with the changes that the input makes. */
static void request(struct input *input)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 0, 1 };
	uint16_t queue = number(input, 1) % driver.device->nr_queues;
	uint16_t head = number(input, 1) % 64, i, nr = number(input, 1) % 4, flags;
	uint32_t which = number(input, 1);
	struct virtio_blk_outhdr header = {
		.type = types[which & 7], .sector = which & 8 ? number(input, 8) :
		number(input, 2),
	};
	uint64_t at = BUFFERS + head * 64, data = BUFFERS + 0x10000 + number(input, 2);
	bool in = !header.type || header.type == VIRTIO_BLK_T_GET_ID;

	if (!driver.size || driver.size > VIRTQ_SIZE)
		return;
	memcpy(driver.memory + at, &header, sizeof(header));
	driver_desc(&driver, queue, head, at, 16, VRING_DESC_F_NEXT, head + 1);
	for (i = 1; i <= nr; i++) {
		flags = VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0);
		driver_desc(&driver, queue, head + i, data,
			    number(input, 1) * (which & 16 ? 512 : 16),
			    flags ^ (which & 0x20 ? number(input, 1) & 7 : 0), head + i + 1);
	}
	driver_desc(&driver, queue, head + nr + 1, at + 32, which & 0x40 ? 0 : 1,
		    VRING_DESC_F_WRITE, number(input, 1));
	driver_offer(&driver, queue, which & 0x80 ? number(input, 2) : head);
}

static void loop(struct input *input)
{
	(void)input;
	driver_loop(&driver);
}

static void drain(struct input *input)
{
	(void)input;
	virtio_drain_all(&driver.machine, 0);
}

static void at_once(struct input *input)
{
	held_at_once(number(input, 1) & 1);
}

/* The image becomes shorter, or as long as it was. */
static void truncate_image(struct input *input)
{
	uint32_t sectors = number(input, 2);

	assert(!truncate(disk_path, sectors < DISK / 512 ? sectors * 512 : DISK));
}

/* ---- What the host does meanwhile ---- */

static void frames(struct input *input)
{
	uint32_t size = number(input, 2);

	if (size < NET_HEADER + NET_FRAME_LEAST)
		size = NET_BUFFER - size;
	port_give(number(input, 1) % 8, size);
}

static void port(struct input *input)
{
	uint8_t what = number(input, 1);

	if (what & 2)
		port_set_link(what & 1);
	else
		port_fill(what & 1);
}

static void set_balloon(struct input *input)
{
	balloon_set_target(&driver.machine, number(input, 3) * PAGE);
}

static void type(struct input *input)
{
	typed = number(input, 1);
	serial_receive(&driver.machine.pc.serial);
}

static void press(struct input *input)
{
	(void)input;
	power_press(&driver.machine);
}

/* Hold the devices, as for a snapshot: no guest memory is touched meanwhile. */
static void hold(struct input *input)
{
	static uint8_t memory[MEMORY];

	(void)input;
	virtio_hold_all(&driver.machine);
	if (virtio_all_idle(&driver.machine)) {
		memcpy(memory, driver.memory, MEMORY);
		driver_loop(&driver);
		assert(!memcmp(memory, driver.memory, MEMORY));
	}
	virtio_release_all(&driver.machine);
}

static void (*const actions[])(struct input *input) = {
	read_or_write_register, write_common, ports, write_memory, ring, start, end_step,
	request, loop, drain, at_once, choose_device, request, loop, end_step, truncate_image,
	pc_ports, frames, port, set_balloon, type, press, hold, frames,
};

/* ---- The machine ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int fd = memfd_create("disk", MFD_CLOEXEC), nowhere;

	(void)argc;
	(void)argv;
	assert(fd >= 0);
	snprintf(disk_path, sizeof(disk_path), "/proc/self/fd/%d", fd);
	held_use(true);
	/* Suppress the program's messages about failing disks, but not libFuzzer's. */
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert(nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0);
	return 0;
}

/* Accept the balloon's pages below that end; the others have no memory. */
static void add_view(int view)
{
	driver.machine.memory[0].slot.shared_fd = view;
	driver.machine.memory[0].slot.private_fd = view;
}

static void add_devices(bool readonly)
{
	static const uint8_t mac[NET_MAC] = { 2, 0, 0, 0, 0, 1 };
	const struct block_options options = {
		.disk = { .path = disk_path, .readonly = readonly }, .serial = "fuzz",
	};
	char why[DISK_WHY];

	assert(!truncate(disk_path, DISK));
	assert(!block_add(&driver.machine, &options, why));
	assert(!rng_add(&driver.machine));
	assert(!net_add(&driver.machine, port_open(&driver.machine.events), mac, 0));
	assert(!balloon_add(&driver.machine));
	driver.device = driver.machine.virtio[0];
}

/* Whatever was done: what is in flight ends, and the device can be reset and used. */
static void is_well(void)
{
	unsigned int i;

	held_at_once(true);
	held_end_all();
	driver_loop(&driver);
	assert(virtio_all_idle(&driver.machine));
	for (i = 0; i < driver.machine.nr_virtio; i++) {
		driver.device = driver.machine.virtio[i];
		/* The guest may have turned its registers off. */
		driver.device->function.config[4] |= 2;
		driver_start(&driver, ~0ULL, 64);
		assert(driver_read(&driver, REG_STATUS, 1) == STATUS_OK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	unsigned int i;
	uint8_t first = number(&input, 1);

	held_forget();
	driver_open(&driver);
	driver.machine.nr_vcpus = 1 + (first >> 5 & 1);
	driver.machine.pc.serial.console = &driver.machine.console;
	rtc_init(&driver.machine.pc.rtc);
	typed = 0;
	add_view(VIEW);
	add_devices(!(first & 15));
	if (!(first & 16))
		driver_start(&driver, ~0ULL, 64);
	for (i = 0; input.left && i < MOST_ACTIONS; i++)
		actions[number(&input, 1) % (sizeof(actions) / sizeof(actions[0]))](&input);
	is_well();
	add_view(-1);
	driver_close(&driver);
	return 0;
}
