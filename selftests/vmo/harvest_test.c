// SPDX-License-Identifier: GPL-2.0
/*
 * Which pages were written: VMO_HARVESTER and VMO_HARVEST. Random families that are
 * watched are in random_test, a vCPU that is in kvm_test.
 */
#define VMO_FIXTURE
#include "kselftest_harness.h"
#include "vmo_test_util.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define PAGES	200UL

static int harvester(int fd)
{
	struct vmo_harvester arg = { .fd = -1 };

	return ioctl(fd, VMO_HARVESTER, &arg) ? -1 : arg.fd;
}

/* Bits of the first 64 pages that are told; -1 if the call fails. */
static uint64_t told_with(int harvester, uint32_t flags)
{
	uint64_t word = 0;
	struct vmo_harvest arg = {
		.length = 64 * PS, .ranges = (uintptr_t)&word, .count = 1,
		.flags = VMO_HARVEST_BITMAP | flags,
	};

	return ioctl(harvester, VMO_HARVEST, &arg) || arg.length ? -1ULL : word;
}

static uint64_t told(int harvester)
{
	return told_with(harvester, 0);
}

#define BIT(n)	(1ULL << (n))

struct probe {
	int dev;
	int fd;
	int other;	/* of the same size, filled */
	int reference;
	char *map;
	char *io;
};

static ssize_t strict(int fd, uint32_t cmd, void *buf, size_t bytes, uint64_t offset)
{
	struct iovec iov = { buf, bytes };
	struct vmo_rw arg = { .offset = offset, .iov = (uintptr_t)&iov, .iov_count = 1 };

	return ioctl(fd, cmd, &arg);
}

static int transfer(int dst, uint64_t offset, int src, uint64_t from, uint64_t length)
{
	struct vmo_transfer arg = {
		.offset = offset, .src_offset = from, .length = length, .src_fd = src,
	};

	return ioctl(dst, VMO_TRANSFER, &arg);
}

static void probe_make(struct __test_metadata *_metadata, struct probe *p, int dev)
{
	p->dev = dev;
	p->fd = vmo_filled(dev, PAGES, VMO_CREATE_RESIZABLE, 100);
	p->other = vmo_filled(dev, PAGES, 0, 5000);
	p->reference = vmo_reference(p->fd, 0);
	p->map = vmo_map(p->fd, PAGES, RW);
	p->io = malloc(4 * PS);
	ASSERT_LE(0, p->fd);
	ASSERT_LE(0, p->other);
	ASSERT_LE(0, p->reference);
	ASSERT_NE(NULL, p->map);
	memset(p->io, 7, 4 * PS);
}

static void probe_end(struct probe *p)
{
	free(p->io);
	munmap(p->map, PAGES * PS);
	close(p->fd);
	close(p->other);
	close(p->reference);
}

/* ---- each way of writing ---- */

static int by_pwrite(struct probe *p)
{
	return pwrite(p->fd, p->io, 2 * PS, 5 * PS + 9) != (ssize_t)(2 * PS);
}

static int by_strict_write(struct probe *p)
{
	return strict(p->fd, VMO_WRITE, p->io, 1, 6 * PS);
}

static int by_reference(struct probe *p)
{
	return pwrite(p->reference, p->io, 1, 7 * PS) != 1;
}

static int by_restricted(struct probe *p)
{
	struct vmo_restrict arg = { .rights = VMO_RIGHT_WRITE, .fd = -1 };
	bool good = !ioctl(p->fd, VMO_RESTRICT, &arg) && pwrite(arg.fd, p->io, 1, 9 * PS) == 1;

	close(arg.fd);
	return !good;
}

static int by_store(struct probe *p)
{
	p->map[5 * PS] = 1;
	p->map[63 * PS + 4095] = 1;
	return 0;
}

static int by_child_process(struct probe *p)
{
	int pid = fork(), status;

	if (!pid) {
		p->map[3 * PS] = 1;
		_exit(0);
	}
	return waitpid(pid, &status, 0) != pid || status;
}

/* The mapping is gone before anybody asks. */
static int by_mapping_that_ends(struct probe *p)
{
	char *map = vmo_map(p->fd, PAGES, RW);

	if (!map)
		return -1;
	map[8 * PS] = 1;
	return munmap(map, PAGES * PS);
}

static int by_process_vm_writev(struct probe *p)
{
	struct iovec local = { p->io, 10 }, remote = { p->map + 20 * PS, 10 };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != 10;
}

static int by_read_into_it(struct probe *p)
{
	return pread(p->other, p->map + 30 * PS, PS, 0) != (ssize_t)PS;
}

static int by_zero(struct probe *p)
{
	return vmo_op(p->fd, VMO_OP_ZERO, 10 * PS + 5, 2 * PS);
}

static int by_decommit(struct probe *p)
{
	return vmo_op(p->fd, VMO_OP_DECOMMIT, 40 * PS, 3 * PS);
}

static int by_punch(struct probe *p)
{
	return fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 33 * PS, PS);
}

static int by_cut(struct probe *p)
{
	return vmo_set_size(p->fd, 50 * PS + 1) || vmo_set_size(p->fd, PAGES * PS);
}

static int by_transfer_here(struct probe *p)
{
	return transfer(p->fd, 3 * PS, p->other, 100 * PS, 2 * PS);
}

static int by_transfer_of_leaves(struct probe *p)
{
	return transfer(p->fd, 0, p->other, 64 * PS, 32 * PS);
}

static int by_transfer_away(struct probe *p)
{
	return transfer(p->other, 0, p->fd, 12 * PS, PS);
}

static int by_copy_file_range(struct probe *p)
{
	loff_t from = 0, to = 15 * PS;

	return copy_file_range(p->other, &from, p->fd, &to, PS, 0) != (ssize_t)PS;
}

static int by_remove_advice(struct probe *p)
{
	return madvise(p->map + 60 * PS, PS, MADV_REMOVE);
}

#define TO_END(n)	(~0ULL << (n))

/* What has to be there first, in each round. */
enum { NOTHING, PAGES_HERE, PAGES_THERE };

static const struct {
	const char *name;
	int (*run)(struct probe *p);
	uint64_t pages;
	int needs;
} way[] = {
	{ "pwrite", by_pwrite, BIT(5) | BIT(6) | BIT(7), NOTHING },
	{ "VMO_WRITE", by_strict_write, BIT(6), NOTHING },
	{ "reference", by_reference, BIT(7), NOTHING },
	{ "restricted descriptor", by_restricted, BIT(9), NOTHING },
	{ "store", by_store, BIT(5) | BIT(63), NOTHING },
	{ "child process", by_child_process, BIT(3), NOTHING },
	{ "mapping that ends", by_mapping_that_ends, BIT(8), NOTHING },
	{ "process_vm_writev", by_process_vm_writev, BIT(20), NOTHING },
	{ "read into it", by_read_into_it, BIT(30), NOTHING },
	{ "zero", by_zero, BIT(10) | BIT(11) | BIT(12), PAGES_HERE },
	{ "decommit", by_decommit, BIT(40) | BIT(41) | BIT(42), PAGES_HERE },
	{ "punch", by_punch, BIT(33), PAGES_HERE },
	{ "cut", by_cut, TO_END(50), PAGES_HERE },
	{ "transfer here", by_transfer_here, BIT(3) | BIT(4), PAGES_THERE },
	{ "transfer of leaves", by_transfer_of_leaves, BIT(32) - 1, PAGES_THERE },
	{ "transfer away", by_transfer_away, BIT(12), PAGES_HERE },
	{ "copy_file_range", by_copy_file_range, BIT(15), NOTHING },
	{ "MADV_REMOVE", by_remove_advice, BIT(60), PAGES_HERE },
};

/* Told once, whoever else was told, before pages were mapped or afterwards. */
TEST_F(vmo, harvest_each_way_of_writing)
{
	for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
		int first, second;
		struct probe p;

		probe_make(_metadata, &p, self->dev);
		first = harvester(p.fd);
		ASSERT_LE(0, first);
		EXPECT_EQ(0, told(first));
		for (int round = 0; round < 3; round++) {
			second = harvester(p.fd);
			ASSERT_LE(0, second);
			if (way[i].needs == PAGES_HERE)
				fill_pages(p.map, 0, PAGES, round);
			for (size_t k = 0; way[i].needs == PAGES_THERE && k < PAGES; k++)
				ASSERT_EQ(0, write_page(p.other, k, round));
			told(first);
			told(second);
			EXPECT_EQ(0, way[i].run(&p)) TH_LOG("%s: %s", way[i].name, strerror(errno));
			EXPECT_EQ(way[i].pages, told_with(first, VMO_HARVEST_KEEP))
				TH_LOG("%s, round %d", way[i].name, round);
			EXPECT_EQ(way[i].pages, told(first)) TH_LOG("%s", way[i].name);
			EXPECT_EQ(0, told(first)) TH_LOG("%s", way[i].name);
			EXPECT_EQ(way[i].pages, told(second)) TH_LOG("%s", way[i].name);
			EXPECT_EQ(0, told(second));
			close(second);
		}
		close(first);
		probe_end(&p);
	}
}

/* What changes no byte is no write. */
TEST_F(vmo, harvest_what_is_no_write)
{
	int fd = vmo_new_pages(self->dev, PAGES), h, child, slice, reference;
	uint64_t sum = 0;
	char *map, *private;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, write_page(fd, 3, 1));
	h = harvester(fd);
	ASSERT_LE(0, h);
	map = vmo_map(fd, PAGES, RW);
	private = vmo_map_at(fd, 0, PAGES, RW, MAP_PRIVATE);
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 20 * PS));
	for (size_t i = 0; i < 64; i++)
		sum += map[i * PS];
	private[3 * PS] = 9;
	child = vmo_snap(fd);
	slice = vmo_slice(fd, PS, PS, 0);
	reference = vmo_reference(fd, 0);
	ASSERT_LE(0, child);
	EXPECT_EQ(0, write_page(child, 5, 1));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 64 * PS));
	EXPECT_EQ(0, pwrite(fd, "", 0, 0));
	EXPECT_EQ(0, told(h)) TH_LOG("%lu", (unsigned long)sum);
	/* Where there was nothing, zeroing changes nothing. */
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 100 * PS, 50 * PS));
	EXPECT_EQ(0, told(h));
	close(child);
	close(slice);
	close(reference);
	munmap(map, PAGES * PS);
	munmap(private, PAGES * PS);
	close(h);
	close(fd);
}

/* No write costs a fault, once its PTE is there; other ways of mapping it neither. */
TEST_F(vmo, harvest_no_fault_for_a_store)
{
	int fd = vmo_filled(self->dev, 64, 0, 1), h;
	struct rusage before, after;
	char *map = vmo_map(fd, 64, RW);

	ASSERT_NE(NULL, map);
	fill_pages(map, 0, 64, 100);
	h = harvester(fd);
	ASSERT_LE(0, h);
	for (int round = 0; round < 20; round++) {
		getrusage(RUSAGE_SELF, &before);
		for (int i = round % 3; i < 64; i += 3)
			map[i * PS] = round;
		getrusage(RUSAGE_SELF, &after);
		EXPECT_GE(before.ru_minflt + 2, after.ru_minflt);	/* of our own stack */
		EXPECT_EQ(0x9249249249249249ULL << round % 3, told(h)) TH_LOG("round %d", round);
	}
	munmap(map, 64 * PS);
	close(h);
	close(fd);
}

/* A snapshot takes PTEs away, and with them their marks; neither lost nor told twice. */
TEST_F(vmo, harvest_snapshots_in_between)
{
	int fd = vmo_filled(self->dev, 64, 0, 1), h = harvester(fd), child, grandchild;
	char *map = vmo_map(fd, 64, RW);

	ASSERT_LE(0, h);
	ASSERT_NE(NULL, map);
	for (int round = 0; round < 4; round++) {
		map[PS] = round;
		child = vmo_snap(fd);
		map[2 * PS] = round;
		grandchild = vmo_snap(child);
		map[33 * PS] = round;
		if (round % 2)
			close(vmo_window(fd, 32 * PS, PS));
		EXPECT_EQ(0, write_page(fd, 4, round));
		EXPECT_EQ(0, vmo_op(child, VMO_OP_ZERO, 0, 64 * PS));
		EXPECT_EQ(BIT(1) | BIT(2) | BIT(33) | BIT(4), told(h));
		EXPECT_EQ(0, told(h));
		/* Nor what only copies: the page is shared, and read. */
		EXPECT_EQ(0, vmo_op(fd, VMO_OP_COMMIT, 0, 64 * PS));
		EXPECT_EQ(0, told(h));
		close(child);
		close(grandchild);
	}
	/* Pages that once were the child's: nobody wrote them here. */
	close(vmo_snap(fd));
	EXPECT_EQ(0, told(h));
	munmap(map, 64 * PS);
	close(h);
	close(fd);
}

TEST_F(vmo, harvest_rewind_is_a_write)
{
	int fd = vmo_filled(self->dev, 64, 0, 1);
	int child = vmo_clone_flags(fd, 64 * PS, VMO_CLONE_KEEP_BASE), h = harvester(child);
	struct vmo_rewind arg = { };
	char *map = vmo_map(child, 64, RW);

	ASSERT_LE(0, h);
	ASSERT_NE(NULL, map);
	map[PS] = 1;
	EXPECT_EQ(0, write_page(child, 2, 2));
	EXPECT_EQ(0, vmo_op(child, VMO_OP_ZERO, 3 * PS, PS));
	EXPECT_EQ(BIT(1) | BIT(2) | BIT(3), told(h));
	EXPECT_EQ(0, write_page(child, 40, 2));
	EXPECT_EQ(0, ioctl(child, VMO_REWIND, &arg));
	EXPECT_EQ(BIT(1) | BIT(2) | BIT(3) | BIT(40), told(h));
	EXPECT_EQ(0, told(h));
	munmap(map, 64 * PS);
	close(h);
	close(child);
	close(fd);
}

/* Who holds a page may write it at any time, and need not say so. */
TEST_F(vmo, harvest_pinned_and_held_pages)
{
	int fd = vmo_filled(self->dev, 64, 0, 1), h = harvester(fd), pin, pipes[2];
	char *map = vmo_map(fd, 64, RW);
	struct iovec iov = { map + 9 * PS, 1 };

	ASSERT_LE(0, h);
	ASSERT_NE(NULL, map);
	pin = vmo_pin_flags(fd, 4 * PS, 2 * PS, VMO_PIN_WRITE);
	ASSERT_LE(0, pin);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(BIT(4) | BIT(5), told(h));
	EXPECT_EQ(BIT(4) | BIT(5), told_with(h, VMO_HARVEST_KEEP));
	close(pin);
	EXPECT_EQ(BIT(4) | BIT(5), told(h));
	EXPECT_EQ(0, told(h));
	/* Pinned and let go in between. */
	close(vmo_pin_flags(fd, 7 * PS, PS, VMO_PIN_WRITE));
	EXPECT_EQ(BIT(7), told(h));
	EXPECT_EQ(0, told(h));
	/* A pipe has it: of a page that may be written, nobody knows by whom. */
	map[9 * PS] = 1;
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(1, vmsplice(pipes[1], &iov, 1, 0));
	EXPECT_EQ(BIT(9), told(h));
	EXPECT_EQ(BIT(9), told(h));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(BIT(9), told(h));
	EXPECT_EQ(0, told(h));
	/* It keeps a page that has left the object: that is told once, as any page is. */
	map[9 * PS] = 1;
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(1, vmsplice(pipes[1], &iov, 1, 0));
	EXPECT_EQ(BIT(9), told(h));
	EXPECT_EQ(0, vmo_op(fd, VMO_OP_ZERO, 0, 32 * PS));
	EXPECT_EQ(BIT(32) - 1, told(h));
	EXPECT_EQ(0, told(h));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(0, told(h));
	munmap(map, 64 * PS);
	close(h);
	close(fd);
}

/* In pieces of one range, as bits, in windows, past the end. */
TEST_F(vmo, harvest_ranges_bits_and_windows)
{
	int fd = vmo_filled(self->dev, 8192, 0, 1), h = harvester(fd), slice, of_slice;
	static const uint64_t at[] = { 0, 1, 31, 32, 33, 700, 4095, 4096, 8000, 8191 };
	uint64_t word[128] = { };
	struct vmo_range range[8];
	struct vmo_harvest arg;
	size_t n = 0;

	ASSERT_LE(0, h);
	slice = vmo_slice(fd, 30 * PS, 10 * PS, 0);
	of_slice = harvester(slice);
	ASSERT_LE(0, of_slice);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_EQ(0, write_page(fd, at[i], 5));
	EXPECT_EQ(BIT(1) | BIT(2) | BIT(3), told(of_slice));
	arg = (struct vmo_harvest) {
		.length = -1, .ranges = (uintptr_t)word, .count = 128,
		.flags = VMO_HARVEST_BITMAP | VMO_HARVEST_KEEP,
	};
	ASSERT_EQ(0, ioctl(h, VMO_HARVEST, &arg));
	EXPECT_EQ(0, arg.length);
	EXPECT_EQ(128, arg.count);
	for (size_t i = 0; i < 8192; i++) {
		bool is = n < ARRAY_SIZE(at) && at[n] == i;

		n += is;
		ASSERT_EQ(is, word[i / 64] >> i % 64 & 1) TH_LOG("page %zu", i);
	}
	/* From page 5 on, so bit 26 is page 31. */
	arg = (struct vmo_harvest) {
		.offset = 5 * PS, .length = 60 * PS, .ranges = (uintptr_t)word, .count = 1,
		.flags = VMO_HARVEST_BITMAP | VMO_HARVEST_KEEP,
	};
	ASSERT_EQ(0, ioctl(h, VMO_HARVEST, &arg));
	EXPECT_EQ(BIT(26) | BIT(27) | BIT(28), word[0]);
	arg = (struct vmo_harvest) {
		.length = -1, .ranges = (uintptr_t)range, .count = 1,
	};
	n = 0;
	do {
		ASSERT_EQ(0, ioctl(h, VMO_HARVEST, &arg));
		if (!arg.count)
			break;
		for (uint64_t k = range[0].offset; k < range[0].offset + range[0].length; k += PS)
			ASSERT_EQ(at[n++], k / PS);
		EXPECT_LE(range[0].offset + range[0].length, arg.offset);
	} while (arg.length);
	EXPECT_EQ(ARRAY_SIZE(at), n);
	/* Past the end, and nothing is left. */
	arg = (struct vmo_harvest) {
		.offset = 8000 * PS, .length = 8192 * PS, .ranges = (uintptr_t)range, .count = 1,
	};
	ASSERT_EQ(0, ioctl(h, VMO_HARVEST, &arg));
	EXPECT_EQ(0, arg.count);
	EXPECT_EQ(0, arg.length);
	EXPECT_EQ(16192 * PS, arg.offset);
	close(of_slice);
	close(slice);
	close(h);
	close(fd);
}

TEST_F(vmo, harvest_errors_lose_nothing)
{
	int fd = vmo_filled(self->dev, 64, 0, 1), h = harvester(fd), more[64];
	struct vmo_range range[4];
	const struct vmo_harvest good = {
		.length = 64 * PS, .ranges = (uintptr_t)range, .count = 4,
	};
	struct vmo_harvester bad = { .flags = 1 };
	struct vmo_harvest arg;

	ASSERT_LE(0, h);
	EXPECT_ERRNO(EINVAL, ioctl(fd, VMO_HARVESTER, &bad));
	EXPECT_ERRNO(EACCES, harvester(vmo_reopen(fd, O_WRONLY)));
	EXPECT_ERRNO(ENOTTY, ioctl(h, VMO_INFO, &range));
	EXPECT_ERRNO(ENOTTY, ioctl(fd, VMO_HARVEST, &arg));
	EXPECT_EQ(0, write_page(fd, 1, 5));
	EXPECT_EQ(0, write_page(fd, 40, 5));
#define BAD(_errno, _field, _value) do {				\
	arg = good;							\
	arg._field = _value;						\
	EXPECT_ERRNO(_errno, ioctl(h, VMO_HARVEST, &arg));		\
} while (0)
	BAD(EINVAL, offset, 1);
	BAD(EINVAL, length, 1);
	BAD(EINVAL, count, 0);
	BAD(EINVAL, flags, 4);
	BAD(EFAULT, ranges, 8);
	EXPECT_ERRNO(EFAULT, ioctl(h, VMO_HARVEST, NULL));
	EXPECT_ERRNO(EINVAL, ioctl(h, _IOWR(VMO_IOC, 0x40, uint64_t), &arg));
	/* The structure may be read, but not written. */
	{
		struct vmo_harvest *shut = mmap(NULL, PS, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ASSERT_NE(MAP_FAILED, shut);
		*shut = good;
		mprotect(shut, PS, PROT_READ);
		EXPECT_ERRNO(EFAULT, ioctl(h, VMO_HARVEST, shut));
		munmap(shut, PS);
	}
	EXPECT_EQ(BIT(1) | BIT(40), told(h));
	for (int i = 0; i < 63; i++) {
		more[i] = harvester(fd);
		ASSERT_LE(0, more[i]);
	}
	EXPECT_ERRNO(EAGAIN, harvester(fd));
	for (int i = 0; i < 63; i++)
		close(more[i]);
	more[0] = harvester(fd);
	EXPECT_LE(0, more[0]);
	close(more[0]);
	/* It keeps the memory, and sees who else has it. */
	more[0] = vmo_reference(fd, 0);
	close(fd);
	EXPECT_EQ(0, write_page(more[0], 2, 7));
	EXPECT_EQ(BIT(2), told(h));
	close(more[0]);
	EXPECT_EQ(0, told(h));
	close(h);
}

/* A page is poisoned, or taken away softly: pages that are clean are still ours. */
TEST_F(vmo, harvest_soft_offline_of_a_clean_page)
{
	int fd = vmo_filled(self->dev, 64, 0, 1), h = harvester(fd);
	char *map = vmo_map(fd, 64, RW);

	ASSERT_LE(0, h);
	fill_pages(map, 0, 64, 1);
	told(h);
	for (int i = 0; i < 8; i++)
		madvise(map + i * PS, PS, 101 /* MADV_SOFT_OFFLINE */);
	EXPECT_EQ(-1, wrong_page(map, 0, 64, 1));
	EXPECT_EQ(-1, wrong_page_fd(fd, 0, 64, 1));
	map[5 * PS] = 1;
	EXPECT_EQ(BIT(5), told(h) & BIT(5));
	munmap(map, 64 * PS);
	close(h);
	close(fd);
}

/* ---- everybody at once ---- */

#define MANY	256

struct storm {
	int fd;
	uint64_t stop;
};

static void *stores(void *arg)
{
	struct storm *s = arg;
	char *map = vmo_map(s->fd, MANY, RW);
	uint64_t x = (uintptr_t)&s ^ (uintptr_t)pthread_self();

	pin_to_cpu(1);
	while (!load(&s->stop)) {
		uint64_t *word;

		x = mix(x + 1);
		word = (uint64_t *)(map + x % MANY * PS) + (x >> 20) % 512;
		__atomic_store_n(word, x, __ATOMIC_RELAXED);
		if (!(x >> 50))
			madvise(map, MANY * PS, MADV_DONTNEED);
	}
	munmap(map, MANY * PS);
	return NULL;
}

static void *calls(void *arg)
{
	struct storm *s = arg;
	uint64_t x = (uintptr_t)pthread_self(), n = 0;
	char *map = vmo_map(s->fd, MANY, RW);

	while (!load(&s->stop)) {
		x = mix(x + 1);
		switch (x % 8) {
		case 0:
			close(vmo_snap(s->fd));
			break;
		case 1:
			vmo_op(s->fd, VMO_OP_ZERO, (x >> 8) % MANY * PS, PS);
			break;
		case 2:
			mprotect(map, MANY * PS, PROT_READ);
			mprotect(map, MANY * PS, RW);
			break;
		case 3:
			close(vmo_pin_flags(s->fd, (x >> 8) % MANY * PS, PS, VMO_PIN_WRITE));
			break;
		default:
			if (pwrite(s->fd, &x, 8, (x >> 8) % (MANY * PS - 8)) != 8)
				abort();
		}
		n++;
	}
	munmap(map, MANY * PS);
	return NULL;
}

/* Brings @copy up to date with what is told. */
static bool follow(int h, int fd, char *copy)
{
	struct vmo_range range[32];
	struct vmo_harvest arg = {
		.length = -1, .ranges = (uintptr_t)range, .count = ARRAY_SIZE(range),
	};

	do {
		arg.count = ARRAY_SIZE(range);
		if (ioctl(h, VMO_HARVEST, &arg))
			return false;
		for (unsigned int i = 0; i < arg.count; i++)
			if (pread(fd, copy + range[i].offset, range[i].length, range[i].offset) !=
			    (ssize_t)range[i].length)
				return false;
	} while (arg.length);
	return true;
}

/* Two copies that are kept up to date by what is told are right in the end. */
TEST_F(vmo, harvest_copies_that_follow)
{
	struct storm s = { .fd = vmo_new_pages(self->dev, MANY) };
	char *copy[2], *map = vmo_map(s.fd, MANY, RW);
	int h[2], rounds = 0;
	pthread_t thread[3];
	double end = seconds() + 3;

	ASSERT_NE(NULL, map);
	for (int i = 0; i < 2; i++) {
		h[i] = harvester(s.fd);
		ASSERT_LE(0, h[i]);
		copy[i] = calloc(MANY, PS);
	}
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, stores, &s));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, stores, &s));
	ASSERT_EQ(0, pthread_create(&thread[2], NULL, calls, &s));
	for (; more_rounds(rounds, 20, 100000, end); rounds++) {
		EXPECT_TRUE(follow(h[0], s.fd, copy[0]));
		if (!(rounds % 7))
			EXPECT_TRUE(follow(h[1], s.fd, copy[1]));
	}
	store(&s.stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	printf("# %d harvests\n", rounds);
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(follow(h[i], s.fd, copy[i]));
		for (size_t k = 0; k < MANY; k++) {
			EXPECT_EQ(0, memcmp(copy[i] + k * PS, map + k * PS, PS))
				TH_LOG("copy %d, page %zu", i, k);
		}
		free(copy[i]);
		close(h[i]);
	}
	munmap(map, MANY * PS);
	close(s.fd);
}

/* Cost goes with what was written, memory is given back. */
TEST_F(vmo, harvest_a_large_object)
{
	uint64_t size = 1ULL << 50;
	int fd = vmo_new_flags(self->dev, size, VMO_CREATE_RESIZABLE), h = harvester(fd);
	long nodes = vmo_counter("nodes");
	struct vmo_range range[4];
	struct vmo_harvest arg = {
		.length = -1, .ranges = (uintptr_t)range, .count = ARRAY_SIZE(range),
	};

	ASSERT_LE(0, h);
	EXPECT_EQ(1, pwrite(fd, "x", 1, size - 1));
	EXPECT_EQ(1, pwrite(fd, "x", 1, size / 2));
	EXPECT_EQ(1, pwrite(fd, "x", 1, size + 7 * PS));
	ASSERT_EQ(0, ioctl(h, VMO_HARVEST, &arg));
	ASSERT_EQ(3, arg.count);
	EXPECT_EQ(size / 2, range[0].offset);
	EXPECT_EQ(size - PS, range[1].offset);
	EXPECT_EQ(size + 7 * PS, range[2].offset);
	EXPECT_EQ(0, arg.length);
	/* A set is a tree: three paths at the most. */
	if (nodes >= 0)
		EXPECT_GE(nodes + 60, vmo_counter("nodes"));
	close(h);
	close(fd);
}

TEST_HARNESS_MAIN
