// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that somebody beside the object's tree may write or hold: a PTE that
 * mprotect() makes writable again, a pipe, a device. Rules 4 and 7, and "Ours"
 * of the design.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <linux/aio_abi.h>
#include <linux/loop.h>
#include <linux/userfaultfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* ---- rule 4: mprotect ---------------------------------------------------------- */

#define BEFORE	1
#define AFTER	2

TEST_F_TIMEOUT(vmo, inv_4_4_mprotect_around_snapshot, 100)
{
	const int n = 70;

	for (int order = BEFORE; order <= (BEFORE | AFTER); order++) {
		int fd = vmo_new_pages(self->dev, n), child[3];
		char *p = vmo_map(fd, n, RW), *c;

		ASSERT_NE(NULL, p);
		fill_pages(p, 0, n, 1000);
		for (int round = 0; round < 3; round++) {
			if (order & BEFORE)
				ASSERT_EQ(0, mprotect(p, n * PS, RO));
			child[round] = vmo_snap(fd);
			ASSERT_LE(0, child[round]);
			if (order & AFTER)
				ASSERT_EQ(0, mprotect(p, n * PS, RO));
			ASSERT_EQ(0, mprotect(p, n * PS, RW));
			fill_pages(p, 0, n, 2000 + round * 1000);
		}
		for (int round = 0; round < 3; round++) {
			c = vmo_map(child[round], n, RO);
			EXPECT_EQ(-1, wrong_page(c, 0, n, 1000 + round * 1000));
			munmap(c, n * PS);
			close(child[round]);
		}
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, n, 4000));
		munmap(p, n * PS);
		close(fd);
	}
}

/* The page got its PTE while the mapping was read-only. */
TEST_F(vmo, inv_4_4_mprotect_of_a_read_only_mapping)
{
	int fd = vmo_new_pages(self->dev, 8), child;
	char *rw = vmo_map(fd, 8, RW), *ro = vmo_map(fd, 8, RO);

	ASSERT_NE(NULL, rw);
	ASSERT_NE(NULL, ro);
	fill_pages(rw, 0, 8, 100);
	EXPECT_EQ(-1, wrong_page(ro, 0, 4, 100));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(-1, wrong_page(ro, 4, 4, 100));
	ASSERT_EQ(0, mprotect(ro, 8 * PS, RW));
	fill_pages(ro, 0, 8, 200);
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(rw, 0, 8, 200));
	munmap(ro, 8 * PS);
	munmap(rw, 8 * PS);
	close(child);
	close(fd);
}

/* fork() copies writable, dirty PTEs; here the other process plays with them. */
TEST_F(vmo, inv_4_4_mprotect_in_another_process)
{
	int fd = vmo_new_pages(self->dev, 8), child, go[2], status;
	char *p = vmo_map(fd, 8, RW);
	pid_t pid;
	char c = 0;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(go));
	fill_pages(p, 0, 8, 100);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		mprotect(p, 4 * PS, RO);
		mprotect(p, 4 * PS, RW);
		fill_pages(p, 0, 8, 200);
		_exit(0);
	}
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	ASSERT_EQ(1, write(go[1], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(p, 0, 8, 200));
	munmap(p, 8 * PS);
	close(go[0]);
	close(go[1]);
	close(child);
	close(fd);
}

/* A mapping that is not shared and writable may sort before the one that counts. */
TEST_F(vmo, inv_4_4_other_mappings_in_the_way)
{
	int fd = vmo_new_pages(self->dev, 8), ro_fd = vmo_reopen(fd, O_RDONLY), child;
	char *priv = vmo_map_at(fd, 0, 8, RW, MAP_PRIVATE), *ro = vmo_map(ro_fd, 8, RO);
	char *p = vmo_map(fd, 8, RW);

	ASSERT_NE(NULL, priv);
	ASSERT_NE(NULL, ro);
	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 8, 100);
	EXPECT_EQ(-1, wrong_page(priv, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(ro, 0, 8, 100));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	fill_pages(p, 0, 8, 200);
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 8, 100));
	EXPECT_EQ(-1, wrong_page(priv, 0, 8, 200));
	EXPECT_EQ(-1, wrong_page(ro, 0, 8, 200));
	munmap(priv, 8 * PS);
	munmap(ro, 8 * PS);
	munmap(p, 8 * PS);
	close(ro_fd);
	close(child);
	close(fd);
}

/* ---- "Ours": a pipe that holds pages -------------------------------------------- */

#define HELD	4

static bool into_pipe(int pipe_fd, char *map, size_t pages)
{
	struct iovec iov = { map, pages * PS };

	return vmsplice(pipe_fd, &iov, 1, 0) == (ssize_t)(pages * PS);
}

/* The first page in the pipe that is not as fill_pages() made it, or -1. */
static long wrong_in_pipe(int pipe_fd, size_t pages, uint64_t base)
{
	char *buf = malloc(pages * PS);
	size_t done = 0;
	long wrong;

	while (done < pages * PS) {
		ssize_t got = read(pipe_fd, buf + done, pages * PS - done);

		if (got <= 0)
			return -2;
		done += got;
	}
	wrong = wrong_page(buf, 0, pages, base);
	free(buf);
	return wrong;
}

/* Who has the page out of a snapshot must not see what the parent writes later. */
TEST_F(vmo, inv_ours_vmsplice_from_a_closed_snapshot)
{
	for (int by_call = 0; by_call < 2; by_call++) {
		int fd = vmo_new_pages(self->dev, HELD), child, end[2];
		char *p = vmo_map(fd, HELD, RW), *c;

		ASSERT_NE(NULL, p);
		ASSERT_EQ(0, pipe(end));
		fill_pages(p, 0, HELD, 100);
		child = vmo_snap(fd);
		c = vmo_map(child, HELD, RO);
		ASSERT_NE(NULL, c);
		ASSERT_TRUE(into_pipe(end[1], c, HELD));
		munmap(c, HELD * PS);
		close(child);
		for (int i = 0; i < HELD; i++) {
			if (!by_call)
				fill_page(p + i * PS, 200 + i);
			else
				ASSERT_EQ(0, write_page(fd, i, 200 + i));
		}
		EXPECT_EQ(-1, wrong_in_pipe(end[0], HELD, 100));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 200));
		EXPECT_EQ(-1, wrong_page(p, 0, HELD, 200));
		munmap(p, HELD * PS);
		close(end[0]);
		close(end[1]);
		close(fd);
	}
}

/* The same down a chain, and with the last of the chain left to write. */
TEST_F(vmo, inv_ours_vmsplice_from_a_closed_chain)
{
	int fd[4], end[2];
	char *map;

	ASSERT_EQ(0, pipe(end));
	fd[0] = vmo_new_pages(self->dev, HELD);
	for (int i = 0; i < HELD; i++)
		ASSERT_EQ(0, write_page(fd[0], i, 100 + i));
	for (int i = 1; i < 4; i++)
		fd[i] = vmo_snap(fd[i - 1]);
	map = vmo_map(fd[0], HELD, RO);
	ASSERT_NE(NULL, map);
	ASSERT_TRUE(into_pipe(end[1], map, HELD));
	munmap(map, HELD * PS);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	map = vmo_map(fd[3], HELD, RW);
	ASSERT_NE(NULL, map);
	EXPECT_EQ(-1, wrong_page(map, 0, HELD, 100));
	fill_pages(map, 0, HELD, 200);
	EXPECT_EQ(-1, wrong_in_pipe(end[0], HELD, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd[3], 0, HELD, 200));
	munmap(map, HELD * PS);
	close(fd[3]);
	close(end[0]);
	close(end[1]);
}

/* Everything is gone but the pipe. */
TEST_F(vmo, inv_4_8_vmsplice_outlives_the_object)
{
	long pages = vmo_counter("pages");
	int fd = vmo_new_pages(self->dev, HELD), child, end[2];
	char *map = vmo_map(fd, HELD, RW);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, pipe(end));
	fill_pages(map, 0, HELD, 100);
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	ASSERT_TRUE(into_pipe(end[1], map, HELD));
	munmap(map, HELD * PS);
	close(fd);
	close(child);
	EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
	EXPECT_EQ(-1, wrong_in_pipe(end[0], HELD, 100));
	close(end[0]);
	close(end[1]);
}

/* sendfile() and splice() put copies into a pipe, never our pages. */
TEST_F(vmo, inv_4_8_splice_copies)
{
	int fd = vmo_new_pages(self->dev, HELD), child, end[2];
	ssize_t done;

	ASSERT_EQ(0, pipe(end));
	for (int i = 0; i < HELD; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	done = splice(child, NULL, end[1], NULL, HELD * PS, 0);
	if (done < 0 && errno == EINVAL)
		SKIP(return, "objects cannot be spliced");
	ASSERT_EQ((ssize_t)(HELD * PS), done);
	close(child);
	for (int i = 0; i < HELD; i++)
		ASSERT_EQ(0, write_page(fd, i, 200 + i));
	EXPECT_EQ(-1, wrong_in_pipe(end[0], HELD, 100));
	close(end[0]);
	close(end[1]);
	close(fd);
}

/* The pipe holds the parent's own page; whose page that is later is all the same. */
TEST_F(vmo, inv_4_7_pipe_over_two_snapshots)
{
	int fd = vmo_new_pages(self->dev, HELD), child[2], end[2];
	char *p = vmo_map(fd, HELD, RW), *c;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, pipe(end));
	fill_pages(p, 0, HELD, 100);
	ASSERT_TRUE(into_pipe(end[1], p, HELD));
	for (int i = 0; i < 2; i++) {
		child[i] = vmo_snap(fd);
		ASSERT_LE(0, child[i]);
		fill_pages(p, 0, HELD, 200 + i * 100);
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-1, wrong_page_fd(child[i], 0, HELD, 100 + i * 100));
		c = vmo_map(child[i], HELD, RW);
		ASSERT_NE(NULL, c);
		fill_pages(c, 0, HELD, 700);
		munmap(c, HELD * PS);
	}
	EXPECT_EQ(-1, wrong_page(p, 0, HELD, 300));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, HELD, 300));
	munmap(p, HELD * PS);
	for (int i = 0; i < 2; i++) {
		close(child[i]);
		close(end[i]);
	}
	close(fd);
}

/* ---- rule 7: something that will write into the page later ----------------------- */

/*
 * A writer that has taken hold of the page at `to` when start() returns and that
 * writes `length` bytes, the first ones of a page with the seed LATE, not before
 * finish() is called, or not before some time: is_early() tells whether it has not.
 */
#define LATE	4711

struct late {
	char *to;
	size_t length;
	size_t backlog;
	/* of the pinning kind */
	int uffd;
	char *source;
	pthread_t thread;
	ssize_t done;
	/* of the block device kind */
	int memfd;
	int loop;
	int disk;
	aio_context_t aio;
	char *buf;
};

struct late_kind {
	const char *name;
	bool waits;	/* writes nothing before finish() */
	const char *(*set_up)(struct late *late);	/* why not, or NULL */
	bool (*start)(struct late *late);
	bool (*is_early)(struct late *late);
	bool (*finish)(struct late *late);
	void (*tear_down)(struct late *late);
};

/* process_vm_writev() pins its target, then waits for its source: a userfaultfd. */

static const char *pin_set_up(struct late *late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;

	late->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (late->uffd < 0 || ioctl(late->uffd, UFFDIO_API, &api))
		return "no userfaultfd";
	late->source = mmap(NULL, PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg = (struct uffdio_register) {
		.range = { (uintptr_t)late->source, PS }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(late->uffd, UFFDIO_REGISTER, &reg))
		return "no userfaultfd on anonymous memory";
	if (process_vm_writev(getpid(), NULL, 0, NULL, 0, 0))
		return "no process_vm_writev()";
	return NULL;
}

static void *pin_thread(void *arg)
{
	struct late *late = arg;
	struct iovec local = { late->source, late->length }, remote = { late->to, late->length };

	late->done = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	return NULL;
}

static bool pin_start(struct late *late)
{
	struct uffd_msg msg;

	if (madvise(late->source, PS, MADV_DONTNEED) ||
	    pthread_create(&late->thread, NULL, pin_thread, late))
		return false;
	/* The source is missed after the target has been pinned. */
	return read(late->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

static bool pin_is_early(struct late *late)
{
	return true;
}

static bool pin_finish(struct late *late)
{
	char *page = aligned_alloc(PS, PS);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)late->source, .src = (uintptr_t)page, .len = PS,
	};
	bool good;

	fill_page(page, LATE);
	good = !ioctl(late->uffd, UFFDIO_COPY, &copy);
	pthread_join(late->thread, NULL);
	free(page);
	return good && late->done == (ssize_t)late->length;
}

static void pin_tear_down(struct late *late)
{
	munmap(late->source, PS);
	close(late->uffd);
}

/* O_DIRECT from a loop device that has much to do before. */

#define DISK_SIZE	(64 << 20)
#define BUF_SIZE	(1 << 20)

static const char *disk_set_up(struct late *late)
{
	char path[32];
	int control, n;

	late->memfd = memfd_create("disk", MFD_CLOEXEC);
	if (late->memfd < 0 || ftruncate(late->memfd, DISK_SIZE) ||
	    write_page(late->memfd, 0, LATE))
		return "no memfd";
	if (system("modprobe -q loop 2>/dev/null"))
		n = 0;	/* or built in */
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (n < 0)
		return "no loop devices";
	snprintf(path, sizeof(path), "/dev/loop%d", n);
	late->loop = open(path, O_RDWR | O_CLOEXEC);
	if (late->loop < 0 || ioctl(late->loop, LOOP_SET_FD, late->memfd))
		return "no loop device";
	late->disk = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	late->buf = mmap(NULL, BUF_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (late->disk < 0 || late->buf == MAP_FAILED)
		return "no O_DIRECT";
	if (syscall(SYS_io_setup, 256, &late->aio))
		return "no asynchronous input";
	if (!late->backlog)
		late->backlog = 8;
	return NULL;
}

/* The device's one worker does as it is told, in order: first the backlog. */
static bool disk_start(struct late *late)
{
	size_t n = late->backlog;
	struct iocb *first = calloc(n, sizeof(*first)), **list = calloc(n + 1, sizeof(*list));
	struct iocb last = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = late->disk, .aio_data = 1,
		.aio_buf = (uintptr_t)late->to, .aio_nbytes = late->length,
	};
	long done;

	for (size_t i = 0; i < n; i++) {
		first[i] = (struct iocb) {
			.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = late->disk,
			.aio_buf = (uintptr_t)late->buf, .aio_nbytes = BUF_SIZE,
			.aio_offset = (1 + i % 32) * BUF_SIZE,
		};
		list[i] = &first[i];
	}
	list[n] = &last;
	late->done = 0;
	done = syscall(SYS_io_submit, late->aio, n + 1, list);
	free(first);
	free(list);
	return done == (long)n + 1;
}

/* Collects what is done; returns whether ours is among it. */
static bool disk_collect(struct late *late, long at_least)
{
	struct timespec now = { .tv_sec = 0 };
	struct io_event event[64];
	long n;

	do {
		n = syscall(SYS_io_getevents, late->aio, at_least, 64, event,
			    at_least ? NULL : &now);
		for (long i = 0; i < n; i++)
			if (event[i].data)
				late->done = event[i].res;
	} while (n == 64);
	return late->done != 0;
}

static bool disk_is_early(struct late *late)
{
	return !disk_collect(late, 0);
}

static bool disk_finish(struct late *late)
{
	while (!late->done && !disk_collect(late, 1))
		;
	return late->done == (ssize_t)late->length;
}

static void disk_tear_down(struct late *late)
{
	syscall(SYS_io_destroy, late->aio);
	munmap(late->buf, BUF_SIZE);
	close(late->disk);
	ioctl(late->loop, LOOP_CLR_FD);
	close(late->loop);
	close(late->memfd);
}

static const struct late_kind pinning = {
	"pinned", true, pin_set_up, pin_start, pin_is_early, pin_finish, pin_tear_down,
};

static const struct late_kind disk = {
	"disk", false, disk_set_up, disk_start, disk_is_early, disk_finish, disk_tear_down,
};

static uint64_t *word_of(char *map, size_t index)
{
	return (uint64_t *)(map + PS) + index;
}

/* Of everything, page 1 is held. `part` of it: at which byte, 0 for the whole. */
struct scene {
	int fd;
	int child[4];
	char *map;
	char *want;		/* what page 1 has to be */
	size_t part;
	struct late late;
};

/* Whether page 1 of an object is this, and the pages around it are what they were. */
static bool scene_is(int fd, const char *want)
{
	char *buf = malloc(PS);
	bool good = pread(fd, buf, PS, PS) == (ssize_t)PS && !memcmp(buf, want, PS) &&
		    wrong_page_fd(fd, 0, 1, 100) == -1 && wrong_page_fd(fd, 2, 2, 100) == -1;

	free(buf);
	return good;
}

/*
 * Snapshot 0 is taken before, 1 and 2 while the page is held. In a part that the
 * late writer leaves alone, the CPU writes, too: word w after snapshot w - 1.
 */
static bool scene_play(struct __test_metadata *_metadata, struct scene *s,
		       const struct late_kind *kind)
{
	char *now[3];
	bool early;

	fill_pages(s->map, 0, 4, 100);
	fill_page(s->want, 101);
	s->child[0] = vmo_snap(s->fd);
	s->late.to = s->map + PS + s->part;
	s->late.length = s->part ? 512 : PS;
	EXPECT_TRUE(kind->start(&s->late));
	for (int i = 1; i < 3; i++) {
		s->child[i] = vmo_snap(s->fd);
		EXPECT_LE(0, s->child[i]);
		now[i] = memcpy(malloc(PS), s->want, PS);
		if (!s->part)
			continue;
		*word_of(s->map, i) = 7000 + i;
		((uint64_t *)s->want)[i] = 7000 + i;
	}
	early = kind->is_early(&s->late);
	if (kind->waits) {
		EXPECT_TRUE(scene_is(s->fd, s->want));
	} else {
		/* A device may have written before it says so. */
		early = early && scene_is(s->fd, s->want);
	}
	for (int i = 1; early && i < 3; i++)
		EXPECT_TRUE(scene_is(s->child[i], now[i]));
	EXPECT_TRUE(kind->finish(&s->late));
	now[0] = aligned_alloc(PS, PS);
	fill_page(now[0], LATE);
	memcpy(s->want + s->part, now[0], s->late.length);
	EXPECT_TRUE(scene_is(s->fd, s->want));
	EXPECT_EQ(0, memcmp(s->map + PS, s->want, PS));
	if (early) {
		fill_page(now[0], 101);
		for (int i = 0; i < 3; i++)
			EXPECT_TRUE(scene_is(s->child[i], now[i]));
	}
	free(now[0]);
	free(now[1]);
	free(now[2]);
	return early;
}

/* It is an ordinary page again. */
static void scene_after(struct __test_metadata *_metadata, struct scene *s)
{
	uint64_t word;

	*word_of(s->map, 3) = 8001;
	((uint64_t *)s->want)[3] = 8001;
	EXPECT_EQ(8, pread(s->fd, &word, 8, PS + 3 * 8));
	EXPECT_EQ(8001, word);
	word = 8002;
	EXPECT_EQ(8, pwrite(s->fd, &word, 8, PS + 4 * 8));
	((uint64_t *)s->want)[4] = 8002;
	EXPECT_EQ(8002, *word_of(s->map, 4));
	s->child[3] = vmo_snap(s->fd);
	*word_of(s->map, 3) = 8003;
	EXPECT_TRUE(scene_is(s->child[3], s->want));
}

static void held_over_two_snapshots(struct __test_metadata *_metadata, int fd,
				    const struct late_kind *kind, size_t part)
{
	struct scene s = { .fd = fd, .map = vmo_map(fd, 4, RW), .part = part };
	const char *why_not = kind->set_up(&s.late);
	bool early = false;

	ASSERT_NE(NULL, s.map);
	if (why_not)
		SKIP(return, "%s", why_not);
	s.want = aligned_alloc(PS, PS);
	for (int i = 0; i < 5 && !early; i++) {
		early = scene_play(_metadata, &s, kind);
		if (early)
			scene_after(_metadata, &s);
		else
			s.child[3] = -1;
		for (int j = 0; j < 4; j++)
			close(s.child[j]);
		/* The device was too fast: give it more to do. */
		s.late.backlog = s.late.backlog * 2 > 128 ? 128 : s.late.backlog * 2;
	}
	kind->tear_down(&s.late);
	munmap(s.map, 4 * PS);
	free(s.want);
	if (!early)
		SKIP(return, "the device is too fast");
}

TEST_F_TIMEOUT(vmo, inv_4_7_pinned_over_two_snapshots, 60)
{
	int fd = vmo_new_pages(self->dev, 4);

	held_over_two_snapshots(_metadata, fd, &pinning, 0);
	close(fd);
}

TEST_F_TIMEOUT(vmo, inv_4_7_pinned_and_written_by_the_cpu, 60)
{
	int fd = vmo_new_pages(self->dev, 4);

	held_over_two_snapshots(_metadata, fd, &pinning, 1024);
	close(fd);
}

TEST_F_TIMEOUT(vmo, inv_4_7_direct_io_over_two_snapshots, 60)
{
	int fd = vmo_new_pages(self->dev, 4);

	held_over_two_snapshots(_metadata, fd, &disk, 0);
	close(fd);
}

TEST_F_TIMEOUT(vmo, inv_4_7_direct_io_and_written_by_the_cpu, 60)
{
	int fd = vmo_new_pages(self->dev, 4);

	held_over_two_snapshots(_metadata, fd, &disk, 1024);
	close(fd);
}

/* Of a clone, whose parent must not notice. */
TEST_F_TIMEOUT(vmo, inv_4_7_pinned_in_a_clone, 60)
{
	int parent = vmo_new_pages(self->dev, 4), fd;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, write_page(parent, i, 900 + i));
	fd = vmo_snap(parent);
	held_over_two_snapshots(_metadata, fd, &pinning, 1024);
	EXPECT_EQ(-1, wrong_page_fd(parent, 0, 4, 900));
	close(fd);
	close(parent);
}

/* The snapshots that were taken while the page was held are gone before it is written. */
TEST_F_TIMEOUT(vmo, inv_4_7_pinned_and_snapshots_closed, 60)
{
	int fd = vmo_new_pages(self->dev, 4), child;
	struct late late = { .length = 512 };
	const char *why_not = pin_set_up(&late);
	char *map = vmo_map(fd, 4, RW), *want = aligned_alloc(PS, PS), *data;

	ASSERT_NE(NULL, map);
	if (why_not)
		SKIP(return, "%s", why_not);
	data = aligned_alloc(PS, PS);
	fill_pages(map, 0, 4, 100);
	late.to = map + PS + 1024;
	ASSERT_TRUE(pin_start(&late));
	for (int i = 0; i < 3; i++) {
		child = vmo_snap(fd);
		*word_of(map, i) = i;
		close(child);
	}
	child = vmo_snap(fd);
	close(vmo_snap(child));
	*word_of(map, 3) = 3;
	ASSERT_TRUE(pin_finish(&late));
	fill_page(want, 101);
	for (int i = 0; i < 4; i++)
		((uint64_t *)want)[i] = i;
	fill_page(data, LATE);
	memcpy(want + 1024, data, 512);
	EXPECT_EQ(0, memcmp(want, map + PS, PS));
	EXPECT_TRUE(scene_is(fd, want));
	fill_page(want, 101);
	for (int i = 0; i < 3; i++)
		((uint64_t *)want)[i] = i;
	EXPECT_TRUE(scene_is(child, want));
	pin_tear_down(&late);
	munmap(map, 4 * PS);
	close(child);
	close(fd);
}

/* The page is given up while it is held: the bytes are lost, and harm nobody. */
TEST_F_TIMEOUT(vmo, inv_4_8_pinned_and_decommitted, 60)
{
	long pages = vmo_counter("pages");
	int fd = vmo_new_pages(self->dev, 64);
	struct late late = { .length = PS };
	const char *why_not = pin_set_up(&late);
	char *map = vmo_map(fd, 64, RW);

	ASSERT_NE(NULL, map);
	if (why_not)
		SKIP(return, "%s", why_not);
	fill_pages(map, 0, 4, 100);
	late.to = map + PS;
	ASSERT_TRUE(pin_start(&late));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 4 * PS));
	EXPECT_EQ(-1, wrong_page(map, 0, 4, 0));
	fill_pages(map, 0, 64, 500);	/* one of these might get the page, were it free */
	ASSERT_TRUE(pin_finish(&late));
	EXPECT_EQ(-1, wrong_page(map, 0, 64, 500));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 64, 500));
	pin_tear_down(&late);
	munmap(map, 64 * PS);
	close(fd);
	EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
}

TEST_HARNESS_MAIN
