#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vmoctl's pager serve, on files and on NBD exports of nbdkit. As vmoctl_test."""

import errno
import mmap
import os
import random
import signal
import subprocess
import sys
import time

from vmoctl_util import Case, ctl, documents, env, main, MIB, PAGE, path, store, fetch, VMOCTL


class Server:
    """vmoctl pager serve, and its object, opened for reading and writing if it can be."""

    def __init__(self, *args):
        self.process = subprocess.Popen([VMOCTL, "--json", "pager", "serve", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env(), text=True)
        self.serving = documents(self.process.stdout.readline())[0]["serving"]
        pid, fd = self.serving["object"].split("/")
        self.path = f"/proc/{pid}/fd/{fd}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def open(self, flags=os.O_RDWR):
        return os.open(self.path, flags)

    def end(self, how=signal.SIGTERM):
        """What it says at the end, and its exit code."""
        self.process.send_signal(how)
        out, _ = self.process.communicate(timeout=60)
        return documents(out)[0]["served"], self.process.returncode


class Files(Case):
    def test_content(self):
        """Byte for byte, in order and at random, by calls and mappings; also the last page."""
        for size in (0, 1, PAGE, 3 * MIB + 777):
            data = random.Random(size).randbytes(size)
            with Server(store("data", data)) as server:
                self.assertEqual(size, server.serving["size"])
                fd = server.open()
                self.assertEqual(size, os.fstat(fd).st_size)
                if size > PAGE:
                    for at in (size - 5, MIB + 3, 2 * PAGE - 1):
                        self.assertEqual(data[at:at + 9], os.pread(fd, 9, at))
                with open(fd, "rb") as f:
                    self.assertEqual(data, f.read())
                    if size:
                        with mmap.mmap(f.fileno(), size) as m:
                            self.assertEqual(data, m[:])
                            self.assertEqual(0, sum(m[size:]))
                served, status = server.end()
                self.assertEqual((0, 0, 0), (status, served["errors"], served["written_bytes"]))
                self.assertLessEqual(size, served["read_bytes"])
                self.assertEqual(data, fetch("data"))

    def test_read_ahead(self):
        """What is read in order takes far fewer requests than pages."""
        data = store("data", os.urandom(4 * MIB))
        asked = []
        for ahead in ("4K", "1M"):
            with Server("--read-ahead", ahead, data) as server:
                fd = server.open(os.O_RDONLY)
                for at in range(0, 4 * MIB, PAGE):
                    self.assertEqual(PAGE, len(os.pread(fd, PAGE, at)))
                os.close(fd)
                asked.append(server.end()[0]["requests"])
        self.assertLess(asked[1], 16)
        self.assertLess(512, asked[0])

    def test_write_back(self):
        """fsync() stores; so do time and the end; zeroes become holes."""
        name = store("data", bytes([1]) * (MIB + 5))
        with Server("--write-back", "1", name) as server:
            fd = server.open()
            os.pwrite(fd, b"one", 3 * PAGE + 1)
            os.fsync(fd)
            self.assertEqual(b"\1one\1", fetch("data")[3 * PAGE:3 * PAGE + 5])
            os.pwrite(fd, b"two", MIB + 2)
            for _ in range(100):
                if fetch("data")[-3:] == b"two":
                    break
                time.sleep(0.1)
            self.assertEqual(b"\1two", fetch("data")[-4:])
        before = os.stat(name).st_blocks
        with Server(name) as server:
            fd = server.open()
            with mmap.mmap(fd, MIB) as m:
                m[5 * PAGE:5 * PAGE + 5] = b"three"
            self.assertEqual("", self.good(ctl(server.serving["object"], "zero", "64K", "512K")))
            os.close(fd)
            served, status = server.end(signal.SIGINT)
            self.assertEqual((0, 0, MIB // 2), (status, served["errors"],
                                                served["zeroed_bytes"]))
        data = fetch("data")
        self.assertEqual(MIB + 5, len(data))
        self.assertEqual(b"three\1", data[5 * PAGE:5 * PAGE + 6])
        self.assertEqual(bytes(MIB // 2), data[MIB // 16:MIB // 16 + MIB // 2])
        self.assertGreater(before, os.stat(name).st_blocks)

    def test_clones(self):
        """A clone shows the file, and what is written to it is nobody else's."""
        name = store("data", b"file" * PAGE)
        with Server(name) as server:
            shell = ctl("run", "-", stdin=f"open a {server.serving['object']}\n"
                        "write a 0 FILE\nread a 8K 4\n")
            self.assertIn("file", self.good(shell))
            server.end()
        self.assertEqual(b"FILEfile", fetch("data")[:8])

    def test_read_only(self):
        name = store("data", b"x" * 100)
        os.chmod(name, 0o444)
        with Server("--read-only", name) as server:
            with self.assertRaises(OSError):
                os.pwrite(server.open(), b"y", 0)
            self.assertEqual(b"x" * 100, os.pread(server.open(os.O_RDONLY), 200, 0))
            self.assertEqual(0, server.end()[1])

    def test_command(self):
        """With a command it serves as long as that runs, which finds the object in VMO."""
        name = store("data", b"hello, file\n")
        done = ctl("pager", "serve", name, "--", "sh", "-c", 'cat "$VMO"; printf J 1<>"$VMO"')
        self.assertEqual((0, "hello, file\n"), (done.returncode, done.out))
        self.assertEqual(b"Jello, file\n", fetch("data"))
        self.assertEqual(1, ctl("pager", "serve", name, "false").returncode)
        self.assertIn("nothing", ctl("pager", "serve", name, path("nothing")).err)

    def test_errors(self):
        for args, word in ((("serve", path("nothing")), "ENOENT"), (("feed", "x"), "feed"),
                           (("serve", "/"), "EISDIR"), (("serve",), "few"),
                           (("serve", "--read-ahead", "x", "f"), "--read-ahead"),
                           (("serve", "--write-back", "0", "f"), "--write-back"),
                           (("serve", "nbd+unix:///?socket=" + path("nothing")), "nothing")):
            done = ctl("pager", *args)
            self.assertIn(done.returncode, (1, 2), done.err)
            self.assertIn(word, done.err)

    def test_killed(self):
        """Who waits for a server that is gone for good is told so."""
        with Server(store("data", b"x" * PAGE * 2)) as server:
            fd = server.open()
            self.assertEqual(b"x", os.pread(fd, 1, 0))
            server.process.kill()
            server.process.wait()
            self.assertEqual(b"x", os.pread(fd, 1, PAGE - 1))
            os.close(fd)


class Nbd(Case):
    def nbdkit(self, *args, run):
        """With an export at nbd+unix:///?socket=..., as long as @run takes."""
        socket = path("socket")
        process = subprocess.Popen(["nbdkit", "-f", "--exit-with-parent", "-U", socket, *args],
                                   env=env(), stderr=subprocess.PIPE)
        try:
            while not os.path.exists(socket):
                self.assertIsNone(process.poll(), args)
                time.sleep(0.01)
            run("nbd+unix:///?socket=" + socket)
        finally:
            process.kill()
            process.communicate()
            if os.path.exists(socket):
                os.unlink(socket)

    def test_memory(self):
        data = os.urandom(2 * MIB)

        def run(uri):
            with Server(uri) as server:
                fd = server.open()
                self.assertEqual(bytes(PAGE), os.pread(fd, PAGE, 0))
                self.assertEqual(len(data), os.pwrite(fd, data, 3 * PAGE))
                os.fsync(fd)
                os.close(fd)
                self.assertEqual((0, 0), (server.end()[0]["errors"], server.process.returncode))
            with Server(uri) as server:
                fd = server.open()
                self.assertEqual(bytes(3 * PAGE) + data, os.pread(fd, 3 * PAGE + len(data), 0))
                self.assertEqual("", self.good(ctl(server.serving["object"], "zero", "0", "1M")))
                os.close(fd)
                server.end()
            with Server(uri) as server:
                fd = server.open()
                self.assertEqual(bytes(MIB), os.pread(fd, MIB, 0))
                self.assertEqual(data[MIB:], os.pread(fd, MIB, MIB + 3 * PAGE))
                os.close(fd)

        self.nbdkit("memory", "4M", run=run)

    def test_file_cow_delay(self):
        """Behind a copy-on-write layer the file stays; a slow one takes its time."""
        data = os.urandom(MIB)
        name = store("disk", data)

        def run(uri):
            with Server(uri) as server:
                fd = server.open()
                begin = time.time()
                self.assertEqual(data, os.pread(fd, MIB, 0))
                self.assertLess(0.1, time.time() - begin)
                os.pwrite(fd, b"written", 5)
                os.fsync(fd)
                self.assertEqual(0, server.end()[1])
            with Server(uri) as server:
                self.assertEqual(b"written", os.pread(server.open(), 7, 5))

        self.nbdkit("--filter=cow", "--filter=delay", "file", name, "rdelay=100ms", run=run)
        self.assertEqual(data, fetch("disk"))

    def test_read_only(self):
        def run(uri):
            with Server(uri) as server:
                with self.assertRaises(OSError):
                    os.pwrite(server.open(), b"y", 0)
                self.assertEqual(b"\0", os.pread(server.open(os.O_RDONLY), 1, 0))

        self.nbdkit("-r", "memory", "1M", run=run)

    def error(self, *args, write):
        """errno of a client when the export fails."""
        said = []

        def run(uri):
            with Server(uri) as server:
                fd = server.open()
                try:
                    os.pread(fd, PAGE, 0)
                    if write:
                        os.pwrite(fd, b"x", 0)
                        os.fsync(fd)
                except OSError as err:
                    said.append(err.errno)
                os.close(fd)
                served, status = server.end()
                self.assertLess(0, served["errors"])
                self.assertEqual(1, status)

        self.nbdkit("--filter=error", "memory", "1M", *args, run=run)
        return said[0]

    def test_errors(self):
        self.assertEqual(errno.EIO, self.error("error-pread-rate=100%", write=False))
        self.assertEqual(errno.ENOSPC, self.error("error=ENOSPC", "error-pread-rate=100%",
                                                  write=False))
        self.assertEqual(errno.EIO, self.error("error-pwrite-rate=100%", write=True))
        self.assertEqual(errno.ENOSPC, self.error("error=ENOSPC", "error-pwrite-rate=100%",
                                                  write=True))
        self.assertEqual(errno.EIO, self.error("error=ESHUTDOWN", "error-pread-rate=100%",
                                               write=False))


if __name__ == "__main__":
    sys.exit(main())
