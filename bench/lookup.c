// SPDX-License-Identifier: GPL-2.0
/*
 * Look-up: reading a page that the oldest of many generations wrote. Per page.
 *
 * Every 64th page exists, so that a fault finds no neighbours to map; the dense
 * rows are of a full object, where ours and the peer map what is around.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

static int *chain;
static int fd;
static char *mem;

static void write_pages(int file, const struct load *load)
{
	mem = map_shared(file, load->size);
	touch_write(mem, load, 'a');
	unmap(mem, load->size);
}

/* Each generation wrote a page of its own, where the load does not read. */
static void ours_begin(const struct load *load)
{
	unsigned int i;

	chain = calloc(load->depth + 1, sizeof(*chain));
	if (!chain)
		die("the chain");
	chain[0] = vmo_new(load->size);
	write_pages(chain[0], load);
	for (i = 1; i <= load->depth; i++) {
		chain[i] = vmo_snapshot(chain[i - 1], load->size);
		if (pwrite(chain[i], "b", 1, load->size - PAGE) != 1)
			die("pwrite");
	}
	fd = chain[load->depth];
}

static void ours_end(const struct load *load)
{
	unsigned int i;

	for (i = 0; i <= load->depth; i++)
		close_fd(chain[i]);
	free(chain);
}

static void peer_begin(const struct load *load)
{
	fd = memfd_new(load->size);
	write_pages(fd, load);
}

static void peer_end(const struct load *load)
{
	(void)load;
	close_fd(fd);
}

static void read_run(const struct load *load)
{
	static char page[PAGE];
	size_t i;

	for (i = 0; i < load->count; i++) {
		off_t at = (load->first + i * load->stride) * PAGE;

		if (pread(fd, page, PAGE, at) != PAGE || page[0] != 'a')
			die("pread");
	}
}

static void fault_setup(const struct load *load)
{
	mem = map_shared(fd, load->size);
}

static void fault_run(const struct load *load)
{
	touch_read(mem, load);
}

static void fault_finish(const struct load *load)
{
	expect(holds(mem, load, 'a'));
	unmap(mem, load->size);
}

static const struct way ours_read = {
	.name = "vmo",
	.begin = ours_begin,
	.run = read_run,
	.end = ours_end,
};

static const struct way peer_read = {
	.name = "memfd-pread",
	.begin = peer_begin,
	.run = read_run,
	.end = peer_end,
};

static const struct way ours_fault = {
	.name = "vmo",
	.begin = ours_begin,
	.setup = fault_setup,
	.run = fault_run,
	.finish = fault_finish,
	.end = ours_end,
};

static const struct way peer_fault = {
	.name = "memfd-shared",
	.begin = peer_begin,
	.setup = fault_setup,
	.run = fault_run,
	.finish = fault_finish,
	.end = peer_end,
};

void bench_lookup(void)
{
	static const struct way *const read_peers[] = { &peer_read, NULL };
	static const struct way *const fault_peers[] = { &peer_fault, NULL };
	static const unsigned int depths[] = { 1, 10, 100, 1000, 10000 };
	struct load load = { .size = 16 * MIB, .stride = 64, .count = 64 };
	static const struct load dense = {
		.size = 2 * MIB,
		.stride = 1,
		.count = 511,
		.depth = 1,
	};
	size_t i;

	for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		char variant[32];

		load.depth = depths[i];
		snprintf(variant, sizeof(variant), "pread-depth-%u", depths[i]);
		compare("lookup", variant, &load, load.count, &ours_read, read_peers);
		snprintf(variant, sizeof(variant), "fault-depth-%u", depths[i]);
		compare("lookup", variant, &load, load.count, &ours_fault, fault_peers);
	}
	compare("lookup", "pread-dense", &dense, dense.count, &ours_read, read_peers);
	compare("lookup", "fault-dense", &dense, dense.count, &ours_fault, fault_peers);
}
