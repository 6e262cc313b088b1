"""A fixture by which tests run programs in capability mode, and fail where these were refused something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capwrap import Policy, Result, Sandbox
from capwrap.sandbox import Refusal

PROJECT = Path(__file__).parent


class Confined:
    """Runs programs that read the system and this project, and write in the test's own directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.policy = Policy.profile("base").rox(PROJECT).rwx(directory).env("TMPDIR", str(directory))
        self.refusals: list[Refusal] = []

    def run(self, *argv: str | Path, **options: Any) -> Result:
        """As subprocess.run, in the test's directory, with the output captured as text."""
        result = Sandbox(self.policy).run(argv, cwd=self.directory, capture_output=True, text=True, **options)
        self.refusals += result.refusals
        return result

    def refused(self) -> list[str]:
        """What was refused so far; whoever asks has expected it, and the test does not fail for it."""
        objects = [refusal.object for refusal in self.refusals]
        self.refusals.clear()
        return objects


@pytest.fixture
def confined(tmp_path: Path) -> Iterator[Confined]:
    """Runs programs in capability mode. A refusal that the test did not ask for fails it."""
    made = Confined(tmp_path)
    yield made
    if made.refusals:
        lines = [f"{each.object}: needs {', '.join(each.needs)}; allow with {each.allow}" for each in made.refusals]
        pytest.fail("\n".join(["the program was refused:", *lines]), pytrace=False)
