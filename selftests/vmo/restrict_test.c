// SPDX-License-Identifier: GPL-2.0
/*
 * A descriptor with fewer rights is the same object: ids, sizes, times, children, names,
 * and how long it lives.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "rights_util.h"

#include <sys/resource.h>
#include <sys/sysmacros.h>

/* ---- one object -------------------------------------------------------- */

static struct stat stat_of(int fd)
{
	struct stat st = { .st_size = -1 };

	fstat(fd, &st);
	return st;
}

static off_t size_of(int fd)
{
	return stat_of(fd).st_size;
}

/* The inode and device of the mapping at @p, as /proc/self/maps has them. */
static bool maps_agree(const char *p, const struct stat *st)
{
	unsigned long start, ino;
	unsigned int major, minor;
	FILE *f = fopen("/proc/self/maps", "r");
	bool good = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%*x %*s %*x %x:%x %lu", &start, &major, &minor, &ino) == 4 &&
		    start == (uintptr_t)p)
			good = ino == st->st_ino && makedev(major, minor) == st->st_dev;
	if (f)
		fclose(f);
	return good;
}

static bool same_fdinfo(int a, int b)
{
	char buf[2][1024] = { }, path[64];
	const char *from[2];

	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", i ? b : a);
		f = fopen(path, "r");
		if (!f)
			return false;
		buf[i][fread(buf[i], 1, sizeof(buf[i]) - 1, f)] = 0;
		fclose(f);
		from[i] = strstr(buf[i], "vmo-id:");
	}
	return from[0] && from[1] && !strcmp(from[0], from[1]);
}

static bool same_link(int a, int b)
{
	char path[64], link[2][128] = { };

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", i ? b : a);
		if (readlink(path, link[i], sizeof(link[i]) - 1) <= 0)
			return false;
	}
	return !strcmp(link[0], link[1]);
}

/* All that can be asked about two descriptors of one object is the same, but the rights. */
static void same_object(struct __test_metadata *_metadata, int a, int b)
{
	struct stat st = stat_of(a), its = stat_of(b);
	struct vmo_info info, other;

	ASSERT_EQ(0, vmo_stat(a, &info));
	ASSERT_EQ(0, vmo_stat(b, &other));
	other.rights = info.rights;
	EXPECT_EQ(0, memcmp(&info, &other, sizeof(info)));
	EXPECT_EQ(st.st_ino, its.st_ino);
	EXPECT_EQ(st.st_dev, its.st_dev);
	EXPECT_EQ(st.st_size, its.st_size);
	EXPECT_EQ(st.st_blocks, its.st_blocks);
	EXPECT_EQ(st.st_nlink, its.st_nlink);
	EXPECT_EQ(0, memcmp(&st.st_mtim, &its.st_mtim, sizeof(st.st_mtim)));
	EXPECT_EQ(0, memcmp(&st.st_ctim, &its.st_ctim, sizeof(st.st_ctim)));
	EXPECT_TRUE(same_fdinfo(a, b));
	EXPECT_TRUE(same_link(a, b));
}

TEST_F(vmo, r1_a_restricted_descriptor_is_the_same_object)
{
	for (const struct kind *kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		int all = make_kind(self->dev, kind), less[3];
		struct vmo_name name = { .flags = VMO_NAME_SET, .name = "two of one" };

		ASSERT_LE(0, all);
		for (int i = 0; i < 3; i++) {
			less[i] = limited(i == 2 ? less[1] : all, i ? kind->rights & ~PIN : 0);
			ASSERT_LE(0, less[i]);
			same_object(_metadata, all, less[i]);
		}
		if (kind->rights & WRITE)
			EXPECT_EQ(0, ioctl(less[2], VMO_NAME, &name));
		for (int i = 0; i < 3; i++)
			same_object(_metadata, less[i], all);
		close(less[1]);
		same_object(_metadata, less[0], less[2]);
		close(less[0]);
		close(less[2]);
		close(all);
	}
}

TEST_F(vmo, r1_mappings_show_the_inode_of_the_object)
{
	int fd = vmo_new(self->dev, SIZE), less = limited(fd, READ | WRITE | MAP);
	struct stat st = stat_of(fd);
	char *whole = vmo_map(fd, PAGES, RO), *p;

	ASSERT_NE(NULL, whole);
	EXPECT_TRUE(maps_agree(whole, &st));
	p = vmo_map(less, PAGES, RW);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(maps_agree(p, &st)) TH_LOG("shared, of a restricted descriptor");
	munmap(p, SIZE);
	p = vmo_map_at(less, 0, PAGES, RW, MAP_PRIVATE);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(maps_agree(p, &st)) TH_LOG("private, of a restricted descriptor");
	munmap(p, SIZE);
	munmap(whole, SIZE);
	close(less);
	close(fd);
}

/* Content size through any of them: all see it, and those of a reference. */
TEST_F(vmo, r1_f2_one_content_size)
{
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE);
	int reference = vmo_reference(fd, VMO_REFERENCE_RESIZABLE);
	int set[5] = {
		fd, limited(fd, ALL & ~EXEC), limited(fd, READ | WRITE | RESIZE), reference,
		limited(reference, WRITE | RESIZE),
	};

	for (int i = 0; i < 5; i++) {
		off_t sizes[] = { 1000 + i, SIZE + 1, 3 * SIZE + 7, 3 * SIZE + PS, 4 * SIZE };

		ASSERT_LE(0, set[i]);
		EXPECT_EQ(0, ftruncate(set[i], sizes[0]));
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			if (j == 1)
				EXPECT_EQ(1, pwrite(set[i], "x", 1, SIZE));
			if (j == 2)
				EXPECT_EQ(0, vmo_set_size(set[i], sizes[j]));
			if (j == 3)
				EXPECT_EQ(0, fallocate(set[i], 0, 3 * SIZE, PS));
			if (j == 4)
				EXPECT_EQ(0, fallocate(set[i], FALLOC_FL_ZERO_RANGE, 0, 4 * SIZE));
			for (int k = 0; k < 5; k++) {
				EXPECT_EQ(sizes[j], size_of(set[k]))
					TH_LOG("way %zu, through %d, seen by %d", j, i, k);
				EXPECT_EQ(sizes[j], lseek(set[k], 0, SEEK_END));
			}
		}
	}
	for (int i = 0; i < 5; i++)
		close(set[i]);
}

/* A write that appends does so behind what another descriptor wrote. */
TEST_F(vmo, r1_appending_through_two_descriptors)
{
	int fd = vmo_new_flags(self->dev, 0, VMO_CREATE_RESIZABLE), less = limited(fd, ALL & ~EXEC);
	char buf[11] = { };

	ASSERT_LE(0, less);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_APPEND));
	ASSERT_EQ(0, fcntl(less, F_SETFL, O_APPEND));
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(1, write(fd, "a", 1));
		EXPECT_EQ(1, write(less, "b", 1));
	}
	EXPECT_EQ(10, pread(fd, buf, sizeof(buf), 0));
	EXPECT_STREQ("ababababab", buf);
	close(less);
	close(fd);
}

/* A slice has a content size of its own, which its descriptors share. */
TEST_F(vmo, r1_l5_content_size_of_a_slice)
{
	int fd = vmo_new(self->dev, 2 * SIZE), slice = vmo_slice(fd, PS, SIZE - 100, 0);
	int less = limited(slice, READ | WRITE), own = limited(fd, READ);

	ASSERT_LE(0, less);
	EXPECT_EQ(SIZE - 100, (size_t)size_of(less));
	EXPECT_EQ(50, pwrite(less, "12345678901234567890123456789012345678901234567890", 50,
			     SIZE - 100));
	EXPECT_EQ(SIZE - 50, (size_t)size_of(less));
	EXPECT_EQ(SIZE - 50, (size_t)size_of(slice));
	EXPECT_EQ(2 * SIZE, (size_t)size_of(own));
	close(own);
	close(less);
	close(slice);
	close(fd);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

TEST_F(vmo, r1_one_modification_time)
{
	int fd = vmo_new(self->dev, SIZE), set[3] = {
		fd, limited(fd, READ | WRITE | MAP), limited(fd, WRITE),
	};
	struct iovec iov = { (char *)"y", 1 };
	char *p;

	for (int i = 0; i < 3; i++) {
		for (int how = 0; how < 4; how++) {
			struct stat before = stat_of(fd), now;

			usleep(20000);	/* more than a tick, of which the clock is */
			if (how == 0)
				EXPECT_EQ(1, pwrite(set[i], "x", 1, 0));
			if (how == 1)
				EXPECT_EQ(0, vmo_op(set[i], VMO_OP_ZERO, 0, PS));
			if (how == 2)
				EXPECT_EQ(0, strict(set[i], VMO_WRITE, &iov));
			if (how == 3) {
				p = vmo_map(set[i], 1, RW);
				EXPECT_EQ(i == 2, !p);
				if (!p)
					continue;
				*p = 'z';
				munmap(p, PS);
			}
			for (int j = 0; j < 3; j++) {
				now = stat_of(set[j]);
				EXPECT_TRUE(later(&now.st_mtim, &before.st_mtim))
					TH_LOG("way %d, through %d, seen by %d", how, i, j);
				EXPECT_TRUE(later(&now.st_ctim, &before.st_ctim));
			}
		}
	}
	for (int i = 0; i < 3; i++)
		close(set[i]);
}

static int pri(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };

	return poll(&poll_fd, 1, 0) < 0 ? -1 : poll_fd.revents;
}

/* Also those that are set, and those that a change of the size sets. */
TEST_F(vmo, r1_times_set_through_a_restricted_descriptor)
{
	const struct timespec old[2] = { { .tv_sec = 100 }, { .tv_sec = 200 } };
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE);
	int less = limited(fd, READ | WRITE | RESIZE);
	struct stat st;

	ASSERT_LE(0, less);
	EXPECT_EQ(0, futimens(less, old));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(100, st.st_atim.tv_sec);
	EXPECT_EQ(200, st.st_mtim.tv_sec);
	EXPECT_EQ(0, ftruncate(less, PS));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_LT(200, st.st_mtim.tv_sec);
	close(less);
	close(fd);
}

TEST_F(vmo, r1_h3_h5_one_set_of_children)
{
	int fd = vmo_new(self->dev, SIZE);
	int set[3] = { fd, limited(fd, READ | CHILD), limited(fd, 0) };
	struct vmo_info info, its;

	ASSERT_EQ(0, vmo_stat(fd, &info));
	for (int i = 0; i < 2; i++) {
		int a = vmo_snap(set[i]), b = vmo_slice(set[i], 0, PS, 0);

		ASSERT_LE(0, b);
		ASSERT_EQ(0, vmo_stat(a, &its));
		EXPECT_EQ(info.id, its.parent_id);
		for (int j = 0; j < 3; j++) {
			EXPECT_EQ(0, pri(set[j]));
			ASSERT_EQ(0, vmo_stat(set[j], &its));
			EXPECT_EQ(2, its.children);
		}
		close(b);
		close(a);
		for (int j = 0; j < 3; j++)
			EXPECT_EQ(POLLPRI, pri(set[j]));
	}
	for (int i = 0; i < 3; i++)
		close(set[i]);
}

static void *wait_childless(void *arg)
{
	struct pollfd poll_fd = { .fd = *(int *)arg, .events = POLLPRI };

	return (void *)(long)(poll(&poll_fd, 1, 20000) == 1 ? poll_fd.revents : -1);
}

/* Who waits through a descriptor without rights is woken, too. */
TEST_F(vmo, r1_h3_waiting_without_rights)
{
	int fd = vmo_new(self->dev, SIZE), none = limited(fd, 0), child = vmo_snap(fd);
	pthread_t thread;
	void *got;

	ASSERT_LE(0, child);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_childless, &none));
	usleep(50000);
	close(child);
	ASSERT_EQ(0, pthread_join(thread, &got));
	EXPECT_EQ(POLLPRI, (long)got);
	close(none);
	close(fd);
}

/* ---- lifetimes --------------------------------------------------------- */

enum holder { OWNER, LESS, LESSER, MAPPING, HOLDERS };

/* Closes four ways to one object in one of their 24 orders; it lives to the last. */
static void close_in_order(struct __test_metadata *_metadata, int dev, int order)
{
	long objects = vmo_counter("objects");
	int fd = vmo_new(dev, SIZE), left[HOLDERS] = { OWNER, LESS, LESSER, MAPPING };
	int less = limited(fd, USUAL), fds[] = { fd, less, limited(less, READ | MAP) };
	char *p = vmo_map(fds[LESSER], PAGES, RO), c;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(1, pwrite(fd, "k", 1, PS));
	for (int n = HOLDERS; n; n--) {
		int which = order % n, gone = left[which];

		order /= n;
		left[which] = left[n - 1];
		EXPECT_EQ(objects + 1, vmo_counter("objects"));
		if (gone == MAPPING)
			munmap(p, SIZE);
		else
			close(fds[gone]);
		for (int i = 0; i < n - 1; i++) {
			c = 0;
			if (left[i] == MAPPING)
				c = p[PS];
			else
				EXPECT_EQ(1, pread(fds[left[i]], &c, 1, PS));
			EXPECT_EQ('k', c);
		}
	}
	EXPECT_EQ(objects, vmo_counter_becomes("objects", objects));
}

TEST_F(vmo, r1_closing_in_any_order)
{
	for (int order = 0; order < 24; order++)
		close_in_order(_metadata, self->dev, order);
}

/* A parent of which only a restricted descriptor is left is a parent. */
TEST_F(vmo, r1_h4_a_restricted_descriptor_keeps_the_parent)
{
	int fd = vmo_new(self->dev, SIZE), none = limited(fd, 0), child = vmo_snap(fd);
	struct vmo_info info, its;

	ASSERT_LE(0, child);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	close(fd);
	ASSERT_EQ(0, vmo_stat(child, &its));
	EXPECT_EQ(info.id, its.parent_id);
	close(none);
	EXPECT_EQ(self->objects + 1, vmo_counter_becomes("objects", self->objects + 1));
	ASSERT_EQ(0, vmo_stat(child, &its));
	EXPECT_EQ(0, its.parent_id);
	close(child);
}

/* A pin that was made through a restricted descriptor outlives it, and counts. */
TEST_F(vmo, r1_n8_pins_through_a_restricted_descriptor)
{
	int fd = vmo_new(self->dev, SIZE), less = limited(fd, READ | PIN);
	int pin = vmo_pin_flags(less, PS, PS, VMO_PIN_READ);
	struct vmo_info info;

	ASSERT_LE(0, pin);
	close(less);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(PS, info.pinned_bytes);
	EXPECT_ERRNO(EBADFD, vmo_snap(fd));
	close(pin);
	EXPECT_EQ(0, outcome_fd(vmo_snap(fd)));
	close(fd);
}

TEST_F_TIMEOUT(vmo, r1_a_thousand_descriptors, 120)
{
	struct rlimit old, many = { 2048, 2048 };
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE), n = 1000, set[1000];
	struct vmo_info info, its;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	many.rlim_max = old.rlim_max > many.rlim_max ? old.rlim_max : many.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &many));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	for (int i = 0; i < n; i++) {
		/* Some of the object's, some of the last one. */
		set[i] = limited(i % 3 && i ? set[i - 1] : fd, i % 3 == 2 ? READ : ALL & ~EXEC);
		ASSERT_LE(0, set[i]) TH_LOG("%d: %s", i, strerror(errno));
	}
	EXPECT_EQ(self->objects + 1, vmo_counter("objects"));
	EXPECT_EQ(self->contents + 1, vmo_counter("contents"));
	ASSERT_EQ(1, pwrite(set[n - 1], "x", 1, 2 * SIZE));
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, vmo_stat(set[i], &its));
		EXPECT_EQ(info.id, its.id);
		EXPECT_EQ(2 * SIZE + 1, its.content_size);
	}
	close(fd);
	for (int i = 0; i < n; i += 2)
		close(set[i]);
	ASSERT_EQ(0, ftruncate(set[601], 100));
	for (int i = 1; i < n; i += 2) {
		EXPECT_EQ(100, size_of(set[i]));
		close(set[i]);
	}
	EXPECT_EQ(self->objects, vmo_counter_becomes("objects", self->objects));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

/* ---- together ---------------------------------------------------------- */

struct together {
	int fd;
	uint64_t stop;
	uint64_t bad;
};

static void *restrict_all_the_time(void *arg)
{
	struct together *t = arg;

	while (!load(&t->stop)) {
		int a = limited(t->fd, READ | WRITE | RESIZE), b = limited(a, READ);

		if (a < 0 || b < 0 || size_of(b) % 1000)
			store(&t->bad, 1);
		close(a);
		close(b);
	}
	return NULL;
}

static void *resize_all_the_time(void *arg)
{
	struct together *t = arg;
	int fd = limited(t->fd, WRITE | RESIZE);

	for (int i = 0; !load(&t->stop); i++)
		if (ftruncate(fd, i % 50 * 1000))
			store(&t->bad, 1);
	close(fd);
	return NULL;
}

/* Descriptors come and go while the size changes: none misses a change. */
TEST_F_TIMEOUT(vmo, r1_descriptors_come_and_go_under_resizes, 120)
{
	struct together t = { .fd = vmo_new_flags(self->dev, 0, VMO_CREATE_RESIZABLE) };
	double end = seconds() + 2;
	pthread_t threads[3];

	ASSERT_LE(0, t.fd);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, i ? restrict_all_the_time :
					    resize_all_the_time, &t));
	while (seconds() < end) {
		int less = limited(t.fd, WRITE | RESIZE);

		EXPECT_EQ(0, ftruncate(less, 51000));
		close(less);
	}
	store(&t.stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, t.bad);
	ASSERT_EQ(0, ftruncate(t.fd, 123));
	EXPECT_EQ(123, size_of(t.fd));
	close(t.fd);
}

TEST_HARNESS_MAIN
