// SPDX-License-Identifier: GPL-2.0
/* Commands that make objects, name them and give them up. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include "vmoctl.h"

/* Says what has been made. */
static enum status made(struct call *call, const char *name, const struct vmo *vmo)
{
	struct member member = { .full = true, .label = name };
	struct json_object *json;
	char size[SIZE_TEXT];

	if (vmo_info(vmo, &member.info, sizeof(member.info)))
		return fail(call, errno, "cannot ask what %s is", name);
	if (call->ctl->format != TEXT) {
		json = member_json(&member);
		json_object_object_add(json, "rights", rights_json(member.info.rights));
		answer(call, "object", json);
		return OK;
	}
	put_escaped(stdout, name);
	printf(": %s, %s, id %" PRIu64, kind_text(&member),
	       size_text(size, member.info.content_size, false), (uint64_t)member.info.id);
	if (member.info.parent_id)
		printf(", made from %" PRIu64, (uint64_t)member.info.parent_id);
	putchar('\n');
	return OK;
}

enum status object_made(struct call *call, const char *name, struct vmo *vmo)
{
	enum status status = handle_add(call, name, vmo);

	return status ?: made(call, name, vmo);
}

/* The kernel's name is a convenience here: objects that cannot be written keep their parent's. */
static enum status child_made(struct call *call, struct vmo *vmo)
{
	if (!vmo)
		return fail(call, errno, "cannot %s %s", call->command->name, call->argv[0]);
	if (strlen(call->argv[1]) < VMO_NAME_SIZE)
		vmo_set_name(vmo, call->argv[1]);
	return object_made(call, call->argv[1], vmo);
}

unsigned int create_flags(const struct call *call)
{
	return (option(call, OPT_RESIZABLE) ? VMO_CREATE_RESIZABLE : 0) |
	       (option(call, OPT_EXEC) ? VMO_CREATE_EXEC : 0) |
	       (option(call, OPT_LONGTERM) ? VMO_CREATE_LONGTERM : 0);
}

enum status cmd_create(struct call *call)
{
	struct vmo *vmo;
	uint64_t size;
	int dev;

	if (!size_arg(call, 1, &size) || !handle_name_ok(call, call->argv[0]))
		return call->ctl->error.status;
	dev = device(call);
	if (dev < 0)
		return FAILED;
	vmo = vmo_create(dev, size, create_flags(call), call->argv[0]);
	if (!vmo)
		return fail(call, errno, "cannot create %s", call->argv[0]);
	return object_made(call, call->argv[0], vmo);
}

enum status cmd_open(struct call *call)
{
	struct vmo *vmo;

	if (!handle_name_ok(call, call->argv[0]))
		return call->ctl->error.status;
	vmo = foreign_open(call, call->argv[1]);
	return vmo ? object_made(call, call->argv[0], vmo) : call->ctl->error.status;
}

enum status cmd_clone(struct call *call)
{
	unsigned int flags = (option(call, OPT_NO_WRITE) ? VMO_CLONE_NO_WRITE : 0) |
			     (option(call, OPT_RESIZABLE) ? VMO_CLONE_RESIZABLE : 0) |
			     (option(call, OPT_COPY_PINNED) ? VMO_CLONE_COPY_PINNED : 0) |
			     (option(call, OPT_LONGTERM) ? VMO_CLONE_LONGTERM : 0) |
			     (option(call, OPT_KEEP_BASE) ? VMO_CLONE_KEEP_BASE : 0);
	struct vmo *vmo = object_arg(call, 0);
	uint64_t offset = 0, size;
	struct vmo_info info;

	if (!vmo || !handle_name_ok(call, call->argv[1]))
		return call->ctl->error.status;
	if (call->argc == 2) {
		if (vmo_info(vmo, &info, sizeof(info)))
			return fail(call, errno, "cannot ask what %s is", call->argv[0]);
		size = info.content_size;
	} else if (!range_args(call, 2, vmo, &offset, &size)) {
		return call->ctl->error.status;
	}
	return child_made(call, vmo_clone(vmo, offset, size, flags | VMO_CLONE_SNAPSHOT));
}

enum status cmd_slice(struct call *call)
{
	unsigned int flags = option(call, OPT_NO_WRITE) ? VMO_SLICE_NO_WRITE : 0;
	struct vmo *vmo = object_arg(call, 0);
	uint64_t offset, size;

	if (!vmo || !handle_name_ok(call, call->argv[1]) ||
	    !range_args(call, 2, vmo, &offset, &size))
		return call->ctl->error.status;
	return child_made(call, vmo_slice(vmo, offset, size, flags));
}

enum status cmd_ref(struct call *call)
{
	unsigned int flags = (option(call, OPT_NO_WRITE) ? VMO_REFERENCE_NO_WRITE : 0) |
			     (option(call, OPT_RESIZABLE) ? VMO_REFERENCE_RESIZABLE : 0);
	struct vmo *vmo = object_arg(call, 0);

	if (!vmo || !handle_name_ok(call, call->argv[1]))
		return call->ctl->error.status;
	return child_made(call, vmo_reference(vmo, flags));
}

/* Another descriptor of the same object, which keeps its name in the kernel. */
enum status cmd_restrict(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	unsigned int rights;

	if (!vmo || !handle_name_ok(call, call->argv[1]) ||
	    !parse_rights(call, call->argv[2], &rights))
		return call->ctl->error.status;
	vmo = vmo_restrict(vmo, rights);
	if (!vmo)
		return fail(call, errno, "cannot restrict %s", call->argv[0]);
	return object_made(call, call->argv[1], vmo);
}

enum status cmd_name(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);

	if (!vmo)
		return call->ctl->error.status;
	if (vmo_set_name(vmo, call->argv[1]))
		return fail(call, errno, "cannot name %s", call->argv[0]);
	return done(call);
}

enum status cmd_close(struct call *call)
{
	struct handle *handle = handle_find(call->ctl, call->argv[0]);

	if (!handle || is_pin(handle)) {
		object_arg(call, 0);	/* says what is wrong */
		return call->ctl->error.status ?: usage_error(call, "close takes a name");
	}
	handle_drop(call->ctl, handle);
	return done(call);
}

enum status cmd_wait(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	uint64_t limit;
	int timeout = -1, childless;

	if (!vmo || (call->argc > 1 && !size_arg(call, 1, &limit)))
		return call->ctl->error.status;
	if (call->argc > 1)
		timeout = limit > INT_MAX ? INT_MAX : limit;
	childless = vmo_wait_childless(vmo, timeout);
	if (childless < 0)
		return fail(call, errno, "cannot wait for the children of %s", call->argv[0]);
	if (!childless) {
		fail(call, ETIMEDOUT, "objects that were made from %s live", call->argv[0]);
		return fail_hint(call, "\"tree\" shows them");
	}
	return done(call);
}
