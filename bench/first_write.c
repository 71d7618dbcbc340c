// SPDX-License-Identifier: GPL-2.0
/*
 * First write: through a shared mapping, to pages that are not there yet, or
 * that are there but not mapped. Per page written.
 */
#define _GNU_SOURCE
#include <fcntl.h>

#include "bench.h"

static char *mem;
static int fd;

static void ours_setup(const struct load *load)
{
	fd = vmo_new(load->size);
	mem = map_shared(fd, load->size);
}

static void ours_setup_resident(const struct load *load)
{
	ours_setup(load);
	vmo_commit(fd, load->size);
}

static void peer_setup(const struct load *load)
{
	fd = memfd_new(load->size);
	mem = map_shared(fd, load->size);
}

static void peer_setup_resident(const struct load *load)
{
	peer_setup(load);
	if (fallocate(fd, 0, 0, load->size))
		die("fallocate");
}

static void run(const struct load *load)
{
	touch_write(mem, load, 'a');
}

static void finish(const struct load *load)
{
	expect(file_holds(fd, load, 'a'));
	unmap(mem, load->size);
	close_fd(fd);
}

static void anon_setup(const struct load *load)
{
	mem = map_anon(load->size);
}

static void anon_finish(const struct load *load)
{
	expect(holds(mem, load, 'a'));
	unmap(mem, load->size);
}

static const struct way ours = {
	.name = "vmo",
	.setup = ours_setup,
	.run = run,
	.finish = finish,
};

static const struct way ours_resident = {
	.name = "vmo",
	.setup = ours_setup_resident,
	.run = run,
	.finish = finish,
};

static const struct way peer = {
	.name = "memfd-shared",
	.setup = peer_setup,
	.run = run,
	.finish = finish,
};

static const struct way peer_resident = {
	.name = "memfd-shared",
	.setup = peer_setup_resident,
	.run = run,
	.finish = finish,
};

static const struct way anon = {
	.name = "anonymous",
	.setup = anon_setup,
	.run = run,
	.finish = anon_finish,
};

static const struct way huge = {
	.name = "memfd-shared-huge",
	.begin = shmem_huge,
	.setup = peer_setup,
	.run = run,
	.finish = finish,
	.end = shmem_small,
};

void bench_first_write(void)
{
	static const struct way *const dense_peers[] = { &peer, &anon, &huge, NULL };
	static const struct way *const sparse_peers[] = { &peer, &anon, NULL };
	static const struct way *const resident_peers[] = { &peer_resident, NULL };
	static const struct load dense = { .size = 2 * MIB, .stride = 1, .count = 512 };
	static const struct load sparse = { .size = 64 * MIB, .stride = 64, .count = 256 };

	compare("first-write", "dense", &dense, 512, &ours, dense_peers);
	compare("first-write", "sparse", &sparse, 256, &ours, sparse_peers);
	compare("first-write", "dense-committed", &dense, 512, &ours_resident, resident_peers);
}
