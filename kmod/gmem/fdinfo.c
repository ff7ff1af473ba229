// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/PID/fdinfo of a view: what exists, for operators and tests.
 */
#include <linux/seq_file.h>

#include "gmem.h"

/**
 * gmem_show_fdinfo() - file_operations.show_fdinfo of a view
 * @m: where the lines go
 * @file: the view
 *
 * The counts are samples: the inode may change while they are read.
 *
 * Context: Process context; takes no lock, so that a long invalidation does
 * not make its inode unreadable.
 */
void gmem_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct gmem_view *view = gmem_view_of(file);
	struct gmem_inode *gi = view->inode;
	unsigned long allocated, resident;

	/*
	 * A page is counted after it has come in. In this order, one that comes
	 * in between is not taken for one that was freed.
	 */
	allocated = atomic_long_read(&gi->allocated);
	smp_rmb(); /* a lost race shows up in @resident, see above */
	resident = READ_ONCE(gmem_mapping(gi)->nrpages);

	seq_printf(m, "gmem-ino:\t%lu\n", gi->vfs_inode.i_ino);
	seq_printf(m, "gmem-size:\t%lld\n", i_size_read(&gi->vfs_inode));
	seq_printf(m, "gmem-flags:\t%#llx\n", gi->flags);
	seq_printf(m, "gmem-seals:\t%#llx\n", READ_ONCE(gi->seals));
	seq_printf(m, "gmem-resident:\t%lu\n", resident);
	seq_printf(m, "gmem-allocated:\t%lu\n", allocated);
	seq_printf(m, "gmem-freed:\t%lu\n", allocated - min(allocated, resident));
	seq_printf(m, "gmem-views:\t%u\n", READ_ONCE(gi->nr_views));
	seq_printf(m, "gmem-bindings:\t%u\n", READ_ONCE(view->nr_bindings));
}
