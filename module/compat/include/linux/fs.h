/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMO_COMPAT_FS_H
#define VMO_COMPAT_FS_H

#include_next <linux/fs.h>
#include <linux/version.h>

/* The first argument of inode operations changed its type in 6.3. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define mnt_idmap user_namespace
#endif

#endif
