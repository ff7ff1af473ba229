// SPDX-License-Identifier: MIT
/* A network card, driven as no driver would, and plugged into a port of the test's. */
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "driver.h"
#include "net/port.h"
#include "unit.h"
#include "virtio/device.h"
#include "virtio/net.h"

#define SIZE	8
#define RX	0
#define TX	1
#define IN	VRING_DESC_F_WRITE
#define NEXT	VRING_DESC_F_NEXT
#define MERGED	(1ULL << VIRTIO_NET_F_MRG_RXBUF)
#define AT(i)	(BUFFERS + (i) * 0x1000UL)

/* The port: what it was given, and what it gives. */
static struct {
	struct net_port port;
	unsigned int sent;		/* frames */
	size_t last;			/* bytes of the last one */
	uint8_t bytes[NET_BUFFER];	/* it */
	bool full;
	bool wanted;
	unsigned int waiting;		/* frames to give */
	size_t size;			/* of each, with its header */
	uint64_t offload;
	bool closed;
	unsigned int more;		/* frames that the driver adds, one after another */
} end;

static struct driver driver;

static int send_frame(struct net_port *port, const struct iovec *iov, unsigned int nr,
		      size_t size)
{
	size_t at = 0;

	assert_ptr_equal(port, &end.port);
	if (end.full)
		return -EAGAIN;
	for (; nr; nr--, iov++) {
		memcpy(end.bytes + at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
	assert_int_equal(at, size);
	end.sent++;
	end.last = size;
	if (end.more) {
		end.more--;
		driver_offer(&driver, TX, 0);
	}
	return 0;
}

static size_t receive(struct net_port *port, void *buffer)
{
	size_t i;

	(void)port;
	if (!end.waiting)
		return 0;
	end.waiting--;
	memset(buffer, 0, NET_HEADER);
	for (i = NET_HEADER; i < end.size; i++)
		((uint8_t *)buffer)[i] = i % 251;
	return end.size;
}

static void want(struct net_port *port, bool frames)
{
	(void)port;
	end.wanted = frames;
}

static int offload(struct net_port *port, uint64_t features)
{
	(void)port;
	end.offload = features;
	return 0;
}

static void close_port(struct net_port *port)
{
	(void)port;
	end.closed = true;
}

static const struct net_port_ops ops = {
	.send = send_frame, .receive = receive, .want = want, .offload = offload,
	.close = close_port,
};

static const uint8_t mac[] = { 2, 0, 0, 0, 0, 9 };

static int set_up(void **state)
{
	(void)state;
	memset(&end, 0, sizeof(end));
	end.port = (struct net_port){ .ops = &ops, .up = true, .mtu = 1400 };
	driver_open(&driver);
	end.port.events = &driver.machine.events;
	assert_int_equal(net_add(&driver.machine, &end.port, mac, 0), 0);
	driver_take(&driver);
	return driver_start(&driver, MERGED, SIZE) != STATUS_OK;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&driver);
	assert_true(end.closed);
	return 0;
}

static void give(unsigned int frames, size_t size)
{
	end.waiting = frames;
	end.size = NET_HEADER + size;
	end.port.card->frames(end.port.card);
}

static void add_buffer(uint16_t i, uint32_t size)
{
	memset(driver.memory + AT(i), 0xee, 0x1000);
	driver_desc(&driver, RX, i, AT(i), size, IN, 0);
	driver_go(&driver, RX, i);
}

static void used(uint16_t queue, uint32_t id, uint32_t size)
{
	uint32_t got_id = ~0, got_size = ~0;

	assert_true(driver_used(&driver, queue, &got_id, &got_size));
	assert_int_equal(got_id, id);
	assert_int_equal(got_size, size);
}

static void none_used(uint16_t queue)
{
	uint32_t id, size;

	assert_false(driver_used(&driver, queue, &id, &size));
}

static uint16_t buffers_of(uint16_t i)
{
	uint16_t nr;

	memcpy(&nr, driver.memory + AT(i) + 10, sizeof(nr));
	return nr;
}

/* ---- Configuration ---- */

static void the_configuration_is_told(void **state)
{
	(void)state;
	assert_int_equal(driver_read(&driver, REG_CONFIG, 1), 2);
	assert_int_equal(driver_read(&driver, REG_CONFIG + 4, 2), 0x0900);
	assert_int_equal(driver_read(&driver, REG_CONFIG + 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(driver_read(&driver, REG_CONFIG + 10, 2), 1400);
	/* Behind it there is nothing. */
	assert_int_equal(driver_read(&driver, REG_CONFIG + 12, 4), 0);
	assert_int_equal(driver_read(&driver, REG_CONFIG + 10, 4), 0);
	driver_write(&driver, REG_CONFIG, 0xff, 1);
	assert_int_equal(driver_read(&driver, REG_CONFIG, 1), 2);
}

static void a_link_that_goes_down_is_told(void **state)
{
	unsigned int before;

	(void)state;
	driver_write(&driver, 0x10, 2, 2);	/* the configuration's vector */
	before = interrupts[2];
	end.port.up = false;
	end.port.card->link(end.port.card);
	driver_loop(&driver);
	assert_int_equal(driver_read(&driver, REG_CONFIG + 6, 2), 0);
	assert_int_equal(interrupts[2], before + 1);
}

static void addresses_are_made_from_names(void **state)
{
	uint8_t one[NET_MAC], same[NET_MAC], other[NET_MAC];

	(void)state;
	net_mac("web", one);
	net_mac("web", same);
	net_mac("db", other);
	assert_memory_equal(one, same, NET_MAC);
	assert_memory_not_equal(one, other, NET_MAC);
	assert_int_equal(one[0] & 3, 2);
	assert_int_equal(other[0] & 3, 2);
}

/* ---- From the guest ---- */

static void send_one(uint16_t head, uint32_t size)
{
	driver_desc(&driver, TX, head, AT(head), NET_HEADER, NEXT, head + 1);
	driver_desc(&driver, TX, head + 1, AT(head) + NET_HEADER, size, 0, 0);
	driver_go(&driver, TX, head);
}

static void a_frame_is_sent(void **state)
{
	(void)state;
	memset(driver.memory + AT(0), 0x5a, 200);
	send_one(0, 100);
	assert_int_equal(end.sent, 1);
	assert_int_equal(end.last, NET_HEADER + 100);
	assert_memory_equal(end.bytes, driver.memory + AT(0), end.last);
	used(TX, 0, 0);
}

static void a_full_port_stops_the_queue(void **state)
{
	(void)state;
	end.full = true;
	send_one(0, 100);
	send_one(2, 101);
	none_used(TX);
	assert_int_equal(driver.device->queues[TX].now.next_avail, 0);
	end.full = false;
	end.port.card->ready(end.port.card);
	used(TX, 0, 0);
	used(TX, 2, 0);
	assert_int_equal(end.sent, 2);
	assert_int_equal(end.last, NET_HEADER + 101);
}

static void what_is_no_frame_goes_nowhere(void **state)
{
	static const uint32_t sizes[] = { 0, 1, NET_HEADER, NET_HEADER + NET_FRAME_LEAST - 1 };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		driver_desc(&driver, TX, 0, AT(0), sizes[i], 0, 0);
		driver_go(&driver, TX, 0);
		used(TX, 0, 0);
	}
	driver_desc(&driver, TX, 0, HUGE_GPA, 0xffffffff, 0, 0);
	driver_go(&driver, TX, 0);
	used(TX, 0, 0);
	driver_desc(&driver, TX, 0, BUFFERS, NET_BUFFER + 1, 0, 0);
	driver_go(&driver, TX, 0);
	used(TX, 0, 0);
	/* A buffer to write to is nothing to send. */
	driver_desc(&driver, TX, 0, AT(0), 100, IN, 0);
	driver_go(&driver, TX, 0);
	used(TX, 0, 0);
	assert_int_equal(end.sent, 0);
	driver_desc(&driver, TX, 0, BUFFERS, NET_BUFFER, 0, 0);
	driver_go(&driver, TX, 0);
	assert_int_equal(end.sent, 1);
}

/* Another vCPU adds one for each that is served: others of the loop have their turn. */
static void a_driver_that_never_ends_has_its_turn(void **state)
{
	(void)state;
	driver_desc(&driver, TX, 0, AT(0), 100, 0, 0);
	end.more = 5000;
	driver_offer(&driver, TX, 0);
	driver_ring(&driver, TX);
	assert_int_equal(events_wait(&driver.machine.events, 0), 0);
	assert_true(end.sent > 0 && end.sent < 5000);
	driver_loop(&driver);
	assert_int_equal(end.sent, 5001);
}

/* ---- To the guest ---- */

static void a_frame_fills_a_buffer(void **state)
{
	(void)state;
	add_buffer(0, 0x1000);
	assert_true(end.wanted);
	give(1, 200);
	used(RX, 0, NET_HEADER + 200);
	assert_int_equal(buffers_of(0), 1);
	assert_int_equal(driver.memory[AT(0) + 100], 100 % 251);
	assert_int_equal(driver.memory[AT(0) + NET_HEADER + 200], 0xee);
}

static void a_large_frame_is_spread(void **state)
{
	(void)state;
	add_buffer(0, 100);
	add_buffer(1, 50);
	add_buffer(2, 100);
	give(1, 188);
	used(RX, 0, 100);
	used(RX, 1, 50);
	used(RX, 2, 50);
	assert_int_equal(buffers_of(0), 3);
	assert_int_equal(driver.memory[AT(2)], 150 % 251);
	assert_int_equal(driver.memory[AT(2) + 50], 0xee);
}

/* The driver sees all buffers of a frame, or none: nothing is used before the last is there. */
static void a_frame_waits_for_buffers(void **state)
{
	(void)state;
	add_buffer(0, 100);
	give(2, 188);
	none_used(RX);
	assert_false(end.wanted);
	assert_int_equal(driver.device->queues[RX].now.next_avail, 0);
	assert_int_equal(end.waiting, 1);
	add_buffer(1, 200);
	used(RX, 0, 100);
	used(RX, 1, 100);
	none_used(RX);
	assert_false(end.wanted);
	add_buffer(2, 0x1000);
	used(RX, 2, 200);
	assert_true(end.wanted);
}

static void a_frame_too_large_for_the_ring_is_lost(void **state)
{
	uint16_t i;

	(void)state;
	for (i = 0; i < SIZE; i++)
		add_buffer(i, 0x1000);
	give(2, 0x1000 * SIZE);
	none_used(RX);
	assert_true(end.wanted);
	give(1, 300);
	used(RX, 0, NET_HEADER + 300);
}

static void without_merging_a_buffer_has_all_or_nothing(void **state)
{
	(void)state;
	assert_int_equal(driver_start(&driver, 0, SIZE), STATUS_OK);
	assert_int_equal(end.offload & MERGED, 0);
	add_buffer(0, 100);
	add_buffer(1, 100);
	give(1, 89);
	none_used(RX);
	give(1, 88);
	used(RX, 0, 100);
	assert_int_equal(buffers_of(0), 1);
}

static void a_buffer_without_room_for_the_header_needs_a_reset(void **state)
{
	(void)state;
	add_buffer(0, NET_HEADER - 1);
	give(1, 100);
	none_used(RX);
	assert_false(end.wanted);
	assert_true(driver_read(&driver, REG_STATUS, 1) & STATUS_RESET);
	/* ... and gets one. */
	assert_int_equal(driver_start(&driver, MERGED, SIZE), STATUS_OK);
	add_buffer(0, 0x1000);
	give(1, 100);
	used(RX, 0, NET_HEADER + 100);
}

static void buffers_outside_memory_need_a_reset(void **state)
{
	(void)state;
	driver_desc(&driver, RX, 0, MEMORY - 10, 100, IN, 0);
	driver_go(&driver, RX, 0);
	give(1, 100);
	assert_true(driver_read(&driver, REG_STATUS, 1) & STATUS_RESET);
	end.port.card->ready(end.port.card);
	give(1, 100);
	none_used(RX);
}

/* For a snapshot: memory stays as it is, and what comes meanwhile is there afterwards. */
static void while_it_is_held_nothing_is_touched(void **state)
{
	(void)state;
	add_buffer(0, 0x1000);
	virtio_hold_all(&driver.machine);
	assert_false(end.wanted);
	give(1, 200);
	none_used(RX);
	assert_int_equal(driver.memory[AT(0) + 100], 0xee);
	assert_int_equal(end.waiting, 1);
	send_one(4, 100);
	end.port.card->ready(end.port.card);
	driver_loop(&driver);
	none_used(TX);
	assert_int_equal(end.sent, 0);
	virtio_release_all(&driver.machine);
	driver_loop(&driver);
	used(RX, 0, NET_HEADER + 200);
	used(TX, 4, 0);
	assert_int_equal(end.sent, 1);
	assert_true(end.wanted);
}

static void a_reset_forgets_a_frame_that_waits(void **state)
{
	(void)state;
	give(1, 100);
	assert_int_equal(end.waiting, 0);
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	assert_false(end.wanted);
	give(1, 100);			/* nobody is there */
	assert_int_equal(end.waiting, 1);
	end.waiting = 0;
	assert_int_equal(driver_start(&driver, MERGED, SIZE), STATUS_OK);
	add_buffer(0, 0x1000);
	none_used(RX);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest claims[] = {
		CLAIM(the_configuration_is_told),
		CLAIM(a_link_that_goes_down_is_told),
		CLAIM(addresses_are_made_from_names),
		CLAIM(a_frame_is_sent),
		CLAIM(a_full_port_stops_the_queue),
		CLAIM(what_is_no_frame_goes_nowhere),
		CLAIM(a_driver_that_never_ends_has_its_turn),
		CLAIM(a_frame_fills_a_buffer),
		CLAIM(a_large_frame_is_spread),
		CLAIM(a_frame_waits_for_buffers),
		CLAIM(a_frame_too_large_for_the_ring_is_lost),
		CLAIM(without_merging_a_buffer_has_all_or_nothing),
		CLAIM(a_buffer_without_room_for_the_header_needs_a_reset),
		CLAIM(buffers_outside_memory_need_a_reset),
		CLAIM(a_reset_forgets_a_frame_that_waits),
		CLAIM(while_it_is_held_nothing_is_touched),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
