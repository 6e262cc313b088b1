"""Only what was granted for execution runs, however its execution is asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from escape.harness import Arena, Found
from escape.running import NOBODY, SOURCES

LOADER = "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize("route", ["{base}/secret/prog", "../secret/prog", "directory/prog", "up/secret/prog"])
def test_a_program_outside_the_grants_does_not_run(arena: Arena, route: str) -> None:
    arena.holds("escape/execs", "by-path", route, why="ENOENT")


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize("route", ["/proc/self/root{base}/secret/prog", "/proc/self/cwd/../secret/prog"])
def test_a_program_outside_the_grants_does_not_run_by_a_magic_link(arena: Arena, route: str) -> None:
    arena.holds("escape/execs", "by-path", route)


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize("attack", ["memfd", "memfd-exec-flag", "memfd-by-proc", "memfd-by-dev-fd", "memfd-script"])
def test_memory_is_no_program(arena: Arena, attack: str) -> None:
    native = "a script of a descriptor needs /dev/fd, and echo its loader" if attack == "memfd-script" else None
    arena.holds("escape/execs", attack, native=native, dies=True)


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize("attack", ["deleted", "deleted-by-proc", "tmpfile"])
def test_a_file_without_a_name_is_no_program(arena: Arena, attack: str) -> None:
    arena.holds("escape/execs", attack, dies=True)


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize("attack", ["written", "written-fd", "read-only-fd", "path-fd"])
def test_a_file_of_a_grant_without_execute_is_no_program(arena: Arena, attack: str) -> None:
    arena.holds("escape/execs", attack, why="EACCES", dies=True)


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize(
    "attack",
    [
        "interpreter",
        "interpreter-relative",
        "interpreter-chain",
        "interpreter-by-link",
        "interpreter-without-execute",
        "script-by-descriptor",
    ],
)
def test_no_script_runs_an_interpreter_that_was_not_granted(arena: Arena, attack: str) -> None:
    arena.holds("escape/execs", attack, dies=True)


@contextlib.contextmanager
def with_foreign_loader(arena: Arena) -> Iterator[Found]:
    """A program in the workspace whose PT_INTERP names a copy of the loader outside the grants."""
    loader = arena.base / "secret/loader"
    shutil.copy(LOADER, loader)
    target = arena.base / "work/dynamic"
    arena.programs.compile(target, [SOURCES / "escape" / "outsider.c"], f"-Wl,--dynamic-linker={loader}")
    yield Found((str(target),))


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
def test_no_program_is_loaded_by_a_loader_outside_the_grants(arena: Arena) -> None:
    arena.holds("escape/execs", "by-path", setup=with_foreign_loader, dies=True)


@contextlib.contextmanager
def with_foreign_library(arena: Arena) -> Iterator[Found]:
    """A library outside the grants, that speaks when it is loaded."""
    source = arena.base / "work/library.c"
    source.write_text(
        "#include <unistd.h>\n__attribute__((constructor)) static void speak(void)\n"
        '{\n\tif (write(1, "ESCAPED loaded\\n", 15))\n\t\t_exit(0);\n}\n'
    )
    yield Found((str(arena.programs.compile(arena.base / "secret/library.so", [source], "-shared", "-fPIC")),))


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_no_library_outside_the_grants_is_loaded(arena: Arena) -> None:
    outcome, _ = arena.attack("escape/execs", "preload", options=None, setup=with_foreign_library)
    assert outcome.verdict == "ESCAPED", str(outcome)
    outcome, changes = arena.attack("escape/execs", "preload", options=(), setup=with_foreign_library)
    # Its loader goes on without it, and `true` ends well; under --pure there is no `true`.
    assert "ESCAPED" not in outcome.stdout, str(outcome)
    assert outcome.verdict == "HELD" if arena.pure else outcome.returncode == 0, str(outcome)
    assert not changes


@contextlib.contextmanager
def with_foreign_program_for_the_loader(arena: Arena) -> Iterator[Found]:
    """A dynamic program outside the grants, for the granted loader to load."""
    target = arena.base / "secret/dynamic"
    arena.programs.compile(target, [SOURCES / "escape" / "outsider.c"])
    yield Found((str(target),))


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_the_loader_loads_no_program_outside_the_grants(arena: Arena) -> None:
    setup = with_foreign_program_for_the_loader
    outcome, _ = arena.attack("escape/execs", "by-loader", options=None, setup=setup)
    assert outcome.verdict == "ESCAPED", str(outcome)
    outcome, changes = arena.attack("escape/execs", "by-loader", options=(), setup=setup)
    # The loader itself says that there is no such file, and ends with 127.
    assert outcome.verdict != "ESCAPED", str(outcome)
    assert outcome.returncode in (1, 127), str(outcome)
    assert not changes


@contextlib.contextmanager
def with_set_id_program(arena: Arena) -> Iterator[Found]:
    """A copy of the attack program, in a grant, that belongs to somebody else and sets the user and group id."""
    target = arena.base / "rox/set-id"
    shutil.copy(arena.programs.path("escape/execs", static=True), target)
    owner = 0 if arena.who.uid else NOBODY
    os.chown(target, owner, owner)
    target.chmod(0o6755)
    yield Found((str(target),))


@pytest.mark.stopped_by("no_new_privs")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program of somebody else")
def test_a_set_id_program_gives_nothing(arena: Arena) -> None:
    mounted_nosuid = os.statvfs(arena.base).f_flag & os.ST_NOSUID
    native = "the file system is mounted nosuid" if mounted_nosuid else None
    arena.holds("escape/execs", "set-id", setup=with_set_id_program, native=native, why="EPERM")
