// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the pages of an object are: how many, in which state, where, and unlike whose. */
#include <errno.h>

#include "private.h"

VMO_API int vmo_usage(const struct vmo *vmo, uint64_t offset, uint64_t length,
		      struct vmo_usage *usage, size_t size)
{
	/* Too short for the range: what the kernel would say. */
	if (size < offsetof(struct vmo_usage, flags)) {
		errno = EINVAL;
		return -1;
	}
	if (vmo_clear(usage, size))
		return -1;
	usage->offset = offset;
	usage->length = length;
	return vmo_call(vmo->fd, VMO_USAGE, usage, size);
}

/* What is left of the range, and how many answers there are. */
static int go_on(uint64_t *offset, uint64_t *length, uint64_t next, uint64_t left,
		 unsigned int count)
{
	*offset = next;
	*length = left;
	return count;
}

VMO_API int vmo_pages(const struct vmo *vmo, uint64_t *offset, uint64_t *length,
		      struct vmo_page_run *runs, unsigned int room)
{
	struct vmo_pages arg = {
		.offset = *offset, .length = *length, .runs = (uintptr_t)runs, .count = room,
	};

	if (ioctl(vmo->fd, VMO_PAGES, &arg))
		return -1;
	return go_on(offset, length, arg.offset, arg.length, arg.count);
}

VMO_API int vmo_lookup(const struct vmo *vmo, uint64_t *offset, uint64_t *length,
		       struct vmo_lookup_entry *entries, unsigned int room, unsigned int flags)
{
	struct vmo_lookup arg = {
		.offset = *offset, .length = *length, .entries = (uintptr_t)entries,
		.count = room, .flags = flags,
	};

	if (ioctl(vmo->fd, VMO_LOOKUP, &arg))
		return -1;
	return go_on(offset, length, arg.offset, arg.length, arg.count);
}

VMO_API int vmo_diff(const struct vmo *vmo, const struct vmo *other, uint64_t *offset,
		     uint64_t *length, struct vmo_range *ranges, unsigned int room)
{
	struct vmo_diff arg = {
		.offset = *offset, .length = *length, .ranges = (uintptr_t)ranges,
		.count = room, .other_fd = other->fd,
	};

	if (ioctl(vmo->fd, VMO_DIFF, &arg))
		return -1;
	return go_on(offset, length, arg.offset, arg.length, arg.count);
}
