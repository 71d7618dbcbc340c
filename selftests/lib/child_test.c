// SPDX-License-Identifier: GPL-2.0
/* Clones, snapshots, slices and references by libvmo. */
#include "lib_test_util.h"

TEST_F(lib, clone_of_a_window)
{
	struct vmo *vmo = vmo_create(self->dev, 4 * PS, 0, "parent"), *child;
	struct vmo_info info;

	ASSERT_TRUE(fill(vmo, 2, 5));
	child = vmo_clone(vmo, 2 * PS, 3 * PS - 7, VMO_CLONE_SNAPSHOT);
	ASSERT_NE(NULL, child);
	EXPECT_CLOEXEC(vmo_fd(child));
	ASSERT_TRUE(fill(vmo, 2, 6));
	EXPECT_TRUE(holds(child, 0, 5));
	EXPECT_TRUE(holds(child, 2, 0));	/* behind the parent's end */
	EXPECT_TRUE(fill(child, 1, 7));
	EXPECT_TRUE(holds(vmo, 3, 0));
	ASSERT_EQ(0, vmo_info(child, &info, sizeof(info)));
	EXPECT_EQ(INFO(vmo, id), info.parent_id);
	EXPECT_EQ(3 * PS, info.size);
	EXPECT_EQ(3 * PS - 7, info.content_size);
	EXPECT_EQ(VMO_INFO_COW_CLONE, info.flags);
	EXPECT_EQ(0, strcmp("parent", info.name));
	EXPECT_EQ(1, INFO(vmo, children));
	vmo_close(child);
	child = vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE);
	ASSERT_NE(NULL, child);
	EXPECT_FALSE(fill(child, 0, 1));
	EXPECT_EQ(EACCES, errno);
	vmo_close(child);
	vmo_close(vmo);
}

TEST_F(lib, clone_says_what_is_wrong)
{
	struct vmo *vmo = new_pages(self->dev, 2), *blind = reopened(vmo, O_WRONLY);
	int pin = vmo_pin(vmo, 0, PS, VMO_PIN_READ);
	struct vmo *child;
	rlim_t before;

	ASSERT_NE(NULL, blind);
	EXPECT_NONE(EINVAL, vmo_clone(vmo, 0, PS, 0));
	EXPECT_NONE(EINVAL, vmo_clone(vmo, 1, PS, VMO_CLONE_SNAPSHOT));
	EXPECT_NONE(EINVAL, vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT | VMO_CLONE_NO_WRITE |
				      VMO_CLONE_RESIZABLE));
	EXPECT_NONE(ERANGE, vmo_clone(vmo, 0, MAX_SIZE + 1, VMO_CLONE_SNAPSHOT));
	EXPECT_NONE(EACCES, vmo_clone(blind, 0, PS, VMO_CLONE_SNAPSHOT));
	EXPECT_NONE(EBADFD, vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT));
	EXPECT_NONE(EBADFD, vmo_snapshot(vmo));
	child = vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT | VMO_CLONE_COPY_PINNED);
	EXPECT_NE(NULL, child);
	vmo_close(child);
	close(pin);
	before = no_more_fds();
	EXPECT_NONE(EMFILE, vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT));
	EXPECT_NONE(EMFILE, vmo_snapshot(vmo));
	EXPECT_NONE(EMFILE, vmo_slice(vmo, 0, PS, 0));
	EXPECT_NONE(EMFILE, vmo_reference(vmo, 0));
	more_fds(before);
	EXPECT_EQ(0, INFO(vmo, children));
	vmo_close(blind);
	vmo_close(vmo);
}

/* Content sizes at, before and behind the end of a page, and none. */
TEST_F(lib, snapshot_has_both_sizes)
{
	uint64_t sizes[] = { 0, 1, PS - 1, PS, PS + 1, 3 * PS - 5, 3 * PS };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct vmo *vmo = vmo_create(self->dev, sizes[i], 0, NULL), *child;
		uint64_t pages = (sizes[i] + PS - 1) / PS;

		for (uint64_t page = 0; page < pages; page++)
			ASSERT_TRUE(fill(vmo, page, 10 + page));
		child = vmo_snapshot(vmo);
		ASSERT_NE(NULL, child);
		EXPECT_CLOEXEC(vmo_fd(child));
		EXPECT_EQ(pages * PS, INFO(child, size));
		EXPECT_EQ(sizes[i], INFO(child, content_size));
		for (uint64_t page = 0; page < pages; page++) {
			ASSERT_TRUE(fill(vmo, page, 20 + page));
			EXPECT_TRUE(holds(child, page, 10 + page));
		}
		vmo_close(child);
		vmo_close(vmo);
	}
}

/* What mappings see behind the content is memory as well. */
TEST_F(lib, snapshot_of_pages_behind_the_content)
{
	struct vmo *vmo = vmo_create(self->dev, 10, VMO_CREATE_RESIZABLE, NULL), *child;

	ASSERT_EQ(0, fallocate(vmo_fd(vmo), FALLOC_FL_KEEP_SIZE, 0, 3 * PS));
	ASSERT_EQ(10, INFO(vmo, content_size));
	ASSERT_TRUE(fill(vmo, 2, 4));
	child = vmo_snapshot(vmo);
	ASSERT_NE(NULL, child);
	EXPECT_EQ(3 * PS, vmo_size(child));
	EXPECT_EQ(3 * PS, INFO(child, content_size));
	EXPECT_TRUE(holds(child, 2, 4));
	vmo_close(child);
	vmo_close(vmo);
}

TEST_F(lib, snapshot_says_what_is_wrong)
{
	struct vmo *vmo = new_pages(self->dev, 2), *blind = reopened(vmo, O_WRONLY);
	struct vmo *closed = new_closed(self->dev);

	EXPECT_NONE(EACCES, vmo_snapshot(blind));
	EXPECT_NONE(EBADF, vmo_snapshot(closed));
	EXPECT_NONE(EBADF, vmo_clone(closed, 0, PS, VMO_CLONE_SNAPSHOT));
	vmo_close(closed);
	vmo_close(blind);
	vmo_close(vmo);
}

TEST_F(lib, slice)
{
	struct vmo *vmo = new_pages(self->dev, 4), *slice, *loose, *reader;

	slice = vmo_slice(vmo, PS, 2 * PS, 0);
	ASSERT_NE(NULL, slice);
	EXPECT_CLOEXEC(vmo_fd(slice));
	EXPECT_TRUE(fill(slice, 1, 3));
	EXPECT_TRUE(holds(vmo, 2, 3));
	EXPECT_EQ(VMO_INFO_SLICE, INFO(slice, flags));
	EXPECT_EQ(INFO(vmo, id), INFO(slice, parent_id));
	vmo_close(slice);
	reader = vmo_slice(vmo, 0, PS, VMO_SLICE_NO_WRITE);
	ASSERT_NE(NULL, reader);
	EXPECT_FALSE(fill(reader, 0, 1));
	EXPECT_EQ(EACCES, errno);
	vmo_close(reader);
	EXPECT_NONE(EINVAL, vmo_slice(vmo, 3 * PS, 2 * PS, 0));
	EXPECT_NONE(EINVAL, vmo_slice(vmo, 5, PS, 0));
	EXPECT_NONE(EINVAL, vmo_slice(vmo, 0, PS, 1));
	EXPECT_NONE(ERANGE, vmo_slice(vmo, 0, MAX_SIZE + 1, 0));
	loose = vmo_create(self->dev, PS, VMO_CREATE_RESIZABLE, NULL);
	EXPECT_NONE(EOPNOTSUPP, vmo_slice(loose, 0, PS, 0));
	vmo_close(loose);
	vmo_close(vmo);
}

TEST_F(lib, longterm)
{
	struct vmo *vmo = vmo_create(self->dev, PS, VMO_CREATE_LONGTERM, NULL);
	struct vmo *plain = vmo_snapshot(vmo), *slice = vmo_slice(vmo, 0, PS, 0);
	struct vmo *asked = vmo_clone(plain, 0, PS, VMO_CLONE_SNAPSHOT | VMO_CLONE_LONGTERM);

	ASSERT_NE(NULL, plain);
	ASSERT_NE(NULL, asked);
	EXPECT_EQ(VMO_INFO_LONGTERM, INFO(vmo, flags));
	EXPECT_EQ(VMO_INFO_COW_CLONE, INFO(plain, flags));
	EXPECT_EQ(VMO_INFO_COW_CLONE | VMO_INFO_LONGTERM, INFO(asked, flags));
	EXPECT_EQ(VMO_INFO_SLICE | VMO_INFO_LONGTERM, INFO(slice, flags));
	EXPECT_NONE(EINVAL, vmo_clone(vmo, 0, PS, VMO_CLONE_SNAPSHOT | VMO_CLONE_LONGTERM |
				      VMO_CLONE_NO_WRITE));
	vmo_close(asked);
	vmo_close(slice);
	vmo_close(plain);
	vmo_close(vmo);
}

TEST_F(lib, reference)
{
	struct vmo *vmo = vmo_create(self->dev, 4 * PS, VMO_CREATE_RESIZABLE, NULL);
	struct vmo *fixed = new_pages(self->dev, 1), *other, *resizable;

	other = vmo_reference(vmo, 0);
	ASSERT_NE(NULL, other);
	EXPECT_CLOEXEC(vmo_fd(other));
	EXPECT_NE(INFO(vmo, id), INFO(other, id));
	EXPECT_TRUE(fill(other, 3, 3));
	EXPECT_TRUE(holds(vmo, 3, 3));
	EXPECT_ERRNO(EACCES, vmo_resize(other, PS));
	resizable = vmo_reference(vmo, VMO_REFERENCE_RESIZABLE);
	ASSERT_NE(NULL, resizable);
	EXPECT_EQ(0, vmo_resize(resizable, 5 * PS));
	EXPECT_EQ(5 * PS, vmo_size(vmo));
	EXPECT_NONE(EACCES, vmo_reference(other, VMO_REFERENCE_RESIZABLE));
	EXPECT_NONE(EINVAL, vmo_reference(vmo, 1));
	EXPECT_NONE(EOPNOTSUPP, vmo_reference(fixed, VMO_REFERENCE_RESIZABLE));
	vmo_close(resizable);
	vmo_close(other);
	other = vmo_reference(fixed, VMO_REFERENCE_NO_WRITE);
	ASSERT_NE(NULL, other);
	EXPECT_EQ(VMO_INFO_REFERENCE | VMO_INFO_NO_WRITE, INFO(other, flags));
	vmo_close(other);
	vmo_close(fixed);
	vmo_close(vmo);
}

struct snap_task {
	const struct vmo *vmo;
	uint64_t *words;	/* what the writer writes; two pages apart */
	uint64_t stop;
	uint64_t wrong;
	uint64_t made;
};

static void *snap_thread(void *arg)
{
	struct snap_task *task = arg;
	struct vmo *child;
	uint64_t first, second;

	for (int i = 0; i < 100; i++) {
		child = vmo_snapshot(task->vmo);
		if (!child || vmo_read(child, &second, 8, 2 * PS, 0) != 8 ||
		    vmo_read(child, &first, 8, 0, 0) != 8 || first - second > 1)
			__atomic_add_fetch(&task->wrong, 1, __ATOMIC_RELAXED);
		else
			__atomic_add_fetch(&task->made, 1, __ATOMIC_RELAXED);
		vmo_close(child);
	}
	return NULL;
}

/* The first word is never behind the second and at most one ahead of it. */
static void *count_thread(void *arg)
{
	struct snap_task *task = arg;

	for (uint64_t i = 1; !load(&task->stop); i++) {
		store(&task->words[0], i);
		store(&task->words[2 * PS / 8], i);
	}
	return NULL;
}

TEST_F(lib, threads_snapshot_one_handle)
{
	struct vmo *vmo = new_pages(self->dev, 3);
	struct snap_task task = { .vmo = vmo, .words = vmo_map(vmo, 0, 3 * PS, RW) };
	pthread_t writer, thread[2];

	ASSERT_NE(NULL, task.words);
	ASSERT_EQ(0, pthread_create(&writer, NULL, count_thread, &task));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, snap_thread, &task));
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	store(&task.stop, 1);
	pthread_join(writer, NULL);
	EXPECT_EQ(0, task.wrong);
	EXPECT_EQ(200, task.made);
	EXPECT_LT(0, task.words[0]);
	munmap(task.words, 3 * PS);
	vmo_close(vmo);
}

TEST_HARNESS_MAIN
