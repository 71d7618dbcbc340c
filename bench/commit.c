// SPDX-License-Identifier: GPL-2.0
/* Commit: memory for a whole object in one call. Per page. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "bench.h"

static int fd;

static void ours_setup(const struct load *load)
{
	fd = vmo_new(load->size);
}

static void ours_run(const struct load *load)
{
	vmo_commit(fd, load->size);
}

static void peer_setup(const struct load *load)
{
	fd = memfd_new(load->size);
}

static void peer_run(const struct load *load)
{
	if (fallocate(fd, 0, 0, load->size))
		die("fallocate");
}

static void finish(const struct load *load)
{
	expect(file_holds(fd, load, 0));
	close_fd(fd);
}

static const struct way ours = {
	.name = "vmo",
	.setup = ours_setup,
	.run = ours_run,
	.finish = finish,
};

static const struct way peer = {
	.name = "memfd-fallocate",
	.setup = peer_setup,
	.run = peer_run,
	.finish = finish,
};

static const struct way huge = {
	.name = "memfd-fallocate-huge",
	.begin = shmem_huge,
	.setup = peer_setup,
	.run = peer_run,
	.finish = finish,
	.end = shmem_small,
};

void bench_commit(void)
{
	static const struct way *const peers[] = { &peer, &huge, NULL };
	static const struct load two = { .size = 2 * MIB, .stride = 1, .count = 512 };
	static const struct load sixteen = { .size = 16 * MIB, .stride = 1, .count = 4096 };

	compare("commit", "2M", &two, 512, &ours, peers);
	compare("commit", "16M", &sixteen, 4096, &ours, peers);
}
