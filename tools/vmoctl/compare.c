// SPDX-License-Identifier: GPL-2.0
/* Commands that look at content as a whole: sum, diff and their assertions. */
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>
#include "vmoctl.h"

/* ---- sums ---------------------------------------------------------------------- */

#define SUM_TEXT	(2 * SHA256_DIGEST_SIZE + 1)

static enum status sum_content(struct call *call, struct content *content, char text[SUM_TEXT])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct progress progress;
	struct sha256_ctx sha;
	uint64_t at = 0;
	ssize_t count;
	bool hole;

	sha256_init(&sha);
	progress_begin(&progress, call->argv[0], content->size);
	while (at < content->size) {
		count = content_piece(content, at, &hole);
		if (count < 0)
			break;
		sha256_update(&sha, count, (uint8_t *)content->buf);
		at += count;
		progress_step(&progress, at);
	}
	progress_end(&progress);
	if (at < content->size)
		return fail(call, errno, "cannot read %s", call->argv[0]);
	sha256_digest(&sha, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
	return OK;
}

/* Of argument 0. */
static enum status sum_object(struct call *call, char text[SUM_TEXT], uint64_t *size)
{
	struct content content;
	enum status status = content_open_first(call, &content);

	if (status)
		return status;
	*size = content.size;
	status = sum_content(call, &content, text);
	if (!status)
		status = content_same_size(call, &content);
	content_close(&content);
	return status;
}

enum status cmd_sum(struct call *call)
{
	struct json_object *json;
	char text[SUM_TEXT];
	uint64_t size;
	enum status status = sum_object(call, text, &size);

	if (status)
		return status;
	if (call->ctl->format == TEXT) {
		printf("%s  ", text);
		put_escaped(stdout, call->argv[0]);
		putchar('\n');
		return OK;
	}
	json = json_object_new_object();
	json_object_object_add(json, "object", json_text(call->argv[0]));
	json_object_object_add(json, "algorithm", json_object_new_string("sha256"));
	json_object_object_add(json, "sum", json_object_new_string(text));
	json_object_object_add(json, "bytes", json_object_new_uint64(size));
	answer(call, "sum", json);
	return OK;
}

enum status cmd_assert_sum(struct call *call)
{
	char text[SUM_TEXT];
	uint64_t size;
	enum status status = sum_object(call, text, &size);

	if (status)
		return status;
	if (strcasecmp(text, call->argv[1]))
		return fail(call, 0, "the sum of %s is %s", call->argv[0], text);
	if (call->ctl->format == TEXT)
		puts("as expected");
	return done(call);
}

/* ---- differences ------------------------------------------------------------------ */

struct diff {
	struct call *call;
	struct content a, b;
	bool first;			/* is enough */
	bool family;			/* the module knows where they differ */
	uint64_t granule;
	uint64_t start, end;		/* of the range that grows; empty if equal */
	struct ranges ranges;
};

static void flush_range(struct diff *diff)
{
	if (diff->end > diff->start)
		ranges_add(&diff->ranges, diff->start, diff->end - diff->start);
}

static void note_range(struct diff *diff, uint64_t start, uint64_t end)
{
	if (start != diff->end || !diff->end) {
		flush_range(diff);
		diff->start = start;
	}
	diff->end = end;
}

/* Whether no more has to be looked at. */
static bool is_enough(const struct diff *diff)
{
	return diff->first && diff->end;
}

static void compare_bytes(struct diff *diff, uint64_t at, size_t count)
{
	const char *a = diff->a.buf, *b = diff->b.buf;
	size_t i = 0, length;

	if (!memcmp(a, b, count))
		return;
	for (; i < count; i += length) {
		length = diff->granule - (at + i) % diff->granule;
		if (length > count - i)
			length = count - i;
		if (memcmp(a + i, b + i, length))
			note_range(diff, at + i, at + i + length);
	}
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum status cannot_compare(struct diff *diff)
{
	return fail(diff->call, errno, "cannot compare %s with %s", diff->call->argv[0],
		    diff->call->argv[1]);
}

/* Byte by byte, but for what both have as holes. */
static enum status compare_content(struct diff *diff, uint64_t at, uint64_t end)
{
	uint64_t count;

	while (at < end && !is_enough(diff)) {
		at = least(least(content_data(&diff->a, at), content_data(&diff->b, at)), end);
		count = least(CHUNK, end - at);
		if (!count)
			break;
		if (content_read(&diff->a, at, count) || content_read(&diff->b, at, count))
			return cannot_compare(diff);
		compare_bytes(diff, at, count);
		at += count;
	}
	return OK;
}

/* All of it, with a line on the terminal meanwhile. */
static enum status compare_all(struct diff *diff, uint64_t size)
{
	enum status status = OK;
	struct progress progress;
	uint64_t at, end;

	progress_begin(&progress, diff->call->argv[0], size);
	for (at = 0; at < size && !status && !is_enough(diff); at = end) {
		/* What both have as holes is no work. */
		at = least(least(content_data(&diff->a, at), content_data(&diff->b, at)), size);
		end = at + least(CHUNK, size - at);
		status = compare_content(diff, at, end);
		progress_step(&progress, end);
	}
	progress_end(&progress);
	return status;
}

/* ---- of one family ------------------------------------------------------------------ */

#define MAX_ANSWERS	256

/*
 * Whether the same offset is the same place of the family for both. Nobody tells
 * where a window is. So a page that is unlike all others is put where @b begins: a
 * child of our own has it, which nobody else sees.
 */
static bool is_aligned(const struct vmo *a, const struct vmo *b)
{
	uint64_t page = sysconf(_SC_PAGESIZE), offset = 0, length = page;
	unsigned char mark[32];
	struct vmo_range range;
	struct vmo *child;
	bool good;

	if (getrandom(mark, sizeof(mark), 0) != sizeof(mark))
		return false;
	child = vmo_clone(b, 0, page, VMO_CLONE_SNAPSHOT | VMO_CLONE_COPY_PINNED);
	if (!child)
		return false;
	good = vmo_write(child, mark, sizeof(mark), 0, 0) == sizeof(mark) &&
	       vmo_diff(a, child, &offset, &length, &range, 1) == 1 && range.offset == 0;
	vmo_close(child);
	return good;
}

static bool is_family(const struct vmo *a, const struct vmo *b)
{
	uint64_t offset = 0, length = 0;
	struct vmo_range range;

	return vmo_diff(a, b, &offset, &length, &range, 1) >= 0;
}

/* The pages are known; what counts of them is the content, or with --exact bytes. */
static enum status take_range(struct diff *diff, const struct vmo_range *range, uint64_t size)
{
	uint64_t end = range->offset + range->length, whole = size - size % diff->granule;

	if (diff->granule == 1)
		return compare_content(diff, range->offset, least(end, size));
	if (range->offset < least(end, whole))
		note_range(diff, range->offset, least(end, whole));
	return end > whole ? compare_content(diff, whole, size) : OK;
}

static enum status compare_family(struct diff *diff, uint64_t size)
{
	uint64_t mask = sysconf(_SC_PAGESIZE) - 1, offset = 0, length = (size + mask) & ~mask;
	struct vmo_range ranges[MAX_ANSWERS];
	enum status status = OK;
	int count;

	while (length && !status && !is_enough(diff)) {
		if (interrupted) {
			errno = EINTR;
			return cannot_compare(diff);
		}
		count = vmo_diff(diff->a.vmo, diff->b.vmo, &offset, &length, ranges, MAX_ANSWERS);
		if (count < 0)
			return cannot_compare(diff);
		for (int i = 0; i < count && !status && !is_enough(diff); i++)
			status = take_range(diff, &ranges[i], size);
	}
	return status;
}

static enum status compare(struct diff *diff)
{
	uint64_t size = least(diff->a.size, diff->b.size);
	uint64_t longer = diff->a.size + diff->b.size - size;
	enum status status;

	diff->family = size && !option(diff->call, OPT_CONTENT) &&
		       is_family(diff->a.vmo, diff->b.vmo) &&
		       is_aligned(diff->a.vmo, diff->b.vmo);
	status = diff->family ? compare_family(diff, size) : compare_all(diff, size);
	if (status)
		return status;
	if (longer > size && !is_enough(diff))
		note_range(diff, size, longer);
	flush_range(diff);
	return OK;
}

static enum status compare_objects(struct diff *diff)
{
	struct call *call = diff->call;
	struct vmo *a = object_arg(call, 0), *b;
	enum status status;

	b = a ? object_arg(call, 1) : NULL;
	if (!b)
		return call->ctl->error.status;
	diff->granule = option(call, OPT_EXACT) ? 1 : sysconf(_SC_PAGESIZE);
	status = content_open(call, a, &diff->a);
	if (status)
		return status;
	status = content_open(call, b, &diff->b);
	if (!status) {
		status = compare(diff);
		if (!status)
			status = content_same_size(call, &diff->a);
		if (!status)
			status = content_same_size(call, &diff->b);
		content_close(&diff->b);
	}
	content_close(&diff->a);
	return status;
}

static void put_diff(struct diff *diff)
{
	struct json_object *json;

	if (!diff->ranges.json) {
		ranges_sum(&diff->ranges, "equal");
		return;
	}
	json = json_object_new_object();
	json_object_object_add(json, "equal", json_object_new_boolean(!diff->ranges.nr));
	json_object_object_add(json, "method",
			       json_object_new_string(diff->family ? "family" : "content"));
	ranges_into(&diff->ranges, json);
	answer(diff->call, "diff", json);
}

/* As any other code that is not 0, it ends a script, which is told why. */
static enum status different(struct call *call)
{
	call->ctl->compares = false;
	if (call->ctl->session && call->ctl->format == TEXT) {
		fail(call, 0, "%s and %s differ", call->argv[0], call->argv[1]);
		return fail_hint(call, "with --no-fail a difference is no failure");
	}
	return DIFFERENT;
}

enum status cmd_diff(struct call *call)
{
	struct diff diff = { .call = call };
	enum status status;

	call->ctl->compares = true;
	ranges_begin(call, &diff.ranges);
	status = compare_objects(&diff);
	if (status) {
		json_object_put(diff.ranges.json);
		return status;
	}
	put_diff(&diff);
	return diff.ranges.nr && !option(call, OPT_NO_FAIL) ? different(call) : OK;
}

enum status cmd_assert_equal(struct call *call)
{
	struct diff diff = { .call = call, .first = true, .ranges.quiet = true };
	enum status status = compare_objects(&diff);

	if (status)
		return status;
	if (diff.ranges.nr)
		return fail(call, 0, "%s and %s differ at offset %" PRIu64, call->argv[0],
			    call->argv[1], diff.start);
	if (call->ctl->format == TEXT)
		puts("equal");
	return done(call);
}
