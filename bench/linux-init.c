// SPDX-License-Identifier: MIT
/*
 * The first process of the Linux guest of bench/linux: it says when it has come so far,
 * and does the work that the kernel's command line names. Static, with the drivers beside it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interface.h"
#include "linux-guest.h"

static void must(int failed, const char *what)
{
	if (!failed)
		return;
	printf("bench: %s: %s\n", what, strerror(errno));
	for (;;)
		pause();
}

static void load(const char *module)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/%s.ko", module);
	fd = open(path, O_RDONLY);
	must(fd < 0 || syscall(SYS_finit_module, fd, "", 0), module);
	close(fd);
}

/* ---- Disk: one request at a time ---- */

static void disk_work(const char *name, int writes, int random_order)
{
	int fd = open("/dev/vda", O_RDWR | O_DIRECT);
	uint64_t blocks = LINUX_DISK / LINUX_BLOCK, i, at;
	void *buffer;

	must(fd < 0, "/dev/vda");
	buffer = mmap(NULL, LINUX_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	must(buffer == MAP_FAILED, "a buffer");
	memset(buffer, 1, LINUX_BLOCK);
	/* Both sides are warm. */
	for (i = 0; i < LINUX_REQUESTS / 10; i++)
		must(pread(fd, buffer, LINUX_BLOCK, i * LINUX_BLOCK) != LINUX_BLOCK, "read");
	printf("bench: begins %s\n", name);
	srandom(1);
	for (i = 0; i < LINUX_REQUESTS; i++) {
		at = (random_order ? (uint64_t)random() % blocks : i) * LINUX_BLOCK;
		if (writes)
			must(pwrite(fd, buffer, LINUX_BLOCK, at) != LINUX_BLOCK, "write");
		else
			must(pread(fd, buffer, LINUX_BLOCK, at) != LINUX_BLOCK, "read");
	}
	printf("bench: ends %s\n", name);
	close(fd);
}

static void disk(void)
{
	load("virtio_blk");
	sleep(LINUX_SETTLES);
	disk_work("read-in-order", 0, 0);
	disk_work("read-random", 0, 1);
	disk_work("write-in-order", 1, 0);
	disk_work("write-random", 1, 1);
}

/* ---- Network: one TCP connection, to the host and back ---- */

static void net(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(LINUX_PORT),
		.sin_addr.s_addr = inet_addr(LINUX_HOST),
	};
	static char buffer[65536];
	uint64_t left;
	int fd;

	load("failover");
	load("net_failover");
	load("virtio_net");
	errno = -interface_up("eth0", LINUX_GUEST);
	must(errno, "eth0");
	sleep(LINUX_SETTLES);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	must(fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
	for (left = LINUX_STREAM; left; ) {
		ssize_t n = write(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer));

		must(n <= 0, "send");
		left -= n;
	}
	for (left = LINUX_STREAM; left; ) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		must(n <= 0, "receive");
		left -= n;
	}
	must(write(fd, buffer, 1) != 1, "send");
	printf("bench: ends net\n");
}

int main(void)
{
	char line[512] = "";
	int fd;

	/* Before all else: this is what a start is timed by. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("bench: userspace\n");
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	fd = open("/proc/cmdline", O_RDONLY);
	must(fd < 0 || read(fd, line, sizeof(line) - 1) < 0, "/proc/cmdline");
	if (strstr(line, "bench=disk"))
		disk();
	if (strstr(line, "bench=net"))
		net();
	for (;;)
		pause();
}
