// SPDX-License-Identifier: GPL-2.0
/* Families as a graph: in the language of Graphviz, or drawn by it. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vmoctl.h"

struct graph {
	struct call *call;
	struct members members;
	size_t *roots;		/* of each member, the index of its first ancestor in sight */
	size_t only;		/* the root that is asked for, or SIZE_MAX */
	size_t shown;
};

/* ---- whose family --------------------------------------------------------------- */

static const struct member *parent_of(const struct graph *graph, const struct member *member)
{
	uint64_t parent = member->info.parent_id;

	/* A child is younger than its parent. */
	return parent && parent < member->info.id ? member_find(&graph->members, parent) : NULL;
}

/* By id, so that parents come first. */
static void find_roots(struct graph *graph)
{
	const struct member *all = graph->members.all, *parent;

	graph->roots = calloc(graph->members.nr + 1, sizeof(*graph->roots));
	if (!graph->roots)
		abort();
	for (size_t i = 0; i < graph->members.nr; i++) {
		parent = parent_of(graph, &all[i]);
		graph->roots[i] = parent ? graph->roots[parent - all] : i;
	}
}

static enum status choose_family(struct graph *graph)
{
	struct call *call = graph->call;
	const struct member *member;
	struct vmo_info info;
	struct vmo *vmo;

	graph->only = SIZE_MAX;
	if (!call->argc)
		return OK;
	vmo = object_arg(call, 0);
	if (!vmo)
		return call->ctl->error.status;
	if (vmo_info(vmo, &info, sizeof(info)))
		return fail(call, errno, "cannot ask what %s is", call->argv[0]);
	member = member_find(&graph->members, info.id);
	if (!member)
		return fail(call, ENOENT, "%s is not among the objects in sight", call->argv[0]);
	graph->only = graph->roots[member - graph->members.all];
	return OK;
}

static bool is_shown(const struct graph *graph, size_t i)
{
	return graph->only == SIZE_MAX || graph->roots[i] == graph->only;
}

/* ---- the text ---------------------------------------------------------------------- */

/* Between quotes, where a backslash is doubled once more. */
static void put_label(FILE *f, const char *text)
{
	char *escaped = escape_utf8(text);

	for (const char *at = escaped; *at; at++) {
		if (*at == '"' || *at == '\\')
			fputc('\\', f);
		fputc(*at, f);
	}
	free(escaped);
}

static const char *style_of(const struct member *member)
{
	if (!member->full)
		return "dotted";
	if (member->info.flags & VMO_INFO_SLICE)
		return "dashed";
	if (member->info.flags & VMO_INFO_REFERENCE)
		return "dotted";
	return member->info.flags & VMO_INFO_COW_CLONE ? "rounded" : "solid";
}

static void put_sizes(FILE *f, const struct member *member)
{
	const struct vmo_info *info = &member->info;
	char text[3][SIZE_TEXT];

	fprintf(f, "\\n%s %" PRIu64 ", %s", kind_text(member), (uint64_t)info->id,
		size_text(text[0], member->full ? info->content_size : info->size, false));
	if (!member->full || info->flags & (VMO_INFO_SLICE | VMO_INFO_REFERENCE))
		return;
	fprintf(f, "\\nprivate %s, shared %s", size_text(text[1], info->private_bytes, false),
		size_text(text[2], info->shared_bytes, false));
	if (info->pinned_bytes)
		fprintf(f, "\\npinned %s", size_text(text[0], info->pinned_bytes, false));
}

static void put_node(FILE *f, const struct member *member)
{
	const char *name = member->info.name;

	fprintf(f, "\t%" PRIu64 " [style=%s, label=\"", (uint64_t)member->info.id,
		style_of(member));
	put_label(f, member->label ?: *name ? name : "(no name)");
	put_sizes(f, member);
	if (member->nr_holders) {
		fprintf(f, "\\n%d/%d ", member->holders->pid, member->holders->fd);
		put_label(f, member->holders->command);
	}
	if (member->nr_holders > 1)
		fprintf(f, " and %zu more", member->nr_holders - 1);
	fputs("\"];\n", f);
}

static void draw_dot(FILE *f, struct graph *graph)
{
	fputs("digraph vmo {\n\tcharset=\"UTF-8\";\n\tnode [shape=box, fontname=\"monospace\"];\n",
	      f);
	for (size_t i = 0; i < graph->members.nr; i++) {
		const struct member *member = &graph->members.all[i];

		if (!is_shown(graph, i))
			continue;
		graph->shown++;
		put_node(f, member);
		if (parent_of(graph, member))
			fprintf(f, "\t%" PRIu64 " -> %" PRIu64 " [style=%s];\n",
				(uint64_t)member->info.parent_id, (uint64_t)member->info.id,
				member->full && member->info.flags &
				(VMO_INFO_SLICE | VMO_INFO_REFERENCE) ? "dashed" : "solid");
	}
	fputs("}\n", f);
}

/* ---- the picture --------------------------------------------------------------------- */

static enum status no_dot(struct call *call, int err)
{
	fail(call, err, "cannot run dot");
	if (err != ENOENT)
		return FAILED;
	return fail_hint(call, "install the package graphviz, or leave --svg out and draw the text "
			 "elsewhere");
}

static enum status dot_ended(struct call *call, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail(call, errno, "cannot wait for dot");
	if (!status)
		return OK;
	fail(call, 0, "dot failed with %s %d", WIFEXITED(status) ? "status" : "signal",
	     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return fail_hint(call, "what it said is above; \"dot -V\" has to work");
}

/* Files without a name, so that neither waits for the other. */
static enum status run_dot(struct call *call, int in, int out)
{
	char name[] = "dot", format[] = "-Tsvg";
	char *const argv[] = { name, format, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	fflush(stdout);
	err = posix_spawnp(&pid, "dot", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err ? no_dot(call, err) : dot_ended(call, pid);
}

/* The file is touched only if there is a picture. */
static enum status copy_out(struct call *call, int out)
{
	struct stat st;
	enum status status;
	char *data;

	if (fstat(out, &st))
		return fail(call, errno, "cannot read what dot has drawn");
	data = malloc(st.st_size + 1);
	if (!data || pread(out, data, st.st_size, 0) != st.st_size) {
		free(data);
		return fail(call, EIO, "cannot read what dot has drawn");
	}
	status = svg_write(call, data, st.st_size);
	free(data);
	return status;
}

static enum status graph_svg(struct call *call, const char *dot, size_t size)
{
	int in = memfd_create("dot", MFD_CLOEXEC), out = memfd_create("svg", MFD_CLOEXEC);
	enum status status;

	if (in < 0 || out < 0 || pwrite(in, dot, size, 0) != (ssize_t)size)
		status = fail(call, errno, "cannot make a file for dot");
	else
		status = run_dot(call, in, out) ?: copy_out(call, out);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return status;
}

/* ---- the command --------------------------------------------------------------------- */

static void put_graph(struct graph *graph, const char *dot)
{
	struct call *call = graph->call;
	struct json_object *json;

	if (call->ctl->format == TEXT) {
		if (!call->svg)
			fputs(dot, stdout);
		members_note_hidden(&graph->members);
		return;
	}
	json = json_object_new_object();
	if (call->svg)
		json_object_object_add(json, "file", json_text(call->svg));
	else
		json_object_object_add(json, "dot", json_object_new_string(dot));
	json_object_object_add(json, "objects", json_object_new_uint64(graph->shown));
	json_object_object_add(json, "hidden_processes",
			       json_object_new_uint64(graph->members.hidden));
	answer(call, "graph", json);
}

static enum status draw(struct graph *graph)
{
	char *dot = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&dot, &size);
	enum status status = OK;

	if (!f)
		abort();
	draw_dot(f, graph);
	if (fclose(f))
		abort();
	if (graph->call->svg)
		status = graph_svg(graph->call, dot, size);
	if (!status)
		put_graph(graph, dot);
	free(dot);
	return status;
}

enum status cmd_graph(struct call *call)
{
	struct graph graph = { .call = call };
	bool everybody = option(call, OPT_ALL) || (call->argc && is_foreign(call->argv[0]));
	enum status status;

	if (!svg_ok(call))
		return call->ctl->error.status;
	status = members_collect(call, everybody, &graph.members);
	find_roots(&graph);
	if (!status)
		status = choose_family(&graph);
	if (!status)
		status = draw(&graph);
	free(graph.roots);
	members_free(&graph.members);
	return status;
}
