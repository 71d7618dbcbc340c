/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What can be traced (layer L3): events/vmo in tracefs. Objects go by their ids, contents,
 * of which the engine knows nothing more, by their addresses, hashed as %p prints them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vmo

#if !defined(VMO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VMO_TRACE_H

#include <linux/tracepoint.h>
#include "object.h"

DECLARE_EVENT_CLASS(vmo_object,
	TP_PROTO(const struct vmo *vmo),
	TP_ARGS(vmo),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(const void *, content)
	),
	TP_fast_assign(
		__entry->id = vmo->id;
		__entry->content = &vmo->content->cow;
	),
	TP_printk("id=%llu content=%p", __entry->id, __entry->content)
);

DEFINE_EVENT(vmo_object, vmo_create, TP_PROTO(const struct vmo *vmo), TP_ARGS(vmo));
DEFINE_EVENT(vmo_object, vmo_close, TP_PROTO(const struct vmo *vmo), TP_ARGS(vmo));
DEFINE_EVENT(vmo_object, vmo_rewind, TP_PROTO(const struct vmo *vmo), TP_ARGS(vmo));

TRACE_EVENT(vmo_clone,
	TP_PROTO(const struct vmo *vmo, const struct vmo *parent),
	TP_ARGS(vmo, parent),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, parent)
		__field(unsigned long, flags)
		__field(unsigned long, first)
	),
	TP_fast_assign(
		__entry->id = vmo->id;
		__entry->parent = parent->id;
		__entry->flags = vmo->flags;
		__entry->first = vmo->base;
	),
	TP_printk("id=%llu parent=%llu kind=%s first=%lu", __entry->id, __entry->parent,
		  __print_flags(__entry->flags & (VMO_OBJ_COW_CLONE | VMO_OBJ_SLICE |
						  VMO_OBJ_REFERENCE), "|",
				{ VMO_OBJ_COW_CLONE, "clone" }, { VMO_OBJ_SLICE, "slice" },
				{ VMO_OBJ_REFERENCE, "reference" }),
		  __entry->first)
);

TRACE_EVENT(vmo_fault,
	TP_PROTO(u64 id, unsigned long key, bool write, unsigned int result),
	TP_ARGS(id, key, write, result),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, key)
		__field(bool, write)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->key = key;
		__entry->write = write;
		__entry->result = result;
	),
	TP_printk("id=%llu key=%lu %s result=%x", __entry->id, __entry->key,
		  __entry->write ? "write" : "read", __entry->result)
);

TRACE_EVENT(vmo_cow_copy,
	TP_PROTO(const void *content, unsigned long key),
	TP_ARGS(content, key),
	TP_STRUCT__entry(
		__field(const void *, content)
		__field(unsigned long, key)
	),
	TP_fast_assign(
		__entry->content = content;
		__entry->key = key;
	),
	TP_printk("content=%p key=%lu", __entry->content, __entry->key)
);

TRACE_EVENT(vmo_snapshot,
	TP_PROTO(const struct vmo *parent, int result),
	TP_ARGS(parent, result),
	TP_STRUCT__entry(
		__field(u64, parent)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->parent = parent->id;
		__entry->result = result;
	),
	TP_printk("parent=%llu result=%d", __entry->parent, __entry->result)
);

TRACE_EVENT(vmo_pin,
	TP_PROTO(const struct vmo *vmo, u64 offset, u64 length, int result),
	TP_ARGS(vmo, offset, length, result),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u64, length)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->id = vmo->id;
		__entry->offset = offset;
		__entry->length = length;
		__entry->result = result;
	),
	TP_printk("id=%llu offset=%llu length=%llu result=%d", __entry->id, __entry->offset,
		  __entry->length, __entry->result)
);

TRACE_EVENT(vmo_overtime,
	TP_PROTO(u64 pager, u64 memory, unsigned long key, unsigned int type, unsigned int ms),
	TP_ARGS(pager, memory, key, type, ms),
	TP_STRUCT__entry(
		__field(u64, pager)
		__field(u64, memory)
		__field(unsigned long, key)
		__field(unsigned int, type)
		__field(unsigned int, ms)
	),
	TP_fast_assign(
		__entry->pager = pager;
		__entry->memory = memory;
		__entry->key = key;
		__entry->type = type;
		__entry->ms = ms;
	),
	TP_printk("pager=%llu memory=%llu key=%lu type=%s ms=%u", __entry->pager,
		  __entry->memory, __entry->key,
		  __print_symbolic(__entry->type, { VMO_ASK_READ, "read" },
				   { VMO_ASK_DIRTY, "dirty" }, { VMO_ASK_SYNC, "sync" }),
		  __entry->ms)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
