// SPDX-License-Identifier: GPL-2.0
/*
 * VMO_TRANSFER: pages that go from one object to another. X1 has the errors, X2 what is
 * where afterwards, X3 what a transfer leaves that does not end well.
 */
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define LEAF		64	/* slots of a leaf; whole ones may move as they are */
#define PIECE		512	/* pages that change at one instant, at most */

FIXTURE(vmo) {
	int dev;
	int fds;
	long pages;
	long nodes;
	long objects;
	long contents;
	long pins;
};

FIXTURE_SETUP(vmo)
{
	self->pages = vmo_counter("pages");
	self->nodes = vmo_counter("nodes");
	self->objects = vmo_counter("objects");
	self->contents = vmo_counter("contents");
	self->pins = vmo_counter("pins");
	self->fds = count_fds();
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
}

FIXTURE_TEARDOWN(vmo)
{
	close(self->dev);
	EXPECT_EQ(self->fds, count_fds());
	EXPECT_EQ(self->objects, vmo_counter_becomes("objects", self->objects));
	EXPECT_EQ(self->contents, vmo_counter_becomes("contents", self->contents));
	EXPECT_EQ(self->pins, vmo_counter_becomes("pins", self->pins));
	EXPECT_EQ(self->pages, vmo_counter_becomes("pages", self->pages));
	EXPECT_EQ(self->nodes, vmo_counter_becomes("nodes", self->nodes));
}

static int transfer_bytes(int to, uint64_t offset, int from, uint64_t src_offset, uint64_t length)
{
	struct vmo_transfer arg = {
		.offset = offset, .length = length, .src_offset = src_offset, .src_fd = from,
	};

	return ioctl(to, VMO_TRANSFER, &arg);
}

static int transfer(int to, size_t at, int from, size_t src_at, size_t pages)
{
	return transfer_bytes(to, at * PS, from, src_at * PS, pages * PS);
}

/* Pages [first, first + count) have the seeds base + index. */
static int filled(int dev, size_t pages, size_t first, size_t count, uint64_t base)
{
	int fd = vmo_new_pages(dev, pages);

	for (size_t i = first; i < first + count; i++)
		if (write_page(fd, i, base + i))
			return -1;
	return fd;
}

/* ---- tags: two words of a page, for tests with many pages --------------- */

#define WORDS	(PS / sizeof(uint64_t))

static void put_tag(char *map, size_t page, uint64_t tag)
{
	volatile uint64_t *word = (uint64_t *)(map + page * PS);

	word[0] = tag;
	word[WORDS - 1] = tag;
}

/* -1 if the page is not what put_tag() left. */
static uint64_t get_tag(const char *map, size_t page)
{
	const volatile uint64_t *word = (uint64_t *)(map + page * PS);

	return word[0] == word[WORDS - 1] ? word[0] : -1ULL;
}

static uint64_t read_tag(int fd, size_t page)
{
	uint64_t word[2] = { -1ULL, -2ULL };

	if (pread(fd, &word[0], 8, page * PS) != 8 ||
	    pread(fd, &word[1], 8, (page + 1) * PS - 8) != 8)
		return -2ULL;
	return word[0] == word[1] ? word[0] : -1ULL;
}

static void put_tags(char *map, size_t first, size_t count, uint64_t base)
{
	for (size_t i = first; i < first + count; i++)
		put_tag(map, i, base + i);
}

/* The first page in [first, first + count) that has not the tag base + index, or -1. */
static long wrong_tag(const char *map, size_t first, size_t count, uint64_t base)
{
	for (size_t i = first; i < first + count; i++)
		if (get_tag(map, i) != (base ? base + i : 0))
			return i;
	return -1;
}

/* ---- errors ------------------------------------------------------------ */

/* What must be as it was after a refusal. */
static bool as_it_was(int fd, const struct vmo_info *before, uint64_t base)
{
	struct vmo_info now = info_of(fd);

	return !memcmp(before, &now, sizeof(now)) && wrong_page_fd(fd, 0, 4, base) == -1;
}

#define REFUSED(_errno, _to, _offset, _from, _src_offset, _length) do {		\
	EXPECT_ERRNO(_errno, transfer_bytes(_to, _offset, _from, _src_offset, _length)); \
	EXPECT_TRUE(as_it_was(to, &before[0], 100));				\
	EXPECT_TRUE(as_it_was(from, &before[1], 200));				\
} while (0)

TEST_F(vmo, x1_bad_ranges)
{
	int to = filled(self->dev, 4, 0, 4, 100), from = filled(self->dev, 4, 0, 4, 200);
	struct vmo_info before[2] = { info_of(to), info_of(from) };
	const uint64_t size = 4 * PS, above = 1ULL << 63;
	const uint64_t outside[][2] = {
		{ size, PS }, { 3 * PS, 2 * PS }, { 0, size + PS }, { size + PS, 0 },
		{ size + PS, PS }, { -PS, PS }, { -PS, 2 * PS }, { PS, -PS }, { 0, -PS },
		{ above, PS }, { above, above }, { 0, above }, { MAX_SIZE, PS }, { PS, MAX_SIZE },
	};
	const uint64_t odd[] = { 1, 8, PS / 2, PS - 1, PS + 1, size + 1, -1ULL, above + 1 };

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		REFUSED(ERANGE, to, outside[i][0], from, 0, outside[i][1]);
		REFUSED(ERANGE, to, 0, from, outside[i][0], outside[i][1]);
		/* Also of one object, where nothing would happen. */
		REFUSED(ERANGE, to, outside[i][0], to, outside[i][0], outside[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		REFUSED(EINVAL, to, odd[i], from, 0, PS);
		REFUSED(EINVAL, to, 0, from, odd[i], PS);
		REFUSED(EINVAL, to, 0, from, 0, odd[i]);
		REFUSED(EINVAL, to, odd[i], to, odd[i], 0);
	}
	/* 0 bytes do nothing, up to the end. */
	EXPECT_EQ(0, transfer(to, 4, from, 4, 0));
	EXPECT_EQ(0, transfer(to, 0, from, 0, 0));
	EXPECT_TRUE(as_it_was(to, &before[0], 100));
	EXPECT_TRUE(as_it_was(from, &before[1], 200));
	close(to);
	close(from);
}

TEST_F(vmo, x1_bad_sources)
{
	int to = filled(self->dev, 4, 0, 4, 100), from = filled(self->dev, 4, 0, 4, 200);
	struct vmo_info before[2] = { info_of(to), info_of(from) };
	int memfd = memfd_create("vmo-test", MFD_CLOEXEC), path = vmo_reopen(from, O_PATH);
	int other = vmo_new(self->dev, PS), pin = vmo_pin_flags(other, 0, PS, VMO_PIN_READ);
	int pipes[2], shut = dup(from);

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_LE(0, pin);
	ASSERT_LE(0, path);
	close(shut);
	REFUSED(EINVAL, to, 0, self->dev, 0, PS);
	REFUSED(EINVAL, to, 0, memfd, 0, PS);
	REFUSED(EINVAL, to, 0, pipes[0], 0, PS);
	REFUSED(EINVAL, to, 0, pin, 0, PS);
	REFUSED(EBADF, to, 0, shut, 0, PS);
	REFUSED(EBADF, to, 0, path, 0, PS);
	REFUSED(EBADF, to, 0, -1, 0, PS);
	REFUSED(EBADF, to, 0, 1 << 30, 0, PS);
	/* Also for 0 bytes. */
	REFUSED(EINVAL, to, 0, memfd, 0, 0);
	REFUSED(EBADF, to, 0, shut, 0, 0);
	close(memfd);
	close(path);
	close(pin);
	close(other);
	close(pipes[0]);
	close(pipes[1]);
	close(to);
	close(from);
}

/* The header: size, rights of the descriptor, flags; then the text of the command. */
TEST_F(vmo, x1_order_of_errors)
{
	int to = filled(self->dev, 4, 0, 4, 100), from = filled(self->dev, 4, 0, 4, 200);
	int to_ro = vmo_reopen(to, O_RDONLY), from_ro = vmo_reopen(from, O_RDONLY);
	int from_wo = vmo_reopen(from, O_WRONLY), to_wo = vmo_reopen(to, O_WRONLY);
	struct vmo_info before[2] = { info_of(to), info_of(from) };
	struct { struct vmo_transfer arg; uint64_t tail; } all_wrong;
	const unsigned int nr = _IOC_NR(VMO_TRANSFER);

	memset(&all_wrong, 0xff, sizeof(all_wrong));
	EXPECT_ERRNO(EINVAL, ioctl(to_ro, _IOC(3, VMO_IOC, nr, sizeof(all_wrong.arg) - 1), NULL));
	EXPECT_ERRNO(EFAULT, ioctl(to_ro, VMO_TRANSFER, NULL));
	EXPECT_ERRNO(E2BIG, ioctl(to_ro, _IOC(3, VMO_IOC, nr, sizeof(all_wrong)), &all_wrong));
	EXPECT_ERRNO(EACCES, ioctl(to_ro, VMO_TRANSFER, &all_wrong.arg));
	EXPECT_ERRNO(EINVAL, ioctl(to, VMO_TRANSFER, &all_wrong.arg));
	for (int bit = 0; bit < 32; bit++) {
		struct vmo_transfer arg = { .length = PS, .src_fd = from, .flags = 1U << bit };

		EXPECT_ERRNO(EINVAL, ioctl(to, VMO_TRANSFER, &arg));
	}
	/* Either descriptor, before ranges. */
	REFUSED(EACCES, to_ro, 0, from, 0, PS);
	REFUSED(EACCES, to, 0, from_ro, 0, PS);
	REFUSED(EACCES, to, 0, from_wo, 0, PS);
	REFUSED(EACCES, to, 4 * PS, from_wo, 4 * PS, PS);
	REFUSED(EACCES, to, 0, from_ro, 0, 0);
	/* Handles come before sizes. */
	REFUSED(EBADF, to, 4 * PS, -1, 4 * PS, PS);
	REFUSED(ERANGE, to_wo, 4 * PS, from, 0, PS);
	EXPECT_EQ(0, transfer(to_wo, 0, from, 0, 0));
	close(to_ro);
	close(from_ro);
	close(from_wo);
	close(to_wo);
	close(to);
	close(from);
}

/* N5: a pinned page in either range, by whichever descriptor; nothing has moved. */
TEST_F(vmo, x1_n5_pinned_pages)
{
	int to = filled(self->dev, 4, 0, 4, 100), from = filled(self->dev, 4, 0, 4, 200);
	int slice = vmo_slice(from, 2 * PS, PS, 0), reference = vmo_reference(to, 0);
	struct vmo_info before[2];
	int pin;

	for (int side = 0; side < 2; side++) {
		pin = vmo_pin_flags(side ? slice : reference, side ? 0 : 2 * PS, PS, VMO_PIN_READ);
		ASSERT_LE(0, pin);
		before[0] = info_of(to);
		before[1] = info_of(from);
		REFUSED(EBADFD, to, 0, from, 0, 4 * PS);
		REFUSED(EBADFD, to, 2 * PS, from, 2 * PS, PS);
		REFUSED(EBADFD, reference, 2 * PS, slice, 0, PS);
		/* One that is elsewhere does not matter; and back again. */
		EXPECT_EQ(0, transfer(to, 0, from, 0, 2));
		EXPECT_EQ(-1, wrong_page_fd(to, 0, 2, 200));
		EXPECT_EQ(-1, wrong_page_fd(to, 2, 2, 100));
		EXPECT_EQ(0, transfer(from, 0, to, 0, 2));
		EXPECT_EQ(-1, wrong_page_fd(from, 0, 4, 200));
		EXPECT_EQ(-1, wrong_page_fd(to, 0, 2, 0));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, write_page(to, i, 100 + i));
		close(pin);
	}
	/* Unpinned, all goes. */
	EXPECT_EQ(0, transfer(to, 0, from, 0, 4));
	EXPECT_EQ(-1, wrong_page_fd(to, 0, 4, 200));
	close(slice);
	close(reference);
	close(to);
	close(from);
}

/* Far behind other pieces, too: refused before the first piece moves. */
TEST_F(vmo, x1_a_pin_far_behind)
{
	const size_t n = 4 * PIECE;
	int to = vmo_new_pages(self->dev, n), from = vmo_new_pages(self->dev, n), pin;
	char *p = vmo_map(from, n, RW);

	ASSERT_NE(NULL, p);
	put_tags(p, 0, n, 1000);
	pin = vmo_pin_flags(from, (n - 1) * PS, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	EXPECT_ERRNO(EBADFD, transfer(to, 0, from, 0, n));
	EXPECT_EQ(-1, wrong_tag(p, 0, n, 1000));
	EXPECT_EQ(0, info_of(to).committed_bytes);
	close(pin);
	pin = vmo_pin_flags(to, (n - 1) * PS, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	EXPECT_ERRNO(EBADFD, transfer(to, 0, from, 0, n));
	EXPECT_EQ(-1, wrong_tag(p, 0, n, 1000));
	EXPECT_EQ(PS, info_of(to).committed_bytes);
	close(pin);
	munmap(p, n * PS);
	close(to);
	close(from);
}

/* From a range to itself nothing happens, whatever it is called. */
TEST_F(vmo, x1_onto_itself)
{
	int fd = filled(self->dev, 4, 1, 2, 300), slice = vmo_slice(fd, PS, 3 * PS, 0);
	int reference = vmo_reference(fd, 0);
	long pages = vmo_counter("pages");
	struct vmo_info before = info_of(fd), now;

	EXPECT_EQ(0, transfer(fd, 0, fd, 0, 4));
	EXPECT_EQ(0, transfer(fd, 1, fd, 1, 1));
	EXPECT_EQ(0, transfer(fd, 1, slice, 0, 3));
	EXPECT_EQ(0, transfer(slice, 0, fd, 1, 3));
	EXPECT_EQ(0, transfer(reference, 0, fd, 0, 4));
	EXPECT_EQ(0, transfer(reference, 1, slice, 0, 2));
	EXPECT_EQ(-1, wrong_page_fd(fd, 1, 2, 300));
	now = info_of(fd);
	EXPECT_EQ(before.committed_bytes, now.committed_bytes);
	EXPECT_EQ(pages, vmo_counter("pages"));
	close(slice);
	close(reference);
	close(fd);
}

/* ---- what is where afterwards ------------------------------------------ */

TEST_F(vmo, x2_moves_and_leaves_zeroes)
{
	int to = filled(self->dev, 8, 0, 8, 100), from = filled(self->dev, 8, 0, 6, 200);
	struct stat st;

	ASSERT_EQ(0, transfer(to, 1, from, 3, 4));
	EXPECT_EQ(-1, wrong_page_fd(to, 0, 1, 100));
	for (size_t i = 0; i < 3; i++)
		EXPECT_EQ(-1, wrong_page_fd(to, 1 + i, 1, 200 + 3 - 1));
	/* A hole overwrites, too. */
	EXPECT_EQ(-1, wrong_page_fd(to, 4, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(to, 5, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(from, 0, 3, 200));
	EXPECT_EQ(-1, wrong_page_fd(from, 3, 5, 0));
	EXPECT_EQ(7 * PS, info_of(to).committed_bytes);
	EXPECT_EQ(3 * PS, info_of(from).committed_bytes);
	EXPECT_EQ(7 * PS, info_of(to).private_bytes);
	EXPECT_EQ(self->pages + 10, vmo_counter("pages"));
	ASSERT_EQ(0, fstat(to, &st));
	EXPECT_EQ(8 * PS, (size_t)st.st_size);
	close(to);
	close(from);
}

/* It has sizes that are not whole pages: these stay. */
TEST_F(vmo, x2_sizes_stay)
{
	int to = vmo_new(self->dev, 4 * PS - 100), from = vmo_new(self->dev, 4 * PS - 200);
	char *p = vmo_map(from, 4, RW);

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 4, 10);
	ASSERT_EQ(0, transfer(to, 0, from, 0, 4));
	munmap(p, 4 * PS);
	EXPECT_EQ(4 * PS - 100, info_of(to).content_size);
	EXPECT_EQ(4 * PS - 200, info_of(from).content_size);
	EXPECT_EQ(4 * PS, info_of(to).size);
	p = vmo_map(to, 4, RO);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 10));
	munmap(p, 4 * PS);
	close(to);
	close(from);
}

/* Clones of either side, and what was cloned, keep what they had. */
TEST_F(vmo, x2_clones_keep_what_they_had)
{
	int parent = filled(self->dev, 4, 0, 4, 100), to = vmo_snap(parent), to_child, from_child;
	int from = filled(self->dev, 4, 0, 4, 200), again;

	ASSERT_EQ(0, write_page(to, 0, 300));
	to_child = vmo_snap(to);
	from_child = vmo_snap(from);
	ASSERT_EQ(0, write_page(from, 1, 400));
	again = vmo_snap(from_child);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, transfer(to, 0, from, 0, 4));
	EXPECT_EQ(-1, wrong_page_fd(to, 0, 1, 200));
	EXPECT_TRUE(wrong_page_fd(to, 1, 1, 399) == -1);
	EXPECT_EQ(-1, wrong_page_fd(to, 2, 2, 200));
	EXPECT_EQ(-1, wrong_page_fd(from, 0, 4, 0));
	EXPECT_EQ(-1, wrong_page_fd(parent, 0, 4, 100));
	EXPECT_EQ(-1, wrong_page_fd(to_child, 0, 1, 300));
	EXPECT_EQ(-1, wrong_page_fd(to_child, 1, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(from_child, 0, 4, 200));
	EXPECT_EQ(-1, wrong_page_fd(again, 0, 4, 200));
	/* From a clone: nothing of the parent shines through where it was. */
	ASSERT_EQ(0, transfer(from, 0, to_child, 0, 4));
	EXPECT_EQ(-1, wrong_page_fd(to_child, 0, 4, 0));
	EXPECT_EQ(-1, wrong_page_fd(from, 1, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(parent, 0, 4, 100));
	close(again);
	close(from_child);
	close(to_child);
	close(from);
	close(to);
	close(parent);
}

/* A hole in the source hides what the target has from its parent. */
TEST_F(vmo, x2_holes_hide_what_the_parent_has)
{
	int parent = filled(self->dev, 8, 0, 8, 100), to = vmo_snap(parent);
	int from = vmo_new_pages(self->dev, 8);

	ASSERT_EQ(0, transfer(to, 2, from, 0, 3));
	EXPECT_EQ(-1, wrong_page_fd(to, 0, 2, 100));
	EXPECT_EQ(-1, wrong_page_fd(to, 2, 3, 0));
	EXPECT_EQ(-1, wrong_page_fd(to, 5, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(parent, 0, 8, 100));
	EXPECT_EQ(5 * PS, info_of(to).committed_bytes);
	/* Within the family: the clone's page to the parent. */
	ASSERT_EQ(0, transfer(parent, 0, to, 5, 3));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(-1, wrong_page_fd(parent, i, 1, 105));
	EXPECT_EQ(-1, wrong_page_fd(to, 2, 6, 0));
	close(from);
	close(to);
	close(parent);
}

/* ---- all pairs --------------------------------------------------------- */

#define KEYS		210	/* three leaves and a bit */
#define MEMORIES	6
#define OBJECTS		14

/**
 * struct object - one that shows keys [@base, @base + @pages) of a memory
 * @map: all of it, shared and writable
 * @view: the same, private and read-only
 */
struct object {
	const char *name;
	int fd;
	int memory;
	size_t base;
	size_t pages;
	char *map;
	char *view;
};

/* What every memory holds, tag by tag; 0 is a hole or a page of zeroes. */
struct scene {
	uint64_t tag[MEMORIES][KEYS];
	struct object object[OBJECTS];
	int objects;
	uint64_t next_tag;
	uint64_t random;
};

static size_t below(struct scene *s, size_t n)
{
	s->random = mix(s->random + 0x9e3779b97f4a7c15ULL);
	return (s->random >> 20) % n;
}

static void write_tag(struct scene *s, struct object *o, size_t page)
{
	uint64_t tag = s->next_tag++;

	put_tag(o->map, page, tag);
	s->tag[o->memory][o->base + page] = tag;
}

static void write_some(struct scene *s, struct object *o, int one_in)
{
	for (size_t page = 0; page < o->pages; page++)
		if (!below(s, one_in))
			write_tag(s, o, page);
}

static struct object *add(struct scene *s, const char *name, int fd, int memory, size_t base,
			  size_t pages)
{
	struct object *o = &s->object[s->objects++];

	*o = (struct object) {
		.name = name, .fd = fd, .memory = memory, .base = base, .pages = pages,
		.map = vmo_map(fd, pages, RW), .view = vmo_map_at(fd, 0, pages, RO, MAP_PRIVATE),
	};
	return o;
}

/* A clone of the pages of @of from @first on, as a new memory. */
static struct object *add_clone(struct scene *s, const char *name, struct object *of, size_t first,
				size_t pages, int memory)
{
	int fd = vmo_window(of->fd, first * PS, pages * PS);

	memset(s->tag[memory], 0, sizeof(s->tag[memory]));
	memcpy(s->tag[memory], &s->tag[of->memory][of->base + first],
	       (first + pages > of->pages ? of->pages - first : pages) * sizeof(uint64_t));
	return add(s, name, fd, memory, 0, pages);
}

static struct object *add_slice(struct scene *s, const char *name, struct object *of, size_t first,
				size_t pages)
{
	return add(s, name, vmo_slice(of->fd, first * PS, pages * PS, 0), of->memory,
		   of->base + first, pages);
}

static struct object *add_reference(struct scene *s, const char *name, struct object *of)
{
	return add(s, name, vmo_reference(of->fd, 0), of->memory, of->base, of->pages);
}

static void make_scene(struct scene *s, int dev)
{
	struct object *plain, *clone, *grandchild, *slice, *other;

	memset(s, 0, sizeof(*s));
	s->next_tag = 1;
	plain = add(s, "object", vmo_new_pages(dev, KEYS), 0, 0, KEYS);
	write_some(s, plain, 2);
	clone = add_clone(s, "clone", plain, 0, KEYS, 1);
	write_some(s, clone, 3);
	write_some(s, plain, 5);
	grandchild = add_clone(s, "clone of the clone", clone, 10, 150, 2);
	write_some(s, grandchild, 4);
	slice = add_slice(s, "slice", plain, 5, 190);
	add_slice(s, "slice of the slice", slice, 59, 130);
	add_slice(s, "slice of the clone", clone, LEAF, 100);
	add_reference(s, "reference", plain);
	add_reference(s, "reference of the grandchild", grandchild);
	other = add(s, "resizable object",
		    vmo_new_flags(dev, KEYS * PS, VMO_CREATE_RESIZABLE), 3, 0, KEYS);
	write_some(s, other, 3);
	add_clone(s, "window past the end", other, 20, KEYS, 4);
	add(s, "longterm object", vmo_new_flags(dev, KEYS * PS, VMO_CREATE_LONGTERM), 5, 0, KEYS);
	write_some(s, &s->object[s->objects - 1], 2);
}

static bool scene_is_whole(const struct scene *s)
{
	for (int i = 0; i < s->objects; i++)
		if (s->object[i].fd < 0 || !s->object[i].map || !s->object[i].view)
			return false;
	return true;
}

static void close_scene(struct scene *s)
{
	for (int i = 0; i < s->objects; i++) {
		struct object *o = &s->object[i];

		munmap(o->map, o->pages * PS);
		munmap(o->view, o->pages * PS);
		close(o->fd);
	}
}

/* The model: all are taken out first. */
static void model_transfer(struct scene *s, struct object *to, size_t at, struct object *from,
			   size_t src_at, size_t pages)
{
	uint64_t taken[KEYS], *src = &s->tag[from->memory][from->base + src_at];
	uint64_t *dst = &s->tag[to->memory][to->base + at];

	if (src == dst)
		return;
	memcpy(taken, src, pages * sizeof(*taken));
	memset(src, 0, pages * sizeof(*taken));
	memcpy(dst, taken, pages * sizeof(*taken));
}

enum sight { SHARED_MAP, PRIVATE_MAP, READ_CALL, WAYS };

static uint64_t seen(const struct object *o, size_t page, enum sight way)
{
	switch (way) {
	case SHARED_MAP:
		return get_tag(o->map, page);
	case PRIVATE_MAP:
		return get_tag(o->view, page);
	default:
		return read_tag(o->fd, page);
	}
}

/* Whether all objects show what the model has; tells the first page that does not. */
static bool agrees(struct scene *s, enum sight way, const struct object **which, size_t *page)
{
	for (int i = 0; i < s->objects; i++) {
		struct object *o = &s->object[i];

		*which = o;
		for (*page = 0; *page < o->pages; ++*page)
			if (seen(o, *page, way) != s->tag[o->memory][o->base + *page])
				return false;
	}
	return true;
}

static void check_scene(struct __test_metadata *_metadata, struct scene *s, enum sight way,
			const char *when)
{
	const struct object *o = NULL;
	size_t page = 0;

	ASSERT_TRUE(agrees(s, way, &o, &page))
		TH_LOG("%s: page %zu of the %s, seen by way %d", when, page, o->name, way);
}

/* One transfer; then stores through the mappings that were there before. */
static void try_transfer(struct __test_metadata *_metadata, struct scene *s, struct object *to,
			 size_t at, struct object *from, size_t src_at, size_t pages, int round)
{
	char text[160];

	snprintf(text, sizeof(text), "%s at %zu to %s at %zu, %zu pages", from->name, src_at,
		 to->name, at, pages);
	ASSERT_EQ(0, transfer(to->fd, at, from->fd, src_at, pages))
		TH_LOG("%s: %s", text, strerror(errno));
	model_transfer(s, to, at, from, src_at, pages);
	check_scene(_metadata, s, round % 8 ? SHARED_MAP : round / 8 % WAYS, text);
	for (int i = 0; i < 4; i++) {
		write_tag(s, to, at + below(s, pages));
		write_tag(s, from, src_at + below(s, pages));
	}
	check_scene(_metadata, s, SHARED_MAP, text);
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void try_pair(struct __test_metadata *_metadata, struct scene *s, struct object *to,
		     struct object *from, int round)
{
	size_t room = at_most(to->pages, from->pages), pages, at, src_at;

	/* The same offset, whole leaves, anything, overlapping a little. */
	for (int form = 0; form < 5; form++) {
		pages = 1 + below(s, form == 4 ? 5 : room);
		at = below(s, to->pages - pages + 1);
		src_at = below(s, from->pages - pages + 1);
		if (form == 0) {
			at = at_most(at, src_at);
			src_at = at;
		}
		if (form == 1) {
			pages = at_most(room, LEAF);
			at = at / LEAF * LEAF;
			src_at = src_at / LEAF * LEAF;
			pages = at_most(pages, at_most(to->pages - at, from->pages - src_at));
		}
		if (form == 3) {
			size_t shift = 1 + below(s, 70);

			pages = room - shift - below(s, room - shift);
			at = round % 2 ? 0 : shift;
			src_at = shift - at;
		}
		try_transfer(_metadata, s, to, at, from, src_at, pages, round * 5 + form);
	}
	write_some(s, from, 4);
	check_scene(_metadata, s, PRIVATE_MAP, "written again");
}

TEST_F_TIMEOUT(vmo, x2_all_pairs_of_objects, 300)
{
	struct scene *s = malloc(sizeof(*s));
	int round = 0;

	make_scene(s, self->dev);
	ASSERT_TRUE(scene_is_whole(s));
	check_scene(_metadata, s, READ_CALL, "made");
	for (int i = 0; i < s->objects; i++)
		for (int j = 0; j < s->objects; j++)
			try_pair(_metadata, s, &s->object[i], &s->object[j], round++);
	for (enum sight way = 0; way < WAYS; way++)
		check_scene(_metadata, s, way, "at the end");
	close_scene(s);
	free(s);
}

/* ---- overlapping ------------------------------------------------------- */

/* As if all were taken out first, over pieces and leaves, in both directions. */
static void try_overlap(struct __test_metadata *_metadata, int fd, char *p, size_t n, size_t shift,
			bool up, bool holes)
{
	size_t at = up ? shift : 0, src_at = shift - at, pages = n - shift;

	ASSERT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, n * PS));
	for (size_t i = 0; i < n; i++)
		if (!holes || i % 3)
			put_tag(p, i, 1000 + i);
	ASSERT_EQ(0, transfer(fd, at, fd, src_at, pages));
	for (size_t i = 0; i < n; i++) {
		uint64_t want = 0;
		size_t was = i + src_at - at;

		if (i >= at && i < at + pages)
			want = !holes || was % 3 ? 1000 + was : 0;
		else if (i < src_at || i >= src_at + pages)
			want = !holes || i % 3 ? 1000 + i : 0;
		ASSERT_EQ(want, get_tag(p, i))
			TH_LOG("page %zu of %zu, by %zu %s", i, n, shift, up ? "up" : "down");
	}
}

TEST_F_TIMEOUT(vmo, x2_overlapping_ranges, 300)
{
	const size_t n = 3 * PIECE + 77;
	const size_t shifts[] = {
		1, 2, LEAF - 1, LEAF, LEAF + 1, PIECE - 1, PIECE, PIECE + 1, PIECE + LEAF,
		2 * PIECE, n / 2, n - 1,
	};
	int fd = vmo_new_pages(self->dev, n);
	char *p = vmo_map(fd, n, RW);

	ASSERT_NE(NULL, p);
	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++)
		for (int way = 0; way < 4; way++)
			try_overlap(_metadata, fd, p, n, shifts[i], way & 1, way & 2);
	munmap(p, n * PS);
	close(fd);
}

/* Slices onto one memory, of which none knows where the other one is. */
TEST_F(vmo, x2_overlapping_slices)
{
	const size_t n = 2 * PIECE;
	int fd = vmo_new_pages(self->dev, n);
	int low = vmo_slice(fd, 0, (n - 5) * PS, 0), high = vmo_slice(fd, 5 * PS, (n - 5) * PS, 0);
	char *p = vmo_map(fd, n, RW);

	ASSERT_NE(NULL, p);
	ASSERT_LE(0, low);
	ASSERT_LE(0, high);
	put_tags(p, 0, n, 1000);
	ASSERT_EQ(0, transfer(high, 0, low, 0, n - 5));
	EXPECT_EQ(-1, wrong_tag(p, 0, 5, 0));
	EXPECT_EQ(-1, wrong_tag(p, 5, n - 5, 995));
	ASSERT_EQ(0, transfer(low, 0, high, 0, n - 5));
	EXPECT_EQ(-1, wrong_tag(p, 0, n - 5, 1000));
	EXPECT_EQ(-1, wrong_tag(p, n - 5, 5, 0));
	munmap(p, n * PS);
	close(low);
	close(high);
	close(fd);
}

/* ---- what it costs ----------------------------------------------------- */

/* The addresses of up to @max pages of @fd. Returns way many. */
static size_t addresses(int fd, uint64_t *address, size_t max)
{
	struct vmo_lookup_entry *entry = calloc(max, sizeof(*entry));
	struct vmo_lookup arg = {
		.length = info_of(fd).size, .entries = (uintptr_t)entry, .count = max,
	};
	size_t n = 0;

	while (arg.length && n < max && !ioctl(fd, VMO_LOOKUP, &arg)) {
		for (size_t i = 0; i < arg.count; i++)
			address[n + i] = entry[i].address;
		n += arg.count;
		arg.count = max - n;
	}
	free(entry);
	return n;
}

/* Pages that nobody else has move: these very pages, and none is made. */
static void try_moving(struct __test_metadata *_metadata, int dev, size_t pages, size_t at,
		       size_t src_at)
{
	int to = vmo_new_pages(dev, at + pages), from = vmo_new_pages(dev, src_at + pages);
	uint64_t *was = calloc(pages, 8), *is = calloc(pages, 8);
	char *p = vmo_map(from, src_at + pages, RW), *q;
	long held;

	ASSERT_NE(NULL, p);
	put_tags(p, src_at, pages, 7000);
	held = vmo_counter("pages");
	ASSERT_EQ(pages, addresses(from, was, pages));
	ASSERT_EQ(0, transfer(to, at, from, src_at, pages))
		TH_LOG("%zu pages from %zu to %zu: %s", pages, src_at, at, strerror(errno));
	EXPECT_EQ(held, vmo_counter("pages")) TH_LOG("%zu from %zu to %zu", pages, src_at, at);
	EXPECT_EQ(pages, addresses(to, is, pages));
	EXPECT_EQ(0, memcmp(was, is, pages * 8)) TH_LOG("%zu from %zu to %zu", pages, src_at, at);
	EXPECT_EQ(0, info_of(from).committed_bytes);
	EXPECT_EQ(pages * PS, info_of(to).private_bytes);
	q = vmo_map(to, at + pages, RW);
	ASSERT_NE(NULL, q);
	EXPECT_EQ(-1, wrong_tag(q, at, pages, 7000 + src_at - at));
	EXPECT_EQ(-1, wrong_tag(p, src_at, pages, 0));
	/* They are the target's own: writing them makes none either. */
	put_tags(q, at, pages, 9000);
	EXPECT_EQ(held, vmo_counter("pages"));
	munmap(p, (src_at + pages) * PS);
	munmap(q, (at + pages) * PS);
	free(was);
	free(is);
	close(to);
	close(from);
}

TEST_F_TIMEOUT(vmo, x2_what_is_ours_moves_without_a_copy, 300)
{
	const size_t counts[] = {
		1, 2, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF, PIECE, PIECE + 1, 1500,
	};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		try_moving(_metadata, self->dev, counts[i], 0, 0);
		try_moving(_metadata, self->dev, counts[i], 2 * LEAF, 0);
		try_moving(_metadata, self->dev, counts[i], 0, LEAF);
		try_moving(_metadata, self->dev, counts[i], 1, 0);
		try_moving(_metadata, self->dev, counts[i], 7, LEAF + 5);
	}
}

TEST_F_TIMEOUT(vmo, x2_sixty_four_megabytes, 300)
{
	try_moving(_metadata, self->dev, (64UL << 20) / PS, 0, 0);
	try_moving(_metadata, self->dev, (64UL << 20) / PS, 3, LEAF);
}

/* What a clone shares is copied, once; and what the target had is freed. */
TEST_F(vmo, x2_what_is_shared_is_copied)
{
	const size_t n = 100;
	int to = filled(self->dev, n, 0, n, 100), from = filled(self->dev, n, 0, n, 500);
	int child = vmo_window(from, 0, 40 * PS);

	ASSERT_LE(0, child);
	EXPECT_EQ(self->pages + 2 * (long)n, vmo_counter("pages"));
	ASSERT_EQ(0, transfer(to, 0, from, 0, n));
	/* All of the source's pages, less nothing, and 40 copies. */
	EXPECT_EQ(self->pages + (long)n + 40, vmo_counter("pages"));
	EXPECT_EQ(-1, wrong_page_fd(to, 0, n, 500));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 40, 500));
	EXPECT_EQ(40 * PS, info_of(child).private_bytes);
	EXPECT_EQ(n * PS, info_of(to).private_bytes);
	close(child);
	EXPECT_EQ(self->pages + (long)n, vmo_counter_becomes("pages", self->pages + n));
	close(to);
	close(from);
}

/* Ranges without end, of which little is there. */
TEST_F_TIMEOUT(vmo, x2_m5_endless_sparse_objects, 60)
{
	int to = vmo_new(self->dev, MAX_SIZE), from = vmo_new(self->dev, MAX_SIZE);
	const uint64_t far[] = { 0, 1ULL << 30, (1ULL << 45) + PS, 1ULL << 62, MAX_SIZE - 2 * PS };
	uint64_t word, half = (1ULL << 62) - PS;
	double start = seconds();

	ASSERT_LE(0, to);
	ASSERT_LE(0, from);
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		word = 100 + i;
		ASSERT_EQ(8, pwrite(from, &word, 8, far[i]));
		ASSERT_EQ(8, pwrite(to, &word, 8, far[i] + PS));
	}
	ASSERT_EQ(0, transfer_bytes(to, 0, from, 0, MAX_SIZE));
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		EXPECT_EQ(8, pread(to, &word, 8, far[i]));
		EXPECT_EQ(100 + i, word);
		EXPECT_EQ(8, pread(to, &word, 8, far[i] + PS));
		EXPECT_EQ(0, word);
	}
	EXPECT_EQ(0, info_of(from).committed_bytes);
	EXPECT_EQ(ARRAY_SIZE(far) * PS, info_of(to).committed_bytes);
	/* Half of it, by an odd number of pages, within one object: up, down. */
	ASSERT_EQ(0, transfer_bytes(to, PS, to, 0, half));
	EXPECT_EQ(8, pread(to, &word, 8, far[2] + PS));
	EXPECT_EQ(102, word);
	ASSERT_EQ(0, transfer_bytes(to, 0, to, PS, half));
	EXPECT_EQ(8, pread(to, &word, 8, far[2]));
	EXPECT_EQ(102, word);
	/* Holes to holes. */
	ASSERT_EQ(0, transfer_bytes(from, 0, from, half, half));
	EXPECT_GT(20, seconds() - start);
	close(to);
	close(from);
}

/* ---- mappings ---------------------------------------------------------- */

/* Stores through a mapping that was writable before go to what it maps, not after. */
TEST_F(vmo, x2_mp4_stores_through_older_mappings)
{
	for (int changed = 0; changed < 4; changed++) {
		int to = filled(self->dev, 8, 0, 8, 100), from = filled(self->dev, 8, 0, 8, 200);
		char *src = vmo_map(from, 8, RW), *dst = vmo_map(to, 8, RW);
		char *ro = vmo_map(to, 8, RO);

		ASSERT_NE(NULL, ro);
		fill_pages(src, 0, 8, 300);
		fill_pages(dst, 0, 8, 400);
		EXPECT_EQ(-1, wrong_page(ro, 0, 8, 400));
		if (changed & 1)
			ASSERT_EQ(0, mprotect(src, 8 * PS, RO));
		ASSERT_EQ(0, transfer(to, 0, from, 0, 8));
		if (changed & 1)
			ASSERT_EQ(0, mprotect(src, 8 * PS, RW));
		if (changed & 2)
			EXPECT_EQ(-1, wrong_page(ro, 0, 8, 300));
		fill_pages(src, 0, 4, 500);
		EXPECT_EQ(-1, wrong_page(dst, 0, 8, 300));
		EXPECT_EQ(-1, wrong_page(src, 4, 4, 0));
		fill_pages(dst, 0, 8, 600);
		EXPECT_EQ(-1, wrong_page(src, 0, 4, 500));
		EXPECT_EQ(-1, wrong_page(ro, 0, 8, 600));
		munmap(src, 8 * PS);
		munmap(dst, 8 * PS);
		munmap(ro, 8 * PS);
		close(to);
		close(from);
	}
}

/* Another process has both mapped, and writes what it always wrote. */
TEST_F(vmo, x2_mp4_mappings_of_another_process)
{
	int to = filled(self->dev, 4, 0, 4, 100), from = filled(self->dev, 4, 0, 4, 200), go[2];
	char *src = vmo_map(from, 4, RW), *dst = vmo_map(to, 4, RW), c = 0;
	int status;
	pid_t pid;

	ASSERT_NE(NULL, dst);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fill_pages(src, 0, 4, 200);
		fill_pages(dst, 0, 4, 100);
		if (write(go[1], &c, 1) != 1 || read(go[1], &c, 1) != 1)
			_exit(1);
		if (wrong_page(dst, 0, 4, 200) != -1 || wrong_page(src, 0, 4, 0) != -1)
			_exit(2);
		fill_pages(src, 0, 2, 700);
		fill_pages(dst, 2, 2, 800);
		_exit(0);
	}
	ASSERT_EQ(1, read(go[0], &c, 1));
	ASSERT_EQ(0, transfer(to, 0, from, 0, 4));
	ASSERT_EQ(1, write(go[0], &c, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, wrong_page(src, 0, 2, 700));
	EXPECT_EQ(-1, wrong_page(src, 2, 2, 0));
	EXPECT_EQ(-1, wrong_page(dst, 0, 2, 200));
	EXPECT_EQ(-1, wrong_page(dst, 2, 2, 800));
	munmap(src, 4 * PS);
	munmap(dst, 4 * PS);
	close(go[0]);
	close(go[1]);
	close(to);
	close(from);
}

/* MP2: zeroes that a mapping of the target shows, for a hole, have to go. */
TEST_F(vmo, x2_mp2_mapped_holes_of_the_target)
{
	for (int way = 0; way < 2; way++) {
		int to = vmo_new_pages(self->dev, 2 * LEAF);
		int from = filled(self->dev, 2 * LEAF, 0, 2 * LEAF, 100);
		char *shared = vmo_map(to, 2 * LEAF, RO);
		char *own = vmo_map_at(to, 0, 2 * LEAF, RW, MAP_PRIVATE);

		ASSERT_NE(NULL, own);
		EXPECT_EQ(-1, wrong_page(shared, 0, 2 * LEAF, 0));
		EXPECT_EQ(-1, wrong_page(own, 0, 2 * LEAF, 0));
		/* Leaf by leaf, or page by page. */
		ASSERT_EQ(0, transfer(to, way, from, way * 2, 2 * LEAF - 2 * way));
		EXPECT_EQ(-1, wrong_page(shared, way, 2 * LEAF - 2 * way, 100 + way));
		EXPECT_EQ(-1, wrong_page(own, way, 2 * LEAF - 2 * way, 100 + way));
		munmap(shared, 2 * LEAF * PS);
		munmap(own, 2 * LEAF * PS);
		close(to);
		close(from);
	}
}

/* ---- pages that somebody holds ----------------------------------------- */

/*
 * A pipe has pages of the source, or of the target. Whatever is transferred and written
 * then, it delivers what it was given.
 */
static void try_pipe(struct __test_metadata *_metadata, int dev, unsigned int flags, bool of_target)
{
	const size_t n = 4;
	int to = filled(dev, n, 0, n, 100), from = filled(dev, n, 0, n, 200), pipes[2];
	char *src = vmo_map(from, n, RW), *dst = vmo_map(to, n, RW), *buf = malloc(n * PS);
	struct iovec iov = { of_target ? dst : src, n * PS };

	ASSERT_NE(NULL, dst);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	fill_pages(src, 0, n, 200);
	fill_pages(dst, 0, n, 100);
	ASSERT_EQ(n * PS, (size_t)vmsplice(pipes[1], &iov, 1, flags));
	ASSERT_EQ(0, transfer(to, 0, from, 0, n));
	EXPECT_EQ(-1, wrong_page(dst, 0, n, 200));
	EXPECT_EQ(-1, wrong_page(src, 0, n, 0));
	fill_pages(dst, 0, n, 300);
	fill_pages(src, 0, n, 400);
	EXPECT_EQ(0, pwrite(to, "xyz", 3, 0) - 3);
	for (size_t done = 0; done < n * PS;) {
		ssize_t got = read(pipes[0], buf + done, n * PS - done);

		ASSERT_LT(0, got);
		done += got;
	}
	EXPECT_EQ(-1, wrong_page(buf, 0, n, of_target ? 100 : 200))
		TH_LOG("flags %x, pages of the %s", flags, of_target ? "target" : "source");
	free(buf);
	munmap(src, n * PS);
	munmap(dst, n * PS);
	close(pipes[0]);
	close(pipes[1]);
	close(to);
	close(from);
}

TEST_F(vmo, x2_inv_4_7_pages_in_a_pipe)
{
	for (int way = 0; way < 4; way++)
		try_pipe(_metadata, self->dev, way & 1 ? SPLICE_F_GIFT : 0, way & 2);
}

/* One of many is held: that one is copied, the others move. */
TEST_F(vmo, x2_one_held_page_is_copied)
{
	const size_t n = 2 * LEAF;
	int to = vmo_new_pages(self->dev, n), from = filled(self->dev, n, 0, n, 100), pipes[2];
	uint64_t was[2 * LEAF], is[2 * LEAF];
	char *src = vmo_map(from, n, RW), *dst = vmo_map(to, n, RW), c;
	struct iovec iov = { src + 5 * PS, 1 };

	ASSERT_NE(NULL, src);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	src[5 * PS] = 'h';
	ASSERT_EQ(1, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_EQ(n, addresses(from, was, n));
	ASSERT_EQ(0, transfer(to, 0, from, 0, n));
	ASSERT_EQ(n, addresses(to, is, n));
	for (size_t i = 0; i < n; i++) {
		EXPECT_EQ(i != 5, was[i] == is[i])
			TH_LOG("page %zu", i);
	}
	EXPECT_EQ('h', dst[5 * PS]);
	dst[5 * PS] = 'd';
	src[5 * PS] = 's';
	ASSERT_EQ(1, read(pipes[0], &c, 1));
	EXPECT_EQ('h', c);
	munmap(src, n * PS);
	munmap(dst, n * PS);
	close(pipes[0]);
	close(pipes[1]);
	close(to);
	close(from);
}

/* ---- not to the end ---------------------------------------------------- */

static void shovel(int a, int b, size_t n)
{
	for (;;)
		if (transfer(b, 0, a, 0, n) || transfer(a, 0, b, 0, n))
			_exit(1);
}

/* Killed at some time: every page is on one side, as it was, and zero on the other. */
TEST_F_TIMEOUT(vmo, x3_killed_in_the_middle, 300)
{
	const size_t n = 16 * PIECE;
	int a = vmo_new_pages(self->dev, n), b = vmo_new_pages(self->dev, n), status;
	char *p = vmo_map(a, n, RW), *q = vmo_map(b, n, RW);
	double end = seconds() + 30;
	int split = 0;

	ASSERT_NE(NULL, q);
	put_tags(p, 0, n, 5000);
	for (int i = 0; more_rounds(i, 5, 40, end); i++) {
		pid_t pid = fork();
		size_t at_a = 0;

		ASSERT_LE(0, pid);
		if (!pid)
			shovel(a, b, n);
		usleep(2000 + i * 1777 % 20000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		for (size_t page = 0; page < n; page++) {
			bool here = get_tag(p, page) == 5000 + page;
			bool there = get_tag(q, page) == 5000 + page;

			ASSERT_EQ(1, here + there) TH_LOG("round %d, page %zu", i, page);
			ASSERT_EQ(0, here ? get_tag(q, page) : get_tag(p, page));
			at_a += here;
		}
		split += at_a && at_a < n;
		/* All back to one side, without losing what is there. */
		for (size_t page = 0; page < n; page++)
			if (!get_tag(p, page))
				ASSERT_EQ(0, transfer(a, page, b, page, 1));
		ASSERT_EQ(-1, wrong_tag(p, 0, n, 5000));
		ASSERT_EQ(-1, wrong_tag(q, 0, n, 0));
	}
	TH_LOG("%d were split", split);
	EXPECT_EQ(self->pages + (long)n, vmo_counter("pages"));
	munmap(p, n * PS);
	munmap(q, n * PS);
	close(a);
	close(b);
}

/* ---- at the same time -------------------------------------------------- */

struct crossing {
	int to;
	int from;
	size_t at;
	size_t pages;
	uint64_t *stop;
	uint64_t bad;
};

static void *cross(void *arg)
{
	struct crossing *c = arg;

	while (!load(c->stop))
		if (transfer(c->to, c->at, c->from, c->at, c->pages) ||
		    transfer(c->from, c->at, c->to, c->at, c->pages))
			store(&c->bad, errno);
	return NULL;
}

/* Two objects, each other's source, with snapshots and stores in between. */
TEST_F_TIMEOUT(vmo, x2_crosswise_at_the_same_time, 120)
{
	const size_t n = 200;
	int a = vmo_new_pages(self->dev, 2 * n), b = vmo_new_pages(self->dev, 2 * n);
	char *p = vmo_map(a, 2 * n, RW), *q = vmo_map(b, 2 * n, RW);
	uint64_t stop = 0;
	struct crossing c[2] = {
		{ .to = a, .from = b, .at = 0, .pages = n - 1, .stop = &stop },
		{ .to = b, .from = a, .at = n, .pages = n - 1, .stop = &stop },
	};
	double end = seconds() + 3;
	pthread_t threads[2];

	ASSERT_NE(NULL, q);
	put_tags(q, 0, n, 100);
	put_tags(p, n, n, 100);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, cross, &c[i]));
	while (seconds() < end) {
		int child = vmo_snap(a);

		ASSERT_LE(0, child);
		/* What is not in a range stays; what is, may be on either side. */
		EXPECT_EQ(100 + 2 * n - 1, read_tag(child, 2 * n - 1));
		for (size_t i = 0; i < 2 * n; i += 17) {
			uint64_t tag = read_tag(child, i);

			EXPECT_TRUE(!tag || tag == 100 + i) TH_LOG("page %zu: %lx", i, tag);
		}
		put_tag(p, 2 * n - 1, 100 + 2 * n - 1);
		close(child);
	}
	store(&stop, 1);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, c[i].bad) TH_LOG("%s", strerror(c[i].bad));
	}
	EXPECT_EQ(-1, wrong_tag(q, 0, n, 100));
	EXPECT_EQ(-1, wrong_tag(p, n, n, 100));
	EXPECT_EQ(-1, wrong_tag(p, 0, n, 0));
	EXPECT_EQ(-1, wrong_tag(q, n, n, 0));
	munmap(p, 2 * n * PS);
	munmap(q, 2 * n * PS);
	close(a);
	close(b);
}

struct storing {
	char *map;
	size_t pages;
	uint64_t *stop;
	uint64_t stores;
};

/* Adds one to a word of each page, which is a count of ours alone. */
static void *keep_counting(void *arg)
{
	struct storing *s = arg;

	while (!load(s->stop)) {
		for (size_t i = 0; i < s->pages; i++)
			__atomic_fetch_add((uint64_t *)(s->map + i * PS), 1, __ATOMIC_SEQ_CST);
		store(&s->stores, s->stores + s->pages);
	}
	return NULL;
}

/*
 * A thread counts in the source while it is taken away all the time: no count is lost,
 * each is in what was taken then or in what is there.
 */
TEST_F_TIMEOUT(vmo, x2_inv_ours_stores_while_pages_leave, 120)
{
	const size_t n = 8;
	int from = vmo_new_pages(self->dev, n), to = vmo_new_pages(self->dev, n);
	char *p = vmo_map(from, n, RW), *q = vmo_map(to, n, RW);
	uint64_t stop = 0, sum = 0;
	struct storing s = { .map = p, .pages = n, .stop = &stop };
	double end = seconds() + 3;
	pthread_t thread;

	ASSERT_NE(NULL, q);
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_counting, &s));
	while (seconds() < end) {
		ASSERT_EQ(0, transfer(to, 0, from, 0, n));
		for (size_t i = 0; i < n; i++)
			sum += *(uint64_t *)(q + i * PS);
	}
	store(&stop, 1);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < n; i++)
		sum += *(uint64_t *)(p + i * PS);
	EXPECT_EQ(s.stores, sum);
	EXPECT_LT(0, sum);
	munmap(p, n * PS);
	munmap(q, n * PS);
	close(from);
	close(to);
}

TEST_F(vmo, x1_the_feature_is_told)
{
	struct vmo_probe probe;

	ASSERT_EQ(0, ioctl(self->dev, VMO_PROBE, &probe));
	EXPECT_TRUE(probe.features & VMO_FEATURE_TRANSFER);
}

TEST_HARNESS_MAIN
