// SPDX-License-Identifier: GPL-2.0
#include "lib_test_util.h"

/**
 * struct told - what the callback has seen
 * @vmo: the object
 * @from: another one, of bytes
 * @requests: how many
 * @fail: refuse them
 */
struct told {
	struct vmo *vmo;
	struct vmo *from;
	int requests;
	bool fail;
};

static int answer(int binding, const struct vmo_pager_request *request, void *arg)
{
	struct told *t = arg;

	if (request->type == VMO_REQUEST_COMPLETE)
		return request->key == 7 ? 3 : 4;
	t->requests++;
	if (t->fail)
		return vmo_pager_fail(binding, t->vmo, request->offset, request->length, ENOSPC);
	return vmo_pager_supply(binding, t->vmo, request->offset, t->from, request->offset,
				request->length);
}

TEST_F(lib, pager)
{
	int pager = vmo_pager_new(self->dev, NULL), binding = vmo_pager_bind(pager);
	struct told t = { .from = new_pages(self->dev, 4) };
	uint64_t offset = 0, length = 4 * PS;
	struct vmo_page_run runs[2];
	char buf[5] = "";
	pid_t pid;
	int status;

	ASSERT_LE(0, binding);
	EXPECT_CLOEXEC(pager);
	EXPECT_CLOEXEC(binding);
	EXPECT_ERRNO(EBUSY, vmo_pager_bind(pager));
	t.vmo = vmo_create_paged(self->dev, pager, 7, 4 * PS, VMO_CREATE_RESIZABLE, "paged");
	ASSERT_NE(NULL, t.vmo);
	ASSERT_EQ(5, vmo_write(t.from, "there", 5, PS + 9, 0));
	pid = fork();
	if (!pid)
		_exit(vmo_pager_serve(binding, answer, &t) == 3 && t.requests == 1 ? 0 : 1);
	EXPECT_EQ(5, vmo_read(t.vmo, buf, 5, PS + 9, 0));
	EXPECT_EQ(0, memcmp(buf, "there", 5));
	ASSERT_EQ(1, vmo_write(t.vmo, "w", 1, PS, 0));
	ASSERT_EQ(1, vmo_pager_dirty_ranges(pager, t.vmo, &offset, &length, runs, 2));
	EXPECT_EQ(PS, runs[0].offset);
	EXPECT_EQ(PS, runs[0].length);
	EXPECT_EQ(4 * PS, offset);
	EXPECT_EQ(0, length);
	EXPECT_EQ(0, vmo_pager_writeback(pager, t.vmo, 0, 4 * PS, VMO_PAGER_BEGIN));
	EXPECT_EQ(0, vmo_pager_writeback(binding, t.vmo, 0, 4 * PS, VMO_PAGER_END));
	offset = 0;
	length = 4 * PS;
	EXPECT_EQ(0, vmo_pager_dirty_ranges(pager, t.vmo, &offset, &length, runs, 2));
	EXPECT_ERRNO(EINVAL, vmo_pager_writeback(pager, t.vmo, 0, PS, 0));
	EXPECT_ERRNO(EINVAL, vmo_pager_dirty_ranges(pager, t.vmo, &offset, &length, runs, 0));
	EXPECT_EQ(0, vmo_pager_detach(pager, t.vmo));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	vmo_close(t.vmo);
	vmo_close(t.from);
	close(binding);
	close(pager);
}

TEST_F(lib, pager_errors)
{
	struct vmo_pager_create limits = {
		.flags = VMO_PAGER_LIMITS, .rebind_ms = 1000, .report_ms = 1000,
		.timeout_ms = 5000, .window = PS,
	};
	int pager = vmo_pager_new(-1, &limits), binding = vmo_pager_bind(pager), status;
	struct told t = { .fail = true };
	struct vmo_pager_request request;
	char name[VMO_NAME_SIZE + 1] = "", c;
	pid_t pid;

	ASSERT_LE(0, binding);
	limits.window = 0;
	EXPECT_ERRNO(EINVAL, vmo_pager_new(self->dev, &limits));
	EXPECT_NONE(EINVAL, vmo_create_paged(self->dev, binding, 7, PS, 0, NULL));
	EXPECT_NONE(EBADF, vmo_create_paged(-1, -1, 7, PS, 0, NULL));
	memset(name, 'n', VMO_NAME_SIZE);
	EXPECT_NONE(ENAMETOOLONG, vmo_create_paged(-1, pager, 7, PS, 0, name));
	t.vmo = vmo_create_paged(-1, pager, 7, 2 * PS, 0, NULL);
	ASSERT_NE(NULL, t.vmo);
	ASSERT_EQ(0, fcntl(binding, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(EAGAIN, vmo_pager_next(binding, &request, 1));
	EXPECT_ERRNO(EINVAL, vmo_pager_next(binding, &request, 0));
	ASSERT_EQ(0, fcntl(binding, F_SETFL, 0));
	pid = fork();
	if (!pid)
		_exit(vmo_pager_serve(binding, answer, &t) == 3 ? 0 : 1);
	EXPECT_ERRNO(ENOSPC, vmo_read(t.vmo, &c, 1, 0, 0));
	EXPECT_ERRNO(EINVAL, vmo_pager_fail(pager, t.vmo, 0, PS, EPERM));
	EXPECT_ERRNO(EINVAL, vmo_pager_supply(pager, t.vmo, 1, t.vmo, 0, PS));
	EXPECT_EQ(0, vmo_pager_detach(pager, t.vmo));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	vmo_close(t.vmo);
	close(pager);
	EXPECT_ERRNO(EBADFD, vmo_pager_serve(binding, answer, &t));
	close(binding);
}

/* One test for both lanes. */
struct laned {
	struct vmo *vmo;
	struct vmo *from;
	int dirties;
	int syncs;
	int fails;
};

static int answer_lane(struct vmo_lane *lane, const struct vmo_pager_request *request, void *arg)
{
	struct laned *t = arg;

	switch (request->type) {
	case VMO_REQUEST_READ:
		if (request->offset == 3 * PS)
			return vmo_lane_fail(lane, t->vmo, 3 * PS, PS, t->fails++ ? EIO : ENOSPC);
		return vmo_lane_supply(lane, t->vmo, request->offset, t->from, request->offset,
				       request->length);
	case VMO_REQUEST_DIRTY:
		t->dirties++;
		return vmo_lane_dirty(lane, t->vmo, request->offset, request->length);
	case VMO_REQUEST_SYNC:
		t->syncs++;
		if (vmo_lane_writeback(lane, t->vmo, 0, 4 * PS, VMO_PAGER_BEGIN))
			return 5;
		return vmo_lane_writeback(lane, t->vmo, 0, 4 * PS, VMO_PAGER_END);
	}
	return request->key == 9 && t->dirties && t->syncs == 1 && t->fails == 2 ? 3 : 4;
}

static void serve_a_lane(struct __test_metadata *_metadata, int dev, unsigned int flags)
{
	struct laned t = { .from = new_pages(dev, 4) };
	int pager = vmo_pager_new(dev, NULL), status;
	struct vmo_pager_request request;
	struct vmo_lane *lane;
	char buf[5] = "", c;
	pid_t pid;

	t.vmo = vmo_create_paged(dev, pager, 9, 4 * PS, VMO_CREATE_TRAP_DIRTY, NULL);
	ASSERT_NE(NULL, t.vmo);
	ASSERT_EQ(5, vmo_write(t.from, "there", 5, PS, 0));
	EXPECT_NONE(EINVAL, vmo_lane_open(pager, 2));
	EXPECT_NONE(EBADF, vmo_lane_open(999, flags));
	lane = vmo_lane_open(pager, flags);
	ASSERT_NE(NULL, lane);
	EXPECT_CLOEXEC(vmo_lane_fd(lane));
	EXPECT_NONE(EBUSY, vmo_lane_open(pager, flags));
	EXPECT_EQ(0, vmo_lane_next(lane, &request, 1, 0));
	EXPECT_EQ(0, vmo_lane_next(lane, &request, 1, 20));
	EXPECT_ERRNO(EINVAL, vmo_lane_next(lane, &request, 0, 0));
	EXPECT_ERRNO(EINVAL, vmo_lane_fail(lane, t.vmo, 0, PS, EPERM));
	EXPECT_ERRNO(EINVAL, vmo_lane_writeback(lane, t.vmo, 0, PS, 0));
	EXPECT_ERRNO(ENOENT, vmo_lane_dirty(lane, t.vmo, 0, PS));
	EXPECT_ERRNO(EINVAL, vmo_lane_detach(lane, t.from));
	vmo_lane_close(lane);
	pid = fork();
	if (!pid) {
		lane = vmo_lane_open(pager, flags);
		_exit(lane ? vmo_lane_serve(lane, answer_lane, &t) : 1);
	}
	EXPECT_EQ(5, vmo_read(t.vmo, buf, 5, PS, 0));
	EXPECT_EQ(0, memcmp(buf, "there", 5));
	EXPECT_EQ(1, vmo_write(t.vmo, "w", 1, 0, 0));
	EXPECT_ERRNO(ENOSPC, vmo_read(t.vmo, &c, 1, 3 * PS, 0));
	EXPECT_ERRNO(EIO, vmo_read(t.vmo, &c, 1, 3 * PS, 0));
	EXPECT_EQ(0, fsync(vmo_fd(t.vmo)));
	EXPECT_EQ(0, vmo_pager_detach(pager, t.vmo));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(3, WEXITSTATUS(status));
	vmo_close(t.vmo);
	vmo_close(t.from);
	/* Whoever was told that it is complete did not come back for more. */
	lane = vmo_lane_open(pager, flags);
	ASSERT_NE(NULL, lane);
	EXPECT_EQ(1, vmo_lane_next(lane, &request, 1, 20));
	EXPECT_EQ(VMO_REQUEST_COMPLETE, request.type);
	EXPECT_EQ(0, vmo_lane_next(lane, &request, 1, 20));
	vmo_lane_close(lane);
	vmo_lane_close(NULL);
	close(pager);
}

TEST_F(lib, lane_binding)
{
	serve_a_lane(_metadata, self->dev, 0);
}

TEST_F(lib, lane_netlink)
{
	serve_a_lane(_metadata, self->dev, VMO_LANE_NETLINK);
}

TEST_HARNESS_MAIN
