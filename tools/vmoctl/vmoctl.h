/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vmoctl: the command line of virtual memory objects.
 *
 * A command is a row of the table in commands.c and a handler that gets a
 * struct call. A handler answers through output.c, once, and returns OK or
 * what fail() or usage_error() returned. The same rows serve the program's
 * arguments, the lines of a script and those of the shell.
 */
#ifndef VMOCTL_H
#define VMOCTL_H

#include <argp.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <vmo.h>

/* Exit codes, too; those of diff are as in diff(1). */
enum status { OK = 0, FAILED = 1, DIFFERENT = 1, USAGE = 2, TROUBLE = 2 };

enum format { TEXT, JSON, PRETTY };

/* What went wrong in the current command; the texts are ours to free. */
struct error {
	enum status status;	/* OK: nothing */
	int err;		/* errno, or 0 */
	char *message;
	char *hint;		/* the next step, or NULL */
};

/* A name in the shell or a script: of an object, a harvester or a pin. */
struct handle {
	struct handle *next;	/* in the order of their creation */
	char *name;
	struct vmo *vmo;	/* or NULL */
	struct vmo_reaper *reaper;	/* a harvester, or NULL; if both are: a pin */
	int pin;		/* descriptor */
	char *pinned;		/* name of the object that is pinned, or harvested */
	uint64_t offset;
	uint64_t length;
};

#define MAX_TEMPS	4

struct ctl {
	enum format format;
	bool session;		/* in a shell or a script, where names exist */
	bool leave;		/* "exit" was said */
	bool stdin_taken;	/* the script comes from there */
	bool compares;		/* the current command is one whose failures are TROUBLE */
	int dev;		/* /dev/vmo, once it is needed; else -1 */
	struct handle *handles;
	const char *file;	/* where the current line is from, or NULL */
	unsigned int line;
	unsigned int depth;	/* of scripts that run scripts */
	struct error error;
	struct vmo *temps[MAX_TEMPS];	/* PID/FD of the current command */
	unsigned int nr_temps;
};

/* The bits of struct call's options, and keys of the rows' argp options. */
enum opt {
	OPT_RESIZABLE = 1, OPT_EXEC, OPT_LONGTERM, OPT_NO_WRITE, OPT_COPY_PINNED, OPT_RAW, OPT_ALL,
	OPT_BYTES, OPT_READ_ONLY, OPT_SNAPSHOT, OPT_EXACT, OPT_NO_FAIL, OPT_ECHO, OPT_KEEP_BASE,
	OPT_CONTENT, OPT_KEEP, OPT_SVG, OPT_COUNT, OPT_READ_AHEAD, OPT_WRITE_BACK,
	OPT_JSON, OPT_PRETTY, OPT_HELP,
};

struct call {
	struct ctl *ctl;
	const struct command *command;
	unsigned int options;	/* 1 << OPT_* */
	const char *svg;	/* file of --svg, or NULL */
	const char *count;	/* number of --count, or NULL */
	const char *read_ahead;	/* size of --read-ahead, or NULL */
	const char *write_back;	/* seconds of --write-back, or NULL */
	int argc;
	char **argv;		/* without the command's name */
};

struct command {
	const char *name;
	const char *args;	/* for people */
	const char *help;	/* a line */
	int min, max;		/* number of arguments */
	enum status (*run)(struct call *call);
	const struct argp_option *options;	/* or NULL */
	bool session;		/* only where names exist */
	bool verbatim;		/* options are left to the handler */
};

static inline bool option(const struct call *call, enum opt opt)
{
	return call->options & 1U << opt;
}

/* ---- commands.c ---------------------------------------------------------- */

extern const struct command commands[];

const struct command *command_find(const char *name);

/* Runs a command and reports its error, if any. */
enum status command_run(struct ctl *ctl, int argc, char **argv);

/* Runs a command and leaves its error in ctl->error. */
enum status command_try(struct ctl *ctl, int argc, char **argv);

enum status cmd_help(struct call *call);
enum status cmd_expect(struct call *call);

/* ---- output.c ------------------------------------------------------------- */

/* Both fill ctl->error and return its status. The text may hold any byte. */
enum status fail(struct call *call, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum status usage_error(struct call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for files, with errno. */
enum status fail_file(struct call *call, const char *what, const char *file);

/* Replaces the hint of the error that fail() has just noted. */
enum status fail_hint(struct call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void error_report(struct ctl *ctl);
void error_clear(struct ctl *ctl);
struct json_object *error_json(const struct ctl *ctl);

/* {@key: @value} on a line, or pretty; takes @value over. */
void answer(const struct call *call, const char *key, struct json_object *value);

/* A command that has nothing to say answers in JSON only. */
enum status done(const struct call *call);

/*
 * The text with all that is not printable as octal escapes, and backslashes
 * doubled. For the locale of the terminal, or for JSON, which is UTF-8.
 */
char *escape(const char *text);
char *escape_utf8(const char *text);
struct json_object *json_text(const char *text);

void put_escaped(FILE *to, const char *text);

/* Escaped, and such that it ends no element and no attribute. */
void put_xml(FILE *to, const char *text);

/* Columns that @text takes in the terminal. */
int text_width(const char *text);

/* Whether the terminal shows more than ASCII. */
bool is_utf8(void);

/* Whether a picture goes to standard output; false after usage_error(). */
bool svg_ok(struct call *call);

/* Copies a picture to the file of --svg. */
enum status svg_write(struct call *call, const char *data, size_t size);

/* ---- ranges.c ------------------------------------------------------------- */

/* So many are listed in JSON, which is in memory as a whole. */
#define MAX_RANGES	65536

/* Ranges that a command answers with: printed at once, or gathered for JSON. */
struct ranges {
	bool quiet;			/* they are only counted */
	uint64_t nr, bytes;
	struct json_object *json;	/* array, or NULL: text */
};

void ranges_begin(const struct call *call, struct ranges *ranges);
void ranges_add(struct ranges *ranges, uint64_t offset, uint64_t length);

/* The last line; @nothing if there are none. */
void ranges_sum(const struct ranges *ranges, const char *nothing);

/* Adds what was gathered to the answer. */
void ranges_into(struct ranges *ranges, struct json_object *json);

/* ---- units.c ---------------------------------------------------------------- */

#define SIZE_TEXT	32

/* Digits or 0x and a suffix: K, M, G, T, page, pages. -1: not a number, or too large. */
int parse_size(const char *text, uint64_t *value);

/* 8M, 12K, 1.3M; with @exact in bytes. */
const char *size_text(char text[SIZE_TEXT], uint64_t value, bool exact);

/* ---- name.c ----------------------------------------------------------------- */

bool is_foreign(const char *name);	/* PID/FD */

/* The object of argument @i, valid during the command; NULL after fail(). */
struct vmo *object_arg(struct call *call, int i);

/* The same for PID/FD, and the caller's to close. */
struct vmo *foreign_open(struct call *call, const char *name);

/* The object as a descriptor of its own, whose file position is nobody else's; -1. */
int private_fd(const struct vmo *vmo);

/* A descriptor of another process; -1 with errno. */
int take_fd(int pidfd, int fd);

struct handle *handle_find(const struct ctl *ctl, const char *name);
bool handle_name_ok(struct call *call, const char *name);

/* Takes @vmo over, also in failure. */
enum status handle_add(struct call *call, const char *name, struct vmo *vmo);
enum status pin_add(struct call *call, const char *name, int fd, const char *object,
		    uint64_t offset, uint64_t length);

/* Takes @reaper over. */
enum status reaper_add(struct call *call, const char *name, struct vmo_reaper *reaper,
		       const char *object);
static inline bool is_pin(const struct handle *handle)
{
	return !handle->vmo && !handle->reaper;
}

void handle_drop(struct ctl *ctl, struct handle *handle);
void handles_drop_all(struct ctl *ctl);

/* Argument @i as a number; false after usage_error(). */
bool size_arg(struct call *call, int i, uint64_t *value);

/* Arguments @i and @i + 1, or if there are none the whole object. False after fail(). */
bool range_args(struct call *call, int i, const struct vmo *vmo, uint64_t *offset,
		uint64_t *length);

/* /dev/vmo; -1 after fail(). */
int device(struct call *call);

/* ---- scan.c ------------------------------------------------------------------- */

struct holder {
	int pid;
	int fd;
	char command[16];
};

/* An object; somebody holds it, if only by a mapping or a pin. */
struct member {
	struct vmo_info info;
	bool full;		/* else only what /proc says is known: id to children */
	bool by_netlink;	/* then it is full, but for change_events and rights */
	const char *label;	/* name in the shell, or NULL */
	struct holder *holders;
	size_t nr_holders;
};

struct members {
	struct member *all;	/* by id */
	size_t nr;
	size_t hidden;		/* processes that may not be looked into */
};

/* Those of the shell; or of all processes, with @everybody or outside of it. */
enum status members_collect(struct call *call, bool everybody, struct members *members);
void members_free(struct members *members);

/* A line on standard error about those that may not be looked into. */
void members_note_hidden(const struct members *members);
struct member *member_find(const struct members *members, uint64_t id);
const char *kind_text(const struct member *member);

/* Of VMO_INFO_* bits: their names. */
struct json_object *flags_json(uint64_t flags);
struct json_object *member_json(const struct member *member);

/* Of VMO_RIGHT_* bits: their names. */
struct json_object *rights_json(unsigned int rights);

/* Names between commas, or "none"; false after usage_error(). */
bool parse_rights(struct call *call, const char *text, unsigned int *rights);

/* Shell name and object's name, escaped; to be freed. */
char *member_title(const struct member *member);

/* ---- netlink.c -------------------------------------------------------------------- */

/* Of all objects that the module tells of, with what they hold; of none if it does not. */
void netlink_objects(void (*add)(void *arg, const struct vmo_info *info), void *arg);

/* ---- live.c: commands that go on until somebody ends them ------------------------- */

/* SIGINT and SIGTERM are no failure from here on. In a session that is the shell's business. */
void live_begin(const struct call *call);

/* Until @fd (or -1) can be read, or the time is over (NULL: never). False if it is to end. */
bool live_wait(int fd, const struct timespec *timeout);

/* A line was printed. False if it is to end. */
bool live_flush(void);

/* ---- info.c ------------------------------------------------------------------------ */

enum status stats_ask(struct call *call, struct vmo_stats *stats);

/* All fields; with @before how much more there is of each. */
struct json_object *stats_json(const struct vmo_stats *stats, const struct vmo_stats *before);

/* ---- progress.c ------------------------------------------------------------------ */

struct progress {
	const char *what;
	uint64_t total;		/* 0: not known */
	uint64_t last;		/* ms */
	bool active;		/* standard error is a terminal */
	bool shown;
};

void progress_begin(struct progress *progress, const char *what, uint64_t total);
void progress_step(struct progress *progress, uint64_t count);
void progress_end(struct progress *progress);

/* ---- content.c: what objects hold, piece by piece --------------------------------- */

#define CHUNK	(1UL << 20)

/* Reads an object and knows its holes. */
struct content {
	const struct vmo *vmo;
	int fd;			/* for SEEK_DATA; -1: holes are not known */
	uint64_t size;		/* content size */
	char *buf;		/* CHUNK */
	uint64_t data;		/* where data was found last */
	uint64_t hole;		/* and its end */
};

enum status content_open(struct call *call, const struct vmo *vmo, struct content *content);

/* Of argument 0, or with --snapshot of a snapshot that lives as long as the command. */
enum status content_open_first(struct call *call, struct content *content);
void content_close(struct content *content);

/* Whether the size is that of content_open(), or else an error. */
enum status content_same_size(struct call *call, const struct content *content);

/* First byte at or behind @at that is not in a hole; size if there is none. */
uint64_t content_data(struct content *content, uint64_t at);

/* @count bytes from @at on into content->buf; -1 with errno. */
int content_read(struct content *content, uint64_t at, size_t count);

/*
 * Up to CHUNK bytes from @at on, into content->buf, within the content; *@hole
 * if they are of a hole, and then the buffer is zeroed. Returns the count or -1.
 */
ssize_t content_piece(struct content *content, uint64_t at, bool *hole);

/* ---- shell.c ------------------------------------------------------------------------ */

/* Set by SIGINT in the shell; long commands look at it. */
extern volatile sig_atomic_t interrupted;

/* ---- handlers ------------------------------------------------------------------------ */

/* VMO_CREATE_*, as the options say. */
unsigned int create_flags(const struct call *call);

/* A new name for a new object, and the answer that says so; takes @vmo over. */
enum status object_made(struct call *call, const char *name, struct vmo *vmo);

enum status cmd_create(struct call *call);
enum status cmd_open(struct call *call);
enum status cmd_clone(struct call *call);
enum status cmd_slice(struct call *call);
enum status cmd_ref(struct call *call);
enum status cmd_restrict(struct call *call);
enum status cmd_name(struct call *call);
enum status cmd_close(struct call *call);
enum status cmd_wait(struct call *call);

enum status cmd_resize(struct call *call);
enum status cmd_commit(struct call *call);
enum status cmd_decommit(struct call *call);
enum status cmd_zero(struct call *call);
enum status cmd_rewind(struct call *call);
enum status cmd_move(struct call *call);
enum status cmd_pin(struct call *call);
enum status cmd_unpin(struct call *call);

enum status cmd_load(struct call *call);
enum status cmd_dump(struct call *call);
enum status cmd_write(struct call *call);
enum status cmd_read(struct call *call);

enum status cmd_sum(struct call *call);
enum status cmd_assert_sum(struct call *call);
enum status cmd_diff(struct call *call);
enum status cmd_assert_equal(struct call *call);

enum status cmd_info(struct call *call);
enum status cmd_list(struct call *call);
enum status cmd_tree(struct call *call);
enum status cmd_usage(struct call *call);
enum status cmd_stats(struct call *call);
enum status cmd_stat(struct call *call);
enum status cmd_watch(struct call *call);
enum status cmd_probe(struct call *call);
enum status cmd_version(struct call *call);

enum status cmd_pages(struct call *call);
enum status cmd_map(struct call *call);
enum status cmd_graph(struct call *call);

enum status cmd_harvester(struct call *call);
enum status cmd_harvest(struct call *call);

enum status cmd_pager(struct call *call);

enum status cmd_shell(struct call *call);
enum status cmd_run(struct call *call);
enum status cmd_echo(struct call *call);
enum status cmd_exit(struct call *call);

#endif
