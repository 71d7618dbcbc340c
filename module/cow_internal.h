/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the engine that work on contents have in common (layer L1). */
#ifndef VMO_COW_INTERNAL_H
#define VMO_COW_INTERNAL_H

#include "cow_pages.h"

/* Key to leaf bit and leaf slot. */
static inline u64 key_bit(pgoff_t key)
{
	return BIT_ULL(key & VMO_LEAF_MASK);
}

static inline unsigned int key_slot(pgoff_t key)
{
	return key & VMO_LEAF_MASK;
}

/* Bits of a former epoch say nothing. Leaf lock. */
static inline void leaf_renew(struct vmo_cow_pages *cow, struct vmo_leaf *leaf)
{
	if (leaf->epoch == cow->epoch)
		return;
	leaf->epoch = cow->epoch;
	leaf->mine = 0;
}

/*
 * The slots of @mask, in the leaf that starts at @base, were holes until now: takes
 * zero pages out of mappings there.
 */
void vmo_cow_filled(struct vmo_cow_pages *cow, pgoff_t base, u64 mask);

/* Takes the PTEs of the keys, those of dependents, too. Content lock, either way. */
void vmo_cow_unmap(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/* cow_depend.c; @cow may depend on a root or not. Content lock, at least shared. */

/* The root's page that @cow has at @key: with a reference, or locked, too; or NULL. */
struct page *vmo_cow_fallen_page(struct vmo_cow_pages *cow, pgoff_t key);
struct page *vmo_cow_lock_fallen(struct vmo_cow_pages *cow, pgoff_t key);
/* As vmo_cow_try_read_pages(), of the root's and where @page is NULL. */
void vmo_cow_try_fallen_pages(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
			      struct page **page);
/* Lowers *@last to where @cow shows the root without a gap, from @key on. -EINTR. No lock. */
int vmo_cow_fallen_end(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t *last);
/* Waits for everybody who was handed a page of the root's locked. Exclusive. */
void vmo_cow_wait_fallen(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);
/* From here on, for good, @cow does not show its root. Exclusive. */
void vmo_cow_sink_limit(struct vmo_cow_pages *cow, pgoff_t limit);
/* The same for all dependents. Exclusive, and nobody was handed a page of the keys. */
void vmo_cow_cut_dependents(struct vmo_cow_pages *root, pgoff_t end);
/* Nobody uses @cow any more. No lock held; is not killable. */
void vmo_cow_leave_root(struct vmo_cow_pages *cow);

/*
 * Waits for everybody who was handed a page of @tree in [@first, @last] locked, and
 * takes the PTEs of @cow there. Content lock exclusive.
 */
void vmo_cow_revoke(struct vmo_cow_pages *cow, const struct vmo_page_tree *tree,
		    pgoff_t first, pgoff_t last);

/*
 * What has to be asked for before the page at @key is owned with these VMO_OWN_* flags:
 * 0 if nothing, else -ENODATA. Content lock shared.
 */
int vmo_cow_must_ask(struct vmo_cow_pages *cow, pgoff_t key, unsigned int flags);

/*
 * As vmo_cow_zero(), of a content with a source: what reads zero now is known, and
 * written, until the server is told.
 */
int vmo_cow_zero_known(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * The first key in [first, last] whose page is pinned, else last + 1. Content
 * lock exclusive. A pinned page has its writable bit set.
 */
pgoff_t vmo_cow_next_pinned(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/* Takes what may be written in [@first, @last] from mappings. Content lock exclusive. */
void vmo_cow_revoke_writable(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/* May @page be written by who does not ask, even without PTEs? Content lock exclusive. */
bool vmo_cow_has_to_stay(struct page *page);

/* Nobody is about to map a zero page any more. Content lock exclusive. */
void vmo_cow_wait_zero_pages(struct vmo_cow_pages *cow);

/* Waits for everybody who was handed a page of @mask locked. Content lock exclusive. */
void vmo_cow_wait_pages(struct vmo_leaf *leaf, u64 mask);

/*
 * The pages at @mask, of the leaf that starts at @base, are about to change, or have
 * just been changed. -ENOMEM. Content lock, either way; page locks may be held.
 */
int vmo_cow_note(struct vmo_cow_pages *cow, pgoff_t base, u64 mask);
/* The same for all pages that there are in [@first, @last]. Content lock exclusive. */
int vmo_cow_note_range(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

/*
 * Looks which pages of [@first, @last] were written without asking us. -ENOMEM, and then
 * nothing is lost. Content lock exclusive.
 */
int vmo_cow_gather(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last);

#endif
