// SPDX-License-Identifier: GPL-2.0
/* What libvmo says of objects, and of itself. */
#include "lib_test_util.h"
#include <sys/time.h>

TEST_F(lib, info)
{
	struct vmo *vmo = vmo_create(self->dev, 3 * PS - 1, 0, "object"), *child;
	struct vmo_info info;

	ASSERT_TRUE(fill(vmo, 0, 1));
	ASSERT_TRUE(fill(vmo, 1, 2));
	child = vmo_snapshot(vmo);
	ASSERT_TRUE(fill(vmo, 0, 3));
	memset(&info, 0x55, sizeof(info));
	ASSERT_EQ(0, vmo_info(vmo, &info, sizeof(info)));
	EXPECT_EQ(3 * PS, info.size);
	EXPECT_EQ(3 * PS - 1, info.content_size);
	EXPECT_EQ(2 * PS, info.committed_bytes);
	EXPECT_EQ(PS, info.private_bytes);
	EXPECT_EQ(PS, info.shared_bytes);
	EXPECT_EQ(PS + PS / 2, info.scaled_bytes);
	EXPECT_EQ(1, info.children);
	EXPECT_EQ(0, info.parent_id);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(0, strcmp("object", info.name));
	EXPECT_EQ(info.id, INFO(child, parent_id));
	vmo_close(child);
	vmo_close(vmo);
}

/* A program of an older header, and one of a newer header than the module knows. */
TEST_F(lib, info_of_every_size)
{
	struct vmo *vmo = vmo_create(self->dev, PS, 0, "n"), *closed = new_closed(self->dev);
	size_t first = offsetof(struct vmo_info, pinned_bytes);
	struct {
		struct vmo_info info;
		uint64_t more[100];
	} large;

	memset(&large, 0x55, sizeof(large));
	ASSERT_EQ(0, vmo_info(vmo, &large.info, sizeof(large)));
	EXPECT_EQ(PS, large.info.size);
	EXPECT_EQ('n', large.info.name[0]);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(0, large.more[i]);
	memset(&large, 0x55, sizeof(large));
	ASSERT_EQ(0, vmo_info(vmo, &large.info, first));
	EXPECT_EQ(PS, large.info.size);
	EXPECT_EQ(0, large.info.flags);
	EXPECT_EQ(0x5555555555555555ULL, large.info.pinned_bytes);
	EXPECT_ERRNO(EINVAL, vmo_info(vmo, &large.info, first - 1));
	EXPECT_ERRNO(EINVAL, vmo_info(vmo, &large.info, 0));
	EXPECT_ERRNO(E2BIG, vmo_info(vmo, &large.info, 1 << 14));
	EXPECT_ERRNO(E2BIG, vmo_info(vmo, &large.info, SIZE_MAX));
	EXPECT_ERRNO(EBADF, vmo_info(closed, &large.info, sizeof(large.info)));
	vmo_close(closed);
	vmo_close(vmo);
}

TEST_F(lib, size)
{
	struct vmo *vmo = vmo_create(self->dev, 10, VMO_CREATE_RESIZABLE, NULL), *slice;
	struct vmo *blind = reopened(vmo, O_WRONLY), *closed = new_closed(self->dev), *huge;
	struct vmo *fixed = new_pages(self->dev, 6);

	EXPECT_EQ(PS, vmo_size(vmo));
	/* Whole pages that are not content, also for whom reading them shows nothing. */
	ASSERT_EQ(0, fallocate(vmo_fd(vmo), FALLOC_FL_KEEP_SIZE, 0, 4 * PS));
	EXPECT_EQ(4 * PS, vmo_size(vmo));
	EXPECT_EQ(4 * PS, vmo_size(blind));
	ASSERT_EQ(0, vmo_resize(vmo, 2 * PS));
	EXPECT_EQ(2 * PS, vmo_size(vmo));
	EXPECT_EQ(2 * PS, vmo_size(blind));
	ASSERT_EQ(0, vmo_resize(vmo, 0));
	EXPECT_EQ(0, vmo_size(vmo));
	slice = vmo_slice(fixed, PS, 2 * PS - 1, 0);
	EXPECT_EQ(2 * PS, vmo_size(slice));
	huge = vmo_create(self->dev, MAX_SIZE, 0, NULL);
	ASSERT_NE(NULL, huge);
	EXPECT_EQ((int64_t)MAX_SIZE, vmo_size(huge));
	EXPECT_ERRNO(EBADF, vmo_size(closed));
	vmo_close(huge);
	vmo_close(slice);
	vmo_close(fixed);
	vmo_close(closed);
	vmo_close(blind);
	vmo_close(vmo);
}

TEST_F(lib, name)
{
	struct vmo *vmo = new_pages(self->dev, 1), *reader = reopened(vmo, O_RDONLY);
	struct vmo *closed = new_closed(self->dev);
	char name[VMO_NAME_SIZE], set[VMO_NAME_SIZE + 1] = "";

	memset(name, 0x55, sizeof(name));
	EXPECT_EQ(0, vmo_get_name(vmo, name));
	EXPECT_EQ(0, name[0]);
	memset(set, 'x', VMO_NAME_SIZE);
	EXPECT_ERRNO(ENAMETOOLONG, vmo_set_name(vmo, set));
	set[VMO_NAME_SIZE - 1] = 0;
	EXPECT_EQ(0, vmo_set_name(vmo, set));
	EXPECT_EQ(0, vmo_get_name(reader, name));
	EXPECT_EQ(0, memcmp(name, set, VMO_NAME_SIZE));
	EXPECT_EQ(0, vmo_set_name(vmo, "short"));
	EXPECT_EQ(0, vmo_get_name(vmo, name));
	EXPECT_EQ(0, strcmp("short", name));
	EXPECT_ERRNO(EINVAL, vmo_set_name(vmo, "\t"));
	EXPECT_ERRNO(EACCES, vmo_set_name(reader, "other"));
	EXPECT_ERRNO(EBADF, vmo_set_name(closed, "other"));
	EXPECT_ERRNO(EBADF, vmo_get_name(closed, name));
	EXPECT_EQ(0, strcmp("short", name));
	EXPECT_EQ(0, vmo_set_name(vmo, NULL));
	EXPECT_EQ(0, vmo_get_name(vmo, name));
	EXPECT_EQ(0, name[0]);
	vmo_close(closed);
	vmo_close(reader);
	vmo_close(vmo);
}

static void *close_later(void *arg)
{
	usleep(50000);
	vmo_close(arg);
	return NULL;
}

TEST_F(lib, wait_childless)
{
	struct vmo *vmo = new_pages(self->dev, 1), *child, *closed = new_closed(self->dev);
	pthread_t thread;

	EXPECT_EQ(1, vmo_wait_childless(vmo, -1));
	EXPECT_EQ(1, vmo_wait_childless(vmo, 0));
	child = vmo_snapshot(vmo);
	EXPECT_EQ(0, vmo_wait_childless(vmo, 0));
	EXPECT_EQ(0, vmo_wait_childless(vmo, 20));
	ASSERT_EQ(0, pthread_create(&thread, NULL, close_later, child));
	EXPECT_EQ(1, vmo_wait_childless(vmo, -1));
	pthread_join(thread, NULL);
	child = vmo_snapshot(vmo);
	ASSERT_EQ(0, pthread_create(&thread, NULL, close_later, child));
	EXPECT_EQ(1, vmo_wait_childless(vmo, INT32_MIN));
	pthread_join(thread, NULL);
	EXPECT_ERRNO(EBADF, vmo_wait_childless(closed, -1));
	vmo_close(closed);
	vmo_close(vmo);
}

static void ignore(int sig)
{
	(void)sig;
}

TEST_F(lib, wait_childless_is_interrupted)
{
	struct sigaction act = { .sa_handler = ignore };
	struct itimerval soon = { .it_value.tv_usec = 50000, .it_interval.tv_usec = 50000 };
	struct itimerval never = { .it_value.tv_usec = 0 };
	struct vmo *vmo = new_pages(self->dev, 1), *child = vmo_snapshot(vmo);

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	EXPECT_ERRNO(EINTR, vmo_wait_childless(vmo, -1));
	setitimer(ITIMER_REAL, &never, NULL);
	vmo_close(child);
	vmo_close(vmo);
}

TEST_F(lib, version)
{
	EXPECT_EQ(0, strcmp(WANT_VERSION, vmo_library_version()));
}

TEST_HARNESS_MAIN
