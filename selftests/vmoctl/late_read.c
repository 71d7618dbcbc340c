// SPDX-License-Identifier: GPL-2.0
/* Preloaded: each read() of standard input starts late, so that a signal can come before it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

ssize_t read(int fd, void *to, size_t size)
{
	ssize_t (*next)(int fd, void *to, size_t size) = dlsym(RTLD_NEXT, "read");
	struct timespec left = { .tv_nsec = 300000000 };

	while (!fd && nanosleep(&left, &left))
		;
	return next(fd, to, size);
}
