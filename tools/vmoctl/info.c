// SPDX-License-Identifier: GPL-2.0
/* What objects, the module and this program are: info, probe, version. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmoctl.h"

/* ---- objects ---------------------------------------------------------------------- */

struct bit {
	uint64_t bit;
	const char *name;
};

static const struct bit info_bits[] = {
	{ VMO_INFO_COW_CLONE, "cow-clone" },
	{ VMO_INFO_RESIZABLE, "resizable" },
	{ VMO_INFO_MAY_RESIZE, "may-resize" },
	{ VMO_INFO_SLICE, "slice" },
	{ VMO_INFO_REFERENCE, "reference" },
	{ VMO_INFO_IMMUTABLE, "immutable" },
	{ VMO_INFO_NO_WRITE, "no-write" },
	{ VMO_INFO_EXEC, "exec" },
	{ VMO_INFO_LONGTERM, "longterm" },
	{ VMO_INFO_KEEP_BASE, "keep-base" },
	{ VMO_INFO_PAGER, "pager" },
	{ 0 }
};

static const struct bit feature_bits[] = {
	{ VMO_FEATURE_SNAPSHOT, "snapshot" },
	{ VMO_FEATURE_SLICE, "slice" },
	{ VMO_FEATURE_REFERENCE, "reference" },
	{ VMO_FEATURE_RESIZE, "resize" },
	{ VMO_FEATURE_PIN, "pin" },
	{ VMO_FEATURE_EXEC, "exec" },
	{ VMO_FEATURE_LONGTERM, "longterm" },
	{ VMO_FEATURE_RIGHTS, "rights" },
	{ VMO_FEATURE_TRANSFER, "transfer" },
	{ VMO_FEATURE_PAGES, "pages" },
	{ VMO_FEATURE_USAGE, "usage" },
	{ VMO_FEATURE_DIFF, "diff" },
	{ VMO_FEATURE_REWIND, "rewind" },
	{ VMO_FEATURE_HARVEST, "harvest" },
	{ VMO_FEATURE_PAGER, "pager" },
	{ 0 }
};

static const struct bit right_bits[] = {
	{ VMO_RIGHT_READ, "read" },
	{ VMO_RIGHT_WRITE, "write" },
	{ VMO_RIGHT_MAP, "map" },
	{ VMO_RIGHT_EXEC, "exec" },
	{ VMO_RIGHT_RESIZE, "resize" },
	{ VMO_RIGHT_PIN, "pin" },
	{ VMO_RIGHT_CHILD, "child" },
	{ VMO_RIGHT_NAME, "name" },
	{ 0 }
};

struct number {
	const char *name;
	size_t offset;
	bool bytes;
};

#define NUMBER_OF(_type, _field, _bytes)	{ #_field, offsetof(_type, _field), _bytes }

/* Those that /proc tells, too, come first; last what only a descriptor tells. */
static const struct number info_numbers[] = {
#define NUMBER(_field, _bytes)	NUMBER_OF(struct vmo_info, _field, _bytes)
	NUMBER(id, false),
	NUMBER(parent_id, false),
	NUMBER(children, false),
	NUMBER(size, true),
	NUMBER(content_size, true),
	NUMBER(committed_bytes, true),
	NUMBER(private_bytes, true),
	NUMBER(shared_bytes, true),
	NUMBER(scaled_bytes, true),
	NUMBER(metadata_bytes, true),
	NUMBER(exclusive_bytes, true),
	NUMBER(pinned_bytes, true),
	NUMBER(generation, false),
	NUMBER(change_events, false),
	{ 0 }
#undef NUMBER
};

#define PROC_NUMBERS	4
#define NETLINK_NUMBERS	(sizeof(info_numbers) / sizeof(info_numbers[0]) - 2)

static const struct number usage_numbers[] = {
#define NUMBER(_field)	NUMBER_OF(struct vmo_usage, _field, true)
	NUMBER(offset),
	NUMBER(length),
	NUMBER(committed_bytes),
	NUMBER(private_bytes),
	NUMBER(shared_bytes),
	NUMBER(scaled_bytes),
	NUMBER(exclusive_bytes),
	NUMBER(metadata_bytes),
	{ 0 }
#undef NUMBER
};

static const struct number stats_numbers[] = {
#define NUMBER(_field, _bytes)	NUMBER_OF(struct vmo_stats, _field, _bytes)
	NUMBER(page_bytes, true),
	NUMBER(node_count, false),
	NUMBER(object_count, false),
	NUMBER(content_count, false),
	NUMBER(pin_count, false),
	NUMBER(usage_queries, false),
	NUMBER(usage_hits, false),
	NUMBER(usage_misses, false),
	{ 0 }
#undef NUMBER
};

static uint64_t number_of(const void *from, const struct number *number)
{
	uint64_t value;

	memcpy(&value, (const char *)from + number->offset, sizeof(value));
	return value;
}

static void put_numbers(const struct number *number, const void *from)
{
	char text[SIZE_TEXT];

	for (; number->name; number++) {
		uint64_t value = number_of(from, number);

		printf("%-16s %" PRIu64, number->name, value);
		if (number->bytes && value >= 1024)
			printf(" (%s)", size_text(text, value, false));
		putchar('\n');
	}
}

/* Up to @count of them. */
static void add_numbers(struct json_object *json, const struct number *number, const void *from,
			size_t count)
{
	for (; number->name && count; number++, count--)
		json_object_object_add(json, number->name,
				       json_object_new_uint64(number_of(from, number)));
}

const char *kind_text(const struct member *member)
{
	if (!member->full)
		return "?";
	if (member->info.flags & VMO_INFO_SLICE)
		return "slice";
	if (member->info.flags & VMO_INFO_REFERENCE)
		return "reference";
	return member->info.flags & VMO_INFO_COW_CLONE ? "snapshot" : "object";
}

static struct json_object *bits_json(const struct bit *bit, uint64_t bits)
{
	struct json_object *json = json_object_new_array();

	for (; bit->name; bit++)
		if (bits & bit->bit)
			json_object_array_add(json, json_object_new_string(bit->name));
	return json;
}

static void put_bits(const struct bit *bit, uint64_t bits)
{
	for (; bit->name; bit++)
		if (bits & bit->bit)
			printf(" %s", bit->name);
	putchar('\n');
}

struct json_object *flags_json(uint64_t flags)
{
	return bits_json(info_bits, flags);
}

static size_t known_numbers(const struct member *member)
{
	if (!member->full)
		return PROC_NUMBERS;
	return member->by_netlink ? NETLINK_NUMBERS : SIZE_MAX;
}

struct json_object *member_json(const struct member *member)
{
	struct json_object *json = json_object_new_object();

	if (member->label)
		json_object_object_add(json, "label", json_text(member->label));
	json_object_object_add(json, "name", json_text(member->info.name));
	if (member->full)
		json_object_object_add(json, "kind", json_object_new_string(kind_text(member)));
	add_numbers(json, info_numbers, &member->info, known_numbers(member));
	if (member->full)
		json_object_object_add(json, "flags", flags_json(member->info.flags));
	return json;
}

struct json_object *rights_json(unsigned int rights)
{
	return bits_json(right_bits, rights);
}

static unsigned int right_of(const char *name, size_t length)
{
	const struct bit *bit;

	for (bit = right_bits; bit->name; bit++)
		if (strlen(bit->name) == length && !memcmp(bit->name, name, length))
			return bit->bit;
	return 0;
}

bool parse_rights(struct call *call, const char *text, unsigned int *rights)
{
	*rights = 0;
	if (!strcmp(text, "none"))
		return true;
	for (;;) {
		size_t length = strcspn(text, ",");
		unsigned int right = right_of(text, length);

		if (!right) {
			usage_error(call, "%.*s is no right", (int)length, text);
			fail_hint(call, "read, write, map, exec, resize, pin, child and name, with "
				  "commas between them, or none");
			return false;
		}
		*rights |= right;
		if (!text[length])
			return true;
		text += length + 1;
	}
}

char *member_title(const struct member *member)
{
	char *name = escape(member->info.name), *label, *title;

	if (!member->label)
		return name;
	label = escape(member->label);
	if (!*name || !strcmp(member->label, member->info.name)) {
		free(name);
		return label;
	}
	if (asprintf(&title, "%s \"%s\"", label, name) < 0)
		abort();
	free(label);
	free(name);
	return title;
}

enum status cmd_info(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	struct member member = { .full = true };
	struct json_object *json;

	if (!vmo)
		return call->ctl->error.status;
	if (vmo_info(vmo, &member.info, sizeof(member.info)))
		return fail(call, errno, "cannot ask what %s is", call->argv[0]);
	if (call->ctl->format != TEXT) {
		json = member_json(&member);
		json_object_object_add(json, "rights", rights_json(member.info.rights));
		answer(call, "info", json);
		return OK;
	}
	fputs("name             ", stdout);
	put_escaped(stdout, member.info.name);
	printf("\nkind             %s\n", kind_text(&member));
	put_numbers(info_numbers, &member.info);
	fputs("flags           ", stdout);
	put_bits(info_bits, member.info.flags);
	fputs("rights          ", stdout);
	put_bits(right_bits, member.info.rights);
	return OK;
}

enum status cmd_usage(struct call *call)
{
	struct vmo *vmo = object_arg(call, 0);
	uint64_t offset, length;
	struct vmo_usage usage;
	struct json_object *json;

	if (!vmo || !range_args(call, 1, vmo, &offset, &length))
		return call->ctl->error.status;
	if (vmo_usage(vmo, offset, length, &usage, sizeof(usage)))
		return fail(call, errno, "cannot ask what %s holds", call->argv[0]);
	if (call->ctl->format == TEXT) {
		put_numbers(usage_numbers, &usage);
		return OK;
	}
	json = json_object_new_object();
	add_numbers(json, usage_numbers, &usage, SIZE_MAX);
	answer(call, "usage", json);
	return OK;
}

/* ---- the module --------------------------------------------------------------------- */

static enum status ask_device(struct call *call, int (*ask)(int dev, void *to), void *to)
{
	int dev = vmo_device_open_readonly(), err;

	if (dev < 0) {
		err = errno;
		fail(call, err, "cannot open /dev/vmo");
		return fail_hint(call, "%s", vmo_device_explain(err));
	}
	err = ask(dev, to) ? errno : 0;
	close(dev);
	if (!err)
		return OK;
	fail(call, err, "cannot ask the module");
	return fail_hint(call, "%s", vmo_device_explain(err == ENOTTY ? EPROTONOSUPPORT : err));
}

static int ask_probe(int dev, void *to)
{
	return vmo_device_probe(dev, to, sizeof(struct vmo_probe));
}

static int ask_stats(int dev, void *to)
{
	return vmo_device_stats(dev, to, sizeof(struct vmo_stats));
}

enum status stats_ask(struct call *call, struct vmo_stats *stats)
{
	return ask_device(call, ask_stats, stats);
}

struct json_object *stats_json(const struct vmo_stats *stats, const struct vmo_stats *before)
{
	struct json_object *json = json_object_new_object();
	const struct number *number;

	if (!before)
		add_numbers(json, stats_numbers, stats, SIZE_MAX);
	for (number = stats_numbers; before && number->name; number++)
		json_object_object_add(json, number->name,
				       json_object_new_int64(number_of(stats, number) -
							     number_of(before, number)));
	return json;
}

enum status cmd_stats(struct call *call)
{
	struct vmo_stats stats;
	enum status status = stats_ask(call, &stats);

	if (status)
		return status;
	if (call->ctl->format == TEXT) {
		put_numbers(stats_numbers, &stats);
		return OK;
	}
	answer(call, "stats", stats_json(&stats, NULL));
	return OK;
}

enum status cmd_probe(struct call *call)
{
	struct vmo_probe probe;
	struct json_object *json;
	enum status status = ask_device(call, ask_probe, &probe);

	if (status)
		return status;
	if (call->ctl->format == TEXT) {
		printf("abi              %u\npage_size        %u\nmax_size         %" PRIu64
		       "\nfeatures        ", probe.abi, probe.page_size, (uint64_t)probe.max_size);
		put_bits(feature_bits, probe.features);
		return OK;
	}
	json = json_object_new_object();
	json_object_object_add(json, "abi", json_object_new_int64(probe.abi));
	json_object_object_add(json, "page_size", json_object_new_int64(probe.page_size));
	json_object_object_add(json, "max_size", json_object_new_uint64(probe.max_size));
	json_object_object_add(json, "features", bits_json(feature_bits, probe.features));
	answer(call, "probe", json);
	return OK;
}

/* Empty if the kernel does not say. */
static void module_version(char *text, size_t size)
{
	FILE *f = fopen("/sys/module/vmo/version", "re");

	if (!f || !fgets(text, size, f))
		*text = 0;
	text[strcspn(text, "\n")] = 0;
	if (f)
		fclose(f);
}

/* Of the module only if there is one: that is no error. */
enum status cmd_version(struct call *call)
{
	struct vmo_probe probe;
	bool loaded = !ask_device(call, ask_probe, &probe);
	struct json_object *json;
	char module[64];

	module_version(module, sizeof(module));
	if (call->ctl->format == TEXT) {
		printf("vmoctl  " VMOCTL_VERSION ", for ABI %d\n", VMO_ABI_VERSION);
		printf("libvmo  %s\n", vmo_library_version());
		if (loaded)
			printf("module  %s, ABI %u\n", *module ? module : "?", probe.abi);
		else
			printf("module  cannot be asked: %s\n", strerror(call->ctl->error.err));
		error_clear(call->ctl);
		return OK;
	}
	error_clear(call->ctl);
	json = json_object_new_object();
	json_object_object_add(json, "vmoctl", json_object_new_string(VMOCTL_VERSION));
	json_object_object_add(json, "vmoctl_abi", json_object_new_int(VMO_ABI_VERSION));
	json_object_object_add(json, "libvmo", json_object_new_string(vmo_library_version()));
	json_object_object_add(json, "module",
			       *module ? json_object_new_string(module) : NULL);
	json_object_object_add(json, "module_abi",
			       loaded ? json_object_new_int64(probe.abi) : NULL);
	answer(call, "version", json);
	return OK;
}
