// SPDX-License-Identifier: GPL-2.0
/* A snapshot of mapped memory, by system calls alone: cc raw.c */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/vmo.h>

#define SIZE (1UL << 20)

int main(void)
{
	struct vmo_create create = { .size = SIZE };
	struct vmo_clone clone = { .size = SIZE, .flags = VMO_CLONE_SNAPSHOT };
	int dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	char *mem, *old;

	if (dev < 0 || ioctl(dev, VMO_CREATE, &create))
		return perror("/dev/vmo"), 1;
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, create.fd, 0);
	if (mem == MAP_FAILED)
		return perror("mmap"), 1;
	strcpy(mem, "before");
	if (ioctl(create.fd, VMO_CLONE, &clone))
		return perror("VMO_CLONE"), 1;
	strcpy(mem, "after");
	old = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, clone.fd, 0);
	if (old == MAP_FAILED)
		return perror("mmap"), 1;
	printf("the snapshot has \"%s\", the memory \"%s\"\n", old, mem);
	return 0;
}
