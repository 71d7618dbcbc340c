// SPDX-License-Identifier: GPL-2.0
/*
 * A 32-bit program that needs no library: prints the layout of the structures
 * as it sees it, and uses them. compat_test runs it, and includes it for the
 * list of fields.
 */
#include <linux/types.h>
#include <linux/vmo.h>

struct layout {
	const char *name;
	unsigned int offset;
	unsigned int size;
};

#define WHOLE(_struct) { #_struct, 0, sizeof(struct _struct) }
#define FIELD(_struct, _field) {						\
	#_struct "." #_field, __builtin_offsetof(struct _struct, _field),	\
	sizeof(((struct _struct *)0)->_field)					\
}

static const struct layout layouts[] = {
	WHOLE(vmo_probe),
	FIELD(vmo_probe, abi),
	FIELD(vmo_probe, page_size),
	FIELD(vmo_probe, features),
	FIELD(vmo_probe, max_size),
	WHOLE(vmo_create),
	FIELD(vmo_create, size),
	FIELD(vmo_create, flags),
	FIELD(vmo_create, fd),
	FIELD(vmo_create, name),
	WHOLE(vmo_clone),
	FIELD(vmo_clone, offset),
	FIELD(vmo_clone, size),
	FIELD(vmo_clone, flags),
	FIELD(vmo_clone, fd),
	WHOLE(vmo_slice),
	FIELD(vmo_slice, offset),
	FIELD(vmo_slice, size),
	FIELD(vmo_slice, flags),
	FIELD(vmo_slice, fd),
	WHOLE(vmo_reference),
	FIELD(vmo_reference, offset),
	FIELD(vmo_reference, size),
	FIELD(vmo_reference, flags),
	FIELD(vmo_reference, fd),
	WHOLE(vmo_resize),
	FIELD(vmo_resize, size),
	FIELD(vmo_resize, flags),
	FIELD(vmo_resize, reserved),
	WHOLE(vmo_op_range),
	FIELD(vmo_op_range, op),
	FIELD(vmo_op_range, flags),
	FIELD(vmo_op_range, offset),
	FIELD(vmo_op_range, length),
	WHOLE(vmo_pin),
	FIELD(vmo_pin, offset),
	FIELD(vmo_pin, length),
	FIELD(vmo_pin, flags),
	FIELD(vmo_pin, fd),
	WHOLE(vmo_name),
	FIELD(vmo_name, flags),
	FIELD(vmo_name, reserved),
	FIELD(vmo_name, name),
	WHOLE(vmo_rw),
	FIELD(vmo_rw, offset),
	FIELD(vmo_rw, iov),
	FIELD(vmo_rw, iov_count),
	FIELD(vmo_rw, flags),
	FIELD(vmo_rw, actual),
	WHOLE(vmo_info),
	FIELD(vmo_info, id),
	FIELD(vmo_info, parent_id),
	FIELD(vmo_info, size),
	FIELD(vmo_info, content_size),
	FIELD(vmo_info, committed_bytes),
	FIELD(vmo_info, private_bytes),
	FIELD(vmo_info, shared_bytes),
	FIELD(vmo_info, scaled_bytes),
	FIELD(vmo_info, metadata_bytes),
	FIELD(vmo_info, children),
	FIELD(vmo_info, flags),
	FIELD(vmo_info, pinned_bytes),
	FIELD(vmo_info, name),
};

#define NR_LAYOUTS	(sizeof(layouts) / sizeof(layouts[0]))

#ifndef LAYOUTS_ONLY

#include <asm/unistd.h>

#define O_RDWR		2
#define PAGE		4096

/* struct iovec of 32 bits, whatever the headers say. */
struct iovec32 {
	__u32 base;
	__u32 length;
};

/* The compiler may call these. */
void *memset(void *to, int value, unsigned int size)
{
	void *at = to;

	asm volatile("rep stosb" : "+D" (at), "+c" (size) : "a" (value) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, unsigned int size)
{
	void *at = to;

	asm volatile("rep movsb" : "+D" (at), "+S" (from), "+c" (size) : : "memory");
	return to;
}

static long syscall3(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("int $0x80" : "=a" (ret) : "0" (nr), "b" (a), "c" (b), "d" (c) : "memory");
	return ret;
}

static long vmo_ioctl(int fd, unsigned int num, void *arg)
{
	return syscall3(__NR_ioctl, fd, num, (long)arg);
}

static void print(const char *text)
{
	unsigned int length = 0;

	while (text[length])
		length++;
	syscall3(__NR_write, 1, (long)text, length);
}

static void print_number(unsigned int number)
{
	char digits[12], *p = digits + sizeof(digits);

	*--p = 0;
	do {
		*--p = '0' + number % 10;
		number /= 10;
	} while (number);
	print(p);
}

static void print_layouts(void)
{
	for (unsigned int i = 0; i < NR_LAYOUTS; i++) {
		print(layouts[i].name);
		print(" ");
		print_number(layouts[i].offset);
		print(" ");
		print_number(layouts[i].size);
		print("\n");
	}
}

/* Says what went wrong on the way out. */
static int check(int good, const char *what)
{
	if (!good) {
		print("failed: ");
		print(what);
		print("\n");
	}
	return good;
}

static int same(const char *a, const char *b, unsigned int size)
{
	while (size && *a == *b)
		a++, b++, size--;
	return !size;
}

/* Two iovecs of 32 bits each, the second from or to the end of @buf. */
static long strict(int fd, unsigned int num, __u64 offset, char *buf, __u32 first, __u32 second,
		   __u64 *actual)
{
	struct iovec32 iov[2] = {
		{ (__u32)buf, first }, { (__u32)buf + first, second },
	};
	struct vmo_rw rw = { .offset = offset, .iov = (__u32)iov, .iov_count = 2, .actual = 77 };
	long ret = vmo_ioctl(fd, num, &rw);

	*actual = rw.actual;
	return ret;
}

static char in[PAGE + 10], out[PAGE + 10];

static int use_objects(int dev)
{
	struct vmo_create create = { .size = 3 * PAGE - 5, .fd = -1, .name = "thirty-two" };
	struct vmo_clone clone = { .size = 2 * PAGE, .flags = VMO_CLONE_SNAPSHOT, .fd = -1 };
	struct vmo_info info = { };
	struct vmo_probe probe = { };
	__u64 actual;

	if (!check(!vmo_ioctl(dev, VMO_PROBE, &probe), "probe") ||
	    !check(probe.page_size == PAGE && probe.max_size == (1ULL << 63) - PAGE, "probed") ||
	    !check(!vmo_ioctl(dev, VMO_CREATE, &create), "create") ||
	    !check(create.fd > dev, "created"))
		return 0;
	for (unsigned int i = 0; i < sizeof(in); i++)
		in[i] = 1 + i % 251;
	if (!check(!strict(create.fd, VMO_WRITE, PAGE - 3, in, 100, PAGE - 90, &actual), "write") ||
	    !check(actual == sizeof(in), "written") ||
	    !check(!vmo_ioctl(create.fd, VMO_CLONE, &clone), "clone") ||
	    !check(!strict(create.fd, VMO_WRITE, PAGE - 3, out, 7, PAGE, &actual), "write again") ||
	    !check(!strict(clone.fd, VMO_READ, PAGE - 3, out, 4000, 3, &actual), "read") ||
	    !check(actual == 4003 && same(in, out, 4003), "what was read") ||
	    !check(strict(clone.fd, VMO_READ, 2 * PAGE - 1, out, 1, 1, &actual) == -34, "past") ||
	    !check(actual == 0, "nothing was read"))
		return 0;
	return check(!vmo_ioctl(create.fd, VMO_INFO, &info), "info") &&
	       check(info.size == 3 * PAGE && info.content_size == 3 * PAGE - 5, "sizes") &&
	       check(info.children == 1 && info.committed_bytes == 3 * PAGE, "counts") &&
	       check(same(info.name, "thirty-two", 11), "name") &&
	       check(strict(create.fd, VMO_READ, 0, (char *)-PAGE, 1, 1, &actual) == -14, "fault");
}

__attribute__((used)) static void run(void)
{
	int dev = syscall3(__NR_open, (long)"/dev/vmo", O_RDWR, 0), good;

	print_layouts();
	good = check(dev >= 0, "open") && use_objects(dev);
	syscall3(__NR_exit, !good, 0, 0);
	__builtin_unreachable();
}

/* The stack is aligned as a function expects it. */
asm(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %esp\n\tcall run\n");

#endif
