// SPDX-License-Identifier: GPL-2.0
/* The few calls that all cases are made of. None of them returns an error. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/vmo.h>

#include "bench.h"

static int device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/vmo");
	return fd;
}

int vmo_new(size_t size)
{
	struct vmo_create create = { .size = size };

	if (ioctl(device(), VMO_CREATE, &create))
		die("a new object");
	return create.fd;
}

void vmo_stats(struct vmo_stats *stats)
{
	if (ioctl(device(), VMO_STATS, stats))
		die("stats");
}

int vmo_snapshot(int fd, size_t size)
{
	struct vmo_clone clone = { .size = size, .flags = VMO_CLONE_SNAPSHOT };

	if (ioctl(fd, VMO_CLONE, &clone))
		die("a snapshot");
	return clone.fd;
}

void vmo_commit(int fd, size_t size)
{
	struct vmo_op_range range = { .op = VMO_OP_COMMIT, .length = size };

	if (ioctl(fd, VMO_OP_RANGE, &range))
		die("commit");
}

int memfd_new(size_t size)
{
	int fd = memfd_create("peer", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		die("a new memfd");
	return fd;
}

static char *map(int fd, size_t size, int flags)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	return mem;
}

char *map_shared(int fd, size_t size)
{
	return map(fd, size, MAP_SHARED);
}

char *map_private(int fd, size_t size)
{
	return map(fd, size, MAP_PRIVATE);
}

/* Of small pages, as all that it stands beside. */
char *map_anon(size_t size)
{
	char *mem = map(-1, size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);

	if (madvise(mem, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	return mem;
}

void unmap(char *mem, size_t size)
{
	if (munmap(mem, size))
		die("munmap");
}

void close_fd(int fd)
{
	if (close(fd))
		die("close");
}

void touch_write(char *mem, const struct load *load, char value)
{
	volatile char *page = mem + load->first * PAGE;
	size_t i;

	for (i = 0; i < load->count; i++, page += load->stride * PAGE)
		*page = value;
}

void touch_all(char *mem, size_t size, char value)
{
	const struct load all = { .stride = 1, .count = size / PAGE };

	touch_write(mem, &all, value);
}

void touch_read(const char *mem, const struct load *load)
{
	const volatile char *page = mem + load->first * PAGE;
	size_t i;

	for (i = 0; i < load->count; i++, page += load->stride * PAGE)
		(void)*page;
}

bool holds(const char *mem, const struct load *load, char value)
{
	size_t i;

	for (i = 0; i < load->count; i++)
		if (mem[(load->first + i * load->stride) * PAGE] != value)
			return false;
	return true;
}

bool file_holds(int fd, const struct load *load, char value)
{
	size_t i;
	char byte;

	for (i = 0; i < load->count; i++) {
		off_t at = (load->first + i * load->stride) * PAGE;

		if (pread(fd, &byte, 1, at) != 1 || byte != value)
			return false;
	}
	return true;
}

static void shmem_mode(const char *mode)
{
	const char *file = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, mode, strlen(mode)) < 0)
		die("%s", file);
	close_fd(fd);
}

void shmem_huge(const struct load *load)
{
	(void)load;
	shmem_mode("always");
}

void shmem_small(const struct load *load)
{
	(void)load;
	shmem_mode("never");
}

void sleeper_open(struct sleeper *sleeper)
{
	if (pipe(sleeper->pipe))
		die("pipe");
}

void sleeper_fork(struct sleeper *sleeper, const char *mem, const struct load *load, char value)
{
	char byte;

	sleeper->pid = fork();
	if (sleeper->pid < 0)
		die("fork");
	if (sleeper->pid)
		return;
	close(sleeper->pipe[1]);
	_exit(read(sleeper->pipe[0], &byte, 1) || !holds(mem, load, value));
}

void sleeper_release(struct sleeper *sleeper)
{
	int status;

	close_fd(sleeper->pipe[1]);
	if (waitpid(sleeper->pid, &status, 0) != sleeper->pid)
		die("waitpid");
	expect(!status);
	close_fd(sleeper->pipe[0]);
}

void settle(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}
