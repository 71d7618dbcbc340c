/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a user holds (layer L2): objects, their contents and their family.
 */
#ifndef VMO_OBJECT_H
#define VMO_OBJECT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/vmo.h>
#include <linux/wait.h>

#include "cow_pages.h"
#include "home.h"
#include "pager.h"

/* The largest object, in pages: its end in bytes has to fit into a loff_t. */
#define VMO_MAX_PAGES	((1UL << (63 - PAGE_SHIFT)) - 1)

#define VMO_MAX_SIZE	((u64)VMO_MAX_PAGES << PAGE_SHIFT)

struct inode;
struct user_struct;

/**
 * struct vmo_change - a generation, and whether it is about to rise
 * @pending: something has changed; see vmo_cow_changed()
 * @lock: innermost; covers @generation
 * @generation: rises when somebody asks and finds @pending
 */
struct vmo_change {
	bool pending;
	spinlock_t lock;	/* covers generation */
	u64 generation;
};

/**
 * struct vmo_kin - the contents that may share pages
 * @refs: one for each content
 * @change: of what one of them does and others may notice
 * @members_lock: covers @members; innermost but for spinlocks
 * @members: contents, by age
 */
struct vmo_kin {
	refcount_t refs;
	struct vmo_change change;
	struct mutex members_lock;	/* covers members */
	struct list_head members;
};

/**
 * struct vmo_charges - what a content, or a part of it, holds
 * @tally: from its tree
 * @exclusive: pages that no older member of the family has
 */
struct vmo_charges {
	struct vmo_tally tally;
	u64 exclusive;
};

/**
 * struct vmo_counts - what is remembered of a whole content
 * @lock: innermost; covers all of it
 * @generation: of the content's own changes
 * @known: there is something in @charges
 * @has_exclusive: all of it
 * @known_at: the sum of the generations, own and of the family, that it is from
 * @charges: what it held
 */
struct vmo_counts {
	spinlock_t lock;	/* covers all below */
	u64 generation;
	bool known;
	bool has_exclusive;
	u64 known_at;
	struct vmo_charges charges;
};

/**
 * struct vmo_content - a content and the objects that hold it
 * @cow: the pages
 * @refs: one for each object
 * @root: what it shows where it has nothing, with a reference, or NULL. Immutable.
 * @home: what its pages are homed at; has a user of ours. Immutable.
 * @flags: VMO_CONTENT_*. Immutable.
 * @size_lock: covers sizes and content sizes of all its objects. Taken before
 *	the content lock, held while user memory is copied by the file form of
 *	write, never in a fault.
 * @rings_lock: covers the rings of objects that have their content size in
 *	common; innermost
 * @kin: its family. Immutable.
 * @kin_link: in @kin's list; its members_lock
 * @counts: what was counted last
 * @base_size: content size that vmo_object_rewind() goes back to. Immutable.
 */
struct vmo_content {
	struct vmo_cow_pages cow;
	refcount_t refs;
	struct vmo_content *root;
	struct vmo_home *home;
	unsigned long flags;
	struct rw_semaphore size_lock;
	spinlock_t rings_lock;	/* who has a content size in common */
	struct vmo_kin *kin;
	struct list_head kin_link;
	struct vmo_counts counts;
	loff_t base_size;
};

#define VMO_CONTENT_RESIZABLE	BIT(0)
#define VMO_CONTENT_CLONE	BIT(1)
#define VMO_CONTENT_LONGTERM	BIT(2)	/* see vmo_longterm_vm_ops */

/**
 * struct vmo_view - an object as some descriptors see it
 * @vmo: the object. Immutable.
 * @inode: what holds the view; its i_size is the content size, and changes under the
 *	content's size_lock. Immutable once there is a file.
 * @rights: VMO_RIGHT_*: all that a descriptor of this inode can have. Immutable.
 * @same: ring of the views of an object and of its references, which have one
 *	content size; the content's rings_lock
 *
 * An object has one of its own; VMO_RESTRICT makes others, which keep it alive.
 */
struct vmo_view {
	struct vmo *vmo;
	struct inode *inode;
	unsigned int rights;
	struct list_head same;
};

/**
 * struct vmo - an object
 * @content: what it shows, with a reference. Immutable.
 * @base: the key of its first page. Immutable.
 * @pages: size of a slice. Immutable. vmo_object_pages() tells it of any object.
 * @id: unique. Immutable.
 * @flags: VMO_OBJ_*. Immutable.
 * @view: with all rights that there are on the object. Its inode holds the object.
 * @parent: what it was made from, or the nearest ancestor that is left; family
 *	lock
 * @children: objects whose @parent is this one; family lock
 * @sibling: link in @parent's @children; family lock
 * @nr_children: length of @children; changes under the family lock
 * @childless: for poll; woken when @nr_children becomes 0
 * @name: ends with a zero byte; @name_lock
 * @name_lock: innermost
 *
 * An object lives as long as the inode of its own view: descriptors, mappings, pins
 * and restricted views hold that.
 */
struct vmo {
	struct vmo_content *content;
	pgoff_t base;
	pgoff_t pages;
	u64 id;
	unsigned long flags;
	struct vmo_view view;
	struct vmo *parent;
	struct list_head children;
	struct list_head sibling;
	unsigned long nr_children;
	wait_queue_head_t childless;
	char name[VMO_NAME_SIZE];
	spinlock_t name_lock;	/* covers name */
};

#define VMO_OBJ_COW_CLONE	BIT(0)
#define VMO_OBJ_SLICE		BIT(1)	/* or a reference of one */
#define VMO_OBJ_REFERENCE	BIT(2)
#define VMO_OBJ_LONGTERM	BIT(3)	/* its content was made so; sharers look there */
#define VMO_OBJ_KEEP_BASE	BIT(4)	/* as above */

/**
 * struct vmo_family - an object's place among the others, at one instant
 * @parent_id: 0 for none
 * @children: how many
 */
struct vmo_family {
	u64 parent_id;
	unsigned long children;
};

/*
 * A content of the family of @like, or of a new one, whose others know of it only after
 * vmo_kin_enter(). Takes over the caller's user of @home, on success only. NULL: no
 * memory.
 */
struct vmo_content *vmo_content_new(const struct vmo_cow_ops *ops, struct vmo_home *home,
				    pgoff_t base, pgoff_t pages, unsigned long flags,
				    struct vmo_content *like);
struct vmo_content *vmo_content_get(struct vmo_content *content);
void vmo_content_put(struct vmo_content *content);

/* Its memory was modified, in the sense of struct vmo_pager_stats; after that. */
void vmo_content_modified(struct vmo_content *content);

/*
 * An object on @content from key @base on; @pages matters for slices only. It
 * has the name of @parent, if there is one. Takes over the caller's reference of
 * @content, on success only.
 */
struct vmo *vmo_object_new(struct vmo_content *content, struct vmo *parent, pgoff_t base,
			   pgoff_t pages, unsigned long flags, unsigned int rights);

/**
 * struct vmo_departure - an object that is gone
 * @known: others could find it
 * @id: its own
 * @parent_id: 0 for none
 * @childless: id of a parent that has no children left by that, or 0
 * @name: its own
 */
struct vmo_departure {
	bool known;
	u64 id;
	u64 parent_id;
	u64 childless;
	char name[VMO_NAME_SIZE];
};

void vmo_object_free(struct vmo *vmo, struct vmo_departure *gone);

/*
 * From now on vmo_object_next() finds the object: it has its inode. -ENOMEM. It leaves
 * by vmo_object_free(), entered or not.
 */
int vmo_object_enter(struct vmo *vmo);
/*
 * The object with the lowest id from @id on, with a reference of its own view's inode for
 * the caller; NULL at the end. No lock held.
 */
struct vmo *vmo_object_next(u64 id);

void vmo_view_init(struct vmo_view *view, struct vmo *vmo, unsigned int rights);
/* The view gets its inode, and that its content size: @like's, or if NULL @size. */
void vmo_view_join(struct vmo_view *view, struct inode *inode, loff_t size,
		   struct vmo_view *like);
void vmo_view_leave(struct vmo_view *view);

void vmo_object_family(struct vmo *vmo, struct vmo_family *family);
/* How many steps it is from the object up to its ancestor @id; -1 if more than @most. */
int vmo_object_depth(struct vmo *vmo, u64 id, int most);

/* -EINVAL for what is no name. Copies VMO_NAME_SIZE bytes, all of them. */
int vmo_object_set_name(struct vmo *vmo, const char *name);
bool vmo_name_valid(const char *name);
void vmo_object_name(struct vmo *vmo, char *name);

/* The size in pages; may change any time if the content is resizable. */
pgoff_t vmo_object_pages(struct vmo *vmo);

/* Are these bytes inside of the object? They may wrap. */
bool vmo_object_has(struct vmo *vmo, u64 offset, u64 length);

/* Bytes to pages, rounded up. -ERANGE if no object can be so large. */
int vmo_size_to_pages(u64 size, pgoff_t *pages);

/* The caller holds the content's size_lock exclusive. */
void vmo_object_set_content_size(struct vmo *vmo, loff_t size);
/*
 * Makes the object at least so large, if it may be resized through @view: else -EPERM,
 * -EACCES.
 */
int vmo_object_grow(struct vmo_view *view, u64 size);

/*
 * Sets size and content size. Takes the size_lock. Zeroes what is behind @size in
 * the last page. -EPERM, -EACCES, -ERANGE, -EINVAL, -EBADFD, -ENOMEM, -EINTR.
 */
int vmo_object_resize(struct vmo_view *view, u64 size);

/*
 * Goes back to what a clone with a base was made with, sizes included. Takes the
 * size_lock. -EOPNOTSUPP, -EBADFD, -EINTR.
 */
int vmo_object_rewind(struct vmo *vmo);

/*
 * Lets bytes read zero; -ERANGE if they are not inside of the object. Whole pages
 * are given up. No lock held. After an error part of it may be done.
 */
int vmo_object_zero(struct vmo *vmo, u64 offset, u64 length);
/* Commits all pages that the bytes touch. */
int vmo_object_commit(struct vmo *vmo, u64 offset, u64 length);

/*
 * Moves pages to @offset of @dst. Offsets and length in bytes, page aligned; @length
 * is not 0. -ERANGE, -EBADFD, -ENOMEM, -EINTR, -EIO; an error in the middle leaves what
 * was done so far. No lock held.
 */
int vmo_object_transfer(struct vmo *dst, u64 offset, struct vmo *src, u64 src_offset,
			u64 length);

/*
 * Supplies pages, as vmo_object_transfer() moves them, of an object that has a pager.
 * -EBADFD too if it was detached.
 */
int vmo_object_supply(struct vmo *dst, u64 offset, struct vmo *src, u64 src_offset, u64 length);

/* Does @pager answer for all of the object's memory? Not of a slice. */
bool vmo_object_served_by(struct vmo *vmo, struct vmo_pager *pager);

/**
 * struct vmo_pin_range - pages that are pinned
 * @vmo: the object through which; the holder keeps it alive
 * @first: key
 * @last: key
 * @user: whose RLIMIT_MEMLOCK pays; NULL if it did not have to
 */
struct vmo_pin_range {
	struct vmo *vmo;
	pgoff_t first;
	pgoff_t last;
	struct user_struct *user;
};

/* Range in bytes, page aligned, not empty; for @write. ERR_PTR: as vmo_cow_pin(). */
struct vmo_pin_range *vmo_pin_new(struct vmo *vmo, u64 offset, u64 length, bool write);
void vmo_pin_free(struct vmo_pin_range *pin);

/* attribution.c */
struct vmo_kin *vmo_kin_new(void);
struct vmo_kin *vmo_kin_get(struct vmo_kin *kin);
void vmo_kin_put(struct vmo_kin *kin);
/*
 * The others may look at the content from now on, as the youngest: it is complete, and
 * changes under its lock only. Leaving it need not have entered.
 */
void vmo_kin_enter(struct vmo_content *content);
void vmo_kin_leave(struct vmo_content *content);

/* Rises with every change of what the content holds, also by others of the family. */
u64 vmo_content_generation(struct vmo_content *content);

/*
 * What a whole content holds, from memory if nothing has changed; @exclusive is counted
 * only if asked for. No lock held. -EINTR, -ENOMEM.
 */
int vmo_content_usage(struct vmo_content *content, bool exclusive,
		      struct vmo_charges *charges);

/* What is charged to the object, of bytes that may reach past its end. Errors as above. */
int vmo_object_usage(struct vmo *vmo, u64 offset, u64 length, struct vmo_charges *charges);

/**
 * struct vmo_usage_counters - who asked what objects hold
 * @queries: how often
 * @hits: answered from memory
 * @misses: whole objects that were counted
 */
struct vmo_usage_counters {
	u64 queries;
	u64 hits;
	u64 misses;
};

void vmo_usage_counters_read(struct vmo_usage_counters *sum);

long vmo_objects_count(void);
long vmo_contents_count(void);
long vmo_pins_count(void);

#endif
