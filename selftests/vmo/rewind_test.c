// SPDX-License-Identifier: GPL-2.0
/*
 * Going back: VMO_CLONE_KEEP_BASE and VMO_REWIND. Random families that go back are in
 * random_test.
 */
#define VMO_FIXTURE
#include "kselftest_harness.h"
#include "vmo_test_util.h"
#include <sys/uio.h>

static int rewind_it(int fd)
{
	struct vmo_rewind arg = { };

	return ioctl(fd, VMO_REWIND, &arg);
}

static int keeper(int fd, uint64_t pages, uint32_t flags)
{
	return vmo_clone_flags(fd, pages * PS, VMO_CLONE_KEEP_BASE | flags);
}

static uint64_t held(int dev)
{
	struct vmo_stats stats;

	return ioctl(dev, VMO_STATS, &stats) ? -1ULL : stats.page_bytes / PS;
}

TEST_F(vmo, rewind_bytes_holes_and_sizes)
{
	int fd = vmo_filled(self->dev, 8, 0, 100), child, grandchild, reference;
	char *map;

	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 5 * PS, PS));
	child = keeper(fd, 10, VMO_CLONE_RESIZABLE);
	ASSERT_LE(0, child);
	map = vmo_map(child, 16, RW);
	ASSERT_NE(NULL, map);
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(-1, wrong_page(map, 0, 5, 100));
		EXPECT_TRUE(page_is(map + 5 * PS, 0));
		EXPECT_TRUE(page_is(map + 9 * PS, 0));
		EXPECT_EQ(SIGBUS, touch(map + 10 * PS, false));
		/* By a mapping, by call, to holes, away, larger, smaller. */
		fill_pages(map, 1, 2, 300);
		fill_page(map + 5 * PS, 7);
		EXPECT_EQ(0, vmo_op(child, VMO_OP_ZERO, 3 * PS, PS));
		EXPECT_EQ(0, vmo_set_size(child, 2 * PS + 5));
		if (round)
			EXPECT_EQ(0, vmo_set_size(child, 14 * PS));
		EXPECT_EQ(0, write_page(fd, 6, 50 + round));
		grandchild = vmo_snap(child);
		reference = vmo_reference(child, 0);
		EXPECT_EQ(0, rewind_it(round == 2 ? reference : child));
		EXPECT_EQ(10 * PS, st_size(child));
		EXPECT_EQ(10 * PS, st_size(reference));
		EXPECT_TRUE(page_is(map + 6 * PS, 106));
		/* Its own child keeps what it has. */
		EXPECT_EQ(-1, wrong_page_fd(grandchild, 1, 1, 300));
		EXPECT_EQ(round ? 14 * PS : 3 * PS, info_of(grandchild).size);
		close(reference);
		close(grandchild);
	}
	EXPECT_EQ(-1, wrong_page(map, 6, 2, 100));
	close(fd);
	EXPECT_EQ(0, rewind_it(child));
	EXPECT_EQ(-1, wrong_page(map, 6, 2, 100));
	EXPECT_TRUE(info_of(child).flags & VMO_INFO_KEEP_BASE);
	munmap(map, 16 * PS);
	close(child);
}

TEST_F(vmo, rewind_errors)
{
	int fd = vmo_filled(self->dev, 4, 0, 100), child = keeper(fd, 4, 0), slice, pin;
	struct vmo_clone clone = {
		.size = PS, .flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_KEEP_BASE | VMO_CLONE_NO_WRITE,
	};
	struct vmo_rewind bad = { .flags = 1 };
	int copy = vmo_snap(child);

	ASSERT_LE(0, child);
	EXPECT_ERRNO(EOPNOTSUPP, rewind_it(fd));
	EXPECT_ERRNO(EOPNOTSUPP, rewind_it(copy));
	slice = vmo_slice(child, 0, PS, 0);
	EXPECT_ERRNO(EOPNOTSUPP, rewind_it(slice));
	EXPECT_ERRNO(EACCES, rewind_it(vmo_reopen(child, O_RDONLY)));
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_CLONE, &clone));
	EXPECT_ERRNO(EINVAL, ioctl(child, VMO_REWIND, &bad));
	bad = (struct vmo_rewind) { .reserved = 1 };
	EXPECT_ERRNO(EINVAL, ioctl(child, VMO_REWIND, &bad));
	EXPECT_EQ(0, write_page(child, 1, 9));
	pin = vmo_pin_flags(slice, 0, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	EXPECT_ERRNO(EBADFD, rewind_it(child));
	EXPECT_EQ(-1, wrong_page_fd(child, 1, 1, 8));	/* page 1: 8 + 1 */
	close(pin);
	EXPECT_EQ(0, rewind_it(child));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 4, 100));
	close(slice);
	close(copy);
	close(child);
	close(fd);
}

/* A1, A2: what only the base has is the child's. */
TEST_F(vmo, a1_a2_the_base_is_charged_to_the_child)
{
	int fd = vmo_filled(self->dev, 10, 0, 100), child = keeper(fd, 10, 0);
	uint64_t before = held(self->dev);
	struct vmo_info info;

	ASSERT_LE(0, child);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, write_page(child, i, 1));
	info = info_of(child);
	EXPECT_EQ(10 * PS, info.committed_bytes);
	EXPECT_EQ(4 * PS, info.private_bytes);
	EXPECT_EQ(6 * PS, info.shared_bytes);
	EXPECT_EQ(4 * PS, info.exclusive_bytes);
	EXPECT_EQ(4, held(self->dev) - before);
	close(fd);
	info = info_of(child);
	EXPECT_EQ(10 * PS, info.committed_bytes);
	EXPECT_EQ(14 * PS, info.private_bytes);
	EXPECT_EQ(0, info.shared_bytes);
	EXPECT_EQ(14 * PS, info.exclusive_bytes);
	EXPECT_LE(14 * PS - PS, info.scaled_bytes);
	EXPECT_GE(14 * PS, info.scaled_bytes);
	/* Pages that were written may stay for the next writer, until nobody was one. */
	EXPECT_EQ(0, rewind_it(child));
	info = info_of(child);
	EXPECT_EQ(10 * PS, info.committed_bytes);
	EXPECT_GE(14 * PS, info.private_bytes);
	EXPECT_EQ(0, rewind_it(child));
	info = info_of(child);
	EXPECT_EQ(10 * PS, info.private_bytes);
	EXPECT_EQ(10 * PS, info.exclusive_bytes);
	close(child);
}

static void dirty(char *map, size_t pages, size_t step, size_t from, char value)
{
	for (size_t k = 0; k < pages; k++)
		map[(k * step + from) * PS + 5] = value;
}

/*
 * What is written in every cycle keeps its pages, which others do not see; what is not
 * written again goes; and an idle child has no more than 4,096 of them.
 */
TEST_F(vmo, rewind_in_place)
{
	enum { PAGES = 5000 };
	int fd = vmo_filled(self->dev, PAGES, 0, 100), child = keeper(fd, PAGES, 0), snap;
	uint64_t before = held(self->dev);
	char *map = vmo_map(child, PAGES, RW);

	ASSERT_NE(NULL, map);
	for (int i = 0; i < 5; i++) {
		dirty(map, 40, 7, 0, i);
		EXPECT_EQ(before + 40, held(self->dev));
		ASSERT_EQ(0, rewind_it(child));
		EXPECT_EQ(before + 40, held(self->dev));
		EXPECT_EQ(-1, wrong_page(map, 0, 300, 100));
	}
	/* A snapshot in between, which keeps what it has. */
	dirty(map, 40, 7, 0, 1);
	snap = vmo_clone_flags(child, PAGES * PS, 0);
	ASSERT_LE(0, snap);
	dirty(map, 20, 7, 0, 2);
	ASSERT_EQ(0, rewind_it(child));
	EXPECT_EQ(-1, wrong_page(map, 0, 300, 100));
	dirty(map, 40, 7, 0, 3);
	for (int k = 0; k < 40; k++) {
		char byte = 0;

		EXPECT_EQ(1, pread(snap, &byte, 1, 7 * k * PS + 5));
		EXPECT_EQ(1, byte);
	}
	close(snap);
	ASSERT_EQ(0, rewind_it(child));
	dirty(map, 3, 1000, 11, 4);
	ASSERT_EQ(0, rewind_it(child));
	EXPECT_EQ(before + 3, held(self->dev));
	ASSERT_EQ(0, rewind_it(child));
	EXPECT_EQ(before, held(self->dev));
	dirty(map, PAGES - 1, 1, 1, 5);		/* not all of the first leaf */
	ASSERT_EQ(0, rewind_it(child));
	EXPECT_EQ(before + 4096, held(self->dev));
	EXPECT_EQ(-1, wrong_page(map, 0, PAGES, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, PAGES, 100));
	ASSERT_EQ(0, rewind_it(child));
	EXPECT_EQ(before, held(self->dev));
	munmap(map, PAGES * PS);
	close(child);
	close(fd);
}

/* What a pipe got before stays what it was, whatever is written after. */
TEST_F(vmo, inv_ours_rewind_under_a_pipe)
{
	int fd = vmo_filled(self->dev, 2, 0, 100), child = keeper(fd, 2, 0), pipes[2];
	char *map = vmo_map(child, 2, RW), *got = malloc(PS);
	struct iovec iov = { map, PS };

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	fill_page(map, 7);
	ASSERT_EQ(PS, vmsplice(pipes[1], &iov, 1, 0));
	EXPECT_EQ(0, rewind_it(child));
	EXPECT_TRUE(page_is(map, 100));
	fill_page(map, 8);
	EXPECT_EQ(0, rewind_it(child));
	ASSERT_EQ(PS, read(pipes[0], got, PS));
	EXPECT_TRUE(page_is(got, 7));
	/* And what it got of the base. */
	EXPECT_TRUE(page_is(map, 100));
	ASSERT_EQ(PS, vmsplice(pipes[1], &iov, 1, 0));
	fill_page(map, 9);
	EXPECT_EQ(0, rewind_it(child));
	ASSERT_EQ(PS, read(pipes[0], got, PS));
	EXPECT_TRUE(page_is(got, 100));
	EXPECT_TRUE(page_is(map, 100));
	free(got);
	munmap(map, 2 * PS);
	close(pipes[0]);
	close(pipes[1]);
	close(child);
	close(fd);
}

/* A sandbox that is reset between requests: neither memory nor time grows. */
TEST_F_TIMEOUT(vmo, rewind_costs_what_was_written, 120)
{
	enum { PAGES = 16384, DIRTY = 64 };
	int fd = vmo_new_pages(self->dev, PAGES), child, least = 40;
	double end = seconds() + 8;
	uint64_t before;
	char *map;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, PAGES * PS));
	child = keeper(fd, PAGES, 0);
	map = vmo_map(child, PAGES, RW);
	ASSERT_NE(NULL, map);
	before = held(self->dev);
	for (int i = 0; more_rounds(i, least, 10000, end); i++) {
		for (int k = 0; k < DIRTY; k++)
			map[(k * 211 + i) % PAGES * PS + i % PS] = 1;
		EXPECT_GE(before + 2 * DIRTY, held(self->dev));
		ASSERT_EQ(0, rewind_it(child));
		EXPECT_EQ(before + DIRTY, held(self->dev));
		EXPECT_EQ(0, map[(5 * 211 + i) % PAGES * PS + i % PS]);
	}
	munmap(map, PAGES * PS);
	close(child);
	close(fd);
}

struct writer {
	char *map;
	uint64_t stop;
	uint64_t rounds;
};

/* Each page has its stamp, larger by one each round, twice. */
static void *write_stamps(void *arg)
{
	struct writer *w = arg;

	pin_to_cpu(1);
	for (uint64_t i = 1; !load(&w->stop); i++) {
		uint64_t *page = (uint64_t *)(w->map + i % 40 * PS);

		page[0] = i;
		page[100] = i;
		store(&w->rounds, i);
	}
	return NULL;
}

/* With pages that are written over in place, or with holes, which have to come back. */
static void under_a_writer(struct __test_metadata *_metadata, int fd, bool holes)
{
	int child = keeper(fd, 40, 0);
	struct writer w = { .map = vmo_map(child, 40, RW) };
	double end = seconds() + 1.5;
	pthread_t thread;

	ASSERT_NE(NULL, w.map);
	pin_to_cpu(0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_stamps, &w));
	for (int i = 0; more_rounds(i, 20, 100000, end); i++) {
		uint64_t done = load(&w.rounds);

		ASSERT_EQ(0, rewind_it(child));
		for (int k = 0; k < 40; k++) {
			uint64_t stamp = *(volatile uint64_t *)(w.map + k * PS);

			EXPECT_TRUE(!stamp || (stamp >= done && stamp % 40 == (uint64_t)k));
		}
	}
	store(&w.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, rewind_it(child));
	EXPECT_EQ(-1, wrong_page(w.map, 0, 40, 0));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 40, 0));
	EXPECT_EQ(holes ? 0 : 40 * PS, info_of(child).committed_bytes);
	munmap(w.map, 40 * PS);
	close(child);
	close(fd);
}

/* What is written at the same time is undone, or comes after. */
TEST_F_TIMEOUT(vmo, rewind_under_a_writer, 120)
{
	int fd = vmo_new_pages(self->dev, 40);

	under_a_writer(_metadata, vmo_new_pages(self->dev, 40), true);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 40 * PS));
	under_a_writer(_metadata, fd, false);
}

TEST_HARNESS_MAIN
