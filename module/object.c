// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>

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

struct vmo_content *vmo_content_new(const struct vmo_cow_ops *ops, struct vmo_home *home,
				    pgoff_t base, pgoff_t pages)
{
	struct vmo_content *content = kzalloc(sizeof(*content), GFP_KERNEL_ACCOUNT);

	if (!content)
		return NULL;
	vmo_cow_init(&content->cow, ops, base, base + pages);
	refcount_set(&content->refs, 1);
	content->home = home;
	atomic_long_inc(&nr_contents);
	return content;
}

void vmo_content_put(struct vmo_content *content)
{
	if (!refcount_dec_and_test(&content->refs))
		return;
	vmo_cow_destroy(&content->cow);
	vmo_home_put(content->home);
	kfree(content);
	atomic_long_dec(&nr_contents);
}

struct vmo *vmo_object_new(struct vmo_content *content, struct vmo *parent,
			   unsigned long flags)
{
	struct vmo *vmo = kzalloc(sizeof(*vmo), GFP_KERNEL_ACCOUNT);

	if (!vmo)
		return NULL;
	vmo->content = content;
	vmo->base = content->cow.base;
	vmo->pages = content->cow.end - content->cow.base;
	vmo->id = atomic64_inc_return(&last_id);
	vmo->flags = flags;
	INIT_LIST_HEAD(&vmo->children);
	INIT_LIST_HEAD(&vmo->sibling);
	atomic_long_inc(&nr_objects);
	if (!parent)
		return vmo;
	mutex_lock(&family_lock);
	vmo->parent = parent;
	list_add_tail(&vmo->sibling, &parent->children);
	parent->nr_children++;
	mutex_unlock(&family_lock);
	return vmo;
}

/* The children go to the parent (H4); the pages know nothing of it. */
static void leave_family(struct vmo *vmo)
{
	struct vmo *parent, *child;

	mutex_lock(&family_lock);
	parent = vmo->parent;
	list_for_each_entry(child, &vmo->children, sibling)
		child->parent = parent;
	if (parent) {
		list_splice(&vmo->children, &vmo->sibling);
		list_del(&vmo->sibling);
		parent->nr_children += vmo->nr_children - 1;
	} else {
		while (!list_empty(&vmo->children))
			list_del_init(vmo->children.next);
	}
	mutex_unlock(&family_lock);
}

void vmo_object_free(struct vmo *vmo)
{
	leave_family(vmo);
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
