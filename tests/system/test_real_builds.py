"""Builds of real projects from their upstream sources: make, autotools, cmake with ninja."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.compare import Bench
from support.run import require
from support.sources import unpacker

# What config.log and its kin say of dates, and what a parallel make orders by chance, differs between native runs too.
LUA = "make -j2 linux >/dev/null && src/lua -e 'print(_VERSION, os.getenv(\"TZ\"))' && echo 'print(1)' | src/lua -"


def test_lua_builds_with_gcc_as_natively(each_bench: Bench) -> None:
    require("gcc", "make", "ar")
    each_bench.compare(LUA, setup=unpacker("lua5.4"))


def test_lua_builds_with_clang_as_natively(bench: Bench) -> None:
    require("clang", "make", "ar")
    bench.compare(LUA.replace("make", "make CC=clang"), setup=unpacker("lua5.4"), record=False)


def test_zlib_configures_builds_and_passes_its_tests(bench: Bench) -> None:
    require("gcc", "make", "ar")
    # configure.log holds a process number and a date.
    script = "./configure --prefix=$PWD/out >/dev/null && make -j2 >/dev/null && make test && make install >/dev/null"
    bench.compare(script, setup=unpacker("zlib"), ignore=("configure.log",), record=False)


@pytest.mark.long
def test_autotools_configure_make_and_check_pass(bench: Bench) -> None:
    require("gcc", "make")
    # config.log has dates; the tests' .log files have the time of their run, which gettext stamps into catalogues.
    script = """
        export FORCE_UNSAFE_CONFIGURE=1
        ./configure --disable-nls --prefix="$PWD/out" >configured && make >/dev/null 2>&1
        make check 2>/dev/null | grep -E '^# (TOTAL|PASS|SKIP|FAIL|XFAIL|XPASS|ERROR)' &&
        make install >/dev/null 2>&1 && ./out/bin/hello -g hi
    """
    bench.compare(script, setup=unpacker("hello"), ignore=("config.log", "autom4te.cache*"), record=False)


CMAKE = {
    "CMakeLists.txt": """\
        cmake_minimum_required(VERSION 3.18)
        project(demo C)
        enable_testing()
        configure_file(config.h.in config.h)
        include(CheckIncludeFile)
        check_include_file(sys/epoll.h HAVE_EPOLL)
        add_library(part SHARED part.c)
        add_executable(demo main.c)
        target_include_directories(demo PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
        target_link_libraries(demo part)
        add_custom_command(TARGET demo POST_BUILD COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:demo> copied)
        add_test(NAME runs COMMAND demo)
        install(TARGETS demo part)
        """,
    "config.h.in": '#define NAME "@PROJECT_NAME@"\n',
    "part.c": "int part(void) { return 42; }\n",
    "main.c": """\
        #include <stdio.h>
        #include "config.h"
        int part(void);
        int main(void) { return printf(NAME " %d\\n", part()) < 0; }
        """,
}


def test_cmake_and_ninja_configure_build_test_and_install(each_bench: Bench) -> None:
    require("cmake", "ninja", "gcc")
    script = """
        cmake -S . -B build -G Ninja -DCMAKE_INSTALL_PREFIX=$PWD/out -DCMAKE_INSTALL_RPATH='$ORIGIN/../lib' >configured
        ninja -C build -j2 >/dev/null && ./build/copied && (cd build && ctest 2>&1 | grep 'tests passed')
        echo '/* newer */' >>part.c && ninja -C build >/dev/null && ninja -C build -n &&
        cmake --install build >/dev/null && ./out/bin/demo
    """
    # Logs with times, scratch directories with random names, and ninja's database of times.
    ignore = ("build/.ninja_*", "build/CMakeFiles/*.log", "build/Testing/*", "build/CMakeFiles/*.yaml", "configured")
    each_bench.compare(script, files=CMAKE, ignore=ignore)


def test_make_passes_its_jobserver_and_sees_what_is_out_of_date(bench: Bench) -> None:
    require("make")
    makefile = """\
        all: sub out ; @echo $(words $(MAKEFLAGS)) >flags
        sub: ; @$(MAKE) -s --no-print-directory -C d
        out: in ; @sort in >$@; echo made
        .PHONY: all sub
        """.replace("        ", "")
    files = {"Makefile": makefile, "d/Makefile": "x: y z ; @cat y z >x\ny z: ; @echo $@ >$@\n", "in": "b\na\n"}
    bench.compare("make -j2; make -j2; echo c >>in; make -j3 -k; make -q || echo not done", files=files)


@pytest.mark.parametrize("command", ["capwrap run", "capwrap-exec"])
def test_a_make_confined_by_a_makes_recipe_shares_its_jobs(each_bench: Bench, command: str) -> None:
    """Its two targets wait for one another: with one job at a time neither is ever made."""
    require("make")
    runner = each_bench.runner
    files = {
        "Makefile": "all: ; +@$(CONFINED) $(MAKE) --no-print-directory -C d\n",
        "d/Makefile": "all: a b\na: ; @echo through >pipe\nb: ; @cat pipe >b\n",
    }

    def made(confined: list[str]) -> tuple[int, bytes, str]:
        env = each_bench.env | dict(runner.extra_env) | {"CONFINED": " ".join(confined)}
        done = runner.native(["make", "-j2"], cwd=each_bench.work, env=env, timeout=60)
        return done.status, done.stderr, (each_bench.work / "d/b").read_text()

    def setup(work: Path) -> None:
        os.mkfifo(work / "d/pipe")

    each_bench.fresh(files, setup)
    native = made([])
    each_bench.fresh(files, setup)
    image = each_bench.root / "policy.cap"
    compiled = runner.command(["compile", "-o", image], cwd=each_bench.work, env=each_bench.env)
    assert compiled.status == 0, compiled.describe()
    ways = {
        "capwrap run": [*runner.capwrap, "run", "-q", "--"],
        "capwrap-exec": [*runner.capwrap_exec, str(image), "--"],
    }
    assert made(ways[command]) == native == (0, b"", "through\n")


PACKAGE = {
    "demo.c": '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n',
    "debian/control": """\
Source: demo
Maintainer: A <a@example.org>
Build-Depends: dpkg (>= 1)
Rules-Requires-Root: no

Package: demo
Architecture: any
Depends: ${shlibs:Depends}
Description: says hello
""",
    "debian/changelog": """\
demo (1) unstable; urgency=low

  * First.

 -- A <a@example.org>  Thu, 01 Jan 2026 00:00:00 +0000
""",
    "debian/rules": """\
#!/usr/bin/make -f
clean build:
binary:
	install -d debian/demo/DEBIAN debian/demo/usr/bin
	gcc -o debian/demo/usr/bin/demo demo.c
	dpkg-shlibdeps debian/demo/usr/bin/demo
	dpkg-gencontrol -Pdebian/demo
	SOURCE_DATE_EPOCH=1 dpkg-deb --root-owner-group -b debian/demo demo.deb
	dpkg-deb --info demo.deb
	dpkg-query --search /usr/bin/dpkg
""",
}


def test_a_debian_package_is_built_with_the_dependencies_of_its_libraries(each_bench: Bench) -> None:
    # What is installed is asked of dpkg: for what has to be there, and for which package a library is from.
    require("dpkg-buildpackage", "gcc")
    script = "dpkg-buildpackage --no-sign --target=binary"
    each_bench.compare(script, files=PACKAGE)
    assert "/dpkg" not in each_bench.refusals_text()
