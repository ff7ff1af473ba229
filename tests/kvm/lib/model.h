/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A plain model of VMs and guest memory inodes: arrays of pages, and the rules of
 * docs/abi.md, host-access.md and move.md in the plainest words. It knows of no
 * caches, page tables, ranges or locks.
 */
#ifndef GMEM_TESTS_MODEL_H
#define GMEM_TESTS_MODEL_H

#include "operation.h"

enum model_page_state {
	MODEL_MISSING,		/* no page */
	MODEL_ALLOCATED,	/* by fallocate: missing, too, but it has its memory */
	MODEL_CONTENT,
};

struct model_page {
	enum model_page_state state;
	uint64_t content;
	bool private;		/* where the inode knows */
};

/**
 * struct model_inode - a guest memory inode
 * @exists: it was created once; its pages go with its last view
 * @flags: MODEL_*
 * @npages: its size
 * @seals: KVM_GMEM_SEAL_*
 * @views: how many are open
 * @mapped: how many of these the host has mapped
 * @pages: its pages
 */
struct model_inode {
	bool exists;
	unsigned int flags;
	unsigned long npages;
	uint64_t seals;
	unsigned int views;
	unsigned int mapped;
	struct model_page pages[MODEL_PAGES];
};

struct model_view {
	bool open;
	bool mapped;
};

/**
 * struct model_slot - a memslot on a view
 * @used: it is there
 * @bound: its view was not closed since
 * @gfn: its first page
 * @npages: its size
 * @inode: on which inode
 * @flags: those of that inode
 * @page: from which page on
 */
struct model_slot {
	bool used;
	bool bound;
	unsigned long gfn;
	unsigned long npages;
	unsigned int inode;
	unsigned int flags;
	unsigned long page;
};

/**
 * struct model_vm - a VM
 * @exists: its fds are open
 * @dead: it was moved away
 * @moved_to: another was moved here
 * @has_run: its vCPU was in KVM_RUN
 * @protected: a software-protected VM; else a default one
 * @private: its attributes
 * @behind: content of the memory at the slots' userspace_addr
 * @views: one for each inode
 * @slots: its memslots
 */
struct model_vm {
	bool exists;
	bool dead;
	bool moved_to;
	bool has_run;
	bool protected;
	bool private[MODEL_PAGES];
	uint64_t behind[MODEL_PAGES];
	struct model_view views[MODEL_INODES];
	struct model_slot slots[MODEL_SLOTS];
};

/**
 * struct model - all of it
 * @vms: VMs
 * @inodes: inodes
 * @contents: how many operations have brought content
 */
struct model {
	struct model_vm vms[MODEL_VMS];
	struct model_inode inodes[MODEL_INODES];
	uint64_t contents;
};

/* Does @op, and says what is to come of it. */
void model_do(struct model *m, const struct operation *op, struct outcome *want);

/* The same for operations on memory: model_memory.c. True if it was one. */
bool model_do_memory(struct model *m, const struct operation *op, struct outcome *want);

/**
 * struct model_place - where a gfn is
 * @sight: what a guest sees there, where it is no memory; else 0
 * @page: the inode's page, NULL: at userspace_addr
 * @slot: the memslot, NULL where there is none
 */
struct model_place {
	enum sight sight;
	struct model_page *page;
	struct model_slot *slot;
};

struct model_place model_look(struct model *m, unsigned int vm, unsigned long gfn);
struct model_slot *model_slot_at(struct model_vm *vm, unsigned long gfn);

/* By its own attributes, for all views: an inode with either flag. */
static inline bool model_knows_private(unsigned int flags)
{
	return flags & (MODEL_MMAP | MODEL_INIT_SHARED);
}

#endif /* GMEM_TESTS_MODEL_H */
