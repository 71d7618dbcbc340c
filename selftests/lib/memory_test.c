// SPDX-License-Identifier: GPL-2.0
/* Sizes, ranges, pins and mappings by libvmo. */
#include "lib_test_util.h"

TEST_F(lib, resize)
{
	struct vmo *vmo = vmo_create(self->dev, 2 * PS, VMO_CREATE_RESIZABLE, NULL);
	struct vmo *fixed = new_pages(self->dev, 2), *reader = reopened(vmo, O_RDONLY);

	ASSERT_TRUE(fill(vmo, 1, 5));
	EXPECT_EQ(0, vmo_resize(vmo, PS + 1));
	EXPECT_EQ(2 * PS, vmo_size(vmo));
	EXPECT_EQ(PS + 1, INFO(vmo, content_size));
	EXPECT_EQ(0, vmo_resize(vmo, 0));
	EXPECT_EQ(0, vmo_size(vmo));
	EXPECT_EQ(0, vmo_resize(vmo, 2 * PS));
	EXPECT_TRUE(holds(vmo, 1, 0));
	EXPECT_ERRNO(ERANGE, vmo_resize(vmo, MAX_SIZE + 1));
	EXPECT_ERRNO(EPERM, vmo_resize(fixed, PS));
	EXPECT_ERRNO(EACCES, vmo_resize(reader, PS));
	EXPECT_EQ(2 * PS, vmo_size(vmo));
	vmo_close(reader);
	vmo_close(fixed);
	vmo_close(vmo);
}

TEST_F(lib, commit_and_decommit)
{
	struct vmo *vmo = new_pages(self->dev, 4), *reader = reopened(vmo, O_RDONLY), *child;

	EXPECT_EQ(0, vmo_commit(vmo, PS + 1, PS));
	EXPECT_EQ(2 * PS, INFO(vmo, committed_bytes));
	EXPECT_EQ(0, vmo_decommit(vmo, 2 * PS, PS));
	EXPECT_EQ(PS, INFO(vmo, committed_bytes));
	EXPECT_EQ(0, vmo_commit(vmo, 4 * PS, 0));
	EXPECT_ERRNO(ERANGE, vmo_commit(vmo, 3 * PS, PS + 1));
	EXPECT_ERRNO(ERANGE, vmo_decommit(vmo, 4 * PS, PS));
	EXPECT_ERRNO(EINVAL, vmo_decommit(vmo, 1, PS));
	EXPECT_ERRNO(EINVAL, vmo_decommit(vmo, 0, 1));
	EXPECT_ERRNO(EACCES, vmo_commit(reader, 0, PS));
	EXPECT_ERRNO(EACCES, vmo_decommit(reader, 0, PS));
	child = vmo_snapshot(vmo);
	EXPECT_ERRNO(EOPNOTSUPP, vmo_decommit(child, 0, PS));
	vmo_close(child);
	vmo_close(reader);
	vmo_close(vmo);
}

TEST_F(lib, zero)
{
	struct vmo *vmo = new_pages(self->dev, 3), *reader = reopened(vmo, O_RDONLY);
	char byte[3];

	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(fill(vmo, i, 4 + i));
	ASSERT_EQ(1, vmo_write(vmo, "x", 1, PS - 2, 0));
	EXPECT_EQ(0, vmo_zero(vmo, PS - 1, PS + 1));
	EXPECT_EQ(2 * PS, INFO(vmo, committed_bytes));
	EXPECT_TRUE(holds(vmo, 1, 0));
	EXPECT_TRUE(holds(vmo, 2, 6));
	ASSERT_EQ(2, vmo_read(vmo, byte, 2, PS - 2, 0));
	EXPECT_EQ('x', byte[0]);
	EXPECT_EQ(0, byte[1]);
	EXPECT_ERRNO(ERANGE, vmo_zero(vmo, 3 * PS, 1));
	EXPECT_ERRNO(EACCES, vmo_zero(reader, 0, 1));
	vmo_close(reader);
	vmo_close(vmo);
}

TEST_F(lib, pin)
{
	struct vmo *vmo = new_pages(self->dev, 3), *reader = reopened(vmo, O_RDONLY);
	int pin = vmo_pin(vmo, PS, 2 * PS, VMO_PIN_READ | VMO_PIN_WRITE);

	ASSERT_LE(0, pin);
	EXPECT_CLOEXEC(pin);
	EXPECT_EQ(2 * PS, INFO(vmo, pinned_bytes));
	EXPECT_ERRNO(EBADFD, vmo_decommit(vmo, PS, PS));
	EXPECT_ERRNO(EINVAL, vmo_pin(vmo, 0, PS, 0));
	EXPECT_ERRNO(EINVAL, vmo_pin(vmo, 1, PS, VMO_PIN_READ));
	EXPECT_ERRNO(EINVAL, vmo_pin(vmo, 0, 0, VMO_PIN_READ));
	EXPECT_ERRNO(ERANGE, vmo_pin(vmo, 0, 4 * PS, VMO_PIN_READ));
	EXPECT_ERRNO(EACCES, vmo_pin(reader, 0, PS, VMO_PIN_WRITE));
	close(pin);
	EXPECT_EQ(0, INFO(vmo, pinned_bytes));
	EXPECT_EQ(0, vmo_decommit(vmo, PS, PS));
	vmo_close(reader);
	vmo_close(vmo);
}

TEST_F(lib, pin_is_bounded_by_memlock)
{
	struct rlimit limit = { 2 * PS, 2 * PS };
	struct vmo *vmo = new_pages(self->dev, 4);
	int pin;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERRNO(ENOMEM, vmo_pin(vmo, 0, 3 * PS, VMO_PIN_READ));
	pin = vmo_pin(vmo, 0, 2 * PS, VMO_PIN_READ);
	EXPECT_LE(0, pin);
	close(pin);
	vmo_close(vmo);
}

TEST_F(lib, map)
{
	struct vmo *vmo = vmo_create(self->dev, 2 * PS, VMO_CREATE_RESIZABLE, NULL);
	char *p = vmo_map(vmo, PS, 2 * PS, RW), *q = vmo_map(vmo, 0, 2 * PS, RO);

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, q);
	fill_page(p, 9);
	EXPECT_TRUE(page_is(q + PS, 9));
	EXPECT_TRUE(holds(vmo, 1, 9));
	/* Past the end, until the object has grown. */
	EXPECT_EQ(SIGBUS, touch(p + PS, true));
	ASSERT_EQ(0, vmo_resize(vmo, 3 * PS));
	EXPECT_EQ(0, touch(p + PS, true));
	EXPECT_EQ(SIGSEGV, touch(q, true));
	munmap(p, 2 * PS);
	munmap(q, 2 * PS);
	vmo_close(vmo);
}

TEST_F(lib, map_says_what_is_wrong)
{
	struct vmo *vmo = new_pages(self->dev, 2), *reader = reopened(vmo, O_RDONLY);
	struct vmo *closed = new_closed(self->dev);

	EXPECT_NONE(EINVAL, vmo_map(vmo, 1, PS, RO));
	EXPECT_NONE(EINVAL, vmo_map(vmo, 0, 0, RO));
	EXPECT_NONE(EOVERFLOW, vmo_map(vmo, -PS, PS, RO));
	EXPECT_NONE(ENOMEM, vmo_map(vmo, 0, SIZE_MAX, RO));
	EXPECT_NONE(EACCES, vmo_map(vmo, 0, PS, PROT_READ | PROT_EXEC));
	EXPECT_NONE(EACCES, vmo_map(reader, 0, PS, RW));
	EXPECT_NONE(EBADF, vmo_map(closed, 0, PS, RO));
	vmo_close(closed);
	vmo_close(reader);
	vmo_close(vmo);
}

TEST_F(lib, a_handle_without_its_descriptor)
{
	struct vmo *closed = new_closed(self->dev);

	EXPECT_ERRNO(EBADF, vmo_resize(closed, 0));
	EXPECT_ERRNO(EBADF, vmo_commit(closed, 0, 1));
	EXPECT_ERRNO(EBADF, vmo_decommit(closed, 0, PS));
	EXPECT_ERRNO(EBADF, vmo_zero(closed, 0, 1));
	EXPECT_ERRNO(EBADF, vmo_pin(closed, 0, PS, VMO_PIN_READ));
	vmo_close(closed);
}

TEST_HARNESS_MAIN
