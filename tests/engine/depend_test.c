// SPDX-License-Identifier: GPL-2.0
/*
 * depend_test [OPERATIONS [SEED]]: clones of contents with a source, all of them mapped, by
 * rule and by random operations against a model.
 */
#include "family.h"

#define L	VMO_LEAF_SLOTS
#define KEYS	((pgoff_t)MAP_KEYS)
#define MEMBERS	7

static struct vmo_queue queue;
static struct content *aux, *root;
static struct vmo_notice told;
static unsigned int nr_told, nr_need;

/* What the server has at @key: every seventh page is a hole. */
static u64 stored(pgoff_t key)
{
	return key % 7 == 3 ? 0 : 1000 + key;
}

static void on_ready(struct vmo_queue *q)
{
}

static void on_wake(struct vmo_waiter *waiter)
{
}

static int supply(pgoff_t first, pgoff_t last)
{
	long nth = shim_fail_nth;
	pgoff_t key, count;
	int ret = 0;

	shim_fail_nth = 0;
	for (key = first; key <= last; key++)
		if (stored(key))
			put(aux, key, stored(key), 0);
	shim_fail_nth = nth;
	while (!ret && first <= last) {
		count = last - first + 1;
		ret = vmo_cow_supply(&root->cow, first, &aux->cow, first, &count);
		if (!ret)
			first += count;
	}
	return ret;
}

static int need(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want)
{
	struct vmo_waiter waiter = { .wake = on_wake };
	int ret = vmo_cow_ask(cow, key, last, want, &waiter);

	CHECK(!shim_holds_sem() && nr_need++ < 10000000 && cow == &root->cow);
	if (ret <= 0)
		return ret;
	CHECK(vmo_queue_take(&queue, &told, 1) == 1);
	nr_told++;
	if (told.type == VMO_ASK_DIRTY)
		ret = vmo_cow_dirty(cow, told.first, told.last);
	else
		ret = supply(told.first, told.last);
	return vmo_source_leave(cow->source, &waiter) ? waiter.error : ret;
}

static const struct vmo_queue_ops queue_ops = { .ready = on_ready, .need = need };

static void begin(bool trap)
{
	root = content_new(0, KEYS);
	map_content(root);
	vmo_queue_init(&queue, &queue_ops);
	vmo_cow_set_source(&root->cow, vmo_source_new(&queue, 77), trap);
	aux = content_new(0, KEYS);
	nr_told = 0;
	nr_need = 0;
}

static void end(void)
{
	content_free(root);
	CHECK(vmo_queue_take(&queue, &told, 1) == 1 && told.type == VMO_ASK_COMPLETE);
	vmo_queue_close(&queue);
	content_free(aux);
	CHECK(!shim.pages && !shim.nodes);
}

static struct content *clone_of(struct content *of, pgoff_t base, pgoff_t last,
				pgoff_t limit)
{
	struct content *c = content_new(base, last + 1);

	map_content(c);
	CHECK(!vmo_cow_depend(&of->cow, &c->cow, limit, false));
	return c;
}

static struct content *whole(struct content *of)
{
	return clone_of(of, 0, KEYS - 1, VMO_KEY_MAX);
}

static bool absent(struct content *c, pgoff_t key)
{
	bool is;

	CHECK(!vmo_cow_lock_shared(&c->cow));
	is = vmo_cow_absent(&c->cow, key);
	vmo_cow_unlock_shared(&c->cow);
	return is;
}

static u64 load(struct content *c, pgoff_t key)
{
	u64 data = ~0ULL;

	CHECK(!map_load(c, key, &data));
	return data;
}

static void store(struct content *c, pgoff_t key, u64 data)
{
	CHECK(!map_store(c, key, data));
}

/* ---- by rule ------------------------------------------------------------- */

/* K11: what was not written tracks the root, in both directions of time; K14. */
static void t_tracks(void)
{
	struct content *a, *b;

	begin(false);
	a = whole(root);
	CHECK(absent(a, 5) && !shim.pages);
	CHECK(load(a, 5) == 1005 && nr_told == 1 && load(root, 5) == 1005 && nr_told == 1);
	CHECK(page_at(a, 5) == page_at(root, 5) && shim.pages == 1);
	store(root, 5, 50);
	CHECK(load(a, 5) == 50 && page_at(a, 5) == page_at(root, 5));
	store(a, 5, 500);
	CHECK(load(root, 5) == 50 && load(a, 5) == 500);
	store(root, 5, 51);
	CHECK(load(a, 5) == 500 && load(root, 5) == 51);
	CHECK(load(a, 3) == 0);
	store(root, 3, 30);
	CHECK(load(a, 3) == 30);
	b = whole(a);
	CHECK(load(b, 5) == 500 && load(b, 3) == 30);
	store(a, 5, 501);
	store(root, 6, 60);
	CHECK(load(b, 5) == 500 && load(b, 6) == 60 && load(a, 6) == 60);
	content_free(a);
	CHECK(load(b, 5) == 500 && load(b, 8) == 1008);
	map_check(b);
	content_free(b);
	end();
}

/* P42: what a clone maps of the root is written back all the same. */
static void t_writeback(void)
{
	struct content *a;

	begin(false);
	a = whole(root);
	store(root, 5, 1);
	store(root, 8, 1);
	CHECK(load(a, 5) == 1 && load(a, 8) == 1);
	CHECK(!vmo_cow_writeback_begin(&root->cow, 0, KEYS - 1, false));
	CHECK(!vmo_cow_writeback_end(&root->cow, 0, KEYS - 1));
	CHECK(!vmo_cow_detach(&root->cow) && absent(root, 5) && absent(a, 8));
	content_free(a);
	end();
}

/* K15, N8, P34: commit and pin have copies; nobody is asked before a clone is written. */
static void t_own(void)
{
	struct content *a;

	begin(true);
	a = whole(root);
	CHECK(!vmo_cow_commit(&a->cow, 0, 6) && nr_told == 1 && told.type == VMO_ASK_READ);
	CHECK(page_at(a, 3) && !page_at(root, 3) && page_at(a, 5) != page_at(root, 5));
	CHECK(get(a, 5) == 1005);
	store(a, 5, 5);
	store(a, 20, 20);
	CHECK(nr_told == 2 && get(root, 20) == 1020 && get(root, 5) == 1005);
	CHECK(!vmo_cow_pin(&a->cow, 9, 11, true) && nr_told == 3 && page_at(a, 9));
	store(root, 9, 99);
	CHECK(nr_told == 4 && load(a, 9) == 1009);
	vmo_cow_unpin(&a->cow, 9, 11);
	content_free(a);
	end();
}

/* T3: what is asked for ends where the clone has something, and at its limit. */
static void t_runs(void)
{
	struct content *a;

	begin(false);
	a = clone_of(root, 0, KEYS - 1, 2 * L);
	store(a, L, 7);
	CHECK(!vmo_cow_zero(&a->cow, L + 4, L + 5));
	nr_told = 0;
	CHECK(!vmo_cow_commit(&a->cow, 2, KEYS - 1) && nr_told == 3);
	CHECK(told.first == L + 6 && told.last == 2 * L - 1);
	CHECK(get(a, L) == 7 && get(a, L + 1) == stored(L + 1) && page_at(a, KEYS - 1));
	CHECK(!get(a, L + 4) && !get(a, 2 * L) && get(a, 2) == 1002);
	content_free(a);
	end();
}

/* O3: zeroes stay, whatever the root has later; nobody is asked, and nothing written. */
static void t_zero(void)
{
	struct content *a, *b;

	begin(false);
	a = whole(root);
	CHECK(load(a, 4) == 1004);
	CHECK(!vmo_cow_zero(&a->cow, 2, 9) && nr_told == 1 && !absent(a, 6));
	CHECK(!load(a, 4) && load(root, 4) == 1004);
	store(root, 4, 44);
	store(root, 6, 66);
	CHECK(!load(a, 4) && !load(a, 6) && load(a, 11) == 1011);
	store(a, 6, 600);
	CHECK(load(a, 6) == 600 && load(root, 6) == 66);
	b = whole(a);
	CHECK(!load(b, 4) && load(b, 6) == 600);
	/* To the end of what it has from the root: that ends there now. */
	CHECK(load(a, 2 * L) == stored(2 * L));
	CHECK(!vmo_cow_zero(&a->cow, L, KEYS - 1) && a->cow.limit == L && !load(a, 2 * L));
	CHECK(load(b, 2 * L) == stored(2 * L));
	store(root, 2 * L, 9);
	CHECK(!load(a, 2 * L) && load(b, 2 * L) == 9);
	/* Partly: a copy is written. */
	CHECK(!vmo_cow_lock_shared(&b->cow) && !vmo_cow_clear(&b->cow, 2 * L, 0, PAGE_SIZE));
	vmo_cow_unlock_shared(&b->cow);
	CHECK(!load(b, 2 * L) && load(root, 2 * L) == 9);
	content_free(b);
	content_free(a);
	end();
}

/* Z1, Z2, Z3, K2, K3: limits only sink. */
static void t_limits(void)
{
	struct content *a, *b;

	begin(false);
	a = clone_of(root, L, 3 * L - 1, 2 * L);
	CHECK(load(a, L) == stored(L) && load(a, 2 * L - 1) == stored(2 * L - 1));
	CHECK(!load(a, 2 * L) && !load(a, 3 * L - 1));
	store(a, 2 * L, 7);
	b = clone_of(a, L, 3 * L - 1, VMO_KEY_MAX);
	CHECK(!load(b, 2 * L + 1) && load(b, 2 * L) == 7 && load(b, L + 1) == stored(L + 1));
	store(a, L + 8, 8);
	CHECK(!vmo_cow_resize(&root->cow, L + 4));
	CHECK(!load(a, L + 5) && load(a, L + 8) == 8 && load(a, L + 1) == stored(L + 1));
	nr_told = 0;
	CHECK(!vmo_cow_resize(&root->cow, KEYS));
	store(root, L + 5, 55);
	CHECK(!load(a, L + 5) && !load(b, L + 5) && !nr_told);
	CHECK(!vmo_cow_resize(&a->cow, L + 2) && !vmo_cow_resize(&a->cow, 3 * L));
	CHECK(!load(a, L + 3) && !load(a, 2 * L) && load(a, L + 1) == stored(L + 1));
	CHECK(load(b, L + 3) == stored(L + 3));
	CHECK(!vmo_cow_resize(&root->cow, 0) && !load(a, L + 1) && !load(b, L + 1));
	content_free(a);
	content_free(b);
	end();
}

/* P50, P51: what a clone wrote stays, and what it has from the root goes with it. */
static void t_detach(void)
{
	struct content *a;
	u64 data;

	begin(false);
	a = whole(root);
	store(a, 1, 10);
	store(root, 2, 20);
	CHECK(load(a, 4) == 1004 && load(a, 2) == 20);
	CHECK(!vmo_cow_detach(&root->cow));
	CHECK(load(a, 1) == 10 && load(a, 2) == 20 && map_load(a, 4, &data) == -EBADFD);
	CHECK(map_store(a, 4, 1) == -EBADFD && !vmo_cow_zero(&a->cow, 4, 4) && !load(a, 4));
	content_free(a);
	end();
}

/* Who holds the root's page by way of the clone does not see what the clone writes. */
static void t_held(void)
{
	struct content *a;
	struct page *page;

	begin(false);
	a = whole(root);
	page = map_pin(a, 2);
	store(a, 2, 22);
	CHECK(page->data == 1002 && load(root, 2) == 1002);
	vmo_page_put(page);
	map_check(root);
	map_check(a);
	content_free(a);
	end();
}

/* K6: pins of a clone matter to a snapshot of it, those of the root do not. */
static void t_pins(void)
{
	struct content *a, *b = content_new(0, KEYS);

	begin(false);
	a = whole(root);
	CHECK(!vmo_cow_pin(&root->cow, 1, 1, true));
	content_free(whole(root));
	CHECK(!vmo_cow_pin(&a->cow, 1, 1, true));
	CHECK(vmo_cow_depend(&a->cow, &b->cow, VMO_KEY_MAX, false) == -EBADFD);
	content_free(b);
	b = content_new(0, KEYS);
	CHECK(!vmo_cow_depend(&a->cow, &b->cow, VMO_KEY_MAX, true));
	CHECK(page_at(b, 1) != page_at(a, 1) && get(b, 1) == 1001);
	vmo_cow_unpin(&a->cow, 1, 1);
	vmo_cow_unpin(&root->cow, 1, 1);
	content_free(a);
	content_free(b);
	end();
}

/* ---- each allocation and wait fails ---------------------------------------- */

static int do_clone(struct content *a)
{
	struct content *c = content_new(0, KEYS);
	int ret = vmo_cow_depend(&a->cow, &c->cow, VMO_KEY_MAX, false);

	content_free(c);
	return ret;
}

static int do_store(struct content *a)
{
	struct page *page;
	int ret = vmo_cow_lock_shared(&a->cow);

	if (ret)
		return ret;
	ret = vmo_cow_own_page(&a->cow, L + 1, VMO_OWN_WRITTEN, &page);
	if (ret == -EINTR)
		return ret;
	if (!ret) {
		CHECK(page->data == stored(L + 1));
		vmo_page_unlock(page);
		vmo_page_put(page);
	}
	vmo_cow_unlock_shared(&a->cow);
	return ret == -ENODATA ? vmo_cow_need(&a->cow, L + 1, L + 2, VMO_WANT_WRITE) : ret;
}

static int do_zero(struct content *a)
{
	return vmo_cow_zero(&a->cow, 2, L + 5) ?: vmo_cow_zero(&a->cow, L, KEYS - 1);
}

static int do_commit(struct content *a)
{
	return vmo_cow_commit(&a->cow, 0, 2 * L);
}

static void fail_each(int (*run)(struct content *a))
{
	struct content *a, *b;
	bool failed = true;
	long nth;
	int ret;

	for (nth = 1; failed; nth++) {
		begin(false);
		a = whole(root);
		store(a, 1, 10);
		b = whole(a);
		shim_fail_nth = nth;
		shim_failed = false;
		ret = run(a);
		shim_fail_nth = 0;
		failed = shim_failed;
		CHECK(!ret || (failed && (ret == -ENOMEM || ret == -EINTR)));
		CHECK(!run(a) && get(b, 1) == 10 && load(b, L + 1) == stored(L + 1));
		content_free(a);
		content_free(b);
		end();
	}
}

static void t_failnth(void)
{
	fail_each(do_clone);
	fail_each(do_store);
	fail_each(do_zero);
	fail_each(do_commit);
}

/* ---- at random ------------------------------------------------------------- */

static struct member {
	struct content *c;
	bool own[MAP_KEYS];
	u64 data[MAP_KEYS];	/* of the root all that it has, supplied or not */
	pgoff_t base, end, limit;
} members[MEMBERS];
static u64 rng;

static pgoff_t below(pgoff_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng * 0x2545f4914f6cdd1dULL >> 32) % n;
}

static u64 expected(const struct member *m, pgoff_t key)
{
	if (m == members || m->own[key])
		return m->data[key];
	return key < m->limit ? members[0].data[key] : 0;
}

static void op_access(struct member *m, pgoff_t key)
{
	if (below(2)) {
		CHECK(load(m->c, key) == expected(m, key));
	} else {
		m->own[key] = true;
		m->data[key] = below(1000000) + 1;
		store(m->c, key, m->data[key]);
	}
}

static void op_zero(struct member *m, pgoff_t first, pgoff_t last)
{
	CHECK(!vmo_cow_zero(&m->c->cow, first, last));
	for (; first <= last; first++) {
		m->own[first] = true;
		m->data[first] = 0;
	}
}

/* What is behind the end is nothing, for good: neither its own nor the root's. */
static void op_resize(struct member *m, pgoff_t size)
{
	int i;

	CHECK(!vmo_cow_resize(&m->c->cow, size));
	m->limit = min(m->limit, size);
	for (; size < KEYS; size++) {
		m->own[size] = false;
		m->data[size] = 0;
	}
	for (i = 1; m == members && i < MEMBERS; i++)
		members[i].limit = min(members[i].limit, m->c->cow.end);
	m->end = m->c->cow.end;
}

static void op_close(struct member *m)
{
	content_free(m->c);
	m->c = NULL;
}

static void op_clone(struct member *m)
{
	struct member *of = &members[below(MEMBERS)];
	pgoff_t key;

	if (!of->c)
		of = members;
	*m = (struct member){ .base = of->base, .end = KEYS };
	if (below(2)) {
		m->base += below(KEYS - m->base);
		m->end = m->base + below(KEYS - m->base + 1);
	}
	m->limit = min(of == members ? of->end : of->limit, m->end);
	for (key = m->base; key < min(m->end, of->end); key++) {
		m->own[key] = of != members && of->own[key];
		m->data[key] = of == members ? 0 : of->data[key];
	}
	m->c = content_new(m->base, m->end);
	map_content(m->c);
	CHECK(!vmo_cow_depend(&of->c->cow, &m->c->cow, VMO_KEY_MAX, false));
}

static void one_operation(void)
{
	struct member *m = &members[below(MEMBERS)];
	pgoff_t first, last, what = below(100);

	if (!m->c) {
		op_clone(m);
		return;
	}
	if (what < 3 && m != members) {
		op_close(m);
		return;
	}
	if (what < 8) {
		op_resize(m, m->base + below(KEYS - m->base + 1));
		if (below(2))
			op_resize(m, KEYS);
		return;
	}
	if (m->end <= m->base)
		return;
	first = m->base + below(m->end - m->base);
	last = min(first + below(L), m->end - 1);
	if (what < 16)
		op_zero(m, first, last);
	else if (what < 18)
		CHECK(!vmo_cow_commit(&m->c->cow, first, last));
	else if (what < 22)
		map_around(m->c, first, last);
	else if (what < 24 && m == members)
		CHECK(!supply(first, last));
	else if (what < 30 && m == members)
		CHECK(!vmo_cow_writeback_begin(&m->c->cow, first, last, false));
	else
		op_access(m, first);
	/* A commit has what the root had then. */
	for (; what >= 16 && what < 18 && first <= last; first++)
		if (m != members && !m->own[first]) {
			m->data[first] = expected(m, first);
			m->own[first] = true;
		}
}

static void check_all(bool load_all)
{
	struct member *m;
	pgoff_t key;

	for (m = members; m < members + MEMBERS; m++) {
		for (key = m->base; m->c && key < m->end; key++) {
			if (load_all)
				CHECK(load(m->c, key) == expected(m, key));
			else if (!absent(m->c, key))
				CHECK(get(m->c, key) == expected(m, key));
		}
		if (m->c)
			map_check(m->c);
	}
}

static long operations = 60000;

static void t_random(void)
{
	long done = 0;
	pgoff_t key;
	int i;

	while (done < operations) {
		begin(below(2));
		memset(members, 0, sizeof(members));
		members[0].c = root;
		members[0].end = KEYS;
		members[0].limit = KEYS;
		for (key = 0; key < KEYS; key++)
			members[0].data[key] = stored(key);
		for (i = 0; i < 1000; i++, done++) {
			one_operation();
			if (i % 16 == 0)
				check_all(i % 256 == 0);
		}
		for (i = 1; i < MEMBERS; i++)
			if (members[i].c)
				op_close(&members[i]);
		end();
	}
	printf("# %ld random operations\n", done);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		{ "k11 k14: what is not written tracks the root", t_tracks },
		{ "p42: writing back what clones map", t_writeback },
		{ "k15 n8 p34: commit, pin and write have copies", t_own },
		{ "t3: how much is asked for", t_runs },
		{ "o3: zeroes in a clone stay", t_zero },
		{ "z1 z2 z3 k2 k3: limits only sink", t_limits },
		{ "p50: detached", t_detach },
		{ "k10: pages that somebody holds", t_held },
		{ "k6: pins", t_pins },
		{ "each allocation and wait fails in turn", t_failnth },
		{ "random operations against a model", t_random },
	};

	if (argc > 1)
		operations = atol(argv[1]);
	rng = argc > 2 ? strtoul(argv[2], NULL, 0) * 2 + 1 : 12345;
	printf("# seed %s\n", argc > 2 ? argv[2] : "12345");
	shim_init();
	tap_failed = shim_reset;
	return tap_main(tests, sizeof(tests) / sizeof(*tests));
}
