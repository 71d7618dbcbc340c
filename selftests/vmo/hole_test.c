// SPDX-License-Identifier: GPL-2.0
/*
 * One thread faults pages in while another changes what is behind them. When
 * the change is done, and the reader knows it, no mapping may show what was
 * there before: a hole (rule 9), the page of a snapshot, or a page given up
 * (rule 5: neighbours come along with each fault).
 *
 * Both go through the same few pages at the same time, step by step.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#define STEP	4		/* pages */
#define STEPS	400
#define PAGES	(STEP * STEPS)

enum mapping { SHARED_RW, SHARED_RO, PRIVATE, MAPPINGS };

/* How the changer changes a page. */
enum change { BY_PWRITE, BY_STORE, BY_COMMIT, BY_DECOMMIT };

struct steps {
	int fd;
	char *own;		/* the changer's mapping */
	char *map;		/* the reader's */
	enum change change;
	bool over_data;		/* each step is shared with a snapshot before */
	uint64_t go;
	uint64_t changed;
	uint64_t checked;
	uint64_t stop;
	long wrong;		/* the first page that was */
};

static char *map_as(int fd, enum mapping how)
{
	if (how == PRIVATE)
		return vmo_map_at(fd, 0, PAGES, RW, MAP_PRIVATE);
	return vmo_map(fd, PAGES, how == SHARED_RO ? RO : RW);
}

/* Words that the reader looks at, the first and the last of a page. */
static uint64_t *first_word(char *base, size_t page)
{
	return (uint64_t *)(base + page * PS);
}

static uint64_t *last_word(char *base, size_t page)
{
	return (uint64_t *)(base + (page + 1) * PS) - 1;
}

static void wait_a_little(uint64_t random, unsigned int most)
{
	for (volatile unsigned int i = random % most; i; i--)
		;
}

static uint64_t new_value(const struct steps *s, size_t page)
{
	return s->change == BY_DECOMMIT ? 0 : page + 1000000;
}

static bool change_page(struct steps *s, size_t page)
{
	uint64_t value = new_value(s, page);

	switch (s->change) {
	case BY_PWRITE:
		return pwrite(s->fd, &value, 8, page * PS) == 8 &&
		       pwrite(s->fd, &value, 8, page * PS + PS - 8) == 8;
	case BY_DECOMMIT:
		return !vmo_op(s->fd, VMO_OP_DECOMMIT, page * PS, PS);
	default:
		if (s->change == BY_COMMIT && vmo_op(s->fd, VMO_OP_COMMIT, page * PS, PS))
			return false;
		store(first_word(s->own, page), value);
		store(last_word(s->own, page), value);
		return true;
	}
}

static void *reader_thread(void *arg)
{
	struct steps *s = arg;

	pin_to_cpu(1);
	for (uint64_t step = 1;; step++) {
		size_t from = (step - 1) * STEP;

		wait_for(&s->go, step);
		if (load(&s->stop))
			return NULL;
		/* The first that is touched brings the others along. */
		madvise(s->map + from * PS, STEP * PS, MADV_DONTNEED);
		for (size_t i = 0; i < STEP; i++) {
			wait_a_little(mix(step + i), 64);
			(void)load(first_word(s->map, from + (step + i) % STEP));
		}
		wait_for(&s->changed, step);
		for (size_t page = from; page < from + STEP; page++) {
			uint64_t want = new_value(s, page);

			if (s->wrong < 0 && (load(first_word(s->map, page)) != want ||
					     load(last_word(s->map, page)) != want))
				s->wrong = page;
		}
		store(&s->checked, step);
	}
}

/* Returns the steps that were made. */
static uint64_t run_steps(struct __test_metadata *_metadata, struct steps *s, double length)
{
	double end = seconds() + length;
	int child = -1, failed = 0;
	pthread_t thread;
	uint64_t step;

	s->wrong = -1;
	pin_to_cpu(0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader_thread, s));
	for (step = 1; step <= STEPS && more_rounds(step, 20, STEPS + 1, end); step++) {
		size_t from = (step - 1) * STEP;

		if (s->over_data) {
			close(child);
			child = vmo_snap(s->fd);
		}
		store(&s->go, step);
		for (size_t page = from; page < from + STEP; page++) {
			wait_a_little(mix(page + step), page % 2 ? 64 : 4096);
			failed += !change_page(s, page);
		}
		store(&s->changed, step);
		wait_for(&s->checked, step);
	}
	store(&s->stop, 1);
	store(&s->go, step);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, failed);
	EXPECT_EQ(-1, s->wrong) TH_LOG("change %d", s->change);
	close(child);
	return step - 1;
}

static void holes_are_filled(struct __test_metadata *_metadata, int dev, enum mapping how)
{
	hold_up("finish_fault");
	for (int change = BY_PWRITE; change <= BY_COMMIT; change++) {
		struct steps s = { .fd = vmo_new_pages(dev, PAGES), .change = change };

		s.own = vmo_map(s.fd, PAGES, RW);
		s.map = map_as(s.fd, how);
		ASSERT_NE(NULL, s.own);
		ASSERT_NE(NULL, s.map);
		run_steps(_metadata, &s, 0.7);
		munmap(s.own, PAGES * PS);
		munmap(s.map, PAGES * PS);
		close(s.fd);
	}
	let_go();
}

TEST_F_TIMEOUT(vmo, inv_4_9_hole_filled_while_it_is_mapped, 120)
{
	holes_are_filled(_metadata, self->dev, SHARED_RW);
}

TEST_F_TIMEOUT(vmo, inv_4_9_hole_in_a_read_only_mapping, 120)
{
	holes_are_filled(_metadata, self->dev, SHARED_RO);
}

TEST_F_TIMEOUT(vmo, inv_4_9_hole_in_a_private_mapping, 120)
{
	holes_are_filled(_metadata, self->dev, PRIVATE);
}

/* ---- rule 5 -------------------------------------------------------------- */

static void fill_all(int fd, uint64_t plus)
{
	char *map = vmo_map(fd, PAGES, RW);

	for (size_t page = 0; page < PAGES; page++)
		*first_word(map, page) = *last_word(map, page) = page + plus;
	munmap(map, PAGES * PS);
}

static long wrong_word(int fd, uint64_t plus)
{
	char *map = vmo_map(fd, PAGES, RO);
	long wrong = -1;

	for (size_t page = 0; page < PAGES && wrong < 0; page++)
		if (*first_word(map, page) != page + plus || *last_word(map, page) != page + plus)
			wrong = page;
	munmap(map, PAGES * PS);
	return wrong;
}

/*
 * Each reader's fault maps neighbours, which the changer is about to change. They
 * are there, and shared with the snapshot `before`, which keeps them.
 */
static void data_is_changed(struct __test_metadata *_metadata, int dev, enum change change)
{
	hold_up(change == BY_DECOMMIT ? "finish_fault" : "vm_insert_pages");
	for (int how = 0; how < MAPPINGS; how++) {
		struct steps s = {
			.fd = vmo_new_pages(dev, PAGES), .change = change, .over_data = true,
		};
		int before;

		fill_all(s.fd, 1);
		before = vmo_snap(s.fd);
		s.own = vmo_map(s.fd, PAGES, RW);
		s.map = map_as(s.fd, how);
		ASSERT_LE(0, before);
		ASSERT_NE(NULL, s.own);
		ASSERT_NE(NULL, s.map);
		run_steps(_metadata, &s, 0.7);
		EXPECT_EQ(-1, wrong_word(before, 1));
		munmap(s.own, PAGES * PS);
		munmap(s.map, PAGES * PS);
		close(before);
		close(s.fd);
	}
	let_go();
}

TEST_F_TIMEOUT(vmo, inv_4_5_neighbours_written_by_call, 120)
{
	data_is_changed(_metadata, self->dev, BY_PWRITE);
}

TEST_F_TIMEOUT(vmo, inv_4_5_neighbours_written_through_a_mapping, 120)
{
	data_is_changed(_metadata, self->dev, BY_STORE);
}

TEST_F_TIMEOUT(vmo, inv_4_5_neighbours_committed, 120)
{
	data_is_changed(_metadata, self->dev, BY_COMMIT);
}

TEST_F_TIMEOUT(vmo, inv_4_5_neighbours_decommitted, 120)
{
	data_is_changed(_metadata, self->dev, BY_DECOMMIT);
}

/* The hole of a snapshot stays one, whatever comes into the parent meanwhile. */

struct idle_reader {
	char *map;
	uint64_t stop;
	long wrong;
	uint64_t rounds;
};

static void *zero_reader_thread(void *arg)
{
	struct idle_reader *r = arg;

	pin_to_cpu(1);
	for (uint64_t random = 1; !load(&r->stop); r->rounds++) {
		size_t page = (random = mix(random + 1)) % PAGES;

		if (load(first_word(r->map, page)))
			r->wrong++;
		if (r->rounds % 64 == 0)
			madvise(r->map + page / 64 * 64 * PS, 64 * PS, MADV_DONTNEED);
	}
	return NULL;
}

TEST_F_TIMEOUT(vmo, inv_4_9_hole_of_a_snapshot_stays, 120)
{
	int fd = vmo_new_pages(self->dev, PAGES), child = vmo_snap(fd);
	struct idle_reader r = { .map = vmo_map(child, PAGES, RO) };
	double end = seconds() + 2;
	pthread_t thread;

	ASSERT_NE(NULL, r.map);
	pin_to_cpu(0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, zero_reader_thread, &r));
	for (int i = 0; more_rounds(i, 2, 20, end); i++) {
		fill_all(fd, 1 + i);
		ASSERT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, PAGES * PS));
	}
	store(&r.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, r.wrong);
	EXPECT_LT(0, r.rounds);
	EXPECT_EQ(-1, wrong_page(r.map, 0, PAGES, 0));
	munmap(r.map, PAGES * PS);
	close(child);
	close(fd);
}

TEST_HARNESS_MAIN
