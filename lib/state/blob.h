/* SPDX-License-Identifier: MIT */
/* Pieces of state as KVM gives them. Not public, except struct gmem_blob. */
#ifndef GMEM_BLOB_H
#define GMEM_BLOB_H

#include <gmem.h>

/* Allocate a blob of zeroes. Returns 0, -E2BIG (more than GMEM_MAX_BLOB) or -ENOMEM. */
int gmem_blob_alloc(struct gmem_blob *blob, size_t size);

/* Free it; the blob is absent afterwards. */
void gmem_blob_drop(struct gmem_blob *blob);

#endif /* GMEM_BLOB_H */
