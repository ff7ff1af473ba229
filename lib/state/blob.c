// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "state/blob.h"

int gmem_blob_alloc(struct gmem_blob *blob, size_t size)
{
	if (size > GMEM_MAX_BLOB)
		return -E2BIG;
	blob->data = calloc(1, size);
	if (!blob->data)
		return -ENOMEM;
	blob->size = size;
	return 0;
}

void gmem_blob_drop(struct gmem_blob *blob)
{
	free(blob->data);
	*blob = (struct gmem_blob){ 0 };
}
