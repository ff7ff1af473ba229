// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_ENABLE_CAP(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM) on the destination VM.
 *
 * Linux has it for SEV and SEV-ES; that it moves the memory context of any VM
 * with private memory follows an RFC on the KVM list.
 */
#include <linux/file.h>
#include <linux/kvm_host.h>

#include <linux/kvm_gmem.h>

#include "move.h"

/* Does a move without a flag do anything for such a VM? */
static bool kvm_move_has_context(struct kvm *kvm)
{
	switch (kvm->arch.vm_type) {
	case KVM_X86_SW_PROTECTED_VM:
		return true;
	case KVM_X86_DEFAULT_VM:	/* may become one of SEV by KVM_SEV_INIT */
	case KVM_X86_SEV_VM:
	case KVM_X86_SEV_ES_VM:
		return kvm_x86_ops.vm_move_enc_context_from;
	default:
		return false;
	}
}

/**
 * kvm_move_can_move_vcpus() - may vCPUs of such a VM be moved in the kernel?
 * @kvm: the VM, or NULL for some type of VM
 *
 * Context: Any.
 * Return: whether the vendor's code has it and the type keeps no registers
 * from KVM. A default VM may become one of SEV later, which is looked at then.
 */
bool kvm_move_can_move_vcpus(struct kvm *kvm)
{
	return kvm_x86_ops.vcpu_move &&
	       (!kvm || kvm->arch.vm_type == KVM_X86_SW_PROTECTED_VM ||
		kvm->arch.vm_type == KVM_X86_DEFAULT_VM);
}

/**
 * kvm_move_check_extension() - KVM_CHECK_EXTENSION of the capability
 * @kvm: the VM, or NULL for /dev/kvm
 *
 * Context: Any.
 * Return: 1 where a VM of this type can be moved, with a flag or without; on /dev/kvm where
 * any can.
 */
int kvm_move_check_extension(struct kvm *kvm)
{
	return !kvm || kvm_move_has_context(kvm) || kvm_move_can_move_vcpus(kvm);
}

/**
 * kvm_move_context_from() - move another VM's context here
 * @kvm: the destination
 * @cap: args[0] is the source VM's fd, args[1] flags (KVM_MOVE_VCPUS), the others
 *	 are zero
 *
 * Context: VM ioctl of @kvm, no lock held. Waits for vCPUs of both that are in
 * an ioctl.
 * Return: 0, the source being dead; or -errno with nothing changed: -EBADF
 * for what is not a VM's fd; -EINVAL for unknown args, the same VM, another
 * type, or states that do not match; -EIO for a dead VM; -EBUSY where a move of
 * either is in progress, a vCPU is being created, or one is in the midst of an access
 * that waits for a pager; -EINTR.
 */
int kvm_move_context_from(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	unsigned int source_fd = cap->args[0];
	u64 flags = cap->args[1];
	struct kvm *src;
	int r;

	if (cap->args[0] > UINT_MAX)
		return -EBADF;

	if ((flags & ~KVM_MOVE_VCPUS) || cap->args[2] || cap->args[3])
		return -EINVAL;

	if ((flags & KVM_MOVE_VCPUS) && !kvm_move_can_move_vcpus(kvm))
		return -EINVAL;

	if (!flags && !kvm_move_has_context(kvm))
		return -EINVAL;

	CLASS(fd, f)(source_fd);

	if (fd_empty(f) || !file_is_kvm(fd_file(f)))
		return -EBADF;
	src = fd_file(f)->private_data;

	if (flags || kvm->arch.vm_type == KVM_X86_SW_PROTECTED_VM)
		return kvm_move_vms(kvm, src, flags);

	/* With encryption, the vendor locks both and calls back to memory.c. */
	r = kvm_x86_call(vm_move_enc_context_from)(kvm, source_fd);

	/* A source that was moved has lost the context that is asked for first. */
	return r == -EINVAL && src->vm_dead ? -EIO : r;
}
