// SPDX-License-Identifier: GPL-2.0
/* Tables of many objects: list and tree. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
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

static void note_hidden(const struct members *members)
{
	fflush(stdout);
	if (members->hidden)
		fprintf(stderr, "vmoctl: %zu processes may not be looked into: root may\n",
			members->hidden);
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

static void put_pins(const struct ctl *ctl)
{
	char offset[SIZE_TEXT], length[SIZE_TEXT];
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next) {
		if (handle->vmo)
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
	note_hidden(members);
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

static struct json_object *pins_json(const struct ctl *ctl)
{
	struct json_object *array = json_object_new_array();
	struct handle *handle;

	for (handle = ctl->handles; handle; handle = handle->next) {
		struct json_object *json;

		if (handle->vmo)
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

struct row {
	char *text;		/* branches and title */
	const struct member *member;
};

struct tree {
	struct call *call;
	struct members members;
	const struct member **by_parent;	/* all of them */
	struct row *rows;
	size_t nr_rows;
	uint64_t scaled;
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

static void add_row(struct tree *tree, const struct member *member, const char *prefix,
		    const char *branch)
{
	struct row *row = &tree->rows[tree->nr_rows++];
	char *title = member_title(member);

	if (asprintf(&row->text, "%s%s%s", prefix, branch, *title ? title : "(no name)") < 0)
		abort();
	free(title);
	row->member = member;
	if (has_pages(member))
		tree->scaled += member->info.scaled_bytes;
}

static void add_rows(struct tree *tree, const struct member *member, const char *prefix)
{
	size_t i = first_of(tree, member->info.id);

	for (; is_of(tree, i, member->info.id); i++) {
		bool last = !is_of(tree, i + 1, member->info.id);
		char *below;

		if (!parent_of(tree, tree->by_parent[i]))
			continue;
		add_row(tree, tree->by_parent[i], prefix, last ? tree->corner : tree->tee);
		if (asprintf(&below, "%s%s", prefix, last ? tree->gap : tree->bar) < 0)
			abort();
		add_rows(tree, tree->by_parent[i], below);
		free(below);
	}
}

static void tree_text(struct tree *tree, const struct member *only)
{
	int width = strlen("OBJECT");
	char text[SIZE_TEXT];

	for (size_t i = 0; i < tree->members.nr; i++) {
		const struct member *member = &tree->members.all[i];

		if (only ? member != only : !!parent_of(tree, member))
			continue;
		add_row(tree, member, "", "");
		add_rows(tree, member, "");
	}
	for (size_t i = 0; i < tree->nr_rows; i++)
		if (text_width(tree->rows[i].text) > width)
			width = text_width(tree->rows[i].text);
	fputs("OBJECT", stdout);
	pad(width - strlen("OBJECT") + 1);
	put_heads(tree->call);
	putchar('\n');
	for (size_t i = 0; i < tree->nr_rows; i++) {
		fputs(tree->rows[i].text, stdout);
		pad(width - text_width(tree->rows[i].text) + 1);
		put_cells(tree->call, tree->rows[i].member);
		putchar('\n');
		free(tree->rows[i].text);
	}
	printf("%zu object%s, %s of memory\n", tree->nr_rows, tree->nr_rows == 1 ? "" : "s",
	       size_text(text, tree->scaled, option(tree->call, OPT_BYTES)));
	note_hidden(&tree->members);
}

static struct json_object *branch_json(const struct tree *tree, const struct member *member)
{
	struct json_object *json = holding_json(member), *array = json_object_new_array();
	size_t i = first_of(tree, member->info.id);

	for (; is_of(tree, i, member->info.id); i++)
		if (parent_of(tree, tree->by_parent[i]))
			json_object_array_add(array, branch_json(tree, tree->by_parent[i]));
	json_object_object_add(json, "members", array);
	return json;
}

static void tree_json(const struct tree *tree, const struct member *only)
{
	struct json_object *json = json_object_new_object(), *array = json_object_new_array();

	for (size_t i = 0; i < tree->members.nr; i++) {
		const struct member *member = &tree->members.all[i];

		if (only ? member == only : !parent_of(tree, member))
			json_object_array_add(array, branch_json(tree, member));
	}
	json_object_object_add(json, "families", array);
	json_object_object_add(json, "hidden_processes",
			       json_object_new_uint64(tree->members.hidden));
	answer(tree->call, "tree", json);
}

static void choose_lines(struct tree *tree)
{
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");

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

enum status cmd_tree(struct call *call)
{
	struct tree tree = { .call = call };
	const struct member *only = NULL;
	bool everybody = option(call, OPT_ALL) || (call->argc && is_foreign(call->argv[0]));
	enum status status = members_collect(call, everybody, &tree.members);

	choose_lines(&tree);
	tree.by_parent = calloc(tree.members.nr + 1, sizeof(*tree.by_parent));
	tree.rows = calloc(tree.members.nr + 1, sizeof(*tree.rows));
	if (!tree.by_parent || !tree.rows)
		abort();
	for (size_t i = 0; i < tree.members.nr; i++)
		tree.by_parent[i] = &tree.members.all[i];
	qsort(tree.by_parent, tree.members.nr, sizeof(*tree.by_parent), compare_parents);
	if (!status && call->argc)
		status = find_root(&tree, &only);
	if (!status) {
		if (call->ctl->format == TEXT)
			tree_text(&tree, only);
		else
			tree_json(&tree, only);
	}
	free(tree.by_parent);
	free(tree.rows);
	members_free(&tree.members);
	return status;
}
