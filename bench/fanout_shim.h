/* SPDX-License-Identifier: GPL-2.0 */
/* Memory with the kernel's layout, for counting cache misses. */
#ifndef VMO_FANOUT_SHIM_H
#define VMO_FANOUT_SHIM_H

#include "page.h"
#include "page_tree.h"
#include "cow_pages.h"

/* Memory of @pages pages, handed out in order or, as on an old host, not. */
void memory_init(unsigned long pages, bool shuffled);
unsigned long random_next(void);

#endif
