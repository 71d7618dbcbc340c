// SPDX-License-Identifier: GPL-2.0
/*
 * Every operation against every other one, itself included: two threads on one family.
 *
 * Each page of the object has some words of each thread. A thread stores its stamps 1, 2,
 * 3 ... one after the other, each into its words of page stamp * 7 % PAGES, and tells
 * before and after. So whoever reads a page, at any time, in the object or in a snapshot
 * of it, knows between which two stamps a word has to be. It may be zero if an operation
 * that zeroes was begun, and had not ended before the stamp was begun. Everything else in
 * a page is zero, always: no word of another page, of a clone, of a private mapping.
 *
 * One row of a table is one operation. VMO_MATRIX_MS= is the time of a pair, VMO_PAIR=a,b
 * runs only that one.
 */
#include "vmo_test_util.h"
#include <stdarg.h>
#include <sys/uio.h>
#include "kselftest_harness.h"

#define PAGES		40U	/* more than a leaf has */
#define ORDER		7U	/* prime to PAGES */
#define UNORDER		23U	/* ORDER * UNORDER % PAGES is 1 */
#define WORDS		32U	/* of a thread in a page, which is half its */
#define HALF		256U
#define FIRST_WORD	200U
#define STAMP_BITS	40

/* What a row does, for what the other one has to expect. */
#define ZEROES		(1U << 0)
#define CLEARS		(1U << 1)	/* zeroes even what is pinned */
#define RESIZES		(1U << 2)
#define PINS		(1U << 3)

enum { OBJECT = 1, CLONE, PRIVATE = CLONE + 2 };	/* the last two by thread */

struct side;

struct row {
	const char *name;
	void (*step)(struct side *s);
	unsigned int flags;
};

/* Shared by threads and processes. */
struct pair {
	const struct row *row[2];
	unsigned int flags;		/* of both */
	int dev;
	int fd;
	char *map;			/* of the object, for both */
	double end;
	int least;			/* steps */
	uint64_t stamp[2];
	uint64_t begun[2][PAGES];	/* stamps */
	uint64_t done[2][PAGES];	/* stamps, and zero_done when they were begun */
	uint64_t zero_begun[PAGES];
	uint64_t zero_done[PAGES];
	uint64_t failed;
	char why[200];
};

struct side {
	struct pair *pair;
	unsigned int t;
	uint64_t steps;
	uint64_t random;
	int fd;				/* what stamps are stored through by call */
	size_t base;			/* where that starts in the object */
	char *map;			/* of the object, its own */
	char *page;
	char *copy[2];			/* PAGES pages each */
};

/* What a page may show that is read between two calls. */
struct span {
	uint64_t done[2][PAGES];
	uint64_t begun[2][PAGES];
	uint64_t zeroes[PAGES];
};

static int slow;

static uint32_t below(struct side *s, uint32_t n)
{
	s->random = s->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (s->random >> 33) % n;
}

static __attribute__((format(printf, 2, 3))) void wrong(struct side *s, const char *format, ...)
{
	struct pair *pair = s->pair;
	va_list ap;
	int n;

	if (__atomic_exchange_n(&pair->failed, 1, __ATOMIC_ACQ_REL))
		return;
	n = snprintf(pair->why, sizeof(pair->why), "step %llu of %s: ",
		     (unsigned long long)s->steps, pair->row[s->t]->name);
	va_start(ap, format);
	vsnprintf(pair->why + n, sizeof(pair->why) - n, format, ap);
	va_end(ap);
}

/* Whether a call went well. It may fail where one of the rows does what is in @excuses. */
static bool good(struct side *s, const char *what, long ret, unsigned int excuses)
{
	int err = errno;

	if (ret >= 0)
		return true;
	excuses &= s->pair->flags;
	if (!(err == EBADFD && excuses & PINS) && !(err == ERANGE && excuses & RESIZES))
		wrong(s, "%s: errno %d", what, err);
	return false;
}

/* ---- words --------------------------------------------------------------------- */

static uint64_t word_of(unsigned int id, unsigned int t, unsigned int page, uint64_t stamp)
{
	return (uint64_t)id << 56 | (uint64_t)t << 48 | (uint64_t)page << STAMP_BITS | stamp;
}

static size_t first_word(unsigned int t)
{
	return t * HALF + FIRST_WORD;
}

static size_t place_of(unsigned int t, unsigned int page)
{
	return page * PS + first_word(t) * 8;
}

static void fill_words(uint64_t *words, unsigned int id, unsigned int t, unsigned int page,
		       uint64_t stamp)
{
	for (size_t i = 0; i < WORDS; i++)
		words[i] = word_of(id, t, page, stamp);
}

static bool all_words(const char *bytes, unsigned int t, uint64_t word)
{
	const uint64_t *words = (const uint64_t *)bytes + first_word(t);

	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != word)
			return false;
	return true;
}

/* ---- what may be seen ------------------------------------------------------------ */

static void span_open(struct pair *pair, struct span *span, unsigned int first, unsigned int end)
{
	for (unsigned int t = 0; t < 2; t++)
		for (unsigned int page = first; page < end; page++)
			span->done[t][page] = load(&pair->done[t][page]);
	__sync_synchronize();
}

static void span_close(struct pair *pair, struct span *span, unsigned int first, unsigned int end)
{
	__sync_synchronize();
	for (unsigned int page = first; page < end; page++) {
		for (unsigned int t = 0; t < 2; t++)
			span->begun[t][page] = load(&pair->begun[t][page]);
		span->zeroes[page] = load(&pair->zero_begun[page]);
	}
}

#define DONE_STAMP(done)	((done) >> 24)
#define DONE_ZEROES(done)	((done) & 0xffffff)

static bool word_fits(const struct span *span, unsigned int t, unsigned int page, uint64_t word)
{
	uint64_t stamp = word & ((1ULL << STAMP_BITS) - 1), done = span->done[t][page];

	if (!word)
		return !DONE_STAMP(done) || span->zeroes[page] > DONE_ZEROES(done);
	return word == word_of(OBJECT, t, page, stamp) && stamp >= DONE_STAMP(done) &&
	       stamp <= span->begun[t][page];
}

/*
 * A call copies byte by byte, as it likes. So where a write or a zero is under way, who
 * looks at the same time may find a part of a word; but never one of another.
 */
static bool part_fits(const struct span *span, unsigned int t, unsigned int page, uint64_t word)
{
	uint64_t done = span->done[t][page];

	if (span->begun[t][page] == DONE_STAMP(done) &&
	    span->zeroes[page] == DONE_ZEROES(done))
		return false;
	for (unsigned int shift = STAMP_BITS; shift < 64; shift += 8) {
		uint64_t byte = word >> shift & 0xff;

		if (byte && byte != (word_of(OBJECT, t, page, 0) >> shift & 0xff))
			return false;
	}
	return true;
}

static void wrong_word(struct side *s, const struct span *span, const char *what,
		       unsigned int page, size_t i, uint64_t word)
{
	unsigned int t = i / HALF;

	wrong(s, "%s, page %u, word %zu is %#llx; stamp %llu to %llu, zeroed %llu to %llu",
	      what, page, i, (unsigned long long)word,
	      (unsigned long long)DONE_STAMP(span->done[t][page]),
	      (unsigned long long)span->begun[t][page],
	      (unsigned long long)DONE_ZEROES(span->done[t][page]),
	      (unsigned long long)span->zeroes[page]);
}

/* Whether so many bytes of a page are what they may be; @whole: nobody writes them. */
static void check_page(struct side *s, const struct span *span, const char *what, bool whole,
		       unsigned int page, const char *bytes, size_t count)
{
	const uint64_t *words = (const uint64_t *)bytes;
	bool fits;

	for (size_t i = 0; i < count / 8; i++) {
		if (i % HALF - FIRST_WORD < WORDS)
			fits = word_fits(span, i / HALF, page, words[i]) ||
			       (!whole && part_fits(span, i / HALF, page, words[i]));
		else
			fits = !words[i];
		if (!fits)
			wrong_word(s, span, what, page, i, words[i]);
	}
}

/* The last stamp up to max that was stored into a page. */
static uint64_t last_stamp(uint64_t max, unsigned int page)
{
	uint64_t back = (max + PAGES - page * UNORDER % PAGES) % PAGES;

	return max > back ? max - back : 0;
}

/* Where nothing is zeroed, the words of one instant follow from the last stamp. */
static void check_instant(struct side *s, const char *copy, unsigned int t)
{
	uint64_t max = 0, word, stamp;

	for (unsigned int page = 0; page < PAGES; page++)
		for (size_t i = 0; i < WORDS; i++) {
			word = *(const uint64_t *)(copy + place_of(t, page) + i * 8);
			word &= (1ULL << STAMP_BITS) - 1;
			max = word > max ? word : max;
		}
	for (unsigned int page = 0; page < PAGES; page++) {
		stamp = last_stamp(max, page);
		if (stamp == max || all_words(copy + page * PS, t,
					      stamp ? word_of(OBJECT, t, page, stamp) : 0))
			continue;
		wrong(s, "a snapshot with stamp %llu of thread %u, page %u is not of that instant",
		      (unsigned long long)max, t, page);
	}
}

/* ---- accesses --------------------------------------------------------------------- */

static __thread sigjmp_buf fault_env;
static __thread volatile bool fault_armed;

static void fault_handler(int sig)
{
	if (fault_armed)
		siglongjmp(fault_env, sig);
	signal(sig, SIG_DFL);
}

/* SIGBUS is for objects that are being resized. False if it came. */
static bool guarded_copy(struct side *s, void *to, const void *from, size_t bytes)
{
	int sig = sigsetjmp(fault_env, 0);

	if (!sig) {
		fault_armed = true;
		memcpy(to, from, bytes);
	}
	fault_armed = false;
	if (sig && !(sig == SIGBUS && s->pair->flags & RESIZES))
		wrong(s, "signal %d", sig);
	return !sig;
}

static long strict(int fd, size_t offset, void *data, size_t bytes, bool write)
{
	struct iovec iov = { data, bytes };
	struct vmo_rw rw = { .offset = offset, .iov = (uintptr_t)&iov, .iov_count = 1 };

	return ioctl(fd, write ? VMO_WRITE : VMO_READ, &rw);
}

enum how { BY_CALL, STRICT, MAPPED, OWN_MAPPING, WAYS };

/* Into s->page. The bytes that there were, or -1. */
static long read_bytes(struct side *s, unsigned int page, enum how how)
{
	char *map = how == OWN_MAPPING ? s->map : s->pair->map;
	long ret;

	switch (how) {
	case BY_CALL:
		ret = pread(s->pair->fd, s->page, PS, page * PS);
		if (ret != (long)PS && !(ret >= 0 && s->pair->flags & RESIZES))
			wrong(s, "pread: %ld", ret);
		return ret;
	case STRICT:
		ret = strict(s->pair->fd, page * PS, s->page, PS, false);
		return good(s, "VMO_READ", ret, RESIZES) ? (long)PS : -1;
	default:
		return guarded_copy(s, s->page, map + page * PS, PS) ? (long)PS : -1;
	}
}

/* Reads a page of the object in some way, and checks it. Whether there was all of it. */
static bool check_read(struct side *s, unsigned int page, enum how how)
{
	static const char * const what[] = { "pread", "VMO_READ", "mapping", "own mapping" };
	struct span span;
	long bytes;

	span_open(s->pair, &span, page, page + 1);
	bytes = read_bytes(s, page, how);
	span_close(s->pair, &span, page, page + 1);
	if (bytes > 0)
		check_page(s, &span, what[how], false, page, s->page, bytes);
	return bytes == (long)PS;
}

static bool store_words(struct side *s, unsigned int page, const uint64_t *words, enum how how)
{
	size_t place = place_of(s->t, page), bytes = WORDS * 8;
	long ret;

	switch (how) {
	case BY_CALL:
		ret = pwrite(s->fd, words, bytes, place - s->base);
		if (ret != (long)bytes)
			wrong(s, "pwrite: %ld, errno %d", ret, errno);
		return ret == (long)bytes;
	case STRICT:
		ret = strict(s->fd, place - s->base, (void *)words, bytes, true);
		return good(s, "VMO_WRITE", ret, RESIZES);
	case OWN_MAPPING:
		return guarded_copy(s, s->map + place, words, bytes);
	default:
		return guarded_copy(s, s->pair->map + place, words, bytes);
	}
}

static unsigned int next_page(struct side *s)
{
	return (s->pair->stamp[s->t] + 1) * ORDER % PAGES;
}

/* Stores the next stamp into its page, which it returns. */
static unsigned int write_next(struct side *s, enum how how)
{
	unsigned int page = next_page(s);
	struct pair *pair = s->pair;
	uint64_t words[WORDS], stamp = ++pair->stamp[s->t], zeroes;

	fill_words(words, OBJECT, s->t, page, stamp);
	zeroes = load(&pair->zero_done[page]);
	store(&pair->begun[s->t][page], stamp);
	__sync_synchronize();
	if (store_words(s, page, words, how)) {
		__sync_synchronize();
		store(&pair->done[s->t][page], stamp << 24 | zeroes);
	}
	return page;
}

static void zero_begin(struct pair *pair, unsigned int first, unsigned int end)
{
	for (unsigned int page = first; page < end && page < PAGES; page++)
		__atomic_add_fetch(&pair->zero_begun[page], 1, __ATOMIC_SEQ_CST);
}

static void zero_end(struct pair *pair, unsigned int first, unsigned int end)
{
	for (unsigned int page = first; page < end && page < PAGES; page++)
		__atomic_add_fetch(&pair->zero_done[page], 1, __ATOMIC_SEQ_CST);
}

/* Nobody else stores our words: once they are zeroed, they are. */
static void check_own_zero(struct side *s, unsigned int page)
{
	enum how how = 1 + below(s, WAYS - 1);

	if (check_read(s, page, how) && !all_words(s->page, s->t, 0))
		wrong(s, "page %u is not zero for us", page);
}

/* ---- rows: content ---------------------------------------------------------------- */

static void step_write(struct side *s)
{
	check_read(s, write_next(s, BY_CALL), MAPPED);
}

static void step_strict_write(struct side *s)
{
	check_read(s, write_next(s, STRICT), BY_CALL);
}

static void step_mapped_write(struct side *s)
{
	check_read(s, write_next(s, MAPPED), STRICT);
}

static void step_read(struct side *s)
{
	check_read(s, below(s, PAGES), BY_CALL);
}

static void step_strict_read(struct side *s)
{
	check_read(s, below(s, PAGES), STRICT);
}

static void step_mapped_read(struct side *s)
{
	check_read(s, below(s, PAGES), MAPPED);
}

/* A range from @page on, of which our words of that page are in. */
static size_t some_pages(struct side *s, unsigned int page)
{
	return (1 + below(s, PAGES - page)) * PS;
}

static void step_zero(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	size_t bytes = some_pages(s, page), part = below(s, 2) * 100;
	bool ok;

	zero_begin(s->pair, page, page + bytes / PS);
	ok = good(s, "zero", vmo_op(s->pair->fd, VMO_OP_ZERO, page * PS + part,
				    bytes - 2 * part), RESIZES);
	zero_end(s->pair, page, page + bytes / PS);
	if (ok)
		check_own_zero(s, page);
}

static void step_decommit(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	size_t bytes = some_pages(s, page);
	bool ok;

	zero_begin(s->pair, page, page + bytes / PS);
	ok = good(s, "decommit", vmo_op(s->pair->fd, VMO_OP_DECOMMIT, page * PS, bytes),
		  RESIZES | PINS);
	zero_end(s->pair, page, page + bytes / PS);
	if (ok)
		check_own_zero(s, page);
}

static void step_remove(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	size_t bytes = some_pages(s, page);
	bool ok;

	zero_begin(s->pair, page, page + bytes / PS);
	ok = good(s, "MADV_REMOVE", madvise(s->pair->map + page * PS, bytes, MADV_REMOVE), 0);
	zero_end(s->pair, page, page + bytes / PS);
	if (ok)
		check_own_zero(s, page);
}

static void step_punch(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	size_t bytes = some_pages(s, page);
	bool ok;

	zero_begin(s->pair, page, page + bytes / PS);
	ok = good(s, "fallocate", fallocate(s->pair->fd, FALLOC_FL_PUNCH_HOLE |
					    FALLOC_FL_KEEP_SIZE, page * PS, bytes), 0);
	zero_end(s->pair, page, page + bytes / PS);
	if (ok)
		check_own_zero(s, page);
}

/* ---- rows: moving ------------------------------------------------------------------ */

static long transfer(int to, size_t to_page, int from, size_t from_page, size_t bytes)
{
	struct vmo_transfer arg = {
		.offset = to_page * PS, .length = bytes, .src_offset = from_page * PS,
		.src_fd = from,
	};

	return ioctl(to, VMO_TRANSFER, &arg);
}

/* What was taken is of one instant, and nobody has a way to it any more. */
static void check_taken(struct side *s, const struct span *span, int fd, size_t place,
			unsigned int first, unsigned int pages)
{
	if (!good(s, "VMO_READ", strict(fd, place * PS, s->copy[0], pages * PS, false), 0))
		return;
	for (unsigned int i = 0; i < pages; i++)
		check_page(s, span, "taken", true, first + i, s->copy[0] + i * PS, PS);
	write_next(s, s->steps % WAYS);
	if (good(s, "VMO_READ", strict(fd, place * PS, s->copy[1], pages * PS, false), 0) &&
	    memcmp(s->copy[0], s->copy[1], pages * PS))
		wrong(s, "what was taken has changed");
}

static void step_take(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	size_t bytes = some_pages(s, page), end = page + bytes / PS;
	size_t place = s->steps % 2 ? page : below(s, 32);
	int fd = vmo_new(s->pair->dev, (PAGES + 32) * PS);
	struct span span;
	bool ok;

	if (!good(s, "create", fd, 0))
		return;
	span_open(s->pair, &span, page, end);
	zero_begin(s->pair, page, end);
	ok = good(s, "transfer", transfer(fd, place, s->pair->fd, page, bytes),
		  RESIZES | PINS);
	zero_end(s->pair, page, end);
	span_close(s->pair, &span, page, end);
	if (ok) {
		check_own_zero(s, page);
		check_taken(s, &span, fd, place, page, end - page);
	}
	close(fd);
}

/* Pages that are there, but zero. */
static void step_give(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	size_t bytes = some_pages(s, page), end = page + bytes / PS;
	size_t place = s->steps % 2 ? page : below(s, 32);
	int fd = vmo_new(s->pair->dev, (PAGES + 32) * PS);
	bool ok;

	if (!good(s, "create", fd, 0) ||
	    !good(s, "commit", vmo_op(fd, VMO_OP_COMMIT, place * PS, bytes), 0))
		return;
	zero_begin(s->pair, page, end);
	ok = good(s, "transfer", transfer(s->pair->fd, page, fd, place, bytes),
		  RESIZES | PINS);
	zero_end(s->pair, page, end);
	if (ok)
		check_own_zero(s, page);
	close(fd);
}

/* If the page was there, and nothing has zeroed it since, then SEEK_DATA finds it. */
static void check_data(struct side *s, unsigned int page, uint64_t zeroes)
{
	off_t found = lseek(s->pair->fd, page * PS, SEEK_DATA);
	int err = errno;

	__sync_synchronize();
	if (load(&s->pair->zero_begun[page]) != zeroes)
		return;
	/* While an object grows its content size comes last. */
	if (found == -1 && err == ENXIO && s->pair->flags & RESIZES)
		return;
	if (found != (off_t)(page * PS))
		wrong(s, "SEEK_DATA of page %u: %ld", page, found);
}

static void step_commit(struct side *s)
{
	unsigned int page = below(s, PAGES);
	uint64_t zeroes = load(&s->pair->zero_done[page]);

	__sync_synchronize();
	if (!good(s, "commit", vmo_op(s->pair->fd, VMO_OP_COMMIT, page * PS,
				      some_pages(s, page)), RESIZES))
		return;
	check_data(s, page, zeroes);
	check_read(s, page, s->steps % WAYS);
}

static void step_seek(struct side *s)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	uint64_t done = load(&s->pair->done[s->t][page]);
	off_t hole = lseek(s->pair->fd, 0, SEEK_HOLE);

	if (hole < 0 ? errno != ENXIO || !(s->pair->flags & RESIZES) : hole > PAGES * PS)
		wrong(s, "SEEK_HOLE: %ld", hole);
	if (DONE_STAMP(done) == s->pair->stamp[s->t])
		check_data(s, page, DONE_ZEROES(done));
}

/* ---- rows: snapshots ----------------------------------------------------------------- */

static int take(struct side *s, size_t offset, size_t bytes)
{
	bool copy = s->pair->flags & PINS && s->steps % 4;
	struct vmo_clone arg = {
		.offset = offset, .size = bytes,
		.flags = VMO_CLONE_SNAPSHOT | (copy ? VMO_CLONE_COPY_PINNED : 0) |
			 (s->steps % 2 ? VMO_CLONE_KEEP_BASE : 0),
	};
	int ret = ioctl(s->pair->fd, VMO_CLONE, &arg);

	return good(s, "clone", ret, copy ? 0 : PINS) ? arg.fd : -1;
}

/* All of a copy of the whole object. */
static bool read_copy(struct side *s, int fd, char *copy)
{
	return good(s, "VMO_READ of a clone", strict(fd, 0, copy, PAGES * PS, false), 0);
}

/* A snapshot of the object, read into a buffer and checked; or -1. */
static int take_and_check(struct side *s, char *copy)
{
	struct span span;
	int fd;

	span_open(s->pair, &span, 0, PAGES);
	fd = take(s, 0, PAGES * PS);
	span_close(s->pair, &span, 0, PAGES);
	if (fd < 0)
		return fd;
	if (!read_copy(s, fd, copy)) {
		close(fd);
		return -1;
	}
	for (unsigned int page = 0; page < PAGES; page++)
		check_page(s, &span, "snapshot", true, page, copy + page * PS, PS);
	for (unsigned int t = 0; t < 2 && !(s->pair->flags & (ZEROES | RESIZES)); t++)
		check_instant(s, copy, t);
	return fd;
}

/* It has to be what it was. */
static void check_again(struct side *s, int fd, const char *want, char *copy)
{
	if (!read_copy(s, fd, copy))
		return;
	for (unsigned int page = 0; page < PAGES; page++)
		if (memcmp(want + page * PS, copy + page * PS, PS))
			wrong(s, "page %u of a snapshot has changed", page);
}

/* Words of ours into a clone, of which the object must see nothing. */
static void write_clone(struct side *s, int fd, unsigned int page, char *copy)
{
	uint64_t words[WORDS];

	fill_words(words, CLONE + s->t, s->t, page, s->steps & 0xffffff);
	good(s, "write to a clone", strict(fd, place_of(s->t, page), words, sizeof(words), true),
	     0);
	memcpy(copy + place_of(s->t, page), words, sizeof(words));
}

static void step_snapshot(struct side *s)
{
	int fd = take_and_check(s, s->copy[0]);

	if (fd < 0)
		return;
	write_clone(s, fd, below(s, PAGES), s->copy[0]);
	check_read(s, write_next(s, MAPPED), STRICT);
	check_again(s, fd, s->copy[0], s->copy[1]);
	close(fd);
}

/* A window that may reach past the end, mapped and written. */
static void step_window(struct side *s)
{
	unsigned int first = below(s, PAGES), pages = 1 + below(s, 12), end = first + pages;
	uint64_t words[WORDS];
	struct span span;
	char *map;
	int fd;

	end = end < PAGES ? end : PAGES;
	span_open(s->pair, &span, first, end);
	fd = take(s, first * PS, pages * PS);
	span_close(s->pair, &span, first, end);
	if (fd < 0)
		return;
	map = vmo_map(fd, pages, RW);
	for (unsigned int page = first; page < end; page++)
		check_page(s, &span, "window", true, page, map + (page - first) * PS, PS);
	for (unsigned int page = end; page < first + pages; page++)
		if (!page_is(map + (page - first) * PS, 0))
			wrong(s, "a window is not zero behind the end");
	fill_words(words, CLONE + s->t, s->t, first, s->steps & 0xffffff);
	memcpy(map + place_of(s->t, 0), words, sizeof(words));
	check_read(s, first, STRICT);
	if (memcmp(map + place_of(s->t, 0), words, sizeof(words)))
		wrong(s, "a window has lost a write");
	munmap(map, pages * PS);
	close(fd);
}

/* Whatever becomes of it, and of the object, it goes back to what it was. */
static void step_rewind(struct side *s)
{
	int middle = take_and_check(s, s->copy[0]), fd;
	struct vmo_rewind arg = { };

	if (middle < 0)
		return;
	fd = vmo_clone_flags(middle, PAGES * PS, VMO_CLONE_KEEP_BASE);
	close(middle);
	if (!good(s, "clone with a base", fd, 0))
		return;
	for (int i = 0; i < 3; i++) {
		write_clone(s, fd, below(s, PAGES), s->copy[1]);
		write_next(s, (s->steps + i) % WAYS);
		good(s, "rewind", ioctl(fd, VMO_REWIND, &arg), 0);
		check_again(s, fd, s->copy[0], s->copy[1]);
	}
	close(fd);
}

/* The object has nothing of what is written to a clone, wherever that was not cut. */
static void step_diff(struct side *s)
{
	int fd = take_and_check(s, s->copy[0]);
	unsigned int page = below(s, PAGES);
	struct vmo_range range[PAGES];
	struct vmo_diff arg = {
		.length = PAGES * PS, .ranges = (uintptr_t)range, .count = PAGES,
		.other_fd = s->pair->fd,
	};
	bool told = false;

	if (fd < 0)
		return;
	write_clone(s, fd, page, s->copy[0]);
	if (good(s, "diff", ioctl(fd, VMO_DIFF, &arg), 0)) {
		for (unsigned int i = 0; i < arg.count; i++)
			told |= page * PS - range[i].offset < range[i].length;
		if (!told && !(s->pair->flags & RESIZES))
			wrong(s, "page %u of a clone does not differ", page);
	}
	close(fd);
}

/* What was written is told, whoever else writes, cleans or takes PTEs away. */
static void step_harvest(struct side *s)
{
	struct vmo_harvester watch = { .fd = -1 };
	unsigned int page, other;
	uint64_t word = 0;
	struct vmo_harvest arg;

	if (!good(s, "harvester", ioctl(s->pair->fd, VMO_HARVESTER, &watch), 0))
		return;
	for (int i = 0; i < 4; i++) {
		page = write_next(s, (s->steps + i) % WAYS);
		other = write_next(s, MAPPED);
		arg = (struct vmo_harvest) {
			.length = PAGES * PS, .ranges = (uintptr_t)&word, .count = 1,
			.flags = VMO_HARVEST_BITMAP,
		};
		if (!good(s, "harvest", ioctl(watch.fd, VMO_HARVEST, &arg), 0))
			break;
		if (~word & (1ULL << page | 1ULL << other) && !(s->pair->flags & RESIZES))
			wrong(s, "pages %u and %u were written: %llx", page, other,
			      (unsigned long long)word);
	}
	close(watch.fd);
}

/* A clone of a clone; the middle goes first, the last one later. */
static void step_chain(struct side *s)
{
	int middle = take_and_check(s, s->copy[0]), last;

	if (middle < 0)
		return;
	last = vmo_snap(middle);
	if (!good(s, "clone of a clone", last, 0)) {
		close(middle);
		return;
	}
	write_clone(s, middle, below(s, PAGES), s->copy[1]);
	write_next(s, BY_CALL);
	close(middle);
	check_again(s, last, s->copy[0], s->copy[1]);
	write_clone(s, last, below(s, PAGES), s->copy[0]);
	check_again(s, last, s->copy[0], s->copy[1]);
	close(last);
	check_read(s, below(s, PAGES), MAPPED);
}

/* ---- rows: slices, references, sizes -------------------------------------------------- */

/* Of an object that can be resized there are none: then one of a snapshot. */
static void slice_of_clone(struct side *s)
{
	int fd = take_and_check(s, s->copy[0]), slice;

	if (vmo_slice(s->pair->fd, 0, 0, 0) >= 0 || errno != EOPNOTSUPP)
		wrong(s, "a slice of a resizable object: errno %d", errno);
	if (fd < 0)
		return;
	slice = vmo_slice(fd, 8 * PS, 8 * PS, 0);
	close(fd);
	if (!good(s, "slice", slice, 0))
		return;
	if (!good(s, "VMO_READ of a slice", strict(slice, 0, s->copy[1], 8 * PS, false), 0) ||
	    memcmp(s->copy[1], s->copy[0] + 8 * PS, 8 * PS))
		wrong(s, "a slice is not what the snapshot is");
	close(slice);
}

/* The next stamp is stored through it. */
static void write_through(struct side *s, int fd, size_t base)
{
	s->fd = fd;
	s->base = base;
	check_read(s, write_next(s, STRICT), s->steps % WAYS);
	s->fd = s->pair->fd;
	s->base = 0;
}

static void step_slice(struct side *s)
{
	unsigned int page = next_page(s);
	int fd;

	if (s->pair->flags & RESIZES) {
		slice_of_clone(s);
		return;
	}
	fd = vmo_slice(s->pair->fd, page * PS, some_pages(s, page), 0);
	if (!good(s, "slice", fd, 0))
		return;
	write_through(s, fd, page * PS);
	if (strict(fd, (PAGES - page) * PS, s->page, 1, false) >= 0 || errno != ERANGE)
		wrong(s, "a slice reaches past the object");
	close(fd);
}

/*
 * Cuts the object through this descriptor, looks, and grows it again. The page in the
 * middle of which an object ends is no page that is cut, so a pin does not save its tail.
 */
static void cut_and_grow(struct side *s, int fd)
{
	unsigned int page = write_next(s, s->steps % WAYS);
	bool odd = !(s->pair->flags & PINS) && below(s, 2);
	size_t size = page * PS + (odd ? 8 * below(s, FIRST_WORD) : 0);
	bool ok;

	zero_begin(s->pair, page, PAGES);
	ok = good(s, "shrink", s->steps % 2 ? vmo_set_size(fd, size) : ftruncate(fd, size), PINS);
	zero_end(s->pair, page, PAGES);
	if (ok)
		check_own_zero(s, page);
	if (good(s, "grow", vmo_set_size(fd, PAGES * PS), 0) && ok)
		check_own_zero(s, page);
}

static void step_resize(struct side *s)
{
	cut_and_grow(s, s->pair->fd);
}

static void step_reference(struct side *s)
{
	int fd = vmo_reference(s->pair->fd, VMO_REFERENCE_RESIZABLE);

	if (!good(s, "reference", fd, 0))
		return;
	write_through(s, fd, 0);
	cut_and_grow(s, fd);
	close(fd);
}

/* ---- rows: pins, names, what is told --------------------------------------------------- */

/* Under a pin nothing is decommitted or cut: what is written stays. */
static void step_pin(struct side *s)
{
	unsigned int page = next_page(s);
	bool last = s->pair->row[!s->t]->flags & CLEARS;
	int fd = vmo_pin_flags(s->pair->fd, page * PS, some_pages(s, page),
			       VMO_PIN_READ | VMO_PIN_WRITE);

	if (!good(s, "pin", fd, RESIZES))
		return;
	write_next(s, s->steps % WAYS);
	if (DONE_STAMP(s->pair->done[s->t][page]) != s->pair->stamp[s->t])
		wrong(s, "a pinned page %u could not be written", page);
	if (check_read(s, page, STRICT) && !last &&
	    !all_words(s->page, s->t, word_of(OBJECT, s->t, page, s->pair->stamp[s->t])))
		wrong(s, "a pinned page %u has lost a write", page);
	close(fd);
}

static void step_info(struct side *s)
{
	struct vmo_info info;

	if (!good(s, "info", vmo_stat(s->pair->fd, &info), 0))
		return;
	if (info.committed_bytes != info.private_bytes + info.shared_bytes ||
	    info.scaled_bytes > info.committed_bytes || info.scaled_bytes < info.private_bytes)
		wrong(s, "info does not add up");
	if (info.size > PAGES * PS || info.committed_bytes > PAGES * PS)
		wrong(s, "info has too much");
	if (!(s->pair->flags & RESIZES) && info.size != PAGES * PS)
		wrong(s, "info has another size");
	if (!(s->pair->flags & PINS) && info.pinned_bytes)
		wrong(s, "info has pins");
	if (info.children > 8 || info.parent_id)
		wrong(s, "info has another family");
}

/* Whatever others do meanwhile, the runs have no gaps. */
static void step_pages(struct side *s)
{
	struct vmo_page_run run[PAGES];
	struct vmo_pages arg = {
		.length = PAGES * PS, .runs = (uintptr_t)run, .count = PAGES,
	};
	uint64_t at = 0;

	if (!good(s, "pages", ioctl(s->pair->fd, VMO_PAGES, &arg), RESIZES))
		return;
	for (unsigned int i = 0; i < arg.count; i++) {
		if (run[i].offset != at || !run[i].length ||
		    (run[i].state && !(run[i].state & VMO_PAGE_PRESENT)) ||
		    (run[i].state & VMO_PAGE_PINNED && !(s->pair->flags & PINS)) ||
		    (run[i].state & VMO_PAGE_SHARED && run[i].state & VMO_PAGE_WRITABLE))
			wrong(s, "run %u: state %x", i, run[i].state);
		at += run[i].length;
	}
	if (at != PAGES * PS || arg.length || arg.offset != at)
		wrong(s, "runs up to %llu", (unsigned long long)at);
}

/* Through a descriptor that can only read, and that goes at once. */
static void step_restrict(struct side *s)
{
	struct vmo_restrict arg = { .rights = VMO_RIGHT_READ | VMO_RIGHT_MAP };
	unsigned int page = write_next(s, s->steps % WAYS);
	struct span span;

	if (!good(s, "restrict", ioctl(s->pair->fd, VMO_RESTRICT, &arg), 0))
		return;
	if (strict(arg.fd, 0, s->page, 8, true) != -1 || errno != EACCES)
		wrong(s, "a write through a descriptor that may not");
	span_open(s->pair, &span, page, page + 1);
	if (good(s, "VMO_READ", strict(arg.fd, page * PS, s->page, PS, false), RESIZES)) {
		span_close(s->pair, &span, page, page + 1);
		check_page(s, &span, "restricted", false, page, s->page, PS);
	}
	close(arg.fd);
}

/* A name is one letter, many times. */
static void step_name(struct side *s)
{
	struct vmo_name name = { .flags = VMO_NAME_SET };

	memset(name.name, 'a' + s->steps % 26, VMO_NAME_SIZE - 1);
	good(s, "name", ioctl(s->pair->fd, VMO_NAME, &name), 0);
	name.flags = 0;
	if (!good(s, "name", ioctl(s->pair->fd, VMO_NAME, &name), 0))
		return;
	for (int i = 1; i < VMO_NAME_SIZE - 1; i++)
		if (name.name[i] != name.name[0] || name.name[0] < 'a')
			wrong(s, "a name of two");
}

/* ---- rows: mappings -------------------------------------------------------------------- */

static void step_map(struct side *s)
{
	munmap(s->map, PAGES * PS);
	s->map = vmo_map_at(s->pair->fd, 0, PAGES, RW,
			    MAP_SHARED | (s->steps % 3 ? 0 : MAP_POPULATE));
	if (!s->map) {
		wrong(s, "mmap: errno %d", errno);
		s->map = s->pair->map;
	}
	check_read(s, below(s, PAGES), OWN_MAPPING);
	check_read(s, write_next(s, OWN_MAPPING), MAPPED);
}

static void step_mprotect(struct side *s)
{
	unsigned int page = next_page(s);

	check_read(s, page, OWN_MAPPING);
	good(s, "mprotect", mprotect(s->map + page * PS, PS, RO), 0);
	check_read(s, page, OWN_MAPPING);
	good(s, "mprotect", mprotect(s->map + page * PS, PS, RW), 0);
	check_read(s, write_next(s, OWN_MAPPING), MAPPED);
}

static void step_dontneed(struct side *s)
{
	unsigned int page = write_next(s, MAPPED);

	good(s, "MADV_DONTNEED", madvise(s->pair->map + page * PS, some_pages(s, page),
					 MADV_DONTNEED), 0);
	check_read(s, page, MAPPED);
}

/* What is written to a private mapping nobody else sees, and it stays as it is. */
static void step_private(struct side *s)
{
	char *map = vmo_map_at(s->pair->fd, 0, PAGES, RW, MAP_PRIVATE);
	unsigned int page = below(s, PAGES);
	uint64_t words[WORDS];
	struct span span;
	bool there;

	if (!map) {
		wrong(s, "mmap: errno %d", errno);
		return;
	}
	span_open(s->pair, &span, page, page + 1);
	there = guarded_copy(s, s->page, map + page * PS, PS);
	span_close(s->pair, &span, page, page + 1);
	if (there)
		check_page(s, &span, "private mapping", false, page, s->page, PS);
	fill_words(words, PRIVATE, s->t, page, s->steps & 0xffffff);
	if (there && guarded_copy(s, map + place_of(s->t, page), words, sizeof(words))) {
		check_read(s, page, MAPPED);
		there = guarded_copy(s, s->page, map + page * PS, PS);
		if (there && !(s->pair->flags & RESIZES) && !all_words(s->page, s->t, words[0]))
			wrong(s, "a private page has changed");
	}
	munmap(map, PAGES * PS);
}

/* The child goes on with the mapping and our stamps while we wait. */
static void step_fork(struct side *s)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		check_read(s, below(s, PAGES), MAPPED);
		check_read(s, write_next(s, MAPPED), STRICT);
		check_read(s, write_next(s, BY_CALL), MAPPED);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		wrong(s, "a child that ended badly");
	check_read(s, below(s, PAGES), MAPPED);
}

/* ---- the table --------------------------------------------------------------------------- */

static const struct row rows[] = {
	{ "write",		step_write,		0 },
	{ "strict_write",	step_strict_write,	0 },
	{ "mapped_write",	step_mapped_write,	0 },
	{ "read",		step_read,		0 },
	{ "strict_read",	step_strict_read,	0 },
	{ "mapped_read",	step_mapped_read,	0 },
	{ "snapshot",		step_snapshot,		0 },
	{ "window",		step_window,		0 },
	{ "chain",		step_chain,		0 },
	{ "rewind",		step_rewind,		0 },
	{ "diff",		step_diff,		0 },
	{ "harvest",		step_harvest,		0 },
	{ "slice",		step_slice,		0 },
	{ "reference",		step_reference,		ZEROES | RESIZES },
	{ "resize",		step_resize,		ZEROES | RESIZES },
	{ "zero",		step_zero,		ZEROES | CLEARS },
	{ "commit",		step_commit,		0 },
	{ "decommit",		step_decommit,		ZEROES },
	{ "remove",		step_remove,		ZEROES | CLEARS },
	{ "punch",		step_punch,		ZEROES | CLEARS },
	{ "take",		step_take,		ZEROES },
	{ "give",		step_give,		ZEROES },
	{ "pin",		step_pin,		PINS },
	{ "info",		step_info,		0 },
	{ "pages",		step_pages,		0 },
	{ "restrict",		step_restrict,		0 },
	{ "seek",		step_seek,		0 },
	{ "name",		step_name,		0 },
	{ "map",		step_map,		0 },
	{ "mprotect",		step_mprotect,		0 },
	{ "dontneed",		step_dontneed,		0 },
	{ "private",		step_private,		0 },
	{ "fork",		step_fork,		0 },
};

#define NR_ROWS		(sizeof(rows) / sizeof(rows[0]))

/* ---- running ----------------------------------------------------------------------------- */

/* So that there is always something shared, the first thread keeps a snapshot. */
struct kept {
	int fd;
	char *copy;
};

static void keep_snapshot(struct side *s, struct kept *kept)
{
	if (kept->fd >= 0) {
		check_again(s, kept->fd, kept->copy, s->copy[0]);
		close(kept->fd);
	}
	kept->fd = take_and_check(s, kept->copy);
}

static void *side_thread(void *arg)
{
	struct side *s = arg;
	struct pair *pair = s->pair;
	struct kept kept = { -1, malloc(PAGES * PS) };

	pin_to_cpu(s->t);
	for (s->steps = 0; !load(&pair->failed); s->steps++) {
		if (s->steps >= pair->least && seconds() > pair->end)
			break;
		if (!s->t && s->steps % 8 == 0)
			keep_snapshot(s, &kept);
		pair->row[s->t]->step(s);
	}
	if (kept.fd >= 0) {
		check_again(s, kept.fd, kept.copy, s->copy[0]);
		close(kept.fd);
	}
	free(kept.copy);
	return NULL;
}

static void side_begin(struct side *s, struct pair *pair, unsigned int t, uint64_t seed)
{
	*s = (struct side) { .pair = pair, .t = t, .random = seed, .fd = pair->fd };
	s->map = vmo_map(pair->fd, PAGES, RW);
	s->page = malloc(PS);
	s->copy[0] = malloc(PAGES * PS);
	s->copy[1] = malloc(PAGES * PS);
	if (!s->map)
		wrong(s, "mmap");
}

static void side_end(struct side *s)
{
	munmap(s->map, PAGES * PS);
	free(s->page);
	free(s->copy[0]);
	free(s->copy[1]);
}

/* Nobody is about any more: all ways show the same. */
static void check_end(struct side *s)
{
	if (s->pair->failed || vmo_op(s->pair->fd, VMO_OP_ZERO, 0, 0))
		return;
	for (unsigned int page = 0; page < PAGES; page++) {
		if (!check_read(s, page, STRICT))
			continue;
		memcpy(s->copy[0], s->page, PS);
		if (!check_read(s, page, MAPPED) || memcmp(s->copy[0], s->page, PS))
			wrong(s, "the mapping of page %u shows something else", page);
		if (!check_read(s, page, OWN_MAPPING) || memcmp(s->copy[0], s->page, PS))
			wrong(s, "the other mapping of page %u shows something else", page);
	}
}

static double pair_seconds(void)
{
	const char *text = getenv("VMO_MATRIX_MS");

	return (text ? atof(text) : 90) / 1000;
}

static void run_threads(struct pair *pair, uint64_t steps[2])
{
	pthread_t thread[2];
	struct side s[2];

	for (unsigned int t = 0; t < 2; t++)
		side_begin(&s[t], pair, t, mix((uintptr_t)pair->row[t]->step) + t);
	pair->end = seconds() + pair_seconds();
	for (unsigned int t = 0; t < 2; t++)
		if (pthread_create(&thread[t], NULL, side_thread, &s[t]))
			abort();
	for (unsigned int t = 0; t < 2; t++) {
		pthread_join(thread[t], NULL);
		steps[t] = s[t].steps;
	}
	check_end(&s[0]);
	side_end(&s[0]);
	side_end(&s[1]);
}

/* The objects are gone with the pair, and all pages with them. */
static void check_counters(struct pair *pair, long objects, long pages)
{
	struct side s = { .pair = pair };
	long held = vmo_counter_becomes("objects", objects);

	if (held != objects)
		wrong(&s, "%ld objects are left", held - objects);
	held = vmo_counter_becomes("pages", pages);
	if (held != pages)
		wrong(&s, "%ld pages are left", held - pages);
}

#define HANGS		90	/* seconds, of a pair */

static const struct pair *running;

static void alarm_handler(int sig)
{
	dprintf(1, "# %s against %s: no end after %d s\n", running->row[0]->name,
		running->row[1]->name, HANGS);
	_exit(1);
}

static bool run_pair(int dev, const struct row *a, const struct row *b)
{
	struct pair *pair = mmap(NULL, sizeof(*pair), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long objects = vmo_counter("objects"), pages = vmo_counter("pages");
	uint64_t steps[2];
	bool passed;

	*pair = (struct pair) { .row = { a, b }, .flags = a->flags | b->flags, .dev = dev };
	pair->least = slow ? 1 : 2;
	pair->fd = vmo_new_flags(dev, PAGES * PS,
				 pair->flags & RESIZES ? VMO_CREATE_RESIZABLE : 0);
	pair->map = vmo_map(pair->fd, PAGES, RW);
	if (!pair->map)
		abort();
	running = pair;
	alarm(HANGS);
	run_threads(pair, steps);
	alarm(0);
	munmap(pair->map, PAGES * PS);
	close(pair->fd);
	check_counters(pair, objects, pages);
	passed = !pair->failed;
	if (!passed)
		printf("# %s against %s: %s\n", a->name, b->name, pair->why);
	else if (getenv("VMO_TRACE"))
		printf("# %s against %s: %llu and %llu steps\n", a->name, b->name,
		       (unsigned long long)steps[0], (unsigned long long)steps[1]);
	munmap(pair, sizeof(*pair));
	return passed;
}

static bool wanted(const struct row *a, const struct row *b)
{
	const char *text = getenv("VMO_PAIR");
	char name[64];

	if (!text)
		return true;
	snprintf(name, sizeof(name), "%s,%s", a->name, b->name);
	return !strcmp(name, text);
}

FIXTURE(vmo) {
	int dev;
};

FIXTURE_SETUP(vmo)
{
	struct sigaction act = { .sa_handler = fault_handler, .sa_flags = SA_NODEFER };

	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	slow = !access("/proc/lockdep_stats", F_OK);
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	signal(SIGALRM, alarm_handler);
}

FIXTURE_TEARDOWN(vmo)
{
	close(self->dev);
}

/* Each pair once: a row against itself and all that follow in the table. */
FIXTURE_VARIANT(vmo) {
	const char *row;
};

#define ROW(_name) FIXTURE_VARIANT_ADD(vmo, _name) { .row = #_name }

ROW(write);
ROW(strict_write);
ROW(mapped_write);
ROW(read);
ROW(strict_read);
ROW(mapped_read);
ROW(snapshot);
ROW(window);
ROW(chain);
ROW(rewind);
ROW(diff);
ROW(harvest);
ROW(slice);
ROW(reference);
ROW(resize);
ROW(zero);
ROW(commit);
ROW(decommit);
ROW(remove);
ROW(punch);
ROW(take);
ROW(give);
ROW(pin);
ROW(info);
ROW(pages);
ROW(restrict);
ROW(seek);
ROW(name);
ROW(map);
ROW(mprotect);
ROW(dontneed);
ROW(private);
ROW(fork);

TEST_F_TIMEOUT(vmo, inv_4_3_inv_4_6_against_all, 86400)
{
	const struct row *row = rows;

	while (strcmp(row->name, variant->row))
		row++;
	for (const struct row *other = row; other < rows + NR_ROWS; other++)
		if (wanted(row, other))
			EXPECT_TRUE(run_pair(self->dev, row, other));
}

TEST_HARNESS_MAIN
