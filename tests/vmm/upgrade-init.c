// SPDX-License-Identifier: MIT
/*
 * The program /work in the first file system of a Linux guest that passes from VMM to VMM: it
 * writes to a disk and reads it again, sends and receives numbers by TCP, looks at its memory, its
 * floating point registers and its clock, and prints a numbered line now and then. A typed line
 * ends it: then it reports what it found. On the host, `init serve PORT` is the other end of the
 * connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		4096UL
#define BLOCKS		256UL	/* of the disk: 1 MiB */
#define WORDS		(BLOCK / sizeof(uint64_t))
#define PAGES		2048UL
#define CHUNK		512UL	/* numbers that are sent at a time */
#define TICK		200000	/* us */

static bool over;
static uint64_t written, wrong_blocks, disk_errors, sent, received, wrong_numbers, rounds;
static uint64_t wrong_pages, torn_floats, steps_back, longest;

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

static uint64_t microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static uint64_t word(uint64_t block, uint64_t generation, uint64_t i)
{
	return (block << 40 ^ generation << 9 ^ i) * 0x9e3779b97f4a7c15ULL;
}

/* ---- The disk: each block's generation is known here, and must be what is read ---- */

static void fill(uint64_t *at, uint64_t block, uint64_t generation)
{
	uint64_t i;

	for (i = 0; i < WORDS; i++)
		at[i] = word(block, generation, i);
}

static bool is_filled(const uint64_t *at, uint64_t block, uint64_t generation)
{
	uint64_t i;

	for (i = 0; i < WORDS; i++)
		if (at[i] != word(block, generation, i))
			return false;
	return true;
}

static void *use_disk(void *data)
{
	static uint64_t generations[BLOCKS];
	int fd = open(data, O_RDWR | O_DIRECT);
	uint64_t *buffer = NULL, n, block;

	if (fd < 0 || posix_memalign((void **)&buffer, BLOCK, BLOCK)) {
		disk_errors++;
		return NULL;
	}
	for (n = 1; !is_over(); n++) {
		block = n * 2654435761U % BLOCKS;
		fill(buffer, block, n);
		if (pwrite(fd, buffer, BLOCK, block * BLOCK) != (ssize_t)BLOCK)
			disk_errors++;
		generations[block] = n;
		written++;
		if (!(n % 16) && fdatasync(fd))
			disk_errors++;
		block = (n * 40503U + 7) % BLOCKS;
		memset(buffer, 0, BLOCK);
		if (pread(fd, buffer, BLOCK, block * BLOCK) != (ssize_t)BLOCK)
			disk_errors++;
		else if (generations[block] && !is_filled(buffer, block, generations[block]))
			wrong_blocks++;
	}
	return NULL;
}

/* ---- A stream of numbers each way ---- */

static void *send_numbers(void *data)
{
	int socket = (intptr_t)data;
	uint64_t numbers[CHUNK], next = 0, i;
	const char *at;
	size_t left;
	ssize_t done;

	while (!is_over()) {
		for (i = 0; i < CHUNK; i++)
			numbers[i] = next++;
		at = (const char *)numbers;
		for (left = sizeof(numbers); left; left -= done, at += done) {
			done = send(socket, at, left, MSG_NOSIGNAL);
			if (done <= 0)
				return NULL;
		}
		sent = next;
		usleep(10000);
	}
	shutdown(socket, SHUT_WR);
	return NULL;
}

static void *receive_numbers(void *data)
{
	int socket = (intptr_t)data;
	uint64_t number;
	size_t used = 0;
	ssize_t got;

	for (;;) {
		got = recv(socket, (char *)&number + used, sizeof(number) - used, 0);
		if (got <= 0)
			return NULL;
		used += got;
		if (used < sizeof(number))
			continue;
		used = 0;
		wrong_numbers += number != received;
		received++;
	}
}

static int connect_to(const char *host, const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(atoi(port)),
		.sin_addr.s_addr = inet_addr(host),
	};
	int fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || !connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		close(fd);
		usleep(100000);
	}
}

/* The other end: until the guest has sent all. */
static int serve(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, one = 1;
	pthread_t sender;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		return 1;
	fd = accept(listener, NULL, NULL);
	if (fd < 0 || pthread_create(&sender, NULL, send_numbers, (void *)(intptr_t)fd))
		return 1;
	receive_numbers((void *)(intptr_t)fd);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(sender, NULL);
	printf("served: %lu numbers came, %lu were wrong\n", received, wrong_numbers);
	return received < CHUNK || wrong_numbers;
}

/* ---- The processor, memory and the clock ---- */

static void *use_floats(void *data)
{
	double sum;
	int i;

	(void)data;
	while (!is_over()) {
		sum = 0;
		for (i = 0; i < 100000; i++)
			sum += i * 0.5;
		torn_floats += sum != 2499975000.0;
	}
	return NULL;
}

static void *use_memory(void *data)
{
	uint64_t *pages = malloc(PAGES * BLOCK), page;

	(void)data;
	for (page = 0; page < PAGES; page++)
		fill(pages + page * WORDS, page, 1);
	for (; !is_over(); rounds++)
		for (page = 0; page < PAGES; page++)
			wrong_pages += !is_filled(pages + page * WORDS, page, 1);
	return NULL;
}

static void *use_clock(void *data)
{
	uint64_t last = microseconds(), now;

	(void)data;
	for (; !is_over(); last = now) {
		now = microseconds();
		steps_back += now < last;
		if (now - last > longest)
			longest = now - last;
		usleep(1000);
	}
	return NULL;
}

static void *print(void *data)
{
	uint64_t n;

	(void)data;
	for (n = 1; !is_over(); n++) {
		printf("guest: tick %lu of the guest, a line that is not torn\n", n);
		usleep(TICK);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static void *(*const parts[])(void *) = { use_floats, use_memory, use_clock, print };
	pthread_t threads[8];
	unsigned int nr = 0, i;
	int socket;
	char line[16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3)
		return serve(argv[2]);
	if (argc != 4)
		return 2;
	socket = connect_to(argv[2], argv[3]);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		pthread_create(&threads[nr++], NULL, parts[i], NULL);
	pthread_create(&threads[nr++], NULL, use_disk, argv[1]);
	pthread_create(&threads[nr++], NULL, send_numbers, (void *)(intptr_t)socket);
	pthread_create(&threads[nr++], NULL, receive_numbers, (void *)(intptr_t)socket);
	printf("guest: ready\n");
	if (!fgets(line, sizeof(line), stdin))
		printf("guest: nothing can be typed\n");
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	printf("guest: disk %lu written %lu wrong %lu errors\n", written, wrong_blocks,
	       disk_errors);
	printf("guest: tcp %lu sent %lu received %lu wrong\n", sent, received, wrong_numbers);
	printf("guest: memory %lu rounds %lu wrong, %lu torn floats\n", rounds, wrong_pages,
	       torn_floats);
	printf("guest: clock %lu steps back, longest gap %lu us\n", steps_back, longest);
	printf("guest: end\n");
	return 0;
}
