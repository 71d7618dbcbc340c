// SPDX-License-Identifier: GPL-2.0
/*
 * Objects and their inodes: the pseudo file system, lifetimes, attributes.
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
#include <linux/anon_inodes.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/workqueue.h>

#include "doors.h"
#include "trace.h"

#define VMO_FS_MAGIC	0x766d6f21	/* "vmo!" */

static struct vfsmount *vmo_mnt;
static int vmo_mnt_count;
static struct workqueue_struct *vmo_wq;

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

static struct vmo_content *content_new(pgoff_t base, pgoff_t pages, unsigned long flags,
				       struct vmo_content *like)
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
	content = vmo_content_new(&vmo_mapping_ops, &maps->home, base, pages, flags, like);
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

static void object_free(struct vmo *vmo)
{
	struct vmo_departure gone;

	trace_vmo_close(vmo);
	vmo_object_free(vmo, &gone);
	if (gone.known)
		vmo_tell_closed(&gone);
}

static void view_free(struct vmo_view *view)
{
	struct vmo *vmo = view->vmo;

	if (view == &vmo->view) {
		object_free(vmo);
		return;
	}
	vmo_view_leave(view);
	kfree(view);
	iput(vmo->view.inode);
}

static void vmo_evict_inode(struct inode *inode)
{
	clear_inode(inode);
	if (is_object(inode))
		view_free(vmo_view_of(inode));
}

static const struct super_operations vmo_super_ops = {
	.statfs = simple_statfs,
	.evict_inode = vmo_evict_inode,
};

/*
 * The name with all but printable ASCII in octal; @buffer has VMO_NAME_ESCAPED
 * bytes. False if there is none.
 */
bool vmo_name_escaped(struct vmo *vmo, char *buffer)
{
	char name[VMO_NAME_SIZE];
	int length;

	vmo_object_name(vmo, name);
	length = string_escape_mem(name, strlen(name), buffer, VMO_NAME_ESCAPED - 1,
				   ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND, "\\");
	buffer[length] = 0;
	return length;
}

/* The name for /proc/PID/maps and fd links goes to the end of the buffer. */
static char *vmo_dname(struct dentry *dentry, char *buffer, int len)
{
	struct vmo *vmo = vmo_view_of(d_inode(dentry))->vmo;
	char name[32 + VMO_NAME_ESCAPED];
	int size = snprintf(name, 32, "/vmo:%llu:", vmo->id);

	if (!vmo_name_escaped(vmo, name + size))
		name[--size] = 0;	/* without a name there is no colon */
	size += strlen(name + size) + 1;
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
	fc->s_iflags &= ~SB_I_NOEXEC;	/* VMO_CREATE_EXEC decides instead */
	return 0;
}

static struct file_system_type vmo_fs_type = {
	.name = "vmo_objects",
	.owner = THIS_MODULE,
	.init_fs_context = vmo_init_fs_context,
	.kill_sb = kill_anon_super,
};

/* To set the size that is set already is always fine. */
static int vmo_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct vmo_view *view = vmo_view_of(inode);
	int err = setattr_prepare(idmap, dentry, attr);

	/* By path; a descriptor that can be written has the right. */
	if (!err && attr->ia_valid & ATTR_SIZE && !(view->rights & VMO_RIGHT_WRITE))
		return -EACCES;
	if (!err && attr->ia_valid & ATTR_SIZE && attr->ia_size != i_size_read(inode)) {
		/* The caller holds the inode's lock, which must not wait for a pager. */
		if (vmo_cow_is_paged(&view->vmo->content->cow) && !PAGE_ALIGNED(attr->ia_size))
			return -EINVAL;
		err = vmo_object_resize(view, attr->ia_size);
		if (!err)
			vmo_tell_changed(view->vmo);
	}
	if (err)
		return err == -ERANGE || err == -EINVAL ? -EFBIG : err;
	setattr_copy(idmap, inode, attr);
	/* All views have one set of times, which vmo_getattr() shows. */
	if (inode != view->vmo->view.inode) {
		attr->ia_valid &= ATTR_ATIME | ATTR_MTIME | ATTR_CTIME;
		setattr_copy(idmap, view->vmo->view.inode, attr);
	}
	return 0;
}

/* What a slice or a reference shows counts here, unlike in VMO_INFO: it can be read. */
static int vmo_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		       u32 request_mask, unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct vmo *vmo = vmo_view_of(inode)->vmo;
	pgoff_t pages = vmo_object_pages(vmo);
	struct vmo_charges usage = { };
	int err;

	/* All views are one file; who owns it and may open it is each view's own. */
	generic_fillattr(idmap, request_mask, vmo->view.inode, stat);
	stat->mode = inode->i_mode;
	stat->uid = inode->i_uid;
	stat->gid = inode->i_gid;
	stat->blksize = PAGE_SIZE;
	stat->blocks = 0;
	if (!(request_mask & STATX_BLOCKS) || !pages)
		return 0;
	if (vmo->flags & VMO_OBJ_SLICE)
		err = vmo_cow_usage(&vmo->content->cow, vmo->base, vmo->base + pages - 1,
				    &usage.tally);
	else
		err = vmo_content_usage(vmo->content, false, &usage);
	stat->blocks = usage.tally.pages << (PAGE_SHIFT - 9);
	return err;
}

static const struct inode_operations vmo_inode_ops = {
	.setattr = vmo_setattr,
	.getattr = vmo_getattr,
};

static const struct {
	unsigned int right;
	umode_t inode;
	fmode_t file;
} modes[] = {
	{ VMO_RIGHT_READ, 0400, FMODE_READ },
	{ VMO_RIGHT_WRITE, 0200, FMODE_WRITE },
	{ VMO_RIGHT_EXEC, 0100, 0 },		/* see vmo_open() */
};

/* Takes over @view, also when it fails. Content size as for vmo_view_join(). */
static struct inode *view_inode(struct super_block *sb, struct vmo_view *view, loff_t size,
				struct vmo_view *like)
{
	struct inode *inode = alloc_anon_inode(sb);
	unsigned int i;

	if (IS_ERR(inode)) {
		view_free(view);
		return inode;
	}
	inode->i_mode = S_IFREG;
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (view->rights & modes[i].right)
			inode->i_mode |= modes[i].inode;
	inode->i_flags &= ~S_ANON_INODE;	/* it is a regular file to everybody */
	inode->i_op = &vmo_inode_ops;
	inode->i_fop = &vmo_fops;
	inode->i_private = view;
	if (view != &view->vmo->view)		/* /proc/PID/maps shows it, too */
		inode->i_ino = view->vmo->view.inode->i_ino;
	vmo_view_join(view, inode, size, like);
	return inode;
}

struct vmo *vmo_from_file(struct file *file)
{
	return file->f_op == &vmo_fops ? vmo_view_of(file_inode(file))->vmo : NULL;
}

unsigned int vmo_file_rights(struct file *file)
{
	unsigned int rights = vmo_view_of(file_inode(file))->rights;

	if (!(file->f_mode & FMODE_READ))
		rights &= ~VMO_RIGHT_READ;
	if (!(file->f_mode & FMODE_WRITE))
		rights &= ~VMO_RIGHT_WRITE;
	return rights;
}

/* The object's own inode has the times; not inline, for the size of its stack. */
static noinline void touch_through_view(struct inode *inode)
{
	struct iattr attr = { .ia_valid = ATTR_MTIME | ATTR_CTIME };

	attr.ia_mtime = current_time(inode);
	attr.ia_ctime = attr.ia_mtime;
	setattr_copy(&nop_mnt_idmap, inode, &attr);
}

int vmo_file_touch(struct file *file)
{
	struct inode *inode = vmo_view_of(file_inode(file))->vmo->view.inode;

	if (file_inode(file) == inode)
		return file_update_time(file);
	touch_through_view(inode);
	return 0;
}

int vmo_open(struct inode *inode, struct file *file)
{
	struct vmo_view *view = vmo_view_of(inode);
	struct vmo *vmo = view->vmo;
	unsigned int i;

	/* The inode's mode says so, too, but not to everybody, and it can be changed. */
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (file->f_mode & modes[i].file && !(view->rights & modes[i].right))
			return -EACCES;
	if (file->f_flags & __FMODE_EXEC && !(view->rights & VMO_RIGHT_EXEC))
		return -EACCES;
	file->f_mapping = vmo->content->home->mapping;
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_NOWAIT;
	return 0;
}

/* A file on @inode, whose reference it takes over on success. */
static struct file *file_on_inode(struct inode *inode, int flags,
				  const struct file_operations *fops)
{
	struct file *file;

	/* alloc_file_pseudo() does not take what __fput() puts. */
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, vmo_mnt, "vmo", flags | O_LARGEFILE, fops);
	if (IS_ERR(file))
		module_put(THIS_MODULE);
	return file;
}

/* Takes over @inode, of a view, also when it fails. */
static struct file *file_for_view(struct inode *inode)
{
	unsigned int rights = vmo_view_of(inode)->rights & (VMO_RIGHT_READ | VMO_RIGHT_WRITE);
	struct file *file;
	int flags;

	if (rights == VMO_RIGHT_READ)
		flags = O_RDONLY;
	else if (rights == VMO_RIGHT_WRITE)
		flags = O_WRONLY;
	else
		flags = rights ? O_RDWR : O_ACCMODE;	/* the last is for ioctl() alone */
	file = file_on_inode(inode, flags, &vmo_fops);
	if (IS_ERR(file))
		iput(inode);
	else
		vmo_open(inode, file);
	return file;
}

/* Takes over @content, also when it fails. */
static struct file *file_for_content(struct vmo_content *content, const struct vmo_spec *spec,
				     pgoff_t base)
{
	struct super_block *sb = content->home->mapping->host->i_sb;
	struct vmo_view *like = NULL;
	struct inode *inode;
	struct vmo *vmo;
	int err;

	vmo = vmo_object_new(content, spec->parent, base, spec->pages, spec->flags,
			     spec->rights);
	if (!vmo) {
		vmo_content_put(content);
		return ERR_PTR(-ENOMEM);
	}
	if (spec->name)
		vmo_object_set_name(vmo, spec->name);
	if (spec->flags & VMO_OBJ_REFERENCE)
		like = &spec->parent->view;
	inode = view_inode(sb, &vmo->view, spec->size, like);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	err = vmo_object_enter(vmo);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	if (spec->parent)
		trace_vmo_clone(vmo, spec->parent);
	else
		trace_vmo_create(vmo);
	vmo_tell_created(vmo);
	return file_for_view(inode);
}

struct file *vmo_file_restrict(struct vmo *vmo, unsigned int rights)
{
	struct vmo_view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!view)
		return ERR_PTR(-ENOMEM);
	vmo_view_init(view, vmo, rights);
	ihold(vmo->view.inode);
	inode = view_inode(vmo->view.inode->i_sb, view, 0, &vmo->view);
	return IS_ERR(inode) ? ERR_CAST(inode) : file_for_view(inode);
}

static unsigned long content_flags(const struct vmo_spec *spec)
{
	return (spec->rights & VMO_RIGHT_RESIZE ? VMO_CONTENT_RESIZABLE : 0) |
	       (spec->flags & VMO_OBJ_LONGTERM ? VMO_CONTENT_LONGTERM : 0) |
	       (spec->flags & VMO_OBJ_COW_CLONE ? VMO_CONTENT_CLONE : 0);
}

struct file *vmo_file_create(const struct vmo_spec *spec)
{
	struct vmo_content *content = content_new(0, spec->pages, content_flags(spec), NULL);
	int err = 0;

	if (IS_ERR(content))
		return ERR_CAST(content);
	if (spec->pager)
		err = vmo_pager_attach(spec->pager, &content->cow, spec->key, spec->trap);
	if (err) {
		vmo_content_put(content);
		return ERR_PTR(err);
	}
	vmo_kin_enter(content);
	return file_for_content(content, spec, 0);
}

static int clone_content(struct vmo_content *content, struct vmo_content *of, pgoff_t limit,
			 bool copy_pinned)
{
	if (!vmo_cow_is_paged(&of->cow))
		return vmo_cow_snapshot(&of->cow, &content->cow, limit, copy_pinned);
	content->root = vmo_content_get(of->root ? of->root : of);
	return vmo_cow_depend(&of->cow, &content->cow, limit, copy_pinned);
}

struct file *vmo_file_snapshot(const struct vmo_spec *spec, bool copy_pinned)
{
	struct vmo *parent = spec->parent;
	pgoff_t base = parent->base + spec->first;
	struct vmo_content *content = content_new(base, spec->pages, content_flags(spec),
						   parent->content);
	pgoff_t end = parent->base + vmo_object_pages(parent);
	int err;

	if (IS_ERR(content))
		return ERR_CAST(content);
	/* A slice ends before its content does: what lies behind is not seen. */
	err = clone_content(content, parent->content,
			    parent->flags & VMO_OBJ_SLICE ? end : VMO_KEY_MAX, copy_pinned);
	trace_vmo_snapshot(parent, err);
	if (err) {
		vmo_content_put(content);
		return ERR_PTR(err);
	}
	if (spec->flags & VMO_OBJ_KEEP_BASE) {
		vmo_cow_keep_base(&content->cow);
		content->base_size = spec->size;
	}
	vmo_kin_enter(content);
	return file_for_content(content, spec, base);
}

struct file *vmo_file_share(const struct vmo_spec *spec)
{
	struct vmo *parent = spec->parent;

	return file_for_content(vmo_content_get(parent->content), spec,
				parent->base + spec->first);
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

/* ---- pins -------------------------------------------------------------- */

static int pin_release(struct inode *unused, struct file *file)
{
	struct vmo_pin_range *pin = file->private_data;
	struct inode *inode = pin->vmo->view.inode;

	vmo_pin_free(pin);
	iput(inode);
	return 0;
}

static const struct file_operations pin_fops = {
	.owner = THIS_MODULE,
	.release = pin_release,
	.llseek = noop_llseek,
};

struct file *vmo_file_pin(struct vmo *vmo, u64 offset, u64 length, bool write)
{
	struct vmo_pin_range *pin = vmo_pin_new(vmo, offset, length, write);
	struct file *file;

	trace_vmo_pin(vmo, offset, length, PTR_ERR_OR_ZERO(pin));
	if (IS_ERR(pin))
		return ERR_CAST(pin);
	file = anon_inode_getfile("[vmo-pin]", &pin_fops, pin, O_RDONLY);
	if (IS_ERR(file))
		vmo_pin_free(pin);
	else
		ihold(vmo->view.inode);
	return file;
}

/* ---- begin and end ----------------------------------------------------- */

int vmo_inodes_init(void)
{
	vmo_wq = alloc_workqueue("vmo", WQ_UNBOUND, 0);
	return vmo_wq ? 0 : -ENOMEM;
}

/* No file is left: each pins the module. A last iput may be under way. */
void vmo_inodes_exit(void)
{
	destroy_workqueue(vmo_wq);
}
