// SPDX-License-Identifier: GPL-2.0
/* The generic netlink family of the module: all objects that it tells of, and events. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/vmo_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "vmoctl.h"

/* ---- messages --------------------------------------------------------------------- */

/* What a message says of an object. */
struct told {
	int cmd;
	struct nlattr *attrs[VMO_A_OBJECT_MAX + 1];
	struct vmo_info info;	/* of attributes that are not there: 0 */
};

static const struct {
	int attr;
	const char *name;
	size_t offset;
} numbers[] = {
#define NUMBER(_attr, _field)	{ VMO_A_OBJECT_##_attr, #_field, offsetof(struct vmo_info, _field) }
	NUMBER(ID, id),
	NUMBER(PARENT_ID, parent_id),
	NUMBER(CHILDREN, children),
	NUMBER(SIZE, size),
	NUMBER(CONTENT_SIZE, content_size),
	NUMBER(COMMITTED_BYTES, committed_bytes),
	NUMBER(PRIVATE_BYTES, private_bytes),
	NUMBER(SHARED_BYTES, shared_bytes),
	NUMBER(SCALED_BYTES, scaled_bytes),
	NUMBER(METADATA_BYTES, metadata_bytes),
	NUMBER(EXCLUSIVE_BYTES, exclusive_bytes),
	NUMBER(PINNED_BYTES, pinned_bytes),
	NUMBER(GENERATION, generation),
	NUMBER(FLAGS, flags),
#undef NUMBER
};

#define NR_NUMBERS	(sizeof(numbers) / sizeof(numbers[0]))

/* False if it is no message of the family. */
static bool parse(struct nl_msg *msg, struct told *told)
{
	struct nla_policy policy[VMO_A_OBJECT_MAX + 1] = {
		[VMO_A_OBJECT_NAME] = { .type = NLA_NUL_STRING, .maxlen = VMO_NAME_SIZE },
		[VMO_A_OBJECT_KIND] = { .type = NLA_U32 },
	};

	memset(told, 0, sizeof(*told));
	for (size_t i = 0; i < NR_NUMBERS; i++)
		policy[numbers[i].attr].type = NLA_U64;
	if (genlmsg_parse(nlmsg_hdr(msg), 0, told->attrs, VMO_A_OBJECT_MAX, policy) ||
	    !told->attrs[VMO_A_OBJECT_ID])
		return false;
	told->cmd = genlmsg_hdr(nlmsg_hdr(msg))->cmd;
	for (size_t i = 0; i < NR_NUMBERS; i++) {
		struct nlattr *attr = told->attrs[numbers[i].attr];
		uint64_t value = attr ? nla_get_u64(attr) : 0;

		memcpy((char *)&told->info + numbers[i].offset, &value, sizeof(value));
	}
	if (told->attrs[VMO_A_OBJECT_NAME])
		nla_strlcpy(told->info.name, told->attrs[VMO_A_OBJECT_NAME], VMO_NAME_SIZE);
	return true;
}

/* ---- the family ------------------------------------------------------------------- */

/* The family's number, or -NLE_*. */
static int open_family(struct nl_sock **sock)
{
	int err;

	*sock = nl_socket_alloc();
	if (!*sock)
		return -NLE_NOMEM;
	err = genl_connect(*sock);
	return err ?: genl_ctrl_resolve(*sock, VMO_FAMILY_NAME);
}

/* ---- all objects ------------------------------------------------------------------- */

struct dump {
	void (*add)(void *arg, const struct vmo_info *info);
	void *arg;
	bool end;
};

static int on_object(struct nl_msg *msg, void *arg)
{
	struct dump *dump = arg;
	struct told told;

	if (interrupted)
		return NL_STOP;
	if (parse(msg, &told) && told.attrs[VMO_A_OBJECT_COMMITTED_BYTES])
		dump->add(dump->arg, &told.info);
	return NL_OK;
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	struct dump *dump = arg;

	dump->end = true;
	return NL_STOP;
}

static int ask_for_all(struct nl_sock *sock, int family)
{
	struct nl_msg *msg = nlmsg_alloc();
	int err = -NLE_NOMEM;

	if (!msg)
		return err;
	if (genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_DUMP, VMO_CMD_OBJECT_GET,
			VMO_FAMILY_VERSION) && !nla_put_flag(msg, VMO_A_OBJECT_USAGE))
		err = nl_send_auto(sock, msg);
	nlmsg_free(msg);
	return err;
}

void netlink_objects(void (*add)(void *arg, const struct vmo_info *info), void *arg)
{
	struct dump dump = { .add = add, .arg = arg };
	struct nl_sock *sock;
	int family = open_family(&sock);

	if (family > 0) {
		nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_object, &dump);
		nl_socket_modify_cb(sock, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, &dump);
		dump.end = ask_for_all(sock, family) < 0;
		while (!dump.end && !interrupted && nl_recvmsgs_default(sock) >= 0)
			;
	}
	nl_socket_free(sock);
}

/* ---- events ------------------------------------------------------------------------ */

/* Received and not read: what comes meanwhile is lost. */
#define BUFFER	(1 << 20)

struct watch {
	struct call *call;
	struct nl_sock *sock;
	uint64_t id;		/* 0: of all objects */
	uint64_t left;		/* events to print */
};

static const char * const events[] = {
	[VMO_CMD_OBJECT_CREATED_NTF] = "created",
	[VMO_CMD_OBJECT_CLOSED_NTF] = "closed",
	[VMO_CMD_OBJECT_CHILDLESS_NTF] = "childless",
	[VMO_CMD_OBJECT_CHANGED_NTF] = "changed",
};

/* NULL: it is none, or one that came later than this program. */
static const char *event_of(const struct told *told)
{
	return (size_t)told->cmd < sizeof(events) / sizeof(events[0]) ? events[told->cmd] : NULL;
}

/* The same as for those that are listed. */
static const char *kind_of(const struct told *told)
{
	struct member member = { .info = told->info, .full = told->attrs[VMO_A_OBJECT_FLAGS] };

	return kind_text(&member);
}

/* The time of the day, or for JSON all of it. */
static void put_time(char text[64], bool json)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	if (json)
		gmtime_r(&now.tv_sec, &tm);
	else
		localtime_r(&now.tv_sec, &tm);
	n = strftime(text, 40, json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &tm);
	snprintf(text + n, 64 - n, ".%06ld%s", now.tv_nsec / 1000, json ? "Z" : "");
}

static struct json_object *event_json(const char *event)
{
	struct json_object *json = json_object_new_object();
	char now[64];

	put_time(now, true);
	json_object_object_add(json, "time", json_object_new_string(now));
	json_object_object_add(json, "event", json_object_new_string(event));
	return json;
}

static void put_event_json(const struct watch *watch, const struct told *told)
{
	struct json_object *json = event_json(event_of(told));

	for (size_t i = 0; i < NR_NUMBERS; i++) {
		uint64_t value;

		if (!told->attrs[numbers[i].attr] || numbers[i].attr == VMO_A_OBJECT_FLAGS)
			continue;
		memcpy(&value, (char *)&told->info + numbers[i].offset, sizeof(value));
		json_object_object_add(json, numbers[i].name, json_object_new_uint64(value));
	}
	if (told->attrs[VMO_A_OBJECT_FLAGS]) {
		json_object_object_add(json, "kind", json_object_new_string(kind_of(told)));
		json_object_object_add(json, "flags", flags_json(told->info.flags));
	}
	if (told->attrs[VMO_A_OBJECT_NAME])
		json_object_object_add(json, "name", json_text(told->info.name));
	answer(watch->call, "watch", json);
}

static void put_event_text(const struct told *told)
{
	const struct vmo_info *info = &told->info;
	char text[64];

	put_time(text, false);
	printf("%s %-9s %6" PRIu64, text, event_of(told), (uint64_t)info->id);
	if (told->attrs[VMO_A_OBJECT_FLAGS])
		printf("  %-9s", kind_of(told));
	if (told->attrs[VMO_A_OBJECT_CONTENT_SIZE])
		printf(" %8s", size_text(text, info->content_size, false));
	if (info->parent_id)
		printf("  of %" PRIu64, (uint64_t)info->parent_id);
	if (*info->name) {
		fputs("  \"", stdout);
		put_escaped(stdout, info->name);
		putchar('"');
	}
	putchar('\n');
}

static int on_event(struct nl_msg *msg, void *arg)
{
	struct watch *watch = arg;
	struct told told;

	if (!parse(msg, &told) || !event_of(&told) || (watch->id && told.info.id != watch->id))
		return NL_OK;
	if (watch->call->ctl->format == TEXT)
		put_event_text(&told);
	else
		put_event_json(watch, &told);
	watch->left--;
	return watch->left && live_flush() ? NL_OK : NL_STOP;
}

static void put_lost(const struct watch *watch)
{
	char now[64];

	if (watch->call->ctl->format != TEXT) {
		answer(watch->call, "watch", event_json("lost"));
		return;
	}
	put_time(now, false);
	printf("%s events were lost\n", now);
}

static enum status cannot_listen(struct call *call, int err)
{
	switch (-err) {
	case NLE_OBJ_NOTFOUND:
		fail(call, ENODEV, "there is no netlink family " VMO_FAMILY_NAME);
		return fail_hint(call, "%s", vmo_device_explain(ENODEV));
	case NLE_PERM:
	case NLE_NOACCESS:
		fail(call, EPERM, "cannot listen to events");
		return fail_hint(call, "they tell of all objects: be root, or have CAP_SYS_ADMIN");
	}
	return fail(call, 0, "cannot listen to events: %s", nl_geterror(err));
}

/* 0, or -NLE_*. */
static int listen_to(struct watch *watch)
{
	int group = open_family(&watch->sock), room = BUFFER;

	if (group > 0)
		group = genl_ctrl_resolve_grp(watch->sock, VMO_FAMILY_NAME, VMO_MCGRP_EVENTS);
	if (group < 0)
		return group;
	/* More than the limit, for who may; else as much as there may be. */
	if (setsockopt(nl_socket_get_fd(watch->sock), SOL_SOCKET, SO_RCVBUFFORCE, &room,
		       sizeof(room)))
		nl_socket_set_buffer_size(watch->sock, room, 0);
	nl_socket_disable_seq_check(watch->sock);
	nl_socket_modify_cb(watch->sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, watch);
	return nl_socket_set_nonblocking(watch->sock) ?:
	       nl_socket_add_membership(watch->sock, group);
}

/* Until somebody ends it. */
static enum status hear(struct watch *watch)
{
	int fd = nl_socket_get_fd(watch->sock), err = 0;

	while (watch->left && !ferror(stdout)) {
		if (err == -NLE_AGAIN && !live_wait(fd, NULL))
			break;
		err = nl_recvmsgs_default(watch->sock);
		if (err == -NLE_NOMEM)
			put_lost(watch);
		else if (err < 0 && err != -NLE_AGAIN)
			return cannot_listen(watch->call, err);
		if (!live_flush())
			break;
	}
	return OK;
}

enum status cmd_watch(struct call *call)
{
	struct watch watch = { .call = call, .left = UINT64_MAX };
	enum status status;
	int err;

	if (call->count && (parse_size(call->count, &watch.left) || !watch.left))
		return usage_error(call, "--count needs a number, from 1 on");
	if (call->argc && (parse_size(call->argv[0], &watch.id) || !watch.id))
		return usage_error(call, "%s is no id: \"list\" shows them", call->argv[0]);
	live_begin(call);
	err = listen_to(&watch);
	status = err ? cannot_listen(call, err) : hear(&watch);
	nl_socket_free(watch.sock);
	return status;
}
