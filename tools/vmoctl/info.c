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
	{ 0 }
};

/* Numbers of struct vmo_info; those that /proc tells, too, come first. */
static const struct {
	const char *name;
	size_t offset;
	bool bytes;
} numbers[] = {
#define NUMBER(_field, _bytes)	{ #_field, offsetof(struct vmo_info, _field), _bytes }
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
	NUMBER(pinned_bytes, true),
};

#define PROC_NUMBERS	4
#define ALL_NUMBERS	(sizeof(numbers) / sizeof(numbers[0]))

static uint64_t number_of(const struct vmo_info *info, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)info + numbers[i].offset, sizeof(value));
	return value;
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

struct json_object *member_json(const struct member *member)
{
	size_t count = member->full ? ALL_NUMBERS : PROC_NUMBERS;
	struct json_object *json = json_object_new_object();

	if (member->label)
		json_object_object_add(json, "label", json_text(member->label));
	json_object_object_add(json, "name", json_text(member->info.name));
	if (member->full)
		json_object_object_add(json, "kind", json_object_new_string(kind_text(member)));
	for (size_t i = 0; i < count; i++)
		json_object_object_add(json, numbers[i].name,
				       json_object_new_uint64(number_of(&member->info, i)));
	if (member->full)
		json_object_object_add(json, "flags", bits_json(info_bits, member->info.flags));
	return json;
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
	char text[SIZE_TEXT];

	if (!vmo)
		return call->ctl->error.status;
	if (vmo_info(vmo, &member.info, sizeof(member.info)))
		return fail(call, errno, "cannot ask what %s is", call->argv[0]);
	if (call->ctl->format != TEXT) {
		answer(call, "info", member_json(&member));
		return OK;
	}
	fputs("name             ", stdout);
	put_escaped(stdout, member.info.name);
	printf("\nkind             %s\n", kind_text(&member));
	for (size_t i = 0; i < ALL_NUMBERS; i++) {
		uint64_t value = number_of(&member.info, i);

		printf("%-16s %" PRIu64, numbers[i].name, value);
		if (numbers[i].bytes && value >= 1024)
			printf(" (%s)", size_text(text, value, false));
		putchar('\n');
	}
	fputs("flags           ", stdout);
	put_bits(info_bits, member.info.flags);
	return OK;
}

/* ---- the module --------------------------------------------------------------------- */

static enum status ask_module(struct call *call, struct vmo_probe *probe)
{
	int dev = vmo_device_open_readonly(), err;

	if (dev < 0) {
		err = errno;
		fail(call, err, "cannot open /dev/vmo");
		return fail_hint(call, "%s", vmo_device_explain(err));
	}
	err = vmo_device_probe(dev, probe, sizeof(*probe)) ? errno : 0;
	close(dev);
	if (!err)
		return OK;
	fail(call, err, "cannot probe the module");
	return fail_hint(call, "%s", vmo_device_explain(err == ENOTTY ? EPROTONOSUPPORT : err));
}

enum status cmd_probe(struct call *call)
{
	struct vmo_probe probe;
	struct json_object *json;
	enum status status = ask_module(call, &probe);

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
	bool loaded = !ask_module(call, &probe);
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
