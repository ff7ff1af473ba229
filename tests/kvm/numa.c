// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory policies: they say where a page is placed when it comes, and move none that is
 * there. In a lab with `--append numa=fake=2`.
 */
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "chunks.h"
#include "claims.h"
#include "mapped.h"
#include "populate.h"

#define PAGES		88
#define HERE		0	/* nodes */
#define THERE		1

/* As a nodemask of the system calls, which count its bits one short. */
#define MASK(node)	(1UL << (node))
#define MASK_BITS	(8 * sizeof(unsigned long) + 1)

static void place_on(int node)
{
	unsigned long mask = MASK(node);

	TEST_ASSERT(!syscall(SYS_set_mempolicy, MPOL_BIND, &mask, MASK_BITS),
		    "set_mempolicy: errno %d", errno);
}

static void require_nodes(void)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		claim_skip("there is one node only");
}

/* Where a page of this process is, or -errno. */
static int node_of(void *page)
{
	int status = -1;

	TEST_ASSERT(!syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0),
		    "move_pages: errno %d", errno);
	return status;
}

/**
 * struct placed - a machine's pages on HERE, and others to compare with
 * @m: the machine, whose host has them mapped
 * @others: memory of the kernel's own file system, which moves
 * @entry: of the machine's pages in /proc/self/pagemap
 */
struct placed {
	struct machine *m;
	char *others;
	uint64_t entry[PAGES];
};

static void read_pagemap(struct placed *p, uint64_t *entry)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	off_t at = (uintptr_t)p->m->host / PAGE_SIZE * 8;

	TEST_ASSERT(pread(fd, entry, PAGES * 8, at) == PAGES * 8, "read pagemap");
	close(fd);
	for (int i = 0; i < PAGES; i++)
		entry[i] &= (1ULL << 55) - 1;
}

static void begin(struct placed *p)
{
	require_nodes();
	place_on(HERE);
	p->m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	host_write(p->m, 0, PAGES, 3);
	guest_expect(p->m, 0, PAGES, 3);
	p->others = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(p->others != MAP_FAILED, "mmap");
	memset(p->others, 1, PAGES * PAGE_SIZE);
	for (int i = 0; i < PAGES; i++)
		TEST_ASSERT_EQ(node_of(host_page(p->m, i)), HERE);
	read_pagemap(p, p->entry);
}

/* All are where they were, and what they were; what can be moved was. */
static void end(struct placed *p)
{
	uint64_t entry[PAGES];

	TEST_ASSERT_EQ(node_of(p->others), THERE);
	host_expect(p->m, 0, PAGES, 3);
	guest_expect(p->m, 0, PAGES, 3);
	for (int i = 0; i < PAGES; i++)
		TEST_ASSERT_EQ(node_of(host_page(p->m, i)), HERE);
	read_pagemap(p, entry);
	TEST_ASSERT(!memcmp(entry, p->entry, sizeof(entry)), "a page is another");
}

static long mbind_to(void *p, int node, unsigned int flags)
{
	unsigned long mask = MASK(node);

	return syscall(SYS_mbind, p, PAGES * PAGE_SIZE, MPOL_BIND, &mask, MASK_BITS, flags);
}

static void mbind_moves_none(void)
{
	struct placed p;

	begin(&p);
	TEST_ASSERT(!mbind_to(p.others, THERE, MPOL_MF_MOVE), "mbind: errno %d", errno);
	TEST_ERRNO(mbind_to(p.m->host, THERE, MPOL_MF_MOVE | MPOL_MF_STRICT), EIO);
	TEST_ERRNO(mbind_to(p.m->host, THERE, MPOL_MF_MOVE_ALL | MPOL_MF_STRICT), EIO);
	TEST_ASSERT(!mbind_to(p.m->host, THERE, MPOL_MF_MOVE_ALL), "mbind: errno %d", errno);
	end(&p);
}

static void migrate_pages_moves_none(void)
{
	unsigned long from = MASK(HERE), to = MASK(THERE);
	struct placed p;

	begin(&p);
	TEST_ASSERT(syscall(SYS_migrate_pages, 0, MASK_BITS, &from, &to) >= PAGES,
		    "migrate_pages: errno %d", errno);
	end(&p);
}

static void move_pages_to(char *first, int node, int *status)
{
	void *pages[PAGES];
	int nodes[PAGES];

	for (int i = 0; i < PAGES; i++) {
		pages[i] = first + i * PAGE_SIZE;
		nodes[i] = node;
		status[i] = 1000;
	}
	TEST_ASSERT(syscall(SYS_move_pages, 0, (long)PAGES, pages, nodes, status,
			    MPOL_MF_MOVE_ALL) >= 0, "move_pages: errno %d", errno);
}

static void move_pages_moves_none(void)
{
	int status[PAGES];
	struct placed p;

	begin(&p);
	move_pages_to(p.others, THERE, status);
	TEST_ASSERT_EQ(status[0], THERE);
	move_pages_to((char *)p.m->host, THERE, status);
	for (int i = 0; i < PAGES; i++)
		TEST_ASSERT(status[i] != THERE, "page %d: status %d", i, status[i]);
	end(&p);
}

/* Another process that has them mapped does not matter either. */
static void a_child_s_moves_none(void)
{
	unsigned long from = MASK(HERE), to = MASK(THERE);
	struct placed p;
	int status;
	pid_t pid;

	begin(&p);
	pid = fork();
	if (!pid) {
		host_expect(p.m, 0, PAGES, 3);
		syscall(SYS_migrate_pages, 0, MASK_BITS, &from, &to);
		mbind_to(p.m->host, THERE, MPOL_MF_MOVE_ALL);
		_exit(node_of(p.m->host) == HERE ? 0 : 1);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
	TEST_ASSERT(!status, "the child's status is %#x", status);
	TEST_ASSERT(!mbind_to(p.others, THERE, MPOL_MF_MOVE), "mbind: errno %d", errno);
	end(&p);
}

/* By each way in which a page comes, by turns on both nodes. */
static void who_comes_first_places(void)
{
	struct machine *m;

	require_nodes();
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED | GUEST_MEMFD_FLAG_WRITE);
	for (int page = 0; page < PAGES; page++) {
		int node = page / 5 % 2;
		static char content[PAGE_SIZE];

		place_on(node);
		switch (page % 5) {
		case 0:
			*(volatile uint64_t *)host_page(m, page) = 1;
			break;
		case 1:
			guest_touch(m, page, 1);
			break;
		case 2:
			allocate_pages(m->view, page, 1);
			break;
		case 3:
			TEST_ASSERT_EQ(populate_offset(m->view, page, 1, NULL), 1L);
			break;
		case 4:
			TEST_ASSERT_EQ(pwrite(m->view, content, PAGE_SIZE, page * PAGE_SIZE),
				       (ssize_t)PAGE_SIZE);
			break;
		}
		/* To be asked, it has to be mapped. */
		TEST_ASSERT_EQ(host_try_read(host_page(m, page)), 0);
		TEST_ASSERT(node_of(host_page(m, page)) == node, "page %d is on node %d", page,
			    node_of(host_page(m, page)));
	}
}

/* As many as the kernel takes at once, and more. */
static void many_at_once_too(void)
{
	struct machine *m;

	require_nodes();
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_GMEM) & KVM_GMEM_CAP_POPULATE);
	m = mapped_create(KVM_X86_DEFAULT_VM, PAGES, MMAP_SHARED);
	for (int first = 0; first < PAGES; first += PAGES / 2) {
		int node = first ? THERE : HERE;

		place_on(node);
		TEST_ASSERT_EQ(populate(m, first, PAGES / 2, NULL), PAGES / 2L);
		host_expect(m, first, PAGES / 2, 0);
		for (int page = first; page < first + PAGES / 2; page++)
			TEST_ASSERT(node_of(host_page(m, page)) == node, "page %d is on node %d",
				    page, node_of(host_page(m, page)));
	}
}

/* 2 MiB in one piece go where those who touch them first have their memory. */
static void chunks_by_policy(void)
{
	struct machine *m;

	require_nodes();
	chunks_when("fits");
	m = mapped_create(KVM_X86_DEFAULT_VM, 2 * CHUNK_PAGES, MMAP_SHARED);
	place_on(THERE);
	TEST_ASSERT_EQ(host_try_write(host_page(m, 5)), 0);
	place_on(HERE);
	guest_touch(m, CHUNK_PAGES + 5, 1);
	TEST_ASSERT_EQ(chunks_of(m->view), 2);
	for (uint64_t page = 0; page < 2 * CHUNK_PAGES; page += 11) {
		TEST_ASSERT_EQ(host_try_read(host_page(m, page)), 0);
		TEST_ASSERT_EQ(node_of(host_page(m, page)), page < CHUNK_PAGES ? THERE : HERE);
	}
	machine_free(m);
}

static const struct claim claims[] = {
	CLAIM(mbind_moves_none, "mbind with MPOL_MF_MOVE moves no page: EIO where it must"),
	CLAIM(migrate_pages_moves_none, "nor does migrate_pages"),
	CLAIM(move_pages_moves_none, "nor move_pages"),
	CLAIM(a_child_s_moves_none, "nor a child that has them mapped"),
	CLAIM(who_comes_first_places, "the policy of who has a page allocated places it"),
	CLAIM(many_at_once_too, "also where many pages are populated at once"),
	CLAIM(chunks_by_policy, "2 MiB in one piece are placed by the policy of who touches them"),
};

CLAIMS_MAIN(claims);
