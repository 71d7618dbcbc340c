// SPDX-License-Identifier: GPL-2.0
/* In which state the pages of an object are: pages, map. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "vmoctl.h"

/* ---- runs ----------------------------------------------------------------------- */

#define ROOM	256

/* Runs of pages that are alike, one after the other. */
struct walk {
	struct call *call;
	const struct vmo *vmo;
	uint64_t offset, length;	/* still to be asked for */
	struct vmo_page_run run;	/* the last one */
	struct vmo_page_run runs[ROOM];
	int nr, at;
	int err;
};

static bool fetch(struct walk *walk)
{
	if (!walk->length)
		return false;
	walk->at = 0;
	walk->nr = vmo_pages(walk->vmo, &walk->offset, &walk->length, walk->runs, ROOM);
	if (walk->nr < 0 || interrupted)
		walk->err = interrupted ? EINTR : errno;
	return !walk->err && walk->nr;
}

/* Neighbours of two calls may be alike. False at the end, or with walk->err. */
static bool next_run(struct walk *walk)
{
	if (walk->at == walk->nr && !fetch(walk))
		return false;
	walk->run = walk->runs[walk->at++];
	while ((walk->at < walk->nr || fetch(walk)) &&
	       walk->runs[walk->at].state == walk->run.state)
		walk->run.length += walk->runs[walk->at++].length;
	return !walk->err;
}

static bool walk_begin(struct call *call, struct walk *walk)
{
	memset(walk, 0, sizeof(*walk));
	walk->call = call;
	walk->vmo = object_arg(call, 0);
	return walk->vmo && range_args(call, 1, walk->vmo, &walk->offset, &walk->length);
}

static enum status walk_end(struct walk *walk)
{
	if (!walk->err)
		return OK;
	return fail(walk->call, walk->err, "cannot look at the pages of %s", walk->call->argv[0]);
}

/* ---- pages ---------------------------------------------------------------------- */

/* The words for a state; up to 4. */
static int state_words(uint32_t state, const char *words[4])
{
	int nr = 0;

	if (!(state & VMO_PAGE_PRESENT))
		words[nr++] = "absent";
	else
		words[nr++] = state & VMO_PAGE_SHARED ? "shared" : "private";
	if (state & VMO_PAGE_PINNED)
		words[nr++] = "pinned";
	if (state & VMO_PAGE_WRITABLE)
		words[nr++] = "writable";
	return nr;
}

static void put_run(const struct vmo_page_run *run)
{
	const char *words[4];
	char text[SIZE_TEXT];
	int nr = state_words(run->state, words);

	printf("offset %" PRIu64 " length %" PRIu64 " (%s)", (uint64_t)run->offset,
	       (uint64_t)run->length, size_text(text, run->length, false));
	for (int i = 0; i < nr; i++)
		printf(" %s", words[i]);
	putchar('\n');
}

static struct json_object *run_json(const struct vmo_page_run *run)
{
	struct json_object *json = json_object_new_object(), *state = json_object_new_array();
	const char *words[4];
	int nr = state_words(run->state, words);

	for (int i = 0; i < nr; i++)
		json_object_array_add(state, json_object_new_string(words[i]));
	json_object_object_add(json, "offset", json_object_new_uint64(run->offset));
	json_object_object_add(json, "length", json_object_new_uint64(run->length));
	json_object_object_add(json, "state", state);
	return json;
}

static enum status pages_json(struct walk *walk)
{
	struct json_object *json = json_object_new_object(), *runs = json_object_new_array();
	bool truncated = false;

	while (!truncated && next_run(walk)) {
		truncated = json_object_array_length(runs) == MAX_RANGES;
		if (!truncated)
			json_object_array_add(runs, run_json(&walk->run));
	}
	json_object_object_add(json, "runs", runs);
	json_object_object_add(json, "truncated", json_object_new_boolean(truncated));
	if (truncated)
		json_object_object_add(json, "next", json_object_new_uint64(walk->run.offset));
	if (walk->err)
		json_object_put(json);
	else
		answer(walk->call, "pages", json);
	return walk_end(walk);
}

enum status cmd_pages(struct call *call)
{
	struct walk walk;

	if (!walk_begin(call, &walk))
		return call->ctl->error.status;
	if (call->ctl->format != TEXT)
		return pages_json(&walk);
	while (next_run(&walk))
		put_run(&walk.run);
	return walk_end(&walk);
}

/* ---- map: cells ------------------------------------------------------------------ */

#define MAX_ROWS	16
#define MAX_COLUMNS	128

enum kind { ABSENT, PRIVATE, SHARED, PINNED, KINDS };

/* What a cell shows. A cell of one page is never one of the mixed ones. */
enum look { IS_ABSENT, IS_PRIVATE, PART_PRIVATE, IS_SHARED, PART_SHARED, MIXED, IS_PINNED, LOOKS };

static const struct {
	char ascii;
	const char *utf8, *color, *text;
} looks[LOOKS] = {
	[IS_ABSENT] = { '.', "·", "#eeeeee", "absent" },
	[IS_PRIVATE] = { '#', "█", "#1b6ca8", "private" },
	[PART_PRIVATE] = { 'o', "▄", "#7fb2d8", "private and absent" },
	[IS_SHARED] = { '+', "▒", "#4f9d4f", "shared" },
	[PART_SHARED] = { '-', "░", "#a9d3a9", "shared and absent" },
	[MIXED] = { '%', "▓", "#8a6fb3", "private and shared" },
	[IS_PINNED] = { 'P', "◆", "#c0392b", "pinned" },
};

struct map {
	struct call *call;
	uint64_t offset, length;	/* what is shown */
	uint64_t cell;			/* bytes that one stands for */
	unsigned int columns;
	size_t nr;
	uint8_t kinds[MAX_ROWS * MAX_COLUMNS];	/* bits 1 << enum kind */
	uint64_t bytes[KINDS];		/* those that are pinned are counted twice */
};

static enum look look_of(uint8_t kinds)
{
	bool absent = kinds & 1 << ABSENT;

	if (kinds & 1 << PINNED)
		return IS_PINNED;
	if (kinds & 1 << PRIVATE && kinds & 1 << SHARED)
		return MIXED;
	if (kinds & 1 << PRIVATE)
		return absent ? PART_PRIVATE : IS_PRIVATE;
	if (kinds & 1 << SHARED)
		return absent ? PART_SHARED : IS_SHARED;
	return IS_ABSENT;
}

/* A power of two that leaves room for the offsets. */
static unsigned int terminal_columns(void)
{
	const char *text = getenv("COLUMNS");
	unsigned int width = text ? atoi(text) : 0, columns = 16;
	struct winsize size;

	if (!width && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		width = size.ws_col;
	if (!width)
		width = 80;
	while (columns < MAX_COLUMNS && 2 * columns + 16 <= width)
		columns *= 2;
	return columns;
}

/* The smallest power of two with which all cells fit. */
static void choose_cells(struct map *map)
{
	uint64_t most;

	map->columns = terminal_columns();
	map->cell = sysconf(_SC_PAGESIZE);
	most = (uint64_t)MAX_ROWS * map->columns;
	while (map->length / map->cell > most || (map->length / map->cell == most &&
						  map->length % map->cell))
		map->cell *= 2;
	map->nr = map->length / map->cell + !!(map->length % map->cell);
}

static void note_run(struct map *map, const struct vmo_page_run *run)
{
	uint64_t from = run->offset - map->offset, to = from + run->length;
	enum kind kind = run->state & VMO_PAGE_SHARED ? SHARED : PRIVATE;
	uint8_t bits;

	if (!(run->state & VMO_PAGE_PRESENT))
		kind = ABSENT;
	bits = 1 << kind;
	map->bytes[kind] += run->length;
	if (run->state & VMO_PAGE_PINNED) {
		bits |= 1 << PINNED;
		map->bytes[PINNED] += run->length;
	}
	for (uint64_t i = from / map->cell; i * map->cell < to && i < map->nr; i++)
		map->kinds[i] |= bits;
}

/* ---- map: in the terminal ----------------------------------------------------------- */

static void put_legend(const struct map *map, bool utf8)
{
	unsigned int seen = 0;

	for (size_t i = 0; i < map->nr; i++)
		seen |= 1U << look_of(map->kinds[i]);
	for (enum look look = 0; look < LOOKS; look++) {
		if (!(seen & 1U << look))
			continue;
		if (utf8)
			printf("%s %s  ", looks[look].utf8, looks[look].text);
		else
			printf("%c %s  ", looks[look].ascii, looks[look].text);
	}
	if (seen)
		putchar('\n');
}

static void put_sums(const struct map *map)
{
	char text[KINDS][SIZE_TEXT];

	for (int i = 0; i < KINDS; i++)
		size_text(text[i], map->bytes[i], false);
	printf("private %s, shared %s, absent %s, pinned %s\n", text[PRIVATE], text[SHARED],
	       text[ABSENT], text[PINNED]);
}

static void map_text(const struct map *map)
{
	char length[SIZE_TEXT], cell[SIZE_TEXT];
	uint64_t pages = map->cell / sysconf(_SC_PAGESIZE);
	bool utf8 = is_utf8();

	put_escaped(stdout, map->call->argv[0]);
	printf(": %s, a cell is %" PRIu64 " page%s (%s)\n", size_text(length, map->length, false),
	       pages, pages == 1 ? "" : "s", size_text(cell, map->cell, false));
	for (size_t i = 0; i < map->nr; i++) {
		enum look look = look_of(map->kinds[i]);

		if (i % map->columns == 0)
			printf("%#14" PRIx64 "  ", map->offset + i * map->cell);
		if (utf8)
			fputs(looks[look].utf8, stdout);
		else
			putchar(looks[look].ascii);
		if ((i + 1) % map->columns == 0 || i + 1 == map->nr)
			putchar('\n');
	}
	put_legend(map, utf8);
	put_sums(map);
}

static void map_json(const struct map *map)
{
	struct json_object *json = json_object_new_object();
	char cells[MAX_ROWS * MAX_COLUMNS + 1];

	for (size_t i = 0; i < map->nr; i++)
		cells[i] = looks[look_of(map->kinds[i])].ascii;
	cells[map->nr] = 0;
	json_object_object_add(json, "object", json_text(map->call->argv[0]));
	json_object_object_add(json, "offset", json_object_new_uint64(map->offset));
	json_object_object_add(json, "length", json_object_new_uint64(map->length));
	json_object_object_add(json, "cell_bytes", json_object_new_uint64(map->cell));
	json_object_object_add(json, "cells", json_object_new_string(cells));
	json_object_object_add(json, "private_bytes", json_object_new_uint64(map->bytes[PRIVATE]));
	json_object_object_add(json, "shared_bytes", json_object_new_uint64(map->bytes[SHARED]));
	json_object_object_add(json, "absent_bytes", json_object_new_uint64(map->bytes[ABSENT]));
	json_object_object_add(json, "pinned_bytes", json_object_new_uint64(map->bytes[PINNED]));
	if (map->call->svg)
		json_object_object_add(json, "file", json_text(map->call->svg));
	answer(map->call, "map", json);
}

/* ---- map: as a picture ---------------------------------------------------------------- */

#define SIDE	10	/* of a cell, in pixels */
#define LEFT	130	/* of the cells */
#define TOP	30

/* Cells of a row that look alike are one rectangle. */
static size_t svg_cells(FILE *f, const struct map *map, size_t i)
{
	size_t row = i / map->columns, column = i % map->columns, nr = 1;
	enum look look = look_of(map->kinds[i]);

	while (i + nr < map->nr && column + nr < map->columns &&
	       look_of(map->kinds[i + nr]) == look)
		nr++;
	fprintf(f, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" fill=\"%s\"><title>%#"
		PRIx64 ": %s</title></rect>\n", LEFT + column * SIDE, TOP + row * SIDE, nr * SIDE,
		SIDE - 1, looks[look].color, map->offset + i * map->cell, looks[look].text);
	return i + nr;
}

static void svg_legend(FILE *f, size_t y)
{
	for (enum look look = 0; look < LOOKS; look++, y += 16) {
		fprintf(f, "<rect x=\"%d\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
			LEFT, y, SIDE, SIDE, looks[look].color);
		fprintf(f, "<text x=\"%d\" y=\"%zu\">%s</text>\n", LEFT + 2 * SIDE, y + SIDE,
			looks[look].text);
	}
}

static void draw_svg(FILE *f, const struct map *map)
{
	size_t rows = (map->nr + map->columns - 1) / map->columns;
	char length[SIZE_TEXT], cell[SIZE_TEXT];

	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%zu\" "
		"font-family=\"monospace\" font-size=\"11\">\n<text x=\"%d\" y=\"18\">",
		LEFT + map->columns * SIDE + 20, TOP + rows * SIDE + 16 * (LOOKS + 1), LEFT);
	put_xml(f, map->call->argv[0]);
	fprintf(f, ": %s, a cell is %s</text>\n", size_text(length, map->length, false),
		size_text(cell, map->cell, false));
	for (size_t row = 0; row < rows; row++)
		fprintf(f, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">%#" PRIx64 "</text>\n",
			LEFT - SIDE, TOP + row * SIDE + SIDE - 1,
			map->offset + row * map->columns * map->cell);
	for (size_t i = 0; i < map->nr;)
		i = svg_cells(f, map, i);
	svg_legend(f, TOP + (rows + 1) * SIDE);
	fputs("</svg>\n", f);
}

static enum status map_svg(const struct map *map)
{
	char *data = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&data, &size);
	enum status status;

	if (!f)
		abort();
	draw_svg(f, map);
	if (fclose(f))
		abort();
	status = svg_write(map->call, data, size);
	free(data);
	return status;
}

enum status cmd_map(struct call *call)
{
	struct map map = { .call = call };
	struct walk walk;
	enum status status;

	if (!svg_ok(call) || !walk_begin(call, &walk))
		return call->ctl->error.status;
	map.offset = walk.offset;
	map.length = walk.length;
	choose_cells(&map);
	while (next_run(&walk))
		note_run(&map, &walk.run);
	status = walk_end(&walk);
	if (!status && call->svg)
		status = map_svg(&map);
	if (status)
		return status;
	if (call->ctl->format != TEXT)
		map_json(&map);
	else if (!call->svg)
		map_text(&map);
	return OK;
}
