// SPDX-License-Identifier: GPL-2.0
/* Requests of contents to their pagers: see page_source.h, which says who locks what. */
#include "engine.h"
#include "page_source.h"

static void put_source(struct vmo_source *source)
{
	if (refcount_dec_and_test(&source->refs))
		kfree(source);
}

/* ---- the queue --------------------------------------------------------- */

void vmo_queue_init(struct vmo_queue *queue, const struct vmo_queue_ops *ops)
{
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->waiting);
	INIT_LIST_HEAD(&queue->handed);
	INIT_LIST_HEAD(&queue->sources);
	queue->last_id = 0;
	queue->armed = true;
	queue->refused = 0;
	queue->ops = ops;
}

static void enqueue(struct vmo_asked *asked, struct vmo_source *source, unsigned int type)
{
	struct vmo_queue *queue = source->queue;

	lockdep_assert_held(&queue->lock);
	asked->source = source;
	asked->type = type;
	asked->id = ++queue->last_id;
	asked->handed = false;
	list_add_tail(&asked->link, &queue->waiting);
	if (!queue->armed)
		return;
	queue->armed = false;
	queue->ops->ready(queue);
}

static struct vmo_request *request_of(struct vmo_asked *asked)
{
	return container_of(asked, struct vmo_request, asked);
}

static void tell(struct vmo_asked *asked, struct vmo_notice *notice)
{
	bool complete = asked->type == VMO_ASK_COMPLETE;

	notice->id = asked->id;
	notice->key = asked->source->key;
	notice->type = asked->type;
	notice->first = complete ? 0 : request_of(asked)->run.start;
	notice->last = complete ? 0 : request_of(asked)->run.last;
}

/*
 * Whoever takes more has seen what it took before, and nobody answers VMO_ASK_COMPLETE.
 * To @done go the links of sources that are over.
 */
static void drop_completed(struct vmo_queue *queue, struct list_head *done)
{
	struct vmo_asked *asked, *next;

	list_for_each_entry_safe(asked, next, &queue->handed, link)
		if (asked->type == VMO_ASK_COMPLETE)
			list_move_tail(&asked->link, done);
}

static void put_completed(struct list_head *done)
{
	struct vmo_asked *asked, *next;

	list_for_each_entry_safe(asked, next, done, link)
		put_source(asked->source);
}

unsigned int vmo_queue_take(struct vmo_queue *queue, struct vmo_notice *notices,
			    unsigned int room)
{
	struct vmo_asked *asked;
	unsigned int nr = 0;
	LIST_HEAD(done);

	spin_lock(&queue->lock);
	drop_completed(queue, &done);
	while (nr < room && !list_empty(&queue->waiting)) {
		asked = list_first_entry(&queue->waiting, struct vmo_asked, link);
		tell(asked, &notices[nr++]);
		asked->handed = true;
		list_move_tail(&asked->link, &queue->handed);
	}
	if (list_empty(&queue->waiting))
		queue->armed = true;
	spin_unlock(&queue->lock);
	put_completed(&done);
	return nr;
}

bool vmo_queue_empty(struct vmo_queue *queue)
{
	return list_empty(&queue->waiting);
}

bool vmo_queue_arm(struct vmo_queue *queue)
{
	bool empty;

	spin_lock(&queue->lock);
	empty = list_empty(&queue->waiting);
	if (empty)
		queue->armed = true;
	spin_unlock(&queue->lock);
	return empty;
}

/* Queue lock. NULL if it was answered since. */
static struct vmo_asked *handed_out(struct vmo_queue *queue, u64 id)
{
	struct vmo_asked *asked;

	list_for_each_entry(asked, &queue->handed, link)
		if (asked->id == id)
			return asked;
	return NULL;
}

void vmo_queue_untell(struct vmo_queue *queue, const struct vmo_notice *notices,
		      unsigned int nr)
{
	struct vmo_asked *asked;

	spin_lock(&queue->lock);
	while (nr--) {
		asked = handed_out(queue, notices[nr].id);
		if (!asked)
			continue;
		asked->handed = false;
		list_move(&asked->link, &queue->waiting);
	}
	spin_unlock(&queue->lock);
}

void vmo_queue_give_back(struct vmo_queue *queue)
{
	struct vmo_asked *asked;

	spin_lock(&queue->lock);
	list_for_each_entry(asked, &queue->handed, link)
		asked->handed = false;
	list_splice_init(&queue->handed, &queue->waiting);
	queue->armed = false;
	if (list_empty(&queue->waiting))
		queue->armed = true;
	else
		queue->ops->ready(queue);
	spin_unlock(&queue->lock);
}

/* ---- sources ----------------------------------------------------------- */

struct vmo_source *vmo_source_new(struct vmo_queue *queue, u64 key)
{
	struct vmo_source *source = kzalloc(sizeof(*source), GFP_KERNEL_ACCOUNT);
	unsigned int type;

	if (!source)
		return NULL;
	source->queue = queue;
	source->key = key;
	refcount_set(&source->refs, 1);
	for (type = 0; type < VMO_ASK_TYPES; type++)
		source->requests[type] = RB_ROOT_CACHED;
	spin_lock(&queue->lock);
	source->id = ++queue->last_id;
	list_add_tail(&source->link, &queue->sources);
	spin_unlock(&queue->lock);
	return source;
}

/* ---- requests ---------------------------------------------------------- */

struct vmo_request *vmo_request_alloc(void)
{
	struct vmo_request *request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);

	if (request)
		INIT_LIST_HEAD(&request->waiters);
	return request;
}

void vmo_request_free(struct vmo_request *request)
{
	kfree(request);
}

/* The first of @type that overlaps [@first, @last]. */
static struct vmo_request *find(struct vmo_source *source, unsigned int type, pgoff_t first,
				pgoff_t last)
{
	struct interval_tree_node *run;

	run = interval_tree_iter_first(&source->requests[type], first, last);
	return run ? container_of(run, struct vmo_request, run) : NULL;
}

static void wake(struct vmo_waiter *waiter, int error)
{
	list_del(&waiter->link);
	waiter->error = error;
	WRITE_ONCE(waiter->request, NULL);
	waiter->wake(waiter);
}

/* Nobody waits for it, and no server answers it, any more. */
static void forget(struct vmo_request *request)
{
	struct vmo_source *source = request->asked.source;

	source->left -= request->left;
	interval_tree_remove(&request->run, &source->requests[request->asked.type]);
	list_del(&request->asked.link);
	kfree(request);
}

/* Wakes those whose page is in [@first, @last]. */
static void wake_range(struct vmo_request *request, pgoff_t first, pgoff_t last, int error)
{
	struct vmo_waiter *waiter, *next;

	list_for_each_entry_safe(waiter, next, &request->waiters, link)
		if (waiter->key >= first && waiter->key <= last)
			wake(waiter, error);
}

/* Ends it. Those whose page is in [@first, @last] get @error, the others look again. */
static void end_request(struct vmo_request *request, pgoff_t first, pgoff_t last, int error)
{
	if (request->asked.type == VMO_ASK_SYNC)
		wake_range(request, 0, ~0UL, error);
	else
		wake_range(request, first, last, error);
	wake_range(request, 0, ~0UL, 0);
	forget(request);
}

/* Puts what the caller did not have to bring along between those that are there. */
static void add_request(struct vmo_source *source, unsigned int type, pgoff_t first,
			pgoff_t last, struct vmo_request *request)
{
	request->run.start = first;
	request->run.last = last;
	interval_tree_insert(&request->run, &source->requests[type]);
	enqueue(&request->asked, source, type);
}

int vmo_source_ask(struct vmo_source *source, unsigned int type, pgoff_t first,
		   pgoff_t last, struct vmo_waiter *waiter, struct vmo_request **spare)
{
	struct vmo_request *request;
	int error;

	spin_lock(&source->queue->lock);
	if (source->closed || source->queue->refused) {
		error = source->closed ? -EBADFD : source->queue->refused;
		spin_unlock(&source->queue->lock);
		return error;
	}
	request = type == VMO_ASK_SYNC ? NULL : find(source, type, first, last);
	if (!request || request->run.start > first) {
		/* P11: up to the one that is there. */
		if (request)
			last = request->run.start - 1;
		if (!waiter && source->left == VMO_LEFT_MAX) {
			spin_unlock(&source->queue->lock);
			return -EAGAIN;
		}
		request = *spare;
		*spare = NULL;
		request->left = !waiter;
		source->left += request->left;
		add_request(source, type, first, last, request);
	}
	if (waiter) {
		waiter->key = first;
		waiter->poked = 0;
		waiter->error = 0;
		waiter->request = request;
		list_add_tail(&waiter->link, &request->waiters);
	}
	spin_unlock(&source->queue->lock);
	return 0;
}

/* What nobody needs and nobody has seen is withdrawn. */
static void withdraw(struct vmo_request *request)
{
	if (list_empty(&request->waiters) && !request->asked.handed)
		forget(request);
}

bool vmo_source_leave(struct vmo_source *source, struct vmo_waiter *waiter)
{
	struct vmo_request *request;

	spin_lock(&source->queue->lock);
	request = waiter->request;
	if (request) {
		list_del(&waiter->link);
		waiter->request = NULL;
		/*
		 * P15: the next who needs it asks anew, for the server may have
		 * given up on what nobody waited for.
		 */
		if (list_empty(&request->waiters))
			forget(request);
	}
	spin_unlock(&source->queue->lock);
	return !request;
}

static bool waits_below(struct vmo_request *request, pgoff_t key)
{
	struct vmo_waiter *waiter;

	list_for_each_entry(waiter, &request->waiters, link)
		if (waiter->key < key)
			return true;
	return false;
}

/* From here on it is for [@first, @last] of its run only. Others ask anew. */
static void narrow(struct vmo_request *request, pgoff_t first, pgoff_t last)
{
	struct vmo_source *source = request->asked.source;
	struct rb_root_cached *root = &source->requests[request->asked.type];

	if (first)
		wake_range(request, 0, first - 1, 0);
	wake_range(request, last + 1, ~0UL, 0);
	interval_tree_remove(&request->run, root);
	request->run.start = first;
	request->run.last = last;
	interval_tree_insert(&request->run, root);
	withdraw(request);
}

/*
 * What was answered may be needed anew while the rest is not answered yet, and then has
 * to be asked for: so it is no part of the request any more. Of two ends that are left
 * the one stays for which somebody waits.
 */
static void answer(struct vmo_request *request, pgoff_t first, pgoff_t last)
{
	bool head = first > request->run.start, tail = last < request->run.last;

	if (head && (!tail || waits_below(request, first)))
		narrow(request, request->run.start, first - 1);
	else if (tail)
		narrow(request, last + 1, request->run.last);
	else
		end_request(request, 1, 0, 0);
}

void vmo_source_answer(struct vmo_source *source, unsigned int type, pgoff_t first,
		       pgoff_t last)
{
	struct vmo_request *request;
	pgoff_t next = first;

	spin_lock(&source->queue->lock);
	while (next <= last && (request = find(source, type, next, last))) {
		next = request->run.last + 1;
		answer(request, first, last);
	}
	spin_unlock(&source->queue->lock);
}

static void poke(struct vmo_waiter *waiter, pgoff_t first, pgoff_t last)
{
	if (waiter->key < first || waiter->key > last)
		return;
	waiter->poked = last;
	waiter->wake(waiter);
}

void vmo_source_poke(struct vmo_source *source, pgoff_t first, pgoff_t last)
{
	struct interval_tree_node *run;
	struct vmo_request *request;
	struct vmo_waiter *waiter;

	spin_lock(&source->queue->lock);
	run = interval_tree_iter_first(&source->requests[VMO_ASK_SYNC], first, last);
	for (; run; run = interval_tree_iter_next(run, first, last)) {
		request = container_of(run, struct vmo_request, run);
		list_for_each_entry(waiter, &request->waiters, link)
			poke(waiter, first, last);
	}
	spin_unlock(&source->queue->lock);
}

bool vmo_source_move(struct vmo_source *source, struct vmo_waiter *waiter, pgoff_t key)
{
	bool waits;

	spin_lock(&source->queue->lock);
	waits = waiter->request;
	if (waits)
		waiter->key = key;
	spin_unlock(&source->queue->lock);
	return waits;
}

static void end_all(struct vmo_source *source, pgoff_t first, pgoff_t last, int error)
{
	struct vmo_request *request;
	unsigned int type;

	for (type = 0; type < VMO_ASK_TYPES; type++)
		while ((request = find(source, type, first, last)))
			end_request(request, first, last, error);
}

void vmo_source_fail(struct vmo_source *source, pgoff_t first, pgoff_t last, int error)
{
	spin_lock(&source->queue->lock);
	end_all(source, first, last, error);
	spin_unlock(&source->queue->lock);
}

void vmo_source_cut(struct vmo_source *source, pgoff_t end)
{
	spin_lock(&source->queue->lock);
	end_all(source, end, ~0UL, 0);
	spin_unlock(&source->queue->lock);
}

void vmo_source_modified(struct vmo_source *source)
{
	if (!READ_ONCE(source->modified))
		WRITE_ONCE(source->modified, true);
}

/* Queue lock. */
static void read_stats(struct vmo_source *source, struct vmo_source_stats *stats)
{
	struct interval_tree_node *run;
	struct vmo_request *request;
	unsigned int type;

	*stats = (struct vmo_source_stats){
		.id = source->id, .key = source->key, .modified = READ_ONCE(source->modified),
	};
	for (type = 0; type < VMO_ASK_TYPES; type++) {
		run = interval_tree_iter_first(&source->requests[type], 0, ~0UL);
		for (; run; run = interval_tree_iter_next(run, 0, ~0UL)) {
			request = container_of(run, struct vmo_request, run);
			++*(request->asked.handed ? &stats->handed : &stats->waiting);
		}
	}
}

void vmo_source_stats(struct vmo_source *source, bool reset, struct vmo_source_stats *stats)
{
	spin_lock(&source->queue->lock);
	read_stats(source, stats);
	if (reset)
		WRITE_ONCE(source->modified, false);
	spin_unlock(&source->queue->lock);
}

bool vmo_queue_next_source(struct vmo_queue *queue, u64 id, struct vmo_source_stats *stats)
{
	struct vmo_source *source, *found = NULL;

	spin_lock(&queue->lock);
	list_for_each_entry(source, &queue->sources, link)
		if (source->id >= id && (!found || source->id < found->id))
			found = source;
	if (found)
		read_stats(found, stats);
	spin_unlock(&queue->lock);
	return found;
}

static void lowest_id(struct list_head *list, u64 id, struct vmo_asked **found)
{
	struct vmo_asked *asked;

	list_for_each_entry(asked, list, link)
		if (asked->id >= id && (!*found || asked->id < (*found)->id))
			*found = asked;
}

bool vmo_queue_next(struct vmo_queue *queue, u64 id, struct vmo_notice *notice, bool *handed)
{
	struct vmo_asked *found = NULL;

	spin_lock(&queue->lock);
	lowest_id(&queue->waiting, id, &found);
	lowest_id(&queue->handed, id, &found);
	if (found) {
		tell(found, notice);
		*handed = found->handed;
	}
	spin_unlock(&queue->lock);
	return found;
}

bool vmo_source_closed(struct vmo_source *source)
{
	bool closed;

	spin_lock(&source->queue->lock);
	closed = source->closed;
	spin_unlock(&source->queue->lock);
	return closed;
}

void vmo_queue_refuse(struct vmo_queue *queue, int error)
{
	struct vmo_source *source, *next;

	spin_lock(&queue->lock);
	queue->refused = error;
	if (error)
		list_for_each_entry_safe(source, next, &queue->sources, link)
			end_all(source, 0, ~0UL, error);
	spin_unlock(&queue->lock);
}

/* ---- the end ----------------------------------------------------------- */

/* From here on nobody asks. Queue lock. */
static void close_source(struct vmo_source *source)
{
	source->closed = true;
	list_del_init(&source->link);
	end_all(source, 0, ~0UL, -EBADFD);
}

void vmo_source_detach(struct vmo_source *source)
{
	spin_lock(&source->queue->lock);
	if (!source->closed) {
		close_source(source);
		refcount_inc(&source->refs);
		enqueue(&source->complete, source, VMO_ASK_COMPLETE);
	}
	spin_unlock(&source->queue->lock);
}

void vmo_source_release(struct vmo_source *source)
{
	vmo_source_detach(source);
	put_source(source);
}

void vmo_queue_close(struct vmo_queue *queue)
{
	struct vmo_source *source, *next;
	LIST_HEAD(done);

	spin_lock(&queue->lock);
	list_for_each_entry_safe(source, next, &queue->sources, link)
		close_source(source);
	/* No request is left, so all of them are VMO_ASK_COMPLETE. */
	list_splice_init(&queue->waiting, &done);
	list_splice_init(&queue->handed, &done);
	spin_unlock(&queue->lock);
	put_completed(&done);
}
