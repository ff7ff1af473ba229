// SPDX-License-Identifier: MIT
/*
 * The first process of a Linux guest under test: fills memory, says that it is
 * ready, and then checks what a snapshot in between must have kept. With fill=MIB on the kernel's
 * command line it works for bench/snapshot.c: it fills so many MiB, and waits.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096
#define MIB	256UL		/* pages */
#define WORDS	(PAGE / sizeof(uint64_t))

static uint64_t milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000ULL + time.tv_nsec / 1000000;
}

static uint64_t word(uint64_t page, uint64_t i)
{
	return (page * WORDS + i) * 0x9e3779b97f4a7c15ULL;
}

static uint64_t whole_pages(const volatile uint64_t *words, uint64_t pages)
{
	uint64_t page, i, whole = 0;

	for (page = 0; page < pages; page++) {
		for (i = 0; i < WORDS; i++)
			if (words[page * WORDS + i] != word(page, i))
				break;
		whole += i == WORDS;
	}
	return whole;
}

int main(void)
{
	const char *fill = getenv("fill");
	uint64_t pages = (fill ? strtoull(fill, NULL, 10) : 16) * MIB;
	volatile uint64_t *words = malloc(pages * PAGE);
	uint64_t page, i, ready;
	volatile double fraction = 1.5;

	for (page = 0; words && page < pages; page++)
		for (i = 0; i < WORDS; i++)
			words[page * WORDS + i] = word(page, i);
	printf("userspace: filled\n");
	fflush(stdout);
	usleep(20000);		/* the console's driver says the line later */
	ready = milliseconds();
	printf("userspace: ready\n");
	fflush(stdout);
	usleep(10000);		/* a timer is pending */
	printf("userspace: goes on\n");
	fflush(stdout);
	if (fill)
		pause();
	printf("userspace: %lu of %lu pages are whole, floating point is %s\n",
	       words ? whole_pages(words, pages) : 0, pages, fraction == 1.5 ? "whole" : "torn");
	printf("userspace: %lu ms since ready\n", milliseconds() - ready);
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
