// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of calls and accesses, next to a model of what the rules say they do.
 *
 * The model has a plain array of bytes for each memory, and knows which of its pages
 * exist and who shares them. So it foretells every errno, every byte, every signal, where
 * SEEK_HOLE finds a hole, what VMO_INFO counts and how many pages the module holds.
 * Everything is decided by the seed: a failure says how to get it again.
 *
 * random_test [VMO_SEED=N] [VMO_OPS=N] [option of the harness...]; or by environment.
 * VMO_TRACE=1 prints each operation.
 */
#include "vmo_test_util.h"
#include <stdarg.h>
#include <poll.h>
#include <sys/uio.h>
#include "kselftest_harness.h"

#define MAX_PAGES	64U	/* of an object */
#define MAX_OBJECTS	24U
#define MAX_MAPS	12U
#define MAP_PAGES	80U	/* of a mapping; it may reach past the end */
#define MAX_PINS	6U
#define CHUNK		4U	/* pages per access, at most */
#define NOTES		20U

/* ---- the model's state -------------------------------------------------- */

/* A memory: what one or more objects show. Absent pages have bytes, too: zeroes. */
struct mem {
	int users;
	unsigned int family;
	bool resizable;
	bool clone;
	uint64_t base;			/* pages, from the first ancestor */
	unsigned int pages;
	uint64_t present;
	unsigned int nr_pins;
	unsigned int pins[MAX_PAGES];
	unsigned int id[MAX_PAGES];	/* of a present page; equal if it is shared */
	uint8_t *byte;
	struct base *back;		/* what it can go back to, or NULL */
};

struct base {
	bool used;
	unsigned int pages;
	uint64_t length;
	uint64_t present;
	unsigned int id[MAX_PAGES];
	uint8_t *byte;
};

/* A content size; an object has it in common with its references. */
struct length {
	int users;
	uint64_t bytes;
};

struct object {
	bool alive;		/* a descriptor, a mapping or a pin has it */
	int fd;			/* -1: closed */
	int holds;		/* mappings and pins */
	struct mem *mem;
	struct length *length;
	unsigned int first;	/* page of the memory */
	unsigned int slice_pages;
	int watch;		/* a harvester; 0: none */
	uint64_t seen[MAX_PAGES];	/* sums of what it told of */
	bool slice;
	bool reference;
	bool no_write;
	bool may_resize;
	bool exec;
	struct object *parent;
	unsigned int children;
	uint64_t id;
	unsigned int name;
	struct vmo_info last;	/* what it said when it was asked last */
};

struct pin {
	int fd;
	struct object *object;
	unsigned int first;
	unsigned int pages;
};

struct note {
	const char *format;
	long arg[6];
};

/* Shared by processes, so that a child of fork() can go on with it. */
struct world {
	uint64_t random;
	unsigned int nr_ops;
	unsigned int families;
	bool failed;
	unsigned int holders[2 * MAX_OBJECTS * MAX_PAGES];	/* of each page id */
	unsigned int held;				/* ids that are in use */
	struct mem mem[MAX_OBJECTS];
	struct base base[MAX_OBJECTS];
	struct length length[MAX_OBJECTS];
	struct object object[MAX_OBJECTS];
	struct pin pin[MAX_PINS];
	struct note note[NOTES];
	unsigned int notes;
};

/* Not shared: a private copy is of one process. */
struct map {
	char *addr;
	struct object *object;
	unsigned int first;	/* page of the object */
	unsigned int pages;
	bool shared;
	bool may_write;
	bool split;		/* several areas, which mremap() would refuse */
	uint8_t prot[MAP_PAGES];
	uint8_t *copy[MAP_PAGES];
};

static struct world *w;
static struct map maps[MAX_MAPS];
static int dev;
static char *io;		/* CHUNK + 1 pages */
static bool trace;

/* ---- chance ------------------------------------------------------------- */

static uint64_t next_random(void)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random * 0x2545f4914f6cdd1dULL;
}

/* Below n; 0 if n is 0. */
static unsigned int below(unsigned int n)
{
	return n ? (next_random() >> 32) % n : 0;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

/* ---- what was done, and what went wrong --------------------------------- */

static void print_note(const struct note *n)
{
	printf("# ");
	printf(n->format, n->arg[0], n->arg[1], n->arg[2], n->arg[3], n->arg[4], n->arg[5]);
	printf("\n");
}

#define NOTE(_format, ...) add_note(_format, (long[6]) { __VA_ARGS__ })

static void add_note(const char *format, const long *arg)
{
	struct note *n = &w->note[w->notes++ % NOTES];

	n->format = format;
	memcpy(n->arg, arg, sizeof(n->arg));
	if (trace) {
		printf("# %u:", w->nr_ops);
		print_note(n);
		fflush(stdout);
	}
}

static void print_notes(void)
{
	unsigned int first = w->notes > NOTES ? w->notes - NOTES : 0;

	for (unsigned int i = first; i < w->notes; i++)
		print_note(&w->note[i % NOTES]);
	fflush(stdout);
}

static __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	printf("# operation %u: ", w->nr_ops);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("; the last ones were:\n");
	print_notes();
}

/* What a call returned, or minus its errno. */
static long result(long ret)
{
	return ret == -1 ? -errno : ret;
}

static bool expect(long got, long want)
{
	if (got == want)
		return true;
	fail("%ld, not %ld", got, want);
	return false;
}

static unsigned int nr_of(const struct object *o)
{
	return o - w->object;
}

/* ---- the model: pages --------------------------------------------------- */

static uint64_t bit(unsigned int page)
{
	return 1ULL << page;
}

static unsigned int new_id(void)
{
	unsigned int id = 0;

	while (w->holders[id])
		id++;
	w->holders[id] = 1;
	w->held++;
	return id;
}

static void put_id(unsigned int id)
{
	if (!--w->holders[id])
		w->held--;
}

/* As before a write: the page exists, and nobody else has it. */
static void own(struct mem *m, unsigned int page)
{
	if (m->present & bit(page)) {
		if (w->holders[m->id[page]] == 1)
			return;
		put_id(m->id[page]);
	}
	m->present |= bit(page);
	m->id[page] = new_id();
}

static void drop(struct mem *m, unsigned int page)
{
	if (!(m->present & bit(page)))
		return;
	m->present &= ~bit(page);
	put_id(m->id[page]);
	memset(m->byte + page * PS, 0, PS);
}

/* Bytes of one page. */
static void clear(struct mem *m, unsigned int page, size_t from, size_t to)
{
	if (!(m->present & bit(page)))
		return;
	own(m, page);
	memset(m->byte + page * PS + from, 0, to - from);
}

static void store_bytes(struct mem *m, uint64_t offset, const void *data, size_t bytes)
{
	for (uint64_t page = offset / PS; bytes && page <= (offset + bytes - 1) / PS; page++)
		own(m, page);
	memcpy(m->byte + offset, data, bytes);
}

/* O2, O3: parts of pages are cleared, whole pages given up unless they are pinned. */
static void zero(struct mem *m, uint64_t from, uint64_t to)
{
	while (from < to) {
		unsigned int page = from / PS;
		uint64_t end = (page + 1) * PS < to ? (page + 1) * PS : to;

		if (end - from < PS || m->pins[page])
			clear(m, page, from % PS, (end - 1) % PS + 1);
		else
			drop(m, page);
		from = end;
	}
}

static bool any_pin(const struct mem *m, unsigned int first, unsigned int end)
{
	for (unsigned int page = first; m->nr_pins && page < end; page++)
		if (m->pins[page])
			return true;
	return false;
}

/* ---- the model: objects ------------------------------------------------- */

static unsigned int pages_of(const struct object *o)
{
	return o->slice ? o->slice_pages : o->mem->pages;
}

static uint64_t size_of(const struct object *o)
{
	return pages_of(o) * PS;
}

/* How large it could be: its end, counted from the first ancestor, must not wrap. */
static uint64_t largest(const struct object *o)
{
	return MAX_SIZE - (o->mem->base + o->first) * PS;
}

static struct mem *new_mem(unsigned int pages, bool resizable)
{
	struct mem *m = w->mem;
	uint8_t *byte;

	while (m->users)
		m++;
	byte = m->byte;
	*m = (struct mem) { .users = 1, .pages = pages, .resizable = resizable, .byte = byte };
	return m;
}

static struct length *new_length(uint64_t bytes)
{
	struct length *l = w->length;

	while (l->users)
		l++;
	*l = (struct length) { .users = 1, .bytes = bytes };
	return l;
}

static struct object *new_object(int fd, struct object *parent)
{
	struct object *o = w->object;
	struct vmo_info info;

	while (o->alive)
		o++;
	*o = (struct object) { .alive = true, .fd = fd, .parent = parent };
	if (vmo_stat(fd, &info))
		fail("no info of the new object, errno %d", errno);
	o->id = info.id;
	if (parent) {
		parent->children++;
		o->name = parent->name;
	}
	return o;
}

static bool room_for_object(void)
{
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (!w->object[i].alive)
			return true;
	return false;
}

static void put_mem(struct mem *m)
{
	if (--m->users)
		return;
	for (unsigned int page = 0; page < m->pages; page++)
		drop(m, page);
	for (unsigned int page = 0; m->back && page < m->back->pages; page++)
		if (m->back->present & bit(page))
			put_id(m->back->id[page]);
	if (m->back)
		m->back->used = false;
}

/* H4: the children go to the parent. */
static void object_gone(struct object *o)
{
	if (o->fd >= 0 || o->holds)
		return;
	o->alive = false;
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (w->object[i].alive && w->object[i].parent == o)
			w->object[i].parent = o->parent;
	if (o->parent)
		o->parent->children += o->children - 1;
	o->length->users--;
	put_mem(o->mem);
}

static void release_hold(struct object *o)
{
	o->holds--;
	object_gone(o);
}

/* An object that has a descriptor; there is one at least. */
static struct object *any_object(void)
{
	unsigned int at = below(MAX_OBJECTS);

	while (!w->object[at].alive || w->object[at].fd < 0)
		at = (at + 1) % MAX_OBJECTS;
	return &w->object[at];
}

/* ---- handles ------------------------------------------------------------ */

struct handle {
	struct object *o;
	int fd;
	bool r;
	bool w;
};

/* One that lost a right, or that was opened anew without it. */
static int lesser(const struct object *o, int flags)
{
	struct vmo_restrict arg = { .fd = -1 };
	struct vmo_info info;

	if (one_in(2) || (flags == O_WRONLY && o->no_write) || vmo_stat(o->fd, &info))
		return vmo_reopen(o->fd, flags);
	arg.rights = info.rights & ~(flags == O_RDONLY ? VMO_RIGHT_WRITE : VMO_RIGHT_READ);
	expect(result(ioctl(o->fd, VMO_RESTRICT, &arg)), 0);
	return arg.fd;
}

/* Mostly the object's descriptor, sometimes one that may less. */
static struct handle any_handle(void)
{
	struct object *o = any_object();
	struct handle h = { .o = o, .fd = o->fd, .r = true, .w = !o->no_write };
	int flags;

	if (!one_in(24))
		return h;
	flags = one_in(2) ? O_RDONLY : O_WRONLY;
	h.fd = lesser(o, flags);
	if (flags == O_WRONLY && o->no_write) {
		expect(result(h.fd), -EACCES);
		h.fd = o->fd;
		return h;
	}
	if (h.fd < 0)
		fail("a lesser descriptor: errno %d", errno);
	h.r = flags == O_RDONLY;
	h.w = flags == O_WRONLY;
	return h;
}

static void put_handle(const struct handle *h)
{
	if (h->fd != h->o->fd)
		close(h->fd);
}

/* ---- mappings of the model ---------------------------------------------- */

static struct map *any_map(void)
{
	unsigned int at = below(MAX_MAPS);

	for (unsigned int i = 0; i < MAX_MAPS; i++, at = (at + 1) % MAX_MAPS)
		if (maps[at].addr)
			return &maps[at];
	return NULL;
}

/* The signal that an access to a page of a mapping ends with, or 0. */
static int signal_of(const struct map *m, unsigned int page, bool write)
{
	if (!(m->prot[page] & (write ? PROT_WRITE : PROT_READ)))
		return SIGSEGV;
	if (m->copy[page])
		return 0;
	return m->first + page < pages_of(m->object) ? 0 : SIGBUS;
}

/* The model's bytes of a page that can be read. */
static uint8_t *view(const struct map *m, unsigned int page)
{
	const struct object *o = m->object;

	return m->copy[page] ?: o->mem->byte + (o->first + m->first + page) * PS;
}

static void drop_copies(struct map *m, unsigned int first, unsigned int end)
{
	for (unsigned int page = first; page < end; page++) {
		free(m->copy[page]);
		m->copy[page] = NULL;
	}
}

/* The model's side of making a page of a mapping writable. */
static void prepare_write(struct map *m, unsigned int page)
{
	uint8_t *copy;

	if (m->shared) {
		own(m->object->mem, m->object->first + m->first + page);
	} else if (!m->copy[page]) {
		copy = malloc(PS);
		memcpy(copy, view(m, page), PS);
		m->copy[page] = copy;
	}
}

/* Z1: what is cut goes from all mappings, private copies included. */
static void cut_mem(struct mem *mem, unsigned int pages)
{
	for (unsigned int page = pages; page < mem->pages; page++)
		drop(mem, page);
	for (unsigned int i = 0; i < MAX_MAPS; i++) {
		struct map *m = &maps[i];

		if (!m->addr || m->object->mem != mem)
			continue;
		if (m->object->first + m->first >= pages)
			drop_copies(m, 0, m->pages);
		else if (m->object->first + m->first + m->pages > pages)
			drop_copies(m, pages - m->object->first - m->first, m->pages);
	}
	mem->pages = pages;
}

static sigjmp_buf fault_env;
static volatile bool fault_armed;

static void fault_handler(int sig)
{
	if (fault_armed)
		siglongjmp(fault_env, sig);
	signal(sig, SIG_DFL);
}

/* Copies within one page; the signal that this ends with, or 0. */
static int access_page(char *at, void *data, size_t bytes, bool write)
{
	int sig = sigsetjmp(fault_env, 0);

	if (!sig) {
		fault_armed = true;
		if (write)
			memcpy(at, data, bytes);
		else
			memcpy(data, at, bytes);
	}
	fault_armed = false;
	return sig;
}

/* ---- comparing ---------------------------------------------------------- */

static bool same(const void *got, const uint8_t *want, size_t bytes, const char *what,
		 const struct object *o, uint64_t offset)
{
	const uint8_t *byte = got;
	size_t i = 0;

	if (!memcmp(got, want, bytes))
		return true;
	while (byte[i] == want[i])
		i++;
	fail("%s of object %u, byte %llu (page %llu): %02x, not %02x", what, nr_of(o),
	     (unsigned long long)(offset + i), (unsigned long long)(offset + i) / PS, byte[i],
	     want[i]);
	return false;
}

static long strict(int fd, uint64_t offset, void *data, size_t bytes, unsigned int flags,
		   bool write, uint64_t *actual)
{
	struct iovec iov[2] = { { data, bytes / 3 }, { data + bytes / 3, bytes - bytes / 3 } };
	struct vmo_rw rw = {
		.offset = offset, .iov = (uintptr_t)iov, .iov_count = 2, .flags = flags,
		.actual = 77,
	};
	long ret = result(ioctl(fd, write ? VMO_WRITE : VMO_READ, &rw));

	*actual = rw.actual;
	return ret;
}

static void check_pages(struct object *o, unsigned int first, unsigned int pages)
{
	uint64_t actual;

	if (first >= pages_of(o) || o->fd < 0)
		return;
	if (pages > pages_of(o) - first)
		pages = pages_of(o) - first;
	for (unsigned int n; pages; first += n, pages -= n) {
		n = pages < CHUNK ? pages : CHUNK;
		if (!expect(strict(o->fd, first * PS, io, n * PS, 0, false, &actual), 0) ||
		    !same(io, o->mem->byte + (o->first + first) * PS, n * PS, "VMO_READ", o,
			  first * PS))
			return;
	}
}

static void check_mapped_page(struct map *m, unsigned int page)
{
	int want = signal_of(m, page, false);
	int sig = access_page(m->addr + page * PS, io, want ? 1 : PS, false);

	if (sig != want)
		fail("reading page %u of mapping %ld: signal %d, not %d", page, m - maps, sig,
		     want);
	else if (!sig)
		same(io, view(m, page), PS, "mapping", m->object, (m->first + page) * PS);
}

/* These pages of a memory, through an object's mapping if there is one. */
static void check_mapped(struct mem *mem, unsigned int first, unsigned int pages)
{
	for (unsigned int i = 0; i < MAX_MAPS; i++) {
		struct map *m = &maps[i];

		if (!m->addr || m->object->mem != mem)
			continue;
		for (unsigned int page = first; page < first + pages; page++) {
			unsigned int at = page - m->object->first - m->first;

			if (page >= m->object->first + m->first && at < m->pages)
				check_mapped_page(m, at);
		}
	}
}

/* What an operation touched, by page of the object, and by chance what it did not. */
static void check_touched(struct object *o, unsigned int first, unsigned int pages)
{
	struct object *other = any_object();

	check_pages(o, first, pages);
	if (one_in(2))
		check_mapped(o->mem, o->first + first, pages < CHUNK ? pages : CHUNK);
	check_pages(other, below(pages_of(other)), 1);
}

static uint64_t pages_mask(const struct object *o)
{
	unsigned int pages = pages_of(o);
	uint64_t mask = pages == 64 ? ~0ULL : bit(pages) - 1;

	return pages ? o->mem->present >> o->first & mask : 0;
}

static uint64_t info_flags(const struct object *o)
{
	bool clone = o->mem->clone && !o->slice && !o->reference;

	return (clone ? VMO_INFO_COW_CLONE : 0) |
	       (o->mem->resizable ? VMO_INFO_RESIZABLE : 0) |
	       (o->may_resize ? VMO_INFO_MAY_RESIZE : 0) |
	       (o->slice && !o->reference ? VMO_INFO_SLICE : 0) |
	       (o->reference ? VMO_INFO_REFERENCE : 0) |
	       (clone && o->no_write ? VMO_INFO_IMMUTABLE : 0) |
	       (o->no_write ? VMO_INFO_NO_WRITE : 0) |
	       (o->exec ? VMO_INFO_EXEC : 0) |
	       (o->mem->back ? VMO_INFO_KEEP_BASE : 0);
}

static uint32_t info_rights(const struct object *o)
{
	return VMO_RIGHT_READ | VMO_RIGHT_MAP | VMO_RIGHT_PIN | VMO_RIGHT_CHILD | VMO_RIGHT_NAME |
	       (o->no_write ? 0 : VMO_RIGHT_WRITE) | (o->exec ? VMO_RIGHT_EXEC : 0) |
	       (o->may_resize ? VMO_RIGHT_RESIZE : 0);
}

/* Does the base have the same page there? */
static bool in_base(const struct mem *m, unsigned int page)
{
	return m->back && page < m->back->pages && m->back->present & bit(page) &&
	       m->present & bit(page) && m->back->id[page] == m->id[page];
}

/* Of those that it reads. */
static uint64_t private_pages(const struct object *o)
{
	const struct mem *m = o->mem;
	uint64_t pages = 0;

	for (unsigned int page = 0; page < m->pages; page++)
		pages += m->present & bit(page) &&
			 w->holders[m->id[page]] == 1U + in_base(m, page);
	return pages;
}

/* Those that its base alone has. */
static uint64_t base_pages(const struct object *o)
{
	const struct base *base = o->mem->back;
	uint64_t pages = 0;

	for (unsigned int page = 0; base && page < base->pages; page++)
		pages += base->present & bit(page) && w->holders[base->id[page]] == 1;
	return pages;
}

#define SAME(_what, _got, _want) do {						\
	unsigned long long _g = _got, _w = _want;				\
	if (_g != _w)								\
		fail("object %u: " _what " %#llx, not %#llx", nr_of(o), _g, _w);	\
} while (0)

/* A5: counts change only where the generation rises. */
static void check_generation(struct object *o, const struct vmo_info *info)
{
	const struct vmo_info *last = &o->last;

	if (info->generation < last->generation)
		fail("object %u: its generation fell", nr_of(o));
	if (last->id && info->generation == last->generation &&
	    (info->committed_bytes != last->committed_bytes ||
	     info->private_bytes != last->private_bytes ||
	     info->scaled_bytes != last->scaled_bytes ||
	     info->exclusive_bytes != last->exclusive_bytes ||
	     info->metadata_bytes != last->metadata_bytes))
		fail("object %u: counts changed, its generation did not", nr_of(o));
	o->last = *info;
}

/* What a family holds, as its members tell. */
struct sums {
	uint64_t scaled;
	uint64_t exclusive;
};

static void check_info(struct object *o, struct sums *sums)
{
	bool charged = !o->slice && !o->reference;
	uint64_t committed = charged ? __builtin_popcountll(pages_mask(o)) * PS : 0;
	uint64_t private = charged ? private_pages(o) * PS : 0;
	uint64_t kept = charged ? base_pages(o) * PS : 0, most = -1ULL;
	char name[VMO_NAME_SIZE] = "";
	struct vmo_info info;

	if (!expect(result(vmo_stat(o->fd, &info)), 0))
		return;
	check_generation(o, &info);
	if (o->name)
		snprintf(name, sizeof(name), "name %u", o->name);
	SAME("id", info.id, o->id);
	SAME("parent", info.parent_id, o->parent ? o->parent->id : 0);
	SAME("size", info.size, size_of(o));
	SAME("content size", info.content_size, o->length->bytes);
	SAME("committed", info.committed_bytes, committed);
	SAME("private", info.private_bytes, private + kept);
	SAME("shared", info.shared_bytes, committed - private);
	SAME("children", info.children, o->children);
	SAME("flags", info.flags, info_flags(o));
	SAME("rights", info.rights, info_rights(o));
	SAME("pinned", info.pinned_bytes, o->mem->nr_pins * PS);
	SAME("name", memcmp(info.name, name, sizeof(name)), 0);
	if (!o->mem->back)
		most = committed;
	if (info.scaled_bytes < private + kept || info.scaled_bytes > most)
		fail("object %u: scaled bytes", nr_of(o));
	if (info.exclusive_bytes < private + kept || info.exclusive_bytes > most)
		fail("object %u: exclusive bytes", nr_of(o));
	sums->scaled += info.scaled_bytes;
	sums->exclusive += info.exclusive_bytes;
}

static void check_stat(struct object *o)
{
	struct pollfd poll_fd = { .fd = o->fd, .events = POLLPRI };
	struct stat st;

	if (!expect(result(fstat(o->fd, &st)), 0))
		return;
	SAME("st_size", st.st_size, o->length->bytes);
	SAME("st_blocks", st.st_blocks, __builtin_popcountll(pages_mask(o)) * (PS / 512));
	SAME("childless", poll(&poll_fd, 1, 0) && poll_fd.revents & POLLPRI, !o->children);
}

/* A1, A2: pages add up where all can be asked: those charged to one, those split. */
static void check_sums(const struct sums *sums, bool all, long before)
{
	uint64_t scaled = sums->scaled;
	long pages = vmo_counter("pages");

	if (before >= 0 && pages != before + (long)w->held)
		fail("%ld pages, not %u", pages - before, w->held);
	if (scaled > w->held * PS)
		fail("scaled bytes %llu of %u pages", (unsigned long long)scaled, w->held);
	if (all && scaled + MAX_OBJECTS * MAX_PAGES < w->held * PS)
		fail("only %llu scaled bytes of %u pages", (unsigned long long)scaled, w->held);
	if (sums->exclusive > w->held * PS || (all && sums->exclusive != w->held * PS))
		fail("exclusive bytes %llu of %u pages", (unsigned long long)sums->exclusive,
		     w->held);
}

static void check_all(long before)
{
	int charged[MAX_OBJECTS] = { };
	struct sums sums = { };
	bool all = true;

	for (unsigned int i = 0; i < MAX_OBJECTS; i++) {
		struct object *o = &w->object[i];

		if (!o->alive || o->fd < 0)
			continue;
		check_pages(o, 0, MAX_PAGES);
		check_stat(o);
		check_info(o, &sums);
		charged[o->mem - w->mem] += !o->slice && !o->reference;
	}
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		all &= !w->mem[i].users || charged[i];
	for (unsigned int i = 0; i < MAX_MAPS; i++)
		for (unsigned int page = 0; maps[i].addr && page < maps[i].pages; page++)
			check_mapped_page(&maps[i], page);
	check_sums(&sums, all, before);
}

/* ---- operations: making and closing ------------------------------------- */

/* Mostly small ones, sometimes odd bytes. */
static uint64_t any_size(void)
{
	unsigned int pages = one_in(16) ? 0 : 1 + below(one_in(3) ? MAX_PAGES : 20);

	return pages * PS - (pages && one_in(3) ? below(PS) : 0);
}

static unsigned int to_pages(uint64_t bytes)
{
	return (bytes + PS - 1) / PS;
}

static void op_close(void);

static void op_create(void)
{
	uint64_t size = one_in(50) ? MAX_SIZE + 1 + below(9000) : any_size();
	uint32_t flags = below(4) | (one_in(50) ? 8U << below(29) : 0);
	long want = flags & ~3U ? -EINVAL : size > MAX_SIZE ? -ERANGE : 0;
	struct object *o;
	int fd;

	if (!room_for_object()) {
		op_close();
		return;
	}
	NOTE("create %ld bytes, flags %lx", size, flags);
	fd = vmo_new_flags(dev, size, flags);
	if (want || fd < 0) {
		expect(result(fd), want);
		return;
	}
	o = new_object(fd, NULL);
	o->mem = new_mem(to_pages(size), flags & VMO_CREATE_RESIZABLE);
	o->mem->family = ++w->families;
	o->length = new_length(size);
	o->may_resize = flags & VMO_CREATE_RESIZABLE;
	o->exec = flags & VMO_CREATE_EXEC;
}

/* Of a window: near, or behind everything, or wrong. */
static uint64_t any_offset(const struct object *o)
{
	if (one_in(60))
		return one_in(2) ? -PS * below(4) : MAX_SIZE - PS * below(60);
	if (one_in(30))
		return PS << below(50);
	if (one_in(4))
		return 0;
	return below(pages_of(o) + one_in(8) * 4) * PS + (one_in(40) ? below(PS) : 0);
}

static long clone_errno(const struct handle *h, const struct vmo_clone *arg)
{
	uint64_t end;

	if (!h->r)
		return -EACCES;
	if (__builtin_popcount(arg->flags & 7) != 1 || arg->flags & ~0x1707U ||
	    (arg->flags & VMO_CLONE_NO_WRITE &&
	     arg->flags & (VMO_CLONE_RESIZABLE | VMO_CLONE_KEEP_BASE)) ||
	    arg->offset % PS)
		return -EINVAL;
	if (arg->size > MAX_SIZE)
		return -ERANGE;
	if (__builtin_add_overflow(arg->offset, h->o->mem->base * PS + h->o->first * PS, &end) ||
	    __builtin_add_overflow(end, to_pages(arg->size) * PS, &end))
		return -EINVAL;
	if (end > MAX_SIZE)
		return -ERANGE;
	if (h->o->mem->nr_pins && !(arg->flags & VMO_CLONE_COPY_PINNED))
		return -EBADFD;
	return 0;
}

/* The child of a memory: pages in the window are shared, pinned ones copied. */
static void share_pages(struct mem *to, const struct object *from, uint64_t first)
{
	for (unsigned int i = 0; i < to->pages && first + i < pages_of(from); i++) {
		unsigned int page = from->first + first + i;
		struct mem *m = from->mem;

		if (!(m->present & bit(page)))
			continue;
		to->present |= bit(i);
		if (m->pins[page]) {
			to->id[i] = new_id();
		} else {
			to->id[i] = m->id[page];
			w->holders[to->id[i]]++;
		}
		memcpy(to->byte + i * PS, m->byte + page * PS, PS);
	}
}

static void keep_base(struct object *o)
{
	struct base *base = w->base;
	struct mem *m = o->mem;
	uint8_t *byte;

	while (base->used)
		base++;
	byte = base->byte;
	*base = (struct base) {
		.used = true, .pages = m->pages, .length = o->length->bytes,
		.present = m->present, .byte = byte,
	};
	memcpy(base->byte, m->byte, m->pages * PS);
	for (unsigned int page = 0; page < m->pages; page++) {
		base->id[page] = m->id[page];
		if (m->present & bit(page))
			w->holders[m->id[page]]++;
	}
	m->back = base;
}

static void new_clone(const struct handle *h, const struct vmo_clone *arg)
{
	struct object *o = new_object(arg->fd, h->o);
	uint64_t first = arg->offset / PS;

	o->mem = new_mem(to_pages(arg->size), arg->flags & VMO_CLONE_RESIZABLE);
	o->mem->clone = true;
	o->mem->family = h->o->mem->family;
	o->mem->base = h->o->mem->base + h->o->first + first;
	o->length = new_length(arg->size);
	o->may_resize = arg->flags & VMO_CLONE_RESIZABLE;
	o->no_write = arg->flags & VMO_CLONE_NO_WRITE;
	o->exec = o->no_write && h->o->exec;
	share_pages(o->mem, h->o, first);
	if (arg->flags & VMO_CLONE_KEEP_BASE)
		keep_base(o);
	check_pages(o, below(o->mem->pages), CHUNK);
	check_pages(h->o, below(pages_of(h->o)), 1);
}

static void op_clone(void)
{
	struct handle h;
	/* K5: of this memory all kinds are snapshots. */
	struct vmo_clone arg = { .flags = 1U << below(3), .fd = -1 };
	long want, got;

	if (!room_for_object()) {
		op_close();
		return;
	}
	h = any_handle();
	if (one_in(2))
		arg.size = size_of(h.o);
	else
		arg = (struct vmo_clone) { any_offset(h.o), any_size(), arg.flags, -1 };
	if (one_in(100))
		arg.size = MAX_SIZE + 1 + below(5);
	arg.flags |= below(8) << 8 & (one_in(2) ? 0x600 : 0x700);
	arg.flags |= one_in(4) ? VMO_CLONE_KEEP_BASE : 0;
	if (one_in(60))
		arg.flags ^= 1U << below(32) & ~VMO_CLONE_LONGTERM;	/* longterm_test */
	want = clone_errno(&h, &arg);
	NOTE("clone %ld, offset %#lx, %ld bytes, flags %lx: %ld", nr_of(h.o), arg.offset,
	     arg.size, arg.flags, want);
	got = result(ioctl(h.fd, VMO_CLONE, &arg));
	if (expect(got, want) && !want)
		new_clone(&h, &arg);
	put_handle(&h);
}

static long slice_errno(const struct handle *h, const struct vmo_slice *arg)
{
	uint64_t pages;

	if (!h->r)
		return -EACCES;
	if (arg->flags & ~VMO_SLICE_NO_WRITE || arg->offset % PS)
		return -EINVAL;
	if (arg->size > MAX_SIZE)
		return -ERANGE;
	pages = to_pages(arg->size);
	if (arg->offset / PS > pages_of(h->o) || pages > pages_of(h->o) - arg->offset / PS)
		return -EINVAL;
	return h->o->mem->resizable ? -EOPNOTSUPP : 0;
}

static void new_slice(const struct handle *h, const struct vmo_slice *arg)
{
	struct object *o = new_object(arg->fd, h->o);

	o->mem = h->o->mem;
	o->mem->users++;
	o->length = new_length(arg->size);
	o->slice = true;
	o->first = h->o->first + arg->offset / PS;
	o->slice_pages = to_pages(arg->size);
	o->no_write = arg->flags & VMO_SLICE_NO_WRITE || !h->w;
	o->exec = h->o->exec;
	check_pages(o, below(pages_of(o)), CHUNK);
}

static void op_slice(void)
{
	struct vmo_slice arg = { .fd = -1 };
	struct handle h;
	long want, got;

	if (!room_for_object()) {
		op_close();
		return;
	}
	h = any_handle();
	arg.offset = any_offset(h.o);
	arg.flags = one_in(5) ? VMO_SLICE_NO_WRITE : one_in(60) ? 1U << below(32) : 0;
	if (arg.offset <= size_of(h.o) && !one_in(10))
		arg.size = below(size_of(h.o) - arg.offset + 1);
	else
		arg.size = one_in(10) ? MAX_SIZE + 1 : any_size();
	want = slice_errno(&h, &arg);
	NOTE("slice %ld, offset %#lx, %ld bytes, flags %lx: %ld", nr_of(h.o), arg.offset,
	     arg.size, arg.flags, want);
	got = result(ioctl(h.fd, VMO_SLICE, &arg));
	if (expect(got, want) && !want)
		new_slice(&h, &arg);
	put_handle(&h);
}

static long reference_errno(const struct handle *h, const struct vmo_reference *arg)
{
	bool resizable = arg->flags & VMO_REFERENCE_RESIZABLE;
	bool no_write = arg->flags & VMO_REFERENCE_NO_WRITE;

	if (!h->r)
		return -EACCES;
	if (arg->flags & ~0x300U || (resizable && no_write) || arg->offset || arg->size)
		return -EINVAL;
	if (!resizable)
		return 0;
	if (!h->o->mem->resizable)
		return -EOPNOTSUPP;
	return h->o->may_resize && h->w ? 0 : -EACCES;
}

static void new_reference(const struct handle *h, const struct vmo_reference *arg)
{
	struct object *o = new_object(arg->fd, h->o);

	o->mem = h->o->mem;
	o->mem->users++;
	o->length = h->o->length;
	o->length->users++;
	o->reference = true;
	o->slice = h->o->slice;
	o->first = h->o->first;
	o->slice_pages = h->o->slice_pages;
	o->no_write = arg->flags & VMO_REFERENCE_NO_WRITE || !h->w;
	o->may_resize = arg->flags & VMO_REFERENCE_RESIZABLE;
	o->exec = h->o->exec;
	check_pages(o, below(pages_of(o)), CHUNK);
}

static void op_reference(void)
{
	struct vmo_reference arg = { .fd = -1 };
	struct handle h;
	long want, got;

	if (!room_for_object()) {
		op_close();
		return;
	}
	h = any_handle();
	arg.flags = below(4) << 8;
	if (one_in(40))
		arg.flags ^= 1U << below(32);
	arg.offset = one_in(60) * PS;
	arg.size = one_in(60) * PS;
	want = reference_errno(&h, &arg);
	NOTE("reference %ld, flags %lx: %ld", nr_of(h.o), arg.flags, want);
	got = result(ioctl(h.fd, VMO_REFERENCE, &arg));
	if (expect(got, want) && !want)
		new_reference(&h, &arg);
	put_handle(&h);
}

static unsigned int open_objects(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		count += w->object[i].alive && w->object[i].fd >= 0;
	return count;
}

static void close_object(struct object *o)
{
	close(o->fd);
	o->fd = -1;
	object_gone(o);
}

static void unmap(struct map *m)
{
	expect(result(munmap(m->addr, m->pages * PS)), 0);
	drop_copies(m, 0, m->pages);
	m->addr = NULL;
	release_hold(m->object);
}

/* Something that nobody has a descriptor of any more may go, too. */
static void op_close(void)
{
	struct object *o = any_object();

	if (open_objects() < 2) {
		struct map *m = any_map();

		if (m)
			unmap(m);
		return;
	}
	NOTE("close %ld", nr_of(o));
	close_object(o);
}

/* ---- operations: content ------------------------------------------------ */

static void fill_io(size_t bytes)
{
	uint64_t value = next_random();

	if (one_in(8)) {
		memset(io, 0, bytes);
		return;
	}
	for (size_t i = 0; i < bytes; i += 8) {
		memcpy(io + i, &value, 8);
		value += 0x0101010101010101ULL;
	}
}

/* A place in an object: mostly inside. */
static void any_place(const struct object *o, uint64_t *offset, size_t *bytes)
{
	uint64_t size = size_of(o);

	*offset = below(size + one_in(8) * 2 * PS);
	*bytes = one_in(3) ? below(CHUNK * PS + 1) : below(200);
	if (one_in(3)) {
		*offset -= *offset % PS;
		*bytes = below(CHUNK + 1) * PS;
	}
	if (*offset + *bytes > size && !one_in(5))
		*bytes = size > *offset ? size - *offset : 0;
}

static void touched(struct object *o, uint64_t offset, size_t bytes)
{
	check_touched(o, offset / PS, bytes ? (offset + bytes - 1) / PS - offset / PS + 1 : 0);
}

static void op_strict_read(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	unsigned int flags = one_in(4) ? VMO_RW_TRIM : 0;
	uint64_t offset, actual, want_actual = 0;
	size_t bytes;
	long want;

	any_place(o, &offset, &bytes);
	if (one_in(100))
		offset = -(uint64_t)below(9000);
	if (!h.r)
		want = -EACCES;
	else if (offset + bytes < offset || (offset + bytes > size_of(o) && !flags))
		want = -ERANGE;
	else
		want = 0;
	if (!want && offset < size_of(o))
		want_actual = bytes < size_of(o) - offset ? bytes : size_of(o) - offset;
	NOTE("VMO_READ %ld, %ld bytes at %#lx, flags %ld: %ld", nr_of(o), bytes, offset, flags,
	     want);
	if (expect(strict(h.fd, offset, io, bytes, flags, false, &actual), want) &&
	    want != -EACCES && expect(actual, want_actual) && !want)
		same(io, o->mem->byte + o->first * PS + offset, actual, "VMO_READ", o, offset);
	put_handle(&h);
}

static void op_strict_write(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	unsigned int flags = one_in(4) ? VMO_RW_TRIM : 0;
	uint64_t offset, actual, want_actual = 0;
	size_t bytes;
	long want;

	any_place(o, &offset, &bytes);
	fill_io(bytes);
	if (!h.w)
		want = -EACCES;
	else
		want = offset + bytes > size_of(o) && !flags ? -ERANGE : 0;
	if (!want && offset < size_of(o))
		want_actual = bytes < size_of(o) - offset ? bytes : size_of(o) - offset;
	NOTE("VMO_WRITE %ld, %ld bytes at %#lx, flags %ld: %ld", nr_of(o), bytes, offset, flags,
	     want);
	if (expect(strict(h.fd, offset, io, bytes, flags, true, &actual), want) &&
	    want != -EACCES && expect(actual, want_actual) && !want) {
		store_bytes(o->mem, o->first * PS + offset, io, actual);
		touched(o, offset, actual);
	}
	put_handle(&h);
}

static void op_pread(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	uint64_t offset, left;
	size_t bytes;
	long want;

	any_place(o, &offset, &bytes);
	left = offset < o->length->bytes ? o->length->bytes - offset : 0;
	want = !h.r ? -EBADF : bytes < left ? bytes : left;
	NOTE("pread %ld, %ld bytes at %#lx: %ld", nr_of(o), bytes, offset, want);
	if (expect(result(pread(h.fd, io, bytes, offset)), want) && want > 0)
		same(io, o->mem->byte + o->first * PS + offset, want, "pread", o, offset);
	put_handle(&h);
}

static long pwrite_result(const struct handle *h, uint64_t offset, size_t bytes)
{
	uint64_t size = size_of(h->o);

	if (!h->w)
		return -EBADF;
	if (!bytes)
		return 0;
	if (offset >= largest(h->o))
		return -EFBIG;
	if (bytes > largest(h->o) - offset)
		bytes = largest(h->o) - offset;
	if (offset + bytes <= size || h->o->may_resize)
		return bytes;
	return offset < size ? size - offset : -ENOSPC;
}

/* The model's side of a write that copied so much. */
static void written(struct object *o, uint64_t offset, const void *data, long bytes)
{
	if (offset + bytes > size_of(o))
		o->mem->pages = to_pages(offset + bytes);
	store_bytes(o->mem, o->first * PS + offset, data, bytes);
	if (offset + bytes > o->length->bytes)
		o->length->bytes = offset + bytes;
}

static void op_pwrite(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	uint64_t offset;
	size_t bytes;
	long want;

	any_place(o, &offset, &bytes);
	if (o->may_resize && offset + bytes > MAX_PAGES * PS)
		bytes = offset < MAX_PAGES * PS ? MAX_PAGES * PS - offset : 0;
	fill_io(bytes);
	want = pwrite_result(&h, offset, bytes);
	NOTE("pwrite %ld, %ld bytes at %#lx: %ld", nr_of(o), bytes, offset, want);
	if (expect(result(pwrite(h.fd, io, bytes, offset)), want) && want > 0) {
		written(o, offset, io, want);
		touched(o, offset, want);
	}
	put_handle(&h);
}

static bool readable(const struct map *m, unsigned int first, unsigned int end)
{
	for (unsigned int page = first; page < end; page++)
		if (signal_of(m, page, false))
			return false;
	return end <= m->pages;
}

/* D3: the memory of the caller is a mapping of another object. */
static void op_pwrite_of_mapping(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	struct map *m = any_map();
	uint64_t offset;
	unsigned int from;
	size_t bytes;
	long want;

	any_place(o, &offset, &bytes);
	if (o->may_resize && offset + bytes > MAX_PAGES * PS)
		bytes = 0;
	from = m ? below(m->pages * PS) : 0;
	if (!m || !bytes || m->object->mem == o->mem ||
	    !readable(m, from / PS, to_pages(from + bytes))) {
		put_handle(&h);
		return;
	}
	want = pwrite_result(&h, offset, bytes);
	NOTE("pwrite %ld, %ld bytes at %#lx, of mapping %ld at %#lx: %ld", nr_of(o), bytes,
	     offset, m - maps, from, want);
	if (expect(result(pwrite(h.fd, m->addr + from, bytes, offset)), want) && want > 0) {
		for (long done = 0, n; done < want; done += n) {
			n = PS - (from + done) % PS;
			n = n < want - done ? n : want - done;
			memcpy(io + done, view(m, (from + done) / PS) + (from + done) % PS, n);
		}
		written(o, offset, io, want);
		touched(o, offset, want);
	}
	put_handle(&h);
}

/* ---- operations: ranges ------------------------------------------------- */

static void any_range(const struct object *o, uint64_t *offset, uint64_t *length)
{
	uint64_t size = size_of(o);

	*offset = below(size + 1);
	*length = below(one_in(2) ? size - *offset + 1 : 3 * PS);
	if (one_in(2)) {
		*offset -= *offset % PS;
		*length -= *length % PS;
	}
	if (one_in(30))
		*offset += below(3 * PS);
	if (one_in(100))
		*length = -below(9000);
}

static long range_errno(const struct handle *h, uint64_t offset, uint64_t length)
{
	if (!h->w)
		return -EACCES;
	return offset + length < offset || offset + length > size_of(h->o) ? -ERANGE : 0;
}

static void op_commit(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	uint64_t offset, length;
	long want;

	any_range(o, &offset, &length);
	want = range_errno(&h, offset, length);
	NOTE("commit %ld, %ld bytes at %#lx: %ld", nr_of(o), length, offset, want);
	if (expect(result(vmo_op(h.fd, VMO_OP_COMMIT, offset, length)), want) && !want) {
		for (uint64_t at = offset / PS; length && at <= (offset + length - 1) / PS; at++)
			own(o->mem, o->first + at);
		touched(o, offset, length);
	}
	put_handle(&h);
}

static long decommit_errno(const struct handle *h, uint64_t offset, uint64_t length)
{
	const struct object *o = h->o;
	long err = range_errno(h, offset, length);

	if (err || !length)
		return err;
	if (o->mem->clone)
		return -EOPNOTSUPP;
	if (offset % PS || length % PS)
		return -EINVAL;
	return any_pin(o->mem, o->first + offset / PS, o->first + (offset + length) / PS) ?
	       -EBADFD : 0;
}

static void op_decommit(void)
{
	struct handle h = any_handle();
	struct object *o = h.o;
	uint64_t offset, length;
	long want;

	any_range(o, &offset, &length);
	want = decommit_errno(&h, offset, length);
	NOTE("decommit %ld, %ld bytes at %#lx: %ld", nr_of(o), length, offset, want);
	if (expect(result(vmo_op(h.fd, VMO_OP_DECOMMIT, offset, length)), want) && !want) {
		for (uint64_t at = 0; at < length / PS; at++)
			drop(o->mem, o->first + offset / PS + at);
		touched(o, offset, length);
	}
	put_handle(&h);
}

static void zero_object(struct object *o, uint64_t offset, uint64_t length)
{
	zero(o->mem, o->first * PS + offset, o->first * PS + offset + length);
}

static void op_zero(void)
{
	struct handle h = any_handle();
	uint64_t offset, length;
	long want;

	any_range(h.o, &offset, &length);
	want = range_errno(&h, offset, length);
	NOTE("zero %ld, %ld bytes at %#lx: %ld", nr_of(h.o), length, offset, want);
	if (expect(result(vmo_op(h.fd, VMO_OP_ZERO, offset, length)), want) && !want) {
		zero_object(h.o, offset, length);
		touched(h.o, offset, length);
	}
	put_handle(&h);
}

/* ---- operations: moving, looking ---------------------------------------- */

static long transfer_errno(const struct handle *to, const struct handle *from,
			   const struct vmo_transfer *arg)
{
	const struct object *d = to->o, *s = from->o;

	if (!to->w)
		return -EACCES;
	if (arg->flags || (arg->offset | arg->length | arg->src_offset) % PS)
		return -EINVAL;
	if (arg->src_fd != from->fd)
		return arg->src_fd == dev ? -EINVAL : -EBADF;
	if (!from->r || !from->w)
		return -EACCES;
	if (arg->offset + arg->length < arg->offset ||
	    arg->offset + arg->length > size_of(d) ||
	    arg->src_offset + arg->length < arg->src_offset ||
	    arg->src_offset + arg->length > size_of(s))
		return -ERANGE;
	return 0;
}

static bool transfer_pinned(const struct object *d, const struct object *s,
			    const struct vmo_transfer *arg)
{
	unsigned int to = d->first + arg->offset / PS, from = s->first + arg->src_offset / PS;
	unsigned int pages = arg->length / PS;

	if (d->mem == s->mem && to == from)
		return false;
	return any_pin(d->mem, to, to + pages) || any_pin(s->mem, from, from + pages);
}

/* All are taken out, then put in: shared ones as copies, holes as holes. */
static void transferred(struct mem *d, unsigned int to, struct mem *s, unsigned int from,
			unsigned int pages)
{
	uint8_t *bytes = malloc(pages * PS + 1);
	uint64_t present = 0;

	memcpy(bytes, s->byte + from * PS, pages * PS);
	for (unsigned int i = 0; i < pages; i++) {
		present |= s->present & bit(from + i) ? bit(i) : 0;
		drop(s, from + i);
	}
	for (unsigned int i = 0; i < pages; i++) {
		drop(d, to + i);
		if (present & bit(i))
			store_bytes(d, (to + i) * PS, bytes + i * PS, PS);
	}
	free(bytes);
}

static void op_transfer(void)
{
	struct handle to = any_handle(), from = any_handle();
	struct vmo_transfer arg = { .src_fd = from.fd };
	struct object *d = to.o, *s = from.o;
	uint64_t offset, length;
	long want;

	any_range(d, &offset, &length);
	arg.offset = offset;
	arg.length = length;
	arg.src_offset = below(pages_of(s) + 1) * PS;
	if (!one_in(10)) {
		arg.offset -= arg.offset % PS;
		arg.length -= arg.length % PS;
	}
	if (arg.src_offset + arg.length > size_of(s) && !one_in(10))
		arg.length = size_of(s) - arg.src_offset;
	if (one_in(60))
		arg.src_fd = one_in(2) ? dev : -1;
	if (one_in(60))
		arg.flags = 1U << below(32);
	want = transfer_errno(&to, &from, &arg);
	if (!want && arg.length && transfer_pinned(d, s, &arg))
		want = -EBADFD;
	NOTE("transfer to %ld at %#lx from %ld at %#lx, %ld bytes: %ld", nr_of(d), arg.offset,
	     nr_of(s), arg.src_offset, arg.length, want);
	if (expect(result(ioctl(to.fd, VMO_TRANSFER, &arg)), want) && !want) {
		unsigned int at = d->first + arg.offset / PS;
		unsigned int src_at = s->first + arg.src_offset / PS;

		if (d->mem != s->mem || at != src_at)
			transferred(d->mem, at, s->mem, src_at, arg.length / PS);
		touched(d, arg.offset, arg.length);
		touched(s, arg.src_offset, arg.length);
	}
	put_handle(&to);
	put_handle(&from);
}

static uint32_t state_of(const struct mem *m, unsigned int page)
{
	if (!(m->present & bit(page)))
		return 0;
	return VMO_PAGE_PRESENT | (w->holders[m->id[page]] > 1 ? VMO_PAGE_SHARED : 0) |
	       (m->pins[page] ? VMO_PAGE_PINNED : 0);
}

/* Who may write a page without asking is the module's business. */
static void check_runs(const struct object *o, const struct vmo_page_run *run,
		       unsigned int count, uint64_t at)
{
	for (unsigned int i = 0; i < count; i++) {
		if (run[i].offset != at || !run[i].length || run[i].length % PS)
			fail("run %u: %llu bytes at %#llx", i,
			     (unsigned long long)run[i].length, (unsigned long long)run[i].offset);
		for (; at < run[i].offset + run[i].length && !w->failed; at += PS)
			SAME("state", run[i].state & ~VMO_PAGE_WRITABLE,
			     state_of(o->mem, o->first + at / PS));
	}
}

static void op_pages(void)
{
	struct object *o = any_object();
	struct vmo_page_run run[8];
	struct vmo_pages arg = {
		.offset = below(pages_of(o) + 1) * PS, .runs = (uintptr_t)run,
	};
	uint64_t end, from;

	arg.length = below(pages_of(o) - arg.offset / PS + 1) * PS;
	end = arg.offset + arg.length;
	NOTE("pages of %ld, %ld bytes at %#lx", nr_of(o), arg.length, arg.offset);
	do {
		from = arg.offset;
		arg.count = 1 + below(8);
		if (!expect(result(ioctl(o->fd, VMO_PAGES, &arg)), 0))
			return;
		check_runs(o, run, arg.count, from);
		SAME("what is left", arg.length, end - arg.offset);
	} while (arg.length && arg.offset > from && !w->failed);
	SAME("the end", arg.offset, end);
}

static void op_lookup(void)
{
	struct object *o = any_object();
	struct vmo_lookup_entry entry[MAX_PAGES];
	struct vmo_lookup arg = {
		.length = size_of(o), .entries = (uintptr_t)entry, .count = MAX_PAGES,
		.flags = one_in(2) ? VMO_LOOKUP_SHARED : 0,
	};
	unsigned int n = 0;

	NOTE("look up %ld, flags %ld", nr_of(o), arg.flags);
	if (!expect(result(ioctl(o->fd, VMO_LOOKUP, &arg)), arg.length ? 0 : -EINVAL) ||
	    !size_of(o))
		return;
	for (unsigned int page = 0; page < pages_of(o); page++) {
		uint32_t state = state_of(o->mem, o->first + page);

		if (!state || (state & VMO_PAGE_SHARED && !arg.flags))
			continue;
		if (n >= arg.count || entry[n].offset != page * PS || !entry[n].address)
			fail("page %u of object %u is not looked up", page, nr_of(o));
		n++;
	}
	SAME("entries", arg.count, n);
}

/* The other one's bytes of a page of this, by their place in the family; or NULL. */
static const uint8_t *same_place(const struct object *o, unsigned int page,
				 const struct object *other)
{
	uint64_t key = o->mem->base + o->first + page, base = other->mem->base + other->first;

	if (key < base || key - base >= pages_of(other))
		return NULL;
	return other->mem->byte + (other->first + key - base) * PS;
}

static void check_ranges(const struct object *o, const struct object *other,
			 const uint8_t *differs)
{
	for (unsigned int page = 0; page < pages_of(o); page++) {
		const uint8_t *bytes = same_place(o, page, other);
		bool want = bytes && memcmp(bytes, o->mem->byte + (o->first + page) * PS, PS);

		if (differs[page] != want)
			fail("page %u of object %u differs from %u: %u", page, nr_of(o),
			     nr_of(other), differs[page]);
	}
}

static void op_diff(void)
{
	struct object *o = any_object(), *other = any_object();
	struct vmo_range range[8];
	struct vmo_diff arg = {
		.length = size_of(o), .ranges = (uintptr_t)range, .other_fd = other->fd,
		.count = 1,
	};
	uint8_t differs[MAX_PAGES] = { };
	long want = o->mem->family == other->mem->family ? 0 : -EINVAL;
	uint64_t end = 0;

	/* Mostly of one family. */
	for (int i = 0; i < 20 && want; i++) {
		other = any_object();
		want = o->mem->family == other->mem->family ? 0 : -EINVAL;
		arg.other_fd = other->fd;
	}
	NOTE("diff of %ld and %ld: %ld", nr_of(o), nr_of(other), want);
	if (!expect(result(ioctl(o->fd, VMO_DIFF, &arg)), want) || want)
		return;
	for (;;) {
		for (unsigned int i = 0; i < arg.count; i++) {
			if (range[i].offset < end || range[i].offset + range[i].length > size_of(o))
				fail("range %u is out of order", i);
			end = range[i].offset + range[i].length;
			memset(differs + range[i].offset / PS, 1, range[i].length / PS);
		}
		if (!arg.length || w->failed)
			break;
		arg.count = 1 + below(8);
		if (!expect(result(ioctl(o->fd, VMO_DIFF, &arg)), 0))
			return;
	}
	check_ranges(o, other, differs);
}

static uint64_t sum_of(struct object *o, unsigned int page)
{
	static const uint8_t zeroes[64 * 1024];
	struct mem *m = o->mem;

	if (page >= pages_of(o))
		return checksum(zeroes, PS);
	return checksum(m->byte + (o->first + page) * PS, PS);
}

static void watch(struct object *o)
{
	struct vmo_harvester arg = { .fd = -1 };

	if (!expect(result(ioctl(o->fd, VMO_HARVESTER, &arg)), 0))
		return;
	o->watch = arg.fd;
	o->holds++;
	for (unsigned int page = 0; page < MAX_PAGES; page++)
		o->seen[page] = sum_of(o, page);
}

static void unwatch(struct object *o)
{
	close(o->watch);
	o->watch = 0;
	release_hold(o);
}

/* Each page whose bytes are not what they were when it was told of last is told of. */
static void op_harvest(void)
{
	struct object *o = any_object();
	uint64_t word = 0;
	struct vmo_harvest arg = {
		.length = -1, .ranges = (uintptr_t)&word, .count = 1,
		.flags = VMO_HARVEST_BITMAP | (one_in(4) ? VMO_HARVEST_KEEP : 0),
	};

	for (int i = 0; i < 20 && !o->watch && !one_in(8); i++)
		o = any_object();
	NOTE("harvest of %ld", nr_of(o));
	if (!o->watch) {
		watch(o);
		return;
	}
	if (one_in(16)) {
		unwatch(o);
		return;
	}
	if (!expect(result(ioctl(o->watch, VMO_HARVEST, &arg)), 0))
		return;
	for (unsigned int page = 0; page < pages_of(o); page++) {
		if (!(word & bit(page)) && o->seen[page] != sum_of(o, page))
			fail("page %u of object %u was written", page, nr_of(o));
		if (!(arg.flags & VMO_HARVEST_KEEP))
			o->seen[page] = sum_of(o, page);
	}
	if (pages_of(o) < 64 && word >> pages_of(o))
		fail("object %u was written past its end", nr_of(o));
}

/* ---- operations: sizes -------------------------------------------------- */

/* As far as it gets: what the tail takes is owned even if a pin is in the way. */
static long resize_object(struct object *o, uint64_t size)
{
	unsigned int pages = to_pages(size), tail = size % PS;
	struct mem *m = o->mem;
	bool shorter = tail && pages <= m->pages;

	if (!m->resizable)
		return -EPERM;
	if (!o->may_resize)
		return -EACCES;
	if (size > MAX_SIZE)
		return -ERANGE;
	if (pages * PS > largest(o))
		return -EINVAL;
	if (shorter)
		clear(m, pages - 1, tail, tail);
	if (pages < m->pages && any_pin(m, pages, m->pages))
		return -EBADFD;
	if (pages < m->pages)
		cut_mem(m, pages);
	m->pages = pages;
	o->length->bytes = size;
	if (shorter)
		clear(m, pages - 1, tail, PS);
	return 0;
}

static void op_resize(void)
{
	struct handle h = any_handle();
	uint64_t size = one_in(60) ? MAX_SIZE + 1 + below(9000) : any_size();
	long want = h.w ? resize_object(h.o, size) : -EACCES;

	NOTE("resize %ld to %ld bytes: %ld", nr_of(h.o), size, want);
	if (expect(result(vmo_set_size(h.fd, size)), want) && !want)
		check_touched(h.o, size / PS ? size / PS - 1 : 0, 3);
	put_handle(&h);
}

/* Pages of @m that nobody else has: these may stay, with the bytes of the base's. */
static uint64_t may_stay(const struct mem *m)
{
	uint64_t mask = 0;

	for (unsigned int page = 0; page < m->pages && page < m->back->pages; page++)
		if (m->present & m->back->present & bit(page) && w->holders[m->id[page]] == 1)
			mask |= bit(page);
	return mask;
}

static bool stayed(const struct object *o, unsigned int page)
{
	struct vmo_page_run run;
	struct vmo_pages arg = {
		.offset = (page - o->first) * PS, .length = PS, .runs = (uintptr_t)&run,
		.count = 1,
	};

	return expect(result(ioctl(o->fd, VMO_PAGES, &arg)), 0) &&
	       !(run.state & VMO_PAGE_SHARED);
}

static void go_back(struct object *o)
{
	struct mem *m = o->mem;
	struct base *base = m->back;
	uint64_t stay = may_stay(m);

	if (base->pages < m->pages)
		cut_mem(m, base->pages);
	for (unsigned int page = 0; page < m->pages; page++)
		drop(m, page);
	m->pages = base->pages;
	m->present = base->present;
	memcpy(m->byte, base->byte, m->pages * PS);
	for (unsigned int page = 0; page < m->pages; page++) {
		if (stay & bit(page) && stayed(o, page)) {
			m->id[page] = new_id();
			continue;
		}
		m->id[page] = base->id[page];
		if (m->present & bit(page))
			w->holders[m->id[page]]++;
	}
	o->length->bytes = base->length;
}

static void op_rewind(void)
{
	struct handle h = any_handle();
	struct vmo_rewind arg = { };
	long want;

	/* Mostly where it works. */
	for (int i = 0; i < 20 && !(h.o->mem->back && h.w); i++) {
		put_handle(&h);
		h = any_handle();
	}
	if (!h.w)
		want = -EACCES;
	else if (!h.o->mem->back || h.o->slice)
		want = -EOPNOTSUPP;
	else
		want = h.o->mem->nr_pins ? -EBADFD : 0;
	NOTE("rewind %ld: %ld", nr_of(h.o), want);
	if (expect(result(ioctl(h.fd, VMO_REWIND, &arg)), want) && !want) {
		go_back(h.o);
		check_touched(h.o, 0, MAX_PAGES);
	}
	put_handle(&h);
}

static void op_truncate(void)
{
	struct handle h = any_handle();
	uint64_t size = one_in(60) ? MAX_SIZE + 1 : one_in(8) ? h.o->length->bytes : any_size();
	long want;

	if (!h.w)
		want = -EINVAL;
	else
		want = size == h.o->length->bytes ? 0 : resize_object(h.o, size);
	if (want == -ERANGE || (want == -EINVAL && h.w))
		want = -EFBIG;
	NOTE("ftruncate %ld to %ld bytes: %ld", nr_of(h.o), size, want);
	if (expect(result(ftruncate(h.fd, size)), want) && !want)
		check_touched(h.o, size / PS ? size / PS - 1 : 0, 3);
	put_handle(&h);
}

static long fallocate_errno(const struct handle *h, int mode, uint64_t end, uint64_t length)
{
	bool punch = mode & FALLOC_FL_PUNCH_HOLE, keep = mode & FALLOC_FL_KEEP_SIZE;

	if (!length)
		return -EINVAL;
	if (punch && (!keep || mode & FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (!h->w)
		return -EBADF;
	if (mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (punch || end <= size_of(h->o))
		return 0;
	if (!h->o->may_resize)
		return -ENOSPC;
	return end > largest(h->o) ? -EFBIG : 0;
}

static void fallocated(struct object *o, int mode, uint64_t offset, uint64_t end)
{
	if (mode & FALLOC_FL_PUNCH_HOLE) {
		if (end > size_of(o))
			end = size_of(o);
		if (offset < end)
			zero_object(o, offset, end - offset);
		return;
	}
	if (end > size_of(o))
		o->mem->pages = to_pages(end);
	if (mode & FALLOC_FL_ZERO_RANGE)
		zero_object(o, offset, end - offset);
	for (uint64_t at = offset / PS; !(mode & FALLOC_FL_ZERO_RANGE) && at < to_pages(end); at++)
		own(o->mem, o->first + at);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > o->length->bytes)
		o->length->bytes = end;
}

static void op_fallocate(void)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_PUNCH_HOLE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};
	struct handle h = any_handle();
	int mode = one_in(50) ? FALLOC_FL_INSERT_RANGE : modes[below(7)];
	uint64_t offset;
	size_t length;
	long want;

	any_place(h.o, &offset, &length);
	if (offset + length > MAX_PAGES * PS)
		length = offset < MAX_PAGES * PS ? MAX_PAGES * PS - offset : 0;
	want = fallocate_errno(&h, mode, offset + length, length);
	NOTE("fallocate %ld, mode %ld, %ld bytes at %#lx: %ld", nr_of(h.o), mode, length,
	     offset, want);
	if (expect(result(fallocate(h.fd, mode, offset, length)), want) && !want) {
		fallocated(h.o, mode, offset, offset + length);
		touched(h.o, offset, length);
	}
	put_handle(&h);
}

static long seek_result(const struct object *o, uint64_t offset, bool hole)
{
	uint64_t size = o->length->bytes, mask = pages_mask(o), at = offset / PS;

	if (offset >= size)
		return -ENXIO;
	while (at < to_pages(size) && !!(mask & bit(at)) == hole)
		at++;
	if (at == to_pages(size))
		return hole ? (long)size : -ENXIO;
	return at * PS > offset ? at * PS : offset;
}

static void op_seek(void)
{
	struct object *o = any_object();
	uint64_t offset = below(o->length->bytes + PS);
	bool hole = one_in(2);
	long want = seek_result(o, offset, hole);

	NOTE("seek %ld, %ld, from %#lx: %#lx", nr_of(o), hole, offset, want);
	expect(result(lseek(o->fd, offset, hole ? SEEK_HOLE : SEEK_DATA)), want);
}

/* ---- operations: pins, names -------------------------------------------- */

static long pin_errno(const struct handle *h, uint64_t offset, uint64_t length, uint32_t flags)
{
	if ((flags & VMO_PIN_READ && !h->r) || (flags & VMO_PIN_WRITE && !h->w))
		return -EACCES;
	if (!flags || flags & ~3U || !length || offset % PS || length % PS)
		return -EINVAL;
	return offset + length < offset || offset + length > size_of(h->o) ? -ERANGE : 0;
}

static void unpin(struct pin *p)
{
	struct object *o = p->object;

	for (unsigned int i = 0; i < p->pages; i++)
		o->mem->pins[o->first + p->first + i]--;
	o->mem->nr_pins -= p->pages;
	close(p->fd);
	p->object = NULL;
	release_hold(o);
}

static void op_unpin(void)
{
	struct pin *p = &w->pin[below(MAX_PINS)];

	if (!p->object)
		return;
	NOTE("unpin %ld pages at %ld of %ld", p->pages, p->first, nr_of(p->object));
	unpin(p);
}

static void op_pin(void)
{
	struct pin *p = &w->pin[below(MAX_PINS)];
	uint32_t flags = one_in(40) ? below(8) : 1 + below(3);
	uint64_t offset, length;
	struct handle h;
	long want;
	int fd;

	if (p->object) {
		op_unpin();
		return;
	}
	h = any_handle();
	any_range(h.o, &offset, &length);
	if (!one_in(20)) {
		offset -= offset % PS;
		length = length ? length - length % PS ?: PS : 0;
	}
	want = pin_errno(&h, offset, length, flags);
	NOTE("pin %ld, %ld bytes at %#lx, flags %lx: %ld", nr_of(h.o), length, offset, flags,
	     want);
	fd = vmo_pin_flags(h.fd, offset, length, flags);
	if (want || fd < 0) {
		expect(result(fd), want);
	} else {
		*p = (struct pin) { fd, h.o, offset / PS, length / PS };
		h.o->holds++;
		h.o->mem->nr_pins += p->pages;
		for (unsigned int i = 0; i < p->pages; i++) {
			own(h.o->mem, h.o->first + p->first + i);
			h.o->mem->pins[h.o->first + p->first + i]++;
		}
		check_touched(h.o, p->first, p->pages);
	}
	put_handle(&h);
}

static void op_name(void)
{
	struct handle h = any_handle();
	unsigned int number = 1 + below(1000);
	struct vmo_name arg = { .flags = VMO_NAME_SET };
	bool bad = one_in(20);
	long want = !h.w ? -EACCES : bad ? -EINVAL : 0;

	snprintf(arg.name, sizeof(arg.name), bad ? "name\t%u" : "name %u", number);
	NOTE("name %ld, %ld: %ld", nr_of(h.o), number, want);
	if (expect(result(ioctl(h.fd, VMO_NAME, &arg)), want) && !want)
		h.o->name = number;
	put_handle(&h);
}

/* Of a range, which is counted anew; past the end there is nothing. */
static void check_usage(struct object *o)
{
	unsigned int first = below(pages_of(o) + 1), pages = below(MAX_PAGES);
	struct vmo_usage arg = {
		.offset = first * PS + below(2) * 7, .length = pages * PS + below(2) * 3,
	};
	uint64_t want = 0;

	for (unsigned int page = first; page < pages_of(o) && arg.length &&
	     page * PS < arg.offset + arg.length; page++)
		want += (o->mem->present >> (o->first + page) & 1) * PS;
	if (o->slice || o->reference)
		want = 0;
	if (!expect(result(ioctl(o->fd, VMO_USAGE, &arg)), 0))
		return;
	SAME("committed of a range", arg.committed_bytes, want);
	if (!o->mem->back)
		SAME("shared of a range", arg.shared_bytes, want - arg.private_bytes);
}

static void op_info(void)
{
	struct object *o = any_object();
	struct sums sums = { };

	NOTE("info %ld", nr_of(o));
	check_info(o, &sums);
	check_usage(o);
	if (one_in(2))
		check_stat(o);
}

/* ---- operations: mappings ----------------------------------------------- */

static long map_errno(const struct handle *h, const struct map *m, int prot)
{
	if (!h->r || (m->shared && prot & PROT_WRITE && !h->w))
		return -EACCES;
	if ((m->first + m->pages) * PS > largest(h->o))
		return -EOVERFLOW;
	return prot & PROT_EXEC && !h->o->exec ? -EACCES : 0;
}

static void new_map(struct map *m, const struct handle *h, char *addr, int prot)
{
	m->addr = addr;
	m->object = h->o;
	m->split = false;
	m->may_write = !m->shared || h->w;
	memset(m->prot, prot, sizeof(m->prot));
	memset(m->copy, 0, sizeof(m->copy));
	h->o->holds++;
	check_mapped_page(m, below(m->pages));
}

static void op_map(void)
{
	static const int prots[] = { PROT_NONE, RO, RW, RW, RW, RW, RO | PROT_EXEC };
	struct map *m = &maps[below(MAX_MAPS)];
	int prot = prots[below(7)];
	struct handle h;
	char *addr;
	long want;

	if (m->addr) {
		NOTE("munmap %ld", m - maps);
		unmap(m);
		return;
	}
	h = any_handle();
	m->shared = !one_in(3);
	m->first = below(pages_of(h.o) + 2);
	m->pages = 1 + below(one_in(3) ? MAX_PAGES : 12);
	want = map_errno(&h, m, prot);
	NOTE("map %ld as %ld, %ld pages at %ld, shared %ld, prot %ld", nr_of(h.o), m - maps,
	     m->pages, m->first, m->shared, prot);
	addr = mmap(NULL, m->pages * PS, prot, m->shared ? MAP_SHARED : MAP_PRIVATE, h.fd,
		    m->first * PS);
	if (want || addr == MAP_FAILED)
		expect(addr == MAP_FAILED ? -errno : 0, want);
	else
		new_map(m, &h, addr, prot);
	put_handle(&h);
}

static void touch_page(struct map *m, unsigned int page, size_t from, size_t bytes, bool write)
{
	int want = signal_of(m, page, write), sig;

	sig = access_page(m->addr + page * PS + from, io, bytes, write);
	if (sig != want) {
		fail("page %u of mapping %ld: signal %d, not %d", page, m - maps, sig, want);
		return;
	}
	if (sig)
		return;
	if (write) {
		prepare_write(m, page);
		memcpy(view(m, page) + from, io, bytes);
		check_mapped_page(m, page);
		return;
	}
	same(io, view(m, page) + from, bytes, "mapping", m->object, (m->first + page) * PS + from);
}

static void touch_map(bool write)
{
	unsigned int page, pages;
	struct map *m = any_map();

	if (!m)
		return;
	page = below(m->pages);
	pages = 1 + below(one_in(3) ? 4 : 1);
	if (pages > m->pages - page)
		pages = m->pages - page;
	for (; pages && !w->failed; pages--, page++) {
		size_t from = below(PS), bytes = 1 + below(one_in(2) ? PS - from : 1);

		if (one_in(4)) {
			from = 0;
			bytes = PS;
		}
		if (write)
			fill_io(bytes);
		NOTE("write %ld, mapping %ld (%ld), page %ld, %ld bytes at %ld", write,
		     m - maps, nr_of(m->object), page, bytes, from);
		touch_page(m, page, from, bytes, write);
	}
	if (write && m->shared && m->first + page <= pages_of(m->object))
		check_touched(m->object, m->first + page - 1, 1);
}

static void op_touch_read(void)
{
	touch_map(false);
}

static void op_touch_write(void)
{
	touch_map(true);
}

/* A mapping and a range of its pages. */
static struct map *map_range(unsigned int *first, unsigned int *pages)
{
	struct map *m = any_map();

	if (!m)
		return NULL;
	*first = one_in(2) ? 0 : below(m->pages);
	*pages = one_in(2) ? m->pages - *first : 1 + below(m->pages - *first);
	return m;
}

static void op_mprotect(void)
{
	static const int prots[] = { PROT_NONE, RO, RW, RW };
	unsigned int first, pages;
	struct map *m = map_range(&first, &pages);
	int prot = prots[below(4)];
	long want;

	if (!m)
		return;
	want = prot & PROT_WRITE && !m->may_write ? -EACCES : 0;
	NOTE("mprotect mapping %ld (%ld), pages %ld at %ld, %ld: %ld", m - maps,
	     nr_of(m->object), pages, first, prot, want);
	if (!expect(result(mprotect(m->addr + first * PS, pages * PS, prot)), want) || want)
		return;
	memset(m->prot + first, prot, pages);
	m->split |= pages != m->pages;
	check_mapped_page(m, first);
}

/* To a new place, or at it; false if the core does not want to. */
static bool remap(struct map *m, unsigned int pages, bool move)
{
	char *to = NULL, *addr;

	if (move)
		to = mmap(NULL, pages * PS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	addr = mremap(m->addr, m->pages * PS, pages * PS,
		      MREMAP_MAYMOVE | (move ? MREMAP_FIXED : 0), to);
	if (addr == MAP_FAILED) {
		/* It expands no area with VM_MIXEDMAP, even if there is room behind it. */
		if (errno != ENOMEM || pages <= m->pages || move)
			fail("errno %d", errno);
		return false;
	}
	m->addr = addr;
	return true;
}

static void op_mremap(void)
{
	unsigned int pages = 1 + below(MAP_PAGES);
	struct map *m = any_map();
	bool move = one_in(2);

	if (!m || m->split)
		return;
	NOTE("mremap mapping %ld (%ld) from %ld to %ld pages, move %ld", m - maps,
	     nr_of(m->object), m->pages, pages, move);
	if (!remap(m, pages, move))
		return;
	if (pages < m->pages)
		drop_copies(m, pages, m->pages);
	memset(m->prot, m->prot[0], sizeof(m->prot));
	m->pages = pages;
	check_mapped_page(m, below(pages));
}

static void op_dontneed(void)
{
	unsigned int first, pages;
	struct map *m = map_range(&first, &pages);

	if (!m)
		return;
	NOTE("MADV_DONTNEED mapping %ld (%ld), pages %ld at %ld", m - maps, nr_of(m->object),
	     pages, first);
	expect(result(madvise(m->addr + first * PS, pages * PS, MADV_DONTNEED)), 0);
	drop_copies(m, first, first + pages);
	check_mapped_page(m, first);
}

static bool all_writable(const struct map *m, unsigned int first, unsigned int pages)
{
	for (unsigned int page = first; page < first + pages; page++)
		if (m->prot[page] != RW)
			return false;
	return true;
}

/* Which areas that could be writable but are not are refused depends on the kernel. */
static void op_remove(void)
{
	unsigned int first, pages;
	struct map *m = map_range(&first, &pages);
	uint64_t from, to;
	long want;

	if (!m || (m->shared && m->may_write && !all_writable(m, first, pages)))
		return;
	/* A mapping that was expanded past the last key there can be is too much for the core. */
	if ((m->first + first + pages) * PS > largest(m->object))
		return;
	want = m->shared && m->may_write ? 0 : -EACCES;
	NOTE("MADV_REMOVE mapping %ld (%ld), pages %ld at %ld: %ld", m - maps,
	     nr_of(m->object), pages, first, want);
	if (!expect(result(madvise(m->addr + first * PS, pages * PS, MADV_REMOVE)), want) || want)
		return;
	from = (m->first + first) * PS;
	to = from + pages * PS;
	if (to > size_of(m->object))
		to = size_of(m->object);
	if (from < to)
		zero_object(m->object, from, to - from);
	check_mapped_page(m, first);
	check_touched(m->object, m->first + first, pages);
}

static void op_populate(void)
{
	unsigned int first, pages;
	struct map *m = map_range(&first, &pages);
	bool write = one_in(2);
	long want = 0;

	if (!m || !all_writable(m, first, pages))
		return;
	for (unsigned int page = first; page < first + pages && !want; page++) {
		if (signal_of(m, page, write))
			want = -EFAULT;
		else if (write)
			prepare_write(m, page);
	}
	NOTE("populate mapping %ld (%ld), pages %ld at %ld, write %ld: %ld", m - maps,
	     nr_of(m->object), pages, first, write, want);
	expect(result(madvise(m->addr + first * PS, pages * PS,
			      write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ)), want);
	check_mapped_page(m, first);
}

/*
 * The child has the mappings, and the model; what it writes to private pages is its own.
 * It ends before we go on.
 */
static void op_fork(void)
{
	int status;
	pid_t pid;

	NOTE("fork");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (unsigned int i = below(6); i && !w->failed; i--)
			touch_map(!one_in(3));
		op_strict_write();
		NOTE("exit");
		fflush(stdout);
		_exit(w->failed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("a child that ended with %x", pid < 0 ? -1 : status);
	for (unsigned int i = 0; i < 3; i++)
		touch_map(false);
}

/* ---- running ------------------------------------------------------------ */

enum { MIXED, FAMILIES, SIZES, MAPPINGS, PINS, VARIANTS };

static const struct {
	void (*run)(void);
	unsigned int weight[VARIANTS];
} ops[] = {
	{ op_create,		{ 10, 6, 10, 6, 10 } },
	{ op_clone,		{ 24, 60, 20, 20, 30 } },
	{ op_slice,		{ 10, 20, 10, 6, 8 } },
	{ op_reference,		{ 8, 10, 30, 4, 8 } },
	{ op_close,		{ 20, 50, 40, 12, 20 } },
	{ op_strict_read,	{ 20, 20, 20, 10, 10 } },
	{ op_strict_write,	{ 40, 60, 20, 20, 20 } },
	{ op_pread,		{ 15, 5, 30, 10, 5 } },
	{ op_pwrite,		{ 30, 20, 60, 20, 20 } },
	{ op_pwrite_of_mapping,	{ 5, 2, 5, 10, 2 } },
	{ op_commit,		{ 8, 5, 10, 5, 10 } },
	{ op_decommit,		{ 8, 5, 10, 5, 20 } },
	{ op_zero,		{ 15, 10, 15, 10, 20 } },
	{ op_transfer,		{ 15, 30, 10, 20, 15 } },
	{ op_pages,		{ 6, 6, 2, 2, 10 } },
	{ op_lookup,		{ 3, 6, 2, 2, 2 } },
	{ op_diff,		{ 8, 30, 5, 5, 5 } },
	{ op_harvest,		{ 20, 20, 20, 40, 20 } },
	{ op_resize,		{ 10, 2, 40, 10, 20 } },
	{ op_truncate,		{ 8, 1, 30, 5, 10 } },
	{ op_rewind,		{ 10, 20, 20, 15, 10 } },
	{ op_fallocate,		{ 15, 5, 30, 10, 20 } },
	{ op_seek,		{ 15, 10, 20, 5, 5 } },
	{ op_pin,		{ 4, 1, 2, 1, 40 } },
	{ op_unpin,		{ 12, 6, 10, 6, 40 } },
	{ op_name,		{ 4, 2, 1, 1, 1 } },
	{ op_info,		{ 10, 20, 10, 5, 10 } },
	{ op_map,		{ 16, 4, 10, 40, 8 } },
	{ op_touch_read,	{ 40, 20, 20, 60, 20 } },
	{ op_touch_write,	{ 60, 50, 40, 100, 40 } },
	{ op_mprotect,		{ 6, 2, 4, 15, 3 } },
	{ op_mremap,		{ 4, 1, 4, 8, 1 } },
	{ op_dontneed,		{ 4, 1, 4, 8, 1 } },
	{ op_remove,		{ 4, 1, 4, 8, 4 } },
	{ op_populate,		{ 4, 1, 4, 8, 4 } },
	{ op_fork,		{ 1, 1, 1, 3, 1 } },
};

static void one_op(unsigned int variant, unsigned int total)
{
	unsigned int at = below(total), i = 0;

	while (at >= ops[i].weight[variant])
		at -= ops[i++].weight[variant];
	if (!open_objects())
		op_create();
	if (open_objects())
		ops[i].run();
}

static void close_all(void)
{
	for (unsigned int i = 0; i < MAX_PINS; i++)
		if (w->pin[i].object)
			unpin(&w->pin[i]);
	for (unsigned int i = 0; i < MAX_MAPS; i++)
		if (maps[i].addr)
			unmap(&maps[i]);
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (w->object[i].alive && w->object[i].watch)
			unwatch(&w->object[i]);
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (w->object[i].alive && w->object[i].fd >= 0)
			close_object(&w->object[i]);
}

static bool slow_kernel(void)
{
	return !access("/proc/lockdep_stats", F_OK) ||
	       !access("/sys/kernel/debug/kmemleak", F_OK);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

#define HANGS		60	/* seconds, of some hundred operations */

static uint64_t seed;

static void alarm_handler(int sig)
{
	fail("no end after %d s", HANGS);
	printf("# again: random_test VMO_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	_exit(1);
}

static bool run(unsigned int variant, uint64_t usual_seed)
{
	unsigned int total = 0, nr_ops = setting("VMO_OPS", slow_kernel() ? 4000 : 40000);
	long before = vmo_counter("pages");
	double start = seconds();

	seed = setting("VMO_SEED", usual_seed);
	w->random = mix(seed + 1) | 1;
	signal(SIGALRM, alarm_handler);
	alarm(HANGS);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		total += ops[i].weight[variant];
	for (w->nr_ops = 1; w->nr_ops <= nr_ops && !w->failed; w->nr_ops++) {
		one_op(variant, total);
		if (w->failed || w->nr_ops % 512)
			continue;
		check_all(before);
		alarm(HANGS);
	}
	if (!w->failed)
		check_all(before);
	alarm(0);
	printf("# seed %llu: %u operations, %.1f s\n", (unsigned long long)seed, w->nr_ops - 1,
	       seconds() - start);
	if (w->failed)
		printf("# again: random_test VMO_SEED=%llu VMO_OPS=%u\n",
		       (unsigned long long)seed, nr_ops);
	return !w->failed;
}

FIXTURE(vmo) {
	long pages;
	long nodes;
	long objects;
	long contents;
};

static void *shared_zeroes(size_t bytes)
{
	return mmap(NULL, bytes, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

FIXTURE_SETUP(vmo)
{
	struct sigaction act = { .sa_handler = fault_handler, .sa_flags = SA_NODEFER };
	uint8_t *byte;

	dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dev);
	trace = getenv("VMO_TRACE");
	w = shared_zeroes(sizeof(*w));
	byte = shared_zeroes(2 * MAX_OBJECTS * MAX_PAGES * PS);
	io = shared_zeroes((CHUNK + 1) * PS);
	ASSERT_NE(MAP_FAILED, (void *)w);
	ASSERT_NE(MAP_FAILED, (void *)byte);
	ASSERT_NE(MAP_FAILED, (void *)io);
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		w->mem[i].byte = byte + i * MAX_PAGES * PS;
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		w->base[i].byte = byte + (MAX_OBJECTS + i) * MAX_PAGES * PS;
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	self->pages = vmo_counter("pages");
	self->nodes = vmo_counter("nodes");
	self->objects = vmo_counter("objects");
	self->contents = vmo_counter("contents");
}

FIXTURE_TEARDOWN(vmo)
{
	close_all();
	EXPECT_EQ(0, w->held);
	EXPECT_EQ(0, vmo_counter_becomes("pins", 0));
	EXPECT_EQ(self->objects, vmo_counter_becomes("objects", self->objects));
	EXPECT_EQ(self->contents, vmo_counter_becomes("contents", self->contents));
	EXPECT_EQ(self->pages, vmo_counter_becomes("pages", self->pages));
	EXPECT_EQ(self->nodes, vmo_counter_becomes("nodes", self->nodes));
	close(dev);
}

TEST_F_TIMEOUT(vmo, m1_m2_a2_a7_random_calls, 86400)
{
	EXPECT_TRUE(run(MIXED, 1));
}

TEST_F_TIMEOUT(vmo, k2_k3_k10_k13_random_families, 86400)
{
	EXPECT_TRUE(run(FAMILIES, 2));
}

TEST_F_TIMEOUT(vmo, f2_f4_s2_z1_z2_random_sizes, 86400)
{
	EXPECT_TRUE(run(SIZES, 3));
}

TEST_F_TIMEOUT(vmo, k4_mp1_mp4_mp5_random_mappings, 86400)
{
	EXPECT_TRUE(run(MAPPINGS, 4));
}

TEST_F_TIMEOUT(vmo, k6_n4_n5_n8_o3_random_pins, 86400)
{
	EXPECT_TRUE(run(PINS, 5));
}

/* NAME=VALUE goes to the environment, the rest to the harness. */
int main(int argc, char **argv)
{
	int left = 1;

	for (int i = 1; i < argc; i++) {
		if (strchr(argv[i], '='))
			putenv(argv[i]);
		else
			argv[left++] = argv[i];
	}
	argv[left] = NULL;
	return test_harness_run(left, argv);
}
