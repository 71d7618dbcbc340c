// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an object is: sizes, name, usage, children. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

int vmo_clear(void *arg, size_t size)
{
	if (size > _IOC_SIZEMASK) {
		errno = E2BIG;
		return -1;
	}
	memset(arg, 0, size);
	return 0;
}

/*
 * The number of a command carries the size of the caller's structure. An older
 * module accepts one that it does not know all of if the rest is zero.
 */
int vmo_call(int fd, unsigned long cmd, void *arg, size_t size)
{
	return ioctl(fd, _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size), arg);
}

int vmo_ask(int fd, unsigned long cmd, void *arg, size_t size)
{
	return vmo_clear(arg, size) ? -1 : vmo_call(fd, cmd, arg, size);
}

VMO_API int vmo_info(const struct vmo *vmo, struct vmo_info *info, size_t size)
{
	return vmo_ask(vmo->fd, VMO_INFO, info, size);
}

uint64_t vmo_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Whether there is memory from @offset on; if that cannot be told, there may be. */
static bool may_reach(const struct vmo *vmo, uint64_t offset)
{
	char byte;

	return vmo_read(vmo, &byte, 1, offset, VMO_RW_TRIM) != 0;
}

/*
 * VMO_INFO counts every page, which a snapshot of a large object should not cost.
 * Nearly always the size is the content size in whole pages; a strict read shows it.
 */
int vmo_extent(const struct vmo *vmo, uint64_t *size, uint64_t *content_size)
{
	uint64_t mask = vmo_page_size() - 1;
	struct vmo_info info;
	struct statx st;

	if (statx(vmo->fd, "", AT_EMPTY_PATH, STATX_SIZE, &st))
		return -1;
	*content_size = st.stx_size;
	*size = (st.stx_size + mask) & ~mask;
	if (!may_reach(vmo, *size))
		return 0;
	if (vmo_info(vmo, &info, sizeof(info)))
		return -1;
	*size = info.size;
	*content_size = info.content_size;
	return 0;
}

VMO_API int64_t vmo_size(const struct vmo *vmo)
{
	uint64_t size, content_size;

	return vmo_extent(vmo, &size, &content_size) ? -1 : (int64_t)size;
}

VMO_API int vmo_get_name(const struct vmo *vmo, char name[VMO_NAME_SIZE])
{
	struct vmo_name arg = { .flags = 0 };

	if (ioctl(vmo->fd, VMO_NAME, &arg))
		return -1;
	memcpy(name, arg.name, VMO_NAME_SIZE);
	return 0;
}

VMO_API int vmo_set_name(const struct vmo *vmo, const char *name)
{
	struct vmo_name arg = { .flags = VMO_NAME_SET };

	if (vmo_put_name(arg.name, name))
		return -1;
	return ioctl(vmo->fd, VMO_NAME, &arg);
}

VMO_API int vmo_wait_childless(const struct vmo *vmo, int timeout_ms)
{
	struct pollfd p = { .fd = vmo->fd, .events = POLLPRI };
	int ret = poll(&p, 1, timeout_ms);

	if (ret <= 0)
		return ret;
	if (p.revents & POLLPRI)
		return 1;
	errno = EBADF;	/* POLLNVAL: somebody has closed it */
	return -1;
}
