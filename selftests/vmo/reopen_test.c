// SPDX-License-Identifier: GPL-2.0
/*
 * Other ways to a descriptor: opened anew through /proc, passed on, to other users too,
 * and executed. None has more rights than the one that it came from.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "rights_util.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define NOBODY		65534
#define RUN		"VMO_RIGHTS_RUN"
#define RAN		42	/* of a program in an object */

/* A program of this kind in an object only says that it ran. */
static __attribute__((constructor)) void ran(void)
{
	if (getenv(RUN))
		_exit(RAN);
}

/* ---- other ways to a descriptor ---------------------------------------- */

/* Of another user or process: the answer of @fn, below 256. */
static int in_child(uid_t uid, int (*fn)(int fd, const void *arg), int fd, const void *arg)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
			_exit(250);
		/* Or else /proc/self is root's. */
		prctl(PR_SET_DUMPABLE, 1);
		_exit(fn(fd, arg));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 251;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 252;
}

struct reopening {
	pid_t pid;	/* 0: of its own descriptor */
	int flags;
	uint32_t rights;	/* that it has to have then */
};

#define WRONG_RIGHTS	240	/* no errno */

/* Opens a descriptor through /proc: why not, or that its rights are wrong. */
static int reopened(int fd, const void *arg)
{
	const struct reopening *how = arg;
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", how->pid ? how->pid : getpid(), fd);
	again = open(path, how->flags | O_CLOEXEC);
	if (again < 0)
		return errno;
	if (rights_of(again) != how->rights)
		return WRONG_RIGHTS;
	return outcome_fd(again);
}

static const int open_modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

static uint32_t mode_rights(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return READ;
	case O_WRONLY:
		return WRITE;
	default:
		return READ | WRITE;
	}
}

static int reopen_errno(uint32_t rights, int flags)
{
	uint32_t need = mode_rights(flags);

	return (rights & need) == need ? 0 : EACCES;
}

/* What it has after it was opened anew in this mode. */
static uint32_t reopened_rights(uint32_t rights, int flags)
{
	return rights & ~((READ | WRITE) & ~mode_rights(flags));
}

static void try_reopening(struct __test_metadata *_metadata, int fd, uint32_t rights)
{
	for (size_t i = 0; i < ARRAY_SIZE(open_modes); i++) {
		struct reopening how = {
			.flags = open_modes[i], .rights = reopened_rights(rights, open_modes[i]),
		};
		int want = reopen_errno(rights, how.flags);

		EXPECT_EQ(want, reopened(fd, &how)) TH_LOG("%02x, mode %d", rights, how.flags);
		how.pid = getpid();
		EXPECT_EQ(want, in_child(0, reopened, fd, &how))
			TH_LOG("%02x, mode %d, by another process", rights, how.flags);
	}
}

TEST_F(vmo, r1_proc_never_raises)
{
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC);
	static const uint32_t sets[] = {
		0, READ, WRITE, READ | WRITE, READ | EXEC, ALL & ~WRITE, ALL & ~READ, ALL & ~MAP,
		ALL,
	};

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		int less = limited(fd, sets[i]), path;

		ASSERT_LE(0, less);
		try_reopening(_metadata, less, sets[i]);
		ASSERT_EQ(0, fchmod(less, 0777));
		try_reopening(_metadata, less, sets[i]);
		ASSERT_EQ(0, fchmod(less, 0));
		try_reopening(_metadata, less, sets[i]);
		path = vmo_reopen(less, O_PATH);
		ASSERT_LE(0, path);
		close(less);
		try_reopening(_metadata, path, sets[i]);
		EXPECT_ERRNO(EBADF, limited(path, 0));
		close(path);
	}
	close(fd);
}

/* Reopening with less, then with more: as much as the first one had. */
TEST_F(vmo, r1_proc_of_a_reopened_descriptor)
{
	int fd = vmo_new(self->dev, SIZE), less = limited(fd, READ | MAP);
	int again = vmo_reopen(less, O_RDONLY), ro = vmo_reopen(fd, O_RDONLY), copy;

	ASSERT_LE(0, again);
	ASSERT_LE(0, ro);
	try_reopening(_metadata, again, READ | MAP);
	copy = dup(again);
	try_reopening(_metadata, copy, READ | MAP);
	close(copy);
	/* Not restricted, only opened so: may be opened otherwise. */
	try_reopening(_metadata, ro, USUAL);
	close(ro);
	close(again);
	close(less);
	close(fd);
}

/* Opening with O_TRUNC, and truncate(), write, though the first opens for reading. */
TEST_F(vmo, r1_truncating_by_path_needs_write_and_resize)
{
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE);
	static const uint32_t sets[] = {
		0, READ, WRITE, RESIZE, READ | WRITE, READ | RESIZE, ALL & ~(EXEC | WRITE),
		ALL & ~(EXEC | RESIZE),
	};
	struct vmo_info info;
	char path[64];

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		int less = limited(fd, sets[i]);

		ASSERT_LE(0, less);
		ASSERT_EQ(0, fchmod(less, 0777));
		for (size_t j = 0; j < ARRAY_SIZE(open_modes); j++) {
			int err = outcome_fd(vmo_reopen(less, open_modes[j] | O_TRUNC));

			EXPECT_EQ(EACCES, err)
				TH_LOG("O_TRUNC, %02x, mode %d", sets[i], open_modes[j]);
		}
		snprintf(path, sizeof(path), "/proc/self/fd/%d", less);
		EXPECT_EQ(EACCES, outcome(truncate(path, 2 * SIZE))) TH_LOG("up, %02x", sets[i]);
		EXPECT_EQ(EACCES, outcome(truncate(path, 0))) TH_LOG("down, %02x", sets[i]);
		ASSERT_EQ(0, vmo_stat(fd, &info));
		EXPECT_EQ(SIZE, info.size) TH_LOG("rights %02x resized", sets[i]);
		ASSERT_EQ(0, vmo_set_size(fd, SIZE));
		close(less);
	}
	close(fd);
}

static int pass(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

/* In the child: the calls of the matrix that need no second object. 0 if all is well. */
static int try_received(int sock, const void *arg)
{
	struct target t = { .fd = receive(sock), .rights = *(const uint32_t *)arg };

	if (t.fd < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (!applies(i, &t) || calls[i].call == do_transfer_to ||
		    calls[i].call == do_transfer_from || calls[i].call == do_open)
			continue;
		if (calls[i].call == do_lookup && calls[i].how)
			continue;	/* for root */
		if (strncmp(calls[i].name, "sendfile", 8) == 0)
			continue;
		if (calls[i].call(&t, calls[i].how) != expected(calls[i].needs, t.rights))
			return 2 + i;
	}
	return 0;
}

TEST_F(vmo, r1_passed_to_another_user)
{
	static const uint32_t sets[] = {
		0, READ, WRITE, READ | WRITE, READ | MAP, USUAL & ~WRITE, USUAL | EXEC,
	};
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_EXEC), pair[2];

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "c", 1, 0));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		int less = limited(fd, sets[i]), bad;

		ASSERT_LE(0, less);
		ASSERT_EQ(0, pass(pair[0], less));
		/* Only the message still has it. */
		close(less);
		bad = in_child(NOBODY, try_received, pair[1], &sets[i]);
		EXPECT_EQ(0, bad) TH_LOG("rights %02x: %s", sets[i], bad > 1 && bad < 240 ?
					 calls[bad - 2].name : "did not get there");
		EXPECT_ERRNO(EAGAIN, recv(pair[1], &bad, 1, MSG_DONTWAIT));
	}
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

/* Whom the owner lets open it, opens no more than there is. */
TEST_F(vmo, r1_proc_of_another_user)
{
	int fd = vmo_new(self->dev, SIZE);
	static const uint32_t sets[] = { READ, WRITE, READ | WRITE, READ | MAP | PIN };

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		int less = limited(fd, sets[i]);

		ASSERT_LE(0, less);
		for (size_t j = 0; j < ARRAY_SIZE(open_modes); j++) {
			struct reopening how = {
				.flags = open_modes[j],
				.rights = reopened_rights(sets[i], open_modes[j]),
			};

			/* It is root's, and nobody else's. */
			ASSERT_EQ(0, fchmod(less, 0700));
			EXPECT_EQ(EACCES, in_child(NOBODY, reopened, less, &how));
			ASSERT_EQ(0, fchmod(less, 0777));
			EXPECT_EQ(reopen_errno(sets[i], how.flags),
				  in_child(NOBODY, reopened, less, &how))
				TH_LOG("%02x, mode %d", sets[i], how.flags);
			/* Of a process of root's. */
			how.pid = getpid();
			EXPECT_EQ(EACCES, in_child(NOBODY, reopened, less, &how));
		}
		close(less);
	}
	close(fd);
}

static int try_forked(int fd, const void *arg)
{
	const struct target *t = arg;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (applies(i, t) &&
		    calls[i].call(t, calls[i].how) != expected(calls[i].needs, t->rights))
			return 1 + i;
	return 0;
}

TEST_F(vmo, r1_dup_and_fork)
{
	int all = vmo_new_flags(self->dev, SIZE, VMO_CREATE_EXEC);
	struct target t = { .all = all, .other = vmo_new(self->dev, SIZE) };

	ASSERT_LE(0, all);
	ASSERT_EQ(1, pwrite(all, "c", 1, 0));
	ASSERT_EQ(1, pwrite(t.other, "c", 1, 0));
	for (uint32_t rights = 0; rights <= ALL; rights += 5) {
		int less, copy;

		if (rights & RESIZE)
			continue;
		less = limited(all, rights);
		ASSERT_LE(0, less);
		copy = dup(less);
		t.rights = rights;
		t.fd = less;
		EXPECT_EQ(0, in_child(0, try_forked, 0, &t)) TH_LOG("fork, %02x", rights);
		close(less);
		t.fd = copy;
		EXPECT_EQ(0, try_forked(0, &t)) TH_LOG("dup, %02x", rights);
		close(copy);
	}
	close(t.other);
	close(all);
}

/* ---- executing --------------------------------------------------------- */

/* What execveat() says, or what the program says. */
static int run(int fd, const void *unused)
{
	char name[] = "program", set[] = RUN "=1", *argv[2] = { name }, *env[2] = { set };

	fexecve(fd, argv, env);
	return errno;
}

/* By name, as any other file. */
static int run_path(int fd, const void *unused)
{
	char name[] = "program", set[] = RUN "=1", *argv[2] = { name }, *env[2] = { set };
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	execve(path, argv, env);
	return errno;
}

/* This program, at page @first of a new object. Returns its size in @size. */
static int new_program(int dev, uint32_t flags, size_t first, size_t *size)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd;
	off_t at = 0;
	struct stat st;

	if (in < 0 || fstat(in, &st))
		return -1;
	*size = st.st_size;
	fd = vmo_new_flags(dev, first * PS + *size, flags);
	if (lseek(fd, first * PS, SEEK_SET) < 0)
		return -1;
	while ((size_t)at < *size)
		if (sendfile(fd, in, &at, *size - at) <= 0)
			return -1;
	close(in);
	return fd;
}

static int run_and_close(int fd)
{
	int ret = in_child(0, run, fd, NULL), by_path = in_child(0, run_path, fd, NULL);

	close(fd);
	return ret == by_path ? ret : 253;
}

TEST_F(vmo, r1_execve)
{
	size_t size;
	int fd = new_program(self->dev, VMO_CREATE_EXEC, 0, &size), less;
	int plain = new_program(self->dev, 0, 0, &size);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, plain);
	EXPECT_EQ(RAN, in_child(0, run, fd, NULL));
	EXPECT_EQ(RAN, in_child(0, run_path, fd, NULL));
	EXPECT_EQ(EACCES, in_child(0, run, plain, NULL));
	EXPECT_EQ(RAN, run_and_close(limited(fd, READ | MAP | EXEC)));
	EXPECT_EQ(RAN, run_and_close(vmo_reopen(fd, O_RDONLY)));
	EXPECT_EQ(RAN, run_and_close(limited(fd, (USUAL | EXEC) & ~WRITE)));
	EXPECT_EQ(EACCES, run_and_close(limited(fd, USUAL)));
	EXPECT_EQ(EACCES, run_and_close(limited(fd, MAP | EXEC)));
	EXPECT_NE(RAN, run_and_close(limited(fd, READ | EXEC)));
	/* Whatever the mode says, and whoever asks. */
	less = limited(fd, USUAL);
	ASSERT_EQ(0, fchmod(less, 0777));
	EXPECT_EQ(EACCES, in_child(0, run, less, NULL));
	EXPECT_EQ(EACCES, in_child(0, run_path, less, NULL));
	EXPECT_EQ(EACCES, in_child(NOBODY, run, less, NULL));
	EXPECT_EQ(EACCES, in_child(NOBODY, run_path, less, NULL));
	ASSERT_EQ(0, fchmod(plain, 0777));
	EXPECT_EQ(EACCES, run_and_close(plain));
	close(less);
	close(fd);
}

TEST_F(vmo, r1_execve_by_another_user)
{
	size_t size;
	int fd = new_program(self->dev, VMO_CREATE_EXEC, 0, &size);
	int less = limited(fd, READ | MAP | EXEC);

	ASSERT_LE(0, less);
	EXPECT_EQ(EACCES, in_child(NOBODY, run, less, NULL));
	EXPECT_EQ(EACCES, in_child(NOBODY, run_path, less, NULL));
	ASSERT_EQ(0, fchmod(less, 0755));
	EXPECT_EQ(RAN, in_child(NOBODY, run, less, NULL));
	EXPECT_EQ(RAN, in_child(NOBODY, run_path, less, NULL));
	/* The mode is this descriptor's, not the object's. */
	EXPECT_EQ(EACCES, in_child(NOBODY, run, fd, NULL));
	close(less);
	close(fd);
}

/* R2: what of the children may run, in windows too. */
TEST_F(vmo, r2_execve_of_children)
{
	const size_t first = 3;
	size_t size;
	int fd = new_program(self->dev, VMO_CREATE_EXEC, first, &size);
	struct vmo_clone clone = { .offset = first * PS, .size = size };
	int slice = vmo_slice(fd, first * PS, size, 0);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, slice);
	EXPECT_EQ(ENOEXEC, in_child(0, run, fd, NULL));
	EXPECT_EQ(RAN, in_child(0, run, slice, NULL));
	EXPECT_EQ(RAN, run_and_close(vmo_reference(slice, 0)));
	EXPECT_EQ(RAN, run_and_close(vmo_slice(fd, first * PS, size, VMO_SLICE_NO_WRITE)));
	EXPECT_EQ(RAN, run_and_close(limited(slice, READ | MAP | EXEC)));
	EXPECT_EQ(EACCES, run_and_close(limited(slice, READ | MAP)));
	clone.flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE;
	ASSERT_EQ(0, ioctl(fd, VMO_CLONE, &clone));
	EXPECT_EQ(RAN, in_child(0, run, clone.fd, NULL));
	EXPECT_EQ(EACCES, run_and_close(limited(clone.fd, READ | MAP)));
	EXPECT_EQ(RAN, run_and_close(clone.fd));
	clone.flags = VMO_CLONE_SNAPSHOT;
	ASSERT_EQ(0, ioctl(fd, VMO_CLONE, &clone));
	EXPECT_EQ(EACCES, run_and_close(clone.fd));
	close(slice);
	close(fd);
}

TEST_HARNESS_MAIN
