/* SPDX-License-Identifier: GPL-2.0 */
/* Contents, with a mapping or without, and short words for what tests do with them. */
#ifndef VMO_TEST_FAMILY_H
#define VMO_TEST_FAMILY_H

#include "shim.h"
#include "tap.h"

#define MAP_KEYS	(3 * VMO_LEAF_SLOTS)

/**
 * struct pte - what a mapping shows at one key
 * @page: with a reference and a mapcount, or NULL
 * @writable: stores need not ask
 * @dirty: there was one
 */
struct pte {
	struct page *page;
	bool writable;
	bool dirty;
};

/**
 * struct mapping - a page table, for the keys below MAP_KEYS
 * @lock: the page table lock; a load or store is atomic under it
 * @pte: the table
 */
struct mapping {
	pthread_mutex_t lock;
	struct pte pte[MAP_KEYS];
};

/**
 * struct content - a content that records what is revoked, or has a mapping
 * @cow: the content
 * @unmaps: calls of unmap
 * @cows: those with even_cows
 * @first: lowest key of all of them
 * @last: highest key
 * @hook: called by unmap, before it returns
 * @map: a mapping, or NULL
 */
struct content {
	struct vmo_cow_pages cow;
	int unmaps;
	int cows;
	pgoff_t first;
	pgoff_t last;
	void (*hook)(struct content *c, pgoff_t first, pgoff_t last);
	struct mapping *map;
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

/*
 * A load or store of a program that mapped the content: through the PTE, or
 * by a fault as in mmap.c, whose page is locked until its PTE is there.
 * -ERANGE past the end (SIGBUS).
 */
void map_content(struct content *c);
int map_load(struct content *c, pgoff_t key, u64 *data);
int map_store(struct content *c, pgoff_t key, u64 data);
/* Fault-around: maps what can be locked of [@first, @last]. */
void map_around(struct content *c, pgoff_t first, pgoff_t last);
/* What get_user_pages() does for a reader: a reference, by way of the PTE. */
struct page *map_pin(struct content *c, pgoff_t key);
/* Every PTE shows its slot, a writable one a page that is ours. */
void map_check(struct content *c);

#endif
