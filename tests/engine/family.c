// SPDX-License-Identifier: GPL-2.0
#include "family.h"

static void note(struct content *c, pgoff_t first, pgoff_t last)
{
	c->first = min(c->first, first);
	c->last = max(c->last, last);
	if (c->hook)
		c->hook(c, first, last);
}

static void unmap(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool even_cows)
{
	struct content *c = container_of(cow, struct content, cow);

	(void)even_cows;
	c->unmaps++;
	note(c, first, last);
}

static const struct vmo_cow_ops ops = { unmap };

void content_reset(struct content *c)
{
	c->unmaps = 0;
	c->first = ~0UL;
	c->last = 0;
}

struct content *content_new(pgoff_t base, pgoff_t end)
{
	struct content *c = calloc(1, sizeof(*c));

	vmo_cow_init(&c->cow, &ops, base, end);
	content_reset(c);
	return c;
}

struct content *content_snapshot(struct content *parent, pgoff_t base, pgoff_t end)
{
	struct content *c = content_new(base, end);

	CHECK(!vmo_cow_snapshot(&parent->cow, &c->cow));
	return c;
}

void content_free(struct content *c)
{
	vmo_cow_destroy(&c->cow);
	free(c);
}

struct page *put(struct content *c, pgoff_t key, u64 data, unsigned int flags)
{
	struct page *page;

	CHECK(!vmo_cow_lock_shared(&c->cow));
	CHECK(!vmo_cow_own_page(&c->cow, key, flags, &page));
	page->data = data;
	vmo_page_unlock(page);
	vmo_page_put(page);
	vmo_cow_unlock_shared(&c->cow);
	return page;
}

struct page *page_at(struct content *c, pgoff_t key)
{
	struct page *page;

	CHECK(!vmo_cow_lock_shared(&c->cow));
	page = vmo_cow_lookup(&c->cow, key);
	vmo_cow_unlock_shared(&c->cow);
	if (page)
		vmo_page_put(page);
	return page;
}

u64 get(struct content *c, pgoff_t key)
{
	struct page *page = page_at(c, key);

	return page ? page->data : 0;
}
