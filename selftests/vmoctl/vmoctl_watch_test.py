#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vmoctl watch and stat, and of listing what only netlink tells of; as vmoctl_test."""

import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

from vmoctl_util import (Case, ctl, documents, env, main, NOBODY, OnTerminal, PAGE, Shell,
                         VMOCTL)

TIME = r"\d\d:\d\d:\d\d\.\d{6}"


class Live:
    """A command that goes on, and its lines as they come."""

    def __init__(self, *args, **more):
        self.process = subprocess.Popen([VMOCTL, *args], stdin=subprocess.DEVNULL, bufsize=0,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env(),
                                        **more)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self, timeout=60.0):
        """Raises TimeoutError if none comes; at the end it is empty."""
        end = time.time() + timeout
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], max(0, end - time.time()))[0]:
                raise TimeoutError
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                break
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def document(self):
        return next(iter(json.loads(self.line()).values()))

    def poke(self, shell, *commands):
        """The first line that comes because of the commands: now it listens."""
        end = time.time() + 60
        while time.time() < end:
            for command in commands:
                shell.do(command)
            try:
                return self.line(0.3)
            except TimeoutError:
                pass
        raise TimeoutError

    def listen(self, shell):
        """Waits until it does, and reads what it has told of that."""
        self.poke(shell, "create ready 1", "close ready")
        marker = shell.do("create marker 1")["object"]["id"]
        shell.do("close marker")
        while not re.search(rf'closed"?.*\b{marker}\b', self.line()):
            pass

    def drain(self):
        try:
            while self.line(2):
                pass
        except TimeoutError:
            pass

    def end(self, sig=signal.SIGINT):
        self.process.send_signal(sig)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), err.decode()


class Watch(Case):
    def setUp(self):
        self.shell = Shell()
        self.addCleanup(self.shell.__exit__)

    def work(self):
        """What is told of; ids of the objects."""
        do = self.shell.do
        a = do("create a 64K --resizable")["object"]["id"]
        do('name a "gr\\xc3\\xbcn\\x9b"')
        do("resize a 128K")
        b = do("clone a b")["object"]["id"]
        do("close b")
        do("close a")
        return a, b

    def test_json(self):
        with Live("--json", "watch") as watch:
            watch.listen(self.shell)
            a, b = self.work()
            told = [watch.document() for _ in range(8)]
            self.assertEqual((0, "", ""), watch.end())
        self.assertEqual([("created", a), ("changed", a), ("changed", a), ("created", b),
                          ("changed", b), ("closed", b), ("childless", a), ("closed", a)],
                         [(t["event"], t["id"]) for t in told])
        self.assertEqual(["a", "grün\\233", "grün\\233"], [t["name"] for t in told[:3]])
        self.assertEqual([1 << 16, 1 << 16, 1 << 17], [t["size"] for t in told[:3]])
        self.assertEqual(["object"] * 3 + ["snapshot"] * 2, [t["kind"] for t in told[:5]])
        self.assertEqual([0, 0, 0, a, a, a], [t["parent_id"] for t in told[:6]])
        self.assertEqual(("b", "b"), (told[4]["name"], told[5]["name"]))
        self.assertIn("resizable", told[0]["flags"])
        self.assertNotIn("size", told[5])
        self.assertEqual({"time", "event", "id"}, set(told[6]))
        times = [t["time"] for t in told]
        self.assertEqual(sorted(times), times)
        self.assertRegex(times[0], rf"\A\d{{4}}-\d\d-\d\dT{TIME}Z\Z")

    def test_text(self):
        with Live("watch") as watch:
            watch.listen(self.shell)
            a, b = self.work()
            told = [watch.line() for _ in range(8)]
            self.assertEqual((0, "", ""), watch.end(signal.SIGTERM))
        for want, line in zip([f'created +{a}  object +64K  "a"', rf'changed +{a}  .*"grün\\233"',
                               f'changed +{a}  object +128K  "', f'created +{b}  snapshot .* of {a}',
                               f'changed +{b}  snapshot .*"b"', f'closed +{b}  of {a}  "b"',
                               f'childless +{a}', rf'closed +{a}  "grün\\233"'], told):
            self.assertRegex(line, rf"\A{TIME} {want}")

    def test_longest_name(self):
        with Live("--json", "watch") as watch:
            watch.listen(self.shell)
            self.shell.do("create " + 63 * "n" + " 1")
            self.shell.do("close " + 63 * "n")
            self.assertEqual([63 * "n"] * 2, [watch.document()["name"] for _ in range(2)])

    def test_one_object(self):
        a = self.shell.do("create a 4K")["object"]["id"]
        with Live("--json", "watch", str(a)) as watch:
            first = json.loads(watch.poke(self.shell, "create other 1", "close other",
                                          "name a poked"))["watch"]
            self.assertEqual(("changed", a), (first["event"], first["id"]))
            self.shell.do("clone a b")
            self.shell.do("close b")
            self.shell.do("close a")
            told = [first]
            while told[-1]["event"] != "closed":
                told.append(watch.document())
            self.assertEqual(0, watch.end()[0])
        self.assertEqual({a}, {t["id"] for t in told})
        self.assertEqual(["childless", "closed"], [t["event"] for t in told[-2:]])

    def test_count(self):
        with Live("--json", "watch", "--count", "3") as watch:
            told = [json.loads(watch.poke(self.shell, "create a 1", "close a"))]
            # It may have begun to listen between the two.
            self.shell.do("create a 1")
            self.shell.do("close a")
            while line := watch.line():
                told.append(json.loads(line))
            self.assertEqual(0, watch.process.wait(timeout=60))
        events = [t["watch"]["event"] for t in told]
        self.assertIn(events, [["created", "closed", "created"], ["closed", "created", "closed"]])

    def test_usage(self):
        for args in (["--count", "0"], ["--count", "x"], ["--count"], ["0"], ["1/2"], ["1", "2"]):
            done = ctl("watch", *args)
            self.assertEqual((2, ""), (done.returncode, done.out), args)
            self.assertIn("watch", done.err)

    def test_others_may_not_listen(self):
        """Events tell of all objects, so nobody else learns of them."""
        done = ctl("watch", **NOBODY)
        self.assertEqual((1, ""), (done.returncode, done.out))
        self.assertIn("(EPERM)\nvmoctl: ", done.err)
        self.assertIn("CAP_SYS_ADMIN", done.err)
        error = documents(ctl("--json", "watch", **NOBODY).out)[0]["error"]
        self.assertEqual(("EPERM", 1), (error["errno"], error["status"]))

    def test_lost(self):
        """Who is too slow is told, and goes on."""
        for options in (["--json"], []):
            with Live("watch", *options) as watch:
                watch.listen(self.shell)
                watch.process.send_signal(signal.SIGSTOP)
                self.good(ctl("run", "-", stdin="create a 1\nclose a\n" * 2000))
                watch.process.send_signal(signal.SIGCONT)
                line, lines = "", 0
                while "lost" not in line:
                    line = watch.line()
                    self.assertTrue(line)
                    lines += 1
                self.assertLess(lines, 4000)
                if options:
                    self.assertEqual({"time", "event"}, set(json.loads(line)["watch"]))
                else:
                    self.assertRegex(line, rf"\A{TIME} events were lost\Z")
                watch.drain()
                watch.listen(self.shell)
                self.assertEqual(0, watch.end()[0])

    def test_nobody_reads(self):
        """A pipe that is full does not keep it from ending."""
        with Live("--json", "watch") as watch:
            watch.listen(self.shell)
            self.good(ctl("run", "-", stdin="create a 1\nclose a\n" * 1000))
            watch.process.send_signal(signal.SIGTERM)
            self.assertEqual(0, watch.process.wait(timeout=60))


class InTheShell(OnTerminal):
    def test_watch(self):
        """^C ends the command and not the shell."""
        with Shell() as other:
            other.do("create theirs 1")
            status, out = self.on_terminal(["shell"], [
                (b"vmo> ", b"create a 4K\n"), (b"a: object", b""),
                (b"vmo> ", b"stat 0.01\n"), (b"OBJECTS", b""), (b" | ", b"\x03"),
                (b"vmo> ", f"watch {self.theirs(other)}\n".encode()),
                (b"watch", b""), (b"\n", b"\x03"), (b"vmo> ", b"info a\n"),
                (b"4096", b""), (b"vmo> ", b"\x04")])
        self.assertEqual(0, status, out)
        self.assertNotIn(b"vmoctl: ", out)

    @staticmethod
    def theirs(shell):
        return shell.do("info theirs")["info"]["id"]


class Stat(Case):
    FIELDS = ["page_bytes", "node_count", "object_count", "content_count", "pin_count",
              "usage_queries", "usage_hits", "usage_misses"]

    def test_json(self):
        with Shell() as shell:
            shell.do("create before 64K")
            with Live("--json", "stat", "0.5", "40") as stat:
                first = stat.document()
                self.assertEqual(set(self.FIELDS + ["change"]), set(first))
                self.assertEqual({k: first[k] for k in self.FIELDS}, first["change"])
                self.assertLess(0, first["object_count"])
                for i in range(5):
                    shell.do(f"create o{i} 64K")
                shell.do("commit o0 0 12K")
                shell.do("pin o0 0 4K")
                told = [first]
                while told[-1]["object_count"] < first["object_count"] + 5 or \
                        told[-1]["pin_count"] == first["pin_count"]:
                    told.append(stat.document())
                later = told[1:]
                for field, want in (("object_count", 5), ("content_count", 5), ("pin_count", 1),
                                    ("page_bytes", 3 * PAGE)):
                    self.assertEqual(want, sum(t["change"][field] for t in later), field)
                    self.assertEqual(first[field] + want, later[-1][field], field)
                for t in later:
                    self.assertLess(0.2, t["seconds"])
                shell.do("close o1")
                t = stat.document()
                while not t["change"]["object_count"]:
                    t = stat.document()
                self.assertEqual(-1, t["change"]["object_count"])
                self.assertEqual((0, ""), stat.end()[::2])

    def test_text(self):
        with Shell() as shell:
            shell.do("create a 64K")
            shell.do("commit a 0 8K")
            for command in ("info a", "name a x", "info a"):
                shell.do(command)
            lines = self.good(ctl("stat", "0.01", "45")).splitlines()
        self.assertEqual(45 + 3 * 2, len(lines))
        heads = [i for i, line in enumerate(lines) if "OBJECTS" in line]
        self.assertEqual([1, 23, 45], heads)
        self.assertEqual(2, lines[1].count("OBJECTS"))
        self.assertEqual([lines[:2]] * 2, [lines[22:24], lines[44:46]])
        first = lines[2].replace("|", "").split()
        self.assertEqual(11, len(first))
        # Since the module was loaded, all that there is has come.
        self.assertEqual([first[0], first[2], first[4]], first[5:8])
        self.assertLess(0, int(first[8]))
        self.assertEqual(["0"] * 6, lines[-1].replace("|", "").split()[5:])

    def test_rate(self):
        """5 objects within 2 seconds are 2.5 a second, and less if the machine is busy."""
        with Shell() as shell, Live("stat", "2", "9") as stat:
            for _ in range(3):
                line = stat.line()
            before, seen = int(line.split()[2]), []
            for i in range(5):
                shell.do(f"create o{i} 64K")
            while int(line.split()[2]) < before + 5:
                line = stat.line()
                seen.append(float(line.replace("|", "").split()[6]))
            self.assertLess(sum(seen), 3, seen)
            self.assertLess(1, sum(seen), seen)

    def test_end(self):
        for args in ([], ["1000"], ["--json", "0.1"]):
            for sig in (signal.SIGINT, signal.SIGTERM):
                with Live("stat", *args) as stat:
                    stat.line()
                    begin = time.time()
                    self.assertEqual((0, ""), stat.end(sig)[::2])
                    self.assertLess(time.time() - begin, 30)
        begin = time.time()
        self.assertEqual(3, len(self.good(ctl("stat", "1000", "1")).splitlines()))
        self.assertLess(time.time() - begin, 100)

    def test_interval(self):
        begin = time.monotonic()
        self.assertEqual(4, len(documents(self.good(ctl("--json", "stat", "1.5", "4")))))
        self.assertLess(4.4, time.monotonic() - begin)
        for args in (["0"], ["x"], ["-1"], ["."], ["1s"], ["1", "0"], ["1", "x"], ["1", "2", "3"]):
            done = ctl("stat", *args)
            self.assertEqual((2, ""), (done.returncode, done.out), args)
        done = ctl("stat", **NOBODY)
        self.assertEqual((1, ""), (done.returncode, done.out))
        self.assertIn("(EACCES)\nvmoctl: ", done.err)


class Mapped(Case):
    """An object that nobody holds a descriptor of."""

    def setUp(self):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p] + [ctypes.c_size_t] + 3 * [ctypes.c_int] + \
            [ctypes.c_long]
        with Shell() as shell:
            self.id = shell.do("create mapped 64K")["object"]["id"]
            shell.do("write mapped 0 x")
            shell.do("clone mapped held")
            fd = os.open(f"/proc/{shell.fd_of('mapped').replace('/', '/fd/')}", os.O_RDWR)
            at = libc.mmap(None, 1 << 16, 3, 1, fd, 0)
            os.close(fd)
        self.assertNotIn(at, (None, ctypes.c_void_p(-1).value))
        self.addCleanup(libc.munmap, ctypes.c_void_p(at), ctypes.c_size_t(1 << 16))
        self.unmap = lambda: libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(1 << 16))

    def listed(self, *args, **more):
        done = ctl("--json", "list", *args, **more)
        self.assertEqual(0, done.returncode)
        return {o["id"]: o for o in documents(done.out)[0]["list"]["objects"]}

    def test_list(self):
        seen = self.listed()[self.id]
        self.assertEqual(("mapped", "object", 0, 1 << 16, PAGE, PAGE, 0, 0),
                         tuple(seen[k] for k in ("name", "kind", "parent_id", "content_size",
                                                 "committed_bytes", "private_bytes",
                                                 "shared_bytes", "pinned_bytes")))
        self.assertNotIn("holders", seen)
        self.assertNotIn("change_events", seen)
        self.assertIn("generation", seen)
        self.assertRegex(self.good(ctl("list")),
                         rf"(?m)^ *{self.id}  object +64K +4K +0 +4K +0  mapped$")
        self.assertRegex(self.good(ctl("tree")), rf"(?m)^mapped +{self.id}  object ")
        self.assertIn(f"object {self.id}, 64K", self.good(ctl("graph")))
        with Shell() as shell:
            self.assertEqual([], shell.do("list")["list"]["objects"])
            listed = shell.do("list --all")["list"]["objects"]
            self.assertIn(self.id, [o["id"] for o in listed])
        self.unmap()
        self.assertNotIn(self.id, self.listed())

    def test_of_others(self):
        """Without CAP_SYS_ADMIN, list does not tell of it."""
        self.assertNotIn(self.id, self.listed(**NOBODY))

    def test_descriptors_know_more(self):
        """What has a descriptor is told of once, with all that it tells."""
        with Shell() as shell:
            held = shell.do("create held 4K")["object"]["id"]
            pid, fd = map(int, shell.fd_of("held").split("/"))
            seen = self.listed()[held]
            self.assertEqual([{"pid": pid, "fd": fd, "command": "vmoctl"}], seen["holders"])
            self.assertEqual(0, seen["change_events"])
        listed = documents(ctl("--json", "list").out)[0]["list"]["objects"]
        ids = [o["id"] for o in listed]
        self.assertEqual(sorted(set(ids)), ids)


if __name__ == "__main__":
    sys.exit(main())
