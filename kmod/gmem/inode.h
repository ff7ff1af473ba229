/* SPDX-License-Identifier: GPL-2.0-only */
/* The pseudo filesystem and its inodes, and what fdinfo says of them. */
#ifndef __KVM_GMEM_INODE_H
#define __KVM_GMEM_INODE_H

#include <linux/fs.h>

struct gmem_inode;
struct module;
struct seq_file;

/* inode.c */
int gmem_fs_init(struct module *module);
void gmem_fs_exit(void);
struct gmem_inode *gmem_inode_create(loff_t size, u64 flags);
struct gmem_inode *gmem_inode_find(struct address_space *mapping);
struct gmem_inode *gmem_inode_next(struct gmem_inode *gi);
struct file *gmem_inode_open(struct gmem_inode *gi, const struct file_operations *fops,
			     void *private_data);

/* fdinfo.c */
void gmem_show_fdinfo(struct seq_file *m, struct file *file);
void gmem_show_pager_fdinfo(struct seq_file *m, struct file *file);

#endif /* __KVM_GMEM_INODE_H */
