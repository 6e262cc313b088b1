"""The examples of docs/integration for builds do what their pages say: cmake, make, ninja, GNU parallel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.compare import Bench
from support.examples import Example
from support.run import require

COMPILES = re.compile(r"Building C object CMakeFiles/\w+\.dir/(\S+)\.o")
NINJA_COMPILES = re.compile(r"CC (\S+)")
NINJA = ("ninja", "-C", "build", "-j1")


@pytest.fixture
def cmake(bench: Bench) -> Example:
    require("cmake", "ninja", "cc")
    return Example(bench, "cmake")


@pytest.fixture
def ninja(bench: Bench) -> Example:
    require("ninja", "cc")
    return Example(bench, "ninja")


@pytest.fixture
def make(bench: Bench) -> Example:
    require("make", "cc")
    return Example(bench, "make")


@pytest.fixture
def parallel(bench: Bench) -> Example:
    require("parallel", "find")
    project = Example(bench, "parallel")
    project.path("in").mkdir()
    for name in ("a", "b", "c d"):
        project.path(f"in/{name}.txt").write_text(f"the words of {name}\n")
    return project


def objects(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*.o")}


# CMake


def test_cmake_with_a_launcher_in_one_line_compiles_what_it_compiles_without(cmake: Example) -> None:
    cmake.edit("CMakeLists.txt", "capwrap_confine(", "# capwrap_confine(")
    cmake.run("cmake", "-S", ".", "-B", "build", "-G", "Ninja")
    cmake.run("ninja", "-C", "build")
    native = objects(cmake.path("build"))
    assert len(native) == 2
    launcher = f"-DCMAKE_C_COMPILER_LAUNCHER=capwrap;run;--ro;{cmake.path('.')};--"
    cmake.run("cmake", "-S", ".", "-B", "build", launcher)
    built = cmake.said("ninja", "-C", "build", "-v")
    assert built.count("capwrap run --ro") == 2
    assert "capwrap: " not in built
    assert objects(cmake.path("build")) == native


def test_cmake_compiles_each_target_under_a_policy_of_its_own(cmake: Example) -> None:
    cmake.run("cmake", "-S", ".", "-B", "build", "-G", "Ninja")
    assert "capwrap: " not in cmake.said(*NINJA)
    assert cmake.run("build/greeter").text == "hello, world\n"
    assert "no work to do" in cmake.said(*NINJA)

    # Right after the build, so that the header's time differs by little.
    cmake.edit("include/greet.h", "hello", "good day")
    assert sorted(COMPILES.findall(cmake.said(*NINJA))) == ["greet/greet.c", "main.c"]
    assert cmake.run("build/greeter").text == "good day, world\n"
    confined = objects(cmake.path("build"))

    cmake.edit("CMakeLists.txt", "READ greet include", "READ greet include main.c")
    assert COMPILES.findall(cmake.said(*NINJA)) == ["greet/greet.c"], "a policy that changes is a change"

    cmake.edit("CMakeLists.txt", "capwrap_confine(", "# capwrap_confine(")
    assert len(COMPILES.findall(cmake.said(*NINJA))) == 2
    assert objects(cmake.path("build")) == confined


def test_cmake_with_makefiles_and_clang_compiles_what_includes_a_header_that_changed(cmake: Example) -> None:
    require("make", "clang")
    cmake.run("cmake", "-S", ".", "-B", "build", "-G", "Unix Makefiles", "-DCMAKE_C_COMPILER=clang")
    build = ("cmake", "--build", "build", "--parallel", "2")
    assert "capwrap: " not in cmake.said(*build)
    cmake.edit("include/greet.h", "hello", "good day")
    assert sorted(COMPILES.findall(cmake.said(*build))) == ["greet/greet.c", "main.c"]
    assert cmake.run("build/greeter").text == "good day, world\n"


@pytest.mark.parametrize("explain", ["OFF", "ON"])
def test_cmake_fails_on_a_header_that_was_not_declared_and_says_which(cmake: Example, explain: str) -> None:
    cmake.path("legacy").mkdir()
    header = cmake.path("legacy/width.h")
    header.write_text("#define WIDTH 80\n")
    cmake.run("cmake", "-S", ".", "-B", "build", "-G", "Ninja", f"-DCAPWRAP_EXPLAIN={explain}")
    cmake.run(*NINJA)

    cmake.edit("main.c", "#include", '#include "legacy/width.h"\n#include')
    state = str(cmake.bench.root / "home/state")
    said = cmake.said(*NINJA, status=1, XDG_STATE_HOME=state)
    assert "fatal error: legacy/width.h: No such file or directory" in said
    if explain == "OFF":
        assert f"capwrap: refused: openat {header}: No such file or directory\n" in said
    else:
        near = cmake.path("build")
        assert f"capwrap:   {header}: openat: ENOENT, not granted, needs read; nearest grant {near}\n" in said
        assert f"capwrap:     allow with: --ro {header}\n" in said
        told = cmake.run("capwrap", "explain", XDG_STATE_HOME=state).text
        assert f"--ro {header}" in told
        assert "cc1" in told

    cmake.edit("main.c", '#include "legacy/width.h"', '#if __has_include("legacy/width.h")\n#endif')
    said = cmake.said(*NINJA, status=1)
    assert "fatal error" not in said
    assert str(header) in said

    cmake.edit("CMakeLists.txt", "READ main.c include", "READ main.c include legacy")
    assert COMPILES.findall(cmake.said(*NINJA)) == ["main.c"]
    assert "no work to do" in cmake.said(*NINJA)


# make


def test_make_compiles_by_a_confined_compiler(make: Example) -> None:
    built = make.said("make", "-j2", "CC=capwrap run -- cc")
    assert "capwrap: " not in built
    assert make.run("./calc", "1", "2").text.endswith(": 3\n")
    make.run("make", "clean")
    make.run("capwrap", "compile", "-o", "../home/cc.cap")
    assert "capwrap: " not in make.said("make", "-j2", "CC=capwrap-exec --fail-on-violation ../home/cc.cap -- cc")


def test_make_records_each_line_of_a_recipe_and_the_race_is_told(make: Example) -> None:
    records = make.bench.root / "home/records"
    records.mkdir()
    make.run("make", "-j2", f"SHELL={make.path('confined-sh')}", RECORDS=str(records))
    assert make.run("./calc", "3").text in ("calc 1.0: 3\n", "calc unknown: 3\n")
    made = sorted(records.glob("*.ndjson"))
    assert len(made) == 4
    rules = make.run("make", "-pnrR").stdout
    make.path("rules").write_bytes(rules)
    done = make.run("capwrap", "deps", "--format", "json", "--declared", "rules", *made, status=1)
    said = done.stderr.decode()
    assert "read and not declared: parse.h\n" in said
    assert re.search(r"capwrap: (read-before-write|read-after-write|write-after-read): version\.h: ", said), said
    races = json.loads(done.stdout)["races"]
    assert [Path(race["path"]).name for race in races] == ["version.h"]

    make.edit("Makefile", "parse.o: parse.c\n", "parse.o: parse.c parse.h version.h\n")
    make.run("make", "clean")
    for each in made:
        each.unlink()
    make.run("make", "-j2", f"SHELL={make.path('confined-sh')}", RECORDS=str(records))
    assert make.run("./calc").text == "calc 1.0: 0\n"
    make.path("rules").write_bytes(make.run("make", "-pnrR").stdout)
    make.run("capwrap", "deps", "--format", "json", "--declared", "rules", *records.glob("*.ndjson"))


def test_the_shell_of_a_make_within_a_make_is_confined_once(make: Example) -> None:
    records = make.bench.root / "home/records"
    records.mkdir()
    make.path("sub").mkdir()
    make.path("sub/Makefile").write_text("all: ; @echo from the sub-make; cat /etc/shadow\n")
    make.path("Top").write_text("all: ; $(MAKE) -C sub\n")
    done = make.run("make", "-f", "Top", f"SHELL={make.path('confined-sh')}", status=2, RECORDS=str(records))
    assert "from the sub-make" in done.text
    assert b"cat: /etc/shadow: No such file or directory" in done.stderr
    assert len(list(records.glob("*.ndjson"))) == 1


# ninja


def test_ninja_rebuilds_what_depends_on_a_header_and_nothing_else(ninja: Example) -> None:
    ninja.path("local").mkdir()
    assert sorted(NINJA_COMPILES.findall(ninja.said("ninja"))) == ["main.o", "shape.o"]
    assert ninja.run("./shapes").text == "4 corners\n"
    again = ninja.said("ninja")
    assert not NINJA_COMPILES.findall(again)
    assert "LINK" not in again
    ninja.path("include/shape.h").touch()
    assert NINJA_COMPILES.findall(ninja.said("ninja")) == ["shape.o"]
    assert not NINJA_COMPILES.findall(ninja.said("ninja"))

    # What the compiler looked for in vain counts from when it is there.
    header = ninja.path("local/shape.h")
    assert "local/shape.h" in ninja.path("shape.o.absent").read_text().splitlines()
    header.write_text(ninja.path("include/shape.h").read_text().replace("4", "5"))
    assert NINJA_COMPILES.findall(ninja.said("ninja")) == ["shape.o"]
    assert ninja.run("./shapes").text == "5 corners\n"
    assert not NINJA_COMPILES.findall(ninja.said("ninja"))
    header.unlink()
    assert NINJA_COMPILES.findall(ninja.said("ninja")) == ["shape.o"]
    assert ninja.run("./shapes").text == "4 corners\n"


def test_ninja_notices_a_directory_of_the_include_path_that_was_not_there(ninja: Example) -> None:
    ninja.run("ninja", "shape.o")
    assert "local" in ninja.path("shape.o.absent").read_text().splitlines()
    ninja.path("local").mkdir()
    ninja.path("local/shape.h").write_text(ninja.path("include/shape.h").read_text().replace("4", "5"))
    assert NINJA_COMPILES.findall(ninja.said("ninja", "shape.o")) == ["shape.o"]


# GNU parallel


def test_parallel_runs_each_job_confined_to_its_own_input(parallel: Example) -> None:
    inputs = ["in/a.txt", "in/b.txt", "in/c d.txt"]
    done = parallel.run("./each", *inputs, status=1)
    assert done.text == "in/a.txt: 4\nin/b.txt: 4\nin/c d.txt: 5\n", done.describe()
    assert f"allow with: --ro {parallel.path('in/a.txt')}" in done.stderr.decode()
    log = [line.split("\t") for line in parallel.path("jobs.log").read_text().splitlines()[1:]]
    assert sorted((int(fields[0]), int(fields[6])) for fields in log) == [(1, 0), (2, 120), (3, 0)]


def test_parallel_runs_many_jobs_under_one_compiled_policy(parallel: Example) -> None:
    done = parallel.run("./many", "in")
    assert done.text == "in/a.txt: 4\nin/b.txt: 4\nthe words of a\nin/c d.txt: 5\n", done.describe()
    assert done.stderr == b""


def test_parallel_itself_runs_confined(parallel: Example) -> None:
    done = parallel.run(
        "capwrap", "run", "-q", "--", "parallel", "-j2", "-k", "./count", ":::", "in/a.txt", "in/c d.txt"
    )
    assert done.text == "in/a.txt: 4\nin/c d.txt: 5\n", done.describe()
