/* SPDX-License-Identifier: GPL-2.0 */
/* Threads in one thread, which change turns where a schedule says so. */
#ifndef VMO_TEST_THREADS_H
#define VMO_TEST_THREADS_H

#include "shim.h"

#define THREADS_MAX	3
#define SWITCHES_MAX	64

/**
 * struct schedule - who runs when
 * @first: the thread that starts
 * @nr: number of turns planned
 * @at: steps at which the turn changes, rising
 * @to: who is next there; if that one is done, the one after
 */
struct schedule {
	int first;
	int nr;
	unsigned int at[SWITCHES_MAX];
	int to[SWITCHES_MAX];
};

typedef void (*thread_fn)(int self);

/*
 * Runs @fn in @nr threads until all are done. Who waits for a lock gives the
 * turn to the next; if all wait the test has failed. Returns the steps it took.
 */
unsigned int threads_run(int nr, thread_fn fn, const struct schedule *schedule);

#endif
