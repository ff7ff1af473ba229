/* SPDX-License-Identifier: MIT */
/* What a VMM that a service manager has started tells it: sd_notify(3)'s protocol. */
#ifndef VMM_COMMON_SERVICE_H
#define VMM_COMMON_SERVICE_H

/*
 * Connect to the service manager, while sockets can still be made. A descriptor, -1 where
 * nobody asked to be told, or -errno: a VMM is then none the worse, but for what waits for it.
 */
int service_open(void);

/* The guest is served, and by this process from now on. @fd: of service_open(), any of them. */
void service_ready(int fd);

#endif /* VMM_COMMON_SERVICE_H */
