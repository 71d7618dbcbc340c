// SPDX-License-Identifier: GPL-2.0
/* Mappings of one object; what snapshots do to them is in snapshot_test.c. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

TEST_F(vmo, map_shared_is_coherent)
{
	int fd = vmo_new_pages(self->dev, 80);
	char *a = vmo_map(fd, 80, RW), *b = vmo_map_at(fd, 7 * PS, 20, RW, MAP_SHARED);
	char *ro = vmo_map(fd, 80, RO);

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	ASSERT_NE(NULL, ro);
	EXPECT_EQ(-1, wrong_page(ro, 0, 80, 0));
	fill_pages(a, 0, 80, 100);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 80, 100));
	EXPECT_EQ(-1, wrong_page(ro, 0, 80, 100));
	EXPECT_EQ(-1, wrong_page(b, 0, 20, 107));
	fill_pages(b, 0, 20, 300);
	EXPECT_EQ(-1, wrong_page(a, 7, 20, 293));
	ASSERT_EQ(0, write_page(fd, 8, 999));
	EXPECT_TRUE(page_is(a + 8 * PS, 999));
	EXPECT_TRUE(page_is(b + PS, 999));
	EXPECT_TRUE(page_is(ro + 8 * PS, 999));
	/* Single bytes, both ways. */
	a[5 * PS + 17] = 'q';
	EXPECT_EQ('q', ro[5 * PS + 17]);
	EXPECT_EQ(1, pwrite(fd, "r", 1, 5 * PS + 17));
	EXPECT_EQ('r', a[5 * PS + 17]);
	munmap(a, 80 * PS);
	munmap(b, 20 * PS);
	munmap(ro, 80 * PS);
	EXPECT_TRUE(page_is(b = vmo_map_at(fd, 8 * PS, 1, RO, MAP_SHARED), 999));
	munmap(b, PS);
	close(fd);
}

TEST_F(vmo, map_rights)
{
	int fd = vmo_new_pages(self->dev, 2), ro_fd, wo_fd;
	char *p;

	ASSERT_LE(0, fd);
	ro_fd = vmo_reopen(fd, O_RDONLY);
	wo_fd = vmo_reopen(fd, O_WRONLY);
	ASSERT_LE(0, ro_fd);
	ASSERT_LE(0, wo_fd);
	EXPECT_ERRNO(EACCES, mmap(NULL, PS, RW, MAP_SHARED, ro_fd, 0));
	EXPECT_ERRNO(EACCES, mmap(NULL, PS, RO, MAP_SHARED, wo_fd, 0));
	EXPECT_ERRNO(EACCES, mmap(NULL, PS, PROT_WRITE, MAP_SHARED, wo_fd, 0));

	p = vmo_map(ro_fd, 2, RO);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, touch(p, false));
	EXPECT_EQ(SIGSEGV, touch(p, true));
	EXPECT_ERRNO(EACCES, mprotect(p, 2 * PS, RW));
	munmap(p, 2 * PS);

	p = vmo_map_at(ro_fd, 0, 2, RW, MAP_PRIVATE);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, touch(p, true));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 2, 0));
	munmap(p, 2 * PS);
	close(ro_fd);
	close(wo_fd);
	close(fd);
}

TEST_F(vmo, map_mprotect)
{
	int fd = vmo_new_pages(self->dev, 4);
	char *p = vmo_map(fd, 4, RO);

	ASSERT_NE(NULL, p);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, touch(p, false));
		EXPECT_EQ(SIGSEGV, touch(p + i * PS, true));
		ASSERT_EQ(0, mprotect(p, 4 * PS, RW));
		EXPECT_EQ(0, touch(p + i * PS, true));
		ASSERT_EQ(0, mprotect(p, 4 * PS, PROT_NONE));
		EXPECT_EQ(SIGSEGV, touch(p, false));
		ASSERT_EQ(0, mprotect(p, 4 * PS, RO));
		EXPECT_EQ(1, p[i * PS]);
	}
	munmap(p, 4 * PS);
	close(fd);
}

TEST_F(vmo, map_private)
{
	int fd = vmo_new_pages(self->dev, 16);
	char *p = vmo_map_at(fd, 0, 16, RW, MAP_PRIVATE), *s = vmo_map(fd, 16, RW);

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, s);
	fill_pages(s, 0, 8, 100);
	EXPECT_EQ(-1, wrong_page(p, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(p, 8, 8, 0));
	fill_pages(p, 4, 8, 200);		/* four over data, four over holes */
	EXPECT_EQ(-1, wrong_page(s, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(s, 8, 8, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 8, 8, 0));
	fill_pages(s, 0, 16, 300);
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 300));	/* not written: follows the object */
	EXPECT_EQ(-1, wrong_page(p, 4, 8, 200));
	EXPECT_EQ(-1, wrong_page(p, 12, 4, 300));
	/* What was written privately is given up, the object comes back. */
	ASSERT_EQ(0, madvise(p, 16 * PS, MADV_DONTNEED));
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 300));
	munmap(p, 16 * PS);
	munmap(s, 16 * PS);
	close(fd);
}

TEST_F(vmo, map_fork)
{
	int fd = vmo_new_pages(self->dev, 16), status;
	char *s = vmo_map(fd, 16, RW), *p = vmo_map_at(fd, 0, 16, RW, MAP_PRIVATE);
	pid_t pid;

	ASSERT_NE(NULL, s);
	ASSERT_NE(NULL, p);
	fill_pages(s, 0, 8, 100);
	fill_pages(p, 0, 4, 500);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		bool good = wrong_page(s, 0, 8, 100) == -1 && wrong_page(p, 0, 4, 500) == -1 &&
			    wrong_page(p, 4, 4, 100) == -1;

		fill_pages(s, 6, 6, 300);
		fill_pages(p, 0, 5, 400);
		good = good && wrong_page(p, 0, 5, 400) == -1;
		_exit(good ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, wrong_page(s, 0, 6, 100));
	EXPECT_EQ(-1, wrong_page(s, 6, 6, 300));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 500));
	EXPECT_EQ(-1, wrong_page(p, 4, 2, 100));
	EXPECT_EQ(-1, wrong_page(p, 6, 6, 300));
	munmap(s, 16 * PS);
	munmap(p, 16 * PS);
	close(fd);
}

TEST_F(vmo, map_munmap_a_part)
{
	int fd = vmo_new_pages(self->dev, 12);
	char *p = vmo_map(fd, 12, RW), *again;

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 12, 100);
	ASSERT_EQ(0, munmap(p + 4 * PS, 4 * PS));
	EXPECT_EQ(SIGSEGV, touch(p + 4 * PS, false));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 100));
	EXPECT_EQ(-1, wrong_page(p, 8, 4, 100));
	fill_pages(p, 8, 4, 200);
	ASSERT_EQ(0, write_page(fd, 5, 777));
	again = mmap(p + 4 * PS, 4 * PS, RW, MAP_SHARED | MAP_FIXED, fd, 4 * PS);
	ASSERT_EQ(p + 4 * PS, again);
	EXPECT_TRUE(page_is(p + 5 * PS, 777));
	EXPECT_EQ(-1, wrong_page_fd(fd, 8, 4, 200));
	munmap(p, 12 * PS);
	close(fd);
}

TEST_F(vmo, map_mremap)
{
	int fd = vmo_new_pages(self->dev, 16);
	char *p = vmo_map(fd, 4, RW), *q, *dup;

	ASSERT_NE(NULL, p);
	for (int i = 0; i < 16; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 100));
	p = mremap(p, 4 * PS, 16 * PS, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 100));
	fill_pages(p, 0, 16, 200);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 16, 200));
	p = mremap(p, 16 * PS, 8 * PS, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(SIGSEGV, touch(p + 8 * PS, false));
	/* To another place, with the page tables. */
	q = mmap(NULL, 8 * PS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, q);
	q = mremap(p, 8 * PS, 8 * PS, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(-1, wrong_page(q, 0, 8, 200));
	/* Old size 0: a second mapping of the same. */
	dup = mremap(q, 0, 8 * PS, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, dup);
	fill_pages(dup, 0, 8, 300);
	EXPECT_EQ(-1, wrong_page(q, 0, 8, 300));
	munmap(dup, 8 * PS);
	munmap(q, 8 * PS);
	close(fd);
}

TEST_F(vmo, map_bus_error_past_the_end)
{
	int fd = vmo_new(self->dev, PS + 10);
	char *p = vmo_map(fd, 4, RW), *far = vmo_map_at(fd, 100 * PS, 1, RW, MAP_SHARED);
	char *priv = vmo_map_at(fd, 0, 4, RW, MAP_PRIVATE);

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, far);
	ASSERT_NE(NULL, priv);
	/* Behind the content size, but in the object's last page. */
	EXPECT_EQ(0, touch(p + 2 * PS - 1, true));
	for (int write = 0; write < 2; write++) {
		EXPECT_EQ(SIGBUS, touch(p + 2 * PS, write));
		EXPECT_EQ(SIGBUS, touch(p + 4 * PS - 1, write));
		EXPECT_EQ(SIGBUS, touch(far, write));
		EXPECT_EQ(SIGBUS, touch(priv + 2 * PS, write));
	}
	munmap(p, 4 * PS);
	munmap(far, PS);
	munmap(priv, 4 * PS);
	close(fd);
}

TEST_F(vmo, map_offsets)
{
	int fd = vmo_new(self->dev, MAX_SIZE), small = vmo_new_pages(self->dev, 1);
	char *p;

	ASSERT_LE(0, fd);
	p = vmo_map_at(fd, MAX_SIZE - 2 * PS, 2, RW, MAP_SHARED);
	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 2, 50);
	munmap(p, 2 * PS);
	p = vmo_map_at(fd, MAX_SIZE - PS, 1, RO, MAP_SHARED);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(page_is(p, 51));
	munmap(p, PS);
	EXPECT_ERRNO(EINVAL, mmap(NULL, PS, RO, MAP_SHARED, fd, 100));
	EXPECT_EQ(NULL, vmo_map_at(small, -PS, 2, RO, MAP_SHARED));
	close(small);
	close(fd);
}

/* Rule 9, without a race: a hole that was read is filled in every possible way. */
TEST_F(vmo, inv_4_9_hole_read_before_it_is_filled)
{
	int fd = vmo_new_pages(self->dev, 32), child = vmo_snap(fd);
	char *ro = vmo_map(fd, 32, RO), *priv = vmo_map_at(fd, 0, 32, RW, MAP_PRIVATE);
	char *rw = vmo_map(fd, 32, RW), *of_child;

	ASSERT_NE(NULL, ro);
	ASSERT_NE(NULL, priv);
	ASSERT_NE(NULL, rw);
	ASSERT_LE(0, child);
	of_child = vmo_map(child, 32, RO);
	ASSERT_NE(NULL, of_child);
	EXPECT_EQ(-1, wrong_page(ro, 0, 32, 0));
	EXPECT_EQ(-1, wrong_page(priv, 0, 32, 0));
	EXPECT_EQ(-1, wrong_page(rw, 0, 32, 0));
	EXPECT_EQ(-1, wrong_page(of_child, 0, 32, 0));
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	fill_pages(rw, 8, 8, 100);
	ASSERT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 16 * PS, 16 * PS));
	EXPECT_EQ(-1, wrong_page(ro, 16, 16, 0));
	fill_pages(rw, 16, 8, 100);
	for (int i = 24; i < 32; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	EXPECT_EQ(-1, wrong_page(ro, 0, 32, 100));
	EXPECT_EQ(-1, wrong_page(priv, 0, 32, 100));
	EXPECT_EQ(-1, wrong_page(rw, 0, 32, 100));
	EXPECT_EQ(-1, wrong_page(of_child, 0, 32, 0));
	munmap(ro, 32 * PS);
	munmap(priv, 32 * PS);
	munmap(rw, 32 * PS);
	munmap(of_child, 32 * PS);
	close(child);
	close(fd);
}

TEST_F(vmo, map_populate_and_advice)
{
	int fd = vmo_new_pages(self->dev, 16), child;
	char *p;

	ASSERT_LE(0, fd);
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	p = vmo_map_at(fd, 0, 16, RW, MAP_SHARED | MAP_POPULATE);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 8, 100));
	fill_pages(p, 0, 4, 200);
	ASSERT_EQ(0, madvise(p, 16 * PS, MADV_DONTNEED));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 200));
	EXPECT_EQ(-1, wrong_page(p, 4, 4, 96 + 4));
	EXPECT_EQ(-1, wrong_page(p, 8, 8, 0));
	ASSERT_EQ(0, madvise(p, 16 * PS, MADV_DONTNEED));
	EXPECT_EQ(0, madvise(p, 16 * PS, MADV_POPULATE_READ));
	EXPECT_EQ(0, madvise(p, 16 * PS, MADV_POPULATE_WRITE));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 200));
	EXPECT_EQ(-1, wrong_page(p, 4, 4, 100));
	EXPECT_EQ(-1, wrong_page(p, 8, 8, 0));
	/* These may be refused, but must neither harm the content nor the kernel. */
	madvise(p, 16 * PS, MADV_WILLNEED);
	madvise(p, 16 * PS, MADV_COLD);
	madvise(p, 16 * PS, MADV_PAGEOUT);
	madvise(p, 16 * PS, MADV_FREE);
	mlock(p, 16 * PS);
	munlock(p, 16 * PS);
	EXPECT_EQ(0, msync(p, 16 * PS, MS_SYNC));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 200));
	EXPECT_EQ(-1, wrong_page(p, 4, 4, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 8, 100));
	munmap(p, 16 * PS);
	close(child);
	close(fd);
}

/* As a debugger or another process would: get_user_pages() on the mapping. */
TEST_F(vmo, map_process_vm)
{
	const size_t size = 16 * PS;
	int fd = vmo_new_pages(self->dev, 16), child;
	char *p = vmo_map(fd, 16, RW), *buf = malloc(size);
	struct iovec local = { buf, size }, remote = { p, size };

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 8, 100);
	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "no process_vm_readv() in this kernel");
	EXPECT_EQ((ssize_t)size, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, wrong_page(buf, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(buf, 8, 8, 0));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	fill_pages(buf, 0, 16, 200);
	EXPECT_EQ((ssize_t)size, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 200));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 16, 200));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 8, 8, 0));
	munmap(p, size);
	close(child);
	close(fd);
}

TEST_F(vmo, map_outlives_the_descriptor)
{
	long objects = vmo_counter("objects"), pages = vmo_counter("pages");
	int fd = vmo_new_pages(self->dev, 8), child;
	char *p = vmo_map(fd, 8, RW), *c;

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 8, 100);
	child = vmo_snap(fd);
	c = vmo_map(child, 8, RW);
	ASSERT_NE(NULL, c);
	close(fd);
	close(child);
	fill_pages(p, 0, 4, 200);
	fill_pages(c, 2, 4, 300);
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 200));
	EXPECT_EQ(-1, wrong_page(p, 4, 4, 100));
	EXPECT_EQ(-1, wrong_page(c, 0, 2, 100));
	EXPECT_EQ(-1, wrong_page(c, 2, 4, 300));
	munmap(p, 8 * PS);
	EXPECT_EQ(-1, wrong_page(c, 6, 2, 100));
	munmap(c, 8 * PS);
	EXPECT_EQ(objects, vmo_counter_becomes("objects", objects));
	EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
}

TEST_F(vmo, reopen_through_proc)
{
	int fd = vmo_new(self->dev, PS + 5), rw, ro, wo;
	struct vmo_info info, other;
	char c = 0;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	rw = vmo_reopen(fd, O_RDWR);
	ro = vmo_reopen(fd, O_RDONLY);
	wo = vmo_reopen(fd, O_WRONLY);
	ASSERT_LE(0, rw);
	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	ASSERT_EQ(0, vmo_stat(rw, &other));
	EXPECT_EQ(info.id, other.id);
	EXPECT_EQ(1, pwrite(rw, "x", 1, PS));
	EXPECT_EQ(1, pread(ro, &c, 1, PS));
	EXPECT_EQ('x', c);
	EXPECT_ERRNO(EBADF, pwrite(ro, "x", 1, 0));
	EXPECT_ERRNO(EBADF, pread(wo, &c, 1, 0));
	EXPECT_ERRNO(EACCES, vmo_op(ro, VMO_OP_COMMIT, 0, PS));
	EXPECT_EQ(0, vmo_op(wo, VMO_OP_COMMIT, 0, PS));
	EXPECT_ERRNO(EACCES, vmo_window(wo, 0, PS));
	ASSERT_EQ(0, vmo_stat(ro, &other));
	EXPECT_EQ(info.id, other.id);
	EXPECT_EQ(PS + 5, other.content_size);
	/* The first descriptor does not matter any more. */
	close(fd);
	EXPECT_EQ(1, pread(ro, &c, 1, PS));
	EXPECT_EQ('x', c);
	/* The size is fixed: truncation on open may fail, but changes nothing. */
	fd = vmo_reopen(rw, O_RDWR | O_TRUNC);
	ASSERT_EQ(0, vmo_stat(rw, &other));
	EXPECT_EQ(PS + 5, other.content_size);
	EXPECT_EQ(1, pread(rw, &c, 1, PS));
	EXPECT_EQ('x', c);
	close(fd);
	close(rw);
	close(ro);
	close(wo);
}

static long futex(void *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* Sleeps in another process on its own mapping of fd; exits 0 if it was woken. */
static pid_t futex_sleeper(int fd)
{
	struct timespec limit = { .tv_sec = 20 };
	pid_t pid = fork();
	uint32_t *word;

	if (pid)
		return pid;
	word = (uint32_t *)vmo_map(fd, 1, RW);
	if (!word)
		_exit(2);
	_exit(futex(word, FUTEX_WAIT, *(volatile uint32_t *)word, &limit) ? 1 : 0);
}

/* Wakes until one was woken, or for two seconds; how many were. */
static long futex_waker(void *word, int tries)
{
	for (int i = 0; i < tries; i++) {
		long woken = futex(word, FUTEX_WAKE, 1, NULL);

		if (woken)
			return woken;
		usleep(10000);
	}
	return 0;
}

TEST_F(vmo, inv_4_8_futex_in_a_mapping)
{
	int fd = vmo_new_pages(self->dev, 1), status;
	char *p = vmo_map(fd, 1, RW);

	ASSERT_NE(NULL, p);
	for (int round = 0; round < 3; round++) {
		pid_t pid;
		int child;

		p[8] = round;	/* after the first round: copied from the snapshot's */
		pid = futex_sleeper(fd);
		ASSERT_LT(0, pid);
		EXPECT_EQ(1, futex_waker(p, 500));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		child = vmo_snap(fd);
		ASSERT_LE(0, child);
		close(child);
	}
	munmap(p, PS);
	close(fd);
}

/* Both sides have written since: the words are different ones. */
TEST_F(vmo, inv_4_8_futex_is_not_shared_with_the_snapshot)
{
	int fd = vmo_new_pages(self->dev, 1), child, status;
	char *p = vmo_map(fd, 1, RW), *c;
	pid_t pid;

	ASSERT_NE(NULL, p);
	p[8] = 1;
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	c = vmo_map(child, 1, RW);
	ASSERT_NE(NULL, c);
	c[8] = 2;
	p[8] = 3;
	pid = futex_sleeper(child);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, futex_waker(p, 50));
	EXPECT_EQ(1, futex_waker(c, 500));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(p, PS);
	munmap(c, PS);
	close(child);
	close(fd);
}

/* A number of /proc/vmstat; -1 if this kernel does not count that. */
static long vmstat(const char *name)
{
	FILE *file = fopen("/proc/vmstat", "re");
	long value, found = -1;
	char line[64];

	while (file && found < 0 && fscanf(file, "%63s %ld", line, &value) == 2)
		if (!strcmp(line, name))
			found = value;
	if (file)
		fclose(file);
	return found;
}

/* The kernel counts that only where CONFIG_PER_VMA_LOCK_STATS is set. */
TEST_F(vmo, inv_4_2_faults_under_the_vma_lock)
{
	int fd = vmo_new_pages(self->dev, 512);
	char *map = vmo_map(fd, 512, RW);
	long before = vmstat("vma_lock_success"), after;

	ASSERT_NE(NULL, map);
	if (before < 0)
		SKIP(goto out, "this kernel does not count faults under VMA locks");
	for (int i = 0; i < 512; i += 2) {
		EXPECT_EQ(0, *(volatile char *)(map + i * PS));
		((volatile char *)map)[i * PS + PS] = 1;
	}
	after = vmstat("vma_lock_success");
	/* 256 writes fault, and some of the reads. */
	EXPECT_LE(before + 256, after);
out:
	munmap(map, 512 * PS);
	close(fd);
}

TEST_HARNESS_MAIN
