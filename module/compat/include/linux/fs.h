/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMO_COMPAT_FS_H
#define VMO_COMPAT_FS_H

#include_next <linux/fs.h>
#include <linux/version.h>

/* The first argument of inode operations changed its type in 6.3. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define mnt_idmap user_namespace
#define nop_mnt_idmap init_user_ns
#endif

/* Since 6.5; before, the other one copied by ->read_iter as well. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define copy_splice_read generic_file_splice_read
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define generic_fillattr(idmap, mask, inode, stat) generic_fillattr(idmap, inode, stat)
#endif

/* Since 6.16 on inodes of alloc_anon_inode(). */
#ifndef S_ANON_INODE
#define S_ANON_INODE 0
#endif

#endif
