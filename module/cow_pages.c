// SPDX-License-Identifier: GPL-2.0
/*
 * A memory content and the protocol of handing its pages out; see cow_pages.h.
 *
 * A page is *ours* if every node on the path to it has one reference, it has
 * one share, and nobody outside of the tree holds it. Counts alone do not say
 * the last: a pipe may have taken the page from a snapshot that is closed by
 * now. So the leaf remembers what was checked: @mine, valid until the next
 * snapshot, and @writable, valid until the page is revoked.
 */
#include "engine.h"
#include "page.h"
#include "cow_internal.h"

/* Every content, before and after each snapshot, has an epoch of its own. */
static atomic64_t epochs = ATOMIC64_INIT(0);

static u64 next_epoch(void)
{
	return atomic64_inc_return(&epochs);
}

void vmo_cow_init(struct vmo_cow_pages *cow, const struct vmo_cow_ops *ops,
		  pgoff_t base, pgoff_t end)
{
	memset(cow, 0, sizeof(*cow));
	init_rwsem(&cow->lock);
	cow->base = base;
	cow->end = end;
	cow->epoch = next_epoch();
	cow->family_changed = &cow->changed;
	INIT_LIST_HEAD(&cow->dependents);
	INIT_LIST_HEAD(&cow->watches);
	cow->ops = ops;
}

static void set_flag(bool *flag)
{
	if (!READ_ONCE(*flag))
		WRITE_ONCE(*flag, true);
}

void vmo_cow_changed(struct vmo_cow_pages *cow, bool family)
{
	smp_mb();	/* the change before the flags; who asks clears them, then looks */
	set_flag(&cow->changed);
	if (family)
		set_flag(cow->family_changed);
}

void vmo_cow_destroy(struct vmo_cow_pages *cow)
{
	vmo_cow_leave_root(cow);
	vmo_tree_drop(&cow->tree);
	vmo_tree_drop(&cow->base_tree);
	if (cow->source)
		vmo_source_release(cow->source);
	vmo_cow_changed(cow, true);
}

static int lock_root(struct vmo_cow_pages *cow)
{
	if (!cow->root)
		return 0;
	return down_read_killable_nested(&cow->root->lock, SINGLE_DEPTH_NESTING);
}

static void unlock_root(struct vmo_cow_pages *cow)
{
	if (cow->root)
		up_read(&cow->root->lock);
}

int vmo_cow_lock_shared(struct vmo_cow_pages *cow)
{
	int ret = down_read_killable(&cow->lock);

	if (ret)
		return ret;
	ret = lock_root(cow);
	if (ret)
		up_read(&cow->lock);
	return ret;
}

int vmo_cow_lock_excl(struct vmo_cow_pages *cow)
{
	int ret = down_write_killable(&cow->lock);

	if (ret)
		return ret;
	ret = lock_root(cow);
	if (ret)
		up_write(&cow->lock);
	return ret;
}

bool vmo_cow_trylock_shared(struct vmo_cow_pages *cow)
{
	if (!down_read_trylock(&cow->lock))
		return false;
	if (!cow->root || down_read_trylock(&cow->root->lock))
		return true;
	up_read(&cow->lock);
	return false;
}

void vmo_cow_unlock_shared(struct vmo_cow_pages *cow)
{
	unlock_root(cow);
	up_read(&cow->lock);
}

void vmo_cow_unlock_excl(struct vmo_cow_pages *cow)
{
	unlock_root(cow);
	up_write(&cow->lock);
}

/* ---- reading ----------------------------------------------------------- */

struct page *vmo_cow_lookup(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *page;

	lockdep_assert_held(&cow->lock);
	page = vmo_tree_get_page(&cow->tree, key);
	return page || !cow->root ? page : vmo_cow_fallen_page(cow, key);
}

static void unlock_put(struct page *page)
{
	vmo_page_unlock(page);
	vmo_page_put(page);
}

static bool reads_zero(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *page = vmo_cow_lookup(cow, key);

	if (page)
		vmo_page_put(page);
	return !page;
}

/* One for a root and its dependents, so that whoever fills a slot of the root waits once. */
static struct page *zero_page(struct vmo_cow_pages *cow, pgoff_t key)
{
	return vmo_page_zero(vmo_cow_provider(cow), key);
}

/*
 * A hole that is mapped has a zero page in its PTE, which has to go when the
 * slot is filled, also one of the root. Here: say that there may be one, then look again, with the
 * zero page locked. There (vmo_cow_filled()): fill the slot, then ask whether there
 * may be one, and wait for the zero page's lock. One of the two sees the other.
 */
static struct page *map_hole(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *zero = zero_page(cow, key);

	set_flag(&cow->zero_mapped);
	if (cow->root)
		set_flag(&cow->root->zero_mapped);
	vmo_page_get(zero);
	vmo_page_lock(zero);
	smp_mb();	/* the flag before the look-up; pairs with vmo_cow_filled() */
	if (reads_zero(cow, key))
		return zero;
	unlock_put(zero);
	return NULL;
}

static void wait_zero_page(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *zero = zero_page(cow, key);

	vmo_page_lock(zero);
	vmo_page_unlock(zero);
}

void vmo_cow_filled(struct vmo_cow_pages *cow, pgoff_t base, u64 mask)
{
	unsigned int first, last, i;

	if (!mask)
		return;
	smp_mb();	/* the slots before the flags; pairs with map_hole() */
	set_flag(&cow->changed);
	if (!READ_ONCE(cow->zero_mapped))
		return;
	first = __ffs64(mask);
	last = fls64(mask) - 1;
	for (i = first; i <= last; i++)
		if (mask & BIT_ULL(i))
			wait_zero_page(cow, base + i);
	vmo_cow_unmap(cow, base + first, base + last);
}

struct page *vmo_cow_read_page(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *page;

	lockdep_assert_held(&cow->lock);
	for (;;) {
		page = cow->root ? vmo_cow_lock_fallen(cow, key) : NULL;
		if (page && vmo_cow_falls_through(cow, key))
			return page;
		if (page)
			unlock_put(page);
		page = vmo_tree_get_page(&cow->tree, key);
		if (!page) {
			page = map_hole(cow, key);
			if (page)
				return page;
			continue;
		}
		vmo_page_lock(page);
		if (vmo_tree_has_page(&cow->tree, key, page))
			return page;
		unlock_put(page);
	}
}

void vmo_cow_try_read_pages(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			    struct page **page)
{
	pgoff_t key = first;
	struct vmo_leaf *leaf;
	struct page **at;

	lockdep_assert_held(&cow->lock);
	leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false);
	if (!leaf) {
		memset(page, 0, (last - first + 1) * sizeof(*page));
		vmo_cow_try_fallen_pages(cow, first, last, page);
		return;
	}
	spin_lock(&leaf->lock);
	for (at = page; key <= last; key++, at++) {
		*at = vmo_slot_page(leaf->slot[key_slot(key)]);
		if (!*at)
			continue;
		if (vmo_page_trylock(*at))
			vmo_page_get(*at);
		else
			*at = NULL;
	}
	spin_unlock(&leaf->lock);
	vmo_cow_try_fallen_pages(cow, first, last, page);
}

/* ---- owning ------------------------------------------------------------ */

/* Is @page, in an exclusive leaf, known to be ours? Leaf lock. */
static bool known_ours(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t key,
		       struct page *page)
{
	u64 bits = leaf->writable;

	if (leaf->epoch == cow->epoch)
		bits |= leaf->mine;
	return bits & key_bit(key) && vmo_page_shares(page) == 1;
}

static void set_ours(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t key,
		     unsigned int flags)
{
	struct vmo_leaf *leaf = path->leaf;

	leaf_renew(cow, leaf);
	leaf->mine |= key_bit(key);
	if (cow->source && flags & (VMO_OWN_WRITABLE | VMO_OWN_WRITTEN) &&
	    !(flags & VMO_OWN_TO_READ))
		leaf->dirty |= key_bit(key);
	if (!(flags & VMO_OWN_WRITABLE))
		return;
	/* What the page was marked for so far, whoever watches has been told. */
	if (!list_empty(&cow->watches) && !(leaf->writable & key_bit(key)))
		vmo_page_test_clear_dirty(leaf->slot[key_slot(key)]);
	vmo_tree_mark_writable(path, key);
}

static unsigned int alloc_flags(unsigned int own_flags)
{
	return own_flags & VMO_OWN_FAULT ? VMO_ALLOC_FAULT : 0;
}

/*
 * Takes the content lock exclusive to copy the shared part of the path, and
 * comes back with it shared. -EINTR: not held. Whether the path is exclusive
 * now the caller finds out.
 */
static int own_path(struct vmo_cow_pages *cow, pgoff_t key, unsigned int flags)
{
	struct vmo_pool pool;
	struct vmo_need need;
	int ret;

	vmo_pool_init(&pool, alloc_flags(flags));
	vmo_tree_own_need(&cow->tree, key, true, &need);
	vmo_cow_unlock_shared(cow);
	for (;;) {
		ret = vmo_pool_fill(&pool, &need);
		if (ret)
			break;
		ret = vmo_cow_lock_excl(cow);
		if (ret)
			goto drain;
		/* While the lock was not held the tree may have changed. */
		vmo_tree_own_need(&cow->tree, key, true, &need);
		if (vmo_pool_has(&pool, &need))
			break;
		vmo_cow_unlock_excl(cow);
	}
	if (ret) {
		if (vmo_cow_lock_shared(cow))
			ret = -EINTR;
	} else {
		if (key < cow->end)
			vmo_tree_own(&cow->tree, key, true, &pool);
		vmo_cow_changed(cow, true);
		downgrade_write(&cow->lock);
	}
drain:
	vmo_pool_drain(&pool);
	return ret;
}

/* A page with the bytes of @from, or zeroes if that is NULL. */
static int new_page(struct page *from, unsigned int flags, struct page **out)
{
	struct page *page = vmo_page_alloc((from ? 0 : VMO_ALLOC_ZERO) | alloc_flags(flags));
	int ret = 0;

	if (!page)
		return -ENOMEM;
	if (from)
		ret = vmo_page_copy(page, from);
	if (ret)
		vmo_page_unshare(page);
	*out = page;
	return ret;
}

/* @from, the page that the root has at @key, is locked; NULL if what is there reads zero. */
static int fill_slot(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t key,
		     unsigned int flags, struct page *from, struct page **out)
{
	struct vmo_leaf *leaf = path->leaf;
	struct page *page;
	int ret = new_page(from, flags, &page);

	if (ret)
		return ret;
	vmo_page_get(page);
	vmo_page_lock(page);
	spin_lock(&leaf->lock);
	if (vmo_slot_page(leaf->slot[key_slot(key)])) {
		spin_unlock(&leaf->lock);
		vmo_page_unshare_locked(page);
		unlock_put(page);
		return -EAGAIN;
	}
	/* What the content grew by its source does not know, not even if it is not written. */
	if (cow->source && key >= cow->source_end && !leaf->slot[key_slot(key)])
		leaf->dirty |= key_bit(key);
	leaf->slot[key_slot(key)] = page;
	set_ours(cow, path, key, flags);
	spin_unlock(&leaf->lock);
	vmo_cow_filled(cow, key & ~VMO_LEAF_MASK, key_bit(key));
	/* As in copy_slot(): whoever looks @from up anew finds the slot filled. */
	if (from && vmo_page_mapped(from))
		cow->ops->unmap(cow, key, key, false);
	*out = page;
	return 0;
}

static int fill_or_copy(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t key,
			unsigned int flags, struct page **out)
{
	struct page *from = cow->root ? vmo_cow_lock_fallen(cow, key) : NULL;
	int ret = fill_slot(cow, path, key, flags, from, out);

	if (from)
		unlock_put(from);
	return ret;
}

/*
 * Puts a copy into the place of @old, which is referenced, locked, and in its
 * slot. The order is the point: first the slot changes, then our PTEs go, and
 * only then the share is dropped, by which others may find the page theirs.
 */
static int copy_slot(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t key,
		     unsigned int flags, struct page *old, struct page **out)
{
	struct vmo_leaf *leaf = path->leaf;
	struct page *page = vmo_page_alloc(alloc_flags(flags));
	int ret;

	if (!page)
		return -ENOMEM;
	ret = vmo_page_copy(page, old);
	if (ret) {
		vmo_page_unshare(page);
		return ret;
	}
	vmo_page_get(page);
	vmo_page_lock(page);
	spin_lock(&leaf->lock);
	leaf->slot[key_slot(key)] = page;
	leaf->writable &= ~key_bit(key);
	set_ours(cow, path, key, flags);
	spin_unlock(&leaf->lock);
	if (vmo_page_mapped(old))
		vmo_cow_unmap(cow, key, key);
	vmo_page_unshare_locked(old);
	vmo_cow_changed(cow, true);
	vmo_trace_cow_copy(cow, key);
	*out = page;
	return 0;
}

/* No bit says that the only share of a locked page is ours: look who holds it. */
static bool check_ours(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t key,
		       unsigned int flags, struct page *page, int callers)
{
	if (vmo_page_shares(page) != 1)
		return false;
	/*
	 * Whoever else once shared the page dropped its share after its PTEs, so those that
	 * are left are ours, and who gets at the page by them may see it change. Who got at
	 * it before has a reference beyond those of the PTEs. If there is one, it may still
	 * be of somebody who came by our PTEs: without these, and with the page lock held no
	 * new ones, look again.
	 */
	if (vmo_page_in_use(page, callers)) {
		if (vmo_page_mapped(page))
			vmo_cow_unmap(cow, key, key);
		if (vmo_page_held(page, callers))
			return false;
	}
	spin_lock(&path->leaf->lock);
	set_ours(cow, path, key, flags);
	spin_unlock(&path->leaf->lock);
	return true;
}

/* The same as vmo_cow_own_page(), for a path that is exclusive. -EAGAIN: again. */
static int own_slot(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t key,
		    unsigned int flags, struct page **out)
{
	struct vmo_leaf *leaf = path->leaf;
	struct page *page;
	int ret, callers;

	spin_lock(&leaf->lock);
	page = vmo_slot_page(leaf->slot[key_slot(key)]);
	if (page)
		vmo_page_get(page);
	spin_unlock(&leaf->lock);
	callers = 1 + (flags & VMO_OWN_REFERENCED && *out == page);
	if (!page)
		return fill_or_copy(cow, path, key, flags, out);
	vmo_page_lock(page);
	spin_lock(&leaf->lock);
	if (leaf->slot[key_slot(key)] != page) {
		spin_unlock(&leaf->lock);
		unlock_put(page);
		return -EAGAIN;
	}
	if (known_ours(cow, leaf, key, page)) {
		set_ours(cow, path, key, flags);
		spin_unlock(&leaf->lock);
		*out = page;
		return 0;
	}
	spin_unlock(&leaf->lock);
	if (check_ours(cow, path, key, flags, page, callers)) {
		*out = page;
		return 0;
	}
	ret = copy_slot(cow, path, key, flags, page, out);
	unlock_put(page);
	return ret;
}

/* The same for one who must not wait: only what is known to be ours will do. */
static int own_at_once(struct vmo_cow_pages *cow, pgoff_t key, unsigned int flags,
		       struct page **out)
{
	struct vmo_path path;
	struct vmo_leaf *leaf = vmo_tree_find(&cow->tree, key, &path);
	struct page *page;
	bool ours;

	if (!leaf || !path.exclusive || !list_empty(&cow->watches))
		return -EBUSY;
	spin_lock(&leaf->lock);
	page = vmo_slot_page(leaf->slot[key_slot(key)]);
	ours = page && known_ours(cow, leaf, key, page) &&
	       (!cow->trap || leaf->dirty & key_bit(key)) && vmo_page_trylock(page);
	if (ours) {
		vmo_page_get(page);
		set_ours(cow, &path, key, flags);
	}
	spin_unlock(&leaf->lock);
	*out = page;
	return ours ? 0 : -EBUSY;
}

/* It is to be written. After it was made ours, which may release the content lock. */
static int note_page(struct vmo_cow_pages *cow, pgoff_t key, struct page *page)
{
	int ret;

	if (list_empty(&cow->watches))
		return 0;
	ret = vmo_cow_note(cow, key & ~VMO_LEAF_MASK, key_bit(key));
	if (ret)
		unlock_put(page);
	return ret;
}

int vmo_cow_own_page(struct vmo_cow_pages *cow, pgoff_t key, unsigned int flags,
		     struct page **page)
{
	struct vmo_path path;
	int ret;

	for (;;) {
		lockdep_assert_held(&cow->lock);
		if (key < cow->base || key >= cow->end)
			return -ERANGE;
		if (flags & VMO_OWN_NOWAIT)
			return own_at_once(cow, key, flags, page);
		if (vmo_cow_is_paged(cow) && vmo_cow_must_ask(cow, key, flags))
			return -ENODATA;
		ret = vmo_tree_hang(&cow->tree, key, alloc_flags(flags), &path);
		if (ret == -EAGAIN) {
			ret = own_path(cow, key, flags);
			if (ret)
				return ret;
			continue;
		}
		if (!ret)
			ret = own_slot(cow, &path, key, flags, page);
		if (ret == -EAGAIN)
			continue;
		if (!ret && flags & VMO_OWN_WRITTEN)
			ret = note_page(cow, key, *page);
		if (ret)	/* there may be new nodes */
			vmo_cow_changed(cow, false);
		return ret;
	}
}

int vmo_cow_clear(struct vmo_cow_pages *cow, pgoff_t key, unsigned int from, unsigned int to)
{
	struct page *page;
	int ret;

	lockdep_assert_held(&cow->lock);
	if (reads_zero(cow, key) && !vmo_cow_absent(cow, key))
		return key < cow->base || key >= cow->end ? -ERANGE : 0;
	ret = vmo_cow_own_page(cow, key, VMO_OWN_WRITTEN, &page);
	if (ret)
		return ret;
	if (vmo_page_poisoned(page))
		ret = -EIO;
	else
		vmo_page_clear(page, from, to);
	unlock_put(page);
	return ret;
}

/* ---- committing -------------------------------------------------------- */

/* Lets go of the pages that fill_leaf() put into the slots of @mask. */
static void unlock_filled(struct vmo_leaf *leaf, u64 mask)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		if (!(mask & BIT_ULL(i)))
			continue;
		spin_lock(&leaf->lock);
		page = vmo_slot_page(leaf->slot[i]);	/* locked, so it is still there */
		spin_unlock(&leaf->lock);
		unlock_put(page);
	}
}

/*
 * Fills holes of the leaf of @path in [first, last]. The pages stay locked until
 * no PTE shows a zero page in their place: else somebody might write one, and
 * then still read zero through a mapping.
 */
static int fill_leaf(struct vmo_cow_pages *cow, struct vmo_path *path, pgoff_t first,
		     pgoff_t last)
{
	struct vmo_leaf *leaf = path->leaf;
	u64 have = vmo_leaf_pages(leaf), done = 0;
	struct page *page;
	pgoff_t key;
	int ret = 0;

	for (key = first; key <= last; key++) {
		if (have & key_bit(key))
			continue;
		page = vmo_page_alloc(VMO_ALLOC_ZERO);
		if (!page) {
			ret = -ENOMEM;
			break;
		}
		vmo_page_get(page);
		vmo_page_lock(page);
		spin_lock(&leaf->lock);
		if (!vmo_slot_page(leaf->slot[key_slot(key)])) {
			leaf->slot[key_slot(key)] = page;
			set_ours(cow, path, key, 0);
			done |= key_bit(key);
			page = NULL;
		}
		spin_unlock(&leaf->lock);
		if (page) {
			vmo_page_unshare_locked(page);
			unlock_put(page);
		}
	}
	vmo_cow_filled(cow, first & ~VMO_LEAF_MASK, done);
	unlock_filled(leaf, done);
	return ret;
}

/* Raises *@key. Content lock shared as for own_page. */
static int own_pages(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last)
{
	struct page *page;
	int ret = 0;

	for (; !ret && *key <= last; ++*key) {
		ret = vmo_cow_own_page(cow, *key, 0, &page);
		if (ret)
			return ret;
		unlock_put(page);
	}
	return ret;
}

/* Owns what of one leaf is not yet; content lock shared as for own_page. */
static int commit_leaf(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last)
{
	pgoff_t first = *key;
	struct vmo_path path;
	int ret;

	if (vmo_cow_is_paged(cow))	/* no hole may be filled without a look */
		return own_pages(cow, key, last);
	ret = vmo_tree_hang(&cow->tree, first, 0, &path);
	if (ret == -EAGAIN)
		ret = own_path(cow, first, 0);
	else if (!ret)
		ret = fill_leaf(cow, &path, first, min(last, cow->end - 1));
	if (ret)		/* there may be new nodes, and pages */
		vmo_cow_changed(cow, false);
	return ret ? ret : own_pages(cow, key, last);
}

int vmo_cow_commit(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first, to;
	bool begun = false;
	int ret;

	do {
		ret = vmo_cow_lock_shared(cow);
		if (ret)
			return ret;
		if (key < cow->base || key >= cow->end) {
			vmo_cow_unlock_shared(cow);
			return begun ? 0 : -ERANGE;
		}
		begun = true;
		to = min3(key | VMO_LEAF_MASK, last, cow->end - 1);
		ret = commit_leaf(cow, &key, to);
		if (ret == -EINTR)
			return ret;
		vmo_cow_unlock_shared(cow);
		if (ret == -ERANGE)	/* shrunk meanwhile: nothing left to do */
			return 0;
		if (ret == -ENODATA)
			ret = vmo_cow_need(cow, key, last, VMO_WANT_PAGE);
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (!ret && key <= last);
	return ret;
}

/* ---- pinning ----------------------------------------------------------- */

/* Up to the end of a leaf; raises *@key. Content lock shared as for own_page. */
static int pin_leaf(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last, bool write)
{
	unsigned int flags = VMO_OWN_WRITABLE | VMO_OWN_WRITTEN | (write ? 0 : VMO_OWN_TO_READ);
	struct page *page;
	int ret = 0;

	for (; !ret && *key <= last; ++*key) {
		ret = vmo_cow_own_page(cow, *key, flags, &page);
		if (ret)
			return ret;
		if (vmo_page_poisoned(page))
			ret = -EIO;
		else if (!vmo_page_pin(page))
			ret = -EAGAIN;
		else
			atomic64_inc(&cow->pins);
		unlock_put(page);
		if (ret)
			return ret;
	}
	return 0;
}

int vmo_cow_pin(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool write)
{
	enum vmo_want want = write ? VMO_WANT_WRITE : VMO_WANT_PAGE;
	pgoff_t key = first;
	int ret = 0;

	while (!ret && key <= last) {
		ret = vmo_cow_lock_shared(cow);
		if (ret)
			break;
		ret = pin_leaf(cow, &key, min(last, key | VMO_LEAF_MASK), write);
		if (ret == -EINTR)
			break;
		vmo_cow_unlock_shared(cow);
		if (ret == -ENODATA)
			ret = vmo_cow_need(cow, key, last, want);
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	if (ret && key > first)
		vmo_cow_unpin(cow, first, key - 1);
	return ret;
}

void vmo_cow_unpin(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct page *page;
	pgoff_t key = first, to;

	while (key <= last) {
		down_read(&cow->lock);
		for (to = min(last, key | VMO_LEAF_MASK); key <= to; key++) {
			/* Who pinned it keeps the page in its slot. */
			page = vmo_tree_get_page(&cow->tree, key);
			vmo_page_unpin(page);
			vmo_page_put(page);
			atomic64_dec(&cow->pins);
		}
		up_read(&cow->lock);
		cond_resched();
	}
}

pgoff_t vmo_cow_next_pinned(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first, base;
	unsigned int i;
	u64 mask;

	if (!atomic64_read(&cow->pins))
		return last + 1;
	while ((leaf = vmo_tree_next_leaf(&cow->tree, &key, last, true))) {
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(leaf->writable, base, first, last);
		for (i = 0; i < VMO_LEAF_SLOTS; i++)
			if (mask & BIT_ULL(i) && vmo_page_pins(leaf->slot[i]))
				return base + i;
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
	return last + 1;
}

/* ---- taking back ------------------------------------------------------- */

/*
 * Nothing lies outside of [base, end). So a range that reaches one of the two
 * may as well go on to where the tree ends, and needs no boundary there: whole
 * nodes are shared or moved, not copied.
 */
static pgoff_t widen_first(const struct vmo_cow_pages *cow, pgoff_t first)
{
	return first <= cow->base ? 0 : first;
}

static pgoff_t widen_last(const struct vmo_cow_pages *cow, pgoff_t last)
{
	return last >= cow->end - 1 ? VMO_KEY_MAX : last;
}

static u64 locked_pages(struct vmo_leaf *leaf, u64 mask)
{
	struct page *page;
	u64 locked = 0;
	unsigned int i;

	spin_lock(&leaf->lock);
	for (; mask; mask &= mask - 1) {
		i = __ffs64(mask);
		page = vmo_slot_page(leaf->slot[i]);
		if (page && vmo_page_locked(page))
			locked |= BIT_ULL(i);
	}
	spin_unlock(&leaf->lock);
	return locked;
}

void vmo_cow_wait_pages(struct vmo_leaf *leaf, u64 mask)
{
	struct page *page;

	/* None that is unlocked is handed out any more. */
	mask = locked_pages(leaf, mask & GENMASK_ULL(VMO_LEAF_SLOTS - 1, 0));
	for (; mask; mask &= mask - 1) {
		spin_lock(&leaf->lock);
		page = vmo_slot_page(leaf->slot[__ffs64(mask)]);
		if (page)
			vmo_page_get(page);
		spin_unlock(&leaf->lock);
		if (!page)
			continue;
		vmo_page_wait_unlocked(page);
		vmo_page_put(page);
	}
}

void vmo_cow_revoke(struct vmo_cow_pages *cow, const struct vmo_page_tree *tree,
		    pgoff_t first, pgoff_t last)
{
	pgoff_t key = first, from = last, to = 0;
	struct vmo_leaf *leaf;

	while ((leaf = vmo_tree_next_leaf(tree, &key, last, false))) {
		from = min(from, key);
		to = min(last, key | VMO_LEAF_MASK);
		vmo_cow_wait_pages(leaf, ~0ULL);
		cond_resched();
		key = (key | VMO_LEAF_MASK) + 1;
	}
	if (to >= from)
		vmo_cow_unmap(cow, from, to);
}

/*
 * Takes the content lock exclusive with a pool that suffices for a cut of
 * [first, *@next), which is to be [first, last] without what follows a pinned
 * page.
 */
static int lock_for_cut(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			struct vmo_pool *pool, pgoff_t *next)
{
	struct vmo_need need = { };
	int ret;

	for (;;) {
		ret = vmo_pool_fill(pool, &need);
		if (!ret)
			ret = vmo_cow_lock_excl(cow);
		if (ret)
			return ret;
		*next = vmo_cow_next_pinned(cow, first, last);
		if (*next == first)
			return 0;
		vmo_tree_cut_need(&cow->tree, widen_first(cow, first),
				  widen_last(cow, *next - 1), &need);
		if (vmo_pool_has(pool, &need))
			return 0;
		vmo_cow_unlock_excl(cow);
	}
}

/* Cuts [first, *@next), up to a pinned page; with @all that is -EBADFD. */
static int cut_range(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool all,
		     pgoff_t *next)
{
	struct vmo_page_tree cut = { };
	struct vmo_pool pool;
	int ret;

	vmo_pool_init(&pool, 0);
	ret = lock_for_cut(cow, first, last, &pool, next);
	if (ret)
		goto drain;
	if (first < cow->base || last < first || last >= cow->end) {
		ret = -ERANGE;
	} else if (all && *next <= last) {
		ret = -EBADFD;
	} else if (*next > first) {
		ret = vmo_cow_note_range(cow, first, *next - 1);
		if (ret)
			goto unlock;
		vmo_tree_cut(&cut, &cow->tree, widen_first(cow, first),
			     widen_last(cow, *next - 1), &pool);
		vmo_cow_revoke(cow, &cut, first, *next - 1);
	}
unlock:
	vmo_cow_unlock_excl(cow);
	vmo_tree_drop(&cut);
	if (!ret)
		vmo_cow_changed(cow, true);
drain:
	vmo_pool_drain(&pool);
	return ret;
}

int vmo_cow_remove(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t next;

	return cut_range(cow, first, last, true, &next);
}

/* The page at @key was pinned. False if it is no more: then it may be cut. */
static bool clear_pinned(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *page = vmo_tree_get_page(&cow->tree, key);
	bool pinned;

	if (!page)
		return false;
	vmo_page_lock(page);
	/* While it is pinned it is in its slot and nobody else's. */
	pinned = vmo_tree_has_page(&cow->tree, key, page) && vmo_page_pins(page);
	if (pinned)
		vmo_page_clear(page, 0, PAGE_SIZE);
	unlock_put(page);
	return pinned;
}

int vmo_cow_zero(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t next;
	int ret;

	if (vmo_cow_is_paged(cow))
		return vmo_cow_zero_known(cow, first, last);
	do {
		ret = cut_range(cow, first, last, false, &next);
		if (ret || next > last)
			return ret;
		ret = vmo_cow_lock_shared(cow);
		if (ret)
			return ret;
		first = next;
		while (first <= last && clear_pinned(cow, first))
			first++;
		vmo_cow_unlock_shared(cow);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (first <= last);
	return 0;
}

void vmo_cow_wait_zero_pages(struct vmo_cow_pages *cow)
{
	unsigned int i;

	smp_mb();	/* as in vmo_cow_filled(); here the lock excludes map_hole() */
	if (!READ_ONCE(cow->zero_mapped))
		return;
	for (i = 0; i < VMO_ZERO_PAGES; i++) {
		vmo_page_lock(vmo_page_zero_nth(i));
		vmo_page_unlock(vmo_page_zero_nth(i));
	}
}

static int shrink(struct vmo_cow_pages *cow, pgoff_t end)
{
	struct vmo_page_tree cut = { };
	struct vmo_pool pool;
	pgoff_t first, last, next;
	int ret;

	vmo_pool_init(&pool, 0);
	ret = lock_for_cut(cow, end, VMO_KEY_MAX, &pool, &next);
	if (ret)
		goto drain;
	if (next <= VMO_KEY_MAX) {
		ret = -EBADFD;
	} else if (end < cow->end) {
		ret = vmo_cow_note_range(cow, end, VMO_KEY_MAX);
		if (ret)
			goto unlock;
		first = widen_first(cow, end);
		last = cow->end - 1;
		WRITE_ONCE(cow->end, end);	/* read without the lock, as a hint */
		cow->source_end = min(cow->source_end, end);
		cow->source_next = 0;
		cow->source_wanted = min(cow->source_wanted, end);
		vmo_tree_cut(&cut, &cow->tree, first, VMO_KEY_MAX, &pool);
		vmo_cow_revoke(cow, &cut, end, last);
		vmo_cow_wait_zero_pages(cow);
		cow->ops->unmap(cow, end, last, true);
		vmo_cow_sink_limit(cow, end);
		vmo_cow_cut_dependents(cow, end);
		if (cow->source)
			vmo_source_cut(cow->source, end);
	}
unlock:
	vmo_cow_unlock_excl(cow);
	vmo_tree_drop(&cut);
	if (!ret)
		vmo_cow_changed(cow, true);
drain:
	vmo_pool_drain(&pool);
	return ret;
}

int vmo_cow_resize(struct vmo_cow_pages *cow, pgoff_t end)
{
	int ret;

	if (end < cow->base || end > VMO_KEY_MAX)
		return -ERANGE;
	ret = vmo_cow_lock_excl(cow);
	if (ret)
		return ret;
	if (end >= cow->end) {
		WRITE_ONCE(cow->end, end);	/* read without the lock, as a hint */
		vmo_cow_unlock_excl(cow);
		vmo_cow_changed(cow, false);
		return 0;
	}
	vmo_cow_unlock_excl(cow);
	return shrink(cow, end);
}

/* ---- snapshot ---------------------------------------------------------- */

/* In runs. */
void vmo_cow_revoke_writable(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first, from = 0, to = 0, base;
	bool open = false;
	struct vmo_leaf *leaf;
	u64 mask;

	while ((leaf = vmo_tree_next_leaf(&cow->tree, &key, last, true))) {
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(leaf->writable, base, first, last);
		key = base + VMO_LEAF_SLOTS;
		if (!mask)
			continue;
		vmo_cow_wait_pages(leaf, mask);
		/* Each call flushes TLBs, so gaps of up to a leaf are worth joining. */
		if (open && base + __ffs64(mask) - to > VMO_LEAF_SLOTS) {
			vmo_cow_unmap(cow, from, to);
			open = false;
		}
		if (!open)
			from = base + __ffs64(mask);
		to = base + fls64(mask) - 1;
		open = true;
		cond_resched();
	}
	if (open)
		vmo_cow_unmap(cow, from, to);
}

/*
 * Bad memory is held as well, but nobody writes it and nobody can copy it. A pin
 * goes on even then: its page is found by its writable bit.
 */
bool vmo_cow_has_to_stay(struct page *page)
{
	return vmo_page_pins(page) || (vmo_page_held(page, 0) && !vmo_page_poisoned(page));
}

/*
 * Clears the writable bits of [first, last] but for pages that somebody who
 * may still write them holds. Those stay with this content, and the leaf and
 * the nodes above them exclusive to it, which the summaries tell.
 */
static void clear_writable(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first, base;
	unsigned int i;
	u64 mask;

	while ((leaf = vmo_tree_next_leaf(&cow->tree, &key, last, true))) {
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(leaf->writable, base, first, last);
		key = base + VMO_LEAF_SLOTS;
		spin_lock(&leaf->lock);
		for (i = 0; i < VMO_LEAF_SLOTS; i++)
			if (mask & BIT_ULL(i) && !vmo_cow_has_to_stay(leaf->slot[i]))
				leaf->writable &= ~BIT_ULL(i);
		spin_unlock(&leaf->lock);
		cond_resched();
	}
	vmo_tree_fold_writable(&cow->tree, first, last);
}

/*
 * Revokes what is writable in the window of @child below @limit, and says what it
 * takes to share it. 0 if there is none of it, else 1; -ENOMEM. Content lock exclusive.
 */
static int prepare_snapshot(struct vmo_cow_pages *cow, struct vmo_cow_pages *child,
			    pgoff_t limit, struct vmo_need *need, pgoff_t *first, pgoff_t *last)
{
	pgoff_t end = min(child->end, limit);
	int ret;

	memset(need, 0, sizeof(*need));
	if (child->base >= min(end, cow->end))
		return 0;
	*first = widen_first(cow, child->base);
	*last = widen_last(cow, end - 1);
	/*
	 * From here on nothing counts as ours without a new look. That, and
	 * what is revoked, does no harm if the pool falls short.
	 */
	cow->epoch = next_epoch();
	vmo_cow_revoke_writable(cow, *first, *last);
	/* Without PTEs, and while it is known where they were. */
	ret = vmo_cow_gather(cow, *first, *last);
	if (ret)
		return ret;
	clear_writable(cow, *first, *last);
	vmo_tree_share_need(&cow->tree, *first, *last, need);
	return 1;
}

int vmo_cow_snapshot(struct vmo_cow_pages *cow, struct vmo_cow_pages *child, pgoff_t limit,
		     bool copy_pinned)
{
	struct vmo_need need = { };
	struct vmo_pool pool;
	pgoff_t first, last;
	int ret, any;

	vmo_pool_init(&pool, 0);
	for (;;) {
		ret = vmo_pool_fill(&pool, &need);
		if (!ret)
			ret = vmo_cow_lock_excl(cow);
		if (ret)
			goto drain;
		any = -EBADFD;
		if (copy_pinned || !atomic64_read(&cow->pins))
			any = prepare_snapshot(cow, child, limit, &need, &first, &last);
		if (any < 0) {
			vmo_cow_unlock_excl(cow);
			ret = any;
			goto drain;
		}
		if (vmo_pool_has(&pool, &need))
			break;
		vmo_cow_unlock_excl(cow);
	}
	if (cow->root)
		child->limit = max(child->base, min3(limit, child->end, cow->limit));
	if (any)
		ret = vmo_tree_share(&child->tree, &cow->tree, first, last, &pool);
	vmo_cow_unlock_excl(cow);
	if (ret)
		vmo_tree_drop(&child->tree);
	vmo_cow_changed(cow, true);
drain:
	vmo_pool_drain(&pool);
	return ret;
}

/* ---- going back -------------------------------------------------------- */

void vmo_cow_keep_base(struct vmo_cow_pages *cow)
{
	vmo_tree_clone(&cow->base_tree, &cow->tree);
	cow->base_end = cow->end;
	cow->has_base = true;
}

/**
 * struct run - keys that are to be unmapped together
 * @cow: of this content
 * @from: first
 * @to: last
 * @open: there are some
 */
struct run {
	struct vmo_cow_pages *cow;
	pgoff_t from;
	pgoff_t to;
	bool open;
};

static void unmap_run(struct run *run)
{
	if (run->open)
		run->cow->ops->unmap(run->cow, run->from, run->to, false);
	run->open = false;
}

/* Each call flushes TLBs, so gaps of up to a leaf are worth joining. */
static void add_to_run(struct run *run, pgoff_t first, pgoff_t last)
{
	if (run->open && first - run->to > VMO_LEAF_SLOTS)
		unmap_run(run);
	if (!run->open)
		run->from = first;
	run->to = last;
	run->open = true;
}

/* Nobody is handed out a page of @mask, or a zero page in place of one, any more. */
static void revoke_change(struct vmo_leaf *leaf, pgoff_t start, u64 mask, void *arg)
{
	struct run *run = arg;
	u64 holes = mask & ~(leaf ? vmo_leaf_pages(leaf) : 0);
	unsigned int i;

	if (leaf)
		vmo_cow_wait_pages(leaf, mask);
	if (READ_ONCE(run->cow->zero_mapped))
		for (i = 0; i < VMO_LEAF_SLOTS; i++)
			if (holes & BIT_ULL(i))
				wait_zero_page(run->cow, start + i);
	add_to_run(run, start + __ffs64(mask), start + fls64(mask) - 1);
}

/* Content lock exclusive. */
static void revoke_changes(struct vmo_cow_pages *cow)
{
	struct run run = { .cow = cow };

	smp_mb();	/* as in vmo_cow_filled(); here the lock excludes map_hole() */
	vmo_tree_changes(&cow->tree, &cow->base_tree, 0, VMO_KEY_MAX, revoke_change, &run);
	unmap_run(&run);
	if (cow->end > cow->base_end) {
		vmo_cow_wait_zero_pages(cow);
		cow->ops->unmap(cow, cow->base_end, cow->end - 1, true);
	}
}

/**
 * struct noting - changes that whoever watches is to know
 * @cow: of this content
 * @ret: 0 so far
 */
struct noting {
	struct vmo_cow_pages *cow;
	int ret;
};

static void note_change(struct vmo_leaf *leaf, pgoff_t start, u64 mask, void *arg)
{
	struct noting *n = arg;

	if (!n->ret)
		n->ret = vmo_cow_note(n->cow, start, mask);
}

static int note_changes(struct vmo_cow_pages *cow)
{
	struct noting n = { .cow = cow };

	if (!list_empty(&cow->watches))
		vmo_tree_changes(&cow->tree, &cow->base_tree, 0, VMO_KEY_MAX, note_change, &n);
	return n.ret;
}

int vmo_cow_rewind(struct vmo_cow_pages *cow)
{
	int ret;

	if (!cow->has_base)
		return -EOPNOTSUPP;
	ret = vmo_cow_lock_excl(cow);
	if (ret)
		return ret;
	ret = atomic64_read(&cow->pins) ? -EBADFD : note_changes(cow);
	if (ret) {
		vmo_cow_unlock_excl(cow);
		return ret;
	}
	revoke_changes(cow);
	vmo_tree_rewind(&cow->tree, &cow->base_tree, cow->epoch);
	/* What is the base's from here on is nobody's to write: nothing counts as ours. */
	cow->epoch = next_epoch();
	WRITE_ONCE(cow->end, cow->base_end);	/* read without the lock, as a hint */
	vmo_cow_unlock_excl(cow);
	vmo_cow_changed(cow, true);
	return 0;
}

/* ---- asking ------------------------------------------------------------ */

int vmo_cow_usage(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		  struct vmo_tally *usage)
{
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	memset(usage, 0, sizeof(*usage));
	if (cow->has_base)
		vmo_tree_usage_both(&cow->tree, &cow->base_tree, first, last, usage);
	else
		vmo_tree_usage(&cow->tree, first, last, usage);
	vmo_cow_unlock_shared(cow);
	return 0;
}

/* Of what they have of their own: not of roots. */
static int lock_both_shared(struct vmo_cow_pages *a, struct vmo_cow_pages *b)
{
	/* Dependents before their root, else by address. */
	bool swap = a->root && b->root ? a > b : b->root || (!a->root && a > b);
	struct vmo_cow_pages *lo = swap ? b : a, *hi = swap ? a : b;
	int ret = down_read_killable(&lo->lock);

	if (ret || lo == hi)
		return ret;
	if (down_read_killable_nested(&hi->lock, SINGLE_DEPTH_NESTING)) {
		up_read(&lo->lock);
		return -EINTR;
	}
	return 0;
}

static void unlock_both_shared(struct vmo_cow_pages *a, struct vmo_cow_pages *b)
{
	up_read(&a->lock);
	if (a != b)
		up_read(&b->lock);
}

static void mark_same(struct vmo_cow_pages *a, struct vmo_cow_pages *b, pgoff_t first,
		      pgoff_t last, const struct vmo_known *known)
{
	vmo_tree_same(&a->tree, &b->tree, first, last, known->tree);
	if (b->has_base)
		vmo_tree_same(&a->tree, &b->base_tree, first, last, known->tree);
	if (!a->has_base)
		return;
	vmo_tree_same(&a->base_tree, &b->tree, first, last, known->base);
	if (b->has_base)
		vmo_tree_same(&a->base_tree, &b->base_tree, first, last, known->base);
}

int vmo_cow_same(struct vmo_cow_pages *a, struct vmo_cow_pages *b, pgoff_t first,
		 pgoff_t last, const struct vmo_known *known)
{
	int ret = lock_both_shared(a, b);

	if (ret)
		return ret;
	mark_same(a, b, first, last, known);
	unlock_both_shared(a, b);
	return 0;
}

/* Leaves that differ, per hold of the content locks. */
#define DIFF_LEAVES	64

int vmo_cow_diff(struct vmo_cow_pages *a, struct vmo_cow_pages *b, pgoff_t *key,
		 pgoff_t last, vmo_range_fn fn, void *arg)
{
	int ret = lock_both_shared(a, b);

	if (ret)
		return ret;
	vmo_tree_diff(&a->tree, &b->tree, key, last, DIFF_LEAVES, fn, arg);
	unlock_both_shared(a, b);
	return 0;
}

static u64 count_clear(const struct vmo_page_tree *tree, pgoff_t first, pgoff_t last,
		       const unsigned long *bitmap)
{
	pgoff_t key = first, base;
	struct vmo_leaf *leaf;
	unsigned int i;
	u64 mask, pages = 0;

	while ((leaf = vmo_tree_next_leaf(tree, &key, last, false))) {
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(vmo_leaf_pages(leaf), base, first, last);
		for (i = 0; i < VMO_LEAF_SLOTS; i++)
			pages += mask & BIT_ULL(i) && !test_bit(base + i - first, bitmap);
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
	return pages;
}

int vmo_cow_next_held(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last)
{
	pgoff_t in_tree = *key, in_base = *key;
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	if (!vmo_tree_next_leaf(&cow->tree, &in_tree, last, false))
		in_tree = last + 1;
	if (!vmo_tree_next_leaf(&cow->base_tree, &in_base, last, false))
		in_base = last + 1;
	vmo_cow_unlock_shared(cow);
	*key = min(in_tree, in_base);
	return *key <= last ? 0 : -ENXIO;
}

int vmo_cow_count_clear(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			const struct vmo_known *known, u64 *pages)
{
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	*pages += count_clear(&cow->tree, first, last, known->tree);
	if (cow->has_base) {
		/* What is in both has been counted, or not, by the tree. */
		vmo_tree_same(&cow->base_tree, &cow->tree, first, last, known->base);
		*pages += count_clear(&cow->base_tree, first, last, known->base);
	}
	vmo_cow_unlock_shared(cow);
	return 0;
}

static int seek_locked(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool hole,
		       pgoff_t *found)
{
	pgoff_t key = first, base;
	struct vmo_leaf *leaf;
	u64 mask;

	/* What is absent may be anything but a hole. */
	if (vmo_cow_is_paged(cow)) {
		*found = first;
		return hole ? -ENXIO : 0;
	}
	while (first <= last) {
		leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false);
		if (hole && (!leaf || key > first)) {
			*found = first;
			return 0;
		}
		if (!leaf)
			break;
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_pages(leaf);
		mask = vmo_leaf_bits(hole ? ~mask : mask, base, first, last);
		if (mask) {
			*found = base + __ffs64(mask);
			return 0;
		}
		key = base + VMO_LEAF_SLOTS;
		first = key;
		cond_resched();
	}
	return -ENXIO;
}

int vmo_cow_seek(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool hole,
		 pgoff_t *found)
{
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	ret = seek_locked(cow, first, last, hole, found);
	vmo_cow_unlock_shared(cow);
	return ret;
}

static unsigned int page_state(struct vmo_path *path, unsigned int slot, struct page *page)
{
	unsigned int state = VMO_STATE_PRESENT;

	/* Who shared the path may have gone since it was walked, but then for good. */
	if (path->leaf->writable & BIT_ULL(slot))
		state |= VMO_STATE_WRITABLE;
	else if (!path->exclusive || vmo_page_shares(page) > 1)
		state |= VMO_STATE_SHARED;
	if (vmo_page_pins(page))
		state |= VMO_STATE_PINNED;
	return state;
}

/* From *@key to the end of the leaf. Leaf lock. False: the caller wants no more. */
static bool walk_leaf(struct vmo_path *path, pgoff_t *key, pgoff_t last, vmo_walk_fn fn,
		      void *arg)
{
	pgoff_t to = min(last, *key | VMO_LEAF_MASK);
	struct page *page;
	unsigned int slot;

	for (; *key <= to; ++*key) {
		slot = key_slot(*key);
		page = vmo_slot_page(path->leaf->slot[slot]);
		if (!fn(*key, *key, page, page ? page_state(path, slot, page) : 0, arg))
			return false;
	}
	return true;
}

/* Leaves per hold of the content lock. */
#define WALK_LEAVES	64

int vmo_cow_walk(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last, vmo_walk_fn fn,
		 void *arg)
{
	unsigned int leaves = WALK_LEAVES;
	struct vmo_path path;
	struct vmo_leaf *leaf;
	bool more = true;
	pgoff_t next;
	int ret;

	ret = vmo_cow_lock_shared(cow);
	if (ret)
		return ret;
	while (more && *key <= last && leaves--) {
		next = *key;
		leaf = vmo_tree_next_leaf(&cow->tree, &next, last, false);
		if (!leaf)
			next = last + 1;
		if (next > *key) {
			more = fn(*key, next - 1, NULL, 0, arg);
			if (more)
				*key = next;
			continue;
		}
		vmo_tree_find(&cow->tree, *key, &path);
		spin_lock(&leaf->lock);
		more = walk_leaf(&path, key, last, fn, arg);
		spin_unlock(&leaf->lock);
		cond_resched();
	}
	vmo_cow_unlock_shared(cow);
	return 0;
}
