"""File systems that are no files, mounted beneath a grant, are no part of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from escape.running import capwrap, run

NAMES = ["plain", "two words", "tab\there", "new\nline", "back\\slash", "back\\040slash", "#sharp", "a - b"]

SCRIPT = """
mkdir -p "$1/sub/proc" && mount -t proc proc "$1/sub/proc" || exit 99
shift
exec "$@"
"""


def mounted(place: Path, command: list[str]) -> list[str]:
    """A command in namespaces of its own, with procfs mounted at `place`/sub/proc."""
    unprivileged = ["--user", "--map-root-user"] if os.geteuid() else []
    spaces = ["--mount-proc", "--pid", "--fork", "--kill-child"]
    return ["unshare", *unprivileged, *spaces, "sh", "-c", SCRIPT, "mounted", str(place), *command]


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("name", NAMES)
def test_procfs_beneath_a_grant_is_no_part_of_it_whatever_its_name(tmp_path: Path, name: str) -> None:
    # mountinfo writes some characters as octal numbers
    place = tmp_path / name
    place.mkdir()
    (place / "file").write_text("granted\n")
    show = ["cat", str(place / "file"), str(place / "sub/proc/1/comm")]
    natively = run(mounted(place, show), cwd=Path("/usr"))
    assert (natively.returncode, natively.stdout) == (0, "granted\ncat\n"), natively
    confined = run(
        mounted(place, [capwrap(), "run", "-q", "--profile", "base", "--ro", str(place), "--", *show]), cwd=Path("/usr")
    )
    assert (confined.returncode, confined.stdout) == (1, "granted\n"), confined
