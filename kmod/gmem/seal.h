/* SPDX-License-Identifier: GPL-2.0-only */
/* What is never to happen to an inode again. */
#ifndef __KVM_GMEM_SEAL_H
#define __KVM_GMEM_SEAL_H

#include "gmem.h"

/* Is a seal set? @seal: KVM_GMEM_SEAL_*. invalidate_lock is held. */
static inline bool gmem_is_sealed(struct gmem_inode *gi, u64 seal)
{
	lockdep_assert_held(&gmem_mapping(gi)->invalidate_lock);

	return gi->seals & seal;
}

long gmem_seal(struct gmem_view *view, void __user *argp);
long gmem_get_seals(struct gmem_view *view, void __user *argp);

#endif /* __KVM_GMEM_SEAL_H */
