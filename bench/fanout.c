// SPDX-License-Identifier: GPL-2.0
/*
 * fanout PAGES PATTERN STAGE [shuffled]: the engine at work, for cachegrind.
 *
 * An object of PAGES pages, all there, and a snapshot of it; then (STAGE write
 * and drop) one page in 64 of it is written, and (STAGE drop) the snapshot is
 * closed. A first round, of all three, is run before that, so that memory was
 * used. What a stage costs is the difference between two runs; fanout.sh does
 * that.
 *
 * PATTERN: random, any pages; stride, every 64th; run, eight in a row at any
 * place; dense, the first ones; lone, any pages, but with a snapshot of its own,
 * closed after it, for each (STAGE snapshot: the same, and none is written).
 */
#include "fanout_shim.h"

/* Nothing is mapped, so nothing has to be revoked. */
static void nothing(struct vmo_cow_pages *cow, pgoff_t first, pgoff_t last, bool even_cows)
{
	(void)cow;
	(void)first;
	(void)last;
	(void)even_cows;
}

static const struct vmo_cow_ops no_mappings = {
	.unmap = nothing,
};

static void die(const char *text)
{
	fprintf(stderr, "fanout: %s\n", text);
	exit(1);
}

#define expect(cond) ((cond) ? (void)0 : die("not so: " #cond))

static pgoff_t pick(const char *pattern, pgoff_t pages, unsigned long nth)
{
	static pgoff_t start;

	if (!strcmp(pattern, "stride"))
		return nth * 64;
	if (!strcmp(pattern, "dense"))
		return nth;
	if (!strcmp(pattern, "run")) {
		if (nth % 8 == 0)
			start = random_next() % (pages - 8);
		return start + nth % 8;
	}
	if (strcmp(pattern, "random"))
		die("which pattern?");
	return random_next() % pages;
}

static void write_page(struct vmo_cow_pages *cow, pgoff_t key)
{
	struct page *page;

	expect(!vmo_cow_lock_shared(cow));
	expect(!vmo_cow_own_page(cow, key, VMO_OWN_WRITABLE, &page));
	vmo_page_unlock(page);
	vmo_page_put(page);
	vmo_cow_unlock_shared(cow);
}

static void take_snapshot(struct vmo_cow_pages *cow, pgoff_t pages,
			  struct vmo_cow_pages *snapshot)
{
	vmo_cow_init(snapshot, &no_mappings, 0, pages);
	expect(!vmo_cow_snapshot(cow, snapshot, VMO_KEY_MAX, false));
}

static void lone_round(struct vmo_cow_pages *cow, pgoff_t pages, bool write)
{
	struct vmo_cow_pages snapshot;
	unsigned long i;

	for (i = 0; i < pages / 64; i++) {
		take_snapshot(cow, pages, &snapshot);
		if (write)
			write_page(cow, pick("random", pages, i));
		vmo_cow_destroy(&snapshot);
	}
}

static void round_of(struct vmo_cow_pages *cow, pgoff_t pages, const char *pattern,
		     const char *stage)
{
	struct vmo_cow_pages snapshot;
	unsigned long i;

	if (!strcmp(pattern, "lone")) {
		lone_round(cow, pages, strcmp(stage, "snapshot"));
		return;
	}
	take_snapshot(cow, pages, &snapshot);
	if (!strcmp(stage, "snapshot"))
		return;
	for (i = 0; i < pages / 64; i++)
		write_page(cow, pick(pattern, pages, i));
	if (!strcmp(stage, "write"))
		return;
	expect(!strcmp(stage, "drop"));
	vmo_cow_destroy(&snapshot);
}

int main(int argc, char **argv)
{
	struct vmo_cow_pages cow;
	pgoff_t pages;

	if (argc < 4)
		die("usage: fanout PAGES PATTERN STAGE [shuffled]");
	pages = strtoul(argv[1], NULL, 0);
	memory_init(pages + pages / 16, argc > 4);
	vmo_cow_init(&cow, &no_mappings, 0, pages);
	expect(!vmo_cow_commit(&cow, 0, pages - 1));
	round_of(&cow, pages, argv[2], "drop");
	round_of(&cow, pages, argv[2], argv[3]);
	return 0;
}
