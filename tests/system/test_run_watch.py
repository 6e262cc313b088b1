"""inotify: a watch is on what the path leads to, whoever decides the path."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.programs import Programs

# A directory whose calls the target makes itself, and one of which something is denied, so that each path is walked.
OPTIONS = {"whole": (), "carved": ("--deny", "nothing-here")}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_watch_tells_what_it_tells_natively(each_bench: Bench, programs: Programs, options: tuple[str, ...]) -> None:
    def setup(work: Path) -> None:
        copying(programs("system/watch"), then={"d/f": "x", "f": "x"})(work)
        (work / "link").symlink_to("f")

    each_bench.compare(["./watch", "d", "f"], setup=setup, options=options)
