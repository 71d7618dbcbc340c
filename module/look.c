// SPDX-License-Identifier: GPL-2.0
/*
 * Looking at the pages of an object (layer L3): VMO_PAGES, VMO_LOOKUP, VMO_DIFF. They
 * collect into a buffer of ours, under locks, and copy that out without any.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "doors.h"

/* Answers per call. Whoever has room for more is told where to go on. */
#define LOOK_MAX	4096U

/**
 * struct look - a call
 * @vmo: the object
 * @key: next key to look at
 * @last: last key
 * @run: answers of VMO_PAGES
 * @entry: answers of VMO_LOOKUP
 * @range: answers of VMO_DIFF
 * @room: of the array in use
 * @count: used of it
 * @full: there was no room for the key
 * @shared: look up pages that are shared, too
 * @tell: tell addresses
 */
struct look {
	struct vmo *vmo;
	pgoff_t key;
	pgoff_t last;
	union {
		struct vmo_page_run *run;
		struct vmo_lookup_entry *entry;
		struct vmo_range *range;
	};
	unsigned int room;
	unsigned int count;
	bool full;
	bool shared;
	bool tell;
};

static u64 offset_of(struct look *look, pgoff_t key)
{
	return (u64)(key - look->vmo->base) << PAGE_SHIFT;
}

static int look_at(struct look *look, vmo_walk_fn fn)
{
	int err = 0;

	while (!err && !look->full && look->key <= look->last) {
		err = vmo_cow_walk(&look->vmo->content->cow, &look->key, look->last, fn, look);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
	}
	return err;
}

/* ---- states ------------------------------------------------------------ */

static_assert(VMO_PAGE_PRESENT == VMO_STATE_PRESENT && VMO_PAGE_SHARED == VMO_STATE_SHARED &&
	      VMO_PAGE_PINNED == VMO_STATE_PINNED && VMO_PAGE_WRITABLE == VMO_STATE_WRITABLE);

static bool add_run(pgoff_t first, pgoff_t last, struct page *page, unsigned int state,
		    void *arg)
{
	struct look *look = arg;
	u64 bytes = (u64)(last - first + 1) << PAGE_SHIFT;
	struct vmo_page_run *run = look->run + look->count;

	if (look->count && run[-1].state == state) {
		run[-1].length += bytes;
		return true;
	}
	look->full = look->count == look->room;
	if (look->full)
		return false;
	*run = (struct vmo_page_run){
		.offset = offset_of(look, first), .length = bytes, .state = state,
	};
	look->count++;
	return true;
}

int vmo_look_pages(struct vmo *vmo, struct vmo_pages *arg)
{
	struct look look = { .vmo = vmo, .room = min(arg->count, LOOK_MAX) };
	int err;

	if (arg->flags || !arg->count || !PAGE_ALIGNED(arg->offset | arg->length))
		return -EINVAL;
	if (!vmo_object_has(vmo, arg->offset, arg->length))
		return -ERANGE;
	arg->count = 0;
	if (!arg->length)
		return 0;
	look.key = vmo->base + (arg->offset >> PAGE_SHIFT);
	look.last = look.key + (arg->length >> PAGE_SHIFT) - 1;
	look.run = kvmalloc_array(look.room, sizeof(*look.run), GFP_KERNEL_ACCOUNT);
	if (!look.run)
		return -ENOMEM;
	err = look_at(&look, add_run);
	if (!err && copy_to_user(u64_to_user_ptr(arg->runs), look.run,
				 look.count * sizeof(*look.run)))
		err = -EFAULT;
	kvfree(look.run);
	arg->length -= offset_of(&look, look.key) - arg->offset;
	arg->offset = offset_of(&look, look.key);
	arg->count = look.count;
	return err;
}

/* ---- addresses --------------------------------------------------------- */

static bool add_entry(pgoff_t first, pgoff_t last, struct page *page, unsigned int state,
		      void *arg)
{
	struct look *look = arg;

	if (!page || (state & VMO_STATE_SHARED && !look->shared))
		return true;
	look->full = look->count == look->room;
	if (look->full)
		return false;
	look->entry[look->count++] = (struct vmo_lookup_entry){
		.offset = offset_of(look, first),
		.address = look->tell ? PFN_PHYS(page_to_pfn(page)) : 0,
	};
	return true;
}

/* V2 has this order; nothing is contiguous but single pages. */
static int check_contiguous(struct look *look, struct vmo_lookup *arg)
{
	if (!PAGE_ALIGNED(arg->offset))
		return -EINVAL;
	if (!look->tell)
		return -EPERM;
	if (!vmo_object_has(look->vmo, arg->offset, arg->length))
		return -ERANGE;
	return arg->length == PAGE_SIZE ? 0 : -EBADFD;
}

static int look_up(struct look *look, struct vmo_lookup *arg)
{
	u64 end = arg->offset + arg->length;
	int err;

	look->key = look->vmo->base + (arg->offset >> PAGE_SHIFT);
	look->last = look->vmo->base + ((end - 1) >> PAGE_SHIFT);
	err = look_at(look, add_entry);
	if (err)
		return err;
	if (arg->flags & VMO_LOOKUP_CONTIGUOUS && !look->count)
		return -ENOENT;
	if (copy_to_user(u64_to_user_ptr(arg->entries), look->entry,
			 look->count * sizeof(*look->entry)))
		return -EFAULT;
	arg->offset = min(end, offset_of(look, look->key));
	arg->length = end - arg->offset;
	arg->count = look->count;
	return 0;
}

int vmo_look_up(struct vmo *vmo, struct vmo_lookup *arg)
{
	struct look look = {
		.vmo = vmo, .room = min(arg->count, LOOK_MAX),
		.shared = arg->flags & VMO_LOOKUP_SHARED, .tell = capable(CAP_SYS_RAWIO),
	};
	int err = 0;

	if (arg->flags & ~(VMO_LOOKUP_SHARED | VMO_LOOKUP_CONTIGUOUS) || !arg->count ||
	    !arg->length)
		return -EINVAL;
	if (arg->flags & VMO_LOOKUP_CONTIGUOUS)
		err = check_contiguous(&look, arg);
	else if (!vmo_object_has(vmo, arg->offset, arg->length))
		err = -ERANGE;
	if (err)
		return err;
	look.entry = kvmalloc_array(look.room, sizeof(*look.entry), GFP_KERNEL_ACCOUNT);
	if (!look.entry)
		return -ENOMEM;
	err = look_up(&look, arg);
	kvfree(look.entry);
	return err;
}

/* ---- difference -------------------------------------------------------- */

static bool note_range(pgoff_t first, pgoff_t last, void *arg)
{
	struct look *look = arg;
	u64 offset = offset_of(look, first), bytes = (u64)(last - first + 1) << PAGE_SHIFT;
	struct vmo_range *range = look->range + look->count;

	/* The engine looks at so many leaves at a time, and a range may go on. */
	if (look->count && range[-1].offset + range[-1].length == offset) {
		range[-1].length += bytes;
		return true;
	}
	look->full = look->count == look->room;
	if (look->full)
		return false;
	*range = (struct vmo_range){ .offset = offset, .length = bytes };
	look->count++;
	return true;
}

/* What both have of [look->key, look->last]; empty if the key is past the last. */
static void clip_to(struct look *look, struct vmo *other, pgoff_t *key, pgoff_t *last)
{
	pgoff_t end = other->base + vmo_object_pages(other);

	*key = max(look->key, other->base);
	*last = end ? min(look->last, end - 1) : 0;
	if (!end || *key > *last)
		*key = look->last + 1;
}

static int look_diff(struct look *look, struct vmo *other)
{
	pgoff_t key, last;
	int err = 0;

	clip_to(look, other, &key, &last);
	while (!err && !look->full && key <= last && key <= look->last) {
		err = vmo_cow_diff(&look->vmo->content->cow, &other->content->cow, &key, last,
				   note_range, look);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
	}
	look->key = look->full ? key : look->last + 1;
	return err;
}

int vmo_look_diff(struct vmo *vmo, struct vmo *other, struct vmo_diff *arg)
{
	struct look look = { .vmo = vmo, .room = min(arg->count, LOOK_MAX) };
	u64 end = arg->offset + arg->length;
	int err;

	if (vmo->content->kin != other->content->kin)
		return -EINVAL;
	/* What they have from a root may be the same or not, and may not be known. */
	if (vmo_cow_is_paged(&vmo->content->cow) || vmo_cow_is_paged(&other->content->cow))
		return -EOPNOTSUPP;
	if (!vmo_object_has(vmo, arg->offset, arg->length))
		return -ERANGE;
	arg->count = 0;
	if (!arg->length)
		return 0;
	look.key = vmo->base + (arg->offset >> PAGE_SHIFT);
	look.last = look.key + (arg->length >> PAGE_SHIFT) - 1;
	look.range = kvmalloc_array(look.room, sizeof(*look.range), GFP_KERNEL_ACCOUNT);
	if (!look.range)
		return -ENOMEM;
	err = look_diff(&look, other);
	if (!err && copy_to_user(u64_to_user_ptr(arg->ranges), look.range,
				 look.count * sizeof(*look.range)))
		err = -EFAULT;
	kvfree(look.range);
	arg->offset = offset_of(&look, look.key);
	arg->length = end - arg->offset;
	arg->count = look.count;
	return err;
}

/* ---- what a server does not know ----------------------------------------- */

static bool note_dirty(pgoff_t first, pgoff_t last, bool zero, void *arg)
{
	struct look *look = arg;
	u64 offset = offset_of(look, first), bytes = (u64)(last - first + 1) << PAGE_SHIFT;
	struct vmo_page_run *run = look->run + look->count;
	u32 state = zero ? VMO_DIRTY_ZERO : 0;

	if (look->count && run[-1].state == state && run[-1].offset + run[-1].length == offset) {
		run[-1].length += bytes;
		return true;
	}
	look->full = look->count == look->room;
	if (look->full)
		return false;
	*run = (struct vmo_page_run){ .offset = offset, .length = bytes, .state = state };
	look->count++;
	return true;
}

static int look_dirty(struct look *look)
{
	int err = 0;

	while (!err && !look->full && look->key <= look->last) {
		err = vmo_cow_dirty_ranges(&look->vmo->content->cow, &look->key, look->last,
					   note_dirty, look);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
	}
	look->key = min(look->key, look->last + 1);
	return err;
}

int vmo_look_dirty(struct vmo *vmo, struct vmo_pager_dirty_ranges *arg)
{
	struct look look = { .vmo = vmo, .room = min(arg->count, LOOK_MAX) };
	u64 end = arg->offset + arg->length;
	int err;

	if (!vmo_object_has(vmo, arg->offset, arg->length))
		return -ERANGE;
	arg->count = 0;
	if (!arg->length)
		return 0;
	look.key = vmo->base + (arg->offset >> PAGE_SHIFT);
	look.last = look.key + (arg->length >> PAGE_SHIFT) - 1;
	look.run = kvmalloc_array(look.room, sizeof(*look.run), GFP_KERNEL_ACCOUNT);
	if (!look.run)
		return -ENOMEM;
	err = look_dirty(&look);
	if (!err && copy_to_user(u64_to_user_ptr(arg->ranges), look.run,
				 look.count * sizeof(*look.run)))
		err = -EFAULT;
	kvfree(look.run);
	arg->offset = offset_of(&look, look.key);
	arg->length = end - arg->offset;
	arg->count = look.count;
	return err;
}
