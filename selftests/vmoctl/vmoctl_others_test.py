#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vmoctl with objects of other processes, and on a terminal; as vmoctl_test."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time

from vmoctl_util import (Case, ctl, documents, env, fetch, main, MIB, NOBODY, OnTerminal, path,
                         Shell, store, VMOCTL)


class Foreign(Case):
    """Objects of another process."""

    def setUp(self):
        self.shell = Shell()
        self.addCleanup(self.shell.__exit__)
        self.id = self.shell.do("create theirs 64K --resizable")["object"]["id"]
        self.shell.do("write theirs 0 original")
        self.object = self.shell.fd_of("theirs")

    def test_verbs(self):
        name, shell = self.object, self.shell
        info = documents(self.good(ctl("--json", name, "info")))[0]["info"]
        self.assertEqual(self.id, info["id"])
        self.assertEqual(self.good(ctl(name, "info")), self.good(ctl("info", name)))
        self.assertIn("|original|", self.good(ctl(name, "read", "0", "8")))
        self.assertEqual(b"original", ctl(name, "read", "--raw", "0", "8").raw)
        self.assertEqual("", self.good(ctl(name, "write", "0", "Changed!")))
        self.assertEqual(b"Changed!".hex(), shell.do("read theirs 0 8")["read"]["hex"])
        total = hashlib.sha256(b"Changed!" + bytes((1 << 16) - 8)).hexdigest()
        self.assertEqual(f"{total}  {name}\n", self.good(ctl(name, "sum")))
        self.good(ctl(name, "assert-sum", total))
        self.good(ctl(name, "dump", path("out")))
        self.assertEqual(total, hashlib.sha256(fetch("out")).hexdigest())
        out = ctl(name, "dump", "-", "--snapshot").raw
        self.assertEqual(total, hashlib.sha256(out).hexdigest())
        self.good(ctl(name, "commit"))
        self.assertEqual(1 << 16, shell.do("info theirs")["info"]["committed_bytes"])
        self.good(ctl(name, "zero", "0", "4K"))
        self.good(ctl(name, "decommit", "4K", "4K"))
        self.assertEqual((1 << 16) - 8192, shell.do("info theirs")["info"]["committed_bytes"])
        self.good(ctl(name, "resize", "4K"))
        self.good(ctl(name, "name", "renamed"))
        info = shell.do("info theirs")["info"]
        self.assertEqual((4096, "renamed"), (info["size"], info["name"]))
        self.good(ctl(name, "wait"))
        self.assertEqual("equal\n", self.good(ctl(name, "diff", name)))
        self.assertEqual("equal\n", self.good(ctl("assert-equal", name, name)))
        done = ctl(name, "pin", "0", "4K")
        self.assertEqual(2, done.returncode)

    def test_diff(self):
        """The codes are those of diff(1)."""
        name = self.object
        self.shell.do("clone theirs other")
        other = self.shell.fd_of("other")
        self.exits(0, ctl(name, "diff", other), "equal\n")
        self.shell.do("write other 5K x")
        want = "offset 4096 length 4096 (4K)\n1 range, 4K in all\n"
        self.exits(1, ctl(name, "diff", other), want)
        self.exits(0, ctl(name, "diff", "--no-fail", other), want)
        self.assertEqual(1, ctl("--json", name, "diff", other).returncode)
        done = ctl(name, "diff", f"{self.shell.pid}/1")
        self.assertEqual((2, ""), (done.returncode, done.out))
        self.assertIn("(ENOTTY)", done.err)
        done = ctl("--json", name, "diff", f"{self.shell.pid}/1")
        self.assertEqual((2, 2), (done.returncode, documents(done.out)[0]["error"]["status"]))
        self.assertEqual(2, ctl(name, "diff").returncode)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([VMOCTL, name, "diff", name], stdout=full,
                                  stderr=subprocess.DEVNULL)
        self.assertEqual(2, done.returncode)

    def test_closed_standard_files(self):
        """Messages must not end in an object whose descriptor got the number of a file."""
        before = self.shell.do("sum theirs")
        for status, what in ((1, "read 0 64K <&- >&-"), (1, "info >&-"), (1, "read 0 1T 2>&-"),
                             (0, "info <&- 2>&-")):
            done = subprocess.run(["sh", "-c", f'"$0" {self.object} {what}', VMOCTL],
                                  stdin=subprocess.DEVNULL, capture_output=True)
            self.assertEqual(status, done.returncode, what)
            self.assertEqual(before, self.shell.do("sum theirs"), what)
        # The device would be standard output, and a standard error.
        script = f"create a 4K\nbogus\ndump a {path('out')}\n"
        done = subprocess.run(["sh", "-c", '"$0" shell >&- 2>&-', VMOCTL], input=script.encode())
        self.assertEqual((0, bytes(4096)), (done.returncode, fetch("out")))

    def test_position_stays(self):
        """The descriptor that is taken shares its position with its owner's."""
        fdinfo = f"/proc/{self.object.replace('/', '/fdinfo/')}"
        with open(fdinfo) as f:
            before = f.readline()
        for verb in (["sum"], ["dump", path("out")], ["diff", self.object], ["read"]):
            self.good(ctl(self.object, *verb))
            with open(fdinfo) as f:
                self.assertEqual(before, f.readline(), verb)

    def test_instant(self):
        """What is written while a dump waits for its reader is not in it with --snapshot."""
        self.shell.do("resize theirs 4M")
        for options, want in (([], b"later"), (["--snapshot"], b"early")):
            self.shell.do("write theirs 3M early")
            with subprocess.Popen([VMOCTL, self.object, "dump", "-", *options], env=env(),
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                out = process.stdout.read(1)
                self.shell.do("write theirs 3M later")
                out += process.stdout.read()
            self.assertEqual((0, 4 * MIB), (process.returncode, len(out)))
            self.assertEqual(want, out[3 * MIB:3 * MIB + 5])

    def test_resized_meanwhile(self):
        """A copy that is of no state of the object is none."""
        for size in ("5M", "3M"):
            self.shell.do("resize theirs 4M")
            with subprocess.Popen([VMOCTL, self.object, "dump", "-"], env=env(), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdout.read(1)
                self.shell.do("resize theirs " + size)
                err = process.communicate()[1]
            self.assertEqual(1, process.returncode)
            self.assertIn("changed its size while it was read", err)
            self.assertIn("--snapshot", err)

    def test_list(self):
        self.shell.do("clone theirs child --no-write")
        mine = documents(self.good(ctl("--json", "list")))[0]["list"]["objects"]
        theirs = [o for o in mine if o["id"] == self.id]
        pid, fd = map(int, self.object.split("/"))
        self.assertEqual([[{"pid": pid, "fd": fd, "command": "vmoctl"}]],
                         [o["holders"] for o in theirs])
        self.assertRegex(self.good(ctl("list")), rf"(?m)  theirs  in {self.object} vmoctl$")
        out = self.good(ctl(self.object, "tree"))
        self.assertRegex(out, r"(?m)^theirs +\d+  object ")
        self.assertRegex(out, r"(?m)^└─ theirs +\d+  snapshot ")
        self.assertIn("theirs", self.good(ctl("tree")))
        # In the shell, too, with --all.
        with Shell() as other:
            self.assertEqual([], other.do("list")["list"]["objects"])
            ids = [o["id"] for o in other.do("list --all")["list"]["objects"]]
            self.assertIn(self.id, ids)

    def test_shell(self):
        with Shell() as other:
            self.assertEqual(self.id, other.do(f"open x {self.object}")["object"]["id"])
            self.assertEqual(self.id, other.do(f"clone {self.object} y")["object"]["parent_id"])
            held = len(os.listdir(f"/proc/{other.pid}/fd"))
            for _ in range(10):
                self.assertIn("diff", other.do(f"diff {self.object} {self.object}"))
            self.assertEqual(held, len(os.listdir(f"/proc/{other.pid}/fd")))
            other.do("write y 0 mine")
            self.assertEqual(b"orig".hex(), other.do("read x 0 4")["read"]["hex"])
            self.assertEqual("x", other.do("tree x")["tree"]["families"][0]["label"])
            self.assertEqual("EEXIST", other.do(f"open x {self.object}")["error"]["errno"])

    def test_own_descriptor(self):
        fd = os.open(f"/proc/{self.object.replace('/', '/fd/')}", os.O_RDONLY)
        os.set_inheritable(fd, True)
        try:
            done = ctl(f"self/{fd}", "info", pass_fds=[fd])
            self.assertIn(f"id               {self.id}\n", self.good(done))
            done = ctl(f"self/{fd}", "write", "0", "x", pass_fds=[fd])
            self.assertEqual(1, done.returncode)
            self.assertIn("(EACCES)", done.err)
            self.assertIn("open for one", done.err)
        finally:
            os.close(fd)

    def test_errors(self):
        pid = self.shell.pid
        for name, errno, word in ((f"{pid}/9999", "EBADF", "cannot take descriptor 9999"),
                                  (f"{pid}/1", "ENOTTY", "is not a virtual memory object"),
                                  ("4194304/0", "ESRCH", "cannot open process")):
            done = ctl(name, "info")
            self.assertEqual((1, ""), (done.returncode, done.out))
            self.assertIn(f"({errno})\nvmoctl: ", done.err)
            self.assertIn(word, done.err)
            error = documents(ctl("--json", name, "info").out)[0]["error"]
            self.assertEqual((errno, True), (error["errno"], bool(error["hint"])))
        ready, stop = threading.Event(), threading.Event()
        threads = []

        def thread():
            threads.append(threading.get_native_id())
            ready.set()
            stop.wait()

        runner = threading.Thread(target=thread)
        runner.start()
        ready.wait()
        done = ctl(f"{threads[0]}/0", "info")
        stop.set()
        runner.join()
        self.assertEqual(1, done.returncode)
        self.assertIn("is a thread", done.err)

    def test_permission(self):
        done = ctl(self.object, "info", **NOBODY)
        self.assertEqual(1, done.returncode)
        self.assertIn("(EPERM)\nvmoctl: ", done.err)
        self.assertIn("ptrace(2)", done.err)
        done = ctl("list", **NOBODY)
        self.assertEqual(0, done.returncode)
        self.assertNotIn("theirs", done.out)
        self.assertIn("may not be looked into", done.err)
        done = ctl("graph", **NOBODY)
        self.assertEqual((0, False), (done.returncode, "theirs" in done.out))
        self.assertIn("may not be looked into", done.err)
        listed = documents(ctl("--json", "list", **NOBODY).out)[0]["list"]
        self.assertLess(0, listed["hidden_processes"])

    def test_seen_but_not_taken(self):
        """What /proc says has to do where neither ptrace nor netlink is allowed."""
        if not os.path.exists("/proc/sys/kernel/seccomp"):
            self.skipTest("this kernel has no seccomp filters")
        deny = ("import ctypes, os, sys\n"
                "libc = ctypes.CDLL(None)\n"
                "class F(ctypes.Structure):\n"
                " _fields_ = [('c', ctypes.c_ushort), ('t', ctypes.c_ubyte), ('f', ctypes.c_ubyte),"
                " ('k', ctypes.c_uint)]\n"
                "class P(ctypes.Structure):\n"
                " _fields_ = [('n', ctypes.c_ushort), ('p', ctypes.c_void_p)]\n"
                # if (nr == pidfd_getfd || nr == socket) return EPERM; allow
                "f = (F * 5)(F(0x20, 0, 0, 0), F(0x15, 1, 0, 438), F(0x15, 0, 1, 41),"
                " F(6, 0, 0, 0x50001), F(6, 0, 0, 0x7fff0000))\n"
                "p = P(5, ctypes.cast(f, ctypes.c_void_p))\n"
                "assert not libc.prctl(38, 1, 0, 0, 0)\n"
                "assert not libc.prctl(22, 2, ctypes.byref(p))\n"
                "os.execv(sys.argv[1], sys.argv[1:])\n")
        other = self.shell.do("create odd 1")["object"]["id"]
        self.shell.do('name odd "grün \\\\ \\x9b \\\\1"')
        listed = [o["name"] for o in documents(ctl("--json", "list").out)[0]["list"]["objects"]
                  if o["id"] == other]
        done = subprocess.run([sys.executable, "-c", deny, VMOCTL, "--json", "list"],
                              capture_output=True, text=True)
        objects = json.loads(done.stdout)["list"]["objects"]
        theirs = [o for o in objects if o["id"] == self.id][0]
        odd = [o["name"] for o in objects if o["id"] == other]
        self.assertEqual(("theirs", 1 << 16, 0, 0),
                         tuple(theirs[k] for k in ("name", "size", "children", "parent_id")))
        self.assertNotIn("kind", theirs)
        self.assertEqual((["grün \\\\ \\233 \\\\1"], listed), (odd, odd))
        done = subprocess.run([sys.executable, "-c", deny, VMOCTL, "list"], capture_output=True,
                              text=True)
        self.assertRegex(done.stdout, r"(?m)^ *\d+  \? +64K +- +- +- +-  theirs  in ")


class Terminal(OnTerminal):
    def test_progress(self):
        script = path("slow.vmo")
        store("slow.vmo", b"create a 64M\ncommit a\nsum a\n")
        status, out = self.on_terminal(["run", script], [], stdin=subprocess.DEVNULL)
        self.assertEqual(0, status)
        self.assertRegex(out, rb"\ra: [0-9.]+[MK] of 64M, [0-9]+%\x1b\[K")
        self.assertTrue(out.endswith(b"\r\x1b[K"), out[-40:])
        self.assertEqual("", ctl("run", script).err)

    def test_progress_of_a_pipe(self):
        script = path("pipe.vmo")
        store("pipe.vmo", b"load a -\n")
        read, write = os.pipe()

        def feed():
            for _ in range(3 * 20):
                os.write(write, bytes(60000))
                time.sleep(0.02)
            os.close(write)

        thread = threading.Thread(target=feed)
        thread.start()
        status, out = self.on_terminal(["run", script], [], stdin=read)
        thread.join()
        os.close(read)
        self.assertEqual(0, status)
        self.assertRegex(out, rb"\r-: [0-9.]+[MK]\x1b\[K")

    def test_shell(self):
        status, out = self.on_terminal(["shell"], [
            (b"vmo> ", b"create first 4K\n"), (b"first: object", b""),
            (b"vmo> ", b"clon\tfir\tsecond\n"),
            (b"made from", b""), (b"vmo> ", b"info nothing\n"), (b"no object nothing", b""),
            (b"vmo> ", b"inf\tsec\t\n"), (b"snapshot", b""), (b"vmo> ", b"exit\n")])
        self.assertEqual(0, status, out)
        self.assertIn(b"second: snapshot, 4K", out)

    def test_interrupt(self):
        """^C ends the command or the line, and not the shell with all it holds."""
        status, out = self.on_terminal(["shell"], [
            (b"vmo> ", b"create big 8T\n"), (b"big: object", b""),
            (b"vmo> ", b"sum big\n"), (b"of 8T", b"\x03"),
            (b"EINTR", b""), (b"vmo> ", b"echo not this\x03"), (b"vmo> ", b"info big\n"),
            (b"8796093022208", b""), (b"vmo> ", b"\x04")])
        self.assertEqual(0, status, out)
        self.assertNotIn(b"\nnot this", out)

    def test_interrupts_at_once(self):
        """A ^C that comes between the prompt and the look at what is typed counts as well."""
        late = os.path.join(os.path.dirname(os.path.realpath(__file__)), "late_read.so")
        status, out = self.on_terminal(["shell"], [(b"vmo> ", b"not this\x03")] * 3 +
                                       [(b"vmo> ", b"\x04")], LD_PRELOAD=late)
        self.assertEqual(0, status, out)

    def test_interrupted_script(self):
        """Also where the command that was running does not mind."""
        store("loop.vmo", b"create a 64M\necho started\n" + b"commit a\nzero a\n" * 1000)
        status, out = self.on_terminal(["shell"], [
            (b"vmo> ", f"run {path('loop.vmo')}\n".encode()), (b"\nstarted", b"\x03"),
            (b"loop.vmo ends here: ", b""), (b"(EINTR)", b""), (b"vmo> ", b"\x04")])
        self.assertEqual(1, status, out)

    def test_letters(self):
        status, out = self.on_terminal(["shell"], [
            (b"vmo> ", b"create a 1\n"), (b"vmo> ", 'name a "grün €"\n'.encode()),
            (b"vmo> ", b"info a\n"), ("name             grün €".encode(), b""),
            (b"vmo> ", b"\x04")])
        self.assertEqual(0, status, out)

    def test_end(self):
        status, _ = self.on_terminal(["shell"], [(b"vmo> ", b"bogus\n"),
                                               (b"lists them", b""), (b"vmo> ", b"\x04")])
        self.assertEqual(2, status)


if __name__ == "__main__":
    sys.exit(main())
