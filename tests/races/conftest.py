"""The fixtures of the races: those of the attacks, and what watches over a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from escape.conftest import arena, places, programs
from support.programs import Programs

from races.fuzzing import Built, build

__all__ = ["arena", "places", "programs"]


@pytest.fixture(scope="session")
def plain_programs(session_root: Path) -> Programs:
    """The C programs under tests/programs that are no attacks, compiled on demand."""
    return Programs(session_root / "plain-programs")


@pytest.fixture(scope="session")
def keeper(plain_programs: Programs) -> Path:
    """The program that runs another and tells what became of it."""
    return plain_programs("races/keeper")


@pytest.fixture(scope="session")
def built(plain_programs: Programs, session_root: Path) -> Built:
    """The fuzzer of calls."""
    return build(plain_programs, session_root / "fuzz-table")
