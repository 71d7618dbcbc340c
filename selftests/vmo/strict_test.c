// SPDX-License-Identifier: GPL-2.0
/* VMO_READ and VMO_WRITE: the strict form, and the file form's odd flags. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include <sys/uio.h>

static int rw_vec(int fd, unsigned long cmd, uint64_t offset, struct iovec *iov, int count,
		  uint32_t flags, uint64_t *actual)
{
	struct vmo_rw arg = {
		.offset = offset, .iov = (uintptr_t)iov, .iov_count = count, .flags = flags,
		.actual = 0x5555,
	};
	int ret = ioctl(fd, cmd, &arg);

	*actual = arg.actual;
	return ret;
}

static int rw_one(int fd, unsigned long cmd, uint64_t offset, void *buf, size_t len,
		  uint32_t flags, uint64_t *actual)
{
	struct iovec iov = { buf, len };

	return rw_vec(fd, cmd, offset, &iov, 1, flags, actual);
}

TEST_F(vmo, d1_bounds_and_trim)
{
	int fd = vmo_new(self->dev, 2 * PS - 100);
	char *buf = calloc(3, PS), *none;
	uint64_t actual;

	none = mmap(NULL, PS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_LE(0, fd);
	/* The size is whole pages; the content size is not looked at, and stays. */
	memset(buf, 'x', 3 * PS);
	EXPECT_EQ(0, rw_one(fd, VMO_WRITE, 2 * PS - 50, buf, 50, 0, &actual));
	EXPECT_EQ(50, actual);
	EXPECT_EQ(2 * PS - 100, st_size(fd));
	EXPECT_EQ(0, rw_one(fd, VMO_READ, 2 * PS - 51, buf, 51, 0, &actual));
	EXPECT_EQ(51, actual);
	EXPECT_EQ(0, buf[0]);
	EXPECT_EQ('x', buf[1]);
	EXPECT_EQ('x', buf[50]);
	for (int write = 0; write < 2; write++) {
		unsigned long cmd = write ? VMO_WRITE : VMO_READ;

		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, 2 * PS - 50, buf, 51, 0, &actual));
		EXPECT_EQ(0, actual);
		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, 2 * PS, buf, 1, 0, &actual));
		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, -1ULL, buf, 1, 0, &actual));
		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, -10ULL, buf, 11, VMO_RW_TRIM, &actual));
		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, 1ULL << 63, buf, 1, 0, &actual));
		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, 2 * PS + 1, buf, 0, 0, &actual));
		EXPECT_EQ(0, rw_one(fd, cmd, 2 * PS, buf, 0, 0, &actual));
		EXPECT_EQ(0, rw_one(fd, cmd, 0, NULL, 0, 0, &actual));
		EXPECT_EQ(0, rw_vec(fd, cmd, 0, NULL, 0, 0, &actual));
		EXPECT_EQ(0, actual);
		/* Trimmed: what there is; at the end and behind it nothing. */
		EXPECT_EQ(0, rw_one(fd, cmd, 2 * PS - 50, buf, 3 * PS, VMO_RW_TRIM, &actual));
		EXPECT_EQ(50, actual);
		EXPECT_EQ(0, rw_one(fd, cmd, 2 * PS, buf, PS, VMO_RW_TRIM, &actual));
		EXPECT_EQ(0, actual);
		EXPECT_EQ(0, rw_one(fd, cmd, 1ULL << 63, buf, PS, VMO_RW_TRIM, &actual));
		EXPECT_EQ(0, actual);
		/* The bound is checked before the user's memory. */
		EXPECT_ERRNO(ERANGE, rw_one(fd, cmd, 2 * PS, none, 1, 0, &actual));
		EXPECT_ERRNO(EFAULT, rw_one(fd, cmd, 0, none, 1, 0, &actual));
		EXPECT_EQ(0, actual);
		EXPECT_ERRNO(EINVAL, rw_one(fd, cmd, 0, buf, 1, 2, &actual));
		EXPECT_ERRNO(EINVAL, rw_vec(fd, cmd, 0, NULL, 1025, 0, &actual));
	}
	munmap(none, PS);
	free(buf);
	close(fd);
}

/* D2: what came before a bad buffer is done, and counted. */
TEST_F(vmo, d2_actual_of_a_failed_call)
{
	int fd = vmo_new_pages(self->dev, 8);
	char *area = mmap(NULL, 4 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[3];
	uint64_t actual;

	memset(area, 'a', 4 * PS);
	ASSERT_EQ(0, mprotect(area + 2 * PS, PS, PROT_NONE));
	iov[0] = (struct iovec) { area, 100 };
	iov[1] = (struct iovec) { area + PS, 3 * PS };
	EXPECT_ERRNO(EFAULT, rw_vec(fd, VMO_WRITE, PS - 50, iov, 2, 0, &actual));
	EXPECT_EQ(100 + PS, actual);
	EXPECT_EQ(0, rw_one(fd, VMO_READ, PS - 50, area, PS, 0, &actual));
	EXPECT_EQ('a', area[0]);
	EXPECT_EQ('a', area[PS - 1]);
	EXPECT_ERRNO(EFAULT, rw_vec(fd, VMO_READ, 0, iov, 2, 0, &actual));
	EXPECT_EQ(100 + PS, actual);
	EXPECT_EQ(8 * PS, st_size(fd));
	munmap(area, 4 * PS);
	close(fd);
}

static void *resize_thread(void *arg)
{
	struct vmo_resize small = { .size = PS }, large = { .size = 600 * PS };
	uint64_t *shared = arg;

	while (!load(&shared[1])) {
		ioctl(shared[0], VMO_RESIZE, &small);
		ioctl(shared[0], VMO_RESIZE, &large);
	}
	return NULL;
}

/* D5: an object that shrinks under a call. */
TEST_F(vmo, d5_d3_lk3_shrink_under_a_call)
{
	uint64_t shared[2] = { vmo_new_flags(self->dev, 600 * PS, VMO_CREATE_RESIZABLE) };
	uint64_t actual;
	char *buf = malloc(600 * PS);
	int fd = shared[0], whole = 0, cut = 0;
	double end = seconds() + 1.5;
	pthread_t thread;

	memset(buf, 'z', 600 * PS);
	ASSERT_EQ(0, pthread_create(&thread, NULL, resize_thread, shared));
	for (int i = 0; more_rounds(i, 40, 2000, end); i++) {
		int ret = rw_one(fd, i % 2 ? VMO_READ : VMO_WRITE, 0, buf, 600 * PS, 0, &actual);

		if (ret) {
			EXPECT_EQ(ERANGE, errno);
			EXPECT_GT(600 * PS, actual);
			cut++;
		} else {
			EXPECT_EQ(600 * PS, actual);
			whole++;
		}
		/* In the file form it is the end of the file. */
		EXPECT_LE(0, pread(fd, buf, 600 * PS, 0));
		EXPECT_LE(0, pwrite(fd, buf, 600 * PS, 0));
	}
	store(&shared[1], 1);
	pthread_join(thread, NULL);
	printf("# %d whole, %d cut\n", whole, cut);
	free(buf);
	close(fd);
}

/* D3: from its own mapping, and two objects crosswise. */
static void *cross_thread(void *arg)
{
	uint64_t *a = arg, actual;

	for (int i = 0; i < 300; i++)
		if (rw_one(a[0], i % 2 ? VMO_READ : VMO_WRITE, 0, (void *)a[1], 40 * PS, 0,
			   &actual) || actual != 40 * PS)
			a[2]++;
	return NULL;
}

TEST_F(vmo, d3_own_mapping_and_crosswise)
{
	int a = vmo_new_pages(self->dev, 80), b = vmo_new_pages(self->dev, 80);
	char *pa = vmo_map(a, 80, RW), *pb = vmo_map(b, 80, RW);
	uint64_t one[3] = { a, (uintptr_t)pb, 0 }, two[3] = { b, (uintptr_t)pa, 0 }, actual;
	pthread_t t1, t2;

	ASSERT_NE(NULL, pb);
	fill_pages(pa, 0, 40, 60);
	EXPECT_EQ(0, rw_one(a, VMO_WRITE, 40 * PS, pa, 40 * PS, 0, &actual));
	EXPECT_EQ(40 * PS, actual);
	EXPECT_EQ(-1, wrong_page(pa + 40 * PS, 0, 40, 60));
	EXPECT_EQ(0, vmo_op(a, VMO_OP_DECOMMIT, 0, 40 * PS));
	EXPECT_EQ(0, rw_one(a, VMO_READ, 40 * PS, pa, 40 * PS, 0, &actual));
	EXPECT_EQ(-1, wrong_page(pa, 0, 40, 60));
	ASSERT_EQ(0, pthread_create(&t1, NULL, cross_thread, one));
	ASSERT_EQ(0, pthread_create(&t2, NULL, cross_thread, two));
	pthread_join(t1, NULL);
	pthread_join(t2, NULL);
	EXPECT_EQ(0, one[2] + two[2]);
	close(a);
	close(b);
}

/* D6: reading holes allocates nothing, D4: nor does a long read stop early. */
TEST_F(vmo, d4_d6_long_sparse_reads)
{
	int fd = vmo_new_pages(self->dev, 3000);
	char *buf = malloc(3000 * PS);
	struct vmo_info info;
	uint64_t actual;

	memset(buf, 1, 3000 * PS);
	ASSERT_EQ(0, write_page(fd, 1500, 4));
	EXPECT_EQ(0, rw_one(fd, VMO_READ, 0, buf, 3000 * PS, 0, &actual));
	EXPECT_EQ(3000 * PS, actual);
	EXPECT_TRUE(page_is(buf + 1500 * PS, 4));
	EXPECT_TRUE(page_is(buf + 2999 * PS, 0));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(PS, info.committed_bytes);
	free(buf);
	close(fd);
}

/* What may not wait works on what is there, and else says EAGAIN and changes nothing. */
TEST_F(vmo, d_nowait)
{
	int fd = vmo_new_flags(self->dev, 4 * PS, VMO_CREATE_RESIZABLE), child;
	char *buf = calloc(1, 2 * PS);
	struct iovec iov = { buf, PS };
	struct vmo_info info;

	ASSERT_EQ(0, write_page(fd, 0, 5));
	EXPECT_EQ(PS, preadv2(fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_TRUE(page_is(buf, 5));
	EXPECT_EQ(PS, preadv2(fd, &iov, 1, PS, RWF_NOWAIT));
	EXPECT_TRUE(page_is(buf, 0));
	EXPECT_EQ(PS, pwritev2(fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 0));
	EXPECT_ERRNO(EAGAIN, pwritev2(fd, &iov, 1, PS, RWF_NOWAIT));
	EXPECT_ERRNO(EAGAIN, pwritev2(fd, &iov, 1, 4 * PS, RWF_NOWAIT));
	iov.iov_len = 2 * PS;
	EXPECT_EQ(PS, pwritev2(fd, &iov, 1, 0, RWF_NOWAIT));	/* as far as it goes */
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(PS, info.committed_bytes);
	EXPECT_EQ(4 * PS, info.size);
	child = vmo_snap(fd);
	EXPECT_ERRNO(EAGAIN, pwritev2(fd, &iov, 1, 0, RWF_NOWAIT));
	close(child);
	EXPECT_EQ(0, preadv2(fd, &iov, 1, 4 * PS, RWF_NOWAIT));
	free(buf);
	close(fd);
}

/* C2, S4: a file-form write grows what may grow, in one piece with its content. */
TEST_F(vmo, c2_s4_writes_grow_the_object)
{
	int fd = vmo_new_flags(self->dev, 10, VMO_CREATE_RESIZABLE), fixed = vmo_new(self->dev, 10);
	struct vmo_info info;
	char buf[300];

	memset(buf, 'q', sizeof(buf));
	EXPECT_EQ(300, pwrite(fd, buf, 300, 3 * PS - 100));
	EXPECT_EQ(3 * PS + 200, st_size(fd));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(4 * PS, info.size);
	EXPECT_EQ(3 * PS + 200, info.content_size);
	EXPECT_EQ(2 * PS, info.committed_bytes);
	EXPECT_EQ(10, pwrite(fixed, buf, 300, PS - 10));
	EXPECT_EQ(PS, st_size(fixed));
	EXPECT_ERRNO(ENOSPC, pwrite(fixed, buf, 1, PS));
	EXPECT_ERRNO(EFBIG, pwrite(fd, buf, 1, MAX_SIZE));
	EXPECT_EQ(1, pwrite(fd, buf, 2, MAX_SIZE - 1));
	EXPECT_EQ((off_t)MAX_SIZE, st_size(fd));
	close(fixed);
	close(fd);
}

TEST_HARNESS_MAIN
