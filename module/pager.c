// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "pager.h"

static atomic_long_t nr_pagers = ATOMIC_LONG_INIT(0);
static atomic64_t last_id = ATOMIC64_INIT(0);

long vmo_pagers_count(void)
{
	return atomic_long_read(&nr_pagers);
}

static struct vmo_pager *pager_of(struct vmo_queue *queue)
{
	return container_of(queue, struct vmo_pager, queue);
}

struct vmo_pager *vmo_pager_of(struct vmo_cow_pages *cow)
{
	return cow->source ? pager_of(cow->source->queue) : NULL;
}

/* ---- waiting ----------------------------------------------------------- */

/**
 * struct pager_wait - somebody who waits
 * @waiter: on the queue
 * @done: it is no longer
 */
struct pager_wait {
	struct vmo_waiter waiter;
	struct completion done;
};

/* Queue lock. */
static void wake_waiter(struct vmo_waiter *waiter)
{
	complete(&container_of(waiter, struct pager_wait, waiter)->done);
}

static void report(struct vmo_cow_pages *cow, pgoff_t key, enum vmo_ask_type type,
		   unsigned int ms)
{
	struct vmo_notice notice = {
		.key = cow->source->key, .type = type, .first = key, .last = key,
	};
	struct vmo_source_stats stats;

	vmo_source_stats(cow->source, false, &stats);
	pr_notice_ratelimited("vmo: pager %llu has not answered for %u ms: memory %llu, page %lu; %u requests taken, %u not\n",
			      vmo_pager_of(cow)->id, ms, stats.key, key, stats.handed,
			      stats.waiting);
	vmo_pager_tell_overtime(vmo_pager_of(cow), &notice, ms);
}

static enum vmo_ask_type ask_type(enum vmo_want want)
{
	return want == VMO_WANT_SYNC ? VMO_ASK_SYNC :
	       want == VMO_WANT_READ ? VMO_ASK_READ : VMO_ASK_DIRTY;
}

/* P16. > 0: woken; 0: it took too long; < 0: interrupted. */
static long wait_long(struct vmo_cow_pages *cow, struct pager_wait *wait, enum vmo_want want,
		      bool interruptible)
{
	const struct vmo_pager_limits *limits = &vmo_pager_of(cow)->limits;
	unsigned int waited = 0, ms = limits->report_ms;
	unsigned long left;
	long ret;

	while (!limits->timeout_ms || waited < limits->timeout_ms) {
		if (limits->timeout_ms)
			ms = min(limits->report_ms, limits->timeout_ms - waited);
		left = msecs_to_jiffies(ms);
		if (interruptible)
			ret = wait_for_completion_interruptible_timeout(&wait->done, left);
		else
			ret = wait_for_completion_killable_timeout(&wait->done, left);
		if (ret)
			return ret;
		waited += ms;
		report(cow, wait->waiter.key, ask_type(want), waited);
	}
	return 0;
}

static int need(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want,
		bool interruptible)
{
	struct pager_wait wait = { .waiter.wake = wake_waiter };
	pgoff_t window = vmo_pager_of(cow)->limits.window;
	long woken;
	int ret;

	init_completion(&wait.done);
	ret = vmo_cow_ask(cow, key, min(last, key + window - 1), want, &wait.waiter);
	if (ret <= 0)
		return ret;
	woken = wait_long(cow, &wait, want, interruptible);
	if (vmo_source_leave(cow->source, &wait.waiter))
		return wait.waiter.error;
	return woken < 0 ? -EINTR : -ETIMEDOUT;
}

/* A server that left a page dirty, for somebody may write it, is not asked again at once. */
#define SYNC_AGAIN	(HZ / 10)

/* Each piece that the server has written back may be the last one, or fail. */
static int need_sync(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last)
{
	struct pager_wait wait = { .waiter.wake = wake_waiter };
	long woken;
	int ret;

	init_completion(&wait.done);
	ret = vmo_cow_ask(cow, first, last, VMO_WANT_SYNC, &wait.waiter);
	if (ret <= 0)
		return ret;
	do {
		woken = wait_long(cow, &wait, VMO_WANT_SYNC, false);
		ret = woken > 0 ? vmo_cow_ask_on(cow, last, &wait.waiter) : -ETIMEDOUT;
	} while (ret > 0);
	if (vmo_source_leave(cow->source, &wait.waiter))
		return wait.waiter.error;
	if (ret == -EAGAIN)
		return schedule_timeout_killable(SYNC_AGAIN) ? -EINTR : 0;
	return woken < 0 ? -EINTR : ret;
}

static int pager_need(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want)
{
	if (want == VMO_WANT_SYNC)
		return need_sync(cow, key, last);
	return need(cow, key, last, want, false);
}

/* ---- faults ------------------------------------------------------------ */

static struct vmo_pager_fault *fault_slot(struct vmo_pager *pager)
{
	return &pager->faults[hash_ptr(current, ilog2(VMO_PAGER_FAULTS))];
}

/* If another task's is lost by it, that one asks again. */
static void remember(struct vmo_cow_pages *cow, pgoff_t key, int error)
{
	struct vmo_pager *pager = vmo_pager_of(cow);

	spin_lock(&pager->faults_lock);
	*fault_slot(pager) = (struct vmo_pager_fault){
		.task = current, .start = current->start_time, .cow = cow, .key = key,
		.error = error, .when = jiffies,
	};
	spin_unlock(&pager->faults_lock);
}

int vmo_pager_fault_error(struct vmo_cow_pages *cow, pgoff_t key, bool again)
{
	struct vmo_pager *pager = vmo_pager_of(cow);
	struct vmo_pager_fault *fault = fault_slot(pager);
	int error = 0;

	spin_lock(&pager->faults_lock);
	if (fault->task == current && fault->start == current->start_time) {
		/* mlock() does not say that it tries again, but does so at once. */
		if (fault->cow == cow && fault->key == key &&
		    (again || time_before(jiffies, fault->when + HZ)))
			error = fault->error;
		fault->task = NULL;
	}
	spin_unlock(&pager->faults_lock);
	return error;
}

void vmo_pager_need_fault(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last,
			  enum vmo_want want, unsigned int flags)
{
	int error;

	if (flags & VMO_NEED_NOWAIT) {
		vmo_cow_ask(cow, key, last, want, NULL);
		return;
	}
	error = need(cow, key, last, want, flags & VMO_NEED_INTERRUPTIBLE);
	/* The core finds signals by itself, and tries again once they are dealt with. */
	if (error && error != -EINTR)
		remember(cow, key, error);
}

/* ---- servers ----------------------------------------------------------- */

/* Queue lock. */
static void pager_ready(struct vmo_queue *queue)
{
	wake_up(&pager_of(queue)->readers);
}

static const struct vmo_queue_ops pager_queue_ops = {
	.ready = pager_ready,
	.need = pager_need,
};

static void left_alone(struct work_struct *work)
{
	struct vmo_pager *pager = container_of(work, struct vmo_pager, alone.work);

	mutex_lock(&pager->lock);
	if (!pager->bound && !pager->closed)
		vmo_queue_refuse(&pager->queue, -ETIMEDOUT);
	mutex_unlock(&pager->lock);
}

int vmo_pager_bind(struct vmo_pager *pager)
{
	int err = 0;

	mutex_lock(&pager->lock);
	if (pager->bound) {
		err = -EBUSY;
	} else {
		pager->bound = true;
		refcount_inc(&pager->refs);
		vmo_queue_refuse(&pager->queue, 0);
	}
	mutex_unlock(&pager->lock);
	return err;
}

/* Pager lock. */
static void expect_server(struct vmo_pager *pager)
{
	mod_delayed_work(system_unbound_wq, &pager->alone,
			 msecs_to_jiffies(pager->limits.rebind_ms));
}

void vmo_pager_unbind(struct vmo_pager *pager)
{
	mutex_lock(&pager->lock);
	pager->bound = false;
	vmo_queue_give_back(&pager->queue);
	if (!pager->closed)
		expect_server(pager);
	mutex_unlock(&pager->lock);
	vmo_pager_put(pager);
}

/* ---- the pager --------------------------------------------------------- */

struct vmo_pager *vmo_pager_new(const struct vmo_pager_limits *limits)
{
	struct vmo_pager *pager = kzalloc(sizeof(*pager), GFP_KERNEL_ACCOUNT);

	if (!pager)
		return NULL;
	vmo_queue_init(&pager->queue, &pager_queue_ops);
	refcount_set(&pager->refs, 1);
	pager->limits = *limits;
	pager->id = atomic64_inc_return(&last_id);
	mutex_init(&pager->lock);
	init_waitqueue_head(&pager->readers);
	INIT_DELAYED_WORK(&pager->alone, left_alone);
	spin_lock_init(&pager->faults_lock);
	atomic_long_inc(&nr_pagers);
	expect_server(pager);
	return pager;
}

struct vmo_pager *vmo_pager_get(struct vmo_pager *pager)
{
	refcount_inc(&pager->refs);
	return pager;
}

void vmo_pager_put(struct vmo_pager *pager)
{
	if (!refcount_dec_and_test(&pager->refs))
		return;
	kfree(pager);
	atomic_long_dec(&nr_pagers);
}

void vmo_pager_close(struct vmo_pager *pager)
{
	mutex_lock(&pager->lock);
	pager->closed = true;
	vmo_queue_close(&pager->queue);
	mutex_unlock(&pager->lock);
	cancel_delayed_work_sync(&pager->alone);
	wake_up(&pager->readers);
	vmo_pager_put(pager);
}

int vmo_pager_attach(struct vmo_pager *pager, struct vmo_cow_pages *cow, u64 key, bool trap)
{
	struct vmo_source *source = vmo_source_new(&pager->queue, key);

	if (!source)
		return -ENOMEM;
	vmo_pager_get(pager);
	vmo_cow_set_source(cow, source, trap);
	return 0;
}
