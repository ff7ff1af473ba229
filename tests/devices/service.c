// SPDX-License-Identifier: MIT
/* The messages to a service manager. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/service.h"
#include "unit.h"

static struct sockaddr_un address;
static int manager = -1;

/* A socket of this name, which is in the environment. */
static void listen_at(const char *name, char first)
{
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(name);

	address.sun_family = AF_UNIX;
	strcpy(address.sun_path, name);
	address.sun_path[0] = first;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&address, length), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static int tear_down(void **state)
{
	(void)state;
	if (manager >= 0)
		close(manager);
	manager = -1;
	if (address.sun_path[0])
		unlink(address.sun_path);
	memset(&address, 0, sizeof(address));
	return unsetenv("NOTIFY_SOCKET");
}

static void is_told(void)
{
	char expected[64], message[64] = "";
	int fd = service_open();

	assert_true(fd >= 0);
	assert_true(recv(manager, message, sizeof(message), 0) < 0);
	service_ready(fd);
	assert_true(recv(manager, message, sizeof(message) - 1, 0) > 0);
	snprintf(expected, sizeof(expected), "READY=1\nMAINPID=%d\n", getpid());
	assert_string_equal(message, expected);
	close(fd);
}

static void told_by_a_file(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "/tmp/gmem-service.%d", getpid());
	listen_at(name, '/');
	is_told();
}

static void told_by_a_name(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@gmem-service.%d", getpid());
	listen_at(name, '\0');
	is_told();
}

static void nobody_asks(void **state)
{
	(void)state;
	assert_int_equal(service_open(), -1);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(service_open(), -1);
	service_ready(-1);
}

static void names_that_are_none(void **state)
{
	char name[200];

	(void)state;
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	assert_int_equal(service_open(), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(service_open(), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nonexistent", 1);
	assert_int_equal(service_open(), -ENOENT);
}

/* It is gone, or its queue is full: the VMM goes on. */
static void a_manager_that_does_not_listen(void **state)
{
	char name[64];
	unsigned int i;
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@gmem-service.%d", getpid());
	listen_at(name, '\0');
	fd = service_open();
	assert_true(fd >= 0);
	for (i = 0; i < 10000; i++)
		service_ready(fd);
	close(manager);
	manager = -1;
	service_ready(fd);
	close(fd);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest claims[] = {
		CLAIM(told_by_a_file),
		CLAIM(told_by_a_name),
		CLAIM(nobody_asks),
		CLAIM(names_that_are_none),
		CLAIM(a_manager_that_does_not_listen),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
