// SPDX-License-Identifier: MIT
/*
 * The Virtual I/O Device specification 1.2, 5.2. A request is a header and data to read,
 * then data to write and a byte for the status, cut into descriptors in any way.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/say.h"
#include "machine/machine.h"
#include "virtio/block.h"
#include "virtio/device.h"
#include "virtio/inflight.h"

#define CLASS_STORAGE	0x010000
#define SECTOR_SHIFT	9
#define SECTOR		(1U << SECTOR_SHIFT)
#define MOST_ZEROED	(1U << 21)	/* sectors a range: 1 GiB */
#define CONFIG_SIZE	offsetof(struct virtio_blk_config, max_secure_erase_sectors)
#define BIT(feature)	(1ULL << (feature))

/*
 * struct block_request - a request in flight, by its head
 * @disk: the request to the disk
 * @queue: the queue that it came from
 * @status: where in the guest's memory the status goes
 * @iov, @ranges: what @disk refers to
 */
struct block_request {
	struct disk_request disk;
	uint16_t queue;
	uint8_t *status;
	struct iovec iov[VIRTQ_SEGMENTS];
	struct disk_range ranges[DISK_RANGES];
};

/*
 * struct block_queue - a queue of requests
 * @inflight: the part of the disk's state that the transport does not have: in @own, or in
 *	memory that outlives the process
 * @requests: by head, VIRTQ_SIZE of them
 * @pushed: requests are done that the driver has not been told about
 */
struct block_queue {
	struct inflight *inflight;
	struct inflight own;
	struct block_request *requests;
	bool pushed;
};

/*
 * struct block - a disk of the guest's, with a queue for each vCPU, VIRTIO_QUEUES at most
 * @recovers: it was started with the tables of a process that died
 * @fenced: requests of that process may still be carried out
 */
struct block {
	struct virtio_device device;
	struct disk disk;
	bool recovers;
	bool fenced;
	struct virtio_blk_config config;
	char serial[BLOCK_SERIAL];
	struct block_queue queues[VIRTIO_QUEUES];
};

static struct block *block_of(struct virtio_device *device)
{
	return (struct block *)device;
}

struct inflight *block_inflight(struct virtio_device *device, uint16_t queue)
{
	return block_of(device)->queues[queue].inflight;
}

void block_use_tables(struct virtio_device *device, struct inflight *tables)
{
	struct block *block = block_of(device);
	uint16_t i;

	for (i = 0; i < device->nr_queues; i++) {
		tables[i] = *block->queues[i].inflight;
		block->queues[i].inflight = &tables[i];
	}
}

static void forget_requests(struct block *block)
{
	uint16_t i;

	for (i = 0; i < block->device.nr_queues; i++) {
		inflight_clear(block->queues[i].inflight, 0);
		block->queues[i].pushed = false;
	}
}

int block_descriptor(struct virtio_device *device)
{
	return block_of(device)->disk.fd;
}

/* ---- The end of a request ---- */

/*
 * The driver counts bytes from the first that is to be written, and the status is the last. If data
 * before it is missing, the status does not count.
 */
static void finish(struct block *block, uint16_t index, uint16_t head, uint8_t *status,
		   uint8_t code, uint64_t written, bool whole)
{
	struct virtq *queue = &block->device.queues[index];
	struct block_queue *own = &block->queues[index];

	if (block->device.resetting || queue->broken) {
		inflight_drop(own->inflight, head);
		return;
	}
	*status = code;
	written += whole;
	inflight_push(own->inflight, queue, head,
		      written > UINT32_MAX ? UINT32_MAX : written);
	own->pushed = true;
}

static void done(struct disk *disk, struct disk_request *request)
{
	struct block *block = disk->data;
	struct block_request *own = (struct block_request *)request;
	bool is_read = request->kind == DISK_READ;

	finish(block, own->queue, own - block->queues[own->queue].requests, own->status,
	       request->result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK,
	       is_read ? request->moved : 0, !is_read || request->moved == request->size);
}

static void tell_all(struct block *block)
{
	uint16_t i;

	for (i = 0; i < block->device.nr_queues; i++) {
		if (block->queues[i].pushed)
			virtio_tell(&block->device, i);
		block->queues[i].pushed = false;
	}
}

static void settled(struct disk *disk)
{
	struct block *block = disk->data;

	if (!block->device.resetting) {
		tell_all(block);
	} else if (!disk->in_flight) {
		forget_requests(block);
		virtio_reset_done(&block->device);
	}
}

/* ---- The beginning of a request ---- */

/* Copy the pieces, skipping @skip bytes and taking the next @size bytes. */
static unsigned int cut(const struct iovec *from, unsigned int nr, uint64_t skip,
			uint64_t size, struct iovec *to)
{
	unsigned int count = 0;

	for (; nr && size; nr--, from++) {
		uint64_t part;

		if (skip >= from->iov_len) {
			skip -= from->iov_len;
			continue;
		}
		part = from->iov_len - skip;
		if (part > size)
			part = size;
		to[count++] = (struct iovec){ (char *)from->iov_base + skip, part };
		size -= part;
		skip = 0;
	}
	return count;
}

/* The address of the last byte to be written, or NULL. */
static uint8_t *last_byte(const struct virtq_chain *chain)
{
	const struct iovec *last;

	if (!chain->nr_in)
		return NULL;
	last = &chain->iov[chain->nr_out + chain->nr_in - 1];
	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

/*
 * struct parsed - a request as the driver made it
 * @out, @in: bytes of data to read, and to write without the status
 */
struct parsed {
	const struct virtq_chain *chain;
	uint32_t type;
	uint64_t sector;
	uint64_t out;
	uint64_t in;
};

static int begin_move(struct block *block, struct block_request *own,
		      const struct parsed *parsed)
{
	const struct virtq_chain *chain = parsed->chain;
	struct disk_request *request = &own->disk;
	bool write = parsed->type == VIRTIO_BLK_T_OUT;

	*request = (struct disk_request){
		.kind = write ? DISK_WRITE : DISK_READ, .iov = own->iov,
		.size = write ? parsed->out : parsed->in,
		.durable = write && !virtio_has(&block->device, VIRTIO_BLK_F_FLUSH),
	};
	if (request->size % SECTOR || (write ? parsed->in : parsed->out) ||
	    parsed->sector > UINT64_MAX >> SECTOR_SHIFT)
		return -EINVAL;
	request->offset = parsed->sector << SECTOR_SHIFT;
	if (!disk_holds(&block->disk, request->offset, request->size))
		return -EINVAL;
	request->nr_iov = write ?
		cut(chain->iov, chain->nr_out, sizeof(struct virtio_blk_outhdr), parsed->out,
		    own->iov) :
		cut(chain->iov + chain->nr_out, chain->nr_in, 0, parsed->in, own->iov);
	return disk_begin(&block->disk, request);
}

static int begin_flush(struct block *block, struct block_request *own,
		       const struct parsed *parsed)
{
	if (parsed->out || parsed->in)
		return -EINVAL;
	own->disk = (struct disk_request){ .kind = DISK_FLUSH };
	return disk_begin(&block->disk, &own->disk);
}

static int read_range(const struct block *block, const struct parsed *parsed,
		      unsigned int number, struct disk_range *range)
{
	struct virtio_blk_discard_write_zeroes wire;
	uint32_t flags, allowed = parsed->type == VIRTIO_BLK_T_WRITE_ZEROES ?
				  VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint64_t sector;

	virtq_read(parsed->chain, sizeof(struct virtio_blk_outhdr) + number * sizeof(wire),
		   &wire, sizeof(wire));
	flags = le32toh(wire.flags);
	sector = le64toh(wire.sector);
	if (flags & ~allowed)
		return -EOPNOTSUPP;
	if (le32toh(wire.num_sectors) > MOST_ZEROED || sector > UINT64_MAX >> SECTOR_SHIFT)
		return -EINVAL;
	*range = (struct disk_range){
		.offset = sector << SECTOR_SHIFT,
		.size = (uint64_t)le32toh(wire.num_sectors) << SECTOR_SHIFT, .unmap = flags,
	};
	return disk_holds(&block->disk, range->offset, range->size) ? 0 : -EINVAL;
}

static int begin_ranges(struct block *block, struct block_request *own,
			const struct parsed *parsed)
{
	const uint64_t each = sizeof(struct virtio_blk_discard_write_zeroes);
	bool zero = parsed->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint64_t i, nr = parsed->out / each;

	if (!virtio_has(&block->device, zero ? VIRTIO_BLK_F_WRITE_ZEROES :
			VIRTIO_BLK_F_DISCARD))
		return -EOPNOTSUPP;
	if (parsed->in || parsed->out % each || !nr || nr > DISK_RANGES)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		int ret = read_range(block, parsed, i, &own->ranges[i]);

		if (ret)
			return ret;
	}
	own->disk = (struct disk_request){
		.kind = zero ? DISK_ZERO : DISK_DISCARD, .ranges = own->ranges,
		.nr_ranges = nr,
		.durable = zero && !virtio_has(&block->device, VIRTIO_BLK_F_FLUSH),
	};
	return disk_begin(&block->disk, &own->disk);
}

/* Returns 1: the request is answered already; 0: its end will be reported; or -errno. */
static int tell_serial(struct block *block, const struct parsed *parsed)
{
	if (parsed->out || !parsed->in)
		return -EINVAL;
	virtq_write(parsed->chain, 0, block->serial,
		    parsed->in < BLOCK_SERIAL ? parsed->in : BLOCK_SERIAL);
	return 1;
}

static int begin(struct block *block, struct block_request *own,
		 const struct parsed *parsed)
{
	switch (parsed->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return begin_move(block, own, parsed);
	case VIRTIO_BLK_T_FLUSH:
		return begin_flush(block, own, parsed);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return begin_ranges(block, own, parsed);
	case VIRTIO_BLK_T_GET_ID:
		return tell_serial(block, parsed);
	default:
		return -EOPNOTSUPP;
	}
}

static void serve_taken(struct block *block, const struct virtq_chain *chain)
{
	uint16_t queue = chain->queue - block->device.queues;
	struct block_request *own = &block->queues[queue].requests[chain->head];
	struct virtio_blk_outhdr header;
	struct parsed parsed = { .chain = chain };
	uint8_t *status = last_byte(chain);
	uint64_t written = 0;
	int ret = -EINVAL;

	if (!status) {
		/* There is no room for an answer. */
		inflight_drop(block->queues[queue].inflight, chain->head);
		chain->queue->broken = true;
		return;
	}
	own->queue = queue;
	own->status = status;
	if (chain->out_size >= sizeof(header)) {
		virtq_read(chain, 0, &header, sizeof(header));
		parsed.type = le32toh(header.type);
		parsed.sector = le64toh(header.sector);
		parsed.out = chain->out_size - sizeof(header);
		parsed.in = chain->in_size - 1;
		ret = begin(block, own, &parsed);
	}
	if (!ret)
		return;
	if (ret > 0)
		written = parsed.in < BLOCK_SERIAL ? parsed.in : BLOCK_SERIAL;
	finish(block, queue, chain->head, status,
	       ret > 0 ? VIRTIO_BLK_S_OK :
	       ret == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR,
	       written, written + 1 == chain->in_size);
}

static bool serve(struct virtio_device *device, struct virtq_chain *chain)
{
	struct block *block = block_of(device);
	struct block_queue *queue = &block->queues[chain->queue - device->queues];

	if (inflight_begin(queue->inflight, chain->head))
		serve_taken(block, chain);
	else	/* a request that is not answered yet is offered again */
		chain->queue->broken = true;
	return true;
}

/* ---- What the transport asks for ---- */

static void restored(struct virtio_device *device)
{
	struct block *block = block_of(device);
	uint16_t i;

	/* A guest may reset the disk before it is started here: the reset waits as well. */
	block->fenced = device->recovers && device->machine->nr_fences;
	/* Otherwise the tables are those of the process that died. */
	for (i = 0; !device->recovers && i < device->nr_queues; i++)
		inflight_clear(block->queues[i].inflight, device->now.queues[i].next_used);
}

static void kick(struct virtio_device *device, uint16_t queue)
{
	if (block_of(device)->fenced)
		return;
	virtio_serve(device, queue, serve);
	disk_go(&block_of(device)->disk);
}

/*
 * Issue the requests again that were in flight when the state was saved. If the process died, the
 * requests that were taken are those in the used ring and those in flight.
 */
static int reissue(struct block *block, uint16_t index)
{
	struct virtq *queue = &block->device.queues[index];
	uint16_t heads[VIRTQ_SIZE];
	struct virtq_chain chain;
	int i, nr, ret;

	nr = inflight_recover(block->queues[index].inflight, queue->now.next_used, heads);
	if (nr > 0 && block->recovers)
		queue->now.next_avail = queue->now.next_used + nr;
	for (i = 0; i < nr; i++) {
		ret = virtq_chain_at(queue, heads[i], &chain);
		if (ret)
			return ret;
		serve_taken(block, &chain);
	}
	return nr < 0 || queue->broken ? -EPROTO : 0;
}

static int reissue_all(struct block *block)
{
	int ret = 0;
	uint16_t i;

	for (i = 0; !ret && i < block->device.nr_queues; i++)
		if (!block->device.queues[i].broken)
			ret = reissue(block, i);
	return ret;
}

/*
 * The requests of a process that died may still be carried out: a late read would land in memory
 * that the guest uses for something else by then, and a late write on newer data. Until that is
 * over, issue no request, old or new.
 */
static int start(struct virtio_device *device)
{
	struct block *block = block_of(device);

	block->recovers = device->recovers;
	/* This holds even if the driver has reset the device since. */
	block->fenced = device->machine->nr_fences;
	return block->fenced ? 0 : reissue_all(block);
}

static void unfenced(struct virtio_device *device)
{
	struct block *block = block_of(device);
	uint16_t i;

	if (!block->fenced)
		return;
	block->fenced = false;
	if (device->resetting) {
		settled(&block->disk);
		return;
	}
	if (!device->started)
		return;
	if (reissue_all(block)) {
		device->started = false;
		virtio_fail(device);
		return;
	}
	for (i = 0; i < device->nr_queues; i++)
		kick(device, i);
	tell_all(block);
}

static bool reset(struct virtio_device *device)
{
	struct block *block = block_of(device);

	if (block->disk.in_flight || block->fenced)
		return false;
	forget_requests(block);
	return true;
}

static bool idle(const struct virtio_device *device)
{
	const struct block *block = (const struct block *)device;

	return !block->disk.in_flight && !block->fenced;
}

static int drain(struct virtio_device *device, uint64_t until)
{
	return disk_drain(&block_of(device)->disk, until);
}

/*
 * The image may have another size by now, but the guest's disk keeps its size. Accesses beyond the
 * image are errors, as in the process that died.
 */
static void adopt(struct virtio_device *device, const uint8_t *config)
{
	struct block *block = block_of(device);
	uint64_t capacity;

	memcpy(&capacity, config + offsetof(struct virtio_blk_config, capacity),
	       sizeof(capacity));
	if (le64toh(capacity) > INT64_MAX >> SECTOR_SHIFT)
		return;
	block->config.capacity = capacity;
	block->disk.geometry.size = le64toh(capacity) << SECTOR_SHIFT;
}

static void read_config(struct virtio_device *device, uint32_t offset, void *data,
			uint32_t size)
{
	memcpy(data, (char *)&block_of(device)->config + offset, size);
}

/* If requests do not end, leak their memory. */
static void close_block(struct virtio_device *device)
{
	struct block *block = block_of(device);
	uint16_t i;

	disk_close(&block->disk);
	if (block->disk.in_flight)
		return;
	for (i = 0; i < device->nr_queues; i++)
		free(block->queues[i].requests);
	free(block);
}

/* ---- Setting up ---- */

/*
 * One queue for each vCPU: Linux sends a queue's interrupt to the vCPU whose requests it has. With
 * one queue for several vCPUs, an answer often wakes a vCPU that only has to wake the one that
 * waits for it.
 */
static uint16_t count_queues(const struct machine *machine)
{
	if (!machine->nr_vcpus)
		return 1;
	return machine->nr_vcpus < VIRTIO_QUEUES ? machine->nr_vcpus : VIRTIO_QUEUES;
}

static uint8_t exponent(uint32_t blocks)
{
	return __builtin_ctz(blocks);
}

static void describe(struct block *block)
{
	const struct disk_geometry *geometry = &block->disk.geometry;

	block->config = (struct virtio_blk_config){
		.capacity = htole64(geometry->size >> SECTOR_SHIFT),
		.seg_max = htole32(VIRTQ_SEGMENTS - 2),
		.blk_size = htole32(geometry->block),
		.physical_block_exp = exponent(geometry->physical / geometry->block),
		.min_io_size = htole16(geometry->minimal / geometry->block),
		.opt_io_size = htole32(geometry->optimal / geometry->block),
	};
	block->device.features = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
				 BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH);
	if (block->device.nr_queues > 1) {
		block->config.num_queues = htole16(block->device.nr_queues);
		block->device.features |= BIT(VIRTIO_BLK_F_MQ);
	}
	if (block->disk.readonly) {
		block->device.features |= BIT(VIRTIO_BLK_F_RO);
		return;
	}
	block->device.features |= BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	block->config.max_discard_sectors = htole32(MOST_ZEROED);
	block->config.max_discard_seg = htole32(DISK_RANGES);
	block->config.discard_sector_alignment = htole32(geometry->physical >> SECTOR_SHIFT);
	block->config.max_write_zeroes_sectors = htole32(MOST_ZEROED);
	block->config.max_write_zeroes_seg = htole32(DISK_RANGES);
	block->config.write_zeroes_may_unmap = 1;
}

static int prepare(struct block *block, struct machine *machine,
		   const struct block_options *options, char *why)
{
	uint16_t i, nr = block->device.nr_queues;
	int ret = disk_open(&block->disk, &options->disk, why);

	if (ret)
		return ret;
	block->disk.done = done;
	block->disk.settled = settled;
	block->disk.data = block;
	snprintf(why, DISK_WHY, "it cannot be served");
	for (i = 0; i < nr; i++) {
		block->queues[i].inflight = &block->queues[i].own;
		block->queues[i].requests = calloc(VIRTQ_SIZE, sizeof(struct block_request));
		if (!block->queues[i].requests)
			return -ENOMEM;
	}
	memcpy(block->serial, options->serial, strnlen(options->serial, BLOCK_SERIAL));
	forget_requests(block);
	block->disk.life = machine->life[1];
	return disk_start(&block->disk, nr * VIRTQ_SIZE, &machine->events);
}

int block_add(struct machine *machine, const struct block_options *options, char *why)
{
	static const struct virtio_ops ops = {
		.name = "block", .type = VIRTIO_ID_BLOCK, .class = CLASS_STORAGE,
		.start = start, .kick = kick, .reset = reset, .idle = idle, .drain = drain,
		.restored = restored, .unfenced = unfenced,
		.close = close_block, .adopt = adopt, .read_config = read_config,
	};
	struct block *block = calloc(1, sizeof(*block));
	int ret;

	snprintf(why, DISK_WHY, "there is no memory for it");
	if (!block)
		return -ENOMEM;
	block->device.nr_queues = count_queues(machine);
	block->device.config_size = CONFIG_SIZE;
	ret = prepare(block, machine, options, why);
	if (ret) {
		close_block(&block->device);
		return ret;
	}
	describe(block);
	report("disk", "serial=%s engine=%s", options->serial, block->disk.engine->name);
	return virtio_init(&block->device, &ops, machine);
}
