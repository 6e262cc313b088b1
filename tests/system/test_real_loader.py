"""What the dynamic loader finds, by every way to tell it where, and what a program is told of what was loaded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.compare import Bench, Setup
from support.run import REPO, require

LOADER = "/lib64/ld-linux-x86-64.so.2"
SOURCES = REPO / "tests/programs/system"
LIBRARIES = {
    # file in `lib`: words of the compiler's besides
    "libone.so": ['-DWHICH="one"'],
    "libother.so": ['-DWHICH="other"', "-DSECOND"],
    "libneeds.so": ["-DALSO", "-Wl,-rpath,$ORIGIN/deep", "../lib/deep/libsecond.so"],
    "libmoved.so": ['-DWHICH="moved"', "-Wl,-soname,libone.so"],
    "libempty.so": ["-DALSO"],
}
PROGRAMS = {
    "runpath": ["-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib", "lib/libone.so"],
    "rpath": ["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib:/nowhere", "lib/libone.so"],
    "absolute": ["-Wl,-rpath,{work}/lib", "lib/libone.so"],
    "relative": ["-Wl,-rpath,lib", "lib/libone.so"],
    "without": ["lib/libone.so"],
    "alone": [],
    "fixed": ["-no-pie", "-Wl,-rpath,$ORIGIN/../lib", "lib/libone.so"],
    "static": ["-static", "-Wl,--no-warnings"],
    "static-pie": ["-static-pie", "-fPIE", "-Wl,--no-warnings"],
}


@pytest.fixture(scope="session")
def linked(session_root: Path) -> Path:
    """A tree of libraries and of programs that look for them in different places."""
    require("cc", "setpriv")
    tree = session_root / "linked"
    for each in ("lib/deep", "bin", "moved"):
        (tree / each).mkdir(parents=True)
    library = ["cc", "-shared", "-fPIC", "-O1", str(SOURCES / "library.c")]

    def run(*words: str) -> None:
        done = subprocess.run(words, cwd=tree, check=False, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()

    def soname(name: str, flags: list[str]) -> list[str]:
        return [] if any("soname" in flag for flag in flags) else [f"-Wl,-soname,{name}"]

    run(*library, '-DWHICH="second"', "-DSECOND", "-Wl,-soname,libsecond.so", "-o", "lib/deep/libsecond.so")
    for name, flags in LIBRARIES.items():
        words = [flag.replace("../lib/", "lib/") for flag in flags]
        run(*library, *words, *soname(name, flags), "-o", f"moved/{name}" if "moved" in name else f"lib/{name}")
    (tree / "moved/libmoved.so").rename(tree / "moved/libone.so")
    for name, flags in PROGRAMS.items():
        words = [flag.format(work=session_root / "nowhere") if "{" in flag else flag for flag in flags]
        run("cc", "-std=gnu11", "-O1", str(SOURCES / "loader.c"), "-o", f"bin/{name}", "-Wl,--no-as-needed", *words)
    (tree / "bin/link").symlink_to("runpath")
    (tree / "lib/libtext.so").write_text("no library\n")
    (tree / "lib/libshort.so").write_bytes(b"\x7fELF\x02\x01\x01")
    (tree / "preload").write_text("lib/libother.so\n")
    return tree


def copied(tree: Path) -> Setup:
    def setup(work: Path) -> None:
        subprocess.run(["cp", "-a", f"{tree}/.", work], check=True, timeout=60)

    return setup


NAMES = "$PWD/lib/libneeds.so lib/libneeds.so libneeds.so libm.so.6 lib/libtext.so lib/libshort.so no.so /nowhere.so"

RUNS = {
    "by the place of the program": """
        bin/runpath; bin/rpath; bin/fixed; "$PWD/bin/runpath"; bin/../bin/link; (cd bin && ./link)
        cd lib && ../bin/runpath""",
    "by the place that it was linked for": "bin/relative; (cd bin && ./relative || echo $?); bin/without || echo $?",
    "by an environment": """
        LD_LIBRARY_PATH=lib bin/without; LD_LIBRARY_PATH=$PWD/lib bin/without
        LD_LIBRARY_PATH=/nowhere:moved bin/runpath
        LD_LIBRARY_PATH=moved bin/rpath; LD_LIBRARY_PATH='$ORIGIN/../moved' bin/without; LD_LIBRARY_PATH= bin/without"""
    # a real user who is not the effective one: nothing of the environment counts (AT_SECURE)
    """
        [ "$(id -u)" != 0 ] ||
            LD_PRELOAD=$PWD/lib/libother.so LD_LIBRARY_PATH=lib setpriv --ruid=12345 bin/runpath libone.so""",
    "what is preloaded": """
        LD_PRELOAD=$PWD/lib/libother.so bin/runpath; LD_PRELOAD=lib/libother.so:libm.so.6 bin/alone
        LD_PRELOAD='$ORIGIN/../lib/libother.so' bin/alone; LD_PRELOAD=libother.so bin/alone
        LD_PRELOAD=libother.so LD_LIBRARY_PATH=lib bin/alone; LD_PRELOAD=/nowhere.so bin/alone
        LD_PRELOAD=lib/libtext.so bin/alone; LD_PRELOAD=lib/libother.so sh -c 'bin/alone; bin/static'""",
    "what is opened by a running program": f"""
        bin/alone {NAMES}; bin/runpath {NAMES}; LD_LIBRARY_PATH=lib bin/alone {NAMES}
        bin/alone $PWD/lib/libempty.so '$ORIGIN/../lib/libone.so' ''""",
    "by the loader as a command": f"""
        for program in bin/runpath bin/alone bin/fixed bin/static-pie bin/link ./bin/runpath runpath; do
            {LOADER} $program lib/libone.so || echo $?
            {LOADER} --list $program | sed 's/ (0x.*//; s/^[[:space:]]*//' || echo $?
            {LOADER} --verify $program || echo $?
        done
        {LOADER} --library-path lib bin/without; {LOADER} --preload lib/libother.so bin/alone
        {LOADER} --argv0 another bin/alone; {LOADER} --inhibit-cache bin/alone; {LOADER} lib/libtext.so || echo $?
        {LOADER} /nowhere || echo $?; {LOADER} || echo $?; {LOADER} bin || echo $?
        {LOADER} --list-tunables | sed 's/: .*//'""",
    "without a loader": "bin/static; bin/static-pie; cd bin; ./static; ./static-pie",
    "told in words": """
        LD_DEBUG=libs,files LD_LIBRARY_PATH=lib bin/without 2>&1 >said | sed 's/^ *[0-9]*://; s/0x[0-9a-f]*/ADDRESS/g'
        LD_TRACE_LOADED_OBJECTS=1 bin/runpath | sed 's/ (0x.*//'; LD_BIND_NOW=1 LD_WARN=1 bin/runpath
        LD_SHOW_AUXV=1 bin/alone | sed 's/0x[0-9a-f]*/ADDRESS/g'""",
}


@pytest.mark.parametrize("how", RUNS)
def test_a_loader_finds_what_it_finds_natively(each_bench: Bench, linked: Path, how: str) -> None:
    pair = each_bench.compare(f"set +e\n{RUNS[how]}\n:", setup=copied(linked), timeout=60)
    assert b"argv[0]" in pair.native.stdout
