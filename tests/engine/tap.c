// SPDX-License-Identifier: GPL-2.0
#include "tap.h"

jmp_buf tap_jump;
void (*tap_failed)(void);

int tap_main(const struct tap_test *tests, unsigned int nr)
{
	volatile unsigned int i, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%u\n", nr);
	for (i = 0; i < nr; i++) {
		if (setjmp(tap_jump)) {
			printf("not ok %u - %s\n", i + 1, tests[i].name);
			failed++;
			if (tap_failed)
				tap_failed();
			continue;
		}
		tests[i].run();
		printf("ok %u - %s\n", i + 1, tests[i].name);
	}
	return failed ? 1 : 0;
}
