/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of VMO_TRANSFER share. */
#ifndef TRANSFER_UTIL_H
#define TRANSFER_UTIL_H

#include "vmo_test_util.h"

#define LEAF		64	/* slots of a leaf; whole ones may move as they are */
#define PIECE		512	/* pages that change at one instant, at most */

static inline int transfer_bytes(int to, uint64_t offset, int from, uint64_t src_offset,
				 uint64_t length)
{
	struct vmo_transfer arg = {
		.offset = offset, .length = length, .src_offset = src_offset, .src_fd = from,
	};

	return ioctl(to, VMO_TRANSFER, &arg);
}

static inline int transfer(int to, size_t at, int from, size_t src_at, size_t pages)
{
	return transfer_bytes(to, at * PS, from, src_at * PS, pages * PS);
}

/* Pages [first, first + count) have the seeds base + index. */
static inline int filled(int dev, size_t pages, size_t first, size_t count, uint64_t base)
{
	int fd = vmo_new_pages(dev, pages);

	for (size_t i = first; i < first + count; i++)
		if (write_page(fd, i, base + i))
			return -1;
	return fd;
}

/* ---- tags: two words of a page, for tests with many pages --------------- */

#define WORDS	(PS / sizeof(uint64_t))

static inline void put_tag(char *map, size_t page, uint64_t tag)
{
	volatile uint64_t *word = (uint64_t *)(map + page * PS);

	word[0] = tag;
	word[WORDS - 1] = tag;
}

/* -1 if the page is not what put_tag() left. */
static inline uint64_t get_tag(const char *map, size_t page)
{
	const volatile uint64_t *word = (uint64_t *)(map + page * PS);

	return word[0] == word[WORDS - 1] ? word[0] : -1ULL;
}

static inline uint64_t read_tag(int fd, size_t page)
{
	uint64_t word[2] = { -1ULL, -2ULL };

	if (pread(fd, &word[0], 8, page * PS) != 8 ||
	    pread(fd, &word[1], 8, (page + 1) * PS - 8) != 8)
		return -2ULL;
	return word[0] == word[1] ? word[0] : -1ULL;
}

static inline void put_tags(char *map, size_t first, size_t count, uint64_t base)
{
	for (size_t i = first; i < first + count; i++)
		put_tag(map, i, base + i);
}

/* The first page in [first, first + count) that has not the tag base + index, or -1. */
static inline long wrong_tag(const char *map, size_t first, size_t count, uint64_t base)
{
	for (size_t i = first; i < first + count; i++)
		if (get_tag(map, i) != (base ? base + i : 0))
			return i;
	return -1;
}

#endif
