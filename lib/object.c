// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handles: making objects and taking them over, and giving them up. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

/* Never close again after EINTR: the descriptor is gone, or already another's. */
void vmo_close_quietly(int fd)
{
	int err = errno;

	close(fd);
	errno = err;
}

static struct vmo *handle_for(int fd)
{
	struct vmo *vmo = malloc(sizeof(*vmo));

	if (vmo)
		vmo->fd = fd;
	return vmo;
}

struct vmo *vmo_handle_new(int fd)
{
	struct vmo *vmo;

	if (fd < 0)
		return NULL;
	vmo = handle_for(fd);
	if (!vmo)
		vmo_close_quietly(fd);
	return vmo;
}

int vmo_put_name(char to[VMO_NAME_SIZE], const char *name)
{
	size_t length = name ? strnlen(name, VMO_NAME_SIZE) : 0;

	if (length == VMO_NAME_SIZE) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memset(to, 0, VMO_NAME_SIZE);
	if (length)
		memcpy(to, name, length);
	return 0;
}

VMO_API struct vmo *vmo_create(int dev, uint64_t size, unsigned int flags, const char *name)
{
	struct vmo_create arg = { .size = size, .flags = flags, .fd = -1 };
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

/* VMO_NAME tells an object from other files as VMO_INFO does, but counts no pages. */
VMO_API struct vmo *vmo_from_fd(int fd)
{
	struct vmo_name arg = { .flags = 0 };

	return ioctl(fd, VMO_NAME, &arg) ? NULL : handle_for(fd);
}

VMO_API struct vmo *vmo_dup(const struct vmo *vmo)
{
	return vmo_handle_new(fcntl(vmo->fd, F_DUPFD_CLOEXEC, 0));
}

VMO_API int vmo_fd(const struct vmo *vmo)
{
	return vmo->fd;
}

VMO_API void vmo_close(struct vmo *vmo)
{
	if (vmo)
		vmo_close_quietly(vmo_into_fd(vmo));
}

VMO_API int vmo_into_fd(struct vmo *vmo)
{
	int fd = vmo->fd, err = errno;

	free(vmo);
	errno = err;	/* free() of an older libc may change it */
	return fd;
}
