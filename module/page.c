// SPDX-License-Identifier: GPL-2.0
/*
 * Pages and nodes in the kernel; see page.h.
 *
 * A page that was handed out writable has a *home*: the address_space and the
 * key by which process-shared futexes find it. Home is set by the mapping code
 * under the page lock and cleared here, under the page lock, when the last
 * share goes, whoever else still holds the page then.
 */
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "page.h"
#include "page_tree.h"
#include "home.h"

static struct kmem_cache *inner_cache;
static struct kmem_cache *leaf_cache;
static struct page *zero_pages[VMO_ZERO_PAGES];

static DEFINE_PER_CPU(long, nr_pages);
static DEFINE_PER_CPU(long, nr_nodes);

void vmo_counters_read(struct vmo_counters *sum)
{
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		sum->pages += READ_ONCE(per_cpu(nr_pages, cpu));
		sum->nodes += READ_ONCE(per_cpu(nr_nodes, cpu));
	}
}

/* ---- pages ------------------------------------------------------------- */

/* What page->private has: shares, and above them pins. */
#define ONE_PIN		(1UL << 48)
#define SHARES_MASK	(ONE_PIN - 1)

static inline atomic_long_t *shares_of(struct page *page)
{
	BUILD_BUG_ON(sizeof(page->private) != sizeof(atomic_long_t));
	return (atomic_long_t *)&page->private;
}

/*
 * At the limit of a memory cgroup, too, __GFP_RETRY_MAYFAIL fails where the OOM
 * killer would be called.
 */
static gfp_t may_fail(unsigned int flags)
{
	return flags & VMO_ALLOC_FAULT ? 0 : __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
}

struct page *vmo_page_alloc(unsigned int flags)
{
	struct page *page = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT | may_fail(flags) |
				       (flags & VMO_ALLOC_ZERO ? __GFP_ZERO : 0));

	if (!page)
		return NULL;
	atomic_long_set(shares_of(page), 1);
	/* Nobody may take it for a clean page of a page cache, and drop it. */
	SetPageDirty(page);
	this_cpu_inc(nr_pages);
	return page;
}

void vmo_page_clear(struct page *page, unsigned int from, unsigned int to)
{
	zero_user_segment(page, from, to);
}

int vmo_page_copy(struct page *dst, struct page *src)
{
	return PageHWPoison(src) || copy_mc_highpage(dst, src) ? -EIO : 0;
}

static bool all_zeroes(struct page *page)
{
	char *addr = kmap_local_page(page);
	bool zeroes = !memchr_inv(addr, 0, PAGE_SIZE);

	kunmap_local(addr);
	return zeroes;
}

bool vmo_page_same(struct page *a, struct page *b)
{
	char *from, *to;
	bool same;

	if ((a && PageHWPoison(a)) || (b && PageHWPoison(b)))
		return false;
	if (!a || !b)
		return all_zeroes(a ? a : b);
	from = kmap_local_page(a);
	to = kmap_local_page(b);
	same = !memcmp(from, to, PAGE_SIZE);
	kunmap_local(to);
	kunmap_local(from);
	return same;
}

bool vmo_page_poisoned(struct page *page)
{
	return PageHWPoison(page);
}

void vmo_page_share(struct page *page)
{
	atomic_long_inc(shares_of(page));
}

long vmo_page_shares(struct page *page)
{
	return atomic_long_read_acquire(shares_of(page)) & SHARES_MASK;
}

bool vmo_page_pin(struct page *page)
{
	/* The page lock keeps out others who count up. */
	if (vmo_page_pins(page) == VMO_PAGE_PINS_MAX)
		return false;
	get_page(page);
	atomic_long_add(ONE_PIN, shares_of(page));
	return true;
}

void vmo_page_unpin(struct page *page)
{
	atomic_long_sub(ONE_PIN, shares_of(page));
	put_page(page);
}

unsigned int vmo_page_pins(struct page *page)
{
	return (unsigned long)atomic_long_read(shares_of(page)) / ONE_PIN;
}

/* The last share is gone and the page locked, or it never had a home. */
static void give_up(struct page *page)
{
	vmo_home_clear(page);
	this_cpu_dec(nr_pages);
}

void vmo_page_unshare_locked(struct page *page)
{
	if (!atomic_long_dec_and_test(shares_of(page)))
		return;
	give_up(page);
	put_page(page);		/* not the last: the caller has one */
}

void vmo_page_unshare(struct page *page)
{
	bool home;

	if (!atomic_long_dec_and_test(shares_of(page)))
		return;
	/* Without shares nobody hands it out any more, so this cannot change. */
	home = vmo_page_has_home(page);
	if (home)
		lock_page(page);
	give_up(page);
	if (home)
		unlock_page(page);
	put_page(page);
}

void vmo_page_leave_home(struct page *page)
{
	if (!vmo_page_has_home(page))
		return;
	lock_page(page);
	vmo_home_clear(page);
	unlock_page(page);
}

/* Of an order-0 page; the helpers for it differ from kernel to kernel. */
static inline int mapcount(struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}

bool vmo_page_mapped(struct page *page)
{
	return mapcount(page) > 0;
}

bool vmo_page_held(struct page *page, int callers)
{
	return page_count(page) != 1 + callers;
}

bool vmo_page_in_use(struct page *page, int callers)
{
	int maps = mapcount(page), refs;

	smp_rmb();	/* the references between the two looks at the PTEs */
	refs = page_count(page);
	smp_rmb();	/* as above */
	return maps != mapcount(page) || refs != 1 + maps + callers;
}

/*
 * Cleared only of contents that are watched. Their pages are safe without it, too: they
 * are on no LRU list and in no page cache, so nobody comes across them there.
 */
bool vmo_page_test_clear_dirty(struct page *page)
{
	return PageDirty(page) && TestClearPageDirty(page);
}

bool vmo_page_dirty(struct page *page)
{
	return folio_test_dirty(page_folio(page));
}

void vmo_page_get(struct page *page)
{
	get_page(page);
}

void vmo_page_put(struct page *page)
{
	put_page(page);
}

void vmo_page_lock(struct page *page)
{
	lock_page(page);
}

bool vmo_page_trylock(struct page *page)
{
	return trylock_page(page);
}

void vmo_page_unlock(struct page *page)
{
	unlock_page(page);
}

bool vmo_page_locked(struct page *page)
{
	return PageLocked(page);
}

void vmo_page_wait_unlocked(struct page *page)
{
	folio_wait_locked(page_folio(page));
}

/* ---- the zero pages ---------------------------------------------------- */

struct page *vmo_page_zero_nth(unsigned int nth)
{
	return zero_pages[nth];
}

struct page *vmo_page_zero(const void *content, pgoff_t key)
{
	return zero_pages[hash_long((unsigned long)content + key, ilog2(VMO_ZERO_PAGES))];
}

/* They alone have no shares while they are mapped. */
bool vmo_page_is_zero(struct page *page)
{
	return !atomic_long_read(shares_of(page));
}

static void free_zero_pages(void)
{
	unsigned int i;

	for (i = 0; i < VMO_ZERO_PAGES; i++)
		if (zero_pages[i])
			put_page(zero_pages[i]);
}

/* ---- nodes ------------------------------------------------------------- */

void *vmo_node_alloc(bool leaf, unsigned int flags)
{
	void *node = kmem_cache_zalloc(leaf ? leaf_cache : inner_cache,
				       GFP_KERNEL | may_fail(flags));

	if (node)
		this_cpu_inc(nr_nodes);
	return node;
}

void vmo_node_free(void *node, bool leaf)
{
	this_cpu_dec(nr_nodes);
	kmem_cache_free(leaf ? leaf_cache : inner_cache, node);
}

int vmo_pages_init(void)
{
	unsigned int i;

	inner_cache = kmem_cache_create("vmo_inner", sizeof(struct vmo_inner), 0, SLAB_ACCOUNT,
					NULL);
	leaf_cache = kmem_cache_create("vmo_leaf", sizeof(struct vmo_leaf), 0, SLAB_ACCOUNT,
				       NULL);
	if (!inner_cache || !leaf_cache)
		goto err;
	for (i = 0; i < VMO_ZERO_PAGES; i++) {
		zero_pages[i] = alloc_page(GFP_HIGHUSER | __GFP_ZERO);
		if (!zero_pages[i])
			goto err;
	}
	return 0;
err:
	vmo_pages_exit();
	return -ENOMEM;
}

void vmo_pages_exit(void)
{
	free_zero_pages();
	kmem_cache_destroy(leaf_cache);
	kmem_cache_destroy(inner_cache);
}
