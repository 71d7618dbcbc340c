// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pagers: memory that a program provides when others need it. */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "private.h"

VMO_API int vmo_pager_new(int dev, const struct vmo_pager_create *limits)
{
	struct vmo_pager_create arg = { .flags = 0 };
	int ret, device = dev;

	if (limits)
		arg = *limits;
	arg.fd = -1;
	if (dev == -1)
		device = vmo_device_open();
	if (device < 0)
		return -1;
	ret = ioctl(device, VMO_PAGER_CREATE, &arg);
	if (dev == -1)
		vmo_close_quietly(device);
	return ret ? -1 : arg.fd;
}

VMO_API struct vmo *vmo_create_paged(int dev, int pager, uint64_t key, uint64_t size,
				     unsigned int flags, const char *name)
{
	struct vmo_create arg = {
		.size = size, .flags = flags | VMO_CREATE_PAGER, .fd = -1, .key = key,
		.pager_fd = pager,
	};
	int ret, device = dev;

	if (vmo_put_name(arg.name, name))
		return NULL;
	if (dev == -1)
		device = vmo_device_open();
	if (dev == -1 && device < 0)
		return NULL;
	ret = ioctl(device, VMO_CREATE, &arg);
	if (dev == -1)
		vmo_close_quietly(device);
	return vmo_handle_new(ret ? -1 : arg.fd);
}

VMO_API int vmo_pager_bind(int pager)
{
	struct vmo_pager_bind arg = { .fd = -1 };

	return ioctl(pager, VMO_PAGER_BIND, &arg) ? -1 : arg.fd;
}

VMO_API int vmo_pager_next(int binding, struct vmo_pager_request *requests, unsigned int room)
{
	ssize_t bytes = read(binding, requests, room * sizeof(*requests));

	return bytes < 0 ? -1 : (int)(bytes / (ssize_t)sizeof(*requests));
}

VMO_API int vmo_pager_supply(int pager, const struct vmo *vmo, uint64_t offset,
			     const struct vmo *from, uint64_t from_offset, uint64_t length)
{
	struct vmo_pager_supply arg = {
		.offset = offset, .length = length, .src_offset = from_offset,
		.vmo_fd = vmo->fd, .src_fd = from->fd,
	};

	return ioctl(pager, VMO_PAGER_SUPPLY, &arg);
}

VMO_API int vmo_pager_fail(int pager, const struct vmo *vmo, uint64_t offset, uint64_t length,
			   int error)
{
	struct vmo_pager_fail arg = {
		.offset = offset, .length = length, .vmo_fd = vmo->fd,
		.error = (uint32_t)error,
	};

	return ioctl(pager, VMO_PAGER_FAIL, &arg);
}

VMO_API int vmo_pager_detach(int pager, const struct vmo *vmo)
{
	struct vmo_pager_detach arg = { .vmo_fd = vmo->fd };

	return ioctl(pager, VMO_PAGER_DETACH, &arg);
}

VMO_API int vmo_pager_writeback(int pager, const struct vmo *vmo, uint64_t offset,
				uint64_t length, unsigned int flags)
{
	struct vmo_pager_writeback arg = {
		.offset = offset, .length = length, .vmo_fd = vmo->fd, .flags = flags,
	};

	return ioctl(pager, VMO_PAGER_WRITEBACK, &arg);
}

VMO_API int vmo_pager_dirty_ranges(int pager, const struct vmo *vmo, uint64_t *offset,
				   uint64_t *length, struct vmo_page_run *ranges,
				   unsigned int room)
{
	struct vmo_pager_dirty_ranges arg = {
		.offset = *offset, .length = *length, .ranges = (uintptr_t)ranges,
		.count = room, .vmo_fd = vmo->fd,
	};

	if (ioctl(pager, VMO_PAGER_DIRTY_RANGES, &arg))
		return -1;
	*offset = arg.offset;
	*length = arg.length;
	return (int)arg.count;
}

VMO_API int vmo_pager_dirty(int pager, const struct vmo *vmo, uint64_t offset,
			    uint64_t length)
{
	struct vmo_pager_dirty arg = { .offset = offset, .length = length, .vmo_fd = vmo->fd };

	return ioctl(pager, VMO_PAGER_DIRTY, &arg);
}

VMO_API int vmo_pager_stats(int pager, const struct vmo *vmo, unsigned int flags,
			    struct vmo_pager_stats *stats)
{
	*stats = (struct vmo_pager_stats){ .vmo_fd = vmo->fd, .flags = flags };
	return ioctl(pager, VMO_PAGER_STATS, stats);
}

VMO_API int vmo_pager_serve(int binding, vmo_pager_answer *answer, void *arg)
{
	struct vmo_pager_request requests[64];
	int nr, i, ret;

	for (;;) {
		nr = vmo_pager_next(binding, requests, 64);
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return -1;
		for (i = 0; i < nr; i++) {
			ret = answer(binding, &requests[i], arg);
			if (ret)
				return ret;
		}
	}
}
