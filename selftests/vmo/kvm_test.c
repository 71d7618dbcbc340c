// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU writes through page tables of its own, the nested ones, which a snapshot
 * has to revoke like any other PTE. Its memory is a shared mapping of an object.
 */
#define VMO_FIXTURE
#include "vmo_test_util.h"

#include <linux/kvm.h>
#include <stddef.h>

/* ---- the guest ------------------------------------------------------------------ */

/*
 * What it does for ever: count, and write the count to the first word of WORDS pages,
 * in this order. They lie in different leaves of the tree; some are neighbours.
 */
#define WORDS		8
#define ENTRY		0x1000
#define GUEST_PAGES	512

static const unsigned int word_page[WORDS] = { 2, 200, 3, 4, 448, 100, 199, 511 };

/* Starts with the last word, so that memory alone is enough to go on from. */
static void write_code(char *mem)
{
	unsigned char *code = (unsigned char *)mem + ENTRY, *loop;
	uint32_t address;

	/* 16-bit code: 66 for 32-bit operands, 67 for 32-bit addresses. */
	address = word_page[WORDS - 1] * PS;
	memcpy(code, "\x66\x67\xa1", 3);		/* mov (address),%eax */
	memcpy(code + 3, &address, 4);
	code += 7;
	loop = code;
	memcpy(code, "\x66\x40", 2);			/* inc %eax */
	code += 2;
	for (int i = 0; i < WORDS; i++) {
		address = word_page[i] * PS;
		memcpy(code, "\x66\x67\xa3", 3);	/* mov %eax,(address) */
		memcpy(code + 3, &address, 4);
		code += 7;
	}
	code[0] = 0xeb;					/* jmp loop */
	code[1] = loop - (code + 2);
}

struct guest {
	int vm;
	int cpu;
	int exit;		/* why KVM_RUN came back, if it was not us */
	char *mem;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	uint64_t stop;
};

static void nothing(int sig)
{
}

/* Why there can be no guest at all, or NULL. */
static const char *kvm_open(int *kvm)
{
	struct sigaction act = { .sa_handler = nothing };

	if (system("modprobe -q kvm-amd 2>/dev/null; modprobe -q kvm-intel 2>/dev/null"))
		*kvm = -1;	/* or built in */
	*kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (*kvm < 0)
		return "no /dev/kvm";
	if (ioctl(*kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return "KVM cannot be made to leave the guest";
	sigaction(SIGUSR1, &act, NULL);
	return NULL;
}

/* Real mode, but with segments of 4 GiB. */
static bool guest_reset(struct guest *g)
{
	struct kvm_regs regs = { .rip = ENTRY, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(g->cpu, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.limit = 0xffffffff;
	sregs.ds.g = 1;
	return !ioctl(g->cpu, KVM_SET_SREGS, &sregs) && !ioctl(g->cpu, KVM_SET_REGS, &regs);
}

/* A machine whose memory is this object. */
static bool guest_new(int kvm, struct guest *g, int fd)
{
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_PAGES * PS };

	*g = (struct guest){ .vm = -1, .cpu = -1 };
	g->mem = vmo_map(fd, GUEST_PAGES, RW);
	g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (!g->mem || g->vm < 0)
		return false;
	region.userspace_addr = (uintptr_t)g->mem;
	if (ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region))
		return false;
	g->cpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	g->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = mmap(NULL, g->run_size, RW, MAP_SHARED, g->cpu, 0);
	return g->cpu >= 0 && g->run != MAP_FAILED && guest_reset(g);
}

static void guest_free(struct guest *g)
{
	munmap(g->run, g->run_size);
	close(g->cpu);
	close(g->vm);
	munmap(g->mem, GUEST_PAGES * PS);
}

static void *guest_thread(void *arg)
{
	struct guest *g = arg;

	while (!load(&g->stop)) {
		if (!ioctl(g->cpu, KVM_RUN, 0))
			g->exit = g->run->exit_reason;
		else if (errno != EINTR && errno != EAGAIN)
			g->exit = -errno;
		if (g->exit)
			break;
	}
	return NULL;
}

static bool guest_start(struct guest *g)
{
	g->run->immediate_exit = 0;
	store(&g->stop, 0);
	return !pthread_create(&g->thread, NULL, guest_thread, g);
}

/* Whether it ran till now. */
static bool guest_stop(struct guest *g)
{
	store(&g->stop, 1);
	*(volatile __u8 *)&g->run->immediate_exit = 1;
	pthread_kill(g->thread, SIGUSR1);
	pthread_join(g->thread, NULL);
	return !g->exit;
}

static uint32_t guest_word(struct guest *g, int i)
{
	return __atomic_load_n((uint32_t *)(g->mem + word_page[i] * PS), __ATOMIC_ACQUIRE);
}

/* Waits until the last word is at least this; false if the guest does not get there. */
static bool guest_reaches(struct guest *g, uint32_t count)
{
	double end = seconds() + 20;

	while (guest_word(g, WORDS - 1) < count) {
		if (seconds() > end)
			return false;
		sched_yield();
	}
	return true;
}

/* ---- what a snapshot holds ------------------------------------------------------- */

static bool words_of(int fd, uint32_t *word)
{
	for (int i = 0; i < WORDS; i++)
		if (pread(fd, word + i, 4, word_page[i] * PS) != 4)
			return false;
	return true;
}

/* One instant of the guest: some words are of the last round, those before of the next. */
static bool is_instant(const uint32_t *word)
{
	for (int i = 1; i < WORDS; i++)
		if (word[i] > word[i - 1])
			return false;
	return word[WORDS - 1] + 1 >= word[0];
}

#define KEPT	16

struct shot {
	int fd;
	uint32_t word[WORDS];
};

static void shot_take(struct __test_metadata *_metadata, struct shot *shot, int fd,
		      struct guest *g)
{
	uint32_t seen = guest_word(g, WORDS - 1);

	shot->fd = vmo_snap(fd);
	ASSERT_LE(0, shot->fd);
	EXPECT_TRUE(words_of(shot->fd, shot->word));
	EXPECT_TRUE(is_instant(shot->word)) {
		for (int i = 0; i < WORDS; i++)
			TH_LOG("word %d is %u", i, shot->word[i]);
	}
	/* What somebody saw before is in it, and nothing is in it that is to come. */
	EXPECT_LE(seen, shot->word[WORDS - 1]);
	EXPECT_GE(guest_word(g, 0), shot->word[0]);
}

/* Neither has it changed, by read nor by mapping. */
static void shot_check(struct __test_metadata *_metadata, struct shot *shot)
{
	char *map = vmo_map(shot->fd, GUEST_PAGES, RO);
	uint32_t word[WORDS];

	ASSERT_NE(NULL, map);
	EXPECT_TRUE(words_of(shot->fd, word));
	EXPECT_EQ(0, memcmp(word, shot->word, sizeof(word)));
	for (int i = 0; i < WORDS; i++)
		EXPECT_EQ(0, memcmp(map + word_page[i] * PS, shot->word + i, 4));
	munmap(map, GUEST_PAGES * PS);
}

/* ---- going back ------------------------------------------------------------------ */

static uint64_t set_of_words(int harvester)
{
	uint64_t word[GUEST_PAGES / 64] = { }, seen = 0;
	struct vmo_harvest arg = {
		.length = -1, .ranges = (uintptr_t)word, .count = GUEST_PAGES / 64,
		.flags = VMO_HARVEST_BITMAP,
	};

	if (ioctl(harvester, VMO_HARVEST, &arg))
		return 0;
	for (int i = 0; i < WORDS; i++)
		seen |= (word[word_page[i] / 64] >> word_page[i] % 64 & 1) << i;
	return seen;
}

/* ---- tests ---------------------------------------------------------------------- */

/*
 * Memory goes back to where it was cloned, registers to what they were: the guest runs
 * from there again, to the same result. What it wrote is told each time.
 */
TEST_F(vmo, inv_4_6_kvm_guest_goes_back)
{
	int kvm, image = vmo_new_pages(self->dev, GUEST_PAGES), fd, h;
	const char *why_not = kvm_open(&kvm);
	struct vmo_harvester watch = { .fd = -1 };
	struct vmo_rewind rewind = { };
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint32_t start;
	struct guest g;
	char *mem;

	if (why_not)
		SKIP(return, "%s", why_not);
	mem = vmo_map(image, GUEST_PAGES, RW);
	ASSERT_NE(NULL, mem);
	write_code(mem);
	*(uint32_t *)(mem + word_page[WORDS - 1] * PS) = 1000;
	munmap(mem, GUEST_PAGES * PS);
	fd = vmo_clone_flags(image, GUEST_PAGES * PS, VMO_CLONE_KEEP_BASE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, VMO_HARVESTER, &watch));
	h = watch.fd;
	ASSERT_TRUE(guest_new(kvm, &g, fd));
	ASSERT_EQ(0, ioctl(g.cpu, KVM_GET_REGS, &regs));
	ASSERT_EQ(0, ioctl(g.cpu, KVM_GET_SREGS, &sregs));
	for (int round = 0; round < 10; round++) {
		start = guest_word(&g, WORDS - 1);
		EXPECT_EQ(1000, start);
		set_of_words(h);
		ASSERT_TRUE(guest_start(&g));
		ASSERT_TRUE(guest_reaches(&g, 1000 + 50 * (round + 1)));
		/* While it runs, and once more: it has written all of them since. */
		EXPECT_EQ((1 << WORDS) - 1, set_of_words(h));
		ASSERT_TRUE(guest_reaches(&g, guest_word(&g, 0) + 2));
		EXPECT_EQ((1 << WORDS) - 1, set_of_words(h));
		ASSERT_TRUE(guest_reaches(&g, guest_word(&g, 0) + 2));
		EXPECT_TRUE(guest_stop(&g));
		EXPECT_EQ((1 << WORDS) - 1, set_of_words(h));
		EXPECT_EQ(0, ioctl(fd, VMO_REWIND, &rewind));
		for (int i = 0; i < WORDS - 1; i++)
			EXPECT_EQ(0, guest_word(&g, i));
		ASSERT_EQ(0, ioctl(g.cpu, KVM_SET_REGS, &regs));
		ASSERT_EQ(0, ioctl(g.cpu, KVM_SET_SREGS, &sregs));
	}
	guest_free(&g);
	close(h);
	close(fd);
	close(image);
	close(kvm);
}

TEST_F(vmo, inv_4_6_kvm_vcpu)
{
	int kvm, fd = vmo_new_pages(self->dev, GUEST_PAGES), rounds = 0;
	const char *why_not = kvm_open(&kvm);
	double end = seconds() + 4;
	struct shot shot[KEPT];
	struct guest g;

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_TRUE(guest_new(kvm, &g, fd));
	write_code(g.mem);
	ASSERT_TRUE(guest_start(&g));
	ASSERT_TRUE(guest_reaches(&g, 100));
	for (; more_rounds(rounds, 2 * KEPT, 400, end); rounds++) {
		struct shot *s = shot + rounds % KEPT;

		if (rounds >= KEPT) {
			shot_check(_metadata, s);
			close(s->fd);
		}
		shot_take(_metadata, s, fd, &g);
		/* It is neither stopped nor set back; sometimes the next is right behind. */
		if (rounds % 4)
			ASSERT_TRUE(guest_reaches(&g, s->word[0] + rounds % 8 * 100));
	}
	EXPECT_TRUE(guest_stop(&g));
	for (int i = 0; i < KEPT; i++) {
		shot_check(_metadata, shot + i);
		close(shot[i].fd);
	}
	TH_LOG("%d snapshots while the guest counted to %u", rounds, guest_word(&g, 0));
	guest_free(&g);
	close(kvm);
	close(fd);
}

/* A clone of a snapshot of a running guest is the memory of another guest. */
TEST_F(vmo, inv_4_6_kvm_restored_from_memory)
{
	int kvm, fd = vmo_new_pages(self->dev, GUEST_PAGES), clone[3];
	const char *why_not = kvm_open(&kvm);
	uint32_t word[WORDS], mine[WORDS];
	struct guest g, restored[3];
	struct shot shot;

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_TRUE(guest_new(kvm, &g, fd));
	write_code(g.mem);
	ASSERT_TRUE(guest_start(&g));
	ASSERT_TRUE(guest_reaches(&g, 5000));
	shot_take(_metadata, &shot, fd, &g);
	/* All of them at once, and the first one goes on meanwhile. */
	for (int i = 0; i < 3; i++) {
		clone[i] = vmo_snap(shot.fd);
		ASSERT_LE(0, clone[i]);
		ASSERT_TRUE(guest_new(kvm, restored + i, clone[i]));
		ASSERT_TRUE(guest_start(restored + i));
	}
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(guest_reaches(restored + i, shot.word[0] + 1000 * (i + 1)));
	EXPECT_TRUE(guest_reaches(&g, guest_word(&g, 0) + 1000));
	EXPECT_TRUE(guest_stop(&g));
	EXPECT_TRUE(words_of(fd, word));
	EXPECT_TRUE(is_instant(word));
	/* It stands still, the others do not: it must not see them. */
	EXPECT_TRUE(guest_reaches(restored, guest_word(restored, 0) + 1000));
	EXPECT_TRUE(words_of(fd, mine));
	EXPECT_EQ(0, memcmp(word, mine, sizeof(word)));
	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(guest_stop(restored + i));
		EXPECT_TRUE(words_of(clone[i], word));
		EXPECT_TRUE(is_instant(word));
		guest_free(restored + i);
		close(clone[i]);
	}
	shot_check(_metadata, &shot);
	guest_free(&g);
	close(shot.fd);
	close(kvm);
	close(fd);
}

/* The registers go along: the second guest goes on at the very instruction. */
TEST_F(vmo, inv_4_6_kvm_restored_with_registers)
{
	int kvm, fd = vmo_new_pages(self->dev, GUEST_PAGES), clone;
	const char *why_not = kvm_open(&kvm);
	struct guest g, restored;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct shot shot;

	if (why_not)
		SKIP(return, "%s", why_not);
	ASSERT_TRUE(guest_new(kvm, &g, fd));
	write_code(g.mem);
	for (int round = 0; round < 10; round++) {
		ASSERT_TRUE(guest_start(&g));
		ASSERT_TRUE(guest_reaches(&g, guest_word(&g, 0) + 500));
		ASSERT_TRUE(guest_stop(&g));
		ASSERT_EQ(0, ioctl(g.cpu, KVM_GET_REGS, &regs));
		ASSERT_EQ(0, ioctl(g.cpu, KVM_GET_SREGS, &sregs));
		shot_take(_metadata, &shot, fd, &g);
		/* Of one instant are memory and registers. */
		EXPECT_TRUE(regs.rax == shot.word[0] || regs.rax == shot.word[0] + 1);
		clone = vmo_snap(shot.fd);
		ASSERT_TRUE(guest_new(kvm, &restored, clone));
		ASSERT_EQ(0, ioctl(restored.cpu, KVM_SET_SREGS, &sregs));
		ASSERT_EQ(0, ioctl(restored.cpu, KVM_SET_REGS, &regs));
		ASSERT_TRUE(guest_start(&restored));
		EXPECT_TRUE(guest_reaches(&restored, shot.word[0] + 500));
		EXPECT_TRUE(guest_stop(&restored));
		EXPECT_EQ(shot.word[0], guest_word(&g, 0));
		shot_check(_metadata, &shot);
		guest_free(&restored);
		close(clone);
		close(shot.fd);
	}
	guest_free(&g);
	close(kvm);
	close(fd);
}

TEST_HARNESS_MAIN
