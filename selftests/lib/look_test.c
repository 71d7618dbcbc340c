// SPDX-License-Identifier: GPL-2.0
/* Rights, transfer, and looking at pages by libvmo. */
#include "lib_test_util.h"

TEST_F(lib, restrict_)
{
	struct vmo *vmo = new_pages(self->dev, 2), *less;

	ASSERT_TRUE(fill(vmo, 0, 5));
	less = vmo_restrict(vmo, VMO_RIGHT_READ | VMO_RIGHT_CHILD);
	ASSERT_NE(NULL, less);
	EXPECT_CLOEXEC(vmo_fd(less));
	EXPECT_TRUE(holds(less, 0, 5));
	EXPECT_EQ(INFO(vmo, id), INFO(less, id));
	EXPECT_ERRNO(EACCES, vmo_zero(less, 0, PS));
	EXPECT_NONE(EACCES, vmo_map(less, 0, PS, PROT_READ));
	EXPECT_NONE(EACCES, vmo_restrict(less, VMO_RIGHT_READ | VMO_RIGHT_WRITE));
	EXPECT_NONE(EINVAL, vmo_restrict(vmo, 1U << 31));
	vmo_close(vmo);
	EXPECT_TRUE(holds(less, 0, 5));
	vmo_close(less);
}

TEST_F(lib, transfer)
{
	struct vmo *to = new_pages(self->dev, 4), *from = new_pages(self->dev, 4);
	struct vmo *closed = new_closed(self->dev);

	ASSERT_TRUE(fill(from, 1, 5));
	ASSERT_TRUE(fill(to, 3, 6));
	EXPECT_EQ(0, vmo_transfer(to, 2 * PS, from, PS, 2 * PS));
	EXPECT_TRUE(holds(to, 2, 5));
	EXPECT_TRUE(holds(to, 3, 0));
	EXPECT_TRUE(holds(from, 1, 0));
	EXPECT_EQ(0, vmo_transfer(to, 0, to, 2 * PS, PS));
	EXPECT_TRUE(holds(to, 0, 5));
	EXPECT_ERRNO(EINVAL, vmo_transfer(to, 1, from, 0, PS));
	EXPECT_ERRNO(ERANGE, vmo_transfer(to, 0, from, 4 * PS, PS));
	EXPECT_ERRNO(EBADF, vmo_transfer(to, 0, closed, 0, PS));
	vmo_close(closed);
	vmo_close(from);
	vmo_close(to);
}

TEST_F(lib, pages_and_lookup)
{
	struct vmo *vmo = new_pages(self->dev, 8), *child;
	uint64_t offset = 0, length = 8 * PS;
	struct vmo_lookup_entry entry[4];
	struct vmo_page_run run[2];

	ASSERT_TRUE(fill(vmo, 3, 5));
	ASSERT_TRUE(fill(vmo, 5, 5));
	ASSERT_EQ(2, vmo_pages(vmo, &offset, &length, run, 2));
	EXPECT_EQ(3 * PS, run[1].offset);
	EXPECT_EQ(VMO_PAGE_PRESENT, run[1].state & ~VMO_PAGE_WRITABLE);
	EXPECT_EQ(4 * PS, offset);
	EXPECT_EQ(4 * PS, length);
	ASSERT_EQ(2, vmo_pages(vmo, &offset, &length, run, 2));
	EXPECT_EQ(1, vmo_pages(vmo, &offset, &length, run, 2));
	EXPECT_EQ(0, length);
	EXPECT_ERRNO(EINVAL, vmo_pages(vmo, &offset, &length, run, 0));
	offset = 0;
	length = 8 * PS;
	EXPECT_EQ(2, vmo_lookup(vmo, &offset, &length, entry, 4, 0));
	EXPECT_EQ(5 * PS, entry[1].offset);
	EXPECT_EQ(8 * PS, offset);
	EXPECT_EQ(0, length);
	child = vmo_snapshot(vmo);
	offset = 0;
	length = 8 * PS;
	EXPECT_EQ(0, vmo_lookup(vmo, &offset, &length, entry, 4, 0));
	offset = 0;
	length = 8 * PS;
	EXPECT_EQ(2, vmo_lookup(child, &offset, &length, entry, 4, VMO_LOOKUP_SHARED));
	offset = 9 * PS;
	length = PS;
	EXPECT_ERRNO(ERANGE, vmo_lookup(child, &offset, &length, entry, 4, 0));
	EXPECT_EQ(9 * PS, offset);
	vmo_close(child);
	vmo_close(vmo);
}

TEST_F(lib, diff)
{
	struct vmo *vmo = new_pages(self->dev, 8), *child, *other = new_pages(self->dev, 8);
	uint64_t offset = 0, length = 8 * PS;
	struct vmo_range range[2];

	ASSERT_TRUE(fill(vmo, 3, 5));
	child = vmo_snapshot(vmo);
	EXPECT_EQ(0, vmo_diff(vmo, child, &offset, &length, range, 2));
	EXPECT_EQ(0, length);
	ASSERT_TRUE(fill(child, 1, 6));
	ASSERT_TRUE(fill(child, 3, 6));
	ASSERT_TRUE(fill(vmo, 6, 6));
	offset = 0;
	length = 8 * PS;
	ASSERT_EQ(2, vmo_diff(vmo, child, &offset, &length, range, 2));
	EXPECT_EQ(PS, range[0].offset);
	EXPECT_EQ(PS, range[0].length);
	EXPECT_EQ(3 * PS, range[1].offset);
	ASSERT_EQ(1, vmo_diff(vmo, child, &offset, &length, range, 2));
	EXPECT_EQ(6 * PS, range[0].offset);
	EXPECT_EQ(0, length);
	offset = 0;
	length = 8 * PS;
	EXPECT_ERRNO(EINVAL, vmo_diff(vmo, other, &offset, &length, range, 2));
	vmo_close(other);
	vmo_close(child);
	vmo_close(vmo);
}

TEST_F(lib, rewind)
{
	struct vmo *vmo = new_pages(self->dev, 2), *child;

	ASSERT_TRUE(fill(vmo, 1, 5));
	child = vmo_clone(vmo, 0, 2 * PS, VMO_CLONE_SNAPSHOT | VMO_CLONE_KEEP_BASE);
	ASSERT_NE(NULL, child);
	ASSERT_TRUE(fill(child, 0, 6));
	ASSERT_TRUE(fill(child, 1, 6));
	EXPECT_EQ(0, vmo_rewind(child));
	EXPECT_TRUE(holds(child, 0, 0));
	EXPECT_TRUE(holds(child, 1, 5));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_rewind(vmo));
	vmo_close(child);
	vmo_close(vmo);
}

TEST_F(lib, usage_and_stats)
{
	struct vmo_stats before, now;
	struct vmo *vmo, *child;
	struct vmo_usage usage;

	EXPECT_EQ(0, vmo_device_stats(self->dev, &before, sizeof(before)));
	vmo = new_pages(self->dev, 8);
	ASSERT_TRUE(fill(vmo, 3, 5));
	ASSERT_TRUE(fill(vmo, 5, 5));
	child = vmo_snapshot(vmo);
	EXPECT_EQ(0, vmo_device_stats(self->dev, &now, sizeof(now)));
	EXPECT_EQ(2 * PS, now.page_bytes - before.page_bytes);
	EXPECT_EQ(2, now.object_count - before.object_count);
	EXPECT_ERRNO(ENOTTY, vmo_device_stats(vmo_fd(vmo), &now, sizeof(now)));
	EXPECT_EQ(0, vmo_usage(vmo, 3 * PS, 2 * PS, &usage));
	EXPECT_EQ(PS, usage.committed_bytes);
	EXPECT_EQ(PS, usage.exclusive_bytes);
	EXPECT_EQ(0, usage.private_bytes);
	EXPECT_EQ(0, vmo_usage(child, 0, UINT64_MAX, &usage));
	EXPECT_EQ(2 * PS, usage.committed_bytes);
	EXPECT_EQ(0, usage.exclusive_bytes);
	vmo_close(child);
	vmo_close(vmo);
}

TEST_HARNESS_MAIN
