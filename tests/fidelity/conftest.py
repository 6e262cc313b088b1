"""Fixtures of the fidelity tests: one place a user, at the same path for both runs of every program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.compare import Bench
from support.programs import Programs
from support.run import Runner, caller

from fidelity.harness import Observer, Program

Observing = Callable[[str], Observer]


@pytest.fixture(scope="session")
def observing(session_root: Path, programs: Programs, request: pytest.FixtureRequest) -> Iterator[Observing]:
    """The observer of a user, `caller` or `nobody`: made at its first use, so that only what is asked for is set up."""
    made: dict[str, Observer] = {}

    def get(user: str) -> Observer:
        if user not in made:
            runner: Runner = caller() if user == "caller" else request.getfixturevalue("nobody_runner")
            made[user] = Observer(place(session_root, user, runner), programs)
        return made[user]

    yield get
    for each in made.values():
        each.bench.clear()


def place(root: Path, user: str, runner: Runner) -> Bench:
    """A bench at a path of its own."""
    where = root / f"f-{user}"
    where.mkdir()
    where.chmod(0o755)
    runner.own(where)
    return Bench(where, runner)


__all__ = ["Observing", "Program"]
