/* SPDX-License-Identifier: GPL-2.0 */
/* Lets the nth allocation, or copy from or to the user, of a task fail: by fail-nth. */
#ifndef FAILNTH_UTIL_H
#define FAILNTH_UTIL_H

#include "vmo_test_util.h"

#define DEBUGFS	"/sys/kernel/debug/"
#define WIDTH	16

/* All of an allocation that may wait counts, and nothing is told to the log. */
static const struct {
	const char *path;
	const char *value;
} knobs[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_usercopy/verbose", "0" },
};

static inline bool get_line(const char *path, char *line)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, line, WIDTH - 1);

	close(fd);
	line[got > 0 ? got : 0] = 0;
	return got > 0;
}

#define FAIL_NTH	"/proc/thread-self/fail-nth"

/* Of the task that asks first: not to be asked before the test has its process. */
static inline int fail_nth_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	return fd;
}

static inline bool fail_nth(int nth)
{
	char text[WIDTH];
	int length = snprintf(text, sizeof(text), "%d", nth);

	return pwrite(fail_nth_fd(), text, length, 0) == length;
}

/*
 * Whether it came to that; from then on nothing fails. The copies that this takes count
 * as well: if one of them fails, it was not before.
 */
static inline bool fail_nth_was(void)
{
	char text[WIDTH] = "";
	bool was = pread(fail_nth_fd(), text, WIDTH - 1, 0) > 0 && !atoi(text);

	while (!fail_nth(0))
		;
	return was;
}

/* Whether this kernel can; asks nothing that belongs to a task. */
static inline bool fail_nth_able(void)
{
	return !access(FAIL_NTH, F_OK) && !access(knobs[0].path, F_OK);
}

#define KNOBS	(sizeof(knobs) / sizeof(knobs[0]))

struct fail_nth_knobs {
	char saved[KNOBS][WIDTH];	/* empty: not touched */
};

static inline bool fail_nth_begin(struct fail_nth_knobs *k)
{
	for (size_t i = 0; i < KNOBS; i++)
		if (get_line(knobs[i].path, k->saved[i]) &&
		    !put_line(knobs[i].path, 0, knobs[i].value))
			return false;
	return true;
}

static inline bool fail_nth_end(const struct fail_nth_knobs *k)
{
	bool good = true;

	for (size_t i = 0; i < KNOBS; i++)
		if (k->saved[i][0])
			good &= put_line(knobs[i].path, 0, k->saved[i]);
	return good;
}

#endif
