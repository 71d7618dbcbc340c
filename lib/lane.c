// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The two ways to serve a pager as one: a binding, or a socket of the generic netlink
 * family. A program uses a lane from one thread at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vmo_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "private.h"

/**
 * struct vmo_lane - a way to serve a pager
 * @pager: the caller's descriptor
 * @binding: a descriptor; -1 where it is a socket
 * @sock: a socket, or NULL
 * @family: its number
 * @requests: where to put what is told
 * @room: how many there is room for
 * @told: how many were told
 * @error: of the last answer, an errno
 * @end: it has come
 */
struct vmo_lane {
	int pager;
	int binding;
	struct nl_sock *sock;
	int family;
	struct vmo_pager_request *requests;
	unsigned int room;
	unsigned int told;
	int error;
	bool end;
};

/* ---- netlink -------------------------------------------------------------- */

static void note_request(struct vmo_lane *lane, struct nlattr *nest)
{
	struct nlattr *a[VMO_A_REQUEST_MAX + 1];

	if (lane->told == lane->room || nla_parse_nested(a, VMO_A_REQUEST_MAX, nest, NULL) ||
	    !a[VMO_A_REQUEST_ID] || !a[VMO_A_REQUEST_KEY] || !a[VMO_A_REQUEST_OFFSET] ||
	    !a[VMO_A_REQUEST_LENGTH] || !a[VMO_A_REQUEST_TYPE])
		return;
	lane->requests[lane->told++] = (struct vmo_pager_request){
		.id = nla_get_u64(a[VMO_A_REQUEST_ID]),
		.key = nla_get_u64(a[VMO_A_REQUEST_KEY]),
		.offset = nla_get_u64(a[VMO_A_REQUEST_OFFSET]),
		.length = nla_get_u64(a[VMO_A_REQUEST_LENGTH]),
		.type = nla_get_u32(a[VMO_A_REQUEST_TYPE]),
	};
}

/* Notices need nothing but to be read. */
static int on_message(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *head = genlmsg_hdr(nlmsg_hdr(msg));
	struct nlattr *attr;
	int left;

	if (head->cmd == VMO_CMD_PAGER_NEXT)
		nlmsg_for_each_attr(attr, nlmsg_hdr(msg), GENL_HDRLEN, left)
			if (nla_type(attr) == VMO_A_PAGER_REQUEST)
				note_request(arg, attr);
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct vmo_lane *lane = arg;

	(void)from;
	lane->error = -err->error;
	lane->end = true;
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	(void)msg;
	((struct vmo_lane *)arg)->end = true;
	return NL_STOP;
}

static struct nl_msg *message(struct vmo_lane *lane, int cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, lane->family, 0, NLM_F_ACK,
			       (uint8_t)cmd, VMO_FAMILY_VERSION) &&
	    !nla_put_u32(msg, VMO_A_PAGER_FD, (uint32_t)lane->pager))
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* Takes over @msg; -1 with errno. NULL: there was no memory. */
static int tell(struct vmo_lane *lane, struct nl_msg *msg)
{
	int ret;

	if (!msg) {
		errno = ENOMEM;
		return -1;
	}
	lane->error = 0;
	lane->end = false;
	ret = nl_send_auto(lane->sock, msg);
	nlmsg_free(msg);
	while (ret >= 0 && !lane->end)
		ret = nl_recvmsgs_default(lane->sock);
	if (!lane->end)
		lane->error = EIO;
	errno = lane->error;
	return lane->error ? -1 : 0;
}

static int put_range(struct nl_msg *msg, const struct vmo *vmo, uint64_t offset, uint64_t length)
{
	return nla_put_u32(msg, VMO_A_PAGER_VMO, (uint32_t)vmo->fd) ||
	       nla_put_u64(msg, VMO_A_PAGER_OFFSET, offset) ||
	       nla_put_u64(msg, VMO_A_PAGER_LENGTH, length);
}

static struct nl_msg *range_message(struct vmo_lane *lane, int cmd, const struct vmo *vmo,
				    uint64_t offset, uint64_t length)
{
	struct nl_msg *msg = message(lane, cmd);

	if (!msg || !put_range(msg, vmo, offset, length))
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* libnl's errors are numbers of its own. */
static int connect_socket(struct vmo_lane *lane)
{
	lane->sock = nl_socket_alloc();
	if (!lane->sock) {
		errno = ENOMEM;
		return -1;
	}
	if (genl_connect(lane->sock)) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	fcntl(nl_socket_get_fd(lane->sock), F_SETFD, FD_CLOEXEC);
	lane->family = genl_ctrl_resolve(lane->sock, VMO_FAMILY_NAME);
	if (lane->family < 0) {
		errno = ENOENT;
		return -1;
	}
	nl_socket_disable_seq_check(lane->sock);
	nl_socket_modify_cb(lane->sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, lane);
	nl_socket_modify_cb(lane->sock, NL_CB_ACK, NL_CB_CUSTOM, on_ack, lane);
	nl_socket_modify_err_cb(lane->sock, NL_CB_CUSTOM, on_error, lane);
	return tell(lane, message(lane, VMO_CMD_PAGER_BIND));
}

/* ---- lanes ---------------------------------------------------------------- */

static int connect_binding(struct vmo_lane *lane)
{
	lane->binding = vmo_pager_bind(lane->pager);
	return lane->binding < 0 ? -1 : fcntl(lane->binding, F_SETFL, O_NONBLOCK);
}

VMO_API void vmo_lane_close(struct vmo_lane *lane)
{
	if (!lane)
		return;
	if (lane->sock)
		nl_socket_free(lane->sock);
	vmo_close_quietly(lane->binding);
	free(lane);
}

VMO_API struct vmo_lane *vmo_lane_open(int pager, unsigned int flags)
{
	struct vmo_lane *lane;
	int err;

	if (flags & ~VMO_LANE_NETLINK) {
		errno = EINVAL;
		return NULL;
	}
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		return NULL;
	lane->pager = pager;
	lane->binding = -1;
	if (!(flags & VMO_LANE_NETLINK ? connect_socket(lane) : connect_binding(lane)))
		return lane;
	err = errno;
	vmo_lane_close(lane);
	errno = err;
	return NULL;
}

VMO_API int vmo_lane_fd(const struct vmo_lane *lane)
{
	return lane->sock ? nl_socket_get_fd(lane->sock) : lane->binding;
}

/* What there is by now: how many, 0 for nothing, or -1. */
static int take(struct vmo_lane *lane, struct vmo_pager_request *requests, unsigned int room)
{
	struct nl_msg *msg;
	int nr;

	if (!lane->sock) {
		nr = vmo_pager_next(lane->binding, requests, room);
		return nr < 0 && errno == EAGAIN ? 0 : nr;
	}
	lane->requests = requests;
	lane->room = room;
	lane->told = 0;
	msg = message(lane, VMO_CMD_PAGER_NEXT);
	if (msg && nla_put_u32(msg, VMO_A_PAGER_ROOM, room)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return tell(lane, msg) ? -1 : (int)lane->told;
}

VMO_API int vmo_lane_next(struct vmo_lane *lane, struct vmo_pager_request *requests,
			  unsigned int room, int timeout)
{
	struct pollfd fd = { .fd = vmo_lane_fd(lane), .events = POLLIN };
	int nr;

	if (!room) {
		errno = EINVAL;
		return -1;
	}
	for (;;) {
		nr = take(lane, requests, room);
		if (nr)
			return nr;
		nr = poll(&fd, 1, timeout);
		if (nr <= 0)
			return nr;
		/* A notice: what it is about is taken next. */
		if (lane->sock)
			nl_recvmsgs_default(lane->sock);
	}
}

VMO_API int vmo_lane_supply(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
			    const struct vmo *from, uint64_t from_offset, uint64_t length)
{
	struct nl_msg *msg;

	if (!lane->sock)
		return vmo_pager_supply(lane->binding, vmo, offset, from, from_offset, length);
	msg = range_message(lane, VMO_CMD_PAGER_SUPPLY, vmo, offset, length);
	if (msg && (nla_put_u32(msg, VMO_A_PAGER_SOURCE, (uint32_t)from->fd) ||
		    nla_put_u64(msg, VMO_A_PAGER_SOURCE_OFFSET, from_offset))) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return tell(lane, msg);
}

VMO_API int vmo_lane_fail(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
			  uint64_t length, int error)
{
	struct nl_msg *msg;

	if (!lane->sock)
		return vmo_pager_fail(lane->binding, vmo, offset, length, error);
	msg = range_message(lane, VMO_CMD_PAGER_FAIL, vmo, offset, length);
	if (msg && nla_put_u32(msg, VMO_A_PAGER_ERROR, (uint32_t)error)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return tell(lane, msg);
}

VMO_API int vmo_lane_dirty(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
			   uint64_t length)
{
	if (!lane->sock)
		return vmo_pager_dirty(lane->binding, vmo, offset, length);
	return tell(lane, range_message(lane, VMO_CMD_PAGER_DIRTY, vmo, offset, length));
}

VMO_API int vmo_lane_writeback(struct vmo_lane *lane, const struct vmo *vmo, uint64_t offset,
			       uint64_t length, unsigned int flags)
{
	bool begin = (flags & ~VMO_PAGER_ZEROES) == VMO_PAGER_BEGIN;
	struct nl_msg *msg;

	if (!lane->sock)
		return vmo_pager_writeback(lane->binding, vmo, offset, length, flags);
	if (!begin && flags != VMO_PAGER_END) {
		errno = EINVAL;
		return -1;
	}
	msg = range_message(lane, begin ? VMO_CMD_PAGER_WRITEBACK_BEGIN :
			    VMO_CMD_PAGER_WRITEBACK_END, vmo, offset, length);
	if (msg && flags & VMO_PAGER_ZEROES && nla_put_flag(msg, VMO_A_PAGER_ZEROES)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return tell(lane, msg);
}

VMO_API int vmo_lane_detach(struct vmo_lane *lane, const struct vmo *vmo)
{
	struct nl_msg *msg;

	if (!lane->sock)
		return vmo_pager_detach(lane->binding, vmo);
	msg = message(lane, VMO_CMD_PAGER_DETACH);
	if (msg && nla_put_u32(msg, VMO_A_PAGER_VMO, (uint32_t)vmo->fd)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return tell(lane, msg);
}

VMO_API int vmo_lane_serve(struct vmo_lane *lane, vmo_lane_answer *answer, void *arg)
{
	struct vmo_pager_request requests[64];
	int nr, i, ret;

	for (;;) {
		nr = vmo_lane_next(lane, requests, 64, -1);
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return -1;
		for (i = 0; i < nr; i++) {
			ret = answer(lane, &requests[i], arg);
			if (ret)
				return ret;
		}
	}
}
