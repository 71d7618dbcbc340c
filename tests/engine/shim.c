// SPDX-License-Identifier: GPL-2.0
#include <sched.h>

#include "shim.h"

int shim_fence;
struct shim_counters shim;
long shim_fail_nth;
bool shim_failed;
__thread struct shim_held *shim_held;
void (*shim_step_hook)(void);
void (*shim_wait_hook)(void);
void (*shim_fail_hook)(void);

static __thread struct shim_held self;
static struct page zero[VMO_ZERO_PAGES];
/* Whoever takes it twice is told so, and does not wait forever. */
static const pthread_mutex_t mutex_init = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;

void shim_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "# %s:%d: %s\n", file, line, what);
	if (shim_fail_hook)
		shim_fail_hook();
	abort();
}

#define SHIM_ASSERT(cond) \
	do { \
		if (!(cond)) \
			shim_fail(__FILE__, __LINE__, #cond); \
	} while (0)

static void count(long *counter, long by)
{
	__atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static bool inject(void)
{
	if (!shim_fail_nth || --shim_fail_nth)
		return false;
	shim_failed = true;
	return true;
}

static struct shim_held *held(void)
{
	return shim_held ? shim_held : &self;
}

void shim_check_idle(void)
{
	SHIM_ASSERT(!held()->sems && !held()->leaves && !held()->pages);
}

void shim_reset(void)
{
	memset(held(), 0, sizeof(*held()));
	memset(&shim, 0, sizeof(shim));
	shim_fail_nth = 0;
}

void shim_init(void)
{
	int i;

	for (i = 0; i < VMO_ZERO_PAGES; i++) {
		zero[i].lock = mutex_init;
		zero[i].refs = 1;
	}
}

/* ---- locks ------------------------------------------------------------- */

static void take(pthread_mutex_t *mutex)
{
	shim_step();
	if (!shim_wait_hook)
		SHIM_ASSERT(!pthread_mutex_lock(mutex));
	else
		while (pthread_mutex_trylock(mutex))
			shim_wait_hook();
}

static void release(pthread_mutex_t *mutex)
{
	SHIM_ASSERT(!pthread_mutex_unlock(mutex));
	shim_step();
}

void spin_lock_init(spinlock_t *lock)
{
	lock->m = mutex_init;
}

void spin_lock(spinlock_t *lock)
{
	SHIM_ASSERT(!held()->leaves);
	take(&lock->m);
	held()->leaves++;
}

void spin_lock_nested(spinlock_t *lock, int sub)
{
	(void)sub;
	SHIM_ASSERT(held()->leaves == 1);
	take(&lock->m);
	held()->leaves++;
}

void spin_unlock(spinlock_t *lock)
{
	held()->leaves--;
	release(&lock->m);
}

void init_rwsem(struct rw_semaphore *sem)
{
	pthread_rwlock_init(&sem->l, NULL);
}

static int take_sem(struct rw_semaphore *sem, int (*lock)(pthread_rwlock_t *l),
		    int (*try)(pthread_rwlock_t *l), int outer)
{
	SHIM_ASSERT(held()->sems == outer && !held()->leaves && !held()->pages);
	if (inject())
		return -EINTR;
	shim_step();
	if (!shim_wait_hook)
		SHIM_ASSERT(!lock(&sem->l));
	else
		while (try(&sem->l))
			shim_wait_hook();
	held()->sems++;
	return 0;
}

static void release_sem(struct rw_semaphore *sem)
{
	SHIM_ASSERT(held()->sems > 0);
	held()->sems--;
	SHIM_ASSERT(!pthread_rwlock_unlock(&sem->l));
	shim_step();
}

int down_read_killable(struct rw_semaphore *sem)
{
	return take_sem(sem, pthread_rwlock_rdlock, pthread_rwlock_tryrdlock, 0);
}

void down_read(struct rw_semaphore *sem)
{
	long nth = shim_fail_nth;

	shim_fail_nth = 0;	/* it cannot fail */
	SHIM_ASSERT(!take_sem(sem, pthread_rwlock_rdlock, pthread_rwlock_tryrdlock, 0));
	shim_fail_nth = nth;
}

bool down_read_trylock(struct rw_semaphore *sem)
{
	SHIM_ASSERT(held()->sems <= 1 && !held()->leaves && !held()->pages);
	shim_step();
	if (pthread_rwlock_tryrdlock(&sem->l))
		return false;
	held()->sems++;
	return true;
}

int down_write_killable(struct rw_semaphore *sem)
{
	int ret = take_sem(sem, pthread_rwlock_wrlock, pthread_rwlock_trywrlock, 0);

	held()->excl = !ret;
	return ret;
}

void down_write(struct rw_semaphore *sem)
{
	long nth = shim_fail_nth;

	shim_fail_nth = 0;	/* it cannot fail */
	SHIM_ASSERT(!down_write_killable(sem));
	shim_fail_nth = nth;
}

int down_read_killable_nested(struct rw_semaphore *sem, int sub)
{
	return take_sem(sem, pthread_rwlock_rdlock, pthread_rwlock_tryrdlock, sub);
}

/* The second of two, by address. */
int down_write_killable_nested(struct rw_semaphore *sem, int sub)
{
	int ret = take_sem(sem, pthread_rwlock_wrlock, pthread_rwlock_trywrlock, sub);

	held()->excl += !ret;
	return ret;
}

/* Not atomic between real threads; whoever downgrades looks again anyway. */
void downgrade_write(struct rw_semaphore *sem)
{
	SHIM_ASSERT(held()->excl);
	held()->excl = 0;
	pthread_rwlock_unlock(&sem->l);
	pthread_rwlock_rdlock(&sem->l);
	shim_step();
}

void up_read(struct rw_semaphore *sem)
{
	SHIM_ASSERT(held()->excl < held()->sems);
	release_sem(sem);
}

void up_write(struct rw_semaphore *sem)
{
	SHIM_ASSERT(held()->excl);
	held()->excl--;
	release_sem(sem);
}

bool shim_holds_sem(void)
{
	return held()->sems;
}

bool shim_holds_excl(void)
{
	return held()->excl;
}

bool shim_holds_leaf(void)
{
	return held()->leaves;
}

void cond_resched(void)
{
	SHIM_ASSERT(!held()->leaves);
}

bool fatal_signal_pending(struct task *task)
{
	(void)task;
	return false;
}

void *kvmalloc_array(size_t n, size_t size, int gfp)
{
	(void)gfp;
	SHIM_ASSERT(!held()->leaves);
	return inject() ? NULL : malloc(n * size);
}

void kvfree(void *p)
{
	free(p);
}

void *kzalloc(size_t size, int gfp)
{
	(void)gfp;
	SHIM_ASSERT(!held()->leaves);
	return inject() ? NULL : calloc(1, size);
}

void kfree(void *p)
{
	free(p);
}

void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root)
{
	struct interval_tree_node **at = &root->first;

	while (*at && (*at)->start < node->start)
		at = &(*at)->next;
	node->next = *at;
	*at = node;
}

void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root)
{
	struct interval_tree_node **at = &root->first;

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
}

struct interval_tree_node *interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start, unsigned long last)
{
	struct interval_tree_node *node = root->first;

	while (node && node->last < start)
		node = node->next;
	return node && node->start <= last ? node : NULL;
}

struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   unsigned long start, unsigned long last)
{
	struct rb_root_cached rest = { node->next };

	return interval_tree_iter_first(&rest, start, last);
}

void vmo_count_visit(void)
{
	count(&shim.visits, 1);
}

/* ---- pages ------------------------------------------------------------- */

struct page *vmo_page_alloc(unsigned int flags)
{
	struct page *page;

	SHIM_ASSERT(!held()->leaves);
	if (inject())
		return NULL;
	page = calloc(1, sizeof(*page));
	page->shares = 1;
	page->refs = 1;
	page->data = flags & VMO_ALLOC_ZERO ? 0 : 0xdeadbeef;
	page->lock = mutex_init;
	page->dirty = true;
	count(&shim.pages, 1);
	count(&shim.allocs, 1);
	return page;
}

int vmo_page_copy(struct page *dst, struct page *src)
{
	if (__atomic_load_n(&src->poisoned, __ATOMIC_RELAXED))
		return -EIO;
	dst->data = __atomic_load_n(&src->data, __ATOMIC_RELAXED);
	count(&shim.copies, 1);
	return 0;
}

bool vmo_page_same(struct page *a, struct page *b)
{
	SHIM_ASSERT(!held()->leaves);
	if ((a && a->poisoned) || (b && b->poisoned))
		return false;
	return (a ? __atomic_load_n(&a->data, __ATOMIC_RELAXED) : 0) ==
	       (b ? __atomic_load_n(&b->data, __ATOMIC_RELAXED) : 0);
}

bool vmo_page_poisoned(struct page *page)
{
	return page->poisoned;
}

void vmo_page_share(struct page *page)
{
	shim_step();
	SHIM_ASSERT(__atomic_fetch_add(&page->shares, 1, __ATOMIC_RELAXED) > 0);
}

long vmo_page_shares(struct page *page)
{
	shim_step();
	return __atomic_load_n(&page->shares, __ATOMIC_ACQUIRE);
}

static bool last_share(struct page *page)
{
	long left;

	SHIM_ASSERT(!held()->leaves);
	shim_step();
	left = __atomic_sub_fetch(&page->shares, 1, __ATOMIC_ACQ_REL);
	SHIM_ASSERT(left >= 0);
	if (!left)
		count(&shim.pages, -1);
	return !left;
}

/* As in the kernel, the last one locks the page. */
void vmo_page_unshare(struct page *page)
{
	if (!last_share(page))
		return;
	vmo_page_wait_unlocked(page);
	vmo_page_put(page);
}

void vmo_page_unshare_locked(struct page *page)
{
	SHIM_ASSERT(held()->pages > 0);
	if (last_share(page))
		vmo_page_put(page);
}

void vmo_page_leave_home(struct page *page)
{
	SHIM_ASSERT(held()->excl && page->shares == 1 && !page->maps);
	vmo_page_wait_unlocked(page);
}

void vmo_page_clear(struct page *page, unsigned int from, unsigned int to)
{
	u64 mask = to - from < PAGE_SIZE ? ~0ULL << 32 : 0;

	SHIM_ASSERT(held()->pages > 0);
	__atomic_fetch_and(&page->data, mask, __ATOMIC_RELAXED);
}

bool vmo_page_pin(struct page *page)
{
	SHIM_ASSERT(held()->pages > 0);
	if (vmo_page_pins(page) == VMO_PAGE_PINS_MAX)
		return false;
	vmo_page_get(page);
	__atomic_fetch_add(&page->pins, 1, __ATOMIC_RELAXED);
	return true;
}

void vmo_page_unpin(struct page *page)
{
	SHIM_ASSERT(__atomic_fetch_sub(&page->pins, 1, __ATOMIC_RELAXED) > 0);
	vmo_page_put(page);
}

unsigned int vmo_page_pins(struct page *page)
{
	return __atomic_load_n(&page->pins, __ATOMIC_RELAXED);
}

bool vmo_page_held(struct page *page, int callers)
{
	shim_step();
	return __atomic_load_n(&page->refs, __ATOMIC_SEQ_CST) != 1 + callers;
}

bool vmo_page_in_use(struct page *page, int callers)
{
	int maps, refs;

	shim_step();
	maps = __atomic_load_n(&page->maps, __ATOMIC_SEQ_CST);
	shim_step();
	refs = __atomic_load_n(&page->refs, __ATOMIC_SEQ_CST);
	shim_step();
	return maps != __atomic_load_n(&page->maps, __ATOMIC_SEQ_CST) ||
	       refs != 1 + maps + callers;
}

bool vmo_page_test_clear_dirty(struct page *page)
{
	return __atomic_exchange_n(&page->dirty, false, __ATOMIC_SEQ_CST);
}

bool vmo_page_dirty(struct page *page)
{
	return __atomic_load_n(&page->dirty, __ATOMIC_SEQ_CST);
}

bool vmo_page_mapped(struct page *page)
{
	shim_step();
	return __atomic_load_n(&page->maps, __ATOMIC_SEQ_CST);
}

void vmo_page_get(struct page *page)
{
	shim_step();
	SHIM_ASSERT(__atomic_fetch_add(&page->refs, 1, __ATOMIC_SEQ_CST) > 0);
}

void vmo_page_put(struct page *page)
{
	int left;

	shim_step();
	left = __atomic_sub_fetch(&page->refs, 1, __ATOMIC_SEQ_CST);
	SHIM_ASSERT(left >= 0);
	if (left)
		return;
	SHIM_ASSERT(!page->shares && !page->maps && !page->pins);
	pthread_mutex_destroy(&page->lock);
	free(page);
}

void vmo_page_lock(struct page *page)
{
	SHIM_ASSERT(!held()->leaves);
	take(&page->lock);
	held()->pages++;
}

bool vmo_page_trylock(struct page *page)
{
	shim_step();
	if (pthread_mutex_trylock(&page->lock))
		return false;
	held()->pages++;
	return true;
}

void vmo_page_unlock(struct page *page)
{
	held()->pages--;
	release(&page->lock);
}

bool vmo_page_locked(struct page *page)
{
	if (!vmo_page_trylock(page))
		return true;
	vmo_page_unlock(page);
	return false;
}

void vmo_page_wait_unlocked(struct page *page)
{
	vmo_page_lock(page);
	vmo_page_unlock(page);
}

struct page *vmo_page_zero_nth(unsigned int nth)
{
	return &zero[nth];
}

struct page *vmo_page_zero(const void *content, pgoff_t key)
{
	return &zero[((unsigned long)content / 64 + key) % VMO_ZERO_PAGES];
}

/* ---- nodes ------------------------------------------------------------- */

void *vmo_node_alloc(bool leaf, unsigned int flags)
{
	(void)flags;
	SHIM_ASSERT(!held()->leaves);
	if (inject())
		return NULL;
	count(&shim.nodes, 1);
	count(&shim.allocs, 1);
	return calloc(1, leaf ? sizeof(struct vmo_leaf) : sizeof(struct vmo_inner));
}

void vmo_node_free(void *node, bool leaf)
{
	(void)leaf;
	count(&shim.nodes, -1);
	free(node);
}
