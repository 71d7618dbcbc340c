/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libvmo share. A struct vmo never changes, so nothing here
 * needs a lock; a function that makes a descriptor makes its handle last.
 */
#ifndef VMO_PRIVATE_H
#define VMO_PRIVATE_H

#include <stdbool.h>
#include <sys/ioctl.h>
#include <vmo.h>

/* All else is hidden; lib/libvmo.map has the list of what this is put on. */
#define VMO_API __attribute__((visibility("default")))

/**
 * struct vmo - a handle
 * @fd: of the object; ours to close
 */
struct vmo {
	int fd;
};

/**
 * vmo_handle_new() - a handle for a descriptor that a call has just made
 * @fd: closed in failure; -1: the call has failed, and so do we, with its errno
 *
 * Return: the handle, or NULL.
 */
struct vmo *vmo_handle_new(int fd);

/**
 * vmo_clear() - zeroes a structure of the caller's size
 * @arg: out
 * @size: bytes of @arg
 *
 * Return: 0 or -1 (E2BIG: more than a command can carry).
 */
int vmo_clear(void *arg, size_t size);

/**
 * vmo_call() - a command, with a structure of the caller's size
 * @fd: of the device or the object
 * @cmd: its size is replaced by @size
 * @arg: in and out; vmo_clear() has looked at its size
 * @size: bytes of @arg, as the caller's header has it
 *
 * Return: 0 or -1.
 */
int vmo_call(int fd, unsigned long cmd, void *arg, size_t size);

/**
 * vmo_ask() - a command that only answers, with a structure of the caller's size
 * @fd: of the device or the object
 * @cmd: VMO_PROBE, VMO_STATS, VMO_INFO; its size is replaced by @size
 * @arg: out: zeroes where the module knows nothing
 * @size: bytes of @arg, as the caller's header has it
 *
 * Return: 0 or -1.
 */
int vmo_ask(int fd, unsigned long cmd, void *arg, size_t size);

/**
 * vmo_put_name() - checks the length of a name and pads it with zeroes
 * @to: out
 * @name: may be NULL: an empty one
 *
 * Return: 0 or -1 (ENAMETOOLONG).
 */
int vmo_put_name(char to[VMO_NAME_SIZE], const char *name);

/**
 * vmo_extent() - both sizes, without counting pages as VMO_INFO does
 * @vmo: the object
 * @size: out: bytes, whole pages
 * @content_size: out: bytes
 *
 * Return: 0 or -1.
 */
int vmo_extent(const struct vmo *vmo, uint64_t *size, uint64_t *content_size);

/* In bytes, as the kernel has it. */
uint64_t vmo_page_size(void);

/* Closes what a failed call leaves behind, and keeps its errno. */
void vmo_close_quietly(int fd);

#endif
