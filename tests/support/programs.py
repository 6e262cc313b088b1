"""Compile the C programs under tests/programs, once a session and way of compiling."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.run import REPO, require

_FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread")


class Programs:
    """Compiled programs by their source's path, such as `system/pointers`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._made: dict[tuple[str, str, tuple[str, ...]], Path] = {}

    def __call__(self, source: str, *, cc: str = "cc", flags: Sequence[str] = ()) -> Path:
        """The executable of tests/programs/SOURCE.c; compiling is a test failure where it fails."""
        key = (source, cc, tuple(flags))
        if key not in self._made:
            self._made[key] = self._compile(*key)
        return self._made[key]

    def _compile(self, source: str, cc: str, flags: tuple[str, ...]) -> Path:
        require(cc)
        self.directory.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        for path in (self.directory, directory):
            path.chmod(0o755)
        target = directory / Path(source).name
        command = [cc, *_FLAGS, *flags, str(REPO / "tests/programs" / f"{source}.c"), "-o", str(target)]
        done = subprocess.run(command, check=False, capture_output=True, timeout=120, env=os.environ | {"LC_ALL": "C"})
        if done.returncode != 0:
            pytest.fail(f"{' '.join(command)}: {done.stderr.decode()}", pytrace=False)
        target.chmod(0o755)
        return target
