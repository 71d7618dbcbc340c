// SPDX-License-Identifier: GPL-2.0
/*
 * How objects are named: PID/FD is a descriptor of another process, or "self"
 * for one that vmoctl was started with; other names are of the shell or script.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "vmoctl.h"

/* ---- descriptors of other processes ----------------------------------------- */

bool is_foreign(const char *name)
{
	return strchr(name, '/');
}

static bool parse_number(const char *text, const char *end, int *number)
{
	char *stop;
	long value;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtol(text, &stop, 10);
	*number = value;
	return !errno && stop == end && value <= INT_MAX;
}

static bool parse_foreign(const char *name, int *pid, int *fd)
{
	const char *slash = strchr(name, '/');

	if (!strncmp(name, "self/", 5))
		*pid = getpid();
	else if (!parse_number(name, slash, pid) || !*pid)
		return false;
	return parse_number(slash + 1, slash + strlen(slash), fd);
}

int take_fd(int pidfd, int fd)
{
	return pidfd_getfd(pidfd, fd, 0);
}

static enum status explain_ptrace(struct call *call)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = 0;

	if (f) {
		if (fscanf(f, "%d", &scope) != 1)
			scope = 0;
		fclose(f);
	}
	return fail_hint(call, "a descriptor may be taken of a process that one may trace "
			 "(ptrace(2), PTRACE_MODE_ATTACH): be its user or root%s",
			 scope ? "; /proc/sys/kernel/yama/ptrace_scope restricts it" : "");
}

static int foreign_fd(struct call *call, const char *name)
{
	int pid, number, pidfd, fd, err;

	if (!parse_foreign(name, &pid, &number)) {
		usage_error(call, "%s is not PID/FD", name);
		return -1;
	}
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		err = errno;
		fail(call, err, "cannot open process %d", pid);
		if (err == EINVAL || err == ENOENT)	/* up to 6.14, and later */
			fail_hint(call, "%d is a thread: name the process", pid);
		return -1;
	}
	fd = take_fd(pidfd, number);
	err = errno;
	close(pidfd);
	if (fd >= 0)
		return fd;
	fail(call, err, "cannot take descriptor %d of process %d", number, pid);
	if (err == EPERM)
		explain_ptrace(call);
	else if (err == EBADF)
		fail_hint(call, "\"vmoctl list\" shows who holds objects");
	return -1;
}

struct vmo *foreign_open(struct call *call, const char *name)
{
	int fd = foreign_fd(call, name), err;
	struct vmo *vmo;

	if (fd < 0)
		return NULL;
	vmo = vmo_from_fd(fd);
	if (vmo)
		return vmo;
	err = errno;
	close(fd);
	fail(call, err, "%s is not a virtual memory object", name);
	fail_hint(call, "\"vmoctl list\" shows who holds objects");
	return NULL;
}

int private_fd(const struct vmo *vmo)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", vmo_fd(vmo));
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- names of the shell -------------------------------------------------------- */

struct handle *handle_find(const struct ctl *ctl, const char *name)
{
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next)
		if (!strcmp(handle->name, name))
			break;
	return handle;
}

bool handle_name_ok(struct call *call, const char *name)
{
	if (!*name || is_foreign(name) || *name == '-' || *name == '#') {
		usage_error(call, "%s is no name: that is not empty, has no slash, and does not "
			    "start with - or #", name);
		return false;
	}
	if (!handle_find(call->ctl, name))
		return true;
	fail(call, EEXIST, "the name %s is in use", name);
	fail_hint(call, "close it first, or choose another");
	return false;
}

static void append(struct ctl *ctl, const char *name, struct handle *handle)
{
	struct handle **last = &ctl->handles;

	handle->name = strdup(name);
	if (!handle->name)
		abort();
	while (*last)
		last = &(*last)->next;
	*last = handle;
}

enum status handle_add(struct call *call, const char *name, struct vmo *vmo)
{
	struct handle *handle;

	if (!handle_name_ok(call, name)) {
		vmo_close(vmo);
		return call->ctl->error.status;
	}
	handle = calloc(1, sizeof(*handle));
	if (!handle)
		abort();
	handle->vmo = vmo;
	append(call->ctl, name, handle);
	return OK;
}

enum status pin_add(struct call *call, const char *name, int fd, const char *object,
		    uint64_t offset, uint64_t length)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		abort();
	handle->pin = fd;
	handle->pinned = strdup(object);
	if (!handle->pinned)
		abort();
	handle->offset = offset;
	handle->length = length;
	append(call->ctl, name, handle);
	return OK;
}

enum status reaper_add(struct call *call, const char *name, struct vmo_reaper *reaper,
		       const char *object)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		abort();
	handle->reaper = reaper;
	handle->pinned = strdup(object);
	if (!handle->pinned)
		abort();
	append(call->ctl, name, handle);
	return OK;
}

void handle_drop(struct ctl *ctl, struct handle *handle)
{
	struct handle **at = &ctl->handles;

	while (*at != handle)
		at = &(*at)->next;
	*at = handle->next;
	if (handle->vmo)
		vmo_close(handle->vmo);
	else if (handle->reaper)
		vmo_reaper_close(handle->reaper);
	else
		close(handle->pin);
	free(handle->pinned);
	free(handle->name);
	free(handle);
}

void handles_drop_all(struct ctl *ctl)
{
	while (ctl->handles)
		handle_drop(ctl, ctl->handles);
}

/* ---- arguments -------------------------------------------------------------------- */

struct vmo *object_arg(struct call *call, int i)
{
	struct ctl *ctl = call->ctl;
	const char *name = call->argv[i];
	struct handle *handle;
	struct vmo *vmo;

	if (is_foreign(name)) {
		vmo = foreign_open(call, name);
		if (vmo)
			ctl->temps[ctl->nr_temps++] = vmo;
		return vmo;
	}
	handle = handle_find(ctl, name);
	if (handle && handle->vmo)
		return handle->vmo;
	if (handle) {
		fail(call, EINVAL, "%s is a %s", name, handle->reaper ? "harvester" : "pin");
		fail_hint(call, "use the name of the object, or \"%s\"",
			  handle->reaper ? "harvest" : "unpin");
	} else {
		fail(call, ENOENT, "there is no object %s", name);
		fail_hint(call, ctl->session ? "\"list\" shows the names" :
			  "outside of the shell an object is named PID/FD: see \"vmoctl list\"");
	}
	return NULL;
}

bool size_arg(struct call *call, int i, uint64_t *value)
{
	if (!parse_size(call->argv[i], value))
		return true;
	usage_error(call, "%s is not a size: digits or 0x, then K, M, G, T or pages",
		    call->argv[i]);
	return false;
}

bool range_args(struct call *call, int i, const struct vmo *vmo, uint64_t *offset,
		uint64_t *length)
{
	int64_t size;

	if (call->argc == i + 1) {
		usage_error(call, "OFFSET without LENGTH");
		return false;
	}
	if (call->argc > i)
		return size_arg(call, i, offset) && size_arg(call, i + 1, length);
	size = vmo_size(vmo);
	if (size < 0) {
		fail(call, errno, "cannot ask for the size");
		return false;
	}
	*offset = 0;
	*length = size;
	return true;
}

int device(struct call *call)
{
	struct ctl *ctl = call->ctl;
	int err;

	if (ctl->dev >= 0)
		return ctl->dev;
	ctl->dev = vmo_device_open();
	if (ctl->dev >= 0)
		return ctl->dev;
	err = errno;
	fail(call, err, "cannot open /dev/vmo");
	fail_hint(call, "%s", vmo_device_explain(err));
	return -1;
}
