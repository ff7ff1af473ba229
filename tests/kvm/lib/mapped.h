/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machines whose memory the host maps too, and what the host does to it.
 */
#ifndef GMEM_TESTS_MAPPED_H
#define GMEM_TESTS_MAPPED_H

#include "machine.h"

#define MMAP_SHARED	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define MMAP_PRIVATE	GUEST_MEMFD_FLAG_MMAP

/* Skips where these modules convert no pages in place. */
void require_convert(void);

/*
 * A machine of a VM of @type on a new inode with @flags, or on the inode behind
 * another VM's view; its slot's userspace_addr is the mapping.
 */
struct machine *mapped_create(uint32_t type, uint64_t npages, uint64_t flags);
struct machine *mapped_link(uint32_t type, int view, uint64_t npages);

/* A mapping of all of a view. */
uint64_t *map_view(int view, uint64_t npages);

/*
 * Touches host memory: 0, or the si_code of the SIGBUS that came, whose address
 * was @p. Any other signal or address fails the claim.
 */
int host_try_load(const volatile uint64_t *p, uint64_t *value);
int host_try_read(const volatile void *p);
int host_try_write(volatile void *p);

/* A page of the host's mapping: patterns as the guest's, see machine.h. */
static inline uint64_t *host_page(struct machine *m, uint64_t page)
{
	return m->host + page * (PAGE_SIZE / sizeof(uint64_t));
}

void host_write(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern);
void host_expect(struct machine *m, uint64_t first, uint64_t n, uint64_t pattern);

/* Reading and writing each of these pages brings SIGBUS. */
void host_expect_sigbus(struct machine *m, uint64_t first, uint64_t n);

/*
 * KVM_SET_MEMORY_ATTRIBUTES2 on a view, by pages: 0, or -1 with errno and, with
 * EAGAIN, the page that is in the way.
 */
int __convert(int view, uint64_t first, uint64_t n, uint64_t attributes, uint64_t *in_the_way);
void make_private(int view, uint64_t first, uint64_t n);
void make_shared(int view, uint64_t first, uint64_t n);

#endif /* GMEM_TESTS_MAPPED_H */
