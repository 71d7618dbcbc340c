// SPDX-License-Identifier: GPL-2.0
/*
 * A write watch for a garbage collector: of the old generation only pages that were
 * written since the last collection are scanned for pointers to young objects. Stores
 * take no fault and no barrier: cc -pthread gc.c
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/vmo.h>

#define PAGE 4096UL
#define PAGES 4096UL
#define WORDS (PAGE / sizeof(long))

static long *heap;
static int stop;

/* Young objects have odd addresses here; they are numbered, and stored anywhere. */
static void *mutator(void *arg)
{
	unsigned long *stored = arg, at = 12345;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && *stored < 20000) {
		at = at * 6364136223846793005UL + 1442695040888963407UL;
		__atomic_store_n(heap + (at >> 20) % (PAGES * WORDS), 2 * ++*stored + 1,
				 __ATOMIC_RELEASE);
		if (*stored % 1000 == 0)
			usleep(1000);
	}
	return NULL;
}

static unsigned long scan(unsigned long first, unsigned long count)
{
	unsigned long found = 0;

	/* What is found becomes old: it is even from then on. */
	for (unsigned long i = first * WORDS; i < (first + count) * WORDS; i++)
		if (heap[i] & 1)
			found += __atomic_fetch_and(heap + i, ~1L, __ATOMIC_ACQ_REL) & 1;
	return found;
}

static unsigned long collect(int fd, unsigned long *scanned)
{
	struct vmo_range range[128];
	struct vmo_harvest harvest = {
		.length = -1, .ranges = (__u64)(unsigned long)range,
	};
	unsigned long found = 0;

	do {
		harvest.count = 128;
		if (ioctl(fd, VMO_HARVEST, &harvest))
			perror("VMO_HARVEST"), exit(1);
		for (unsigned int i = 0; i < harvest.count; i++) {
			found += scan(range[i].offset / PAGE, range[i].length / PAGE);
			*scanned += range[i].length / PAGE;
		}
	} while (harvest.length);
	return found;
}

int main(void)
{
	struct vmo_create create = { .size = PAGES * PAGE };
	struct vmo_harvester watch = { .flags = 0 };
	int dev = open("/dev/vmo", O_RDWR | O_CLOEXEC), rounds = 0;
	unsigned long stored = 0, scanned = 0, left;
	pthread_t thread;

	if (dev < 0 || ioctl(dev, VMO_CREATE, &create) || ioctl(create.fd, VMO_HARVESTER, &watch))
		return perror("/dev/vmo"), 1;
	heap = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, create.fd, 0);
	if (heap == MAP_FAILED || pthread_create(&thread, NULL, mutator, &stored))
		return perror("mmap"), 1;
	for (; rounds < 10; rounds++) {
		usleep(3000);
		collect(watch.fd, &scanned);
	}
	stop = 1;
	pthread_join(thread, NULL);
	collect(watch.fd, &scanned);
	/* Nothing young is left that was not found: all of the heap says so. */
	left = scan(0, PAGES);
	fprintf(stderr, "%lu stores, %lu pages scanned in %d collections\n", stored, scanned,
		rounds + 1);
	printf("%lu young objects were missed\n", left);
	return left != 0;
}
