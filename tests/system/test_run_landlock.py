"""The record and doctor say where Landlock permits more than the policy: every place, what, and no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.compare import Bench
from support.programs import Programs

from capwrap.policy import Policy
from capwrap.policy.build import build_namespace
from capwrap.policy.coarse import coarse_places

# What a directory's grants or names are, and what Landlock then permits more. T is the directory.
CASES: dict[str, tuple[Callable[[Policy, str], Policy], list[str]]] = {
    "whole directories": (lambda p, t: p.ro(t).rwx(f"{t}/inner"), []),
    "a directory to read, with something denied": (lambda p, t: p.ro(t).deny(f"{t}/inner"), []),
    "a directory to execute in, with something denied": (
        lambda p, t: p.rox(t).deny(f"{t}/inner"),
        ["T/inner: Landlock lets execute and read here"],
    ),
    "a directory to write in, with something denied that is not there": (
        lambda p, t: p.rw(t).deny(f"{t}/later"),
        ["T/later: Landlock lets make sockets here"],
    ),
    "fewer rights in a part": (
        lambda p, t: p.rwx(t).add(*Policy().ro(f"{t}/inner").items),
        ["T/inner: Landlock lets execute and make sockets here"],
    ),
    "execute without read": (
        lambda p, t: p.grant("fexecve,lookup,fstat", t),
        ["T: Landlock lets read here"],
    ),
    "a name that may be replaced": (
        lambda p, t: p.rwx(f"{t}/tool"),
        ["T/tool: Landlock lets execute, read and make sockets in its whole directory"],
    ),
    "a name that is not there": (
        lambda p, t: p.rox(f"{t}/later"),
        ["T/later: Landlock lets execute and read in its whole directory"],
    ),
    "a name to write": (
        lambda p, t: p.rw(f"{t}/later"),
        ["T/later: Landlock lets make sockets in its whole directory"],
    ),
    "a name that stays": (lambda p, t: p.rox(f"{t}/tool"), []),
    "a pattern": (
        lambda p, t: p.rox(t).deny(f"{t}/**.key"),
        ["T/**.key: Landlock knows no patterns, and lets execute and read there"],
    ),
    "a pattern elsewhere": (lambda p, t: p.rox(t).deny("/nowhere/**.key"), []),
}


def first_line(bench: Bench, policy: Policy, program: Path) -> str | None:
    """What the record of a run says of Landlock."""
    from capwrap import Sandbox

    assert Sandbox(policy, events=bench.events).run([str(program)]).returncode == 0
    with open(bench.events, encoding="utf-8") as lines:
        said: str | None = json.loads(next(lines))["jail"]["landlock"]["coarse"]
    return said


@pytest.mark.parametrize("case", CASES)
def test_the_record_and_doctor_name_every_place_where_landlock_is_coarser(
    bench: Bench, programs: Programs, case: str
) -> None:
    tree = bench.root / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "tool").write_text("tool\n")
    make, expected = CASES[case]
    program = programs("system/nothing", flags=("-static",))
    policy = make(Policy().rox(program), str(tree))
    lines = [line.replace("T", str(tree), 1) for line in expected]
    space = build_namespace(policy, command=[str(program)], cwd=str(bench.root), environ=dict(os.environ))
    assert coarse_places(space) == lines
    assert first_line(bench, policy, program) == ("; ".join(lines) or None)


def test_more_places_than_the_line_has_room_for_are_counted(bench: Bench, programs: Programs) -> None:
    program = programs("system/nothing", flags=("-static",))
    policy = Policy().rox(program)
    for number in range(200):
        policy = policy.rw(bench.root / f"later{number}")
    said = first_line(bench, policy, program)
    assert said is not None
    *named, more = said.split("; ")
    assert more == f"and {200 - len(named)} more places"
    assert all(line.endswith(": Landlock lets make sockets in its whole directory") for line in named)


def test_addresses_are_coarser_where_they_are_named(bench: Bench, programs: Programs) -> None:
    program = programs("system/nothing", flags=("-static",))
    policy = Policy().rox(program).connect("tcp:127.0.0.1:9")
    assert first_line(bench, policy, program) == "Landlock holds the ports of TCP, and no addresses"
