/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pagers (layer L2): who provides the memory of objects on demand, and how others wait
 * for it.
 *
 * A pager has a queue (page_source.h) and ends in three ways. Its *server* goes: what it
 * was told waits for another one, for so long. The *pager* is closed: all its objects
 * are on their own. An *object* goes: the server is told.
 */
#ifndef VMO_PAGER_H
#define VMO_PAGER_H

#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "cow_pages.h"

/**
 * struct vmo_pager_limits - how long, and how much
 * @rebind_ms: how long who needs something waits for a server to come
 * @report_ms: after which a request that is not answered is told of; P16
 * @timeout_ms: after which it fails; 0: never
 * @window: pages that one request asks for at most
 */
struct vmo_pager_limits {
	unsigned int rebind_ms;
	unsigned int report_ms;
	unsigned int timeout_ms;
	unsigned int window;
};

/* As many tasks may have a fault that failed and that they have not been told of. */
#define VMO_PAGER_FAULTS	64U

/**
 * struct vmo_pager_fault - a fault that failed, when its lock had been released
 * @task: who; not a reference
 * @start: when that task began, for another may get its address
 * @cow: in which content
 * @key: of the page
 * @error: why
 * @when: jiffies
 */
struct vmo_pager_fault {
	const struct task_struct *task;
	u64 start;
	const struct vmo_cow_pages *cow;
	pgoff_t key;
	int error;
	unsigned long when;
};

/**
 * struct vmo_pager - a pager
 * @queue: what it has to do
 * @refs: its file, its server, its contents
 * @limits: immutable
 * @id: unique; immutable
 * @lock: covers @bound and @closed
 * @bound: it has a server
 * @closed: its file is gone
 * @readers: who waits for something to take, or for the end
 * @alone: runs when no server has come for too long
 * @faults_lock: innermost; covers @faults
 * @faults: by a hash of the task
 */
struct vmo_pager {
	struct vmo_queue queue;
	refcount_t refs;
	struct vmo_pager_limits limits;
	u64 id;
	struct mutex lock;	/* covers bound and closed */
	bool bound;
	bool closed;
	wait_queue_head_t readers;
	struct delayed_work alone;
	spinlock_t faults_lock;	/* covers faults */
	struct vmo_pager_fault faults[VMO_PAGER_FAULTS];
};

/* NULL: no memory. */
struct vmo_pager *vmo_pager_new(const struct vmo_pager_limits *limits);
struct vmo_pager *vmo_pager_get(struct vmo_pager *pager);
void vmo_pager_put(struct vmo_pager *pager);

/* The file is gone, and its reference with it. */
void vmo_pager_close(struct vmo_pager *pager);

/* A server comes, with a reference of its own: -EBUSY if there is one. It goes. */
int vmo_pager_bind(struct vmo_pager *pager);
void vmo_pager_unbind(struct vmo_pager *pager);

/* -ENOMEM. @cow, which nobody knows yet, has its memory from @pager, as @key. */
int vmo_pager_attach(struct vmo_pager *pager, struct vmo_cow_pages *cow, u64 key, bool trap);
struct vmo_pager *vmo_pager_of(struct vmo_cow_pages *cow);

/* How to wait for a page of a fault. */
#define VMO_NEED_NOWAIT		1U	/* only ask */
#define VMO_NEED_INTERRUPTIBLE	2U	/* by any signal, not by a fatal one only */

/*
 * As vmo_cow_need(), for a fault that has released its lock, and that is tried again
 * afterwards whatever comes of it: there vmo_pager_fault_error() is the first that is asked.
 */
void vmo_pager_need_fault(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last,
			  enum vmo_want want, unsigned int flags);
/* Why the last try failed, once; 0 if it did not. @again: the core says that there was one. */
int vmo_pager_fault_error(struct vmo_cow_pages *cow, pgoff_t key, bool again);

/*
 * Somebody has waited for @notice, whose id is 0, for @ms by now. Of netlink_pager.c, and
 * all that this layer knows of those above.
 */
void vmo_pager_tell_overtime(struct vmo_pager *pager, const struct vmo_notice *notice,
			     unsigned int ms);

long vmo_pagers_count(void);

#endif
