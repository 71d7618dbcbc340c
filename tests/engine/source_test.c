// SPDX-License-Identifier: GPL-2.0
/*
 * source_test [OPERATIONS [SEED]]: requests of contents to their pagers, by rule, and then
 * random operations against a model that keeps lists and looks at all of them.
 */
#include "page_source.h"
#include "shim.h"
#include "tap.h"

#define LAST (~0UL)

static int nr_ready, nr_woken;

static void on_ready(struct vmo_queue *queue)
{
	CHECK(shim_holds_leaf());
	nr_ready++;
}

static const struct vmo_queue_ops queue_ops = { .ready = on_ready };

static void on_wake(struct vmo_waiter *waiter)
{
	CHECK(shim_holds_leaf());
	nr_woken++;
}

/* ---- by rule ------------------------------------------------------------- */

static struct vmo_queue queue;
static struct vmo_source *source;
static struct vmo_notice told[8];

static void begin(void)
{
	nr_ready = 0;
	nr_woken = 0;
	vmo_queue_init(&queue, &queue_ops);
	source = vmo_source_new(&queue, 77);
	CHECK(source);
}

static void end(void)
{
	vmo_source_release(source);
	vmo_queue_close(&queue);
	CHECK(vmo_queue_empty(&queue));
}

static int ask(struct vmo_waiter *waiter, unsigned int type, pgoff_t first, pgoff_t last)
{
	struct vmo_request *spare = vmo_request_alloc();
	int ret;

	CHECK(spare);
	waiter->wake = on_wake;
	ret = vmo_source_ask(source, type, first, last, waiter, &spare);
	vmo_request_free(spare);
	return ret;
}

static bool is(const struct vmo_notice *notice, unsigned int type, pgoff_t first, pgoff_t last)
{
	return notice->type == type && notice->first == first && notice->last == last &&
	       notice->key == 77;
}

/* A request that nobody waits for stays, is told of, and may be joined. */
static void t_left(void)
{
	struct vmo_request *spare = vmo_request_alloc();
	struct vmo_waiter w;
	unsigned int i;

	begin();
	CHECK(!vmo_source_ask(source, VMO_ASK_READ, 3, 6, NULL, &spare) && !spare);
	CHECK(!ask(&w, VMO_ASK_READ, 4, 9) && nr_ready == 1);
	CHECK(vmo_queue_take(&queue, told, 8) == 1 && is(&told[0], VMO_ASK_READ, 3, 6));
	vmo_source_answer(source, VMO_ASK_READ, 3, 6);
	CHECK(nr_woken == 1 && !w.error);
	/* Of these there are only so many. */
	for (i = 0; i <= VMO_LEFT_MAX; i++) {
		spare = vmo_request_alloc();
		CHECK(vmo_source_ask(source, VMO_ASK_READ, 2 * i, 2 * i, NULL, &spare) ==
		      (i < VMO_LEFT_MAX ? 0 : -EAGAIN));
		vmo_request_free(spare);
	}
	CHECK(!ask(&w, VMO_ASK_READ, 2 * VMO_LEFT_MAX, 2 * VMO_LEFT_MAX));
	vmo_source_fail(source, 4, 4, -EIO);
	spare = vmo_request_alloc();
	CHECK(!vmo_source_ask(source, VMO_ASK_READ, 4, 4, NULL, &spare) && !spare);
	end();
}

/* What could not be told is told again, before the others, and only once. */
static void t_untold(void)
{
	struct vmo_waiter w[4];
	int i;

	begin();
	for (i = 0; i < 4; i++)
		CHECK(!ask(&w[i], VMO_ASK_READ, 10 * i, 10 * i));
	CHECK(vmo_queue_take(&queue, told, 3) == 3);
	vmo_source_answer(source, VMO_ASK_READ, 20, 20);
	vmo_queue_untell(&queue, told + 1, 2);
	CHECK(vmo_queue_take(&queue, told, 8) == 2);
	CHECK(is(&told[0], VMO_ASK_READ, 10, 10) && is(&told[1], VMO_ASK_READ, 30, 30));
	vmo_queue_give_back(&queue);
	CHECK(vmo_queue_take(&queue, told, 8) == 3 && is(&told[0], VMO_ASK_READ, 0, 0));
	end();
}

/* Nobody answers: who waits and who asks is told so, until somebody may come again. */
static void t_refused(void)
{
	struct vmo_waiter w, w2;

	begin();
	CHECK(!ask(&w, VMO_ASK_READ, 3, 6));
	vmo_queue_refuse(&queue, -ETIMEDOUT);
	CHECK(nr_woken == 1 && w.error == -ETIMEDOUT && vmo_queue_empty(&queue));
	CHECK(ask(&w, VMO_ASK_READ, 3, 6) == -ETIMEDOUT);
	vmo_queue_refuse(&queue, 0);
	CHECK(!ask(&w2, VMO_ASK_READ, 3, 6) && vmo_queue_take(&queue, told, 8) == 1);
	vmo_queue_refuse(&queue, -ETIMEDOUT);
	CHECK(w2.error == -ETIMEDOUT);
	vmo_source_detach(source);
	CHECK(ask(&w, VMO_ASK_READ, 3, 6) == -EBADFD);
	end();
}

static void t_one(void)
{
	struct vmo_waiter w;

	begin();
	CHECK(!vmo_queue_take(&queue, told, 8));
	CHECK(!ask(&w, VMO_ASK_READ, 5, 9) && w.request && nr_ready == 1);
	CHECK(vmo_queue_take(&queue, told, 8) == 1 && is(&told[0], VMO_ASK_READ, 5, 9));
	CHECK(!vmo_queue_take(&queue, told, 8));
	vmo_source_answer(source, VMO_ASK_DIRTY, 5, 9);
	CHECK(w.request);
	vmo_source_answer(source, VMO_ASK_READ, 0, 20);
	CHECK(!w.request && !w.error && nr_woken == 1);
	end();
}

/* P11: who begins within one joins it; who runs into one stops in front of it. */
static void t_overlap(void)
{
	struct vmo_waiter a, b, c, d;

	begin();
	CHECK(!ask(&a, VMO_ASK_READ, 10, 19) && !ask(&b, VMO_ASK_READ, 15, 30));
	CHECK(a.request == b.request);
	CHECK(!ask(&c, VMO_ASK_READ, 5, 12) && c.request != a.request);
	CHECK(!ask(&d, VMO_ASK_DIRTY, 12, 13) && d.request != a.request);
	CHECK(vmo_queue_take(&queue, told, 8) == 3);
	CHECK(is(&told[0], VMO_ASK_READ, 10, 19) && is(&told[1], VMO_ASK_READ, 5, 9));
	CHECK(is(&told[2], VMO_ASK_DIRTY, 12, 13));
	CHECK(told[0].id < told[1].id && told[1].id < told[2].id);
	vmo_source_answer(source, VMO_ASK_READ, 5, 19);
	CHECK(!a.request && !b.request && !c.request && d.request);
	CHECK(vmo_source_leave(source, &a) && !vmo_source_leave(source, &d));
	end();
}

/* P13: the first page that is needed wakes; the rest stays and can be joined. */
static void t_early(void)
{
	struct vmo_waiter a, b;

	begin();
	CHECK(!ask(&a, VMO_ASK_READ, 10, 19));
	CHECK(vmo_queue_take(&queue, told, 8) == 1);
	vmo_source_answer(source, VMO_ASK_READ, 18, 19);
	CHECK(a.request);
	vmo_source_answer(source, VMO_ASK_READ, 8, 10);
	CHECK(!a.request && !a.error);
	CHECK(!ask(&b, VMO_ASK_READ, 13, 40) && b.request);
	CHECK(!vmo_queue_take(&queue, told, 8));
	vmo_source_answer(source, VMO_ASK_READ, 13, 17);
	CHECK(!b.request);
	/* What was answered is not asked for any more, so who needs it anew asks. */
	CHECK(!ask(&a, VMO_ASK_DIRTY, 10, 19) && vmo_queue_take(&queue, told, 8) == 1);
	vmo_source_answer(source, VMO_ASK_DIRTY, 10, 14);
	CHECK(!ask(&b, VMO_ASK_DIRTY, 12, 19) && vmo_queue_take(&queue, told, 8) == 1);
	CHECK(is(&told[0], VMO_ASK_DIRTY, 12, 14));
	vmo_source_answer(source, VMO_ASK_DIRTY, 10, 19);
	/* All of it is answered: who needs more asks anew. */
	CHECK(!ask(&b, VMO_ASK_READ, 13, 19));
	CHECK(vmo_queue_take(&queue, told, 8) == 1 && is(&told[0], VMO_ASK_READ, 13, 19));
	CHECK(!vmo_source_leave(source, &b));
	end();
}

/* P3, P15: what nobody waits for is not told; what was told is told again. */
static void t_withdrawn(void)
{
	struct vmo_waiter a, b;

	begin();
	CHECK(!ask(&a, VMO_ASK_READ, 1, 4) && !ask(&b, VMO_ASK_READ, 2, 4));
	CHECK(!vmo_source_leave(source, &a));
	CHECK(vmo_queue_take(&queue, told, 1) == 1 && is(&told[0], VMO_ASK_READ, 1, 4));
	CHECK(!vmo_source_leave(source, &b));
	CHECK(!ask(&a, VMO_ASK_READ, 1, 4));
	CHECK(!vmo_source_leave(source, &a) && !vmo_queue_take(&queue, told, 8));
	CHECK(!ask(&a, VMO_ASK_READ, 1, 4));
	vmo_source_answer(source, VMO_ASK_READ, 1, 1);
	CHECK(!a.request && !vmo_queue_take(&queue, told, 8));
	end();
}

/* Each who waits for what was written to be known has a request, and is poked. */
static void t_sync(void)
{
	struct vmo_waiter a, b;

	begin();
	CHECK(!ask(&a, VMO_ASK_SYNC, 0, 99) && vmo_queue_take(&queue, told, 8) == 1);
	CHECK(!ask(&b, VMO_ASK_SYNC, 5, 50) && vmo_queue_take(&queue, told, 8) == 1);
	CHECK(is(&told[0], VMO_ASK_SYNC, 5, 50));
	vmo_source_poke(source, 1, 9);
	CHECK(nr_woken == 1 && a.request && b.request);
	CHECK(vmo_source_move(source, &a, 60));
	vmo_source_poke(source, 55, 99);
	CHECK(nr_woken == 2 && b.request);
	/* Whatever part of it fails: they wait for all. */
	vmo_source_fail(source, 50, 50, -EIO);
	CHECK(a.error == -EIO && b.error == -EIO && !vmo_source_move(source, &a, 70));
	CHECK(!ask(&a, VMO_ASK_SYNC, 0, 99) && !vmo_source_leave(source, &a));
	CHECK(!vmo_queue_take(&queue, told, 8));
	end();
}

/* P21: whoever needs a failed page next is told; others look again; it is forgotten. */
static void t_fail(void)
{
	struct vmo_waiter a, b, c;

	begin();
	CHECK(!ask(&a, VMO_ASK_READ, 10, 19) && !ask(&b, VMO_ASK_READ, 18, 19));
	CHECK(!ask(&c, VMO_ASK_DIRTY, 19, 25));
	vmo_source_fail(source, 18, 30, -EIO);
	CHECK(!a.request && !a.error && !b.request && b.error == -EIO && c.error == -EIO);
	CHECK(!vmo_queue_take(&queue, told, 8));
	CHECK(!ask(&b, VMO_ASK_READ, 18, 18) && b.request && !b.error);
	vmo_source_cut(source, 18);
	CHECK(!b.request && !b.error);
	end();
}

/* The three lives: a server, the pager, the content. */
static void t_lives(void)
{
	struct vmo_waiter a, b, c;

	begin();
	CHECK(!ask(&a, VMO_ASK_READ, 1, 1) && !ask(&b, VMO_ASK_READ, 2, 2));
	CHECK(vmo_queue_take(&queue, told, 1) == 1 && nr_ready == 1);
	CHECK(!ask(&c, VMO_ASK_READ, 3, 3));
	vmo_queue_give_back(&queue);
	CHECK(nr_ready == 2 && vmo_queue_take(&queue, told, 8) == 3);
	CHECK(told[0].first == 1 && told[1].first == 2 && told[2].first == 3);
	vmo_source_detach(source);
	vmo_source_detach(source);
	CHECK(a.error == -EBADFD && b.error == -EBADFD && c.error == -EBADFD);
	CHECK(ask(&a, VMO_ASK_READ, 1, 1) == -EBADFD);
	CHECK(vmo_queue_take(&queue, told, 8) == 1 && is(&told[0], VMO_ASK_COMPLETE, 0, 0));
	vmo_queue_give_back(&queue);
	CHECK(vmo_queue_take(&queue, told, 8) == 1 && is(&told[0], VMO_ASK_COMPLETE, 0, 0));
	CHECK(!vmo_queue_take(&queue, told, 8));
	vmo_queue_give_back(&queue);
	CHECK(!vmo_queue_take(&queue, told, 8));
	end();
	begin();
	CHECK(!ask(&a, VMO_ASK_DIRTY, 1, 1));
	vmo_queue_close(&queue);
	CHECK(!a.request && a.error == -EBADFD);
	CHECK(ask(&a, VMO_ASK_READ, 1, 1) == -EBADFD && vmo_queue_empty(&queue));
	end();
}

/* One notice for many requests, and the next only after all were taken. */
static void t_armed(void)
{
	struct vmo_waiter w[6];
	int i;

	begin();
	for (i = 0; i < 4; i++)
		CHECK(!ask(&w[i], VMO_ASK_READ, i, i));
	CHECK(nr_ready == 1 && vmo_queue_take(&queue, told, 3) == 3);
	CHECK(!ask(&w[4], VMO_ASK_READ, 4, 4) && nr_ready == 1);
	CHECK(vmo_queue_take(&queue, told, 8) == 2);
	CHECK(!ask(&w[5], VMO_ASK_READ, 9, 9) && nr_ready == 2);
	/* What was told of is withdrawn: whoever goes on to wait is told of the next. */
	CHECK(!vmo_queue_arm(&queue) && !vmo_source_leave(source, &w[5]));
	CHECK(vmo_queue_arm(&queue) && !ask(&w[5], VMO_ASK_READ, 9, 9) && nr_ready == 3);
	end();
}

/* ---- the model ------------------------------------------------------------- */

#define SOURCES	3
#define KEYS	24
#define WAITERS	10
#define ASKED	(WAITERS * 8)

struct model_asked {
	bool used, handed;
	int source;
	unsigned int type;
	pgoff_t first, last;
	u64 order;		/* of being told */
};

static struct {
	struct vmo_source *real;
	bool closed;
	u64 key;
} sources[SOURCES];

static struct {
	struct vmo_waiter real;
	bool waits;
	int asked, source;
	pgoff_t key;
	int error;
} waiters[WAITERS];

static struct model_asked asked[ASKED];
static unsigned long operations = 200000, nr_asked, nr_told;
static u64 orders, keys, rng;
static bool armed;
static int want_ready;

static unsigned int rnd(unsigned int below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng * 0x2545f4914f6cdd1dULL >> 32) % below;
}

static int add_asked(struct model_asked what)
{
	int i = 0;

	while (asked[i].used)
		CHECK(++i < ASKED);
	asked[i] = what;
	asked[i].used = true;
	asked[i].order = ++orders;
	nr_asked++;
	if (armed)
		want_ready++;
	armed = false;
	return i;
}

static bool needed(int a)
{
	for (int i = 0; i < WAITERS; i++)
		if (waiters[i].waits && waiters[i].asked == a)
			return true;
	return false;
}

static void wake_model(int a, pgoff_t first, pgoff_t last, int error, bool all)
{
	for (int i = 0; i < WAITERS; i++) {
		bool hit = waiters[i].key >= first && waiters[i].key <= last;

		if (!waiters[i].waits || waiters[i].asked != a || (!hit && !all))
			continue;
		waiters[i].waits = false;
		waiters[i].error = hit ? error : 0;
	}
}

static bool overlaps(const struct model_asked *a, int s, pgoff_t first, pgoff_t last)
{
	return a->used && a->type != VMO_ASK_COMPLETE && a->source == s && a->first <= last &&
	       a->last >= first;
}

static void op_ask(void)
{
	int i = rnd(WAITERS), s = rnd(SOURCES), found = -1, ret;
	struct vmo_request *spare = vmo_request_alloc();
	pgoff_t first = rnd(KEYS), last = first + rnd(KEYS - first);
	unsigned int type = rnd(VMO_ASK_TYPES);
	pgoff_t stop = last;

	if (waiters[i].waits) {
		vmo_request_free(spare);
		return;
	}
	for (int a = 0; a < ASKED; a++) {
		if (!overlaps(&asked[a], s, first, last) || asked[a].type != type ||
		    type == VMO_ASK_SYNC)
			continue;
		if (asked[a].first <= first)
			found = a;
		else
			stop = min(stop, asked[a].first - 1);
	}
	waiters[i].real.wake = on_wake;
	ret = vmo_source_ask(sources[s].real, type, first, last, &waiters[i].real, &spare);
	CHECK(ret == (sources[s].closed ? -EBADFD : 0));
	CHECK(!spare == (!ret && found < 0));
	vmo_request_free(spare);
	if (ret)
		return;
	if (found < 0)
		found = add_asked((struct model_asked){ .source = s, .type = type,
				  .first = first, .last = stop });
	waiters[i].waits = true;
	waiters[i].asked = found;
	waiters[i].source = s;
	waiters[i].key = first;
	waiters[i].error = 0;
}

static void op_leave(void)
{
	int i = rnd(WAITERS);

	if (!waiters[i].real.wake || !sources[waiters[i].source].real)
		return;
	CHECK(vmo_source_leave(sources[waiters[i].source].real, &waiters[i].real) ==
	      !waiters[i].waits);
	if (!waiters[i].waits)
		return;
	waiters[i].waits = false;
	if (!needed(waiters[i].asked))
		asked[waiters[i].asked].used = false;
}

/* Somebody waits for a key of @a below @key. */
static bool needed_below(int a, pgoff_t key)
{
	for (int i = 0; i < WAITERS; i++)
		if (waiters[i].waits && waiters[i].asked == a && waiters[i].key < key)
			return true;
	return false;
}

/* What is left of a request is its head, or its tail if nobody waits in the former. */
static void answer_model(int a, pgoff_t first, pgoff_t last)
{
	bool head = first > asked[a].first, tail = last < asked[a].last;

	if (head && tail && !needed_below(a, first))
		head = false;
	if (head)
		asked[a].last = first - 1;
	else if (tail)
		asked[a].first = last + 1;
	else
		asked[a].used = false;
	if (!asked[a].used)
		wake_model(a, 0, LAST, 0, true);
	if (asked[a].first)
		wake_model(a, 0, asked[a].first - 1, 0, false);
	wake_model(a, asked[a].last + 1, LAST, 0, false);
	if (!asked[a].handed && !needed(a))
		asked[a].used = false;
}

static void op_answer(void)
{
	pgoff_t first = rnd(KEYS), last = first + rnd(KEYS - first);
	unsigned int type = rnd(VMO_ASK_SYNC);
	int s = rnd(SOURCES);

	vmo_source_answer(sources[s].real, type, first, last);
	for (int a = 0; a < ASKED; a++)
		if (overlaps(&asked[a], s, first, last) && asked[a].type == type)
			answer_model(a, first, last);
}

/* Only who waits for the server to know what was written is poked, and waits on. */
static void op_poke(void)
{
	pgoff_t first = rnd(KEYS), last = first + rnd(KEYS - first), to;
	int s = rnd(SOURCES), i = rnd(WAITERS), want = 0;

	for (int w = 0; w < WAITERS; w++)
		want += waiters[w].waits && waiters[w].source == s &&
			asked[waiters[w].asked].type == VMO_ASK_SYNC &&
			waiters[w].key >= first && waiters[w].key <= last;
	want += nr_woken;
	vmo_source_poke(sources[s].real, first, last);
	CHECK(nr_woken == want);
	if (!waiters[i].real.wake || !sources[waiters[i].source].real)
		return;
	if (waiters[i].waits && asked[waiters[i].asked].type != VMO_ASK_SYNC)
		return;
	to = asked[waiters[i].asked].first;
	to += rnd(asked[waiters[i].asked].last - to + 1);
	CHECK(vmo_source_move(sources[waiters[i].source].real, &waiters[i].real, to) ==
	      waiters[i].waits);
	waiters[i].key = waiters[i].waits ? to : waiters[i].key;
}

static void end_model(int s, pgoff_t first, pgoff_t last, int error)
{
	for (int a = 0; a < ASKED; a++) {
		if (!overlaps(&asked[a], s, first, last))
			continue;
		if (asked[a].type == VMO_ASK_SYNC)
			wake_model(a, 0, LAST, error, true);
		wake_model(a, first, last, error, true);
		asked[a].used = false;
	}
}

static void op_fail(void)
{
	pgoff_t first = rnd(KEYS), last = rnd(3) ? first + rnd(KEYS - first) : LAST;
	int s = rnd(SOURCES), error = last == LAST ? 0 : -EIO;

	if (error)
		vmo_source_fail(sources[s].real, first, last, error);
	else
		vmo_source_cut(sources[s].real, first);
	end_model(s, first, last, error);
}

/* The oldest that waits; with @handed, that was handed out. -1: none. */
static int oldest(bool handed)
{
	int found = -1;

	for (int a = 0; a < ASKED; a++)
		if (asked[a].used && asked[a].handed == handed &&
		    (found < 0 || asked[a].order < asked[found].order))
			found = a;
	return found;
}

static void op_take(void)
{
	unsigned int room = rnd(ARRAY_SIZE(told) + 1), nr = 0, got;
	int a;

	got = vmo_queue_take(&queue, told, room);
	for (a = 0; a < ASKED; a++)
		if (asked[a].handed && asked[a].type == VMO_ASK_COMPLETE)
			asked[a].used = false;
	for (; nr < room && (a = oldest(false)) >= 0; nr++) {
		CHECK(nr < got && told[nr].type == asked[a].type);
		CHECK(told[nr].first == asked[a].first && told[nr].last == asked[a].last);
		CHECK(asked[a].type == VMO_ASK_COMPLETE ||
		      told[nr].key == sources[asked[a].source].key);
		asked[a].handed = true;
	}
	CHECK(nr == got);
	nr_told += got;
	armed |= oldest(false) < 0;
}

static void op_give_back(void)
{
	vmo_queue_give_back(&queue);
	for (int a = 0; a < ASKED; a++)
		asked[a].handed = false;
	armed = oldest(false) < 0;
	want_ready += !armed;
}

static void new_source(int s)
{
	sources[s].key = ++keys;
	sources[s].real = vmo_source_new(&queue, keys);
	sources[s].closed = false;
	CHECK(sources[s].real);
}

static void detach_model(int s)
{
	if (sources[s].closed)
		return;
	sources[s].closed = true;
	end_model(s, 0, LAST, -EBADFD);
	add_asked((struct model_asked){ .source = s, .type = VMO_ASK_COMPLETE });
}

static void op_detach(void)
{
	int s = rnd(SOURCES);

	if (rnd(3)) {
		vmo_source_detach(sources[s].real);
		detach_model(s);
		return;
	}
	vmo_source_release(sources[s].real);
	detach_model(s);
	for (int i = 0; i < WAITERS; i++)
		if (waiters[i].source == s)
			waiters[i].real.wake = NULL;
	new_source(s);
}

static void close_all(void)
{
	vmo_queue_close(&queue);
	for (int s = 0; s < SOURCES; s++) {
		end_model(s, 0, LAST, -EBADFD);
		sources[s].closed = true;
	}
	memset(asked, 0, sizeof(asked));
	CHECK(vmo_queue_empty(&queue));
}

static void start_over(void)
{
	for (int s = 0; s < SOURCES; s++)
		if (sources[s].real)
			vmo_source_release(sources[s].real);
	memset(waiters, 0, sizeof(waiters));
	vmo_queue_init(&queue, &queue_ops);
	armed = true;
	for (int s = 0; s < SOURCES; s++)
		new_source(s);
}

static void check_model(void)
{
	for (int i = 0; i < WAITERS; i++) {
		if (!waiters[i].real.wake)
			continue;
		CHECK(!!waiters[i].real.request == waiters[i].waits);
		CHECK(waiters[i].waits || waiters[i].real.error == waiters[i].error);
	}
	CHECK(nr_ready == want_ready);
	CHECK(vmo_queue_empty(&queue) == (oldest(false) < 0));
}

static void t_model(void)
{
	static void (*const ops[])(void) = {
		op_ask, op_ask, op_ask, op_ask, op_answer, op_answer, op_leave, op_fail,
		op_poke, op_take, op_take, op_give_back,
	};

	nr_ready = 0;
	start_over();
	for (unsigned long i = 0; i < operations; i++) {
		if (!rnd(60))
			op_detach();
		else
			ops[rnd(ARRAY_SIZE(ops))]();
		check_model();
		if (rnd(400))
			continue;
		close_all();
		check_model();
		start_over();
	}
	close_all();
	for (int s = 0; s < SOURCES; s++)
		vmo_source_release(sources[s].real);
	printf("# %lu operations, %lu requests, %lu of them told, %d waiters woken\n", operations,
	       nr_asked, nr_told, nr_woken);
	CHECK(nr_asked > operations / 20 && nr_told > operations / 40);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		{ "a request that nobody waits for", t_left },
		{ "p3: what could not be told", t_untold },
		{ "design 6: nobody serves for too long", t_refused },
		{ "p10: a request, told and answered", t_one },
		{ "p11: overlapping requests", t_overlap },
		{ "p13: early wake-up, and the rest is joined", t_early },
		{ "sync: each its own request, and poked", t_sync },
		{ "p3 p15: withdrawn, and asked again", t_withdrawn },
		{ "p20 p21: failures and cuts", t_fail },
		{ "p50 p51 p53: the ends of server, source and pager", t_lives },
		{ "p3: one notice until all is taken", t_armed },
		{ "requests against the model", t_model },
	};

	shim_init();
	if (argc > 1)
		operations = strtoul(argv[1], NULL, 10);
	rng = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1) * 0x9e3779b97f4a7c15ULL;
	return tap_main(tests, ARRAY_SIZE(tests));
}
