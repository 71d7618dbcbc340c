// SPDX-License-Identifier: GPL-2.0
/*
 * Clones of what a source provides. Such a content cannot be frozen, for it is not known;
 * so its clone has a tree of its own and *shows* the *root*, the content with the source,
 * where that has nothing: neither page nor marker, below its limit. A clone of a clone
 * shares the tree of that, and shows the same root; so nobody looks in more than two trees.
 *
 * Keys are the same in both, and a page of the root's may be mapped by its dependents, but
 * read-only. Who takes it from the mappings of the root takes it from theirs.
 *
 * Locks: whoever has a dependent's content lock has the root's shared as well, taken after
 * it. The root's covers the list of its dependents: exclusive to change it. A limit sinks
 * only, under the root's lock exclusive, or the dependent's and the root's shared.
 */
#include "engine.h"
#include "page.h"
#include "cow_internal.h"

void vmo_cow_unmap(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_cow_pages *child;
	pgoff_t from, to;

	cow->ops->unmap(cow, first, last, false);
	list_for_each_entry(child, &cow->dependents, depends) {
		from = max(first, child->base);
		to = min(last + 1, READ_ONCE(child->limit));
		if (from < to)
			child->ops->unmap(child, from, to - 1, false);
	}
}

bool vmo_cow_falls_through(struct vmo_cow_pages *cow, pgoff_t key)
{
	lockdep_assert_held(&cow->lock);
	return cow->root && key < cow->limit && vmo_tree_is_empty(&cow->tree, key);
}

struct page *vmo_cow_fallen_page(struct vmo_cow_pages *cow, pgoff_t key)
{
	if (!vmo_cow_falls_through(cow, key))
		return NULL;
	return vmo_tree_get_page(&cow->root->tree, key);
}

void vmo_cow_wait_fallen(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first;

	if (!cow->root)
		return;
	while ((leaf = vmo_tree_next_leaf(&cow->root->tree, &key, last, false))) {
		vmo_cow_wait_pages(leaf, ~0ULL);
		key = (key | VMO_LEAF_MASK) + 1;
		cond_resched();
	}
}

void vmo_cow_sink_limit(struct vmo_cow_pages *cow, pgoff_t limit)
{
	pgoff_t old = cow->limit;

	if (!cow->root || limit >= old)
		return;
	WRITE_ONCE(cow->limit, limit);	/* read by who has only the root's lock */
	/* Nobody is about to map a page of the root's there any more. */
	vmo_cow_wait_fallen(cow, limit, old - 1);
	cow->ops->unmap(cow, limit, old - 1, false);
}

void vmo_cow_cut_dependents(struct vmo_cow_pages *root, pgoff_t end)
{
	struct vmo_cow_pages *child;
	pgoff_t old, limit;

	list_for_each_entry(child, &root->dependents, depends) {
		old = child->limit;
		limit = max(end, child->base);
		if (limit >= old)
			continue;
		WRITE_ONCE(child->limit, limit);
		child->ops->unmap(child, limit, old - 1, false);
	}
}

/* The root, whose lock is not held, has @child among its dependents from now on. */
static int join(struct vmo_cow_pages *child, struct vmo_cow_pages *root)
{
	int ret = vmo_cow_lock_excl(root);

	if (ret)
		return ret;
	child->root = root;
	list_add_tail(&child->depends, &root->dependents);
	vmo_cow_unlock_excl(root);
	return 0;
}

void vmo_cow_leave_root(struct vmo_cow_pages *cow)
{
	if (!cow->root)
		return;
	down_write(&cow->root->lock);
	list_del(&cow->depends);
	up_write(&cow->root->lock);
	cow->root = NULL;
}

int vmo_cow_depend(struct vmo_cow_pages *cow, struct vmo_cow_pages *child, pgoff_t limit,
		   bool copy_pinned)
{
	int ret;

	ret = join(child, cow->root ? cow->root : cow);
	if (ret)
		return ret;
	/* What a clone has by now its clone shares; what the root has nobody does. */
	if (cow->root)
		return vmo_cow_snapshot(cow, child, limit, copy_pinned);
	ret = vmo_cow_lock_shared(child);
	if (ret)
		return ret;
	child->limit = max(child->base, min3(limit, child->end, cow->end));
	vmo_cow_unlock_shared(child);
	return 0;
}

struct page *vmo_cow_lock_fallen(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *page;

	while (vmo_cow_falls_through(cow, key)) {
		page = vmo_tree_get_page(&cow->root->tree, key);
		if (!page)
			break;
		vmo_page_lock(page);
		if (vmo_tree_has_page(&cow->root->tree, key, page))
			return page;
		vmo_page_unlock(page);
		vmo_page_put(page);
	}
	return NULL;
}

void vmo_cow_try_fallen_pages(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			      struct page **page)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first;

	if (!cow->root)
		return;
	leaf = vmo_tree_next_leaf(&cow->root->tree, &key, last, false);
	for (; leaf && key <= last; key++) {
		struct page **at = page + (key - first);

		if (*at || !vmo_cow_falls_through(cow, key))
			continue;
		spin_lock(&leaf->lock);
		*at = vmo_slot_page(leaf->slot[key_slot(key)]);
		if (*at && !vmo_page_trylock(*at))
			*at = NULL;
		if (*at)
			vmo_page_get(*at);
		spin_unlock(&leaf->lock);
		/* From here on whoever fills the slot waits for this page. */
		if (*at && !vmo_cow_falls_through(cow, key)) {
			vmo_page_unlock(*at);
			vmo_page_put(*at);
			*at = NULL;
		}
	}
}

/* The first key in [@first, @last] at which @cow has something; else @last + 1. */
static pgoff_t next_own(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first, to;

	while (key <= last && (leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false))) {
		to = min(last, key | VMO_LEAF_MASK);
		spin_lock(&leaf->lock);
		while (key <= to && !leaf->slot[key_slot(key)])
			key++;
		spin_unlock(&leaf->lock);
		if (key <= to)
			return key;
		cond_resched();
	}
	return last + 1;
}

int vmo_cow_fallen_end(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t *last)
{
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	/* What is behind the limit nobody asks for. */
	if (cow->limit > key)
		*last = min(*last, cow->limit - 1);
	if (*last > key)
		*last = next_own(cow, key + 1, *last) - 1;
	vmo_cow_unlock_shared(cow);
	return 0;
}
