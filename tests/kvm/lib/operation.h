/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An operation on VMs and guest memory inodes, and what comes of it. The plain
 * model (model.h) says what should, the modules (world.h) what did. As text, an
 * operation is a line: its name, and numbers.
 */
#ifndef GMEM_TESTS_OPERATION_H
#define GMEM_TESTS_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "test_util.h"

#define MODEL_VMS	4
#define MODEL_INODES	3
#define MODEL_SLOTS	4
#define MODEL_BLOCK	512UL		/* pages in 2 MiB */
#define MODEL_PAGES	1536UL		/* of a VM's guest, of an inode at most */

/* What the numbers of each are: operation.c. */
enum operation_kind {
	OP_VM, OP_DROP,
	OP_CREATE, OP_LINK, OP_CLOSE,
	OP_SLOT, OP_UNSLOT,
	OP_ATTRIBUTES, OP_CONVERT,
	OP_PUNCH, OP_ALLOCATE,
	OP_POPULATE, OP_FILL, OP_FEED, OP_WRITE,
	OP_SEAL,
	OP_MMAP, OP_MUNMAP,
	OP_MOVE,
	OP_PREFAULT,
	OP_GUEST_READ, OP_GUEST_WRITE,
	OP_EMULATED_READ, OP_EMULATED_WRITE,
	OP_HOST_READ, OP_HOST_WRITE,
	OP_BEHIND_READ, OP_BEHIND_WRITE,
	OP_FACTS,
	OP_COMPARE,
	OPERATIONS
};

#define OPERATION_ARGS	6

struct operation {
	enum operation_kind kind;
	long arg[OPERATION_ARGS];
};

#define OPERATION_LINE	128

/* Into @line, of OPERATION_LINE bytes; from a line, whether it is one. */
void operation_print(const struct operation *op, char *line);
bool operation_parse(struct operation *op, const char *line);

/* Flags of OP_CREATE: fewer bits than those of the ABI. */
#define MODEL_MMAP		1
#define MODEL_INIT_SHARED	2
#define MODEL_WRITE		4

/*
 * Content of a page is a number whose lower 12 bits are 0: word i of the page is
 * that plus i, or 0 in all of the page. A look at a page sees that, or:
 */
enum sight {
	SEES_DEVICE = 1,	/* no memory: KVM_EXIT_MMIO */
	SEES_PRIVATE_FAULT,	/* KVM_EXIT_MEMORY_FAULT of a private gfn */
	SEES_SHARED_FAULT,	/* of a shared one */
	SEES_DEAD_VM,		/* EIO */
	SEES_SIGBUS,
	SEES_PRESENT,		/* no more is asked */
	SEES_ABSENT,
	SEES_TORN,		/* no content that anybody has put there */
	SEES_NONSENSE,		/* an exit or a signal that nothing explains */
};

const char *operation_name(enum operation_kind kind);

/* Into @text, of 32 bytes. */
void sight_print(uint64_t sight, char *text);

static inline uint64_t content_of(uint64_t base, unsigned long page)
{
	return base ? base + (page << 12) : 0;
}

/* Neither the VM, the inode nor the mapping is there that this would be done to. */
#define NOT_DONE	INT64_MIN

/**
 * struct outcome - what comes of an operation
 * @ret: what the call returns, or its negative errno
 * @base: of the content that it brings: content_of() says which page has which
 * @seen: what was seen of each page
 * @nr: of how many pages
 */
struct outcome {
	int64_t ret;
	uint64_t base;
	uint64_t seen[MODEL_PAGES];
	unsigned long nr;
};

#endif /* GMEM_TESTS_OPERATION_H */
