/* SPDX-License-Identifier: MIT */
/* Network interfaces: the host's and the guest's. */
#ifndef BENCH_INTERFACE_H
#define BENCH_INTERFACE_H

/* Give an interface an IPv4 address, of a /24, and have it up. Returns 0 or -errno. */
int interface_up(const char *name, const char *address);

#endif /* BENCH_INTERFACE_H */
