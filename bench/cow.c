// SPDX-License-Identifier: GPL-2.0
/*
 * Copy on write: the first write to a page after a snapshot. Per page written.
 *
 * The parent's pages are all resident, and mapped writable, before the snapshot
 * is taken; the child is mapped, but nothing of it was touched. "read-first":
 * the pages are read before they are written, and that is not counted. "alone":
 * the snapshot is closed before the write, so that nothing has to be copied.
 *
 * A peer's private mapping of a memfd is in the child's place: it cannot be in
 * the parent's, as nobody takes a snapshot of it. After fork() it is always
 * the parent that writes, and its pages are mapped all the time.
 */
#include "bench.h"

static char *mem, *child_mem;
static int fd, child;
static struct sleeper sleeper;

static void begin(const struct load *load)
{
	fd = vmo_new(load->size);
	mem = map_shared(fd, load->size);
	touch_all(mem, load->size, 'a');
}

static void end(const struct load *load)
{
	unmap(mem, load->size);
	close_fd(fd);
}

/* The last repetition left what it wrote; the snapshot shall hold one value. */
static void parent_setup(const struct load *load)
{
	touch_write(mem, load, 'a');
	child = vmo_snapshot(fd, load->size);
}

static void parent_run(const struct load *load)
{
	touch_write(mem, load, 'b');
}

static void parent_finish(const struct load *load)
{
	expect(holds(mem, load, 'b'));
	expect(file_holds(child, load, 'a'));
	close_fd(child);
}

static void alone_setup(const struct load *load)
{
	touch_write(mem, load, 'a');
	close_fd(vmo_snapshot(fd, load->size));
}

static void alone_finish(const struct load *load)
{
	expect(holds(mem, load, 'b'));
	expect(file_holds(fd, load, 'b'));
}

/* Into the page tables read-only, by a read before the write. */
static void read_setup(const struct load *load)
{
	parent_setup(load);
	touch_read(mem, load);
}

static void alone_read_setup(const struct load *load)
{
	alone_setup(load);
	touch_read(mem, load);
}

static void child_setup(const struct load *load)
{
	child = vmo_snapshot(fd, load->size);
	child_mem = map_shared(child, load->size);
}

static void child_run(const struct load *load)
{
	touch_write(child_mem, load, 'b');
}

static void child_finish(const struct load *load)
{
	expect(holds(child_mem, load, 'b'));
	expect(file_holds(child, load, 'b'));
	expect(holds(mem, load, 'a'));
	unmap(child_mem, load->size);
	close_fd(child);
}

static void private_begin(const struct load *load)
{
	fd = memfd_new(load->size);
	mem = map_shared(fd, load->size);
	touch_all(mem, load->size, 'a');
}

static void private_setup(const struct load *load)
{
	child_mem = map_private(fd, load->size);
}

static void private_read_setup(const struct load *load)
{
	private_setup(load);
	touch_read(child_mem, load);
}

static void private_finish(const struct load *load)
{
	expect(holds(child_mem, load, 'b'));
	expect(holds(mem, load, 'a'));
	unmap(child_mem, load->size);
}

static void fork_begin(const struct load *load)
{
	mem = map_anon(load->size);
	touch_all(mem, load->size, 'a');
}

static void fork_setup(const struct load *load)
{
	touch_write(mem, load, 'a');
	sleeper_open(&sleeper);
	sleeper_fork(&sleeper, mem, load, 'a');
}

static void fork_finish(const struct load *load)
{
	expect(holds(mem, load, 'b'));
	sleeper_release(&sleeper);
}

static void fork_alone_setup(const struct load *load)
{
	fork_setup(load);
	sleeper_release(&sleeper);
}

static void fork_alone_finish(const struct load *load)
{
	expect(holds(mem, load, 'b'));
}

static void fork_end(const struct load *load)
{
	unmap(mem, load->size);
}

static const struct way parent = {
	.name = "vmo",
	.begin = begin,
	.setup = parent_setup,
	.run = parent_run,
	.finish = parent_finish,
	.end = end,
};

static const struct way parent_alone = {
	.name = "vmo",
	.begin = begin,
	.setup = alone_setup,
	.run = parent_run,
	.finish = alone_finish,
	.end = end,
};

static const struct way parent_read = {
	.name = "vmo",
	.begin = begin,
	.setup = read_setup,
	.run = parent_run,
	.finish = parent_finish,
	.end = end,
};

static const struct way parent_alone_read = {
	.name = "vmo",
	.begin = begin,
	.setup = alone_read_setup,
	.run = parent_run,
	.finish = alone_finish,
	.end = end,
};

static const struct way snapshot = {
	.name = "vmo",
	.begin = begin,
	.setup = child_setup,
	.run = child_run,
	.finish = child_finish,
	.end = end,
};

static const struct way private_memfd = {
	.name = "memfd-private",
	.begin = private_begin,
	.setup = private_setup,
	.run = child_run,
	.finish = private_finish,
	.end = end,
};

static const struct way private_read = {
	.name = "memfd-private",
	.begin = private_begin,
	.setup = private_read_setup,
	.run = child_run,
	.finish = private_finish,
	.end = end,
};

static const struct way after_fork = {
	.name = "after-fork",
	.begin = fork_begin,
	.setup = fork_setup,
	.run = parent_run,
	.finish = fork_finish,
	.end = fork_end,
};

static const struct way after_fork_alone = {
	.name = "after-fork",
	.begin = fork_begin,
	.setup = fork_alone_setup,
	.run = parent_run,
	.finish = fork_alone_finish,
	.end = fork_end,
};

void bench_cow(void)
{
	static const struct way *const peers[] = { &private_memfd, &after_fork, NULL };
	static const struct way *const read_peers[] = { &private_read, &after_fork, NULL };
	static const struct way *const alone_peers[] = { &after_fork_alone, NULL };
	static const struct load dense = { .size = 2 * MIB, .stride = 1, .count = 512 };
	static const struct load sparse = { .size = 64 * MIB, .stride = 64, .count = 256 };
	static const struct load lone = { .size = 64 * MIB, .stride = 1, .count = 1 };

	compare("cow", "parent-dense", &dense, 512, &parent, peers);
	compare("cow", "parent-sparse", &sparse, 256, &parent, peers);
	compare("cow", "parent-lone", &lone, 1, &parent, peers);
	compare("cow", "child-dense", &dense, 512, &snapshot, peers);
	compare("cow", "child-sparse", &sparse, 256, &snapshot, peers);
	compare("cow", "parent-dense-read-first", &dense, 512, &parent_read, read_peers);
	compare("cow", "alone-dense", &dense, 512, &parent_alone, alone_peers);
	compare("cow", "alone-dense-read-first", &dense, 512, &parent_alone_read, alone_peers);
}
