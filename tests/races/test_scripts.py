"""An exec of a script is the exec that was decided, whatever changes meanwhile: its way, its file, its arguments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pytest
from escape.harness import Arena, Found

from races.test_races import EXECS, raced

# Landlock knows nothing of what is carved out, and lets all in the directory be executed.
CARVED = ["--pure", "--rwx", "{base}/work", "--rwx", "{base}/carved", "--deny", "{base}/carved/private"]


@contextlib.contextmanager
def two_scripts(arena: Arena) -> Iterator[Found]:
    """A script in the granted part of a directory and one in the denied, of one interpreter, and what each tells it."""
    interpreter = arena.programs.path("races/scripts", static=True)
    carved = arena.base / "carved"
    (carved / "real").mkdir()
    (carved / "false").symlink_to("private")
    for directory, word in (("real", "granted"), ("private", arena.token)):
        script = carved / directory / "script"
        script.write_text(f"#!{interpreter} {word}\n")
        script.chmod(0o755)
    for name in ("real", "private"):
        arena.give(carved / name)
    yield Found()


@pytest.mark.stopped_by("exec stop")
def test_a_script_whose_way_is_swapped_during_its_exec_tells_nothing_of_a_denied_one(arena: Arena) -> None:
    raced(arena, "races/scripts", "swapped-script", setup=two_scripts, rounds=EXECS // 2, options=CARVED, static=True)


MAPPED = ["--pure", "--rwx", "{base}/work", "--rox", "{base}/carved/real=/mapped"]


@pytest.mark.stopped_by("pad", "exec stop")
@pytest.mark.parametrize(("path", "options"), [("{base}/carved/real/script", CARVED), ("/mapped/script", MAPPED)])
def test_arguments_that_change_during_the_exec_of_a_script_change_neither_it_nor_its_interpreter(
    arena: Arena, path: str, options: Sequence[str]
) -> None:
    arena.holds(
        "races/scripts",
        "changed-vector",
        str(EXECS // 4),
        path,
        native="natively nothing is decided on, and the arguments are the caller's",
        setup=two_scripts,
        options=options,
        static=True,
    )
