// SPDX-License-Identifier: GPL-2.0
/* Commands that move bytes: load, dump, read, write. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vmoctl.h"

static enum status cannot_read(struct call *call, const char *name)
{
	return fail(call, errno, "cannot read %s", name);
}

/* ---- load -------------------------------------------------------------------- */

struct loader {
	struct call *call;
	const char *name;	/* of the file */
	int fd;
	struct vmo *vmo;
	char *buf;
	struct progress progress;
};

static enum status load_bytes(struct loader *loader, size_t count, uint64_t at)
{
	if (interrupted)
		return fail(loader->call, EINTR, "cannot load %s", loader->name);
	if (vmo_write(loader->vmo, loader->buf, count, at, 0) < 0)
		return fail(loader->call, errno, "cannot write %s", loader->call->argv[0]);
	progress_step(&loader->progress, at + count);
	return OK;
}

static enum status became_shorter(struct loader *loader)
{
	return fail(loader->call, 0, "%s became shorter while it was read", loader->name);
}

static enum status load_range(struct loader *loader, uint64_t at, uint64_t end)
{
	while (at < end) {
		ssize_t count = pread(loader->fd, loader->buf, end - at < CHUNK ? end - at : CHUNK,
				      at);

		if (count < 0)
			return fail_file(loader->call, "read", loader->name);
		if (!count)
			return became_shorter(loader);
		if (load_bytes(loader, count, at))
			return FAILED;
		at += count;
	}
	return OK;
}

/* Holes of the file stay holes of the object. */
static enum status load_sparse(struct loader *loader, uint64_t size)
{
	struct stat st;
	uint64_t at = 0;

	while (at < size) {
		off_t data = lseek(loader->fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)	/* a file system that does not know */
			return load_range(loader, at, size);
		hole = lseek(loader->fd, data, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole > size)
			hole = size;
		if (load_range(loader, data, hole))
			return FAILED;
		at = hole;
	}
	/* What was cut looks like a hole. */
	if (fstat(loader->fd, &st))
		return fail_file(loader->call, "read", loader->name);
	return (uint64_t)st.st_size < size ? became_shorter(loader) : OK;
}

/* What read() gives until the end or until the buffer is full; -1 */
static ssize_t read_full(int fd, char *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = read(fd, buf + done, size - done);

		if (count < 0)
			return -1;
		if (!count)
			break;
		done += count;
	}
	return done;
}

/* The size is not known: the object grows. */
static enum status load_stream(struct loader *loader)
{
	uint64_t at = 0;
	ssize_t count;

	while ((count = read_full(loader->fd, loader->buf, CHUNK)) > 0) {
		if (vmo_resize(loader->vmo, at + count))
			return fail(loader->call, errno, "cannot let %s grow",
				    loader->call->argv[0]);
		if (load_bytes(loader, count, at))
			return FAILED;
		at += count;
	}
	return count < 0 ? fail_file(loader->call, "read", loader->name) : OK;
}

/* Some files of /proc say that they are empty, and are not. */
static bool has_size(const struct loader *loader, struct stat *st)
{
	return loader->fd != STDIN_FILENO && !fstat(loader->fd, st) && S_ISREG(st->st_mode) &&
	       st->st_size > 0;
}

static enum status load(struct loader *loader)
{
	struct call *call = loader->call;
	unsigned int flags = create_flags(call);
	struct stat st = { .st_size = 0 };
	bool sized = has_size(loader, &st);
	enum status status;

	loader->vmo = vmo_create(call->ctl->dev, sized ? st.st_size : 0,
				 sized ? flags : flags | VMO_CREATE_RESIZABLE, call->argv[0]);
	if (!loader->vmo)
		return fail(call, errno, "cannot create %s", call->argv[0]);
	loader->buf = malloc(CHUNK);
	if (!loader->buf)
		abort();
	progress_begin(&loader->progress, loader->name, sized ? st.st_size : 0);
	status = sized ? load_sparse(loader, st.st_size) : load_stream(loader);
	progress_end(&loader->progress);
	free(loader->buf);
	if (status) {
		vmo_close(loader->vmo);
		return status;
	}
	return object_made(call, call->argv[0], loader->vmo);
}

enum status cmd_load(struct call *call)
{
	struct loader loader = { .call = call, .name = call->argv[1], .fd = STDIN_FILENO };
	bool from_stdin = !strcmp(loader.name, "-");
	enum status status;

	if (!handle_name_ok(call, call->argv[0]))
		return call->ctl->error.status;
	if (from_stdin && call->ctl->stdin_taken)
		return usage_error(call, "standard input is where the commands come from");
	if (!from_stdin)
		loader.fd = open(loader.name, O_RDONLY | O_CLOEXEC);
	if (loader.fd < 0)
		return fail_file(call, "open", loader.name);
	status = device(call) < 0 ? FAILED : load(&loader);
	if (!from_stdin)
		close(loader.fd);
	return status;
}

/* ---- dump -------------------------------------------------------------------- */

struct dump {
	struct call *call;
	int fd;
	bool sparse;		/* a regular file: holes stay holes */
	uint64_t data;		/* bytes that were written */
};

static int write_full(int fd, const char *buf, size_t count)
{
	while (count) {
		ssize_t done = write(fd, buf, count);

		if (done < 0)
			return -1;
		buf += done;
		count -= done;
	}
	return 0;
}

static enum status cannot_write(struct dump *dump)
{
	return fail_file(dump->call, "write", dump->call->argv[1]);
}

static enum status dump_piece(struct dump *dump, struct content *content, uint64_t at,
			      size_t count, bool hole)
{
	if (hole && dump->sparse)
		return OK;
	dump->data += count;
	if (dump->sparse && lseek(dump->fd, at, SEEK_SET) < 0)
		return cannot_write(dump);
	return write_full(dump->fd, content->buf, count) ? cannot_write(dump) : OK;
}

static enum status dump_content(struct dump *dump, struct content *content)
{
	enum status status = OK;
	struct progress progress;
	uint64_t at = 0;

	progress_begin(&progress, dump->call->argv[1], content->size);
	while (status == OK && at < content->size) {
		bool hole;
		ssize_t count = content_piece(content, at, &hole);

		if (count < 0) {
			status = cannot_read(dump->call, dump->call->argv[0]);
			break;
		}
		status = dump_piece(dump, content, at, count, hole);
		at += count;
		/* A hole may be larger than any file. */
		if (hole && dump->sparse)
			at = content_data(content, at);
		progress_step(&progress, at);
	}
	progress_end(&progress);
	return status;
}

/* A file of /proc/PID/fd: cutting it would leave nothing to copy. */
static bool is_content(const struct content *content, const struct stat *st)
{
	struct stat own;

	return !fstat(vmo_fd(content->vmo), &own) && own.st_dev == st->st_dev &&
	       own.st_ino == st->st_ino;
}

static enum status dump_open(struct dump *dump, const struct content *content)
{
	const char *name = dump->call->argv[1];
	struct stat st;

	if (!strcmp(name, "-")) {
		fflush(stdout);
		dump->fd = STDOUT_FILENO;
		return OK;
	}
	dump->fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (dump->fd < 0)
		return fail_file(dump->call, "open", name);
	dump->sparse = !fstat(dump->fd, &st) && S_ISREG(st.st_mode);
	if (dump->sparse && is_content(content, &st)) {
		close(dump->fd);
		return fail(dump->call, 0, "%s and %s are one object", dump->call->argv[0], name);
	}
	if (dump->sparse && (ftruncate(dump->fd, 0) || ftruncate(dump->fd, content->size))) {
		cannot_write(dump);
		close(dump->fd);
		return FAILED;
	}
	return OK;
}

static enum status dumped(struct dump *dump, uint64_t size)
{
	struct json_object *json;

	if (dump->call->ctl->format == TEXT)
		return OK;
	json = json_object_new_object();
	json_object_object_add(json, "file", json_text(dump->call->argv[1]));
	json_object_object_add(json, "bytes", json_object_new_uint64(size));
	json_object_object_add(json, "data_bytes", json_object_new_uint64(dump->data));
	answer(dump->call, "dump", json);
	return OK;
}

enum status cmd_dump(struct call *call)
{
	struct dump dump = { .call = call };
	struct content content;
	enum status status;

	if (!strcmp(call->argv[1], "-") && call->ctl->format != TEXT)
		return usage_error(call, "the content and JSON cannot both go to standard output");
	status = content_open_first(call, &content);
	if (status)
		return status;
	status = dump_open(&dump, &content);
	if (!status) {
		status = dump_content(&dump, &content);
		if (!status)
			status = content_same_size(call, &content);
		if (dump.fd != STDOUT_FILENO && close(dump.fd) && !status)
			status = cannot_write(&dump);
	}
	content_close(&content);
	return status ?: dumped(&dump, content.size);
}

/* ---- write ---------------------------------------------------------------------- */

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* In place; returns the number of bytes or -1. */
static ssize_t from_hex(char *text)
{
	size_t length = strlen(text);

	if (length % 2 || strspn(text, "0123456789abcdefABCDEF") != length)
		return -1;
	for (size_t i = 0; i < length / 2; i++)
		text[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
	return length / 2;
}

enum status cmd_write(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	char *data = call->argv[2];
	ssize_t count = strlen(data);
	uint64_t offset;

	if (!vmo || !size_arg(call, 1, &offset))
		return call->ctl->error.status;
	if (!strncmp(data, "hex:", 4)) {
		data += 4;
		count = from_hex(data);
		if (count < 0)
			return usage_error(call, "behind hex: there are pairs of digits");
	}
	if (vmo_write(vmo, data, count, offset, 0) < 0)
		return fail(call, errno, "cannot write %s", call->argv[0]);
	return done(call);
}

/* ---- read ----------------------------------------------------------------------- */

struct hexdump {
	unsigned char last[16];
	bool any;		/* last is valid */
	bool starred;
};

static void hex_line(struct hexdump *dump, const unsigned char *bytes, size_t count, uint64_t at)
{
	if (count == 16 && dump->any && !memcmp(dump->last, bytes, 16)) {
		if (!dump->starred)
			puts("*");
		dump->starred = true;
		return;
	}
	dump->starred = false;
	dump->any = true;
	memcpy(dump->last, bytes, count);
	printf("%08" PRIx64 " ", at);
	for (size_t i = 0; i < 16; i++) {
		if (i % 8 == 0)
			putchar(' ');
		if (i < count)
			printf("%02x ", bytes[i]);
		else
			fputs("   ", stdout);
	}
	fputs(" |", stdout);
	for (size_t i = 0; i < count; i++)
		putchar(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
	puts("|");
}

static void put_hex(struct hexdump *dump, const char *buf, size_t count, uint64_t at)
{
	for (size_t i = 0; i < count; i += 16)
		hex_line(dump, (const unsigned char *)buf + i, count - i < 16 ? count - i : 16,
			 at + i);
}

static enum status read_text(struct call *call, struct content *content, uint64_t offset,
			     uint64_t length)
{
	struct hexdump dump = { .any = false };
	uint64_t at = 0;

	while (at < length) {
		size_t count = length - at < CHUNK ? length - at : CHUNK;

		if (content_read(content, offset + at, count))
			return cannot_read(call, call->argv[0]);
		if (!option(call, OPT_RAW))
			put_hex(&dump, content->buf, count, offset + at);
		else if (fwrite(content->buf, 1, count, stdout) != count)
			return fail(call, errno, "cannot write the output");
		at += count;
	}
	if (!option(call, OPT_RAW))
		printf("%08" PRIx64 "\n", offset + length);
	return OK;
}

/* A document is in memory several times, and has two digits for each byte. */
#define MAX_READ	(16 * CHUNK)

static enum status read_json(struct call *call, struct vmo *vmo, uint64_t offset, uint64_t length)
{
	static const char digits[] = "0123456789abcdef";
	struct json_object *json;
	char *buf, *hex;

	if (length > MAX_READ) {
		fail(call, E2BIG, "too much for JSON");
		return fail_hint(call, "read up to 16M at a time, or use \"dump\" or --raw");
	}
	buf = malloc(3 * length + 1);
	if (!buf)
		return fail(call, ENOMEM, "cannot allocate a buffer");
	hex = buf + length;
	if (vmo_read(vmo, buf, length, offset, 0) < 0) {
		free(buf);
		return cannot_read(call, call->argv[0]);
	}
	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[(unsigned char)buf[i] >> 4];
		hex[2 * i + 1] = digits[buf[i] & 15];
	}
	hex[2 * length] = 0;
	json = json_object_new_object();
	json_object_object_add(json, "offset", json_object_new_uint64(offset));
	json_object_object_add(json, "length", json_object_new_uint64(length));
	json_object_object_add(json, "hex", json_object_new_string(hex));
	free(buf);
	answer(call, "read", json);
	return OK;
}

enum status cmd_read(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	struct content content;
	uint64_t offset, length;
	enum status status;

	if (option(call, OPT_RAW) && call->ctl->format != TEXT)
		return usage_error(call, "--raw and JSON exclude one another");
	if (!vmo || !range_args(call, 1, vmo, &offset, &length))
		return call->ctl->error.status;
	status = content_open(call, vmo, &content);
	if (status)
		return status;
	if (call->argc == 1)
		length = content.size;
	if (call->ctl->format != TEXT)
		status = read_json(call, vmo, offset, length);
	else
		status = read_text(call, &content, offset, length);
	content_close(&content);
	return status;
}
