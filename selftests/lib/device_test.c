// SPDX-License-Identifier: GPL-2.0
/* /dev/vmo as libvmo opens it: there, not there, another's, not for everybody. */
#include "lib_test_util.h"

TEST_F(lib, open_and_probe)
{
	struct vmo_probe probe;

	EXPECT_CLOEXEC(self->dev);
	EXPECT_EQ(O_RDWR, fcntl(self->dev, F_GETFL) & O_ACCMODE);
	memset(&probe, 0x55, sizeof(probe));
	ASSERT_EQ(0, vmo_device_probe(self->dev, &probe, sizeof(probe)));
	EXPECT_EQ(VMO_ABI_VERSION, probe.abi);
	EXPECT_EQ(PS, probe.page_size);
	EXPECT_EQ(MAX_SIZE, probe.max_size);
	EXPECT_EQ(VMO_FEATURE_SNAPSHOT, probe.features & VMO_FEATURE_SNAPSHOT);
}

TEST_F(lib, readonly_may_probe_but_not_create)
{
	int dev = vmo_device_open_readonly();
	struct vmo_probe probe;

	ASSERT_LE(0, dev);
	EXPECT_CLOEXEC(dev);
	EXPECT_EQ(O_RDONLY, fcntl(dev, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, vmo_device_probe(dev, &probe, sizeof(probe)));
	EXPECT_EQ(PS, probe.page_size);
	EXPECT_NONE(EACCES, vmo_create(dev, PS, 0, NULL));
	close(dev);
}

TEST_F(lib, probe_of_every_size)
{
	struct {
		struct vmo_probe probe;
		uint64_t more[4];
	} large;
	int fds[2];

	memset(&large, 0x55, sizeof(large));
	ASSERT_EQ(0, vmo_device_probe(self->dev, &large.probe, sizeof(large)));
	EXPECT_EQ(MAX_SIZE, large.probe.max_size);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, large.more[i]);
	/* Shorter than the first version of the structure. */
	EXPECT_ERRNO(EINVAL, vmo_device_probe(self->dev, &large.probe, 8));
	EXPECT_ERRNO(E2BIG, vmo_device_probe(self->dev, &large.probe, 1 << 14));
	EXPECT_ERRNO(EBADF, vmo_device_probe(-1, &large.probe, sizeof(large)));
	ASSERT_EQ(0, pipe(fds));
	EXPECT_ERRNO(ENOTTY, vmo_device_probe(fds[0], &large.probe, sizeof(large.probe)));
	close(fds[0]);
	close(fds[1]);
}

TEST_F(lib, no_device)
{
	ASSERT_EQ(0, empty_dev());
	EXPECT_ERRNO(ENODEV, vmo_device_open());
	EXPECT_ERRNO(ENODEV, vmo_device_open_readonly());
	EXPECT_NONE(ENODEV, vmo_create(-1, PS, 0, NULL));
}

/* A number that no driver has (ENXIO), and one that the misc devices' does not know. */
TEST_F(lib, a_node_with_nothing_behind_it)
{
	ASSERT_EQ(0, empty_dev());
	ASSERT_EQ(0, mknod("/dev/vmo", S_IFCHR | 0666, makedev(0xf00, 0)));
	EXPECT_ERRNO(ENXIO, open("/dev/vmo", O_RDWR));
	EXPECT_ERRNO(ENODEV, vmo_device_open());
	EXPECT_ERRNO(ENODEV, vmo_device_open_readonly());
	unlink("/dev/vmo");
	ASSERT_EQ(0, mknod("/dev/vmo", S_IFCHR | 0666, makedev(10, 254)));
	EXPECT_ERRNO(ENODEV, vmo_device_open());
	EXPECT_NONE(ENODEV, vmo_create(-1, PS, 0, NULL));
}

/* /dev/null has no commands, as a module from before ours would have others. */
TEST_F(lib, a_device_without_our_commands)
{
	int dev;

	ASSERT_EQ(0, empty_dev());
	ASSERT_EQ(0, mknod("/dev/vmo", S_IFCHR | 0666, makedev(1, 3)));
	EXPECT_ERRNO(EPROTONOSUPPORT, vmo_device_open());
	EXPECT_NONE(EPROTONOSUPPORT, vmo_create(-1, PS, 0, NULL));
	dev = vmo_device_open_readonly();
	EXPECT_LE(0, dev);
	close(dev);
}

TEST_F(lib, another_user)
{
	struct vmo_probe probe;
	struct stat st;
	int dev;

	ASSERT_EQ(0, fstat(self->dev, &st));
	ASSERT_EQ(0, st.st_mode & 07);
	ASSERT_EQ(0, empty_dev());
	ASSERT_EQ(0, mknod("/dev/vmo", S_IFCHR | 0600, st.st_rdev));
	dev = vmo_device_open();
	EXPECT_LE(0, dev);
	close(dev);
	ASSERT_EQ(0, chmod("/dev/vmo", 0604));
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERRNO(EACCES, vmo_device_open());
	EXPECT_NONE(EACCES, vmo_create(-1, PS, 0, NULL));
	dev = vmo_device_open_readonly();
	ASSERT_LE(0, dev);
	EXPECT_EQ(0, vmo_device_probe(dev, &probe, sizeof(probe)));
	close(dev);
}

TEST_F(lib, another_user_with_the_node_as_it_is)
{
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERRNO(EACCES, vmo_device_open());
	EXPECT_ERRNO(EACCES, vmo_device_open_readonly());
}

TEST_F(lib, no_descriptor_is_free)
{
	rlim_t before = no_more_fds();

	EXPECT_ERRNO(EMFILE, vmo_device_open());
	EXPECT_ERRNO(EMFILE, vmo_device_open_readonly());
	EXPECT_NONE(EMFILE, vmo_create(-1, PS, 0, NULL));
	EXPECT_NONE(EMFILE, vmo_create(self->dev, PS, 0, NULL));
	more_fds(before);
}

TEST_F(lib, explanations_say_what_to_do)
{
	static const struct {
		int err;
		const char *word;
	} known[] = {
		{ ENODEV, "modprobe vmo" }, { EACCES, "group" }, { EPROTONOSUPPORT, "update" },
		{ EMFILE, "limit" }, { ENOMEM, "memory" },
	};
	const char *text, *unknown = vmo_device_explain(EDOM);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		text = vmo_device_explain(known[i].err);
		EXPECT_NE(NULL, strstr(text, known[i].word));
		EXPECT_EQ('.', text[strlen(text) - 1]);
		EXPECT_NE(0, strcmp(text, unknown));
		EXPECT_EQ(text, vmo_device_explain(known[i].err));
		for (size_t j = 0; j < i; j++)
			EXPECT_NE(0, strcmp(text, vmo_device_explain(known[j].err)));
	}
	EXPECT_NE(NULL, strstr(unknown, "errno"));
	EXPECT_EQ(0, strcmp(unknown, vmo_device_explain(-1)));
	EXPECT_NE(0, strcmp(unknown, vmo_device_explain(0)));
}

TEST_HARNESS_MAIN
