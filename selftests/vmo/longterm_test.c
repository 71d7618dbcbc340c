// SPDX-License-Identifier: GPL-2.0
/*
 * Objects whose mappings may be pinned for long: whatever such a mapping touches is
 * owned first, so that nobody has to be asked when it is written.
 */
#include "kselftest_harness.h"
#include "vmo_test_util.h"

FIXTURE(vmo) {
	int dev;
	int fds;
};

FIXTURE_SETUP(vmo)
{
	self->fds = count_fds();
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(vmo)
{
	close(self->dev);
	EXPECT_EQ(self->fds, count_fds());
}

static int new_longterm(int dev, unsigned long pages)
{
	return vmo_new_flags(dev, pages * PS, VMO_CREATE_LONGTERM);
}

static char load_char(const char *p)
{
	return *(const volatile char *)p;
}

/* Pages that the object holds, own or shared; -1 if it cannot be asked. */
static long committed(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1 : (long)(info.committed_bytes / PS);
}

static long private_pages(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1 : (long)(info.private_bytes / PS);
}

static bool is_longterm(int fd)
{
	struct vmo_info info;

	return !vmo_stat(fd, &info) && info.flags & VMO_INFO_LONGTERM;
}

TEST_F(vmo, inv_4_10_who_has_it)
{
	int fd = new_longterm(self->dev, 4), plain = vmo_new_pages(self->dev, 4);
	struct vmo_probe probe = { };
	int other[] = {
		vmo_slice(fd, PS, PS, 0), vmo_reference(fd, 0),
		vmo_clone_flags(plain, 4 * PS, VMO_CLONE_LONGTERM),
		vmo_snap(fd), vmo_clone_flags(fd, 4 * PS, VMO_CLONE_NO_WRITE),
	};

	ASSERT_EQ(0, ioctl(self->dev, VMO_PROBE, &probe));
	EXPECT_EQ(VMO_FEATURE_LONGTERM, probe.features & VMO_FEATURE_LONGTERM);
	EXPECT_TRUE(is_longterm(fd));
	EXPECT_FALSE(is_longterm(plain));
	for (unsigned int i = 0; i < 5; i++) {
		ASSERT_LE(0, other[i]) TH_LOG("%u", i);
		EXPECT_EQ(i < 3, is_longterm(other[i])) TH_LOG("%u", i);
		close(other[i]);
	}
	EXPECT_ERRNO(EINVAL, vmo_clone_flags(fd, PS, VMO_CLONE_LONGTERM | VMO_CLONE_NO_WRITE));
	close(plain);
	close(fd);
}

/* No hole and no shared page is mapped where it could become writable unseen. */
TEST_F(vmo, inv_4_10_reading_owns)
{
	int fd = new_longterm(self->dev, 64), child;
	char *map = vmo_map(fd, 64, RW), *ro = vmo_map(fd, 64, RO), *copy;

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, ro);
	EXPECT_EQ(0, load_char(map + 5 * PS));
	EXPECT_EQ(1, committed(fd));
	/* It may be made writable, with mprotect(). */
	EXPECT_EQ(0, load_char(ro + 6 * PS));
	EXPECT_EQ(2, committed(fd));
	fill_pages(map, 0, 64, 100);

	child = vmo_clone_flags(fd, 64 * PS, VMO_CLONE_LONGTERM);
	ASSERT_LE(0, child);
	copy = vmo_map(child, 64, RW);
	ASSERT_NE(NULL, copy);
	EXPECT_EQ(0, private_pages(child));
	EXPECT_EQ(-1, wrong_page(copy, 9, 1, 100));
	EXPECT_EQ(1, private_pages(child));
	EXPECT_EQ(-1, wrong_page(copy, 0, 64, 100));
	EXPECT_EQ(64, private_pages(child));
	munmap(copy, 64 * PS);
	munmap(map, 64 * PS);
	munmap(ro, 64 * PS);
	close(child);
	close(fd);
}

/* Mappings that can never write do not pay for it. */
TEST_F(vmo, inv_4_10_reading_only)
{
	int fd = new_longterm(self->dev, 16), ro_fd, plain;
	char name[32], *map, *p;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ro_fd = open(name, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro_fd);
	map = vmo_map(ro_fd, 16, RO);
	p = vmo_map_at(fd, 0, 16, RW, MAP_PRIVATE);
	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, load_char(map));
	EXPECT_EQ(0, load_char(p + 8 * PS));
	EXPECT_EQ(0, committed(fd));
	p[9 * PS] = 1;
	EXPECT_EQ(0, committed(fd));
	/* What is filled later shows in them. */
	ASSERT_EQ(0, write_page(fd, 0, 7));
	EXPECT_EQ(-1, wrong_page(map, 0, 1, 7));
	munmap(map, 16 * PS);
	munmap(p, 16 * PS);
	plain = vmo_new_pages(self->dev, 4);
	map = vmo_map(plain, 4, RW);
	ASSERT_NE(NULL, map);
	EXPECT_EQ(0, load_char(map));
	EXPECT_EQ(0, committed(plain));
	munmap(map, 4 * PS);
	close(plain);
	close(ro_fd);
	close(fd);
}

/*
 * A page that was only read has a writable PTE, or gets one without a fault that
 * we see. The snapshot has to take it all the same.
 */
TEST_F(vmo, inv_4_10_snapshot_after_reads)
{
	int fd = new_longterm(self->dev, 80), snap[4];
	char *map = vmo_map(fd, 80, RW), *late = vmo_map(fd, 80, RO);

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, late);
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-1, wrong_page(map, 0, 80, 100 * i));
		EXPECT_EQ(-1, wrong_page(late, 0, 80, 100 * i));
		snap[i] = vmo_snap(fd);
		ASSERT_LE(0, snap[i]);
		/* Read, and then written without a fault that we see. */
		EXPECT_EQ(-1, wrong_page(late, 0, 80, 100 * i));
		ASSERT_EQ(0, mprotect(late, 80 * PS, RW));
		fill_pages(i & 1 ? late : map, 0, 80, 100 * (i + 1));
		ASSERT_EQ(0, mprotect(late, 80 * PS, RO));
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-1, wrong_page_fd(snap[i], 0, 80, 100 * i)) TH_LOG("snapshot %d", i);
		close(snap[i]);
	}
	EXPECT_EQ(-1, wrong_page(map, 0, 80, 400));
	munmap(map, 80 * PS);
	munmap(late, 80 * PS);
	close(fd);
}

/* The rest of what mappings do: slices, growing, SIGBUS, zeroing, fork. */
TEST_F(vmo, inv_4_10_slices_zero_fork)
{
	int fd = new_longterm(self->dev, 16), slice = vmo_slice(fd, 4 * PS, 4 * PS, 0);
	char *map = vmo_map(fd, 16, RW), *part = vmo_map(slice, 4, RW);
	int status;
	pid_t pid;

	ASSERT_NE(NULL, map);
	ASSERT_NE(NULL, part);
	EXPECT_EQ(0, load_char(part + PS));
	EXPECT_EQ(1, committed(fd));
	part[PS] = 9;
	EXPECT_EQ(9, load_char(map + 5 * PS));
	ASSERT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 5 * PS, PS));
	EXPECT_EQ(0, committed(fd));
	EXPECT_EQ(0, load_char(part + PS));
	EXPECT_EQ(1, committed(fd));
	EXPECT_EQ(0, madvise(part, PS, MADV_REMOVE));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		map[7 * PS] = load_char(part + 3 * PS) + 3;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(3, load_char(part + 3 * PS));
	munmap(map, 16 * PS);
	munmap(part, 4 * PS);
	close(slice);
	close(fd);
}

TEST_HARNESS_MAIN
