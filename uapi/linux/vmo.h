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
 * nothing, unless its text says otherwise. The answer of a failed command is
 * not written, but for VMO_READ and VMO_WRITE; nor is that of one that has
 * nothing to answer (VMO_OP_RANGE, VMO_RESIZE, VMO_TRANSFER, VMO_REWIND, VMO_NAME with
 * VMO_NAME_SET, VMO_PAGER_SUPPLY, VMO_PAGER_FAIL, VMO_PAGER_DETACH,
 * VMO_PAGER_WRITEBACK, VMO_PAGER_DIRTY).
 *
 * Whatever needs memory of an object with a pager may besides fail as the server says
 * (EIO, EBADMSG, ENOSPC, ENOBUFS, EBADFD), with EBADFD if nobody is to be asked any more,
 * and with ETIMEDOUT if nobody answers. A fault is SIGBUS then. It can always be killed.
 *
 * What is wrong is looked for in this order: the command and the structure's
 * size (ENOTTY, EINVAL, EFAULT, E2BIG), the descriptor's access mode (EACCES),
 * flags and reserved fields (EINVAL), then what the command's text says.
 *
 * ======== =============================================================
 * ENOTTY   not a command of this kind of file
 * E2BIG    non-zero bytes behind what the kernel knows
 * EINVAL   wrong value: unknown flag, non-zero reserved field, unaligned
 * ERANGE   outside of the object, or larger than any object can be
 * EOPNOTSUPP known, but not for this object
 * EBADFD   the object is in the wrong state, such as pinned, or detached from its pager
 * EAGAIN   a counter is as high as it can be, or to wait was not allowed
 * EBUSY    the pager has a server
 * EACCES   the descriptor lacks the right
 * EPERM    the caller lacks the privilege
 * EFAULT   unreadable or unwritable user memory
 * ENOMEM   no memory, or the limit of the memory cgroup, or RLIMIT_MEMLOCK
 * EMFILE   no descriptor is free
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

#define VMO_FEATURE_SNAPSHOT	(1ULL << 0)	/* VMO_CLONE_SNAPSHOT */
#define VMO_FEATURE_SLICE	(1ULL << 1)
#define VMO_FEATURE_REFERENCE	(1ULL << 2)
#define VMO_FEATURE_RESIZE	(1ULL << 3)	/* resizable objects */
#define VMO_FEATURE_PIN		(1ULL << 4)
#define VMO_FEATURE_EXEC	(1ULL << 5)	/* executable objects */
#define VMO_FEATURE_LONGTERM	(1ULL << 6)	/* VMO_CREATE_LONGTERM */
#define VMO_FEATURE_RIGHTS	(1ULL << 7)	/* VMO_RESTRICT */
#define VMO_FEATURE_TRANSFER	(1ULL << 8)
#define VMO_FEATURE_PAGES	(1ULL << 9)	/* VMO_PAGES, VMO_LOOKUP */
#define VMO_FEATURE_USAGE	(1ULL << 10)	/* VMO_USAGE, VMO_STATS */
#define VMO_FEATURE_DIFF	(1ULL << 11)
#define VMO_FEATURE_REWIND	(1ULL << 12)	/* VMO_CLONE_KEEP_BASE, VMO_REWIND */
#define VMO_FEATURE_HARVEST	(1ULL << 13)	/* VMO_HARVESTER, VMO_HARVEST */
#define VMO_FEATURE_PAGER	(1ULL << 14)	/* VMO_PAGER_CREATE */

/* Bytes of a name, with the zero at the end. */
#define VMO_NAME_SIZE		64

/**
 * struct vmo_create - a new object of zeroes (VMO_CREATE, on /dev/vmo)
 * @size: bytes; rounded up to pages for the object, kept as its content size.
 *	0 is legal; more than max_size is ERANGE. (C1, C2)
 * @flags: VMO_CREATE_* bits
 * @fd: out: the object
 * @name: as for VMO_NAME; empty for none
 * @key: with VMO_CREATE_PAGER: what the server is told that it is about; else 0
 * @pager_fd: with VMO_CREATE_PAGER: who provides the memory; else 0
 * @reserved: must be 0
 *
 * %VMO_CREATE_RESIZABLE: the object can be resized, by VMO_RESIZE, ftruncate()
 * and by writes past its end. (C3)
 *
 * %VMO_CREATE_EXEC: it may be mapped with PROT_EXEC. Clones that can be written
 * lose that. (R2)
 *
 * %VMO_CREATE_LONGTERM: its shared mappings may be pinned for long, as io_uring
 * does with registered buffers (from kernel 6.12 on; 6.1 allows that for shmem
 * only) and RDMA and VFIO do. The price: in a shared mapping of a writable
 * descriptor, reading a page commits it, and in a clone copies it. Slices and
 * references have the property, clones only if they ask for it. A snapshot gets
 * copies of the pages that are pinned so.
 *
 * %VMO_CREATE_PAGER: what nobody has written or supplied yet is asked of the pager; see
 * struct vmo_pager_create. Not together with VMO_CREATE_LONGTERM (EINVAL). A @pager_fd that
 * is not open is EBADF, one that is no pager EINVAL. (P1)
 *
 * %VMO_CREATE_TRAP_DIRTY: only with VMO_CREATE_PAGER (EINVAL). Whoever is about to write a
 * page that is not dirty waits until the server has said VMO_PAGER_DIRTY. (P31)
 *
 * The caller needs /dev/vmo open for writing (EACCES).
 */
struct vmo_create {
	__aligned_u64 size;
	__u32 flags;
	__s32 fd;
	char name[VMO_NAME_SIZE];
	__aligned_u64 key;
	__s32 pager_fd;
	__u32 reserved;
};

#define VMO_CREATE_RESIZABLE	(1U << 0)
#define VMO_CREATE_EXEC		(1U << 1)
#define VMO_CREATE_LONGTERM	(1U << 2)
#define VMO_CREATE_PAGER	(1U << 3)
#define VMO_CREATE_TRAP_DIRTY	(1U << 4)

/**
 * struct vmo_clone - a copy-on-write child (VMO_CLONE, on an object)
 * @offset: start of the window in the parent; page aligned (EINVAL)
 * @size: bytes; rounded up to pages. The window may reach past the end of the
 *	parent; what lies there reads zero. Larger than max_size is ERANGE; a
 *	window whose end, counted from the first ancestor, wraps is EINVAL.
 *	(K1, K2)
 * @flags: exactly one of VMO_CLONE_SNAPSHOT, VMO_CLONE_AT_LEAST_ON_WRITE and
 *	VMO_CLONE_MODIFIED (EINVAL), and further VMO_CLONE_* bits
 * @fd: out: the child
 *
 * VMO_CLONE_SNAPSHOT: the child has what the parent held at one instant of
 * the call: every write that anybody saw before it returned is in it or
 * comes after it as a whole page would; mappings, of either side, stay in
 * place, stay writable, and never see the other side's later writes. Costs in
 * proportion to the pages written since the last snapshot, not to the size.
 * A page that a device or a pipe holds is copied instead of shared; what
 * devices write meanwhile may be in it or not, byte by byte.
 *
 * VMO_CLONE_AT_LEAST_ON_WRITE and VMO_CLONE_MODIFIED are for memory that a pager
 * provides, of which nobody knows all; there is no snapshot of it, nor a child with
 * VMO_CLONE_KEEP_BASE (EOPNOTSUPP). Such a child has pages of its own for what is written,
 * zeroed, committed or pinned through it, and shows the object with the pager everywhere
 * else, as that changes, as far as both reach. A child of the child begins with what that
 * one has of its own; for VMO_CLONE_AT_LEAST_ON_WRITE pins of it do not matter, its pinned
 * pages are copied. Of all other memory both kinds are snapshots, in every respect. (K5,
 * K11, K12)
 *
 * %VMO_CLONE_NO_WRITE: nobody can ever write the child. Not together with
 * VMO_CLONE_RESIZABLE (EINVAL). It may be executed if the parent may. (R2, H6)
 *
 * %VMO_CLONE_RESIZABLE: the child can be resized. (R2)
 *
 * %VMO_CLONE_COPY_PINNED: pinned pages in the window are copied; without it any
 * pin of the memory is EBADFD. (K6)
 *
 * %VMO_CLONE_LONGTERM: as VMO_CREATE_LONGTERM. Not together with
 * VMO_CLONE_NO_WRITE (EINVAL).
 *
 * %VMO_CLONE_KEEP_BASE: the child can go back to what it is now, by VMO_REWIND. What
 * only that keeps is charged to the child. Not together with VMO_CLONE_NO_WRITE
 * (EINVAL).
 *
 * The descriptor has to be readable (EACCES); a child that can be written is
 * so even if the parent's descriptor is not. Else it has the rights of the
 * descriptor, less VMO_RIGHT_RESIZE if not asked for, and VMO_RIGHT_NAME. (R2)
 */
struct vmo_clone {
	__aligned_u64 offset;
	__aligned_u64 size;
	__u32 flags;
	__s32 fd;
};

#define VMO_CLONE_SNAPSHOT		(1U << 0)
#define VMO_CLONE_AT_LEAST_ON_WRITE	(1U << 1)
#define VMO_CLONE_MODIFIED		(1U << 2)
#define VMO_CLONE_NO_WRITE		(1U << 8)
#define VMO_CLONE_RESIZABLE		(1U << 9)
#define VMO_CLONE_COPY_PINNED		(1U << 10)
#define VMO_CLONE_LONGTERM		(1U << 11)
#define VMO_CLONE_KEEP_BASE		(1U << 12)

/**
 * struct vmo_slice - a window onto an object (VMO_SLICE, on an object)
 * @offset: of the window; page aligned (EINVAL)
 * @size: bytes; rounded up to pages. The window has to lie inside of the
 *	object (EINVAL); larger than max_size is ERANGE. 0 is legal. (L1)
 * @flags: VMO_SLICE_* bits
 * @fd: out: the slice
 *
 * A slice has no pages: what is done to it is done to the object, at @offset
 * more, and bounded by the slice. Its content size is its own and starts as
 * @size. It keeps the pages of the object alive. A resizable object, and a
 * reference of one, has no slices (EOPNOTSUPP). (L1 to L5)
 *
 * %VMO_SLICE_NO_WRITE: the slice can only be read. (R2)
 *
 * The descriptor has to be readable (EACCES), and the slice can be written
 * only if the descriptor can.
 */
struct vmo_slice {
	__aligned_u64 offset;
	__aligned_u64 size;
	__u32 flags;
	__s32 fd;
};

#define VMO_SLICE_NO_WRITE	(1U << 8)

/**
 * struct vmo_reference - the same memory as another object (VMO_REFERENCE)
 * @offset: must be 0 (EINVAL)
 * @size: must be 0 (EINVAL)
 * @flags: VMO_REFERENCE_* bits
 * @fd: out: the reference
 *
 * A reference has the pages, the size and the content size of the object that
 * it was made from, but is an object: it has an id, a name, children. (F1 to
 * F6)
 *
 * %VMO_REFERENCE_NO_WRITE: the reference can only be read. Not together with
 * VMO_REFERENCE_RESIZABLE (EINVAL). (R2)
 *
 * %VMO_REFERENCE_RESIZABLE: it can be resized. EOPNOTSUPP if the object is of
 * fixed size, EACCES if the descriptor may not resize it. (F1, F2)
 *
 * The descriptor has to be readable (EACCES), and the reference can be written
 * only if the descriptor can.
 */
struct vmo_reference {
	__aligned_u64 offset;
	__aligned_u64 size;
	__u32 flags;
	__s32 fd;
};

#define VMO_REFERENCE_NO_WRITE	(1U << 8)
#define VMO_REFERENCE_RESIZABLE	(1U << 9)

/**
 * struct vmo_resize - set the size of an object (VMO_RESIZE, on an object)
 * @size: bytes; the object gets as many pages as that takes and exactly this
 *	content size. More than max_size is ERANGE. (S1, S2)
 * @flags: must be 0
 * @reserved: must be 0
 *
 * New memory reads zero, and so do the bytes behind the content size in the
 * last page. Whatever shrinking cuts is gone, for references too; clones keep
 * what they share. A pinned page in the cut is EBADFD, and then nothing
 * happens, but that the new last page may have become the object's own. (Z1, Z2)
 *
 * The descriptor has to be writable (EACCES). An object of fixed size: EPERM.
 * A reference that was not made resizable: EACCES.
 */
struct vmo_resize {
	__aligned_u64 size;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct vmo_rewind - go back to where a clone began (VMO_REWIND, on an object)
 * @flags: must be 0
 * @reserved: must be 0
 *
 * A child that was cloned with VMO_CLONE_KEEP_BASE, and its references, have at one
 * instant what it was cloned with, whatever its parent did since: bytes, holes, size and
 * content size. Mappings stay, and show it. What was made of the child keeps what it has.
 * The time it takes grows with the pages that were written since. Up to 4,096 of these stay
 * with the child, with the old bytes in them, for whoever writes there next; a rewind gives
 * up those that were not written since the one before. A write that goes on at
 * the same time is undone, or comes after it as a whole page would. A page that a device
 * or a pipe holds leaves the object, as when a file is truncated.
 *
 * EOPNOTSUPP for other objects, and through slices. A pinned page anywhere in the child is
 * EBADFD. The descriptor has to be writable (EACCES).
 */
struct vmo_rewind {
	__u32 flags;
	__u32 reserved;
};

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
 * %VMO_OP_DECOMMIT: give the pages up; the range reads zero. Clones, and what
 * was made of them: EOPNOTSUPP. Page aligned (EINVAL). A pinned page: EBADFD,
 * and nothing happens. (T6)
 *
 * %VMO_OP_ZERO: let the range read zero. Whole pages are given up, but for
 * pinned ones, which stay and are zeroed. After an error part of it may be done. (O1
 * to O3)
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
#define VMO_OP_ZERO		3

/**
 * struct vmo_pin - keep pages where they are (VMO_PIN, on an object)
 * @offset: bytes; page aligned (EINVAL)
 * @length: bytes; page aligned, not 0 (EINVAL). A range that is not inside the
 *	object is ERANGE. (N1, R3)
 * @flags: VMO_PIN_READ, VMO_PIN_WRITE or both (EINVAL)
 * @fd: out: the pin; its last close unpins
 *
 * Commits the range as a write would, and then nothing moves, copies or gives
 * up these pages while the pin lives: a decommit or a resize that would, and a
 * snapshot, is EBADFD; zeroing is done in place. Pins nest; the 65,536th of a
 * page is EAGAIN. The pin keeps the object alive. A pin that fails unpins what
 * it pinned so far; what it committed stays committed. (N1 to N8)
 *
 * Pinned bytes count against RLIMIT_MEMLOCK of the user, over all processes
 * (ENOMEM; not with CAP_IPC_LOCK).
 *
 * VMO_PIN_READ needs a descriptor that can be read, VMO_PIN_WRITE one that can
 * be written (EACCES).
 */
struct vmo_pin {
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 flags;
	__s32 fd;
};

#define VMO_PIN_READ		(1U << 0)
#define VMO_PIN_WRITE		(1U << 1)

/**
 * struct vmo_name - an object's name (VMO_NAME, on an object)
 * @flags: VMO_NAME_SET to set it, else it is only read
 * @reserved: must be 0
 * @name: in with VMO_NAME_SET, else out: ends with a zero byte, with nothing
 *	but zeroes behind it; EINVAL if not, or if a byte is a control
 *	character (below 0x20, or 0x7f)
 *
 * Children start with the name of their parent (H5). It shows in
 * /proc/PID/maps and in fdinfo, where all but printable ASCII is escaped. To
 * set it, the descriptor has to be writable (EACCES).
 */
struct vmo_name {
	__u32 flags;
	__u32 reserved;
	char name[VMO_NAME_SIZE];
};

#define VMO_NAME_SET		(1U << 0)

/**
 * struct vmo_rw - strict read and write (VMO_READ, VMO_WRITE, on an object)
 * @offset: bytes
 * @iov: pointer to an array of struct iovec, as for readv()
 * @iov_count: its length; 0 to 1024 (EINVAL)
 * @flags: VMO_RW_* bits
 * @actual: out, also if the call fails: bytes copied
 *
 * Against the size of the object, not its content size, which never matters
 * here and is not changed; the object is never grown. A range that wraps or
 * ends past the size is ERANGE, before the memory of the caller is looked at.
 * An object that shrinks under a call: ERANGE. What was copied before an error
 * stays copied. (D1 to D5)
 *
 * %VMO_RW_TRIM: what lies past the end of the object is left out; nothing may
 * be left. (D1)
 *
 * The descriptor has to be readable or writable (EACCES).
 */
struct vmo_rw {
	__aligned_u64 offset;
	__aligned_u64 iov;
	__u32 iov_count;
	__u32 flags;
	__aligned_u64 actual;
};

#define VMO_RW_TRIM		(1U << 0)

/**
 * struct vmo_restrict - another descriptor with fewer rights (VMO_RESTRICT)
 * @rights: VMO_RIGHT_* bits of the new descriptor; EINVAL for unknown ones, EACCES
 *	for one that this descriptor lacks. 0 is legal.
 * @flags: must be 0
 * @fd: out: the descriptor
 * @reserved: must be 0
 *
 * It is of the same object: same id, same memory, same children. Its access mode
 * follows from VMO_RIGHT_READ and VMO_RIGHT_WRITE. Opening it anew through
 * /proc never gives more than @rights, whoever does it. Any descriptor can be
 * restricted.
 *
 * %VMO_RIGHT_READ, %VMO_RIGHT_WRITE: as for any file. A right that the access
 * mode does not have is not there.
 *
 * %VMO_RIGHT_MAP: mmap() is EACCES without it. What may be mapped how, and what
 * mprotect() can do later, the access mode decides.
 *
 * %VMO_RIGHT_EXEC: PROT_EXEC is EACCES without it, in mmap() and in mprotect(),
 * and so is execve().
 *
 * %VMO_RIGHT_RESIZE: without it VMO_RESIZE and ftruncate() are EACCES, and writes
 * do not grow the object. Only where the object can be resized at all.
 *
 * %VMO_RIGHT_PIN: for VMO_PIN.
 *
 * %VMO_RIGHT_CHILD: for VMO_CLONE, VMO_SLICE and VMO_REFERENCE, with
 * VMO_RIGHT_READ. Zircon calls it duplicate. (R2)
 *
 * %VMO_RIGHT_NAME: to set the name, with VMO_RIGHT_WRITE.
 */
struct vmo_restrict {
	__u32 rights;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
};

#define VMO_RIGHT_READ		(1U << 0)
#define VMO_RIGHT_WRITE		(1U << 1)
#define VMO_RIGHT_MAP		(1U << 2)
#define VMO_RIGHT_EXEC		(1U << 3)
#define VMO_RIGHT_RESIZE	(1U << 4)
#define VMO_RIGHT_PIN		(1U << 5)
#define VMO_RIGHT_CHILD		(1U << 6)
#define VMO_RIGHT_NAME		(1U << 7)

/**
 * struct vmo_transfer - move pages here from another object (VMO_TRANSFER)
 * @offset: where they go to in this object; page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL). 0 does nothing.
 * @src_offset: where they come from; page aligned (EINVAL)
 * @src_fd: the object that they are taken from; may be the same
 * @flags: must be 0
 *
 * Afterwards this object has in the range what the source had, holes included,
 * and the source reads zero there. Pages that nobody else shares or holds
 * are moved, others are copied. Ranges of one memory may overlap: it is as if all
 * were taken out first. Source and target change at one instant for each piece
 * of at most 2 MiB, not for the whole. From a range to itself nothing happens.
 * (X1, X2)
 *
 * A range that is not inside of its object is ERANGE. A pinned page in either
 * range is EBADFD. Without memory (ENOMEM) or killed, what was transferred so far
 * stays so. (X3)
 *
 * The descriptor has to be writable, that of the source readable and writable
 * (EACCES). One that is no object is EINVAL, one that is not open EBADF.
 */
struct vmo_transfer {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 src_offset;
	__s32 src_fd;
	__u32 flags;
};

/**
 * struct vmo_pages - the state of the pages of a range (VMO_PAGES, on an object)
 * @offset: bytes, page aligned (EINVAL). Out: where to go on
 * @length: bytes, page aligned (EINVAL). A range that is not inside of the object
 *	is ERANGE. Out: what is left; 0 at the end
 * @runs: pointer to an array of struct vmo_page_run
 * @count: its length; 0 is EINVAL. Out: how many are filled in
 * @flags: must be 0
 *
 * The runs are in order, without gaps, and neighbours differ within one call. A
 * call looks at the object at several instants, if the range is long. Looking
 * changes nothing; what a pager has not supplied looks like a hole.
 *
 * The descriptor has to be readable (EACCES).
 */
struct vmo_pages {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 runs;
	__u32 count;
	__u32 flags;
};

/**
 * struct vmo_page_run - pages in a row that are alike
 * @offset: bytes, from the start of the object
 * @length: bytes
 * @state: VMO_PAGE_* bits; 0 for a hole, which reads zero
 * @reserved: 0
 */
struct vmo_page_run {
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 state;
	__u32 reserved;
};

#define VMO_PAGE_PRESENT	(1U << 0)	/* there is a page */
#define VMO_PAGE_SHARED		(1U << 1)	/* other contents of the family have it, too */
#define VMO_PAGE_PINNED		(1U << 2)
#define VMO_PAGE_WRITABLE	(1U << 3)	/* may be written without asking */

/**
 * struct vmo_diff - where two objects of a family differ (VMO_DIFF, on an object)
 * @offset: bytes in this object; page aligned (EINVAL). Out: where to go on
 * @length: bytes; page aligned (EINVAL). A range that is not inside of the object is
 *	ERANGE. Out: what is left; 0 at the end
 * @ranges: pointer to an array of struct vmo_range
 * @count: its length; 0 is EINVAL. Out: how many are filled in
 * @other_fd: the object to compare with. It has to stem from the same first ancestor
 *	(EINVAL), by clones, slices and references in any order
 * @flags: must be 0
 * @reserved: must be 0
 *
 * Compares at the same place of the family: a window of a clone, or a slice, with what
 * it is a window of. Ranges are in order and apart, and hold the pages whose bytes
 * differ, neither more nor less, as long as nobody writes meanwhile. Where the other
 * object has no memory, before its window or past its end, nothing is compared: sizes
 * are told by VMO_INFO. The time it takes grows with the pages that were written on one
 * of the two sides since they were parted, not with their sizes. A long range is
 * compared piece by piece, each at one instant.
 *
 * Both descriptors have to be readable (EACCES). One that is no object is EINVAL, one
 * that is not open EBADF.
 */
struct vmo_diff {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 ranges;
	__u32 count;
	__s32 other_fd;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct vmo_harvester - watch who writes to an object (VMO_HARVESTER, on an object)
 * @flags: must be 0
 * @fd: out: the harvester
 *
 * From now on pages that are written are noted for it: by write() and the like, through
 * mappings, by devices, by commands that zero, cut, move or rewind. Up to 64 harvesters
 * may watch one memory (EAGAIN), and none of them takes anything from another. They see
 * what all objects that have the memory do, such as references, within the object that
 * they were made on. Clones have memory of their own: what is written there is not.
 *
 * A store through a mapping costs nothing more than it does without, and takes no fault:
 * the MMU notes it. Under KVM a harvest lets the guest fault again. A write that may not
 * wait (RWF_NOWAIT) is EAGAIN as long as there is a harvester, for to note it may allocate.
 *
 * The descriptor has to be readable (EACCES). The harvester keeps the object alive.
 */
struct vmo_harvester {
	__u32 flags;
	__s32 fd;
};

/**
 * struct vmo_harvest - which pages were written (VMO_HARVEST, on a harvester)
 * @offset: bytes in the object; page aligned (EINVAL). Out: where to go on
 * @length: bytes; page aligned (EINVAL), or UINT64_MAX for all that follows. It may reach
 *	past the end of the object. Out: what is left; 0 at the end
 * @ranges: pointer to an array of struct vmo_range, or of __u64
 * @count: its length; 0 is EINVAL. Out: how many are filled in
 * @flags: VMO_HARVEST_* bits
 *
 * Tells, in order, which pages of the range were written since this harvester told of
 * them last, and forgets them. What is not told was written after the call began, and
 * will be told. A page may be told of that was not written: if its writer failed, or if it
 * was just about to be mapped or unmapped. One that a device or a pipe holds, or that is
 * pinned, may be written at any moment: it is told each time, for the last time after it
 * was let go. A page that was only allocated, by VMO_OP_COMMIT, or read is not. Of pages
 * that a smaller size has cut it is told when the object has them again.
 *
 * To save what changed, harvest before you clone or copy: a write in between is then in
 * both, this copy and the next harvest.
 *
 * A long range is looked at piece by piece, each at one instant. A call that fails has
 * forgotten nothing: ENOMEM, EFAULT, EINTR.
 *
 * %VMO_HARVEST_KEEP: forget nothing.
 *
 * %VMO_HARVEST_BITMAP: @ranges are words of 64 bits, and bit n of word w is page
 * 64 * w + n from @offset. So @count words are for no more than 64 * @count pages.
 */
struct vmo_harvest {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 ranges;
	__u32 count;
	__u32 flags;
};

#define VMO_HARVEST_KEEP	(1U << 0)
#define VMO_HARVEST_BITMAP	(1U << 1)

/**
 * struct vmo_range - bytes in a row
 * @offset: from the start of the object
 * @length: bytes
 */
struct vmo_range {
	__aligned_u64 offset;
	__aligned_u64 length;
};

/**
 * struct vmo_lookup - where in memory the pages are (VMO_LOOKUP, on an object)
 * @offset: bytes; page aligned with VMO_LOOKUP_CONTIGUOUS (EINVAL). Out: where to
 *	go on
 * @length: bytes, not 0 (EINVAL). A range that is not inside of the object is
 *	ERANGE. Out: what is left; 0 at the end
 * @entries: pointer to an array of struct vmo_lookup_entry
 * @count: its length; 0 is EINVAL. Out: how many are filled in
 * @flags: VMO_LOOKUP_* bits
 *
 * Answers with the pages that are the object's own, in order: not with those that
 * it shares with a clone or has from its parent, and not with holes. Makes, copies
 * and touches none. A page stays where it is only while it is pinned. (V1, V3)
 *
 * %VMO_LOOKUP_SHARED: with pages that it shares, too: all that it reads.
 *
 * %VMO_LOOKUP_CONTIGUOUS: one entry, where the range starts, for all of it. Of
 * memory that was not made contiguous the length has to be one page (EBADFD). A
 * page that is not there is ENOENT. (V2)
 *
 * The descriptor has to be readable (EACCES). Addresses are told to who has
 * CAP_SYS_RAWIO in the initial user namespace: for others they are 0, as in
 * /proc/PID/pagemap, and VMO_LOOKUP_CONTIGUOUS is EPERM.
 */
struct vmo_lookup {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 entries;
	__u32 count;
	__u32 flags;
};

#define VMO_LOOKUP_SHARED	(1U << 0)
#define VMO_LOOKUP_CONTIGUOUS	(1U << 1)

/**
 * struct vmo_lookup_entry - a page
 * @offset: bytes, from the start of the object
 * @address: physical; 0 if the caller may not know
 */
struct vmo_lookup_entry {
	__aligned_u64 offset;
	__aligned_u64 address;
};

/**
 * struct vmo_usage - what a range of an object holds (VMO_USAGE, on an object)
 * @offset: bytes; the pages that the range touches count
 * @length: bytes; what lies past the end is left out
 * @flags: must be 0
 * @reserved: must be 0
 * @committed_bytes: out: as in struct vmo_info, like the following
 * @private_bytes: out
 * @shared_bytes: out
 * @scaled_bytes: out
 * @exclusive_bytes: out
 * @metadata_bytes: out
 *
 * Slices and references are charged nothing, as in VMO_INFO. What that tells of
 * the whole object is remembered until something changes; a range is always
 * looked at anew. (A4)
 */
struct vmo_usage {
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 flags;
	__u32 reserved;
	__aligned_u64 committed_bytes;
	__aligned_u64 private_bytes;
	__aligned_u64 shared_bytes;
	__aligned_u64 scaled_bytes;
	__aligned_u64 exclusive_bytes;
	__aligned_u64 metadata_bytes;
};

/**
 * struct vmo_stats - what the module holds (VMO_STATS, on /dev/vmo)
 * @page_bytes: pages of all contents, each counted once
 * @node_count: nodes of their trees
 * @object_count: objects
 * @content_count: contents: objects that are not slices or references, and those
 *	of which only slices and references are left
 * @pin_count: pins
 * @usage_queries: how often somebody asked what an object holds
 * @usage_hits: of these, those that were answered from what was remembered
 * @usage_misses: and those of whole objects that were not
 *
 * Works on a descriptor opened read-only, too.
 */
struct vmo_stats {
	__aligned_u64 page_bytes;
	__aligned_u64 node_count;
	__aligned_u64 object_count;
	__aligned_u64 content_count;
	__aligned_u64 pin_count;
	__aligned_u64 usage_queries;
	__aligned_u64 usage_hits;
	__aligned_u64 usage_misses;
};

/**
 * struct vmo_info - what an object is and holds (VMO_INFO, on an object)
 * @id: unique among all objects since the module was loaded
 * @parent_id: the object it was made from, 0 for none
 * @size: bytes, whole pages
 * @content_size: bytes; st_size of the file
 * @committed_bytes: pages that the object reads as its own or shared
 * @private_bytes: what would be freed if the object died now; of a clone with a base that
 *	is more than what it reads
 * @shared_bytes: of the committed ones, pages shared with other members of the family
 * @scaled_bytes: every page divided at each point where it is shared; the
 *	sum over a family is what the family holds (less rounding)
 * @metadata_bytes: the page tree that the object reaches
 * @children: objects made from this one that are still alive
 * @flags: VMO_INFO_* bits
 * @pinned_bytes: the sum over all pins of the memory, through any object
 * @name: see VMO_NAME
 * @rights: VMO_RIGHT_* bits of the descriptor
 * @reserved: 0
 * @generation: rises whenever what the counts above tell may have changed, by a
 *	number that means nothing. Asking does not change it. (A5)
 * @change_events: how often pages were taken from the object to get memory back,
 *	or brought back from there (A6)
 * @exclusive_bytes: pages that are charged to this object alone, where each page is
 *	charged to one object: the oldest that has it (A1)
 *
 * Pages are charged to the object that is not a slice or a reference: for
 * those the five counts from committed_bytes to metadata_bytes, and
 * exclusive_bytes, are 0. (L5, F5) Counts of one object are from one instant, but for
 * exclusive_bytes, which may be later; of several they add up while nobody changes the
 * family.
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
	__aligned_u64 pinned_bytes;
	char name[VMO_NAME_SIZE];
	__u32 rights;
	__u32 reserved;
	__aligned_u64 generation;
	__aligned_u64 change_events;
	__aligned_u64 exclusive_bytes;
};

#define VMO_INFO_COW_CLONE	(1ULL << 0)
#define VMO_INFO_RESIZABLE	(1ULL << 1)	/* the memory is */
#define VMO_INFO_MAY_RESIZE	(1ULL << 2)	/* through this object */
#define VMO_INFO_SLICE		(1ULL << 3)
#define VMO_INFO_REFERENCE	(1ULL << 4)
#define VMO_INFO_IMMUTABLE	(1ULL << 5)	/* a snapshot that nobody can write */
#define VMO_INFO_NO_WRITE	(1ULL << 6)	/* nobody can write through this object */
#define VMO_INFO_EXEC		(1ULL << 7)	/* may be mapped with PROT_EXEC */
#define VMO_INFO_LONGTERM	(1ULL << 8)	/* the memory may be pinned for long */
#define VMO_INFO_KEEP_BASE	(1ULL << 9)	/* VMO_REWIND works */
#define VMO_INFO_PAGER		(1ULL << 10)	/* a pager provides the memory */

/**
 * struct vmo_pager_create - a pager (VMO_PAGER_CREATE, on /dev/vmo)
 * @flags: VMO_PAGER_* bits
 * @fd: out: the pager
 * @rebind_ms: with VMO_PAGER_LIMITS; see below
 * @report_ms: with VMO_PAGER_LIMITS, not 0 (EINVAL): how long a request is open before the
 *	kernel's log is told so, and again after as long. Default 20,000. (P16)
 * @timeout_ms: with VMO_PAGER_LIMITS: how long one waits for an answer; 0: for ever.
 *	Default 300,000
 * @window: with VMO_PAGER_LIMITS: bytes that one request asks for at most; rounded up to
 *	pages, not 0 (EINVAL). Default 1 MiB
 *
 * A pager provides the memory of objects that were made with VMO_CREATE_PAGER. Whoever
 * needs some of it that is not there waits, in a fault or a call, until a *server* has
 * supplied it. The server has a binding (struct vmo_pager_bind) and takes requests from
 * there.
 *
 * Three things end. The *binding*: requests that it was told of and has not answered go
 * to the next one, as all new ones do. For as long as @rebind_ms (default 10,000) one
 * waits for it to come, from the creation of the pager or the end of the last binding
 * on; then all who wait get ETIMEDOUT, as whoever needs something from there on, until
 * somebody binds. The *pager*, with its last descriptor: who waits, or needs something
 * later, gets EBADFD; what was supplied can be read. So whoever wants clients to outlive a
 * server keeps a duplicate. The *object*: the server is told VMO_REQUEST_COMPLETE.
 *
 * Of an object with a pager, and of its clones, pages cannot be transferred, decommitted or
 * compared (EOPNOTSUPP); slices and references are of the same memory. struct vmo_clone says
 * what clones are. What is zeroed, and what the object grows by, is not asked for. ftruncate()
 * takes whole pages only (EINVAL). What descriptors with O_NONBLOCK, and RWF_NOWAIT, would
 * have to wait for is EAGAIN. lseek() with SEEK_DATA takes all of it for data. fsync() and
 * msync() with MS_SYNC wait until what was written before has been written back, and say EIO
 * if that fails, or nobody does it.
 *
 * The caller needs /dev/vmo open for writing (EACCES).
 */
struct vmo_pager_create {
	__u32 flags;
	__s32 fd;
	__u32 rebind_ms;
	__u32 report_ms;
	__u32 timeout_ms;
	__u32 window;
};

#define VMO_PAGER_LIMITS	(1U << 0)

/**
 * struct vmo_pager_bind - serve a pager (VMO_PAGER_BIND, on a pager)
 * @flags: must be 0
 * @fd: out: the binding
 *
 * One at a time: EBUSY. read() from it answers with as many struct vmo_pager_request as
 * there are and fit, the oldest first, and waits for the first one, unless it is
 * O_NONBLOCK (EAGAIN). Less room than for one is EINVAL. Once the pager is closed it is
 * EBADFD. poll() says EPOLLIN, or EPOLLHUP for the latter. What is answered or no longer
 * needed before it is read is never seen.
 *
 * What else works on a pager works on it, too. A socket of the generic netlink family may
 * take its place; see specs/vmo.yaml.
 */
struct vmo_pager_bind {
	__u32 flags;
	__s32 fd;
};

/**
 * struct vmo_pager_request - what is needed, from read() of a binding
 * @id: unique for the pager
 * @key: from VMO_CREATE
 * @offset: bytes, page aligned
 * @length: bytes, page aligned
 * @type: VMO_REQUEST_READ: somebody waits for the first page, and expects to need the rest.
 *	VMO_REQUEST_DIRTY: somebody is about to write the first page, and maybe the rest, of
 *	an object with VMO_CREATE_TRAP_DIRTY. To be answered by VMO_PAGER_DIRTY.
 *	VMO_REQUEST_SYNC: somebody waits, in fsync() or msync(), until what is dirty in the
 *	range is clean. To be answered by VMO_PAGER_WRITEBACK.
 *	VMO_REQUEST_COMPLETE: the object is gone or detached, and this is the last that
 *	is told of it; offset and length are 0
 * @reserved: 0
 *
 * Whoever asks for something that is asked for already is not told of again. One may
 * answer more, less or something else than what was asked for; who waits for what was
 * not answered goes on waiting, and may ask anew. (P2, P10, P11)
 */
struct vmo_pager_request {
	__aligned_u64 id;
	__aligned_u64 key;
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 type;
	__u32 reserved;
};

#define VMO_REQUEST_READ	1
#define VMO_REQUEST_COMPLETE	2
#define VMO_REQUEST_DIRTY	3
#define VMO_REQUEST_SYNC	4

/**
 * struct vmo_pager_supply - provide memory (VMO_PAGER_SUPPLY, on a pager or a binding)
 * @offset: where to; page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL). 0 does nothing
 * @src_offset: where from; page aligned (EINVAL)
 * @vmo_fd: object of this pager (EINVAL), no slice (EINVAL)
 * @src_fd: object with the bytes, without a pager (EOPNOTSUPP)
 * @flags: must be 0
 * @reserved: must be 0
 *
 * Moves pages, as VMO_TRANSFER does, to where the object has none. What is there already
 * stays, and holes of the source become known zeroes. The range of the source reads
 * zero afterwards in any case. (X4, X5, X6)
 *
 * Detached, or a pinned page in the source: EBADFD. A range that is not inside of its
 * object: ERANGE. Without memory (ENOMEM) or killed, a part may be done.
 *
 * Both descriptors have to be writable, that of the source readable, too (EACCES). One
 * that is no object is EINVAL, one that is not open EBADF.
 */
struct vmo_pager_supply {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 src_offset;
	__s32 vmo_fd;
	__s32 src_fd;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct vmo_pager_fail - there is no memory to provide (VMO_PAGER_FAIL, likewise)
 * @offset: page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL)
 * @vmo_fd: as for VMO_PAGER_SUPPLY
 * @error: EIO, EBADMSG, EBADFD, ENOSPC or ENOBUFS; else EINVAL
 * @flags: must be 0
 * @reserved: must be 0
 *
 * Ends all requests that overlap the range. Whoever waits for a page of it next gets
 * @error, others ask again. Nothing is remembered. (P20, P21)
 *
 * Detached: EBADFD. A range that is not inside of the object: ERANGE. The
 * descriptor has to be writable (EACCES).
 */
struct vmo_pager_fail {
	__aligned_u64 offset;
	__aligned_u64 length;
	__s32 vmo_fd;
	__u32 error;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct vmo_pager_detach - provide no more (VMO_PAGER_DETACH, likewise)
 * @vmo_fd: as for VMO_PAGER_SUPPLY
 * @flags: must be 0
 *
 * Who waits, and who needs something later, gets EBADFD. What was supplied is given up;
 * pages that were written, or zeroed, stay. Again: nothing happens. (P50)
 *
 * The descriptor has to be writable (EACCES).
 */
struct vmo_pager_detach {
	__s32 vmo_fd;
	__u32 flags;
};

/**
 * struct vmo_pager_writeback - what was written is being stored (VMO_PAGER_WRITEBACK)
 * @offset: page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL). 0 does nothing
 * @vmo_fd: as for VMO_PAGER_SUPPLY
 * @flags: VMO_PAGER_BEGIN or VMO_PAGER_END (EINVAL), and further VMO_PAGER_* bits
 *
 * A page that somebody writes, and one that is zeroed, is *dirty*. To store it, a server
 * says VMO_PAGER_BEGIN, reads it from the object, stores it, and says VMO_PAGER_END: then
 * it is clean, unless it was written in between. Dirty pages that are pinned, or that a
 * device or a pipe holds, may be written at any time, and stay dirty; whoever waits for
 * them in fsync() asks again. Clean pages are left
 * alone. (P30, P42, P43)
 *
 * %VMO_PAGER_ZEROES: with VMO_PAGER_BEGIN, only of what reads zero without a page. (P42)
 *
 * What the object grew by is dirty zeroes, that begin only together with their first page,
 * and of which that part is clean at the end that was begun. It is asked for from then on.
 *
 * A range that is not inside of the object is ERANGE. Both work after VMO_PAGER_DETACH.
 * The descriptor has to be writable (EACCES).
 */
struct vmo_pager_writeback {
	__aligned_u64 offset;
	__aligned_u64 length;
	__s32 vmo_fd;
	__u32 flags;
};

#define VMO_PAGER_BEGIN		(1U << 0)
#define VMO_PAGER_END		(1U << 1)
#define VMO_PAGER_ZEROES	(1U << 2)

/**
 * struct vmo_pager_dirty_ranges - what is dirty (VMO_PAGER_DIRTY_RANGES, likewise)
 * @offset: bytes, page aligned (EINVAL). Out: where to go on
 * @length: bytes, page aligned (EINVAL). A range that is not inside of the object is
 *	ERANGE. Out: what is left; 0 at the end
 * @ranges: pointer to an array of struct vmo_page_run, whose state is VMO_DIRTY_ZERO for
 *	what reads zero without a page, else 0
 * @count: its length; 0 is EINVAL. Out: how many are filled in
 * @vmo_fd: as for VMO_PAGER_SUPPLY, but readable (EACCES)
 * @flags: must be 0
 * @reserved: must be 0
 *
 * In order, also of what is being written back; neighbours that are alike are merged
 * within one call. (P44)
 */
struct vmo_pager_dirty_ranges {
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 ranges;
	__u32 count;
	__s32 vmo_fd;
	__u32 flags;
	__u32 reserved;
};

#define VMO_DIRTY_ZERO		(1U << 0)

/**
 * struct vmo_pager_dirty - pages may be written (VMO_PAGER_DIRTY, on a pager or a binding)
 * @offset: page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL). 0 does nothing
 * @vmo_fd: as for VMO_PAGER_SUPPLY
 * @flags: must be 0
 *
 * Makes the pages of the range dirty, for an object with VMO_CREATE_TRAP_DIRTY (else
 * EOPNOTSUPP), whether somebody asked for that or not. What reads zero becomes pages. If
 * any of it was not supplied yet that is ENOENT, and nothing changes. (P32)
 *
 * Detached: EBADFD. A range that is not inside of the object: ERANGE. ENOMEM, and then
 * nothing has become dirty. The descriptor has to be writable (EACCES).
 */
struct vmo_pager_dirty {
	__aligned_u64 offset;
	__aligned_u64 length;
	__s32 vmo_fd;
	__u32 flags;
};

/**
 * struct vmo_pager_stats - what became of an object (VMO_PAGER_STATS, likewise)
 * @vmo_fd: as for VMO_PAGER_SUPPLY, but readable (EACCES)
 * @flags: VMO_PAGER_RESET or 0 (EINVAL)
 * @modified: out: 1 if it was modified since it was created, or last asked with
 *	VMO_PAGER_RESET; else 0
 * @waiting: out: requests that no server has taken yet
 * @handed: out: those that one has taken, and that somebody may wait for
 * @reserved: must be 0
 *
 * Writes modify, by calls and by mappings, as do zeroing, resizing and pinning for writing,
 * also through slices and references, but not through clones. What the server does, and
 * committing, does not. (P45, MOD)
 */
struct vmo_pager_stats {
	__s32 vmo_fd;
	__u32 flags;
	__u32 modified;
	__u32 waiting;
	__u32 handed;
	__u32 reserved;
};

#define VMO_PAGER_RESET		(1U << 0)

/* On /dev/vmo */
#define VMO_PROBE	_IOWR(VMO_IOC, 0x00, struct vmo_probe)
#define VMO_CREATE	_IOWR(VMO_IOC, 0x01, struct vmo_create)
#define VMO_STATS	_IOWR(VMO_IOC, 0x02, struct vmo_stats)
#define VMO_PAGER_CREATE _IOWR(VMO_IOC, 0x03, struct vmo_pager_create)

/* On an object */
#define VMO_CLONE	_IOWR(VMO_IOC, 0x10, struct vmo_clone)
#define VMO_OP_RANGE	_IOWR(VMO_IOC, 0x11, struct vmo_op_range)
#define VMO_INFO	_IOWR(VMO_IOC, 0x12, struct vmo_info)
#define VMO_SLICE	_IOWR(VMO_IOC, 0x13, struct vmo_slice)
#define VMO_REFERENCE	_IOWR(VMO_IOC, 0x14, struct vmo_reference)
#define VMO_RESIZE	_IOWR(VMO_IOC, 0x15, struct vmo_resize)
#define VMO_PIN		_IOWR(VMO_IOC, 0x16, struct vmo_pin)
#define VMO_NAME	_IOWR(VMO_IOC, 0x17, struct vmo_name)
#define VMO_READ	_IOWR(VMO_IOC, 0x18, struct vmo_rw)
#define VMO_WRITE	_IOWR(VMO_IOC, 0x19, struct vmo_rw)
#define VMO_RESTRICT	_IOWR(VMO_IOC, 0x1a, struct vmo_restrict)
#define VMO_TRANSFER	_IOWR(VMO_IOC, 0x1b, struct vmo_transfer)
#define VMO_PAGES	_IOWR(VMO_IOC, 0x1c, struct vmo_pages)
#define VMO_LOOKUP	_IOWR(VMO_IOC, 0x1d, struct vmo_lookup)
#define VMO_USAGE	_IOWR(VMO_IOC, 0x1e, struct vmo_usage)
#define VMO_DIFF	_IOWR(VMO_IOC, 0x1f, struct vmo_diff)
#define VMO_REWIND	_IOWR(VMO_IOC, 0x20, struct vmo_rewind)
#define VMO_HARVESTER	_IOWR(VMO_IOC, 0x21, struct vmo_harvester)

/* On a harvester */
#define VMO_HARVEST	_IOWR(VMO_IOC, 0x40, struct vmo_harvest)

/* On a pager */
#define VMO_PAGER_BIND	_IOWR(VMO_IOC, 0x50, struct vmo_pager_bind)
/* On a pager or a binding */
#define VMO_PAGER_SUPPLY _IOWR(VMO_IOC, 0x51, struct vmo_pager_supply)
#define VMO_PAGER_FAIL	_IOWR(VMO_IOC, 0x52, struct vmo_pager_fail)
#define VMO_PAGER_DETACH _IOWR(VMO_IOC, 0x53, struct vmo_pager_detach)
#define VMO_PAGER_WRITEBACK _IOWR(VMO_IOC, 0x54, struct vmo_pager_writeback)
#define VMO_PAGER_DIRTY_RANGES _IOWR(VMO_IOC, 0x55, struct vmo_pager_dirty_ranges)
#define VMO_PAGER_DIRTY	_IOWR(VMO_IOC, 0x56, struct vmo_pager_dirty)
#define VMO_PAGER_STATS	_IOWR(VMO_IOC, 0x57, struct vmo_pager_stats)

#endif
