// SPDX-License-Identifier: GPL-2.0
/*
 * pager serve: an object whose memory is that of a file or of an NBD export. One thread
 * takes requests and answers them, and writes back what is dirty every so often, when it is
 * asked to, and at the end. It never touches memory that it would have to provide itself:
 * what is dirty is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "serve.h"
#include "vmoctl.h"

#define BATCH		64
#define READ_AHEAD	(1UL << 20)
#define WRITE_BACK	5		/* seconds */
#define CHILD_POLL	100		/* ms */

/**
 * struct serving - an object that is served
 * @backing: where its memory comes from
 * @pager: descriptor
 * @binding: descriptor
 * @vmo: the object
 * @shown: what others get at: the object, or one that can only be read
 * @scratch: another one, from which pages are moved
 * @map: its memory
 * @read_ahead: bytes at most
 * @next: where the last read ended
 * @complete: the object is gone, or detached
 * @requests: how many were answered
 * @read: bytes of the backing
 * @written: bytes
 * @zeroed: bytes
 * @errors: requests, and pieces written back, that failed
 * @error: the last of these
 */
struct serving {
	struct backing *backing;
	int pager;
	int binding;
	struct vmo *vmo;
	struct vmo *shown;
	struct vmo *scratch;
	char *map;
	uint64_t read_ahead;
	uint64_t next;
	bool complete;
	uint64_t requests, read, written, zeroed, errors;
	int error;
};

static uint64_t page_up(uint64_t bytes)
{
	uint64_t page = sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What a pager may say to those who wait. */
static int told_error(int err)
{
	return err == ENOSPC ? ENOSPC : EIO;
}

static void failed(struct serving *s, uint64_t at, uint64_t length, int err)
{
	s->errors++;
	s->error = err;
	vmo_pager_fail(s->binding, s->vmo, at, length, told_error(err));
}

/* ---- reading -------------------------------------------------------------------- */

/* Up to CHUNK bytes. Behind the end of the backing there are zeroes up to the page's. */
static int supply(struct serving *s, uint64_t at, uint64_t length)
{
	uint64_t bytes = at < s->backing->size ? min_of(length, s->backing->size - at) : 0;
	int err = bytes ? s->backing->ops->read(s->backing, s->map, bytes, at) : 0;

	if (!err && vmo_pager_supply(s->binding, s->vmo, at, s->scratch, 0, length))
		err = errno;
	if (err)	/* what was read so far is not for the next one */
		vmo_zero(s->scratch, 0, CHUNK);
	else
		s->read += bytes;
	return err;
}

/* More than was asked for, if that goes on where the last one ended. */
static uint64_t ahead(struct serving *s, const struct vmo_pager_request *request)
{
	uint64_t length = request->length;

	if (request->offset == s->next && length < s->read_ahead)
		length = s->read_ahead;
	length = min_of(length, page_up(s->backing->size) - request->offset);
	s->next = request->offset + length;
	return length;
}

static void answer_read(struct serving *s, const struct vmo_pager_request *request)
{
	uint64_t end = request->offset + ahead(s, request), at = request->offset, piece;
	int err;

	for (; at < end; at += piece) {
		piece = min_of(CHUNK, end - at);
		err = supply(s, at, piece);
		if (err == EBADFD)	/* the object went meanwhile */
			return;
		if (err) {
			failed(s, at, end - at, err);
			return;
		}
	}
}

/* ---- writing back ------------------------------------------------------------------ */

static int write_data(struct serving *s, uint64_t at, uint64_t length)
{
	uint64_t end = min_of(at + length, s->backing->size), piece;
	int err;

	for (; at < end; at += piece) {
		piece = min_of(CHUNK, end - at);
		/* By way of the scratch's memory, which is zeroed again. */
		if (vmo_read(s->vmo, s->map, piece, at, 0) != (ssize_t)piece)
			return errno ? errno : EIO;
		err = s->backing->ops->write(s->backing, s->map, piece, at);
		if (err)
			return err;
		s->written += piece;
	}
	return 0;
}

static int write_zeroes(struct serving *s, uint64_t at, uint64_t length)
{
	int err;

	if (at >= s->backing->size)
		return 0;
	length = min_of(length, s->backing->size - at);
	err = s->backing->ops->zero(s->backing, length, at);
	if (err == EOPNOTSUPP)
		return write_data(s, at, length);
	if (!err)
		s->zeroed += length;
	return err;
}

/* Some ranges: told, stored, safe, told. */
static int store(struct serving *s, const struct vmo_page_run *run, int nr)
{
	int err = 0, i;

	for (i = 0; i < nr; i++)
		if (vmo_pager_writeback(s->binding, s->vmo, run[i].offset, run[i].length,
					VMO_PAGER_BEGIN))
			return errno;
	for (i = 0; i < nr && !err; i++)
		err = run[i].state & VMO_DIRTY_ZERO ?
		      write_zeroes(s, run[i].offset, run[i].length) :
		      write_data(s, run[i].offset, run[i].length);
	vmo_zero(s->scratch, 0, CHUNK);
	if (!err)
		err = s->backing->ops->flush(s->backing);
	for (i = 0; i < nr && !err; i++)
		if (vmo_pager_writeback(s->binding, s->vmo, run[i].offset, run[i].length,
					VMO_PAGER_END))
			err = errno;
	return err;
}

/* What is dirty in the range. With @sync those who wait for it are told of an error. */
static void write_back(struct serving *s, uint64_t at, uint64_t length, bool sync)
{
	struct vmo_page_run run[BATCH];
	uint64_t from, all = length;
	int nr, err;

	while (length) {
		from = at;
		nr = vmo_pager_dirty_ranges(s->binding, s->vmo, &at, &length, run, BATCH);
		err = nr < 0 ? errno : nr ? store(s, run, nr) : 0;
		if (!err)
			continue;
		s->errors++;
		s->error = err;
		if (sync)
			vmo_pager_fail(s->binding, s->vmo, from, min_of(all, at + length - from),
				       told_error(err));
		return;
	}
}

static void write_all(struct serving *s)
{
	if (!s->backing->read_only)
		write_back(s, 0, page_up(s->backing->size), false);
}

/* ---- the loop ---------------------------------------------------------------------- */

static void answer_request(struct serving *s, const struct vmo_pager_request *request)
{
	s->requests++;
	switch (request->type) {
	case VMO_REQUEST_READ:
		answer_read(s, request);
		break;
	case VMO_REQUEST_DIRTY:
		vmo_pager_dirty(s->binding, s->vmo, request->offset, request->length);
		break;
	case VMO_REQUEST_SYNC:
		if (s->backing->read_only)
			failed(s, request->offset, request->length, EROFS);
		else
			write_back(s, request->offset, request->length, true);
		break;
	case VMO_REQUEST_COMPLETE:
		s->complete = true;
	}
}

/* Those that there are by now. False: nobody asks any more. */
static bool take_requests(struct serving *s)
{
	struct vmo_pager_request request[BATCH];
	struct pollfd poll_fd = { .fd = s->binding, .events = POLLIN };
	int nr = 0, i;

	if (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN)
		nr = vmo_pager_next(s->binding, request, BATCH);
	for (i = 0; i < nr; i++)
		answer_request(s, &request[i]);
	return !s->complete && !(poll_fd.revents & POLLHUP);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Until it is to end, or @child has; what that says is in *@status. */
static void serve(struct serving *s, uint64_t every, pid_t child, int *status)
{
	struct timespec wait = { .tv_sec = every };
	double last = now();

	if (child)
		wait = (struct timespec){ .tv_nsec = CHILD_POLL * 1000000L };
	while (take_requests(s)) {
		if (child && waitpid(child, status, WNOHANG) == child)
			break;
		if (!live_wait(s->binding, &wait))
			break;
		if (now() - last < every)
			continue;
		write_all(s);
		last = now();
	}
	write_all(s);
}

/* ---- the command ------------------------------------------------------------------- */

static enum status report(struct call *call, struct serving *s)
{
	struct json_object *json;

	if (call->ctl->format == TEXT) {
		fprintf(stderr, "served: %lu requests, %lu bytes read, %lu written, %lu zeroed, "
			"%lu errors\n", s->requests, s->read, s->written, s->zeroed, s->errors);
	} else {
		json = json_object_new_object();
		json_object_object_add(json, "requests", json_object_new_uint64(s->requests));
		json_object_object_add(json, "read_bytes", json_object_new_uint64(s->read));
		json_object_object_add(json, "written_bytes", json_object_new_uint64(s->written));
		json_object_object_add(json, "zeroed_bytes", json_object_new_uint64(s->zeroed));
		json_object_object_add(json, "errors", json_object_new_uint64(s->errors));
		answer(call, "served", json);
	}
	if (s->errors)
		return fail(call, s->error, "%lu times the memory of %s could not be read or "
			    "written", s->errors, call->argv[1]);
	return OK;
}

/* How others get at the object. */
static void announce(struct call *call, struct serving *s)
{
	struct json_object *json;
	char name[32];

	snprintf(name, sizeof(name), "%d/%d", getpid(), vmo_fd(s->shown));
	if (call->ctl->format == TEXT) {
		printf("%s\n", name);
	} else {
		json = json_object_new_object();
		json_object_object_add(json, "object", json_object_new_string(name));
		json_object_object_add(json, "size", json_object_new_uint64(s->backing->size));
		answer(call, "serving", json);
	}
	fflush(stdout);
}

/* With the path of the object in its environment. */
static pid_t start(struct serving *s, char **argv)
{
	char path[64];
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), vmo_fd(s->shown));
	pid = fork();
	if (pid)
		return pid;
	setenv("VMO", path, 1);
	execvp(argv[0], argv);
	fprintf(stderr, "vmoctl: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static enum status make(struct call *call, struct serving *s)
{
	const unsigned int rights = VMO_RIGHT_READ | VMO_RIGHT_MAP | VMO_RIGHT_CHILD;
	int dev = device(call);

	if (dev < 0)
		return call->ctl->error.status;
	s->pager = vmo_pager_new(dev, NULL);
	if (s->pager >= 0)
		s->binding = vmo_pager_bind(s->pager);
	/* A request may be withdrawn between poll() and read(). */
	if (s->binding >= 0 && !fcntl(s->binding, F_SETFL, O_NONBLOCK))
		s->vmo = vmo_create_paged(dev, s->pager, 0, s->backing->size, 0, "served");
	if (s->vmo)
		s->scratch = vmo_create(dev, CHUNK, 0, NULL);
	if (s->scratch)
		s->map = vmo_map(s->scratch, 0, CHUNK, PROT_READ | PROT_WRITE);
	if (s->map)
		s->shown = s->backing->read_only ? vmo_restrict(s->vmo, rights) : s->vmo;
	if (!s->shown)
		return fail(call, errno, "cannot make an object for %s", call->argv[1]);
	return OK;
}

static void unmake(struct serving *s)
{
	if (s->map)
		munmap(s->map, CHUNK);
	if (s->scratch)
		vmo_close(s->scratch);
	if (s->shown && s->shown != s->vmo)
		vmo_close(s->shown);
	if (s->vmo)
		vmo_close(s->vmo);
	if (s->binding >= 0)
		close(s->binding);
	if (s->pager >= 0)
		close(s->pager);
	s->backing->ops->close(s->backing);
}

static bool read_options(struct call *call, struct serving *s, uint64_t *every)
{
	s->read_ahead = READ_AHEAD;
	*every = WRITE_BACK;
	if (call->read_ahead && parse_size(call->read_ahead, &s->read_ahead)) {
		usage_error(call, "--read-ahead needs a size, not %s", call->read_ahead);
		return false;
	}
	if (call->write_back && (parse_size(call->write_back, every) || !*every)) {
		usage_error(call, "--write-back needs a number of seconds, not %s",
			    call->write_back);
		return false;
	}
	return true;
}

static struct backing *open_backing(struct call *call)
{
	const char *name = call->argv[1], *why = "";
	bool read_only = option(call, OPT_READ_ONLY);
	struct backing *backing;

	backing = is_nbd(name) ? backing_nbd(name, read_only, &why) :
				 backing_file(name, read_only, &why);
	if (!backing && *why)
		fail(call, errno, "cannot serve %s: %s", name, why);
	else if (!backing)
		fail_file(call, "serve", name);
	return backing;
}

static enum status ended(struct call *call, enum status status, pid_t child, int wait_status)
{
	if (status != OK || !child)
		return status;
	if (WIFEXITED(wait_status) && !WEXITSTATUS(wait_status))
		return OK;
	return fail(call, 0, "%s failed", call->argv[2]);
}

enum status cmd_pager(struct call *call)
{
	struct serving s = { .pager = -1, .binding = -1 };
	int wait_status = 0;
	enum status status;
	uint64_t every;
	pid_t child = 0;

	if (strcmp(call->argv[0], "serve"))
		return usage_error(call, "pager: %s is nothing that a pager does",
				   call->argv[0]);
	if (!read_options(call, &s, &every))
		return call->ctl->error.status;
	s.backing = open_backing(call);
	if (!s.backing)
		return call->ctl->error.status;
	status = make(call, &s);
	if (status == OK) {
		live_begin(call);
		if (call->argc > 2)
			child = start(&s, call->argv + 2);
		else
			announce(call, &s);
		serve(&s, every, child, &wait_status);
		status = report(call, &s);
	}
	unmake(&s);
	return ended(call, status, child, wait_status);
}
