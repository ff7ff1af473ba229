// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "interface.h"

static int set(int fd, const char *name, unsigned long request, const char *address)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (address) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = inet_addr(address);
	} else {
		ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	}
	return ioctl(fd, request, &ifr) ? -errno : 0;
}

int interface_up(const char *name, const char *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = set(fd, name, SIOCSIFADDR, address);
	if (!ret)
		ret = set(fd, name, SIOCSIFNETMASK, "255.255.255.0");
	if (!ret)
		ret = set(fd, name, SIOCSIFFLAGS, NULL);
	close(fd);
	return ret;
}
