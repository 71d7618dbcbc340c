#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A snapshot of mapped memory, with nothing but Python's own modules."""

import fcntl
import mmap
import os
import struct

SIZE = 1 << 20
CREATE = "QIi64s"       # struct vmo_create: size, flags, fd, name
CLONE = "QQIi"          # struct vmo_clone: offset, size, flags, fd
CLONE_SNAPSHOT = 1


def ask(fd, number, layout, *values):
    """Calls ioctl _IOWR(0xD6, number, layout) and returns the answer's fields."""
    command = 3 << 30 | struct.calcsize(layout) << 16 | 0xD6 << 8 | number
    return struct.unpack(layout, fcntl.ioctl(fd, command, struct.pack(layout, *values)))


dev = os.open("/dev/vmo", os.O_RDWR)
obj = ask(dev, 0x01, CREATE, SIZE, 0, -1, b"python")[2]
with mmap.mmap(obj, SIZE) as mem:
    mem[:6] = b"before"
    child = ask(obj, 0x10, CLONE, 0, SIZE, CLONE_SNAPSHOT, -1)[3]
    mem[:6] = b"after "
    with mmap.mmap(child, SIZE, prot=mmap.PROT_READ) as old:
        print(f"the snapshot has {old[:6]}, the memory {mem[:6]}")
        if old[:6] != b"before" or mem[:6] != b"after ":
            raise SystemExit("the snapshot has changed")
