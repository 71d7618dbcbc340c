// SPDX-License-Identifier: GPL-2.0
/*
 * Contents that somebody provides on demand: what is absent, asking for it, zeroing and
 * detaching. Supplying is a kind of transfer, see cow_transfer.c.
 */
#include "engine.h"
#include "page.h"
#include "cow_internal.h"

void vmo_cow_set_source(struct vmo_cow_pages *cow, struct vmo_source *source, bool trap)
{
	cow->source = source;
	cow->trap = trap;
	cow->source_end = cow->end;
}

bool vmo_cow_absent(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct vmo_cow_pages *root = vmo_cow_provider(cow);

	lockdep_assert_held(&cow->lock);
	if (!root->source || key >= root->source_end)
		return false;
	if (cow != root && !vmo_cow_falls_through(cow, key))
		return false;
	return vmo_tree_is_empty(&root->tree, key);
}

/* Keys from here on read zero without a marker. Content lock. */
static pgoff_t known_end(const struct vmo_cow_pages *cow)
{
	return cow->source ? cow->source_end : cow->limit;
}

/* The last key of the absent run that starts at @first, up to @last. Content lock. */
static pgoff_t absent_end(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first + 1, to;
	struct vmo_leaf *leaf;

	last = min(last, cow->source_end - 1);
	while (key <= last) {
		leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false);
		if (!leaf)
			break;
		to = min(last, key | VMO_LEAF_MASK);
		spin_lock(&leaf->lock);
		while (key <= to && !leaf->slot[key_slot(key)])
			key++;
		spin_unlock(&leaf->lock);
		if (key <= to)
			return key - 1;
	}
	return last;
}

/*
 * P31, T2: does the source have to be asked before what is known at @key is written, or
 * with VMO_WANT_PAGE becomes a page? Zeroes that it does not know become dirty by that.
 */
static bool trapped(struct vmo_cow_pages *cow, pgoff_t key, enum vmo_want want)
{
	struct vmo_path path;
	struct vmo_leaf *leaf;
	bool page, dirty;

	if (!cow->trap || want == VMO_WANT_READ || key >= cow->end)
		return false;
	leaf = vmo_tree_find(&cow->tree, key, &path);
	if (!leaf)
		return true;	/* what it grew by */
	spin_lock(&leaf->lock);
	page = vmo_slot_page(leaf->slot[key_slot(key)]);
	dirty = leaf->dirty & key_bit(key) || !leaf->slot[key_slot(key)];
	spin_unlock(&leaf->lock);
	return want == VMO_WANT_PAGE ? !page && dirty : !page || !dirty;
}

int vmo_cow_must_ask(struct vmo_cow_pages *cow, pgoff_t key, unsigned int flags)
{
	enum vmo_want want = VMO_WANT_PAGE;

	lockdep_assert_held(&cow->lock);
	if (flags & (VMO_OWN_WRITABLE | VMO_OWN_WRITTEN | VMO_OWN_TO_WRITE) &&
	    !(flags & VMO_OWN_TO_READ))
		want = VMO_WANT_WRITE;
	return vmo_cow_absent(cow, key) || trapped(cow, key, want) ? -ENODATA : 0;
}

/* P12: the last key of the run that starts at @first, and is known but trapped. */
static pgoff_t trapped_end(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			   enum vmo_want want)
{
	pgoff_t key = first;

	last = min(last, cow->end - 1);
	while (key < last && !vmo_cow_absent(cow, key + 1) && trapped(cow, key + 1, want)) {
		key++;
		cond_resched();
	}
	return key;
}

/*
 * The first key in [@first, @last] of which somebody waits for what it holds to be known.
 * What the content grew by is written back from its start on only, so that is it.
 */
static bool next_wanted(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, pgoff_t *found)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first, base;
	u64 mask;

	*found = last + 1;
	if (cow->source_end < min(cow->source_wanted, cow->end))
		*found = min(*found, cow->source_end);
	while (key < *found && (leaf = vmo_tree_next_leaf(&cow->tree, &key, *found - 1, false))) {
		base = key & ~VMO_LEAF_MASK;
		mask = vmo_leaf_bits(leaf->wanted, base, first, *found - 1);
		if (mask)
			*found = base + __ffs64(mask);
		key = base + VMO_LEAF_SLOTS;
	}
	return *found <= last;
}

/* What has to be asked for, and how far. Content lock shared. False: nothing. */
static bool what_to_ask(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t *last,
			enum vmo_want want, enum vmo_ask_type *type)
{
	if (want == VMO_WANT_SYNC) {
		*type = VMO_ASK_SYNC;
		return next_wanted(cow, *key, *last, key);
	}
	if (vmo_cow_absent(cow, *key)) {
		*type = VMO_ASK_READ;
		*last = absent_end(cow, *key, *last);
		return true;
	}
	*type = VMO_ASK_DIRTY;
	if (!trapped(cow, *key, want))
		return false;
	*last = want == VMO_WANT_WRITE_ONE ? *key : trapped_end(cow, *key, *last, want);
	return true;
}

int vmo_cow_ask(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want,
		struct vmo_waiter *waiter)
{
	struct vmo_request *spare = vmo_request_alloc();
	enum vmo_ask_type type;
	int ret;

	if (!spare)
		return -ENOMEM;
	ret = vmo_cow_lock_shared(cow);
	if (ret)
		goto free;
	if (what_to_ask(cow, &key, &last, want, &type)) {
		ret = vmo_source_ask(cow->source, type, key, last, waiter, &spare);
		ret = ret ? ret : 1;
	}
	vmo_cow_unlock_shared(cow);
free:
	vmo_request_free(spare);
	return ret;
}

int vmo_cow_ask_on(struct vmo_cow_pages *cow, pgoff_t last, struct vmo_waiter *waiter)
{
	pgoff_t next;
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	if (!next_wanted(cow, waiter->key, last, &next))
		ret = 0;
	else if (next <= READ_ONCE(waiter->poked))
		ret = -EAGAIN;
	else
		ret = vmo_source_move(cow->source, waiter, next);
	vmo_cow_unlock_shared(cow);
	return ret;
}

int vmo_cow_need(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want)
{
	struct vmo_cow_pages *root = vmo_cow_provider(cow);
	int ret;

	/* P34, T3: a dependent has pages of its own, and needs to read the root's only. */
	if (cow != root) {
		want = VMO_WANT_READ;
		ret = vmo_cow_fallen_end(cow, key, &last);
		if (ret)
			return ret;
	}
	return root->source->queue->ops->need(root, key, last, want);
}

int vmo_cow_fail(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, int error)
{
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	if (vmo_source_closed(cow->source))
		ret = -EBADFD;
	else if (last >= cow->end)
		ret = -ERANGE;
	else
		vmo_source_fail(cow->source, first, last, error);
	vmo_cow_unlock_shared(cow);
	return ret;
}

/* ---- zeroing ----------------------------------------------------------- */

/*
 * Lets the slots of @mask read zero. Those that did before stay what they are, for the
 * server knows, or knows that it does not; pinned pages stay, too, and are cleared
 * later. Content lock exclusive, without PTEs. To @gone go pages that were given up.
 */
static unsigned int zero_slots(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t base,
			       u64 mask, struct page **gone)
{
	unsigned int i, nr = 0;
	struct page *page;

	spin_lock(&leaf->lock);
	for (; mask; mask &= mask - 1) {
		i = __ffs64(mask);
		page = vmo_slot_page(leaf->slot[i]);
		if (!page && (leaf->slot[i] || base + i >= known_end(cow)))
			continue;
		if (cow->source)
			leaf->dirty |= BIT_ULL(i);
		if (page && vmo_page_pins(page))
			continue;
		if (page)
			gone[nr++] = page;
		leaf->slot[i] = VMO_MARKER;
		leaf->writable &= ~BIT_ULL(i);
		leaf->mine &= ~BIT_ULL(i);
	}
	spin_unlock(&leaf->lock);
	return nr;
}

static void clear_pinned(struct vmo_leaf *leaf, u64 mask)
{
	struct page *page;
	unsigned int i;

	for (; mask; mask &= mask - 1) {
		i = __ffs64(mask);
		page = vmo_slot_page(leaf->slot[i]);
		if (!page)
			continue;
		/* It stays in its slot: the content lock is exclusive. */
		vmo_page_lock(page);
		vmo_page_clear(page, 0, PAGE_SIZE);
		vmo_page_unlock(page);
	}
}

/* Within a leaf, which the tree has exclusively. Content lock exclusive. */
static void zero_leaf(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t first,
		      pgoff_t last)
{
	pgoff_t base = first & ~VMO_LEAF_MASK;
	u64 mask = vmo_leaf_bits(~0ULL, base, first, last);
	struct page *gone[VMO_LEAF_SLOTS];
	unsigned int nr;

	vmo_cow_wait_pages(leaf, mask);
	vmo_cow_wait_fallen(cow, first, last);
	vmo_cow_unmap(cow, first, last);
	nr = zero_slots(cow, leaf, base, mask, gone);
	clear_pinned(leaf, mask);
	while (nr)
		vmo_page_unshare(gone[--nr]);
	if (cow->source)
		vmo_source_answer(cow->source, VMO_ASK_READ, first, last);
}

/* Is there nothing to do, for the source does not know of it, and nobody wrote it? */
static bool grown_hole(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first;

	return first >= known_end(cow) && !vmo_tree_next_leaf(&cow->tree, &key, last, false);
}

/* O4: pinned pages are written, which may have to be asked for. Content lock exclusive. */
static int ask_for_pinned(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			  pgoff_t *key)
{
	if (!cow->trap)
		return 0;
	for (*key = first; *key <= last; ++*key) {
		*key = vmo_cow_next_pinned(cow, *key, last);
		if (*key <= last && trapped(cow, *key, VMO_WANT_WRITE))
			return -ENODATA;
	}
	return 0;
}

/* -ENODATA: the page at *@ask is pinned, and has to be asked for. */
static int zero_some(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, pgoff_t *ask)
{
	struct vmo_need need = { };
	struct vmo_pool pool;
	int ret;

	vmo_pool_init(&pool, 0);
	for (;;) {
		ret = vmo_pool_fill(&pool, &need);
		if (!ret)
			ret = vmo_cow_lock_excl(cow);
		if (ret)
			goto drain;
		ret = last >= cow->end ? -ERANGE : ask_for_pinned(cow, first, last, ask) ?:
		      vmo_cow_note_range(cow, first, last);
		if (ret || grown_hole(cow, first, last))
			goto unlock;
		vmo_tree_own_need(&cow->tree, first, true, &need);
		if (vmo_pool_has(&pool, &need))
			break;
		vmo_cow_unlock_excl(cow);
	}
	zero_leaf(cow, vmo_tree_own(&cow->tree, first, true, &pool), first, last);
unlock:
	vmo_cow_unlock_excl(cow);
	vmo_cow_changed(cow, true);
drain:
	vmo_pool_drain(&pool);
	return ret;
}

/* Raises *@first over what reads zero without a leaf. -EINTR. No lock held. */
static int skip_zeroes(struct vmo_cow_pages *cow, pgoff_t *first, pgoff_t last)
{
	pgoff_t key = *first;
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	if (key >= known_end(cow) && !vmo_tree_next_leaf(&cow->tree, &key, last, false))
		key = last + 1;
	*first = key;
	vmo_cow_unlock_shared(cow);
	return 0;
}

/* O3: what reaches the limit lowers it to its own start. */
static int zero_fallen(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	int ret;

	if (!cow->root)
		return 0;
	ret = vmo_cow_lock_excl(cow);
	if (ret)
		return ret;
	if (last + 1 >= cow->limit && last < cow->end)
		vmo_cow_sink_limit(cow, first);
	vmo_cow_unlock_excl(cow);
	return 0;
}

int vmo_cow_zero_known(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t to, ask = first;
	int ret;

	if (first < cow->base || last < first || last >= READ_ONCE(cow->end))
		return -ERANGE;
	ret = zero_fallen(cow, first, last);
	if (ret)
		return ret;
	do {
		ret = skip_zeroes(cow, &first, last);
		if (ret || first > last)
			break;
		to = min(last, first | VMO_LEAF_MASK);
		ret = zero_some(cow, first, to, &ask);
		if (ret == -ENODATA)
			ret = vmo_cow_need(cow, ask, ask, VMO_WANT_WRITE);
		else
			first = to + 1;
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (!ret && first <= last);
	return ret;
}

/* ---- writing back ------------------------------------------------------ */

/* Keys per hold of the content lock. */
#define WRITEBACK_KEYS	512U

/* Content lock exclusive, without PTEs that write. */
static void begin_leaf(struct vmo_leaf *leaf, u64 mask, bool zeroes)
{
	struct page *page;
	unsigned int i;

	spin_lock(&leaf->lock);
	for (mask &= leaf->dirty; mask; mask &= mask - 1) {
		i = __ffs64(mask);
		page = vmo_slot_page(leaf->slot[i]);
		if (page && (zeroes || (leaf->writable & BIT_ULL(i) && vmo_cow_has_to_stay(page))))
			continue;
		leaf->writable &= ~BIT_ULL(i);
		leaf->dirty &= ~BIT_ULL(i);
		leaf->awaiting |= BIT_ULL(i);
	}
	spin_unlock(&leaf->lock);
}

/* Content lock exclusive. */
static int begin_some(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool zeroes)
{
	pgoff_t key = first, base;
	struct vmo_leaf *leaf;
	int ret = 0;

	if (!zeroes) {
		vmo_cow_revoke_writable(cow, first, last);
		ret = vmo_cow_gather(cow, first, last);
	}
	while (!ret && (leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false))) {
		base = key & ~VMO_LEAF_MASK;
		begin_leaf(leaf, vmo_leaf_bits(~0ULL, base, first, last), zeroes);
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
	vmo_tree_fold_writable(&cow->tree, first, last);
	return ret;
}

/* P42: what it grew by begins only from its start on. Content lock exclusive. */
static void begin_grown(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	if (first <= cow->source_end && last >= cow->source_end)
		cow->source_next = max(cow->source_next, last + 1);
}

int vmo_cow_writeback_begin(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			    bool zeroes)
{
	pgoff_t begin = first, key = first, to;
	int ret;

	do {
		ret = vmo_cow_lock_excl(cow);
		if (ret)
			return ret;
		if (last >= cow->end) {
			vmo_cow_unlock_excl(cow);
			return -ERANGE;
		}
		/* Nothing is in between of what is written and what it grew by. */
		if (!vmo_tree_next_leaf(&cow->tree, &key, last, false))
			key = last;
		to = min(last, key | (WRITEBACK_KEYS - 1));
		ret = begin_some(cow, first, to, zeroes);
		if (!ret)
			begin_grown(cow, begin, to);
		vmo_cow_unlock_excl(cow);
		first = to + 1;
		key = first;
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (!ret && to < last);
	return ret;
}

/* What was begun the server knows, as it was then, whoever wrote it since. */
static void end_leaf(struct vmo_leaf *leaf, u64 mask)
{
	spin_lock(&leaf->lock);
	leaf->wanted &= ~(leaf->awaiting & mask);
	leaf->awaiting &= ~mask;
	spin_unlock(&leaf->lock);
}

/* What it grew by, and was written back, is absent from here on. Content lock exclusive. */
static void end_grown(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t from = cow->source_end, next = min(cow->source_next, cow->end);

	if (next <= from || first > from || last < from)
		return;
	vmo_cow_wait_zero_pages(cow);
	vmo_cow_unmap(cow, from, next - 1);
	cow->source_end = next;
	cow->source_next = 0;
}

int vmo_cow_writeback_end(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first, base;
	struct vmo_leaf *leaf;
	int ret = vmo_cow_lock_excl(cow);

	if (ret)
		return ret;
	if (last >= cow->end)
		ret = -ERANGE;
	else
		end_grown(cow, first, last);
	while (!ret && (leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false))) {
		base = key & ~VMO_LEAF_MASK;
		end_leaf(leaf, vmo_leaf_bits(~0ULL, base, first, last));
		key = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
	if (!ret)
		vmo_source_poke(cow->source, first, last);
	vmo_cow_unlock_excl(cow);
	return ret;
}

/*
 * What is written by now is wanted to be known. A write-back that began before the last
 * write does not count.
 */
static void want_leaf(struct vmo_leaf *leaf, u64 mask)
{
	spin_lock(&leaf->lock);
	leaf->wanted |= (leaf->dirty | leaf->awaiting) & mask;
	leaf->awaiting &= ~(leaf->dirty & mask);
	spin_unlock(&leaf->lock);
}

/* Leaves per hold of the content lock. */
#define WANT_LEAVES	64

/* Raises *@key. Content lock exclusive. */
static void want_some(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last)
{
	unsigned int leaves = WANT_LEAVES;
	struct vmo_leaf *leaf;
	pgoff_t base;

	last = min(last, cow->end - 1);
	if (last >= cow->source_end)
		cow->source_wanted = max(cow->source_wanted, last + 1);
	while (leaves-- && (leaf = vmo_tree_next_leaf(&cow->tree, key, last, false))) {
		base = *key & ~VMO_LEAF_MASK;
		want_leaf(leaf, vmo_leaf_bits(~0ULL, base, *key, last));
		*key = base + VMO_LEAF_SLOTS;
	}
	if (!leaf)
		*key = VMO_KEY_MAX + 1;
}

int vmo_cow_sync(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first, next;
	bool wanted;
	int ret;

	last = min(last, VMO_KEY_MAX);
	while (key <= last) {
		ret = vmo_cow_lock_excl(cow);
		if (ret)
			return ret;
		if (cow->end > first)
			want_some(cow, &key, last);
		else
			key = VMO_KEY_MAX + 1;
		vmo_cow_unlock_excl(cow);
		cond_resched();
	}
	for (;;) {
		ret = vmo_cow_lock_shared(cow);
		if (ret)
			return ret;
		wanted = next_wanted(cow, first, last, &next);
		vmo_cow_unlock_shared(cow);
		if (!wanted)
			return 0;
		ret = vmo_cow_need(cow, first, last, VMO_WANT_SYNC);
		if (ret)
			return ret;
	}
}

/* ---- letting write ------------------------------------------------------- */

/* Slots that are not absent. */
static u64 leaf_known(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t base)
{
	unsigned int i;
	u64 known = 0;

	spin_lock(&leaf->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (leaf->slot[i] || base + i >= cow->source_end)
			known |= BIT_ULL(i);
	spin_unlock(&leaf->lock);
	return known;
}

/* What it takes to have pages in all of [@first, @last]; -ENOENT. Content lock exclusive. */
static int dirty_need(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		      struct vmo_need *need)
{
	pgoff_t key = first, next, base;
	struct vmo_leaf *leaf;
	u64 known, pages;

	vmo_tree_own_range_need(&cow->tree, first, last, need);
	for (need->pages = 0; key <= last; key = next) {
		next = key;
		leaf = vmo_tree_next_leaf(&cow->tree, &next, last, false);
		if (!leaf)
			next = last + 1;
		if (next > key && key < cow->source_end)
			return -ENOENT;
		need->pages += next - key;
		if (!leaf)
			break;
		base = next & ~VMO_LEAF_MASK;
		known = vmo_leaf_bits(leaf_known(cow, leaf, base), base, next, last);
		pages = vmo_leaf_bits(vmo_leaf_pages(leaf), base, next, last);
		if (known != vmo_leaf_bits(~0ULL, base, next, last))
			return -ENOENT;
		need->pages += hweight64(known & ~pages);
		next = base + VMO_LEAF_SLOTS;
		cond_resched();
	}
	return 0;
}

/* Fills the slots of @mask that have no page, and lets all be written. */
static void dirty_leaf(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t base,
		       u64 mask, struct vmo_pool *pool)
{
	u64 fill = mask & ~vmo_leaf_pages(leaf), left;
	struct page *page;
	unsigned int i;

	for (left = fill; left; left &= left - 1) {
		i = __ffs64(left);
		page = pool->page[--pool->pages];
		vmo_page_lock(page);
		vmo_page_clear(page, 0, PAGE_SIZE);
		vmo_page_unlock(page);
		spin_lock(&leaf->lock);
		leaf->slot[i] = page;
		leaf_renew(cow, leaf);
		leaf->mine |= BIT_ULL(i);
		spin_unlock(&leaf->lock);
	}
	spin_lock(&leaf->lock);
	leaf->dirty |= mask;
	spin_unlock(&leaf->lock);
	vmo_cow_filled(cow, base, fill);
}

/* Content lock exclusive, and enough in the pool. */
static void make_dirty(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		       struct vmo_pool *pool)
{
	pgoff_t key, base;

	for (key = first; key <= last; key = base + VMO_LEAF_SLOTS) {
		base = key & ~VMO_LEAF_MASK;
		dirty_leaf(cow, vmo_tree_own(&cow->tree, key, true, pool), base,
			   vmo_leaf_bits(~0ULL, base, key, last), pool);
		cond_resched();
	}
}

int vmo_cow_dirty(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_need need = { };
	struct vmo_pool pool;
	int ret;

	vmo_pool_init(&pool, 0);
	for (;;) {
		ret = vmo_pool_fill(&pool, &need);
		if (!ret)
			ret = vmo_cow_lock_excl(cow);
		if (ret)
			goto drain;
		if (vmo_source_closed(cow->source))
			ret = -EBADFD;
		else if (last >= cow->end)
			ret = -ERANGE;
		else
			ret = dirty_need(cow, first, last, &need);
		if (ret || vmo_pool_has(&pool, &need))
			break;
		vmo_cow_unlock_excl(cow);
	}
	if (!ret)
		make_dirty(cow, first, last, &pool);
	/* P32: who waits looks again, also if part of it has to be read first. */
	if (!ret || ret == -ENOENT)
		vmo_source_answer(cow->source, VMO_ASK_DIRTY, first, last);
	vmo_cow_unlock_excl(cow);
	if (!ret)
		vmo_cow_changed(cow, true);
drain:
	vmo_pool_drain(&pool);
	return ret;
}

/* ---- asking what is dirty ------------------------------------------------ */

/* From *@key to the end of the leaf. Content lock shared. False: the caller wants no more. */
static bool tell_leaf(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t *key,
		      pgoff_t last, vmo_dirty_fn fn, void *arg)
{
	pgoff_t to = min(last, *key | VMO_LEAF_MASK);
	bool more = true, page;
	unsigned int i;

	spin_lock(&leaf->lock);
	for (; more && *key <= to; *key += more) {
		i = key_slot(*key);
		page = vmo_slot_page(leaf->slot[i]);
		if ((leaf->dirty | leaf->awaiting) & BIT_ULL(i) ||
		    (!leaf->slot[i] && *key >= cow->source_end))
			more = fn(*key, *key, !page, arg);
	}
	spin_unlock(&leaf->lock);
	return more;
}

/* Leaves per hold of the content lock. */
#define DIRTY_LEAVES	64

int vmo_cow_dirty_ranges(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last,
			 vmo_dirty_fn fn, void *arg)
{
	unsigned int leaves = DIRTY_LEAVES;
	struct vmo_leaf *leaf;
	bool more = true;
	pgoff_t next, from;
	int ret = vmo_cow_lock_shared(cow);

	if (ret)
		return ret;
	if (cow->end)
		last = min(last, cow->end - 1);
	else
		*key = VMO_KEY_MAX + 1;
	while (more && *key <= last && leaves--) {
		next = *key;
		leaf = vmo_tree_next_leaf(&cow->tree, &next, last, false);
		if (!leaf)
			next = last + 1;
		from = max(*key, cow->source_end);
		if (next > from)	/* without a leaf, and what it grew by */
			more = fn(from, next - 1, true, arg);
		if (!more)
			*key = from;
		else if (next > *key)
			*key = next;
		else
			more = tell_leaf(cow, leaf, key, last, fn, arg);
		cond_resched();
	}
	if (more && *key > last)
		*key = VMO_KEY_MAX + 1;
	vmo_cow_unlock_shared(cow);
	return 0;
}

/* ---- giving up --------------------------------------------------------- */

/*
 * Gives up what the server knows and nobody has pinned; with @held also what somebody
 * holds, who goes on to see it. Content lock exclusive, without PTEs. How many pages.
 */
static unsigned int drop_clean(struct vmo_cow_pages *cow, struct vmo_leaf *leaf, pgoff_t base,
			       u64 mask, bool held)
{
	struct page *gone[VMO_LEAF_SLOTS], *page;
	unsigned int i, nr = 0, pages;

	spin_lock(&leaf->lock);
	for (mask &= ~(leaf->dirty | leaf->awaiting); mask; mask &= mask - 1) {
		i = __ffs64(mask);
		/* Behind the source's end nothing could be absent. */
		if (base + i >= cow->source_end)
			break;
		page = vmo_slot_page(leaf->slot[i]);
		if (page && (vmo_page_pins(page) || (!held && vmo_page_held(page, 0))))
			continue;
		if (page)
			gone[nr++] = page;
		leaf->slot[i] = NULL;
		leaf->mine &= ~BIT_ULL(i);
		leaf->writable &= ~BIT_ULL(i);	/* of a pin for reading, once */
	}
	spin_unlock(&leaf->lock);
	pages = nr;
	while (nr)
		vmo_page_unshare(gone[--nr]);
	return pages;
}

static void drop_all_clean(struct vmo_cow_pages *cow)
{
	pgoff_t key = 0;
	struct vmo_leaf *leaf;

	if (cow->end <= cow->base)
		return;
	vmo_cow_wait_zero_pages(cow);
	vmo_cow_revoke(cow, &cow->tree, cow->base, cow->end - 1);
	while ((leaf = vmo_tree_next_leaf(&cow->tree, &key, VMO_KEY_MAX, false))) {
		drop_clean(cow, leaf, key & ~VMO_LEAF_MASK,
			   GENMASK_ULL(VMO_LEAF_SLOTS - 1, 0), true);
		key = (key | VMO_LEAF_MASK) + 1;
		cond_resched();
	}
}

int vmo_cow_detach(struct vmo_cow_pages *cow)
{
	int ret = vmo_cow_lock_excl(cow);

	if (ret)
		return ret;
	/* A pager that is closed leaves what was supplied, which to detach takes away. */
	vmo_source_detach(cow->source);
	drop_all_clean(cow);
	vmo_cow_unlock_excl(cow);
	vmo_cow_changed(cow, true);
	return 0;
}

/* Keys per hold of the content lock. */
#define EVICT_KEYS	512U

/* Content lock exclusive. */
static unsigned long evict_some(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct vmo_leaf *leaf;
	pgoff_t key = first, base;
	unsigned long pages = 0;

	vmo_cow_wait_zero_pages(cow);
	vmo_cow_revoke(cow, &cow->tree, first, last);
	while ((leaf = vmo_tree_next_leaf(&cow->tree, &key, last, false))) {
		base = key & ~VMO_LEAF_MASK;
		pages += drop_clean(cow, leaf, base, vmo_leaf_bits(~0ULL, base, first, last),
				    false);
		key = base + VMO_LEAF_SLOTS;
	}
	return pages;
}

int vmo_cow_evict(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, unsigned long *pages)
{
	pgoff_t key = first, to;
	int ret = 0;

	while (!ret && key <= last) {
		ret = vmo_cow_lock_excl(cow);
		if (ret)
			break;
		to = last;
		if (vmo_tree_next_leaf(&cow->tree, &key, last, false)) {
			to = min(last, key | (EVICT_KEYS - 1));
			*pages += evict_some(cow, key, to);
		}
		vmo_cow_unlock_excl(cow);
		key = to + 1;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	vmo_cow_changed(cow, true);
	return ret;
}
