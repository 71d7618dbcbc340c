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
	EXPECT_EQ(0, vmo_usage(vmo, 3 * PS, 2 * PS, &usage, sizeof(usage)));
	EXPECT_EQ(PS, usage.committed_bytes);
	EXPECT_EQ(PS, usage.exclusive_bytes);
	EXPECT_EQ(0, usage.private_bytes);
	EXPECT_EQ(0, vmo_usage(child, 0, UINT64_MAX, &usage, sizeof(usage)));
	EXPECT_EQ(2 * PS, usage.committed_bytes);
	EXPECT_EQ(0, usage.exclusive_bytes);
	vmo_close(child);
	vmo_close(vmo);
}

/* A program of a newer header than the module's, and sizes that no header has. */
TEST_F(lib, usage_of_every_size)
{
	struct vmo *vmo = new_pages(self->dev, 2), *closed = new_closed(self->dev);
	struct {
		struct vmo_usage usage;
		uint64_t more[4];
	} large;
	struct vmo_usage *usage = &large.usage;

	ASSERT_TRUE(fill(vmo, 1, 5));
	memset(&large, 0x55, sizeof(large));
	EXPECT_EQ(0, vmo_usage(vmo, PS, PS, usage, sizeof(large)));
	EXPECT_EQ(PS, usage->committed_bytes);
	EXPECT_EQ(PS, usage->offset);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, large.more[i]);
	memset(&large, 0x55, sizeof(large));
	EXPECT_ERRNO(EINVAL, vmo_usage(vmo, 0, PS, usage, sizeof(*usage) - 8));
	EXPECT_EQ(0x5555555555555555ULL, usage->metadata_bytes);
	for (size_t size = 0; size <= 15; size++)
		EXPECT_ERRNO(EINVAL, vmo_usage(vmo, 0, PS, usage, size));
	EXPECT_ERRNO(E2BIG, vmo_usage(vmo, 0, PS, usage, 1 << 14));
	EXPECT_ERRNO(E2BIG, vmo_usage(vmo, 0, PS, usage, SIZE_MAX));
	EXPECT_ERRNO(EBADF, vmo_usage(closed, 0, PS, usage, sizeof(*usage)));
	vmo_close(closed);
	vmo_close(vmo);
}

/* Who may only read the device may ask; fields that are not known are zero. */
TEST_F(lib, stats_readonly_and_of_every_size)
{
	struct {
		struct vmo_stats stats;
		uint64_t more[4];
	} large;
	int dev = vmo_device_open_readonly();
	struct vmo *vmo = new_pages(self->dev, 1);

	ASSERT_LE(0, dev);
	memset(&large, 0x55, sizeof(large));
	EXPECT_EQ(0, vmo_device_stats(dev, &large.stats, sizeof(large)));
	EXPECT_LE(1, large.stats.object_count);
	EXPECT_LE(large.stats.usage_hits + large.stats.usage_misses, large.stats.usage_queries);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, large.more[i]);
	EXPECT_ERRNO(EINVAL, vmo_device_stats(dev, &large.stats, 8));
	EXPECT_ERRNO(E2BIG, vmo_device_stats(dev, &large.stats, 1 << 14));
	EXPECT_ERRNO(EBADF, vmo_device_stats(-1, &large.stats, sizeof(large.stats)));
	vmo_close(vmo);
	close(dev);
}

/* Physical addresses, for whom they are told; an answer of a failure changes nothing. */
TEST_F(lib, lookup_of_one_page)
{
	struct vmo *vmo = new_pages(self->dev, 4);
	uint64_t offset = PS, length = PS;
	struct vmo_lookup_entry entry;

	EXPECT_ERRNO(ENOENT, vmo_lookup(vmo, &offset, &length, &entry, 1, VMO_LOOKUP_CONTIGUOUS));
	ASSERT_TRUE(fill(vmo, 1, 5));
	ASSERT_EQ(1, vmo_lookup(vmo, &offset, &length, &entry, 1, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_EQ(PS, entry.offset);
	EXPECT_NE(0, entry.address);
	EXPECT_EQ(0, entry.address % PS);
	EXPECT_EQ(2 * PS, offset);
	EXPECT_EQ(0, length);
	offset = 0;
	length = 2 * PS;
	EXPECT_ERRNO(EBADFD, vmo_lookup(vmo, &offset, &length, &entry, 1, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_ERRNO(EINVAL, vmo_lookup(vmo, &offset, &length, &entry, 1, 1U << 31));
	EXPECT_EQ(0, offset);
	EXPECT_EQ(2 * PS, length);
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERRNO(EPERM, vmo_lookup(vmo, &offset, &length, &entry, 1, VMO_LOOKUP_CONTIGUOUS));
	ASSERT_EQ(1, vmo_lookup(vmo, &offset, &length, &entry, 1, 0));
	EXPECT_EQ(PS, entry.offset);
	EXPECT_EQ(0, entry.address);
	vmo_close(vmo);
}

TEST_F(lib, handles_that_cannot)
{
	struct vmo *vmo = new_pages(self->dev, 2), *blind = reopened(vmo, O_WRONLY);
	struct vmo *closed = new_closed(self->dev), *reader = reopened(vmo, O_RDONLY);
	uint64_t offset = 0, length = 2 * PS;
	struct vmo_lookup_entry entry;
	struct vmo_page_run run;
	struct vmo_range range;
	rlim_t before;

	EXPECT_ERRNO(EACCES, vmo_pages(blind, &offset, &length, &run, 1));
	EXPECT_ERRNO(EACCES, vmo_lookup(blind, &offset, &length, &entry, 1, 0));
	EXPECT_ERRNO(EACCES, vmo_diff(vmo, blind, &offset, &length, &range, 1));
	EXPECT_ERRNO(EACCES, vmo_transfer(reader, 0, vmo, PS, PS));
	EXPECT_ERRNO(EACCES, vmo_transfer(vmo, 0, reader, PS, PS));
	EXPECT_ERRNO(EACCES, vmo_transfer(vmo, 0, blind, PS, PS));
	EXPECT_ERRNO(EACCES, vmo_rewind(reader));
	EXPECT_ERRNO(EBADF, vmo_pages(closed, &offset, &length, &run, 1));
	EXPECT_ERRNO(EBADF, vmo_lookup(closed, &offset, &length, &entry, 1, 0));
	EXPECT_ERRNO(EBADF, vmo_diff(closed, vmo, &offset, &length, &range, 1));
	EXPECT_ERRNO(EBADF, vmo_diff(vmo, closed, &offset, &length, &range, 1));
	EXPECT_ERRNO(EBADF, vmo_transfer(closed, 0, vmo, PS, PS));
	EXPECT_ERRNO(EBADF, vmo_rewind(closed));
	EXPECT_NONE(EBADF, vmo_restrict(closed, 0));
	EXPECT_EQ(0, offset);
	EXPECT_EQ(2 * PS, length);
	before = no_more_fds();
	EXPECT_NONE(EMFILE, vmo_restrict(vmo, VMO_RIGHT_READ));
	more_fds(before);
	vmo_close(reader);
	vmo_close(closed);
	vmo_close(blind);
	vmo_close(vmo);
}

/* Pages 1, 2 and 6 of 8 are told once, in pieces of one range. */
TEST_F(lib, harvest)
{
	struct vmo *vmo = new_pages(self->dev, 8);
	struct vmo_reaper *reaper = vmo_reaper_new(vmo);
	uint64_t offset = 0, length = UINT64_MAX;
	struct vmo_range range[2];

	ASSERT_NE(NULL, reaper);
	EXPECT_CLOEXEC(vmo_reaper_fd(reaper));
	ASSERT_TRUE(fill(vmo, 1, 5) && fill(vmo, 2, 5) && fill(vmo, 6, 5));
	EXPECT_EQ(2, vmo_harvest(reaper, &offset, &length, range, 2, VMO_HARVEST_KEEP));
	offset = 0;
	length = UINT64_MAX;
	ASSERT_EQ(1, vmo_harvest(reaper, &offset, &length, range, 1, 0));
	EXPECT_EQ(PS, range[0].offset);
	EXPECT_EQ(2 * PS, range[0].length);
	EXPECT_LE(3 * PS, offset);
	EXPECT_GE(6 * PS, offset);
	EXPECT_NE(0, length);
	ASSERT_EQ(1, vmo_harvest(reaper, &offset, &length, range, 2, 0));
	EXPECT_EQ(6 * PS, range[0].offset);
	EXPECT_EQ(PS, range[0].length);
	EXPECT_EQ(0, length);
	offset = 0;
	length = UINT64_MAX;
	EXPECT_EQ(0, vmo_harvest(reaper, &offset, &length, range, 2, 0));
	EXPECT_EQ(0, length);
	vmo_reaper_close(reaper);
	vmo_close(vmo);
}

/* The harvester keeps the object alive, and its bits count from the offset on. */
TEST_F(lib, harvest_bitmap)
{
	struct vmo *vmo = new_pages(self->dev, 130);
	struct vmo_reaper *reaper = vmo_reaper_new(vmo);
	uint64_t offset = PS, length = 129 * PS, words[3];

	ASSERT_NE(NULL, reaper);
	ASSERT_TRUE(fill(vmo, 1, 5) && fill(vmo, 64, 5) && fill(vmo, 129, 5));
	vmo_close(vmo);
	ASSERT_EQ(1, vmo_harvest_bitmap(reaper, &offset, &length, words, 1, VMO_HARVEST_KEEP));
	EXPECT_EQ(1ULL << 63 | 1, words[0]);
	EXPECT_EQ(65 * PS, offset);
	EXPECT_EQ(65 * PS, length);
	offset = PS;
	length = 129 * PS;
	ASSERT_EQ(3, vmo_harvest_bitmap(reaper, &offset, &length, words, 3, 0));
	EXPECT_EQ(1ULL << 63 | 1, words[0]);
	EXPECT_EQ(0, words[1]);
	EXPECT_EQ(1, words[2]);
	EXPECT_EQ(0, length);
	offset = PS;
	length = 129 * PS;
	ASSERT_EQ(3, vmo_harvest_bitmap(reaper, &offset, &length, words, 3, 0));
	EXPECT_EQ(0, words[0] | words[1] | words[2]);
	vmo_reaper_close(reaper);
}

TEST_F(lib, harvesters_of_descriptors)
{
	struct vmo *vmo = new_pages(self->dev, 2), *blind = reopened(vmo, O_WRONLY);
	struct vmo_reaper *reaper = vmo_reaper_new(vmo), *twin;
	uint64_t offset = 0, length = 2 * PS, word;
	struct vmo_range range;
	rlim_t before;

	ASSERT_NE(NULL, reaper);
	ASSERT_TRUE(fill(vmo, 1, 5));
	EXPECT_NONE(ENOTTY, vmo_reaper_from_fd(vmo_fd(vmo)));
	EXPECT_NONE(EBADF, vmo_reaper_from_fd(-1));
	EXPECT_NONE(EACCES, vmo_reaper_new(blind));
	twin = vmo_reaper_from_fd(fcntl(vmo_reaper_fd(reaper), F_DUPFD_CLOEXEC, 0));
	ASSERT_NE(NULL, twin);
	EXPECT_ERRNO(EINVAL, vmo_harvest(twin, &offset, &length, &range, 1, VMO_HARVEST_BITMAP));
	EXPECT_ERRNO(EINVAL, vmo_harvest(twin, &offset, &length, &range, 0, 0));
	EXPECT_ERRNO(EINVAL, vmo_harvest_bitmap(twin, &offset, &length, &word, 1, 1U << 31));
	EXPECT_EQ(0, offset);
	EXPECT_EQ(2 * PS, length);
	ASSERT_EQ(1, vmo_harvest(twin, &offset, &length, &range, 1, 0));
	EXPECT_EQ(PS, range.offset);
	before = no_more_fds();
	EXPECT_NONE(EMFILE, vmo_reaper_new(vmo));
	more_fds(before);
	errno = EDOM;
	vmo_reaper_close(twin);
	vmo_reaper_close(NULL);
	EXPECT_EQ(EDOM, errno);
	vmo_reaper_close(reaper);
	vmo_close(blind);
	vmo_close(vmo);
}

TEST_F(lib, clones_of_every_kind)
{
	static const unsigned int kinds[] = {
		VMO_CLONE_SNAPSHOT, VMO_CLONE_AT_LEAST_ON_WRITE, VMO_CLONE_MODIFIED,
	};
	struct vmo *vmo = new_pages(self->dev, 1);

	for (int i = 0; i < 3; i++) {
		struct vmo *child;

		ASSERT_TRUE(fill(vmo, 0, 5));
		child = vmo_clone(vmo, 0, PS, kinds[i]);
		ASSERT_NE(NULL, child);
		ASSERT_TRUE(fill(vmo, 0, 6));
		EXPECT_TRUE(holds(child, 0, 5));
		EXPECT_NONE(EINVAL, vmo_clone(vmo, 0, PS, kinds[i] | kinds[(i + 1) % 3]));
		vmo_close(child);
	}
	vmo_close(vmo);
}

TEST_HARNESS_MAIN
