/* SPDX-License-Identifier: MIT */
/* Messages from a VMM to the service manager that has started it: sd_notify(3)'s protocol. */
#ifndef VMM_COMMON_SERVICE_H
#define VMM_COMMON_SERVICE_H

/*
 * Connect to the service manager, while sockets can still be made. Returns a descriptor, -1 if
 * nobody asked for messages, or -errno: the VMM can run nevertheless, but the service manager waits
 * in vain.
 */
int service_open(void);

/* The guest is served, and by this process from now on. @fd: of service_open(), any of them. */
void service_ready(int fd);

#endif /* VMM_COMMON_SERVICE_H */
