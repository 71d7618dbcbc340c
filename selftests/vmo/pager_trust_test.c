// SPDX-License-Identifier: GPL-2.0
/*
 * What a malicious server can do to its clients, and they to it: each line of the table
 * "Trust" in docs/userspace-api/vmo.rst has a test here that names it.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include "kselftest_harness.h"
#include "pager_util.h"

#define PAGES	64UL
#define BASE	3000UL

/* A pager with a binding, an object, another one to supply from. */
struct scene {
	int pager;
	int binding;
	int fd;
	int aux;
	char *map;
	struct server server;
};

static bool set_scene(struct scene *s, int dev, int pager, uint32_t flags)
{
	s->pager = pager;
	s->binding = pager_bind(s->pager);
	s->fd = paged_new(dev, s->pager, PAGES, flags);
	s->aux = vmo_new(dev, PAGES * PS);
	s->map = vmo_map(s->fd, PAGES, RW);
	s->server = (struct server){
		.binding = s->binding, .fd = s->fd, .aux = s->aux, .base = BASE, .pages = PAGES,
	};
	return s->binding >= 0 && s->fd >= 0 && s->aux >= 0 && s->map;
}

#define SCENE(_s, _flags) ASSERT_TRUE(set_scene(_s, self->dev, pager_new(self->dev), _flags))

/* Ways to wait for a server, each of which needs pages that it has not supplied. */
static const char *const doors[] = {
	"read", "load", "store", "commit", "pin", "zero", "clone", "trap", "fsync", "populate",
};

static void enter(struct scene *s, unsigned int door)
{
	char c;

	switch (door) {
	case 0:
		pread(s->fd, &c, 1, 10 * PS);
		break;
	case 1:
		touch(s->map + 10 * PS, false);
		break;
	case 2:
		touch(s->map + 10 * PS, true);
		break;
	case 3:
		vmo_op(s->fd, VMO_OP_COMMIT, 10 * PS, PS);
		break;
	case 4:
		vmo_pin_flags(s->fd, 10 * PS, PS, VMO_PIN_READ);
		break;
	case 5:
		vmo_op(s->fd, VMO_OP_ZERO, 10 * PS + 1, 1);
		break;
	case 6: {
		struct vmo_clone arg = {
			.size = PAGES * PS, .flags = VMO_CLONE_MODIFIED, .fd = -1,
		};

		if (!ioctl(s->fd, VMO_CLONE, &arg))
			pwrite(arg.fd, "x", 1, 10 * PS);
		break;
	}
	case 7:
		pwrite(s->fd, "x", 1, 0);
		break;
	case 8:
		vmo_op(s->fd, VMO_OP_ZERO, 2 * PS, PS);
		fsync(s->fd);
		break;
	default:
		vmo_map_at(s->fd, 0, PAGES, RW, MAP_SHARED | MAP_POPULATE);
	}
}

/* "says nothing": whoever waits can be killed, at once, whatever it waits for. */
TEST_F(vmo, trust_silent_server)
{
	double begin, longest = 0;
	struct scene s;
	int status;
	pid_t pid;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 2, BASE));
	for (unsigned int door = 0; door < ARRAY_SIZE(doors); door++) {
		pid = fork();
		if (!pid) {
			enter(&s, door);
			_exit(0);
		}
		EXPECT_TRUE(has_requests(s.binding, 10000)) {
			TH_LOG("%s asks for nothing", doors[door]);
		}
		EXPECT_NE(0, next_request(s.binding).type);
		usleep(5000);
		begin = seconds();
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("%s does not wait", doors[door]);
		}
		if (seconds() - begin > longest)
			longest = seconds() - begin;
	}
	EXPECT_GE(1.0, longest);
	TH_LOG("at most %.0f ms", longest * 1000);
}

/* "waits for itself": it is told so when the time is over, and can be killed before. */
TEST_F(vmo, trust_server_waits_for_itself)
{
	struct client other = { .page = 1, .pages = 1 };
	struct scene s;
	char c;

	ASSERT_TRUE(set_scene(&s, self->dev, pager_with(self->dev, 60000, 300, PS), 0));
	EXPECT_EQ(SIGBUS, touch(s.map, false));
	EXPECT_ERRNO(ETIMEDOUT, pread(s.fd, &c, 1, PS));
	/* Also as the memory that its requests are to be written to. */
	other.fd = s.fd;
	client_start(&other);
	EXPECT_TRUE(has_requests(s.binding, 5000));
	EXPECT_EQ(0, fcntl(s.binding, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EFAULT, read(s.binding, s.map + 5 * PS, sizeof(struct vmo_pager_request)));
	ASSERT_TRUE(client_ends(&other, 5));
	EXPECT_EQ(ETIMEDOUT, other.error);
}

/* "keeps what it supplied": neither a mapping, nor a pipe, nor a snapshot shows more. */
TEST_F(vmo, trust_pages_are_the_clients)
{
	int pipes[2], snapshot;
	char *mine, buf[16] = "";
	struct iovec iov;
	struct scene s;

	SCENE(&s, 0);
	mine = vmo_map(s.aux, PAGES, RW);
	for (int i = 0; i < 4; i++)
		strcpy(mine + i * PS, "supplied");
	ASSERT_EQ(0, pipe(pipes));
	iov = (struct iovec){ .iov_base = mine + PS, .iov_len = 16 };
	ASSERT_EQ(16, vmsplice(pipes[1], &iov, 1, 0));
	snapshot = vmo_snap(s.aux);
	ASSERT_LE(0, snapshot);
	strcpy(mine + 2 * PS, "supplied");
	ASSERT_EQ(0, pager_supply(s.pager, s.fd, 0, 4, s.aux, 0));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, strcmp(s.map + i * PS, "supplied"));
		strcpy(s.map + i * PS, "secret");
		EXPECT_EQ(0, mine[i * PS]);
		mine[i * PS] = 'X';
		EXPECT_EQ(0, strcmp(s.map + i * PS, "secret"));
	}
	EXPECT_EQ(16, read(pipes[0], buf, 16));
	EXPECT_EQ(0, strcmp(buf, "supplied"));
	EXPECT_EQ(8, pread(snapshot, buf, 8, 3 * PS));
	EXPECT_EQ(0, strcmp(buf, "supplied"));
	/* "supplies again": what is there wins. */
	ASSERT_EQ(0, pager_supply(s.pager, s.fd, 0, 4, s.aux, 0));
	EXPECT_EQ(0, strcmp(s.map, "secret"));
}

/* "answers for others": only with their pager, and with the right to write. */
TEST_F(vmo, trust_only_its_own)
{
	struct vmo_pager_detach detach;
	struct scene s, other;
	int read_only;

	SCENE(&s, 0);
	SCENE(&other, 0);
	read_only = vmo_reopen(s.fd, O_RDONLY);
	ASSERT_LE(0, read_only);
	EXPECT_ERRNO(EINVAL, pager_supply(other.pager, s.fd, 0, 1, other.aux, 0));
	EXPECT_ERRNO(EINVAL, pager_fail(other.binding, s.fd, 0, 1, EIO));
	EXPECT_ERRNO(EINVAL, pager_detach(other.pager, s.fd));
	EXPECT_ERRNO(EINVAL, pager_writeback(other.pager, s.fd, 0, 1, VMO_PAGER_BEGIN));
	EXPECT_ERRNO(EACCES, pager_supply(s.pager, read_only, 0, 1, s.aux, 0));
	EXPECT_ERRNO(EACCES, pager_detach(s.pager, read_only));
	EXPECT_ERRNO(EINVAL, pager_fail(s.pager, s.fd, 0, 1, EPERM));
	/* "serves itself": who has the object only cannot answer, nor take requests. */
	detach = (struct vmo_pager_detach){ .vmo_fd = s.fd };
	EXPECT_ERRNO(ENOTTY, ioctl(s.fd, VMO_PAGER_DETACH, &detach));
	EXPECT_ERRNO(ENOTTY, pager_bind(s.fd));
	EXPECT_ERRNO(EBUSY, pager_bind(s.pager));
	EXPECT_FALSE(has_requests(s.binding, 0));
}

/* "asks for everything at once": each task has one request, and one that is gone has none. */
TEST_F(vmo, trust_bounded_queue)
{
	struct vmo_pager_stats stats = { };
	struct client c[100] = { };
	struct scene s;
	pid_t pid;

	SCENE(&s, 0);
	pid = fork();
	if (!pid) {
		for (unsigned int i = 0; i < ARRAY_SIZE(c); i++) {
			c[i].fd = s.fd;
			c[i].page = i % PAGES;
			c[i].pages = PAGES - i % PAGES;
			client_start(&c[i]);
		}
		pause();
	}
	for (int i = 0; i < 1000 && stats.waiting < PAGES; i++) {
		usleep(5000);
		stats = (struct vmo_pager_stats){ .vmo_fd = s.fd };
		ASSERT_EQ(0, ioctl(s.pager, VMO_PAGER_STATS, &stats));
	}
	/* Whoever needs what is asked for already joins. */
	EXPECT_GE(PAGES, stats.waiting);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	stats = (struct vmo_pager_stats){ .vmo_fd = s.fd };
	ASSERT_EQ(0, ioctl(s.pager, VMO_PAGER_STATS, &stats));
	EXPECT_EQ(0, stats.waiting + stats.handed);
	EXPECT_FALSE(has_requests(s.binding, 0));
}

/* "pulls the rug": cuts, closes, unmaps while it is served: refused or done, no more. */
TEST_F(vmo, trust_client_cuts_meanwhile)
{
	double end = seconds() + 1;
	unsigned int rounds = 0;
	struct scene s;
	int status;
	pid_t pid;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	pid = fork();
	if (!pid) {
		for (unsigned int i = 0;; i++) {
			vmo_set_size(s.fd, (i % 3 ? PAGES / 2 : PAGES) * PS);
			vmo_op(s.fd, VMO_OP_ZERO, 0, (mix(i) % PAGES) * PS);
		}
	}
	while (seconds() < end) {
		int ret = supply_pages(s.binding, s.fd, s.aux, mix(rounds) % PAGES, 1, BASE);

		EXPECT_TRUE(!ret || errno == ERANGE);
		ret = pager_writeback(s.binding, s.fd, 0, PAGES, rounds++ % 2 ? VMO_PAGER_END :
				      VMO_PAGER_BEGIN);
		EXPECT_TRUE(!ret || errno == ERANGE);
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_LT(10, rounds);
}

TEST_HARNESS_MAIN
