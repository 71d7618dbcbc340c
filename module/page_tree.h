/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A persistent radix tree of pages (layer L1).
 *
 * Keys are page indices. Every node counts the references to it: one from each
 * parent slot or tree root that points to it. A node that is reached from more
 * than one place is *shared* and immutable in meaning; to change a slot, a tree
 * first *owns* the path to it, copying every shared node on the way. So a
 * snapshot is one reference on the root, a look-up descends one tree, and what
 * a dead member of the family leaves behind is exclusive again by itself.
 *
 * All trees of a family use one key space and nodes cover the same aligned
 * ranges in each, so equal pointers mean equal content.
 *
 * Vocabulary: *first* and *last* are inclusive keys. *Exclusive* means that
 * every node from the root down has one reference. Only the tree that reaches
 * a node exclusively changes it.
 *
 * Locking. The user of a tree provides a lock that covers its structure (the
 * content lock of cow_pages.h):
 *  - held shared: look-ups; hanging new nodes into empty slots of exclusive
 *    parents (by cmpxchg); changing slots of exclusive leaves;
 *  - held exclusive: everything that replaces or removes nodes.
 * A leaf's lock covers its slots and bitmaps. Other trees may copy from a
 * shared leaf at the same time, so a slot is read, and its page referenced,
 * under the leaf's lock always. Nothing sleeps under it.
 */
#ifndef VMO_PAGE_TREE_H
#define VMO_PAGE_TREE_H

#include "engine.h"

/*
 * 32 slots: a page written alone in its leaf after a snapshot costs 174 cache
 * misses instead of 212 with 64, and 38 instead of 73 to drop, since each copy
 * of a leaf touches a share count for each slot; pages written together cost
 * the same (make -C bench fanout, docs/performance.md).
 */
#ifndef VMO_LEAF_SHIFT
#define VMO_LEAF_SHIFT	5
#endif
#define VMO_LEAF_SLOTS	(1U << VMO_LEAF_SHIFT)
#define VMO_LEAF_MASK	(VMO_LEAF_SLOTS - 1UL)
#define VMO_INNER_SHIFT	6
#define VMO_INNER_SLOTS	(1U << VMO_INNER_SHIFT)
/* The highest level that a key of 52 bits needs, plus one for the leaves. */
#define VMO_TREE_LEVELS	((52 - VMO_LEAF_SHIFT + VMO_INNER_SHIFT - 1) / VMO_INNER_SHIFT + 1)
#define VMO_KEY_MAX	((1UL << 52) - 1)

/*
 * What a leaf slot holds: NULL, a page, or the marker. The low bits of a page
 * pointer are free for later kinds.
 */
#define VMO_MARKER	((void *)1UL)

static inline struct page *vmo_slot_page(void *slot)
{
	return slot == VMO_MARKER ? NULL : slot;
}

/**
 * struct vmo_node - the common head of inner nodes and leaves
 * @refs: parent slots and roots that point here
 * @level: 0 for a leaf; immutable
 */
struct vmo_node {
	refcount_t refs;
	unsigned int level;
};

/**
 * struct vmo_inner - a node with nodes below it
 * @node: head
 * @writable: summary; set if a leaf below may have writable bits. Set by
 *	set_bit() under the structure lock held shared, cleared only under it
 *	held exclusive. May be set needlessly, never clear wrongly. Empty in a
 *	shared node.
 * @slot: children, each with a reference of ours. NULL becomes a node by
 *	cmpxchg (structure lock shared); all else with the lock exclusive.
 * @next: link in a pool of unused nodes
 */
struct vmo_inner {
	struct vmo_node node;
	DECLARE_BITMAP(writable, VMO_INNER_SLOTS);
	union {
		struct vmo_node *slot[VMO_INNER_SLOTS];
		struct list_head next;
	};
};

/**
 * struct vmo_leaf - a node with pages
 * @node: head
 * @lock: covers all below; leaf lock, the innermost of all
 * @epoch: the content epoch in which @mine is valid
 * @writable: pages that may be written without asking us, by a PTE or by a
 *	device. Bits only in exclusive leaves, where they mean *ours* as well.
 * @mine: pages that were allocated, or checked to be ours, in @epoch
 * @dirty: of contents with a source: slots that its server does not know. A page, or
 *	the marker.
 * @awaiting: those that its server is writing back. With @dirty, too: written since.
 * @wanted: those of which somebody waits for what they hold, or held, to be known
 * @slot: NULL, VMO_MARKER or a page, of which the slot owns one share
 * @next: link in a pool of unused nodes
 */
struct vmo_leaf {
	struct vmo_node node;
	spinlock_t lock;	/* innermost; covers all below */
	u64 epoch;
	u64 writable;
	u64 mine;
	u64 dirty;
	u64 awaiting;
	u64 wanted;
	union {
		void *slot[VMO_LEAF_SLOTS];
		struct list_head next;
	};
};

/* Those of @bits, of a leaf that starts at @base, whose keys are in [@first, @last]. */
static inline u64 vmo_leaf_bits(u64 bits, pgoff_t base, pgoff_t first, pgoff_t last)
{
	unsigned int from = first > base ? first - base : 0;
	unsigned int to = min_t(pgoff_t, last - base, VMO_LEAF_SLOTS - 1);

	return bits & GENMASK_ULL(to, from);
}

/**
 * struct vmo_page_tree - a root
 * @root: NULL for an empty tree, else the top node with a reference of ours.
 *	It covers the keys below 1 << (VMO_LEAF_SHIFT + level * VMO_INNER_SHIFT).
 */
struct vmo_page_tree {
	struct vmo_node *root;
};

/**
 * struct vmo_pool - nodes and pages allocated before a lock is taken
 * @inner: unused inner nodes
 * @leaf: unused leaves
 * @page: unused pages, not zeroed, unlocked, with one share each
 * @inners: number on @inner
 * @leaves: number on @leaf
 * @pages: number in @page
 * @room: size of @page
 * @flags: VMO_ALLOC_FAULT or 0
 *
 * Belongs to one call; no locking.
 */
struct vmo_pool {
	struct list_head inner;
	struct list_head leaf;
	struct page **page;
	unsigned long inners;
	unsigned long leaves;
	unsigned long pages;
	unsigned long room;
	unsigned int flags;
};

/**
 * struct vmo_need - how much of a pool a change of structure will use
 * @inners: inner nodes
 * @leaves: leaves
 * @pages: pages
 */
struct vmo_need {
	unsigned long inners;
	unsigned long leaves;
	unsigned long pages;
};

void vmo_pool_init(struct vmo_pool *pool, unsigned int flags);
/* Raises @pool to at least @need. Sleeps. -ENOMEM, also if killed, leaves what it got. */
int vmo_pool_fill(struct vmo_pool *pool, const struct vmo_need *need);
bool vmo_pool_has(const struct vmo_pool *pool, const struct vmo_need *need);
void vmo_pool_drain(struct vmo_pool *pool);

/**
 * struct vmo_path - the way from a root to a key
 * @inner: the inner node of each level, NULL above the root and below the end
 * @leaf: the leaf, or NULL if there is none for the key
 * @exclusive: every node met has one reference
 */
struct vmo_path {
	struct vmo_inner *inner[VMO_TREE_LEVELS];
	struct vmo_leaf *leaf;
	bool exclusive;
};

/* Walks from the root towards @key. Lock: shared. Returns path->leaf. */
struct vmo_leaf *vmo_tree_find(const struct vmo_page_tree *tree, pgoff_t key,
			       struct vmo_path *path);

/*
 * The page at @key with a reference for the caller, or NULL. Lock: shared.
 */
struct page *vmo_tree_get_page(const struct vmo_page_tree *tree, pgoff_t key);

/* The slots of @leaf that hold pages, as a mask. Takes the leaf's lock. */
u64 vmo_leaf_pages(struct vmo_leaf *leaf);

/* Is @page (or, if NULL, no page) at @key? Lock: shared. */
bool vmo_tree_has_page(const struct vmo_page_tree *tree, pgoff_t key, struct page *page);

/* Is there neither a page nor the marker at @key? Lock: shared. */
bool vmo_tree_is_empty(const struct vmo_page_tree *tree, pgoff_t key);

/*
 * Hangs the nodes that @key still lacks below exclusive parents. Lock: shared.
 * 0 and path->leaf if there is an exclusive leaf now; -EAGAIN if a node is
 * shared or the root too low, so that vmo_tree_own() is needed; -ENOMEM.
 * @flags: VMO_ALLOC_FAULT or 0.
 */
int vmo_tree_hang(struct vmo_page_tree *tree, pgoff_t key, unsigned int flags,
		  struct vmo_path *path);

/*
 * What vmo_tree_own() will take from the pool. Lock: shared is enough for a
 * guess, exclusive for the truth.
 */
void vmo_tree_own_need(const struct vmo_page_tree *tree, pgoff_t key, bool create,
		       struct vmo_need *need);

/*
 * Makes the path to @key exclusive by copying its shared nodes and, with
 * @create, adding the missing ones. Lock: exclusive. @pool has what
 * vmo_tree_own_need() said; cannot fail. Returns the leaf, NULL if there is
 * none and none was to be made.
 */
struct vmo_leaf *vmo_tree_own(struct vmo_page_tree *tree, pgoff_t key, bool create,
			      struct vmo_pool *pool);

/*
 * The first leaf that overlaps [*@key, @last]; raises *@key to where it starts
 * overlapping. With @writable only leaves that have writable bits, found
 * through the summaries. Skips gaps in O(height). Lock: shared; exclusive if
 * @writable, so that the summaries stand still. NULL at the end.
 */
struct vmo_leaf *vmo_tree_next_leaf(const struct vmo_page_tree *tree, pgoff_t *key,
				    pgoff_t last, bool writable);

/*
 * The last leaf that overlaps [@first, *@key]; lowers *@key to where it ends
 * overlapping. Otherwise as vmo_tree_next_leaf().
 */
struct vmo_leaf *vmo_tree_prev_leaf(const struct vmo_page_tree *tree, pgoff_t *key,
				    pgoff_t first);

/* No less than what owning, one after another, the keys of [@first, @last] takes. */
void vmo_tree_own_range_need(const struct vmo_page_tree *tree, pgoff_t first, pgoff_t last,
			     struct vmo_need *need);

/*
 * Takes the leaf of @path out of @tree, which reaches it exclusively, and hangs it in
 * at @key, where there is none and a leaf starts. Its reference goes along. Lock:
 * exclusive. @pool as for vmo_tree_own().
 */
void vmo_tree_detach_leaf(struct vmo_page_tree *tree, struct vmo_path *path, pgoff_t key);
void vmo_tree_attach_leaf(struct vmo_page_tree *tree, pgoff_t key, struct vmo_leaf *leaf,
			  struct vmo_pool *pool);

/*
 * Marks the page at @slot of path->leaf writable, here and in the summaries.
 * Lock: shared, and the leaf's lock. The path is exclusive.
 */
void vmo_tree_mark_writable(struct vmo_path *path, pgoff_t key);

/*
 * Makes the summaries of [@first, @last] exact after bits of leaves were
 * cleared. Lock: exclusive.
 */
void vmo_tree_fold_writable(struct vmo_page_tree *tree, pgoff_t first, pgoff_t last);

/*
 * vmo_tree_share - let @dst, an empty tree, have [@first, @last] of @src
 *
 * Nodes wholly inside are shared; the two boundary paths are copied. A page
 * whose writable bit is set is not shared: its leaf and the nodes above stay
 * exclusive to @src, and @dst gets a copy of the page from the pool. Lock:
 * exclusive (of @src). @pool has what vmo_tree_share_need() said. 0, or -EIO
 * if a copy hit bad memory; then @dst is incomplete and has to be dropped.
 */
int vmo_tree_share(struct vmo_page_tree *dst, struct vmo_page_tree *src,
		   pgoff_t first, pgoff_t last, struct vmo_pool *pool);
void vmo_tree_share_need(const struct vmo_page_tree *src, pgoff_t first, pgoff_t last,
			 struct vmo_need *need);

/*
 * vmo_tree_cut - move [@first, @last] of @src to @dst, an empty tree
 *
 * What @src gave up stays alive in @dst until the caller has revoked it.
 * Writable bits move with nodes and are dropped with slots. Lock: exclusive.
 * Cannot fail; @pool has what vmo_tree_cut_need() said.
 */
void vmo_tree_cut(struct vmo_page_tree *dst, struct vmo_page_tree *src,
		  pgoff_t first, pgoff_t last, struct vmo_pool *pool);
void vmo_tree_cut_need(const struct vmo_page_tree *src, pgoff_t first, pgoff_t last,
		       struct vmo_need *need);

/* Drops a tree: iterative, no allocation, yields. No lock; may lock pages. */
void vmo_tree_drop(struct vmo_page_tree *tree);

/**
 * struct vmo_tally - what one tree holds, or a content, which may have two
 * @pages: pages, own or shared, that are read
 * @shared: of these, pages that others reach
 * @private: pages that nobody else reaches, read or not
 * @scaled: pages divided at every sharing point, in 2^-32 of a page, rounded
 *	down at each division
 * @inners: inner nodes that this tree reaches
 * @leaves: leaves that it reaches
 */
struct vmo_tally {
	u64 pages;
	u64 shared;
	u64 private;
	u64 scaled;
	u64 inners;
	u64 leaves;
};

/* Adds what [@first, @last] of @tree holds to @usage. Lock: shared. */
void vmo_tree_usage(const struct vmo_page_tree *tree, pgoff_t first, pgoff_t last,
		    struct vmo_tally *usage);

/*
 * Sets the bits, counted from @first, of the keys in [@first, @last] that have the same
 * page in both trees. Those of holes of @a may be set, too. What is set already is not
 * looked at. Locks: shared, of both.
 */
void vmo_tree_same(const struct vmo_page_tree *a, const struct vmo_page_tree *b,
		   pgoff_t first, pgoff_t last, unsigned long *bitmap);

/*
 * What [@first, @last] of @tree and of @base holds together: nodes and pages that only
 * the two of them reach are private. Pages and shared are of @tree. Lock: shared, of the
 * one content that has both.
 */
void vmo_tree_usage_both(const struct vmo_page_tree *tree, const struct vmo_page_tree *base,
			 pgoff_t first, pgoff_t last, struct vmo_tally *tally);

/*
 * Slots of a leaf of @tree that are not as in @base: @mask of those from key @start on.
 * @leaf is NULL where @tree has none. May sleep.
 */
typedef void (*vmo_change_fn)(struct vmo_leaf *leaf, pgoff_t start, u64 mask, void *arg);

/* Calls @fn, in key order, for what differs by pages. Lock: shared. */
void vmo_tree_changes(const struct vmo_page_tree *tree, const struct vmo_page_tree *base,
		      pgoff_t first, pgoff_t last, vmo_change_fn fn, void *arg);

/* So many pages stay where they are, so that what an idle tree holds is bounded. */
#define VMO_REWIND_KEEP	4096UL

/*
 * vmo_tree_rewind - make @tree as @base is, of which it once was a clone
 *
 * Pages that only @tree has, and that were written since @epoch began, stay and get the
 * bytes of @base's, up to VMO_REWIND_KEEP of them; all else is shared with @base again.
 * No PTE shows any key that differs. Writable bits are gone afterwards. Lock: exclusive.
 * Cannot fail; may sleep.
 */
void vmo_tree_rewind(struct vmo_page_tree *tree, const struct vmo_page_tree *base, u64 epoch);

/* Lets @dst, an empty tree, have all of @src, node for node. Lock: shared, of @src. */
void vmo_tree_clone(struct vmo_page_tree *dst, const struct vmo_page_tree *src);

/* A range that differs. False stops the walk in front of @first. */
typedef bool (*vmo_range_fn)(pgoff_t first, pgoff_t last, void *arg);

/*
 * Calls @fn, in key order, for ranges of [*@first, @last] in which the two trees hold
 * pages of different bytes, or one holds a page that is not all zeroes and the other
 * none. Equal nodes are skipped. Ends after @leaves leaves that are not equal, and
 * raises *@first to where it ended: past @last at the end. A range goes on in the next
 * call, if it has to. Locks: shared, of both.
 */
void vmo_tree_diff(const struct vmo_page_tree *a, const struct vmo_page_tree *b,
		   pgoff_t *first, pgoff_t last, unsigned int leaves, vmo_range_fn fn,
		   void *arg);

#endif
