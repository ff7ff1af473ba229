/* SPDX-License-Identifier: MIT */
/* Pieces of state as KVM gives them. Not public but for struct gmem_blob. */
#ifndef GMEM_BLOB_H
#define GMEM_BLOB_H

#include <gmem.h>

/* Zeroes. Returns 0, -E2BIG (more than GMEM_MAX_BLOB) or -ENOMEM. */
int gmem_blob_alloc(struct gmem_blob *blob, size_t size);

/* Free it: absent from here on. */
void gmem_blob_drop(struct gmem_blob *blob);

#endif /* GMEM_BLOB_H */
