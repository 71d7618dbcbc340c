/* SPDX-License-Identifier: GPL-2.0 */
/* Contents without mappings, and short words for what tests do with them. */
#ifndef VMO_TEST_FAMILY_H
#define VMO_TEST_FAMILY_H

#include "shim.h"
#include "tap.h"

/**
 * struct content - a content that records what is revoked
 * @cow: the content
 * @unmaps: calls of unmap
 * @first: lowest key of all of them
 * @last: highest key
 * @hook: called by unmap, before it returns
 */
struct content {
	struct vmo_cow_pages cow;
	int unmaps;
	pgoff_t first;
	pgoff_t last;
	void (*hook)(struct content *c, pgoff_t first, pgoff_t last);
};

struct content *content_new(pgoff_t base, pgoff_t end);
struct content *content_snapshot(struct content *parent, pgoff_t base, pgoff_t end);
void content_free(struct content *c);
/* Forgets what was revoked so far. */
void content_reset(struct content *c);

/* Owns and writes; returns the page, of which the caller has no reference. */
struct page *put(struct content *c, pgoff_t key, u64 data, unsigned int flags);
/* 0 for a hole. */
u64 get(struct content *c, pgoff_t key);
struct page *page_at(struct content *c, pgoff_t key);

#endif
