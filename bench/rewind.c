// SPDX-License-Identifier: GPL-2.0
/*
 * Rewind: a mapped child that keeps its base is written to and goes back. Per cycle of
 * load->count stores and one VMO_REWIND; @depth is the number of cycles before those that
 * are measured, in which nothing may be left behind.
 *
 * The peers are what programs do today: madvise(MADV_DONTNEED) on a private mapping of a
 * memfd, and a process that is forked for each cycle and ends.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vmo.h>

#include "bench.h"

static int root, fd;
static char *mem;

static void fill(const struct load *load)
{
	mem = map_shared(root, load->size);
	touch_all(mem, load->size, 'b');
	unmap(mem, load->size);
}

/* ---- ours -------------------------------------------------------------- */

static void rewind_run(const struct load *load)
{
	struct vmo_rewind rewind = { 0 };

	touch_write(mem, load, 'x');
	if (ioctl(fd, VMO_REWIND, &rewind))
		die("rewind");
}

static void rewind_finish(const struct load *load)
{
	expect(holds(mem, load, 'b'));
}

static void rewind_begin(const struct load *load)
{
	struct vmo_clone clone = {
		.size = load->size, .flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_KEEP_BASE,
	};
	struct vmo_stats before, after;
	unsigned int i;

	root = vmo_new(load->size);
	fill(load);
	if (ioctl(root, VMO_CLONE, &clone))
		die("a clone that keeps its base");
	fd = clone.fd;
	mem = map_shared(fd, load->size);
	touch_read(mem, &(struct load){ .stride = 1, .count = load->size / PAGE });
	for (i = 0; i < 4; i++)
		rewind_run(load);
	vmo_stats(&before);
	for (i = 0; i < load->depth; i++)
		rewind_run(load);
	vmo_stats(&after);
	expect(before.page_bytes == after.page_bytes && before.node_count == after.node_count);
}

static void rewind_end(const struct load *load)
{
	unmap(mem, load->size);
	close_fd(fd);
	close_fd(root);
}

static const struct way rewind_way = {
	.name = "vmo",
	.begin = rewind_begin,
	.run = rewind_run,
	.finish = rewind_finish,
	.end = rewind_end,
};

/* ---- a private mapping that is dropped ------------------------------------ */

static void private_begin(const struct load *load)
{
	root = memfd_new(load->size);
	fill(load);
	mem = map_private(root, load->size);
	touch_read(mem, &(struct load){ .stride = 1, .count = load->size / PAGE });
}

static void dontneed_run(const struct load *load)
{
	touch_write(mem, load, 'x');
	if (madvise(mem, load->size, MADV_DONTNEED))
		die("madvise");
}

static void private_end(const struct load *load)
{
	unmap(mem, load->size);
	close_fd(root);
}

static const struct way dontneed_way = {
	.name = "dontneed",
	.begin = private_begin,
	.run = dontneed_run,
	.finish = rewind_finish,
	.end = private_end,
};

/* ---- a process for each cycle ---------------------------------------------- */

static void fork_begin(const struct load *load)
{
	mem = map_anon(load->size);
	touch_all(mem, load->size, 'b');
}

static void fork_run(const struct load *load)
{
	int status, pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		touch_write(mem, load, 'x');
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
}

static void fork_end(const struct load *load)
{
	unmap(mem, load->size);
}

static const struct way fork_way = {
	.name = "fork",
	.begin = fork_begin,
	.run = fork_run,
	.finish = rewind_finish,
	.end = fork_end,
};

void bench_rewind(void)
{
	static const struct way *const peers[] = { &dontneed_way, &fork_way, NULL };
	static const struct way *const none[] = { &dontneed_way, NULL };
	static const struct {
		const char *name;
		struct load load;
	} variants[] = {
		{ "64M-dirty-1", { 64 * MIB, 0, 1, 1, 0 } },
		{ "64M-dirty-64", { 64 * MIB, 0, 1, 64, 0 } },
		{ "64M-dirty-64-sparse", { 64 * MIB, 0, 256, 64, 0 } },
		{ "64M-dirty-1024", { 64 * MIB, 0, 1, 1024, 0 } },
	};
	const struct load later = { 64 * MIB, 0, 256, 64, 10000 };
	size_t i;

	for (i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		compare("rewind", variants[i].name, &variants[i].load, 1, &rewind_way, peers);
	compare("rewind", "64M-dirty-64-sparse-cycle-10000", &later, 1, &rewind_way, none);
}
