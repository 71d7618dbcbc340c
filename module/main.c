// SPDX-License-Identifier: GPL-2.0
/*
 * vmo: virtual memory objects. A file descriptor that is memory, and that can
 * be cloned copy-on-write while it stays mapped.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "doors.h"
#include "page.h"

static struct miscdevice vmo_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vmo",
	.mode = 0660,
	.fops = &vmo_dev_fops,
};

static int __init vmo_init(void)
{
	int ret;

	ret = vmo_pages_init();
	if (ret)
		return ret;
	ret = vmo_inodes_init();
	if (ret)
		goto err_pages;
	vmo_debugfs_init();
	ret = vmo_netlink_init();
	if (ret)
		goto err_inodes;
	ret = misc_register(&vmo_dev);
	if (ret)
		goto err_netlink;
	return 0;

err_netlink:
	vmo_netlink_exit();
err_inodes:
	vmo_debugfs_exit();
	vmo_inodes_exit();
err_pages:
	vmo_pages_exit();
	return ret;
}

static void __exit vmo_exit(void)
{
	misc_deregister(&vmo_dev);
	vmo_netlink_exit();
	vmo_debugfs_exit();
	vmo_inodes_exit();
	vmo_pages_exit();
}

module_init(vmo_init);
module_exit(vmo_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Virtual memory objects");
MODULE_AUTHOR("The vmo authors");
MODULE_VERSION(VMO_VERSION);
