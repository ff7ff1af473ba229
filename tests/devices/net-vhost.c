// SPDX-License-Identifier: MIT
/* A network card whose frames the host's kernel, which this test plays, carries or can't carry. */
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "driver.h"
#include "net/port.h"
#include "unit.h"
#include "virtio/device.h"
#include "virtio/net.h"
#include "virtio/vhost.h"

#define SIZE	8
#define RX	0
#define TX	1

/* The kernel: what it has, and what it says when it is to have it. */
static struct {
	int says;
	bool runs;
	bool closed;
	unsigned int started;
} kernel;

/* The port: frames that the VMM itself has sent. */
static struct net_port port;
static unsigned int sent;
static bool wanted;

static struct driver driver;

int __wrap_vhost_start(struct vhost *vhost, struct virtio_device *device)
{
	assert_ptr_equal(vhost, &kernel);
	assert_ptr_equal(device, driver.device);
	assert_false(kernel.closed || kernel.runs);
	if (kernel.says)
		return kernel.says;
	kernel.started++;
	kernel.runs = true;
	return 0;
}

void __wrap_vhost_stop(struct vhost *vhost)
{
	if (vhost)
		kernel.runs = false;
}

bool __wrap_vhost_runs(const struct vhost *vhost)
{
	return vhost && kernel.runs;
}

void __wrap_vhost_close(struct vhost *vhost)
{
	if (!vhost)
		return;
	assert_false(kernel.closed);
	kernel.runs = false;
	kernel.closed = true;
}

static int send_frame(struct net_port *to, const struct iovec *iov, unsigned int nr,
		      size_t size)
{
	(void)to;
	(void)iov;
	(void)nr;
	(void)size;
	assert_false(kernel.runs);
	sent++;
	return 0;
}

static size_t receive(struct net_port *from, void *buffer)
{
	(void)from;
	(void)buffer;
	assert_false(kernel.runs);
	return 0;
}

static void want(struct net_port *from, bool frames)
{
	(void)from;
	wanted = frames;
}

static int offload(struct net_port *to, uint64_t features)
{
	(void)to;
	(void)features;
	return 0;
}

static void close_port(struct net_port *closed)
{
	(void)closed;
}

/* @says: what comes of it when the kernel is to have the queues */
static int begin(int says)
{
	static const struct net_port_ops ops = {
		.send = send_frame, .receive = receive, .want = want, .offload = offload,
		.close = close_port,
	};
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 9 };

	memset(&kernel, 0, sizeof(kernel));
	kernel.says = says;
	sent = 0;
	wanted = false;
	port = (struct net_port){ .ops = &ops, .up = true, .vhost = (struct vhost *)&kernel };
	driver_open(&driver);
	port.events = &driver.machine.events;
	assert_int_equal(net_add(&driver.machine, &port, mac, 0), 0);
	driver_take(&driver);
	return driver_start(&driver, ~0ULL, SIZE) != STATUS_OK;
}

static int set_up(void **state)
{
	(void)state;
	return begin(0);
}

static int set_up_without(void **state)
{
	(void)state;
	return begin(-EBUSY);
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&driver);
	assert_true(kernel.closed);
	return 0;
}

static void send_one(void)
{
	driver_desc(&driver, TX, 0, BUFFERS, NET_HEADER + 100, 0, 0);
	driver_go(&driver, TX, 0);
}

static bool answered(void)
{
	uint32_t id, size;

	return driver_used(&driver, TX, &id, &size);
}

static void what_the_kernel_carries_the_vmm_does_not(void **state)
{
	(void)state;
	assert_int_equal(kernel.started, 1);
	assert_false(wanted);
	send_one();
	port.card->frames(port.card);
	port.card->ready(port.card);
	assert_int_equal(sent, 0);
	assert_false(answered());
}

/* From then on it is a card like any other. */
static void where_it_cannot_the_vmm_carries_frames(void **state)
{
	(void)state;
	assert_true(kernel.closed);
	assert_null(port.vhost);
	assert_true(wanted);
	send_one();
	assert_int_equal(sent, 1);
	assert_true(answered());
	/* It is not asked again, also by another driver. */
	kernel.says = 0;
	assert_int_equal(driver_start(&driver, ~0ULL, SIZE), STATUS_OK);
	assert_int_equal(kernel.started, 0);
	send_one();
	assert_int_equal(sent, 2);
}

static void it_has_the_queues_of_a_running_device_alone(void **state)
{
	(void)state;
	driver_write(&driver, REG_STATUS, 0, 1);
	driver_loop(&driver);
	assert_false(kernel.runs);
	assert_int_equal(driver_read(&driver, REG_STATUS, 1), 0);
	assert_int_equal(driver_start(&driver, ~0ULL, SIZE), STATUS_OK);
	assert_true(kernel.runs);
	assert_int_equal(kernel.started, 2);
}

static void it_lets_go_of_them_while_the_machine_is_held(void **state)
{
	(void)state;
	virtio_hold_all(&driver.machine);
	assert_false(kernel.runs);
	driver_ring(&driver, TX);
	driver_loop(&driver);
	assert_false(kernel.runs);
	assert_int_equal(sent, 0);
	virtio_release_all(&driver.machine);
	assert_true(kernel.runs);
	assert_int_equal(kernel.started, 2);
}

/* They are emptied, into nothing. */
static void a_tap_that_is_gone_ends_it(void **state)
{
	(void)state;
	port.up = false;
	port.card->link(port.card);
	assert_false(kernel.runs);
	send_one();
	assert_true(answered());
	assert_int_equal(sent, 1);
	assert_int_equal(kernel.started, 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_the_kernel_carries_the_vmm_does_not),
		cmocka_unit_test_setup_teardown(where_it_cannot_the_vmm_carries_frames,
						set_up_without, tear_down),
		TEST(it_has_the_queues_of_a_running_device_alone),
		TEST(it_lets_go_of_them_while_the_machine_is_held),
		TEST(a_tap_that_is_gone_ends_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
