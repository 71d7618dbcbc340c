// SPDX-License-Identifier: GPL-2.0
/* The file form of reading and writing, and seeking. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <sys/resource.h>
#include <sys/uio.h>

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static void random_bytes(char *buf, size_t size)
{
	for (size_t i = 0; i < size; i++)
		buf[i] = random_below(256);
}

/* One of the ways to write or read a piece; true if it was done completely. */
static bool write_piece(int fd, int how, char *buf, size_t len, off_t at)
{
	struct iovec iov[3] = {
		{ buf, len / 3 }, { buf + len / 3, 0 }, { buf + len / 3, len - len / 3 },
	};

	switch (how) {
	case 0: return pwrite(fd, buf, len, at) == (ssize_t)len;
	case 1: return pwritev(fd, iov, 3, at) == (ssize_t)len;
	case 2: return lseek(fd, at, SEEK_SET) == at && write(fd, buf, len) == (ssize_t)len &&
		       lseek(fd, 0, SEEK_CUR) == at + (off_t)len;
	default: return lseek(fd, at, SEEK_SET) == at && writev(fd, iov, 3) == (ssize_t)len;
	}
}

static bool read_piece(int fd, int how, char *buf, size_t len, off_t at)
{
	struct iovec iov[2] = { { buf, len / 3 }, { buf + len / 3, len - len / 3 } };

	switch (how) {
	case 0: return pread(fd, buf, len, at) == (ssize_t)len;
	case 1: return preadv(fd, iov, 2, at) == (ssize_t)len;
	case 2: return lseek(fd, at, SEEK_SET) == at && read(fd, buf, len) == (ssize_t)len &&
		       lseek(fd, 0, SEEK_CUR) == at + (off_t)len;
	default: return lseek(fd, at, SEEK_SET) == at && readv(fd, iov, 2) == (ssize_t)len;
	}
}

/* Pieces of any length at any place, against an array of bytes. */
TEST_F_TIMEOUT(vmo, d_random_pieces, 100)
{
	const size_t size = 64 * PS;
	char *model = calloc(1, size), *buf = malloc(size), *map;
	int fd = vmo_new(self->dev, size);

	ASSERT_LE(0, fd);
	map = vmo_map(fd, 64, RW);
	ASSERT_NE(NULL, map);
	for (int i = 0; i < 400; i++) {
		size_t len = 1 + random_below(i % 4 ? 3 * PS : 16 * PS);
		size_t at = random_below(size - len + 1);

		if (i % 2) {
			random_bytes(buf, len);
			memcpy(model + at, buf, len);
			if (i % 10 == 9)
				memcpy(map + at, buf, len);
			else
				ASSERT_TRUE(write_piece(fd, random_below(4), buf, len, at));
		} else if (i % 10 == 8) {
			ASSERT_EQ(0, memcmp(map + at, model + at, len));
		} else {
			ASSERT_TRUE(read_piece(fd, random_below(4), buf, len, at));
			ASSERT_EQ(0, memcmp(buf, model + at, len));
		}
	}
	ASSERT_TRUE(read_piece(fd, 0, buf, size, 0));
	EXPECT_EQ(0, memcmp(buf, model, size));
	EXPECT_EQ(0, memcmp(map, model, size));
	munmap(map, size);
	close(fd);
}

TEST_F(vmo, c2_reads_end_at_the_content_size)
{
	const size_t size = 2 * PS + 100;
	int fd = vmo_new(self->dev, size);
	char *buf = malloc(4 * PS);

	ASSERT_LE(0, fd);
	memset(buf, 'x', 4 * PS);
	EXPECT_EQ((ssize_t)size, pread(fd, buf, 4 * PS, 0));
	EXPECT_EQ(0, buf[size - 1]);
	EXPECT_EQ('x', buf[size]);
	EXPECT_EQ(100, pread(fd, buf, PS, 2 * PS));
	EXPECT_EQ(1, pread(fd, buf, PS, size - 1));
	EXPECT_EQ(0, pread(fd, buf, PS, size));
	EXPECT_EQ(0, pread(fd, buf, PS, 3 * PS));
	EXPECT_EQ(0, pread(fd, buf, PS, 1LL << 40));
	EXPECT_EQ(0, pread(fd, buf, PS, INT64_MAX - PS));
	EXPECT_EQ(0, pread(fd, buf, 0, 0));
	EXPECT_ERRNO(EINVAL, pread(fd, buf, PS, -1));
	EXPECT_ERRNO(EINVAL, pwrite(fd, buf, PS, -1));
	close(fd);
}

TEST_F(vmo, c2_writes_raise_the_content_size)
{
	char *buf = malloc(3 * PS);
	int fd = vmo_new(self->dev, PS + 100);
	struct vmo_info info;

	ASSERT_LE(0, fd);
	memset(buf, 'x', 3 * PS);
	EXPECT_EQ(10, pwrite(fd, buf, 10, PS + 90));	/* ends where the content does */
	EXPECT_EQ(PS + 100, (size_t)st_size(fd));
	EXPECT_EQ(10, pwrite(fd, buf, 10, PS + 200));
	EXPECT_EQ(PS + 210, (size_t)st_size(fd));
	EXPECT_EQ(5, pwrite(fd, buf, 5, 0));		/* never lowered */
	EXPECT_EQ(PS + 210, (size_t)st_size(fd));
	EXPECT_EQ(50, pwrite(fd, buf, 200, 2 * PS - 50));	/* short at the end */
	EXPECT_EQ(2 * PS, (size_t)st_size(fd));
	EXPECT_ERRNO(ENOSPC, pwrite(fd, buf, 1, 2 * PS));
	EXPECT_ERRNO(ENOSPC, pwrite(fd, buf, 1, 5 * PS));
	EXPECT_ERRNO(ENOSPC, pwrite(fd, buf, 1, 1LL << 40));
	EXPECT_EQ(0, pwrite(fd, buf, 0, 5 * PS));
	EXPECT_EQ(2 * PS, (size_t)st_size(fd));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(2 * PS, info.size);
	EXPECT_EQ(2 * PS, info.content_size);

	ASSERT_EQ(2 * PS, (size_t)pread(fd, buf, 3 * PS, 0));
	for (size_t i = 0; i < 2 * PS; i++) {
		bool written = i < 5 || (i >= PS + 90 && i < PS + 100) ||
			       (i >= PS + 200 && i < PS + 210) || i >= 2 * PS - 50;

		ASSERT_EQ(written ? 'x' : 0, buf[i]) TH_LOG("byte %zu", i);
	}
	close(fd);
}

TEST_F(vmo, c2_append_and_file_size_limit)
{
	int fd = vmo_new(self->dev, 100);
	struct rlimit old, low;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_APPEND));
	EXPECT_EQ(3, write(fd, "abc", 3));
	EXPECT_EQ(103, st_size(fd));
	ASSERT_EQ(0, fcntl(fd, F_SETFL, 0));

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
	low = old;
	low.rlim_cur = 200;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &low));
	EXPECT_EQ(2, pwrite(fd, "abc", 3, 198));
	EXPECT_ERRNO(EFBIG, pwrite(fd, "abc", 3, 200));
	EXPECT_EQ(200, st_size(fd));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
	close(fd);
}

TEST_F(vmo, lseek_set_cur_end)
{
	int fd = vmo_new(self->dev, 1000);

	ASSERT_LE(0, fd);
	EXPECT_EQ(10, lseek(fd, 10, SEEK_SET));
	EXPECT_EQ(15, lseek(fd, 5, SEEK_CUR));
	EXPECT_EQ(0, lseek(fd, -15, SEEK_CUR));
	EXPECT_ERRNO(EINVAL, lseek(fd, -1, SEEK_CUR));
	EXPECT_EQ(1000, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(999, lseek(fd, -1, SEEK_END));
	EXPECT_EQ(3000, lseek(fd, 2000, SEEK_END));
	EXPECT_ERRNO(EINVAL, lseek(fd, -1001, SEEK_END));
	EXPECT_ERRNO(EINVAL, lseek(fd, -1, SEEK_SET));
	EXPECT_ERRNO(EINVAL, lseek(fd, 0, 99));
	EXPECT_EQ(3000, lseek(fd, 0, SEEK_CUR));	/* failures moved nothing */
	close(fd);
}

TEST_F(vmo, lseek_data_and_hole)
{
	const off_t p = PS;
	int fd = vmo_new(self->dev, 100 * PS + 1), child;

	ASSERT_LE(0, fd);
	EXPECT_ERRNO(ENXIO, lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
	EXPECT_EQ(777, lseek(fd, 777, SEEK_HOLE));
	ASSERT_EQ(0, write_page(fd, 3, 1));
	ASSERT_EQ(0, write_page(fd, 4, 1));
	ASSERT_EQ(0, write_page(fd, 70, 1));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 100 * p));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);

	for (int i = 0; i < 2; i++) {
		int f = i ? child : fd;

		EXPECT_EQ(3 * p, lseek(f, 0, SEEK_DATA));
		EXPECT_EQ(3 * p, lseek(f, 3 * p, SEEK_DATA));
		EXPECT_EQ(3 * p + 7, lseek(f, 3 * p + 7, SEEK_DATA));
		EXPECT_EQ(70 * p, lseek(f, 5 * p, SEEK_DATA));
		EXPECT_EQ(100 * p, lseek(f, 71 * p + 1, SEEK_DATA));
		EXPECT_EQ(0, lseek(f, 0, SEEK_HOLE));
		EXPECT_EQ(5 * p, lseek(f, 3 * p, SEEK_HOLE));
		EXPECT_EQ(5 * p, lseek(f, 4 * p + 9, SEEK_HOLE));
		EXPECT_EQ(71 * p, lseek(f, 70 * p, SEEK_HOLE));
	}
	EXPECT_EQ(100 * p + 1, lseek(fd, 100 * p, SEEK_HOLE));	/* there is always one */
	EXPECT_ERRNO(ENXIO, lseek(fd, 100 * p + 1, SEEK_DATA));
	EXPECT_ERRNO(ENXIO, lseek(fd, 100 * p + 1, SEEK_HOLE));
	EXPECT_ERRNO(ENXIO, lseek(fd, 200 * p, SEEK_DATA));
	EXPECT_ERRNO(ENXIO, lseek(fd, -1, SEEK_DATA));
	close(child);
	close(fd);
}

TEST_F(vmo, d6_reading_a_hole_allocates_nothing)
{
	long pages = vmo_counter("pages");
	int fd = vmo_new_pages(self->dev, 64);
	struct vmo_info info;
	char *map;

	ASSERT_LE(0, fd);
	map = vmo_map(fd, 64, RO);
	ASSERT_NE(NULL, map);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 64, 0));
	EXPECT_EQ(-1, wrong_page(map, 0, 64, 0));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(0, info.committed_bytes);
	EXPECT_EQ(pages, vmo_counter("pages"));
	EXPECT_ERRNO(ENXIO, lseek(fd, 0, SEEK_DATA));
	munmap(map, 64 * PS);
	close(fd);
}

/* Each of these would take for ever if gaps were not skipped. */
TEST_F(vmo, m5_near_the_largest_size)
{
	const uint64_t middle = 1ULL << 62;
	int fd = vmo_new(self->dev, MAX_SIZE), child;
	struct vmo_info info;
	char c = 0;

	ASSERT_LE(0, fd);
	EXPECT_EQ(1, pwrite(fd, "z", 1, MAX_SIZE - 1));
	EXPECT_EQ(1, pread(fd, &c, 1, MAX_SIZE - 1));
	EXPECT_EQ('z', c);
	EXPECT_EQ(0, pread(fd, &c, 1, MAX_SIZE));
	EXPECT_EQ(MAX_SIZE - PS, (uint64_t)lseek(fd, 0, SEEK_DATA));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, middle, 2 * PS));
	EXPECT_EQ(1, pwrite(fd, "m", 1, middle));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(3 * PS, info.committed_bytes);
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, MAX_SIZE));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(0, info.committed_bytes);
	EXPECT_EQ(1, pread(child, &c, 1, middle));
	EXPECT_EQ('m', c);
	EXPECT_EQ(1, pread(fd, &c, 1, middle));
	EXPECT_EQ(0, c);
	EXPECT_ERRNO(ENXIO, lseek(fd, 0, SEEK_DATA));
	close(child);
	close(fd);
}

/* The buffer of the call is a mapping of the very object, present or not. */
TEST_F(vmo, d3_own_mapping_as_the_buffer)
{
	const size_t n = 48, size = n * PS;

	for (int present = 0; present < 2; present++) {
		int fd = vmo_new_pages(self->dev, 2 * n), child = -1;
		char *map = vmo_map(fd, 2 * n, RW);

		ASSERT_NE(NULL, map);
		fill_pages(map, 0, n, 500);
		if (!present) {
			child = vmo_snap(fd);	/* both ends have to be copied, too */
			ASSERT_LE(0, child);
			ASSERT_EQ(0, madvise(map, 2 * size, MADV_DONTNEED));
		}
		EXPECT_EQ((ssize_t)size, pread(fd, map + size, size, 0));
		EXPECT_EQ(-1, wrong_page(map, n, n, 500 - n));
		fill_pages(map, 0, n, 900);
		if (!present)
			ASSERT_EQ(0, madvise(map, 2 * size, MADV_DONTNEED));
		EXPECT_EQ((ssize_t)size, pwrite(fd, map, size, size));
		EXPECT_EQ(-1, wrong_page(map, n, n, 900 - n));
		/* Onto itself: nothing changes. Overlapping: it ends, that is all. */
		EXPECT_EQ((ssize_t)size, pwrite(fd, map, size, 0));
		EXPECT_EQ((ssize_t)size, pread(fd, map, size, 0));
		EXPECT_EQ(-1, wrong_page(map, 0, n, 900));
		EXPECT_EQ((ssize_t)size, pread(fd, map + 100, size, 0));
		EXPECT_EQ((ssize_t)size, pwrite(fd, map + 100, size, 0));
		EXPECT_EQ((ssize_t)size, pwrite(fd, map, size, 333));
		if (child >= 0)
			EXPECT_EQ(-1, wrong_page_fd(child, 0, n, 500));
		munmap(map, 2 * size);
		close(child);
		close(fd);
	}
}

struct crosswise {
	int fd;
	char *other;	/* a mapping of the other object */
	size_t size;
	double end;
	bool writes;
	bool failed;
};

static void *crosswise_thread(void *arg)
{
	struct crosswise *c = arg;

	for (int i = 0; more_rounds(i, 40, 200, c->end); i++) {
		ssize_t done;

		madvise(c->other, c->size, MADV_DONTNEED);
		if (c->writes)
			done = pwrite(c->fd, c->other, c->size, 0);
		else
			done = pread(c->fd, c->other, c->size, 0);
		if (done != (ssize_t)c->size)
			c->failed = true;
		if (i % 8 == 7)
			close(vmo_snap(c->fd));
	}
	return NULL;
}

/* Two objects, two threads, each with the other's mapping as buffer. */
TEST_F_TIMEOUT(vmo, d3_crosswise, 120)
{
	const size_t n = 16;

	for (int kind = 0; kind < 4; kind++) {
		struct crosswise c[2];
		pthread_t thread[2];
		int fd[2];

		for (int i = 0; i < 2; i++) {
			fd[i] = vmo_new_pages(self->dev, n);
			ASSERT_LE(0, fd[i]);
		}
		for (int i = 0; i < 2; i++) {
			c[i] = (struct crosswise) {
				.fd = fd[i], .other = vmo_map(fd[!i], n, RW), .size = n * PS,
				.end = seconds() + 1, .writes = kind >> i & 1,
			};
			ASSERT_NE(NULL, c[i].other);
			fill_pages(c[i].other, 0, n, 7);
		}
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, crosswise_thread, &c[i]));
		for (int i = 0; i < 2; i++) {
			pthread_join(thread[i], NULL);
			EXPECT_FALSE(c[i].failed);
		}
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(-1, wrong_page(c[i].other, 0, n, 7));
			munmap(c[i].other, n * PS);
			close(fd[i]);
		}
	}
}

/* A buffer that ends after `good` bytes: what was counted was done, no more. */
static void try_bad_buffer(struct __test_metadata *_metadata, int dev, size_t good)
{
	char *area = mmap(NULL, 3 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = vmo_new_pages(dev, 4);
	char *buf = area + PS - good % PS, *back = calloc(4, PS);
	ssize_t done;

	if (good % PS == 0)
		buf = area;
	ASSERT_NE(MAP_FAILED, area);
	ASSERT_EQ(0, munmap(buf + good, area + 3 * PS - (buf + good)));
	memset(buf, 'w', good);
	done = pwrite(fd, buf, 2 * PS, 10);
	EXPECT_LT(0, done);
	EXPECT_GE((ssize_t)good, done);
	ASSERT_EQ(4 * PS, (size_t)pread(fd, back, 4 * PS, 0));
	for (size_t i = 0; i < 4 * PS; i++) {
		bool in = i >= 10 && i < 10 + (size_t)done, out = i < 10 || i >= 10 + good;

		/* What was copied but not counted may be there, nothing else. */
		if (in || out)
			ASSERT_EQ(in ? 'w' : 0, back[i]);
	}
	memset(back, 'r', 4 * PS);
	ASSERT_EQ(4 * PS, (size_t)pwrite(fd, back, 4 * PS, 0));
	done = pread(fd, buf, 2 * PS, 10);
	EXPECT_LT(0, done);
	EXPECT_GE((ssize_t)good, done);
	for (ssize_t i = 0; i < done; i++)
		ASSERT_EQ('r', buf[i]);
	munmap(area, 3 * PS);
	free(back);
	close(fd);
}

TEST_F(vmo, d2_bad_buffers)
{
	char *none = mmap(NULL, PS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = vmo_new(self->dev, 100);
	struct iovec iov[2];
	char buf[64] = "0123456789";

	ASSERT_LE(0, fd);
	EXPECT_ERRNO(EFAULT, pwrite(fd, none, 50, 0));
	EXPECT_ERRNO(EFAULT, pwrite(fd, none, 50, 200));
	EXPECT_EQ(100, st_size(fd));		/* nothing came, nothing grew */
	EXPECT_ERRNO(EFAULT, pread(fd, none, 50, 0));
	EXPECT_EQ(0, pread(fd, none, 50, 100));	/* the bound check comes first */
	iov[0] = (struct iovec) { buf, 10 };
	iov[1] = (struct iovec) { none, 10 };
	EXPECT_EQ(10, pwritev(fd, iov, 2, 0));
	EXPECT_EQ(10, preadv(fd, iov, 2, 0));
	EXPECT_EQ(10, pread(fd, buf + 20, 10, 0));
	EXPECT_EQ(0, memcmp(buf, buf + 20, 10));
	close(fd);

	try_bad_buffer(_metadata, self->dev, 1);
	try_bad_buffer(_metadata, self->dev, 100);
	try_bad_buffer(_metadata, self->dev, PS - 10);
	try_bad_buffer(_metadata, self->dev, PS);
	try_bad_buffer(_metadata, self->dev, PS + 1);
	try_bad_buffer(_metadata, self->dev, 2 * PS - 1);
}

/* What a device would do: the page behind the buffer is another object's hole. */
TEST_F(vmo, d_copy_through_holes)
{
	int a = vmo_new_pages(self->dev, 8), b = vmo_new_pages(self->dev, 8);
	char *map = vmo_map(a, 8, RW);
	struct vmo_info info;

	ASSERT_NE(NULL, map);
	ASSERT_LE(0, b);
	ASSERT_EQ(0, write_page(b, 1, 42));
	EXPECT_EQ(4 * PS, (size_t)pread(b, map, 4 * PS, 0));
	EXPECT_EQ(-1, wrong_page(map, 0, 1, 0));
	EXPECT_EQ(true, page_is(map + PS, 42));
	EXPECT_EQ(2 * PS, (size_t)pwrite(b, map + 6 * PS, 2 * PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(b, 0, 8, 0));
	ASSERT_EQ(0, vmo_stat(b, &info));
	EXPECT_EQ(2 * PS, info.committed_bytes);
	munmap(map, 8 * PS);
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
