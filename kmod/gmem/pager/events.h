/* SPDX-License-Identifier: GPL-2.0-only */
/* What a pager is asked for. */
#ifndef __KVM_GMEM_PAGER_EVENTS_H
#define __KVM_GMEM_PAGER_EVENTS_H

#include <linux/list.h>
#include <linux/rbtree.h>

struct gmem_pager;
struct kvm_gmem_event;

/**
 * struct gmem_pager_event - something that the pager is to know
 * @entry: in gmem_pager.unread or gmem_pager.unanswered
 * @node: in gmem_pager.asked or gmem_pager.removed
 * @start: first page offset
 * @nr: pages
 * @type: KVM_GMEM_EVENT_*
 * @flags: KVM_GMEM_FAULT_* or KVM_GMEM_REMOVE_*
 * @place: among those that are being read
 * @vm: who asks, as in fdinfo; 0: the host
 * @when: CLOCK_MONOTONIC
 */
struct gmem_pager_event {
	struct list_head entry;
	struct rb_node node;
	pgoff_t start;
	pgoff_t nr;
	u32 type;
	u32 flags;
	u32 place;
	u32 vm;
	u64 when;
};

/* events.c */
void gmem_events_init(struct gmem_pager *pager);
void gmem_events_free(struct gmem_pager *pager);
struct gmem_pager_event *gmem_event_alloc(u32 type, pgoff_t start, pgoff_t nr);
bool gmem_events_ask(struct gmem_pager *pager, pgoff_t index, struct gmem_pager_event *event);
void gmem_events_answered(struct gmem_pager *pager, pgoff_t start, pgoff_t end);
void gmem_events_add_removal(struct gmem_pager *pager, struct gmem_pager_event *event);
void gmem_events_unread(struct gmem_pager *pager);
bool gmem_events_take(struct gmem_pager *pager, struct kvm_gmem_event *out);
unsigned int gmem_events_begin_read(struct gmem_pager *pager, struct list_head *taken,
				    struct kvm_gmem_event *out, unsigned int max);
void gmem_events_end_read(struct gmem_pager *pager, struct list_head *taken, unsigned int read);

#endif /* __KVM_GMEM_PAGER_EVENTS_H */
