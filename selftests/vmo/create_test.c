// SPDX-License-Identifier: GPL-2.0
/* Creating objects, and the encoding of all commands. */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <sys/resource.h>

TEST_F(vmo, abi_probe)
{
	struct vmo_probe probe;

	memset(&probe, 0xaa, sizeof(probe));
	ASSERT_EQ(0, ioctl(self->dev, VMO_PROBE, &probe));
	EXPECT_EQ(VMO_ABI_VERSION, probe.abi);
	EXPECT_EQ(PS, probe.page_size);
	EXPECT_EQ(VMO_FEATURE_SNAPSHOT, probe.features & VMO_FEATURE_SNAPSHOT);
	EXPECT_EQ(MAX_SIZE, probe.max_size);
}

TEST_F(vmo, abi_read_only_device_only_probes)
{
	int dev = open("/dev/vmo", O_RDONLY | O_CLOEXEC);
	struct vmo_probe probe;

	ASSERT_LE(0, dev);
	EXPECT_EQ(0, ioctl(dev, VMO_PROBE, &probe));
	EXPECT_EQ(MAX_SIZE, probe.max_size);
	EXPECT_ERRNO(EACCES, vmo_new(dev, PS));
	close(dev);
	EXPECT_EQ(self->fds, count_fds());
}

TEST_F(vmo, c2_sizes)
{
	const uint64_t sizes[] = {
		0, 1, PS - 1, PS, PS + 1, 1 << 20, 123456789, 1ULL << 40, MAX_SIZE - 1, MAX_SIZE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fd = vmo_new(self->dev, sizes[i]);
		struct vmo_info info;
		struct stat st;

		ASSERT_LE(0, fd) TH_LOG("size %llu", (unsigned long long)sizes[i]);
		ASSERT_EQ(0, vmo_stat(fd, &info));
		EXPECT_EQ((sizes[i] + PS - 1) / PS * PS, info.size);
		EXPECT_EQ(sizes[i], info.content_size);
		EXPECT_EQ(0, info.parent_id);
		EXPECT_EQ(0, info.committed_bytes);
		EXPECT_EQ(0, info.private_bytes);
		EXPECT_EQ(0, info.shared_bytes);
		EXPECT_EQ(0, info.scaled_bytes);
		EXPECT_EQ(0, info.children);
		EXPECT_EQ(0, info.flags);
		ASSERT_EQ(0, fstat(fd, &st));
		EXPECT_EQ(sizes[i], (uint64_t)st.st_size);
		EXPECT_TRUE(S_ISREG(st.st_mode));
		close(fd);
	}
}

TEST_F(vmo, c2_too_large)
{
	const uint64_t sizes[] = {
		MAX_SIZE + 1, MAX_SIZE + PS, 1ULL << 63, -PS, -PS + 1, -1ULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		EXPECT_ERRNO(ERANGE, vmo_new(self->dev, sizes[i]));
	EXPECT_EQ(self->fds, count_fds());
}

TEST_F(vmo, c2_empty_object)
{
	int fd = vmo_new(self->dev, 0);
	char c = 'x', *p;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, read(fd, &c, 1));
	EXPECT_ERRNO(ENOSPC, write(fd, &c, 1));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 0));
	EXPECT_ERRNO(ERANGE, vmo_op(fd, VMO_OP_COMMIT, 0, 1));
	p = vmo_map(fd, 1, RW);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(SIGBUS, touch(p, false));
	EXPECT_EQ(SIGBUS, touch(p, true));
	munmap(p, PS);
	close(fd);
}

TEST_F(vmo, c1_flags)
{
	for (int bit = 0; bit < 32; bit++) {
		struct vmo_create arg = { .size = PS, .flags = 1U << bit, .fd = -1 };

		if (arg.flags & (VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC | VMO_CREATE_LONGTERM)) {
			EXPECT_EQ(0, ioctl(self->dev, VMO_CREATE, &arg));
			EXPECT_EQ(0, close(arg.fd));
		} else {
			EXPECT_ERRNO(EINVAL, ioctl(self->dev, VMO_CREATE, &arg));
		}
	}
	EXPECT_EQ(self->fds, count_fds());
}

TEST_F(vmo, abi_cloexec_and_access)
{
	int fd = vmo_new(self->dev, PS), child = vmo_snap(fd);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, child);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(child, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_RDWR, fcntl(child, F_GETFL) & O_ACCMODE);
	close(child);
	close(fd);
	EXPECT_EQ(self->fds, count_fds());
}

TEST_F(vmo, abi_ids_and_inodes_are_unique)
{
	struct stat st, last_st = { .st_ino = 0 };
	struct vmo_info info;
	uint64_t last = 0;

	for (int i = 0; i < 100; i++) {
		int fd = vmo_new(self->dev, PS), child = vmo_snap(fd);
		struct vmo_info child_info;

		ASSERT_LE(0, fd);
		ASSERT_LE(0, child);
		ASSERT_EQ(0, vmo_stat(fd, &info));
		ASSERT_EQ(0, vmo_stat(child, &child_info));
		EXPECT_NE(0, info.id);
		EXPECT_NE(info.id, child_info.id);
		EXPECT_NE(last, info.id);
		last = info.id;
		ASSERT_EQ(0, fstat(fd, &st));
		ASSERT_EQ(0, fstat(child, &last_st));
		EXPECT_NE(st.st_ino, last_st.st_ino);
		close(child);
		close(fd);
	}
}

/* One row for each command: where it works and an argument that it accepts. */
struct command {
	const char *name;
	unsigned int nr;
	size_t min_size;
	size_t size;
	bool on_dev;
	bool makes_fd;
};

#define COMMAND(_cmd, _struct, _last, _on_dev, _makes_fd) \
	{ #_cmd, _IOC_NR(_cmd), offsetof(struct _struct, _last) + \
	  sizeof(((struct _struct *)0)->_last), sizeof(struct _struct), _on_dev, _makes_fd }

/* But VMO_RESIZE, which this object refuses, VMO_TRANSFER, VMO_DIFF, VMO_REWIND. */
static const struct command commands[] = {
	COMMAND(VMO_PROBE, vmo_probe, max_size, true, false),
	COMMAND(VMO_CREATE, vmo_create, fd, true, true),
	COMMAND(VMO_CLONE, vmo_clone, fd, false, true),
	COMMAND(VMO_OP_RANGE, vmo_op_range, length, false, false),
	COMMAND(VMO_INFO, vmo_info, flags, false, false),
	COMMAND(VMO_SLICE, vmo_slice, fd, false, true),
	COMMAND(VMO_REFERENCE, vmo_reference, fd, false, true),
	COMMAND(VMO_PIN, vmo_pin, fd, false, true),
	COMMAND(VMO_NAME, vmo_name, name, false, false),
	COMMAND(VMO_READ, vmo_rw, actual, false, false),
	COMMAND(VMO_WRITE, vmo_rw, actual, false, false),
	COMMAND(VMO_RESTRICT, vmo_restrict, reserved, false, true),
	COMMAND(VMO_HARVESTER, vmo_harvester, fd, false, true),
	COMMAND(VMO_PAGES, vmo_pages, flags, false, false),
	COMMAND(VMO_LOOKUP, vmo_lookup, flags, false, false),
	COMMAND(VMO_USAGE, vmo_usage, metadata_bytes, false, false),
	COMMAND(VMO_STATS, vmo_stats, usage_misses, true, false),
	COMMAND(VMO_PAGER_CREATE, vmo_pager_create, window, true, true),
};

static struct vmo_page_run the_run;
static struct vmo_lookup_entry the_entry;

static void good_argument(const struct command *cmd, void *buf, size_t size)
{
	memset(buf, 0, size);
	if (cmd->nr == _IOC_NR(VMO_CREATE))
		((struct vmo_create *)buf)->size = PS;
	if (cmd->nr == _IOC_NR(VMO_CLONE)) {
		((struct vmo_clone *)buf)->size = PS;
		((struct vmo_clone *)buf)->flags = VMO_CLONE_SNAPSHOT;
	}
	if (cmd->nr == _IOC_NR(VMO_SLICE))
		((struct vmo_slice *)buf)->size = PS;
	if (cmd->nr == _IOC_NR(VMO_PIN)) {
		((struct vmo_pin *)buf)->length = PS;
		((struct vmo_pin *)buf)->flags = VMO_PIN_READ;
	}
	if (cmd->nr == _IOC_NR(VMO_OP_RANGE)) {
		((struct vmo_op_range *)buf)->op = VMO_OP_COMMIT;
		((struct vmo_op_range *)buf)->length = PS;
	}
	if (cmd->nr == _IOC_NR(VMO_PAGES)) {
		((struct vmo_pages *)buf)->runs = (uintptr_t)&the_run;
		((struct vmo_pages *)buf)->count = 1;
	}
	if (cmd->nr == _IOC_NR(VMO_LOOKUP)) {
		((struct vmo_lookup *)buf)->length = PS;
		((struct vmo_lookup *)buf)->entries = (uintptr_t)&the_entry;
		((struct vmo_lookup *)buf)->count = 1;
	}
}

static int made_fd(const struct command *cmd, const void *buf)
{
	if (cmd->nr == _IOC_NR(VMO_CREATE))
		return ((const struct vmo_create *)buf)->fd;
	if (cmd->nr == _IOC_NR(VMO_RESTRICT))
		return ((const struct vmo_restrict *)buf)->fd;
	return ((const struct vmo_clone *)buf)->fd;
}

static int call(const struct command *cmd, int dev, int fd, size_t size, void *arg)
{
	return ioctl(cmd->on_dev ? dev : fd,
		     _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, cmd->nr, size), arg);
}

TEST_F(vmo, abi_structure_sizes)
{
	static uint64_t words[2048];
	const size_t longest = 16383;	/* what the number can tell */
	int fd = vmo_new(self->dev, PS);
	char *buf = (char *)words;

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *cmd = &commands[i];
		const size_t good[] = { cmd->size, cmd->size + 1, cmd->size + 8, PS, longest };

		for (size_t size = 0; size < cmd->min_size; size++) {
			good_argument(cmd, buf, sizeof(words));
			EXPECT_ERRNO(EINVAL, call(cmd, self->dev, fd, size, buf));
		}
		for (size_t j = 0; j < ARRAY_SIZE(good); j++) {
			good_argument(cmd, buf, sizeof(words));
			EXPECT_EQ(0, call(cmd, self->dev, fd, good[j], buf))
				TH_LOG("%s, %zu bytes, zero tail", cmd->name, good[j]);
			if (cmd->makes_fd)
				EXPECT_EQ(0, close(made_fd(cmd, buf)));
		}
		for (size_t j = 1; j < ARRAY_SIZE(good); j++) {
			good_argument(cmd, buf, sizeof(words));
			buf[good[j] - 1] = 1;
			EXPECT_ERRNO(E2BIG, call(cmd, self->dev, fd, good[j], buf));
		}
	}
	close(fd);
	EXPECT_EQ(self->fds, count_fds());
}

/* What a longer structure holds behind what the kernel knows stays as it is. */
TEST_F(vmo, abi_answer_is_clamped)
{
	struct { struct vmo_info info; uint64_t tail; uint64_t guard; } arg;
	int fd = vmo_new(self->dev, PS);

	ASSERT_LE(0, fd);
	memset(&arg, 0, sizeof(arg));
	arg.guard = 0x5555;
	ASSERT_EQ(0, ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, _IOC_NR(VMO_INFO),
				    sizeof(arg.info) + sizeof(arg.tail)), &arg));
	EXPECT_EQ(PS, arg.info.size);
	EXPECT_EQ(0, arg.tail);
	EXPECT_EQ(0x5555, arg.guard);
	close(fd);
}

TEST_F(vmo, abi_bad_pointers)
{
	int fd = vmo_new(self->dev, PS);
	long objects = vmo_counter("objects");
	char *p = mmap(NULL, 2 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_LE(0, fd);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + PS, PS));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *cmd = &commands[i];
		char *edge = p + PS - cmd->size;

		EXPECT_ERRNO(EFAULT, call(cmd, self->dev, fd, cmd->size, NULL));
		EXPECT_ERRNO(EFAULT, call(cmd, self->dev, fd, cmd->size, p + PS));
		memset(p, 0, PS);
		EXPECT_ERRNO(EFAULT, call(cmd, self->dev, fd, cmd->size, edge + 1));
		/* The tail has to be readable, too. */
		good_argument(cmd, edge, cmd->size);
		EXPECT_ERRNO(EFAULT, call(cmd, self->dev, fd, cmd->size + 8, edge));
		EXPECT_EQ(self->fds + 1, count_fds());
	}
	/* Readable, but the answer cannot be written. */
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *cmd = &commands[i];

		if (cmd->nr == _IOC_NR(VMO_OP_RANGE))
			continue;	/* has no answer */
		good_argument(cmd, p, cmd->size);
		ASSERT_EQ(0, mprotect(p, PS, PROT_READ));
		EXPECT_ERRNO(EFAULT, call(cmd, self->dev, fd, cmd->size, p));
		ASSERT_EQ(0, mprotect(p, PS, RW));
		EXPECT_EQ(self->fds + 1, count_fds());
	}
	EXPECT_EQ(objects, vmo_counter_becomes("objects", objects));
	munmap(p, PS);
	close(fd);
}

TEST_F(vmo, abi_no_descriptor_left)
{
	int fd = vmo_new(self->dev, PS);
	long objects = vmo_counter("objects");
	struct rlimit old, none;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_ERRNO(EMFILE, vmo_new(self->dev, PS));
	EXPECT_ERRNO(EMFILE, vmo_snap(fd));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(objects, vmo_counter_becomes("objects", objects));
	close(fd);
}

TEST_F(vmo, abi_unknown_commands)
{
	int fd = vmo_new(self->dev, PS);
	static uint64_t buf[32];

	ASSERT_LE(0, fd);
	for (unsigned int nr = 0; nr < 256; nr++) {
		bool dev_has = false, fd_has = nr == _IOC_NR(VMO_RESIZE);

		fd_has |= nr == _IOC_NR(VMO_TRANSFER) || nr == _IOC_NR(VMO_DIFF) ||
			  nr == _IOC_NR(VMO_REWIND);

		for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
			dev_has |= commands[i].nr == nr && commands[i].on_dev;
			fd_has |= commands[i].nr == nr && !commands[i].on_dev;
		}
		memset(buf, 0, sizeof(buf));
		if (!dev_has)
			EXPECT_ERRNO(ENOTTY, ioctl(self->dev, _IOWR(VMO_IOC, nr, buf), buf));
		if (!fd_has)
			EXPECT_ERRNO(ENOTTY, ioctl(fd, _IOWR(VMO_IOC, nr, buf), buf));
	}
	/* The number of one of ours under another letter. */
	EXPECT_ERRNO(ENOTTY, ioctl(self->dev, _IOWR(0xD5, 1, struct vmo_create), buf));
	EXPECT_ERRNO(ENOTTY, ioctl(fd, _IOWR(0xD7, 0x12, struct vmo_info), buf));
	/* Unknown comes before every other complaint. */
	EXPECT_ERRNO(ENOTTY, ioctl(fd, _IO(VMO_IOC, 0x7f), NULL));
	close(fd);
}

TEST_F(vmo, abi_descriptors_of_other_kinds)
{
	int memfd = memfd_create("vmo-test", MFD_CLOEXEC), null = open("/dev/null", O_RDWR);
	static uint64_t buf[32];

	ASSERT_LE(0, memfd);
	ASSERT_LE(0, null);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *cmd = &commands[i];

		good_argument(cmd, buf, sizeof(buf));
		EXPECT_ERRNO(ENOTTY, call(cmd, memfd, memfd, cmd->size, buf));
		EXPECT_ERRNO(ENOTTY, call(cmd, null, null, cmd->size, buf));
		EXPECT_ERRNO(EBADF, call(cmd, -1, -1, cmd->size, buf));
	}
	close(memfd);
	close(null);
}

TEST_F(vmo, s1_fixed_size)
{
	int fd = vmo_new(self->dev, 2 * PS);
	struct stat st;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, write_page(fd, 0, 1));
	EXPECT_ERRNO(EPERM, ftruncate(fd, PS));
	EXPECT_ERRNO(EPERM, ftruncate(fd, 0));
	EXPECT_ERRNO(EPERM, ftruncate(fd, 3 * PS));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(2 * PS, (uint64_t)st.st_size);
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 1));
	EXPECT_EQ(-1, wrong_page_fd(fd, 1, 1, 0));
	close(fd);
}

TEST_F(vmo, a7_info)
{
	struct vmo_create arg = {
		.size = 3 * PS - 1, .flags = VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC,
		.name = "an object",
	};
	const size_t known = offsetof(struct vmo_info, pinned_bytes);
	struct vmo_info info, first;
	struct vmo_name name = { };

	ASSERT_EQ(0, ioctl(self->dev, VMO_CREATE, &arg));
	ASSERT_EQ(0, vmo_stat(arg.fd, &info));
	EXPECT_LT(0, info.id);
	EXPECT_EQ(0, info.parent_id);
	EXPECT_EQ(3 * PS, info.size);
	EXPECT_EQ(3 * PS - 1, info.content_size);
	EXPECT_EQ(0, info.committed_bytes);
	EXPECT_EQ(0, info.metadata_bytes);
	EXPECT_EQ(0, info.children);
	EXPECT_EQ(0, info.pinned_bytes);
	EXPECT_EQ(VMO_INFO_RESIZABLE | VMO_INFO_MAY_RESIZE | VMO_INFO_EXEC, info.flags);
	EXPECT_EQ(0, strcmp("an object", info.name));
	/* A program that knows the first version only. */
	memset(&first, 0x55, sizeof(first));
	memset(&first, 0, known);
	EXPECT_EQ(0, ioctl(arg.fd, _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x12, known), &first));
	EXPECT_EQ(info.id, first.id);
	EXPECT_EQ(info.flags, first.flags);
	EXPECT_EQ(0x5555555555555555ULL, first.pinned_bytes);
	EXPECT_EQ(0, ioctl(arg.fd, VMO_NAME, &name));
	EXPECT_EQ(0, strcmp("an object", name.name));
	memset(name.name, 0, sizeof(name.name));
	memset(name.name, 'n', VMO_NAME_SIZE - 1);
	name.flags = VMO_NAME_SET;
	EXPECT_EQ(0, ioctl(arg.fd, VMO_NAME, &name));
	ASSERT_EQ(0, vmo_stat(arg.fd, &info));
	EXPECT_EQ(0, memcmp(name.name, info.name, VMO_NAME_SIZE));
	close(arg.fd);
}

TEST_HARNESS_MAIN
