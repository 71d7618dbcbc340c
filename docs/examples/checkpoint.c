// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoints of a heap while it is in use: the first is whole, each further one has what
 * differs from the one before. All of them together restore it: cc checkpoint.c
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/vmo.h>

#define SIZE (16UL << 20)
#define ROOM 64

static void check(int good, const char *what)
{
	if (!good)
		perror(what), exit(1);
}

static int snapshot(int fd)
{
	struct vmo_clone clone = {
		.size = SIZE, .flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE,
	};

	check(!ioctl(fd, VMO_CLONE, &clone), "VMO_CLONE");
	return clone.fd;
}

/* Appends what @now has where it differs from @before: offset, length, bytes. */
static long save(int file, int now, int before)
{
	static char bytes[SIZE];
	struct vmo_range range[ROOM];
	struct vmo_diff diff = {
		.length = SIZE, .ranges = (__u64)(unsigned long)range, .other_fd = before,
	};
	long sum = 0;

	do {
		diff.count = ROOM;
		check(!ioctl(now, VMO_DIFF, &diff), "VMO_DIFF");
		for (unsigned int i = 0; i < diff.count; i++) {
			ssize_t length = range[i].length;

			check(pread(now, bytes, length, range[i].offset) == length, "pread");
			check(write(file, &range[i], sizeof(range[i])) == sizeof(range[i]) &&
			      write(file, bytes, length) == length, "write");
			sum += length;
		}
	} while (diff.length);
	return sum;
}

static void restore(int file, char *mem)
{
	struct vmo_range range;

	lseek(file, 0, SEEK_SET);
	while (read(file, &range, sizeof(range)) == sizeof(range))
		check(read(file, mem + range.offset, range.length) == (long)range.length, "read");
}

int main(void)
{
	struct vmo_create create = { .size = SIZE };
	int dev = open("/dev/vmo", O_RDWR | O_CLOEXEC), before, now;
	int file = fileno(tmpfile());
	char *heap, *again = calloc(1, SIZE);
	long first, rest = 0;

	check(dev >= 0 && !ioctl(dev, VMO_CREATE, &create), "/dev/vmo");
	check(file >= 0, "/tmp");
	heap = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, create.fd, 0);
	check(heap != MAP_FAILED, "mmap");
	/* The first differs from the empty heap. */
	before = snapshot(create.fd);
	for (unsigned long i = 0; i < SIZE; i += 64)
		memcpy(heap + i, &i, sizeof(i));
	now = snapshot(create.fd);
	first = save(file, now, before);
	for (int round = 1; round <= 10; round++) {
		for (int i = 0; i < 20; i++)
			sprintf(heap + (round * 7919L + i * 524287L) % (SIZE - 64), "%d", round);
		close(before);
		before = now;
		now = snapshot(create.fd);
		rest += save(file, now, before);
	}
	restore(file, again);
	printf("the first checkpoint has %ld KiB, ten more have %ld KiB; "
	       "restored it is %s\n",
	       first >> 10, rest >> 10, memcmp(heap, again, SIZE) ? "WRONG" : "the same");
	return memcmp(heap, again, SIZE) != 0;
}
