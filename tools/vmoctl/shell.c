// SPDX-License-Identifier: GPL-2.0
/* Commands from lines: of a script, of a pipe, of a person. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <histedit.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "vmoctl.h"

#define PROMPT		"vmo> "
#define MAX_DEPTH	16

volatile sig_atomic_t interrupted;

/* ---- words ------------------------------------------------------------------------ */

/* Words of a line. They are written over the line, which they are never longer than. */
struct words {
	char **argv;
	int argc;
	char *from, *to;
	const char *error;
};

static char hex_digit(struct words *words)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = *words->from ? strchr(digits, tolower((unsigned char)*words->from)) : NULL;

	if (!at) {
		words->error = "\\x needs two hexadecimal digits";
		return 0;
	}
	words->from++;
	return at - digits;
}

/* Behind a backslash in double quotes. */
static char escaped_char(struct words *words)
{
	char c = *words->from++, value;

	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'x':
		value = hex_digit(words) << 4;
		value |= words->error ? 0 : hex_digit(words);
		if (!value && !words->error)
			words->error = "a text cannot hold a zero byte: write hex:00";
		return value;
	}
	return c;
}

static void quoted(struct words *words, char quote)
{
	while (*words->from != quote && !words->error) {
		if (!*words->from) {
			words->error = "a quote is not closed";
		} else if (quote == '"' && *words->from == '\\' && words->from[1]) {
			words->from++;
			*words->to++ = escaped_char(words);
		} else {
			*words->to++ = *words->from++;
		}
	}
	words->from += !words->error;
}

static void word(struct words *words)
{
	words->argv[words->argc++] = words->to;
	while (*words->from && !isspace((unsigned char)*words->from) && !words->error) {
		char c = *words->from++;

		if (c == '"' || c == '\'')
			quoted(words, c);
		else if (c == '\\' && *words->from)
			*words->to++ = *words->from++;
		else
			*words->to++ = c;
	}
	/* What is overwritten here has been looked at, or is looked at now. */
	words->from += !!*words->from;
	*words->to++ = 0;
}

/* Returns false if the line is not well formed. */
static bool split(struct words *words, char *line)
{
	words->argv = calloc(strlen(line) / 2 + 2, sizeof(*words->argv));
	if (!words->argv)
		abort();
	words->from = line;
	words->to = line;
	while (!words->error) {
		while (isspace((unsigned char)*words->from))
			words->from++;
		if (!*words->from || *words->from == '#')
			break;
		word(words);
	}
	return !words->error;
}

static enum status run_line(struct ctl *ctl, char *line, size_t length)
{
	struct call none = { .ctl = ctl };
	struct words words = { .argc = 0 };
	enum status status = OK;

	if (strlen(line) != length)
		words.error = "a line cannot hold a zero byte";
	if (!split(&words, line)) {
		status = usage_error(&none, "%s", words.error);
		error_report(ctl);
		error_clear(ctl);
	} else if (words.argc) {
		status = command_run(ctl, words.argc, words.argv);
	}
	free(words.argv);
	return status;
}

/* ---- scripts ----------------------------------------------------------------------- */

struct script {
	FILE *from;
	const char *name;
	bool echo;
	bool go_on;		/* after an error */
};

static void echo_line(const char *line)
{
	const char *start = line + strspn(line, " \t");

	if (*start && *start != '#')
		fputs(PROMPT, stdout);
	put_escaped(stdout, line);
	putchar('\n');
	fflush(stdout);		/* the command may take long */
}

/* After a line, or the end of them: what is wrong with where they come from. */
static enum status check_input(struct call *call, const struct script *script, ssize_t length)
{
	int err = errno;

	if (interrupted)
		return fail(call, EINTR, "%s ends here", script->name);
	if (length >= 0 || feof(script->from))
		return OK;
	errno = err;
	return fail_file(call, "read", script->name);
}

static enum status run_lines(struct call *call, const struct script *script)
{
	struct ctl *ctl = call->ctl;
	enum status status = OK;
	size_t size = 0;
	char *line = NULL;
	ssize_t length = 0;

	while (!ctl->leave && (length = getline(&line, &size, script->from)) >= 0) {
		ctl->line++;
		if (length && line[length - 1] == '\n')
			line[--length] = 0;
		if (script->echo && ctl->format == TEXT)
			echo_line(line);
		status = run_line(ctl, line, length);
		if (interrupted || (status && !script->go_on))
			break;
	}
	if (!status || length < 0)
		status = check_input(call, script, length) ?: status;
	free(line);
	return status;
}

static enum status run_script(struct call *call, const struct script *script)
{
	struct ctl *ctl = call->ctl;
	const char *file = ctl->file;
	unsigned int line = ctl->line;
	bool session = ctl->session;
	enum status status;

	ctl->file = script->name;
	ctl->line = 0;
	ctl->session = true;
	ctl->depth++;
	status = run_lines(call, script);
	ctl->depth--;
	ctl->leave = false;
	ctl->session = session;
	ctl->file = file;
	ctl->line = line;
	return status;
}

enum status cmd_run(struct call *call)
{
	struct script script = { .name = call->argv[0], .echo = option(call, OPT_ECHO) };
	bool from_stdin = !strcmp(script.name, "-"), taken = call->ctl->stdin_taken;
	enum status status;

	if (call->ctl->depth == MAX_DEPTH)
		return fail(call, ELOOP, "scripts run scripts %d deep", MAX_DEPTH);
	if (from_stdin && taken)
		return usage_error(call, "standard input is where the commands come from");
	script.from = from_stdin ? stdin : fopen(script.name, "re");
	if (!script.from)
		return fail_file(call, "open", script.name);
	if (from_stdin) {
		script.name = "stdin";
		call->ctl->stdin_taken = true;
	}
	status = run_script(call, &script);
	if (!from_stdin)
		fclose(script.from);
	call->ctl->stdin_taken = taken;
	return status;
}

enum status cmd_echo(struct call *call)
{
	size_t length = 1;
	char *text;

	for (int i = 0; i < call->argc; i++)
		length += strlen(call->argv[i]) + 1;
	text = calloc(length, 1);
	if (!text)
		abort();
	for (int i = 0; i < call->argc; i++) {
		strcat(text, i ? " " : "");
		strcat(text, call->argv[i]);
	}
	if (call->ctl->format == TEXT) {
		put_escaped(stdout, text);
		putchar('\n');
	} else {
		answer(call, "echo", json_text(text));
	}
	free(text);
	return OK;
}

enum status cmd_exit(struct call *call)
{
	call->ctl->leave = true;
	return done(call);
}

/* ---- the terminal --------------------------------------------------------------------- */

static const struct itimerval soon = {
	.it_interval.tv_usec = 20000,
	.it_value.tv_usec = 20000,
};

static const struct itimerval never;

static void on_interrupt(int signal)
{
	interrupted = signal;
}

/*
 * A signal that comes after libedit's last look and before its read() would not end that
 * read(): the timer does.
 */
static void on_interrupt_of_line(int signal)
{
	interrupted = signal;
	setitimer(ITIMER_REAL, &soon, NULL);
}

static void on_timer(int signal)
{
}

static void on_signal(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigaction(signal, &action, NULL);
}

static char *prompt(EditLine *el)
{
	return PROMPT;
}

/* Names that start with what stands before the cursor, one after the other. */
static const char *candidate(const struct ctl *ctl, bool first, size_t *i)
{
	struct handle *handle = ctl->handles;

	if (first)
		return commands[*i].name ? commands[(*i)++].name : NULL;
	for (size_t n = 0; handle && n < *i; n++)
		handle = handle->next;
	++*i;
	return handle ? handle->name : NULL;
}

static size_t common_length(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

/* Adds what all candidates have in common. */
static unsigned char complete(EditLine *el, int key)
{
	const LineInfo *info = el_line(el);
	const char *start = info->cursor, *name, *found = NULL;
	size_t typed, common = 0, i = 0, matches = 0;
	char text[256];
	struct ctl *ctl;

	el_get(el, EL_CLIENTDATA, &ctl);
	while (start > info->buffer && !isspace((unsigned char)start[-1]))
		start--;
	typed = info->cursor - start;
	while ((name = candidate(ctl, start == info->buffer, &i))) {
		if (strncmp(name, start, typed))
			continue;
		common = matches++ ? common_length(found, name) : strlen(name);
		found = name;
	}
	if (!matches || (common == typed && matches > 1) || common + 2 > sizeof(text))
		return CC_ERROR;
	snprintf(text, sizeof(text), "%.*s%s", (int)(common - typed), found + typed,
		 matches == 1 ? " " : "");
	return el_insertstr(el, text) ? CC_ERROR : CC_REFRESH;
}

static const char *edit_line(EditLine *el, int *count)
{
	const char *got;

	on_signal(SIGINT, on_interrupt_of_line);
	got = el_gets(el, count);
	on_signal(SIGINT, on_interrupt);
	setitimer(ITIMER_REAL, &never, NULL);
	return got;
}

static enum status edit_lines(struct ctl *ctl, EditLine *el, History *past)
{
	enum status status = OK;
	HistEvent event;
	const char *got;
	char *line;
	int count;

	while (!ctl->leave) {
		interrupted = 0;
		got = edit_line(el, &count);
		if (!got && !interrupted)
			break;
		if (!got || count <= 0) {
			putchar('\n');
			continue;
		}
		if (count > 1)
			history(past, &event, H_ENTER, got);
		count -= got[count - 1] == '\n';
		line = strndup(got, count);
		if (!line)
			abort();
		status = run_line(ctl, line, count);
		free(line);
	}
	return status;
}

#ifdef __SANITIZE_ADDRESS__
/*
 * el_set(EL_ADDFN) copies the name and the text and never frees them, as a comment
 * in libedit's eln.c says. We have no other use of wcsdup().
 */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:wcsdup\n";
}
#endif

static enum status edit(struct call *call)
{
	EditLine *el = el_init("vmoctl", stdin, stdout, stderr);
	History *past = history_init();
	enum status status;
	HistEvent event;

	if (!el || !past) {
		if (el)
			el_end(el);
		if (past)
			history_end(past);
		return fail(call, ENOMEM, "cannot edit lines");
	}
	on_signal(SIGINT, on_interrupt);
	on_signal(SIGALRM, on_timer);
	history(past, &event, H_SETSIZE, 1000);
	el_set(el, EL_CLIENTDATA, call->ctl);
	el_set(el, EL_PROMPT, prompt);
	el_set(el, EL_SIGNAL, 1);
	el_set(el, EL_EDITOR, "emacs");
	el_set(el, EL_HIST, history, past);
	el_set(el, EL_ADDFN, "vmo-complete", "completes commands and names", complete);
	el_set(el, EL_BIND, "^I", "vmo-complete", NULL);
	el_source(el, NULL);
	call->ctl->session = true;
	status = edit_lines(call->ctl, el, past);
	history_end(past);
	el_end(el);
	return status;
}

enum status cmd_shell(struct call *call)
{
	struct script script = { .from = stdin, .name = "stdin", .go_on = true };
	bool taken = call->ctl->stdin_taken;
	enum status status;

	if (call->ctl->session)
		return usage_error(call, "this is the shell");
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return edit(call);
	call->ctl->stdin_taken = true;
	status = run_script(call, &script);
	call->ctl->stdin_taken = taken;
	return status;
}
