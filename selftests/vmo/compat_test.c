// SPDX-License-Identifier: GPL-2.0
/* A 32-bit program sees the same structures, and they work. */
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#include <libgen.h>
#include <limits.h>

#define LAYOUTS_ONLY
#include "compat32.c"

#define NO_IA32		77

FIXTURE(vmo) {
	int dev;
	char program[PATH_MAX + 16];
};

FIXTURE_SETUP(vmo)
{
	char self_exe[PATH_MAX] = "";

	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	/* It is built beside this one. */
	ASSERT_LT(0, readlink("/proc/self/exe", self_exe, sizeof(self_exe) - 1));
	snprintf(self->program, sizeof(self->program), "%s/compat32", dirname(self_exe));
	ASSERT_EQ(0, access(self->program, X_OK));
}

FIXTURE_TEARDOWN(vmo)
{
	close(self->dev);
}

/* Runs it; its output goes to @out. The exit code, or -1. */
static int run_program(const char *program, char *out, size_t size)
{
	int pipes[2], status;
	ssize_t n = 1, length = 0;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(pipes[1], 1);
		execl(program, program, NULL);
		_exit(errno == ENOEXEC ? NO_IA32 : 126);
	}
	close(pipes[1]);
	while (n > 0) {
		n = read(pipes[0], out + length, size - 1 - length);
		if (n > 0)
			length += n;
	}
	out[length] = 0;
	close(pipes[0]);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(vmo, abi_32_bit_program)
{
	static char out[16384];
	long objects = vmo_counter("objects");
	char line[100], *p = out;
	int status = run_program(self->program, out, sizeof(out));

	if (status == NO_IA32)
		SKIP(return, "this kernel has no 32-bit programs");
	for (size_t i = 0; i < NR_LAYOUTS; i++) {
		size_t length = snprintf(line, sizeof(line), "%s %u %u\n", layouts[i].name,
					 layouts[i].offset, layouts[i].size);

		ASSERT_EQ(0, strncmp(p, line, length)) TH_LOG("not %s but %.60s", line, p);
		p += length;
	}
	EXPECT_STREQ("", p);
	EXPECT_EQ(0, status);
	EXPECT_EQ(objects, vmo_counter_becomes("objects", objects));
}

TEST_HARNESS_MAIN
