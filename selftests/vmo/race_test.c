// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshots while others write.
 *
 * Writers store the numbers 1, 2, 3 ... each at its own place, one after the
 * other. So what the object holds at any instant follows from one number: the
 * last one stored. A snapshot has to be such a state, exactly, and its number
 * has to lie between the counts that were read before and after the call.
 *
 * VMO_SOAK_SECONDS makes each test that long.
 */
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#include <limits.h>
#include <sys/prctl.h>

/* Number k goes to slot k % slots; slots are pages, apart and in another order. */
#define MAX_SLOTS	97
#define SPREAD		7
#define PAGES		(MAX_SLOTS * SPREAD)
/* ... and there to one of so many words, in turn. */
#define WORDS		8
/* A word of these pages that no number is ever stored in. */
#define MARK		300

#define BY_PWRITE	(1 << 0)	/* some numbers are stored by pwrite() */
#define BY_MPROTECT	(1 << 1)	/* some after two calls of mprotect() */
#define BY_FAULT	(1 << 2)	/* some after MADV_DONTNEED */
#define NOISE		(1 << 3)	/* a thread that maps, reads, unmaps */
#define PROCESSES	(1 << 4)	/* writers are processes */

#define MAX_WRITERS	2

struct race {
	int fd;
	int flags;
	int writers;
	pthread_t thread[MAX_WRITERS];
	pid_t pid[MAX_WRITERS];
	/* Shared with the writers. */
	uint64_t stop;
	uint64_t lock;
	uint64_t started;
	uint64_t done;
};

static uint64_t slots = MAX_SLOTS;	/* a prime */

static uint64_t *place(char *base, uint64_t k)
{
	uint64_t slot = k % slots, page = slot * 37 % slots * SPREAD;

	return (uint64_t *)(base + page * PS) + k / slots % WORDS * 8 + slot % 8;
}

/* The last number up to k that was stored at this slot's word, or 0. */
static uint64_t last_stored(uint64_t k, uint64_t slot, uint64_t word)
{
	uint64_t turn;

	if (k < slot)
		return 0;
	turn = (k - slot) / slots;
	if (turn < word)
		return 0;
	return (turn - (turn - word) % WORDS) * slots + slot;
}

/* Whether these bytes are the state after number k. */
static bool is_state(char *base, uint64_t k)
{
	for (uint64_t slot = 0; slot < slots; slot++)
		for (uint64_t word = 0; word < WORDS; word++)
			if (*place(base, word * slots + slot) != last_stored(k, slot, word))
				return false;
	return true;
}

/* The only number whose state these bytes can be. */
static uint64_t last_number(char *base)
{
	uint64_t max = 0;

	for (uint64_t k = 0; k < slots * WORDS; k++)
		if (*place(base, k) > max)
			max = *place(base, k);
	return max;
}

/* Reads the slots' pages with pread(), to their places in buf. */
static bool read_slots(int fd, char *buf)
{
	for (size_t page = 0; page < slots * SPREAD; page += SPREAD)
		if (pread(fd, buf + page * PS, PS, page * PS) != (ssize_t)PS)
			return false;
	return true;
}

/* ---- writers ----------------------------------------------------------------- */

static void take(uint64_t *lock)
{
	for (unsigned int i = 1; __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE); i++)
		if (!(i % 256))
			sched_yield();
}

static void write_number(struct race *r, char *map, uint64_t k)
{
	uint64_t *at = place(map, k);
	char *page = (char *)at - ((uintptr_t)at & (PS - 1));

	if (r->flags & BY_MPROTECT && k % 13 == 0) {
		mprotect(page, SPREAD * PS, PROT_READ);
		mprotect(page, SPREAD * PS, PROT_READ | PROT_WRITE);
	}
	if (r->flags & BY_FAULT && k % 11 == 0)
		madvise(page, SPREAD * PS, MADV_DONTNEED);
	if (r->flags & BY_PWRITE && k % 3 == 0) {
		if (pwrite(r->fd, &k, sizeof(k), (char *)at - map) != sizeof(k))
			abort();
	} else {
		store(at, k);
	}
}

static void write_numbers(struct race *r, int index)
{
	char *map = vmo_map(r->fd, PAGES, RW);

	if (!map)
		abort();
	pin_to_cpu(index + 1);
	while (!load(&r->stop)) {
		uint64_t k;

		take(&r->lock);
		k = r->started + 1;
		store(&r->started, k);
		write_number(r, map, k);
		store(&r->done, k);
		store(&r->lock, 0);
	}
	munmap(map, PAGES * PS);
}

struct start {
	struct race *race;
	int index;
};

static void *writer_thread(void *arg)
{
	struct start *start = arg;

	write_numbers(start->race, start->index);
	free(start);
	return NULL;
}

/* Maps everything in different ways and takes it away again. */
static void *noise_thread(void *arg)
{
	struct race *r = arg;
	uint64_t random = 1;

	while (!load(&r->stop)) {
		char *shared = vmo_map(r->fd, PAGES, RW);
		char *private = vmo_map_at(r->fd, 0, PAGES, RW, MAP_PRIVATE);

		if (!shared || !private)
			abort();
		for (int i = 0; i < 50 && !load(&r->stop); i++) {
			size_t page = (random = mix(random + i)) % (PAGES - 16);

			/* A write that changes nothing, a read, a private page. */
			__atomic_fetch_add((uint64_t *)(shared + page * PS), 0, __ATOMIC_RELAXED);
			(void)*(volatile char *)(private + (page + 3) * PS);
			*(volatile char *)(private + (page + 5) * PS) = 1;
			if (i % 5 == 0)
				madvise(shared + page * PS, 16 * PS, MADV_DONTNEED);
			if (i % 7 == 0) {
				mprotect(shared + page * PS, 8 * PS, PROT_READ);
				mprotect(shared + page * PS, 8 * PS, PROT_READ | PROT_WRITE);
			}
		}
		munmap(shared, PAGES * PS);
		munmap(private, PAGES * PS);
	}
	return NULL;
}

static struct race *race_start(int fd, int writers, int flags)
{
	struct race *r = mmap(NULL, sizeof(*r), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	r->fd = fd;
	r->flags = flags;
	r->writers = writers;
	pin_to_cpu(0);
	for (int i = 0; i < writers; i++) {
		if (flags & PROCESSES) {
			pid_t pid = fork();

			if (pid) {
				r->pid[i] = pid;
				continue;
			}
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			write_numbers(r, i);
			_exit(0);
		} else {
			struct start *start = malloc(sizeof(*start));

			*start = (struct start) { r, i };
			pthread_create(&r->thread[i], NULL, writer_thread, start);
		}
	}
	wait_for(&r->done, 2 * slots);
	return r;
}

/* False if a writer ended badly. */
static bool race_stop(struct race *r)
{
	bool good = true;
	int status;

	store(&r->stop, 1);
	for (int i = 0; i < r->writers; i++) {
		if (r->flags & PROCESSES)
			good &= waitpid(r->pid[i], &status, 0) == r->pid[i] && !status;
		else
			pthread_join(r->thread[i], NULL);
	}
	munmap(r, sizeof(*r));
	return good;
}

/* ---- how long ------------------------------------------------------------------ */

static int soak_seconds(void)
{
	const char *text = getenv("VMO_SOAK_SECONDS");

	return text ? atoi(text) : 0;
}

static double race_end(double normal)
{
	double length = soak_seconds() ? soak_seconds() : normal;

	alarm(100 + 3 * (int)length);	/* instead of the harness, which knows no soak */
	return seconds() + length;
}

static int race_most(int normal)
{
	return soak_seconds() ? INT_MAX : normal;
}

/* ---- tests ----------------------------------------------------------------------- */

FIXTURE(vmo) {
	int dev;
	int fd;
	char *buf;
};

FIXTURE_SETUP(vmo)
{
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fd = vmo_new_pages(self->dev, PAGES);
	ASSERT_LE(0, self->fd);
	self->buf = calloc(PAGES, PS);
	ASSERT_NE(NULL, self->buf);
}

FIXTURE_TEARDOWN(vmo)
{
	close(self->fd);
	close(self->dev);
}

/* A snapshot that is kept for a while. */
struct kept {
	int fd;
	uint64_t before;	/* numbers stored when the call began */
	uint64_t after;		/* numbers begun when it returned */
	uint64_t number;
	char *map;
};

static bool take_snapshot(struct race *r, struct kept *kept, bool mapped)
{
	kept->map = NULL;
	kept->before = load(&r->done);
	kept->fd = vmo_snap(r->fd);
	kept->after = load(&r->started);
	if (kept->fd >= 0 && mapped)
		kept->map = vmo_map(kept->fd, PAGES, RO);
	return kept->fd >= 0 && (kept->map || !mapped);
}

/* Finds its number, and whether it is right, through pread() or its mapping. */
static bool check_snapshot(struct kept *kept, char *buf)
{
	char *data = kept->map ? kept->map : buf;

	if (data == buf && !read_slots(kept->fd, buf))
		return false;
	kept->number = last_number(data);
	if (kept->number >= kept->before && kept->number <= kept->after &&
	    is_state(data, kept->number))
		return true;
	printf("# number %llu, between %llu and %llu\n", (unsigned long long)kept->number,
	       (unsigned long long)kept->before, (unsigned long long)kept->after);
	return false;
}

/* It has to be what it was; then it goes. */
static bool check_and_drop(struct kept *kept, char *buf)
{
	bool good = read_slots(kept->fd, buf) && is_state(buf, kept->number);

	if (kept->map) {
		good = good && is_state(kept->map, kept->number);
		munmap(kept->map, PAGES * PS);
	}
	close(kept->fd);
	return good;
}

#define KEEP 6

static void snapshots_of_a_race(struct __test_metadata *_metadata, int fd, char *buf,
				int writers, int flags)
{
	struct race *r = race_start(fd, writers, flags);
	double end = race_end(3);
	struct kept kept[KEEP];
	int i, wrong = 0, changed = 0;
	pthread_t noise;

	if (flags & NOISE)
		ASSERT_EQ(0, pthread_create(&noise, NULL, noise_thread, r));
	for (i = 0; more_rounds(i, 10, race_most(400), end); i++) {
		struct kept *k = &kept[i % KEEP];

		if (i >= KEEP)
			changed += !check_and_drop(k, buf);
		wrong += !take_snapshot(r, k, i % 2) || !check_snapshot(k, buf);
	}
	store(&r->stop, 1);
	if (flags & NOISE)
		pthread_join(noise, NULL);
	for (int n = 0; n < KEEP; n++)
		changed += !check_and_drop(&kept[n], buf);
	printf("# %d snapshots, %llu writes\n", i, (unsigned long long)load(&r->done));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, changed);
	EXPECT_TRUE(race_stop(r));
}

TEST_F_TIMEOUT(vmo, inv_4_6_one_writer, 86400)
{
	snapshots_of_a_race(_metadata, self->fd, self->buf, 1, 0);
}

TEST_F_TIMEOUT(vmo, inv_4_6_writers_on_two_cpus, 86400)
{
	snapshots_of_a_race(_metadata, self->fd, self->buf, 2, BY_PWRITE);
}

TEST_F_TIMEOUT(vmo, inv_4_6_writers_in_two_processes, 86400)
{
	snapshots_of_a_race(_metadata, self->fd, self->buf, 2, PROCESSES | BY_FAULT);
}

TEST_F_TIMEOUT(vmo, inv_4_4_writers_that_mprotect, 86400)
{
	snapshots_of_a_race(_metadata, self->fd, self->buf, 2, BY_MPROTECT);
}

/* The object is a clone itself, and everything goes on at once. */
TEST_F_TIMEOUT(vmo, inv_4_6_with_noise, 86400)
{
	int parent = vmo_snap(self->fd), fd = vmo_snap(parent);

	ASSERT_LE(0, fd);
	snapshots_of_a_race(_metadata, fd, self->buf, 2,
			    BY_PWRITE | BY_MPROTECT | BY_FAULT | NOISE);
	EXPECT_EQ(-1, wrong_page_fd(parent, 0, PAGES, 0));
	close(fd);
	close(parent);
}

/* ---- a snapshot in the middle of a fault --------------------------------------- */

#define BURST	40

/*
 * The core sets a PTE only after our handler has returned with the page locked. A
 * snapshot on the other CPU rarely falls in between, so whoever faults is held up.
 */
TEST_F_TIMEOUT(vmo, inv_4_2_snapshot_within_a_fault, 86400)
{
	bool held_up = hold_up("finish_fault");
	struct kept kept[BURST];
	double end = race_end(4);
	int i, wrong = 0;
	struct race *r;

	slots = 11;
	r = race_start(self->fd, 1, 0);
	for (i = 0; more_rounds(i, 3, race_most(1000), end); i++) {
		for (int n = 0; n < BURST; n++)
			wrong += !take_snapshot(r, &kept[n], false);
		for (int n = 0; n < BURST; n++) {
			wrong += !check_snapshot(&kept[n], self->buf);
			close(kept[n].fd);
		}
	}
	printf("# %d snapshots, %llu writes%s\n", i * BURST,
	       (unsigned long long)load(&r->done), held_up ? ", held up" : "");
	EXPECT_EQ(0, wrong);
	EXPECT_TRUE(race_stop(r));
	let_go();
}

/* ---- chains of snapshots under a writer --------------------------------------- */

struct chain {
	struct race *race;
	double end;
	int rounds;
	int wrong;
	int index;
};

static bool has_marks(char *base, uint64_t mark)
{
	for (size_t page = 0; page < PAGES; page += SPREAD)
		if (((uint64_t *)(base + page * PS))[MARK] != (page % 2 ? mark : 0))
			return false;
	return true;
}

static bool is_marked_state(int fd, char *buf, uint64_t number, uint64_t mark)
{
	return read_slots(fd, buf) && is_state(buf, number) && has_marks(buf, mark);
}

/* s[0] of the race, s[1] of s[0], s[2] of s[1]; s[1] is written, s[3] of s[1] then. */
static bool one_chain(struct chain *c, char *buf, uint64_t random)
{
	struct kept first;
	int s[4], left[4] = { 0, 1, 2, 3 };
	uint64_t mark = random;
	bool good = take_snapshot(c->race, &first, false) && check_snapshot(&first, buf);
	char *map;

	s[0] = first.fd;
	s[1] = vmo_snap(s[0]);
	s[2] = vmo_snap(s[1]);
	map = vmo_map(s[1], PAGES, RW);
	if (!map)
		return false;
	for (size_t page = 0; page < PAGES; page += SPREAD)
		if (page % 2)
			((uint64_t *)(map + page * PS))[MARK] = mark;
	s[3] = vmo_snap(s[1]);
	for (int n = 4; n > 0; n--) {
		int which = random % n;

		for (int i = 0; i < n; i++)
			good &= is_marked_state(s[left[i]], buf, first.number,
						left[i] % 2 ? mark : 0);
		good &= n < 4 || (is_state(map, first.number) && has_marks(map, mark));
		random /= n;
		close(s[left[which]]);
		left[which] = left[n - 1];
		if (n == 3)
			munmap(map, PAGES * PS);
	}
	return good;
}

static void *chain_thread(void *arg)
{
	struct chain *c = arg;
	char *buf = calloc(PAGES, PS);

	pin_to_cpu(c->index);
	for (c->rounds = 0; more_rounds(c->rounds, 4, race_most(60), c->end); c->rounds++)
		c->wrong += !one_chain(c, buf, mix(c->rounds * 2 + c->index + 1) | 1);
	free(buf);
	return NULL;
}

TEST_F_TIMEOUT(vmo, inv_4_6_chains_under_a_writer, 86400)
{
	struct race *r = race_start(self->fd, 1, BY_PWRITE);
	double end = race_end(3);
	pthread_t thread[2];
	struct chain c[2];

	for (int i = 0; i < 2; i++) {
		c[i] = (struct chain) { .race = r, .end = end, .index = i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, chain_thread, &c[i]));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, c[i].wrong);
	}
	printf("# %d chains\n", c[0].rounds + c[1].rounds);
	EXPECT_TRUE(race_stop(r));
}

/* ---- cause and effect ------------------------------------------------------------ */

/*
 * Each thread of a ring stores stamps: its own count, and the count of its
 * neighbour that it has seen before. A snapshot that has the stamp has to have
 * what the stamp saw.
 */
#define RING		3
#define RING_SLOTS	16
#define RING_PAGES	(RING * 64)

struct ring {
	char *map[RING];
	uint64_t stop;
	uint64_t started[RING];
	uint64_t done[RING];
};

struct ring_start {
	struct ring *ring;
	int index;
};

static uint64_t *stamp_at(char *base, int who, uint64_t count)
{
	return (uint64_t *)(base + (who * 64 + count % RING_SLOTS * 3) * PS) +
	       count / RING_SLOTS % 8;
}

static void *ring_thread(void *arg)
{
	struct ring *ring = ((struct ring_start *)arg)->ring;
	int me = ((struct ring_start *)arg)->index, other = (me + 1) % RING;

	pin_to_cpu(me);
	for (uint64_t count = 1; !load(&ring->stop); count++) {
		uint64_t seen = load(&ring->done[other]);
		uint64_t in_memory = load(stamp_at(ring->map[me], other, seen)) >> 32;

		if (in_memory > seen)
			seen = in_memory;
		store(&ring->started[me], count);
		store(stamp_at(ring->map[me], me, count), count << 32 | seen);
		store(&ring->done[me], count);
		if (count % 256 == 0)
			sched_yield();
	}
	return NULL;
}

static uint64_t ring_count(char *data, int who)
{
	uint64_t max = 0;

	for (uint64_t i = 0; i < RING_SLOTS * 8; i++)
		if (*stamp_at(data, who, i) >> 32 > max)
			max = *stamp_at(data, who, i) >> 32;
	return max;
}

/* All stamps of one thread up to its count, and nobody's effect without its cause. */
static bool ring_is_right(char *data, int who)
{
	uint64_t count = ring_count(data, who), other = ring_count(data, (who + 1) % RING);

	for (uint64_t i = 0; i < RING_SLOTS * 8; i++) {
		uint64_t at = count - i, stamp;

		if (at > count || !at)
			break;
		stamp = *stamp_at(data, who, at);
		if (stamp >> 32 != at || (stamp & 0xffffffff) > other)
			return false;
	}
	return true;
}

TEST_F_TIMEOUT(vmo, inv_4_6_no_effect_without_its_cause, 86400)
{
	struct ring ring = { .stop = 0 };
	struct ring_start start[RING];
	pthread_t thread[RING];
	double end = race_end(3);
	int i, wrong = 0;

	for (i = 0; i < RING; i++) {
		ring.map[i] = vmo_map(self->fd, RING_PAGES, RW);
		ASSERT_NE(NULL, ring.map[i]);
	}
	for (i = 0; i < RING; i++) {
		start[i] = (struct ring_start) { &ring, i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, ring_thread, &start[i]));
	}
	for (i = 0; more_rounds(i, 10, race_most(400), end); i++) {
		uint64_t before[RING], after[RING];
		int child;
		char *map;

		for (int who = 0; who < RING; who++)
			before[who] = load(&ring.done[who]);
		child = vmo_snap(self->fd);
		for (int who = 0; who < RING; who++)
			after[who] = load(&ring.started[who]);
		map = vmo_map(child, RING_PAGES, RO);
		if (!map)
			break;
		for (int who = 0; who < RING; who++) {
			uint64_t count = ring_count(map, who);

			wrong += count < before[who] || count > after[who] ||
				 !ring_is_right(map, who);
		}
		munmap(map, RING_PAGES * PS);
		close(child);
	}
	store(&ring.stop, 1);
	for (int who = 0; who < RING; who++)
		pthread_join(thread[who], NULL);
	printf("# %d snapshots, %llu stamps\n", i, (unsigned long long)load(&ring.done[0]));
	EXPECT_LE(10, i);
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
