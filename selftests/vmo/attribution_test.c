// SPDX-License-Identifier: GPL-2.0
/* What an object holds: to whom pages are charged, what is remembered, generations. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <stddef.h>
#include <sys/uio.h>

/* ---- asking ------------------------------------------------------------ */

static struct vmo_stats stats_of(int dev)
{
	struct vmo_stats stats;

	if (ioctl(dev, VMO_STATS, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

static struct vmo_usage usage_of(int fd, uint64_t offset, uint64_t length)
{
	struct vmo_usage usage = { .offset = offset, .length = length };

	if (ioctl(fd, VMO_USAGE, &usage))
		memset(&usage, 0xff, sizeof(usage));
	return usage;
}

static uint64_t exclusive_pages(int fd)
{
	return info_of(fd).exclusive_bytes / PS;
}

static uint64_t private_pages(int fd)
{
	return info_of(fd).private_bytes / PS;
}

static uint64_t generation(int fd)
{
	return info_of(fd).generation;
}

/* Pages that are held since @base; the last may be dropped by a worker. */
static uint64_t held_becomes(int dev, uint64_t base, uint64_t want)
{
	uint64_t held = 0;

	for (int i = 0; i < 500; i++) {
		held = (stats_of(dev).page_bytes - base) / PS;
		if (held == want)
			break;
		usleep(10000);
	}
	return held;
}

/* Over objects, in pages but for @scaled. */
struct sums {
	uint64_t committed;
	uint64_t private;
	uint64_t exclusive;
	uint64_t scaled;
};

static struct sums sums_of(const int *fds, int count)
{
	struct sums sums = { };

	for (int i = 0; i < count; i++) {
		struct vmo_info info;

		if (fds[i] < 0)
			continue;
		info = info_of(fds[i]);
		sums.committed += info.committed_bytes / PS;
		sums.private += info.private_bytes / PS;
		sums.exclusive += info.exclusive_bytes / PS;
		sums.scaled += info.scaled_bytes;
	}
	return sums;
}

/* A1 and A2: over all of a family, whatever is held is charged once. */
static void family_holds(struct __test_metadata *_metadata, int dev, uint64_t base,
			 const int *fds, int count, uint64_t held)
{
	struct sums sums = sums_of(fds, count);

	EXPECT_EQ(held, held_becomes(dev, base, held));
	EXPECT_EQ(held, sums.exclusive);
	EXPECT_GE(held * PS, sums.scaled);
	EXPECT_LE(held * PS, sums.scaled + sums.committed);	/* a byte of each page */
}

static int strict(int fd, unsigned int num, uint64_t offset)
{
	uint64_t word = 1;
	struct iovec iov = { &word, sizeof(word) };
	struct vmo_rw arg = { .offset = offset, .iov = (uintptr_t)&iov, .iov_count = 1 };

	return ioctl(fd, num, &arg);
}

static int transfer(int dst, uint64_t to, int src, uint64_t from, uint64_t pages)
{
	struct vmo_transfer arg = {
		.offset = to * PS, .length = pages * PS, .src_offset = from * PS, .src_fd = src,
	};

	return ioctl(dst, VMO_TRANSFER, &arg);
}

static int write_pages(int fd, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		if (write_page(fd, i, 77 + i))
			return -1;
	return 0;
}

/* ---- A1: whom a page is charged to ------------------------------------- */

TEST_F(vmo, a1_the_oldest_that_has_it)
{
	uint64_t base = stats_of(self->dev).page_bytes;
	int fd[2];

	fd[0] = vmo_filled(self->dev, 16, 0, 1);
	EXPECT_EQ(16, exclusive_pages(fd[0]));
	fd[1] = vmo_snap(fd[0]);
	EXPECT_EQ(16, exclusive_pages(fd[0]));
	EXPECT_EQ(0, exclusive_pages(fd[1]));
	family_holds(_metadata, self->dev, base, fd, 2, 16);
	/* The younger writes: that is its own, and what it had is the older's as before. */
	EXPECT_EQ(0, write_pages(fd[1], 0, 4));
	EXPECT_EQ(16, exclusive_pages(fd[0]));
	EXPECT_EQ(4, exclusive_pages(fd[1]));
	/* The older writes: what it had goes to the younger. */
	EXPECT_EQ(0, write_pages(fd[0], 8, 3));
	EXPECT_EQ(16, exclusive_pages(fd[0]));
	EXPECT_EQ(7, exclusive_pages(fd[1]));
	EXPECT_EQ(7, private_pages(fd[0]));
	EXPECT_EQ(7, private_pages(fd[1]));
	family_holds(_metadata, self->dev, base, fd, 2, 23);
	close(fd[0]);
	EXPECT_EQ(16, exclusive_pages(fd[1]));
	family_holds(_metadata, self->dev, base, fd + 1, 1, 16);
	close(fd[1]);
	EXPECT_EQ(0, held_becomes(self->dev, base, 0));
}

/* How the oldest may lose its pages 2 to 5 of 8; what it has afterwards. */
static int lose_by_write(int fd)
{
	return write_pages(fd, 2, 4);
}

static int lose_by_mapping(int fd)
{
	char *p = vmo_map(fd, 8, RW);

	if (!p)
		return -1;
	fill_pages(p, 2, 4, 99);
	return munmap(p, 8 * PS);
}

static int lose_by_commit(int fd)
{
	return vmo_op(fd, VMO_OP_COMMIT, 2 * PS, 4 * PS);
}

static int lose_by_decommit(int fd)
{
	return vmo_op(fd, VMO_OP_DECOMMIT, 2 * PS, 4 * PS);
}

static int lose_by_zero(int fd)
{
	return vmo_op(fd, VMO_OP_ZERO, 2 * PS, 4 * PS);
}

static int lose_by_resize(int fd)
{
	return vmo_set_size(fd, 2 * PS);
}

static int lose_by_transfer(int fd)
{
	return transfer(fd, 0, fd, 2, 4);
}

static int lose_by_death(int fd)
{
	return close(fd);
}

static const struct loss {
	const char *name;
	int (*act)(int fd);
	unsigned int left;	/* charged to it afterwards */
	unsigned int next;	/* to the one after it */
	unsigned int held;
} losses[] = {
	{ "write", lose_by_write, 8, 4, 12 },
	{ "mapping", lose_by_mapping, 8, 4, 12 },
	{ "commit", lose_by_commit, 8, 4, 12 },
	{ "decommit", lose_by_decommit, 4, 4, 8 },
	{ "zero", lose_by_zero, 4, 4, 8 },
	{ "resize", lose_by_resize, 2, 6, 8 },
	{ "transfer", lose_by_transfer, 6, 6, 12 },	/* copies of 2-5 in 0-3; 6, 7 as before */
	{ "death", lose_by_death, 0, 8, 8 },
};

TEST_F(vmo, a1_handed_on)
{
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		const struct loss *l = &losses[i];
		uint64_t base = stats_of(self->dev).page_bytes;
		int fd[3];

		fd[0] = vmo_filled(self->dev, 8, VMO_CREATE_RESIZABLE, 1);
		fd[1] = vmo_window(fd[0], 0, 8 * PS);
		fd[2] = vmo_window(fd[0], 0, 8 * PS);
		ASSERT_LE(0, fd[2]);
		EXPECT_EQ(8, exclusive_pages(fd[0]));
		EXPECT_EQ(0, exclusive_pages(fd[1]) + exclusive_pages(fd[2]));
		EXPECT_EQ(0, l->act(fd[0])) TH_LOG("%s: %s", l->name, strerror(errno));
		if (l->act == lose_by_death)
			fd[0] = -1;
		else
			EXPECT_EQ(l->left, exclusive_pages(fd[0])) TH_LOG("%s", l->name);
		EXPECT_EQ(l->next, exclusive_pages(fd[1])) TH_LOG("%s", l->name);
		EXPECT_EQ(0, exclusive_pages(fd[2])) TH_LOG("%s", l->name);
		family_holds(_metadata, self->dev, base, fd, 3, l->held);
		close(fd[1]);
		EXPECT_EQ(l->next, exclusive_pages(fd[2])) TH_LOG("%s, then death", l->name);
		close(fd[2]);
		close(fd[0]);
		EXPECT_EQ(0, held_becomes(self->dev, base, 0)) TH_LOG("%s", l->name);
	}
}

/* What counts is the age, not who was made from whom. */
TEST_F(vmo, a1_clones_of_clones)
{
	uint64_t base = stats_of(self->dev).page_bytes;
	int fd[4];

	fd[0] = vmo_filled(self->dev, 10, 0, 1);
	fd[1] = vmo_snap(fd[0]);
	EXPECT_EQ(0, write_pages(fd[1], 0, 2));
	fd[2] = vmo_snap(fd[0]);
	fd[3] = vmo_snap(fd[1]);	/* the youngest, of the second oldest */
	EXPECT_EQ(10, exclusive_pages(fd[0]));
	EXPECT_EQ(2, exclusive_pages(fd[1]));
	EXPECT_EQ(0, exclusive_pages(fd[2]) + exclusive_pages(fd[3]));
	family_holds(_metadata, self->dev, base, fd, 4, 12);
	close(fd[0]);
	EXPECT_EQ(10, exclusive_pages(fd[1]));	/* 2 of its own, 8 of the dead */
	EXPECT_EQ(2, exclusive_pages(fd[2]));	/* which only this one has */
	EXPECT_EQ(0, exclusive_pages(fd[3]));
	close(fd[1]);
	EXPECT_EQ(10, exclusive_pages(fd[2]));
	EXPECT_EQ(2, exclusive_pages(fd[3]));
	family_holds(_metadata, self->dev, base, fd + 2, 2, 12);
	close(fd[2]);
	EXPECT_EQ(10, exclusive_pages(fd[3]));
	close(fd[3]);
}

/* One page may lie at other offsets in others. */
TEST_F(vmo, a1_windows)
{
	uint64_t base = stats_of(self->dev).page_bytes;
	int fd[4];

	fd[0] = vmo_filled(self->dev, 100, 0, 1);
	fd[1] = vmo_window(fd[0], 70 * PS, 60 * PS);	/* 70-99, and 30 of nothing */
	fd[2] = vmo_window(fd[1], 20 * PS, 30 * PS);	/* 90-99, and 20 of nothing */
	fd[3] = vmo_window(fd[0], 95 * PS, 2 * PS);	/* 95 and 96 */
	ASSERT_LE(0, fd[3]);
	EXPECT_EQ(100, exclusive_pages(fd[0]));
	EXPECT_EQ(30, committed_pages(fd[1]));
	EXPECT_EQ(10, committed_pages(fd[2]));
	EXPECT_EQ(0, write_pages(fd[2], 25, 5));
	EXPECT_EQ(5, exclusive_pages(fd[2]));
	family_holds(_metadata, self->dev, base, fd, 4, 105);
	/* The window keeps what it shows, and no more. */
	close(fd[0]);
	EXPECT_EQ(30, exclusive_pages(fd[1]));
	EXPECT_EQ(5, exclusive_pages(fd[2]));
	EXPECT_EQ(0, exclusive_pages(fd[3]));
	family_holds(_metadata, self->dev, base, fd + 1, 3, 35);
	EXPECT_EQ(5 * PS, usage_of(fd[1], 20 * PS, 5 * PS).exclusive_bytes);
	close(fd[1]);
	EXPECT_EQ(15, exclusive_pages(fd[2]));
	EXPECT_EQ(10 * PS, usage_of(fd[2], 0, 25 * PS).exclusive_bytes);
	EXPECT_EQ(0, usage_of(fd[2], 10 * PS, 15 * PS).exclusive_bytes);
	close(fd[2]);
	EXPECT_EQ(2, exclusive_pages(fd[3]));
	close(fd[3]);
}

TEST_F(vmo, a1_unrelated_families)
{
	uint64_t base = stats_of(self->dev).page_bytes, before;
	int fd[4];

	fd[0] = vmo_filled(self->dev, 6, 0, 1);
	fd[1] = vmo_snap(fd[0]);
	fd[2] = vmo_filled(self->dev, 6, 0, 1);		/* the same bytes */
	fd[3] = vmo_snap(fd[2]);
	family_holds(_metadata, self->dev, base, fd, 4, 12);
	before = generation(fd[3]);
	EXPECT_EQ(0, write_pages(fd[1], 0, 2));
	EXPECT_EQ(0, write_pages(fd[0], 4, 2));
	EXPECT_EQ(before, generation(fd[3]));
	EXPECT_EQ(6, exclusive_pages(fd[2]));
	close(fd[0]);
	EXPECT_EQ(before, generation(fd[3]));
	EXPECT_EQ(6, exclusive_pages(fd[1]));
	EXPECT_EQ(0, exclusive_pages(fd[3]));
	family_holds(_metadata, self->dev, base, fd + 1, 3, 12);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
}

static void nothing_charged(struct __test_metadata *_metadata, int fd)
{
	struct vmo_usage usage = usage_of(fd, 0, -1ULL), part = usage_of(fd, PS, PS);
	struct vmo_info info = info_of(fd);

	EXPECT_EQ(0, info.committed_bytes);
	EXPECT_EQ(0, info.private_bytes);
	EXPECT_EQ(0, info.shared_bytes);
	EXPECT_EQ(0, info.scaled_bytes);
	EXPECT_EQ(0, info.exclusive_bytes);
	EXPECT_EQ(0, info.metadata_bytes);
	EXPECT_EQ(0, usage.committed_bytes | part.committed_bytes);
	EXPECT_EQ(0, usage.private_bytes | part.private_bytes);
	EXPECT_EQ(0, usage.shared_bytes | part.shared_bytes);
	EXPECT_EQ(0, usage.scaled_bytes | part.scaled_bytes);
	EXPECT_EQ(0, usage.exclusive_bytes | part.exclusive_bytes);
	EXPECT_EQ(0, usage.metadata_bytes | part.metadata_bytes);
}

TEST_F(vmo, a1_l5_f5_slices_and_references)
{
	int fd = vmo_filled(self->dev, 8, 0, 1), slice = vmo_slice(fd, PS, 4 * PS, 0);
	int ref = vmo_reference(fd, 0), clone = vmo_snap(slice);

	nothing_charged(_metadata, slice);
	nothing_charged(_metadata, ref);
	EXPECT_EQ(0, write_pages(slice, 0, 2));
	EXPECT_EQ(0, write_pages(ref, 6, 1));
	nothing_charged(_metadata, slice);
	nothing_charged(_metadata, ref);
	EXPECT_EQ(8, exclusive_pages(fd));
	EXPECT_EQ(2, exclusive_pages(clone));
	close(fd);
	nothing_charged(_metadata, slice);
	nothing_charged(_metadata, ref);
	close(slice);
	close(ref);
	/* Then the clone is alone. */
	EXPECT_EQ(4, exclusive_pages(clone));
	close(clone);
}

/* ---- A1, A2: a model of families --------------------------------------- */

#define MEMBERS		7
#define PAGES		40
#define ROUNDS		250

/* Who has which page, by number, from the oldest to the youngest. */
struct member {
	int fd;
	unsigned int size;
	unsigned int page[PAGES];
};

struct model {
	struct member member[MEMBERS];
	unsigned int count;
	unsigned int last;	/* number of a page */
	uint64_t seed;
	int dev;
};

static unsigned int any(struct model *m, unsigned int below)
{
	m->seed = mix(m->seed + 1);
	return m->seed % below;
}

static struct member *any_member(struct model *m)
{
	return &m->member[any(m, m->count)];
}

static unsigned int holders(const struct model *m, unsigned int page, unsigned int first,
			    unsigned int end)
{
	unsigned int found = 0;

	for (unsigned int i = first; i < end; i++)
		for (unsigned int j = 0; j < PAGES; j++)
			found += m->member[i].page[j] == page;
	return found;
}

/* The page of @o at @i becomes its own. */
static void model_owns(struct model *m, struct member *o, unsigned int i)
{
	if (!o->page[i] || holders(m, o->page[i], 0, m->count) > 1)
		o->page[i] = ++m->last;
}

static int do_own(struct model *m)
{
	struct member *o = any_member(m);
	unsigned int i = any(m, PAGES);

	if (i >= o->size)
		return 0;
	model_owns(m, o, i);
	if (any(m, 3))
		return write_page(o->fd, i, m->last);
	return vmo_op(o->fd, VMO_OP_COMMIT, i * PS, 1 + any(m, PS));
}

static int do_zero(struct model *m)
{
	struct member *o = any_member(m);
	unsigned int first = any(m, o->size + 1), count = any(m, o->size - first + 1);

	memset(o->page + first, 0, count * sizeof(*o->page));
	return vmo_op(o->fd, VMO_OP_ZERO, first * PS, count * PS);
}

static int do_resize(struct model *m)
{
	struct member *o = any_member(m);

	o->size = PAGES / 2 + any(m, PAGES / 2 + 1);
	memset(o->page + o->size, 0, (PAGES - o->size) * sizeof(*o->page));
	return vmo_set_size(o->fd, o->size * PS);
}

static int do_transfer(struct model *m)
{
	struct member *dst = any_member(m), *src = any_member(m);
	unsigned int to = any(m, PAGES / 4), from = any(m, PAGES / 4), count = any(m, PAGES / 4);

	if (dst == src)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		dst->page[to + i] = 0;
		if (src->page[from + i])
			model_owns(m, src, from + i);
		dst->page[to + i] = src->page[from + i];
		src->page[from + i] = 0;
	}
	return transfer(dst->fd, to, src->fd, from, count);
}

static int do_close(struct model *m, unsigned int which)
{
	int ret = close(m->member[which].fd);

	m->count--;
	memmove(&m->member[which], &m->member[which + 1],
		(m->count - which) * sizeof(*m->member));
	return ret;
}

static int add_member(struct model *m, int fd, unsigned int size)
{
	struct member *o = &m->member[m->count++];

	memset(o, 0, sizeof(*o));
	o->fd = fd;
	o->size = size;
	return fd < 0 ? -1 : 0;
}

static int do_clone(struct model *m)
{
	struct member *from;
	struct vmo_clone arg = { .flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_RESIZABLE, .fd = -1 };
	unsigned int first;

	if (m->count == MEMBERS && do_close(m, any(m, MEMBERS)))
		return -1;
	from = any_member(m);
	first = any(m, 2) ? 0 : any(m, PAGES / 4);
	arg.offset = first * PS;
	arg.size = PAGES / 2 * PS;
	if (ioctl(from->fd, VMO_CLONE, &arg) || add_member(m, arg.fd, PAGES / 2))
		return -1;
	memcpy(m->member[m->count - 1].page, from->page + first,
	       PAGES / 2 * sizeof(*from->page));
	return 0;
}

static int do_something(struct model *m)
{
	switch (any(m, 12)) {
	case 0:
	case 1:
		return do_clone(m);
	case 2:
		return do_zero(m);
	case 3:
		return do_resize(m);
	case 4:
		return do_transfer(m);
	case 5:
		if (m->count > 3)
			return do_close(m, any(m, m->count));
		return add_member(m, vmo_new_flags(m->dev, PAGES * PS, VMO_CREATE_RESIZABLE),
				  PAGES);
	default:
		return do_own(m);
	}
}

static unsigned int check_member(struct __test_metadata *_metadata, const struct model *m,
				 unsigned int nr)
{
	const struct member *o = &m->member[nr];
	unsigned int committed = 0, private = 0, exclusive = 0;
	struct vmo_info info = info_of(o->fd);

	for (unsigned int i = 0; i < PAGES; i++) {
		if (!o->page[i])
			continue;
		committed++;
		private += holders(m, o->page[i], 0, m->count) == 1;
		exclusive += !holders(m, o->page[i], 0, nr);
	}
	ASSERT_EQ(committed * PS, info.committed_bytes);
	ASSERT_EQ(private * PS, info.private_bytes);
	ASSERT_EQ(exclusive * PS, info.exclusive_bytes);
	ASSERT_EQ(info.committed_bytes, info.private_bytes + info.shared_bytes);
	ASSERT_LE(info.private_bytes, info.scaled_bytes);
	ASSERT_GE(info.committed_bytes, info.scaled_bytes);
	return exclusive;
}

TEST_F(vmo, a1_a2_model)
{
	uint64_t base = stats_of(self->dev).page_bytes;
	struct model m = { .dev = self->dev, .seed = 4711 };
	int fds[MEMBERS];

	ASSERT_EQ(0, add_member(&m, vmo_new_flags(self->dev, PAGES * PS, VMO_CREATE_RESIZABLE),
				PAGES));
	for (int i = 0; i < ROUNDS; i++) {
		unsigned int held = 0;

		for (int j = 0; j < 4; j++)
			ASSERT_EQ(0, do_something(&m)) TH_LOG("round %d: %s", i, strerror(errno));
		for (unsigned int j = 0; j < m.count; j++) {
			fds[j] = m.member[j].fd;
			held += check_member(_metadata, &m, j);
		}
		family_holds(_metadata, self->dev, base, fds, m.count, held);
	}
	while (m.count)
		do_close(&m, 0);
}

/* ---- A2, A3: how much ---------------------------------------------------- */

TEST_F(vmo, a2_a3_holes_are_nothing)
{
	int fd = vmo_new_pages(self->dev, 1000);
	char *p = vmo_map(fd, 1000, RW);

	for (int i = 0; i < 1000; i++)
		EXPECT_EQ(0, p[i * PS]);
	EXPECT_EQ(0, info_of(fd).committed_bytes);
	EXPECT_EQ(0, info_of(fd).scaled_bytes);
	p[500 * PS] = 1;
	EXPECT_EQ(PS, info_of(fd).committed_bytes);
	EXPECT_EQ(PS, info_of(fd).private_bytes);
	EXPECT_EQ(PS, info_of(fd).scaled_bytes);
	EXPECT_EQ(0, info_of(fd).shared_bytes);
	EXPECT_LT(0, info_of(fd).metadata_bytes);
	munmap(p, 1000 * PS);
	close(fd);
}

TEST_F(vmo, a2_x2_after_a_transfer)
{
	uint64_t base = stats_of(self->dev).page_bytes;
	int fd[3];

	fd[0] = vmo_filled(self->dev, 8, 0, 1);
	fd[2] = vmo_filled(self->dev, 8, 0, 100);
	/* What nobody shares is moved. */
	EXPECT_EQ(0, transfer(fd[2], 0, fd[0], 0, 4));
	EXPECT_EQ(4, committed_pages(fd[0]));
	EXPECT_EQ(4, private_pages(fd[0]));
	EXPECT_EQ(8, private_pages(fd[2]));
	EXPECT_EQ(12, held_becomes(self->dev, base, 12));
	/* What is shared is copied, and the other has it alone. */
	fd[1] = vmo_snap(fd[0]);
	EXPECT_EQ(0, private_pages(fd[0]) + private_pages(fd[1]));
	EXPECT_EQ(2 * PS, info_of(fd[1]).scaled_bytes);
	EXPECT_EQ(0, transfer(fd[2], 4, fd[0], 4, 2));
	EXPECT_EQ(2, committed_pages(fd[0]));
	EXPECT_EQ(2 * PS, info_of(fd[0]).shared_bytes);
	EXPECT_EQ(PS, info_of(fd[0]).scaled_bytes);
	EXPECT_EQ(2, private_pages(fd[1]));
	EXPECT_EQ(3 * PS, info_of(fd[1]).scaled_bytes);
	EXPECT_EQ(8, private_pages(fd[2]));
	family_holds(_metadata, self->dev, base, fd, 3, 12);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

TEST_F(vmo, a2_k6_pinned_pages_are_copied)
{
	uint64_t base = stats_of(self->dev).page_bytes;
	int fd[2], pin;

	fd[0] = vmo_filled(self->dev, 8, 0, 1);
	pin = vmo_pin_flags(fd[0], 2 * PS, 3 * PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	fd[1] = vmo_clone_flags(fd[0], 8 * PS, VMO_CLONE_COPY_PINNED);
	ASSERT_LE(0, fd[1]);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(8, committed_pages(fd[i]));
		EXPECT_EQ(3, private_pages(fd[i]));
		EXPECT_EQ(5 * PS, info_of(fd[i]).shared_bytes);
		EXPECT_EQ(3 * PS + 5 * PS / 2, info_of(fd[i]).scaled_bytes);
	}
	EXPECT_EQ(8, exclusive_pages(fd[0]));
	EXPECT_EQ(3, exclusive_pages(fd[1]));
	family_holds(_metadata, self->dev, base, fd, 2, 11);
	close(pin);
	EXPECT_EQ(3, private_pages(fd[1]));
	close(fd[0]);
	EXPECT_EQ(8, private_pages(fd[1]));
	close(fd[1]);
}

/* ---- A4: what is remembered ---------------------------------------------- */

/* That many asked since @before: of these so many were answered from memory, or not. */
static void asked(struct __test_metadata *_metadata, int dev, const struct vmo_stats *before,
		  uint64_t queries, uint64_t hits, uint64_t misses)
{
	struct vmo_stats now = stats_of(dev);

	EXPECT_EQ(queries, now.usage_queries - before->usage_queries);
	EXPECT_EQ(hits, now.usage_hits - before->usage_hits);
	EXPECT_EQ(misses, now.usage_misses - before->usage_misses);
}

static uint64_t blocks_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1ULL : (uint64_t)st.st_blocks;
}

TEST_F(vmo, a4_hits_and_misses)
{
	int fd = vmo_filled(self->dev, 8, 0, 1);
	struct vmo_stats s = stats_of(self->dev);

	asked(_metadata, self->dev, &s, 0, 0, 0);	/* asking for these is none */
	EXPECT_EQ(8, committed_pages(fd));
	asked(_metadata, self->dev, &s, 1, 0, 1);
	EXPECT_EQ(8, committed_pages(fd));
	asked(_metadata, self->dev, &s, 2, 1, 1);
	EXPECT_EQ(8 * PS / 512, blocks_of(fd));
	asked(_metadata, self->dev, &s, 3, 2, 1);
	EXPECT_EQ(8 * PS, usage_of(fd, 0, 8 * PS).committed_bytes);
	asked(_metadata, self->dev, &s, 4, 3, 1);
	EXPECT_EQ(8 * PS, usage_of(fd, 0, -1ULL).committed_bytes);
	asked(_metadata, self->dev, &s, 5, 4, 1);
	/* Of a part nothing is remembered. */
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(2 * PS, usage_of(fd, 3 * PS, 2 * PS).committed_bytes);
	asked(_metadata, self->dev, &s, 7, 4, 1);
	/* Nor does that disturb what is. */
	EXPECT_EQ(8, committed_pages(fd));
	asked(_metadata, self->dev, &s, 8, 5, 1);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, PS));
	EXPECT_EQ(7 * PS / 512, blocks_of(fd));
	asked(_metadata, self->dev, &s, 9, 5, 2);
	EXPECT_EQ(7 * PS / 512, blocks_of(fd));
	asked(_metadata, self->dev, &s, 10, 6, 2);
	EXPECT_EQ(7, committed_pages(fd));
	EXPECT_EQ(7, exclusive_pages(fd));
	close(fd);
}

/* Each object has its own memory of what it holds, and asking one is no news of another. */
TEST_F(vmo, a4_of_each_member)
{
	int fd[3];
	struct vmo_stats s;

	fd[0] = vmo_filled(self->dev, 8, 0, 1);
	fd[1] = vmo_snap(fd[0]);
	fd[2] = vmo_snap(fd[1]);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(8, committed_pages(fd[i]));
	s = stats_of(self->dev);
	for (int i = 0; i < 9; i++)
		EXPECT_EQ(8, committed_pages(fd[i % 3]));
	asked(_metadata, self->dev, &s, 9, 9, 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* Two that share eight pages, and one that has nothing to do with them; all asked. */
static void three(int dev, int *fd)
{
	fd[0] = vmo_filled(dev, 8, 0, 1);
	fd[1] = vmo_snap(fd[0]);
	fd[2] = vmo_filled(dev, 8, 0, 1);
	for (int i = 0; i < 6; i++)
		info_of(fd[i % 3]);
}

/* What @fd's memory told of it is no more; it has @private pages and @halves of others. */
static void sees(struct __test_metadata *_metadata, int dev, int fd, unsigned int private,
		 unsigned int halves, unsigned int exclusive)
{
	struct vmo_stats s = stats_of(dev);
	struct vmo_info info = info_of(fd);

	EXPECT_EQ((private + halves) * PS, info.committed_bytes);
	EXPECT_EQ(private * PS, info.private_bytes);
	EXPECT_EQ(halves * PS, info.shared_bytes);
	EXPECT_EQ(private * PS + halves * PS / 2, info.scaled_bytes);
	EXPECT_EQ(exclusive * PS, info.exclusive_bytes);
	asked(_metadata, dev, &s, 1, 0, 1);
	info_of(fd);
	asked(_metadata, dev, &s, 2, 1, 1);
}

TEST_F(vmo, a4_others_see_a_change)
{
	int fd[3];
	char *p;

	three(self->dev, fd);
	EXPECT_EQ(0, write_page(fd[0], 3, 9));
	sees(_metadata, self->dev, fd[1], 1, 7, 1);
	EXPECT_EQ(0, write_page(fd[1], 4, 9));
	sees(_metadata, self->dev, fd[0], 2, 6, 8);
	p = vmo_map(fd[1], 8, RW);
	p[0] = 1;
	sees(_metadata, self->dev, fd[0], 3, 5, 8);
	munmap(p, 8 * PS);
	EXPECT_EQ(0, vmo_op(fd[0], VMO_OP_DECOMMIT, PS, PS));
	sees(_metadata, self->dev, fd[1], 4, 4, 4);
	EXPECT_EQ(0, vmo_op(fd[1], VMO_OP_ZERO, 2 * PS, PS));
	sees(_metadata, self->dev, fd[0], 4, 3, 7);
	EXPECT_EQ(0, transfer(fd[2], 0, fd[0], 5, 1));
	sees(_metadata, self->dev, fd[1], 5, 2, 5);
	EXPECT_EQ(0, transfer(fd[1], 6, fd[2], 6, 1));
	sees(_metadata, self->dev, fd[0], 5, 1, 6);
	close(fd[0]);
	sees(_metadata, self->dev, fd[1], 7, 0, 7);
	close(fd[1]);
	close(fd[2]);
}

TEST_F(vmo, a4_others_see_clones_come_and_go)
{
	int fd[3], clone;

	three(self->dev, fd);
	clone = vmo_window(fd[0], 0, 8 * PS);
	EXPECT_GT(4 * PS, info_of(fd[0]).scaled_bytes + info_of(fd[1]).scaled_bytes - 4 * PS);
	close(clone);
	EXPECT_EQ(4 * PS, info_of(fd[0]).scaled_bytes);
	EXPECT_EQ(4 * PS, info_of(fd[1]).scaled_bytes);
	clone = vmo_window(fd[2], 0, 4 * PS);
	sees(_metadata, self->dev, fd[2], 4, 4, 8);
	close(clone);
	sees(_metadata, self->dev, fd[2], 8, 0, 8);
	close(fd[1]);
	sees(_metadata, self->dev, fd[0], 8, 0, 8);
	close(fd[0]);
	close(fd[2]);
}

/* What a reference or a slice does, its object did. */
TEST_F(vmo, a4_changes_through_others_descriptors)
{
	int fd = vmo_filled(self->dev, 4, 0, 1), slice, ref;

	slice = vmo_slice(fd, PS, 2 * PS, 0);
	ref = vmo_reference(fd, 0);
	EXPECT_EQ(4, committed_pages(fd));
	EXPECT_EQ(0, vmo_op(slice, VMO_OP_DECOMMIT, 0, PS));
	sees(_metadata, self->dev, fd, 3, 0, 3);
	EXPECT_EQ(0, vmo_op(ref, VMO_OP_ZERO, 0, PS));
	sees(_metadata, self->dev, fd, 2, 0, 2);
	EXPECT_EQ(1, pwrite(slice, "x", 1, 0));
	sees(_metadata, self->dev, fd, 3, 0, 3);
	close(slice);
	close(ref);
	close(fd);
}

/* ---- A5: generations ------------------------------------------------------- */

/*
 * What each row of the tables finds: @obj can be resized, is alone, and has pages 0 to
 * 3 of 8, which are mapped at @p; @base has the same, is of fixed size, and has a clone,
 * a slice and a reference.
 */
struct scene {
	int dev;
	int obj;
	char *p;
	int base;
	int clone;
	int slice;
	int ref;
	int ret;	/* of the last act */
};

static int set_scene(struct scene *s, int dev)
{
	s->dev = dev;
	s->obj = vmo_new_flags(dev, 8 * PS, VMO_CREATE_RESIZABLE);
	s->base = vmo_new_pages(dev, 8);
	if (write_pages(s->obj, 0, 4) || write_pages(s->base, 0, 4))
		return -1;
	s->p = vmo_map(s->obj, 8, RW);
	s->clone = vmo_snap(s->base);
	s->slice = vmo_slice(s->base, PS, 2 * PS, 0);
	s->ref = vmo_reference(s->base, 0);
	return s->p && s->clone >= 0 && s->slice >= 0 && s->ref >= 0 ? 0 : -1;
}

static void clear_scene(struct scene *s)
{
	const int fds[] = { s->obj, s->base, s->clone, s->slice, s->ref };

	munmap(s->p, 8 * PS);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int close_it(int *fd)
{
	int ret = close(*fd);

	*fd = -1;
	return ret;
}

/* @_call is 0 if all is well. */
#define ACT(_name, _call)	static void _name(struct scene *s) { s->ret = (_call); }
#define OK(_cond)		((_cond) ? 0 : -1)
#define FAILS(_errno, _call)	(errno = 0, OK((_call) == -1 && errno == (_errno)))

enum who { OBJ, BASE, CLONE };

struct act {
	const char *name;
	void (*act)(struct scene *s);
	enum who who;	/* whose generation */
};

#define ROW(_act, _who)		{ #_act, _act, _who }

static uint64_t generation_of(const struct scene *s, enum who who)
{
	const int fds[] = { s->obj, s->base, s->clone };

	return generation(fds[who]);
}

/* After each row: does it rise; is what is remembered good or not. */
static void play(struct __test_metadata *_metadata, int dev, const struct act *rows,
		 size_t count, bool rises)
{
	for (size_t i = 0; i < count; i++) {
		const struct act *row = &rows[i];
		struct vmo_stats before, after;
		struct scene s;
		uint64_t was, is;

		ASSERT_EQ(0, set_scene(&s, dev));
		was = generation_of(&s, row->who);
		EXPECT_EQ(was, generation_of(&s, row->who));
		row->act(&s);
		EXPECT_EQ(0, s.ret) TH_LOG("%s: %s", row->name, strerror(errno));
		before = stats_of(dev);
		is = generation_of(&s, row->who);
		after = stats_of(dev);
		EXPECT_EQ(rises, is > was) TH_LOG("%s", row->name);
		EXPECT_LE(was, is) TH_LOG("%s", row->name);
		EXPECT_EQ(rises, after.usage_misses - before.usage_misses)
			TH_LOG("%s", row->name);
		EXPECT_EQ(is, generation_of(&s, row->who)) TH_LOG("%s", row->name);
		clear_scene(&s);
	}
}

ACT(write_to_a_hole, OK(pwrite(s->obj, "x", 1, 5 * PS) == 1))
ACT(map_write_to_a_hole, (s->p[5 * PS] = 1, 0))
ACT(strict_write_to_a_hole, strict(s->obj, VMO_WRITE, 5 * PS))
ACT(populate_a_hole, madvise(s->p + 5 * PS, PS, MADV_POPULATE_WRITE))
ACT(commit_a_hole, vmo_op(s->obj, VMO_OP_COMMIT, 0, 8 * PS))
ACT(fallocate_a_hole, fallocate(s->obj, 0, 0, 8 * PS))
ACT(decommit, vmo_op(s->obj, VMO_OP_DECOMMIT, PS, PS))
ACT(madvise_remove, madvise(s->p, PS, MADV_REMOVE))
ACT(zero, vmo_op(s->obj, VMO_OP_ZERO, PS, PS))
ACT(zero_a_part, vmo_op(s->obj, VMO_OP_ZERO, PS + 10, 10))
ACT(zero_a_hole, vmo_op(s->obj, VMO_OP_ZERO, 6 * PS, PS))
ACT(zero_a_part_of_a_hole, vmo_op(s->obj, VMO_OP_ZERO, 6 * PS + 10, 10))
ACT(zero_everything, vmo_op(s->obj, VMO_OP_ZERO, 0, 8 * PS))
ACT(resize_up, vmo_set_size(s->obj, 9 * PS))
ACT(resize_down, vmo_set_size(s->obj, 2 * PS))
ACT(resize_holes_away, vmo_set_size(s->obj, 6 * PS))
ACT(ftruncate_up, ftruncate(s->obj, 20 * PS))
ACT(ftruncate_down, ftruncate(s->obj, PS))
ACT(write_past_the_end, OK(pwrite(s->obj, "x", 1, 8 * PS) == 1))
ACT(make_a_clone, close_it((int []) { vmo_snap(s->obj) }))
ACT(make_another_clone, (close(s->slice), s->slice = vmo_snap(s->base), OK(s->slice >= 0)))
ACT(close_the_clone, close_it(&s->clone))
ACT(close_the_parent, (close(s->ref), close(s->slice), s->ref = s->slice = -1,
		       close_it(&s->base)))
ACT(make_a_slice, (close(s->ref), s->ref = vmo_slice(s->base, 0, PS, 0), OK(s->ref >= 0)))
ACT(close_the_slice, close_it(&s->slice))
ACT(write_a_shared_page, write_page(s->base, 2, 3))
ACT(write_a_shared_page_of_the_clone, write_page(s->clone, 2, 3))
ACT(write_through_the_slice, write_page(s->slice, 0, 3))
ACT(write_through_the_reference, write_page(s->ref, 6, 3))
ACT(commit_shared_pages, vmo_op(s->clone, VMO_OP_COMMIT, 0, 4 * PS))
ACT(transfer_in, transfer(s->obj, 4, s->base, 0, 4))
ACT(transfer_out, transfer(s->base, 4, s->obj, 0, 4))
ACT(transfer_holes_in, transfer(s->obj, 0, s->base, 4, 4))
ACT(transfer_within, transfer(s->obj, 4, s->obj, 0, 4))

TEST_F(vmo, a5_events)
{
	static const struct act rows[] = {
		ROW(write_to_a_hole, OBJ), ROW(map_write_to_a_hole, OBJ),
		ROW(strict_write_to_a_hole, OBJ), ROW(populate_a_hole, OBJ),
		ROW(commit_a_hole, OBJ), ROW(fallocate_a_hole, OBJ), ROW(decommit, OBJ),
		ROW(madvise_remove, OBJ), ROW(zero, OBJ), ROW(zero_a_part, OBJ),
		ROW(zero_a_hole, OBJ), ROW(zero_a_part_of_a_hole, OBJ), ROW(zero_everything, OBJ),
		ROW(resize_up, OBJ), ROW(resize_down, OBJ), ROW(resize_holes_away, OBJ),
		ROW(ftruncate_up, OBJ), ROW(ftruncate_down, OBJ), ROW(write_past_the_end, OBJ),
		ROW(make_a_clone, OBJ), ROW(make_another_clone, BASE),
		ROW(make_another_clone, CLONE), ROW(close_the_clone, BASE),
		ROW(close_the_parent, CLONE), ROW(make_a_slice, BASE), ROW(close_the_slice, BASE),
		ROW(write_a_shared_page, BASE), ROW(write_a_shared_page, CLONE),
		ROW(write_a_shared_page_of_the_clone, BASE),
		ROW(write_a_shared_page_of_the_clone, CLONE),
		ROW(write_through_the_slice, BASE), ROW(write_through_the_slice, CLONE),
		ROW(write_through_the_reference, BASE), ROW(commit_shared_pages, BASE),
		ROW(commit_shared_pages, CLONE), ROW(transfer_in, OBJ), ROW(transfer_in, BASE),
		ROW(transfer_in, CLONE), ROW(transfer_out, OBJ), ROW(transfer_out, BASE),
		ROW(transfer_holes_in, OBJ), ROW(transfer_within, OBJ),
	};

	play(_metadata, self->dev, rows, ARRAY_SIZE(rows), true);
}

static int ask_for_pages(int fd)
{
	struct vmo_page_run run[8];
	struct vmo_pages arg = { .length = 8 * PS, .runs = (uintptr_t)run, .count = 8 };

	return ioctl(fd, VMO_PAGES, &arg);
}

static int look_up(int fd)
{
	struct vmo_lookup_entry entry[8];
	struct vmo_lookup arg = {
		.length = 8 * PS, .entries = (uintptr_t)entry, .count = 8,
		.flags = VMO_LOOKUP_SHARED,
	};

	return ioctl(fd, VMO_LOOKUP, &arg);
}

static int compare(int fd, int other)
{
	struct vmo_range range;
	struct vmo_diff arg = {
		.length = 8 * PS, .ranges = (uintptr_t)&range, .count = 1, .other_fd = other,
	};

	return ioctl(fd, VMO_DIFF, &arg);
}

static int name_it(int fd)
{
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "name" };

	return ioctl(fd, VMO_NAME, &name);
}

static int restrict_it(int fd)
{
	struct vmo_restrict arg = { .rights = VMO_RIGHT_READ };

	return ioctl(fd, VMO_RESTRICT, &arg) || close(arg.fd);
}

static int read_all(int fd, uint64_t pages)
{
	char *buf = malloc(pages * PS);
	int ret = OK(pread(fd, buf, pages * PS, 0) == (ssize_t)(pages * PS));

	free(buf);
	return ret;
}

static int touch_all(const struct scene *s)
{
	volatile char *p = s->p;
	int sum = 0;

	for (int i = 0; i < 8; i++)
		sum += p[i * PS];
	return OK(sum != -1);
}

ACT(read_it, read_all(s->obj, 8))
ACT(read_what_is_shared, read_all(s->clone, 8))
ACT(strict_read, strict(s->obj, VMO_READ, PS) || strict(s->obj, VMO_READ, 5 * PS))
ACT(read_faults, touch_all(s))
ACT(write_what_is_own, OK(pwrite(s->obj, "x", 1, PS) == 1))
ACT(map_write_what_is_own, (s->p[PS] = 1, s->p[PS + 1] = 2, 0))
ACT(strict_write_what_is_own, strict(s->obj, VMO_WRITE, PS))
ACT(commit_what_is_there, vmo_op(s->obj, VMO_OP_COMMIT, 0, 4 * PS))
ACT(populate_what_is_there, madvise(s->p, 4 * PS, MADV_POPULATE_WRITE))
ACT(zero_of_no_length, vmo_op(s->obj, VMO_OP_ZERO, PS, 0))
ACT(ask_info, OK(info_of(s->obj).size == 8 * PS))
ACT(ask_usage, OK(usage_of(s->obj, 0, 4 * PS).committed_bytes == 4 * PS))
ACT(ask_usage_of_all, OK(usage_of(s->obj, 0, 8 * PS).committed_bytes == 4 * PS))
ACT(ask_pages, ask_for_pages(s->obj))
ACT(ask_where, look_up(s->obj))
ACT(ask_where_shared, look_up(s->base))
ACT(ask_the_difference, compare(s->base, s->clone))
ACT(ask_stats, OK(stats_of(s->dev).object_count != -1ULL))
ACT(ask_fstat, OK(blocks_of(s->obj) == 4 * PS / 512))
ACT(seek, OK(lseek(s->obj, 0, SEEK_HOLE) == 4 * (off_t)PS))
ACT(make_a_reference, close_it((int []) { vmo_reference(s->obj, 0) }))
ACT(close_the_reference, close_it(&s->ref))
ACT(set_the_name, name_it(s->obj))
ACT(restrict_rights, restrict_it(s->obj))
ACT(reopen_it, close_it((int []) { vmo_reopen(s->obj, O_RDWR) }))
ACT(write_elsewhere, write_page(s->base, 2, 3))
ACT(transfer_to_itself, transfer(s->obj, 0, s->obj, 0, 4))
ACT(transfer_nothing, transfer(s->obj, 0, s->base, 0, 0))

TEST_F(vmo, a5_no_events)
{
	static const struct act rows[] = {
		ROW(read_it, OBJ), ROW(read_what_is_shared, CLONE), ROW(read_what_is_shared, BASE),
		ROW(strict_read, OBJ), ROW(read_faults, OBJ), ROW(write_what_is_own, OBJ),
		ROW(map_write_what_is_own, OBJ), ROW(strict_write_what_is_own, OBJ),
		ROW(commit_what_is_there, OBJ), ROW(populate_what_is_there, OBJ),
		ROW(zero_of_no_length, OBJ), ROW(ask_info, OBJ), ROW(ask_usage, OBJ),
		ROW(ask_usage_of_all, OBJ), ROW(ask_pages, OBJ), ROW(ask_where, OBJ),
		ROW(ask_where_shared, BASE), ROW(ask_the_difference, BASE),
		ROW(ask_the_difference, CLONE), ROW(ask_stats, OBJ), ROW(ask_fstat, OBJ),
		ROW(seek, OBJ), ROW(make_a_reference, OBJ), ROW(close_the_reference, BASE),
		ROW(set_the_name, OBJ), ROW(restrict_rights, OBJ), ROW(reopen_it, OBJ),
		ROW(write_elsewhere, OBJ), ROW(transfer_to_itself, OBJ),
		ROW(transfer_nothing, OBJ), ROW(transfer_nothing, BASE),
	};

	play(_metadata, self->dev, rows, ARRAY_SIZE(rows), false);
}

ACT(bad_write, FAILS(EFAULT, pwrite(s->obj, (void *)-PS, 1, PS)))
ACT(bad_strict_write, FAILS(ERANGE, strict(s->obj, VMO_WRITE, 8 * PS)))
ACT(bad_op, FAILS(EINVAL, vmo_op(s->obj, 77, 0, PS)))
ACT(bad_commit, FAILS(ERANGE, vmo_op(s->obj, VMO_OP_COMMIT, 8 * PS, 1)))
ACT(bad_zero, FAILS(ERANGE, vmo_op(s->obj, VMO_OP_ZERO, 0, 9 * PS)))
ACT(bad_decommit, FAILS(ERANGE, vmo_op(s->obj, VMO_OP_DECOMMIT, 0, 9 * PS)))
ACT(unaligned_decommit, FAILS(EINVAL, vmo_op(s->obj, VMO_OP_DECOMMIT, 0, PS - 1)))
ACT(decommit_of_a_clone, FAILS(EOPNOTSUPP, vmo_op(s->clone, VMO_OP_DECOMMIT, 0, PS)))
ACT(bad_resize, FAILS(ERANGE, vmo_set_size(s->obj, MAX_SIZE + 1)))
ACT(resize_of_fixed_size, FAILS(EPERM, vmo_set_size(s->base, PS)))
ACT(clone_of_no_kind, FAILS(EINVAL, ioctl(s->obj, VMO_CLONE, &(struct vmo_clone) {
				    .size = PS })))
ACT(unaligned_clone, FAILS(EINVAL, vmo_window(s->obj, 1, PS)))
ACT(slice_of_resizable, FAILS(EOPNOTSUPP, vmo_slice(s->obj, 0, PS, 0)))
ACT(bad_slice, FAILS(EINVAL, vmo_slice(s->base, 0, 9 * PS, 0)))
ACT(bad_transfer, FAILS(ERANGE, transfer(s->obj, 0, s->base, 0, 9)))
ACT(bad_transfer_source, FAILS(EBADF, transfer(s->obj, 0, -1, 0, 4)))
ACT(bad_usage, FAILS(EINVAL, ioctl(s->obj, VMO_USAGE, &(struct vmo_usage) { .flags = 1 })))

TEST_F(vmo, a5_refusals_are_no_events)
{
	static const struct act rows[] = {
		ROW(bad_write, OBJ), ROW(bad_strict_write, OBJ), ROW(bad_op, OBJ),
		ROW(bad_commit, OBJ), ROW(bad_zero, OBJ), ROW(bad_decommit, OBJ),
		ROW(unaligned_decommit, OBJ), ROW(decommit_of_a_clone, CLONE),
		ROW(decommit_of_a_clone, BASE), ROW(bad_resize, OBJ),
		ROW(resize_of_fixed_size, BASE), ROW(clone_of_no_kind, OBJ),
		ROW(unaligned_clone, OBJ), ROW(slice_of_resizable, OBJ), ROW(bad_slice, BASE),
		ROW(bad_transfer, OBJ), ROW(bad_transfer, BASE), ROW(bad_transfer_source, OBJ),
		ROW(bad_usage, OBJ),
	};

	play(_metadata, self->dev, rows, ARRAY_SIZE(rows), false);
}

/* That something is pinned is found out late, but nothing has happened by then. */
static int while_pinned(const struct scene *s, int (*act)(const struct scene *s))
{
	uint64_t before;
	int pin = vmo_pin_flags(s->obj, PS, PS, VMO_PIN_READ), ret;

	before = generation(s->obj);
	ret = pin < 0 || FAILS(EBADFD, act(s)) ? -1 : 0;
	if (generation(s->obj) != before)
		ret = -2;
	close(pin);
	return ret;
}

static int decommit_all(const struct scene *s)
{
	return vmo_op(s->obj, VMO_OP_DECOMMIT, 0, 4 * PS);
}

static int resize_to_nothing(const struct scene *s)
{
	return vmo_set_size(s->obj, 0);
}

static int clone_all(const struct scene *s)
{
	return vmo_snap(s->obj);
}

static int transfer_away(const struct scene *s)
{
	return transfer(s->base, 0, s->obj, 0, 4);
}

static int transfer_onto(const struct scene *s)
{
	return transfer(s->obj, 0, s->base, 0, 4);
}

TEST_F(vmo, a5_refusals_for_a_pin_are_no_events)
{
	struct scene s;

	ASSERT_EQ(0, set_scene(&s, self->dev));
	EXPECT_EQ(0, while_pinned(&s, decommit_all));
	EXPECT_EQ(0, while_pinned(&s, resize_to_nothing));
	EXPECT_EQ(0, while_pinned(&s, clone_all));
	EXPECT_EQ(0, while_pinned(&s, transfer_away));
	EXPECT_EQ(0, while_pinned(&s, transfer_onto));
	clear_scene(&s);
}

/* ---- VMO_USAGE --------------------------------------------------------------- */

static void range_has(struct __test_metadata *_metadata, int fd, uint64_t offset,
		      uint64_t length, uint64_t pages)
{
	struct vmo_usage usage = usage_of(fd, offset, length);

	EXPECT_EQ(pages * PS, usage.committed_bytes)
		TH_LOG("%llx, %llx", (unsigned long long)offset, (unsigned long long)length);
	EXPECT_EQ(pages * PS, usage.private_bytes);
	EXPECT_EQ(pages * PS, usage.exclusive_bytes);
	EXPECT_EQ(pages * PS, usage.scaled_bytes);
	EXPECT_EQ(0, usage.shared_bytes);
	EXPECT_EQ(offset, usage.offset);
	EXPECT_EQ(length, usage.length);
}

TEST_F(vmo, a4_ranges)
{
	int fd = vmo_new(self->dev, 100 * PS - 100);
	const uint64_t all = 100 * PS, above = 1ULL << 63;

	EXPECT_EQ(0, write_pages(fd, 10, 20));
	EXPECT_EQ(100, pwrite(fd, (char [100]) { 1 }, 100, 99 * PS));	/* and the last */
	range_has(_metadata, fd, 0, all, 21);
	range_has(_metadata, fd, 0, 10 * PS, 0);
	/* Outwards. */
	range_has(_metadata, fd, 0, 10 * PS + 1, 1);
	range_has(_metadata, fd, 10 * PS, 1, 1);
	range_has(_metadata, fd, 11 * PS - 1, 1, 1);
	range_has(_metadata, fd, 11 * PS - 1, 2, 2);
	range_has(_metadata, fd, 10 * PS - 1, 20 * PS + 2, 20);
	range_has(_metadata, fd, 30 * PS - 1, PS, 1);
	range_has(_metadata, fd, 99 * PS + 1, 1, 1);
	/* The object goes to the end of the page, whatever the content size is. */
	range_has(_metadata, fd, all - 1, 1, 1);
	/* Nothing, and past the end. */
	range_has(_metadata, fd, 12 * PS, 0, 0);
	range_has(_metadata, fd, 12 * PS + 1, 0, 0);
	range_has(_metadata, fd, all, 0, 0);
	range_has(_metadata, fd, all, 1, 0);
	range_has(_metadata, fd, all - 1, PS, 1);
	range_has(_metadata, fd, 20 * PS, all, 11);
	/* Nothing wraps. */
	range_has(_metadata, fd, 0, -1ULL, 21);
	range_has(_metadata, fd, 0, above, 21);
	range_has(_metadata, fd, 11 * PS, -1ULL, 20);
	range_has(_metadata, fd, 11 * PS, -11 * PS, 20);
	range_has(_metadata, fd, 11 * PS, -10 * PS, 20);
	range_has(_metadata, fd, 11 * PS, -11 * PS - 1, 20);
	range_has(_metadata, fd, -PS, PS, 0);
	range_has(_metadata, fd, -PS, 100 * PS, 0);
	range_has(_metadata, fd, -1ULL, -1ULL, 0);
	range_has(_metadata, fd, -1ULL, 1, 0);
	range_has(_metadata, fd, above, above + all, 0);
	close(fd);
}

TEST_F(vmo, a4_no_pages_at_all)
{
	int fd = vmo_new(self->dev, 0), huge = vmo_new(self->dev, MAX_SIZE);

	range_has(_metadata, fd, 0, -1ULL, 0);
	range_has(_metadata, fd, 0, 0, 0);
	EXPECT_EQ(2, pwrite(huge, "xy", 2, MAX_SIZE / 2 / PS * PS - 1));
	EXPECT_EQ(1, pwrite(huge, "x", 1, MAX_SIZE - 1));
	range_has(_metadata, huge, 0, -1ULL, 3);
	range_has(_metadata, huge, MAX_SIZE - 1, -1ULL, 1);
	range_has(_metadata, huge, 1, MAX_SIZE - PS - 1, 2);
	close(fd);
	close(huge);
}

TEST_F(vmo, a4_flags_of_usage)
{
	int fd = vmo_filled(self->dev, 4, 0, 1), slice = vmo_slice(fd, 0, PS, 0);

	for (int bit = 0; bit < 32; bit++) {
		struct vmo_usage usage = { .length = PS, .flags = 1U << bit };

		EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_USAGE, &usage));
		EXPECT_ERRNO(EINVAL, ioctl(slice, VMO_USAGE, &usage));
		EXPECT_EQ(0, usage.committed_bytes);
		usage = (struct vmo_usage) { .length = PS, .reserved = 1U << bit };
		EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_USAGE, &usage));
	}
	close(slice);
	close(fd);
}

/* Parts of [0, @pages) make up the whole, wherever it is cut; metadata is no sum. */
static void parts_make_up(struct __test_metadata *_metadata, int fd, uint64_t pages,
			  uint64_t step)
{
	struct vmo_info info = info_of(fd);
	struct vmo_usage sum = { };
	uint64_t parts = 0;

	for (uint64_t i = 0; i < pages; i += step, parts++) {
		struct vmo_usage part = usage_of(fd, i * PS, step * PS);

		EXPECT_EQ(part.committed_bytes, part.private_bytes + part.shared_bytes);
		EXPECT_LE(part.private_bytes, part.exclusive_bytes);
		EXPECT_GE(part.committed_bytes, part.exclusive_bytes);
		sum.committed_bytes += part.committed_bytes;
		sum.private_bytes += part.private_bytes;
		sum.shared_bytes += part.shared_bytes;
		sum.exclusive_bytes += part.exclusive_bytes;
		sum.scaled_bytes += part.scaled_bytes;
	}
	EXPECT_EQ(info.committed_bytes, sum.committed_bytes);
	EXPECT_EQ(info.private_bytes, sum.private_bytes);
	EXPECT_EQ(info.shared_bytes, sum.shared_bytes);
	EXPECT_EQ(info.exclusive_bytes, sum.exclusive_bytes);
	EXPECT_GE(info.scaled_bytes, sum.scaled_bytes);
	EXPECT_LE(info.scaled_bytes, sum.scaled_bytes + parts);
}

TEST_F(vmo, a4_parts_make_up_the_whole)
{
	int fd[4];

	fd[0] = vmo_new_pages(self->dev, 200);
	EXPECT_EQ(0, write_pages(fd[0], 3, 150));
	fd[1] = vmo_snap(fd[0]);
	EXPECT_EQ(0, write_pages(fd[1], 60, 10));
	fd[2] = vmo_window(fd[1], 50 * PS, 200 * PS);
	EXPECT_EQ(0, write_pages(fd[2], 5, 10));
	EXPECT_EQ(0, write_pages(fd[2], 180, 10));
	EXPECT_EQ(0, write_pages(fd[0], 100, 20));
	fd[3] = vmo_window(fd[2], 1 * PS, 199 * PS);
	EXPECT_EQ(0, vmo_op(fd[0], VMO_OP_ZERO, 20 * PS, 5 * PS));
	for (int i = 0; i < 4; i++) {
		parts_make_up(_metadata, fd[i], 200, 1);
		parts_make_up(_metadata, fd[i], 200, 7);
		parts_make_up(_metadata, fd[i], 200, 64);
		parts_make_up(_metadata, fd[i], 200, 128);
	}
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

/* ---- VMO_STATS ----------------------------------------------------------------- */

TEST_F(vmo, a4_stats)
{
	const struct vmo_stats s = stats_of(self->dev);
	int fd = vmo_filled(self->dev, 5, 0, 1), slice, pin, clone;

	EXPECT_EQ(5 * PS, stats_of(self->dev).page_bytes - s.page_bytes);
	EXPECT_EQ(1, stats_of(self->dev).object_count - s.object_count);
	EXPECT_EQ(1, stats_of(self->dev).content_count - s.content_count);
	EXPECT_LT(0, stats_of(self->dev).node_count - s.node_count);
	slice = vmo_slice(fd, 0, PS, 0);
	EXPECT_EQ(2, stats_of(self->dev).object_count - s.object_count);
	EXPECT_EQ(1, stats_of(self->dev).content_count - s.content_count);
	pin = vmo_pin_flags(slice, 0, PS, VMO_PIN_READ);
	EXPECT_EQ(1, stats_of(self->dev).pin_count - s.pin_count);
	close(pin);
	EXPECT_EQ(0, stats_of(self->dev).pin_count - s.pin_count);
	clone = vmo_snap(fd);
	EXPECT_EQ(5 * PS, stats_of(self->dev).page_bytes - s.page_bytes);
	EXPECT_EQ(2, stats_of(self->dev).content_count - s.content_count);
	close(fd);
	EXPECT_EQ(2, stats_of(self->dev).object_count - s.object_count);
	EXPECT_EQ(2, stats_of(self->dev).content_count - s.content_count);
	close(slice);
	EXPECT_EQ(1, stats_of(self->dev).content_count - s.content_count);
	if (self->objects >= 0) {
		EXPECT_EQ(vmo_counter("pages"), stats_of(self->dev).page_bytes / PS);
		EXPECT_EQ(vmo_counter("nodes"), stats_of(self->dev).node_count);
		EXPECT_EQ(vmo_counter("objects"), stats_of(self->dev).object_count);
		EXPECT_EQ(vmo_counter("contents"), stats_of(self->dev).content_count);
		EXPECT_EQ(vmo_counter("usage_queries"), stats_of(self->dev).usage_queries);
		EXPECT_EQ(vmo_counter("usage_hits"), stats_of(self->dev).usage_hits);
		EXPECT_EQ(vmo_counter("usage_misses"), stats_of(self->dev).usage_misses);
	}
	close(clone);
	EXPECT_EQ(0, held_becomes(self->dev, s.page_bytes, 0));
	EXPECT_EQ(s.node_count, stats_of(self->dev).node_count);
}

TEST_F(vmo, a4_stats_on_any_descriptor_of_the_device)
{
	const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int fd = vmo_filled(self->dev, 3, 0, 1);
	struct vmo_stats want = stats_of(self->dev);

	for (int i = 0; i < 3; i++) {
		int dev = open("/dev/vmo", modes[i] | O_CLOEXEC);
		struct vmo_stats stats;

		ASSERT_LE(0, dev);
		memset(&stats, 0x55, sizeof(stats));
		EXPECT_EQ(0, ioctl(dev, VMO_STATS, &stats));
		EXPECT_EQ(0, memcmp(&want, &stats, sizeof(stats)));
		close(dev);
	}
	EXPECT_ERRNO(ENOTTY, ioctl(fd, VMO_STATS, &want));
	close(fd);
}

/* ---- older and newer callers ----------------------------------------------------- */

static int ask_sized(int fd, void *buf, size_t size)
{
	return ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, _IOC_NR(VMO_INFO), size), buf);
}

TEST_F(vmo, a7_a5_info_of_every_size)
{
	const size_t first = offsetof(struct vmo_info, pinned_bytes);
	int fd = vmo_filled(self->dev, 6, 0, 1), clone = vmo_snap(fd);
	struct vmo_info info = info_of(fd);
	char buf[sizeof(info) + 16];

	EXPECT_LT(0, info.generation);
	EXPECT_EQ(6 * PS, info.exclusive_bytes);
	EXPECT_EQ(0, info.change_events);
	EXPECT_ERRNO(EINVAL, ask_sized(fd, buf, first - 1));
	for (size_t size = first; size <= sizeof(info) + 8; size++) {
		size_t known = size < sizeof(info) ? size : sizeof(info);

		memset(buf, 0, size);
		memset(buf + size, 0x5a, sizeof(buf) - size);
		EXPECT_EQ(0, ask_sized(fd, buf, size)) TH_LOG("%zu bytes", size);
		EXPECT_EQ(0, memcmp(&info, buf, known)) TH_LOG("%zu bytes", size);
		for (size_t i = known; i < sizeof(buf); i++)
			ASSERT_EQ(i < size ? 0 : 0x5a, buf[i]);
		/* What is in it before does not matter, where it is known. */
		memset(buf, 0x77, sizeof(buf));
		if (size > sizeof(info))
			EXPECT_ERRNO(E2BIG, ask_sized(fd, buf, size));
		else
			EXPECT_EQ(0, ask_sized(fd, buf, size)) TH_LOG("%zu bytes", size);
		EXPECT_EQ(0x77, buf[size]);
		if (size > sizeof(info))
			EXPECT_EQ(0x77, buf[0]);
	}
	close(clone);
	close(fd);
}

/* ---- a big family ------------------------------------------------------------------ */

#define CLONES		300
#define BIG		256	/* pages: 1 MiB */

TEST_F(vmo, a1_a2_a_big_family)
{
	static int fd[CLONES + 1];
	uint64_t base = stats_of(self->dev).page_bytes;
	double start;

	fd[0] = vmo_filled(self->dev, BIG, 0, 1);
	for (int i = 1; i <= CLONES; i++) {
		fd[i] = vmo_snap(fd[0]);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, write_page(fd[i], i % BIG, 1000 + i));
	}
	start = seconds();
	EXPECT_EQ(1, exclusive_pages(fd[CLONES]));
	EXPECT_GT(10, seconds() - start);
	start = seconds();
	for (int i = 1; i <= CLONES; i++) {
		struct vmo_info info = info_of(fd[i]);

		ASSERT_EQ(BIG * PS, info.committed_bytes);
		ASSERT_EQ(PS, info.private_bytes);
		ASSERT_EQ(PS, info.exclusive_bytes);
	}
	TH_LOG("asking all took %.3f s", seconds() - start);
	EXPECT_EQ(BIG, exclusive_pages(fd[0]));
	EXPECT_EQ(0, private_pages(fd[0]));
	family_holds(_metadata, self->dev, base, fd, CLONES + 1, BIG + CLONES);
	/* The eldest dies: all is the next one's. */
	close(fd[0]);
	EXPECT_EQ(BIG, exclusive_pages(fd[1]));
	/* But for what that one has written itself: the next one has the old page. */
	EXPECT_EQ(2, exclusive_pages(fd[2]));
	EXPECT_EQ(1, exclusive_pages(fd[CLONES]));
	family_holds(_metadata, self->dev, base, fd + 1, CLONES, BIG + CLONES);
	for (int i = 1; i <= CLONES; i++)
		close(fd[i]);
}

/* In trees, with deaths in between. */
TEST_F(vmo, a1_a2_a_big_family_of_generations)
{
	static int fd[CLONES + 1];
	uint64_t base = stats_of(self->dev).page_bytes, held;

	fd[0] = vmo_filled(self->dev, BIG, 0, 1);
	for (int i = 1; i <= CLONES; i++) {
		fd[i] = vmo_snap(fd[i % 3 ? 0 : i / 2]);
		ASSERT_EQ(0, write_page(fd[i], i * 7 % BIG, 1000 + i));
	}
	held = (stats_of(self->dev).page_bytes - base) / PS;
	EXPECT_LE(BIG + CLONES, held);
	family_holds(_metadata, self->dev, base, fd, CLONES + 1, held);
	for (int i = 0; i <= CLONES; i += 5)
		close_it(&fd[i]);
	held = sums_of(fd, CLONES + 1).exclusive;
	family_holds(_metadata, self->dev, base, fd, CLONES + 1, held);
	for (int i = 1; i <= CLONES; i++)
		close(fd[i]);
}

/* ---- while others are at it ---------------------------------------------------------- */

#define BUSY_PAGES	96

struct busy {
	int fd[3];		/* these stay */
	int eldest;		/* whose clone the first is; dies on the way */
	uint64_t stop;
	uint64_t asked;		/* each object: all of it twice, and a part */
	uint64_t failures;
	uint64_t wrong;
	struct vmo_info example;	/* of what is wrong */
	uint64_t rounds;
};

struct worker {
	pthread_t thread;
	struct busy *busy;
	int nr;
};

static int work_round(struct busy *b, uint64_t seed, char *p)
{
	int fd = b->fd[seed % 3], clone = -1, ret = 0;
	size_t i = (seed >> 8) % BUSY_PAGES;

	switch ((seed >> 32) % 6) {
	case 0:
		clone = vmo_window(fd, i / 2 * PS, BUSY_PAGES * PS);
		ret = clone < 0 || write_page(clone, i, seed) || close(clone);
		break;
	case 1:
		ret = vmo_op(fd, VMO_OP_ZERO, i * PS, (BUSY_PAGES - i) / 4 * PS);
		break;
	case 2:
		p[i * PS] = 1;
		break;
	case 3:
		ret = vmo_op(fd, VMO_OP_COMMIT, i * PS, 1);
		break;
	default:
		ret = write_page(fd, i, seed);
	}
	return ret;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t seed = w->nr;
	char *p = vmo_map(w->busy->fd[w->nr], BUSY_PAGES, RW);

	pin_to_cpu(w->nr);
	while (p && !load(&w->busy->stop)) {
		seed = mix(seed + 1);
		if (work_round(w->busy, seed, p))
			__atomic_add_fetch(&w->busy->failures, 1, __ATOMIC_RELAXED);
		if (__atomic_add_fetch(&w->busy->rounds, 1, __ATOMIC_RELAXED) == 50)
			close_it(&w->busy->eldest);
	}
	if (p)
		munmap(p, BUSY_PAGES * PS);
	return NULL;
}

/* "Counts of one object are from one instant." */
static bool consistent(const struct vmo_info *info)
{
	return info->committed_bytes == info->private_bytes + info->shared_bytes &&
	       info->private_bytes <= info->exclusive_bytes &&
	       info->exclusive_bytes <= info->committed_bytes &&
	       info->private_bytes <= info->scaled_bytes &&
	       info->scaled_bytes <= info->committed_bytes &&
	       info->committed_bytes <= info->size;
}

static void ask_round(struct busy *b, uint64_t *generations)
{
	for (int i = 0; i < 3; i++) {
		struct vmo_usage usage = { .offset = i * 7 * PS, .length = 40 * PS };
		struct vmo_info info;
		bool bad = ioctl(b->fd[i], VMO_INFO, &info) || ioctl(b->fd[i], VMO_USAGE, &usage) ||
			   blocks_of(b->fd[i]) > BUSY_PAGES * PS / 512 ||
			   info.generation < generations[i];

		b->asked++;
		__atomic_add_fetch(&b->failures, bad, __ATOMIC_RELAXED);
		if (!consistent(&info)) {
			b->wrong++;
			b->example = info;
		}
		generations[i] = info.generation;
	}
}

/* Two write, clone and close for a while, on two CPUs, and we ask. */
static void be_busy(struct __test_metadata *_metadata, struct busy *b)
{
	uint64_t generations[3] = { };
	struct worker w[2];

	b->stop = 0;
	for (int i = 0; i < 2; i++) {
		w[i] = (struct worker) { .busy = b, .nr = i };
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, work, &w[i]));
	}
	/* On a slow kernel longer, that the eldest dies, but not for ever. */
	for (double start = seconds(), now = start; now < start + 60; now = seconds()) {
		if (now > start + 0.4 && load(&b->rounds) > 60 && b->asked > 12)
			break;
		ask_round(b, generations);
	}
	store(&b->stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
}

static void open_busy(struct busy *b, int dev)
{
	memset(b, 0, sizeof(*b));
	b->eldest = vmo_filled(dev, BUSY_PAGES, 0, 1);
	for (int i = 0; i < 3; i++)
		b->fd[i] = vmo_snap(i ? b->fd[i - 1] : b->eldest);
}

static void close_busy(struct busy *b)
{
	close(b->eldest);
	for (int i = 0; i < 3; i++)
		close(b->fd[i]);
}

/* As soon as nobody changes anything, what is remembered is what is there. */
TEST_F(vmo, a4_while_two_write_clone_and_close)
{
	double end = seconds() + 10;

	for (int round = 0; more_rounds(round, 3, 20, end); round++) {
		struct vmo_stats s = stats_of(self->dev), now;
		uint64_t hits;
		struct busy b;

		open_busy(&b, self->dev);
		be_busy(_metadata, &b);
		EXPECT_EQ(0, b.failures);
		EXPECT_LE(50, b.rounds);
		EXPECT_LT(10, b.asked);
		now = stats_of(self->dev);
		hits = now.usage_hits - s.usage_hits;
		asked(_metadata, self->dev, &s, 3 * b.asked + 3, hits, 2 * b.asked + 3 - hits);
		for (int i = 0; i < 3; i++) {
			parts_make_up(_metadata, b.fd[i], BUSY_PAGES, 1);
			parts_make_up(_metadata, b.fd[i], BUSY_PAGES, 50);
		}
		family_holds(_metadata, self->dev, s.page_bytes, b.fd, 3,
			     sums_of(b.fd, 3).exclusive);
		close_busy(&b);
	}
}

TEST_F(vmo, a4_counts_are_from_one_instant)
{
	double end = seconds() + 5;

	for (int round = 0; more_rounds(round, 3, 12, end); round++) {
		struct busy b;

		open_busy(&b, self->dev);
		be_busy(_metadata, &b);
		EXPECT_EQ(0, b.wrong)
			TH_LOG("committed %llu, private %llu, exclusive %llu, scaled %llu pages",
			       b.example.committed_bytes / PS, b.example.private_bytes / PS,
			       b.example.exclusive_bytes / PS, b.example.scaled_bytes / PS);
		close_busy(&b);
	}
}

TEST_HARNESS_MAIN
