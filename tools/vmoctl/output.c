// SPDX-License-Identifier: GPL-2.0
/*
 * What a command answers: text for people, or JSON. Errors name the errno and
 * the next step. No byte that a terminal could take for a command leaves here
 * but by "read --raw" and "dump NAME -".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>
#include "vmoctl.h"

/* ---- escapes --------------------------------------------------------------- */

/* Characters that are printable, but change how others look. */
static bool is_treacherous(wchar_t c)
{
	return c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* Bytes of the printable character that @text starts with; 0 if it does not. */
static size_t printable(const char *text)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t length = mbrtowc(&c, text, MB_CUR_MAX, &state);

	if (length == (size_t)-1 || length == (size_t)-2)
		return 0;
	return iswprint(c) && !is_treacherous(c) ? length : 0;
}

char *escape(const char *text)
{
	char *out = malloc(4 * strlen(text) + 1), *to = out;

	if (!out)
		abort();
	while (*text) {
		size_t length = printable(text);

		if (*text == '\\') {
			to = stpcpy(to, "\\\\");
			text++;
		} else if (length) {
			to = mempcpy(to, text, length);
			text += length;
		} else {
			to += sprintf(to, "\\%03o", (unsigned char)*text++);
		}
	}
	*to = 0;
	return out;
}

void put_escaped(FILE *to, const char *text)
{
	char *escaped = escape(text);

	fputs(escaped, to);
	free(escaped);
}

char *escape_utf8(const char *text)
{
	static locale_t utf8;
	locale_t old;
	char *escaped;

	/* Without such a locale it stays 0, and all but ASCII is escaped. */
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", 0);
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "C", 0);
	old = uselocale(utf8);
	escaped = escape(text);
	uselocale(old);
	return escaped;
}

struct json_object *json_text(const char *text)
{
	char *escaped = escape_utf8(text);
	struct json_object *json = json_object_new_string(escaped);

	free(escaped);
	return json;
}

void put_xml(FILE *to, const char *text)
{
	char *escaped = escape_utf8(text);

	for (const char *at = escaped; *at; at++) {
		if (strchr("<>&\"'", *at))
			fprintf(to, "&#%d;", *at);
		else
			fputc(*at, to);
	}
	free(escaped);
}

int text_width(const char *text)
{
	size_t length = mbstowcs(NULL, text, 0);
	wchar_t *wide;
	int width;

	if (length == (size_t)-1)
		return strlen(text);
	wide = calloc(length + 1, sizeof(*wide));
	if (!wide)
		abort();
	mbstowcs(wide, text, length + 1);
	width = wcswidth(wide, length);
	free(wide);
	return width < 0 ? (int)length : width;
}

bool is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* ---- pictures --------------------------------------------------------------- */

bool svg_ok(struct call *call)
{
	if (!call->svg || strcmp(call->svg, "-") || call->ctl->format == TEXT)
		return true;
	usage_error(call, "the picture and JSON cannot both go to standard output");
	return false;
}

enum status svg_write(struct call *call, const char *data, size_t size)
{
	bool to_stdout = !strcmp(call->svg, "-"), good;
	FILE *f = to_stdout ? stdout : fopen(call->svg, "we");
	int err;

	if (!f)
		return fail_file(call, "open", call->svg);
	good = fwrite(data, 1, size, f) == size;
	if (to_stdout)
		return OK;	/* what does not get there is noticed later */
	err = errno;
	if (fclose(f) || !good) {
		errno = good ? errno : err;
		return fail_file(call, "write", call->svg);
	}
	return OK;
}

/* ---- answers ---------------------------------------------------------------- */

static void put_json(enum format format, struct json_object *json)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= format == PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
				    JSON_C_TO_STRING_PLAIN;
	puts(json_object_to_json_string_ext(json, flags));
	json_object_put(json);
}

void answer(const struct call *call, const char *key, struct json_object *value)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, key, value);
	put_json(call->ctl->format, json);
}

enum status done(const struct call *call)
{
	if (call->ctl->format != TEXT)
		answer(call, "done", json_object_new_string(call->command->name));
	return OK;
}

/* ---- hints -------------------------------------------------------------------- */

/* The next step after an error; the first row that fits. */
static const struct {
	int err;
	const char *command;	/* NULL: any */
	const char *hint;
} hints[] = {
	{ EBADFD, "clone", "pages of it are pinned: unpin them, or clone with --copy-pinned" },
	{ EBADFD, NULL, "a page of the range is pinned: \"list\" shows it; unpin first" },
	{ EOPNOTSUPP, "decommit", "clones, and what is made of them, give memory up by \"zero\"" },
	{ EOPNOTSUPP, "rewind", "only what \"clone --keep-base\" made goes back, and its "
				"references: see \"info\", flags" },
	{ EOPNOTSUPP, "slice", "a resizable object has no slices: use \"ref\" or \"clone\"" },
	{ EOPNOTSUPP, "ref", "the object is of fixed size: leave --resizable out" },
	{ EPERM, "resize", "the object is of fixed size: make it with --resizable" },
	{ EACCES, "resize", "this reference may not resize: make it with --resizable" },
	{ EACCES, "restrict", "a descriptor cannot give a right that it lacks: see \"info\", "
			      "rights" },
	{ EACCES, NULL, "the object was made with --no-write, or its descriptor is open for one "
			"direction only, or restricted: see \"info\", rights" },
	{ EBADF, NULL, "the descriptor is not open for this: see /proc/PID/fdinfo/FD, flags" },
	{ ERANGE, NULL, "it is not inside of the object: see \"info\"; the largest size is in "
			"\"probe\"" },
	{ EINVAL, "slice", "OFFSET has to be page aligned, and the slice inside of the object" },
	{ EINVAL, "clone", "OFFSET has to be page aligned; --no-write excludes --resizable, "
			   "--longterm and --keep-base" },
	{ EINVAL, "create", "a name has no control characters; what the module can do is in "
			    "\"probe\"" },
	{ EINVAL, "load", "a name has no control characters; what the module can do is in "
			  "\"probe\"" },
	{ EINVAL, "name", "a name has no control characters" },
	{ EINVAL, NULL, "OFFSET, and but for commit and zero LENGTH, have to be page aligned" },
	{ ENOTTY, NULL, "the module does not know this command: see \"probe\", and update it" },
	{ ENAMETOOLONG, NULL, "a name has at most 63 bytes" },
	{ ENOMEM, "pin", "pinned memory counts against \"ulimit -l\" (RLIMIT_MEMLOCK)" },
	{ ENOMEM, NULL, "free memory, or raise the limit of the memory cgroup (memory.max)" },
	{ EMFILE, NULL, "each name takes a descriptor: \"ulimit -n\" allows more" },
	{ ENOSPC, NULL, "there is no room where this is written to" },
	{ EIO, NULL, "a device or memory error: see the kernel's log" },
	{ EAGAIN, "harvester", "64 harvesters watch this memory: \"close\" one of them" },
	{ EAGAIN, "pin", "these pages are pinned 65,535 times: unpin first" },
	{ ESRCH, NULL, "there is no such process: \"vmoctl list\" shows who holds objects" },
};

static const char *hint_for(int err, const char *command)
{
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].err == err &&
		    (!hints[i].command || !strcmp(hints[i].command, command)))
			return hints[i].hint;
	return NULL;
}

/* ---- errors ------------------------------------------------------------------- */

static char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		abort();
	return text;
}

void error_clear(struct ctl *ctl)
{
	free(ctl->error.message);
	free(ctl->error.hint);
	memset(&ctl->error, 0, sizeof(ctl->error));
}

enum status fail(struct call *call, int err, const char *format, ...)
{
	struct error *error = &call->ctl->error;
	const char *hint = hint_for(err, call->command->name);
	va_list args;

	error_clear(call->ctl);
	va_start(args, format);
	error->message = format_text(format, args);
	va_end(args);
	error->status = FAILED;
	error->err = err;
	error->hint = hint ? strdup(hint) : NULL;
	return FAILED;
}

enum status fail_file(struct call *call, const char *what, const char *file)
{
	struct error *error = &call->ctl->error;

	fail(call, errno, "cannot %s %s", what, file);
	if (error->err == ENOSPC || error->err == EMFILE || error->err == EIO)
		return FAILED;
	/* The other hints are about objects. */
	free(error->hint);
	error->hint = NULL;
	return FAILED;
}

enum status fail_hint(struct call *call, const char *format, ...)
{
	struct error *error = &call->ctl->error;
	va_list args;

	free(error->hint);
	va_start(args, format);
	error->hint = format_text(format, args);
	va_end(args);
	return error->status;
}

enum status usage_error(struct call *call, const char *format, ...)
{
	struct error *error = &call->ctl->error;
	va_list args;

	error_clear(call->ctl);
	va_start(args, format);
	error->message = format_text(format, args);
	va_end(args);
	error->status = USAGE;
	if (call->command && asprintf(&error->hint, "usage: %s%s%s", call->command->name,
				      *call->command->args ? " " : "", call->command->args) < 0)
		abort();
	return USAGE;
}

struct json_object *error_json(const struct ctl *ctl)
{
	const struct error *error = &ctl->error;
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "status", json_object_new_int(error->status));
	if (error->err)
		json_object_object_add(json, "errno",
				       json_text(strerrorname_np(error->err) ?: "?"));
	json_object_object_add(json, "message", json_text(error->message));
	if (error->hint)
		json_object_object_add(json, "hint", json_text(error->hint));
	if (ctl->file) {
		json_object_object_add(json, "file", json_text(ctl->file));
		json_object_object_add(json, "line", json_object_new_int64(ctl->line));
	}
	return json;
}

static void put_error_text(const struct ctl *ctl)
{
	const struct error *error = &ctl->error;

	fflush(stdout);
	fputs("vmoctl: ", stderr);
	if (ctl->file) {
		put_escaped(stderr, ctl->file);
		fprintf(stderr, ":%u: ", ctl->line);
	}
	put_escaped(stderr, error->message);
	if (error->err)
		fprintf(stderr, ": %s (%s)", strerror(error->err),
			strerrorname_np(error->err) ?: "?");
	if (error->hint) {
		fputs("\nvmoctl: ", stderr);
		put_escaped(stderr, error->hint);
	}
	fputc('\n', stderr);
}

void error_report(struct ctl *ctl)
{
	struct json_object *json;

	if (!ctl->error.status)
		return;
	if (ctl->format == TEXT) {
		put_error_text(ctl);
	} else {
		json = json_object_new_object();
		json_object_object_add(json, "error", error_json(ctl));
		put_json(ctl->format, json);
	}
}
