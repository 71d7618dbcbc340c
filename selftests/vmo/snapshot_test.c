// SPDX-License-Identifier: GPL-2.0
/* Snapshots: contents, windows, families, and what VMO_INFO says of them. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <sys/resource.h>

TEST_F(vmo, k5_k9_snapshot_keeps_both_sides_apart)
{
	int fd = vmo_new_pages(self->dev, 80), child;
	char *p = vmo_map(fd, 80, RW), *c, *address;

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 70, 100);
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	c = vmo_map(child, 80, RW);
	ASSERT_NE(NULL, c);
	/* The parent's mapping stays where it is, and writable. */
	address = p;
	fill_pages(address, 0, 30, 200);
	fill_pages(c, 20, 20, 300);
	ASSERT_EQ(0, write_page(fd, 75, 1));
	ASSERT_EQ(0, write_page(child, 76, 2));

	EXPECT_EQ(-1, wrong_page(p, 0, 30, 200));
	EXPECT_EQ(-1, wrong_page(p, 30, 40, 100));
	EXPECT_TRUE(page_is(p + 75 * PS, 1));
	EXPECT_TRUE(page_is(p + 76 * PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 30, 200));
	EXPECT_EQ(-1, wrong_page_fd(fd, 30, 40, 100));

	EXPECT_EQ(-1, wrong_page(c, 0, 20, 100));
	EXPECT_EQ(-1, wrong_page(c, 20, 20, 300));
	EXPECT_EQ(-1, wrong_page(c, 40, 30, 100));
	EXPECT_TRUE(page_is(c + 75 * PS, 0));
	EXPECT_TRUE(page_is(c + 76 * PS, 2));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 20, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 20, 20, 300));
	munmap(p, 80 * PS);
	munmap(c, 80 * PS);
	close(child);
	close(fd);
}

/* Part of a page: the rest comes along, in all ways of writing. */
TEST_F(vmo, snapshot_small_writes_copy_the_rest)
{
	int fd = vmo_new_pages(self->dev, 4), child;
	char *p = vmo_map(fd, 4, RW), *want = malloc(PS), *c;

	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 4, 100);
	child = vmo_snap(fd);
	c = vmo_map(child, 4, RW);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(3, pwrite(fd, "abc", 3, 1000));
	fill_page(want, 100);
	memcpy(want + 1000, "abc", 3);
	EXPECT_EQ(0, memcmp(want, p, PS));
	p[PS + 5] = 'x';
	fill_page(want, 101);
	want[5] = 'x';
	EXPECT_EQ(0, memcmp(want, p + PS, PS));
	c[2 * PS + 9] = 'y';
	fill_page(want, 102);
	want[9] = 'y';
	EXPECT_EQ(0, memcmp(want, c + 2 * PS, PS));
	EXPECT_EQ(3, pwrite(child, "abc", 3, 4 * PS - 3));
	fill_page(want, 103);
	memcpy(want + PS - 3, "abc", 3);
	EXPECT_EQ(0, memcmp(want, c + 3 * PS, PS));
	EXPECT_EQ(-1, wrong_page(p, 2, 2, 100));
	EXPECT_EQ(-1, wrong_page(c, 0, 2, 100));
	munmap(p, 4 * PS);
	munmap(c, 4 * PS);
	close(child);
	close(fd);
}

TEST_F(vmo, k2_windows)
{
	int fd = vmo_new_pages(self->dev, 150), inside, partly, beyond, empty, odd;
	struct vmo_info info;
	struct stat st;

	for (int i = 0; i < 150; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	inside = vmo_window(fd, 30 * PS, 70 * PS);
	partly = vmo_window(fd, 140 * PS, 20 * PS);
	beyond = vmo_window(fd, 1000 * PS, 5 * PS);
	empty = vmo_window(fd, 10 * PS, 0);
	odd = vmo_window(fd, PS, PS + 1);
	ASSERT_LE(0, inside);
	ASSERT_LE(0, partly);
	ASSERT_LE(0, beyond);
	ASSERT_LE(0, empty);
	ASSERT_LE(0, odd);
	EXPECT_EQ(-1, wrong_page_fd(inside, 0, 70, 130));
	EXPECT_EQ(-2, wrong_page_fd(inside, 70, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(partly, 0, 10, 240));
	EXPECT_EQ(-1, wrong_page_fd(partly, 10, 10, 0));
	EXPECT_EQ(-1, wrong_page_fd(beyond, 0, 5, 0));
	ASSERT_EQ(0, vmo_stat(inside, &info));
	EXPECT_EQ(70 * PS, info.size);
	EXPECT_EQ(70 * PS, info.committed_bytes);
	ASSERT_EQ(0, vmo_stat(beyond, &info));
	EXPECT_EQ(5 * PS, info.size);
	EXPECT_EQ(0, info.committed_bytes);
	ASSERT_EQ(0, vmo_stat(empty, &info));
	EXPECT_EQ(0, info.size);
	ASSERT_EQ(0, vmo_stat(odd, &info));
	EXPECT_EQ(2 * PS, info.size);
	EXPECT_EQ(PS + 1, info.content_size);
	ASSERT_EQ(0, fstat(odd, &st));
	EXPECT_EQ(PS + 1, (uint64_t)st.st_size);

	/* Writes behind the parent's end stay in the child. */
	ASSERT_EQ(0, write_page(partly, 12, 7));
	ASSERT_EQ(0, write_page(beyond, 0, 8));
	EXPECT_EQ(-1, wrong_page_fd(partly, 12, 1, 7 - 12));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 150, 100));
	close(inside);
	close(partly);
	close(beyond);
	close(empty);
	close(odd);
	close(fd);
}

TEST_F(vmo, k3_clipped_by_every_ancestor)
{
	int fd = vmo_new_pages(self->dev, 100), child, grand, again;
	char *p;

	for (int i = 0; i < 100; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	child = vmo_window(fd, 2 * PS, 4 * PS);
	grand = vmo_window(child, PS, 50 * PS);
	ASSERT_LE(0, grand);
	EXPECT_EQ(-1, wrong_page_fd(grand, 0, 3, 103));
	EXPECT_EQ(-1, wrong_page_fd(grand, 3, 47, 0));
	p = vmo_map(grand, 50, RW);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 3, 103));
	EXPECT_EQ(-1, wrong_page(p, 3, 47, 0));
	fill_pages(p, 10, 10, 500);
	/* What it has written itself is in its own children, as far as they reach. */
	again = vmo_window(grand, 15 * PS, 50 * PS);
	ASSERT_LE(0, again);
	EXPECT_EQ(-1, wrong_page_fd(again, 0, 5, 515));
	EXPECT_EQ(-1, wrong_page_fd(again, 5, 45, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 100, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 4, 102));
	munmap(p, 50 * PS);
	close(again);
	close(grand);
	close(child);
	close(fd);
}

TEST_F(vmo, k1_bad_arguments)
{
	int fd = vmo_new_pages(self->dev, 4), child;
	int fds = count_fds();

	for (int bit = 0; bit < 32; bit++) {
		struct vmo_clone arg = { .size = PS, .flags = VMO_CLONE_SNAPSHOT | 1U << bit };

		if (bit == 0)
			arg.flags = 0;
		if (bit >= 8 && bit <= 12)
			arg.flags ^= VMO_CLONE_SNAPSHOT;	/* known, but no kind */
		EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_CLONE, &arg));
	}
	EXPECT_ERRNO(EINVAL, vmo_window(fd, 1, PS));
	EXPECT_ERRNO(EINVAL, vmo_window(fd, PS - 1, PS));
	EXPECT_ERRNO(EINVAL, vmo_window(fd, PS / 2, -1ULL));	/* unaligned comes first */
	EXPECT_ERRNO(ERANGE, vmo_window(fd, 0, MAX_SIZE + 1));
	EXPECT_ERRNO(ERANGE, vmo_window(fd, 0, -1ULL));
	EXPECT_ERRNO(ERANGE, vmo_window(fd, 0, -PS));
	EXPECT_ERRNO(EINVAL, vmo_window(fd, -PS, 2 * PS));	/* wraps */
	EXPECT_ERRNO(EINVAL, vmo_window(fd, -PS, MAX_SIZE));
	EXPECT_ERRNO(ERANGE, vmo_window(fd, MAX_SIZE, PS));
	EXPECT_ERRNO(ERANGE, vmo_window(fd, 1ULL << 62, 1ULL << 62));
	EXPECT_EQ(fds, count_fds());

	/* Counted from the root. */
	child = vmo_window(fd, 1ULL << 62, PS);
	ASSERT_LE(0, child);
	EXPECT_ERRNO(ERANGE, vmo_window(child, 1ULL << 62, PS));
	EXPECT_ERRNO(EINVAL, vmo_window(child, -(1ULL << 62), PS));
	EXPECT_EQ(0, close(vmo_window(child, (1ULL << 62) - 2 * PS, PS)));
	close(child);
	close(fd);
}

TEST_F(vmo, r2_rights_of_the_child)
{
	int fd = vmo_new_pages(self->dev, 2), ro, child;

	ASSERT_EQ(0, write_page(fd, 0, 5));
	ro = vmo_reopen(fd, O_RDONLY);
	ASSERT_LE(0, ro);
	child = vmo_snap(ro);
	ASSERT_LE(0, child);
	ASSERT_EQ(0, write_page(child, 1, 6));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 2, 5));
	EXPECT_EQ(-1, wrong_page_fd(fd, 1, 1, 0));
	close(child);
	close(ro);
	close(fd);
}

TEST_F(vmo, snapshot_leaves_private_mappings_alone)
{
	int fd = vmo_new_pages(self->dev, 16), child;
	char *p = vmo_map(fd, 16, RW), *priv = vmo_map_at(fd, 0, 16, RW, MAP_PRIVATE);

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, priv);
	fill_pages(p, 0, 16, 100);
	fill_pages(priv, 0, 4, 500);
	EXPECT_EQ(-1, wrong_page(priv, 4, 12, 100));
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(-1, wrong_page(priv, 0, 4, 500));
	fill_pages(p, 0, 16, 200);
	EXPECT_EQ(-1, wrong_page(priv, 0, 4, 500));
	EXPECT_EQ(-1, wrong_page(priv, 4, 12, 200));
	fill_pages(priv, 4, 4, 500);
	EXPECT_EQ(-1, wrong_page(p, 0, 16, 200));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 16, 100));
	munmap(p, 16 * PS);
	munmap(priv, 16 * PS);
	close(child);
	close(fd);
}

TEST_F_TIMEOUT(vmo, k17_long_chain, 100)
{
	enum { DEEP = 200, PAGES = 40 };
	long objects = vmo_counter("objects"), nodes = vmo_counter("nodes");
	struct vmo_info first, last;
	int fd[DEEP];

	fd[0] = vmo_new_pages(self->dev, PAGES);
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(0, write_page(fd[0], i, 1));
	for (int i = 1; i < DEEP; i++) {
		fd[i] = vmo_snap(fd[i - 1]);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, write_page(fd[i], i % PAGES, 1000 + i));
	}
	/* The first to go is in the middle, then every other one. */
	close(fd[DEEP / 2]);
	fd[DEEP / 2] = -1;
	for (int i = 0; i < DEEP; i += 2) {
		close(fd[i]);
		fd[i] = -1;
	}
	ASSERT_EQ(0, vmo_stat(fd[1], &first));
	ASSERT_EQ(0, vmo_stat(fd[DEEP - 1], &last));
	EXPECT_EQ(first.metadata_bytes, last.metadata_bytes);	/* depth costs nothing */
	EXPECT_EQ(PAGES * PS, last.committed_bytes);
	for (int i = 1; i < DEEP; i += 2) {
		for (int page = 0; page < PAGES; page++) {
			int last_writer = i - (i % PAGES + PAGES - page) % PAGES;
			uint64_t seed = last_writer > 0 ? 1000 + last_writer : 1;

			ASSERT_EQ(-1, wrong_page_fd(fd[i], page, 1, seed - page));
		}
	}
	for (int i = DEEP - 1; i > 0; i -= 2)
		close(fd[i]);
	EXPECT_EQ(objects, vmo_counter_becomes("objects", objects));
	EXPECT_EQ(nodes, vmo_counter_becomes("nodes", nodes));
}

/* A family of four in all orders of closing: a close changes nobody's content. */
TEST_F_TIMEOUT(vmo, k13_close_orders, 100)
{
	long pages = vmo_counter("pages");

	for (int order = 0; order < 24; order++) {
		int fd[4], left[4] = { 0, 1, 2, 3 }, code = order;

		fd[0] = vmo_new_pages(self->dev, 4);
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(0, write_page(fd[0], i, 10));
		fd[1] = vmo_snap(fd[0]);
		ASSERT_EQ(0, write_page(fd[1], 1, 11));
		fd[2] = vmo_snap(fd[1]);
		ASSERT_EQ(0, write_page(fd[2], 2, 12));
		fd[3] = vmo_snap(fd[0]);
		ASSERT_EQ(0, write_page(fd[0], 0, 13));
		for (int n = 4; n > 0; n--) {
			int which = code % n;

			code /= n;
			close(fd[left[which]]);
			left[which] = left[n - 1];
			for (int i = 0; i < n - 1; i++) {
				int f = fd[left[i]], m = left[i];
				uint64_t want[4] = {
					m == 0 ? 13 : 10, m == 1 || m == 2 ? 11 : 10,
					m == 2 ? 12 : 10, 10,
				};

				for (int page = 0; page < 4; page++)
					ASSERT_EQ(-1, wrong_page_fd(f, page, 1, want[page] - page));
			}
		}
	}
	EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
}

static uint64_t children_become(int fd, uint64_t want)
{
	struct vmo_info info = { .children = -1 };

	for (int i = 0; i < 200; i++) {
		if (vmo_stat(fd, &info) || info.children == want)
			break;
		usleep(10000);
	}
	return info.children;
}

TEST_F(vmo, h4_parents_and_children)
{
	int a = vmo_new_pages(self->dev, 1), b = vmo_snap(a), c = vmo_snap(b), d = vmo_snap(b);
	struct vmo_info info, of_a, of_b;
	char *map;

	ASSERT_LE(0, d);
	ASSERT_EQ(0, vmo_stat(a, &of_a));
	ASSERT_EQ(0, vmo_stat(b, &of_b));
	EXPECT_EQ(0, of_a.parent_id);
	EXPECT_EQ(1, of_a.children);
	EXPECT_EQ(0, of_a.flags);
	EXPECT_EQ(of_a.id, of_b.parent_id);
	EXPECT_EQ(2, of_b.children);
	EXPECT_EQ(VMO_INFO_COW_CLONE, of_b.flags);
	ASSERT_EQ(0, vmo_stat(c, &info));
	EXPECT_EQ(of_b.id, info.parent_id);
	EXPECT_EQ(0, info.children);

	/* A child lives as long as a mapping of it. */
	map = vmo_map(d, 1, RO);
	ASSERT_NE(NULL, map);
	close(d);
	EXPECT_EQ(2, children_become(b, 2));
	munmap(map, PS);
	EXPECT_EQ(1, children_become(b, 1));

	/* The orphans go to the grandparent, then to nobody. */
	close(b);
	ASSERT_EQ(0, vmo_stat(c, &info));
	EXPECT_EQ(of_a.id, info.parent_id);
	EXPECT_EQ(1, children_become(a, 1));
	close(a);
	ASSERT_EQ(0, vmo_stat(c, &info));
	EXPECT_EQ(0, info.parent_id);
	EXPECT_EQ(VMO_INFO_COW_CLONE, info.flags);
	close(c);
}

TEST_F(vmo, a2_a3_info_of_a_pair)
{
	int fd = vmo_new_pages(self->dev, 100), child;
	struct vmo_info p, c;
	char *map;

	for (int i = 0; i < 16; i++)
		ASSERT_EQ(0, write_page(fd, i * 5, 100));
	ASSERT_EQ(0, vmo_stat(fd, &p));
	EXPECT_EQ(16 * PS, p.committed_bytes);
	EXPECT_EQ(16 * PS, p.private_bytes);
	EXPECT_EQ(0, p.shared_bytes);
	EXPECT_EQ(16 * PS, p.scaled_bytes);
	EXPECT_LT(0, p.metadata_bytes);
	/* A hole is nobody's page, even if it is mapped. */
	map = vmo_map(fd, 100, RO);
	ASSERT_NE(NULL, map);
	EXPECT_EQ(0, *(volatile char *)(map + 2 * PS));
	munmap(map, 100 * PS);
	ASSERT_EQ(0, vmo_stat(fd, &p));
	EXPECT_EQ(16 * PS, p.committed_bytes);

	child = vmo_snap(fd);
	ASSERT_EQ(0, vmo_stat(fd, &p));
	ASSERT_EQ(0, vmo_stat(child, &c));
	EXPECT_EQ(16 * PS, p.committed_bytes);
	EXPECT_EQ(0, p.private_bytes);
	EXPECT_EQ(16 * PS, p.shared_bytes);
	EXPECT_EQ(8 * PS, p.scaled_bytes);
	EXPECT_EQ(16 * PS, c.committed_bytes);
	EXPECT_EQ(0, c.private_bytes);
	EXPECT_EQ(16 * PS, c.shared_bytes);
	EXPECT_EQ(8 * PS, c.scaled_bytes);

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, write_page(fd, i * 5, 200));
	ASSERT_EQ(0, write_page(child, 1, 300));
	ASSERT_EQ(0, vmo_stat(fd, &p));
	ASSERT_EQ(0, vmo_stat(child, &c));
	EXPECT_EQ(16 * PS, p.committed_bytes);
	EXPECT_EQ(4 * PS, p.private_bytes);
	EXPECT_EQ(12 * PS, p.shared_bytes);
	EXPECT_EQ(17 * PS, c.committed_bytes);
	EXPECT_EQ(5 * PS, c.private_bytes);
	EXPECT_EQ(12 * PS, c.shared_bytes);
	EXPECT_EQ(21 * PS, p.scaled_bytes + c.scaled_bytes);

	close(fd);
	ASSERT_EQ(0, vmo_stat(child, &c));
	EXPECT_EQ(17 * PS, c.private_bytes);
	EXPECT_EQ(0, c.shared_bytes);
	EXPECT_EQ(17 * PS, c.scaled_bytes);
	close(child);
}

/* ---- a random family against a model --------------------------------------- */

#define MAX_MEMBERS	10
#define MAX_PAGES	150

/*
 * Every page of every member has a version, 0 for none. Two members that have
 * the same version share a page, so the versions tell what has to be held.
 */
struct member {
	int fd;
	bool clone;
	int pages;
	int version[MAX_PAGES];
};

struct family {
	struct member member[MAX_MEMBERS];
	int members;
	int versions;
	uint64_t seed[1 << 16];		/* by version */
	uint64_t random;
	long pages_before;
};

static uint64_t draw(struct family *f, uint64_t below)
{
	f->random = f->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (f->random >> 33) % below;
}

static int holders(const struct family *f, int version)
{
	int count = 0;

	for (int m = 0; m < f->members; m++)
		for (int i = 0; i < f->member[m].pages; i++)
			count += f->member[m].version[i] == version;
	return count;
}

/* What writing does to the version: a new one unless it is there and nobody else's. */
static int owned(struct family *f, int version)
{
	if (version && holders(f, version) == 1)
		return version;
	f->seed[++f->versions] = version ? f->seed[version] : 0;
	return f->versions;
}

static bool family_write(struct family *f, struct member *m)
{
	int page = draw(f, m->pages), run = 1 + draw(f, 6);
	char *map = NULL;

	if (draw(f, 2))
		map = vmo_map(m->fd, m->pages, RW);
	for (int i = page; i < page + run && i < m->pages; i++) {
		m->version[i] = owned(f, m->version[i]);
		f->seed[m->version[i]] = 1 + draw(f, 1 << 30);
		if (map)
			fill_page(map + i * PS, f->seed[m->version[i]]);
		else if (write_page(m->fd, i, f->seed[m->version[i]]))
			return false;
	}
	if (map)
		munmap(map, m->pages * PS);
	return true;
}

static bool family_commit(struct family *f, struct member *m)
{
	int page = draw(f, m->pages), run = 1 + draw(f, m->pages - page);

	for (int i = page; i < page + run; i++)
		m->version[i] = owned(f, m->version[i]);
	return !vmo_op(m->fd, VMO_OP_COMMIT, page * PS, run * PS);
}

static bool family_decommit(struct family *f, struct member *m)
{
	int page = draw(f, m->pages), run = 1 + draw(f, m->pages - page);

	if (m->clone)
		return true;
	for (int i = page; i < page + run; i++)
		m->version[i] = 0;
	return !vmo_op(m->fd, VMO_OP_DECOMMIT, page * PS, run * PS);
}

static bool family_clone(struct family *f, struct member *m)
{
	struct member *child = &f->member[f->members];
	int offset = 0;

	if (f->members == MAX_MEMBERS)
		return true;
	child->pages = m->pages;
	if (draw(f, 3) == 0) {
		offset = draw(f, m->pages);
		child->pages = 1 + draw(f, MAX_PAGES);
	}
	child->clone = true;
	child->fd = vmo_window(m->fd, offset * PS, child->pages * PS);
	for (int i = 0; i < child->pages; i++)
		child->version[i] = i + offset < m->pages ? m->version[i + offset] : 0;
	f->members++;
	return child->fd >= 0;
}

/* Returns false if the pages that come free are not those that were private. */
static bool family_close(struct family *f, int which)
{
	struct vmo_info info;
	long before = vmo_counter("pages"), want;

	if (f->members == 1 || vmo_stat(f->member[which].fd, &info))
		return f->members == 1;
	close(f->member[which].fd);
	f->member[which] = f->member[--f->members];
	want = before - (long)(info.private_bytes / PS);
	return before < 0 || vmo_counter_becomes("pages", want) == want;
}

static void family_check_info(struct __test_metadata *_metadata, struct family *f)
{
	uint64_t held = 0, scaled = 0;

	for (int v = 1; v <= f->versions; v++)
		held += holders(f, v) > 0;
	if (f->pages_before >= 0)
		ASSERT_EQ(held, vmo_counter("pages") - f->pages_before);
	for (int i = 0; i < f->members; i++) {
		struct member *m = &f->member[i];
		uint64_t committed = 0, private = 0;
		struct vmo_info info;

		for (int page = 0; page < m->pages; page++) {
			committed += !!m->version[page];
			private += m->version[page] && holders(f, m->version[page]) == 1;
		}
		ASSERT_EQ(0, vmo_stat(m->fd, &info));
		ASSERT_EQ(committed * PS, info.committed_bytes);
		ASSERT_EQ(private * PS, info.private_bytes);
		ASSERT_EQ((committed - private) * PS, info.shared_bytes);
		ASSERT_LE(private * PS, info.scaled_bytes);
		ASSERT_GE(committed * PS, info.scaled_bytes);
		scaled += info.scaled_bytes;
	}
	/* Each member may have lost less than a byte for each page. */
	ASSERT_GE(held * PS, scaled);
	ASSERT_LE(held * PS, scaled + MAX_MEMBERS * MAX_PAGES);
}

static void family_check_content(struct __test_metadata *_metadata, struct family *f)
{
	for (int i = 0; i < f->members; i++) {
		struct member *m = &f->member[i];

		for (int page = 0; page < m->pages; page++) {
			uint64_t seed = m->version[page] ? f->seed[m->version[page]] : 0;

			ASSERT_EQ(-1, wrong_page_fd(m->fd, page, 1, seed ? seed - page : 0))
				TH_LOG("member %d of %d", i, f->members);
		}
	}
}

static void family_run(struct __test_metadata *_metadata, int dev, uint64_t seed)
{
	struct family *f = calloc(1, sizeof(*f));

	f->random = seed;
	f->pages_before = vmo_counter("pages");
	f->member[0].pages = MAX_PAGES;
	f->member[0].fd = vmo_new_pages(dev, MAX_PAGES);
	f->members = 1;
	for (int i = 0; i < 60; i++) {
		int which = draw(f, f->members), what = draw(f, 10);
		struct member *m = &f->member[which];
		bool good;

		if (what < 5)
			good = family_write(f, m);
		else if (what < 8)
			good = family_clone(f, m);
		else if (what == 8)
			good = draw(f, 2) ? family_commit(f, m) : family_decommit(f, m);
		else
			good = family_close(f, which);
		ASSERT_TRUE(good) TH_LOG("seed %llu, step %d, operation %d",
					 (unsigned long long)seed, i, what);
		if (i % 4 == 3)
			family_check_info(_metadata, f);
		if (i % 20 == 19)
			family_check_content(_metadata, f);
	}
	for (int i = 0; i < f->members; i++)
		close(f->member[i].fd);
	if (f->pages_before >= 0)
		ASSERT_EQ(f->pages_before, vmo_counter_becomes("pages", f->pages_before));
	free(f);
}

TEST_F_TIMEOUT(vmo, a2_random_families, 120)
{
	double end = seconds() + 5;

	for (int i = 0; more_rounds(i, 3, 12, end); i++)
		family_run(_metadata, self->dev, 12345 + i);
}

/* ---- costs, by what is held ------------------------------------------------- */

/* A GiB in which 4,000 pages far apart are there. */
static int sparse_gigabyte(int dev)
{
	int fd = vmo_new(dev, 1 << 30);

	for (int i = 0; i < 4000; i++)
		if (pwrite(fd, &i, sizeof(i), i * 65 * PS) != sizeof(i))
			return -1;
	return fd;
}

TEST_F_TIMEOUT(vmo, inv_4_6_snapshot_costs_no_page_and_no_node, 100)
{
	long pages, nodes;
	int fd, child[50];

	if (vmo_counter("nodes") < 0)
		SKIP(return, "no counters in debugfs");
	fd = sparse_gigabyte(self->dev);
	ASSERT_LE(0, fd);
	pages = vmo_counter("pages");
	nodes = vmo_counter("nodes");
	for (int i = 0; i < 50; i++) {
		child[i] = vmo_snap(fd);
		ASSERT_LE(0, child[i]);
	}
	EXPECT_EQ(pages, vmo_counter("pages"));
	EXPECT_GE(nodes + 50, vmo_counter("nodes"));	/* at most a root each */
	/* One write copies one page and one path. */
	nodes = vmo_counter("nodes");
	ASSERT_EQ(0, write_page(fd, 65 * 7, 1));
	EXPECT_EQ(pages + 1, vmo_counter("pages"));
	EXPECT_GE(nodes + 12, vmo_counter("nodes"));
	for (int i = 0; i < 50; i++) {
		int word = -1;

		EXPECT_EQ((ssize_t)sizeof(word), pread(child[i], &word, sizeof(word), 65 * 7 * PS));
		EXPECT_EQ(7, word);
		EXPECT_EQ((ssize_t)sizeof(word),
			  pread(child[i], &word, sizeof(word), 65 * 3999 * PS));
		EXPECT_EQ(3999, word);
		close(child[i]);
	}
	close(fd);
}

TEST_F_TIMEOUT(vmo, window_keeps_only_what_it_shows, 100)
{
	long pages = vmo_counter("pages"), nodes = vmo_counter("nodes");
	struct vmo_info info;
	int fd, child, word = -1;

	if (pages < 0)
		SKIP(return, "no counters in debugfs");
	fd = sparse_gigabyte(self->dev);
	ASSERT_LE(0, fd);
	child = vmo_window(fd, 65 * 2000 * PS, PS);
	ASSERT_LE(0, child);
	ASSERT_EQ(0, vmo_stat(child, &info));
	EXPECT_EQ(PS, info.committed_bytes);
	EXPECT_GE(8 * PS, info.metadata_bytes);
	close(fd);
	EXPECT_EQ(pages + 1, vmo_counter_becomes("pages", pages + 1));
	EXPECT_GE(nodes + 12, vmo_counter("nodes"));
	EXPECT_EQ((ssize_t)sizeof(word), pread(child, &word, sizeof(word), 0));
	EXPECT_EQ(2000, word);
	close(child);
	EXPECT_EQ(nodes, vmo_counter_becomes("nodes", nodes));
}

/* ---- ranges ------------------------------------------------------------------ */

TEST_F(vmo, t6_decommit)
{
	int fd = vmo_new_pages(self->dev, 70), child;
	char *p = vmo_map(fd, 70, RW), *ro = vmo_map(fd, 70, RO), *c;
	char *priv = vmo_map_at(fd, 0, 70, RW, MAP_PRIVATE);
	struct vmo_info info;

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, ro);
	ASSERT_NE(NULL, priv);
	fill_pages(p, 0, 70, 100);
	fill_pages(priv, 30, 1, 500);
	child = vmo_snap(fd);
	c = vmo_map(child, 70, RO);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(-1, wrong_page(c, 0, 70, 100));
	EXPECT_EQ(-1, wrong_page(ro, 0, 70, 100));
	EXPECT_EQ(-1, wrong_page(priv, 0, 30, 100));
	ASSERT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 10 * PS, 50 * PS));
	EXPECT_EQ(-1, wrong_page(p, 0, 10, 100));
	EXPECT_EQ(-1, wrong_page(p, 10, 50, 0));
	EXPECT_EQ(-1, wrong_page(p, 60, 10, 100));
	EXPECT_EQ(-1, wrong_page(ro, 10, 50, 0));
	EXPECT_EQ(-1, wrong_page(priv, 10, 20, 0));
	EXPECT_TRUE(page_is(priv + 30 * PS, 530));	/* a private page is not ours */
	EXPECT_EQ(-1, wrong_page_fd(fd, 10, 50, 0));
	EXPECT_EQ(-1, wrong_page(c, 0, 70, 100));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 70, 100));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(20 * PS, info.committed_bytes);
	fill_pages(p, 20, 5, 700);
	EXPECT_EQ(-1, wrong_page(ro, 20, 5, 700));
	EXPECT_EQ(-1, wrong_page(c, 0, 70, 100));
	munmap(p, 70 * PS);
	munmap(ro, 70 * PS);
	munmap(priv, 70 * PS);
	munmap(c, 70 * PS);
	close(child);
	close(fd);
}

TEST_F(vmo, t6_decommit_order_of_errors)
{
	int fd = vmo_new_pages(self->dev, 4), child = vmo_snap(fd);

	ASSERT_LE(0, child);
	EXPECT_ERRNO(EINVAL, vmo_op(fd, VMO_OP_DECOMMIT, 1, PS));
	EXPECT_ERRNO(EINVAL, vmo_op(fd, VMO_OP_DECOMMIT, 0, PS - 1));
	EXPECT_ERRNO(ERANGE, vmo_op(fd, VMO_OP_DECOMMIT, 1, 4 * PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, PS, 0));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(child, VMO_OP_DECOMMIT, 0, PS));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(child, VMO_OP_DECOMMIT, 1, PS));
	EXPECT_ERRNO(ERANGE, vmo_op(child, VMO_OP_DECOMMIT, 0, 5 * PS));
	EXPECT_EQ(0, vmo_op(child, VMO_OP_DECOMMIT, 0, 0));
	close(fd);
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(child, VMO_OP_DECOMMIT, 0, PS));
	close(child);
}

TEST_F(vmo, t1_range_errors)
{
	const uint32_t ops[] = { VMO_OP_COMMIT, VMO_OP_DECOMMIT, VMO_OP_ZERO };
	int fd = vmo_new(self->dev, 4 * PS - 7);
	struct vmo_info info;

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct vmo_op_range arg = { .op = ops[i], .flags = 1, .length = PS };

		EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_OP_RANGE, &arg));
		EXPECT_EQ(0, vmo_op(fd, ops[i], 0, 0));
		EXPECT_EQ(0, vmo_op(fd, ops[i], 4 * PS, 0));
		EXPECT_ERRNO(ERANGE, vmo_op(fd, ops[i], 5 * PS, 0));
		EXPECT_ERRNO(ERANGE, vmo_op(fd, ops[i], 0, 5 * PS));
		EXPECT_ERRNO(ERANGE, vmo_op(fd, ops[i], 4 * PS, PS));
		EXPECT_ERRNO(ERANGE, vmo_op(fd, ops[i], PS, -PS));
		EXPECT_ERRNO(ERANGE, vmo_op(fd, ops[i], -PS, PS));
		EXPECT_ERRNO(ERANGE, vmo_op(fd, ops[i], PS, -1ULL));
	}
	for (uint32_t op = 0; op < 40; op++)
		if (op < VMO_OP_COMMIT || op > VMO_OP_ZERO)
			EXPECT_ERRNO(EINVAL, vmo_op(fd, op, 0, PS));
	EXPECT_ERRNO(EINVAL, vmo_op(fd, -1U, 0, PS));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(0, info.committed_bytes);
	/* The object is whole pages, whatever the content size. */
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 4 * PS - 1, 1));
	close(fd);
}

TEST_F(vmo, t2_commit)
{
	int fd = vmo_new_pages(self->dev, 70), child;
	struct vmo_info info;
	long pages;
	char *p;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, write_page(fd, 3, 42));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 2 * PS + 100, PS));	/* two pages */
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(2 * PS, info.committed_bytes);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 70 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 3, 1, 42 - 3));
	EXPECT_EQ(-1, wrong_page_fd(fd, 4, 66, 0));
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(70 * PS, info.committed_bytes);
	EXPECT_EQ(70 * PS, info.private_bytes);

	/* Of a clone: own copies of everything, and nothing else changes. */
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(0, vmo_op(child, VMO_OP_COMMIT, 0, 70 * PS));
	ASSERT_EQ(0, vmo_stat(child, &info));
	EXPECT_EQ(70 * PS, info.private_bytes);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(70 * PS, info.private_bytes);
	EXPECT_EQ(-1, wrong_page_fd(child, 3, 1, 42 - 3));
	EXPECT_EQ(-1, wrong_page_fd(child, 4, 66, 0));

	/* Later writes allocate nothing. */
	pages = vmo_counter("pages");
	p = vmo_map(child, 70, RW);
	ASSERT_NE(NULL, p);
	fill_pages(p, 0, 70, 100);
	EXPECT_EQ(pages, vmo_counter("pages"));
	EXPECT_EQ(-1, wrong_page_fd(fd, 3, 1, 42 - 3));
	EXPECT_EQ(-1, wrong_page_fd(fd, 4, 66, 0));
	munmap(p, 70 * PS);
	close(child);
	close(fd);
}

TEST_HARNESS_MAIN
