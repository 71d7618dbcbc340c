// SPDX-License-Identifier: GPL-2.0
/*
 * Harvesters (layer L3): files that tell which pages of an object were written.
 *
 * What was taken out of the set is put back if the caller cannot be told of it, so a
 * call that fails loses nothing.
 */
#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "doors.h"

/* Answers per call. Whoever has room for more is told where to go on. */
#define HARVEST_MAX	4096U
#define WORDS_MAX	65536U

/**
 * struct harvester - who watches
 * @vmo: the object, which the file keeps alive. Immutable.
 * @watch: its set
 */
struct harvester {
	struct vmo *vmo;
	struct vmo_watch watch;
};

/**
 * struct crop - a call
 * @from: who asks
 * @first: key of the first page asked for
 * @key: next key
 * @last: last key
 * @range: answers, in keys
 * @room: of @range
 * @count: used of it
 */
struct crop {
	struct harvester *from;
	pgoff_t first;
	pgoff_t key;
	pgoff_t last;
	struct {
		pgoff_t first;
		pgoff_t last;
	} *range;
	unsigned int room;
	unsigned int count;
};

static struct vmo_cow_pages *cow_of(struct harvester *harvester)
{
	return &harvester->vmo->content->cow;
}

static bool note_range(pgoff_t first, pgoff_t last, void *arg)
{
	struct crop *crop = arg;

	if (crop->count && crop->range[crop->count - 1].last == first - 1) {
		crop->range[crop->count - 1].last = last;
		return true;
	}
	if (crop->count == crop->room)
		return false;
	crop->range[crop->count].first = first;
	crop->range[crop->count].last = last;
	crop->count++;
	return true;
}

static int reap(struct crop *crop, bool keep)
{
	int err;

	do {
		err = vmo_cow_harvest(cow_of(crop->from), &crop->from->watch, &crop->key,
				      crop->last, keep, note_range, crop);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	} while (!err && crop->key <= crop->last && crop->count < crop->room);
	return err;
}

static void give_back(struct crop *crop)
{
	unsigned int i;

	for (i = 0; i < crop->count; i++)
		vmo_cow_give_back(cow_of(crop->from), &crop->from->watch, crop->range[i].first,
				  crop->range[i].last);
}

/* ---- answers ----------------------------------------------------------- */

static int tell_ranges(struct crop *crop, struct vmo_harvest *arg)
{
	struct vmo_range __user *to = u64_to_user_ptr(arg->ranges);
	pgoff_t base = crop->from->vmo->base;
	struct vmo_range range;
	unsigned int i;

	for (i = 0; i < crop->count; i++) {
		range.offset = (u64)(crop->range[i].first - base) << PAGE_SHIFT;
		range.length = (u64)(crop->range[i].last - crop->range[i].first + 1) << PAGE_SHIFT;
		if (copy_to_user(to + i, &range, sizeof(range)))
			return -EFAULT;
	}
	arg->count = crop->count;
	return 0;
}

static u64 word_of(struct crop *crop, unsigned int *i, pgoff_t start)
{
	u64 word = 0;
	pgoff_t from, to;

	for (; *i < crop->count && crop->range[*i].first < start + 64; ++*i) {
		from = max(crop->range[*i].first, start) - start;
		to = min(crop->range[*i].last - start, 63UL);
		word |= GENMASK_ULL(to, from);
		if (crop->range[*i].last - start > 63)
			break;		/* it goes on in the next word */
	}
	return word;
}

static int tell_bits(struct crop *crop, struct vmo_harvest *arg)
{
	u64 __user *to = u64_to_user_ptr(arg->ranges);
	u64 words = DIV_ROUND_UP_ULL(crop->key - crop->first, 64), n;
	unsigned int i = 0;

	for (n = 0; n < words; n++)
		if (put_user(word_of(crop, &i, crop->first + n * 64), to + n))
			return -EFAULT;
	arg->count = words;
	return 0;
}

/* ---- the call ---------------------------------------------------------- */

/* What there is of the range that is asked for; false if nothing is. */
static bool clip(struct crop *crop, const struct vmo_harvest *arg)
{
	struct vmo *vmo = crop->from->vmo;
	pgoff_t pages = vmo_object_pages(vmo), skip = arg->offset >> PAGE_SHIFT;
	pgoff_t count = arg->length >> PAGE_SHIFT;

	if (skip >= pages || !count)
		return false;
	count = min(count, pages - skip);
	if (arg->flags & VMO_HARVEST_BITMAP)
		count = min_t(u64, count, min(arg->count, WORDS_MAX) * 64ULL);
	crop->first = vmo->base + skip;
	crop->key = crop->first;
	crop->last = crop->first + count - 1;
	return true;
}

/* Where to go on: behind what was looked at, or at the end of what was asked for. */
static void advance(struct crop *crop, struct vmo_harvest *arg, bool any)
{
	pgoff_t pages = vmo_object_pages(crop->from->vmo);
	u64 end = arg->offset + min(arg->length, (U64_MAX - arg->offset) & PAGE_MASK);
	u64 next = (u64)(crop->key - crop->from->vmo->base) << PAGE_SHIFT;

	if (!any || crop->key - crop->from->vmo->base >= pages)
		next = end;
	next = min(next, end);
	arg->length = arg->length == U64_MAX && next != end ? U64_MAX : end - next;
	arg->offset = next;
}

static int answer(struct crop *crop, struct vmo_harvest *arg, void __user *uptr, size_t usize,
		  bool any)
{
	int err = arg->flags & VMO_HARVEST_BITMAP ? tell_bits(crop, arg) : tell_ranges(crop, arg);

	if (err)
		return err;
	advance(crop, arg, any);
	return copy_to_user(uptr, arg, min(usize, sizeof(*arg))) ? -EFAULT : 0;
}

#define HARVEST_FLAGS	(VMO_HARVEST_KEEP | VMO_HARVEST_BITMAP)

static int harvest(struct harvester *harvester, struct vmo_harvest *arg, void __user *uptr,
		   size_t usize)
{
	struct crop crop = { .from = harvester, .room = HARVEST_MAX };
	bool keep = arg->flags & VMO_HARVEST_KEEP, any;
	int err = 0;

	if (arg->flags & ~HARVEST_FLAGS || !arg->count || !PAGE_ALIGNED(arg->offset) ||
	    (!PAGE_ALIGNED(arg->length) && arg->length != U64_MAX))
		return -EINVAL;
	if (!(arg->flags & VMO_HARVEST_BITMAP))
		crop.room = min(crop.room, arg->count);
	any = clip(&crop, arg);
	crop.range = kvmalloc_array(crop.room, sizeof(*crop.range), GFP_KERNEL_ACCOUNT);
	if (!crop.range)
		return -ENOMEM;
	if (any)
		err = reap(&crop, keep);
	if (!err)
		err = answer(&crop, arg, uptr, usize, any);
	if (err && !keep)
		give_back(&crop);
	kvfree(crop.range);
	return err;
}

static long harvester_ioctl(struct file *file, unsigned int num, unsigned long uarg)
{
	void __user *uptr = (void __user *)uarg;
	size_t usize = _IOC_SIZE(num);
	struct vmo_harvest arg;
	int err;

	if (_IOC_TYPE(num) != VMO_IOC || _IOC_NR(num) != _IOC_NR(VMO_HARVEST))
		return -ENOTTY;
	if (usize < offsetofend(struct vmo_harvest, flags))
		return -EINVAL;
	err = copy_struct_from_user(&arg, sizeof(arg), uptr, usize);
	return err ? err : harvest(file->private_data, &arg, uptr, usize);
}

/* ---- the file ---------------------------------------------------------- */

static int harvester_release(struct inode *unused, struct file *file)
{
	struct harvester *harvester = file->private_data;
	struct inode *inode = harvester->vmo->view.inode;

	vmo_cow_unwatch(cow_of(harvester), &harvester->watch);
	kfree(harvester);
	iput(inode);
	return 0;
}

static const struct file_operations harvester_fops = {
	.owner = THIS_MODULE,
	.release = harvester_release,
	.unlocked_ioctl = harvester_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* The last key that the object can ever have. */
static pgoff_t last_key(struct vmo *vmo)
{
	if (vmo->content->flags & VMO_CONTENT_RESIZABLE)
		return VMO_KEY_MAX;
	return max(READ_ONCE(vmo->content->cow.end), 1UL) - 1;
}

struct file *vmo_file_harvester(struct vmo *vmo)
{
	struct harvester *harvester = kzalloc(sizeof(*harvester), GFP_KERNEL_ACCOUNT);
	struct file *file;
	int err;

	if (!harvester)
		return ERR_PTR(-ENOMEM);
	harvester->vmo = vmo;
	err = vmo_cow_watch(&vmo->content->cow, &harvester->watch, last_key(vmo));
	if (err)
		goto err_free;
	file = anon_inode_getfile("[vmo-harvester]", &harvester_fops, harvester, O_RDONLY);
	if (IS_ERR(file)) {
		vmo_cow_unwatch(&vmo->content->cow, &harvester->watch);
		err = PTR_ERR(file);
		goto err_free;
	}
	ihold(vmo->view.inode);
	return file;

err_free:
	kfree(harvester);
	return ERR_PTR(err);
}
