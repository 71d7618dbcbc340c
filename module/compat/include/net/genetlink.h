/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMO_COMPAT_NET_GENETLINK_H
#define VMO_COMPAT_NET_GENETLINK_H

#include_next <net/genetlink.h>
#include <linux/version.h>

/* The attributes of a dump's request moved into a struct genl_info in 6.6. */
static inline struct nlattr **vmo_genl_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return genl_dumpit_info(cb)->attrs;
#else
	return genl_info_dump(cb)->attrs;
#endif
}

#endif
