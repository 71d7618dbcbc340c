// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which pages were written. */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

/**
 * struct vmo_reaper - a handle
 * @fd: of the harvester; ours to close
 */
struct vmo_reaper {
	int fd;
};

static struct vmo_reaper *reaper_for(int fd)
{
	struct vmo_reaper *reaper = malloc(sizeof(*reaper));

	if (reaper)
		reaper->fd = fd;
	return reaper;
}

VMO_API struct vmo_reaper *vmo_reaper_new(const struct vmo *vmo)
{
	struct vmo_harvester arg = { .fd = -1 };
	struct vmo_reaper *reaper;

	if (ioctl(vmo->fd, VMO_HARVESTER, &arg))
		return NULL;
	reaper = reaper_for(arg.fd);
	if (!reaper)
		vmo_close_quietly(arg.fd);
	return reaper;
}

/* What is left of the range, and how many answers there are. */
static int harvest(int fd, uint64_t *offset, uint64_t *length, void *to, unsigned int room,
		   unsigned int flags)
{
	struct vmo_harvest arg = {
		.offset = *offset, .length = *length, .ranges = (uintptr_t)to,
		.count = room, .flags = flags,
	};

	if (ioctl(fd, VMO_HARVEST, &arg))
		return -1;
	*offset = arg.offset;
	*length = arg.length;
	return arg.count;
}

/* A harvest of nothing tells a harvester from other files, and forgets nothing. */
VMO_API struct vmo_reaper *vmo_reaper_from_fd(int fd)
{
	uint64_t offset = 0, length = 0;
	struct vmo_range range;

	if (harvest(fd, &offset, &length, &range, 1, VMO_HARVEST_KEEP) < 0)
		return NULL;
	return reaper_for(fd);
}

VMO_API int vmo_reaper_fd(const struct vmo_reaper *reaper)
{
	return reaper->fd;
}

VMO_API void vmo_reaper_close(struct vmo_reaper *reaper)
{
	int err = errno;

	if (!reaper)
		return;
	vmo_close_quietly(reaper->fd);
	free(reaper);
	errno = err;	/* free() of an older libc may change it */
}

VMO_API int vmo_harvest(const struct vmo_reaper *reaper, uint64_t *offset, uint64_t *length,
			struct vmo_range *ranges, unsigned int room, unsigned int flags)
{
	if (flags & VMO_HARVEST_BITMAP) {
		errno = EINVAL;
		return -1;
	}
	return harvest(reaper->fd, offset, length, ranges, room, flags);
}

VMO_API int vmo_harvest_bitmap(const struct vmo_reaper *reaper, uint64_t *offset,
			       uint64_t *length, uint64_t *words, unsigned int room,
			       unsigned int flags)
{
	return harvest(reaper->fd, offset, length, words, room, flags | VMO_HARVEST_BITMAP);
}
