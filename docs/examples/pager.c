// SPDX-License-Identifier: GPL-2.0
/*
 * A table that is made when somebody looks at it: page n holds the squares from 512 * n on.
 * cc pager.c $(pkg-config --cflags --libs libvmo)
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmo.h>

#define SIZE (1ULL << 40)		/* of addresses; memory is only what was looked at */

static struct vmo *table, *scratch;

/* Fills what is asked for into another object, and moves it over. */
static int answer(int binding, const struct vmo_pager_request *request, void *arg)
{
	uint64_t at = request->offset, length = request->length, square;

	(void)arg;
	if (request->type == VMO_REQUEST_COMPLETE)
		return 1;
	for (uint64_t n = at / 8; n < (at + length) / 8; n++) {
		square = n * n;
		if (vmo_write(scratch, &square, 8, n * 8, 0) != 8)
			return vmo_pager_fail(binding, table, at, length, EIO);
	}
	return vmo_pager_supply(binding, table, at, scratch, at, length);
}

int main(void)
{
	int pager = vmo_pager_new(-1, NULL);
	uint64_t *square;

	if (pager < 0)
		return fprintf(stderr, "%s\n", vmo_device_explain(errno)), 1;
	table = vmo_create_paged(-1, pager, 0, SIZE, 0, "squares");
	scratch = vmo_create(-1, SIZE, 0, NULL);
	if (!table || !scratch)
		return perror("vmo_create"), 1;
	if (!fork())		/* who serves */
		return vmo_pager_serve(vmo_pager_bind(pager), answer, NULL) == -1;
	square = vmo_map(table, 0, SIZE, PROT_READ);
	if (!square)
		return perror("vmo_map"), 1;
	printf("12 * 12 = %lu, 1234567 * 1234567 = %lu\n", square[12], square[1234567]);
	return vmo_pager_detach(pager, table);	/* which ends the other one */
}
