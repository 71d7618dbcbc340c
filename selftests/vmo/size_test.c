// SPDX-License-Identifier: GPL-2.0
/* Resizing and zeroing, and what mappings and clones see of it. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

static int resizable(int dev, size_t pages, uint64_t base)
{
	int fd = vmo_new_flags(dev, pages * PS, VMO_CREATE_RESIZABLE);

	for (size_t i = 0; base && i < pages; i++)
		if (write_page(fd, i, base + i))
			return -1;
	return fd;
}

static bool bytes_are(const char *p, size_t from, size_t to, char c)
{
	for (size_t i = from; i < to; i++)
		if (p[i] != c)
			return false;
	return true;
}

TEST_F(vmo, c3_s1_who_may_resize)
{
	int fd = vmo_new_pages(self->dev, 4), can = resizable(self->dev, 4, 0), clone;

	EXPECT_ERRNO(EPERM, vmo_set_size(fd, 4 * PS));
	EXPECT_ERRNO(EPERM, vmo_set_size(fd, 0));
	EXPECT_ERRNO(EPERM, ftruncate(fd, 5 * PS));
	EXPECT_EQ(0, ftruncate(fd, 4 * PS));
	EXPECT_ERRNO(ERANGE, vmo_set_size(can, MAX_SIZE + 1));
	EXPECT_ERRNO(ERANGE, vmo_set_size(can, -1ULL));
	EXPECT_EQ(0, vmo_set_size(can, MAX_SIZE));
	EXPECT_EQ(MAX_SIZE, info_of(can).size);
	EXPECT_EQ(0, vmo_set_size(can, 0));
	EXPECT_EQ(0, info_of(can).size);
	/* The largest of a window ends where the first ancestor's keys end. */
	EXPECT_EQ(0, vmo_set_size(can, 4 * PS));
	{
		struct vmo_clone arg = {
			.offset = 2 * PS, .size = PS,
			.flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_RESIZABLE,
		};

		ASSERT_EQ(0, ioctl(can, VMO_CLONE, &arg));
		clone = arg.fd;
	}
	EXPECT_ERRNO(EINVAL, vmo_set_size(clone, MAX_SIZE));
	EXPECT_ERRNO(EINVAL, vmo_set_size(clone, MAX_SIZE - PS));
	EXPECT_EQ(0, vmo_set_size(clone, MAX_SIZE - 2 * PS));
	close(clone);
	close(can);
	close(fd);
}

TEST_F(vmo, z2_z3_clones_and_sizes)
{
	int fd = resizable(self->dev, 20, 40), clone = vmo_clone_flags(fd, 20 * PS,
								      VMO_CLONE_RESIZABLE);

	ASSERT_LE(0, clone);
	EXPECT_EQ(0, write_page(clone, 3, 7));
	EXPECT_EQ(0, vmo_set_size(fd, 0));
	EXPECT_EQ(-1, wrong_page_fd(clone, 3, 1, 4));
	EXPECT_EQ(-1, wrong_page_fd(clone, 4, 16, 40));
	/* What the clone cut never comes back, though it was the parent's. */
	EXPECT_EQ(0, vmo_set_size(clone, 10 * PS));
	EXPECT_EQ(0, vmo_set_size(clone, 30 * PS));
	EXPECT_EQ(-1, wrong_page_fd(clone, 4, 6, 40));
	EXPECT_EQ(-1, wrong_page_fd(clone, 10, 20, 0));
	close(clone);
	close(fd);
}

TEST_F(vmo, mp1_a_mapping_may_wait_for_its_object_to_grow)
{
	int fd = resizable(self->dev, 1, 5), big = resizable(self->dev, 0, 0);
	char *p = vmo_map(fd, 1000, RW), *q = vmo_map(big, 4, RO);

	ASSERT_NE(NULL, q);
	EXPECT_EQ(0, touch(p, false));
	EXPECT_EQ(SIGBUS, touch(p + PS, false));
	EXPECT_EQ(SIGBUS, touch(p + 999 * PS, true));
	EXPECT_EQ(SIGBUS, touch(q, false));
	EXPECT_EQ(0, vmo_set_size(fd, 1000 * PS));
	EXPECT_EQ(0, write_page(big, 1, 9));		/* grows it */
	fill_page(p + 999 * PS, 6);
	EXPECT_EQ(-1, wrong_page_fd(fd, 999, 1, 6 - 999));
	EXPECT_TRUE(page_is(p + 500 * PS, 0));
	EXPECT_TRUE(page_is(q + PS, 9));
	EXPECT_EQ(SIGSEGV, touch(q, true));
	munmap(p, 1000 * PS);
	munmap(q, 4 * PS);
	close(big);
	close(fd);
}

TEST_F(vmo, o1_o2_zero_of_bytes)
{
	int fd = vmo_new_pages(self->dev, 8);
	char *p = vmo_map(fd, 8, RW);

	ASSERT_NE(NULL, p);
	EXPECT_ERRNO(ERANGE, vmo_op(fd, VMO_OP_ZERO, 7 * PS + 1, PS));
	EXPECT_ERRNO(ERANGE, vmo_op(fd, VMO_OP_ZERO, 100, -100ULL));
	EXPECT_ERRNO(ERANGE, vmo_op(fd, VMO_OP_ZERO, 8 * PS + 1, 0));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 8 * PS, 0));
	/* What reads zero already is not made a page. */
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 10, 8 * PS - 20));
	EXPECT_EQ(0, info_of(fd).committed_bytes);
	memset(p, 'z', 8 * PS);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 100, 50));
	EXPECT_TRUE(bytes_are(p, 0, 100, 'z') && bytes_are(p, 100, 150, 0) &&
		    bytes_are(p, 150, PS, 'z'));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, PS + 10, PS));
	EXPECT_TRUE(bytes_are(p, PS, PS + 10, 'z') && bytes_are(p, PS + 10, 2 * PS + 10, 0) &&
		    bytes_are(p, 2 * PS + 10, 3 * PS, 'z'));
	EXPECT_EQ(8 * PS, info_of(fd).committed_bytes);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 4 * PS - 1, 3 * PS + 2));
	EXPECT_TRUE(bytes_are(p, 3 * PS, 4 * PS - 1, 'z') &&
		    bytes_are(p, 4 * PS - 1, 7 * PS + 1, 0) &&
		    bytes_are(p, 7 * PS + 1, 8 * PS, 'z'));
	EXPECT_EQ(5 * PS, info_of(fd).committed_bytes);
	munmap(p, 8 * PS);
	close(fd);
}

/* O3, O5: through any object of the family, and only there. */
TEST_F(vmo, o3_o5_zero_of_clones_and_slices)
{
	int fd = resizable(self->dev, 40, 10), clone = vmo_snap(fd), fixed, slice;
	struct vmo_info info;

	EXPECT_EQ(0, vmo_op(clone, VMO_OP_ZERO, 5 * PS, 10 * PS));
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_ZERO, 20 * PS + 8, 8));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 40, 10));
	EXPECT_EQ(-1, wrong_page_fd(clone, 0, 5, 10));
	EXPECT_EQ(-1, wrong_page_fd(clone, 5, 10, 0));
	EXPECT_EQ(-1, wrong_page_fd(clone, 15, 5, 10));
	info = info_of(clone);
	EXPECT_EQ(30 * PS, info.committed_bytes);
	EXPECT_EQ(PS, info.private_bytes);	/* the page of which a part was zeroed */
	EXPECT_EQ(0, write_page(fd, 6, 99));
	EXPECT_EQ(-1, wrong_page_fd(clone, 6, 1, 0));
	fixed = vmo_new_pages(self->dev, 10);
	slice = vmo_slice(fixed, 4 * PS, 4 * PS, 0);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, write_page(fixed, i, 60 + i));
	EXPECT_EQ(0, vmo_op(slice, VMO_OP_ZERO, PS, 2 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fixed, 0, 5, 60));
	EXPECT_EQ(-1, wrong_page_fd(fixed, 5, 2, 0));
	EXPECT_EQ(-1, wrong_page_fd(fixed, 7, 3, 60));
	close(slice);
	close(fixed);
	close(clone);
	close(fd);
}

/* K4: the mappings of the source lose write, not the page; the next write forks. */
TEST_F(vmo, k4_k10_writes_after_a_snapshot_fork)
{
	int fd = resizable(self->dev, 64, 10), a, b;
	char *p = vmo_map(fd, 64, RW);

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 64, 10);
	a = vmo_snap(fd);
	b = vmo_snap(a);
	EXPECT_EQ(64 * PS, info_of(fd).shared_bytes);
	fill_page(p + 5 * PS, 1);
	EXPECT_EQ(PS, info_of(fd).private_bytes);
	EXPECT_EQ(0, write_page(b, 6, 2));
	EXPECT_EQ(PS, info_of(b).private_bytes);
	EXPECT_EQ(0, info_of(a).private_bytes);
	EXPECT_EQ(-1, wrong_page_fd(a, 0, 64, 10));
	EXPECT_EQ(self->pages + 66, vmo_counter("pages"));
	/* What only one of them still shows is its own, and is written in place. */
	close(a);
	EXPECT_EQ(self->objects + 2, vmo_counter_becomes("objects", self->objects + 2));
	close(b);
	EXPECT_EQ(self->pages + 64, vmo_counter_becomes("pages", self->pages + 64));
	fill_pages(p, 0, 64, 700);
	EXPECT_EQ(self->pages + 64, vmo_counter("pages"));
	munmap(p, 64 * PS);
	close(fd);
}

TEST_F(vmo, k14_k15_reading_and_committing_clones)
{
	int fd = resizable(self->dev, 32, 0), clone;
	long nodes;
	char *p;

	for (int i = 0; i < 16; i++)
		ASSERT_EQ(0, write_page(fd, i, 20 + i));
	clone = vmo_snap(fd);
	nodes = vmo_counter("nodes");
	p = vmo_map(clone, 32, RW);
	/* Reading makes nothing, by any way. */
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 20));
	EXPECT_EQ(-1, wrong_page(p, 16, 16, 0));
	EXPECT_EQ(-1, wrong_page_fd(clone, 16, 16, 0));
	EXPECT_EQ(0, madvise(p, 32 * PS, MADV_POPULATE_READ));
	EXPECT_EQ(self->pages + 16, vmo_counter("pages"));
	EXPECT_EQ(nodes, vmo_counter("nodes"));
	/* One page for the side that writes over nothing. */
	EXPECT_EQ(0, write_page(clone, 20, 1));
	EXPECT_EQ(16 * PS, info_of(fd).committed_bytes);
	EXPECT_EQ(self->pages + 17, vmo_counter("pages"));
	/* A commit gives the clone its own, and the parent nothing. */
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_COMMIT, 0, 32 * PS));
	EXPECT_EQ(32 * PS, info_of(clone).private_bytes);
	EXPECT_EQ(16 * PS, info_of(fd).private_bytes);
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 20));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(clone, VMO_OP_DECOMMIT, 0, PS));
	munmap(p, 32 * PS);
	close(clone);
	close(fd);
}

/* MP3: what is there is mapped around a fault, what is not is not made. MP7: nor by populate. */
TEST_F(vmo, mp2_mp3_mp7_what_faults_and_populate_map)
{
	int fd = resizable(self->dev, 64, 0);
	unsigned char there[64];
	char *p;

	for (int i = 0; i < 32; i += 2)
		ASSERT_EQ(0, write_page(fd, i, 20 + i));
	p = vmo_map(fd, 64, RO);
	EXPECT_TRUE(page_is(p + PS, 0));
	EXPECT_TRUE(page_is(p + 2 * PS, 22));
	EXPECT_EQ(16 * PS, info_of(fd).committed_bytes);
	munmap(p, 64 * PS);
	p = vmo_map_at(fd, 0, 64, RO, MAP_SHARED | MAP_POPULATE);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(16 * PS, info_of(fd).committed_bytes);
	EXPECT_EQ(0, mincore(p, 64 * PS, there));
	for (int i = 0; i < 32; i += 2)
		EXPECT_TRUE(page_is(p + i * PS, 20 + i));
	munmap(p, 64 * PS);
	/* A mapping that is longer than the object is populated as far as that goes. */
	p = vmo_map_at(fd, 32 * PS, 64, RW, MAP_SHARED | MAP_POPULATE);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(16 * PS, info_of(fd).committed_bytes);	/* it reads */
	EXPECT_EQ(0, madvise(p, 32 * PS, MADV_POPULATE_WRITE));
	EXPECT_EQ(48 * PS, info_of(fd).committed_bytes);
	EXPECT_EQ(SIGBUS, touch(p + 32 * PS, true));
	munmap(p, 64 * PS);
	close(fd);
}

/* The bits that chmod() may set take no part in any of it, whoever asks. */
static int odd_mode(int fd)
{
	if (fchown(fd, 12345, 12345) || setgid(12345) || setuid(12345) || fchmod(fd, 06700))
		return 1;
	if (vmo_set_size(fd, 3 * PS + 1) || ftruncate(fd, 4 * PS))
		return 2;
	if (vmo_op(fd, VMO_OP_ZERO, 5, 2 * PS) || vmo_op(fd, VMO_OP_DECOMMIT, 0, PS))
		return 3;
	if (fallocate(fd, 0, 0, 6 * PS) || fallocate(fd, 3, PS, PS))
		return 4;
	return pwrite(fd, "x", 1, 7 * PS) == 1 ? 0 : 5;
}

TEST_F(vmo, size_changes_of_an_object_with_any_mode)
{
	int fd = resizable(self->dev, 4, 9), pid = fork(), status;

	if (!pid)
		_exit(odd_mode(fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

TEST_HARNESS_MAIN
