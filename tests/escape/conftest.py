"""The fixtures of the attack tests."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from escape.harness import Arena
from escape.running import NOBODY, SOURCES, Programs, Who

__all__ = ["arena", "places", "programs"]


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


def further_variants() -> list[str]:
    """Where the first case alone of every claim is tried: in containers, above all."""
    return ["root-container", "user-container", "user-pure"] if os.geteuid() == 0 else ["self-container"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seen: set[tuple[object, str, str]] = set()
    kept = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        variant = "" if callspec is None else str(callspec.params.get("arena", ""))
        if isinstance(item, pytest.Function) and variant in further_variants():
            claim = (item.parent, item.originalname, variant)
            if claim in seen:
                continue
            seen.add(claim)
        kept.append(item)
    items[:] = kept


@dataclass(frozen=True)
class Place:
    """Where the arenas of one variant are built, one after the other, so that their policies are compiled but once."""

    base: Path
    staging: Path
    images: dict[tuple[str, ...], Path] = field(default_factory=dict)


@pytest.fixture(scope="session")
def places() -> Iterator[Callable[[str], Place]]:
    made: dict[str, Place] = {}
    with contextlib.ExitStack() as stack:

        def place(variant: str) -> Place:
            if variant not in made:
                base, staging = (
                    Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"capwrap-{name}-", dir="/var/tmp")))
                    for name in ("arena", "staging")
                )
                base.chmod(0o755)
                staging.chmod(0o777)
                made[variant] = Place(base, staging)
            return made[variant]

        yield place


@pytest.fixture(params=[*variants(), *further_variants()])
def arena(request: pytest.FixtureRequest, programs: Programs, places: Callable[[str], Place]) -> Iterator[Arena]:
    name, policy = request.param.split("-")
    place = places(request.param)
    made = Arena(
        place.base,
        programs,
        Who(name, NOBODY if name == "user" else None),
        policy == "pure",
        place.staging,
        place.images,
        policy == "container",
    )
    yield made
    request.node.user_properties += [("unshown", why) for why in made.unshown]
