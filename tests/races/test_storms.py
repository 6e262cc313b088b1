"""Much at once, of what a supervisor has to follow: it goes as natively, it ends, and nothing gets out meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from escape.conftest import variants
from escape.harness import Arena

LINKS = os.environ.get("CAPWRAP_LINKS", "2000")


def running(program: Path) -> list[int]:
    """The processes that run a program."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "exe") == str(program):
                found.append(int(entry.name))
        except OSError:  # it has ended, or is the kernel's own
            continue
    return found


def weathered(arena: Arena, storm: str) -> None:
    """The storm gets a secret natively; where it does not look for one, it comes to the same confined."""
    program = arena.programs.path("races/storms", static=True)
    family, args = "races/storms", (str(program),)
    assert arena.attack(family, storm, *args, options=None, static=True)[0].verdict == "ESCAPED"
    native, _ = arena.attack(family, storm, *args, "blind", options=None, static=True)
    assert native.verdict == "HELD", str(native)
    confined, changes = arena.attack(family, storm, *args, options=(), static=True)
    assert confined.stdout == native.stdout, f"{native}\n{confined}"
    assert not changes, changes
    assert not running(program)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("storm", ["ends", "signals", "arguments"])
def test_a_storm_of_threads_signals_or_arguments_gets_nothing(arena: Arena, storm: str) -> None:
    weathered(arena, storm)


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("arena", variants()[-1:], indirect=True)
def test_thousands_of_links_lead_where_they_do_natively(arena: Arena) -> None:
    arena.unshown.append("nothing is attacked but the supervisor's patience")
    native, _ = arena.attack("races/storms", "links", LINKS, options=None, static=True)
    confined, changes = arena.attack("races/storms", "links", LINKS, options=(), static=True)
    assert native.verdict == "HELD", str(native)
    assert confined.stdout == native.stdout, str(confined)
    assert not changes, changes
