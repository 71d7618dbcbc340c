/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vmobench: what our calls cost beside what Linux has, in guest instructions.
 *
 * Each file of cases measures *ways* to do the same work: ours and its peers.
 * The counter is the TSC of a guest under `-icount shift=0`, where one
 * instruction is one tick (scripts/vm --count). Elsewhere the numbers are time
 * and mean little.
 */
#ifndef VMOBENCH_H
#define VMOBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vmo_stats;

#define PAGE	4096UL
#define MIB	(1UL << 20)

/**
 * struct load - the work that all ways of a row have to do
 * @size: bytes of the object
 * @first: the first page touched
 * @stride: pages from one touched page to the next
 * @count: pages touched
 * @depth: generations before the one that is measured
 */
struct load {
	size_t size;
	size_t first;
	size_t stride;
	size_t count;
	unsigned int depth;
};

/**
 * struct way - one way to do the work
 * @name: what the table calls it
 * @begin: before all repetitions
 * @setup: before each repetition
 * @run: what is counted
 * @finish: after each repetition; checks what @run did
 * @end: after all repetitions
 *
 * All but @run may be NULL. None may fail: they call die().
 */
struct way {
	const char *name;
	void (*begin)(const struct load *load);
	void (*setup)(const struct load *load);
	void (*run)(const struct load *load);
	void (*finish)(const struct load *load);
	void (*end)(const struct load *load);
};

/* The fewest instructions that one of the repetitions of @way took. */
uint64_t count_way(const struct way *way, const struct load *load);

/* Prints one line of the table. */
void row(const char *group, const char *variant, const char *peer, double ours, double theirs);

/*
 * Counts @ours and each of @peers (ends with NULL), and prints a row for each
 * pair, divided by @units.
 */
void compare(const char *group, const char *variant, const struct load *load, double units,
	     const struct way *ours, const struct way *const *peers);

/* Prints a message with errno, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
/* The content was wrong. */
#define expect(cond)	((cond) ? (void)0 : die("%s:%d: not so: %s", __FILE__, __LINE__, #cond))

/* ---- objects and memory (memory.c) ------------------------------------- */

int vmo_new(size_t size);
int vmo_snapshot(int fd, size_t size);
void vmo_commit(int fd, size_t size);
void vmo_stats(struct vmo_stats *stats);
int memfd_new(size_t size);
char *map_shared(int fd, size_t size);
char *map_private(int fd, size_t size);
char *map_anon(size_t size);
void unmap(char *mem, size_t size);
void close_fd(int fd);

/* Writes @value to the pages of @load, or to all pages of @size bytes. */
void touch_write(char *mem, const struct load *load, char value);
void touch_all(char *mem, size_t size, char value);
/* Reads the pages of @load. */
void touch_read(const char *mem, const struct load *load);

/* Do the pages of @load begin with @value? Through a mapping, or by pread(). */
bool holds(const char *mem, const struct load *load, char value);
bool file_holds(int fd, const struct load *load, char value);

/* Let memfds have huge pages, or not; for the whole machine. Steps of a way. */
void shmem_huge(const struct load *load);
void shmem_small(const struct load *load);

/**
 * struct sleeper - a child that sleeps until it is released
 * @pipe: what it reads from, and what keeps it from going on
 * @pid: the child
 */
struct sleeper {
	int pipe[2];
	int pid;
};

void sleeper_open(struct sleeper *sleeper);
/* The fork alone. When released, it checks that it has @value in its pages. */
void sleeper_fork(struct sleeper *sleeper, const char *mem, const struct load *load, char value);
void sleeper_release(struct sleeper *sleeper);

/* Lets work that was put off until nothing runs be done; never counted. */
void settle(void);

/* ---- the cases --------------------------------------------------------- */

void bench_commit(void);
void bench_first_write(void);
void bench_cow(void);
void bench_snapshot(void);
void bench_lookup(void);
void bench_rewind(void);
void bench_harvest(void);

#endif
