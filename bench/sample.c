// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "measure.h"

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void sample(const char *measurement, const char *series, uint64_t x, uint64_t ns)
{
	printf("%s\t%s\t%" PRIu64 "\t%" PRIu64 "\n", measurement, series, x, ns);
}

int must(int ret, const char *what)
{
	if (ret >= 0)
		return ret;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-ret));
	exit(1);
}
