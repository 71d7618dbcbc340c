#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vmoctl with what objects hold, and with scripts; as vmoctl_test."""

import errno as os_errno
import hashlib
import json
import os
import signal
import subprocess
import sys

from vmoctl_util import (Case, ctl, documents, env, fetch, main, MIB, PAGE, path, store, VMOCTL)


class Data(Case):
    def test_load(self):
        data = os.urandom(300001)
        name = store("in", data)
        loaded, total = self.answers(f"load a {name}\nsum a")
        self.assertEqual((len(data), []),
                         (loaded["object"]["content_size"], loaded["object"]["flags"]))
        self.assertEqual(hashlib.sha256(data).hexdigest(), total["sum"]["sum"])
        self.script(f"load a {name}\ndump a {path('out')}")
        self.assertEqual(data, fetch("out"))
        self.bad("load a /nonexistent", "ENOENT", "/nonexistent")
        self.bad("load a /tmp", "EISDIR")
        self.bad("load a -", None, "standard input is where", status=2)
        self.assertIn("may-resize", self.answers(f"load a {name} --resizable")[0]
                      ["object"]["flags"])
        self.bad(f"load a {name}\nload a {name}", "EEXIST")

    def test_load_what_is_cut(self):
        """A file that loses its end meanwhile, which then looks like a hole."""
        script = store("script", f"load a {path('in')}\n".encode())
        for _ in range(20):
            with open(path("in"), "wb") as f:
                f.write(b"x" * (64 * MIB))
                f.seek(200 * MIB)
                f.write(b"end")
            with subprocess.Popen([VMOCTL, "run", script], env=env(), stderr=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True) as process:
                names = f"/proc/{process.pid}/fd/"

                def reads(names=names):
                    return any(os.readlink(names + fd) == path("in") for fd in os.listdir(names))

                while process.poll() is None:
                    try:
                        if reads():
                            break
                    except FileNotFoundError:
                        pass
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                os.truncate(path("in"), 100 * MIB)
                process.send_signal(signal.SIGCONT)
                err = process.stderr.read()
            if process.returncode:  # else it was through before
                break
        os.unlink(path("in"))
        self.assertEqual(1, process.returncode)
        self.assertIn("became shorter", err)

    def test_load_streams(self):
        script = store("script", b"load a -\nsum a\ninfo a\n")
        for data in (b"", b"x", os.urandom(3 * MIB + 17)):
            done = ctl("--json", "run", script, stdin=data)
            _, total, info = documents(self.good(done))
            self.assertEqual(hashlib.sha256(data).hexdigest(), total["sum"]["sum"])
            self.assertEqual((len(data), ["resizable", "may-resize"]),
                             (info["info"]["content_size"], info["info"]["flags"]))
        # A file that says it is empty.
        with open("/proc/version", "rb") as f:
            want = hashlib.sha256(f.read()).hexdigest()
        self.assertEqual(want, self.answers("load a /proc/version\nsum a")[1]["sum"]["sum"])

    def test_sparse(self):
        with open(path("sparse"), "wb") as f:
            f.truncate(256 << 30)
            f.seek(1 << 30)
            f.write(b"island")
        _, info, dump = self.answers(f"load a {path('sparse')}\ninfo a\ndump a {path('out')}")
        self.assertEqual(256 << 30, info["info"]["content_size"])
        self.assertEqual(PAGE, info["info"]["committed_bytes"])
        self.assertEqual({"file": path("out"), "bytes": 256 << 30, "data_bytes": PAGE},
                         dump["dump"])
        out = os.stat(path("out"))
        self.assertEqual(256 << 30, out.st_size)
        self.assertLess(out.st_blocks * 512, MIB)
        with open(path("out"), "rb") as f:
            f.seek(1 << 30)
            self.assertEqual(b"island\0", f.read(7))
        os.unlink(path("out"))
        os.unlink(path("sparse"))

    def test_dump(self):
        done = ctl("run", "-", stdin="create a 8K\nwrite a 4K x\ndump a -")
        self.assertEqual(b"\0" * 4096 + b"x" + b"\0" * 4095, done.raw.split(b"\n", 1)[1])
        # What was longer before is cut.
        store("out", b"y" * 100000)
        self.script(f"create a 8K\nwrite a 4K hello\ndump a {path('out')}")
        self.assertEqual(bytes(4096) + b"hello" + bytes(4091), fetch("out"))
        self.bad("create a 1\ndump a /dev/full", "ENOSPC", "/dev/full", "no room")
        # Onto itself: 3 is the device, 4 the object.
        text = "create a 4K --resizable\nwrite a 0 x\ndump a /proc/self/fd/4\n"
        self.bad(text, None, "are one object")
        done = ctl("--json", "shell", stdin=text + "read a 0 1\n")
        self.assertEqual(b"x".hex(), documents(done.out)[-1]["read"]["hex"])
        self.bad("create a 1\ndump a /nonexistent/x", "ENOENT")
        done = ctl("--json", "run", "-", stdin="create a 1\ndump a -")
        self.assertEqual(2, done.returncode)
        # A pinned object has no plain snapshot; the dump's copies.
        self.script(f"create a 5\nwrite a 0 HELLO\npin a 0 4K\ndump --snapshot a {path('out')}")
        self.assertEqual(b"HELLO", fetch("out"))

    def test_write(self):
        read = self.answers('create a 8K\nwrite a 1 "two words"\nwrite a 4095 hex:00fF80\n'
                            "read a 0 12\nread a 4094 5")
        self.assertEqual([b"\0two words\0\0".hex(), "0000ff8000"],
                         [read[i]["read"]["hex"] for i in (3, 4)])
        for text in ("hex:1", "hex:zz", "hex:0x"):
            self.bad(f"create a 4K\nwrite a 0 {text}", None, "pairs of digits", status=2)
        self.bad("create a 4K\nwrite a 4095 ab", "ERANGE")
        self.answers("create a 4K\nwrite a 0 hex:\nwrite a 0 -- -x")

    def test_read(self):
        out = self.script('create a 64\nwrite a 3 "abc\\x7f\\n"\nread a\nread a 0 20')
        self.assertEqual(
            "00000000  00 00 00 61 62 63 7f 0a  00 00 00 00 00 00 00 00  |...abc..........|\n"
            "00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
            "*\n00000040\n"
            "00000000  00 00 00 61 62 63 7f 0a  00 00 00 00 00 00 00 00  |...abc..........|\n"
            "00000010  00 00 00 00                                       |....|\n"
            "00000014\n", out.split("\n", 1)[1])
        done = ctl("run", "-", stdin="create a 16\nwrite a 3 hex:ff00\nread --raw a 3 3")
        self.assertTrue(done.raw.endswith(b"\n\xff\0\0"))
        self.assertEqual({"offset": 1, "length": 0, "hex": ""},
                         self.answers("create a 16\nread a 1 0")[1]["read"])
        self.bad("create a 4K\nread a 0 4097", "ERANGE", "info")
        self.assertEqual(2, ctl("--json", "run", "-", stdin="create a 1\nread --raw a").returncode)
        done = ctl("--json", "run", "-", stdin="create a 1T\nread a")
        self.assertEqual("E2BIG", documents(done.out)[-1]["error"]["errno"])
        self.bad("create a 17M\nread a 0 16777217", "E2BIG", "16M")
        self.assertEqual("00" * MIB, self.answers("create a 2M\nread a 4K 1M")[1]["read"]["hex"])

    def test_sum(self):
        zeroes = hashlib.sha256(bytes(3 * MIB + 5)).hexdigest()
        self.assertEqual(zeroes + "  a\n",
                         self.script("create a 3145733\nsum a").split("\n", 1)[1])
        data = bytes(2 * MIB) + b"end"
        total, again, checked = self.answers(
            "create a 2097155\nwrite a 2M end\nclone a b\nwrite a 0 x\nsum b\n"
            f"sum --snapshot b\nassert-sum b {hashlib.sha256(data).hexdigest().upper()}")[4:]
        self.assertEqual({"object": "b", "algorithm": "sha256", "bytes": len(data),
                          "sum": hashlib.sha256(data).hexdigest()}, total["sum"])
        self.assertEqual(total, again)
        self.assertEqual({"done": "assert-sum"}, checked)
        self.bad("create a 1\nassert-sum a 00", None, hashlib.sha256(b"\0").hexdigest())

    def test_diff(self):
        def diff(text, *options):
            text += "\ndiff --no-fail a b " + " ".join(options)
            return self.answers(text)[-1]["diff"]

        base = "create a 64K\nwrite a 100 x\nclone a b"
        self.assertEqual({"equal": True, "method": "family", "ranges": [], "bytes": 0,
                          "truncated": False}, diff(base))
        changed = base + "\nwrite a 4K y\nwrite b 8193 yyy\nwrite b 60K z"
        self.assertEqual({"equal": False, "method": "family", "bytes": 12288, "truncated": False,
                          "ranges": [{"offset": 4096, "length": 8192},
                                     {"offset": 61440, "length": 4096}]}, diff(changed))
        self.assertEqual([{"offset": 4096, "length": 1}, {"offset": 8193, "length": 3},
                          {"offset": 61440, "length": 1}], diff(changed, "--exact")["ranges"])
        self.assertEqual([{"offset": 0, "length": 1}],
                         diff("create a 1\ncreate b 1\nwrite b 0 x", "--exact")["ranges"])
        # A hole reads as what a page of zeroes does; the longer differs behind the shorter.
        self.assertTrue(diff("create a 64K\ncommit a\ncreate b 64K")["equal"])
        self.assertEqual([{"offset": 4096, "length": 1}],
                         diff("create a 4K\ncreate b 4097")["ranges"])
        # Holes of both are skipped: these are a million times a million bytes.
        self.assertEqual([{"offset": 1 << 39, "length": 4096}],
                         diff("create a 1T\ncreate b 1T\nwrite b 512G x")["ranges"])
        out = self.script(changed + "\ndiff a b --no-fail\ndiff a a")
        self.assertTrue(out.endswith("offset 4096 length 8192 (8K)\noffset 61440 length 4096 (4K)\n"
                                     "2 ranges, 12K in all\nequal\n"), out)

    def test_diff_of_very_much(self):
        """A document has a limit, the text none; what is counted is all."""
        text = (f"load a {store('a', b'xy' * 66000)}\nload b {store('b', b'xz' * 66000)}\n"
                "diff --exact --no-fail a b")
        answer = self.answers(text)[-1]["diff"]
        self.assertEqual((True, 66000, 65536, {"offset": 131071, "length": 1}),
                         (answer["truncated"], answer["bytes"], len(answer["ranges"]),
                          answer["ranges"][-1]))
        lines = self.script(text).splitlines()
        self.assertEqual(["offset 131999 length 1 (1)", "66000 ranges, 64.5K in all"], lines[-2:])
        self.assertEqual(2 + 66000 + 1, len(lines))

    def test_diff_in_scripts(self):
        """A difference ends a script, as what fails does, but not without a word."""
        text = "create a 4K\ncreate b 4K\nwrite b 0 x\ndiff a b\necho never\n"
        done = ctl("run", "-", stdin=text)
        self.assertEqual((1, "vmoctl: stdin:4: a and b differ\n"
                          "vmoctl: with --no-fail a difference is no failure\n"),
                         (done.returncode, done.err))
        self.assertTrue(done.out.endswith("1 range, 4K in all\n"), done.out)
        done = ctl("--json", "run", "-", stdin=text)
        self.assertEqual((1, ""), (done.returncode, done.err))
        self.assertEqual([["object"], ["object"], ["done"], ["diff"]],
                         [list(x) for x in documents(done.out)])
        # Of one script in another, too; a shell goes on, and knows the last code.
        store("inner.vmo", text.encode())
        done = ctl("run", "-", stdin=f"run {path('inner.vmo')}\necho never\n")
        self.assertEqual(1, done.returncode)
        self.assertNotIn("never", done.out)
        done = ctl("shell", stdin=text)
        self.assertEqual(0, done.returncode)
        self.assertTrue(done.out.endswith("never\n"))
        self.assertEqual(1, ctl("shell", stdin=text.replace("echo never\n", "")).returncode)
        for last in ("diff a x", "diff x a", "diff --no-fail a x"):
            self.bad("create a 1\n" + last, "ENOENT", "no object x", status=2)
        self.answers("create a 1\nexpect ENOENT diff a x")
        self.bad(text.replace("diff", "expect ENOENT diff").replace("echo never\n", ""), None,
                 "otherwise than with ENOENT")
        self.bad("create a 1\nexpect EPERM diff a x", "ENOENT", "otherwise than with EPERM")
        # What came before a diff, and comes behind it, has its own code.
        self.bad("create a 1\ndiff a a\ninfo x", "ENOENT")

    def test_assert_equal(self):
        out = self.script("create a 1M\nclone a b\nassert-equal a b")
        self.assertTrue(out.endswith("\nequal\n"), out)
        self.bad("create a 1M\nclone a b\nwrite b 5000 x\nassert-equal a b", None, "offset 4096")
        self.bad("create a 4K\ncreate b 8K\nassert-equal a b", None, "offset 4096")
        self.bad("create a 4K\nassert-equal a b", "ENOENT")


class Scripts(Case):
    def test_lines(self):
        name = store("s.vmo", b"# a comment\n\ncreate a 1 # behind\n  \t\nbogus\necho never\n")
        done = ctl("run", name)
        self.assertEqual(2, done.returncode)
        self.assertEqual(f"vmoctl: {name}:5: there is no command bogus\n"
                         'vmoctl: "help" lists them\n', done.err)
        self.assertNotIn("never", done.out)
        done = ctl("run", store("s.vmo", b"create a 4K\nresize a 8K\n"))
        self.assertEqual((1, f"vmoctl: {name}:2: cannot resize a: Operation not permitted (EPERM)\n"
                          "vmoctl: the object is of fixed size: make it with --resizable\n"),
                         (done.returncode, done.err))
        self.assertIn("No such file", ctl("run", "/nonexistent").err)
        # What cannot be read is not what is empty.
        self.exits(1, ctl("run", "/tmp"), err="vmoctl: cannot read /tmp: Is a directory (EISDIR)\n")
        for how, errno in (("shell </tmp", "EISDIR"), ("shell <&-", "EBADF"),
                           ("run - <&-", "EBADF")):
            done = subprocess.run(["sh", "-c", '"$0" ' + how, VMOCTL], capture_output=True,
                                  text=True)
            self.assertEqual((1, ""), (done.returncode, done.stdout), how)
            self.assertIn(f"cannot read stdin: {os.strerror(getattr(os_errno, errno))}",
                          done.stderr)

    def test_words(self):
        out = self.script('''echo one 'two  "words"' "a\\"b\\x41\\\\" x\\ y "" z"q"'r'#s # t\n''')
        self.assertEqual("one two  \"words\" a\"bA\\\\ x y  zqr#s\n", out)
        for line, word in (('echo "open', "quote is not closed"),
                           ("echo 'x", "quote is not closed"),
                           ('echo "\\xg0"', "two hexadecimal"), ('echo "\\x00"', "zero byte"),
                           ("echo \0", "zero byte")):
            self.bad(line, None, word, status=2)
        # The last line needs no end; a command may stand anywhere in its line.
        self.assertEqual("a\nb\n", self.script("\t echo a\necho b"))

    def test_nested(self):
        store("inner.vmo", b"create b 4K\ninfo a\nexit\necho never\n")
        out = self.script(f"create a 4K\nrun {path('inner.vmo')}\ninfo b\necho end")
        self.assertTrue(out.endswith("end\n"))
        self.assertNotIn("never", out)
        store("inner.vmo", b"create b 4K\nbogus\n")
        done = ctl("run", "-", stdin=f"run {path('inner.vmo')}\n")
        self.assertEqual(2, done.returncode)
        self.assertEqual(1, done.err.count("inner.vmo:2: "))
        self.assertNotIn("stdin:1", done.err)
        store("inner.vmo", f"run {path('inner.vmo')}\n".encode())
        done = ctl("run", path("inner.vmo"))
        self.assertEqual(1, done.returncode)
        self.assertIn("(ELOOP)", done.err)
        self.bad("run -", None, "standard input is where", status=2)

    def test_expect(self):
        out = self.script("create a 4K\nexpect EPERM resize a 8K\nexpect ENOENT info --json b")
        self.assertIn("refused, as expected: cannot resize a: Operation not permitted (EPERM)\n",
                      out)
        self.assertIn('"expected":{"status":1,"errno":"ENOENT"', out)
        answer = self.answers("create a 4K\nexpect EPERM resize a 8K\necho x")
        self.assertEqual("EPERM", answer[1]["expected"]["errno"])
        self.assertEqual({"echo": "x"}, answer[2])
        done = ctl("run", "-", stdin="create a 4K\nexpect EPERM zero a")
        self.assertEqual(1, done.returncode)
        self.assertIn("zero succeeded, and had to fail with EPERM", done.err)
        self.bad("create a 4K\nexpect EPERM commit a 0 1M", "ERANGE", "otherwise than with EPERM")
        self.bad("expect EPERM bogus", None, "no command bogus", status=2)

    def test_echo(self):
        store("s.vmo", b"# what\n\necho \"a b\"\n")
        self.assertEqual('# what\n\nvmo> echo "a b"\na b\n',
                         self.good(ctl("run", "--echo", path("s.vmo"))))
        self.assertEqual([{"echo": "a b"}], documents(self.good(ctl("run", "--echo", "--json",
                                                                    path("s.vmo")))))

    def test_shell_goes_on(self):
        done = ctl("shell", stdin="bogus\necho here\n")
        self.assertEqual((0, "here\n"), (done.returncode, done.out))
        self.assertIn("stdin:1: there is no command bogus", done.err)
        self.assertEqual(2, ctl("shell", stdin="echo here\nbogus\n").returncode)
        self.assertEqual((0, "a\n"), (lambda d: (d.returncode, d.out))(
            ctl("shell", stdin="echo a\nexit\necho b\n")))
        self.bad("shell", None, "this is the shell", status=2)

    def test_json(self):
        """Each command answers with one document, also in failure; --pretty is the same."""
        text = ("create a 64K\nclone a b\nslice a s 0 4K\nref a r\nopen o self/0\nwrite a 0 x\n"
                "read a 0 1\nsum a\ninfo a\ndiff a b\nassert-equal a a\nassert-sum a 0\nlist\ntree\n"
                "commit a\nzero a\ndecommit a\nresize a 0\nname a n\npin a 0 4K\nunpin pin1\n"
                "wait b\nprobe\nversion\nhelp\nhelp list\necho x\nexpect EPERM resize a 0\nclose a\n"
                "usage b\npages b\nmap b\ngraph\nstats\nharvester b h\nharvest h\nmove a 0 4K b 0\n"
                "restrict b m read\nrewind b\n"
                "dump b /dev/null\nload l /bin/true\nbogus\n\"\n")
        done = ctl("--json", "shell", stdin=text + "exit\n")
        answers = documents(done.out)
        self.assertEqual("", done.err)
        self.assertEqual(len(text.splitlines()) + 1, len(answers))
        self.assertEqual([1] * len(answers), [len(a) for a in answers])
        wrong = [i + 1 for i, a in enumerate(answers) if "error" in a]
        self.assertEqual([5, 12, 18, 37, 39, 42, 43], wrong)
        tool = subprocess.run([sys.executable, "-m", "json.tool"], capture_output=True,
                              input=ctl("--pretty", "probe").raw)
        self.assertEqual((0, b""), (tool.returncode, tool.stderr))
        self.assertEqual(json.loads(ctl("--pretty", "probe").out),
                         json.loads(ctl("--json", "probe").out))
        self.assertLess(3, ctl("probe", "--pretty").out.count("\n"))


if __name__ == "__main__":
    sys.exit(main())
