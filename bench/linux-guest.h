/* SPDX-License-Identifier: MIT */
/* What bench/linux and its guest have agreed on. */
#ifndef BENCH_LINUX_GUEST_H
#define BENCH_LINUX_GUEST_H

/* By then the guest has done what Linux leaves for after its start. */
#define LINUX_SETTLES	3	/* seconds */

/* The exits of an idle guest are counted for so long. */
#define LINUX_IDLE	5	/* seconds */

#define LINUX_DISK	(64ULL << 20)
#define LINUX_BLOCK	4096UL
#define LINUX_REQUESTS	2000

#define LINUX_HOST	"10.77.0.1"
#define LINUX_GUEST	"10.77.0.2"
#define LINUX_PORT	7001
#define LINUX_STREAM	(16ULL << 20)	/* bytes, each way */

#endif /* BENCH_LINUX_GUEST_H */
