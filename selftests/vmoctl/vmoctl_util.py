# SPDX-License-Identifier: GPL-2.0
"""What the tests of vmoctl share: running it, and printing TAP."""

import fcntl
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time
import unittest

PAGE = os.sysconf("SC_PAGESIZE")
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
MIB = 1 << 20

# A place of our own, which other users can run it from.
DIR = tempfile.mkdtemp(prefix="vmoctl.", dir="/tmp")
os.chmod(DIR, 0o755)
VMOCTL = shutil.copy(os.path.join(os.path.dirname(os.path.realpath(__file__)), "vmoctl"), DIR)
os.chmod(VMOCTL, 0o755)


def env(locale="C.UTF-8"):
    return {"PATH": os.environ["PATH"], "LC_ALL": locale, "TERM": "dumb"}


def ctl(*args, stdin="", locale="C.UTF-8", **more):
    """Runs vmoctl; output is text."""
    if isinstance(stdin, str):
        stdin = stdin.encode("utf-8", "surrogateescape")
    done = subprocess.run([VMOCTL, *args], input=stdin, capture_output=True, env=env(locale),
                          timeout=100, **more)
    done.out, done.raw = done.stdout.decode("utf-8", "surrogateescape"), done.stdout
    done.err = done.stderr.decode("utf-8", "surrogateescape")
    return done


def documents(text):
    return [json.loads(line) for line in text.splitlines()]


def path(name):
    return os.path.join(DIR, name)


def store(name, data):
    with open(path(name), "wb") as f:
        f.write(data)
    return path(name)


def fetch(name):
    with open(path(name), "rb") as f:
        return f.read()


class Shell:
    """A shell that answers each command with a document; a process that holds objects."""

    def __init__(self, **more):
        self.process = subprocess.Popen([VMOCTL, "--json", "shell"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=env(), text=True, bufsize=1,
                                        **more)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def do(self, line):
        self.process.stdin.write(line + "\n")
        return json.loads(self.process.stdout.readline())

    def fd_of(self, name):
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            link = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            if link.startswith("/vmo:") and link.endswith(":" + name):
                return f"{self.pid}/{fd}"
        raise KeyError(name)


class Case(unittest.TestCase):
    maxDiff = None

    def good(self, done):
        self.assertEqual((0, ""), (done.returncode, done.err), done.out)
        return done.out

    def script(self, text, *options, **more):
        """What a script prints that succeeds."""
        return self.good(ctl("run", "-", *options, stdin=text, **more))

    def exits(self, status, done, out="", err=""):
        self.assertEqual((status, out, err), (done.returncode, done.out, done.err))

    def answers(self, text, **more):
        """What each command of a script answers; all succeed."""
        return documents(self.good(ctl("--json", "run", "-", stdin=text, **more)))

    def bad(self, text, errno, *words, status=1):
        """The error of a script's last line, which has the words in it."""
        done = ctl("--json", "run", "-", stdin=text)
        self.assertEqual((status, ""), (done.returncode, done.err), done.out)
        error = documents(done.out)[-1]["error"]
        self.assertEqual((errno, status, "stdin", len(text.splitlines())),
                         (error.get("errno"), error["status"], error["file"], error["line"]))
        for word in words:
            self.assertIn(word, error["message"] + "\n" + error.get("hint", ""))
        return error


class OnTerminal(Case):
    def on_terminal(self, args, steps, stdin=None, timeout=60, **more):
        """Runs vmoctl with a terminal for standard error (and the rest, unless given)."""
        master, slave = pty.openpty()
        process = subprocess.Popen([VMOCTL, *args], stdin=slave if stdin is None else stdin,
                                   stdout=slave if stdin is None else subprocess.DEVNULL,
                                   stderr=slave, env=env() | more, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0))
        os.close(slave)
        out = self.talk(master, steps, time.time() + timeout)
        process.wait(timeout=timeout)
        os.close(master)
        return process.returncode, out

    @staticmethod
    def more(master, end):
        """What the terminal shows next; nothing at its end."""
        if not select.select([master], [], [], max(0, end - time.time()))[0]:
            raise TimeoutError
        try:
            return os.read(master, 65536)
        except OSError:
            return b""

    def talk(self, master, steps, end):
        """Waits for the first of each pair, behind the one before, and types the second."""
        out, at = b"", 0
        for word, reply in steps:
            while word not in out[at:]:
                try:
                    got = self.more(master, end)
                except TimeoutError:
                    got = b""
                self.assertTrue(got, f"no {word!r} behind {out[:at]!r} in {out[at:]!r}")
                out += got
            at = out.index(word, at) + len(word)
            os.write(master, reply)
        while got := self.more(master, end):
            out += got
        return out


class Tap(unittest.TestResult):
    def __init__(self, count):
        super().__init__()
        self.count = 0
        print(f"TAP version 13\n1..{count}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began = time.time()

    def line(self, test, good, why=""):
        self.count += 1
        name = f"{type(test).__name__.lower()}.{test._testMethodName[5:]}"
        print(f"# {time.time() - self.began:.1f} s")
        print(f"{'ok' if good else 'not ok'} {self.count} vmoctl.{name}{why}", flush=True)

    def addSuccess(self, test):
        self.line(test, True)

    def addFailure(self, test, err):
        print("# " + self._exc_info_to_string(err, test).replace("\n", "\n# "))
        super().addFailure(test, err)
        self.line(test, False)

    addError = addFailure

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(test, True, f" # SKIP {reason}")


def main():
    tests = [t for s in unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
             for t in s if not sys.argv[1:] or any(a in t.id() for a in sys.argv[1:])]
    result = Tap(len(tests))
    unittest.TestSuite(tests).run(result)
    shutil.rmtree(DIR)
    return 0 if result.wasSuccessful() else 1
