/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The engine's twin for fanout: that of the tests, but with locks of the
 * kernel's size, so that nodes have the kernel's layout. One thread only.
 */
#include <pthread.h>
#define pthread_mutex_t int
#include "../tests/engine/engine.h"
#undef pthread_mutex_t
