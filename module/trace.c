// SPDX-License-Identifier: GPL-2.0
#define CREATE_TRACE_POINTS
#include "trace.h"

/* The engine tells of its copies; see engine.h. */
void vmo_trace_cow_copy(const void *content, unsigned long key)
{
	trace_vmo_cow_copy(content, key);
}
