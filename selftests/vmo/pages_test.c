// SPDX-License-Identifier: GPL-2.0
/*
 * VMO_PAGES and VMO_LOOKUP: which pages there are, in what state, and where. V1 is what
 * is answered, V2 the address of one page, V3 that looking changes nothing.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#define LEAF		64	/* slots of a leaf */
#define NOBODY		65534
#define MANY		20000	/* more runs than a call has to answer at once */

#define PRESENT		VMO_PAGE_PRESENT
#define SHARED		VMO_PAGE_SHARED
#define PINNED		VMO_PAGE_PINNED
#define WRITABLE	VMO_PAGE_WRITABLE

static int pages_of(int fd, uint64_t offset, uint64_t length, void *runs, uint32_t count)
{
	struct vmo_pages arg = {
		.offset = offset, .length = length, .runs = (uintptr_t)runs, .count = count,
	};

	return ioctl(fd, VMO_PAGES, &arg) ? -1 : (int)arg.count;
}

/* The state of one page; -1 if that is not one run of one page. */
static uint32_t state_of(int fd, size_t page)
{
	struct vmo_page_run run[2];

	memset(run, 0xff, sizeof(run));
	if (pages_of(fd, page * PS, PS, run, 2) != 1 || run[0].offset != page * PS ||
	    run[0].length != PS || run[0].reserved)
		return -1U;
	return run[0].state;
}

static int lookup(int fd, uint64_t offset, uint64_t length, uint32_t flags,
		  struct vmo_lookup_entry *entry, uint32_t count)
{
	struct vmo_lookup arg = {
		.offset = offset, .length = length, .entries = (uintptr_t)entry, .count = count,
		.flags = flags,
	};

	return ioctl(fd, VMO_LOOKUP, &arg) ? -1 : (int)arg.count;
}

/* How many pages are the object's own, of @pages; and how many it reads. */
static int own_pages(int fd, size_t pages)
{
	struct vmo_lookup_entry entry[256];

	return lookup(fd, 0, pages * PS, 0, entry, 256);
}

static int all_pages(int fd, size_t pages)
{
	struct vmo_lookup_entry entry[256];

	return lookup(fd, 0, pages * PS, VMO_LOOKUP_SHARED, entry, 256);
}

/* ---- states ------------------------------------------------------------ */

TEST_F(vmo, v1_states)
{
	int fd = vmo_new_pages(self->dev, 4), child, pin;
	char *p = vmo_map(fd, 4, RW);

	ASSERT_NE(NULL, p);
	EXPECT_EQ(0, state_of(fd, 0));
	/* Reading makes no page. */
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(0, state_of(fd, 0));
	fill_page(p, 1);
	EXPECT_EQ(PRESENT | WRITABLE, state_of(fd, 0));
	ASSERT_EQ(0, write_page(fd, 1, 2));
	EXPECT_EQ(PRESENT, state_of(fd, 1) & ~WRITABLE);
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(PRESENT | SHARED, state_of(fd, i));
		EXPECT_EQ(PRESENT | SHARED, state_of(child, i));
	}
	EXPECT_EQ(0, state_of(fd, 2));
	EXPECT_EQ(0, state_of(child, 2));
	/* Written on one side: nobody shares it any more. */
	fill_page(p, 3);
	EXPECT_EQ(PRESENT | WRITABLE, state_of(fd, 0));
	EXPECT_EQ(PRESENT, state_of(child, 0));
	EXPECT_EQ(PRESENT | SHARED, state_of(fd, 1));
	/* Pins own what they pin. */
	pin = vmo_pin_flags(child, PS, 2 * PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	EXPECT_EQ(PRESENT | PINNED, state_of(child, 1) & ~WRITABLE);
	EXPECT_EQ(PRESENT | PINNED, state_of(child, 2) & ~WRITABLE);
	EXPECT_EQ(PRESENT, state_of(child, 0));
	EXPECT_EQ(PRESENT, state_of(fd, 1) & ~WRITABLE);
	EXPECT_EQ(0, state_of(fd, 2));
	close(pin);
	EXPECT_EQ(PRESENT, state_of(child, 2) & ~WRITABLE);
	close(child);
	EXPECT_EQ(PRESENT, state_of(fd, 1) & ~WRITABLE);
	munmap(p, 4 * PS);
	close(fd);
}

/* Whoever may write without asking is asked again after a snapshot or mprotect(). */
TEST_F(vmo, v1_writable_means_no_question_asked)
{
	int fd = vmo_new_pages(self->dev, 4), child;
	char *p = vmo_map(fd, 4, RW);

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 4, 10);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(PRESENT | WRITABLE, state_of(fd, i));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, state_of(fd, i) & WRITABLE);
		EXPECT_EQ(0, state_of(child, i) & WRITABLE);
	}
	/* Reading changes nothing; a page that nobody shares is not thereby writable. */
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 10));
	close(child);
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 10));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(PRESENT, state_of(fd, i));
	fill_page(p + PS, 20);
	EXPECT_EQ(PRESENT | WRITABLE, state_of(fd, 1));
	EXPECT_EQ(PRESENT, state_of(fd, 2));
	munmap(p, 4 * PS);
	close(fd);
}

/* What is given up is a hole again; what the parent has is hidden, not there. */
TEST_F(vmo, v1_holes)
{
	int fd = vmo_new_pages(self->dev, 6), child;

	for (int i = 0; i < 6; i++)
		ASSERT_EQ(0, write_page(fd, i, 10 + i));
	child = vmo_window(fd, PS, 8 * PS);
	ASSERT_LE(0, child);
	ASSERT_EQ(0, vmo_op(child, VMO_OP_ZERO, PS, PS));
	EXPECT_EQ(PRESENT | SHARED, state_of(child, 0));
	EXPECT_EQ(0, state_of(child, 1));
	EXPECT_EQ(PRESENT | SHARED, state_of(child, 4));
	/* Past the end of the parent. */
	EXPECT_EQ(0, state_of(child, 5));
	EXPECT_EQ(0, state_of(child, 7));
	EXPECT_EQ(PRESENT, state_of(fd, 2) & ~WRITABLE);
	ASSERT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 2 * PS));
	EXPECT_EQ(0, state_of(fd, 0));
	EXPECT_EQ(0, state_of(fd, 1));
	EXPECT_EQ(PRESENT, state_of(child, 0));
	ASSERT_EQ(0, vmo_op(child, VMO_OP_COMMIT, 0, 8 * PS));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(PRESENT, state_of(child, i) & ~WRITABLE);
	close(child);
	close(fd);
}

/* Shared is said of contents, not of objects: slices and references are no others. */
TEST_F(vmo, v1_slices_and_references)
{
	int fd = vmo_new_pages(self->dev, 8), slice = vmo_slice(fd, 2 * PS, 4 * PS, 0), child;
	int reference = vmo_reference(fd, 0), pin;
	struct vmo_page_run run[8];

	ASSERT_EQ(0, write_page(fd, 3, 1));
	EXPECT_EQ(PRESENT, state_of(slice, 1) & ~WRITABLE);
	EXPECT_EQ(PRESENT, state_of(reference, 3) & ~WRITABLE);
	EXPECT_EQ(0, state_of(slice, 3));
	pin = vmo_pin_flags(slice, 3 * PS, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	EXPECT_EQ(PRESENT | PINNED, state_of(fd, 5) & ~WRITABLE);
	EXPECT_EQ(PRESENT | PINNED, state_of(reference, 5) & ~WRITABLE);
	close(pin);
	child = vmo_snap(slice);
	ASSERT_LE(0, child);
	EXPECT_EQ(PRESENT | SHARED, state_of(fd, 3));
	EXPECT_EQ(PRESENT | SHARED, state_of(child, 1));
	/* Offsets count from the start of the slice, and end with it. */
	ASSERT_EQ(4, pages_of(slice, 0, 4 * PS, run, 8));
	EXPECT_EQ(0, run[0].offset);
	EXPECT_EQ(PS, run[1].offset);
	EXPECT_EQ(3 * PS, run[3].offset);
	EXPECT_EQ(PRESENT | SHARED, run[3].state);
	EXPECT_ERRNO(ERANGE, pages_of(slice, 0, 5 * PS, run, 8));
	EXPECT_ERRNO(ERANGE, pages_of(slice, 4 * PS, PS, run, 8));
	close(child);
	close(reference);
	close(slice);
	close(fd);
}

/* ---- runs -------------------------------------------------------------- */

/* Pages in some pattern: holes, private ones, shared ones. */
static int patterned(int dev, size_t pages, int *child)
{
	int fd = vmo_new_pages(dev, pages);

	for (size_t i = 0; i < pages; i++)
		if (mix(i / 3) % 3 == 0)
			write_page(fd, i, 1 + i);
	*child = vmo_snap(fd);
	for (size_t i = 0; i < pages; i++)
		if (mix(i / 2 + 777) % 4 == 0)
			write_page(fd, i, 5 + i);
	return fd;
}

/* The states of @pages pages, asked one by one. */
static uint32_t *states_of(int fd, size_t pages)
{
	uint32_t *state = calloc(pages, sizeof(*state));

	for (size_t i = 0; i < pages; i++)
		state[i] = state_of(fd, i);
	return state;
}

/* Asks for [first, first + pages) with room for @room runs, until there are no more. */
static void try_runs(struct __test_metadata *_metadata, int fd, const uint32_t *state,
		     size_t first, size_t pages, uint32_t room)
{
	struct vmo_page_run *run = calloc(room + 1, sizeof(*run));
	struct vmo_pages arg = {
		.offset = first * PS, .length = pages * PS, .runs = (uintptr_t)run,
	};
	uint64_t at = arg.offset, end = arg.offset + arg.length;

	while (arg.length) {
		memset(run, 0xff, (room + 1) * sizeof(*run));
		arg.count = room;
		ASSERT_EQ(0, ioctl(fd, VMO_PAGES, &arg));
		ASSERT_LT(0, arg.count);
		ASSERT_GE(room, arg.count);
		/* Nothing is written behind them. */
		EXPECT_EQ(-1ULL, run[arg.count].offset);
		for (uint32_t i = 0; i < arg.count; i++) {
			ASSERT_EQ(at, run[i].offset);
			ASSERT_LT(0, run[i].length);
			ASSERT_EQ(0, run[i].length % PS);
			ASSERT_EQ(0, run[i].reserved);
			if (i)
				ASSERT_NE(run[i - 1].state, run[i].state);
			for (; at < run[i].offset + run[i].length; at += PS)
				ASSERT_EQ(state[at / PS], run[i].state)
					TH_LOG("page %lu, room for %u", at / PS, room);
		}
		ASSERT_EQ(at, arg.offset);
		ASSERT_EQ(end - at, arg.length);
	}
	EXPECT_EQ(end, at);
	free(run);
}

TEST_F_TIMEOUT(vmo, v1_runs_and_where_to_go_on, 120)
{
	const size_t n = 5 * LEAF + 30;
	const uint32_t rooms[] = { 1, 2, 3, 7, 50, 1000 };
	int child, fd = patterned(self->dev, n, &child);

	ASSERT_LE(0, child);
	for (int side = 0; side < 2; side++) {
		int of = side ? child : fd;
		uint32_t *state = states_of(of, n);

		for (size_t i = 0; i < n; i++)
			ASSERT_NE(-1U, state[i]);
		for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
			try_runs(_metadata, of, state, 0, n, rooms[i]);
			try_runs(_metadata, of, state, 1, n - 1, rooms[i]);
			try_runs(_metadata, of, state, LEAF, LEAF, rooms[i]);
			try_runs(_metadata, of, state, LEAF - 1, 2, rooms[i]);
			try_runs(_metadata, of, state, n - 1, 1, rooms[i]);
		}
		free(state);
	}
	close(child);
	close(fd);
}

/* States agree with SEEK_DATA and SEEK_HOLE, and with what INFO counts. */
TEST_F(vmo, v1_states_agree_with_seek_and_info)
{
	const size_t n = 3 * LEAF;
	int child, fd = patterned(self->dev, n, &child);
	size_t present = 0, shared = 0;
	struct vmo_info info;

	for (size_t i = 0; i < n; i++) {
		uint32_t state = state_of(fd, i);
		off_t data = lseek(fd, i * PS, SEEK_DATA);

		EXPECT_EQ(!!(state & PRESENT), data == (off_t)(i * PS))
			TH_LOG("page %zu", i);
		present += !!(state & PRESENT);
		shared += !!(state & SHARED);
	}
	info = info_of(fd);
	EXPECT_EQ(info.committed_bytes, present * PS);
	EXPECT_EQ(info.shared_bytes, shared * PS);
	EXPECT_LT(0, shared);
	EXPECT_LT(shared, present);
	close(child);
	close(fd);
}

/* More runs than fit into one call: what is left is told, and comes later. */
TEST_F_TIMEOUT(vmo, v1_many_runs, 120)
{
	int fd = vmo_new_pages(self->dev, MANY);
	struct vmo_page_run *run = calloc(MANY, sizeof(*run));
	struct vmo_pages arg = { .length = MANY * PS };
	size_t total = 0;

	for (size_t i = 0; i < MANY; i += 2)
		ASSERT_EQ(1, pwrite(fd, "x", 1, i * PS));
	while (arg.length) {
		arg.runs = (uintptr_t)(run + total);
		arg.count = MANY - total;
		ASSERT_EQ(0, ioctl(fd, VMO_PAGES, &arg));
		ASSERT_LT(0, arg.count);
		total += arg.count;
	}
	ASSERT_EQ(MANY, total);
	for (size_t i = 0; i < MANY; i++) {
		ASSERT_EQ(i * PS, run[i].offset);
		ASSERT_EQ(PS, run[i].length);
		ASSERT_EQ(i % 2 ? 0 : PRESENT, run[i].state & ~WRITABLE);
	}
	/* Room for more than there can be is no room that is needed. */
	arg = (struct vmo_pages) { .length = PS, .runs = (uintptr_t)run, .count = -1U };
	ASSERT_EQ(0, ioctl(fd, VMO_PAGES, &arg));
	EXPECT_EQ(1, arg.count);
	free(run);
	close(fd);
}

/* Gaps cost nothing. */
TEST_F_TIMEOUT(vmo, v1_m5_endless_objects, 60)
{
	int fd = vmo_new(self->dev, MAX_SIZE);
	const uint64_t at = (1ULL << 62) + 5 * PS;
	struct vmo_page_run run[4];
	struct vmo_lookup_entry entry[4];

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pages_of(fd, 0, MAX_SIZE, run, 4));
	EXPECT_EQ(MAX_SIZE, run[0].length);
	EXPECT_EQ(0, run[0].state);
	EXPECT_EQ(0, lookup(fd, 0, MAX_SIZE, 0, entry, 4));
	ASSERT_EQ(1, pwrite(fd, "x", 1, at));
	ASSERT_EQ(3, pages_of(fd, 0, MAX_SIZE, run, 4));
	EXPECT_EQ(at, run[1].offset);
	EXPECT_EQ(PS, run[1].length);
	EXPECT_EQ(at + PS, run[2].offset);
	EXPECT_EQ(MAX_SIZE - at - PS, run[2].length);
	ASSERT_EQ(1, lookup(fd, 0, MAX_SIZE, 0, entry, 4));
	EXPECT_EQ(at, entry[0].offset);
	close(fd);
}

/* ---- errors ------------------------------------------------------------ */

static const uint64_t outside[][2] = {
	{ 4, 1 }, { 3, 2 }, { 0, 5 }, { 5, 1 }, { 1, -1 }, { -1, 1 }, { -1, 2 },
};

/* The argument of a refused call is as it was. */
static void refused_pages(struct __test_metadata *_metadata, int fd, int err, struct vmo_pages arg)
{
	struct vmo_pages copy = arg;

	EXPECT_ERRNO(err, ioctl(fd, VMO_PAGES, &arg));
	EXPECT_EQ(0, memcmp(&arg, &copy, sizeof(arg)));
}

TEST_F(vmo, v1_bad_arguments_of_pages)
{
	int fd = vmo_new_pages(self->dev, 4), wo = vmo_reopen(fd, O_WRONLY);
	struct vmo_page_run run[4];
	struct vmo_pages good = { .length = 4 * PS, .runs = (uintptr_t)run, .count = 4 }, arg;
	const unsigned int nr = _IOC_NR(VMO_PAGES);

	/* Size, memory, access, flags. */
	EXPECT_ERRNO(EINVAL, ioctl(wo, _IOC(3, VMO_IOC, nr, sizeof(arg) - 1), NULL));
	EXPECT_ERRNO(EFAULT, ioctl(wo, VMO_PAGES, NULL));
	arg = good;
	arg.flags = 1;
	refused_pages(_metadata, wo, EACCES, arg);
	for (int bit = 0; bit < 32; bit++) {
		arg.flags = 1U << bit;
		refused_pages(_metadata, fd, EINVAL, arg);
	}
	arg = good;
	arg.count = 0;
	refused_pages(_metadata, fd, EINVAL, arg);
	for (uint64_t odd = 1; odd < PS; odd += 511) {
		arg = good;
		arg.offset = odd;
		refused_pages(_metadata, fd, EINVAL, arg);
		arg.offset = 0;
		arg.length = odd;
		refused_pages(_metadata, fd, EINVAL, arg);
	}
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		arg = good;
		arg.offset = outside[i][0] * PS;
		arg.length = outside[i][1] * PS;
		refused_pages(_metadata, fd, ERANGE, arg);
	}
	/* Nothing is asked for: nothing is answered, at the end too. */
	for (uint64_t at = 0; at <= 4; at++) {
		arg = (struct vmo_pages) { .offset = at * PS, .count = 3 };
		EXPECT_EQ(0, ioctl(fd, VMO_PAGES, &arg));
		EXPECT_EQ(0, arg.count);
		EXPECT_EQ(0, arg.length);
		EXPECT_EQ(at * PS, arg.offset);
	}
	EXPECT_EQ(1, pages_of(fd, 0, 4 * PS, run, 4));
	close(wo);
	close(fd);
}

TEST_F(vmo, v1_bad_pointers_of_pages)
{
	int fd = vmo_new_pages(self->dev, 4);
	char *p = mmap(NULL, 2 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vmo_page_run *edge = (void *)(p + PS);
	struct vmo_pages arg = { .length = 4 * PS, .count = 4 };
	void *const bad[] = { NULL, (void *)8, p + PS, (void *)-PS, (void *)(1UL << 63), edge - 1 };

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + PS, PS));
	ASSERT_EQ(0, write_page(fd, 1, 1));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		arg.runs = (uintptr_t)bad[i];
		refused_pages(_metadata, fd, EFAULT, arg);
	}
	/* Room that is not needed does not have to be there. */
	arg.runs = (uintptr_t)(edge - 3);
	EXPECT_EQ(0, ioctl(fd, VMO_PAGES, &arg));
	EXPECT_EQ(3, arg.count);
	EXPECT_EQ(3, pages_of(fd, 0, 4 * PS, edge - 3, -1U));
	ASSERT_EQ(0, mprotect(p, PS, RO));
	arg = (struct vmo_pages) { .length = 4 * PS, .runs = (uintptr_t)p, .count = 4 };
	refused_pages(_metadata, fd, EFAULT, arg);
	munmap(p, PS);
	close(fd);
}

static void refused_lookup(struct __test_metadata *_metadata, int fd, int err,
			   struct vmo_lookup arg)
{
	struct vmo_lookup copy = arg;

	EXPECT_ERRNO(err, ioctl(fd, VMO_LOOKUP, &arg));
	EXPECT_EQ(0, memcmp(&arg, &copy, sizeof(arg)));
}

TEST_F(vmo, v1_bad_arguments_of_lookup)
{
	int fd = vmo_new_pages(self->dev, 4), wo = vmo_reopen(fd, O_WRONLY);
	struct vmo_lookup_entry entry[4];
	struct vmo_lookup good = { .length = 4 * PS, .entries = (uintptr_t)entry, .count = 4 }, arg;
	const unsigned int nr = _IOC_NR(VMO_LOOKUP);

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, write_page(fd, i, 1 + i));
	EXPECT_ERRNO(EINVAL, ioctl(wo, _IOC(3, VMO_IOC, nr, sizeof(arg) - 1), NULL));
	EXPECT_ERRNO(EFAULT, ioctl(wo, VMO_LOOKUP, NULL));
	arg = good;
	arg.flags = 1U << 31;
	refused_lookup(_metadata, wo, EACCES, arg);
	for (int bit = 2; bit < 32; bit++) {
		arg.flags = 1U << bit;
		refused_lookup(_metadata, fd, EINVAL, arg);
	}
	arg = good;
	arg.count = 0;
	refused_lookup(_metadata, fd, EINVAL, arg);
	arg = good;
	arg.length = 0;
	refused_lookup(_metadata, fd, EINVAL, arg);
	arg.offset = 9 * PS;
	refused_lookup(_metadata, fd, EINVAL, arg);
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		arg = good;
		arg.offset = outside[i][0] * PS;
		arg.length = outside[i][1] * PS;
		refused_lookup(_metadata, fd, ERANGE, arg);
	}
	arg = good;
	arg.offset = 1;
	refused_lookup(_metadata, fd, ERANGE, arg);
	arg = good;
	arg.entries = 8;
	refused_lookup(_metadata, fd, EFAULT, arg);
	arg.entries = (uintptr_t)-PS;
	refused_lookup(_metadata, fd, EFAULT, arg);
	EXPECT_EQ(4, lookup(fd, 0, 4 * PS, 0, entry, -1U));
	close(wo);
	close(fd);
}

/* ---- V1: what is looked up --------------------------------------------- */

/* Own pages only: none after a snapshot, again when the clone has gone. */
TEST_F(vmo, v1_own_pages_only)
{
	int fd = vmo_new_pages(self->dev, 6), child;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, write_page(fd, i, 10 + i));
	EXPECT_EQ(4, own_pages(fd, 6));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(0, own_pages(fd, 6));
	EXPECT_EQ(0, own_pages(child, 6));
	EXPECT_EQ(4, all_pages(fd, 6));
	EXPECT_EQ(4, all_pages(child, 6));
	ASSERT_EQ(0, write_page(fd, 1, 21));
	ASSERT_EQ(0, write_page(fd, 5, 25));
	EXPECT_EQ(2, own_pages(fd, 6));
	/* What the source has left is the clone's alone. */
	EXPECT_EQ(1, own_pages(child, 6));
	EXPECT_EQ(5, all_pages(fd, 6));
	EXPECT_EQ(4, all_pages(child, 6));
	close(child);
	EXPECT_EQ(5, own_pages(fd, 6));
	EXPECT_EQ(5, all_pages(fd, 6));
	close(fd);
}

/* The other way round: the parent goes, the clone has them all. */
TEST_F(vmo, v1_own_pages_of_a_clone)
{
	int fd = vmo_new_pages(self->dev, 4), child, again;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, write_page(fd, i, 10 + i));
	child = vmo_window(fd, PS, 2 * PS);
	ASSERT_LE(0, child);
	/* Outside of the window nobody shares anything. */
	EXPECT_EQ(2, own_pages(fd, 4));
	again = vmo_snap(child);
	close(child);
	EXPECT_EQ(0, own_pages(again, 2));
	close(fd);
	EXPECT_EQ(2, own_pages(again, 2));
	close(again);
}

/* Offsets are those of the object that is asked. */
TEST_F(vmo, v1_offsets_of_slices_and_windows)
{
	int fd = vmo_new_pages(self->dev, 8), slice = vmo_slice(fd, 2 * PS, 4 * PS, 0);
	struct vmo_lookup_entry mine[8], its[8], clones[8];
	int child;

	for (int i = 1; i < 8; i += 2)
		ASSERT_EQ(0, write_page(fd, i, 10 + i));
	ASSERT_EQ(4, lookup(fd, 0, 8 * PS, 0, mine, 8));
	ASSERT_EQ(2, lookup(slice, 0, 4 * PS, 0, its, 8));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ((1 + 2 * i) * PS, mine[i].offset);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ((1 + 2 * i) * PS, its[i].offset);
		EXPECT_EQ(mine[1 + i].address, its[i].address);
	}
	child = vmo_window(fd, 3 * PS, 5 * PS);
	ASSERT_EQ(3, lookup(child, 0, 5 * PS, VMO_LOOKUP_SHARED, clones, 8));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(2 * i * PS, clones[i].offset);
		EXPECT_EQ(mine[1 + i].address, clones[i].address);
	}
	close(child);
	close(slice);
	close(fd);
}

/* Bytes, of which the pages count; one at a time comes to the same. */
TEST_F(vmo, v1_ranges_of_bytes_and_going_on)
{
	int fd = vmo_new_pages(self->dev, 3 * LEAF);
	struct vmo_lookup_entry all[3 * LEAF], one;
	struct vmo_lookup arg = { .length = 3 * LEAF * PS, .entries = (uintptr_t)&one };
	int n, seen = 0;

	for (int i = 0; i < 3 * LEAF; i++)
		if (mix(i) % 3)
			ASSERT_EQ(0, write_page(fd, i, 10 + i));
	n = lookup(fd, 0, 3 * LEAF * PS, 0, all, 3 * LEAF);
	ASSERT_LT(LEAF, n);
	while (arg.length) {
		arg.count = 1;
		ASSERT_EQ(0, ioctl(fd, VMO_LOOKUP, &arg));
		EXPECT_EQ(3 * LEAF * PS, arg.offset + arg.length);
		if (!arg.count)
			continue;
		ASSERT_GT(n, seen);
		EXPECT_EQ(all[seen].offset, one.offset);
		EXPECT_EQ(all[seen].address, one.address);
		seen++;
	}
	EXPECT_EQ(n, seen);
	EXPECT_EQ(3 * LEAF * PS, arg.offset);
	/* One byte of the page is enough. */
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(1, lookup(fd, all[i].offset, 1, 0, &one, 1));
		EXPECT_EQ(1, lookup(fd, all[i].offset + PS - 1, 1, 0, &one, 1));
		EXPECT_EQ(all[i].offset, one.offset);
		EXPECT_EQ(all[i].address, one.address);
	}
	EXPECT_EQ(n, lookup(fd, 1, 3 * LEAF * PS - 2, 0, all, 3 * LEAF));
	close(fd);
}

/* The end of a range of bytes is where it ends, not where its page does. */
TEST_F(vmo, v1_the_end_of_a_range_of_bytes)
{
	int fd = vmo_new_pages(self->dev, 2);
	struct vmo_lookup_entry entry[2];
	struct vmo_lookup arg = {
		.offset = 100, .length = PS, .entries = (uintptr_t)entry, .count = 2,
	};

	ASSERT_EQ(0, write_page(fd, 0, 1));
	ASSERT_EQ(0, write_page(fd, 1, 2));
	ASSERT_EQ(0, ioctl(fd, VMO_LOOKUP, &arg));
	EXPECT_EQ(2, arg.count);
	EXPECT_EQ(100 + PS, arg.offset);
	EXPECT_EQ(0, arg.length);
	EXPECT_EQ(0, entry[0].offset);
	EXPECT_EQ(PS, entry[1].offset);
	close(fd);
}

/* ---- V2: one page ------------------------------------------------------ */

TEST_F(vmo, v2_one_address_or_why_not)
{
	int fd = vmo_new_pages(self->dev, 4), child;
	struct vmo_lookup_entry one, entry[4];
	const uint32_t flag = VMO_LOOKUP_CONTIGUOUS;
	struct vmo_lookup arg = {
		.offset = PS, .length = PS, .entries = (uintptr_t)&one, .count = 1, .flags = flag,
	};

	ASSERT_EQ(0, write_page(fd, 1, 1));
	ASSERT_EQ(0, write_page(fd, 3, 1));
	ASSERT_EQ(2, lookup(fd, 0, 4 * PS, 0, entry, 4));
	ASSERT_EQ(0, ioctl(fd, VMO_LOOKUP, &arg));
	EXPECT_EQ(1, arg.count);
	EXPECT_EQ(2 * PS, arg.offset);
	EXPECT_EQ(0, arg.length);
	EXPECT_EQ(PS, one.offset);
	EXPECT_EQ(entry[0].address, one.address);
	EXPECT_NE(0, one.address);
	/* In this order: 0 bytes, alignment, range, length, what is there. */
	EXPECT_ERRNO(EINVAL, lookup(fd, PS, 0, flag, &one, 1));
	EXPECT_ERRNO(EINVAL, lookup(fd, PS + 1, PS, flag, &one, 1));
	EXPECT_ERRNO(EINVAL, lookup(fd, 9 * PS + 1, 2 * PS, flag, &one, 1));
	EXPECT_ERRNO(ERANGE, lookup(fd, 4 * PS, PS, flag, &one, 1));
	EXPECT_ERRNO(ERANGE, lookup(fd, 3 * PS, 2 * PS, flag, &one, 1));
	EXPECT_ERRNO(ERANGE, lookup(fd, -PS, PS, flag, &one, 1));
	EXPECT_ERRNO(EBADFD, lookup(fd, 0, 2 * PS, flag, &one, 1));
	EXPECT_ERRNO(EBADFD, lookup(fd, PS, PS - 1, flag, &one, 1));
	EXPECT_ERRNO(EBADFD, lookup(fd, PS, 1, flag, &one, 1));
	EXPECT_ERRNO(ENOENT, lookup(fd, 0, PS, flag, &one, 1));
	EXPECT_ERRNO(EINVAL, lookup(fd, PS, PS, flag, &one, 0));
	/* Not its own is not there, unless shared ones are asked for. */
	child = vmo_snap(fd);
	EXPECT_ERRNO(ENOENT, lookup(fd, PS, PS, flag, &one, 1));
	EXPECT_ERRNO(ENOENT, lookup(child, PS, PS, flag, &one, 1));
	EXPECT_EQ(1, lookup(child, PS, PS, flag | VMO_LOOKUP_SHARED, &one, 1));
	EXPECT_EQ(entry[0].address, one.address);
	EXPECT_ERRNO(ENOENT, lookup(child, 0, PS, flag | VMO_LOOKUP_SHARED, &one, 1));
	close(child);
	EXPECT_EQ(1, lookup(fd, 3 * PS, PS, flag, &one, 1));
	EXPECT_EQ(entry[1].address, one.address);
	close(fd);
}

/* ---- addresses --------------------------------------------------------- */

/* The physical address behind @p, from /proc/self/pagemap; 0 if there is none. */
static uint64_t physical(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (pread(fd, &entry, 8, (uintptr_t)p / PS * 8) != 8)
		entry = 0;
	close(fd);
	return entry >> 63 ? (entry & ((1ULL << 55) - 1)) * PS : 0;
}

TEST_F(vmo, v1_addresses_are_those_of_the_page_tables)
{
	const size_t n = LEAF + 10;
	int fd = vmo_new_pages(self->dev, n), child;
	char *p = vmo_map(fd, n, RW), *c;
	struct vmo_lookup_entry entry[LEAF + 10];

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, n, 100);
	ASSERT_EQ((int)n, lookup(fd, 0, n * PS, 0, entry, n));
	ASSERT_NE(0, physical(p)) TH_LOG("pagemap tells nothing: not root?");
	for (size_t i = 0; i < n; i++)
		EXPECT_EQ(physical(p + i * PS), entry[i].address);
	/* Shared with a clone, which maps the same. */
	child = vmo_snap(fd);
	c = vmo_map(child, n, RO);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(-1, wrong_page(c, 0, n, 100));
	ASSERT_EQ((int)n, lookup(child, 0, n * PS, VMO_LOOKUP_SHARED, entry, n));
	for (size_t i = 0; i < n; i++)
		EXPECT_EQ(physical(c + i * PS), entry[i].address);
	/* A write moves whoever writes elsewhere. */
	fill_page(p, 1);
	ASSERT_EQ(1, lookup(fd, 0, PS, 0, entry, 1));
	EXPECT_EQ(physical(p), entry[0].address);
	EXPECT_NE(physical(c), entry[0].address);
	munmap(c, n * PS);
	munmap(p, n * PS);
	close(child);
	close(fd);
}

/* While it is pinned, it stays where it is. */
TEST_F(vmo, v1_n5_a_pinned_page_stays_where_it_is)
{
	int fd = vmo_new_pages(self->dev, 2), pin = vmo_pin_flags(fd, 0, PS, VMO_PIN_WRITE), child;
	struct vmo_lookup_entry before, now;
	struct vmo_clone clone = {
		.size = 2 * PS, .flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_COPY_PINNED,
	};

	ASSERT_LE(0, pin);
	ASSERT_EQ(1, lookup(fd, 0, PS, VMO_LOOKUP_CONTIGUOUS, &before, 1));
	ASSERT_EQ(0, ioctl(fd, VMO_CLONE, &clone));
	child = clone.fd;
	ASSERT_EQ(0, write_page(fd, 0, 5));
	ASSERT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, 2 * PS));
	ASSERT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 2 * PS));
	/* Its own still, though the clone was made: that has a copy. */
	ASSERT_EQ(1, lookup(fd, 0, PS, VMO_LOOKUP_CONTIGUOUS, &now, 1));
	EXPECT_EQ(before.address, now.address);
	ASSERT_EQ(1, lookup(child, 0, PS, VMO_LOOKUP_CONTIGUOUS, &now, 1));
	EXPECT_NE(before.address, now.address);
	close(child);
	close(pin);
	close(fd);
}

/* ---- who is told ------------------------------------------------------- */

/* 0: is told; 1: not, and CONTIGUOUS is EPERM; else something is wrong. */
static int is_told(int fd)
{
	struct vmo_lookup_entry one = { .offset = -1, .address = -1 };
	int told = lookup(fd, PS, PS, 0, &one, 1) == 1 && one.offset == PS;
	int err;

	if (!told || lookup(fd, 0, PS, 0, &one, 1) != 0)
		return 2;
	errno = 0;
	err = lookup(fd, PS, PS, VMO_LOOKUP_CONTIGUOUS, &one, 1) == 1 ? 0 : errno;
	if (one.address && !err)
		return 0;
	return !one.address && err == EPERM ? 1 : 3;
}

static int as_root(void)
{
	return 0;
}

static int as_nobody(void)
{
	return setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY);
}

static int without_rawio(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return 1;
	data[0].effective &= ~(1U << CAP_SYS_RAWIO);
	return syscall(SYS_capset, &head, data);
}

static int as_nobody_with_rawio(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = 1U << CAP_SYS_RAWIO, .permitted = 1U << CAP_SYS_RAWIO },
	};

	if (syscall(SYS_prctl, 8 /* PR_SET_KEEPCAPS */, 1, 0, 0, 0) || setuid(NOBODY))
		return 1;
	return syscall(SYS_capset, &head, data);
}

/* All capabilities, but of a namespace of its own. */
static int as_root_of_a_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int told_as(int (*become)(void), int fd)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(become() ? 4 : is_told(fd));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(vmo, v1_v2_who_may_know)
{
	int fd = vmo_new_pages(self->dev, 2), got;

	ASSERT_EQ(0, write_page(fd, 1, 1));
	EXPECT_EQ(0, told_as(as_root, fd));
	EXPECT_EQ(1, told_as(as_nobody, fd));
	EXPECT_EQ(1, told_as(without_rawio, fd));
	EXPECT_EQ(0, told_as(as_nobody_with_rawio, fd));
	got = told_as(as_root_of_a_namespace, fd);
	EXPECT_TRUE(got == 1 || got == 4) TH_LOG("in a user namespace: %d", got);
	/* Still, one's own states may be known. */
	EXPECT_EQ(PRESENT, state_of(fd, 1) & ~WRITABLE);
	close(fd);
}

/* ---- V3: looking changes nothing --------------------------------------- */

TEST_F(vmo, v3_looking_changes_nothing)
{
	const size_t n = 3 * LEAF;
	int child, fd = patterned(self->dev, n, &child);
	uint32_t *state = states_of(fd, n);
	long pages = vmo_counter("pages"), nodes = vmo_counter("nodes");
	struct vmo_info info = info_of(fd), its = info_of(child), now;
	struct vmo_lookup_entry entry[3 * LEAF];
	struct vmo_page_run run[3 * LEAF];
	struct stat before, after;

	ASSERT_EQ(0, fstat(fd, &before));
	for (int i = 0; i < 3; i++) {
		EXPECT_LT(0, lookup(fd, 0, n * PS, 0, entry, n));
		EXPECT_LT(0, lookup(child, 0, n * PS, VMO_LOOKUP_SHARED, entry, n));
		EXPECT_LT(0, pages_of(fd, 0, n * PS, run, n));
		EXPECT_LT(0, pages_of(child, 0, n * PS, run, n));
		for (size_t page = 0; page < n; page++)
			lookup(child, page * PS, PS, VMO_LOOKUP_CONTIGUOUS, entry, 1);
	}
	EXPECT_EQ(pages, vmo_counter("pages"));
	EXPECT_EQ(nodes, vmo_counter("nodes"));
	now = info_of(fd);
	EXPECT_EQ(0, memcmp(&info, &now, sizeof(now)));
	now = info_of(child);
	EXPECT_EQ(0, memcmp(&its, &now, sizeof(now)));
	ASSERT_EQ(0, fstat(fd, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	for (size_t i = 0; i < n; i++)
		EXPECT_EQ(state[i], state_of(fd, i));
	free(state);
	close(child);
	close(fd);
}

/* ---- at the same time -------------------------------------------------- */

struct changing {
	int fd;
	uint64_t stop;
};

static void *change(void *arg)
{
	struct changing *c = arg;

	for (uint64_t i = 0; !load(&c->stop); i++) {
		size_t page = mix(i) % (4 * LEAF);

		switch (mix(i + 99) % 6) {
		case 0:
			close(vmo_snap(c->fd));
			break;
		case 1:
			vmo_op(c->fd, VMO_OP_ZERO, page * PS, PS);
			break;
		case 2:
			vmo_set_size(c->fd, (4 * LEAF - page % 50) * PS);
			break;
		case 3:
			vmo_set_size(c->fd, 4 * LEAF * PS);
			break;
		default:
			write_page(c->fd, page, 1 + i);
		}
	}
	return NULL;
}

/* Answers are well-formed whatever happens meanwhile; a range that is gone is ERANGE. */
TEST_F_TIMEOUT(vmo, v1_looking_while_all_changes, 120)
{
	struct changing c = {
		.fd = vmo_new_flags(self->dev, 4 * LEAF * PS, VMO_CREATE_RESIZABLE),
	};
	struct vmo_lookup_entry entry[4 * LEAF];
	struct vmo_page_run run[4 * LEAF];
	double end = seconds() + 3;
	pthread_t thread;
	int answers = 0;

	ASSERT_LE(0, c.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change, &c));
	while (seconds() < end) {
		int n = pages_of(c.fd, 0, 4 * LEAF * PS, run, 4 * LEAF);
		uint64_t at = 0;

		if (n < 0)
			EXPECT_EQ(ERANGE, errno);
		answers += n > 0;
		for (int i = 0; i < n; i++) {
			ASSERT_EQ(at, run[i].offset);
			if (!(run[i].state & PRESENT))
				ASSERT_EQ(0, run[i].state);
			at += run[i].length;
		}
		if (n >= 0)
			ASSERT_EQ(4 * LEAF * PS, at);
		n = lookup(c.fd, 0, 4 * LEAF * PS, answers % 2 ? VMO_LOOKUP_SHARED : 0, entry,
			   4 * LEAF);
		if (n < 0)
			EXPECT_EQ(ERANGE, errno);
		for (int i = 1; i < n; i++)
			ASSERT_LT(entry[i - 1].offset, entry[i].offset);
	}
	store(&c.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, answers);
	close(c.fd);
}

TEST_F(vmo, v1_the_feature_is_told)
{
	struct vmo_probe probe;

	ASSERT_EQ(0, ioctl(self->dev, VMO_PROBE, &probe));
	EXPECT_TRUE(probe.features & VMO_FEATURE_PAGES);
}

TEST_HARNESS_MAIN
