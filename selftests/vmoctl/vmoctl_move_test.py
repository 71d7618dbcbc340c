#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of vmoctl's rewind, diff of families, harvest, move, restrict. As vmoctl_test."""

import random
import sys

from vmoctl_util import Case, ctl, documents, main, MIB, PAGE, Shell


class Rewind(Case):
    def test_rewind(self):
        text = ("create a 64K\nwrite a 0 early\nclone a b --keep-base\nwrite a 0 other\n"
                "write b 0 later\nwrite b 8K more\nrewind b\nread b 0 5\nread b 8K 4\ninfo b\n")
        *_, first, second, info = self.answers(text)
        self.assertEqual(b"early".hex(), first["read"]["hex"])
        self.assertEqual("00000000", second["read"]["hex"])
        self.assertIn("keep-base", info["info"]["flags"])
        self.assertEqual({"done": "rewind"}, self.answers(text)[6])
        self.assertIn("cow-clone keep-base\n", self.script(text))
        self.bad("create a 4K\nrewind a", "EOPNOTSUPP", "--keep-base")
        self.bad("create a 4K\nclone a b\nrewind b", "EOPNOTSUPP", "--keep-base")
        self.bad("create a 4K\nclone a b --keep-base\npin b 0 4K\nrewind b", "EBADFD", "unpin")
        self.bad("create a 4K\nclone a b --keep-base --no-write", "EINVAL", "--keep-base")
        self.bad("rewind a", "ENOENT", "list")

    def test_of_another(self):
        with Shell() as shell:
            shell.do("create a 4K")
            shell.do("clone a b --keep-base")
            shell.do("write b 0 x")
            self.assertEqual("", self.good(ctl(shell.fd_of("b"), "rewind")))
            self.assertEqual("00", shell.do("read b 0 1")["read"]["hex"])


class Diff(Case):
    def diff(self, text):
        return self.answers(text + "\ndiff --no-fail a b")[-1]["diff"]

    def test_method(self):
        """By the module where one offset is one place of the family, else by content."""
        base = "create a 64K\nwrite a 0 x\nwrite a 4K y\nwrite a 8K x\n"
        for more, method in (("clone a b", "family"), ("ref a b", "family"),
                             ("slice a b 0 64K", "family"), ("clone a c\nclone c b", "family"),
                             ("clone a b 0 8K", "family"), ("clone a b 4K 60K", "content"),
                             ("slice a b 8K 4K", "content"), ("create b 64K", "content"),
                             ("clone a b 4K 4K\nwrite b 0 z", "content"),
                             ("clone a b 64K 64K", "content"), ("create b 0", "content")):
            self.assertEqual(method, self.diff(base + more)["method"], more)
        self.assertEqual("content", self.answers(base + "clone a b\ndiff --content a b")
                         [-1]["diff"]["method"])
        # What lies elsewhere in the family is compared byte by byte, from the start on.
        answer = self.answers(base + "slice a s 0 4K\nslice a t 4K 4K\nslice a u 8K 4K\n"
                              "diff s t --no-fail\ndiff s u --no-fail")[-2:]
        self.assertEqual([False, True], [x["diff"]["equal"] for x in answer])
        self.bad(base + "slice a s 0 4K\nslice a t 4K 4K\nassert-equal s t", None, "offset 0")

    def test_like_content(self):
        """Both methods say the same, of pages and of bytes, and of a last page that is cut."""
        chance = random.Random(7)
        for size in (1 << 18, (1 << 18) - 4000):
            lines = [f"create a {size}", "commit a 0 32K", "clone a b"]
            for _ in range(12):
                for _ in range(chance.randrange(6)):
                    at, name = chance.randrange(size - 8), chance.choice("ab")
                    lines.append(chance.choice((f"write {name} {at} hex:{chance.randrange(256):02x}",
                                                f"zero {name} {at & ~4095} 4K")))
                lines += [f"diff --no-fail {o} {m} a b" for o in ("", "--exact")
                          for m in ("", "--content")]
            found = [x["diff"] for x in self.answers("\n".join(lines)) if "diff" in x]
            self.assertEqual(48, len(found))
            self.assertTrue(any(not x["equal"] for x in found))
            for mine, theirs in zip(found[::2], found[1::2]):
                self.assertEqual(("family", "content"), (mine.pop("method"), theirs.pop("method")))
                self.assertEqual(theirs, mine)

    def test_sizes(self):
        text = "create a 64K --resizable\nclone a b --resizable\nresize b 10001\n"
        self.assertEqual([{"offset": 10001, "length": 65536 - 10001}], self.diff(text)["ranges"])
        text += "write b 10000 x\n"
        self.assertEqual([{"offset": 8192, "length": 65536 - 8192}], self.diff(text)["ranges"])
        # Content that is equal, in a page whose bytes behind it are not.
        text = "create a 5\nclone a b\nwrite b 100 x\n"
        self.assertEqual(("family", True), tuple(self.diff(text)[k] for k in ("method", "equal")))

    def test_of_others(self):
        """Of live objects; nothing that is made for it stays."""
        with Shell() as shell:
            shell.do("create a 1T")
            shell.do("write a 512G x")
            shell.do("clone a b")
            a, b = shell.fd_of("a"), shell.fd_of("b")
            self.assertEqual("equal\n", self.good(ctl("diff", a, b)))
            shell.do("write a 700G y")
            done = ctl("--json", "diff", a, b)
            answer = documents(done.out)[0]["diff"]
            self.assertEqual((1, "family", [{"offset": 700 << 30, "length": PAGE}]),
                             (done.returncode, answer["method"], answer["ranges"]))
            self.assertEqual([1, 0], [shell.do("info " + x)["info"]["children"] for x in "ab"])


class Harvest(Case):
    def test_harvest(self):
        made, *answers = self.answers(
            "create a 1M\nwrite a 0 old\nharvester a h\nlist\nwrite a 4K x\nwrite a 8K x\n"
            "write a 64K x\nharvest h --keep\nharvest h 0 8K\nharvest h\nharvest h\nread a\n"
            "commit a\nharvest h\nzero a 64K 4K\nharvest h\nclose h\nlist\n")
        self.assertEqual("object", list(made)[0])
        self.assertEqual({"harvester": "h", "object": "a"}, answers[1]["harvester"])
        self.assertEqual([{"harvester": "h", "object": "a"}], answers[2]["list"]["harvesters"])
        self.assertEqual([], answers[2]["list"]["pins"])
        got = [[(r["offset"], r["length"]) for r in x["harvest"]["ranges"]]
               for x in answers if "harvest" in x]
        self.assertEqual([[(4096, 8192), (65536, 4096)], [(4096, 4096)],
                          [(8192, 4096), (65536, 4096)], [], [], [(65536, 4096)]], got)
        keep = answers[6]["harvest"]
        self.assertEqual((12288, False), (keep["bytes"], keep["truncated"]))
        self.assertEqual([], answers[-1]["list"]["harvesters"])

    def test_text(self):
        out = self.script("create a 1M\nharvester a h\nwrite a 4K x\nlist\nharvest h\nharvest h\n")
        self.assertIn("h: a harvester of a\n", out)
        self.assertIn("\nharvester h of a\n", out)
        self.assertTrue(out.endswith("offset 4096 length 4096 (4K)\n1 range, 4K in all\n"
                                     "nothing was written\n"), out)

    def test_two(self):
        """They take nothing from one another, and see what references do, not what clones do."""
        answers = self.answers("create a 64K\nharvester a h\nharvester a i\nref a r\nclone a c\n"
                               "write r 4K x\nwrite c 8K x\nharvest h\nharvest i\nclose a\nharvest h")
        self.assertEqual([4096, 4096, 0],
                         [x["harvest"]["bytes"] for x in answers if "harvest" in x])

    def test_very_many(self):
        """What does not fit into a document is told by the next one; none is lost."""
        text = "create a 1G\nharvester a h\n"
        text += "".join(f"write a {8 * i}K x\n" for i in range(66000))
        answers = documents(self.good(ctl("--json", "run", "-",
                                          stdin=text + "harvest h\nharvest h\nharvest h")))
        first, second, third = [x["harvest"] for x in answers[-3:]]
        self.assertEqual((65536, True), (len(first["ranges"]), first["truncated"]))
        self.assertEqual((66000 - 65536, False), (len(second["ranges"]), second["truncated"]))
        self.assertLessEqual(first["next"], second["ranges"][0]["offset"])
        self.assertEqual([8192 * i for i in range(66000)],
                         [r["offset"] for r in first["ranges"] + second["ranges"]])
        self.assertEqual([], third["ranges"])

    def test_errors(self):
        text = "create a 4K\nharvester a h\n"
        self.bad(text + "harvest a", "ENOENT", "harvester NAME NEW")
        self.bad(text + "harvest h 0", None, "OFFSET without LENGTH", status=2)
        self.bad(text + "harvest h 5 4K", "EINVAL", "page aligned")
        self.bad(text + "info h", "EINVAL", "is a harvester", '"harvest"')
        self.bad(text + "unpin h", "ENOENT")
        self.bad(text + "harvester a h", "EEXIST", "in use")
        self.bad("create a 4K\n" + "".join(f"harvester a h{i}\n" for i in range(65)), "EAGAIN",
                 "64 harvesters")
        self.bad(text + "restrict a w write\nharvester w i", "EACCES", "restricted")
        self.assertEqual(2, ctl("harvest", "h").returncode)


class Move(Case):
    def test_move(self):
        text = ("create a 64K\ncreate b 64K\nwrite a 4K moved\nwrite b 8K gone\n"
                "move a 4K 8K b 8K\nread a 4K 5\nread b 8K 5\ninfo a\ninfo b\n")
        *_, a, b, of_a, of_b = self.answers(text)
        self.assertEqual((bytes(5).hex(), b"moved".hex()), (a["read"]["hex"], b["read"]["hex"]))
        self.assertEqual((0, PAGE), (of_a["info"]["committed_bytes"],
                                     of_b["info"]["committed_bytes"]))
        self.assertEqual({"done": "move"}, self.answers(text)[4])
        self.bad("create a 4K\ncreate b 4K\nmove a 0 8K b 0", "ERANGE", "info")
        self.bad("create a 8K\ncreate b 4K\nmove a 1 4K b 0", "EINVAL", "page aligned")
        self.bad("create a 4K\ncreate b 4K\npin b 0 4K\nmove a 0 4K b 0", "EBADFD", "unpin")
        self.bad("create a 4K\nclone a b --no-write\nmove b 0 4K a 0", "EACCES", "info")
        self.bad("create a 4K\nmove a 0 4K b 0", "ENOENT", "no object b")
        self.bad("create a 4K\nmove a 0 4K a x", None, "not a size", status=2)

    def test_between_processes(self):
        with Shell() as one, Shell() as two:
            one.do("create a 2M")
            two.do("create b 2M")
            one.do("write a 1M hello")
            self.good(ctl(one.fd_of("a"), "move", "1M", "1M", two.fd_of("b"), "0"))
            self.assertEqual(b"hello".hex(), two.do("read b 0 5")["read"]["hex"])
            self.assertEqual("00", one.do(f"read a {MIB} 1")["read"]["hex"])


class Restrict(Case):
    def test_rights(self):
        a, r, info, none = self.answers("create a 64K --resizable\nrestrict a r read,child\n"
                                        "info r\nrestrict a n none")
        self.assertEqual(a["object"]["id"], r["object"]["id"])
        self.assertEqual([["read", "child"], ["read", "child"], []],
                         [r["object"]["rights"], info["info"]["rights"], none["object"]["rights"]])
        text = "create a 64K --resizable\nrestrict a r "
        self.bad(text + "read,child\nwrite r 0 x", "EACCES", "restricted")
        self.bad(text + "read,write\nresize r 0", "EACCES")
        self.bad(text + "read\nclone r c", "EACCES", "rights")
        self.bad(text + "read,write\npin r 0 4K", "EACCES")
        self.bad(text + "read\nrestrict r s read,write", "EACCES", "lacks")
        for wrong in ("bogus", "read,", ",", "read,,map", ""):
            self.bad(text + f'"{wrong}"', None, "is no right", status=2)
        self.answers(text + "read,write,child,resize\nclone r c\nresize r 0\nclose a\nread r 0 0")
        self.bad("create a 4K\nrestrict a a read", "EEXIST", "in use")

    def test_names(self):
        """Both names are of one object, which is listed once."""
        objects = self.answers("create a 4K\nrestrict a r read\nlist")[-1]["list"]["objects"]
        self.assertEqual(["a"], [o["name"] for o in objects])


if __name__ == "__main__":
    sys.exit(main())
