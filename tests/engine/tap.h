/* SPDX-License-Identifier: GPL-2.0 */
/* A test is a function; a failed CHECK() ends it and is reported with its line. */
#ifndef VMO_TEST_TAP_H
#define VMO_TEST_TAP_H

#include <setjmp.h>
#include <stdio.h>

struct tap_test {
	const char *name;
	void (*run)(void);
};

extern jmp_buf tap_jump;
/* Called after a failed test, if not NULL. */
extern void (*tap_failed)(void);

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			longjmp(tap_jump, 1); \
		} \
	} while (0)

int tap_main(const struct tap_test *tests, unsigned int nr);

#endif
