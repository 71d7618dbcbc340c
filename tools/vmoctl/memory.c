// SPDX-License-Identifier: GPL-2.0
/* Commands on the pages of an object. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "vmoctl.h"

enum status cmd_resize(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	uint64_t size;

	if (!vmo || !size_arg(call, 1, &size))
		return call->ctl->error.status;
	if (vmo_resize(vmo, size))
		return fail(call, errno, "cannot resize %s", call->argv[0]);
	return done(call);
}

static enum status on_range(struct call *call,
			    int (*operation)(const struct vmo *vmo, uint64_t offset,
					     uint64_t length))
{
	struct vmo *vmo = object_arg(call, 0);
	uint64_t offset, length;

	if (!vmo || !range_args(call, 1, vmo, &offset, &length))
		return call->ctl->error.status;
	if (operation(vmo, offset, length))
		return fail(call, errno, "cannot %s %s", call->command->name, call->argv[0]);
	return done(call);
}

enum status cmd_commit(struct call *call)
{
	return on_range(call, vmo_commit);
}

enum status cmd_decommit(struct call *call)
{
	return on_range(call, vmo_decommit);
}

enum status cmd_zero(struct call *call)
{
	return on_range(call, vmo_zero);
}

enum status cmd_rewind(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);

	if (!vmo)
		return call->ctl->error.status;
	if (vmo_rewind(vmo))
		return fail(call, errno, "cannot rewind %s", call->argv[0]);
	return done(call);
}

enum status cmd_move(struct call *call)
{
	uint64_t offset, length, to_offset;
	struct vmo *from, *to;

	if (!size_arg(call, 1, &offset) || !size_arg(call, 2, &length) ||
	    !size_arg(call, 4, &to_offset))
		return call->ctl->error.status;
	from = object_arg(call, 0);
	to = from ? object_arg(call, 3) : NULL;
	if (!to)
		return call->ctl->error.status;
	if (vmo_transfer(to, to_offset, from, offset, length))
		return fail(call, errno, "cannot move pages of %s to %s", call->argv[0],
			    call->argv[3]);
	return done(call);
}

/* ---- pins -------------------------------------------------------------------- */

/* pin1, pin2, ...: the first that is free */
static void free_pin_name(const struct ctl *ctl, char *name, size_t size)
{
	unsigned int i = 1;

	do
		snprintf(name, size, "pin%u", i++);
	while (handle_find(ctl, name));
}

static enum status pinned(struct call *call, const char *name)
{
	struct json_object *json;

	if (call->ctl->format == TEXT) {
		put_escaped(stdout, name);
		fputs(": a pin of ", stdout);
		put_escaped(stdout, call->argv[0]);
		putchar('\n');
		return OK;
	}
	json = json_object_new_object();
	json_object_object_add(json, "pin", json_text(name));
	json_object_object_add(json, "object", json_text(call->argv[0]));
	answer(call, "pin", json);
	return OK;
}

enum status cmd_pin(struct call *call)
{
	unsigned int flags = VMO_PIN_READ | (option(call, OPT_READ_ONLY) ? 0 : VMO_PIN_WRITE);
	struct vmo *vmo = object_arg(call, 0);
	char automatic[16], *name = automatic;
	uint64_t offset, length;
	int fd;

	if (!vmo || !range_args(call, 1, vmo, &offset, &length))
		return call->ctl->error.status;
	if (call->argc == 4 || (call->argc == 5 && strcmp(call->argv[3], "as")))
		return usage_error(call, "what follows LENGTH is \"as PIN\"");
	if (call->argc == 5)
		name = call->argv[4];
	else
		free_pin_name(call->ctl, automatic, sizeof(automatic));
	if (!handle_name_ok(call, name))
		return call->ctl->error.status;
	fd = vmo_pin(vmo, offset, length, flags);
	if (fd < 0)
		return fail(call, errno, "cannot pin %s", call->argv[0]);
	pin_add(call, name, fd, call->argv[0], offset, length);
	return pinned(call, name);
}

enum status cmd_unpin(struct call *call)
{
	struct handle *handle = handle_find(call->ctl, call->argv[0]);

	if (!handle || !is_pin(handle)) {
		fail(call, ENOENT, "there is no pin %s", call->argv[0]);
		return fail_hint(call, "\"list\" shows the pins");
	}
	handle_drop(call->ctl, handle);
	return done(call);
}
