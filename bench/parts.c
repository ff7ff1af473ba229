// SPDX-License-Identifier: MIT
/*
 * Where the time of link and bind goes: the kernel's functions in them, timed
 * by ftrace's function graph, by the size of the memory. Tracing makes all of
 * them slower; how one grows beside the other is what this tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm_gmem.h>

#include "measure.h"

#define ROUNDS 15
#define TRACING "/sys/kernel/tracing/"

/* In the order in which they are called; the later ones are in the second. */
static const char *const functions[] = {
	"kvm_gmem_link",
	"__kvm_set_memory_region",
	"kvm_gmem_bind",
	"kvm_gmem_prepare_memory_region",
	"kvm_arch_prepare_memory_region",
	"kvm_mmu_init_memslot_memory_attributes",
	"kvm_gmem_commit_memory_region",
	"synchronize_srcu_expedited",
	"kvm_arch_commit_memory_region",
};

#define NR_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static const uint64_t sizes[] = {
	4 * MIB, 64 * MIB, 1 * GIB, 4 * GIB, 64 * GIB,
};

#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Returns -errno where the file is not there or refuses the text. */
static int set_tracing(const char *name, const char *text, int flags)
{
	char path[128];
	int fd, ret = 0;

	snprintf(path, sizeof(path), TRACING "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Some functions are in one kind of modules only. */
static void start_tracing(void)
{
	size_t i;
	int found = 0;

	must(set_tracing("current_tracer", "nop", 0), TRACING "current_tracer");
	must(set_tracing("set_ftrace_filter", "", O_TRUNC), TRACING "set_ftrace_filter");
	for (i = 0; i < NR_FUNCTIONS; i++)
		found += !set_tracing("set_ftrace_filter", functions[i], O_APPEND);
	must(found ? 0 : -ENOENT, "functions to trace");
	must(set_tracing("current_tracer", "function_graph", 0), "function_graph");
	must(set_tracing("options/funcgraph-tail", "1", 0), "funcgraph-tail");
	must(set_tracing("tracing_on", "1", 0), TRACING "tracing_on");
}

/*
 * A line of the function graph that ends a call has its time and, in a leaf's
 * line or in the comment behind the closing brace, its name:
 *	0)   2.345 us    |  kvm_gmem_bind [kvm]();
 */
static void sample_line(const char *line, uint64_t size)
{
	const char *unit = strstr(line, " us ");
	const char *name = strchr(line, '|');
	const char *number = unit;
	size_t i, length;

	if (!unit || !name || unit > name)
		return;
	while (number > line && strchr("0123456789.", number[-1]))
		number--;
	name += strcspn(name, "_abcdefghijklmnopqrstuvwxyz");
	length = strspn(name, "_abcdefghijklmnopqrstuvwxyz");
	for (i = 0; i < NR_FUNCTIONS; i++) {
		if (strlen(functions[i]) == length && !memcmp(name, functions[i], length))
			sample("parts", functions[i], size, strtod(number, NULL) * 1000);
	}
}

static void collect(uint64_t size)
{
	FILE *trace = fopen(TRACING "trace", "re");
	char line[512];

	if (!trace)
		must(-errno, TRACING "trace");
	while (fgets(line, sizeof(line), trace))
		sample_line(line, size);
	fclose(trace);
}

static void link_and_bind(uint64_t size, int source, void *host)
{
	int memfd, vm = create_vm();

	must(set_tracing("trace", "", O_TRUNC), "empty the trace");
	memfd = must(source < 0 ? gmem_memfd_create(vm, size, 0) :
				  gmem_memfd_link(vm, source), "get guest memory");
	bind_private(vm, memfd, size, host);
	collect(size);
	close(memfd);
	close(vm);
}

int main(void)
{
	void *host = reserve_addresses(sizes[NR_SIZES - 1]);
	int sources[NR_SIZES];
	size_t i, round;

	for (i = 0; i < NR_SIZES; i++) {
		sources[i] = -1;
		if (kvm_is_gmem())
			sources[i] = must(gmem_memfd_create(create_vm(), sizes[i], 0),
					  "create guest memory");
	}
	start_tracing();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_SIZES; i++)
			link_and_bind(sizes[i], sources[i], host);
	}
	return 0;
}
