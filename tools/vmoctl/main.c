// SPDX-License-Identifier: GPL-2.0
/* vmoctl [OPTION...] COMMAND | PID/FD COMMAND: the arguments of the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmoctl.h"

const char *argp_program_version = "vmoctl " VMOCTL_VERSION;

static const struct argp_option options[] = {
	{ .name = "json", .key = OPT_JSON, .doc = "Answer in JSON, a document on a line" },
	{ .name = "pretty", .key = OPT_PRETTY, .doc = "Answer in JSON, indented" },
	{ 0 }
};

struct arguments {
	struct ctl *ctl;
	int argc;
	char **argv;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case OPT_JSON:
		arguments->ctl->format = JSON;
		return 0;
	case OPT_PRETTY:
		arguments->ctl->format = PRETTY;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->argc = state->argc - state->next;
		arguments->argv = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "COMMAND [ARGUMENT...]\nPID/FD COMMAND [ARGUMENT...]",
	.doc = "Virtual memory objects on the command line.\v"
	       "PID/FD is a descriptor of a process. \"vmoctl help\" lists the commands, "
	       "\"vmoctl shell\" reads them from the terminal. Exit codes: 0 done, 1 failed, "
	       "2 wrong usage. See vmoctl(1).",
};

/* What did not reach a pipe or a full disk is a failure. */
static enum status flush(enum status status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "vmoctl: cannot write the output: %s\n", strerror(errno));
	return FAILED;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .dev = -1 };
	struct arguments arguments = { .ctl = &ctl };
	enum status status;

	setlocale(LC_ALL, "");
	/* So that errors and answers come out in order, also into one file. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	argp_err_exit_status = USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments))
		return USAGE;
	status = command_run(&ctl, arguments.argc, arguments.argv);
	handles_drop_all(&ctl);
	error_clear(&ctl);
	if (ctl.dev >= 0)
		close(ctl.dev);
	return flush(status);
}
