/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvmo: virtual memory objects, a file descriptor that is memory.
 */
#ifndef VMO_H
#define VMO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <linux/vmo.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * DOC: Conventions
 *
 * Functions answer -1 or NULL and set errno if they fail; the errors of the
 * operations are those of linux/vmo.h, whose flags and structures are used as
 * they are. Offsets, lengths and sizes are bytes. Every descriptor that the
 * library opens has O_CLOEXEC. The library prints nothing and keeps nothing
 * between calls; a struct vmo does not change from its creation to
 * vmo_close(), so threads may use one together without a lock.
 */

/* An object that this process holds; opaque. */
struct vmo;

/* ---- the device ---------------------------------------------------------- */

/**
 * vmo_device_open() - opens /dev/vmo to create objects
 *
 * Return: a descriptor, to be closed with close(); or -1 with errno
 * %ENODEV: the module is not loaded;
 * %EACCES: this user may not open the node;
 * %EPROTONOSUPPORT: the module speaks another ABI than this library;
 * or what else open() says. vmo_device_explain() has a sentence for each.
 */
int vmo_device_open(void);

/**
 * vmo_device_open_readonly() - opens /dev/vmo to probe only
 *
 * The ABI is not compared; the rest is as for vmo_device_open().
 *
 * Return: a descriptor, or -1.
 */
int vmo_device_open_readonly(void);

/**
 * vmo_device_probe() - what the module can do
 * @dev: from vmo_device_open() or vmo_device_open_readonly()
 * @probe: out
 * @size: sizeof(*@probe); fields that the module does not know are set to 0
 *
 * Return: 0 or -1; %ENOTTY: @dev is something else, or has no such command.
 */
int vmo_device_probe(int dev, struct vmo_probe *probe, size_t size);

/**
 * vmo_device_stats() - what the module holds
 * @dev: from vmo_device_open() or vmo_device_open_readonly()
 * @stats: out
 * @size: sizeof(*@stats); fields that the module does not know are set to 0
 *
 * Return: 0 or -1; %ENOTTY: @dev is something else, or has no such command.
 */
int vmo_device_stats(int dev, struct vmo_stats *stats, size_t size);

/**
 * vmo_device_explain() - what to do about a device that does not open
 * @err: errno of vmo_device_open()
 *
 * Return: a sentence in English that says what is wrong and what to do next;
 * a constant string, never NULL.
 */
const char *vmo_device_explain(int err);

/* ---- objects ------------------------------------------------------------- */

/**
 * vmo_create() - a new object of zeroes
 * @dev: from vmo_device_open(); or -1: opened and closed again for this call
 * @size: content size in bytes
 * @flags: VMO_CREATE_*
 * @name: up to 63 bytes (ENAMETOOLONG), no control characters (EINVAL); NULL or
 *	empty for none
 *
 * Return: the object; or NULL with errno, of vmo_device_open(), too, if @dev is -1.
 */
struct vmo *vmo_create(int dev, uint64_t size, unsigned int flags, const char *name);

/**
 * vmo_from_fd() - takes a descriptor over that came from elsewhere
 * @fd: of an object (else ENOTTY, or EBADF), such as SCM_RIGHTS brought;
 *	vmo_close() closes it. If the call fails, it stays the caller's.
 *
 * Return: the object, or NULL. Flags of the descriptor stay as they are.
 */
struct vmo *vmo_from_fd(int fd);

/**
 * vmo_dup() - another handle, with a descriptor of its own, of the same object
 * @vmo: the object
 *
 * As by dup(): with the same rights, and one position for read() and lseek().
 *
 * Return: the handle, or NULL.
 */
struct vmo *vmo_dup(const struct vmo *vmo);

/**
 * vmo_fd() - the descriptor; for mmap(), read() and such
 * @vmo: the object, whose the descriptor stays
 *
 * Return: the descriptor.
 */
int vmo_fd(const struct vmo *vmo);

/**
 * vmo_close() - gives the handle and its descriptor up
 * @vmo: may be NULL
 *
 * Mappings and pins keep the memory. errno is preserved.
 */
void vmo_close(struct vmo *vmo);

/**
 * vmo_into_fd() - gives the handle up, but not the descriptor
 * @vmo: the object; not NULL
 *
 * Return: the descriptor, to be closed with close(). errno is preserved.
 */
int vmo_into_fd(struct vmo *vmo);

/* ---- children ------------------------------------------------------------ */

/**
 * vmo_clone() - a copy-on-write child of a window; see struct vmo_clone
 * @vmo: the parent
 * @offset: of the window; page aligned (EINVAL)
 * @size: of the window in bytes; it may reach past the end of the parent
 * @flags: VMO_CLONE_SNAPSHOT or another kind, and further VMO_CLONE_* bits
 *
 * Return: the child, or NULL.
 */
struct vmo *vmo_clone(const struct vmo *vmo, uint64_t offset, uint64_t size,
		      unsigned int flags);

/**
 * vmo_snapshot() - a copy-on-write child of all of it, of the same content size
 * @vmo: the parent
 *
 * The size is asked for before: who lets another thread resize the object
 * meanwhile has a child of the size that was. Where whole pages lie behind the
 * content (fallocate() with FALLOC_FL_KEEP_SIZE), they count as content of the
 * child.
 *
 * Return: the child, or NULL.
 */
struct vmo *vmo_snapshot(const struct vmo *vmo);

/**
 * vmo_slice() - a window onto the same memory; see struct vmo_slice
 * @vmo: the parent
 * @offset: of the window; page aligned (EINVAL)
 * @size: of the window in bytes; it has to lie inside of the parent (EINVAL)
 * @flags: VMO_SLICE_*
 *
 * Return: the slice, or NULL.
 */
struct vmo *vmo_slice(const struct vmo *vmo, uint64_t offset, uint64_t size,
		      unsigned int flags);

/**
 * vmo_reference() - another object of the same memory; see struct vmo_reference
 * @vmo: the object
 * @flags: VMO_REFERENCE_*
 *
 * Return: the reference, or NULL.
 */
struct vmo *vmo_reference(const struct vmo *vmo, unsigned int flags);

/**
 * vmo_restrict() - another handle of the same object, with fewer rights
 * @vmo: the object
 * @rights: VMO_RIGHT_* bits, all of which this handle has (EACCES); see struct
 *	vmo_restrict
 *
 * Return: the handle, or NULL.
 */
struct vmo *vmo_restrict(const struct vmo *vmo, unsigned int rights);

/* ---- memory -------------------------------------------------------------- */

/**
 * vmo_resize() - sets the size; see struct vmo_resize
 * @vmo: the object, which has to be resizable (EPERM, EACCES)
 * @size: in bytes; the content size is exactly this
 *
 * Return: 0 or -1.
 */
int vmo_resize(const struct vmo *vmo, uint64_t size);

/**
 * vmo_rewind() - goes back to what a clone began with; see struct vmo_rewind
 * @vmo: a child made with VMO_CLONE_KEEP_BASE (EOPNOTSUPP), without pins (EBADFD)
 *
 * Return: 0 or -1.
 */
int vmo_rewind(const struct vmo *vmo);

/**
 * vmo_commit() - lets the object own every page of the range; see VMO_OP_COMMIT
 * @vmo: the object
 * @offset: of the range in bytes
 * @length: of the range in bytes
 *
 * Return: 0 or -1.
 */
int vmo_commit(const struct vmo *vmo, uint64_t offset, uint64_t length);

/**
 * vmo_decommit() - gives the pages of the range up; see VMO_OP_DECOMMIT
 * @vmo: the object
 * @offset: of the range; page aligned (EINVAL)
 * @length: of the range; page aligned (EINVAL)
 *
 * Return: 0 or -1.
 */
int vmo_decommit(const struct vmo *vmo, uint64_t offset, uint64_t length);

/**
 * vmo_zero() - lets the range read zero; see VMO_OP_ZERO
 * @vmo: the object
 * @offset: of the range in bytes
 * @length: of the range in bytes
 *
 * Return: 0 or -1.
 */
int vmo_zero(const struct vmo *vmo, uint64_t offset, uint64_t length);

/**
 * vmo_transfer() - moves pages from one object to another; see struct vmo_transfer
 * @to: the object that gets them
 * @to_offset: in it; page aligned (EINVAL)
 * @from: the object that reads zero there afterwards; may be the same
 * @from_offset: in it; page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL)
 *
 * Return: 0 or -1.
 */
int vmo_transfer(const struct vmo *to, uint64_t to_offset, const struct vmo *from,
		 uint64_t from_offset, uint64_t length);

/**
 * vmo_pin() - keeps pages where they are; see struct vmo_pin
 * @vmo: the object
 * @offset: of the range; page aligned (EINVAL)
 * @length: of the range; page aligned, not 0 (EINVAL)
 * @flags: VMO_PIN_*
 *
 * Return: a descriptor whose close() unpins, or -1.
 */
int vmo_pin(const struct vmo *vmo, uint64_t offset, uint64_t length, unsigned int flags);

/**
 * vmo_read() - strict read, against the object's size; see struct vmo_rw
 * @vmo: the object
 * @buf: where to
 * @count: bytes; all of them or an error, unless @flags has VMO_RW_TRIM
 * @offset: in the object
 * @flags: VMO_RW_*
 *
 * Return: bytes read, or -1. For how far a failed call came use vmo_readv().
 */
ssize_t vmo_read(const struct vmo *vmo, void *buf, size_t count, uint64_t offset,
		 unsigned int flags);

/**
 * vmo_write() - strict write; as vmo_read()
 * @vmo: the object
 * @buf: where from
 * @count: bytes; all of them or an error, unless @flags has VMO_RW_TRIM
 * @offset: in the object
 * @flags: VMO_RW_*
 *
 * Return: bytes written, or -1.
 */
ssize_t vmo_write(const struct vmo *vmo, const void *buf, size_t count, uint64_t offset,
		  unsigned int flags);

/**
 * vmo_readv() - strict read into several buffers
 * @vmo: the object
 * @iov: the buffers
 * @iov_count: how many; up to 1024 (EINVAL)
 * @offset: in the object
 * @flags: VMO_RW_*
 * @actual: out, also if the call fails: bytes copied; may be NULL
 *
 * Return: 0 or -1.
 */
int vmo_readv(const struct vmo *vmo, const struct iovec *iov, unsigned int iov_count,
	      uint64_t offset, unsigned int flags, uint64_t *actual);

/**
 * vmo_writev() - strict write from several buffers; as vmo_readv()
 * @vmo: the object
 * @iov: the buffers
 * @iov_count: how many; up to 1024 (EINVAL)
 * @offset: in the object
 * @flags: VMO_RW_*
 * @actual: out, also if the call fails: bytes copied; may be NULL
 *
 * Return: 0 or -1.
 */
int vmo_writev(const struct vmo *vmo, const struct iovec *iov, unsigned int iov_count,
	       uint64_t offset, unsigned int flags, uint64_t *actual);

/**
 * vmo_map() - maps the object shared
 * @vmo: the object
 * @offset: page aligned (EINVAL)
 * @length: bytes; may reach past the end, where touching it is SIGBUS until
 *	the object has grown
 * @prot: PROT_*
 *
 * Return: the address, for munmap(); or NULL. Whoever wants MAP_PRIVATE,
 * MAP_FIXED and the like calls mmap() with vmo_fd().
 */
void *vmo_map(const struct vmo *vmo, uint64_t offset, size_t length, int prot);

/* ---- what it is ---------------------------------------------------------- */

/**
 * vmo_info() - what the object is and holds
 * @vmo: the object
 * @info: out
 * @size: sizeof(*@info); fields that the module does not know are set to 0
 *
 * Counts all pages, if something has changed since somebody asked last: the time that
 * takes grows with them.
 *
 * Return: 0 or -1.
 */
int vmo_info(const struct vmo *vmo, struct vmo_info *info, size_t size);

/**
 * vmo_usage() - what a range of the object holds; see struct vmo_usage
 * @vmo: the object
 * @offset: of the range in bytes
 * @length: of the range in bytes; what lies past the end is left out
 * @usage: out; its first fields, too, are filled in
 * @size: sizeof(*@usage); fields that the module does not know are set to 0
 *
 * Return: 0 or -1.
 */
int vmo_usage(const struct vmo *vmo, uint64_t offset, uint64_t length,
	      struct vmo_usage *usage, size_t size);

/**
 * vmo_pages() - the state of the pages of a range; see struct vmo_pages
 * @vmo: the object
 * @offset: of the range; page aligned (EINVAL). Out: where to go on
 * @length: of the range; page aligned (EINVAL). Out: what is left; 0 at the end
 * @runs: out
 * @room: elements of @runs, not 0 (EINVAL)
 *
 * Return: the number of runs filled in, or -1.
 */
int vmo_pages(const struct vmo *vmo, uint64_t *offset, uint64_t *length,
	      struct vmo_page_run *runs, unsigned int room);

/**
 * vmo_lookup() - where in memory pages are; see struct vmo_lookup
 * @vmo: the object
 * @offset: of the range in bytes. Out: where to go on
 * @length: of the range in bytes, not 0 (EINVAL). Out: what is left; 0 at the end
 * @entries: out; addresses are 0 without CAP_SYS_RAWIO
 * @room: elements of @entries, not 0 (EINVAL)
 * @flags: VMO_LOOKUP_*
 *
 * Return: the number of entries filled in, or -1.
 */
int vmo_lookup(const struct vmo *vmo, uint64_t *offset, uint64_t *length,
	       struct vmo_lookup_entry *entries, unsigned int room, unsigned int flags);

/**
 * vmo_diff() - where two objects of a family differ; see struct vmo_diff
 * @vmo: the object, in which offsets are
 * @other: the object to compare with
 * @offset: of the range; page aligned (EINVAL). Out: where to go on
 * @length: of the range; page aligned (EINVAL). Out: what is left; 0 at the end
 * @ranges: out
 * @room: elements of @ranges, not 0 (EINVAL)
 *
 * Return: the number of ranges filled in, or -1.
 */
int vmo_diff(const struct vmo *vmo, const struct vmo *other, uint64_t *offset,
	     uint64_t *length, struct vmo_range *ranges, unsigned int room);

/**
 * vmo_size() - size in bytes, whole pages
 * @vmo: the object
 *
 * Return: the size, or -1.
 */
int64_t vmo_size(const struct vmo *vmo);

/**
 * vmo_get_name() - the object's name
 * @vmo: the object
 * @name: out, ends with a zero byte
 *
 * Return: 0 or -1.
 */
int vmo_get_name(const struct vmo *vmo, char name[VMO_NAME_SIZE]);

/**
 * vmo_set_name() - names the object, see struct vmo_name
 * @vmo: the object
 * @name: as for vmo_create()
 *
 * Return: 0 or -1.
 */
int vmo_set_name(const struct vmo *vmo, const char *name);

/**
 * vmo_wait_childless() - waits until no object that was made from this one lives
 * @vmo: the object
 * @timeout_ms: as for poll(); negative: for ever
 *
 * Return: 1 if there are none, 0 if the time ran out, -1 (EINTR).
 */
int vmo_wait_childless(const struct vmo *vmo, int timeout_ms);

/* ---- what was written ---------------------------------------------------- */

/* A harvester that this process holds; opaque. */
struct vmo_reaper;

/**
 * vmo_reaper_new() - from now on notes which pages are written; see struct vmo_harvester
 * @vmo: the object, which the harvester keeps alive
 *
 * Return: a handle, or NULL.
 */
struct vmo_reaper *vmo_reaper_new(const struct vmo *vmo);

/**
 * vmo_reaper_from_fd() - takes over the descriptor of a harvester
 * @fd: from another process; it is the caller's still if this fails
 *
 * Return: a handle, or NULL (ENOTTY: @fd is something else).
 */
struct vmo_reaper *vmo_reaper_from_fd(int fd);

/**
 * vmo_reaper_fd() - the descriptor
 * @reaper: whose it stays
 *
 * Return: the descriptor.
 */
int vmo_reaper_fd(const struct vmo_reaper *reaper);

/**
 * vmo_reaper_close() - gives the handle up and closes its descriptor; keeps errno
 * @reaper: or NULL
 */
void vmo_reaper_close(struct vmo_reaper *reaper);

/**
 * vmo_harvest() - which pages were written since they were told; see struct vmo_harvest
 * @reaper: the harvester
 * @offset: of the range; page aligned (EINVAL). Out: where to go on
 * @length: of the range; page aligned (EINVAL), or UINT64_MAX for all that follows.
 *	Out: what is left; 0 at the end
 * @ranges: out
 * @room: elements of @ranges, not 0 (EINVAL)
 * @flags: VMO_HARVEST_KEEP or 0; VMO_HARVEST_BITMAP is EINVAL
 *
 * Return: the number of ranges filled in, or -1.
 */
int vmo_harvest(const struct vmo_reaper *reaper, uint64_t *offset, uint64_t *length,
		struct vmo_range *ranges, unsigned int room, unsigned int flags);

/**
 * vmo_harvest_bitmap() - the same, a bit for each page
 * @reaper: the harvester
 * @offset: as for vmo_harvest()
 * @length: as for vmo_harvest()
 * @words: out: bit n of word w is page 64 * w + n from @offset
 * @room: elements of @words, not 0 (EINVAL); a call looks at 64 pages for each
 * @flags: VMO_HARVEST_KEEP or 0
 *
 * Return: the number of words filled in, or -1.
 */
int vmo_harvest_bitmap(const struct vmo_reaper *reaper, uint64_t *offset, uint64_t *length,
		       uint64_t *words, unsigned int room, unsigned int flags);

/* ---- the library --------------------------------------------------------- */

/**
 * vmo_library_version() - the version of the library that runs
 *
 * Return: "MAJOR.MINOR.PATCH", a constant string.
 */
const char *vmo_library_version(void);

/* ---- pagers --------------------------------------------------------------- */

/**
 * vmo_pager_new() - makes a pager; see struct vmo_pager_create
 * @dev: from vmo_device_open(), or -1 to have it opened for this call
 * @limits: how long and how much, with VMO_PAGER_LIMITS; NULL for the defaults
 *
 * Return: a descriptor, to be closed with close(); or -1.
 */
int vmo_pager_new(int dev, const struct vmo_pager_create *limits);

/**
 * vmo_create_paged() - makes an object whose memory a pager provides
 * @dev: as for vmo_create()
 * @pager: from vmo_pager_new()
 * @key: what requests call it
 * @size: as for vmo_create()
 * @flags: as for vmo_create(); VMO_CREATE_PAGER is added
 * @name: as for vmo_create()
 *
 * Return: a handle, or NULL.
 */
struct vmo *vmo_create_paged(int dev, int pager, uint64_t key, uint64_t size,
			     unsigned int flags, const char *name);

/**
 * vmo_pager_bind() - serves a pager from now on; see struct vmo_pager_bind
 * @pager: from vmo_pager_new()
 *
 * Return: a descriptor to read requests from and to poll, to be closed with close(); or -1
 * (EBUSY: somebody serves it).
 */
int vmo_pager_bind(int pager);

/**
 * vmo_pager_next() - takes the next requests, and waits for the first one
 * @binding: from vmo_pager_bind()
 * @requests: out
 * @room: how many there is room for
 *
 * Return: how many; or -1. %EINTR: a signal came; %EAGAIN: there is none, and the descriptor
 * has O_NONBLOCK; %EBADFD: the pager is closed.
 */
int vmo_pager_next(int binding, struct vmo_pager_request *requests, unsigned int room);

/**
 * vmo_pager_supply() - provides memory; see struct vmo_pager_supply
 * @pager: the pager, or a binding of it
 * @vmo: its object
 * @offset: where to; page aligned (EINVAL)
 * @from: another object, which reads zero there afterwards
 * @from_offset: where from; page aligned (EINVAL)
 * @length: bytes; page aligned (EINVAL)
 *
 * Return: 0 or -1.
 */
int vmo_pager_supply(int pager, const struct vmo *vmo, uint64_t offset, const struct vmo *from,
		     uint64_t from_offset, uint64_t length);

/**
 * vmo_pager_fail() - there is nothing to provide; see struct vmo_pager_fail
 * @pager: the pager, or a binding of it
 * @vmo: its object
 * @offset: of the range; page aligned (EINVAL)
 * @length: of the range; page aligned (EINVAL)
 * @error: EIO, EBADMSG, EBADFD, ENOSPC or ENOBUFS
 *
 * Return: 0 or -1.
 */
int vmo_pager_fail(int pager, const struct vmo *vmo, uint64_t offset, uint64_t length, int error);

/**
 * vmo_pager_detach() - provides no more; see struct vmo_pager_detach
 * @pager: the pager, or a binding of it
 * @vmo: its object
 *
 * Return: 0 or -1.
 */
int vmo_pager_detach(int pager, const struct vmo *vmo);

/**
 * vmo_pager_writeback() - what was written is being stored; see struct vmo_pager_writeback
 * @pager: the pager, or a binding of it
 * @vmo: its object
 * @offset: of the range; page aligned (EINVAL)
 * @length: of the range; page aligned (EINVAL)
 * @flags: VMO_PAGER_BEGIN or VMO_PAGER_END, and others
 *
 * Return: 0 or -1.
 */
int vmo_pager_writeback(int pager, const struct vmo *vmo, uint64_t offset, uint64_t length,
			unsigned int flags);

/**
 * vmo_pager_dirty_ranges() - what was written and is not stored; see
 * struct vmo_pager_dirty_ranges
 * @pager: the pager, or a binding of it
 * @vmo: its object
 * @offset: of the range; page aligned (EINVAL). Out: where to go on
 * @length: of the range; page aligned (EINVAL). Out: what is left, 0 at the end
 * @ranges: out; a state of VMO_DIRTY_ZERO for what reads zero without a page
 * @room: how many there is room for; not 0 (EINVAL)
 *
 * Return: the number of ranges filled in, or -1.
 */
int vmo_pager_dirty_ranges(int pager, const struct vmo *vmo, uint64_t *offset, uint64_t *length,
			   struct vmo_page_run *ranges, unsigned int room);

/**
 * vmo_pager_dirty() - lets pages be written; see struct vmo_pager_dirty
 * @pager: the pager, or a binding of it
 * @vmo: its object, made with VMO_CREATE_TRAP_DIRTY
 * @offset: page aligned (EINVAL)
 * @length: page aligned (EINVAL)
 *
 * Return: 0 or -1.
 */
int vmo_pager_dirty(int pager, const struct vmo *vmo, uint64_t offset, uint64_t length);

/**
 * vmo_pager_stats() - what became of an object; see struct vmo_pager_stats
 * @pager: the pager, or a binding of it
 * @vmo: its object
 * @flags: VMO_PAGER_RESET or 0
 * @stats: out
 *
 * Return: 0 or -1.
 */
int vmo_pager_stats(int pager, const struct vmo *vmo, unsigned int flags,
		    struct vmo_pager_stats *stats);

/* Answers a request; anything but 0 ends vmo_pager_serve(), which returns it. */
typedef int vmo_pager_answer(int binding, const struct vmo_pager_request *request, void *arg);

/**
 * vmo_pager_serve() - answers requests until there is a reason to stop
 * @binding: from vmo_pager_bind()
 * @answer: called for each
 * @arg: for @answer
 *
 * Return: what @answer returned; or -1, as for vmo_pager_next(), but for EINTR.
 */
int vmo_pager_serve(int binding, vmo_pager_answer *answer, void *arg);

/**
 * DOC: Lanes
 *
 * A binding is one way to serve a pager, a socket of the generic netlink family the other;
 * they have one queue, the same requests and the same answers. A lane is either. Programs
 * that are linked statically need libnl-genl-3 with these functions, and not with others.
 */
struct vmo_lane;

/* Over generic netlink, not by a binding. */
#define VMO_LANE_NETLINK	(1U << 0)

/**
 * vmo_lane_open() - serves a pager from now on, one way or the other
 * @pager: from vmo_pager_new(); has to stay open as long as the lane
 * @flags: VMO_LANE_NETLINK or 0
 *
 * Return: a lane, for one thread at a time; or NULL (EBUSY: somebody serves the pager; ENOENT
 * or EPROTONOSUPPORT: there is no such family of generic netlink).
 */
struct vmo_lane *vmo_lane_open(int pager, unsigned int flags);

/**
 * vmo_lane_close() - serves it no longer
 * @lane: may be NULL
 */
void vmo_lane_close(struct vmo_lane *lane);

/**
 * vmo_lane_fd() - what to poll; it is the lane's
 * @lane: the lane
 *
 * Return: a descriptor that can be read when there may be requests.
 */
int vmo_lane_fd(const struct vmo_lane *lane);

/**
 * vmo_lane_next() - takes the next requests
 * @lane: the lane
 * @requests: out
 * @room: how many there is room for; not 0 (EINVAL)
 * @timeout: for how long to wait for the first one, in milliseconds; -1: for ever
 *
 * Return: how many, 0 if the time is over; or -1. %EINTR: a signal came; %EBADFD: the pager
 * is closed.
 */
int vmo_lane_next(struct vmo_lane *lane, struct vmo_pager_request *requests, unsigned int room,
		  int timeout);

/* As the functions of pagers with these names. 0 or -1. */
int vmo_lane_supply(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
		    const struct vmo *from, uint64_t from_offset, uint64_t length);
int vmo_lane_fail(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset, uint64_t length,
		  int error);
int vmo_lane_dirty(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
		   uint64_t length);
int vmo_lane_writeback(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
		       uint64_t length, unsigned int flags);
int vmo_lane_detach(struct vmo_lane *lane, const struct vmo *vmo);

/* Answers a request; anything but 0 ends vmo_lane_serve(), which returns it. */
typedef int vmo_lane_answer(struct vmo_lane *lane, const struct vmo_pager_request *request,
			    void *arg);

/**
 * vmo_lane_serve() - answers requests until there is a reason to stop
 * @lane: the lane
 * @answer: called for each
 * @arg: for @answer
 *
 * Return: what @answer returned; or -1, as for vmo_lane_next(), but for EINTR.
 */
int vmo_lane_serve(struct vmo_lane *lane, vmo_lane_answer *answer, void *arg);

#ifdef __cplusplus
}
#endif

#endif
