// SPDX-License-Identifier: GPL-2.0
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "object.h"

static atomic64_t last_id = ATOMIC64_INIT(0);
static atomic_long_t nr_objects = ATOMIC_LONG_INIT(0);
static atomic_long_t nr_contents = ATOMIC_LONG_INIT(0);

/* Covers who is whose parent, of all objects. Innermost but for spinlocks. */
static DEFINE_MUTEX(family_lock);

long vmo_objects_count(void)
{
	return atomic_long_read(&nr_objects);
}

long vmo_contents_count(void)
{
	return atomic_long_read(&nr_contents);
}

/* ---- contents ---------------------------------------------------------- */

struct vmo_content *vmo_content_new(const struct vmo_cow_ops *ops, struct vmo_home *home,
				    pgoff_t base, pgoff_t pages, unsigned long flags,
				    struct vmo_content *like)
{
	struct vmo_content *content = kzalloc(sizeof(*content), GFP_KERNEL_ACCOUNT);
	struct vmo_kin *kin;

	if (!content)
		return NULL;
	kin = like ? vmo_kin_get(like->kin) : vmo_kin_new();
	if (!kin) {
		kfree(content);
		return NULL;
	}
	vmo_cow_init(&content->cow, ops, base, base + pages);
	refcount_set(&content->refs, 1);
	content->home = home;
	content->flags = flags;
	init_rwsem(&content->size_lock);
	spin_lock_init(&content->rings_lock);
	spin_lock_init(&content->counts.lock);
	content->kin = kin;
	INIT_LIST_HEAD(&content->kin_link);
	atomic_long_inc(&nr_contents);
	return content;
}

struct vmo_content *vmo_content_get(struct vmo_content *content)
{
	refcount_inc(&content->refs);
	return content;
}

void vmo_content_modified(struct vmo_content *content)
{
	if (content->cow.source)
		vmo_source_modified(content->cow.source);
}

void vmo_content_put(struct vmo_content *content)
{
	struct vmo_content *root = content->root;
	struct vmo_pager *pager;

	if (!refcount_dec_and_test(&content->refs))
		return;
	pager = vmo_pager_of(&content->cow);
	vmo_kin_leave(content);
	vmo_cow_destroy(&content->cow);		/* which tells the family, and the pager */
	if (pager)
		vmo_pager_put(pager);
	vmo_kin_put(content->kin);
	vmo_home_put(content->home);
	kfree(content);
	atomic_long_dec(&nr_contents);
	if (root)	/* which has none itself */
		vmo_content_put(root);
}

/* ---- objects ----------------------------------------------------------- */

static void enter_family(struct vmo *vmo, struct vmo *parent)
{
	vmo_object_name(parent, vmo->name);	/* H5 */
	mutex_lock(&family_lock);
	vmo->parent = parent;
	list_add_tail(&vmo->sibling, &parent->children);
	WRITE_ONCE(parent->nr_children, parent->nr_children + 1);
	mutex_unlock(&family_lock);
}

static bool is_slice(struct vmo *vmo)
{
	return vmo->flags & VMO_OBJ_SLICE && !(vmo->flags & VMO_OBJ_REFERENCE);
}

struct vmo *vmo_object_new(struct vmo_content *content, struct vmo *parent, pgoff_t base,
			   pgoff_t pages, unsigned long flags, unsigned int rights)
{
	struct vmo *vmo = kzalloc(sizeof(*vmo), GFP_KERNEL_ACCOUNT);

	if (!vmo)
		return NULL;
	vmo->content = content;
	vmo->base = base;
	vmo->pages = pages;
	vmo->id = atomic64_inc_return(&last_id);
	vmo->flags = flags;
	vmo_view_init(&vmo->view, vmo, rights);
	INIT_LIST_HEAD(&vmo->children);
	INIT_LIST_HEAD(&vmo->sibling);
	init_waitqueue_head(&vmo->childless);
	spin_lock_init(&vmo->name_lock);
	atomic_long_inc(&nr_objects);
	if (parent)
		enter_family(vmo, parent);
	if (is_slice(vmo))
		vmo_cow_changed(&content->cow, false);	/* A5 */
	return vmo;
}

void vmo_view_init(struct vmo_view *view, struct vmo *vmo, unsigned int rights)
{
	view->vmo = vmo;
	view->rights = rights;
	INIT_LIST_HEAD(&view->same);
}

void vmo_view_join(struct vmo_view *view, struct inode *inode, loff_t size,
		   struct vmo_view *like)
{
	struct vmo_content *content = view->vmo->content;

	view->inode = inode;
	spin_lock(&content->rings_lock);
	if (like) {
		size = i_size_read(like->inode);
		list_add(&view->same, &like->same);
	}
	i_size_write(inode, size);
	spin_unlock(&content->rings_lock);
}

void vmo_view_leave(struct vmo_view *view)
{
	struct vmo_content *content = view->vmo->content;

	spin_lock(&content->rings_lock);
	list_del_init(&view->same);
	spin_unlock(&content->rings_lock);
}

/* The children go to the parent (H4); the pages know nothing of it. */
static void leave_family(struct vmo *vmo, struct vmo_departure *gone)
{
	struct vmo *parent, *child;

	mutex_lock(&family_lock);
	parent = vmo->parent;
	list_for_each_entry(child, &vmo->children, sibling)
		child->parent = parent;
	if (parent) {
		gone->parent_id = parent->id;
		list_splice(&vmo->children, &vmo->sibling);
		list_del(&vmo->sibling);
		WRITE_ONCE(parent->nr_children, parent->nr_children + vmo->nr_children - 1);
		if (!parent->nr_children) {
			wake_up_interruptible_poll(&parent->childless, EPOLLPRI);
			gone->childless = parent->id;
		}
	} else {
		while (!list_empty(&vmo->children))
			list_del_init(vmo->children.next);
	}
	mutex_unlock(&family_lock);
}

/* All of them, by id. Its lock is taken before that of an inode. */
static DEFINE_XARRAY(objects);

int vmo_object_enter(struct vmo *vmo)
{
	return xa_err(xa_store(&objects, vmo->id, vmo, GFP_KERNEL_ACCOUNT));
}

struct vmo *vmo_object_next(u64 id)
{
	XA_STATE(xas, &objects, id);
	struct vmo *vmo;

	/* Whoever goes away leaves under this lock, before the inode does. */
	xas_lock(&xas);
	xas_for_each(&xas, vmo, ULONG_MAX)
		if (igrab(vmo->view.inode))
			break;
	xas_unlock(&xas);
	return vmo;
}

void vmo_object_free(struct vmo *vmo, struct vmo_departure *gone)
{
	*gone = (struct vmo_departure){ .id = vmo->id };
	gone->known = xa_erase(&objects, vmo->id);
	vmo_object_name(vmo, gone->name);
	leave_family(vmo, gone);
	vmo_view_leave(&vmo->view);
	if (is_slice(vmo))
		vmo_cow_changed(&vmo->content->cow, false);
	vmo_content_put(vmo->content);
	kfree(vmo);
	atomic_long_dec(&nr_objects);
}

void vmo_object_family(struct vmo *vmo, struct vmo_family *family)
{
	mutex_lock(&family_lock);
	family->parent_id = vmo->parent ? vmo->parent->id : 0;
	family->children = vmo->nr_children;
	mutex_unlock(&family_lock);
}

int vmo_object_depth(struct vmo *vmo, u64 id, int most)
{
	int depth = 0;

	mutex_lock(&family_lock);
	for (; vmo && vmo->id != id && depth <= most; vmo = vmo->parent)
		depth++;
	mutex_unlock(&family_lock);
	return vmo && depth <= most ? depth : -1;
}

bool vmo_name_valid(const char *name)
{
	size_t length = strnlen(name, VMO_NAME_SIZE), i;

	if (length == VMO_NAME_SIZE || memchr_inv(name + length, 0, VMO_NAME_SIZE - length))
		return false;
	for (i = 0; i < length; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return false;
	return true;
}

int vmo_object_set_name(struct vmo *vmo, const char *name)
{
	if (!vmo_name_valid(name))
		return -EINVAL;
	spin_lock(&vmo->name_lock);
	memcpy(vmo->name, name, VMO_NAME_SIZE);
	spin_unlock(&vmo->name_lock);
	return 0;
}

void vmo_object_name(struct vmo *vmo, char *name)
{
	spin_lock(&vmo->name_lock);
	memcpy(name, vmo->name, VMO_NAME_SIZE);
	spin_unlock(&vmo->name_lock);
}

/* ---- sizes ------------------------------------------------------------- */

pgoff_t vmo_object_pages(struct vmo *vmo)
{
	if (vmo->flags & VMO_OBJ_SLICE)
		return vmo->pages;
	return READ_ONCE(vmo->content->cow.end) - vmo->base;
}

int vmo_size_to_pages(u64 size, pgoff_t *pages)
{
	if (size > VMO_MAX_SIZE)
		return -ERANGE;
	*pages = DIV_ROUND_UP_ULL(size, PAGE_SIZE);
	return 0;
}

void vmo_object_set_content_size(struct vmo *vmo, loff_t size)
{
	struct vmo_content *content = vmo->content;
	struct vmo_view *other;

	lockdep_assert_held_write(&content->size_lock);
	spin_lock(&content->rings_lock);
	i_size_write(vmo->view.inode, size);
	list_for_each_entry(other, &vmo->view.same, same)
		i_size_write(other->inode, size);
	spin_unlock(&content->rings_lock);
}

static int may_resize(struct vmo_view *view)
{
	if (!(view->vmo->content->flags & VMO_CONTENT_RESIZABLE))
		return -EPERM;
	return view->rights & VMO_RIGHT_RESIZE ? 0 : -EACCES;
}

/* The host of the content's mappings has to cover all keys that can be mapped. */
static int set_pages(struct vmo *vmo, pgoff_t pages)
{
	struct inode *host = vmo->content->home->mapping->host;
	pgoff_t old = vmo_object_pages(vmo);
	loff_t end;
	int err;

	/* S1: the end, counted from the first ancestor, must not wrap. */
	if (pages > VMO_MAX_PAGES - vmo->base)
		return -EINVAL;
	end = (loff_t)(vmo->base + pages) << PAGE_SHIFT;
	if (pages > old)
		i_size_write(host, end);
	err = vmo_cow_resize(&vmo->content->cow, vmo->base + pages);
	if (err)
		end = (loff_t)(vmo->base + old) << PAGE_SHIFT;
	i_size_write(host, end);
	return err;
}

int vmo_object_grow(struct vmo_view *view, u64 size)
{
	struct vmo *vmo = view->vmo;
	pgoff_t pages;
	int err;

	lockdep_assert_held_write(&vmo->content->size_lock);
	err = vmo_size_to_pages(size, &pages);
	if (err || pages <= vmo_object_pages(vmo))
		return err;
	err = may_resize(view);
	return err ? err : set_pages(vmo, pages);
}

/* Zeroes bytes [from, to) of the page at @key, if there is a page. */
static int clear_part(struct vmo *vmo, pgoff_t key, unsigned int from, unsigned int to)
{
	struct vmo_cow_pages *cow = &vmo->content->cow;
	int err = vmo_cow_lock_shared(cow);

	if (err)
		return err;
	err = vmo_cow_clear(cow, key, from, to);
	if (err != -EINTR)
		vmo_cow_unlock_shared(cow);
	return err;
}

/* The same for who holds no lock, and so may wait for a pager. */
static int zero_part(struct vmo *vmo, pgoff_t key, unsigned int from, unsigned int to)
{
	int err;

	do {
		err = clear_part(vmo, key, from, to);
		if (err == -ENODATA)
			err = vmo_cow_need(&vmo->content->cow, key, key, VMO_WANT_WRITE) ?:
			      -ENODATA;
	} while (err == -ENODATA);
	return err;
}

static int resize_locked(struct vmo *vmo, u64 size, pgoff_t pages)
{
	unsigned int tail = offset_in_page(size);
	pgoff_t key = vmo->base + pages - 1;
	bool clear = tail && pages <= vmo_object_pages(vmo);
	int err = 0;

	/* Whatever the tail takes is allocated before anything changes. */
	if (clear)
		err = clear_part(vmo, key, tail, tail);
	if (!err)
		err = set_pages(vmo, pages);
	if (err)
		return err;
	vmo_object_set_content_size(vmo, size);
	vmo_content_modified(vmo->content);
	return clear ? clear_part(vmo, key, tail, PAGE_SIZE) : 0;
}

int vmo_object_resize(struct vmo_view *view, u64 size)
{
	struct vmo *vmo = view->vmo;
	struct vmo_content *content = vmo->content;
	pgoff_t pages, key;
	int err;

	err = may_resize(view);
	if (!err)
		err = vmo_size_to_pages(size, &pages);
	if (err)
		return err;
	do {
		if (down_write_killable(&content->size_lock))
			return -EINTR;
		err = resize_locked(vmo, size, pages);
		up_write(&content->size_lock);
		/* Nobody else is to wait for a pager there. */
		key = vmo->base + pages - 1;
		if (err == -ENODATA)
			err = vmo_cow_need(&content->cow, key, key, VMO_WANT_WRITE) ?: -ENODATA;
	} while (err == -ENODATA);
	return err;
}

static int rewind_locked(struct vmo *vmo)
{
	struct vmo_content *content = vmo->content;
	struct inode *host = content->home->mapping->host;
	loff_t end = (loff_t)content->cow.base_end << PAGE_SHIFT;
	int err;

	/* As in set_pages(): the host covers what can be mapped, before and after. */
	if (end > i_size_read(host))
		i_size_write(host, end);
	err = vmo_cow_rewind(&content->cow);
	i_size_write(host, (loff_t)content->cow.end << PAGE_SHIFT);
	if (!err)
		vmo_object_set_content_size(vmo, content->base_size);
	return err;
}

int vmo_object_rewind(struct vmo *vmo)
{
	struct rw_semaphore *lock = &vmo->content->size_lock;
	int err;

	/* A slice is a part of it only. */
	if (!vmo->content->cow.has_base || vmo->flags & VMO_OBJ_SLICE)
		return -EOPNOTSUPP;
	if (down_write_killable(lock))
		return -EINTR;
	err = rewind_locked(vmo);
	up_write(lock);
	return err;
}

/* ---- ranges ------------------------------------------------------------ */

bool vmo_object_has(struct vmo *vmo, u64 offset, u64 length)
{
	u64 end;

	return !check_add_overflow(offset, length, &end) &&
	       end <= (u64)vmo_object_pages(vmo) << PAGE_SHIFT;
}

int vmo_object_commit(struct vmo *vmo, u64 offset, u64 length)
{
	if (!vmo_object_has(vmo, offset, length))
		return -ERANGE;
	if (!length)
		return 0;
	return vmo_cow_commit(&vmo->content->cow, vmo->base + (offset >> PAGE_SHIFT),
			      vmo->base + ((offset + length - 1) >> PAGE_SHIFT));
}

static void zeroed(struct vmo *vmo, int err)
{
	if (!err)
		vmo_content_modified(vmo->content);
	vmo_cow_changed(&vmo->content->cow, false);	/* A5: by each call */
}

int vmo_object_zero(struct vmo *vmo, u64 offset, u64 length)
{
	pgoff_t first = vmo->base + (offset >> PAGE_SHIFT), end;
	unsigned int head = offset_in_page(offset), tail;
	int err = 0;

	if (!vmo_object_has(vmo, offset, length))
		return -ERANGE;
	if (!length)
		return 0;
	end = vmo->base + ((offset + length) >> PAGE_SHIFT);
	tail = offset_in_page(offset + length);
	if (head && first == end) {
		err = zero_part(vmo, first, head, tail);
		zeroed(vmo, err);
		return err;
	}
	if (head)
		err = zero_part(vmo, first++, head, PAGE_SIZE);
	if (!err && end > first)
		err = vmo_cow_zero(&vmo->content->cow, first, end - 1);
	if (!err && tail)
		err = zero_part(vmo, end, 0, tail);
	zeroed(vmo, err);
	return err;
}

int vmo_object_transfer(struct vmo *dst, u64 offset, struct vmo *src, u64 src_offset,
			u64 length)
{
	pgoff_t to = dst->base + (offset >> PAGE_SHIFT);
	pgoff_t from = src->base + (src_offset >> PAGE_SHIFT);
	pgoff_t left = length >> PAGE_SHIFT, count;
	bool same = dst->content == src->content;
	/* Upwards within one memory: from the end, lest it runs over what is to come. */
	bool back = same && to > from && to - from < left;
	int err;

	if (!vmo_object_has(dst, offset, length) || !vmo_object_has(src, src_offset, length))
		return -ERANGE;
	if (same && to == from)
		return 0;
	while (left) {
		count = left;
		err = vmo_cow_transfer(&dst->content->cow, to, &src->content->cow, from, back,
				       &count);
		if (err)
			return err;
		left -= count;
		if (!back) {
			to += count;
			from += count;
		}
		if (left && fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

int vmo_object_supply(struct vmo *dst, u64 offset, struct vmo *src, u64 src_offset, u64 length)
{
	pgoff_t to = dst->base + (offset >> PAGE_SHIFT);
	pgoff_t from = src->base + (src_offset >> PAGE_SHIFT);
	pgoff_t left = length >> PAGE_SHIFT, count;
	int err;

	if (vmo_source_closed(dst->content->cow.source))
		return -EBADFD;
	if (!vmo_object_has(dst, offset, length) || !vmo_object_has(src, src_offset, length))
		return -ERANGE;
	while (left) {
		count = left;
		err = vmo_cow_supply(&dst->content->cow, to, &src->content->cow, from, &count);
		if (err)
			return err;
		left -= count;
		to += count;
		from += count;
		if (left && fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

bool vmo_object_served_by(struct vmo *vmo, struct vmo_pager *pager)
{
	return vmo_pager_of(&vmo->content->cow) == pager && !(vmo->flags & VMO_OBJ_SLICE);
}
