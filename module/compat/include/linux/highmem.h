/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMO_COMPAT_HIGHMEM_H
#define VMO_COMPAT_HIGHMEM_H

#include_next <linux/highmem.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
/* Since 6.3. Non-zero: bytes that could not be read. */
static inline int copy_mc_highpage(struct page *to, struct page *from)
{
#ifdef copy_mc_to_kernel
	char *vfrom = kmap_local_page(from);
	char *vto = kmap_local_page(to);
	unsigned long left = copy_mc_to_kernel(vto, vfrom, PAGE_SIZE);

	kunmap_local(vto);
	kunmap_local(vfrom);
	return left;
#else
	copy_highpage(to, from);
	return 0;
#endif
}
#endif

#endif
