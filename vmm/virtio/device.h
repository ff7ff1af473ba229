/* SPDX-License-Identifier: MIT */
/*
 * A virtio device on PCI, without legacy: the transport, which is the same for all.
 *
 * Two threads meet here. vCPUs read and write registers; they hold the device's lock
 * for that and do nothing else. The thread of the main loop serves the queues, and
 * carries out requests from registers: to start, to reset. A queue's addresses do not change while
 * it is enabled, so serving takes no lock.
 */
#ifndef VMM_VIRTIO_DEVICE_H
#define VMM_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/events.h"
#include "devices/msix.h"
#include "devices/pci.h"
#include "virtio/queue.h"

#define VIRTIO_QUEUES	8	/* of a device, at most */
#define VIRTIO_NO_VECTOR 0xffff

struct machine;
struct virtio_device;

/*
 * struct virtio_ops - what a kind of device does. All but @read_config and @write_config
 *	are called by the thread of the main loop.
 * @name: for messages and for the state's section
 * @type: VIRTIO_ID_*
 * @class: PCI class, subclass and interface
 * @start: the driver is ready: features are settled, queues enabled. 0 or -errno
 * @kick: there may be requests in a queue
 * @reset: forget the driver. Returns false where guest memory is still in use: then
 *	virtio_reset_done() follows. Nothing is touched after that
 * @idle: is nothing in flight, so that the state is complete?
 * @drain: wait until nothing is in flight, or CLOCK_MONOTONIC has come to @until ns: 0 or
 *	-ETIMEDOUT. NULL where nothing ever is
 * @hold: accept no input from the host until each queue is kicked; or NULL
 * @restored: the registers were restored, from a device in which nothing was in flight or, with
 *	@recovers, from one whose process died; or NULL
 * @adopt: take over those parts of such a device's configuration that change by themselves; or NULL
 * @unfenced: requests of a process that died can do nothing any more; or NULL
 * @close: let go of what the device has, and free it
 * @read_config, @write_config: within the device's configuration, by a vCPU with the
 *	device's lock held
 */
struct virtio_ops {
	const char *name;
	uint16_t type;
	uint32_t class;
	int (*start)(struct virtio_device *device);
	void (*kick)(struct virtio_device *device, uint16_t queue);
	bool (*reset)(struct virtio_device *device);
	bool (*idle)(const struct virtio_device *device);
	int (*drain)(struct virtio_device *device, uint64_t until);
	void (*hold)(struct virtio_device *device);
	void (*restored)(struct virtio_device *device);
	void (*adopt)(struct virtio_device *device, const uint8_t *config);
	void (*unfenced)(struct virtio_device *device);
	void (*close)(struct virtio_device *device);
	void (*read_config)(struct virtio_device *device, uint32_t offset, void *data,
			    uint32_t size);
	void (*write_config)(struct virtio_device *device, uint32_t offset,
			     const void *data, uint32_t size);
};

/*
 * struct virtio_state - all state of the transport, without its PCI function and MSI-X
 * @reset: the driver waits for a reset; 0 for a device that was idle
 * @queues: as the driver has set them up; for queues that are served, the copy in struct virtq is
 *	newer
 */
struct virtio_state {
	uint64_t driver_features;
	uint32_t device_select;
	uint32_t driver_select;
	uint16_t config_vector;
	uint16_t queue_select;
	uint8_t status;
	uint8_t generation;
	uint8_t isr;
	uint8_t reset;
	struct virtq_state queues[VIRTIO_QUEUES];
};

/*
 * struct virtio_device - a device; kinds of devices have it as their first member
 * @features: what it offers, set before virtio_init()
 * @nr_queues: how many queues, likewise
 * @config_size: of the device's configuration, likewise
 * @lock: guards @now and @asked
 * @now: the registers
 * @asked: the loop must start or reset the device
 * @started: the queues are served; the loop's
 * @resetting: a reset waits for what is in flight; the loop's
 * @recovers: its next start continues where a process died; the loop's
 * @queues: those that are served; the loop's
 * @doorbells: an eventfd for each queue, signalled for requests
 * @attention: an eventfd, signalled when @asked is set
 */
struct virtio_device {
	const struct virtio_ops *ops;
	uint64_t features;
	uint16_t nr_queues;
	uint32_t config_size;
	struct machine *machine;
	struct pci_function function;
	struct msix msix;
	pthread_mutex_t lock;
	struct virtio_state now;
	enum { ASKED_NOTHING, ASKED_START, ASKED_RESET } asked;
	bool started;
	bool resetting;
	bool recovers;
	struct virtq queues[VIRTIO_QUEUES];
	struct event doorbells[VIRTIO_QUEUES];
	struct event attention;
};

/*
 * Put a device on the machine's bus, and let the main loop serve it, before the guest runs. Returns
 * 0 or -errno; the device belongs to the machine in any case.
 */
int virtio_init(struct virtio_device *device, const struct virtio_ops *ops,
		struct machine *machine);

/*
 * Wait until all devices of a machine are idle, or until CLOCK_MONOTONIC has come to @until ns. The
 * vCPUs stand still. 0 or -ETIMEDOUT.
 */
int virtio_drain_all(struct machine *machine, uint64_t until);

/* Are all devices idle? */
bool virtio_all_idle(const struct machine *machine);

/*
 * Touch no guest memory until the release. The vCPUs stand still. Frames and other input for the
 * guest wait in the host meanwhile.
 */
void virtio_hold_all(struct machine *machine);
void virtio_release_all(struct machine *machine);

/* Carry out the registers' requests to the main loop, in its thread. */
void virtio_attend_all(struct machine *machine);

/*
 * Close all devices of a machine whose guest runs no more. Wait for requests in flight until
 * CLOCK_MONOTONIC has come to @until ns, for all devices together, then abandon them.
 */
#define VIRTIO_CLOSE_WAIT	10000000000ULL	/* ns that a disk may take */
void virtio_close_all(struct machine *machine, uint64_t until);

/* Has the driver accepted this feature? Fixed once the device has started. */
bool virtio_has(const struct virtio_device *device, unsigned int feature);

/* Tell the driver about requests pushed to a queue, if it wants to know. */
void virtio_tell(struct virtio_device *device, uint16_t queue);

/* The device's configuration has changed. */
void virtio_config_changed(struct virtio_device *device);

/* The driver violated the specification: it must reset the device. */
void virtio_fail(struct virtio_device *device);

/* The requests that a reset had to wait for have ended. */
void virtio_reset_done(struct virtio_device *device);

/*
 * Serve a queue: call @serve for each request until there is none. @serve returns false if it
 * cannot take the request now: the request is put back, and comes again at the next kick. After
 * many requests, the rest comes in the loop's next turn.
 */
void virtio_serve(struct virtio_device *device, uint16_t queue,
		  bool (*serve)(struct virtio_device *device, struct virtq_chain *chain));

#endif /* VMM_VIRTIO_DEVICE_H */
