// SPDX-License-Identifier: GPL-2.0
/* What commands have in common that go on until somebody ends them. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio_ext.h>
#include "vmoctl.h"

static void on_end(int signal)
{
	interrupted = signal;
}

void live_begin(const struct call *call)
{
	struct sigaction action = { .sa_handler = on_end };

	if (call->ctl->session)
		return;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool live_wait(int fd, const struct timespec *timeout)
{
	struct pollfd poll = { .fd = fd, .events = POLLIN };
	sigset_t ends, before;

	/* One that comes before ppoll() ends that, too. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &before);
	if (!interrupted)
		ppoll(&poll, 1, timeout, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !interrupted;
}

bool live_flush(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return !interrupted;
	/* Nobody reads it: what ended us is no failure, and must not wait at the end. */
	if (interrupted) {
		__fpurge(stdout);
		clearerr(stdout);
	}
	return false;
}
