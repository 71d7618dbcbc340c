// SPDX-License-Identifier: GPL-2.0
/*
 * VMO_TRANSFER: pages that go from one object to another. X1 has the errors, X2 what is
 * where afterwards.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "transfer_util.h"

/* ---- errors ------------------------------------------------------------ */

/* What must be as it was after a refusal. */
static bool as_it_was(int fd, const struct vmo_info *before, uint64_t base)
{
	struct vmo_info now = info_of(fd);

	now.generation = before->generation;	/* may rise for nothing */
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

TEST_F(vmo, x1_the_feature_is_told)
{
	struct vmo_probe probe;

	ASSERT_EQ(0, ioctl(self->dev, VMO_PROBE, &probe));
	EXPECT_TRUE(probe.features & VMO_FEATURE_TRANSFER);
}

TEST_HARNESS_MAIN
