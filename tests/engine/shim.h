/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests may see and do behind the engine's back. */
#ifndef VMO_TEST_SHIM_H
#define VMO_TEST_SHIM_H

#include "page.h"
#include "page_tree.h"
#include "cow_pages.h"

/**
 * struct page - a page of the tests
 * @shares: as in the kernel
 * @refs: one for all shares, one for each PTE, one for each other holder
 * @maps: PTEs
 * @pins: how often it is pinned
 * @poisoned: reading it fails
 * @dirty: marked as written
 * @lock: the page lock
 * @data: the payload
 */
struct page {
	long shares;
	int refs;
	int maps;
	int pins;
	bool poisoned;
	bool dirty;
	pthread_mutex_t lock;
	u64 data;
};

/* Counters; atomic. */
struct shim_counters {
	long pages;
	long nodes;
	long visits;
	long allocs;
	long copies;
};

extern struct shim_counters shim;

/* Fails the nth allocation or killable wait from now; 0 never. */
extern long shim_fail_nth;
/* Set when one was failed. */
extern bool shim_failed;

/**
 * struct shim_held - the locks that a thread holds
 * @sems: content locks, either way
 * @excl: those held exclusive
 * @leaves: leaf locks
 * @pages: page locks
 */
struct shim_held {
	int sems;
	int excl;
	int leaves;
	int pages;
};

/* A test that runs threads of its own in this one says here whose turn it is. */
extern __thread struct shim_held *shim_held;
/* In place of waiting for a lock, which is then tried again. */
extern void (*shim_wait_hook)(void);

/* Says more about a failure, before the end. */
extern void (*shim_fail_hook)(void);

void shim_check_idle(void);
void shim_init(void);
/* After a failed test, which has left things behind: count from 0 again. */
void shim_reset(void);

#endif
