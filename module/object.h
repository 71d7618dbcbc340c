/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a user holds (layer L2): objects, their contents and their family.
 */
#ifndef VMO_OBJECT_H
#define VMO_OBJECT_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "cow_pages.h"
#include "home.h"

/* The largest object, in pages: its end in bytes has to fit into a loff_t. */
#define VMO_MAX_PAGES	((1UL << (63 - PAGE_SHIFT)) - 1)

/**
 * struct vmo_content - a content and the objects that hold it
 * @cow: the pages
 * @refs: one for each object
 * @home: what its pages are homed at; has a user of ours. Immutable.
 */
struct vmo_content {
	struct vmo_cow_pages cow;
	refcount_t refs;
	struct vmo_home *home;
};

/**
 * struct vmo - an object
 * @content: what it shows, with a reference. Immutable.
 * @base: the key of its first page. Immutable.
 * @pages: its size. Immutable (so far no object can be resized).
 * @id: unique. Immutable.
 * @flags: VMO_OBJ_*. Immutable.
 * @parent: what it was made from, or the nearest ancestor that is left; family
 *	lock
 * @children: objects whose @parent is this one; family lock
 * @sibling: link in @parent's @children; family lock
 * @nr_children: length of @children; family lock
 *
 * An object lives as long as its inode: descriptors and mappings hold that.
 */
struct vmo {
	struct vmo_content *content;
	pgoff_t base;
	pgoff_t pages;
	u64 id;
	unsigned long flags;
	struct vmo *parent;
	struct list_head children;
	struct list_head sibling;
	unsigned long nr_children;
};

#define VMO_OBJ_COW_CLONE	BIT(0)

/**
 * struct vmo_family - an object's place among the others, at one instant
 * @parent_id: 0 for none
 * @children: how many
 */
struct vmo_family {
	u64 parent_id;
	unsigned long children;
};

/* Takes over the caller's user of @home, on success only. NULL: no memory. */
struct vmo_content *vmo_content_new(const struct vmo_cow_ops *ops, struct vmo_home *home,
				    pgoff_t base, pgoff_t pages);
void vmo_content_put(struct vmo_content *content);

/* Takes over the caller's reference of @content, on success only. */
struct vmo *vmo_object_new(struct vmo_content *content, struct vmo *parent,
			   unsigned long flags);
void vmo_object_free(struct vmo *vmo);

void vmo_object_family(struct vmo *vmo, struct vmo_family *family);

long vmo_objects_count(void);
long vmo_contents_count(void);

#endif
