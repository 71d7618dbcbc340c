// SPDX-License-Identifier: GPL-2.0
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "home.h"

bool vmo_page_has_home(struct page *page)
{
	return READ_ONCE(page_folio(page)->mapping);
}

void vmo_home_put(struct vmo_home *home)
{
	if (atomic_long_dec_and_test(&home->users))
		home->release(home);
}

void vmo_home_clear(struct page *page)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping = folio->mapping;

	if (!mapping)
		return;
	folio->mapping = NULL;	/* the key stays: it is the same in all the family */
	vmo_home_put(mapping->host->i_private);
}

void vmo_home_set(struct page *page, struct vmo_home *home, pgoff_t key)
{
	struct folio *folio = page_folio(page);

	if (folio->mapping == home->mapping && folio->index == key)
		return;
	vmo_home_clear(page);
	atomic_long_inc(&home->users);
	folio->index = key;
	/* A futex reads the two without the lock, and looks twice. */
	smp_store_release(&folio->mapping, home->mapping);
}
