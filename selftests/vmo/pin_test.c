// SPDX-License-Identifier: GPL-2.0
/* VMO_PIN: what a pin holds in place, what it blocks, and who pays. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include <sys/resource.h>

static int vmo_pin(int fd, uint64_t first, uint64_t pages)
{
	return vmo_pin_flags(fd, first * PS, pages * PS, VMO_PIN_READ | VMO_PIN_WRITE);
}

static long pinned_pages(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1 : (long)(info.pinned_bytes / PS);
}

TEST_F(vmo, n1_r3_errors_in_order)
{
	int fd = vmo_new_pages(self->dev, 4);
	struct vmo_pin arg = { .length = PS };
	char path[64];
	int ro, wo;

	for (int bit = 0; bit < 32; bit++) {
		arg.flags = bit < 2 ? 0 : 1U << bit;
		EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_PIN, &arg));
	}
	EXPECT_ERRNO(EINVAL, vmo_pin_flags(fd, 0, 0, VMO_PIN_READ));
	EXPECT_ERRNO(EINVAL, vmo_pin_flags(fd, 1, PS, VMO_PIN_READ));
	EXPECT_ERRNO(EINVAL, vmo_pin_flags(fd, 0, PS - 1, VMO_PIN_READ));
	EXPECT_ERRNO(EINVAL, vmo_pin_flags(fd, 1ULL << 62, 1, VMO_PIN_READ));
	EXPECT_ERRNO(ERANGE, vmo_pin(fd, 0, 5));
	EXPECT_ERRNO(ERANGE, vmo_pin(fd, 4, 1));
	EXPECT_ERRNO(ERANGE, vmo_pin_flags(fd, PS, -PS, VMO_PIN_READ));
	EXPECT_ERRNO(ERANGE, vmo_pin_flags(fd, -PS, 2 * PS, VMO_PIN_READ));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	wo = open(path, O_WRONLY | O_CLOEXEC);
	EXPECT_ERRNO(EACCES, vmo_pin_flags(ro, 0, PS, VMO_PIN_WRITE));
	EXPECT_ERRNO(EACCES, vmo_pin_flags(ro, 0, PS, VMO_PIN_WRITE | VMO_PIN_READ));
	EXPECT_ERRNO(EACCES, vmo_pin_flags(wo, 0, PS, VMO_PIN_READ));
	close(vmo_pin_flags(ro, 0, PS, VMO_PIN_READ));
	close(vmo_pin_flags(wo, 0, PS, VMO_PIN_WRITE));
	EXPECT_EQ(1, committed_pages(fd));
	EXPECT_EQ(0, pinned_pages(fd));
	close(ro);
	close(wo);
	close(fd);
}

TEST_F(vmo, n2_n4_pins_nest)
{
	int fd = vmo_new_pages(self->dev, 8), a, b, c;

	a = vmo_pin(fd, 0, 6);
	b = vmo_pin(fd, 2, 6);
	c = vmo_pin(fd, 3, 1);
	ASSERT_LE(0, c);
	EXPECT_EQ(FD_CLOEXEC, fcntl(c, F_GETFD));
	EXPECT_EQ(13, pinned_pages(fd));
	EXPECT_EQ(8, committed_pages(fd));
	EXPECT_ERRNO(EBADFD, vmo_op(fd, VMO_OP_DECOMMIT, 0, 8 * PS));
	close(a);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 2 * PS));
	EXPECT_ERRNO(EBADFD, vmo_op(fd, VMO_OP_DECOMMIT, PS, 2 * PS));
	close(b);
	EXPECT_ERRNO(EBADFD, vmo_op(fd, VMO_OP_DECOMMIT, 0, 8 * PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 4 * PS, 4 * PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 3 * PS));
	EXPECT_EQ(1, committed_pages(fd));
	close(c);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 8 * PS));
	EXPECT_EQ(0, committed_pages(fd));
	close(fd);
}

TEST_F(vmo, n5_k6_what_a_pin_blocks)
{
	int fd = vmo_new_flags(self->dev, 8 * PS, VMO_CREATE_RESIZABLE), pin, child;

	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, write_page(fd, i, 10 + i));
	pin = vmo_pin(fd, 4, 1);
	ASSERT_LE(0, pin);
	/* Nothing changes if it is refused. */
	EXPECT_ERRNO(EBADFD, vmo_op(fd, VMO_OP_DECOMMIT, 0, 8 * PS));
	EXPECT_ERRNO(EBADFD, vmo_set_size(fd, 4 * PS));
	EXPECT_ERRNO(EBADFD, ftruncate(fd, 3 * PS + 5));
	EXPECT_ERRNO(EBADFD, vmo_snap(fd));
	EXPECT_ERRNO(EBADFD, vmo_window(fd, 0, PS));	/* any page of the memory */
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 8, 10));
	EXPECT_EQ(8, committed_pages(fd));
	/* What does not touch it goes on. */
	EXPECT_EQ(0, vmo_set_size(fd, 5 * PS));
	EXPECT_EQ(0, vmo_set_size(fd, 9 * PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 4 * PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 9 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 4, 1, 10));
	close(pin);
	child = vmo_snap(fd);
	EXPECT_LE(0, child);
	EXPECT_EQ(0, vmo_set_size(fd, 0));
	EXPECT_EQ(-1, wrong_page_fd(child, 4, 1, 10));
	close(child);
	close(fd);
}

/* Through one mapping and one device the page stays the same one. */
TEST_F(vmo, n5_o3_zero_leaves_pinned_pages_in_place)
{
	int fd = vmo_new_pages(self->dev, 100), a, b;
	char *p = vmo_map(fd, 100, RW);

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 100, 7);
	a = vmo_pin(fd, 10, 5);
	b = vmo_pin(fd, 40, 1);
	ASSERT_LE(0, b);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 5 * PS + 8, 60 * PS));
	EXPECT_EQ(-1, wrong_page(p, 0, 5, 7));
	EXPECT_EQ(-1, wrong_page(p, 6, 59, 0));
	EXPECT_EQ(0, *(uint64_t *)(p + 5 * PS + 8));
	EXPECT_EQ(mix((7 + 5) << 16), *(uint64_t *)(p + 5 * PS));
	EXPECT_EQ(-1, wrong_page(p, 66, 34, 7));
	EXPECT_EQ(100 - 59 + 6, committed_pages(fd));
	EXPECT_EQ(6, pinned_pages(fd));
	fill_pages(p, 10, 5, 300);
	EXPECT_EQ(-1, wrong_page_fd(fd, 10, 5, 300));
	/* From a pinned page to a pinned page, and to the end of the object. */
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 12 * PS, 88 * PS));
	EXPECT_EQ(-1, wrong_page(p, 10, 2, 300));
	EXPECT_EQ(-1, wrong_page(p, 12, 88, 0));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 11 * PS + PS / 2, PS));
	EXPECT_EQ(0, *(uint64_t *)(p + 11 * PS + PS / 2));
	EXPECT_NE(0, *(uint64_t *)(p + 11 * PS));
	close(a);
	close(b);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, 100 * PS));
	EXPECT_EQ(0, committed_pages(fd));
	munmap(p, 100 * PS);
	close(fd);
}

/* Pins of a clone: the page is the clone's own, whatever the family does. */
TEST_F(vmo, n8_pinning_a_clone_unshares)
{
	int fd = vmo_new_pages(self->dev, 4), child, pin;
	struct vmo_info info;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, write_page(fd, i, 20 + i));
	child = vmo_snap(fd);
	ASSERT_EQ(0, vmo_stat(child, &info));
	EXPECT_EQ(0, info.private_bytes);
	pin = vmo_pin(child, 1, 2);
	ASSERT_LE(0, pin);
	ASSERT_EQ(0, vmo_stat(child, &info));
	EXPECT_EQ(2 * PS, info.private_bytes);
	EXPECT_EQ(0, write_page(fd, 1, 99));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 4, 20));
	EXPECT_EQ(0, pinned_pages(fd));
	/* The parent is not blocked, the clone is. */
	close(vmo_snap(fd));
	EXPECT_ERRNO(EBADFD, vmo_snap(child));
	close(pin);
	close(vmo_snap(child));
	close(child);
	close(fd);
}

TEST_F(vmo, n8_the_pin_keeps_the_object)
{
	int fd = vmo_new_pages(self->dev, 4), pin;
	long pages = vmo_counter("pages"), objects = vmo_counter("objects");

	ASSERT_EQ(0, write_page(fd, 1, 5));
	pin = vmo_pin(fd, 0, 4);
	ASSERT_LE(0, pin);
	close(fd);
	usleep(20000);
	EXPECT_EQ(objects, vmo_counter("objects"));
	EXPECT_EQ(pages + 4, vmo_counter("pages"));
	close(pin);
	EXPECT_EQ(objects - 1, vmo_counter_becomes("objects", objects - 1));
	EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
}

/* Ours: a snapshot that copies what is pinned. The pages stay; they were not shared. */
TEST_F(vmo, k6_inv_4_7_snapshot_copies_pinned)
{
	const uint32_t flags[] = { VMO_PIN_READ, VMO_PIN_WRITE };

	for (int i = 0; i < 2; i++) {
		int fd = vmo_new_pages(self->dev, 70), pin, a, b;
		char *p = vmo_map(fd, 70, RW);
		struct vmo_info info;

		ASSERT_NE(NULL, p);
		fill_pages(p, 0, 70, 500);
		pin = vmo_pin_flags(fd, 30 * PS, 5 * PS, flags[i]);
		ASSERT_LE(0, pin);
		a = vmo_clone_flags(fd, 70 * PS, VMO_CLONE_COPY_PINNED);
		ASSERT_LE(0, a);
		fill_pages(p, 32, 10, 800);
		b = vmo_clone_flags(fd, 70 * PS, VMO_CLONE_COPY_PINNED);
		ASSERT_LE(0, b);
		fill_pages(p, 0, 70, 900);
		EXPECT_EQ(-1, wrong_page_fd(a, 0, 70, 500));
		EXPECT_EQ(-1, wrong_page_fd(b, 0, 32, 500));
		EXPECT_EQ(-1, wrong_page_fd(b, 32, 10, 800));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, 70, 900));
		ASSERT_EQ(0, vmo_stat(fd, &info));
		EXPECT_EQ(70 * PS, info.private_bytes);
		EXPECT_EQ(5 * PS, info.pinned_bytes);
		/* A clone is not pinned. */
		EXPECT_EQ(0, pinned_pages(a));
		close(vmo_snap(a));
		close(a);
		close(b);
		close(pin);
		munmap(p, 70 * PS);
		close(fd);
	}
}

TEST_F(vmo, n3_a_failed_pin_pins_nothing)
{
	struct rlimit few = { .rlim_cur = 8, .rlim_max = 8 };
	int fd = vmo_new_pages(self->dev, 8), pid, status;

	/* No descriptor is free. */
	pid = fork();
	if (!pid) {
		int got = 0;

		setrlimit(RLIMIT_NOFILE, &few);
		while (dup(0) >= 0)
			got++;
		got = vmo_pin(fd, 0, 8);
		_exit(got == -1 && errno == EMFILE ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, vmo_counter("pins"));
	EXPECT_EQ(0, pinned_pages(fd));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 8 * PS));
	close(fd);
}

/* Without the privilege, the user pays for each page of each pin, in all processes. */
static int pin_as_user(int fd, int pipe_fd)
{
	struct rlimit limit = { .rlim_cur = 8 * PS, .rlim_max = 8 * PS };
	int a, b, status;
	char c;

	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (setgid(12345) || setuid(12345))
		return 1;
	a = vmo_pin(fd, 0, 6);
	if (a < 0)
		return 2;
	if (vmo_pin(fd, 0, 3) >= 0 || errno != ENOMEM)
		return 3;
	if (vmo_pin(fd, 0, 9) >= 0 || errno != ENOMEM)
		return 4;
	b = fork();
	if (!b)
		_exit(vmo_pin(fd, 0, 3) >= 0 || errno != ENOMEM ||
		      vmo_pin(fd, 2, 2) < 0 ? 1 : 0);
	if (waitpid(b, &status, 0) != b || status)
		return 5;
	/* The pin of the child that has exited is paid back. */
	b = vmo_pin(fd, 0, 2);
	if (b < 0)
		return 6;
	close(a);
	a = vmo_pin(fd, 0, 6);
	if (a < 0)
		return 7;
	/* Passed on, it is still this user's. */
	if (write(pipe_fd, "x", 1) != 1 || read(pipe_fd, &c, 0) > 0)
		return 8;
	return 0;
}

TEST_F(vmo, n_memlock_limit)
{
	int fd = vmo_new_pages(self->dev, 16), pid, status, link[2], many;

	ASSERT_EQ(0, pipe(link));
	pid = fork();
	if (!pid)
		_exit(pin_as_user(fd, link[1]));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, pinned_pages(fd));
	/* With CAP_IPC_LOCK there is no limit. */
	many = vmo_pin(fd, 0, 16);
	EXPECT_LE(0, many);
	close(many);
	close(link[0]);
	close(link[1]);
	close(fd);
}

/* Pins and unpins on one CPU, all that they block on the other. */
struct storm {
	int fd;
	uint64_t stop;
	long pins;
};

static void *storm_thread(void *arg)
{
	struct storm *storm = arg;

	pin_to_cpu(1);
	for (unsigned int i = 0; !load(&storm->stop); i++) {
		int fd = vmo_pin(storm->fd, i % 60, 1 + i % 37 % (64 - i % 60));

		if (fd >= 0) {
			storm->pins++;
			close(fd);
		}
	}
	return NULL;
}

TEST_F(vmo, n3_n5_pins_race_with_what_they_block)
{
	struct storm storm = { .fd = vmo_new_flags(self->dev, 64 * PS, VMO_CREATE_RESIZABLE) };
	double end = seconds() + 2;
	pthread_t thread;
	int i, snap;

	ASSERT_LE(0, storm.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, storm_thread, &storm));
	pin_to_cpu(0);
	for (i = 0; more_rounds(i, 50, 3000, end); i++) {
		uint64_t word = i + 1, back = 0;

		EXPECT_EQ(8, pwrite(storm.fd, &word, 8, (i % 20) * PS));
		if (vmo_set_size(storm.fd, (20 + i % 30) * PS))
			EXPECT_EQ(EBADFD, errno);
		EXPECT_EQ(0, vmo_set_size(storm.fd, 64 * PS));
		if (vmo_op(storm.fd, VMO_OP_DECOMMIT, 30 * PS, 10 * PS))
			EXPECT_EQ(EBADFD, errno);
		EXPECT_EQ(0, vmo_op(storm.fd, VMO_OP_ZERO, 21 * PS, 20 * PS));
		EXPECT_EQ(-1, wrong_page_fd(storm.fd, 21, 1, 0));
		snap = i % 2 ? vmo_snap(storm.fd) :
			       vmo_clone_flags(storm.fd, 64 * PS, VMO_CLONE_COPY_PINNED);
		if (snap < 0) {
			EXPECT_EQ(1, i % 2);
			EXPECT_EQ(EBADFD, errno);
			continue;
		}
		word = ~word;
		EXPECT_EQ(8, pwrite(storm.fd, &word, 8, (i % 20) * PS));
		EXPECT_EQ(8, pread(snap, &back, 8, (i % 20) * PS));
		EXPECT_EQ(i + 1, back);
		close(snap);
	}
	store(&storm.stop, 1);
	pthread_join(thread, NULL);
	printf("# %d rounds, %ld pins\n", i, storm.pins);
	EXPECT_EQ(0, pinned_pages(storm.fd));
	close(storm.fd);
}

TEST_HARNESS_MAIN
