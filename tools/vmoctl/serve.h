/* SPDX-License-Identifier: GPL-2.0 */
/* Where the memory of "vmoctl pager serve" comes from. */
#ifndef VMOCTL_SERVE_H
#define VMOCTL_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backing;

/* What the functions of a backing return is 0 or an errno. */
struct backing_ops {
	int (*read)(struct backing *backing, void *buf, size_t count, uint64_t at);
	int (*write)(struct backing *backing, const void *buf, size_t count, uint64_t at);
	/* Lets it read zero, if that can be done at once; else it need not. */
	int (*zero)(struct backing *backing, uint64_t count, uint64_t at);
	/* Until then what was written may be lost. */
	int (*flush)(struct backing *backing);
	void (*close)(struct backing *backing);
};

struct backing {
	const struct backing_ops *ops;
	uint64_t size;		/* bytes */
	bool read_only;
	int fd;			/* of a file */
	void *nbd;		/* of an export */
};

/* Both return NULL with errno, and in *@why what is known besides; "" for nothing. */
struct backing *backing_file(const char *path, bool read_only, const char **why);
struct backing *backing_nbd(const char *uri, bool read_only, const char **why);

static inline bool is_nbd(const char *name)
{
	return !__builtin_strncmp(name, "nbd:", 4) || !__builtin_strncmp(name, "nbds:", 5) ||
	       !__builtin_strncmp(name, "nbd+", 4) || !__builtin_strncmp(name, "nbds+", 5);
}

#endif
