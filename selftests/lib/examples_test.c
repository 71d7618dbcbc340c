// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of docs/examples, as the Makefile built them against an installed tree;
 * they and that tree are beside this program.
 */
#include "lib_test_util.h"

static char here[3072], out[4096];

/* Runs it; its output is in out. The exit status, or -1. */
static int run(const char *environment, const char *program)
{
	char command[sizeof(here) * 2 + 256];
	ssize_t length = readlink("/proc/self/exe", here, sizeof(here) - 1);
	size_t got;
	int status;
	FILE *f;

	if (length < 0)
		return -1;
	here[length] = 0;
	*strrchr(here, '/') = 0;
	snprintf(command, sizeof(command), "cd '%s' && %s ./%s 2>&1", here, environment, program);
	f = popen(command, "r");
	if (!f)
		return -1;
	got = fread(out, 1, sizeof(out) - 1, f);
	out[got] = 0;
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool says(const char *text)
{
	if (!strcmp(out, text))
		return true;
	printf("# it said: %s\n", out);
	return false;
}

#define LIBRARY "LD_LIBRARY_PATH=$PWD/root" LIBDIR

TEST_F(lib, readme_c)
{
	EXPECT_EQ(0, run("", "example-readme"));
	EXPECT_TRUE(says(""));
}

TEST_F(lib, raw_c)
{
	EXPECT_EQ(0, run("", "example-raw"));
	EXPECT_TRUE(says("the snapshot has \"before\", the memory \"after\"\n"));
}

TEST_F(lib, lib_c)
{
	EXPECT_EQ(0, run(LIBRARY, "example-lib"));
	EXPECT_TRUE(says("after the batch: 9999937\nafter the check: 10000000\n"));
}

TEST_F(lib, pager_c)
{
	EXPECT_EQ(0, run(LIBRARY, "example-pager"));
	EXPECT_TRUE(says("12 * 12 = 144, 1234567 * 1234567 = 1524155677489\n"));
}

TEST_F(lib, lib_c_with_the_static_library)
{
	EXPECT_EQ(0, run("", "example-lib-static"));
	EXPECT_TRUE(says("after the batch: 9999937\nafter the check: 10000000\n"));
}

TEST_F(lib, vmo_py)
{
	EXPECT_EQ(0, run("", "vmo.py"));
	EXPECT_TRUE(says("the snapshot has b'before', the memory b'after '\n"));
}

TEST_F(lib, sandbox_c)
{
	EXPECT_EQ(0, run("", "example-sandbox"));
	EXPECT_TRUE(says("1000 requests, 0 saw another's; "
			 "the memory has \"the program, set up once\"\n"));
}

TEST_F(lib, checkpoint_c)
{
	EXPECT_EQ(0, run("", "example-checkpoint"));
	EXPECT_NE(NULL, strstr(out, "the first checkpoint has 16384 KiB, ten more have "));
	EXPECT_NE(NULL, strstr(out, "; restored it is the same\n"));
}

TEST_F(lib, gc_c)
{
	EXPECT_EQ(0, run("", "example-gc"));
	EXPECT_NE(NULL, strstr(out, "0 young objects were missed\n"));
}

/* Each of them says what is wrong, and fails. */
TEST_F(lib, without_a_device)
{
	struct stat st;

	ASSERT_EQ(0, stat("/dev/null", &st));
	ASSERT_EQ(0, empty_dev());
	ASSERT_EQ(0, mknod("/dev/null", S_IFCHR | 0666, st.st_rdev));
	EXPECT_EQ(1, run("", "example-readme"));
	EXPECT_EQ(1, run("", "example-raw"));
	EXPECT_TRUE(says("/dev/vmo: No such file or directory\n"));
	EXPECT_EQ(1, run(LIBRARY, "example-lib"));
	EXPECT_NE(NULL, strstr(out, "modprobe vmo"));
	EXPECT_EQ(1, run("", "vmo.py"));
	EXPECT_NE(NULL, strstr(out, "FileNotFoundError"));
}

TEST_HARNESS_MAIN
