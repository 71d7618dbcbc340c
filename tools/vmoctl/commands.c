// SPDX-License-Identifier: GPL-2.0
/* The table of commands, and how a command is found, parsed and run. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmoctl.h"

/* ---- options ------------------------------------------------------------------ */

#define OPTION(_name, _key, _doc)	{ .name = _name, .key = _key, .doc = _doc }

static const struct argp_option create_options[] = {
	OPTION("resizable", OPT_RESIZABLE, "it can be resized"),
	OPTION("exec", OPT_EXEC, "it may be mapped executable"),
	OPTION("longterm", OPT_LONGTERM, "its mappings may be pinned for long (io_uring, RDMA)"),
	{ 0 }
};

static const struct argp_option clone_options[] = {
	OPTION("no-write", OPT_NO_WRITE, "nobody can ever write it"),
	OPTION("resizable", OPT_RESIZABLE, "it can be resized"),
	OPTION("copy-pinned", OPT_COPY_PINNED, "copy pinned pages instead of failing"),
	OPTION("keep-base", OPT_KEEP_BASE, "it can go back to what it is now, by rewind"),
	OPTION("longterm", OPT_LONGTERM, "its mappings may be pinned for long (io_uring, RDMA)"),
	{ 0 }
};

static const struct argp_option slice_options[] = {
	OPTION("no-write", OPT_NO_WRITE, "it can only be read"),
	{ 0 }
};

static const struct argp_option ref_options[] = {
	OPTION("no-write", OPT_NO_WRITE, "it can only be read"),
	OPTION("resizable", OPT_RESIZABLE, "it can be resized, if the object can"),
	{ 0 }
};

static const struct argp_option pin_options[] = {
	OPTION("read-only", OPT_READ_ONLY, "for reading, where the object cannot be written"),
	{ 0 }
};

static const struct argp_option snapshot_options[] = {
	OPTION("snapshot", OPT_SNAPSHOT, "of one instant: of a snapshot that is taken first"),
	{ 0 }
};

static const struct argp_option read_options[] = {
	OPTION("raw", OPT_RAW, "the bytes as they are, not as a hexdump"),
	{ 0 }
};

static const struct argp_option diff_options[] = {
	OPTION("exact", OPT_EXACT, "ranges of bytes, not of pages"),
	OPTION("content", OPT_CONTENT, "compare all bytes, also if the module knows what differs"),
	OPTION("no-fail", OPT_NO_FAIL, "that they differ is no failure: exit code 0"),
	{ 0 }
};

static const struct argp_option list_options[] = {
	OPTION("all", OPT_ALL, "in the shell: of all processes"),
	OPTION("bytes", OPT_BYTES, "sizes in bytes"),
	{ 0 }
};

#define SVG_OPTION(_doc)	{ .name = "svg", .key = OPT_SVG, .arg = "FILE", .doc = _doc }

static const struct argp_option map_options[] = {
	SVG_OPTION("a picture instead (- is standard output)"),
	{ 0 }
};

static const struct argp_option graph_options[] = {
	OPTION("all", OPT_ALL, "in the shell: of all processes"),
	SVG_OPTION("a picture instead, by the program dot (- is standard output)"),
	{ 0 }
};

static const struct argp_option harvest_options[] = {
	OPTION("keep", OPT_KEEP, "forget nothing: the next harvest tells it again"),
	{ 0 }
};

static const struct argp_option watch_options[] = {
	{ .name = "count", .key = OPT_COUNT, .arg = "N", .doc = "end after so many events" },
	{ 0 }
};

static const struct argp_option pager_options[] = {
	OPTION("read-only", OPT_READ_ONLY, "nobody can write the object"),
	{ .name = "read-ahead", .key = OPT_READ_AHEAD, .arg = "SIZE",
	  .doc = "what is read at once of what is read in order; 1M" },
	{ .name = "write-back", .key = OPT_WRITE_BACK, .arg = "SECONDS",
	  .doc = "how often what was written is stored; 5" },
	{ 0 }
};

static const struct argp_option run_options[] = {
	OPTION("echo", OPT_ECHO, "print each line before it is run"),
	{ 0 }
};

/* Every command takes these. */
static const struct argp_option common_options[] = {
	OPTION("json", OPT_JSON, "answer in JSON, on a line"),
	OPTION("pretty", OPT_PRETTY, "answer in JSON, indented"),
	OPTION("help", OPT_HELP, "what this command does"),
	{ 0 }
};

/* ---- the table ------------------------------------------------------------------ */

#define SESSION	.session = true

const struct command commands[] = {
	{ "list", "", "the objects that are held, and by whom", 0, 0, cmd_list, list_options },
	{ "tree", "[NAME]", "families: who was made from whom, and what they share",
	  0, 1, cmd_tree, list_options },
	{ "info", "NAME", "what an object is and holds", 1, 1, cmd_info },
	{ "usage", "NAME [OFFSET LENGTH]", "what a range of an object holds", 1, 3, cmd_usage },
	{ "pages", "NAME [OFFSET LENGTH]", "which pages are private, shared, absent, pinned",
	  1, 3, cmd_pages },
	{ "map", "NAME [OFFSET LENGTH]", "the same as a picture", 1, 3, cmd_map, map_options },
	{ "graph", "[NAME]", "families as a graph, for Graphviz", 0, 1, cmd_graph, graph_options },
	{ "stats", "", "what the module holds", 0, 0, cmd_stats },
	{ "stat", "[SECONDS [COUNT]]", "how that changes, a line every so many seconds",
	  0, 2, cmd_stat },
	{ "watch", "[ID]", "what becomes of objects, as it happens", 0, 1, cmd_watch,
	  watch_options },
	{ "probe", "", "what the module can do", 0, 0, cmd_probe },
	{ "version", "", "of this program, the library and the module", 0, 0, cmd_version },

	{ "create", "NAME SIZE", "a new object of zeroes", 2, 2, cmd_create, create_options,
	  SESSION },
	{ "load", "NAME FILE", "a new object with what is in FILE (- is standard input)",
	  2, 2, cmd_load, create_options, SESSION },
	{ "open", "NAME PID/FD", "gives an object of another process a name here",
	  2, 2, cmd_open, NULL, SESSION },
	{ "clone", "NAME NEW [OFFSET SIZE]", "a snapshot: a copy-on-write child",
	  2, 4, cmd_clone, clone_options, SESSION },
	{ "slice", "NAME NEW OFFSET SIZE", "a window onto the same memory",
	  4, 4, cmd_slice, slice_options, SESSION },
	{ "ref", "NAME NEW", "another object of the same memory", 2, 2, cmd_ref, ref_options,
	  SESSION },
	{ "restrict", "NAME NEW RIGHT,...", "the same object with fewer rights",
	  3, 3, cmd_restrict, NULL, SESSION },
	{ "harvester", "NAME NEW", "notes from now on which pages are written",
	  2, 2, cmd_harvester, NULL, SESSION },
	{ "close", "NAME", "gives an object or a harvester up", 1, 1, cmd_close, NULL, SESSION },

	{ "name", "NAME TEXT", "sets the object's name, which /proc shows", 2, 2, cmd_name },
	{ "resize", "NAME SIZE", "sets the size", 2, 2, cmd_resize },
	{ "commit", "NAME [OFFSET LENGTH]", "gives it its own pages, so that writes allocate none",
	  1, 3, cmd_commit },
	{ "decommit", "NAME [OFFSET LENGTH]", "gives pages up", 1, 3, cmd_decommit },
	{ "zero", "NAME [OFFSET LENGTH]", "lets a range read zero", 1, 3, cmd_zero },
	{ "rewind", "NAME", "back to what \"clone --keep-base\" made", 1, 1, cmd_rewind },
	{ "move", "NAME OFFSET LENGTH TO OFFSET", "moves pages to another object", 5, 5, cmd_move },
	{ "pin", "NAME OFFSET LENGTH [as PIN]", "keeps pages where they are",
	  3, 5, cmd_pin, pin_options, SESSION },
	{ "unpin", "PIN", "ends a pin", 1, 1, cmd_unpin, NULL, SESSION },
	{ "wait", "NAME [MILLISECONDS]", "until nothing that was made from it lives",
	  1, 2, cmd_wait },

	{ "read", "NAME [OFFSET LENGTH]", "prints bytes", 1, 3, cmd_read, read_options },
	{ "write", "NAME OFFSET TEXT|hex:DIGITS", "writes bytes", 3, 3, cmd_write },
	{ "dump", "NAME FILE", "copies the content to FILE (- is standard output)",
	  2, 2, cmd_dump, snapshot_options },
	{ "sum", "NAME", "SHA-256 of the content", 1, 1, cmd_sum, snapshot_options },
	{ "diff", "NAME OTHER", "the ranges in which two objects differ", 2, 2, cmd_diff,
	  diff_options },
	{ "harvest", "HARVESTER [OFFSET LENGTH]", "the ranges that were written since the last one",
	  1, 3, cmd_harvest, harvest_options, SESSION },
	{ "assert-equal", "NAME OTHER", "fails unless both hold the same", 2, 2, cmd_assert_equal },
	{ "assert-sum", "NAME SUM", "fails unless that is its SHA-256", 2, 2, cmd_assert_sum },
	{ "expect", "ERRNO COMMAND...", "fails unless the command fails so", 2, -1, cmd_expect,
	  .verbatim = true },

	{ "pager", "serve FILE|URI [COMMAND...]",
	  "an object with the memory of a file or of an NBD export", 2, -1, cmd_pager,
	  pager_options },
	{ "shell", "", "commands from the terminal; objects have names", 0, 0, cmd_shell },
	{ "run", "SCRIPT", "commands from a file (- is standard input)",
	  1, 1, cmd_run, run_options },
	{ "echo", "[TEXT...]", "prints its arguments", 0, -1, cmd_echo, .verbatim = true },
	{ "exit", "", "leaves the shell or the script", 0, 0, cmd_exit, NULL, SESSION },
	{ "help", "[COMMAND]", "this, or more about a command", 0, 1, cmd_help },
	{ 0 }
};

const struct command *command_find(const char *name)
{
	const struct command *command;

	for (command = commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

/* ---- help --------------------------------------------------------------------------- */

static void put_options(const struct argp_option *options)
{
	for (; options && options->name; options++) {
		int width = printf("  --%s%s%s", options->name, options->arg ? "=" : "",
				   options->arg ?: "");

		printf("%*s%s\n", width < 21 ? 21 - width : 1, "", options->doc);
	}
}

static enum status help_command(struct call *call, const struct command *command)
{
	struct json_object *json;

	if (call->ctl->format == TEXT) {
		printf("usage: %s%s%s\n%s%s\n", command->name, *command->args ? " " : "",
		       command->args, command->help,
		       command->session ? " (in a shell or script)" : "");
		put_options(command->options);
		put_options(common_options);
		return OK;
	}
	json = json_object_new_object();
	json_object_object_add(json, "name", json_object_new_string(command->name));
	json_object_object_add(json, "arguments", json_object_new_string(command->args));
	json_object_object_add(json, "text", json_object_new_string(command->help));
	json_object_object_add(json, "session", json_object_new_boolean(command->session));
	answer(call, "help", json);
	return OK;
}

enum status cmd_help(struct call *call)
{
	const struct command *command;
	struct json_object *json;

	if (call->argc) {
		command = command_find(call->argv[0]);
		if (command)
			return help_command(call, command);
		return usage_error(call, "there is no command %s", call->argv[0]);
	}
	if (call->ctl->format == TEXT) {
		for (command = commands; command->name; command++)
			printf("%c %-12s %-28s %s\n", command->session ? '*' : ' ', command->name,
			       command->args, command->help);
		puts("\nThose with * are for a shell or script. NAME is a name there, "
		     "and PID/FD everywhere.");
		return OK;
	}
	json = json_object_new_array();
	for (command = commands; command->name; command++)
		json_object_array_add(json, json_object_new_string(command->name));
	answer(call, "help", json);
	return OK;
}

/* ---- parsing ------------------------------------------------------------------------- */

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct call *call = state->input;

	if (key == ARGP_KEY_INIT && state->child_inputs)
		state->child_inputs[0] = call;
	if (key == ARGP_KEY_ARG) {
		call->argv[call->argc++] = arg;
		return 0;
	}
	if (key <= 0 || key > OPT_HELP)
		return ARGP_ERR_UNKNOWN;
	if (key == OPT_SVG)
		call->svg = arg;
	if (key == OPT_COUNT)
		call->count = arg;
	if (key == OPT_READ_AHEAD)
		call->read_ahead = arg;
	if (key == OPT_WRITE_BACK)
		call->write_back = arg;
	call->options |= 1U << key;
	return 0;
}

static bool is_option(const struct argp_option *known, const char *word)
{
	for (; known && known->name; known++)
		if (!strncmp(known->name, word, strcspn(word, "=")))
			return true;
	return false;
}

/* argp does not say which it was: the first that is not known, or what ends the line. */
static const char *bad_word(struct call *call, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		const char *word = argv[i];

		if (word[0] != '-' || !word[1])
			continue;
		if (word[1] != '-' || (!is_option(call->command->options, word + 2) &&
				       !is_option(common_options, word + 2)))
			return word;
	}
	return argv[argc - 1];
}

static enum status bad_option(struct call *call, const char *word)
{
	const struct argp_option *known = call->command->options;

	for (; known && known->name; known++)
		if (known->arg && !strncmp(word, "--", 2) && !strcmp(word + 2, known->name))
			return usage_error(call, "%s: %s needs a %s", call->command->name, word,
					   known->arg);
	return usage_error(call, "%s: %s is no option of it", call->command->name, word);
}

static enum status parse(struct call *call, int argc, char **argv)
{
	struct argp common = { .options = common_options, .parser = parse_option };
	struct argp_child children[] = { { .argp = &common }, { 0 } };
	struct argp argp = {
		.options = call->command->options, .parser = parse_option, .children = children,
	};

	if (call->command->verbatim) {
		call->argc = argc - 1;
		memcpy(call->argv, argv + 1, call->argc * sizeof(*argv));
	} else if (argp_parse(&argp, argc, argv, ARGP_SILENT, NULL, call)) {
		return bad_option(call, bad_word(call, argc, argv));
	}
	if (option(call, OPT_HELP))
		return OK;
	if (call->argc < call->command->min)
		return usage_error(call, "%s: too few arguments", argv[0]);
	if (call->command->max >= 0 && call->argc > call->command->max)
		return usage_error(call, "%s: too many arguments", argv[0]);
	if (call->command->session && !call->ctl->session)
		return usage_error(call, "%s is for \"vmoctl shell\" and \"vmoctl run\": "
				   "what it makes ends with them", argv[0]);
	return OK;
}

/* ---- running ---------------------------------------------------------------------------- */

static enum status run_row(struct ctl *ctl, const struct command *command, int argc, char **argv)
{
	struct call call = { .ctl = ctl, .command = command };
	unsigned int temps = ctl->nr_temps;	/* "expect" nests */
	enum status status;

	call.argv = calloc(argc + 1, sizeof(*argv));
	if (!call.argv)
		abort();
	status = parse(&call, argc, argv);
	if (option(&call, OPT_PRETTY))
		ctl->format = PRETTY;
	else if (option(&call, OPT_JSON))
		ctl->format = JSON;
	if (status == OK && option(&call, OPT_HELP))
		status = help_command(&call, command);
	else if (status == OK)
		status = command->run(&call);
	while (ctl->nr_temps > temps)
		vmo_close(ctl->temps[--ctl->nr_temps]);
	free(call.argv);
	return status;
}

enum status command_try(struct ctl *ctl, int argc, char **argv)
{
	struct call unknown = { .ctl = ctl };
	const struct command *command;
	char *swap;

	error_clear(ctl);
	/* PID/FD VERB ARGS */
	if (is_foreign(argv[0]) && argc > 1 && command_find(argv[1])) {
		swap = argv[0];
		argv[0] = argv[1];
		argv[1] = swap;
	}
	command = command_find(argv[0]);
	if (!command) {
		usage_error(&unknown, "there is no command %s", argv[0]);
		return fail_hint(&unknown, "%s", ctl->session ? "\"help\" lists them" :
				 "\"vmoctl help\" lists them");
	}
	return run_row(ctl, command, argc, argv);
}

/* What did not reach a pipe or a full disk is a failure, too. */
static enum status flush_output(struct ctl *ctl, enum status status)
{
	int bad = fflush(stdout), err = errno;

	if (!bad && !ferror(stdout))
		return status;
	clearerr(stdout);
	fprintf(stderr, "vmoctl: cannot write the output: %s (%s)\n", strerror(err),
		strerrorname_np(err) ?: "?");
	return ctl->compares ? TROUBLE : FAILED;
}

enum status command_run(struct ctl *ctl, int argc, char **argv)
{
	enum format format = ctl->format;
	enum status status;

	ctl->compares = false;
	status = command_try(ctl, argc, argv);
	if (ctl->compares && ctl->error.status)
		ctl->error.status = TROUBLE;
	if (ctl->error.status)
		status = ctl->error.status;
	error_report(ctl);
	error_clear(ctl);
	ctl->format = format;	/* options of the command may have changed it */
	status = flush_output(ctl, status);
	ctl->compares = false;
	return status;
}

/* ---- expect ------------------------------------------------------------------------------- */

static enum status expected(struct call *call)
{
	struct ctl *ctl = call->ctl;

	if (ctl->format != TEXT) {
		answer(call, "expected", error_json(ctl));
	} else {
		fputs("refused, as expected: ", stdout);
		put_escaped(stdout, ctl->error.message);
		printf(": %s (%s)\n", strerror(ctl->error.err), strerrorname_np(ctl->error.err));
	}
	error_clear(ctl);
	return OK;
}

enum status cmd_expect(struct call *call)
{
	struct error *error = &call->ctl->error;
	enum status status = command_try(call->ctl, call->argc - 1, call->argv + 1);
	const char *got = error->err ? strerrorname_np(error->err) : NULL;

	call->ctl->compares = false;
	if (status == USAGE)
		return status;
	if (status == FAILED && got && !strcmp(got, call->argv[0]))
		return expected(call);
	if (status == OK)
		fail(call, 0, "%s succeeded, and had to fail with %s", call->argv[1],
		     call->argv[0]);
	else
		fail(call, error->err, "%s failed otherwise than with %s", call->argv[1],
		     call->argv[0]);
	return FAILED;
}
