/* SPDX-License-Identifier: GPL-2.0 */
/*
 * module/engine.h for fanout: user space, one thread, and each thing as large
 * and as dear as in the kernel as far as that matters to a cache. The twin in
 * tests/engine checks; this one counts.
 */
#ifndef VMO_ENGINE_H
#define VMO_ENGINE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef unsigned long pgoff_t;

#define container_of(ptr, type, member)	((type *)((char *)(ptr) - offsetof(type, member)))
#define min(a, b)		({ __auto_type a_ = (a); __auto_type b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)		({ __auto_type a_ = (a); __auto_type b_ = (b); a_ > b_ ? a_ : b_; })
#define min3(a, b, c)		min(min(a, b), c)
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define div64_u64(a, b)		((a) / (b))

/* ---- bits -------------------------------------------------------------- */

#define BITS_PER_LONG		64
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(high, low)	(~0ULL << (low) & ~0ULL >> (63 - (high)))
#define __ffs64(x)		((unsigned int)__builtin_ctzll(x))
#define fls64(x)		((unsigned int)(64 - __builtin_clzll(x)))
#define hweight64(x)		((unsigned int)__builtin_popcountll(x))
#define BITS_TO_LONGS(bits)	(((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]

static inline void set_bit(unsigned int n, unsigned long *map)
{
	__atomic_fetch_or(map + n / 64, 1UL << n % 64, __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned int n, unsigned long *map)
{
	__atomic_fetch_and(map + n / 64, ~(1UL << n % 64), __ATOMIC_RELAXED);
}

static inline bool bitmap_empty(const unsigned long *map, unsigned int bits)
{
	unsigned int i;

	for (i = 0; i < BITS_TO_LONGS(bits); i++)
		if (map[i])
			return false;
	return true;
}

static inline unsigned int find_next_bit(const unsigned long *map, unsigned int bits,
					 unsigned int from)
{
	unsigned long word;

	for (; from < bits; from = (from | 63) + 1) {
		word = map[from / 64] >> from % 64;
		if (word)
			return min(bits, from + __ffs64(word));
	}
	return bits;
}

#define for_each_set_bit(i, map, bits) \
	for ((i) = find_next_bit(map, bits, 0); (i) < (bits); \
	     (i) = find_next_bit(map, bits, (i) + 1))

/* ---- order and counts -------------------------------------------------- */

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define smp_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new) ({ \
	__typeof__(*(p)) old_ = (old); \
	__atomic_compare_exchange_n((p), &old_, (new), false, __ATOMIC_ACQ_REL, \
				    __ATOMIC_ACQUIRE); \
	old_; })

typedef struct {
	int count;
} refcount_t;

static inline void refcount_set(refcount_t *refs, int count)
{
	refs->count = count;
}

static inline int refcount_read(const refcount_t *refs)
{
	return READ_ONCE(refs->count);
}

static inline void refcount_inc(refcount_t *refs)
{
	__atomic_fetch_add(&refs->count, 1, __ATOMIC_RELAXED);
}

static inline bool refcount_dec_and_test(refcount_t *refs)
{
	return !__atomic_sub_fetch(&refs->count, 1, __ATOMIC_ACQ_REL);
}

static inline bool vmo_refs_exclusive(refcount_t *refs)
{
	return __atomic_load_n(&refs->count, __ATOMIC_ACQUIRE) == 1;
}

typedef struct {
	long count;
} atomic64_t;
#define ATOMIC64_INIT(n)	{ n }

static inline long atomic64_read(const atomic64_t *count)
{
	return __atomic_load_n(&count->count, __ATOMIC_RELAXED);
}

#define atomic64_inc(count)	((void)__atomic_fetch_add(&(count)->count, 1, __ATOMIC_RELAXED))
#define atomic64_dec(count)	((void)__atomic_fetch_sub(&(count)->count, 1, __ATOMIC_RELAXED))

static inline long atomic64_inc_return(atomic64_t *count)
{
	return __atomic_add_fetch(&count->count, 1, __ATOMIC_SEQ_CST);
}

/* ---- lists ------------------------------------------------------------- */

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->prev = head;
	head->next = head->prev;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_add(struct list_head *item, struct list_head *head)
{
	item->prev = head;
	item->next = head->next;
	item->next->prev = item;
	head->next = item;
}

static inline void list_del(struct list_head *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
}

#define list_first_entry(head, type, member) container_of((head)->next, type, member)
#define list_for_each_entry_safe(pos, next_, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member), \
	     next_ = list_first_entry(&pos->member, __typeof__(*pos), member); \
	     &pos->member != (head); \
	     pos = next_, next_ = list_first_entry(&next_->member, __typeof__(*next_), member))

/* ---- locks: the leaf lock is in a line that counts, the others are not --- */

typedef struct {
	int locked;
} spinlock_t;

#define SINGLE_DEPTH_NESTING	1
#define spin_lock_init(lock)	((void)((lock)->locked = 0))
#define spin_lock(lock)		((void)__atomic_exchange_n(&(lock)->locked, 1, __ATOMIC_ACQUIRE))
#define spin_lock_nested(lock, sub) spin_lock(lock)
#define spin_unlock(lock)	__atomic_store_n(&(lock)->locked, 0, __ATOMIC_RELEASE)

struct rw_semaphore {
	long words[5];
};

#define init_rwsem(sem)			((void)(sem))
#define down_read(sem)			((void)(sem))
#define down_read_trylock(sem)		((void)(sem), true)
#define down_read_killable(sem)		((void)(sem), 0)
#define down_write_killable(sem)	((void)(sem), 0)
#define downgrade_write(sem)		((void)(sem))
#define up_read(sem)			((void)(sem))
#define up_write(sem)			((void)(sem))
#define lockdep_assert_held(lock)	((void)(lock))
#define lockdep_assert_held_write(lock)	((void)(lock))
#define cond_resched()			((void)0)
#define fatal_signal_pending(task)	false
#define current				NULL

#define GFP_KERNEL_ACCOUNT		0
#define kvmalloc_array(n, size, gfp)	malloc((n) * (size))
#define kvfree(mem)			free(mem)

static inline void vmo_count_visit(void) { }
static inline void vmo_test_point(const char *name) { (void)name; }

struct page;

#endif
