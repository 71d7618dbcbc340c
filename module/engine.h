/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that the engine (page_tree, cow_pages) may know of the kernel.
 *
 * tests/engine/engine.h is the user-space twin of this file: the same sources
 * compile against it under the sanitizers. Keep this list short.
 */
#ifndef VMO_ENGINE_H
#define VMO_ENGINE_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>

struct page;

/* Is this the only reference? Acquire: pairs with the release of every put. */
static inline bool vmo_refs_exclusive(refcount_t *refs)
{
	if (refcount_read(refs) != 1)
		return false;
	smp_acquire__after_ctrl_dep();
	return true;
}

/* The tests count node visits here; the kernel does not. */
static inline void vmo_count_visit(void) { }

/* A copy takes the place of a page that could not be written; for who traces. */
void vmo_trace_cow_copy(const void *content, unsigned long key);

/* Points where the tests may run another thread's operation. */
static inline void vmo_test_point(const char *name) { }

#endif
