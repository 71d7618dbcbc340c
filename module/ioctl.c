// SPDX-License-Identifier: GPL-2.0
/*
 * Commands: one table for /dev/vmo and one for objects, one generic path that
 * sizes, copies and answers, and thin handlers that see kernel memory only.
 * The contract is the DOC block of uapi/linux/vmo.h.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>
#include <linux/vmo.h>

#include "doors.h"

union cmd_buffer {
	struct vmo_probe probe;
	struct vmo_create create;
	struct vmo_clone clone;
	struct vmo_op_range op_range;
	struct vmo_info info;
};

/**
 * struct vmo_ucmd - one call
 * @file: what the command was given to
 * @vmo: the object behind it; NULL for /dev/vmo
 * @arg: the structure, in and out
 * @made: out: a new file, for which the caller gets a descriptor
 */
struct vmo_ucmd {
	struct file *file;
	struct vmo *vmo;
	union cmd_buffer *arg;
	struct file *made;
};

/**
 * struct vmo_cmd - a row of a table
 * @size: of the structure that we know
 * @min_size: of its first version
 * @fd: offset of the descriptor in it for commands that make one, else -1
 * @mode: FMODE_* bits that the descriptor needs (EACCES)
 * @execute: the handler
 */
struct vmo_cmd {
	unsigned int size;
	unsigned int min_size;
	int fd;
	fmode_t mode;
	int (*execute)(struct vmo_ucmd *ucmd);
};

static int cmd_probe(struct vmo_ucmd *ucmd)
{
	struct vmo_probe *probe = &ucmd->arg->probe;

	memset(probe, 0, sizeof(*probe));
	probe->abi = VMO_ABI_VERSION;
	probe->page_size = PAGE_SIZE;
	probe->features = VMO_FEATURE_SNAPSHOT;
	probe->max_size = (u64)VMO_MAX_PAGES << PAGE_SHIFT;
	return 0;
}

/* Bytes to pages, rounded up. -ERANGE if no object can be so large. */
static int size_to_pages(u64 size, pgoff_t *pages)
{
	if (size > (u64)VMO_MAX_PAGES << PAGE_SHIFT)
		return -ERANGE;
	*pages = DIV_ROUND_UP_ULL(size, PAGE_SIZE);
	return 0;
}

static int answer_file(struct vmo_ucmd *ucmd, struct file *file)
{
	if (IS_ERR(file))
		return PTR_ERR(file);
	ucmd->made = file;
	return 0;
}

static int cmd_create(struct vmo_ucmd *ucmd)
{
	struct vmo_create *create = &ucmd->arg->create;
	pgoff_t pages;
	int err;

	if (create->flags)
		return -EINVAL;
	err = size_to_pages(create->size, &pages);
	if (err)
		return err;
	return answer_file(ucmd, vmo_file_create(pages, create->size));
}

static int cmd_clone(struct vmo_ucmd *ucmd)
{
	struct vmo_clone *clone = &ucmd->arg->clone;
	pgoff_t pages, first;
	u64 end;
	int err;

	if (clone->flags != VMO_CLONE_SNAPSHOT || !PAGE_ALIGNED(clone->offset))
		return -EINVAL;
	err = size_to_pages(clone->size, &pages);
	if (err)
		return err;
	/* K2: the end of the window, counted from the root, must not wrap. */
	if (check_add_overflow(clone->offset, (u64)ucmd->vmo->base << PAGE_SHIFT, &end) ||
	    check_add_overflow(end, (u64)pages << PAGE_SHIFT, &end))
		return -EINVAL;
	if (end > (u64)VMO_MAX_PAGES << PAGE_SHIFT)
		return -ERANGE;
	first = clone->offset >> PAGE_SHIFT;
	return answer_file(ucmd, vmo_file_snapshot(ucmd->vmo, first, pages, clone->size));
}

static int op_commit(struct vmo *vmo, u64 offset, u64 length)
{
	pgoff_t first = offset >> PAGE_SHIFT;
	pgoff_t last = (offset + length - 1) >> PAGE_SHIFT;

	return vmo_cow_commit(&vmo->content->cow, vmo->base + first, vmo->base + last);
}

static int op_decommit(struct vmo *vmo, u64 offset, u64 length)
{
	pgoff_t first = offset >> PAGE_SHIFT;

	/* T6 has this order: a clone is refused before the alignment is looked at. */
	if (vmo->flags & VMO_OBJ_COW_CLONE)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(length))
		return -EINVAL;
	return vmo_cow_remove(&vmo->content->cow, vmo->base + first,
			      vmo->base + first + (length >> PAGE_SHIFT) - 1);
}

static int cmd_op_range(struct vmo_ucmd *ucmd)
{
	struct vmo_op_range *range = &ucmd->arg->op_range;
	u64 size = (u64)ucmd->vmo->pages << PAGE_SHIFT, end;

	if (range->flags)
		return -EINVAL;
	if (range->op != VMO_OP_COMMIT && range->op != VMO_OP_DECOMMIT)
		return -EINVAL;
	if (check_add_overflow(range->offset, range->length, &end) || end > size)
		return -ERANGE;
	if (!range->length)
		return 0;
	if (range->op == VMO_OP_COMMIT)
		return op_commit(ucmd->vmo, range->offset, range->length);
	return op_decommit(ucmd->vmo, range->offset, range->length);
}

static int cmd_info(struct vmo_ucmd *ucmd)
{
	struct vmo_info *info = &ucmd->arg->info;
	struct vmo *vmo = ucmd->vmo;
	struct vmo_family family;
	struct vmo_usage usage = { };
	int err = 0;

	if (vmo->pages)
		err = vmo_cow_usage(&vmo->content->cow, vmo->base,
				    vmo->base + vmo->pages - 1, &usage);
	if (err)
		return err;
	vmo_object_family(vmo, &family);
	memset(info, 0, sizeof(*info));
	info->id = vmo->id;
	info->parent_id = family.parent_id;
	info->size = (u64)vmo->pages << PAGE_SHIFT;
	info->content_size = i_size_read(file_inode(ucmd->file));
	info->committed_bytes = usage.pages << PAGE_SHIFT;
	info->private_bytes = usage.private << PAGE_SHIFT;
	info->shared_bytes = (usage.pages - usage.private) << PAGE_SHIFT;
	info->scaled_bytes = usage.scaled >> (32 - PAGE_SHIFT);
	info->metadata_bytes = usage.inners * sizeof(struct vmo_inner) +
			 usage.leaves * sizeof(struct vmo_leaf);
	info->children = family.children;
	if (vmo->flags & VMO_OBJ_COW_CLONE)
		info->flags |= VMO_INFO_COW_CLONE;
	return 0;
}

#define CMD(_cmd, _struct, _last, _fd, _mode, _execute)			\
	[_IOC_NR(_cmd)] = {						\
		.size = sizeof(struct _struct) +			\
			BUILD_BUG_ON_ZERO(sizeof(struct _struct) > sizeof(union cmd_buffer)), \
		.min_size = offsetofend(struct _struct, _last),		\
		.fd = _fd,						\
		.mode = _mode,						\
		.execute = _execute,					\
	}

static const struct vmo_cmd dev_cmds[] = {
	CMD(VMO_PROBE, vmo_probe, max_size, -1, 0, cmd_probe),
	CMD(VMO_CREATE, vmo_create, fd, offsetof(struct vmo_create, fd), FMODE_WRITE,
	    cmd_create),
};

static const struct vmo_cmd object_cmds[] = {
	CMD(VMO_CLONE, vmo_clone, fd, offsetof(struct vmo_clone, fd), FMODE_READ, cmd_clone),
	CMD(VMO_OP_RANGE, vmo_op_range, length, -1, FMODE_WRITE, cmd_op_range),
	CMD(VMO_INFO, vmo_info, flags, -1, 0, cmd_info),
};

/* Copies the answer out and, last of all, gives a new file its descriptor. */
static int respond(const struct vmo_cmd *cmd, struct vmo_ucmd *ucmd, void __user *uptr,
		   size_t usize)
{
	int fd = -1;

	if (ucmd->made) {
		fd = get_unused_fd_flags(O_CLOEXEC);
		if (fd < 0)
			goto err;
		*(__s32 *)((char *)ucmd->arg + cmd->fd) = fd;
	}
	if (copy_to_user(uptr, ucmd->arg, min_t(size_t, usize, cmd->size))) {
		if (fd >= 0)
			put_unused_fd(fd);
		fd = -EFAULT;
		goto err;
	}
	if (ucmd->made)
		fd_install(fd, ucmd->made);
	return 0;
err:
	if (ucmd->made)
		fput(ucmd->made);
	return fd;
}

static long dispatch(const struct vmo_cmd *cmds, size_t nr, struct file *file, unsigned int num,
		     void __user *uptr)
{
	size_t usize = _IOC_SIZE(num);
	union cmd_buffer arg;
	struct vmo_ucmd ucmd = { .file = file, .vmo = vmo_from_file(file), .arg = &arg };
	const struct vmo_cmd *cmd;
	int err;

	if (_IOC_TYPE(num) != VMO_IOC || _IOC_NR(num) >= nr || !cmds[_IOC_NR(num)].execute)
		return -ENOTTY;
	cmd = &cmds[_IOC_NR(num)];
	if (usize < cmd->min_size)
		return -EINVAL;
	err = copy_struct_from_user(&arg, cmd->size, uptr, usize);
	if (err)
		return err;
	if ((file->f_mode & cmd->mode) != cmd->mode)
		return -EACCES;
	err = cmd->execute(&ucmd);
	if (err)
		return err;
	return respond(cmd, &ucmd, uptr, usize);
}

long vmo_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(object_cmds, ARRAY_SIZE(object_cmds), file, cmd, (void __user *)arg);
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(dev_cmds, ARRAY_SIZE(dev_cmds), file, cmd, (void __user *)arg);
}

const struct file_operations vmo_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
