// SPDX-License-Identifier: LGPL-2.1-or-later
/* Objects that are made from objects, and handles that may less. */
#include "private.h"

VMO_API struct vmo *vmo_clone(const struct vmo *vmo, uint64_t offset, uint64_t size,
			      unsigned int flags)
{
	struct vmo_clone arg = { .offset = offset, .size = size, .flags = flags, .fd = -1 };

	return vmo_handle_new(ioctl(vmo->fd, VMO_CLONE, &arg) ? -1 : arg.fd);
}

/* Memory in whole pages behind the content counts for more than the content size. */
VMO_API struct vmo *vmo_snapshot(const struct vmo *vmo)
{
	uint64_t size, content_size, tail;

	if (vmo_extent(vmo, &size, &content_size))
		return NULL;
	tail = size - content_size;
	return vmo_clone(vmo, 0, tail < vmo_page_size() ? content_size : size,
			 VMO_CLONE_SNAPSHOT);
}

VMO_API struct vmo *vmo_slice(const struct vmo *vmo, uint64_t offset, uint64_t size,
			      unsigned int flags)
{
	struct vmo_slice arg = { .offset = offset, .size = size, .flags = flags, .fd = -1 };

	return vmo_handle_new(ioctl(vmo->fd, VMO_SLICE, &arg) ? -1 : arg.fd);
}

VMO_API struct vmo *vmo_restrict(const struct vmo *vmo, unsigned int rights)
{
	struct vmo_restrict arg = { .rights = rights, .fd = -1 };

	return vmo_handle_new(ioctl(vmo->fd, VMO_RESTRICT, &arg) ? -1 : arg.fd);
}

VMO_API struct vmo *vmo_reference(const struct vmo *vmo, unsigned int flags)
{
	struct vmo_reference arg = { .flags = flags, .fd = -1 };

	return vmo_handle_new(ioctl(vmo->fd, VMO_REFERENCE, &arg) ? -1 : arg.fd);
}
