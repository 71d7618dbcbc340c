// SPDX-License-Identifier: GPL-2.0
/*
 * The kinds of clones: without a pager VMO_CLONE_AT_LEAST_ON_WRITE and
 * VMO_CLONE_MODIFIED are snapshots, of whatever source. Each is compared with a
 * snapshot that was made the same way, and with what a snapshot has to hold.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#define PAGES		8
#define SIZE		(PAGES * PS)
#define KINDS		3
#define DEEP		40
#define SEED		1000
#define OTHER		2000

static const uint32_t kinds[KINDS] = {
	VMO_CLONE_SNAPSHOT, VMO_CLONE_AT_LEAST_ON_WRITE, VMO_CLONE_MODIFIED,
};

static int clone_of(int fd, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct vmo_clone arg = { .offset = offset, .size = size, .flags = flags, .fd = -1 };

	return ioctl(fd, VMO_CLONE, &arg) ? -1 : arg.fd;
}

/* Pages 1, 2, 4 and 7 are there, with the seed base + index; the others are holes. */
static bool there(int page)
{
	return page == 1 || page == 2 || page == 4 || page == 7;
}

static int filled(int dev, uint32_t flags, uint64_t base)
{
	int fd = vmo_new_flags(dev, SIZE, flags);

	for (int i = 0; i < PAGES; i++)
		if (there(i) && write_page(fd, i, base + i))
			return -1;
	return fd;
}

/* Whether @fd shows pages [@first, @first + @count) of what filled() made. */
static bool shows(int fd, int first, int count, uint64_t base)
{
	for (int i = 0; i < count; i++)
		if (wrong_page_fd(fd, i, 1, there(first + i) ? base + first : 0) != -1)
			return false;
	return true;
}

/* ---- sources ----------------------------------------------------------- */

/**
 * struct source - something to clone, which shows pages [@first, PAGES) of a filled()
 * @fd: what is cloned
 * @all: all descriptors that it takes, @fd too; -1 at the end
 */
struct source {
	int fd;
	int first;
	int all[DEEP + 3];
};

static int keep(struct source *s, int fd)
{
	int i = 0;

	while (s->all[i] >= 0)
		i++;
	s->all[i] = fd;
	s->all[i + 1] = -1;
	return fd;
}

static void drop(struct source *s)
{
	for (int i = 0; s->all[i] >= 0; i++)
		close(s->all[i]);
}

static int plain(struct source *s, int dev, uint32_t kind)
{
	return keep(s, filled(dev, 0, SEED));
}

static int resizable(struct source *s, int dev, uint32_t kind)
{
	return keep(s, filled(dev, VMO_CREATE_RESIZABLE, SEED));
}

static int longterm(struct source *s, int dev, uint32_t kind)
{
	return keep(s, filled(dev, VMO_CREATE_LONGTERM, SEED));
}

/* All pages from the parent. */
static int plain_clone(struct source *s, int dev, uint32_t kind)
{
	return keep(s, clone_of(plain(s, dev, kind), 0, SIZE, kind));
}

/* Some of its own, some from the parent. */
static int written_clone(struct source *s, int dev, uint32_t kind)
{
	int parent = keep(s, filled(dev, 0, OTHER)), fd = clone_of(parent, 0, SIZE, kind);

	for (int i = 0; i < PAGES; i++)
		if (there(i) && write_page(fd, i, SEED + i))
			return -1;
	return keep(s, fd);
}

static int frozen_clone(struct source *s, int dev, uint32_t kind)
{
	return keep(s, clone_of(plain(s, dev, kind), 0, SIZE, kind | VMO_CLONE_NO_WRITE));
}

static int parent_of_clones(struct source *s, int dev, uint32_t kind)
{
	int fd = plain(s, dev, kind);

	keep(s, clone_of(fd, 0, SIZE, kind));
	keep(s, clone_of(fd, PS, PS, kind));
	return fd;
}

/* K8: Zircon refuses MODIFIED of a clone that has children. */
static int clone_with_clones(struct source *s, int dev, uint32_t kind)
{
	int fd = plain_clone(s, dev, kind);

	keep(s, clone_of(fd, 0, SIZE, kind));
	return fd;
}

static int slice(struct source *s, int dev, uint32_t kind)
{
	s->first = 1;
	return keep(s, vmo_slice(plain(s, dev, kind), PS, SIZE - PS, 0));
}

static int slice_of_a_slice(struct source *s, int dev, uint32_t kind)
{
	int parent = slice(s, dev, kind);

	s->first = 2;
	return keep(s, vmo_slice(parent, PS, SIZE - 2 * PS, 0));
}

/* K7, K8: Zircon refuses all clones of those. */
static int slice_of_a_clone(struct source *s, int dev, uint32_t kind)
{
	s->first = 3;
	return keep(s, vmo_slice(plain_clone(s, dev, kind), 3 * PS, SIZE - 3 * PS, 0));
}

static int clone_of_a_slice(struct source *s, int dev, uint32_t kind)
{
	return keep(s, clone_of(slice(s, dev, kind), 0, SIZE - PS, kind));
}

static int reference(struct source *s, int dev, uint32_t kind)
{
	return keep(s, vmo_reference(plain(s, dev, kind), 0));
}

static int reference_of_a_clone(struct source *s, int dev, uint32_t kind)
{
	return keep(s, vmo_reference(plain_clone(s, dev, kind), 0));
}

/* K8: Zircon refuses more than two in a row. */
static int deep_chain(struct source *s, int dev, uint32_t kind)
{
	int fd = plain(s, dev, kind);

	for (int i = 0; i < DEEP; i++)
		fd = keep(s, clone_of(fd, 0, SIZE, kind));
	return fd;
}

static int window(struct source *s, int dev, uint32_t kind)
{
	s->first = 1;
	return keep(s, clone_of(plain(s, dev, kind), PS, SIZE - PS, kind));
}

static const struct {
	const char *name;
	int (*make)(struct source *s, int dev, uint32_t kind);
	bool shared;	/* it is charged nothing, its memory is another one's, too */
} sources[] = {
	{ "an object", plain, false },
	{ "a resizable object", resizable, false },
	{ "a longterm object", longterm, false },
	{ "a clone", plain_clone, false },
	{ "a clone with pages of its own", written_clone, false },
	{ "a clone for reading", frozen_clone, false },
	{ "a window", window, false },
	{ "a parent of clones", parent_of_clones, false },
	{ "a clone with clones", clone_with_clones, false },
	{ "a slice", slice, true },
	{ "a slice of a slice", slice_of_a_slice, true },
	{ "a slice of a clone", slice_of_a_clone, true },
	{ "a clone of a slice", clone_of_a_slice, false },
	{ "a reference", reference, true },
	{ "a reference of a clone", reference_of_a_clone, true },
	{ "a deep chain", deep_chain, false },
};

static void make_source(struct __test_metadata *_metadata, struct source *s, int dev, size_t which,
			uint32_t kind)
{
	*s = (struct source) { .all = { -1 } };
	s->fd = sources[which].make(s, dev, kind);
	for (int i = 0; i < DEEP + 2 && s->all[i] != s->fd; i++)
		ASSERT_LE(0, s->all[i]) TH_LOG("%s", sources[which].name);
	ASSERT_LE(0, s->fd) TH_LOG("%s: %s", sources[which].name, strerror(errno));
	ASSERT_TRUE(shows(s->fd, s->first, PAGES - s->first, SEED))
		TH_LOG("%s", sources[which].name);
}

/* ---- flags of clones --------------------------------------------------- */

static const uint32_t extras[] = {
	0, VMO_CLONE_NO_WRITE, VMO_CLONE_RESIZABLE, VMO_CLONE_LONGTERM, VMO_CLONE_COPY_PINNED,
	VMO_CLONE_RESIZABLE | VMO_CLONE_LONGTERM, VMO_CLONE_NO_WRITE | VMO_CLONE_COPY_PINNED,
	VMO_CLONE_RESIZABLE | VMO_CLONE_LONGTERM | VMO_CLONE_COPY_PINNED,
};

static bool can_write(uint32_t extra)
{
	return !(extra & VMO_CLONE_NO_WRITE);
}

/* H1: whatever else is asked for, exactly one kind. */
TEST_F(vmo, h1_exactly_one_kind)
{
	int fd = filled(self->dev, 0, SEED);

	for (uint32_t set = 0; set < 8; set++) {
		for (size_t i = 0; i < ARRAY_SIZE(extras); i++) {
			int child = clone_of(fd, 0, SIZE, set | extras[i]), err = errno;

			EXPECT_EQ(__builtin_popcount(set) == 1, child >= 0)
				TH_LOG("kinds %u, flags %x", set, extras[i]);
			EXPECT_EQ(child < 0 ? EINVAL : 0, child < 0 ? err : 0);
			if (child >= 0)
				close(child);
		}
	}
	/* Not together, whatever the kind. */
	for (int k = 0; k < KINDS; k++) {
		EXPECT_ERRNO(EINVAL, clone_of(fd, 0, SIZE, kinds[k] | VMO_CLONE_NO_WRITE |
					      VMO_CLONE_RESIZABLE));
		EXPECT_ERRNO(EINVAL, clone_of(fd, 0, SIZE, kinds[k] | VMO_CLONE_NO_WRITE |
					      VMO_CLONE_LONGTERM));
		EXPECT_ERRNO(EINVAL, clone_of(fd, 1, SIZE, kinds[k]));
		EXPECT_ERRNO(ERANGE, clone_of(fd, 0, -PS, kinds[k]));
		EXPECT_ERRNO(EINVAL, clone_of(fd, -PS, 2 * PS, kinds[k]));
	}
	close(fd);
}

/* ---- contents ---------------------------------------------------------- */

/* Writes of either side, and later ones, stay there. */
static void try_contents(struct __test_metadata *_metadata, const struct source *s, int child,
			 bool child_writes, const char *name)
{
	int count = PAGES - s->first;
	char *p = vmo_map(child, count, RO);
	bool source_writes = (fcntl(s->fd, F_GETFL) & O_ACCMODE) == O_RDWR;

	ASSERT_NE(NULL, p);
	EXPECT_TRUE(shows(child, s->first, count, SEED)) TH_LOG("%s", name);
	for (int i = 0; i < count && source_writes; i++)
		ASSERT_EQ(0, write_page(s->fd, i, OTHER + i));
	EXPECT_TRUE(shows(child, s->first, count, SEED)) TH_LOG("%s, source written", name);
	for (int i = 0; i < count; i++) {
		uint64_t seed = there(s->first + i) ? SEED + s->first + i : 0;

		EXPECT_TRUE(page_is(p + i * PS, seed)) TH_LOG("%s, mapped, page %d", name, i);
	}
	if (child_writes) {
		for (int i = 0; i < count; i += 2)
			ASSERT_EQ(0, write_page(child, i, 5000 + i));
		if (source_writes)
			EXPECT_EQ(-1, wrong_page_fd(s->fd, 0, count, OTHER)) TH_LOG("%s", name);
		for (int i = 0; i < count; i += 2)
			EXPECT_TRUE(page_is(p + i * PS, 5000 + i)) TH_LOG("%s", name);
	}
	munmap(p, count * PS);
}

TEST_F_TIMEOUT(vmo, k5_k8_all_kinds_of_all_sources_are_snapshots, 300)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		for (int k = 0; k < KINDS; k++) {
			for (size_t j = 0; j < ARRAY_SIZE(extras); j++) {
				struct source s;
				int child;

				make_source(_metadata, &s, self->dev, i, kinds[k]);
				child = clone_of(s.fd, 0, SIZE - s.first * PS,
						 kinds[k] | extras[j]);
				ASSERT_LE(0, child)
					TH_LOG("kind %d of %s, flags %x: %s", k, sources[i].name,
					       extras[j], strerror(errno));
				try_contents(_metadata, &s, child, can_write(extras[j]),
					     sources[i].name);
				close(child);
				drop(&s);
			}
		}
	}
}

/* One source, a clone of each kind: no two of them are the same one. */
TEST_F_TIMEOUT(vmo, k5_kinds_mixed_in_one_family, 120)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		int child[KINDS * 2], count;
		struct source s;

		make_source(_metadata, &s, self->dev, i, kinds[i % KINDS]);
		count = PAGES - s.first;
		for (int k = 0; k < KINDS; k++) {
			child[k] = clone_of(s.fd, 0, count * PS, kinds[k]);
			child[KINDS + k] = clone_of(child[k], 0, count * PS,
						    kinds[(k + 1) % KINDS]);
			ASSERT_LE(0, child[KINDS + k]);
		}
		for (int k = 0; k < KINDS; k++)
			for (int page = 0; page < count; page++)
				ASSERT_EQ(0, write_page(child[k], page, 3000 + 100 * k + page));
		for (int k = 0; k < KINDS; k++) {
			EXPECT_EQ(-1, wrong_page_fd(child[k], 0, count, 3000 + 100 * k));
			EXPECT_TRUE(shows(child[KINDS + k], s.first, count, SEED))
				TH_LOG("%s", sources[i].name);
		}
		EXPECT_TRUE(shows(s.fd, s.first, count, SEED)) TH_LOG("%s", sources[i].name);
		for (int k = 0; k < 2 * KINDS; k++)
			close(child[k]);
		drop(&s);
	}
}

/* ---- what INFO tells --------------------------------------------------- */

/* But for who it is. */
static struct vmo_info told(int fd)
{
	struct vmo_info info;

	vmo_stat(fd, &info);
	info.id = 0;
	info.parent_id = 0;
	info.generation = 0;
	return info;
}

static void info_flags(struct __test_metadata *_metadata, int child, uint32_t extra)
{
	struct vmo_info info = told(child);
	uint64_t want = VMO_INFO_COW_CLONE;

	if (!can_write(extra))
		want |= VMO_INFO_NO_WRITE | VMO_INFO_IMMUTABLE;
	if (extra & VMO_CLONE_RESIZABLE)
		want |= VMO_INFO_RESIZABLE | VMO_INFO_MAY_RESIZE;
	if (extra & VMO_CLONE_LONGTERM)
		want |= VMO_INFO_LONGTERM;
	EXPECT_EQ(want, info.flags) TH_LOG("flags %x", extra);
}

/* A family that was made with one kind only, before and after some writes. */
struct family {
	struct vmo_info source[2];
	struct vmo_info child[2];
};

static void make_family(struct __test_metadata *_metadata, int dev, size_t which, uint32_t kind,
			uint32_t extra, struct family *f)
{
	struct source s;
	int child;

	memset(f, 0, sizeof(*f));
	make_source(_metadata, &s, dev, which, kind);
	child = clone_of(s.fd, 0, SIZE - s.first * PS, kind | extra);
	ASSERT_LE(0, child);
	info_flags(_metadata, child, extra);
	f->source[0] = told(s.fd);
	f->child[0] = told(child);
	pwrite(s.fd, "x", 1, PS);
	pwrite(child, "y", 1, 2 * PS);
	f->source[1] = told(s.fd);
	f->child[1] = told(child);
	close(child);
	drop(&s);
}

TEST_F_TIMEOUT(vmo, k5_h6_info_of_all_kinds_is_that_of_a_snapshot, 300)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(extras); j++) {
			struct family want, got;

			make_family(_metadata, self->dev, i, kinds[0], extras[j], &want);
			EXPECT_EQ(sources[i].shared, !want.source[0].committed_bytes)
				TH_LOG("%s", sources[i].name);
			EXPECT_NE(0, want.child[0].committed_bytes) TH_LOG("%s", sources[i].name);
			for (int k = 1; k < KINDS; k++) {
				make_family(_metadata, self->dev, i, kinds[k], extras[j], &got);
				EXPECT_EQ(0, memcmp(&want, &got, sizeof(got)))
					TH_LOG("kind %d of %s, flags %x", k, sources[i].name,
					       extras[j]);
			}
		}
	}
}

/* No page is copied for any of them, and one for each that is written. */
TEST_F(vmo, k5_k10_all_kinds_cost_what_a_snapshot_costs)
{
	for (int k = 0; k < KINDS; k++) {
		int fd = filled(self->dev, 0, SEED), child;
		long pages = vmo_counter("pages");

		child = clone_of(fd, 0, SIZE, kinds[k]);
		ASSERT_LE(0, child);
		EXPECT_EQ(pages, vmo_counter("pages"));
		ASSERT_EQ(1, pwrite(child, "x", 1, PS));
		EXPECT_EQ(pages + 1, vmo_counter("pages"));
		ASSERT_EQ(1, pwrite(fd, "x", 1, 2 * PS));
		EXPECT_EQ(pages + 2, vmo_counter("pages"));
		EXPECT_ERRNO(EOPNOTSUPP, vmo_op(child, VMO_OP_DECOMMIT, 0, PS));
		close(child);
		close(fd);
	}
}

/* ---- mappings ---------------------------------------------------------- */

/* Older mappings of both sides go on, writable, and never see the other side. */
TEST_F(vmo, k4_k5_mappings_of_all_kinds)
{
	for (int k = 0; k < KINDS; k++) {
		int fd = vmo_new(self->dev, SIZE), child[2];
		char *p = vmo_map(fd, PAGES, RW), *c[2];

		ASSERT_NE(NULL, p);
		fill_pages(p, 0, PAGES, 100);
		for (int i = 0; i < 2; i++) {
			child[i] = clone_of(fd, 0, SIZE, kinds[(k + i) % KINDS]);
			c[i] = vmo_map(child[i], PAGES, RW);
			ASSERT_NE(NULL, c[i]);
			fill_pages(p, 0, PAGES, 200 + 100 * i);
		}
		EXPECT_EQ(-1, wrong_page(c[0], 0, PAGES, 100));
		EXPECT_EQ(-1, wrong_page(c[1], 0, PAGES, 200));
		fill_pages(c[0], 0, PAGES, 1000);
		EXPECT_EQ(-1, wrong_page(c[1], 0, PAGES, 200));
		EXPECT_EQ(-1, wrong_page(p, 0, PAGES, 300));
		for (int i = 0; i < 2; i++) {
			munmap(c[i], SIZE);
			close(child[i]);
		}
		munmap(p, SIZE);
		close(fd);
	}
}

/* ---- pins -------------------------------------------------------------- */

/* K6: where there is no pager, all kinds look at pins. */
TEST_F_TIMEOUT(vmo, k5_k6_pins_and_all_kinds, 300)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources) * KINDS; i++) {
		size_t which = i / KINDS;
		uint32_t kind = kinds[i % KINDS];
		struct source s;
		int pin;

		make_source(_metadata, &s, self->dev, which, kind);
		pin = vmo_pin_flags(s.fd, PS, PS, VMO_PIN_READ);
		ASSERT_LE(0, pin);
		for (size_t j = 0; j < ARRAY_SIZE(extras); j++) {
			int child = clone_of(s.fd, 0, SIZE - s.first * PS, kind | extras[j]);

			EXPECT_EQ(!!(extras[j] & VMO_CLONE_COPY_PINNED), child >= 0)
				TH_LOG("kind %x of %s, flags %x", kind, sources[which].name,
				       extras[j]);
			if (child < 0) {
				EXPECT_EQ(EBADFD, errno);
				continue;
			}
			EXPECT_TRUE(shows(child, s.first, PAGES - s.first, SEED));
			info_flags(_metadata, child, extras[j] & ~VMO_CLONE_COPY_PINNED);
			close(child);
		}
		/* The pin is anywhere in the memory, not only in the window. */
		EXPECT_ERRNO(EBADFD, clone_of(s.fd, 3 * PS, PS, kind));
		close(pin);
		pin = clone_of(s.fd, 0, PS, kind);
		EXPECT_LE(0, pin);
		close(pin);
		drop(&s);
	}
}

/* What COPY_PINNED copied is the clone's alone; the pinned page stays the source's. */
TEST_F(vmo, k6_copy_pinned_of_all_kinds)
{
	for (int k = 0; k < KINDS; k++) {
		int fd = filled(self->dev, 0, SEED), pin = vmo_pin_flags(fd, PS, PS, VMO_PIN_WRITE);
		char *p = vmo_map(fd, PAGES, RW);
		int child = clone_of(fd, 0, SIZE, kinds[k] | VMO_CLONE_COPY_PINNED);
		struct vmo_info info;

		ASSERT_LE(0, pin);
		ASSERT_LE(0, child);
		ASSERT_EQ(0, vmo_stat(child, &info));
		EXPECT_EQ(4 * PS, info.committed_bytes);
		EXPECT_EQ(PS, info.private_bytes);
		EXPECT_EQ(0, info.pinned_bytes);
		fill_page(p + PS, 77);
		EXPECT_TRUE(shows(child, 0, PAGES, SEED));
		close(pin);
		munmap(p, SIZE);
		close(child);
		close(fd);
	}
}

/* ---- sizes ------------------------------------------------------------- */

/* Windows past the end, and clones that grow, read zero there. */
TEST_F(vmo, k2_k5_z2_windows_of_all_kinds)
{
	for (int k = 0; k < KINDS; k++) {
		int fd = filled(self->dev, 0, SEED);
		int child = clone_of(fd, 4 * PS, SIZE, kinds[k] | VMO_CLONE_RESIZABLE);

		ASSERT_LE(0, child);
		EXPECT_TRUE(shows(child, 4, 4, SEED));
		EXPECT_EQ(-1, wrong_page_fd(child, 4, 4, 0));
		ASSERT_EQ(0, vmo_set_size(child, PS));
		ASSERT_EQ(0, vmo_set_size(child, SIZE));
		EXPECT_TRUE(shows(child, 4, 1, SEED));
		EXPECT_EQ(-1, wrong_page_fd(child, 1, 7, 0));
		EXPECT_TRUE(shows(fd, 0, PAGES, SEED));
		close(child);
		close(fd);
	}
}

/* The clone keeps what its parent cuts off or closes. */
TEST_F(vmo, k5_k13_z1_parents_that_shrink_or_die)
{
	for (int k = 0; k < KINDS; k++) {
		int fd = filled(self->dev, VMO_CREATE_RESIZABLE, SEED);
		int child = clone_of(fd, 0, SIZE, kinds[k]), again;

		ASSERT_LE(0, child);
		ASSERT_EQ(0, vmo_set_size(fd, 0));
		EXPECT_TRUE(shows(child, 0, PAGES, SEED));
		ASSERT_EQ(0, vmo_set_size(fd, SIZE));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, PAGES, 0));
		again = clone_of(child, 0, SIZE, kinds[(k + 1) % KINDS]);
		ASSERT_LE(0, again);
		close(fd);
		close(child);
		EXPECT_TRUE(shows(again, 0, PAGES, SEED));
		close(again);
	}
}

TEST_HARNESS_MAIN
