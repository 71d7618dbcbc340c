/* SPDX-License-Identifier: GPL-2.0 */
/* Pagers, and a server that a test can have in a thread or in a process of its own. */
#ifndef PAGER_UTIL_H
#define PAGER_UTIL_H

#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "vmo_test_util.h"

#define KEY	0x1234567890ULL

static inline int pager_new(int dev)
{
	struct vmo_pager_create arg = { .fd = -1 };

	return ioctl(dev, VMO_PAGER_CREATE, &arg) ? -1 : arg.fd;
}

static inline int pager_with(int dev, unsigned int rebind_ms, unsigned int timeout_ms,
			     unsigned int window)
{
	struct vmo_pager_create arg = {
		.flags = VMO_PAGER_LIMITS, .fd = -1, .rebind_ms = rebind_ms,
		.report_ms = 100000, .timeout_ms = timeout_ms, .window = window,
	};

	return ioctl(dev, VMO_PAGER_CREATE, &arg) ? -1 : arg.fd;
}

static inline int pager_bind(int pager)
{
	struct vmo_pager_bind arg = { .fd = -1 };

	return ioctl(pager, VMO_PAGER_BIND, &arg) ? -1 : arg.fd;
}

static inline int paged_new(int dev, int pager, uint64_t pages, uint32_t flags)
{
	struct vmo_create arg = {
		.size = pages * PS, .flags = VMO_CREATE_PAGER | flags, .fd = -1,
		.key = KEY, .pager_fd = pager,
	};

	return ioctl(dev, VMO_CREATE, &arg) ? -1 : arg.fd;
}

static inline int pager_supply(int pager, int fd, uint64_t page, uint64_t pages, int src,
			       uint64_t from)
{
	struct vmo_pager_supply arg = {
		.offset = page * PS, .length = pages * PS, .src_offset = from * PS,
		.vmo_fd = fd, .src_fd = src,
	};

	return ioctl(pager, VMO_PAGER_SUPPLY, &arg);
}

static inline int pager_fail(int pager, int fd, uint64_t page, uint64_t pages, int error)
{
	struct vmo_pager_fail arg = {
		.offset = page * PS, .length = pages * PS, .vmo_fd = fd, .error = error,
	};

	return ioctl(pager, VMO_PAGER_FAIL, &arg);
}

static inline int pager_writeback(int pager, int fd, uint64_t page, uint64_t pages,
				  uint32_t flags)
{
	struct vmo_pager_writeback arg = {
		.offset = page * PS, .length = pages * PS, .vmo_fd = fd, .flags = flags,
	};

	return ioctl(pager, VMO_PAGER_WRITEBACK, &arg);
}

static inline int pager_may_dirty(int pager, int fd, uint64_t page, uint64_t pages)
{
	struct vmo_pager_dirty arg = {
		.offset = page * PS, .length = pages * PS, .vmo_fd = fd,
	};

	return ioctl(pager, VMO_PAGER_DIRTY, &arg);
}

/* Was the object modified? -1: error. */
static inline int pager_modified(int pager, int fd, uint32_t flags)
{
	struct vmo_pager_stats arg = { .vmo_fd = fd, .flags = flags };

	return ioctl(pager, VMO_PAGER_STATS, &arg) ? -1 : (int)arg.modified;
}

/* How many ranges of a whole object are told, of up to 16; -1 if there are more. */
static inline int pager_dirty(int pager, int fd, struct vmo_page_run *runs)
{
	struct vmo_pager_dirty_ranges arg = {
		.length = info_of(fd).size, .ranges = (uintptr_t)runs, .count = 16, .vmo_fd = fd,
	};

	return ioctl(pager, VMO_PAGER_DIRTY_RANGES, &arg) || arg.length ? -1 : (int)arg.count;
}

static inline bool run_is(const struct vmo_page_run *run, uint64_t page, uint64_t pages,
			  uint32_t state)
{
	return run->offset == page * PS && run->length == pages * PS && run->state == state &&
	       !run->reserved;
}

static inline int pager_detach(int pager, int fd)
{
	struct vmo_pager_detach arg = { .vmo_fd = fd };

	return ioctl(pager, VMO_PAGER_DETACH, &arg);
}

/* The next request, for which it waits; all zeroes if there is none. */
static inline struct vmo_pager_request next_request(int binding)
{
	struct vmo_pager_request request;

	if (read(binding, &request, sizeof(request)) != sizeof(request))
		memset(&request, 0, sizeof(request));
	return request;
}

static inline bool is_request(const struct vmo_pager_request *request, uint64_t page,
			      uint64_t pages)
{
	return request->type == VMO_REQUEST_READ && request->key == KEY &&
	       request->offset == page * PS && request->length == pages * PS &&
	       !request->reserved;
}

static inline bool has_requests(int binding, int ms)
{
	struct pollfd pfd = { .fd = binding, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents & POLLIN;
}

/* Page i has the seed base + i; every 13th is a hole. */
static inline uint64_t stored_seed(uint64_t base, uint64_t page)
{
	return page % 13 == 7 ? 0 : base + page;
}

/* Supplies, through an object of its own. */
static inline int supply_pages(int pager, int fd, int aux, uint64_t page, uint64_t pages,
			       uint64_t base)
{
	for (uint64_t i = page; i < page + pages; i++)
		if (stored_seed(base, i) && write_page(aux, i, stored_seed(base, i)))
			return -1;
	return pager_supply(pager, fd, page, pages, aux, page);
}

/**
 * struct server - who answers
 * @binding: where requests come from
 * @fd: the object
 * @aux: another one, of the same size
 * @base: of the seeds
 * @pages: size of the object
 * @more: pages to supply beyond what is asked for
 * @delay_us: before each answer, at most; at random
 * @stop: ends the thread
 * @requests: how many there were of VMO_REQUEST_READ
 * @dirties: how many of VMO_REQUEST_DIRTY
 * @syncs: how many of VMO_REQUEST_SYNC
 * @asked: pages in them
 * @thread: if it is one
 */
struct server {
	int binding;
	int fd;
	int aux;
	uint64_t base;
	uint64_t pages;
	uint64_t more;
	unsigned int delay_us;
	uint64_t stop;
	uint64_t requests;
	uint64_t dirties;
	uint64_t syncs;
	uint64_t asked;
	pthread_t thread;
};

static inline void serve_one(struct server *s, const struct vmo_pager_request *request)
{
	uint64_t page = request->offset / PS, pages = request->length / PS + s->more;

	if (request->type == VMO_REQUEST_DIRTY) {
		store(&s->dirties, s->dirties + 1);
		pager_may_dirty(s->binding, s->fd, page, request->length / PS);
	}
	if (request->type == VMO_REQUEST_SYNC) {
		store(&s->syncs, s->syncs + 1);
		pager_writeback(s->binding, s->fd, page, request->length / PS, VMO_PAGER_BEGIN);
		if (s->delay_us)
			usleep(s->delay_us);
		pager_writeback(s->binding, s->fd, page, request->length / PS, VMO_PAGER_END);
	}
	if (request->type != VMO_REQUEST_READ)
		return;
	store(&s->requests, s->requests + 1);
	store(&s->asked, s->asked + request->length / PS);
	if (s->delay_us)
		usleep(mix(request->id) % s->delay_us);
	if (page + pages > s->pages)
		pages = s->pages - page;
	supply_pages(s->binding, s->fd, s->aux, page, pages, s->base);
}

static inline void *serve(void *arg)
{
	struct vmo_pager_request requests[16];
	struct server *s = arg;
	ssize_t bytes;

	while (!load(&s->stop)) {
		if (!has_requests(s->binding, 20))
			continue;
		bytes = read(s->binding, requests, sizeof(requests));
		for (ssize_t i = 0; i < bytes / (ssize_t)sizeof(*requests); i++)
			serve_one(s, &requests[i]);
	}
	return NULL;
}

static inline void server_start(struct server *s)
{
	s->stop = 0;
	pthread_create(&s->thread, NULL, serve, s);
}

static inline void server_stop(struct server *s)
{
	store(&s->stop, 1);
	pthread_join(s->thread, NULL);
}

/* The first page that is not as the server has it, read with pread(); -1 if none. */
static inline long wrong_stored(int fd, uint64_t first, uint64_t count, uint64_t base)
{
	char *buf = malloc(PS);
	long wrong = -1;

	for (uint64_t i = first; i < first + count && wrong == -1; i++)
		if (pread(fd, buf, PS, i * PS) != (ssize_t)PS ||
		    !page_is(buf, stored_seed(base, i)))
			wrong = i;
	free(buf);
	return wrong;
}

/* All that servers have told, and nobody holds, is given up. */
static inline bool evict_all(void)
{
	return put_line("/sys/kernel/debug/vmo/evict", O_WRONLY, "1");
}

/**
 * struct client - somebody who needs a page, in a thread of its own
 * @fd: of the object
 * @map: if not NULL, reads there instead
 * @page: which one
 * @pages: how many
 * @result: of pread(), or the signal
 * @error: its errno
 * @byte: the first one read
 * @tid: of the thread; 0 until it runs
 * @done: it has ended
 * @thread: who
 */
struct client {
	int fd;
	char *map;
	uint64_t page;
	uint64_t pages;
	long result;
	int error;
	uint64_t word;
	uint64_t tid;
	uint64_t done;
	pthread_t thread;
};

static inline void *client_run(void *arg)
{
	struct client *c = arg;
	char *buf;

	store(&c->tid, syscall(SYS_gettid));
	if (c->map) {
		c->result = touch(c->map + c->page * PS, false);
		if (!c->result)
			memcpy(&c->word, c->map + c->page * PS, sizeof(c->word));
	} else {
		buf = malloc(c->pages * PS);
		errno = 0;
		c->result = pread(c->fd, buf, c->pages * PS, c->page * PS);
		c->error = errno;
		memcpy(&c->word, buf, sizeof(c->word));
		free(buf);
	}
	store(&c->done, 1);
	return NULL;
}

static inline void client_start(struct client *c)
{
	c->done = 0;
	c->tid = 0;
	pthread_create(&c->thread, NULL, client_run, c);
}

/* False if it has not come to an end after so long. */
static inline bool client_ends(struct client *c, double within)
{
	double end = seconds() + within;

	while (!load(&c->done) && seconds() < end)
		usleep(2000);
	if (!load(&c->done))
		return false;
	pthread_join(c->thread, NULL);
	return true;
}

static inline bool word_is(uint64_t word, uint64_t seed)
{
	return word == (seed ? mix(seed << 16) : 0);
}

#endif
