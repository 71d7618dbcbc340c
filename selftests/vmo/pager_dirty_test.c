// SPDX-License-Identifier: GPL-2.0
/*
 * Objects whose server is asked before pages are written, fsync(), and what counts as
 * modified.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include "kselftest_harness.h"
#include "pager_util.h"

#define PAGES	64UL
#define BASE	9000UL

/* A pager with a binding, an object, another one to supply from, and who answers. */
struct scene {
	int pager;
	int binding;
	int fd;
	int aux;
	char *map;
	struct server server;
};

static bool set_scene(struct scene *s, int dev, uint32_t flags)
{
	s->pager = pager_new(dev);
	s->binding = pager_bind(s->pager);
	s->fd = paged_new(dev, s->pager, PAGES, flags);
	s->aux = vmo_new(dev, PAGES * PS);
	s->map = vmo_map(s->fd, PAGES, RW);
	s->server = (struct server){
		.binding = s->binding, .fd = s->fd, .aux = s->aux, .base = BASE, .pages = PAGES,
	};
	return s->pager >= 0 && s->binding >= 0 && s->fd >= 0 && s->aux >= 0 && s->map;
}

#define SCENE(_s, _flags) ASSERT_TRUE(set_scene(_s, self->dev, _flags))

/* How many pages are dirty; -1 if in more ranges than there is room for. */
static long dirty_pages(struct scene *s)
{
	struct vmo_page_run runs[16];
	int nr = pager_dirty(s->pager, s->fd, runs), i;
	long pages = 0;

	for (i = 0; i < nr; i++)
		pages += runs[i].length / PS;
	return nr < 0 ? -1 : pages;
}

/* Stores by a mapping, from a thread: whether it has come to an end. */
struct writer {
	char *at;
	int signal;
	uint64_t done;
	pthread_t thread;
};

static void *write_run(void *arg)
{
	struct writer *w = arg;

	w->signal = touch(w->at, true);
	store(&w->done, 1);
	return NULL;
}

static void writer_start(struct writer *w, char *at)
{
	*w = (struct writer){ .at = at };
	pthread_create(&w->thread, NULL, write_run, w);
}

static bool writer_ends(struct writer *w, double within)
{
	double end = seconds() + within;

	while (!load(&w->done) && seconds() < end)
		usleep(1000);
	if (!load(&w->done))
		return false;
	pthread_join(w->thread, NULL);
	return true;
}

/* P2, P12, P31: what a write by a mapping, which was read-only so far, asks for. */
TEST_F(vmo, p31_p12_write_asks)
{
	struct vmo_pager_request request;
	struct writer w;
	struct scene s;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 20, BASE));
	EXPECT_TRUE(page_is(s.map + 5 * PS, BASE + 5));
	writer_start(&w, s.map + 5 * PS);
	request = next_request(s.binding);
	EXPECT_EQ(VMO_REQUEST_DIRTY, request.type);
	EXPECT_EQ(5 * PS, request.offset);
	EXPECT_LE(PS, request.length);
	EXPECT_GE(15 * PS, request.length);
	EXPECT_FALSE(writer_ends(&w, 0.1));
	EXPECT_TRUE(page_is(s.map + 5 * PS, BASE + 5));
	EXPECT_EQ(0, pager_may_dirty(s.binding, s.fd, 5, 1));
	ASSERT_TRUE(writer_ends(&w, 5));
	EXPECT_EQ(0, w.signal);
	EXPECT_EQ(1, dirty_pages(&s));
	EXPECT_EQ(0, touch(s.map + 5 * PS, true));
	EXPECT_FALSE(has_requests(s.binding, 0));
	/* READ first; then, for the same page, DIRTY. */
	writer_start(&w, s.map + 30 * PS);
	request = next_request(s.binding);
	EXPECT_EQ(VMO_REQUEST_READ, request.type);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 30, 1, BASE));
	request = next_request(s.binding);
	EXPECT_EQ(VMO_REQUEST_DIRTY, request.type);
	EXPECT_EQ(30 * PS, request.offset);
	EXPECT_EQ(PS, request.length);
	EXPECT_EQ(0, pager_fail(s.binding, s.fd, 30, 1, ENOSPC));
	ASSERT_TRUE(writer_ends(&w, 5));
	EXPECT_EQ(SIGBUS, w.signal);
	EXPECT_TRUE(page_is(s.map + 30 * PS, BASE + 30));
	EXPECT_EQ(1, dirty_pages(&s));
}

/* P31, T2, N2, O4: who asks, and who does not. */
TEST_F(vmo, p31_t2_n2_who_asks)
{
	int pin, slice, private;
	struct scene s;
	char *map;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY);
	server_start(&s.server);
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_COMMIT, 0, PAGES * PS));
	pin = vmo_pin_flags(s.fd, 3 * PS, 2 * PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	map = vmo_map_at(s.fd, 0, PAGES, RW, MAP_PRIVATE);
	EXPECT_EQ(0, touch(map + PS, true));
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, PAGES, BASE));
	EXPECT_EQ(0, load(&s.server.dirties));
	EXPECT_EQ(0, dirty_pages(&s));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 10 * PS, 2 * PS));
	EXPECT_EQ(0, load(&s.server.dirties));
	EXPECT_EQ(2, dirty_pages(&s));

	EXPECT_EQ(0, write_page(s.fd, 1, 1));
	EXPECT_EQ(1, load(&s.server.dirties));
	EXPECT_EQ(0, write_page(s.fd, 1, 2));
	EXPECT_EQ(1, load(&s.server.dirties));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 3 * PS, PS));	/* which is pinned */
	EXPECT_EQ(2, load(&s.server.dirties));
	EXPECT_TRUE(page_is(s.map + 3 * PS, 0));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 12 * PS + 5, 5));
	EXPECT_EQ(3, load(&s.server.dirties));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_COMMIT, 10 * PS, PS));	/* of dirty zeroes */
	EXPECT_EQ(4, load(&s.server.dirties));
	close(pin);
	pin = vmo_pin_flags(s.fd, 20 * PS, 4 * PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	EXPECT_EQ(5, load(&s.server.dirties));
	slice = vmo_slice(s.fd, 40 * PS, 4 * PS, 0);
	ASSERT_LE(0, slice);
	EXPECT_EQ(0, write_page(slice, 0, 7));			/* L4 */
	EXPECT_EQ(6, load(&s.server.dirties));
	private = vmo_reference(s.fd, 0);
	EXPECT_EQ(0, write_page(private, 41, 7));
	EXPECT_EQ(7, load(&s.server.dirties));
	EXPECT_EQ(1, s.server.requests);
	server_stop(&s.server);
}

/* P33: what was written back asks again, also by a mapping that may write, or mprotect(). */
TEST_F(vmo, p33_p30_asks_again)
{
	struct scene s;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY);
	server_start(&s.server);
	for (int i = 0; i < 3; i++) {
		fill_page(s.map, i);
		fill_page(s.map + PS, i);
		EXPECT_EQ(0, mprotect(s.map, 2 * PS, PROT_READ));
		EXPECT_EQ(0, mprotect(s.map, 2 * PS, RW));
		EXPECT_EQ(0, fsync(s.fd));
		EXPECT_EQ(0, dirty_pages(&s));
		EXPECT_TRUE(page_is(s.map, i));
		EXPECT_EQ(0, mprotect(s.map, 2 * PS, PROT_READ));
		EXPECT_EQ(0, mprotect(s.map, 2 * PS, RW));
		EXPECT_EQ(i + 1, load(&s.server.syncs));
	}
	EXPECT_LE(3, load(&s.server.dirties));
	EXPECT_GE(6, load(&s.server.dirties));
	EXPECT_EQ(0, touch(s.map, true));
	EXPECT_EQ(1, dirty_pages(&s));
	server_stop(&s.server);
}

/* P32, and what is refused. */
TEST_F(vmo, p32_dirty)
{
	struct vmo_pager_dirty arg;
	struct writer w;
	struct scene s, plain;
	int slice, pin;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY | VMO_CREATE_RESIZABLE);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 10, BASE));
	EXPECT_ERRNO(ENOENT, pager_may_dirty(s.pager, s.fd, 0, 11));
	EXPECT_EQ(0, dirty_pages(&s));
	EXPECT_EQ(9, committed_pages(s.fd));
	EXPECT_EQ(0, pager_may_dirty(s.pager, s.fd, 0, 10));	/* not asked for; page 7, too */
	EXPECT_EQ(10, dirty_pages(&s));
	EXPECT_EQ(10, committed_pages(s.fd));
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, 10, BASE));
	fill_page(s.map + 7 * PS, 1);
	EXPECT_FALSE(has_requests(s.binding, 0));
	EXPECT_EQ(0, pager_modified(s.pager, s.aux, 0) + 1);
	EXPECT_EQ(0, pager_may_dirty(s.pager, s.fd, PAGES, 0));
	EXPECT_ERRNO(ERANGE, pager_may_dirty(s.pager, s.fd, 0, PAGES + 1));
	arg = (struct vmo_pager_dirty){ .offset = 1, .length = PS, .vmo_fd = s.fd };
	EXPECT_ERRNO(EINVAL, ioctl(s.pager, VMO_PAGER_DIRTY, &arg));
	arg = (struct vmo_pager_dirty){ .length = PS, .vmo_fd = s.fd, .flags = 1 };
	EXPECT_ERRNO(EINVAL, ioctl(s.pager, VMO_PAGER_DIRTY, &arg));
	EXPECT_ERRNO(EINVAL, pager_may_dirty(s.pager, s.aux, 0, 1));
	slice = vmo_new(self->dev, PS);
	EXPECT_ERRNO(EINVAL, pager_may_dirty(s.pager, slice, 0, 1));
	EXPECT_ERRNO(EBADF, pager_may_dirty(s.pager, 999, 0, 1));
	SCENE(&plain, 0);
	EXPECT_ERRNO(EOPNOTSUPP, pager_may_dirty(plain.pager, plain.fd, 0, 1));
	EXPECT_ERRNO(EINVAL, pager_may_dirty(plain.pager, s.fd, 0, 1));

	/* P40: what it grew by. */
	ASSERT_EQ(0, ftruncate(s.fd, 2 * PAGES * PS));
	EXPECT_EQ(0, pager_may_dirty(s.pager, s.fd, PAGES, 3));
	EXPECT_EQ(13, committed_pages(s.fd));
	/* N5, P50: what is pinned stays when the server goes; who waits, and who comes. */
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 21, 1, BASE));
	pin = vmo_pin_flags(s.fd, 21 * PS, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	writer_start(&w, s.map + 21 * PS);
	EXPECT_EQ(VMO_REQUEST_DIRTY, next_request(s.binding).type);
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	ASSERT_TRUE(writer_ends(&w, 5));
	EXPECT_EQ(SIGBUS, w.signal);
	EXPECT_EQ(0, touch(s.map, true));
	EXPECT_ERRNO(EBADFD, write_page(s.fd, PAGES + 10, 1));
	EXPECT_ERRNO(EBADFD, pager_may_dirty(s.pager, s.fd, 0, 1));
	EXPECT_TRUE(page_is(s.map + 21 * PS, BASE + 21));
	close(pin);
}

/* O_NONBLOCK and RWF_NOWAIT, and who is killed. */
TEST_F(vmo, p15_nobody_waits_for_ever)
{
	struct iovec iov = { .iov_base = "abc", .iov_len = 3 };
	struct scene s;
	int status;
	pid_t pid;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 10, BASE));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_COMMIT, 0, 10 * PS));
	EXPECT_ERRNO(EAGAIN, pwritev2(s.fd, &iov, 1, 2 * PS, RWF_NOWAIT));
	EXPECT_EQ(0, fcntl(s.fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, pwrite(s.fd, "abc", 3, 2 * PS));
	EXPECT_EQ(0, fcntl(s.fd, F_SETFL, 0));
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, 10, BASE));
	for (int sync = 0; sync < 2; sync++) {
		if (sync) {
			EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, PS, PS));
		}
		pid = fork();
		if (!pid) {
			if (sync)
				fsync(s.fd);
			else
				touch(s.map + 3 * PS, true);
			_exit(1);
		}
		EXPECT_TRUE(has_requests(s.binding, 5000));
		usleep(10000);
		kill(pid, SIGKILL);
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		/* P3: it was not seen, and is withdrawn. */
		EXPECT_FALSE(has_requests(s.binding, 0));
	}
}

struct syncer {
	int fd;
	int ret;
	int error;
	uint64_t done;
	pthread_t thread;
};

static void *sync_run(void *arg)
{
	struct syncer *s = arg;

	s->ret = fsync(s->fd);
	s->error = errno;
	store(&s->done, 1);
	return NULL;
}

static void syncer_start(struct syncer *s, int fd)
{
	*s = (struct syncer){ .fd = fd };
	pthread_create(&s->thread, NULL, sync_run, s);
}

static bool syncer_ends(struct syncer *s, double within)
{
	double end = seconds() + within;

	while (!load(&s->done) && seconds() < end)
		usleep(1000);
	if (!load(&s->done))
		return false;
	pthread_join(s->thread, NULL);
	return true;
}

/* fsync() waits until what was dirty is clean, and no longer. */
TEST_F(vmo, p30_fsync)
{
	struct vmo_pager_request request;
	struct syncer y, z;
	struct scene s;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	EXPECT_EQ(0, fsync(s.fd));
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 20, BASE));
	EXPECT_EQ(0, fsync(s.fd));
	EXPECT_EQ(0, fsync(s.aux));
	EXPECT_FALSE(has_requests(s.binding, 0));
	fill_page(s.map + 3 * PS, 1);
	EXPECT_EQ(0, write_page(s.fd, 9, 2));
	syncer_start(&y, s.fd);
	request = next_request(s.binding);
	EXPECT_EQ(VMO_REQUEST_SYNC, request.type);
	EXPECT_EQ(KEY, request.key);
	EXPECT_EQ(3 * PS, request.offset);
	EXPECT_LE(7 * PS, request.length);
	EXPECT_GE((PAGES - 3) * PS, request.length);
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, 5, VMO_PAGER_BEGIN));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, 5, VMO_PAGER_END));
	EXPECT_FALSE(syncer_ends(&y, 0.1));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 9, 1, VMO_PAGER_BEGIN));
	/* What is written from here on it does not wait for; a second one does. */
	fill_page(s.map + 3 * PS, 5);
	fill_page(s.map + 9 * PS, 5);
	syncer_start(&z, s.fd);
	EXPECT_EQ(VMO_REQUEST_SYNC, next_request(s.binding).type);
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 9, 1, VMO_PAGER_END));
	EXPECT_FALSE(syncer_ends(&z, 0.1));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_BEGIN));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_END));
	ASSERT_TRUE(syncer_ends(&y, 5));
	ASSERT_TRUE(syncer_ends(&z, 5));
	EXPECT_EQ(0, y.ret | z.ret);
	EXPECT_EQ(0, dirty_pages(&s));

	EXPECT_EQ(0, write_page(s.fd, 9, 2));
	syncer_start(&y, s.fd);
	EXPECT_EQ(VMO_REQUEST_SYNC, next_request(s.binding).type);
	EXPECT_EQ(0, pager_fail(s.pager, s.fd, 10, 1, EBADMSG));	/* any of what it wants */
	ASSERT_TRUE(syncer_ends(&y, 5));
	EXPECT_EQ(-1, y.ret);
	EXPECT_EQ(EIO, y.error);
	syncer_start(&y, s.fd);
	EXPECT_EQ(VMO_REQUEST_SYNC, next_request(s.binding).type);
	EXPECT_EQ(0, pager_fail(s.pager, s.fd, 0, PAGES, ENOSPC));
	ASSERT_TRUE(syncer_ends(&y, 5));
	EXPECT_EQ(ENOSPC, y.error);
	/* What is cut need not be written back. */
	syncer_start(&y, s.fd);
	EXPECT_EQ(VMO_REQUEST_SYNC, next_request(s.binding).type);
	EXPECT_EQ(0, ftruncate(s.fd, 9 * PS));
	ASSERT_TRUE(syncer_ends(&y, 5));
	EXPECT_EQ(0, y.ret);
	EXPECT_EQ(0, write_page(s.fd, 1, 2));
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	EXPECT_ERRNO(EIO, fsync(s.fd));
}

/* The other doors: msync(), O_DSYNC, fdatasync(), a slice, what it grew by, a pin. */
TEST_F(vmo, p30_all_ways_to_sync)
{
	struct syncer y;
	struct scene s;
	int slice, dsync, pin;
	char *part;

	SCENE(&s, 0);
	server_start(&s.server);
	slice = vmo_slice(s.fd, 16 * PS, 8 * PS, 0);
	ASSERT_LE(0, slice);
	part = vmo_map(slice, 8, RW);
	ASSERT_TRUE(part);
	fill_page(s.map, 1);
	fill_page(part + 2 * PS, 2);
	EXPECT_EQ(2, dirty_pages(&s));
	EXPECT_EQ(0, msync(part + PS, PS, MS_SYNC));
	EXPECT_EQ(0, load(&s.server.syncs));
	EXPECT_EQ(0, msync(part + 2 * PS, PS, MS_ASYNC));
	EXPECT_EQ(2, dirty_pages(&s));
	EXPECT_EQ(0, msync(part + 2 * PS, PS, MS_SYNC));
	EXPECT_EQ(1, load(&s.server.syncs));
	EXPECT_EQ(1, dirty_pages(&s));
	EXPECT_EQ(0, fsync(slice));
	EXPECT_EQ(1, load(&s.server.syncs));
	EXPECT_EQ(0, msync(s.map, PAGES * PS, MS_SYNC));
	EXPECT_EQ(0, dirty_pages(&s));
	dsync = vmo_reopen(s.fd, O_RDWR | O_DSYNC);
	ASSERT_LE(0, dsync);
	EXPECT_EQ(0, write_page(dsync, 40, 3));
	EXPECT_EQ(0, dirty_pages(&s));
	EXPECT_EQ(3, load(&s.server.syncs));
	EXPECT_EQ(0, write_page(s.fd, 41, 3));
	EXPECT_EQ(0, fdatasync(s.fd));
	EXPECT_EQ(0, dirty_pages(&s));
	/* A page that is pinned stays dirty, and who syncs waits until it is not. */
	pin = vmo_pin_flags(s.fd, 50 * PS, PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	syncer_start(&y, s.fd);
	EXPECT_FALSE(syncer_ends(&y, 0.3));
	close(pin);
	ASSERT_TRUE(syncer_ends(&y, 5));
	EXPECT_EQ(0, y.ret);
	EXPECT_EQ(0, dirty_pages(&s));
	EXPECT_GE(15, load(&s.server.syncs));
	server_stop(&s.server);
}

/* What it grew by has to be written back from its start on, whatever part is wanted. */
TEST_F(vmo, p42_sync_of_what_it_grew_by)
{
	struct scene s;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	ASSERT_EQ(0, ftruncate(s.fd, 4 * PS));
	ASSERT_EQ(0, ftruncate(s.fd, 32 * PS));
	server_start(&s.server);
	EXPECT_EQ(0, msync(s.map + 10 * PS, PS, MS_SYNC));
	EXPECT_EQ(1, load(&s.server.syncs));
	EXPECT_EQ(21, dirty_pages(&s));
	EXPECT_EQ(0, fsync(s.fd));
	EXPECT_EQ(0, dirty_pages(&s));
	server_stop(&s.server);
}

/* Reads as what it was last asked, and forgets it. */
static int modified(struct scene *s)
{
	int was = pager_modified(s->pager, s->fd, 0);
	int reset = pager_modified(s->pager, s->fd, VMO_PAGER_RESET);

	return was == reset && !pager_modified(s->binding, s->fd, 0) ? was : -1;
}

TEST_F(vmo, mod_d7_n6_what_modifies)
{
	struct vmo_pager_stats stats;
	struct vmo_rw rw = { };
	struct iovec iov;
	struct scene s;
	int slice, pin, aux, status;
	char *guard;
	pid_t pid;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	guard = mmap(NULL, 2 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, guard);
	ASSERT_EQ(0, mprotect(guard + PS, PS, PROT_NONE));
	server_start(&s.server);
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, 20, BASE));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_COMMIT, 0, PAGES * PS));
	EXPECT_EQ(0, touch(s.map, false));
	pin = vmo_pin_flags(s.fd, 0, PS, VMO_PIN_READ);
	close(pin);
	EXPECT_ERRNO(ERANGE, vmo_op(s.fd, VMO_OP_ZERO, 0, (PAGES + 1) * PS));
	EXPECT_ERRNO(EFAULT, pwrite(s.fd, guard + PS, 10, 0));
	EXPECT_EQ(0, modified(&s));
	EXPECT_EQ(0, write_page(s.fd, 0, 1));
	EXPECT_EQ(1, modified(&s));
	EXPECT_EQ(0, touch(s.map + PS, true));
	EXPECT_EQ(1, modified(&s));
	EXPECT_EQ(0, fsync(s.fd));
	EXPECT_EQ(0, modified(&s));
	EXPECT_EQ(0, touch(s.map + PS, true));
	EXPECT_EQ(1, modified(&s));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 5 * PS, PS));
	EXPECT_EQ(1, modified(&s));
	pin = vmo_pin_flags(s.fd, 0, PS, VMO_PIN_WRITE);
	EXPECT_EQ(1, modified(&s));
	/* N6, S1: not what failed. */
	EXPECT_ERRNO(EBADFD, vmo_set_size(s.fd, 0));
	EXPECT_EQ(0, modified(&s));
	close(pin);
	EXPECT_EQ(0, vmo_set_size(s.fd, 2 * PAGES * PS));
	EXPECT_EQ(1, modified(&s));
	EXPECT_EQ(0, vmo_set_size(s.fd, PAGES * PS));
	EXPECT_EQ(1, modified(&s));
	/* D7: a part is enough. */
	iov = (struct iovec){ .iov_base = guard, .iov_len = 2 * PS };
	rw.iov = (uintptr_t)&iov;
	rw.iov_count = 1;
	EXPECT_ERRNO(EFAULT, ioctl(s.fd, VMO_WRITE, &rw));
	EXPECT_EQ(PS, rw.actual);
	EXPECT_EQ(1, modified(&s));
	/* A reader of its own mapping modifies nothing. */
	pid = fork();
	if (!pid)
		_exit(s.map[0] & 0);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, modified(&s));
	server_stop(&s.server);

	slice = vmo_reference(s.fd, 0);
	EXPECT_EQ(0, write_page(slice, 0, 1));
	EXPECT_EQ(1, modified(&s));
	aux = vmo_new(self->dev, PS);
	stats = (struct vmo_pager_stats){ .vmo_fd = s.fd, .flags = 2 };
	EXPECT_ERRNO(EINVAL, ioctl(s.pager, VMO_PAGER_STATS, &stats));
	stats = (struct vmo_pager_stats){ .vmo_fd = s.fd, .reserved = 2 };
	EXPECT_ERRNO(EINVAL, ioctl(s.pager, VMO_PAGER_STATS, &stats));
	stats = (struct vmo_pager_stats){ .vmo_fd = aux };
	EXPECT_ERRNO(EINVAL, ioctl(s.pager, VMO_PAGER_STATS, &stats));
}

/* P45: what is asked for, and how far it has come. */
TEST_F(vmo, p45_stats)
{
	struct client c[3] = { { .page = 3, .pages = 1 }, { .page = 9, .pages = 1 },
			       { .page = 20, .pages = 1 } };
	struct vmo_pager_stats stats;
	struct scene s;

	SCENE(&s, 0);
	for (int i = 0; i < 3; i++) {
		c[i].fd = s.fd;
		client_start(&c[i]);
		EXPECT_TRUE(has_requests(s.binding, 5000));
		if (!i) {
			EXPECT_EQ(3 * PS, next_request(s.binding).offset);
		}
	}
	for (int i = 0; i < 5000; i++) {
		stats = (struct vmo_pager_stats){ .vmo_fd = s.fd };
		ASSERT_EQ(0, ioctl(s.pager, VMO_PAGER_STATS, &stats));
		if (stats.waiting == 2)
			break;
		usleep(1000);
	}
	EXPECT_EQ(2, stats.waiting);
	EXPECT_EQ(1, stats.handed);
	EXPECT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, PAGES, BASE));
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(client_ends(&c[i], 5));
	}
	ASSERT_EQ(0, ioctl(s.binding, VMO_PAGER_STATS, &stats));
	EXPECT_EQ(0, stats.waiting + stats.handed + stats.modified);
}

/* ---- at random -------------------------------------------------------------- */

#define ACTORS	3

/**
 * struct torture - a server that stores what it is told, and those who use the memory
 * @s: pager, object, and another one to supply from
 * @stored: what is stored, page by page
 * @stop: ends all threads
 * @left: servers that have come and gone
 * @wrong: somebody saw what nobody wrote
 * @operations: how many
 */
static struct torture {
	struct scene s;
	char stored[PAGES][4096];
	uint64_t stop;
	uint64_t left;
	uint64_t wrong;
	uint64_t operations;
} t;

/* Reads what is dirty while nobody can write it unnoticed, and stores that. */
static void store_dirty(int binding, uint64_t page, uint64_t pages)
{
	struct vmo_page_run runs[PAGES];
	struct vmo_pager_dirty_ranges arg = {
		.length = PAGES * PS, .ranges = (uintptr_t)runs, .count = PAGES,
		.vmo_fd = t.s.fd,
	};

	pager_writeback(binding, t.s.fd, page, pages, VMO_PAGER_BEGIN);
	if (ioctl(binding, VMO_PAGER_DIRTY_RANGES, &arg))
		store(&t.wrong, 3000);
	for (unsigned int i = 0; i < arg.count; i++)
		if (pread(t.s.fd, t.stored[runs[i].offset / PS], runs[i].length,
			  runs[i].offset) != (ssize_t)runs[i].length)
			store(&t.wrong, 1000);
	pager_writeback(binding, t.s.fd, page, pages, VMO_PAGER_END);
}

static void answer_one(int binding, const struct vmo_pager_request *request)
{
	uint64_t page = request->offset / PS, pages = request->length / PS;

	switch (request->type) {
	case VMO_REQUEST_READ:
		for (uint64_t i = page; i < page + pages; i++)
			if (pwrite(t.s.aux, t.stored[i], PS, i * PS) != (ssize_t)PS)
				store(&t.wrong, 2000);
		pager_supply(binding, t.s.fd, page, pages, t.s.aux, page);
		break;
	case VMO_REQUEST_DIRTY:
		pager_may_dirty(binding, t.s.fd, page, pages);
		break;
	case VMO_REQUEST_SYNC:
		/* What is not asked for is stored as well. */
		store_dirty(binding, 0, PAGES);
	}
}

/* One after the other: each leaves after a while, in the middle of whatever it was told. */
static void *servers(void *unused)
{
	struct vmo_pager_request requests[4];
	uint64_t rng = 5;
	ssize_t bytes;
	int binding;

	while (!load(&t.stop)) {
		binding = pager_bind(t.s.pager);
		for (int i = 0; i < 200 && !load(&t.stop); i++) {
			if (!has_requests(binding, 20))
				continue;
			bytes = read(binding, requests, sizeof(requests));
			for (int r = 0; r < bytes / (ssize_t)sizeof(*requests); r++) {
				rng = mix(rng);
				if (rng % 64 == 0)
					usleep(rng >> 8 & 4095);
				if (rng >> 32 & 31)
					answer_one(binding, &requests[r]);
			}
		}
		close(binding);
		store(&t.left, t.left + 1);
	}
	return NULL;
}

static void *use(void *arg)
{
	uint64_t me = (uintptr_t)arg, seed[PAGES] = { }, rng = me + 1, page;
	char *buf = malloc(PS);

	while (!load(&t.stop)) {
		rng = mix(rng);
		page = rng % (PAGES / ACTORS) * ACTORS + me;
		switch (rng >> 32 & 15) {
		case 0 ... 2:
			seed[page] = rng >> 20 | 1;
			fill_page(t.s.map + page * PS, seed[page]);
			break;
		case 3 ... 4:
			seed[page] = rng >> 20 | 1;
			if (write_page(t.s.fd, page, seed[page]))
				store(&t.wrong, page + 1);
			break;
		case 5:
			seed[page] = 0;
			if (vmo_op(t.s.fd, VMO_OP_ZERO, page * PS, PS))
				store(&t.wrong, page + 1);
			break;
		case 6:
			if (fsync(t.s.fd))
				store(&t.wrong, page + 1);
			break;
		case 7 ... 10:
			if (!page_is(t.s.map + page * PS, seed[page]))
				store(&t.wrong, page + 1);
			break;
		default:
			if (pread(t.s.fd, buf, PS, page * PS) != (ssize_t)PS ||
			    !page_is(buf, seed[page]))
				store(&t.wrong, page + 1);
		}
		__atomic_fetch_add(&t.operations, 1, __ATOMIC_RELAXED);
	}
	free(buf);
	return NULL;
}

/* What is stored and evicted comes back as it was, whoever serves, and whatever is lost. */
TEST_F_TIMEOUT(vmo, p30_p53_torture, 4000)
{
	const char *minutes = getenv("VMO_MINUTES");
	double end = seconds() + (minutes ? atof(minutes) * 60 : 4);
	pthread_t actor[ACTORS], server;
	unsigned int evictions = 0;

	ASSERT_TRUE(set_scene(&t.s, self->dev, VMO_CREATE_TRAP_DIRTY));
	close(t.s.binding);
	pthread_create(&server, NULL, servers, NULL);
	for (uintptr_t i = 0; i < ACTORS; i++)
		pthread_create(&actor[i], NULL, use, (void *)i);
	while (seconds() < end && !load(&t.wrong)) {
		EXPECT_TRUE(evict_all());
		usleep(mix(evictions++) % 5000);
	}
	/* The servers go last: whoever waits is answered. */
	t.stop = 0;
	store(&t.stop, 1);
	for (int i = 0; i < ACTORS; i++)
		while (pthread_tryjoin_np(actor[i], NULL)) {
			int binding = pager_bind(t.s.pager);
			struct vmo_pager_request request;

			while (binding >= 0 && has_requests(binding, 50)) {
				request = next_request(binding);
				answer_one(binding, &request);
			}
			if (binding >= 0)
				close(binding);
		}
	pthread_join(server, NULL);
	EXPECT_EQ(0, load(&t.wrong));
	TH_LOG("%lu operations, %lu servers, %u evictions", t.operations, t.left, evictions);
}

TEST_HARNESS_MAIN
