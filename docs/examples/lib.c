// SPDX-License-Identifier: GPL-2.0
/*
 * A table in memory that is rolled back when a batch of changes goes wrong:
 * cc lib.c $(pkg-config --cflags --libs libvmo)
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <vmo.h>

#define ACCOUNTS 100000
#define SIZE (ACCOUNTS * sizeof(long))

static long total(const long *balance)
{
	long sum = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		sum += balance[i];
	return sum;
}

int main(void)
{
	struct vmo *table = vmo_create(-1, SIZE, 0, "accounts"), *saved;
	long *balance;

	if (!table)
		return fprintf(stderr, "%s\n", vmo_device_explain(errno)), 1;
	balance = vmo_map(table, 0, SIZE, PROT_READ | PROT_WRITE);
	if (!balance)
		return perror("vmo_map"), 1;
	for (int i = 0; i < ACCOUNTS; i++)
		balance[i] = 100;

	saved = vmo_snapshot(table);		/* copies no account */
	if (!saved)
		return perror("vmo_snapshot"), 1;
	for (int i = 0; i + 1 < ACCOUNTS; i += 2) {
		balance[i] -= 70;
		balance[i + 1] += i == 5000 ? 7 : 70;	/* once, a digit is lost */
	}
	printf("after the batch: %ld\n", total(balance));
	if (total(balance) != ACCOUNTS * 100L &&
	    vmo_read(saved, balance, SIZE, 0, 0) != (ssize_t)SIZE)
		return perror("vmo_read"), 1;
	printf("after the check: %ld\n", total(balance));

	vmo_close(saved);
	vmo_close(table);
	return 0;
}
