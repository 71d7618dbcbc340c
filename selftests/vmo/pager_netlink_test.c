// SPDX-License-Identifier: GPL-2.0
/*
 * Pagers over generic netlink, by libnl. What a request, an answer and an end mean is in
 * pager_test, for both ways have one queue and one set of commands.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"
#include "kselftest_harness.h"
#include "pager_util.h"
#include <linux/vmo_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#define PAGES	64UL
#define BASE	7000UL
#define ROOM	16

/* A socket, and what it was told. */
struct lane {
	struct nl_sock *sock;
	int family;
	int error;
	bool explained;
	uint64_t id;			/* of the last bind */
	unsigned int ready;		/* notices */
	unsigned int seen;		/* of these, by is_ready() */
	uint64_t ready_id;
	struct vmo_pager_request request[ROOM];
	unsigned int requests;
	unsigned int handed;		/* of a dump */
	struct vmo_page_run run[ROOM];
	unsigned int runs;
	struct vmo_pager_stats stats[ROOM];
	uint64_t key[ROOM];
	unsigned int stated;
	unsigned int overtimes;		/* events */
	uint32_t waited_ms;
	bool end;
};

static void note_request(struct lane *l, struct nlattr *nest)
{
	struct nlattr *a[VMO_A_REQUEST_MAX + 1];

	if (l->requests == ROOM || nla_parse_nested(a, VMO_A_REQUEST_MAX, nest, NULL))
		return;
	l->request[l->requests++] = (struct vmo_pager_request){
		.id = nla_get_u64(a[VMO_A_REQUEST_ID]),
		.key = nla_get_u64(a[VMO_A_REQUEST_KEY]),
		.offset = nla_get_u64(a[VMO_A_REQUEST_OFFSET]),
		.length = nla_get_u64(a[VMO_A_REQUEST_LENGTH]),
		.type = nla_get_u32(a[VMO_A_REQUEST_TYPE]),
	};
}

static void note_dump(struct lane *l, int cmd, struct nlattr **a)
{
	unsigned int n = cmd == VMO_CMD_PAGER_STATS ? l->stated : l->runs;

	if (n == ROOM)
		return;
	switch (cmd) {
	case VMO_CMD_PAGER_PENDING:
		l->handed += !!a[VMO_A_PAGER_HANDED];
		break;
	case VMO_CMD_PAGER_DIRTY_RANGES:
		l->run[l->runs++] = (struct vmo_page_run){
			.offset = nla_get_u64(a[VMO_A_PAGER_OFFSET]),
			.length = nla_get_u64(a[VMO_A_PAGER_LENGTH]),
			.state = a[VMO_A_PAGER_ZEROES] ? VMO_DIRTY_ZERO : 0,
		};
		break;
	case VMO_CMD_PAGER_STATS:
		l->key[n] = nla_get_u64(a[VMO_A_PAGER_KEY]);
		l->stats[l->stated++] = (struct vmo_pager_stats){
			.waiting = nla_get_u32(a[VMO_A_PAGER_WAITING]),
			.handed = nla_get_u32(a[VMO_A_PAGER_NR_HANDED]),
			.modified = !!a[VMO_A_PAGER_MODIFIED],
		};
		break;
	case VMO_CMD_PAGER_OVERTIME_NTF:
		l->overtimes++;
		l->waited_ms = nla_get_u32(a[VMO_A_PAGER_WAITED_MS]);
	}
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct nlattr *all[VMO_A_PAGER_MAX + 1];
	struct genlmsghdr *head = genlmsg_hdr(nlmsg_hdr(msg));
	struct nlattr *attr, *id;
	struct lane *l = arg;
	int left;

	id = nlmsg_find_attr(nlmsg_hdr(msg), GENL_HDRLEN, VMO_A_PAGER_ID);
	if (head->cmd == VMO_CMD_PAGER_READY_NTF) {
		l->ready++;
		l->ready_id = id ? nla_get_u64(id) : 0;
	}
	if (head->cmd == VMO_CMD_PAGER_BIND || head->cmd == VMO_CMD_PAGER_OVERTIME_NTF)
		l->id = id ? nla_get_u64(id) : 0;
	if (!genlmsg_parse(nlmsg_hdr(msg), 0, all, VMO_A_PAGER_MAX, NULL))
		note_dump(l, head->cmd, all);
	if (head->cmd == VMO_CMD_PAGER_NEXT || head->cmd == VMO_CMD_PAGER_PENDING ||
	    head->cmd == VMO_CMD_PAGER_OVERTIME_NTF)
		nlmsg_for_each_attr(attr, nlmsg_hdr(msg), GENL_HDRLEN, left)
			if (nla_type(attr) == VMO_A_PAGER_REQUEST)
				note_request(l, attr);
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct nlmsghdr *head = (struct nlmsghdr *)err - 1;
	struct lane *l = arg;

	l->error = -err->error;
	l->explained = head->nlmsg_flags & NLM_F_ACK_TLVS;
	l->end = true;
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	((struct lane *)arg)->end = true;
	return NL_STOP;
}

static bool lane_open(struct lane *l)
{
	int one = 1;

	memset(l, 0, sizeof(*l));
	l->sock = nl_socket_alloc();
	if (!l->sock || genl_connect(l->sock))
		return false;
	setsockopt(nl_socket_get_fd(l->sock), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	l->family = genl_ctrl_resolve(l->sock, VMO_FAMILY_NAME);
	nl_socket_disable_seq_check(l->sock);
	nl_socket_modify_cb(l->sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, l);
	nl_socket_modify_cb(l->sock, NL_CB_ACK, NL_CB_CUSTOM, on_ack, l);
	nl_socket_modify_cb(l->sock, NL_CB_FINISH, NL_CB_CUSTOM, on_ack, l);
	nl_socket_modify_err_cb(l->sock, NL_CB_CUSTOM, on_error, l);
	return l->family > 0;
}

static void lane_close(struct lane *l)
{
	nl_socket_free(l->sock);
}

/* Attributes, each with its value; 0 ends them. What is told is in the lane. An errno. */
static int ask_with(struct lane *l, int cmd, int flags, const uint64_t *attrs)
{
	struct nl_msg *msg = nlmsg_alloc();

	l->error = 0;
	l->explained = false;
	l->requests = 0;
	l->handed = 0;
	l->runs = 0;
	l->stated = 0;
	l->end = false;
	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, l->family, 0, flags, cmd,
		    VMO_FAMILY_VERSION);
	for (; attrs[0]; attrs += 2) {
		switch (attrs[0]) {
		case VMO_A_PAGER_OFFSET:
		case VMO_A_PAGER_LENGTH:
		case VMO_A_PAGER_SOURCE_OFFSET:
		case VMO_A_PAGER_ID:
			nla_put_u64(msg, attrs[0], attrs[1]);
			break;
		case VMO_A_PAGER_ZEROES:
			nla_put_flag(msg, attrs[0]);
			break;
		default:
			nla_put_u32(msg, attrs[0], attrs[1]);
		}
	}
	nl_send_auto(l->sock, msg);
	nlmsg_free(msg);
	while (!l->end)
		if (nl_recvmsgs_default(l->sock) < 0 && !l->end) {
			l->error = ECOMM;
			break;
		}
	return l->error;
}

#define ASK(_l, _cmd, ...)							\
	ask_with(_l, VMO_CMD_PAGER_ ## _cmd, NLM_F_ACK, (uint64_t[]){ __VA_ARGS__, 0 })
#define DUMP(_l, _cmd, ...)							\
	ask_with(_l, VMO_CMD_PAGER_ ## _cmd, NLM_F_DUMP, (uint64_t[]){ __VA_ARGS__, 0 })
#define FD	VMO_A_PAGER_FD
#define RANGE(_fd, _page, _pages)						\
	VMO_A_PAGER_VMO, (_fd), VMO_A_PAGER_OFFSET, (_page) * PS, VMO_A_PAGER_LENGTH, \
	(_pages) * PS
#define SOURCE(_fd, _page)							\
	VMO_A_PAGER_SOURCE, (_fd), VMO_A_PAGER_SOURCE_OFFSET, (_page) * PS

/* Waits for a notice, which may have come with an answer; false if none comes. */
static bool is_ready(struct lane *l, int ms)
{
	struct pollfd pfd = { .fd = nl_socket_get_fd(l->sock), .events = POLLIN };

	while (l->ready == l->seen) {
		if (poll(&pfd, 1, ms) != 1)
			return false;
		nl_recvmsgs_default(l->sock);
	}
	l->seen = l->ready;
	return true;
}

/* Pager, object, and one to supply from. */
struct scene {
	int pager;
	int fd;
	int aux;
	struct lane lane;
};

static bool set_scene(struct scene *s, int dev)
{
	s->pager = pager_new(dev);
	s->fd = paged_new(dev, s->pager, PAGES, 0);
	s->aux = vmo_filled(dev, PAGES, 0, BASE);
	return s->fd >= 0 && s->aux >= 0 && lane_open(&s->lane);
}

TEST_F(vmo, p2_by_netlink)
{
	struct client c = { .page = 3, .pages = 4 }, m = { .page = 40 };
	struct vmo_page_run runs[16];
	struct scene s;
	struct lane *l = &s.lane;

	ASSERT_TRUE(set_scene(&s, self->dev));
	ASSERT_EQ(0, ASK(l, BIND, FD, s.pager));
	EXPECT_NE(0, l->id);
	EXPECT_FALSE(is_ready(l, 200));
	EXPECT_EQ(0, ASK(l, NEXT, FD, s.pager));
	EXPECT_EQ(0, l->requests);
	c.fd = s.fd;
	client_start(&c);
	ASSERT_TRUE(is_ready(l, 20000));
	EXPECT_EQ(l->id, l->ready_id);
	m.map = vmo_map(s.fd, PAGES, RO);
	client_start(&m);
	EXPECT_FALSE(is_ready(l, 300));		/* it was told so */
	EXPECT_EQ(0, ASK(l, NEXT, FD, s.pager, VMO_A_PAGER_ROOM, 1));
	ASSERT_EQ(1, l->requests);
	EXPECT_TRUE(is_request(&l->request[0], 3, 4));
	EXPECT_EQ(0, ASK(l, NEXT, FD, s.pager));
	ASSERT_EQ(1, l->requests);
	EXPECT_TRUE(is_request(&l->request[0], 40, 8));
	EXPECT_EQ(0, ASK(l, SUPPLY, FD, s.pager, RANGE(s.fd, 3, 4), SOURCE(s.aux, 3)));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(4 * PS, c.result);
	EXPECT_TRUE(word_is(c.word, BASE + 3));
	EXPECT_EQ(0, ASK(l, FAIL, FD, s.pager, RANGE(s.fd, 40, 1), VMO_A_PAGER_ERROR, EIO));
	ASSERT_TRUE(client_ends(&m, 20));
	EXPECT_EQ(SIGBUS, m.result);

	ASSERT_EQ(0, write_page(s.fd, 4, 1));
	ASSERT_EQ(0, vmo_op(s.fd, VMO_OP_ZERO, 5 * PS, PS));
	EXPECT_EQ(0, ASK(l, WRITEBACK_BEGIN, FD, s.pager, RANGE(s.fd, 0, PAGES),
			 VMO_A_PAGER_ZEROES, 1));
	EXPECT_EQ(0, ASK(l, WRITEBACK_END, FD, s.pager, RANGE(s.fd, 0, PAGES)));
	ASSERT_EQ(1, pager_dirty(s.pager, s.fd, runs));
	EXPECT_TRUE(run_is(&runs[0], 4, 1, 0));
	EXPECT_EQ(0, ASK(l, WRITEBACK_BEGIN, FD, s.pager, RANGE(s.fd, 0, PAGES)));
	EXPECT_EQ(0, ASK(l, WRITEBACK_END, FD, s.pager, RANGE(s.fd, 0, PAGES)));
	EXPECT_EQ(0, pager_dirty(s.pager, s.fd, runs));

	EXPECT_EQ(0, ASK(l, DETACH, FD, s.pager, VMO_A_PAGER_VMO, s.fd));
	ASSERT_TRUE(is_ready(l, 20000));
	EXPECT_EQ(0, ASK(l, NEXT, FD, s.pager));
	ASSERT_EQ(1, l->requests);
	EXPECT_EQ(VMO_REQUEST_COMPLETE, l->request[0].type);
	close(s.pager);
	EXPECT_TRUE(is_ready(l, 20000));
	EXPECT_EQ(EBADF, ASK(l, NEXT, FD, s.pager));
	lane_close(l);
}

/* P31, and fsync(), by this way; dumps of what there is to do. */
TEST_F(vmo, p31_p44_p45_dirty_and_dumps)
{
	struct client c = { .page = 3, .pages = 4 }, d = { .page = 20, .pages = 1 };
	struct scene s;
	struct lane *l = &s.lane;
	int other, status;
	pid_t pid;

	ASSERT_TRUE(set_scene(&s, self->dev));
	close(s.fd);
	s.fd = paged_new(self->dev, s.pager, PAGES, VMO_CREATE_TRAP_DIRTY);
	ASSERT_EQ(0, ASK(l, BIND, FD, s.pager));
	c.fd = s.fd;
	d.fd = s.fd;
	client_start(&c);
	ASSERT_TRUE(is_ready(l, 20000));
	while (!ASK(l, NEXT, FD, s.pager, VMO_A_PAGER_ROOM, 1) && l->request[0].type != 1)
		;	/* COMPLETE of the first */
	client_start(&d);
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, DUMP(l, PENDING, FD, s.pager));
		if (l->requests == 2)
			break;
		usleep(10000);
	}
	ASSERT_EQ(2, l->requests);
	EXPECT_EQ(1, l->handed);
	EXPECT_TRUE(is_request(&l->request[0], 3, 4));
	EXPECT_TRUE(is_request(&l->request[1], 20, 1));
	other = paged_new(self->dev, s.pager, 1, 0);
	EXPECT_EQ(0, DUMP(l, STATS, FD, s.pager));
	ASSERT_EQ(2, l->stated);
	EXPECT_EQ(KEY, l->key[0]);
	EXPECT_EQ(1, l->stats[0].waiting);
	EXPECT_EQ(1, l->stats[0].handed);
	EXPECT_EQ(0, l->stats[0].modified + l->stats[1].modified + l->stats[1].waiting);
	EXPECT_EQ(0, ASK(l, SUPPLY, FD, s.pager, RANGE(s.fd, 0, PAGES), SOURCE(s.aux, 0)));
	ASSERT_TRUE(client_ends(&c, 20));
	ASSERT_TRUE(client_ends(&d, 20));
	EXPECT_EQ(0, DUMP(l, PENDING, FD, s.pager));
	EXPECT_EQ(0, l->requests);

	pid = fork();
	if (!pid)
		_exit(write_page(s.fd, 5, 1) || vmo_op(s.fd, VMO_OP_ZERO, 6 * PS, 9 * PS) ||
		      fsync(s.fd));
	while (is_ready(l, 0))
		;
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, ASK(l, NEXT, FD, s.pager, VMO_A_PAGER_ROOM, 1));
		if (l->requests)
			break;
		usleep(10000);
	}
	EXPECT_EQ(VMO_REQUEST_DIRTY, l->request[0].type);
	EXPECT_EQ(5 * PS, l->request[0].offset);
	EXPECT_EQ(0, ASK(l, DIRTY, FD, s.pager, RANGE(s.fd, 5, 1)));
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, ASK(l, NEXT, FD, s.pager, VMO_A_PAGER_ROOM, 1));
		if (l->requests)
			break;
		usleep(10000);
	}
	EXPECT_EQ(VMO_REQUEST_SYNC, l->request[0].type);
	EXPECT_EQ(0, DUMP(l, DIRTY_RANGES, FD, s.pager, VMO_A_PAGER_VMO, s.fd));
	ASSERT_EQ(2, l->runs);
	EXPECT_TRUE(run_is(&l->run[0], 5, 1, 0));
	EXPECT_TRUE(run_is(&l->run[1], 6, 9, VMO_DIRTY_ZERO));
	EXPECT_EQ(0, DUMP(l, STATS, FD, s.pager));
	EXPECT_EQ(1, l->stats[0].modified);
	EXPECT_EQ(0, ASK(l, WRITEBACK_BEGIN, FD, s.pager, RANGE(s.fd, 0, PAGES)));
	EXPECT_EQ(0, ASK(l, WRITEBACK_END, FD, s.pager, RANGE(s.fd, 0, PAGES)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, DUMP(l, DIRTY_RANGES, FD, s.pager, VMO_A_PAGER_VMO, s.fd));
	EXPECT_EQ(0, l->runs);
	/* More than one message has room for. */
	for (uint64_t i = 0; i < PAGES; i += 2) {
		ASSERT_EQ(0, pager_may_dirty(s.pager, s.fd, i, 1));
	}
	EXPECT_EQ(0, DUMP(l, DIRTY_RANGES, FD, s.pager, VMO_A_PAGER_VMO, s.fd));
	EXPECT_EQ(ROOM, l->runs);

	EXPECT_EQ(ENODATA, DUMP(l, PENDING, 0));
	EXPECT_EQ(EBADF, DUMP(l, STATS, FD, 999));
	EXPECT_EQ(EINVAL, DUMP(l, STATS, FD, s.fd));
	EXPECT_EQ(ENODATA, DUMP(l, DIRTY_RANGES, FD, s.pager));
	EXPECT_EQ(EINVAL, DUMP(l, DIRTY_RANGES, FD, s.pager, VMO_A_PAGER_VMO, s.aux));
	EXPECT_EQ(EBADF, DUMP(l, DIRTY_RANGES, FD, s.pager, VMO_A_PAGER_VMO, 999));
	EXPECT_EQ(ENODATA, ASK(l, DIRTY, FD, s.pager));
	EXPECT_EQ(EOPNOTSUPP, ASK(l, DIRTY, FD, s.pager, RANGE(other, 0, 1)));
	EXPECT_TRUE(l->explained);
	lane_close(l);
}

/* P16: whoever listens is told of requests that take too long. */
TEST_F(vmo, p16_overtime_event)
{
	struct vmo_pager_create create = {
		.flags = VMO_PAGER_LIMITS, .fd = -1, .rebind_ms = 60000, .report_ms = 100,
		.timeout_ms = 350, .window = PS,
	};
	struct client c = { .page = 3, .pages = 1 };
	int binding, group;
	struct lane l;

	ASSERT_EQ(0, ioctl(self->dev, VMO_PAGER_CREATE, &create));
	ASSERT_TRUE(lane_open(&l));
	group = genl_ctrl_resolve_grp(l.sock, VMO_FAMILY_NAME, VMO_MCGRP_EVENTS);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, nl_socket_add_membership(l.sock, group));
	binding = pager_bind(create.fd);
	c.fd = paged_new(self->dev, create.fd, PAGES, 0);
	client_start(&c);
	for (int i = 0; i < 100 && l.overtimes < 3; i++)
		nl_recvmsgs_default(l.sock);
	EXPECT_EQ(3, l.overtimes);
	EXPECT_EQ(300, l.waited_ms);
	EXPECT_EQ(3 * PS, l.request[0].offset);
	EXPECT_EQ(KEY, l.request[0].key);
	EXPECT_EQ(VMO_REQUEST_READ, l.request[0].type);
	EXPECT_NE(0, l.id);
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(ETIMEDOUT, c.error);
	close(binding);
	close(create.fd);
	lane_close(&l);
}

/* P47, and an explanation of each refusal. */
TEST_F(vmo, nl_pager_refusals)
{
	struct lane other;
	struct scene s;
	struct lane *l = &s.lane;
	int binding;

	ASSERT_TRUE(set_scene(&s, self->dev));
	ASSERT_TRUE(lane_open(&other));
	EXPECT_EQ(ENODATA, ASK(l, BIND, 0));
	EXPECT_TRUE(l->explained);
	EXPECT_EQ(EBADF, ASK(l, BIND, FD, 999));
	EXPECT_EQ(EINVAL, ASK(l, BIND, FD, s.fd));
	EXPECT_TRUE(l->explained);
	EXPECT_EQ(EBADFD, ASK(l, NEXT, FD, s.pager));
	EXPECT_TRUE(l->explained);
	binding = pager_bind(s.pager);
	ASSERT_LE(0, binding);
	EXPECT_EQ(EBUSY, ASK(l, BIND, FD, s.pager));
	EXPECT_TRUE(l->explained);
	close(binding);
	ASSERT_EQ(0, ASK(l, BIND, FD, s.pager));
	EXPECT_ERRNO(EBUSY, pager_bind(s.pager));
	EXPECT_EQ(EBUSY, ASK(&other, BIND, FD, s.pager));
	EXPECT_EQ(EBADFD, ASK(&other, NEXT, FD, s.pager));
	/* Whoever has the pager may answer, bound or not. */
	EXPECT_EQ(0, ASK(&other, SUPPLY, FD, s.pager, RANGE(s.fd, 0, 1), SOURCE(s.aux, 0)));
	EXPECT_EQ(-1, wrong_page_fd(s.fd, 0, 1, BASE));
	EXPECT_EQ(ENODATA, ASK(l, SUPPLY, FD, s.pager, RANGE(s.fd, 0, 1)));
	EXPECT_EQ(ENODATA, ASK(l, FAIL, FD, s.pager, RANGE(s.fd, 0, 1)));
	EXPECT_EQ(ENODATA, ASK(l, DETACH, FD, s.pager));
	EXPECT_EQ(ENODATA, ASK(l, WRITEBACK_END, FD, s.pager));
	EXPECT_EQ(ENODATA, ASK(l, SUPPLY, RANGE(s.fd, 0, 1), SOURCE(s.aux, 0)));
	EXPECT_TRUE(l->explained);
	EXPECT_EQ(EINVAL, ASK(l, SUPPLY, FD, s.pager, RANGE(s.aux, 0, 1), SOURCE(s.aux, 0)));
	EXPECT_EQ(ERANGE, ASK(l, SUPPLY, FD, s.pager, RANGE(s.fd, PAGES, 1), SOURCE(s.aux, 0)));
	EXPECT_EQ(EINVAL, ASK(l, FAIL, FD, s.pager, RANGE(s.fd, 0, 1), VMO_A_PAGER_ERROR, EPERM));
	EXPECT_TRUE(l->explained);
	/* An attribute of another operation. */
	EXPECT_EQ(EINVAL, ASK(l, DETACH, FD, s.pager, VMO_A_PAGER_VMO, s.fd,
			      VMO_A_PAGER_ERROR, EIO));
	EXPECT_EQ(0, ASK(l, NEXT, FD, s.pager, VMO_A_PAGER_ROOM, 0));
	lane_close(&other);
	lane_close(l);
	close(s.fd);
	close(s.pager);
}

/* The socket goes: what it was told goes to the next server, of either kind. */
TEST_F(vmo, p52_socket_closed)
{
	struct client c = { .page = 3, .pages = 4 };
	struct vmo_pager_request request;
	struct scene s;
	struct lane again;
	int binding;

	ASSERT_TRUE(set_scene(&s, self->dev));
	ASSERT_EQ(0, ASK(&s.lane, BIND, FD, s.pager));
	c.fd = s.fd;
	client_start(&c);
	ASSERT_TRUE(is_ready(&s.lane, 20000));
	EXPECT_EQ(0, ASK(&s.lane, NEXT, FD, s.pager));
	ASSERT_EQ(1, s.lane.requests);
	lane_close(&s.lane);
	binding = pager_bind(s.pager);
	ASSERT_LE(0, binding);
	request = next_request(binding);
	EXPECT_EQ(0, memcmp(&request, &s.lane.request[0], sizeof(request)));
	close(binding);
	ASSERT_TRUE(lane_open(&again));
	ASSERT_EQ(0, ASK(&again, BIND, FD, s.pager));
	ASSERT_TRUE(is_ready(&again, 20000));	/* of what was there before */
	EXPECT_EQ(0, ASK(&again, NEXT, FD, s.pager));
	ASSERT_EQ(1, again.requests);
	EXPECT_EQ(request.id, again.request[0].id);
	EXPECT_EQ(0, ASK(&again, SUPPLY, FD, s.pager, RANGE(s.fd, 0, PAGES), SOURCE(s.aux, 0)));
	ASSERT_TRUE(client_ends(&c, 20));
	EXPECT_EQ(4 * PS, c.result);
	lane_close(&again);
}

/* A server in a process of its own, killed again and again: nobody misses anything. */
TEST_F(vmo, p52_killed_servers_by_netlink)
{
	struct client c[32];
	struct scene s;
	unsigned int i, done, kills = 0;
	struct lane l;
	pid_t pid;

	ASSERT_TRUE(set_scene(&s, self->dev));
	lane_close(&s.lane);
	memset(c, 0, sizeof(c));
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i].fd = s.fd;
		c[i].page = 2 * i;
		c[i].pages = 1;
		client_start(&c[i]);
	}
	do {
		pid = fork();
		if (!pid) {
			if (!lane_open(&l) || ASK(&l, BIND, FD, s.pager))
				_exit(1);
			while (is_ready(&l, -1)) {
				do {
					if (ASK(&l, NEXT, FD, s.pager, VMO_A_PAGER_ROOM, 3))
						_exit(2);
					for (i = 0; i < l.requests; i++) {
						usleep(2000);
						ASK(&l, SUPPLY, FD, s.pager,
						    RANGE(s.fd, l.request[i].offset / PS, 1),
						    SOURCE(s.aux, l.request[i].offset / PS));
					}
				} while (l.requests);
			}
			_exit(3);
		}
		usleep(30000 + 20000 * kills++);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		for (i = 0, done = 0; i < ARRAY_SIZE(c); i++)
			done += load(&c[i].done);
	} while (done < ARRAY_SIZE(c) && kills < 60);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		ASSERT_TRUE(client_ends(&c[i], 30));
		EXPECT_EQ(PS, c[i].result);
		EXPECT_TRUE(word_is(c[i].word, BASE + 2 * i));
	}
	TH_LOG("%u servers killed", kills);
}

TEST_HARNESS_MAIN
