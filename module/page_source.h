/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What contents ask their pager for (layer L1).
 *
 * A *queue* belongs to a pager. A *source* ties one content to it. Who needs pages that
 * the content does not have is a *waiter* of a *request*: a run of keys of one type.
 * Requests of a type never overlap; whoever needs a key of one that is there joins it.
 * The server takes requests off the queue when it likes to (nothing is sent to it), and
 * answers ranges, asked for or not. A woken waiter knows nothing but that it has to look
 * again, unless it is handed an error.
 *
 * Requests belong to nobody: one that no waiter needs any more, and that the server has
 * not seen, is withdrawn; one that it has seen stays until it is answered, so that the
 * rest of a run which is on its way is not asked for twice. What is answered of a run is
 * not part of it any more.
 *
 * VMO_ASK_SYNC is different: each waiter has a request of its own, that may overlap others,
 * and is not answered but poked, for it alone knows what it is still waiting for.
 *
 * Locking: the queue's lock covers all that is here, of all its sources. It is taken
 * under any lock of the engine but a leaf's, and nothing is taken or allocated, and
 * nobody sleeps, under it.
 */
#ifndef VMO_PAGE_SOURCE_H
#define VMO_PAGE_SOURCE_H

#include "engine.h"

enum vmo_ask_type {
	VMO_ASK_READ,
	VMO_ASK_DIRTY,
	VMO_ASK_SYNC,
	VMO_ASK_TYPES,
	VMO_ASK_COMPLETE = VMO_ASK_TYPES,	/* the last notice of a source */
};

struct vmo_cow_pages;
struct vmo_queue;
struct vmo_source;

/**
 * struct vmo_notice - what the server is told of a request
 * @id: unique in the queue
 * @key: of the source
 * @type: enum vmo_ask_type
 * @first: of the run; 0 for VMO_ASK_COMPLETE
 * @last: as well
 */
struct vmo_notice {
	u64 id;
	u64 key;
	unsigned int type;
	pgoff_t first;
	pgoff_t last;
};

/**
 * struct vmo_asked - what is on a queue
 * @link: in the queue's list, of what waits or of what was handed out
 * @source: whose it is
 * @id: raised with each
 * @type: enum vmo_ask_type
 * @handed: the server has seen it
 */
struct vmo_asked {
	struct list_head link;
	struct vmo_source *source;
	u64 id;
	unsigned int type;
	bool handed;
};

/**
 * struct vmo_request - a run of keys that somebody needs, or needed
 * @asked: its place on the queue
 * @run: its place in the source: first and last key
 * @waiters: who is not woken yet
 * @left: it was asked by nobody who waits
 */
struct vmo_request {
	struct vmo_asked asked;
	struct interval_tree_node run;
	struct list_head waiters;
	bool left;
};

/* Of requests that nobody waits for each source has at most so many. */
#define VMO_LEFT_MAX	64U

/**
 * struct vmo_waiter - somebody who needs a page next
 * @link: in the request's list
 * @request: that it waits for; NULL if it was woken, or never waited
 * @key: the page
 * @poked: of VMO_ASK_SYNC: up to here the server has written back since
 * @error: 0: look again; else why not, -errno
 * @wake: called under the queue's lock when @request has become NULL, or was poked
 */
struct vmo_waiter {
	struct list_head link;
	struct vmo_request *request;
	pgoff_t key;
	pgoff_t poked;
	int error;
	void (*wake)(struct vmo_waiter *waiter);
};

/**
 * enum vmo_want - what somebody wants of a content with a source
 * @VMO_WANT_READ: to know what is there
 * @VMO_WANT_PAGE: to have a page there, of what is known
 * @VMO_WANT_WRITE: to write it
 * @VMO_WANT_WRITE_ONE: to write it, but not what follows
 * @VMO_WANT_SYNC: that the server knows what was written
 */
enum vmo_want {
	VMO_WANT_READ,
	VMO_WANT_PAGE,
	VMO_WANT_WRITE,
	VMO_WANT_WRITE_ONE,
	VMO_WANT_SYNC,
};

/**
 * struct vmo_queue_ops - what whoever has the queue does
 * @ready: there is something to take, and nobody was told yet; under the queue's lock
 * @need: asks for what is wanted at @key, and up to @last, and waits. 0: look again; else
 *	why not. No lock held.
 */
struct vmo_queue_ops {
	void (*ready)(struct vmo_queue *queue);
	int (*need)(struct vmo_cow_pages *cow, pgoff_t key, pgoff_t last, enum vmo_want want);
};

/**
 * struct vmo_queue - what a pager has to do
 * @lock: covers all that is here
 * @waiting: struct vmo_asked that the server has not seen, in the order to be told
 * @handed: those that it has, in the order in which they were told
 * @sources: those that are not closed
 * @last_id: of what was asked last
 * @armed: tell about the next that comes
 * @refused: what whoever asks is told instead; 0 if one may ask
 * @ops: immutable
 */
struct vmo_queue {
	spinlock_t lock;	/* covers all that is here */
	struct list_head waiting;
	struct list_head handed;
	struct list_head sources;
	u64 last_id;
	bool armed;
	int refused;
	const struct vmo_queue_ops *ops;
};

/**
 * struct vmo_source - the tie between a content and a pager
 * @link: in the queue's list, until it is closed
 * @queue: the pager's; immutable
 * @key: what the server calls it; immutable
 * @refs: the content's, and the queue's while @complete is on it
 * @requests: by type, none of which overlap
 * @complete: tells the server that it is over
 * @left: requests that were left; see VMO_LEFT_MAX
 * @closed: nothing can be asked any more
 * @modified: it was, and nobody has asked since; atomic by itself
 * @id: unique in the queue; immutable
 */
struct vmo_source {
	struct list_head link;
	struct vmo_queue *queue;
	u64 id;
	u64 key;
	refcount_t refs;
	struct rb_root_cached requests[VMO_ASK_TYPES];
	struct vmo_asked complete;
	unsigned int left;
	bool closed;
	bool modified;
};

/* An empty queue, where one may ask. */
void vmo_queue_init(struct vmo_queue *queue, const struct vmo_queue_ops *ops);

/*
 * Tells up to @room of what waits, oldest first, and returns how many. What is left is
 * told next; if nothing is, @ready is called with the next that comes. Whoever takes more
 * has seen what was taken before.
 */
unsigned int vmo_queue_take(struct vmo_queue *queue, struct vmo_notice *notices,
			    unsigned int room);
bool vmo_queue_empty(struct vmo_queue *queue);

/*
 * For who is about to wait without having taken: what it was told of may be withdrawn. If
 * there is nothing, @ready is called with the next that comes. True if so.
 */
bool vmo_queue_arm(struct vmo_queue *queue);

/* The last @nr that were taken could not be told: they wait again, ahead of all others. */
void vmo_queue_untell(struct vmo_queue *queue, const struct vmo_notice *notices,
		      unsigned int nr);

/*
 * Whoever took requests is gone, and did not answer: they wait again, ahead of all
 * others, in the order that they had.
 */
void vmo_queue_give_back(struct vmo_queue *queue);

/*
 * Nobody answers for now: all who wait, and who asks from now on, get @error. With 0 one
 * may ask again.
 */
void vmo_queue_refuse(struct vmo_queue *queue, int error);

/*
 * The pager is gone: closes all sources, whose waiters get -EBADFD. The queue has to stay
 * until the last source is released.
 */
void vmo_queue_close(struct vmo_queue *queue);

/* A source of @queue, which is not closed. NULL: no memory. */
struct vmo_source *vmo_source_new(struct vmo_queue *queue, u64 key);

/*
 * vmo_source_ask - wait for the page at @first
 *
 * Asks for as much of [@first, @last] as is not asked for yet, or joins the request that
 * has @first. The caller has looked for the page, and holds the content lock since then,
 * so that no answer comes in between. *@spare is a request that is not used yet, and
 * becomes NULL if it was taken. -EBADFD: the source is closed, or what the queue refuses
 * with. Else @waiter is linked until it is woken or leaves. It may be NULL, for one that
 * looks again some day; then the request stays until it is answered, and if there are too
 * many of these already it is -EAGAIN.
 */
int vmo_source_ask(struct vmo_source *source, unsigned int type, pgoff_t first,
		   pgoff_t last, struct vmo_waiter *waiter, struct vmo_request **spare);

/*
 * Wakes those who wait for VMO_ASK_SYNC, and have their key in [@first, @last], but lets
 * them wait on: they leave, or move to another key of the request.
 */
void vmo_source_poke(struct vmo_source *source, pgoff_t first, pgoff_t last);
/* False if it was woken for good since. */
bool vmo_source_move(struct vmo_source *source, struct vmo_waiter *waiter, pgoff_t key);

/* Waits no longer. True if it was woken before: @waiter->error says how. */
bool vmo_source_leave(struct vmo_source *source, struct vmo_waiter *waiter);

/* [@first, @last] is there now, or is what @type asked for: wakes who needs that next. */
void vmo_source_answer(struct vmo_source *source, unsigned int type, pgoff_t first,
		       pgoff_t last);

/*
 * Ends all requests that overlap [@first, @last]. Waiters whose page is in there, or who
 * wait for all of the run, get @error, others look again.
 */
void vmo_source_fail(struct vmo_source *source, pgoff_t first, pgoff_t last, int error);

/* Keys from @end on do not exist any more: wakes who waits for them. */
void vmo_source_cut(struct vmo_source *source, pgoff_t end);

bool vmo_source_closed(struct vmo_source *source);

/*
 * Fails all waiters with -EBADFD, as everybody who asks later. What the server has not
 * seen it never will; it is told VMO_ASK_COMPLETE. Also if that is what it was told to do.
 */
void vmo_source_detach(struct vmo_source *source);

/**
 * struct vmo_source_stats - what became of a content, and what is asked for
 * @id: of the source, unique in the queue
 * @key: what the server calls it
 * @waiting: requests that no server has seen
 * @handed: those that one has
 * @modified: see vmo_source_modified()
 */
struct vmo_source_stats {
	u64 id;
	u64 key;
	unsigned int waiting;
	unsigned int handed;
	bool modified;
};

/* With @reset it is not modified any more. */
void vmo_source_stats(struct vmo_source *source, bool reset, struct vmo_source_stats *stats);
/* Of the one with the lowest id from @id on that is not closed. False: there is none. */
bool vmo_queue_next_source(struct vmo_queue *queue, u64 id, struct vmo_source_stats *stats);
/* The request with the lowest id from @id on, and whether a server has it. */
bool vmo_queue_next(struct vmo_queue *queue, u64 id, struct vmo_notice *notice, bool *handed);

/* The content was modified, in the sense of struct vmo_pager_stats. */
void vmo_source_modified(struct vmo_source *source);

/* The content is gone. Detaches, and drops the reference of vmo_source_new(). */
void vmo_source_release(struct vmo_source *source);

struct vmo_request *vmo_request_alloc(void);
void vmo_request_free(struct vmo_request *request);

#endif
