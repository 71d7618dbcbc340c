// SPDX-License-Identifier: GPL-2.0
/*
 * For whoever debugs (layer L3): counters, and what there is. debugfs is root's.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmo_netlink.h>

#include "doors.h"
#include "page.h"

static struct dentry *root;

static int counters_show(struct seq_file *m, void *unused)
{
	struct vmo_usage_counters usage;
	struct vmo_counters sum;

	vmo_counters_read(&sum);
	vmo_usage_counters_read(&usage);
	seq_printf(m, "pages %ld\n", sum.pages);
	seq_printf(m, "nodes %ld\n", sum.nodes);
	seq_printf(m, "objects %ld\n", vmo_objects_count());
	seq_printf(m, "contents %ld\n", vmo_contents_count());
	seq_printf(m, "pins %ld\n", vmo_pins_count());
	seq_printf(m, "pagers %ld\n", vmo_pagers_count());
	seq_printf(m, "usage_queries %llu\n", usage.queries);
	seq_printf(m, "usage_hits %llu\n", usage.hits);
	seq_printf(m, "usage_misses %llu\n", usage.misses);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

/* ---- the dump ---------------------------------------------------------- */

#define DUMP_DEPTH	64

/**
 * struct dump - what one opener of the file wants to see
 * @id: this object and what stems from it; 0 for all
 * @depth: so many generations of that
 * @verbose: 1: with its pages, run by run
 */
struct dump {
	u64 id;
	unsigned int depth;
	unsigned int verbose;
};

static void *dump_start(struct seq_file *m, loff_t *pos)
{
	return vmo_object_next(*pos);
}

static void *dump_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct vmo *vmo = v;

	*pos = vmo->id + 1;
	iput(vmo->view.inode);
	return fatal_signal_pending(current) ? NULL : vmo_object_next(*pos);
}

static void dump_stop(struct seq_file *m, void *v)
{
	struct vmo *vmo = v;

	if (vmo)
		iput(vmo->view.inode);
}

static const char * const kind_name[] = {
	[VMO_KIND_ROOT] = "root",
	[VMO_KIND_CLONE] = "clone",
	[VMO_KIND_SLICE] = "slice",
	[VMO_KIND_REFERENCE] = "reference",
};

/**
 * struct run - pages in a row that are alike
 * @m: to print to
 * @base: key of the object's first page
 * @first: key
 * @last: key
 * @state: VMO_STATE_* bits
 * @any: there is one
 */
struct run {
	struct seq_file *m;
	pgoff_t base;
	pgoff_t first;
	pgoff_t last;
	unsigned int state;
	bool any;
};

static void print_run(struct run *run)
{
	if (run->any && run->state)
		seq_printf(run->m, "    pages %lu-%lu%s%s%s\n", run->first - run->base,
			   run->last - run->base,
			   run->state & VMO_STATE_SHARED ? " shared" : " private",
			   run->state & VMO_STATE_PINNED ? " pinned" : "",
			   run->state & VMO_STATE_WRITABLE ? " writable" : "");
	run->any = false;
}

/* Under a leaf lock; seq_printf() does not sleep. */
static bool add_page(pgoff_t first, pgoff_t last, struct page *page, unsigned int state, void *arg)
{
	struct run *run = arg;

	if (!run->any || run->state != state) {
		print_run(run);
		run->first = first;
	}
	run->last = last;
	run->state = state;
	run->any = true;
	return true;
}

static int print_pages(struct seq_file *m, struct vmo *vmo)
{
	pgoff_t key = vmo->base, pages = vmo_object_pages(vmo), last = key + pages - 1;
	struct run run = { .m = m, .base = vmo->base };
	int err = 0;

	while (pages && !err && key <= last && !seq_has_overflowed(m)) {
		err = vmo_cow_walk(&vmo->content->cow, &key, last, add_page, &run);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
	}
	print_run(&run);
	return err;
}

static void print_object(struct seq_file *m, struct vmo *vmo, const struct vmo_charges *charges)
{
	char name[VMO_NAME_ESCAPED];
	struct vmo_family family;

	vmo_object_family(vmo, &family);
	vmo_name_escaped(vmo, name);
	seq_printf(m, "vmo %llu %s of %llu '%s' content %p from %lu size %llu bytes %llu",
		   vmo->id, kind_name[vmo_kind_of(vmo)], family.parent_id, name, &vmo->content->cow,
		   vmo->base, (u64)vmo_object_pages(vmo) << PAGE_SHIFT,
		   (u64)i_size_read(vmo->view.inode));
	seq_printf(m, " pages %llu private %llu shared %llu pins %llu children %lu flags %llx\n",
		   charges->tally.pages, charges->tally.private, charges->tally.shared,
		   (u64)atomic64_read(&vmo->content->cow.pins), family.children,
		   vmo_info_flags(vmo));
}

static int dump_show(struct seq_file *m, void *v)
{
	struct dump *dump = m->private;
	struct vmo *vmo = v;
	struct vmo_charges charges = { };
	int depth = 0, err = 0;

	if (dump->id)
		depth = vmo_object_depth(vmo, dump->id, dump->depth);
	if (depth < 0)
		return 0;
	if (!(vmo->flags & (VMO_OBJ_SLICE | VMO_OBJ_REFERENCE)))
		err = vmo_content_usage(vmo->content, false, &charges);
	if (err)
		return err;
	seq_printf(m, "%*s", 2 * depth, "");
	print_object(m, vmo, &charges);
	return dump->verbose ? print_pages(m, vmo) : 0;
}

static const struct seq_operations dump_ops = {
	.start = dump_start,
	.next = dump_next,
	.stop = dump_stop,
	.show = dump_show,
};

static int dump_open(struct inode *inode, struct file *file)
{
	struct dump *dump = __seq_open_private(file, &dump_ops, sizeof(*dump));

	if (!dump)
		return -ENOMEM;
	dump->depth = DUMP_DEPTH;
	return 0;
}

/* "ID [DEPTH [VERBOSE]]": what is read from here on. */
static ssize_t dump_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct seq_file *m = file->private_data;
	struct dump want = { .depth = DUMP_DEPTH };
	char line[64];

	if (count >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, from, count))
		return -EFAULT;
	line[count] = 0;
	if (sscanf(line, "%llu %u %u", &want.id, &want.depth, &want.verbose) < 1 ||
	    want.depth > INT_MAX)
		return -EINVAL;
	mutex_lock(&m->lock);
	*(struct dump *)m->private = want;
	mutex_unlock(&m->lock);
	return count;
}

static const struct file_operations dump_fops = {
	.owner = THIS_MODULE,
	.open = dump_open,
	.read = seq_read,
	.write = dump_write,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/* ---- eviction ---------------------------------------------------------- */

/* Of all objects with a pager: what their servers know. */
static int evict_all(unsigned long *pages)
{
	struct vmo *vmo;
	u64 id = 0;
	int err = 0;

	while (!err && (vmo = vmo_object_next(id))) {
		id = vmo->id + 1;
		if (vmo->content->cow.source)
			err = vmo_cow_evict(&vmo->content->cow, 0, VMO_KEY_MAX, pages);
		iput(vmo->view.inode);
	}
	return err;
}

/* Whatever is written; for tests, and until memory pressure does so. */
static ssize_t evict_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	unsigned long pages = 0;
	int err = evict_all(&pages);

	return err ? err : count;
}

static const struct file_operations evict_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = evict_write,
	.llseek = noop_llseek,
};

/* Nothing depends on debugfs; it may be absent or locked down. */
void vmo_debugfs_init(void)
{
	root = debugfs_create_dir("vmo", NULL);
	debugfs_create_file("counters", 0400, root, NULL, &counters_fops);
	debugfs_create_file("dump", 0600, root, NULL, &dump_fops);
	debugfs_create_file("evict", 0200, root, NULL, &evict_fops);
}

void vmo_debugfs_exit(void)
{
	debugfs_remove_recursive(root);
}
