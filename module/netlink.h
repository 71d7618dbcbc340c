/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the generic netlink family have in common (layer L3). */
#ifndef VMO_NETLINK_H
#define VMO_NETLINK_H

#include <linux/vmo_netlink.h>
#include <net/netlink.h>

struct genl_family;
struct genl_info;
struct netlink_callback;
struct sk_buff;

/* Begins a message of the family; NULL if there is no room. */
void *vmo_netlink_put(struct sk_buff *skb, u32 portid, u32 seq, u8 cmd);

const struct genl_family *vmo_netlink_family(void);
/* An event; takes over @skb. Worth making only if somebody listens. */
bool vmo_netlink_listened(void);
void vmo_netlink_tell(struct sk_buff *skb);

/* netlink_pager.c */
struct vmo_notice;
int vmo_netlink_put_request(struct sk_buff *skb, const struct vmo_notice *notice);
int vmo_netlink_pager_init(void);
void vmo_netlink_pager_exit(void);

extern const struct nla_policy vmo_pager_bind_policy[VMO_A_PAGER_FD + 1];
extern const struct nla_policy vmo_pager_next_policy[VMO_A_PAGER_ROOM + 1];
extern const struct nla_policy vmo_pager_supply_policy[VMO_A_PAGER_SOURCE_OFFSET + 1];
extern const struct nla_policy vmo_pager_fail_policy[VMO_A_PAGER_ERROR + 1];
extern const struct nla_policy vmo_pager_detach_policy[VMO_A_PAGER_VMO + 1];
extern const struct nla_policy vmo_pager_dirty_policy[VMO_A_PAGER_LENGTH + 1];
extern const struct nla_policy vmo_pager_begin_policy[VMO_A_PAGER_ZEROES + 1];
extern const struct nla_policy vmo_pager_end_policy[VMO_A_PAGER_LENGTH + 1];

int vmo_nl_pager_bind(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_next(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_supply(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_fail(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_detach(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_dirty(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_begin(struct sk_buff *skb, struct genl_info *info);
int vmo_nl_pager_end(struct sk_buff *skb, struct genl_info *info);

/* netlink_dump.c */
extern const struct nla_policy vmo_pager_pending_policy[VMO_A_PAGER_FD + 1];
extern const struct nla_policy vmo_pager_dirty_ranges_policy[VMO_A_PAGER_VMO + 1];
extern const struct nla_policy vmo_pager_stats_policy[VMO_A_PAGER_FD + 1];

int vmo_nl_pager_dump_start(struct netlink_callback *cb);
int vmo_nl_pager_dirty_start(struct netlink_callback *cb);
int vmo_nl_pager_dump_done(struct netlink_callback *cb);
int vmo_nl_pager_dump_pending(struct sk_buff *skb, struct netlink_callback *cb);
int vmo_nl_pager_dump_dirty(struct sk_buff *skb, struct netlink_callback *cb);
int vmo_nl_pager_dump_stats(struct sk_buff *skb, struct netlink_callback *cb);

#endif
