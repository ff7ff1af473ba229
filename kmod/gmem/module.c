// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's start and end, and what it tells of itself.
 */
#include <linux/module.h>

#include "../move/move.h"
#include "arch.h"
#include "gmem.h"
#include "inode.h"
#include "invalidate.h"
#include "put_vm.h"
#include "view.h"
#include "version.h"

MODULE_VERSION(GMEM_VERSION);

/**
 * kvm_gmem_init() - set the engine up
 * @module: the vendor module that initializes KVM
 *
 * Context: Module load, before /dev/kvm is there.
 * Return: 0 or -errno.
 */
int kvm_gmem_init(struct module *module)
{
	int r = gmem_ranges_init();

	if (r)
		return r;

	r = gmem_put_init(module);
	if (r)
		goto err_ranges;
	r = gmem_release_init();
	if (r)
		goto err_put;
	r = gmem_fs_init(module);
	if (r)
		goto err_release;
	gmem_poison_init();
	return 0;

err_release:
	gmem_release_exit();
err_put:
	gmem_put_exit();
err_ranges:
	gmem_ranges_exit();
	return r;
}

/**
 * kvm_gmem_exit() - tear the engine down
 *
 * Context: Module unload, after /dev/kvm is gone: no VM is left, nor a view or
 * an inode, each of which keeps the module loaded.
 */
void kvm_gmem_exit(void)
{
	gmem_poison_exit();
	/* What is left of a release has let go of its inode. */
	gmem_release_exit();
	gmem_put_exit();
	gmem_fs_exit();
	gmem_ranges_exit();
}

/**
 * kvm_gmem_check_extension() - KVM_CHECK_EXTENSION(KVM_CAP_GMEM)
 * @kvm: the VM that is asked, or NULL for /dev/kvm
 *
 * Context: Any.
 * Return: a mask of KVM_GMEM_CAP_*.
 */
int kvm_gmem_check_extension(struct kvm *kvm)
{
	return gmem_arch_capabilities(kvm) |
	       (kvm_move_can_move_vcpus(kvm) ? KVM_GMEM_CAP_MOVE_VCPUS : 0);
}

/**
 * kvm_gmem_supported_flags() - KVM_CHECK_EXTENSION(KVM_CAP_GUEST_MEMFD_FLAGS)
 * @kvm: the VM that is asked, or NULL for /dev/kvm
 *
 * Context: Any.
 * Return: a mask of GUEST_MEMFD_FLAG_*, of those that Linux has: it is no longer.
 */
int kvm_gmem_supported_flags(struct kvm *kvm)
{
	return lower_32_bits(gmem_arch_flags(kvm));
}
