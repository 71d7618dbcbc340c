// SPDX-License-Identifier: GPL-2.0
/* A file, or a block device, as what memory is served from. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "serve.h"

/* Behind the end of a file, which may have been cut, there is nothing but zeroes. */
static int file_read(struct backing *backing, void *buf, size_t count, uint64_t at)
{
	ssize_t got;

	while (count) {
		got = pread(backing->fd, buf, count, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		if (!got) {
			memset(buf, 0, count);
			return 0;
		}
		buf = (char *)buf + got;
		count -= got;
		at += got;
	}
	return 0;
}

static int file_write(struct backing *backing, const void *buf, size_t count, uint64_t at)
{
	ssize_t put;

	while (count) {
		put = pwrite(backing->fd, buf, count, at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? errno : EIO;
		buf = (const char *)buf + put;
		count -= put;
		at += put;
	}
	return 0;
}

static int file_zero(struct backing *backing, uint64_t count, uint64_t at)
{
	if (!fallocate(backing->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, count))
		return 0;
	return errno;
}

static int file_flush(struct backing *backing)
{
	return fdatasync(backing->fd) ? errno : 0;
}

static void file_close(struct backing *backing)
{
	close(backing->fd);
	free(backing);
}

static const struct backing_ops file_ops = {
	.read = file_read, .write = file_write, .zero = file_zero, .flush = file_flush,
	.close = file_close,
};

struct backing *backing_file(const char *path, bool read_only, const char **why)
{
	struct backing *backing = calloc(1, sizeof(*backing));
	off_t size;
	int err;

	*why = "";
	if (!backing)
		return NULL;
	backing->ops = &file_ops;
	backing->read_only = read_only;
	backing->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	size = backing->fd < 0 ? -1 : lseek(backing->fd, 0, SEEK_END);
	if (size >= 0) {
		backing->size = size;
		return backing;
	}
	err = errno;
	if (backing->fd >= 0)
		close(backing->fd);
	free(backing);
	errno = err;
	return NULL;
}
