// SPDX-License-Identifier: LGPL-2.1-or-later
/* VMO_VERSION comes from the file VERSION at the top, by way of the Makefile. */
#include "private.h"

VMO_API const char *vmo_library_version(void)
{
	return VMO_VERSION;
}
