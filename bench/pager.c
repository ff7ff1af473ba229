// SPDX-License-Identifier: MIT
/*
 * How fast a guest gets pages that another process has to give it, one miss at
 * a time, in order and at random, with 1 and 2 vCPUs: by a pager, and by
 * userfaultfd. A default VM in all cases, the same image, the same pages.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "paging.h"

#define ROUNDS 1
#define SIZE (16 * MIB)
#define NR_PAGES (SIZE / PAGE)
#define MAX_VCPUS 2

static const char *image;
static uint32_t image_sum;

static void make_image(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t page, word;

	if (p == MAP_FAILED)
		must(-1, "memory for the image");
	for (page = 0; page < NR_PAGES; page++) {
		for (word = 0; word < PAGE; word += sizeof(uint32_t))
			*(uint32_t *)(p + page * PAGE + word) = page * 2654435761u + word + 1;
		image_sum += *(uint32_t *)(p + page * PAGE);
	}
	image = p;
}

/* All pages, each once: the same order in every run. */
static void order_pages(uint32_t *pages, int random)
{
	uint32_t seed = 1, i;

	for (i = 0; i < NR_PAGES; i++)
		pages[i] = PRIVATE_GPA + i * PAGE;
	for (i = NR_PAGES - 1; random && i; i--) {
		uint32_t other, page = pages[i];

		seed = seed * 1664525 + 1013904223;
		other = (seed >> 8) % (i + 1);
		pages[i] = pages[other];
		pages[other] = page;
	}
}

static pid_t start_server(const struct way *way, const struct paged *p)
{
	pid_t pid = fork();

	must(pid < 0 ? -1 : 0, "start a server");
	if (!pid) {
		way->serve(p);
		_exit(1);
	}
	return pid;
}

/* Returns how often it gave its CPU away. */
static uint64_t stop_server(pid_t pid)
{
	struct rusage usage;
	int status;

	kill(pid, SIGKILL);
	if (wait4(pid, &status, 0, &usage) != pid || !WIFSIGNALED(status))
		must(-1, "the server ended by itself");
	return usage.ru_nvcsw;
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* How long one read of a page took, of all vCPUs' reads: the median, and what few exceed. */
static void sample_latencies(const char *series, const struct reader *readers,
			     unsigned int nr_vcpus)
{
	uint32_t *cycles = malloc(NR_PAGES * sizeof(*cycles)), nr = 0;
	unsigned int i, j;

	must(cycles ? 0 : -1, "memory for latencies");
	for (i = 0; i < nr_vcpus; i++) {
		for (j = 0; j < readers[i].nr_pages; j++)
			cycles[nr++] = readers[i].pages[j];
	}
	qsort(cycles, nr, sizeof(*cycles), compare);
	sample("pager-p50", series, nr_vcpus, cycles[nr / 2] * 1000000ULL / readers[0].khz);
	sample("pager-p99", series, nr_vcpus, cycles[nr * 99 / 100] * 1000000ULL / readers[0].khz);
	/* Where one answer is for 512 pages, only its first was waited for. */
	sample("pager-p999", series, nr_vcpus,
	       cycles[nr * 999 / 1000] * 1000000ULL / readers[0].khz);
	free(cycles);
}

static void sample_readers(const char *series, const struct reader *readers,
			   unsigned int nr_vcpus, uint64_t server_switches)
{
	uint64_t begin = UINT64_MAX, end = 0, switches = server_switches;
	uint32_t sum = 0;
	unsigned int i;

	for (i = 0; i < nr_vcpus; i++) {
		if (readers[i].begin < begin)
			begin = readers[i].begin;
		if (readers[i].end > end)
			end = readers[i].end;
		switches += readers[i].switches;
		sum += readers[i].sum;
	}
	if (sum != image_sum) {
		fprintf(stderr, "bench: %s: the guest did not read what is in the image\n",
			series);
		exit(1);
	}
	sample("pager", series, nr_vcpus, (end - begin) / NR_PAGES);
	sample("pager-switches", series, nr_vcpus, switches * 1000 / NR_PAGES ? : 1);
	sample_latencies(series, readers, nr_vcpus);
}

static void measure(const struct way *way, unsigned int nr_vcpus, int random)
{
	struct paged p = { .size = SIZE, .image = image, .vm = create_default_vm() };
	uint32_t order[NR_PAGES], part = NR_PAGES / nr_vcpus;
	void *memory = add_reader_memory(p.vm);
	struct reader readers[MAX_VCPUS];
	pthread_barrier_t barrier;
	uint64_t switches;
	char series[64];
	unsigned int i, j;
	pid_t server;

	way->set_up(&p);
	server = start_server(way, &p);
	order_pages(order, random);
	pthread_barrier_init(&barrier, NULL, nr_vcpus);
	for (i = 0; i < nr_vcpus; i++) {
		create_reader(&readers[i], p.vm, memory, i, part);
		readers[i].barrier = &barrier;
		for (j = 0; j < part; j++)
			readers[i].pages[j] = order[i * part + j];
	}
	for (i = 0; i < nr_vcpus; i++)
		start_reader(&readers[i]);
	for (i = 0; i < nr_vcpus; i++)
		finish_reader(&readers[i]);
	switches = stop_server(server);

	snprintf(series, sizeof(series), "%s, %s", way->name, random ? "random" : "in order");
	sample_readers(series, readers, nr_vcpus, switches);

	for (i = 0; i < nr_vcpus; i++)
		gmem_vcpu_close(&readers[i].vcpu);
	pthread_barrier_destroy(&barrier);
	munmap(p.map, SIZE);
	close(p.server);
	close(p.fd);
	close(p.vm);
	remove_reader_memory(memory);
}

int main(void)
{
	unsigned int round, nr_vcpus, i;
	int random;

	/* Stock modules have nothing of it: the other kind of boot has both sides. */
	if (!(gmem_check_extension(kvm_fd(), KVM_CAP_GMEM) & KVM_GMEM_CAP_PAGER_RING))
		return 0;

	make_image();
	for (round = 0; round < ROUNDS; round++) {
		for (random = 0; random <= 1; random++) {
			for (nr_vcpus = 1; nr_vcpus <= MAX_VCPUS; nr_vcpus++) {
				for (i = 0; i < nr_ways; i++)
					measure(&ways[i], nr_vcpus, random);
			}
		}
	}
	return 0;
}
