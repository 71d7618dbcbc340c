// SPDX-License-Identifier: GPL-2.0
/* The generic netlink family, by libnl: who sees which objects, and what becomes of them. */
#define VMO_FIXTURE
#include "kselftest_harness.h"
#include "vmo_test_util.h"
#include "failnth_util.h"
#include <linux/vmo_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define NOBODY	65534

/* What one message says of an object. */
struct told {
	int cmd;
	uint64_t id, parent, size, content_size, flags, children, committed, exclusive;
	uint32_t kind;
	bool usage;
	char name[VMO_NAME_SIZE];
};

struct answers {
	struct told *told;
	size_t room;
	size_t count;
	int error;
	char text[128];		/* of an extended ack */
};

struct family {
	struct nl_sock *sock;
	int id;
};

static uint64_t u64_of(struct nlattr **attrs, int which)
{
	return attrs[which] ? nla_get_u64(attrs[which]) : 0;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[VMO_A_OBJECT_MAX + 1];
	struct answers *a = arg;
	struct told told = { };

	if (genlmsg_parse(nlmsg_hdr(msg), 0, attrs, VMO_A_OBJECT_MAX, NULL))
		return NL_STOP;
	told.cmd = genlmsg_hdr(nlmsg_hdr(msg))->cmd;
	told.id = u64_of(attrs, VMO_A_OBJECT_ID);
	told.parent = u64_of(attrs, VMO_A_OBJECT_PARENT_ID);
	told.size = u64_of(attrs, VMO_A_OBJECT_SIZE);
	told.content_size = u64_of(attrs, VMO_A_OBJECT_CONTENT_SIZE);
	told.flags = u64_of(attrs, VMO_A_OBJECT_FLAGS);
	told.children = u64_of(attrs, VMO_A_OBJECT_CHILDREN);
	told.committed = u64_of(attrs, VMO_A_OBJECT_COMMITTED_BYTES);
	told.exclusive = u64_of(attrs, VMO_A_OBJECT_EXCLUSIVE_BYTES);
	told.usage = attrs[VMO_A_OBJECT_COMMITTED_BYTES];
	if (attrs[VMO_A_OBJECT_KIND])
		told.kind = nla_get_u32(attrs[VMO_A_OBJECT_KIND]);
	if (attrs[VMO_A_OBJECT_NAME])
		snprintf(told.name, sizeof(told.name), "%s",
			 nla_get_string(attrs[VMO_A_OBJECT_NAME]));
	if (a->count < a->room)
		a->told[a->count] = told;
	a->count++;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct nlmsghdr *head = (struct nlmsghdr *)err - 1;
	struct answers *a = arg;
	struct nlattr *attr;

	a->error = -err->error;
	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	/* Behind the request, of which the header alone may be there. */
	attr = (struct nlattr *)((char *)(err + 1) +
				 (head->nlmsg_flags & NLM_F_CAPPED ? 0 :
				  NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg)));
	if (nla_type(attr) == NLMSGERR_ATTR_MSG)
		snprintf(a->text, sizeof(a->text), "%s", nla_get_string(attr));
	return NL_STOP;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	*(bool *)arg = true;
	return NL_STOP;
}

static bool open_family(struct family *f)
{
	int one = 1;

	f->sock = nl_socket_alloc();
	if (!f->sock || genl_connect(f->sock))
		return false;
	nl_socket_set_buffer_size(f->sock, 1 << 20, 1 << 16);
	setsockopt(nl_socket_get_fd(f->sock), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl_socket_get_fd(f->sock), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	f->id = genl_ctrl_resolve(f->sock, VMO_FAMILY_NAME);
	return f->id > 0;
}

/* The errno that a request ends with; 0 when it is done. */
static int ask(struct family *f, int flags, int attr, uint64_t value, bool usage,
	       struct answers *a)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct nl_msg *msg = nlmsg_alloc();
	bool end = false;
	int ret = 0;

	a->count = 0;
	a->error = 0;
	a->text[0] = 0;
	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, f->id, 0, flags, VMO_CMD_OBJECT_GET,
		    VMO_FAMILY_VERSION);
	if (attr == VMO_A_OBJECT_FD)
		nla_put_u32(msg, attr, value);
	else if (attr)
		nla_put_u64(msg, attr, value);
	if (usage)
		nla_put_flag(msg, VMO_A_OBJECT_USAGE);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, a);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &end);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &end);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, a);
	nl_send_auto(f->sock, msg);
	while (!end && !a->error && ret >= 0)
		ret = nl_recvmsgs(f->sock, cb);
	nlmsg_free(msg);
	nl_cb_put(cb);
	return a->error ? a->error : ret < 0 ? ECOMM : 0;
}

static int get(struct family *f, int attr, uint64_t value, struct told *told)
{
	struct answers a = { .told = told, .room = 1 };
	int err = ask(f, NLM_F_REQUEST | NLM_F_ACK, attr, value, true, &a);

	return err ? err : a.count == 1 ? 0 : ECOMM;
}

static int dump(struct family *f, struct answers *a, bool usage)
{
	return ask(f, NLM_F_REQUEST | NLM_F_DUMP, 0, 0, usage, a);
}

static const struct told *find(const struct answers *a, uint64_t id)
{
	for (size_t i = 0; i < a->count && i < a->room; i++)
		if (a->told[i].id == id)
			return a->told + i;
	return NULL;
}

/* Runs as a user without rights, in a process of its own. */
#define AS_NOBODY(_body) do {							\
	int pid_ = fork(), status_ = -1;					\
										\
	if (!pid_) {								\
		if (setgid(NOBODY) || setuid(NOBODY))				\
			_exit(100);						\
		_body;								\
		_exit(0);							\
	}									\
	EXPECT_EQ(pid_, waitpid(pid_, &status_, 0));				\
	EXPECT_EQ(0, status_) TH_LOG("step %d", status_ >> 8);			\
} while (0)
#define STEP(_nr, _cond)	do { if (!(_cond)) _exit(_nr); } while (0)

TEST_F(vmo, nl_one_object)
{
	int fd = vmo_filled(self->dev, 8, VMO_CREATE_RESIZABLE, 1), child, slice, reference;
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "a name" };
	struct vmo_info info;
	struct family f;
	struct told t;

	ASSERT_TRUE(open_family(&f));
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, VMO_NAME, &name));
	ASSERT_EQ(0, vmo_set_size(fd, 7 * PS + 5));
	child = vmo_clone_flags(fd, 4 * PS, 0);
	slice = vmo_slice(child, PS, PS, 0);
	reference = vmo_reference(fd, 0);
	info = info_of(fd);
	ASSERT_EQ(0, get(&f, VMO_A_OBJECT_FD, fd, &t));
	EXPECT_EQ(info.id, t.id);
	EXPECT_EQ(0, t.parent);
	EXPECT_EQ(VMO_KIND_ROOT, t.kind);
	EXPECT_EQ(0, strcmp("a name", t.name));
	EXPECT_EQ(8 * PS, t.size);
	EXPECT_EQ(7 * PS + 5, t.content_size);
	EXPECT_EQ(info.flags, t.flags);
	EXPECT_EQ(2, t.children);
	EXPECT_EQ(info.committed_bytes, t.committed);
	EXPECT_EQ(info.exclusive_bytes, t.exclusive);
	ASSERT_EQ(0, get(&f, VMO_A_OBJECT_ID, info_of(child).id, &t));
	EXPECT_EQ(info.id, t.parent);
	EXPECT_EQ(VMO_KIND_CLONE, t.kind);
	EXPECT_EQ(4 * PS, t.committed);
	ASSERT_EQ(0, get(&f, VMO_A_OBJECT_FD, slice, &t));
	EXPECT_EQ(VMO_KIND_SLICE, t.kind);
	EXPECT_EQ(0, t.committed);
	ASSERT_EQ(0, get(&f, VMO_A_OBJECT_FD, reference, &t));
	EXPECT_EQ(VMO_KIND_REFERENCE, t.kind);
	nl_socket_free(f.sock);
	close(slice);
	close(child);
	close(reference);
	close(fd);
}

TEST_F(vmo, nl_errors_say_why)
{
	struct answers a = { };
	struct family f;
	int fd = vmo_new_pages(self->dev, 1);

	ASSERT_TRUE(open_family(&f));
	EXPECT_EQ(ENODATA, ask(&f, NLM_F_REQUEST | NLM_F_ACK, 0, 0, false, &a));
	EXPECT_NE(NULL, strstr(a.text, "descriptor"));
	EXPECT_EQ(EBADF, ask(&f, NLM_F_REQUEST | NLM_F_ACK, VMO_A_OBJECT_FD, 9999, false, &a));
	EXPECT_NE(NULL, strstr(a.text, "no object"));
	EXPECT_EQ(EINVAL, ask(&f, NLM_F_REQUEST | NLM_F_ACK, VMO_A_OBJECT_FD, self->dev, false,
			      &a));
	EXPECT_NE(NULL, strstr(a.text, "no object"));
	EXPECT_EQ(ENOENT, ask(&f, NLM_F_REQUEST | NLM_F_ACK, VMO_A_OBJECT_ID, -1, false, &a));
	EXPECT_NE(NULL, strstr(a.text, "may be seen"));
	EXPECT_EQ(ENOENT, ask(&f, NLM_F_REQUEST | NLM_F_ACK, VMO_A_OBJECT_ID, 0, false, &a));
	/* What only an answer has. */
	EXPECT_EQ(EINVAL, ask(&f, NLM_F_REQUEST | NLM_F_ACK, VMO_A_OBJECT_SIZE, 1, false, &a));
	EXPECT_EQ(EINVAL, ask(&f, NLM_F_REQUEST | NLM_F_DUMP, VMO_A_OBJECT_ID, 1, false, &a));
	nl_socket_free(f.sock);
	close(fd);
}

#define MANY	1500

/* More than fit into a message; objects come and go meanwhile. */
TEST_F(vmo, nl_dump_of_all)
{
	struct answers a = { .told = calloc(4 * MANY, sizeof(struct told)), .room = 4 * MANY };
	struct rlimit limit = { 4096, 4096 };
	int fd = vmo_filled(self->dev, 2, 0, 1), child[MANY];
	uint64_t last = 0, sum = 0;
	struct family f;

	ASSERT_TRUE(open_family(&f));
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < MANY; i++) {
		child[i] = vmo_snap(fd);
		ASSERT_LE(0, child[i]);
	}
	for (int usage = 0; usage < 2; usage++) {
		ASSERT_EQ(0, dump(&f, &a, usage));
		EXPECT_EQ(MANY + 1, a.count);
		last = 0;
		for (size_t i = 0; i < a.count; i++) {
			EXPECT_LT(last, a.told[i].id);
			EXPECT_EQ(usage, a.told[i].usage);
			last = a.told[i].id;
			sum += a.told[i].exclusive;
		}
		for (int i = 0; i < MANY; i += 100) {
			struct vmo_info info = info_of(child[i]);
			const struct told *t = find(&a, info.id);

			ASSERT_NE(NULL, t);
			EXPECT_EQ(info.parent_id, t->parent);
		}
	}
	EXPECT_EQ(2 * PS, sum);
	for (int i = 0; i < MANY; i++)
		close(child[i]);
	ASSERT_EQ(0, dump(&f, &a, false));
	EXPECT_EQ(1, a.count);
	nl_socket_free(f.sock);
	free(a.told);
	close(fd);
}

/* Without CAP_SYS_ADMIN: what one has a descriptor of, each object once. */
TEST_F(vmo, nl_others_are_not_seen)
{
	struct answers a = { .told = calloc(64, sizeof(struct told)), .room = 64 };
	int mine = vmo_new_pages(self->dev, 1), twin = dup(mine);
	int other = vmo_new_pages(self->dev, 1);
	uint64_t id = info_of(mine).id, other_id = info_of(other).id;
	struct told t;
	struct family f;

	ASSERT_LE(0, twin);
	AS_NOBODY({
		close(other);
		STEP(1, open_family(&f));
		STEP(2, !dump(&f, &a, true) && a.count == 1 && a.told[0].id == id);
		STEP(3, get(&f, VMO_A_OBJECT_ID, other_id, &t) == ENOENT);
		STEP(4, !get(&f, VMO_A_OBJECT_ID, id, &t) && t.id == id);
		STEP(5, !get(&f, VMO_A_OBJECT_FD, mine, &t) && t.id == id);
		close(mine);
		close(twin);
		STEP(6, !dump(&f, &a, true) && a.count == 0);
		STEP(7, get(&f, VMO_A_OBJECT_ID, id, &t) == ENOENT);
	});
	/* Root of a user namespace is nobody here. */
	AS_NOBODY({
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(0);
		close(other);
		STEP(1, open_family(&f));
		STEP(2, !dump(&f, &a, false) && a.count == 1 && a.told[0].id == id);
		STEP(3, get(&f, VMO_A_OBJECT_ID, other_id, &t) == ENOENT);
	});
	close(mine);
	close(twin);
	close(other);
	free(a.told);
}

/* ---- events ---- */

static bool listen_to(struct family *f)
{
	int group;

	if (!open_family(f))
		return false;
	group = genl_ctrl_resolve_grp(f->sock, VMO_FAMILY_NAME, VMO_MCGRP_EVENTS);
	nl_socket_disable_seq_check(f->sock);
	nl_socket_set_nonblocking(f->sock);
	return group > 0 && !nl_socket_add_membership(f->sock, group);
}

/* Those that are there already. */
static void hear(struct family *f, struct answers *a)
{
	nl_socket_modify_cb(f->sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, a);
	while (nl_recvmsgs_default(f->sock) >= 0)
		;
}

/* The nth event about the object, or nothing. */
static const struct told *event(const struct answers *a, uint64_t id, int nth)
{
	static const struct told none;

	for (size_t i = 0; i < a->count && i < a->room; i++)
		if (a->told[i].id == id && !nth--)
			return a->told + i;
	return &none;
}

TEST_F(vmo, nl_events)
{
	struct answers a = { .told = calloc(64, sizeof(struct told)), .room = 64 };
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "later" };
	struct vmo_rewind rewind = { };
	uint64_t id, child_id;
	struct family f;
	int fd, child;

	ASSERT_TRUE(listen_to(&f));
	fd = vmo_new_flags(self->dev, PS, VMO_CREATE_RESIZABLE);
	child = vmo_clone_flags(fd, PS, VMO_CLONE_KEEP_BASE | VMO_CLONE_RESIZABLE);
	ASSERT_LE(0, child);
	id = info_of(fd).id;
	child_id = info_of(child).id;
	EXPECT_EQ(0, ioctl(child, VMO_NAME, &name));
	EXPECT_EQ(0, vmo_set_size(child, 3 * PS));
	EXPECT_EQ(0, ftruncate(child, 5 * PS));
	EXPECT_EQ(0, ioctl(child, VMO_REWIND, &rewind));
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(fd, VMO_REWIND, &rewind));
	close(child);
	close(fd);
	hear(&f, &a);
	EXPECT_EQ(VMO_CMD_OBJECT_CREATED_NTF, event(&a, id, 0)->cmd);
	EXPECT_EQ(VMO_CMD_OBJECT_CREATED_NTF, event(&a, child_id, 0)->cmd);
	EXPECT_EQ(VMO_KIND_CLONE, event(&a, child_id, 0)->kind);
	EXPECT_EQ(id, event(&a, child_id, 0)->parent);
	for (int i = 1; i <= 4; i++)
		EXPECT_EQ(VMO_CMD_OBJECT_CHANGED_NTF, event(&a, child_id, i)->cmd);
	EXPECT_EQ(0, strcmp("later", event(&a, child_id, 1)->name));
	EXPECT_EQ(3 * PS, event(&a, child_id, 2)->size);
	EXPECT_EQ(5 * PS, event(&a, child_id, 3)->size);
	EXPECT_EQ(PS, event(&a, child_id, 4)->size);
	EXPECT_EQ(VMO_CMD_OBJECT_CLOSED_NTF, event(&a, child_id, 5)->cmd);
	EXPECT_EQ(id, event(&a, child_id, 5)->parent);
	EXPECT_EQ(0, strcmp("later", event(&a, child_id, 5)->name));
	EXPECT_EQ(VMO_CMD_OBJECT_CHILDLESS_NTF, event(&a, id, 1)->cmd);
	EXPECT_EQ(VMO_CMD_OBJECT_CLOSED_NTF, event(&a, id, 2)->cmd);
	EXPECT_EQ(9, a.count);
	nl_socket_free(f.sock);
	free(a.told);
}

/* Events tell of all objects, so not everybody may listen, and not everywhere. */
TEST_F(vmo, nl_who_may_listen)
{
	struct answers a = { };
	int to[2], from[2], pid, status = -1;
	struct family f;
	char c = 0;

	AS_NOBODY(STEP(1, !listen_to(&f)));
	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	pid = fork();
	if (!pid) {
		bool able = !setgid(NOBODY) && !setuid(NOBODY) &&
			    !unshare(CLONE_NEWUSER | CLONE_NEWNET);

		/* It may join the group of its namespace, but nothing is said there. */
		if (able)
			listen_to(&f);
		if (write(to[1], "x", 1) != 1 || read(from[0], &c, 1) != 1)
			_exit(2);
		if (able)
			hear(&f, &a);
		_exit(a.count ? 3 : 0);
	}
	ASSERT_EQ(1, read(to[0], &c, 1));
	close(vmo_new_pages(self->dev, 1));
	ASSERT_EQ(1, write(from[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* Root in a network namespace of its own hears all. */
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWNET))
			_exit(0);
		if (!listen_to(&f))
			_exit(1);
		close(vmo_new_pages(self->dev, 1));
		hear(&f, &a);
		_exit(a.count == 2 ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Of each object that was made and closed a listener hears, or that it has missed something. */
TEST_F(vmo, nl_missed_events_are_told)
{
	struct answers a = { .told = calloc(64, sizeof(struct told)), .room = 64 };
	struct fail_nth_knobs knobs_saved = { };
	int nth = 1, idle = 0, missed = 0;
	struct family f;

	if (!fail_nth_able() || fail_nth_fd() < 0)
		SKIP(return, "this kernel cannot inject failures");
	ASSERT_TRUE(listen_to(&f));
	nl_socket_modify_cb(f.sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, &a);
	ASSERT_TRUE(fail_nth_begin(&knobs_saved));
	/* How many allocations there are varies a little, with what caches have. */
	for (; idle < 10 && nth < 500; nth++) {
		struct vmo_create create = { .size = PS };
		int err = 0, ret;

		a.count = 0;
		ASSERT_TRUE(fail_nth(nth));
		ret = ioctl(self->dev, VMO_CREATE, &create);
		idle = fail_nth_was() ? 0 : idle + 1;
		if (!ret)
			close(create.fd);
		do
			err = nl_recvmsgs_default(f.sock);
		while (!err);
		/* -NLE_AGAIN is the end of what is there; else it was ENOBUFS. */
		if (err == -NLE_AGAIN) {
			EXPECT_EQ(ret ? a.count : 2, a.count) TH_LOG("%d", nth);
			/* One that was not made to the end was heard of from both ends. */
			EXPECT_EQ(0, a.count % 2) TH_LOG("%d", nth);
		} else {
			EXPECT_EQ(-NLE_NOMEM, err) TH_LOG("%d: %s", nth, nl_geterror(err));
			missed++;
			while (!nl_recvmsgs_default(f.sock))
				;
		}
	}
	EXPECT_TRUE(fail_nth_end(&knobs_saved));
	EXPECT_EQ(10, idle);
	EXPECT_LT(0, missed);
	printf("# %d failures, %d times an event was missed\n", nth - 11, missed);
	nl_socket_free(f.sock);
	free(a.told);
}

static void *churn(void *arg)
{
	uint64_t *stop = arg;
	int dev = open("/dev/vmo", O_RDWR | O_CLOEXEC), fd = vmo_filled(dev, 4, 0, 1);

	while (!load(stop)) {
		int child = vmo_snap(fd);

		close(vmo_snap(child));
		close(child);
	}
	close(fd);
	close(dev);
	return NULL;
}

/* Dumps and listeners while objects come and go; a listener that is too slow is told. */
TEST_F(vmo, nl_while_objects_come_and_go)
{
	struct answers a = { .told = calloc(64, sizeof(struct told)), .room = 64 };
	double end = seconds() + 2;
	struct family f, slow;
	pthread_t thread[2];
	uint64_t stop = 0;
	int dumps = 0;

	ASSERT_TRUE(open_family(&f));
	ASSERT_TRUE(listen_to(&slow));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, churn, &stop));
	for (; more_rounds(dumps, 10, 100000, end); dumps++)
		EXPECT_EQ(0, dump(&f, &a, dumps % 2));
	store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	printf("# %d dumps\n", dumps);
	nl_socket_free(f.sock);
	nl_socket_free(slow.sock);
	free(a.told);
}

TEST_HARNESS_MAIN
