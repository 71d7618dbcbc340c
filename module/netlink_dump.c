// SPDX-License-Identifier: GPL-2.0
/*
 * Dumps of what pagers have to do (layer L3). Descriptors are those of whoever asks, so
 * they are looked up when a dump starts, and their files are kept until its end. What a
 * part of a dump tells is of one instant, the whole is not; what is there all the time is
 * told once.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/vmo_netlink.h>
#include <net/genetlink.h>

#include "cmd.h"
#include "netlink.h"
#include "pager.h"

const struct nla_policy vmo_pager_pending_policy[VMO_A_PAGER_FD + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
};

const struct nla_policy vmo_pager_dirty_ranges_policy[VMO_A_PAGER_VMO + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
	[VMO_A_PAGER_VMO] = { .type = NLA_U32, },
};

const struct nla_policy vmo_pager_stats_policy[VMO_A_PAGER_FD + 1] = {
	[VMO_A_PAGER_FD] = { .type = NLA_U32, },
};

/**
 * struct dump - as much as fits into cb->ctx
 * @pager: a file
 * @vmo: a file; NULL but for dirty ranges
 * @next: the lowest id, or key, to tell of
 */
struct dump {
	struct file *pager;
	struct file *vmo;
	u64 next;
};

static struct dump *dump_of(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct dump) > sizeof(cb->ctx));
	return (struct dump *)cb->ctx;
}

static struct vmo_pager *pager_of(struct netlink_callback *cb)
{
	return vmo_pager_from_file(dump_of(cb)->pager);
}

static struct file *get_file_of(struct netlink_callback *cb, int attr)
{
	struct nlattr *fd = vmo_genl_dump_attrs(cb)[attr];
	struct file *file;

	if (!fd) {
		NL_SET_ERR_MSG(cb->extack, "a descriptor is missing that this dump needs");
		return ERR_PTR(-ENODATA);
	}
	file = fget(nla_get_u32(fd));
	if (!file)
		NL_SET_ERR_MSG_ATTR(cb->extack, fd, "the sender has no such descriptor");
	return file ? file : ERR_PTR(-EBADF);
}

int vmo_nl_pager_dump_start(struct netlink_callback *cb)
{
	struct file *file = get_file_of(cb, VMO_A_PAGER_FD);

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!vmo_pager_from_file(file)) {
		NL_SET_ERR_MSG(cb->extack, "the descriptor is not a pager's");
		fput(file);
		return -EINVAL;
	}
	*dump_of(cb) = (struct dump){ .pager = file };
	return 0;
}

int vmo_nl_pager_dump_done(struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);

	fput(dump->pager);
	if (dump->vmo)
		fput(dump->vmo);
	return 0;
}

static void *put_head(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   vmo_netlink_family(), NLM_F_MULTI, cmd);
}

/* Of what a dump says at last, when there was something to say, or an error. */
static int said(struct sk_buff *skb, int err)
{
	if (err == -EMSGSIZE && skb->len)
		err = 0;
	return err ? err : skb->len;
}

/* ---- requests ---------------------------------------------------------- */

static int put_pending(struct sk_buff *skb, struct netlink_callback *cb,
		       const struct vmo_notice *notice, bool handed)
{
	void *head = put_head(skb, cb, VMO_CMD_PAGER_PENDING);

	if (!head)
		return -EMSGSIZE;
	if (vmo_netlink_put_request(skb, notice) ||
	    (handed && nla_put_flag(skb, VMO_A_PAGER_HANDED))) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

int vmo_nl_pager_dump_pending(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct vmo_notice notice;
	bool handed;
	int err = 0;

	while (!err && vmo_queue_next(&pager_of(cb)->queue, dump->next, &notice, &handed)) {
		err = put_pending(skb, cb, &notice, handed);
		if (!err)
			dump->next = notice.id + 1;
	}
	return said(skb, err);
}

/* ---- objects ----------------------------------------------------------- */

static int put_stats(struct sk_buff *skb, struct netlink_callback *cb,
		     const struct vmo_source_stats *stats)
{
	void *head = put_head(skb, cb, VMO_CMD_PAGER_STATS);

	if (!head)
		return -EMSGSIZE;
	if (nla_put_u64_64bit(skb, VMO_A_PAGER_KEY, stats->key, VMO_A_PAGER_PAD) ||
	    nla_put_u32(skb, VMO_A_PAGER_WAITING, stats->waiting) ||
	    nla_put_u32(skb, VMO_A_PAGER_NR_HANDED, stats->handed) ||
	    (stats->modified && nla_put_flag(skb, VMO_A_PAGER_MODIFIED))) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

int vmo_nl_pager_dump_stats(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct vmo_source_stats stats;
	int err = 0;

	while (!err && vmo_queue_next_source(&pager_of(cb)->queue, dump->next, &stats)) {
		err = put_stats(skb, cb, &stats);
		if (!err)
			dump->next = stats.id + 1;
	}
	return said(skb, err);
}

/* ---- dirty ranges ------------------------------------------------------ */

int vmo_nl_pager_dirty_start(struct netlink_callback *cb)
{
	int err = vmo_nl_pager_dump_start(cb);
	struct dump *dump = dump_of(cb);
	struct vmo *vmo;

	if (err)
		return err;
	dump->vmo = get_file_of(cb, VMO_A_PAGER_VMO);
	err = PTR_ERR_OR_ZERO(dump->vmo);
	vmo = err ? NULL : vmo_from_file(dump->vmo);
	if (!err && (!vmo || !vmo_object_served_by(vmo, pager_of(cb))))
		err = -EINVAL;
	else if (!err && !(vmo_file_rights(dump->vmo) & VMO_RIGHT_READ))
		err = -EACCES;
	if (!err)
		return 0;
	if (IS_ERR(dump->vmo))
		dump->vmo = NULL;
	else
		NL_SET_ERR_MSG(cb->extack, "no object of this pager that may be read");
	vmo_nl_pager_dump_done(cb);
	return err;
}

/* Ranges for one look. */
#define RANGES	32U

/**
 * struct ranges - what is dirty, from one look on
 * @first: keys
 * @last: keys
 * @zero: without pages
 * @count: how many
 */
struct ranges {
	pgoff_t first[RANGES];
	pgoff_t last[RANGES];
	bool zero[RANGES];
	unsigned int count;
};

static bool note_range(pgoff_t first, pgoff_t last, bool zero, void *arg)
{
	struct ranges *r = arg;
	unsigned int at = r->count;

	if (at && r->last[at - 1] + 1 == first && r->zero[at - 1] == zero) {
		r->last[at - 1] = last;
		return true;
	}
	if (at == RANGES)
		return false;
	r->first[at] = first;
	r->last[at] = last;
	r->zero[at] = zero;
	r->count++;
	return true;
}

static int put_range(struct sk_buff *skb, struct netlink_callback *cb, const struct ranges *r,
		     unsigned int i)
{
	void *head = put_head(skb, cb, VMO_CMD_PAGER_DIRTY_RANGES);
	u64 pages = r->last[i] - r->first[i] + 1;

	if (!head)
		return -EMSGSIZE;
	if (nla_put_u64_64bit(skb, VMO_A_PAGER_OFFSET, (u64)r->first[i] << PAGE_SHIFT,
			      VMO_A_PAGER_PAD) ||
	    nla_put_u64_64bit(skb, VMO_A_PAGER_LENGTH, pages << PAGE_SHIFT, VMO_A_PAGER_PAD) ||
	    (r->zero[i] && nla_put_flag(skb, VMO_A_PAGER_ZEROES))) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

/* One look: what of it there is room for is told. */
static int dump_ranges(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct vmo_cow_pages *cow = &vmo_from_file(dump_of(cb)->vmo)->content->cow;
	struct dump *dump = dump_of(cb);
	pgoff_t key = dump->next;
	struct ranges r = { };
	unsigned int i;
	int err;

	err = vmo_cow_dirty_ranges(cow, &key, VMO_KEY_MAX, note_range, &r);
	for (i = 0; !err && i < r.count; i++) {
		err = put_range(skb, cb, &r, i);
		if (!err)
			dump->next = r.last[i] + 1;
	}
	if (!err)
		dump->next = key;
	return err;
}

int vmo_nl_pager_dump_dirty(struct sk_buff *skb, struct netlink_callback *cb)
{
	int err = 0;

	while (!err && dump_of(cb)->next <= VMO_KEY_MAX) {
		err = dump_ranges(skb, cb);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
	}
	return said(skb, err);
}
