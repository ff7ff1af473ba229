// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pseudo filesystem of guest memory inodes.
 *
 * It has a superblock of its own so that an inode can carry the engine's state
 * and so that an inode, not the first VM's file, is what owns the pages.
 */
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/statfs.h>

#include "attrs.h"
#include "chunk.h"
#include "folio.h"
#include "gmem.h"
#include "inode.h"
#include "invalidate.h"
#include "pager/owed.h"

/* Seen as "anon_inode:[kvm-gmem]" in /proc/PID/fd, as in Linux 6.12. */
#define GMEM_NAME	"[kvm-gmem]"

/*
 * anon_inode_make_secure_inode() is exported to the module kvm by name, which
 * this kernel expresses as a namespace like any other.
 */
MODULE_INFO(import_ns, "module:kvm");

static struct kmem_cache *gmem_inode_cache;
static struct vfsmount *gmem_mnt;
static struct module *gmem_owner;

/* All inodes, by gmem_inode.inodes; for memory failure, which comes with a frame only. */
static LIST_HEAD(gmem_inodes);
static DEFINE_SPINLOCK(gmem_inodes_lock);

static struct inode *gmem_alloc_inode(struct super_block *sb)
{
	struct gmem_inode *gi;

	gi = alloc_inode_sb(sb, gmem_inode_cache, GFP_KERNEL);
	if (!gi)
		return NULL;

	gi->flags = 0;
	gi->module = NULL;
	gi->attrs = NULL;
	gi->pager = NULL;
	gi->splitter = NULL;
	gi->unsplit = false;
	gmem_poison_init_inode(gi);
	INIT_LIST_HEAD(&gi->inodes);
	gi->seals = 0;
	atomic_set(&gi->nr_views, 0);
	atomic_long_set(&gi->allocated, 0);
	gi->chunks_when = GMEM_CHUNKS_NEVER;
	atomic_long_set(&gi->chunks, 0);
	return &gi->vfs_inode;
}

/*
 * The last step of an inode's life, an RCU callback. The module reference goes
 * here, not with the file: after the file's fops are put, the inode still has
 * pages to free through our address space operations. Unloading a module
 * waits for RCU between the last reference and freeing its text, which covers
 * the way out of this function.
 */
static void gmem_free_inode(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);
	struct module *module = gi->module;

	kmem_cache_free(gmem_inode_cache, gi);
	module_put(module);
}

static void gmem_evict_inode(struct inode *inode)
{
	spin_lock(&gmem_inodes_lock);
	list_del_init(&GMEM_I(inode)->inodes);
	spin_unlock(&gmem_inodes_lock);

	truncate_inode_pages_final(inode->i_mapping);
	clear_inode(inode);
	gmem_ranges_free(GMEM_I(inode)->attrs);
	gmem_pager_free(GMEM_I(inode));
}

static void gmem_inode_init_once(void *object)
{
	struct gmem_inode *gi = object;

	inode_init_once(&gi->vfs_inode);
	mutex_init(&gi->views_lock);
	INIT_LIST_HEAD(&gi->views);
	init_waitqueue_head(&gi->gone);
}

static const struct super_operations gmem_super_ops = {
	.alloc_inode	= gmem_alloc_inode,
	.free_inode	= gmem_free_inode,
	.drop_inode	= generic_delete_inode,
	.evict_inode	= gmem_evict_inode,
	.statfs		= simple_statfs,
};

/* As for any anonymous inode; the kernel's own way to say so is not exported. */
static char *gmem_dname(struct dentry *dentry, char *buffer, int buflen)
{
	static const char name[] = "anon_inode:" GMEM_NAME;

	if (buflen < sizeof(name))
		return ERR_PTR(-ENAMETOOLONG);

	return memcpy(buffer + buflen - sizeof(name), name, sizeof(name));
}

static const struct dentry_operations gmem_dentry_ops = {
	.d_dname	= gmem_dname,
};

static int gmem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, GUEST_MEMFD_MAGIC);

	if (!ctx)
		return -ENOMEM;

	ctx->ops = &gmem_super_ops;
	ctx->dops = &gmem_dentry_ops;
	return 0;
}

/* No owner: the mount itself must not keep the module from unloading. */
static struct file_system_type gmem_fs_type = {
	.name			= "guest_memfd",
	.init_fs_context	= gmem_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static int gmem_getattr(struct mnt_idmap *idmap, const struct path *path,
			struct kstat *stat, u32 request_mask, unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);

	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blocks = (u64)READ_ONCE(inode->i_mapping->nrpages) << (PAGE_SHIFT - 9);
	return 0;
}

static int gmem_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return -EINVAL;
}

static const struct inode_operations gmem_inode_ops = {
	.getattr	= gmem_getattr,
	.setattr	= gmem_setattr,
};

/* An inaccessible mapping is never isolated for migration: our own bug if so. */
static int gmem_migrate_folio(struct address_space *mapping, struct folio *dst,
			      struct folio *src, enum migrate_mode mode)
{
	WARN_ON_ONCE(1);
	return -EINVAL;
}

/*
 * To the rest of the kernel, pages that no process has mapped look like clean page
 * cache. Soft offline, a host fault that meets a bad page, POSIX_FADV_DONTNEED and
 * others drop such pages: the guest's content would be lost, without a word to the VMs
 * that have them mapped. They all ask here first. So does everybody who splits a
 * folio of PMD size, and memory failure when it is done with a page. Those folios are
 * dirty, and nobody drops a dirty one.
 */
static bool gmem_release_folio(struct folio *folio, gfp_t gfp)
{
	if (!folio_test_dirty(folio))
		return false;
	if (folio_test_large(folio))
		return gmem_huge_may_split(folio);
	return folio_test_hwpoison(folio);
}

static const struct address_space_operations gmem_aops = {
	.dirty_folio		= noop_dirty_folio,
	.release_folio		= gmem_release_folio,
	.migrate_folio		= gmem_migrate_folio,
	.error_remove_folio	= gmem_error_remove_folio,
	.free_folio		= gmem_free_folio,
};

/**
 * gmem_inode_create() - make a guest memory inode
 * @size: bytes, positive and page-aligned
 * @flags: GUEST_MEMFD_FLAG_*, checked by the caller
 *
 * The inode has no view yet; the caller owns the reference.
 *
 * Context: Process context, may sleep. The caller keeps the module loaded.
 * Return: the inode, or an ERR_PTR: -ENOMEM, or what the LSM says.
 */
struct gmem_inode *gmem_inode_create(loff_t size, u64 flags)
{
	struct gmem_inode *gi;
	struct inode *inode;
	int r;

	inode = anon_inode_make_secure_inode(gmem_mnt->mnt_sb, GMEM_NAME, NULL);
	if (IS_ERR(inode))
		return ERR_CAST(inode);

	gi = GMEM_I(inode);
	gi->flags = flags;
	__module_get(gmem_owner);
	gi->module = gmem_owner;
	gmem_allocate_nothing_under(&gi->views_lock);

	inode->i_op = &gmem_inode_ops;
	inode->i_mapping->a_ops = &gmem_aops;
	inode->i_mode |= S_IFREG;
	inode->i_size = size;
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_inaccessible(inode->i_mapping);
	mapping_set_release_always(inode->i_mapping);
	/* Reclaim must not look at what migration may not move. */
	WARN_ON_ONCE(!mapping_unevictable(inode->i_mapping));

	/* As if open for writing: khugepaged collapses files that are not. */
	r = get_write_access(inode);
	if (!r)
		r = gmem_attrs_init(gi);
	if (r) {
		iput(inode);
		return ERR_PTR(r);
	}
	if (!gi->attrs && IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && gmem_poison_is_told())
		mapping_set_large_folios(inode->i_mapping);
	gmem_chunks_init(gi);

	spin_lock(&gmem_inodes_lock);
	list_add(&gi->inodes, &gmem_inodes);
	spin_unlock(&gmem_inodes_lock);
	return gi;
}

/**
 * gmem_inode_find() - which inode is it, if any?
 * @mapping: something that may be an inode's address space; only compared
 *
 * Context: Process context.
 * Return: the inode, with a reference, or NULL.
 */
struct gmem_inode *gmem_inode_find(struct address_space *mapping)
{
	struct gmem_inode *gi, *found = NULL;

	spin_lock(&gmem_inodes_lock);
	list_for_each_entry(gi, &gmem_inodes, inodes) {
		if (gmem_mapping(gi) == mapping) {
			found = igrab(&gi->vfs_inode) ? gi : NULL;
			break;
		}
	}
	spin_unlock(&gmem_inodes_lock);
	return found;
}

/**
 * gmem_inode_next() - go through all inodes
 * @gi: the one before, the caller's reference to which goes; NULL: none
 *
 * Context: Process context, may sleep.
 * Return: the next one, with a reference, or NULL.
 */
struct gmem_inode *gmem_inode_next(struct gmem_inode *gi)
{
	struct gmem_inode *next = NULL, *at = gi;

	spin_lock(&gmem_inodes_lock);
	/* One that somebody has a reference to is in the list. */
	at = list_prepare_entry(at, &gmem_inodes, inodes);
	list_for_each_entry_continue(at, &gmem_inodes, inodes) {
		if (igrab(&at->vfs_inode)) {
			next = at;
			break;
		}
	}
	spin_unlock(&gmem_inodes_lock);

	if (gi)
		iput(&gi->vfs_inode);
	return next;
}

/**
 * gmem_inode_open() - open a file on a guest memory inode
 * @gi: the inode; on success the file has taken over the caller's reference
 * @fops: the file's operations, whose owner is loaded
 * @private_data: the file's private data
 *
 * Context: Process context, may sleep.
 * Return: the file, or an ERR_PTR (-ENOMEM, -ENFILE), with the caller's
 * reference to @gi still the caller's.
 */
struct file *gmem_inode_open(struct gmem_inode *gi, const struct file_operations *fops,
			     void *private_data)
{
	struct file *file;

	/* Put again by the VFS when the file is released. */
	__module_get(fops->owner);
	file = alloc_file_pseudo(&gi->vfs_inode, gmem_mnt, GMEM_NAME, O_RDWR, fops);
	if (IS_ERR(file)) {
		module_put(fops->owner);
		return file;
	}

	file->f_flags |= O_LARGEFILE;
	file->private_data = private_data;
	return file;
}

/**
 * gmem_fs_init() - mount the pseudo filesystem
 * @module: whom live inodes keep loaded
 *
 * Context: Module load.
 * Return: 0 or -errno.
 */
int gmem_fs_init(struct module *module)
{
	gmem_inode_cache = kmem_cache_create("gmem_inode", sizeof(struct gmem_inode), 0,
					     SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					     gmem_inode_init_once);
	if (!gmem_inode_cache)
		return -ENOMEM;

	gmem_owner = module;
	gmem_mnt = kern_mount(&gmem_fs_type);
	if (IS_ERR(gmem_mnt)) {
		kmem_cache_destroy(gmem_inode_cache);
		return PTR_ERR(gmem_mnt);
	}
	gmem_mnt->mnt_flags |= MNT_NOEXEC;
	return 0;
}

/**
 * gmem_fs_exit() - unmount the pseudo filesystem
 *
 * Context: Module unload: no file and no inode is left.
 */
void gmem_fs_exit(void)
{
	/*
	 * The VFS lets go of a file's mount after its inode, whose reference to
	 * the module was the last one: wait for those on their way, so that the
	 * superblock ends here and not after us. may_umount() allows for one
	 * reference beside the mount's own.
	 */
	mntget(gmem_mnt);
	while (!may_umount(gmem_mnt))
		schedule_timeout_uninterruptible(1);
	mntput(gmem_mnt);

	kern_unmount(gmem_mnt);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(gmem_inode_cache);
}
