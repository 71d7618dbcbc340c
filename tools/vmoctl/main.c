// SPDX-License-Identifier: GPL-2.0
/* vmoctl [OPTION...] COMMAND | PID/FD COMMAND: the arguments of the program. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
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
	       "2 wrong usage; of diff 0 equal, 1 different, 2 trouble. See vmoctl(1).",
};

/*
 * Who starts us without standard files must not find our messages in an object
 * whose descriptor got their number. What is opened here can neither be read nor
 * written, so that using it is an error.
 */
static void fill_standard_files(void)
{
	static const int modes[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
			_exit(FAILED);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .dev = -1 };
	struct arguments arguments = { .ctl = &ctl };
	enum status status;

	setlocale(LC_ALL, "");
	fill_standard_files();
	argp_err_exit_status = USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments))
		return USAGE;
	status = command_run(&ctl, arguments.argc, arguments.argv);
	handles_drop_all(&ctl);
	error_clear(&ctl);
	if (ctl.dev >= 0)
		close(ctl.dev);
	return status;
}
