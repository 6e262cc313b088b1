"""The fixtures of the attack tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from escape.harness import NOBODY, SOURCES, Arena, Programs, Who


# Not beneath /tmp: the default policy puts a private directory there, which would hide what an attack looks for.
@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    with tempfile.TemporaryDirectory(prefix="capwrap-attacks-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        made = Programs(Path(directory))
        made.compile(made.directory / "outsider", [SOURCES / "escape" / "outsider.c"], "-static")
        yield made


def variants() -> list[str]:
    """Who attacks, under which policy. Only root can become somebody else."""
    return ["root-workspace", "root-pure", "user-workspace"] if os.geteuid() == 0 else ["self-workspace", "self-pure"]


@pytest.fixture(params=variants())
def arena(request: pytest.FixtureRequest, programs: Programs) -> Iterator[Arena]:
    name, policy = request.param.split("-")
    who = Who(name, NOBODY if name == "user" else None)
    with (
        tempfile.TemporaryDirectory(prefix="capwrap-arena-", dir="/var/tmp") as directory,
        tempfile.TemporaryDirectory(prefix="capwrap-staging-", dir="/var/tmp") as staging,
    ):
        Path(directory).chmod(0o755)
        Path(staging).chmod(0o777)
        yield Arena(Path(directory), programs, who, policy == "pure", Path(staging))
