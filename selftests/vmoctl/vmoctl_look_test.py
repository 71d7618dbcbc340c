#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of what vmoctl shows of pages and families. Arguments as for vmoctl_test."""

import os
import re
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml

from vmoctl_util import (Case, ctl, DIR, documents, env, fetch, main, MIB, NOBODY, PAGE, path,
                         Shell, store, VMOCTL)

SVG = "{http://www.w3.org/2000/svg}"


def run(*args, stdin="", **variables):
    """With other variables of the environment."""
    return subprocess.run([VMOCTL, *args], input=stdin, capture_output=True, text=True,
                          env={**env(), **variables})


class Info(Case):
    def test_fields(self):
        before, a, after = [x["info"] for x in self.answers(
            "create a 64K\ninfo a\nwrite a 0 x\nclone a b\ninfo a\nwrite a 4K y\ninfo a")
            if "info" in x]
        self.assertEqual(0, before["exclusive_bytes"])
        self.assertEqual((PAGE, 0, PAGE), (a["exclusive_bytes"], a["private_bytes"],
                                           a["shared_bytes"]))
        self.assertEqual(2 * PAGE, after["exclusive_bytes"])
        self.assertLess(before["generation"], a["generation"])
        self.assertLess(a["generation"], after["generation"])
        self.assertEqual(0, a["change_events"])
        self.assertEqual(["read", "write", "map", "pin", "child", "name"], a["rights"])
        self.assertEqual(["read", "write", "map", "exec", "resize", "pin", "child", "name"],
                         self.answers("create a 1 --resizable --exec\ninfo a")[1]["info"]["rights"])
        out = self.script("create a 64K\nwrite a 0 x\ninfo a")
        self.assertIn("exclusive_bytes  4096 (4K)\n", out)
        self.assertRegex(out, r"(?m)^generation       \d+$")
        self.assertRegex(out, r"(?m)^rights           read write map pin child name$")

    def test_probe(self):
        features = documents(self.good(ctl("--json", "probe")))[0]["probe"]["features"]
        self.assertEqual(["longterm", "rights", "transfer", "pages", "usage", "diff", "rewind",
                          "harvest", "pager"], features[features.index("longterm"):])

    def test_usage(self):
        text = "create a 64K\nwrite a 0 x\nwrite a 8K x\nclone a b\nwrite b 8K y\n"
        part, whole, late = [x["usage"] for x in self.answers(
            text + "usage b 4K 8K\nusage b\nusage b 64K 1T")[-3:]]
        self.assertEqual({"offset": 4096, "length": 8192, "committed_bytes": PAGE,
                          "private_bytes": PAGE, "shared_bytes": 0, "scaled_bytes": PAGE,
                          "exclusive_bytes": PAGE},
                         {k: v for k, v in part.items() if k != "metadata_bytes"})
        self.assertEqual((2 * PAGE, PAGE, PAGE), (whole["committed_bytes"], whole["private_bytes"],
                                                  whole["shared_bytes"]))
        self.assertEqual(0, late["committed_bytes"])
        self.assertIn("committed_bytes  8192 (8K)\n", self.script(text + "usage b"))
        self.bad("create a 4K\nusage a 0", None, "OFFSET without LENGTH", status=2)

    def test_stats(self):
        before = documents(self.good(ctl("--json", "stats")))[0]["stats"]
        with Shell() as shell:
            shell.do("create a 64K")
            shell.do("commit a 0 12K")
            shell.do("ref a r")
            shell.do("pin a 0 4K")
            now = documents(self.good(ctl("--json", "stats")))[0]["stats"]
            self.assertEqual([3 * PAGE, 2, 1, 1],
                             [now[k] - before[k] for k in ("page_bytes", "object_count",
                                                           "content_count", "pin_count")])
            shell.do("info a")
            self.assertLess(now["usage_queries"], shell.do("stats")["stats"]["usage_queries"])
        self.assertRegex(self.good(ctl("stats")), r"(?m)\Apage_bytes       \d+.*\nnode_count +\d+$")
        done = ctl("stats", **NOBODY)
        self.assertEqual(1, done.returncode)
        self.assertIn("(EACCES)\nvmoctl: ", done.err)


class Pages(Case):
    SCRIPT = ("create a 64K\nwrite a 0 x\nwrite a 4K x\nclone a b\nwrite a 8K y\nwrite a 12K y\n"
              "pin a 12K 4K\n")

    def test_pages(self):
        runs = self.answers(self.SCRIPT + "pages a")[-1]["pages"]
        self.assertFalse(runs["truncated"])
        self.assertEqual([(0, 8192, ["shared"]), (8192, 4096, ["private"]),
                          (12288, 4096, ["private", "pinned", "writable"]),
                          (16384, 49152, ["absent"])],
                         [(r["offset"], r["length"], r["state"]) for r in runs["runs"]])
        lines = self.script(self.SCRIPT + "pages a 4K 8K").splitlines()[-2:]
        self.assertEqual(["offset 4096 length 4096 (4K) shared",
                          "offset 8192 length 4096 (4K) private"], lines)
        self.assertEqual([], self.answers("create a 0\npages a")[-1]["pages"]["runs"])
        self.bad("create a 4K\npages a 0 5", "EINVAL", "page aligned")
        self.bad("create a 4K\npages a 0 8K", "ERANGE", "info")
        self.bad("pages a", "ENOENT", "list")

    def test_very_many(self):
        """Runs of more than one call; neighbours that are alike are one."""
        text = "create a 8M\n" + "".join(f"commit a {8 * i}K 4K\n" for i in range(1000))
        runs = self.answers(text + "pages a")[-1]["pages"]["runs"]
        self.assertEqual(2000, len(runs))
        self.assertEqual([8192 * i for i in range(1000)], [r["offset"] for r in runs[::2]])
        self.assertEqual({PAGE}, {r["length"] for r in runs[:-1]})
        self.assertEqual(8 * MIB, sum(r["length"] for r in runs))
        one = self.answers("create a 1G\npages a")[-1]["pages"]["runs"]
        self.assertEqual([(0, 1 << 30)], [(r["offset"], r["length"]) for r in one])

    def test_map(self):
        out = self.script(self.SCRIPT + "map a").splitlines()
        self.assertEqual(["a: 64K, a cell is 1 page (4K)", f"{'0':>14}  ▒▒█◆············",
                          "· absent  █ private  ▒ shared  ◆ pinned  ",
                          "private 8K, shared 8K, absent 48K, pinned 4K"], out[-4:])
        out = self.script(self.SCRIPT + "map a", locale="C")
        self.assertTrue(out.isascii())
        self.assertIn("  ++#P............\n. absent  # private  + shared  P pinned  \n", out)
        answer = self.answers(self.SCRIPT + "map a 8K 16K")[-1]["map"]
        self.assertEqual({"object": "a", "offset": 8192, "length": 16384, "cell_bytes": PAGE,
                          "cells": "#P..", "private_bytes": 8192, "shared_bytes": 0,
                          "absent_bytes": 8192, "pinned_bytes": 4096}, answer)
        self.assertEqual("", self.answers("create a 0\nmap a")[-1]["map"]["cells"])
        self.bad("create a 4K\nmap a 1 4K", "EINVAL", "page aligned")

    def test_many_pages_for_a_cell(self):
        """16 rows of 64 cells; what is mixed in a cell is told from what is not."""
        text = ("create a 32M\nwrite a 0 x\ncommit a 32K 32K\nclone a b\ncommit a 64K 32K\n"
                "commit a 96K 4K\nwrite a 32K y\n")
        answer = self.answers(text + "map a")[-1]["map"]
        self.assertEqual((32768, 1024), (answer["cell_bytes"], len(answer["cells"])))
        self.assertEqual("-%#o", answer["cells"].rstrip("."))
        lines = self.script(text + "map a").splitlines()
        self.assertIn("a: 32M, a cell is 8 pages (32K)", lines)
        self.assertEqual(16, sum(bool(re.match(r" +(0|0x\w+)  .{64}\Z", x)) for x in lines), lines)
        self.assertIn("      0x200000  " + 64 * "·", lines)
        self.assertIn("· absent  █ private  ▄ private and absent  ░ shared and absent  "
                      "▓ private and shared  ", lines)
        # One page more, and a cell is twice as many.
        answer = self.answers("create a 0x2001000\nmap a")[-1]["map"]
        self.assertEqual((65536, 513), (answer["cell_bytes"], len(answer["cells"])))
        answer = self.answers("create a 1T\nwrite a 512G x\nmap a")[-1]["map"]
        self.assertEqual((1 << 30, "o"), (answer["cell_bytes"], answer["cells"].strip(".")))
        self.assertEqual(512, answer["cells"].index("o"))
        for columns, cells in (("40", 16), ("47", 16), ("48", 32), ("200", 128), ("x", 64)):
            done = run("run", "-", stdin="create a 64M\nmap a", COLUMNS=columns)
            rows = re.findall(r"(?m)^ +\w+  (·+)$", done.stdout)
            self.assertEqual({cells}, {len(row) for row in rows}, columns)
            self.assertGreaterEqual(16, len(rows))

    def test_map_svg(self):
        name = path("map.svg")
        out = self.script(self.SCRIPT.replace("a ", '"<&\\"" ') +
                          f'map "<&\\"" --svg={name}\n')
        self.assertNotIn("cell", out)
        root = xml.fromstring(fetch("map.svg"))
        self.assertEqual(SVG + "svg", root.tag)
        cells = [r for r in root.iter(SVG + "rect") if r.find(SVG + "title") is not None]
        self.assertEqual(["shared", "private", "pinned", "absent"],
                         [r.find(SVG + "title").text.split(": ")[1] for r in cells])
        self.assertEqual([20, 10, 10, 120], [int(r.get("width")) for r in cells])
        self.assertEqual('<&": 64K, a cell is 4K', next(root.iter(SVG + "text")).text)
        out = self.script("create a 4K\nmap a --svg -")
        self.assertIn("<svg ", out)
        answer = self.answers(f"create a 4K\nmap a --svg {name}")[-1]["map"]
        self.assertEqual((name, "."), (answer["file"], answer["cells"]))
        self.bad("create a 4K\nmap a --svg -", None, "JSON", status=2)
        self.bad("create a 4K\nmap a --svg", None, "--svg needs a FILE", status=2)
        self.bad("create a 4K\nmap a --svg /nonesuch/x", "ENOENT", "cannot open")
        self.bad("create a 4K\nmap a --svg /dev/full", "ENOSPC", "cannot write")

    def test_of_others(self):
        with Shell() as shell:
            shell.do("create theirs 64K")
            shell.do("write theirs 4K x")
            name = shell.fd_of("theirs")
            self.assertIn("  .#..............\n", self.good(ctl("map", name, locale="C")))
            self.assertIn("offset 4096 length 4096 (4K) private",
                          self.good(ctl(name, "pages")))


class Graph(Case):
    SCRIPT = ("create base 1M\nwrite base 0 x\nclone base middle\nclone middle leaf\n"
              "slice base window 0 4K\nref base twin\ncreate other 4K\n")

    @staticmethod
    def fake_dot(body):
        os.makedirs(path("bin"), exist_ok=True)
        store("bin/dot", b"#!/bin/sh\n" + body)
        os.chmod(path("bin/dot"), 0o755)
        return path("bin") + ":" + os.environ["PATH"]

    def graph(self, dot):
        """Names of the nodes by id, and the edges."""
        nodes = re.findall(r'(?m)^\t(\d+) \[style=\w+, label="(\w+)\\n', dot)
        edges = re.findall(r"(?m)^\t(\d+) -> (\d+) \[style=(\w+)\];$", dot)
        names = dict(nodes)
        return sorted(names.values()), sorted((names[a], names[b], s) for a, b, s in edges)

    def test_dot(self):
        edges = [("base", "middle", "solid"), ("base", "twin", "dashed"),
                 ("base", "window", "dashed"), ("middle", "leaf", "solid")]
        family = ["base", "leaf", "middle", "twin", "window"]
        answers = self.answers(self.SCRIPT + "graph\ngraph leaf\ngraph other\nclose base\ngraph leaf")
        graphs = [a["graph"] for a in answers if "graph" in a]
        self.assertEqual([6, 5, 1, 2], [g["objects"] for g in graphs])
        self.assertEqual((sorted(family + ["other"]), edges), self.graph(graphs[0]["dot"]))
        self.assertEqual((family, edges), self.graph(graphs[1]["dot"]))
        self.assertEqual((["other"], []), self.graph(graphs[2]["dot"]))
        # One whose parent is not in sight is the first of its family.
        self.assertEqual((["leaf", "middle"], edges[3:]), self.graph(graphs[3]["dot"]))
        out = self.script(self.SCRIPT + "graph other")
        self.assertRegex(out, r'(?m)^digraph vmo \{\n(\t.*\n)+\}\n\Z')
        self.assertRegex(out, r'label="other\\nobject \d+, 4K\\nprivate 0, shared 0"')
        self.assertRegex(self.script(self.SCRIPT + "pin base 0 4K\ngraph"),
                         r'label="base\\nobject \d+, 1M\\nprivate 4K, shared 0\\npinned 4K"')
        self.bad("graph nonesuch", "ENOENT", "list")

    def test_names(self):
        """No name ends a label, or gives orders to a terminal."""
        out = self.script('create "q\\"];\\\\" 1\nname "q\\"];\\\\" "\\xc3\\xbc"\n'
                          'create "\\x9b31m" 1\ngraph', locale="C")
        self.assertIn('label="q\\"];\\\\\\\\\\nobject', out)
        self.assertIn('label="\\\\23331m\\nobject', out)

    def test_of_others(self):
        with Shell() as shell:
            shell.do("create theirs 64K")
            shell.do("clone theirs copy")
            name = shell.fd_of("theirs")
            out = self.good(ctl("graph", name))
            self.assertRegex(out, rf'label="theirs\\nobject \d+, 64K\\n[^"]*\\n{name} vmoctl"')
            self.assertEqual(1, out.count(" -> "))

    def test_svg(self):
        drawn = path("graph.svg")
        dots = self.fake_dot(b'[ "$*" = -Tsvg ] && grep -c " -> " && echo "<svg/>"\n')
        text = self.SCRIPT + f"graph leaf --svg {drawn}\n"
        done = run("run", "-", stdin=text, PATH=dots)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertNotIn("digraph", done.stdout)
        self.assertEqual(b"4\n<svg/>\n", fetch("graph.svg"))
        done = run("--json", "run", "-", stdin=text, PATH=dots)
        answer = documents(done.stdout)[-1]["graph"]
        self.assertEqual((drawn, 5, False), (answer["file"], answer["objects"], "dot" in answer))
        done = run("run", "-", stdin=self.SCRIPT + "graph --svg -", PATH=dots)
        self.assertTrue(done.stdout.endswith("4\n<svg/>\n"))
        # What fails leaves the file as it was.
        for body in (b"cat >&2\nexit 3\n", b"kill -9 $$\n"):
            dots = self.fake_dot(body)
            done = run("--json", "run", "-", stdin=text, PATH=dots)
            error = documents(done.stdout)[-1]["error"]
            self.assertRegex(error["message"], "dot failed with (status 3|signal 9)")
            self.assertEqual(b"4\n<svg/>\n", fetch("graph.svg"))

    @unittest.skipUnless(shutil.which("dot"), "there is no Graphviz here")
    def test_graphviz(self):
        """The real one reads what we write, whatever the names are."""
        drawn = path("real.svg")
        odd = '<q\\"];&\\\\>'
        done = run("run", "-", stdin=f'create "{odd}" 64K\nclone "{odd}" copy\n'
                                     f"slice copy part 0 8K\ngraph copy --svg {drawn}\n")
        # Fontconfig may have something to say about the guest's files.
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn("digraph", done.stdout)
        drawing = xml.parse(drawn)
        texts = [text.text for text in drawing.iter(SVG + "text")]
        self.assertLessEqual({'<q"];&\\\\>', "copy", "part"}, set(texts))
        kinds = [g.get("class") for g in drawing.iter(SVG + "g")]
        self.assertEqual((3, 2), (kinds.count("node"), kinds.count("edge")))

    def test_no_dot(self):
        """Who has no Graphviz is told the package, and keeps the file."""
        drawn = store("kept.svg", b"kept")
        done = run("--json", "run", "-", stdin=f"create a 1\ngraph --svg {drawn}\n", PATH=DIR)
        error = documents(done.stdout)[-1]["error"]
        self.assertEqual(("ENOENT", "cannot run dot", 1),
                         (error["errno"], error["message"], error["status"]))
        self.assertIn("package graphviz", error["hint"])
        self.assertEqual(b"kept", fetch("kept.svg"))
        self.bad("create a 1\ngraph --svg -", None, "JSON", status=2)


class Completion(Case):
    SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                          "../../../tools/vmoctl/vmoctl.bash")

    def complete(self, *words):
        code = ('. "$0"; compopt() { echo "default"; }; COMP_WORDS=(vmoctl "$@"); '
                'COMP_CWORD=$#; _vmoctl; printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", code, self.SCRIPT, *words], text=True, check=True,
                              capture_output=True, env={**env(), "PATH": DIR + ":" +
                                                        os.environ["PATH"]}).stdout.split()

    def test_words(self):
        self.assertEqual(["map"], self.complete("map"))
        self.assertEqual({"restrict", "rewind", "read", "ref", "resize"}, set(self.complete("re")))
        self.assertEqual({"harvest", "harvester"}, set(self.complete("harv")))
        self.assertEqual(["--svg"], self.complete("map", "--s"))
        self.assertEqual({"--copy-pinned", "--keep-base", "--longterm", "--no-write",
                          "--resizable", "--help", "--json", "--pretty"},
                         set(self.complete("clone", "--")))
        self.assertEqual(["default"], self.complete("map", "--svg", "="))
        self.assertEqual(["default"], self.complete("map", "--svg", "=", "x"))
        with Shell() as shell:
            theirs = shell.do("create theirs 1")["object"]["id"]
            self.assertIn(shell.fd_of("theirs"), self.complete("map", ""))
            self.assertIn(str(theirs), self.complete("watch", ""))
            self.assertEqual([], self.complete("stat", ""))


if __name__ == "__main__":
    sys.exit(main())
