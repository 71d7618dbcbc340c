// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshot: making one, and closing it. Per call.
 *
 * Against the number of generations before it, the size of the object, and the
 * pages written since the one before. The peers are a full copy of a memfd
 * (its data only, by SEEK_DATA and sendfile) and fork() of a process that has
 * as much anonymous memory; "fork-slope" is what that adds to the fork of a
 * process with one page.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static int *chain;
static int fd, older, made;
static char *mem;
static char value;
static struct sleeper sleeper;

/* Objects of up to 64 MiB are full, larger ones have 64 pages. */
static struct load resident(const struct load *load)
{
	size_t pages = load->size / PAGE;
	struct load all = { .size = load->size, .stride = 1, .count = pages };

	if (load->size > 64 * MIB) {
		all.stride = pages / 64;
		all.count = 64;
	}
	return all;
}

/* Work that a close puts off, as our last iput, counts too. */
static void close_counted(int victim)
{
	close_fd(victim);
	sched_yield();
}

/* ---- ours -------------------------------------------------------------- */

static void populate(int file, const struct load *load)
{
	struct load all = resident(load);

	mem = map_shared(file, load->size);
	touch_write(mem, &all, 'a');
	value = 'a';
}

/* Each generation is a snapshot of the one before, and differs in a page. */
static void chain_begin(const struct load *load)
{
	size_t pages = load->size / PAGE;
	unsigned int i;

	chain = calloc(load->depth + 1, sizeof(*chain));
	if (!chain)
		die("the chain");
	chain[0] = vmo_new(load->size);
	populate(chain[0], load);
	unmap(mem, load->size);
	for (i = 1; i <= load->depth; i++) {
		chain[i] = vmo_snapshot(chain[i - 1], load->size);
		if (pwrite(chain[i], "a", 1, i % pages * PAGE) != 1)
			die("pwrite");
	}
	fd = chain[load->depth];
}

static void chain_end(const struct load *load)
{
	unsigned int i;

	for (i = 0; i <= load->depth; i++)
		close_fd(chain[i]);
	free(chain);
}

static void create_run(const struct load *load)
{
	made = vmo_snapshot(fd, load->size);
}

static void create_finish(const struct load *load)
{
	struct load all = resident(load);

	expect(file_holds(made, &all, 'a'));
	close_fd(made);
}

static void close_setup(const struct load *load)
{
	create_run(load);
}

static void close_run(const struct load *load)
{
	(void)load;
	close_counted(made);
}

static const struct way create_way = {
	.name = "vmo",
	.begin = chain_begin,
	.run = create_run,
	.finish = create_finish,
	.end = chain_end,
};

static const struct way close_way = {
	.name = "vmo",
	.begin = chain_begin,
	.setup = close_setup,
	.run = close_run,
	.end = chain_end,
};

/*
 * Of an object that stays mapped, with load->count pages written through the
 * mapping between one snapshot and the next; closed is the older of the two.
 */
static void live_begin(const struct load *load)
{
	fd = vmo_new(load->size);
	populate(fd, load);
	older = vmo_snapshot(fd, load->size);
}

static void live_setup(const struct load *load)
{
	value ^= 1;
	touch_write(mem, load, value);
}

static void live_finish(const struct load *load)
{
	expect(file_holds(made, load, value));
	expect(file_holds(older, load, value ^ 1));
	close_fd(older);
	older = made;
}

static void live_close_setup(const struct load *load)
{
	live_setup(load);
	made = vmo_snapshot(fd, load->size);
}

static void live_close_run(const struct load *load)
{
	(void)load;
	close_counted(older);
}

static void live_close_finish(const struct load *load)
{
	expect(file_holds(made, load, value));
	older = made;
}

static void live_end(const struct load *load)
{
	unmap(mem, load->size);
	close_fd(older);
	close_fd(fd);
}

static const struct way live_create_way = {
	.name = "vmo",
	.begin = live_begin,
	.setup = live_setup,
	.run = create_run,
	.finish = live_finish,
	.end = live_end,
};

static const struct way live_close_way = {
	.name = "vmo",
	.begin = live_begin,
	.setup = live_close_setup,
	.run = live_close_run,
	.finish = live_close_finish,
	.end = live_end,
};

/* ---- a copy ------------------------------------------------------------ */

static void copy_begin(const struct load *load)
{
	fd = memfd_new(load->size);
	populate(fd, load);
	unmap(mem, load->size);
}

static void copy_extent(int to, off_t from, off_t end)
{
	ssize_t done;

	if (lseek(to, from, SEEK_SET) != from)
		die("lseek");
	while (from < end) {
		done = sendfile(to, fd, &from, end - from);
		if (done <= 0)
			die("sendfile");
	}
}

static void copy_run(const struct load *load)
{
	off_t from = 0, end;

	made = memfd_new(load->size);
	while ((from = lseek(fd, from, SEEK_DATA)) >= 0) {
		end = lseek(fd, from, SEEK_HOLE);
		copy_extent(made, from, end);
		from = end;
	}
}

static void copy_end(const struct load *load)
{
	(void)load;
	close_fd(fd);
}

static const struct way copy_way = {
	.name = "memfd-copy",
	.begin = copy_begin,
	.run = copy_run,
	.finish = create_finish,
	.end = copy_end,
};

static const struct way copy_close_way = {
	.name = "memfd-copy",
	.begin = copy_begin,
	.setup = copy_run,
	.run = close_run,
	.end = copy_end,
};

/* ---- fork -------------------------------------------------------------- */

static void fork_begin(const struct load *load)
{
	struct load all = resident(load);

	mem = map_anon(load->size);
	touch_write(mem, &all, 'a');
	value = 'a';
}

static void fork_setup(const struct load *load)
{
	live_setup(load);
	sleeper_open(&sleeper);
}

static void fork_run(const struct load *load)
{
	sleeper_fork(&sleeper, mem, load, value);
}

static void fork_finish(const struct load *load)
{
	touch_write(mem, load, value ^ 1);
	sleeper_release(&sleeper);
}

static void fork_close_setup(const struct load *load)
{
	fork_setup(load);
	fork_run(load);
}

static void fork_close_run(const struct load *load)
{
	(void)load;
	sleeper_release(&sleeper);
}

static void fork_end(const struct load *load)
{
	unmap(mem, load->size);
}

static const struct way fork_way = {
	.name = "fork",
	.begin = fork_begin,
	.setup = fork_setup,
	.run = fork_run,
	.finish = fork_finish,
	.end = fork_end,
};

static const struct way fork_close_way = {
	.name = "fork",
	.begin = fork_begin,
	.setup = fork_close_setup,
	.run = fork_close_run,
	.end = fork_end,
};

/* Generations of processes, each with the memory of the one before. */
static void fork_generation(const struct load *load, unsigned int left, uint64_t *count)
{
	const struct load one = { .first = left % (load->size / PAGE), .stride = 1, .count = 1 };
	struct way way = fork_way;
	int pid, status;

	touch_write(mem, &one, 'a');
	if (!left) {
		way.begin = NULL;
		way.end = NULL;
		*count = count_way(&way, load);
		return;
	}
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		fork_generation(load, left - 1, count);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	expect(!status);
}

static uint64_t count_fork_at_depth(const struct load *load)
{
	uint64_t *count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			       0);
	uint64_t result;

	if (count == MAP_FAILED)
		die("mmap");
	fork_begin(load);
	fork_generation(load, load->depth, count);
	fork_end(load);
	result = *count;
	unmap((char *)count, PAGE);
	return result;
}

/* ---- the rows ---------------------------------------------------------- */

static void by_depth(void)
{
	static const unsigned int depths[] = { 1, 10, 100, 1000 };
	static const struct way *const close_peers[] = { &copy_close_way, NULL };
	struct load load = { .size = MIB };
	double ours;
	size_t i;

	for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		char variant[32];

		snprintf(variant, sizeof(variant), "depth-%u", depths[i]);
		load.depth = depths[i];
		ours = count_way(&create_way, &load);
		row("snapshot", variant, copy_way.name, ours, count_way(&copy_way, &load));
		row("snapshot", variant, fork_way.name, ours, count_fork_at_depth(&load));
		compare("snapshot-close", variant, &load, 1, &close_way, close_peers);
	}
}

static void by_size(void)
{
	static const struct {
		const char *variant;
		size_t size;
	} sizes[] = {
		{ "size-1M", MIB },
		{ "size-64M", 64 * MIB },
		{ "size-1T-sparse", MIB * MIB },
	};
	static const struct way *const close_peers[] = { &copy_close_way, &fork_close_way, NULL };
	static const struct load none = { .size = PAGE };
	double ours, fork_cost, fork_floor = count_way(&fork_way, &none);
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct load load = { .size = sizes[i].size };
		const char *variant = sizes[i].variant;

		ours = count_way(&create_way, &load);
		fork_cost = count_way(&fork_way, &load);
		row("snapshot", variant, copy_way.name, ours, count_way(&copy_way, &load));
		row("snapshot", variant, fork_way.name, ours, fork_cost);
		row("snapshot", variant, "fork-slope", ours, fork_cost - fork_floor);
		compare("snapshot-close", variant, &load, 1, &close_way, close_peers);
	}
}

static void by_dirty(void)
{
	static const struct {
		const char *variant;
		size_t count, stride;
	} loads[] = {
		{ "dirty-0", 0, 1 },
		{ "dirty-1", 1, 1 },
		{ "dirty-64", 64, 1 },
		{ "dirty-64-sparse", 64, 64 },
		{ "dirty-512", 512, 1 },
	};
	static const struct way *const peers[] = { &copy_way, &fork_way, NULL };
	static const struct way *const close_peers[] = { &copy_close_way, &fork_close_way, NULL };
	size_t i;

	for (i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		struct load load = {
			.size = 16 * MIB,
			.stride = loads[i].stride,
			.count = loads[i].count,
		};

		compare("snapshot", loads[i].variant, &load, 1, &live_create_way, peers);
		compare("snapshot-close", loads[i].variant, &load, 1, &live_close_way,
			close_peers);
	}
}

void bench_snapshot(void)
{
	by_depth();
	by_size();
	by_dirty();
}
