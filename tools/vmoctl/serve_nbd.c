// SPDX-License-Identifier: GPL-2.0
/* An NBD export as what memory is served from, by libnbd. */
#include <errno.h>
#include <libnbd.h>
#include <stdlib.h>
#include "serve.h"

/* So many bytes any server takes in one request. */
#define PIECE	(1UL << 20)

static int nbd_error(void)
{
	int err = nbd_get_errno();

	return err ? err : EIO;
}

static int export_read(struct backing *backing, void *buf, size_t count, uint64_t at)
{
	return nbd_pread(backing->nbd, buf, count, at, 0) ? nbd_error() : 0;
}

static int export_write(struct backing *backing, const void *buf, size_t count, uint64_t at)
{
	return nbd_pwrite(backing->nbd, buf, count, at, 0) ? nbd_error() : 0;
}

static int export_zero(struct backing *backing, uint64_t count, uint64_t at)
{
	int err = nbd_can_zero(backing->nbd) == 1 ? 0 : EOPNOTSUPP;
	uint64_t piece;

	for (; count && !err; count -= piece, at += piece) {
		piece = count < PIECE ? count : PIECE;
		if (nbd_zero(backing->nbd, piece, at, 0))
			err = nbd_error();
	}
	return err;
}

static int export_flush(struct backing *backing)
{
	/* Without the command there is nothing that a server could lose. */
	if (nbd_can_flush(backing->nbd) != 1)
		return 0;
	return nbd_flush(backing->nbd, 0) ? nbd_error() : 0;
}

static void export_close(struct backing *backing)
{
	nbd_shutdown(backing->nbd, 0);
	nbd_close(backing->nbd);
	free(backing);
}

static const struct backing_ops nbd_ops = {
	.read = export_read, .write = export_write, .zero = export_zero,
	.flush = export_flush, .close = export_close,
};

static struct backing *give_up(struct nbd_handle *nbd, const char **why)
{
	int err = nbd_error();

	/* The text is the thread's, and outlives the handle. */
	*why = nbd_get_error();
	if (nbd)
		nbd_close(nbd);
	errno = err;
	return NULL;
}

struct backing *backing_nbd(const char *uri, bool read_only, const char **why)
{
	struct nbd_handle *nbd = nbd_create();
	struct backing *backing;
	int64_t size;

	if (!nbd || nbd_connect_uri(nbd, uri))
		return give_up(nbd, why);
	size = nbd_get_size(nbd);
	if (size < 0)
		return give_up(nbd, why);
	backing = calloc(1, sizeof(*backing));
	if (!backing)
		return give_up(nbd, why);
	backing->ops = &nbd_ops;
	backing->nbd = nbd;
	backing->size = size;
	backing->fd = -1;
	backing->read_only = read_only || nbd_is_read_only(nbd) == 1;
	return backing;
}
