// SPDX-License-Identifier: GPL-2.0
/*
 * What objects are said to hold, to whom pages are charged, and when what was counted
 * once may be told again.
 */
#define VMO_FIXTURE
#include "kselftest_harness.h"
#include "vmo_test_util.h"

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

static uint64_t exclusive(int fd)
{
	return info_of(fd).exclusive_bytes / PS;
}

static uint64_t generation(int fd)
{
	return info_of(fd).generation;
}

static int transfer(int to, uint64_t to_page, int from, uint64_t from_page, uint64_t pages)
{
	struct vmo_transfer arg = {
		.offset = to_page * PS, .length = pages * PS, .src_offset = from_page * PS,
		.src_fd = from,
	};

	return ioctl(to, VMO_TRANSFER, &arg);
}

/* ---- A1 ------------------------------------------------------------------ */

TEST_F(vmo, a1_the_oldest_is_charged)
{
	int root = vmo_filled(self->dev, 10, 0, 100), a, b, c;

	ASSERT_LE(0, root);
	EXPECT_EQ(10, exclusive(root));
	a = vmo_snap(root);
	b = vmo_snap(a);
	ASSERT_LE(0, b);
	EXPECT_EQ(10, exclusive(root));
	EXPECT_EQ(0, exclusive(a));
	EXPECT_EQ(0, exclusive(b));
	/* What one side writes it pays for. */
	EXPECT_EQ(0, write_page(b, 3, 7));
	EXPECT_EQ(1, exclusive(b));
	EXPECT_EQ(10, exclusive(root));
	/* What the oldest gives up goes to the next. */
	EXPECT_EQ(0, write_page(root, 5, 8));
	EXPECT_EQ(10, exclusive(root));
	EXPECT_EQ(1, exclusive(a));
	EXPECT_EQ(0, vmo_op(root, VMO_OP_ZERO, 0, 4 * PS));
	EXPECT_EQ(6, exclusive(root));
	EXPECT_EQ(5, exclusive(a));
	EXPECT_EQ(1, exclusive(b));
	close(root);
	EXPECT_EQ(10, exclusive(a));
	EXPECT_EQ(1, exclusive(b));
	c = vmo_window(a, 2 * PS, 3 * PS);
	EXPECT_EQ(0, exclusive(c));
	close(a);
	EXPECT_EQ(10, exclusive(b));
	EXPECT_EQ(1, exclusive(c));	/* page 3, which b has another one of */
	close(b);
	EXPECT_EQ(3, exclusive(c));
	close(c);
}

TEST_F(vmo, a1_l5_f5_slices_and_references_are_charged_nothing)
{
	int root = vmo_filled(self->dev, 6, 0, 100);
	int slice = vmo_slice(root, PS, 3 * PS, 0), ref = vmo_reference(root, 0);
	struct vmo_usage usage;

	ASSERT_LE(0, ref);
	EXPECT_EQ(6, exclusive(root));
	EXPECT_EQ(0, exclusive(slice));
	EXPECT_EQ(0, exclusive(ref));
	usage = usage_of(ref, 0, 6 * PS);
	EXPECT_EQ(0, usage.committed_bytes | usage.exclusive_bytes | usage.metadata_bytes);
	close(root);
	EXPECT_EQ(0, exclusive(slice));
	EXPECT_EQ(0, exclusive(ref));
	close(slice);
	EXPECT_EQ(0, info_of(ref).committed_bytes);
	close(ref);
}

/* Many clones, each with a page of its own: all pages are charged once. */
TEST_F_TIMEOUT(vmo, a1_a2_sums_over_a_big_family, 120)
{
	enum { CLONES = 300, PAGES = 256 };
	uint64_t before = stats_of(self->dev).page_bytes, scaled = 0, sum = 0, held;
	int fd[CLONES + 1];

	fd[0] = vmo_filled(self->dev, PAGES, 0, 100);
	ASSERT_LE(0, fd[0]);
	for (int i = 1; i <= CLONES; i++) {
		fd[i] = vmo_snap(fd[i % 3 ? 0 : i / 2]);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, write_page(fd[i], i * 7 % PAGES, i));
	}
	for (int round = 0; round < 2; round++) {
		held = stats_of(self->dev).page_bytes - before;
		for (int i = scaled = sum = 0; i <= CLONES; i++) {
			struct vmo_info info;

			if (fd[i] < 0)
				continue;
			info = info_of(fd[i]);
			EXPECT_EQ(info.committed_bytes, info.private_bytes + info.shared_bytes);
			EXPECT_LE(info.private_bytes, info.exclusive_bytes);
			sum += info.exclusive_bytes;
			scaled += info.scaled_bytes;
		}
		EXPECT_EQ(held, sum);
		EXPECT_GE(held, scaled);
		EXPECT_LE(held, scaled + (CLONES + 1) * PS / 16);
		/* The other time without the oldest, and some between. */
		for (int i = 0; i <= CLONES; i += 5) {
			close(fd[i]);
			fd[i] = -1;
		}
	}
	for (int i = 0; i <= CLONES; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

TEST_F(vmo, a1_a2_after_transfers_and_copies_of_pinned_pages)
{
	int a = vmo_filled(self->dev, 8, 0, 100), b = vmo_new_pages(self->dev, 8), c, pin;

	ASSERT_LE(0, b);
	pin = vmo_pin_flags(a, 0, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	c = vmo_clone_flags(a, 8 * PS, VMO_CLONE_COPY_PINNED);
	ASSERT_LE(0, c);
	EXPECT_EQ(8, exclusive(a));
	EXPECT_EQ(1, exclusive(c));
	EXPECT_EQ(1, info_of(a).private_bytes / PS);
	close(pin);
	/* What is shared goes as a copy, and stays with the clone. */
	EXPECT_EQ(0, transfer(b, 0, a, 2, 4));
	EXPECT_EQ(4, exclusive(a));
	EXPECT_EQ(4, exclusive(b));
	EXPECT_EQ(4, info_of(b).private_bytes / PS);
	EXPECT_EQ(5, exclusive(c));
	EXPECT_EQ(5, info_of(c).private_bytes / PS);
	close(a);
	EXPECT_EQ(8, exclusive(c));
	close(c);
	close(b);
}

/* ---- A4 ------------------------------------------------------------------ */

static void expect_misses(struct __test_metadata *_metadata, int dev, int fd, unsigned int misses,
			  const char *after)
{
	struct vmo_stats before = stats_of(dev), now;

	info_of(fd);
	now = stats_of(dev);
	EXPECT_EQ(1, now.usage_queries - before.usage_queries) TH_LOG("after %s", after);
	EXPECT_EQ(misses, now.usage_misses - before.usage_misses) TH_LOG("after %s", after);
	EXPECT_EQ(1 - misses, now.usage_hits - before.usage_hits) TH_LOG("after %s", after);
}

#define MISS(_fd, _after)	expect_misses(_metadata, self->dev, _fd, 1, _after)
#define HIT(_fd, _after)	expect_misses(_metadata, self->dev, _fd, 0, _after)

TEST_F(vmo, a4_what_is_known_is_told_again)
{
	int a = vmo_filled(self->dev, 8, 0, 100), b;
	struct vmo_stats before, now;
	struct stat st;

	ASSERT_LE(0, a);
	MISS(a, "the start");
	HIT(a, "nothing");
	EXPECT_EQ(-1, wrong_page_fd(a, 0, 8, 100));
	HIT(a, "reading");
	EXPECT_EQ(0, write_page(a, 0, 9));
	HIT(a, "a write to its own page");
	b = vmo_snap(a);
	MISS(a, "a clone");
	MISS(b, "a clone");
	HIT(a, "nothing");
	HIT(b, "nothing");
	/* What one does the other is told. */
	EXPECT_EQ(0, write_page(b, 1, 9));
	MISS(a, "a write to the clone");
	EXPECT_EQ(PS, info_of(a).private_bytes);
	MISS(b, "a write to the clone");
	close(b);
	MISS(a, "the end of the clone");
	EXPECT_EQ(8 * PS, info_of(a).private_bytes);
	/* fstat() asks for less, and is told from the same. */
	before = stats_of(self->dev);
	EXPECT_EQ(0, fstat(a, &st));
	EXPECT_EQ(8 * PS / 512, st.st_blocks);
	now = stats_of(self->dev);
	EXPECT_EQ(1, now.usage_hits - before.usage_hits);
	/* A part is counted anew. */
	usage_of(a, PS, PS);
	before = now;
	now = stats_of(self->dev);
	EXPECT_EQ(1, now.usage_queries - before.usage_queries);
	EXPECT_EQ(0, now.usage_hits - before.usage_hits);
	EXPECT_EQ(0, now.usage_misses - before.usage_misses);
	close(a);
}

TEST_F(vmo, a4_ranges)
{
	int fd = vmo_new_pages(self->dev, 100), clone;
	struct vmo_usage usage, bad = { .length = PS };

	ASSERT_LE(0, fd);
	for (int i = 10; i < 20; i++)
		EXPECT_EQ(0, write_page(fd, i, 5));
	EXPECT_EQ(10 * PS, usage_of(fd, 0, 100 * PS).committed_bytes);
	EXPECT_EQ(10 * PS, usage_of(fd, 0, -1ULL).committed_bytes);
	EXPECT_EQ(3 * PS, usage_of(fd, 12 * PS, 3 * PS).committed_bytes);
	/* Bytes count with the pages that they are in. */
	EXPECT_EQ(2 * PS, usage_of(fd, 12 * PS + PS / 2, PS).committed_bytes);
	EXPECT_EQ(PS, usage_of(fd, 12 * PS + 5, 1).committed_bytes);
	EXPECT_EQ(0, usage_of(fd, 12 * PS, 0).committed_bytes);
	EXPECT_EQ(0, usage_of(fd, 100 * PS, PS).committed_bytes);
	EXPECT_EQ(0, usage_of(fd, -1ULL, -1ULL).committed_bytes);
	EXPECT_EQ(5 * PS, usage_of(fd, 15 * PS, -1ULL).committed_bytes);
	clone = vmo_snap(fd);
	EXPECT_EQ(0, write_page(clone, 15, 6));
	usage = usage_of(fd, 14 * PS, 3 * PS);
	EXPECT_EQ(3 * PS, usage.committed_bytes);
	EXPECT_EQ(PS, usage.private_bytes);
	EXPECT_EQ(2 * PS, usage.shared_bytes);
	EXPECT_EQ(2 * PS, usage.scaled_bytes);
	EXPECT_EQ(3 * PS, usage.exclusive_bytes);
	EXPECT_NE(0, usage.metadata_bytes);
	EXPECT_EQ(PS, usage_of(clone, 14 * PS, 3 * PS).exclusive_bytes);
	bad.flags = 1;
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_USAGE, &bad));
	bad.flags = 0;
	bad.reserved = 1;
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_USAGE, &bad));
	close(clone);
	close(fd);
}

/* ---- A5 ------------------------------------------------------------------ */

struct event {
	const char *name;
	void (*run)(int fd, int dev);
	bool change;
};

static void write_hole(int fd, int dev)
{
	write_page(fd, 20, 1);
}

static void fault_hole(int fd, int dev)
{
	char *p = vmo_map(fd, 32, RW);

	p[21 * PS] = 1;
	munmap(p, 32 * PS);
}

static void read_hole(int fd, int dev)
{
	char *p = vmo_map(fd, 32, RW);

	touch(p + 25 * PS, false);
	touch(p, false);
	munmap(p, 32 * PS);
}

static void commit_hole(int fd, int dev)
{
	vmo_op(fd, VMO_OP_COMMIT, 22 * PS, PS);
}

static void commit_again(int fd, int dev)
{
	vmo_op(fd, VMO_OP_COMMIT, 0, 2 * PS);
}

static void write_again(int fd, int dev)
{
	write_page(fd, 0, 3);
}

static void decommit(int fd, int dev)
{
	vmo_op(fd, VMO_OP_DECOMMIT, PS, PS);
}

static void zero_hole(int fd, int dev)
{
	vmo_op(fd, VMO_OP_ZERO, 28 * PS, PS);
}

static void zero_part(int fd, int dev)
{
	vmo_op(fd, VMO_OP_ZERO, 28 * PS + 1, 5);
}

static void grow(int fd, int dev)
{
	vmo_set_size(fd, 40 * PS);
}

static void shrink(int fd, int dev)
{
	vmo_set_size(fd, 32 * PS);
}

static void clone_and_close(int fd, int dev)
{
	close(vmo_snap(fd));
}

static void reference_and_close(int fd, int dev)
{
	close(vmo_reference(fd, 0));
}

static void take(int fd, int dev)
{
	int other = vmo_new_pages(dev, 1);

	transfer(other, 0, fd, 0, 1);
	close(other);
}

static void give(int fd, int dev)
{
	int other = vmo_filled(dev, 1, 0, 1);

	transfer(fd, 0, other, 0, 1);
	close(other);
}

static void ask(int fd, int dev)
{
	struct vmo_page_run run;
	struct vmo_pages pages = { .length = PS, .runs = (uintptr_t)&run, .count = 1 };
	struct stat st;

	usage_of(fd, 0, -1ULL);
	stats_of(dev);
	ioctl(fd, VMO_PAGES, &pages);
	fstat(fd, &st);
	wrong_page_fd(fd, 0, 3, 1);
}

static void be_refused(int fd, int dev)
{
	vmo_op(fd, VMO_OP_DECOMMIT, 1, 1);
	vmo_op(fd, VMO_OP_ZERO, -PS, PS);
	vmo_slice(fd, 0, PS, 0);	/* it is resizable */
	vmo_window(fd, 1, PS);
}

static void name_it(int fd, int dev)
{
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "a name" };

	ioctl(fd, VMO_NAME, &name);
}

TEST_F(vmo, a5_what_raises_the_generation)
{
	static const struct event events[] = {
		{ "a write to a hole", write_hole, true },
		{ "a store to a hole", fault_hole, true },
		{ "reading holes and pages", read_hole, false },
		{ "committing a hole", commit_hole, true },
		{ "committing pages", commit_again, false },
		{ "writing to its own page", write_again, false },
		{ "decommitting", decommit, true },
		{ "zeroing a hole", zero_hole, true },
		{ "zeroing a part of a hole", zero_part, true },
		{ "growing", grow, true },
		{ "shrinking", shrink, true },
		{ "a clone", clone_and_close, true },
		{ "a reference", reference_and_close, false },
		{ "giving pages away", take, true },
		{ "getting pages", give, true },
		{ "asking", ask, false },
		{ "a refused call", be_refused, false },
		{ "a name", name_it, false },
	};
	int fd = vmo_new_flags(self->dev, 32 * PS, VMO_CREATE_RESIZABLE);
	uint64_t before, now;

	ASSERT_LE(0, fd);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, write_page(fd, i, 1));
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		before = generation(fd);
		EXPECT_EQ(before, generation(fd));
		events[i].run(fd, self->dev);
		now = generation(fd);
		EXPECT_LE(before, now);
		EXPECT_EQ(events[i].change, now > before) TH_LOG("%s", events[i].name);
	}
	close(fd);
}

/* Of slices, which only objects of fixed size have; and of what the family notices. */
TEST_F(vmo, a5_slices_and_relatives)
{
	int fd = vmo_filled(self->dev, 4, 0, 100), slice, clone;
	uint64_t before = generation(fd);

	slice = vmo_slice(fd, 0, PS, 0);
	ASSERT_LE(0, slice);
	EXPECT_LT(before, generation(fd));
	EXPECT_EQ(generation(fd), generation(slice));
	before = generation(fd);
	EXPECT_EQ(0, write_page(slice, 0, 5));
	EXPECT_EQ(before, generation(fd));
	close(slice);
	EXPECT_LT(before, generation(fd));
	clone = vmo_snap(fd);
	before = generation(fd);
	EXPECT_EQ(0, write_page(clone, 0, 6));
	EXPECT_LT(before, generation(fd));	/* its page is its own again */
	before = generation(fd);
	close(clone);
	EXPECT_LT(before, generation(fd));
	close(fd);
}

/* ---- structures, and much at once ------------------------------------------ */

TEST_F(vmo, a7_shorter_structures)
{
	int fd = vmo_filled(self->dev, 3, 0, 100);
	const size_t first = offsetof(struct vmo_info, pinned_bytes);
	struct vmo_info all = info_of(fd);
	struct {
		struct vmo_info info;
		uint64_t more;
	} arg;

	ASSERT_LE(0, fd);
	for (size_t size = first; size <= sizeof(arg.info); size += 4) {
		memset(&arg, 0x55, sizeof(arg));
		EXPECT_EQ(0, ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x12, size), &arg));
		EXPECT_EQ(0, memcmp(&all, &arg, size));
		for (size_t i = size; i < sizeof(arg); i++)
			EXPECT_EQ(0x55, ((unsigned char *)&arg)[i]);
	}
	memset(&arg, 0, sizeof(arg));
	EXPECT_EQ(0, ioctl(fd, _IOWR(VMO_IOC, 0x12, arg), &arg));
	arg.more = 1;
	EXPECT_ERRNO(E2BIG, ioctl(fd, _IOWR(VMO_IOC, 0x12, arg), &arg));
	close(fd);
}

TEST_F(vmo, a4_statistics)
{
	struct vmo_stats stats = stats_of(self->dev), more;
	int dev = open("/dev/vmo", O_RDONLY | O_CLOEXEC);
	int fd = vmo_filled(self->dev, 5, 0, 100), pin;

	ASSERT_LE(0, fd);
	pin = vmo_pin_flags(fd, 0, PS, VMO_PIN_READ);
	more = stats_of(dev);
	EXPECT_EQ(5 * PS, more.page_bytes - stats.page_bytes);
	EXPECT_EQ(1, more.object_count - stats.object_count);
	EXPECT_EQ(1, more.content_count - stats.content_count);
	EXPECT_EQ(1, more.pin_count - stats.pin_count);
	EXPECT_LT(stats.node_count, more.node_count);
	EXPECT_EQ(vmo_counter("usage_queries"), (long)more.usage_queries);
	EXPECT_EQ(vmo_counter("usage_hits"), (long)more.usage_hits);
	EXPECT_EQ(vmo_counter("usage_misses"), (long)more.usage_misses);
	EXPECT_ERRNO(ENOTTY, ioctl(fd, VMO_STATS, &more));
	close(pin);
	close(fd);
	close(dev);
}

struct busy {
	int fd;
	uint64_t stop;
	uint64_t rounds;
};

/* Writes, clones, writes to the clone, closes; twice the same pages are there at the end. */
static void *be_busy(void *arg)
{
	struct busy *b = arg;

	pin_to_cpu(1);
	for (unsigned int i = 0; !load(&b->stop); i++) {
		int clone = vmo_snap(b->fd);

		write_page(b->fd, i % 64, i + 1);
		write_page(clone, i * 5 % 64, i + 1);
		vmo_op(b->fd, VMO_OP_ZERO, (i + 3) % 64 * PS, PS);
		close(clone);
		store(&b->rounds, i + 1);
	}
	return NULL;
}

TEST_F_TIMEOUT(vmo, a4_a5_asked_while_others_are_busy, 120)
{
	struct busy b = { .fd = vmo_new_pages(self->dev, 64) };
	uint64_t last = 0, parts = 0;
	double end = seconds() + 1;
	struct vmo_info info;
	pthread_t thread;

	ASSERT_LE(0, b.fd);
	pin_to_cpu(0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, be_busy, &b));
	while (seconds() < end || load(&b.rounds) < 20) {
		info = info_of(b.fd);
		EXPECT_EQ(info.committed_bytes, info.private_bytes + info.shared_bytes);
		EXPECT_LE(last, info.generation);
		last = info.generation;
	}
	store(&b.stop, 1);
	pthread_join(thread, NULL);
	info = info_of(b.fd);
	for (int i = 0; i < 64; i++)
		parts += usage_of(b.fd, i * PS, PS).committed_bytes;
	EXPECT_EQ(parts, info.committed_bytes);
	EXPECT_EQ(parts, info.private_bytes);
	EXPECT_EQ(parts, info.exclusive_bytes);
	EXPECT_EQ(parts, info.scaled_bytes);
	close(b.fd);
}

TEST_HARNESS_MAIN
