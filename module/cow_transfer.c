// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that go from one content to another, or to another place in the same.
 *
 * A page that is *ours* and that nobody holds moves: its leaf as a whole if the
 * two places are alike modulo a leaf, else slot by slot. It is at another key then,
 * maybe in another family, so it gives up its home. All others are copied, and the
 * source drops its share. Both contents are locked exclusive, by address, and both
 * change at once; nothing fails once something has changed.
 */
#include "engine.h"
#include "page.h"
#include "cow_internal.h"

/* Pages per hold of the locks. Whole leaves. */
#define TRANSFER_PAGES	512U

/**
 * struct transfer - one piece
 * @dst: where to
 * @src: where from; may be the same
 * @to: first key in @dst
 * @from: first key in @src
 * @count: pages; at most TRANSFER_PAGES
 * @pool: nodes, and pages for copies
 * @out: what @src gives up
 * @old: what @dst gives up
 * @copy: pages that cannot move, counted from @from
 * @leaf: a leaf of @dst that was owned, or NULL
 * @leaf_base: its first key
 * @supply: only what @dst does not know goes there
 * @ret: 0, or what noting it said
 */
struct transfer {
	struct vmo_cow_pages *dst;
	struct vmo_cow_pages *src;
	pgoff_t to;
	pgoff_t from;
	pgoff_t count;
	struct vmo_pool pool;
	struct vmo_page_tree out;
	struct vmo_page_tree old;
	DECLARE_BITMAP(copy, TRANSFER_PAGES);
	struct vmo_leaf *leaf;
	pgoff_t leaf_base;
	bool supply;
	int ret;
};

static int lock_both(struct vmo_cow_pages *a, struct vmo_cow_pages *b)
{
	struct vmo_cow_pages *lo = a < b ? a : b, *hi = a < b ? b : a;
	int ret = vmo_cow_lock_excl(lo);

	if (ret || lo == hi)
		return ret;
	if (down_write_killable_nested(&hi->lock, SINGLE_DEPTH_NESTING)) {
		vmo_cow_unlock_excl(lo);
		return -EINTR;
	}
	return 0;
}

static void unlock_both(struct vmo_cow_pages *a, struct vmo_cow_pages *b)
{
	vmo_cow_unlock_excl(a);
	if (a != b)
		vmo_cow_unlock_excl(b);
}

/* ---- what there is to do ----------------------------------------------- */

static int check(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t count)
{
	pgoff_t last = first + count - 1;

	if (first < cow->base || last < first || last >= cow->end)
		return -ERANGE;
	/* What is pinned is known: nothing is supplied there. */
	if (cow->source)
		return vmo_source_closed(cow->source) ? -EBADFD : 0;
	return vmo_cow_next_pinned(cow, first, last) <= last ? -EBADFD : 0;
}

/* Keys at the start of [first, first + count), with @back at its end, without a leaf. */
static pgoff_t gap(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t count, bool back)
{
	pgoff_t last = first + count - 1, key = back ? last : first;

	if (back)
		return vmo_tree_prev_leaf(&cow->tree, &key, first) ? last - key : count;
	return vmo_tree_next_leaf(&cow->tree, &key, last, false) ? key - first : count;
}

/*
 * Narrows @t down to one piece, after holes that both sides have. Pieces end where
 * leaves of the target end. Returns how many keys are done with it. A source's holes are
 * supplied as well.
 */
static pgoff_t next_piece(struct transfer *t, bool back)
{
	pgoff_t skip = t->supply ? 0 : min(gap(t->src, t->from, t->count, back),
					   gap(t->dst, t->to, t->count, back));
	pgoff_t left = t->count - skip, room;

	if (!back) {
		t->from += skip;
		t->to += skip;
		room = TRANSFER_PAGES - (t->to & VMO_LEAF_MASK);
		t->count = min(left, room);
		return skip + t->count;
	}
	if (!left) {
		t->count = 0;
		return skip;
	}
	room = TRANSFER_PAGES - VMO_LEAF_MASK + ((t->to + left - 1) & VMO_LEAF_MASK);
	t->count = min(left, room);
	t->from += left - t->count;
	t->to += left - t->count;
	return skip + t->count;
}

/* Slots in [first, last] of a leaf that hold pages. */
typedef void (*leaf_fn)(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask);

static void each_leaf(struct transfer *t, struct vmo_page_tree *tree, leaf_fn fn)
{
	pgoff_t key = t->from, last = t->from + t->count - 1, base;
	struct vmo_path path;
	struct vmo_leaf *leaf;
	u64 mask;

	while ((leaf = vmo_tree_next_leaf(tree, &key, last, false))) {
		vmo_tree_find(tree, key, &path);
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(vmo_leaf_pages(leaf), base, t->from, last);
		if (mask)
			fn(t, &path, base, mask);
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
}

/* Those of @mask, of a leaf of the source at @base, that go to the target. */
static u64 wanted_of(struct transfer *t, pgoff_t base, u64 mask)
{
	u64 wanted = 0;
	unsigned int i;

	if (!t->supply)
		return mask;
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i) && vmo_cow_absent(t->dst, base + i - t->from + t->to))
			wanted |= BIT_ULL(i);
	return wanted;
}

/*
 * Without PTEs, and with the lock held, nobody gets at a page of ours any more; who
 * got at it before has a reference, and must not see what the target makes of it.
 */
static void find_copies(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask)
{
	struct vmo_leaf *leaf = path->leaf;
	u64 wanted = wanted_of(t, base, mask);
	struct page *page;
	unsigned int i;

	spin_lock(&leaf->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		if (!(mask & BIT_ULL(i)))
			continue;
		page = vmo_slot_page(leaf->slot[i]);
		if (wanted & BIT_ULL(i) &&
		    (!path->exclusive || vmo_page_shares(page) != 1 || vmo_page_held(page, 0)))
			set_bit(base + i - t->from, t->copy);
	}
	spin_unlock(&leaf->lock);
}

/* Both locks. Takes PTEs off the source, which does no harm if the pool falls short. */
static void measure(struct transfer *t, struct vmo_need *need)
{
	pgoff_t from_last = t->from + t->count - 1, to_last = t->to + t->count - 1;
	struct vmo_need cut;

	vmo_cow_revoke(t->src, &t->src->tree, t->from, from_last);
	bitmap_zero(t->copy, TRANSFER_PAGES);
	each_leaf(t, &t->src->tree, find_copies);
	vmo_tree_cut_need(&t->src->tree, t->from, from_last, need);
	if (!t->supply) {
		vmo_tree_cut_need(&t->dst->tree, t->to, to_last, &cut);
		need->inners += cut.inners;
		need->leaves += cut.leaves;
	}
	vmo_tree_own_range_need(&t->dst->tree, t->to, to_last, &cut);
	need->inners += cut.inners;
	need->leaves += cut.leaves;
	need->pages = bitmap_weight(t->copy, TRANSFER_PAGES);
}

/* Copies what cannot move to the last pages of the pool, from the end on. */
static int make_copies(struct transfer *t)
{
	unsigned long at = t->pool.pages;
	struct page *page;
	unsigned int i;
	int ret = 0;

	for_each_set_bit(i, t->copy, TRANSFER_PAGES) {
		page = vmo_tree_get_page(&t->src->tree, t->from + i);
		ret = vmo_page_copy(t->pool.page[--at], page);
		vmo_page_put(page);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* Whoever watches the target is to know what comes; bits of a leaf, one by one. */
static void note_target(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask)
{
	unsigned int i;
	pgoff_t key;

	for (i = 0; !t->ret && i < VMO_LEAF_SLOTS; i++) {
		key = base + i - t->from + t->to;
		if (mask & BIT_ULL(i))
			t->ret = vmo_cow_note(t->dst, key & ~VMO_LEAF_MASK, key_bit(key));
	}
}

/* Both locks. Of what goes, of what is replaced, and of what comes. */
static int note_move(struct transfer *t)
{
	t->ret = vmo_cow_note_range(t->src, t->from, t->from + t->count - 1);
	if (t->supply)	/* nobody wrote it */
		return t->ret;
	if (!t->ret)
		t->ret = vmo_cow_note_range(t->dst, t->to, t->to + t->count - 1);
	if (!t->ret && !list_empty(&t->dst->watches))
		each_leaf(t, &t->src->tree, note_target);
	return t->ret;
}

/* ---- doing it ---------------------------------------------------------- */

static struct vmo_leaf *target_leaf(struct transfer *t, pgoff_t key)
{
	pgoff_t base = key & ~VMO_LEAF_MASK;

	if (!t->leaf || t->leaf_base != base) {
		t->leaf = vmo_tree_own(&t->dst->tree, key, true, &t->pool);
		t->leaf_base = base;
	}
	return t->leaf;
}

/* The page at @key of @leaf, or its copy, which nobody knows. */
static struct page *take_page(struct transfer *t, struct vmo_leaf *leaf, pgoff_t key)
{
	struct page *page;

	if (test_bit(key - t->from, t->copy))
		return t->pool.page[--t->pool.pages];
	spin_lock(&leaf->lock);
	page = leaf->slot[key_slot(key)];
	leaf->slot[key_slot(key)] = NULL;
	spin_unlock(&leaf->lock);
	vmo_page_leave_home(page);
	return page;
}

static void put_page_at(struct transfer *t, pgoff_t key, struct page *page)
{
	struct vmo_leaf *leaf = target_leaf(t, key);

	spin_lock(&leaf->lock);
	leaf->slot[key_slot(key)] = page;
	leaf_renew(t->dst, leaf);
	leaf->mine |= key_bit(key);
	spin_unlock(&leaf->lock);
}

/* May the leaf at @base, of which @mask has all pages, move as it is? */
static bool whole_leaf(struct transfer *t, pgoff_t base, u64 mask)
{
	if ((t->to - t->from) & VMO_LEAF_MASK || base < t->from ||
	    base + VMO_LEAF_SLOTS > t->from + t->count)
		return false;
	return find_next_bit(t->copy, TRANSFER_PAGES, base - t->from) >=
	       base - t->from + VMO_LEAF_SLOTS;
}

static void move_leaf(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask)
{
	struct vmo_leaf *leaf = path->leaf;
	unsigned int i;

	vmo_tree_detach_leaf(&t->out, path, base);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i))
			vmo_page_leave_home(leaf->slot[i]);
	spin_lock(&leaf->lock);
	leaf->epoch = t->dst->epoch;
	leaf->mine = mask;
	leaf->writable = 0;
	spin_unlock(&leaf->lock);
	vmo_tree_attach_leaf(&t->dst->tree, base - t->from + t->to, leaf, &t->pool);
}

static void place(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask)
{
	struct vmo_leaf *leaf = path->leaf;
	unsigned int i;

	if (whole_leaf(t, base, mask)) {
		move_leaf(t, path, base, mask);
		return;
	}
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i))
			put_page_at(t, base + i - t->from + t->to,
				    take_page(t, leaf, base + i));
}

static void unmap_zeroes(struct transfer *t)
{
	pgoff_t key = t->to, last = t->to + t->count - 1, base;
	struct vmo_leaf *leaf;

	while ((leaf = vmo_tree_next_leaf(&t->dst->tree, &key, last, false))) {
		base = key & ~VMO_LEAF_MASK;
		vmo_cow_filled(t->dst, base,
			       vmo_leaf_bits(vmo_leaf_pages(leaf), base, t->to, last));
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
}

/* Both locks, PTEs off the source, and enough in the pool. */
static void move(struct transfer *t)
{
	pgoff_t to_last = t->to + t->count - 1;

	vmo_tree_cut(&t->out, &t->src->tree, t->from, t->from + t->count - 1, &t->pool);
	vmo_tree_cut(&t->old, &t->dst->tree, t->to, to_last, &t->pool);
	vmo_cow_revoke(t->dst, &t->old, t->to, to_last);
	each_leaf(t, &t->out, place);
	unmap_zeroes(t);
}

/* The slots of the leaf of the target at @base that are not known read zero. */
static void add_markers(struct transfer *t, struct vmo_leaf *leaf, pgoff_t base)
{
	u64 mask = vmo_leaf_bits(~0ULL, base, t->to, t->to + t->count - 1);
	unsigned int i;

	spin_lock(&leaf->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i) && !leaf->slot[i] && base + i < t->dst->source_end)
			leaf->slot[i] = VMO_MARKER;
	spin_unlock(&leaf->lock);
}

static void supply_slots(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask)
{
	unsigned int i;

	mask = wanted_of(t, base, mask);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i))
			put_page_at(t, base + i - t->from + t->to,
				    take_page(t, path->leaf, base + i));
}

static void supply_leaf(struct transfer *t, struct vmo_path *path, pgoff_t base, u64 mask)
{
	pgoff_t key = base - t->from + t->to, last = key + VMO_LEAF_MASK;

	/* Nothing is known where there is no leaf, but for what the content grew by. */
	if (whole_leaf(t, base, mask) && last < t->dst->source_end &&
	    !vmo_tree_next_leaf(&t->dst->tree, &key, last, false))
		move_leaf(t, path, base, mask);
	else
		supply_slots(t, path, base, mask);
}

/* As move(), of what the target does not know; what it gets nobody has mapped. */
static void supply(struct transfer *t)
{
	pgoff_t key = t->to, last = t->to + t->count - 1;

	vmo_tree_cut(&t->out, &t->src->tree, t->from, t->from + t->count - 1, &t->pool);
	each_leaf(t, &t->out, supply_leaf);
	for (; key <= last; key = (key | VMO_LEAF_MASK) + 1)
		add_markers(t, target_leaf(t, key), key & ~VMO_LEAF_MASK);
	vmo_source_answer(t->dst->source, VMO_ASK_READ, t->to, last);
}

static int transfer(struct transfer *t, pgoff_t to, pgoff_t from, bool back, pgoff_t *count)
{
	struct vmo_cow_pages *dst = t->dst, *src = t->src;
	struct vmo_need need = { };
	pgoff_t done = 0;
	int ret;

	vmo_pool_init(&t->pool, 0);
	for (;;) {
		ret = vmo_pool_fill(&t->pool, &need);
		if (!ret)
			ret = lock_both(dst, src);
		if (ret)
			goto drain;
		t->to = to;
		t->from = from;
		t->count = *count;
		ret = check(src, from, t->count) ?: check(dst, to, t->count);
		if (ret)
			break;
		done = next_piece(t, back);
		if (!t->count)
			break;
		measure(t, &need);
		if (vmo_pool_has(&t->pool, &need)) {
			ret = make_copies(t) ?: note_move(t);
			break;
		}
		unlock_both(dst, src);
	}
	if (!ret && t->count && t->supply)
		supply(t);
	else if (!ret && t->count)
		move(t);
	unlock_both(dst, src);
	vmo_tree_drop(&t->out);
	vmo_tree_drop(&t->old);
	if (!ret) {
		vmo_cow_changed(dst, true);
		vmo_cow_changed(src, true);
	}
	*count = done;
drain:
	vmo_pool_drain(&t->pool);
	return ret;
}

int vmo_cow_transfer(struct vmo_cow_pages *dst, pgoff_t to, struct vmo_cow_pages *src,
		     pgoff_t from, bool back, pgoff_t *count)
{
	struct transfer t = { .dst = dst, .src = src };

	return transfer(&t, to, from, back, count);
}

int vmo_cow_supply(struct vmo_cow_pages *dst, pgoff_t to, struct vmo_cow_pages *src,
		   pgoff_t from, pgoff_t *count)
{
	struct transfer t = { .dst = dst, .src = src, .supply = true };

	return transfer(&t, to, from, false, count);
}
