/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of libvmo share: the fixture, which sees to it that no test leaves
 * a descriptor behind, and what it takes to be another user or without a device.
 */
#ifndef LIB_TEST_UTIL_H
#define LIB_TEST_UTIL_H

#define _GNU_SOURCE
#include <vmo.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include "../vmo/vmo_test_util.h"
#include "kselftest_harness.h"

#define NOBODY	65534

/* EXPECT_ERRNO() for functions that answer a pointer. */
#define EXPECT_NONE(_errno, _call) do {					\
	errno = 0;							\
	EXPECT_EQ(NULL, _call);						\
	EXPECT_EQ(_errno, errno);					\
} while (0)

#define EXPECT_CLOEXEC(_fd) EXPECT_EQ(FD_CLOEXEC, fcntl(_fd, F_GETFD))

FIXTURE(lib) {
	int fds;
	int dev;
};

FIXTURE_SETUP(lib)
{
	self->fds = count_fds();
	self->dev = vmo_device_open();
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(lib)
{
	close(self->dev);
	EXPECT_EQ(self->fds, count_fds());
}

/* ---- objects ---- */

static inline struct vmo *new_pages(int dev, uint64_t pages)
{
	return vmo_create(dev, pages * PS, 0, NULL);
}

/* The same object by a descriptor with other rights. */
static inline struct vmo *reopened(const struct vmo *vmo, int flags)
{
	return vmo_from_fd(vmo_reopen(vmo_fd(vmo), flags));
}

/* A handle whose descriptor somebody has closed, of a number that nobody gets again. */
static inline struct vmo *new_closed(int dev)
{
	int fd = vmo_into_fd(new_pages(dev, 1)), far = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	struct vmo *vmo = vmo_from_fd(far);

	close(fd);
	close(far);
	return vmo;
}

static inline uint64_t info_field(const struct vmo *vmo, size_t offset)
{
	struct vmo_info info;
	uint64_t value;

	if (vmo_info(vmo, &info, sizeof(info)))
		return UINT64_MAX;
	memcpy(&value, (char *)&info + offset, sizeof(value));
	return value;
}

#define INFO(_vmo, _field) info_field(_vmo, offsetof(struct vmo_info, _field))

static inline bool fill(const struct vmo *vmo, uint64_t page, uint64_t seed)
{
	char *buf = malloc(PS);
	ssize_t done;

	fill_page(buf, seed);
	done = vmo_write(vmo, buf, PS, page * PS, 0);
	free(buf);
	return done == (ssize_t)PS;
}

static inline bool holds(const struct vmo *vmo, uint64_t page, uint64_t seed)
{
	char *buf = malloc(PS);
	bool good = vmo_read(vmo, buf, PS, page * PS, 0) == (ssize_t)PS && page_is(buf, seed);

	free(buf);
	return good;
}

/* ---- circumstances; a test is a process, which takes them with it ---- */

static inline int become_nobody(void)
{
	return setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY);
}

/* A /dev of our own, with nothing in it. */
static inline int empty_dev(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("tmpfs", "/dev", "tmpfs", 0, "mode=755");
}

/* No descriptor can be opened any more, as 0 is in use; returns what the limit was. */
static inline rlim_t no_more_fds(void)
{
	struct rlimit limit;
	rlim_t before;

	getrlimit(RLIMIT_NOFILE, &limit);
	before = limit.rlim_cur;
	limit.rlim_cur = 1;
	setrlimit(RLIMIT_NOFILE, &limit);
	return before;
}

static inline void more_fds(rlim_t before)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = before;
	setrlimit(RLIMIT_NOFILE, &limit);
}

#endif
