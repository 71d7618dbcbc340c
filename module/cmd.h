/* SPDX-License-Identifier: GPL-2.0 */
/* Commands (layer L3): what all tables of them have in common; see ioctl.c. */
#ifndef VMO_CMD_H
#define VMO_CMD_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/vmo.h>

#include "doors.h"

union vmo_cmd_buffer {
	struct vmo_probe probe;
	struct vmo_create create;
	struct vmo_clone clone;
	struct vmo_op_range op_range;
	struct vmo_info info;
	struct vmo_slice slice;
	struct vmo_reference reference;
	struct vmo_resize resize;
	struct vmo_pin pin;
	struct vmo_name name;
	struct vmo_rw rw;
	struct vmo_restrict limit;
	struct vmo_transfer transfer;
	struct vmo_pages pages;
	struct vmo_lookup lookup;
	struct vmo_usage usage;
	struct vmo_stats stats;
	struct vmo_diff diff;
	struct vmo_rewind rewind;
	struct vmo_harvester harvester;
	struct vmo_pager_create pager_create;
	struct vmo_pager_bind pager_bind;
	struct vmo_pager_supply supply;
	struct vmo_pager_fail fail;
	struct vmo_pager_detach detach;
	struct vmo_pager_writeback writeback;
	struct vmo_pager_dirty_ranges dirty_ranges;
	struct vmo_pager_dirty dirty;
	struct vmo_pager_stats pager_stats;
};

/**
 * struct vmo_ucmd - one call
 * @file: what the command was given to
 * @vmo: the object behind it; NULL for what is none
 * @rights: VMO_RIGHT_* of @file
 * @arg: the structure, in and out
 * @made: out: a new file, for which the caller gets a descriptor
 * @silent: out: there is nothing to answer, so nothing that could fail after all
 */
struct vmo_ucmd {
	struct file *file;
	struct vmo *vmo;
	unsigned int rights;
	union vmo_cmd_buffer *arg;
	struct file *made;
	bool silent;
};

/**
 * struct vmo_cmd - a row of a table
 * @size: of the structure that we know
 * @min_size: of its first version
 * @fd: offset of the descriptor in it for commands that make one, else -1
 * @rights: VMO_RIGHT_* that the descriptor needs (EACCES)
 * @always: answer even if the handler fails
 * @execute: the handler
 */
struct vmo_cmd {
	unsigned int size;
	unsigned int min_size;
	int fd;
	unsigned int rights;
	bool always;
	int (*execute)(struct vmo_ucmd *ucmd);
};

/* A handler's answer is a file, or why there is none. */
int vmo_answer_file(struct vmo_ucmd *ucmd, struct file *file);

/* Runs the command @num of a table with @nr rows. */
long vmo_dispatch(const struct vmo_cmd *cmds, size_t nr, struct file *file, unsigned int num,
		  void __user *uptr);

/* pager_file.c: one that makes no file, on a pager, by another way than ioctl(). */
int vmo_pager_command(struct file *pager, unsigned int num, union vmo_cmd_buffer *arg);
void vmo_pager_describe(const struct vmo_notice *notice, struct vmo_pager_request *request);

#define CMD(_cmd, _struct, _last, _fd, _rights, _always, _execute)	\
	[_IOC_NR(_cmd)] = {						\
		.size = sizeof(struct _struct) +			\
			BUILD_BUG_ON_ZERO(sizeof(struct _struct) > sizeof(union vmo_cmd_buffer)), \
		.min_size = offsetofend(struct _struct, _last),		\
		.fd = _fd,						\
		.rights = _rights,					\
		.always = _always,					\
		.execute = _execute,					\
	}

/* A command that answers with what it was given or found out. */
#define CMD_PLAIN(_cmd, _struct, _last, _rights, _execute)		\
	CMD(_cmd, _struct, _last, -1, _rights, false, _execute)
/* A command that makes a file. */
#define CMD_MAKE(_cmd, _struct, _last, _rights, _execute)		\
	CMD(_cmd, _struct, _last, offsetof(struct _struct, fd), _rights, false, _execute)

#endif
