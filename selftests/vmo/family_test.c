// SPDX-License-Identifier: GPL-2.0
/* Large families under writers, mappings that cannot write, locks in objects. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include <linux/futex.h>
#include <sys/syscall.h>

/*
 * A writer raises words in a fixed order, page by page: so in any snapshot each page
 * is as old as the one before it, or one step older.
 */
#define STEP_PAGES	16

struct stepper {
	char *map;
	int fd;			/* written by call instead if there is no map */
	uint64_t stop;
	uint64_t steps;
};

static void *stepper_thread(void *arg)
{
	struct stepper *s = arg;
	uint64_t step = 0;

	pin_to_cpu(1);
	while (!load(&s->stop)) {
		step++;
		for (int i = 0; i < STEP_PAGES; i++) {
			if (s->map)
				store((uint64_t *)(s->map + i * 40 * PS), step);
			else if (pwrite(s->fd, &step, 8, i * 40 * PS + 8) != 8)
				return NULL;
		}
		store(&s->steps, step);
	}
	return NULL;
}

static bool in_step(int fd, size_t offset)
{
	uint64_t first = 0, last = 0, word;

	for (int i = 0; i < STEP_PAGES; i++) {
		if (pread(fd, &word, 8, i * 40 * PS + offset) != 8)
			return false;
		if (!i)
			first = word;
		else if (word > last)
			return false;
		last = word;
	}
	return first - last <= 1;
}

#define MEMBERS	1000

TEST_F_TIMEOUT(vmo, inv_4_6_thousand_members_come_and_go, 100)
{
	int fd = vmo_new_pages(self->dev, STEP_PAGES * 40), *member = malloc(MEMBERS * 4);
	struct stepper by_map = { .map = vmo_map(fd, STEP_PAGES * 40, RW) };
	struct stepper by_call = { .fd = fd };
	unsigned int seed = 7, wrong = 0;
	pthread_t thread[2];

	ASSERT_NE(NULL, by_map.map);
	for (int i = 0; i < MEMBERS; i++)
		member[i] = -1;
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, stepper_thread, &by_map));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, stepper_thread, &by_call));
	/* First all of them, then one in the place of another: of clones half the time. */
	for (int i = 0; i < MEMBERS + 1000; i++) {
		int at = i < MEMBERS ? i : rand_r(&seed) % MEMBERS;
		int there = i < MEMBERS ? i : MEMBERS;
		int from = i && rand_r(&seed) % 2 ? member[rand_r(&seed) % there] : fd;
		int new = vmo_snap(from);

		ASSERT_LE(0, new);
		if (member[at] >= 0)
			close(member[at]);
		member[at] = new;
		if (i % 16 == 0)
			wrong += !in_step(new, 0) + !in_step(new, 8);
	}
	EXPECT_EQ(self->objects + MEMBERS + 1, vmo_counter_becomes("objects",
								   self->objects + MEMBERS + 1));
	for (int i = 0; i < MEMBERS; i++) {
		int at = rand_r(&seed) % MEMBERS;

		if (member[at] < 0)
			continue;
		wrong += !in_step(member[at], 0) + !in_step(member[at], 8);
		close(member[at]);
		member[at] = -1;
	}
	for (int i = 0; i < MEMBERS; i++)
		if (member[i] >= 0)
			close(member[i]);
	store(&by_map.stop, 1);
	store(&by_call.stop, 1);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	printf("# %llu and %llu steps meanwhile\n", (unsigned long long)by_map.steps,
	       (unsigned long long)by_call.steps);
	EXPECT_EQ(0, wrong);
	munmap(by_map.map, STEP_PAGES * 40 * PS);
	free(member);
	close(fd);
}

/*
 * Mappings that never write (private ones, shared ones of a read-only descriptor) hang
 * elsewhere: they have to follow the writable ones all the same, also while they fault.
 */
TEST_F(vmo, inv_4_4_odd_mappings_follow)
{
	int fd = vmo_new_pages(self->dev, 64), ro, snap;
	char path[64], *rw = vmo_map(fd, 64, RW), *odd[3];
	double end = seconds() + 2;
	uint64_t i;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	odd[0] = vmo_map_at(fd, 0, 64, RW, MAP_PRIVATE);
	odd[1] = vmo_map_at(ro, 0, 64, RO, MAP_SHARED);
	odd[2] = vmo_map_at(ro, 0, 64, RW, MAP_PRIVATE);
	ASSERT_NE(NULL, odd[2]);
	EXPECT_ERRNO(EACCES, mprotect(odd[1], 64 * PS, RW));
	for (i = 1; more_rounds(i, 50, 2000, end); i++) {
		uint64_t *word = (uint64_t *)(rw + i % 64 * PS), old = *word;

		/* All have it mapped; then the snapshot, and the page that is written moves. */
		for (int j = 0; j < 3; j++)
			EXPECT_EQ(old, *(volatile uint64_t *)(odd[j] + i % 64 * PS));
		snap = vmo_snap(fd);
		*word = i;
		for (int j = 0; j < 3; j++)
			EXPECT_EQ(i, *(volatile uint64_t *)(odd[j] + i % 64 * PS));
		EXPECT_EQ(8, pread(snap, &old, 8, i % 64 * PS));
		EXPECT_NE(i, old);
		close(snap);
	}
	/* What a private mapping wrote is its own from then on. */
	*(uint64_t *)odd[0] = 4711;
	*(uint64_t *)rw = 1;
	EXPECT_EQ(4711, *(uint64_t *)odd[0]);
	EXPECT_EQ(1, *(uint64_t *)odd[2]);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 64 * PS));
	EXPECT_EQ(4711, *(uint64_t *)odd[0]);
	EXPECT_EQ(0, *(uint64_t *)odd[1]);
	EXPECT_EQ(0, *(uint64_t *)odd[2]);
	for (int j = 0; j < 3; j++)
		munmap(odd[j], 64 * PS);
	munmap(rw, 64 * PS);
	close(ro);
	close(fd);
}

/* ---- locks in objects ---- */

struct shared_lock {
	pthread_mutex_t mutex;
	uint32_t futex;
	uint32_t ready;
	uint64_t value;
};

static struct shared_lock *new_lock(int fd, char *map)
{
	struct shared_lock *lock = (struct shared_lock *)(map + PS);
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&lock->mutex, &attr);
	return lock;
}

static long futex(uint32_t *word, int op, uint32_t value, long timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000 };

	return syscall(SYS_futex, word, op, value, &ts, NULL, 0);
}

TEST_F(vmo, inv_4_8_robust_mutex_of_two_processes)
{
	int fd = vmo_new_pages(self->dev, 4), pid, status, snap;
	char *map = vmo_map(fd, 4, RW);
	struct shared_lock *lock = new_lock(fd, map);

	/* Its owner dies; the page has been snapshotted meanwhile. */
	pid = fork();
	if (!pid) {
		struct shared_lock *mine = (struct shared_lock *)(vmo_map(fd, 4, RW) + PS);

		pthread_mutex_lock(&mine->mutex);
		mine->value = 1;
		__atomic_store_n(&mine->ready, 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&mine->ready, __ATOMIC_ACQUIRE) != 2)
			usleep(1000);
		_exit(0);
	}
	while (__atomic_load_n(&lock->ready, __ATOMIC_ACQUIRE) != 1)
		usleep(1000);
	EXPECT_EQ(EBUSY, pthread_mutex_trylock(&lock->mutex));
	snap = vmo_snap(fd);
	__atomic_store_n(&lock->ready, 2, __ATOMIC_RELEASE);
	EXPECT_EQ(EOWNERDEAD, pthread_mutex_lock(&lock->mutex));
	EXPECT_EQ(0, pthread_mutex_consistent(&lock->mutex));
	lock->value = 2;
	EXPECT_EQ(0, pthread_mutex_unlock(&lock->mutex));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* And is taken by both in turn. */
	pid = fork();
	if (!pid) {
		struct shared_lock *mine = (struct shared_lock *)(vmo_map(fd, 4, RW) + PS);

		for (int i = 0; i < 2000; i++) {
			pthread_mutex_lock(&mine->mutex);
			mine->value++;
			pthread_mutex_unlock(&mine->mutex);
		}
		_exit(0);
	}
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock->mutex);
		lock->value++;
		pthread_mutex_unlock(&lock->mutex);
		if (i % 100 == 0)
			close(vmo_snap(fd));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(4002, lock->value);
	close(snap);
	munmap(map, 4 * PS);
	close(fd);
}

TEST_F(vmo, inv_4_8_a_waiter_over_a_snapshot)
{
	int fd = vmo_new_pages(self->dev, 4), pid, status, snap;
	char *map = vmo_map(fd, 4, RW), *other;
	struct shared_lock *lock = new_lock(fd, map);
	long woken = 0;

	pid = fork();
	if (!pid) {
		struct shared_lock *mine = (struct shared_lock *)(vmo_map(fd, 4, RW) + PS);

		__atomic_store_n(&mine->ready, 1, __ATOMIC_RELEASE);
		_exit(futex(&mine->futex, FUTEX_WAIT, 0, 20000) ? 1 : 0);
	}
	while (__atomic_load_n(&lock->ready, __ATOMIC_ACQUIRE) != 1)
		usleep(1000);
	usleep(100000);
	snap = vmo_snap(fd);
	other = vmo_map(snap, 4, RW);
	ASSERT_NE(NULL, other);
	/* The clone's word is another one, whichever of the two still has the page. */
	EXPECT_EQ(0, futex((uint32_t *)(other + PS + ((char *)&lock->futex - (char *)lock)),
			   FUTEX_WAKE, 10, 0));
	other[PS] = 1;
	EXPECT_EQ(0, futex((uint32_t *)(other + PS + ((char *)&lock->futex - (char *)lock)),
			   FUTEX_WAKE, 10, 0));
	for (int i = 0; i < 100 && !woken; i++) {
		woken = futex(&lock->futex, FUTEX_WAKE, 10, 0);
		usleep(10000);
	}
	EXPECT_EQ(1, woken);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(other, 4 * PS);
	munmap(map, 4 * PS);
	close(snap);
	close(fd);
}

TEST_F(vmo, map_mlock_and_advice)
{
	int fd = vmo_new_pages(self->dev, 32), snap;
	char *p = vmo_map(fd, 32, RW);
	unsigned char there[32];

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 16, 30);
	EXPECT_EQ(0, mlock(p, 32 * PS));
	snap = vmo_snap(fd);
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 30));
	fill_pages(p, 0, 16, 60);
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 16, 30));
	EXPECT_EQ(0, munlock(p, 32 * PS));
	EXPECT_EQ(0, mincore(p, 32 * PS, there));
	/* Nothing of this may lose data: these pages are on no list of the core's. */
	madvise(p, 32 * PS, MADV_COLD);
	madvise(p, 32 * PS, MADV_PAGEOUT);
	EXPECT_EQ(0, madvise(p, 32 * PS, MADV_DONTNEED));
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 60));
	EXPECT_ERRNO(EINVAL, madvise(p, 32 * PS, MADV_FREE));
	EXPECT_EQ(0, madvise(p, 32 * PS, MADV_WILLNEED));
	EXPECT_EQ(0, msync(p, 32 * PS, MS_SYNC));
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 60));
	munmap(p, 32 * PS);
	close(snap);
	close(fd);
}

TEST_HARNESS_MAIN
