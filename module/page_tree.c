// SPDX-License-Identifier: GPL-2.0
/*
 * The persistent radix tree; see page_tree.h for what it is.
 *
 * Recursion in this file goes down the levels of one tree, VMO_TREE_LEVELS at
 * most. Nothing recurses along the chain of snapshots: there is none.
 */
#include "engine.h"
#include "page.h"
#include "page_tree.h"

/* ---- geometry ---------------------------------------------------------- */

/* Keys below a node of @level, as a shift. */
static inline unsigned int span_shift(unsigned int level)
{
	return VMO_LEAF_SHIFT + level * VMO_INNER_SHIFT;
}

/* The last key below a node of @level that starts at @base. */
static inline pgoff_t span_last(pgoff_t base, unsigned int level)
{
	return base + ((1UL << span_shift(level)) - 1);
}

/* The slot for @key in an inner node of @level. */
static inline unsigned int inner_index(unsigned int level, pgoff_t key)
{
	return (key >> span_shift(level - 1)) & (VMO_INNER_SLOTS - 1);
}

static inline unsigned int leaf_index(pgoff_t key)
{
	return key & VMO_LEAF_MASK;
}

static unsigned int level_for(pgoff_t key)
{
	unsigned int level = 0;

	while (key >> span_shift(level))
		level++;
	return level;
}

static inline struct vmo_inner *to_inner(struct vmo_node *node)
{
	return container_of(node, struct vmo_inner, node);
}

static inline struct vmo_leaf *to_leaf(struct vmo_node *node)
{
	return container_of(node, struct vmo_leaf, node);
}

static inline struct vmo_node *slot_load(struct vmo_node *const *slot)
{
	/* Pairs with the cmpxchg() that hangs a node. */
	return smp_load_acquire(slot);
}

static bool node_writable(struct vmo_node *node)
{
	if (node->level)
		return !bitmap_empty(to_inner(node)->writable, VMO_INNER_SLOTS);
	return to_leaf(node)->writable;
}

/* ---- nodes ------------------------------------------------------------- */

static struct vmo_node *node_new(unsigned int level, unsigned int flags)
{
	struct vmo_node *node = vmo_node_alloc(!level, flags);

	if (!node)
		return NULL;
	refcount_set(&node->refs, 1);
	node->level = level;
	if (!level)
		spin_lock_init(&to_leaf(node)->lock);
	return node;
}

static void leaf_free(struct vmo_leaf *leaf)
{
	unsigned int i;

	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		struct page *page = vmo_slot_page(leaf->slot[i]);

		if (page)
			vmo_page_unshare(page);
	}
	vmo_node_free(leaf, true);
	cond_resched();
}

/* Drops a reference. The last one takes what hangs below along, iteratively. */
static void node_put(struct vmo_node *node)
{
	struct vmo_inner *up[VMO_TREE_LEVELS];
	unsigned int next[VMO_TREE_LEVELS];
	unsigned int depth = 0;

	for (;;) {
		if (node && refcount_dec_and_test(&node->refs)) {
			if (node->level) {
				up[depth] = to_inner(node);
				next[depth++] = 0;
			} else {
				leaf_free(to_leaf(node));
			}
		}
		while (depth && next[depth - 1] == VMO_INNER_SLOTS)
			vmo_node_free(up[--depth], false);
		if (!depth)
			return;
		node = up[depth - 1]->slot[next[depth - 1]++];
	}
}

/* ---- pools ------------------------------------------------------------- */

void vmo_pool_init(struct vmo_pool *pool, unsigned int flags)
{
	memset(pool, 0, sizeof(*pool));
	pool->flags = flags;
	INIT_LIST_HEAD(&pool->inner);
	INIT_LIST_HEAD(&pool->leaf);
}

bool vmo_pool_has(const struct vmo_pool *pool, const struct vmo_need *need)
{
	return pool->inners >= need->inners && pool->leaves >= need->leaves &&
	       pool->pages >= need->pages;
}

static int pool_fill_pages(struct vmo_pool *pool, unsigned long want)
{
	struct page **page;

	if (want <= pool->pages)
		return 0;
	if (want > pool->room) {
		page = kvmalloc_array(want, sizeof(*page), GFP_KERNEL_ACCOUNT);
		if (!page)
			return -ENOMEM;
		if (pool->pages)
			memcpy(page, pool->page, pool->pages * sizeof(*page));
		kvfree(pool->page);
		pool->page = page;
		pool->room = want;
	}
	while (pool->pages < want) {
		pool->page[pool->pages] = vmo_page_alloc(pool->flags);
		if (!pool->page[pool->pages])
			return -ENOMEM;
		pool->pages++;
		cond_resched();
		/* So many may be wanted that it takes long. Whoever is killed does not ask. */
		if (fatal_signal_pending(current))
			return -ENOMEM;
	}
	return 0;
}

int vmo_pool_fill(struct vmo_pool *pool, const struct vmo_need *need)
{
	struct vmo_node *node;

	while (pool->inners < need->inners) {
		node = vmo_node_alloc(false, pool->flags);
		if (!node)
			return -ENOMEM;
		list_add(&to_inner(node)->next, &pool->inner);
		pool->inners++;
	}
	while (pool->leaves < need->leaves) {
		node = vmo_node_alloc(true, pool->flags);
		if (!node)
			return -ENOMEM;
		list_add(&to_leaf(node)->next, &pool->leaf);
		pool->leaves++;
	}
	return pool_fill_pages(pool, need->pages);
}

void vmo_pool_drain(struct vmo_pool *pool)
{
	struct vmo_inner *inner, *ni;
	struct vmo_leaf *leaf, *nl;

	list_for_each_entry_safe(inner, ni, &pool->inner, next)
		vmo_node_free(inner, false);
	list_for_each_entry_safe(leaf, nl, &pool->leaf, next)
		vmo_node_free(leaf, true);
	while (pool->pages)
		vmo_page_unshare(pool->page[--pool->pages]);
	kvfree(pool->page);
	vmo_pool_init(pool, pool->flags);
}

static struct vmo_node *pool_inner(struct vmo_pool *pool, unsigned int level)
{
	struct vmo_inner *inner;

	inner = list_first_entry(&pool->inner, struct vmo_inner, next);
	list_del(&inner->next);
	memset(&inner->next, 0, sizeof(inner->next));
	pool->inners--;
	refcount_set(&inner->node.refs, 1);
	inner->node.level = level;
	return &inner->node;
}

static struct vmo_node *pool_leaf(struct vmo_pool *pool)
{
	struct vmo_leaf *leaf;

	leaf = list_first_entry(&pool->leaf, struct vmo_leaf, next);
	list_del(&leaf->next);
	memset(&leaf->next, 0, sizeof(leaf->next));
	pool->leaves--;
	refcount_set(&leaf->node.refs, 1);
	leaf->node.level = 0;
	spin_lock_init(&leaf->lock);
	return &leaf->node;
}

/* ---- look-up ----------------------------------------------------------- */

/* The top node if it covers @key. */
static struct vmo_node *tree_top(const struct vmo_page_tree *tree, pgoff_t key)
{
	struct vmo_node *root = slot_load(&tree->root);

	return root && key <= span_last(0, root->level) ? root : NULL;
}

struct vmo_leaf *vmo_tree_find(const struct vmo_page_tree *tree, pgoff_t key,
			       struct vmo_path *path)
{
	struct vmo_node *node = tree_top(tree, key);

	memset(path, 0, sizeof(*path));
	path->exclusive = true;
	while (node) {
		vmo_count_visit();
		if (path->exclusive && !vmo_refs_exclusive(&node->refs))
			path->exclusive = false;
		if (!node->level) {
			path->leaf = to_leaf(node);
			break;
		}
		path->inner[node->level] = to_inner(node);
		node = slot_load(&to_inner(node)->slot[inner_index(node->level, key)]);
	}
	return path->leaf;
}

/* The leaf of @key without its path. */
static struct vmo_leaf *tree_leaf(const struct vmo_page_tree *tree, pgoff_t key)
{
	struct vmo_node *node = tree_top(tree, key);

	while (node) {
		vmo_count_visit();
		if (!node->level)
			return to_leaf(node);
		node = slot_load(&to_inner(node)->slot[inner_index(node->level, key)]);
	}
	return NULL;
}

struct page *vmo_tree_get_page(const struct vmo_page_tree *tree, pgoff_t key)
{
	struct vmo_leaf *leaf = tree_leaf(tree, key);
	struct page *page;

	if (!leaf)
		return NULL;
	spin_lock(&leaf->lock);
	page = vmo_slot_page(leaf->slot[leaf_index(key)]);
	if (page)
		vmo_page_get(page);
	spin_unlock(&leaf->lock);
	return page;
}

u64 vmo_leaf_pages(struct vmo_leaf *leaf)
{
	unsigned int i;
	u64 mask = 0;

	spin_lock(&leaf->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (vmo_slot_page(leaf->slot[i]))
			mask |= BIT_ULL(i);
	spin_unlock(&leaf->lock);
	return mask;
}

bool vmo_tree_has_page(const struct vmo_page_tree *tree, pgoff_t key, struct page *page)
{
	struct vmo_leaf *leaf = tree_leaf(tree, key);
	bool has;

	if (!leaf)
		return !page;
	spin_lock(&leaf->lock);
	has = vmo_slot_page(leaf->slot[leaf_index(key)]) == page;
	spin_unlock(&leaf->lock);
	return has;
}

bool vmo_tree_is_empty(const struct vmo_page_tree *tree, pgoff_t key)
{
	struct vmo_leaf *leaf = tree_leaf(tree, key);
	bool empty;

	if (!leaf)
		return true;
	spin_lock(&leaf->lock);
	empty = !leaf->slot[leaf_index(key)];
	spin_unlock(&leaf->lock);
	return empty;
}

/* Hangs a new node into an empty slot, or finds the one who was faster. */
static struct vmo_node *hang_node(struct vmo_node **slot, unsigned int level,
				  unsigned int flags)
{
	struct vmo_node *node = node_new(level, flags), *old;

	if (!node)
		return NULL;
	old = cmpxchg(slot, NULL, node);
	if (!old)
		return node;
	vmo_node_free(node, !level);
	return old;
}

int vmo_tree_hang(struct vmo_page_tree *tree, pgoff_t key, unsigned int flags,
		  struct vmo_path *path)
{
	struct vmo_node **slot = &tree->root;
	struct vmo_node *node = slot_load(slot);
	unsigned int level = node ? node->level : level_for(key);

	memset(path, 0, sizeof(*path));
	for (;;) {
		if (!node)
			node = hang_node(slot, level, flags);
		if (!node)
			return -ENOMEM;
		vmo_count_visit();
		if (!vmo_refs_exclusive(&node->refs))
			return -EAGAIN;
		/* Only a root can be too low, also one that a racer hung. */
		if (slot == &tree->root && key > span_last(0, node->level))
			return -EAGAIN;
		level = node->level;
		if (!level)
			break;
		path->inner[level] = to_inner(node);
		slot = &to_inner(node)->slot[inner_index(level, key)];
		node = slot_load(slot);
		level--;
	}
	path->leaf = to_leaf(node);
	path->exclusive = true;
	return 0;
}

/* The first slot from @from on that has a child, with @writable a marked one. */
static unsigned int next_child(const struct vmo_inner *inner, unsigned int from, bool writable)
{
	if (writable)
		return find_next_bit(inner->writable, VMO_INNER_SLOTS, from);
	while (from < VMO_INNER_SLOTS && !slot_load(&inner->slot[from]))
		from++;
	return from;
}

/*
 * Descends from @node to the first leaf at or after *@key. NULL if there is
 * none below the subtree that was entered last; then *@key is where it ends.
 */
static struct vmo_leaf *descend_next(struct vmo_node *node, pgoff_t *key, bool writable)
{
	while (node->level) {
		unsigned int shift = span_shift(node->level - 1);
		unsigned int index = inner_index(node->level, *key);
		unsigned int next = next_child(to_inner(node), index, writable);
		pgoff_t base = *key & ~((1UL << span_shift(node->level)) - 1);

		vmo_count_visit();
		if (next != index)
			*key = base + ((pgoff_t)next << shift);
		if (next == VMO_INNER_SLOTS)
			return NULL;
		node = slot_load(&to_inner(node)->slot[next]);
		/* A summary may outlive a child that was cut. */
		if (!node) {
			*key = base + ((pgoff_t)(next + 1) << shift);
			return NULL;
		}
	}
	vmo_count_visit();
	return to_leaf(node);
}

struct vmo_leaf *vmo_tree_next_leaf(const struct vmo_page_tree *tree, pgoff_t *key,
				    pgoff_t last, bool writable)
{
	struct vmo_leaf *leaf;
	struct vmo_node *top;

	while (*key <= last) {
		top = tree_top(tree, *key);
		if (!top)
			return NULL;
		leaf = descend_next(top, key, writable);
		if (!leaf)
			continue;
		if (*key > last)
			return NULL;
		if (!writable || leaf->writable >> leaf_index(*key))
			return leaf;
		*key = (*key | VMO_LEAF_MASK) + 1;
	}
	return NULL;
}

/* Below @node, which starts at @base, at or before *@key. */
static struct vmo_leaf *descend_prev(struct vmo_node *node, pgoff_t base, pgoff_t *key)
{
	unsigned int level = node->level, i;
	struct vmo_leaf *leaf;
	struct vmo_node *child;
	pgoff_t start;

	vmo_count_visit();
	*key = min(*key, span_last(base, level));
	if (!level)
		return to_leaf(node);
	for (i = inner_index(level, *key) + 1; i--; ) {
		start = base + ((pgoff_t)i << span_shift(level - 1));
		child = slot_load(&to_inner(node)->slot[i]);
		leaf = child ? descend_prev(child, start, key) : NULL;
		if (leaf)
			return leaf;
		*key = start - 1;
	}
	return NULL;
}

struct vmo_leaf *vmo_tree_prev_leaf(const struct vmo_page_tree *tree, pgoff_t *key,
				    pgoff_t first)
{
	struct vmo_node *root = slot_load(&tree->root);
	struct vmo_leaf *leaf = root ? descend_prev(root, 0, key) : NULL;

	return leaf && *key >= first ? leaf : NULL;
}

/* ---- writable bits ----------------------------------------------------- */

void vmo_tree_mark_writable(struct vmo_path *path, pgoff_t key)
{
	struct vmo_leaf *leaf = path->leaf;
	bool first = !leaf->writable;
	unsigned int level;

	lockdep_assert_held(&leaf->lock);
	leaf->writable |= BIT_ULL(leaf_index(key));
	if (!first)
		return;		/* whoever set the first bit set the summaries */
	for (level = 1; level < VMO_TREE_LEVELS && path->inner[level]; level++)
		set_bit(inner_index(level, key), path->inner[level]->writable);
}

static void fold_node(struct vmo_inner *inner, pgoff_t base, pgoff_t first, pgoff_t last)
{
	unsigned int level = inner->node.level;
	unsigned int shift = span_shift(level - 1);
	unsigned int i;

	for_each_set_bit(i, inner->writable, VMO_INNER_SLOTS) {
		pgoff_t child = base + ((pgoff_t)i << shift);
		struct vmo_node *node = inner->slot[i];

		if (child > last || span_last(child, level - 1) < first)
			continue;
		vmo_count_visit();
		if (node && node->level)
			fold_node(to_inner(node), child, first, last);
		if (!node || !node_writable(node))
			clear_bit(i, inner->writable);
	}
}

void vmo_tree_fold_writable(struct vmo_page_tree *tree, pgoff_t first, pgoff_t last)
{
	if (tree->root && tree->root->level)
		fold_node(to_inner(tree->root), 0, first, last);
}

/* ---- owning a path ----------------------------------------------------- */

static void need_add(struct vmo_need *need, unsigned int level)
{
	if (level)
		need->inners++;
	else
		need->leaves++;
}

/* Counts the nodes to copy or to add on the way from @node down to @key. */
static void own_need_below(struct vmo_node *node, unsigned int level, pgoff_t key,
			   bool create, struct vmo_need *need)
{
	bool shared = false;

	for (;; level--) {
		if (!node && !create)
			return;
		/* What hangs below a shared node is shared once that is copied. */
		if (node && !vmo_refs_exclusive(&node->refs))
			shared = true;
		if (!node || shared)
			need_add(need, level);
		if (!level)
			return;
		if (node)
			node = slot_load(&to_inner(node)->slot[inner_index(level, key)]);
	}
}

void vmo_tree_own_need(const struct vmo_page_tree *tree, pgoff_t key, bool create,
		       struct vmo_need *need)
{
	struct vmo_node *root = slot_load(&tree->root);
	unsigned int level = level_for(key);

	memset(need, 0, sizeof(*need));
	if (root && key <= span_last(0, root->level)) {
		own_need_below(root, root->level, key, create, need);
	} else if (create) {
		if (root) {		/* levels above it; the branch starts below the top */
			need->inners += level - root->level;
			level--;
		}
		own_need_below(NULL, level, key, true, need);
	}
}

static struct vmo_node *copy_inner(struct vmo_inner *src, struct vmo_pool *pool)
{
	struct vmo_node *node = pool_inner(pool, src->node.level);
	struct vmo_inner *dst = to_inner(node);
	unsigned int i;

	for (i = 0; i < VMO_INNER_SLOTS; i++) {
		dst->slot[i] = slot_load(&src->slot[i]);
		if (dst->slot[i])
			refcount_inc(&dst->slot[i]->refs);
	}
	return node;
}

static struct vmo_node *copy_leaf(struct vmo_leaf *src, struct vmo_pool *pool)
{
	struct vmo_node *node = pool_leaf(pool);
	struct vmo_leaf *dst = to_leaf(node);
	unsigned int i;

	/* Under the lock of the source: another member may change it (compress). */
	spin_lock(&src->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		dst->slot[i] = src->slot[i];
		if (vmo_slot_page(dst->slot[i]))
			vmo_page_share(dst->slot[i]);
	}
	spin_unlock(&src->lock);
	return node;
}

/* Makes *@slot, a node of an owned parent, exclusive. */
static struct vmo_node *own_node(struct vmo_node **slot, struct vmo_pool *pool)
{
	struct vmo_node *node = *slot, *copy;

	if (vmo_refs_exclusive(&node->refs))
		return node;
	copy = node->level ? copy_inner(to_inner(node), pool) : copy_leaf(to_leaf(node), pool);
	*slot = copy;
	/*
	 * The others may have dropped theirs by now. Then this frees the node,
	 * but nothing below: the copy holds all of it.
	 */
	node_put(node);
	return copy;
}

/* Adds levels above the root until it covers @key. */
static void grow_root(struct vmo_page_tree *tree, pgoff_t key, struct vmo_pool *pool)
{
	while (tree->root && key > span_last(0, tree->root->level)) {
		struct vmo_node *top = pool_inner(pool, tree->root->level + 1);

		to_inner(top)->slot[0] = tree->root;
		/* Summaries of a shared root are empty, so this is not lost. */
		if (node_writable(tree->root))
			set_bit(0, to_inner(top)->writable);
		tree->root = top;
	}
}

/* The slot for the leaf of @key, below owned nodes. NULL if there is no such node. */
static struct vmo_node **own_leaf_slot(struct vmo_page_tree *tree, pgoff_t key, bool create,
				       struct vmo_pool *pool)
{
	struct vmo_node **slot = &tree->root;
	struct vmo_node *node;
	unsigned int level;

	if (create)
		grow_root(tree, key, pool);
	else if (!tree_top(tree, key))
		return NULL;
	level = tree->root ? tree->root->level : level_for(key);
	for (; level; level--) {
		vmo_count_visit();
		if (*slot)
			node = own_node(slot, pool);
		else if (create)
			*slot = node = pool_inner(pool, level);
		else
			return NULL;
		slot = &to_inner(node)->slot[inner_index(level, key)];
	}
	return slot;
}

struct vmo_leaf *vmo_tree_own(struct vmo_page_tree *tree, pgoff_t key, bool create,
			      struct vmo_pool *pool)
{
	struct vmo_node **slot = own_leaf_slot(tree, key, create, pool);

	if (!slot)
		return NULL;
	vmo_count_visit();
	if (*slot)
		return to_leaf(own_node(slot, pool));
	if (!create)
		return NULL;
	*slot = pool_leaf(pool);
	return to_leaf(*slot);
}

void vmo_tree_own_range_need(const struct vmo_page_tree *tree, pgoff_t first, pgoff_t last,
			     struct vmo_need *need)
{
	unsigned int level, top = level_for(last);
	struct vmo_node *root = tree->root;

	memset(need, 0, sizeof(*need));
	if (root && root->level > top)
		top = root->level;
	else if (root)
		need->inners = top - root->level;	/* above the root, for the key 0 */
	need->leaves = (last >> span_shift(0)) - (first >> span_shift(0)) + 1;
	for (level = 1; level <= top; level++)
		need->inners += (last >> span_shift(level)) - (first >> span_shift(level)) + 1;
}

void vmo_tree_detach_leaf(struct vmo_page_tree *tree, struct vmo_path *path, pgoff_t key)
{
	struct vmo_inner *up = path->inner[1];

	if (!up) {
		tree->root = NULL;
		return;
	}
	up->slot[inner_index(1, key)] = NULL;
	clear_bit(inner_index(1, key), up->writable);
}

void vmo_tree_attach_leaf(struct vmo_page_tree *tree, pgoff_t key, struct vmo_leaf *leaf,
			  struct vmo_pool *pool)
{
	*own_leaf_slot(tree, key, true, pool) = &leaf->node;
}

/* ---- sharing a window -------------------------------------------------- */

/**
 * struct window - the arguments of a walk over [@first, @last]
 * @first: first key
 * @last: last key
 * @pool: where nodes and pages come from
 * @need: for the walks that only count
 * @err: first failure
 */
struct window {
	pgoff_t first;
	pgoff_t last;
	struct vmo_pool *pool;
	struct vmo_need *need;
	int err;
};

static bool window_misses(const struct window *w, pgoff_t base, unsigned int level)
{
	return base > w->last || span_last(base, level) < w->first;
}

static bool window_covers(const struct window *w, pgoff_t base, unsigned int level)
{
	return w->first <= base && span_last(base, level) <= w->last;
}

/* The slots of an inner node that the window touches. */
static void window_slots(const struct window *w, pgoff_t base, unsigned int level,
			 unsigned int *from, unsigned int *to)
{
	*from = w->first > base ? inner_index(level, w->first) : 0;
	*to = w->last < span_last(base, level) ? inner_index(level, w->last) :
						 VMO_INNER_SLOTS - 1;
}

/* A copy, in place of a share, for a page that somebody may still write. */
static struct page *copy_held(struct window *w, struct page *page)
{
	struct page *copy = w->pool->page[--w->pool->pages];
	int err = vmo_page_copy(copy, page);

	if (err)
		w->err = err;
	return copy;
}

static struct vmo_node *share_leaf(struct window *w, struct vmo_leaf *src, pgoff_t base)
{
	struct vmo_node *node = pool_leaf(w->pool);
	u64 mask = vmo_leaf_bits(~0ULL, base, w->first, w->last);
	struct vmo_leaf *dst = to_leaf(node);
	struct page *page;
	unsigned int i;

	spin_lock(&src->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		if (!(mask & BIT_ULL(i)))
			continue;
		dst->slot[i] = src->slot[i];
		page = vmo_slot_page(dst->slot[i]);
		if (!page)
			continue;
		if (src->writable & BIT_ULL(i))
			dst->slot[i] = copy_held(w, page);
		else
			vmo_page_share(page);
	}
	spin_unlock(&src->lock);
	return node;
}

static struct vmo_node *share_node(struct window *w, struct vmo_node *src, pgoff_t base)
{
	unsigned int level = src->level;
	struct vmo_node *node;
	unsigned int i, to;

	vmo_count_visit();
	if (window_covers(w, base, level) && !node_writable(src)) {
		refcount_inc(&src->refs);
		return src;
	}
	if (!level)
		return share_leaf(w, to_leaf(src), base);
	node = pool_inner(w->pool, level);
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++) {
		struct vmo_node *child = to_inner(src)->slot[i];

		if (child)
			to_inner(node)->slot[i] = share_node(w, child, base +
					((pgoff_t)i << span_shift(level - 1)));
	}
	return node;
}

int vmo_tree_share(struct vmo_page_tree *dst, struct vmo_page_tree *src,
		   pgoff_t first, pgoff_t last, struct vmo_pool *pool)
{
	struct window w = { .first = first, .last = last, .pool = pool };

	if (src->root && !window_misses(&w, 0, src->root->level))
		dst->root = share_node(&w, src->root, 0);
	return w.err;
}

static void share_need(struct window *w, struct vmo_node *src, pgoff_t base)
{
	unsigned int level = src->level;
	unsigned int i, to;

	vmo_count_visit();
	if (window_covers(w, base, level) && !node_writable(src))
		return;
	need_add(w->need, level);
	if (!level) {
		w->need->pages += hweight64(vmo_leaf_bits(to_leaf(src)->writable, base,
							  w->first, w->last));
		return;
	}
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++) {
		struct vmo_node *child = to_inner(src)->slot[i];

		if (child)
			share_need(w, child, base + ((pgoff_t)i << span_shift(level - 1)));
	}
}

void vmo_tree_share_need(const struct vmo_page_tree *src, pgoff_t first, pgoff_t last,
			 struct vmo_need *need)
{
	struct window w = { .first = first, .last = last, .need = need };

	memset(need, 0, sizeof(*need));
	if (src->root && !window_misses(&w, 0, src->root->level))
		share_need(&w, src->root, 0);
}

/* ---- cutting a range --------------------------------------------------- */

static struct vmo_node *cut_leaf(struct window *w, struct vmo_leaf *src, pgoff_t base)
{
	struct vmo_node *node = pool_leaf(w->pool);
	u64 mask = vmo_leaf_bits(~0ULL, base, w->first, w->last);
	struct vmo_leaf *dst = to_leaf(node);
	unsigned int i;

	spin_lock(&src->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		if (!(mask & BIT_ULL(i)))
			continue;
		dst->slot[i] = src->slot[i];
		src->slot[i] = NULL;
	}
	dst->dirty = src->dirty & mask;
	dst->awaiting = src->awaiting & mask;
	dst->wanted = src->wanted & mask;
	src->writable &= ~mask;
	src->mine &= ~mask;
	src->dirty &= ~mask;
	src->awaiting &= ~mask;
	src->wanted &= ~mask;
	spin_unlock(&src->lock);
	return node;
}

/* Moves what the window covers out of *@slot, a slot of an owned parent. */
static struct vmo_node *cut_node(struct window *w, struct vmo_node **slot, pgoff_t base)
{
	struct vmo_node *node = *slot, *src;
	unsigned int level = node->level;
	unsigned int i, to;

	vmo_count_visit();
	if (window_covers(w, base, level)) {
		*slot = NULL;		/* the reference moves */
		return node;
	}
	src = own_node(slot, w->pool);
	if (!level)
		return cut_leaf(w, to_leaf(src), base);
	node = pool_inner(w->pool, level);
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++) {
		struct vmo_node **child = &to_inner(src)->slot[i];

		if (!*child)
			continue;
		to_inner(node)->slot[i] = cut_node(w, child, base +
				((pgoff_t)i << span_shift(level - 1)));
		if (!*child)
			clear_bit(i, to_inner(src)->writable);
	}
	return node;
}

void vmo_tree_cut(struct vmo_page_tree *dst, struct vmo_page_tree *src,
		  pgoff_t first, pgoff_t last, struct vmo_pool *pool)
{
	struct window w = { .first = first, .last = last, .pool = pool };

	if (src->root && !window_misses(&w, 0, src->root->level))
		dst->root = cut_node(&w, &src->root, 0);
}

static void cut_need(struct window *w, struct vmo_node *node, pgoff_t base, bool shared)
{
	unsigned int level = node->level;
	unsigned int i, to;

	vmo_count_visit();
	if (window_covers(w, base, level))
		return;
	need_add(w->need, level);
	shared |= !vmo_refs_exclusive(&node->refs);
	if (shared)
		need_add(w->need, level);
	if (!level)
		return;
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++) {
		struct vmo_node *child = to_inner(node)->slot[i];

		if (child)
			cut_need(w, child, base + ((pgoff_t)i << span_shift(level - 1)),
				 shared);
	}
}

void vmo_tree_cut_need(const struct vmo_page_tree *src, pgoff_t first, pgoff_t last,
		       struct vmo_need *need)
{
	struct window w = { .first = first, .last = last, .need = need };

	memset(need, 0, sizeof(*need));
	if (src->root && !window_misses(&w, 0, src->root->level))
		cut_need(&w, src->root, 0, false);
}

void vmo_tree_drop(struct vmo_page_tree *tree)
{
	struct vmo_node *root = tree->root;

	tree->root = NULL;
	if (root)
		node_put(root);
}

/* ---- usage ------------------------------------------------------------- */

/* Weights have 56 bits of fraction, so that a leaf's sum fits into 64. */
#define WEIGHT_SHIFT	56

static void usage_leaf(struct window *w, struct vmo_leaf *leaf, pgoff_t base, bool exclusive,
		       u64 weight, struct vmo_tally *usage)
{
	u64 mask = vmo_leaf_bits(~0ULL, base, w->first, w->last);
	unsigned int i;
	u64 sum = 0;

	spin_lock(&leaf->lock);
	for (i = 0; i < VMO_LEAF_SLOTS; i++) {
		struct page *page = vmo_slot_page(leaf->slot[i]);
		long shares;

		if (!page || !(mask & BIT_ULL(i)))
			continue;
		shares = vmo_page_shares(page);
		usage->pages++;
		usage->private += exclusive && shares == 1;
		usage->shared += !exclusive || shares != 1;
		sum += div64_u64(weight, shares);
	}
	spin_unlock(&leaf->lock);
	usage->scaled += sum >> (WEIGHT_SHIFT - 32);
	cond_resched();
}

static void usage_node(struct window *w, struct vmo_node *node, pgoff_t base, bool exclusive,
		       u64 weight, struct vmo_tally *usage)
{
	unsigned int level = node->level;
	unsigned int i, to;

	vmo_count_visit();
	exclusive = exclusive && vmo_refs_exclusive(&node->refs);
	weight = div64_u64(weight, refcount_read(&node->refs));
	if (!level) {
		usage->leaves++;
		usage_leaf(w, to_leaf(node), base, exclusive, weight, usage);
		return;
	}
	usage->inners++;
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++) {
		struct vmo_node *child = slot_load(&to_inner(node)->slot[i]);

		if (child)
			usage_node(w, child, base + ((pgoff_t)i << span_shift(level - 1)),
				   exclusive, weight, usage);
	}
}

void vmo_tree_usage(const struct vmo_page_tree *tree, pgoff_t first, pgoff_t last,
		    struct vmo_tally *usage)
{
	struct window w = { .first = first, .last = last };
	struct vmo_node *root = slot_load(&tree->root);

	if (root && !window_misses(&w, 0, root->level))
		usage_node(&w, root, 0, true, 1ULL << WEIGHT_SHIFT, usage);
}

/* ---- difference -------------------------------------------------------- */

/**
 * struct diff - the state of a comparison
 * @w: the range compared
 * @from: start of the run that is being collected
 * @to: its end, inclusive
 * @open: there is such a run
 * @leaves: how many more leaves may be looked at
 * @stop: where it ended early
 * @fn: who is told of a finished run
 * @arg: for @fn
 */
struct diff {
	struct window w;
	pgoff_t from;
	pgoff_t to;
	bool open;
	unsigned int leaves;
	pgoff_t stop;
	vmo_range_fn fn;
	void *arg;
};

/* False: no more, and @stop says where. */
static bool diff_flush(struct diff *d)
{
	if (!d->open)
		return true;
	d->open = false;
	if (d->fn(d->from, d->to, d->arg))
		return true;
	d->stop = d->from;
	return false;
}

static bool diff_add(struct diff *d, pgoff_t key)
{
	if (d->open && d->to + 1 == key) {
		d->to = key;
		return true;
	}
	if (!diff_flush(d))
		return false;
	d->from = key;
	d->to = key;
	d->open = true;
	return true;
}

/* The slots in which two leaves differ. */
static u64 diff_slots(struct vmo_leaf *a, struct vmo_leaf *b)
{
	struct vmo_leaf *lo = a < b ? a : b, *hi = a < b ? b : a;
	unsigned int i;
	u64 mask = 0;

	spin_lock(&lo->lock);
	spin_lock_nested(&hi->lock, SINGLE_DEPTH_NESTING);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (vmo_slot_page(a->slot[i]) != vmo_slot_page(b->slot[i]))
			mask |= BIT_ULL(i);
	spin_unlock(&hi->lock);
	spin_unlock(&lo->lock);
	return mask;
}

/* With a reference; NULL for a hole, or if there is no leaf. */
static struct page *leaf_get_page(struct vmo_node *leaf, unsigned int slot)
{
	struct page *page;

	if (!leaf)
		return NULL;
	spin_lock(&to_leaf(leaf)->lock);
	page = vmo_slot_page(to_leaf(leaf)->slot[slot]);
	if (page)
		vmo_page_get(page);
	spin_unlock(&to_leaf(leaf)->lock);
	return page;
}

/* Do the bytes differ, now? What was copied need not. */
static bool bytes_differ(struct vmo_node *a, struct vmo_node *b, unsigned int slot)
{
	struct page *pa = leaf_get_page(a, slot), *pb = leaf_get_page(b, slot);
	bool differ = pa != pb && !vmo_page_same(pa, pb);

	if (pa)
		vmo_page_put(pa);
	if (pb)
		vmo_page_put(pb);
	return differ;
}

/* Either may be missing. */
static bool diff_leaves(struct diff *d, struct vmo_node *a, struct vmo_node *b, pgoff_t base)
{
	unsigned int i;
	u64 mask;

	if (!d->leaves) {
		d->stop = max(base, d->w.first);
		return false;
	}
	d->leaves--;
	if (a && b)
		mask = diff_slots(to_leaf(a), to_leaf(b));
	else
		mask = vmo_leaf_pages(to_leaf(a ? a : b));

	mask = vmo_leaf_bits(mask, base, d->w.first, d->w.last);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i) && bytes_differ(a, b, i) && !diff_add(d, base + i))
			return false;
	cond_resched();
	return true;
}

/* The child in slot @i of a node of @level; a lower root stands in slot 0. */
static struct vmo_node *diff_child(struct vmo_node *node, unsigned int level, unsigned int i)
{
	if (!node)
		return NULL;
	if (node->level < level)
		return i ? NULL : node;
	return slot_load(&to_inner(node)->slot[i]);
}

static bool diff_nodes(struct diff *d, struct vmo_node *a, struct vmo_node *b,
		       unsigned int level, pgoff_t base)
{
	unsigned int i, to;

	if (a == b)
		return true;
	vmo_count_visit();
	if (!level)
		return diff_leaves(d, a, b, base);
	window_slots(&d->w, base, level, &i, &to);
	for (; i <= to; i++)
		if (!diff_nodes(d, diff_child(a, level, i), diff_child(b, level, i), level - 1,
				base + ((pgoff_t)i << span_shift(level - 1))))
			return false;
	return true;
}

void vmo_tree_diff(const struct vmo_page_tree *a, const struct vmo_page_tree *b,
		   pgoff_t *first, pgoff_t last, unsigned int leaves, vmo_range_fn fn,
		   void *arg)
{
	struct diff d = {
		.w = { .first = *first, .last = last }, .leaves = leaves, .stop = last + 1,
		.fn = fn, .arg = arg,
	};
	struct vmo_node *ra = slot_load(&a->root), *rb = slot_load(&b->root);
	unsigned int level = max(ra ? ra->level : 0, rb ? rb->level : 0);

	if (!window_misses(&d.w, 0, level))
		diff_nodes(&d, ra, rb, level, 0);
	diff_flush(&d);
	*first = d.stop;
}

/* ---- what is the same -------------------------------------------------- */

static void same_leaves(struct window *w, struct vmo_node *a, struct vmo_node *b, pgoff_t base,
			unsigned long *bitmap)
{
	u64 mask = ~(vmo_leaf_pages(to_leaf(a)) & diff_slots(to_leaf(a), to_leaf(b)));
	unsigned int i;

	mask = vmo_leaf_bits(mask, base, w->first, w->last);
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i))
			set_bit(base + i - w->first, bitmap);
	cond_resched();
}

static void same_nodes(struct window *w, struct vmo_node *a, struct vmo_node *b,
		       unsigned int level, pgoff_t base, unsigned long *bitmap)
{
	pgoff_t from = max(base, w->first), last = min(span_last(base, level), w->last);
	unsigned int i, to;

	if (!a || !b)
		return;
	/* In a large family all but a few are known after the first look. */
	if (find_next_zero_bit(bitmap, last - w->first + 1, from - w->first) > last - w->first)
		return;
	vmo_count_visit();
	if (a == b) {
		bitmap_set(bitmap, from - w->first, last - from + 1);
		return;
	}
	if (!level) {
		same_leaves(w, a, b, base, bitmap);
		return;
	}
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++)
		same_nodes(w, diff_child(a, level, i), diff_child(b, level, i), level - 1,
			   base + ((pgoff_t)i << span_shift(level - 1)), bitmap);
}

void vmo_tree_same(const struct vmo_page_tree *a, const struct vmo_page_tree *b,
		   pgoff_t first, pgoff_t last, unsigned long *bitmap)
{
	struct vmo_node *ra = slot_load(&a->root), *rb = slot_load(&b->root);
	unsigned int level = max(ra ? ra->level : 0, rb ? rb->level : 0);
	struct window w = { .first = first, .last = last };

	if (!window_misses(&w, 0, level))
		same_nodes(&w, ra, rb, level, 0, bitmap);
}

/* ---- a tree and its base ----------------------------------------------- */

void vmo_tree_clone(struct vmo_page_tree *dst, const struct vmo_page_tree *src)
{
	dst->root = src->root;
	if (dst->root)
		refcount_inc(&dst->root->refs);
}

/**
 * struct side - a node of one of two trees that belong together
 * @node: NULL for none
 * @ours: nobody else reaches what is above it
 */
struct side {
	struct vmo_node *node;
	bool ours;
};

static struct page *side_page(const struct side *s, unsigned int i)
{
	return s->node ? vmo_slot_page(to_leaf(s->node)->slot[i]) : NULL;
}

static void private_slot(const struct side *a, const struct side *b, unsigned int i,
			 struct vmo_tally *tally)
{
	struct page *pa = side_page(a, i), *pb = side_page(b, i);

	if (pa && pa == pb) {
		/* One leaf has one share of it, two have two. */
		long ours = a->node == b->node ? 1 : 2;
		bool alone = a->ours && b->ours && vmo_page_shares(pa) == ours;

		tally->private += alone;
		tally->shared += !alone;
		return;
	}
	if (pa) {
		bool alone = a->ours && vmo_page_shares(pa) == 1;

		tally->private += alone;
		tally->shared += !alone;
	}
	if (pb)
		tally->private += b->ours && vmo_page_shares(pb) == 1;
}

static void private_slots(const struct side *a, const struct side *b, u64 mask,
			  struct vmo_tally *tally)
{
	unsigned int i;

	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i))
			private_slot(a, b, i, tally);
}

static void private_leaves(struct window *w, const struct side *a, const struct side *b,
			   pgoff_t base, struct vmo_tally *tally)
{
	struct vmo_leaf *lo = to_leaf(a->node ? a->node : b->node);
	struct vmo_leaf *hi = to_leaf(b->node ? b->node : a->node);
	u64 mask = vmo_leaf_bits(~0ULL, base, w->first, w->last);

	if (hi < lo)
		swap(lo, hi);
	if (hi == lo) {
		spin_lock(&lo->lock);
		private_slots(a, b, mask, tally);
		spin_unlock(&lo->lock);
	} else {
		spin_lock(&lo->lock);
		spin_lock_nested(&hi->lock, SINGLE_DEPTH_NESTING);
		private_slots(a, b, mask, tally);
		spin_unlock(&hi->lock);
		spin_unlock(&lo->lock);
	}
	cond_resched();
}

/*
 * How many of the references to a node are ours: from each tree one, unless above it
 * the two are one already.
 */
static void take_refs(struct side *a, struct side *b, bool one)
{
	int ours = a->node == b->node && !one ? 2 : 1;

	if (a->node)
		a->ours = a->ours && refcount_read(&a->node->refs) == ours;
	if (b->node)
		b->ours = b->ours && refcount_read(&b->node->refs) == ours;
}

static void private_nodes(struct window *w, struct side a, struct side b, bool one,
			  unsigned int level, pgoff_t base, struct vmo_tally *tally)
{
	unsigned int i, to;

	if (!a.node && !b.node)
		return;
	vmo_count_visit();
	/* A lower root stands for itself further down. */
	if ((!a.node || a.node->level == level) && (!b.node || b.node->level == level))
		take_refs(&a, &b, one);
	else if (a.node && a.node->level == level)
		take_refs(&a, &(struct side){ }, false);
	else if (b.node && b.node->level == level)
		take_refs(&(struct side){ }, &b, false);
	if (!level) {
		private_leaves(w, &a, &b, base, tally);
		return;
	}
	one = a.node == b.node;
	window_slots(w, base, level, &i, &to);
	for (; i <= to; i++)
		private_nodes(w, (struct side){ diff_child(a.node, level, i), a.ours },
			      (struct side){ diff_child(b.node, level, i), b.ours }, one,
			      level - 1, base + ((pgoff_t)i << span_shift(level - 1)), tally);
}

void vmo_tree_usage_both(const struct vmo_page_tree *tree, const struct vmo_page_tree *base,
			 pgoff_t first, pgoff_t last, struct vmo_tally *tally)
{
	struct vmo_node *ra = slot_load(&tree->root), *rb = slot_load(&base->root);
	unsigned int level = max(ra ? ra->level : 0, rb ? rb->level : 0);
	struct window w = { .first = first, .last = last };
	struct vmo_tally both = { }, of_base = { };

	vmo_tree_usage(tree, first, last, tally);
	vmo_tree_usage(base, first, last, &of_base);
	tally->scaled += of_base.scaled;
	tally->shared = 0;
	tally->private = 0;
	if (!window_misses(&w, 0, level))
		private_nodes(&w, (struct side){ ra, true }, (struct side){ rb, true }, false,
			      level, 0, &both);
	tally->shared = both.shared;
	tally->private = both.private;
}

/**
 * struct back - the state of a walk that makes one tree as another is
 * @epoch: whose *mine* tells what was written since the two were alike
 * @keep: how many more pages may be kept
 */
struct back {
	u64 epoch;
	unsigned long keep;
};

/* What @leaf has in its place, with a share for the caller. */
static void *slot_share(struct vmo_leaf *leaf, unsigned int i)
{
	void *slot;

	spin_lock(&leaf->lock);
	slot = leaf->slot[i];
	if (vmo_slot_page(slot))
		vmo_page_share(slot);
	spin_unlock(&leaf->lock);
	return slot;
}

/* Whether @page, which no PTE shows any more, has the bytes of @from now. */
static bool page_back(struct page *page, struct page *from)
{
	return page && from && vmo_page_shares(page) == 1 && !vmo_page_held(page, 0) &&
	       !vmo_page_poisoned(page) && !vmo_page_copy(page, from);
}

/* True if the page of ours stays. */
static bool slot_back(struct vmo_leaf *leaf, struct vmo_leaf *base, unsigned int i, bool keep)
{
	void *slot = slot_share(base, i), *old = leaf->slot[i];

	keep = keep && page_back(vmo_slot_page(old), vmo_slot_page(slot));
	if (!keep) {
		spin_lock(&leaf->lock);
		leaf->slot[i] = slot;
		spin_unlock(&leaf->lock);
	}
	slot = vmo_slot_page(keep ? slot : old);
	if (slot)
		vmo_page_unshare(slot);
	return keep;
}

/*
 * What was written since the last time will be written again, most likely: its page
 * stays, and is written over, which saves its next writer a page, a copy, and often a
 * leaf. The rest goes. True if any page stays; else @leaf is good for nothing more.
 */
static bool leaf_back(struct back *back, struct vmo_leaf *leaf, struct vmo_leaf *base)
{
	u64 keep = leaf->writable | (leaf->epoch == back->epoch ? leaf->mine : 0), kept = 0;
	unsigned int i;
	u64 mask = keep ? diff_slots(leaf, base) : 0;

	if (!(keep & mask))
		return false;
	for (i = 0; i < VMO_LEAF_SLOTS; i++)
		if (mask & BIT_ULL(i) &&
		    slot_back(leaf, base, i, keep & BIT_ULL(i) && hweight64(kept) < back->keep))
			kept |= BIT_ULL(i);
	back->keep -= hweight64(kept);
	spin_lock(&leaf->lock);
	leaf->writable = 0;
	spin_unlock(&leaf->lock);
	cond_resched();
	return kept;
}

static struct vmo_node *node_back(struct back *back, struct vmo_node *node,
				  struct vmo_node *base);

static bool inner_back(struct back *back, struct vmo_inner *inner, struct vmo_inner *base)
{
	struct vmo_node *child, *of_base;
	bool kept = false;
	unsigned int i;

	for (i = 0; i < VMO_INNER_SLOTS; i++) {
		child = inner->slot[i];
		of_base = slot_load(&base->slot[i]);
		if (child == of_base)
			continue;
		inner->slot[i] = node_back(back, child, of_base);
		kept |= inner->slot[i] != of_base;
	}
	return kept;
}

/* Takes the reference to @node, and returns what stands there, with one. */
static struct vmo_node *node_back(struct back *back, struct vmo_node *node,
				  struct vmo_node *base)
{
	vmo_count_visit();
	if (node && base && node->level == base->level && vmo_refs_exclusive(&node->refs) &&
	    (node->level ? inner_back(back, to_inner(node), to_inner(base)) :
			   leaf_back(back, to_leaf(node), to_leaf(base))))
		return node;
	if (base)
		refcount_inc(&base->refs);
	if (node)
		node_put(node);
	return base;
}

void vmo_tree_rewind(struct vmo_page_tree *tree, const struct vmo_page_tree *base, u64 epoch)
{
	struct back back = { .epoch = epoch, .keep = VMO_REWIND_KEEP };

	if (tree->root == base->root)
		return;
	tree->root = node_back(&back, tree->root, base->root);
	vmo_tree_fold_writable(tree, 0, VMO_KEY_MAX);
}

/**
 * struct changes - the state of a walk over what differs
 * @w: the range
 * @fn: who is told
 * @arg: for @fn
 */
struct changes {
	struct window w;
	vmo_change_fn fn;
	void *arg;
};

static void change_nodes(struct changes *c, struct vmo_node *a, struct vmo_node *b,
			 unsigned int level, pgoff_t base)
{
	unsigned int i, to;
	u64 mask;

	vmo_count_visit();
	if (!level) {
		mask = a && b ? diff_slots(to_leaf(a), to_leaf(b)) :
				vmo_leaf_pages(to_leaf(a ? a : b));
		mask = vmo_leaf_bits(mask, base, c->w.first, c->w.last);
		if (mask)
			c->fn(a ? to_leaf(a) : NULL, base, mask, c->arg);
		cond_resched();
		return;
	}
	window_slots(&c->w, base, level, &i, &to);
	for (; i <= to; i++) {
		struct vmo_node *ca = diff_child(a, level, i), *cb = diff_child(b, level, i);

		if (ca != cb)
			change_nodes(c, ca, cb, level - 1,
				     base + ((pgoff_t)i << span_shift(level - 1)));
	}
}

void vmo_tree_changes(const struct vmo_page_tree *tree, const struct vmo_page_tree *base,
		      pgoff_t first, pgoff_t last, vmo_change_fn fn, void *arg)
{
	struct vmo_node *ra = slot_load(&tree->root), *rb = slot_load(&base->root);
	unsigned int level = max(ra ? ra->level : 0, rb ? rb->level : 0);
	struct changes c = { .w = { .first = first, .last = last }, .fn = fn, .arg = arg };

	if (ra != rb && !window_misses(&c.w, 0, level))
		change_nodes(&c, ra, rb, level, 0);
}
