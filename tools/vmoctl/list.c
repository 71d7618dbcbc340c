// SPDX-License-Identifier: GPL-2.0
/* Tables of many objects: list and tree. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "vmoctl.h"

/* ---- columns --------------------------------------------------------------------- */

static const char *cell(char text[SIZE_TEXT], const struct call *call, bool known, uint64_t value)
{
	return known ? size_text(text, value, option(call, OPT_BYTES)) : "-";
}

static int size_width(const struct call *call)
{
	return option(call, OPT_BYTES) ? 15 : 8;
}

/* Slices and references have no pages of their own. */
static bool has_pages(const struct member *member)
{
	return member->full && !(member->info.flags & (VMO_INFO_SLICE | VMO_INFO_REFERENCE));
}

static void put_heads(const struct call *call)
{
	int w = size_width(call);

	printf("%6s  %-9s %*s %*s %*s %*s", "ID", "KIND", w, "SIZE", w, "PRIVATE", w, "SHARED",
	       w, "SCALED");
}

static void put_cells(const struct call *call, const struct member *member)
{
	const struct vmo_info *info = &member->info;
	bool pages = has_pages(member);
	int w = size_width(call);
	char text[4][SIZE_TEXT];

	printf("%6" PRIu64 "  %-9s %*s %*s %*s %*s", (uint64_t)info->id, kind_text(member), w,
	       cell(text[0], call, true, member->full ? info->content_size : info->size), w,
	       cell(text[1], call, pages, info->private_bytes), w,
	       cell(text[2], call, pages, info->shared_bytes), w,
	       cell(text[3], call, pages, info->scaled_bytes));
}

static void pad(int count)
{
	while (count-- > 0)
		putchar(' ');
}

/* ---- list -------------------------------------------------------------------------- */

#define SHOWN_HOLDERS	3

static void put_holders(const struct member *member)
{
	for (size_t i = 0; i < member->nr_holders && i < SHOWN_HOLDERS; i++) {
		printf(" %d/%d ", member->holders[i].pid, member->holders[i].fd);
		put_escaped(stdout, member->holders[i].command);
	}
	if (member->nr_holders > SHOWN_HOLDERS)
		printf(" and %zu more", member->nr_holders - SHOWN_HOLDERS);
}

static void put_harvesters(const struct ctl *ctl)
{
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next) {
		if (!handle->reaper)
			continue;
		fputs("harvester ", stdout);
		put_escaped(stdout, handle->name);
		fputs(" of ", stdout);
		put_escaped(stdout, handle->pinned);
		putchar('\n');
	}
}

static void put_pins(const struct ctl *ctl)
{
	char offset[SIZE_TEXT], length[SIZE_TEXT];
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next) {
		if (!is_pin(handle))
			continue;
		fputs("pin ", stdout);
		put_escaped(stdout, handle->name);
		fputs(" of ", stdout);
		put_escaped(stdout, handle->pinned);
		printf(": offset %s, length %s\n", size_text(offset, handle->offset, false),
		       size_text(length, handle->length, false));
	}
}

static void list_text(const struct call *call, const struct members *members)
{
	put_heads(call);
	printf(" %*s  NAME\n", size_width(call), "PINNED");
	for (size_t i = 0; i < members->nr; i++) {
		const struct member *member = &members->all[i];
		char text[SIZE_TEXT], *title = member_title(member);

		put_cells(call, member);
		printf(" %*s  %s", size_width(call),
		       cell(text, call, member->full, member->info.pinned_bytes), title);
		if (member->nr_holders)
			fputs(*title ? "  in" : "in", stdout);
		put_holders(member);
		putchar('\n');
		free(title);
	}
	put_pins(call->ctl);
	put_harvesters(call->ctl);
	members_note_hidden(members);
}

static struct json_object *holders_json(const struct member *member)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < member->nr_holders; i++) {
		const struct holder *holder = &member->holders[i];
		struct json_object *json = json_object_new_object();

		json_object_object_add(json, "pid", json_object_new_int(holder->pid));
		json_object_object_add(json, "fd", json_object_new_int(holder->fd));
		json_object_object_add(json, "command", json_text(holder->command));
		json_object_array_add(array, json);
	}
	return array;
}

static struct json_object *harvesters_json(const struct ctl *ctl)
{
	struct json_object *array = json_object_new_array(), *json;
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next) {
		if (!handle->reaper)
			continue;
		json = json_object_new_object();
		json_object_object_add(json, "harvester", json_text(handle->name));
		json_object_object_add(json, "object", json_text(handle->pinned));
		json_object_array_add(array, json);
	}
	return array;
}

static struct json_object *pins_json(const struct ctl *ctl)
{
	struct json_object *array = json_object_new_array();
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next) {
		struct json_object *json;

		if (!is_pin(handle))
			continue;
		json = json_object_new_object();
		json_object_object_add(json, "pin", json_text(handle->name));
		json_object_object_add(json, "object", json_text(handle->pinned));
		json_object_object_add(json, "offset", json_object_new_uint64(handle->offset));
		json_object_object_add(json, "length", json_object_new_uint64(handle->length));
		json_object_array_add(array, json);
	}
	return array;
}

static struct json_object *holding_json(const struct member *member)
{
	struct json_object *json = member_json(member);

	if (member->nr_holders)
		json_object_object_add(json, "holders", holders_json(member));
	return json;
}

static void list_json(const struct call *call, const struct members *members)
{
	struct json_object *json = json_object_new_object(), *array = json_object_new_array();

	for (size_t i = 0; i < members->nr; i++)
		json_object_array_add(array, holding_json(&members->all[i]));
	json_object_object_add(json, "objects", array);
	json_object_object_add(json, "pins", pins_json(call->ctl));
	json_object_object_add(json, "harvesters", harvesters_json(call->ctl));
	json_object_object_add(json, "hidden_processes", json_object_new_uint64(members->hidden));
	answer(call, "list", json);
}

enum status cmd_list(struct call *call)
{
	struct members members = { .nr = 0 };
	enum status status = members_collect(call, option(call, OPT_ALL), &members);

	if (!status) {
		if (call->ctl->format == TEXT)
			list_text(call, &members);
		else
			list_json(call, &members);
	}
	members_free(&members);
	return status;
}

/* ---- tree -------------------------------------------------------------------------------- */

/* Indentation ends there: somebody may have made a chain of a million clones. */
#define MAX_DEPTH	64

/* A line; those of a family come in the order in which they are shown. */
struct row {
	const struct member *member;
	size_t depth;
	bool last;		/* of its siblings */
};

/* Where we are among the children of an ancestor. */
struct level {
	uint64_t id;
	size_t next;		/* in by_parent */
};

struct tree {
	struct call *call;
	struct members members;
	const struct member **by_parent;	/* all of them */
	struct row *rows;
	size_t nr_rows;
	struct level *levels;
	const char *tee, *corner, *bar, *gap;
};

static int compare_parents(const void *a, const void *b)
{
	const struct member *x = *(const struct member **)a, *y = *(const struct member **)b;

	if (x->info.parent_id != y->info.parent_id)
		return x->info.parent_id < y->info.parent_id ? -1 : 1;
	return x->info.id < y->info.id ? -1 : x->info.id > y->info.id;
}

/* Index in by_parent of the first that was made from @id; nr if there is none. */
static size_t first_of(const struct tree *tree, uint64_t id)
{
	size_t low = 0, high = tree->members.nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tree->by_parent[middle]->info.parent_id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_of(const struct tree *tree, size_t i, uint64_t id)
{
	return i < tree->members.nr && tree->by_parent[i]->info.parent_id == id;
}

/* Objects come and go while we look: a parent that is not there makes a root. */
static const struct member *parent_of(const struct tree *tree, const struct member *member)
{
	uint64_t parent = member->info.parent_id;

	/* A child is younger than its parent. */
	return parent && parent < member->info.id ? member_find(&tree->members, parent) : NULL;
}

static void add_row(struct tree *tree, const struct member *member, size_t depth, bool last)
{
	tree->rows[tree->nr_rows++] = (struct row) {
		.member = member, .depth = depth, .last = last,
	};
	tree->levels[depth].id = member->info.id;
	tree->levels[depth].next = first_of(tree, member->info.id);
}

/* Without recursion: the depth is that of other people's clones. */
static void add_family(struct tree *tree, const struct member *root)
{
	size_t depth = 0;

	add_row(tree, root, 0, true);
	for (;;) {
		struct level *level = &tree->levels[depth];
		size_t i = level->next++;

		if (!is_of(tree, i, level->id)) {
			if (!depth--)
				break;
		} else if (parent_of(tree, tree->by_parent[i])) {
			add_row(tree, tree->by_parent[i], ++depth, !is_of(tree, i + 1, level->id));
		}
	}
}

static char *row_title(const struct row *row)
{
	char *title = member_title(row->member), *text;
	const char *shown = *title ? title : "(no name)";
	int length;

	if (row->depth > MAX_DEPTH)
		length = asprintf(&text, "[%zu] %s", row->depth, shown);
	else
		length = asprintf(&text, "%s", shown);
	if (length < 0)
		abort();
	free(title);
	return text;
}

static size_t indentation(const struct row *row)
{
	return row->depth < MAX_DEPTH ? row->depth : MAX_DEPTH;
}

/* @ended: the levels whose last child has been shown. */
static void put_row(const struct tree *tree, const struct row *row, bool *ended, int width)
{
	size_t depth = indentation(row);
	char *title = row_title(row);

	for (size_t i = 1; i < depth; i++)
		fputs(ended[i] ? tree->gap : tree->bar, stdout);
	if (depth)
		fputs(row->last ? tree->corner : tree->tee, stdout);
	ended[depth] = row->last;
	fputs(title, stdout);
	pad(width - 3 * depth - text_width(title) + 1);
	put_cells(tree->call, row->member);
	putchar('\n');
	free(title);
}

static int column_width(const struct tree *tree)
{
	int width = strlen("OBJECT");

	for (size_t i = 0; i < tree->nr_rows; i++) {
		char *title = row_title(&tree->rows[i]);
		int own = 3 * indentation(&tree->rows[i]) + text_width(title);

		if (own > width)
			width = own;
		free(title);
	}
	return width;
}

static void tree_text(struct tree *tree)
{
	int width = column_width(tree);
	bool ended[MAX_DEPTH + 1] = { false };
	char text[SIZE_TEXT];
	uint64_t scaled = 0;

	fputs("OBJECT", stdout);
	pad(width - strlen("OBJECT") + 1);
	put_heads(tree->call);
	putchar('\n');
	for (size_t i = 0; i < tree->nr_rows; i++) {
		put_row(tree, &tree->rows[i], ended, width);
		if (has_pages(tree->rows[i].member))
			scaled += tree->rows[i].member->info.scaled_bytes;
	}
	printf("%zu object%s, %s of memory\n", tree->nr_rows, tree->nr_rows == 1 ? "" : "s",
	       size_text(text, scaled, option(tree->call, OPT_BYTES)));
	members_note_hidden(&tree->members);
}

/* What is deeper than parsers like is beside its ancestor, and has its parent_id. */
static void tree_json(const struct tree *tree)
{
	struct json_object *json = json_object_new_object(), *array[MAX_DEPTH + 2];

	array[0] = json_object_new_array();
	for (size_t i = 0; i < tree->nr_rows; i++) {
		struct json_object *node = holding_json(tree->rows[i].member);
		size_t depth = indentation(&tree->rows[i]);

		array[depth + 1] = json_object_new_array();
		json_object_object_add(node, "members", array[depth + 1]);
		json_object_array_add(array[depth], node);
	}
	json_object_object_add(json, "families", array[0]);
	json_object_object_add(json, "hidden_processes",
			       json_object_new_uint64(tree->members.hidden));
	answer(tree->call, "tree", json);
}

static void choose_lines(struct tree *tree)
{
	bool utf8 = is_utf8();

	tree->tee = utf8 ? "├─ " : "|- ";
	tree->corner = utf8 ? "└─ " : "`- ";
	tree->bar = utf8 ? "│  " : "|  ";
	tree->gap = "   ";
}

/* The first ancestor of the argument. */
static enum status find_root(struct tree *tree, const struct member **root)
{
	struct vmo *vmo = object_arg(tree->call, 0);
	const struct member *member;
	struct vmo_info info;

	if (!vmo)
		return tree->call->ctl->error.status;
	if (vmo_info(vmo, &info, sizeof(info)))
		return fail(tree->call, errno, "cannot ask what %s is", tree->call->argv[0]);
	member = member_find(&tree->members, info.id);
	if (!member)
		return fail(tree->call, ENOENT, "%s is not among the objects in sight",
			    tree->call->argv[0]);
	for (*root = member; member; member = parent_of(tree, member))
		*root = member;
	return OK;
}

static void allocate(struct tree *tree)
{
	size_t nr = tree->members.nr;

	tree->by_parent = calloc(nr + 1, sizeof(*tree->by_parent));
	tree->rows = calloc(nr + 1, sizeof(*tree->rows));
	tree->levels = calloc(nr + 1, sizeof(*tree->levels));
	if (!tree->by_parent || !tree->rows || !tree->levels)
		abort();
	for (size_t i = 0; i < nr; i++)
		tree->by_parent[i] = &tree->members.all[i];
	qsort(tree->by_parent, nr, sizeof(*tree->by_parent), compare_parents);
}

static void add_families(struct tree *tree, const struct member *only)
{
	for (size_t i = 0; i < tree->members.nr; i++) {
		const struct member *member = &tree->members.all[i];

		if (only ? member == only : !parent_of(tree, member))
			add_family(tree, member);
	}
}

enum status cmd_tree(struct call *call)
{
	struct tree tree = { .call = call };
	const struct member *only = NULL;
	bool everybody = option(call, OPT_ALL) || (call->argc && is_foreign(call->argv[0]));
	enum status status = members_collect(call, everybody, &tree.members);

	choose_lines(&tree);
	allocate(&tree);
	if (!status && call->argc)
		status = find_root(&tree, &only);
	if (!status) {
		add_families(&tree, only);
		if (call->ctl->format == TEXT)
			tree_text(&tree);
		else
			tree_json(&tree);
	}
	free(tree.by_parent);
	free(tree.rows);
	free(tree.levels);
	members_free(&tree.members);
	return status;
}
