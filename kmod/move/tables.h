/* SPDX-License-Identifier: GPL-2.0-only */
/* Stage-2 tables in a move. For the trace events too, hence without the rest of a move. */
#ifndef __KVM_MOVE_TABLES_H
#define __KVM_MOVE_TABLES_H

#include <linux/kvm_host.h>

struct kvm_mmu_page;

/* Whether the destination took the source's stage-2 tables, or why not. */
enum kvm_move_tables_outcome {
	KVM_MOVE_TABLES_TAKEN,
	KVM_MOVE_TABLES_NONE,		/* there are none of inodes' pages */
	KVM_MOVE_TABLES_INVALIDATION,	/* one is in progress in the destination */
	KVM_MOVE_TABLES_NX,		/* nx_huge_pages differs, or is being changed */
	KVM_MOVE_TABLES_DMA,		/* one has devices with non-coherent DMA */
	KVM_MOVE_TABLES_TRACKED,	/* the destination has gfns that are write-protected */
	KVM_MOVE_TABLES_MMIO,		/* entries for MMIO differ */
	KVM_MOVE_TABLES_GENERATION,	/* that of memslots would wrap */
	KVM_MOVE_TABLES_ROLES,		/* several sets of tables for one purpose */
	KVM_MOVE_TABLES_NOMEM,
};

/**
 * struct kvm_move_tables - what taking tables needs
 * @outcome: as far as it is known
 * @nr: how many roots the source has
 * @roots: of the source, and for each a new one of the destination's
 */
struct kvm_move_tables {
	enum kvm_move_tables_outcome outcome;
	int nr;
	struct {
		struct kvm_mmu_page *from;
		struct kvm_mmu_page *to;
	} roots[2 * KVM_MAX_NR_ADDRESS_SPACES];
};

void kvm_move_tables_prepare(struct kvm_move_tables *tables, struct kvm *dst, struct kvm *src);
void kvm_move_tables_commit(struct kvm_move_tables *tables, struct kvm *dst, struct kvm *src);

#endif /* __KVM_MOVE_TABLES_H */
