// SPDX-License-Identifier: GPL-2.0
/*
 * Who wants to know which pages are written; see struct vmo_watch.
 *
 * Stores through mappings are seen afterwards: each page that may be written without
 * asking us has its writable bit set, and the MMU marks the PTE dirty, which costs the
 * writer nothing. What takes a PTE away marks the page instead, and so does who wrote it
 * by a reference. A *gathering* looks at these pages, cleans both marks, and puts the
 * keys into the set of every watch, so that no two of them steal from each other. All
 * other writes say themselves which keys they change.
 *
 * A set is a page tree without pages. Of its leaves, @writable has the keys that were
 * written, and @mine those of them whose page somebody held at the gathering @epoch: it
 * may be written at any time, by a device that marks nothing, so these stay in the set
 * when they are reported, unless a later gathering found nothing there. Sets change under
 * the content lock: keys are added with it held shared, and taken out with it held
 * exclusive.
 */
#include "engine.h"
#include "page.h"
#include "cow_internal.h"

/* Keys that are cleaned together: each time is a walk of all mappings, and a TLB flush. */
#define RUN_KEYS	4096U
/* And how many runs per hold of the content lock. */
#define RUNS		64U

/* The leaf of the set for @key. Never -EAGAIN: the root covers all keys that there are. */
static int set_leaf(struct vmo_watch *watch, pgoff_t key, struct vmo_path *path)
{
	return vmo_tree_hang(&watch->set, key, 0, path);
}

/* Adds the keys of @mask to the leaf of @path, which starts at @key. Leaf lock. */
static void add_keys(struct vmo_path *path, pgoff_t key, u64 mask)
{
	for (; mask; mask >>= 1, key++)
		if (mask & 1)
			vmo_tree_mark_writable(path, key);
}

static int set_add(struct vmo_watch *watch, pgoff_t base, u64 mask)
{
	struct vmo_path path;
	int ret = set_leaf(watch, base, &path);

	if (ret)
		return ret;
	spin_lock(&path.leaf->lock);
	add_keys(&path, base, mask);
	spin_unlock(&path.leaf->lock);
	return 0;
}

int vmo_cow_note(struct vmo_cow_pages *cow, pgoff_t base, u64 mask)
{
	struct vmo_watch *watch;
	int ret;

	lockdep_assert_held(&cow->lock);
	list_for_each_entry(watch, &cow->watches, link) {
		ret = set_add(watch, base, mask);
		if (ret)
			return ret;
	}
	return 0;
}

int vmo_cow_note_range(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first, base;
	struct vmo_leaf *leaf;
	u64 mask;
	int ret;

	if (list_empty(&cow->watches))
		return 0;
	while ((leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false))) {
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(vmo_leaf_pages(leaf), base, first, last);
		ret = mask ? vmo_cow_note(cow, base, mask) : 0;
		if (ret)
			return ret;
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
	return 0;
}

/* ---- gathering --------------------------------------------------------- */

/**
 * struct run - keys whose mappings are cleaned together
 * @cow: of this content
 * @first: starts a leaf
 * @last: end of a leaf
 * @dirty: whose PTEs were dirty, counted from @first
 */
struct run {
	struct vmo_cow_pages *cow;
	pgoff_t first;
	pgoff_t last;
	DECLARE_BITMAP(dirty, RUN_KEYS);
};

/*
 * Makes the leaves that the sets will need, so that nothing can fail once a mark is
 * gone, and waits for those who were handed a page to mark. False at the end.
 */
static int prepare_run(struct run *run, pgoff_t last, bool *any)
{
	pgoff_t key = run->first;
	struct vmo_leaf *leaf;
	int ret = 0;

	*any = false;
	while (!ret && (leaf = vmo_tree_next_leaf(&run->cow->tree, &key, last, true))) {
		key &= ~VMO_LEAF_MASK;
		if (!*any)
			run->first = key;
		else if (key - run->first > RUN_KEYS - VMO_LEAF_SLOTS)
			break;
		*any = true;
		run->last = key | VMO_LEAF_MASK;
		ret = vmo_cow_note(run->cow, key, 0);
		vmo_cow_wait_pages(leaf, leaf->writable);
		key += VMO_LEAF_SLOTS;
		cond_resched();
	}
	return ret;
}

/* The keys at @base are written, those of @held stay so. prepare_run() made the leaves. */
static void add_gathered(struct vmo_cow_pages *cow, pgoff_t base, u64 written, u64 held)
{
	struct vmo_watch *watch;
	struct vmo_path path;

	list_for_each_entry(watch, &cow->watches, link) {
		set_leaf(watch, base, &path);
		spin_lock(&path.leaf->lock);
		add_keys(&path, base, written | held);
		path.leaf->mine = held;
		path.leaf->epoch = cow->gathering;
		spin_unlock(&path.leaf->lock);
	}
}

/* Of the leaf that starts at @base: whole leaves are within a word. */
static u64 dirty_bits(const struct run *run, pgoff_t base)
{
	unsigned long word = run->dirty[(base - run->first) / BITS_PER_LONG];

	return (word >> (base - run->first) % BITS_PER_LONG) & GENMASK_ULL(VMO_LEAF_SLOTS - 1, 0);
}

/* True if marks of pages were cleared, or with @keep would have been. */
static bool gather_leaf(struct run *run, struct vmo_leaf *leaf, pgoff_t base, bool keep)
{
	u64 written = dirty_bits(run, base), held = 0, marked = 0, left;
	struct page *page;
	unsigned int i;

	spin_lock(&leaf->lock);
	written &= leaf->writable;
	for (left = leaf->writable; left; left &= left - 1) {
		i = __ffs64(left);
		page = leaf->slot[i];
		if (keep ? vmo_page_dirty(page) : vmo_page_test_clear_dirty(page))
			marked |= BIT_ULL(i);
		if (vmo_page_in_use(page, 0))	/* a pin is a use, too */
			held |= BIT_ULL(i);
	}
	spin_unlock(&leaf->lock);
	add_gathered(run->cow, base, written | marked, held);
	return marked;
}

static bool gather_once(struct run *run, bool keep)
{
	pgoff_t key = run->first;
	struct vmo_leaf *leaf;
	bool marked = false;

	bitmap_zero(run->dirty, RUN_KEYS);
	run->cow->ops->clean(run->cow, run->first, run->last, run->dirty);
	while ((leaf = vmo_tree_next_leaf(&run->cow->tree, &key, run->last, true))) {
		key &= ~VMO_LEAF_MASK;
		marked |= gather_leaf(run, leaf, key, keep);
		key += VMO_LEAF_SLOTS;
		cond_resched();
	}
	return marked;
}

/*
 * KVM, from 6.13 on, marks a page once, when it maps it writable: if that was between the
 * cleaning and the look at the mark, the guest goes on to write without another. So after
 * a mark was cleared all is cleaned again; in the end it stays, and is found next time.
 */
static void gather_run(struct run *run)
{
	if (gather_once(run, false) && gather_once(run, false))
		gather_once(run, true);
}

/* Up to @runs of them; raises *@key to where it stopped. Content lock exclusive. */
static int gather(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last, unsigned int runs)
{
	struct run run = { .cow = cow, .first = *key & ~VMO_LEAF_MASK };
	bool any;
	int ret;

	cow->gathering++;
	while (runs--) {
		ret = prepare_run(&run, last, &any);
		if (ret)
			return ret;
		if (!any) {
			*key = last + 1;
			return 0;
		}
		gather_run(&run);
		run.first = run.last + 1;
		*key = min(run.first, last + 1);
	}
	return 0;
}

int vmo_cow_gather(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	return list_empty(&cow->watches) ? 0 : gather(cow, &first, last, ~0U);
}

/* ---- watches ----------------------------------------------------------- */

/* So that vmo_tree_hang() finds a root that is high enough for all keys to come. */
static int grow_set(struct vmo_watch *watch, pgoff_t last)
{
	struct vmo_need need;
	struct vmo_pool pool;
	int ret;

	vmo_pool_init(&pool, 0);
	vmo_tree_own_need(&watch->set, last, true, &need);
	ret = vmo_pool_fill(&pool, &need);
	if (!ret)
		vmo_tree_own(&watch->set, last, true, &pool);
	vmo_pool_drain(&pool);
	return ret;
}

/* Keys of a set's leaf whose page is held, as the gathering before found. */
static u64 held_keys(struct vmo_cow_pages *cow, const struct vmo_leaf *leaf)
{
	return leaf->epoch == cow->gathering ? leaf->mine : 0;
}

/* Forgets what is marked so far: nobody who wants to know it has not been told. */
static void forget_all(struct vmo_cow_pages *cow, struct vmo_watch *watch)
{
	pgoff_t key = 0;
	struct vmo_leaf *leaf;

	while ((leaf = vmo_tree_next_leaf(&watch->set, &key, VMO_KEY_MAX, true))) {
		leaf->writable &= held_keys(cow, leaf);
		key = (key | VMO_LEAF_MASK) + 1;
		cond_resched();
	}
	vmo_tree_fold_writable(&watch->set, 0, VMO_KEY_MAX);
}

int vmo_cow_watch(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t last)
{
	int ret;

	watch->set.root = NULL;
	ret = grow_set(watch, last);
	if (!ret)
		ret = vmo_cow_lock_excl(cow);
	if (ret)
		goto drop;
	if (cow->nr_watches == VMO_WATCHES_MAX) {
		ret = -EAGAIN;
		goto unlock;
	}
	list_add(&watch->link, &cow->watches);
	cow->nr_watches++;
	ret = vmo_cow_gather(cow, 0, VMO_KEY_MAX);
	if (ret) {
		list_del(&watch->link);
		cow->nr_watches--;
		goto unlock;
	}
	forget_all(cow, watch);
	vmo_cow_unlock_excl(cow);
	return 0;

unlock:
	vmo_cow_unlock_excl(cow);
drop:
	vmo_tree_drop(&watch->set);
	return ret;
}

void vmo_cow_unwatch(struct vmo_cow_pages *cow, struct vmo_watch *watch)
{
	down_write(&cow->lock);
	list_del(&watch->link);
	cow->nr_watches--;
	up_write(&cow->lock);
	vmo_tree_drop(&watch->set);
}

/* Reports the keys of @mask in runs. Those before the one returned were reported. */
static pgoff_t report(pgoff_t base, u64 mask, vmo_range_fn fn, void *arg)
{
	unsigned int from, to;

	while (mask) {
		from = __ffs64(mask);
		to = from;
		while (to + 1 < VMO_LEAF_SLOTS && mask & BIT_ULL(to + 1))
			to++;
		if (!fn(base + from, base + to, arg))
			return base + from;
		mask &= ~GENMASK_ULL(to, from);
	}
	return base + VMO_LEAF_SLOTS;
}

static void take_from(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t *key,
		      pgoff_t last, bool keep, vmo_range_fn fn, void *arg)
{
	pgoff_t first = *key, base, stop;
	struct vmo_leaf *leaf;
	u64 mask;

	while ((leaf = vmo_tree_next_leaf(&watch->set, key, last, true))) {
		base = *key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(leaf->writable, base, first, last);
		stop = report(base, mask, fn, arg);
		if (stop <= base + VMO_LEAF_MASK)
			mask &= BIT_ULL(stop - base) - 1;
		if (!keep)
			leaf->writable &= ~mask | held_keys(cow, leaf);
		*key = stop;
		if (stop <= base + VMO_LEAF_MASK)
			break;
		cond_resched();
	}
	if (!leaf)
		*key = last + 1;
	vmo_tree_fold_writable(&watch->set, first, last);
}

int vmo_cow_harvest(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t *key,
		    pgoff_t last, bool keep, vmo_range_fn fn, void *arg)
{
	pgoff_t next = *key;
	int ret = vmo_cow_lock_excl(cow);

	if (ret)
		return ret;
	ret = gather(cow, &next, last, RUNS);
	if (!ret)
		take_from(cow, watch, key, next - 1, keep, fn, arg);
	vmo_cow_unlock_excl(cow);
	return ret;
}

void vmo_cow_give_back(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t first,
		       pgoff_t last)
{
	pgoff_t base;

	down_read(&cow->lock);
	for (base = first & ~VMO_LEAF_MASK; base <= last; base += VMO_LEAF_SLOTS)
		set_add(watch, base, vmo_leaf_bits(~0ULL, base, first, last));
	up_read(&cow->lock);
}
