/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The doors to user space (layer L3): files, mappings, commands.
 */
#ifndef VMO_DOORS_H
#define VMO_DOORS_H

#include <linux/fs.h>
#include <linux/mm_types.h>

#include "object.h"

struct iov_iter;

/* inode.c */
int vmo_inodes_init(void);
void vmo_inodes_exit(void);
int vmo_open(struct inode *inode, struct file *file);

/* The object behind @file, NULL if it is not one of ours. */
struct vmo *vmo_from_file(struct file *file);

static inline struct vmo_view *vmo_view_of(struct inode *inode)
{
	return inode->i_private;
}

/* What @file, of an object, may be used for: VMO_RIGHT_*. */
unsigned int vmo_file_rights(struct file *file);

/* The object was written through @file. Takes no lock. */
int vmo_file_touch(struct file *file);

/* Bytes of a name as it is printed, with the zero at the end. */
#define VMO_NAME_ESCAPED	(4 * VMO_NAME_SIZE)
bool vmo_name_escaped(struct vmo *vmo, char *buffer);

/**
 * struct vmo_spec - an object to be made
 * @parent: what it is made from; NULL for none
 * @first: page of @parent at which it starts
 * @pages: size; of a reference that of a slice
 * @size: content size in bytes; not of references
 * @flags: VMO_OBJ_*
 * @rights: VMO_RIGHT_* of its own view
 * @name: a valid name; NULL for the parent's
 * @pager: of one of zeroes: who provides them instead; NULL for nobody
 * @trap: whether @pager is asked before pages are written
 * @key: what @pager calls it
 */
struct vmo_spec {
	struct vmo *parent;
	pgoff_t first;
	pgoff_t pages;
	loff_t size;
	unsigned long flags;
	unsigned int rights;
	const char *name;
	struct vmo_pager *pager;
	bool trap;
	u64 key;
};

/* A file of a new object: of zeroes, of a snapshot, of the parent's own memory. */
struct file *vmo_file_create(const struct vmo_spec *spec);
struct file *vmo_file_snapshot(const struct vmo_spec *spec, bool copy_pinned);
struct file *vmo_file_share(const struct vmo_spec *spec);
/* A file of a new view of @vmo. */
struct file *vmo_file_restrict(struct vmo *vmo, unsigned int rights);

/* A file whose release unpins. Range in bytes, page aligned, not empty. */
struct file *vmo_file_pin(struct vmo *vmo, u64 offset, u64 length, bool write);

/*
 * A file for a mapping: its offsets are keys, and its VMAs hang on the
 * mapping of the content or, if @odd, on the one for VMAs that never write.
 */
struct file *vmo_file_for_vma(struct vmo *vmo, struct file *file, bool odd);

/* file.c */
extern const struct file_operations vmo_fops;
extern const struct file_operations vmo_vma_fops;

/* VMO_READ, VMO_WRITE: sets rw->actual, also on failure. */
int vmo_rw_strict(struct file *file, struct iov_iter *iter, struct vmo_rw *rw, bool write);

/* harvest.c: a file that watches who writes to @vmo. */
struct file *vmo_file_harvester(struct vmo *vmo);

/* pager_file.c: a file that is a pager, with defaults for NULL; the pager of a file, or NULL. */
struct file *vmo_file_pager(const struct vmo_pager_limits *limits);
struct vmo_pager *vmo_pager_from_file(struct file *file);

/* look.c: the commands, with kernel copies of their structures. */
int vmo_look_pages(struct vmo *vmo, struct vmo_pages *arg);
int vmo_look_up(struct vmo *vmo, struct vmo_lookup *arg);
int vmo_look_diff(struct vmo *vmo, struct vmo *other, struct vmo_diff *arg);
int vmo_look_dirty(struct vmo *vmo, struct vmo_pager_dirty_ranges *arg);

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

/* ioctl.c: VMO_INFO_* of an object. */
u64 vmo_info_flags(struct vmo *vmo);
u64 vmo_metadata_bytes(const struct vmo_tally *tally);

/* VMO_KIND_* of linux/vmo_netlink.h. */
u32 vmo_kind_of(const struct vmo *vmo);

/* netlink.c: tells whoever listens. May sleep. */
int vmo_netlink_init(void);
void vmo_netlink_exit(void);
void vmo_tell_created(struct vmo *vmo);
void vmo_tell_changed(struct vmo *vmo);
void vmo_tell_closed(const struct vmo_departure *gone);

/* debugfs.c */
void vmo_debugfs_init(void);
void vmo_debugfs_exit(void);

#endif
