// SPDX-License-Identifier: GPL-2.0
/* Clones of objects that a server provides: what they share with it, and for how long. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include "kselftest_harness.h"
#include "pager_util.h"

#define PAGES	64UL
#define BASE	7000UL

/* A pager with a binding, an object, another one to supply from, and who answers. */
struct scene {
	int pager;
	int binding;
	int fd;
	int aux;
	char *map;
	struct server server;
};

static bool set_scene(struct scene *s, int dev, uint32_t flags)
{
	s->pager = pager_new(dev);
	s->binding = pager_bind(s->pager);
	s->fd = paged_new(dev, s->pager, PAGES, flags);
	s->aux = vmo_new(dev, PAGES * PS);
	s->map = vmo_map(s->fd, PAGES, RW);
	s->server = (struct server){
		.binding = s->binding, .fd = s->fd, .aux = s->aux, .base = BASE, .pages = PAGES,
	};
	return s->pager >= 0 && s->binding >= 0 && s->fd >= 0 && s->aux >= 0 && s->map;
}

#define SCENE(_s, _flags) ASSERT_TRUE(set_scene(_s, self->dev, _flags))

static int clone_sized(int fd, uint64_t pages, uint32_t flags)
{
	struct vmo_clone arg = { .size = pages * PS, .flags = flags, .fd = -1 };

	return ioctl(fd, VMO_CLONE, &arg) ? -1 : arg.fd;
}

static int clone_kind(int fd, uint32_t kind)
{
	return clone_sized(fd, PAGES, kind);
}

static int clone_of(int fd)
{
	return clone_kind(fd, VMO_CLONE_AT_LEAST_ON_WRITE);
}

/* A window of a clone: pages from @page on. */
static int clone_part(int fd, uint64_t page, uint64_t pages)
{
	struct vmo_clone arg = {
		.offset = page * PS, .size = pages * PS, .flags = VMO_CLONE_AT_LEAST_ON_WRITE,
		.fd = -1,
	};

	return ioctl(fd, VMO_CLONE, &arg) ? -1 : arg.fd;
}

/* K5: which kinds there are; what else is refused, of the object and of its clones. */
TEST_F(vmo, k5_p4_x1_a7_kinds)
{
	struct vmo_transfer transfer = { .length = PS };
	struct vmo_diff diff = { .length = PS, .count = 1 };
	struct vmo_page_run run;
	int clone, plain, modified;
	struct scene s;

	SCENE(&s, 0);
	EXPECT_ERRNO(EOPNOTSUPP, clone_kind(s.fd, VMO_CLONE_SNAPSHOT));
	clone = clone_of(s.fd);
	modified = clone_kind(s.fd, VMO_CLONE_MODIFIED);
	ASSERT_TRUE(clone >= 0 && modified >= 0);
	EXPECT_ERRNO(EOPNOTSUPP, clone_kind(clone, VMO_CLONE_SNAPSHOT));
	EXPECT_ERRNO(EOPNOTSUPP, clone_kind(modified, VMO_CLONE_SNAPSHOT));
	EXPECT_ERRNO(EOPNOTSUPP, clone_kind(s.fd, VMO_CLONE_MODIFIED | VMO_CLONE_KEEP_BASE));
	EXPECT_LE(0, clone_of(clone));
	EXPECT_LE(0, clone_kind(modified, VMO_CLONE_MODIFIED));
	EXPECT_EQ(VMO_INFO_PAGER | VMO_INFO_COW_CLONE,
		  info_of(clone).flags & (VMO_INFO_PAGER | VMO_INFO_COW_CLONE));
	EXPECT_EQ(info_of(s.fd).id, info_of(clone).parent_id);
	EXPECT_EQ(2, info_of(s.fd).children);
	plain = vmo_new(self->dev, PS);
	transfer.src_fd = clone;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(plain, VMO_TRANSFER, &transfer));
	transfer.src_fd = plain;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(clone, VMO_TRANSFER, &transfer));
	EXPECT_ERRNO(EOPNOTSUPP, pager_supply(s.pager, s.fd, 0, 1, clone, 0));
	EXPECT_ERRNO(EINVAL, pager_supply(s.pager, clone, 0, 1, plain, 0));
	EXPECT_ERRNO(EINVAL, pager_may_dirty(s.pager, clone, 0, 1));
	EXPECT_ERRNO(EINVAL, pager_writeback(s.pager, clone, 0, 1, VMO_PAGER_BEGIN));
	EXPECT_EQ(-1, pager_modified(s.pager, clone, 0));
	EXPECT_EQ(-1, pager_dirty(s.pager, clone, &run));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_op(clone, VMO_OP_DECOMMIT, 0, PS));
	diff.other_fd = s.fd;
	diff.ranges = (uintptr_t)&run;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(clone, VMO_DIFF, &diff));
	EXPECT_EQ(PAGES * PS, lseek(clone, 0, SEEK_HOLE));
	EXPECT_FALSE(has_requests(s.binding, 0));
}

/* K11, K14, A1: through mappings and calls, before and after; the server is asked once. */
TEST_F(vmo, k11_k14_a1_tracks_the_object)
{
	char *map, *private;
	struct scene s;
	int clone, second;
	uint64_t asked;

	SCENE(&s, 0);
	server_start(&s.server);
	clone = clone_of(s.fd);
	ASSERT_LE(0, clone);
	map = vmo_map(clone, PAGES, RW);
	private = vmo_map_at(clone, 0, PAGES, RW, MAP_PRIVATE);
	ASSERT_TRUE(map && private);
	EXPECT_TRUE(page_is(map + 3 * PS, BASE + 3));
	EXPECT_TRUE(page_is(map + 7 * PS, 0));
	EXPECT_EQ(-1, wrong_stored(clone, 20, 20, BASE));
	EXPECT_EQ(0, committed_pages(clone));
	asked = load(&s.server.requests);
	EXPECT_TRUE(page_is(s.map + 3 * PS, BASE + 3));
	EXPECT_EQ(-1, wrong_stored(s.fd, 20, 20, BASE));
	EXPECT_EQ(asked, load(&s.server.requests));

	fill_page(s.map + 3 * PS, 1);
	fill_page(s.map + 7 * PS, 2);
	EXPECT_EQ(0, write_page(s.fd, 30, 3));
	EXPECT_TRUE(page_is(map + 3 * PS, 1));
	EXPECT_TRUE(page_is(map + 7 * PS, 2));
	EXPECT_TRUE(page_is(map + 30 * PS, 3));
	EXPECT_TRUE(page_is(private + 3 * PS, 1));
	fill_page(map + 3 * PS, 10);
	fill_page(private + 7 * PS, 20);
	EXPECT_EQ(0, write_page(clone, 50, 11));
	EXPECT_EQ(5, pwrite(clone, "hello", 5, 51 * PS));
	EXPECT_EQ(3, committed_pages(clone));
	EXPECT_TRUE(page_is(s.map + 3 * PS, 1));
	EXPECT_TRUE(page_is(s.map + 50 * PS, BASE + 50));
	EXPECT_EQ(0, memcmp(map + 51 * PS, "hello", 5));
	EXPECT_EQ(0, memcmp(map + 51 * PS + 5, s.map + 51 * PS + 5, PS - 5));
	fill_page(s.map + 3 * PS, 100);
	fill_page(s.map + 7 * PS, 200);
	EXPECT_TRUE(page_is(map + 3 * PS, 10));
	EXPECT_TRUE(page_is(private + 3 * PS, 10));
	EXPECT_TRUE(page_is(map + 7 * PS, 200));
	EXPECT_TRUE(page_is(private + 7 * PS, 20));

	second = clone_of(clone);
	EXPECT_EQ(0, write_page(clone, 3, 12));
	EXPECT_EQ(0, write_page(s.fd, 8, 13));
	EXPECT_EQ(-1, wrong_stored(second, 9, 10, BASE));
	EXPECT_TRUE(page_is(vmo_map(second, PAGES, RW) + 3 * PS, 10));
	EXPECT_TRUE(page_is(vmo_map(second, PAGES, RW) + 8 * PS, 13));
	/* What the server does to the object the clones do not notice. */
	EXPECT_EQ(0, fsync(s.fd));
	EXPECT_EQ(0, fsync(clone));
	EXPECT_TRUE(page_is(map + 7 * PS, 200));
	close(clone);
	EXPECT_EQ(0, munmap(map, PAGES * PS));
	EXPECT_TRUE(page_is(private + 8 * PS, 13));
	server_stop(&s.server);
}

/* K12: what was modified is shared as it was; what was not tracks the object in both. */
TEST_F(vmo, k12_modified_of_a_clone)
{
	char *a, *b;
	struct scene s;
	int one, two;

	SCENE(&s, 0);
	server_start(&s.server);
	one = clone_of(s.fd);
	ASSERT_LE(0, one);
	EXPECT_EQ(0, write_page(one, 1, 1));
	EXPECT_EQ(0, vmo_op(one, VMO_OP_ZERO, 2 * PS, PS));
	two = clone_kind(one, VMO_CLONE_MODIFIED);
	ASSERT_LE(0, two);
	a = vmo_map(one, PAGES, RW);
	b = vmo_map(two, PAGES, RW);
	fill_page(a + PS, 2);
	fill_page(a + 5 * PS, 3);
	EXPECT_EQ(0, write_page(s.fd, 2, 4));
	EXPECT_EQ(0, write_page(s.fd, 5, 5));
	EXPECT_EQ(0, write_page(s.fd, 6, 6));
	EXPECT_TRUE(page_is(b + PS, 1));
	EXPECT_TRUE(page_is(b + 2 * PS, 0));
	EXPECT_TRUE(page_is(a + 2 * PS, 0));
	EXPECT_TRUE(page_is(b + 5 * PS, 5));
	EXPECT_TRUE(page_is(a + 5 * PS, 3));
	EXPECT_TRUE(page_is(a + 6 * PS, 6));
	EXPECT_TRUE(page_is(b + 6 * PS, 6));
	server_stop(&s.server);
}

/* O3, K15, N8: zero, commit, pin; the object is not written, and not asked to be. */
TEST_F(vmo, o3_k15_n8_p34_own)
{
	struct scene s;
	int clone, pin;
	char *map;

	SCENE(&s, VMO_CREATE_TRAP_DIRTY);
	server_start(&s.server);
	clone = clone_of(s.fd);
	ASSERT_LE(0, clone);
	map = vmo_map(clone, PAGES, RW);
	EXPECT_TRUE(page_is(map + 4 * PS, BASE + 4));
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_ZERO, 4 * PS, 8 * PS));
	EXPECT_TRUE(page_is(map + 4 * PS, 0));
	EXPECT_EQ(0, committed_pages(clone));
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_ZERO, 22 * PS + 1, PS));	/* parts of two */
	EXPECT_EQ(2, committed_pages(clone));
	EXPECT_EQ((uint8_t)mix((BASE + 22) << 16), (uint8_t)map[22 * PS]);
	EXPECT_EQ(0, map[22 * PS + 1] | map[23 * PS]);
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_COMMIT, 30 * PS, 10 * PS));
	EXPECT_EQ(12, committed_pages(clone));
	EXPECT_EQ(-1, wrong_stored(clone, 30, 10, BASE));
	pin = vmo_pin_flags(clone, 45 * PS, 2 * PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	EXPECT_EQ(14, committed_pages(clone));
	EXPECT_ERRNO(EBADFD, clone_kind(clone, VMO_CLONE_MODIFIED));
	EXPECT_LE(0, clone_of(clone));
	EXPECT_EQ(0, write_page(clone, 50, 1));
	fill_page(map + 51 * PS, 1);
	EXPECT_EQ(0, load(&s.server.dirties));
	EXPECT_EQ(0, pager_modified(s.pager, s.fd, 0));
	EXPECT_EQ(0, write_page(s.fd, 4, 9));
	EXPECT_EQ(0, write_page(s.fd, 33, 9));
	EXPECT_TRUE(page_is(map + 4 * PS, 0));
	EXPECT_TRUE(page_is(map + 33 * PS, stored_seed(BASE, 33)));
	EXPECT_LE(1, load(&s.server.dirties));
	close(pin);
	server_stop(&s.server);
}

/* K2, K3, Z1 to Z3: windows, and sizes that change. */
TEST_F(vmo, k2_z1_z2_z3_limits)
{
	struct scene s;
	int clone, second, behind;
	char *map, *part;

	SCENE(&s, VMO_CREATE_RESIZABLE);
	server_start(&s.server);
	clone = clone_sized(s.fd, 2 * PAGES,
			    VMO_CLONE_AT_LEAST_ON_WRITE | VMO_CLONE_RESIZABLE);
	second = clone_part(s.fd, 40, PAGES);
	behind = clone_part(s.fd, 2 * PAGES, 4);
	ASSERT_TRUE(clone >= 0 && second >= 0 && behind >= 0);
	map = vmo_map(clone, 2 * PAGES, RW);
	part = vmo_map(second, PAGES, RW);
	EXPECT_TRUE(page_is(map + PAGES * PS, 0));
	EXPECT_TRUE(page_is(part + 2 * PS, BASE + 42));
	EXPECT_TRUE(page_is(part + 30 * PS, 0));
	EXPECT_EQ(0, write_page(behind, 0, 1));
	EXPECT_EQ(0, write_page(clone, 60, 2));
	EXPECT_TRUE(page_is(map + 61 * PS, BASE + 61));
	EXPECT_EQ(0, ftruncate(s.fd, 50 * PS));
	EXPECT_TRUE(page_is(map + 61 * PS, 0));
	EXPECT_TRUE(page_is(map + 60 * PS, 2));
	EXPECT_TRUE(page_is(part + 12 * PS, 0));
	EXPECT_EQ(0, ftruncate(s.fd, PAGES * PS));
	EXPECT_EQ(0, write_page(s.fd, 62, 3));
	EXPECT_TRUE(page_is(map + 62 * PS, 0));
	EXPECT_TRUE(page_is(part + 22 * PS, 0));
	EXPECT_EQ(0, write_page(s.fd, 30, 4));
	EXPECT_TRUE(page_is(map + 30 * PS, 4));
	EXPECT_EQ(0, vmo_set_size(clone, 10 * PS));
	EXPECT_EQ(SIGBUS, touch(map + 30 * PS, false));
	EXPECT_EQ(0, vmo_set_size(clone, PAGES * PS));
	EXPECT_TRUE(page_is(map + 30 * PS, 0));
	EXPECT_TRUE(page_is(map + 9 * PS, stored_seed(BASE, 9)));
	EXPECT_EQ(0, ftruncate(s.fd, 0));
	EXPECT_TRUE(page_is(map + 9 * PS, 0));
	server_stop(&s.server);
}

/* P50, P51: the object goes, its pager goes, and what the clones have stays. */
TEST_F(vmo, p50_p51_ends)
{
	struct vmo_pager_request request;
	struct client c = { .page = 9, .pages = 1 };
	struct scene s;
	int clone;
	char *map;

	SCENE(&s, 0);
	clone = clone_of(s.fd);
	map = vmo_map(clone, PAGES, RW);
	ASSERT_TRUE(map);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 8, BASE));
	EXPECT_EQ(0, write_page(clone, 1, 1));
	EXPECT_TRUE(page_is(map + 2 * PS, BASE + 2));
	c.fd = clone;
	client_start(&c);
	request = next_request(s.binding);
	EXPECT_TRUE(is_request(&request, 9, 1));
	EXPECT_EQ(0, pager_detach(s.pager, s.fd));
	ASSERT_TRUE(client_ends(&c, 5));
	EXPECT_EQ(EBADFD, c.error);
	EXPECT_TRUE(page_is(map + PS, 1));
	EXPECT_EQ(SIGBUS, touch(map + 2 * PS, false));
	EXPECT_EQ(0, vmo_op(clone, VMO_OP_ZERO, 2 * PS, PS));
	EXPECT_TRUE(page_is(map + 2 * PS, 0));
	EXPECT_EQ(VMO_REQUEST_COMPLETE, next_request(s.binding).type);
	close(clone);
	munmap(map, PAGES * PS);

	/* Nobody but a clone knows the object, and that is enough. */
	SCENE(&s, 0);
	clone = clone_of(s.fd);
	ASSERT_EQ(0, supply_pages(s.pager, s.fd, s.aux, 0, 8, BASE));
	EXPECT_EQ(0, munmap(s.map, PAGES * PS));
	close(s.fd);
	EXPECT_FALSE(has_requests(s.binding, 50));
	EXPECT_EQ(-1, wrong_stored(clone, 0, 8, BASE));
	EXPECT_EQ(0, info_of(clone).parent_id);
	close(clone);
	EXPECT_TRUE(has_requests(s.binding, 5000));
	EXPECT_EQ(VMO_REQUEST_COMPLETE, next_request(s.binding).type);
}

/* What a clone's mapping does not wait for, and what a slice of one is. */
TEST_F(vmo, l2_p10_slices_and_nonblock)
{
	struct scene s;
	int clone, slice, of_slice, reference;
	char *map;

	SCENE(&s, 0);
	clone = clone_of(s.fd);
	ASSERT_LE(0, clone);
	EXPECT_EQ(0, fcntl(clone, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, pread(clone, &slice, 4, 0));
	server_start(&s.server);
	slice = vmo_slice(clone, 10 * PS, 4 * PS, 0);
	of_slice = vmo_slice(s.fd, 30 * PS, 4 * PS, 0);
	ASSERT_TRUE(slice >= 0 && of_slice >= 0);
	of_slice = clone_sized(of_slice, 8, VMO_CLONE_MODIFIED);
	reference = vmo_reference(clone, 0);
	ASSERT_TRUE(of_slice >= 0 && reference >= 0);
	map = vmo_map(slice, 4, RW);
	EXPECT_TRUE(page_is(map + PS, BASE + 11));
	fill_page(map + PS, 5);
	EXPECT_EQ(-1, wrong_stored(s.fd, 11, 1, BASE));
	EXPECT_TRUE(page_is(vmo_map(reference, PAGES, RW) + 11 * PS, 5));
	map = vmo_map(of_slice, 8, RW);
	EXPECT_TRUE(page_is(map + 3 * PS, stored_seed(BASE, 33)));
	EXPECT_TRUE(page_is(map + 4 * PS, 0));		/* K3 */
	server_stop(&s.server);
}

#define CLONES	4

/**
 * struct torture - an object, its clones, and those who use them
 * @s: with a server
 * @map: of the object and of each clone
 * @written: a number that each page of a clone was written with, once; by index
 * @stop: ends all threads
 * @wrong: somebody saw what nobody wrote
 */
static struct torture {
	struct scene s;
	char *map[CLONES + 1];
	uint64_t stop;
	uint64_t wrong;
} torture;

/* Words of the object only rise; those of a clone stay once it has written them. */
static void *use_clone(void *arg)
{
	char *map = torture.map[(uintptr_t)arg];
	uint64_t seen[PAGES] = { }, own[PAGES] = { }, i = (uintptr_t)arg, word;

	while (!load(&torture.stop)) {
		i = mix(i);
		word = load((uint64_t *)(map + i % PAGES * PS));
		if (own[i % PAGES] ? word != own[i % PAGES] : word < seen[i % PAGES])
			store(&torture.wrong, i % PAGES + 1);
		seen[i % PAGES] = word;
		if (i >> 60 == 1 && !own[i % PAGES]) {
			own[i % PAGES] = i | 1ULL << 63;
			store((uint64_t *)(map + i % PAGES * PS), own[i % PAGES]);
		}
	}
	return NULL;
}

static void *use_object(void *arg)
{
	uint64_t i = 1, n = 0;

	while (!load(&torture.stop)) {
		i = mix(i);
		store((uint64_t *)(torture.map[0] + i % PAGES * PS), 1ULL << 56 | ++n);
		if (n % 64 == 0)
			fsync(torture.s.fd);
	}
	return NULL;
}

/* Writers of the object and of clones, while others come and go, and it is written back. */
TEST_F_TIMEOUT(vmo, k11_torture, 4000)
{
	struct torture *t = &torture;
	pthread_t threads[CLONES + 1];
	int fds[CLONES], extra, i;
	double end = seconds() + (getenv("VMO_MINUTES") ? 60 * atof(getenv("VMO_MINUTES")) : 3);

	ASSERT_TRUE(set_scene(&t->s, self->dev, VMO_CREATE_TRAP_DIRTY));
	server_start(&t->s.server);
	t->map[0] = t->s.map;
	t->stop = 0;
	t->wrong = 0;
	/* Words that are below what anybody writes. */
	for (i = 0; i < (int)PAGES; i++)
		store((uint64_t *)(t->map[0] + i * PS), i);
	for (i = 0; i < CLONES; i++) {
		fds[i] = clone_of(i ? fds[0] : t->s.fd);
		ASSERT_LE(0, fds[i]);
		t->map[i + 1] = vmo_map(fds[i], PAGES, RW);
		ASSERT_TRUE(t->map[i + 1]);
	}
	pthread_create(&threads[0], NULL, use_object, NULL);
	for (i = 1; i <= CLONES; i++)
		pthread_create(&threads[i], NULL, use_clone, (void *)(uintptr_t)i);
	for (i = 0; seconds() < end && !load(&t->wrong); i++) {
		extra = clone_kind(fds[i % CLONES], i & 8 ? VMO_CLONE_MODIFIED :
				   VMO_CLONE_AT_LEAST_ON_WRITE);
		EXPECT_LE(0, extra);
		write_page(extra, i % PAGES, i + 1);
		vmo_op(extra, VMO_OP_ZERO, i % 32 * PS, 8 * PS);
		close(extra);
	}
	store(&t->stop, 1);
	for (i = 0; i <= CLONES; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, load(&t->wrong));
	server_stop(&t->s.server);
	TH_LOG("%lu requests, %lu traps, %lu syncs", t->s.server.requests,
	       t->s.server.dirties, t->s.server.syncs);
}

TEST_HARNESS_MAIN
