/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of rights share: names of the rights, kinds of objects, and a table of
 * all calls with the rights that they need.
 */
#ifndef RIGHTS_UTIL_H
#define RIGHTS_UTIL_H

#include "vmo_test_util.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define PAGES		4
#define SIZE		(PAGES * PS)
/* No errno: less was written than asked for, or the call has told something wrong. */
#define SHORT		1000
#define WRONG		1001

#define READ		VMO_RIGHT_READ
#define WRITE		VMO_RIGHT_WRITE
#define MAP		VMO_RIGHT_MAP
#define EXEC		VMO_RIGHT_EXEC
#define RESIZE		VMO_RIGHT_RESIZE
#define PIN		VMO_RIGHT_PIN
#define CHILD		VMO_RIGHT_CHILD
#define NAME		VMO_RIGHT_NAME
#define USUAL		(READ | WRITE | MAP | PIN | CHILD | NAME)
#define ALL		(USUAL | EXEC | RESIZE)

static inline int limited(int fd, uint32_t rights)
{
	struct vmo_restrict arg = { .rights = rights, .fd = -1 };

	return ioctl(fd, VMO_RESTRICT, &arg) ? -1 : arg.fd;
}

static inline uint32_t rights_of(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1U : info.rights;
}

/* 0, or why not. */
static inline int outcome(long ret)
{
	return ret < 0 ? errno : 0;
}

/* The same for what makes a descriptor, which is closed. */
static inline int outcome_fd(int fd)
{
	if (fd < 0)
		return errno;
	return close(fd) ? errno : 0;
}

static inline int access_mode(uint32_t rights)
{
	switch (rights & (READ | WRITE)) {
	case READ:
		return O_RDONLY;
	case WRITE:
		return O_WRONLY;
	default:
		return rights & READ ? O_RDWR : O_ACCMODE;
	}
}

/* ---- calls ------------------------------------------------------------- */

/**
 * struct target - what the calls are tried on; each leaves it as it was
 * @fd: with some of the rights
 * @all: the same object, with all rights that there are
 * @other: another object of that size
 * @rights: of @fd
 * @resizable: whether the object is
 * @clone: whether its memory was cloned
 */
struct target {
	int fd;
	int all;
	int other;
	uint32_t rights;
	bool resizable;
	bool clone;
};

typedef int (*call_fn)(const struct target *t, uint32_t how);

static inline int strict(int fd, unsigned int num, struct iovec *iov)
{
	struct vmo_rw arg = { .iov = (uintptr_t)iov, .iov_count = 1 };

	return ioctl(fd, num, &arg);
}

/* sendfile() takes one byte from the start of @in to the start of @out. */
static inline int send_byte(int out, int in)
{
	off_t at = 0;

	if (lseek(out, 0, SEEK_SET))
		return -1;
	return sendfile(out, in, &at, 1);
}

static inline int do_read(const struct target *t, uint32_t how)
{
	char c = 0;
	struct iovec iov = { &c, 1 };
	long ret = -1;

	switch (how) {
	case 0:
		ret = pread(t->fd, &c, 1, 0);
		break;
	case 1:
		ret = preadv(t->fd, &iov, 1, 0);
		break;
	case 2:
		ret = lseek(t->fd, 0, SEEK_SET) ? -1 : readv(t->fd, &iov, 1);
		break;
	case 3:
		ret = strict(t->fd, VMO_READ, &iov);
		break;
	case 4:
		return outcome(send_byte(t->other, t->fd));
	}
	return ret < 0 ? errno : c == 'c' ? 0 : WRONG;
}

/* Writes what is there already. */
static inline int do_write(const struct target *t, uint32_t how)
{
	char c = 'c';
	struct iovec iov = { &c, 1 };

	switch (how) {
	case 0:
		return outcome(pwrite(t->fd, &c, 1, 0));
	case 1:
		return outcome(pwritev(t->fd, &iov, 1, 0));
	case 2:
		return outcome(lseek(t->fd, 0, SEEK_SET) ? -1 : writev(t->fd, &iov, 1));
	case 3:
		return outcome(strict(t->fd, VMO_WRITE, &iov));
	default:
		return outcome(send_byte(t->fd, t->other));
	}
}

enum grow { PAST, ACROSS, ALLOCATE, ZERO, TRUNCATE_UP, TRUNCATE_DOWN, SET_SIZE };

static inline long grow(const struct target *t, enum grow how)
{
	switch (how) {
	case PAST:
		return pwrite(t->fd, "x", 1, SIZE);
	case ACROSS:
		return pwrite(t->fd, "xy", 2, SIZE - 1);
	case ALLOCATE:
		return fallocate(t->fd, 0, SIZE, PS);
	case ZERO:
		return fallocate(t->fd, FALLOC_FL_ZERO_RANGE, SIZE, PS);
	case TRUNCATE_UP:
		return ftruncate(t->fd, SIZE + PS);
	case TRUNCATE_DOWN:
		return ftruncate(t->fd, SIZE - PS);
	case SET_SIZE:
		return vmo_set_size(t->fd, SIZE + PS);
	}
	return -1;
}

static inline int do_grow(const struct target *t, uint32_t how)
{
	long ret = grow(t, how);
	struct vmo_info info;

	if (ret < 0)
		return errno;
	if (vmo_stat(t->all, &info))
		return errno;
	if (how == ACROSS && ret == 1)
		return info.size == SIZE ? SHORT : WRONG;
	if (info.size != SIZE + (how == TRUNCATE_DOWN ? -PS : PS))
		return WRONG;
	return outcome(vmo_set_size(t->all, SIZE));
}

static inline int do_allocate(const struct target *t, uint32_t mode)
{
	return outcome(fallocate(t->fd, mode, PS, PS));
}

static inline int do_range(const struct target *t, uint32_t op)
{
	int err = outcome(vmo_op(t->fd, op, PS, PS));

	if (op == VMO_OP_DECOMMIT && t->clone && err == EOPNOTSUPP)
		return 0;	/* T6, which comes after the rights */
	return err;
}

static inline int do_pin(const struct target *t, uint32_t flags)
{
	return outcome_fd(vmo_pin_flags(t->fd, 0, PS, flags));
}

static inline int do_clone(const struct target *t, uint32_t flags)
{
	struct vmo_clone arg = { .size = PS, .flags = flags, .fd = -1 };

	return ioctl(t->fd, VMO_CLONE, &arg) ? errno : outcome_fd(arg.fd);
}

static inline int do_slice(const struct target *t, uint32_t flags)
{
	int err = outcome_fd(vmo_slice(t->fd, 0, PS, flags));

	return err == EOPNOTSUPP && t->resizable ? 0 : err;	/* L1: after the rights */
}

static inline int do_reference(const struct target *t, uint32_t flags)
{
	int err = outcome_fd(vmo_reference(t->fd, flags));

	return err == EOPNOTSUPP && flags & VMO_REFERENCE_RESIZABLE && !t->resizable ? 0 : err;
}

static inline int do_name(const struct target *t, uint32_t flags)
{
	struct vmo_name arg = { .flags = flags };

	return outcome(ioctl(t->fd, VMO_NAME, &arg));
}

static inline int do_info(const struct target *t, uint32_t how)
{
	uint32_t rights = rights_of(t->fd);

	return rights == t->rights ? 0 : WRONG;
}

static inline int do_stat(const struct target *t, uint32_t how)
{
	struct pollfd poll_fd = { .fd = t->fd, .events = POLLPRI };
	struct stat st;

	if (fstat(t->fd, &st) || poll(&poll_fd, 1, 0) < 0)
		return errno;
	return st.st_size == (off_t)SIZE && poll_fd.revents == POLLPRI ? 0 : WRONG;
}

#define PRIVATE		0x100	/* beside PROT_* */

static inline char *map_as(int fd, int prot, uint32_t how)
{
	return vmo_map_at(fd, 0, 1, prot, how & PRIVATE ? MAP_PRIVATE : MAP_SHARED);
}

static inline int do_map(const struct target *t, uint32_t how)
{
	char *p = map_as(t->fd, how & ~PRIVATE, how);

	return p ? outcome(munmap(p, PS)) : errno;
}

/* What mprotect() can do later, mmap() has to have decided. */
static inline int do_protect(const struct target *t, uint32_t how)
{
	char *p = map_as(t->fd, PROT_NONE, how);
	int err;

	if (!p)
		return errno;
	err = outcome(mprotect(p, PS, how & ~PRIVATE));
	munmap(p, PS);
	return err;
}

static inline int do_open(const struct target *t, uint32_t flags)
{
	return outcome_fd(vmo_reopen(t->fd, flags));
}

static inline int do_restrict(const struct target *t, uint32_t right)
{
	return outcome_fd(limited(t->fd, right));
}

static inline int transfer(int to, int from)
{
	struct vmo_transfer arg = { .offset = PS, .src_offset = PS, .length = PS, .src_fd = from };

	return outcome(ioctl(to, VMO_TRANSFER, &arg));
}

static inline int do_transfer_to(const struct target *t, uint32_t how)
{
	return transfer(t->fd, t->other);
}

static inline int do_transfer_from(const struct target *t, uint32_t how)
{
	return transfer(t->other, t->fd);
}

static inline int do_pages(const struct target *t, uint32_t how)
{
	struct vmo_page_run run;
	struct vmo_pages arg = { .length = PS, .runs = (uintptr_t)&run, .count = 1 };

	return outcome(ioctl(t->fd, VMO_PAGES, &arg));
}

static inline int do_lookup(const struct target *t, uint32_t flags)
{
	struct vmo_lookup_entry entry;
	struct vmo_lookup arg = {
		.length = PS, .entries = (uintptr_t)&entry, .count = 1,
		.flags = flags | VMO_LOOKUP_SHARED,
	};

	return outcome(ioctl(t->fd, VMO_LOOKUP, &arg));
}

/* ---- the matrix -------------------------------------------------------- */

/* The first of these rights that is missing is the reason. */
struct needs {
	uint32_t right;
	int err;
};

static const struct {
	const char *name;
	call_fn call;
	uint32_t how;
	struct needs needs[3];
} calls[] = {
	{ "pread", do_read, 0, { { READ, EBADF } } },
	{ "preadv", do_read, 1, { { READ, EBADF } } },
	{ "readv", do_read, 2, { { READ, EBADF } } },
	{ "VMO_READ", do_read, 3, { { READ, EACCES } } },
	{ "sendfile from", do_read, 4, { { READ, EBADF } } },
	{ "pwrite", do_write, 0, { { WRITE, EBADF } } },
	{ "pwritev", do_write, 1, { { WRITE, EBADF } } },
	{ "writev", do_write, 2, { { WRITE, EBADF } } },
	{ "VMO_WRITE", do_write, 3, { { WRITE, EACCES } } },
	{ "sendfile to", do_write, 4, { { WRITE, EBADF } } },
	{ "write past", do_grow, PAST, { { WRITE, EBADF }, { RESIZE, ENOSPC } } },
	{ "write across", do_grow, ACROSS, { { WRITE, EBADF }, { RESIZE, SHORT } } },
	{ "fallocate past", do_grow, ALLOCATE, { { WRITE, EBADF }, { RESIZE, ENOSPC } } },
	{ "zero range past", do_grow, ZERO, { { WRITE, EBADF }, { RESIZE, ENOSPC } } },
	{ "ftruncate up", do_grow, TRUNCATE_UP, { { WRITE, EINVAL }, { RESIZE, EACCES } } },
	{ "ftruncate down", do_grow, TRUNCATE_DOWN, { { WRITE, EINVAL }, { RESIZE, EACCES } } },
	{ "VMO_RESIZE", do_grow, SET_SIZE, { { WRITE, EACCES }, { RESIZE, EACCES } } },
	{ "fallocate", do_allocate, 0, { { WRITE, EBADF } } },
	{ "punch hole", do_allocate, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	  { { WRITE, EBADF } } },
	{ "zero range", do_allocate, FALLOC_FL_ZERO_RANGE, { { WRITE, EBADF } } },
	{ "commit", do_range, VMO_OP_COMMIT, { { WRITE, EACCES } } },
	{ "decommit", do_range, VMO_OP_DECOMMIT, { { WRITE, EACCES } } },
	{ "zero", do_range, VMO_OP_ZERO, { { WRITE, EACCES } } },
	{ "pin to read", do_pin, VMO_PIN_READ, { { PIN, EACCES }, { READ, EACCES } } },
	{ "pin to write", do_pin, VMO_PIN_WRITE, { { PIN, EACCES }, { WRITE, EACCES } } },
	{ "pin", do_pin, VMO_PIN_READ | VMO_PIN_WRITE,
	  { { PIN, EACCES }, { READ | WRITE, EACCES } } },
	{ "clone", do_clone, VMO_CLONE_SNAPSHOT, { { READ | CHILD, EACCES } } },
	{ "at least on write", do_clone, VMO_CLONE_AT_LEAST_ON_WRITE,
	  { { READ | CHILD, EACCES } } },
	{ "modified", do_clone, VMO_CLONE_MODIFIED, { { READ | CHILD, EACCES } } },
	{ "clone no write", do_clone, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE,
	  { { READ | CHILD, EACCES } } },
	{ "clone resizable", do_clone, VMO_CLONE_SNAPSHOT | VMO_CLONE_RESIZABLE,
	  { { READ | CHILD, EACCES } } },
	{ "slice", do_slice, 0, { { READ | CHILD, EACCES } } },
	{ "slice no write", do_slice, VMO_SLICE_NO_WRITE, { { READ | CHILD, EACCES } } },
	{ "reference", do_reference, 0, { { READ | CHILD, EACCES } } },
	{ "reference no write", do_reference, VMO_REFERENCE_NO_WRITE,
	  { { READ | CHILD, EACCES } } },
	{ "reference resizable", do_reference, VMO_REFERENCE_RESIZABLE,
	  { { READ | CHILD, EACCES }, { WRITE | RESIZE, EACCES } } },
	{ "name", do_name, 0, { } },
	{ "set name", do_name, VMO_NAME_SET, { { WRITE | NAME, EACCES } } },
	{ "info", do_info, 0, { } },
	{ "stat and poll", do_stat, 0, { } },
	{ "map none", do_map, PROT_NONE, { { READ | MAP, EACCES } } },
	{ "map r", do_map, RO, { { READ | MAP, EACCES } } },
	{ "map w", do_map, PROT_WRITE, { { READ | MAP | WRITE, EACCES } } },
	{ "map rw", do_map, RW, { { READ | MAP | WRITE, EACCES } } },
	{ "map x", do_map, PROT_EXEC, { { READ | MAP | EXEC, EACCES } } },
	{ "map rx", do_map, RO | PROT_EXEC, { { READ | MAP | EXEC, EACCES } } },
	{ "map rwx", do_map, RW | PROT_EXEC, { { READ | MAP | WRITE | EXEC, EACCES } } },
	{ "map private r", do_map, PRIVATE | RO, { { READ | MAP, EACCES } } },
	{ "map private rw", do_map, PRIVATE | RW, { { READ | MAP, EACCES } } },
	{ "map private x", do_map, PRIVATE | PROT_EXEC, { { READ | MAP | EXEC, EACCES } } },
	{ "map private rwx", do_map, PRIVATE | RW | PROT_EXEC, { { READ | MAP | EXEC, EACCES } } },
	{ "protect r", do_protect, RO, { { READ | MAP, EACCES } } },
	{ "protect w", do_protect, RW, { { READ | MAP | WRITE, EACCES } } },
	{ "protect x", do_protect, PROT_EXEC, { { READ | MAP | EXEC, EACCES } } },
	{ "protect rwx", do_protect, RW | PROT_EXEC, { { READ | MAP | WRITE | EXEC, EACCES } } },
	{ "protect private w", do_protect, PRIVATE | RW, { { READ | MAP, EACCES } } },
	{ "protect private x", do_protect, PRIVATE | PROT_EXEC, { { READ | MAP | EXEC, EACCES } } },
	{ "open path", do_open, O_PATH, { } },
	{ "open r", do_open, O_RDONLY, { { READ, EACCES } } },
	{ "open w", do_open, O_WRONLY, { { WRITE, EACCES } } },
	{ "open rw", do_open, O_RDWR, { { READ | WRITE, EACCES } } },
	{ "open for ioctl", do_open, O_ACCMODE, { } },
	{ "restrict", do_restrict, 0, { } },
	{ "restrict to READ", do_restrict, READ, { { READ, EACCES } } },
	{ "restrict to WRITE", do_restrict, WRITE, { { WRITE, EACCES } } },
	{ "restrict to MAP", do_restrict, MAP, { { MAP, EACCES } } },
	{ "restrict to EXEC", do_restrict, EXEC, { { EXEC, EACCES } } },
	{ "restrict to RESIZE", do_restrict, RESIZE, { { RESIZE, EACCES } } },
	{ "restrict to PIN", do_restrict, PIN, { { PIN, EACCES } } },
	{ "restrict to CHILD", do_restrict, CHILD, { { CHILD, EACCES } } },
	{ "restrict to NAME", do_restrict, NAME, { { NAME, EACCES } } },
	{ "transfer to", do_transfer_to, 0, { { WRITE, EACCES } } },
	{ "transfer from", do_transfer_from, 0, { { READ | WRITE, EACCES } } },
	{ "pages", do_pages, 0, { { READ, EACCES } } },
	{ "look up", do_lookup, 0, { { READ, EACCES } } },
	{ "look up one", do_lookup, VMO_LOOKUP_CONTIGUOUS, { { READ, EACCES } } },
};

/* Some only make sense where the size can change. */
static inline bool applies(size_t i, const struct target *t)
{
	return t->resizable || (calls[i].call != do_grow && !(calls[i].call == do_reference &&
				calls[i].how & VMO_REFERENCE_RESIZABLE));
}

static inline int expected(const struct needs *needs, uint32_t rights)
{
	for (; needs->right; needs++)
		if ((rights & needs->right) != needs->right)
			return needs->err;
	return 0;
}

/* Whether a refused call left @before, as far as INFO tells. */
static inline bool unchanged(int fd, const struct vmo_info *before)
{
	struct vmo_info now;

	return !vmo_stat(fd, &now) && !memcmp(before, &now, offsetof(struct vmo_info, rights));
}

/* ---- kinds of objects -------------------------------------------------- */

enum make { AS_IT_IS, MAKE_CLONE, MAKE_SLICE, MAKE_REFERENCE };

static const struct kind {
	const char *name;
	uint32_t create;
	enum make make;
	uint32_t flags;
	uint32_t rights;
} kinds[] = {
	{ "an object", VMO_CREATE_EXEC, AS_IT_IS, 0, USUAL | EXEC },
	{ "a resizable object", VMO_CREATE_EXEC | VMO_CREATE_RESIZABLE, AS_IT_IS, 0, ALL },
	{ "a longterm object", VMO_CREATE_LONGTERM, AS_IT_IS, 0, USUAL },
	{ "a clone", VMO_CREATE_EXEC, MAKE_CLONE, 0, USUAL },
	{ "a resizable clone", VMO_CREATE_EXEC, MAKE_CLONE, VMO_CLONE_RESIZABLE, USUAL | RESIZE },
	{ "a clone for reading", VMO_CREATE_EXEC, MAKE_CLONE, VMO_CLONE_NO_WRITE,
	  (USUAL | EXEC) & ~WRITE },
	{ "a slice", VMO_CREATE_EXEC, MAKE_SLICE, 0, USUAL | EXEC },
	{ "a slice for reading", VMO_CREATE_EXEC, MAKE_SLICE, VMO_SLICE_NO_WRITE,
	  (USUAL | EXEC) & ~WRITE },
	{ "a reference", VMO_CREATE_EXEC, MAKE_REFERENCE, 0, USUAL | EXEC },
	{ "a resizable reference", VMO_CREATE_EXEC | VMO_CREATE_RESIZABLE, MAKE_REFERENCE,
	  VMO_REFERENCE_RESIZABLE, ALL },
};

static inline int make_child(int parent, const struct kind *kind)
{
	struct vmo_clone arg = {
		.offset = PS, .size = SIZE, .flags = VMO_CLONE_SNAPSHOT | kind->flags, .fd = -1,
	};

	switch (kind->make) {
	case MAKE_CLONE:
		return ioctl(parent, VMO_CLONE, &arg) ? -1 : arg.fd;
	case MAKE_SLICE:
		return vmo_slice(parent, PS, SIZE, kind->flags);
	case MAKE_REFERENCE:
		return vmo_reference(parent, kind->flags);
	default:
		return dup(parent);
	}
}

/* One of this kind, with a c as its first byte. The parent is closed. */
static inline int make_kind(int dev, const struct kind *kind)
{
	bool window = kind->make == MAKE_CLONE || kind->make == MAKE_SLICE;
	int parent = vmo_new_flags(dev, window ? 2 * SIZE : SIZE, kind->create), fd = -1;

	if (parent >= 0 && pwrite(parent, "c", 1, window ? PS : 0) == 1)
		fd = make_child(parent, kind);
	close(parent);
	return fd;
}

#endif
