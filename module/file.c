// SPDX-License-Identifier: GPL-2.0
/*
 * Objects as files: the pseudo file system, lifetimes, read and write.
 *
 * Each object has an inode of its own: size, times, name. Each content has
 * another one, whose address_space all files of its objects use, so that one
 * unmap reaches every mapping. The inode of the content outlives it as long as
 * a page has its home there.
 *
 * The file system is mounted while there is a content (simple_pin_fs()); the
 * mount pins the module. The last unpin runs on our workqueue, which module
 * exit drains, so no code of ours runs after the module may go.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "doors.h"
#include "page.h"

#define VMO_FS_MAGIC	0x766d6f21	/* "vmo!" */

/* Pages per hold of the content lock (D5). */
#define COPY_PAGES	16U

static struct vfsmount *vmo_mnt;
static int vmo_mnt_count;
static struct workqueue_struct *vmo_wq;

static const struct file_operations vmo_fops;
static const struct file_operations vmo_vma_fops;
static struct file_system_type vmo_fs_type;

/* ---- contents and their inodes ----------------------------------------- */

static void mappings_free(struct work_struct *work)
{
	struct vmo_mappings *maps = container_of(work, struct vmo_mappings, work);

	iput(maps->inode);
	kfree(maps);
	simple_release_fs(&vmo_mnt, &vmo_mnt_count);
}

static void mappings_release(struct vmo_home *home)
{
	queue_work(vmo_wq, &container_of(home, struct vmo_mappings, home)->work);
}

/* What a content needs of the file system. @end in keys. */
static struct vmo_mappings *mappings_new(struct super_block *sb, pgoff_t end)
{
	struct vmo_mappings *maps = kzalloc(sizeof(*maps), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!maps)
		return ERR_PTR(-ENOMEM);
	inode = alloc_anon_inode(sb);
	if (IS_ERR(inode)) {
		kfree(maps);
		return ERR_CAST(inode);
	}
	inode->i_private = &maps->home;
	i_size_write(inode, (loff_t)end << PAGE_SHIFT);
	maps->inode = inode;
	maps->home.mapping = inode->i_mapping;
	maps->home.release = mappings_release;
	atomic_long_set(&maps->home.users, 1);
	address_space_init_once(&maps->odd);
	maps->odd.host = inode;
	maps->odd.a_ops = inode->i_mapping->a_ops;
	INIT_WORK(&maps->work, mappings_free);
	return maps;
}

static struct vmo_content *content_new(pgoff_t base, pgoff_t pages)
{
	struct vmo_content *content;
	struct vmo_mappings *maps;
	int err;

	err = simple_pin_fs(&vmo_fs_type, &vmo_mnt, &vmo_mnt_count);
	if (err)
		return ERR_PTR(err);
	maps = mappings_new(vmo_mnt->mnt_sb, base + pages);
	if (IS_ERR(maps)) {
		simple_release_fs(&vmo_mnt, &vmo_mnt_count);
		return ERR_CAST(maps);
	}
	content = vmo_content_new(&vmo_mapping_ops, &maps->home, base, pages);
	if (!content) {
		vmo_home_put(&maps->home);
		return ERR_PTR(-ENOMEM);
	}
	return content;
}

/* ---- objects and their inodes ------------------------------------------ */

static bool is_object(struct inode *inode)
{
	return inode->i_fop == &vmo_fops;
}

static void vmo_evict_inode(struct inode *inode)
{
	clear_inode(inode);
	if (is_object(inode))
		vmo_object_free(inode->i_private);
}

static const struct super_operations vmo_super_ops = {
	.statfs = simple_statfs,
	.evict_inode = vmo_evict_inode,
};

/* The name for /proc/PID/maps and fd links goes to the end of the buffer. */
static char *vmo_dname(struct dentry *dentry, char *buffer, int len)
{
	struct vmo *vmo = d_inode(dentry)->i_private;
	char name[32];
	int size = snprintf(name, sizeof(name), "/vmo:%llu", vmo->id) + 1;

	if (size > len)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + len - size, name, size);
}

static const struct dentry_operations vmo_dentry_ops = {
	.d_dname = vmo_dname,
};

static int vmo_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, VMO_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &vmo_super_ops;
	ctx->dops = &vmo_dentry_ops;
	return 0;
}

static struct file_system_type vmo_fs_type = {
	.name = "vmo_objects",
	.owner = THIS_MODULE,
	.init_fs_context = vmo_init_fs_context,
	.kill_sb = kill_anon_super,
};

/* The size of a plain object is fixed; to set what is set already is fine. */
static int vmo_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE && attr->ia_size != i_size_read(inode))
		return -EPERM;
	setattr_copy(idmap, inode, attr);
	return 0;
}

static const struct inode_operations vmo_inode_ops = {
	.setattr = vmo_setattr,
};

/* Takes over @vmo, also when it fails. */
static struct inode *object_inode(struct super_block *sb, struct vmo *vmo, loff_t size)
{
	struct inode *inode = alloc_anon_inode(sb);

	if (IS_ERR(inode)) {
		vmo_object_free(vmo);
		return inode;
	}
	inode->i_mode = S_IFREG | 0600;
	inode->i_op = &vmo_inode_ops;
	inode->i_fop = &vmo_fops;
	inode->i_private = vmo;
	i_size_write(inode, size);
	return inode;
}

struct vmo *vmo_from_file(struct file *file)
{
	return file->f_op == &vmo_fops ? file_inode(file)->i_private : NULL;
}

static int vmo_open(struct inode *inode, struct file *file)
{
	struct vmo *vmo = inode->i_private;

	file->f_mapping = vmo->content->home->mapping;
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return 0;
}

/* A file on @inode, whose reference it takes over on success. */
static struct file *file_on_inode(struct inode *inode, int flags,
				  const struct file_operations *fops)
{
	struct file *file;

	/* alloc_file_pseudo() does not take what __fput() puts. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, vmo_mnt, "vmo", flags, fops);
	if (IS_ERR(file))
		module_put(THIS_MODULE);
	return file;
}

/* Takes over @content, also when it fails. */
static struct file *file_for_content(struct vmo_content *content, struct vmo *parent,
				     unsigned long flags, loff_t size)
{
	struct super_block *sb = content->home->mapping->host->i_sb;
	struct inode *inode;
	struct file *file;
	struct vmo *vmo;

	vmo = vmo_object_new(content, parent, flags);
	if (!vmo) {
		vmo_content_put(content);
		return ERR_PTR(-ENOMEM);
	}
	inode = object_inode(sb, vmo, size);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	file = file_on_inode(inode, O_RDWR, &vmo_fops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}
	vmo_open(inode, file);
	return file;
}

struct file *vmo_file_create(pgoff_t pages, loff_t size)
{
	struct vmo_content *content = content_new(0, pages);

	if (IS_ERR(content))
		return ERR_CAST(content);
	return file_for_content(content, NULL, 0, size);
}

struct file *vmo_file_snapshot(struct vmo *parent, pgoff_t first, pgoff_t pages, loff_t size)
{
	struct vmo_content *content = content_new(parent->base + first, pages);
	int err;

	if (IS_ERR(content))
		return ERR_CAST(content);
	err = vmo_cow_snapshot(&parent->content->cow, &content->cow);
	if (err) {
		vmo_content_put(content);
		return ERR_PTR(err);
	}
	return file_for_content(content, parent, VMO_OBJ_COW_CLONE, size);
}

struct file *vmo_file_for_vma(struct vmo *vmo, struct file *file, bool odd)
{
	struct inode *inode = file_inode(file);
	struct file *own;

	ihold(inode);
	own = file_on_inode(inode, file->f_flags & O_ACCMODE, &vmo_vma_fops);
	if (IS_ERR(own)) {
		iput(inode);
		return own;
	}
	own->f_mapping = odd ? &vmo_mappings(vmo->content)->odd : vmo->content->home->mapping;
	return own;
}

/* ---- read -------------------------------------------------------------- */

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

/*
 * Copies until a page is short, in one hold of the content lock. Returns the
 * bytes, or -EINTR, -EIO.
 */
static ssize_t read_some(struct vmo *vmo, loff_t pos, size_t bytes, struct iov_iter *to)
{
	struct vmo_cow_pages *cow = &vmo->content->cow;
	unsigned int pages = COPY_PAGES;
	size_t total = 0, chunk, done;
	struct page *page;
	int err;

	err = vmo_cow_lock_shared(cow);
	if (err)
		return err;
	while (bytes && pages--) {
		chunk = min_t(size_t, bytes, PAGE_SIZE - offset_in_page(pos));
		page = vmo_cow_lookup(cow, vmo->base + (pos >> PAGE_SHIFT));
		if (page && vmo_page_poisoned(page)) {
			put_page(page);
			err = -EIO;
			break;
		}
		done = copy_out(page, offset_in_page(pos), chunk, to);
		if (page)
			put_page(page);
		total += done;
		pos += done;
		bytes -= done;
		if (done < chunk)
			break;
	}
	vmo_cow_unlock_shared(cow);
	return total ? total : err;
}

static ssize_t vmo_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct vmo *vmo = inode->i_private;
	ssize_t total = 0, done = 0;

	while (iov_iter_count(to)) {
		loff_t size = i_size_read(inode);
		size_t bytes;

		if (iocb->ki_pos >= size)
			break;
		bytes = min_t(loff_t, iov_iter_count(to), size - iocb->ki_pos);
		done = read_some(vmo, iocb->ki_pos, bytes, to);
		if (done < 0)
			break;
		iocb->ki_pos += done;
		total += done;
		bytes = min_t(size_t, bytes, PAGE_SIZE);
		if (!done && fault_in_iov_iter_writeable(to, bytes) == bytes) {
			done = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			done = -EINTR;
			break;
		}
		cond_resched();
	}
	if (total)
		file_accessed(iocb->ki_filp);
	return total ? total : min_t(ssize_t, done, 0);
}

/* ---- write ------------------------------------------------------------- */

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

/* As read_some(); the page lock keeps the page ours while it is written. */
static ssize_t write_some(struct vmo *vmo, loff_t pos, size_t bytes, struct iov_iter *from)
{
	struct vmo_cow_pages *cow = &vmo->content->cow;
	unsigned int pages = COPY_PAGES;
	size_t total = 0, chunk, done;
	struct page *page;
	int err;

	err = vmo_cow_lock_shared(cow);
	if (err)
		return err;
	while (bytes && pages--) {
		chunk = min_t(size_t, bytes, PAGE_SIZE - offset_in_page(pos));
		err = vmo_cow_own_page(cow, vmo->base + (pos >> PAGE_SHIFT), 0, &page);
		if (err == -EINTR)
			return total ? total : err;
		if (err)
			break;
		done = 0;
		if (vmo_page_poisoned(page))
			err = -EIO;
		else
			done = copy_in(page, offset_in_page(pos), chunk, from);
		unlock_page(page);
		put_page(page);
		total += done;
		pos += done;
		bytes -= done;
		if (done < chunk)
			break;
	}
	vmo_cow_unlock_shared(cow);
	return total ? total : err;
}

/*
 * How much may be written at @pos (file form: up to the object's size), or
 * an error.
 */
static ssize_t write_limit(struct vmo *vmo, loff_t pos, size_t bytes)
{
	unsigned long limit = rlimit(RLIMIT_FSIZE);
	loff_t end = (loff_t)vmo->pages << PAGE_SHIFT;

	if (limit != RLIM_INFINITY) {
		if (pos >= limit) {
			send_sig(SIGXFSZ, current, 0);
			return -EFBIG;
		}
		end = min_t(loff_t, end, limit);
	}
	if (pos >= end)
		return -ENOSPC;
	return min_t(loff_t, bytes, end - pos);
}

static ssize_t write_locked(struct kiocb *iocb, struct iov_iter *from, size_t bytes)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t total = 0, done = 0;

	while (bytes) {
		/* Some of it has to be resident, or nothing would ever be copied. */
		if (fault_in_iov_iter_readable(from, min_t(size_t, bytes, PAGE_SIZE)) ==
		    min_t(size_t, bytes, PAGE_SIZE)) {
			done = -EFAULT;
			break;
		}
		done = write_some(inode->i_private, iocb->ki_pos, bytes, from);
		if (done < 0)
			break;
		iocb->ki_pos += done;
		total += done;
		bytes -= done;
		if (iocb->ki_pos > i_size_read(inode))
			i_size_write(inode, iocb->ki_pos);
		if (fatal_signal_pending(current)) {
			done = -EINTR;
			break;
		}
		cond_resched();
	}
	return total ? total : done;
}

static ssize_t vmo_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct vmo *vmo = inode->i_private;
	ssize_t ret;

	if (!iov_iter_count(from))
		return 0;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	if (iocb->ki_flags & IOCB_APPEND)
		iocb->ki_pos = i_size_read(inode);
	ret = write_limit(vmo, iocb->ki_pos, iov_iter_count(from));
	if (ret > 0) {
		int err = file_update_time(file);

		ret = err ? err : write_locked(iocb, from, ret);
	}
	inode_unlock(inode);
	return ret;
}

/* ---- seek -------------------------------------------------------------- */

static loff_t seek_content(struct file *file, loff_t offset, bool hole)
{
	struct inode *inode = file_inode(file);
	struct vmo *vmo = inode->i_private;
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

static const struct file_operations vmo_fops = {
	.owner = THIS_MODULE,
	.open = vmo_open,
	.llseek = vmo_llseek,
	.read_iter = vmo_read_iter,
	.write_iter = vmo_write_iter,
	.mmap = vmo_mmap,
	.fsync = noop_fsync,
	.unlocked_ioctl = vmo_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* What a mapping holds; no descriptor ever refers to it. */
static const struct file_operations vmo_vma_fops = {
	.owner = THIS_MODULE,
	.fsync = noop_fsync,
};

int vmo_file_init(void)
{
	vmo_wq = alloc_workqueue("vmo", WQ_UNBOUND, 0);
	return vmo_wq ? 0 : -ENOMEM;
}

/* No file is left: each pins the module. A last iput may be under way. */
void vmo_file_exit(void)
{
	destroy_workqueue(vmo_wq);
}
