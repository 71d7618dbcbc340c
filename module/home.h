/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a page that was handed out writable lives (layer L1, kernel only).
 *
 * folio->mapping and folio->index name the content and the key for futexes and
 * reverse maps. The address_space has to outlive them, and a page may outlive
 * the content that it was homed at: so a home counts its pages.
 */
#ifndef VMO_HOME_H
#define VMO_HOME_H

#include <linux/types.h>

struct address_space;
struct page;

/**
 * struct vmo_home - the address_space of a content and what keeps it
 * @mapping: immutable
 * @users: pages homed here, plus one for the content
 * @release: called at the last, from any context that may sleep or not
 */
struct vmo_home {
	struct address_space *mapping;
	atomic_long_t users;
	void (*release)(struct vmo_home *home);
};

/* mapping->host's i_private points to the home. All need the page lock. */
void vmo_home_set(struct page *page, struct vmo_home *home, pgoff_t key);
void vmo_home_clear(struct page *page);
bool vmo_page_has_home(struct page *page);

void vmo_home_put(struct vmo_home *home);

#endif
