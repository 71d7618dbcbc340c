// SPDX-License-Identifier: GPL-2.0
/*
 * What programs already know: an object is a file to cat, dd, cp and Python, to
 * splice, fallocate, io_uring and poll, and shows in /proc.
 */
#include "kselftest_harness.h"
#include "vmo_test_util.h"

#include <linux/io_uring.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PYTHON	"/usr/bin/python3"
#define GIG	(1ULL << 30)

FIXTURE(vmo) {
	int dev;
	int fds;
};

FIXTURE_SETUP(vmo)
{
	self->dev = open("/dev/vmo", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fds = count_fds();
}

FIXTURE_TEARDOWN(vmo)
{
	EXPECT_EQ(self->fds, count_fds());
	close(self->dev);
}

/* ---- helpers ----------------------------------------------------------- */

static int new_object(int dev, uint64_t size, uint32_t flags)
{
	struct vmo_create arg = { .size = size, .flags = flags };

	return ioctl(dev, VMO_CREATE, &arg) ? -1 : arg.fd;
}

static int resizable(int dev, uint64_t size)
{
	return new_object(dev, size, VMO_CREATE_RESIZABLE);
}

/* For programs: they get it. */
static int inherited(int fd)
{
	fcntl(fd, F_SETFD, 0);
	return fd;
}

static int child_of(int fd, unsigned int num)
{
	/* These three have one layout. */
	struct vmo_clone arg = { .fd = -1 };

	if (num != VMO_REFERENCE)
		arg.size = PS;
	if (num == VMO_CLONE)
		arg.flags = VMO_CLONE_SNAPSHOT;
	return ioctl(fd, num, &arg) ? -1 : arg.fd;
}

static uint64_t committed(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1 : info.committed_bytes;
}

static uint64_t size_of(int fd)
{
	struct vmo_info info;

	return vmo_stat(fd, &info) ? -1 : info.size;
}

/* Bytes [from, to) are @value. */
static bool all_bytes(int fd, uint64_t from, uint64_t to, char value)
{
	char buf[512];

	while (from < to) {
		size_t n = to - from < sizeof(buf) ? to - from : sizeof(buf);

		if (pread(fd, buf, n, from) != (ssize_t)n)
			return false;
		for (size_t i = 0; i < n; i++)
			if (buf[i] != value)
				return false;
		from += n;
	}
	return true;
}

/* A file in memory, with pages of this seed, that is gone at the last close. */
static int new_file(size_t pages, uint64_t seed)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	for (size_t i = 0; i < pages; i++)
		if (write_page(fd, i, seed + i))
			return -1;
	return fd;
}

/* Runs a line of shell; the exit code, or -1. */
__attribute__((format(printf, 1, 2))) static int sh(const char *format, ...)
{
	char line[1024];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The first line that a line of shell prints, without its end. */
__attribute__((format(printf, 1, 2))) static char *sh_line(const char *format, ...)
{
	static char out[256];
	char line[1024];
	va_list args;
	FILE *f;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	memset(out, 0, sizeof(out));
	f = popen(line, "r");
	if (f && fgets(out, sizeof(out), f))
		out[strcspn(out, "\n")] = 0;
	if (f)
		pclose(f);
	return out;
}

/* A folder for what programs write. */
#define DIR_OF_TEST	"/tmp/vmo-tools-test"

static int fresh_dir(void)
{
	return sh("rm -rf " DIR_OF_TEST " && mkdir " DIR_OF_TEST) || chdir(DIR_OF_TEST);
}

/* ---- programs ---------------------------------------------------------- */

TEST_F(vmo, tools_cat_head_sha256sum)
{
	const size_t size = 10 * PS + 123;
	int fd = inherited(new_object(self->dev, size, 0));
	char sum[256];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fresh_dir());
	for (size_t i = 0; i < 10; i += 3)
		ASSERT_EQ(0, write_page(fd, i, 100 + i));
	ASSERT_EQ(3, pwrite(fd, "end", 3, size - 3));
	EXPECT_EQ(0, sh("cat /proc/self/fd/%d >copy", fd));
	EXPECT_STREQ("41083", sh_line("stat -c %%s copy"));
	EXPECT_EQ(0, sh("cmp copy /proc/self/fd/%d", fd));
	EXPECT_EQ(0, sh("cat <&%d | cmp - copy", fd));
	EXPECT_STREQ("end", sh_line("tail -c 3 /proc/self/fd/%d", fd));
	/* Its offset is at the end now: an inherited descriptor shares it. */
	EXPECT_EQ(size, (size_t)lseek(fd, 0, SEEK_CUR));
	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(0, sh("head -c 5001 <&%d >part && head -c 5001 copy | cmp - part", fd));
	snprintf(sum, sizeof(sum), "%s", sh_line("sha256sum <copy"));
	EXPECT_EQ(67, strlen(sum));
	EXPECT_STREQ(sum, sh_line("sha256sum </proc/self/fd/%d", fd));
	pwrite(fd, "X", 1, 5);
	EXPECT_STRNE(sum, sh_line("sha256sum </proc/self/fd/%d", fd));
	EXPECT_EQ(1, sh("cmp -s copy /proc/self/fd/%d", fd));
	close(fd);
}

/* '>' truncates, which an object of fixed size refuses. */
TEST_F(vmo, tools_redirect)
{
	const size_t size = 10 * PS + 123;
	int fd = inherited(new_object(self->dev, size, 0)), grows;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fresh_dir());
	EXPECT_EQ(0, sh("head -c 41083 /bin/busybox >copy"));
	EXPECT_EQ(0, sh("cat copy 1<>/proc/self/fd/%d", fd));
	EXPECT_EQ(0, sh("cmp copy /proc/self/fd/%d", fd));
	EXPECT_NE(0, sh("exec 2>&-; cat copy >/proc/self/fd/%d", fd));
	EXPECT_EQ(0, sh("cmp copy /proc/self/fd/%d", fd));
	EXPECT_EQ(size, (size_t)st_size(fd));
	grows = inherited(resizable(self->dev, 100 * PS));
	ASSERT_LE(0, grows);
	EXPECT_EQ(0, sh("cat copy >/proc/self/fd/%d", grows));
	EXPECT_EQ(size, (size_t)st_size(grows));
	EXPECT_EQ(0, sh("cat copy >>/proc/self/fd/%d", grows));
	EXPECT_EQ(2 * size, (size_t)st_size(grows));
	EXPECT_EQ(0, sh("cat copy ./copy | cmp - /proc/self/fd/%d", grows));
	close(grows);
	close(fd);
}

TEST_F(vmo, tools_dd)
{
	const size_t size = 40 * PS;
	int fd = inherited(vmo_new(self->dev, size));

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fresh_dir());
	EXPECT_EQ(0, sh("head -c 100000 /bin/busybox >data"));
	EXPECT_EQ(0, sh("dd if=data of=/proc/self/fd/%d bs=1000 seek=3 conv=notrunc status=none",
			fd));
	EXPECT_EQ(0, sh("cmp -i 0:3000 -n 100000 data /proc/self/fd/%d", fd));
	EXPECT_EQ(true, all_bytes(fd, 0, 3000, 0));
	EXPECT_EQ(true, all_bytes(fd, 103000, size, 0));
	EXPECT_EQ(size, (size_t)st_size(fd));
	EXPECT_EQ(26 * PS, committed(fd));
	EXPECT_EQ(0, sh("dd if=/proc/self/fd/%d of=part bs=777 skip=5 count=33 status=none", fd));
	EXPECT_EQ(0, sh("cmp -n 25641 -i 0:885 part data"));
	EXPECT_STREQ("25641", sh_line("stat -c %%s part"));
	/* Past the end nothing fits. */
	EXPECT_NE(0, sh("LC_ALL=C dd if=data of=/proc/self/fd/%d bs=1k seek=160 conv=notrunc 2>err",
			fd));
	EXPECT_EQ(0, sh("grep -q 'No space left on device' err"));
	EXPECT_EQ(size, (size_t)st_size(fd));
	close(fd);
}

TEST_F(vmo, tools_dd_sparse)
{
	int fd = inherited(vmo_new_pages(self->dev, 64)), again;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fresh_dir());
	ASSERT_EQ(0, write_page(fd, 3, 9));
	ASSERT_EQ(0, write_page(fd, 40, 10));
	ASSERT_EQ(0, write_page(fd, 63, 11));
	EXPECT_EQ(0, sh("dd if=/proc/self/fd/%d of=file bs=4096 conv=sparse status=none", fd));
	EXPECT_EQ(0, sh("cmp file /proc/self/fd/%d", fd));
	EXPECT_STREQ("24", sh_line("stat -c %%b file"));
	again = inherited(vmo_new_pages(self->dev, 64));
	ASSERT_LE(0, again);
	EXPECT_EQ(0, sh("dd if=file of=/proc/self/fd/%d bs=4096 conv=sparse,notrunc status=none",
			again));
	EXPECT_EQ(0, sh("cmp file /proc/self/fd/%d", again));
	EXPECT_EQ(3 * PS, committed(again));
	/* From one to the other; a resizable one may be truncated. */
	close(again);
	again = inherited(resizable(self->dev, 0));
	ASSERT_LE(0, again);
	EXPECT_EQ(0, sh("dd if=/proc/self/fd/%d of=/proc/self/fd/%d bs=12288 conv=sparse 2>err",
			fd, again));
	EXPECT_EQ(0, sh("cmp file /proc/self/fd/%d", again));
	EXPECT_EQ(64 * PS, (size_t)st_size(again));
	EXPECT_GE(9 * PS, committed(again));
	close(again);
	close(fd);
}

/* The file has data exactly where the object has. */
static void expect_same_map(struct __test_metadata *_metadata, int fd, const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = st_size(fd), at = 0, next;

	ASSERT_LE(0, file);
	EXPECT_EQ(end, st_size(file));
	for (int hole = 0; at < end; hole = !hole) {
		next = lseek(fd, at, hole ? SEEK_HOLE : SEEK_DATA);
		EXPECT_EQ(next, lseek(file, at, hole ? SEEK_HOLE : SEEK_DATA))
			TH_LOG("%s from 0x%llx on", hole ? "hole" : "data", (long long)at);
		if (next < 0)
			break;
		at = next;
	}
	close(file);
}

TEST_F(vmo, tools_cp)
{
	int fd = inherited(vmo_new(self->dev, 200 * PS - 77)), child;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fresh_dir());
	for (size_t i = 20; i < 150; i += 11)
		for (size_t j = 0; j < 3; j++)
			ASSERT_EQ(0, write_page(fd, i + j, 1000 + i + j));
	EXPECT_EQ(0, sh("cp /proc/self/fd/%d plain && cmp plain /proc/self/fd/%d", fd, fd));
	expect_same_map(_metadata, fd, "plain");
	EXPECT_EQ(0, sh("cp --sparse=always /proc/self/fd/%d always", fd));
	EXPECT_EQ(0, sh("cmp always plain"));
	expect_same_map(_metadata, fd, "always");
	EXPECT_EQ(0, sh("cp --sparse=never --reflink=never /proc/self/fd/%d never", fd));
	EXPECT_EQ(0, sh("cmp never plain"));
	/* A snapshot keeps the holes of what it is a snapshot of. */
	child = inherited(vmo_window(fd, 0, 200 * PS));
	ASSERT_LE(0, child);
	ASSERT_EQ(0, write_page(fd, 0, 1));
	EXPECT_EQ(0, sh("cp /proc/self/fd/%d child && cmp -n 819123 child plain", child));
	expect_same_map(_metadata, child, "child");
	close(child);
	/* Into an object that exists: cp truncates and writes. */
	child = inherited(resizable(self->dev, PS));
	EXPECT_EQ(0, sh("cp plain /proc/self/fd/%d && cmp plain /proc/self/fd/%d", child, child));
	EXPECT_EQ(200 * PS - 77, (size_t)st_size(child));
	EXPECT_EQ(0, sh("cp /proc/self/fd/%d /proc/self/fd/%d", fd, child));
	EXPECT_EQ(0, sh("cmp /proc/self/fd/%d /proc/self/fd/%d", fd, child));
	close(child);
	close(fd);
}

TEST_F(vmo, tools_stat)
{
	int fd = inherited(vmo_new(self->dev, 5 * PS + 1)), child;
	struct stat st;
	char want[64];

	ASSERT_LE(0, fd);
	EXPECT_STREQ("20481 0 regular file", sh_line("stat -L -c '%%s %%b %%F' /dev/fd/%d", fd));
	ASSERT_EQ(0, write_page(fd, 1, 1));
	ASSERT_EQ(0, write_page(fd, 4, 1));
	EXPECT_STREQ("20481 16 regular file", sh_line("stat -L -c '%%s %%b %%F' /dev/fd/%d", fd));
	EXPECT_STREQ("16", sh_line("stat -c %%b - <&%d", fd));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(committed(fd), st.st_blocks * 512ULL);
	snprintf(want, sizeof(want), "%llu %o", (unsigned long long)st.st_ino, st.st_mode);
	EXPECT_STREQ(want, sh_line("printf '%%d %%o' $(stat -L -c '%%i 0x%%f' /dev/fd/%d)", fd));
	EXPECT_EQ(0, sh("test -f /proc/self/fd/%d -a -s /proc/self/fd/%d", fd, fd));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 6 * PS));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(6 * PS, st.st_blocks * 512ULL);
	child = vmo_window(fd, 0, 3 * PS);
	ASSERT_LE(0, child);
	ASSERT_EQ(0, write_page(child, 1, 3));
	ASSERT_EQ(0, fstat(child, &st));
	EXPECT_EQ(3 * PS, st.st_blocks * 512ULL);
	EXPECT_EQ(committed(child), st.st_blocks * 512ULL);
	EXPECT_EQ(0, vmo_op(child, VMO_OP_ZERO, 0, PS));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 2 * PS));
	ASSERT_EQ(0, fstat(child, &st));
	EXPECT_EQ(2 * PS, st.st_blocks * 512ULL);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(4 * PS, st.st_blocks * 512ULL);
	close(child);
	close(fd);
}

/* ---- Python ------------------------------------------------------------ */

/* Runs a script with the numbers of two descriptors as fd and other. */
static int python(const char *script, int fd, int other)
{
	int file = open(DIR_OF_TEST "/script.py", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t length = strlen(script);
	ssize_t done;

	dprintf(file, "import os, sys, mmap, fcntl, errno, hashlib\n"
		"fd, other = int(sys.argv[1]), int(sys.argv[2])\n"
		"PS = mmap.PAGESIZE\n"
		"def fails(number, call, *args):\n"
		"    try:\n"
		"        call(*args)\n"
		"    except OSError as e:\n"
		"        assert e.errno == number, (e, number)\n"
		"        return\n"
		"    assert False, 'did not fail'\n");
	done = write(file, script, length);
	close(file);
	if (done != (ssize_t)length)
		return -1;
	return sh(PYTHON " -I -S " DIR_OF_TEST "/script.py %d %d 2>&1", fd, other);
}

TEST_F(vmo, tools_python_files)
{
	static const char script[] =
		"data = bytes(range(256)) * 100\n"
		"assert os.pwrite(fd, data, 1000) == len(data)\n"
		"assert os.pread(fd, len(data), 1000) == data\n"
		"assert os.pwritev(fd, [b'one', b'two'], 5) == 6\n"
		"assert os.pread(fd, 8, 4) == b'\\0onetwo\\0'\n"
		"os.ftruncate(fd, 1500)\n"
		"assert os.fstat(fd).st_size == 1500\n"
		"os.ftruncate(fd, 20 * PS)\n"
		"assert os.pread(fd, 30000, 1000) == data[:500] + bytes(29500)\n"
		"assert os.pwrite(fd, b'end', 30 * PS) == 3\n"
		"assert os.fstat(fd).st_size == 30 * PS + 3\n"
		"fails(errno.EPERM, os.ftruncate, other, PS)\n"
		"os.ftruncate(other, 10 * PS)\n"
		"fails(errno.ENOSPC, os.pwrite, other, b'x', 10 * PS)\n"
		"assert os.copy_file_range(fd, other, 9000, 0, 100) == 9000\n"
		"assert os.pread(other, 9000, 100) == os.pread(fd, 9000, 0)\n"
		"assert os.fstat(other).st_size == 10 * PS\n"
		"os.posix_fallocate(other, 0, 10 * PS)\n"
		"assert os.fstat(other).st_blocks * 512 == 10 * PS\n"
		"fails(errno.ENOSPC, os.posix_fallocate, other, PS, 10 * PS)\n"
		"os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)\n"
		"assert os.lseek(fd, 0, os.SEEK_HOLE) == PS\n"
		"assert os.lseek(fd, PS, os.SEEK_DATA) == 30 * PS\n"
		"os.fsync(fd); os.fdatasync(fd)\n";
	int fd, other;

	if (access(PYTHON, X_OK))
		SKIP(return, "no " PYTHON);
	ASSERT_EQ(0, fresh_dir());
	fd = inherited(resizable(self->dev, 10 * PS));
	other = inherited(vmo_new_pages(self->dev, 10));
	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, python(script, fd, other));
	EXPECT_EQ(30 * PS + 3, (size_t)st_size(fd));
	close(fd);
	close(other);
}

TEST_F(vmo, tools_python_copies)
{
	static const char script[] =
		"data = os.urandom(20 * PS)\n"
		"assert os.pwrite(fd, data, 0) == len(data)\n"
		"out = os.open('out', os.O_RDWR | os.O_CREAT)\n"
		"assert os.sendfile(out, fd, 5, 50000) == 50000\n"
		"assert os.pread(out, 60000, 0) == data[5:50005]\n"
		"os.lseek(other, 7, os.SEEK_SET)\n"
		"assert os.sendfile(other, out, 0, 50000) == 50000\n"
		"assert os.pread(other, 50000, 7) == data[5:50005]\n"
		"r, w = os.pipe()\n"
		"assert os.splice(fd, w, 3000, offset_src=11) == 3000\n"
		"assert os.splice(r, other, 3000, offset_dst=70000) == 3000\n"
		"assert os.pread(other, 3000, 70000) == data[11:3011]\n"
		"with open(f'/proc/self/fd/{fd}', 'rb') as f:\n"
		"    assert hashlib.sha256(f.read()).digest() == hashlib.sha256(data).digest()\n"
		"with open(f'/dev/fd/{other}', 'r+b') as f:\n"
		"    f.seek(100)\n"
		"    f.write(b'buffered')\n"
		"assert os.pread(other, 8, 100) == b'buffered'\n";
	int fd, other;

	if (access(PYTHON, X_OK))
		SKIP(return, "no " PYTHON);
	ASSERT_EQ(0, fresh_dir());
	fd = inherited(vmo_new_pages(self->dev, 20));
	other = inherited(vmo_new_pages(self->dev, 20));
	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, python(script, fd, other));
	close(fd);
	close(other);
}

TEST_F(vmo, tools_python_mmap)
{
	static const char script[] =
		"m = mmap.mmap(fd, 8 * PS)\n"
		"assert len(m) == m.size() == 8 * PS\n"
		"m[10:15] = b'hello'\n"
		"m[3 * PS - 2:3 * PS + 2] = b'abcd'\n"
		"assert os.pread(fd, 5, 10) == b'hello'\n"
		"assert m.find(b'bcd') == 3 * PS - 1\n"
		"os.pwrite(fd, b'world', 4 * PS)\n"
		"assert m[4 * PS:4 * PS + 5] == b'world'\n"
		"m.flush()\n"
		"m.flush(PS, PS)\n"
		"m.madvise(mmap.MADV_DONTNEED)\n"
		"assert m[10:15] == b'hello'\n"
		"m.move(100, 10, 5)\n"
		"assert os.pread(fd, 5, 100) == b'hello'\n"
		"c = mmap.mmap(fd, PS, access=mmap.ACCESS_COPY)\n"
		"c[10:15] = b'HELLO'\n"
		"assert m[10:15] == b'hello'\n"
		"r = mmap.mmap(fd, 0, prot=mmap.PROT_READ)\n"
		"assert len(r) == 8 * PS and r[:] == m[:]\n"
		"fails(errno.EPERM, m.resize, 4 * PS)\n"
		"assert os.fstat(fd).st_size == 8 * PS\n"
		"w = mmap.mmap(other, 8 * PS)\n"
		"w[0:3] = b'top'\n"
		"w.resize(16 * PS)\n"
		"assert os.fstat(other).st_size == 16 * PS and len(w) == 16 * PS\n"
		"assert w[0:3] == b'top' and w[8 * PS:] == bytes(8 * PS)\n"
		"w[-1] = 7\n"
		"w.resize(2 * PS)\n"
		"assert os.fstat(other).st_size == 2 * PS and w[0:3] == b'top'\n"
		"assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR\n"
		"fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)\n"
		"fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
		"fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)\n";
	int fd, other;

	if (access(PYTHON, X_OK))
		SKIP(return, "no " PYTHON);
	ASSERT_EQ(0, fresh_dir());
	fd = inherited(vmo_new_pages(self->dev, 8));
	other = inherited(resizable(self->dev, 8 * PS));
	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, python(script, fd, other));
	close(fd);
	close(other);
}

/* ---- sendfile and splice ----------------------------------------------- */

TEST_F(vmo, tools_sendfile)
{
	const size_t size = 20 * PS;
	int fd = vmo_new(self->dev, size), file = new_file(0, 0), back = vmo_new(self->dev, size);
	off_t at = PS;
	int pipes[2];
	char *buf = calloc(20, PS);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, file);
	ASSERT_LE(0, back);
	for (size_t i = 0; i < 20; i++)
		if (i != 5)
			ASSERT_EQ(0, write_page(fd, i, 50 + i));
	ASSERT_EQ((ssize_t)size, sendfile(file, fd, NULL, size));
	EXPECT_EQ(-1, wrong_page_fd(file, 0, 5, 50));
	EXPECT_EQ(-1, wrong_page_fd(file, 5, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(file, 6, 14, 50));
	EXPECT_EQ((off_t)size, lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(0, sendfile(file, fd, NULL, size));	/* at the end */
	EXPECT_EQ(19 * PS, committed(fd));
	/* Back, from page 1 on; the target's offset counts. */
	ASSERT_EQ((off_t)(3 * PS), lseek(back, 3 * PS, SEEK_SET));
	EXPECT_EQ(4 * PS, (size_t)sendfile(back, file, &at, 4 * PS));
	EXPECT_EQ((off_t)(5 * PS), at);
	EXPECT_EQ(-1, wrong_page_fd(back, 3, 4, 48));
	EXPECT_EQ(7 * PS, (size_t)lseek(back, 0, SEEK_CUR));
	/* More than fits. */
	ASSERT_EQ((off_t)(18 * PS), lseek(back, 18 * PS, SEEK_SET));
	at = 0;
	EXPECT_EQ(2 * PS, (size_t)sendfile(back, file, &at, 4 * PS));
	EXPECT_EQ(size, (size_t)st_size(back));
	/* To a pipe, and from one object to another. */
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	at = 6 * PS - 10;
	EXPECT_EQ(1000, sendfile(pipes[1], fd, &at, 1000));
	EXPECT_EQ(1000, read(pipes[0], buf, PS));
	ASSERT_EQ(1000, pread(fd, buf + PS, 1000, 6 * PS - 10));
	EXPECT_EQ(0, memcmp(buf, buf + PS, 1000));
	ASSERT_EQ(0, lseek(back, 0, SEEK_SET));
	at = 0;
	EXPECT_EQ((ssize_t)size, sendfile(back, fd, &at, size));
	EXPECT_EQ(-1, wrong_page_fd(back, 6, 14, 50));
	close(pipes[0]);
	close(pipes[1]);
	free(buf);
	close(fd);
	close(file);
	close(back);
}

/* Everything that is in the pipe goes to @to, from @at on. */
static ssize_t drain(int pipe, int to, loff_t at, size_t bytes)
{
	ssize_t total = 0, n;

	while (bytes) {
		n = splice(pipe, NULL, to, &at, bytes, 0);
		if (n <= 0)
			return total ? total : n;
		total += n;
		bytes -= n;
	}
	return total;
}

TEST_F(vmo, tools_splice)
{
	int fd = vmo_new_pages(self->dev, 12), file = new_file(0, 0);
	int back = resizable(self->dev, PS), pipes[2];
	loff_t at = 2 * PS - 100;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, file);
	ASSERT_LE(0, back);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	for (size_t i = 0; i < 12; i++)
		ASSERT_EQ(0, write_page(fd, i, 70 + i));
	/* Object to pipe to file, bytes from the middle of a page on. */
	EXPECT_EQ(3 * PS + 100, (size_t)splice(fd, &at, pipes[1], NULL, 3 * PS + 100, 0));
	EXPECT_EQ((loff_t)(5 * PS), at);
	EXPECT_EQ(3 * PS + 100, (size_t)drain(pipes[0], file, PS - 100, 3 * PS + 100));
	EXPECT_EQ(-1, wrong_page_fd(file, 1, 3, 71));
	EXPECT_EQ(true, all_bytes(file, 0, PS - 100, 0));
	/* File to pipe to object, which grows. */
	at = PS;
	EXPECT_EQ(2 * PS, (size_t)splice(file, &at, pipes[1], NULL, 2 * PS, 0));
	EXPECT_EQ(2 * PS, (size_t)drain(pipes[0], back, 3 * PS, 2 * PS));
	EXPECT_EQ(5 * PS, (size_t)st_size(back));
	EXPECT_EQ(-1, wrong_page_fd(back, 0, 3, 0));
	EXPECT_EQ(-1, wrong_page_fd(back, 3, 2, 69));
	EXPECT_EQ(2 * PS, committed(back));
	/* The end, and past it. */
	at = 12 * PS - 1;
	EXPECT_EQ(1, splice(fd, &at, pipes[1], NULL, 100, 0));
	at = 12 * PS;
	EXPECT_EQ(0, splice(fd, &at, pipes[1], NULL, 100, 0));
	at = 12 * PS;
	EXPECT_ERRNO(ENOSPC, splice(pipes[0], NULL, fd, &at, 1, 0));
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
	close(file);
	close(back);
}

/* What was spliced is a copy: later writes, by any way, are not seen in the pipe. */
TEST_F(vmo, inv_4_8_splice_copies)
{
	char *buf = malloc(PS);

	for (int how = 0; how < 5; how++) {
		int fd = vmo_new_pages(self->dev, 3), pipes[2], copy[2], child = -1;
		loff_t at = 0;
		char *map = vmo_map(fd, 3, RW);

		ASSERT_NE(NULL, map);
		ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
		ASSERT_EQ(0, pipe2(copy, O_CLOEXEC));
		fill_pages(map, 0, 3, 30);
		ASSERT_EQ(2 * PS, (size_t)splice(fd, &at, pipes[1], NULL, 2 * PS, 0));
		ASSERT_EQ(2 * PS, (size_t)tee(pipes[0], copy[1], 2 * PS, 0));
		switch (how) {
		case 0:
			fill_pages(map, 0, 3, 90);
			break;
		case 1:
			ASSERT_EQ(0, write_page(fd, 0, 90));
			ASSERT_EQ(0, write_page(fd, 1, 91));
			break;
		case 2:
			ASSERT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, 2 * PS));
			break;
		case 3:
			ASSERT_EQ(0, vmo_op(fd, VMO_OP_DECOMMIT, 0, 2 * PS));
			fill_pages(map, 0, 2, 92);
			break;
		case 4:
			child = vmo_snap(fd);
			ASSERT_LE(0, child);
			fill_pages(map, 0, 2, 93);
			break;
		}
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(PS, (size_t)read(pipes[0], buf, PS));
			EXPECT_EQ(true, page_is(buf, 30 + i)) TH_LOG("way %d, page %d", how, i);
			EXPECT_EQ(PS, (size_t)read(copy[0], buf, PS));
			EXPECT_EQ(true, page_is(buf, 30 + i)) TH_LOG("way %d, tee %d", how, i);
		}
		munmap(map, 3 * PS);
		close(child);
		for (int i = 0; i < 2; i++) {
			close(pipes[i]);
			close(copy[i]);
		}
		close(fd);
	}
	free(buf);
}

/* And the pipe's pages do not become the object's: neither side sees the other. */
TEST_F(vmo, inv_4_8_splice_into_copies)
{
	int fd = vmo_new_pages(self->dev, 3), pipes[2];
	char *page = mmap(NULL, PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { page, PS };
	loff_t at = PS;

	ASSERT_LE(0, fd);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	fill_page(page, 77);
	ASSERT_EQ(PS, (size_t)vmsplice(pipes[1], &iov, 1, SPLICE_F_GIFT));
	ASSERT_EQ(PS, (size_t)splice(pipes[0], NULL, fd, &at, PS, SPLICE_F_MOVE));
	fill_page(page, 78);
	EXPECT_EQ(-1, wrong_page_fd(fd, 1, 1, 76));
	ASSERT_EQ(0, write_page(fd, 1, 79));
	EXPECT_EQ(true, page_is(page, 78));
	close(pipes[0]);
	close(pipes[1]);
	munmap(page, PS);
	close(fd);
}

TEST_F(vmo, tools_copy_file_range)
{
	int a = vmo_new_pages(self->dev, 16), b = vmo_new_pages(self->dev, 16);
	int file = new_file(2, 5), r = resizable(self->dev, 0);
	off64_t in = 0, out = 0;

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_LE(0, r);
	ASSERT_LE(0, file);
	for (size_t i = 0; i < 16; i++)
		ASSERT_EQ(0, write_page(a, i, 200 + i));
	EXPECT_EQ(16 * PS, (size_t)copy_file_range(a, &in, b, &out, 16 * PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(b, 0, 16, 200));
	EXPECT_EQ((off64_t)(16 * PS), in);
	EXPECT_EQ((off64_t)(16 * PS), out);
	in = 14 * PS + 1;
	out = 10;
	EXPECT_EQ(2 * PS - 1, (size_t)copy_file_range(a, &in, b, &out, 9 * PS, 0));
	/* Onto itself: apart from each other, and overlapping. */
	in = 0;
	out = 8 * PS;
	EXPECT_EQ(4 * PS, (size_t)copy_file_range(a, &in, a, &out, 4 * PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(a, 0, 8, 200));
	EXPECT_EQ(-1, wrong_page_fd(a, 8, 4, 192));
	EXPECT_EQ(-1, wrong_page_fd(a, 12, 4, 200));
	in = 0;
	out = PS;
	EXPECT_ERRNO(EINVAL, copy_file_range(a, &in, a, &out, 2 * PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(a, 0, 8, 200));
	/* Into one that grows, and past the end of one that does not. */
	in = 0;
	out = 2 * PS;
	EXPECT_EQ(3 * PS, (size_t)copy_file_range(a, &in, r, &out, 3 * PS, 0));
	EXPECT_EQ(5 * PS, (size_t)st_size(r));
	EXPECT_EQ(-1, wrong_page_fd(r, 2, 3, 198));
	in = 0;
	out = 16 * PS;
	EXPECT_ERRNO(ENOSPC, copy_file_range(a, &in, b, &out, PS, 0));
	/* Another file system. */
	in = 0;
	out = 0;
	EXPECT_ERRNO(EXDEV, copy_file_range(a, &in, file, &out, PS, 0));
	EXPECT_ERRNO(EXDEV, copy_file_range(file, &in, a, &out, PS, 0));
	EXPECT_EQ(-1, wrong_page_fd(file, 0, 2, 5));
	EXPECT_EQ(-1, wrong_page_fd(a, 0, 8, 200));
	close(a);
	close(b);
	close(r);
	close(file);
}

/* ---- sizes ------------------------------------------------------------- */

TEST_F(vmo, tools_fallocate)
{
	int fd = vmo_new(self->dev, 8 * PS), small = vmo_new(self->dev, PS + 1);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, small);
	EXPECT_EQ(0, fallocate(fd, 0, PS, 2 * PS));
	EXPECT_EQ(2 * PS, committed(fd));
	EXPECT_EQ(0, fallocate(fd, 0, 5 * PS + 1, 1));
	EXPECT_EQ(3 * PS, committed(fd));
	EXPECT_EQ(8 * PS, (size_t)st_size(fd));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 8, 0));
	/* The content size goes up to the size of the object, and no further. */
	EXPECT_EQ(0, fallocate(small, FALLOC_FL_KEEP_SIZE, PS, PS));
	EXPECT_EQ(PS + 1, (size_t)st_size(small));
	EXPECT_EQ(PS, committed(small));
	EXPECT_EQ(0, fallocate(small, 0, 0, PS + 7));
	EXPECT_EQ(PS + 7, (size_t)st_size(small));
	EXPECT_EQ(0, fallocate(small, 0, 0, PS));
	EXPECT_EQ(PS + 7, (size_t)st_size(small));
	EXPECT_EQ(0, fallocate(small, 0, PS, PS));
	EXPECT_EQ(2 * PS, (size_t)st_size(small));
	EXPECT_EQ(2 * PS, committed(small));
	EXPECT_ERRNO(ENOSPC, fallocate(small, 0, PS, PS + 1));
	EXPECT_ERRNO(ENOSPC, fallocate(small, 0, 5 * PS, 1));
	EXPECT_ERRNO(ENOSPC, fallocate(small, FALLOC_FL_KEEP_SIZE, PS, PS + 1));
	EXPECT_ERRNO(ENOSPC, fallocate(small, FALLOC_FL_ZERO_RANGE, PS, PS + 1));
	EXPECT_EQ(2 * PS, (size_t)st_size(small));
	EXPECT_EQ(2 * PS, size_of(small));
	/* What it has it keeps. */
	ASSERT_EQ(0, write_page(fd, 0, 4));
	EXPECT_EQ(0, fallocate(fd, 0, 0, 8 * PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 4));
	EXPECT_EQ(8 * PS, committed(fd));
	EXPECT_ERRNO(EINVAL, fallocate(fd, 0, -1, PS));
	EXPECT_ERRNO(EINVAL, fallocate(fd, 0, 0, 0));
	EXPECT_ERRNO(EFBIG, fallocate(fd, 0, INT64_MAX, 1));
	close(fd);
	close(small);
}

TEST_F(vmo, tools_fallocate_holes)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int fd = vmo_new(self->dev, 7 * PS + 100);

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < 8; i++)
		ASSERT_EQ(0, write_page(fd, i, 300 + i));
	ASSERT_EQ(8 * PS, (size_t)st_size(fd));
	EXPECT_EQ(0, fallocate(fd, punch, PS, 2 * PS));
	EXPECT_EQ(6 * PS, committed(fd));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 300));
	EXPECT_EQ(-1, wrong_page_fd(fd, 1, 2, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 3, 5, 300));
	/* Parts of pages. */
	EXPECT_EQ(0, fallocate(fd, punch, 4 * PS - 10, 20));
	EXPECT_EQ(true, all_bytes(fd, 4 * PS - 10, 4 * PS + 10, 0));
	EXPECT_EQ(false, all_bytes(fd, 4 * PS - 18, 4 * PS - 10, 0));
	EXPECT_EQ(6 * PS, committed(fd));
	/* Past the end there is nothing to do. */
	EXPECT_EQ(0, fallocate(fd, punch, 8 * PS, PS));
	EXPECT_EQ(0, fallocate(fd, punch, 100 * PS, 1));
	EXPECT_EQ(6 * PS, committed(fd));
	EXPECT_EQ(-1, wrong_page_fd(fd, 5, 3, 300));
	EXPECT_EQ(0, fallocate(fd, punch, 7 * PS, 1000 * PS));
	EXPECT_EQ(5 * PS, committed(fd));
	EXPECT_EQ(-1, wrong_page_fd(fd, 7, 1, 0));
	EXPECT_EQ(8 * PS, (size_t)st_size(fd));

	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_ZERO_RANGE, 5 * PS, PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 5, 1, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 6, 1, 300));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 6 * PS, PS - 1));
	EXPECT_EQ(true, all_bytes(fd, 6 * PS, 7 * PS - 1, 0));

	EXPECT_ERRNO(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PS));
	EXPECT_ERRNO(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PS));
	EXPECT_ERRNO(EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PS));
	EXPECT_ERRNO(EOPNOTSUPP, fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, PS));
	EXPECT_ERRNO(EOPNOTSUPP, fallocate(fd, 0x400, 0, PS));
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, PS));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 300));
	close(fd);
}

TEST_F(vmo, tools_fallocate_grows)
{
	int fd = resizable(self->dev, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fallocate(fd, 0, 2 * PS, PS + 5));
	EXPECT_EQ(3 * PS + 5, (size_t)st_size(fd));
	EXPECT_EQ(4 * PS, size_of(fd));
	EXPECT_EQ(2 * PS, committed(fd));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 6 * PS, PS));
	EXPECT_EQ(3 * PS + 5, (size_t)st_size(fd));
	EXPECT_EQ(7 * PS, size_of(fd));
	EXPECT_EQ(3 * PS, committed(fd));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_ZERO_RANGE, 8 * PS, PS));
	EXPECT_EQ(9 * PS, (size_t)st_size(fd));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 8 * PS, PS));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 20 * PS, PS));
	EXPECT_EQ(9 * PS, (size_t)st_size(fd));
	EXPECT_EQ(9 * PS, size_of(fd));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 9, 0));
	close(fd);
}

TEST_F(vmo, s2_ftruncate)
{
	const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000, 50000, 8192, 8191, 12345 };
	int fd = resizable(self->dev, 20 * PS), fixed = vmo_new(self->dev, 5 * PS - 1);
	size_t kept = 20 * PS;
	char *ones = malloc(30 * PS);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, fixed);
	memset(ones, 1, 30 * PS);
	ASSERT_EQ(20 * PS, (size_t)pwrite(fd, ones, 20 * PS, 0));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		/* Down to each, then up again: what was behind is zero. */
		ASSERT_EQ(0, ftruncate(fd, sizes[i])) TH_LOG("%zu", sizes[i]);
		EXPECT_EQ(sizes[i], (size_t)st_size(fd));
		EXPECT_EQ((sizes[i] + PS - 1) / PS * PS, size_of(fd));
		kept = sizes[i] < 20 * PS ? sizes[i] : 20 * PS;
		ASSERT_EQ(0, ftruncate(fd, 25 * PS));
		EXPECT_EQ(25 * PS, (size_t)st_size(fd));
		EXPECT_EQ(true, all_bytes(fd, 0, kept, 1)) TH_LOG("kept %zu", kept);
		EXPECT_EQ(true, all_bytes(fd, kept, 25 * PS, 0)) TH_LOG("behind %zu", kept);
		ASSERT_EQ(20 * PS, (size_t)pwrite(fd, ones, 20 * PS, 0));
	}
	EXPECT_ERRNO(EINVAL, ftruncate(fd, -1));
	EXPECT_EQ(25 * PS, (size_t)st_size(fd));

	EXPECT_EQ(0, ftruncate(fixed, 5 * PS - 1));
	EXPECT_ERRNO(EPERM, ftruncate(fixed, 5 * PS));
	EXPECT_ERRNO(EPERM, ftruncate(fixed, 5 * PS - 2));
	EXPECT_ERRNO(EPERM, ftruncate(fixed, 0));
	EXPECT_ERRNO(EPERM, ftruncate(fixed, 6 * PS));
	EXPECT_EQ(5 * PS - 1, (size_t)st_size(fixed));
	free(ones);
	close(fd);
	close(fixed);
}

/* A mapping sees the bytes behind the end, and they are zero after a resize. */
TEST_F(vmo, s2_tail_of_the_last_page)
{
	int fd = resizable(self->dev, 2 * PS);
	char *map = vmo_map(fd, 2, RW);

	ASSERT_NE(NULL, map);
	memset(map, 1, 2 * PS);
	ASSERT_EQ(0, ftruncate(fd, PS + 10));
	EXPECT_EQ(1, map[PS + 9]);
	for (size_t i = PS + 10; i < 2 * PS; i++)
		ASSERT_EQ(0, map[i]);
	map[PS + 20] = 5;
	ASSERT_EQ(0, ftruncate(fd, PS + 15));
	EXPECT_EQ(0, map[PS + 20]);
	ASSERT_EQ(0, ftruncate(fd, PS));
	EXPECT_EQ(SIGBUS, touch(map + PS, false));
	ASSERT_EQ(0, ftruncate(fd, 2 * PS));
	EXPECT_EQ(0, map[PS]);
	EXPECT_EQ(0, map[PS + 9]);
	EXPECT_EQ(1, map[PS - 1]);
	munmap(map, 2 * PS);
	close(fd);
}

TEST_F(vmo, m5_large_files)
{
	int fd = resizable(self->dev, PS), from = vmo_new(self->dev, MAX_SIZE);
	off64_t in = 5 * GIG, out = 3 * GIG;
	char c = 0;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, from);
	EXPECT_EQ(0, ftruncate(fd, 2 * GIG - 1));
	EXPECT_EQ(0, ftruncate(fd, 2 * GIG)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, ftruncate(fd, 3 * GIG)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(1, pwrite(from, "z", 1, 5 * GIG));
	EXPECT_EQ(1, copy_file_range(from, &in, fd, &out, 1, 0)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(1, pread(fd, &c, 1, 3 * GIG));
	EXPECT_EQ('z', c);
	EXPECT_EQ(0, fallocate(fd, 0, 1ULL << 40, PS));
	EXPECT_EQ((1ULL << 40) + PS, (uint64_t)st_size(fd));
	EXPECT_EQ(0, ftruncate(fd, MAX_SIZE)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(MAX_SIZE, (uint64_t)st_size(fd));
	EXPECT_ERRNO(EFBIG, ftruncate(fd, MAX_SIZE + 1));
	EXPECT_ERRNO(EFBIG, ftruncate(fd, INT64_MAX));
	EXPECT_EQ(MAX_SIZE, (uint64_t)st_size(fd));
	EXPECT_ERRNO(EFBIG, pwrite(fd, "z", 1, MAX_SIZE));
	EXPECT_ERRNO(EFBIG, fallocate(fd, 0, MAX_SIZE, 1));
	EXPECT_EQ(2 * PS, committed(fd));
	EXPECT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, committed(fd));
	close(from);
	close(fd);
}

/* ---- flags of reads and writes ----------------------------------------- */

TEST_F(vmo, tools_fadvise)
{
	static const int all[] = {
		POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL,
		POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE,
	};
	int fd = vmo_new_pages(self->dev, 4);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, write_page(fd, 1, 6));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		EXPECT_EQ(0, posix_fadvise(fd, 0, 4 * PS, all[i])) TH_LOG("%d", all[i]);
		EXPECT_EQ(0, posix_fadvise(fd, 0, 0, all[i]));
		EXPECT_EQ(0, posix_fadvise(fd, 100 * PS, PS, all[i]));
	}
	EXPECT_EQ(EINVAL, posix_fadvise(fd, 0, 0, 77));
	EXPECT_EQ(EINVAL, posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
	EXPECT_EQ(PS, committed(fd));
	EXPECT_EQ(-1, wrong_page_fd(fd, 1, 1, 5));
	close(fd);
}

TEST_F(vmo, tools_rwf_flags)
{
	int fd = vmo_new(self->dev, PS), grows = resizable(self->dev, 10), append;
	struct iovec iov;
	char buf[16] = "0123456789";

	ASSERT_LE(0, fd);
	ASSERT_LE(0, grows);
	iov = (struct iovec) { buf, 10 };
	ASSERT_EQ(10, pwritev2(fd, &iov, 1, 100, 0));
	memset(buf, 0, sizeof(buf));
	/* Nobody holds a lock now: it need not wait. */
	EXPECT_EQ(10, preadv2(fd, &iov, 1, 100, RWF_NOWAIT));
	EXPECT_STREQ("0123456789", buf);
	EXPECT_EQ(10, pwritev2(fd, &iov, 1, 200, RWF_NOWAIT));
	EXPECT_EQ(0, preadv2(fd, &iov, 1, PS, RWF_NOWAIT));
	EXPECT_EQ(10, pwritev2(fd, &iov, 1, 0, RWF_DSYNC | RWF_SYNC));
	EXPECT_ERRNO(EOPNOTSUPP, preadv2(fd, &iov, 1, 0, 1 << 30));

	EXPECT_ERRNO(ENOSPC, pwritev2(fd, &iov, 1, 0, RWF_APPEND));
	EXPECT_EQ(10, pwritev2(grows, &iov, 1, 0, RWF_APPEND));
	EXPECT_EQ(20, st_size(grows));
	EXPECT_EQ(true, all_bytes(grows, 0, 10, 0));
	append = vmo_reopen(grows, O_RDWR | O_APPEND);
	ASSERT_LE(0, append);
	EXPECT_EQ(3, write(append, "abc", 3));
	EXPECT_EQ(3, pwrite(append, "def", 3, 0));	/* appends, too */
	EXPECT_EQ(26, st_size(grows));
	EXPECT_EQ(6, pread(append, buf, sizeof(buf), 20));
	EXPECT_EQ(0, memcmp(buf, "abcdef", 6));
	EXPECT_EQ(0, lseek(append, 0, SEEK_SET));
	for (int i = 0; i < 1000; i++)
		ASSERT_EQ(7, write(append, "seventh", 7));
	EXPECT_EQ(7026, st_size(grows));
	EXPECT_EQ(2 * PS, size_of(grows));
	/* By fcntl(), on a descriptor that was made without. */
	ASSERT_EQ(0, fcntl(grows, F_SETFL, O_APPEND));
	EXPECT_EQ(1, pwrite(grows, "x", 1, 0));
	EXPECT_EQ(7027, st_size(grows));
	close(append);
	close(fd);
	close(grows);
}

/* While somebody writes a lot: all of it or nothing, never something else. */
struct busy {
	int fd;
	uint64_t stop;
};

static void *busy_thread(void *arg)
{
	struct busy *busy = arg;
	char *buf = malloc(64 * PS);

	memset(buf, 0x77, 64 * PS);
	while (!load(&busy->stop))
		if (pwrite(busy->fd, buf, 64 * PS, 0) != (ssize_t)(64 * PS))
			break;
	free(buf);
	return NULL;
}

TEST_F(vmo, tools_rwf_nowait_while_busy)
{
	struct busy busy = { .fd = vmo_new_pages(self->dev, 64) };
	char buf[64], want[64];
	struct iovec iov = { buf, sizeof(buf) };
	double end = seconds() + 1;
	pthread_t thread;
	long done = 0;

	ASSERT_LE(0, busy.fd);
	memset(want, 0x77, sizeof(want));
	ASSERT_EQ(64, pwrite(busy.fd, want, 64, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, busy_thread, &busy));
	for (int i = 0; more_rounds(i, 200, 20000, end); i++) {
		ssize_t n;

		memset(buf, 0, sizeof(buf));
		n = preadv2(busy.fd, &iov, 1, 0, RWF_NOWAIT);
		if (n != 64) {
			ASSERT_EQ(-1, n);
			ASSERT_EQ(EAGAIN, errno);
		} else {
			ASSERT_EQ(0, memcmp(buf, want, 64));
			done++;
		}
		n = pwritev2(busy.fd, &iov, 1, 32 * PS, RWF_NOWAIT);
		if (n != 64) {
			ASSERT_EQ(-1, n);
			ASSERT_EQ(EAGAIN, errno);
		}
	}
	EXPECT_LT(0, done);
	store(&busy.stop, 1);
	pthread_join(thread, NULL);
	close(busy.fd);
}

/* ---- io_uring ---------------------------------------------------------- */

struct ring {
	int fd;
	unsigned int entries;
	struct io_uring_sqe *sqes;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_cqe *cqes;
	void *rings;
	size_t rings_size;
};

static int ring_open(struct ring *ring)
{
	struct io_uring_params p = { };
	size_t cq_size;

	ring->fd = syscall(__NR_io_uring_setup, 4, &p);
	if (ring->fd < 0)
		return -1;
	ring->entries = p.sq_entries;
	ring->rings_size = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	if (cq_size > ring->rings_size)
		ring->rings_size = cq_size;
	ring->rings = mmap(NULL, ring->rings_size, RW, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), RW, MAP_SHARED,
			  ring->fd, IORING_OFF_SQES);
	if (!(p.features & IORING_FEAT_SINGLE_MMAP) || ring->rings == MAP_FAILED ||
	    (void *)ring->sqes == MAP_FAILED)
		return -1;
	ring->sq_tail = ring->rings + p.sq_off.tail;
	ring->sq_mask = ring->rings + p.sq_off.ring_mask;
	ring->sq_array = ring->rings + p.sq_off.array;
	ring->cq_head = ring->rings + p.cq_off.head;
	ring->cq_tail = ring->rings + p.cq_off.tail;
	ring->cq_mask = ring->rings + p.cq_off.ring_mask;
	ring->cqes = ring->rings + p.cq_off.cqes;
	return 0;
}

static void ring_close(struct ring *ring)
{
	munmap(ring->sqes, ring->entries * sizeof(struct io_uring_sqe));
	munmap(ring->rings, ring->rings_size);
	close(ring->fd);
}

/* One request, and its answer. */
static int ring_do(struct ring *ring, int op, int fd, void *buf, unsigned int length,
		   uint64_t offset, int buf_index, int flags)
{
	unsigned int tail = *ring->sq_tail, at = tail & *ring->sq_mask, head = *ring->cq_head;
	struct io_uring_sqe *sqe = &ring->sqes[at];
	int res;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buf;
	sqe->len = length;
	sqe->off = offset;
	sqe->buf_index = buf_index;
	sqe->flags = flags;
	ring->sq_array[at] = at;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -ENODATA;
	if (__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == head)
		return -ENODATA;
	res = ring->cqes[head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

TEST_F(vmo, tools_io_uring)
{
	int fd = vmo_new_pages(self->dev, 8), other = vmo_new_pages(self->dev, 8);
	char *buf = malloc(4 * PS), *map = vmo_map(other, 8, RW);
	int flags[] = { 0, IOSQE_ASYNC };
	struct iovec iov;
	struct ring ring;

	ASSERT_NE(NULL, map);
	if (ring_open(&ring))
		SKIP(goto out, "no io_uring: %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		int f = flags[i];

		ASSERT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, 8 * PS));
		fill_pages(buf, 0, 4, 40 + i);
		EXPECT_EQ(3 * PS, ring_do(&ring, IORING_OP_WRITE, fd, buf, 3 * PS, 2 * PS, 0, f));
		EXPECT_EQ(-1, wrong_page_fd(fd, 2, 3, 38 + i));
		EXPECT_EQ(3 * PS, committed(fd));
		memset(buf, 0, 4 * PS);
		EXPECT_EQ(3 * PS, ring_do(&ring, IORING_OP_READ, fd, buf, 3 * PS, 2 * PS, 0, f));
		EXPECT_EQ(-1, wrong_page(buf, 0, 3, 40 + i));
		EXPECT_EQ(2 * PS, ring_do(&ring, IORING_OP_READ, fd, buf, 4 * PS, 6 * PS, 0, f));
		EXPECT_EQ(0, ring_do(&ring, IORING_OP_READ, fd, buf, PS, 8 * PS, 0, f));
		EXPECT_EQ(-ENOSPC, ring_do(&ring, IORING_OP_WRITE, fd, buf, PS, 8 * PS, 0, f));
		EXPECT_EQ(-EFAULT, ring_do(&ring, IORING_OP_READ, fd, (void *)8, PS, 0, 0, f));
		/* Into and out of a mapping of another object, whose pages are not there. */
		iov = (struct iovec) { map, 4 * PS };
		EXPECT_EQ(4 * PS, ring_do(&ring, IORING_OP_READV, fd, &iov, 1, 2 * PS, 0, f));
		EXPECT_EQ(-1, wrong_page(map, 0, 3, 40 + i));
		fill_pages(map, 0, 4, 60 + i);
		EXPECT_EQ(4 * PS, ring_do(&ring, IORING_OP_WRITEV, fd, &iov, 1, 4 * PS, 0, f));
		EXPECT_EQ(-1, wrong_page_fd(fd, 4, 4, 56 + i));
		EXPECT_EQ(0, ring_do(&ring, IORING_OP_FALLOCATE, fd, (void *)(2 * PS),
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PS, 0, f));
		EXPECT_EQ(-1, wrong_page_fd(fd, 4, 2, 0));
		EXPECT_EQ(0, ring_do(&ring, IORING_OP_FSYNC, fd, NULL, 0, 0, 0, f));
	}
	ring_close(&ring);
out:
	munmap(map, 8 * PS);
	free(buf);
	close(fd);
	close(other);
}

/* Memory of the object as a buffer that stays: where the kernel allows it. */
TEST_F(vmo, tools_io_uring_registered)
{
	int fd = vmo_new_flags(self->dev, 8 * PS, VMO_CREATE_LONGTERM), file = new_file(4, 20);
	char *map = vmo_map(fd, 8, RW);
	struct iovec iov = { map, 4 * PS };
	int child;
	struct ring ring;

	ASSERT_NE(NULL, map);
	ASSERT_LE(0, file);
	if (ring_open(&ring))
		SKIP(goto out, "no io_uring: %s", strerror(errno));
	if (syscall(__NR_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &iov, 1)) {
		int err = errno;

		/* 6.1 has shmem and hugetlbfs only. */
		EXPECT_EQ(EOPNOTSUPP, err);
		ring_close(&ring);
		SKIP(goto out, "this kernel refuses: %s", strerror(err));
	}
	EXPECT_EQ(4 * PS, ring_do(&ring, IORING_OP_READ_FIXED, file, map, 4 * PS, 0, 0, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 4, 20));
	/* What is held is copied: the snapshot does not see later reads into it. */
	child = vmo_snap(fd);
	ASSERT_LE(0, child);
	ASSERT_EQ(0, write_page(file, 0, 99));
	EXPECT_EQ(PS, ring_do(&ring, IORING_OP_READ_FIXED, file, map, PS, 0, 0, 0));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 1, 99));
	EXPECT_EQ(-1, wrong_page_fd(child, 0, 4, 20));
	close(child);
	ring_close(&ring);
out:
	munmap(map, 8 * PS);
	close(file);
	close(fd);
}

/* ---- poll -------------------------------------------------------------- */

static short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI | POLLIN | POLLOUT };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

struct poller {
	int fd;
	int epoll;	/* or -1 */
	uint64_t ready;
	int events;
	double seconds;
};

static void *poll_thread(void *arg)
{
	struct poller *poller = arg;
	struct pollfd p = { .fd = poller->fd, .events = POLLPRI };
	struct epoll_event event = { };
	double start = seconds();

	store(&poller->ready, 1);
	if (poller->epoll >= 0) {
		epoll_wait(poller->epoll, &event, 1, 20000);
		poller->events = event.events;
	} else {
		poll(&p, 1, 20000);
		poller->events = p.revents;
	}
	poller->seconds = seconds() - start;
	return NULL;
}

static const unsigned int kinds[] = { VMO_CLONE, VMO_SLICE, VMO_REFERENCE };

TEST_F(vmo, h3_poll)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int fd = vmo_new_pages(self->dev, 2), child, second;
		char *map;

		ASSERT_LE(0, fd);
		EXPECT_EQ(POLLPRI | POLLIN | POLLOUT, poll_now(fd));
		child = child_of(fd, kinds[i]);
		ASSERT_LE(0, child);
		EXPECT_EQ(POLLIN | POLLOUT, poll_now(fd)) TH_LOG("kind %zu", i);
		EXPECT_EQ(POLLPRI | POLLIN | POLLOUT, poll_now(child));
		second = child_of(fd, VMO_CLONE);
		ASSERT_LE(0, second);
		close(child);
		EXPECT_EQ(POLLIN | POLLOUT, poll_now(fd));
		/* A mapping keeps it alive. */
		map = vmo_map(second, 1, RO);
		ASSERT_NE(NULL, map);
		close(second);
		EXPECT_EQ(POLLIN | POLLOUT, poll_now(fd));
		munmap(map, PS);
		for (int ms = 0; ms < 5000 && !(poll_now(fd) & POLLPRI); ms += 10)
			usleep(10000);
		EXPECT_EQ(POLLPRI | POLLIN | POLLOUT, poll_now(fd));
		close(fd);
	}
}

/* A grandchild becomes a child when what is between dies (H4). */
TEST_F(vmo, h4_poll)
{
	int fd = vmo_new_pages(self->dev, 2), child = vmo_snap(fd), grand = vmo_snap(child);

	ASSERT_LE(0, grand);
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(child));
	close(child);
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(fd));
	close(grand);
	EXPECT_EQ(POLLPRI | POLLIN | POLLOUT, poll_now(fd));
	close(fd);
}

TEST_F(vmo, h3_pollers_are_woken)
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(kinds); i++) {
		int fd = vmo_new_pages(self->dev, 2), child = child_of(fd, kinds[i / 2]);
		struct poller poller = { .fd = fd, .epoll = -1 };
		struct epoll_event event = { .events = EPOLLPRI };
		pthread_t thread;

		ASSERT_LE(0, child);
		if (i % 2) {
			poller.epoll = epoll_create1(EPOLL_CLOEXEC);
			ASSERT_LE(0, poller.epoll);
			ASSERT_EQ(0, epoll_ctl(poller.epoll, EPOLL_CTL_ADD, fd, &event));
			EXPECT_EQ(0, epoll_wait(poller.epoll, &event, 1, 0));
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, poll_thread, &poller));
		wait_for(&poller.ready, 1);
		usleep(50000);
		close(child);
		pthread_join(thread, NULL);
		EXPECT_EQ(POLLPRI, poller.events);
		EXPECT_GT(15, poller.seconds);
		if (i % 2) {
			/* Level: it is set, and clear again with the next child. */
			EXPECT_EQ(1, epoll_wait(poller.epoll, &event, 1, 0));
			child = child_of(fd, kinds[i / 2]);
			EXPECT_EQ(0, epoll_wait(poller.epoll, &event, 1, 0));
			close(child);
			EXPECT_EQ(1, epoll_wait(poller.epoll, &event, 1, 0));
			close(poller.epoll);
		}
		close(fd);
	}
}

TEST_F(vmo, h3_edge_triggered)
{
	int fd = vmo_new_pages(self->dev, 2), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET };

	ASSERT_LE(0, fd);
	ASSERT_LE(0, epoll);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 0));	/* from creation on */
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	for (int i = 0; i < 3; i++) {
		int child = vmo_snap(fd), second = vmo_snap(fd);

		ASSERT_LE(0, second);
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
		close(child);
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
		close(second);
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 1000));
		EXPECT_EQ(EPOLLPRI, event.events & EPOLLPRI);
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	}
	close(epoll);
	close(fd);
}

/* ---- /proc ------------------------------------------------------------- */

/* What stands behind this key in fdinfo; "?" if the line is not there. */
static const char *fdinfo(int fd, const char *key)
{
	static char value[512];
	char path[64], line[512];
	size_t length = strlen(key);
	FILE *f;

	snprintf(value, sizeof(value), "?");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(value, sizeof(value), "%s", line + length + strspn(line + length, "\t "));
	}
	if (f)
		fclose(f);
	return value;
}

/* The name of the file that is mapped there. */
static const char *name_in_maps(const char *map)
{
	static char name[512];
	unsigned long start;
	char line[1024];
	FILE *f = fopen("/proc/self/maps", "re");
	int at = 0;

	snprintf(name, sizeof(name), "?");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%*x %*s %*s %*s %*s %n", &start, &at) == 1 &&
		    start == (unsigned long)map) {
			line[strcspn(line, "\n")] = 0;
			snprintf(name, sizeof(name), "%s", line + at);
		}
	}
	if (f)
		fclose(f);
	return name;
}

static const char *fd_link(int fd)
{
	static char link[512];
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link) - 1);
	link[length < 0 ? 0 : length] = 0;
	return link;
}

static void expect_names(struct __test_metadata *_metadata, int fd, const char *name)
{
	char want[512], id[32], size[32];
	struct vmo_info info;
	char *map = vmo_map(fd, 1, RO);

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	snprintf(id, sizeof(id), "%llu", (unsigned long long)info.id);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)info.size);
	snprintf(want, sizeof(want), "/vmo:%s%s%s", id, *name ? ":" : "", name);
	EXPECT_STREQ(id, fdinfo(fd, "vmo-id:"));
	EXPECT_STREQ(size, fdinfo(fd, "vmo-size:"));
	EXPECT_STREQ(name, fdinfo(fd, "vmo-name:"));
	EXPECT_STREQ(want, name_in_maps(map));
	EXPECT_STREQ(want, fd_link(fd));
	munmap(map, PS);
	/* As other mappings. */
	map = vmo_map_at(fd, 0, 1, RW, MAP_PRIVATE);
	ASSERT_NE(NULL, map);
	EXPECT_STREQ(want, name_in_maps(map));
	map[0] = 1;
	EXPECT_STREQ(want, name_in_maps(map));
	munmap(map, PS);
}

TEST_F(vmo, proc_names)
{
	static const struct {
		const char *name;
		const char *shown;
	} rows[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "with a space, and: more/./..", "with a space, and: more/./.." },
		{ "a\\b\xc3", "a\\134b\\303" },
		{ "\xff\x80", "\\377\\200" },
		{ "(deleted)", "(deleted)" },
		{ "%s%n", "%s%n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmo_create create = { .size = 3 * PS - 1 };
		struct vmo_name name = { .flags = VMO_NAME_SET };
		int child;

		snprintf(create.name, sizeof(create.name), "%s", rows[i].name);
		ASSERT_EQ(0, ioctl(self->dev, VMO_CREATE, &create));
		expect_names(_metadata, create.fd, rows[i].shown);
		/* Children start with it, and have their own. */
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			child = child_of(create.fd, kinds[k]);
			ASSERT_LE(0, child);
			expect_names(_metadata, child, rows[i].shown);
			snprintf(name.name, sizeof(name.name), "other");
			ASSERT_EQ(0, ioctl(child, VMO_NAME, &name));
			expect_names(_metadata, child, "other");
			expect_names(_metadata, create.fd, rows[i].shown);
			close(child);
		}
		close(create.fd);
	}
}

/* 63 bytes that all are escaped are 252, which still fit wherever names go. */
TEST_F(vmo, proc_longest_name)
{
	struct vmo_create create = { .size = PS };
	char shown[4 * VMO_NAME_SIZE], *p = shown;

	memset(create.name, 0xe9, VMO_NAME_SIZE - 1);
	for (int i = 0; i < VMO_NAME_SIZE - 1; i++)
		p += sprintf(p, "\\351");
	ASSERT_EQ(0, ioctl(self->dev, VMO_CREATE, &create));
	expect_names(_metadata, create.fd, shown);
	close(create.fd);
}

/* A mapping shows the name that the object has now. */
TEST_F(vmo, proc_renamed_while_mapped)
{
	int fd = vmo_new_pages(self->dev, 1);
	struct vmo_name name = { .flags = VMO_NAME_SET, .name = "second" };
	char *map = vmo_map(fd, 1, RW), want[64];
	struct vmo_info info;

	ASSERT_NE(NULL, map);
	ASSERT_EQ(0, vmo_stat(fd, &info));
	snprintf(want, sizeof(want), "/vmo:%llu", (unsigned long long)info.id);
	EXPECT_STREQ(want, name_in_maps(map));
	ASSERT_EQ(0, ioctl(fd, VMO_NAME, &name));
	strcat(want, ":second");
	EXPECT_STREQ(want, name_in_maps(map));
	EXPECT_STREQ(want, fd_link(fd));
	close(fd);
	EXPECT_STREQ(want, name_in_maps(map));
	munmap(map, PS);
}

TEST_F(vmo, proc_size_of_what_is_resized)
{
	int fd = resizable(self->dev, PS), reference;
	struct vmo_resize resize = { .size = 7 * PS - 3 };

	ASSERT_LE(0, fd);
	reference = child_of(fd, VMO_REFERENCE);
	ASSERT_LE(0, reference);
	EXPECT_STREQ("4096", fdinfo(fd, "vmo-size:"));
	ASSERT_EQ(0, ioctl(fd, VMO_RESIZE, &resize));
	EXPECT_STREQ("28672", fdinfo(fd, "vmo-size:"));
	EXPECT_STREQ("28672", fdinfo(reference, "vmo-size:"));
	EXPECT_EQ(7 * PS - 3, (size_t)st_size(reference));
	close(reference);
	close(fd);
}

TEST_HARNESS_MAIN
