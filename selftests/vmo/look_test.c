// SPDX-License-Identifier: GPL-2.0
/*
 * Looking at pages: VMO_LOOKUP, VMO_PAGES, VMO_DIFF. Random objects are looked at by
 * random_test; here is what a rule says, one by one.
 */
#define VMO_FIXTURE
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#define ROOM	64

static struct vmo_lookup_entry entry[ROOM];
static struct vmo_page_run run[ROOM];
static struct vmo_range range[ROOM];

/* How many; -1 with errno. */
static int look_up(int fd, uint64_t offset, uint64_t length, uint32_t flags)
{
	struct vmo_lookup arg = {
		.offset = offset, .length = length, .entries = (uintptr_t)entry,
		.count = ROOM, .flags = flags,
	};

	memset(entry, 0x55, sizeof(entry));
	return ioctl(fd, VMO_LOOKUP, &arg) ? -1 : (int)arg.count;
}

static int pages(int fd, uint64_t offset, uint64_t length)
{
	struct vmo_pages arg = {
		.offset = offset, .length = length, .runs = (uintptr_t)run, .count = ROOM,
	};

	memset(run, 0x55, sizeof(run));
	return ioctl(fd, VMO_PAGES, &arg) ? -1 : (int)arg.count;
}

static int differences(int fd, int other, uint64_t offset, uint64_t length)
{
	struct vmo_diff arg = {
		.offset = offset, .length = length, .ranges = (uintptr_t)range,
		.count = ROOM, .other_fd = other,
	};

	memset(range, 0x55, sizeof(range));
	return ioctl(fd, VMO_DIFF, &arg) ? -1 : (int)arg.count;
}

static bool run_is(int i, uint64_t first, uint64_t count, uint32_t state)
{
	return run[i].offset == first * PS && run[i].length == count * PS &&
	       run[i].state == state && !run[i].reserved;
}

static bool range_is(int i, uint64_t first, uint64_t count)
{
	return range[i].offset == first * PS && range[i].length == count * PS;
}

/* The frame of a mapped page, as root is told it by the kernel. */
static uint64_t address_of(const volatile char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	(void)*p;
	if (pread(fd, &word, sizeof(word), (uintptr_t)p / PS * 8) != sizeof(word))
		word = 0;
	close(fd);
	return (word & ((1ULL << 55) - 1)) * PS;
}

/* ---- look-up ------------------------------------------------------------------ */

TEST_F(vmo, v1_only_pages_of_its_own)
{
	int fd = vmo_new_pages(self->dev, 16), clone, slice;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, look_up(fd, 0, 16 * PS, 0));
	EXPECT_EQ(0, write_page(fd, 3, 1));
	EXPECT_EQ(0, write_page(fd, 5, 1));
	ASSERT_EQ(2, look_up(fd, 0, 16 * PS, 0));
	EXPECT_EQ(3 * PS, entry[0].offset);
	EXPECT_EQ(5 * PS, entry[1].offset);
	EXPECT_NE(entry[0].address, entry[1].address);
	/* The range is in bytes, and the pages that it touches count. */
	EXPECT_EQ(1, look_up(fd, 3 * PS + 7, 2 * PS - 7, 0));
	EXPECT_EQ(2, look_up(fd, 3 * PS + 7, 2 * PS - 6, 0));
	/* By the offsets of the slice. */
	slice = vmo_slice(fd, 4 * PS, 4 * PS, 0);
	ASSERT_EQ(1, look_up(slice, 0, 4 * PS, 0));
	EXPECT_EQ(PS, entry[0].offset);
	/* After a snapshot neither has any, until one writes or ends. */
	clone = vmo_snap(fd);
	EXPECT_EQ(0, look_up(fd, 0, 16 * PS, 0));
	EXPECT_EQ(0, look_up(clone, 0, 16 * PS, 0));
	EXPECT_EQ(2, look_up(clone, 0, 16 * PS, VMO_LOOKUP_SHARED));
	EXPECT_EQ(0, write_page(clone, 3, 2));
	ASSERT_EQ(1, look_up(fd, 0, 16 * PS, 0));
	EXPECT_EQ(3 * PS, entry[0].offset);
	EXPECT_EQ(1, look_up(clone, 0, 16 * PS, 0));
	close(clone);
	EXPECT_EQ(2, look_up(fd, 0, 16 * PS, 0));
	close(slice);
	close(fd);
}

TEST_F(vmo, v1_errors_and_going_on)
{
	int fd = vmo_filled(self->dev, 10, 0, 1);
	struct vmo_lookup arg = { .entries = (uintptr_t)entry, .count = 3, .length = 10 * PS };

	ASSERT_LE(0, fd);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, ioctl(fd, VMO_LOOKUP, &arg));
		EXPECT_EQ(3, arg.count);
		EXPECT_EQ((3 * i + 3) * PS, arg.offset);
		EXPECT_EQ((7 - 3 * i) * PS, arg.length);
		EXPECT_EQ((3 * i + 2) * PS, entry[2].offset);
	}
	ASSERT_EQ(0, ioctl(fd, VMO_LOOKUP, &arg));
	EXPECT_EQ(1, arg.count);
	EXPECT_EQ(0, arg.length);
	EXPECT_EQ(10 * PS, arg.offset);
	EXPECT_ERRNO(EINVAL, look_up(fd, 0, 0, 0));
	EXPECT_ERRNO(ERANGE, look_up(fd, 0, 10 * PS + 1, 0));
	EXPECT_ERRNO(ERANGE, look_up(fd, -PS, 2 * PS, 0));
	EXPECT_ERRNO(EINVAL, look_up(fd, 0, PS, 4));
	arg = (struct vmo_lookup) { .entries = (uintptr_t)entry, .length = PS };
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_LOOKUP, &arg));
	arg = (struct vmo_lookup) { .entries = 8, .length = PS, .count = 1 };
	EXPECT_ERRNO(EFAULT, ioctl(fd, VMO_LOOKUP, &arg));
	close(fd);
}

TEST_F(vmo, v2_one_address)
{
	int fd = vmo_new_pages(self->dev, 8), clone;
	char *p = vmo_map(fd, 8, RW);

	ASSERT_NE(NULL, p);
	EXPECT_ERRNO(ENOENT, look_up(fd, 2 * PS, PS, VMO_LOOKUP_CONTIGUOUS));
	p[2 * PS] = 1;
	ASSERT_EQ(1, look_up(fd, 2 * PS, PS, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_EQ(2 * PS, entry[0].offset);
	EXPECT_EQ(address_of(p + 2 * PS), entry[0].address);
	EXPECT_ERRNO(EINVAL, look_up(fd, 2 * PS, 0, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_ERRNO(EINVAL, look_up(fd, 2 * PS + 1, PS, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_ERRNO(ERANGE, look_up(fd, 8 * PS, PS, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_ERRNO(EBADFD, look_up(fd, 2 * PS, 2 * PS, VMO_LOOKUP_CONTIGUOUS));
	/* For writing, as it were, there is none that others share; for reading there is. */
	clone = vmo_snap(fd);
	EXPECT_ERRNO(ENOENT, look_up(clone, 2 * PS, PS, VMO_LOOKUP_CONTIGUOUS));
	EXPECT_EQ(1, look_up(clone, 2 * PS, PS, VMO_LOOKUP_CONTIGUOUS | VMO_LOOKUP_SHARED));
	close(clone);
	munmap(p, 8 * PS);
	close(fd);
}

TEST_F(vmo, v2_addresses_are_for_the_privileged)
{
	int fd = vmo_filled(self->dev, 2, 0, 1), status;
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid) {
		if (setuid(65534))
			_exit(1);
		if (look_up(fd, 0, 2 * PS, 0) != 2 || entry[0].address || entry[1].address)
			_exit(2);
		if (look_up(fd, 0, PS, VMO_LOOKUP_CONTIGUOUS) != -1 || errno != EPERM)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

TEST_F(vmo, v3_looking_makes_nothing)
{
	int fd = vmo_filled(self->dev, 4, 0, 1), big = vmo_new(self->dev, MAX_SIZE), clone;
	struct vmo_info before, after;
	char *p = vmo_map(fd, 4, RO);
	uint64_t address;
	double start;

	ASSERT_LE(0, big);
	clone = vmo_snap(fd);
	address = address_of(p);
	before = info_of(clone);
	EXPECT_EQ(4, look_up(clone, 0, 4 * PS, VMO_LOOKUP_SHARED));
	EXPECT_EQ(address, entry[0].address);
	EXPECT_EQ(1, pages(clone, 0, 4 * PS));
	EXPECT_EQ(0, differences(clone, fd, 0, 4 * PS));
	after = info_of(clone);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	EXPECT_EQ(address, address_of(p));
	/* Gaps are skipped. */
	EXPECT_EQ(0, write_page(big, 1ULL << 40, 1));
	start = seconds();
	EXPECT_EQ(1, look_up(big, 0, MAX_SIZE, 0));
	EXPECT_EQ(3, pages(big, 0, MAX_SIZE));
	EXPECT_GT(5, seconds() - start);
	munmap(p, 4 * PS);
	close(clone);
	close(big);
	close(fd);
}

/* ---- states ------------------------------------------------------------------- */

TEST_F(vmo, v1_states)
{
	const uint32_t own = VMO_PAGE_PRESENT, shared = own | VMO_PAGE_SHARED;
	int fd = vmo_new_pages(self->dev, 100), clone, pin, slice;
	struct vmo_pages arg = { .length = 100 * PS, .runs = (uintptr_t)run, .count = 2 };
	char *p;

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pages(fd, 0, 100 * PS));
	EXPECT_TRUE(run_is(0, 0, 100, 0));
	for (int i = 10; i < 20; i++)
		EXPECT_EQ(0, write_page(fd, i, 1));
	clone = vmo_snap(fd);
	EXPECT_EQ(0, write_page(fd, 12, 1));
	EXPECT_EQ(0, write_page(fd, 30, 1));
	ASSERT_EQ(7, pages(fd, 0, 100 * PS));
	EXPECT_TRUE(run_is(0, 0, 10, 0));
	EXPECT_TRUE(run_is(1, 10, 2, shared));
	EXPECT_TRUE(run_is(2, 12, 1, own));
	EXPECT_TRUE(run_is(3, 13, 7, shared));
	EXPECT_TRUE(run_is(4, 20, 10, 0));
	EXPECT_TRUE(run_is(5, 30, 1, own));
	EXPECT_TRUE(run_is(6, 31, 69, 0));
	slice = vmo_slice(fd, 11 * PS, 3 * PS, 0);
	ASSERT_EQ(3, pages(slice, 0, 3 * PS));
	EXPECT_TRUE(run_is(1, 1, 1, own));
	close(clone);
	close(slice);
	pin = vmo_pin_flags(fd, 11 * PS, PS, VMO_PIN_READ);
	p = vmo_map(fd, 100, RW);
	p[15 * PS] = 1;
	ASSERT_EQ(1, pages(fd, 11 * PS, PS));
	EXPECT_TRUE(run_is(0, 11, 1, own | VMO_PAGE_PINNED | VMO_PAGE_WRITABLE));
	ASSERT_EQ(1, pages(fd, 15 * PS, PS));
	EXPECT_TRUE(run_is(0, 15, 1, own | VMO_PAGE_WRITABLE));
	close(pin);
	/* Two at a time. */
	ASSERT_EQ(0, ioctl(fd, VMO_PAGES, &arg));
	EXPECT_EQ(2, arg.count);
	EXPECT_EQ(11 * PS, arg.offset);
	EXPECT_EQ(89 * PS, arg.length);
	munmap(p, 100 * PS);
	EXPECT_EQ(0, pages(fd, 100 * PS, 0));
	EXPECT_ERRNO(EINVAL, pages(fd, 1, PS));
	EXPECT_ERRNO(EINVAL, pages(fd, 0, 1));
	EXPECT_ERRNO(ERANGE, pages(fd, 0, 101 * PS));
	arg = (struct vmo_pages) { .length = PS, .runs = 8, .count = 1 };
	EXPECT_ERRNO(EFAULT, ioctl(fd, VMO_PAGES, &arg));
	close(fd);
}

/* ---- difference --------------------------------------------------------------- */

TEST_F(vmo, k9_differences_of_a_pair)
{
	int fd = vmo_filled(self->dev, 50, VMO_CREATE_RESIZABLE, 1), clone = vmo_snap(fd);
	int grandchild = vmo_snap(clone), pin, copied;

	ASSERT_LE(0, grandchild);
	EXPECT_EQ(0, differences(fd, clone, 0, 50 * PS));
	EXPECT_EQ(0, write_page(fd, 3, 99));
	EXPECT_EQ(0, write_page(clone, 4, 99));
	EXPECT_EQ(0, vmo_op(grandchild, VMO_OP_ZERO, 40 * PS, 3 * PS));
	ASSERT_EQ(1, differences(fd, clone, 0, 50 * PS));
	EXPECT_TRUE(range_is(0, 3, 2));
	ASSERT_EQ(2, differences(grandchild, fd, 0, 50 * PS));
	EXPECT_TRUE(range_is(0, 3, 1));
	EXPECT_TRUE(range_is(1, 40, 3));
	/* What is written to the same bytes, or committed, does not differ. */
	EXPECT_EQ(0, write_page(clone, 4, 5));
	EXPECT_EQ(0, write_page(clone, 3, 99));
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_COMMIT, 0, 50 * PS));
	EXPECT_EQ(0, differences(fd, clone, 0, 50 * PS));
	/* Nor what was copied because it was pinned. */
	pin = vmo_pin_flags(fd, 0, 2 * PS, VMO_PIN_READ);
	copied = vmo_clone_flags(fd, 50 * PS, VMO_CLONE_COPY_PINNED);
	EXPECT_EQ(0, differences(fd, copied, 0, 50 * PS));
	close(pin);
	/* What the other does not have is not compared. */
	EXPECT_EQ(0, vmo_set_size(fd, 20 * PS));
	EXPECT_EQ(0, differences(clone, fd, 0, 50 * PS));
	EXPECT_ERRNO(ERANGE, differences(fd, clone, 0, 50 * PS));
	EXPECT_EQ(0, vmo_set_size(fd, 50 * PS));
	ASSERT_EQ(1, differences(fd, clone, 0, 50 * PS));
	EXPECT_TRUE(range_is(0, 20, 30));
	close(copied);
	close(grandchild);
	close(clone);
	close(fd);
}

TEST_F(vmo, k2_l2_differences_of_windows_and_slices)
{
	int fd = vmo_filled(self->dev, 50, 0, 1), window = vmo_window(fd, 20 * PS, 100 * PS);
	int slice = vmo_slice(fd, 25 * PS, 10 * PS, 0), ref = vmo_reference(window, 0);
	int stranger = vmo_filled(self->dev, 50, 0, 1);

	ASSERT_LE(0, ref);
	EXPECT_EQ(0, write_page(window, 7, 5));
	EXPECT_EQ(0, write_page(window, 60, 5));
	ASSERT_EQ(1, differences(fd, window, 0, 50 * PS));
	EXPECT_TRUE(range_is(0, 27, 1));
	ASSERT_EQ(1, differences(window, fd, 0, 100 * PS));
	EXPECT_TRUE(range_is(0, 7, 1));
	ASSERT_EQ(1, differences(slice, ref, 0, 10 * PS));
	EXPECT_TRUE(range_is(0, 2, 1));
	EXPECT_EQ(0, differences(slice, fd, 0, 10 * PS));
	EXPECT_ERRNO(EINVAL, differences(fd, stranger, 0, PS));
	EXPECT_ERRNO(EINVAL, differences(fd, self->dev, 0, PS));
	EXPECT_ERRNO(EBADF, differences(fd, -1, 0, PS));
	EXPECT_ERRNO(EACCES, differences(fd, vmo_reopen(window, O_WRONLY), 0, PS));
	EXPECT_ERRNO(EINVAL, differences(fd, window, 1, PS));
	close(stranger);
	close(ref);
	close(slice);
	close(window);
	close(fd);
}

/* In parts, and over many leaves. */
TEST_F(vmo, k9_differences_in_parts)
{
	enum { PAGES = 4096 };
	int fd = vmo_new_pages(self->dev, PAGES), clone, found = 0;
	struct vmo_diff arg = { .length = PAGES * PS, .ranges = (uintptr_t)range };
	uint64_t at = 0;

	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, PAGES * PS));
	clone = vmo_snap(fd);
	ASSERT_LE(0, clone);
	for (int i = 0; i < PAGES; i += 64)
		EXPECT_EQ(0, write_page(clone, i, 1));
	arg.other_fd = clone;
	while (arg.length) {
		arg.count = 5;
		ASSERT_EQ(0, ioctl(fd, VMO_DIFF, &arg));
		for (unsigned int i = 0; i < arg.count; i++, at += 64, found++)
			EXPECT_TRUE(range_is(i, at, 1));
	}
	EXPECT_EQ(PAGES / 64, found);
	close(clone);
	clone = vmo_new_pages(self->dev, PAGES);
	close(clone);
	clone = vmo_window(fd, 0, PAGES * PS);
	fill_pages(vmo_map(clone, PAGES, RW), 0, PAGES, 3);
	ASSERT_EQ(1, differences(fd, clone, 0, PAGES * PS));
	EXPECT_TRUE(range_is(0, 0, PAGES));
	close(clone);
	close(fd);
}

TEST_HARNESS_MAIN
