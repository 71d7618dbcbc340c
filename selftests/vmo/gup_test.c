// SPDX-License-Identifier: GPL-2.0
/*
 * Those who take pages of a mapping and not its bytes: other processes, pipes,
 * devices. And a page whose memory is broken. Rules 4, 7, 8, and "Ours" of the design;
 * more about held pages is in held_test.c.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <linux/aio_abi.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif

/* ---- another process's mapping ---------------------------------------------------- */

/* A process that has an object mapped, and does nothing. */
struct peer {
	pid_t pid;
	char *map;	/* where it is, over there */
};

static bool peer_new(struct peer *peer, int fd, size_t pages, int prot)
{
	int where[2];

	if (pipe(where))
		return false;
	peer->pid = fork();
	if (!peer->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		peer->map = vmo_map(fd, pages, prot);
		if (write(where[1], &peer->map, sizeof(peer->map)) != sizeof(peer->map))
			_exit(1);
		for (;;)
			pause();
	}
	close(where[1]);
	if (read(where[0], &peer->map, sizeof(peer->map)) != sizeof(peer->map))
		peer->map = NULL;
	close(where[0]);
	return peer->map;
}

/* It had no reason to end by itself. */
static bool peer_end(struct peer *peer)
{
	int status;

	kill(peer->pid, SIGKILL);
	return waitpid(peer->pid, &status, 0) == peer->pid && WIFSIGNALED(status);
}

static ssize_t peer_write(struct peer *peer, char *from, size_t at, size_t length)
{
	struct iovec local = { from, length }, remote = { peer->map + at, length };

	return process_vm_writev(peer->pid, &local, 1, &remote, 1, 0);
}

static ssize_t peer_read(struct peer *peer, char *to, size_t at, size_t length)
{
	struct iovec local = { to, length }, remote = { peer->map + at, length };

	return process_vm_readv(peer->pid, &local, 1, &remote, 1, 0);
}

#define PAGES	70	/* more than a leaf */

TEST_F(vmo, map_process_vm)
{
	int fd = vmo_new_pages(self->dev, PAGES), child[2];
	char *buf = aligned_alloc(PS, PAGES * PS);
	ssize_t all = PAGES * PS;
	struct peer peer;

	ASSERT_TRUE(peer_new(&peer, fd, PAGES, RW));
	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "no process_vm_readv()");
	/* Holes are read, and stay holes. */
	memset(buf, 0xaa, all);
	EXPECT_EQ(all, peer_read(&peer, buf, 0, all));
	EXPECT_EQ(-1, wrong_page(buf, 0, PAGES, 0));
	/* Nobody but the other process has it mapped. */
	for (int round = 0; round < 2; round++) {
		fill_pages(buf, 0, PAGES, 100 + round * 1000);
		EXPECT_EQ(all, peer_write(&peer, buf, 0, all));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, PAGES, 100 + round * 1000));
		child[round] = vmo_snap(fd);
		ASSERT_LE(0, child[round]);
	}
	/* Into pages that are shared with a snapshot, not whole, across a border. */
	fill_pages(buf, 0, 2, 5000);
	EXPECT_EQ((ssize_t)PS, peer_write(&peer, buf, 5 * PS / 2, PS));
	EXPECT_EQ((ssize_t)PS, peer_read(&peer, buf + PS, 5 * PS / 2, PS));
	EXPECT_EQ(0, memcmp(buf, buf + PS, PS));
	ASSERT_EQ((ssize_t)PS, pread(fd, buf + PS, PS, 5 * PS / 2));
	EXPECT_EQ(0, memcmp(buf, buf + PS, PS));
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(0, write_page(fd, i, 3000 + i));
	EXPECT_EQ(all, peer_read(&peer, buf, 0, all));
	EXPECT_EQ(-1, wrong_page(buf, 0, PAGES, 3000));
	for (int round = 0; round < 2; round++) {
		EXPECT_EQ(-1, wrong_page_fd(child[round], 0, PAGES, 100 + round * 1000));
		close(child[round]);
	}
	EXPECT_TRUE(peer_end(&peer));
	free(buf);
	close(fd);
}

/* No more than the mapping allows, and no further than it and the object reach. */
TEST_F(vmo, map_process_vm_limits)
{
	int fd = vmo_new_pages(self->dev, 4);
	char *buf = aligned_alloc(PS, 8 * PS);
	struct peer reader, writer;

	ASSERT_TRUE(peer_new(&reader, fd, 4, RO));
	ASSERT_TRUE(peer_new(&writer, fd, 8, RW));
	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "no process_vm_readv()");
	fill_pages(buf, 0, 8, 100);
	EXPECT_ERRNO(EFAULT, peer_write(&reader, buf, 0, PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 0));
	EXPECT_EQ((ssize_t)(4 * PS), peer_write(&writer, buf, 0, 8 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 100));
	EXPECT_ERRNO(EFAULT, peer_write(&writer, buf, 4 * PS, PS));
	memset(buf, 0, 8 * PS);
	EXPECT_EQ((ssize_t)(4 * PS), peer_read(&reader, buf, 0, 4 * PS));
	EXPECT_EQ(-1, wrong_page(buf, 0, 4, 100));
	EXPECT_TRUE(peer_end(&reader));
	EXPECT_TRUE(peer_end(&writer));
	free(buf);
	close(fd);
}

/* ---- "Ours": a pipe that hands pages on --------------------------------------------- */

#define HELD	4

enum {
	WRITE,			/* no snapshot: the page is one and the same */
	SNAPSHOT_WRITE,		/* the pipe has the parent's page */
	OF_SNAPSHOT,		/* the pipe has the snapshot's page, which stays */
	OF_CLOSED_SNAPSHOT,	/* the same, but the snapshot is closed */
	DECOMMIT,
	CLOSE,
	CASES
};

enum {
	READ,
	TO_TMPFS,
	TO_MEMFD,
	TO_NULL,
	DRAINS
};

/* Takes the pages out of the pipe: into a file, or -1 if that is /dev/null. */
static int drain(int from, int how)
{
	int to = how == TO_TMPFS ? open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) :
		 how == TO_NULL ? open("/dev/null", O_WRONLY | O_CLOEXEC) :
		 memfd_create("drained", MFD_CLOEXEC);
	size_t left = HELD * PS;
	char *buf = malloc(PS);
	ssize_t done;

	while (left) {
		if (how == READ) {
			done = read(from, buf, PS);
			if (done > 0 && write(to, buf, done) != done)
				done = -1;
		} else {
			done = splice(from, NULL, to, NULL, left, SPLICE_F_MOVE);
		}
		if (done <= 0)
			break;
		left -= done;
	}
	free(buf);
	if (left || how == TO_NULL) {
		close(to);
		to = left ? -2 : -1;
	}
	return to;
}

/* Whether each page of a file is one of two patterns as a whole. */
static bool is_either(int fd, uint64_t one, uint64_t two)
{
	for (size_t i = 0; i < HELD; i++)
		if (wrong_page_fd(fd, i, 1, one) != -1 && wrong_page_fd(fd, i, 1, two) != -1)
			return false;
	return true;
}

static void pipe_scene(struct __test_metadata *_metadata, int dev, int what, int how, int flags)
{
	int fd = vmo_new_pages(dev, HELD), child = -1, end[2], file;
	char *p = vmo_map(fd, HELD, RW), *c = p;
	struct iovec iov = { .iov_len = HELD * PS };
	bool own = what == WRITE || what == SNAPSHOT_WRITE;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(end));
	fill_pages(p, 0, HELD, 100);
	if (what == OF_SNAPSHOT || what == OF_CLOSED_SNAPSHOT) {
		child = vmo_snap(fd);
		ASSERT_LE(0, child);
		c = vmo_map(child, HELD, RO);
		ASSERT_NE(NULL, c);
	}
	iov.iov_base = c;
	ASSERT_EQ((ssize_t)(HELD * PS), vmsplice(end[1], &iov, 1, flags));
	if (c != p)
		munmap(c, HELD * PS);
	if (what == SNAPSHOT_WRITE)
		child = vmo_snap(fd);
	if (what == OF_CLOSED_SNAPSHOT) {
		close(child);
		child = -1;
	}
	if (what == DECOMMIT)
		EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, HELD * PS));
	if (what == CLOSE) {
		munmap(p, HELD * PS);
		close(fd);
		/* Who might get the page, were it free. */
		fd = vmo_new_pages(dev, HELD);
		p = vmo_map(fd, HELD, RW);
	}
	fill_pages(p, 0, HELD, 200);
	/* Out of the pipe comes what it took, unless that is the page just written. */
	file = drain(end[0], how);
	EXPECT_NE(-2, file);
	if (file >= 0)
		EXPECT_TRUE(is_either(file, 100, own ? 200 : 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 200));
	EXPECT_EQ(-1, wrong_page(p, 0, HELD, 200));
	/* And then they have nothing in common any more. */
	for (int i = 0; i < HELD && file >= 0; i++)
		EXPECT_EQ(0, write_page(file, i, 300 + i));
	EXPECT_EQ(-1, wrong_page(p, 0, HELD, 200));
	fill_pages(p, 0, HELD, 400);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 400));
	if (file >= 0)
		EXPECT_EQ(-1, wrong_page_fd(file, 0, HELD, 300));
	if (child >= 0)
		EXPECT_EQ(-1, wrong_page_fd(child, 0, HELD, 100));
	munmap(p, HELD * PS);
	for (int i = 0; i < 2; i++)
		close(end[i]);
	close(file);
	close(child);
	close(fd);
}

TEST_F(vmo, inv_ours_pipe_moves_pages_on)
{
	long pages = vmo_counter("pages");

	for (int what = 0; what < CASES; what++)
		for (int how = 0; how < DRAINS; how++)
			for (int gift = 0; gift < 2; gift++) {
				pipe_scene(_metadata, self->dev, what, how,
					   gift ? SPLICE_F_GIFT : 0);
				EXPECT_EQ(pages, vmo_counter_becomes("pages", pages)) {
					TH_LOG("case %d, drain %d, gift %d", what, how, gift);
				}
			}
}

/* tee() makes two pipes hold the page of a snapshot that is gone. */
TEST_F(vmo, inv_ours_two_pipes_hold_a_page)
{
	int fd = vmo_new_pages(self->dev, HELD), child, one[2], two[2], file;
	char *p = vmo_map(fd, HELD, RW), *c;
	struct iovec iov = { .iov_len = HELD * PS };

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(one));
	ASSERT_EQ(0, pipe(two));
	fill_pages(p, 0, HELD, 100);
	child = vmo_snap(fd);
	c = vmo_map(child, HELD, RO);
	ASSERT_NE(NULL, c);
	iov.iov_base = c;
	ASSERT_EQ((ssize_t)(HELD * PS), vmsplice(one[1], &iov, 1, SPLICE_F_GIFT));
	ASSERT_EQ((ssize_t)(HELD * PS), tee(one[0], two[1], HELD * PS, 0));
	munmap(c, HELD * PS);
	close(child);
	file = drain(one[0], TO_MEMFD);
	EXPECT_EQ(-1, wrong_page_fd(file, 0, HELD, 100));
	close(file);
	fill_pages(p, 0, HELD, 200);
	file = drain(two[0], TO_TMPFS);
	EXPECT_EQ(-1, wrong_page_fd(file, 0, HELD, 100));
	close(file);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 200));
	munmap(p, HELD * PS);
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
	}
	close(fd);
}

/* ---- devices --------------------------------------------------------------------- */

/* A disk in memory, or -1. */
static int open_ram(int flags)
{
	int n = system("modprobe -q brd rd_nr=1 rd_size=16384 2>/dev/null");

	return n < 0 ? -1 : open("/dev/ram0", flags | O_CLOEXEC);
}

static bool disk_is(int disk, size_t first, size_t count, uint64_t base)
{
	char *buf = aligned_alloc(PS, count * PS);
	bool good = pread(disk, buf, count * PS, first * PS) == (ssize_t)(count * PS) &&
		    wrong_page(buf, 0, count, base) == -1;

	free(buf);
	return good;
}

TEST_F(vmo, map_direct_io)
{
	int disk = open_ram(O_RDWR | O_DIRECT), fd = vmo_new_pages(self->dev, 3 * PAGES), child;
	char *p = vmo_map(fd, 3 * PAGES, RW), *want = aligned_alloc(PS, PS);
	ssize_t all = PAGES * PS;

	if (disk < 0)
		SKIP(return, "no /dev/ram0");
	ASSERT_NE(NULL, p);
	/* Out of pages, and out of holes. */
	fill_pages(p, 0, PAGES, 100);
	EXPECT_EQ(all, pwrite(disk, p, all, 0));
	EXPECT_EQ(all, pwrite(disk, p + all, all, all));
	EXPECT_TRUE(disk_is(disk, 0, PAGES, 100));
	EXPECT_TRUE(disk_is(disk, PAGES, PAGES, 0));
	/* Into holes. */
	EXPECT_EQ(all, pread(disk, p + 2 * all, all, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, PAGES, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, PAGES, PAGES, 0));
	EXPECT_EQ(-1, wrong_page(p + 2 * all, 0, PAGES, 100));
	/* Into pages that are shared with a snapshot; and out of the snapshot. */
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(all, pread(disk, p, all, all));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, PAGES, 0));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, PAGES, 100));
	fill_pages(p, 0, PAGES, 700);
	munmap(p, 3 * all);
	p = vmo_map(child, 3 * PAGES, RW);
	EXPECT_EQ(all, pwrite(disk, p, all, all));
	EXPECT_TRUE(disk_is(disk, PAGES, PAGES, 100));
	/* A sector in the middle of a shared page. */
	EXPECT_EQ(512, pread(disk, p + 3 * PS + 1024, 512, PS + 512));
	fill_page(want, 103);
	memcpy(want + 1024, p + PS + 512, 512);
	EXPECT_EQ(0, memcmp(want, p + 3 * PS, PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, PAGES, 700));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 4, PAGES - 4, 100));
	munmap(p, 3 * all);
	free(want);
	close(child);
	close(disk);
	close(fd);
}

/*
 * A disk that can be stopped: while a device mapper device is suspended, it keeps what
 * it is asked to do, with the pages, and does it all when it is resumed.
 */
struct stopper {
	int control;
	int ram;
	int disk;
	aio_context_t aio;
};

static int dm(struct stopper *s, unsigned long command, uint32_t flags, const char *table)
{
	struct {
		struct dm_ioctl head;
		struct dm_target_spec spec;
		char table[64];
	} arg = {
		.head = {
			.version = { 4, 0, 0 }, .data_size = sizeof(arg), .flags = flags,
			.data_start = offsetof(typeof(arg), spec), .name = "vmo-gup-test",
			.target_count = table ? 1 : 0,
		},
		.spec = { .length = 8192, .target_type = "linear" },
	};

	snprintf(arg.table, sizeof(arg.table), "%s", table ? table : "");
	if (ioctl(s->control, command, &arg))
		return -1;
	return minor(arg.head.dev);
}

static const char *stopper_new(struct stopper *s)
{
	char path[32];
	int n;

	*s = (struct stopper){ .control = -1, .disk = -1 };
	s->ram = open_ram(O_RDWR | O_DIRECT);
	if (s->ram < 0)
		return "no /dev/ram0";
	if (system("modprobe -q dm-mod 2>/dev/null") >= 0)
		s->control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (s->control < 0)
		return "no device mapper";
	n = dm(s, DM_DEV_CREATE, 0, NULL);
	if (n < 0 || dm(s, DM_TABLE_LOAD, 0, "/dev/ram0 0") < 0 ||
	    dm(s, DM_DEV_SUSPEND, 0, NULL) < 0)
		return "no linear mapping";
	snprintf(path, sizeof(path), "/dev/dm-%d", n);
	s->disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (s->disk < 0)
		return "no /dev/dm-*";
	if (syscall(SYS_io_setup, 16, &s->aio))
		return "no asynchronous input";
	return NULL;
}

static void stopper_free(struct stopper *s)
{
	syscall(SYS_io_destroy, s->aio);
	close(s->disk);
	dm(s, DM_DEV_REMOVE, 0, NULL);
	close(s->control);
	close(s->ram);
}

/* From now on, and until told to, nothing is done. */
static bool stopper_stop(struct stopper *s)
{
	return dm(s, DM_DEV_SUSPEND, DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG, NULL) >= 0;
}

static bool stopper_ask(struct stopper *s, int op, char *at, size_t length, off_t where)
{
	struct iocb cb = {
		.aio_lio_opcode = op, .aio_fildes = s->disk, .aio_buf = (uintptr_t)at,
		.aio_nbytes = length, .aio_offset = where,
	}, *list[] = { &cb };

	return syscall(SYS_io_submit, s->aio, 1, list) == 1;
}

static bool stopper_idle(struct stopper *s)
{
	struct timespec now = { .tv_sec = 0 };
	struct io_event event;

	return !syscall(SYS_io_getevents, s->aio, 0, 1, &event, &now);
}

/* So many bytes in so many requests that were waiting are done. */
static bool stopper_go(struct stopper *s, int requests, size_t bytes)
{
	struct io_event event;
	size_t done = 0;

	if (dm(s, DM_DEV_SUSPEND, 0, NULL) < 0)
		return false;
	while (requests--) {
		if (syscall(SYS_io_getevents, s->aio, 1, 1, &event, NULL) != 1 ||
		    (long)event.res <= 0)
			return false;
		done += event.res;
	}
	return done == bytes;
}

/*
 * A read into four pages is on its way, and one into a sector of a fifth, while two
 * snapshots are taken and one of them is snapshotted again. All of it comes to the
 * parent, nothing to the others.
 */
TEST_F(vmo, inv_4_7_dma_in_flight)
{
	int fd = vmo_new_pages(self->dev, 8), child[4];
	char *p = vmo_map(fd, 8, RW), *want = aligned_alloc(PS, PS), *data;
	struct stopper s;
	const char *why_not = stopper_new(&s);

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_NE(NULL, p);
	data = aligned_alloc(PS, 16 * PS);
	fill_pages(data, 0, 16, 4000);
	ASSERT_EQ((ssize_t)(16 * PS), pwrite(s.ram, data, 16 * PS, 0));
	for (int round = 0; round < 3; round++) {
		fill_pages(p, 0, 8, 100);
		child[0] = vmo_snap(fd);
		ASSERT_TRUE(stopper_stop(&s));
		ASSERT_TRUE(stopper_ask(&s, IOCB_CMD_PREAD, p, 4 * PS, 0));
		ASSERT_TRUE(stopper_ask(&s, IOCB_CMD_PREAD, p + 5 * PS + 512, 512, 512));
		child[1] = vmo_snap(fd);
		ASSERT_LE(0, child[1]);
		/* The CPU writes beside the device; not in the first one, but in the second. */
		p[5 * PS] = 'x';
		child[2] = vmo_snap(fd);
		child[3] = vmo_snap(child[2]);
		p[5 * PS + 1] = 'y';
		EXPECT_TRUE(stopper_idle(&s));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, 5, 100));
		EXPECT_TRUE(stopper_go(&s, 2, 4 * PS + 512));
		/* It is there, where the parent's mapping and descriptor see it. */
		EXPECT_EQ(-1, wrong_page(p, 0, 4, 4000));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 4000));
		fill_page(want, 105);
		for (int i = 0; i < 4; i++) {
			if (i == 2)
				want[0] = 'x';
			EXPECT_EQ(-1, wrong_page_fd(child[i], 0, 5, 100));
			EXPECT_EQ(-1, wrong_page_fd(child[i], 6, 2, 100));
			EXPECT_EQ((ssize_t)PS, pread(child[i], data, PS, 5 * PS));
			EXPECT_EQ(0, memcmp(want, data, PS));
		}
		want[1] = 'y';
		fill_page(data, 4000);
		memcpy(want + 512, data + 512, 512);
		EXPECT_EQ(0, memcmp(want, p + 5 * PS, PS));
		EXPECT_EQ((ssize_t)PS, pread(fd, data, PS, 5 * PS));
		EXPECT_EQ(0, memcmp(want, data, PS));
		for (int i = 0; i < 4; i++)
			close(child[i]);
	}
	stopper_free(&s);
	munmap(p, 8 * PS);
	free(want);
	free(data);
	close(fd);
}

/* The same when the object, or its pages, go while the read is on its way. */
TEST_F(vmo, inv_4_8_dma_outlives)
{
	long pages = vmo_counter("pages");
	struct stopper s;
	const char *why_not = stopper_new(&s);
	int fd, child, other;
	char *p, *o;

	if (why_not)
		SKIP(return, "%s", why_not);
	for (int closed = 0; closed < 2; closed++) {
		fd = vmo_new_pages(self->dev, HELD);
		p = vmo_map(fd, HELD, RW);
		fill_pages(p, 0, HELD, 100);
		ASSERT_TRUE(stopper_stop(&s));
		ASSERT_TRUE(stopper_ask(&s, IOCB_CMD_PREAD, p, HELD * PS, 0));
		child = vmo_snap(fd);
		ASSERT_LE(0, child);
		if (closed) {
			munmap(p, HELD * PS);
			close(fd);
		} else {
			EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, HELD * PS));
		}
		/* One of these might get the page, were it free. */
		other = vmo_new_pages(self->dev, 256);
		o = vmo_map(other, 256, RW);
		ASSERT_NE(NULL, o);
		fill_pages(o, 0, 256, 7000);
		EXPECT_TRUE(stopper_go(&s, 1, HELD * PS));
		EXPECT_EQ(-1, wrong_page(o, 0, 256, 7000));
		EXPECT_EQ(-1, wrong_page_fd(child, 0, HELD, 100));
		if (!closed) {
			EXPECT_EQ(-1, wrong_page(p, 0, HELD, 0));
			munmap(p, HELD * PS);
			close(fd);
		}
		munmap(o, 256 * PS);
		close(other);
		close(child);
	}
	EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
	stopper_free(&s);
}

/*
 * A write to the disk is on its way out of a snapshot's pages, which the parent shares,
 * or has all to itself when the snapshot is closed: still the disk gets what was there.
 */
TEST_F(vmo, inv_ours_direct_write_of_a_snapshot)
{
	struct stopper s;
	const char *why_not = stopper_new(&s);

	if (why_not)
		SKIP(return, "%s", why_not);
	for (int how = 0; how < 4; how++) {
		int fd = vmo_new_pages(self->dev, HELD), child;
		char *p = vmo_map(fd, HELD, RW), *c;

		ASSERT_NE(NULL, p);
		fill_pages(p, 0, HELD, 100 + how * 1000);
		child = vmo_snap(fd);
		c = vmo_map(child, HELD, RO);
		ASSERT_NE(NULL, c);
		ASSERT_TRUE(stopper_stop(&s));
		ASSERT_TRUE(stopper_ask(&s, IOCB_CMD_PWRITE, c, HELD * PS, 0));
		munmap(c, HELD * PS);
		if (how & 1)
			close(child);
		for (int i = 0; i < HELD; i++) {
			if (!(how & 2))
				fill_page(p + i * PS, 200 + i);
			else
				ASSERT_EQ(0, write_page(fd, i, 200 + i));
		}
		EXPECT_TRUE(stopper_idle(&s));
		EXPECT_TRUE(stopper_go(&s, 1, HELD * PS));
		EXPECT_TRUE(disk_is(s.ram, 0, HELD, 100 + how * 1000));
		EXPECT_EQ(-1, wrong_page(p, 0, HELD, 200));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 200));
		if (!(how & 1)) {
			EXPECT_EQ(-1, wrong_page_fd(child, 0, HELD, 100 + how * 1000));
			close(child);
		}
		munmap(p, HELD * PS);
		close(fd);
	}
	stopper_free(&s);
}

/*
 * On its way out of the parent's own pages, which are written after a snapshot. The
 * disk may get either; the snapshot is what it was, and not what comes then.
 */
TEST_F(vmo, inv_4_7_direct_write_in_flight)
{
	int fd = vmo_new_pages(self->dev, HELD), child[2];
	char *p = vmo_map(fd, HELD, RW), *buf = aligned_alloc(PS, HELD * PS);
	struct stopper s;
	const char *why_not = stopper_new(&s);

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_NE(NULL, p);
	fill_pages(p, 0, HELD, 100);
	ASSERT_TRUE(stopper_stop(&s));
	ASSERT_TRUE(stopper_ask(&s, IOCB_CMD_PWRITE, p, HELD * PS, 0));
	for (int i = 0; i < 2; i++) {
		child[i] = vmo_snap(fd);
		ASSERT_LE(0, child[i]);
		fill_pages(p, 0, HELD, 200 + i * 100);
	}
	EXPECT_TRUE(stopper_go(&s, 1, HELD * PS));
	ASSERT_EQ((ssize_t)(HELD * PS), pread(s.ram, buf, HELD * PS, 0));
	for (int i = 0; i < HELD; i++)
		EXPECT_TRUE(page_is(buf + i * PS, 100 + i) || page_is(buf + i * PS, 200 + i) ||
			    page_is(buf + i * PS, 300 + i));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-1, wrong_page_fd(child[i], 0, HELD, 100 + i * 100));
		close(child[i]);
	}
	EXPECT_EQ(-1, wrong_page(p, 0, HELD, 300));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 300));
	stopper_free(&s);
	munmap(p, HELD * PS);
	free(buf);
	close(fd);
}

/* ---- many requests and many snapshots ---------------------------------------------- */

#define MANY		256	/* pages */
#define REQUESTS	64
#define PART		(MANY / REQUESTS)
#define SNAPSHOTS	4	/* while they are on their way */
#define EVENTS		(REQUESTS + SNAPSHOTS)
#define VERSIONS	4	/* so often is the object on the disk, each time other bytes */

/* A loop device works through its requests by itself, while we do other things. */
struct many {
	int memfd;
	int loop;
	int disk;
	char *backlog;
	int open;	/* requests that are not known to be done */
	aio_context_t aio;
};

static const char *many_set_up(struct many *m)
{
	char path[32];
	int control, n = system("modprobe -q loop 2>/dev/null");

	m->memfd = memfd_create("disk", MFD_CLOEXEC);
	for (size_t i = 0; i < VERSIONS * MANY; i++)
		if (write_page(m->memfd, i, 10000 + i))
			return "no memfd";
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (n < 0)
		return "no loop devices";
	snprintf(path, sizeof(path), "/dev/loop%d", n);
	m->loop = open(path, O_RDWR | O_CLOEXEC);
	if (m->loop < 0 || ioctl(m->loop, LOOP_SET_FD, m->memfd))
		return "no loop device";
	m->disk = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	m->backlog = aligned_alloc(PS, MANY * PS);
	if (m->disk < 0)
		return "no O_DIRECT";
	return syscall(SYS_io_setup, EVENTS, &m->aio) ? "no asynchronous input" : NULL;
}

static void many_tear_down(struct many *m)
{
	syscall(SYS_io_destroy, m->aio);
	free(m->backlog);
	close(m->disk);
	ioctl(m->loop, LOOP_CLR_FD);
	close(m->loop);
	close(m->memfd);
}

/*
 * Asks for a part of all the requests of a version, in a mixed order, behind one that
 * keeps the device busy for a while.
 */
static bool many_ask(struct many *m, char *to, int version, int first, int last)
{
	struct iocb cb[REQUESTS + 1], *list[REQUESTS + 1] = { cb };
	int nr = last - first + 1;

	cb[0] = (struct iocb) {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = m->disk,
		.aio_buf = (uintptr_t)m->backlog, .aio_nbytes = MANY * PS,
		.aio_data = MANY * PS,
	};
	for (int i = 1; i < nr; i++) {
		size_t part = ((first + i - 1) * 37 + version) % REQUESTS * PART;

		cb[i] = (struct iocb) {
			.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = m->disk,
			.aio_buf = (uintptr_t)(to + part * PS), .aio_nbytes = PART * PS,
			.aio_offset = (version * MANY + part) * PS, .aio_data = PART * PS,
		};
		list[i] = cb + i;
	}
	m->open += nr;
	return syscall(SYS_io_submit, m->aio, nr, list) == nr;
}

/* Collects what is done, but waits for all of them only if told to. */
static bool many_collect(struct many *m, bool wait)
{
	struct timespec now = { .tv_sec = 0 };
	struct io_event event[EVENTS];
	int n = syscall(SYS_io_getevents, m->aio, wait ? m->open : 0, EVENTS, event,
			wait ? NULL : &now);

	for (int i = 0; i < n; i++)
		if (event[i].res != event[i].data)
			return false;
	m->open -= n;
	return n >= 0;
}

/*
 * Every byte is of one of two versions, at its place. No more than bytes: what a device
 * does to a page while the snapshot copies it may be half of a word.
 */
static bool is_mixture(const char *map, int one, int two)
{
	uint64_t a, b, word, differs;

	for (size_t i = 0; i < MANY; i++)
		for (size_t j = 0; j < PS / 8; j++) {
			word = ((const uint64_t *)(map + i * PS))[j];
			a = mix((10000 + one * MANY + i) << 16 | j);
			b = mix((10000 + two * MANY + i) << 16 | j);
			if (word == a || word == b)
				continue;
			for (int byte = 0; byte < 64; byte += 8) {
				differs = (word ^ a) >> byte & 0xff ? (word ^ b) >> byte & 0xff : 0;
				if (differs)
					return false;
			}
		}
	return true;
}

/* One more part of the requests is on its way in each of them; later ones come later. */
static int many_round(struct __test_metadata *_metadata, struct many *m, int fd, char *p,
		      int before, int after)
{
	int child[SNAPSHOTS], in_flight = 0;
	uint64_t sum[SNAPSHOTS];
	char *c[SNAPSHOTS];

	for (int i = 0; i < SNAPSHOTS; i++) {
		EXPECT_TRUE(many_ask(m, p, after, i * REQUESTS / SNAPSHOTS,
				     (i + 1) * REQUESTS / SNAPSHOTS));
		child[i] = vmo_snap(fd);
		EXPECT_TRUE(many_collect(m, false));
		in_flight += m->open > 0;
		c[i] = vmo_map(child[i], MANY, RO);
		ASSERT_NE(NULL, c[i]);
		sum[i] = checksum(c[i], MANY * PS);
	}
	EXPECT_TRUE(many_collect(m, true));
	EXPECT_EQ(-1, wrong_page(p, 0, MANY, 10000 + after * MANY));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, MANY, 10000 + after * MANY));
	for (int i = 0; i < SNAPSHOTS; i++) {
		/* Some of it had come, but what comes later does not get in. */
		EXPECT_EQ(sum[i], checksum(c[i], MANY * PS));
		EXPECT_TRUE(is_mixture(c[i], before, after));
		munmap(c[i], MANY * PS);
		close(child[i]);
	}
	return in_flight;
}

TEST_F(vmo, inv_4_7_direct_io_in_a_loop)
{
	int fd = vmo_new_pages(self->dev, MANY), in_flight = 0, rounds = 0;
	char *p = vmo_map(fd, MANY, RW);
	double end = seconds() + 4;
	struct many m = { .open = 0 };
	const char *why_not = many_set_up(&m);

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_NE(NULL, p);
	fill_pages(p, 0, MANY, 10000);
	for (; more_rounds(rounds, 4, 200, end); rounds++)
		in_flight += many_round(_metadata, &m, fd, p, rounds % VERSIONS,
					(rounds + 1) % VERSIONS);
	TH_LOG("%d snapshots, %d with requests in flight", rounds * SNAPSHOTS, in_flight);
	many_tear_down(&m);
	munmap(p, MANY * PS);
	close(fd);
}

/* ---- broken memory --------------------------------------------------------------- */

static int signal_code;

static void bus_handler(int sig, siginfo_t *info, void *context)
{
	signal_code = info->si_code;
	siglongjmp(touch_env, sig);
}

/* As touch(), and with the code of the signal. */
static int touch_code(volatile char *p, bool write, int *code)
{
	struct sigaction act = { .sa_sigaction = bus_handler, .sa_flags = SA_SIGINFO }, old;
	int sig;

	sigaction(SIGBUS, &act, &old);
	signal_code = 0;
	sig = sigsetjmp(touch_env, 1);
	if (!sig) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	sigaction(SIGBUS, &old, NULL);
	*code = signal_code;
	return sig;
}

/*
 * Lets the kernel take a page for broken. It does not know what our pages are and says
 * so (EBUSY), but from then on the page is marked.
 */
static const char *poison(char *page)
{
	if (!madvise(page, PS, MADV_HWPOISON) || errno == EBUSY || errno == EHWPOISON)
		return NULL;
	return errno == EINVAL ? "no CONFIG_MEMORY_FAILURE" : "MADV_HWPOISON fails";
}

TEST_F(vmo, inv_4_8_hwpoison)
{
	int fd = vmo_new_pages(self->dev, 8), child, code;
	char *p = vmo_map(fd, 8, RW), *q, buf[16];
	const char *why_not;

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 8, 100);
	why_not = poison(p + 3 * PS);
	if (why_not)
		SKIP(return, "%s", why_not);
	/* The PTE that there is would do harm only with real broken memory. */
	ASSERT_EQ(0, madvise(p, 8 * PS, MADV_DONTNEED));
	for (int write = 0; write < 2; write++) {
		EXPECT_EQ(SIGBUS, touch_code(p + 3 * PS + 8, write, &code));
		EXPECT_EQ(BUS_MCEERR_AR, code);
	}
	EXPECT_ERRNO(EIO, pread(fd, buf, 16, 3 * PS));
	EXPECT_ERRNO(EIO, pwrite(fd, "x", 1, 3 * PS));
	/* The others are as they were, also what is mapped around them. */
	EXPECT_EQ(-1, wrong_page(p, 0, 3, 100));
	EXPECT_EQ(-1, wrong_page(p, 4, 4, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, 4, 4, 100));
	EXPECT_EQ((ssize_t)PS, pread(fd, p + 7 * PS, PS, 2 * PS));
	q = vmo_map(fd, 8, RO);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(SIGBUS, touch_code(q + 3 * PS, false, &code));
	EXPECT_EQ(0, touch_code(q + 4 * PS, false, &code));
	munmap(q, 8 * PS);
	/* An object with a broken page can be snapshotted. */
	fill_pages(p, 7, 1, 100);
	child = vmo_snap(fd);
	EXPECT_LE(0, child);
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 4, 4, 100));
	EXPECT_ERRNO(EIO, pread(child, buf, 16, 3 * PS));
	/* Given up, it is an ordinary hole. */
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 3 * PS, PS));
	EXPECT_TRUE(page_is(p + 3 * PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 3, 1, 0));
	fill_page(p + 3 * PS, 103);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 8, 100));
	munmap(p, 8 * PS);
	close(child);
	close(fd);
}

TEST_HARNESS_MAIN
