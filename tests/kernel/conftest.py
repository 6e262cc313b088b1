"""How the facts of tests/programs/kernel are tried: natively, by whoever runs the tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.programs import Programs
from support.run import base_env, run

LACKS = 77

Fact = Callable[..., None]


@pytest.fixture
def fact(programs: Programs, session_root: Path) -> Iterator[Fact]:
    """Runs one of the programs, in an empty directory; the test fails unless what the program claims is so."""
    place = Path(tempfile.mkdtemp(prefix="fact", dir=session_root))
    place.chmod(0o777)

    def tried(name: str, *args: str, flags: tuple[str, ...] = ()) -> None:
        done = run([programs(f"kernel/{name}", flags=flags), *args], cwd=place, env=base_env(place), timeout=60)
        if done.status == LACKS:
            pytest.skip(done.text.strip())
        assert done.status == 0, done.describe()

    yield tried
    shutil.rmtree(place)
