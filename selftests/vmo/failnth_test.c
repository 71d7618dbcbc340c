// SPDX-License-Identifier: GPL-2.0
/*
 * Each operation as often as it takes to let each of its allocations, and each copy from
 * or to the user, fail in turn: by fail-nth, for this task alone. What a failed command
 * may leave is what uapi/linux/vmo.h says of it, and relatives never notice.
 *
 * A new operation is one more ATTEMPT() at the end.
 */
#include "vmo_test_util.h"
#include "kselftest_harness.h"

#include <sys/uio.h>
#include "failnth_util.h"

/* ---- what there is ---- */

/*
 * Borders of leaves (32 pages) and of inner nodes (2048 pages); neighbours of them are
 * holes. The last place is past the end.
 */
#define PAGES	2112UL
#define SIZE	(PAGES * PS)

static const uint64_t place[] = {
	0, 1, 2, 3, 30, 31, 32, 33, 40, 2046, 2047, 2048, 2049, PAGES - 1, PAGES,
};

#define PLACES	ARRAY_SIZE(place)
#define BYTES	(PLACES * PS)

static bool is_hole(uint64_t page)
{
	return page == 3 || page == 33 || page == 2046 || page == 2049 || page >= PAGES;
}

/* An object, and what it showed before and has to show afterwards. */
struct member {
	int fd;
	char *was;
	char *now;
	uint64_t now_size;
	struct vmo_info info;
};

/* OBJECT is operated on; OTHER is a snapshot of it, or the other way round. */
enum { OBJECT, OTHER, AUX, MEMBERS };

struct world {
	int dev;
	struct member member[MEMBERS];
	int reference;	/* of OBJECT */
	int pin;
	int watch;	/* a harvester of OBJECT */
	char *map;	/* of OBJECT */
	char *private;
	int made;	/* by the operation */
	char *made_map;
	char *io;	/* BYTES of memory for calls; ones at first */
	char *seen;	/* BYTES of memory to compare */
};

/* What becomes of the bytes in the range of an operation. */
enum effect {
	KEEPS,
	ZEROES,
	WRITES,		/* ones */
	RESIZES,	/* to the offset */
	COPIES,		/* from the same place of AUX, or of AUX from OBJECT */
	REVERTS,	/* to what OTHER shows */
};

enum {
	FIXED		= 1 << 0,	/* is its size */
	SHARED		= 1 << 1,	/* there is a snapshot */
	CLONE		= 1 << 2,	/* OBJECT is that snapshot */
	MAPPED		= 1 << 3,	/* and written through the mapping, before the snapshot */
	UNTOUCHED	= 1 << 4,	/* mapped, but nothing of it was used yet */
	PINNED		= 1 << 5,	/* pages 1 and 2 */
	PRIVATE		= 1 << 6,	/* a private mapping with a page of its own */
	PARTLY		= 1 << 7,	/* a part of it may be done when it fails */
	COUNTS		= 1 << 8,	/* tells how much was done, if anything was */
	OWNS		= 1 << 9,	/* may hold more when it fails, but all reads as before */
	SHOWS		= 1 << 10,	/* what it makes shows the range */
	READS		= 1 << 11,	/* the range, into memory */
	FAULTS		= 1 << 12,	/* the access is tried again, so it never fails */
	QUIET		= 1 << 13,	/* may do without any allocation */
	ONCE		= 1 << 14,	/* cannot be tried again after a part of it */
	FLAWED		= 1 << 15,	/* does not do what the header says */
	BASE		= 1 << 16,	/* the clone keeps its base, and was written since */
	WATCHED		= 1 << 17,	/* and then pages 1 and 32 were written */
};

struct op {
	const char *name;
	int (*run)(struct world *w, const struct op *op);
	unsigned int flags;
	uint32_t arg;
	uint64_t offset;	/* pages, and */
	uint64_t offset_bytes;
	uint64_t length;
	uint64_t length_bytes;
	enum effect effect;
	enum effect on_aux;
	int from;	/* the first to fail; else 1 */
};

static uint64_t first_byte(const struct op *op)
{
	return op->offset * PS + op->offset_bytes;
}

static uint64_t byte_count(const struct op *op)
{
	return op->length * PS + op->length_bytes;
}

static void look(int fd, char *buf)
{
	memset(buf, 0, BYTES);
	for (size_t i = 0; i < PLACES; i++)
		if (pread(fd, buf + i * PS, PS, place[i] * PS) < 0)
			memset(buf + i * PS, 0xee, PS);
}

static int new_member(int dev, uint32_t flags, uint64_t base)
{
	int fd = vmo_new_flags(dev, SIZE, flags);

	for (size_t i = 0; i < PLACES; i++)
		if (!is_hole(place[i]) && write_page(fd, place[i], base + place[i]))
			return -1;
	return fd;
}

static void write_all(char *map)
{
	for (size_t i = 0; i < PLACES; i++) {
		volatile char *p = map + place[i] * PS;

		if (!is_hole(place[i]))
			*p = *p;
	}
}

static bool snapshot(struct world *w, int first, unsigned int flags)
{
	int second = -1;

	if (flags & (SHARED | CLONE)) {
		second = vmo_clone_flags(first, SIZE, (flags & FIXED ? 0 : VMO_CLONE_RESIZABLE) |
					 (flags & BASE ? VMO_CLONE_KEEP_BASE : 0));
		if (second < 0)
			return false;
	}
	w->member[OBJECT].fd = flags & CLONE ? second : first;
	w->member[OTHER].fd = flags & CLONE ? first : second;
	w->reference = vmo_reference(w->member[OBJECT].fd, 0);
	return w->reference >= 0;
}

static bool mappings(struct world *w, int fd, unsigned int flags)
{
	if (flags & (MAPPED | UNTOUCHED)) {
		w->map = vmo_map(fd, PAGES, RW);
		if (!w->map)
			return false;
	}
	if (flags & MAPPED)
		write_all(w->map);
	if (flags & PRIVATE) {
		w->private = vmo_map_at(fd, 0, PAGES, RW, MAP_PRIVATE);
		if (!w->private)
			return false;
		fill_page(w->private + PS, 4711);
	}
	return true;
}

/* A page, one after it, a hole; one less, and a smaller object. */
static bool part(int fd)
{
	return !write_page(fd, 1, 5001) && !write_page(fd, 32, 5002) &&
	       !write_page(fd, 33, 5003) && !vmo_op(fd, VMO_OP_ZERO, 2 * PS, PS) &&
	       !vmo_set_size(fd, 2048 * PS + 1);
}

static bool watch(struct world *w)
{
	struct vmo_harvester arg = { .fd = -1 };
	int fd = w->member[OBJECT].fd;

	if (ioctl(fd, VMO_HARVESTER, &arg))
		return false;
	w->watch = arg.fd;
	if (w->map)
		fill_page(w->map + PS, 101);
	return !write_page(fd, 1, 101) && !write_page(fd, 32, 132);
}

static bool world_make(struct world *w, const struct op *op)
{
	unsigned int flags = op->flags;
	int fd = new_member(w->dev, flags & FIXED ? 0 : VMO_CREATE_RESIZABLE, 100);

	w->pin = -1;
	w->watch = -1;
	w->made = -1;
	w->map = NULL;
	w->private = NULL;
	w->made_map = NULL;
	w->member[AUX].fd = op->on_aux ? new_member(w->dev, 0, 9000) : -1;
	memset(w->io, 1, BYTES);
	if (fd < 0 || (op->on_aux && w->member[AUX].fd < 0))
		return false;
	if (!(flags & CLONE) && !mappings(w, fd, flags))
		return false;
	if (!snapshot(w, fd, flags))
		return false;
	if (flags & CLONE && !mappings(w, w->member[OBJECT].fd, flags))
		return false;
	if (flags & BASE && !part(w->member[OBJECT].fd))
		return false;
	if (flags & WATCHED && !watch(w))
		return false;
	if (flags & PINNED)
		w->pin = vmo_pin_flags(w->member[OBJECT].fd, PS, 2 * PS, VMO_PIN_READ);
	return w->pin >= 0 || !(flags & PINNED);
}

static void close_some(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void world_end(struct world *w)
{
	if (w->map)
		munmap(w->map, SIZE);
	if (w->private)
		munmap(w->private, SIZE);
	if (w->made_map)
		munmap(w->made_map, SIZE);
	for (int i = 0; i < MEMBERS; i++)
		close_some(w->member[i].fd);
	close_some(w->reference);
	close_some(w->pin);
	close_some(w->watch);
	close_some(w->made);
}

/* ---- what is expected ---- */

/* Of the page at one place, of which [from, to) is in the range. */
static void apply(enum effect effect, char *now, const char *source, size_t from, size_t to)
{
	switch (effect) {
	case ZEROES:
		memset(now + from, 0, to - from);
		break;
	case WRITES:
		memset(now + from, 1, to - from);
		break;
	case COPIES:
		memcpy(now + from, source + from, to - from);
		break;
	default:
		break;
	}
}

static void expect(struct world *w, struct member *m, enum effect effect, const struct op *op)
{
	const char *source = w->member[m == &w->member[AUX] ? OBJECT : AUX].was;
	uint64_t first = first_byte(op), end = first + byte_count(op);

	m->now_size = m->info.content_size;
	memcpy(m->now, effect == REVERTS ? w->member[OTHER].was : m->was, BYTES);
	if (effect == REVERTS) {
		m->now_size = w->member[OTHER].info.content_size;
		return;
	}
	if (effect == RESIZES) {
		m->now_size = first;
		end = -1ULL;
		effect = ZEROES;
	} else if (effect == WRITES && m->now_size < end) {
		m->now_size = end;
	}
	for (size_t i = 0; i < PLACES; i++) {
		uint64_t at = place[i] * PS;

		if (at < end && at + PS > first)
			apply(effect, m->now + i * PS, source + i * PS,
			      at < first ? first - at : 0, end < at + PS ? end - at : PS);
	}
}

static void remember(struct world *w, const struct op *op)
{
	const enum effect effect[MEMBERS] = { [OBJECT] = op->effect, [AUX] = op->on_aux };

	for (int i = 0; i < MEMBERS; i++) {
		struct member *m = &w->member[i];

		if (m->fd < 0)
			continue;
		look(m->fd, m->was);
		m->info = info_of(m->fd);
	}
	for (int i = 0; i < MEMBERS; i++)
		if (w->member[i].fd >= 0)
			expect(w, &w->member[i], effect[i], op);
}

/* The place of the first byte that is neither as before nor as afterwards; -1 if none. */
static long neither(const struct member *m, const char *seen)
{
	for (size_t i = 0; i < BYTES; i++)
		if (seen[i] != m->was[i] && seen[i] != m->now[i])
			return place[i / PS];
	return -1;
}

/* The place of the first page that differs; -1 if none. */
static long differs(const char *want, const char *seen)
{
	for (size_t i = 0; i < PLACES; i++)
		if (memcmp(want + i * PS, seen + i * PS, PS))
			return place[i];
	return -1;
}

/* What a command made and then dropped may take a moment to go. */
static bool same_info(const struct member *m)
{
	struct vmo_info info = info_of(m->fd);

	for (int i = 0; i < 100 && info.children != m->info.children; i++) {
		usleep(10000);
		info = info_of(m->fd);
	}
	if (!memcmp(&info, &m->info, offsetof(struct vmo_info, name) + VMO_NAME_SIZE))
		return true;
	for (size_t i = 0; i < offsetof(struct vmo_info, name) / 8; i++)
		if (((uint64_t *)&info)[i] != ((uint64_t *)&m->info)[i])
			printf("# word %zu of the info: %llu, was %llu\n", i,
			       ((unsigned long long *)&info)[i],
			       ((unsigned long long *)&m->info)[i]);
	return false;
}

/* How far an operation has come; NOTHING but that it may hold more now. */
enum state { BEFORE, NOTHING, BETWEEN, AFTER };

/* Its mapping and its reference have to show what the object does, which is in w->seen. */
static bool all_agree(struct world *w, const struct op *op)
{
	char *again = malloc(BYTES);
	bool same;

	look(w->reference, again);
	same = differs(w->seen, again) < 0;
	free(again);
	for (size_t i = 0; same && w->map && op->effect != RESIZES && i < PLACES; i++)
		same = place[i] >= PAGES || (op->flags & BASE && place[i] > 2048) ||
		       !memcmp(w->map + place[i] * PS, w->seen + i * PS, PS);
	return same && (!w->private || page_is(w->private + PS, 4711));
}

/* Why it is not so; NULL if it is. */
static const char *member_wrong(struct world *w, int which, enum state state)
{
	struct member *m = &w->member[which];
	struct vmo_info info = info_of(m->fd);

	look(m->fd, w->seen);
	switch (state) {
	case BEFORE:
	case NOTHING:
		if (differs(m->was, w->seen) >= 0)
			return "its content has changed";
		if (info.content_size != m->info.content_size)
			return "its size has changed";
		return state == NOTHING || same_info(m) ? NULL : "its counts have changed";
	case BETWEEN:
		if (neither(m, w->seen) >= 0)
			return "its content is neither the old nor the new one";
		if (info.pinned_bytes != m->info.pinned_bytes)
			return "pins are left";
		return info.content_size != m->info.content_size &&
		       info.content_size > m->now_size ? "its size is too large" : NULL;
	default:
		if (differs(m->now, w->seen) >= 0)
			return "its content is not the new one";
		return info.content_size != m->now_size ? "its size is not the new one" : NULL;
	}
}

/* A child shows what the object did when it was made, and a buffer what was read. */
static bool made_shows(struct world *w, const struct op *op)
{
	uint64_t first = first_byte(op), end = first + byte_count(op);
	bool same = true;

	for (size_t i = 0; same && op->flags & (SHOWS | READS) && i < PLACES; i++) {
		uint64_t at = place[i] * PS;

		if (at < first || at >= end || at >= SIZE)
			continue;
		if (op->flags & READS)
			memcpy(w->seen, w->io + at - first, PS);
		else if (pread(w->made, w->seen, PS, at - first) != (ssize_t)PS)
			return false;
		same = !memcmp(w->seen, w->member[OBJECT].was + i * PS, PS);
	}
	return same;
}

static const char *wrong(struct world *w, const struct op *op, enum state state)
{
	static const char * const name[MEMBERS] = { "object", "relative", "other" };
	static char text[80];
	const char *why = NULL;

	/* The object is the last, and what it shows is compared with the others. */
	for (int i = MEMBERS - 1; !why && i >= OBJECT; i--) {
		bool stays = i == OTHER || (i == AUX && !op->on_aux);

		if (w->member[i].fd < 0)
			continue;
		why = member_wrong(w, i, stays && state != BEFORE ? AFTER : state);
		if (why)
			snprintf(text, sizeof(text), "%s: %s", name[i], why);
	}
	if (why)
		return text;
	if (!all_agree(w, op))
		return "a mapping or the reference shows something else";
	if (state == AFTER && !made_shows(w, op))
		return "what was made, or read, is something else";
	return NULL;
}

/* ---- the sweep ---- */

struct tally {
	int injected;
	int failed;
	int bad_address;	/* of those that failed: a copy to or from the user did */
};

#define MOST	1000	/* allocations, of an operation that does not come to an end */

static enum state failed_state(const struct op *op, int ret)
{
	if (op->flags & OWNS || (op->flags & COUNTS && ret < 0))
		return NOTHING;
	if (op->flags & COUNTS)
		return BETWEEN;
	return op->flags & PARTLY ? BETWEEN : BEFORE;
}

/* It failed; and unless it cannot be, it is done after all then. False if not. */
static bool after_failure(struct __test_metadata *_metadata, struct world *w,
			  const struct op *op, int ret, const char *error)
{
	const char *why = wrong(w, op, failed_state(op, ret));

	EXPECT_EQ(NULL, why) TH_LOG("%s: %s", error, why);
	EXPECT_FALSE(op->flags & FAULTS);
	EXPECT_EQ(-1, w->made);
	if (op->flags & ONCE)
		return false;
	EXPECT_EQ(0, op->run(w, op)) TH_LOG("%s, and again: %s", error, strerror(errno));
	return true;
}

/* False when there was nothing left that could fail. */
static bool one_failure(struct __test_metadata *_metadata, struct world *w,
			const struct op *op, int nth, struct tally *tally)
{
	bool injected, done = true;
	int fds = count_fds(), ret;
	const char *why, *error;

	ASSERT_TRUE(world_make(w, op));
	remember(w, op);
	ASSERT_TRUE(fail_nth(nth));
	errno = 0;
	ret = op->run(w, op);
	error = strerrorname_np(errno);
	injected = fail_nth_was();
	tally->injected += injected;
	if (ret) {
		tally->failed++;
		tally->bad_address += ret < 0 && !strcmp(error, "EFAULT");
		EXPECT_TRUE(injected) TH_LOG("%d: failed without a reason: %s", nth, error);
		/* Less than was asked for is no error. */
		if (ret < 0)
			EXPECT_TRUE(!strcmp(error, "ENOMEM") || !strcmp(error, "EFAULT"))
				TH_LOG("%d: %s", nth, error);
		done = after_failure(_metadata, w, op, ret, error);
	}
	why = done ? wrong(w, op, AFTER) : NULL;
	EXPECT_EQ(NULL, why) TH_LOG("%d, done: %s", nth, why);
	world_end(w);
	EXPECT_EQ(fds, count_fds());
	return injected;
}

FIXTURE(vmo) {
	struct world w;
	struct fail_nth_knobs saved;
	bool able;
	long objects, contents, pages, nodes, pins;
};

FIXTURE_VARIANT(vmo) {
	struct op op;
};

FIXTURE_SETUP(vmo)
{
	struct world *w = &self->w;

	self->objects = vmo_counter("objects");
	self->contents = vmo_counter("contents");
	self->pages = vmo_counter("pages");
	self->nodes = vmo_counter("nodes");
	self->pins = vmo_counter("pins");
	w->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, w->dev);
	/* Made use of here, so that they do not fault later. */
	w->io = memset(malloc(BYTES), 1, BYTES);
	w->seen = memset(malloc(BYTES), 1, BYTES);
	for (int i = 0; i < MEMBERS; i++) {
		w->member[i].was = malloc(BYTES);
		w->member[i].now = malloc(BYTES);
	}
	self->able = fail_nth_able() && fail_nth_fd() >= 0;
	if (self->able)
		ASSERT_TRUE(fail_nth_begin(&self->saved));
}

/* Also if the test broke off. What fails is told per task, and that one has ended. */
FIXTURE_TEARDOWN_PARENT(vmo)
{
	EXPECT_TRUE(fail_nth_end(&self->saved));
	EXPECT_EQ(self->objects, vmo_counter_becomes("objects", self->objects));
	EXPECT_EQ(self->contents, vmo_counter_becomes("contents", self->contents));
	EXPECT_EQ(self->pages, vmo_counter_becomes("pages", self->pages));
	EXPECT_EQ(self->nodes, vmo_counter_becomes("nodes", self->nodes));
	EXPECT_EQ(self->pins, vmo_counter_becomes("pins", self->pins));
}

TEST_F_TIMEOUT(vmo, n3_t4_k10_each_allocation_fails, 300)
{
	struct tally tally = { };
	int from = variant->op.from ?: 1, nth = from;

	if (!self->able)
		SKIP(return, "this kernel cannot inject failures");
	if (variant->op.flags & FLAWED && !getenv("VMO_FLAWS"))
		SKIP(return, "known not to be so");
	while (nth < MOST && one_failure(_metadata, &self->w, &variant->op, nth, &tally))
		nth++;
	printf("# %s: %d failures injected, %d times it failed, of these %d times a copy\n",
	       variant->op.name, tally.injected, tally.failed, tally.bad_address);
	EXPECT_GT(MOST, nth);
	if (!(variant->op.flags & QUIET))
		EXPECT_LT(0, tally.injected);
	EXPECT_EQ(nth - from, tally.injected);
}

/* ---- the operations: 0, -1 with errno, 1 if less than asked for was done ---- */

static int object(struct world *w)
{
	return w->member[OBJECT].fd;
}

static int made(struct world *w, int fd)
{
	w->made = fd;
	return fd < 0 ? -1 : 0;
}

static int copied(ssize_t got, const struct op *op)
{
	return got < 0 ? -1 : got != (ssize_t)byte_count(op);
}

static int run_create(struct world *w, const struct op *op)
{
	return made(w, vmo_new_flags(w->dev, SIZE, op->arg));
}

static int run_clone(struct world *w, const struct op *op)
{
	struct vmo_clone arg = {
		.offset = first_byte(op), .size = byte_count(op),
		.flags = VMO_CLONE_SNAPSHOT | op->arg, .fd = -1,
	};

	return made(w, ioctl(object(w), VMO_CLONE, &arg) ? -1 : arg.fd);
}

static int run_slice(struct world *w, const struct op *op)
{
	return made(w, vmo_slice(object(w), first_byte(op), byte_count(op), op->arg));
}

static int run_reference(struct world *w, const struct op *op)
{
	return made(w, vmo_reference(object(w), op->arg));
}

static int run_pin(struct world *w, const struct op *op)
{
	return made(w, vmo_pin_flags(object(w), first_byte(op), byte_count(op), op->arg));
}

static int run_resize(struct world *w, const struct op *op)
{
	return vmo_set_size(object(w), first_byte(op));
}

static int run_range(struct world *w, const struct op *op)
{
	return vmo_op(object(w), op->arg, first_byte(op), byte_count(op));
}

/* Object to the other, or back. */
static int run_transfer(struct world *w, const struct op *op)
{
	int other = w->member[AUX].fd;
	struct vmo_transfer arg = {
		.offset = first_byte(op), .src_offset = first_byte(op), .length = byte_count(op),
		.src_fd = op->arg ? object(w) : other,
	};

	return ioctl(op->arg ? other : object(w), VMO_TRANSFER, &arg);
}

static int run_restrict(struct world *w, const struct op *op)
{
	struct vmo_restrict arg = { .rights = op->arg, .fd = -1 };

	return made(w, ioctl(object(w), VMO_RESTRICT, &arg) ? -1 : arg.fd);
}

static int run_pages(struct world *w, const struct op *op)
{
	struct vmo_page_run runs[PLACES];
	struct vmo_pages arg = {
		.length = byte_count(op), .runs = (uintptr_t)runs, .count = PLACES,
	};

	return ioctl(object(w), VMO_PAGES, &arg);
}

static int run_lookup(struct world *w, const struct op *op)
{
	struct vmo_lookup_entry entries[PLACES];
	struct vmo_lookup arg = {
		.length = byte_count(op), .entries = (uintptr_t)entries, .count = PLACES,
		.flags = op->arg,
	};

	return ioctl(object(w), VMO_LOOKUP, &arg);
}

static int run_diff(struct world *w, const struct op *op)
{
	struct vmo_range ranges[PLACES];
	struct vmo_diff arg = {
		.length = byte_count(op), .ranges = (uintptr_t)ranges, .count = PLACES,
		.other_fd = w->member[OTHER].fd,
	};

	return ioctl(object(w), VMO_DIFF, &arg);
}

static int run_rewind(struct world *w, const struct op *op)
{
	struct vmo_rewind arg = { };

	return ioctl(object(w), VMO_REWIND, &arg);
}

static int run_harvester(struct world *w, const struct op *op)
{
	struct vmo_harvester arg = { .fd = -1 };

	return made(w, ioctl(object(w), VMO_HARVESTER, &arg) ? -1 : arg.fd);
}

/* What was written is told by the first call that does not fail. */
static int run_harvest(struct world *w, const struct op *op)
{
	struct vmo_range range[PLACES];
	struct vmo_harvest arg = {
		.length = -1, .ranges = (uintptr_t)range, .count = PLACES, .flags = op->arg,
	};

	if (ioctl(w->watch, VMO_HARVEST, &arg))
		return -1;
	errno = ESTALE;
	return arg.count == 2 && range[0].offset == PS && range[0].length == PS &&
	       range[1].offset == 32 * PS && range[1].length == PS ? 0 : -1;
}

static int run_name(struct world *w, const struct op *op)
{
	struct vmo_name arg = { .flags = op->arg };

	return ioctl(object(w), VMO_NAME, &arg);
}

static int run_info(struct world *w, const struct op *op)
{
	struct vmo_info info;

	return vmo_stat(object(w), &info);
}

/* In more pieces than fit on the kernel's stack. */
static int run_strict(struct world *w, const struct op *op)
{
	struct iovec iov[16];
	struct vmo_rw arg = {
		.offset = first_byte(op), .iov = (uintptr_t)iov, .iov_count = ARRAY_SIZE(iov),
	};
	uint64_t piece = byte_count(op) / ARRAY_SIZE(iov);

	for (size_t i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = (struct iovec) { w->io + i * piece, piece };
	iov[15].iov_len = byte_count(op) - 15 * piece;
	return ioctl(object(w), op->arg, &arg);
}

static int run_pwrite(struct world *w, const struct op *op)
{
	return copied(pwrite(object(w), w->io, byte_count(op), first_byte(op)), op);
}

static int run_pread(struct world *w, const struct op *op)
{
	return copied(pread(object(w), w->io, byte_count(op), first_byte(op)), op);
}

static int run_copy_file_range(struct world *w, const struct op *op)
{
	int to = w->member[AUX].fd;

	/* With pointers to offsets the copy of these may be what fails, after all is done. */
	lseek(object(w), first_byte(op), SEEK_SET);
	lseek(to, first_byte(op), SEEK_SET);
	return copied(copy_file_range(object(w), NULL, to, NULL, byte_count(op), 0), op);
}

static int run_fallocate(struct world *w, const struct op *op)
{
	return fallocate(object(w), op->arg, first_byte(op), byte_count(op));
}

static int run_mmap(struct world *w, const struct op *op)
{
	w->made_map = vmo_map_at(object(w), 0, PAGES, RW, op->arg);
	return w->made_map ? 0 : -1;
}

static int run_fault(struct world *w, const struct op *op)
{
	return touch(w->map + first_byte(op), op->arg);
}

static int run_advice(struct world *w, const struct op *op)
{
	return madvise(w->map + first_byte(op), byte_count(op), op->arg);
}

static int run_fork(struct world *w, const struct op *op)
{
	int pid = fork(), status;

	if (!pid)
		_exit(w->map[first_byte(op)] == w->private[first_byte(op)] ? 0 : 1);
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

#define ATTEMPT(_name, ...) FIXTURE_VARIANT_ADD(vmo, _name) { .op = { #_name, __VA_ARGS__ } }

ATTEMPT(create, run_create);
ATTEMPT(create_longterm, run_create, .arg = VMO_CREATE_LONGTERM);

ATTEMPT(clone_written, run_clone, MAPPED | SHOWS, .length = PAGES);
ATTEMPT(clone_again, run_clone, SHARED | MAPPED | SHOWS, .length = PAGES);
ATTEMPT(clone_window, run_clone, MAPPED | SHOWS, .offset = 1, .length = 2047);
ATTEMPT(clone_of_clone, run_clone, CLONE | SHOWS, .length = PAGES);
ATTEMPT(clone_no_write, run_clone, SHOWS, .arg = VMO_CLONE_NO_WRITE, .length = PAGES);
ATTEMPT(clone_longterm, run_clone, SHOWS, .arg = VMO_CLONE_LONGTERM, .length = PAGES);
ATTEMPT(clone_copy_pinned, run_clone, MAPPED | PINNED | SHOWS, .arg = VMO_CLONE_COPY_PINNED,
	.length = PAGES);
ATTEMPT(clone_copy_pinned_again, run_clone, SHARED | PINNED | SHOWS, .arg = VMO_CLONE_COPY_PINNED,
	.offset = 2, .length = PAGES - 2);
ATTEMPT(clone_keep_base, run_clone, MAPPED | SHOWS, .arg = VMO_CLONE_KEEP_BASE, .length = PAGES);
ATTEMPT(clone_keep_base_of_one, run_clone, CLONE | BASE | SHOWS, .arg = VMO_CLONE_KEEP_BASE,
	.offset = 1, .length = 2040);
ATTEMPT(slice, run_slice, FIXED | SHOWS, .offset = 2, .length = 40);
ATTEMPT(slice_of_clone, run_slice, FIXED | CLONE | SHOWS, .offset = 2, .length = 40);
ATTEMPT(reference, run_reference, SHOWS, .length = PAGES);
ATTEMPT(reference_resizable, run_reference, SHARED | SHOWS, .arg = VMO_REFERENCE_RESIZABLE,
	.length = PAGES);

ATTEMPT(resize_grow, run_resize, .offset = 2 * PAGES, .effect = RESIZES);
ATTEMPT(resize_shrink, run_resize, MAPPED, .offset = 32, .effect = RESIZES);
ATTEMPT(resize_shrink_shared, run_resize, SHARED | MAPPED, .offset = 31, .effect = RESIZES);
ATTEMPT(resize_odd, run_resize, MAPPED, .offset = 31, .offset_bytes = 100, .effect = RESIZES);
ATTEMPT(resize_odd_shared, run_resize, SHARED | MAPPED | OWNS, .offset = 31, .offset_bytes = 100,
	.effect = RESIZES);
ATTEMPT(resize_odd_clone, run_resize, CLONE | OWNS, .offset = 2047, .offset_bytes = 1,
	.effect = RESIZES);
ATTEMPT(resize_odd_hole, run_resize, SHARED, .offset = 33, .offset_bytes = 1, .effect = RESIZES);
ATTEMPT(resize_empty, run_resize, SHARED, .effect = RESIZES);

ATTEMPT(commit_hole, run_range, PARTLY, VMO_OP_COMMIT, .offset = 33, .length_bytes = 1);
ATTEMPT(commit_many, run_range, MAPPED | PARTLY, VMO_OP_COMMIT, .offset = 2040, .length = 12);
ATTEMPT(commit_shared, run_range, SHARED | MAPPED | PARTLY, VMO_OP_COMMIT, .offset = 30,
	.length = 12);
ATTEMPT(commit_clone, run_range, CLONE | PARTLY, VMO_OP_COMMIT, .offset = 2046, .length = 4);

ATTEMPT(decommit_all, run_range, MAPPED | QUIET, VMO_OP_DECOMMIT, .length = PAGES,
	.effect = ZEROES);
ATTEMPT(decommit_part, run_range, QUIET, VMO_OP_DECOMMIT, .offset = 31, .length = 2,
	.effect = ZEROES);
ATTEMPT(decommit_shared, run_range, SHARED | MAPPED, VMO_OP_DECOMMIT, .offset = 31, .length = 2017,
	.effect = ZEROES);

ATTEMPT(zero_all, run_range, MAPPED | QUIET, VMO_OP_ZERO, .length = PAGES, .effect = ZEROES);
ATTEMPT(zero_bytes, run_range, MAPPED | QUIET, VMO_OP_ZERO, .offset = 2, .offset_bytes = 10,
	.length_bytes = 20, .effect = ZEROES);
ATTEMPT(zero_bytes_shared, run_range, SHARED | MAPPED, VMO_OP_ZERO, .offset = 2, .offset_bytes = 10,
	.length_bytes = 20, .effect = ZEROES);
ATTEMPT(zero_pages_shared, run_range, SHARED | MAPPED, VMO_OP_ZERO, .offset = 31, .length = 2,
	.effect = ZEROES);
ATTEMPT(zero_pages_clone, run_range, CLONE, VMO_OP_ZERO, .offset = 1, .length = 2047,
	.effect = ZEROES);
/* What is done in several steps is done in part if one of them fails. */
ATTEMPT(zero_odd_shared, run_range, SHARED | MAPPED | PARTLY, VMO_OP_ZERO, .offset = 31,
	.offset_bytes = 8, .length = 2016, .effect = ZEROES);
ATTEMPT(zero_odd_clone, run_range, CLONE | PARTLY, VMO_OP_ZERO, .offset = 30, .offset_bytes = 8,
	.length = 2, .effect = ZEROES);
ATTEMPT(zero_pinned, run_range, SHARED | MAPPED | PINNED | PARTLY, VMO_OP_ZERO, .length = 32,
	.effect = ZEROES);
/* The header has no word of that, so what failed should have changed nothing. */
ATTEMPT(zero_odd_nothing, run_range, SHARED | OWNS | FLAWED, VMO_OP_ZERO, .offset = 31,
	.offset_bytes = 8, .length = 2016, .effect = ZEROES);

ATTEMPT(pin, run_pin, PARTLY, VMO_PIN_WRITE, .offset = 30, .length = 4);
ATTEMPT(pin_shared, run_pin, SHARED | MAPPED | PARTLY, VMO_PIN_READ, .offset = 2046, .length = 4);
ATTEMPT(pin_pinned, run_pin, CLONE | PINNED | PARTLY, VMO_PIN_READ, .offset = 0, .length = 4);

enum { TAKE, GIVE };

ATTEMPT(transfer_take, run_transfer, MAPPED | OWNS, TAKE, .offset = 30, .length = 4,
	.effect = COPIES, .on_aux = ZEROES);
ATTEMPT(transfer_take_shared, run_transfer, SHARED | MAPPED | OWNS, TAKE, .offset = 30,
	.length = 4, .effect = COPIES, .on_aux = ZEROES);
ATTEMPT(transfer_give, run_transfer, MAPPED | OWNS, GIVE, .offset = 30, .length = 4,
	.effect = ZEROES, .on_aux = COPIES);
ATTEMPT(transfer_give_shared, run_transfer, SHARED | MAPPED | OWNS, GIVE, .offset = 30,
	.length = 4, .effect = ZEROES, .on_aux = COPIES);
ATTEMPT(transfer_give_clone, run_transfer, CLONE | OWNS, GIVE, .offset = 2046, .length = 4,
	.effect = ZEROES, .on_aux = COPIES);
/* What is larger than 2 MiB goes in several pieces. */
ATTEMPT(transfer_take_all, run_transfer, SHARED | PARTLY | ONCE, TAKE, .length = PAGES,
	.effect = COPIES, .on_aux = ZEROES);
ATTEMPT(transfer_give_all, run_transfer, SHARED | PARTLY | ONCE, GIVE, .length = PAGES,
	.effect = ZEROES, .on_aux = COPIES);

ATTEMPT(restrict, run_restrict, SHARED | SHOWS, VMO_RIGHT_READ | VMO_RIGHT_MAP,
	.length = PAGES);
ATTEMPT(pages, run_pages, SHARED | MAPPED | QUIET, .length = PAGES);
ATTEMPT(lookup, run_lookup, SHARED | MAPPED | PINNED | QUIET, .length = PAGES);
ATTEMPT(lookup_shared, run_lookup, CLONE | QUIET, VMO_LOOKUP_SHARED, .length = PAGES);
ATTEMPT(diff, run_diff, CLONE | BASE | QUIET, .length = 2049);
ATTEMPT(rewind, run_rewind, CLONE | BASE, .effect = REVERTS);
ATTEMPT(rewind_mapped, run_rewind, CLONE | BASE | MAPPED, .effect = REVERTS);
ATTEMPT(pwrite_base, run_pwrite, CLONE | BASE | COUNTS, .offset = 2046, .length = 2,
	.effect = WRITES);
ATTEMPT(resize_odd_base, run_resize, CLONE | BASE | OWNS, .offset = 31, .offset_bytes = 1,
	.effect = RESIZES);
ATTEMPT(harvester, run_harvester, SHARED | MAPPED);
ATTEMPT(harvest, run_harvest, WATCHED | QUIET);
ATTEMPT(harvest_mapped, run_harvest, SHARED | UNTOUCHED | WATCHED | QUIET);
ATTEMPT(harvest_keep, run_harvest, CLONE | UNTOUCHED | WATCHED | QUIET, VMO_HARVEST_KEEP);
ATTEMPT(clone_watched, run_clone, UNTOUCHED | WATCHED | SHOWS, .length = PAGES);
ATTEMPT(pwrite_watched, run_pwrite, SHARED | MAPPED | WATCHED | COUNTS, .offset = 2046,
	.length = 4, .effect = WRITES);
ATTEMPT(zero_watched, run_range, SHARED | MAPPED | WATCHED | PARTLY, VMO_OP_ZERO, .offset = 31,
	.offset_bytes = 8, .length = 2016, .effect = ZEROES);
ATTEMPT(resize_watched, run_resize, SHARED | MAPPED | WATCHED, .offset = 32, .effect = RESIZES);
ATTEMPT(transfer_watched, run_transfer, MAPPED | WATCHED | OWNS, TAKE, .offset = 30, .length = 4,
	.effect = COPIES, .on_aux = ZEROES);
ATTEMPT(transfer_away_watched, run_transfer, MAPPED | WATCHED | OWNS, GIVE, .offset = 2046,
	.length = 4, .effect = ZEROES, .on_aux = COPIES);
ATTEMPT(rewind_watched, run_rewind, CLONE | BASE | WATCHED, .effect = REVERTS);
ATTEMPT(pin_watched, run_pin, SHARED | MAPPED | WATCHED | PARTLY, VMO_PIN_READ, .offset = 2046,
	.length = 4);
ATTEMPT(name_get, run_name, QUIET);
ATTEMPT(name_set, run_name, QUIET, VMO_NAME_SET);
ATTEMPT(info, run_info, QUIET | SHARED);

ATTEMPT(strict_read_hole, run_strict, READS, VMO_READ, .offset = 3, .length = 1);
ATTEMPT(strict_read_shared, run_strict, SHARED | READS, VMO_READ, .offset = 30, .length = 4);
ATTEMPT(strict_write_hole, run_strict, PARTLY, VMO_WRITE, .offset = 3, .length = 1,
	.effect = WRITES);
ATTEMPT(strict_write_shared, run_strict, SHARED | MAPPED | PARTLY, VMO_WRITE, .offset = 30,
	.offset_bytes = 7, .length = 3, .effect = WRITES);

ATTEMPT(pread_hole, run_pread, READS | QUIET, .offset = 3, .length = 1);
ATTEMPT(pread_shared, run_pread, SHARED | READS | QUIET, .offset = 30, .length = 4);
ATTEMPT(pwrite_hole, run_pwrite, COUNTS, .offset = 32, .offset_bytes = 5, .length = 1,
	.effect = WRITES);
ATTEMPT(pwrite_shared, run_pwrite, SHARED | MAPPED | COUNTS, .offset = 30, .offset_bytes = 5,
	.length = 3, .effect = WRITES);
ATTEMPT(pwrite_clone, run_pwrite, CLONE | COUNTS, .offset = 2046, .length = 4, .effect = WRITES);
ATTEMPT(pwrite_growing, run_pwrite, COUNTS, .offset = PAGES, .offset_bytes = 9, .length = 1,
	.effect = WRITES);
ATTEMPT(pwrite_growing_shared, run_pwrite, SHARED | COUNTS, .offset = PAGES - 1,
	.offset_bytes = 9, .length = 1, .effect = WRITES);
ATTEMPT(copy_file_range, run_copy_file_range, SHARED | COUNTS, .offset = 30, .length = 4,
	.on_aux = COPIES);
ATTEMPT(fallocate, run_fallocate, SHARED | PARTLY, .offset = 30, .length = 4);
ATTEMPT(fallocate_punch, run_fallocate, SHARED | MAPPED,
	FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, .offset = 31, .length = 2, .effect = ZEROES);

ATTEMPT(mmap, run_mmap, SHARED, MAP_SHARED);
ATTEMPT(mmap_private, run_mmap, 0, MAP_PRIVATE);
ATTEMPT(read_fault, run_fault, UNTOUCHED | FAULTS, false, .offset = 2047);
ATTEMPT(read_fault_hole, run_fault, UNTOUCHED | FAULTS, false, .offset = 33);
ATTEMPT(read_fault_clone, run_fault, CLONE | UNTOUCHED | FAULTS, false, .offset = 33);
ATTEMPT(write_fault, run_fault, UNTOUCHED | FAULTS, true, .offset = 2047, .length_bytes = 1,
	.effect = WRITES);
ATTEMPT(write_fault_hole, run_fault, UNTOUCHED | FAULTS, true, .offset = 33, .length_bytes = 1,
	.effect = WRITES);
ATTEMPT(write_fault_shared, run_fault, SHARED | MAPPED | FAULTS, true, .offset = 2,
	.length_bytes = 1, .effect = WRITES);
ATTEMPT(write_fault_pinned, run_fault, SHARED | MAPPED | PINNED | FAULTS, true, .offset = 32,
	.length_bytes = 1, .effect = WRITES);
ATTEMPT(populate_read, run_advice, UNTOUCHED | SHARED | PARTLY, MADV_POPULATE_READ, .offset = 30,
	.length = 4);
ATTEMPT(populate_write, run_advice, UNTOUCHED | SHARED | PARTLY, MADV_POPULATE_WRITE, .offset = 30,
	.length = 4);
/* The first are those of a stack for the kernel, whose failure the kernel's log tells. */
ATTEMPT(fork, run_fork, SHARED | MAPPED | PRIVATE, .offset = 2, .from = 40);

/* Where nothing can be injected, one line says so, not one for each operation. */
int main(int argc, char **argv)
{
	if (fail_nth_able())
		return test_harness_run(argc, argv);
	ksft_print_header();
	ksft_set_plan(1);
	ksft_test_result_skip("%s: this kernel cannot inject failures\n",
			      "n3_t4_k10_each_allocation_fails");
	ksft_finished();
}
