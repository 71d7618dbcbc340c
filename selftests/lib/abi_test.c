// SPDX-License-Identifier: GPL-2.0
/*
 * libvmo against modules that there are not yet, or no more, and calls that fail: the
 * static library, with ioctl(), open() and malloc() wrapped by the linker.
 */
#include "lib_test_util.h"
#include <stdarg.h>

int __real_ioctl(int fd, unsigned long cmd, void *arg);
int __real_open(const char *path, int flags, ...);
void *__real_malloc(size_t size);

/* What the wrappers pretend, and have seen. */
static struct {
	int probe_errno;	/* VMO_PROBE fails with this */
	uint32_t probe_abi;	/* added to what the module says */
	size_t info_known;	/* VMO_INFO of an older module has that many bytes */
	bool dirty;		/* it was called with what that does not know */
	int interrupts;		/* that many open() are EINTR */
	bool no_memory;
	unsigned long last;
	unsigned int infos;
} sham;

/* As copy_struct_from_user() would treat a structure that is longer than known. */
static int old_info(int fd, unsigned long cmd, char *arg)
{
	size_t size = _IOC_SIZE(cmd);

	for (size_t i = sham.info_known; i < size; i++)
		if (arg[i])
			sham.dirty = true;
	if (sham.dirty) {
		errno = E2BIG;
		return -1;
	}
	if (size > sham.info_known)
		size = sham.info_known;
	return __real_ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x12, size), arg);
}

int __wrap_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret;

	sham.last = cmd;
	if (_IOC_NR(cmd) == _IOC_NR(VMO_INFO)) {
		sham.infos++;
		if (sham.info_known)
			return old_info(fd, cmd, arg);
	}
	if (_IOC_NR(cmd) == _IOC_NR(VMO_PROBE) && sham.probe_errno) {
		errno = sham.probe_errno;
		return -1;
	}
	ret = __real_ioctl(fd, cmd, arg);
	if (!ret && _IOC_NR(cmd) == _IOC_NR(VMO_PROBE))
		((struct vmo_probe *)arg)->abi += sham.probe_abi;
	return ret;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	if (sham.interrupts) {
		sham.interrupts--;
		errno = EINTR;
		return -1;
	}
	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	return __real_open(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...) __attribute__((alias("__wrap_open")));

void *__wrap_malloc(size_t size)
{
	if (!sham.no_memory)
		return __real_malloc(size);
	errno = ENOMEM;
	return NULL;
}

/* Whoever opens the device for good is told; to probe is always possible. */
TEST_F(lib, another_abi)
{
	struct vmo_probe probe;
	int dev, fds = count_fds();

	sham.probe_abi = 1;
	EXPECT_ERRNO(EPROTONOSUPPORT, vmo_device_open());
	EXPECT_NONE(EPROTONOSUPPORT, vmo_create(-1, PS, 0, NULL));
	EXPECT_EQ(fds, count_fds());
	dev = vmo_device_open_readonly();
	ASSERT_LE(0, dev);
	EXPECT_EQ(0, vmo_device_probe(dev, &probe, sizeof(probe)));
	EXPECT_EQ(VMO_ABI_VERSION + 1, probe.abi);
	close(dev);
	sham.probe_abi = 0;
	dev = vmo_device_open();
	EXPECT_LE(0, dev);
	close(dev);
}

TEST_F(lib, a_module_that_cannot_be_probed)
{
	static const int errors[][2] = {
		{ ENOTTY, EPROTONOSUPPORT }, { EINVAL, EPROTONOSUPPORT }, { EIO, EIO },
	};
	struct vmo_probe probe;
	int fds = count_fds();

	for (int i = 0; i < 3; i++) {
		sham.probe_errno = errors[i][0];
		EXPECT_ERRNO(errors[i][1], vmo_device_open());
		EXPECT_ERRNO(errors[i][0], vmo_device_probe(self->dev, &probe, sizeof(probe)));
	}
	EXPECT_EQ(fds, count_fds());
}

TEST_F(lib, commands_carry_the_callers_size)
{
	struct vmo *vmo = new_pages(self->dev, 1);
	struct {
		struct vmo_probe probe;
		uint64_t more;
	} probe;
	struct {
		struct vmo_info info;
		uint64_t more;
	} info;
	struct {
		struct vmo_stats stats;
		uint64_t more;
	} stats;
	struct {
		struct vmo_usage usage;
		uint64_t more;
	} usage;

	EXPECT_EQ(0, vmo_device_probe(self->dev, &probe.probe, sizeof(probe.probe)));
	EXPECT_EQ(VMO_PROBE, sham.last);
	EXPECT_EQ(0, vmo_device_probe(self->dev, &probe.probe, sizeof(probe)));
	EXPECT_EQ(_IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x00, sizeof(probe)), sham.last);
	EXPECT_EQ(0, vmo_info(vmo, &info.info, sizeof(info.info)));
	EXPECT_EQ(VMO_INFO, sham.last);
	EXPECT_EQ(0, vmo_info(vmo, &info.info, sizeof(info)));
	EXPECT_EQ(_IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x12, sizeof(info)), sham.last);
	EXPECT_EQ(0, vmo_device_stats(self->dev, &stats.stats, sizeof(stats.stats)));
	EXPECT_EQ(VMO_STATS, sham.last);
	EXPECT_EQ(0, vmo_device_stats(self->dev, &stats.stats, sizeof(stats)));
	EXPECT_EQ(_IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x02, sizeof(stats)), sham.last);
	EXPECT_EQ(0, vmo_usage(vmo, 0, PS, &usage.usage, sizeof(usage.usage)));
	EXPECT_EQ(VMO_USAGE, sham.last);
	EXPECT_EQ(0, vmo_usage(vmo, 0, PS, &usage.usage, sizeof(usage)));
	EXPECT_EQ(_IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, 0x1e, sizeof(usage)), sham.last);
	vmo_close(vmo);
}

/* Zeroes come in, or it would be E2BIG, and stay where the module knows nothing. */
TEST_F(lib, a_module_that_knows_less)
{
	struct vmo *vmo = vmo_create(self->dev, 3 * PS, 0, "name");
	struct vmo_info info;

	memset(&info, 0x55, sizeof(info));
	sham.info_known = offsetof(struct vmo_info, pinned_bytes);
	EXPECT_EQ(0, vmo_info(vmo, &info, sizeof(info)));
	EXPECT_FALSE(sham.dirty);
	EXPECT_EQ(3 * PS, info.size);
	EXPECT_EQ(0, info.pinned_bytes);
	for (int i = 0; i < VMO_NAME_SIZE; i++)
		EXPECT_EQ(0, info.name[i]);
	vmo_close(vmo);
}

TEST_F(lib, open_goes_on_after_a_signal)
{
	int dev;

	sham.interrupts = 3;
	dev = vmo_device_open();
	EXPECT_LE(0, dev);
	EXPECT_EQ(0, sham.interrupts);
	close(dev);
}

/* A child whose handle cannot be had is not left behind, but what is given stays. */
TEST_F(lib, no_memory_for_a_handle)
{
	struct vmo *vmo = new_pages(self->dev, 1);
	int fds = count_fds();

	sham.no_memory = true;
	EXPECT_NONE(ENOMEM, vmo_create(self->dev, PS, 0, NULL));
	EXPECT_NONE(ENOMEM, vmo_create(-1, PS, 0, NULL));
	EXPECT_NONE(ENOMEM, vmo_dup(vmo));
	EXPECT_NONE(ENOMEM, vmo_snapshot(vmo));
	EXPECT_NONE(ENOMEM, vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT));
	EXPECT_NONE(ENOMEM, vmo_slice(vmo, 0, PS, 0));
	EXPECT_NONE(ENOMEM, vmo_reference(vmo, 0));
	EXPECT_NONE(ENOMEM, vmo_restrict(vmo, VMO_RIGHT_READ));
	EXPECT_NONE(ENOMEM, vmo_from_fd(vmo_fd(vmo)));
	EXPECT_NONE(ENOMEM, vmo_reaper_new(vmo));
	sham.no_memory = false;
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, INFO(vmo, children));
	vmo_close(vmo);
}

/* VMO_INFO counts pages: what should be cheap does without it. */
TEST_F(lib, snapshots_do_not_count_pages)
{
	struct vmo *vmo = vmo_create(self->dev, 3 * PS - 1, 0, NULL), *child, *again;

	sham.infos = 0;
	child = vmo_snapshot(vmo);
	ASSERT_NE(NULL, child);
	EXPECT_EQ(3 * PS, vmo_size(child));
	again = vmo_from_fd(vmo_into_fd(child));
	ASSERT_NE(NULL, again);
	EXPECT_EQ(0, sham.infos);
	vmo_close(again);
	vmo_close(vmo);
}

TEST_HARNESS_MAIN
