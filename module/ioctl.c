// SPDX-License-Identifier: GPL-2.0
/*
 * Commands: one table for /dev/vmo and one for objects, one generic path that
 * sizes, copies and answers, and thin handlers that see kernel memory only.
 * The contract is the DOC block of uapi/linux/vmo.h.
 */
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/vmo.h>

#include "cmd.h"
#include "page.h"
#include "trace.h"

static int cmd_probe(struct vmo_ucmd *ucmd)
{
	struct vmo_probe *probe = &ucmd->arg->probe;

	memset(probe, 0, sizeof(*probe));
	probe->abi = VMO_ABI_VERSION;
	probe->page_size = PAGE_SIZE;
	probe->features = VMO_FEATURE_SNAPSHOT | VMO_FEATURE_SLICE | VMO_FEATURE_REFERENCE |
			  VMO_FEATURE_RESIZE | VMO_FEATURE_PIN | VMO_FEATURE_EXEC |
			  VMO_FEATURE_LONGTERM | VMO_FEATURE_RIGHTS | VMO_FEATURE_TRANSFER |
			  VMO_FEATURE_PAGES | VMO_FEATURE_USAGE | VMO_FEATURE_DIFF |
			  VMO_FEATURE_REWIND | VMO_FEATURE_HARVEST | VMO_FEATURE_PAGER;
	probe->max_size = VMO_MAX_SIZE;
	return 0;
}

static int cmd_stats(struct vmo_ucmd *ucmd)
{
	struct vmo_stats *stats = &ucmd->arg->stats;
	struct vmo_usage_counters usage;
	struct vmo_counters sum;

	vmo_counters_read(&sum);
	vmo_usage_counters_read(&usage);
	memset(stats, 0, sizeof(*stats));
	/* Sums over CPUs, not of one instant: they may be out by a little, but not below 0. */
	stats->page_bytes = (u64)max(sum.pages, 0L) << PAGE_SHIFT;
	stats->node_count = max(sum.nodes, 0L);
	stats->object_count = vmo_objects_count();
	stats->content_count = vmo_contents_count();
	stats->pin_count = vmo_pins_count();
	stats->usage_queries = usage.queries;
	stats->usage_hits = usage.hits;
	stats->usage_misses = usage.misses;
	return 0;
}

int vmo_answer_file(struct vmo_ucmd *ucmd, struct file *file)
{
	if (IS_ERR(file))
		return PTR_ERR(file);
	ucmd->made = file;
	return 0;
}

#define CREATE_FLAGS	(VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC | VMO_CREATE_LONGTERM |	\
			 VMO_CREATE_PAGER | VMO_CREATE_TRAP_DIRTY)

static bool create_valid(const struct vmo_create *create)
{
	if (create->flags & ~CREATE_FLAGS || create->reserved || !vmo_name_valid(create->name))
		return false;
	if (!(create->flags & VMO_CREATE_PAGER))
		return !create->key && !create->pager_fd &&
		       !(create->flags & VMO_CREATE_TRAP_DIRTY);
	/* Who pins for long may write at any time; a pager has to know. */
	return !(create->flags & VMO_CREATE_LONGTERM);
}

/* On a pager, or without one. */
static int create_on(struct vmo_ucmd *ucmd, struct vmo_spec *spec, int pager_fd)
{
	struct file *pager;
	int err;

	if (pager_fd < 0)
		return vmo_answer_file(ucmd, vmo_file_create(spec));
	pager = fget(pager_fd);
	if (!pager)
		return -EBADF;
	spec->pager = vmo_pager_from_file(pager);
	err = spec->pager ? vmo_answer_file(ucmd, vmo_file_create(spec)) : -EINVAL;
	fput(pager);
	return err;
}

static int cmd_create(struct vmo_ucmd *ucmd)
{
	struct vmo_create *create = &ucmd->arg->create;
	struct vmo_spec spec = {
		.size = create->size, .name = create->name, .key = create->key,
		.trap = create->flags & VMO_CREATE_TRAP_DIRTY,
		.rights = VMO_RIGHT_READ | VMO_RIGHT_WRITE | VMO_RIGHT_MAP | VMO_RIGHT_PIN |
			  VMO_RIGHT_CHILD | VMO_RIGHT_NAME,
	};
	int err;

	if (!create_valid(create))
		return -EINVAL;
	if (create->flags & VMO_CREATE_PAGER && create->pager_fd < 0)
		return -EBADF;
	err = vmo_size_to_pages(create->size, &spec.pages);
	if (err)
		return err;
	if (create->flags & VMO_CREATE_RESIZABLE)
		spec.rights |= VMO_RIGHT_RESIZE;
	if (create->flags & VMO_CREATE_EXEC)
		spec.rights |= VMO_RIGHT_EXEC;
	if (create->flags & VMO_CREATE_LONGTERM)
		spec.flags |= VMO_OBJ_LONGTERM;
	return create_on(ucmd, &spec, create->flags & VMO_CREATE_PAGER ? create->pager_fd : -1);
}

static int cmd_pager_create(struct vmo_ucmd *ucmd)
{
	struct vmo_pager_create *create = &ucmd->arg->pager_create;
	struct vmo_pager_limits limits = {
		.rebind_ms = create->rebind_ms, .report_ms = create->report_ms,
		.timeout_ms = create->timeout_ms,
		.window = DIV_ROUND_UP_ULL(create->window, PAGE_SIZE),
	};

	if (create->flags & ~VMO_PAGER_LIMITS)
		return -EINVAL;
	if (!create->flags)
		return create->rebind_ms || create->report_ms || create->timeout_ms ||
		       create->window ? -EINVAL : vmo_answer_file(ucmd, vmo_file_pager(NULL));
	if (!create->report_ms || !create->window)
		return -EINVAL;
	return vmo_answer_file(ucmd, vmo_file_pager(&limits));
}

/* ---- children ---------------------------------------------------------- */

/* K2: the end of a window, counted from the first ancestor, must not wrap. */
static int check_window(struct vmo *vmo, u64 offset, pgoff_t pages)
{
	u64 end;

	if (check_add_overflow(offset, (u64)vmo->base << PAGE_SHIFT, &end) ||
	    check_add_overflow(end, (u64)pages << PAGE_SHIFT, &end))
		return -EINVAL;
	return end > VMO_MAX_SIZE ? -ERANGE : 0;
}

/* R2: rights of a child that shares memory, resizing apart. */
static unsigned int shared_rights(struct vmo_ucmd *ucmd, bool no_write)
{
	unsigned int rights = (ucmd->rights & ~VMO_RIGHT_RESIZE) | VMO_RIGHT_NAME;

	return no_write ? rights & ~VMO_RIGHT_WRITE : rights;
}

#define CLONE_KINDS	(VMO_CLONE_SNAPSHOT | VMO_CLONE_AT_LEAST_ON_WRITE | VMO_CLONE_MODIFIED)
#define CLONE_FLAGS	(CLONE_KINDS | VMO_CLONE_NO_WRITE | VMO_CLONE_RESIZABLE |	\
			 VMO_CLONE_COPY_PINNED | VMO_CLONE_LONGTERM | VMO_CLONE_KEEP_BASE)

static bool clone_flags_valid(u32 flags)
{
	if (flags & ~CLONE_FLAGS || hweight32(flags & CLONE_KINDS) != 1)
		return false;
	return !(flags & VMO_CLONE_NO_WRITE) ||
	       !(flags & (VMO_CLONE_RESIZABLE | VMO_CLONE_LONGTERM | VMO_CLONE_KEEP_BASE));
}

/*
 * K5: without a pager all kinds are snapshots. What a pager provides is not known, so there
 * is no snapshot of it.
 */
static int cmd_clone(struct vmo_ucmd *ucmd)
{
	struct vmo_clone *clone = &ucmd->arg->clone;
	struct vmo_spec spec = {
		.parent = ucmd->vmo, .first = clone->offset >> PAGE_SHIFT, .size = clone->size,
		.flags = VMO_OBJ_COW_CLONE,
		.rights = shared_rights(ucmd, clone->flags & VMO_CLONE_NO_WRITE),
	};
	bool copy_pinned = clone->flags & VMO_CLONE_COPY_PINNED;
	int err;

	if (!clone_flags_valid(clone->flags) || !PAGE_ALIGNED(clone->offset))
		return -EINVAL;
	err = vmo_size_to_pages(clone->size, &spec.pages);
	if (!err)
		err = check_window(ucmd->vmo, clone->offset, spec.pages);
	if (err)
		return err;
	if (vmo_cow_is_paged(&ucmd->vmo->content->cow) &&
	    clone->flags & (VMO_CLONE_SNAPSHOT | VMO_CLONE_KEEP_BASE))
		return -EOPNOTSUPP;
	if (!(clone->flags & VMO_CLONE_NO_WRITE))
		spec.rights = (spec.rights & ~VMO_RIGHT_EXEC) | VMO_RIGHT_WRITE;
	if (clone->flags & VMO_CLONE_RESIZABLE)
		spec.rights |= VMO_RIGHT_RESIZE;
	if (clone->flags & VMO_CLONE_LONGTERM)
		spec.flags |= VMO_OBJ_LONGTERM;
	if (clone->flags & VMO_CLONE_KEEP_BASE)
		spec.flags |= VMO_OBJ_KEEP_BASE;
	/* K6: pins do not matter to this kind, which is only itself where there is a pager. */
	if (clone->flags & VMO_CLONE_AT_LEAST_ON_WRITE &&
	    vmo_cow_is_paged(&ucmd->vmo->content->cow))
		copy_pinned = true;
	return vmo_answer_file(ucmd, vmo_file_snapshot(&spec, copy_pinned));
}

static int cmd_slice(struct vmo_ucmd *ucmd)
{
	struct vmo_slice *slice = &ucmd->arg->slice;
	struct vmo *vmo = ucmd->vmo;
	struct vmo_spec spec = {
		.parent = vmo, .first = slice->offset >> PAGE_SHIFT, .size = slice->size,
		.flags = VMO_OBJ_SLICE,
		.rights = shared_rights(ucmd, slice->flags & VMO_SLICE_NO_WRITE),
	};
	int err;

	/* L1 has this order. */
	if (slice->flags & ~VMO_SLICE_NO_WRITE || !PAGE_ALIGNED(slice->offset))
		return -EINVAL;
	err = vmo_size_to_pages(slice->size, &spec.pages);
	if (err)
		return err;
	if (spec.first > vmo_object_pages(vmo) ||
	    spec.pages > vmo_object_pages(vmo) - spec.first)
		return -EINVAL;
	if (vmo->content->flags & VMO_CONTENT_RESIZABLE)
		return -EOPNOTSUPP;
	return vmo_answer_file(ucmd, vmo_file_share(&spec));
}

static int cmd_reference(struct vmo_ucmd *ucmd)
{
	struct vmo_reference *reference = &ucmd->arg->reference;
	bool resizable = reference->flags & VMO_REFERENCE_RESIZABLE;
	bool no_write = reference->flags & VMO_REFERENCE_NO_WRITE;
	struct vmo *vmo = ucmd->vmo;
	struct vmo_spec spec = {
		.parent = vmo, .pages = vmo->pages,
		.flags = VMO_OBJ_REFERENCE | (vmo->flags & VMO_OBJ_SLICE),
		.rights = shared_rights(ucmd, no_write),
	};

	if (reference->flags & ~(VMO_REFERENCE_NO_WRITE | VMO_REFERENCE_RESIZABLE) ||
	    (no_write && resizable) || reference->offset || reference->size)
		return -EINVAL;
	if (resizable) {
		if (!(vmo->content->flags & VMO_CONTENT_RESIZABLE))
			return -EOPNOTSUPP;
		if (!(ucmd->rights & VMO_RIGHT_RESIZE) || !(spec.rights & VMO_RIGHT_WRITE))
			return -EACCES;
		spec.rights |= VMO_RIGHT_RESIZE;
	}
	return vmo_answer_file(ucmd, vmo_file_share(&spec));
}

/* NAME is the last. */
#define ALL_RIGHTS	(2 * VMO_RIGHT_NAME - 1)

static int cmd_restrict(struct vmo_ucmd *ucmd)
{
	struct vmo_restrict *limit = &ucmd->arg->limit;

	if (limit->flags || limit->reserved || limit->rights & ~ALL_RIGHTS)
		return -EINVAL;
	if (limit->rights & ~ucmd->rights)
		return -EACCES;
	return vmo_answer_file(ucmd, vmo_file_restrict(ucmd->vmo, limit->rights));
}

/* ---- size, range, pin -------------------------------------------------- */

static int cmd_resize(struct vmo_ucmd *ucmd)
{
	struct vmo_resize *resize = &ucmd->arg->resize;
	int err;

	ucmd->silent = true;
	if (resize->flags || resize->reserved)
		return -EINVAL;
	err = vmo_object_resize(vmo_view_of(file_inode(ucmd->file)), resize->size);
	if (!err) {
		vmo_tell_changed(ucmd->vmo);
		vmo_file_touch(ucmd->file);
	}
	return err;
}

static int cmd_rewind(struct vmo_ucmd *ucmd)
{
	struct vmo_rewind *rewind = &ucmd->arg->rewind;
	int err;

	ucmd->silent = true;
	if (rewind->flags || rewind->reserved)
		return -EINVAL;
	err = vmo_object_rewind(ucmd->vmo);
	if (!err) {
		trace_vmo_rewind(ucmd->vmo);
		vmo_tell_changed(ucmd->vmo);
	}
	if (!err)
		vmo_file_touch(ucmd->file);
	return err;
}

/* T6 has this order: a clone is refused before the alignment is looked at. */
static int op_decommit(struct vmo *vmo, u64 offset, u64 length)
{
	pgoff_t first = vmo->base + (offset >> PAGE_SHIFT);

	if (!vmo_object_has(vmo, offset, length))
		return -ERANGE;
	if (!length)
		return 0;
	if (vmo->content->flags & VMO_CONTENT_CLONE || vmo_cow_is_paged(&vmo->content->cow))
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(length))
		return -EINVAL;
	return vmo_cow_remove(&vmo->content->cow, first, first + (length >> PAGE_SHIFT) - 1);
}

static int cmd_op_range(struct vmo_ucmd *ucmd)
{
	struct vmo_op_range *range = &ucmd->arg->op_range;
	int err;

	ucmd->silent = true;
	if (range->flags)
		return -EINVAL;
	switch (range->op) {
	case VMO_OP_COMMIT:
		return vmo_object_commit(ucmd->vmo, range->offset, range->length);
	case VMO_OP_DECOMMIT:
		err = op_decommit(ucmd->vmo, range->offset, range->length);
		break;
	case VMO_OP_ZERO:
		err = vmo_object_zero(ucmd->vmo, range->offset, range->length);
		break;
	default:
		return -EINVAL;
	}
	if (!err && range->length)
		vmo_file_touch(ucmd->file);
	return err;
}

#define SOURCE_RIGHTS	(VMO_RIGHT_READ | VMO_RIGHT_WRITE)

static int transfer_from(struct vmo_ucmd *ucmd, struct file *src)
{
	struct vmo_transfer *transfer = &ucmd->arg->transfer;
	int err;

	if (!vmo_from_file(src))
		return -EINVAL;
	if ((vmo_file_rights(src) & SOURCE_RIGHTS) != SOURCE_RIGHTS)
		return -EACCES;
	if (vmo_cow_is_paged(&ucmd->vmo->content->cow) ||
	    vmo_cow_is_paged(&vmo_from_file(src)->content->cow))
		return -EOPNOTSUPP;
	err = vmo_object_transfer(ucmd->vmo, transfer->offset, vmo_from_file(src),
				  transfer->src_offset, transfer->length);
	if (!err && transfer->length) {
		vmo_file_touch(ucmd->file);
		vmo_file_touch(src);
	}
	return err;
}

static int cmd_transfer(struct vmo_ucmd *ucmd)
{
	struct vmo_transfer *transfer = &ucmd->arg->transfer;
	struct file *src;
	int err;

	ucmd->silent = true;
	if (transfer->flags ||
	    !PAGE_ALIGNED(transfer->offset | transfer->length | transfer->src_offset))
		return -EINVAL;
	src = fget(transfer->src_fd);
	if (!src)
		return -EBADF;
	err = transfer_from(ucmd, src);
	fput(src);
	return err;
}

static int cmd_pin(struct vmo_ucmd *ucmd)
{
	struct vmo_pin *pin = &ucmd->arg->pin;
	unsigned int rights = 0;

	if (pin->flags & VMO_PIN_READ)
		rights |= VMO_RIGHT_READ;
	if (pin->flags & VMO_PIN_WRITE)
		rights |= VMO_RIGHT_WRITE;
	if ((ucmd->rights & rights) != rights)
		return -EACCES;
	if (!pin->flags || pin->flags & ~(VMO_PIN_READ | VMO_PIN_WRITE))
		return -EINVAL;
	if (!pin->length || !PAGE_ALIGNED(pin->offset) || !PAGE_ALIGNED(pin->length))
		return -EINVAL;
	if (!vmo_object_has(ucmd->vmo, pin->offset, pin->length))
		return -ERANGE;
	return vmo_answer_file(ucmd, vmo_file_pin(ucmd->vmo, pin->offset, pin->length,
						  pin->flags & VMO_PIN_WRITE));
}

static int cmd_harvester(struct vmo_ucmd *ucmd)
{
	if (ucmd->arg->harvester.flags)
		return -EINVAL;
	return vmo_answer_file(ucmd, vmo_file_harvester(ucmd->vmo));
}

/* ---- content ----------------------------------------------------------- */

static int copy_iovec(struct iovec *iov, u64 uptr, unsigned int i)
{
	if (in_compat_syscall()) {
		struct compat_iovec __user *from = u64_to_user_ptr(uptr);
		struct compat_iovec compat;

		if (copy_from_user(&compat, from + i, sizeof(compat)))
			return -EFAULT;
		iov->iov_base = compat_ptr(compat.iov_base);
		iov->iov_len = compat.iov_len;
		return (s32)compat.iov_len < 0 ? -EINVAL : 0;
	}
	if (copy_from_user(iov, (struct iovec __user *)u64_to_user_ptr(uptr) + i, sizeof(*iov)))
		return -EFAULT;
	return (ssize_t)iov->iov_len < 0 ? -EINVAL : 0;
}

/*
 * Not import_iovec(): that cuts the length at 2 GiB, and looks at addresses first,
 * where D1 wants the bounds of the whole range checked. Each copy checks its own.
 */
static int rw_iovecs(struct vmo_ucmd *ucmd, struct iovec *iov, bool write)
{
	struct vmo_rw *rw = &ucmd->arg->rw;
	struct iov_iter iter;
	ssize_t total = 0;
	unsigned int i;
	int err;

	for (i = 0; i < rw->iov_count; i++) {
		err = copy_iovec(&iov[i], rw->iov, i);
		if (!err && check_add_overflow(total, (ssize_t)iov[i].iov_len, &total))
			err = -EINVAL;
		if (err)
			return err;
	}
	iov_iter_init(&iter, write ? WRITE : READ, iov, rw->iov_count, total);
	return vmo_rw_strict(ucmd->file, &iter, rw, write);
}

static int do_rw(struct vmo_ucmd *ucmd, bool write)
{
	struct iovec fast[UIO_FASTIOV], *iov = fast;
	struct vmo_rw *rw = &ucmd->arg->rw;
	int err;

	rw->actual = 0;
	if (rw->flags & ~VMO_RW_TRIM || rw->iov_count > UIO_MAXIOV)
		return -EINVAL;
	if (rw->iov_count > ARRAY_SIZE(fast))
		iov = kmalloc_array(rw->iov_count, sizeof(*iov), GFP_KERNEL_ACCOUNT);
	if (!iov)
		return -ENOMEM;
	err = rw_iovecs(ucmd, iov, write);
	if (iov != fast)
		kfree(iov);
	return err;
}

static int cmd_read(struct vmo_ucmd *ucmd)
{
	return do_rw(ucmd, false);
}

static int cmd_write(struct vmo_ucmd *ucmd)
{
	return do_rw(ucmd, true);
}

static int cmd_pages(struct vmo_ucmd *ucmd)
{
	return vmo_look_pages(ucmd->vmo, &ucmd->arg->pages);
}

static int diff_with(struct vmo_ucmd *ucmd, struct file *other)
{
	if (!vmo_from_file(other))
		return -EINVAL;
	if (!(vmo_file_rights(other) & VMO_RIGHT_READ))
		return -EACCES;
	return vmo_look_diff(ucmd->vmo, vmo_from_file(other), &ucmd->arg->diff);
}

static int cmd_diff(struct vmo_ucmd *ucmd)
{
	struct vmo_diff *diff = &ucmd->arg->diff;
	struct file *other;
	int err;

	if (diff->flags || diff->reserved || !diff->count ||
	    !PAGE_ALIGNED(diff->offset | diff->length))
		return -EINVAL;
	other = fget(diff->other_fd);
	if (!other)
		return -EBADF;
	err = diff_with(ucmd, other);
	fput(other);
	return err;
}

static int cmd_lookup(struct vmo_ucmd *ucmd)
{
	return vmo_look_up(ucmd->vmo, &ucmd->arg->lookup);
}

#define NAME_RIGHTS	(VMO_RIGHT_WRITE | VMO_RIGHT_NAME)

static int cmd_name(struct vmo_ucmd *ucmd)
{
	struct vmo_name *name = &ucmd->arg->name;
	int err;

	ucmd->silent = name->flags & VMO_NAME_SET;
	if (ucmd->silent && (ucmd->rights & NAME_RIGHTS) != NAME_RIGHTS)
		return -EACCES;
	if (name->flags & ~VMO_NAME_SET || name->reserved)
		return -EINVAL;
	if (ucmd->silent) {
		err = vmo_object_set_name(ucmd->vmo, name->name);
		if (!err)
			vmo_tell_changed(ucmd->vmo);
		return err;
	}
	vmo_object_name(ucmd->vmo, name->name);
	return 0;
}

u64 vmo_info_flags(struct vmo *vmo)
{
	unsigned int rights = vmo->view.rights;
	u64 flags = 0;

	if (vmo->flags & VMO_OBJ_COW_CLONE)
		flags |= VMO_INFO_COW_CLONE;
	if (vmo->content->flags & VMO_CONTENT_RESIZABLE)
		flags |= VMO_INFO_RESIZABLE;
	if (rights & VMO_RIGHT_RESIZE)
		flags |= VMO_INFO_MAY_RESIZE;
	if (vmo->flags & VMO_OBJ_REFERENCE)
		flags |= VMO_INFO_REFERENCE;
	else if (vmo->flags & VMO_OBJ_SLICE)
		flags |= VMO_INFO_SLICE;
	if (!(rights & VMO_RIGHT_WRITE))
		flags |= VMO_INFO_NO_WRITE;
	/* H6 */
	if (vmo->flags & VMO_OBJ_COW_CLONE && !(rights & VMO_RIGHT_WRITE))
		flags |= VMO_INFO_IMMUTABLE;
	if (rights & VMO_RIGHT_EXEC)
		flags |= VMO_INFO_EXEC;
	if (vmo->content->flags & VMO_CONTENT_LONGTERM)
		flags |= VMO_INFO_LONGTERM;
	if (vmo->content->cow.has_base)
		flags |= VMO_INFO_KEEP_BASE;
	if (vmo_cow_is_paged(&vmo->content->cow))
		flags |= VMO_INFO_PAGER;
	return flags;
}

u64 vmo_metadata_bytes(const struct vmo_tally *tally)
{
	return tally->inners * sizeof(struct vmo_inner) + tally->leaves * sizeof(struct vmo_leaf);
}

static int cmd_usage(struct vmo_ucmd *ucmd)
{
	struct vmo_usage *usage = &ucmd->arg->usage;
	struct vmo_charges charges;
	int err;

	if (usage->flags || usage->reserved)
		return -EINVAL;
	err = vmo_object_usage(ucmd->vmo, usage->offset, usage->length, &charges);
	usage->committed_bytes = charges.tally.pages << PAGE_SHIFT;
	usage->private_bytes = charges.tally.private << PAGE_SHIFT;
	usage->shared_bytes = charges.tally.shared << PAGE_SHIFT;
	usage->scaled_bytes = charges.tally.scaled >> (32 - PAGE_SHIFT);
	usage->exclusive_bytes = charges.exclusive << PAGE_SHIFT;
	usage->metadata_bytes = vmo_metadata_bytes(&charges.tally);
	return err;
}

static int cmd_info(struct vmo_ucmd *ucmd)
{
	struct vmo_info *info = &ucmd->arg->info;
	struct vmo *vmo = ucmd->vmo;
	struct vmo_charges charges;
	struct vmo_tally *tally = &charges.tally;
	struct vmo_family family;
	u64 generation = vmo_content_generation(vmo->content);
	pgoff_t pages = vmo_object_pages(vmo);
	int err;

	err = vmo_object_usage(vmo, 0, U64_MAX, &charges);
	if (err)
		return err;
	vmo_object_family(vmo, &family);
	memset(info, 0, sizeof(*info));
	info->id = vmo->id;
	info->parent_id = family.parent_id;
	info->size = (u64)pages << PAGE_SHIFT;
	info->content_size = i_size_read(file_inode(ucmd->file));
	info->committed_bytes = tally->pages << PAGE_SHIFT;
	info->private_bytes = tally->private << PAGE_SHIFT;
	info->shared_bytes = tally->shared << PAGE_SHIFT;
	info->scaled_bytes = tally->scaled >> (32 - PAGE_SHIFT);
	info->exclusive_bytes = charges.exclusive << PAGE_SHIFT;
	info->metadata_bytes = vmo_metadata_bytes(tally);
	info->generation = generation;
	info->children = family.children;
	info->flags = vmo_info_flags(vmo);
	info->pinned_bytes = (u64)atomic64_read(&vmo->content->cow.pins) << PAGE_SHIFT;
	vmo_object_name(vmo, info->name);
	info->rights = ucmd->rights;
	return 0;
}

static const struct vmo_cmd dev_cmds[] = {
	CMD_PLAIN(VMO_PROBE, vmo_probe, max_size, 0, cmd_probe),
	CMD_MAKE(VMO_CREATE, vmo_create, fd, VMO_RIGHT_WRITE, cmd_create),
	CMD_PLAIN(VMO_STATS, vmo_stats, usage_misses, 0, cmd_stats),
	CMD_MAKE(VMO_PAGER_CREATE, vmo_pager_create, window, VMO_RIGHT_WRITE, cmd_pager_create),
};

#define CHILD_RIGHTS	(VMO_RIGHT_READ | VMO_RIGHT_CHILD)

static const struct vmo_cmd object_cmds[] = {
	CMD_MAKE(VMO_CLONE, vmo_clone, fd, CHILD_RIGHTS, cmd_clone),
	CMD_MAKE(VMO_SLICE, vmo_slice, fd, CHILD_RIGHTS, cmd_slice),
	CMD_MAKE(VMO_REFERENCE, vmo_reference, fd, CHILD_RIGHTS, cmd_reference),
	CMD_MAKE(VMO_RESTRICT, vmo_restrict, reserved, 0, cmd_restrict),
	CMD_MAKE(VMO_PIN, vmo_pin, fd, VMO_RIGHT_PIN, cmd_pin),
	CMD_PLAIN(VMO_OP_RANGE, vmo_op_range, length, VMO_RIGHT_WRITE, cmd_op_range),
	CMD_PLAIN(VMO_TRANSFER, vmo_transfer, flags, VMO_RIGHT_WRITE, cmd_transfer),
	CMD_PLAIN(VMO_PAGES, vmo_pages, flags, VMO_RIGHT_READ, cmd_pages),
	CMD_PLAIN(VMO_LOOKUP, vmo_lookup, flags, VMO_RIGHT_READ, cmd_lookup),
	CMD_PLAIN(VMO_DIFF, vmo_diff, reserved, VMO_RIGHT_READ, cmd_diff),
	CMD_MAKE(VMO_HARVESTER, vmo_harvester, fd, VMO_RIGHT_READ, cmd_harvester),
	CMD_PLAIN(VMO_INFO, vmo_info, flags, 0, cmd_info),
	CMD_PLAIN(VMO_USAGE, vmo_usage, metadata_bytes, 0, cmd_usage),
	CMD_PLAIN(VMO_RESIZE, vmo_resize, reserved, VMO_RIGHT_WRITE, cmd_resize),
	CMD_PLAIN(VMO_REWIND, vmo_rewind, reserved, VMO_RIGHT_WRITE, cmd_rewind),
	CMD_PLAIN(VMO_NAME, vmo_name, name, 0, cmd_name),
	CMD(VMO_READ, vmo_rw, actual, -1, VMO_RIGHT_READ, true, cmd_read),
	CMD(VMO_WRITE, vmo_rw, actual, -1, VMO_RIGHT_WRITE, true, cmd_write),
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

/* Of /dev/vmo, too, that the table need not know two kinds. */
static unsigned int rights_of(struct file *file)
{
	if (vmo_from_file(file))
		return vmo_file_rights(file);
	return file->f_mode & FMODE_WRITE ? VMO_RIGHT_WRITE : 0;
}

long vmo_dispatch(const struct vmo_cmd *cmds, size_t nr, struct file *file, unsigned int num,
		  void __user *uptr)
{
	size_t usize = _IOC_SIZE(num);
	union vmo_cmd_buffer arg;
	struct vmo_ucmd ucmd = {
		.file = file, .vmo = vmo_from_file(file), .rights = rights_of(file), .arg = &arg,
	};
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
	if ((ucmd.rights & cmd->rights) != cmd->rights)
		return -EACCES;
	err = cmd->execute(&ucmd);
	if (ucmd.silent || (err && !cmd->always))
		return err;
	return respond(cmd, &ucmd, uptr, usize) ?: err;
}

long vmo_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vmo_dispatch(object_cmds, ARRAY_SIZE(object_cmds), file, cmd, (void __user *)arg);
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vmo_dispatch(dev_cmds, ARRAY_SIZE(dev_cmds), file, cmd, (void __user *)arg);
}

const struct file_operations vmo_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
