// SPDX-License-Identifier: GPL-2.0
/*
 * Harvest: which pages of a mapped object were written. Per cycle of load->count stores
 * and one look at the whole object, as ranges. The peer is what Debian 6.1 has: the
 * soft-dirty bits of /proc/self/pagemap, cleared by /proc/self/clear_refs, which is for
 * the whole process.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/vmo.h>

#include "bench.h"

#define SOFT_DIRTY	(1ULL << 55)

static int fd, harvester, pagemap, clear_refs;
static char *mem;
static size_t found;

static void found_all(const struct load *load)
{
	expect(found == load->count);
}

/* ---- ours -------------------------------------------------------------- */

static void harvest(const struct load *load)
{
	static struct vmo_range ranges[4096];
	struct vmo_harvest harvest = {
		.length = load->size, .ranges = (uintptr_t)ranges, .count = 4096,
	};
	uint32_t i;

	if (ioctl(harvester, VMO_HARVEST, &harvest))
		die("harvest");
	found = 0;
	for (i = 0; i < harvest.count; i++)
		found += ranges[i].length / PAGE;
}

static void harvest_begin(const struct load *load)
{
	struct vmo_harvester new = { 0 };

	fd = vmo_new(load->size);
	mem = map_shared(fd, load->size);
	touch_all(mem, load->size, 'b');
	if (ioctl(fd, VMO_HARVESTER, &new))
		die("a harvester");
	harvester = new.fd;
	harvest(load);
}

static void harvest_run(const struct load *load)
{
	touch_write(mem, load, 'x');
	harvest(load);
}

static void harvest_end(const struct load *load)
{
	close_fd(harvester);
	unmap(mem, load->size);
	close_fd(fd);
}

static const struct way harvest_way = {
	.name = "vmo",
	.begin = harvest_begin,
	.run = harvest_run,
	.finish = found_all,
	.end = harvest_end,
};

/* ---- soft-dirty bits ----------------------------------------------------- */

static void soft_clear(void)
{
	if (pwrite(clear_refs, "4", 1, 0) != 1)
		die("clear_refs");
}

static void soft_begin(const struct load *load)
{
	fd = memfd_new(load->size);
	mem = map_shared(fd, load->size);
	touch_all(mem, load->size, 'b');
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	if (pagemap < 0 || clear_refs < 0)
		die("/proc/self");
	soft_clear();
}

static void soft_run(const struct load *load)
{
	static uint64_t entries[64 * MIB / PAGE];
	size_t pages = load->size / PAGE, i;

	touch_write(mem, load, 'x');
	if (pread(pagemap, entries, pages * 8, (uintptr_t)mem / PAGE * 8) != (ssize_t)pages * 8)
		die("pagemap");
	found = 0;
	for (i = 0; i < pages; i++)
		found += !!(entries[i] & SOFT_DIRTY);
	soft_clear();
}

static void soft_end(const struct load *load)
{
	close_fd(pagemap);
	close_fd(clear_refs);
	unmap(mem, load->size);
	close_fd(fd);
}

static const struct way soft_way = {
	.name = "soft-dirty",
	.begin = soft_begin,
	.run = soft_run,
	.finish = found_all,
	.end = soft_end,
};

void bench_harvest(void)
{
	static const struct way *const peers[] = { &soft_way, NULL };
	static const struct {
		const char *name;
		struct load load;
	} variants[] = {
		{ "64M-dirty-1", { 64 * MIB, 0, 1, 1, 0 } },
		{ "64M-dirty-64", { 64 * MIB, 0, 1, 64, 0 } },
		{ "64M-dirty-64-sparse", { 64 * MIB, 0, 256, 64, 0 } },
		{ "64M-dirty-1024", { 64 * MIB, 0, 1, 1024, 0 } },
	};
	size_t i;

	for (i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		compare("harvest", variants[i].name, &variants[i].load, 1, &harvest_way, peers);
}
