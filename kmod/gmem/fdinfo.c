// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/PID/fdinfo of a view: what exists, for operators and tests.
 */
#include <linux/seq_file.h>

#include "../move/move.h"
#include "gmem.h"
#include "inode.h"
#include "pager/owed.h"
#include "pager/wait.h"
#include "view.h"

static const char * const gmem_vm_states[] = {
	[KVM_MOVE_ALIVE] = "alive",
	[KVM_MOVE_MOVED] = "moved",
	[KVM_MOVE_BROKEN] = "broken",
};

/**
 * gmem_show_fdinfo() - file_operations.show_fdinfo of a view
 * @m: where the lines go
 * @file: the view
 *
 * The counts are samples: the inode may change while they are read. That the
 * VM was moved or is broken is final.
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
	seq_printf(m, "gmem-chunks:\t%ld\n", atomic_long_read(&gi->chunks));
	seq_printf(m, "gmem-views:\t%d\n", atomic_read(&gi->nr_views));
	seq_printf(m, "gmem-bindings:\t%u\n", READ_ONCE(view->nr_bindings));
	seq_printf(m, "gmem-vm:\t%d\n", view->kvm->userspace_pid);
	seq_printf(m, "gmem-vm-state:\t%s\n", gmem_vm_states[kvm_move_state_of(view->kvm)]);
}

static const char * const gmem_wait_names[] = {
	[GMEM_WAIT_GUEST]	= "guest",
	[GMEM_WAIT_ASYNC]	= "async",
	[GMEM_WAIT_OWN]		= "own",
	[GMEM_WAIT_HELD]	= "held",
	[GMEM_WAIT_IOCTL]	= "ioctl",
	[GMEM_WAIT_HOST]	= "host",
};

static_assert(ARRAY_SIZE(gmem_wait_names) == GMEM_WAIT_KINDS);

/**
 * gmem_show_pager_fdinfo() - file_operations.show_fdinfo of a pager
 * @m: /proc/PID/fdinfo/FD
 * @file: the pager's file
 *
 * How many wait in each way that there is.
 *
 * Context: Process context; takes no lock.
 */
void gmem_show_pager_fdinfo(struct seq_file *m, struct file *file)
{
	struct gmem_pager *pager = file->private_data;

	seq_printf(m, "gmem-ino:\t%lu\n", pager->gi->vfs_inode.i_ino);
	for (int kind = 0; kind < GMEM_WAIT_KINDS; kind++)
		seq_printf(m, "gmem-waits-%s:\t%u\n", gmem_wait_names[kind],
			   gmem_waits_count(pager, kind));
}
