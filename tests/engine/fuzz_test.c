// SPDX-License-Identifier: GPL-2.0
/*
 * Random differential test: the engine against an array of versions.
 *
 * A *version* is what one write made of one page. The model knows for each
 * member and index which version it reads, so it says exactly which members
 * share a page, when a write may happen in place, and how many pages the whole
 * family holds. PTEs and foreign holders of pages are modelled as well.
 */
#include <time.h>

#include "shim.h"

#define KEYS		512
#define MEMBERS		24
#define HOLDERS		6
#define CHUNK		128
#define WATCHES		2

struct version {
	int members;		/* that have it, and bases */
	struct page *page;
	u64 data;
};

struct pte {
	struct page *page;
	bool writable;
	bool dirty;
};

/* Which keys it has to report next, and which it may. */
struct watch {
	bool on;
	struct vmo_watch watch;
	bool must[KEYS];
	bool may[KEYS];
};

struct member {
	bool alive;
	unsigned long born;
	struct vmo_cow_pages cow;
	int first, end;		/* model indices; the window */
	int depth;
	struct version *v[KEYS];
	struct version *base[KEYS];	/* what it can go back to */
	int base_end;
	bool mine[KEYS];
	bool writable[KEYS];
	struct pte pte[KEYS];
	struct watch watch[WATCHES];
};

struct holder {
	struct page *page;
	u64 data;
	bool writer;
	bool gathered;		/* whoever watches has seen that it is held */
	int member, index;
};

static struct member members[MEMBERS];
static struct holder holders[HOLDERS];
static long versions;
static u64 rng, next_data = 1;
static unsigned long op_nr, seed;
static bool family_changed;	/* of all families */
static unsigned long births;
static bool copying;		/* own() expects that the page is replaced */
static struct member *revoking;	/* a snapshot of it is being taken */
static struct {
	unsigned long writes, shared, depth, snaps, failed, moved, rewinds, stayed, harvested;
} stats;

static void say_where(void)
{
	fprintf(stderr, "# fuzz: seed %lu, operation %lu\n", seed, op_nr);
}

static void fail(const char *what, int line)
{
	shim_fail(__FILE__, line, what);
}

#define CHECK(cond) do { if (!(cond)) fail(#cond, __LINE__); } while (0)

static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dULL >> 16;
}

/* Clusters far apart, so that trees are high. */
static pgoff_t key_of(int i)
{
	return (pgoff_t)(i / CHUNK) * (1UL << 20) + i % CHUNK;
}

/* The first key past index i-1: windows end where clusters do not matter. */
static pgoff_t end_of(int i)
{
	return i ? key_of(i - 1) + 1 : 0;
}

/* ---- failures ---------------------------------------------------------- */

/* Now and then an allocation or a wait of the next call fails. */
static void arm(void)
{
	shim_failed = false;
	shim_fail_nth = rnd() % 16 ? 0 : 1 + rnd() % 8;
}

/* Did it fail as it should have, or not at all? */
static int disarm(int ret)
{
	shim_fail_nth = 0;
	stats.failed += shim_failed;
	CHECK(shim_failed == (ret == -ENOMEM || ret == -EINTR));
	CHECK(!ret || shim_failed || ret == -EIO);
	return ret;
}

/* ---- mappings ---------------------------------------------------------- */

static struct member *of_cow(struct vmo_cow_pages *cow)
{
	return container_of(cow, struct member, cow);
}

static void drop_pte(struct member *m, int i)
{
	struct pte *pte = &m->pte[i];

	if (!pte->page)
		return;
	pte->page->dirty |= pte->dirty;
	__atomic_sub_fetch(&pte->page->maps, 1, __ATOMIC_SEQ_CST);
	vmo_page_put(pte->page);
	*pte = (struct pte){ };
}

static void cb_unmap(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool even)
{
	struct member *m = of_cow(cow);
	int i;

	(void)even;
	CHECK(shim_holds_sem() && !shim_holds_leaf() && first <= last);
	CHECK(!revoking || (m == revoking && shim_holds_excl()));
	for (i = 0; i < KEYS; i++) {
		if (key_of(i) < first || key_of(i) > last)
			continue;
		/* inv-4.3: what is still mapped must not look exclusive to others */
		if (m->pte[i].page && m->v[i])
			CHECK(m->pte[i].page->shares > (copying && m->v[i]->members > 1));
		/* inv-4.6: runs begin and end with what is writable */
		if (revoking && (key_of(i) == first || key_of(i) == last))
			CHECK(m->writable[i]);
		drop_pte(m, i);
	}
}

static void cb_clean(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		     unsigned long *dirty)
{
	struct member *m = of_cow(cow);
	int i;

	CHECK(shim_holds_excl() && !shim_holds_leaf() && first <= last);
	for (i = 0; i < KEYS; i++) {
		if (key_of(i) < first || key_of(i) > last)
			continue;
		if (m->pte[i].dirty)
			set_bit(key_of(i) - first, dirty);
		m->pte[i].dirty = false;
	}
}

static const struct vmo_cow_ops ops = { cb_unmap, cb_clean };

static void set_pte(struct member *m, int i, struct page *page, bool writable)
{
	struct pte *pte = &m->pte[i];

	page->dirty |= writable;
	if (pte->page == page) {
		pte->writable |= writable;
		pte->dirty |= writable;
		return;
	}
	CHECK(!pte->page);	/* a replaced page must have been unmapped */
	vmo_page_get(page);
	__atomic_add_fetch(&page->maps, 1, __ATOMIC_SEQ_CST);
	*pte = (struct pte){ page, writable, writable };
}

/* ---- the model --------------------------------------------------------- */

static void put_version(struct version *v)
{
	if (v && !--v->members) {
		versions--;
		free(v);
	}
}

static void leave(struct member *m, int i)
{
	struct version *v = m->v[i];

	m->v[i] = NULL;
	m->mine[i] = false;
	m->writable[i] = false;
	put_version(v);
}

static struct version *fresh(u64 data, struct page *page)
{
	struct version *v = calloc(1, sizeof(*v));

	v->members = 1;
	v->data = data;
	v->page = page;
	versions++;
	return v;
}

static int foreign(struct page *page)
{
	int i, n = 0;

	for (i = 0; i < HOLDERS; i++)
		n += holders[i].page == page;
	return n;
}

static bool in_window(struct member *m, int i)
{
	return i >= m->first && i < m->end;
}

/* Something has become of the page, or maybe not. */
static void tell(struct member *m, int i, bool must)
{
	struct watch *w;

	for (w = m->watch; w < m->watch + WATCHES; w++) {
		w->must[i] |= must;
		w->may[i] = true;
	}
}

/* Of all pages that @m has. */
static void tell_pages(struct member *m, int first, int last, bool must)
{
	for (; first <= last; first++)
		if (m->v[first])
			tell(m, first, must);
}

/* What is held may be reported until after it was let go. */
static void tell_held(struct member *m)
{
	int i;

	for (i = 0; i < KEYS; i++)
		if (m->v[i] && m->v[i]->page && foreign(m->v[i]->page))
			tell(m, i, false);
}

static void check_index(struct member *m, int i)
{
	struct version *v = m->v[i];
	struct page *page;

	CHECK(!vmo_cow_lock_shared(&m->cow));
	page = vmo_cow_lookup(&m->cow, key_of(i));
	vmo_cow_unlock_shared(&m->cow);
	CHECK(!page == !v);
	if (v) {
		if (!v->page)
			v->page = page;
		CHECK(v->page == page);
		CHECK(page->data == v->data);
		vmo_page_put(page);
	}
	if (m->pte[i].page) {
		CHECK(in_window(m, i));
		if (v)
			CHECK(m->pte[i].page == v->page);
		else
			CHECK(m->pte[i].page == vmo_page_zero(&m->cow, key_of(i)));
		if (m->pte[i].writable)
			CHECK(v && v->members == 1 && m->writable[i]);
	}
}

static void check_range(struct member *m, int first, int last)
{
	for (; first <= last; first++)
		check_index(m, first);
}

static void check_holders(void)
{
	int i;

	for (i = 0; i < HOLDERS; i++)
		if (holders[i].page && !holders[i].writer)
			CHECK(holders[i].page->data == holders[i].data);
}

static void check_all(void)
{
	int i;

	for (i = 0; i < MEMBERS; i++)
		if (members[i].alive)
			check_range(&members[i], 0, KEYS - 1);
	check_holders();
	CHECK(shim.pages == versions);
	shim_check_idle();
}

/* ---- operations -------------------------------------------------------- */

static void count_write(struct member *m, int i)
{
	struct vmo_path path;

	vmo_tree_find(&m->cow.tree, key_of(i), &path);
	stats.writes++;
	stats.shared += path.leaf && !path.exclusive;
	stats.depth += m->depth;
}

/* May the page of index @i be written in place? Exactly then it is. */
static bool is_ours(struct member *m, int i)
{
	struct version *v = m->v[i];

	return v && v->members == 1 &&
	       (m->mine[i] || m->writable[i] || !foreign(v->page));
}

/* Whoever holds a page of @m since it was exclusive sees what @m writes. */
static void write_in_place(struct member *m, struct version *v, u64 data)
{
	int i;

	v->data = data;
	v->page->data = data;
	for (i = 0; i < HOLDERS; i++) {
		if (holders[i].page != v->page || holders[i].writer)
			continue;
		CHECK(holders[i].member == m - members);
		holders[i].data = data;
	}
}

/* Returns with the content lock and the page, or with neither. */
static int try_own(struct member *m, int i, unsigned int flags, struct page **page)
{
	struct page *core = flags & VMO_OWN_WRITABLE ? m->pte[i].page : NULL;
	int ret;

	/* In page_mkwrite the core holds what the PTE shows. */
	*page = core;
	if (core) {
		flags |= VMO_OWN_REFERENCED;
		vmo_page_get(core);
	}
	arm();
	ret = vmo_cow_lock_shared(&m->cow);
	if (!ret) {
		ret = vmo_cow_own_page(&m->cow, key_of(i), flags, page);
		if (ret && ret != -EINTR)
			vmo_cow_unlock_shared(&m->cow);
	}
	if (core)
		vmo_page_put(core);
	return disarm(ret);
}

static bool bit_mine(struct member *m, int i)
{
	struct vmo_leaf *leaf;
	struct vmo_path path;

	leaf = vmo_tree_find(&m->cow.tree, key_of(i), &path);
	return leaf && leaf->epoch == m->cow.epoch &&
	       leaf->mine >> (key_of(i) & VMO_LEAF_MASK) & 1;
}

static bool bit_writable(struct member *m, int i)
{
	struct vmo_path path;

	vmo_tree_find(&m->cow.tree, key_of(i), &path);
	return path.leaf && path.exclusive &&
	       path.leaf->writable >> (key_of(i) & VMO_LEAF_MASK) & 1;
}

/* What a commit that failed did or did not get to. */
static bool was_committed(struct member *m, int i)
{
	struct page *page;

	CHECK(!vmo_cow_lock_shared(&m->cow));
	page = vmo_cow_lookup(&m->cow, key_of(i));
	vmo_cow_unlock_shared(&m->cow);
	if (page)
		vmo_page_put(page);
	return page != (m->v[i] ? m->v[i]->page : NULL);
}

static void own(struct member *m, int i, unsigned int flags, u64 data)
{
	struct version *v = m->v[i];
	bool inplace = is_ours(m, i);
	struct page *page;
	int ret;

	count_write(m, i);
	copying = !inplace;
	ret = try_own(m, i, flags ? flags : VMO_OWN_WRITTEN, &page);
	copying = false;
	tell(m, i, !ret);
	if (ret) {
		CHECK(ret != -EIO || (!inplace && v->page->poisoned));
		shim_check_idle();
		/* Then it was noting the write that failed. */
		if (was_committed(m, i)) {
			CHECK(m->watch[0].on || m->watch[1].on);
			data = v ? v->data : 0;
			leave(m, i);
			m->v[i] = fresh(data, NULL);
		}
		m->mine[i] = bit_mine(m, i);
		check_index(m, i);
		return;
	}
	CHECK(inplace ? page == v->page : !v || (page != v->page && !v->page->poisoned));
	CHECK(page->data == (v ? v->data : 0));
	page->data = data;
	if (flags & VMO_OWN_WRITABLE)
		set_pte(m, i, page, true);
	vmo_page_unlock(page);
	vmo_page_put(page);
	vmo_cow_unlock_shared(&m->cow);
	if (inplace) {
		write_in_place(m, v, data);
	} else {
		leave(m, i);
		m->v[i] = fresh(data, page);
	}
	m->mine[i] = true;
	if (flags & VMO_OWN_WRITABLE)
		m->writable[i] = true;
	check_index(m, i);
}

static void write_pte(struct member *m, int i)
{
	struct pte *pte = &m->pte[i];

	if (!pte->page || !pte->writable)
		return;
	CHECK(m->v[i] && m->v[i]->members == 1 && m->v[i]->page == pte->page);
	write_in_place(m, m->v[i], next_data++);
	pte->dirty = true;
	tell(m, i, true);
}

static void map_read(struct member *m, int i)
{
	struct page *page;

	CHECK(!vmo_cow_lock_shared(&m->cow));
	page = vmo_cow_read_page(&m->cow, key_of(i));
	set_pte(m, i, page, false);
	vmo_page_unlock(page);
	vmo_page_put(page);
	vmo_cow_unlock_shared(&m->cow);
	check_index(m, i);
}

static void do_remove(struct member *m, int first, int last)
{
	int i, ret;

	arm();
	ret = disarm(vmo_cow_remove(&m->cow, key_of(first), key_of(last)));
	tell_pages(m, first, last, !ret);
	for (i = first; !ret && i <= last; i++)
		leave(m, i);
	check_range(m, first, last);
}

static void commit(struct member *m, int first, int last)
{
	bool inplace[KEYS], failed;
	u64 data;
	int i;

	/* A commit of the gap between clusters would be a million pages. */
	last = min(last, first / CHUNK * CHUNK + CHUNK - 1);
	for (i = first; i <= last; i++)
		inplace[i] = is_ours(m, i);
	arm();
	failed = disarm(vmo_cow_commit(&m->cow, key_of(first), key_of(last)));
	for (i = first; i <= last; i++) {
		data = m->v[i] ? m->v[i]->data : 0;
		if (!inplace[i] && (!failed || was_committed(m, i))) {
			leave(m, i);
			m->v[i] = fresh(data, NULL);
		}
		m->mine[i] = failed ? bit_mine(m, i) : true;
		check_index(m, i);
	}
}

static void resize(struct member *m)
{
	int end = m->first + 1 + rnd() % (KEYS - m->first), i, ret;

	arm();
	ret = disarm(vmo_cow_resize(&m->cow, end_of(end)));
	tell_pages(m, end, m->end - 1, !ret);
	if (!ret) {
		for (i = end; i < m->end; i++)
			leave(m, i);
		m->end = end;
	}
	check_range(m, 0, KEYS - 1);
}

/* What the target gets of index @i, which @m gives up. */
static struct version *give(struct member *m, int i)
{
	struct version *v = m->v[i];
	u64 data;

	if (!v)
		return NULL;
	if (v->members == 1 && !foreign(v->page)) {
		m->v[i] = NULL;
		m->mine[i] = false;
		m->writable[i] = false;
		return v;
	}
	data = v->data;
	leave(m, i);
	return fresh(data, NULL);
}

/* Both ranges lie within a cluster. */
static void transfer(struct member *dst, int to, struct member *src, int from, int count)
{
	struct version *taken[CHUNK];
	pgoff_t done;
	int i, ret;

	count = min(count, min(CHUNK - to % CHUNK, CHUNK - from % CHUNK));
	count = min(count, min(dst->end - to, src->end - from));
	done = count;
	arm();
	ret = disarm(vmo_cow_transfer(&dst->cow, key_of(to), &src->cow, key_of(from),
				      dst == src && to > from, &done));
	tell_pages(src, from, from + count - 1, !ret);
	tell_pages(dst, to, to + count - 1, !ret);
	for (i = 0; i < count; i++)
		if (src->v[from + i])
			tell(dst, to + i, !ret);
	if (!ret) {
		CHECK(done == (pgoff_t)count);
		for (i = 0; i < count; i++)
			taken[i] = give(src, from + i);
		for (i = 0; i < count; i++) {
			leave(dst, to + i);
			dst->v[to + i] = taken[i];
			dst->mine[to + i] = taken[i];
		}
		stats.moved += count;
	}
	check_range(src, from, from + count - 1);
	check_range(dst, to, to + count - 1);
}

static struct member *spare(void)
{
	int i;

	for (i = 0; i < MEMBERS; i++)
		if (!members[i].alive)
			return &members[i];
	return NULL;
}

static void keep_base(struct member *m)
{
	int i;

	vmo_cow_keep_base(&m->cow);
	m->base_end = m->end;
	for (i = 0; i < KEYS; i++) {
		m->base[i] = m->v[i];
		if (m->base[i])
			m->base[i]->members++;
	}
}

/* Only what was written since the last time keeps its page. */
static void go_back(struct member *m, int i)
{
	struct version *v = m->v[i], *base = m->base[i];
	struct page *page = v ? v->page : NULL;
	bool stays = v && base && v != base && is_ours(m, i) && (m->mine[i] || m->writable[i]) &&
		     !foreign(page);

	leave(m, i);
	m->v[i] = stays ? fresh(base->data, page) : base;
	stats.stayed += stays;
	if (base && !stays)
		base->members++;
}

static void rewind_member(struct member *m)
{
	int i, ret;

	arm();
	ret = vmo_cow_rewind(&m->cow);
	CHECK(m->cow.has_base == (ret != -EOPNOTSUPP));
	if (ret == -EOPNOTSUPP) {
		disarm(0);
		return;
	}
	disarm(ret);
	for (i = 0; i < KEYS; i++)
		if (m->v[i] != m->base[i])
			tell(m, i, !ret);
	if (ret)
		return;
	for (i = 0; i < KEYS; i++)
		go_back(m, i);
	m->end = m->base_end;
	stats.rewinds++;
	check_range(m, 0, KEYS - 1);
}

static void init_cow(struct member *m)
{
	vmo_cow_init(&m->cow, &ops, key_of(m->first), end_of(m->end));
	m->cow.family_changed = &family_changed;
	m->born = ++births;
}

static void init_child(struct member *m, struct member *c)
{
	memset(c, 0, sizeof(*c));
	c->first = m->first;
	c->end = KEYS;
	if (rnd() % 8 == 0) {
		c->first = m->first + rnd() % (m->end - m->first);
		c->end = c->first + 1 + rnd() % (KEYS - c->first);
	} else if (rnd() % 4 == 0) {
		c->end = m->end;
	}
	c->depth = m->depth + 1;
	init_cow(c);
}

static int try_snapshot(struct member *m, struct member *c)
{
	int ret;

	arm();
	revoking = m;
	ret = vmo_cow_snapshot(&m->cow, &c->cow, VMO_KEY_MAX, false);
	revoking = NULL;
	return disarm(ret);
}

/* What was revoked stays so even if the call failed after that. */
static void snapshot(struct member *m, struct member *c)
{
	u64 epoch = m->cow.epoch;
	int i, end, ret;

	init_child(m, c);
	end = min(m->end, c->end);
	tell_held(m);
	ret = try_snapshot(m, c);
	CHECK(ret || m->cow.epoch != epoch);
	for (i = 0; m->cow.epoch != epoch && i < KEYS; i++) {
		m->mine[i] = false;
		if (!m->writable[i] || i < c->first || i >= end)
			continue;
		/* Unless what was written could not be noted. */
		if (!foreign(m->v[i]->page) && !(ret && m->cow.nr_watches && bit_writable(m, i)))
			m->writable[i] = false;
	}
	CHECK(ret != -EIO);
	check_range(m, 0, KEYS - 1);
	if (ret) {
		CHECK(!c->cow.tree.root);
		vmo_cow_destroy(&c->cow);
		pthread_rwlock_destroy(&c->cow.lock.l);
		return;
	}
	stats.snaps++;
	c->alive = true;
	for (i = c->first; i < end; i++) {
		c->v[i] = m->v[i];
		if (m->writable[i])
			c->v[i] = fresh(m->v[i]->data, NULL);
		else if (m->v[i])
			m->v[i]->members++;
	}
	if (rnd() % 4 == 0)
		keep_base(c);
	check_range(c, 0, KEYS - 1);
}

/* The memory of one page is bad for the time of one operation, which keeps it. */
static void bad_memory(struct member *m, int i)
{
	struct version *v = m->v[i];
	struct member *c = spare();

	if (!v)
		return;
	v->page->poisoned = true;
	if (c && rnd() % 2 && !foreign(v->page))
		snapshot(m, c);
	else
		own(m, i, 0, next_data++);
	CHECK(m->v[i] == v);
	v->page->poisoned = false;
}

struct harvest {
	struct member *m;
	struct watch *w;
	bool keep;
	bool seen[KEYS];
};

static bool reap(pgoff_t first, pgoff_t last, void *arg)
{
	struct harvest *h = arg;
	int i;

	if (rnd() % 8 == 0)
		return false;
	for (i = 0; i < KEYS; i++) {
		if (key_of(i) < first || key_of(i) > last)
			continue;
		CHECK(!h->seen[i] && h->w->may[i]);
		h->seen[i] = true;
		first++;
	}
	CHECK(first == last + 1);	/* and nothing else */
	return true;
}

static void harvest(struct member *m, struct watch *w)
{
	struct harvest h = { .m = m, .w = w, .keep = rnd() % 4 == 0 };
	pgoff_t key = 0;
	int i, k;

	if (!w->on)
		return;
	tell_held(m);
	while (key <= VMO_KEY_MAX) {
		arm();
		disarm(vmo_cow_harvest(&m->cow, &w->watch, &key, VMO_KEY_MAX, h.keep, reap, &h));
	}
	for (i = 0; i < KEYS; i++) {
		CHECK(h.seen[i] || !w->must[i]);
		stats.harvested += h.seen[i];
		if (h.keep)
			continue;
		w->must[i] = false;
		w->may[i] = false;
	}
	/* Gathered for all that watch, and held ones stay in the sets. */
	tell_held(m);
	for (k = 0; k < HOLDERS; k++)
		holders[k].gathered |= holders[k].member == m - members;
}

static void watch(struct member *m, struct watch *w)
{
	int ret;

	if (w->on) {
		vmo_cow_unwatch(&m->cow, &w->watch);
		w->on = false;
		return;
	}
	arm();
	ret = disarm(vmo_cow_watch(&m->cow, &w->watch, VMO_KEY_MAX));
	if (ret)
		return;
	w->on = true;
	memset(w->must, 0, sizeof(w->must));
	memset(w->may, 0, sizeof(w->may));
	tell_held(m);
}

static void close_member(struct member *m)
{
	int i;

	for (i = 0; i < WATCHES; i++)
		if (m->watch[i].on)
			vmo_cow_unwatch(&m->cow, &m->watch[i].watch);
	for (i = 0; i < KEYS; i++)
		drop_pte(m, i);
	vmo_cow_destroy(&m->cow);
	pthread_rwlock_destroy(&m->cow.lock.l);
	for (i = 0; i < KEYS; i++) {
		leave(m, i);
		put_version(m->base[i]);
		m->base[i] = NULL;
	}
	m->alive = false;
}

static void drop_holder(struct holder *h)
{
	if (h->page) {
		/* Devices do that. Who does not is known to have it, or is not known to write. */
		if (h->writer && !h->gathered) {
			h->page->dirty = true;
			tell(&members[h->member], h->index, false);
		}
		vmo_page_put(h->page);
	}
	h->page = NULL;
}

/* A pipe takes what a read-only PTE shows, a device what a writable one does. */
static void take_holder(struct member *m, int i)
{
	struct holder *h = &holders[rnd() % HOLDERS];
	struct pte *pte = NULL;

	for (; i < m->end; i++) {
		pte = &m->pte[i];
		if (pte->page && m->v[i])
			break;
	}
	if (i == m->end)
		return;
	drop_holder(h);
	vmo_page_get(pte->page);
	*h = (struct holder){ pte->page, pte->page->data, pte->writable, false, m - members, i };
}

static void device_write(void)
{
	struct holder *h = &holders[rnd() % HOLDERS];
	struct member *m;
	int i, k;

	if (!h->page || !h->writer)
		return;
	h->page->data = next_data++;
	for (k = 0; k < HOLDERS; k++) {
		if (holders[k].page != h->page || holders[k].writer)
			continue;
		CHECK(holders[k].member == h->member);
		holders[k].data = h->page->data;
	}
	/* Only the member it was taken from may see that, if it still has the page. */
	for (k = 0; k < MEMBERS; k++) {
		m = &members[k];
		for (i = 0; m->alive && i < KEYS; i++) {
			if (!m->v[i] || m->v[i]->page != h->page)
				continue;
			CHECK(i == h->index && m->v[i]->members == 1 && k == h->member);
			m->v[i]->data = h->page->data;
			tell(m, i, true);
		}
	}
}

struct diffed {
	struct member *a, *b;
	bool seen[KEYS];
};

static bool saw(pgoff_t first, pgoff_t last, void *arg)
{
	struct diffed *d = arg;
	int i;

	for (i = 0; i < KEYS; i++)
		if (key_of(i) >= first && key_of(i) <= last)
			d->seen[i] = true;
	return true;
}

static u64 data_of(struct member *m, int i)
{
	return m->v[i] ? m->v[i]->data : 0;
}

static void diff(struct member *a, struct member *b)
{
	struct diffed d = { .a = a, .b = b };
	pgoff_t key = 0;
	int i;

	while (key <= VMO_KEY_MAX)
		CHECK(!vmo_cow_diff(&a->cow, &b->cow, &key, VMO_KEY_MAX, saw, &d));
	for (i = 0; i < KEYS; i++)
		CHECK(d.seen[i] == (data_of(a, i) != data_of(b, i)));
}

static void seek(struct member *m, int i)
{
	pgoff_t found;
	int k = i, ret;

	ret = vmo_cow_seek(&m->cow, key_of(i), key_of(KEYS - 1), false, &found);
	while (k < KEYS && !m->v[k])
		k++;
	CHECK(k < KEYS ? !ret && found == key_of(k) : ret == -ENXIO);
	ret = vmo_cow_seek(&m->cow, key_of(i), key_of(i | (CHUNK - 1)), true, &found);
	for (k = i; k <= (i | (CHUNK - 1)) && m->v[k];)
		k++;
	CHECK(k <= (i | (CHUNK - 1)) ? !ret && found == key_of(k) : ret == -ENXIO);
}

static void usage_all(void)
{
	struct vmo_tally u;
	u64 scaled = 0;
	int i, k;

	for (k = 0; k < MEMBERS; k++) {
		struct member *m = &members[k];
		u64 pages = 0, private = 0, shared = 0;

		if (!m->alive)
			continue;
		CHECK(!vmo_cow_usage(&m->cow, 0, VMO_KEY_MAX, &u));
		for (i = 0; i < KEYS; i++) {
			struct version *v = m->v[i], *base = m->base[i];
			bool alone = v && v->members == 1 + (base == v);

			pages += !!v;
			private += alone + (base && base != v && base->members == 1);
			shared += v && !alone;
		}
		CHECK(u.pages == pages && u.private == private && u.shared == shared);
		scaled += u.scaled;
	}
	/* Exact but for rounding: less than a millionth of a page for each. */
	CHECK(scaled <= (u64)versions << 32);
	CHECK(((u64)versions << 32) - scaled < (u64)(versions + 1) << 16);
}

static bool older_has(struct member *m, int i, struct version *v)
{
	int k;

	for (k = 0; k < MEMBERS; k++)
		if (members[k].alive && members[k].born < m->born &&
		    (members[k].v[i] == v || members[k].base[i] == v))
			return true;
	return false;
}

/* Pages of @m that nobody has who is older. */
static u64 exclusive(struct member *m)
{
	unsigned long bits[2][CHUNK / 64];
	struct vmo_known known = { bits[0], bits[1] };
	pgoff_t first, last;
	u64 pages = 0;
	int c, i, k;

	for (c = 0; c < KEYS / CHUNK; c++) {
		memset(bits, 0, sizeof(bits));
		first = key_of(c * CHUNK);
		last = key_of(c * CHUNK + CHUNK - 1);
		for (k = 0; k < MEMBERS; k++)
			if (members[k].alive && members[k].born < m->born)
				CHECK(!vmo_cow_same(&m->cow, &members[k].cow, first, last,
						    &known));
		for (i = c * CHUNK; i < (c + 1) * CHUNK; i++) {
			if (m->v[i])
				CHECK(test_bit(i % CHUNK, known.tree) ==
				      older_has(m, i, m->v[i]));
			if (m->base[i])
				CHECK(test_bit(i % CHUNK, known.base) ==
				      older_has(m, i, m->base[i]));
		}
		CHECK(!vmo_cow_count_clear(&m->cow, first, last, &known, &pages));
	}
	return pages;
}

/* A1: each page is charged to one. */
static void exclusive_all(void)
{
	u64 sum = 0;
	int k;

	for (k = 0; k < MEMBERS; k++)
		if (members[k].alive)
			sum += exclusive(&members[k]);
	CHECK(sum == (u64)versions);
}

static struct vmo_tally tally_of(struct member *m)
{
	struct vmo_tally tally = { };

	if (m->alive)
		CHECK(!vmo_cow_usage(&m->cow, 0, VMO_KEY_MAX, &tally));
	return tally;
}

static void step(void);

/* A4: what is held changes only where somebody has said so. */
static void marked(void)
{
	struct vmo_tally before[MEMBERS], after;
	unsigned long born[MEMBERS];
	struct member *m;
	int k;

	family_changed = false;
	for (k = 0; k < MEMBERS; k++) {
		m = &members[k];
		born[k] = m->born;
		before[k] = tally_of(m);
		m->cow.changed = false;
	}
	step();
	for (k = 0; k < MEMBERS; k++) {
		m = &members[k];
		if (!m->alive || m->born != born[k] || m->cow.changed || family_changed)
			continue;
		after = tally_of(m);
		CHECK(!memcmp(&after, &before[k], sizeof(after)));
	}
}

static struct member *pick(void)
{
	struct member *m;

	do
		m = &members[rnd() % MEMBERS];
	while (!m->alive);
	return m;
}

static int alive(void)
{
	int i, n = 0;

	for (i = 0; i < MEMBERS; i++)
		n += members[i].alive;
	return n;
}

/* Worth keeping: wide windows, and for a snapshot's source also depth. */
static int worth(struct member *m, bool depth)
{
	return (m->end - m->first) / (KEYS / 8) + (depth ? m->depth : 0);
}

static struct member *pick_by(bool best, bool depth)
{
	struct member *pick_ = pick(), *m;
	int i;

	for (i = 0; i < 4; i++) {
		m = pick();
		if (best == (worth(m, depth) > worth(pick_, depth)))
			pick_ = m;
	}
	return pick_;
}

/* A family that has lost most of its range or grown very deep starts anew. */
static void renew(void)
{
	struct member *m = spare();

	if (!m)
		return;
	memset(m, 0, sizeof(*m));
	m->alive = true;
	m->end = KEYS;
	init_cow(m);
}

static bool below(int *what, int weight)
{
	*what -= weight;
	return *what < 0;
}

/* Per mille of each operation; the rest drops a holder. */
static void step(void)
{
	struct member *m = pick(), *c = spare(), *other = rnd() % 4 ? pick() : m;
	int i = m->first + rnd() % (m->end - m->first);
	int span = rnd() % 100;
	int last = min(m->end - 1, i + span);
	int what = rnd() % 1000;
	struct holder *h = &holders[rnd() % HOLDERS];

	/* What somebody holds is where the trouble is. */
	if (h->page && rnd() % 4 == 0 && in_window(m, h->index))
		i = h->index;
	last = max(i, last);
	if (below(&what, 535))
		own(m, i, rnd() % 3 ? 0 : VMO_OWN_WRITABLE, next_data++);
	else if (below(&what, 100))
		write_pte(m, i);
	else if (below(&what, 120))
		map_read(m, i);
	else if (below(&what, 20))
		drop_pte(m, i);
	else if (below(&what, 10))
		do_remove(m, i, last);
	else if (below(&what, 3))
		resize(m);
	else if (below(&what, 5))
		commit(m, i, last);
	else if (below(&what, 5))
		transfer(m, i, other, other->first + rnd() % (other->end - other->first), span + 1);
	else if (below(&what, 20))
		take_holder(m, i);
	else if (below(&what, 10))
		device_write();
	else if (below(&what, 7))
		harvest(m, &m->watch[rnd() % WATCHES]);
	else if (below(&what, 3))
		watch(m, &m->watch[rnd() % WATCHES]);
	else if (below(&what, 5))
		diff(m, pick());
	else if (below(&what, 5))
		rewind_member(m);
	else if (below(&what, 5))
		seek(m, i);
	else if (below(&what, 2))
		usage_all();
	else if (below(&what, 1))
		exclusive_all();
	else if (below(&what, 4))
		marked();
	else if (below(&what, 4))
		bad_memory(m, i);
	else if (below(&what, 1))
		renew();
	else if (below(&what, 60) && c)
		snapshot(pick_by(true, rnd() % 2), c);
	else if (what < 70 && alive() > 12)
		close_member(pick_by(false, false));
	else
		drop_holder(&holders[rnd() % HOLDERS]);
}

static void start(void)
{
	rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	members[0].alive = true;
	members[0].end = KEYS;
	init_cow(&members[0]);
}

static void finish(void)
{
	int i;

	check_all();
	for (i = 0; i < HOLDERS; i++)
		drop_holder(&holders[i]);
	for (i = 0; i < MEMBERS; i++)
		if (members[i].alive)
			close_member(&members[i]);
	CHECK(!shim.pages && !shim.nodes && !versions);
}

/* fuzz_test OPERATIONS SEED [SECONDS]: the first of the two limits ends it. */
int main(int argc, char **argv)
{
	unsigned long total = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
	time_t end = argc > 3 ? time(NULL) + atoi(argv[3]) : 0;
	double shared, depth;

	seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	shim_init();
	shim_fail_hook = say_where;
	start();
	for (op_nr = 0; op_nr < total; op_nr++) {
		step();
		if (op_nr % 1000)
			continue;
		check_all();
		if (end && time(NULL) >= end)
			break;
	}
	finish();
	shared = 100.0 * stats.shared / stats.writes;
	depth = (double)stats.depth / stats.writes;
	printf("# seed %lu: %lu operations, %lu snapshots, %lu failures injected, ", seed, op_nr,
	       stats.snaps, stats.failed);
	printf("%lu keys moved, %lu rewinds, %lu pages stayed, %lu keys harvested, ", stats.moved,
	       stats.rewinds, stats.stayed,
	       stats.harvested);
	printf("%lu writes, %.1f %% to shared leaves, mean depth %.1f\n", stats.writes, shared,
	       depth);
	printf("1..2\nok 1 - differential test against the model\n");
	printf("%sok 2 - mean depth at least 8, one write in five hits a shared leaf\n",
	       depth >= 8 && shared >= 20 ? "" : "not ");
	return depth >= 8 && shared >= 20 ? 0 : 1;
}
