// SPDX-License-Identifier: GPL-2.0
/*
 * What page.c is in the kernel, for one thread, with its memory layout: one
 * struct page of 64 bytes per page frame, in an array; nodes from slabs; freed
 * memory is used again first.
 *
 * SHARES says where a page's share count is: PRIVATE, in page->private, all
 * shares together with one reference; REFERENCE, one reference per share and no
 * count; OUTSIDE, in an array of 32-bit counts beside the struct pages.
 */
#include <sys/mman.h>

#include "fanout_shim.h"

#define PRIVATE		1
#define REFERENCE	2
#define OUTSIDE		3
#ifndef SHARES
#define SHARES		PRIVATE
#endif

#define FRAME_SIZE	4096UL

/* In the order of the kernel's: flags, lru, mapping, index, private, counts, memcg. */
struct page {
	unsigned long flags;
	struct page *next;
	void *prev;
	void *mapping;
	unsigned long index;
	long private;
	int mapcount;
	int refcount;
	unsigned long memcg;
};

static struct page *frames, *free_frames;
static char *data;
static int *outside;
static struct page zero;

static void check_failed(int line, const char *what)
{
	fprintf(stderr, "fanout: %s:%d: %s\n", __FILE__, line, what);
	abort();
}

#define CHECK(cond) ((cond) ? (void)0 : check_failed(__LINE__, #cond))

/* ---- memory ------------------------------------------------------------ */

unsigned long random_next(void)
{
	static unsigned long state = 88172645463325252UL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void *reserve(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(mem != MAP_FAILED);
	return mem;
}

void memory_init(unsigned long pages, bool shuffled)
{
	unsigned long i, *order = reserve(pages * sizeof(*order));

	CHECK(sizeof(struct page) == 64);
	frames = reserve(pages * sizeof(*frames));
	outside = reserve(pages * sizeof(*outside));
	data = reserve(pages * FRAME_SIZE);
	for (i = 0; i < pages; i++) {
		unsigned long other = shuffled ? random_next() % (i + 1) : i;

		order[i] = order[other];
		order[other] = i;
	}
	while (pages--) {
		frames[order[pages]].next = free_frames;
		free_frames = &frames[order[pages]];
	}
	zero.refcount = 1;
}

static void *slab_alloc(void **list, size_t size)
{
	static char *chunk;
	static size_t left;
	void *object = *list;

	if (object) {
		*list = *(void **)object;
	} else {
		if (left < size) {
			left = 1UL << 20;
			chunk = reserve(left);
		}
		object = chunk;
		chunk += size;
		left -= size;
	}
	return memset(object, 0, size);
}

static void *free_inners, *free_leaves;

void *vmo_node_alloc(bool leaf, unsigned int flags)
{
	(void)flags;
	return leaf ? slab_alloc(&free_leaves, sizeof(struct vmo_leaf)) :
		      slab_alloc(&free_inners, sizeof(struct vmo_inner));
}

void vmo_node_free(void *node, bool leaf)
{
	void **list = leaf ? &free_leaves : &free_inners;

	*(void **)node = *list;
	*list = node;
}

/* ---- pages ------------------------------------------------------------- */

static long *shares_of(struct page *page)
{
	return &page->private;
}

static int *outside_of(struct page *page)
{
	return &outside[page - frames];
}

struct page *vmo_page_alloc(unsigned int flags)
{
	struct page *page = free_frames;

	(void)flags;		/* the data is ours to leave alone */
	CHECK(page);
	free_frames = page->next;
	page->refcount = 1;
	if (SHARES == PRIVATE)
		*shares_of(page) = 1;
	if (SHARES == OUTSIDE)
		*outside_of(page) = 1;
	return page;
}

void vmo_page_get(struct page *page)
{
	__atomic_fetch_add(&page->refcount, 1, __ATOMIC_RELAXED);
}

void vmo_page_put(struct page *page)
{
	if (__atomic_sub_fetch(&page->refcount, 1, __ATOMIC_ACQ_REL))
		return;
	page->next = free_frames;
	free_frames = page;
}

/* Nothing is zeroed or pinned here. */
void vmo_page_clear(struct page *page, unsigned int from, unsigned int to)
{
	CHECK(page && from > to);
}

bool vmo_page_pin(struct page *page)
{
	return !page;
}

void vmo_page_unpin(struct page *page)
{
	CHECK(!page);
}

unsigned int vmo_page_pins(struct page *page)
{
	return !page;
}

int vmo_page_copy(struct page *dst, struct page *src)
{
	memcpy(data + (dst - frames) * FRAME_SIZE, data + (src - frames) * FRAME_SIZE,
	       FRAME_SIZE);
	return 0;
}

void vmo_page_share(struct page *page)
{
	if (SHARES == PRIVATE)
		__atomic_fetch_add(shares_of(page), 1, __ATOMIC_RELAXED);
	if (SHARES == REFERENCE)
		vmo_page_get(page);
	if (SHARES == OUTSIDE)
		__atomic_fetch_add(outside_of(page), 1, __ATOMIC_RELAXED);
}

long vmo_page_shares(struct page *page)
{
	if (SHARES == PRIVATE)
		return __atomic_load_n(shares_of(page), __ATOMIC_ACQUIRE);
	if (SHARES == OUTSIDE)
		return __atomic_load_n(outside_of(page), __ATOMIC_ACQUIRE);
	/* Who asks has a reference: so no other holder may be about. */
	return __atomic_load_n(&page->refcount, __ATOMIC_ACQUIRE) - 1;
}

void vmo_page_unshare(struct page *page)
{
	if (SHARES == PRIVATE && __atomic_sub_fetch(shares_of(page), 1, __ATOMIC_ACQ_REL))
		return;
	if (SHARES == OUTSIDE && __atomic_sub_fetch(outside_of(page), 1, __ATOMIC_ACQ_REL))
		return;
	vmo_page_put(page);
}

void vmo_page_unshare_locked(struct page *page)
{
	vmo_page_unshare(page);
}

bool vmo_page_held(struct page *page, int callers)
{
	return __atomic_load_n(&page->refcount, __ATOMIC_ACQUIRE) != 1 + callers;
}

bool vmo_page_mapped(struct page *page)
{
	return page->mapcount;
}

bool vmo_page_poisoned(struct page *page)
{
	(void)page;
	return false;
}

void vmo_page_lock(struct page *page)
{
	__atomic_fetch_or(&page->flags, 1, __ATOMIC_ACQUIRE);
}

bool vmo_page_trylock(struct page *page)
{
	vmo_page_lock(page);
	return true;
}

void vmo_page_unlock(struct page *page)
{
	__atomic_fetch_and(&page->flags, ~1UL, __ATOMIC_RELEASE);
}

void vmo_page_wait_unlocked(struct page *page)
{
	(void)page;
}

struct page *vmo_page_zero(const void *content, pgoff_t key)
{
	(void)content;
	(void)key;
	return &zero;
}

struct page *vmo_page_zero_nth(unsigned int nth)
{
	(void)nth;
	return &zero;
}
