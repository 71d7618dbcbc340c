// SPDX-License-Identifier: GPL-2.0
/* The engine by rule; numbers are those of design.md section 4. */
#include "family.h"

#define L VMO_LEAF_SLOTS

static void t_lookup(void)
{
	struct content *c = content_new(0, VMO_KEY_MAX);

	CHECK(!page_at(c, 0) && !page_at(c, VMO_KEY_MAX - 1));
	put(c, 5, 1, 0);
	put(c, L, 2, 0);
	put(c, VMO_KEY_MAX - 1, 3, 0);
	CHECK(get(c, 5) == 1 && get(c, L) == 2 && get(c, VMO_KEY_MAX - 1) == 3);
	CHECK(!page_at(c, 6) && !page_at(c, 1UL << 40));
	CHECK(shim.pages == 3);
	content_free(c);
}

static void t_range(void)
{
	struct content *c = content_new(10, 20);
	struct page *page;

	CHECK(!vmo_cow_lock_shared(&c->cow));
	CHECK(vmo_cow_own_page(&c->cow, 9, 0, &page) == -ERANGE);
	CHECK(vmo_cow_own_page(&c->cow, 20, 0, &page) == -ERANGE);
	vmo_cow_unlock_shared(&c->cow);
	CHECK(vmo_cow_remove(&c->cow, 9, 12) == -ERANGE);
	CHECK(vmo_cow_remove(&c->cow, 12, 20) == -ERANGE);
	CHECK(vmo_cow_remove(&c->cow, 13, 12) == -ERANGE);
	CHECK(vmo_cow_commit(&c->cow, 20, 21) == -ERANGE);
	content_free(c);
}

/* A range operation on a nearly endless empty object returns at once. */
static void t_endless(void)
{
	struct content *c = content_new(0, VMO_KEY_MAX);
	struct vmo_tally usage;
	pgoff_t found;
	long visits;

	put(c, 7, 1, 0);
	put(c, VMO_KEY_MAX - 1, 2, 0);
	visits = shim.visits;
	CHECK(!vmo_cow_usage(&c->cow, 0, VMO_KEY_MAX - 1, &usage) && usage.pages == 2);
	CHECK(!vmo_cow_seek(&c->cow, 8, VMO_KEY_MAX - 1, false, &found));
	CHECK(found == VMO_KEY_MAX - 1);
	CHECK(!vmo_cow_remove(&c->cow, 0, VMO_KEY_MAX - 1));
	CHECK(shim.visits - visits < 20 * VMO_TREE_LEVELS);
	CHECK(!shim.pages && !page_at(c, 7));
	content_free(c);
}

static void t_remove(void)
{
	struct content *c = content_new(0, 8 * L);
	pgoff_t key;

	CHECK(!vmo_cow_commit(&c->cow, 0, 8 * L - 1));
	CHECK(shim.pages == 8 * L);
	CHECK(!vmo_cow_remove(&c->cow, L / 2, 5 * L + 3));
	for (key = 0; key < 8 * L; key++)
		CHECK(!page_at(c, key) == (key >= L / 2 && key <= 5 * L + 3));
	CHECK(shim.pages == 8 * L - (5 * L + 4 - L / 2));
	CHECK(!vmo_cow_remove(&c->cow, 0, 8 * L - 1) && !shim.pages);
	content_free(c);
}

/* A removal in one member leaves the other alone, to the page. */
static void t_remove_shared(void)
{
	struct content *a = content_new(0, 4 * L), *b;
	pgoff_t key;

	for (key = 0; key < 4 * L; key++)
		put(a, key, key + 1, 0);
	b = content_snapshot(a, 0, 4 * L);
	CHECK(!vmo_cow_remove(&a->cow, 3, 3 * L));
	for (key = 0; key < 4 * L; key++) {
		CHECK(get(b, key) == key + 1);
		CHECK(get(a, key) == (key >= 3 && key <= 3 * L ? 0 : key + 1));
	}
	CHECK(shim.pages == 4 * L);
	content_free(b);
	CHECK(shim.pages == 4 * L - (3 * L - 2));
	content_free(a);
}

static void t_snapshot(void)
{
	struct content *a = content_new(0, 100), *b, *c;

	put(a, 1, 10, 0);
	put(a, 2, 20, VMO_OWN_WRITABLE);
	b = content_snapshot(a, 0, 100);
	CHECK(page_at(a, 1) == page_at(b, 1) && page_at(a, 2) == page_at(b, 2));
	put(a, 1, 11, 0);
	put(b, 2, 22, 0);
	put(a, 3, 30, 0);
	c = content_snapshot(b, 0, 100);
	put(b, 1, 12, 0);
	CHECK(get(a, 1) == 11 && get(a, 2) == 20 && get(a, 3) == 30);
	CHECK(get(b, 1) == 12 && get(b, 2) == 22 && !page_at(b, 3));
	CHECK(get(c, 1) == 10 && get(c, 2) == 22 && !page_at(c, 3));
	content_free(a);
	content_free(b);
	CHECK(get(c, 1) == 10 && get(c, 2) == 22 && shim.pages == 2);
	content_free(c);
}

/* Windows: inside, over the end, past it; keys stay those of the family. */
static void t_window(void)
{
	pgoff_t far = 1UL << 40, i;
	struct content *a = content_new(far, far + 10 * L), *b, *c, *d;

	for (i = 0; i < 10 * L; i++)
		put(a, far + i, i + 1, 0);
	b = content_snapshot(a, far + L + 1, far + 3 * L + 2);
	c = content_snapshot(a, far + 9 * L, far + 20 * L);
	d = content_snapshot(a, far + 10 * L, far + 20 * L);
	for (i = 0; i < 10 * L; i++)
		CHECK(get(b, far + i) == (i > L && i < 3 * L + 2 ? i + 1 : 0));
	for (i = 0; i < 20 * L; i++)
		CHECK(get(c, far + i) == (i >= 9 * L && i < 10 * L ? i + 1 : 0));
	CHECK(!page_at(d, far + 10 * L) && !page_at(d, far));
	put(d, far + 10 * L, 99, 0);
	CHECK(!page_at(a, far + 10 * L) && !page_at(c, far + 10 * L));
	content_free(a);
	content_free(b);
	content_free(c);
	content_free(d);
}

/* A clone of one page does not keep a gigabyte alive. */
static void t_window_small(void)
{
	struct content *a = content_new(0, 1 << 18), *b;
	pgoff_t i;

	for (i = 0; i < 1 << 18; i += 16)
		put(a, i, i + 1, 0);
	b = content_snapshot(a, 160, 161);
	content_free(a);
	CHECK(get(b, 160) == 161);
	CHECK(shim.pages == 1 && shim.nodes <= VMO_TREE_LEVELS);
	content_free(b);
}

/* Share counts are those of leaves: exact through copies and drops. */
static void t_shares(void)
{
	struct content *a = content_new(0, 2 * L), *b, *c;
	struct page *page = put(a, 3, 1, 0);

	put(a, L, 2, 0);
	b = content_snapshot(a, 0, 2 * L);
	c = content_snapshot(a, 0, 2 * L);
	CHECK(page->shares == 1);	/* one leaf, three trees */
	put(a, 4, 1, 0);
	CHECK(page->shares == 2);
	put(b, 4, 1, 0);
	CHECK(page->shares == 3 || page->shares == 2);
	put(c, 4, 1, 0);
	CHECK(page->shares == 3);	/* three leaves */
	put(c, 3, 9, 0);
	CHECK(page->shares == 2 && page->refs == 1);
	content_free(a);
	CHECK(page->shares == 1);
	content_free(b);
	content_free(c);
}

/* inv-ours: a page that was shared is written in place only after a look. */
static void t_ours(void)
{
	struct content *a = content_new(0, 10), *b;
	struct page *page = put(a, 1, 10, 0);

	CHECK(put(a, 1, 11, 0) == page);
	b = content_snapshot(a, 0, 10);
	vmo_page_get(page);		/* vmsplice from the snapshot */
	content_free(b);		/* which is closed */
	CHECK(page->shares == 1);
	CHECK(put(a, 1, 12, 0) != page);
	CHECK(page->data == 11 && get(a, 1) == 12);
	vmo_page_put(page);

	page = page_at(a, 1);
	b = content_snapshot(a, 0, 10);
	content_free(b);
	CHECK(put(a, 1, 13, 0) == page);	/* nobody holds it: in place */
	content_free(a);
}

/* inv-4.6: exactly the pages with a writable bit are revoked, in runs. */
static void t_revoke(void)
{
	struct content *a = content_new(0, 1 << 20), *b;

	put(a, 3, 1, VMO_OWN_WRITABLE);
	put(a, 9, 1, VMO_OWN_WRITABLE);
	put(a, 40 * L, 1, 0);
	put(a, 80 * L, 1, VMO_OWN_WRITABLE);
	content_reset(a);
	b = content_snapshot(a, 0, 1 << 20);
	CHECK(a->unmaps == 2 && a->first == 3 && a->last == 80 * L);
	content_free(b);
	content_reset(a);
	b = content_snapshot(a, 0, 1 << 20);
	CHECK(!a->unmaps);	/* nothing was written since */
	content_free(b);
	put(a, 80 * L, 2, VMO_OWN_WRITABLE);
	put(a, 3, 2, VMO_OWN_WRITABLE);
	content_reset(a);
	b = content_snapshot(a, 0, 10);		/* a window revokes its own only */
	CHECK(a->unmaps == 1 && a->last == 3);
	content_free(b);
	put(a, L + 5, 2, VMO_OWN_WRITABLE);
	put(a, L + 7, 2, VMO_OWN_WRITABLE);
	content_reset(a);
	b = content_snapshot(a, L + 2, 2 * L - 2);
	CHECK(a->unmaps == 1 && a->first == L + 5 && a->last == L + 7);
	content_free(b);
	content_free(a);
}

/* A page_mkwrite of the core holds the page; that alone is no reason to copy. */
static void t_referenced(void)
{
	struct content *a = content_new(0, 10), *b;
	struct page *page = put(a, 1, 1, 0), *got = page;

	b = content_snapshot(a, 0, 10);
	content_free(b);
	vmo_page_get(page);
	CHECK(!vmo_cow_lock_shared(&a->cow));
	CHECK(!vmo_cow_own_page(&a->cow, 1, VMO_OWN_WRITABLE | VMO_OWN_REFERENCED, &got));
	vmo_cow_unlock_shared(&a->cow);
	CHECK(got == page);
	vmo_page_unlock(page);
	vmo_page_put(page);
	b = content_snapshot(a, 0, 10);		/* as somebody holds it: a copy */
	CHECK(page_at(b, 1) != page && page_at(a, 1) == page);
	content_free(b);
	vmo_page_put(page);
	b = content_snapshot(a, 0, 10);
	content_free(b);
	vmo_page_get(page);
	got = NULL;				/* the reference is of another page */
	CHECK(!vmo_cow_lock_shared(&a->cow));
	CHECK(!vmo_cow_own_page(&a->cow, 1, VMO_OWN_REFERENCED, &got));
	vmo_cow_unlock_shared(&a->cow);
	CHECK(got != page);
	vmo_page_unlock(got);
	vmo_page_put(got);
	vmo_page_put(page);
	content_free(a);
}

/* inv-4.7: a page that a device may be writing stays with its content. */
static void t_held(void)
{
	struct content *a = content_new(0, 3 * L), *b, *c;
	struct page *page = put(a, 5, 1, VMO_OWN_WRITABLE);

	put(a, 6, 7, VMO_OWN_WRITABLE);
	vmo_page_get(page);
	b = content_snapshot(a, 0, 3 * L);
	CHECK(page_at(a, 5) == page && page_at(b, 5) != page && get(b, 5) == 1);
	CHECK(page_at(a, 6) == page_at(b, 6));
	page->data = 2;			/* the device */
	c = content_snapshot(a, 0, 3 * L);
	page->data = 3;
	CHECK(get(a, 5) == 3 && get(b, 5) == 1 && get(c, 5) == 2);
	CHECK(put(a, 5, 4, 0) == page);	/* still the page that the device sees */
	vmo_page_put(page);
	content_free(c);
	c = content_snapshot(a, 0, 3 * L);
	CHECK(page_at(c, 5) == page);	/* let go: shared again */
	content_free(b);
	content_free(c);
	content_free(a);
}

static struct page *watched;

static void still_shared(struct content *c, pgoff_t first, pgoff_t last)
{
	(void)c;
	if (first <= 1 && last >= 1)
		CHECK(watched->shares == 2);
}

/* inv-4.3: PTEs go before the share does, by which others find it theirs. */
static void t_order(void)
{
	struct content *a = content_new(0, 10), *b;

	watched = put(a, 1, 1, 0);
	b = content_snapshot(a, 0, 10);
	put(b, 2, 1, 0);		/* now there are two leaves */
	CHECK(watched->shares == 2);
	watched->maps++;		/* a reads it through a mapping */
	vmo_page_get(watched);
	a->hook = still_shared;
	content_reset(a);
	put(a, 1, 2, 0);
	CHECK(a->unmaps == 1 && watched->shares == 1);
	watched->maps--;
	vmo_page_put(watched);

	watched = put(b, 1, 5, 0);
	content_free(a);
	a = content_snapshot(b, 0, 10);
	put(a, 2, 1, 0);
	CHECK(watched->shares == 2);
	a->hook = still_shared;
	CHECK(!vmo_cow_remove(&a->cow, 0, 5));
	CHECK(a->unmaps == 1 && watched->shares == 1);
	content_free(a);
	content_free(b);
}

static struct page *try_page(struct content *c, pgoff_t key)
{
	struct page *page;

	vmo_cow_try_read_pages(&c->cow, key, key, &page);
	return page;
}

/* inv-4.9: a mapped hole is a zero page, unmapped when the slot is filled. */
static void t_hole(void)
{
	struct content *c = content_new(0, 10);
	struct page *zero = vmo_page_zero(&c->cow, 4);

	put(c, 3, 1, 0);
	CHECK(!c->unmaps);		/* none was mapped yet */
	CHECK(!vmo_cow_lock_shared(&c->cow));
	CHECK(vmo_cow_read_page(&c->cow, 4) == zero);
	vmo_page_unlock(zero);
	vmo_page_put(zero);
	CHECK(!try_page(c, 5));				/* never in a batch */
	vmo_cow_unlock_shared(&c->cow);
	put(c, 4, 2, 0);
	CHECK(c->unmaps == 1 && c->first == 4 && c->last == 4);
	content_reset(c);
	CHECK(!vmo_cow_commit(&c->cow, 6, 8));
	CHECK(c->unmaps == 1 && c->first == 6 && c->last == 8);
	content_free(c);
}

/* inv-4.5: what cannot be locked at once is left out of a batch. */
static void t_batch(void)
{
	struct content *c = content_new(0, 3 * L);
	struct page *page = put(c, 1, 1, 0), *got, *some[5];

	put(c, 3, 3, 0);
	put(c, L, 4, 0);
	CHECK(!vmo_cow_lock_shared(&c->cow));
	got = try_page(c, 1);
	CHECK(got == page);
	CHECK(!try_page(c, 1));
	vmo_cow_try_read_pages(&c->cow, 0, 4, some);
	CHECK(!some[0] && !some[1] && !some[2] && some[3]->data == 3 && !some[4]);
	vmo_page_unlock(some[3]);
	vmo_page_put(some[3]);
	vmo_page_unlock(got);
	vmo_page_put(got);
	vmo_cow_try_read_pages(&c->cow, 2 * L, 2 * L + 4, some);
	CHECK(!some[0] && !some[1] && !some[2] && !some[3] && !some[4]);
	vmo_cow_try_read_pages(&c->cow, L - 1, L - 1, some);
	CHECK(!some[0]);
	vmo_cow_unlock_shared(&c->cow);
	CHECK(page->refs == 1);
	content_free(c);
}

static void t_poison(void)
{
	struct content *a = content_new(0, 10), *b, *child;
	struct page *page = put(a, 1, 1, VMO_OWN_WRITABLE), *out;

	b = content_snapshot(a, 0, 10);
	page->poisoned = true;
	CHECK(!vmo_cow_lock_shared(&b->cow));
	CHECK(vmo_cow_own_page(&b->cow, 1, 0, &out) == -EIO);
	vmo_cow_unlock_shared(&b->cow);
	content_free(b);
	put(a, 1, 1, VMO_OWN_WRITABLE);
	vmo_page_get(page);		/* held, as the core holds it */
	child = content_new(0, 10);
	/* Nobody writes bad memory, and nobody could copy it: it is shared. */
	CHECK(!vmo_cow_snapshot(&a->cow, &child->cow, VMO_KEY_MAX, false));
	CHECK(page_at(child, 1) == page && page_at(a, 1) == page);
	vmo_page_put(page);
	content_free(child);
	content_free(a);
}

static void t_resize(void)
{
	struct content *a = content_new(0, 5 * L), *b;
	pgoff_t i;

	for (i = 0; i < 5 * L; i++)
		put(a, i, i + 1, 0);
	b = content_snapshot(a, 0, 5 * L);
	content_reset(a);
	CHECK(!vmo_cow_resize(&a->cow, L + 3));
	/* Private mappings lose what was past the end, a removal leaves it to them. */
	CHECK(a->cows == 1 && a->last == 5 * L - 1);
	CHECK(!vmo_cow_remove(&a->cow, 0, 1) && a->cows == 1);
	put(a, 0, 1, 0);
	CHECK(get(a, L + 2) == L + 3 && !page_at(a, L + 3));
	CHECK(!vmo_cow_resize(&a->cow, 5 * L));
	for (i = L + 3; i < 5 * L; i++)
		CHECK(!page_at(a, i) && get(b, i) == i + 1);
	put(a, 5 * L - 1, 9, 0);
	CHECK(get(a, 5 * L - 1) == 9 && get(b, 5 * L - 1) == 5 * L);
	CHECK(vmo_cow_resize(&a->cow, VMO_KEY_MAX + 1) == -ERANGE);
	CHECK(!vmo_cow_resize(&a->cow, 0));
	content_free(a);
	content_free(b);
}

static void t_seek(void)
{
	struct content *c = content_new(0, 100 * L);
	pgoff_t found;

	put(c, 3, 1, 0);
	put(c, 50 * L + 1, 1, 0);
	CHECK(!vmo_cow_seek(&c->cow, 0, 100 * L - 1, false, &found) && found == 3);
	CHECK(!vmo_cow_seek(&c->cow, 4, 100 * L - 1, false, &found) && found == 50 * L + 1);
	CHECK(vmo_cow_seek(&c->cow, 50 * L + 2, 100 * L - 1, false, &found) == -ENXIO);
	CHECK(!vmo_cow_seek(&c->cow, 3, 100 * L - 1, true, &found) && found == 4);
	CHECK(!vmo_cow_seek(&c->cow, 70 * L, 100 * L - 1, true, &found) && found == 70 * L);
	CHECK(vmo_cow_seek(&c->cow, 3, 3, true, &found) == -ENXIO);
	content_free(c);
}

/* Every page of a family is divided among those who hold it: sums are exact. */
static void t_usage(void)
{
	struct content *c[4];
	struct vmo_tally u;
	u64 scaled = 0;
	pgoff_t i;
	int k;

	c[0] = content_new(0, 4 * L);
	for (i = 0; i < 2 * L; i++)
		put(c[0], i, 1, 0);
	for (k = 1; k < 4; k++) {
		c[k] = content_snapshot(c[k - 1], 0, 4 * L);
		put(c[k], k, 1, 0);
		put(c[k], 3 * L + k, 1, 0);
	}
	CHECK(!vmo_cow_usage(&c[0]->cow, 0, 4 * L - 1, &u));
	CHECK(u.pages == 2 * L);
	CHECK(!vmo_cow_usage(&c[3]->cow, 0, 4 * L - 1, &u));
	CHECK(u.pages == 2 * L + 3 && u.private == 2);
	CHECK(!vmo_cow_usage(&c[3]->cow, 3 * L, 4 * L - 1, &u) && u.pages == 3);
	CHECK(!vmo_cow_usage(&c[3]->cow, 3 * L + 2, 4 * L - 1, &u) && u.pages == 2);
	CHECK(!vmo_cow_usage(&c[3]->cow, 0, 3 * L + 1, &u) && u.pages == 2 * L + 1);
	for (k = 0; k < 4; k++) {
		CHECK(!vmo_cow_usage(&c[k]->cow, 0, 4 * L - 1, &u));
		scaled += u.scaled;
	}
	CHECK(((scaled + (1 << 20)) >> 32) == (u64)shim.pages);
	for (k = 0; k < 4; k++)
		content_free(c[k]);
}

struct ranges {
	int nr;
	pgoff_t first[16];
	pgoff_t last[16];
};

static bool collect(pgoff_t first, pgoff_t last, void *arg)
{
	struct ranges *r = arg;

	if (r->nr == 16)
		return false;
	r->first[r->nr] = first;
	r->last[r->nr++] = last;
	return true;
}

/* From @first to @last, as far as there is room. Returns where it stopped. */
static pgoff_t diff(struct content *a, struct content *b, pgoff_t first, pgoff_t last,
		    struct ranges *r)
{
	pgoff_t key = first, from;

	r->nr = 0;
	do {
		from = key;
		CHECK(!vmo_cow_diff(&a->cow, &b->cow, &key, last, collect, r));
	} while (key <= last && key > from && r->nr < 16);
	return key;
}

static void t_diff(void)
{
	struct content *a = content_new(0, 1 << 20), *b;
	struct ranges r = { 0 };
	struct page *page;
	pgoff_t i;
	long visits;

	for (i = 0; i < 1 << 12; i++)
		put(a, i, 1, 0);
	b = content_snapshot(a, 0, 1 << 20);
	visits = shim.visits;
	CHECK(diff(a, b, 0, VMO_KEY_MAX, &r) == VMO_KEY_MAX + 1);
	CHECK(!r.nr && shim.visits - visits <= 1);
	put(a, 10, 2, 0);
	put(a, 11, 2, 0);
	put(b, 2 * L, 2, 0);
	put(b, 1 << 19, 2, 0);		/* the tree of b grows, that of a does not */
	CHECK(!vmo_cow_remove(&a->cow, 3 * L, 3 * L + 4));
	visits = shim.visits;
	CHECK(diff(a, b, 0, VMO_KEY_MAX, &r) == VMO_KEY_MAX + 1);
	CHECK(shim.visits - visits < 16 * VMO_TREE_LEVELS);
	CHECK(r.nr == 4);
	CHECK(r.first[0] == 10 && r.last[0] == 11);
	CHECK(r.first[1] == 2 * L && r.last[1] == 2 * L);
	CHECK(r.first[2] == 3 * L && r.last[2] == 3 * L + 4);
	CHECK(r.first[3] == 1 << 19);
	CHECK(diff(a, b, 11, 2 * L, &r) == 2 * L + 1);
	CHECK(r.nr == 2 && r.first[0] == 11 && r.last[1] == 2 * L);
	/* Copied, committed, zeroed where nothing was: the bytes are the same. */
	CHECK(!vmo_cow_commit(&b->cow, 100, 109));
	CHECK(!vmo_cow_commit(&a->cow, 1 << 18, (1 << 18) + 2));
	CHECK(diff(a, b, 12, 2 * L - 1, &r) == 2 * L && !r.nr);
	CHECK(diff(a, b, 1 << 17, (1 << 19) - 1, &r) == 1 << 19 && !r.nr);
	/* Bad memory cannot be looked at: it counts as different. */
	page = page_at(b, 105);
	page->poisoned = true;
	CHECK(diff(a, b, 104, 106, &r) == 107 && r.nr == 1 && r.first[0] == 105);
	page->poisoned = false;
	content_free(a);
	content_free(b);
}

/* Where there is no more room, and after so many leaves, it goes on later. */
static void t_diff_in_parts(void)
{
	struct content *a = content_new(0, 1 << 20), *b = content_new(0, 1 << 20);
	struct ranges r = { 0 };
	pgoff_t i, key = 0;
	int calls = 0;

	for (i = 0; i < 40; i += 2)
		put(a, i, 1, 0);
	CHECK(diff(a, b, 0, 1000, &r) == 32 && r.nr == 16 && r.last[15] == 30);
	CHECK(diff(a, b, 32, 1000, &r) == 1001 && r.nr == 4 && r.first[0] == 32);
	CHECK(!vmo_cow_commit(&a->cow, 0, 200 * L));
	for (i = 0; i < 200 * L; i++)
		put(a, i, 1, 0);
	r.nr = 0;
	while (key < 200 * L) {
		CHECK(!vmo_cow_diff(&a->cow, &b->cow, &key, 200 * L - 1, collect, &r));
		calls++;
	}
	CHECK(calls > 1 && r.nr == calls && !r.first[0] && r.last[r.nr - 1] == 200 * L - 1);
	for (i = 1; i < (pgoff_t)r.nr; i++)
		CHECK(r.first[i] == r.last[i - 1] + 1);
	content_free(a);
	content_free(b);
}

static void t_iterate(void)
{
	struct content *c = content_new(0, VMO_KEY_MAX);
	pgoff_t keys[] = { 0, 3 * L, 1 << 20, 1UL << 35, VMO_KEY_MAX - 1 }, key = 0;
	struct vmo_leaf *leaf;
	unsigned int i;
	long visits;

	for (i = 0; i < 5; i++)
		put(c, keys[i], 1, 0);
	visits = shim.visits;
	for (i = 0; (leaf = vmo_tree_next_leaf(&c->cow.tree, &key, VMO_KEY_MAX, false)); i++) {
		CHECK(i < 5 && key == (keys[i] & ~VMO_LEAF_MASK));
		key = (key | VMO_LEAF_MASK) + 1;
	}
	CHECK(i == 5 && shim.visits - visits < 12 * VMO_TREE_LEVELS * 5);
	key = 4 * L;
	CHECK(!vmo_tree_next_leaf(&c->cow.tree, &key, (1 << 20) - 1, false));
	content_free(c);
}

/* N2, N5, K6, inv-4.7: pinned pages stay, whole calls are refused. */
static void t_pin(void)
{
	struct content *a = content_new(0, 5 * L), *b;
	struct page *page = put(a, L + 1, 7, 0);

	CHECK(!vmo_cow_pin(&a->cow, L - 1, L + 1, true));
	CHECK(!vmo_cow_pin(&a->cow, L + 1, L + 1, true));
	CHECK(page_at(a, L + 1) == page && page->pins == 2 && page->refs == 3);
	CHECK(atomic64_read(&a->cow.pins) == 4 && shim.pages == 3);
	CHECK(vmo_cow_pin(&a->cow, 5 * L - 1, 5 * L, true) == -ERANGE);
	CHECK(atomic64_read(&a->cow.pins) == 4);
	CHECK(vmo_cow_remove(&a->cow, 0, 5 * L - 1) == -EBADFD);
	CHECK(vmo_cow_remove(&a->cow, L + 1, L + 1) == -EBADFD);
	CHECK(vmo_cow_resize(&a->cow, L + 1) == -EBADFD && a->cow.end == 5 * L);
	CHECK(!vmo_cow_resize(&a->cow, L + 2) && !vmo_cow_resize(&a->cow, 5 * L));
	CHECK(get(a, L + 1) == 7);
	b = content_new(0, 5 * L);
	CHECK(vmo_cow_snapshot(&a->cow, &b->cow, VMO_KEY_MAX, false) == -EBADFD);
	CHECK(!vmo_cow_snapshot(&a->cow, &b->cow, VMO_KEY_MAX, true));
	CHECK(page->shares == 1 && page_at(a, L + 1) == page);
	CHECK(get(b, L + 1) == 7 && page_at(b, L + 1) != page);
	put(a, L + 1, 8, 0);		/* in place, and not seen by the snapshot */
	CHECK(page_at(a, L + 1) == page && get(b, L + 1) == 7);
	vmo_cow_unpin(&a->cow, L - 1, L + 1);
	CHECK(vmo_cow_remove(&a->cow, 0, 5 * L - 1) == -EBADFD && page->pins == 1);
	vmo_cow_unpin(&a->cow, L + 1, L + 1);
	CHECK(!atomic64_read(&a->cow.pins));
	CHECK(!vmo_cow_remove(&a->cow, 0, 5 * L - 1));
	content_free(a);
	content_free(b);
}

/* N4: a counter is full at 65,535; a range that meets it pins nothing. */
static void t_pin_most(void)
{
	struct content *c = content_new(0, 4);
	int i;

	for (i = 0; i < 65535; i++)
		CHECK(!vmo_cow_pin(&c->cow, 2, 2, true));
	CHECK(vmo_cow_pin(&c->cow, 2, 2, true) == -EAGAIN);
	CHECK(vmo_cow_pin(&c->cow, 0, 3, true) == -EAGAIN);
	CHECK(atomic64_read(&c->cow.pins) == 65535);
	CHECK(page_at(c, 1)->pins == 0 && page_at(c, 2)->shares == 1);
	vmo_cow_unpin(&c->cow, 2, 2);
	CHECK(!vmo_cow_pin(&c->cow, 0, 3, true));
	vmo_cow_unpin(&c->cow, 0, 3);
	for (i = 0; i < 65534; i++)
		vmo_cow_unpin(&c->cow, 2, 2);
	CHECK(page_at(c, 2)->refs == 1);
	content_free(c);
}

/* O3: what is not pinned is given up, what is pinned is cleared in place. */
static void t_zero(void)
{
	struct content *a = content_new(0, 5 * L), *b;
	struct page *pinned;
	pgoff_t i;

	for (i = 0; i < 5 * L; i++)
		put(a, i, i + 1, 0);
	pinned = page_at(a, 2 * L);
	CHECK(!vmo_cow_pin(&a->cow, 2 * L, 2 * L, true));
	CHECK(!vmo_cow_pin(&a->cow, 2 * L, 2 * L, true));
	CHECK(!vmo_cow_zero(&a->cow, L / 2, 4 * L - 1));
	for (i = 0; i < 5 * L; i++)
		CHECK(get(a, i) == (i < L / 2 || i >= 4 * L ? i + 1 : 0));
	CHECK(page_at(a, 2 * L) == pinned && !page_at(a, 2 * L + 1) && !page_at(a, 2 * L - 1));
	CHECK(vmo_cow_zero(&a->cow, 0, 5 * L) == -ERANGE);
	vmo_cow_unpin(&a->cow, 2 * L, 2 * L);
	CHECK(!vmo_cow_zero(&a->cow, 2 * L, 2 * L) && page_at(a, 2 * L) == pinned);
	vmo_cow_unpin(&a->cow, 2 * L, 2 * L);
	b = content_snapshot(a, 0, 5 * L);
	CHECK(!vmo_cow_zero(&a->cow, 0, 5 * L - 1) && !page_at(a, 2 * L));
	CHECK(get(b, 0) == 1 && get(b, 4 * L) == 4 * L + 1);
	/* Bytes of a page that is shared, and of none. */
	CHECK(!vmo_cow_lock_shared(&b->cow));
	CHECK(!vmo_cow_clear(&b->cow, 2 * L + 1, 0, 8));
	CHECK(vmo_cow_clear(&b->cow, 5 * L, 0, 8) == -ERANGE);
	CHECK(!vmo_cow_clear(&b->cow, 0, 0, PAGE_SIZE));
	vmo_cow_unlock_shared(&b->cow);
	CHECK(!page_at(b, 2 * L + 1));
	CHECK(!get(b, 0) && page_at(b, 0));
	content_free(a);
	content_free(b);
}

/* Who must not wait gets what is known to be ours, and nothing else changes. */
static void t_nowait(void)
{
	struct content *a = content_new(0, 10), *b;
	struct page *page = put(a, 1, 1, 0), *out;
	long allocs = shim.allocs;

	CHECK(vmo_cow_trylock_shared(&a->cow));
	CHECK(!vmo_cow_own_page(&a->cow, 1, VMO_OWN_NOWAIT, &out) && out == page);
	vmo_page_unlock(out);
	vmo_page_put(out);
	CHECK(vmo_cow_own_page(&a->cow, 2, VMO_OWN_NOWAIT, &out) == -EBUSY);
	CHECK(vmo_cow_own_page(&a->cow, 10, VMO_OWN_NOWAIT, &out) == -ERANGE);
	vmo_page_lock(page);
	CHECK(vmo_cow_own_page(&a->cow, 1, VMO_OWN_NOWAIT, &out) == -EBUSY);
	vmo_page_unlock(page);
	vmo_cow_unlock_shared(&a->cow);
	b = content_snapshot(a, 0, 10);
	CHECK(vmo_cow_trylock_shared(&a->cow));
	CHECK(vmo_cow_own_page(&a->cow, 1, VMO_OWN_NOWAIT, &out) == -EBUSY);
	vmo_cow_unlock_shared(&a->cow);
	CHECK(shim.allocs == allocs && page->refs == 1 && page->shares == 1);
	content_free(a);
	content_free(b);
}

/* K3: a clone of a slice does not see what is behind the slice. */
static void t_limit(void)
{
	struct content *a = content_new(0, 5 * L), *b = content_new(L, 5 * L);
	pgoff_t i;

	for (i = 0; i < 5 * L; i++)
		put(a, i, i + 1, VMO_OWN_WRITABLE);
	CHECK(!vmo_cow_snapshot(&a->cow, &b->cow, 2 * L + 3, false));
	for (i = L; i < 5 * L; i++)
		CHECK(i < 2 * L + 3 ? get(b, i) == i + 1 : !page_at(b, i));
	CHECK(page_at(a, 2 * L + 3)->shares == 1);
	content_free(b);
	b = content_new(L, 5 * L);
	CHECK(!vmo_cow_snapshot(&a->cow, &b->cow, L, false) && !b->cow.tree.root);
	content_free(b);
	/* Nothing at all, at the first key: of an empty child, of an empty slice. */
	b = content_new(0, 0);
	CHECK(!vmo_cow_snapshot(&a->cow, &b->cow, VMO_KEY_MAX, false) && !b->cow.tree.root);
	content_free(b);
	b = content_new(0, 5 * L);
	CHECK(!vmo_cow_snapshot(&a->cow, &b->cow, 0, false) && !b->cow.tree.root);
	content_free(b);
	content_free(a);
}

/* A page that goes bad while it is pinned stays where it is, and the pin can end. */
static void t_pin_bad(void)
{
	struct content *a = content_new(0, L), *b = content_new(0, L);
	struct page *page = put(a, 1, 7, 0);

	CHECK(!vmo_cow_pin(&a->cow, 1, 1, true));
	page->poisoned = true;
	CHECK(vmo_cow_snapshot(&a->cow, &b->cow, VMO_KEY_MAX, true) == -EIO);
	CHECK(!b->cow.tree.root && page->shares == 1);
	CHECK(vmo_cow_remove(&a->cow, 0, L - 1) == -EBADFD && page_at(a, 1) == page);
	vmo_cow_unpin(&a->cow, 1, 1);
	CHECK(!vmo_cow_remove(&a->cow, 0, L - 1) && !page_at(a, 1));
	content_free(a);
	content_free(b);
}

/* mine and writable belong to one content and one epoch. */
static void t_bits(void)
{
	struct content *a = content_new(0, 10), *b;
	struct vmo_path path;

	put(a, 1, 1, 0);
	put(a, 2, 1, VMO_OWN_WRITABLE);
	vmo_tree_find(&a->cow.tree, 1, &path);
	CHECK(path.exclusive && path.leaf->mine == 6 && path.leaf->writable == 4);
	CHECK(path.leaf->epoch == a->cow.epoch);
	b = content_snapshot(a, 0, 10);
	CHECK(a->cow.epoch != path.leaf->epoch && b->cow.epoch != path.leaf->epoch);
	vmo_tree_find(&a->cow.tree, 1, &path);
	CHECK(!path.exclusive && !path.leaf->writable);
	put(b, 3, 1, 0);
	vmo_tree_find(&b->cow.tree, 1, &path);
	CHECK(path.exclusive && path.leaf->mine == 8);	/* the others were not looked at */
	content_free(a);
	content_free(b);
}

/* One call does it, if the ranges are short. */
static int transfer(struct content *dst, pgoff_t to, struct content *src, pgoff_t from,
		    pgoff_t count)
{
	pgoff_t done = count;
	int ret = vmo_cow_transfer(&dst->cow, to, &src->cow, from, dst == src && to > from,
				   &done);

	CHECK(ret || done == count);
	return ret;
}

static void t_transfer(void)
{
	pgoff_t far = 1UL << 40, i;
	struct content *a = content_new(0, 8 * L), *b = content_new(far, far + 8 * L);
	struct page *page[3 * L];
	struct vmo_path path;
	long copies = shim.copies;

	for (i = 0; i < 3 * L; i++)
		page[i] = put(a, i, i + 1, VMO_OWN_WRITABLE);
	put(b, far + L + 1, 77, 0);
	put(b, far + 5 * L, 78, 0);
	/* The third leaf goes whole, the others in part. */
	CHECK(!transfer(b, far + L + 5, a, 5, 3 * L - 10));
	for (i = 0; i < 3 * L; i++) {
		if (i < 5 || i >= 3 * L - 5)
			CHECK(page_at(a, i) == page[i]);
		else
			CHECK(!page_at(a, i) && page_at(b, far + L + i) == page[i]);
	}
	CHECK(get(b, far + L + 1) == 77 && get(b, far + 5 * L) == 78);
	vmo_tree_find(&b->cow.tree, far + 2 * L, &path);
	CHECK(path.exclusive && !path.leaf->writable && path.leaf->epoch == b->cow.epoch);
	CHECK(path.leaf->mine == GENMASK_ULL(L - 1, 0));
	/* At other places of their leaves, over what is there, holes too. */
	CHECK(!transfer(b, far + 5 * L - 1, a, 4, 3));
	CHECK(page_at(b, far + 5 * L - 1) == page[4] && !page_at(b, far + 5 * L));
	CHECK(shim.pages == 3 * L + 1 && shim.copies == copies);
	content_free(a);
	content_free(b);
}

/* What others share or hold is copied, and they keep it. */
static void t_transfer_shared(void)
{
	struct content *a = content_new(0, 2 * L), *b, *c = content_new(0, 2 * L);
	struct page *shared = put(a, 1, 11, 0), *held, *own;

	b = content_snapshot(a, 0, 2 * L);
	held = put(a, L, 22, 0);
	own = put(a, L + 1, 33, 0);
	vmo_page_get(held);
	CHECK(!transfer(c, 0, a, 0, 2 * L));
	CHECK(get(c, 1) == 11 && page_at(c, 1) != shared && page_at(b, 1) == shared);
	CHECK(get(c, L) == 22 && page_at(c, L) != held && page_at(c, L + 1) == own);
	CHECK(!page_at(a, 1) && !page_at(a, L) && !page_at(a, L + 1) && held->data == 22);
	vmo_page_put(held);
	put(b, 1, 12, 0);
	CHECK(get(c, 1) == 11 && shim.pages == 4);
	content_free(b);
	content_free(a);
	content_free(c);
}

/* Up, down, by less than a leaf, by whole leaves, in several pieces. */
static void t_transfer_overlap(void)
{
	const pgoff_t n = 3 * 512 + 7, shifts[] = { 1, L - 1, L, 512, 600 };
	struct content *a;
	pgoff_t i, k, to, from, left, done;

	for (k = 0; k < 2 * ARRAY_SIZE(shifts); k++) {
		a = content_new(0, 3 * n);
		from = k % 2 ? shifts[k / 2] : 0;
		to = k % 2 ? 0 : shifts[k / 2];
		for (i = 0; i < n; i++)
			if (i % 3 < 2)
				put(a, from + i, i + 1, 0);
		for (left = n; left; left -= done) {
			pgoff_t skip = k % 2 ? n - left : 0;

			done = left;
			CHECK(!vmo_cow_transfer(&a->cow, to + skip, &a->cow, from + skip,
						!(k % 2), &done));
			CHECK(done && done <= left);
		}
		for (i = 0; i < n; i++)
			CHECK(get(a, to + i) == (i % 3 < 2 ? i + 1 : 0));
		for (i = from; i < from + n; i++)
			CHECK((i >= to && i < to + n) || !page_at(a, i));
		content_free(a);
	}
}

static void t_transfer_refused(void)
{
	struct content *a = content_new(4, 4 * L), *b = content_new(0, 4 * L), *c;
	struct page *page = put(a, 9, 1, 0);
	pgoff_t far = VMO_KEY_MAX - 4, done;
	long visits, copies = shim.copies;

	CHECK(transfer(b, 0, a, 3, 2) == -ERANGE && transfer(a, 3, b, 0, 2) == -ERANGE);
	CHECK(transfer(b, 0, a, 4 * L - 1, 2) == -ERANGE);
	CHECK(transfer(a, 4 * L - 1, b, 0, 2) == -ERANGE);
	CHECK(transfer(b, 0, a, 4, ~0UL) == -ERANGE);
	CHECK(!vmo_cow_pin(&a->cow, 9, 9, true));
	CHECK(transfer(b, 0, a, 4, 3 * L) == -EBADFD && transfer(a, 4, b, 0, 3 * L) == -EBADFD);
	CHECK(!transfer(b, 0, a, 10, 2) && page_at(a, 9) == page);
	vmo_cow_unpin(&a->cow, 9, 9);
	c = content_snapshot(a, 4, 4 * L);
	page->poisoned = true;
	CHECK(transfer(b, 0, a, 4, 3 * L) == -EIO && page_at(a, 9) == page);
	CHECK(shim.copies == copies);
	page->poisoned = false;
	content_free(c);
	content_free(b);
	/* What nobody has anything in costs nothing. */
	b = content_new(0, VMO_KEY_MAX);
	c = content_new(0, VMO_KEY_MAX);
	put(b, far, 5, 0);
	visits = shim.visits;
	done = VMO_KEY_MAX - 1;
	CHECK(!vmo_cow_transfer(&c->cow, 1, &b->cow, 0, false, &done));
	CHECK(done >= far && done < VMO_KEY_MAX && get(c, far + 1) == 5);
	CHECK(shim.visits - visits < 40 * VMO_TREE_LEVELS);
	content_free(a);
	content_free(b);
	content_free(c);
}

struct walked {
	pgoff_t next;
	unsigned int state[3 * VMO_LEAF_SLOTS];
	int calls, stop;
};

static bool walked(pgoff_t first, pgoff_t last, struct page *page, unsigned int state, void *arg)
{
	struct walked *w = arg;

	CHECK(first == w->next && last >= first && !page == !state);
	if (w->calls++ == w->stop)
		return false;
	for (; first <= last && first < ARRAY_SIZE(w->state); first++)
		w->state[first] = state;
	w->next = last + 1;
	return true;
}

static void t_walk(void)
{
	struct content *a = content_new(0, VMO_KEY_MAX), *b;
	struct walked w = { .stop = -1 };
	pgoff_t key = 0;

	put(a, 1, 1, 0);
	put(a, 2 * L, 1, 0);
	b = content_snapshot(a, 0, VMO_KEY_MAX);
	put(a, 2, 1, VMO_OWN_WRITABLE);
	put(a, 3, 1, 0);
	CHECK(!vmo_cow_pin(&a->cow, 4, 4, true));
	while (key < VMO_KEY_MAX)
		CHECK(!vmo_cow_walk(&a->cow, &key, VMO_KEY_MAX - 1, walked, &w));
	CHECK(key == VMO_KEY_MAX && w.next == key && w.calls < 4 * (int)L);
	CHECK(!w.state[0] && w.state[1] == (VMO_STATE_PRESENT | VMO_STATE_SHARED));
	CHECK(w.state[2] == (VMO_STATE_PRESENT | VMO_STATE_WRITABLE));
	CHECK(w.state[3] == VMO_STATE_PRESENT && !w.state[5] && !w.state[L]);
	CHECK(w.state[4] == (VMO_STATE_PRESENT | VMO_STATE_WRITABLE | VMO_STATE_PINNED));
	CHECK(w.state[2 * L] == (VMO_STATE_PRESENT | VMO_STATE_SHARED));
	vmo_cow_unpin(&a->cow, 4, 4);
	/* Whoever has no more room goes on where it stopped. */
	w = (struct walked){ .stop = 3 };
	key = 0;
	CHECK(!vmo_cow_walk(&a->cow, &key, 2 * L, walked, &w) && key == 3);
	content_free(b);
	content_free(a);
}

static void t_prev(void)
{
	const pgoff_t keys[] = { 5, 3 * L, 1UL << 30, (1UL << 40) + 7 };
	struct content *a = content_new(0, VMO_KEY_MAX);
	pgoff_t key = VMO_KEY_MAX, base;
	unsigned int i;

	CHECK(!vmo_tree_prev_leaf(&a->cow.tree, &key, 0));
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		put(a, keys[i], 1, 0);
	key = VMO_KEY_MAX;
	for (i = ARRAY_SIZE(keys); i--; ) {
		base = keys[i] & ~VMO_LEAF_MASK;
		CHECK(vmo_tree_prev_leaf(&a->cow.tree, &key, base + 3));
		CHECK(key == base + VMO_LEAF_MASK);
		key = base + VMO_LEAF_MASK;
		CHECK(vmo_tree_prev_leaf(&a->cow.tree, &key, 0) && key == base + VMO_LEAF_MASK);
		key = base + 2;
		CHECK(vmo_tree_prev_leaf(&a->cow.tree, &key, 0) && key == base + 2);
		key = base - 1;
		CHECK(!vmo_tree_prev_leaf(&a->cow.tree, &key, base - 1) || !base);
		key = base - 1;
	}
	content_free(a);
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "m1 m2: look-up: pages, holes, the largest key", t_lookup },
		{ "limits: -ERANGE outside of the window", t_range },
		{ "gaps cost nothing in a nearly endless object", t_endless },
		{ "remove: whole nodes and boundaries", t_remove },
		{ "remove: the other member keeps all", t_remove_shared },
		{ "snapshot: both sides, a snapshot of one, closes", t_snapshot },
		{ "window: inside, over the end, past it, far base", t_window },
		{ "window: one page does not keep a gigabyte", t_window_small },
		{ "m3: share counts are exact", t_shares },
		{ "inv-ours: a foreign holder forces a copy", t_ours },
		{ "inv-ours: the caller's own reference is none", t_referenced },
		{ "inv-4.3: revoked before the share is dropped", t_order },
		{ "inv-4.5: batches take what they can lock", t_batch },
		{ "inv-4.6: exactly what is writable is revoked", t_revoke },
		{ "inv-4.7: a held page stays, the snapshot copies", t_held },
		{ "inv-4.9: a mapped hole is unmapped when filled", t_hole },
		{ "bad memory: -EIO and nothing changed", t_poison },
		{ "z1 z2: resize: what was cut stays cut", t_resize },
		{ "seek: data and holes", t_seek },
		{ "usage: the sum of a family is what it holds", t_usage },
		{ "diff: ranges, heights, equal nodes skipped", t_diff },
		{ "diff: stops and goes on", t_diff_in_parts },
		{ "iteration skips gaps", t_iterate },
		{ "n2 n5 k6 inv-4.7: what a pin keeps and blocks", t_pin },
		{ "n4: 65,535 pins of a page", t_pin_most },
		{ "n5: a page that goes bad while it is pinned", t_pin_bad },
		{ "o3: zero gives pages up, but clears pinned ones", t_zero },
		{ "own without waiting", t_nowait },
		{ "k3 k7: a snapshot of a slice ends with it", t_limit },
		{ "bitmaps are of one content and epoch", t_bits },
		{ "x2: transfer moves what is ours, leaves whole", t_transfer },
		{ "x2: transfer copies what others share or hold", t_transfer_shared },
		{ "x2: transfer within a content, over itself", t_transfer_overlap },
		{ "x1: transfer: ranges, pins, bad memory, gaps", t_transfer_refused },
		{ "v1: walk: states, holes, stopping", t_walk },
		{ "iteration backwards", t_prev },
	};
	int ret;

	shim_init();
	tap_failed = shim_reset;
	ret = tap_main(tests, sizeof(tests) / sizeof(*tests));
	if (!ret && (shim.pages || shim.nodes)) {
		printf("# %ld pages and %ld nodes left\n", shim.pages, shim.nodes);
		ret = 1;
	}
	return ret;
}
