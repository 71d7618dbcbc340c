// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family (layer L3): what specs/vmo.yaml says. Nothing here waits for
 * user space. A request is answered in the context of its sender, whose descriptors it
 * may name; a dump goes on in that of whoever reads it, so what it may show is found
 * out when it starts.
 */
#include <linux/capability.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sort.h>
#include <linux/user_namespace.h>
#include <linux/vmo_netlink.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "doors.h"
#include "netlink.h"

enum { VMO_NLGRP_EVENTS };

static const struct nla_policy object_get_policy[VMO_A_OBJECT_USAGE + 1] = {
	[VMO_A_OBJECT_ID] = { .type = NLA_U64, },
	[VMO_A_OBJECT_FD] = { .type = NLA_U32, },
	[VMO_A_OBJECT_USAGE] = { .type = NLA_FLAG, },
};

static struct genl_family vmo_family;

const struct genl_family *vmo_netlink_family(void)
{
	return &vmo_family;
}

void *vmo_netlink_put(struct sk_buff *skb, u32 portid, u32 seq, u8 cmd)
{
	return genlmsg_put(skb, portid, seq, &vmo_family, 0, cmd);
}

/* ---- answers ----------------------------------------------------------- */

/**
 * struct telling - a message about an object
 * @portid: to whom
 * @seq: of the request
 * @flags: NLM_F_*
 * @cmd: VMO_CMD_*
 * @usage: with what it holds
 */
struct telling {
	u32 portid;
	u32 seq;
	int flags;
	u8 cmd;
	bool usage;
};

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, VMO_A_OBJECT_PAD);
}

u32 vmo_kind_of(const struct vmo *vmo)
{
	if (vmo->flags & VMO_OBJ_REFERENCE)
		return VMO_KIND_REFERENCE;
	if (vmo->flags & VMO_OBJ_SLICE)
		return VMO_KIND_SLICE;
	return vmo->flags & VMO_OBJ_COW_CLONE ? VMO_KIND_CLONE : VMO_KIND_ROOT;
}

static int put_object(struct sk_buff *skb, struct vmo *vmo)
{
	struct vmo_family family;
	char name[VMO_NAME_SIZE];

	vmo_object_family(vmo, &family);
	vmo_object_name(vmo, name);
	if (put_u64(skb, VMO_A_OBJECT_ID, vmo->id) ||
	    put_u64(skb, VMO_A_OBJECT_PARENT_ID, family.parent_id) ||
	    nla_put_u32(skb, VMO_A_OBJECT_KIND, vmo_kind_of(vmo)) ||
	    (name[0] && nla_put_string(skb, VMO_A_OBJECT_NAME, name)) ||
	    put_u64(skb, VMO_A_OBJECT_SIZE, (u64)vmo_object_pages(vmo) << PAGE_SHIFT) ||
	    put_u64(skb, VMO_A_OBJECT_CONTENT_SIZE, i_size_read(vmo->view.inode)) ||
	    put_u64(skb, VMO_A_OBJECT_FLAGS, vmo_info_flags(vmo)) ||
	    put_u64(skb, VMO_A_OBJECT_CHILDREN, family.children) ||
	    put_u64(skb, VMO_A_OBJECT_PINNED_BYTES,
		    (u64)atomic64_read(&vmo->content->cow.pins) << PAGE_SHIFT))
		return -EMSGSIZE;
	return 0;
}

static int put_usage(struct sk_buff *skb, struct vmo *vmo)
{
	u64 generation = vmo_content_generation(vmo->content);
	struct vmo_charges charges;
	struct vmo_tally *tally = &charges.tally;
	int err = vmo_object_usage(vmo, 0, U64_MAX, &charges);

	if (err)
		return err;
	if (put_u64(skb, VMO_A_OBJECT_COMMITTED_BYTES, tally->pages << PAGE_SHIFT) ||
	    put_u64(skb, VMO_A_OBJECT_PRIVATE_BYTES, tally->private << PAGE_SHIFT) ||
	    put_u64(skb, VMO_A_OBJECT_SHARED_BYTES, tally->shared << PAGE_SHIFT) ||
	    put_u64(skb, VMO_A_OBJECT_SCALED_BYTES, tally->scaled >> (32 - PAGE_SHIFT)) ||
	    put_u64(skb, VMO_A_OBJECT_EXCLUSIVE_BYTES, charges.exclusive << PAGE_SHIFT) ||
	    put_u64(skb, VMO_A_OBJECT_METADATA_BYTES, vmo_metadata_bytes(tally)) ||
	    put_u64(skb, VMO_A_OBJECT_GENERATION, generation))
		return -EMSGSIZE;
	return 0;
}

static int put_message(struct sk_buff *skb, struct vmo *vmo, const struct telling *t)
{
	void *head = genlmsg_put(skb, t->portid, t->seq, &vmo_family, t->flags, t->cmd);
	int err;

	if (!head)
		return -EMSGSIZE;
	err = put_object(skb, vmo);
	if (!err && t->usage)
		err = put_usage(skb, vmo);
	if (err)
		genlmsg_cancel(skb, head);
	else
		genlmsg_end(skb, head);
	return err;
}

/* ---- who may see what -------------------------------------------------- */

/**
 * struct held - ids of objects that a process has a descriptor of
 * @id: sorted, if there is room; one may be there more than once
 * @room: of it
 * @count: how many there are
 */
struct held {
	u64 *id;
	unsigned int room;
	unsigned int count;
};

static int note_held(const void *arg, struct file *file, unsigned int fd)
{
	struct held *held = (struct held *)arg;
	struct vmo *vmo = vmo_from_file(file);

	if (vmo && held->count++ < held->room)
		held->id[held->count - 1] = vmo->id;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Those of the caller. More may be opened meanwhile: then it looks again. */
static int find_held(struct held *held)
{
	memset(held, 0, sizeof(*held));
	for (;;) {
		held->count = 0;
		iterate_fd(current->files, 0, note_held, held);
		if (held->count <= held->room)
			break;
		kvfree(held->id);
		held->room = held->count + 16;
		held->id = kvmalloc_array(held->room, sizeof(u64), GFP_KERNEL_ACCOUNT);
		if (!held->id)
			return -ENOMEM;
	}
	sort(held->id, held->count, sizeof(u64), compare_ids, NULL);
	return 0;
}

static int has_id(const void *id, struct file *file, unsigned int fd)
{
	struct vmo *vmo = vmo_from_file(file);

	return vmo && vmo->id == *(const u64 *)id;
}

/* Referenced by its inode. An object that may not be seen is none. */
static struct vmo *get_by_id(struct sk_buff *skb, u64 id)
{
	struct vmo *vmo;

	if (!netlink_capable(skb, CAP_SYS_ADMIN) &&
	    !iterate_fd(current->files, 0, has_id, &id))
		return ERR_PTR(-ENOENT);
	vmo = vmo_object_next(id);
	if (vmo && vmo->id != id) {
		iput(vmo->view.inode);
		vmo = NULL;
	}
	return vmo ? vmo : ERR_PTR(-ENOENT);
}

static struct vmo *get_by_fd(u32 fd)
{
	struct file *file = fget(fd);
	struct vmo *vmo;

	if (!file)
		return ERR_PTR(-EBADF);
	vmo = vmo_from_file(file);
	if (vmo)
		ihold(vmo->view.inode);
	fput(file);
	return vmo ? vmo : ERR_PTR(-EINVAL);
}

static struct vmo *get_object(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *id = info->attrs[VMO_A_OBJECT_ID], *fd = info->attrs[VMO_A_OBJECT_FD];
	struct vmo *vmo;

	if (!id == !fd) {
		NL_SET_ERR_MSG(info->extack, "either an id or a descriptor is needed");
		return ERR_PTR(id ? -EINVAL : -ENODATA);
	}
	if (fd) {
		vmo = get_by_fd(nla_get_u32(fd));
		if (IS_ERR(vmo))
			NL_SET_ERR_MSG_ATTR(info->extack, fd,
					    "the sender has no object at this descriptor");
		return vmo;
	}
	vmo = get_by_id(skb, nla_get_u64(id));
	if (IS_ERR(vmo))
		NL_SET_ERR_MSG_ATTR(info->extack, id, "no object of this id may be seen");
	return vmo;
}

/* ---- one object -------------------------------------------------------- */

static int object_get(struct sk_buff *skb, struct genl_info *info)
{
	struct telling t = {
		.portid = info->snd_portid, .seq = info->snd_seq, .cmd = VMO_CMD_OBJECT_GET,
		.usage = info->attrs[VMO_A_OBJECT_USAGE],
	};
	struct vmo *vmo = get_object(skb, info);
	struct sk_buff *reply;
	int err;

	if (IS_ERR(vmo))
		return PTR_ERR(vmo);
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	err = reply ? put_message(reply, vmo, &t) : -ENOMEM;
	iput(vmo->view.inode);
	if (!err)
		return genlmsg_reply(reply, info);
	nlmsg_free(reply);
	return err;
}

/* ---- dumps ------------------------------------------------------------- */

/**
 * struct dump - as much as fits into cb->ctx
 * @id: ids to tell of, sorted; NULL for all objects
 * @count: of them
 * @at: next of them
 * @next: the lowest id to tell of
 * @all: tell of all objects
 * @usage: with what they hold
 */
struct dump {
	u64 *id;
	unsigned int count;
	unsigned int at;
	u64 next;
	bool all;
	bool usage;
};

static int dump_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = vmo_genl_dump_attrs(cb);
	struct dump *dump = (struct dump *)cb->ctx;
	struct held held;
	int err;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	if (attrs[VMO_A_OBJECT_ID] || attrs[VMO_A_OBJECT_FD]) {
		NL_SET_ERR_MSG(cb->extack, "a dump is of all objects that may be seen");
		return -EINVAL;
	}
	*dump = (struct dump){
		.usage = attrs[VMO_A_OBJECT_USAGE],
		.all = netlink_capable(cb->skb, CAP_SYS_ADMIN),
	};
	if (dump->all)
		return 0;
	err = find_held(&held);
	dump->id = held.id;
	dump->count = held.count;
	if (err) {
		kvfree(held.id);
		dump->id = NULL;
	}
	return err;
}

/* The next one that is still there; NULL at the end. */
static struct vmo *dump_next(struct dump *dump)
{
	struct vmo *vmo;

	if (dump->all)
		return vmo_object_next(dump->next);
	for (; dump->at < dump->count; dump->at++) {
		if (dump->id[dump->at] < dump->next)
			continue;
		vmo = vmo_object_next(dump->id[dump->at]);
		if (vmo && vmo->id == dump->id[dump->at])
			return vmo;
		if (vmo)
			iput(vmo->view.inode);
	}
	return NULL;
}

static int dump_some(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = (struct dump *)cb->ctx;
	struct telling t = {
		.portid = NETLINK_CB(cb->skb).portid, .seq = cb->nlh->nlmsg_seq,
		.flags = NLM_F_MULTI, .cmd = VMO_CMD_OBJECT_GET, .usage = dump->usage,
	};
	struct vmo *vmo;
	int err = 0;

	while (!err) {
		vmo = dump_next(dump);
		if (!vmo)
			break;
		err = put_message(skb, vmo, &t);
		if (!err)
			dump->next = vmo->id + 1;
		iput(vmo->view.inode);
		cond_resched();
	}
	/* There was no room for one more: it goes on with that. */
	return err == -EMSGSIZE && skb->len ? skb->len : err ? err : skb->len;
}

static int dump_done(struct netlink_callback *cb)
{
	struct dump *dump = (struct dump *)cb->ctx;

	kvfree(dump->id);
	return 0;
}

/* ---- events ------------------------------------------------------------ */

/*
 * Only those network namespaces whose owner is the initial user namespace: who may join
 * the group elsewhere is not to learn of all objects. RCU.
 */
static bool may_listen(struct net *net)
{
	return net->user_ns == &init_user_ns &&
	       genl_has_listeners(&vmo_family, net, VMO_NLGRP_EVENTS);
}

bool vmo_netlink_listened(void)
{
	struct net *net;
	bool any = false;

	rcu_read_lock();
	for_each_net_rcu(net)
		any |= may_listen(net);
	rcu_read_unlock();
	return any;
}

/* NULL tells the listeners that they have missed something. */
void vmo_netlink_tell(struct sk_buff *skb)
{
	struct sk_buff *copy;
	struct net *net;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (!may_listen(net))
			continue;
		copy = skb ? skb_clone(skb, GFP_ATOMIC) : NULL;
		if (copy)
			genlmsg_multicast_netns(&vmo_family, net, copy, 0, VMO_NLGRP_EVENTS,
						GFP_ATOMIC);
		else
			genl_set_err(&vmo_family, net, 0, VMO_NLGRP_EVENTS, -ENOBUFS);
	}
	rcu_read_unlock();
	nlmsg_free(skb);
}

static void tell_object(struct vmo *vmo, u8 cmd)
{
	const struct telling t = { .cmd = cmd };
	struct sk_buff *skb;

	if (!vmo_netlink_listened())
		return;
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (skb && put_message(skb, vmo, &t)) {
		nlmsg_free(skb);
		skb = NULL;
	}
	vmo_netlink_tell(skb);
}

void vmo_tell_created(struct vmo *vmo)
{
	tell_object(vmo, VMO_CMD_OBJECT_CREATED_NTF);
}

void vmo_tell_changed(struct vmo *vmo)
{
	tell_object(vmo, VMO_CMD_OBJECT_CHANGED_NTF);
}

/* Of an object that is gone, with its parent and name, or that nobody holds here. */
static void tell_id(u8 cmd, u64 id, const struct vmo_departure *gone)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *head = skb ? genlmsg_put(skb, 0, 0, &vmo_family, 0, cmd) : NULL;
	bool good = head && !put_u64(skb, VMO_A_OBJECT_ID, id);

	if (good && gone)
		good = !put_u64(skb, VMO_A_OBJECT_PARENT_ID, gone->parent_id) &&
		       (!gone->name[0] || !nla_put_string(skb, VMO_A_OBJECT_NAME, gone->name));
	if (good) {
		genlmsg_end(skb, head);
	} else {
		nlmsg_free(skb);
		skb = NULL;
	}
	vmo_netlink_tell(skb);
}

void vmo_tell_closed(const struct vmo_departure *gone)
{
	if (!vmo_netlink_listened())
		return;
	tell_id(VMO_CMD_OBJECT_CLOSED_NTF, gone->id, gone);
	if (gone->childless)
		tell_id(VMO_CMD_OBJECT_CHILDLESS_NTF, gone->childless, NULL);
}

/* ---- the family -------------------------------------------------------- */

static const struct genl_ops vmo_nl_ops[] = {
	{
		.cmd = VMO_CMD_OBJECT_GET,
		.doit = object_get,
		.start = dump_start,
		.dumpit = dump_some,
		.done = dump_done,
		.policy = object_get_policy,
		.maxattr = VMO_A_OBJECT_USAGE,
	},
	{
		.cmd = VMO_CMD_PAGER_BIND,
		.doit = vmo_nl_pager_bind,
		.policy = vmo_pager_bind_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_bind_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_NEXT,
		.doit = vmo_nl_pager_next,
		.policy = vmo_pager_next_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_next_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_SUPPLY,
		.doit = vmo_nl_pager_supply,
		.policy = vmo_pager_supply_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_supply_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_FAIL,
		.doit = vmo_nl_pager_fail,
		.policy = vmo_pager_fail_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_fail_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_DETACH,
		.doit = vmo_nl_pager_detach,
		.policy = vmo_pager_detach_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_detach_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_DIRTY,
		.doit = vmo_nl_pager_dirty,
		.policy = vmo_pager_dirty_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_dirty_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_PENDING,
		.start = vmo_nl_pager_dump_start,
		.dumpit = vmo_nl_pager_dump_pending,
		.done = vmo_nl_pager_dump_done,
		.policy = vmo_pager_pending_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_pending_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_DIRTY_RANGES,
		.start = vmo_nl_pager_dirty_start,
		.dumpit = vmo_nl_pager_dump_dirty,
		.done = vmo_nl_pager_dump_done,
		.policy = vmo_pager_dirty_ranges_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_dirty_ranges_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_STATS,
		.start = vmo_nl_pager_dump_start,
		.dumpit = vmo_nl_pager_dump_stats,
		.done = vmo_nl_pager_dump_done,
		.policy = vmo_pager_stats_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_stats_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_WRITEBACK_BEGIN,
		.doit = vmo_nl_pager_begin,
		.policy = vmo_pager_begin_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_begin_policy) - 1,
	},
	{
		.cmd = VMO_CMD_PAGER_WRITEBACK_END,
		.doit = vmo_nl_pager_end,
		.policy = vmo_pager_end_policy,
		.maxattr = ARRAY_SIZE(vmo_pager_end_policy) - 1,
	},
};

static const struct genl_multicast_group vmo_nl_groups[] = {
	[VMO_NLGRP_EVENTS] = { .name = VMO_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

static struct genl_family vmo_family __ro_after_init = {
	.name = VMO_FAMILY_NAME,
	.version = VMO_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = vmo_nl_ops,
	.n_ops = ARRAY_SIZE(vmo_nl_ops),
	.resv_start_op = VMO_CMD_PAGER_WRITEBACK_END + 1,
	.mcgrps = vmo_nl_groups,
	.n_mcgrps = ARRAY_SIZE(vmo_nl_groups),
};

int vmo_netlink_init(void)
{
	int err = vmo_netlink_pager_init();

	if (err)
		return err;
	err = genl_register_family(&vmo_family);
	if (err)
		vmo_netlink_pager_exit();
	return err;
}

void vmo_netlink_exit(void)
{
	genl_unregister_family(&vmo_family);
	vmo_netlink_pager_exit();
}
