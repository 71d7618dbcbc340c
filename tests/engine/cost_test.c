// SPDX-License-Identifier: GPL-2.0
/* What things cost, in node visits and allocations, never in time. */
#include "family.h"

#define DEPTH	10000

static struct content *chain[DEPTH + 1];

/**
 * struct cost - of one operation
 * @visits: nodes looked at
 * @allocs: nodes and pages allocated
 */
struct cost {
	long visits;
	long allocs;
};

static struct cost since(struct cost from)
{
	return (struct cost){ shim.visits - from.visits, shim.allocs - from.allocs };
}

static struct cost now(void)
{
	return (struct cost){ shim.visits, shim.allocs };
}

static bool same(struct cost a, struct cost b)
{
	return a.visits == b.visits && a.allocs == b.allocs;
}

static struct cost lookup_cost(struct content *c, pgoff_t key)
{
	struct cost from = now();

	CHECK(page_at(c, key));
	return since(from);
}

static struct cost snapshot_cost(struct content *c, struct content **child)
{
	struct cost from = now();

	*child = content_snapshot(c, 0, c->cow.end);
	return since(from);
}

static struct content *populated(pgoff_t pages)
{
	struct content *c = content_new(0, pages);
	pgoff_t i;

	for (i = 0; i < 256; i++)
		put(c, i, i + 1, 0);
	return c;
}

static void grow_chain(void)
{
	int i;

	chain[0] = populated(256);
	for (i = 1; i <= DEPTH; i++) {
		put(chain[i - 1], i % 256, i, VMO_OWN_WRITABLE);
		chain[i] = content_snapshot(chain[i - 1], 0, 256);
	}
}

static void t_depth(void)
{
	struct cost first, last;
	struct content *a, *b;

	grow_chain();
	CHECK(same(lookup_cost(chain[0], 77), lookup_cost(chain[DEPTH], 77)));
	put(chain[1], 5, 1, VMO_OWN_WRITABLE);
	put(chain[DEPTH], 5, 1, VMO_OWN_WRITABLE);
	first = snapshot_cost(chain[1], &a);
	last = snapshot_cost(chain[DEPTH], &b);
	printf("# snapshot at depth 1: %ld visits, %ld allocations; at %d: %ld, %ld\n",
	       first.visits, first.allocs, DEPTH, last.visits, last.allocs);
	CHECK(same(first, last));
	content_free(a);
	content_free(b);
}

static void close_chain(int order)
{
	int i, k;

	for (i = 0; i <= DEPTH; i++) {
		k = order == 0 ? i : order == 1 ? DEPTH - i : (i * 7919L + 13) % (DEPTH + 1);
		content_free(chain[k]);
	}
	CHECK(!shim.pages && !shim.nodes);
}

static void t_close_forward(void)
{
	close_chain(0);
}

static void t_close_backward(void)
{
	grow_chain();
	close_chain(1);
}

static void t_close_mixed(void)
{
	grow_chain();
	close_chain(2);
}

/* 1 MiB and 1 TiB that hold the same pages. */
static void t_size(void)
{
	struct content *small = populated(256), *big = populated(1UL << 28), *a, *b;
	struct cost s, l;

	CHECK(same(lookup_cost(small, 200), lookup_cost(big, 200)));
	s = snapshot_cost(small, &a);
	l = snapshot_cost(big, &b);
	printf("# snapshot of 1 MiB: %ld visits, %ld allocations; of 1 TiB sparse: %ld, %ld\n",
	       s.visits, s.allocs, l.visits, l.allocs);
	CHECK(same(s, l));
	content_free(a);
	content_free(b);
	content_free(small);
	content_free(big);
}

/* Pages all over 1 TiB: a look-up is bounded by the height, a snapshot is not more. */
static void t_scattered(void)
{
	struct content *c = content_new(0, 1UL << 28), *child;
	struct cost cost;
	pgoff_t i;

	for (i = 0; i < 1000; i++)
		put(c, (i * 268435399) % (1UL << 28), i + 1, VMO_OWN_WRITABLE);
	cost = lookup_cost(c, 5 * 268435399UL % (1UL << 28));
	CHECK(cost.visits <= VMO_TREE_LEVELS && !cost.allocs);
	cost = snapshot_cost(c, &child);
	content_free(child);
	cost = snapshot_cost(c, &child);
	printf("# snapshot of 1,000 pages scattered over 1 TiB, none written since: %ld visits\n",
	       cost.visits);
	CHECK(cost.visits <= 4 && !cost.allocs);
	content_free(child);
	content_free(c);
}

/* A snapshot costs what was written since the last one. */
static void t_dirty(void)
{
	struct content *c = content_new(0, 1 << 16), *child;
	struct cost few, many;
	pgoff_t i;

	for (i = 0; i < 1 << 16; i++)
		put(c, i, 1, VMO_OWN_WRITABLE);
	many = snapshot_cost(c, &child);
	content_free(child);
	for (i = 0; i < 10; i++)
		put(c, i * 6000, 2, VMO_OWN_WRITABLE);
	few = snapshot_cost(c, &child);
	content_free(child);
	printf("# snapshot after 65,536 written pages: %ld visits; after 10 more: %ld\n",
	       many.visits, few.visits);
	CHECK(few.visits < 10 * 8 * VMO_TREE_LEVELS && many.visits < 20 << 10);
	for (i = 0; i < 1 << 16; i++)
		put(c, i, 3, VMO_OWN_WRITABLE);
	few = now();
	child = content_snapshot(c, 1000, 1010);
	few = since(few);
	content_free(child);
	printf("# snapshot of 10 pages after 65,536 written ones: %ld visits\n", few.visits);
	CHECK(few.visits < 8 * VMO_TREE_LEVELS);
	content_free(c);
}

/* The first write into a shared leaf copies its path once, the next nothing. */
static void t_write(void)
{
	struct content *c = content_new(0, 1 << 16), *child;
	struct cost from;
	pgoff_t i;

	for (i = 0; i < 1 << 16; i++)
		put(c, i, 1, 0);
	child = content_snapshot(c, 0, 1 << 16);
	from = now();
	put(c, 1000, 2, 0);
	CHECK(since(from).allocs <= VMO_TREE_LEVELS + 1);
	from = now();
	put(c, 1001, 2, 0);
	CHECK(since(from).allocs == 1);
	content_free(child);
	content_free(c);
}

static bool add_keys(pgoff_t first, pgoff_t last, void *arg)
{
	*(pgoff_t *)arg += last - first + 1;
	return true;
}

/* What is equal is not looked into. */
static void t_diff(void)
{
	struct content *c = content_new(0, 1UL << 28), *child;
	struct cost cost;
	pgoff_t i, differ = 0, key = 0;

	for (i = 0; i < 1 << 16; i++)
		put(c, i * 4093, 1, 0);
	child = content_snapshot(c, 0, 1UL << 28);
	for (i = 0; i < 10; i++)
		put(c, i * 4093 * 6000, 2, 0);
	cost = now();
	CHECK(!vmo_cow_diff(&c->cow, &child->cow, &key, VMO_KEY_MAX, add_keys, &differ));
	cost = since(cost);
	printf("# 10 differences in 65,536 pages scattered over 1 TiB: %ld visits\n", cost.visits);
	CHECK(key > VMO_KEY_MAX && differ == 10);
	CHECK(cost.visits <= 10 * VMO_TREE_LEVELS && !cost.allocs);
	content_free(child);
	content_free(c);
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "look-up and snapshot cost the same at depth 1 and 10,000", t_depth },
		{ "a chain of 10,000 closes from its start", t_close_forward },
		{ "a chain of 10,000 closes from its end", t_close_backward },
		{ "k17 lk5: a chain of 10,000 closes in any order", t_close_mixed },
		{ "look-up and snapshot cost the same for 1 MiB and 1 TiB", t_size },
		{ "pages scattered over 1 TiB cost their height", t_scattered },
		{ "a snapshot costs what was written since the last", t_dirty },
		{ "a write copies a path once", t_write },
		{ "a diff costs what differs", t_diff },
	};

	shim_init();
	tap_failed = shim_reset;
	return tap_main(tests, sizeof(tests) / sizeof(*tests));
}
