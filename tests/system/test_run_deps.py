"""deps of real builds: the headers that the compiler names, the files that were opened, and a race that was planted."""

from __future__ import annotations

import json
import os
import re
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
