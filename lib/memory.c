// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sizes, ranges, pins and mappings. */
#include <sys/mman.h>

#include "private.h"

VMO_API int vmo_resize(const struct vmo *vmo, uint64_t size)
{
	struct vmo_resize arg = { .size = size };

	return ioctl(vmo->fd, VMO_RESIZE, &arg);
}

VMO_API int vmo_rewind(const struct vmo *vmo)
{
	struct vmo_rewind arg = { .flags = 0 };

	return ioctl(vmo->fd, VMO_REWIND, &arg);
}

static int op_range(const struct vmo *vmo, unsigned int op, uint64_t offset, uint64_t length)
{
	struct vmo_op_range arg = { .op = op, .offset = offset, .length = length };

	return ioctl(vmo->fd, VMO_OP_RANGE, &arg);
}

VMO_API int vmo_commit(const struct vmo *vmo, uint64_t offset, uint64_t length)
{
	return op_range(vmo, VMO_OP_COMMIT, offset, length);
}

VMO_API int vmo_decommit(const struct vmo *vmo, uint64_t offset, uint64_t length)
{
	return op_range(vmo, VMO_OP_DECOMMIT, offset, length);
}

VMO_API int vmo_zero(const struct vmo *vmo, uint64_t offset, uint64_t length)
{
	return op_range(vmo, VMO_OP_ZERO, offset, length);
}

VMO_API int vmo_transfer(const struct vmo *to, uint64_t to_offset, const struct vmo *from,
			 uint64_t from_offset, uint64_t length)
{
	struct vmo_transfer arg = {
		.offset = to_offset, .length = length, .src_offset = from_offset,
		.src_fd = from->fd,
	};

	return ioctl(to->fd, VMO_TRANSFER, &arg);
}

VMO_API int vmo_pin(const struct vmo *vmo, uint64_t offset, uint64_t length, unsigned int flags)
{
	struct vmo_pin arg = { .offset = offset, .length = length, .flags = flags, .fd = -1 };

	return ioctl(vmo->fd, VMO_PIN, &arg) ? -1 : arg.fd;
}

VMO_API void *vmo_map(const struct vmo *vmo, uint64_t offset, size_t length, int prot)
{
	void *addr = mmap(NULL, length, prot, MAP_SHARED, vmo->fd, offset);

	return addr == MAP_FAILED ? NULL : addr;
}
