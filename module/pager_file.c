// SPDX-License-Identifier: GPL-2.0
/*
 * Pagers and their servers as files (layer L3): commands, and requests by read().
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cmd.h"
#include "pager.h"

static const struct file_operations pager_fops;

struct vmo_pager *vmo_pager_from_file(struct file *file)
{
	return file->f_op == &pager_fops ? file->private_data : NULL;
}

/* ---- commands ---------------------------------------------------------- */

/* Of a pager's file, or of a server's. */
static struct vmo_pager *pager_of(struct vmo_ucmd *ucmd)
{
	return ucmd->file->private_data;
}

/* The object behind @file, that the pager provides, and may be told about. X4, P4. */
static struct vmo *served(struct vmo_ucmd *ucmd, struct file *file, unsigned int right)
{
	struct vmo *vmo = vmo_from_file(file);

	if (!vmo || !vmo_object_served_by(vmo, pager_of(ucmd)))
		return ERR_PTR(-EINVAL);
	return vmo_file_rights(file) & right ? vmo : ERR_PTR(-EACCES);
}

#define SOURCE_RIGHTS	(VMO_RIGHT_READ | VMO_RIGHT_WRITE)

static int supply_from(struct vmo *vmo, struct vmo_pager_supply *supply, struct file *file)
{
	struct vmo *src = vmo_from_file(file);

	if (!src)
		return -EINVAL;
	if ((vmo_file_rights(file) & SOURCE_RIGHTS) != SOURCE_RIGHTS)
		return -EACCES;
	if (vmo_cow_is_paged(&src->content->cow))
		return -EOPNOTSUPP;
	return vmo_object_supply(vmo, supply->offset, src, supply->src_offset, supply->length);
}

static int supply(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo_pager_supply *supply = &ucmd->arg->supply;
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_WRITE);
	struct file *src;
	int err;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	if (!PAGE_ALIGNED(supply->offset | supply->length | supply->src_offset))
		return -EINVAL;
	src = fget(supply->src_fd);
	if (!src)
		return -EBADF;
	err = supply_from(vmo, supply, src);
	fput(src);
	return err;
}

static int fail(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo_pager_fail *fail = &ucmd->arg->fail;
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_WRITE);
	pgoff_t first;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	if (!PAGE_ALIGNED(fail->offset | fail->length))
		return -EINVAL;
	if (vmo_source_closed(vmo->content->cow.source))
		return -EBADFD;
	if (!vmo_object_has(vmo, fail->offset, fail->length))
		return -ERANGE;
	if (!fail->length)
		return 0;
	first = vmo->base + (fail->offset >> PAGE_SHIFT);
	return vmo_cow_fail(&vmo->content->cow, first,
			    first + (fail->length >> PAGE_SHIFT) - 1, -(int)fail->error);
}

static int detach(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_WRITE);

	return IS_ERR(vmo) ? PTR_ERR(vmo) : vmo_cow_detach(&vmo->content->cow);
}

static int with_file(struct vmo_ucmd *ucmd, int fd,
		     int (*execute)(struct vmo_ucmd *ucmd, struct file *file))
{
	struct file *file = fget(fd);
	int err;

	if (!file)
		return -EBADF;
	err = execute(ucmd, file);
	fput(file);
	return err;
}

static int cmd_supply(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_supply *arg = &ucmd->arg->supply;

	ucmd->silent = true;
	if (arg->flags || arg->reserved)
		return -EINVAL;
	return with_file(ucmd, arg->vmo_fd, supply);
}

static bool may_fail_with(u32 error)
{
	switch (error) {
	case EIO:
	case EBADMSG:
	case EBADFD:
	case ENOSPC:
	case ENOBUFS:
		return true;
	}
	return false;
}

static int cmd_fail(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_fail *arg = &ucmd->arg->fail;

	ucmd->silent = true;
	if (arg->flags || arg->reserved || !may_fail_with(arg->error))
		return -EINVAL;
	return with_file(ucmd, arg->vmo_fd, fail);
}

static int cmd_detach(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_detach *arg = &ucmd->arg->detach;

	ucmd->silent = true;
	return arg->flags ? -EINVAL : with_file(ucmd, arg->vmo_fd, detach);
}

static int writeback(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_WRITE);
	struct vmo_pager_writeback *arg = &ucmd->arg->writeback;
	pgoff_t first, last;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	if (!PAGE_ALIGNED(arg->offset | arg->length))
		return -EINVAL;
	if (!vmo_object_has(vmo, arg->offset, arg->length))
		return -ERANGE;
	if (!arg->length)
		return 0;
	first = vmo->base + (arg->offset >> PAGE_SHIFT);
	last = first + (arg->length >> PAGE_SHIFT) - 1;
	if (arg->flags & VMO_PAGER_END)
		return vmo_cow_writeback_end(&vmo->content->cow, first, last);
	return vmo_cow_writeback_begin(&vmo->content->cow, first, last,
				       arg->flags & VMO_PAGER_ZEROES);
}

static int cmd_writeback(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_writeback *arg = &ucmd->arg->writeback;

	ucmd->silent = true;
	switch (arg->flags) {
	case VMO_PAGER_BEGIN:
	case VMO_PAGER_BEGIN | VMO_PAGER_ZEROES:
	case VMO_PAGER_END:
		return with_file(ucmd, arg->vmo_fd, writeback);
	}
	return -EINVAL;
}

static int dirty(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_WRITE);
	struct vmo_pager_dirty *arg = &ucmd->arg->dirty;
	pgoff_t first;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	if (!PAGE_ALIGNED(arg->offset | arg->length))
		return -EINVAL;
	if (!vmo->content->cow.trap)
		return -EOPNOTSUPP;
	if (vmo_source_closed(vmo->content->cow.source))
		return -EBADFD;
	if (!vmo_object_has(vmo, arg->offset, arg->length))
		return -ERANGE;
	if (!arg->length)
		return 0;
	first = vmo->base + (arg->offset >> PAGE_SHIFT);
	return vmo_cow_dirty(&vmo->content->cow, first,
			     first + (arg->length >> PAGE_SHIFT) - 1);
}

static int cmd_dirty(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_dirty *arg = &ucmd->arg->dirty;

	ucmd->silent = true;
	return arg->flags ? -EINVAL : with_file(ucmd, arg->vmo_fd, dirty);
}

static int stats(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_READ);
	struct vmo_pager_stats *arg = &ucmd->arg->pager_stats;
	struct vmo_source_stats stats;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	vmo_source_stats(vmo->content->cow.source, arg->flags & VMO_PAGER_RESET, &stats);
	arg->modified = stats.modified;
	arg->waiting = stats.waiting;
	arg->handed = stats.handed;
	return 0;
}

static int cmd_stats(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_stats *arg = &ucmd->arg->pager_stats;

	if (arg->flags & ~VMO_PAGER_RESET || arg->reserved)
		return -EINVAL;
	return with_file(ucmd, arg->vmo_fd, stats);
}

static int dirty_ranges(struct vmo_ucmd *ucmd, struct file *file)
{
	struct vmo *vmo = served(ucmd, file, VMO_RIGHT_READ);
	struct vmo_pager_dirty_ranges *arg = &ucmd->arg->dirty_ranges;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	return PAGE_ALIGNED(arg->offset | arg->length) ? vmo_look_dirty(vmo, arg) : -EINVAL;
}

static int cmd_dirty_ranges(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_dirty_ranges *arg = &ucmd->arg->dirty_ranges;

	if (arg->flags || arg->reserved || !arg->count)
		return -EINVAL;
	return with_file(ucmd, arg->vmo_fd, dirty_ranges);
}

/* ---- servers ----------------------------------------------------------- */

/* Requests that are told per hold of the queue. */
#define TELL_MAX	8U

static const u32 request_types[] = {
	[VMO_ASK_READ] = VMO_REQUEST_READ, [VMO_ASK_DIRTY] = VMO_REQUEST_DIRTY,
	[VMO_ASK_SYNC] = VMO_REQUEST_SYNC, [VMO_ASK_COMPLETE] = VMO_REQUEST_COMPLETE,
};

void vmo_pager_describe(const struct vmo_notice *notice, struct vmo_pager_request *request)
{
	bool complete = notice->type == VMO_ASK_COMPLETE;
	u64 pages = notice->last - notice->first + 1;

	*request = (struct vmo_pager_request){
		.id = notice->id,
		.key = notice->key,
		.offset = complete ? 0 : (u64)notice->first << PAGE_SHIFT,
		.length = complete ? 0 : pages << PAGE_SHIFT,
		.type = request_types[notice->type],
	};
}

/* What there is, at once: how many, or -EFAULT. */
static ssize_t tell(struct vmo_pager *pager, struct vmo_pager_request __user *to, size_t room)
{
	struct vmo_notice notices[TELL_MAX];
	struct vmo_pager_request request;
	unsigned int nr, i;
	size_t told = 0;

	while (told < room) {
		nr = vmo_queue_take(&pager->queue, notices, min_t(size_t, room - told, TELL_MAX));
		for (i = 0; i < nr; i++) {
			vmo_pager_describe(&notices[i], &request);
			if (copy_to_user(to + told, &request, sizeof(request))) {
				vmo_queue_untell(&pager->queue, notices + i, nr - i);
				return told ? told : -EFAULT;
			}
			told++;
		}
		if (nr < TELL_MAX)
			break;
	}
	return told;
}

static bool has_news(struct vmo_pager *pager)
{
	return READ_ONCE(pager->closed) || !vmo_queue_arm(&pager->queue);
}

static ssize_t server_read(struct file *file, char __user *to, size_t size, loff_t *pos)
{
	struct vmo_pager *pager = file->private_data;
	size_t room = size / sizeof(struct vmo_pager_request);
	ssize_t told;
	int err;

	if (!room)
		return -EINVAL;
	for (;;) {
		told = tell(pager, (struct vmo_pager_request __user *)to, room);
		if (told)
			return told < 0 ? told : told * (ssize_t)sizeof(struct vmo_pager_request);
		if (READ_ONCE(pager->closed))
			return -EBADFD;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		err = wait_event_interruptible(pager->readers, has_news(pager));
		if (err)
			return err;
	}
}

static __poll_t server_poll(struct file *file, poll_table *wait)
{
	struct vmo_pager *pager = file->private_data;

	poll_wait(file, &pager->readers, wait);
	return (vmo_queue_arm(&pager->queue) ? 0 : EPOLLIN | EPOLLRDNORM) |
	       (READ_ONCE(pager->closed) ? EPOLLHUP : 0);
}

static int server_release(struct inode *unused, struct file *file)
{
	vmo_pager_unbind(file->private_data);
	return 0;
}

static const struct vmo_cmd server_cmds[] = {
	CMD_PLAIN(VMO_PAGER_SUPPLY, vmo_pager_supply, reserved, 0, cmd_supply),
	CMD_PLAIN(VMO_PAGER_FAIL, vmo_pager_fail, reserved, 0, cmd_fail),
	CMD_PLAIN(VMO_PAGER_DETACH, vmo_pager_detach, flags, 0, cmd_detach),
	CMD_PLAIN(VMO_PAGER_WRITEBACK, vmo_pager_writeback, flags, 0, cmd_writeback),
	CMD_PLAIN(VMO_PAGER_DIRTY_RANGES, vmo_pager_dirty_ranges, reserved, 0, cmd_dirty_ranges),
	CMD_PLAIN(VMO_PAGER_DIRTY, vmo_pager_dirty, flags, 0, cmd_dirty),
	CMD_PLAIN(VMO_PAGER_STATS, vmo_pager_stats, reserved, 0, cmd_stats),
};

static long server_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vmo_dispatch(server_cmds, ARRAY_SIZE(server_cmds), file, cmd, (void __user *)arg);
}

static const struct file_operations server_fops = {
	.owner = THIS_MODULE,
	.release = server_release,
	.read = server_read,
	.poll = server_poll,
	.unlocked_ioctl = server_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* ---- pagers ------------------------------------------------------------ */

static struct file *file_server(struct vmo_pager *pager)
{
	struct file *file;
	int err = vmo_pager_bind(pager);

	if (err)
		return ERR_PTR(err);
	file = anon_inode_getfile("[vmo-pager-server]", &server_fops, pager, O_RDONLY);
	if (IS_ERR(file))
		vmo_pager_unbind(pager);
	return file;
}

static int cmd_bind(struct vmo_ucmd *ucmd)
{
	if (ucmd->arg->pager_bind.flags)
		return -EINVAL;
	return vmo_answer_file(ucmd, file_server(pager_of(ucmd)));
}

static const struct vmo_cmd pager_cmds[] = {
	CMD_MAKE(VMO_PAGER_BIND, vmo_pager_bind, fd, 0, cmd_bind),
	CMD_PLAIN(VMO_PAGER_SUPPLY, vmo_pager_supply, reserved, 0, cmd_supply),
	CMD_PLAIN(VMO_PAGER_FAIL, vmo_pager_fail, reserved, 0, cmd_fail),
	CMD_PLAIN(VMO_PAGER_DETACH, vmo_pager_detach, flags, 0, cmd_detach),
	CMD_PLAIN(VMO_PAGER_WRITEBACK, vmo_pager_writeback, flags, 0, cmd_writeback),
	CMD_PLAIN(VMO_PAGER_DIRTY_RANGES, vmo_pager_dirty_ranges, reserved, 0, cmd_dirty_ranges),
	CMD_PLAIN(VMO_PAGER_DIRTY, vmo_pager_dirty, flags, 0, cmd_dirty),
	CMD_PLAIN(VMO_PAGER_STATS, vmo_pager_stats, reserved, 0, cmd_stats),
};

int vmo_pager_command(struct file *pager, unsigned int num, union vmo_cmd_buffer *arg)
{
	struct vmo_ucmd ucmd = { .file = pager, .arg = arg };

	return pager_cmds[_IOC_NR(num)].execute(&ucmd);
}

static long pager_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vmo_dispatch(pager_cmds, ARRAY_SIZE(pager_cmds), file, cmd, (void __user *)arg);
}

static int pager_release(struct inode *unused, struct file *file)
{
	vmo_pager_close(file->private_data);
	return 0;
}

static const struct file_operations pager_fops = {
	.owner = THIS_MODULE,
	.release = pager_release,
	.unlocked_ioctl = pager_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static const struct vmo_pager_limits default_limits = {
	.rebind_ms = 10000, .report_ms = 20000, .timeout_ms = 300000,
	.window = (1UL << 20) / PAGE_SIZE,
};

struct file *vmo_file_pager(const struct vmo_pager_limits *limits)
{
	struct vmo_pager *pager = vmo_pager_new(limits ? limits : &default_limits);
	struct file *file;

	if (!pager)
		return ERR_PTR(-ENOMEM);
	file = anon_inode_getfile("[vmo-pager]", &pager_fops, pager, O_RDWR);
	if (IS_ERR(file))
		vmo_pager_close(pager);
	return file;
}
