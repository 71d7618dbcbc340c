/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Virtual memory objects: a file descriptor that is memory.
 */
#ifndef _UAPI_LINUX_VMO_H
#define _UAPI_LINUX_VMO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Encoding and errors
 *
 * A command is matched by its number; the size in it is the size of the
 * caller's structure. A structure shorter than this header's first version is
 * EINVAL. A longer one is accepted if what the kernel does not know is zero,
 * and E2BIG otherwise; missing fields count as zero. Of the answer the caller
 * gets as much as its structure holds.
 *
 * Offsets, lengths and sizes are bytes. A new file descriptor has O_CLOEXEC
 * and is installed last: a failed command leaves none behind and has changed
 * nothing, unless its text says otherwise.
 *
 * ======== =============================================================
 * ENOTTY   not a command of this kind of file
 * E2BIG    non-zero bytes behind what the kernel knows
 * EINVAL   wrong value: unknown flag, non-zero reserved field, unaligned
 * ERANGE   outside of the object, or larger than any object can be
 * EOPNOTSUPP known, but not for this object
 * EBADFD   the object is in the wrong state, such as pinned
 * EACCES   the descriptor lacks the right
 * EPERM    the caller lacks the privilege
 * EFAULT   unreadable or unwritable user memory
 * ENOMEM   no memory, or the limit of the memory cgroup
 * EIO      a page could not be read because of a hardware memory error
 * EINTR    killed while waiting for a lock
 * ======== =============================================================
 */

/* 0xD6 is not registered in the kernel's ioctl-number table. */
#define VMO_IOC			0xD6

#define VMO_ABI_VERSION		0

/**
 * struct vmo_probe - what the module can do (VMO_PROBE, on /dev/vmo)
 * @abi: VMO_ABI_VERSION of the module
 * @page_size: granule of clone windows and range operations, in bytes
 * @features: VMO_FEATURE_* bits
 * @max_size: the largest object, in bytes
 *
 * Works on a descriptor opened read-only, too.
 */
struct vmo_probe {
	__u32 abi;
	__u32 page_size;
	__aligned_u64 features;
	__aligned_u64 max_size;
};

#define VMO_FEATURE_SNAPSHOT	(1ULL << 0)

/**
 * struct vmo_create - a new object of zeroes (VMO_CREATE, on /dev/vmo)
 * @size: bytes; rounded up to pages for the object, kept as its content size.
 *	0 is legal; more than max_size is ERANGE. (C1, C2)
 * @flags: must be 0
 * @fd: out: the object
 *
 * The caller needs /dev/vmo open for writing (EACCES).
 */
struct vmo_create {
	__aligned_u64 size;
	__u32 flags;
	__s32 fd;
};

/**
 * struct vmo_clone - a copy-on-write child (VMO_CLONE, on an object)
 * @offset: start of the window in the parent; page aligned (EINVAL)
 * @size: bytes; rounded up to pages. The window may reach past the end of the
 *	parent; what lies there reads zero. (K1, K2)
 * @flags: VMO_CLONE_SNAPSHOT
 * @fd: out: the child
 *
 * VMO_CLONE_SNAPSHOT: the child has what the parent held at one instant of
 * the call: every write that anybody saw before it returned is in it or
 * comes after it as a whole page would; mappings, of either side, stay in
 * place, stay writable, and never see the other side's later writes. Costs in
 * proportion to the pages written since the last snapshot, not to the size.
 * A page that a device or a pipe holds is copied instead of shared.
 * The descriptor has to be readable (EACCES). (R2)
 */
struct vmo_clone {
	__aligned_u64 offset;
	__aligned_u64 size;
	__u32 flags;
	__s32 fd;
};

#define VMO_CLONE_SNAPSHOT	(1U << 0)

/**
 * struct vmo_op_range - an operation on a range (VMO_OP_RANGE, on an object)
 * @op: VMO_OP_*
 * @flags: must be 0
 * @offset: bytes
 * @length: bytes; 0 does nothing. A range that is not inside the object is
 *	ERANGE.
 *
 * %VMO_OP_COMMIT: let the object own every page that the range touches, as a
 * write would, so that later writes allocate nothing. Not transactional. (T1,
 * T2, T4)
 *
 * %VMO_OP_DECOMMIT: give the pages up; the range reads zero. Page aligned
 * (EINVAL). Clones: EOPNOTSUPP. (T6)
 *
 * The descriptor has to be writable (EACCES).
 */
struct vmo_op_range {
	__u32 op;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
};

#define VMO_OP_COMMIT		1
#define VMO_OP_DECOMMIT		2

/**
 * struct vmo_info - what an object is and holds (VMO_INFO, on an object)
 * @id: unique among all objects since the module was loaded
 * @parent_id: the object it was made from, 0 for none
 * @size: bytes, whole pages
 * @content_size: bytes; st_size of the file
 * @committed_bytes: pages that the object reads as its own or shared
 * @private_bytes: what would be freed if the object died now
 * @shared_bytes: pages shared with other members of the family
 * @scaled_bytes: every page divided at each point where it is shared; the
 *	sum over a family is what the family holds (less rounding)
 * @metadata_bytes: the page tree that the object reaches
 * @children: objects made from this one that are still alive
 * @flags: VMO_INFO_* bits
 */
struct vmo_info {
	__aligned_u64 id;
	__aligned_u64 parent_id;
	__aligned_u64 size;
	__aligned_u64 content_size;
	__aligned_u64 committed_bytes;
	__aligned_u64 private_bytes;
	__aligned_u64 shared_bytes;
	__aligned_u64 scaled_bytes;
	__aligned_u64 metadata_bytes;
	__aligned_u64 children;
	__aligned_u64 flags;
};

#define VMO_INFO_COW_CLONE	(1ULL << 0)

/* On /dev/vmo */
#define VMO_PROBE	_IOWR(VMO_IOC, 0x00, struct vmo_probe)
#define VMO_CREATE	_IOWR(VMO_IOC, 0x01, struct vmo_create)

/* On an object */
#define VMO_CLONE	_IOWR(VMO_IOC, 0x10, struct vmo_clone)
#define VMO_OP_RANGE	_IOWR(VMO_IOC, 0x11, struct vmo_op_range)
#define VMO_INFO	_IOWR(VMO_IOC, 0x12, struct vmo_info)

#endif
