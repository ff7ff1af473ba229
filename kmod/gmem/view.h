/* SPDX-License-Identifier: GPL-2.0-only */
/* One VM's views of inodes, their files, and the memslots that are bound to them. */
#ifndef __KVM_GMEM_VIEW_H
#define __KVM_GMEM_VIEW_H

#include "gmem.h"

/* view.c */
int gmem_view_attach(struct gmem_view *view);
void gmem_view_detach(struct gmem_view *view);
void gmem_view_free(struct gmem_view *view);
int gmem_view_lock(struct gmem_view *view);
void gmem_view_unlock(struct gmem_view *view);

/* view_file.c */
extern const struct file_operations gmem_view_fops;
extern const struct file_operations gmem_view_write_fops;

struct file *gmem_view_create(struct kvm *kvm, struct gmem_inode *gi);

/* release.c */
int gmem_view_release(struct inode *inode, struct file *file);
int gmem_release_init(void);
void gmem_release_exit(void);
void gmem_release_init_vm(struct kvm *kvm);

/* ioctl.c */
long gmem_view_ioctl(struct file *file, unsigned int code, unsigned long arg);

/* mmap.c */
int gmem_mmap(struct file *file, struct vm_area_struct *vma);
void gmem_unmap_host(struct gmem_inode *gi, pgoff_t start, pgoff_t end);

/* binding.c */
void gmem_view_drop_bindings(struct gmem_view *view);
struct gmem_inode *gmem_slot_get_inode(struct kvm_memory_slot *slot, gfn_t gfn, pgoff_t *index);

/* fallocate.c */
long gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len);

/* The view behind a file, or NULL where it is something else. The caller holds a reference. */
static inline struct gmem_view *gmem_view_of(struct file *file)
{
	if (file->f_op != &gmem_view_fops && file->f_op != &gmem_view_write_fops)
		return NULL;

	return file->private_data;
}

#endif /* __KVM_GMEM_VIEW_H */
