// SPDX-License-Identifier: MIT
/* A tap interface as a network card's port, in a network namespace of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "one-port.h"
#include "unit.h"

static bool own_network;

static int make_tap(const char *name, int flags, bool keep)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETPERSIST, 1)) {
		close(fd);
		return -errno;
	}
	if (keep)
		return fd;
	close(fd);
	return 0;
}

static void bring_up(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	request.ifr_mtu = 1400;
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
	close(fd);
}

/* Where this user may have no network of its own there is nothing to plug into. */
static void need_network(void)
{
	if (!own_network) {
		print_message("# no network namespace here\n");
		skip();
	}
}

static void a_tap_carries_frames(void **state)
{
	(void)state;
	need_network();
	assert_int_equal(make_tap("t0", IFF_TAP | IFF_NO_PI, false), 0);
	bring_up("t0");
	take(tap_open(&events, "t0", why));
	assert_int_equal(port->mtu, 1400);
	assert_true(port->features & 1ULL << VIRTIO_NET_F_HOST_TSO6);
	assert_int_equal(port->ops->offload(port, port->features), 0);
	assert_int_equal(port->ops->offload(port, 1ULL << VIRTIO_NET_F_GUEST_TSO4), 0);
	assert_int_equal(port->ops->offload(port, 0), 0);
	assert_int_equal(send_as(0, DATA + 40), 0);
	assert_int_equal(send_as(0, NET_HEADER + NET_FRAME_LEAST + 7), 0);
	/* The host's IPv6 says something of itself. */
	until(&received, 1);
	assert_true(sizes[0] > DATA);
}

static void a_tap_that_is_deleted_is_told_once(void **state)
{
	int fd;

	(void)state;
	need_network();
	assert_int_equal(make_tap("t1", IFF_TAP | IFF_NO_PI, false), 0);
	take(tap_open(&events, "t1", why));
	assert_int_equal(system("ip link del t1"), 0);
	until(&links, 1);
	assert_false(port->up);
	for (fd = 0; fd < 5; fd++)
		events_wait(&events, 10);
	assert_int_equal(links, 1);
	assert_int_equal(send_as(0, DATA + 40), 0);
	port->ops->want(port, false);
	port->ops->want(port, true);
	assert_int_equal(port->ops->offload(port, 0), 0);
}

static void refused(const char *name, const char *words)
{
	*why = '\0';
	assert_null(tap_open(&events, name, why));
	if (!strstr(why, words))
		fail_msg("%s", why);
}

static void wrong_interfaces_are_errors(void **state)
{
	int fd;

	(void)state;
	refused("", "no interface can have this name");
	refused("a-name-that-is-too-long", "no interface can have this name");
	refused("missing0", "tap missing0: there is no such interface\n");
	refused("missing0", "as root: ip tuntap add");
	need_network();
	assert_int_equal(if_nametoindex("missing0"), 0);
	refused("lo", "no tap interface");
	assert_int_equal(make_tap("n0", IFF_TUN | IFF_NO_PI, false), 0);
	refused("n0", "no tap interface");
	assert_int_equal(make_tap("m0", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, false), 0);
	refused("m0", "no tap interface");
	fd = make_tap("t2", IFF_TAP | IFF_NO_PI, true);
	assert_true(fd >= 0);
	refused("t2", "another process has it open");
	assert_int_equal(ioctl(fd, TUNSETOWNER, 4242), 0);
	close(fd);
}

static void enter_network(void)
{
	int fd;

	own_network = (!unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET));
	fd = own_network ? make_tap("probe", IFF_TAP | IFF_NO_PI, true) : -1;
	own_network = fd >= 0;
	if (own_network)
		close(fd);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, port_set_up, port_tear_down)
	const struct CMUnitTest claims[] = {
		CLAIM(a_tap_carries_frames),
		CLAIM(a_tap_that_is_deleted_is_told_once),
		CLAIM(wrong_interfaces_are_errors),
	};

	enter_network();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
