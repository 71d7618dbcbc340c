// SPDX-License-Identifier: GPL-2.0
/*
 * Objects as files: read and write, in the file form and in the strict form,
 * seek, allocate, poll.
 *
 * The file form ends at the content size, which writes raise; the strict form
 * knows the size of the object only. Both copy in one way: under the content
 * lock, a few pages per hold, and without faulting user memory in; where that
 * falls short, the lock is dropped and the user's page faulted in.
 */
#include <linux/fadvise.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "doors.h"
#include "page.h"

/* Pages per hold of the content lock (D5). */
#define COPY_PAGES	16U

static loff_t object_size(struct vmo *vmo)
{
	return (loff_t)vmo_object_pages(vmo) << PAGE_SHIFT;
}

/* ---- copying ----------------------------------------------------------- */

/**
 * struct copy - a read or a write
 * @vmo: of what
 * @pos: next byte
 * @left: bytes to go
 * @iter: the other side
 * @nowait: -EAGAIN instead of waiting for locks or memory
 * @nonblock: -EAGAIN instead of waiting for a pager
 * @raise: raise the content size as far as was copied; size_lock held exclusive
 */
struct copy {
	struct vmo *vmo;
	loff_t pos;
	size_t left;
	struct iov_iter *iter;
	bool nowait;
	bool nonblock;
	bool raise;
};

static int lock_content(struct copy *copy)
{
	struct vmo_cow_pages *cow = &copy->vmo->content->cow;

	if (copy->nowait)
		return vmo_cow_trylock_shared(cow) ? 0 : -EAGAIN;
	return vmo_cow_lock_shared(cow);
}

static void advance(struct copy *copy, size_t done)
{
	copy->pos += done;
	copy->left -= done;
}

static size_t chunk_of(struct copy *copy)
{
	return min_t(size_t, copy->left, PAGE_SIZE - offset_in_page(copy->pos));
}

static pgoff_t key_of(struct copy *copy)
{
	return copy->vmo->base + (copy->pos >> PAGE_SHIFT);
}

/* Copies from one page, a hole if NULL, without faulting user memory in. */
static size_t copy_out(struct page *page, size_t offset, size_t bytes, struct iov_iter *to)
{
	size_t done;
	char *addr;

	pagefault_disable();
	if (!page) {
		done = iov_iter_zero(bytes, to);
	} else {
		/* Never by page reference: a pipe must not hold our pages. */
		addr = kmap_local_page(page);
		done = copy_to_iter(addr + offset, bytes, to);
		kunmap_local(addr);
	}
	pagefault_enable();
	return done;
}

/* One page, or as much of it as there is user memory for. 0, or why not. */
static int read_page(struct copy *copy)
{
	struct vmo_cow_pages *cow = &copy->vmo->content->cow;
	struct page *page;
	int err = 0;

	if (key_of(copy) >= cow->end)
		return -ERANGE;
	page = vmo_cow_lookup(cow, key_of(copy));
	if (!page && vmo_cow_absent(cow, key_of(copy)))
		err = -ENODATA;
	else if (page && vmo_page_poisoned(page))
		err = -EIO;
	else
		advance(copy, copy_out(page, offset_in_page(copy->pos), chunk_of(copy),
				       copy->iter));
	if (page)
		put_page(page);
	return err;
}

static size_t copy_in(struct page *page, size_t offset, size_t bytes, struct iov_iter *from)
{
	size_t done;
	char *addr;

	pagefault_disable();
	addr = kmap_local_page(page);
	done = copy_from_iter(addr + offset, bytes, from);
	kunmap_local(addr);
	pagefault_enable();
	return done;
}

/* The page lock keeps the page ours while it is written. -EINTR: lock not held. */
static int write_page(struct copy *copy)
{
	struct vmo_cow_pages *cow = &copy->vmo->content->cow;
	struct page *page;
	int err;

	err = vmo_cow_own_page(cow, key_of(copy),
			       VMO_OWN_WRITTEN | (copy->nowait ? VMO_OWN_NOWAIT : 0), &page);
	if (err)
		return err == -EBUSY ? -EAGAIN : err;
	if (vmo_page_poisoned(page))
		err = -EIO;
	else
		advance(copy, copy_in(page, offset_in_page(copy->pos), chunk_of(copy),
				      copy->iter));
	unlock_page(page);
	put_page(page);
	return err;
}

/* Up to COPY_PAGES of them, until one falls short. */
static int copy_some(struct copy *copy, bool write)
{
	unsigned int pages = COPY_PAGES;
	size_t left;
	int err = lock_content(copy);

	if (err)
		return err;
	while (copy->left && pages-- && !err) {
		left = copy->left - chunk_of(copy);
		err = write ? write_page(copy) : read_page(copy);
		if (copy->left != left)
			break;
	}
	if (err != -EINTR)
		vmo_cow_unlock_shared(&copy->vmo->content->cow);
	return err;
}

/* Makes some of a user's memory resident, where that is the other side. */
static int fault_in(struct copy *copy, bool write)
{
	size_t bytes = min_t(size_t, copy->left, PAGE_SIZE), not;

	if (write)
		not = fault_in_iov_iter_readable(copy->iter, bytes);
	else
		not = fault_in_iov_iter_writeable(copy->iter, bytes);
	return not == bytes ? -EFAULT : 0;
}

/* Nothing was copied. 0 if the next try may do better. */
static int stuck(struct copy *copy, bool write)
{
	if (!user_backed_iter(copy->iter))
		return -EFAULT;
	return write ? 0 : fault_in(copy, write);
}

static void copied(struct copy *copy, bool write)
{
	if (write)
		vmo_content_modified(copy->vmo->content);
	if (copy->raise && copy->pos > i_size_read(copy->vmo->view.inode))
		vmo_object_set_content_size(copy->vmo, copy->pos);
}

/* The next page is absent: has it provided, with what else there is to copy. */
static int need_page(struct copy *copy, bool write)
{
	enum vmo_want want = write ? VMO_WANT_WRITE : VMO_WANT_READ;
	pgoff_t last = copy->vmo->base + ((copy->pos + copy->left - 1) >> PAGE_SHIFT);

	if (copy->nowait || copy->nonblock)
		return -EAGAIN;
	return vmo_cow_need(&copy->vmo->content->cow, key_of(copy), last, want);
}

/*
 * Copies all, if it can: 0. Else what is left in @copy is not, and why. -ENODATA: who
 * holds the size_lock has to release it, and see need_page().
 */
static int copy_all(struct copy *copy, bool write)
{
	size_t left;
	int err = 0;

	while (copy->left && !err) {
		left = copy->left;
		/* Before a write, lest a page is made for nothing. */
		if (write)
			err = fault_in(copy, write);
		if (!err)
			err = copy_some(copy, write);
		if (left != copy->left)
			copied(copy, write);
		else if (!err)
			err = stuck(copy, write);
		if (err == -ENODATA && !copy->raise)
			err = need_page(copy, write);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	return err;
}

/* ---- the file form ----------------------------------------------------- */

static ssize_t vmo_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t size = i_size_read(inode);
	struct copy copy = {
		.vmo = vmo_view_of(inode)->vmo, .pos = iocb->ki_pos, .iter = to,
		.nowait = iocb->ki_flags & IOCB_NOWAIT,
		.nonblock = iocb->ki_filp->f_flags & O_NONBLOCK,
	};
	ssize_t total;
	int err;

	if (iocb->ki_pos >= size)
		return 0;
	copy.left = min_t(loff_t, iov_iter_count(to), size - iocb->ki_pos);
	err = copy_all(&copy, false);
	if (err == -ERANGE)	/* it has shrunk: that is the end of the file */
		err = 0;
	total = copy.pos - iocb->ki_pos;
	iocb->ki_pos = copy.pos;
	if (total)
		file_accessed(iocb->ki_filp);
	return total ? total : err;
}

/* Bytes from @pos on that a file may have: RLIMIT_FSIZE, the largest object. */
static ssize_t clip_to_limits(struct vmo *vmo, loff_t pos, size_t bytes)
{
	loff_t end = VMO_MAX_SIZE - ((loff_t)vmo->base << PAGE_SHIFT);
	unsigned long limit = rlimit(RLIMIT_FSIZE);

	if (pos >= limit) {
		send_sig(SIGXFSZ, current, 0);
		return -EFBIG;
	}
	end = min_t(u64, end, limit);
	if (pos >= end)
		return -EFBIG;
	return min_t(loff_t, bytes, end - pos);
}

/* How much of a write fits, once the object has grown if it can; or an error. */
static ssize_t write_room(struct copy *copy, struct vmo_view *view, size_t bytes)
{
	struct vmo *vmo = copy->vmo;
	ssize_t room = clip_to_limits(vmo, copy->pos, bytes);
	loff_t size = object_size(vmo);
	int err;

	if (room < 0 || copy->pos + room <= size)
		return room;
	if (view->rights & VMO_RIGHT_RESIZE) {
		if (copy->nowait)
			return -EAGAIN;
		err = vmo_object_grow(view, copy->pos + room);
		return err ? err : room;
	}
	return copy->pos < size ? size - copy->pos : -ENOSPC;
}

static int lock_size(struct copy *copy)
{
	struct rw_semaphore *lock = &copy->vmo->content->size_lock;

	if (copy->nowait)
		return down_write_trylock(lock) ? 0 : -EAGAIN;
	return down_write_killable(lock) ? -EINTR : 0;
}

/* Writes as much as it can without a pager, and adds that to *@total. */
static int write_locked(struct copy *copy, struct kiocb *iocb, struct vmo_view *view,
			struct iov_iter *from, ssize_t *total)
{
	ssize_t room;
	int err = lock_size(copy);

	if (err)
		return err;
	if (iocb->ki_flags & IOCB_APPEND)
		copy->pos = i_size_read(view->inode);
	room = write_room(copy, view, iov_iter_count(from));
	err = room < 0 ? room : vmo_file_touch(iocb->ki_filp);
	if (!err) {
		copy->left = room;
		err = copy_all(copy, true);
		*total += room - copy->left;
		iocb->ki_pos = copy->pos;
	}
	up_write(&copy->vmo->content->size_lock);
	return err;
}

static ssize_t vmo_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct vmo_view *view = vmo_view_of(file_inode(file));
	struct copy copy = {
		.vmo = view->vmo, .pos = iocb->ki_pos, .iter = from,
		.nowait = iocb->ki_flags & IOCB_NOWAIT, .raise = true,
		.nonblock = file->f_flags & O_NONBLOCK,
	};
	ssize_t total = 0;
	int err;

	if (!iov_iter_count(from))
		return 0;
	do {
		err = write_locked(&copy, iocb, view, from, &total);
		/* Nobody else is to wait for a pager here. */
		if (err == -ENODATA)
			err = need_page(&copy, true) ?: -ENODATA;
	} while (err == -ENODATA);
	/* O_DSYNC */
	return total > 0 ? generic_write_sync(iocb, total) : err;
}

/* ---- the strict form --------------------------------------------------- */

int vmo_rw_strict(struct file *file, struct iov_iter *iter, struct vmo_rw *rw, bool write)
{
	struct vmo *vmo = vmo_from_file(file);
	u64 size = object_size(vmo), end;
	struct copy copy = {
		.vmo = vmo, .pos = rw->offset, .iter = iter,
		.nonblock = file->f_flags & O_NONBLOCK,
	};
	int err = 0;

	copy.left = iov_iter_count(iter);
	if (check_add_overflow(rw->offset, (u64)copy.left, &end))
		return -ERANGE;
	if (end > size) {
		if (!(rw->flags & VMO_RW_TRIM))
			return -ERANGE;
		copy.left = rw->offset < size ? size - rw->offset : 0;
	}
	if (!copy.left)
		return 0;
	if (write)
		err = vmo_file_touch(file);
	else
		file_accessed(file);
	if (!err)
		err = copy_all(&copy, write);
	rw->actual = copy.pos - rw->offset;
	return err;
}

/* ---- writing back ------------------------------------------------------- */

/* What fsync() may say. */
static int sync_error(int err)
{
	switch (err) {
	case 0:
	case -EINTR:
	case -ENOMEM:
	case -ENOSPC:
		return err;
	}
	return -EIO;
}

/* Bytes of the content. Memory that nobody provides is nowhere to be written to. */
static int sync_content(struct vmo_content *content, loff_t start, loff_t end)
{
	if (!content->cow.source || start > end)
		return 0;
	return sync_error(vmo_cow_sync(&content->cow, start >> PAGE_SHIFT, end >> PAGE_SHIFT));
}

static int vmo_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct vmo *vmo = vmo_from_file(file);
	loff_t base = (loff_t)vmo->base << PAGE_SHIFT;

	end = min(end, object_size(vmo) - 1);
	return sync_content(vmo->content, base + start, base + end);
}

/* The offsets of such a file are keys. */
static int vma_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return sync_content(vmo_view_of(file_inode(file))->vmo->content, start, end);
}

/* ---- seek -------------------------------------------------------------- */

static loff_t seek_content(struct file *file, loff_t offset, bool hole)
{
	struct inode *inode = file_inode(file);
	struct vmo *vmo = vmo_view_of(inode)->vmo;
	loff_t size = i_size_read(inode);
	pgoff_t found;
	int err;

	if (offset < 0 || offset >= size)
		return -ENXIO;
	err = vmo_cow_seek(&vmo->content->cow, vmo->base + (offset >> PAGE_SHIFT),
			   vmo->base + ((size - 1) >> PAGE_SHIFT), hole, &found);
	if (err == -ENXIO && hole)
		return vfs_setpos(file, size, size);
	if (err)
		return err;
	offset = max(offset, (loff_t)(found - vmo->base) << PAGE_SHIFT);
	return vfs_setpos(file, offset, size);
}

static loff_t vmo_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);

	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		return seek_content(file, offset, whence == SEEK_HOLE);
	return generic_file_llseek_size(file, offset, whence, inode->i_sb->s_maxbytes,
					i_size_read(inode));
}

/* ---- allocate ---------------------------------------------------------- */

/* Pages behind the end there can only be where the object can grow. */
static int grow_to(struct vmo_view *view, loff_t end)
{
	int err = vmo_object_grow(view, end);

	switch (err) {
	case -EPERM:
	case -EACCES:
		return -ENOSPC;
	case -ERANGE:
	case -EINVAL:
		return -EFBIG;
	}
	return err;
}

static int allocate_locked(struct vmo_view *view, int mode, loff_t offset, loff_t end)
{
	bool raise = !(mode & FALLOC_FL_KEEP_SIZE) && end > i_size_read(view->inode);
	struct vmo *vmo = view->vmo;
	int err = 0;

	if (mode & FALLOC_FL_PUNCH_HOLE) {
		end = min(end, object_size(vmo));
		return end > offset ? vmo_object_zero(vmo, offset, end - offset) : 0;
	}
	if (raise)
		err = inode_newsize_ok(view->inode, end);
	if (!err)
		err = grow_to(view, end);
	if (err)
		return err;
	if (mode & FALLOC_FL_ZERO_RANGE)
		err = vmo_object_zero(vmo, offset, end - offset);
	else
		err = vmo_object_commit(vmo, offset, end - offset);
	if (!err && raise)
		vmo_object_set_content_size(vmo, end);
	return err;
}

static long vmo_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct vmo_view *view = vmo_view_of(file_inode(file));
	struct vmo *vmo = view->vmo;
	int err;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_PUNCH_HOLE:	/* only with KEEP_SIZE, says the core */
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (down_write_killable(&vmo->content->size_lock))
		return -EINTR;
	err = allocate_locked(view, mode, offset, offset + length);
	/*
	 * Not file_modified(): that may change the mode, for which we would need the
	 * inode's lock. The mode's set-id bits mean nothing on an internal mount.
	 */
	if (!err)
		vmo_file_touch(file);
	up_write(&vmo->content->size_lock);
	return err;
}

/* MADV_REMOVE comes this way: the offsets of such a file are keys. */
static long vma_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct vmo *vmo = vmo_view_of(file_inode(file))->vmo;
	loff_t base = (loff_t)vmo->base << PAGE_SHIFT;

	if (offset < base)
		return -EINVAL;
	return vmo_fallocate(file, mode, offset - base, length);
}

/* All memory is resident and none is read ahead: advice is taken, and does nothing. */
static int vmo_fadvise(struct file *file, loff_t offset, loff_t length, int advice)
{
	return length < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE ?
	       -EINVAL : 0;
}

/* ---- looking ----------------------------------------------------------- */

/* H3: EPOLLPRI is set while there are no children. */
static __poll_t vmo_poll(struct file *file, poll_table *wait)
{
	struct vmo *vmo = vmo_view_of(file_inode(file))->vmo;

	poll_wait(file, &vmo->childless, wait);
	return DEFAULT_POLLMASK | (READ_ONCE(vmo->nr_children) ? 0 : EPOLLPRI);
}

static void vmo_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct vmo *vmo = vmo_view_of(file_inode(file))->vmo;
	char name[VMO_NAME_ESCAPED];
	struct vmo_family family;

	vmo_object_family(vmo, &family);
	vmo_name_escaped(vmo, name);
	seq_printf(m, "vmo-id:\t%llu\n", vmo->id);
	seq_printf(m, "vmo-parent:\t%llu\n", family.parent_id);
	seq_printf(m, "vmo-children:\t%lu\n", family.children);
	seq_printf(m, "vmo-size:\t%llu\n", object_size(vmo));
	seq_printf(m, "vmo-pins:\t%llu\n", (u64)atomic64_read(&vmo->content->cow.pins));
	seq_printf(m, "vmo-name:\t%s\n", name);
}

const struct file_operations vmo_fops = {
	.owner = THIS_MODULE,
	.open = vmo_open,
	.llseek = vmo_llseek,
	.read_iter = vmo_read_iter,
	.write_iter = vmo_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = vmo_mmap,
	.fsync = vmo_fsync,
	.fallocate = vmo_fallocate,
	.fadvise = vmo_fadvise,
	.poll = vmo_poll,
	.show_fdinfo = vmo_show_fdinfo,
	.unlocked_ioctl = vmo_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* What a mapping holds; no descriptor ever refers to it. */
const struct file_operations vmo_vma_fops = {
	.owner = THIS_MODULE,
	.fsync = vma_fsync,
	.fallocate = vma_fallocate,
	.fadvise = vmo_fadvise,
};
