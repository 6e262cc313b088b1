"""deps of real builds: the headers that the compiler names, the files that were opened, and a race that was planted."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.compare import Bench
from support.run import Outcome, require, tool
from support.sources import unpacker

FILES = 20


def deps(bench: Bench, *arguments: str | Path) -> Outcome:
    return bench.runner.native([tool("capwrap"), "deps", *arguments], cwd=bench.work, env=bench.env)


def words(depfile: str) -> list[str]:
    """Targets and prerequisites of the first rule of a depfile."""
    rule = depfile.replace("\\\n", " ").split("\n")[0]
    return re.sub(r"\$\(wildcard [^)]*\)", "", rule).replace(":", " ", 1).split()


@pytest.fixture
def lua(bench: Bench) -> Bench:
    require("cc", "make")
    bench.fresh(setup=unpacker("lua5.4"))
    return bench


def test_the_headers_are_those_that_the_compiler_names_and_nothing_is_named_that_was_not_opened(lua: Bench) -> None:
    sources = sorted(path.name for path in (lua.work / "src").glob("l*.c"))[:FILES]
    assert len(sources) == FILES
    for name in sources:
        compile_ = ["cc", "-O0", "-c", f"src/{name}", "-o", "out.o"]
        done = lua.confined(compile_, options=("-q", "--events", lua.events))
        assert done.status == 0, done.describe()
        told = deps(lua, lua.events)
        assert told.status == 0, told.describe()
        target, *inputs = words(told.text)
        assert target == "out.o"
        said = lua.runner.native(["cc", "-M", f"src/{name}"], cwd=lua.work, env=lua.env)
        _, *expected = words(said.text)
        found = {os.path.realpath(lua.work / path) for path in inputs if path.endswith((".c", ".h"))}
        assert found == {os.path.realpath(lua.work / path) for path in expected}
        opened = {
            os.path.realpath(str(record[field]))
            for record in lua.records("access")
            for field in ("path", "path2")
            if record.get(field) and int(str(record["result"])) >= 0
        }
        assert {os.path.realpath(lua.work / path) for path in inputs} <= opened


def test_a_header_that_would_come_earlier_on_the_include_path_is_a_dependency(bench: Bench) -> None:
    require("cc", "make")
    files = {"a.c": '#include "x.h"\nint main(void) { return X; }\n', "late/x.h": "#define X 0\n"}
    bench.fresh(files)
    (bench.work / "early").mkdir()
    build = ["cc", "-Iearly", "-Ilate", "-c", "a.c", "-o", "a.o"]
    bench.confined(build, options=("-q", "--events", bench.events))
    told = deps(bench, bench.events)
    assert "$(wildcard early/x.h)" in told.text, told.describe()
    (bench.work / "a.d").write_text(told.text)
    (bench.work / "Makefile").write_text("a.o:\n\t@echo made; touch $@\ninclude a.d\n")
    make = ["make", "--no-print-directory"]
    assert "made" not in bench.runner.native(make, cwd=bench.work, env=bench.env).text
    (bench.work / "early/x.h").write_text("#define X 1\n")
    again = bench.runner.native(make, cwd=bench.work, env=bench.env)
    assert "made" in again.text, again.describe()
    (bench.work / "late/x.h").unlink()
    assert bench.runner.native(make, cwd=bench.work, env=bench.env).status == 0


def test_ninja_takes_the_depfile(bench: Bench) -> None:
    require("cc", "ninja")
    bench.fresh({"a b.c": '#include "x#y.h"\nint x;\n', "x#y.h": "\n"})
    bench.confined(["cc", "-c", "a b.c", "-o", "a.o"], options=("-q", "--events", bench.events))
    told = deps(bench, bench.events, "--format", "ninja", "-o", "a.o")
    (bench.work / "a.d").write_text(told.text)
    rule = "rule cc\n  command = touch $out\n  depfile = a.d\nbuild a.o: cc\n"
    (bench.work / "build.ninja").write_text(rule)
    ninja = bench.runner.native(["ninja", "-d", "explain", "-d", "keepdepfile"], cwd=bench.work, env=bench.env)
    assert ninja.status == 0, ninja.describe()
    quiet = bench.runner.native(["ninja"], cwd=bench.work, env=bench.env)
    assert "no work to do" in quiet.text, quiet.describe()
    os.utime(bench.work / "x#y.h")
    asked = bench.runner.native(["ninja", "-n", "-d", "explain"], cwd=bench.work, env=bench.env)
    assert "x#y.h" in asked.text + os.fsdecode(asked.stderr), asked.describe()


MAKEFILE = """\
all: one two three
one: one.in
\tcp one.in one; sleep 0.1; echo 1 >shared.txt
two: two.in
\tcat two.in shared.txt >two 2>/dev/null; true
three: one
\tcat one shared.txt >three
"""


def test_a_planted_race_is_named_with_both_actions(bench: Bench) -> None:
    require("make")
    bench.fresh({"Makefile": MAKEFILE, "one.in": "1\n", "two.in": "2\n", "rec/.keep": ""})
    shell = bench.work / "record-sh"
    shell.write_text(f'#!/bin/sh\nexec {tool("capwrap")} run -q --events rec/$$.ndjson -- /bin/sh "$@"\n')
    shell.chmod(0o755)
    built = bench.runner.native(["make", f"SHELL={shell}"], cwd=bench.work, env=bench.env)
    assert built.status == 0, built.describe()
    records = sorted((bench.work / "rec").glob("*.ndjson"))
    assert len(records) == 3
    told = deps(bench, "--format", "json", "--declared", "Makefile", *records)
    assert told.status == 1, told.describe()
    races: list[dict[str, Any]] = json.loads(told.stdout)["races"]
    shared = str(bench.work / "shared.txt")
    # `three` needs `one`, so it is ordered behind it; `two` is not
    assert [race["path"] for race in races] == [shared], races
    commands = " | ".join(str(races[0][which]["argv"][-1]) for which in ("first", "second"))
    assert "echo 1 >shared.txt" in commands
    assert "cat two.in shared.txt" in commands
    assert b"no rule of" in told.stderr

    mended = MAKEFILE.replace("two: two.in", "two: two.in one").replace("one: one.in", "one shared.txt: one.in")
    (bench.work / "Mended").write_text(mended.replace("three: one", "three: one shared.txt"))
    after = deps(bench, "--format", "json", "--declared", "Mended", *records)
    assert json.loads(after.stdout)["races"] == [], after.describe()


WHOLE = """\
all: one two three four
.PHONY: all sub
one: one.in
\t@mkdir -p out
\tsleep 0.2; cp one.in one
\techo 1 >shared.txt
two: two.in
\tcat $< shared.txt >$@ 2>/dev/null; true
three: one
\t@cat one >$@; \\
\tcat shared.txt >>$@
\trm -f t.tmp; cp $< t.tmp; rm t.tmp
four: sub
\tmkdir -p out
\tcp sub/s "$@"
sub: one
\t$(MAKE) -C sub
"""
NESTED = "all: s t\ns: in\n\tcp in s; cp in log\nt: in\n\tcp $^ $@\n\techo >>log; cat ../two >/dev/null\n"


def races_of(told: Outcome, work: Path) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """(path, what raced: its targets and the end of its command)."""
    found: list[dict[str, Any]] = json.loads(told.stdout)["races"]
    return {
        (
            os.path.relpath(race["path"], work),
            frozenset(
                (" ".join(os.path.relpath(target, work) for target in one["targets"]), one["argv"][-1])
                for one in (race["first"], race["second"])
            ),
        )
        for race in found
    }


@pytest.mark.parametrize("verb", ["run", "trace"])
def test_the_races_of_a_whole_parallel_make_are_named_from_one_record_of_it(bench: Bench, verb: str) -> None:
    require("make")
    files = {"Makefile": WHOLE, "one.in": "1\n", "two.in": "2\n", "sub/Makefile": NESTED, "sub/in": "3\n"}
    bench.fresh(files)
    telling = replace(bench, runner=replace(bench.runner, verb=verb))
    built = telling.confined(["make", "-j4"], options=("-q", "--events", bench.events))
    assert built.status == 0, built.describe()
    rules = bench.runner.native(["make", "-pnrR"], cwd=bench.work, env=bench.env)
    (bench.work / "rules").write_bytes(rules.stdout)
    told = deps(bench, "--format", "json", "--declared", "rules", bench.events)
    assert told.status == 1, told.describe()
    log = "cp in s; cp in log", "echo >>log; cat ../two >/dev/null"
    # `three` and `four` need `one` and are ordered behind it; `two` is not, nor are the two of the make in `sub`
    assert races_of(told, bench.work) == {
        (
            "shared.txt",
            frozenset([("one", "echo 1 >shared.txt"), ("two", "cat two.in shared.txt >two 2>/dev/null; true")]),
        ),
        ("two", frozenset([("two", "cat two.in shared.txt >two 2>/dev/null; true"), ("sub/t", log[1])])),
        ("sub/log", frozenset([("sub/s", log[0]), ("sub/t", log[1])])),
    }, told.describe()
    said = os.fsdecode(told.stderr)
    assert re.search(r"shared\.txt: no rule of rules orders\n.*echo 1 >shared\.txt' \(one\)", said) or re.search(
        r"shared\.txt: no rule of rules orders\n.*\(two\)\n.*echo 1 >shared\.txt' \(one\)", said
    ), said
    assert "written and not declared: shared.txt" in said
    assert "t.tmp" not in said
    actions: list[dict[str, Any]] = json.loads(told.stdout)["actions"]
    three = [one for one in actions if one["targets"] == [f"{bench.work}/three"]]
    assert [(one["cwd"], one["undeclared_inputs"]) for one in three] == [
        (str(bench.work), [f"{bench.work}/shared.txt"])
    ], "the lines of a recipe are told as one"

    mended = WHOLE.replace("two: two.in", "two: one two.in").replace("$< shared", "two.in shared")
    for name, text in (("Makefile", mended.replace("sub: one", "sub: two")), ("sub/Makefile", NESTED + "s: t\n")):
        (bench.work / name).write_text(text)
    rules = bench.runner.native(["make", "-pnrR"], cwd=bench.work, env=bench.env)
    (bench.work / "rules").write_bytes(rules.stdout)
    after = deps(bench, "--format", "json", "--declared", "rules", bench.events)
    assert json.loads(after.stdout)["races"] == [], after.describe()


NINJA = """\
rule sh
  command = $cmd
build one: sh one.in
  cmd = cp one.in one; sleep 0.2; echo 1 >shared.txt
build two: sh two.in%s
  cmd = cat two.in shared.txt >two 2>/dev/null; true
build three: sh || one
  cmd = cat one shared.txt >three
"""


def test_the_races_of_a_whole_ninja_are_named_from_one_record_of_it(bench: Bench) -> None:
    require("ninja")
    bench.fresh({"build.ninja": NINJA % "", "one.in": "1\n", "two.in": "2\n"})
    built = bench.confined(["ninja", "-j4"], options=("-q", "--events", bench.events))
    assert built.status == 0, built.describe()

    def told() -> Outcome:
        graph = bench.runner.native(["ninja", "-t", "graph"], cwd=bench.work, env=bench.env)
        (bench.work / "graph").write_bytes(graph.stdout)
        return deps(bench, "--format", "json", "--declared", "graph", bench.events)

    raced = (
        ("one", "cp one.in one; sleep 0.2; echo 1 >shared.txt"),
        (
            "two",
            "cat two.in shared.txt >two 2>/dev/null; true",
        ),
    )
    assert races_of(told(), bench.work) == {("shared.txt", frozenset(raced))}
    (bench.work / "build.ninja").write_text(NINJA % " | one")
    assert races_of(told(), bench.work) == set()


def test_a_record_of_a_make_is_split_into_a_depfile_of_each_of_its_actions(bench: Bench) -> None:
    require("make", "cc")
    files = {"Makefile": "all: a.o b.o\n%.o: %.c\n\tcc -c $<\n", "a.c": '#include "x.h"\n', "b.c": "", "x.h": ""}
    bench.fresh(files)
    built = bench.confined(["make", "-j2"], options=("-q", "--events", bench.events))
    assert built.status == 0, built.describe()
    told = deps(bench, "--split", bench.events)
    assert told.status == 0, told.describe()
    rules = [words(part) for part in re.split(r"\n(?=[ab]\.o:)", told.text)]
    own = {rule[0]: {word for word in rule[1:] if not word.startswith("/")} for rule in rules}
    assert own == {"a.o": {"a.c", "x.h"}, "b.o": {"b.c"}}
    whole = words(deps(bench, "-o", "all", bench.events).text)
    assert {"a.c", "b.c", "x.h", "Makefile"} <= set(whole)


def test_what_was_used_and_not_declared_is_told_and_the_reverse(bench: Bench) -> None:
    require("cc")
    rules = "a.o: a.c gone.h \\\n y.h\n"
    bench.fresh({"a.c": '#include "x.h"\n', "x.h": "int x;\n", "y.h": "", "rules": rules})
    bench.confined(["cc", "-c", "a.c"], options=("-q", "--events", bench.events))
    told = deps(bench, bench.events, "--declared", "rules")
    assert told.status == 1, told.describe()
    said = os.fsdecode(told.stderr)
    assert "read and not declared: x.h\n" in said
    assert "declared and not read: gone.h\n" in said.replace("capwrap:", "")
    assert "declared and not read: y.h\n" in said.replace("capwrap:", "")
    assert "not declared: a.c" not in said
    (bench.work / "rules").write_text("a.o: a.c x.h\n")
    assert deps(bench, bench.events, "--declared", "rules").status == 0
    everything = deps(bench, bench.events, "--declared", "rules", "--all")
    assert everything.status == 1
    assert b"cc1" in everything.stderr
