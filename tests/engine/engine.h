/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user-space twin of module/engine.h, forced in ahead of it (-include).
 *
 * Locks are pthread locks that know who holds what: who takes them in the
 * wrong order, sleeps under a leaf lock or forgets one fails the test.
 */
#ifndef VMO_ENGINE_H
#define VMO_ENGINE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef unsigned long pgoff_t;

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof(*(a)))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define __ffs64(x)		((unsigned int)__builtin_ctzll(x))
#define fls64(x)		((unsigned int)(64 - __builtin_clzll(x)))
#define hweight64(x)		((unsigned int)__builtin_popcountll(x))
#define min(a, b)		({ __auto_type a_ = (a); __auto_type b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)		({ __auto_type a_ = (a); __auto_type b_ = (b); a_ > b_ ? a_ : b_; })
#define swap(a, b)		do { __auto_type a_ = (a); (a) = (b); (b) = a_; } while (0)
#define min3(a, b, c)		min(min(a, b), c)
#define max_t(t, a, b)		((t)(a) > (t)(b) ? (t)(a) : (t)(b))
#define min_t(t, a, b)		((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define BITS_PER_LONG		64
#define PAGE_SIZE		4096U
#define BITS_TO_LONGS(n)	(((n) + 63) / 64)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/*
 * Called before each step that another thread may see or whose outcome depends
 * on others; what runs in between is one step to them. NULL unless a test
 * wants to run somebody else there.
 */
extern void (*shim_step_hook)(void);

static inline void shim_step(void)
{
	if (shim_step_hook)
		shim_step_hook();
}

#define smp_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
/* ThreadSanitizer does not know fences; a read-modify-write it does. */
extern int shim_fence;
#define smp_mb() \
	do { \
		shim_step(); \
		__atomic_fetch_add(&shim_fence, 1, __ATOMIC_SEQ_CST); \
	} while (0)

static inline void *shim_cmpxchg(void **p, void *old, void *new)
{
	shim_step();
	__atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return old;
}

#define cmpxchg(p, old, new)	((__typeof__(*(p)))shim_cmpxchg((void **)(p), (old), (new)))

static inline void set_bit(unsigned int n, unsigned long *map)
{
	__atomic_fetch_or(map + n / 64, 1UL << n % 64, __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned int n, unsigned long *map)
{
	__atomic_fetch_and(map + n / 64, ~(1UL << n % 64), __ATOMIC_RELAXED);
}

static inline bool test_bit(unsigned int n, const unsigned long *map)
{
	return READ_ONCE(map[n / 64]) >> n % 64 & 1;
}

static inline void bitmap_zero(unsigned long *map, unsigned int bits)
{
	memset(map, 0, BITS_TO_LONGS(bits) * sizeof(*map));
}

static inline void bitmap_set(unsigned long *map, unsigned int from, unsigned int count)
{
	while (count--)
		set_bit(from++, map);
}

static inline unsigned int bitmap_weight(const unsigned long *map, unsigned int bits)
{
	unsigned int i, sum = 0;

	for (i = 0; i < BITS_TO_LONGS(bits); i++)
		sum += __builtin_popcountl(map[i]);
	return sum;
}

static inline bool bitmap_empty(const unsigned long *map, unsigned int bits)
{
	unsigned int i;

	for (i = 0; i < BITS_TO_LONGS(bits); i++)
		if (READ_ONCE(map[i]))
			return false;
	return true;
}

static inline unsigned int find_next_bit(const unsigned long *map, unsigned int bits,
					 unsigned int from)
{
	for (; from < bits; from++)
		if (READ_ONCE(map[from / 64]) >> from % 64 & 1)
			return from;
	return bits;
}

static inline unsigned long find_next_zero_bit(const unsigned long *map, unsigned long bits,
					       unsigned long from)
{
	while (from < bits && test_bit(from, map))
		from++;
	return from;
}

#define for_each_set_bit(i, map, bits) \
	for ((i) = find_next_bit(map, bits, 0); (i) < (bits); \
	     (i) = find_next_bit(map, bits, (i) + 1))

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline void list_add(struct list_head *item, struct list_head *head)
{
	item->next = head->next;
	item->prev = head;
	head->next->prev = item;
	head->next = item;
}

static inline void list_del(struct list_head *item)
{
	item->next->prev = item->prev;
	item->prev->next = item->next;
}

#define LIST_HEAD(name)		struct list_head name = { &name, &name }

static inline void list_add_tail(struct list_head *item, struct list_head *head)
{
	list_add(item, head->prev);
}

static inline void list_del_init(struct list_head *item)
{
	list_del(item);
	INIT_LIST_HEAD(item);
}

static inline void list_move(struct list_head *item, struct list_head *head)
{
	list_del(item);
	list_add(item, head);
}

static inline void list_move_tail(struct list_head *item, struct list_head *head)
{
	list_del(item);
	list_add_tail(item, head);
}

static inline bool list_empty(const struct list_head *head)
{
	return READ_ONCE(head->next) == head;
}

static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
	if (list_empty(list))
		return;
	list->next->prev = head;
	list->prev->next = head->next;
	head->next->prev = list->prev;
	head->next = list->next;
	INIT_LIST_HEAD(list);
}

#define list_first_entry(head, type, member) container_of((head)->next, type, member)
#define list_for_each_entry_safe(pos, n, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member), \
	     n = list_first_entry(&pos->member, __typeof__(*pos), member); \
	     &pos->member != (head); \
	     pos = n, n = list_first_entry(&n->member, __typeof__(*n), member))

#define list_for_each_entry(pos, head, member) \
	for (pos = list_first_entry(head, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_first_entry(&pos->member, __typeof__(*pos), member))

typedef struct {
	int v;
} refcount_t;

static inline void refcount_set(refcount_t *r, int v)
{
	__atomic_store_n(&r->v, v, __ATOMIC_RELAXED);
}

static inline int refcount_read(refcount_t *r)
{
	return __atomic_load_n(&r->v, __ATOMIC_RELAXED);
}

void shim_fail(const char *file, int line, const char *what);

static inline void refcount_inc(refcount_t *r)
{
	if (__atomic_fetch_add(&r->v, 1, __ATOMIC_RELAXED) < 1)
		shim_fail(__FILE__, __LINE__, "refcount_inc of 0");
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	int old;

	shim_step();
	old = __atomic_fetch_sub(&r->v, 1, __ATOMIC_ACQ_REL);
	if (old < 1)
		shim_fail(__FILE__, __LINE__, "refcount underflow");
	return old == 1;
}

static inline bool vmo_refs_exclusive(refcount_t *r)
{
	shim_step();
	return __atomic_load_n(&r->v, __ATOMIC_ACQUIRE) == 1;
}

typedef struct {
	long v;
} atomic64_t;
#define ATOMIC64_INIT(n)	{ n }

static inline long atomic64_inc_return(atomic64_t *a)
{
	return __atomic_add_fetch(&a->v, 1, __ATOMIC_SEQ_CST);
}

static inline long atomic64_read(const atomic64_t *a)
{
	return __atomic_load_n(&a->v, __ATOMIC_RELAXED);
}

static inline void atomic64_inc(atomic64_t *a)
{
	__atomic_fetch_add(&a->v, 1, __ATOMIC_RELAXED);
}

static inline void atomic64_dec(atomic64_t *a)
{
	__atomic_fetch_sub(&a->v, 1, __ATOMIC_RELAXED);
}

typedef struct {
	pthread_mutex_t m;
} spinlock_t;

struct rw_semaphore {
	pthread_rwlock_t l;
};

void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
#define SINGLE_DEPTH_NESTING	1
void spin_lock_nested(spinlock_t *lock, int sub);
void spin_unlock(spinlock_t *lock);
void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
bool down_read_trylock(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
int down_read_killable(struct rw_semaphore *sem);
int down_write_killable(struct rw_semaphore *sem);
int down_read_killable_nested(struct rw_semaphore *sem, int sub);
int down_write_killable_nested(struct rw_semaphore *sem, int sub);
void downgrade_write(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);
/* Any lock of this kind held by this thread: the engine never holds two. */
bool shim_holds_sem(void);
bool shim_holds_excl(void);
bool shim_holds_leaf(void);
#define lockdep_assert_held(l) \
	do { \
		if (!__builtin_types_compatible_p(__typeof__(*(l)), spinlock_t) ? \
		    !shim_holds_sem() : !shim_holds_leaf()) \
			shim_fail(__FILE__, __LINE__, "lock not held"); \
	} while (0)

void cond_resched(void);
struct task;
#define current			((struct task *)NULL)
bool fatal_signal_pending(struct task *task);

#define GFP_KERNEL_ACCOUNT	0
void *kvmalloc_array(size_t n, size_t size, int gfp);
void kvfree(void *p);
void *kzalloc(size_t size, int gfp);
void kfree(void *p);

/* As a list, in order. */
struct interval_tree_node {
	unsigned long start, last;
	struct interval_tree_node *next;
};

struct rb_root_cached {
	struct interval_tree_node *first;
};

#define RB_ROOT_CACHED		((struct rb_root_cached){ NULL })
void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root);
void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root);
struct interval_tree_node *interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start, unsigned long last);
struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   unsigned long start, unsigned long last);

#define div64_u64(a, b)		((a) / (b))

void vmo_count_visit(void);
static inline void vmo_trace_cow_copy(const void *content, unsigned long key) { }

struct page;
#endif
