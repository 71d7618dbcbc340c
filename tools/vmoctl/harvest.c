// SPDX-License-Identifier: GPL-2.0
/* Which pages of an object were written: harvester, harvest. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "vmoctl.h"

enum status cmd_harvester(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	struct vmo_reaper *reaper;
	struct json_object *json;

	if (!vmo || !handle_name_ok(call, call->argv[1]))
		return call->ctl->error.status;
	reaper = vmo_reaper_new(vmo);
	if (!reaper)
		return fail(call, errno, "cannot note what is written to %s", call->argv[0]);
	reaper_add(call, call->argv[1], reaper, call->argv[0]);
	if (call->ctl->format != TEXT) {
		json = json_object_new_object();
		json_object_object_add(json, "harvester", json_text(call->argv[1]));
		json_object_object_add(json, "object", json_text(call->argv[0]));
		answer(call, "harvester", json);
		return OK;
	}
	put_escaped(stdout, call->argv[1]);
	fputs(": a harvester of ", stdout);
	put_escaped(stdout, call->argv[0]);
	putchar('\n');
	return OK;
}

struct harvest {
	struct call *call;
	struct vmo_reaper *reaper;
	uint64_t offset, length;
	struct vmo_range last;		/* the range that grows; empty if there is none */
	struct ranges ranges;
};

static void flush_last(struct harvest *harvest)
{
	if (harvest->last.length)
		ranges_add(&harvest->ranges, harvest->last.offset, harvest->last.length);
}

static void take(struct harvest *harvest, const struct vmo_range *range)
{
	struct vmo_range *last = &harvest->last;

	if (last->length && last->offset + last->length == range->offset) {
		last->length += range->length;
		return;
	}
	flush_last(harvest);
	*last = *range;
}

/* What does not fit into a document is not asked for, and so not forgotten. */
static unsigned int room(const struct harvest *harvest, unsigned int size)
{
	uint64_t left = MAX_RANGES - harvest->ranges.nr - !!harvest->last.length;

	return harvest->ranges.json && left < size ? left : size;
}

static enum status harvest_all(struct harvest *harvest)
{
	unsigned int flags = option(harvest->call, OPT_KEEP) ? VMO_HARVEST_KEEP : 0;
	struct vmo_range ranges[256];
	int count;

	while (harvest->length && room(harvest, 256)) {
		count = vmo_harvest(harvest->reaper, &harvest->offset, &harvest->length, ranges,
				    room(harvest, 256), flags);
		/* What was told is told only once, and so it is the answer. */
		if (count < 0 && (harvest->ranges.nr || harvest->last.length))
			break;
		if (count < 0)
			return fail(harvest->call, errno, "cannot harvest %s",
				    harvest->call->argv[0]);
		for (int i = 0; i < count; i++)
			take(harvest, &ranges[i]);
		if (interrupted)
			break;
	}
	flush_last(harvest);
	return OK;
}

static struct handle *harvester_arg(struct call *call)
{
	struct handle *handle = handle_find(call->ctl, call->argv[0]);

	if (handle && handle->reaper)
		return handle;
	fail(call, ENOENT, "there is no harvester %s", call->argv[0]);
	fail_hint(call, "\"list\" shows them, and \"harvester NAME NEW\" makes one");
	return NULL;
}

static void put_harvest(struct harvest *harvest)
{
	struct json_object *json;

	if (!harvest->ranges.json) {
		ranges_sum(&harvest->ranges, "nothing was written");
		if (harvest->length)
			printf("not all was looked at: go on at offset %" PRIu64 "\n",
			       harvest->offset);
		return;
	}
	json = json_object_new_object();
	ranges_into(&harvest->ranges, json);
	json_object_object_add(json, "truncated", json_object_new_boolean(harvest->length));
	if (harvest->length)
		json_object_object_add(json, "next", json_object_new_uint64(harvest->offset));
	answer(harvest->call, "harvest", json);
}

enum status cmd_harvest(struct call *call)
{
	struct harvest harvest = { .call = call, .length = UINT64_MAX };
	struct handle *handle = harvester_arg(call);
	enum status status;

	if (!handle)
		return call->ctl->error.status;
	if (call->argc == 2)
		return usage_error(call, "OFFSET without LENGTH");
	if (call->argc == 3 &&
	    (!size_arg(call, 1, &harvest.offset) || !size_arg(call, 2, &harvest.length)))
		return call->ctl->error.status;
	harvest.reaper = handle->reaper;
	ranges_begin(call, &harvest.ranges);
	status = harvest_all(&harvest);
	if (status) {
		json_object_put(harvest.ranges.json);
		return status;
	}
	put_harvest(&harvest);
	return OK;
}
