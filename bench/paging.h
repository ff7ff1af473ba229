/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that a process of its own serves page by page, and guests that
 * read it.
 */
#ifndef BENCH_PAGING_H
#define BENCH_PAGING_H

#include <pthread.h>

#include "measure.h"

/* What one answer of the ways that answer by more than a page is for. */
#define LARGE (2 * MIB)

/*
 * struct paged - memory that is served
 * @size: bytes
 * @image: its content, for the server
 * @vm: the VM that has it at PRIVATE_GPA, in slot 1
 * @fd: the memory's file
 * @map: where the VMM has it mapped
 * @server: what the server has: a pager or a userfaultfd
 */
struct paged {
	uint64_t size;
	const char *image;
	int vm;
	int fd;
	char *map;
	int server;
};

/*
 * struct way - a way to serve it
 * @set_up: in the VMM's process: all but size, image and VM is set up
 * @serve: in the server's process, until it is killed
 */
struct way {
	const char *name;
	void (*set_up)(struct paged *p);
	void (*serve)(const struct paged *p);
};

extern const struct way ways[];
extern const size_t nr_ways;

/* What the ways of a pager are set up by. */
void set_up_pager(struct paged *p);

/* ---- A guest that reads a word of each page (reader.c) ---- */

/*
 * struct reader - a vCPU and its thread
 * @barrier: where all readers begin
 * @pages: which pages it reads, in this order: guest physical addresses. When it
 *	is done: what each read took, in cycles of the guest's time stamp counter
 * @nr_pages: how many
 * @khz: of that counter
 * @sum: of the words that it read
 * @begin, @end: when it did
 * @switches: how often its thread gave its CPU away meanwhile
 */
struct reader {
	pthread_t thread;
	struct gmem_vcpu vcpu;
	pthread_barrier_t *barrier;
	uint32_t *pages;
	uint32_t nr_pages;
	uint32_t khz;
	uint32_t sum;
	uint64_t begin, end;
	uint64_t switches;
};

/* The guest's code and the readers' pages, as slot 0; returned to be unmapped. */
void *add_reader_memory(int vm);
void remove_reader_memory(void *memory);

/* The vCPU of reader number @number, with room for @nr_pages in @pages. */
void create_reader(struct reader *r, int vm, void *memory, unsigned int number,
		   uint32_t nr_pages);
void start_reader(struct reader *r);
void finish_reader(struct reader *r);

#endif /* BENCH_PAGING_H */
