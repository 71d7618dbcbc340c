// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

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
	seq_printf(m, "usage_queries %llu\n", usage.queries);
	seq_printf(m, "usage_hits %llu\n", usage.hits);
	seq_printf(m, "usage_misses %llu\n", usage.misses);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

/* Nothing depends on debugfs; it may be absent or locked down. */
void vmo_debugfs_init(void)
{
	root = debugfs_create_dir("vmo", NULL);
	debugfs_create_file("counters", 0400, root, NULL, &counters_fops);
}

void vmo_debugfs_exit(void)
{
	debugfs_remove_recursive(root);
}
