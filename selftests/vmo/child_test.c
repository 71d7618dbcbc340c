// SPDX-License-Identifier: GPL-2.0
/* Children of all kinds: families, rights, slices, references, and their mappings. */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include <poll.h>

#define RX		(PROT_READ | PROT_EXEC)
#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define SNAP		VMO_CLONE_SNAPSHOT

/* ---- the interface ------------------------------------------------------ */

/* Clones, slices and references have one layout. Bytes. */
static int child_of(int fd, unsigned int num, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct vmo_clone arg = { .offset = offset, .size = size, .flags = flags, .fd = -1 };

	return ioctl(fd, num, &arg) ? -1 : arg.fd;
}

static int slice_of(int fd, uint64_t first, uint64_t pages)
{
	return child_of(fd, VMO_SLICE, first * PS, pages * PS, 0);
}

static int clone_of(int fd, uint64_t first, uint64_t pages, uint32_t flags)
{
	return child_of(fd, VMO_CLONE, first * PS, pages * PS, SNAP | flags);
}

static int pin(int fd, uint64_t first, uint64_t pages, uint32_t flags)
{
	return vmo_pin_flags(fd, first * PS, pages * PS, flags);
}

static int set_name(int fd, const char *name)
{
	struct vmo_name arg = { .flags = VMO_NAME_SET };

	snprintf(arg.name, sizeof(arg.name), "%s", name);
	return ioctl(fd, VMO_NAME, &arg);
}

/* Both ways of asking have to agree. */
static bool name_is(int fd, const char *name)
{
	struct vmo_info info = info_of(fd);
	struct vmo_name arg = { .flags = 0 };

	return !ioctl(fd, VMO_NAME, &arg) && !strcmp(arg.name, name) && !strcmp(info.name, name);
}

/* The strict form, of one buffer. */
static int strict(int fd, unsigned int num, void *data, size_t size, uint64_t offset)
{
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct vmo_rw arg = { .offset = offset, .iov = (uintptr_t)&iov, .iov_count = 1 };

	return ioctl(fd, num, &arg);
}

static short poll_now(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };

	return poll(&poll_fd, 1, 0) < 0 ? -1 : poll_fd.revents;
}

static bool becomes_childless(int fd)
{
	for (int i = 0; i < 500 && poll_now(fd) != POLLPRI; i++)
		usleep(10000);
	return poll_now(fd) == POLLPRI && info_of(fd).children == 0;
}

/* ---- families ----------------------------------------------------------- */

TEST_F(vmo, h3_n8_a_pin_keeps_a_child)
{
	int fd = vmo_filled(self->dev, 8, 0, 1), ref = vmo_reference(fd, 0), pinned;
	char *p;

	/* The pin keeps the reference alive, then the mapping does. */
	EXPECT_EQ(POLLPRI, poll_now(ref));
	pinned = pin(ref, 1, 1, VMO_PIN_READ);
	ASSERT_LE(0, pinned);
	p = vmo_map(ref, 8, RW);
	ASSERT_NE(NULL, p);
	close(ref);
	usleep(20000);
	EXPECT_EQ(0, poll_now(fd));
	close(pinned);
	usleep(20000);
	EXPECT_EQ(0, poll_now(fd));
	EXPECT_EQ(1, info_of(fd).children);
	munmap(p, 8 * PS);
	EXPECT_TRUE(becomes_childless(fd));
	/* And clear again with the next. */
	ASSERT_LE(0, slice_of(fd, 8, 0));
	EXPECT_EQ(0, poll_now(fd));
}

TEST_F(vmo, h4_f6_orphans_of_all_kinds)
{
	int a = vmo_filled(self->dev, 8, 0, 1), ref = vmo_reference(a, 0);
	int slice = slice_of(ref, 2, 4), snap = clone_of(ref, 0, 8, 0), second;
	struct vmo_info of_a = info_of(a), of_ref = info_of(ref);

	second = vmo_reference(ref, 0);
	ASSERT_LE(0, second);
	EXPECT_EQ(of_a.id, of_ref.parent_id);
	EXPECT_EQ(of_ref.id, info_of(slice).parent_id);
	EXPECT_EQ(of_ref.id, info_of(snap).parent_id);
	EXPECT_EQ(of_ref.id, info_of(second).parent_id);
	EXPECT_EQ(1, info_of(a).children);
	EXPECT_EQ(3, info_of(ref).children);
	close(ref);
	EXPECT_EQ(of_a.id, info_of(slice).parent_id);
	EXPECT_EQ(of_a.id, info_of(snap).parent_id);
	EXPECT_EQ(of_a.id, info_of(second).parent_id);
	EXPECT_EQ(3, info_of(a).children);
	EXPECT_EQ(0, poll_now(a));
	/* Who their parent is means nothing to their memory. */
	ASSERT_EQ(0, write_page(slice, 1, 70));
	EXPECT_EQ(-1, wrong_page_fd(second, 3, 1, 70 - 3));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 8, 1));
	close(a);
	EXPECT_EQ(0, info_of(slice).parent_id);
	EXPECT_EQ(0, info_of(snap).parent_id);
	EXPECT_EQ(0, info_of(second).parent_id);
	EXPECT_EQ(0, info_of(second).children);
	EXPECT_EQ(POLLPRI, poll_now(second));
	ASSERT_EQ(0, write_page(second, 4, 71));
	EXPECT_EQ(-1, wrong_page_fd(slice, 2, 1, 71 - 2));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 8, 1));
}

TEST_F(vmo, h5_names_and_children)
{
	int fd = vmo_new_named(self->dev, 4 * PS, "first"), slice = slice_of(fd, 0, 2);
	int ref = vmo_reference(fd, 0), snap = clone_of(fd, 0, 4, 0), again, ro;

	ASSERT_LE(0, snap);
	EXPECT_EQ(3, info_of(fd).children);
	EXPECT_TRUE(name_is(slice, "first"));
	EXPECT_TRUE(name_is(ref, "first"));
	EXPECT_TRUE(name_is(snap, "first"));
	/* A name belongs to the object, also where the memory does not. */
	EXPECT_EQ(0, set_name(ref, "reference"));
	EXPECT_EQ(0, set_name(slice, "slice"));
	EXPECT_TRUE(name_is(fd, "first"));
	EXPECT_TRUE(name_is(snap, "first"));
	EXPECT_EQ(0, set_name(fd, "second"));
	EXPECT_TRUE(name_is(fd, "second"));
	EXPECT_TRUE(name_is(ref, "reference"));
	EXPECT_TRUE(name_is(slice, "slice"));
	EXPECT_TRUE(name_is(snap, "first"));
	again = vmo_reference(ref, 0);
	EXPECT_TRUE(name_is(again, "reference"));
	EXPECT_TRUE(name_is(slice_of(slice, 0, 1), "slice"));
	EXPECT_TRUE(name_is(clone_of(fd, 0, 1, 0), "second"));
	EXPECT_EQ(0, set_name(again, ""));
	EXPECT_TRUE(name_is(again, ""));
	EXPECT_TRUE(name_is(ref, "reference"));
	/* Direct children only. */
	EXPECT_EQ(4, info_of(fd).children);
	EXPECT_EQ(1, info_of(ref).children);
	EXPECT_EQ(1, info_of(slice).children);
	/* Two descriptors are one object. */
	ro = vmo_reopen(ref, O_RDONLY);
	EXPECT_EQ(info_of(ref).id, info_of(ro).id);
	EXPECT_ERRNO(EACCES, set_name(ro, "x"));
	EXPECT_TRUE(name_is(ro, "reference"));
	EXPECT_EQ(4, info_of(fd).children);
}

TEST_F(vmo, h6_flags)
{
	const uint64_t cow = VMO_INFO_COW_CLONE | VMO_INFO_IMMUTABLE;
	int fd = vmo_filled(self->dev, 2, 0, 1), ro = vmo_reopen(fd, O_RDONLY);
	int snap = clone_of(fd, 0, 2, 0), frozen = clone_of(fd, 0, 2, VMO_CLONE_NO_WRITE);

	EXPECT_EQ(0, info_of(fd).flags);
	EXPECT_EQ(0, info_of(ro).flags);
	EXPECT_EQ(VMO_INFO_COW_CLONE, info_of(snap).flags);
	EXPECT_EQ(cow | VMO_INFO_NO_WRITE, info_of(frozen).flags);
	EXPECT_EQ(VMO_INFO_COW_CLONE, info_of(clone_of(frozen, 0, 2, 0)).flags);
	EXPECT_EQ(VMO_INFO_COW_CLONE | VMO_INFO_RESIZABLE | VMO_INFO_MAY_RESIZE,
		  info_of(clone_of(fd, 0, 2, VMO_CLONE_RESIZABLE)).flags);
	EXPECT_EQ(VMO_INFO_SLICE, info_of(slice_of(fd, 0, 1)).flags);
	EXPECT_EQ(VMO_INFO_REFERENCE, info_of(vmo_reference(fd, 0)).flags);
	/* Without writing they are still not immutable: others may write. */
	EXPECT_EQ(VMO_INFO_SLICE | VMO_INFO_NO_WRITE,
		  info_of(child_of(fd, VMO_SLICE, 0, PS, VMO_SLICE_NO_WRITE)).flags);
	EXPECT_EQ(VMO_INFO_SLICE | VMO_INFO_NO_WRITE, info_of(slice_of(ro, 0, 1)).flags);
	EXPECT_EQ(VMO_INFO_REFERENCE | VMO_INFO_NO_WRITE, info_of(vmo_reference(ro, 0)).flags);
	/* What is made of a clone is not one. */
	EXPECT_EQ(VMO_INFO_SLICE, info_of(slice_of(snap, 0, 1)).flags);
	EXPECT_EQ(VMO_INFO_REFERENCE, info_of(vmo_reference(snap, 0)).flags);
	EXPECT_EQ(0, info_of(slice_of(frozen, 0, 1)).flags & cow);
	EXPECT_EQ(0, info_of(vmo_reference(frozen, 0)).flags & cow);
}

/* ---- clones ------------------------------------------------------------- */

TEST_F(vmo, k1_order_of_errors_of_children)
{
	int fd = vmo_filled(self->dev, 4, 0, 1), slice = slice_of(fd, 1, 2);
	int ref = vmo_reference(fd, 0);
	int from[] = { slice, ref }, pinned = pin(slice, 0, 1, VMO_PIN_READ);

	ASSERT_LE(0, pinned);
	for (int i = 0; i < 2; i++) {
		EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_CLONE, 8, PS, SNAP));
		EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_CLONE, PS - 1, PS, SNAP));
		EXPECT_ERRNO(ERANGE, child_of(from[i], VMO_CLONE, 0, MAX_SIZE + 1, SNAP));
		/* What cannot be is refused before what is in the way. */
		EXPECT_ERRNO(EBADFD, clone_of(from[i], 0, 4, 0));
		EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_CLONE, -PS, 2 * PS, SNAP));
	}
	/* The slice starts a page later, and that counts. */
	EXPECT_ERRNO(EINVAL, child_of(slice, VMO_CLONE, -2 * PS, PS, SNAP));
	close(pinned);
	EXPECT_LE(0, clone_of(slice, 0, 4, 0));
	EXPECT_EQ(0, info_of(fd).pinned_bytes);
}

/* A slice's end is an end like any other, for whatever is made of it. */
TEST_F(vmo, k2_k3_windows_of_slices)
{
	int fd = vmo_filled(self->dev, 20, 0, 100), slice = slice_of(fd, 5, 4);
	int partly = clone_of(slice, 2, 10, 0), beyond = clone_of(slice, 4, 6, 0);
	int grand = clone_of(partly, 1, 12, 0), nested = slice_of(partly, 1, 6), again;
	char *p = vmo_map(partly, 10, RW);

	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 2, 107));
	EXPECT_EQ(-1, wrong_page(p, 2, 8, 0));
	EXPECT_EQ(-1, wrong_page_fd(beyond, 0, 6, 0));
	EXPECT_EQ(-1, wrong_page_fd(grand, 0, 1, 108));
	EXPECT_EQ(-1, wrong_page_fd(grand, 1, 11, 0));
	EXPECT_EQ(2 * PS, info_of(partly).committed_bytes);
	EXPECT_EQ(0, info_of(beyond).committed_bytes);
	/* What the clone writes past there is its own, and its children's. */
	fill_pages(p, 4, 2, 500);
	again = clone_of(nested, 2, 4, 0);
	ASSERT_LE(0, again);
	EXPECT_EQ(-1, wrong_page_fd(nested, 3, 2, 501));
	EXPECT_EQ(-1, wrong_page_fd(again, 0, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(again, 1, 2, 503));
	EXPECT_EQ(-1, wrong_page_fd(again, 3, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(grand, 1, 11, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 20, 100));
}

TEST_F(vmo, k4_k9_snapshot_with_slices_and_references)
{
	int fd = vmo_filled(self->dev, 12, 0, 100), slice = slice_of(fd, 4, 4);
	int ref = vmo_reference(fd, 0), snap, from_slice;
	char *p = vmo_map(fd, 12, RW), *s = vmo_map(slice, 4, RW), *r = vmo_map(ref, 12, RW);

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, s);
	ASSERT_NE(NULL, r);
	/* All of them have writable page table entries. */
	fill_pages(p, 0, 12, 100);
	fill_pages(s, 0, 4, 104);
	fill_pages(r, 0, 12, 100);
	snap = clone_of(fd, 0, 12, 0);
	ASSERT_LE(0, snap);
	fill_page(s, 201);
	fill_page(r + 5 * PS, 202);
	fill_page(p + 6 * PS, 203);
	ASSERT_EQ(0, write_page(slice, 3, 204));
	ASSERT_EQ(0, write_page(ref, 8, 205));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 12, 100));
	/* They stay with the source. */
	EXPECT_EQ(-1, wrong_page(p, 4, 5, 201 - 4));
	EXPECT_EQ(-1, wrong_page(r, 4, 5, 201 - 4));
	EXPECT_EQ(-1, wrong_page(s, 0, 4, 201));
	EXPECT_EQ(-1, wrong_page_fd(fd, 4, 5, 201 - 4));

	/* A snapshot through the slice, or the reference, is one of all mappings. */
	fill_page(p + 5 * PS, 300);
	from_slice = clone_of(slice, 0, 4, 0);
	ASSERT_LE(0, from_slice);
	fill_page(p + 5 * PS, 301);
	fill_page(r + 6 * PS, 302);
	fill_page(s, 303);
	EXPECT_EQ(-1, wrong_page_fd(from_slice, 0, 1, 201));
	EXPECT_EQ(-1, wrong_page_fd(from_slice, 1, 1, 299));
	EXPECT_EQ(-1, wrong_page_fd(from_slice, 2, 2, 201));
	EXPECT_TRUE(page_is(s + PS, 301));
	EXPECT_TRUE(page_is(s + 2 * PS, 302));
	EXPECT_TRUE(page_is(r + 4 * PS, 303));
	ASSERT_EQ(0, write_page(from_slice, 0, 400));
	EXPECT_TRUE(page_is(p + 4 * PS, 303));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 12, 100));
}

static int put_page(int fd, char *p, size_t index, uint64_t seed)
{
	if (!p)
		return write_page(fd, index, seed);
	fill_page(p + index * PS, seed);
	return 0;
}

TEST_F(vmo, k10_copies_only_what_is_shared)
{
	if (vmo_counter("pages") < 0)
		SKIP(return, "no counters in debugfs");
	for (int mapped = 0; mapped < 2; mapped++) {
		int fd = vmo_filled(self->dev, 8, 0, 100), snap;
		long pages = vmo_counter("pages");
		char *p = mapped ? vmo_map(fd, 8, RW) : NULL, *c;

		for (int i = 0; i < 8; i++)	/* what is mapped is shared as well */
			ASSERT_EQ(0, put_page(fd, p, i, 100 + i));
		snap = clone_of(fd, 0, 4, 0);
		EXPECT_EQ(pages, vmo_counter("pages"));
		c = mapped ? vmo_map(snap, 4, RW) : NULL;
		ASSERT_EQ(0, put_page(fd, p, 5, 200));		/* not in the window */
		EXPECT_EQ(pages, vmo_counter("pages"));
		ASSERT_EQ(0, put_page(fd, p, 0, 201));
		EXPECT_EQ(pages + 1, vmo_counter("pages"));
		ASSERT_EQ(0, put_page(snap, c, 0, 202));	/* nobody else sees it now */
		EXPECT_EQ(pages + 1, vmo_counter("pages"));
		ASSERT_EQ(0, put_page(snap, c, 1, 203));
		EXPECT_EQ(pages + 2, vmo_counter("pages"));
		ASSERT_EQ(0, put_page(fd, p, 1, 204));
		EXPECT_EQ(pages + 2, vmo_counter("pages"));
		EXPECT_EQ(-1, wrong_page_fd(snap, 0, 2, 202));
		EXPECT_EQ(-1, wrong_page_fd(snap, 2, 2, 100));
		if (c)
			munmap(c, 4 * PS);
		close(snap);
		EXPECT_EQ(pages, vmo_counter_becomes("pages", pages));
		for (int i = 2; i < 4; i++)
			ASSERT_EQ(0, put_page(fd, p, i, 300 + i));
		EXPECT_EQ(pages, vmo_counter("pages"));
		EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 201));
		EXPECT_EQ(-1, wrong_page_fd(fd, 1, 1, 203));
		EXPECT_EQ(-1, wrong_page_fd(fd, 2, 2, 300));
		EXPECT_EQ(-1, wrong_page_fd(fd, 4, 1, 100));
		if (p)
			munmap(p, 8 * PS);
		close(fd);
	}
}

/* A slice or a reference is a reason to keep the source, but not the clone. */
TEST_F(vmo, k13_closing_with_slices_and_references)
{
	int fd = vmo_filled(self->dev, 8, 0, 100), snap = clone_of(fd, 2, 4, 0);
	int slice = slice_of(snap, 1, 2), ref = vmo_reference(fd, 0);
	long pages = vmo_counter("pages");

	ASSERT_LE(0, ref);
	ASSERT_EQ(0, write_page(snap, 0, 200));
	ASSERT_EQ(0, write_page(slice, 0, 201));
	close(fd);
	EXPECT_EQ(-1, wrong_page_fd(ref, 0, 8, 100));
	if (pages >= 0)
		EXPECT_EQ(pages + 2, vmo_counter("pages"));
	close(snap);
	EXPECT_EQ(-1, wrong_page_fd(slice, 0, 1, 201));
	EXPECT_EQ(-1, wrong_page_fd(slice, 1, 1, 103));
	EXPECT_EQ(-1, wrong_page_fd(ref, 0, 8, 100));
	close(ref);
	EXPECT_EQ(-1, wrong_page_fd(slice, 0, 1, 201));
	EXPECT_EQ(-1, wrong_page_fd(slice, 1, 1, 103));
	ASSERT_EQ(0, write_page(slice, 1, 202));
	EXPECT_EQ(-1, wrong_page_fd(slice, 0, 2, 201));
	close(slice);
	if (pages >= 0)
		EXPECT_EQ(pages - 8, vmo_counter_becomes("pages", pages - 8));
}

/* ---- rights ------------------------------------------------------------- */

/* Not even root, not by name, mode or truncation, not from what is made of it. */
TEST_F(vmo, r2_no_write_is_for_good)
{
	int fd = vmo_filled(self->dev, 4, VMO_CREATE_RESIZABLE, 100), kids[4];

	kids[0] = vmo_reference(fd, VMO_REFERENCE_NO_WRITE);
	kids[1] = clone_of(fd, 0, 4, VMO_CLONE_NO_WRITE);
	kids[2] = vmo_reference(kids[0], 0);
	kids[3] = child_of(kids[1], VMO_SLICE, 0, 4 * PS, 0);
	ASSERT_EQ(0, getuid());
	for (int i = 0; i < 4; i++) {
		char path[64], *p;

		ASSERT_LE(0, kids[i]);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", kids[i]);
		EXPECT_EQ(O_RDONLY, fcntl(kids[i], F_GETFL) & O_ACCMODE);
		EXPECT_EQ(0, fchmod(kids[i], 0777));
		EXPECT_ERRNO(EACCES, open(path, O_RDWR));
		EXPECT_ERRNO(EACCES, open(path, O_WRONLY));
		EXPECT_ERRNO(EACCES, open(path, O_WRONLY | O_APPEND));
		EXPECT_ERRNO(EACCES, open(path, O_RDWR | O_TRUNC));
		EXPECT_ERRNO(EACCES, open(path, O_RDONLY | O_TRUNC));
		EXPECT_ERRNO(EACCES, truncate(path, PS));
		EXPECT_ERRNO(EACCES, truncate(path, 8 * PS));
		EXPECT_EQ(4 * PS, st_size(kids[i])) TH_LOG("child %d", i);
		EXPECT_ERRNO(EBADF, pwrite(kids[i], "x", 1, 0));
		EXPECT_ERRNO(EBADF, fallocate(kids[i], PUNCH, 0, PS));
		EXPECT_ERRNO(i % 2 ? EOPNOTSUPP : EACCES,
			     vmo_reference(kids[i], VMO_REFERENCE_RESIZABLE));
		EXPECT_EQ(NULL, vmo_map(kids[i], 1, RW));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(NULL, vmo_map(kids[i], 1, PROT_WRITE));
		EXPECT_EQ(EACCES, errno);
		/* A private mapping may be written: nobody sees it. */
		p = vmo_map_at(kids[i], 0, 4, RW, MAP_PRIVATE);
		ASSERT_NE(NULL, p);
		fill_pages(p, 0, 4, 900);
		munmap(p, 4 * PS);
		p = vmo_map(kids[i], 4, RO);
		ASSERT_NE(NULL, p);
		EXPECT_ERRNO(EACCES, mprotect(p, PS, RW));
		EXPECT_ERRNO(EACCES, mprotect(p, PS, PROT_WRITE));
		EXPECT_ERRNO(EACCES, mprotect(p, PS, RX));
		EXPECT_ERRNO(EACCES, madvise(p, PS, MADV_REMOVE));
		EXPECT_EQ(SIGSEGV, touch(p, true));
		EXPECT_EQ(-1, wrong_page(p, 0, 4, 100));
		munmap(p, 4 * PS);
	}
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 100));
}

TEST_F(vmo, r2_exec)
{
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };	/* return 42; */
	int fd = vmo_new_flags(self->dev, 4 * PS, VMO_CREATE_EXEC), plain;
	char *private;
	struct {
		int fd;
		bool exec;
	} made[8];

	plain = vmo_new_flags(self->dev, PS, 0);
	ASSERT_EQ((ssize_t)sizeof(code), pwrite(fd, code, sizeof(code), 0));
	made[0].fd = fd;
	made[1].fd = clone_of(fd, 0, 4, VMO_CLONE_NO_WRITE);
	made[2].fd = slice_of(fd, 0, 2);
	made[3].fd = vmo_reference(fd, VMO_REFERENCE_NO_WRITE);
	made[4].fd = clone_of(fd, 0, 4, 0);
	made[5].fd = clone_of(fd, 0, 4, VMO_CLONE_RESIZABLE);
	made[6].fd = clone_of(made[4].fd, 0, 4, VMO_CLONE_NO_WRITE);	/* lost is lost */
	made[7].fd = clone_of(plain, 0, 1, VMO_CLONE_NO_WRITE);
	for (int i = 0; i < 8; i++) {
		char *p = vmo_map(made[i].fd, 1, RO), *x = vmo_map(made[i].fd, 1, RX);

		made[i].exec = i < 4;
		ASSERT_NE(NULL, p);
		EXPECT_EQ(made[i].exec, !!(info_of(made[i].fd).flags & VMO_INFO_EXEC))
			TH_LOG("row %d", i);
		EXPECT_EQ(made[i].exec, !!x) TH_LOG("row %d", i);
		EXPECT_EQ(made[i].exec, !mprotect(p, PS, RX)) TH_LOG("row %d", i);
#ifdef __x86_64__
		if (x)
			EXPECT_EQ(42, ((int (*)(void))x)());
#endif
		if (x)
			munmap(x, PS);
		munmap(p, PS);
	}
	EXPECT_EQ(NULL, vmo_map(plain, 1, RX));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(NULL, vmo_map_at(plain, 0, 1, RX, MAP_PRIVATE));
	private = vmo_map_at(plain, 0, 1, RW, MAP_PRIVATE);
	EXPECT_ERRNO(EACCES, mprotect(private, PS, RX));
	munmap(private, PS);
}

/* ---- slices ------------------------------------------------------------- */

TEST_F(vmo, l1_slices_of_nothing)
{
	int fd = vmo_filled(self->dev, 4, 0, 1), empty = vmo_new_flags(self->dev, 0, 0), kids[4];
	char c = 'x';

	kids[0] = slice_of(fd, 0, 0);
	kids[1] = slice_of(fd, 4, 0);
	kids[2] = slice_of(fd, 2, 0);
	kids[3] = slice_of(empty, 0, 0);
	for (int i = 0; i < 4; i++) {
		char *p = vmo_map(kids[i], 1, RW);

		ASSERT_NE(NULL, p);
		EXPECT_EQ(0, info_of(kids[i]).size);
		EXPECT_EQ(0, st_size(kids[i]));
		EXPECT_EQ(0, strict(kids[i], VMO_READ, &c, 0, 0));
		EXPECT_ERRNO(ERANGE, strict(kids[i], VMO_READ, &c, 1, 0));
		EXPECT_ERRNO(ERANGE, strict(kids[i], VMO_WRITE, &c, 1, 0));
		EXPECT_EQ(0, pread(kids[i], &c, 1, 0));
		EXPECT_ERRNO(ENOSPC, pwrite(kids[i], &c, 1, 0));
		for (int op = VMO_OP_COMMIT; op <= VMO_OP_ZERO; op++) {
			EXPECT_EQ(0, vmo_op(kids[i], op, 0, 0));
			EXPECT_ERRNO(ERANGE, vmo_op(kids[i], op, 0, 1));
			EXPECT_ERRNO(ERANGE, vmo_op(kids[i], op, PS, 0));
		}
		EXPECT_ERRNO(ERANGE, pin(kids[i], 0, 1, VMO_PIN_READ));
		EXPECT_EQ(SIGBUS, touch(p, false));
		EXPECT_EQ(SIGBUS, touch(p, true));
		EXPECT_LE(0, slice_of(kids[i], 0, 0));
		EXPECT_LE(0, clone_of(kids[i], 0, 1, 0));
	}
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 1));
}

TEST_F(vmo, l2_strict_commit_and_punch_through_slices)
{
	int fd = vmo_filled(self->dev, 16, 0, 100), slice = slice_of(fd, 4, 8);
	int nested = slice_of(slice, 2, 4);	/* pages 6 to 9 */
	char *page = malloc(PS);

	EXPECT_EQ(8 * PS, info_of(slice).size);
	EXPECT_EQ(4 * PS, info_of(nested).size);
	fill_page(page, 200);
	ASSERT_EQ(0, strict(nested, VMO_WRITE, page, PS, PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 7, 1, 193));
	memset(page, 0, PS);
	ASSERT_EQ(0, strict(nested, VMO_READ, page, PS, PS));
	EXPECT_TRUE(page_is(page, 200));
	EXPECT_EQ(0, vmo_op(nested, VMO_OP_ZERO, 0, PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 6, 1, 0));
	EXPECT_EQ(15 * PS, info_of(fd).committed_bytes);
	EXPECT_EQ(0, vmo_op(nested, VMO_OP_COMMIT, 0, 1));
	EXPECT_EQ(16 * PS, info_of(fd).committed_bytes);
	EXPECT_EQ(0, fallocate(nested, PUNCH, 3 * PS, 100 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 9, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 10, 6, 100));
	/* The object has these bytes, the slice has not. */
	for (int op = VMO_OP_COMMIT; op <= VMO_OP_ZERO; op++) {
		EXPECT_ERRNO(ERANGE, vmo_op(nested, op, 0, 5 * PS));
		EXPECT_ERRNO(ERANGE, vmo_op(nested, op, 4 * PS, PS));
		EXPECT_ERRNO(ERANGE, vmo_op(nested, op, -PS, 2 * PS));
		EXPECT_EQ(0, vmo_op(nested, op, 4 * PS, 0));
	}
	EXPECT_ERRNO(ERANGE, strict(nested, VMO_WRITE, page, 2, 4 * PS - 1));
	EXPECT_ERRNO(ERANGE, strict(nested, VMO_READ, page, PS, -PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 6, 100));
	EXPECT_EQ(-1, wrong_page_fd(fd, 10, 6, 100));
	free(page);
}

TEST_F(vmo, l2_l5_the_file_form_ends_with_the_slice)
{
	int fd = vmo_new_flags(self->dev, 8 * PS - 100, 0), slice, part, app;
	char *buf = calloc(4, PS);

	memset(buf, 'a', 4 * PS);
	ASSERT_EQ(0, write_page(fd, 5, 7));
	slice = child_of(fd, VMO_SLICE, 2 * PS, 3 * PS, 0);
	part = child_of(fd, VMO_SLICE, 2 * PS, PS + 10, 0);
	EXPECT_EQ(3 * PS, st_size(slice));
	EXPECT_EQ(2 * PS, info_of(part).size);
	EXPECT_EQ(PS + 10, st_size(part));
	/* Written is what fits, and the neighbour stays. */
	EXPECT_EQ(PS, pwrite(slice, buf, 2 * PS, 2 * PS));
	EXPECT_ERRNO(ENOSPC, pwrite(slice, buf, 1, 3 * PS));
	EXPECT_ERRNO(ENOSPC, pwrite(slice, buf, 1, 100 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 5, 1, 2));
	EXPECT_EQ(PS, pread(slice, buf, 4 * PS, 2 * PS));
	/* Each has a content size of its own, raised by its own writes. */
	EXPECT_EQ(10, pread(part, buf, 100, PS));
	EXPECT_EQ(5, pwrite(part, "hello", 5, PS + 20));
	EXPECT_EQ(PS + 25, st_size(part));
	EXPECT_EQ(5, pread(slice, buf, 5, PS + 20));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	app = vmo_reopen(part, O_RDWR | O_APPEND);
	EXPECT_EQ(5, write(app, "world", 5));
	EXPECT_EQ(5, pread(fd, buf, 5, 3 * PS + 25));
	EXPECT_EQ(0, memcmp(buf, "world", 5));
	EXPECT_EQ(PS + 30, info_of(part).content_size);
	EXPECT_EQ(3 * PS, st_size(slice));
	EXPECT_EQ(8 * PS - 100, st_size(fd));
	EXPECT_ERRNO(EPERM, ftruncate(slice, PS));
	EXPECT_ERRNO(EPERM, vmo_set_size(slice, PS));
	EXPECT_ERRNO(ENOSPC, fallocate(slice, 0, 2 * PS, 2 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 5, 1, 2));
	/* The object's content size may end before the slice's. */
	slice = slice_of(fd, 7, 1);
	EXPECT_EQ(PS, st_size(slice));
	EXPECT_EQ(50, pwrite(slice, buf, 50, PS - 50));
	EXPECT_EQ(8 * PS - 100, st_size(fd));
	free(buf);
}

TEST_F(vmo, l3_nested_slices_keep_the_memory)
{
	int fd = vmo_filled(self->dev, 12, 0, 100);
	int a = slice_of(fd, 2, 8), b = slice_of(a, 2, 5), c;
	long pages = vmo_counter("pages");
	char *p;

	c = slice_of(b, 1, 3);		/* pages 5 to 7 */
	EXPECT_EQ(info_of(b).id, info_of(c).parent_id);
	close(fd);
	close(b);
	EXPECT_EQ(info_of(a).id, info_of(c).parent_id);
	EXPECT_EQ(-1, wrong_page_fd(c, 0, 3, 105));
	p = vmo_map(c, 3, RW);
	ASSERT_NE(NULL, p);
	fill_page(p + PS, 200);
	EXPECT_EQ(-1, wrong_page_fd(a, 4, 1, 196));
	close(a);
	close(c);
	/* The last mapping of a slice of a slice. */
	EXPECT_TRUE(page_is(p, 105));
	EXPECT_TRUE(page_is(p + PS, 200));
	EXPECT_TRUE(page_is(p + 2 * PS, 107));
	EXPECT_EQ(pages, vmo_counter("pages"));
	munmap(p, 3 * PS);
	if (pages >= 0)
		EXPECT_EQ(pages - 12, vmo_counter_becomes("pages", pages - 12));
}

/* ---- references --------------------------------------------------------- */

TEST_F(vmo, f1_order_of_errors)
{
	int fixed = vmo_filled(self->dev, 4, 0, 1), slice = slice_of(fixed, 0, 2);
	int resizable = vmo_filled(self->dev, 4, VMO_CREATE_RESIZABLE, 1), plain;
	int from[] = { fixed, slice, resizable }, fds;

	plain = vmo_reference(resizable, 0);
	fds = count_fds();
	for (int i = 0; i < 3; i++) {
		for (uint32_t flags = 0; flags <= VMO_REFERENCE_RESIZABLE;
		     flags += VMO_REFERENCE_RESIZABLE) {
			EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_REFERENCE, PS, 0, flags));
			EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_REFERENCE, 1, 0, flags));
			EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_REFERENCE, 0, 1, flags));
			EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_REFERENCE, 0, 4 * PS, flags));
			EXPECT_ERRNO(EINVAL, child_of(from[i], VMO_REFERENCE, 0, -1ULL, flags));
		}
	}
	EXPECT_ERRNO(EINVAL, child_of(plain, VMO_REFERENCE, 0, PS, VMO_REFERENCE_RESIZABLE));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_reference(fixed, VMO_REFERENCE_RESIZABLE));
	EXPECT_ERRNO(EOPNOTSUPP, vmo_reference(slice, VMO_REFERENCE_RESIZABLE));
	EXPECT_ERRNO(EACCES, vmo_reference(plain, VMO_REFERENCE_RESIZABLE));
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, info_of(plain).children);
}

TEST_F(vmo, f2_f3_one_memory_one_size)
{
	int fd = vmo_filled(self->dev, 4, VMO_CREATE_RESIZABLE, 100);
	int ref = vmo_reference(fd, VMO_REFERENCE_RESIZABLE), second = vmo_reference(ref, 0), app;
	char *p = vmo_map(fd, 8, RW), *r = vmo_map(ref, 8, RW), *s = vmo_map(second, 8, RW);

	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, r);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(info_of(fd).id, info_of(ref).parent_id);
	EXPECT_EQ(info_of(ref).id, info_of(second).parent_id);
	EXPECT_EQ(-1, wrong_page(s, 0, 4, 100));
	EXPECT_EQ(-1, wrong_page(r, 0, 4, 100));
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 100));
	/* Cut through one, all mappings end there. */
	EXPECT_EQ(0, vmo_set_size(ref, 2 * PS + 10));
	EXPECT_EQ(2 * PS + 10, st_size(fd));
	EXPECT_EQ(2 * PS + 10, info_of(second).content_size);
	EXPECT_EQ(3 * PS, info_of(second).size);
	EXPECT_EQ(SIGBUS, touch(p + 3 * PS, false));
	EXPECT_EQ(SIGBUS, touch(r + 3 * PS, true));
	EXPECT_EQ(SIGBUS, touch(s + 3 * PS, false));
	EXPECT_EQ(0, p[2 * PS + 10]);
	EXPECT_EQ(0, s[3 * PS - 1]);
	/* Grown through the other. */
	EXPECT_EQ(0, ftruncate(fd, 6 * PS));
	EXPECT_EQ(6 * PS, st_size(second));
	fill_page(s + 3 * PS, 200);
	EXPECT_TRUE(page_is(p + 3 * PS, 200));
	EXPECT_TRUE(page_is(r + 3 * PS, 200));
	EXPECT_EQ(-1, wrong_page(s, 4, 2, 0));
	EXPECT_EQ(SIGBUS, touch(s + 6 * PS, false));
	/* A write through one moves the end for an append through another. */
	EXPECT_EQ(0, vmo_set_size(fd, PS));
	EXPECT_EQ(3, pwrite(ref, "abc", 3, PS + 5));
	app = vmo_reopen(ref, O_WRONLY | O_APPEND);
	EXPECT_EQ(3, write(app, "def", 3));
	EXPECT_EQ(PS + 11, st_size(fd));
	EXPECT_EQ(PS + 11, st_size(second));
	EXPECT_EQ(0, memcmp(s + PS, "\0\0\0\0\0abcdef", 12));
	EXPECT_EQ(1, pwrite(second, "g", 1, PS + 99));	/* inside of the memory */
	EXPECT_EQ(PS + 100, st_size(fd));
}

TEST_F(vmo, f4_owner_closed_first)
{
	int fd = vmo_filled(self->dev, 4, VMO_CREATE_RESIZABLE, 100), ref[4], snap;
	char *p, *m[4];

	p = vmo_map(fd, 4, RW);
	ASSERT_NE(NULL, p);
	for (int i = 0; i < 4; i++) {
		ref[i] = vmo_reference(fd, i ? VMO_REFERENCE_RESIZABLE : 0);
		m[i] = vmo_map(ref[i], 8, RW);
		ASSERT_NE(NULL, m[i]);
	}
	close(fd);
	munmap(p, 4 * PS);
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, info_of(ref[i]).children);
		EXPECT_EQ(POLLPRI, poll_now(ref[i]));
		EXPECT_EQ(VMO_INFO_REFERENCE, info_of(ref[i]).flags & VMO_INFO_REFERENCE);
		EXPECT_EQ(-1, wrong_page(m[i], 0, 4, 100));
	}
	for (int i = 0; i < 500 && info_of(ref[3]).parent_id; i++)
		usleep(10000);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, info_of(ref[i]).parent_id);
	/* Whoever is left, all is still one: pages, size, mappings. */
	snap = clone_of(ref[2], 0, 4, 0);
	for (int gone = 0; gone < 3; gone++) {
		uint64_t size = (5 + gone) * PS - 7;

		EXPECT_EQ(0, vmo_set_size(ref[3], size));
		for (int i = gone; i < 4; i++) {
			EXPECT_EQ(size, st_size(ref[i]));
			fill_page(m[i] + 3 * PS, 200 + i);
			for (int j = gone; j < 4; j++)
				EXPECT_TRUE(page_is(m[j] + 3 * PS, 200 + i));
		}
		EXPECT_EQ(0, vmo_op(ref[gone], VMO_OP_DECOMMIT, 3 * PS, PS));
		for (int i = gone; i < 4; i++)
			EXPECT_TRUE(page_is(m[i] + 3 * PS, 0));
		munmap(m[gone], 8 * PS);
		close(ref[gone]);
	}
	EXPECT_EQ(0, info_of(ref[3]).parent_id);
	EXPECT_EQ(0, info_of(ref[3]).children);
	EXPECT_EQ(-1, wrong_page(m[3], 0, 3, 100));
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 4, 100));
}

/* A reference of a slice is bounded as the slice is, and so is what is made of it. */
TEST_F(vmo, f6_l2_references_of_slices)
{
	int fd = vmo_filled(self->dev, 8, 0, 100), slice = slice_of(fd, 2, 4);
	int of_slice = vmo_reference(slice, 0), inner, snap;
	char *p;

	EXPECT_EQ(4 * PS, info_of(of_slice).size);
	EXPECT_EQ(4 * PS, st_size(of_slice));
	EXPECT_EQ(-1, wrong_page_fd(of_slice, 0, 4, 102));
	EXPECT_EQ(-2, wrong_page_fd(of_slice, 4, 1, 0));
	EXPECT_ERRNO(ENOSPC, pwrite(of_slice, "x", 1, 4 * PS));
	EXPECT_ERRNO(ERANGE, vmo_op(of_slice, VMO_OP_ZERO, 3 * PS, PS + 1));
	EXPECT_EQ(info_of(slice).id, info_of(of_slice).parent_id);
	p = vmo_map(of_slice, 6, RW);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, wrong_page(p, 0, 4, 102));
	EXPECT_EQ(SIGBUS, touch(p + 4 * PS, false));
	EXPECT_ERRNO(EINVAL, slice_of(of_slice, 1, 4));
	inner = slice_of(of_slice, 1, 2);
	ASSERT_EQ(0, write_page(inner, 0, 200));
	EXPECT_EQ(-1, wrong_page_fd(fd, 3, 1, 197));
	EXPECT_TRUE(page_is(p + PS, 200));

	snap = clone_of(of_slice, 1, 8, 0);
	EXPECT_EQ(info_of(of_slice).id, info_of(snap).parent_id);
	EXPECT_EQ(-1, wrong_page_fd(snap, 0, 1, 200));
	EXPECT_EQ(-1, wrong_page_fd(snap, 1, 2, 103));
	EXPECT_EQ(-1, wrong_page_fd(snap, 3, 5, 0));
}

/* ---- mappings ----------------------------------------------------------- */

TEST_F(vmo, mp1_slices_end_in_mappings)
{
	int fd = vmo_filled(self->dev, 32, 0, 100), slice = slice_of(fd, 5, 3);
	int nested = slice_of(slice, 1, 1), snap = clone_of(slice, 1, 6, 0);
	char *s = vmo_map(slice, 16, RW), *n = vmo_map(nested, 4, RO), *c = vmo_map(snap, 8, RW);
	char *last = vmo_map_at(slice, 2 * PS, 4, RW, MAP_SHARED);
	char *past = vmo_map_at(slice, 3 * PS, 2, RW, MAP_SHARED);
	char *private = vmo_map_at(slice, 0, 8, RW, MAP_PRIVATE);

	ASSERT_NE(NULL, s);
	ASSERT_NE(NULL, n);
	ASSERT_NE(NULL, c);
	ASSERT_NE(NULL, last);
	ASSERT_NE(NULL, past);
	ASSERT_NE(NULL, private);
	EXPECT_EQ(-1, wrong_page(s, 0, 3, 105));
	EXPECT_EQ(SIGBUS, touch(s + 3 * PS, false));
	EXPECT_EQ(SIGBUS, touch(s + 3 * PS, true));
	EXPECT_EQ(SIGBUS, touch(s + 15 * PS, true));
	EXPECT_TRUE(page_is(n, 106));
	EXPECT_EQ(SIGBUS, touch(n + PS, false));
	EXPECT_EQ(SIGSEGV, touch(n, true));
	EXPECT_EQ(SIGSEGV, touch(n + PS, true));	/* permission comes first */
	EXPECT_EQ(-1, wrong_page(c, 0, 2, 106));
	EXPECT_EQ(-1, wrong_page(c, 2, 4, 0));
	EXPECT_EQ(SIGBUS, touch(c + 6 * PS, true));
	EXPECT_TRUE(page_is(last, 107));
	EXPECT_EQ(SIGBUS, touch(last + PS, false));
	EXPECT_EQ(SIGBUS, touch(past, false));
	EXPECT_EQ(SIGBUS, touch(past, true));
	EXPECT_EQ(-1, wrong_page(private, 0, 3, 105));
	EXPECT_EQ(SIGBUS, touch(private + 3 * PS, false));
	EXPECT_EQ(SIGBUS, touch(private + 3 * PS, true));
	munmap(private, 8 * PS);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 32, 100));
}

/* What is there page by page; only what is mapped at once counts, not read ahead. */
static int resident(char *p, size_t pages)
{
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), count = 0;

	for (size_t i = 0; i < pages; i++)
		if (pread(fd, &entry, 8, ((uintptr_t)p / PS + i) * 8) == 8 && entry >> 63)
			count++;
	close(fd);
	return count;
}

TEST_F(vmo, mp2_mp3_read_faults)
{
	int fd = vmo_new_flags(self->dev, 64 * PS, 0), slice, ref = vmo_reference(fd, 0);
	long pages;
	char *s, *r;

	for (int i = 0; i < 32; i++)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	slice = slice_of(fd, 1, 6);
	s = vmo_map(slice, 32, RW);
	r = vmo_map(ref, 64, RW);
	ASSERT_NE(NULL, s);
	ASSERT_NE(NULL, r);
	pages = vmo_counter("pages");
	/* Around are the pages of the slice, at most 16, and none past its end. */
	EXPECT_EQ(0, touch(s + 2 * PS, false));
	EXPECT_LE(1, resident(s, 32));
	EXPECT_GE(6, resident(s, 32));
	EXPECT_EQ(0, resident(s + 6 * PS, 26));
	EXPECT_EQ(SIGBUS, touch(s + 6 * PS, false));
	EXPECT_EQ(0, touch(r + 20 * PS, false));
	EXPECT_LT(1, resident(r, 64));
	EXPECT_GE(16, resident(r, 64));
	/* Holes: zeroes, no page; then a write from elsewhere shows at once. */
	for (int i = 32; i < 64; i++)
		ASSERT_TRUE(page_is(r + i * PS, 0));
	EXPECT_EQ(pages, vmo_counter("pages"));
	EXPECT_EQ(0, resident(s + 6 * PS, 26));
	slice = slice_of(fd, 30, 10);
	s = vmo_map(slice, 10, RW);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(-1, wrong_page(s, 2, 8, 0));
	ASSERT_EQ(0, write_page(fd, 34, 200));
	EXPECT_TRUE(page_is(s + 4 * PS, 200));
	EXPECT_TRUE(page_is(r + 34 * PS, 200));
	fill_page(s + 5 * PS, 201);
	EXPECT_TRUE(page_is(r + 35 * PS, 201));
	fill_page(r + 36 * PS, 202);
	EXPECT_TRUE(page_is(s + 6 * PS, 202));
	/* A snapshot of zeroes that are mapped everywhere stays zero. */
	ref = clone_of(slice, 0, 10, 0);
	fill_page(r + 37 * PS, 203);
	EXPECT_TRUE(page_is(s + 7 * PS, 203));
	EXPECT_EQ(-1, wrong_page_fd(ref, 7, 1, 0));
}

enum how { BY_DECOMMIT, BY_ZERO, BY_PUNCH, BY_MADVISE, HOWS };

/* Takes one page away through an object, or its mapping. */
static int take_away(enum how how, int fd, char *p, uint64_t index)
{
	switch (how) {
	case BY_DECOMMIT:
		return vmo_op(fd, VMO_OP_DECOMMIT, index * PS, PS);
	case BY_ZERO:
		return vmo_op(fd, VMO_OP_ZERO, index * PS, PS);
	case BY_PUNCH:
		return fallocate(fd, PUNCH, index * PS, PS);
	default:
		return madvise(p + index * PS, PS, MADV_REMOVE);
	}
}

TEST_F(vmo, mp4_mp5_through_one_object_for_all_mappings)
{
	/* Pages 4 to 7 are in all of them. */
	enum { OBJECT, REF, SLICE, NESTED, REF_OF_SLICE, OBJECTS };
	static const int base[OBJECTS] = { 0, 0, 2, 4, 2 };
	int fd[OBJECTS], snap;
	char *p[OBJECTS], *ro[OBJECTS], *c;	/* ro: they can never write the object */

	fd[OBJECT] = vmo_filled(self->dev, 12, 0, 100);
	fd[REF] = vmo_reference(fd[OBJECT], 0);
	fd[SLICE] = slice_of(fd[OBJECT], 2, 8);
	fd[NESTED] = slice_of(fd[SLICE], 2, 4);
	fd[REF_OF_SLICE] = vmo_reference(fd[SLICE], 0);
	for (int i = 0; i < OBJECTS; i++) {
		p[i] = vmo_map(fd[i], 12 - base[i], RW);
		ro[i] = vmo_map_at(vmo_reopen(fd[i], O_RDONLY), 0, 12 - base[i], RO,
				   i == REF ? MAP_PRIVATE : MAP_SHARED);
		ASSERT_NE(NULL, p[i]);
		ASSERT_NE(NULL, ro[i]);
	}
	for (int how = 0; how < HOWS; how++) {
		for (int by = 0; by < OBJECTS; by++) {
			fill_pages(p[OBJECT], 0, 12, 100);
			for (int i = 0; i < OBJECTS; i++) {	/* mapped everywhere */
				ASSERT_EQ(-1, wrong_page(p[i], 4 - base[i], 4, 100 + base[i]));
				ASSERT_EQ(-1, wrong_page(ro[i], 4 - base[i], 4, 100 + base[i]));
			}
			ASSERT_EQ(0, take_away(how, fd[by], p[by], 5 - base[by]))
				TH_LOG("how %d by %d", how, by);
			for (int i = 0; i < OBJECTS; i++) {
				EXPECT_TRUE(page_is(p[i] + (5 - base[i]) * PS, 0))
					TH_LOG("how %d by %d for %d", how, by, i);
				EXPECT_TRUE(page_is(ro[i] + (5 - base[i]) * PS, 0))
					TH_LOG("how %d by %d for %d, ro", how, by, i);
				EXPECT_TRUE(page_is(p[i] + (4 - base[i]) * PS, 104));
				EXPECT_EQ(-1, wrong_page(p[i], 6 - base[i], 2, 100 + base[i]));
			}
			EXPECT_EQ(11 * PS, info_of(fd[OBJECT]).committed_bytes);
			/* And what comes then is seen by all. */
			fill_page(p[by] + (5 - base[by]) * PS, 500);
			for (int i = 0; i < OBJECTS; i++) {
				EXPECT_TRUE(page_is(p[i] + (5 - base[i]) * PS, 500));
				EXPECT_TRUE(page_is(ro[i] + (5 - base[i]) * PS, 500));
			}
		}
	}
	/* A page that is copied moves in all mappings of the side that writes. */
	snap = clone_of(fd[NESTED], 0, 4, 0);
	c = vmo_map(snap, 4, RW);
	ASSERT_NE(NULL, c);
	EXPECT_TRUE(page_is(c + 2 * PS, 106));
	for (int i = 0; i < OBJECTS; i++) {
		EXPECT_TRUE(page_is(p[i] + (6 - base[i]) * PS, 106));
		EXPECT_TRUE(page_is(ro[i] + (6 - base[i]) * PS, 106));
	}
	fill_page(p[NESTED] + 2 * PS, 600);
	for (int i = 0; i < OBJECTS; i++) {
		EXPECT_TRUE(page_is(p[i] + (6 - base[i]) * PS, 600));
		EXPECT_TRUE(page_is(ro[i] + (6 - base[i]) * PS, 600));
	}
	EXPECT_TRUE(page_is(c + 2 * PS, 106));
	ASSERT_EQ(0, take_away(BY_ZERO, fd[REF], NULL, 6));
	EXPECT_TRUE(page_is(c + 2 * PS, 106));
}

/* ---- two references at once --------------------------------------------- */

struct sizer {
	int fd;
	uint64_t seed;
	uint64_t *go;
	uint64_t done;
	uint64_t failed;
};

enum { SIZER_ROUNDS = 60 };

static void *sizer_thread(void *arg)
{
	struct sizer *sizer = arg;
	char buf[16] = "0123456789abcde";

	for (int round = 0; round < SIZER_ROUNDS; round++) {
		wait_for(sizer->go, round + 1);
		for (int i = 0; i < 20; i++) {
			uint64_t at = mix(sizer->seed += 3) % (8 * PS);
			bool bad;

			switch (at % 4) {
			case 0:
				bad = ftruncate(sizer->fd, at);
				break;
			case 1:
				bad = vmo_set_size(sizer->fd, at);
				break;
			case 2:
				bad = pwrite(sizer->fd, buf, sizeof(buf), at) != sizeof(buf);
				break;
			default:
				bad = fallocate(sizer->fd, 0, at, 100);
			}
			sizer->failed += bad;
		}
		store(&sizer->done, round + 1);
	}
	return NULL;
}

TEST_F(vmo, f2_s2_sizes_stay_equal)
{
	int fd = vmo_new_flags(self->dev, 0, VMO_CREATE_RESIZABLE), third = vmo_reference(fd, 0);
	struct sizer sizer[2] = { };
	pthread_t thread[2];
	uint64_t go = 0;

	for (int i = 0; i < 2; i++) {
		sizer[i].fd = vmo_reference(fd, VMO_REFERENCE_RESIZABLE);
		sizer[i].seed = 77 + i;
		sizer[i].go = &go;
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, sizer_thread, &sizer[i]));
	}
	for (int round = 0; round < SIZER_ROUNDS; round++) {
		uint64_t size;

		store(&go, round + 1);
		for (int i = 0; i < 2; i++)
			wait_for(&sizer[i].done, round + 1);
		size = st_size(fd);
		EXPECT_EQ(size, st_size(third)) TH_LOG("round %d", round);
		EXPECT_EQ(size, st_size(sizer[0].fd)) TH_LOG("round %d", round);
		EXPECT_EQ(size, info_of(sizer[1].fd).content_size) TH_LOG("round %d", round);
		EXPECT_LE(size, info_of(third).size);
		EXPECT_EQ(info_of(third).size, info_of(fd).size);
		/* A new one starts with what all have. */
		if (round % 8 == 0) {
			int new = vmo_reference(third, 0);

			EXPECT_EQ(size, st_size(new));
			close(new);
		}
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, sizer[i].failed);
	}
}

TEST_HARNESS_MAIN
