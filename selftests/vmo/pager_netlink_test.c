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

static int on_message(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *head = genlmsg_hdr(nlmsg_hdr(msg));
	struct nlattr *attr, *id;
	struct lane *l = arg;
	int left;

	id = nlmsg_find_attr(nlmsg_hdr(msg), GENL_HDRLEN, VMO_A_PAGER_ID);
	if (head->cmd == VMO_CMD_PAGER_READY_NTF) {
		l->ready++;
		l->ready_id = id ? nla_get_u64(id) : 0;
	}
	if (head->cmd == VMO_CMD_PAGER_BIND)
		l->id = id ? nla_get_u64(id) : 0;
	if (head->cmd == VMO_CMD_PAGER_NEXT)
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
	nl_socket_modify_err_cb(l->sock, NL_CB_CUSTOM, on_error, l);
	return l->family > 0;
}

static void lane_close(struct lane *l)
{
	nl_socket_free(l->sock);
}

/* Attributes, each with its value; 0 ends them. What is told is in the lane. An errno. */
static int ask(struct lane *l, int cmd, const uint64_t *attrs)
{
	struct nl_msg *msg = nlmsg_alloc();

	l->error = 0;
	l->explained = false;
	l->requests = 0;
	l->end = false;
	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, l->family, 0, NLM_F_ACK, cmd,
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
	ask(_l, VMO_CMD_PAGER_ ## _cmd, (uint64_t[]){ __VA_ARGS__, 0 })
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
