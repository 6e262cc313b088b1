"""Programs' own test suites: each of their tests ends confined as it ends natively."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support.compare import Bench
from support.run import Outcome, require, require_file
from support.sources import unpacker

HERE = Path(__file__).parent
EXPECTED = HERE / "suites_expected.toml"
OPTIONS = ("-q", "--net", "loopback")
TIMEOUT = 560.0

Ended = Mapping[str, str]
"""How each test ended, by its name: `passed`, `skipped: why`, `failed`, `error`."""


def compare(bench: Bench, suite: str, native: Ended, confined: Ended, run: Outcome) -> None:
    """Fail for a test that ends otherwise confined, unless it is explained; and for an explanation that is stale."""
    assert native, f"no test of {suite} ran"
    explained = tomllib.loads(EXPECTED.read_text(encoding="utf-8")).get(suite, {})
    user = "root" if bench.runner.uid is None and os.geteuid() == 0 else "user"
    table = explained.get("any", {}) | explained.get(user, {})
    differ = {
        name: (native.get(name, "absent"), confined.get(name, "absent"))
        for name in sorted(native.keys() | confined.keys())
        if native.get(name) != confined.get(name)
    }
    lines = "\n".join(
        f"  {name}: native {ended[0]}, confined {ended[1]}" for name, ended in differ.items() if name not in table
    )
    if lines:
        pytest.fail(f"{suite}, {user}: ends otherwise confined:\n{lines}\n{run.describe()}", pytrace=False)
    stale = sorted(name for name in table.keys() & native.keys() if name not in differ)
    assert not stale, f"{EXPECTED.name} explains tests of {suite} that end alike: {stale}"


def shell_scripts(work: Path, directories: Sequence[str], without: str) -> list[str]:
    """A GNU package's test scripts in some directories, but for those whose name the pattern fits.

    And but for those that run strace(1), which cannot trace inside a target: ptrace(2) is refused there.
    """
    found = [path for each in directories for path in (work / "tests" / each).iterdir()]
    scripts = [path for path in found if path.suffix in (".sh", ".pl") and "require_strace_" not in path.read_text()]
    return sorted(name for name in (str(path.relative_to(work)) for path in scripts) if not re.search(without, name))


def gnu(bench: Bench, package: str, directories: Sequence[str], without: str) -> None:
    """Run scripts of a GNU package's tests against what is installed, natively and confined."""
    require("bash", "perl", "cc", "make")

    def setup(work: Path) -> None:
        unpacker(package)(work)
        (work / "gnu.sh").write_bytes((HERE / "suites" / "gnu.sh").read_bytes())
        (work / "gnu.sh").chmod(0o755)

    def ended(outcome: Outcome) -> Ended:
        lines = [line.partition(": ") for line in outcome.text.splitlines()]
        assert outcome.status == 0, outcome.describe()
        return {name: how for name, _, how in lines}

    bench.fresh(setup=setup)
    scripts = ["./gnu.sh", *shell_scripts(bench.work, directories, without)]
    native = ended(bench.runner.native(scripts, cwd=bench.work, env=bench.env, timeout=TIMEOUT))
    bench.fresh(setup=setup)
    run = bench.runner.confined(scripts, cwd=bench.work, env=bench.env, options=OPTIONS, timeout=TIMEOUT)
    compare(bench, package, native, ended(run), run)


GIT_SCRIPTS = {
    "basic": ["t0001-init", "t0002-gitfile", "t0005-signals", "t0050-filesystem", "t0060-path-utils"],
    "running": ["t0061-run-command", "t0070-fundamental", "t1004-read-tree-m-u-wf", "t1301-shared-repo"],
    "places": ["t1304-default-acl", "t1501-work-tree", "t1504-ceiling-dirs", "t1510-repo-setup"],
    "checkout": ["t2000-conflict-when-checking-files-out", "t2004-checkout-cache-temp", "t2200-add-update"],
    "files": ["t3001-ls-files-others-exclude", "t3300-funny-names", "t3600-rm", "t3700-add"],
}


@pytest.fixture(scope="session")
def git_tree(session_root: Path) -> Path:
    """git's source with what its tests need beside the installed git."""
    require("git", "make", "cc")
    tree = session_root / "git"
    tree.mkdir()
    unpacker("git")(tree)
    without = [f"NO_{each}=1" for each in ("OPENSSL", "CURL", "EXPAT", "GETTEXT", "TCLTK", "PERL", "PYTHON")]
    for command in (
        ["make", "-j2", *without, "CFLAGS=-O0", "t/helper/test-tool", "GIT-BUILD-OPTIONS"],
        ["make", "-C", "templates", "all"],
    ):
        done = subprocess.run(command, cwd=tree, check=False, capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return tree


@pytest.mark.suites
@pytest.mark.parametrize("scripts", GIT_SCRIPTS.values(), ids=GIT_SCRIPTS.keys())
def test_the_tests_of_git_end_as_natively(bench: Bench, git_tree: Path, scripts: list[str]) -> None:
    def setup(work: Path) -> None:
        for each in ("t", "templates", "mergetools"):
            shutil.copytree(git_tree / each, work / each, symlinks=True)
        for file in (git_tree / "GIT-BUILD-OPTIONS", HERE / "suites" / "git.sh"):
            shutil.copy2(file, work)

    def ended(outcome: Outcome) -> Ended:
        assert outcome.status == 0, outcome.describe()
        return {name: how for name, _, how in (line.partition(": ") for line in outcome.text.splitlines())}

    argv = ["./git.sh", *scripts]
    bench.fresh(setup=setup)
    native = ended(bench.runner.native(argv, cwd=bench.work, env=bench.env, timeout=TIMEOUT))
    bench.fresh(setup=setup)
    run = bench.runner.confined(argv, cwd=bench.work, env=bench.env, options=OPTIONS, timeout=TIMEOUT)
    compare(bench, "git", native, ended(run), run)


LMDB = """
sed -i 's/srand(time(NULL))/srand(1)/' mtest*.c
make -s mtest mtest2 mtest3 mtest4 mtest5 mdb_stat mdb_dump mdb_load mdb_copy CFLAGS='-O1 -pthread -w' >built 2>&1
for each in mtest mtest2 mtest3 mtest4 mtest5; do
    rm -rf testdb; mkdir testdb
    if ./$each >$each.out 2>&1; then echo "$each: passed"; else echo "$each: failed"; fi
    mkdir $each.copy $each.load
    ./mdb_dump -a testdb >dump && ./mdb_copy testdb $each.copy && ./mdb_dump -a $each.copy | cmp - dump &&
        ./mdb_load -f dump $each.load && ./mdb_stat -efa testdb >stat && echo "$each, copied: passed"
done
"""
"""Builds LMDB, whose tests share memory and robust locks between processes; what they store is random,
and here from one seed, so that both runs store the same."""


def test_the_tests_of_lmdb_end_as_natively(each_bench: Bench) -> None:
    require("cc", "make")

    def setup(work: Path) -> None:
        unpacker("lmdb")(work)

    def ended(outcome: Outcome) -> Ended:
        return {name: how for name, _, how in (line.partition(": ") for line in outcome.text.splitlines())}

    script = ["/bin/sh", "-c", f"cd libraries/liblmdb && {{ {LMDB} }}"]
    each_bench.fresh(setup=setup)
    native = ended(each_bench.runner.native(script, cwd=each_bench.work, env=each_bench.env))
    each_bench.fresh(setup=setup)
    run = each_bench.runner.confined(script, cwd=each_bench.work, env=each_bench.env, options=OPTIONS)
    assert "failed" not in native.values()
    compare(each_bench, "lmdb", native, ended(run), run)


SQLITE_SCRIPTS = {
    "held": (
        "lock lock2 lock3 lock4 lock5 lock6 lock7 journal1 journal2 journal3 temptable temptrigger tempdb tempdb2 "
        "vacuum attach attach2 io wal2 walro walshared walmode shmlock mmap1 mmap3 symlink symlink2 exclusive "
        "exclusive2 unixexcl superlock nolock uri syscall delete_db zipfile e_walckpt e_walhook quota 8_3_names "
        "external_reader bigfile bigfile2 nockpt chunksize snapshot waloverwrite"
    ),
    "wal": (
        "wal wal3 wal4 wal5 wal6 wal7 wal8 wal9 walbak walblock walcksum walhook walnoshm walpersist walro2 walvfs "
        "e_wal e_walauto"
    ),
    "crashes": "walcrash walcrash4 crash2 crash5 crash6 crash7 crash8 writecrash corrupt corrupt2 corrupt3",
    "errors": "oserror sysfault pager1 pager2 pager3 pager4 statfault walprotocol walprotocol2 walsetlk walthread",
    "shared": (
        "sharedlock shared shared2 shared3 shared4 shared6 shared7 shared8 shared9 sharedA thread001 thread002 "
        "thread003 thread004 thread005 thread1 thread2 busy busy2 async2 async3 async4"
    ),
    "files": (
        "multiplex multiplex2 backup backup2 backup4 backup5 snapshot2 snapshot3 snapshot_up temptable2 temptable3 "
        "vacuum2 vacuum-into vacuum5 vacuum6 incrvacuum incrvacuum2 incrvacuum3 attach3 attach4 mmap2 mmapwarm "
        "quota2 sync sync2 uri2 e_uri e_vacuum zipfile2 filefmt init exists"
    ),
}
"""Scripts about locks, journals, shared memory, temporary files, and what the system answers. A few take no minute."""


@pytest.fixture(scope="session")
def sqlite_tree(session_root: Path) -> Path:
    """SQLite's source with its testfixture, an interpreter of Tcl that has SQLite in it."""
    require("tclsh", "make", "cc")
    require_file("/usr/lib/tcl8.6/tclConfig.sh", "tcl-dev")
    tree = session_root / "sqlite"
    tree.mkdir()
    unpacker("sqlite3")(tree)
    for command in (["./configure", "--disable-readline", "CFLAGS=-O0 -w"], ["make", "-j2", "testfixture"]):
        done = subprocess.run(command, cwd=tree, check=False, capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return tree


@pytest.mark.parametrize("each_bench", ["nobody" if os.geteuid() == 0 else "caller"], indirect=True)
@pytest.mark.parametrize(
    "scripts",
    [
        pytest.param(SQLITE_SCRIPTS[name], id=name, marks=[pytest.mark.suites] * (name != "held"))
        for name in SQLITE_SCRIPTS
    ],
)
def test_the_tests_of_sqlite_end_as_natively(each_bench: Bench, sqlite_tree: Path, scripts: str) -> None:
    """By an ordinary user: SQLite's tests are not made for root, and say so."""
    argv = ["./sqlite.sh", str(sqlite_tree), *scripts.split()]

    def setup(work: Path) -> None:
        shutil.copy2(HERE / "suites" / "sqlite.sh", work)

    def ended(outcome: Outcome) -> Ended:
        assert outcome.status == 0, outcome.describe()
        return {name: how for name, _, how in (line.rpartition(": ") for line in outcome.text.splitlines())}

    each_bench.fresh(setup=setup)
    native = ended(each_bench.runner.native(argv, cwd=each_bench.work, env=each_bench.env, timeout=TIMEOUT))
    each_bench.fresh(setup=setup)
    options = (*OPTIONS, "--rox", str(sqlite_tree))
    run = each_bench.runner.confined(argv, cwd=each_bench.work, env=each_bench.env, options=options, timeout=TIMEOUT)
    compare(each_bench, "sqlite", native, ended(run), run)


def test_short_tests_of_coreutils_end_as_natively(bench: Bench) -> None:
    gnu(bench, "coreutils", ["rmdir", "ln"], without="selinux|smack|restorecon")


NOT_HERE = (
    # need minutes, or much memory or disk; look at what else is on the machine; or ask it for a pause of its own
    "perf|dirent|ext3|many-dir|vs-OOM|fail-eperm|selinux|smack|restorecon|-Z|sparse-2|fiemap|big|abuse|"
    # reach for a terminal, or for mounts
    "stty|isatty|mount|df-"
)


@pytest.mark.suites
@pytest.mark.parametrize(
    "directories",
    [["chmod", "chgrp", "chown", "install", "touch", "readlink"], ["mv"], ["rm"], ["cp"], ["ls", "id"], ["du"]],
    ids=lambda each: each[0],
)
def test_the_tests_of_coreutils_end_as_natively(each_bench: Bench, directories: list[str]) -> None:
    gnu(each_bench, "coreutils", directories, NOT_HERE)


@pytest.mark.suites
def test_the_tests_of_findutils_end_as_natively(each_bench: Bench) -> None:
    gnu(each_bench, "findutils", ["find", "xargs", "misc"], NOT_HERE)
