// SPDX-License-Identifier: GPL-2.0
/* Ranges that a command answers with. */
#include <inttypes.h>
#include "vmoctl.h"

void ranges_begin(const struct call *call, struct ranges *ranges)
{
	*ranges = (struct ranges) { .nr = 0 };
	if (call->ctl->format != TEXT)
		ranges->json = json_object_new_array();
}

void ranges_add(struct ranges *ranges, uint64_t offset, uint64_t length)
{
	struct json_object *json;
	char text[SIZE_TEXT];

	ranges->nr++;
	ranges->bytes += length;
	if (ranges->json && ranges->nr <= MAX_RANGES) {
		json = json_object_new_object();
		json_object_object_add(json, "offset", json_object_new_uint64(offset));
		json_object_object_add(json, "length", json_object_new_uint64(length));
		json_object_array_add(ranges->json, json);
	} else if (!ranges->json && !ranges->quiet) {
		printf("offset %" PRIu64 " length %" PRIu64 " (%s)\n", offset, length,
		       size_text(text, length, false));
	}
}

void ranges_sum(const struct ranges *ranges, const char *nothing)
{
	char text[SIZE_TEXT];

	if (ranges->nr)
		printf("%" PRIu64 " range%s, %s in all\n", ranges->nr, ranges->nr == 1 ? "" : "s",
		       size_text(text, ranges->bytes, false));
	else
		puts(nothing);
}

void ranges_into(struct ranges *ranges, struct json_object *json)
{
	json_object_object_add(json, "ranges", ranges->json);
	json_object_object_add(json, "bytes", json_object_new_uint64(ranges->bytes));
	json_object_object_add(json, "truncated",
			       json_object_new_boolean(ranges->nr > MAX_RANGES));
}
