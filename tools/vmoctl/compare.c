// SPDX-License-Identifier: GPL-2.0
/* Commands that look at content as a whole: sum, diff and their assertions. */
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <string.h>
#include <strings.h>
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

/* So many ranges are listed in JSON, which is in memory as a whole. */
#define MAX_RANGES	65536

struct diff {
	struct call *call;
	struct content a, b;
	bool first;			/* is enough */
	uint64_t granule;
	uint64_t start, end;		/* of the range that grows; empty if equal */
	uint64_t ranges, bytes;
	struct json_object *json;	/* array, or NULL: text, or only the first */
};

static void flush_range(struct diff *diff)
{
	uint64_t length = diff->end - diff->start;
	struct json_object *json;
	char text[SIZE_TEXT];

	if (!length)
		return;
	diff->ranges++;
	diff->bytes += length;
	if (diff->json && diff->ranges <= MAX_RANGES) {
		json = json_object_new_object();
		json_object_object_add(json, "offset", json_object_new_uint64(diff->start));
		json_object_object_add(json, "length", json_object_new_uint64(length));
		json_object_array_add(diff->json, json);
	} else if (!diff->json && !diff->first) {
		printf("offset %" PRIu64 " length %" PRIu64 " (%s)\n", diff->start, length,
		       size_text(text, length, false));
	}
}

static void note_range(struct diff *diff, uint64_t start, uint64_t end)
{
	if (start != diff->end || !diff->end) {
		flush_range(diff);
		diff->start = start;
	}
	diff->end = end;
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

static enum status compare(struct diff *diff)
{
	uint64_t size = least(diff->a.size, diff->b.size), at = 0, count;
	uint64_t longer = diff->a.size + diff->b.size - size;
	struct progress progress;

	progress_begin(&progress, diff->call->argv[0], size);
	while (at < size && !(diff->first && diff->end)) {
		/* Where both have holes they are equal. */
		at = least(least(content_data(&diff->a, at), content_data(&diff->b, at)), size);
		count = least(CHUNK, size - at);
		if (!count || content_read(&diff->a, at, count) ||
		    content_read(&diff->b, at, count))
			break;
		compare_bytes(diff, at, count);
		at += count;
		progress_step(&progress, at);
	}
	progress_end(&progress);
	if (at < size && !(diff->first && diff->end))
		return fail(diff->call, errno, "cannot compare %s with %s", diff->call->argv[0],
			    diff->call->argv[1]);
	if (longer > size && !(diff->first && diff->end))
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
	char text[SIZE_TEXT];

	if (diff->json) {
		json = json_object_new_object();
		json_object_object_add(json, "equal", json_object_new_boolean(!diff->ranges));
		json_object_object_add(json, "ranges", diff->json);
		json_object_object_add(json, "bytes", json_object_new_uint64(diff->bytes));
		json_object_object_add(json, "truncated",
				       json_object_new_boolean(diff->ranges > MAX_RANGES));
		answer(diff->call, "diff", json);
	} else if (diff->ranges) {
		printf("%" PRIu64 " range%s, %s in all\n", diff->ranges,
		       diff->ranges == 1 ? "" : "s", size_text(text, diff->bytes, false));
	} else {
		puts("equal");
	}
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
	if (call->ctl->format != TEXT)
		diff.json = json_object_new_array();
	status = compare_objects(&diff);
	if (status) {
		json_object_put(diff.json);
		return status;
	}
	put_diff(&diff);
	return diff.ranges && !option(call, OPT_NO_FAIL) ? different(call) : OK;
}

enum status cmd_assert_equal(struct call *call)
{
	struct diff diff = { .call = call, .first = true };
	enum status status = compare_objects(&diff);

	if (status)
		return status;
	if (diff.ranges)
		return fail(call, 0, "%s and %s differ at offset %" PRIu64, call->argv[0],
			    call->argv[1], diff.start);
	if (call->ctl->format == TEXT)
		puts("equal");
	return done(call);
}
