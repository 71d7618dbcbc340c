// SPDX-License-Identifier: GPL-2.0
/* What those see who debug: the dump in debugfs, and the tracepoints. */
#define VMO_FIXTURE
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#define DUMP	"/sys/kernel/debug/vmo/dump"

/* What the file says after this was written to it; NULL if that cannot be. */
static char *dump(const char *want)
{
	int fd = open(DUMP, O_RDWR | O_CLOEXEC);
	char *text = calloc(1, 1 << 20);
	size_t length = 0;
	ssize_t got = 1;

	if (fd < 0 || (want && write(fd, want, strlen(want)) != (ssize_t)strlen(want)))
		return NULL;
	while (got > 0 && length < (1 << 20) - 1) {
		got = read(fd, text + length, (1 << 20) - 1 - length);
		length += got > 0 ? got : 0;
	}
	close(fd);
	return text;
}

static bool says(const char *text, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return text && strstr(text, line);
}

TEST_F(vmo, debug_dump)
{
	int fd = vmo_filled(self->dev, 8, 0, 1), child = vmo_snap(fd), slice, grandchild, pin;
	unsigned long long id = info_of(fd).id, child_id = info_of(child).id;
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "a\\b \xc3\xa4" };
	char want[64], *text;

	if (access(DUMP, F_OK))
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, ioctl(child, VMO_NAME, &name));
	slice = vmo_slice(fd, PS, 2 * PS, 0);
	ASSERT_EQ(0, write_page(child, 3, 9));
	grandchild = vmo_snap(child);
	pin = vmo_pin_flags(fd, 6 * PS, PS, VMO_PIN_READ);
	ASSERT_LE(0, pin);
	text = dump(NULL);
	EXPECT_TRUE(says(text, "vmo %llu root of 0 ''", id));
	EXPECT_TRUE(says(text, "vmo %llu clone of %llu 'a\\134b \\303\\244'", child_id, id));
	EXPECT_TRUE(says(text, "slice of %llu", id));
	EXPECT_TRUE(says(text, "clone of %llu", child_id));
	free(text);
	/* One and its children, indented, with their pages; not what stems from them. */
	snprintf(want, sizeof(want), "%llu 1 1", id);
	text = dump(want);
	EXPECT_EQ(0, strncmp(text, "vmo ", 4));
	EXPECT_TRUE(says(text, "\n  vmo %llu clone", child_id));
	EXPECT_FALSE(says(text, "clone of %llu", child_id));
	EXPECT_TRUE(says(text, "pages 6-6 private pinned"));
	free(text);
	snprintf(want, sizeof(want), "%llu", child_id);
	text = dump(want);
	EXPECT_EQ(0, strncmp(text, "vmo ", 4));
	EXPECT_FALSE(says(text, "vmo %llu ", id));
	EXPECT_TRUE(says(text, "\n  vmo %llu clone of %llu",
			 (unsigned long long)info_of(grandchild).id, child_id));
	free(text);
	EXPECT_EQ(NULL, dump("what"));
	EXPECT_EQ(NULL, dump("1 4294967295"));
	close(pin);
	close(slice);
	close(grandchild);
	close(child);
	close(fd);
}

static char *trace(void)
{
	char *text = calloc(1, 1 << 18);
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got = 1;

	while (got > 0 && length < (1 << 18) - 1) {
		got = read(fd, text + length, (1 << 18) - 1 - length);
		length += got > 0 ? got : 0;
	}
	close(fd);
	return text;
}

TEST_F(vmo, debug_tracepoints)
{
	unsigned long long id, child_id;
	struct vmo_rewind rewind = { };
	int fd, child, pin;
	char *map, *text;

	mount("tracefs", TRACING, "tracefs", 0, NULL);
	/* With it the scheduler would be patched while the other CPU runs it: see hold_up(). */
	put_line(TRACING "options/record-cmd", 0, "0");
	if (!put_line(TRACING "events/vmo/enable", 0, "1"))
		SKIP(return, "no tracepoints");
	fd = vmo_new_pages(self->dev, 8);
	map = vmo_map(fd, 8, RW);
	map[3 * PS] = 1;
	child = vmo_clone_flags(fd, 8 * PS, VMO_CLONE_KEEP_BASE);
	ASSERT_LE(0, child);
	EXPECT_EQ(0, write_page(child, 3, 5));
	EXPECT_EQ(0, ioctl(child, VMO_REWIND, &rewind));
	pin = vmo_pin_flags(fd, 4 * PS, 2 * PS, VMO_PIN_READ);
	id = info_of(fd).id;
	child_id = info_of(child).id;
	close(pin);
	close(child);
	munmap(map, 8 * PS);
	close(fd);
	put_line(TRACING "events/vmo/enable", 0, "0");
	text = trace();
	EXPECT_TRUE(says(text, "vmo_create: id=%llu ", id));
	EXPECT_TRUE(says(text, "vmo_fault: id=%llu key=3 write", id));
	EXPECT_TRUE(says(text, "vmo_snapshot: parent=%llu result=0", id));
	EXPECT_TRUE(says(text, "vmo_clone: id=%llu parent=%llu kind=clone", child_id, id));
	EXPECT_TRUE(says(text, "vmo_cow_copy: content="));
	EXPECT_TRUE(says(text, "vmo_rewind: id=%llu ", child_id));
	EXPECT_TRUE(says(text, "vmo_pin: id=%llu offset=%lu length=%lu result=0", id, 4 * PS,
			 2 * PS));
	EXPECT_TRUE(says(text, "vmo_close: id=%llu ", child_id));
	EXPECT_TRUE(says(text, "vmo_close: id=%llu ", id));
	free(text);
}

TEST_HARNESS_MAIN
