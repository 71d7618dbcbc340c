/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of /dev/vmo share. Every test is a TEST_F of a fixture named
 * vmo with a member dev; its name starts with the rule that it is about. Who
 * defines VMO_FIXTURE before gets the fixture at the end of this file.
 */
#ifndef VMO_TEST_UTIL_H
#define VMO_TEST_UTIL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/vmo.h>

#define RO		PROT_READ
#define RW		(PROT_READ | PROT_WRITE)
#define MAX_SIZE	((1ULL << 63) - PS)

static unsigned long PS;

static __attribute__((constructor)) void test_util_init(void)
{
	PS = sysconf(_SC_PAGESIZE);
}

/* ---- verdicts ---- */

#define EXPECT_ERRNO(_errno, _call) do {				\
	errno = 0;							\
	EXPECT_EQ(-1, (long)(_call));					\
	EXPECT_EQ(_errno, errno);					\
} while (0)

/* ---- the interface ---- */

#ifndef VMO_H	/* libvmo has functions of these names */

static inline int vmo_new(int dev, uint64_t size)
{
	struct vmo_create arg = { .size = size, .fd = -1 };

	return ioctl(dev, VMO_CREATE, &arg) ? -1 : arg.fd;
}

static inline int vmo_new_pages(int dev, uint64_t pages)
{
	return vmo_new(dev, pages * PS);
}

static inline int vmo_window(int fd, uint64_t offset, uint64_t size)
{
	struct vmo_clone arg = {
		.offset = offset, .size = size, .flags = VMO_CLONE_SNAPSHOT, .fd = -1,
	};

	return ioctl(fd, VMO_CLONE, &arg) ? -1 : arg.fd;
}

static inline int vmo_new_flags(int dev, uint64_t size, uint32_t flags)
{
	struct vmo_create arg = { .size = size, .flags = flags, .fd = -1 };

	return ioctl(dev, VMO_CREATE, &arg) ? -1 : arg.fd;
}

static inline int vmo_new_named(int dev, uint64_t size, const char *name)
{
	struct vmo_create arg = { .size = size, .fd = -1 };

	snprintf(arg.name, sizeof(arg.name), "%s", name);
	return ioctl(dev, VMO_CREATE, &arg) ? -1 : arg.fd;
}

static inline int vmo_clone_flags(int fd, uint64_t size, uint32_t flags)
{
	struct vmo_clone arg = { .size = size, .flags = VMO_CLONE_SNAPSHOT | flags, .fd = -1 };

	return ioctl(fd, VMO_CLONE, &arg) ? -1 : arg.fd;
}

static inline int vmo_slice(int fd, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct vmo_slice arg = { .offset = offset, .size = size, .flags = flags, .fd = -1 };

	return ioctl(fd, VMO_SLICE, &arg) ? -1 : arg.fd;
}

static inline int vmo_reference(int fd, uint32_t flags)
{
	struct vmo_reference arg = { .flags = flags, .fd = -1 };

	return ioctl(fd, VMO_REFERENCE, &arg) ? -1 : arg.fd;
}

static inline int vmo_set_size(int fd, uint64_t size)
{
	struct vmo_resize arg = { .size = size };

	return ioctl(fd, VMO_RESIZE, &arg);
}

static inline int vmo_pin_flags(int fd, uint64_t offset, uint64_t length, uint32_t flags)
{
	struct vmo_pin arg = { .offset = offset, .length = length, .flags = flags, .fd = -1 };

	return ioctl(fd, VMO_PIN, &arg) ? -1 : arg.fd;
}

static inline int vmo_stat(int fd, struct vmo_info *info)
{
	memset(info, 0xaa, sizeof(*info));
	return ioctl(fd, VMO_INFO, info);
}

/* The whole of an object. */
static inline int vmo_snap(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1 : vmo_window(fd, 0, info.size);
}

static inline int vmo_op(int fd, uint32_t op, uint64_t offset, uint64_t length)
{
	struct vmo_op_range arg = { .op = op, .offset = offset, .length = length };

	return ioctl(fd, VMO_OP_RANGE, &arg);
}

static inline char *vmo_map_at(int fd, uint64_t offset, size_t pages, int prot, int flags)
{
	char *p = mmap(NULL, pages * PS, prot, flags, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

static inline char *vmo_map(int fd, size_t pages, int prot)
{
	return vmo_map_at(fd, 0, pages, prot, MAP_SHARED);
}

#endif

/* All bits are set if it cannot be asked. */
static inline struct vmo_info info_of(int fd)
{
	struct vmo_info info;

	if (ioctl(fd, VMO_INFO, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

static inline uint64_t committed_pages(int fd)
{
	return info_of(fd).committed_bytes / PS;
}

static inline uint64_t st_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1ULL : (uint64_t)st.st_size;
}

/* What debugfs says is held by all objects together; -1 if it is not there. */
static inline long vmo_counter(const char *name)
{
	FILE *f = fopen("/sys/kernel/debug/vmo/counters", "r");
	long value = -1, v;
	char key[32];

	if (!f)
		return -1;
	while (fscanf(f, "%31s %ld", key, &v) == 2)
		if (!strcmp(key, name))
			value = v;
	fclose(f);
	return value;
}

/* The last reference may be dropped by a worker: give it five seconds. */
static inline long vmo_counter_becomes(const char *name, long want)
{
	long value = 0;

	for (int i = 0; i < 500; i++) {
		value = vmo_counter(name);
		if (value == want || value < 0)
			break;
		usleep(10000);
	}
	return value;
}

/* ---- patterns ---- */

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15ULL;
	return x ^ (x >> 29);
}

/* Fills a page with words that tell seed and place; seed 0 is a page of zeroes. */
static inline void fill_page(void *page, uint64_t seed)
{
	uint64_t *word = page;

	for (size_t i = 0; i < PS / 8; i++)
		word[i] = seed ? mix(seed << 16 | i) : 0;
}

static inline bool page_is(const void *page, uint64_t seed)
{
	const uint64_t *word = page;

	for (size_t i = 0; i < PS / 8; i++)
		if (word[i] != (seed ? mix(seed << 16 | i) : 0))
			return false;
	return true;
}

/* Page i of a run has the seed base + i, or is zero if base is 0. */
static inline void fill_pages(char *p, size_t first, size_t count, uint64_t base)
{
	for (size_t i = first; i < first + count; i++)
		fill_page(p + i * PS, base ? base + i : 0);
}

/* The index of the first page that is not as fill_pages() left it, or -1. */
static inline long wrong_page(const char *p, size_t first, size_t count, uint64_t base)
{
	for (size_t i = first; i < first + count; i++)
		if (!page_is(p + i * PS, base ? base + i : 0))
			return i;
	return -1;
}

/* The same, but read with pread() from the object. -2 if that fails. */
static inline long wrong_page_fd(int fd, size_t first, size_t count, uint64_t base)
{
	char *buf = malloc(PS);
	long wrong = -1;

	for (size_t i = first; i < first + count && wrong == -1; i++) {
		if (pread(fd, buf, PS, i * PS) != (ssize_t)PS)
			wrong = -2;
		else if (!page_is(buf, base ? base + i : 0))
			wrong = i;
	}
	free(buf);
	return wrong;
}

static inline int write_page(int fd, size_t index, uint64_t seed)
{
	char *buf = malloc(PS);
	ssize_t done;

	fill_page(buf, seed);
	done = pwrite(fd, buf, PS, index * PS);
	free(buf);
	return done == (ssize_t)PS ? 0 : -1;
}

/* A new object, whose page i has the seed base + i. */
static inline int vmo_filled(int dev, size_t pages, uint32_t flags, uint64_t base)
{
	struct vmo_create arg = { .size = pages * PS, .flags = flags };

	if (ioctl(dev, VMO_CREATE, &arg))
		return -1;
	for (size_t i = 0; i < pages; i++)
		if (write_page(arg.fd, i, base + i))
			return -1;
	return arg.fd;
}

static inline uint64_t checksum(const void *data, size_t size)
{
	const uint64_t *word = data;
	uint64_t sum = 1;

	for (size_t i = 0; i < size / 8; i++)
		sum = (sum ^ word[i]) * 0x100000001b3ULL;
	return sum;
}

/* ---- faults ---- */

static sigjmp_buf touch_env;

static inline void touch_handler(int sig)
{
	siglongjmp(touch_env, sig);
}

/* The signal that an access to this byte ends with; 0 if none. One thread only. */
static inline int touch(volatile char *p, bool write)
{
	struct sigaction act = { .sa_handler = touch_handler }, bus, segv;
	int sig;

	sigaction(SIGBUS, &act, &bus);
	sigaction(SIGSEGV, &act, &segv);
	sig = sigsetjmp(touch_env, 1);
	if (!sig) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return sig;
}

/* ---- threads ---- */

static inline void pin_to_cpu(int which)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(which % (cpus > 0 ? cpus : 1), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void store(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* Spins, but leaves the CPU to others if there are more threads than CPUs. */
static inline void wait_for(const uint64_t *p, uint64_t at_least)
{
	for (unsigned int i = 1; load(p) < at_least; i++)
		if (!(i % 4096))
			sched_yield();
}

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/*
 * For loops: whether to go on after i rounds. At least `least` of them, then up to
 * `most`, if there is time; threads on two CPUs get slow when the host is busy.
 */
static inline bool more_rounds(int i, int least, int most, double end)
{
	return i < least || (i < most && seconds() < end);
}

/* ---- races ---- */

#define TRACING		"/sys/kernel/tracing/"
#define HOLD_UP_WORK	30	/* some 100,000 instructions */

static inline bool put_line(const char *path, int flags, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	bool good = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);

	close(fd);
	return good;
}

/*
 * Some windows lie between two functions of the kernel's core. This widens them:
 * a probe on a function has much to note down each time, which nobody reads. Only
 * with VMO_HOLD_UP=1, and where there are such probes; else chance has to do. QEMU
 * without KVM may hang when one CPU patches what another one runs, so no threads
 * may be about, and the names of processes, for which the scheduler would be
 * patched, are not recorded.
 */
static inline bool hold_up(const char *symbol)
{
	char line[HOLD_UP_WORK * 32 + 64];

	if (!getenv("VMO_HOLD_UP"))
		return false;
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	put_line(TRACING "options/record-cmd", 0, "0");
	snprintf(line, sizeof(line), "p:vmo_test/probe %s", symbol);
	for (int i = 0; i < HOLD_UP_WORK; i++)
		sprintf(line + strlen(line), " a%d=+%d(%%sp):u8[64]", i, i);
	return put_line(TRACING "kprobe_events", O_APPEND, line) &&
	       put_line(TRACING "events/vmo_test/enable", 0, "1");
}

static inline void let_go(void)
{
	if (!getenv("VMO_HOLD_UP"))
		return;
	put_line(TRACING "events/vmo_test/enable", 0, "0");
	put_line(TRACING "kprobe_events", O_APPEND, "-:vmo_test/probe");
}

/* ---- descriptors ---- */

static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* The same object with other rights. */
static inline int vmo_reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* ---- the fixture ---- */

#ifdef VMO_FIXTURE
#include "kselftest_harness.h"

/* /dev/vmo is open; the rest is what was held before, -1 if debugfs is not there. */
FIXTURE(vmo) {
	int dev;
	int fds;
	long objects;
	long contents;
	long pages;
	long nodes;
	long pins;
	long pagers;
};

FIXTURE_SETUP(vmo)
{
	self->objects = vmo_counter("objects");
	self->contents = vmo_counter("contents");
	self->pages = vmo_counter("pages");
	self->nodes = vmo_counter("nodes");
	self->pins = vmo_counter("pins");
	self->pagers = vmo_counter("pagers");
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fds = count_fds();
}

/*
 * The process of the test has ended: what it had open or mapped has to be gone. With
 * VMO_FIXTURE_FDS it has not, and has closed all that it opened.
 */
#ifdef VMO_FIXTURE_FDS
FIXTURE_TEARDOWN(vmo)
#else
FIXTURE_TEARDOWN_PARENT(vmo)
#endif
{
#ifdef VMO_FIXTURE_FDS
	EXPECT_EQ(self->fds, count_fds());
	close(self->dev);
#endif
	EXPECT_EQ(self->objects, vmo_counter_becomes("objects", self->objects));
	EXPECT_EQ(self->contents, vmo_counter_becomes("contents", self->contents));
	EXPECT_EQ(self->pages, vmo_counter_becomes("pages", self->pages));
	EXPECT_EQ(self->nodes, vmo_counter_becomes("nodes", self->nodes));
	EXPECT_EQ(self->pins, vmo_counter_becomes("pins", self->pins));
	EXPECT_EQ(self->pagers, vmo_counter_becomes("pagers", self->pagers));
}
#endif

#endif
