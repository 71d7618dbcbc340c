/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One memory content: a page tree, its limits, and the protocol by which
 * pages are handed out and taken back (layer L1).
 *
 * Several objects (slices, references) may hold one content; a snapshot makes
 * a new one that shares nodes with it. The engine knows nothing of mappings:
 * whoever provides them gives &struct vmo_cow_ops, and promises that a page
 * which is handed out *locked* stays locked until its PTE is in place.
 *
 * Lock order: content lock -> page lock -> leaf lock. Who holds a page lock
 * never takes a content lock. Two content locks are never held at once here.
 */
#ifndef VMO_COW_PAGES_H
#define VMO_COW_PAGES_H

#include "engine.h"
#include "page_source.h"
#include "page_tree.h"

struct vmo_cow_pages;

/**
 * struct vmo_watch - somebody who wants to know which pages are written
 * @link: in the content's list; content lock
 * @set: keys that were written since they were reported last; content lock
 *
 * Any number of them, up to VMO_WATCHES_MAX of one content, have sets of their own.
 */
struct vmo_watch {
	struct list_head link;
	struct vmo_page_tree set;
};

#define VMO_WATCHES_MAX	64U

/**
 * struct vmo_cow_ops - how to take back what was handed out
 * @unmap: remove every PTE of the keys; with @even_cows also what private
 *	mappings copied from them. Content lock held, either way; page locks
 *	may be held.
 * @clean: make every dirty PTE of the keys clean, and set its bit, counted from @first;
 *	or mark the page, as who takes a dirty PTE away does. After that nobody writes
 *	without one of the two marks. Content lock exclusive.
 */
struct vmo_cow_ops {
	void (*unmap)(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool even_cows);
	void (*clean)(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		      unsigned long *dirty);
};

/**
 * struct vmo_cow_pages - a content
 * @lock: the content lock. Shared: look-ups, faults, filling and owning
 *	single slots. Exclusive: the structure of @tree, @end, @epoch.
 * @tree: the pages; @lock
 * @end: keys from here on do not exist; @lock
 * @base: the first key; immutable
 * @epoch: no two contents, and no content before and after a snapshot, have
 *	the same; @lock
 * @pins: the sum of the pins of all pages; raised under @lock shared
 * @zero_mapped: a hole may be mapped. Set under @lock shared, never cleared;
 *	see vmo_cow_hole().
 * @changed: what this content holds may have changed; set by vmo_cow_changed(),
 *	cleared by who asks what it holds
 * @family_changed: the same for all that share with it. Immutable once it is known to
 *	others; @changed itself until somebody says otherwise.
 * @base_tree: what vmo_cow_rewind() goes back to; immutable
 * @base_end: and the end that it goes back to; immutable
 * @has_base: there are these two; immutable
 * @source: who provides what is not there; NULL for zeroes. Immutable.
 * @source_end: keys from here on it is never asked for, for the content grew by them;
 *	they read zero. Rises only when its server has written them back; @lock
 * @source_next: up to here its server is writing them back; @lock
 * @source_wanted: up to here somebody waits for that; @lock
 * @trap: whoever writes what is not dirty asks @source before; immutable
 * @root: what it shows where it has nothing, which outlives it; see cow_depend.c. Or NULL.
 *	Immutable.
 * @limit: keys from here on do not; @root's lock exclusive, or ours and that one shared
 * @depends: in @root's @dependents
 * @dependents: whose root it is; @lock
 * @watches: who wants to know what is written; @lock
 * @nr_watches: how many; @lock
 * @gathering: counts when it was looked what was written; @lock
 * @ops: immutable
 */
struct vmo_cow_pages {
	struct rw_semaphore lock;
	struct vmo_page_tree tree;
	pgoff_t end;
	pgoff_t base;
	u64 epoch;
	atomic64_t pins;
	bool zero_mapped;
	bool changed;
	bool *family_changed;
	struct vmo_page_tree base_tree;
	pgoff_t base_end;
	bool has_base;
	struct vmo_source *source;
	pgoff_t source_end;
	pgoff_t source_next;
	pgoff_t source_wanted;
	bool trap;
	struct vmo_cow_pages *root;
	pgoff_t limit;
	struct list_head depends;
	struct list_head dependents;
	struct list_head watches;
	unsigned int nr_watches;
	u64 gathering;
	const struct vmo_cow_ops *ops;
};

/* An empty content with the keys [@base, @end). Cannot fail. */
void vmo_cow_init(struct vmo_cow_pages *cow, const struct vmo_cow_ops *ops,
		  pgoff_t base, pgoff_t end);
/* Drops all pages. Nobody uses the content any more; no mapping is left. */
void vmo_cow_destroy(struct vmo_cow_pages *cow);

/*
 * What the content holds has changed, with @family that of others, too. After the
 * change. Both are flags that are mostly set already, so this writes to nothing then.
 */
void vmo_cow_changed(struct vmo_cow_pages *cow, bool family);

/*
 * The content lock, and that of the root, shared. The first two are killable: -EINTR. The
 * third never waits.
 */
int vmo_cow_lock_shared(struct vmo_cow_pages *cow);
int vmo_cow_lock_excl(struct vmo_cow_pages *cow);
bool vmo_cow_trylock_shared(struct vmo_cow_pages *cow);
void vmo_cow_unlock_shared(struct vmo_cow_pages *cow);
void vmo_cow_unlock_excl(struct vmo_cow_pages *cow);

/*
 * A content with a source has *absent* keys: it does not know what they hold. Whoever
 * needs one is told -ENODATA, releases all locks, calls vmo_cow_need() and begins anew.
 * The same goes for who is about to write what is not dirty, if the content has a *trap*.
 * A slot that has the marker reads zero. A key becomes absent, known or clean under the
 * content lock exclusive only.
 */

/* Does a source provide it, its own or its root's? */
static inline bool vmo_cow_is_paged(const struct vmo_cow_pages *cow)
{
	return cow->source || cow->root;
}

/* The one with the source. */
static inline struct vmo_cow_pages *vmo_cow_provider(struct vmo_cow_pages *cow)
{
	return cow->root ? cow->root : cow;
}

/*
 * vmo_cow_depend - a clone of a content with a source, or of one that has a root
 *
 * @child is as for vmo_cow_snapshot(). What @cow has of its own it has as well, at one
 * instant; all else below @limit it has from the root, as that changes. The root has to
 * outlive it. Errors as for vmo_cow_snapshot(); none for pins where there is a source.
 */
int vmo_cow_depend(struct vmo_cow_pages *cow, struct vmo_cow_pages *child, pgoff_t limit,
		   bool copy_pinned);

/* Does it show its root at @key? Content lock shared. */
bool vmo_cow_falls_through(struct vmo_cow_pages *cow, pgoff_t key);

/* Content lock shared. */
bool vmo_cow_absent(struct vmo_cow_pages *cow, pgoff_t key);

/*
 * vmo_cow_need - have the source do what is wanted at @key, and behind it up to @last
 *
 * No lock held; sleeps until somebody answers. 0 says nothing but to look again; else
 * why not: -EINTR, -ENOMEM, -ETIMEDOUT, -EBADFD if there is nobody to ask any more, or
 * what the server said.
 */
int vmo_cow_need(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want);

/*
 * vmo_cow_ask - the part of it that does not sleep for the server
 *
 * For &vmo_queue_ops.need. 1: @waiter waits, or with NULL a request was left; 0: there is
 * nothing to wait for; else why not. No lock held.
 */
int vmo_cow_ask(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want,
		struct vmo_waiter *waiter);

/*
 * After @waiter, which waits for VMO_WANT_SYNC up to @last, was poked. 1: it waits on, for
 * another key; 0: for nothing any more; -EAGAIN: the server had its key in hand, and left
 * it as it was; -EINTR. No lock held.
 */
int vmo_cow_ask_on(struct vmo_cow_pages *cow, pgoff_t last, struct vmo_waiter *waiter);

/*
 * Takes over the caller's reference of @source. With @trap it is asked before pages are
 * written. Nobody else knows @cow yet.
 */
void vmo_cow_set_source(struct vmo_cow_pages *cow, struct vmo_source *source, bool trap);

/*
 * vmo_cow_supply - provide a range
 *
 * Moves [@from, @from + *@count) of @src to the keys of [@to, ...) of @dst that are
 * absent; the marker, where @src has holes. @src reads zero there afterwards, also where
 * @dst was not in need. Wakes who waits. Otherwise as vmo_cow_transfer(), and pins of @dst
 * do not matter. -EBADFD too if @dst was detached. @dst has a source, @src has none.
 */
int vmo_cow_supply(struct vmo_cow_pages *dst, pgoff_t to, struct vmo_cow_pages *src,
		   pgoff_t from, pgoff_t *count);

/*
 * vmo_cow_fail - those who wait for keys of [@first, @last] get @error
 *
 * Nothing is remembered. -EBADFD if detached, -ERANGE, -EINTR. No lock held.
 */
int vmo_cow_fail(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, int error);

/*
 * vmo_cow_detach - ask the source no more
 *
 * Who waits, and who needs something later, gets -EBADFD. What the source knows is given
 * up, what was written stays. Again: nothing happens. No lock held; -EINTR.
 */
int vmo_cow_detach(struct vmo_cow_pages *cow);

/*
 * vmo_cow_evict - give up what the source can provide again
 *
 * Of [@first, @last], which may reach past the end, what the server knows and nobody
 * holds. Whoever needs it asks for it. Adds the number of pages to *@pages. -EINTR; a part
 * may be done. No lock held; @cow has a source.
 */
int vmo_cow_evict(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, unsigned long *pages);

/*
 * What the server does not know of [@first, @last], it has been told and is writing back
 * from now on. Zeroes only, with @zeroes; not what somebody may write unseen. What is
 * written again is unknown again. -ERANGE, -EINTR, -ENOMEM if it is watched; a part may be
 * done. No lock held.
 */
int vmo_cow_writeback_begin(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			    bool zeroes);
/* It knows what was not written since. -ERANGE, -EINTR. */
int vmo_cow_writeback_end(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * vmo_cow_sync - wait until the server knows what is written in [@first, @last] now
 *
 * No lock held. Errors as for vmo_cow_need().
 */
int vmo_cow_sync(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * vmo_cow_dirty - let [@first, @last] be written, and be pages
 *
 * -ENOENT if any of it is absent, -ERANGE, -EBADFD if detached, -ENOMEM, -EINTR; an error
 * changes nothing. Wakes who waits for that. No lock held.
 */
int vmo_cow_dirty(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/* Keys in a row that the server does not know; @zero if they read zero without a page. */
typedef bool (*vmo_dirty_fn)(pgoff_t first, pgoff_t last, bool zero, void *arg);

/*
 * vmo_cow_dirty_ranges - tell what the server does not know, written back or not
 *
 * Calls @fn, in order, for ranges of [*@key, @last], which may go on in the next one,
 * under the leaf lock. Looks at a part, or ends in front of what @fn refuses, and raises
 * *@key to there. -EINTR. No lock held.
 */
int vmo_cow_dirty_ranges(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last,
			 vmo_dirty_fn fn, void *arg);

/*
 * The page at @key with a reference, NULL if it reads zero or is absent. Content lock
 * shared; for readers that are done before they release it.
 */
struct page *vmo_cow_lookup(struct vmo_cow_pages *cow, pgoff_t key);

/*
 * The page to map read-only at @key: referenced, locked, and still the one of
 * its slot; for a hole, a zero page in its place. Content lock shared, and @key is
 * not absent. Never NULL.
 */
struct page *vmo_cow_read_page(struct vmo_cow_pages *cow, pgoff_t key);

/*
 * For batches, of keys within a leaf: of each the page, if there is one that can be locked
 * at once, referenced, locked and still the one of its slot; else NULL. Content lock shared.
 */
void vmo_cow_try_read_pages(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			    struct page **page);

/* The page is to be mapped, or given to a device, writable. */
#define VMO_OWN_WRITABLE	1U
/* The caller has a reference of the page in *@page, if that is the one at @key. */
#define VMO_OWN_REFERENCED	2U
/* For a fault; see VMO_ALLOC_FAULT. */
#define VMO_OWN_FAULT		4U
/* Do not wait and do not allocate: -EBUSY where that would be needed. */
#define VMO_OWN_NOWAIT		8U
/* The caller writes the page before it releases any lock; whoever watches is to know. */
#define VMO_OWN_WRITTEN		16U
/* The caller will be back for one of the two, and wants to know whether it may. */
#define VMO_OWN_TO_WRITE	32U
/* With the other two: whoever may write the page promises not to. */
#define VMO_OWN_TO_READ		64U

/*
 * vmo_cow_own_page - make the page at @key ours, so that it may be written
 *
 * Copies a shared page, fills a hole. Content lock shared, at entry and
 * return; it may have been released in between, so @key is checked against
 * the limits here. On success *@page is referenced, locked, and ours until
 * the lock is released or, with VMO_OWN_WRITABLE, until it is revoked.
 *
 * Return: 0; -ERANGE if @key is outside of [base, end); -ENOMEM; -EIO if the
 * page could not be copied; -ENODATA if the source has to be asked; -EINTR if killed while waiting
 * for the lock, and then the lock is NOT held.
 */
int vmo_cow_own_page(struct vmo_cow_pages *cow, pgoff_t key, unsigned int flags,
		     struct page **page);

/* Zeroes the bytes [@from, @to) of the page at @key, if there is one. Errors as above. */
int vmo_cow_clear(struct vmo_cow_pages *cow, pgoff_t key, unsigned int from, unsigned int to);

/*
 * vmo_cow_commit - fill the holes and own the shared pages of [@first, @last]
 *
 * No lock held. Stops at a shrink (and succeeds, T5). -EINTR if killed,
 * -ENOMEM; what is committed stays. -ERANGE if @first is at or past the end.
 */
int vmo_cow_commit(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * vmo_cow_remove - let [@first, @last] read zero, give its pages up
 *
 * No lock held. -ERANGE if not inside [base, end), -EBADFD if a page is pinned,
 * -ENOMEM, -EINTR; an error leaves everything as it was.
 */
int vmo_cow_remove(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * The same, but pinned pages stay and are zeroed. After an error part of the
 * range may read zero.
 */
int vmo_cow_zero(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/* Sets the end. Cut pages leave private mappings too. Errors as for remove. */
int vmo_cow_resize(struct vmo_cow_pages *cow, pgoff_t end);

/*
 * vmo_cow_pin - own the pages of [@first, @last] and keep them in their places
 *
 * No lock held. Until it is undone they are not replaced, cut or shared, and
 * with @write may be written without asking. -ERANGE, -ENOMEM, -EINTR, -EIO; -EAGAIN if one
 * is pinned too often. An error leaves nothing pinned.
 */
int vmo_cow_pin(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool write);
/* Undoes one vmo_cow_pin() of these pages. Neither fails nor allocates. */
void vmo_cow_unpin(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * vmo_cow_snapshot - let @child have the content that @cow has at one instant
 *
 * @child was initialised for the keys of its window (base is the first, and
 * its end may lie past that of @cow) and is not known to anybody yet. No lock
 * held. Costs in proportion to what was written since the last snapshot.
 * Pages that somebody may still be writing are copied, and with @copy_pinned
 * those that are pinned; without, a pinned page anywhere in @cow is -EBADFD (K6).
 * -ENOMEM, -EINTR, -EIO leave @cow as it was and @child empty. Keys from @limit on are left out.
 */
int vmo_cow_snapshot(struct vmo_cow_pages *cow, struct vmo_cow_pages *child, pgoff_t limit,
		     bool copy_pinned);

/*
 * vmo_cow_transfer - move pages from one place to another
 *
 * Lets [@to, @to + *@count) of @dst have what [@from, @from + *@count) of @src has,
 * which reads zero afterwards. The two may be one content, and the ranges may overlap
 * if, for @to after @from, @back is set. No lock held. Does one piece of the range,
 * from its start or with @back its end, and says in *@count how long that is; to
 * both contents it happens at one instant.
 *
 * Return: 0; -ERANGE if a range is not inside [base, end); -EBADFD if a page of the
 * two ranges, anywhere, is pinned; -ENOMEM, -EINTR, -EIO. An error changes nothing.
 */
int vmo_cow_transfer(struct vmo_cow_pages *dst, pgoff_t to, struct vmo_cow_pages *src,
		     pgoff_t from, bool back, pgoff_t *count);

/* States of a page. */
#define VMO_STATE_PRESENT	1U
#define VMO_STATE_SHARED	2U	/* others of the family reach it, too */
#define VMO_STATE_PINNED	4U
#define VMO_STATE_WRITABLE	8U

/*
 * Keys in a row that are alike: holes, or one page. Called under the leaf lock: must
 * not sleep. False ends the walk in front of @first.
 */
typedef bool (*vmo_walk_fn)(pgoff_t first, pgoff_t last, struct page *page,
			    unsigned int state, void *arg);

/*
 * vmo_cow_walk - look at [*@key, @last], in order
 *
 * No lock held. Looks at a part of it at one instant, and raises *@key to where it
 * stopped, past @last at the end. -EINTR. Keys past the end are holes.
 */
int vmo_cow_walk(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last, vmo_walk_fn fn,
		 void *arg);

/* From here on it can go back to what it holds now. Nobody else knows it yet. */
void vmo_cow_keep_base(struct vmo_cow_pages *cow);

/*
 * vmo_cow_rewind - go back to what vmo_cow_keep_base() found
 *
 * At one instant, to the end that it had then. No lock held. -EOPNOTSUPP without a base,
 * -EBADFD if anything is pinned, -EINTR, -ENOMEM if it is watched; an error changes
 * nothing.
 */
int vmo_cow_rewind(struct vmo_cow_pages *cow);

/*
 * vmo_cow_watch - have written pages noted from now on
 *
 * No lock held. Keys go up to @last. -EAGAIN if there are too many already, -ENOMEM,
 * -EINTR; then @watch is unused.
 */
int vmo_cow_watch(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t last);
/* Neither fails nor allocates, and is not killable. */
void vmo_cow_unwatch(struct vmo_cow_pages *cow, struct vmo_watch *watch);

/*
 * vmo_cow_harvest - report the pages that were written since they were reported last
 *
 * Calls @fn, in order, for ranges of [*@key, @last], under the content lock, and takes
 * them out of the set, unless @keep. A page that somebody holds may be written at any
 * time, and is reported each time, the last time after it was let go. Ends in front of
 * what @fn refuses, or after a part of the range, and raises *@key to there: past @last
 * at the end. A write that is not reported was done after the call began. No lock held;
 * -ENOMEM, -EINTR, and then nothing is lost.
 */
int vmo_cow_harvest(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t *key,
		    pgoff_t last, bool keep, vmo_range_fn fn, void *arg);

/* Puts keys that were taken out back. No lock held; neither fails nor allocates. */
void vmo_cow_give_back(struct vmo_cow_pages *cow, struct vmo_watch *watch, pgoff_t first,
		       pgoff_t last);

/* Sums up what the content holds. No lock held; -EINTR. */
int vmo_cow_usage(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		  struct vmo_tally *usage);

/*
 * vmo_cow_diff - where two contents of a family have different bytes
 *
 * Looks at a part of [*@key, @last], which both have, as vmo_tree_diff() does, and
 * raises *@key to where it stopped. No lock held; -EINTR.
 */
int vmo_cow_diff(struct vmo_cow_pages *a, struct vmo_cow_pages *b, pgoff_t *key,
		 pgoff_t last, vmo_range_fn fn, void *arg);

/**
 * struct vmo_known - pages that are accounted for, of a range of keys
 * @tree: bits, counted from the first key, of pages in a content's tree
 * @base: of pages in its base
 */
struct vmo_known {
	unsigned long *tree;
	unsigned long *base;
};

/*
 * Sets the bits of the keys in [@first, @last] where @a has a page that @b has, too,
 * there, in its tree or in its base; those of holes of @a may be set or not. No lock
 * held; -EINTR.
 */
int vmo_cow_same(struct vmo_cow_pages *a, struct vmo_cow_pages *b, pgoff_t first,
		 pgoff_t last, const struct vmo_known *known);

/*
 * Raises *@key, up to @last, to where the content or its base may have pages. -ENXIO if
 * there are none, -EINTR.
 */
int vmo_cow_next_held(struct vmo_cow_pages *cow, pgoff_t *key, pgoff_t last);

/*
 * Adds the pages of [@first, @last] whose bits are clear to @pages, each once. -EINTR.
 */
int vmo_cow_count_clear(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			const struct vmo_known *known, u64 *pages);

/*
 * The first key in [@first, @last] with a page (@hole false) or without
 * (@hole true); -ENXIO if there is none, -EINTR.
 */
int vmo_cow_seek(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool hole,
		 pgoff_t *found);

#endif
