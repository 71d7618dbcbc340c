// SPDX-License-Identifier: GPL-2.0
/*
 * Which objects there are: those that have a name here, or those behind the
 * descriptors of all processes that we may look into, and those that the
 * module tells of by netlink: with CAP_SYS_ADMIN all, such as what somebody only
 * maps. Where a descriptor may be seen but not taken, and netlink does not tell,
 * there is what /proc/PID/fdinfo says.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "vmoctl.h"

/* ---- the list ------------------------------------------------------------------ */

static struct member *append(struct members *members)
{
	/* Grows by doubling. */
	if (!(members->nr & (members->nr - 1)))
		members->all = reallocarray(members->all, members->nr ? 2 * members->nr : 1,
					    sizeof(*members->all));
	if (!members->all)
		abort();
	return memset(&members->all[members->nr++], 0, sizeof(*members->all));
}

void members_free(struct members *members)
{
	for (size_t i = 0; i < members->nr; i++)
		free(members->all[i].holders);
	free(members->all);
}

static int quality(const struct member *member)
{
	return member->full ? 2 - member->by_netlink : 0;
}

static int by_id(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->info.id != y->info.id)
		return x->info.id < y->info.id ? -1 : 1;
	return quality(y) - quality(x);		/* the better first */
}

struct member *member_find(const struct members *members, uint64_t id)
{
	struct member key = { .info.id = id };
	size_t low = 0, high = members->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (members->all[middle].info.id < key.info.id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < members->nr && members->all[low].info.id == id ? &members->all[low] : NULL;
}

static int by_holder(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->pid != y->pid ? x->pid - y->pid : x->fd - y->fd;
}

/* @from, of the same object, becomes more holders of @to. */
static void merge(struct member *to, struct member *from)
{
	size_t nr = to->nr_holders + from->nr_holders;

	if (!to->label)
		to->label = from->label;
	if (!from->nr_holders)
		return;
	to->holders = reallocarray(to->holders, nr, sizeof(*to->holders));
	if (!to->holders)
		abort();
	memcpy(to->holders + to->nr_holders, from->holders,
	       from->nr_holders * sizeof(*to->holders));
	to->nr_holders = nr;
	free(from->holders);
}

static void sort(struct members *members)
{
	size_t kept = 0;

	if (members->nr)
		qsort(members->all, members->nr, sizeof(*members->all), by_id);
	for (size_t i = 0; i < members->nr; i++) {
		struct member *member = &members->all[i];

		if (kept && members->all[kept - 1].info.id == member->info.id)
			merge(&members->all[kept - 1], member);
		else
			members->all[kept++] = *member;
	}
	members->nr = kept;
	for (size_t i = 0; i < kept; i++)
		if (members->all[i].holders)
			qsort(members->all[i].holders, members->all[i].nr_holders,
			      sizeof(struct holder), by_holder);
}

/* ---- /proc ------------------------------------------------------------------------ */

static bool is_number(const char *text)
{
	return isdigit((unsigned char)*text);
}

/* The kernel has backslashes, and bytes that are not printable ASCII, as \OOO. */
static void take_name(char name[VMO_NAME_SIZE], const char *from)
{
	size_t n = 0;

	while (*from && *from != '\n' && n < VMO_NAME_SIZE - 1) {
		char digits[4] = "";

		if (*from == '\\' && strspn(from + 1, "01234567") >= 3) {
			memcpy(digits, from + 1, 3);
			name[n++] = strtol(digits, NULL, 8);
			from += 4;
		} else {
			name[n++] = *from++;
		}
	}
	name[n] = 0;
}

/* A line "KEY:\tVALUE" of fdinfo. */
static void take_line(struct vmo_info *info, const char *line)
{
	static const struct {
		const char *key;
		size_t offset;
	} fields[] = {
		{ "vmo-id:\t", offsetof(struct vmo_info, id) },
		{ "vmo-parent:\t", offsetof(struct vmo_info, parent_id) },
		{ "vmo-children:\t", offsetof(struct vmo_info, children) },
		{ "vmo-size:\t", offsetof(struct vmo_info, size) },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t length = strlen(fields[i].key);
		uint64_t value;

		if (strncmp(line, fields[i].key, length))
			continue;
		value = strtoull(line + length, NULL, 10);
		memcpy((char *)info + fields[i].offset, &value, sizeof(value));
	}
	if (!strncmp(line, "vmo-name:\t", 10))
		take_name(info->name, line + 10);
}

static bool from_fdinfo(int pid, int fd, struct vmo_info *info)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		take_line(info, line);
	fclose(f);
	return info->id;
}

static bool from_descriptor(int pidfd, int fd, struct vmo_info *info)
{
	int mine = pidfd < 0 ? -1 : take_fd(pidfd, fd);
	struct vmo *vmo = mine < 0 ? NULL : vmo_from_fd(mine);
	bool known;

	if (!vmo) {
		if (mine >= 0)
			close(mine);
		return false;
	}
	known = !vmo_info(vmo, info, sizeof(*info));
	vmo_close(vmo);
	return known;
}

static void look_at(struct members *members, int pid, int pidfd, int fd)
{
	struct vmo_info info = { 0 };
	bool full = from_descriptor(pidfd, fd, &info);
	struct member *member;

	if (!full && !from_fdinfo(pid, fd, &info))
		return;
	member = append(members);
	member->info = info;
	member->full = full;
	member->holders = calloc(1, sizeof(*member->holders));
	if (!member->holders)
		abort();
	member->nr_holders = 1;
	member->holders->pid = pid;
	member->holders->fd = fd;
}

static void name_holders(struct members *members, size_t from, int pid)
{
	char path[64], command[sizeof(members->all->holders->command)] = "";
	FILE *f;

	if (from == members->nr)
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(command, sizeof(command), f))
			*command = 0;
		command[strcspn(command, "\n")] = 0;
		fclose(f);
	}
	for (; from < members->nr; from++)
		memcpy(members->all[from].holders->command, command, sizeof(command));
}

static void scan_process(struct members *members, int pid)
{
	size_t from = members->nr;
	char path[64], link[8];
	struct dirent *entry;
	int pidfd;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir) {
		members->hidden += errno == EACCES;
		return;
	}
	pidfd = pidfd_open(pid, 0);
	while (!interrupted && (entry = readdir(dir))) {
		/* The link of an object is /vmo:ID:NAME; so may a file be called, too. */
		if (is_number(entry->d_name) &&
		    readlinkat(dirfd(dir), entry->d_name, link, sizeof(link)) >= 5 &&
		    !memcmp(link, "/vmo:", 5))
			look_at(members, pid, pidfd, atoi(entry->d_name));
	}
	if (pidfd >= 0)
		close(pidfd);
	closedir(dir);
	name_holders(members, from, pid);
}

static enum status scan_all(struct call *call, struct members *members)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return fail(call, errno, "cannot look into /proc");
	while (!interrupted && (entry = readdir(dir)))
		if (is_number(entry->d_name))
			scan_process(members, atoi(entry->d_name));
	closedir(dir);
	return interrupted ? fail(call, EINTR, "cannot look at all processes") : OK;
}

static enum status scan_names(struct call *call, struct members *members)
{
	struct handle *handle;

	for (handle = call->ctl->handles; handle; handle = handle->next) {
		struct member *member;

		if (!handle->vmo)
			continue;
		member = append(members);
		if (vmo_info(handle->vmo, &member->info, sizeof(member->info)))
			return fail(call, errno, "cannot ask what %s is", handle->name);
		member->full = true;
		member->label = handle->name;
	}
	return OK;
}

static void add_told(void *arg, const struct vmo_info *info)
{
	struct member *member = append(arg);

	member->info = *info;
	member->full = true;
	member->by_netlink = true;
}

static enum status scan_everybody(struct call *call, struct members *members)
{
	enum status status = scan_all(call, members);

	if (!status)
		netlink_objects(add_told, members);
	return !status && interrupted ? fail(call, EINTR, "cannot ask for all objects") : status;
}

void members_note_hidden(const struct members *members)
{
	fflush(stdout);
	if (members->hidden)
		fprintf(stderr, "vmoctl: %zu processes may not be looked into: root may\n",
			members->hidden);
}

enum status members_collect(struct call *call, bool everybody, struct members *members)
{
	enum status status = scan_names(call, members);

	if (!status && (everybody || !call->ctl->session))
		status = scan_everybody(call, members);
	sort(members);
	return status;
}
