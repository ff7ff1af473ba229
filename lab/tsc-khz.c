// SPDX-License-Identifier: MIT
/*
 * tsc-khz: prints the frequency of this machine's time stamp counter, in kHz.
 *
 * The lab's kernel sees the same counter and would measure it against an
 * emulated timer, which goes wrong when the host is loaded: lab/run tells it.
 */
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define WINDOW_NS 20000000
#define TRIES 100

struct moment {
	long long ns;
	unsigned long long tsc;
};

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Both clocks at one moment: of many pairs, the one read in the least time. */
static struct moment read_moment(void)
{
	struct moment best = { 0 };
	long long least = LLONG_MAX;

	for (int i = 0; i < TRIES; i++) {
		long long before = now_ns();
		unsigned long long tsc = __rdtsc();
		long long took = now_ns() - before;

		if (took < least) {
			least = took;
			best.ns = before + took / 2;
			best.tsc = tsc;
		}
	}
	return best;
}

int main(void)
{
	const struct timespec window = { .tv_nsec = WINDOW_NS };
	struct moment first = read_moment(), last;

	nanosleep(&window, NULL);
	last = read_moment();
	printf("%.0f\n", (last.tsc - first.tsc) * 1e6 / (last.ns - first.ns));
	return 0;
}
