/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages and nodes as the engine sees them (layer L1).
 *
 * page.c implements this for the kernel, tests/engine/shim.c for user space.
 * The engine touches a struct page through these functions only.
 *
 * A page in a tree has one *share* for each leaf slot that holds it, kept in
 * page->private, and all its shares together own one reference of the page.
 * There, too, is how often it is *pinned*: only an exclusive page with one share
 * is, and each pin has a reference of its own.
 * Any further reference belongs to somebody outside of the trees: a PTE, a
 * pipe, a device, or a function that is just looking at the page.
 */
#ifndef VMO_PAGE_H
#define VMO_PAGE_H

#include "engine.h"

/**
 * struct vmo_counters - what the module holds, for tests and for debugfs
 * @pages: pages with at least one share
 * @nodes: inner nodes and leaves
 */
struct vmo_counters {
	long pages;
	long nodes;
};

void vmo_counters_read(struct vmo_counters *sum);

int vmo_pages_init(void);
void vmo_pages_exit(void);

/*
 * How to allocate. A call is told that there is no memory; a fault, which
 * could not tell anybody, waits for what the OOM killer brings.
 */
#define VMO_ALLOC_ZERO	1U
#define VMO_ALLOC_FAULT	2U

/* A new page with one share, unlocked. NULL if there is no memory. */
struct page *vmo_page_alloc(unsigned int flags);
/* Zeroes the bytes [@from, @to) of a page. */
void vmo_page_clear(struct page *page, unsigned int from, unsigned int to);
/* 0, or -EIO if reading @src hit a hardware memory error. */
int vmo_page_copy(struct page *dst, struct page *src);
bool vmo_page_poisoned(struct page *page);
/* Have they the same bytes, NULL being zeroes? Bad memory is like nothing else. */
bool vmo_page_same(struct page *a, struct page *b);

/*
 * Shares. A drop has release order and the reader acquire order, so whoever
 * reads 1 sees everything that former sharers did with the page.
 */
void vmo_page_share(struct page *page);
long vmo_page_shares(struct page *page);
/* Drops a share; the last one gives the page up, for which it may sleep. */
void vmo_page_unshare(struct page *page);
/* The same for a caller who holds the page lock. */
void vmo_page_unshare_locked(struct page *page);

/* Its only share goes to another place, where futexes will look for it anew. */
void vmo_page_leave_home(struct page *page);

/*
 * Pins. To pin takes the page lock, and is false if it has been done too often;
 * to unpin takes none, and a reference that the caller has besides.
 */
#define VMO_PAGE_PINS_MAX	65535
bool vmo_page_pin(struct page *page);
void vmo_page_unpin(struct page *page);
unsigned int vmo_page_pins(struct page *page);

/*
 * Does anybody outside of the tree hold @page, other than by @callers
 * references of the caller's own? To be asked when the PTEs are gone, for each
 * has a reference, and with faults kept out by the page lock or the content
 * lock. One that is on its way out answers true.
 */
bool vmo_page_held(struct page *page, int callers);
bool vmo_page_mapped(struct page *page);

/* The same of one that may have PTEs, which may come and go meanwhile. */
bool vmo_page_in_use(struct page *page, int callers);

/*
 * Was it marked as written, when a PTE was taken away or by who had a reference, since
 * this was asked last? New ones are marked.
 */
bool vmo_page_test_clear_dirty(struct page *page);
bool vmo_page_dirty(struct page *page);

void vmo_page_get(struct page *page);
void vmo_page_put(struct page *page);
void vmo_page_lock(struct page *page);
bool vmo_page_trylock(struct page *page);
void vmo_page_unlock(struct page *page);
bool vmo_page_locked(struct page *page);
void vmo_page_wait_unlocked(struct page *page);

/* The page that stands for a hole at @key of @content in mappings. */
struct page *vmo_page_zero(const void *content, pgoff_t key);
#define VMO_ZERO_PAGES	256
struct page *vmo_page_zero_nth(unsigned int nth);
bool vmo_page_is_zero(struct page *page);

/* Zeroed nodes; NULL if there is no memory. @flags: VMO_ALLOC_FAULT or 0. */
void *vmo_node_alloc(bool leaf, unsigned int flags);
void vmo_node_free(void *node, bool leaf);

#endif
