// SPDX-License-Identifier: GPL-2.0
#include "family.h"

#define REQUIRE(cond) \
	do { \
		if (!(cond)) \
			shim_fail(__FILE__, __LINE__, #cond); \
	} while (0)

/* ---- taking back ------------------------------------------------------- */

static void drop_pte(struct pte *pte)
{
	if (!pte->page)
		return;
	if (pte->dirty)
		__atomic_store_n(&pte->page->dirty, true, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&pte->page->maps, 1, __ATOMIC_SEQ_CST);
	vmo_page_put(pte->page);
	*pte = (struct pte){ };
}

static void lock_map(struct mapping *map)
{
	shim_step();
	if (!shim_wait_hook)
		pthread_mutex_lock(&map->lock);
	else
		while (pthread_mutex_trylock(&map->lock))
			shim_wait_hook();
}

static void unlock_map(struct mapping *map)
{
	pthread_mutex_unlock(&map->lock);
}

static void zap(struct mapping *map, pgoff_t first, pgoff_t last)
{
	struct pte old;

	for (; first <= last && first < MAP_KEYS; first++) {
		lock_map(map);
		old = map->pte[first];
		map->pte[first] = (struct pte){ };
		/* As the MMU's owner does: before anybody can see that the PTE is gone. */
		if (old.dirty)
			__atomic_store_n(&old.page->dirty, true, __ATOMIC_SEQ_CST);
		unlock_map(map);
		drop_pte(&old);
	}
}

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

	REQUIRE(shim_holds_sem() && !shim_holds_leaf() && first <= last);
	if (c->map) {
		zap(c->map, first, last);
		return;
	}
	c->unmaps++;
	c->cows += even_cows;
	note(c, first, last);
}

static void clean(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		  unsigned long *dirty)
{
	struct mapping *map = container_of(cow, struct content, cow)->map;
	pgoff_t key;

	REQUIRE(shim_holds_excl() && !shim_holds_leaf() && first <= last);
	for (key = first; map && key <= last && key < MAP_KEYS; key++) {
		lock_map(map);
		if (map->pte[key].dirty)
			set_bit(key - first, dirty);
		map->pte[key].dirty = false;
		unlock_map(map);
	}
}

static const struct vmo_cow_ops ops = { unmap, clean };

/* ---- contents ---------------------------------------------------------- */

void content_reset(struct content *c)
{
	c->unmaps = 0;
	c->cows = 0;
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

	CHECK(!vmo_cow_snapshot(&parent->cow, &c->cow, VMO_KEY_MAX, false));
	return c;
}

void content_free(struct content *c)
{
	if (c->map)
		zap(c->map, 0, MAP_KEYS - 1);
	vmo_cow_destroy(&c->cow);
	pthread_rwlock_destroy(&c->cow.lock.l);
	free(c->map);
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
	struct page *page;
	u64 data = 0;

	CHECK(!vmo_cow_lock_shared(&c->cow));
	page = vmo_cow_lookup(&c->cow, key);
	vmo_cow_unlock_shared(&c->cow);
	if (page) {
		data = __atomic_load_n(&page->data, __ATOMIC_RELAXED);
		vmo_page_put(page);
	}
	return data;
}

/* ---- mappings ---------------------------------------------------------- */

void map_content(struct content *c)
{
	c->map = calloc(1, sizeof(*c->map));
	pthread_mutex_init(&c->map->lock, NULL);
}

/*
 * Puts @page, locked, where no PTE is, or makes its PTE writable. What another
 * page's PTE is there for is found out by the next try.
 */
static void install(struct mapping *map, pgoff_t key, struct page *page, bool writable)
{
	struct pte *pte = &map->pte[key];

	lock_map(map);
	if (!pte->page) {
		vmo_page_get(page);
		__atomic_add_fetch(&page->maps, 1, __ATOMIC_SEQ_CST);
		*pte = (struct pte){ page, writable, writable };
	} else if (pte->page == page) {
		pte->writable |= writable;
		pte->dirty |= writable;
	}
	if (writable)
		__atomic_store_n(&page->dirty, true, __ATOMIC_SEQ_CST);
	unlock_map(map);
	vmo_page_unlock(page);
	vmo_page_put(page);
}

/* In front of the @nth try of an access. */
static void again(int nth)
{
	REQUIRE(nth < 1000);		/* else a PTE is stale for good */
	if (nth && shim_wait_hook)
		shim_wait_hook();
}

static struct page *pte_page(struct mapping *map, pgoff_t key)
{
	struct page *page;

	lock_map(map);
	page = map->pte[key].page;
	if (page)
		vmo_page_get(page);
	unlock_map(map);
	return page;
}

static int fault(struct content *c, pgoff_t key, bool write)
{
	/* As for page_mkwrite the core has a reference of what the PTE shows. */
	struct page *core = pte_page(c->map, key), *page = core;
	int ret = 0;

	REQUIRE(!vmo_cow_lock_shared(&c->cow));
	if (key >= c->cow.end)
		ret = -ERANGE;
	else if (write)
		ret = vmo_cow_own_page(&c->cow, key, VMO_OWN_WRITABLE |
				       (core ? VMO_OWN_REFERENCED : 0), &page);
	else if (vmo_cow_absent(&c->cow, key))
		ret = -ENODATA;
	else
		page = vmo_cow_read_page(&c->cow, key);
	vmo_cow_unlock_shared(&c->cow);
	if (!ret)
		install(c->map, key, page, write);
	if (core)
		vmo_page_put(core);
	if (ret == -ENODATA)
		ret = vmo_cow_need(&c->cow, key, key, write ? VMO_WANT_WRITE : VMO_WANT_READ);
	return ret;
}

int map_load(struct content *c, pgoff_t key, u64 *data)
{
	struct pte *pte = &c->map->pte[key];
	int tries = 0, ret;

	for (;;) {
		lock_map(c->map);
		if (pte->page) {
			*data = __atomic_load_n(&pte->page->data, __ATOMIC_RELAXED);
			unlock_map(c->map);
			return 0;
		}
		unlock_map(c->map);
		again(tries++);
		ret = fault(c, key, false);
		if (ret)
			return ret;
	}
}

int map_store(struct content *c, pgoff_t key, u64 data)
{
	struct pte *pte = &c->map->pte[key];
	int tries = 0, ret;

	for (;;) {
		lock_map(c->map);
		if (pte->writable) {
			__atomic_store_n(&pte->page->data, data, __ATOMIC_RELAXED);
			pte->dirty = true;
			unlock_map(c->map);
			return 0;
		}
		unlock_map(c->map);
		again(tries++);
		ret = fault(c, key, true);
		if (ret)
			return ret;
	}
}

void map_around(struct content *c, pgoff_t first, pgoff_t last)
{
	struct page *page;

	REQUIRE(!vmo_cow_lock_shared(&c->cow));
	for (; first <= last && first < c->cow.end; first++) {
		vmo_cow_try_read_pages(&c->cow, first, first, &page);
		if (page)
			install(c->map, first, page, false);
	}
	vmo_cow_unlock_shared(&c->cow);
}

struct page *map_pin(struct content *c, pgoff_t key)
{
	struct page *page;
	u64 data;

	for (;;) {
		page = pte_page(c->map, key);
		if (page || map_load(c, key, &data))
			return page;
	}
}

static bool marked_writable(struct content *c, pgoff_t key)
{
	struct vmo_path path;
	unsigned int level, shift;

	if (!vmo_tree_find(&c->cow.tree, key, &path) || !path.exclusive)
		return false;
	for (level = 1; level < VMO_TREE_LEVELS && path.inner[level]; level++) {
		shift = VMO_LEAF_SHIFT + (level - 1) * VMO_INNER_SHIFT;
		if (!(path.inner[level]->writable[0] >> ((key >> shift) % VMO_INNER_SLOTS) & 1))
			return false;
	}
	return path.leaf->writable >> (key & VMO_LEAF_MASK) & 1;
}

void map_check(struct content *c)
{
	struct page *page, *zero;
	struct pte *pte;
	pgoff_t key;

	for (key = 0; key < MAP_KEYS; key++) {
		pte = &c->map->pte[key];
		if (!pte->page)
			continue;
		REQUIRE(key >= c->cow.base && key < c->cow.end);
		page = page_at(c, key);
		zero = vmo_page_zero(vmo_cow_provider(&c->cow), key);
		REQUIRE(pte->page == (page ? page : zero));
		if (pte->writable)
			REQUIRE(page && page->shares == 1 && marked_writable(c, key));
	}
}
