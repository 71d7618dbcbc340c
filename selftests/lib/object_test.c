// SPDX-License-Identifier: GPL-2.0
/* Handles of libvmo: made, taken over, doubled, given up. */
#include "lib_test_util.h"
#include <malloc.h>
#include <sys/socket.h>

TEST_F(lib, create)
{
	struct vmo *vmo = vmo_create(self->dev, 3 * PS - 5,
				     VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC, "an object");
	struct vmo_info info;

	ASSERT_NE(NULL, vmo);
	EXPECT_CLOEXEC(vmo_fd(vmo));
	ASSERT_EQ(0, vmo_info(vmo, &info, sizeof(info)));
	EXPECT_EQ(3 * PS, info.size);
	EXPECT_EQ(3 * PS - 5, info.content_size);
	EXPECT_EQ(VMO_INFO_RESIZABLE | VMO_INFO_MAY_RESIZE | VMO_INFO_EXEC, info.flags);
	EXPECT_EQ(0, strcmp("an object", info.name));
	EXPECT_TRUE(holds(vmo, 0, 0));
	vmo_close(vmo);
}

/* The device is opened for the call, and closed again. */
TEST_F(lib, create_without_a_device)
{
	int before = count_fds();
	struct vmo *vmo = vmo_create(-1, PS, 0, NULL), *empty = vmo_create(-1, 0, 0, "");
	char name[VMO_NAME_SIZE] = "not this";

	ASSERT_NE(NULL, vmo);
	ASSERT_NE(NULL, empty);
	EXPECT_EQ(before + 2, count_fds());
	EXPECT_EQ(0, vmo_get_name(vmo, name));
	EXPECT_EQ(0, name[0]);
	EXPECT_EQ(0, vmo_size(empty));
	EXPECT_NONE(ERANGE, vmo_create(-1, MAX_SIZE + 1, 0, NULL));
	EXPECT_NONE(EINVAL, vmo_create(-1, PS, 1U << 31, NULL));
	EXPECT_EQ(before + 2, count_fds());
	vmo_close(vmo);
	vmo_close(empty);
}

TEST_F(lib, create_says_what_is_wrong)
{
	char name[VMO_NAME_SIZE + 1] = "";
	struct vmo *vmo;
	int fds[2];

	memset(name, 'n', VMO_NAME_SIZE);
	EXPECT_NONE(ENAMETOOLONG, vmo_create(self->dev, PS, 0, name));
	/* Before the device is looked at. */
	EXPECT_NONE(ENAMETOOLONG, vmo_create(-2, PS, 0, name));
	name[VMO_NAME_SIZE - 1] = 0;
	vmo = vmo_create(self->dev, PS, 0, name);
	ASSERT_NE(NULL, vmo);
	vmo_close(vmo);
	EXPECT_NONE(EINVAL, vmo_create(self->dev, PS, 0, "a\nb"));
	EXPECT_NONE(EINVAL, vmo_create(self->dev, PS, 1U << 31, NULL));
	EXPECT_NONE(ERANGE, vmo_create(self->dev, MAX_SIZE + 1, 0, NULL));
	EXPECT_NONE(EBADF, vmo_create(-2, PS, 0, NULL));
	ASSERT_EQ(0, pipe(fds));
	EXPECT_NONE(ENOTTY, vmo_create(fds[0], PS, 0, NULL));
	close(fds[0]);
	close(fds[1]);
}

/* As another process would hand it over. */
static int through_socket(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int sock[2], got = -1;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sock))
		return -1;
	if (sendmsg(sock[0], &msg, 0) == 1 && recvmsg(sock[1], &msg, MSG_CMSG_CLOEXEC) == 1)
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	close(sock[0]);
	close(sock[1]);
	return got;
}

TEST_F(lib, from_fd)
{
	struct vmo *vmo = new_pages(self->dev, 2), *other;
	int fd = through_socket(vmo_fd(vmo));

	ASSERT_LE(0, fd);
	other = vmo_from_fd(fd);
	ASSERT_NE(NULL, other);
	EXPECT_EQ(fd, vmo_fd(other));
	EXPECT_EQ(INFO(vmo, id), INFO(other, id));
	EXPECT_TRUE(fill(other, 1, 6));
	EXPECT_TRUE(holds(vmo, 1, 6));
	vmo_close(other);
	EXPECT_ERRNO(EBADF, fcntl(fd, F_GETFD));
	/* By a descriptor that may only be written, too. */
	other = reopened(vmo, O_WRONLY);
	EXPECT_NE(NULL, other);
	vmo_close(other);
	vmo_close(vmo);
}

TEST_F(lib, from_fd_takes_objects_only)
{
	struct vmo *vmo = new_pages(self->dev, 1);
	int pin = vmo_pin(vmo, 0, PS, VMO_PIN_READ);
	int memory = memfd_create("m", MFD_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int path = open("/dev/null", O_PATH | O_CLOEXEC);
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int other[] = { pin, memory, null, sock, self->dev };

	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		ASSERT_LE(0, other[i]);
		EXPECT_NONE(ENOTTY, vmo_from_fd(other[i]));
		EXPECT_LE(0, fcntl(other[i], F_GETFD));	/* still ours */
	}
	EXPECT_NONE(EBADF, vmo_from_fd(path));
	EXPECT_LE(0, fcntl(path, F_GETFD));
	EXPECT_NONE(EBADF, vmo_from_fd(-1));
	close(pin);
	close(memory);
	close(null);
	close(path);
	close(sock);
	vmo_close(vmo);
}

TEST_F(lib, dup)
{
	struct vmo *vmo = new_pages(self->dev, 1), *other = vmo_dup(vmo), *closed;
	rlim_t before;

	ASSERT_NE(NULL, other);
	EXPECT_NE(vmo_fd(vmo), vmo_fd(other));
	EXPECT_CLOEXEC(vmo_fd(other));
	EXPECT_EQ(INFO(vmo, id), INFO(other, id));
	EXPECT_TRUE(fill(vmo, 0, 9));
	vmo_close(vmo);
	EXPECT_TRUE(holds(other, 0, 9));
	before = no_more_fds();
	EXPECT_NONE(EMFILE, vmo_dup(other));
	more_fds(before);
	vmo_close(other);
	closed = new_closed(self->dev);
	EXPECT_NONE(EBADF, vmo_dup(closed));
	vmo_close(closed);
}

TEST_F(lib, into_fd_keeps_the_descriptor)
{
	struct vmo *vmo = new_pages(self->dev, 1);
	int fd = vmo_fd(vmo), into;

	errno = EXDEV;
	into = vmo_into_fd(vmo);
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(fd, into);
	EXPECT_EQ(0, write_page(fd, 0, 3));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 3));
	EXPECT_EQ(0, close(fd));
}

TEST_F(lib, close_keeps_errno_and_mappings)
{
	struct vmo *vmo = new_pages(self->dev, 1), *closed = new_closed(self->dev);
	char *p = vmo_map(vmo, 0, PS, RW);
	int fd = vmo_fd(vmo);

	ASSERT_NE(NULL, p);
	fill_page(p, 8);
	errno = EXDEV;
	vmo_close(NULL);
	vmo_close(vmo);
	EXPECT_EQ(EXDEV, errno);
	EXPECT_ERRNO(EBADF, fcntl(fd, F_GETFD));
	errno = EXDEV;
	vmo_close(closed);	/* close() fails, which is nobody's business */
	EXPECT_EQ(EXDEV, errno);
	EXPECT_TRUE(page_is(p, 8));
	munmap(p, PS);
}

static void come_and_go(int dev, const char *bad_name)
{
	struct vmo *vmo = vmo_create(dev, PS, 0, "name"), *child = vmo_snapshot(vmo);
	struct vmo *dup = vmo_dup(vmo);

	vmo_create(dev, PS, 0, bad_name);
	vmo_create(dev, MAX_SIZE + 1, 0, NULL);
	vmo_clone(vmo, 1, PS, VMO_CLONE_SNAPSHOT);
	vmo_slice(vmo, 0, 2 * PS, 0);
	vmo_reference(vmo, 1);
	vmo_from_fd(dev);
	vmo_close(dup);
	vmo_close(child);
	close(vmo_into_fd(vmo));
}

TEST_F(lib, no_memory_is_lost)
{
	size_t used;

	come_and_go(self->dev, "\n");
	used = mallinfo2().uordblks;
	for (int i = 0; i < 100; i++)
		come_and_go(self->dev, "\n");
	EXPECT_EQ(used, mallinfo2().uordblks);
}

struct dup_task {
	const struct vmo *vmo;
	uint64_t id;
	int wrong;
};

static void *dup_thread(void *arg)
{
	struct dup_task *task = arg;
	struct vmo *dup;

	for (int i = 0; i < 300; i++) {
		dup = vmo_dup(task->vmo);
		if (!dup || INFO(dup, id) != task->id)
			task->wrong++;
		vmo_close(dup);
	}
	return NULL;
}

TEST_F(lib, threads_dup_one_handle)
{
	struct vmo *vmo = new_pages(self->dev, 1);
	struct dup_task task[3];
	pthread_t thread[3];

	for (int i = 0; i < 3; i++) {
		task[i] = (struct dup_task) { vmo, INFO(vmo, id), 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, dup_thread, &task[i]));
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, task[i].wrong);
	}
	vmo_close(vmo);
}

TEST_HARNESS_MAIN
