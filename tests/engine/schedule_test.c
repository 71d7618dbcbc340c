// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that run at the same time, in every order of their steps that one
 * change of turns makes, and in many random ones.
 *
 * What comes of it must be what some order of the whole operations gives: so
 * each set of operations first runs one after the other, in every order, which
 * says what may come out. Memory is sequentially consistent here; whether the
 * barriers suffice is for the thread test and the kernel.
 */
#include <time.h>

#include "family.h"
#include "threads.h"

#define L		VMO_LEAF_SLOTS
#define ORDERS_MAX	6

/* Two pages of one leaf and one of another. */
static const pgoff_t keys[] = { 0, 1, L };
#define NR_KEYS		(sizeof(keys) / sizeof(*keys))
#define END		(2UL * L)

enum { A, B, C, D, E, NR_MEMBERS };

#define NOT_THERE	(~0ULL)

/**
 * struct outcome - all that can be seen of a run
 * @value: what each member reads at each key
 * @seen: what each operation returned
 */
struct outcome {
	u64 value[NR_MEMBERS][NR_KEYS];
	u64 seen[THREADS_MAX];
};

/**
 * struct op - one operation
 * @name: for messages
 * @run: does it and returns what it saw
 * @member: whose
 */
struct op {
	const char *name;
	u64 (*run)(struct content *c, int self);
	int member;
};

static struct content *members[NR_MEMBERS];
static const struct op *ops_now[THREADS_MAX];
static u64 seen[THREADS_MAX];
static struct page *pinned[THREADS_MAX + 1];
static u64 pinned_data[THREADS_MAX + 1];
static struct {
	unsigned long runs, steps, sets, told;
} stats;
/* Who watches A, if somebody does, and the copy that follows what is told. */
static bool watched;
static struct vmo_watch watch;
static u64 copy[NR_KEYS];

#define REQUIRE(cond) \
	do { \
		if (!(cond)) \
			shim_fail(__FILE__, __LINE__, #cond); \
	} while (0)

static struct content *mapped(struct content *c)
{
	map_content(c);
	return c;
}

/* ---- operations -------------------------------------------------------- */

static u64 load(struct content *c, pgoff_t key)
{
	u64 data;

	return map_load(c, key, &data) ? NOT_THERE : data;
}

static u64 op_load0(struct content *c, int self)
{
	return load(c, 0);
}

static u64 op_load_l(struct content *c, int self)
{
	return load(c, L);
}

static u64 op_store0(struct content *c, int self)
{
	return map_store(c, 0, 100 + self);
}

static u64 op_store1(struct content *c, int self)
{
	return map_store(c, 1, 200 + self);
}

static u64 op_store_l(struct content *c, int self)
{
	return map_store(c, L, 300 + self);
}

/* As write(2) does it. */
static u64 op_write0(struct content *c, int self)
{
	struct page *page;
	int ret;

	REQUIRE(!vmo_cow_lock_shared(&c->cow));
	ret = vmo_cow_own_page(&c->cow, 0, VMO_OWN_WRITTEN, &page);
	if (!ret) {
		page->data = 400 + self;
		shim_step();
		vmo_page_unlock(page);
		vmo_page_put(page);
	}
	vmo_cow_unlock_shared(&c->cow);
	return ret;
}

/* Who has written sees it, whatever the way. */
static u64 op_write_load0(struct content *c, int self)
{
	REQUIRE(!op_write0(c, self));
	return load(c, 0);
}

/* As read(2) does it. */
static u64 op_read0(struct content *c, int self)
{
	struct page *page;
	u64 data = 0;

	REQUIRE(!vmo_cow_lock_shared(&c->cow));
	page = vmo_cow_lookup(&c->cow, 0);
	if (page) {
		shim_step();
		data = page->data;
		vmo_page_put(page);
	}
	vmo_cow_unlock_shared(&c->cow);
	return data;
}

static u64 op_store_read0(struct content *c, int self)
{
	REQUIRE(!op_store0(c, self));
	return op_read0(c, self);
}

/* Through a reference that it took before. */
static u64 op_device(struct content *c, int self)
{
	shim_step();
	pinned[THREADS_MAX]->data = 500 + self;
	return 0;
}

static u64 op_around(struct content *c, int self)
{
	map_around(c, 0, L);
	return 0;
}

static u64 op_remove(struct content *c, int self)
{
	return vmo_cow_remove(&c->cow, 0, L - 1);
}

static u64 op_remove_all(struct content *c, int self)
{
	return vmo_cow_remove(&c->cow, 0, END - 1);
}

static u64 op_shrink(struct content *c, int self)
{
	return vmo_cow_resize(&c->cow, 1);
}

static u64 op_commit(struct content *c, int self)
{
	return vmo_cow_commit(&c->cow, 0, 2);
}

static u64 op_snapshot(struct content *c, int self)
{
	struct content *child = content_new(0, END);
	u64 ret = vmo_cow_snapshot(&c->cow, &child->cow, VMO_KEY_MAX, false);

	map_content(child);
	members[C + self] = child;
	return ret;
}

static u64 op_window(struct content *c, int self)
{
	struct content *child = content_new(1, L + 1);
	u64 ret = vmo_cow_snapshot(&c->cow, &child->cow, VMO_KEY_MAX, false);

	map_content(child);
	members[C + self] = child;
	return ret;
}

/* vmsplice: the pipe keeps the page, and the member it came from is closed. */
static u64 op_pin_close(struct content *c, int self)
{
	pinned[self] = map_pin(c, 0);
	pinned_data[self] = pinned[self]->data;
	members[B] = NULL;
	content_free(c);
	return pinned_data[self];
}

static u64 op_close(struct content *c, int self)
{
	members[B] = NULL;
	content_free(c);
	return 0;
}

static u64 op_rewind(struct content *c, int self)
{
	return vmo_cow_rewind(&c->cow);
}

/* Part of a leaf to another place of the content. */
static u64 op_move(struct content *c, int self)
{
	pgoff_t count = 2;

	return vmo_cow_transfer(&c->cow, L, &c->cow, 0, false, &count);
}

/* A leaf goes to somebody new. */
static u64 op_take(struct content *c, int self)
{
	struct content *taker = mapped(content_new(0, END));
	pgoff_t count = L;

	members[C + self] = taker;
	return vmo_cow_transfer(&taker->cow, L, &c->cow, 0, false, &count);
}

/* Each its leaf, at one place of the family. */
static u64 op_give(struct content *c, int self)
{
	pgoff_t count = L;

	return vmo_cow_transfer(&members[A]->cow, 0, &c->cow, 0, false, &count);
}

static u64 op_usage(struct content *c, int self)
{
	struct vmo_tally usage;

	REQUIRE(!vmo_cow_usage(&c->cow, 0, END - 1, &usage));
	REQUIRE(c->cow.has_base ||
		(usage.scaled <= usage.pages << 32 && usage.private <= usage.pages));
	return 0;
}

static bool note_told(pgoff_t first, pgoff_t last, void *arg)
{
	bool *told = arg;
	unsigned int i;

	for (i = 0; i < NR_KEYS; i++)
		told[i] |= first <= keys[i] && keys[i] <= last;
	return true;
}

/* Copies what was written since; what is told too early would be copied too early. */
static void follow(struct content *c)
{
	bool told[NR_KEYS] = { };
	pgoff_t key = 0;
	unsigned int i;

	while (key <= VMO_KEY_MAX)
		REQUIRE(!vmo_cow_harvest(&c->cow, &watch, &key, VMO_KEY_MAX, false, note_told,
					 told));
	for (i = 0; i < NR_KEYS; i++) {
		stats.told += told[i];
		if (told[i])
			copy[i] = get(c, keys[i]);
	}
}

static u64 op_harvest(struct content *c, int self)
{
	if (watched)
		follow(c);
	return 0;
}

static const struct op table[] = {
	{ "load 0", op_load0, A },
	{ "load L", op_load_l, A },
	{ "store 0", op_store0, A },
	{ "store 1", op_store1, A },
	{ "store L", op_store_l, A },
	{ "write 0", op_write0, A },
	{ "read 0", op_read0, A },
	{ "write, load 0", op_write_load0, A },
	{ "store, read 0", op_store_read0, A },
	{ "around", op_around, A },
	{ "remove", op_remove, A },
	{ "remove all", op_remove_all, A },
	{ "shrink", op_shrink, A },
	{ "commit", op_commit, A },
	{ "snapshot", op_snapshot, A },
	{ "window", op_window, A },
	{ "usage", op_usage, A },
	{ "rewind", op_rewind, A },
	{ "move", op_move, A },
	{ "take", op_take, A },
	{ "device", op_device, A },
	{ "harvest", op_harvest, A },
	{ "B load 0", op_load0, B },
	{ "B store 0", op_store0, B },
	{ "B store 1", op_store1, B },
	{ "B write 0", op_write0, B },
	{ "B remove", op_remove, B },
	{ "B snapshot", op_snapshot, B },
	{ "B take", op_take, B },
	{ "B give", op_give, B },
	{ "B pin, close", op_pin_close, B },
	{ "B close", op_close, B },
};

#define NR_OPS	(sizeof(table) / sizeof(*table))

static bool closes(const struct op *op)
{
	return op->run == op_close || op->run == op_pin_close;
}

/* Two steps, between which nobody may change what they are about. */
static bool is_double(const struct op *op)
{
	return op->run == op_write_load0 || op->run == op_store_read0;
}

static bool changes_0(const struct op *op)
{
	return is_double(op) || op->run == op_store0 || op->run == op_write0 ||
	       op->run == op_remove || op->run == op_remove_all || op->run == op_device ||
	       op->run == op_rewind || op->run == op_move || op->run == op_take ||
	       op->run == op_give;
}

/* ---- scenes ------------------------------------------------------------ */

static void read_all(struct content *c)
{
	unsigned int i;

	for (i = 0; i < NR_KEYS; i++)
		load(c, keys[i]);
}

/* Nothing but holes, mapped as such. */
static void scene_holes(void)
{
	members[A] = mapped(content_new(0, END));
	read_all(members[A]);
}

static void scene_new(void)
{
	members[A] = mapped(content_new(0, END));
}

static void scene_alone(void)
{
	unsigned int i;

	members[A] = mapped(content_new(0, END));
	for (i = 0; i < NR_KEYS; i++)
		REQUIRE(!map_store(members[A], keys[i], i + 1));
}

/* Written, but not through the mapping, and mapped read-only. */
static void scene_written(void)
{
	members[A] = mapped(content_new(0, END));
	put(members[A], 0, 1, 0);
	put(members[A], L, 3, 0);
	read_all(members[A]);
}

static void scene_shared(void)
{
	scene_alone();
	members[B] = mapped(content_snapshot(members[A], 0, END));
}

static void scene_shared_mapped(void)
{
	scene_shared();
	read_all(members[A]);
	read_all(members[B]);
}

/* The leaves are apart, the pages not. */
static void scene_split(void)
{
	scene_shared_mapped();
	REQUIRE(!map_store(members[A], 1, 7));
}

/* A snapshot of a part: the path is apart, and B has no second leaf. */
static void scene_part(void)
{
	scene_alone();
	members[B] = mapped(content_snapshot(members[A], 0, 2));
	read_all(members[A]);
	read_all(members[B]);
}

/* A device writes to a page of A. */
static void scene_held(void)
{
	scene_alone();
	pinned[THREADS_MAX] = map_pin(members[A], 0);
	members[B] = mapped(content_snapshot(members[A], 0, END));
	read_all(members[B]);
}

/* A pipe holds what B, which is closed, shared with A. */
static void scene_piped(void)
{
	scene_shared();
	pinned[THREADS_MAX] = map_pin(members[B], 0);
	pinned_data[THREADS_MAX] = 1;
	content_free(members[B]);
	members[B] = NULL;
	read_all(members[A]);
}

/* One that can go back, written and mapped, whose parent is gone, or is B. */
static void rewindable(bool parent)
{
	struct content *root = mapped(content_new(0, END));

	REQUIRE(!map_store(root, 0, 1));
	REQUIRE(!map_store(root, L, 3));
	members[A] = content_snapshot(root, 0, END);
	vmo_cow_keep_base(&members[A]->cow);
	map_content(members[A]);
	read_all(members[A]);
	REQUIRE(!map_store(members[A], 0, 5));
	REQUIRE(!map_store(members[A], 1, 6));
	if (parent)
		members[B] = root;
	else
		content_free(root);
}

static void scene_rewindable(void)
{
	rewindable(true);
}

static void scene_rewindable_alone(void)
{
	rewindable(false);
}

static void begin_watch(void)
{
	unsigned int i;

	REQUIRE(!vmo_cow_watch(&members[A]->cow, &watch, END - 1));
	for (i = 0; i < NR_KEYS; i++)
		copy[i] = get(members[A], keys[i]);
	watched = true;
}

static void scene_watched(void)
{
	scene_alone();
	begin_watch();
}

static void scene_watched_split(void)
{
	scene_split();
	begin_watch();
}

static void scene_watched_held(void)
{
	scene_held();
	begin_watch();
}

static void scene_watched_rewindable(void)
{
	scene_rewindable();
	begin_watch();
}

static const struct scene {
	const char *name;
	void (*set)(void);
} scenes[] = {
	{ "holes that are mapped", scene_holes },
	{ "an empty object", scene_new },
	{ "an object that is mapped and written", scene_alone },
	{ "an object that is written and read", scene_written },
	{ "a snapshot", scene_shared },
	{ "a snapshot, both sides mapped", scene_shared_mapped },
	{ "a snapshot whose leaves are apart", scene_split },
	{ "a snapshot of a part", scene_part },
	{ "a page that a device writes", scene_held },
	{ "a page that a pipe has got", scene_piped },
	{ "a child with a base", scene_rewindable },
	{ "a child with a base, alone", scene_rewindable_alone },
	{ "an object that is watched", scene_watched },
	{ "a snapshot whose leaves are apart, watched", scene_watched_split },
	{ "a page that a device writes, watched", scene_watched_held },
	{ "a child with a base, watched", scene_watched_rewindable },
};

#define NR_SCENES	(sizeof(scenes) / sizeof(*scenes))

/* ---- runs -------------------------------------------------------------- */

static void run_one(int self)
{
	seen[self] = ops_now[self]->run(members[ops_now[self]->member], self);
}

static u64 value_of(struct content *c, pgoff_t key)
{
	u64 data;

	if (key < c->cow.base || key >= c->cow.end)
		return NOT_THERE;
	data = get(c, key);
	REQUIRE(load(c, key) == data);
	return data;
}

/* Whoever comes late builds nothing past the end. */
static void check_limits(struct content *c)
{
	pgoff_t key = (c->cow.end + VMO_LEAF_MASK) & ~VMO_LEAF_MASK;

	REQUIRE(!vmo_tree_next_leaf(&c->cow.tree, &key, VMO_KEY_MAX, false));
}

static void look(struct outcome *out)
{
	unsigned int i, k;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < NR_MEMBERS; i++) {
		if (!members[i])
			continue;
		map_check(members[i]);
		check_limits(members[i]);
		for (k = 0; k < NR_KEYS; k++)
			out->value[i][k] = value_of(members[i], keys[k]);
		map_check(members[i]);
	}
	memcpy(out->seen, seen, sizeof(seen));
}

static void end_pins(void)
{
	int i;

	for (i = 0; i <= THREADS_MAX; i++) {
		if (!pinned[i])
			continue;
		/* What a pipe holds nobody writes to any more. */
		REQUIRE(!pinned_data[i] || pinned[i]->data == pinned_data[i]);
		vmo_page_put(pinned[i]);
		pinned[i] = NULL;
		pinned_data[i] = 0;
	}
}

/* Nothing was missed: the copy is what there is, as far as it goes. */
static void end_watch(void)
{
	unsigned int i;

	if (!watched)
		return;
	follow(members[A]);
	for (i = 0; i < NR_KEYS; i++)
		REQUIRE(keys[i] >= members[A]->cow.end || copy[i] == get(members[A], keys[i]));
	vmo_cow_unwatch(&members[A]->cow, &watch);
	watched = false;
}

static void begin(const struct scene *scene)
{
	memset(seen, 0, sizeof(seen));
	scene->set();
}

static void end(struct outcome *out)
{
	unsigned int i;

	if (out)
		look(out);
	end_watch();
	end_pins();
	for (i = 0; i < NR_MEMBERS; i++) {
		if (members[i])
			content_free(members[i]);
		members[i] = NULL;
	}
	REQUIRE(!shim.pages && !shim.nodes);
}

/* ---- what may come out ------------------------------------------------- */

static const int orders[ORDERS_MAX][THREADS_MAX] = {
	{ 0, 1, 2 }, { 1, 0, 2 }, { 1, 2, 0 }, { 0, 2, 1 }, { 2, 0, 1 }, { 2, 1, 0 },
};

/* One whole operation after the other, in each order. Returns how many. */
static int serial(const struct scene *scene, int nr, struct outcome *legal)
{
	int n = nr == 2 ? 2 : ORDERS_MAX, i, k;

	for (i = 0; i < n; i++) {
		begin(scene);
		for (k = 0; k < nr; k++)
			run_one(orders[i][k]);
		end(&legal[i]);
	}
	return n;
}

static void check_outcome(const struct outcome *out, const struct outcome *legal, int n)
{
	unsigned int i, k;

	for (i = 0; (int)i < n; i++)
		if (!memcmp(out, &legal[i], sizeof(*out)))
			return;
	for (i = 0; i < NR_MEMBERS; i++)
		for (k = 0; k < NR_KEYS; k++)
			if (out->value[i][k])
				printf("# %c reads %ld at %lu\n", 'A' + i, (long)out->value[i][k],
				       keys[k]);
	shim_fail(__FILE__, __LINE__, "no order of the operations gives this");
}

/* ---- schedules --------------------------------------------------------- */

static const struct scene *scene_now;
static int nr_now;
static struct schedule schedule_now;

static void say_where(void)
{
	int i;

	printf("# %s:", scene_now->name);
	for (i = 0; i < nr_now; i++)
		printf(" %d = %s;", i, ops_now[i]->name);
	printf(" starts %d", schedule_now.first);
	for (i = 0; i < schedule_now.nr; i++)
		printf(", %d at %u", schedule_now.to[i], schedule_now.at[i]);
	printf("\n");
	fflush(stdout);
}

static unsigned int run_checked(const struct outcome *legal, int n)
{
	struct outcome out;
	unsigned int steps;

	begin(scene_now);
	steps = threads_run(nr_now, run_one, &schedule_now);
	end(&out);
	check_outcome(&out, legal, n);
	stats.runs++;
	stats.steps += steps;
	return steps;
}

/* Each of two starts, and the other comes in between at each step. */
static void every_turn(void)
{
	struct outcome legal[ORDERS_MAX];
	unsigned int at, steps;
	int n, first;

	schedule_now.nr = 0;
	n = serial(scene_now, 2, legal);
	for (first = 0; first < 2; first++) {
		schedule_now = (struct schedule){ .first = first, .nr = 1, .to = { !first } };
		for (at = 1, steps = 1; at <= steps; at++) {
			schedule_now.at[0] = at;
			steps = run_checked(legal, n);
		}
	}
	stats.sets++;
}

static unsigned int rnd_state;

static unsigned int rnd(unsigned int below)
{
	return rand_r(&rnd_state) % below;
}

static void random_turns(int tries)
{
	struct outcome legal[ORDERS_MAX];
	unsigned int at, span = 8;
	int i, n;

	schedule_now.nr = 0;
	n = serial(scene_now, nr_now, legal);
	while (tries--) {
		/* Turns are short in one schedule and long in the next. */
		span = 2 << rnd(6);
		schedule_now.first = rnd(nr_now);
		schedule_now.nr = 1 + rnd(SWITCHES_MAX);
		for (i = 0, at = 0; i < schedule_now.nr; i++) {
			at += 1 + rnd(span);
			schedule_now.at[i] = at;
			schedule_now.to[i] = rnd(nr_now);
		}
		run_checked(legal, n);
	}
	stats.sets++;
}

/* ---- sets of operations ------------------------------------------------ */

/* B has to be there, and stay for those who use it. */
static bool set_fits(const struct scene *scene, int nr)
{
	bool has_b, has_base, has_device, fits = true;
	int i, k;

	scene->set();
	has_b = members[B];
	has_base = members[A]->cow.has_base;
	has_device = pinned[THREADS_MAX] && !pinned_data[THREADS_MAX];
	end(NULL);
	for (i = 0; i < nr; i++) {
		if (ops_now[i]->member == B && !has_b)
			fits = false;
		if (ops_now[i]->run == op_rewind && !has_base)
			fits = false;
		if (ops_now[i]->run == op_device && !has_device)
			fits = false;
		for (k = 0; k < nr; k++)
			if (k != i && ((closes(ops_now[i]) && ops_now[k]->member == B) ||
				       (is_double(ops_now[i]) && changes_0(ops_now[k]) &&
					(ops_now[k]->member == A || ops_now[k]->run == op_give))))
				fits = false;
	}
	return fits;
}

static void print_stats(void)
{
	printf("# %lu sets of operations, %lu schedules, %lu steps\n", stats.sets, stats.runs,
	       stats.steps);
	memset(&stats, 0, sizeof(stats));
}

static void t_pairs(void)
{
	unsigned int s, i, k;

	nr_now = 2;
	for (s = 0; s < NR_SCENES; s++) {
		scene_now = &scenes[s];
		for (i = 0; i < NR_OPS; i++) {
			for (k = i; k < NR_OPS; k++) {
				ops_now[0] = &table[i];
				ops_now[1] = &table[k];
				if (set_fits(scene_now, 2))
					every_turn();
			}
		}
	}
	print_stats();
	CHECK(!shim.pages && !shim.nodes);
}

static unsigned long random_sets = 3000;
static time_t stop_at;

static void t_threes(void)
{
	unsigned long done = 0;
	int i;

	nr_now = 3;
	while (done < random_sets && !(stop_at && time(NULL) >= stop_at)) {
		scene_now = &scenes[rnd(NR_SCENES)];
		for (i = 0; i < nr_now; i++)
			ops_now[i] = &table[rnd(NR_OPS)];
		if (!set_fits(scene_now, nr_now))
			continue;
		random_turns(40);
		done++;
	}
	print_stats();
}

/* schedule_test RANDOM_SETS SEED [SECONDS]: the first of the two limits ends it. */
int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		{ "two operations, a change of turns at every step", t_pairs },
		{ "three operations, random turns", t_threes },
	};

	if (argc > 1)
		random_sets = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		rnd_state = strtoul(argv[2], NULL, 0);
	if (argc > 3)
		stop_at = time(NULL) + atoi(argv[3]);
	printf("# seed %u\n", rnd_state);
	shim_init();
	shim_fail_hook = say_where;
	return tap_main(tests, sizeof(tests) / sizeof(*tests));
}
