// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: faults hand pages out, and the engine's ops take them back.
 *
 * vm_pgoff, folio->index and every unmap argument are keys. A handler returns
 * the page *locked*; the core sets the PTE after that and unlocks. This lock is
 * all that a revoker can wait for. Lock order: mmap_lock or VMA lock ->
 * content lock -> page lock.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "doors.h"
#include "page.h"
#include "pager.h"
#include "trace.h"

/* Read faults map so many resident pages around, as filemap does. */
#define AROUND_PAGES	16U

/* ---- taking back ------------------------------------------------------- */

static struct vmo_mappings *cow_mappings(struct vmo_cow_pages *cow)
{
	return vmo_mappings(container_of(cow, struct vmo_content, cow));
}

/*
 * A snapshot unmaps what was written since the last one. Write-protecting and
 * cleaning the PTEs would do as well (mprotect() gives write back to a dirty
 * one), for 310 instructions a page against 570. But what was written lately
 * is mostly written again, and a write to a read-only PTE takes two faults up
 * to 6.12, since page_mkwrite cannot put a copy in place: 7,819 instructions
 * against 4,241 (docs/performance.md). And without PTEs, whoever still holds
 * a page shows in its reference count alone.
 */
static void unmap_keys(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool even_cows)
{
	struct vmo_mappings *maps = cow_mappings(cow);

	unmap_mapping_pages(maps->home.mapping, first, last - first + 1, even_cows);
	unmap_mapping_pages(&maps->odd, first, last - first + 1, even_cows);
}

/*
 * Only VMAs that share and may write have dirty PTEs, and those of the other kind would
 * end the walk. Other MMUs, such as KVM's, let go of the pages and mark them. A kernel
 * without the helper has a zap mark them, at the price of a fault each.
 */
static void clean_keys(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last,
		       unsigned long *dirty)
{
	struct vmo_mappings *maps = cow_mappings(cow);

#ifdef CONFIG_MAPPING_DIRTY_HELPERS
	pgoff_t start = last - first + 1, end = 0;

	clean_record_shared_mapping_range(maps->home.mapping, first, last - first + 1, first,
					  dirty, &start, &end);
#else
	unmap_mapping_pages(maps->home.mapping, first, last - first + 1, false);
#endif
}

const struct vmo_cow_ops vmo_mapping_ops = {
	.unmap = unmap_keys,
	.clean = clean_keys,
};

/* ---- handing out ------------------------------------------------------- */

static vm_fault_t fault_error(int err)
{
	switch (err) {
	case -ENOMEM:
		return VM_FAULT_OOM;
	case -EIO:
		return VM_FAULT_HWPOISON;
	default:
		/* Past the end; or killed, and this ends a fault in the kernel. */
		return VM_FAULT_SIGBUS;
	}
}

/*
 * Inserts a run of locked pages read-only, skips PTEs that are there already,
 * and gives the pages back.
 */
static void insert_run(struct vm_area_struct *vma, pgoff_t key, struct page **page,
		       unsigned long nr)
{
	unsigned long addr = vma->vm_start + ((key - vma->vm_pgoff) << PAGE_SHIFT);
	unsigned long done = 0, left, i;
	int err;

	while (done < nr) {
		left = nr - done;
		err = vm_insert_pages(vma, addr + (done << PAGE_SHIFT), page + done, &left);
		done = nr - left;
		if (!err)
			break;
		if (err != -EBUSY)
			break;
		done++;
	}
	for (i = 0; i < nr; i++) {
		unlock_page(page[i]);
		put_page(page[i]);
	}
}

/*
 * The first mapping homes a page, that futexes find it; the first writable one
 * of another content moves it. Page lock, and the content lock. Zero pages are nobody's.
 */
static void give_home(struct vmo *vmo, struct page *page, pgoff_t key)
{
	struct vmo_content *content = vmo->content;

	if (vmo_page_has_home(page) || vmo_page_is_zero(page))
		return;
	/* What a clone of pager memory shows is at home where it comes from. */
	if (content->root && vmo_cow_falls_through(&content->cow, key))
		content = content->root;
	vmo_home_set(page, content->home, key);
}

static_assert(AROUND_PAGES <= VMO_LEAF_SLOTS);

/*
 * Maps what is resident around @vmf->pgoff but not the page itself, which the
 * core does: that is returned, locked, if it is there. Content lock shared.
 * What cannot be locked at once is left out.
 */
static struct page *map_around(struct vm_fault *vmf, struct vmo_cow_pages *cow, pgoff_t end)
{
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t key = max(vmf->pgoff & ~(AROUND_PAGES - 1UL), vma->vm_pgoff);
	pgoff_t last = min3(vmf->pgoff | (AROUND_PAGES - 1UL), end - 1,
			    vma->vm_pgoff + vma_pages(vma) - 1);
	unsigned long nr = last - key + 1, from, i;
	struct page *page[AROUND_PAGES], *touched;

	vmo_cow_try_read_pages(cow, key, last, page);
	touched = page[vmf->pgoff - key];
	page[vmf->pgoff - key] = NULL;
	for (i = 0, from = 0; i < nr; i++) {
		if (page[i] && vmo_page_poisoned(page[i])) {
			unlock_page(page[i]);
			put_page(page[i]);
			page[i] = NULL;
		}
		if (page[i]) {
			give_home(vma->vm_private_data, page[i], key + i);
			continue;
		}
		insert_run(vma, key + from, page + from, i - from);
		from = i + 1;
	}
	insert_run(vma, key + from, page + from, nr - from);
	return touched;
}

static const struct vm_operations_struct vmo_longterm_vm_ops;

/*
 * In these mappings a PTE may be made writable without asking us, by the core
 * or by whoever pins the page. So whatever is touched is made ours first.
 */
static bool owns_what_it_touches(struct vm_area_struct *vma)
{
	return vma->vm_ops == &vmo_longterm_vm_ops;
}

/* The page to map, locked. Content lock shared unless the answer is -EINTR. */
static int fault_page(struct vm_fault *vmf, struct vmo *vmo, struct page **page)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE && vmf->vma->vm_flags & VM_SHARED;
	struct vmo_cow_pages *cow = &vmo->content->cow;
	pgoff_t end = min(vmo->base + vmo_object_pages(vmo), cow->end);

	if (vmf->pgoff < vmo->base || vmf->pgoff >= end)
		return -ERANGE;
	if (owns_what_it_touches(vmf->vma))
		return vmo_cow_own_page(cow, vmf->pgoff, VMO_OWN_WRITABLE | VMO_OWN_FAULT,
					page);
	if (write)
		return vmo_cow_own_page(cow, vmf->pgoff, VMO_OWN_FAULT | VMO_OWN_TO_WRITE, page);
	*page = vmf->flags & FAULT_FLAG_WRITE ? NULL : map_around(vmf, cow, end);
	if (!*page && vmo_cow_absent(cow, vmf->pgoff))
		return -ENODATA;
	if (!*page)
		*page = vmo_cow_read_page(cow, vmf->pgoff);
	return 0;
}

/*
 * The server has to be asked: waits for it, and has the fault begin anew, for which all
 * locks are released. From there on only the file keeps the object. Why there is no page can only
 * be told by the next try, which still has its lock.
 */
static vm_fault_t wait_for_page(struct vm_fault *vmf, struct vmo_cow_pages *cow)
{
	pgoff_t key = vmf->pgoff, last = key | (AROUND_PAGES - 1UL);
	bool interruptible = vmf->flags & FAULT_FLAG_INTERRUPTIBLE;
	struct vmo *vmo = vmf->vma->vm_private_data;
	/* P34: who writes a clone reads what that shows. */
	bool write = vmf->flags & FAULT_FLAG_WRITE && vmf->vma->vm_flags & VM_SHARED &&
		     cow == &vmo->content->cow;
	enum vmo_want want = write ? VMO_WANT_WRITE_ONE : VMO_WANT_READ;
	struct file *file = vmf->vma->vm_file;
	int err;

	/* Who is on its way out cannot be killed any more. */
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY) || current->flags & PF_EXITING)
		return VM_FAULT_SIGBUS;
	err = vmo_pager_fault_error(cow, key, vmf->flags & FAULT_FLAG_TRIED);
	if (err)
		return fault_error(err);
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
		vmo_pager_need_fault(cow, key, last, want, VMO_NEED_NOWAIT);
		return VM_FAULT_RETRY;
	}
	get_file(file);
	release_fault_lock(vmf);
	vmo_pager_need_fault(cow, key, last, want, interruptible ? VMO_NEED_INTERRUPTIBLE : 0);
	fput(file);
	/* Without MAJOR the core would begin with the lock of the VMA again. */
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

static vm_fault_t do_fault(struct vm_fault *vmf)
{
	struct vmo *vmo = vmf->vma->vm_private_data;
	struct vmo_cow_pages *cow = &vmo->content->cow;
	struct page *page;
	int err;

	err = vmo_cow_lock_shared(cow);
	if (err)
		return fault_error(err);
	err = fault_page(vmf, vmo, &page);
	if (err == -EINTR)
		return fault_error(err);
	if (!err && owns_what_it_touches(vmf->vma))
		vmo_home_set(page, vmo->content->home, vmf->pgoff);
	else if (!err)
		give_home(vmo, page, vmf->pgoff);
	vmo_cow_unlock_shared(cow);
	if (err == -ENODATA)
		return wait_for_page(vmf, vmo_cow_provider(cow));
	if (err)
		return fault_error(err);
	if (vmo_page_poisoned(page)) {
		/* Not to the core, which would try to drop it from a page cache. */
		unlock_page(page);
		put_page(page);
		return VM_FAULT_HWPOISON;
	}
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

static vm_fault_t vmo_fault(struct vm_fault *vmf)
{
	struct vmo *vmo = vmf->vma->vm_private_data;
	pgoff_t index = vmf->pgoff - vmo->base;
	u64 id = vmo->id;
	vm_fault_t ret = do_fault(vmf);

	/* After VM_FAULT_RETRY the object may be gone. */
	trace_vmo_fault(id, index, vmf->flags & FAULT_FLAG_WRITE, (__force unsigned int)ret);
	return ret;
}

/*
 * The page in @vmf is mapped read-only, or about to be mapped, and shall become
 * writable: if it is ours, the core may go on with it, else the fault starts
 * again and finds the copy.
 */
static vm_fault_t vmo_page_mkwrite(struct vm_fault *vmf)
{
	struct vmo *vmo = vmf->vma->vm_private_data;
	struct vmo_cow_pages *cow = &vmo->content->cow;
	struct page *page = vmf->page;		/* which the core holds */
	vm_fault_t ret = VM_FAULT_LOCKED;
	int err;

	vmo_file_touch(vmf->vma->vm_file);
	err = vmo_cow_lock_shared(cow);
	if (err)
		return fault_error(err);
	err = vmo_cow_own_page(cow, vmf->pgoff,
			       VMO_OWN_WRITABLE | VMO_OWN_REFERENCED | VMO_OWN_FAULT, &page);
	if (err == -EINTR)
		return fault_error(err);
	if (!err)
		vmo_home_set(page, vmo->content->home, vmf->pgoff);
	/* The server has to be asked, for which one can wait in vmo_fault() only. */
	if (err == -ENODATA)
		unmap_keys(cow, vmf->pgoff, vmf->pgoff, false);
	vmo_cow_unlock_shared(cow);
	if (err == -ENODATA)
		return VM_FAULT_NOPAGE;
	if (err)
		return fault_error(err);
	if (page != vmf->page)
		ret = VM_FAULT_NOPAGE;
	else if (vmo_page_poisoned(page))
		ret = VM_FAULT_HWPOISON;
	else
		vmo_content_modified(vmo->content);
	if (ret != VM_FAULT_LOCKED)
		unlock_page(page);
	put_page(page);
	return ret;
}

/*
 * Nothing can be mapped from here by a module; but with this operation in
 * place the core calls ->fault under the per-VMA lock.
 */
static vm_fault_t vmo_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	return 0;
}

static const struct vm_operations_struct vmo_vm_ops = {
	.fault = vmo_fault,
	.page_mkwrite = vmo_page_mkwrite,
	.map_pages = vmo_map_pages,
};

/*
 * For shared mappings of contents that may be pinned for long: the core refuses
 * FOLL_LONGTERM where a mapping has page_mkwrite. A VMA keeps its operations.
 */
static const struct vm_operations_struct vmo_longterm_vm_ops = {
	.fault = vmo_fault,
	.map_pages = vmo_map_pages,
};

int vmo_mmap(struct file *file, struct vm_area_struct *vma)
{
	bool odd = (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) != (VM_SHARED | VM_MAYWRITE);
	unsigned int rights = vmo_file_rights(file);
	struct vmo *vmo = vmo_from_file(file);
	struct file *own;

	if (!(rights & VMO_RIGHT_MAP))
		return -EACCES;

	/* The core checked the offset against the file, we shift it to keys. */
	if (vma->vm_pgoff > VMO_MAX_PAGES - vmo->base ||
	    vma_pages(vma) > VMO_MAX_PAGES - vmo->base - vma->vm_pgoff)
		return -EOVERFLOW;
	if (!(rights & VMO_RIGHT_EXEC)) {
		if (vma->vm_flags & VM_EXEC)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYEXEC);
	}
	if (odd || vmo->base) {
		own = vmo_file_for_vma(vmo, file, odd);
		if (IS_ERR(own))
			return PTR_ERR(own);
		vma_set_file(vma, own);
		fput(own);
	}
	vma->vm_pgoff += vmo->base;
	vma->vm_private_data = vmo;	/* the file holds the inode, and that the object */
	vma->vm_ops = &vmo_vm_ops;
	if (!odd && vmo->content->flags & VMO_CONTENT_LONGTERM)
		vma->vm_ops = &vmo_longterm_vm_ops;
	vm_flags_set(vma, VM_MIXEDMAP);	/* vm_insert_pages() from a fault needs it */
	return 0;
}
