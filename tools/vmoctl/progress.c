// SPDX-License-Identifier: GPL-2.0
/* A line on the terminal about something that takes long. */
#include <time.h>
#include <unistd.h>
#include "vmoctl.h"

#define DELAY	200	/* ms */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress) {
		.what = what, .total = total, .last = now(), .active = isatty(STDERR_FILENO),
	};
}

void progress_step(struct progress *progress, uint64_t count)
{
	char text[SIZE_TEXT], of[SIZE_TEXT];

	if (!progress->active || now() - progress->last < DELAY)
		return;
	progress->last = now();
	progress->shown = true;
	fputc('\r', stderr);
	put_escaped(stderr, progress->what);
	fprintf(stderr, ": %s", size_text(text, count & ~0xffffULL, false));
	if (progress->total)
		fprintf(stderr, " of %s, %.0f%%", size_text(of, progress->total, false),
			100.0 * count / progress->total);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
}
