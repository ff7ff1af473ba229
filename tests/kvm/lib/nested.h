/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest (L1) that runs a guest of its own (L2), by either vendor's virtualization: nested page
 * tables in the machine's pages, and runs of L1 that L2 interrupts.
 */
#ifndef GMEM_TESTS_NESTED_H
#define GMEM_TESTS_NESTED_H

#include <stdint.h>

#include "machine.h"

#define L2_PORT		0x77

/**
 * struct l2_tables - L1's nested page tables
 * @first: the first of four machine's pages, of which each is one level's, the root's first
 * @pages: how many pages the machine has
 * @table: what an entry has that points to a table
 * @leaf: likewise, to a page
 * @large: what one to a large page has besides
 */
struct l2_tables {
	uint64_t first;
	uint64_t pages;
	uint64_t table;
	uint64_t leaf;
	uint64_t large;
};

/*
 * In the guest: L2's physical addresses become L1's. The first 1 GiB, where the library's memory
 * is, is mapped by a large page; the machine's pages, from 4 GiB on, by a table of small ones.
 */
void l2_tables_build(const struct l2_tables *tables);

/* In the guest: a table, by the machine's page that it is in. */
uint64_t *l2_table(uint64_t page);

/* Nothing is at userspace_addr: all of it is in a file that the host maps, and private. */
struct machine *l2_in_place(uint64_t npages);

/*
 * In such a machine: runs @l1, which adds 20 to 100 in page @data by L2, @rounds times, by turns
 * with all memory private and shared.
 */
void l2_runs_in_place(void *l1, uint64_t npages, uint64_t data, int rounds);

/* Runs @l1 to where its L2 writes to L2_PORT. */
void l2_run_to_port(struct machine *m, void *l1);

/* From there to the end, which has to be with @expected. */
void l2_run_to_end(struct machine *m, uint64_t expected);

#endif /* GMEM_TESTS_NESTED_H */
