// SPDX-License-Identifier: LGPL-2.1-or-later
/* Strict reads and writes. */
#include "private.h"

static int rw(const struct vmo *vmo, unsigned long cmd, struct vmo_rw *arg, uint64_t *actual)
{
	int ret = ioctl(vmo->fd, cmd, arg);

	if (actual)
		*actual = arg->actual;
	return ret;
}

static ssize_t rw_one(const struct vmo *vmo, unsigned long cmd, const void *buf, size_t count,
		      uint64_t offset, unsigned int flags)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = count };
	struct vmo_rw arg = {
		.offset = offset, .iov = (uintptr_t)&iov, .iov_count = 1, .flags = flags,
	};
	uint64_t actual;

	return rw(vmo, cmd, &arg, &actual) ? -1 : (ssize_t)actual;
}

static int rw_vec(const struct vmo *vmo, unsigned long cmd, const struct iovec *iov,
		  unsigned int iov_count, uint64_t offset, unsigned int flags, uint64_t *actual)
{
	struct vmo_rw arg = {
		.offset = offset, .iov = (uintptr_t)iov, .iov_count = iov_count, .flags = flags,
	};

	return rw(vmo, cmd, &arg, actual);
}

VMO_API ssize_t vmo_read(const struct vmo *vmo, void *buf, size_t count, uint64_t offset,
			 unsigned int flags)
{
	return rw_one(vmo, VMO_READ, buf, count, offset, flags);
}

VMO_API ssize_t vmo_write(const struct vmo *vmo, const void *buf, size_t count, uint64_t offset,
			  unsigned int flags)
{
	return rw_one(vmo, VMO_WRITE, buf, count, offset, flags);
}

VMO_API int vmo_readv(const struct vmo *vmo, const struct iovec *iov, unsigned int iov_count,
		      uint64_t offset, unsigned int flags, uint64_t *actual)
{
	return rw_vec(vmo, VMO_READ, iov, iov_count, offset, flags, actual);
}

VMO_API int vmo_writev(const struct vmo *vmo, const struct iovec *iov, unsigned int iov_count,
		       uint64_t offset, unsigned int flags, uint64_t *actual)
{
	return rw_vec(vmo, VMO_WRITE, iov, iov_count, offset, flags, actual);
}
