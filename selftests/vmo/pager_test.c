// SPDX-License-Identifier: GPL-2.0
/*
 * Objects whose memory a server provides: requests, answers, and the ends of all three of
 * them, by the binding descriptor.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include "kselftest_harness.h"
#include "failnth_util.h"
#include "pager_util.h"

#define PAGES	256UL
#define BASE	5000UL

/* A pager with a binding, an object, and another one to supply from. */
struct scene {
	int pager;
	int binding;
	int fd;
	int aux;
	struct server server;
};

static bool set_scene(struct scene *s, int dev, int pager, uint32_t flags)
{
	s->pager = pager;
	s->binding = pager_bind(s->pager);
	s->fd = paged_new(dev, s->pager, PAGES, flags);
	s->aux = vmo_new(dev, PAGES * PS);
	s->server = (struct server){
		.binding = s->binding, .fd = s->fd, .aux = s->aux, .base = BASE, .pages = PAGES,
	};
	return s->pager >= 0 && s->binding >= 0 && s->fd >= 0 && s->aux >= 0;
}

#define SCENE(_s, _flags) ASSERT_TRUE(set_scene(_s, self->dev, pager_new(self->dev), _flags))

TEST_F(vmo, p1_create)
{
	int pager = pager_new(self->dev), fd, other = vmo_new(self->dev, PS);
	struct vmo_create arg = { .size = PS, .key = KEY, .pager_fd = pager };
	struct vmo_pager_create limits = {
		.flags = VMO_PAGER_LIMITS, .rebind_ms = 1, .report_ms = 1, .window = 1,
	};

	ASSERT_LE(0, pager);
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_CREATE, &arg));	/* without the flag */
	arg.flags = VMO_CREATE_PAGER | VMO_CREATE_LONGTERM;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_CREATE, &arg));
	arg.flags = VMO_CREATE_PAGER;
	arg.reserved = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_CREATE, &arg));
	arg.reserved = 0;
	arg.pager_fd = -1;
	EXPECT_ERRNO(EBADF, ioctl(self->dev, VMO_CREATE, &arg));
	arg.pager_fd = 999;
	EXPECT_ERRNO(EBADF, ioctl(self->dev, VMO_CREATE, &arg));
	arg.pager_fd = self->dev;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_CREATE, &arg));
	arg.pager_fd = other;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_CREATE, &arg));
	arg.pager_fd = pager;
	arg.size = MAX_SIZE + 1;
	EXPECT_ERRNO(ERANGE, ioctl(self->dev, VMO_CREATE, &arg));

	fd = paged_new(self->dev, pager, 4, VMO_CREATE_RESIZABLE);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(info_of(fd).flags & VMO_INFO_PAGER);
	EXPECT_FALSE(info_of(other).flags & VMO_INFO_PAGER);
	EXPECT_EQ(0, committed_pages(fd));
	EXPECT_EQ(4 * PS, st_size(fd));

	EXPECT_EQ(0, ioctl(self->dev, VMO_PAGER_CREATE, &limits));
	limits.report_ms = 0;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_PAGER_CREATE, &limits));
	limits.report_ms = 1;
	limits.window = 0;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_PAGER_CREATE, &limits));
	limits.flags = 0;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_PAGER_CREATE, &limits));
	limits.flags = 2;
	EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_PAGER_CREATE, &limits));
}

/* Through all doors, and with fewer requests than pages. */
TEST_F(vmo, p10_read_write_map)
{
	char *map, *private, *shared;
	struct scene s;
	int slice, pin;

	SCENE(&s, 0);
	server_start(&s.server);
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, 40, BASE));
	EXPECT_GE(40, s.server.requests);
	map = vmo_map(s.fd, PAGES, RW);
	private = vmo_map_at(s.fd, 0, PAGES, RW, MAP_PRIVATE);
	ASSERT_TRUE(map && private);
	for (size_t i = 40; i < 100; i++) {
		EXPECT_TRUE(page_is(map + i * PS, stored_seed(BASE, i)));
	}
	EXPECT_GE(60 / 4, s.server.requests - 40);	/* 16 pages each */
	fill_page(private + 120 * PS, 1);
	EXPECT_EQ(-1, wrong_stored(s.fd, 112, 16, BASE));
	fill_page(map + 130 * PS, 2);
	EXPECT_TRUE(page_is(private + 130 * PS, 2));
	EXPECT_EQ(0, write_page(s.fd, 140, 3));
	EXPECT_EQ(3, pwrite(s.fd, "abc", 3, 151 * PS + 5));
	EXPECT_TRUE(page_is(map + 140 * PS, 3));
	EXPECT_EQ(0, memcmp(map + 151 * PS + 5, "abc", 3));
	EXPECT_EQ((uint8_t)mix((BASE + 151) << 16), (uint8_t)map[151 * PS]);
	pin = vmo_pin_flags(s.fd, 160 * PS, 20 * PS, VMO_PIN_READ);
	EXPECT_LE(0, pin);
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_COMMIT, 170 * PS, 30 * PS));
	EXPECT_EQ(-1, wrong_stored(s.fd, 160, 40, BASE));
	slice = vmo_slice(s.fd, 210 * PS, 10 * PS, 0);
	ASSERT_LE(0, slice);
	shared = vmo_map_at(slice, 0, 10, RW, MAP_SHARED | MAP_POPULATE);
	ASSERT_TRUE(shared);
	EXPECT_TRUE(page_is(shared + 3 * PS, stored_seed(BASE, 213)));
	EXPECT_EQ(-1, wrong_stored(s.fd, 220, PAGES - 220, BASE));
	server_stop(&s.server);
	EXPECT_GE(110, s.server.requests);
}

/* P2, P12: what a request says; it ends where something is there. */
TEST_F(vmo, p2_requests)
{
	struct client c = { .page = 3, .pages = 20 };
	struct vmo_pager_request request;
	struct scene s;

	SCENE(&s, 0);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 10, 2, BASE));
	EXPECT_EQ(2, committed_pages(s.fd));
	EXPECT_FALSE(has_requests(s.binding, 0));
	c.fd = s.fd;
	client_start(&c);
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 3, 7));
	EXPECT_NE(0, request.id);
	EXPECT_FALSE(load(&c.done));
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 3, 7, BASE));
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 12, 11));
	/* P13: a page is enough to go on, and the rest is not asked for twice. */
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 12, 1, BASE));
	EXPECT_FALSE(has_requests(s.binding, 200));
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 13, 10, BASE));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(20 * PS, c.result);
	EXPECT_TRUE(word_is(c.word, BASE + 3));
}

TEST_F(vmo, p11_joined)
{
	struct client c[4] = { { .page = 2, .pages = 8 }, { .page = 4, .pages = 2 },
			       { .page = 9, .pages = 4 }, { .page = 0, .pages = 5 } };
	struct vmo_pager_request request;
	struct scene s;
	int i;

	SCENE(&s, 0);
	c[0].fd = s.fd;
	client_start(&c[0]);
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 2, 8));
	for (i = 1; i < 3; i++) {
		c[i].fd = s.fd;
		client_start(&c[i]);
	}
	EXPECT_FALSE(has_requests(s.binding, 300));
	c[3].fd = s.fd;
	client_start(&c[3]);
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 0, 2));
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 0, 10, BASE));
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 10, 3));
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 10, 3, BASE));
	for (i = 0; i < 4; i++) {
		EXPECT_TRUE(client_ends(&c[i], 20));
		EXPECT_EQ(c[i].pages * PS, c[i].result);
		EXPECT_TRUE(word_is(c[i].word, stored_seed(BASE, c[i].page)));
	}
}

/* What is no longer needed before it is read is never seen; a window bounds requests. */
TEST_F(vmo, p15_killed_and_withdrawn)
{
	int pager = pager_with(self->dev, 60000, 60000, 4 * PS);
	struct vmo_pager_request request;
	double began;
	struct scene s;
	char *map;
	pid_t pid;
	int kind;

	ASSERT_TRUE(set_scene(&s, self->dev, pager, 0));
	map = vmo_map(s.fd, PAGES, RW);
	ASSERT_TRUE(map);
	for (kind = 0; kind < 4; kind++) {
		pid = fork();
		if (!pid) {
			if (kind == 0)
				touch(map, true);
			else if (kind == 1)
				wrong_stored(s.fd, 0, 1, 0);
			else if (kind == 2)
				vmo_op(s.fd, VMO_OP_COMMIT, 0, 4 * PS);
			else
				vmo_pin_flags(s.fd, 0, 4 * PS, VMO_PIN_READ);
			_exit(1);
		}
		ASSERT_TRUE(has_requests(s.binding, 20000));
		began = seconds();
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		EXPECT_GT(1.0, seconds() - began);
		EXPECT_FALSE(has_requests(s.binding, 0));
	}
	pid = fork();
	if (!pid) {
		vmo_op(s.fd, VMO_OP_COMMIT, 0, 100 * PS);
		_exit(1);
	}
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 0, 4));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
}

static uint64_t signals;

static void count_signal(int sig)
{
	signals++;
}

/* A signal that is handled interrupts a fault, which is made again after it. */
TEST_F(vmo, p15_handled_signal)
{
	struct sigaction act = { .sa_handler = count_signal };
	struct client c = { .page = 5 };
	struct scene s;
	double end;

	SCENE(&s, 0);
	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	c.map = vmo_map(s.fd, PAGES, RO);
	client_start(&c);
	ASSERT_TRUE(has_requests(s.binding, 20000));
	ASSERT_EQ(0, pthread_kill(c.thread, SIGUSR1));
	for (end = seconds() + 10; !load(&signals) && seconds() < end;)
		usleep(1000);
	EXPECT_EQ(1, load(&signals));
	EXPECT_FALSE(load(&c.done));
	ASSERT_TRUE(has_requests(s.binding, 20000));
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 5, 1, BASE));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(0, c.result);
	EXPECT_TRUE(word_is(c.word, BASE + 5));
}

static const int errors[] = { EIO, EBADMSG, EBADFD, ENOSPC, ENOBUFS };

TEST_F(vmo, p20_fail)
{
	struct client c = { .page = 2, .pages = 1 };
	struct vmo_pager_request request;
	struct scene s;
	char *map;
	size_t i;

	SCENE(&s, 0);
	EXPECT_ERRNO(EINVAL, pager_fail(s.pager, s.fd, 0, 1, EPERM));
	EXPECT_ERRNO(EINVAL, pager_fail(s.pager, s.fd, 0, 1, 0));
	EXPECT_ERRNO(EINVAL, pager_fail(s.pager, s.fd, 0, 1, -EIO));
	EXPECT_ERRNO(ERANGE, pager_fail(s.pager, s.fd, 0, PAGES + 1, EIO));
	EXPECT_ERRNO(EINVAL, pager_fail(s.pager, s.aux, 0, 1, EIO));
	EXPECT_ERRNO(EBADF, pager_fail(s.pager, 999, 0, 1, EIO));
	EXPECT_EQ(0, pager_fail(s.pager, s.fd, 0, PAGES, EIO));
	EXPECT_EQ(0, pager_fail(s.pager, s.fd, PAGES, 0, EIO));
	c.fd = s.fd;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		client_start(&c);
		request = next_request(s.binding);
		EXPECT_TRUE(is_request(&request, 2, 1));
		/* P21: another page of the request, and it is asked for anew */
		EXPECT_EQ(0, pager_fail(s.binding, s.fd, 2, 1, errors[i]));
		ASSERT_TRUE(client_ends(&c, 20));
		EXPECT_EQ(-1, c.result);
		EXPECT_EQ(errors[i], c.error);
	}
	/* A fault is SIGBUS, each time; and the next one asks again. */
	map = vmo_map(s.fd, PAGES, RW);
	c.map = map;
	for (i = 0; i < 3; i++) {
		client_start(&c);
		request = next_request(s.binding);
		EXPECT_TRUE(is_request(&request, 2, 14));
		EXPECT_EQ(0, pager_fail(s.binding, s.fd, 2, 1, EIO));
		ASSERT_TRUE(client_ends(&c, 20));
		EXPECT_EQ(SIGBUS, c.result);
		EXPECT_FALSE(has_requests(s.binding, 0));
	}
	client_start(&c);
	next_request(s.binding);
	EXPECT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 2, 1, BASE));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(0, c.result);
	EXPECT_EQ(0, pager_fail(s.binding, s.fd, 2, 1, EIO));	/* that stays */
	EXPECT_TRUE(page_is(map + 2 * PS, BASE + 2));
}

/* P21: the error is for who waits for a page of the range next. */
TEST_F(vmo, p21_fail_of_another_page)
{
	struct client c = { .page = 2, .pages = 4 };
	struct vmo_pager_request request;
	struct scene s;

	SCENE(&s, 0);
	c.fd = s.fd;
	client_start(&c);
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 2, 4));
	EXPECT_EQ(0, pager_fail(s.binding, s.fd, 3, 10, EIO));
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 2, 4));
	ASSERT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 2, 1, BASE));
	EXPECT_FALSE(has_requests(s.binding, 100));
	EXPECT_EQ(0, pager_fail(s.binding, s.fd, 3, 1, ENOSPC));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(PS, c.result);
}

/* The core tries again and again where nobody is told of a fault. */
TEST_F(vmo, p20_fail_in_the_core)
{
	struct vmo_pager_request request;
	struct scene s;
	char *map;
	int i, status;
	pid_t pid;

	SCENE(&s, 0);
	map = vmo_map(s.fd, PAGES, RO);
	ASSERT_TRUE(map);
	for (i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			/* Is not told, fails, fails. */
			if (i == 0)
				_exit(!vmo_map_at(s.fd, 0, 8, RO, MAP_SHARED | MAP_POPULATE));
			if (i == 1)
				_exit(mlock(map, PS) && errno == ENOMEM ? 0 : 1);
			_exit(write(open("/dev/shm", O_TMPFILE | O_RDWR, 0600), map, PS) == -1 &&
			      errno == EFAULT ? 0 : 1);
		}
		while (waitpid(pid, &status, WNOHANG) == 0) {
			if (!has_requests(s.binding, 20))
				continue;
			request = next_request(s.binding);
			EXPECT_EQ(0, pager_fail(s.binding, s.fd, request.offset / PS,
						request.length / PS, EIO));
		}
		EXPECT_EQ(0, status);
	}
}

TEST_F(vmo, x4_x5_supply)
{
	int other, slice, reference, read_only, pager2, alien;
	struct scene s;
	char *map;

	SCENE(&s, 0);
	other = vmo_new(self->dev, 4 * PS);
	pager2 = pager_new(self->dev);
	alien = paged_new(self->dev, pager2, 4, 0);
	slice = vmo_slice(s.fd, 0, PS, 0);
	reference = vmo_reference(s.fd, 0);
	read_only = vmo_reopen(s.fd, O_RDONLY);
	ASSERT_TRUE(other >= 0 && alien >= 0 && slice >= 0 && reference >= 0 && read_only >= 0);
	EXPECT_ERRNO(EINVAL, pager_supply(s.pager, other, 0, 1, 999, 0));
	EXPECT_ERRNO(EINVAL, pager_supply(s.pager, alien, 0, 1, s.aux, 0));
	EXPECT_ERRNO(EINVAL, pager_supply(s.pager, slice, 0, 1, s.aux, 0));
	EXPECT_ERRNO(EINVAL, pager_supply(s.pager, self->dev, 0, 1, s.aux, 0));
	EXPECT_ERRNO(EBADF, pager_supply(s.pager, s.fd, 0, 1, 999, 0));
	EXPECT_ERRNO(EINVAL, pager_supply(s.pager, s.fd, 0, 1, self->dev, 0));
	EXPECT_ERRNO(EOPNOTSUPP, pager_supply(s.pager, s.fd, 0, 1, alien, 0));
	EXPECT_ERRNO(EOPNOTSUPP, pager_supply(s.pager, s.fd, 0, 1, s.fd, 8));
	EXPECT_ERRNO(EACCES, pager_supply(s.pager, read_only, 0, 1, s.aux, 0));
	EXPECT_ERRNO(EACCES, pager_supply(s.pager, s.fd, 0, 1, vmo_reopen(s.aux, O_RDONLY), 0));
	EXPECT_ERRNO(ERANGE, pager_supply(s.pager, s.fd, 0, PAGES + 1, s.aux, 0));
	EXPECT_ERRNO(ERANGE, pager_supply(s.pager, s.fd, 0, 5, other, 0));
	EXPECT_EQ(0, pager_supply(s.pager, s.fd, PAGES, 0, s.aux, 0));		/* X6 */

	/* X5: what is there wins, holes become zeroes, the source is empty. */
	ASSERT_EQ(0, write_page(other, 0, 11));
	ASSERT_EQ(0, write_page(other, 2, 13));
	ASSERT_EQ(0, pager_supply(s.pager, reference, 5, 3, other, 0));
	EXPECT_EQ(0, committed_pages(other));
	EXPECT_EQ(2, committed_pages(s.fd));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 5, 1, 11 - 5));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 6, 1, 0));
	map = vmo_map(s.fd, PAGES, RW);
	EXPECT_EQ(0, touch(map + 6 * PS, false));
	fill_page(map + 7 * PS, 99);
	ASSERT_EQ(0, write_page(other, 1, 14));
	ASSERT_EQ(0, write_page(other, 2, 15));
	ASSERT_EQ(0, pager_supply(s.pager, s.fd, 5, 3, other, 0));
	EXPECT_TRUE(page_is(map + 6 * PS, 0));
	EXPECT_TRUE(page_is(map + 7 * PS, 99));
	EXPECT_EQ(0, committed_pages(other));
	fill_page(map + 6 * PS, 98);
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 6, 1, 98 - 6));

	/* A pinned source stays. */
	ASSERT_EQ(0, write_page(other, 0, 16));
	ASSERT_LE(0, vmo_pin_flags(other, 0, PS, VMO_PIN_READ));
	EXPECT_ERRNO(EBADFD, pager_supply(s.pager, s.fd, 20, 1, other, 0));
	EXPECT_EQ(-1, wrong_page_fd(other, 0, 1, 16));
}

/* What objects with a pager have no meaning for, or not yet. */
TEST_F(vmo, k5_what_is_refused)
{
	struct vmo_transfer transfer = { .length = PS };
	struct vmo_clone clone = { .size = PS };
	struct scene s;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	clone.flags = VMO_CLONE_SNAPSHOT;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(s.fd, VMO_CLONE, &clone));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(s.fd, VMO_OP_DECOMMIT, 0, PS));
	transfer.src_fd = s.aux;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(s.fd, VMO_TRANSFER, &transfer));
	transfer.src_fd = s.fd;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(s.aux, VMO_TRANSFER, &transfer));
	EXPECT_ERRNO(EINVAL, ftruncate(s.fd, PS + 1));
	EXPECT_EQ(0, lseek(s.fd, 0, SEEK_DATA));
	EXPECT_EQ(PAGES * PS, lseek(s.fd, 0, SEEK_HOLE));
	EXPECT_FALSE(has_requests(s.binding, 0));
}

/* O4: nobody is asked for whole pages; parts of one are read first. */
TEST_F(vmo, o4_zero)
{
	struct client c = { .page = 30, .pages = 1 };
	struct scene s;
	char *map;

	SCENE(&s, 0);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 4, BASE));
	map = vmo_map(s.fd, PAGES, RW);
	EXPECT_TRUE(page_is(map + PS, BASE + 1));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, PS, 20 * PS));
	EXPECT_EQ(0, fallocate(s.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 21 * PS, PS));
	EXPECT_FALSE(has_requests(s.binding, 0));
	EXPECT_TRUE(page_is(map + PS, 0));
	EXPECT_EQ(-1, wrong_page(map, 0, 1, BASE));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 1, 21, 0));
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 40, BASE));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 1, 21, 0));
	EXPECT_EQ(-1, wrong_stored(s.fd, 22, 18, BASE));
	fill_page(map + 3 * PS, 3);
	EXPECT_TRUE(page_is(map + 3 * PS, 3));
	server_start(&s.server);
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 50 * PS + 1, 2 * PS));
	server_stop(&s.server);
	EXPECT_EQ(2, s.server.requests);
	EXPECT_EQ((uint8_t)mix((BASE + 50) << 16), (uint8_t)map[50 * PS]);
	EXPECT_EQ(0, map[50 * PS + 1]);
	/* Who waits for what is zeroed goes on. */
	c.fd = s.fd;
	c.page = 100;
	client_start(&c);
	ASSERT_TRUE(has_requests(s.binding, 20000));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 100 * PS, PS));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(PS, c.result);
	EXPECT_EQ(0, c.word);
}

/* P40, P41, S3: growing and shrinking, with somebody who waits. */
TEST_F(vmo, p14_p40_p41_s3_resize)
{
	struct client c = { .page = 100, .pages = 1 }, m = { .page = 120 };
	struct scene s;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 4, BASE));
	c.fd = s.fd;
	m.map = vmo_map(s.fd, PAGES, RW);
	client_start(&c);
	client_start(&m);
	next_request(s.binding);
	next_request(s.binding);
	EXPECT_EQ(0, vmo_set_size(s.fd, 50 * PS));
	ASSERT_TRUE(client_ends(&c, 20));
	ASSERT_TRUE(client_ends(&m, 20));
	EXPECT_EQ(0, c.result);		/* the end of the file */
	EXPECT_EQ(SIGBUS, m.result);
	EXPECT_ERRNO(ERANGE, pager_fail(s.pager, s.fd, 50, 1, EIO));
	EXPECT_EQ(0, ftruncate(s.fd, 80 * PS));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 50, 30, 0));
	EXPECT_TRUE(page_is(m.map + 60 * PS, 0));
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 40, 40, BASE));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 50, 30, 0));
	EXPECT_EQ(-1, wrong_stored(s.fd, 40, 10, BASE));
	EXPECT_EQ(PS, pwrite(s.fd, m.map, PS, 80 * PS));
	EXPECT_EQ(81 * PS, st_size(s.fd));
	EXPECT_FALSE(has_requests(s.binding, 0));
	/* An odd size has the last page read, by who may wait. */
	server_start(&s.server);
	EXPECT_EQ(0, vmo_set_size(s.fd, 21 * PS + 5));
	server_stop(&s.server);
	EXPECT_EQ(1, s.server.requests);
	EXPECT_EQ(21 * PS + 5, st_size(s.fd));
	EXPECT_EQ(0, ftruncate(s.fd, 21 * PS + 5));	/* as it is */
	EXPECT_ERRNO(EINVAL, ftruncate(s.fd, 21 * PS + 6));
	EXPECT_EQ((uint8_t)(mix((BASE + 21) << 16) >> 32), (uint8_t)m.map[21 * PS + 4]);
	EXPECT_EQ(0, m.map[21 * PS + 5]);
}

/* P50: waiters, clean and written pages, and COMPLETE. */
TEST_F(vmo, p50_detach)
{
	struct client c = { .page = 100, .pages = 1 }, m = { .page = 120 };
	struct vmo_pager_request request;
	struct scene s;

	SCENE(&s, 0);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 4, BASE));
	c.fd = s.fd;
	m.map = vmo_map(s.fd, PAGES, RW);
	ASSERT_EQ(0, write_page(s.fd, 1, 1));
	fill_page(m.map + 2 * PS, 2);
	EXPECT_TRUE(page_is(m.map, BASE));
	ASSERT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 3 * PS, PS));
	client_start(&c);
	client_start(&m);
	ASSERT_TRUE(has_requests(s.binding, 20000));
	usleep(100000);
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	ASSERT_TRUE(client_ends(&c, 20));
	ASSERT_TRUE(client_ends(&m, 20));
	EXPECT_EQ(-1, c.result);
	EXPECT_EQ(EBADFD, c.error);
	EXPECT_EQ(SIGBUS, m.result);
	request = next_request(s.binding);
	EXPECT_EQ(VMO_REQUEST_COMPLETE, request.type);
	EXPECT_EQ(KEY, request.key);
	EXPECT_EQ(0, request.offset | request.length);
	EXPECT_EQ(SIGBUS, touch(m.map, false));
	EXPECT_TRUE(page_is(m.map + PS, 1));
	EXPECT_TRUE(page_is(m.map + 2 * PS, 2));
	EXPECT_TRUE(page_is(m.map + 3 * PS, 0));
	EXPECT_EQ(2, committed_pages(s.fd));
	EXPECT_ERRNO(EBADFD, pager_supply(s.pager, s.fd, 0, 1, s.aux, 0));
	EXPECT_ERRNO(EBADFD, pager_fail(s.pager, s.fd, 0, 1, EIO));
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	EXPECT_ERRNO(EBADFD, vmo_op(s.fd, VMO_OP_COMMIT, 0, PS));
	close(s.fd);
	EXPECT_FALSE(has_requests(s.binding, 100));
}

/* P51: the object goes, and so does the pager. */
TEST_F(vmo, p51_ends)
{
	struct client c = { .page = 100, .pages = 1 }, m = { .page = 120 };
	struct vmo_pager_request request;
	struct pollfd pfd;
	struct scene s;
	int second;

	SCENE(&s, 0);
	second = paged_new(self->dev, s.pager, 4, 0);
	ASSERT_LE(0, second);
	close(second);
	request = next_request(s.binding);
	EXPECT_EQ(VMO_REQUEST_COMPLETE, request.type);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 4, BASE));
	c.fd = s.fd;
	m.map = vmo_map(s.fd, PAGES, RW);
	client_start(&c);
	client_start(&m);
	ASSERT_TRUE(has_requests(s.binding, 20000));
	usleep(100000);
	close(s.pager);
	ASSERT_TRUE(client_ends(&c, 20));
	ASSERT_TRUE(client_ends(&m, 20));
	EXPECT_EQ(EBADFD, c.error);
	EXPECT_EQ(SIGBUS, m.result);
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, 4, BASE));
	EXPECT_EQ(SIGBUS, touch(m.map + 5 * PS, false));
	EXPECT_ERRNO(EBADFD, read(s.binding, &request, sizeof(request)));
	pfd = (struct pollfd){ .fd = s.binding, .events = POLLIN };
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLHUP, pfd.revents);
	EXPECT_ERRNO(EBADFD, pager_supply(s.binding, s.fd, 8, 1, s.aux, 0));
}

/* P30: through mappings and calls; a write after the begin counts. */
TEST_F(vmo, p30_n5_writeback)
{
	struct vmo_page_run runs[16];
	struct scene s;
	char *map;
	int pin;

	SCENE(&s, 0);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 64, BASE));
	map = vmo_map(s.fd, PAGES, RW);
	EXPECT_EQ(-1, wrong_stored(s.fd, 0, 64, BASE));
	EXPECT_EQ(0, touch(map, false));
	EXPECT_EQ(0, vmo_op(s.fd, VMO_OP_COMMIT, 0, 64 * PS));
	EXPECT_EQ(0, pager_dirty(s.pager, s.fd, runs));
	fill_page(map + 3 * PS, 3);
	fill_page(map + 4 * PS, 4);
	ASSERT_EQ(0, write_page(s.fd, 5, 5));
	ASSERT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 8 * PS, 2 * PS));
	ASSERT_EQ(2, pager_dirty(s.binding, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 3, 3, 0));
	EXPECT_TRUE(run_is(&runs[1], 8, 2, VMO_DIRTY_ZERO));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_BEGIN | VMO_PAGER_ZEROES));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_END));
	ASSERT_EQ(1, pager_dirty(s.pager, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 3, 3, 0));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_BEGIN));
	EXPECT_TRUE(page_is(map + 3 * PS, 3));
	map[4 * PS] ^= 1;		/* a PTE that is still writable would not tell */
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_END));
	ASSERT_EQ(1, pager_dirty(s.pager, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 4, 1, 0));
	map[4 * PS] ^= 1;
	pin = vmo_pin_flags(s.fd, 10 * PS, PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_BEGIN));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_END));
	ASSERT_EQ(1, pager_dirty(s.pager, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 10, 1, 0));
	close(pin);
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_BEGIN));
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	EXPECT_TRUE(page_is(map + 10 * PS, BASE + 10));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, PAGES, VMO_PAGER_END));
	EXPECT_EQ(0, pager_dirty(s.pager, s.fd, runs));
	/* What is clean goes now; what a client wrote is not what is lost by that. */
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	EXPECT_EQ(SIGBUS, touch(map + 4 * PS, false));
}

/* P42 to P44: what an object grew by, and errors. */
TEST_F(vmo, p42_p43_p44_writeback_of_zeroes)
{
	struct vmo_pager_dirty_ranges arg = { .length = PAGES * PS, .count = 1 };
	struct vmo_page_run runs[16];
	struct scene s;
	char *map;
	int i;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	map = vmo_map(s.fd, PAGES, RW);
	ASSERT_EQ(0, ftruncate(s.fd, 16 * PS));
	ASSERT_EQ(0, ftruncate(s.fd, 64 * PS));
	EXPECT_TRUE(page_is(map + 20 * PS, 0));
	fill_page(map + 40 * PS, 1);
	ASSERT_EQ(3, pager_dirty(s.pager, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 16, 24, VMO_DIRTY_ZERO));
	EXPECT_TRUE(run_is(&runs[1], 40, 1, 0));
	EXPECT_TRUE(run_is(&runs[2], 41, 23, VMO_DIRTY_ZERO));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 17, 20, VMO_PAGER_BEGIN));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, 64, VMO_PAGER_END));
	EXPECT_EQ(3, pager_dirty(s.pager, s.fd, runs));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, 30, VMO_PAGER_BEGIN));
	EXPECT_FALSE(has_requests(s.binding, 0));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 0, 30, VMO_PAGER_END));
	ASSERT_EQ(3, pager_dirty(s.pager, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 30, 10, VMO_DIRTY_ZERO));
	/* The server is asked for it now, through the mapping that has shown zeroes, too. */
	ASSERT_EQ(0, pager_supply(s.pager, s.fd, 20, 1, s.aux, 20));
	server_start(&s.server);
	EXPECT_TRUE(page_is(map + 21 * PS, BASE + 21));
	server_stop(&s.server);
	EXPECT_TRUE(page_is(map + 20 * PS, 0));
	EXPECT_TRUE(page_is(map + 35 * PS, 0));

	EXPECT_ERRNO(ERANGE, pager_writeback(s.pager, s.fd, 0, 65, VMO_PAGER_BEGIN));
	EXPECT_ERRNO(ERANGE, pager_writeback(s.pager, s.fd, 0, 65, VMO_PAGER_END));
	EXPECT_EQ(0, pager_writeback(s.pager, s.fd, 64, 0, VMO_PAGER_END));
	EXPECT_ERRNO(EINVAL, pager_writeback(s.pager, s.fd, 0, 1, 0));
	EXPECT_ERRNO(EINVAL, pager_writeback(s.pager, s.fd, 0, 1, VMO_PAGER_BEGIN | VMO_PAGER_END));
	EXPECT_ERRNO(EINVAL, pager_writeback(s.pager, s.fd, 0, 1,
					     VMO_PAGER_END | VMO_PAGER_ZEROES));
	EXPECT_ERRNO(EINVAL, pager_writeback(s.pager, s.aux, 0, 1, VMO_PAGER_END));
	arg.vmo_fd = s.fd;
	arg.ranges = (uintptr_t)runs;
	EXPECT_ERRNO(ERANGE, ioctl(s.pager, VMO_PAGER_DIRTY_RANGES, &arg));
	/* Piece by piece, as there is room for. */
	arg.length = 64 * PS;
	for (i = 0; arg.length && i < 10; i++) {
		arg.count = 1;
		EXPECT_EQ(0, ioctl(s.pager, VMO_PAGER_DIRTY_RANGES, &arg));
	}
	EXPECT_EQ(3, i);
	EXPECT_EQ(64 * PS, arg.offset);
}

/* A binding goes: what it was told, and did not answer, goes to the next. */
TEST_F(vmo, p52_server_comes_back)
{
	struct client c = { .page = 9, .pages = 2 }, m = { .page = 120 };
	struct vmo_pager_request request, again;
	struct scene s;

	SCENE(&s, 0);
	EXPECT_ERRNO(EBUSY, pager_bind(s.pager));
	c.fd = s.fd;
	m.map = vmo_map(s.fd, PAGES, RW);
	client_start(&c);
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 9, 2));
	close(s.binding);
	client_start(&m);
	usleep(50000);
	EXPECT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 2, BASE));	/* P52 */
	s.binding = pager_bind(s.pager);
	ASSERT_LE(0, s.binding);
	again = next_request(s.binding);
	EXPECT_EQ(0, memcmp(&again, &request, sizeof(again)));
	again = next_request(s.binding);
	EXPECT_TRUE(is_request(&again, 120, 8));
	EXPECT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 9, 2, BASE));
	EXPECT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 120, 8, BASE));
	EXPECT_TRUE(client_ends(&c, 20));
	EXPECT_TRUE(client_ends(&m, 20));
	EXPECT_EQ(2 * PS, c.result);
	EXPECT_EQ(0, m.result);
	EXPECT_TRUE(word_is(m.word, BASE + 120));
}

/* One that never comes back: everybody is told, until somebody does. */
TEST_F(vmo, p16_nobody_serves)
{
	struct client c = { .page = 9, .pages = 2 }, m = { .page = 120 };
	double began;
	struct scene s;

	ASSERT_TRUE(set_scene(&s, self->dev, pager_with(self->dev, 400, 60000, PS), 0));
	c.fd = s.fd;
	m.map = vmo_map(s.fd, PAGES, RW);
	client_start(&c);
	client_start(&m);
	next_request(s.binding);
	began = seconds();
	close(s.binding);
	ASSERT_TRUE(client_ends(&c, 30));
	ASSERT_TRUE(client_ends(&m, 30));
	EXPECT_LT(0.3, seconds() - began);
	EXPECT_EQ(ETIMEDOUT, c.error);
	EXPECT_EQ(SIGBUS, m.result);
	EXPECT_ERRNO(ETIMEDOUT, vmo_op(s.fd, VMO_OP_COMMIT, 0, PS));
	EXPECT_EQ(SIGBUS, touch(m.map, true));
	s.server.binding = pager_bind(s.pager);
	ASSERT_LE(0, s.server.binding);
	server_start(&s.server);
	EXPECT_EQ(-1, wrong_stored(s.fd, 9, 4, BASE));
	server_stop(&s.server);
}

/* P16: one that is there, but does not answer; or that needs itself. */
TEST_F(vmo, p16_no_answer)
{
	struct vmo_pager_create arg = {
		.flags = VMO_PAGER_LIMITS, .fd = -1, .rebind_ms = 60000, .report_ms = 100,
		.timeout_ms = 300, .window = PS,
	};
	struct scene s;
	double began;
	char *map;

	ASSERT_EQ(0, ioctl(self->dev, VMO_PAGER_CREATE, &arg));
	ASSERT_TRUE(set_scene(&s, self->dev, arg.fd, 0));
	map = vmo_map(s.fd, PAGES, RW);
	began = seconds();
	EXPECT_ERRNO(ETIMEDOUT, vmo_op(s.fd, VMO_OP_COMMIT, 0, PS));
	EXPECT_LT(0.25, seconds() - began);
	EXPECT_EQ(SIGBUS, touch(map, true));
	EXPECT_FALSE(has_requests(s.binding, 0));
	EXPECT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 0, 1, BASE));
	EXPECT_EQ(0, touch(map, true));
}

/* Who may not wait does not. */
TEST_F(vmo, p10_nonblock)
{
	struct iovec iov;
	struct scene s;
	char buf[64];
	int fd;

	SCENE(&s, 0);
	iov = (struct iovec){ buf, 16 };
	fd = vmo_reopen(s.fd, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, fd);
	EXPECT_ERRNO(EAGAIN, pread(fd, buf, 16, 0));
	EXPECT_ERRNO(EAGAIN, pwrite(fd, buf, 16, 0));
	EXPECT_ERRNO(EAGAIN, preadv2(s.fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_FALSE(has_requests(s.binding, 0));
	EXPECT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 0, 2, BASE));
	EXPECT_EQ(16, pread(fd, buf, 16, 0));
	EXPECT_EQ(16, pwrite(fd, buf, 16, 0));
	EXPECT_EQ(16, preadv2(s.fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(0, fcntl(s.binding, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, read(s.binding, buf, sizeof(struct vmo_pager_request)));
	EXPECT_ERRNO(EINVAL, read(s.binding, buf, sizeof(struct vmo_pager_request) - 1));
}

/* MP6: the mapping goes while somebody waits, and nobody waits for that. */
TEST_F(vmo, mp6_lk4_inv_4_12_unmapped_meanwhile)
{
	struct client c = { .page = 5 };
	struct scene s;
	double began;

	SCENE(&s, 0);
	c.map = vmo_map(s.fd, PAGES, RW);
	client_start(&c);
	ASSERT_TRUE(has_requests(s.binding, 20000));
	began = seconds();
	ASSERT_EQ(0, munmap(c.map, PAGES * PS));
	close(s.fd);
	EXPECT_GT(5.0, seconds() - began);
	EXPECT_FALSE(load(&c.done));
	s.fd = s.server.fd;
	/* Only who waits has the object now: the pager's end is what is left. */
	close(s.pager);
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(SIGSEGV, c.result);
}

/* Nothing but a binding's EFAULT: it does not take the kernel along. */
TEST_F(vmo, p3_bad_buffer)
{
	struct client c = { .page = 5, .pages = 1 };
	struct vmo_pager_request request;
	struct scene s;

	SCENE(&s, 0);
	c.fd = s.fd;
	client_start(&c);
	ASSERT_TRUE(has_requests(s.binding, 20000));
	EXPECT_ERRNO(EFAULT, syscall(SYS_read, s.binding, 8UL, sizeof(request)));
	request = next_request(s.binding);	/* it is not lost */
	EXPECT_TRUE(is_request(&request, 5, 1));
	EXPECT_EQ(0, supply_pages(s.binding, s.fd, s.aux, 5, 1, BASE));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(PS, c.result);
}

/* ---- each allocation fails ------------------------------------------------- */

struct attempt {
	int dev;
	int other;	/* a pager that nobody serves */
	struct scene *s;
	char *map;
	uint64_t page;
};

/* Descriptors that are made are closed again: 0, or -1 with errno. */
static int made(int fd)
{
	return fd < 0 ? -1 : close(fd);
}

static int try_pager(struct attempt *a)
{
	return made(pager_new(a->dev));
}

static int try_bind(struct attempt *a)
{
	return made(pager_bind(a->other));
}

static int try_create(struct attempt *a)
{
	return made(paged_new(a->dev, a->s->pager, 4, 0));
}

static int try_supply(struct attempt *a)
{
	return pager_supply(a->s->pager, a->s->fd, a->page, 3, a->s->aux, a->page);
}

static int try_read(struct attempt *a)
{
	uint64_t word;

	return pread(a->s->fd, &word, 8, a->page * PS) == 8 ? 0 : -1;
}

static int try_fault(struct attempt *a)
{
	errno = ENOMEM;
	return touch(a->map + a->page * PS, true) ? -1 : 0;
}

static int try_zero(struct attempt *a)
{
	return vmo_op(a->s->fd, VMO_OP_ZERO, a->page * PS, 2 * PS);
}

static int try_pin(struct attempt *a)
{
	return made(vmo_pin_flags(a->s->fd, a->page * PS, PS, VMO_PIN_READ));
}

static const struct {
	const char *name;
	int (*run)(struct attempt *a);
} attempts[] = {
	{ "pager", try_pager }, { "bind", try_bind }, { "create", try_create },
	{ "supply", try_supply }, { "read", try_read }, { "fault", try_fault },
	{ "zero", try_zero }, { "pin", try_pin },
};

TEST_F(vmo, p1_each_allocation_fails)
{
	struct fail_nth_knobs knobs;
	struct attempt a = { .dev = self->dev, .other = pager_new(self->dev) };
	int nth, failures = 0, ret, err;
	struct scene s;
	bool was;

	if (!fail_nth_able())
		SKIP(return, "this kernel cannot inject failures");
	SCENE(&s, 0);
	a.s = &s;
	a.map = vmo_map(s.fd, PAGES, RW);
	server_start(&s.server);
	ASSERT_TRUE(fail_nth_begin(&knobs));
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		for (nth = 1, was = true; was && nth < 100; nth++) {
			a.page = (a.page + 8) % (PAGES - 8);
			ASSERT_TRUE(fail_nth(nth));
			ret = attempts[i].run(&a);
			err = errno;
			was = fail_nth_was();
			failures += was;
			EXPECT_TRUE(!ret || (was && (err == ENOMEM || err == EFAULT)))
				TH_LOG("%s, %d: %s", attempts[i].name, nth, strerror(err));
			if (ret) {
				EXPECT_EQ(0, attempts[i].run(&a))
					TH_LOG("%s, %d, again", attempts[i].name, nth);
			}
		}
	}
	EXPECT_TRUE(fail_nth_end(&knobs));
	TH_LOG("%d failures", failures);
	EXPECT_LT(20, failures);
	server_stop(&s.server);
}

/* ---- many, and a server that dies ------------------------------------------ */

#define CLIENTS		1000U

/* In a process of its own; killed, or done when told so. */
static pid_t fork_server(struct scene *s)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	s->server.binding = pager_bind(s->pager);
	s->server.delay_us = 3000;
	serve(&s->server);
	_exit(0);
}

TEST_F(vmo, p52_killed_with_many_waiting)
{
	struct client *c = calloc(CLIENTS, sizeof(*c));
	unsigned int i, done, kills = 0;
	struct scene s;
	char *map;
	pid_t pid;

	ASSERT_TRUE(set_scene(&s, self->dev, pager_with(self->dev, 60000, 120000, PS), 0));
	close(s.binding);
	map = vmo_map(s.fd, PAGES, RW);
	for (i = 0; i < CLIENTS; i++) {
		c[i].fd = s.fd;
		c[i].pages = 1;
		c[i].page = i % PAGES;
		if (i / PAGES % 2)
			c[i].map = map;
		client_start(&c[i]);
	}
	do {
		pid = fork_server(&s);
		ASSERT_LT(0, pid);
		usleep(30000 + 20000 * kills++);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		for (i = 0, done = 0; i < CLIENTS; i++)
			done += load(&c[i].done);
	} while (done < CLIENTS && kills < 100);
	for (i = 0; i < CLIENTS; i++) {
		ASSERT_TRUE(client_ends(&c[i], 30));
		EXPECT_EQ(c[i].map ? 0 : PS, c[i].result);
		EXPECT_TRUE(word_is(c[i].word, stored_seed(BASE, i % PAGES)));
	}
	TH_LOG("%u servers killed", kills);
	EXPECT_LE(2, kills);
	free(c);
}

/* ---- at random -------------------------------------------------------------- */

#define ACTORS		4

static struct torture {
	struct scene s;
	uint64_t stop;
	uint64_t wrong;
	uint64_t operations;
	char *map;
} t;

/* Each actor has pages of its own, of which it knows what they hold. */
static void *act(void *arg)
{
	unsigned int me = (uintptr_t)arg;
	uint64_t seed[PAGES], rng = 77 + me, page;
	char *buf = malloc(PS);

	for (page = 0; page < PAGES; page++)
		seed[page] = stored_seed(BASE, page);
	while (!load(&t.stop)) {
		rng = mix(rng + 0x1234567);
		page = rng % (PAGES / ACTORS) * ACTORS + me;
		switch (rng >> 32 & 7) {
		case 0:
			seed[page] = rng >> 20 | 1;
			fill_page(t.map + page * PS, seed[page]);
			break;
		case 1:
			seed[page] = rng >> 20 | 1;
			if (write_page(t.s.fd, page, seed[page]))
				store(&t.wrong, t.wrong + 1);
			break;
		case 2:
			if (vmo_op(t.s.fd, VMO_OP_COMMIT, page * PS, PS))
				store(&t.wrong, t.wrong + 1);
			break;
		case 3:
			seed[page] = 0;
			if (vmo_op(t.s.fd, VMO_OP_ZERO, page * PS, PS))
				store(&t.wrong, t.wrong + 1);
			break;
		case 4:
			if (!page_is(t.map + page * PS, seed[page]))
				store(&t.wrong, t.wrong + 1);
			break;
		default:
			if (pread(t.s.fd, buf, PS, page * PS) != (ssize_t)PS ||
			    !page_is(buf, seed[page]))
				store(&t.wrong, t.wrong + 1);
		}
		__atomic_fetch_add(&t.operations, 1, __ATOMIC_RELAXED);
	}
	free(buf);
	return NULL;
}

TEST_F_TIMEOUT(vmo, x5_torture, 4000)
{
	const char *minutes = getenv("VMO_MINUTES");
	double end = seconds() + (minutes ? atof(minutes) * 60 : 4);
	pthread_t thread[ACTORS];
	unsigned int rounds = 0;
	double turn;
	pid_t pid;

	while (seconds() < end) {
		ASSERT_TRUE(set_scene(&t.s, self->dev,
				      pager_with(self->dev, 60000, 120000, 8 * PS), 0));
		close(t.s.binding);
		t.map = vmo_map(t.s.fd, PAGES, RW);
		t.stop = 0;
		for (uintptr_t i = 0; i < ACTORS; i++)
			pthread_create(&thread[i], NULL, act, (void *)i);
		for (turn = seconds() + 1; seconds() < turn; rounds++) {
			t.s.server.more = rounds % 20;
			evict_all();
			pid = fork_server(&t.s);
			usleep(20000 + mix(rounds) % 100000);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		/* Nobody serves now, so whoever waits is told so, or has all. */
		t.s.server.binding = pager_bind(t.s.pager);
		t.s.server.more = 0;
		t.s.server.delay_us = 0;
		server_start(&t.s.server);
		store(&t.stop, 1);
		for (int i = 0; i < ACTORS; i++)
			pthread_join(thread[i], NULL);
		server_stop(&t.s.server);
		EXPECT_EQ(0, t.wrong);
		munmap(t.map, PAGES * PS);
		close(t.s.server.binding);
		close(t.s.fd);
		close(t.s.aux);
		close(t.s.pager);
	}
	TH_LOG("%llu operations, %u servers", (unsigned long long)t.operations, rounds);
	EXPECT_LT(0, t.operations);
}

TEST_HARNESS_MAIN
