// SPDX-License-Identifier: GPL-2.0
/* Sizes and ranges: resize, content sizes, zero, commit and decommit, huge objects. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define SNAP		VMO_CLONE_SNAPSHOT

/* ---- the interface ------------------------------------------------------ */

/* Clones, slices and references have one layout. Bytes. */
static int child_of(int fd, unsigned int num, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct vmo_clone arg = { .offset = offset, .size = size, .flags = flags, .fd = -1 };

	return ioctl(fd, num, &arg) ? -1 : arg.fd;
}

static int slice_of(int fd, uint64_t first, uint64_t pages)
{
	return child_of(fd, VMO_SLICE, first * PS, pages * PS, 0);
}

static int clone_of(int fd, uint64_t first, uint64_t pages, uint32_t flags)
{
	return child_of(fd, VMO_CLONE, first * PS, pages * PS, SNAP | flags);
}

static int pin(int fd, uint64_t first, uint64_t pages, uint32_t flags)
{
	return vmo_pin_flags(fd, first * PS, pages * PS, flags);
}

static long held(void)
{
	return vmo_counter("pages");
}

/* ---- creation ----------------------------------------------------------- */

struct peeper {
	int number;		/* of the descriptor that comes and goes */
	uint64_t stop;
	uint64_t seen;
	uint64_t wrong;
};

static void *peeper_thread(void *arg)
{
	struct peeper *peeper = arg;
	char *page = malloc(PS);

	while (!load(&peeper->stop)) {
		int fd = fcntl(peeper->number, F_DUPFD_CLOEXEC, 500);
		struct vmo_info info;
		bool good;

		if (fd < 0)
			continue;
		good = !vmo_stat(fd, &info) && info.size == 3 * PS &&
		       info.content_size == 2 * PS + 5 && st_size(fd) == 2 * PS + 5 &&
		       !strcmp(info.name, "half") && info.id &&
		       pread(fd, page, PS, PS) == (ssize_t)PS &&
		       page_is(page, info.flags & VMO_INFO_COW_CLONE ? 101 : 0) &&
		       write_page(fd, 0, 7) == 0;
		peeper->wrong += !good;
		store(&peeper->seen, peeper->seen + 1);
		close(fd);
	}
	free(page);
	return NULL;
}

TEST_F(vmo, c7_nobody_sees_half_an_object)
{
	int fd = vmo_new_named(self->dev, 2 * PS + 5, "half");
	struct peeper peeper = { .number = 400 };
	double end = seconds() + 1.5;
	pthread_t thread;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	/* All lower numbers are taken, so it is known where the next one comes. */
	while (dup(fd) < peeper.number - 1)
		;
	ASSERT_EQ(0, pthread_create(&thread, NULL, peeper_thread, &peeper));
	/* A busy host may let the other thread wait for long. */
	for (i = 0;
	     more_rounds(i, 200, 20000, end) || (!load(&peeper.seen) && seconds() < end + 30);
	     i++) {
		struct vmo_create new = { .size = 2 * PS + 5, .name = "half" };
		struct vmo_clone clone = { .size = 2 * PS + 5, .flags = SNAP };

		ASSERT_EQ(0, ioctl(self->dev, VMO_CREATE, &new));
		ASSERT_EQ(peeper.number, new.fd);
		close(new.fd);
		ASSERT_EQ(0, ioctl(fd, VMO_CLONE, &clone));
		ASSERT_EQ(peeper.number, clone.fd);
		close(clone.fd);
	}
	store(&peeper.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, peeper.seen);
	EXPECT_EQ(0, peeper.wrong);
	close_range(fd + 1, peeper.number - 1, 0);
}

/* ---- huge objects ------------------------------------------------------- */

#define QUICK	20.0	/* seconds, of a busy host; a walk over all pages takes years */

TEST_F(vmo, m5_huge_costs_nothing)
{
	int fd = vmo_new_flags(self->dev, PS, VMO_CREATE_RESIZABLE), huge, snap;
	long pages = held(), nodes = vmo_counter("nodes");
	double start = seconds();
	uint64_t word = 0;
	char *p;

	EXPECT_EQ(0, vmo_set_size(fd, MAX_SIZE));
	EXPECT_EQ(MAX_SIZE, info_of(fd).size);
	EXPECT_EQ(MAX_SIZE, st_size(fd));
	EXPECT_ERRNO(ERANGE, vmo_set_size(fd, MAX_SIZE + 1));
	EXPECT_ERRNO(ERANGE, vmo_set_size(fd, -1ULL));
	EXPECT_ERRNO(EFBIG, ftruncate(fd, MAX_SIZE + 1));
	EXPECT_EQ(MAX_SIZE, info_of(fd).size);
	EXPECT_EQ(0, vmo_set_size(fd, 5));
	EXPECT_EQ(0, ftruncate(fd, MAX_SIZE - 5));
	EXPECT_EQ(MAX_SIZE, info_of(fd).size);
	EXPECT_EQ(MAX_SIZE - 5, st_size(fd));
	huge = vmo_new_flags(self->dev, MAX_SIZE, VMO_CREATE_RESIZABLE);
	EXPECT_LE(0, huge);
	EXPECT_EQ(-1, vmo_new_flags(self->dev, MAX_SIZE + 1, VMO_CREATE_RESIZABLE));
	snap = clone_of(huge, 0, MAX_SIZE / PS, VMO_CLONE_RESIZABLE);
	EXPECT_EQ(MAX_SIZE, info_of(snap).size);
	EXPECT_EQ(MAX_SIZE, info_of(vmo_reference(huge, 0)).size);
	EXPECT_EQ(pages, held());
	EXPECT_EQ(nodes, vmo_counter("nodes"));
	EXPECT_EQ(0, committed_pages(huge));
	/* Its last bytes are memory like any other. */
	EXPECT_EQ(8, pwrite(huge, "lastword", 8, MAX_SIZE - 8));
	EXPECT_EQ(1, committed_pages(huge));
	EXPECT_EQ(8, pread(snap, &word, 8, MAX_SIZE - 8));
	EXPECT_EQ(0, word);
	p = vmo_map_at(huge, MAX_SIZE - PS, 1, RW, MAP_SHARED);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, memcmp(p + PS - 8, "lastword", 8));
	EXPECT_EQ(0, vmo_set_size(huge, MAX_SIZE - PS));
	EXPECT_EQ(SIGBUS, touch(p, false));
	EXPECT_EQ(pages, held());
	EXPECT_GT(start + QUICK, seconds());
}

TEST_F(vmo, m5_o3_t6_whole_huge_objects)
{
	static const uint64_t where[] = {
		0, 1ULL << 16, 1ULL << 21, 1ULL << 30, 1ULL << 40, 3ULL << 50, 1ULL << 62,
	};
	int fd = vmo_new_flags(self->dev, MAX_SIZE, VMO_CREATE_RESIZABLE), snap;
	long pages = held(), nodes = vmo_counter("nodes");
	double start;

	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(where); i++)
			ASSERT_EQ(1, pwrite(fd, "x", 1, where[i]));
		ASSERT_EQ(1, pwrite(fd, "x", 1, MAX_SIZE - 1));
		EXPECT_EQ(ARRAY_SIZE(where) + 1, committed_pages(fd));
		start = seconds();
		switch (round) {
		case 0:
			EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, MAX_SIZE));
			break;
		case 1:
			EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, MAX_SIZE));
			break;
		case 2:
			EXPECT_EQ(0, fallocate(fd, PUNCH, 0, MAX_SIZE));
			break;
		default:
			EXPECT_EQ(0, vmo_set_size(fd, 0));
			EXPECT_EQ(0, vmo_set_size(fd, MAX_SIZE));
		}
		EXPECT_GT(start + QUICK, seconds()) TH_LOG("round %d", round);
		EXPECT_EQ(0, committed_pages(fd));
		EXPECT_EQ(pages, held());
		EXPECT_GE(nodes + 1, vmo_counter("nodes"));	/* at most a root is left */
		EXPECT_ERRNO(ENXIO, lseek(fd, 0, SEEK_DATA));
	}
	/* Of a clone, and all of it but odd bytes at both ends. */
	for (size_t i = 0; i < ARRAY_SIZE(where); i++)
		ASSERT_EQ(1, pwrite(fd, "x", 1, where[i]));
	snap = clone_of(fd, 0, MAX_SIZE / PS, 0);
	start = seconds();
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 1, MAX_SIZE - 2));
	EXPECT_EQ(1, committed_pages(snap));
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 0, MAX_SIZE));
	EXPECT_GT(start + QUICK, seconds());
	EXPECT_EQ(0, committed_pages(snap));
	EXPECT_EQ(ARRAY_SIZE(where), committed_pages(fd));
	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		char c = 0;

		EXPECT_EQ(1, pread(fd, &c, 1, where[i]));
		EXPECT_EQ('x', c);
		EXPECT_EQ(1, pread(snap, &c, 1, where[i]));
		EXPECT_EQ(0, c);
	}
}

/* ---- resize ------------------------------------------------------------- */

/* A clone's end is counted from the first ancestor, whoever moves it. */
TEST_F(vmo, s1_ends_that_wrap)
{
	int fd = vmo_filled(self->dev, 4, VMO_CREATE_RESIZABLE, 100), far;

	far = child_of(fd, VMO_CLONE, 1ULL << 62, PS, SNAP | VMO_CLONE_RESIZABLE);
	ASSERT_LE(0, far);
	EXPECT_ERRNO(ERANGE, vmo_set_size(far, MAX_SIZE + 1));
	EXPECT_ERRNO(EINVAL, vmo_set_size(far, MAX_SIZE));
	EXPECT_ERRNO(EINVAL, vmo_set_size(far, 1ULL << 62));
	EXPECT_ERRNO(EFBIG, ftruncate(far, 1ULL << 62));
	EXPECT_ERRNO(EFBIG, pwrite(far, "x", 1, (1ULL << 62) - PS));
	EXPECT_EQ(PS, info_of(far).size);
	EXPECT_EQ(PS, st_size(far));
	EXPECT_EQ(0, vmo_set_size(far, (1ULL << 62) - PS));
	EXPECT_EQ(1, pwrite(far, "x", 1, (1ULL << 62) - PS - 1));
	EXPECT_EQ((1ULL << 62) - PS, st_size(far));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 100));
}

TEST_F(vmo, s2_odd_sizes)
{
	int fd = vmo_filled(self->dev, 4, VMO_CREATE_RESIZABLE, 100), snap;
	int ref = vmo_reference(fd, 0);
	char *want = calloc(1, PS), *p = vmo_map(fd, 8, RW), *r = vmo_map(ref, 8, RW), *c;
	long pages;

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, r);
	snap = clone_of(fd, 0, 4, 0);
	c = vmo_map(snap, 4, RW);
	ASSERT_NE(NULL, c);
	pages = held();
	/* The page is shared, so its end is zeroed in a copy. */
	EXPECT_EQ(0, vmo_set_size(fd, 2 * PS + 100));
	EXPECT_EQ(3 * PS, info_of(fd).size);
	EXPECT_EQ(2 * PS + 100, info_of(fd).content_size);
	EXPECT_EQ(2 * PS + 100, st_size(ref));
	fill_page(want, 102);
	memset(want + 100, 0, PS - 100);
	EXPECT_EQ(0, memcmp(want, p + 2 * PS, PS));
	EXPECT_EQ(0, memcmp(want, r + 2 * PS, PS));
	EXPECT_EQ(-1, wrong_page(p, 0, 2, 100));
	EXPECT_EQ(-1, wrong_page(c, 0, 4, 100));
	if (pages >= 0)
		EXPECT_EQ(pages + 1, held());
	/* What is behind the content size is memory all the same. */
	r[2 * PS + 200] = 'x';
	EXPECT_EQ('x', p[2 * PS + 200]);
	EXPECT_EQ(2 * PS + 100, st_size(fd));
	EXPECT_EQ(100, pread(fd, want, PS, 2 * PS));
	EXPECT_EQ(0, vmo_set_size(fd, 2 * PS + 50));
	EXPECT_EQ(0, p[2 * PS + 200]);
	EXPECT_EQ(0, p[2 * PS + 50]);
	EXPECT_EQ(-1, wrong_page(c, 0, 4, 100));
	/* Growing to an odd size, and the end of a hole. */
	EXPECT_EQ(0, ftruncate(fd, 5 * PS + 1));
	EXPECT_EQ(6 * PS, info_of(fd).size);
	EXPECT_EQ(5 * PS + 1, st_size(ref));
	EXPECT_EQ(-1, wrong_page(p, 3, 3, 0));
	EXPECT_EQ(3, committed_pages(fd));
	EXPECT_EQ(0, vmo_set_size(fd, 4 * PS + 1));
	EXPECT_EQ(3, committed_pages(fd));
	EXPECT_EQ(0, vmo_set_size(fd, 1));
	fill_page(want, 100);
	EXPECT_EQ(want[0], p[0]);
	memset(want, 0, PS);
	EXPECT_EQ(0, memcmp(want + 1, p + 1, PS - 1));
	EXPECT_EQ(PS, info_of(fd).size);
	EXPECT_EQ(SIGBUS, touch(r + PS, false));
	free(want);
}

/* Pinned through another object than the one that shrinks; what is not refused goes on. */
TEST_F(vmo, z1_n5_pins_at_the_end)
{
	int fd = vmo_filled(self->dev, 10, VMO_CREATE_RESIZABLE, 100), ref, pinned;
	char *p = vmo_map(fd, 10, RW);

	ref = vmo_reference(fd, 0);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 10, 100));
	pinned = pin(ref, 6, 1, VMO_PIN_READ);
	ASSERT_LE(0, pinned);
	EXPECT_ERRNO(EBADFD, vmo_set_size(fd, 6 * PS));
	EXPECT_ERRNO(EBADFD, ftruncate(fd, 2 * PS + 9));	/* page 2 keeps its end, too */
	EXPECT_EQ(10 * PS, info_of(fd).size);
	EXPECT_EQ(10 * PS, st_size(ref));
	EXPECT_EQ(10, committed_pages(fd));
	EXPECT_EQ(-1, wrong_page(p, 0, 10, 100));
	/* The page itself may become the last one, its end is zeroed in place. */
	EXPECT_EQ(0, vmo_set_size(fd, 6 * PS + 10));
	EXPECT_EQ(7, committed_pages(fd));
	EXPECT_EQ(0, p[6 * PS + 10]);
	EXPECT_EQ(-1, wrong_page(p, 0, 6, 100));
	EXPECT_EQ(0, vmo_set_size(fd, 20 * PS));
	EXPECT_EQ(0, vmo_set_size(fd, 7 * PS));
	close(pinned);
	EXPECT_EQ(0, vmo_set_size(fd, 5 * PS));
	EXPECT_EQ(SIGBUS, touch(p + 5 * PS, false));
	EXPECT_EQ(-1, wrong_page(p, 0, 5, 100));
}

TEST_F(vmo, z1_z2_mp5_shrink_frees_and_grow_is_zero)
{
	int fd = vmo_filled(self->dev, 100, VMO_CREATE_RESIZABLE, 100), ref = vmo_reference(fd, 0);
	int before, grand;
	long pages = held();
	char *p = vmo_map(fd, 100, RW), *r = vmo_map(ref, 100, RW), *c;

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(-1, wrong_page(p, 0, 100, 100));
	EXPECT_EQ(-1, wrong_page(r, 0, 100, 100));
	EXPECT_EQ(0, vmo_set_size(fd, 70 * PS));
	if (pages >= 0)
		EXPECT_EQ(pages - 30, vmo_counter_becomes("pages", pages - 30));
	EXPECT_EQ(SIGBUS, touch(p + 70 * PS, false));
	EXPECT_EQ(SIGBUS, touch(r + 99 * PS, true));
	EXPECT_EQ(-2, wrong_page_fd(ref, 70, 1, 0));
	EXPECT_EQ(0, vmo_set_size(fd, 100 * PS));
	EXPECT_EQ(-1, wrong_page(p, 70, 30, 0));
	EXPECT_EQ(-1, wrong_page(r, 0, 70, 100));
	EXPECT_EQ(70, committed_pages(fd));

	/* Clones keep what they share; their mappings do not even notice. */
	before = clone_of(fd, 10, 60, VMO_CLONE_RESIZABLE);
	c = vmo_map(before, 80, RW);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(-1, wrong_page(c, 0, 60, 110));
	EXPECT_EQ(0, vmo_set_size(fd, 40 * PS));
	EXPECT_EQ(-1, wrong_page(c, 0, 60, 110));
	EXPECT_EQ(-1, wrong_page_fd(before, 0, 60, 110));
	EXPECT_EQ(0, vmo_set_size(fd, 100 * PS));
	EXPECT_EQ(-1, wrong_page(p, 40, 60, 0));
	EXPECT_EQ(-1, wrong_page(c, 0, 60, 110));
	/* A clone that shrinks loses its parent's pages for good. */
	grand = clone_of(before, 0, 60, 0);
	EXPECT_EQ(0, vmo_set_size(before, 20 * PS));
	EXPECT_EQ(0, vmo_set_size(before, 80 * PS));
	EXPECT_EQ(-1, wrong_page(c, 0, 20, 110));
	EXPECT_EQ(-1, wrong_page(c, 20, 60, 0));
	EXPECT_EQ(-1, wrong_page_fd(before, 20, 60, 0));
	EXPECT_EQ(-1, wrong_page_fd(grand, 0, 60, 110));
	EXPECT_EQ(-1, wrong_page(p, 0, 40, 100));
	/* As do clones of what is there then. */
	grand = clone_of(before, 15, 60, 0);
	EXPECT_EQ(-1, wrong_page_fd(grand, 0, 5, 125));
	EXPECT_EQ(-1, wrong_page_fd(grand, 5, 55, 0));
}

/* What only the branch that shrinks could see is freed with it. */
TEST_F(vmo, z1_k13_shrink_frees_what_nobody_else_sees)
{
	int fd = vmo_filled(self->dev, 20, VMO_CREATE_RESIZABLE, 100), snap, second;
	long pages = held();

	if (pages < 0)
		SKIP(return, "no counters in debugfs");
	snap = clone_of(fd, 0, 20, VMO_CLONE_RESIZABLE);
	second = clone_of(fd, 0, 10, 0);
	ASSERT_LE(0, second);
	EXPECT_EQ(0, vmo_set_size(fd, 5 * PS));
	EXPECT_EQ(pages, held());
	EXPECT_EQ(10 * PS, info_of(snap).private_bytes);	/* 10 to 19 */
	EXPECT_EQ(0, vmo_set_size(snap, 15 * PS));		/* 15 to 19 were its alone */
	EXPECT_EQ(pages - 5, vmo_counter_becomes("pages", pages - 5));
	EXPECT_EQ(0, vmo_set_size(snap, 5 * PS));		/* 5 to 9 are the second's, too */
	EXPECT_EQ(pages - 10, vmo_counter_becomes("pages", pages - 10));
	close(second);
	EXPECT_EQ(pages - 15, vmo_counter_becomes("pages", pages - 15));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 5, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 5, 100));
}

TEST_F(vmo, mp1_valid_after_growing)
{
	int fd = vmo_filled(self->dev, 10, VMO_CREATE_RESIZABLE, 100), ref, snap;
	char *p, *r, *c, *late, *ro, *private;

	ref = vmo_reference(fd, VMO_REFERENCE_RESIZABLE);
	snap = clone_of(fd, 4, 2, VMO_CLONE_RESIZABLE);
	EXPECT_EQ(0, vmo_set_size(ref, 2 * PS));
	p = vmo_map(fd, 32, RW);
	r = vmo_map(ref, 32, RW);
	c = vmo_map(snap, 8, RW);
	late = vmo_map_at(fd, 20 * PS, 4, RW, MAP_SHARED);
	ro = vmo_map(fd, 8, RO);
	ASSERT_NE(NULL, ro);
	ASSERT_NE(NULL, late);
	EXPECT_EQ(SIGBUS, touch(p + 2 * PS, false));
	EXPECT_EQ(SIGBUS, touch(r + 2 * PS, true));
	EXPECT_EQ(SIGBUS, touch(late, true));
	EXPECT_EQ(SIGBUS, touch(c + 2 * PS, false));
	EXPECT_EQ(SIGBUS, touch(ro + 5 * PS, false));
	EXPECT_EQ(SIGSEGV, touch(ro + 5 * PS, true));
	EXPECT_EQ(0, vmo_set_size(fd, 22 * PS));
	EXPECT_EQ(-1, wrong_page(p, 0, 2, 100));
	EXPECT_EQ(-1, wrong_page(p, 2, 20, 0));
	fill_page(late + PS, 200);
	EXPECT_TRUE(page_is(r + 21 * PS, 200));
	EXPECT_EQ(SIGBUS, touch(late + 2 * PS, true));
	EXPECT_EQ(SIGBUS, touch(r + 22 * PS, true));
	EXPECT_TRUE(page_is(ro + 5 * PS, 0));
	EXPECT_EQ(SIGSEGV, touch(ro + 5 * PS, true));
	/* Clones have an end of their own, also where the parent had pages. */
	EXPECT_EQ(0, vmo_set_size(snap, 6 * PS));
	EXPECT_EQ(-1, wrong_page(c, 0, 2, 104));
	EXPECT_EQ(-1, wrong_page(c, 2, 4, 0));
	EXPECT_EQ(SIGBUS, touch(c + 6 * PS, true));
	fill_page(c + 5 * PS, 300);
	EXPECT_EQ(-1, wrong_page_fd(snap, 5, 1, 295));
	EXPECT_TRUE(page_is(p + 9 * PS, 0));
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(0, vmo_set_size(fd, (2 + i % 3) * PS));
		EXPECT_EQ(SIGBUS, touch(r + 4 * PS, i & 1));
		EXPECT_EQ(0, vmo_set_size(ref, 8 * PS));
		EXPECT_EQ(-1, wrong_page(ro, 4, 4, 0)) TH_LOG("round %d", i);
		fill_pages(r, 4, 4, 500);
		EXPECT_EQ(-1, wrong_page(p, 4, 4, 500));
	}
	EXPECT_EQ(-1, wrong_page(p, 0, 2, 100));
	/* A cut takes what private mappings copied, too. */
	private = vmo_map_at(fd, 0, 8, RW, MAP_PRIVATE);
	ASSERT_NE(NULL, private);
	fill_pages(private, 0, 8, 600);
	EXPECT_EQ(0, vmo_set_size(ref, 4 * PS));
	EXPECT_EQ(-1, wrong_page(private, 0, 4, 600));
	EXPECT_EQ(SIGBUS, touch(private + 4 * PS, false));
	EXPECT_EQ(SIGBUS, touch(private + 7 * PS, true));
	EXPECT_EQ(0, vmo_set_size(fd, 8 * PS));
	EXPECT_EQ(-1, wrong_page(private, 4, 4, 0));
	EXPECT_EQ(-1, wrong_page(p, 0, 2, 100));
	munmap(private, 8 * PS);
}

/* ---- zero --------------------------------------------------------------- */

TEST_F(vmo, o2_holes_stay_holes)
{
	int fd = vmo_new_flags(self->dev, 64 * PS, 0), slice, snap, ref;
	long pages;

	ASSERT_EQ(0, write_page(fd, 40, 100));
	snap = clone_of(fd, 0, 100, 0);
	slice = slice_of(snap, 1, 60);
	ref = vmo_reference(fd, 0);
	pages = held();
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 1, 2));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 10, 30 * PS));
	EXPECT_EQ(0, vmo_op(ref, VMO_OP_ZERO, 41 * PS, 5 * PS + 9));
	EXPECT_EQ(0, vmo_op(slice, VMO_OP_ZERO, 9, 100));
	EXPECT_EQ(0, vmo_op(slice, VMO_OP_ZERO, 1, 20 * PS));
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 70 * PS + 1, 9 * PS));
	EXPECT_EQ(pages, held());
	EXPECT_EQ(1, committed_pages(fd));
	EXPECT_EQ(0, info_of(fd).private_bytes);
	/* Whole pages of zeroes are given up, an odd part of one is not looked at. */
	EXPECT_EQ(0, vmo_op(slice, VMO_OP_ZERO, 39 * PS, PS));
	EXPECT_EQ(0, committed_pages(snap));
	EXPECT_EQ(PS, info_of(fd).private_bytes);
	EXPECT_EQ(pages, held());
	EXPECT_EQ(-1, wrong_page_fd(fd, 40, 1, 60));
	EXPECT_EQ(-1, wrong_page_fd(snap, 40, 1, 0));
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 40 * PS + 5, 5));	/* a hole by now */
	EXPECT_EQ(pages, held());
}

TEST_F(vmo, o2_part_of_a_shared_page)
{
	int fd = vmo_filled(self->dev, 4, 0, 100), snap = clone_of(fd, 0, 4, 0);
	int slice = slice_of(fd, 1, 2);
	char *p = vmo_map(fd, 4, RW), *c = vmo_map(snap, 4, RW), *s = vmo_map(slice, 2, RW);
	char *want = malloc(PS);
	long pages = held();

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, c);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(-1, wrong_page(c, 0, 4, 100));
	EXPECT_EQ(-1, wrong_page(s, 0, 2, 101));
	/* From within page 1 to within page 2 of the object. */
	EXPECT_EQ(0, vmo_op(slice, VMO_OP_ZERO, 1000, PS));
	fill_page(want, 101);
	memset(want + 1000, 0, PS - 1000);
	EXPECT_EQ(0, memcmp(want, p + PS, PS));
	EXPECT_EQ(0, memcmp(want, s, PS));
	fill_page(want, 102);
	memset(want, 0, 1000);
	EXPECT_EQ(0, memcmp(want, p + 2 * PS, PS));
	EXPECT_EQ(0, memcmp(want, s + PS, PS));
	EXPECT_EQ(-1, wrong_page(c, 0, 4, 100));
	if (pages >= 0)
		EXPECT_EQ(pages + 2, held());
	/* The other way round, in the middle of a page. */
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 3 * PS + 7, 1));
	fill_page(want, 103);
	want[7] = 0;
	EXPECT_EQ(0, memcmp(want, c + 3 * PS, PS));
	EXPECT_TRUE(page_is(p + 3 * PS, 103));
	free(want);
}

TEST_F(vmo, o3_parents_never_show_through)
{
	int fd = vmo_filled(self->dev, 20, 0, 100), snap = clone_of(fd, 5, 10, VMO_CLONE_RESIZABLE);
	int grand, far;
	char *c = vmo_map(snap, 20, RW);

	ASSERT_NE(NULL, c);
	EXPECT_EQ(-1, wrong_page(c, 0, 10, 105));
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 2 * PS, 3 * PS));
	EXPECT_EQ(-1, wrong_page(c, 0, 2, 105));
	EXPECT_EQ(-1, wrong_page(c, 2, 3, 0));
	EXPECT_EQ(-1, wrong_page(c, 5, 5, 105));
	EXPECT_EQ(7, committed_pages(snap));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 20, 100));
	grand = clone_of(snap, 1, 6, 0);
	EXPECT_EQ(-1, wrong_page_fd(grand, 0, 1, 106));
	EXPECT_EQ(-1, wrong_page_fd(grand, 1, 3, 0));
	EXPECT_EQ(-1, wrong_page_fd(grand, 4, 2, 106));
	/* Through the grandchild neither. */
	EXPECT_EQ(0, vmo_op(grand, VMO_OP_ZERO, 0, 6 * PS));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 2, 105));
	EXPECT_EQ(-1, wrong_page_fd(snap, 5, 5, 105));
	/* Up to the end of the window, and then beyond it. */
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 7 * PS, 3 * PS));
	EXPECT_EQ(0, vmo_set_size(snap, 18 * PS));
	EXPECT_EQ(-1, wrong_page(c, 5, 2, 105));
	EXPECT_EQ(-1, wrong_page(c, 7, 11, 0));
	/* What the parent writes later does not appear, nor what it closes. */
	for (int i = 0; i < 20; i++)
		ASSERT_EQ(0, write_page(fd, i, 700 + i));
	EXPECT_EQ(-1, wrong_page(c, 7, 11, 0));
	EXPECT_EQ(-1, wrong_page(c, 2, 3, 0));
	far = clone_of(fd, 19, 2, 0);
	EXPECT_EQ(0, vmo_op(far, VMO_OP_ZERO, 0, 2 * PS));
	close(fd);
	EXPECT_EQ(-1, wrong_page_fd(far, 0, 2, 0));
	EXPECT_EQ(-1, wrong_page(c, 2, 3, 0));
	EXPECT_EQ(-1, wrong_page(c, 0, 2, 105));
	/* One's own pages are freed, and may be written again. */
	fill_page(c + 8 * PS, 900);
	EXPECT_EQ(5, committed_pages(snap));
	EXPECT_EQ(0, vmo_op(snap, VMO_OP_ZERO, 0, 18 * PS));
	EXPECT_EQ(0, committed_pages(snap));
	EXPECT_EQ(0, info_of(snap).scaled_bytes);
	fill_page(c + 3 * PS, 901);
	EXPECT_EQ(-1, wrong_page_fd(snap, 3, 1, 898));
}

/* ---- commit and decommit ------------------------------------------------ */

struct committer {
	int fd;
	uint64_t stop;
	uint64_t calls;
	uint64_t wrong;
};

static void *committer_thread(void *arg)
{
	struct committer *committer = arg;

	while (!load(&committer->stop)) {
		/* Cut meanwhile: what is left is committed, or it was cut before. */
		if (vmo_op(committer->fd, VMO_OP_COMMIT, 0, 64 * PS) && errno != ERANGE)
			committer->wrong++;
		store(&committer->calls, committer->calls + 1);
	}
	return NULL;
}

TEST_F(vmo, t5_commit_of_what_shrinks)
{
	int fd = vmo_new_flags(self->dev, 64 * PS, VMO_CREATE_RESIZABLE);
	int ref = vmo_reference(fd, 0);
	struct committer committer = { .fd = ref };
	double end = seconds() + 1.5;
	long before = held();
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, committer_thread, &committer));
	wait_for(&committer.calls, 1);
	for (int i = 0; more_rounds(i, 100, 5000, end); i++) {
		ASSERT_EQ(0, vmo_set_size(fd, 2 * PS));
		EXPECT_GE(2, committed_pages(fd));
		ASSERT_EQ(0, vmo_set_size(fd, 64 * PS));
		ASSERT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 64 * PS));
	}
	ASSERT_EQ(0, vmo_set_size(fd, 3 * PS));
	store(&committer.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, committer.wrong);
	EXPECT_GE(3, committed_pages(fd));
	if (before >= 0)
		EXPECT_EQ(committed_pages(fd) + before, held());
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 3, 0));
}

/* ---- all at once -------------------------------------------------------- */

/*
 * One thread stamps all pages through a mapping, over and over, and survives the
 * SIGBUS; one reads; the main one resizes. A stamp is the page and the epoch in
 * which it was made, and an epoch ends with every cut: what is found after growing
 * again was made after the cut, or is zero.
 */
enum { STAMPED = 24, LEAST = 3 };

struct stamps {
	int fd;
	char *map;
	uint64_t epoch;
	uint64_t passes;
	uint64_t stop;
	uint64_t bus_errors;
	uint64_t reads;
	uint64_t wrong;
};

static __thread sigjmp_buf stamp_env;

static void stamp_handler(int sig)
{
	siglongjmp(stamp_env, 1);
}

static void *stamp_thread(void *arg)
{
	struct stamps *stamps = arg;

	while (!load(&stamps->stop)) {
		for (volatile int page = 0; page < STAMPED; page++) {
			uint64_t *word = (uint64_t *)(stamps->map + page * PS + 8 * page);

			if (sigsetjmp(stamp_env, 1))
				stamps->bus_errors++;
			else
				store(word, load(&stamps->epoch) << 8 | page | 0x80);
		}
		store(&stamps->passes, stamps->passes + 1);
	}
	return NULL;
}

/* Whether this was stamped there, not before that epoch, and nothing else is there. */
static bool good_page(const uint64_t *word, int page, uint64_t least, uint64_t most)
{
	uint64_t stamp = word[page];

	for (int i = 0; i < (int)(PS / 8); i++)
		if (i != page && word[i])
			return false;
	return !stamp || ((stamp & 0xff) == (page | 0x80) && stamp >> 8 >= least &&
			  stamp >> 8 <= most);
}

static void *stamp_reader_thread(void *arg)
{
	uint64_t *buf = malloc(PS), last[LEAST] = { };
	struct stamps *stamps = arg;

	for (int page = 0; !load(&stamps->stop); page = (page + 1) % STAMPED) {
		ssize_t got = pread(stamps->fd, buf, PS, page * PS);

		/* What is cut at times may be missing, the rest never goes back in time. */
		if (got != (ssize_t)PS) {
			stamps->wrong += got != 0 || page < LEAST;
		} else {
			stamps->wrong += !good_page(buf, page, 0, load(&stamps->epoch));
			if (page < LEAST) {
				stamps->wrong += buf[page] < last[page];
				last[page] = buf[page];
			}
		}
		store(&stamps->reads, stamps->reads + 1);
	}
	free(buf);
	return NULL;
}

TEST_F_TIMEOUT(vmo, z1_z2_mp5_resize_under_a_writer_and_a_reader, 120)
{
	int fd = vmo_new_flags(self->dev, STAMPED * PS, VMO_CREATE_RESIZABLE);
	int ref = vmo_reference(fd, 0), snap = -1;
	struct stamps stamps = { .fd = ref, .map = vmo_map(ref, STAMPED, RW), .epoch = 1 };
	struct sigaction act = { .sa_handler = stamp_handler };
	uint64_t *buf = malloc(PS);
	double end = seconds() + 3;
	pthread_t thread[2];

	ASSERT_NE(NULL, stamps.map);
	sigaction(SIGBUS, &act, NULL);
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, stamp_thread, &stamps));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, stamp_reader_thread, &stamps));
	wait_for(&stamps.passes, 1);
	for (int round = 0; more_rounds(round, 10, 500, end); round++) {
		int keep = LEAST + round % 7;

		ASSERT_EQ(0, vmo_set_size(fd, keep * PS));
		store(&stamps.epoch, stamps.epoch + 1);
		/* All that follows is of this epoch. */
		wait_for(&stamps.passes, load(&stamps.passes) + 2);
		EXPECT_GE(keep, committed_pages(fd));
		ASSERT_EQ(0, vmo_set_size(fd, STAMPED * PS));
		for (int page = keep; page < STAMPED; page++) {
			ASSERT_EQ((ssize_t)PS, pread(fd, buf, PS, page * PS));
			ASSERT_TRUE(good_page(buf, page, stamps.epoch, stamps.epoch))
				TH_LOG("round %d, page %d, stamp %llx, epoch %llu", round, page,
				       (unsigned long long)buf[page],
				       (unsigned long long)stamps.epoch);
		}
		/* What is left out of writing costs nothing; now and then all is shared. */
		if (snap >= 0)
			close(snap);
		snap = round % 3 ? -1 : clone_of(fd, 0, STAMPED, 0);
	}
	store(&stamps.stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(0, stamps.wrong);
	EXPECT_LT(0, stamps.reads);
	EXPECT_LT(0, stamps.bus_errors);
	signal(SIGBUS, SIG_DFL);
	if (snap >= 0)
		close(snap);
	/* The mapping and the descriptor show the same in the end. */
	for (int page = 0; page < STAMPED; page++) {
		ASSERT_EQ((ssize_t)PS, pread(fd, buf, PS, page * PS));
		EXPECT_EQ(0, memcmp(buf, stamps.map + page * PS, PS));
	}
	EXPECT_EQ(0, vmo_set_size(fd, 0));
	EXPECT_EQ(self->pages, vmo_counter_becomes("pages", self->pages));
	free(buf);
}

TEST_HARNESS_MAIN
