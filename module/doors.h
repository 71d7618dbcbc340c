/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The doors to user space (layer L3): files, mappings, commands.
 */
#ifndef VMO_DOORS_H
#define VMO_DOORS_H

#include <linux/fs.h>
#include <linux/mm_types.h>

#include "object.h"

/* file.c */
int vmo_file_init(void);
void vmo_file_exit(void);

/*
 * A file of a new object with @pages pages and st_size @size. With @parent it
 * is a snapshot of that object's content, from page @first of it.
 */
struct file *vmo_file_create(pgoff_t pages, loff_t size);
struct file *vmo_file_snapshot(struct vmo *parent, pgoff_t first, pgoff_t pages, loff_t size);

/*
 * A file for a mapping: its offsets are keys, and its VMAs hang on the
 * mapping of the content or, if @odd, on the one for VMAs that never write.
 */
struct file *vmo_file_for_vma(struct vmo *vmo, struct file *file, bool odd);

/* The object behind @file, NULL if it is not one of ours. */
struct vmo *vmo_from_file(struct file *file);

/* mmap.c */
extern const struct vmo_cow_ops vmo_mapping_ops;
int vmo_mmap(struct file *file, struct vm_area_struct *vma);

/**
 * struct vmo_mappings - the home of a content, with its second address_space
 * @home: base; its mapping has the VMAs that are shared and may write
 * @odd: has all other VMAs: they never hold a writable PTE of ours, and the
 *	core's walks that protect or clean a mapping stop at the first of them
 * @inode: host of both; i_size is the end in keys
 * @work: the last iput, which must not run where a page lock is held
 */
struct vmo_mappings {
	struct vmo_home home;
	struct address_space odd;
	struct inode *inode;
	struct work_struct work;
};

static inline struct vmo_mappings *vmo_mappings(struct vmo_content *content)
{
	return container_of(content->home, struct vmo_mappings, home);
}

/* ioctl.c */
long vmo_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
extern const struct file_operations vmo_dev_fops;

/* debugfs.c */
void vmo_debugfs_init(void);
void vmo_debugfs_exit(void);

#endif
