"""Upstream sources of Debian packages, which `.ci/sources` fetched, as setups for a comparison."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.run import REPO


def cache() -> Path:
    """Where the source archives lie: $CAPWRAP_SOURCES, else .cache/sources of the tree."""
    return Path(os.environ.get("CAPWRAP_SOURCES") or REPO / ".cache/sources")


def unpacker(package: str) -> Callable[[Path], None]:
    """A setup that unpacks a package's upstream archive, without its top directory, into a directory."""
    found = [path for path in sorted(cache().glob(f"{package}_*.orig.tar.*")) if path.suffix != ".asc"]
    if not found:
        pytest.fail(
            f"the source of {package} is not in {cache()}: run `.ci/sources`, which fetches it by apt-get source",
            pytrace=False,
        )

    def setup(work: Path) -> None:
        subprocess.run(
            ["tar", "-xf", found[-1], "-C", work, "--strip-components=1", "--no-same-owner"], check=True, timeout=120
        )

    return setup
