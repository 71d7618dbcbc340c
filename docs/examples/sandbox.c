// SPDX-License-Identifier: GPL-2.0
/*
 * A sandbox whose memory goes back to how it was set up between requests, in a time that
 * grows with what the request has written, not with the size: cc sandbox.c
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/vmo.h>

#define SIZE (64UL << 20)

/* What a guest's program might do: it trusts its memory, and leaves something behind. */
static int serve(char *mem, const char *request)
{
	char *session = mem + (4 << 20);
	int dirty = session[0] != 0;

	strcpy(session, request);
	memset(mem + (32 << 20), request[0], 40 * 4096);
	return dirty;
}

int main(void)
{
	struct vmo_create create = { .size = SIZE };
	struct vmo_clone clone = {
		.size = SIZE, .flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_KEEP_BASE,
	};
	struct vmo_rewind rewind = { .flags = 0 };
	int dev = open("/dev/vmo", O_RDWR | O_CLOEXEC), leaks = 0, i;
	char *image, *mem;

	if (dev < 0 || ioctl(dev, VMO_CREATE, &create))
		return perror("/dev/vmo"), 1;
	image = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, create.fd, 0);
	if (image == MAP_FAILED)
		return perror("mmap"), 1;
	strcpy(image, "the program, set up once");
	if (ioctl(create.fd, VMO_CLONE, &clone))
		return perror("VMO_CLONE"), 1;
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, clone.fd, 0);
	if (mem == MAP_FAILED)
		return perror("mmap"), 1;
	for (i = 0; i < 1000; i++) {
		leaks += serve(mem, i % 2 ? "somebody's secret" : "hello");
		if (ioctl(clone.fd, VMO_REWIND, &rewind))
			return perror("VMO_REWIND"), 1;
	}
	printf("%d requests, %d saw another's; the memory has \"%s\"\n", i, leaks, mem);
	return leaks != 0;
}
