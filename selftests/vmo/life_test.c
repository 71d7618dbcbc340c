// SPDX-License-Identifier: GPL-2.0
/* Lifetimes: who keeps an object, what a failed command leaves, and who is charged. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int send_fd(int sock, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = "", c = 'f';
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = space, .msg_controllen = sizeof(space),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char space[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = space, .msg_controllen = sizeof(space),
	};
	int fd = -1;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Another user's process gets it, by a socket, and goes on when the sender has closed. */
static int receiver(int sock)
{
	int fd = receive_fd(sock), snap;
	char *p, go;

	if (setgid(12345) || setuid(12345) || fd < 0)
		return 1;
	if (read(sock, &go, 1) != 1)		/* closed over there by now */
		return 2;
	p = vmo_map(fd, 4, RW);
	snap = vmo_snap(fd);
	if (!p || snap < 0 || wrong_page(p, 0, 4, 70) != -1)
		return 3;
	fill_page(p, 1);
	if (wrong_page_fd(snap, 0, 4, 70) != -1 || write_page(fd, 1, 5) || !page_is(p + PS, 5))
		return 4;
	return 0;
}

TEST_F(vmo, life_passed_by_a_socket)
{
	int fd = vmo_filled(self->dev, 4, 0, 70), sock[2], pid, status;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(0, send_fd(sock[0], fd));
	close(fd);
	/* It lives in the socket alone. */
	EXPECT_EQ(self->objects + 1, vmo_counter("objects"));
	pid = fork();
	if (!pid)
		_exit(receiver(sock[1]));
	close(sock[1]);
	EXPECT_EQ(1, write(sock[0], "g", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(sock[0]);
}

struct closing {
	int fd;
	uint64_t stop;
	uint64_t calls;
};

static void *closing_thread(void *arg)
{
	struct closing *c = arg;
	char *buf = malloc(64 * PS);

	while (!load(&c->stop)) {
		int fd = c->fd;
		ssize_t done = c->calls & 1 ? pread(fd, buf, 64 * PS, 0) :
					      pwrite(fd, buf, 64 * PS, 0);

		if (done < 0 && errno != EBADF)
			break;
		c->calls++;
	}
	free(buf);
	return NULL;
}

TEST_F(vmo, life_closed_while_another_thread_uses_it)
{
	struct closing c = { .fd = vmo_new_pages(self->dev, 64) };
	double end = seconds() + 1;
	pthread_t thread;
	char *p = NULL;

	ASSERT_EQ(0, pthread_create(&thread, NULL, closing_thread, &c));
	for (int i = 0; more_rounds(i, 20, 2000, end); i++) {
		int next = vmo_new_pages(self->dev, 64);

		p = vmo_map(c.fd, 64, RW);
		usleep(200);
		EXPECT_EQ(c.fd, dup3(next, c.fd, O_CLOEXEC));	/* closes what was there */
		close(next);
		p[0] = 1;
		munmap(p, 64 * PS);
	}
	store(&c.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, c.calls);
	close(c.fd);
}

/* Every new descriptor closes on exec: also the program is told only what it is given. */
TEST_F(vmo, life_exec_closes_all)
{
	int fd = vmo_filled(self->dev, 4, 0, 1), given, pid, status;
	const int made[] = {
		fd, vmo_snap(fd), vmo_slice(fd, 0, PS, 0), vmo_reference(fd, 0),
		vmo_pin_flags(fd, 0, PS, VMO_PIN_READ),
	};
	char line[80];

	for (int i = 0; i < 5; i++) {
		ASSERT_LE(0, made[i]);
		EXPECT_EQ(FD_CLOEXEC, fcntl(made[i], F_GETFD));
	}
	given = dup(fd);
	snprintf(line, sizeof(line),
		 "test $(ls -l /proc/self/fd | grep -c vmo) = 1 -a -s /proc/self/fd/%d", given);
	pid = fork();
	if (!pid) {
		execl("/bin/bash", "bash", "-c", line, NULL);
		_exit(99);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(given);
	for (int i = 0; i < 5; i++)
		close(made[i]);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "vmo", O_NONBLOCK);
}

/* The module stays while anything of it does: each alone. */
TEST_F(vmo, life_module_is_in_use)
{
	int fd, snap, pin, link[2];
	struct iovec iov;
	char *p, c;

	if (system("grep -q '^vmo ' /proc/modules"))
		SKIP(return, "no module of that name");
	ASSERT_EQ(0, pipe(link));
	fd = vmo_filled(self->dev, 4, 0, 8);
	close(self->dev);
	EXPECT_ERRNO(EAGAIN, unload());
	pin = vmo_pin_flags(fd, 0, PS, VMO_PIN_READ);
	p = vmo_map_at(fd, 0, 1, RO, MAP_PRIVATE);
	snap = vmo_snap(fd);
	EXPECT_EQ(-1, snap);
	close(fd);
	EXPECT_ERRNO(EAGAIN, unload());
	munmap(p, PS);
	EXPECT_ERRNO(EAGAIN, unload());		/* the pin alone */
	close(pin);
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	fd = vmo_filled(self->dev, 1, 0, 8);
	p = vmo_map(fd, 1, RW);
	close(fd);
	close(self->dev);
	EXPECT_ERRNO(EAGAIN, unload());		/* the mapping alone */
	iov = (struct iovec) { p, PS };
	EXPECT_EQ((ssize_t)PS, vmsplice(link[1], &iov, 1, 0));
	munmap(p, PS);
	EXPECT_EQ(1, read(link[0], &c, 1));	/* a page may outlive all of it */
	close(link[0]);
	close(link[1]);
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, self->dev);
}

TEST_F(vmo, c7_no_descriptor_is_free)
{
	struct rlimit old, few;
	int fd = vmo_filled(self->dev, 4, 0, 1), last = dup(0), pid, status;

	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit) { .rlim_cur = last, .rlim_max = old.rlim_max };
	pid = fork();
	if (!pid) {
		int bad = 0;

		setrlimit(RLIMIT_NOFILE, &few);
		close(last);
		while (dup(0) >= 0)
			;
		bad |= vmo_new_pages(self->dev, 1) != -1 || errno != EMFILE;
		bad |= vmo_snap(fd) != -1 || errno != EMFILE;
		bad |= vmo_slice(fd, 0, PS, 0) != -1 || errno != EMFILE;
		bad |= vmo_reference(fd, 0) != -1 || errno != EMFILE;
		bad |= vmo_pin_flags(fd, 0, PS, VMO_PIN_READ) != -1 || errno != EMFILE;
		_exit(bad);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(self->objects + 1, vmo_counter_becomes("objects", self->objects + 1));
	EXPECT_EQ(0, vmo_counter_becomes("pins", 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 1));
	close(last);
	close(fd);
}

/* ---- each allocation of a command fails in turn ---- */

static int fail_nth(int nth)
{
	static int fd = -1;
	char text[16] = "";
	int len = snprintf(text, sizeof(text), "%d", nth);

	if (fd < 0)
		fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth >= 0)
		return pwrite(fd, text, len, 0) == len ? 0 : -1;
	/* What is left of it: 0 if it came to that. */
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return -1;
	return atoi(text);
}

static int one_command(int dev, int fd, int which)
{
	switch (which) {
	case 0:
		return vmo_new_pages(dev, 4);
	case 1:
		return vmo_clone_flags(fd, 40 * PS, 0);
	case 2:
		return vmo_window(fd, 3 * PS, 30 * PS);
	case 3:
		return vmo_slice(fd, PS, 2 * PS, 0);
	case 4:
		return vmo_reference(fd, 0);
	case 5:
		return vmo_pin_flags(fd, 36 * PS, 8 * PS, VMO_PIN_READ);
	case 6:
		return vmo_op(fd, VMO_OP_COMMIT, 36 * PS, 8 * PS) ? -1 : dup(fd);
	case 7:
		return vmo_op(fd, VMO_OP_ZERO, 39 * PS, 3 * PS + 8) ? -1 : dup(fd);
	default:
		return -2;
	}
}

TEST_F_TIMEOUT(vmo, n3_t4_c7_each_allocation_fails_in_turn, 200)
{
	int injected = 0;

	if (put_line("/sys/kernel/debug/failslab/ignore-gfp-wait", 0, "N") == false)
		SKIP(return, "this kernel cannot inject failures");
	put_line("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", 0, "N");
	put_line("/sys/kernel/debug/fail_page_alloc/min-order", 0, "0");
	for (int which = 0; which < 8; which++) {
		bool failed = true;
		int count = 0;

		for (int nth = 1; failed; nth++) {
			int fd = vmo_filled(self->dev, 40, 0, 500), snap, made, bad;

			ftruncate(fd, 40 * PS);
			close(fd);
			fd = vmo_new_flags(self->dev, 44 * PS, VMO_CREATE_RESIZABLE);
			for (int i = 0; i < 40; i++)
				write_page(fd, i, 500 + i);
			if (which == 3) {	/* which resizable objects have not */
				close(fd);
				fd = vmo_filled(self->dev, 44, 0, 500);
			}
			snap = vmo_snap(fd);
			ASSERT_LE(0, snap);
			ASSERT_EQ(0, fail_nth(nth));
			made = one_command(self->dev, fd, which);
			bad = errno;
			/* To ask copies, too, and may be what fails: then it was the last. */
			failed = made < 0 || fail_nth(-1) == 0;
			while (fail_nth(0))
				;
			if (made < 0) {
				EXPECT_TRUE(bad == ENOMEM || bad == ENFILE || bad == EFAULT)
					TH_LOG("command %d, allocation %d: %s", which, nth,
					       strerror(bad));
				EXPECT_EQ(0, vmo_counter("pins"));
				made = one_command(self->dev, fd, which);
				EXPECT_LE(0, made);
			}
			EXPECT_EQ(-1, wrong_page_fd(snap, 0, 40, 500));
			EXPECT_EQ(-1, wrong_page_fd(fd, 0, 39, 500));
			close(made);
			close(snap);
			close(fd);
			count += failed;
		}
		printf("# command %d: %d failures injected\n", which, count);
		EXPECT_LT(0, count);
		injected += count;
	}
	EXPECT_LT(20, injected);
}

/* ---- memory cgroups ---- */

#define GROUPS	"/tmp/vmo-cgroups"
#define GROUP	GROUPS "/test"

static long group_value(const char *name)
{
	char path[128];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), GROUP "/%s", name);
	f = fopen(path, "r");
	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

static bool make_group(void)
{
	mkdir(GROUPS, 0755);
	if (mount("cgroup2", GROUPS, "cgroup2", 0, NULL) && errno != EBUSY)
		return false;
	if (!put_line(GROUPS "/cgroup.subtree_control", 0, "+memory"))
		return false;
	return !mkdir(GROUP, 0755) || errno == EEXIST;
}

static int charged(int dev)
{
	long before, after;
	int fd;

	if (!put_line(GROUP "/cgroup.procs", 0, "0"))
		return 1;
	fd = vmo_new_pages(dev, 4096);
	before = group_value("memory.current");
	for (int i = 0; i < 2048; i++)
		if (write_page(fd, i * 2, 1))
			return 2;
	after = group_value("memory.current");
	if (after - before < (long)(2048 * PS) || after - before > (long)(2048 * PS * 3 / 2))
		return 3;
	before = group_value("memory.current");
	close(fd);
	for (int i = 0; i < 500 && before - group_value("memory.current") < (long)(2000 * PS); i++)
		usleep(10000);
	after = group_value("memory.current");
	return before - after < (long)(2000 * PS) ? 4 : 0;
}

static int in_child(int (*what)(int dev), int dev)
{
	int pid = fork(), status;

	if (!pid)
		_exit(what(dev));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(vmo, charge_to_who_touches)
{
	if (!make_group())
		SKIP(return, "no memory cgroups");
	EXPECT_EQ(0, in_child(charged, self->dev));
	rmdir(GROUP);
}

/* Pages, one by one far apart so that nodes weigh, all at once, by a pin and by a snapshot. */
static int limited(int dev)
{
	int fd = vmo_new_pages(dev, 1 << 20), i;

	if (!put_line(GROUP "/cgroup.procs", 0, "0"))
		return 1;
	if (!vmo_op(fd, VMO_OP_COMMIT, 0, PS << 20) || errno != ENOMEM)
		return 2;
	if (vmo_op(fd, VMO_OP_DECOMMIT, 0, PS << 20))
		return 3;
	for (i = 0; i < 1 << 20; i += 37)
		if (pwrite(fd, "x", 1, i * PS) != 1)
			break;
	if (i >= 1 << 20 || errno != ENOMEM)
		return 4;
	if (vmo_op(fd, VMO_OP_DECOMMIT, 0, PS << 20))
		return 5;
	if (vmo_pin_flags(fd, 0, PS << 16, VMO_PIN_READ) != -1 || errno != ENOMEM)
		return 6;
	return vmo_op(fd, VMO_OP_COMMIT, 0, PS) ? 7 : 0;
}

TEST_F(vmo, charge_limit_is_enomem_to_a_call)
{
	if (!make_group())
		SKIP(return, "no memory cgroups");
	ASSERT_TRUE(put_line(GROUP "/memory.max", 0, "20000000"));
	EXPECT_EQ(0, in_child(limited, self->dev));
	rmdir(GROUP);
}

TEST_HARNESS_MAIN
