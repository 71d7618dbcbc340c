// SPDX-License-Identifier: GPL-2.0
/* What objects hold, piece by piece, without the holes where that matters. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vmoctl.h"

enum status content_open(struct call *call, const struct vmo *vmo, struct content *content)
{
	struct vmo_info info;

	memset(content, 0, sizeof(*content));
	if (vmo_info(vmo, &info, sizeof(info)))
		return fail(call, errno, "cannot ask for the size");
	content->vmo = vmo;
	content->size = info.content_size;
	content->buf = malloc(CHUNK);
	if (!content->buf)
		return fail(call, ENOMEM, "cannot allocate a buffer");
	/*
	 * SEEK_DATA moves the file position, which a descriptor of PID/FD shares
	 * with that process. Without a file of our own, all is taken for data.
	 */
	content->fd = private_fd(vmo);
	return OK;
}

void content_close(struct content *content)
{
	if (content->fd >= 0)
		close(content->fd);
	free(content->buf);
}

uint64_t content_data(struct content *content, uint64_t at)
{
	off_t data, hole;

	if (content->fd < 0 || (at >= content->data && at < content->hole))
		return at;
	data = lseek(content->fd, at, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? content->size : at;
	hole = lseek(content->fd, data, SEEK_HOLE);
	content->data = data;
	content->hole = hole < 0 ? data : hole;
	return (uint64_t)data < content->size ? (uint64_t)data : content->size;
}

/*
 * What an object that shrinks had there reads as a hole, and what it grows by is
 * left out: neither is content that it ever had.
 */
enum status content_same_size(struct call *call, const struct content *content)
{
	struct stat st;

	if (fstat(vmo_fd(content->vmo), &st))
		return fail(call, errno, "cannot ask for the size");
	if ((uint64_t)st.st_size == content->size)
		return OK;
	fail(call, EAGAIN, "an object changed its size while it was read");
	return fail_hint(call, "do it again, or to a snapshot (sum and dump: --snapshot)");
}

int content_read(struct content *content, uint64_t at, size_t count)
{
	if (interrupted) {
		errno = EINTR;
		return -1;
	}
	return vmo_read(content->vmo, content->buf, count, at, 0) < 0 ? -1 : 0;
}

ssize_t content_piece(struct content *content, uint64_t at, bool *hole)
{
	uint64_t data = content_data(content, at), end;

	*hole = data > at;
	if (*hole)
		end = data;
	else if (content->fd >= 0 && content->hole > at && content->hole < content->size)
		end = content->hole;
	else
		end = content->size;
	if (end - at > CHUNK)
		end = at + CHUNK;
	if (!*hole)
		return content_read(content, at, end - at) ? -1 : (ssize_t)(end - at);
	memset(content->buf, 0, end - at);
	if (!interrupted)
		return end - at;
	errno = EINTR;
	return -1;
}

/* The object, or with --snapshot a snapshot that lives as long as the command. */
static struct vmo *instant(struct call *call, struct vmo *vmo)
{
	struct vmo_info info;
	struct vmo *snapshot;

	if (!option(call, OPT_SNAPSHOT))
		return vmo;
	if (vmo_info(vmo, &info, sizeof(info))) {
		fail(call, errno, "cannot ask for the size");
		return NULL;
	}
	snapshot = vmo_clone(vmo, 0, info.content_size, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE |
			     VMO_CLONE_COPY_PINNED);
	if (!snapshot) {
		fail(call, errno, "cannot take a snapshot of %s", call->argv[0]);
		return NULL;
	}
	call->ctl->temps[call->ctl->nr_temps++] = snapshot;
	return snapshot;
}

enum status content_open_first(struct call *call, struct content *content)
{
	struct vmo *vmo = object_arg(call, 0);

	if (vmo)
		vmo = instant(call, vmo);
	return vmo ? content_open(call, vmo, content) : call->ctl->error.status;
}
