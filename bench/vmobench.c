// SPDX-License-Identifier: GPL-2.0
/*
 * vmobench [--cgroup] [GROUP...]: prints a table of tab-separated lines,
 *
 *	case  variant  vmo  peer  peer-name  ratio
 *
 * in which the third and the fourth are guest instructions per page or call,
 * and the last is ours divided by the peer's: below 1 we win. Nothing is
 * printed before all is measured, since a serial console interrupts. With
 * --cgroup all of it runs in a memory cgroup with a limit (which it stays far
 * away from), so that each page is charged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define REPETITIONS	8

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "commit", bench_commit },
	{ "first-write", bench_first_write },
	{ "cow", bench_cow },
	{ "snapshot", bench_snapshot },
	{ "lookup", bench_lookup },
	{ "rewind", bench_rewind },
	{ "harvest", bench_harvest },
};

#define NR_GROUPS	(sizeof(groups) / sizeof(groups[0]))

void die(const char *format, ...)
{
	int err = errno;
	va_list args;

	va_start(args, format);
	fputs("vmobench: ", stderr);
	vfprintf(stderr, format, args);
	fprintf(stderr, " (%s)\n", strerror(err));
	va_end(args);
	exit(1);
}

static inline uint64_t counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void call(void (*step)(const struct load *load), const struct load *load)
{
	if (step)
		step(load);
}

uint64_t count_way(const struct way *way, const struct load *load)
{
	uint64_t start, count, best = UINT64_MAX;
	int i;

	call(way->begin, load);
	for (i = 0; i < REPETITIONS; i++) {
		call(way->setup, load);
		settle();
		start = counter();
		way->run(load);
		count = counter() - start;
		if (count < best)
			best = count;
		call(way->finish, load);
	}
	call(way->end, load);
	settle();
	return best;
}

void row(const char *group, const char *variant, const char *peer, double ours, double theirs)
{
	printf("%s\t%s\t%.0f\t%.0f\t%s\t%.3g\n", group, variant, ours, theirs, peer,
	       ours / theirs);
}

void compare(const char *group, const char *variant, const struct load *load, double units,
	     const struct way *ours, const struct way *const *peers)
{
	double count = count_way(ours, load) / units;

	for (; *peers; peers++)
		row(group, variant, (*peers)->name, count, count_way(*peers, load) / units);
}

static void run_group(const char *name)
{
	size_t i;

	for (i = 0; i < NR_GROUPS; i++) {
		if (!name || !strcmp(name, groups[i].name))
			groups[i].run();
		if (name && !strcmp(name, groups[i].name))
			return;
	}
	if (!name)
		return;
	errno = EINVAL;
	die("no group %s", name);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("%s", path);
	close_fd(fd);
}

static void enter_cgroup(void)
{
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir("/sys/fs/cgroup/vmobench", 0755) && errno != EEXIST)
		die("mkdir");
	write_file("/sys/fs/cgroup/vmobench/memory.max", "1500M");
	write_file("/sys/fs/cgroup/vmobench/cgroup.procs", "0");
}

int main(int argc, char **argv)
{
	static char buffer[64 * 1024];
	int i = 1;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	puts("case\tvariant\tvmo\tpeer\tpeer-name\tratio");
	if (i < argc && !strcmp(argv[i], "--cgroup")) {
		enter_cgroup();
		i++;
	}
	if (i == argc)
		run_group(NULL);
	for (; i < argc; i++)
		run_group(argv[i]);
	return fflush(stdout) ? 1 : 0;
}
