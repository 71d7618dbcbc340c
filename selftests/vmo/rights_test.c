// SPDX-License-Identifier: GPL-2.0
/*
 * What a descriptor may: every right with every call that needs it, for all kinds of
 * objects; the errors of VMO_RESTRICT; what children get.
 */
#define VMO_FIXTURE
#define VMO_FIXTURE_FDS
#include "kselftest_harness.h"
#include "rights_util.h"

static void try_calls(struct __test_metadata *_metadata, const struct target *t, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int want = expected(calls[i].needs, t->rights), got;
		struct vmo_info before;

		if (!applies(i, t))
			continue;
		ASSERT_EQ(0, vmo_stat(t->all, &before));
		errno = 0;
		got = calls[i].call(t, calls[i].how);
		EXPECT_EQ(want, got)
			TH_LOG("%s of %s, rights %02x", calls[i].name, kind, t->rights);
		if (want && want != SHORT)
			EXPECT_TRUE(unchanged(t->all, &before))
				TH_LOG("%s of %s, rights %02x, changed it", calls[i].name, kind,
				       t->rights);
	}
}

/* R1: whatever is asked of whatever kind with whatever rights. */
TEST_F_TIMEOUT(vmo, r1_r2_r3_every_right_and_every_call, 300)
{
	for (const struct kind *kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		struct target t = {
			.all = make_kind(self->dev, kind), .other = vmo_new(self->dev, SIZE),
			.clone = kind->make == MAKE_CLONE,
		};
		uint32_t rights = kind->rights;

		ASSERT_LE(0, t.all) TH_LOG("%s: %s", kind->name, strerror(errno));
		ASSERT_LE(0, t.other);
		ASSERT_EQ(1, pwrite(t.other, "c", 1, 0));
		ASSERT_EQ(kind->rights, rights_of(t.all)) TH_LOG("%s", kind->name);
		t.resizable = kind->rights & RESIZE;
		do {
			t.rights = rights;
			t.fd = limited(t.all, rights);
			ASSERT_LE(0, t.fd) TH_LOG("%s, %02x: %s", kind->name, rights,
						  strerror(errno));
			EXPECT_EQ(access_mode(rights), fcntl(t.fd, F_GETFL) & O_ACCMODE);
			EXPECT_EQ(FD_CLOEXEC, fcntl(t.fd, F_GETFD));
			try_calls(_metadata, &t, kind->name);
			close(t.fd);
			rights = (rights - 1) & kind->rights;
		} while (rights != kind->rights);
		close(t.other);
		close(t.all);
	}
}

/* What the access mode of a reopened descriptor does not have is not there. */
TEST_F(vmo, r1_the_access_mode_is_part_of_the_rights)
{
	int all = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC);
	int ro = vmo_reopen(all, O_RDONLY), wo = vmo_reopen(all, O_WRONLY);
	struct target t = { .all = all, .other = vmo_new(self->dev, SIZE), .resizable = true };

	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	ASSERT_EQ(1, pwrite(all, "c", 1, 0));
	ASSERT_EQ(1, pwrite(t.other, "c", 1, 0));
	t.fd = ro;
	t.rights = ALL & ~WRITE;
	EXPECT_ERRNO(EACCES, limited(ro, ALL));
	EXPECT_EQ(0, do_info(&t, 0));
	t.fd = wo;
	t.rights = ALL & ~READ;
	EXPECT_EQ(0, do_info(&t, 0));
	EXPECT_ERRNO(EACCES, limited(wo, READ));
	/* What those make is no better, whatever the object could. */
	t.fd = limited(ro, ALL & ~WRITE);
	t.rights = ALL & ~WRITE;
	ASSERT_LE(0, t.fd);
	try_calls(_metadata, &t, "one of a reader");
	close(t.fd);
	t.fd = limited(wo, ALL & ~READ);
	t.rights = ALL & ~READ;
	ASSERT_LE(0, t.fd);
	try_calls(_metadata, &t, "one of a writer");
	close(t.fd);
	close(t.other);
	close(ro);
	close(wo);
	close(all);
}

/* One memory, another descriptor: what it lacks does not come back with what it makes. */
TEST_F(vmo, r1_restricting_again_only_takes)
{
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC);
	uint32_t rights = ALL;

	ASSERT_LE(0, fd);
	for (int bit = 0; bit < 8; bit++) {
		int less = limited(fd, rights & ~(1U << bit));

		ASSERT_LE(0, less);
		rights &= ~(1U << bit);
		for (int other = 0; other < 8; other++) {
			int err = outcome_fd(limited(less, 1U << other));

			EXPECT_EQ(rights >> other & 1 ? 0 : EACCES, err);
		}
		EXPECT_ERRNO(EACCES, limited(less, ALL));
		EXPECT_EQ(rights, rights_of(less));
		close(fd);
		fd = less;
	}
	EXPECT_EQ(0, rights);
	close(fd);
}

/* ---- errors of VMO_RESTRICT -------------------------------------------- */

TEST_F(vmo, r1_order_of_errors)
{
	int fd = vmo_new(self->dev, SIZE), none = limited(fd, 0);
	const unsigned int nr = _IOC_NR(VMO_RESTRICT);
	struct { struct vmo_restrict arg; uint64_t tail; } buf;
	struct vmo_restrict *arg = &buf.arg;
	const uint32_t unknown = 1U << 31;

	ASSERT_LE(0, none);
	/* The size, though all the rest is wrong, too. */
	for (size_t size = 0; size < sizeof(*arg); size++)
		EXPECT_ERRNO(EINVAL, ioctl(none, _IOC(3, VMO_IOC, nr, size), NULL));
	EXPECT_ERRNO(EFAULT, ioctl(none, VMO_RESTRICT, NULL));
	memset(&buf, 0xff, sizeof(buf));
	EXPECT_ERRNO(E2BIG, ioctl(none, _IOC(3, VMO_IOC, nr, sizeof(buf)), &buf));
	/* No access mode is asked for; flags, reserved, unknown rights, missing ones. */
	for (int bit = 0; bit < 32; bit++) {
		*arg = (struct vmo_restrict) { .rights = READ, .flags = 1U << bit, .fd = -7 };
		EXPECT_ERRNO(EINVAL, ioctl(none, VMO_RESTRICT, arg));
		*arg = (struct vmo_restrict) { .rights = READ, .reserved = 1U << bit, .fd = -7 };
		EXPECT_ERRNO(EINVAL, ioctl(none, VMO_RESTRICT, arg));
		*arg = (struct vmo_restrict) { .rights = READ | 1U << bit, .fd = -7 };
		EXPECT_ERRNO(bit < 8 ? EACCES : EINVAL, ioctl(none, VMO_RESTRICT, arg));
		EXPECT_EQ(-7, arg->fd);
		*arg = (struct vmo_restrict) { .rights = 1U << bit, .fd = -7 };
		EXPECT_EQ(bit > 7 ? EINVAL : USUAL >> bit & 1 ? 0 : EACCES,
			  outcome_fd(ioctl(fd, VMO_RESTRICT, arg) ? -1 : arg->fd))
			TH_LOG("right %d", bit);
	}
	*arg = (struct vmo_restrict) { .rights = unknown | EXEC };
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_RESTRICT, arg));
	EXPECT_ERRNO(ENOTTY, limited(self->dev, 0));
	close(none);
	close(fd);
}

/* Right 0: nothing but what any descriptor can. */
TEST_F(vmo, r1_no_right_at_all)
{
	int fd = vmo_new(self->dev, SIZE), none = limited(fd, 0);
	struct vmo_info info, its;
	char c;

	ASSERT_LE(0, none);
	EXPECT_EQ(O_ACCMODE, fcntl(none, F_GETFL) & O_ACCMODE);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	ASSERT_EQ(0, vmo_stat(none, &its));
	EXPECT_EQ(0, its.rights);
	its.rights = info.rights;
	EXPECT_EQ(0, memcmp(&info, &its, sizeof(its)));
	EXPECT_ERRNO(EBADF, read(none, &c, 1));
	EXPECT_ERRNO(EBADF, write(none, &c, 1));
	EXPECT_EQ(SIZE, (size_t)lseek(none, 0, SEEK_END));
	EXPECT_ERRNO(EACCES, vmo_reopen(none, O_RDONLY));
	EXPECT_ERRNO(EACCES, vmo_reopen(none, O_WRONLY));
	/* It holds the object. */
	close(fd);
	ASSERT_EQ(0, vmo_stat(none, &its));
	EXPECT_EQ(info.id, its.id);
	close(none);
}

/* ---- R2: children ------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned int num;
	uint32_t flags;
	uint32_t plus;
	uint32_t minus;
} children[] = {
	{ "clone", VMO_CLONE, VMO_CLONE_SNAPSHOT, WRITE, EXEC },
	{ "at least on write", VMO_CLONE, VMO_CLONE_AT_LEAST_ON_WRITE, WRITE, EXEC },
	{ "modified", VMO_CLONE, VMO_CLONE_MODIFIED, WRITE, EXEC },
	{ "clone no write", VMO_CLONE, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE, 0, WRITE },
	{ "modified no write", VMO_CLONE, VMO_CLONE_MODIFIED | VMO_CLONE_NO_WRITE, 0, WRITE },
	{ "clone resizable", VMO_CLONE, VMO_CLONE_SNAPSHOT | VMO_CLONE_RESIZABLE, WRITE | RESIZE,
	  EXEC },
	{ "clone longterm", VMO_CLONE, VMO_CLONE_SNAPSHOT | VMO_CLONE_LONGTERM, WRITE, EXEC },
	{ "reference", VMO_REFERENCE, 0, 0, 0 },
	{ "reference no write", VMO_REFERENCE, VMO_REFERENCE_NO_WRITE, 0, WRITE },
	{ "reference resizable", VMO_REFERENCE, VMO_REFERENCE_RESIZABLE, RESIZE, 0 },
	{ "slice", VMO_SLICE, 0, 0, 0 },
	{ "slice no write", VMO_SLICE, VMO_SLICE_NO_WRITE, 0, WRITE },
};

static int child_of(int fd, unsigned int num, uint32_t flags)
{
	/* These three have one layout. */
	struct vmo_clone arg = { .flags = flags, .fd = -1 };

	if (num != VMO_REFERENCE)
		arg.size = SIZE;
	return ioctl(fd, num, &arg) ? -1 : arg.fd;
}

/* What a child says it may, and that it is so. */
static void try_child(struct __test_metadata *_metadata, int child, uint32_t rights,
		      const char *name)
{
	char *p = vmo_map(child, 1, RO);

	EXPECT_EQ(rights, rights_of(child)) TH_LOG("%s", name);
	EXPECT_EQ(access_mode(rights), fcntl(child, F_GETFL) & O_ACCMODE) TH_LOG("%s", name);
	EXPECT_EQ(!!(rights & MAP), !!p) TH_LOG("map, %s %02x", name, rights);
	if (p)
		munmap(p, PS);
	EXPECT_EQ(rights & PIN ? 0 : EACCES, outcome_fd(vmo_pin_flags(child, 0, PS, VMO_PIN_READ)));
	EXPECT_EQ(rights & CHILD ? 0 : EACCES, outcome_fd(vmo_reference(child, 0)));
	EXPECT_EQ(rights & WRITE ? 0 : EACCES, outcome(vmo_op(child, VMO_OP_ZERO, 0, PS)));
	EXPECT_EQ(rights & WRITE ? 0 : EACCES, outcome_fd(vmo_reopen(child, O_RDWR)));
	EXPECT_EQ(0, outcome_fd(vmo_reopen(child, O_RDONLY)));
	EXPECT_EQ(rights == ALL ? 0 : EACCES, outcome_fd(limited(child, ALL)));
}

TEST_F_TIMEOUT(vmo, r2_rights_of_children, 300)
{
	int fixed = vmo_new_flags(self->dev, SIZE, VMO_CREATE_EXEC);
	int resizable = vmo_new_flags(self->dev, SIZE, VMO_CREATE_EXEC | VMO_CREATE_RESIZABLE);

	ASSERT_LE(0, fixed);
	ASSERT_LE(0, resizable);
	for (uint32_t rights = 0; rights <= ALL; rights++) {
		for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
			bool slice = children[i].num == VMO_SLICE;
			uint32_t own = slice ? rights & ~RESIZE : rights;
			int less = limited(slice ? fixed : resizable, own), child;
			uint32_t want = ((own & ~RESIZE) | NAME | children[i].plus) &
					~children[i].minus;

			ASSERT_LE(0, less);
			child = child_of(less, children[i].num, children[i].flags);
			close(less);
			if ((own & (READ | CHILD)) != (READ | CHILD)) {
				EXPECT_EQ(-1, child);
				continue;
			}
			if (children[i].num == VMO_REFERENCE && children[i].plus &&
			    (own & (RESIZE | WRITE)) != (RESIZE | WRITE)) {
				EXPECT_EQ(-1, child);
				continue;
			}
			ASSERT_LE(0, child) TH_LOG("%s of %02x: %s", children[i].name, own,
						   strerror(errno));
			try_child(_metadata, child, want, children[i].name);
			close(child);
		}
	}
	close(fixed);
	close(resizable);
}

/* Grandchildren: what was taken once stays away, but what clones give. */
TEST_F(vmo, r2_rights_of_grandchildren)
{
	const uint32_t start = READ | CHILD | EXEC;
	int fd = vmo_new_flags(self->dev, SIZE, VMO_CREATE_EXEC), less = limited(fd, start);
	int frozen = child_of(less, VMO_CLONE, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE);
	int slice = child_of(frozen, VMO_SLICE, 0), reference = child_of(slice, VMO_REFERENCE, 0);
	int clone = child_of(reference, VMO_CLONE, VMO_CLONE_SNAPSHOT);
	int again = child_of(clone, VMO_CLONE, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE);

	ASSERT_LE(0, again);
	EXPECT_EQ(start | NAME, rights_of(frozen));
	EXPECT_EQ(start | NAME, rights_of(slice));
	EXPECT_EQ(start | NAME, rights_of(reference));
	EXPECT_EQ(READ | WRITE | CHILD | NAME, rights_of(clone));
	EXPECT_EQ(READ | CHILD | NAME, rights_of(again));
	close(again);
	close(clone);
	close(reference);
	close(slice);
	close(frozen);
	close(less);
	close(fd);
}

TEST_F(vmo, r1_the_feature_is_told)
{
	struct vmo_probe probe;

	ASSERT_EQ(0, ioctl(self->dev, VMO_PROBE, &probe));
	EXPECT_TRUE(probe.features & VMO_FEATURE_RIGHTS);
}

TEST_HARNESS_MAIN

