// SPDX-License-Identifier: GPL-2.0
/*
 * A fixed sequence in which every allocation, and every wait that a signal may
 * end, fails in turn. After a failure everything reads as before, the same
 * operation succeeds, and in the end nothing is left.
 */
#include "family.h"

#define KEYS	(6 * (int)VMO_LEAF_SLOTS)
#define FAR	(1UL << 40)

static long injected;

static void compare(struct content *c, const u64 *want)
{
	int i;

	for (i = 0; i < KEYS; i++)
		CHECK(get(c, i) == want[i]);
}

static void content_of(struct content *c, u64 *data)
{
	int i;

	for (i = 0; i < KEYS; i++)
		data[i] = get(c, i);
}

/* A write as the doors make it; leaves the lock in the right state. */
static int write_at(struct content *c, pgoff_t key)
{
	struct page *page;
	int ret;

	ret = vmo_cow_lock_shared(&c->cow);
	if (ret)
		return ret;
	ret = vmo_cow_own_page(&c->cow, key, VMO_OWN_WRITABLE, &page);
	if (ret == -EINTR)
		return ret;
	if (!ret) {
		vmo_page_unlock(page);
		vmo_page_put(page);
	}
	vmo_cow_unlock_shared(&c->cow);
	return ret;
}

/* Into a shared leaf. */
static int do_write(struct content *c, struct content **child)
{
	(void)child;
	return write_at(c, KEYS - 2);
}

/* Where the tree has to grow, and nothing is shared. */
static int do_write_far(struct content *c, struct content **child)
{
	(void)child;
	return write_at(c, FAR);
}

/* Into a tree that has nothing yet. */
static int do_write_new(struct content *c, struct content **child)
{
	struct content *new = content_new(0, FAR + 1);
	int ret = write_at(new, 1UL << 30);

	(void)child;
	if (!ret)
		ret = write_at(new, (1UL << 30) + 1);
	content_free(new);
	return ret;
}

static int do_grow(struct content *c, struct content **child)
{
	(void)child;
	return vmo_cow_resize(&c->cow, FAR + 2);
}

static int do_usage(struct content *c, struct content **child)
{
	struct vmo_tally usage;

	(void)child;
	return vmo_cow_usage(&c->cow, 0, KEYS - 1, &usage);
}

static int do_seek(struct content *c, struct content **child)
{
	pgoff_t found;

	(void)child;
	return vmo_cow_seek(&c->cow, 3, KEYS - 1, true, &found);
}

static int do_commit(struct content *c, struct content **child)
{
	(void)child;
	return vmo_cow_commit(&c->cow, 2, KEYS - 3);
}

static int do_remove(struct content *c, struct content **child)
{
	(void)child;
	return vmo_cow_remove(&c->cow, 5, KEYS - 9);
}

static int do_resize(struct content *c, struct content **child)
{
	(void)child;
	return vmo_cow_resize(&c->cow, KEYS / 2 + 1);
}

static int do_zero(struct content *c, struct content **child)
{
	(void)child;
	return vmo_cow_zero(&c->cow, 5, KEYS - 9);
}

static int do_pin(struct content *c, struct content **child)
{
	int ret = vmo_cow_pin(&c->cow, 3, KEYS - 2, true);

	(void)child;
	if (!ret)
		vmo_cow_unpin(&c->cow, 3, KEYS - 2);
	CHECK(!atomic64_read(&c->cow.pins));
	return ret;
}

static int do_snapshot(struct content *c, struct content **child)
{
	int ret;

	*child = content_new(3, KEYS - 2);
	ret = vmo_cow_snapshot(&c->cow, &(*child)->cow, VMO_KEY_MAX, false);
	if (ret) {
		CHECK(!(*child)->cow.tree.root);
		content_free(*child);
		*child = NULL;
	}
	return ret;
}

/* Within the content, over itself: part of it is shared, a page is held. */
static int do_transfer(struct content *c, struct content **child)
{
	pgoff_t count = KEYS - 9;

	(void)child;
	return vmo_cow_transfer(&c->cow, 7, &c->cow, 2, true, &count);
}

/* To a tree that has nothing yet. */
static int do_transfer_new(struct content *c, struct content **child)
{
	struct content *new = content_new(0, FAR + 2 * KEYS);
	pgoff_t count = KEYS;
	int ret = vmo_cow_transfer(&new->cow, FAR, &c->cow, 0, false, &count);

	(void)child;
	if (!ret)
		shim_fail_nth = 0;	/* this was all of it */
	CHECK(ret || get(new, FAR + 8) == 88);
	content_free(new);
	return ret;
}

static int do_rewind(struct content *c, struct content **child)
{
	struct content *new = content_new(0, KEYS);
	int ret = vmo_cow_snapshot(&c->cow, &new->cow, VMO_KEY_MAX, false);

	if (!ret) {
		vmo_cow_keep_base(&new->cow);
		ret = write_at(new, 4);
	}
	if (!ret)
		ret = vmo_cow_rewind(&new->cow);
	if (!ret)
		shim_fail_nth = 0;	/* this was all of it */
	CHECK(ret || get(new, 4) == get(c, 4));
	content_free(new);
	return ret;
}

typedef int (*op_fn)(struct content *c, struct content **child);

/* A content, shared with a second one, with a page that somebody holds. */
static struct page *prepare(struct content **a, struct content **b)
{
	struct page *page;
	int i;

	*a = content_new(0, FAR + 1);
	for (i = 0; i < KEYS; i += 2)
		put(*a, i, i + 1, VMO_OWN_WRITABLE);
	*b = content_snapshot(*a, 0, KEYS);
	page = put(*a, 8, 88, VMO_OWN_WRITABLE);
	vmo_page_get(page);
	return page;
}

/* One run with the nth chance to fail; false when there was none any more. */
static bool run(op_fn op, bool commits, long nth)
{
	struct content *a, *b, *child = NULL;
	struct page *held = prepare(&a, &b);
	u64 before[KEYS], other[KEYS];
	struct vmo_tally usage, after;
	int ret;

	content_of(a, before);
	content_of(b, other);
	CHECK(!vmo_cow_usage(&a->cow, 0, FAR, &usage));
	shim_fail_nth = nth;
	shim_failed = false;
	ret = op(a, &child);
	shim_fail_nth = 0;
	CHECK(shim_failed == (ret == -ENOMEM || ret == -EINTR) && (shim_failed || !ret));
	shim_check_idle();
	if (shim_failed) {
		injected++;
		compare(a, before);
		CHECK(!vmo_cow_usage(&a->cow, 0, FAR, &after));
		CHECK(after.pages == usage.pages || op == do_commit || op == do_pin);
		CHECK(!op(a, &child));
	}
	if (commits)
		compare(a, before);
	compare(b, other);
	vmo_page_put(held);
	if (child)
		content_free(child);
	content_free(a);
	content_free(b);
	CHECK(!shim.pages && !shim.nodes);
	return shim_failed;
}

static void sweep(op_fn op, bool same)
{
	long from = injected, nth = 1;

	while (run(op, same, nth))
		nth++;
	printf("# %ld failures injected\n", injected - from);
	CHECK(injected > from);
}

static void t_write(void)
{
	sweep(do_write, true);
}

static void t_write_far(void)
{
	sweep(do_write_far, true);
}

static void t_write_new(void)
{
	sweep(do_write_new, true);
}

static void t_grow(void)
{
	sweep(do_grow, true);
}

static void t_zero(void)
{
	sweep(do_zero, false);
}

static void t_pin(void)
{
	sweep(do_pin, true);
}

static void t_ask(void)
{
	sweep(do_usage, true);
	sweep(do_seek, true);
}

static void t_commit(void)
{
	sweep(do_commit, true);
}

static void t_remove(void)
{
	sweep(do_remove, false);
}

static void t_resize(void)
{
	sweep(do_resize, false);
}

static void t_transfer(void)
{
	sweep(do_transfer, false);
	sweep(do_transfer_new, false);
}

static void t_rewind(void)
{
	sweep(do_rewind, true);
}

static void t_snapshot(void)
{
	sweep(do_snapshot, true);
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "k10: write: each allocation and wait fails in turn", t_write },
		{ "write: where the tree grows", t_write_far },
		{ "write: where the tree is empty", t_write_new },
		{ "grow: each allocation and wait fails in turn", t_grow },
		{ "usage and seek: each wait fails in turn", t_ask },
		{ "t4: commit: each allocation and wait fails in turn", t_commit },
		{ "remove: each allocation and wait fails in turn", t_remove },
		{ "zero: each allocation and wait fails in turn", t_zero },
		{ "n3: pin: each allocation and wait fails in turn", t_pin },
		{ "resize: each allocation and wait fails in turn", t_resize },
		{ "snapshot: each allocation and wait fails in turn", t_snapshot },
		{ "x3: transfer: each allocation and wait fails in turn", t_transfer },
		{ "rewind: each allocation and wait fails in turn", t_rewind },
	};

	shim_init();
	tap_failed = shim_reset;
	return tap_main(tests, sizeof(tests) / sizeof(*tests));
}
