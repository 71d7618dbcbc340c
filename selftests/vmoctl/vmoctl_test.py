#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vmoctl. Prints TAP; with arguments, runs the tests whose names have one in them."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

from vmoctl_util import (Case, ctl, documents, env, main, MIB, NOBODY, PAGE, path, Shell, store,
                         VMOCTL)


class Basics(Case):
    def test_version(self):
        self.assertRegex(self.good(ctl("version")),
                         r"\Avmoctl  \d+\.\d+\.\d+, for ABI \d+\nlibvmo  \d+\.\d+\.\d+\n"
                         r"module  \d+\.\d+\.\d+, ABI \d+\n\Z")
        version = documents(self.good(ctl("--json", "version")))[0]["version"]
        self.assertEqual({"vmoctl", "vmoctl_abi", "libvmo", "module", "module_abi"}, set(version))
        self.assertEqual([version["vmoctl"]] * 2, [version["libvmo"], version["module"]])
        self.assertEqual(version["vmoctl_abi"], version["module_abi"])
        self.assertIn(version["vmoctl"], self.good(ctl("--version")))

    def test_probe(self):
        text = self.good(ctl("probe"))
        probe = documents(self.good(ctl("probe", "--json")))[0]["probe"]
        self.assertEqual(PAGE, probe["page_size"])
        self.assertEqual((1 << 63) - PAGE, probe["max_size"])
        self.assertIn("snapshot", probe["features"])
        self.assertIn(f"page_size        {PAGE}\n", text)
        self.assertIn("features         " + " ".join(probe["features"]) + "\n", text)

    def test_help(self):
        text = self.good(ctl("help"))
        names = documents(self.good(ctl("--json", "help")))[0]["help"]
        self.assertLess(30, len(names))
        for name in names:
            self.assertRegex(text, rf"(?m)^[ *] {re.escape(name)} ")
        for name in ("clone", "tree", "echo"):
            one = self.good(ctl("help", name))
            self.assertTrue(one.startswith(f"usage: {name} "), one)
        self.assertIn("--copy-pinned", self.good(ctl("help", "clone")))
        self.assertEqual(self.good(ctl("help", "clone")), self.good(ctl("clone", "--help")))
        self.assertEqual("create", documents(self.good(ctl("--json", "help", "create")))[0]
                         ["help"]["name"])
        self.assertIn("PID/FD", self.good(ctl("--help")))

    def test_usage(self):
        for args, word in (((), "Usage"), (("nonsense",), "there is no command"),
                           (("--nonsense", "list"), "nonsense"),
                           (("list", "--nonsense"), "--nonsense"),
                           (("map", "--nonsense", "a"), "--nonsense is no option"),
                           (("list", "x"), "too many arguments"),
                           (("info",), "too few arguments"), (("help", "x"), "no command x"),
                           (("create", "a", "1"), "vmoctl shell"),
                           (("1x/3", "info"), "not PID/FD"), (("0/3", "info"), "not PID/FD"),
                           (("1/3x", "info"), "not PID/FD"),
                           (("99999999999/3", "info"), "not PID/FD")):
            done = ctl(*args)
            self.assertEqual((2, ""), (done.returncode, done.out), args)
            self.assertIn(word, done.err)
        error = documents(ctl("--json", "list", "x").out)[0]["error"]
        self.assertEqual(2, error["status"])
        self.assertEqual("usage: list", error["hint"])
        self.assertNotIn("errno", error)

    def test_no_device(self):
        gone = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"]
        done = subprocess.run(gone + [VMOCTL, "probe"], capture_output=True, text=True,
                              stdin=subprocess.PIPE)
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("(ENODEV)\nvmoctl: ", done.stderr)
        done = subprocess.run(gone + [VMOCTL, "version"], capture_output=True, text=True,
                              stdin=subprocess.PIPE)
        self.assertEqual(0, done.returncode)
        self.assertIn("module  cannot be asked: No such device", done.stdout)
        done = subprocess.run(gone + [VMOCTL, "--json", "run", "-"], input="create a 1\n",
                              capture_output=True, text=True)
        error = json.loads(done.stdout)["error"]
        self.assertEqual(("ENODEV", 1), (error["errno"], error["line"]))
        self.assertIn("module", error["hint"])
        # A module of before our commands.
        done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev && "
                               'mknod /dev/vmo c 1 3 && exec "$0" probe', VMOCTL],
                              capture_output=True, text=True, stdin=subprocess.PIPE)
        self.assertIn("(ENOTTY)\nvmoctl: ", done.stderr)
        self.assertIn("update the module", done.stderr)
        done = ctl("probe", **NOBODY)
        self.assertEqual(1, done.returncode)
        self.assertIn("(EACCES)\nvmoctl: ", done.err)

    def test_sizes(self):
        answers = self.answers("create a 0x2000\ncreate b 3pages\ncreate c 1M\ncreate d 2GiB\n"
                               "create e 1T\ncreate f 5\ncreate g 1page\ncreate h 0\ncreate i 4k\n")
        self.assertEqual([0x2000, 3 * PAGE, MIB, 2 << 30, 1 << 40, 5, PAGE, 0, 4096],
                         [a["object"]["content_size"] for a in answers])
        for size in ("", "-1", "1X", "0x", "12Ki", "99999999999999999999", "16E", "1 K", "+1",
                     "page"):
            self.bad(f'create a -- "{size}"', None, "is not a size", status=2)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([VMOCTL, "help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(1, done.returncode)
        self.assertIn("cannot write the output: No space left", done.stderr)
        # In a script, at the command whose output is lost.
        with open("/dev/full", "wb") as full:
            done = subprocess.run([VMOCTL, "run", "-"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, input="echo a\necho b\n")
        self.assertEqual((1, "vmoctl: cannot write the output: No space left on device (ENOSPC)\n"),
                         (done.returncode, done.stderr))


class Family(Case):
    def test_create(self):
        self.assertRegex(self.script("create a 1M"), r"\Aa: object, 1M, id \d+\n\Z")
        a, b, c = [x["object"] for x in self.answers(
            "create a 1M\ncreate b 5 --resizable\ncreate c --exec 4K\n")]
        self.assertEqual(("a", "a", "object", MIB, 0, []),
                         tuple(a[k] for k in ("label", "name", "kind", "size", "parent_id",
                                              "flags")))
        self.assertEqual((PAGE, 5, ["resizable", "may-resize"]),
                         (b["size"], b["content_size"], b["flags"]))
        self.assertEqual(["exec"], c["flags"])
        self.bad("create a 1\ncreate a 1", "EEXIST", "in use")
        self.bad("create a 16383P", "ERANGE")
        for name in ("a/b", "-a", "#a", ""):
            self.bad(f'create -- "{name}" 1', None, "is no name", status=2)
        error = self.bad("create " + "x" * 64 + " 1", "ENAMETOOLONG")
        self.assertIn("63", error["hint"])

    def test_clone(self):
        a, b, c, d, e, _, leaf = self.answers(
            "create a 1M --resizable\nclone a b\nclone a c 4K 8K --no-write\n"
            "clone a --resizable d 1M 4K\nclone a e 0 5\nwrite b 0 x\nclone b leaf\n")
        a, b, c, d, e, leaf = [x["object"] for x in (a, b, c, d, e, leaf)]
        self.assertEqual(["snapshot"] * 5, [x["kind"] for x in (b, c, d, e, leaf)])
        self.assertEqual([a["id"]] * 4 + [b["id"]],
                         [x["parent_id"] for x in (b, c, d, e, leaf)])
        self.assertEqual([MIB, 8192, 4096, 5, MIB],
                         [x["content_size"] for x in (b, c, d, e, leaf)])
        self.assertEqual(["cow-clone", "immutable", "no-write"], c["flags"])
        self.assertEqual(["cow-clone", "resizable", "may-resize"], d["flags"])
        self.assertEqual(PAGE, leaf["shared_bytes"])
        self.assertEqual(["b", "a", "leaf"], [b["name"], c["name"], leaf["name"]])
        self.assertRegex(self.script("create a 1M\nclone a b"),
                         r"b: snapshot, 1M, id \d+, made from \d+\n\Z")
        self.bad("create a 1\nclone a b 5 4K", "EINVAL", "page aligned")
        self.bad("create a 1\nclone a b --no-write --resizable", "EINVAL", "excludes --resizable")
        self.bad("create a 1\nclone a b 4K", None, "OFFSET without LENGTH", status=2)
        self.bad("clone a b", "ENOENT", "there is no object a")

    def test_longterm(self):
        name = store("in", b"x")
        answers = self.answers("create a 4K --longterm\nclone a b\nclone a --longterm c\n"
                               f"slice a s 0 4K\nload l --longterm {name}\ncreate d 4K\n"
                               "clone d e --longterm\n")
        self.assertEqual([True, False, True, True, True, False, True],
                         ["longterm" in x["object"]["flags"] for x in answers])
        self.bad("create a 4K\nclone a b --longterm --no-write", "EINVAL", "--longterm")
        self.bad('create "a\\n" 1', "EINVAL", "control")
        for command in ("create", "load", "clone"):
            self.assertIn("  --longterm ", self.good(ctl("help", command)))

    def test_slice(self):
        a, s, _, read = self.answers("create a 64K\nslice a s 4K 8K --no-write\n"
                                     "write a 4K hello\nread s 0 5")
        self.assertEqual(("slice", a["object"]["id"], 8192),
                         tuple(s["object"][k] for k in ("kind", "parent_id", "content_size")))
        self.assertIn("no-write", s["object"]["flags"])
        self.assertEqual(b"hello".hex(), read["read"]["hex"])
        error = self.bad("create a 64K --resizable\nslice a s 0 4K", "EOPNOTSUPP")
        self.assertIn("ref", error["hint"])
        self.bad("create a 64K\nslice a s 4K 64K", "EINVAL", "inside")
        self.bad("create a 64K\nslice a s 0 4K --no-write\nwrite s 0 x", "EACCES", "no-write")

    def test_ref(self):
        a, r, _, a2 = self.answers("create a 64K --resizable\nref a r --resizable\nresize r 4K\n"
                                   "info a")
        self.assertEqual(("reference", a["object"]["id"]),
                         (r["object"]["kind"], r["object"]["parent_id"]))
        self.assertEqual((4096, 1), (a2["info"]["size"], a2["info"]["children"]))
        self.bad("create a 4K\nref a r --resizable", "EOPNOTSUPP", "--resizable")
        self.bad("create a 4K --resizable\nref a r\nresize r 0", "EACCES", "--resizable")
        self.assertIn("no-write", self.answers("create a 4K\nref a r --no-write")[1]
                      ["object"]["flags"])

    def test_close(self):
        text = "create a 4K\nclone a b\nclose a\ninfo a"
        self.bad(text, "ENOENT", "there is no object a")
        self.assertEqual({"done": "close"}, self.answers("create a 1\nclose a")[1])
        self.bad("create a 4K\npin a 0 4K as p\nclose p", "EINVAL", "is a pin")
        self.answers("create a 4K\nclose a\ncreate a 8K")

    def test_name(self):
        info = self.answers('create a 4K\nname a "two words"\ninfo a')[2]["info"]
        self.assertEqual("two words", info["name"])
        self.assertIn("name             two words\n",
                      self.script('create a 4K\nname a "two words"\ninfo a'))
        self.bad("create a 1\nname a " + "y" * 64, "ENAMETOOLONG")
        self.bad('create a 1\nname a "\\n"', "EINVAL", "control")

    def test_wait(self):
        self.assertEqual({"done": "wait"}, self.answers("create a 1\nwait a")[1])
        self.bad("create a 1\nclone a b\nwait a 10", "ETIMEDOUT", "live")
        self.answers("create a 1\nclone a b\nclose b\nwait a 5000")


class Memory(Case):
    def test_resize(self):
        info = self.answers("create a 4K --resizable\nresize a 10001\ninfo a")[2]["info"]
        self.assertEqual((3 * PAGE, 10001), (info["size"], info["content_size"]))
        self.bad("create a 4K\nresize a 8K", "EPERM", "--resizable")

    def test_ranges(self):
        counts = [a["info"]["committed_bytes"] for a in self.answers(
            "create a 64K\ninfo a\ncommit a\ninfo a\nzero a 4K 8K\ninfo a\ndecommit a\ninfo a\n"
            "commit a 8K 4K\ninfo a") if "info" in a]
        self.assertEqual([0, 1 << 16, (1 << 16) - 8192, 0, 4096], counts)
        self.bad("create a 4K\nclone a b\ndecommit b", "EOPNOTSUPP", "zero")
        self.bad("create a 4K\ncommit a 0 8K", "ERANGE", "info")
        self.bad("create a 4K\ndecommit a 1 1", "EINVAL", "page aligned")
        self.bad("create a 4K\nzero a 1", None, "OFFSET without LENGTH", status=2)
        self.assertEqual("", ctl("run", "-", stdin="create a 4K\n").err)

    def test_pin(self):
        answers = self.answers("create a 64K\npin a 0 4K\npin a 4K 8K as dma\nlist\ninfo a\n"
                               "unpin dma\ninfo a\nunpin pin1\ninfo a")
        self.assertEqual({"pin": "pin1", "object": "a"}, answers[1]["pin"])
        self.assertEqual([{"pin": "pin1", "object": "a", "offset": 0, "length": 4096},
                          {"pin": "dma", "object": "a", "offset": 4096, "length": 8192}],
                         answers[3]["list"]["pins"])
        self.assertEqual([12288, 4096, 0],
                         [answers[i]["info"]["pinned_bytes"] for i in (4, 6, 8)])
        error = self.bad("create a 4K\npin a 0 4K\nclone a b", "EBADFD", "--copy-pinned")
        self.assertIn("unpin", error["hint"])
        self.answers("create a 4K\npin a 0 4K\nclone a b --copy-pinned")
        self.bad("create a 4K\npin a 0 4K\ndecommit a", "EBADFD", "pinned")
        self.bad("create a 4K\npin a 0 4K to x", None, "as PIN", status=2)
        self.bad("create a 4K\npin a 0 4K as", None, "as PIN", status=2)
        self.bad("create a 4K\npin a 0 4K as a", "EEXIST")
        self.bad("create a 4K\nunpin a", "ENOENT", "no pin a")
        self.bad("create a 4K\nclone a b --no-write\npin b 0 4K", "EACCES")
        self.answers("create a 4K\nclone a b --no-write\npin --read-only b 0 4K")
        self.assertIn("pin dma of a: offset 4K, length 8K\n",
                      self.script("create a 64K\npin a 4K 8K as dma\nlist"))


class Lists(Case):
    SCRIPT = ("create base 1M\nwrite base 0 x\nclone base middle\nclone middle leaf\n"
              "slice base window 0 4K\nref base twin\nwrite leaf 4K y\n")

    @staticmethod
    def shape(node):
        return {node["label"]: [Lists.shape(n) for n in node["members"]]}

    def test_info(self):
        out = self.script("create a 1M\nwrite a 0 x\ninfo a")
        for line in ("name             a", "kind             object",
                     "size             1048576 (1M)", "committed_bytes  4096 (4K)", "children         0",
                     "flags           "):
            self.assertIn(line + "\n", out)
        self.bad("info b", "ENOENT", "list")

    def test_list(self):
        objects = self.answers(self.SCRIPT + "list")[-1]["list"]["objects"]
        self.assertEqual(["base", "middle", "leaf", "window", "twin"],
                         [o["label"] for o in objects])
        self.assertEqual(["object", "snapshot", "snapshot", "slice", "reference"],
                         [o["kind"] for o in objects])
        text = self.script(self.SCRIPT + "list")
        self.assertRegex(text, r"(?m)^ *ID  KIND +SIZE +PRIVATE +SHARED +SCALED +PINNED  NAME$")
        self.assertRegex(text, r"(?m)^ *\d+  slice +4K +- +- +- +0  window$")
        self.assertRegex(self.script(self.SCRIPT + "list --bytes"),
                         r"(?m)^ *\d+  object +1048576 +0 +4096 +1024 +0  base$")

    def test_tree(self):
        out = self.script(self.SCRIPT + "tree")
        for line in (r"OBJECT +ID  KIND +SIZE +PRIVATE +SHARED +SCALED", r"base +\d+  object .*",
                     r"├─ middle +\d+  snapshot .*",
                     r"│  └─ leaf +\d+  snapshot +1M +4K +4K .*",
                     r"├─ window +\d+  slice .*", r"└─ twin +\d+  reference .*",
                     r"5 objects, 8K of memory"):
            self.assertRegex(out, rf"(?m)^{line}$")
        lines = out.splitlines()[-6:-1]
        self.assertEqual(1, len({len(line) for line in lines}), lines)
        out = self.script(self.SCRIPT + "tree", locale="C")
        self.assertRegex(out, r"(?m)^\|  `- leaf ")
        self.assertTrue(out.isascii())
        family = self.answers(self.SCRIPT + "create other 1\ntree leaf")[-1]["tree"]["families"]
        self.assertEqual([{"base": [{"middle": [{"leaf": []}]}, {"window": []}, {"twin": []}]}],
                         [self.shape(f) for f in family])
        family = self.answers(self.SCRIPT + "create other 1\nclose middle\ntree")[-1]["tree"]
        self.assertEqual([{"base": [{"leaf": []}, {"window": []}, {"twin": []}]}, {"other": []}],
                         [self.shape(f) for f in family["families"]])
        # One whose parent is not in sight.
        family = self.answers(self.SCRIPT + "close base\ntree")[-1]["tree"]["families"]
        self.assertIn({"middle": [{"leaf": []}]}, [self.shape(f) for f in family])

    def test_deep_tree(self):
        """Neither the indentation nor the documents grow with what others have made."""
        script = "create n0 4K\n" + "".join(f"clone n{i} n{i + 1}\n" for i in range(99))
        out = self.script(script + "tree")
        self.assertIn("100 objects, ", out)
        lines = out.splitlines()[-101:-1]
        self.assertEqual([3 * i for i in range(64)],
                         [re.search(r"n\d", line).start() for line in lines[:64]])
        self.assertRegex(lines[64], rf"\A {{{3 * 63}}}└─ n64 ")
        self.assertRegex(lines[99], rf"\A {{{3 * 63}}}└─ \[99\] n99 ")
        self.assertEqual(1, len({len(line) for line in lines}))
        nodes = self.answers(script + "tree")[-1]["tree"]["families"]
        for i in range(64):
            self.assertEqual([f"n{i}"], [node["label"] for node in nodes])
            parent, nodes = nodes[0]["id"], nodes[0]["members"]
        self.assertEqual([f"n{i}" for i in range(64, 100)], [node["label"] for node in nodes])
        self.assertEqual([[]] * 36, [node["members"] for node in nodes])
        self.assertEqual(list(range(parent, parent + 36)), [node["parent_id"] for node in nodes])

    def test_nothing(self):
        self.assertEqual([], self.answers("list")[0]["list"]["objects"])
        self.assertIn("0 objects, 0 of memory\n", self.script("tree"))


class Names(Case):
    def test_escapes(self):
        """CSI as one byte and as UTF-8, a change of direction, half a character."""
        script = ('create a 1\nname a "\\x9b31mred\\xc2\\x9bx\\xe2\\x80\\xaeabc\\xc3"\nlist\ninfo a\n'
                  'tree\nname a "gr\\xc3\\xbcn \\\\"\nlist\n')
        shown = "\\23331mred\\302\\233x\\342\\200\\256abc\\303"
        out = self.script(script)
        self.assertEqual(2, out.count(f'a "{shown}"'))
        self.assertIn(f"name             {shown}\n", out)
        self.assertIn('a "grün \\\\"', out)
        self.assertFalse(set(out) & set("\x9b\u009b\u202e\x1b"))
        out = self.script(script, locale="C")
        self.assertIn('a "gr\\303\\274n \\\\"', out)
        self.assertTrue(out.isascii())
        for locale in ("C", "C.UTF-8"):
            answers = self.answers(script, locale=locale)
            self.assertEqual(shown, answers[3]["info"]["name"])
            self.assertEqual("grün \\\\", answers[6]["list"]["objects"][0]["name"])

    def test_errors(self):
        for what in ("\x1b]0;x\x07", "\x9b1m"):
            for args in ((what,), ("help", what), (f"{what}/1", "info"), ("run", what)):
                done = ctl(*args)
                self.assertLess(0, done.returncode)
                self.assertFalse(set(done.err) & set("\x1b\x07\x9b"), args)
                self.assertIn("\\", done.err)
        done = ctl("shell", stdin='info "\x1b[31m"\necho "\x1b[31m"\ncreate "\x1b[31m" 1\n')
        self.assertEqual(2, done.err.count("\\033[31m"))
        self.assertEqual("\\033[31m\n", done.out)

    def test_names_of_the_shell(self):
        out = self.script('create "a name" 1\nclone "a name" ünï\nlist\ntree\nclose "a name"\n'
                          "info ünï")
        self.assertIn("\na name", out)
        self.assertRegex(out, r"(?m)^└─ ünï +\d+  snapshot")
        self.assertEqual("x" * 63, self.answers("create " + "x" * 63 + " 1")[0]["object"]["name"])


class Readme(Case):
    """What README.md shows is what is printed."""

    README = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../../README.md")

    def test_transcript(self):
        with open(self.README, encoding="utf-8") as f:
            want = re.search(r"(?ms)^```\n(vmo> .*?)^```$", f.read()).group(1)
        script = "".join(re.findall(r"(?m)^vmo> (.*\n)", want))
        self.assertLess(5, script.count("\n"))
        got = self.good(ctl("run", "--echo", "-", stdin=script))
        base = int(re.search(r"id (\d+)", got).group(1)) - 1
        # Objects are counted from the module's first one on.
        got = re.sub(r"(id|from) (\d+)", lambda m: f"{m[1]} {int(m[2]) - base}", got)
        table = re.compile(r"(?m)^(\S.{8,13}) +\d+( +(?:object|snapshot) )")
        self.assertEqual(table.sub(r"\1\2", want), table.sub(r"\1\2", got))

    def test_module(self):
        """modprobe finds what is installed; what is in use stays; without it, who asks is told."""
        ko, release, tree = os.environ.get("VMO_KO"), os.uname().release, path("tree")
        if not ko:
            self.skipTest("VMO_KO does not name the module")

        def tool(*args):
            done = subprocess.run(args, capture_output=True, text=True,
                                  env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
            return done.returncode, done.stderr

        def leave_loaded():
            if not os.path.exists("/sys/module/vmo"):
                self.assertEqual((0, ""), tool("insmod", ko))

        def counters():
            with open("/sys/kernel/debug/vmo/counters", encoding="ascii") as f:
                found = dict(line.split()[:2] for line in f if line.split()[1:])
            return [found[key] for key in ("pages", "nodes", "objects")]

        # The guest looks at them at its end, when they are those of another module.
        for _ in range(50):
            if counters() == ["0"] * 3:
                break
            time.sleep(0.1)
        self.assertEqual(["0"] * 3, counters())
        self.addCleanup(leave_loaded)
        with Shell() as shell:
            shell.do("create a 4K")
            self.assertEqual((1, "rmmod: ERROR: Module vmo is in use\n"), tool("rmmod", "vmo"))
            self.assertIn(f" in {shell.fd_of('a')} vmoctl\n", self.good(ctl("list")))
        self.assertEqual((0, ""), tool("rmmod", "vmo"))
        done = ctl("probe")
        self.assertEqual(1, done.returncode)
        self.assertIn("cannot open /dev/vmo: No such device (ENODEV)\nvmoctl: ", done.err)
        self.assertIn("modprobe vmo", done.err)
        self.assertIn("not found", tool("modprobe", "-d", tree, "vmo")[1])
        to = f"{tree}/lib/modules/{release}/updates/module"
        os.makedirs(to)
        shutil.copy(ko, to)
        self.assertEqual(0, tool("depmod", "-b", tree, release)[0])
        self.assertEqual((0, ""), tool("modprobe", "-d", tree, "vmo"))
        self.good(ctl("probe"))
        status, err = tool("insmod", ko)
        self.assertEqual(1, status)
        self.assertIn("File exists", err)


if __name__ == "__main__":
    sys.exit(main())
