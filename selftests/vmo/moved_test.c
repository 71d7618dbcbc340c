// SPDX-License-Identifier: GPL-2.0
/*
 * VMO_TRANSFER, again: what moving costs, and those who have the pages meanwhile:
 * mappings, pipes, other threads; and X3, what is left of a transfer that was killed.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "transfer_util.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* ---- what it costs ----------------------------------------------------- */

/* The addresses of up to @max pages of @fd. Returns way many. */
static size_t addresses(int fd, uint64_t *address, size_t max)
{
	struct vmo_lookup_entry *entry = calloc(max, sizeof(*entry));
	struct vmo_lookup arg = {
		.length = info_of(fd).size, .entries = (uintptr_t)entry, .count = max,
	};
	size_t n = 0;

	while (arg.length && n < max && !ioctl(fd, VMO_LOOKUP, &arg)) {
		for (size_t i = 0; i < arg.count; i++)
			address[n + i] = entry[i].address;
		n += arg.count;
		arg.count = max - n;
	}
	free(entry);
	return n;
}

/* Pages that nobody else has move: these very pages, and none is made. */
static void try_moving(struct __test_metadata *_metadata, int dev, size_t pages, size_t at,
		       size_t src_at)
{
	int to = vmo_new_pages(dev, at + pages), from = vmo_new_pages(dev, src_at + pages);
	uint64_t *was = calloc(pages, 8), *is = calloc(pages, 8);
	char *p = vmo_map(from, src_at + pages, RW), *q;
	long held;

	ASSERT_NE(NULL, p);
	put_tags(p, src_at, pages, 7000);
	held = vmo_counter("pages");
	ASSERT_EQ(pages, addresses(from, was, pages));
	ASSERT_EQ(0, transfer(to, at, from, src_at, pages))
		TH_LOG("%zu pages from %zu to %zu: %s", pages, src_at, at, strerror(errno));
	EXPECT_EQ(held, vmo_counter("pages")) TH_LOG("%zu from %zu to %zu", pages, src_at, at);
	EXPECT_EQ(pages, addresses(to, is, pages));
	EXPECT_EQ(0, memcmp(was, is, pages * 8)) TH_LOG("%zu from %zu to %zu", pages, src_at, at);
	EXPECT_EQ(0, info_of(from).committed_bytes);
	EXPECT_EQ(pages * PS, info_of(to).private_bytes);
	q = vmo_map(to, at + pages, RW);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(-1, wrong_tag(q, at, pages, 7000 + src_at - at));
	EXPECT_EQ(-1, wrong_tag(p, src_at, pages, 0));
	/* They are the target's own: writing them makes none either. */
	put_tags(q, at, pages, 9000);
	EXPECT_EQ(held, vmo_counter("pages"));
	munmap(p, (src_at + pages) * PS);
	munmap(q, (at + pages) * PS);
	free(was);
	free(is);
	close(to);
	close(from);
}

TEST_F_TIMEOUT(vmo, x2_what_is_ours_moves_without_a_copy, 300)
{
	const size_t counts[] = {
		1, 2, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF, PIECE, PIECE + 1, 1500,
	};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		try_moving(_metadata, self->dev, counts[i], 0, 0);
		try_moving(_metadata, self->dev, counts[i], 2 * LEAF, 0);
		try_moving(_metadata, self->dev, counts[i], 0, LEAF);
		try_moving(_metadata, self->dev, counts[i], 1, 0);
		try_moving(_metadata, self->dev, counts[i], 7, LEAF + 5);
	}
}

TEST_F_TIMEOUT(vmo, x2_sixty_four_megabytes, 300)
{
	try_moving(_metadata, self->dev, (64UL << 20) / PS, 0, 0);
	try_moving(_metadata, self->dev, (64UL << 20) / PS, 3, LEAF);
}

/* What a clone shares is copied, once; and what the target had is freed. */
TEST_F(vmo, x2_what_is_shared_is_copied)
{
	const size_t n = 100;
	int to = filled(self->dev, n, 0, n, 100), from = filled(self->dev, n, 0, n, 500);
	int child = vmo_window(from, 0, 40 * PS);

	ASSERT_LE(0, child);
	EXPECT_EQ(self->pages + 2 * (long)n, vmo_counter("pages"));
	ASSERT_EQ(0, transfer(to, 0, from, 0, n));
	/* All of the source's pages, less nothing, and 40 copies. */
	EXPECT_EQ(self->pages + (long)n + 40, vmo_counter("pages"));
	EXPECT_EQ(-1, wrong_page_fd(to, 0, n, 500));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 40, 500));
	EXPECT_EQ(40 * PS, info_of(child).private_bytes);
	EXPECT_EQ(n * PS, info_of(to).private_bytes);
	close(child);
	EXPECT_EQ(self->pages + (long)n, vmo_counter_becomes("pages", self->pages + n));
	close(to);
	close(from);
}

/* Ranges without end, of which little is there. */
TEST_F_TIMEOUT(vmo, x2_m5_endless_sparse_objects, 60)
{
	int to = vmo_new(self->dev, MAX_SIZE), from = vmo_new(self->dev, MAX_SIZE);
	const uint64_t far[] = { 0, 1ULL << 30, (1ULL << 45) + PS, 1ULL << 62, MAX_SIZE - 2 * PS };
	uint64_t word, half = (1ULL << 62) - PS;
	double start = seconds();

	ASSERT_LE(0, to);
	ASSERT_LE(0, from);
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		word = 100 + i;
		ASSERT_EQ(8, pwrite(from, &word, 8, far[i]));
		ASSERT_EQ(8, pwrite(to, &word, 8, far[i] + PS));
	}
	ASSERT_EQ(0, transfer_bytes(to, 0, from, 0, MAX_SIZE));
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		EXPECT_EQ(8, pread(to, &word, 8, far[i]));
		EXPECT_EQ(100 + i, word);
		EXPECT_EQ(8, pread(to, &word, 8, far[i] + PS));
		EXPECT_EQ(0, word);
	}
	EXPECT_EQ(0, info_of(from).committed_bytes);
	EXPECT_EQ(ARRAY_SIZE(far) * PS, info_of(to).committed_bytes);
	/* Half of it, by an odd number of pages, within one object: up, down. */
	ASSERT_EQ(0, transfer_bytes(to, PS, to, 0, half));
	EXPECT_EQ(8, pread(to, &word, 8, far[2] + PS));
	EXPECT_EQ(102, word);
	ASSERT_EQ(0, transfer_bytes(to, 0, to, PS, half));
	EXPECT_EQ(8, pread(to, &word, 8, far[2]));
	EXPECT_EQ(102, word);
	/* Holes to holes. */
	ASSERT_EQ(0, transfer_bytes(from, 0, from, half, half));
	EXPECT_GT(20, seconds() - start);
	close(to);
	close(from);
}

/* ---- mappings ---------------------------------------------------------- */

/* Stores through a mapping that was writable before go to what it maps, not after. */
TEST_F(vmo, x2_mp4_stores_through_older_mappings)
{
	for (int changed = 0; changed < 4; changed++) {
		int to = filled(self->dev, 8, 0, 8, 100), from = filled(self->dev, 8, 0, 8, 200);
		char *src = vmo_map(from, 8, RW), *dst = vmo_map(to, 8, RW);
		char *ro = vmo_map(to, 8, RO);

		ASSERT_NE(NULL, ro);
		fill_pages(src, 0, 8, 300);
		fill_pages(dst, 0, 8, 400);
		EXPECT_EQ(-1, wrong_page(ro, 0, 8, 400));
		if (changed & 1)
			ASSERT_EQ(0, mprotect(src, 8 * PS, RO));
		ASSERT_EQ(0, transfer(to, 0, from, 0, 8));
		if (changed & 1)
			ASSERT_EQ(0, mprotect(src, 8 * PS, RW));
		if (changed & 2)
			EXPECT_EQ(-1, wrong_page(ro, 0, 8, 300));
		fill_pages(src, 0, 4, 500);
		EXPECT_EQ(-1, wrong_page(dst, 0, 8, 300));
		EXPECT_EQ(-1, wrong_page(src, 4, 4, 0));
		fill_pages(dst, 0, 8, 600);
		EXPECT_EQ(-1, wrong_page(src, 0, 4, 500));
		EXPECT_EQ(-1, wrong_page(ro, 0, 8, 600));
		munmap(src, 8 * PS);
		munmap(dst, 8 * PS);
		munmap(ro, 8 * PS);
		close(to);
		close(from);
	}
}

/* Another process has both mapped, and writes what it always wrote. */
TEST_F(vmo, x2_mp4_mappings_of_another_process)
{
	int to = filled(self->dev, 4, 0, 4, 100), from = filled(self->dev, 4, 0, 4, 200), go[2];
	char *src = vmo_map(from, 4, RW), *dst = vmo_map(to, 4, RW), c = 0;
	int status;
	pid_t pid;

	ASSERT_NE(NULL, dst);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fill_pages(src, 0, 4, 200);
		fill_pages(dst, 0, 4, 100);
		if (write(go[1], &c, 1) != 1 || read(go[1], &c, 1) != 1)
			_exit(1);
		if (wrong_page(dst, 0, 4, 200) != -1 || wrong_page(src, 0, 4, 0) != -1)
			_exit(2);
		fill_pages(src, 0, 2, 700);
		fill_pages(dst, 2, 2, 800);
		_exit(0);
	}
	ASSERT_EQ(1, read(go[0], &c, 1));
	ASSERT_EQ(0, transfer(to, 0, from, 0, 4));
	ASSERT_EQ(1, write(go[0], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, wrong_page(src, 0, 2, 700));
	EXPECT_EQ(-1, wrong_page(src, 2, 2, 0));
	EXPECT_EQ(-1, wrong_page(dst, 0, 2, 200));
	EXPECT_EQ(-1, wrong_page(dst, 2, 2, 800));
	munmap(src, 4 * PS);
	munmap(dst, 4 * PS);
	close(go[0]);
	close(go[1]);
	close(to);
	close(from);
}

/* MP2: zeroes that a mapping of the target shows, for a hole, have to go. */
TEST_F(vmo, x2_mp2_mapped_holes_of_the_target)
{
	for (int way = 0; way < 2; way++) {
		int to = vmo_new_pages(self->dev, 2 * LEAF);
		int from = filled(self->dev, 2 * LEAF, 0, 2 * LEAF, 100);
		char *shared = vmo_map(to, 2 * LEAF, RO);
		char *own = vmo_map_at(to, 0, 2 * LEAF, RW, MAP_PRIVATE);

		ASSERT_NE(NULL, own);
		EXPECT_EQ(-1, wrong_page(shared, 0, 2 * LEAF, 0));
		EXPECT_EQ(-1, wrong_page(own, 0, 2 * LEAF, 0));
		/* Leaf by leaf, or page by page. */
		ASSERT_EQ(0, transfer(to, way, from, way * 2, 2 * LEAF - 2 * way));
		EXPECT_EQ(-1, wrong_page(shared, way, 2 * LEAF - 2 * way, 100 + way));
		EXPECT_EQ(-1, wrong_page(own, way, 2 * LEAF - 2 * way, 100 + way));
		munmap(shared, 2 * LEAF * PS);
		munmap(own, 2 * LEAF * PS);
		close(to);
		close(from);
	}
}

/* ---- pages that somebody holds ----------------------------------------- */

/*
 * A pipe has pages of the source, or of the target. Whatever is transferred and written
 * then, it delivers what it was given.
 */
static void try_pipe(struct __test_metadata *_metadata, int dev, unsigned int flags, bool of_target)
{
	const size_t n = 4;
	int to = filled(dev, n, 0, n, 100), from = filled(dev, n, 0, n, 200), pipes[2];
	char *src = vmo_map(from, n, RW), *dst = vmo_map(to, n, RW), *buf = malloc(n * PS);
	struct iovec iov = { of_target ? dst : src, n * PS };

	ASSERT_NE(NULL, dst);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	fill_pages(src, 0, n, 200);
	fill_pages(dst, 0, n, 100);
	ASSERT_EQ(n * PS, (size_t)vmsplice(pipes[1], &iov, 1, flags));
	ASSERT_EQ(0, transfer(to, 0, from, 0, n));
	EXPECT_EQ(-1, wrong_page(dst, 0, n, 200));
	EXPECT_EQ(-1, wrong_page(src, 0, n, 0));
	fill_pages(dst, 0, n, 300);
	fill_pages(src, 0, n, 400);
	EXPECT_EQ(0, pwrite(to, "xyz", 3, 0) - 3);
	for (size_t done = 0; done < n * PS;) {
		ssize_t got = read(pipes[0], buf + done, n * PS - done);

		ASSERT_LT(0, got);
		done += got;
	}
	EXPECT_EQ(-1, wrong_page(buf, 0, n, of_target ? 100 : 200))
		TH_LOG("flags %x, pages of the %s", flags, of_target ? "target" : "source");
	free(buf);
	munmap(src, n * PS);
	munmap(dst, n * PS);
	close(pipes[0]);
	close(pipes[1]);
	close(to);
	close(from);
}

TEST_F(vmo, x2_inv_4_7_pages_in_a_pipe)
{
	for (int way = 0; way < 4; way++)
		try_pipe(_metadata, self->dev, way & 1 ? SPLICE_F_GIFT : 0, way & 2);
}

/* One of many is held: that one is copied, the others move. */
TEST_F(vmo, x2_one_held_page_is_copied)
{
	const size_t n = 2 * LEAF;
	int to = vmo_new_pages(self->dev, n), from = filled(self->dev, n, 0, n, 100), pipes[2];
	uint64_t was[2 * LEAF], is[2 * LEAF];
	char *src = vmo_map(from, n, RW), *dst = vmo_map(to, n, RW), c;
	struct iovec iov = { src + 5 * PS, 1 };

	ASSERT_NE(NULL, src);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	src[5 * PS] = 'h';
	ASSERT_EQ(1, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_EQ(n, addresses(from, was, n));
	ASSERT_EQ(0, transfer(to, 0, from, 0, n));
	ASSERT_EQ(n, addresses(to, is, n));
	for (size_t i = 0; i < n; i++) {
		EXPECT_EQ(i != 5, was[i] == is[i])
			TH_LOG("page %zu", i);
	}
	EXPECT_EQ('h', dst[5 * PS]);
	dst[5 * PS] = 'd';
	src[5 * PS] = 's';
	ASSERT_EQ(1, read(pipes[0], &c, 1));
	EXPECT_EQ('h', c);
	munmap(src, n * PS);
	munmap(dst, n * PS);
	close(pipes[0]);
	close(pipes[1]);
	close(to);
	close(from);
}

/* ---- not to the end ---------------------------------------------------- */

static void shovel(int a, int b, size_t n)
{
	for (;;)
		if (transfer(b, 0, a, 0, n) || transfer(a, 0, b, 0, n))
			_exit(1);
}

/* Killed at some time: every page is on one side, as it was, and zero on the other. */
TEST_F_TIMEOUT(vmo, x3_killed_in_the_middle, 300)
{
	const size_t n = 16 * PIECE;
	int a = vmo_new_pages(self->dev, n), b = vmo_new_pages(self->dev, n), status;
	char *p = vmo_map(a, n, RW), *q = vmo_map(b, n, RW);
	double end = seconds() + 30;
	int split = 0;

	ASSERT_NE(NULL, q);
	put_tags(p, 0, n, 5000);
	for (int i = 0; more_rounds(i, 5, 40, end); i++) {
		pid_t pid = fork();
		size_t at_a = 0;

		ASSERT_LE(0, pid);
		if (!pid)
			shovel(a, b, n);
		usleep(2000 + i * 1777 % 20000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		for (size_t page = 0; page < n; page++) {
			bool here = get_tag(p, page) == 5000 + page;
			bool there = get_tag(q, page) == 5000 + page;

			ASSERT_EQ(1, here + there) TH_LOG("round %d, page %zu", i, page);
			ASSERT_EQ(0, here ? get_tag(q, page) : get_tag(p, page));
			at_a += here;
		}
		split += at_a && at_a < n;
		/* All back to one side, without losing what is there. */
		for (size_t page = 0; page < n; page++)
			if (!get_tag(p, page))
				ASSERT_EQ(0, transfer(a, page, b, page, 1));
		ASSERT_EQ(-1, wrong_tag(p, 0, n, 5000));
		ASSERT_EQ(-1, wrong_tag(q, 0, n, 0));
	}
	TH_LOG("%d were split", split);
	EXPECT_EQ(self->pages + (long)n, vmo_counter("pages"));
	munmap(p, n * PS);
	munmap(q, n * PS);
	close(a);
	close(b);
}

/* ---- at the same time -------------------------------------------------- */

struct crossing {
	int to;
	int from;
	size_t at;
	size_t pages;
	uint64_t *stop;
	uint64_t bad;
};

static void *cross(void *arg)
{
	struct crossing *c = arg;

	while (!load(c->stop))
		if (transfer(c->to, c->at, c->from, c->at, c->pages) ||
		    transfer(c->from, c->at, c->to, c->at, c->pages))
			store(&c->bad, errno);
	return NULL;
}

/* Two objects, each other's source, with snapshots and stores in between. */
TEST_F_TIMEOUT(vmo, x2_crosswise_at_the_same_time, 120)
{
	const size_t n = 200;
	int a = vmo_new_pages(self->dev, 2 * n), b = vmo_new_pages(self->dev, 2 * n);
	char *p = vmo_map(a, 2 * n, RW), *q = vmo_map(b, 2 * n, RW);
	uint64_t stop = 0;
	struct crossing c[2] = {
		{ .to = a, .from = b, .at = 0, .pages = n - 1, .stop = &stop },
		{ .to = b, .from = a, .at = n, .pages = n - 1, .stop = &stop },
	};
	double end = seconds() + 3;
	pthread_t threads[2];

	ASSERT_NE(NULL, q);
	put_tags(q, 0, n, 100);
	put_tags(p, n, n, 100);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, cross, &c[i]));
	while (seconds() < end) {
		int child = vmo_snap(a);

		ASSERT_LE(0, child);
		/* What is not in a range stays; what is, may be on either side. */
		EXPECT_EQ(100 + 2 * n - 1, read_tag(child, 2 * n - 1));
		for (size_t i = 0; i < 2 * n; i += 17) {
			uint64_t tag = read_tag(child, i);

			EXPECT_TRUE(!tag || tag == 100 + i) TH_LOG("page %zu: %lx", i, tag);
		}
		put_tag(p, 2 * n - 1, 100 + 2 * n - 1);
		close(child);
	}
	store(&stop, 1);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, c[i].bad) TH_LOG("%s", strerror(c[i].bad));
	}
	EXPECT_EQ(-1, wrong_tag(q, 0, n, 100));
	EXPECT_EQ(-1, wrong_tag(p, n, n, 100));
	EXPECT_EQ(-1, wrong_tag(p, 0, n, 0));
	EXPECT_EQ(-1, wrong_tag(q, n, n, 0));
	munmap(p, 2 * n * PS);
	munmap(q, 2 * n * PS);
	close(a);
	close(b);
}

struct storing {
	char *map;
	size_t pages;
	uint64_t *stop;
	uint64_t stores;
};

/* Adds one to a word of each page, which is a count of ours alone. */
static void *keep_counting(void *arg)
{
	struct storing *s = arg;

	while (!load(s->stop)) {
		for (size_t i = 0; i < s->pages; i++)
			__atomic_fetch_add((uint64_t *)(s->map + i * PS), 1, __ATOMIC_SEQ_CST);
		store(&s->stores, s->stores + s->pages);
	}
	return NULL;
}

/*
 * A thread counts in the source while it is taken away all the time: no count is lost,
 * each is in what was taken then or in what is there.
 */
TEST_F_TIMEOUT(vmo, x2_inv_ours_stores_while_pages_leave, 120)
{
	const size_t n = 8;
	int from = vmo_new_pages(self->dev, n), to = vmo_new_pages(self->dev, n);
	char *p = vmo_map(from, n, RW), *q = vmo_map(to, n, RW);
	uint64_t stop = 0, sum = 0;
	struct storing s = { .map = p, .pages = n, .stop = &stop };
	double end = seconds() + 3;
	pthread_t thread;

	ASSERT_NE(NULL, q);
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_counting, &s));
	while (seconds() < end) {
		ASSERT_EQ(0, transfer(to, 0, from, 0, n));
		for (size_t i = 0; i < n; i++)
			sum += *(uint64_t *)(q + i * PS);
	}
	store(&stop, 1);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < n; i++)
		sum += *(uint64_t *)(p + i * PS);
	EXPECT_EQ(s.stores, sum);
	EXPECT_LT(0, sum);
	munmap(p, n * PS);
	munmap(q, n * PS);
	close(from);
	close(to);
}

TEST_HARNESS_MAIN
