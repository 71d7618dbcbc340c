// SPDX-License-Identifier: GPL-2.0
/*
 * Under ThreadSanitizer: two threads on two contents that share trees, and
 * several on one content. What somebody wrote is checked by who wrote it.
 */
#include <time.h>

#include "family.h"

#define KEYS	(3 * (int)VMO_LEAF_SLOTS)

static int seconds = 2;
static time_t end;

struct side {
	struct content *c;
	u64 want[KEYS];
	unsigned int seed;
	long ops;
};

#define REQUIRE(cond) \
	do { \
		if (!(cond)) \
			shim_fail(__FILE__, __LINE__, #cond); \
	} while (0)

static void set(struct content *c, pgoff_t key, u64 data)
{
	struct page *page;

	REQUIRE(!vmo_cow_lock_shared(&c->cow));
	REQUIRE(!vmo_cow_own_page(&c->cow, key, 0, &page));
	__atomic_store_n(&page->data, data, __ATOMIC_RELAXED);
	vmo_page_unlock(page);
	vmo_page_put(page);
	vmo_cow_unlock_shared(&c->cow);
}

static u64 value(struct content *c, pgoff_t key)
{
	struct page *page;
	u64 data = 0;

	REQUIRE(!vmo_cow_lock_shared(&c->cow));
	page = vmo_cow_lookup(&c->cow, key);
	if (page) {
		data = __atomic_load_n(&page->data, __ATOMIC_RELAXED);
		vmo_page_put(page);
	}
	vmo_cow_unlock_shared(&c->cow);
	return data;
}

static void one_op(struct side *s)
{
	int key = rand_r(&s->seed) % KEYS, i;
	struct content *child;

	switch (rand_r(&s->seed) % 8) {
	case 0:
		child = content_new(0, KEYS);
		REQUIRE(!vmo_cow_snapshot(&s->c->cow, &child->cow, VMO_KEY_MAX, false));
		if (rand_r(&s->seed) % 2) {	/* go on as the child */
			content_free(s->c);
			s->c = child;
		} else {
			content_free(child);
		}
		break;
	case 1:
		REQUIRE(!vmo_cow_remove(&s->c->cow, key, min(key + 9, KEYS - 1)));
		for (i = key; i <= min(key + 9, KEYS - 1); i++)
			s->want[i] = 0;
		break;
	default:
		s->want[key] = rand_r(&s->seed) + 1U;
		set(s->c, key, s->want[key]);
	}
	key = rand_r(&s->seed) % KEYS;
	REQUIRE(value(s->c, key) == s->want[key]);
}

static void *run_side(void *arg)
{
	struct side *s = arg;
	int i;

	while (time(NULL) < end) {
		for (i = 0; i < 64; i++)
			one_op(s);
		s->ops += 64;
	}
	for (i = 0; i < KEYS; i++)
		REQUIRE(value(s->c, i) == s->want[i]);
	return NULL;
}

/* Again and again: one content, snapshotted, and each half goes its way. */
static void t_two_contents(void)
{
	static struct side a, b;
	pthread_t thread;
	long ops = 0;
	int i, round;

	for (round = 0; round < 2; round++) {
		a = (struct side){ .c = content_new(0, KEYS), .seed = 1 + round };
		for (i = 0; i < KEYS; i++)
			set(a.c, i, a.want[i] = i + 1);
		b = a;
		b.seed = 77;
		b.c = content_snapshot(a.c, 0, KEYS);
		end = time(NULL) + seconds;
		pthread_create(&thread, NULL, run_side, &b);
		run_side(&a);
		pthread_join(thread, NULL);
		ops += a.ops + b.ops;
		content_free(a.c);
		content_free(b.c);
	}
	printf("# %ld operations\n", ops);
	CHECK(ops && !shim.pages && !shim.nodes);
}

static struct content *one;
static u64 done;

/* Raises the numbers of all keys, in order. */
static void *raise(void *arg)
{
	u64 n = 0;
	int i;

	(void)arg;
	while (time(NULL) < end) {
		n++;
		for (i = 0; i < KEYS; i++)
			set(one, i, n);
	}
	__atomic_store_n(&done, n, __ATOMIC_RELEASE);
	return NULL;
}

/* A snapshot is one instant: the numbers fall by one, once, or not at all. */
static void t_one_content(void)
{
	struct content *child;
	pthread_t thread;
	long snaps = 0;
	u64 first;
	int i;

	one = content_new(0, KEYS);
	end = time(NULL) + seconds;
	pthread_create(&thread, NULL, raise, NULL);
	while (time(NULL) < end) {
		child = content_snapshot(one, 0, KEYS);
		first = value(child, 0);
		for (i = 1; i < KEYS && value(child, i) == first; i++)
			;
		for (; i < KEYS; i++)
			REQUIRE(value(child, i) + 1 == first);
		content_free(child);
		snaps++;
	}
	pthread_join(thread, NULL);
	printf("# %ld snapshots, %lu rounds\n", snaps, (unsigned long)done);
	CHECK(snaps && done);
	content_free(one);
}

/* Lets others run at steps where they are in the way. */
static void jitter(void)
{
	static __thread unsigned int seed = 1;

	if (rand_r(&seed) % 128 == 0)
		sched_yield();
}

#define WORKERS	3

/**
 * struct worker - one who uses a mapped content
 * @nr: the keys of which the remainder is this are its own
 * @seed: of its random numbers
 * @want: what its keys have to read
 */
struct worker {
	int nr;
	unsigned int seed;
	u64 want[MAP_KEYS];
};

static void check_page(struct worker *w, struct page *page, pgoff_t key)
{
	REQUIRE(__atomic_load_n(&page->data, __ATOMIC_RELAXED) == w->want[key]);
	vmo_page_put(page);
}

static void check_child(struct worker *w, pgoff_t first, pgoff_t end)
{
	struct content *child = content_new(first, end);
	pgoff_t key;

	REQUIRE(!vmo_cow_snapshot(&one->cow, &child->cow, VMO_KEY_MAX, false));
	for (key = first; key < end; key++)
		if (key % WORKERS == (pgoff_t)w->nr)
			REQUIRE(value(child, key) == w->want[key]);
	content_free(child);
}

static void work(struct worker *w)
{
	pgoff_t key = (rand_r(&w->seed) % (MAP_KEYS / WORKERS)) * WORKERS + w->nr;
	u64 data = rand_r(&w->seed) + 1U;

	switch (rand_r(&w->seed) % 16) {
	case 0:
		check_child(w, rand_r(&w->seed) % 2 ? 0 : key, MAP_KEYS);
		break;
	case 1:
		REQUIRE(!vmo_cow_remove(&one->cow, key, key));
		w->want[key] = 0;
		break;
	case 2:
		REQUIRE(!vmo_cow_commit(&one->cow, key, min(key + 5, MAP_KEYS - 1UL)));
		break;
	case 3:
		map_around(one, key, min(key + 7, MAP_KEYS - 1UL));
		break;
	case 4:
		check_page(w, map_pin(one, key), key);
		break;
	case 5:
	case 6:
		w->want[key] = data;
		set(one, key, data);
		break;
	case 7:
	case 8:
	case 9:
	case 10:
		w->want[key] = data;
		REQUIRE(!map_store(one, key, data));
		break;
	}
	if (rand_r(&w->seed) % 2)
		REQUIRE(!map_load(one, key, &data));
	else
		data = value(one, key);
	REQUIRE(data == w->want[key]);
}

/* All begin at once, with an empty tree. */
static pthread_barrier_t start_line;

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	int i;

	memset(w->want, 0, sizeof(w->want));
	pthread_barrier_wait(&start_line);
	for (i = 0; i < 1000; i++)
		work(w);
	return NULL;
}

/* A new content each time: its tree grows under them. */
static void t_mapped(void)
{
	static struct worker worker[WORKERS];
	pthread_t thread[WORKERS];
	long ops = 0;
	int i;

	pthread_barrier_init(&start_line, NULL, WORKERS);
	shim_step_hook = jitter;
	end = time(NULL) + seconds;
	while (time(NULL) < end) {
		one = content_new(0, MAP_KEYS);
		map_content(one);
		for (i = 0; i < WORKERS; i++) {
			worker[i].nr = i;
			worker[i].seed = ops + i;
			pthread_create(&thread[i], NULL, run_worker, &worker[i]);
		}
		for (i = 0; i < WORKERS; i++) {
			pthread_join(thread[i], NULL);
			ops += 1000;
		}
		map_check(one);
		content_free(one);
		REQUIRE(!shim.pages && !shim.nodes);
	}
	shim_step_hook = NULL;
	printf("# %ld operations\n", ops);
	CHECK(ops);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		{ "two threads on contents that share trees", t_two_contents },
		{ "a snapshot is one instant of what another thread writes", t_one_content },
		{ "three threads on one mapped content", t_mapped },
	};

	if (argc > 1)
		seconds = atoi(argv[1]);
	shim_init();
	tap_failed = shim_reset;
	return tap_main(tests, sizeof(tests) / sizeof(*tests));
}
