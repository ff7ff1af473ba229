// SPDX-License-Identifier: MIT
#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/say.h"
#include "driver.h"

unsigned int interrupts[MSIX_VECTORS];

/* ---- In place of KVM ---- */

int __wrap_gmem_vm_irqfd(int vm, int fd, uint32_t gsi, int on)
{
	(void)vm;
	(void)fd;
	(void)gsi;
	(void)on;
	return 0;
}

int __wrap_gmem_vm_ioeventfd(int vm, int fd, uint64_t address, int on)
{
	(void)vm;
	(void)fd;
	(void)address;
	(void)on;
	return 0;
}

int __wrap_gmem_vm_set_msi_routes(int vm, const struct gmem_msi_route *routes, uint32_t nr)
{
	(void)vm;
	(void)routes;
	(void)nr;
	return 0;
}

/* ---- The machine ---- */

static void add_memory(struct driver *driver, uint64_t gpa, void *host, uint64_t size)
{
	driver->machine.memory[driver->machine.nr_memory++] = (struct machine_memory){
		.slot = { .gpa = gpa, .size = size, .shared_fd = 0, .private_fd = -1 },
		.host = host,
	};
}

/* Its ordinary memory is on the heap, so that an access past its end is found. */
void driver_open(struct driver *driver)
{
	static void *huge;

	*driver = (struct driver){
		.machine = {
			.kvm = -1, .vm = -1, .events.epoll = -1,
			.device_lock = PTHREAD_MUTEX_INITIALIZER,
		},
	};
	assert(!events_open(&driver->machine.events));
	pci_init(&driver->machine.pci);
	driver->machine.pc.present = true;
	driver->memory = calloc(1, MEMORY);
	if (!huge)
		huge = mmap(NULL, HUGE_MEMORY, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(driver->memory && huge != MAP_FAILED);
	add_memory(driver, 0, driver->memory, MEMORY);
	add_memory(driver, HUGE_GPA, huge, HUGE_MEMORY);
	memset(interrupts, 0, sizeof(interrupts));
}

void driver_close(struct driver *driver)
{
	virtio_close_all(&driver->machine, now_ns() + VIRTIO_CLOSE_WAIT);
	events_close(&driver->machine.events);
	free(driver->memory);
}

void driver_take(struct driver *driver)
{
	assert(driver->machine.nr_virtio);
	driver->device = driver->machine.virtio[driver->machine.nr_virtio - 1];
}

/* ---- Registers ---- */

uint64_t driver_read(struct driver *driver, uint32_t offset, uint32_t size)
{
	uint64_t value = 0;

	pci_mmio_read(&driver->machine.pci, pci_bar(&driver->device->function) + offset,
		      &value, size);
	return value;
}

void driver_write(struct driver *driver, uint32_t offset, uint64_t value, uint32_t size)
{
	pci_mmio_write(&driver->machine.pci, pci_bar(&driver->device->function) + offset,
		       &value, size);
}

static uint64_t offered(struct driver *driver)
{
	uint64_t features;

	driver_write(driver, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
	features = driver_read(driver, VIRTIO_PCI_COMMON_DF, 4) << 32;
	driver_write(driver, VIRTIO_PCI_COMMON_DFSELECT, 0, 4);
	return features | driver_read(driver, VIRTIO_PCI_COMMON_DF, 4);
}

static void unmask(struct driver *driver)
{
	uint32_t i;

	for (i = 0; i < driver->device->msix.nr; i++)
		driver_write(driver, REG_TABLE + i * MSIX_ENTRY_SIZE + 12, 0, 4);
	driver->device->msix.enabled = true;
}

void driver_negotiate(struct driver *driver, uint64_t features)
{
	driver_write(driver, REG_STATUS, 0, 1);
	driver_loop(driver);
	driver_write(driver, REG_STATUS, 3, 1);
	driver->features = offered(driver) & (features | 1ULL << VIRTIO_F_VERSION_1);
	driver_write(driver, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	driver_write(driver, VIRTIO_PCI_COMMON_GF, driver->features & 0xffffffff, 4);
	driver_write(driver, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	driver_write(driver, VIRTIO_PCI_COMMON_GF, driver->features >> 32, 4);
	driver_write(driver, REG_STATUS, 0x0b, 1);
	unmask(driver);
}

void driver_set_queue(struct driver *driver, uint16_t queue, uint16_t size, uint64_t desc,
		      uint64_t avail, uint64_t used)
{
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SELECT, queue, 2);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SIZE, size, 2);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_MSIX, queue, 2);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_DESCLO, desc, 8);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_AVAILLO, avail, 8);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_USEDLO, used, 8);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

uint8_t driver_start(struct driver *driver, uint64_t features, uint16_t size)
{
	uint16_t i;

	driver_negotiate(driver, features);
	driver->size = size;
	for (i = 0; i < driver->device->nr_queues; i++) {
		memset(driver->memory + DESC(i), 0, RINGS_SIZE);
		driver->avail[i] = 0;
		driver->used[i] = 0;
		driver_set_queue(driver, i, size, DESC(i), AVAIL(i), USED(i));
	}
	driver_write(driver, REG_STATUS, STATUS_OK, 1);
	driver_loop(driver);
	return driver_read(driver, REG_STATUS, 1);
}

/* ---- Queues ---- */

void driver_indirect(struct driver *driver, uint64_t table, uint16_t i, uint64_t address,
		     uint32_t size, uint16_t flags, uint16_t next)
{
	const struct vring_desc desc = {
		.addr = address, .len = size, .flags = flags, .next = next,
	};

	memcpy(driver->memory + table + i * sizeof(desc), &desc, sizeof(desc));
}

void driver_desc(struct driver *driver, uint16_t queue, uint16_t i, uint64_t address,
		 uint32_t size, uint16_t flags, uint16_t next)
{
	driver_indirect(driver, DESC(queue), i, address, size, flags, next);
}

void driver_offer(struct driver *driver, uint16_t queue, uint16_t head)
{
	struct vring_avail *avail = (void *)(driver->memory + AVAIL(queue));

	avail->ring[driver->avail[queue] % driver->size] = head;
	avail->idx = ++driver->avail[queue];
	/* Behind it: tell at the next used entry. */
	avail->ring[driver->size] = driver->used[queue];
}

void driver_ring(struct driver *driver, uint16_t queue)
{
	uint64_t one = 1;

	assert(write(driver->device->doorbells[queue].fd, &one, sizeof(one)) == sizeof(one));
}

/* Take the interrupts that the devices have raised, as the kernel would. */
static void take_interrupts(struct driver *driver)
{
	uint64_t raised;
	uint32_t i;

	for (i = 0; driver->device && i < driver->device->msix.nr; i++)
		if (read(driver->device->msix.fds[i], &raised, sizeof(raised)) > 0)
			interrupts[i] += raised;
}

void driver_loop(struct driver *driver)
{
	struct pollfd more = { .fd = driver->machine.events.epoll, .events = POLLIN };
	int turns = 0;

	/* A loop that never ends is an error, too. */
	while (poll(&more, 1, 0) > 0) {
		assert(!events_wait(&driver->machine.events, 0));
		assert(++turns < 10000);
	}
	take_interrupts(driver);
}

void driver_go(struct driver *driver, uint16_t queue, uint16_t head)
{
	driver_offer(driver, queue, head);
	driver_ring(driver, queue);
	driver_loop(driver);
}

bool driver_used(struct driver *driver, uint16_t queue, uint32_t *id, uint32_t *size)
{
	const struct vring_used *used = (void *)(driver->memory + USED(queue));
	const struct vring_used_elem *element;

	if (used->idx == driver->used[queue])
		return false;
	element = &used->ring[driver->used[queue]++ % driver->size];
	*id = element->id;
	*size = element->len;
	return true;
}
