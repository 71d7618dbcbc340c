// SPDX-License-Identifier: GPL-2.0
/*
 * vmo-demo FILE: a thousand snapshots of memory that is being written to.
 *
 * The file is copied into a VMO. One thread writes to it through a shared
 * mapping, without pause: write n is one aligned store of eight bytes, whose
 * place and value follow from n. So after k writes the memory is the file with
 * the first k writes applied, exactly. The other thread takes snapshots.
 *
 * A snapshot is right if it is such a state, and its k lies between the counts
 * that were read before and after the call. All snapshots are kept and checked
 * in the end, after everything has been written that will ever be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <linux/vmo.h>

#define SNAPSHOTS	1000
#define WHOLE		20	/* of them are compared in all bytes */
#define TARGETS		512	/* pages that are written to */
#define PAGE		4096UL	/* of the pattern; any multiple is fine for the kernel */
#define MIN_WRITES	25	/* between two snapshots */
#define MAX_WRITES	200	/* so that the guest's memory suffices */
#define CHUNK		(1UL << 20)

struct snapshot {
	int fd;
	uint64_t before;	/* writes that were done when the call began */
	uint64_t after;		/* writes that had begun when it returned */
	uint64_t count;		/* writes that are in it, once checked */
	double cost;		/* seconds */
};

static struct snapshot snapshots[SNAPSHOTS];
static uint32_t target[TARGETS];	/* pages */
static char *file;			/* what is in the file */
static size_t size;
static char *memory;			/* the VMO, mapped shared */
static uint64_t started, done, taken, stop;
static double start_time;

/* ---- small things ---------------------------------------------------------- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void say(const char *format, ...)
{
	va_list args;

	printf("[%6.1f s] ", now() - start_time);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void die(const char *what)
{
	fprintf(stderr, "vmo-demo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ULL;
	return x ^ (x >> 32);
}

/* A number out of a file of lines "name value"; -1 if there is none. */
static long number_in(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	long value = -1, v;
	char key[64], line[128];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", key, &v) == 2 && !strcmp(key, name))
			value = v;
	fclose(f);
	return value;
}

static long counter(const char *name)
{
	return number_in("/sys/kernel/debug/vmo/counters", name);
}

static long available_mib(void)
{
	return number_in("/proc/meminfo", "MemAvailable:") / 1024;
}

/* ---- what write n is -------------------------------------------------------- */

static unsigned int target_of(uint64_t n)
{
	return mix(n) % TARGETS;
}

static unsigned int word_of(uint64_t n)
{
	return mix(n) / TARGETS % (PAGE / 8);
}

/* No two writes have the same value. */
static uint64_t value_of(uint64_t n)
{
	return mix(n ^ 0x5bd1e995);
}

/* Pages all over the file, one in each of TARGETS equal parts. */
static void choose_targets(void)
{
	uint32_t part = size / PAGE / TARGETS;

	for (int i = 0; i < TARGETS; i++)
		target[i] = i * part + mix(i) % part;
}

/* ---- the two threads --------------------------------------------------------- */

static void *writer_thread(void *unused)
{
	for (uint64_t n = 1; !load(&stop); n++) {
		uint64_t *page = (uint64_t *)(memory + target[target_of(n)] * PAGE);

		while (n > (load(&taken) + 1) * MAX_WRITES && !load(&stop))
			sched_yield();
		store(&started, n);
		store(page + word_of(n), value_of(n));
		store(&done, n);
	}
	return unused;
}

static int take_snapshot(int vmo)
{
	struct vmo_clone arg = { .size = size, .flags = VMO_CLONE_SNAPSHOT };

	return ioctl(vmo, VMO_CLONE, &arg) ? -1 : arg.fd;
}

static void take_snapshots(int vmo)
{
	double last = now();

	for (int i = 0; i < SNAPSHOTS; i++) {
		struct snapshot *s = &snapshots[i];
		double t;

		while (load(&done) < (uint64_t)(i + 1) * MIN_WRITES)
			sched_yield();
		s->before = load(&done);
		t = now();
		s->fd = take_snapshot(vmo);
		s->cost = now() - t;
		s->after = load(&started);
		if (s->fd < 0)
			die("snapshot");
		store(&taken, i + 1);
		if (now() - last > 5) {
			last = now();
			say("  %d snapshots, %llu writes", i + 1, (unsigned long long)load(&done));
		}
	}
}

/* ---- checking ------------------------------------------------------------------ */

/* Half of the snapshots, in order, against a model that follows the writes. */
struct checker {
	pthread_t thread;
	int first, step;
	int right;
	char *model;		/* the target pages as after `count` writes */
	uint64_t count;
	size_t bytes;
};

static void model_start(struct checker *c)
{
	c->model = malloc(TARGETS * PAGE);
	c->count = 0;
	for (int i = 0; i < TARGETS; i++)
		memcpy(c->model + i * PAGE, file + target[i] * PAGE, PAGE);
}

static void model_advance(struct checker *c, uint64_t count)
{
	while (c->count < count) {
		uint64_t n = ++c->count;

		((uint64_t *)(c->model + target_of(n) * PAGE))[word_of(n)] = value_of(n);
	}
}

/* The last write that is in it. Its value is at its place, or it is not in it. */
static uint64_t writes_in(const struct snapshot *s)
{
	for (uint64_t n = s->after; n > s->before; n--) {
		off_t at = target[target_of(n)] * PAGE + word_of(n) * 8;
		uint64_t value;

		if (pread(s->fd, &value, 8, at) == 8 && value == value_of(n))
			return n;
	}
	return s->before;
}

/* All pages that the writer may touch; every other time through a mapping. */
static bool targets_are_right(struct checker *c, int fd, bool mapped)
{
	char buf[PAGE], *map = NULL;
	bool right = true;

	if (mapped) {
		map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return false;
	}
	for (int i = 0; i < TARGETS && right; i++) {
		if (!mapped && pread(fd, buf, PAGE, target[i] * PAGE) != (ssize_t)PAGE)
			return false;
		right = !memcmp(mapped ? map + target[i] * PAGE : buf, c->model + i * PAGE, PAGE);
		c->bytes += PAGE;
	}
	if (mapped)
		munmap(map, size);
	return right;
}

/* Every byte. Target i lies in part i, so they come in order. */
static bool all_is_right(struct checker *c, int fd)
{
	char *buf = malloc(CHUNK), *want = malloc(CHUNK);
	bool right = true;
	int next = 0;

	for (size_t at = 0; at < size && right; at += CHUNK) {
		size_t length = size - at < CHUNK ? size - at : CHUNK;

		memcpy(want, file + at, length);
		for (; next < TARGETS && target[next] * PAGE < at + length; next++)
			memcpy(want + target[next] * PAGE - at, c->model + next * PAGE, PAGE);
		right = pread(fd, buf, length, at) == (ssize_t)length && !memcmp(buf, want, length);
		c->bytes += length;
	}
	free(buf);
	free(want);
	return right;
}

static void *checker_thread(void *arg)
{
	struct checker *c = arg;

	model_start(c);
	for (int i = c->first; i < SNAPSHOTS; i += c->step) {
		struct snapshot *s = &snapshots[i];
		bool right;

		s->count = writes_in(s);
		model_advance(c, s->count);
		right = targets_are_right(c, s->fd, i % 4 < 2);
		/* WHOLE of them, evenly, with the first and the last. */
		if (i == SNAPSHOTS - 1 || i % (SNAPSHOTS / (WHOLE - 1)) == 0)
			right = right && all_is_right(c, s->fd);
		if (right)
			c->right++;
		else
			say("  snapshot %d is WRONG: it is not the file with %llu writes", i,
			    (unsigned long long)s->count);
		if (!c->first && i % 250 == 0 && i)
			say("  %d compared", i);
	}
	return NULL;
}

/* Returns how many are right. */
static int check_snapshots(int vmo)
{
	struct checker c[2] = { { .first = 0, .step = 2 }, { .first = 1, .step = 2 } };
	bool parent;

	for (int i = 0; i < 2; i++)
		if (pthread_create(&c[i].thread, NULL, checker_thread, &c[i]))
			die("thread");
	for (int i = 0; i < 2; i++)
		pthread_join(c[i].thread, NULL);
	say("%d of %d snapshots are right: the file with the first k writes, and no other.",
	    c[0].right + c[1].right, SNAPSHOTS);
	say("  %d pages were compared in each, all %zu bytes in %d of them; %zu MiB in all.",
	    TARGETS, size, WHOLE, (c[0].bytes + c[1].bytes) >> 20);
	model_advance(&c[0], load(&done));
	parent = targets_are_right(&c[0], vmo, false) && all_is_right(&c[0], vmo);
	say("The memory itself is %s: the file with all %llu writes.", parent ? "right" : "WRONG",
	    (unsigned long long)load(&done));
	for (int i = 0; i < 2; i++)
		free(c[i].model);
	return parent ? c[0].right + c[1].right : 0;
}

/* ---- what it costs ------------------------------------------------------------- */

static uint64_t scaled_sum(int vmo)
{
	struct vmo_info info;
	uint64_t sum = 0;

	for (int i = -1; i < SNAPSHOTS; i++) {
		if (ioctl(i < 0 ? vmo : snapshots[i].fd, VMO_INFO, &info))
			die("VMO_INFO");
		sum += info.scaled_bytes;
	}
	return sum;
}

static int by_cost(const void *a, const void *b)
{
	double x = ((const struct snapshot *)a)->cost, y = ((const struct snapshot *)b)->cost;

	return x < y ? -1 : x > y;
}

static void report_costs(void)
{
	struct snapshot *sorted = malloc(sizeof(snapshots));

	memcpy(sorted, snapshots, sizeof(snapshots));
	qsort(sorted, SNAPSHOTS, sizeof(*sorted), by_cost);
	say("A snapshot took, in microseconds: the first %.0f, the last %.0f; half of them",
	    snapshots[0].cost * 1e6, snapshots[SNAPSHOTS - 1].cost * 1e6);
	say("  less than %.0f, one of ten more than %.0f, the slowest %.0f. (The other CPU's",
	    sorted[SNAPSHOTS / 2].cost * 1e6, sorted[SNAPSHOTS * 9 / 10].cost * 1e6,
	    sorted[SNAPSHOTS - 1].cost * 1e6);
	say("  TLB has to be flushed; the slow ones waited for QEMU to let it run.)");
	free(sorted);
}

static void report_memory(int vmo, long before_mib)
{
	long pages = counter("pages");

	say("The %d objects read as %zu MiB of memory. They hold %llu MiB: so says VMO_INFO,",
	    SNAPSHOTS + 1, (SNAPSHOTS + 1) * (size >> 20),
	    (unsigned long long)scaled_sum(vmo) >> 20);
	say("  summed up; %ld MiB, so the module's counter of pages; %ld MiB less is MemAvailable.",
	    pages * (sysconf(_SC_PAGESIZE) >> 10) >> 10, before_mib - available_mib());
}

/* ---- the story -------------------------------------------------------------------- */

static void read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &st))
		die(path);
	size = st.st_size;
	if (size / PAGE < TARGETS) {
		fprintf(stderr, "vmo-demo: %s is too small\n", path);
		exit(1);
	}
	file = malloc(size);
	while (at < size) {
		ssize_t got = read(fd, file + at, size - at);

		if (got <= 0)
			die(path);
		at += got;
	}
	close(fd);
}

static int fill_object(void)
{
	int dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	struct vmo_create create = { .size = size };
	size_t at = 0;

	if (dev < 0 || ioctl(dev, VMO_CREATE, &create))
		die("/dev/vmo");
	close(dev);
	while (at < size) {
		ssize_t put = write(create.fd, file + at, size - at);

		if (put <= 0)
			die("write");
		at += put;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, create.fd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	return create.fd;
}

/* False if something is left behind when all is closed. */
static bool close_all(int vmo, long before_mib)
{
	static const char * const names[] = { "pages", "nodes", "objects" };
	long left = 0;

	munmap(memory, size);
	close(vmo);
	for (int i = 0; i < SNAPSHOTS; i++)
		close(snapshots[i].fd);
	for (int try = 0; try < 100; try++) {
		left = 0;
		for (int i = 0; i < 3; i++)
			left += counter(names[i]);
		if (!left)
			break;
		usleep(100000);
	}
	say("All closed. The module holds %ld pages, %ld nodes, %ld objects; MemAvailable is",
	    counter("pages"), counter("nodes"), counter("objects"));
	say("  %ld MiB, and was %ld MiB before.", available_mib(), before_mib);
	return !left;
}

static void raise_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < SNAPSHOTS + 100)
		limit.rlim_max = SNAPSHOTS + 100;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("RLIMIT_NOFILE");
}

int main(int argc, char **argv)
{
	pthread_t writer;
	long before_mib;
	int vmo, right;

	if (argc != 2) {
		fprintf(stderr, "usage: vmo-demo FILE\n");
		return 2;
	}
	start_time = now();
	raise_limit();
	read_file(argv[1]);
	choose_targets();
	before_mib = available_mib();
	vmo = fill_object();
	say("A file of %zu MiB is in a VMO now: %s.", size >> 20,
	    "memory behind a file descriptor");
	say("One thread writes to it through a shared mapping, all the time; another takes");
	say("  %d snapshots of it, each a VMO of its own, and keeps them all.", SNAPSHOTS);
	if (pthread_create(&writer, NULL, writer_thread, NULL))
		die("thread");
	take_snapshots(vmo);
	store(&stop, 1);
	pthread_join(writer, NULL);
	say("%d snapshots were taken while %llu writes were made.", SNAPSHOTS,
	    (unsigned long long)load(&done));
	report_costs();
	report_memory(vmo, before_mib);
	say("Now each of them is compared with what it has to be.");
	right = check_snapshots(vmo);
	if (!close_all(vmo, before_mib) || right != SNAPSHOTS) {
		say("FAILED");
		return 1;
	}
	say("Nothing is left. Done.");
	return 0;
}
