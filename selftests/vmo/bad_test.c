// SPDX-License-Identifier: GPL-2.0
/*
 * Bad arguments: every command of the header is given whatever it must refuse,
 * and then nothing may have changed.
 */
#include "kselftest_harness.h"
#include "vmo_test_util.h"
#include "pager_util.h"

#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PAGES		4
#define SIZE		(PAGES * PS)
#define SEED		500
#define NAME		"of many colours"

/* What must be as it was after a refusal. */
struct state {
	int fds;
	struct vmo_info info[2];
	off_t st_size[2];
	uint64_t sum[2];
	long objects;
	long contents;
	long pins;
};

FIXTURE(vmo) {
	int dev;
	union {
		struct { int fixed, resizable; };
		int object[2];
	};
	int pager;
	struct state before;
};

typedef FIXTURE_DATA(vmo) fixture;

static struct iovec the_iov;
static uint64_t the_word;
static struct vmo_page_run the_run;
static struct vmo_lookup_entry the_entry;
static struct vmo_range the_range;
static int the_source;	/* of transfers, and to supply */
static int the_paged[2];	/* objects of the pager, the second one to be detached */

static uint64_t content_sum(int fd)
{
	uint64_t *buf = calloc(PAGES, PS), sum;

	sum = pread(fd, buf, SIZE, 0) == (ssize_t)SIZE ? checksum(buf, SIZE) : 0;
	free(buf);
	return sum;
}

static void look(fixture *self, struct state *state)
{
	state->fds = count_fds();
	for (int i = 0; i < 2; i++) {
		struct stat st = { .st_size = -1 };

		vmo_stat(self->object[i], &state->info[i]);
		fstat(self->object[i], &st);
		state->st_size[i] = st.st_size;
		state->sum[i] = content_sum(self->object[i]);
	}
}

static int new_object(int dev, uint32_t flags)
{
	struct vmo_create arg = { .size = SIZE - 100, .flags = flags, .name = NAME };

	if (ioctl(dev, VMO_CREATE, &arg))
		return -1;
	/* Page 2 stays a hole. */
	if (write_page(arg.fd, 0, SEED) || write_page(arg.fd, 1, SEED + 1) ||
	    write_page(arg.fd, 3, SEED + 3))
		return -1;
	return arg.fd;
}

FIXTURE_SETUP(vmo)
{
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fixed = new_object(self->dev, 0);
	ASSERT_LE(0, self->fixed);
	self->resizable = new_object(self->dev, VMO_CREATE_RESIZABLE);
	ASSERT_LE(0, self->resizable);
	the_source = self->fixed;
	self->pager = pager_new(self->dev);
	ASSERT_LE(0, self->pager);
	for (int i = 0; i < 2; i++) {
		the_paged[i] = paged_new(self->dev, self->pager, 1, VMO_CREATE_TRAP_DIRTY);
		ASSERT_LE(0, the_paged[i]);
	}
	look(self, &self->before);
	ASSERT_EQ(SIZE, self->before.info[0].size);
	ASSERT_EQ(3 * PS, self->before.info[0].committed_bytes);
	ASSERT_NE(0, self->before.sum[0]);
	self->before.objects = vmo_counter("objects");
	self->before.contents = vmo_counter("contents");
	self->before.pins = vmo_counter("pins");
}

/* What was not refused may have raised them. */
static void note_generations(fixture *self)
{
	for (int i = 0; i < 2; i++)
		self->before.info[i].generation = info_of(self->object[i]).generation;
}

static void unchanged(struct __test_metadata *_metadata, fixture *self,
		      const char *what)
{
	struct state now;

	look(self, &now);
	EXPECT_EQ(self->before.fds, now.fds)
		TH_LOG("descriptors, after %s", what);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, memcmp(&self->before.info[i], &now.info[i], sizeof(now.info[i])))
			TH_LOG("info of object %d, after %s", i, what);
		EXPECT_EQ(self->before.st_size[i], now.st_size[i])
			TH_LOG("size of object %d, after %s", i, what);
		EXPECT_EQ(self->before.sum[i], now.sum[i])
			TH_LOG("content of object %d, after %s", i, what);
	}
}

FIXTURE_TEARDOWN(vmo)
{
	note_generations(self);
	unchanged(_metadata, self, "the test");
	EXPECT_EQ(self->before.objects, vmo_counter_becomes("objects", self->before.objects));
	EXPECT_EQ(self->before.contents, vmo_counter_becomes("contents", self->before.contents));
	EXPECT_EQ(self->before.pins, vmo_counter_becomes("pins", self->before.pins));
	close(self->fixed);
	close(self->resizable);
	close(the_paged[0]);
	close(the_paged[1]);
	close(self->pager);
	close(self->dev);
}

/* The call is refused, says why, and both objects are as they were. */
#define REFUSED(_errno, _call, ...) do {				\
	char what_[200];						\
	long ret_;							\
	int err_;							\
									\
	snprintf(what_, sizeof(what_), __VA_ARGS__);			\
	note_generations(self);						\
	errno = 0;							\
	ret_ = (_call);							\
	err_ = errno;							\
	EXPECT_EQ(-1, ret_) TH_LOG("%s", what_);			\
	EXPECT_EQ(_errno, err_) TH_LOG("%s: %s", what_, strerror(err_)); \
	unchanged(_metadata, self, what_);				\
} while (0)

/* ---- the table --------------------------------------------------------- */

enum on { ON_DEV, ON_FIXED, ON_RESIZABLE, ON_PAGER };
enum need { NOTHING = 0, READ_MODE = 1, WRITE_MODE = 2 };

/*
 * One row for each command: the first version's size; where the new descriptor,
 * the flags and the reserved field are, counted from 1, and 0 for none; which
 * flags there are; what the descriptor has to allow; whether nothing is answered.
 */
struct command {
	const char *name;
	unsigned int nr;
	size_t size;
	size_t min;
	unsigned int fd;
	unsigned int flags;
	unsigned int reserved;
	uint32_t known;
	enum on on;
	enum need need;
	bool silent;
};

#define ROW(_cmd, _struct, _last, ...)						\
	{									\
		.name = #_cmd, .nr = _IOC_NR(_cmd), .size = sizeof(struct _struct), \
		.min = offsetof(struct _struct, _last) +			\
		       sizeof(((struct _struct *)NULL)->_last),			\
		__VA_ARGS__							\
	}
#define AT(_struct, _field)	(1 + offsetof(struct _struct, _field))
#define CLONE_KINDS	(VMO_CLONE_SNAPSHOT | VMO_CLONE_AT_LEAST_ON_WRITE | VMO_CLONE_MODIFIED)

static const struct command commands[] = {
	ROW(VMO_PROBE, vmo_probe, max_size, .on = ON_DEV),
	ROW(VMO_CREATE, vmo_create, fd, .on = ON_DEV, .need = WRITE_MODE,
	    .fd = AT(vmo_create, fd), .flags = AT(vmo_create, flags),
	    .reserved = AT(vmo_create, reserved),
	    .known = VMO_CREATE_RESIZABLE | VMO_CREATE_EXEC | VMO_CREATE_LONGTERM),
	ROW(VMO_CLONE, vmo_clone, fd, .on = ON_FIXED, .need = READ_MODE,
	    .fd = AT(vmo_clone, fd), .flags = AT(vmo_clone, flags),
	    .known = CLONE_KINDS | VMO_CLONE_NO_WRITE | VMO_CLONE_RESIZABLE |
		     VMO_CLONE_COPY_PINNED | VMO_CLONE_LONGTERM | VMO_CLONE_KEEP_BASE),
	ROW(VMO_SLICE, vmo_slice, fd, .on = ON_FIXED, .need = READ_MODE,
	    .fd = AT(vmo_slice, fd), .flags = AT(vmo_slice, flags),
	    .known = VMO_SLICE_NO_WRITE),
	ROW(VMO_REFERENCE, vmo_reference, fd, .on = ON_RESIZABLE, .need = READ_MODE,
	    .fd = AT(vmo_reference, fd), .flags = AT(vmo_reference, flags),
	    .known = VMO_REFERENCE_NO_WRITE | VMO_REFERENCE_RESIZABLE),
	ROW(VMO_RESIZE, vmo_resize, reserved, .on = ON_RESIZABLE, .need = WRITE_MODE,
	    .flags = AT(vmo_resize, flags), .reserved = AT(vmo_resize, reserved),
	    .silent = true),
	ROW(VMO_OP_RANGE, vmo_op_range, length, .on = ON_FIXED, .need = WRITE_MODE,
	    .flags = AT(vmo_op_range, flags), .silent = true),
	ROW(VMO_PIN, vmo_pin, fd, .on = ON_FIXED, .need = READ_MODE,
	    .fd = AT(vmo_pin, fd), .flags = AT(vmo_pin, flags),
	    .known = VMO_PIN_READ | VMO_PIN_WRITE),
	ROW(VMO_NAME, vmo_name, name, .on = ON_FIXED, .flags = AT(vmo_name, flags),
	    .reserved = AT(vmo_name, reserved), .known = VMO_NAME_SET),
	ROW(VMO_INFO, vmo_info, flags, .on = ON_FIXED),
	ROW(VMO_READ, vmo_rw, actual, .on = ON_FIXED, .need = READ_MODE,
	    .flags = AT(vmo_rw, flags), .known = VMO_RW_TRIM),
	ROW(VMO_WRITE, vmo_rw, actual, .on = ON_FIXED, .need = WRITE_MODE,
	    .flags = AT(vmo_rw, flags), .known = VMO_RW_TRIM),
	ROW(VMO_RESTRICT, vmo_restrict, reserved, .on = ON_FIXED,
	    .fd = AT(vmo_restrict, fd), .flags = AT(vmo_restrict, flags),
	    .reserved = AT(vmo_restrict, reserved)),
	ROW(VMO_TRANSFER, vmo_transfer, flags, .on = ON_FIXED, .need = WRITE_MODE,
	    .flags = AT(vmo_transfer, flags), .silent = true),
	ROW(VMO_PAGES, vmo_pages, flags, .on = ON_FIXED, .need = READ_MODE,
	    .flags = AT(vmo_pages, flags)),
	ROW(VMO_LOOKUP, vmo_lookup, flags, .on = ON_FIXED, .need = READ_MODE,
	    .flags = AT(vmo_lookup, flags),
	    .known = VMO_LOOKUP_SHARED | VMO_LOOKUP_CONTIGUOUS),
	ROW(VMO_USAGE, vmo_usage, metadata_bytes, .on = ON_FIXED,
	    .flags = AT(vmo_usage, flags), .reserved = AT(vmo_usage, reserved)),
	ROW(VMO_STATS, vmo_stats, usage_misses, .on = ON_DEV),
	ROW(VMO_DIFF, vmo_diff, reserved, .on = ON_FIXED, .need = READ_MODE,
	    .flags = AT(vmo_diff, flags), .reserved = AT(vmo_diff, reserved)),
	ROW(VMO_HARVESTER, vmo_harvester, fd, .on = ON_FIXED, .need = READ_MODE,
	    .fd = AT(vmo_harvester, fd), .flags = AT(vmo_harvester, flags)),
	ROW(VMO_PAGER_CREATE, vmo_pager_create, window, .on = ON_DEV, .need = WRITE_MODE,
	    .fd = AT(vmo_pager_create, fd), .flags = AT(vmo_pager_create, flags)),
	ROW(VMO_PAGER_BIND, vmo_pager_bind, fd, .on = ON_PAGER,
	    .fd = AT(vmo_pager_bind, fd), .flags = AT(vmo_pager_bind, flags)),
	ROW(VMO_PAGER_SUPPLY, vmo_pager_supply, reserved, .on = ON_PAGER,
	    .flags = AT(vmo_pager_supply, flags), .reserved = AT(vmo_pager_supply, reserved),
	    .silent = true),
	ROW(VMO_PAGER_FAIL, vmo_pager_fail, reserved, .on = ON_PAGER,
	    .flags = AT(vmo_pager_fail, flags), .reserved = AT(vmo_pager_fail, reserved),
	    .silent = true),
	ROW(VMO_PAGER_WRITEBACK, vmo_pager_writeback, flags, .on = ON_PAGER,
	    .flags = AT(vmo_pager_writeback, flags), .known = VMO_PAGER_BEGIN | VMO_PAGER_ZEROES,
	    .silent = true),
	ROW(VMO_PAGER_DIRTY_RANGES, vmo_pager_dirty_ranges, reserved, .on = ON_PAGER,
	    .flags = AT(vmo_pager_dirty_ranges, flags),
	    .reserved = AT(vmo_pager_dirty_ranges, reserved)),
	ROW(VMO_PAGER_DIRTY, vmo_pager_dirty, flags, .on = ON_PAGER,
	    .flags = AT(vmo_pager_dirty, flags), .silent = true),
	ROW(VMO_PAGER_STATS, vmo_pager_stats, reserved, .on = ON_PAGER,
	    .flags = AT(vmo_pager_stats, flags), .known = VMO_PAGER_RESET,
	    .reserved = AT(vmo_pager_stats, reserved)),
	ROW(VMO_PAGER_DETACH, vmo_pager_detach, flags, .on = ON_PAGER,
	    .flags = AT(vmo_pager_detach, flags), .silent = true),
};

static const struct command *const the_end = commands + ARRAY_SIZE(commands);

static bool is(const struct command *cmd, unsigned int num)
{
	return cmd->nr == _IOC_NR(num);
}

static void *field(void *buf, unsigned int at)
{
	return (char *)buf + at - 1;
}

/* An argument that works and leaves the object as it is. */
static void *good_argument(const struct command *cmd, void *buf, size_t size)
{
	memset(buf, 0, size);
	if (is(cmd, VMO_CREATE)) {
		((struct vmo_create *)buf)->size = PS;
	} else if (is(cmd, VMO_CLONE)) {
		((struct vmo_clone *)buf)->size = PS;
		((struct vmo_clone *)buf)->flags = VMO_CLONE_SNAPSHOT;
	} else if (is(cmd, VMO_SLICE)) {
		((struct vmo_slice *)buf)->size = PS;
	} else if (is(cmd, VMO_RESIZE)) {
		((struct vmo_resize *)buf)->size = SIZE;
	} else if (is(cmd, VMO_OP_RANGE)) {
		((struct vmo_op_range *)buf)->op = VMO_OP_COMMIT;
		((struct vmo_op_range *)buf)->length = PS;
	} else if (is(cmd, VMO_PIN)) {
		((struct vmo_pin *)buf)->length = PS;
		((struct vmo_pin *)buf)->flags = VMO_PIN_READ;
	} else if (is(cmd, VMO_READ) || is(cmd, VMO_WRITE)) {
		the_word = mix((uint64_t)SEED << 16);	/* what is there already */
		the_iov = (struct iovec) { &the_word, sizeof(the_word) };
		((struct vmo_rw *)buf)->iov = (uintptr_t)&the_iov;
		((struct vmo_rw *)buf)->iov_count = 1;
	} else if (is(cmd, VMO_TRANSFER)) {
		((struct vmo_transfer *)buf)->length = PS;	/* to itself */
		((struct vmo_transfer *)buf)->src_fd = the_source;
	} else if (is(cmd, VMO_PAGES)) {
		((struct vmo_pages *)buf)->length = PS;
		((struct vmo_pages *)buf)->runs = (uintptr_t)&the_run;
		((struct vmo_pages *)buf)->count = 1;
	} else if (is(cmd, VMO_LOOKUP)) {
		((struct vmo_lookup *)buf)->length = PS;
		((struct vmo_lookup *)buf)->entries = (uintptr_t)&the_entry;
		((struct vmo_lookup *)buf)->count = 1;
	} else if (is(cmd, VMO_DIFF)) {
		((struct vmo_diff *)buf)->length = PS;
		((struct vmo_diff *)buf)->ranges = (uintptr_t)&the_range;
		((struct vmo_diff *)buf)->count = 1;
		((struct vmo_diff *)buf)->other_fd = the_source;
	} else if (is(cmd, VMO_PAGER_SUPPLY)) {
		((struct vmo_pager_supply *)buf)->vmo_fd = the_paged[0];
		((struct vmo_pager_supply *)buf)->src_fd = the_source;
	} else if (is(cmd, VMO_PAGER_FAIL)) {
		((struct vmo_pager_fail *)buf)->vmo_fd = the_paged[0];
		((struct vmo_pager_fail *)buf)->error = EIO;
	} else if (is(cmd, VMO_PAGER_WRITEBACK)) {
		((struct vmo_pager_writeback *)buf)->vmo_fd = the_paged[0];
		((struct vmo_pager_writeback *)buf)->flags = VMO_PAGER_BEGIN;
	} else if (is(cmd, VMO_PAGER_DIRTY_RANGES)) {
		((struct vmo_pager_dirty_ranges *)buf)->vmo_fd = the_paged[0];
		((struct vmo_pager_dirty_ranges *)buf)->length = PS;
		((struct vmo_pager_dirty_ranges *)buf)->ranges = (uintptr_t)&the_run;
		((struct vmo_pager_dirty_ranges *)buf)->count = 1;
	} else if (is(cmd, VMO_PAGER_DIRTY)) {
		((struct vmo_pager_dirty *)buf)->vmo_fd = the_paged[0];
	} else if (is(cmd, VMO_PAGER_STATS)) {
		((struct vmo_pager_stats *)buf)->vmo_fd = the_paged[0];
	} else if (is(cmd, VMO_PAGER_DETACH)) {
		((struct vmo_pager_detach *)buf)->vmo_fd = the_paged[1];
	}
	if (cmd->fd)
		*(int32_t *)field(buf, cmd->fd) = -77;
	return buf;
}

static uint32_t *flags_of(const struct command *cmd, void *buf)
{
	return field(buf, cmd->flags);
}

static int target(fixture *self, const struct command *cmd)
{
	switch (cmd->on) {
	case ON_DEV:
		return self->dev;
	case ON_FIXED:
		return self->fixed;
	case ON_PAGER:
		return self->pager;
	default:
		return self->resizable;
	}
}

static int call_on(int fd, const struct command *cmd, size_t size, void *arg)
{
	return ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, VMO_IOC, cmd->nr, size), arg);
}

static int call(fixture *self, const struct command *cmd, void *arg)
{
	return call_on(target(self, cmd), cmd, cmd->size, arg);
}

/* It works; a descriptor that it made is closed. */
static void works(struct __test_metadata *_metadata, int fd, const struct command *cmd,
		  size_t size, void *arg)
{
	EXPECT_EQ(0, call_on(fd, cmd, size, arg))
		TH_LOG("%s, %zu bytes, flags 0x%x: %s", cmd->name, size,
		       cmd->flags ? *flags_of(cmd, arg) : 0, strerror(errno));
	if (cmd->fd)
		EXPECT_EQ(0, close(*(int32_t *)field(arg, cmd->fd)))
			TH_LOG("%s: no descriptor", cmd->name);
}

/* ---- encoding ---------------------------------------------------------- */

TEST_F(vmo, bad_structure_sizes)
{
	static uint64_t words[2048];
	char *buf = (char *)words;

	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		const size_t longer[] = { cmd->size + 1, cmd->size + 8, PS, 16383 };
		int fd = target(self, cmd);

		for (size_t size = 0; size < cmd->min; size++) {
			good_argument(cmd, buf, sizeof(words));
			EXPECT_ERRNO(EINVAL, call_on(fd, cmd, size, buf));
		}
		REFUSED(EINVAL, call_on(fd, cmd, cmd->min - 1, buf), "%s, short", cmd->name);
		/* Nothing is written behind what the caller has. */
		for (size_t size = cmd->min; size <= cmd->size; size++) {
			good_argument(cmd, buf, sizeof(words));
			memset(buf + size, 0x5a, 100);
			works(_metadata, fd, cmd, size, buf);
			for (size_t i = 0; i < 100; i++)
				ASSERT_EQ(0x5a, buf[size + i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(longer); i++) {
			good_argument(cmd, buf, sizeof(words));
			works(_metadata, fd, cmd, longer[i], buf);
			for (size_t j = cmd->size; j < longer[i]; j++)
				ASSERT_EQ(0, buf[j]);
			good_argument(cmd, buf, sizeof(words));
			buf[longer[i] - 1] = 1;
			REFUSED(E2BIG, call_on(fd, cmd, longer[i], buf), "%s, last byte of %zu",
				cmd->name, longer[i]);
			good_argument(cmd, buf, sizeof(words));
			buf[cmd->size] = 0x80;
			REFUSED(E2BIG, call_on(fd, cmd, longer[i], buf), "%s, byte behind",
				cmd->name);
		}
	}
}

/* Commands are told by their number alone, whatever the direction says. */
TEST_F(vmo, bad_direction_does_not_matter)
{
	uint64_t buf[32];

	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		for (unsigned int dir = 0; dir < 4; dir++) {
			good_argument(cmd, buf, sizeof(buf));
			EXPECT_EQ(0, ioctl(target(self, cmd),
					   _IOC(dir, VMO_IOC, cmd->nr, cmd->size), buf))
				TH_LOG("%s, direction %u", cmd->name, dir);
			if (cmd->fd)
				close(*(int32_t *)field(buf, cmd->fd));
		}
	}
}

TEST_F(vmo, bad_pointers)
{
	char *p = mmap(NULL, 3 * PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + PS, PS));
	ASSERT_EQ(0, mprotect(p + 2 * PS, PS, PROT_NONE));
	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		char *edge = p + PS - cmd->size;

		REFUSED(EFAULT, call(self, cmd, NULL), "%s(NULL)", cmd->name);
		REFUSED(EFAULT, call(self, cmd, p + PS), "%s(unmapped)", cmd->name);
		REFUSED(EFAULT, call(self, cmd, p + 2 * PS), "%s(PROT_NONE)", cmd->name);
		REFUSED(EFAULT, call(self, cmd, (void *)-PS), "%s(kernel)", cmd->name);
		memset(p, 0, PS);
		REFUSED(EFAULT, call(self, cmd, edge + 1), "%s(ends unmapped)", cmd->name);
		good_argument(cmd, edge, cmd->size);
		REFUSED(EFAULT, call_on(target(self, cmd), cmd, cmd->size + 8, edge),
			"%s(tail unmapped)", cmd->name);
		/* And one byte to spare is enough. */
		good_argument(cmd, edge, cmd->size);
		works(_metadata, target(self, cmd), cmd, cmd->size, edge);
	}
	munmap(p, PS);
	munmap(p + 2 * PS, PS);
}

/*
 * Readable, but the answer cannot be written: nothing is left of the call. A child has
 * come and gone by then, which generations may tell.
 */
TEST_F(vmo, bad_read_only_structure)
{
	char *p = mmap(NULL, PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		if (cmd->silent)
			continue;
		good_argument(cmd, p, cmd->size);
		ASSERT_EQ(0, mprotect(p, PS, PROT_READ));
		EXPECT_ERRNO(EFAULT, call(self, cmd, p));
		note_generations(self);
		unchanged(_metadata, self, cmd->name);
		ASSERT_EQ(0, mprotect(p, PS, RW));
	}
	munmap(p, PS);
}

/* These have nothing to answer. If they fail all the same, they do nothing. */
TEST_F(vmo, bad_read_only_structure_without_answer)
{
	char *p = mmap(NULL, PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vmo_resize *resize = (void *)p;
	struct vmo_op_range *range = (void *)p;
	struct vmo_name *name = (void *)p;
	struct vmo_create create = {
		.size = 2 * PS, .flags = VMO_CREATE_RESIZABLE, .name = "old",
	};
	struct vmo_info info;
	int fd, ret;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ioctl(self->dev, VMO_CREATE, &create));
	fd = create.fd;

	*resize = (struct vmo_resize) { .size = 5 * PS };
	ASSERT_EQ(0, mprotect(p, PS, PROT_READ));
	ret = ioctl(fd, VMO_RESIZE, resize);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(ret ? 2 * PS : 5 * PS, info.size) TH_LOG("RESIZE answered %d", ret);
	ASSERT_EQ(0, mprotect(p, PS, RW));

	*range = (struct vmo_op_range) { .op = VMO_OP_COMMIT, .length = PS };
	ASSERT_EQ(0, mprotect(p, PS, PROT_READ));
	ret = ioctl(fd, VMO_OP_RANGE, range);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_EQ(ret ? 0 : PS, info.committed_bytes) TH_LOG("COMMIT answered %d", ret);
	ASSERT_EQ(0, mprotect(p, PS, RW));

	*name = (struct vmo_name) { .flags = VMO_NAME_SET, .name = "new" };
	ASSERT_EQ(0, mprotect(p, PS, PROT_READ));
	ret = ioctl(fd, VMO_NAME, name);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	EXPECT_STREQ(ret ? "old" : "new", info.name) TH_LOG("NAME answered %d", ret);
	munmap(p, PS);
	close(fd);
}

TEST_F(vmo, bad_flags)
{
	uint64_t buf[32], copy[32];

	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		if (!cmd->flags)
			continue;
		for (int bit = 0; bit < 32; bit++) {
			if (cmd->known >> bit & 1)
				continue;
			good_argument(cmd, buf, sizeof(buf));
			*flags_of(cmd, buf) |= 1U << bit;
			memcpy(copy, buf, sizeof(buf));
			REFUSED(EINVAL, call(self, cmd, buf), "%s, flag %d", cmd->name, bit);
			if (!is(cmd, VMO_READ) && !is(cmd, VMO_WRITE))
				EXPECT_EQ(0, memcmp(copy, buf, sizeof(buf)))
					TH_LOG("%s answered", cmd->name);
		}
		for (int bit = 0; bit < 32 && cmd->reserved; bit++) {
			good_argument(cmd, buf, sizeof(buf));
			*(uint32_t *)field(buf, cmd->reserved) = 1U << bit;
			memcpy(copy, buf, sizeof(buf));
			REFUSED(EINVAL, call(self, cmd, buf), "%s, reserved %d", cmd->name, bit);
			EXPECT_EQ(0, memcmp(copy, buf, sizeof(buf)));
		}
	}
}

/* Each flag that there is works alone; the table would not notice otherwise. */
TEST_F(vmo, bad_not_the_known_flags)
{
	uint64_t buf[32];

	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		for (int bit = 0; bit < 32; bit++) {
			if (!(cmd->known >> bit & 1))
				continue;
			good_argument(cmd, buf, sizeof(buf));
			if (is(cmd, VMO_NAME))
				memcpy(field(buf, AT(vmo_name, name)), NAME, sizeof(NAME));
			if (is(cmd, VMO_CLONE) && CLONE_KINDS >> bit & 1)
				*flags_of(cmd, buf) = 0;	/* there is one kind only */
			*flags_of(cmd, buf) |= 1U << bit;
			works(_metadata, target(self, cmd), cmd, cmd->size, buf);
		}
	}
}

TEST_F(vmo, bad_combinations)
{
	static const uint32_t ops[] = { 0, 4, 5, 255, 256, VMO_OP_ZERO << 8, -1U };
	struct vmo_clone clone = { .size = PS };
	struct vmo_reference reference = { };
	struct vmo_pin pin = { .length = PS };

	REFUSED(EINVAL, ioctl(self->fixed, VMO_CLONE, &clone), "clone of no kind");
	clone.flags = VMO_CLONE_NO_WRITE;
	REFUSED(EINVAL, ioctl(self->fixed, VMO_CLONE, &clone), "clone of no kind, NO_WRITE");
	for (uint32_t kinds = 0; kinds <= CLONE_KINDS; kinds++) {
		clone.flags = kinds;
		if (__builtin_popcount(kinds) != 1)
			REFUSED(EINVAL, ioctl(self->fixed, VMO_CLONE, &clone), "clone of kinds %u",
				kinds);
	}
	clone.flags = VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE | VMO_CLONE_RESIZABLE;
	REFUSED(EINVAL, ioctl(self->fixed, VMO_CLONE, &clone), "clone, NO_WRITE and RESIZABLE");
	reference.flags = VMO_REFERENCE_NO_WRITE | VMO_REFERENCE_RESIZABLE;
	REFUSED(EINVAL, ioctl(self->resizable, VMO_REFERENCE, &reference),
		"reference, NO_WRITE and RESIZABLE");
	REFUSED(EINVAL, ioctl(self->fixed, VMO_REFERENCE, &reference),
		"reference of fixed size, NO_WRITE and RESIZABLE");
	reference.flags = VMO_REFERENCE_RESIZABLE;
	REFUSED(EOPNOTSUPP, ioctl(self->fixed, VMO_REFERENCE, &reference),
		"resizable reference of fixed size");
	for (int bit = 0; bit < 64; bit += 7) {
		reference = (struct vmo_reference) { .offset = 1ULL << bit };
		REFUSED(EINVAL, ioctl(self->fixed, VMO_REFERENCE, &reference),
			"reference, offset bit %d", bit);
		reference = (struct vmo_reference) { .size = 1ULL << bit };
		REFUSED(EINVAL, ioctl(self->fixed, VMO_REFERENCE, &reference),
			"reference, size bit %d", bit);
	}
	REFUSED(EINVAL, ioctl(self->fixed, VMO_PIN, &pin), "pin for nothing");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		REFUSED(EINVAL, vmo_op(self->fixed, ops[i], 0, PS), "op %u", ops[i]);
		REFUSED(EINVAL, vmo_op(self->fixed, ops[i], 0, 0), "op %u on nothing", ops[i]);
	}
}

/* ---- descriptors ------------------------------------------------------- */

TEST_F(vmo, bad_descriptors)
{
	int pipes[2], pair[2], others[10], n = 0, path, shut;
	struct vmo_pin pin = { .length = PS, .flags = VMO_PIN_READ };
	uint64_t buf[32];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, ioctl(self->resizable, VMO_PIN, &pin));
	others[n++] = pipes[0];
	others[n++] = pipes[1];
	others[n++] = pair[0];
	others[n++] = open("/dev/null", O_RDWR | O_CLOEXEC);
	others[n++] = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	others[n++] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	others[n++] = memfd_create("vmo-test", MFD_CLOEXEC);
	others[n++] = pin.fd;
	path = vmo_reopen(self->fixed, O_PATH);
	ASSERT_LE(0, path);
	shut = dup(path);
	close(shut);
	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		for (int i = 0; i < n; i++) {
			ASSERT_LE(0, others[i]);
			good_argument(cmd, buf, sizeof(buf));
			errno = 0;
			EXPECT_EQ(-1, call_on(others[i], cmd, cmd->size, buf));
			EXPECT_EQ(ENOTTY, errno)
				TH_LOG("%s on %d: %s", cmd->name, i, strerror(errno));
		}
		EXPECT_ERRNO(EBADF, call_on(path, cmd, cmd->size, buf));
		EXPECT_ERRNO(EBADF, call_on(shut, cmd, cmd->size, buf));
		EXPECT_ERRNO(EBADF, call_on(-1, cmd, cmd->size, buf));
	}
	close(path);
	close(pair[1]);
	while (n)
		close(others[--n]);
	EXPECT_EQ(0, vmo_counter_becomes("pins", 0));
}

TEST_F(vmo, bad_door)
{
	uint64_t buf[32];

	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		int wrong = cmd->on == ON_DEV ? self->fixed : self->dev;
		int right = target(self, cmd);

		good_argument(cmd, buf, sizeof(buf));
		REFUSED(ENOTTY, call_on(wrong, cmd, cmd->size, buf), "%s", cmd->name);
		/* Before everything else that is wrong. */
		REFUSED(ENOTTY, call_on(wrong, cmd, 0, NULL), "%s", cmd->name);
		REFUSED(ENOTTY, ioctl(right, _IOC(3, VMO_IOC + 1, cmd->nr, cmd->size), buf),
			"%s in another letter", cmd->name);
		REFUSED(ENOTTY, ioctl(right, _IOC(3, VMO_IOC, cmd->nr | 0x80, cmd->size), buf),
			"%s + 0x80", cmd->name);
	}
}

TEST_F(vmo, bad_access_to_the_device)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	uint64_t buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int dev = open("/dev/vmo", modes[i] | O_CLOEXEC);
		struct vmo_create create = { .size = PS, .fd = -77 };
		struct vmo_probe probe;

		ASSERT_LE(0, dev);
		memset(&probe, 0xaa, sizeof(probe));
		EXPECT_EQ(0, ioctl(dev, VMO_PROBE, &probe));
		EXPECT_EQ(MAX_SIZE, probe.max_size);
		if (modes[i] == O_RDONLY) {
			EXPECT_ERRNO(EACCES, ioctl(dev, VMO_CREATE, &create));
			EXPECT_EQ(-77, create.fd);
			for (const struct command *cmd = commands; cmd < the_end; cmd++) {
				if (cmd->on == ON_DEV)
					continue;
				good_argument(cmd, buf, sizeof(buf));
				EXPECT_ERRNO(ENOTTY, call_on(dev, cmd, cmd->size, buf));
			}
		} else {
			EXPECT_EQ(0, ioctl(dev, VMO_CREATE, &create));
			EXPECT_EQ(0, close(create.fd));
		}
		close(dev);
	}
	/* Reads and writes are for objects. */
	EXPECT_EQ(-1, read(self->dev, buf, 8));
	EXPECT_EQ(-1, write(self->dev, buf, 8));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PS, RO, MAP_SHARED, self->dev, 0));
}

/* R1, R2, R3: which command needs which mode; and that comes before flags. */
TEST_F(vmo, r1_access_of_descriptors)
{
	static const int modes[] = { O_RDONLY, O_WRONLY };
	uint64_t buf[32];

	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		if (cmd->on == ON_DEV || cmd->on == ON_PAGER)
			continue;
		for (int i = 0; i < 2; i++) {
			int fd = vmo_reopen(target(self, cmd), modes[i]);
			bool refused = cmd->need == (i ? READ_MODE : WRITE_MODE);

			ASSERT_LE(0, fd);
			self->before.fds++;
			good_argument(cmd, buf, sizeof(buf));
			if (!refused)
				works(_metadata, fd, cmd, cmd->size, buf);
			else
				REFUSED(EACCES, call_on(fd, cmd, cmd->size, buf), "%s", cmd->name);
			if (refused && !is(cmd, VMO_PIN)) {
				/* Size, memory, tail, access, flags: in this order. */
				*flags_of(cmd, buf) |= 1U << 31;
				REFUSED(EACCES, call_on(fd, cmd, cmd->size, buf),
					"%s with a bad flag", cmd->name);
				buf[31] = 1;
				REFUSED(E2BIG, call_on(fd, cmd, sizeof(buf), buf),
					"%s with a tail", cmd->name);
				REFUSED(EINVAL, call_on(fd, cmd, cmd->min - 1, NULL),
					"%s, short", cmd->name);
				REFUSED(EFAULT, call_on(fd, cmd, cmd->size, NULL),
					"%s(NULL)", cmd->name);
			}
			self->before.fds--;
			close(fd);
		}
	}
}

/* Whose need depends on the flags. */
TEST_F(vmo, r1_access_of_pins_and_names)
{
	int ro = vmo_reopen(self->fixed, O_RDONLY), wo = vmo_reopen(self->fixed, O_WRONLY);
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "other" };
	struct vmo_pin pin = { .length = PS };
	uint32_t both = VMO_PIN_READ | VMO_PIN_WRITE;

	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	self->before.fds += 2;
	REFUSED(EACCES, ioctl(ro, VMO_NAME, &name), "name, set read-only");
	EXPECT_STREQ("other", name.name);
	name = (struct vmo_name) { .name = "\001 does not matter" };
	EXPECT_EQ(0, ioctl(ro, VMO_NAME, &name));
	EXPECT_STREQ(NAME, name.name);
	name = (struct vmo_name) { .flags = VMO_NAME_SET, .name = NAME };
	EXPECT_EQ(0, ioctl(wo, VMO_NAME, &name));

	pin.flags = VMO_PIN_WRITE;
	REFUSED(EACCES, ioctl(ro, VMO_PIN, &pin), "write pin, read-only");
	pin.flags = both;
	REFUSED(EACCES, ioctl(ro, VMO_PIN, &pin), "both, read-only");
	REFUSED(EACCES, ioctl(wo, VMO_PIN, &pin), "both, write-only");
	pin.flags = VMO_PIN_READ;
	REFUSED(EACCES, ioctl(wo, VMO_PIN, &pin), "read pin, write-only");
	pin.length = 1;
	REFUSED(EACCES, ioctl(wo, VMO_PIN, &pin), "unaligned read pin, write-only");
	pin.length = -PS;
	REFUSED(EACCES, ioctl(wo, VMO_PIN, &pin), "wrapping read pin, write-only");
	pin = (struct vmo_pin) { .length = PS, .flags = VMO_PIN_WRITE };
	EXPECT_EQ(0, ioctl(wo, VMO_PIN, &pin));
	EXPECT_EQ(0, close(pin.fd));
	pin = (struct vmo_pin) { .length = PS, .flags = VMO_PIN_READ };
	EXPECT_EQ(0, ioctl(ro, VMO_PIN, &pin));
	EXPECT_EQ(0, close(pin.fd));
	self->before.fds -= 2;
	close(ro);
	close(wo);
}

/* The text: the access mode comes before the flags. */
TEST_F(vmo, r1_access_before_flags_of_pins_and_names)
{
	int ro = vmo_reopen(self->fixed, O_RDONLY);
	struct vmo_name name = { .flags = VMO_NAME_SET | 1U << 31, .name = "other" };
	struct vmo_pin pin = { .length = PS, .flags = VMO_PIN_WRITE | 1U << 31 };

	ASSERT_LE(0, ro);
	self->before.fds++;
	REFUSED(EACCES, ioctl(ro, VMO_NAME, &name), "name, read-only, bad flag");
	name = (struct vmo_name) { .flags = VMO_NAME_SET, .reserved = 1 };
	REFUSED(EACCES, ioctl(ro, VMO_NAME, &name), "name, read-only, reserved");
	REFUSED(EACCES, ioctl(ro, VMO_PIN, &pin), "write pin, read-only, bad flag");
	self->before.fds--;
	close(ro);
}

static int child_of(int fd, unsigned int num, uint32_t flags)
{
	/* These three have one layout. */
	struct vmo_clone arg = { .flags = flags, .fd = -1 };

	if (num != VMO_REFERENCE)
		arg.size = PS;
	return ioctl(fd, num, &arg) ? -1 : arg.fd;
}

/* R2: what becomes of the mode in children. */
TEST_F(vmo, r2_access_of_children)
{
	static const struct {
		const char *name;
		unsigned int num;
		uint32_t flags;
		bool parent_ro;
		bool writable;
	} rows[] = {
		{ "clone", VMO_CLONE, VMO_CLONE_SNAPSHOT, false, true },
		{ "clone of ro", VMO_CLONE, VMO_CLONE_SNAPSHOT, true, true },
		{ "clone nw", VMO_CLONE, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE, false, false },
		{ "slice", VMO_SLICE, 0, false, true },
		{ "slice of ro", VMO_SLICE, 0, true, false },
		{ "slice nw", VMO_SLICE, VMO_SLICE_NO_WRITE, false, false },
		{ "reference", VMO_REFERENCE, 0, false, true },
		{ "reference of ro", VMO_REFERENCE, 0, true, false },
		{ "reference nw", VMO_REFERENCE, VMO_REFERENCE_NO_WRITE, false, false },
	};
	int ro = vmo_reopen(self->fixed, O_RDONLY);
	char *map, c = 'x';

	ASSERT_LE(0, ro);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = child_of(rows[i].parent_ro ? ro : self->fixed, rows[i].num, rows[i].flags);
		int again;
		struct vmo_info info;

		ASSERT_LE(0, fd) TH_LOG("%s: %s", rows[i].name, strerror(errno));
		ASSERT_EQ(0, vmo_stat(fd, &info));
		EXPECT_EQ(!rows[i].writable, !!(info.flags & VMO_INFO_NO_WRITE))
			TH_LOG("%s", rows[i].name);
		EXPECT_EQ(rows[i].writable ? O_RDWR : O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
		again = vmo_reopen(fd, O_RDWR);
		if (rows[i].writable) {
			ASSERT_LE(0, again);
			close(again);
		} else {
			EXPECT_EQ(-1, again) TH_LOG("%s", rows[i].name);
			EXPECT_EQ(-1, vmo_reopen(fd, O_WRONLY));
			EXPECT_ERRNO(EBADF, pwrite(fd, &c, 1, 0));
			EXPECT_ERRNO(EACCES, vmo_op(fd, VMO_OP_COMMIT, 0, PS));
			EXPECT_ERRNO(EACCES, vmo_op(fd, VMO_OP_ZERO, 0, PS));
			EXPECT_ERRNO(EACCES, mmap(NULL, PS, RW, MAP_SHARED, fd, 0) == MAP_FAILED ?
				     -1 : 0);
			map = vmo_map(fd, 1, RO);
			ASSERT_NE(NULL, map);
			EXPECT_ERRNO(EACCES, mprotect(map, PS, RW));
			munmap(map, PS);
		}
		EXPECT_EQ(1, pread(fd, &c, 1, 0));
		close(fd);
	}
	close(ro);
}

/* F1, F2: who may resize. */
TEST_F(vmo, f2_access_to_resize)
{
	int ro = vmo_reopen(self->resizable, O_RDONLY);
	struct vmo_reference reference = { .flags = VMO_REFERENCE_RESIZABLE };
	struct vmo_resize same = { .size = SIZE };
	int plain, again;

	ASSERT_LE(0, ro);
	self->before.fds++;
	REFUSED(EACCES, ioctl(ro, VMO_REFERENCE, &reference), "resizable reference, read-only");
	plain = child_of(self->resizable, VMO_REFERENCE, 0);
	ASSERT_LE(0, plain);
	EXPECT_ERRNO(EACCES, ioctl(plain, VMO_RESIZE, &same));
	EXPECT_ERRNO(EACCES, ioctl(plain, VMO_REFERENCE, &reference));
	reference.flags = 0;
	EXPECT_EQ(0, ioctl(plain, VMO_REFERENCE, &reference));
	EXPECT_ERRNO(EACCES, ioctl(reference.fd, VMO_RESIZE, &same));
	close(reference.fd);
	again = vmo_reopen(plain, O_RDWR);
	ASSERT_LE(0, again);
	EXPECT_ERRNO(EACCES, ioctl(again, VMO_RESIZE, &same));
	close(again);
	close(plain);
	same.size = SIZE + 1;
	REFUSED(EPERM, ioctl(self->fixed, VMO_RESIZE, &same), "resize of fixed size");
	same.size = -1ULL;
	REFUSED(EPERM, ioctl(self->fixed, VMO_RESIZE, &same), "resize of fixed size, too large");
	same.size = self->before.st_size[0];
	REFUSED(EPERM, ioctl(self->fixed, VMO_RESIZE, &same), "resize of fixed size to the same");
	self->before.fds--;
	close(ro);
}

/* ---- ranges ------------------------------------------------------------ */

struct range {
	uint64_t offset;
	uint64_t length;
	int error;
};

#define ABOVE	(1ULL << 63)

TEST_F(vmo, bad_ranges_of_operations)
{
	const struct range rows[] = {
		{ 0, SIZE + 1, ERANGE }, { SIZE, 1, ERANGE }, { SIZE, PS, ERANGE },
		{ SIZE - 1, 2, ERANGE }, { SIZE - PS, 2 * PS, ERANGE }, { 0, SIZE + PS, ERANGE },
		{ SIZE + 1, 0, ERANGE }, { SIZE + PS, 0, ERANGE }, { SIZE + PS, PS, ERANGE },
		{ -PS, PS, ERANGE }, { -PS, 2 * PS, ERANGE }, { PS, -PS, ERANGE },
		{ -PS, PS - 1, ERANGE }, { 0, -1, ERANGE }, { 0, -PS, ERANGE }, { -1, 0, ERANGE },
		{ -1, 1, ERANGE }, { -1, -1, ERANGE }, { 1, -1, ERANGE }, { 2, -1, ERANGE },
		{ ABOVE, PS, ERANGE }, { ABOVE, ABOVE, ERANGE }, { 0, ABOVE, ERANGE },
		{ ABOVE, 0, ERANGE }, { PS, ABOVE - PS, ERANGE }, { MAX_SIZE, PS, ERANGE },
		{ 0, 0, 0 }, { 1, 0, 0 }, { SIZE, 0, 0 }, { SIZE - 1, 0, 0 },
	};

	for (uint32_t op = VMO_OP_COMMIT; op <= VMO_OP_ZERO; op++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			const struct range *r = &rows[i];

			if (r->error) {
				REFUSED(r->error, vmo_op(self->fixed, op, r->offset, r->length),
					"op %u, range %zu", op, i);
				REFUSED(r->error, vmo_op(self->resizable, op, r->offset, r->length),
					"op %u, resizable, range %zu", op, i);
				continue;
			}
			note_generations(self);
			EXPECT_EQ(0, vmo_op(self->fixed, op, r->offset, r->length))
				TH_LOG("op %u, range %zu: %s", op, i, strerror(errno));
			unchanged(_metadata, self, "an empty range");
		}
	}
}

/* T6 gives the order. */
TEST_F(vmo, t6_bad_decommits)
{
	const struct range unaligned[] = {
		{ 1, PS, 0 }, { 0, 1, 0 }, { 0, PS - 1, 0 }, { PS, PS + 1, 0 }, { 1, PS - 1, 0 },
		{ SIZE - 1, 1, 0 }, { 0, SIZE - 1, 0 }, { PS / 2, PS / 2, 0 },
	};
	int child = vmo_snap(self->fixed);
	struct vmo_pin pin = { .offset = PS, .length = PS, .flags = VMO_PIN_READ };

	ASSERT_LE(0, child);
	look(self, &self->before);
	for (size_t i = 0; i < ARRAY_SIZE(unaligned); i++) {
		const struct range *r = &unaligned[i];

		REFUSED(EINVAL, vmo_op(self->fixed, VMO_OP_DECOMMIT, r->offset, r->length),
			"unaligned %zu", i);
		REFUSED(EOPNOTSUPP, vmo_op(child, VMO_OP_DECOMMIT, r->offset, r->length),
			"unaligned %zu of a clone", i);
	}
	REFUSED(EOPNOTSUPP, vmo_op(child, VMO_OP_DECOMMIT, 0, PS), "of a clone");
	REFUSED(ERANGE, vmo_op(child, VMO_OP_DECOMMIT, SIZE, PS), "past the end of a clone");
	REFUSED(ERANGE, vmo_op(child, VMO_OP_DECOMMIT, 1, -1), "a clone, wraps");
	EXPECT_EQ(0, vmo_op(child, VMO_OP_DECOMMIT, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 2, SEED));
	close(child);
	look(self, &self->before);

	ASSERT_EQ(0, ioctl(self->fixed, VMO_PIN, &pin));
	look(self, &self->before);
	REFUSED(EBADFD, vmo_op(self->fixed, VMO_OP_DECOMMIT, 0, SIZE), "pinned inside");
	REFUSED(EINVAL, vmo_op(self->fixed, VMO_OP_DECOMMIT, 1, SIZE - 1), "pinned, unaligned");
	REFUSED(ERANGE, vmo_op(self->fixed, VMO_OP_DECOMMIT, 1, SIZE), "pinned, past the end");
	close(pin.fd);
	look(self, &self->before);
	EXPECT_EQ(0, self->before.info[0].pinned_bytes);
}

TEST_F(vmo, n1_bad_pins)
{
	const struct range rows[] = {
		{ 0, 0, EINVAL }, { SIZE, 0, EINVAL }, { 0, 1, EINVAL }, { 1, PS, EINVAL },
		{ PS, PS + 1, EINVAL }, { 0, PS - 1, EINVAL }, { 0, -1, EINVAL },
		{ -1, PS, EINVAL }, { SIZE + 1, PS, EINVAL },
		{ 0, SIZE + PS, ERANGE }, { SIZE, PS, ERANGE }, { SIZE - PS, 2 * PS, ERANGE },
		{ SIZE + PS, PS, ERANGE }, { -PS, PS, ERANGE }, { -PS, 2 * PS, ERANGE },
		{ PS, -PS, ERANGE }, { 2 * PS, -PS, ERANGE }, { ABOVE, PS, ERANGE },
		{ ABOVE, ABOVE, ERANGE }, { 0, ABOVE, ERANGE }, { 0, -PS, ERANGE },
		{ -PS, -PS, ERANGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int o = 0; o < 2; o++) {
			struct vmo_pin pin = {
				.offset = rows[i].offset, .length = rows[i].length,
				.flags = VMO_PIN_WRITE, .fd = -77,
			};

			REFUSED(rows[i].error, ioctl(self->object[o], VMO_PIN, &pin),
				"pin, range %zu", i);
			EXPECT_EQ(-77, pin.fd);
		}
	}
}

TEST_F(vmo, l1_bad_slices)
{
	const struct range rows[] = {
		{ 0, SIZE + 1, EINVAL }, { SIZE, 1, EINVAL }, { SIZE, PS, EINVAL },
		{ SIZE - PS, PS + 1, EINVAL }, { SIZE + PS, 0, EINVAL }, { 1, 0, EINVAL },
		{ 1, PS, EINVAL }, { PS - 1, 1, EINVAL }, { -1, 1, EINVAL }, { 1, -1, EINVAL },
		{ -PS, PS, EINVAL }, { -PS, 2 * PS, EINVAL }, { -PS, 0, EINVAL },
		{ ABOVE, PS, EINVAL }, { ABOVE, 0, EINVAL }, { PS, MAX_SIZE, EINVAL },
		{ 0, MAX_SIZE, EINVAL },
		{ 0, MAX_SIZE + 1, ERANGE }, { 0, -1, ERANGE }, { 0, -PS, ERANGE },
		{ -PS, -PS, ERANGE }, { PS, ABOVE, ERANGE }, { SIZE + PS, -1, ERANGE },
		{ 0, 0, 0 }, { SIZE, 0, 0 }, { PS, PS + 1, 0 }, { 0, SIZE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmo_slice slice = {
			.offset = rows[i].offset, .size = rows[i].length, .fd = -77,
		};

		if (!rows[i].error) {
			EXPECT_EQ(0, ioctl(self->fixed, VMO_SLICE, &slice))
				TH_LOG("slice, range %zu: %s", i, strerror(errno));
			EXPECT_EQ(0, close(slice.fd));
			slice.fd = -77;
		} else {
			REFUSED(rows[i].error, ioctl(self->fixed, VMO_SLICE, &slice),
				"slice, range %zu", i);
		}
		/* That it is resizable comes last. */
		REFUSED(rows[i].error ?: EOPNOTSUPP, ioctl(self->resizable, VMO_SLICE, &slice),
			"slice of a resizable object, range %zu", i);
		EXPECT_EQ(-77, slice.fd);
	}
}

TEST_F(vmo, k1_bad_clones)
{
	const struct range rows[] = {
		{ 1, PS, EINVAL }, { PS - 1, PS, EINVAL }, { SIZE + 1, PS, EINVAL },
		{ -1, PS, EINVAL }, { 1, -1, EINVAL }, { 1, 0, EINVAL },
		{ -PS, PS, EINVAL }, { -PS, 2 * PS, EINVAL }, { -PS, MAX_SIZE, EINVAL },
		{ -2 * PS, 3 * PS, EINVAL }, { ABOVE + 2 * PS, MAX_SIZE, EINVAL },
		{ 0, MAX_SIZE + 1, ERANGE }, { 0, ABOVE, ERANGE }, { 0, -1, ERANGE },
		{ 0, -PS, ERANGE }, { PS, -PS, ERANGE }, { -PS, -PS, ERANGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int o = 0; o < 2; o++) {
			struct vmo_clone clone = {
				.offset = rows[i].offset, .size = rows[i].length,
				.flags = VMO_CLONE_SNAPSHOT, .fd = -77,
			};

			REFUSED(rows[i].error, ioctl(self->object[o], VMO_CLONE, &clone),
				"clone, range %zu", i);
			EXPECT_EQ(-77, clone.fd);
		}
	}
}

/* The window of a clone of a clone counts from the first ancestor. */
TEST_F(vmo, k2_windows_that_wrap)
{
	int child = vmo_window(self->fixed, MAX_SIZE - PS, PS), again;
	struct vmo_info info;

	ASSERT_LE(0, child);
	ASSERT_EQ(0, vmo_stat(child, &info));
	EXPECT_EQ(PS, info.size);
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 1, 0));
	self->before.fds++;
	look(self, &self->before);
	/* MAX_SIZE - PS + 2^63 + PS + PS is 2^64: wraps. */
	REFUSED(EINVAL, vmo_window(child, ABOVE, 2 * PS), "window that wraps");
	REFUSED(EINVAL, vmo_window(child, -PS, PS), "window of a clone that wraps");
	again = vmo_window(child, 0, PS);
	EXPECT_LE(0, again);
	close(again);
	close(child);
	look(self, &self->before);
}

TEST_F(vmo, m5_bad_sizes)
{
	const struct range rows[] = {
		{ 0, MAX_SIZE + 1, ERANGE }, { 0, MAX_SIZE + PS, ERANGE }, { 0, ABOVE, ERANGE },
		{ 0, ABOVE + 1, ERANGE }, { 0, -PS, ERANGE }, { 0, -PS + 1, ERANGE },
		{ 0, -1, ERANGE }, { 0, 0, 0 }, { 0, 1, 0 }, { 0, MAX_SIZE - 1, 0 },
		{ 0, MAX_SIZE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t size = rows[i].length;
		struct vmo_create create = { .size = size, .fd = -77 };
		struct vmo_create other = { .size = PS, .flags = VMO_CREATE_RESIZABLE };
		struct vmo_resize resize = { .size = size };
		struct vmo_info info;

		ASSERT_EQ(0, ioctl(self->dev, VMO_CREATE, &other));
		ASSERT_EQ(0, write_page(other.fd, 0, 7));
		self->before.fds++;
		if (rows[i].error) {
			REFUSED(ERANGE, ioctl(self->dev, VMO_CREATE, &create), "create %zu", i);
			EXPECT_EQ(-77, create.fd);
			REFUSED(ERANGE, ioctl(self->resizable, VMO_RESIZE, &resize),
				"resize %zu", i);
			create.flags = 1U << 31;
			REFUSED(EINVAL, ioctl(self->dev, VMO_CREATE, &create),
				"create %zu with a bad flag", i);
			resize.flags = 1;
			REFUSED(EINVAL, ioctl(self->resizable, VMO_RESIZE, &resize),
				"resize %zu with a bad flag", i);
			REFUSED(EFBIG, ftruncate(self->resizable, ABOVE - 1), "ftruncate");
		} else {
			EXPECT_EQ(0, ioctl(self->dev, VMO_CREATE, &create));
			EXPECT_EQ(0, close(create.fd));
			EXPECT_EQ(0, ioctl(other.fd, VMO_RESIZE, &resize));
			ASSERT_EQ(0, vmo_stat(other.fd, &info));
			EXPECT_EQ((size + PS - 1) / PS * PS, info.size);
			EXPECT_EQ(size, info.content_size);
		}
		close(other.fd);
		self->before.fds--;
	}
}

/* ---- names ------------------------------------------------------------- */

static void try_name(struct __test_metadata *_metadata, fixture *self,
		     const char *name, const char *why)
{
	struct vmo_create create = { .size = PS, .fd = -77 };
	struct vmo_name set = { .flags = VMO_NAME_SET };

	memcpy(create.name, name, VMO_NAME_SIZE);
	memcpy(set.name, name, VMO_NAME_SIZE);
	REFUSED(EINVAL, ioctl(self->dev, VMO_CREATE, &create), "create: %s", why);
	EXPECT_EQ(-77, create.fd);
	REFUSED(EINVAL, ioctl(self->fixed, VMO_NAME, &set), "name: %s", why);
	EXPECT_EQ(0, memcmp(set.name, name, VMO_NAME_SIZE));
}

TEST_F(vmo, bad_names)
{
	char name[VMO_NAME_SIZE];

	memset(name, 'x', sizeof(name));
	try_name(_metadata, self, name, "no zero byte");
	for (int at = 0; at < VMO_NAME_SIZE - 1; at += 31) {
		for (int c = 1; c < 0x20; c++) {
			memset(name, 0, sizeof(name));
			memset(name, 'x', VMO_NAME_SIZE - 1);
			name[at] = c;
			try_name(_metadata, self, name, "control");
		}
		name[at] = 0x7f;
		try_name(_metadata, self, name, "0x7f");
	}
	for (int at = 1; at < VMO_NAME_SIZE; at++) {
		memset(name, 0, sizeof(name));
		name[at] = 'x';
		try_name(_metadata, self, name, "behind the zero");
	}
	memset(name, 0, sizeof(name));
	name[0] = 'x';
	name[VMO_NAME_SIZE - 1] = 1;
	try_name(_metadata, self, name, "behind the zero, at the end");
}

TEST_F(vmo, bad_not_these_names)
{
	struct vmo_name set = { .flags = VMO_NAME_SET }, get = { };

	for (int c = 0x20; c < 0x100; c++) {
		if (c == 0x7f)
			continue;
		memset(set.name, c, VMO_NAME_SIZE - 1);
		EXPECT_EQ(0, ioctl(self->fixed, VMO_NAME, &set)) TH_LOG("0x%x", c);
		memset(&get, 0, sizeof(get));
		EXPECT_EQ(0, ioctl(self->fixed, VMO_NAME, &get));
		EXPECT_EQ(0, memcmp(get.name, set.name, VMO_NAME_SIZE));
	}
	memset(set.name, 0, VMO_NAME_SIZE);
	EXPECT_EQ(0, ioctl(self->fixed, VMO_NAME, &set));
	memcpy(set.name, NAME, sizeof(NAME));
	EXPECT_EQ(0, ioctl(self->fixed, VMO_NAME, &set));
}

/* ---- strict reads and writes ------------------------------------------- */

static int rw(int fd, unsigned int num, uint64_t offset, const struct iovec *iov,
	      uint32_t count, uint32_t flags, uint64_t *actual)
{
	struct vmo_rw arg = {
		.offset = offset, .iov = (uintptr_t)iov, .iov_count = count, .flags = flags,
		.actual = 0x5555,
	};
	int ret = ioctl(fd, num, &arg), err = errno;

	*actual = arg.actual;
	errno = err;
	return ret;
}

static const unsigned int rw_commands[] = { VMO_READ, VMO_WRITE };

TEST_F(vmo, d1_bad_ranges)
{
	char *none = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *buf = mmap(NULL, 2 * SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct range rows[] = {
		{ 0, SIZE + 1, ERANGE }, { SIZE, 1, ERANGE }, { SIZE - 1, 2, ERANGE },
		{ SIZE + 1, 0, ERANGE }, { SIZE + 1, 1, ERANGE }, { -1, 1, ERANGE },
		{ -1, 2, ERANGE }, { -SIZE, SIZE, ERANGE }, { -SIZE, SIZE + 1, ERANGE },
		{ ABOVE, 1, ERANGE }, { ABOVE - 1, 1, ERANGE }, { ABOVE - 1, 2, ERANGE },
		{ MAX_SIZE, PS, ERANGE }, { -1, 0, ERANGE },
		{ 0, 0, 0 }, { SIZE, 0, 0 }, { SIZE - 1, 0, 0 },
	};

	ASSERT_NE(MAP_FAILED, none);
	ASSERT_NE(MAP_FAILED, buf);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int n = 0; n < 2; n++) {
			struct iovec bad = { none, rows[i].length };
			struct iovec good = { buf, rows[i].length };
			uint64_t actual;

			if (!rows[i].error) {
				EXPECT_EQ(0, rw(self->fixed, rw_commands[n], rows[i].offset, &bad,
						1, 0, &actual)) TH_LOG("range %zu", i);
				EXPECT_EQ(0, actual);
				continue;
			}
			/* The range is looked at before the memory. */
			REFUSED(ERANGE, rw(self->fixed, rw_commands[n], rows[i].offset, &bad, 1, 0,
					   &actual), "%d, range %zu, bad memory", n, i);
			EXPECT_EQ(0, actual);
			REFUSED(ERANGE, rw(self->fixed, rw_commands[n], rows[i].offset, &good, 1,
					   0, &actual), "%d, range %zu", n, i);
			EXPECT_EQ(0, actual);
			/* A resizable object does not grow by it. */
			REFUSED(ERANGE, rw(self->resizable, rw_commands[n], rows[i].offset, &good,
					   1, 0, &actual), "%d, range %zu, resizable", n, i);
		}
	}
	munmap(none, 2 * SIZE);
	munmap(buf, 2 * SIZE);
}

TEST_F(vmo, d1_trim)
{
	const struct {
		uint64_t offset, length;
		int error;
		uint64_t actual;
	} rows[] = {
		{ SIZE - 1, 10, 0, 1 }, { SIZE - 10, 10, 0, 10 }, { SIZE, 10, 0, 0 },
		{ SIZE + 100, 10, 0, 0 }, { ABOVE, 10, 0, 0 }, { -100, 10, 0, 0 },
		{ -1, 0, 0, 0 }, { -1, 1, ERANGE, 0 }, { -10, 10, ERANGE, 0 },
		{ -5, 10, ERANGE, 0 },
		{ 0, SIZE + PS, 0, SIZE },
	};
	char *buf = calloc(2, SIZE);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct iovec iov = { buf, rows[i].length };
		uint64_t actual;

		for (int n = 0; n < 2; n++) {
			if (rows[i].error) {
				REFUSED(rows[i].error, rw(self->fixed, rw_commands[n],
							  rows[i].offset, &iov, 1, VMO_RW_TRIM,
							  &actual), "row %zu", i);
				EXPECT_EQ(0, actual);
				continue;
			}
			/* The write gives back what the read took: on a copy, holes fill. */
			if (n == 1 && rows[i].offset < SIZE) {
				int copy = vmo_snap(self->fixed);

				EXPECT_EQ(0, rw(copy, VMO_WRITE, rows[i].offset, &iov, 1,
						VMO_RW_TRIM, &actual));
				EXPECT_EQ(self->before.sum[0], content_sum(copy));
				close(copy);
			} else {
				EXPECT_EQ(0, rw(self->fixed, rw_commands[n], rows[i].offset, &iov,
						1, VMO_RW_TRIM, &actual));
			}
			EXPECT_EQ(rows[i].actual, actual) TH_LOG("row %zu", i);
		}
	}
	free(buf);
	look(self, &self->before);	/* where the snapshots left their marks */
}

TEST_F(vmo, d2_bad_iovecs)
{
	struct iovec many[1025], *none = mmap(NULL, PS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
					      -1, 0);
	uint64_t word = mix((uint64_t)SEED << 16), actual, wrapping[] = { -1ULL, ABOVE, -PS };

	ASSERT_NE(MAP_FAILED, none);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct iovec) { &word, i ? 0 : sizeof(word) };
	for (int n = 0; n < 2; n++) {
		unsigned int num = rw_commands[n];

		REFUSED(EINVAL, rw(self->fixed, num, 0, many, 1025, 0, &actual), "1025 iovecs");
		REFUSED(EINVAL, rw(self->fixed, num, 0, NULL, 1025, 0, &actual), "1025 at NULL");
		REFUSED(EINVAL, rw(self->fixed, num, 0, many, -1, 0, &actual), "2^32 - 1 iovecs");
		EXPECT_EQ(0, rw(self->fixed, num, 0, many, 1024, 0, &actual));
		EXPECT_EQ(sizeof(word), actual);
		EXPECT_EQ(0, rw(self->fixed, num, 0, NULL, 0, 0, &actual));
		EXPECT_EQ(0, actual);
		EXPECT_EQ(0, rw(self->fixed, num, SIZE, NULL, 0, 0, &actual));
		EXPECT_EQ(0, actual);
		REFUSED(ERANGE, rw(self->fixed, num, SIZE + 1, NULL, 0, 0, &actual),
			"no iovec, past the end");
		REFUSED(EFAULT, rw(self->fixed, num, 0, NULL, 1, 0, &actual), "one at NULL");
		EXPECT_EQ(0, actual);
		REFUSED(EFAULT, rw(self->fixed, num, 0, none, 1, 0, &actual), "unreadable iovec");
		REFUSED(EFAULT, rw(self->fixed, num, 0, (void *)-PS, 1, 0, &actual),
			"iovec of the kernel");
		for (size_t i = 0; i < ARRAY_SIZE(wrapping); i++) {
			struct iovec two[2] = {
				{ &word, sizeof(word) }, { &word, wrapping[i] },
			};

			REFUSED(EINVAL, rw(self->fixed, num, 0, two + 1, 1, 0, &actual),
				"a length of %llx", (unsigned long long)wrapping[i]);
			REFUSED(EINVAL, rw(self->fixed, num, 0, two, 2, 0, &actual),
				"a second length of %llx", (unsigned long long)wrapping[i]);
			REFUSED(EINVAL, rw(self->fixed, num, 0, two, 2, VMO_RW_TRIM, &actual),
				"the same, trimmed");
		}
	}
	munmap(none, PS);
}

/* Addresses of the kernel are nobody's memory, for data and for holes. */
TEST_F(vmo, d2_kernel_addresses)
{
	const uint64_t bases[] = {
		-PS, -8, ABOVE, (1ULL << 47) - PS, 1ULL << 47, 0xffff888000000000,
		0xffffffff81000000,
	};
	uint64_t word = mix((uint64_t)SEED << 16), actual;

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		struct iovec iov[2] = { { &word, 8 }, { (void *)bases[i], 8 } };

		for (int n = 0; n < 4; n++) {
			REFUSED(EFAULT, rw(self->fixed, rw_commands[n % 2], n / 2 * 2 * PS, iov + 1,
					   1, 0, &actual), "%d at %llx", n,
				(unsigned long long)bases[i]);
			EXPECT_EQ(0, actual);
		}
		/* Behind good memory; what was copied is what was there. */
		REFUSED(EFAULT, rw(self->fixed, VMO_WRITE, 0, iov, 2, 0, &actual), "second");
		EXPECT_GE(8, actual);
		REFUSED(EFAULT, rw(self->fixed, VMO_READ, 0, iov, 2, 0, &actual), "second");
		EXPECT_GE(8, actual);
		EXPECT_ERRNO(EFAULT, pwrite(self->fixed, (void *)bases[i], 8, 0));
		EXPECT_ERRNO(EFAULT, pread(self->fixed, (void *)bases[i], 8, 2 * PS));
	}
}

/* More than one call of read() could do: still in range or not, nothing between. */
TEST_F(vmo, d1_longer_than_two_gigabytes)
{
	const uint64_t big = 4ULL << 30;
	char *none = mmap(NULL, big, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = vmo_new(self->dev, big - PS);
	struct iovec one = { none, big }, two[2] = { { none, big / 2 }, { none, big / 2 } };
	uint64_t actual;

	ASSERT_NE(MAP_FAILED, none);
	ASSERT_LE(0, fd);
	for (int n = 0; n < 2; n++) {
		EXPECT_ERRNO(ERANGE, rw(fd, rw_commands[n], 0, &one, 1, 0, &actual));
		EXPECT_EQ(0, actual);
		EXPECT_ERRNO(ERANGE, rw(fd, rw_commands[n], 0, two, 2, 0, &actual));
		EXPECT_EQ(0, actual);
		EXPECT_ERRNO(EFAULT, rw(fd, rw_commands[n], 0, two, 1, 0, &actual));
		EXPECT_EQ(0, actual);
	}
	munmap(none, big);
	close(fd);
}

/* @good bytes of memory are there, then there is none. */
static void try_second_iovec(struct __test_metadata *_metadata, fixture *self,
			     size_t good)
{
	char *none = mmap(NULL, PS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *buf = calloc(PAGES, PS), *back = calloc(PAGES, PS);
	struct iovec iov[2] = { { buf, good }, { none, PS } };
	int fd = vmo_new_pages(self->dev, PAGES);
	uint64_t actual, whole = good / PS * PS;

	ASSERT_LE(0, fd);
	fill_pages(back, 0, PAGES, SEED);
	ASSERT_EQ(SIZE, (size_t)pwrite(fd, back, SIZE, 0));
	memset(buf, 'w', SIZE);
	EXPECT_ERRNO(EFAULT, rw(fd, VMO_WRITE, 0, iov, 2, 0, &actual));
	EXPECT_LE(whole, actual);
	EXPECT_GE(good, actual);
	memset(back, 0, SIZE);
	ASSERT_EQ(SIZE, (size_t)pread(fd, back, SIZE, 0));
	EXPECT_EQ(0, memcmp(back, buf, actual));
	EXPECT_EQ(-1, wrong_page(back, (good + PS - 1) / PS, PAGES - (good + PS - 1) / PS, SEED));
	fill_pages(buf, 0, PAGES, SEED);
	EXPECT_EQ(0, memcmp(back + good, buf + good, SIZE - good));

	memset(buf, 'r', SIZE);
	EXPECT_ERRNO(EFAULT, rw(fd, VMO_READ, 0, iov, 2, 0, &actual));
	EXPECT_LE(whole, actual);
	EXPECT_GE(good, actual);
	EXPECT_EQ(0, memcmp(back, buf, actual));
	for (size_t i = good; i < SIZE; i++)
		ASSERT_EQ('r', buf[i]);
	munmap(none, PS);
	free(buf);
	free(back);
	close(fd);
}

TEST_F(vmo, d2_bad_second_iovec)
{
	try_second_iovec(_metadata, self, 2 * PS);
	try_second_iovec(_metadata, self, PS);
	try_second_iovec(_metadata, self, PS + 100);
	try_second_iovec(_metadata, self, 1);
}

/* ---- descriptors that run out ------------------------------------------ */

TEST_F(vmo, bad_no_descriptor_is_free)
{
	struct rlimit old, none;
	uint64_t buf[32];

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	for (const struct command *cmd = commands; cmd < the_end; cmd++) {
		int ret, err;

		if (!cmd->fd)
			continue;
		good_argument(cmd, buf, sizeof(buf));
		none = old;
		none.rlim_cur = 0;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
		errno = 0;
		ret = call(self, cmd, buf);
		err = errno;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
		EXPECT_EQ(-1, ret) TH_LOG("%s", cmd->name);
		EXPECT_EQ(EMFILE, err) TH_LOG("%s", cmd->name);
		EXPECT_EQ(-77, *(int32_t *)field(buf, cmd->fd));
		note_generations(self);
		unchanged(_metadata, self, cmd->name);
	}
}

TEST_HARNESS_MAIN
