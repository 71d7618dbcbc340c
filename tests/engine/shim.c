// SPDX-License-Identifier: GPL-2.0
#include <sched.h>

#include "shim.h"

int shim_fence;
struct shim_counters shim;
long shim_fail_nth;
bool shim_failed;

static __thread int sems, leaves, pages;
static struct page zero[VMO_ZERO_PAGES];

void shim_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "# %s:%d: %s\n", file, line, what);
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

void shim_check_idle(void)
{
	SHIM_ASSERT(!sems && !leaves && !pages);
}

void shim_init(void)
{
	int i;

	for (i = 0; i < VMO_ZERO_PAGES; i++) {
		pthread_mutex_init(&zero[i].lock, NULL);
		zero[i].refs = 1;
	}
}

/* ---- locks ------------------------------------------------------------- */

void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->m, NULL);
}

void spin_lock(spinlock_t *lock)
{
	SHIM_ASSERT(!leaves);
	pthread_mutex_lock(&lock->m);
	leaves++;
}

void spin_lock_nested(spinlock_t *lock, int sub)
{
	(void)sub;
	SHIM_ASSERT(leaves == 1);
	pthread_mutex_lock(&lock->m);
	leaves++;
}

void spin_unlock(spinlock_t *lock)
{
	pthread_mutex_unlock(&lock->m);
	leaves--;
}

void init_rwsem(struct rw_semaphore *sem)
{
	pthread_rwlock_init(&sem->l, NULL);
}

static int sem_wait_allowed(void)
{
	SHIM_ASSERT(!sems && !leaves && !pages);
	return inject() ? -EINTR : 0;
}

int down_read_killable(struct rw_semaphore *sem)
{
	if (sem_wait_allowed())
		return -EINTR;
	pthread_rwlock_rdlock(&sem->l);
	sems++;
	return 0;
}

int down_write_killable(struct rw_semaphore *sem)
{
	if (sem_wait_allowed())
		return -EINTR;
	pthread_rwlock_wrlock(&sem->l);
	sems++;
	return 0;
}

/* Not atomic as in the kernel; whoever downgrades looks again anyway. */
void downgrade_write(struct rw_semaphore *sem)
{
	pthread_rwlock_unlock(&sem->l);
	pthread_rwlock_rdlock(&sem->l);
}

void up_read(struct rw_semaphore *sem)
{
	pthread_rwlock_unlock(&sem->l);
	sems--;
}

void up_write(struct rw_semaphore *sem)
{
	pthread_rwlock_unlock(&sem->l);
	sems--;
}

bool shim_holds_sem(void)
{
	return sems;
}

bool shim_holds_leaf(void)
{
	return leaves;
}

void cond_resched(void)
{
	SHIM_ASSERT(!leaves);
}

bool fatal_signal_pending(struct task *task)
{
	(void)task;
	return false;
}

void *kvmalloc_array(size_t n, size_t size, int gfp)
{
	(void)gfp;
	SHIM_ASSERT(!leaves);
	return inject() ? NULL : malloc(n * size);
}

void kvfree(void *p)
{
	free(p);
}

void vmo_count_visit(void)
{
	count(&shim.visits, 1);
}

/* ---- pages ------------------------------------------------------------- */

struct page *vmo_page_alloc(bool zeroed)
{
	struct page *page;

	SHIM_ASSERT(!leaves);
	if (inject())
		return NULL;
	page = calloc(1, sizeof(*page));
	page->shares = 1;
	page->refs = 1;
	page->data = zeroed ? 0 : 0xdeadbeef;
	pthread_mutex_init(&page->lock, NULL);
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

bool vmo_page_poisoned(struct page *page)
{
	return page->poisoned;
}

void vmo_page_share(struct page *page)
{
	SHIM_ASSERT(__atomic_fetch_add(&page->shares, 1, __ATOMIC_RELAXED) > 0);
}

long vmo_page_shares(struct page *page)
{
	return __atomic_load_n(&page->shares, __ATOMIC_ACQUIRE);
}

void vmo_page_unshare(struct page *page)
{
	long left = __atomic_sub_fetch(&page->shares, 1, __ATOMIC_ACQ_REL);

	SHIM_ASSERT(left >= 0 && !leaves);
	if (left)
		return;
	count(&shim.pages, -1);
	vmo_page_put(page);
}

void vmo_page_unshare_locked(struct page *page)
{
	SHIM_ASSERT(pages > 0);
	vmo_page_unshare(page);
}

bool vmo_page_held(struct page *page, int callers)
{
	return __atomic_load_n(&page->refs, __ATOMIC_SEQ_CST) != 1 + callers;
}

bool vmo_page_mapped(struct page *page)
{
	return __atomic_load_n(&page->maps, __ATOMIC_SEQ_CST);
}

void vmo_page_get(struct page *page)
{
	SHIM_ASSERT(__atomic_fetch_add(&page->refs, 1, __ATOMIC_SEQ_CST) > 0);
}

void vmo_page_put(struct page *page)
{
	int left = __atomic_sub_fetch(&page->refs, 1, __ATOMIC_SEQ_CST);

	SHIM_ASSERT(left >= 0);
	if (left)
		return;
	SHIM_ASSERT(!page->shares && !page->maps);
	pthread_mutex_destroy(&page->lock);
	free(page);
}

void vmo_page_lock(struct page *page)
{
	SHIM_ASSERT(!leaves);
	pthread_mutex_lock(&page->lock);
	pages++;
}

bool vmo_page_trylock(struct page *page)
{
	if (pthread_mutex_trylock(&page->lock))
		return false;
	pages++;
	return true;
}

void vmo_page_unlock(struct page *page)
{
	pages--;
	pthread_mutex_unlock(&page->lock);
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

void *vmo_node_alloc(bool leaf)
{
	SHIM_ASSERT(!leaves);
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
