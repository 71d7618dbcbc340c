// SPDX-License-Identifier: GPL-2.0
/*
 * paged_test [OPERATIONS [SEED]]: contents with a source, by rule, with each allocation
 * failing in turn, and by random operations against a model. The server runs inside of
 * whoever waits, and answers what was asked, or more.
 */
#include "family.h"

#define L	VMO_LEAF_SLOTS
#define KEYS_MAX	(6 * VMO_LEAF_SLOTS)
#define KEYS	((pgoff_t)KEYS_MAX)

static struct vmo_queue queue;
static struct content *aux;
static pgoff_t extra;		/* pages to supply beyond what was asked */
static int answer_error;	/* fail instead */
static unsigned int nr_told, nr_need, nr_trapped;
static pgoff_t sync_piece;	/* pages after the first that are written back at once */
static bool only_end;		/* once: of what was begun before */
static void (*during)(struct vmo_cow_pages *cow);	/* that */
static struct vmo_notice told;

/* What was written back behind what the server had at first. */
static bool cleared[KEYS_MAX];

/* What the server has at @key: every seventh page is a hole. */
static u64 stored(pgoff_t key)
{
	return key % 7 == 3 || cleared[key] ? 0 : 1000 + key;
}

static void on_ready(struct vmo_queue *q)
{
	CHECK(shim_holds_leaf());
}

static void on_wake(struct vmo_waiter *waiter)
{
	CHECK(shim_holds_leaf());
}

/* Not by put(): the failing allocation is to be the engine's. */
static int fill_aux(pgoff_t first, pgoff_t last)
{
	long nth = shim_fail_nth;
	pgoff_t key;

	shim_fail_nth = 0;
	for (key = first; key <= last; key++)
		if (stored(key))
			put(aux, key, stored(key), 0);
	shim_fail_nth = nth;
	return 0;
}

static int supply(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t count;
	int ret = fill_aux(first, last);

	while (!ret && first <= last) {
		count = last - first + 1;
		ret = vmo_cow_supply(cow, first, &aux->cow, first, &count);
		if (!ret)
			first += count;
	}
	return ret;
}

/* What the server does when it is asked to write back; may be in pieces. */
static int write_back(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	pgoff_t to = min(first + sync_piece, last);
	int ret = 0;

	if (only_end) {
		only_end = false;
		return vmo_cow_writeback_end(cow, first, last);
	}
	for (; !ret && first <= last; first = to + 1, to = min(to + 1 + sync_piece, last)) {
		ret = vmo_cow_writeback_begin(cow, first, to, false);
		if (!ret && during)
			during(cow);
		if (!ret)
			ret = vmo_cow_writeback_end(cow, first, to);
	}
	return ret;
}

static int answer(struct vmo_cow_pages *cow)
{
	pgoff_t end = cow->end - 1;

	nr_told++;
	if (answer_error)
		return vmo_cow_fail(cow, told.first, min(told.last, end), answer_error);
	if (told.type == VMO_ASK_READ)
		return supply(cow, told.first, min(told.last + extra, end));
	nr_trapped++;
	if (told.type == VMO_ASK_DIRTY)
		return vmo_cow_dirty(cow, told.first, told.last);
	return write_back(cow, told.first, min(told.last, end));
}

/* Runs as the server and as who waits for it. */
static int need(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want)
{
	struct vmo_waiter waiter = { .wake = on_wake };
	int ret = vmo_cow_ask(cow, key, last, want, &waiter), on;

	CHECK(!shim_holds_sem() && nr_need++ < 1000000);
	if (ret <= 0)
		return ret;
	CHECK(vmo_queue_take(&queue, &told, 1) == 1);
	CHECK((told.type == VMO_ASK_SYNC) == (want == VMO_WANT_SYNC));
	CHECK((told.first >= key || told.first == cow->source_end) && told.last <= last);
	ret = answer(cow);
	if (!ret && want == VMO_WANT_SYNC && waiter.request) {
		on = vmo_cow_ask_on(cow, last, &waiter);
		CHECK(on == 0 || on == -EAGAIN || (on == -EINTR && shim_failed));
		vmo_source_leave(cow->source, &waiter);
		return on == -EINTR ? on : 0;
	}
	if (!vmo_source_leave(cow->source, &waiter))
		return ret ? ret : -ETIMEDOUT;
	return waiter.error;
}

static const struct vmo_queue_ops queue_ops = { .ready = on_ready, .need = need };

static struct content *begin_with(pgoff_t end, bool trap)
{
	struct content *c = content_new(0, end);

	vmo_queue_init(&queue, &queue_ops);
	vmo_cow_set_source(&c->cow, vmo_source_new(&queue, 77), trap);
	aux = content_new(0, end);
	memset(cleared, 0, sizeof(cleared));
	extra = 0;
	answer_error = 0;
	nr_told = 0;
	nr_need = 0;
	nr_trapped = 0;
	sync_piece = 2 * KEYS;
	during = NULL;
	return c;
}

static struct content *begin(pgoff_t end)
{
	return begin_with(end, false);
}

static void end(struct content *c)
{
	content_free(c);
	CHECK(vmo_queue_take(&queue, &told, 1) == 1 && told.type == VMO_ASK_COMPLETE);
	vmo_queue_close(&queue);
	content_free(aux);
}

/* A write as the doors make it, also of a mapping with @flags. */
static int write_at(struct content *c, pgoff_t key, u64 data, unsigned int flags)
{
	struct page *page;
	int tries = 0, ret;

	do {
		CHECK(tries++ < 10);
		ret = vmo_cow_lock_shared(&c->cow);
		if (ret)
			return ret;
		ret = vmo_cow_own_page(&c->cow, key, flags, &page);
		if (ret == -EINTR)
			return ret;
		if (!ret) {
			page->data = data;
			vmo_page_unlock(page);
			vmo_page_put(page);
		}
		vmo_cow_unlock_shared(&c->cow);
		if (ret == -ENODATA)
			ret = vmo_cow_need(&c->cow, key, key, VMO_WANT_WRITE) ?: -ENODATA;
	} while (ret == -ENODATA);
	return ret;
}

static bool absent(struct content *c, pgoff_t key)
{
	long nth = shim_fail_nth;
	bool is;

	shim_fail_nth = 0;
	CHECK(!vmo_cow_lock_shared(&c->cow));
	is = vmo_cow_absent(&c->cow, key);
	vmo_cow_unlock_shared(&c->cow);
	shim_fail_nth = nth;
	return is;
}

static int read_at(struct content *c, pgoff_t key, u64 *data)
{
	int tries = 0, ret;

	while (absent(c, key)) {
		CHECK(tries++ < 10);
		ret = vmo_cow_need(&c->cow, key, key, VMO_WANT_READ);
		if (ret)
			return ret;
	}
	*data = get(c, key);
	return 0;
}

/* ---- by rule ------------------------------------------------------------- */

static void t_absent(void)
{
	struct content *c = begin(KEYS);
	struct page *page;
	u64 data;

	CHECK(absent(c, 0) && absent(c, KEYS - 1) && !shim.pages);
	CHECK(!vmo_cow_lock_shared(&c->cow));
	CHECK(vmo_cow_own_page(&c->cow, 5, 0, &page) == -ENODATA);
	CHECK(vmo_cow_clear(&c->cow, 5, 0, 8) == -ENODATA);
	vmo_cow_unlock_shared(&c->cow);
	CHECK(!nr_need);
	CHECK(!read_at(c, 5, &data) && data == 1005 && nr_told == 1);
	CHECK(!read_at(c, 3, &data) && !data && nr_told == 2 && !absent(c, 3));
	CHECK(absent(c, 4) && absent(c, 6));
	CHECK(!write_at(c, 10, 42, VMO_OWN_WRITTEN) && nr_told == 3 && get(c, 10) == 42);
	end(c);
}

/* T2, T3, P12: a run ends at what is there. */
static void t_commit(void)
{
	struct content *c = begin(KEYS);
	pgoff_t key;

	CHECK(!supply(&c->cow, 10, 11) && !supply(&c->cow, L + 1, L + 1));
	CHECK(!vmo_cow_commit(&c->cow, 2, 2 * L));
	CHECK(nr_told == 3);
	CHECK(told.first == L + 2 && told.last == 2 * L);
	for (key = 2; key <= 2 * L; key++)
		CHECK(page_at(c, key) && get(c, key) == stored(key));
	CHECK(absent(c, 1) && absent(c, 2 * L + 1));
	end(c);
}

static void t_pin(void)
{
	struct content *c = begin(KEYS);

	extra = 3;
	CHECK(!vmo_cow_pin(&c->cow, 4, L + 4, true) && nr_told == 1);
	CHECK(get(c, 10) == 0 && page_at(c, 10) && !absent(c, L + 7) && absent(c, L + 8));
	CHECK(atomic64_read(&c->cow.pins) == L + 1);
	answer_error = -EIO;
	CHECK(vmo_cow_pin(&c->cow, L + 2, 2 * L + 4, true) == -EIO);
	CHECK(atomic64_read(&c->cow.pins) == L + 1);
	vmo_cow_unpin(&c->cow, 4, L + 4);
	end(c);
}

/* X5: what is there wins; what the source has is gone in any case. */
static void t_supply(void)
{
	struct content *c = begin(KEYS);
	struct page *moved;

	put(aux, 0, 5, 0);
	CHECK(!supply(&c->cow, 0, 1) && get(c, 0) == 1000);
	CHECK(!write_at(c, 1, 77, VMO_OWN_WRITTEN));
	CHECK(!vmo_cow_zero(&c->cow, 2, 2) && !nr_told);
	put(aux, L, 9, 0);
	moved = page_at(aux, L);
	CHECK(!supply(&c->cow, 0, L - 1));
	CHECK(get(c, 1) == 77 && !get(c, 2) && get(c, 4) == 1004 && !absent(c, 3));
	CHECK(!page_at(aux, 0) && !page_at(aux, 1) && !page_at(aux, 2) && page_at(aux, L));
	CHECK(!supply(&c->cow, L, 3 * L - 1) && page_at(c, L) == moved);
	CHECK(!page_at(aux, L) && absent(c, 3 * L) && !absent(c, 3 * L - 1));
	end(c);
}

/* What others share or hold is copied. */
static void t_supply_copies(void)
{
	struct content *c = begin(KEYS), *child;
	struct page *shared, *held;

	shared = put(aux, 1, 11, 0);
	child = content_snapshot(aux, 0, KEYS);
	held = put(aux, L, 22, 0);
	vmo_page_get(held);
	CHECK(!vmo_cow_supply(&c->cow, 0, &aux->cow, 0, &(pgoff_t){ L + 1 }));
	CHECK(get(c, 1) == 11 && page_at(c, 1) != shared && page_at(child, 1) == shared);
	CHECK(get(c, L) == 22 && page_at(c, L) != held);
	vmo_page_put(held);
	content_free(child);
	end(c);
}

static void t_supply_refused(void)
{
	struct content *c = begin(KEYS);

	put(aux, 3, 1, 0);
	CHECK(!vmo_cow_pin(&aux->cow, 3, 3, true));
	CHECK(vmo_cow_supply(&c->cow, 0, &aux->cow, 2, &(pgoff_t){ 2 }) == -EBADFD);
	vmo_cow_unpin(&aux->cow, 3, 3);
	CHECK(vmo_cow_supply(&c->cow, KEYS - 1, &aux->cow, 2, &(pgoff_t){ 2 }) == -ERANGE);
	CHECK(vmo_cow_supply(&c->cow, 0, &aux->cow, KEYS - 1, &(pgoff_t){ 2 }) == -ERANGE);
	CHECK(get(aux, 3) == 1 && absent(c, 0));
	CHECK(!vmo_cow_detach(&c->cow));
	CHECK(vmo_cow_supply(&c->cow, 0, &aux->cow, 2, &(pgoff_t){ 2 }) == -EBADFD);
	CHECK(get(aux, 3) == 1);
	end(c);
}

/* P21: nothing is remembered. */
static void t_fail(void)
{
	struct content *c = begin(KEYS);
	u64 data;

	answer_error = -ENOSPC;
	CHECK(read_at(c, 5, &data) == -ENOSPC && vmo_cow_commit(&c->cow, 0, 3) == -ENOSPC);
	CHECK(write_at(c, 5, 1, VMO_OWN_WRITTEN) == -ENOSPC);
	answer_error = 0;
	CHECK(!read_at(c, 5, &data) && data == 1005);
	CHECK(vmo_cow_fail(&c->cow, 0, KEYS, -EIO) == -ERANGE);
	CHECK(!vmo_cow_fail(&c->cow, 0, KEYS - 1, -EIO) && get(c, 5) == 1005);
	end(c);
}

/* O4: whole pages are never asked for, and stay zero whatever is supplied later. */
static void t_zero(void)
{
	struct content *c = begin(KEYS);
	struct vmo_waiter waiter = { .wake = on_wake };
	u64 data;

	CHECK(!write_at(c, 1, 5, VMO_OWN_WRITABLE) && !supply(&c->cow, 2, 3));
	CHECK(!vmo_cow_pin(&c->cow, 5, 5, true));
	CHECK(vmo_cow_ask(&c->cow, 6, 9, VMO_WANT_READ, &waiter) == 1);
	nr_told = 0;
	CHECK(!vmo_cow_zero(&c->cow, 0, 2 * L));
	CHECK(!nr_told && vmo_source_leave(c->cow.source, &waiter) && !waiter.error);
	CHECK(!vmo_queue_take(&queue, &told, 1));
	CHECK(!page_at(c, 1) && !page_at(c, 2) && page_at(c, 5) && !get(c, 5));
	CHECK(!supply(&c->cow, 0, 3 * L) && !get(c, 0) && !get(c, 6) && !get(c, 2 * L));
	CHECK(get(c, 2 * L + 1) == stored(2 * L + 1));
	CHECK(!write_at(c, 6, 66, VMO_OWN_WRITTEN) && get(c, 6) == 66);
	CHECK(!read_at(c, 3 * L + 1, &data) && data == stored(3 * L + 1) && nr_told == 1);
	CHECK(vmo_cow_zero(&c->cow, 0, KEYS) == -ERANGE);
	vmo_cow_unpin(&c->cow, 5, 5);
	end(c);
}

/* P40, P41, Z3: what it grew by is zero; who waits for what is cut looks again. */
static void t_resize(void)
{
	struct content *c = begin(KEYS);
	struct vmo_waiter waiter = { .wake = on_wake };
	u64 data;

	CHECK(!supply(&c->cow, L, 2 * L));
	CHECK(vmo_cow_ask(&c->cow, 3 * L, 4 * L, VMO_WANT_READ, &waiter) == 1);
	CHECK(!vmo_cow_resize(&c->cow, L + 2));
	CHECK(vmo_source_leave(c->cow.source, &waiter) && !waiter.error);
	CHECK(!vmo_cow_resize(&c->cow, KEYS));
	CHECK(get(c, L) == stored(L) && get(c, L + 1) == stored(L + 1));
	CHECK(!absent(c, L + 2) && !read_at(c, 3 * L, &data) && !data && !nr_told);
	CHECK(absent(c, L - 1) && !write_at(c, 4 * L, 8, VMO_OWN_WRITTEN) && get(c, 4 * L) == 8);
	CHECK(!supply(&c->cow, 0, KEYS - 1));
	CHECK(get(c, L - 1) == stored(L - 1) && !get(c, L + 2) && get(c, 4 * L) == 8);
	CHECK(!vmo_cow_zero(&c->cow, L + 2, KEYS - 1) && !get(c, 4 * L));
	CHECK(!vmo_cow_commit(&c->cow, 0, KEYS - 1) && !nr_told);
	end(c);
}

/* P50: what was written stays. */
static void t_detach(void)
{
	struct content *c = begin(KEYS);
	struct vmo_waiter waiter = { .wake = on_wake };
	u64 data;

	CHECK(!supply(&c->cow, 0, L + 3) && !vmo_cow_commit(&c->cow, 0, 3));
	CHECK(!write_at(c, 1, 5, VMO_OWN_WRITTEN) && !write_at(c, L, 6, VMO_OWN_WRITABLE));
	CHECK(!vmo_cow_zero(&c->cow, 2, 2));
	CHECK(vmo_cow_ask(&c->cow, 3 * L, 4 * L, VMO_WANT_READ, &waiter) == 1);
	content_reset(c);
	CHECK(!vmo_cow_detach(&c->cow) && c->unmaps);
	CHECK(vmo_source_leave(c->cow.source, &waiter) && waiter.error == -EBADFD);
	CHECK(get(c, 1) == 5 && get(c, L) == 6 && !absent(c, 2) && shim.pages == 2);
	CHECK(absent(c, 0) && absent(c, 3) && read_at(c, 0, &data) == -EBADFD);
	CHECK(write_at(c, 0, 1, VMO_OWN_WRITTEN) == -EBADFD);
	CHECK(!vmo_cow_detach(&c->cow) && !vmo_cow_zero(&c->cow, 0, L) && !get(c, 0));
	end(c);
	/* N5: nor what is pinned, if only for reading. */
	c = begin(KEYS);
	CHECK(!vmo_cow_pin(&c->cow, 4, 5, false) && !vmo_cow_detach(&c->cow));
	CHECK(get(c, 4) == 1004 && atomic64_read(&c->cow.pins) == 2);
	vmo_cow_unpin(&c->cow, 4, 5);
	CHECK(!vmo_cow_lock_shared(&c->cow));
	vmo_cow_unlock_shared(&c->cow);
	end(c);
}

static bool first_dirty(pgoff_t first, pgoff_t last, bool zero, void *arg)
{
	pgoff_t *at = arg;

	at[0] = first;
	at[1] = last;
	at[2] = zero;
	return false;
}

/* Is [@first, @last] the first that the server does not know? None: @first is KEYS. */
static bool dirty_is(struct content *c, pgoff_t first, pgoff_t last, bool zero)
{
	pgoff_t at[3] = { KEYS }, key = 0;

	while (key < KEYS && at[0] == KEYS)
		CHECK(!vmo_cow_dirty_ranges(&c->cow, &key, KEYS - 1, first_dirty, at));
	return at[0] == first && (first == KEYS || (at[1] == last && at[2] == zero));
}

/* P30: clean, dirty, awaiting clean, clean; a write in between makes it dirty again. */
static void t_writeback(void)
{
	struct content *c = begin(KEYS);
	struct page *page;

	CHECK(!supply(&c->cow, 0, L) && dirty_is(c, KEYS, 0, false));
	CHECK(!vmo_cow_commit(&c->cow, 0, L) && dirty_is(c, KEYS, 0, false));
	CHECK(!write_at(c, 5, 1, VMO_OWN_WRITABLE) && dirty_is(c, 5, 5, false));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, 5, 5, false));
	content_reset(c);
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, KEYS - 1, false));
	CHECK(c->unmaps == 1 && c->first == 5 && dirty_is(c, 5, 5, false));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, KEYS, 0, false));
	CHECK(!write_at(c, 5, 2, VMO_OWN_WRITTEN));
	CHECK(!vmo_cow_writeback_begin(&c->cow, 5, 5, false));
	CHECK(!write_at(c, 5, 3, VMO_OWN_WRITABLE));
	CHECK(!vmo_cow_writeback_end(&c->cow, 5, 5) && dirty_is(c, 5, 5, false));
	/* N5: what somebody may write unseen stays dirty. */
	page = page_at(c, 5);
	vmo_page_get(page);
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, KEYS - 1, false));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, 5, 5, false));
	vmo_page_put(page);
	CHECK(!vmo_cow_pin(&c->cow, 6, 6, true));
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, KEYS - 1, false));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, 6, 6, false));
	vmo_cow_unpin(&c->cow, 6, 6);
	CHECK(vmo_cow_writeback_begin(&c->cow, 0, KEYS, false) == -ERANGE);
	CHECK(vmo_cow_writeback_end(&c->cow, 0, KEYS) == -ERANGE);
	end(c);
}

/* P40, P42, P43: zeroes, and what it grew by. */
static void t_writeback_zeroes(void)
{
	struct content *c = begin(L);
	u64 data;

	CHECK(!vmo_cow_zero(&c->cow, 3, 3) && dirty_is(c, 3, 3, true));
	CHECK(!write_at(c, 2, 9, VMO_OWN_WRITTEN) && !vmo_cow_resize(&c->cow, KEYS));
	CHECK(!vmo_cow_resize(&aux->cow, KEYS));
	nr_told = 0;
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, L - 1, true));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, L - 1) && dirty_is(c, 2, 2, false));
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, L - 1, false));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, L - 1) && dirty_is(c, L, KEYS - 1, true));
	/* Not from the middle on; a smaller one does not shrink it. */
	CHECK(!vmo_cow_writeback_begin(&c->cow, L + 1, 3 * L - 1, true));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, L, KEYS - 1, true));
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, 3 * L - 1, true));
	CHECK(!vmo_cow_writeback_begin(&c->cow, L, L, true));
	CHECK(!write_at(c, 2 * L, 7, VMO_OWN_WRITTEN) && !nr_told);
	CHECK(!vmo_cow_writeback_end(&c->cow, L + 1, KEYS - 1) && !absent(c, L));
	CHECK(!vmo_cow_writeback_end(&c->cow, L, L) && dirty_is(c, 2 * L, 2 * L, false));
	CHECK(absent(c, L) && absent(c, 3 * L - 1) && !absent(c, 3 * L) && get(c, 2 * L) == 7);
	memset(cleared + L, 1, 2 * L);
	CHECK(!read_at(c, L, &data) && !data && nr_told == 1);
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, KEYS - 1, false));
	CHECK(!vmo_cow_resize(&c->cow, 4 * L) && !vmo_cow_resize(&c->cow, KEYS));
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, 3 * L, KEYS - 1, true));
	CHECK(!vmo_cow_detach(&c->cow) && !absent(c, 3 * L) && absent(c, 2 * L));
	end(c);
}

/* P31, T2: the server is asked before clean pages and zeroes are written, not committed. */
static void t_trap(void)
{
	struct content *c = begin_with(KEYS, true);
	u64 data;

	CHECK(!supply(&c->cow, 0, 2 * L) && !read_at(c, 5, &data) && !nr_told);
	CHECK(!vmo_cow_commit(&c->cow, 0, 3) && !nr_trapped && dirty_is(c, KEYS, 0, false));
	CHECK(!write_at(c, 5, 50, VMO_OWN_WRITTEN) && nr_trapped == 1);
	CHECK(told.type == VMO_ASK_DIRTY && told.first == 5 && told.last == 5);
	CHECK(dirty_is(c, 5, 5, false) && !write_at(c, 5, 51, VMO_OWN_WRITABLE));
	CHECK(nr_trapped == 1 && !write_at(c, 10, 1, VMO_OWN_TO_WRITE) && nr_trapped == 2);
	/* READ is always before DIRTY. */
	CHECK(!write_at(c, 4 * L, 1, VMO_OWN_WRITTEN) && nr_trapped == 3 && nr_told == 4);
	CHECK(!vmo_cow_writeback_begin(&c->cow, 0, KEYS - 1, false));
	CHECK(!write_at(c, 5, 52, VMO_OWN_WRITTEN) && nr_trapped == 4);
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1) && dirty_is(c, 5, 5, false));
	/* O4: zeroes are dirty without asking, but not written so. */
	CHECK(!vmo_cow_zero(&c->cow, 6, 9) && nr_trapped == 4);
	CHECK(!vmo_cow_commit(&c->cow, 6, 6) && nr_trapped == 5 && page_at(c, 6));
	CHECK(!write_at(c, 7, 70, VMO_OWN_WRITTEN) && nr_trapped == 6 && get(c, 7) == 70);
	CHECK(!vmo_cow_pin(&c->cow, 12, 14, false) && nr_trapped == 6);
	CHECK(!vmo_cow_zero(&c->cow, 12, 14) && nr_trapped == 9 && !get(c, 13));
	CHECK(!vmo_cow_pin(&c->cow, 15, 16, true) && nr_trapped == 10);
	vmo_cow_unpin(&c->cow, 12, 16);
	answer_error = -ENOSPC;
	CHECK(write_at(c, 20, 1, VMO_OWN_WRITTEN) == -ENOSPC && !read_at(c, 20, &data));
	answer_error = 0;
	CHECK(!vmo_cow_detach(&c->cow) && write_at(c, 8, 1, VMO_OWN_WRITTEN) == -EBADFD);
	CHECK(!write_at(c, 5, 53, VMO_OWN_WRITTEN));
	end(c);
}

/* P12, P32: DIRTY is for runs of what is known and not dirty; all of it, or nothing. */
static void t_dirty(void)
{
	struct content *c = begin_with(KEYS, true);
	struct vmo_waiter waiter = { .wake = on_wake };

	CHECK(!supply(&c->cow, 0, L - 1) && !supply(&c->cow, L + 4, 3 * L - 1));
	CHECK(vmo_cow_ask(&c->cow, 1, KEYS - 1, VMO_WANT_WRITE, &waiter) == 1);
	CHECK(vmo_queue_take(&queue, &told, 1) == 1 && told.first == 1 && told.last == L - 1);
	CHECK(vmo_cow_dirty(&c->cow, 0, L) == -ENOENT && dirty_is(c, KEYS, 0, false));
	CHECK(vmo_source_leave(c->cow.source, &waiter) && !waiter.error);
	CHECK(vmo_cow_dirty(&c->cow, 0, KEYS) == -ERANGE);
	CHECK(!vmo_cow_dirty(&c->cow, 2, L - 1) && dirty_is(c, 2, 2, false));
	CHECK(page_at(c, 3) && get(c, 3) == 0 && get(c, 4) == 1004);
	CHECK(vmo_cow_ask(&c->cow, 0, KEYS - 1, VMO_WANT_WRITE, &waiter) == 1);
	CHECK(vmo_queue_take(&queue, &told, 1) == 1 && told.first == 0 && told.last == 1);
	CHECK(!vmo_cow_dirty(&c->cow, 0, 0));
	CHECK(vmo_source_leave(c->cow.source, &waiter) && !waiter.error);
	CHECK(!vmo_cow_resize(&c->cow, 3 * L) && !vmo_cow_resize(&c->cow, KEYS));
	CHECK(!vmo_cow_zero(&c->cow, 2 * L, 2 * L + 2));
	CHECK(!vmo_cow_dirty(&c->cow, 2 * L, 5 * L - 1));
	CHECK(!write_at(c, 2 * L + 1, 6, VMO_OWN_WRITTEN) && !nr_trapped);
	CHECK(page_at(c, 4 * L) && !get(c, 4 * L) && !page_at(c, 5 * L));
	CHECK(!vmo_cow_detach(&c->cow) && vmo_cow_dirty(&c->cow, 0, 1) == -EBADFD);
	end(c);
}

/* Y3: what the server knows and nobody holds is given up, and asked for again. */
static void t_evict(void)
{
	struct content *c = begin(KEYS);
	unsigned long pages = 0, before;
	struct page *page;
	u64 data;

	CHECK(!supply(&c->cow, 0, 2 * L) && !write_at(c, 1, 5, VMO_OWN_WRITTEN));
	CHECK(!write_at(c, 4, 6, VMO_OWN_WRITABLE) && !vmo_cow_zero(&c->cow, 5, 5));
	CHECK(!vmo_cow_writeback_begin(&c->cow, 4, 5, false));
	CHECK(!vmo_cow_pin(&c->cow, 8, 8, false));
	page = page_at(c, 9);
	vmo_page_get(page);
	before = shim.pages;
	CHECK(!vmo_cow_evict(&c->cow, 0, VMO_KEY_MAX, &pages));
	CHECK(shim.pages == 4 && get(c, 1) == 5 && get(c, 4) == 6 && !absent(c, 5));
	CHECK(page_at(c, 8) && page_at(c, 9) == page && absent(c, 3) && absent(c, 2 * L));
	CHECK(pages == before - 4);
	CHECK(!vmo_cow_writeback_end(&c->cow, 0, KEYS - 1));
	cleared[5] = true;
	vmo_page_put(page);
	vmo_cow_unpin(&c->cow, 8, 8);
	CHECK(!vmo_cow_evict(&c->cow, 2, 9, &pages) && shim.pages == 1 && absent(c, 4));
	CHECK(!read_at(c, 6, &data) && data == 1006 && nr_told == 1);
	/* Of a page that was pinned once nothing is left. */
	CHECK(!vmo_cow_pin(&c->cow, L, L, false));
	vmo_cow_unpin(&c->cow, L, L);
	CHECK(!vmo_cow_evict(&c->cow, 0, VMO_KEY_MAX, &pages) && absent(c, L));
	CHECK(!vmo_cow_pin(&c->cow, L + 1, L + 1, false));
	CHECK(vmo_cow_resize(&c->cow, L) == -EBADFD);
	vmo_cow_unpin(&c->cow, L + 1, L + 1);
	end(c);
}

static struct content *written;

static void write_again(struct vmo_cow_pages *cow)
{
	CHECK(cow == &written->cow && !write_at(written, 5, nr_need, VMO_OWN_WRITTEN));
}

static struct page *held;

static void let_go(struct vmo_cow_pages *cow)
{
	if (held)
		vmo_page_put(held);
	held = NULL;
}

/* What was dirty when it was called; whatever is written since may stay so. */
static void t_sync(void)
{
	struct content *c = begin(KEYS);

	CHECK(!vmo_cow_sync(&c->cow, 0, KEYS - 1) && !nr_told);
	CHECK(!supply(&c->cow, 0, L) && !write_at(c, 5, 1, VMO_OWN_WRITTEN));
	CHECK(!write_at(c, L, 2, VMO_OWN_WRITABLE) && !vmo_cow_zero(&c->cow, 7, 8));
	CHECK(!vmo_cow_sync(&c->cow, 6, 6) && !nr_told);
	CHECK(!vmo_cow_sync(&c->cow, 0, ~0UL) && nr_told == 1 && dirty_is(c, KEYS, 0, false));
	CHECK(told.first == 5);
	written = c;
	during = write_again;
	CHECK(!write_at(c, 5, 3, VMO_OWN_WRITTEN) && !vmo_cow_sync(&c->cow, 0, KEYS - 1));
	CHECK(nr_told == 2 && dirty_is(c, 5, 5, false));
	/* One that began before the last write does not count. */
	during = NULL;
	CHECK(!vmo_cow_writeback_begin(&c->cow, 5, 5, false));
	CHECK(!write_at(c, 5, 9, VMO_OWN_WRITTEN));
	only_end = true;
	CHECK(!vmo_cow_sync(&c->cow, 0, KEYS - 1) && nr_told == 4 && dirty_is(c, KEYS, 0, false));
	/* One that was begun after it does. */
	CHECK(!write_at(c, 5, 9, VMO_OWN_WRITTEN));
	CHECK(!vmo_cow_writeback_begin(&c->cow, 5, 5, false));
	CHECK(!vmo_cow_sync(&c->cow, 0, KEYS - 1) && nr_told == 5 && dirty_is(c, KEYS, 0, false));
	sync_piece = 0;
	CHECK(!write_at(c, 5, 9, VMO_OWN_WRITTEN) && !write_at(c, L, 9, VMO_OWN_WRITTEN));
	CHECK(!vmo_cow_resize(&c->cow, 4 * L) && !vmo_cow_resize(&c->cow, KEYS));
	during = write_again;
	CHECK(!vmo_cow_sync(&c->cow, 0, 2 * KEYS) && dirty_is(c, 5, 5, false));
	CHECK(absent(c, KEYS - 1));
	during = NULL;
	/* What is held is not clean, however often the server tries: it is asked again. */
	CHECK(!write_at(c, 5, 9, VMO_OWN_WRITABLE));
	held = page_at(c, 5);
	vmo_page_get(held);
	during = let_go;
	sync_piece = 2 * KEYS;
	CHECK(!write_at(c, 3, 9, VMO_OWN_WRITTEN));
	nr_told = 0;
	CHECK(!vmo_cow_sync(&c->cow, 0, KEYS - 1) && nr_told == 2 && dirty_is(c, KEYS, 0, false));
	during = NULL;
	CHECK(!write_at(c, 5, 9, VMO_OWN_WRITTEN));
	answer_error = -EIO;
	CHECK(vmo_cow_sync(&c->cow, 0, KEYS - 1) == -EIO && dirty_is(c, 5, 5, false));
	answer_error = 0;
	CHECK(!vmo_cow_sync(&c->cow, 0, KEYS - 1) && dirty_is(c, KEYS, 0, false));
	CHECK(!write_at(c, 5, 9, VMO_OWN_WRITTEN) && !vmo_cow_detach(&c->cow));
	CHECK(vmo_cow_sync(&c->cow, 0, KEYS - 1) == -EBADFD && !vmo_cow_sync(&c->cow, 0, 4));
	end(c);
}

/* P51: what was supplied can be read when the pager is closed. */
static void t_closed(void)
{
	struct content *c = begin(KEYS);
	u64 data;

	CHECK(!supply(&c->cow, 0, 3));
	vmo_queue_close(&queue);
	CHECK(get(c, 0) == stored(0) && read_at(c, 4, &data) == -EBADFD);
	CHECK(!write_at(c, 0, 1, VMO_OWN_WRITTEN));
	CHECK(vmo_cow_supply(&c->cow, 4, &aux->cow, 4, &(pgoff_t){ 1 }) == -EBADFD);
	CHECK(vmo_cow_fail(&c->cow, 4, 4, -EIO) == -EBADFD);
	content_free(c);
	CHECK(vmo_queue_empty(&queue));
	content_free(aux);
}

static void t_seek(void)
{
	struct content *c = begin(KEYS);
	pgoff_t found;

	CHECK(!vmo_cow_seek(&c->cow, 7, KEYS - 1, false, &found) && found == 7);
	CHECK(vmo_cow_seek(&c->cow, 7, KEYS - 1, true, &found) == -ENXIO);
	end(c);
}

/* ---- each allocation fails ------------------------------------------------ */

static int do_supply(struct content *c)
{
	pgoff_t count = 3 * L;

	return vmo_cow_supply(&c->cow, 2, &aux->cow, 0, &count);
}

static int do_zero(struct content *c)
{
	return vmo_cow_zero(&c->cow, 1, 3 * L + 1);
}

static int do_commit(struct content *c)
{
	return vmo_cow_commit(&c->cow, 0, 2 * L);
}

static int do_need(struct content *c)
{
	return absent(c, L) ? vmo_cow_need(&c->cow, L, L, VMO_WANT_READ) : 0;
}

static int do_detach(struct content *c)
{
	return vmo_cow_detach(&c->cow);
}

static int do_dirty(struct content *c)
{
	return vmo_cow_dirty(&c->cow, L + 3, L + 5);
}

static int do_sync(struct content *c)
{
	return vmo_cow_sync(&c->cow, 0, KEYS - 1);
}

static void fail_each(int (*run)(struct content *c))
{
	struct content *c, *shared;
	bool failed = true;
	long nth;
	int ret;

	for (nth = 1; failed; nth++) {
		c = begin_with(KEYS, run == do_dirty);
		CHECK(!supply(&c->cow, L + 3, L + 5));
		CHECK(!write_at(c, 4, 1, VMO_OWN_WRITTEN));
		fill_aux(0, 3 * L);
		shared = content_snapshot(aux, L, 2 * L);
		shim_fail_nth = nth;
		shim_failed = false;
		ret = run(c);
		shim_fail_nth = 0;
		failed = shim_failed;
		CHECK(!ret || (failed && (ret == -ENOMEM || ret == -EINTR)));
		if (ret && run == do_supply)
			CHECK(get(aux, 0) == stored(0) && get(aux, 3 * L - 1) == stored(3 * L - 1));
		CHECK(run == do_zero || get(c, 4) == 1);
		CHECK(!run(c));
		content_free(shared);
		end(c);
		CHECK(!shim.pages && !shim.nodes);
	}
}

static void t_failnth(void)
{
	fail_each(do_supply);
	fail_each(do_zero);
	fail_each(do_commit);
	fail_each(do_need);
	fail_each(do_detach);
	fail_each(do_dirty);
	fail_each(do_sync);
}

/* ---- at random ------------------------------------------------------------ */

enum kind { ABSENT, KNOWN, GROWN };

/* Does the server know what is known? */
enum unknown { CLEAN, DIRTY, AWAITING };

static struct {
	enum kind kind;
	enum unknown unknown;
	u64 data;
} model[KEYS_MAX];
static pgoff_t model_end, model_limit, model_next;
static bool detached, trap;
static u64 rng;

static u64 random64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static pgoff_t below(pgoff_t n)
{
	return random64() % n;
}

static void model_set(pgoff_t key, enum kind kind, enum unknown unknown, u64 data)
{
	model[key].kind = kind;
	model[key].unknown = unknown;
	model[key].data = data;
}

/* What it has where nothing was known. */
static void know(pgoff_t key)
{
	if (model[key].kind == ABSENT)
		model_set(key, KNOWN, CLEAN, stored(key));
}

static u64 reported[KEYS_MAX];

static bool report(pgoff_t first, pgoff_t last, bool zero, void *arg)
{
	long *room = arg;

	CHECK(shim_holds_sem());
	if (!(*room)--)
		return false;
	for (; first <= last; first++)
		reported[first] = zero ? 2 : 1;
	return true;
}

static void check_dirty(struct content *c)
{
	pgoff_t key = 0;
	long room = 3;
	u64 want;

	memset(reported, 0, sizeof(reported));
	while (key < KEYS) {
		CHECK(!vmo_cow_dirty_ranges(&c->cow, &key, KEYS - 1, report, &room));
		room = room < 0 ? 100 : room;
	}
	for (key = 0; key < KEYS; key++) {
		want = 0;
		if (key < model_end && (model[key].kind == GROWN || model[key].unknown))
			want = page_at(c, key) ? 1 : 2;
		CHECK(reported[key] == want);
	}
}

static void check_all(struct content *c)
{
	pgoff_t key;

	for (key = 0; key < model_end; key++) {
		CHECK(absent(c, key) == (model[key].kind == ABSENT));
		CHECK(get(c, key) == model[key].data);
	}
	check_dirty(c);
}

/* What the supply that a need brings along makes known. */
static void know_run(pgoff_t first, pgoff_t last)
{
	for (; first <= last && first < model_end; first++)
		know(first);
}

/* Is there somebody who would have to be asked before it is written? */
static bool is_trapped(struct content *c, pgoff_t key)
{
	return trap && !(page_at(c, key) && model[key].unknown == DIRTY);
}

static void op_access(struct content *c, pgoff_t key)
{
	bool write = below(2), ask = model[key].kind == ABSENT || (write && is_trapped(c, key));
	unsigned int flags = below(2) ? VMO_OWN_WRITTEN : VMO_OWN_WRITABLE;
	u64 data = 0;
	int ret;

	extra = below(L);
	ret = write ? write_at(c, key, random64() | 1, flags) : read_at(c, key, &data);
	if (ask && detached) {
		CHECK(ret == -EBADFD);
		return;
	}
	CHECK(!ret);
	if (model[key].kind == ABSENT)
		know_run(key, key + extra);
	if (!write) {
		CHECK(data == model[key].data);
		return;
	}
	model_set(key, KNOWN, DIRTY, get(c, key));
}

static void op_supply(struct content *c, pgoff_t first, pgoff_t last)
{
	int ret = supply(&c->cow, first, last);

	CHECK(ret == (detached ? -EBADFD : 0));
	if (!ret)
		know_run(first, last);
	else
		CHECK(!vmo_cow_remove(&aux->cow, first, last));
}

static void op_zero(struct content *c, pgoff_t first, pgoff_t last)
{
	pgoff_t key;

	/* What is zero without a page stays what it is. */
	for (key = first; key <= last; key++)
		if (model[key].kind == ABSENT || page_at(c, key))
			model_set(key, KNOWN, DIRTY, 0);
	CHECK(!vmo_cow_zero(&c->cow, first, last));
}

static void op_commit(struct content *c, pgoff_t first, pgoff_t last)
{
	pgoff_t key;
	int ret;

	extra = 0;
	ret = vmo_cow_commit(&c->cow, first, last);
	for (key = first; key <= last; key++) {
		if (model[key].kind == ABSENT && detached)
			break;
		/* Dirty zeroes without a page; by now they have one if that was possible. */
		if (trap && detached && !page_at(c, key) &&
		    (model[key].kind == GROWN || model[key].unknown == DIRTY))
			break;
		know(key);
		if (model[key].kind == GROWN)
			model_set(key, KNOWN, DIRTY, 0);
	}
	CHECK(ret == (key <= last ? -EBADFD : 0));
}

static void op_resize(struct content *c, pgoff_t end)
{
	pgoff_t key;

	CHECK(!vmo_cow_resize(&c->cow, end));
	if (end < model_end) {
		for (key = end; key < KEYS; key++)
			model_set(key, GROWN, CLEAN, 0);
		model_limit = min(model_limit, end);
		model_next = 0;
	}
	model_end = end;
}

static void model_begin(struct content *c, pgoff_t first, pgoff_t last, bool zeroes)
{
	pgoff_t key;

	for (key = first; key <= last; key++)
		if (model[key].unknown == DIRTY && !(zeroes && page_at(c, key)))
			model[key].unknown = AWAITING;
	if (first <= model_limit && last >= model_limit)
		model_next = max(model_next, last + 1);
}

static void op_begin(struct content *c, pgoff_t first, pgoff_t last)
{
	bool zeroes = below(2);

	model_begin(c, first, last, zeroes);
	CHECK(!vmo_cow_writeback_begin(&c->cow, first, last, zeroes));
}

static void model_finish(pgoff_t first, pgoff_t last)
{
	pgoff_t key, next = min(model_next, model_end);

	for (key = first; key <= last; key++)
		if (model[key].unknown == AWAITING)
			model[key].unknown = CLEAN;
	if (next <= model_limit || first > model_limit || last < model_limit)
		return;
	for (key = model_limit; key < next; key++) {
		cleared[key] = true;
		if (model[key].kind == GROWN)
			model_set(key, ABSENT, CLEAN, 0);
	}
	model_limit = next;
	model_next = 0;
}

static void op_end(struct content *c, pgoff_t first, pgoff_t last)
{
	model_finish(first, last);
	CHECK(!vmo_cow_writeback_end(&c->cow, first, last));
}

static void op_sync(struct content *c, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first;

	while (key <= last && model[key].kind != GROWN && model[key].unknown == CLEAN)
		key++;
	if (last >= model_limit)
		key = min(key, model_limit);
	if (key > last) {
		nr_told = 0;
		CHECK(!vmo_cow_sync(&c->cow, first, last) && !nr_told);
	} else if (detached) {
		CHECK(vmo_cow_sync(&c->cow, first, last) == -EBADFD);
	} else {
		/* The server does all of it at once. */
		model_begin(c, key, last, false);
		model_finish(key, last);
		CHECK(!vmo_cow_sync(&c->cow, first, last));
	}
}

static void op_dirty(struct content *c, pgoff_t first, pgoff_t last)
{
	pgoff_t key = first;

	while (key <= last && model[key].kind != ABSENT)
		key++;
	if (detached || key <= last) {
		CHECK(vmo_cow_dirty(&c->cow, first, last) == (detached ? -EBADFD : -ENOENT));
		return;
	}
	for (key = first; key <= last; key++)
		model_set(key, KNOWN, DIRTY, model[key].data);
	CHECK(!vmo_cow_dirty(&c->cow, first, last));
	CHECK(page_at(c, first) && page_at(c, last));
}

static void op_evict(struct content *c, pgoff_t first, pgoff_t last)
{
	unsigned long pages = 0;

	CHECK(!vmo_cow_evict(&c->cow, first, last, &pages));
	for (; first <= min(last, model_limit - 1) && model_limit; first++)
		if (model[first].kind == KNOWN && model[first].unknown == CLEAN)
			model_set(first, ABSENT, CLEAN, 0);
}

static void op_detach(struct content *c)
{
	pgoff_t key;

	CHECK(!vmo_cow_detach(&c->cow));
	for (key = 0; key < min(model_end, model_limit); key++)
		if (model[key].kind == KNOWN && model[key].unknown == CLEAN)
			model_set(key, ABSENT, CLEAN, 0);
	detached = true;
}

static void one_operation(struct content *c)
{
	pgoff_t first, last;

	if (model_end < 2) {
		op_resize(c, 2 + below(KEYS - 2));
		return;
	}
	first = below(model_end);
	last = min(first + below(2 * L), model_end - 1);
	switch (below(200)) {
	case 0 ... 19:
		op_supply(c, first, last);
		break;
	case 20 ... 29:
		op_zero(c, first, last);
		break;
	case 30 ... 35:
		op_commit(c, first, last);
		break;
	case 50 ... 59:
		op_begin(c, below(4) ? first : 0, below(4) ? last : model_end - 1);
		break;
	case 60 ... 69:
		op_end(c, below(4) ? first : 0, below(4) ? last : model_end - 1);
		break;
	case 40 ... 44:
		op_sync(c, below(4) ? first : 0, below(4) ? last : model_end - 1);
		break;
	case 45 ... 49:
		if (trap)
			op_dirty(c, first, last);
		break;
	case 70 ... 73:
		op_evict(c, first, last);
		break;
	case 36:
		op_resize(c, below(KEYS));
		break;
	case 37:
		op_resize(c, KEYS);
		break;
	case 38:
		if (!below(4))
			op_detach(c);
		break;
	default:
		op_access(c, first);
	}
}

static long operations = 100000;

static void t_random(void)
{
	struct content *c;
	long done = 0;
	int i;

	while (done < operations) {
		trap = below(2);
		c = begin_with(KEYS, trap);
		memset(model, 0, sizeof(model));
		model_end = KEYS;
		model_limit = KEYS;
		model_next = 0;
		detached = false;
		for (i = 0; i < 500; i++, done++) {
			one_operation(c);
			if (i % 16 == 0)
				check_all(c);
		}
		check_all(c);
		content_free(c);
		if (!detached)
			CHECK(vmo_queue_take(&queue, &told, 1) == 1);
		vmo_queue_close(&queue);
		content_free(aux);
		CHECK(!shim.pages && !shim.nodes);
	}
	printf("# %ld random operations\n", done);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		{ "p10: what is absent, and asking for it", t_absent },
		{ "t2 t3 p12: commit asks for runs", t_commit },
		{ "n2 n3: pin waits, and undoes", t_pin },
		{ "x5: supply overwrites nothing", t_supply },
		{ "x4: supply copies what others share or hold", t_supply_copies },
		{ "x4: supply: pins, ranges, detached", t_supply_refused },
		{ "p21: failing is not remembered", t_fail },
		{ "o4: zero asks nobody", t_zero },
		{ "p40 p41: growing and shrinking", t_resize },
		{ "p50: detach keeps what was written", t_detach },
		{ "p30 n5: writing back", t_writeback },
		{ "p40 p42 p43 p44: writing zeroes back", t_writeback_zeroes },
		{ "p31 t2 o4 p50: the server is asked before a write", t_trap },
		{ "p12 p32: letting write", t_dirty },
		{ "fsync waits for what was written", t_sync },
		{ "y3: eviction", t_evict },
		{ "p51: a closed pager leaves what it supplied", t_closed },
		{ "all of it may be data", t_seek },
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
