/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace/events/gmem: what happens to guest memory.
 *
 * An inode is told by its number, as in fstat(2) and fdinfo; a VM by the
 * process that made it.
 */
#if !defined(__KVM_GMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __KVM_GMEM_TRACE_H

#include <linux/tracepoint.h>

#include "../move/tables.h"

#undef TRACE_SYSTEM
#define TRACE_SYSTEM gmem

DECLARE_EVENT_CLASS(gmem_inode,
	TP_PROTO(struct gmem_inode *gi),
	TP_ARGS(gi),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, size)
		__field(u64, flags)
		__field(unsigned int, views)
	),

	TP_fast_assign(
		__entry->ino = gi->vfs_inode.i_ino;
		__entry->size = i_size_read(&gi->vfs_inode);
		__entry->flags = gi->flags;
		__entry->views = atomic_read(&gi->nr_views);
	),

	TP_printk("ino %lu size %llu flags %#llx views %u",
		  __entry->ino, __entry->size, __entry->flags, __entry->views)
);

DEFINE_EVENT(gmem_inode, gmem_create, TP_PROTO(struct gmem_inode *gi), TP_ARGS(gi));
DEFINE_EVENT(gmem_inode, gmem_link, TP_PROTO(struct gmem_inode *gi), TP_ARGS(gi));

TRACE_EVENT(gmem_seal,
	TP_PROTO(struct gmem_inode *gi, u64 seals),
	TP_ARGS(gi, seals),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, seals)
	),

	TP_fast_assign(
		__entry->ino = gi->vfs_inode.i_ino;
		__entry->seals = seals;
	),

	TP_printk("ino %lu seals %#llx", __entry->ino, __entry->seals)
);

DECLARE_EVENT_CLASS(gmem_slot,
	TP_PROTO(struct gmem_view *view, struct kvm_memory_slot *slot),
	TP_ARGS(view, slot),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(pid_t, vm)
		__field(u32, slot)
		__field(u64, pgoff)
		__field(u64, gfn)
		__field(u64, npages)
	),

	TP_fast_assign(
		__entry->ino = view->inode->vfs_inode.i_ino;
		__entry->vm = view->kvm->userspace_pid;
		__entry->slot = (u32)slot->as_id << 16 | (u16)slot->id;
		__entry->pgoff = slot->gmem.pgoff;
		__entry->gfn = slot->base_gfn;
		__entry->npages = slot->npages;
	),

	TP_printk("ino %lu vm %d slot %#x pgoff %#llx gfn %#llx npages %#llx",
		  __entry->ino, __entry->vm, __entry->slot, __entry->pgoff,
		  __entry->gfn, __entry->npages)
);

DEFINE_EVENT(gmem_slot, gmem_bind,
	TP_PROTO(struct gmem_view *view, struct kvm_memory_slot *slot),
	TP_ARGS(view, slot));
DEFINE_EVENT(gmem_slot, gmem_unbind,
	TP_PROTO(struct gmem_view *view, struct kvm_memory_slot *slot),
	TP_ARGS(view, slot));

TRACE_EVENT(gmem_fault,
	TP_PROTO(struct gmem_view *view, pgoff_t pgoff, gfn_t gfn, kvm_pfn_t pfn),
	TP_ARGS(view, pgoff, gfn, pfn),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(pid_t, vm)
		__field(u64, pgoff)
		__field(u64, gfn)
		__field(u64, pfn)
	),

	TP_fast_assign(
		__entry->ino = view->inode->vfs_inode.i_ino;
		__entry->vm = view->kvm->userspace_pid;
		__entry->pgoff = pgoff;
		__entry->gfn = gfn;
		__entry->pfn = pfn;
	),

	TP_printk("ino %lu vm %d pgoff %#llx gfn %#llx pfn %#llx",
		  __entry->ino, __entry->vm, __entry->pgoff, __entry->gfn, __entry->pfn)
);

TRACE_EVENT(gmem_chunk,
	TP_PROTO(struct gmem_inode *gi, pgoff_t pgoff, kvm_pfn_t pfn, bool content),
	TP_ARGS(gi, pgoff, pfn, content),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, pgoff)
		__field(u64, pfn)
		__field(bool, content)
	),

	TP_fast_assign(
		__entry->ino = gi->vfs_inode.i_ino;
		__entry->pgoff = pgoff;
		__entry->pfn = pfn;
		__entry->content = content;
	),

	TP_printk("ino %lu pgoff %#llx pfn %#llx %s", __entry->ino, __entry->pgoff,
		  __entry->pfn, __entry->content ? "content" : "allocated")
);

TRACE_EVENT(gmem_chunk_break,
	TP_PROTO(struct gmem_inode *gi, pgoff_t pgoff),
	TP_ARGS(gi, pgoff),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, pgoff)
	),

	TP_fast_assign(
		__entry->ino = gi->vfs_inode.i_ino;
		__entry->pgoff = pgoff;
	),

	TP_printk("ino %lu pgoff %#llx", __entry->ino, __entry->pgoff)
);

TRACE_EVENT(gmem_invalidate,
	TP_PROTO(struct gmem_view *view, gfn_t start, gfn_t end),
	TP_ARGS(view, start, end),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(pid_t, vm)
		__field(u64, start)
		__field(u64, end)
	),

	TP_fast_assign(
		__entry->ino = view->inode->vfs_inode.i_ino;
		__entry->vm = view->kvm->userspace_pid;
		__entry->start = start;
		__entry->end = end;
	),

	TP_printk("ino %lu vm %d gfn %#llx-%#llx",
		  __entry->ino, __entry->vm, __entry->start, __entry->end)
);

TRACE_EVENT(gmem_convert,
	TP_PROTO(struct gmem_inode *gi, pgoff_t first, pgoff_t last, u64 attributes),
	TP_ARGS(gi, first, last, attributes),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, first)
		__field(u64, last)
		__field(u64, attributes)
	),

	TP_fast_assign(
		__entry->ino = gi->vfs_inode.i_ino;
		__entry->first = first;
		__entry->last = last;
		__entry->attributes = attributes;
	),

	TP_printk("ino %lu pgoff %#llx-%#llx attributes %#llx",
		  __entry->ino, __entry->first, __entry->last, __entry->attributes)
);

TRACE_EVENT(gmem_poison,
	TP_PROTO(struct gmem_inode *gi, pgoff_t pgoff, kvm_pfn_t pfn, unsigned int order),
	TP_ARGS(gi, pgoff, pfn, order),

	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(u64, pgoff)
		__field(u64, pfn)
		__field(unsigned int, order)
	),

	TP_fast_assign(
		__entry->ino = gi->vfs_inode.i_ino;
		__entry->pgoff = pgoff;
		__entry->pfn = pfn;
		__entry->order = order;
	),

	TP_printk("ino %lu pgoff %#llx pfn %#llx order %u",
		  __entry->ino, __entry->pgoff, __entry->pfn, __entry->order)
);

TRACE_EVENT(gmem_move_tables,
	TP_PROTO(struct kvm *dst, struct kvm *src, enum kvm_move_tables_outcome outcome),
	TP_ARGS(dst, src, outcome),

	TP_STRUCT__entry(
		__field(pid_t, dst)
		__field(pid_t, src)
		__field(unsigned int, outcome)
	),

	TP_fast_assign(
		__entry->dst = dst->userspace_pid;
		__entry->src = src->userspace_pid;
		__entry->outcome = outcome;
	),

	TP_printk("vm %d from %d: %s", __entry->dst, __entry->src,
		  __print_symbolic(__entry->outcome,
				   { KVM_MOVE_TABLES_TAKEN, "taken" },
				   { KVM_MOVE_TABLES_NONE, "none" },
				   { KVM_MOVE_TABLES_INVALIDATION, "invalidation" },
				   { KVM_MOVE_TABLES_NX, "nx_huge_pages" },
				   { KVM_MOVE_TABLES_DMA, "noncoherent_dma" },
				   { KVM_MOVE_TABLES_TRACKED, "write_tracking" },
				   { KVM_MOVE_TABLES_MMIO, "mmio_value" },
				   { KVM_MOVE_TABLES_GENERATION, "generation" },
				   { KVM_MOVE_TABLES_ROLES, "roles" },
				   { KVM_MOVE_TABLES_NOMEM, "nomem" }))
);

DECLARE_EVENT_CLASS(gmem_frames,
	TP_PROTO(kvm_pfn_t pfn, unsigned int order),
	TP_ARGS(pfn, order),

	TP_STRUCT__entry(
		__field(u64, pfn)
		__field(unsigned int, order)
	),

	TP_fast_assign(
		__entry->pfn = pfn;
		__entry->order = order;
	),

	TP_printk("pfn %#llx order %u", __entry->pfn, __entry->order)
);

DEFINE_EVENT(gmem_frames, gmem_free,
	TP_PROTO(kvm_pfn_t pfn, unsigned int order),
	TP_ARGS(pfn, order));
DEFINE_EVENT(gmem_frames, gmem_keep,
	TP_PROTO(kvm_pfn_t pfn, unsigned int order),
	TP_ARGS(pfn, order));

#endif /* __KVM_GMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../../virt/kvm/gmem
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
