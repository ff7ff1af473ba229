// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctls on a view.
 */
#include "attrs.h"
#include "fill/fill.h"
#include "folio.h"
#include "gmem.h"
#include "pager/file.h"
#include "seal.h"
#include "view.h"

struct gmem_view_ioctl {
	unsigned int code;
	long (*call)(struct gmem_view *view, void __user *argp);
};

static const struct gmem_view_ioctl gmem_view_ioctls[] = {
	{ KVM_SET_MEMORY_ATTRIBUTES2, gmem_convert },
	{ KVM_GMEM_SEAL, gmem_seal },
	{ KVM_GMEM_GET_SEALS, gmem_get_seals },
	{ KVM_GMEM_POPULATE, gmem_view_populate },
	{ KVM_GMEM_CREATE_FILLER, gmem_handle_create },
	{ KVM_GMEM_CREATE_PAGER, gmem_pager_create },
	{ KVM_GMEM_PRESENT, gmem_view_present },
};

/**
 * gmem_view_ioctl() - file_operations.unlocked_ioctl of a view
 * @file: the view
 * @code: which
 * @arg: its argument's address
 *
 * By any process that holds the view, as all file operations on it.
 *
 * Context: Process context, no lock held.
 * Return: what the call returns; -ENOTTY where there is none.
 */
long gmem_view_ioctl(struct file *file, unsigned int code, unsigned long arg)
{
	for (int i = 0; i < ARRAY_SIZE(gmem_view_ioctls); i++) {
		if (gmem_view_ioctls[i].code == code)
			return gmem_view_ioctls[i].call(gmem_view_of(file),
							(void __user *)arg);
	}
	return -ENOTTY;
}
