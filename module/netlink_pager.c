// SPDX-License-Identifier: GPL-2.0
/*
 * Pagers over generic netlink (layer L3): the same commands as by ioctl(), and requests,
 * which a socket takes when it likes to. It is sent nothing but the notice that there
 * are some, so it cannot overflow. Nothing here waits for a pager.
 *
 * A socket that serves a pager does so until it is closed, which a notifier tells.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/vmo_netlink.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>

#include "cmd.h"
#include "netlink.h"
#include "pager.h"
#include "trace.h"

const struct nla_policy vmo_pager_bind_policy[VMO_A_PAGER_FD + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
};

const struct nla_policy vmo_pager_next_policy[VMO_A_PAGER_ROOM + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_ROOM] = { .type = NLA_U32, },
};

const struct nla_policy vmo_pager_supply_policy[VMO_A_PAGER_SOURCE_OFFSET + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
	[VMO_A_PAGER_OFFSET] = { .type = NLA_U64, },
	[VMO_A_PAGER_LENGTH] = { .type = NLA_U64, },
	[VMO_A_PAGER_SOURCE] = { .type = NLA_U32, },
	[VMO_A_PAGER_SOURCE_OFFSET] = { .type = NLA_U64, },
};

const struct nla_policy vmo_pager_fail_policy[VMO_A_PAGER_ERROR + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
	[VMO_A_PAGER_OFFSET] = { .type = NLA_U64, },
	[VMO_A_PAGER_LENGTH] = { .type = NLA_U64, },
	[VMO_A_PAGER_ERROR] = { .type = NLA_U32, },
};

const struct nla_policy vmo_pager_detach_policy[VMO_A_PAGER_VMO + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
};

const struct nla_policy vmo_pager_dirty_policy[VMO_A_PAGER_LENGTH + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
	[VMO_A_PAGER_OFFSET] = { .type = NLA_U64, },
	[VMO_A_PAGER_LENGTH] = { .type = NLA_U64, },
};

const struct nla_policy vmo_pager_begin_policy[VMO_A_PAGER_ZEROES + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
	[VMO_A_PAGER_OFFSET] = { .type = NLA_U64, },
	[VMO_A_PAGER_LENGTH] = { .type = NLA_U64, },
	[VMO_A_PAGER_ZEROES] = { .type = NLA_FLAG, },
};

const struct nla_policy vmo_pager_end_policy[VMO_A_PAGER_LENGTH + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
	[VMO_A_PAGER_OFFSET] = { .type = NLA_U64, },
	[VMO_A_PAGER_LENGTH] = { .type = NLA_U64, },
};

/* ---- attributes -------------------------------------------------------- */

static bool has(struct genl_info *info, int attr)
{
	if (info->attrs[attr])
		return true;
	NL_SET_ERR_MSG(info->extack, "an attribute is missing that this operation needs");
	return false;
}

static u32 u32_of(struct genl_info *info, int attr)
{
	return nla_get_u32(info->attrs[attr]);
}

static u64 u64_of(struct genl_info *info, int attr)
{
	return nla_get_u64(info->attrs[attr]);
}

/* The sender's file of a pager. */
static struct file *get_pager(struct genl_info *info)
{
	struct file *file;

	if (!has(info, VMO_A_PAGER_FD))
		return ERR_PTR(-ENODATA);
	file = fget(u32_of(info, VMO_A_PAGER_FD));
	if (file && vmo_pager_from_file(file))
		return file;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[VMO_A_PAGER_FD],
			    "the sender has no pager at this descriptor");
	if (!file)
		return ERR_PTR(-EBADF);
	fput(file);
	return ERR_PTR(-EINVAL);
}

/* ---- sockets that serve ------------------------------------------------ */

/**
 * struct binding - a socket that serves a pager
 * @link: in @bindings
 * @pager: with the server's reference. Immutable.
 * @net: of the socket, which outlives this. Immutable.
 * @portid: of the socket. Immutable.
 * @wait: among the pager's readers
 * @notice: tells that there is something to take
 */
struct binding {
	struct list_head link;
	struct vmo_pager *pager;
	struct net *net;
	u32 portid;
	wait_queue_entry_t wait;
	struct delayed_work notice;
};

static LIST_HEAD(bindings);
static DEFINE_MUTEX(bindings_lock);	/* covers bindings */

/* A socket that is full will have been read by then. */
#define NOTICE_AGAIN	(HZ / 10)

static bool has_news(struct vmo_pager *pager)
{
	return READ_ONCE(pager->closed) || !vmo_queue_arm(&pager->queue);
}

static int put_id(struct sk_buff *skb, struct vmo_pager *pager)
{
	return nla_put_u64_64bit(skb, VMO_A_PAGER_ID, pager->id, VMO_A_PAGER_PAD);
}

static void notify(struct work_struct *work)
{
	struct binding *b = container_of(work, struct binding, notice.work);
	struct sk_buff *skb = NULL;
	void *head;

	if (!has_news(b->pager))
		return;
	skb = genlmsg_new(nla_total_size_64bit(sizeof(u64)), GFP_KERNEL);
	if (!skb)
		goto again;
	head = vmo_netlink_put(skb, 0, 0, VMO_CMD_PAGER_READY_NTF);
	if (!head || put_id(skb, b->pager)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, head);
	if (genlmsg_unicast(b->net, skb, b->portid) != -EAGAIN)
		return;
again:
	queue_delayed_work(system_unbound_wq, &b->notice, NOTICE_AGAIN);
}

/* Under the lock of the pager's readers, maybe its queue's. */
static int on_news(wait_queue_entry_t *wait, unsigned int mode, int flags, void *key)
{
	struct binding *b = container_of(wait, struct binding, wait);

	queue_delayed_work(system_unbound_wq, &b->notice, 0);
	return 0;
}

/* Takes over that @pager is bound. */
static int add_binding(struct vmo_pager *pager, struct genl_info *info)
{
	struct binding *b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);

	if (!b)
		return -ENOMEM;
	b->pager = pager;
	b->net = genl_info_net(info);
	b->portid = info->snd_portid;
	INIT_DELAYED_WORK(&b->notice, notify);
	init_waitqueue_func_entry(&b->wait, on_news);
	mutex_lock(&bindings_lock);
	list_add_tail(&b->link, &bindings);
	mutex_unlock(&bindings_lock);
	add_wait_queue(&pager->readers, &b->wait);
	/* Of what was there before. */
	queue_delayed_work(system_unbound_wq, &b->notice, 0);
	return 0;
}

static void drop_binding(struct binding *b)
{
	remove_wait_queue(&b->pager->readers, &b->wait);
	cancel_delayed_work_sync(&b->notice);
	vmo_pager_unbind(b->pager);
	kfree(b);
}

static bool is_of(const struct binding *b, const struct net *net, u32 portid)
{
	return b->net == net && b->portid == portid;
}

/* Drops those of a socket; of all, if @net is NULL. */
static void drop_bindings(const struct net *net, u32 portid)
{
	struct binding *b, *next;
	LIST_HEAD(gone);

	mutex_lock(&bindings_lock);
	list_for_each_entry_safe(b, next, &bindings, link)
		if (!net || is_of(b, net, portid))
			list_move_tail(&b->link, &gone);
	mutex_unlock(&bindings_lock);
	list_for_each_entry_safe(b, next, &gone, link)
		drop_binding(b);
}

static int on_socket(struct notifier_block *nb, unsigned long event, void *data)
{
	struct netlink_notify *notify = data;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC)
		drop_bindings(notify->net, notify->portid);
	return NOTIFY_DONE;
}

static struct notifier_block sockets = { .notifier_call = on_socket };

int vmo_netlink_pager_init(void)
{
	return netlink_register_notifier(&sockets);
}

/* The family is gone, so nobody binds any more; pagers are all closed. */
void vmo_netlink_pager_exit(void)
{
	netlink_unregister_notifier(&sockets);
	drop_bindings(NULL, 0);
}

/* The socket is not closed as long as a request of its own is being done. */
static bool serves(struct genl_info *info, struct vmo_pager *pager)
{
	struct binding *b;
	bool found = false;

	mutex_lock(&bindings_lock);
	list_for_each_entry(b, &bindings, link)
		found |= b->pager == pager && is_of(b, genl_info_net(info), info->snd_portid);
	mutex_unlock(&bindings_lock);
	return found;
}

/* ---- bind -------------------------------------------------------------- */

static int bind(struct vmo_pager *pager, struct genl_info *info)
{
	int err = vmo_pager_bind(pager);

	if (err) {
		NL_SET_ERR_MSG(info->extack, "the pager is served already");
		return err;
	}
	err = add_binding(pager, info);
	if (err)
		vmo_pager_unbind(pager);
	return err;
}

int vmo_nl_pager_bind(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(nla_total_size_64bit(sizeof(u64)), GFP_KERNEL);
	struct file *file;
	void *head;
	int err;

	if (!reply)
		return -ENOMEM;
	file = get_pager(info);
	if (IS_ERR(file)) {
		nlmsg_free(reply);
		return PTR_ERR(file);
	}
	head = vmo_netlink_put(reply, info->snd_portid, info->snd_seq, VMO_CMD_PAGER_BIND);
	err = !head || put_id(reply, vmo_pager_from_file(file)) ? -EMSGSIZE :
	      bind(vmo_pager_from_file(file), info);
	fput(file);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

/* ---- next -------------------------------------------------------------- */

#define NEXT_MAX	64U

/* One set of numbers for both ways to be told. */
static_assert((int)VMO_REQUEST_TYPE_READ == VMO_REQUEST_READ);
static_assert((int)VMO_REQUEST_TYPE_COMPLETE == VMO_REQUEST_COMPLETE);
static_assert((int)VMO_REQUEST_TYPE_DIRTY == VMO_REQUEST_DIRTY);
static_assert((int)VMO_REQUEST_TYPE_SYNC == VMO_REQUEST_SYNC);

int vmo_netlink_put_request(struct sk_buff *skb, const struct vmo_notice *notice)
{
	struct nlattr *nest = nla_nest_start(skb, VMO_A_PAGER_REQUEST);
	struct vmo_pager_request request;

	vmo_pager_describe(notice, &request);
	if (!nest ||
	    nla_put_u64_64bit(skb, VMO_A_REQUEST_ID, request.id, VMO_A_REQUEST_PAD) ||
	    nla_put_u64_64bit(skb, VMO_A_REQUEST_KEY, request.key, VMO_A_REQUEST_PAD) ||
	    nla_put_u32(skb, VMO_A_REQUEST_TYPE, request.type) ||
	    nla_put_u64_64bit(skb, VMO_A_REQUEST_OFFSET, request.offset, VMO_A_REQUEST_PAD) ||
	    nla_put_u64_64bit(skb, VMO_A_REQUEST_LENGTH, request.length, VMO_A_REQUEST_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int reply_requests(struct genl_info *info, const struct vmo_notice *notices,
			  unsigned int nr)
{
	size_t each = nla_total_size(4 * nla_total_size_64bit(sizeof(u64)) +
				     nla_total_size(sizeof(u32)));
	struct sk_buff *reply = genlmsg_new(nr * each, GFP_KERNEL);
	unsigned int i;
	void *head;

	if (!reply)
		return -ENOMEM;
	head = vmo_netlink_put(reply, info->snd_portid, info->snd_seq, VMO_CMD_PAGER_NEXT);
	for (i = 0; head && i < nr; i++)
		if (vmo_netlink_put_request(reply, &notices[i]))
			head = NULL;
	if (!head) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

static int next(struct vmo_pager *pager, struct genl_info *info)
{
	unsigned int room = NEXT_MAX, nr;
	struct vmo_notice *notices;
	int err;

	if (READ_ONCE(pager->closed) || !serves(info, pager)) {
		NL_SET_ERR_MSG(info->extack, "this socket does not serve the pager");
		return -EBADFD;
	}
	if (info->attrs[VMO_A_PAGER_ROOM])
		room = min(room, u32_of(info, VMO_A_PAGER_ROOM));
	notices = kmalloc_array(NEXT_MAX, sizeof(*notices), GFP_KERNEL);
	if (!notices)
		return -ENOMEM;
	nr = vmo_queue_take(&pager->queue, notices, room);
	err = reply_requests(info, notices, nr);
	if (err)
		vmo_queue_untell(&pager->queue, notices, nr);
	kfree(notices);
	return err;
}

int vmo_nl_pager_next(struct sk_buff *skb, struct genl_info *info)
{
	struct file *file = get_pager(info);
	int err;

	if (IS_ERR(file))
		return PTR_ERR(file);
	err = next(vmo_pager_from_file(file), info);
	fput(file);
	return err;
}

/* ---- events ------------------------------------------------------------ */

static int put_overtime(struct sk_buff *skb, struct vmo_pager *pager,
			const struct vmo_notice *notice, unsigned int ms)
{
	void *head = vmo_netlink_put(skb, 0, 0, VMO_CMD_PAGER_OVERTIME_NTF);

	if (!head || put_id(skb, pager) || nla_put_u32(skb, VMO_A_PAGER_WAITED_MS, ms) ||
	    vmo_netlink_put_request(skb, notice))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

void vmo_pager_tell_overtime(struct vmo_pager *pager, const struct vmo_notice *notice,
			     unsigned int ms)
{
	struct sk_buff *skb;

	trace_vmo_overtime(pager->id, notice->key, notice->first, notice->type, ms);
	if (!vmo_netlink_listened())
		return;
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (skb && put_overtime(skb, pager, notice, ms)) {
		nlmsg_free(skb);
		skb = NULL;
	}
	vmo_netlink_tell(skb);
}

/* ---- answers ----------------------------------------------------------- */

/* As the command @num by ioctl(), with the same checks and errors. */
static int command(struct genl_info *info, unsigned int num, union vmo_cmd_buffer *arg)
{
	struct file *file = get_pager(info);
	int err;

	if (IS_ERR(file))
		return PTR_ERR(file);
	err = vmo_pager_command(file, num, arg);
	if (err)
		NL_SET_ERR_MSG(info->extack, "see linux/vmo.h for what this error says here");
	fput(file);
	return err;
}

static bool has_range(struct genl_info *info)
{
	return has(info, VMO_A_PAGER_VMO) && has(info, VMO_A_PAGER_OFFSET) &&
	       has(info, VMO_A_PAGER_LENGTH);
}

int vmo_nl_pager_supply(struct sk_buff *skb, struct genl_info *info)
{
	union vmo_cmd_buffer arg = { };

	if (!has_range(info) || !has(info, VMO_A_PAGER_SOURCE) ||
	    !has(info, VMO_A_PAGER_SOURCE_OFFSET))
		return -ENODATA;
	arg.supply.vmo_fd = u32_of(info, VMO_A_PAGER_VMO);
	arg.supply.offset = u64_of(info, VMO_A_PAGER_OFFSET);
	arg.supply.length = u64_of(info, VMO_A_PAGER_LENGTH);
	arg.supply.src_fd = u32_of(info, VMO_A_PAGER_SOURCE);
	arg.supply.src_offset = u64_of(info, VMO_A_PAGER_SOURCE_OFFSET);
	return command(info, VMO_PAGER_SUPPLY, &arg);
}

int vmo_nl_pager_fail(struct sk_buff *skb, struct genl_info *info)
{
	union vmo_cmd_buffer arg = { };

	if (!has_range(info) || !has(info, VMO_A_PAGER_ERROR))
		return -ENODATA;
	arg.fail.vmo_fd = u32_of(info, VMO_A_PAGER_VMO);
	arg.fail.offset = u64_of(info, VMO_A_PAGER_OFFSET);
	arg.fail.length = u64_of(info, VMO_A_PAGER_LENGTH);
	arg.fail.error = u32_of(info, VMO_A_PAGER_ERROR);
	return command(info, VMO_PAGER_FAIL, &arg);
}

int vmo_nl_pager_detach(struct sk_buff *skb, struct genl_info *info)
{
	union vmo_cmd_buffer arg = { };

	if (!has(info, VMO_A_PAGER_VMO))
		return -ENODATA;
	arg.detach.vmo_fd = u32_of(info, VMO_A_PAGER_VMO);
	return command(info, VMO_PAGER_DETACH, &arg);
}

int vmo_nl_pager_dirty(struct sk_buff *skb, struct genl_info *info)
{
	union vmo_cmd_buffer arg = { };

	if (!has_range(info))
		return -ENODATA;
	arg.dirty.vmo_fd = u32_of(info, VMO_A_PAGER_VMO);
	arg.dirty.offset = u64_of(info, VMO_A_PAGER_OFFSET);
	arg.dirty.length = u64_of(info, VMO_A_PAGER_LENGTH);
	return command(info, VMO_PAGER_DIRTY, &arg);
}

static int writeback(struct genl_info *info, u32 flags)
{
	union vmo_cmd_buffer arg = { };

	if (!has_range(info))
		return -ENODATA;
	arg.writeback.vmo_fd = u32_of(info, VMO_A_PAGER_VMO);
	arg.writeback.offset = u64_of(info, VMO_A_PAGER_OFFSET);
	arg.writeback.length = u64_of(info, VMO_A_PAGER_LENGTH);
	arg.writeback.flags = flags;
	return command(info, VMO_PAGER_WRITEBACK, &arg);
}

int vmo_nl_pager_begin(struct sk_buff *skb, struct genl_info *info)
{
	bool zeroes = info->attrs[VMO_A_PAGER_ZEROES];

	return writeback(info, VMO_PAGER_BEGIN | (zeroes ? VMO_PAGER_ZEROES : 0));
}

int vmo_nl_pager_end(struct sk_buff *skb, struct genl_info *info)
{
	return writeback(info, VMO_PAGER_END);
}
