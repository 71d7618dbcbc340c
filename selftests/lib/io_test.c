// SPDX-License-Identifier: GPL-2.0
/* Strict reads and writes by libvmo. */
#include "lib_test_util.h"

TEST_F(lib, read_and_write)
{
	struct vmo *vmo = vmo_create(self->dev, 2 * PS - 100, 0, NULL);
	char buf[64] = "";

	EXPECT_EQ(5, vmo_write(vmo, "hello", 5, PS - 2, 0));
	EXPECT_EQ(7, vmo_read(vmo, buf, 7, PS - 3, 0));
	EXPECT_EQ(0, memcmp(buf, "\0hello", 7));
	/* Against the size, not the content size, which stays. */
	EXPECT_EQ(4, vmo_write(vmo, "tail", 4, 2 * PS - 4, 0));
	EXPECT_EQ(2 * PS - 100, INFO(vmo, content_size));
	EXPECT_ERRNO(ERANGE, vmo_write(vmo, "tail", 4, 2 * PS - 3, 0));
	EXPECT_ERRNO(ERANGE, vmo_read(vmo, buf, 4, 2 * PS - 3, 0));
	EXPECT_ERRNO(ERANGE, vmo_read(vmo, buf, 4, UINT64_MAX, VMO_RW_TRIM));
	EXPECT_EQ(4, vmo_read(vmo, buf, sizeof(buf), 2 * PS - 4, VMO_RW_TRIM));
	EXPECT_EQ(0, memcmp(buf, "tail", 4));
	EXPECT_EQ(3, vmo_write(vmo, "tail", 4, 2 * PS - 3, VMO_RW_TRIM));
	EXPECT_EQ(0, vmo_read(vmo, buf, 4, 2 * PS, VMO_RW_TRIM));
	EXPECT_EQ(0, vmo_read(vmo, NULL, 0, 0, 0));
	EXPECT_EQ(0, vmo_write(vmo, NULL, 0, 2 * PS, 0));
	EXPECT_ERRNO(EINVAL, vmo_read(vmo, buf, 1, 0, 2));
	EXPECT_ERRNO(EINVAL, vmo_write(vmo, buf, 1, 0, 2));
	EXPECT_ERRNO(EINVAL, vmo_read(vmo, buf, SIZE_MAX, 0, 0));
	EXPECT_ERRNO(EFAULT, vmo_read(vmo, NULL, 1, 0, 0));
	EXPECT_ERRNO(EFAULT, vmo_write(vmo, NULL, 1, 0, 0));
	vmo_close(vmo);
}

TEST_F(lib, readv_and_writev)
{
	struct vmo *vmo = new_pages(self->dev, 2);
	char a[3] = "abc", b[4] = "defg", c[7];
	struct iovec from[] = { { a, 3 }, { b, 4 } };
	struct iovec to[] = { { c, 2 }, { NULL, 0 }, { c + 2, 5 } };
	uint64_t actual = 0x5555;

	EXPECT_EQ(0, vmo_writev(vmo, from, 2, PS - 3, 0, &actual));
	EXPECT_EQ(7, actual);
	EXPECT_EQ(0, vmo_readv(vmo, to, 3, PS - 3, 0, &actual));
	EXPECT_EQ(7, actual);
	EXPECT_EQ(0, memcmp(c, "abcdefg", 7));
	EXPECT_EQ(0, vmo_readv(vmo, to, 3, 2 * PS - 1, VMO_RW_TRIM, &actual));
	EXPECT_EQ(1, actual);
	/* Who does not ask how far it came is not told. */
	EXPECT_EQ(0, vmo_readv(vmo, to, 3, 0, 0, NULL));
	EXPECT_EQ(0, vmo_writev(vmo, from, 2, 0, 0, NULL));
	EXPECT_ERRNO(ERANGE, vmo_readv(vmo, to, 3, 2 * PS, 0, NULL));
	EXPECT_EQ(0, vmo_readv(vmo, NULL, 0, 0, 0, &actual));
	EXPECT_EQ(0, actual);
	vmo_close(vmo);
}

TEST_F(lib, how_far_a_failed_call_came)
{
	struct vmo *vmo = new_pages(self->dev, 4), *closed = new_closed(self->dev);
	struct vmo *reader = reopened(vmo, O_RDONLY), *writer = reopened(vmo, O_WRONLY);
	char *area = mmap(NULL, 2 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { area, 2 * PS }, many[1025] = { { area, 1 } };
	uint64_t actual = 0x5555;

	ASSERT_EQ(0, mprotect(area + PS, PS, PROT_NONE));
	EXPECT_ERRNO(EFAULT, vmo_writev(vmo, &iov, 1, 0, 0, &actual));
	EXPECT_EQ(PS, actual);
	actual = 0x5555;
	EXPECT_ERRNO(EFAULT, vmo_readv(vmo, &iov, 1, PS, 0, &actual));
	EXPECT_EQ(PS, actual);
	/* Also where the kernel had nothing to say. */
	actual = 0x5555;
	EXPECT_ERRNO(EACCES, vmo_writev(reader, &iov, 1, 0, 0, &actual));
	EXPECT_EQ(0, actual);
	actual = 0x5555;
	EXPECT_ERRNO(EACCES, vmo_readv(writer, &iov, 1, 0, 0, &actual));
	EXPECT_EQ(0, actual);
	actual = 0x5555;
	EXPECT_ERRNO(EBADF, vmo_readv(closed, &iov, 1, 0, 0, &actual));
	EXPECT_EQ(0, actual);
	actual = 0x5555;
	EXPECT_ERRNO(EINVAL, vmo_readv(vmo, many, 1025, 0, 0, &actual));
	EXPECT_ERRNO(EINVAL, vmo_writev(vmo, many, 1025, 0, 0, &actual));
	EXPECT_EQ(0, actual);
	EXPECT_EQ(0, vmo_readv(vmo, many, 1024, 0, 0, &actual));
	EXPECT_EQ(1, actual);
	EXPECT_ERRNO(EACCES, vmo_write(reader, area, 1, 0, 0));
	EXPECT_ERRNO(EACCES, vmo_read(writer, area, 1, 0, 0));
	munmap(area, 2 * PS);
	vmo_close(writer);
	vmo_close(reader);
	vmo_close(closed);
	vmo_close(vmo);
}

#define SPAN 40

struct rw_task {
	const struct vmo *vmo;
	uint64_t first;
	int wrong;
};

static void *rw_thread(void *arg)
{
	struct rw_task *task = arg;

	for (int i = 1; i <= 20; i++) {
		for (int page = 0; page < SPAN; page++)
			if (!fill(task->vmo, task->first + page, i * 1000 + page))
				task->wrong++;
		for (int page = 0; page < SPAN; page++)
			if (!holds(task->vmo, task->first + page, i * 1000 + page))
				task->wrong++;
	}
	return NULL;
}

TEST_F(lib, threads_use_one_handle)
{
	struct vmo *vmo = new_pages(self->dev, 3 * SPAN);
	struct rw_task task[3];
	pthread_t thread[3];

	for (int i = 0; i < 3; i++) {
		task[i] = (struct rw_task) { vmo, i * SPAN, 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, rw_thread, &task[i]));
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, task[i].wrong);
		EXPECT_TRUE(holds(vmo, i * SPAN + 1, 20001));
	}
	vmo_close(vmo);
}

TEST_HARNESS_MAIN
