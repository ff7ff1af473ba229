// SPDX-License-Identifier: GPL-2.0-only
/*
 * An exit to userspace that is not completed: its VMM has not come back with
 * the next KVM_RUN. What it will be completed from and with goes along.
 */
#include <linux/kvm_host.h>

#include "kvm_emulate.h"
#include "x86.h"

#include "vcpus.h"

/*
 * The decoded instruction is full of pointers into itself, and what is left of
 * an MMIO access points into it too: hand over the whole, and take the fresh
 * one in exchange, so that both vCPUs have one to free.
 */
static void kvm_move_swap_emulator(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	struct kvm_vcpu_arch *d = &dst->arch, *s = &src->arch;

	swap(d->emulate_ctxt, s->emulate_ctxt);
	d->emulate_ctxt->vcpu = dst;
	s->emulate_ctxt->vcpu = src;

	d->emulate_regs_need_sync_to_vcpu = s->emulate_regs_need_sync_to_vcpu;
	d->emulate_regs_need_sync_from_vcpu = s->emulate_regs_need_sync_from_vcpu;
}

static void kvm_move_copy_mmio(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	dst->mmio_needed = src->mmio_needed;
	dst->mmio_read_completed = src->mmio_read_completed;
	dst->mmio_is_write = src->mmio_is_write;
	dst->mmio_cur_fragment = src->mmio_cur_fragment;
	dst->mmio_nr_fragments = src->mmio_nr_fragments;

	for (int i = 0; i < ARRAY_SIZE(src->mmio_fragments); i++) {
		struct kvm_mmio_fragment *d = &dst->mmio_fragments[i];
		struct kvm_mmio_fragment *s = &src->mmio_fragments[i];

		*d = *s;
		if (s->data == &s->val)
			d->data = &d->val;
	}
}

/*
 * Of the run page what KVM last told its VMM, and where the answer goes. What
 * the destination's VMM wishes (immediate_exit, registers to synchronize) is
 * its own.
 */
static void kvm_move_copy_run(struct kvm_run *dst, const struct kvm_run *src)
{
	const size_t from = offsetof(struct kvm_run, exit_reason);
	const size_t to = offsetof(struct kvm_run, kvm_valid_regs);

	memcpy((void *)dst + from, (const void *)src + from, to - from);
}

/**
 * kvm_move_copy_exit() - move an exit that is not completed
 * @dst: the destination's vCPU
 * @src: the source's vCPU
 *
 * Context: see vcpus.h. The source's process may be writing to its run page:
 * KVM trusts it no more in the destination than it did in the source.
 */
void kvm_move_copy_exit(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	dst->arch.complete_userspace_io = src->arch.complete_userspace_io;
	src->arch.complete_userspace_io = NULL;

	dst->arch.pio = src->arch.pio;
	memcpy(dst->arch.pio_data, src->arch.pio_data, PAGE_SIZE);
	kvm_move_copy_mmio(dst, src);
	kvm_move_swap_emulator(dst, src);
	kvm_move_copy_run(dst->run, src->run);
}

/**
 * kvm_move_copy_coalesced() - move writes that the VMM has not read yet
 * @dst: the destination
 * @src: the source
 *
 * Context: see vcpus.h.
 */
void kvm_move_copy_coalesced(struct kvm *dst, struct kvm *src)
{
	if (src->coalesced_mmio_ring && dst->coalesced_mmio_ring)
		memcpy(dst->coalesced_mmio_ring, src->coalesced_mmio_ring, PAGE_SIZE);
}
