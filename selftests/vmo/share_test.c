// SPDX-License-Identifier: GPL-2.0
/* Slices and references: objects that show memory which is another one's, too. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include <poll.h>

static bool childless(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLPRI;
}

TEST_F(vmo, l1_order_of_errors)
{
	int fd = vmo_new_pages(self->dev, 4), slice;
	int resizable = vmo_new_flags(self->dev, 4 * PS, VMO_CREATE_RESIZABLE);
	int ref = vmo_reference(resizable, 0);

	EXPECT_ERRNO(EINVAL, vmo_slice(fd, 1, PS, 0));
	EXPECT_ERRNO(EINVAL, vmo_slice(fd, 1, -1ULL, 0));
	EXPECT_ERRNO(ERANGE, vmo_slice(fd, 0, MAX_SIZE + 1, 0));
	EXPECT_ERRNO(ERANGE, vmo_slice(fd, 0, -1ULL, 0));
	EXPECT_ERRNO(EINVAL, vmo_slice(fd, 0, 4 * PS + 1, 0));
	EXPECT_ERRNO(EINVAL, vmo_slice(fd, 4 * PS, 1, 0));
	EXPECT_ERRNO(EINVAL, vmo_slice(fd, 5 * PS, 0, 0));
	EXPECT_ERRNO(EINVAL, vmo_slice(fd, -PS, PS, 0));
	EXPECT_ERRNO(EINVAL, vmo_slice(resizable, 0, 5 * PS, 0));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_slice(resizable, 0, PS, 0));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_slice(ref, 0, PS, 0));
	for (int bit = 0; bit < 32; bit++)
		if (1U << bit != VMO_SLICE_NO_WRITE)
			EXPECT_ERRNO(EINVAL, vmo_slice(fd, 0, PS, 1U << bit));
	/* Nothing at all is a slice, too, at the end as well. */
	for (int at = 0; at <= 4; at += 4) {
		slice = vmo_slice(fd, at * PS, 0, 0);
		ASSERT_LE(0, slice);
		EXPECT_EQ(0, info_of(slice).size);
		EXPECT_EQ(0, vmo_op(slice, VMO_OP_COMMIT, 0, 0));
		EXPECT_ERRNO(ERANGE, vmo_op(slice, VMO_OP_COMMIT, 0, 1));
		EXPECT_ERRNO(ENOSPC, pwrite(slice, "x", 1, 0));
		close(slice);
	}
	close(ref);
	close(resizable);
	close(fd);
}

TEST_F(vmo, l2_l3_a_slice_is_the_memory_at_an_offset)
{
	int fd = vmo_filled(self->dev, 100, 0, 1000), slice, inner;
	char *p = vmo_map(fd, 100, RW), *q;

	slice = vmo_slice(fd, 30 * PS, 40 * PS, 0);
	inner = vmo_slice(slice, 10 * PS, 5 * PS, 0);
	ASSERT_LE(0, inner);
	EXPECT_EQ(-1, wrong_page_fd(slice, 0, 40, 1030));
	EXPECT_EQ(-1, wrong_page_fd(inner, 0, 5, 1040));
	q = vmo_map(inner, 5, RW);
	ASSERT_NE(NULL, q);
	fill_page(q + PS, 7);
	EXPECT_TRUE(page_is(p + 41 * PS, 7));
	EXPECT_EQ(0, write_page(slice, 12, 8));
	EXPECT_TRUE(page_is(q + 2 * PS, 8));
	/* Every operation is bounded by the slice, however far the memory goes on. */
	EXPECT_ERRNO(ERANGE, vmo_op(inner, VMO_OP_ZERO, 4 * PS, 2 * PS));
	EXPECT_ERRNO(ERANGE, vmo_op(inner, VMO_OP_DECOMMIT, 5 * PS, PS));
	EXPECT_ERRNO(ERANGE, vmo_op(inner, VMO_OP_COMMIT, 5 * PS, 1));
	EXPECT_ERRNO(ERANGE, vmo_pin_flags(inner, 5 * PS, PS, VMO_PIN_READ));
	EXPECT_ERRNO(ENOSPC, write_page(inner, 5, 1) ? -1 : 0);
	EXPECT_EQ(0, vmo_op(inner, VMO_OP_ZERO, 0, PS));
	EXPECT_EQ(0, vmo_op(inner, VMO_OP_DECOMMIT, 4 * PS, PS));
	EXPECT_TRUE(page_is(p + 40 * PS, 0) && page_is(q + 4 * PS, 0));
	EXPECT_EQ(-1, wrong_page(p, 45, 55, 1000));
	/* The pages live as long as a slice does. */
	munmap(p, 100 * PS);
	close(fd);
	close(slice);
	EXPECT_TRUE(page_is(q + PS, 7));
	EXPECT_EQ(-1, wrong_page_fd(inner, 3, 1, 1040));
	munmap(q, 5 * PS);
	close(inner);
}

TEST_F(vmo, l4_a_pin_through_a_slice)
{
	int fd = vmo_filled(self->dev, 10, 0, 50), slice = vmo_slice(fd, 4 * PS, 2 * PS, 0), pin;

	pin = vmo_pin_flags(slice, PS, PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	EXPECT_ERRNO(EBADFD, vmo_op(fd, VMO_OP_DECOMMIT, 5 * PS, PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 4 * PS, PS));
	EXPECT_EQ(PS, info_of(fd).pinned_bytes);
	EXPECT_ERRNO(EBADFD, vmo_snap(fd));
	close(pin);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 5 * PS, PS));
	close(slice);
	close(fd);
}

TEST_F(vmo, l5_f5_no_pages_are_charged)
{
	int fd = vmo_filled(self->dev, 10, 0, 50), slice = vmo_slice(fd, 0, 10 * PS, 0);
	int ref = vmo_reference(fd, 0);
	const int both[] = { slice, ref };

	for (int closed = 0; closed < 2; closed++) {
		for (int i = 0; i < 2; i++) {
			struct vmo_info info = info_of(both[i]);

			EXPECT_EQ(0, info.committed_bytes);
			EXPECT_EQ(0, info.private_bytes);
			EXPECT_EQ(0, info.shared_bytes);
			EXPECT_EQ(0, info.scaled_bytes);
			EXPECT_EQ(0, info.metadata_bytes);
			EXPECT_EQ(-1, wrong_page_fd(both[i], 0, 10, 50));
		}
		if (!closed) {
			EXPECT_EQ(10 * PS, info_of(fd).private_bytes);
			close(fd);
		}
	}
	close(slice);
	close(ref);
}

TEST_F(vmo, l5_slices_have_a_content_size_of_their_own)
{
	int fd = vmo_new(self->dev, 100), slice = vmo_slice(fd, 0, 10, 0), ref;

	EXPECT_EQ(10, st_size(slice));
	EXPECT_EQ(4, pwrite(slice, "long", 4, 50));
	EXPECT_EQ(54, st_size(slice));
	EXPECT_EQ(100, st_size(fd));
	EXPECT_EQ(1, pwrite(fd, "x", 1, 200));
	EXPECT_EQ(54, st_size(slice));
	/* A reference of a slice has the slice's. */
	ref = vmo_reference(slice, 0);
	ASSERT_LE(0, ref);
	EXPECT_EQ(54, st_size(ref));
	EXPECT_EQ(1, pwrite(ref, "x", 1, 300));
	EXPECT_EQ(301, st_size(slice));
	EXPECT_EQ(201, st_size(fd));
	EXPECT_EQ(PS, info_of(ref).size);
	close(ref);
	close(slice);
	close(fd);
}

/* MADV_REMOVE and MADV_WILLNEED turn offsets of a mapping into offsets of its file. */
TEST_F(vmo, mp5_advice_through_slices_hits_the_right_bytes)
{
	int fd = vmo_filled(self->dev, 100, 0, 300), slice = vmo_slice(fd, 20 * PS, 60 * PS, 0);
	int inner = vmo_slice(slice, 10 * PS, 20 * PS, 0), clone, window;
	char *p = vmo_map_at(inner, 5 * PS, 10, RW, MAP_SHARED), *q;

	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, madvise(p, 10 * PS, MADV_WILLNEED));
	EXPECT_EQ(0, madvise(p + 2 * PS, 3 * PS, MADV_REMOVE));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 37, 300));
	EXPECT_EQ(-1, wrong_page_fd(fd, 37, 3, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 40, 60, 300));
	EXPECT_TRUE(page_is(p + 2 * PS, 0));
	clone = vmo_snap(fd);
	window = vmo_window(clone, 50 * PS, 20 * PS);
	munmap(p, 10 * PS);
	q = vmo_map_at(window, 4 * PS, 8, RW, MAP_SHARED);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(0, madvise(q, 2 * PS, MADV_REMOVE));
	munmap(q, 8 * PS);
	EXPECT_EQ(-1, wrong_page_fd(window, 4, 2, 0));
	EXPECT_EQ(-1, wrong_page_fd(window, 6, 14, 350));
	EXPECT_EQ(-1, wrong_page_fd(clone, 40, 60, 300));
	/* Past the end of the slice there is nothing to remove. */
	q = vmo_map(inner, 30, RW);
	EXPECT_EQ(0, madvise(q, 30 * PS, MADV_REMOVE));
	munmap(q, 30 * PS);
	EXPECT_EQ(-1, wrong_page_fd(fd, 30, 20, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 50, 50, 300));
	close(window);
	close(clone);
	close(inner);
	close(slice);
	close(fd);
}

TEST_F(vmo, f1_errors)
{
	struct vmo_reference arg = { .offset = PS };
	int fd = vmo_new_pages(self->dev, 4), plain, same;
	int resizable = vmo_new_flags(self->dev, 4 * PS, VMO_CREATE_RESIZABLE);

	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_REFERENCE, &arg));
	arg = (struct vmo_reference) { .size = 4 * PS };
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_REFERENCE, &arg));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_reference(fd, VMO_REFERENCE_RESIZABLE));
	EXPECT_ERRNO(EINVAL, vmo_reference(resizable, VMO_REFERENCE_RESIZABLE |
					   VMO_REFERENCE_NO_WRITE));
	plain = vmo_reference(resizable, 0);
	EXPECT_ERRNO(EACCES, vmo_reference(plain, VMO_REFERENCE_RESIZABLE));
	same = vmo_reference(resizable, VMO_REFERENCE_RESIZABLE);
	EXPECT_LE(0, same);
	close(same);
	close(plain);
	close(resizable);
	close(fd);
}

TEST_F(vmo, f2_f3_f4_one_memory_and_one_size)
{
	int fd = vmo_new_flags(self->dev, 10, VMO_CREATE_RESIZABLE), a, b;
	uint64_t id = info_of(fd).id, id_a;
	char *p;

	a = vmo_reference(fd, VMO_REFERENCE_RESIZABLE);
	b = vmo_reference(a, 0);
	ASSERT_LE(0, b);
	id_a = info_of(a).id;
	EXPECT_EQ(id, info_of(a).parent_id);
	EXPECT_EQ(id_a, info_of(b).parent_id);
	EXPECT_EQ(1, info_of(fd).children);
	EXPECT_EQ(1, info_of(a).children);
	EXPECT_EQ(0, vmo_set_size(a, 5 * PS + 3));
	EXPECT_EQ(5 * PS + 3, st_size(fd));
	EXPECT_EQ(5 * PS + 3, st_size(b));
	EXPECT_EQ(6 * PS, info_of(b).size);
	EXPECT_ERRNO(EACCES, vmo_set_size(b, PS));
	EXPECT_ERRNO(EACCES, ftruncate(b, PS));
	EXPECT_EQ(2, pwrite(b, "xy", 2, 6 * PS - 2));	/* up to the size, not over it */
	EXPECT_ERRNO(ENOSPC, pwrite(b, "xy", 2, 6 * PS));
	EXPECT_EQ(6 * PS, st_size(fd));
	p = vmo_map(b, 6, RW);
	fill_pages(p, 0, 6, 90);
	EXPECT_EQ(-1, wrong_page_fd(a, 0, 6, 90));
	/* The owner goes; the references do not become each other's children. */
	close(fd);
	EXPECT_EQ(self->objects + 2, vmo_counter_becomes("objects", self->objects + 2));
	EXPECT_EQ(0, info_of(a).parent_id);
	EXPECT_EQ(id_a, info_of(b).parent_id);
	EXPECT_EQ(0, vmo_set_size(a, 2 * PS));
	EXPECT_EQ(SIGBUS, touch(p + 2 * PS, false));
	EXPECT_EQ(0, touch(p + PS, true));
	EXPECT_EQ(2 * PS, st_size(b));
	munmap(p, 6 * PS);
	close(a);
	close(b);
}

TEST_F(vmo, f6_children_of_references)
{
	int fd = vmo_filled(self->dev, 10, 0, 600), ref = vmo_reference(fd, 0), snap, slice, grand;

	snap = vmo_window(ref, 2 * PS, 4 * PS);
	slice = vmo_slice(ref, 2 * PS, 4 * PS, 0);
	grand = vmo_reference(snap, 0);
	ASSERT_LE(0, grand);
	EXPECT_EQ(info_of(ref).id, info_of(snap).parent_id);
	EXPECT_EQ(info_of(ref).id, info_of(slice).parent_id);
	EXPECT_EQ(0, write_page(fd, 3, 11));
	EXPECT_EQ(-1, wrong_page_fd(slice, 1, 1, 10));
	EXPECT_EQ(-1, wrong_page_fd(grand, 0, 4, 602));
	EXPECT_EQ(0, write_page(grand, 0, 77));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 1, 77));
	EXPECT_EQ(-1, wrong_page_fd(fd, 2, 1, 600));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(grand, VMO_OP_DECOMMIT, 0, PS));
	close(ref);
	close(fd);
	EXPECT_EQ(-1, wrong_page_fd(slice, 0, 1, 602));
	EXPECT_EQ(-1, wrong_page_fd(snap, 1, 3, 602));
	close(grand);
	close(snap);
	close(slice);
}

/* K7, lifted: the clone of a slice has what the slice shows, and no more. */
TEST_F(vmo, k7_k3_clone_of_a_slice)
{
	int fd = vmo_filled(self->dev, 80, 0, 100), clone;
	int slice = vmo_slice(fd, 10 * PS, 40 * PS, 0);

	clone = vmo_window(slice, 5 * PS, 60 * PS);
	ASSERT_LE(0, clone);
	EXPECT_EQ(-1, wrong_page_fd(clone, 0, 35, 115));
	EXPECT_EQ(-1, wrong_page_fd(clone, 35, 25, 0));
	EXPECT_EQ(0, write_page(fd, 16, 5));
	EXPECT_EQ(0, write_page(clone, 40, 6));
	EXPECT_EQ(-1, wrong_page_fd(clone, 0, 35, 115));
	EXPECT_EQ(-1, wrong_page_fd(fd, 55, 1, 100));
	close(vmo_window(slice, 40 * PS, PS));
	close(fd);
	close(slice);
	EXPECT_EQ(-1, wrong_page_fd(clone, 0, 35, 115));
	close(clone);
}

/* A window of nothing has nothing, also when it grows. */
TEST_F(vmo, k3_z2_empty_windows)
{
	int fd = vmo_filled(self->dev, 8, 0, 100), slice = vmo_slice(fd, 0, 0, 0), clone[3];

	clone[0] = vmo_clone_flags(fd, 0, VMO_CLONE_RESIZABLE);
	clone[1] = vmo_clone_flags(slice, 8 * PS, 0);
	clone[2] = vmo_clone_flags(slice, 0, VMO_CLONE_RESIZABLE);
	EXPECT_EQ(8 * PS, info_of(fd).private_bytes);
	for (int i = 0; i < 3; i++) {
		ASSERT_LE(0, clone[i]);
		EXPECT_EQ(0, info_of(clone[i]).committed_bytes);
		if (i != 1)
			EXPECT_EQ(0, vmo_set_size(clone[i], 8 * PS));
		EXPECT_EQ(-1, wrong_page_fd(clone[i], 0, 8, 0));
		close(clone[i]);
	}
	close(slice);
	close(fd);
}

TEST_F(vmo, h1_h5_h6_kinds_names_flags)
{
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "mother" };
	int fd = vmo_new_flags(self->dev, 4 * PS, VMO_CREATE_EXEC), child[5];
	const uint64_t want[5] = {
		VMO_INFO_COW_CLONE,
		VMO_INFO_COW_CLONE | VMO_INFO_NO_WRITE | VMO_INFO_IMMUTABLE | VMO_INFO_EXEC,
		VMO_INFO_COW_CLONE | VMO_INFO_RESIZABLE | VMO_INFO_MAY_RESIZE,
		VMO_INFO_SLICE | VMO_INFO_NO_WRITE | VMO_INFO_EXEC,
		VMO_INFO_REFERENCE | VMO_INFO_EXEC,
	};

	ASSERT_EQ(0, ioctl(fd, VMO_NAME, &name));
	EXPECT_ERRNO(EINVAL, vmo_clone_flags(fd, PS, VMO_CLONE_NO_WRITE | VMO_CLONE_RESIZABLE));
	EXPECT_TRUE(childless(fd));
	child[0] = vmo_clone_flags(fd, 4 * PS, 0);
	child[1] = vmo_clone_flags(fd, 4 * PS, VMO_CLONE_NO_WRITE);
	child[2] = vmo_clone_flags(fd, 4 * PS, VMO_CLONE_RESIZABLE);
	child[3] = vmo_slice(fd, 0, PS, VMO_SLICE_NO_WRITE);
	child[4] = vmo_reference(fd, 0);
	EXPECT_EQ(5, info_of(fd).children);
	EXPECT_FALSE(childless(fd));
	for (int i = 0; i < 5; i++) {
		ASSERT_LE(0, child[i]);
		EXPECT_EQ(want[i], info_of(child[i]).flags);
		EXPECT_EQ(0, strcmp("mother", info_of(child[i]).name));
		EXPECT_TRUE(childless(child[i]));
		close(child[i]);
		EXPECT_EQ(i == 4, childless(fd));
	}
	close(fd);
}

static const uint32_t kinds = 3;

static int child_of_kind(int fd, uint32_t kind, bool no_write)
{
	switch (kind) {
	case 0:
		return vmo_clone_flags(fd, PS, no_write ? VMO_CLONE_NO_WRITE : 0);
	case 1:
		return vmo_slice(fd, 0, PS, no_write ? VMO_SLICE_NO_WRITE : 0);
	default:
		return vmo_reference(fd, no_write ? VMO_REFERENCE_NO_WRITE : 0);
	}
}

/* What cannot be written cannot be, by anybody, however it is opened or mapped. */
TEST_F(vmo, r2_no_write)
{
	int fd = vmo_new_pages(self->dev, 1);

	for (uint32_t kind = 0; kind < kinds; kind++) {
		int child = child_of_kind(fd, kind, true);
		char *p;

		ASSERT_LE(0, child);
		EXPECT_EQ(O_RDONLY, fcntl(child, F_GETFL) & O_ACCMODE);
		EXPECT_ERRNO(EACCES, vmo_reopen(child, O_RDWR));
		EXPECT_ERRNO(EACCES, vmo_reopen(child, O_WRONLY));
		EXPECT_ERRNO(EBADF, pwrite(child, "x", 1, 0));
		EXPECT_ERRNO(EACCES, vmo_op(child, VMO_OP_COMMIT, 0, PS));
		p = mmap(NULL, PS, RW, MAP_SHARED, child, 0);
		EXPECT_EQ(MAP_FAILED, p);
		p = vmo_map(child, 1, RO);
		ASSERT_NE(NULL, p);
		EXPECT_ERRNO(EACCES, mprotect(p, PS, RW));
		munmap(p, PS);
		p = vmo_map_at(child, 0, 1, RW, MAP_PRIVATE);
		EXPECT_EQ(0, touch(p, true));
		munmap(p, PS);
		close(child);
	}
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 0));
	close(fd);
}

TEST_F(vmo, r2_children_of_a_read_only_descriptor)
{
	int fd = vmo_new_pages(self->dev, 1);
	int ro = vmo_reopen(fd, O_RDONLY), wo = vmo_reopen(fd, O_WRONLY);

	for (uint32_t kind = 0; kind < kinds; kind++) {
		int child = child_of_kind(ro, kind, false);

		ASSERT_LE(0, child);
		/* A copy may be written; what shares the memory may not. */
		EXPECT_EQ(kind == 0 ? 1 : -1, pwrite(child, "x", 1, 0));
		EXPECT_EQ(kind == 0, vmo_reopen(child, O_RDWR) >= 0);
		EXPECT_ERRNO(EACCES, child_of_kind(wo, kind, false));
		close(child);
	}
	for (int i = 3; i < 40; i++)
		if (i != self->dev && i != fd && i != ro && i != wo)
			close(i);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 0));
	close(ro);
	close(wo);
	close(fd);
}

TEST_HARNESS_MAIN
